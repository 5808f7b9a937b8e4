// Package relay puts a distance between an FTP client and an FTP server on one computer: what either of them sends over
// the control connection or a data connection arrives half a round trip later. Any client can be put behind it, in
// passive or active mode: it reads the control connection and names its own ports in 227, 229, PORT and EPRT.
//
// A program can't hold back the kernel's TCP handshake, so a connection stands at once for the side that opens it, and
// the relay takes the time from what comes after:
//
//   - control and passive: the server is dialled one and a half round trips later, when the client's ACK would have
//     reached it;
//   - active: the server's connect would have taken one round trip, so what it sends after it arrives one round trip
//     later still, and what was sent to it meanwhile is held back as long, because a server carries out one command
//     after the other.
//
// What is not measured: the two TCP stacks do not see each other. The relay acknowledges at once (TCP_QUICKACK), so no
// client pays for the server's Nagle algorithm as it would on a real way, nor for a server that waits until the end of a
// file is acknowledged, as vsftpd does; nor is there a limit of speed or a loss. TLS can't be read from outside, so AUTH
// is refused. Package way has none of these limits, and needs root's rights.
package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"portside/wire"
)

// Relay is the way to one server.
type Relay struct {
	To        string        // HOST:PORT of the server
	RoundTrip time.Duration // from one side to the other and back
}

// Bounds of what the relay keeps, and how long an offer waits.
const (
	maxLine    = 64 << 10
	chunk      = 64 << 10
	underWay   = 1024 // chunks in one direction
	offerLimit = time.Minute
	dialLimit  = 10 * time.Second
)

// Serve relays the sessions that come to ln until ctx ends; then it closes everything and returns nil.
func (r Relay) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			cancel()
			return err
		}
		all.Go(func() { r.session(ctx, conn.(*net.TCPConn)) })
	}
}

// session is one control connection and its data connections.
type session struct {
	Relay
	ctx            context.Context
	client, server *net.TCPConn
	work           sync.WaitGroup

	mu      sync.Mutex
	open    int           // commands without a final reply; the greeting is one
	active  bool          // the last offer was PORT or EPRT
	late    time.Time     // when the server has nothing to do any more
	settled chan struct{} // closed when open is 0; nil: nobody waits
}

func (r Relay) session(ctx context.Context, client *net.TCPConn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer client.Close()
	if !sleep(ctx, time.Now().Add(r.RoundTrip*3/2)) {
		return
	}
	dialer := net.Dialer{Timeout: dialLimit}
	conn, err := dialer.DialContext(ctx, "tcp", r.To)
	if err != nil {
		return
	}
	s := &session{Relay: r, ctx: ctx, client: client, server: conn.(*net.TCPConn), open: 1}
	defer s.server.Close()
	stop := context.AfterFunc(ctx, func() { _ = client.Close(); _ = s.server.Close() })
	defer stop()
	defer s.work.Wait()
	var both sync.WaitGroup
	both.Go(func() { s.commands() })
	both.Go(func() { s.replies() })
	both.Wait()
	cancel()
}

// parcel is what arrives later.
type parcel struct {
	at     time.Time
	data   []byte
	broken bool // the connection was not ended, but lost
}

// deliver writes parcels at their time, and the end of the stream after the last.
func deliver(ctx context.Context, to *net.TCPConn, from <-chan parcel) {
	defer func() { _ = to.CloseWrite() }()
	broken := false
	for p := range from {
		if broken || !sleep(ctx, p.at) {
			broken = true
			continue
		}
		_, err := to.Write(p.data)
		if broken = err != nil || p.broken; p.broken {
			abort(to)
		}
	}
}

// coarseSleep waits with the runtime's timers.
func coarseSleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

var transfers = []string{"RETR", "STOR", "APPE", "STOU", "LIST", "MLSD", "NLST"}

