package localserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"portside/connlog"
	"portside/wire"
)

// Why a session ended.
var (
	errLost     = errors.New("the control connection was lost")
	errKicked   = errors.New("the server's owner ended the session")
	errStopping = errors.New("the server is stopping")
	errIdle     = errors.New("no command for the idle time")
)

// session is one control connection and what belongs to it.
//
// Its reader goroutine reads commands all the time. While no transfer runs, it executes them itself. A transfer has a
// worker goroutine; meanwhile the reader answers ABOR and STAT, and puts the rest into a queue that the worker
// executes after the transfer. So exactly one goroutine, the executor, works on the fields marked "executor" at any
// time; busy says which.
type session struct {
	srv   *Server
	id    string
	tcp   *net.TCPConn
	local netip.AddrPort
	peer  netip.AddrPort
	since time.Time

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc
	lines  lineReader
	work   sync.WaitGroup // the worker

	writeMu sync.Mutex
	out     net.Conn // tcp, or TLS on it
	mute    bool     // TLS has begun and does not stand: nothing can be said

	closing sync.Once
	moved   atomic.Int64 // bytes on data connections, all transfers

	// Executor.
	tls          *tls.Config // nil in clear
	login        login
	root         *os.Root
	cwd          string
	binary       bool
	protected    bool // PROT P
	pbsz         bool
	extended     bool // after EPSV ALL
	rest         int64
	renameFrom   string
	renameName   string
	facts        factSet
	conns        int
	transferring bool // inside a transfer command
	unknown      int
	loginWindow  rateWindow
	xfer         context.Context // of the running transfer

	mu        sync.Mutex
	busy      bool // a worker is the executor
	queue     []queued
	queueSize int
	quitting  bool    // QUIT waits in the queue
	aborts    int     // ABORs to answer
	ending    *ending // close when the transfer is over
	stop      context.CancelCauseFunc
	standing  bool // the transfer's data connection stands
	data      *dataConn
	loginFrom time.Time // when the time to sign in began
	active    time.Time // last command, or end of the last transfer
	account   *account
	software  string
	tlsText   string
	mode      connlog.Mode
	doing     doing
	by        connlog.Side
	reason    connlog.Reason
}

type doing struct {
	command, path string
	direction     Direction
	since         time.Time
}

type queued struct {
	line  string
	count int
}

// quitGrace is how long a transfer whose client said QUIT behind it waits for its passive data connection: one that
// stands at the client's end has only to be accepted.
const quitGrace = time.Second

// maxQueue bounds what a client can send ahead while a transfer runs.
const maxQueue = 64 << 10

// newSession makes the session of a new control connection. The caller holds s.mu.
func (s *Server) newSession(c *net.TCPConn) *session {
	id := newID()
	for s.sessions[id] != nil {
		id = newID()
	}
	n := &session{srv: s, id: id, tcp: c, local: unmapped(c.LocalAddr()), peer: unmapped(c.RemoteAddr()), since: time.Now(),
		out: c, cwd: "/", facts: allFacts}
	n.active, n.loginFrom = n.since, n.since
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.lines.reset(c)
	return n
}

func (s *session) record(r connlog.Record) {
	r.Session = s.id
	s.srv.record(r)
}

func (s *session) recordControl(r connlog.Record) {
	r.Channel, r.Initiator, r.From, r.To = connlog.Control, connlog.Client, s.peer, s.local
	s.record(r)
}

// run is the session from its greeting to its end.
//
// What lies on the stack while a session waits for its next command counts for each of them: from run down to the system
// call it must be less than 1,248 bytes, or the runtime leaves 8 KiB to a stack that a command made grow, where it could
// shrink to 4. So what takes much, such as a record, has a function of its own here.
func (s *session) run() {
	defer s.cleanUp()
	defer s.srv.contain(s)
	if !s.greet() {
		return
	}
	for s.ctx.Err() == nil {
		line, err := s.readLine()
		if err != nil {
			s.readFailed(err)
			return
		}
		s.take(line)
	}
}

