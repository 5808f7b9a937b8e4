package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"portside/connlog"
	"portside/wire"
)

// dataConn is one data connection: dialled in passive mode, accepted in active mode, protected by TLS when the session
// is. It counts, keeps the stall deadline, and lets the kernel copy where nothing must look at the bytes.
//
// The library holds it as its net.Conn; the session works with it directly.
type dataConn struct {
	s        *Session
	n        int // Record.Conn
	mode     Mode
	initial  connlog.Side
	accept   time.Duration
	opened   chan struct{} // closed when tcp or openErr is set
	openErr  error
	tcp      *net.TCPConn
	link     *link // between tcp and tls
	tls      *tls.Conn
	from, to netip.AddrPort
	start    time.Time
	took     time.Duration // to dial
	ahead    bool          // an upload that does not wait for the server's consent
	unsent   error         // why not all of that went out

	moved    atomic.Int64
	reported time.Time
	stirred  time.Time // when a byte last moved

	mu      sync.Mutex
	ln      *net.TCPListener
	command string
	stopped error // why the transfer must end
	final   bool  // the server has given its last reply to the transfer
	drains  bool  // an upload is out, and only the server's end of the stream is awaited
	ended   bool
}

// offer negotiates a data connection in the given mode. In passive mode it stands when offer returns; in active mode
// the server is told where to connect, and the wait for it goes on behind the transfer command.
func (s *Session) offer(ctx context.Context, mode Mode, quick bool) (*dataConn, error) {
	if d, err := s.adopt(ctx, mode); d != nil || err != nil {
		return d, err
	}
	d := s.newData(mode)
	if mode == ModeActive {
		d.accept = s.o.Timeouts.Accept
		if quick {
			d.accept = min(d.accept, s.o.Timeouts.AcceptQuick)
		}
		return d, d.request(ctx)
	}
	to, err := d.passive(ctx)
	if err != nil {
		return nil, err
	}
	return d, d.dial(ctx, to, s.dialLimit(quick))
}

// dialLimit is how long a passive data connection may take; quick: the other mode may still be tried.
func (s *Session) dialLimit(quick bool) time.Duration {
	if quick {
		return min(s.o.Timeouts.DataDial, s.o.Timeouts.DataDialQuick)
	}
	return s.o.Timeouts.DataDial
}

func (s *Session) newData(mode Mode) *dataConn {
	s.conns++
	d := &dataConn{s: s, n: s.conns, mode: mode, opened: make(chan struct{}), initial: connlog.Client}
	if mode == ModeActive {
		d.initial = connlog.Server
	}
	return d
}

// renumber makes d another data connection in the log, when a second command asks for it: the refused one is a channel
// that never came about, and the server counts it as one, too.
func (d *dataConn) renumber() {
	d.s.conns++
	d.n = d.s.conns
}

// record writes a record of this data connection.
func (d *dataConn) record(r connlog.Record) {
	r.Channel, r.Conn, r.Mode, r.Initiator = connlog.Data, d.n, connlog.Mode(d.mode), d.initial
	if !r.From.IsValid() {
		r.From = d.from
	}
	if !r.To.IsValid() {
		r.To = d.to
	}
	d.s.record(r)
}

// refusal makes the error of a refused PASV, EPSV, PORT or EPRT.
func (d *dataConn) refusal(command string, r reply) error {
	return &dataError{mode: d.mode, reason: connlog.ReasonRejected, refusal: true, reply: r,
		err: fmt.Errorf("the server refused %s", command)}
}

// passive asks the server where it waits: EPSV, and PASV when that is refused and the session runs over IPv4
// (RFC 2428 section 3).
func (d *dataConn) passive(ctx context.Context) (netip.AddrPort, error) {
	s := d.s
	v4 := s.peer.Addr().Is4()
	if !v4 || !s.noEPSV {
		r, err := s.ctl.command(ctx, "EPSV")
		if err != nil {
			return netip.AddrPort{}, err
		}
		if to, ok := d.offered("EPSV", r); ok {
			return to, nil
		}
		if !v4 || r.code >= 400 && r.code < 500 {
			return netip.AddrPort{}, d.refusal("EPSV", r)
		}
		s.noEPSV = true
		d.renumber()
	}
	r, err := s.ctl.command(ctx, "PASV")
	if err != nil {
		return netip.AddrPort{}, err
	}
	to, ok := d.offered("PASV", r)
	if !ok {
		return netip.AddrPort{}, d.refusal("PASV", r)
	}
	return to, nil
}

