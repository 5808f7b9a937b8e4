package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"portside/connlog"
	"portside/wire"
)

// controlConn is one control connection of an examination. It speaks FTP word for word, where [client.Session] would put
// things right: the examination wants to see what is wrong.
type controlConn struct {
	x      *examination
	id     string
	tcp    net.Conn
	conn   net.Conn // tcp, or TLS over it
	buf    []byte   // received and not read yet
	halted atomic.Bool
	unhook func() bool
	ended  func() error // not nil when this side closed the connection, because the examination ended
	rtt    time.Duration

	local, peer netip.AddrPort
	tls         *tls.Config // shared with the data connections, so that they resume the session
	protect     bool        // data connections are to use TLS
	data        int         // data connections so far
	dead        error       // why it can't be used any more
	goodbye     Answer      // a 421, with which the server ended the session
	alert       string      // what TLS said when it ended the session
	last        string      // the verb of the last command
	user        string
}

var (
	errSilent   = errors.New("no reply")
	errClosed   = errors.New("the connection was closed")
	errNotReply = errors.New("that is not an FTP reply")
	errHalted   = errors.New("no longer waited for")
	errEnded    = errors.New("the examination was ended")
)

const maxReply = 1 << 20 // bytes; FEAT and STAT are the longest honest ones

// dialControl opens a control connection.
func (x *examination) dialControl(ctx context.Context, to netip.AddrPort, mss int) (*controlConn, Outcome, error) {
	return x.dialControlWithin(ctx, ctx, to, mss)
}

// dialControlWithin dials as long as dial lives; the session then lives as long as ctx.
func (x *examination) dialControlWithin(ctx, dial context.Context, to netip.AddrPort, mss int) (*controlConn, Outcome, error) {
	s := &controlConn{x: x, id: x.sessionID(), peer: to}
	s.record(connlog.Record{Event: connlog.ControlDialing, Initiator: connlog.Client, To: to, Host: x.e.Target.Host})
	dctx, cancel := context.WithTimeout(dial, x.limits.Connect)
	defer cancel()
	start := x.now()
	conn, err := x.network.Dial(dctx, to, mss)
	s.rtt = x.now().Sub(start)
	if err != nil {
		how := dialOutcome(err)
		s.record(connlog.Record{Event: connlog.ControlFailed, Initiator: connlog.Client, To: to, Host: x.e.Target.Host,
			Reason: how.reason(), Err: err.Error(), Duration: s.rtt})
		return nil, how, err
	}
	s.tcp, s.conn = conn, conn
	s.local, s.peer = addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	s.unhook, s.ended = context.AfterFunc(ctx, func() { conn.Close() }), ctx.Err
	s.record(connlog.Record{Event: connlog.ControlOpened, Initiator: connlog.Client, From: s.local, To: s.peer, Duration: s.rtt,
		Host: x.e.Target.Host})
	return s, Worked, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func (s *controlConn) record(r connlog.Record) {
	r.Time, r.Session, r.Side = s.x.now(), s.id, connlog.Client
	if r.Channel == "" {
		r.Channel = connlog.Control
	}
	s.x.recorder.Record(r)
}

// close ends the session. QUIT is said without waiting for its answer: a server that hangs must not hold up a person.
func (s *controlConn) close() {
	if s == nil || s.tcp == nil {
		return
	}
	s.unhook()
	reason := connlog.ReasonCancelled // this side has seen enough
	if errors.Is(s.dead, errClosed) {
		reason = connlog.ReasonLost
	}
	if s.dead == nil {
		_ = s.tcp.SetDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := io.WriteString(s.conn, "QUIT\r\n"); err == nil {
			reason = connlog.ReasonQuit
		}
	}
	s.tcp.Close()
	s.tcp = nil
	s.record(connlog.Record{Event: connlog.ControlClosed, Initiator: connlog.Client, From: s.local, To: s.peer, By: connlog.Client, Reason: reason})
}

// send writes one command line.
func (s *controlConn) send(line string) error {
	if s.dead != nil {
		return s.dead
	}
	s.last, _, _ = strings.Cut(line, " ")
	s.record(connlog.Record{Event: connlog.CommandSent, Command: wire.Mask(line)})
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.x.limits.Reply))
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		_, _ = s.next(s.x.limits.Hop / 4) // why it ended may have been said
		if s.dead == nil || s.ended() == nil {
			s.dead = errClosed
		}
		return s.dead
	}
	return nil
}

// greeted notes what the server calls itself and the session.
func (s *controlConn) greeted(r wire.Reply) {
	text := strings.Join(r.Lines, " ")
	s.record(connlog.Record{Event: connlog.Greeted, From: s.local, To: s.peer, Software: wire.Escape(text), Peer: wire.ParseGreeting(text)})
}

