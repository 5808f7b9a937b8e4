package localserver

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portside/connlog"
)

// Why a transfer was cut short.
var (
	errAborted   = errors.New("the client sent ABOR")
	errQuit      = errors.New("the client sent QUIT")
	errStalled   = errors.New("no byte moved for the stall time")
	errNotTaken  = errors.New("nobody opened the data connection in time")
	errExpired   = errors.New("the passive offer has expired")
	errNewer     = errors.New("a newer PASV, EPSV, PORT or EPRT replaced it")
	errTakenBack = errors.New("an address without a port needed it, and this client's had the most")
	errUnused    = errors.New("the transfer was refused before it was used")
	errSignOut   = errors.New("another sign-in began")
	errEnd       = errors.New("the session ended")
)

// dataConn is one data connection from its offer (PASV, EPSV) or request (PORT, EPRT) to its end. The two modes
// differ in how they get a connection, [dataConn.accept] and [dataConn.dial]; all else is the same for both.
//
// A passive offer has a goroutine that waits on its listener, so that a stranger is refused and the port is free
// again at the moment somebody comes, not when the client sends its RETR.
type dataConn struct {
	s         *session
	num       int // connlog.Record.Conn
	mode      connlog.Mode
	initiator connlog.Side
	command   string         // "EPSV", "PORT 127,0,0,1,200,10"
	told      netip.AddrPort // where the dialling side dials to

	ln    *net.TCPListener
	lease lease
	done  chan struct{} // closed when accept has ended: conn or err is set

	mu      sync.Mutex
	claimed bool // a transfer waits for it
	said    bool // a record says that nobody came
	gone    error
	conn    *net.TCPConn
	err     error
	begun   time.Time // when this side began to open it, or to wait for it
	opened  time.Time
	from    netip.AddrPort
	cmd     string // the transfer's command

	tlsText string
	note    string // goes into the record of a transfer that came whole
	bytes   atomic.Int64
	speed   speed
}

func (d *dataConn) record(r connlog.Record) {
	r.Channel, r.Conn, r.Mode, r.Initiator = connlog.Data, d.num, d.mode, d.initiator
	if !r.To.IsValid() {
		r.To = d.told
	}
	d.s.record(r)
}

// offerPassive opens a listener on the address that the client came to.
func (s *session) offerPassive(command string) (*dataConn, error) {
	owner := guardKey(s.peer.Addr())
	ln, l, err := s.srv.pool().listen(s.local.Addr(), owner)
	if err != nil {
		return nil, err
	}
	d := &dataConn{s: s, num: s.nextConn(), mode: connlog.Passive, initiator: connlog.Client, command: command,
		ln: ln, lease: l, done: make(chan struct{}), begun: time.Now()}
	ln.SetDeadline(time.Now().Add(s.srv.limits().OfferTimeout))
	d.told = netip.AddrPortFrom(s.local.Addr(), l.port)
	l.standing(owner, d.takeBack)
	return d, nil
}

// requestActive notes where the client waits. Nothing is dialled before the transfer.
func (s *session) requestActive(command string, to netip.AddrPort) *dataConn {
	return &dataConn{s: s, num: s.nextConn(), mode: connlog.Active, initiator: connlog.Server, command: command, told: to}
}

// accept waits for the client. It owns the listener and the lease's offered state.
func (d *dataConn) accept() {
	defer close(d.done)
	defer d.s.srv.contain(d.s)
	foreign := d.s.srv.Passive().AllowForeignAddress
	for {
		c, err := d.ln.AcceptTCP()
		if err != nil {
			d.ln.Close()
			d.lease.withdrawn()
			d.mu.Lock()
			defer d.mu.Unlock()
			d.err = cmp.Or(d.gone, err)
			switch expired := d.gone == nil && errors.Is(err, os.ErrDeadlineExceeded); {
			case expired && d.claimed:
				d.err = errNotTaken
			case expired:
				d.err, d.said = errExpired, true
				d.record(connlog.Record{Event: connlog.OfferExpired, Command: d.command})
			case errors.Is(d.gone, errTakenBack) && !d.claimed:
				d.said = true
				d.record(connlog.Record{Event: connlog.OfferExpired, Command: d.command, Reason: connlog.ReasonRangeFull, By: connlog.Server, Err: d.gone.Error()})
			}
			return
		}
		from := unmapped(c.RemoteAddr())
		if !foreign && !sameHost(from.Addr(), d.s.peer.Addr()) {
			d.record(connlog.Record{Event: connlog.StrangerRefused, From: from, To: unmapped(c.LocalAddr()), Command: d.command,
				Reason: connlog.ReasonPolicy})
			reset(c)
			continue
		}
		d.ln.Close()
		d.lease.taken()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.gone != nil {
			reset(c)
			d.lease.ended()
			d.err = d.gone
			return
		}
		d.stands(c, from, unmapped(c.LocalAddr()))
		return
	}
}