// commands carries the client's lines to the server.
func (s *session) commands() {
	type command struct {
		at   time.Time
		line string
	}
	lines := make(chan command, underWay)
	s.work.Go(func() {
		defer close(lines)
		br := bufio.NewReaderSize(s.client, maxLine)
		for {
			line, err := readLine(br)
			if err != nil {
				return
			}
			select {
			case lines <- command{time.Now().Add(s.RoundTrip / 2), line}:
			case <-s.ctx.Done():
				return
			}
		}
	})
	var held <-chan struct{}
	for c := range lines {
		if !sleep(s.ctx, c.at) {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(c.line, "\r\n"), " ")
		verb = strings.ToUpper(verb)
		if held != nil && verb != "ABOR" && !strings.Contains(verb, "\xff") {
			select {
			case <-held:
			case <-s.ctx.Done():
				return
			}
			s.mu.Lock()
			late := s.late
			s.mu.Unlock()
			if !sleep(s.ctx, late) {
				return
			}
			held = nil
		}
		line := c.line
		switch verb {
		case "AUTH":
			line = "X-NO-AUTH-BEHIND-A-RELAY\r\n"
		case "PORT", "EPRT":
			if to, err := parse(verb, arg); err == nil {
				line = s.dialBack(verb, to)
			}
		}
		s.mu.Lock()
		s.open++
		switch {
		case verb == "PORT" || verb == "EPRT":
			s.active = true
		case verb == "PASV" || verb == "EPSV":
			s.active = false
		case s.active && slices.Contains(transfers, verb):
			s.settled = make(chan struct{})
			held = s.settled
		}
		s.mu.Unlock()
		if _, err := io.WriteString(s.server, line); err != nil {
			break
		}
	}
	_ = s.server.CloseWrite()
}

func parse(verb, arg string) (netip.AddrPort, error) {
	if verb == "PORT" {
		return wire.ParsePort(arg)
	}
	return wire.ParseEPRT(arg)
}

// replies carries the server's lines to the client.
func (s *session) replies() {
	out := make(chan parcel, underWay)
	s.work.Go(func() { deliver(s.ctx, s.client, out) })
	defer close(out)
	br := bufio.NewReaderSize(s.server, maxLine)
	multi := 0 // the code of a reply that goes on
	for {
		line, err := readLine(br)
		quickAck(s.server)
		if err != nil {
			return
		}
		now := time.Now()
		code, more, text, ok := wire.ParseReplyLine(strings.TrimRight(line, "\r\n"))
		final := false
		switch {
		case multi != 0:
			if ok && !more && code == multi {
				multi, final = 0, true
			}
		case ok && more:
			multi = code
		case ok:
			final = true
		}
		if final && (code == 227 || code == 229) {
			line = s.offer(code, text, line)
		}
		at := now.Add(s.RoundTrip / 2)
		s.mu.Lock()
		if s.settled != nil && s.open == 1 && code < 300 { // of a transfer for which the server has connected
			s.late = now.Add(s.RoundTrip)
			at = at.Add(s.RoundTrip)
		}
		if final && code >= 200 {
			if s.open--; s.open <= 0 && s.settled != nil {
				close(s.settled)
				s.settled = nil
			}
		}
		s.mu.Unlock()
		select {
		case out <- parcel{at: at, data: []byte(line)}:
		case <-s.ctx.Done():
			return
		}
	}
}

func readLine(br *bufio.Reader) (string, error) {
	b, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", err
	}
	return string(b), err
}