// greet begins the session. It is false when TLS should have begun and did not.
func (s *session) greet() bool {
	s.tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4})
	s.recordControl(connlog.Record{Event: connlog.ControlOpened})
	if s.srv.config.TLS.Mode == TLSImplicit {
		s.protected = true
		if !s.startTLS() {
			return false
		}
	}
	s.reply(220, wire.Greeting(s.srv.config.Greeting, s.id))
	return true
}

// cleanUp leaves nothing of the session behind.
func (s *session) cleanUp() {
	s.cancel(errEnd)
	s.work.Wait()
	if d := s.takeData(); d != nil {
		d.withdraw(errEnd)
	}
	s.close(connlog.Client, connlog.ReasonLost, errLost, "")
	s.tcp.Close()
	s.mu.Lock()
	by, reason := s.by, s.reason
	if s.account != nil {
		s.account.sessions.Add(-1)
		s.account = nil
	}
	s.mu.Unlock()
	s.srv.forget(s)
	closed := connlog.Record{Event: connlog.ControlClosed, By: by, Reason: reason, Duration: time.Since(s.since)}
	switch reason {
	case connlog.ReasonPolicy, connlog.ReasonNotFTP, connlog.ReasonLocal: // which rule, what it was
		closed.Err = context.Cause(s.ctx).Error()
	}
	s.recordControl(closed)
}

// lastWords is how long the 421 and close_notify may wait for room in the send buffer: it has room unless the client
// does not read.
const lastWords = 250 * time.Millisecond

// close ends the session. The first call counts. last is the text of a 421 reply, "" for none. It does not wait for
// the session's goroutines.
func (s *session) close(by connlog.Side, reason connlog.Reason, cause error, last string) {
	s.closing.Do(func() {
		s.mu.Lock()
		s.by, s.reason = by, reason
		s.mu.Unlock()
		s.cancel(cause)
		s.tcp.SetWriteDeadline(time.Now().Add(lastWords)) // frees a writer whose client does not read
		if last != "" {
			s.writeReply(wire.Reply{Code: 421, Lines: []string{last}}, lastWords)
		}
		s.closeOut()
	})
}

// closeOut says the end of the control connection, with close_notify in TLS.
func (s *session) closeOut() {
	s.writeMu.Lock()
	out := s.out
	s.writeMu.Unlock()
	if c, ok := out.(*tls.Conn); ok {
		s.tcp.SetWriteDeadline(time.Now().Add(lastWords))
		c.CloseWrite()
	}
	s.tcp.Close()
}

// ending is why a session closes as soon as no transfer runs.
type ending struct {
	reason connlog.Reason
	cause  error
	last   string
}

// toEnd makes the session end: with its next command, or when the transfer that runs is over. What its client sent
// ahead for afterwards is not executed. From this call on no command is taken up and no transfer begins: one that had
// begun comes to its end. It does not wait; endIfIdle goes on.
func (s *session) toEnd(reason connlog.Reason, cause error, last string) {
	s.mu.Lock()
	s.ending = &ending{reason, cause, last}
	s.mu.Unlock()
}

// endIfIdle ends a session that is to end, unless a transfer runs. It may wait for a client that does not read. It
// reports whether the session is over.
func (s *session) endIfIdle() bool {
	s.mu.Lock()
	e, busy := s.ending, s.busy
	s.mu.Unlock()
	if e == nil || busy {
		return false
	}
	s.close(connlog.Server, e.reason, e.cause, e.last)
	return true
}

// readLine returns the next whole command line. A line that did not end is never returned.
func (s *session) readLine() (string, error) {
	for {
		wait := s.patience()
		if wait <= 0 {
			return "", errIdle
		}
		s.tcp.SetReadDeadline(time.Now().Add(wait))
		line, err := s.lines.next()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return line, err
		}
		if s.ctx.Err() != nil {
			return "", err
		}
	}
}