// stands notes that the connection is there. The caller holds mu.
func (d *dataConn) stands(c *net.TCPConn, from, to netip.AddrPort) {
	d.conn, d.from, d.opened = c, from, time.Now()
	d.record(connlog.Record{Event: connlog.DataOpened, From: from, To: to, Command: d.command})
}

// dial opens the connection to the client, from the address that the client knows us by.
func (d *dataConn) dial(ctx context.Context, l Limits) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.DialTimeout)
	defer cancel()
	local := d.s.local.Addr()
	from := netip.AddrPortFrom(local, 0)
	try := func(port uint16) (net.Conn, error) {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, port)), KeepAlive: 15 * time.Second}
		if port != 0 {
			dialer.Control = reuseAddress
		}
		return dialer.DialContext(ctx, tcpNetwork(local), d.told.String())
	}
	note := connlog.Record{Event: connlog.DataDialing, From: from, Command: d.command}
	var c net.Conn
	var err error
	d.begun = time.Now()
	if d.s.srv.config.Active.Port20 {
		note.From = netip.AddrPortFrom(local, 20)
		d.record(note)
		c, err = try(20)
		if err != nil && !cannotBind(err) {
			return nil, err
		}
		if err != nil {
			note.From, note.Err = from, "port 20 can't be used at our end: "+err.Error()
		}
	}
	if c == nil {
		d.record(note)
		if c, err = try(0); err != nil {
			return nil, err
		}
	}
	conn := c.(*net.TCPConn)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stands(conn, unmapped(conn.LocalAddr()), d.told)
	return conn, nil
}

func cannotBind(err error) bool {
	return addressInUse(err) || errors.Is(err, os.ErrPermission) || addressNotOurs(err)
}