// offer puts a port of the relay in the place of the server's, and carries what comes to it.
func (s *session) offer(code int, text, line string) string {
	var to netip.AddrPort
	if code == 227 {
		named, err := wire.Parse227(text)
		if err != nil {
			return line
		}
		to = named
	} else {
		port, err := wire.Parse229(text)
		if err != nil {
			return line
		}
		to = netip.AddrPortFrom(addr(s.server.RemoteAddr()).Addr(), port)
	}
	ln, at, err := s.listen(s.client.LocalAddr())
	if err != nil {
		return line
	}
	s.work.Go(func() {
		client := s.accept(ln)
		if client == nil {
			return
		}
		opened := time.Now()
		if !sleep(s.ctx, opened.Add(s.RoundTrip*3/2)) {
			_ = client.Close()
			return
		}
		dialer := net.Dialer{Timeout: dialLimit}
		conn, err := dialer.DialContext(s.ctx, "tcp", to.String())
		if err != nil {
			abort(client)
			return
		}
		server := conn.(*net.TCPConn)
		s.carry(client, server, s.read(client, opened.Add(s.RoundTrip*3/2)), s.read(server, time.Time{}))
	})
	if code == 227 {
		return "227 Entering Passive Mode (" + wire.FormatPort(at) + ").\r\n"
	}
	return "229 " + wire.Format229(at.Port()) + "\r\n"
}

// dialBack puts a port of the relay in the place of the client's, and carries what comes to it.
func (s *session) dialBack(verb string, to netip.AddrPort) string {
	ln, at, err := s.listen(s.server.LocalAddr())
	if err != nil {
		return verb + " \r\n"
	}
	s.work.Go(func() {
		server := s.accept(ln)
		if server == nil {
			return
		}
		opened := time.Now()
		sent := s.read(server, opened.Add(s.RoundTrip*3/2))
		if !sleep(s.ctx, opened.Add(s.RoundTrip/2)) {
			_ = server.Close()
			return
		}
		from := addr(s.client.LocalAddr()).Addr()
		dialer := net.Dialer{Timeout: dialLimit, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		conn, err := dialer.DialContext(s.ctx, "tcp", to.String())
		if err != nil {
			abort(server)
			return
		}
		client := conn.(*net.TCPConn)
		s.carry(client, server, s.read(client, opened.Add(s.RoundTrip*2)), sent)
	})
	if verb == "PORT" {
		return "PORT " + wire.FormatPort(at) + "\r\n"
	}
	return "EPRT " + wire.FormatEPRT(at) + "\r\n"
}

func (s *session) listen(on net.Addr) (*net.TCPListener, netip.AddrPort, error) {
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr(on).Addr(), 0)))
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return ln, addr(ln.Addr()), nil
}

// accept takes the one connection that ln is for; nil: none came.
func (s *session) accept(ln *net.TCPListener) *net.TCPConn {
	defer ln.Close()
	stop := context.AfterFunc(s.ctx, func() { _ = ln.Close() })
	defer stop()
	_ = ln.SetDeadline(time.Now().Add(offerLimit))
	conn, err := ln.AcceptTCP()
	if err != nil {
		return nil
	}
	return conn
}

// read takes what comes from a data connection, acknowledges it at once, and says when each part arrives at the other
// side: half a round trip later, and not before first. The session waits for it; it ends with the connection.
func (s *session) read(from *net.TCPConn, first time.Time) <-chan parcel {
	parcels := make(chan parcel, underWay)
	s.work.Go(func() {
		defer close(parcels)
		for {
			b := make([]byte, chunk)
			n, err := from.Read(b)
			p := parcel{at: time.Now().Add(s.RoundTrip / 2), data: b[:n]}
			if p.at.Before(first) {
				p.at = first
			}
			if err == io.EOF {
				quickAck(from) // of the end of the stream, for which a server that lingers waits before it says 226
			}
			p.broken = err != nil && err != io.EOF
			if n > 0 || err != nil {
				select {
				case parcels <- p:
				case <-s.ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	return parcels
}

// carry copies both ways until both ends have closed.
func (s *session) carry(client, server *net.TCPConn, fromClient, fromServer <-chan parcel) {
	defer client.Close()
	defer server.Close()
	stop := context.AfterFunc(s.ctx, func() { _ = client.Close(); _ = server.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { deliver(s.ctx, server, fromClient) })
	both.Go(func() { deliver(s.ctx, client, fromServer) })
	both.Wait()
}

// abort ends a connection so that the other side knows that it is not whole.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

func addr(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