// patience is how long the session waits for the next command.
//
//go:noinline
func (s *session) patience() time.Duration {
	l := s.srv.limits()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.account == nil:
		return l.LoginTimeout - time.Since(s.loginFrom)
	case s.busy:
		return l.IdleTimeout // data moves: its stall time watches
	}
	return l.IdleTimeout - time.Since(s.active)
}

// readFailed ends the session after the control connection gave no more commands.
func (s *session) readFailed(err error) {
	switch {
	case errors.Is(err, errIdle):
		s.close(connlog.Server, connlog.ReasonIdle, errIdle, "No command for too long; the session ends.")
	case errors.Is(err, errTLSInClear):
		s.close(connlog.Server, connlog.ReasonNotFTP, errTLSInClear, "This port begins in clear: use AUTH TLS, not implicit TLS.")
	default:
		s.mu.Lock()
		finish := s.quitting && s.busy
		s.mu.Unlock()
		if finish {
			// QUIT came before the end: the transfer finishes (RFC 959 section 4.1.1), and the worker closes.
			s.work.Wait()
		}
		by, reason := connlog.Client, connlog.ReasonLost
		if finish {
			reason = connlog.ReasonQuit
		}
		s.close(by, reason, errLost, "")
	}
}

// errTooLong stands for a line above [wire.MaxLine], which was skipped to its end.
var (
	errTooLong    = errors.New("line too long")
	errTLSInClear = errors.New("a TLS handshake where FTP was expected")
)

// lineReader reads lines from a connection with a small buffer, and keeps what came of a line over a timeout.
type lineReader struct {
	in       *bufio.Reader
	part     []byte
	skipping bool
	any      bool // the first byte was looked at
}

// lineBuffer is small: it lives as long as the session, and commands are short. A longer one comes in pieces.
const lineBuffer = 128

func (l *lineReader) reset(r io.Reader) {
	*l = lineReader{in: bufio.NewReaderSize(r, lineBuffer), any: l.any}
}

