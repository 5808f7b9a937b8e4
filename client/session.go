// Package client is the FTP client's engine: one [Session] with a server, its control connection and its data
// connections, in the clear and under TLS.
//
// The commands are spoken by github.com/jlaffaye/ftp. That library dials passive data connections only and hides the
// control connection, so both kinds of connection beneath it are ours: the control connection records every command
// and reply, and negotiates each data connection in passive mode (EPSV, PASV) or active mode (EPRT, PORT); the data
// connections are counted, bounded by deadlines, accepted from the server's address only, and resume the control
// connection's TLS session.
//
// Promises: every call takes a context and returns soon after it ends; every wait has a limit ([Timeouts]); what a
// server sends is bounded; a name from a server never holds a path; every connection and its end is written to the
// [connlog.Recorder]; passwords never are.
//
// Sources: RFC 959 (FTP), RFC 2428 (EPSV, EPRT), RFC 3659 (MLSD, SIZE, MDTM, REST), RFC 4217 (TLS), RFC 2577
// (security), draft-somers-ftp-mfxx (MFMT).
package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jlaffaye/ftp"
	"golang.org/x/text/encoding"

	"portside/connlog"
	"portside/wire"
)

// Mode is how data connections come about.
type Mode string

const (
	// ModeAuto tries passive first. If the data channel can't be opened, it tries active once, says so in the record,
	// and stays with what worked.
	ModeAuto    Mode = "auto"
	ModePassive Mode = "passive" // the client opens data connections
	ModeActive  Mode = "active"  // the server opens data connections
)

func (m Mode) other() Mode {
	if m == ModeActive {
		return ModePassive
	}
	return ModeActive
}

// PortRange is a range of ports, both ends included. The zero value means any port.
type PortRange struct{ Min, Max uint16 }

// Timeouts are the limits of a session's waits. A zero field has the default in brackets.
type Timeouts struct {
	Connect       time.Duration // TCP and TLS handshake of the control connection (15 s each)
	Reply         time.Duration // a reply to a command, and the greeting (30 s)
	DataDial      time.Duration // a passive data connection, and each data TLS handshake (15 s)
	DataDialQuick time.Duration // the same dial while Auto may still change the mode (4 s)
	Accept        time.Duration // the server's connection in active mode (10 s)
	AcceptQuick   time.Duration // the same while Auto tries (6 s)
	Stall         time.Duration // a data connection on which no byte moves (60 s)
}

func (t Timeouts) withDefaults() Timeouts {
	for _, one := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Connect, 15 * time.Second},
		{&t.Reply, 30 * time.Second},
		{&t.DataDial, 15 * time.Second},
		{&t.DataDialQuick, 4 * time.Second},
		{&t.Accept, 10 * time.Second},
		{&t.AcceptQuick, 6 * time.Second},
		{&t.Stall, 60 * time.Second},
	} {
		if *one.field == 0 {
			*one.field = one.value
		}
	}
	return t
}

// CertificateProblem is a server certificate that the system does not trust, or that has taken the place of a pinned one.
type CertificateProblem struct {
	Host   string
	Chain  []*x509.Certificate // the server's own first
	SHA256 string              // fingerprint of the server's own, "AB:CD:..."
	Err    error               // why it is not trusted; nil: it is, but another one is pinned
}

