package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	ftpd "goftp.io/server/v2"
	"goftp.io/server/v2/driver/file"

	"portside/connlog"
	"portside/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a scripted server: a small honest one, whose answers to single commands a test replaces.
type peer struct {
	t        *testing.T
	ln       net.Listener
	greeting string
	greet    func(c *peerConn) // in place of greeting
	on       map[string]func(c *peerConn, arg string)
	files    map[string]string
	start    sync.Once
	work     sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
	got      []string // command lines
	stored   map[string]string
}

type peerConn struct {
	*peer
	net.Conn
	br   *bufio.Reader
	data func() (net.Conn, error)
	wait net.Listener
	rest int64
}

func (c *peerConn) say(format string, args ...any) { fmt.Fprintf(c.Conn, format+"\r\n", args...) }

func newPeer(t *testing.T) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, ln: ln, greeting: "220 Peer ready [session abc123]", on: map[string]func(*peerConn, string){},
		files: map[string]string{"a.txt": "hello"}, stored: map[string]string{}}
	t.Cleanup(func() {
		ln.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	return p
}

func (p *peer) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

func (p *peer) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.got...)
}

func (p *peer) serve(conn net.Conn) {
	c := &peerConn{peer: p, Conn: conn, br: bufio.NewReader(conn)}
	defer conn.Close()
	defer func() {
		if c.wait != nil {
			c.wait.Close()
		}
	}()
	if p.greet != nil {
		p.greet(c)
		return
	}
	io.WriteString(conn, p.greeting+"\r\n")
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		p.mu.Lock()
		p.got = append(p.got, line)
		p.mu.Unlock()
		verb, arg, _ := strings.Cut(line, " ")
		if f := p.on[verb]; f != nil {
			f(c, arg)
		} else {
			c.answer(verb, arg)
		}
		if verb == "QUIT" {
			return
		}
	}
}

// answer is what an honest server does.
func (c *peerConn) answer(verb, arg string) {
	switch verb {
	case "USER":
		c.say("331 Password")
	case "PASS":
		c.say("230 In")
	case "FEAT":
		c.say("211-Features\r\n MLST type*;size*;modify*;\r\n SIZE\r\n211 End")
	case "TYPE", "NOOP", "OPTS":
		c.say("200 OK")
	case "PWD":
		c.say(`257 "/" is current`)
	case "REST":
		fmt.Sscan(arg, &c.rest)
		c.say("350 OK")
	case "QUIT":
		c.say("221 Bye")
	case "EPSV", "PASV":
		c.offer()
		at := c.wait.Addr().(*net.TCPAddr).AddrPort()
		if verb == "EPSV" {
			c.say("229 %s", wire.Format229(at.Port()))
		} else {
			c.say("227 %s", wire.Format227(at))
		}
	case "EPRT", "PORT":
		parse := wire.ParseEPRT
		if verb == "PORT" {
			parse = wire.ParsePort
		}
		to, err := parse(arg)
		if err != nil {
			c.say("501 %v", err)
			return
		}
		c.data = func() (net.Conn, error) { return net.Dial("tcp", to.String()) }
		c.say("200 OK")
	case "RETR":
		c.send(c.files[strings.TrimPrefix(arg, "/")][min(c.rest, int64(len(c.files[strings.TrimPrefix(arg, "/")]))):])
	case "MLSD", "LIST":
		c.send("type=file;size=5; a.txt\r\n")
	case "STOR":
		c.say("150 Go")
		if conn := c.open(); conn != nil {
			b, err := io.ReadAll(conn)
			conn.Close()
			if err != nil {
				c.say("426 Cut")
				return
			}
			c.mu.Lock()
			c.stored[arg] = string(b)
			c.mu.Unlock()
			c.say("226 Done")
		}
	case "ABOR":
		c.say("225 Nothing to abort")
	default:
		c.say("502 No")
	}
}

func (c *peerConn) offer() {
	if c.wait != nil {
		c.wait.Close()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Error(err)
		return
	}
	c.wait = ln
	c.data = func() (net.Conn, error) { return ln.Accept() }
}

func (c *peerConn) open() net.Conn {
	conn, err := c.data()
	if err != nil {
		c.say("425 Can't open data connection")
		return nil
	}
	c.keep(conn)
	return conn
}

func (c *peerConn) send(data string) {
	c.rest = 0
	c.say("150 Here")
	if conn := c.open(); conn != nil {
		_, err := io.WriteString(conn, data)
		conn.Close()
		if err != nil {
			c.say("426 Cut")
			return
		}
		c.say("226 Done")
	}
}

// target starts the peer, whose script must not change from here on.
func (p *peer) target() Target {
	ln := p.ln
	p.start.Do(func() {
		p.work.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				p.keep(conn)
				p.work.Go(func() { p.serve(conn) })
			}
		})
	})
	t := to(p.ln.Addr().(*net.TCPAddr).AddrPort())
	t.TLS = TLSNone
	return t
}

// short limits keep the tests of silence fast.
var short = Timeouts{Connect: time.Second, Reply: 400 * time.Millisecond, DataDial: 400 * time.Millisecond,
	DataDialQuick: 200 * time.Millisecond, Accept: 300 * time.Millisecond, AcceptQuick: 200 * time.Millisecond,
	Stall: 700 * time.Millisecond}

func wantError(t *testing.T, err error, reason connlog.Reason, words ...string) *Error {
	t.Helper()
	e, ok := asType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
	if e.Reason != reason {
		t.Errorf("reason %q, want %q: %v", e.Reason, reason, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in %q", w, err)
		}
	}
	return e
}

func TestWhatIsNotFTPIsNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		greeting string
		words    string
		reason   connlog.Reason
	}{
		"SSH":      {"SSH-2.0-OpenSSH_9.2", "SFTP", connlog.ReasonNotFTP},
		"HTTP":     {"HTTP/1.1 400 Bad Request", "web server", connlog.ReasonNotFTP},
		"mail":     {"220 mx.example ESMTP", "mail server", connlog.ReasonNotFTP},
		"IMAP":     {"* OK ready", "mail server", connlog.ReasonNotFTP},
		"noise":    {"\x1b[31mhello\x07", `\\x1b[31mhello`, connlog.ReasonNotFTP},
		"TLS":      {"\x15\x03\x01\x00\x02\x02\x46", "ftps://", connlog.ReasonNotFTP},
		"endless":  {strings.Repeat("x", 10<<20), "not an FTP server", connlog.ReasonNotFTP},
		"multi":    {"220-" + strings.Repeat("hello\r\n", 200_000), "not an FTP server", connlog.ReasonNotFTP},
		"full":     {"421 Too many users", "Too many users", connlog.ReasonRejected},
		"silence":  {"", "no FTP greeting", connlog.ReasonNotFTP},
		"unending": {"220-hello", "no FTP greeting", connlog.ReasonNotFTP},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.greeting = tc.greeting
			if name == "silence" {
				p.ln.Close()
				ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel only
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				p.ln = ln
				p.start.Do(func() {})
			}
			b := &book{}
			var patience Timeouts
			if strings.HasPrefix(tc.words, "no FTP greeting") {
				patience.Reply = short.Reply // only then: else it would be how fast a busy machine sends bytes that is judged
			}
			_, err := Dial(context.Background(), Options{Target: p.target(), Timeouts: patience, Recorder: b})
			wantError(t, err, tc.reason, tc.words)
			if got := b.find(connlog.ControlFailed); len(got) != 1 || got[0].Reason != tc.reason {
				t.Errorf("records: %+v", got)
			}
		})
	}
}

func TestDialSaysWhyNothingAnswers(t *testing.T) {
	p := newPeer(t)
	target := p.target()
	p.ln.Close()
	_, err := Dial(context.Background(), Options{Target: target})
	wantError(t, err, connlog.ReasonRefused, "no server listens on this port")
	// That is no name, so no name service is asked, which may be slow or not there.
	_, err = Dial(context.Background(), Options{Target: Target{Host: "no-such-host..invalid"}})
	wantError(t, err, connlog.ReasonUnknownHost, "no-such-host..invalid")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Dial(ctx, Options{Target: target})
	wantError(t, err, connlog.ReasonCancelled)
}

func TestWrongPasswordIsToldWithTheReplyAndNeverLogged(t *testing.T) {
	p := newPeer(t)
	p.on["PASS"] = func(c *peerConn, arg string) { c.say("530 Login incorrect") }
	b := &book{}
	target := p.target()
	target.User, target.Password = "bob", "s3cret%x"
	_, err := Dial(context.Background(), Options{Target: target, Recorder: b})
	e := wantError(t, err, connlog.ReasonRejected, "530 Login incorrect")
	if e.Code != 530 {
		t.Error("code", e.Code)
	}
	if r := b.find(connlog.SignInRefused); len(r) != 1 || r[0].User != "bob" {
		t.Errorf("records: %+v", r)
	}
	if strings.Contains(fmt.Sprint(b.all), "s3cret") || strings.Contains(err.Error(), "s3cret") {
		t.Error("the password is in the records or in the error")
	}
	if r := b.find(connlog.ControlClosed); len(r) != 1 {
		t.Errorf("control closed: %+v", r)
	}
}

func TestRecordsNameTheServersSession(t *testing.T) {
	p := newPeer(t)
	_, b := dial(t, Options{Target: p.target()})
	r := b.find(connlog.Greeted)
	if len(r) != 1 || r[0].Peer != "abc123" || !strings.Contains(r[0].Software, "Peer ready") || !r[0].From.IsValid() || !r[0].To.IsValid() {
		t.Errorf("%+v", r)
	}
}

func TestNamesThatWouldBreakTheLineAreNeverSent(t *testing.T) {
	p := newPeer(t)
	s, _ := dial(t, Options{Target: p.target()})
	ctx := context.Background()
	before := len(p.lines())
	bad := "a\r\nDELE b"
	_, e1 := s.List(ctx, bad)
	_, e2 := s.Get(ctx, "a\x00", 0, io.Discard)
	_, e3 := s.Raw(ctx, bad)
	for _, err := range []error{e1, e2, e3, s.Rename(ctx, "a", bad), s.Delete(ctx, bad), s.MakeDir(ctx, bad)} {
		wantError(t, err, connlog.ReasonPolicy)
	}
	if after := p.lines(); len(after) != before {
		t.Errorf("sent %q", after[before:])
	}
	if _, err := Dial(ctx, Options{Target: Target{Host: "127.0.0.1", User: bad}}); err == nil {
		t.Error("the user name was taken")
	}
}

func get(t *testing.T, s *Session) (string, error) {
	t.Helper()
	var buf bytes.Buffer
	_, err := s.Get(context.Background(), "a.txt", 0, &buf)
	return buf.String(), err
}