// next reads the next reply. After errSilent the session can still be read.
func (s *controlConn) next(wait time.Duration) (wire.Reply, error) {
	if s.dead != nil {
		return wire.Reply{}, s.dead
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(wait))
	if s.halted.Load() {
		return wire.Reply{}, errHalted
	}
	chunk := make([]byte, 4096)
	for {
		if len(s.buf) > 0 {
			r, rest, err := wire.ParseReply(s.buf)
			switch {
			case err == nil:
				s.buf = append([]byte(nil), rest...)
				s.record(connlog.Record{Event: connlog.ReplySent, Reply: r.String()})
				if r.Code == 421 {
					s.dead, s.goodbye = errClosed, answer(r)
				}
				return r, nil
			case !errors.Is(err, wire.ErrIncomplete), len(s.buf) > maxReply:
				s.dead = errNotReply
				return wire.Reply{}, errNotReply
			}
		}
		n, err := s.conn.Read(chunk)
		s.buf = append(s.buf, chunk[:n]...)
		switch {
		case n > 0 || err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && s.halted.Load():
			return wire.Reply{}, errHalted
		case errors.Is(err, os.ErrDeadlineExceeded):
			return wire.Reply{}, errSilent
		case s.ended() != nil:
			s.dead = errEnded
			return wire.Reply{}, errEnded
		default:
			s.dead, s.alert = errClosed, tlsAlert(err)
			return wire.Reply{}, errClosed
		}
	}
}

// lose notes that the session ended before its time, and at what.
func (x *examination) lose(s *controlConn, err error) {
	if errors.Is(err, errEnded) {
		return // not the server's doing
	}
	x.e.Lost, x.e.LostText, x.e.LostAt = err, s.goodbye, s.last
	if s.alert != "" {
		x.e.TLSError = s.alert
	}
}

// greeting reads the greeting. A server that can't begin yet may say so with 120 (RFC 959 section 5.4), as often as it
// likes; when it says nothing else within wait, that is the greeting.
func (s *controlConn) greeting(wait time.Duration) (wire.Reply, error) {
	end := time.Now().Add(wait)
	var later wire.Reply
	for {
		left := time.Until(end)
		if left <= 0 && later.Code != 0 {
			return later, nil
		}
		r, err := s.next(left)
		switch {
		case err != nil && later.Code != 0:
			return later, nil
		case err != nil || r.Code != 120:
			return r, err
		}
		later = r
	}
}

// maxBegun is how many preliminary replies a server may give to one command: RFC 959 allows one.
const maxBegun = 100

// ask sends a command and reads its reply; a preliminary one is passed over.
func (s *controlConn) ask(line string) (Answer, error) {
	return s.askWithin(line, s.x.limits.Reply)
}

func (s *controlConn) askWithin(line string, wait time.Duration) (Answer, error) {
	if err := s.send(line); err != nil {
		return Answer{}, err
	}
	until := time.Now().Add(wait)
	for range maxBegun {
		r, err := s.next(time.Until(until))
		if err != nil {
			if errors.Is(err, errSilent) {
				s.dead = errSilent // the next reply would be taken for another command's
			}
			return Answer{}, err
		}
		if r.Class() != 1 {
			return answer(r), nil
		}
	}
	s.dead = errNotReply
	return Answer{}, s.dead
}

func answer(r wire.Reply) Answer {
	var lines []string
	for _, l := range r.Lines {
		if l = strings.TrimSpace(wire.Escape(l)); l != "" {
			lines = append(lines, l)
		}
	}
	return Answer{Code: r.Code, Text: connlog.Printable(strings.Join(lines, " / "))}
}

// features asks FEAT (RFC 2389).
func (s *controlConn) features() map[string]string {
	if err := s.send("FEAT"); err != nil {
		return nil
	}
	r, err := s.next(s.x.limits.Reply)
	if err != nil || r.Code != 211 {
		if errors.Is(err, errSilent) {
			s.dead = errSilent
		}
		return nil
	}
	out := map[string]string{}
	for i, l := range r.Lines {
		if i == 0 || i == len(r.Lines)-1 {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(wire.Escape(l)), " ")
		name = strings.ToUpper(name)
		if old := out[name]; old != "" {
			rest = old + ";" + rest
		}
		out[name] = rest
	}
	return out
}