// Options is what [Dial] needs.
type Options struct {
	Target
	Mode Mode // empty: [ModeAuto]
	// First is the mode that [ModeAuto] tries first: what a site remembers. Empty: [ModePassive].
	First Mode
	// ActivePorts are the ports to wait on in active mode.
	ActivePorts PortRange
	// ActiveAddress is announced in PORT and EPRT, for a client behind a router that forwards ActivePorts. The zero
	// value announces the control connection's own address.
	ActiveAddress netip.Addr
	// TrustPASV dials the address that a 227 reply names. When false only its port counts, and the address of the
	// control connection is dialled; a differing address stands in [connlog.Record.Advertised].
	TrustPASV bool
	// Verify is asked about a certificate that RootCAs does not vouch for, before anything secret is sent; nil refuses.
	// When it returns nil the session goes on.
	Verify func(ctx context.Context, p CertificateProblem) error
	// Pinned returns the fingerprint of the one certificate that was trusted for this server, or "". Another one is asked
	// about even when RootCAs vouches for it: who has compared a fingerprint wants to know that it has changed.
	Pinned   func() string
	RootCAs  *x509.CertPool // nil: the system's
	Insecure bool           // take any certificate
	Recorder connlog.Recorder
	Timeouts Timeouts
	// Remember is called when [ModeAuto] has found a mode that works.
	Remember func(Mode)
	// NotAhead has every command wait for the answer to the one before: what a site remembers, see [Session.Follow].
	NotAhead bool
	// CannotAhead is called when the server turned out to need that.
	CannotAhead func()
	// MovesFirst says that the session begins with a listing or another transfer. In passive mode its data connection is
	// then negotiated together with the sign-in, with servers that are known to take it; one that is not used within some
	// seconds is given up.
	MovesFirst bool
	// Again says that a session with the same options has signed in before, in this run of the program: with servers that are known to take
	// it, the whole sign-in goes out at once.
	Again     bool
	SessionID string // names the session in the records; empty: made
	// Account is sent with ACCT when the server asks for one (332, RFC 959 section 4.1.1).
	Account string
	// Charset is the character set of the server's names, see [Charset]; empty: UTF-8, and bytes that are none as they are.
	Charset string
	// TimeOffset is how far the times in LIST's listings are ahead of UTC; nil: measured, see [Session.TimeOffset].
	TimeOffset *time.Duration
	// Clock is what sessions of one server share of what they find out about its times; nil: the session's own.
	Clock *Clock
	// InClear is asked before a password goes out without TLS to peer; nil allows it. With an error nothing is sent.
	InClear func(ctx context.Context, peer netip.AddrPort) error
}

// Session is one signed-in session. Its methods may be called from several goroutines; they take turns.
type Session struct {
	o         Options
	id        string
	tlsConfig *tls.Config // nil: in clear
	leaf      []byte      // the server's certificate
	tlsState  *tls.ConnectionState
	local     netip.AddrPort
	peer      netip.AddrPort
	greeting  string
	ctl       *control
	lib       *ftp.ServerConn
	turn      chan struct{} // holds one token; the operation under way has it
	life      context.Context
	end       context.CancelFunc
	choice    atomic.Pointer[modeChoice]
	next      atomic.Pointer[following]
	spared    atomic.Bool       // nothing is sent ahead
	untimed   atomic.Bool       // the server refuses to set times
	charset   encoding.Encoding // nil: UTF-8
	clock     *Clock

	// These belong to the operation under way.
	conns    int
	noEPSV   bool
	noEPRT   bool
	noMLSD   bool
	noDashA  bool // "LIST -a" is taken for a name
	facts    bool // MLSD's were asked for
	features map[string]string

	plain     bool          // this attempt goes without anything ahead
	dialsBack bool          // the server has opened a data connection
	barren    map[Mode]bool // modes whose newest data connection never came about
}