// offered reads and records the answer to EPSV or PASV; false: it offers nothing.
func (d *dataConn) offered(command string, r reply) (netip.AddrPort, bool) {
	s := d.s
	rec := connlog.Record{Event: connlog.PassiveOffered, Command: command, Reply: r.String()}
	switch {
	case command == "EPSV" && r.code == 229:
		if port, err := wire.Parse229(r.text()); err == nil {
			rec.To = netip.AddrPortFrom(s.peer.Addr(), port)
		}
	case command == "PASV" && r.code == 227:
		named, err := wire.Parse227(r.text())
		if err != nil || named.Port() == 0 {
			break
		}
		rec.To = netip.AddrPortFrom(s.peer.Addr(), named.Port())
		switch {
		case named == rec.To:
		case s.o.TrustPASV && !named.Addr().IsUnspecified():
			rec.To = named
		default:
			rec.Advertised = named
		}
	}
	if !rec.To.IsValid() {
		rec.Event, rec.Reason = connlog.PassiveRefused, connlog.ReasonRejected
	}
	d.record(rec)
	return rec.To, rec.To.IsValid()
}

// dial opens a passive data connection, and records it when that fails.
func (d *dataConn) dial(ctx context.Context, to netip.AddrPort, limit time.Duration) error {
	d.connect(ctx, to, limit)
	return d.dialled()
}

// dialled is how connect ended; a failure is recorded.
func (d *dataConn) dialled() error {
	if d.openErr != nil {
		d.end(d.openErr, d.took)
	}
	return d.openErr
}

// connect opens a passive data connection, from the address that the control connection uses: servers compare them.
func (d *dataConn) connect(ctx context.Context, to netip.AddrPort, limit time.Duration) {
	defer close(d.opened)
	d.to = to
	d.record(connlog.Record{Event: connlog.DataDialing})
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dialer := net.Dialer{Control: bindLate, KeepAlive: -1} // the stall limit does more, and many small files pay for each option
	if to.Addr().Is4() == d.s.local.Addr().Is4() && (!to.Addr().IsLoopback() || d.s.local.Addr().IsLoopback()) {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.s.local.Addr(), 0))
	}
	defer context.AfterFunc(d.s.ctl.life, cancel)() // a control connection that ends makes the wait pointless
	began := time.Now()
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	d.took = time.Since(began)
	if err != nil {
		if lost := d.s.ctl.failure(); lost != nil {
			err = lost
		}
		reason := ReasonOf(err)
		e := &dataError{mode: d.mode, reason: reason, err: err}
		if reason == connlog.ReasonTimeout {
			e.err = fmt.Errorf("no answer from %v within %v", to, limit)
		}
		d.openErr = e
		return
	}
	d.stand(conn.(*net.TCPConn))
}

// stand is called when the TCP connection is there.
func (d *dataConn) stand(conn *net.TCPConn) {
	here, there := addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	d.mu.Lock()
	d.tcp, d.start = conn, time.Now()
	d.from, d.to = here, there
	if d.initial == connlog.Server {
		d.from, d.to = there, here
	}
	d.stirred, d.reported = d.start, d.start
	if d.stopped != nil {
		_ = conn.SetDeadline(past)
	}
	d.mu.Unlock()
	d.record(connlog.Record{Event: connlog.DataOpened})
}

// request opens a listener and tells the server to connect to it: EPRT, and PORT when that is refused and the session
// runs over IPv4.
func (d *dataConn) request(ctx context.Context) error {
	s := d.s
	commands, ln, err := d.listener(ctx)
	if err != nil {
		d.end(err, 0)
		return err
	}
	for i, line := range commands {
		d.record(connlog.Record{Event: connlog.ActiveRequested, Command: line})
		r, err := s.ctl.command(ctx, line)
		if err != nil {
			_ = ln.Close()
			return err
		}
		if r.code >= 200 && r.code < 300 {
			d.serve(ln, d.accept+s.o.Timeouts.Reply)
			return nil
		}
		d.record(connlog.Record{Event: connlog.ActiveRefused, Command: line, Reply: r.String(), Reason: connlog.ReasonRejected})
		if i == len(commands)-1 || r.code < 500 {
			_ = ln.Close()
			return d.refusal(verbOf(line), r)
		}
		s.noEPRT = true
		d.renumber()
	}
	return nil
}