// next returns a line without its end. For a line that is too long it returns tooLong once the end has come.
func (l *lineReader) next() (string, error) {
	if !l.any {
		b, err := l.in.Peek(1)
		if err != nil {
			return "", err
		}
		if l.any = true; b[0] == 0x16 { // a TLS handshake record; it may never have a line end
			return "", errTLSInClear
		}
	}
	for {
		b, err := l.in.ReadSlice('\n')
		if l.skipping {
			b = b[len(b):]
		}
		switch {
		case err == nil && l.skipping:
			l.skipping = false
			return tooLong, nil
		case err == nil && len(l.part)+len(b) > wire.MaxLine+2:
			l.part = nil
			return tooLong, nil
		case err == nil:
			line := b
			if l.part != nil {
				line = append(l.part, b...)
				l.part = nil
			}
			line = line[:len(line)-1]
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return string(line), nil
		case len(l.part)+len(b) > wire.MaxLine+2:
			l.part, l.skipping = nil, true
		case len(b) > 0:
			l.part = append(l.part, b...)
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}

// tooLong can't be a line that came: it has a line end in it.
const tooLong = "\n"

// take handles one line that the reader has read.
func (s *session) take(line string) {
	s.recordCommand(line)
	s.mu.Lock()
	s.active = time.Now()
	if !s.busy {
		s.mu.Unlock()
		s.execute(line, false)
		return
	}
	c, err := wire.ParseCommand(line)
	switch {
	case err == nil && c.Verb == "ABOR":
		s.aborts++
		s.stop(errAborted)
		s.mu.Unlock()
		return
	case err == nil && c.Verb == "STAT" && c.Arg == "":
		s.mu.Unlock()
		s.replyLines(211, s.statusLines()...)
		return
	case err == nil && c.Verb == "QUIT":
		s.quitting = true
		switch d := s.data; {
		case s.standing:
		case d != nil && d.mode == connlog.Passive:
			d.awaitUntil(time.Now().Add(quitGrace))
		default:
			s.stop(errQuit)
		}
	}
	if n := len(s.queue); n > 0 && s.queue[n-1].line == line && s.queue[n-1].count < 1<<20 {
		s.queue[n-1].count++ // a keep-alive NOOP now and then, for hours
	} else {
		s.queue = append(s.queue, queued{line, 1})
		s.queueSize += len(line) + 32
	}
	full := s.queueSize > maxQueue
	s.mu.Unlock()
	if full {
		s.close(connlog.Server, connlog.ReasonPolicy, errors.New("too many commands during a transfer"),
			"Too many commands while a transfer runs; the session ends.")
	}
}

// startWorker hands the executor's role to a new goroutine that runs a transfer, then what was queued meanwhile, and
// gives the role back.
func (s *session) startWorker(transfer func()) {
	if !s.beginTransfer() {
		return
	}
	s.work.Go(func() {
		defer s.srv.contain(s)
		transfer()
		for s.next() {
		}
	})
}

// beginTransfer makes the executor busy with a transfer that s.stop can end. It is false when the session is about to
// close: endIfIdle saw no transfer, and one that began now would be cut in its first bytes.
func (s *session) beginTransfer() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending != nil && !s.busy {
		return false
	}
	s.busy = true
	s.xfer, s.stop = context.WithCancelCause(s.ctx)
	return true
}

// next does one thing after a transfer and reports whether the worker goes on.
func (s *session) next() bool {
	s.mu.Lock()
	s.stop(nil)
	s.doing, s.standing = doing{}, false
	s.active = time.Now()
	switch {
	case s.ctx.Err() != nil:
		s.mu.Unlock()
		return false
	case s.aborts > 0:
		s.aborts--
		s.mu.Unlock()
		s.reply(226, "ABOR done.")
	case s.ending != nil:
		e := s.ending
		s.mu.Unlock()
		s.close(connlog.Server, e.reason, e.cause, e.last)
		return false
	case len(s.queue) == 0:
		s.busy, s.queue, s.queueSize = false, nil, 0
		s.mu.Unlock()
		return false
	default:
		line := s.queue[0].line
		if s.queue[0].count--; s.queue[0].count == 0 {
			s.queueSize -= len(line) + 32
			s.queue = s.queue[1:]
		}
		s.mu.Unlock()
		s.execute(line, true)
	}
	return true
}

// startTLS puts TLS on the control connection. What came in clear after AUTH is thrown away with the old reader
// (CVE-2011-0411).
func (s *session) startTLS() bool {
	s.lines.any = true
	config := sessionTLS(s.srv.certificate(time.Now()), s.srv.config.TLS.Resume)
	s.tcp.SetDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(s.ctx, s.srv.limits().LoginTimeout)
	defer cancel()
	s.writeMu.Lock()
	s.mute = true // a 421 in clear would be a broken record to the client
	s.writeMu.Unlock()
	conn := tls.Server(s.tcp, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		s.recordControl(connlog.Record{Event: connlog.ControlFailed, Reason: connlog.ReasonTLS, Err: err.Error()})
		s.close("", connlog.ReasonTLS, err, "")
		return false
	}
	s.writeMu.Lock()
	s.out, s.mute = conn, false
	s.writeMu.Unlock()
	s.lines.reset(conn)
	state := conn.ConnectionState()
	s.tls = config
	s.mu.Lock()
	s.tlsText = tls.VersionName(state.Version)
	s.mu.Unlock()
	s.recordControl(connlog.Record{Event: connlog.ControlTLS, TLS: tls.VersionName(state.Version),
		Cipher: tls.CipherSuiteName(state.CipherSuite)})
	return true
}

// replyTimeout is how long a client may take to read a reply.
const replyTimeout = 30 * time.Second

func (s *session) reply(code int, text string) { s.replyLines(code, text) }

func (s *session) replyf(code int, format string, args ...any) {
	s.reply(code, fmt.Sprintf(format, args...))
}

func (s *session) replyLines(code int, lines ...string) {
	if code >= 400 && s.transferring { // the reader replies with lower codes only while a worker is the executor
		s.dropData(errUnused)
	}
	if err := s.writeReply(wire.Reply{Code: code, Lines: lines}, replyTimeout); err != nil {
		s.close(connlog.Client, connlog.ReasonLost, errLost, "")
	}
}

// writeReply sends one whole reply. It is the only writer of the control connection.
func (s *session) writeReply(r wire.Reply, timeout time.Duration) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.mute {
		return nil
	}
	s.tcp.SetWriteDeadline(time.Now().Add(timeout))
	_, err := s.out.Write(r.Format())
	s.mute = r.Code == 234 // the client's TLS begins with it (RFC 4217 section 4)
	if err == nil {
		s.recordReply(r)
	}
	return err
}