// Dial connects, negotiates TLS and signs in. Its errors are of type [*Error].
func Dial(ctx context.Context, o Options) (*Session, error) {
	if o.User == "" {
		o.User = Anonymous
		if o.Password == "" {
			o.Password = AnonymousPassword
		}
	}
	if o.TLS == "" {
		o.TLS = TLSAuto
	}
	if o.Recorder == nil {
		o.Recorder = connlog.Discard
	}
	o.Timeouts = o.Timeouts.withDefaults()
	s := &Session{o: o, id: o.SessionID, turn: make(chan struct{}, 1), barren: map[Mode]bool{}}
	s.SetMode(o.Mode)
	if s.id == "" {
		var b [4]byte
		_, _ = rand.Read(b[:])
		s.id = hex.EncodeToString(b[:])
	}
	s.spared.Store(o.NotAhead)
	if err := s.openCharset(); err != nil {
		return nil, err
	}
	if s.clock = o.Clock; s.clock == nil {
		s.clock = &Clock{}
	}
	s.clock.set(o.TimeOffset)
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.connect(ctx); err != nil {
		s.end()
		return nil, err
	}
	if err := s.signIn(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) record(r connlog.Record) {
	r.Time, r.Session, r.Side = time.Now(), s.id, connlog.Client
	s.o.Recorder.Record(r)
}

// connect does everything up to the protected control connection, and starts to read it.
func (s *Session) connect(ctx context.Context) error {
	if err := s.checkCharset(s.o.User, s.o.Password, s.o.Account, s.o.Host); err != nil {
		return &Error{Op: "sign in", Reason: connlog.ReasonPolicy, Err: err}
	}
	tcp, err := s.dialControl(ctx)
	if err != nil {
		return s.connectFailed("connect to", err, connlog.Record{})
	}
	s.local, s.peer = addrPort(tcp.LocalAddr()), addrPort(tcp.RemoteAddr())
	ends := connlog.Record{Channel: connlog.Control, Initiator: connlog.Client, From: s.local, To: s.peer}
	c := &control{tcp: tcp, conn: tcp, reply: s.o.Timeouts.Reply,
		final: max(s.o.Timeouts.Reply, s.o.Timeouts.Stall), local: ends, replies: make(chan answer, 64),
		done: make(chan struct{}), op: ctx}
	s.ctl = c
	c.log, c.note, c.line, c.plan, c.reach, c.upset = s.record, s.note, s.lineUp, s.signInAhead, s.reach, s.spare
	c.encode, c.decode, c.account = s.encode, s.decode, s.o.Account
	up := ends
	up.Event, up.Host = connlog.ControlOpened, s.o.Host
	s.record(up)
	c.life, c.die = context.WithCancel(context.Background())
	// Until the reader runs, a cancelled context ends reads and writes through the deadline.
	stop := context.AfterFunc(ctx, func() { _ = tcp.SetDeadline(past) })
	br, greeting, err := s.greet(ctx)
	if err == nil {
		err = s.mayGoInClear(ctx)
	}
	if !stop() { // cancelled: whatever else failed was a consequence
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = tcp.Close()
		c.die()
		return s.connectFailed("connect to", err, ends)
	}
	_ = tcp.SetDeadline(time.Time{})
	c.pending, s.greeting = []reply{greeting}, greeting.text()
	go c.run(br)
	return nil
}

func (s *Session) dialControl(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeouts.Connect)
	defer cancel()
	dialer := net.Dialer{
		KeepAlive: 30 * time.Second, // routers forget a quiet control connection during a long transfer
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, _ := netip.ParseAddrPort(address)
			s.record(connlog.Record{Event: connlog.ControlDialing, Channel: connlog.Control, Initiator: connlog.Client,
				To: to, Host: s.o.Host})
			return nil
		},
	}
	return dialer.DialContext(ctx, "tcp", s.o.Address())
}

// connectFailed records and returns why there is no control connection.
func (s *Session) connectFailed(op string, err error, r connlog.Record) error {
	e, ok := asType[*Error](err)
	if !ok {
		e = &Error{Reason: ReasonOf(err), Err: err}
		switch e.Reason {
		case connlog.ReasonUnknownHost:
			e.Err = fmt.Errorf("no address is known for the name %q", s.o.Host)
			e.Advice = "Check the spelling, or try the server's IP address."
		case connlog.ReasonRefused:
			e.Advice = "The computer is there, but no server listens on this port: check the port, and whether the server runs."
		case connlog.ReasonTimeout:
			e.Advice = "Nothing answered: check the address, and whether a firewall blocks this port."
		case connlog.ReasonCancelled:
			e.Err = context.Canceled
		}
	}
	e.Op, e.On = op, s.o.Address()
	r.Event, r.Channel, r.Initiator, r.Host = connlog.ControlFailed, connlog.Control, connlog.Client, s.o.Host
	r.Reason, r.Reply, r.Err = e.Reason, e.Reply, err.Error()
	s.record(r)
	return e
}