// listener opens a listener, and says which commands tell the server of it, the best first.
func (d *dataConn) listener(ctx context.Context) (commands []string, ln *net.TCPListener, err error) {
	s := d.s
	if ln, err = listen(ctx, s.local.Addr(), s.o.ActivePorts); err != nil {
		return nil, nil, &dataError{mode: d.mode, reason: connlog.ReasonLocal, err: fmt.Errorf("no port to wait on: %w", err)}
	}
	announced := addrPort(ln.Addr())
	if s.o.ActiveAddress.IsValid() {
		announced = netip.AddrPortFrom(s.o.ActiveAddress.Unmap(), announced.Port())
	}
	d.to = announced
	commands = []string{"EPRT " + wire.FormatEPRT(announced)}
	if announced.Addr().Is4() {
		commands = append(commands, "PORT "+wire.FormatPort(announced))
		if s.noEPRT {
			commands = commands[1:]
		}
	}
	return commands, ln, nil
}

// serve begins to wait for the server.
func (d *dataConn) serve(ln *net.TCPListener, limit time.Duration) {
	d.ln = ln
	_ = ln.SetDeadline(time.Now().Add(limit))
	go d.wait(ln)
}

// listen finds a free port of the range on the address of the control connection.
func listen(ctx context.Context, a netip.Addr, ports PortRange) (*net.TCPListener, error) {
	lc := net.ListenConfig{KeepAlive: -1} // as for a dialled one
	first, last := int(ports.Min), int(ports.Max)
	var err error
	for port := first; port <= max(first, last); port++ {
		var ln net.Listener
		if ln, err = lc.Listen(ctx, "tcp", netip.AddrPortFrom(a, uint16(port)).String()); err == nil {
			return ln.(*net.TCPListener), nil
		}
		if !addressInUse(err) {
			break
		}
	}
	return nil, err
}

// wait accepts the server's connection. Anybody else is closed and recorded, and the wait goes on (RFC 2577 section 4).
func (d *dataConn) wait(ln *net.TCPListener) {
	defer close(d.opened)
	defer ln.Close()
	for {
		conn, err := ln.AcceptTCP()
		if err != nil {
			if d.openErr = d.cause(); d.openErr == nil {
				e := &dataError{mode: d.mode, reason: ReasonOf(err), err: err}
				if e.reason == connlog.ReasonTimeout {
					e.err = fmt.Errorf("the server did not connect to %v within %v", d.to, d.accept)
				}
				d.openErr = e
			}
			return
		}
		from := addrPort(conn.RemoteAddr())
		if from.Addr().WithZone("") != d.s.peer.Addr().WithZone("") {
			d.record(connlog.Record{Event: connlog.StrangerRefused, From: from, Reason: connlog.ReasonPolicy})
			_ = conn.SetLinger(0)
			_ = conn.Close()
			continue
		}
		d.stand(conn)
		return
	}
}

// unopened is why the connection never came about; nil while it may still come.
func (d *dataConn) unopened() error {
	select {
	case <-d.opened:
		return d.openErr
	default:
		return nil
	}
}

// begin is called when the transfer command goes out: from now on the server is expected.
func (d *dataConn) begin(command string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.command = command
	d.stirred = time.Now()
	if d.ln != nil && d.stopped == nil {
		_ = d.ln.SetDeadline(time.Now().Add(d.accept))
	}
}

var past = time.Unix(1, 0)

// stop ends every wait of this data connection with err. Only the first reason counts.
func (d *dataConn) stop(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halt(err)
}

func (d *dataConn) halt(err error) {
	if d.stopped != nil {
		return
	}
	d.stopped = err
	if d.ln != nil {
		_ = d.ln.SetDeadline(past)
	}
	if d.tcp != nil {
		_ = d.tcp.SetDeadline(past)
	}
}

// answered is called when the final reply to the transfer came: a refusal ends every wait.
func (d *dataConn) answered(r reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.final = true
	if d.drains {
		_ = d.tcp.SetDeadline(past)
	}
	if r.code >= 400 {
		d.halt(&dataError{mode: d.mode, reason: connlog.ReasonRejected, reply: r, opened: d.tcp != nil,
			err: errors.New("the server ended it")})
	}
}

// done says that the server has given its last word to the transfer, so that what is left of it comes without more words.
func (d *dataConn) done() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.final
}

