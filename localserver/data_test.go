package localserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portside/connlog"
	"portside/wire"
)

func TestRow16OnlyTheClientsOwnAddressIsDialled(t *testing.T) {
	r := start(t, nil)
	r.write("a", "x")
	c := r.login()
	for _, x := range []struct {
		code int
		line string
	}{
		{504, "PORT 127,0,0,9,200,10"}, {504, "PORT 127,0,0,1,0,25"}, {504, "PORT 127,0,0,1,3,255"}, {501, "PORT 999,1,1,1,200,10"},
		{501, "PORT 127,0,0,01,200,10"}, {501, "PORT 127,0,0,1,200"}, {501, "PORT a.b,0,0,1,200,10"}, {504, "EPRT |1|127.0.0.9|5000|"},
		{504, "EPRT |1|127.0.0.1|80|"}, {522, "EPRT |2|::1|5000|"}, {522, "EPRT |3|x|5000|"}, {501, "EPRT |1|::1|5000|"},
		{501, "EPRT |1|localhost|5000|"}, {501, "EPRT ||||"}, {501, "EPRT |1|127.0.0.1|0|"}, {501, "EPRT |1|127.0.0.1|70000|"},
	} {
		c.cmd(x.code, "%s", x.line)
		c.cmd(425, "RETR a")
	}
	c.cmd(200, "EPRT !1!127.0.0.1!5000!") // any delimiter
	if n := r.rec.count(connlog.DataDialing); n != 0 {
		t.Errorf("%d dials", n)
	}
	if x := r.rec.wait(t, connlog.ActiveRefused, 1); x.To.String() != "127.0.0.9:51210" || x.Initiator != connlog.Server || x.Conn == 0 {
		t.Errorf("recorded %+v", x)
	}
}

func startV6(t *testing.T) *rig {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 loopback: %v", err)
	} else {
		l.Close()
	}
	return start(t, func(c *Config) { c.Listen = "[::1]:0" })
}

func TestRow17PassiveCommands(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	text := c.cmd(227, "PASV")
	ap, err := wire.Parse227(text)
	if err != nil || ap.Addr().String() != "127.0.0.1" {
		t.Errorf("%q: %v", text, err)
	}
	c.cmd(229, "EPSV 1")
	c.cmd(522, "EPSV 2")
	c.cmd(501, "EPSV x")
	c.cmd(200, "EPSV ALL")
	c.cmd(501, "PASV")
	c.cmd(501, "PORT 127,0,0,1,200,10")
	c.cmd(501, "EPRT |1|127.0.0.1|5000|")
	c.fetch("NLST")

	r = startV6(t)
	c = r.login()
	c.cmd(425, "PASV")
	c.cmd(522, "EPSV 1")
	c.cmd(229, "EPSV 2")
	c.cmd(504, "PORT 127,0,0,1,200,10")
	c.cmd(522, "EPRT |1|127.0.0.1|5000|")
	c.fetch("LIST")
}

func TestRow18ListenerBindsTheAddressThatTheClientCameTo(t *testing.T) {
	r := start(t, func(c *Config) { c.Listen = ":0" })
	srv := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), r.srv.Addr().Port())
	conn, err := net.Dial("tcp", srv.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := newRaw(t, conn)
	c.expect(220)
	c.cmd(331, "USER u")
	c.cmd(230, "PASS pw")
	port := c.epsvPort()
	if other, err := net.Dial("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(int(port)))); err == nil {
		other.Close()
		t.Error("127.0.0.2 answers too")
	}
	if x := r.rec.wait(t, connlog.PassiveOffered, 1); x.To != netip.AddrPortFrom(srv.Addr(), port) || x.Conn != 1 {
		t.Errorf("recorded %+v", x)
	}
}

func TestRow19StrangerIsRefusedAndTheWaitGoesOn(t *testing.T) {
	r := start(t, nil)
	r.write("a", "secret")
	c := r.login()
	port := c.epsvPort()
	for range 3 {
		c.getsNothing(c.stranger(port))
	}
	d := c.dialPort(port)
	c.cmd(150, "RETR a")
	if b, _ := io.ReadAll(d); string(b) != "secret" {
		t.Errorf("the client got %q", b)
	}
	c.expect(226)
	if x := r.rec.wait(t, connlog.StrangerRefused, 3); x.From.Addr().String() != "127.0.0.9" || x.Conn != 1 {
		t.Errorf("recorded %+v", x)
	}
}

func TestRow19RefusedConnectionIsNotUsedByTheNextTransfer(t *testing.T) {
	r := start(t, nil)
	r.write("a", "secret")
	c := r.login()
	s := c.stranger(c.epsvPort())
	r.limit(func(l *Limits) { l.OfferTimeout = 100 * time.Millisecond })
	c.cmd(425, "RETR a")
	c.cmd(425, "RETR a")
	c.getsNothing(s)
}

func TestRow19OtherAddressesWhenTheSettingSaysSo(t *testing.T) {
	r := start(t, func(c *Config) { c.Passive.AllowForeignAddress = true; c.Active.AllowForeignAddress = true })
	r.write("a", "x")
	c := r.login()
	s := c.stranger(c.epsvPort())
	c.cmd(150, "RETR a")
	if b, _ := io.ReadAll(s); string(b) != "x" {
		t.Errorf("got %q", b)
	}
	c.expect(226)
	c.cmd(200, "PORT 127,0,0,9,200,10")
}