// greet reads the greeting and negotiates TLS. It returns the reader of the connection that carries commands.
func (s *Session) greet(ctx context.Context) (*bufio.Reader, reply, error) {
	c := s.ctl
	if s.o.TLS == TLSImplicit {
		if err := s.protect(ctx); err != nil {
			return nil, reply{}, err
		}
	}
	br := bufio.NewReader(c.conn)
	greeting, err := s.readGreeting(ctx, br)
	if err != nil {
		return nil, reply{}, err
	}
	r := c.local
	r.Event, r.Software, r.Peer = connlog.Greeted, wire.Escape(greeting.text()), wire.ParseGreeting(greeting.text())
	s.record(r)
	c.log(connlog.Record{Event: connlog.ReplySent, Channel: connlog.Control, Reply: greeting.String()})
	if s.o.TLS == TLSImplicit {
		return br, greeting, nil
	}
	if s.o.TLS == TLSNone {
		return br, greeting, nil
	}
	c.log(connlog.Record{Event: connlog.CommandSent, Channel: connlog.Control, Command: "AUTH TLS"})
	c.within(ctx, s.o.Timeouts.Reply)
	if _, err := io.WriteString(c.tcp, "AUTH TLS\r\n"); err != nil {
		return nil, reply{}, err
	}
	answer, err := readReply(br)
	if err != nil {
		return nil, reply{}, fmt.Errorf("no answer to AUTH TLS: %w", err)
	}
	c.log(connlog.Record{Event: connlog.ReplySent, Channel: connlog.Control, Reply: answer.String()})
	if answer.code == 421 {
		return nil, reply{}, notTaken(answer)
	}
	if answer.code != 234 && answer.code != 334 {
		if s.o.TLS == TLSExplicit {
			return nil, reply{}, &Error{Reason: connlog.ReasonTLS, Code: answer.code, Reply: answer.String(),
				Err: errors.New("the server has no TLS (AUTH TLS was refused)"), Advice: "Nothing was sent in clear."}
		}
		return br, greeting, nil
	}
	if br.Buffered() > 0 {
		return nil, reply{}, &Error{Reason: connlog.ReasonTLS,
			Err: errors.New("clear bytes came after the reply to AUTH TLS: somebody on the way tampers with the connection")}
	}
	if err := s.protect(ctx); err != nil {
		return nil, reply{}, err
	}
	return bufio.NewReader(c.conn), greeting, nil
}

// within gives what is read and written next its deadline, unless ctx was cancelled: then that has passed already. It is
// for the time before the reader runs; connect sets the deadline when ctx ends later.
func (c *control) within(ctx context.Context, limit time.Duration) {
	_ = c.tcp.SetDeadline(time.Now().Add(limit))
	if ctx.Err() != nil {
		_ = c.tcp.SetDeadline(past)
	}
}

// readGreeting reads the 220, and says what else answers when it is not FTP.
func (s *Session) readGreeting(ctx context.Context, br *bufio.Reader) (reply, error) {
	s.ctl.within(ctx, s.o.Timeouts.Reply) // with what comes before it
	var soon reply
	for range maxBegun {
		first, err := br.Peek(1)
		if err == nil && (first[0] == 0x15 || first[0] == 0x16) {
			return reply{}, &Error{Reason: connlog.ReasonNotFTP, Err: errors.New("a TLS server answers"),
				Advice: "Use ftps:// (implicit TLS)."}
		}
		r, err := readReply(br)
		switch {
		case errors.Is(err, errNotAReply), errors.Is(err, errTooMuch):
			return reply{}, notFTP(r.String(), s.o.ControlPort())
		case errors.Is(err, os.ErrDeadlineExceeded) && soon.code != 0:
			return reply{}, &Error{Reason: connlog.ReasonRejected, Code: soon.code, Reply: soon.String(),
				Err: errors.New("the server is not ready yet"), Advice: "Try later."}
		case errors.Is(err, os.ErrDeadlineExceeded):
			e := &Error{Reason: connlog.ReasonNotFTP,
				Err: fmt.Errorf("something accepts connections, but sent no FTP greeting within %v", s.o.Timeouts.Reply)}
			if s.o.TLS != TLSImplicit {
				e.Advice = "It may be a server with implicit TLS (ftps://), a web server, or an overloaded FTP server."
			}
			return reply{}, e
		case err != nil:
			if len(r.lines) == 0 {
				err = fmt.Errorf("the connection ended before a greeting: %w", err)
			}
			return reply{}, err
		case r.code == 220:
			if t := strings.ToUpper(r.text()); strings.Contains(t, "SMTP") && !strings.Contains(t, "FTP") {
				return reply{}, notFTP(r.String(), s.o.ControlPort())
			}
			return r, nil
		case r.preliminary():
			soon = r // 120: service ready in some minutes
		default:
			return reply{}, notTaken(r)
		}
	}
	return reply{}, &Error{Reason: connlog.ReasonNotFTP, Err: errTooMuch}
}

// notTaken is a server's word before the sign-in that it serves nobody now.
func notTaken(r reply) *Error {
	e := &Error{Reason: connlog.ReasonRejected, Code: r.code, Reply: r.String(),
		Err: errors.New("the server does not take the connection")}
	if r.code == 421 {
		e.Advice = "It is full or in maintenance: try later, or use fewer connections at once."
	}
	return e
}

