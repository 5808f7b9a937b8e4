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
	s, l := m.s, m.s.x.limits
	out = Move{Command: m.command, MSS: m.mss}
	verb, _, _ := strings.Cut(m.command, " ")
	start := s.x.now()
	var (
		final              *wire.Reply
		finalAt, endAt     time.Time
		brokeAt            time.Time
		broke              error
		ended, controlLost bool
		last               = start
		lastBytes          int64
	)

	dctx, cancel := context.WithCancel(ctx)
	events := make(chan dataEvent, 4)
	var both sync.WaitGroup
	defer func() {
		both.Wait()
		s.halted.Store(false)
		out.Took, out.Bytes = s.x.now().Sub(start), m.bytes.Load()
		if ended {
			out.Took = endAt.Sub(start) // without the wait for the reply
		}
		if out.Answer.Code == 0 && out.Outcome != NoEnd && s.dead == nil {
			s.dead = errSilent // its reply is still to come, and would be taken for another command's
		}
	}()
	defer cancel()
	both.Go(func() { m.carry(dctx, verb != "RETR" && verb != "STOR", events) })

	rec := connlog.Record{Channel: connlog.Data, Conn: s.data, Mode: m.mode, Initiator: connlog.Client, Command: m.command}
	if m.mode == connlog.Active {
		rec.Initiator = connlog.Server
	}
	failed := func(how Outcome, reply, err string) {
		r := rec
		r.Event, r.Reason, r.Reply, r.Err, r.Bytes, r.Duration = connlog.DataFailed, how.reason(), reply, err, m.bytes.Load(), s.x.now().Sub(start)
		s.record(r)
		out.Outcome = how
	}
	if err := s.send(m.command); err != nil {
		out.Alone = true
		failed(Broken, "", "the control connection was closed")
		return out, opened, from
	}

	type said struct {
		r   wire.Reply
		err error
	}
	replies := make(chan said, 8)
	both.Go(func() {
		for n := 0; ; n++ {
			r, err := s.next(l.Total)
			if err == nil && n > maxBegun {
				err, s.dead = errNotReply, errNotReply
			}
			select {
			case replies <- said{r, err}:
			case <-dctx.Done(): // nobody reads them any more
				return
			}
			if err != nil || r.Class() != 1 {
				return
			}
		}
	})
	defer func() { // deferred last, so before the wait for the reader
		s.halted.Store(true)
		_ = s.tcp.SetReadDeadline(time.Unix(1, 0))
	}()

	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	success := func() {
		r := rec
		r.Event, r.Bytes, r.Duration = connlog.DataClosed, m.bytes.Load(), s.x.now().Sub(start)
		s.record(r)
		out.Outcome = Worked
		if verb != "RETR" {
			out.NotUTF8 = m.strangeName()
		}
	}
	for {
		select {
		case a := <-replies:
			switch {
			case errors.Is(a.err, errEnded):
				failed(Failed, "", "cancelled")
				return out, opened, from
			case a.err != nil:
				controlLost = true
				out.Alone = errors.Is(a.err, errClosed)
				if ended {
					failed(NoEnd, "", "the control connection was lost")
					return out, opened, from
				}
				if !opened {
					failed(Broken, "", "the control connection was lost")
					return out, opened, from
				}
				finalAt = s.x.now()
			case a.r.Class() == 1:
				out.Begun, last = true, s.x.now()
			case a.r.Code >= 400:
				out.Answer = answer(a.r)
				if !opened { // the connection may have come just before the reply
					select {
					case e := <-events:
						opened, from = e.opened, e.from
					case <-time.After(100 * time.Millisecond):
					}
				}
				how := Rejected
				if out.Begun && a.r.Code == 421 {
					how = NoEnd // the server ends the session, whatever became of the data
				} else if out.Begun && m.bytes.Load() > 0 {
					how = Broken // 426, 451: it was under way
				}
				failed(how, out.Answer.String(), errText(broke))
				return out, opened, from
			default:
				final, finalAt = &a.r, s.x.now()
				out.Answer = answer(a.r)
				if ended {
					success()
					return out, opened, from
				}
			}
		case e := <-events:
			switch {
			case e.opened:
				opened, from, last = true, e.from, s.x.now()
				if s.protect && s.tls != nil {
					out.Secured = pending
				}
				rec.From = e.from
				if m.mode == connlog.Active {
					r := rec
					r.Event, r.To, r.Duration = connlog.DataOpened, s.local, s.x.now().Sub(start)
					r.Command = ""
					s.record(r)
				}
			case e.version != "":
				out.Secured, out.Resumed, last = secured, e.resumed, s.x.now()
				r := rec
				r.Event, r.TLS, r.Resumed = connlog.DataTLS, e.version, e.resumed
				s.record(r)
			case e.handshake != nil:
				out.Handshake = tlsTrouble(e.handshake)
				broke, brokeAt = e.handshake, s.x.now()
			case e.err != nil:
				if !opened && errors.Is(e.err, context.DeadlineExceeded) {
					failed(Silence, "", "the server's connection did not come")
					return out, opened, from
				}
				broke, brokeAt = e.err, s.x.now()
			default:
				ended, endAt = true, s.x.now()
				if final != nil {
					success()
					return out, opened, from
				}
			}
		case <-tick.C:
			now := s.x.now()
			if n := m.bytes.Load(); n != lastBytes {
				lastBytes, last = n, now
			}
			stall := l.Stall
			if !out.Begun && lastBytes == 0 {
				stall = max(stall, l.Reply*2/3) // the server may be reading a large folder before it says 150
			}
			if !opened && broke == nil && m.meet != nil {
				m.meet(now.Sub(start))
			}
			switch {
			case broke != nil && (controlLost || now.Sub(brokeAt) > 2*time.Second):
				how := Broken
				if out.Handshake != "" {
					how = TLSFailed
				}
				failed(how, out.Answer.String(), errText(broke))
				return out, opened, from
			case broke != nil:
			case controlLost && now.Sub(finalAt) > 2*time.Second:
				failed(Broken, "", "the control connection was lost")
				return out, opened, from
			case ended && !out.Begun && m.bytes.Load() == 0 && now.Sub(endAt) > l.End/2:
				// Pure-FTPd closes a data connection from another address than the control connection's and goes on waiting.
				failed(Broken, "", "the data connection was closed before anything was said of it")
				return out, opened, from
			case ended && now.Sub(endAt) > l.End:
				out.Outcome = NoEnd
				return out, opened, from
			case ended:
			case final != nil && now.Sub(finalAt) > 3*time.Second && now.Sub(last) > 3*time.Second,
				opened && now.Sub(last) > stall:
				how := Stalled
				if !opened {
					how = Silence
				}
				failed(how, out.Answer.String(), "no byte moved any more")
				return out, opened, from
			case now.Sub(start) > l.Transfer:
				out.Stopped = true
				success()
				return out, opened, from
			}
		case <-ctx.Done():
			failed(Failed, "", "cancelled")
			return out, opened, from
		}
	}
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
