package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"portside/connlog"
	"portside/wire"
)

// movement is one command with its data connection, both channels watched at once: a server that has refused the data
// connection says so on the control connection, while the data connection may stay open and silent.
type movement struct {
	s       *controlConn
	command string
	mode    connlog.Mode
	open    func(context.Context) (net.Conn, error) // dialled already, or waits for the server's connection
	wait    time.Duration                           // for open
	meet    func(waited time.Duration)              // called now and then while open has not returned; may be nil
	mss     int

	bytes   atomic.Int64
	mu      sync.Mutex
	listing []byte // the begin of a listing
}

const maxListing = 256 << 10 // of a listing, to look at its names

type dataEvent struct {
	opened    bool
	from      netip.AddrPort
	handshake error
	resumed   bool
	version   string
	err       error // why it ended, when opened is false; nil: at its end
}

// run sends the command and watches until the transfer has ended, stopped moving, or failed. opened and from say
// whether the data connection stood.
func (m *movement) run(ctx context.Context) (out Move, opened bool, from netip.AddrPort) {
	s, w := m.s, m.watch()
	dctx, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	both.Go(func() { m.carry(dctx, w.verb != "RETR" && w.verb != "STOR", w.events) })
	if err := s.send(m.command); err != nil {
		w.out.Alone = true
		w.failed(Broken, "", "the control connection was closed")
	} else {
		both.Go(func() { m.listen(dctx, w.replies) })
		w.wait(ctx)
		s.halted.Store(true)
		_ = s.tcp.SetReadDeadline(time.Unix(1, 0))
	}
	cancel()
	both.Wait()
	s.halted.Store(false)
	return w.result(), w.opened, w.from
}

// said is what the control connection gives while a transfer runs.
type said struct {
	r   wire.Reply
	err error
}

// listen reads replies up to the one that ends the transfer.
func (m *movement) listen(ctx context.Context, replies chan<- said) {
	for n := 0; ; n++ {
		r, err := m.s.next(m.s.x.limits.Total)
		if err == nil && n > maxBegun {
			err, m.s.dead = errNotReply, errNotReply
		}
		select {
		case replies <- said{r, err}:
		case <-ctx.Done(): // nobody reads them any more
			return
		}
		if err != nil || r.Class() != 1 {
			return
		}
	}
}

// watch is what is known of a movement under way, by one goroutine that looks at both channels.
type watch struct {
	m       *movement
	s       *controlConn
	verb    string
	rec     connlog.Record // what all records of the data channel have in common
	events  chan dataEvent
	replies chan said

	out         Move
	opened      bool
	from        netip.AddrPort
	start       time.Time
	last        time.Time // when something moved
	lastBytes   int64     // how much had, as it was looked at
	final       bool      // the reply that ends the transfer came
	controlLost bool
	finalAt     time.Time // when either was
	ended       bool      // the data connection came to its end
	endAt       time.Time
	broke       error // how it was cut
	brokeAt     time.Time
}

func (m *movement) watch() *watch {
	now := m.s.x.now()
	w := &watch{m: m, s: m.s, events: make(chan dataEvent, 4), replies: make(chan said, 8), start: now, last: now}
	w.verb, _, _ = strings.Cut(m.command, " ")
	w.out = Move{Command: m.command, MSS: m.mss}
	w.rec = connlog.Record{Channel: connlog.Data, Conn: m.s.data, Mode: m.mode, Initiator: connlog.Client, Command: m.command}
	if m.mode == connlog.Active {
		w.rec.Initiator = connlog.Server
	}
	return w
}

// wait looks at what comes until it is known how the transfer ended.
func (w *watch) wait(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case a := <-w.replies:
			over = w.reply(a)
		case e := <-w.events:
			over = w.event(e)
		case <-tick.C:
			over = w.look(w.s.x.now())
		case <-ctx.Done():
			over = w.failed(Failed, "", "cancelled")
		}
	}
}