func TestEPSVRefusedFallsBackToPASV(t *testing.T) {
	p := newPeer(t)
	p.on["EPSV"] = func(c *peerConn, _ string) { c.say("500 What?") }
	s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
	for range 2 {
		if got, err := get(t, s); got != "hello" || err != nil {
			t.Fatal(got, err)
		}
	}
	if r := b.find(connlog.PassiveRefused); len(r) != 1 || r[0].Command != "EPSV" || r[0].Conn != 1 {
		t.Errorf("EPSV was asked for again: %+v", r)
	}
	if r := b.find(connlog.PassiveOffered); len(r) != 2 || r[0].Command != "PASV" || r[0].Conn != 2 || r[1].Conn != 3 {
		t.Errorf("%+v", r)
	}
}

func TestAddressIn227IsIgnoredUnlessTrusted(t *testing.T) {
	p := newPeer(t)
	p.on["EPSV"] = func(c *peerConn, _ string) { c.say("502 No") }
	p.on["PASV"] = func(c *peerConn, _ string) {
		c.offer()
		at := c.wait.Addr().(*net.TCPAddr).AddrPort()
		c.say("227 %s", wire.Format227(netip.AddrPortFrom(netip.MustParseAddr("10.9.8.7"), at.Port())))
	}
	s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
	if got, err := get(t, s); got != "hello" || err != nil {
		t.Fatal(got, err)
	}
	r := b.find(connlog.PassiveOffered)[0]
	if r.Advertised.Addr().String() != "10.9.8.7" || r.To.Addr().String() != "127.0.0.1" || r.To.Port() != r.Advertised.Port() {
		t.Errorf("%+v", r)
	}
	s, b = dial(t, Options{Target: p.target(), Mode: ModePassive, TrustPASV: true, Timeouts: Timeouts{DataDial: short.DataDial}})
	_, _ = get(t, s)
	if r := b.find(connlog.DataDialing); len(r) != 1 || r[0].To.Addr().String() != "10.9.8.7" {
		t.Errorf("%+v", r)
	}
}

func TestActiveFallsBackFromEPRTToPORT(t *testing.T) {
	p := newPeer(t)
	p.on["EPRT"] = func(c *peerConn, _ string) { c.say("500 What?") }
	s, b := dial(t, Options{Target: p.target(), Mode: ModeActive})
	for range 2 {
		if got, err := get(t, s); got != "hello" || err != nil {
			t.Fatal(got, err)
		}
	}
	if r := b.find(connlog.ActiveRefused); len(r) != 1 || r[0].Conn != 1 {
		t.Errorf("%+v", r)
	}
	opened := b.find(connlog.DataOpened)
	if len(opened) != 2 || opened[0].Initiator != connlog.Server || opened[0].Conn != 2 || opened[1].Conn != 3 {
		t.Errorf("%+v", opened)
	}
}

func TestActiveUsesTheRangeAndTheAnnouncedAddress(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := free.Addr().(*net.TCPAddr).AddrPort().Port()
	defer free.Close()
	p := newPeer(t)
	p.on["EPRT"] = func(c *peerConn, arg string) {
		at, err := wire.ParseEPRT(arg)
		if err != nil {
			t.Error(err)
		}
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()) // the router's work
		c.data = func() (net.Conn, error) { return net.Dial("tcp", to.String()) }
		c.say("200 OK")
	}
	s, b := dial(t, Options{Target: p.target(), Mode: ModeActive, ActivePorts: PortRange{taken, taken + 20},
		ActiveAddress: netip.MustParseAddr("203.0.113.5")})
	if got, err := get(t, s); got != "hello" || err != nil {
		t.Fatal(got, err)
	}
	r := b.find(connlog.ActiveRequested)[0]
	if r.To.Addr().String() != "203.0.113.5" || r.To.Port() <= taken || r.To.Port() > taken+20 {
		t.Errorf("%+v", r)
	}
}

func TestStrangerOnTheActivePortIsRefusedAndTheWaitGoesOn(t *testing.T) {
	p := newPeer(t)
	p.on["EPRT"] = func(c *peerConn, arg string) {
		to, _ := wire.ParseEPRT(arg)
		c.data = func() (net.Conn, error) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
			stranger, err := d.Dial("tcp", to.String())
			if err == nil { // the refusal may come before the dial has returned
				io.ReadAll(stranger)
				stranger.Close()
			}
			return net.Dial("tcp", to.String())
		}
		c.say("200 OK")
	}
	s, b := dial(t, Options{Target: p.target(), Mode: ModeActive})
	if got, err := get(t, s); got != "hello" || err != nil {
		t.Fatal(got, err)
	}
	if r := b.find(connlog.StrangerRefused); len(r) != 1 || r[0].From.Addr().String() != "127.0.0.2" {
		t.Errorf("%+v", r)
	}
}

// closedPort is a port on which nobody listens, or will: it belongs to a connection until the test ends. A listener that was
// closed may live on in a process that begins.
func closedPort(t *testing.T) uint16 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); other.Close() })
	return addrPort(c.LocalAddr()).Port()
}