func (d *dataConn) cause() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopped
}

// arm gives the next read or write until limit from now, unless the transfer was stopped.
func (d *dataConn) arm(limit time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped != nil {
		return d.stopped
	}
	return d.tcp.SetDeadline(time.Now().Add(limit))
}

// ready waits until the connection stands and is protected as the session is. TLS begins after the 150 reply: servers
// were seen to hang when it begins earlier.
func (d *dataConn) ready(ctx context.Context) error {
	select {
	case <-d.opened:
	case <-ctx.Done():
		d.stop(context.Cause(ctx))
		<-d.opened
	}
	if d.openErr != nil {
		return d.openErr
	}
	if d.s.tlsConfig == nil || d.tls != nil {
		return d.cause()
	}
	if err := d.arm(d.s.o.Timeouts.DataDial); err != nil {
		return err
	}
	d.link = &link{TCPConn: d.tcp}
	conn := tls.Client(d.link, d.s.tlsConfig)
	stop := context.AfterFunc(ctx, func() { d.stop(context.Cause(ctx)) })
	err := conn.Handshake()
	stop()
	if err == nil {
		err = d.s.sameServer(conn.ConnectionState())
	}
	if err != nil {
		if stopped := d.cause(); stopped != nil {
			return stopped
		}
		return &dataError{mode: d.mode, reason: connlog.ReasonTLS, opened: true, err: fmt.Errorf("TLS handshake: %w", err)}
	}
	d.tls = conn
	st := conn.ConnectionState()
	d.record(connlog.Record{Event: connlog.DataTLS, TLS: tls.VersionName(st.Version),
		Cipher: tls.CipherSuiteName(st.CipherSuite), Resumed: st.DidResume})
	return nil
}

// tick is how long a copy runs before it looks at progress; bulk is how much it moves at once in the kernel, and
// userBuffer what goes through this program.
const (
	tick       = 250 * time.Millisecond
	bulk       = 64 << 20
	userBuffer = 256 << 10
)

var buffers = sync.Pool{New: func() any { return new([userBuffer]byte) }}

// localError marks an error of the file on this side, as opposed to the network.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// byKernel copies from r to w, one of which is a file and the other the TCP connection.
func (d *dataConn) byKernel(w io.ReaderFrom, r io.Reader, f *os.File) error {
	return d.repeat(func() (int64, error) {
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return 0, &localError{err}
		}
		n, err := w.ReadFrom(&io.LimitedReader{R: r, N: bulk})
		switch {
		case err == nil && n < bulk:
			return n, io.EOF
		case err == nil:
		case ReasonOf(err) == connlog.ReasonLocal:
			return n, &localError{err}
		default:
			// Where the file system knows no such copy, Go reads ahead; what did not go out is read again.
			if _, err := f.Seek(at+n, io.SeekStart); err != nil {
				return n, &localError{err}
			}
		}
		return n, err
	})
}

// download copies to w until the server ends the connection.
func (d *dataConn) download(w io.Writer) error {
	if f, ok := w.(*os.File); ok && d.kernelCopies(f) {
		return d.byKernel(f, d.tcp, f)
	}
	buf := buffers.Get().(*[userBuffer]byte)
	defer buffers.Put(buf)
	conn := d.conn()
	return d.repeat(func() (int64, error) {
		n, err := 0, error(nil)
		for n < len(buf) && err == nil {
			var m int
			m, err = conn.Read(buf[n:])
			n += m
			if d.tls == nil || d.link.drained() {
				break
			}
		}
		if n > 0 {
			if written, werr := w.Write(buf[:n]); werr != nil {
				return int64(written), &localError{werr}
			}
		}
		return int64(n), err
	})
}

// upload copies r to the server.
func (d *dataConn) upload(r io.Reader) error {
	if f, ok := r.(*os.File); ok && d.kernelCopies(f) {
		return d.byKernel(d.tcp, f, f)
	}
	buf := buffers.Get().(*[userBuffer]byte)
	defer buffers.Put(buf)
	if d.link != nil {
		d.link.hold = true
	}
	var left []byte // read from r, and not yet on its way
	var rerr error
	return d.repeat(func() (int64, error) {
		if len(left) == 0 && !d.link.holds() {
			if rerr != nil {
				return 0, rerr
			}
			var n int
			n, rerr = r.Read(buf[:])
			d.stirred = time.Now() // a slow source is no stalled connection
			if rerr != nil && rerr != io.EOF {
				rerr = &localError{rerr}
			}
			if left = buf[:n]; n == 0 {
				return 0, rerr
			}
		}
		if d.tls == nil {
			n, err := d.tcp.Write(left)
			left = left[n:]
			return int64(n), err
		}
		if len(left) > 0 {
			if _, err := d.tls.Write(left); err != nil {
				return 0, err
			}
		}
		payload := len(left)
		left = nil
		n, err := d.link.flush()
		if n > 0 {
			d.stirred = time.Now()
		}
		return int64(payload), err
	})
}