// result is the movement when both goroutines have ended.
func (w *watch) result() Move {
	w.out.Took, w.out.Bytes = w.s.x.now().Sub(w.start), w.m.bytes.Load()
	if w.ended {
		w.out.Took = w.endAt.Sub(w.start) // without the wait for the reply
	}
	if w.out.Answer.Code == 0 && w.out.Outcome != NoEnd && w.s.dead == nil {
		w.s.dead = errSilent // its reply is still to come, and would be taken for another command's
	}
	return w.out
}

// failed, like all that follows, says whether it is over.
func (w *watch) failed(how Outcome, reply, err string) bool {
	r := w.rec
	r.Event, r.Reason, r.Reply, r.Err, r.Bytes, r.Duration = connlog.DataFailed, how.reason(), reply, err, w.m.bytes.Load(), w.s.x.now().Sub(w.start)
	w.s.record(r)
	w.out.Outcome = how
	return true
}

func (w *watch) worked() bool {
	r := w.rec
	r.Event, r.Bytes, r.Duration = connlog.DataClosed, w.m.bytes.Load(), w.s.x.now().Sub(w.start)
	w.s.record(r)
	w.out.Outcome = Worked
	if w.verb != "RETR" {
		w.out.NotUTF8 = w.m.strangeName()
	}
	return true
}

func (w *watch) reply(a said) bool {
	switch {
	case errors.Is(a.err, errEnded):
		return w.failed(Failed, "", "cancelled")
	case a.err != nil:
		w.controlLost, w.finalAt = true, w.s.x.now()
		w.out.Alone = errors.Is(a.err, errClosed)
		switch {
		case w.ended:
			return w.failed(NoEnd, "", "the control connection was lost")
		case !w.opened:
			return w.failed(Broken, "", "the control connection was lost")
		}
	case a.r.Class() == 1:
		w.out.Begun, w.last = true, w.s.x.now()
	case a.r.Code >= 400:
		w.out.Answer = answer(a.r)
		return w.rejected()
	default:
		w.final, w.finalAt = true, w.s.x.now()
		w.out.Answer = answer(a.r)
		return w.ended && w.worked()
	}
	return false
}

// rejected ends a transfer that a reply turned down or broke off.
func (w *watch) rejected() bool {
	if !w.opened { // the connection may have come just before the reply
		select {
		case e := <-w.events:
			w.opened, w.from = e.opened, e.from
		case <-time.After(100 * time.Millisecond):
		}
	}
	how := Rejected
	if w.out.Begun && w.out.Answer.Code == 421 {
		how = NoEnd // the server ends the session, whatever became of the data
	} else if w.out.Begun && w.m.bytes.Load() > 0 {
		how = Broken // 426, 451: it was under way
	}
	return w.failed(how, w.out.Answer.String(), errText(w.broke))
}

func (w *watch) event(e dataEvent) bool {
	now := w.s.x.now()
	switch {
	case e.opened:
		w.opened, w.from, w.last = true, e.from, now
		if w.s.protect && w.s.tls != nil {
			w.out.Secured = pending
		}
		w.rec.From = e.from
		if w.m.mode == connlog.Active {
			r := w.rec
			r.Event, r.To, r.Duration = connlog.DataOpened, w.s.local, now.Sub(w.start)
			r.Command = ""
			w.s.record(r)
		}
	case e.version != "":
		w.out.Secured, w.out.Resumed, w.last = secured, e.resumed, now
		r := w.rec
		r.Event, r.TLS, r.Resumed = connlog.DataTLS, e.version, e.resumed
		w.s.record(r)
	case e.handshake != nil:
		w.out.Handshake = tlsTrouble(e.handshake)
		w.broke, w.brokeAt = e.handshake, now
	case e.err != nil:
		if !w.opened && errors.Is(e.err, context.DeadlineExceeded) {
			return w.failed(Silence, "", "the server's connection did not come")
		}
		w.broke, w.brokeAt = e.err, now
	default:
		w.ended, w.endAt = true, now
		return w.final && w.worked()
	}
	return false
}