func notFTP(line string, port uint16) *Error {
	e := &Error{Reason: connlog.ReasonNotFTP}
	upper := strings.ToUpper(line)
	switch {
	case strings.HasPrefix(upper, "SSH-"):
		e.Err = fmt.Errorf("an SSH server answers on port %d", port)
		e.Advice = "Use SFTP with another program, or find out the server's FTP port."
	case strings.HasPrefix(upper, "HTTP/"), strings.HasPrefix(upper, "<!DOCTYPE"), strings.HasPrefix(upper, "<HTML"):
		e.Err = fmt.Errorf("a web server answers on port %d", port)
		e.Advice = "FTP is usually on port 21."
	case strings.Contains(upper, "SMTP"), strings.HasPrefix(upper, "* OK"), strings.HasPrefix(upper, "+OK"):
		e.Err = fmt.Errorf("a mail server answers on port %d", port)
		e.Advice = "FTP is usually on port 21."
	default:
		e.Err = fmt.Errorf("what answers on port %d is not an FTP server; it said %q", port, clip(line))
		e.Advice = "FTP is usually on port 21."
	}
	return e
}

// signIn hands the control connection to the library and signs in.
func (s *Session) signIn(ctx context.Context) error {
	s.turn <- struct{}{}
	return s.operate(ctx, "sign in to", s.o.Host, func() error {
		options := []ftp.DialOption{
			ftp.DialWithDialFunc(s.hand),
			ftp.DialWithDisabledEPSV(true), // PASV stands for "a data connection, please"; see control
			ftp.DialWithWritingMDTM(true),  // vsftpd sets times so; others answer 550
		}
		if s.charset != nil {
			options = append(options, ftp.DialWithDisabledUTF8(true))
		}
		if s.tlsConfig != nil {
			options = append(options, ftp.DialWithTLS(s.tlsConfig)) // only makes Login send PBSZ and PROT
		}
		lib, err := ftp.Dial(s.o.Address(), options...)
		if err != nil {
			return err
		}
		if greets(s.greeting, disorderly) {
			s.spared.Store(true)
		}
		s.lib = lib
		return s.lib.Login(s.o.User, s.o.Password)
	})
}

// note learns from the replies to the library's sign-in.
func (s *Session) note(verb string, r reply) {
	rec := connlog.Record{Channel: connlog.Control, User: s.o.User, Reply: r.String()}
	switch {
	case verb != "USER" && verb != "PASS" && verb != "ACCT":
		if verb == "FEAT" && r.code == 211 {
			s.features = map[string]string{}
			for _, line := range features(r) {
				name, rest, _ := strings.Cut(line, " ")
				s.features[strings.ToUpper(wire.Escape(name))] = wire.Escape(rest)
			}
		}
		return
	case r.code < 300:
		rec.Event = connlog.SignedIn
	case r.code >= 400:
		rec.Event, rec.Reason = connlog.SignInRefused, connlog.ReasonRejected
	default:
		return
	}
	s.record(rec)
}

// hand gives the library its connections: first the control connection, then each data connection that it asked for.
func (s *Session) hand(string, string) (net.Conn, error) {
	if s.lib == nil {
		return s.ctl, nil
	}
	s.ctl.mu.Lock()
	defer s.ctl.mu.Unlock()
	if s.ctl.data == nil {
		return nil, errors.New("no data connection was negotiated")
	}
	return s.ctl.data, nil
}

// operate runs do as the one operation under way and turns its failure into an [*Error]. The caller has taken the
// turn; operate gives it back.
func (s *Session) operate(ctx context.Context, op, on string, do func() error) error {
	defer func() { <-s.turn }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(net.ErrClosed) })()
	c := s.ctl
	c.op, c.dataErr, c.last = ctx, nil, reply{}
	if err := c.failure(); err != nil {
		return s.fault(op, on, err)
	}
	if ctx.Err() != nil {
		return s.fault(op, on, context.Cause(ctx))
	}
	if err := do(); err != nil {
		return s.fault(op, on, err)
	}
	return nil
}