func freeRange(t *testing.T, n int) (lo uint16) {
	t.Helper()
	syscall.ForkLock.RLock() // else a process that begins meanwhile has the ports for a moment longer
	defer syscall.ForkLock.RUnlock()
	for range 1000 {
		lo = 22000 + uint16(rand.IntN(8000-n)) // below the ports that systems give out by themselves
		var open []net.Listener
		ok := true
		for i := range n {
			l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", int(lo)+i))
			if err != nil {
				ok = false
				break
			}
			open = append(open, l)
		}
		for _, l := range open {
			l.Close()
		}
		if ok {
			return lo
		}
	}
	t.Fatal("no free range of ports")
	return 0
}

func withRange(t *testing.T, n int, change func(*Config)) *rig {
	lo := freeRange(t, n)
	return start(t, func(c *Config) {
		c.Passive = PassiveConfig{UseRange: true, Min: lo, Max: lo + uint16(n) - 1}
		if change != nil {
			change(c)
		}
	})
}

func TestRow20NewOfferTakesBackTheFormerOne(t *testing.T) {
	r := withRange(t, 5, nil)
	c := r.login()
	for i := range 1000 {
		c.cmd(227, "PASV")
		c.cmd(200, "PORT 127,0,0,1,200,%d", i%250)
	}
	if p := r.srv.PortsInUse(); len(p) != 0 {
		t.Errorf("still held: %v", p)
	}
	old := c.epsvPort()
	c.cmd(229, "EPSV")
	if p := r.srv.PortsInUse(); len(p) != 1 || p[0].InUse || p[0].User != "u" {
		t.Errorf("held: %v", p)
	}
	if p := r.srv.PortsInUse()[0].Port; p != old {
		if s, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", old)); err == nil {
			s.Close()
			t.Error("the former offer still answers")
		}
	}
	c.c.Close()
	r.rec.wait(t, connlog.ControlClosed, 1)
	if p := r.srv.PortsInUse(); len(p) != 0 {
		t.Errorf("held after the session's end: %v", p)
	}
}

func TestRow20OfferEndsAtItsDeadline(t *testing.T) {
	r := withRange(t, 1, nil)
	a, b := r.login(), r.login()
	a.cmd(229, "EPSV")
	b.cmd(425, "EPSV")
	r.limit(func(l *Limits) { l.OfferTimeout = 100 * time.Millisecond })
	a.cmd(229, "EPSV")
	if x := r.rec.wait(t, connlog.OfferExpired, 1); x.Conn != 2 || x.Mode != connlog.Passive {
		t.Errorf("recorded %+v", x)
	}
	b.cmd(229, "EPSV")
	a.cmd(425, "LIST")
}

func TestRow20ErrorsTakeTheOfferBack(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	for _, line := range []string{"RETR missing", "STOR missing/x", "LIST missing", "RETR /", "MLSD missing"} {
		c.epsvPort()
		c.cmd(550, "%s", line)
		if p := r.srv.PortsInUse(); len(p) != 0 {
			t.Errorf("after %s: %v", line, p)
		}
	}
}

func TestRow21FullRangeNamesItsHoldersAndGivesNoOtherPort(t *testing.T) {
	r := withRange(t, 2, nil)
	lo := r.srv.Passive().Min
	a, b, c := r.login(), r.login(), r.login()
	for _, x := range []*raw{a, b} {
		if p := x.epsvPort(); p < lo || p > lo+1 {
			t.Errorf("port %d is outside of %d-%d", p, lo, lo+1)
		}
	}
	c.cmd(425, "PASV")
	x := r.rec.wait(t, connlog.PortsExhausted, 1)
	if len(x.Holders) != 2 || !strings.Contains(x.Holders[0], " u 127.0.0.1: "+strconv.Itoa(int(lo))) {
		t.Errorf("holders %q", x.Holders)
	}
	if no := r.rec.wait(t, connlog.PassiveRefused, 1); x.Conn == 0 || no.Conn != x.Conn {
		t.Errorf("the refused data channel has the numbers %d and %d", x.Conn, no.Conn)
	}
	a.cmd(226, "ABOR") // takes its offer back
	c.cmd(227, "PASV")
}