// look sees what nothing tells of: that nothing comes any more, and that it is enough.
func (w *watch) look(now time.Time) bool {
	l := w.s.x.limits
	if n := w.m.bytes.Load(); n != w.lastBytes {
		w.lastBytes, w.last = n, now
	}
	stall := l.Stall
	if !w.out.Begun && w.lastBytes == 0 {
		stall = max(stall, l.Reply*2/3) // the server may be reading a large folder before it says 150
	}
	if !w.opened && w.broke == nil && w.m.meet != nil {
		w.m.meet(now.Sub(w.start))
	}
	switch {
	case w.broke != nil && (w.controlLost || now.Sub(w.brokeAt) > 2*time.Second):
		how := Broken
		if w.out.Handshake != "" {
			how = TLSFailed
		}
		return w.failed(how, w.out.Answer.String(), errText(w.broke))
	case w.broke != nil:
	case w.controlLost && now.Sub(w.finalAt) > 2*time.Second:
		return w.failed(Broken, "", "the control connection was lost")
	case w.ended && !w.out.Begun && w.m.bytes.Load() == 0 && now.Sub(w.endAt) > l.End/2:
		// Pure-FTPd closes a data connection from another address than the control connection's and goes on waiting.
		return w.failed(Broken, "", "the data connection was closed before anything was said of it")
	case w.ended && now.Sub(w.endAt) > l.End:
		w.out.Outcome = NoEnd
		return true
	case w.ended:
	case w.final && now.Sub(w.finalAt) > 3*time.Second && now.Sub(w.last) > 3*time.Second,
		w.opened && now.Sub(w.last) > stall:
		how := Stalled
		if !w.opened {
			how = Silence
		}
		return w.failed(how, w.out.Answer.String(), "no byte moved any more")
	case now.Sub(w.start) > l.Transfer:
		w.out.Stopped = true
		return w.worked()
	}
	return false
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// carry opens the data connection and reads it to its end. It sends at most four events and then ends.
func (m *movement) carry(ctx context.Context, keep bool, events chan<- dataEvent) {
	octx, cancel := context.WithTimeout(ctx, m.wait)
	tcp, err := m.open(octx)
	if err != nil && octx.Err() != nil && ctx.Err() == nil {
		err = context.DeadlineExceeded
	}
	cancel()
	if err != nil {
		events <- dataEvent{err: err}
		return
	}
	unhook := context.AfterFunc(ctx, func() { tcp.Close() })
	defer unhook()
	defer tcp.Close()
	from := addrPort(tcp.LocalAddr())
	if m.mode == connlog.Active {
		from = addrPort(tcp.RemoteAddr())
	}
	events <- dataEvent{opened: true, from: from}
	conn := tcp
	if m.s.protect && m.s.tls != nil {
		secure := tls.Client(tcp, m.s.tls)
		hctx, cancel := context.WithTimeout(ctx, m.s.x.limits.Reply)
		err := secure.HandshakeContext(hctx)
		cancel()
		if err != nil {
			events <- dataEvent{handshake: err}
			return
		}
		st := secure.ConnectionState()
		events <- dataEvent{version: tls.VersionName(st.Version), resumed: st.DidResume}
		conn = secure
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if keep {
				m.mu.Lock()
				if room := maxListing - len(m.listing); room > 0 {
					m.listing = append(m.listing, buf[:min(n, room)]...)
				}
				m.mu.Unlock()
			}
			m.bytes.Add(int64(n))
		}
		if err == io.EOF {
			if conn != tcp {
				conn.Close() // says close_notify, which some servers wait for
			}
			events <- dataEvent{}
			return
		}
		if err != nil {
			events <- dataEvent{err: err}
			return
		}
	}
}

// strangeName returns the first line of the listing that is not UTF-8, escaped.
func (m *movement) strangeName() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	whole := m.listing
	if len(whole) >= maxListing {
		whole = whole[:bytes.LastIndexByte(whole, '\n')+1]
	}
	for line := range bytes.Lines(whole) {
		if !utf8.Valid(line) {
			return wire.Escape(strings.TrimRight(string(line), "\r\n"))
		}
	}
	return ""
}