// do waits for its turn and runs an operation.
func (s *Session) do(ctx context.Context, op, on string, run func() error) error {
	if err := s.checkCharset(on); err != nil {
		return &Error{Op: op, On: on, Reason: connlog.ReasonPolicy, Err: err}
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return &Error{Op: op, On: on, Reason: ReasonOf(context.Cause(ctx)), Err: context.Cause(ctx)}
	case <-s.life.Done():
		return &Error{Op: op, On: on, Reason: connlog.ReasonCancelled, Err: net.ErrClosed}
	}
	return s.operate(ctx, op, on, run)
}

// fault tells what err of the operation under way comes from: the person, this computer, the data channel, the control
// connection, or the server's refusal.
func (s *Session) fault(op, on string, err error) error {
	c := s.ctl
	e := &Error{Op: op, On: on}
	dataErr := c.dataErr
	if dataErr == nil {
		dataErr = err
	}
	local, isLocal := asType[*localError](dataErr)
	data, isData := asType[*dataError](dataErr)
	ended, isEnded := asType[*Error](err)
	switch {
	case c.op.Err() != nil:
		e.Err = context.Cause(c.op)
		e.Reason = ReasonOf(e.Err)
		if errors.Is(e.Err, net.ErrClosed) {
			e.Reason = connlog.ReasonCancelled
		}
	case asBothFailed(dataErr, e):
	case isLocal:
		e.Reason, e.Err = connlog.ReasonLocal, local.err
	case isData && (data.reply.code == 0 || data.refusal || data.reply.code == 425 || data.reply.code == 426):
		e.Reason, e.Err, e.Data, e.Mode = data.reason, data, true, data.mode
		e.Unopened = data.unopened()
		if data.reply.code != 0 {
			e.Code, e.Reply = data.reply.code, data.reply.String()
		} else if c.last.code >= 400 {
			e.Code, e.Reply = c.last.code, c.last.String()
		}
		e.Advice = dataAdvice(data)
		if s.barren[data.mode.other()] {
			e.Advice, _, _ = strings.Cut(e.Advice, " Try ")
		}
	case isData:
		e.Reason, e.Code, e.Reply = connlog.ReasonRejected, data.reply.code, data.reply.String()
	case isEnded:
		e.Reason, e.Code, e.Err = ended.Reason, ended.Code, ended // with the reply in its text
	case c.last.code >= 400:
		e.Reason, e.Code, e.Reply = connlog.ReasonRejected, c.last.code, c.last.String()
	default:
		e.Reason, e.Err = ReasonOf(err), err
	}
	return e
}

func dataAdvice(d *dataError) string {
	switch {
	case d.mode == ModeActive && d.reason == connlog.ReasonTimeout:
		return "In active mode the server connects to this computer: a firewall or router here probably stopped it. Try passive mode."
	case d.mode == ModePassive && !d.opened && (d.reason == connlog.ReasonTimeout || d.reason == connlog.ReasonRefused):
		return "The server's passive ports are probably closed by a firewall or not forwarded. Try active mode."
	case d.reply.code == 522 || strings.Contains(strings.ToLower(d.reply.text()), "reuse"):
		return "The server wants data connections to resume the control connection's TLS session."
	}
	return ""
}

// Close ends the session: it stops an operation under way, says QUIT, and returns when nothing of the session is left.
func (s *Session) Close() error {
	s.end()
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	c := s.ctl
	if c.failure() == nil {
		c.mu.Lock()
		c.closing = true
		c.mu.Unlock()
		if s.choice.Load().mode == ModeActive {
			s.takeBack() // else QUIT would wait for what was asked for in vain
		}
		ctx, cancel := context.WithTimeout(context.Background(), quitLimit)
		_, _ = c.command(ctx, "QUIT")
		cancel()
	}
	s.takeBack()
	c.fail(net.ErrClosed, connlog.Client, connlog.ReasonQuit)
	<-c.done
	return nil
}

// quitLimit is how long Close waits for the goodbye.
const quitLimit = time.Second

// ID names the session in the records.
func (s *Session) ID() string { return s.id }

// Err is nil while the session can be used, and says why when it can't.
func (s *Session) Err() error { return s.ctl.failure() }

// TLSState is the control connection's, or nil when it is in clear.
func (s *Session) TLSState() *tls.ConnectionState { return s.tlsState }

// Peer is the server's end of the control connection.
func (s *Session) Peer() netip.AddrPort { return s.peer }

// Local is this computer's end of the control connection.
func (s *Session) Local() netip.AddrPort { return s.local }
