package localserver

import (
	"cmp"
	"context"
	"errors"
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