// open returns the connection, waiting for it or dialling it. It fails at once when ctx ends.
func (d *dataConn) open(ctx context.Context, cmd string) (*net.TCPConn, error) {
	l := d.s.srv.limits()
	d.mu.Lock()
	d.claimed, d.cmd = true, cmd
	d.mu.Unlock()
	if d.mode == connlog.Active {
		c, err := d.dial(ctx, l)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return c, err
	}
	d.s.mu.Lock()
	if !d.s.quitting {
		d.awaitUntil(time.Now().Add(l.OfferTimeout))
	}
	d.s.mu.Unlock()
	select {
	case <-d.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	d.s.mu.Lock()
	quitting := d.s.quitting
	d.s.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if quitting && errors.Is(d.err, errNotTaken) {
		d.err = errQuit
	}
	return d.conn, d.err
}

// awaitUntil sets the deadline of a passive offer.
func (d *dataConn) awaitUntil(t time.Time) { d.ln.SetDeadline(t) }

// takeBack takes an offer back for another address. It returns when the listener is closed; a client that has come stays.
func (d *dataConn) takeBack() {
	d.mu.Lock()
	if d.conn == nil && d.gone == nil {
		d.gone = errTakenBack
	}
	d.mu.Unlock()
	d.ln.Close()
	<-d.done
}

// withdraw takes back an offer or request that no transfer has used, and waits until nothing of it is left.
func (d *dataConn) withdraw(why error) {
	d.mu.Lock()
	d.gone = cmp.Or(d.gone, why)
	d.mu.Unlock()
	if d.ln != nil {
		d.ln.Close()
		<-d.done
	}
	if d.said {
		return
	}
	d.close(why, true)
}

// close ends the data connection, frees its port and records how it ended. err is nil when the transfer is whole.
func (d *dataConn) close(err error, notTaken bool) {
	if d.ln != nil {
		d.mu.Lock()
		if d.gone == nil && err != nil {
			d.gone = err
		}
		d.mu.Unlock()
		d.ln.Close()
		<-d.done
	}
	r := connlog.Record{Event: connlog.DataClosed, Bytes: d.bytes.Load(), From: d.from, Command: cmp.Or(d.cmd, d.command), TLS: d.tlsText, Err: d.note}
	if d.conn != nil {
		if err != nil && !errors.Is(err, errAborted) {
			reset(d.conn)
		} else {
			d.conn.Close()
		}
		if d.ln != nil {
			d.lease.ended()
		}
		r.Duration = time.Since(d.opened)
	} else if !d.begun.IsZero() {
		r.Duration = time.Since(d.begun)
	}
	if err != nil {
		r.Event = connlog.DataFailed
		r.Reason, r.By = classify(err)
		r.Err = why(err)
		if notTaken {
			r.Reason = connlog.ReasonNotTaken
		}
	}
	d.record(r)
}

// why is what the system said of a connection or a file, without the calls, addresses and paths around it: the record has
// those itself, and an upload's temporary name says nothing to anybody.
func why(err error) string {
	var system syscall.Errno
	if errors.As(err, &system) {
		return system.Error()
	}
	return err.Error()
}

// classify finds the reason for the record, and which side caused it ("" when that can't be said).
func classify(err error) (connlog.Reason, connlog.Side) {
	var local *localError
	switch {
	case errors.As(err, &local):
		return connlog.ReasonLocal, connlog.Server
	case errors.Is(err, errAborted), errors.Is(err, errQuit):
		return connlog.ReasonCancelled, connlog.Client
	case errors.Is(err, errLost):
		return connlog.ReasonLost, connlog.Client
	case errors.Is(err, errKicked):
		return connlog.ReasonKicked, connlog.Server
	case errors.Is(err, errStopping):
		return connlog.ReasonStopping, connlog.Server
	case errors.Is(err, errStalled):
		return connlog.ReasonStalled, connlog.Server
	case errors.Is(err, errTLSPolicy), errors.Is(err, errNotResumed):
		return connlog.ReasonPolicy, connlog.Server
	case errors.Is(err, errTakenBack):
		return connlog.ReasonRangeFull, connlog.Server
	case errors.Is(err, errHandshake):
		return connlog.ReasonTLS, ""
	case errors.Is(err, errNewer), errors.Is(err, errUnused), errors.Is(err, errSignOut), errors.Is(err, errEnd):
		return connlog.ReasonNotTaken, ""
	case is(err, refusedErrors):
		return connlog.ReasonRefused, connlog.Client
	case is(err, unreachableErrors):
		return connlog.ReasonUnreachable, ""
	case is(err, resetErrors):
		return connlog.ReasonReset, connlog.Client
	case errors.Is(err, errNotTaken), errors.Is(err, errExpired), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, context.DeadlineExceeded), is(err, timeoutErrors):
		return connlog.ReasonTimeout, ""
	}
	return connlog.ReasonReset, ""
}

func is(err error, any []error) bool {
	return slices.ContainsFunc(any, func(one error) bool { return errors.Is(err, one) })
}

// localError is a failure on this computer while data moved: its disk, its rights.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

var (
	errTLSPolicy  = errors.New("clear data connections are not allowed in this session")
	errNotResumed = errors.New("the data connection did not resume the control connection's TLS session")
	errHandshake  = errors.New("TLS handshake on the data connection")
)

// progressEvery is how often a transfer writes a progress record.
const progressEvery = 250 * time.Millisecond

// pipe is an open data connection as a transfer uses it: it moves bytes, counts them, and breaks off when nothing
// moves.
type pipe struct {
	d     *dataConn
	tcp   *net.TCPConn
	stall time.Duration
	tls   *tls.Conn // nil in clear
	wire  *bufferedConn

	clock     func() time.Time // for deadlines; nil: time.Now
	unhook    func() bool      // takes the end of the transfer's context off
	lastTick  time.Time
	lastBytes int64
}

func (d *dataConn) pipe(tcp *net.TCPConn, l Limits) *pipe {
	return &pipe{d: d, tcp: tcp, stall: l.StallTimeout, lastTick: time.Now()}
}

// handshake puts TLS on the connection. It comes after the 150 reply: clients wait for that first.
//
// The session ticket of TLS 1.3 comes behind the handshake. A client that uploads has no need to read, and one that closes
// with the ticket unread resets the connection: what is still in its send buffer is lost. So an upload's ticket goes out
// with our close_notify. (ProFTPD and Pure-FTPd send none there; with vsftpd such uploads break.)
func (p *pipe) handshake(ctx context.Context, config *tls.Config, resume ResumePolicy, dir Direction) error {
	p.wire = newBufferedConn(&stallConn{p.tcp, p.stall})
	if dir == Receiving {
		config = config.Clone()
		config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			p.wire.hold = cs.Version >= tls.VersionTLS13
			return config.EncryptTicket(cs, ss)
		}
	}
	p.tls = tls.Server(p.wire, config)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.tls.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	state := p.tls.ConnectionState()
	p.d.tlsText = tls.VersionName(state.Version)
	p.d.record(connlog.Record{Event: connlog.DataTLS, From: p.d.from, TLS: p.d.tlsText,
		Cipher: tls.CipherSuiteName(state.CipherSuite), Resumed: state.DidResume})
	if resume == ResumeRequire && !state.DidResume {
		return errNotResumed
	}
	p.wire.bulk = true
	return nil
}