// kernelCopies says whether nothing must look at the bytes. Only on Linux does a copy by the kernel that met a deadline
// say exactly how far it came.
func (d *dataConn) kernelCopies(f *os.File) bool {
	if d.tls != nil || runtime.GOOS != "linux" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode().IsRegular()
}

// repeat runs step, a copy of at most a tick, until it returns io.EOF. It counts, reports, and ends what stalls.
func (d *dataConn) repeat(step func() (int64, error)) error {
	for {
		if err := d.arm(tick); err != nil {
			return err
		}
		n, err := step()
		now := time.Now()
		if n > 0 {
			d.stirred = now
			moved := d.moved.Add(n)
			if now.Sub(d.reported) >= tick {
				d.reported = now
				d.record(connlog.Record{Event: connlog.DataProgress, Bytes: moved, Duration: now.Sub(d.start), Command: d.command})
			}
		}
		if err == nil {
			continue
		}
		if err == io.EOF {
			return nil
		}
		var local *localError
		if errors.As(err, &local) {
			return err
		}
		if stopped := d.cause(); stopped != nil {
			return stopped
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if now.Sub(d.stirred) < d.s.o.Timeouts.Stall {
				continue
			}
			return &dataError{mode: d.mode, reason: connlog.ReasonStalled, opened: true,
				err: fmt.Errorf("no byte moved for %v, %d were moved before", d.s.o.Timeouts.Stall, d.moved.Load())}
		}
		reason := ReasonOf(err)
		if reason == connlog.ReasonLocal {
			reason = connlog.ReasonReset
		}
		return &dataError{mode: d.mode, reason: reason, opened: true, err: err}
	}
}

// conn is where the payload goes.
func (d *dataConn) conn() net.Conn {
	if d.tls != nil {
		return d.tls
	}
	return d.tcp
}

// ReadFrom is what the library's STOR and APPE call through io.Copy: all of an upload, with the end of the stream.
func (d *dataConn) ReadFrom(r io.Reader) (int64, error) {
	err := d.ready(d.s.ctl.op)
	if err == nil {
		op := d.s.ctl.op // the next operation's context is another
		stop := context.AfterFunc(op, func() { d.stop(context.Cause(op)) })
		if src, ok := r.(source); ok {
			r = src.Reader // as the caller gave it
		}
		err = d.upload(r)
		stop()
	}
	if err == nil && d.tls != nil {
		err = d.finishTLS()
	}
	if e, ok := asType[*dataError](err); ok && d.ahead && d.cause() == nil && e.reason != connlog.ReasonStalled {
		// A server that refuses resets the connection: its word, which is on the way, says why.
		d.unsent = err
		_ = d.tcp.SetLinger(0)
		return d.moved.Load(), nil
	}
	if err != nil {
		d.stop(err)
	}
	return d.moved.Load(), err
}

// source hides what else a reader can do from io.Copy, so that it calls [dataConn.ReadFrom].
type source struct{ io.Reader }

// finishTLS sends close_notify and the end of the stream, then reads to the server's end: session tickets that lie
// unread would make the kernel reset the connection, and the server lose the file's end.
func (d *dataConn) finishTLS() error {
	if err := d.arm(d.s.o.Timeouts.Stall); err != nil {
		return err
	}
	err := d.tls.CloseWrite()
	if err == nil {
		_, err = d.link.flush()
	}
	if err == nil {
		err = d.tcp.CloseWrite()
	}
	if err != nil {
		return &dataError{mode: d.mode, reason: ReasonOf(err), opened: true, err: err}
	}
	if d.arm(afterwards) != nil {
		return nil
	}
	d.mu.Lock()
	d.drains = !d.final
	waits := d.drains
	d.mu.Unlock()
	if waits {
		_, _ = io.Copy(io.Discard, io.LimitReader(d.tls, 64<<10))
	}
	return nil
}