// handshake puts TLS over the control connection. The certificate is judged afterwards.
func (s *controlConn) handshake(ctx context.Context, min uint16) (tls.ConnectionState, error) {
	name := strings.TrimSuffix(s.x.e.Target.Host, ".")
	name, _, _ = strings.Cut(name, "%")
	var wanted atomic.Bool // data connections share the configuration
	defer func() { s.x.e.CertWanted = wanted.Load() }()
	cfg := &tls.Config{
		// Set for addresses too: crypto/tls finds a session to resume by it, and data connections must resume.
		ServerName:         name,
		MinVersion:         min,
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
		InsecureSkipVerify: true, // judged by the caller
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			wanted.Store(true)
			return new(tls.Certificate), nil // there is none to show
		},
	}
	if min < tls.VersionTLS12 {
		for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			cfg.CipherSuites = append(cfg.CipherSuites, c.ID)
		}
	}
	conn := tls.Client(&replay{Conn: s.tcp, head: s.buf}, cfg)
	s.buf = nil
	hctx, cancel := context.WithTimeout(ctx, s.x.limits.Connect)
	defer cancel()
	if err := conn.HandshakeContext(hctx); err != nil {
		s.dead = errClosed
		return tls.ConnectionState{}, err
	}
	s.conn, s.tls = conn, cfg
	st := conn.ConnectionState()
	s.record(connlog.Record{Event: connlog.ControlTLS, Initiator: connlog.Client, From: s.local, To: s.peer,
		TLS: tls.VersionName(st.Version), Cipher: tls.CipherSuiteName(st.CipherSuite)})
	return st, nil
}

// replay gives what was received before the handshake back to it.
type replay struct {
	net.Conn
	head []byte
}

func (r *replay) Read(b []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(b, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	return r.Conn.Read(b)
}

// signIn says USER and PASS.
func (s *controlConn) signIn(user, password string) (userAnswer, passAnswer Answer, err error) {
	s.user = user
	userAnswer, err = s.ask("USER " + user)
	if err == nil && userAnswer.Code == 331 {
		passAnswer, err = s.askWithin("PASS "+password, s.x.limits.SignIn)
	}
	last := passAnswer
	if last.Code == 0 {
		last = userAnswer
	}
	switch {
	case err != nil:
	case last.Code/100 == 2:
		s.record(connlog.Record{Event: connlog.SignedIn, User: user, Initiator: connlog.Client, From: s.local, To: s.peer})
	default:
		s.record(connlog.Record{Event: connlog.SignInRefused, User: user, Reply: last.String(), Initiator: connlog.Client, From: s.local, To: s.peer})
	}
	return userAnswer, passAnswer, err
}

// offer asks for passive mode with EPSV or PASV.
func (s *controlConn) offer(command string) Offer {
	o := Offer{Command: command}
	if s.x.offers >= maxOffers {
		o.Answer.Text = "enough offers were asked for"
		return o
	}
	s.x.offers++
	a, err := s.ask(command)
	if errors.Is(err, errEnded) {
		return Offer{}
	}
	o.Answer = a
	if err != nil {
		o.Answer.Text, o.Unanswered = err.Error(), err
		return o
	}
	s.data++
	switch {
	case command == "EPSV" && a.Code == 229:
		o.Port, err = wire.Parse229(a.Text)
		o.Dialled = netip.AddrPortFrom(s.peer.Addr(), o.Port)
	case command == "PASV" && a.Code == 227:
		o.Advertised, err = wire.Parse227(a.Text)
		o.Port = o.Advertised.Port()
		o.Dialled = netip.AddrPortFrom(s.peer.Addr(), o.Port)
	default:
		err = errClosed
		s.record(connlog.Record{Event: connlog.PassiveRefused, Channel: connlog.Data, Conn: s.data, Mode: connlog.Passive, Command: command, Reply: a.String()})
	}
	if err != nil {
		o.Port, o.Dialled = 0, netip.AddrPort{}
		return o
	}
	r := connlog.Record{Event: connlog.PassiveOffered, Channel: connlog.Data, Conn: s.data, Mode: connlog.Passive, Initiator: connlog.Client,
		To: o.Dialled, Command: command}
	if o.Advertised.IsValid() && o.Advertised.Addr() != s.peer.Addr() {
		r.Advertised = o.Advertised
	}
	s.record(r)
	return o
}

// dialOffer dials the data connection of an offer.
func (s *controlConn) dialOffer(ctx context.Context, o *Offer, to netip.AddrPort, wait time.Duration, mss int) net.Conn {
	rec := connlog.Record{Channel: connlog.Data, Conn: s.data, Mode: connlog.Passive, Initiator: connlog.Client, To: to, Command: o.Command}
	rec.Event = connlog.DataDialing
	s.record(rec)
	dctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	start := s.x.now()
	conn, err := s.x.network.Dial(dctx, to, mss)
	o.Took, o.Dialled, o.Dial = s.x.now().Sub(start), to, dialOutcome(err)
	rec.Duration = o.Took
	if ctx.Err() != nil && o.Dial == Silence && o.Took < s.x.limits.DialNext {
		o.Dial = NotTried // too short to say anything
	}
	if err != nil {
		rec.Event, rec.Reason, rec.Err = connlog.DataFailed, o.Dial.reason(), fmt.Sprint(o.Dial)
		s.record(rec)
		return nil
	}
	rec.Event, rec.From = connlog.DataOpened, addrPort(conn.LocalAddr())
	s.record(rec)
	return conn
}