// release gives the pipe's buffers back.
func (p *pipe) release() {
	if p.wire != nil {
		p.wire.release()
	}
}

func (p *pipe) now() time.Time {
	if p.clock != nil {
		return p.clock()
	}
	return time.Now()
}

func (p *pipe) moved(n int64) {
	total := p.d.bytes.Add(n)
	p.d.s.moved.Add(n)
	if now := time.Now(); now.Sub(p.lastTick) >= progressEvery {
		p.d.speed.count(total-p.lastBytes, now.Sub(p.lastTick), now)
		p.lastTick, p.lastBytes = now, total
		p.d.record(connlog.Record{Event: connlog.DataProgress, From: p.d.from, Bytes: total, Command: p.d.cmd})
	}
}

// Write sends one piece of a listing or of converted text.
func (p *pipe) Write(b []byte) (n int, err error) {
	if p.tls != nil {
		if n, err = p.tls.Write(b); err == nil {
			err = p.wire.Flush()
		}
	} else {
		n, err = (&stallConn{p.tcp, p.stall}).Write(b)
	}
	p.moved(int64(n))
	return n, err
}

// Read receives one piece of an upload.
func (p *pipe) Read(b []byte) (n int, err error) {
	if p.tls != nil {
		n, err = p.tls.Read(b)
	} else {
		n, err = (&stallConn{p.tcp, p.stall}).Read(b)
	}
	p.moved(int64(n))
	if err == io.EOF && p.tls != nil && p.wire.ended {
		// The client closed without close_notify, as many do: what came is taken, and noted (RFC 4217 section 12.3).
		p.d.note = "the client ended the upload without TLS close_notify"
	}
	return n, err
}

// chunk is how many bytes the kernel copies between two looks at the clock when data flows, and tick how long it may
// take when it does not.
const (
	chunk = 8 << 20
	tick  = 500 * time.Millisecond
)

// A client that took fastAfter bytes within fastAfterTime, over loopback or a network of 5 Gbit/s and more, gets a send
// buffer of largeSendBuffer for the rest.
const (
	fastAfter       = 64 << 20
	fastAfterTime   = 100 * time.Millisecond
	largeSendBuffer = 4 << 20
)

// send copies a file to the client: in clear by the kernel (sendfile), in TLS through a large buffer.
func (p *pipe) send(f *os.File) error {
	if p.tls != nil || !kernelCopy {
		return p.copyTo(f)
	}
	begin := time.Now()
	last, large := begin, false
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return &localError{err}
	}
	for {
		if sent := p.d.bytes.Load(); !large && sent >= fastAfter {
			// Each time the buffer runs empty costs a switch of goroutines. Slow clients must not get it: what lies in
			// the buffer counts as sent.
			large = true
			if sent/fastAfter*int64(fastAfterTime) >= int64(last.Sub(begin)) && sendBufferMax() >= largeSendBuffer {
				p.tcp.SetWriteBuffer(largeSendBuffer)
			}
		}
		p.tcp.SetWriteDeadline(p.now().Add(min(tick, p.stall)))
		n, err := p.tcp.ReadFrom(&io.LimitedReader{R: f, N: chunk})
		p.moved(n)
		at += n
		if err != nil {
			// Where the deadline is over before it begins, on a busy computer, Go reads the file into a buffer that never
			// goes out. What did not go out is read again.
			if _, seeking := f.Seek(at, io.SeekStart); seeking != nil {
				return &localError{seeking}
			}
		}
		switch now := time.Now(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if n > 0 {
				last = now
			} else if now.Sub(last) >= p.stall {
				return errStalled
			}
		case err != nil:
			return sideOf(err)
		case n == 0:
			return nil
		default:
			last = now
		}
	}
}

// copyTo sends through a buffer.
func (p *pipe) copyTo(r io.Reader) error {
	buf := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buf)
	for {
		n, err := io.ReadFull(r, buf[:])
		if n > 0 {
			if _, err := p.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return &localError{err}
		}
	}
}