// Close ends the connection: as a whole file's end, or by a reset when the transfer was stopped, so that the server
// never takes a part for the whole.
func (d *dataConn) Close() error {
	d.mu.Lock()
	if d.ln != nil && d.tcp == nil && d.stopped == nil {
		d.halt(errUnused)
	}
	d.mu.Unlock()
	<-d.opened
	if d.tcp == nil {
		return nil
	}
	if d.cause() != nil {
		_ = d.tcp.SetLinger(0)
		_ = d.tcp.Close()
		return nil
	}
	if d.tls != nil {
		_ = d.tls.Close()
	}
	_ = d.tcp.Close()
	return nil
}

// errUnused: the library closed the connection before anybody came.
var errUnused = errors.New("not used")

// end records how it ended; only the first call counts.
func (d *dataConn) end(err error, took time.Duration) {
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return
	}
	d.ended = true
	d.mu.Unlock()
	if !d.start.IsZero() {
		took = time.Since(d.start)
	}
	r := connlog.Record{Event: connlog.DataClosed, Bytes: d.moved.Load(), Duration: took, Command: d.command}
	if err != nil {
		r.Event, r.Reason, r.Err = connlog.DataFailed, ReasonOf(err), err.Error()
		r.By = connlog.Client
		var de *dataError
		if errors.As(err, &de) {
			if de.reply.code != 0 {
				r.Reply, r.By = de.reply.String(), connlog.Server
			} else if de.reason == connlog.ReasonReset || de.reason == connlog.ReasonLost || de.reason == connlog.ReasonRefused {
				r.By = connlog.Server
			}
		}
		var e *Error
		if errors.As(err, &e) && e.Code != 0 {
			r.Reply, r.By = e.Reply, connlog.Server
		}
	}
	d.record(r)
}

// The library reads nothing itself and sets no deadline; these make dataConn a net.Conn.
func (d *dataConn) Read(p []byte) (int, error)       { return d.conn().Read(p) }
func (d *dataConn) Write(p []byte) (int, error)      { return d.conn().Write(p) }
func (d *dataConn) LocalAddr() net.Addr              { return d.s.ctl.LocalAddr() }
func (d *dataConn) RemoteAddr() net.Addr             { return d.s.ctl.RemoteAddr() }
func (d *dataConn) SetDeadline(time.Time) error      { return nil }
func (d *dataConn) SetReadDeadline(time.Time) error  { return nil }
func (d *dataConn) SetWriteDeadline(time.Time) error { return nil }

// link lies between TLS and TCP. crypto/tls reads and writes one record of 16 KiB at a time; link turns that into
// fewer, larger system calls. While it holds, a write that meets its deadline can go on later, which crypto/tls itself
// does not allow.
type link struct {
	*net.TCPConn
	room []byte
	got  []byte // read ahead, a part of room
	hold bool   // writes stay here until flush
	held []byte
}

func (l *link) Read(p []byte) (int, error) {
	if len(l.got) == 0 {
		if l.room == nil {
			l.room = make([]byte, userBuffer)
		}
		n, err := l.TCPConn.Read(l.room)
		if n == 0 {
			return 0, err
		}
		l.got = l.room[:n]
	}
	n := copy(p, l.got)
	l.got = l.got[n:]
	return n, nil
}

// Deadlines are dataConn's business: crypto/tls sets one that would end every later write when it sends close_notify.
func (l *link) SetDeadline(time.Time) error      { return nil }
func (l *link) SetReadDeadline(time.Time) error  { return nil }
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// drained says that the next read goes to the network and may wait.
func (l *link) drained() bool { return len(l.got) == 0 }

func (l *link) Write(p []byte) (int, error) {
	if !l.hold {
		return l.TCPConn.Write(p)
	}
	l.held = append(l.held, p...)
	return len(p), nil
}

// holds says that something waits for flush. A nil link holds nothing.
func (l *link) holds() bool { return l != nil && len(l.held) > 0 }

// flush writes what is held; what a deadline leaves over stays for the next flush.
func (l *link) flush() (int, error) {
	n, err := l.TCPConn.Write(l.held)
	l.held = l.held[:copy(l.held, l.held[n:])]
	return n, err
}

// addrPort reads the address of a TCP socket, an IPv4 one mapped into IPv6 as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