func (s *session) recordReply(r wire.Reply) {
	lines := make([]string, len(r.Lines))
	for i, l := range r.Lines {
		lines[i] = wire.Escape(l)
	}
	s.record(connlog.Record{Event: connlog.ReplySent, Channel: connlog.Control, Reply: wire.Reply{Code: r.Code, Lines: lines}.String()})
}

func (s *session) recordCommand(line string) {
	if line == tooLong {
		line = "(line too long)"
	}
	s.record(connlog.Record{Event: connlog.CommandSent, Channel: connlog.Control, Command: wire.Mask(line)})
}

func (s *session) nextConn() int {
	s.conns++
	return s.conns
}

func (s *session) takeData() *dataConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.data
	s.data = nil
	return d
}

func (s *session) userName() string {
	if a := s.account; a != nil {
		return a.Name
	}
	return ""
}

func (s *session) info() SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := SessionInfo{ID: s.id, User: s.userName(), Client: s.peer, Software: s.software, Since: s.since, TLS: s.tlsText,
		Mode: s.mode, Command: s.doing.command, Path: s.doing.path, Direction: s.doing.direction, Total: s.moved.Load(),
		IdleSince: s.active}
	if s.doing.command != "" {
		i.IdleSince = time.Time{}
		if s.data != nil {
			i.Bytes, i.Rate = s.data.bytes.Load(), s.data.speed.read(time.Now())
		}
	}
	return i
}

func (s *session) ports() []PortHolder {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.data
	if d == nil || d.mode != connlog.Passive {
		return nil
	}
	select {
	case <-d.done:
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.conn == nil {
			return nil
		}
		return []PortHolder{{d.lease.port, s.id, s.userName(), s.peer, true}}
	default:
		return []PortHolder{{d.lease.port, s.id, s.userName(), s.peer, false}}
	}
}

// statusLines is the reply to STAT, also while a transfer runs: it reads nothing that belongs to the executor.
func (s *session) statusLines() []string {
	i := s.info()
	lines := []string{s.srv.config.Greeting + " server status", "Connected from " + i.Client.Addr().String()}
	if i.User != "" {
		lines = append(lines, "Signed in as "+i.User)
	} else {
		lines = append(lines, "Not signed in")
	}
	if i.TLS != "" {
		lines = append(lines, "Control connection protected by "+i.TLS)
	}
	if i.Command != "" {
		lines = append(lines, fmt.Sprintf("%s %s: %d bytes so far", i.Command, i.Path, i.Bytes))
	} else {
		lines = append(lines, "No transfer runs")
	}
	return append(lines, "End of status")
}

// rateWindow counts events within the running second.
type rateWindow struct {
	start time.Time
	n     int
}

func (w *rateWindow) add(now time.Time) int {
	if now.Sub(w.start) >= time.Second {
		w.start, w.n = now, 0
	}
	w.n++
	return w.n
}

// login is how far the sign-in has come.
type login struct {
	user  string // after USER, before PASS
	wrong int    // passwords
}