// receive copies what the client sends to a file.
func (p *pipe) receive(f io.Writer) error {
	buf := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buf)
	for {
		n, err := 0, error(nil)
		for n < len(buf) && err == nil {
			var m int
			m, err = p.Read(buf[n:])
			n += m
		}
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return &localError{err}
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// sideOf tells an error of the file from one of the connection: a *net.OpError wraps both when the kernel copies.
func sideOf(err error) error {
	var file *os.PathError
	if errors.As(err, &file) {
		return &localError{err}
	}
	return err
}

// finish says that nothing more comes from our side: close_notify in TLS, then FIN.
func (p *pipe) finish() error {
	if p.tls != nil {
		if err := p.wire.Flush(); err != nil {
			return err
		}
		p.wire.bulk = false
		if err := p.tls.CloseWrite(); err != nil {
			return err
		}
	}
	return p.tcp.CloseWrite()
}

const largeBuffer = 256 << 10

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// stallConn is a TCP connection whose reads and writes break off with errStalled when no byte moves for stall.
type stallConn struct {
	*net.TCPConn
	stall time.Duration
}

func (c *stallConn) Read(b []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.stall))
	n, err := c.TCPConn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errStalled
	}
	return n, err
}

func (c *stallConn) Write(b []byte) (written int, err error) {
	for {
		c.SetWriteDeadline(time.Now().Add(c.stall))
		n, err := c.TCPConn.Write(b[written:])
		written += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if n > 0 {
				continue // slow, but it moves
			}
			err = errStalled
		}
		return written, err
	}
}

// bufferedConn stands between TLS and TCP: crypto/tls writes and reads each record of 16 KiB with a system call of
// its own; this makes it one for many. During the handshake it passes everything through.
type bufferedConn struct {
	*stallConn
	bulk  bool
	ended bool   // TCP's end came; TLS asks for no more bytes after close_notify
	hold  bool   // the last record of the next write waits for the one after it
	held  []byte // such a record
	out   *[largeBuffer]byte
	n     int
	in    *bufio.Reader
}

var inBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 128<<10) }}

func newBufferedConn(c *stallConn) *bufferedConn {
	in := inBuffers.Get().(*bufio.Reader)
	in.Reset(c)
	return &bufferedConn{stallConn: c, in: in}
}

func (c *bufferedConn) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.ended = c.ended || err == io.EOF
	return n, err
}

func (c *bufferedConn) Write(b []byte) (int, error) {
	if c.hold {
		c.hold = false
		last := lastRecord(b)
		c.held = bytes.Clone(b[last:])
		if n, err := c.stallConn.Write(b[:last]); err != nil {
			return n, err
		}
		return len(b), nil
	}
	if c.held != nil {
		all := append(c.held, b...)
		c.held = nil
		if _, err := c.Write(all); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	if !c.bulk {
		return c.stallConn.Write(b)
	}
	if c.out == nil {
		c.out = largeBuffers.Get().(*[largeBuffer]byte)
	}
	if c.n+len(b) > len(c.out) {
		if err := c.Flush(); err != nil {
			return 0, err
		}
	}
	if len(b) > len(c.out) {
		return c.stallConn.Write(b)
	}
	c.n += copy(c.out[c.n:], b)
	return len(b), nil
}

// lastRecord returns where the last of whole TLS records begins (RFC 8446 section 5.1).
func lastRecord(b []byte) int {
	const header = 5
	for at := 0; ; {
		if len(b)-at < header {
			return at
		}
		next := at + header + int(binary.BigEndian.Uint16(b[at+3:]))
		if next >= len(b) {
			return at
		}
		at = next
	}
}

// Flush sends what Write has collected.
func (c *bufferedConn) Flush() error {
	if c.n == 0 {
		return nil
	}
	n := c.n
	c.n = 0
	_, err := c.stallConn.Write(c.out[:n])
	return err
}

func (c *bufferedConn) release() {
	c.in.Reset(nil)
	inBuffers.Put(c.in)
	if c.out != nil {
		largeBuffers.Put(c.out)
		c.out = nil
	}
}

// reset closes a connection so that its other end sees that it was cut: a plain end would pass for the end of the
// file. What waits to be sent is thrown away.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// unmapped returns the address of one end with IPv4 written as IPv4.
func unmapped(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func sameHost(a, b netip.Addr) bool { return a.Unmap().WithZone("") == b.Unmap().WithZone("") }