func TestAutoTriesActiveWhenPassiveCantBeOpened(t *testing.T) {
	for name, epsv := range map[string]func(*peerConn, string){
		"port closed":  func(c *peerConn, _ string) { c.say("229 %s", wire.Format229(closedPort(t))) },
		"both refused": func(c *peerConn, _ string) { c.say("502 Passive mode is off") },
		"425 after RETR": func(c *peerConn, _ string) {
			c.offer()
			c.data = func() (net.Conn, error) { return nil, errors.New("no") }
			c.say("229 %s", wire.Format229(c.wait.Addr().(*net.TCPAddr).AddrPort().Port()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.on["EPSV"], p.on["PASV"] = epsv, epsv
			var remembered []Mode
			s, b := dial(t, Options{Target: p.target(), Remember: func(m Mode) { remembered = append(remembered, m) }})
			for range 2 {
				if got, err := get(t, s); got != "hello" || err != nil {
					t.Fatal(got, err)
				}
			}
			if r := b.find(connlog.ModeChanged); len(r) != 1 || r[0].Mode != connlog.Active || r[0].Err == "" || r[0].Reason == "" {
				t.Errorf("%+v", r)
			}
			if len(remembered) != 1 || remembered[0] != ModeActive || s.Mode() != ModeActive {
				t.Error(remembered, s.Mode())
			}
		})
	}
}

func TestAutoTellsBothFailures(t *testing.T) {
	p := newPeer(t)
	p.on["EPSV"] = func(c *peerConn, _ string) { c.say("229 %s", wire.Format229(closedPort(t))) }
	p.on["EPRT"] = func(c *peerConn, _ string) { c.say("500 Illegal EPRT") }
	p.on["PORT"] = func(c *peerConn, _ string) { c.say("500 Illegal PORT") }
	s, _ := dial(t, Options{Target: p.target()})
	_, err := get(t, s)
	e := wantError(t, err, connlog.ReasonRejected, "passive", "active", "refused", "Illegal PORT")
	if !e.Data || !e.Unopened {
		t.Errorf("%+v", e)
	}
	if s.Err() != nil {
		t.Error("the session was lost:", s.Err())
	}
}

func TestAMissingFileIsNoReasonToChangeTheMode(t *testing.T) {
	for _, mode := range []Mode{ModeAuto, ModeActive} {
		p := newPeer(t)
		p.on["RETR"] = func(c *peerConn, _ string) { c.say("550 No such file") }
		s, b := dial(t, Options{Target: p.target(), Mode: mode})
		_, err := get(t, s)
		if e := wantError(t, err, connlog.ReasonRejected, "550 No such file"); e.Code != 550 || e.Data {
			t.Errorf("%+v", e)
		}
		if len(b.find(connlog.ModeChanged)) != 0 || len(b.find(connlog.DataFailed)) != 1 {
			t.Error(mode, "records")
		}
		if err := s.Noop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestAModeThatFailedBeforeIsNotAdvised(t *testing.T) {
	p := newPeer(t)
	p.on["EPSV"] = func(c *peerConn, _ string) { c.say("500 Unknown") }
	p.on["PASV"] = func(c *peerConn, _ string) { c.say("502 Switched off") }
	s, _ := dial(t, Options{Target: p.target()})
	if _, err := get(t, s); err != nil || s.Mode() != ModeActive {
		t.Fatal(s.Mode(), err)
	}
	s.o.Timeouts.Accept = short.Accept
	p.on["RETR"] = func(c *peerConn, _ string) { c.say("150 Wait for me") }
	p.on["ABOR"] = func(c *peerConn, _ string) { c.say("426 Given up\r\n226 Aborted") }
	_, err := get(t, s)
	if e := wantError(t, err, connlog.ReasonTimeout, "did not connect", "probably stopped it"); strings.Contains(e.Error(), "Try passive") || strings.Contains(e.Advice, "Try passive") {
		t.Errorf("%v %+v", e, e.Advice)
	}
}

func TestTheOtherModeIsAdvisedUnlessItFailedBefore(t *testing.T) {
	p := newPeer(t)
	s, _ := dial(t, Options{Target: p.target(), First: ModeActive})
	if _, err := get(t, s); err != nil || s.Mode() != ModeActive {
		t.Fatal(s.Mode(), err)
	}
	s.o.Timeouts.Accept = short.Accept
	p.on["RETR"] = func(c *peerConn, _ string) { c.say("150 Wait for me") }
	p.on["ABOR"] = func(c *peerConn, _ string) { c.say("426 Given up\r\n226 Aborted") }
	_, err := get(t, s)
	if e := wantError(t, err, connlog.ReasonTimeout, "did not connect"); !strings.Contains(e.Advice, "Try passive mode") {
		t.Errorf("active mode came first and passive mode was never tried: %q", e.Advice)
	}
	p.on["EPSV"] = func(c *peerConn, _ string) { c.say("229 %s", wire.Format229(closedPort(t))) }
	s.SetMode(ModePassive)
	_, err = get(t, s)
	if e := wantError(t, err, connlog.ReasonRefused); strings.Contains(e.Advice, "Try active") || e.Advice == "" {
		t.Errorf("active mode failed before: %q", e.Advice)
	}
}

func TestActiveThatNobodyAnswersEndsSoonAndKeepsTheSession(t *testing.T) {
	p := newPeer(t)
	p.on["RETR"] = func(c *peerConn, _ string) { c.say("150 Wait for me") }
	p.on["ABOR"] = func(c *peerConn, _ string) { c.say("426 Given up\r\n226 Aborted") }
	s, b := dial(t, Options{Target: p.target(), Mode: ModeActive, Timeouts: Timeouts{Accept: short.Accept}})
	_, err := get(t, s)
	e := wantError(t, err, connlog.ReasonTimeout, "did not connect", "passive mode")
	if !e.Unopened {
		t.Errorf("%+v", e)
	}
	if r := b.find(connlog.DataFailed); len(r) != 1 || r[0].Reason != connlog.ReasonTimeout || r[0].Conn != 1 {
		t.Errorf("%+v", r)
	}
	if err := s.Noop(context.Background()); err != nil {
		t.Error(err)
	}
	if dir, err := s.CurrentDir(context.Background()); dir != "/" || err != nil {
		t.Error("out of step:", dir, err)
	}
}

func TestARefusalEndsTheWaitForTheServerAtOnce(t *testing.T) {
	p := newPeer(t)
	p.on["RETR"] = func(c *peerConn, _ string) { c.say("150 Soon\r\n425 Can't reach you") }
	s, _ := dial(t, Options{Target: p.target(), Mode: ModeActive})
	began := time.Now()
	_, err := get(t, s)
	if e := wantError(t, err, connlog.ReasonRejected, "425 Can't reach you"); e.Code != 425 || !e.Unopened {
		t.Errorf("%+v", e)
	}
	if took := time.Since(began); took > 9*time.Second { // a connection is waited for longer
		t.Error("it took", took)
	}
}

func TestACancelledTransferKeepsTheSession(t *testing.T) {
	for _, reply := range []string{"426 Cut\r\n226 Aborted", "226 Aborted", "225 Nothing"} {
		p := newPeer(t)
		p.on["RETR"] = func(c *peerConn, _ string) {
			c.say("150 Here")
			if conn := c.open(); conn != nil {
				io.WriteString(conn, "hel")
			}
		}
		p.on["ABOR"] = func(c *peerConn, _ string) { c.say("%s", reply) }
		s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
		ctx, cancel := context.WithCancel(context.Background())
		_, err := s.Get(ctx, "a.txt", 0, writerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil }))
		wantError(t, err, connlog.ReasonCancelled)
		if r := b.find(connlog.DataFailed); len(r) != 1 || r[0].Reason != connlog.ReasonCancelled || r[0].Bytes != 3 {
			t.Errorf("%+v", r)
		}
		if dir, err := s.CurrentDir(context.Background()); dir != "/" || err != nil {
			t.Error(reply, "out of step:", dir, err)
		}
		if r, err := s.Raw(context.Background(), "NOOP"); r.Code != 200 || err != nil {
			t.Error(reply, "out of step:", r, err)
		}
	}
}

func TestACancelledWaitForAReplyKeepsTheSession(t *testing.T) {
	p := newPeer(t)
	asked, answer := make(chan bool), make(chan bool)
	p.on["SIZE"] = func(c *peerConn, _ string) { asked <- true; <-answer; c.say("213 99") }
	s, _ := dial(t, Options{Target: p.target()})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	_, err := s.Size(ctx, "a.txt")
	wantError(t, err, connlog.ReasonCancelled)
	close(answer)
	if dir, err := s.CurrentDir(context.Background()); dir != "/" || err != nil {
		t.Error("out of step:", dir, err)
	}
}

// What is cancelled in another folder must not leave the session there: the next relative path would name another file.
func TestACancelledLookIntoAFolderComesBack(t *testing.T) {
	for name, look := range map[string]func(ctx context.Context, s *Session) error{
		"a listing": func(ctx context.Context, s *Session) error { _, err := s.List(ctx, "/a[1]"); return err },
		"a check":   func(ctx context.Context, s *Session) error { return s.CheckDir(ctx, "/a[1]") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			at, asked, answer := "/", make(chan bool, 2), make(chan bool)
			p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-F\r\n SIZE\r\n211 End") }
			p.on["PWD"] = func(c *peerConn, _ string) { c.say("257 %q", at) }
			p.on["CWD"] = func(c *peerConn, arg string) {
				if at = arg; name == "a check" && arg != "/" {
					asked <- true
					<-answer
				}
				c.say("250 There")
			}
			p.on["LIST"] = func(c *peerConn, _ string) {
				asked <- true
				<-answer
				c.send("")
			}
			s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
			ctx, cancel := context.WithCancel(context.Background())
			var once sync.Once
			b.mu.Lock()
			b.hook = func(r connlog.Record) { // the answer comes when the client has given it up
				if r.Event == connlog.CommandSent && (r.Command == "ABOR" || r.Command == "CWD /") {
					once.Do(func() { close(answer) })
				}
			}
			b.mu.Unlock()
			go func() { <-asked; cancel() }()
			wantError(t, look(ctx, s), connlog.ReasonCancelled)
			if dir, err := s.CurrentDir(context.Background()); dir != "/" || err != nil {
				t.Errorf("it is in %q: %v", dir, err)
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestAServerThatIgnoresAbortIsGivenUp(t *testing.T) {
	p := newPeer(t)
	p.on["RETR"] = func(c *peerConn, _ string) {
		c.say("150 Here")
		if conn := c.open(); conn != nil {
			io.WriteString(conn, "hel")
		}
	}
	p.on["ABOR"] = func(*peerConn, string) {}
	p.on["PWD"] = p.on["ABOR"]
	s, b := dial(t, Options{Target: p.target(), Mode: ModePassive, Timeouts: Timeouts{Reply: 2 * short.Reply, Stall: short.Stall}})
	_, err := get(t, s)
	wantError(t, err, connlog.ReasonStalled)
	if s.Err() == nil || len(b.find(connlog.ControlClosed)) != 1 {
		t.Error("the session goes on")
	}
	if _, err := get(t, s); err == nil {
		t.Error("a broken session works")
	}
}

func TestALocalWriteErrorIsNotTheServers(t *testing.T) {
	p := newPeer(t)
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	_, err := s.Get(context.Background(), "a.txt", 0, writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") }))
	wantError(t, err, connlog.ReasonLocal, "disk full")
	if err := s.Noop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestAFailingSourceIsNeverStoredAsWhole(t *testing.T) {
	p := newPeer(t)
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	src := io.MultiReader(strings.NewReader("half"), readerFunc(func([]byte) (int, error) { return 0, errors.New("bad sector") }))
	_, err := s.Put(context.Background(), "up", 0, src)
	wantError(t, err, connlog.ReasonLocal, "bad sector")
	if err := s.Noop(context.Background()); err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if got, ok := p.stored["up"]; ok {
		t.Errorf("the server took %q for the file", got)
	}
}

func TestABrokenDownloadIsNotWhole(t *testing.T) {
	p := newPeer(t)
	p.on["RETR"] = func(c *peerConn, _ string) {
		c.say("150 Here")
		if conn := c.open(); conn != nil {
			io.WriteString(conn, "hel")
			conn.Close()
			c.say("451 Read error")
		}
	}
	s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
	_, err := get(t, s)
	if e := wantError(t, err, connlog.ReasonRejected, "451 Read error"); e.Code != 451 || !e.Temporary() {
		t.Errorf("%+v", e)
	}
	if r := b.find(connlog.DataFailed); len(r) != 1 || r[0].By != connlog.Server {
		t.Errorf("%+v", r)
	}
}

func TestALostServerIsNoticedWhileNothingIsAsked(t *testing.T) {
	for text, reason := range map[string]connlog.Reason{"": connlog.ReasonLost, "421 Idle timeout": connlog.ReasonIdle} {
		p := newPeer(t)
		p.on["NOOP"] = func(c *peerConn, _ string) {
			c.say("200 OK")
			if text != "" {
				c.say("%s", text)
			}
			c.Conn.Close()
		}
		closed := make(chan connlog.Record, 1)
		b := &book{hook: func(r connlog.Record) {
			if r.Event == connlog.ControlClosed {
				closed <- r
			}
		}}
		s, err := Dial(context.Background(), Options{Target: p.target(), Recorder: b})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Noop(context.Background()); err != nil {
			t.Error(err)
		}
		if r := <-closed; r.By != connlog.Server || r.Reason != reason {
			t.Errorf("%+v", r)
		}
		err = s.Noop(context.Background())
		if s.Err() == nil || err == nil {
			t.Error("the session seems well")
		}
		wantError(t, err, reason)
		s.Close()
	}
}

func TestAnEndlessReplyIsBounded(t *testing.T) {
	for name, flood := range map[string]string{
		"line":   strings.Repeat("x", 10<<20),
		"lines":  "213-" + strings.Repeat("more\r\n", 300_000),
		"junk":   "213 5\r\n\x00\x01\x02junk\r\n",
		"many":   strings.Repeat("213 5\r\n", 5000),
		"no end": "213-wait",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.on["SIZE"] = func(c *peerConn, _ string) { io.WriteString(c.Conn, flood) }
			s, _ := dial(t, Options{Target: p.target(), Timeouts: short})
			_, err := s.Size(context.Background(), "a")
			if err == nil {
				err = s.Noop(context.Background())
			}
			if err == nil && name != "many" {
				t.Error("it was taken")
			}
		})
	}
}

func TestAListingIsBounded(t *testing.T) {
	p := newPeer(t)
	p.on["MLSD"] = func(c *peerConn, _ string) { c.send(strings.Repeat("x", 1<<20)) }
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	_, err := s.List(context.Background(), "")
	wantError(t, err, connlog.ReasonPolicy, "longer than")
	if err := s.Noop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestHostileNamesNameNothing(t *testing.T) {
	p := newPeer(t)
	p.on["MLSD"] = func(c *peerConn, _ string) {
		c.send("type=file;size=1; ../../etc/passwd\r\ntype=dir; ..\r\ntype=dir; .\r\ntype=dir; /abs\r\ntype=file; a\x00b\r\ntype=file; back\\slash\r\n")
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	entries, err := s.List(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 {
		t.Fatalf("%+v", entries)
	}
	for _, e := range entries[:3] {
		if !e.Unsafe || e.Type != Other || strings.ContainsAny(e.Name, "/\x00") {
			t.Errorf("%+v", e)
		}
	}
	if e := entries[3]; e.Unsafe || e.Name != `back\slash` {
		t.Errorf("%+v", e)
	}
}

func TestMLSDTellsRightsWhereTheServerCan(t *testing.T) {
	p := newPeer(t)
	p.on["FEAT"] = func(c *peerConn, _ string) {
		c.say("211-Features\r\n MLST type*;size*;modify*;unique*;UNIX.mode;UNIX.uid;x.y;\r\n211 End")
	}
	facts := ""
	p.on["OPTS"] = func(c *peerConn, arg string) { facts += arg + "|"; c.say("200 OK") }
	p.on["MLSD"] = func(c *peerConn, arg string) {
		if arg == "/none" {
			c.say("501 No such directory.")
			return
		}
		c.send("type=file;size=1;unix.mode=0640;unix.uid=7; a\r\n")
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	// What is no folder says nothing against MLSD.
	if _, err := s.List(context.Background(), "/none"); err == nil {
		t.Error("a folder that is not there was listed")
	}
	for range 2 {
		got, err := s.List(context.Background(), "/")
		if err != nil || len(got) != 1 || got[0].Rights != "rw-r-----" || got[0].Owner != "7" {
			t.Errorf("%+v %v", got, err)
		}
	}
	if want := "MLST type;size;modify;unique;unix.mode;unix.uid;|"; strings.Replace(facts, "UTF8 ON|", "", 1) != want {
		t.Errorf("asked for %q", facts)
	}
}

func TestAServerThatKnowsNoRightsIsToldApartFromOneThatRefuses(t *testing.T) {
	p := newPeer(t)
	answer := ""
	p.on["SITE"] = func(c *peerConn, _ string) { c.say("%s", answer) }
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	for line, advice := range map[string]bool{"500 Unknown SITE command.": true, "502 Not implemented": true, "550 Permission denied.": false} {
		answer = line
		err := s.Chmod(context.Background(), "/f", 0o640)
		if err == nil || strings.Contains(err.Error(), "no command to change rights") != advice {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestListFallsBackFromMLSDAndFromDashA(t *testing.T) {
	p := newPeer(t)
	p.on["MLSD"] = func(c *peerConn, _ string) { c.say("500 Unknown") }
	p.on["LIST"] = func(c *peerConn, arg string) {
		if strings.HasPrefix(arg, "-a") {
			c.say("550 No such folder")
			return
		}
		c.send("total 1\r\n-rw-r--r--   1 bob staff  5 Jan 02  2024 a.txt\r\n")
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	for range 2 {
		entries, err := s.List(context.Background(), "/x y")
		if err != nil || len(entries) != 1 || entries[0].Owner != "bob" || entries[0].Size != 5 {
			t.Fatalf("%+v %v", entries, err)
		}
	}
	lists := 0
	for _, l := range p.lines() {
		if strings.HasPrefix(l, "MLSD") || strings.HasPrefix(l, "LIST") {
			lists++
		}
	}
	if lists != 4 { // MLSD, LIST -a, LIST; then LIST
		t.Errorf("%d listing commands: %q", lists, p.lines())
	}
}

func TestAFolderWhoseNameEndsInASpaceIsListed(t *testing.T) {
	p := newPeer(t)
	p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-F\r\n SIZE\r\n211 End") }
	p.on["LIST"] = func(c *peerConn, arg string) {
		if arg == "-a /dir " {
			c.send("-rw-r--r-- 1 u g 5 Jan  2  2020 right\r\n")
		} else {
			c.send("-rw-r--r-- 1 u g 5 Jan  2  2020 wrong\r\n")
		}
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	entries, err := s.List(context.Background(), "/dir ")
	if err != nil || len(entries) != 1 || entries[0].Name != "right" {
		t.Errorf("%v %v", entries, err)
	}
}

func TestRefusedTLSStopsBeforeAnythingIsSent(t *testing.T) {
	p := newPeer(t)
	target := p.target()
	target.TLS, target.User, target.Password = TLSExplicit, "bob", "secret"
	_, err := Dial(context.Background(), Options{Target: target})
	wantError(t, err, connlog.ReasonTLS, "no TLS")
	for _, l := range p.lines() {
		if l != "AUTH TLS" {
			t.Errorf("sent %q", l)
		}
	}
	target.TLS = TLSAuto
	s, b := dial(t, Options{Target: target})
	if s.TLSState() != nil || len(b.find(connlog.ControlTLS)) != 0 {
		t.Error("TLS state")
	}
}

func TestAServerThatIsFullIsNotSaidToHaveNoTLS(t *testing.T) {
	p := newPeer(t)
	p.on["AUTH"] = func(c *peerConn, _ string) { c.say("421 Too many users") }
	target := p.target()
	for _, target.TLS = range []TLSMode{TLSAuto, TLSExplicit} {
		_, err := Dial(context.Background(), Options{Target: target})
		e := wantError(t, err, connlog.ReasonRejected, "Too many users", "try later")
		if !e.Temporary() || strings.Contains(err.Error(), "no TLS") {
			t.Errorf("%s: %v", target.TLS, err)
		}
	}
}

func TestBytesBeforeTheHandshakeAreTampering(t *testing.T) {
	p := newPeer(t)
	p.on["AUTH"] = func(c *peerConn, _ string) { c.say("234 Go\r\n230 You are in") }
	target := p.target()
	target.TLS = TLSAuto
	_, err := Dial(context.Background(), Options{Target: target})
	wantError(t, err, connlog.ReasonTLS, "tampers")
}

func TestImplicitTLSToAPlainServerIsNamed(t *testing.T) {
	p := newPeer(t)
	target := p.target()
	target.TLS = TLSImplicit
	_, err := Dial(context.Background(), Options{Target: target})
	wantError(t, err, connlog.ReasonTLS, "ftpes://")
}

func TestCloseEndsATransferUnderWay(t *testing.T) {
	p := newPeer(t)
	p.on["RETR"] = func(c *peerConn, _ string) {
		c.say("150 Here")
		if conn := c.open(); conn != nil {
			io.WriteString(conn, "hel")
		}
	}
	p.on["ABOR"] = func(*peerConn, string) {}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	begun, ended := make(chan bool), make(chan error)
	go func() {
		_, err := s.Get(context.Background(), "a.txt", 0, writerFunc(func(b []byte) (int, error) { close(begun); return len(b), nil }))
		ended <- err
	}()
	<-begun
	if n := s.Moved(); n != 0 && n != 3 {
		t.Error("moved", n)
	}
	began := time.Now()
	s.Close()
	if took := time.Since(began); took > 20*time.Second { // a reply is waited for longer
		t.Error("Close took", took)
	}
	wantError(t, <-ended, connlog.ReasonCancelled)
	if err := s.Noop(context.Background()); err == nil {
		t.Error("a closed session works")
	}
	s.Close()
}

// quiet is a logger for goftp that says nothing.
type quiet struct{}

func (quiet) Print(string, any)                   {}
func (quiet) Printf(string, string, ...any)       {}
func (quiet) PrintCommand(string, string, string) {}
func (quiet) PrintResponse(string, int, string)   {}

func TestGoftpInBothModes(t *testing.T) {
	for _, mode := range []Mode{ModePassive, ModeActive} {
		t.Run(string(mode), func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "up"), 0o777); err != nil {
				t.Fatal(err)
			}
			driver, err := file.NewDriver(root)
			if err != nil {
				t.Fatal(err)
			}
			srv, err := ftpd.NewServer(&ftpd.Options{Driver: driver, Auth: &ftpd.SimpleAuth{Name: "bob", Password: "pw"},
				Perm: ftpd.NewSimplePerm("bob", "staff"), Logger: quiet{}, Hostname: "127.0.0.1"})
			if err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- srv.Serve(ln) }()
			defer func() { _ = srv.Shutdown(); <-done }()
			target := to(ln.Addr().(*net.TCPAddr).AddrPort())
			target.User, target.Password = "bob", "pw"
			s, b := dial(t, Options{Target: target, Mode: mode})
			ctx := context.Background()
			content := strings.Repeat("portside ", 100_000)
			if n, err := s.Put(ctx, "/up/x", 0, strings.NewReader(content)); err != nil || int(n) != len(content) {
				t.Fatal(n, err)
			}
			entries, err := s.List(ctx, "/up")
			if err != nil || len(entries) != 1 || entries[0].Size != int64(len(content)) || entries[0].Name != "x" {
				t.Fatalf("%+v %v", entries, err)
			}
			var back strings.Builder
			if _, err := s.Get(ctx, "/up/x", 5, &back); err != nil || back.String() != content[5:] {
				t.Error(err, back.Len())
			}
			if err := s.Rename(ctx, "/up/x", "/up/y"); err != nil {
				t.Error(err)
			}
			if err := s.MakeDir(ctx, "/d"); err != nil {
				t.Error(err)
			}
			if err := s.RemoveDir(ctx, "/d"); err != nil {
				t.Error(err)
			}
			if n, err := s.Size(ctx, "/up/y"); int(n) != len(content) || err != nil {
				t.Error(n, err)
			}
			if err := s.Delete(ctx, "/up/y"); err != nil {
				t.Error(err)
			}
			want := connlog.Client
			if mode == ModeActive {
				want = connlog.Server
			}
			for _, r := range b.find(connlog.DataOpened) {
				if r.Initiator != want {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func TestAutoSendsAnUploadAnewFromItsBegin(t *testing.T) {
	content := strings.Repeat("x", 1000)
	for name, src := range map[string]io.Reader{"seeker": strings.NewReader(content), "stream": io.MultiReader(strings.NewReader(content))} {
		p := newPeer(t)
		active := false
		p.on["EPRT"] = func(c *peerConn, arg string) { active = true; c.answer("EPRT", arg) }
		p.on["STOR"] = func(c *peerConn, arg string) {
			if active {
				c.answer("STOR", arg)
				return
			}
			c.say("150 Go")
			if conn := c.open(); conn != nil {
				_, _ = io.ReadFull(conn, make([]byte, 10))
				c.say("425 Security: bad IP connecting")
				conn.Close()
			}
		}
		s, _ := dial(t, Options{Target: p.target()})
		n, err := s.Put(context.Background(), "up", 0, src)
		p.mu.Lock()
		got := p.stored["up"]
		p.mu.Unlock()
		if name == "seeker" && (err != nil || n != 1000 || got != content) {
			t.Error(name, n, err, len(got))
		}
		if name == "stream" && (err == nil || got != "") {
			t.Error("a part was stored as the whole:", len(got))
		}
	}
}

func TestASourceThatIsSlowIsNoStalledConnection(t *testing.T) {
	p := newPeer(t)
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive, Timeouts: Timeouts{Stall: 300 * time.Millisecond}})
	slow := readerFunc(func(b []byte) (int, error) {
		time.Sleep(400 * time.Millisecond)
		return copy(b, "x"), io.EOF
	})
	if n, err := s.Put(context.Background(), "up", 0, slow); n != 1 || err != nil {
		t.Error(n, err)
	}
}

// A session that can't be brought back to its folder would take every relative path for another file.
func TestASessionThatCantGoBackIsGivenUp(t *testing.T) {
	p := newPeer(t)
	p.on["PWD"] = func(c *peerConn, _ string) { c.say(`257 "/home"`) }
	p.on["CWD"] = func(c *peerConn, arg string) {
		if arg == "/home" {
			c.say("550 Not any more")
			return
		}
		c.say("250 There")
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	if err := s.CheckDir(context.Background(), "/pub"); err == nil || s.Err() == nil {
		t.Errorf("%v; the session: %v", err, s.Err())
	}
}

// A server may take the name of a folder for a pattern, and list others.
func TestLinksAreLookedForWithinAFolderWhoseNameIsAPattern(t *testing.T) {
	p := newPeer(t)
	in := "/"
	p.on["CWD"] = func(c *peerConn, arg string) { in = arg; c.say("250 OK") }
	p.on["PWD"] = func(c *peerConn, _ string) { c.say("257 %q", in) }
	p.on["LIST"] = func(c *peerConn, arg string) {
		if in != "/a[1]" || strings.ContainsAny(arg, "[]") {
			c.send("drwxr-xr-x 2 u g 4096 Jan 01  2020 of-another-folder\r\n")
			return
		}
		c.send("lrwxrwxrwx 1 u g 4 Jan 01  2020 link -> real\r\ndrwxr-xr-x 2 u g 4096 Jan 01  2020 real\r\n")
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	links, err := s.Links(context.Background(), "/a[1]")
	if err != nil || len(links) != 1 || !links["link"] || !slices.Contains(p.lines(), "CWD /") {
		t.Error(links, err, p.lines())
	}
}