// loginFrom signs in from another address of the loopback.
func (r *rig) loginFrom(last byte) *raw {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
	conn, err := d.Dial("tcp", r.srv.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	c := &raw{t: r.t, c: conn, in: bufio.NewReader(conn)}
	c.expect(220)
	c.cmd(331, "USER u")
	c.cmd(230, "PASS pw")
	c.cmd(200, "TYPE I")
	return c
}

func TestRow21AnAddressWithAllPortsKeepsNobodyOut(t *testing.T) {
	r := withRange(t, 4, nil)
	r.write("f", "content")
	var many []*raw
	for range 4 { // the whole range, while nobody else wants it
		c := r.loginFrom(1)
		c.epsvPort()
		many = append(many, c)
	}
	fifth := r.loginFrom(1)
	fifth.cmd(425, "EPSV")
	many[0].send("RETR f\r\n") // a transfer that waits is no reason to keep others out
	until(t, "the transfer waits", func() bool {
		return slices.ContainsFunc(r.srv.Sessions(), func(s SessionInfo) bool { return s.Command == "RETR" })
	})
	a, b, c := r.loginFrom(2), r.loginFrom(2), r.loginFrom(2)
	a.epsvPort()
	if text := many[0].expect(425); !strings.Contains(text, "taken back") {
		t.Errorf("a transfer that waited: %q", text)
	}
	b.epsvPort()
	if x := r.rec.wait(t, connlog.OfferExpired, 1); !strings.Contains(connlog.Sentence(x), "was taken back: an address without a port needed it") {
		t.Errorf("the log says %q", connlog.Sentence(x))
	}
	if text := many[1].cmd(425, "RETR f"); !strings.Contains(text, "taken back") {
		t.Errorf("%q", text)
	}
	c.cmd(425, "EPSV") // both have two: it is not taken to and fro
	if held := r.srv.PortsInUse(); len(held) != 4 {
		t.Errorf("held: %v", held)
	}
	if n := r.rec.count(connlog.OfferExpired); n != 1 {
		t.Errorf("%d records of offers that were taken back", n)
	}
	c = r.loginFrom(3)
	c.epsvPort() // one of the two of either
	c.cmd(226, "ABOR")
	for _, left := range []*raw{fifth, c, a, b} {
		left.cmd(226, "ABOR")
		if got := left.fetch("RETR f"); got != "content" {
			t.Errorf("%q", got)
		}
	}
}

func TestRow21ARunningTransferIsNotTakenBack(t *testing.T) {
	r := withRange(t, 2, nil)
	r.write("big", strings.Repeat("x", 20<<20))
	a, b := r.loginFrom(1), r.loginFrom(1)
	d := a.epsv()
	a.cmd(150, "RETR big")
	a2 := r.loginFrom(1)
	b.epsvPort()
	a2.epsvPort() // beside the transfer
	other := r.loginFrom(2)
	other.fetch("LIST")
	if n, _ := io.Copy(io.Discard, d); n != 20<<20 {
		t.Errorf("%d bytes", n)
	}
	a.expect(226)
}

// The wait for a port that was just given back ends also when the clock is set back meanwhile.
func TestRow21NobodyWaitsForThePortOfAnotherProgramUntilTheClockHasCaughtUp(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	other, err := listenData(netip.AddrPortFrom(here, freeRange(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := uint16(other.Addr().(*net.TCPAddr).Port)
	p := newPortPool(PassiveConfig{UseRange: true, Min: port, Max: port})
	p.state[0].left = time.Now().Add(time.Hour).UnixNano()
	end := make(chan error, 1)
	go func() {
		_, _, err := p.listen(here, here)
		end <- err
	}()
	select {
	case err := <-end:
		if !errors.Is(err, errNoPort) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it still waits")
	}
}

// Offers that are made, taken, given up and taken back at the same time lose no port.
func TestRow21OffersTakenBackLoseNoPort(t *testing.T) {
	p := newPortPool(PassiveConfig{UseRange: true, Min: freeRange(t, 3), Max: 0xffff})
	p.free, p.state = p.free[:3], p.state[:3]
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			owner := netip.AddrFrom4([4]byte{127, 0, 0, byte(i / 3)})
			for k := range 200 {
				ln, l, err := p.listen(netip.MustParseAddr("127.0.0.1"), owner)
				if err != nil {
					continue
				}
				var end sync.Once
				closed := make(chan struct{})
				stop := func(come bool) {
					end.Do(func() {
						ln.Close()
						if come {
							l.taken()
							l.ended()
						} else {
							l.withdrawn()
						}
						close(closed)
					})
					<-closed
				}
				l.standing(owner, func() { stop(false) })
				stop(k%2 == 0)
			}
		})
	}
	all.Wait()
	if len(p.free)+len(p.aside) != 3 || len(p.used) != 0 || len(p.offers) != 0 {
		t.Errorf("%d free, %d aside, %d used, offers %v", len(p.free), len(p.aside), len(p.used), p.offers)
	}
}

func TestRow21PortIsFreeForAnOfferWhenItsClientHasCome(t *testing.T) {
	r := withRange(t, 1, nil)
	r.write("big", strings.Repeat("x", 20<<20))
	a, b := r.login(), r.login()
	d := a.epsv()
	a.cmd(150, "RETR big") // runs on
	if p := r.srv.PortsInUse(); len(p) != 1 || !p[0].InUse {
		t.Errorf("held: %v", p)
	}
	b.fetch("LIST")
	if n, _ := io.Copy(io.Discard, d); n != 20<<20 {
		t.Errorf("%d bytes", n)
	}
	a.expect(226)
}

func TestRow21PortsThatOthersHoldAreLeftOut(t *testing.T) {
	lo := freeRange(t, 4)
	for i := range 3 {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", int(lo)+i))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	r := start(t, func(c *Config) { c.Passive = PassiveConfig{UseRange: true, Min: lo, Max: lo + 3} })
	c := r.login()
	for range 20 {
		if p := c.epsvPort(); p != lo+3 {
			t.Fatalf("port %d", p)
		}
	}
	r.login().cmd(425, "EPSV")
	x := r.rec.wait(t, connlog.PortsExhausted, 1)
	if want := fmt.Sprintf("other programs: 3 ports from %d to %d", lo, lo+2); len(x.Holders) != 2 || x.Holders[0] != want {
		t.Errorf("holders %q, want %q first", x.Holders, want)
	}
}

func TestRow21OfferCostsTheSameInALargeRange(t *testing.T) {
	large, small := newPortPool(PassiveConfig{UseRange: true, Min: 1024, Max: 65535}), newPortPool(PassiveConfig{UseRange: true, Min: 22000, Max: 22063})
	offer := func(p *portPool) time.Duration {
		begin := time.Now()
		ln, l, err := p.listen(netip.MustParseAddr("127.0.0.1"), netip.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		l.taken()
		l.ended()
		return time.Since(begin)
	}
	// By turns, and the median of each: what else the machine does meets both.
	var inLarge, inSmall []time.Duration
	for range 1000 {
		inLarge, inSmall = append(inLarge, offer(large)), append(inSmall, offer(small))
	}
	slices.Sort(inLarge)
	slices.Sort(inSmall)
	if l, s := inLarge[500], inSmall[500]; l > 3*s {
		t.Errorf("%v each, %v in a small range", l, s)
	}
	if len(large.free)+len(large.aside) != 65535-1024+1 || len(large.used) != 0 {
		t.Errorf("lost ports: %d free, %d aside, %d used", len(large.free), len(large.aside), len(large.used))
	}
}

func TestRow22SessionsShareNothing(t *testing.T) {
	r := withRange(t, 8, nil)
	const n = 8
	for i := range n {
		r.write(fmt.Sprintf("f%d", i), strings.Repeat(strconv.Itoa(i), 300_000))
	}
	var wg sync.WaitGroup
	for i := range n {
		c := r.login()
		wg.Go(func() {
			want := strings.Repeat(strconv.Itoa(i), 300_000)
			for k := range 10 {
				port, err := wire.Parse229(quiet(c, "EPSV"))
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
				d, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					t.Error(err)
					return
				}
				quiet(c, fmt.Sprintf("REST %d", k*1000))
				quiet(c, fmt.Sprintf("RETR f%d", i))
				b, _ := io.ReadAll(d)
				d.Close()
				if string(b) != want[k*1000:] {
					t.Errorf("session %d got other bytes: %d", i, len(b))
				}
				if code, text := c.reply(); code != 226 {
					t.Errorf("session %d: %d %s", i, code, text)
				}
			}
		})
	}
	wg.Wait()
}

// quiet sends a command and returns the text of the reply, for goroutines that must not end the test.
func quiet(c *raw, line string) string {
	io.WriteString(c.c, line+"\r\n")
	_, text := c.reply()
	return text
}

func newRaw(t *testing.T, conn net.Conn) *raw { return &raw{t: t, c: conn, in: bufio.NewReader(conn)} }

func (c *raw) listen() (net.Listener, string) {
	c.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(c.c.LocalAddr().(*net.TCPAddr).IP.String(), "0"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { l.Close() })
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	return l, "EPRT " + wire.FormatEPRT(netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
}

func TestRow23ActiveDialsAtTheTransferFromTheControlAddress(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		r := start(t, nil)
		if v6 {
			r = startV6(t)
		}
		r.write("a", "hello")
		c := r.login()
		l, eprt := c.listen()
		c.cmd(200, "%s", eprt)
		if n := r.rec.count(connlog.DataDialing); n != 0 {
			t.Error("dialled before the transfer")
		}
		c.send("RETR a\r\n")
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.expect(150)
		b, _ := io.ReadAll(d)
		d.Close()
		c.expect(226)
		x := r.rec.wait(t, connlog.DataOpened, 1)
		if string(b) != "hello" || x.Initiator != connlog.Server || x.Mode != connlog.Active ||
			x.From.String() != d.RemoteAddr().String() || x.To.String() != l.Addr().String() {
			t.Errorf("got %q, recorded %+v; the client saw %s", b, x, d.RemoteAddr())
		}
		if x.From.Addr() != r.srv.Addr().Addr() {
			t.Errorf("dialled from %s", x.From)
		}
	}
}

func TestRow23RefusedDialIsRecorded(t *testing.T) {
	r := start(t, nil)
	r.write("a", "hello")
	c := r.login()
	l, eprt := c.listen()
	l.Close()
	c.cmd(200, "%s", eprt)
	c.cmd(425, "RETR a")
	if x := r.rec.wait(t, connlog.DataFailed, 1); x.Reason != connlog.ReasonRefused || x.Initiator != connlog.Server || x.Conn != 1 {
		t.Errorf("recorded %+v", x)
	}
	c.cmd(425, "RETR a") // the request is used up
}

// fullListener listens with a backlog that is full, so that a dial gets no answer, as from behind a firewall.
func fullListener(t *testing.T) string {
	t.Helper()
	l, err := listenBacklog0()
	if err != nil {
		t.Skipf("no listener without a backlog on this system: %v", err)
	}
	t.Cleanup(l.close)
	for range 4 {
		c, err := net.DialTimeout("tcp", l.addr.String(), 200*time.Millisecond)
		if err != nil {
			return "EPRT " + wire.FormatEPRT(l.addr)
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the backlog does not fill")
	return ""
}

func TestRow23DialIsCancelledAtOnce(t *testing.T) {
	for name, end := range map[string]func(*rig, *raw){
		"ABOR": func(r *rig, c *raw) { c.cmd(426, "ABOR"); c.expect(226) },
		"QUIT": func(r *rig, c *raw) { c.cmd(426, "QUIT"); c.expect(221) },
		"lost": func(r *rig, c *raw) { c.c.Close(); r.rec.wait(t, connlog.ControlClosed, 1) },
		"kick": func(r *rig, c *raw) { r.srv.Kick(r.srv.Sessions()[0].ID); r.rec.wait(t, connlog.ControlClosed, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			r.write("a", "x")
			c := r.login()
			c.cmd(200, "%s", fullListener(t))
			c.send("RETR a\r\n")
			r.rec.wait(t, connlog.DataDialing, 1)
			begin := time.Now()
			end(r, c)
			if took := time.Since(begin); took > atOnce {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestRow23DialledFromTheAddressThatTheClientCameTo(t *testing.T) {
	r := start(t, func(c *Config) { c.Listen = ":0" })
	r.write("a", "x")
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(int(r.srv.Addr().Port()))))
	if err != nil {
		t.Skipf("127.0.0.2 is not an address of this system: %v", err)
	}
	defer conn.Close()
	c := newRaw(t, conn)
	c.expect(220)
	c.cmd(331, "USER u")
	c.cmd(230, "PASS pw")
	l, err := net.Listen("tcp", net.JoinHostPort(conn.LocalAddr().(*net.TCPAddr).IP.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c.cmd(200, "EPRT %s", wire.FormatEPRT(unmapped(l.Addr())))
	c.send("RETR a\r\n")
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c.expect(150)
	if from := unmapped(d.RemoteAddr()); from.Addr().String() != "127.0.0.2" {
		t.Errorf("dialled from %s", from)
	}
	c.expect(226)
}

func TestRow23DialHasADeadline(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.DialTimeout = 100 * time.Millisecond })
	r.write("a", "x")
	c := r.login()
	c.cmd(200, "%s", fullListener(t))
	c.cmd(425, "RETR a")
	if x := r.rec.wait(t, connlog.DataFailed, 1); x.Reason != connlog.ReasonTimeout || x.Duration <= 0 {
		t.Errorf("recorded %+v", x)
	}
}

func TestRow23Port20OrAnotherThatIsRecorded(t *testing.T) {
	r := start(t, func(c *Config) { c.Active.Port20 = true })
	r.write("a", "x")
	c := r.login()
	for range 2 {
		l, eprt := c.listen()
		c.cmd(200, "%s", eprt)
		c.send("RETR a\r\n")
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.expect(150)
		io.ReadAll(d)
		d.Close()
		c.expect(226)
	}
	x := r.rec.wait(t, connlog.DataOpened, 1)
	if dialed := r.rec.wait(t, connlog.DataDialing, 2); x.From.Port() != 20 && dialed.Err == "" {
		t.Errorf("opened from %s, and the record of the dial does not say why: %+v", x.From, dialed)
	}
}

func TestRow24PassiveIPRule(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	resolved := netip.MustParseAddr("203.0.113.99")
	for _, x := range []struct {
		name                string
		ip                  PassiveIP
		local, client, want string
	}{
		{"automatic", PassiveIP{}, "192.0.2.1", "203.0.113.5", "192.0.2.1"},
		{"fixed", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7"}, "192.0.2.1", "203.0.113.5", "203.0.113.7"},
		{"fixed, private client", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7"}, "10.0.0.1", "10.0.0.9", "10.0.0.1"},
		{"fixed, loopback", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7"}, "127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"fixed, link-local", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7"}, "169.254.1.1", "169.254.1.2", "169.254.1.1"},
		{"fixed, own subnet", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7"}, "198.51.100.2", "198.51.100.9", "198.51.100.2"},
		{"fixed, list emptied", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7", LocalNetworks: []netip.Prefix{}}, "10.0.0.1", "10.0.0.9",
			"203.0.113.7"},
		{"fixed, own list", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7", LocalNetworks: []netip.Prefix{netip.MustParsePrefix("8.8.0.0/16")}},
			"192.0.2.1", "8.8.4.4", "192.0.2.1"},
		{"host", PassiveIP{Mode: PassiveHost, Value: "h.example"}, "192.0.2.1", "203.0.113.5", "203.0.113.99"},
		{"IPv4 in IPv6", PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7"}, "::ffff:192.0.2.1", "::ffff:10.1.1.1", "192.0.2.1"},
	} {
		got := x.ip.addressFor(own, resolved, netip.MustParseAddr(x.local), netip.MustParseAddr(x.client))
		if got.String() != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
	if got := (PassiveIP{Mode: PassiveHost, Value: "h"}).addressFor(nil, netip.Addr{}, netip.MustParseAddr("192.0.2.1"),
		netip.MustParseAddr("203.0.113.5")); got.String() != "192.0.2.1" {
		t.Errorf("before the name is known: %s", got)
	}
}

func TestRow24PassiveIPIsToldAndChangesWhileRunning(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Passive.IP = PassiveIP{Mode: PassiveFixed, Value: "203.0.113.7", LocalNetworks: []netip.Prefix{}}
	})
	c := r.login()
	told := func() netip.AddrPort {
		ap, err := wire.Parse227(c.cmd(227, "PASV"))
		if err != nil {
			t.Fatal(err)
		}
		return ap
	}
	ap := told()
	if x := r.rec.wait(t, connlog.PassiveOffered, 1); ap.Addr().String() != "203.0.113.7" || x.To != ap {
		t.Errorf("told %s, recorded %s", ap, x.To)
	}
	d := c.dialPort(ap.Port()) // told elsewhere, but it waits here
	lo := freeRange(t, 3)
	if err := r.srv.SetPassive(PassiveConfig{UseRange: true, Min: lo, Max: lo + 2, IP: PassiveIP{Mode: PassiveHost, Value: "localhost",
		LocalNetworks: []netip.Prefix{}}}); err != nil {
		t.Fatal(err)
	}
	c.cmd(150, "LIST") // the offer made before the change still holds
	io.ReadAll(d)
	c.expect(226)
	if ap := told(); ap.Port() < lo || ap.Port() > lo+2 || ap.Addr().String() != "127.0.0.1" {
		t.Errorf("after the change: %s", ap)
	}
	if err := r.srv.SetPassive(PassiveConfig{UseRange: true, Min: 10, Max: 2}); err == nil {
		t.Error("a bad range is taken")
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := uint16(busy.Addr().(*net.TCPAddr).Port)
	if err := r.srv.SetPassive(PassiveConfig{UseRange: true, Min: port, Max: port}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a range that another program holds: %v", err)
	}
	if r.srv.Passive().Min != lo {
		t.Error("a refused change changed something")
	}
	if ap := told(); ap.Port() < lo || ap.Port() > lo+2 {
		t.Errorf("after refused changes: %s", ap)
	}
}

func TestRow24PassiveCheck(t *testing.T) {
	ip := func(m PassiveIPMode, v string) PassiveConfig { return PassiveConfig{IP: PassiveIP{Mode: m, Value: v}} }
	ports := func(lo, hi uint16) PassiveConfig { return PassiveConfig{UseRange: true, Min: lo, Max: hi} }
	for _, x := range []struct {
		c       PassiveConfig
		control uint16
		warning string // "" none
		err     string // "" none
	}{
		{PassiveConfig{}, 2121, "", ""},
		{ports(21100, 21199), 2121, "", ""},
		{ports(21100, 21099), 2121, "", "above the last"},
		{ports(1000, 2000), 2121, "", "below 1024"},
		{ports(2100, 2199), 2121, "", "control connection"},
		{ports(21100, 21104), 2121, "5 ports", ""},
		{ports(50000, 50100), 2121, "overlap", ""},
		{ip(PassiveFixed, "192.168.1.5"), 0, "private", ""},
		{ip(PassiveFixed, "100.64.1.1"), 0, "carrier", ""},
		{ip(PassiveFixed, "0.0.0.0"), 0, "unspecified", ""},
		{ip(PassiveFixed, "8.8.8.8"), 0, "", ""},
		{ip(PassiveFixed, "2001:db8::1"), 0, "", "EPSV"},
		{ip(PassiveFixed, "999.1.1.1"), 0, "", "not an IP address"},
		{ip(PassiveFixed, ""), 0, "", "not an IP address"},
		{ip(PassiveHost, "files.example.org"), 0, "", ""},
		{ip(PassiveHost, "999.1.1.1"), 0, "", "host name"},
		{ip(PassiveHost, "1.2.3.4"), 0, "", "fixed IP"},
		{ip(PassiveHost, "a b"), 0, "", "host name"},
		{ip(PassiveHost, "-x.org"), 0, "", "host name"},
		{ip("nonsense", ""), 0, "", "mode"},
	} {
		warnings, err := x.c.Check(x.control)
		all := strings.Join(warnings, " ")
		if (x.warning == "") != (all == "") || !strings.Contains(all, x.warning) {
			t.Errorf("%+v: warnings %q, want %q", x.c, all, x.warning)
		}
		if (x.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), x.err) {
			t.Errorf("%+v: error %v, want %q", x.c, err, x.err)
		}
	}
}

func TestRow35StopLetsTransfersFinishThenEndsThem(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.StopGrace = patience })
	r.write("big", strings.Repeat("x", 8<<20))
	idle, c := r.login(), r.login()
	d := c.epsv()
	c.cmd(150, "RETR big")
	stopped := make(chan error, 1)
	go func() { stopped <- r.srv.Stop(context.Background()) }()
	idle.expect(421)
	if n, _ := io.Copy(io.Discard, d); n != 8<<20 {
		t.Errorf("cut at %d bytes", n)
	}
	c.expect(226)
	c.expect(421)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", r.srv.Addr().String()); err == nil {
		t.Error("still answers")
	}
	r.rec.wait(t, connlog.Stopped, 1)
}

func TestRow35StopEndsWhatDoesNotFinish(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.StopGrace = 100 * time.Millisecond })
	r.write("big", strings.Repeat("x", 20<<20))
	a, b := r.login(), r.login()
	a.epsv()
	a.cmd(150, "RETR big")
	d := b.epsv()
	b.cmd(150, "STOR up")
	io.WriteString(d, "half")
	until(t, "bytes have come", func() bool { return r.srv.Sessions()[1].Bytes+r.srv.Sessions()[0].Bytes > 4 })
	r.srv.Stop(context.Background())
	if left := r.names(); len(left) > 2 || strings.Contains(strings.Join(left, " "), tempPrefix) {
		t.Errorf("left behind: %q", left)
	}
	for _, x := range r.rec.snapshot() {
		if x.Event == connlog.DataFailed && x.Reason != connlog.ReasonStopping {
			t.Errorf("recorded %+v", x)
		}
	}
}

func TestRow35StopIsNotHeldUpByClientsThatDoNotRead(t *testing.T) {
	r := start(t, nil)
	for i := range 1000 {
		r.write(strings.Repeat("long-name-", 20)+strconv.Itoa(i), "")
	}
	for range 2 {
		c := r.login()
		_ = c.c.(*net.TCPConn).SetReadBuffer(4096) // so that little is enough
		c.send(strings.Repeat("STAT /\r\n", 100))  // 25 MB of replies that nobody reads
	}
	until(t, "the server's replies are stuck", func() bool {
		n := r.rec.count(connlog.ReplySent)
		time.Sleep(100 * time.Millisecond)
		return n > 12 && n == r.rec.count(connlog.ReplySent)
	})
	begin := time.Now()
	r.srv.Stop(context.Background())
	if took := time.Since(begin); took > atOnce {
		t.Errorf("took %v", took)
	}
}

func TestRow36KickEndsASessionAtOnce(t *testing.T) {
	r := start(t, nil)
	r.write("big", strings.Repeat("x", 20<<20))
	c := r.login()
	c.epsv()
	c.cmd(150, "RETR big")
	if r.srv.Kick("nobody") {
		t.Error("kicked nobody")
	}
	begin := time.Now()
	if !r.srv.Kick(r.srv.Sessions()[0].ID) {
		t.Error("not kicked")
	}
	x := r.rec.wait(t, connlog.ControlClosed, 1)
	if took := time.Since(begin); took > atOnce || x.By != connlog.Server || x.Reason != connlog.ReasonKicked {
		t.Errorf("took %v, recorded %+v", took, x)
	}
	until(t, "the session is gone", func() bool { return len(r.srv.Sessions()) == 0 })
}

func TestRow36PanicEndsItsSessionOnly(t *testing.T) {
	r := start(t, nil)
	r.srv.commands["SYST"] = command{run: func(*session, wire.Command) { panic("boom") }, before: true}
	r.srv.commands["NLST"] = command{run: func(*session, wire.Command) { panic("boom in a worker") }, transfer: true}
	other := r.login()
	for i, line := range []string{"SYST", "NLST"} {
		c := r.login()
		c.cmd(421, "%s", line)
		if x := r.rec.wait(t, connlog.ServerFault, i+1); !strings.Contains(x.Err, "boom") || !strings.Contains(x.Err, "goroutine") {
			t.Errorf("recorded %+v", x)
		}
	}
	other.cmd(200, "NOOP")
	until(t, "the sessions are gone", func() bool { return len(r.srv.Sessions()) == 1 })
}

func TestRow34StartSaysWhatIsWrong(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	os.WriteFile(dir+"/file", nil, 0o644)
	port := uint16(busy.Addr().(*net.TCPAddr).Port)
	accounts := []Account{{Name: "anonymous"}}
	inUse := "is in use"
	if runtime.GOOS == "linux" {
		inUse = "is in use by " + filepath.Base(os.Args[0])[:10] // the kernel keeps 15 bytes of a name
	}
	for _, x := range []struct {
		c    Config
		want string
	}{
		{Config{Listen: busy.Addr().String(), Root: dir, Accounts: accounts}, inUse},
		{Config{Listen: "127.0.0.1:0", Root: dir + "/none", Accounts: accounts}, "does not exist"},
		{Config{Listen: "127.0.0.1:0", Root: dir + "/file", Accounts: accounts}, "is a file"},
		{Config{Listen: "127.0.0.1:0", Accounts: accounts}, "no folder"},
		{Config{Listen: "127.0.0.1:0", Root: dir}, "no account"},
		{Config{Listen: "127.0.0.1:0", Root: dir, Accounts: []Account{{Name: "x"}}}, "no password"},
		{Config{Listen: "127.0.0.1:0", Root: dir, Accounts: append(accounts, accounts...)}, "twice"},
		{Config{Listen: "127.0.0.1:0", Root: dir, Accounts: accounts, Passive: PassiveConfig{UseRange: true, Min: port, Max: port}},
			"are in use: choose another range"},
		{Config{Listen: "nonsense", Root: dir, Accounts: accounts}, "HOST:PORT"},
		{Config{Listen: "127.0.0.1:99999", Root: dir, Accounts: accounts}, "port"},
		{Config{Listen: "203.0.113.250:0", Root: dir, Accounts: accounts}, "not an address of this computer"},
	} {
		srv, err := New(x.c)
		if err == nil {
			if err = srv.Start(context.Background()); err == nil {
				srv.Stop(context.Background())
			}
		}
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
}

func TestRow37PlainDownloadsUseTheKernelsCopy(t *testing.T) {
	if !kernelCopy {
		t.Skip("this system's copy does not say how far it came")
	}
	buffers := 0
	before := largeBuffers.New
	largeBuffers.New = func() any { buffers++; return before() }
	defer func() { largeBuffers.New = before }()
	for range 2 { // a pool forgets what it has in two collections
		runtime.GC()
	}
	r := start(t, nil)
	r.write("f", strings.Repeat("x", 3<<20))
	c := r.login()
	if got := c.fetch("RETR f"); len(got) != 3<<20 {
		t.Errorf("%d bytes came", len(got))
	}
	if buffers > 0 {
		t.Errorf("the file went through %d buffers of this program", buffers)
	}
}

func TestRow37IdleSessionIsOneGoroutineAndLittleMemory(t *testing.T) {
	for _, x := range []struct {
		tls  bool
		most int64
	}{{false, 20_000}, {true, 45_000}} {
		r := startTLS(t, nil)
		first := r.login() // what the first session makes once
		const n = 100
		conns := make([]net.Conn, n)
		cfg := &tls.Config{InsecureSkipVerify: true}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		goroutines := runtime.NumGoroutine()
		talk := func(c net.Conn, line string, code string) {
			b := make([]byte, 512)
			if line != "" {
				io.WriteString(c, line+"\r\n")
			}
			if m, err := c.Read(b); err != nil || !strings.HasPrefix(string(b[:m]), code) {
				t.Fatalf("%s: %q, %v", line, b[:m], err)
			}
		}
		for i := range n {
			c, err := net.Dial("tcp", r.srv.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			talk(c, "", "220")
			if x.tls {
				talk(c, "AUTH TLS", "234")
				tc := tls.Client(c, cfg)
				if err := tc.Handshake(); err != nil {
					t.Fatal(err)
				}
				c = tc
			}
			talk(c, "USER u", "331")
			talk(c, "PASS pw", "230")
			conns[i] = c
		}
		until(t, fmt.Sprintf("no more than %d goroutines for %d sessions", n, n), func() bool { return runtime.NumGoroutine()-goroutines <= n }) // others may be about to end
		if raceEnabled {
			continue // the race detector's own memory counts
		}
		r.rec.mu.Lock()
		r.rec.all = nil // the test's own memory
		r.rec.mu.Unlock()
		for range 4 { // each halves a stack that is used for a quarter at most
			runtime.GC()
		}
		runtime.ReadMemStats(&after)
		// The clients' ends are in this process too, and count.
		each := int64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse) / n
		t.Logf("TLS %v: %d bytes each, the client's end included", x.tls, each)
		if each > x.most {
			t.Errorf("TLS %v: %d bytes each", x.tls, each)
		}
		if stack := int64(after.StackInuse-before.StackInuse) / n; !x.tls && stack > 6000 {
			t.Errorf("a stack of %d bytes waits for a command: see run", stack)
		}
		first.cmd(221, "QUIT")
	}
}

// A client that sends all at once has its data connection before the server has looked at it.
func TestRow23QuitBehindATransferLetsItFinish(t *testing.T) {
	r := start(t, nil)
	for i := range 50 {
		c := r.login()
		d := c.epsv()
		c.send("STOR a\r\nQUIT\r\n")
		c.c.(*net.TCPConn).CloseWrite()
		io.WriteString(d, strconv.Itoa(i))
		d.Close()
		for _, code := range []int{150, 226, 221} {
			c.expect(code)
		}
		if got := r.content("a"); got != strconv.Itoa(i) {
			t.Fatalf("a is %q at %d", got, i)
		}
	}
	c := r.login()
	c.epsvPort()
	begin := time.Now()
	c.send("STOR b\r\n")
	c.cmd(426, "QUIT")
	c.expect(221)
	if took := time.Since(begin); took > atOnce {
		t.Errorf("QUIT with nobody on the data connection took %v", took)
	}
}

func TestRow23QuitDuringATransferLetsItFinish(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	d := c.epsv()
	c.cmd(150, "STOR a")
	io.WriteString(d, "one ")
	c.send("QUIT\r\n")
	c.c.(*net.TCPConn).CloseWrite() // RFC 959 section 4.1.1: the result is still sent
	r.rec.wait(t, connlog.CommandSent, 6)
	io.WriteString(d, "two")
	d.Close()
	c.expect(226)
	c.expect(221)
	if got := r.content("a"); got != "one two" {
		t.Errorf("a is %q", got)
	}
}
