package localserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"portside/connlog"
	"portside/wire"
)

func TestRow1LineThatNeverEndedIsNotExecuted(t *testing.T) {
	r := start(t, nil)
	r.write("report", "x")
	c := r.login()
	c.send("DELE report")
	c.c.Close()
	r.rec.wait(t, connlog.ControlClosed, 1)
	if got := r.content("report"); got != "x" {
		t.Fatalf("report is now %q", got)
	}
	c = r.login()
	c.send("NOOP\n") // a bare LF ends a line too
	c.expect(200)
}

func TestRow1LineThatNeverEndedIsNotExecutedAtATimeout(t *testing.T) {
	r := start(t, nil)
	r.write("report", "x")
	c := r.login()
	r.limit(func(l *Limits) { l.IdleTimeout = 100 * time.Millisecond })
	c.send("NOOP\r\nDELE report")
	c.expect(200)
	c.expect(421)
	if got := r.content("report"); got != "x" {
		t.Fatalf("report is now %q", got)
	}
}

func TestRow1LineInPiecesOverATimerIsWhole(t *testing.T) {
	const idle = 50 * time.Millisecond
	r := start(t, nil)
	c := r.login()
	d := c.epsv()
	r.limit(func(l *Limits) { l.IdleTimeout = idle })
	c.cmd(150, "STOR a") // while data moves the idle timer only ends a read
	c.send("NO")
	time.Sleep(3 * idle)
	c.send("OP\r\n")
	d.Close()
	c.expect(226)
	c.expect(200)
}

func TestRow2LongLineIsSkippedToItsEnd(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	for _, n := range []int{4097, 5000, 100000} {
		c.send("XX " + strings.Repeat("a", n-3) + "\r\n")
		if text := c.expect(500); !strings.Contains(text, "longer than") {
			t.Errorf("%d bytes: %q", n, text) // its tail was taken for a line
		}
		c.cmd(200, "NOOP")
	}
	c.cmd(550, "DELE %s", strings.Repeat("a/", (wire.MaxLine-5)/2)) // 4,095 bytes are taken
}

func TestRow2ControlBytesInAnArgumentAreRefused(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	for _, arg := range []string{"a\x00b", "a\rb", "a\x1bb", "a\x7fb", "a\tb"} {
		c.cmd(501, "MKD %s", arg)
	}
	if n := r.names(); len(n) > 0 {
		t.Fatal("made", n)
	}
}

func TestRow3TelnetBytesBeforeAborAreSkipped(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	for _, telnet := range []string{"\xff\xf4\xff\xf2", "\xff\xf4\xff", "\xf2"} {
		c.cmd(226, "%sABOR", telnet)
	}
}

func TestRow3AborEndsARunningTransferAtOnce(t *testing.T) {
	r := start(t, nil)
	r.write("big", strings.Repeat("x", 20<<20))
	c := r.login()
	d := c.epsv()
	c.cmd(150, "RETR big") // nobody reads: it stands still
	begin := time.Now()
	c.cmd(426, "ABOR")
	c.expect(226)
	if took := time.Since(begin); took > atOnce {
		t.Errorf("took %v", took)
	}
	io.Copy(io.Discard, d)
	c.cmd(200, "NOOP")
	if x := r.rec.wait(t, connlog.DataFailed, 1); x.Reason != connlog.ReasonCancelled {
		t.Errorf("recorded %q", x.Reason)
	}
}

func TestRow3AborEndsTheWaitForADataConnection(t *testing.T) {
	r := start(t, nil)
	r.write("a", "x")
	c := r.login()
	c.epsvPort()
	c.send("RETR a\r\n")
	until(t, "the transfer waits", func() bool { return r.srv.Sessions()[0].Command == "RETR" })
	begin := time.Now()
	c.cmd(426, "ABOR")
	c.expect(226)
	if took := time.Since(begin); took > atOnce {
		t.Errorf("took %v", took)
	}
	if p := r.srv.PortsInUse(); len(p) != 0 {
		t.Error("still held:", p)
	}
}

func TestRow3StatAnswersDuringATransfer(t *testing.T) {
	r := start(t, nil)
	r.write("big", strings.Repeat("x", 20<<20))
	c := r.login()
	c.epsv()
	c.cmd(150, "RETR big")
	if text := c.cmd(211, "STAT"); !strings.Contains(text, "RETR /big") {
		t.Errorf("STAT says %q", text)
	}
}

func TestRow4QueuedCommandsAreAnsweredInOrderAfterTheTransfer(t *testing.T) {
	r := start(t, nil)
	r.write("big", strings.Repeat("x", 20<<20))
	c := r.login()
	d := c.epsv()
	c.cmd(150, "RETR big")
	for range 50 {
		c.send("NOOP\r\nXYZZ\r\n")
	}
	c.send("PWD\r\nQUIT\r\n")
	if n, err := io.Copy(io.Discard, d); n != 20<<20 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	c.expect(226)
	for range 50 {
		c.expect(200)
		c.expect(500)
	}
	c.expect(257)
	c.expect(221)
	if code, _ := c.reply(); code != 0 {
		t.Error("not closed after QUIT")
	}
}

func TestRow4FloodDuringATransferIsBounded(t *testing.T) {
	r := start(t, nil)
	r.write("big", strings.Repeat("x", 20<<20))
	c := r.login()
	c.epsv()
	c.cmd(150, "RETR big")
	go func() {
		for i := range 10000 {
			if _, err := fmt.Fprintf(c.c, "MKD folder-with-a-long-name-%d\r\n", i); err != nil {
				return
			}
		}
	}()
	if x := r.rec.wait(t, connlog.ControlClosed, 1); x.Reason != connlog.ReasonPolicy {
		t.Errorf("closed for %q", x.Reason)
	}
	if n := r.names(); len(n) != 1 {
		t.Errorf("%d entries", len(n))
	}
}

func TestRow5Codes(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	for _, x := range []struct {
		code int
		line string
	}{
		{500, "XYZZY"}, {500, "1234"}, {500, " NOOP"}, {502, "SMNT x"}, {502, "LANG en"}, {503, "RNTO x"}, {503, "PASS x"},
		{501, "RETR"}, {501, "PORT 1,2,3"}, {501, "TYPE Q"}, {504, "TYPE E"}, {504, "MODE B"}, {504, "STRU R"}, {501, "CDUP x"},
		{501, "OPTS foo"}, {504, "SITE EXEC ls"}, {425, "LIST"}, {502, "AUTH TLS"}, {501, "STRU X"}, {504, "TYPE A T"},
		{504, "TYPE L7"}, {504, "TYPE L 7"}, {501, "TYPE LX"}, {522, "EPRT |2|1.2.3.256|2048|"}, {501, "EPRT |1|1.2.3.256|2048|"},
		{214, "HELP SITE"}, {214, "HELP site chmod"}, {502, "HELP SITE EXEC"},
	} {
		c.cmd(x.code, "%s", x.line)
	}
}

func TestRow6UnknownCommandsBeforeTheSignInEndTheConnection(t *testing.T) {
	r := start(t, nil)
	c := r.connect()
	for range 10 {
		c.cmd(500, "XYZZY")
	}
	c.expect(421)
	if code, _ := c.reply(); code != 0 {
		t.Error("not closed")
	}
}

func TestRow6OtherProtocolsAreClosedAtOnce(t *testing.T) {
	r := start(t, nil)
	for _, line := range []string{"GET / HTTP/1.1", "EHLO x", "SSH-2.0-OpenSSH_9", "POST / HTTP/1.0"} {
		c := r.connect()
		c.cmd(421, "%s", line)
		if code, _ := c.reply(); code != 0 {
			t.Errorf("%s: not closed", line)
		}
	}
	c := r.connect()
	c.send("\x16\x03\x01\x02\x00\x01") // a TLS client at a port that begins in clear
	c.expect(421)
}

func TestRow7SilentClientIsClosedBeforeTheSignIn(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.LoginTimeout = 100 * time.Millisecond })
	r.connect().expect(421)
}

func TestRow7NoopKeepsNobodyWithoutASignIn(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.LoginTimeout = 150 * time.Millisecond })
	c := r.connect()
	begin := time.Now()
	for {
		c.send("NOOP\r\n")
		if code, _ := c.reply(); code == 421 {
			break
		}
		if time.Since(begin) > patience {
			t.Fatal("still there")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRow7IdleTimerRestsDuringATransfer(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	d := c.epsv()
	r.limit(func(l *Limits) { l.IdleTimeout = 250 * time.Millisecond })
	c.cmd(150, "STOR a")
	for i := range 6 {
		time.Sleep(100 * time.Millisecond)
		if i == 3 {
			c.send("NOOP\r\n")
		}
		io.WriteString(d, "x")
	}
	d.Close()
	c.expect(226)
	c.expect(200)
	c.expect(421) // and it counts again afterwards
}

func TestRow7StalledDataEndsTheTransferNotTheSession(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.StallTimeout = 200 * time.Millisecond })
	r.write("big", strings.Repeat("x", 20<<20))
	c := r.login()
	c.epsv()
	c.cmd(150, "RETR big")
	c.expect(426)
	c.epsv()
	c.cmd(150, "STOR b")
	c.expect(426)
	c.cmd(200, "NOOP")
	if x := r.rec.wait(t, connlog.DataFailed, 2); x.Reason != connlog.ReasonStalled {
		t.Errorf("recorded %q", x.Reason)
	}
}

func TestRow8TooManyClientsGet421(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.MaxSessionsPerAddress = 2 })
	a, _ := r.connect(), r.connect()
	c := r.dial()
	c.expect(421)
	if code, _ := c.reply(); code != 0 {
		t.Error("not closed")
	}
	a.cmd(221, "QUIT")
	until(t, "room for another", func() bool { return len(r.srv.Sessions()) == 1 })
	r.connect()
	r2 := start(t, func(c *Config) { c.Limits.MaxSessions = 1 })
	r2.connect()
	r2.dial().expect(421)
}

func TestRow8WrongPasswords(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Limits.ShutOutAfter = 4
		c.Limits.WrongPasswordDelay = 20 * time.Millisecond
	})
	c := r.connect()
	var replies []string
	begin := time.Now()
	for _, user := range []string{"u", "nobody", "u"} {
		c.cmd(331, "USER %s", user)
		replies = append(replies, c.cmd(530, "PASS wrong"))
	}
	if took := time.Since(begin); took < (20+40+80)*time.Millisecond {
		t.Errorf("three wrong passwords took %v: the delay does not grow", took)
	}
	if replies[0] != replies[1] {
		t.Errorf("the replies tell names apart: %q", replies)
	}
	c.expect(421)
	c = r.connect()
	c.cmd(331, "USER u")
	c.cmd(530, "PASS wrong")
	c.c.Close()
	r.dial().expect(421) // shut out
	here, limits := netip.MustParseAddr("127.0.0.1"), r.srv.limits()
	if why := r.srv.guard.admit(here, limits, time.Now().Add(limits.ShutOutFor-time.Minute)); why == "" {
		t.Error("not shut out to the end")
	}
	if why := r.srv.guard.admit(here, limits, time.Now().Add(limits.ShutOutFor)); why != "" {
		t.Errorf("still shut out: %s", why)
	}
}

func always() bool { return true }

func TestRow8NoPasswordIsHashedForAnAddressThatIsShutOut(t *testing.T) {
	// Whose hash can't be read: who computes it fails.
	r := start(t, func(c *Config) { c.Accounts[0].Password = Password{"unreadable"} })
	c := r.connect()
	c.cmd(331, "USER u")
	c.cmd(451, "PASS x")
	c.cmd(331, "USER u")
	for range r.srv.limits().ShutOutAfter {
		r.srv.guard.wrongPassword(netip.MustParseAddr("127.0.0.1"), "", r.srv.limits(), time.Now())
	}
	c.cmd(421, "PASS x")
}

func TestRow8ConnectionsThatStandAreShutOutToo(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.ShutOutAfter = 2 })
	before := r.connect()
	c := r.connect()
	for range 2 {
		c.cmd(331, "USER u")
		c.cmd(530, "PASS wrong")
	}
	before.cmd(331, "USER u")
	if before.cmd(421, "PASS pw"); r.rec.count(connlog.SignedIn) != 0 {
		t.Error("a connection that was open before goes on trying passwords")
	}
}

func TestRow8OnesOwnPasswordForgetsNoGuessesOfOthers(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Accounts = append(c.Accounts, Account{Name: "mallory", Password: testPassword()})
		c.Limits.WrongPasswordDelay, c.Limits.ShutOutAfter = time.Millisecond, 4
	})
	try := func(name, password string, code int) {
		t.Helper()
		c := r.connect()
		c.cmd(331, "USER %s", name)
		c.cmd(code, "PASS %s", password)
		c.c.Close()
	}
	for range 2 { // mistyped, and then right: as often as one likes
		for range 3 {
			try("mallory", "wrong", 530)
		}
		try("mallory", "pw", 230)
	}
	for range 3 {
		try("u", "guess", 530)
		try("mallory", "pw", 230)
	}
	try("nobody", "guess", 530)
	r.dial().expect(421)
}

func TestRow8FloodOfAddressesForgetsOneAtATime(t *testing.T) {
	g, l, now := newGuard(), DefaultLimits(), time.Now()
	l.ShutOutAfter = 1
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxWrong + 1 {
		g.wrongPassword(address(i), "u", l, now)
	}
	if len(g.wrong) != maxWrong {
		t.Errorf("%d addresses are shut out, want %d", len(g.wrong), maxWrong)
	}
	g = newGuard()
	l.ShutOutAfter = 2
	for i := range maxWrong {
		g.wrongPassword(address(i), "u", l, now)
		if i != 5 {
			g.wrongPassword(address(i), "u", l, now)
		}
	}
	g.wrongPassword(address(maxWrong), "u", l, now)
	if _, there := g.wrong[address(5)]; there || len(g.wrong) != maxWrong {
		t.Errorf("another went than the one that was not shut out; %d are left", len(g.wrong))
	}
}

func TestRow8UnknownNameCostsAHash(t *testing.T) {
	g := newPasswordGate([]Account{{Name: "u", Password: testPassword()}})
	if g.dummy != testPassword() {
		t.Error("the dummy does not cost what the account's hash costs")
	}
	for range 2 {
		ok, err := g.check(context.Background(), nil, "pw", always)
		if ok || err != nil {
			t.Fatalf("an unknown name with the dummy's password: %v, %v", ok, err)
		}
	}
	g.slots <- struct{}{}
	g.slots <- struct{}{} // as many hashes are under way as may be: another waits
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.check(ended, nil, "pw", always); err == nil {
		t.Error("an unknown name is told apart by its time: no hash was made for it")
	}
	<-g.slots
	<-g.slots
	a := &Account{Name: "u", Password: testPassword()}
	for _, pw := range []string{"pw", "pw", "wrong", "pw"} {
		if ok, err := g.check(context.Background(), a, pw, always); ok != (pw == "pw") || err != nil {
			t.Errorf("%q: %v, %v", pw, ok, err)
		}
	}
}

func TestRow8CommandFloodBeforeTheSignInEndsTheConnection(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.CommandsPerSecondLogin = 20 })
	c := r.connect()
	begin := time.Now()
	c.send(strings.Repeat("NOOP\r\n", 1000))
	if x := r.rec.wait(t, connlog.ControlClosed, 1); !strings.Contains(connlog.Sentence(x), "You closed it by a rule: too many commands before the sign-in.") {
		t.Errorf("the log says %q", connlog.Sentence(x))
	}
	seconds := 1 + int(time.Since(begin)/time.Second) // that a busy machine took
	if n := r.rec.count(connlog.ReplySent); n > 2+21*seconds {
		t.Errorf("%d replies in %d s", n, seconds)
	}
}

func TestRow9FeatIsTrue(t *testing.T) {
	r := start(t, nil)
	r.write("a", "abc")
	c := r.login()
	feat := c.cmd(211, "FEAT")
	if strings.Contains(feat, "AUTH") {
		t.Error("FEAT offers AUTH without TLS")
	}
	features := []struct {
		code          int
		feature, line string
	}{
		{200, "CLNT", "CLNT test 1.0"}, {213, "MDTM", "MDTM a"}, {213, "MFMT", "MFMT 20200102030405 a"}, {250, "MLST type*;", "MLST a"},
		{350, "REST STREAM", "REST 1"}, {213, "SIZE", "SIZE a"}, {200, "UTF8", "OPTS UTF8 ON"}, {213, "AVBL", "AVBL"}, {229, "EPSV", "EPSV"},
		{200, "", "OPTS MLST type;size;"}, {215, "", "SYST"}, {214, "", "HELP"}, {214, "", "HELP RETR"}, {211, "", "STAT"}, {200, "", "TYPE A"},
		{200, "", "TYPE L 8"}, {200, "", "STRU F"}, {200, "", "MODE S"}, {202, "", "ALLO 100"}, {214, "", "SITE HELP"}, {220, "", "REIN"},
		{220, "HOST", "HOST example.org"},
	}
	for _, x := range features {
		if !strings.Contains(feat, "\n "+x.feature) && !strings.Contains(feat, "\n"+x.feature) {
			t.Errorf("FEAT lacks %q", x.feature)
		}
		c.cmd(x.code, "%s", x.line)
	}
	tried := map[string]bool{"EPRT": true, "TVFS": true} // in other tests; TVFS is how paths are
	for _, x := range features {
		tried[strings.TrimSuffix(x.feature, " type*;")] = true
	}
	for line := range strings.SplitSeq(feat, "\n") {
		one := strings.TrimSpace(line)
		if one != "Features:" && one != "End" && !tried[one] && !strings.HasPrefix(one, "MLST type*;") {
			t.Errorf("FEAT says %q, which nobody has tried", one)
		}
	}
	if s := r.srv.Sessions()[0].Software; s != "test 1.0" {
		t.Errorf("software %q", s)
	}
}

func TestRow10UserDropsTheOldSignIn(t *testing.T) {
	r := start(t, nil)
	c := r.login()
	c.cmd(331, "USER nobody")
	c.cmd(530, "PWD")
	if u := r.srv.Sessions()[0].User; u != "" {
		t.Errorf("still %q", u)
	}
	c.cmd(331, "USER u")
	c.cmd(200, "NOOP")
	c.cmd(503, "PASS pw")
	c.cmd(501, "USER ")
	c.cmd(331, "USER FTP")
	c.cmd(230, "PASS ")
	if u := r.srv.Sessions()[0].User; u != "anonymous" {
		t.Errorf("shown as %q", u)
	}
}

func TestRow38LogLinesAreSafe(t *testing.T) {
	r := start(t, nil)
	c := r.connect()
	c.cmd(331, "USER u")
	c.cmd(530, "PASS hunter2")
	c.cmd(501, "PASS hunter2\x07")
	c.cmd(331, "USER \u202eevil")
	c.send("\x1b[31mRED\r\n")
	c.expect(500)
	for _, x := range r.rec.snapshot() {
		all := x.Command + x.User + x.Err + strings.ReplaceAll(x.Reply, "\n", "")
		if strings.Contains(all, "hunter2") || all != wire.Escape(all) {
			t.Errorf("%+v", x)
		}
	}
}

// TLS.

func startTLS(t *testing.T, change func(*Config)) *rig {
	return start(t, func(c *Config) {
		c.TLS.Mode = TLSExplicit
		if change != nil {
			change(c)
		}
	})
}

func TestRow11ClearBytesBeforeTheHandshakeAreThrownAway(t *testing.T) {
	r := startTLS(t, nil)
	c := r.connect()
	c.send("AUTH TLS\r\nUSER u\r\nPASS pw\r\nMKD x\r\n")
	c.expect(234)
	tc := tls.Client(c.c, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err == nil {
		tc.Write([]byte("PWD\r\n"))
		b := make([]byte, 3)
		io.ReadFull(tc, b)
		if string(b) != "530" {
			t.Errorf("got %s", b)
		}
	}
	if n := r.names(); len(n) != 0 {
		t.Error("executed", n)
	}
}

func TestRow11AuthForgetsTheSignInAndComesOnce(t *testing.T) {
	r := startTLS(t, nil)
	c := r.login()
	c.cmd(504, "AUTH SSL")
	c.cmd(504, "AUTH FOO")
	c.startTLS()
	c.cmd(530, "PWD")
	c.cmd(503, "AUTH TLS")
	if x := r.rec.wait(t, connlog.ControlTLS, 1); x.TLS != "TLS 1.3" {
		t.Errorf("recorded %+v", x)
	}
}

func TestRow11OldTLSAndOtherProtocolsByALPNAreRefused(t *testing.T) {
	r := startTLS(t, func(c *Config) { c.TLS.Mode = TLSImplicit })
	for name, cfg := range map[string]*tls.Config{
		"TLS 1.1": {InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"http":    {InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}},
	} {
		if c, err := tls.Dial("tcp", r.srv.Addr().String(), cfg); err == nil {
			c.Close()
			t.Errorf("%s: taken", name)
		}
	}
	for _, alpn := range [][]string{nil, {"ftp"}} {
		c, err := tls.Dial("tcp", r.srv.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: alpn})
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4)
		if io.ReadFull(c, b); string(b) != "220 " {
			t.Errorf("greeting %q", b)
		}
		c.Close()
	}
}

func TestRow12PbszAndProt(t *testing.T) {
	r := startTLS(t, nil)
	c := r.connect()
	c.cmd(503, "PBSZ 0")
	c.cmd(503, "PROT P")
	c.startTLS()
	c.cmd(503, "PROT P")
	c.cmd(501, "PBSZ x")
	c.cmd(200, "PBSZ 0")
	c.cmd(536, "PROT E")
	c.cmd(504, "PROT X")
	c.cmd(200, "PROT c")
	c.cmd(200, "PROT p")
}

func TestRow13ClearSignInIsRefusedBeforeThePassword(t *testing.T) {
	r := startTLS(t, func(c *Config) { c.TLS.Mode = TLSRequired })
	c := r.connect()
	c.cmd(530, "USER u")
	c.cmd(503, "PASS pw")
	r2 := startTLS(t, func(c *Config) { c.Accounts[0].RequireTLS = true })
	c = r2.connect()
	if a, b := c.cmd(530, "USER u"), c.cmd(530, "USER nobody"); a != b {
		t.Errorf("%q and %q tell names apart", a, b)
	}
	c.cmd(331, "USER anonymous")
	c.cmd(230, "PASS x")
}

func TestRow13ClearDataIsRefusedWhateverTheOrder(t *testing.T) {
	r := startTLS(t, func(c *Config) { c.TLS.Mode = TLSRequired })
	r.write("a", "secret")
	c := r.connect()
	c.startTLS()
	c.cmd(331, "USER u")
	c.cmd(230, "PASS pw")
	c.epsvPort()
	c.cmd(522, "RETR a")
	c.cmd(200, "PBSZ 0")
	c.cmd(200, "PROT P")
	c.epsvPort()
	c.cmd(200, "PROT C")
	c.cmd(522, "LIST")
	d := c.epsv()
	c.cmd(200, "PROT P")
	c.cmd(150, "RETR a") // the offer was made in clear times: protected all the same
	td := tls.Client(d, c.cfg)
	b, err := io.ReadAll(td)
	if err != nil || string(b) != "secret" {
		t.Fatalf("%q, %v", b, err)
	}
	c.expect(226)
}

func (c *raw) loginTLS() {
	c.t.Helper()
	c.startTLS()
	c.cmd(331, "USER u")
	c.cmd(230, "PASS pw")
	c.cmd(200, "TYPE I")
	c.cmd(200, "PBSZ 0")
	c.cmd(200, "PROT P")
}

func TestRow14DataResumesItsOwnSessionOnly(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			r := startTLS(t, nil)
			r.write("a", "x")
			a, b := r.connect(), r.connect()
			get := func(c *raw, cfg *tls.Config) bool {
				d := c.epsv()
				c.cmd(150, "RETR a")
				cfg = cfg.Clone()
				cfg.MaxVersion = version
				td := tls.Client(d, cfg)
				if _, err := io.ReadAll(td); err != nil {
					t.Fatal(err)
				}
				c.expect(226)
				return td.ConnectionState().DidResume
			}
			a.loginTLS()
			b.loginTLS()
			get(a, a.cfg) // TLS 1.2 needs a session of its own version first
			get(b, b.cfg)
			if !get(a, a.cfg) {
				t.Error("a did not resume its own session")
			}
			if get(b, a.cfg) {
				t.Error("b resumed a's session")
			}
			last := r.rec.wait(t, connlog.DataTLS, 4)
			if last.Resumed || last.TLS != tls.VersionName(version) {
				t.Errorf("recorded %+v", last)
			}
		})
	}
}

func TestRow14RequireRefusesAFullHandshake(t *testing.T) {
	r := startTLS(t, func(c *Config) { c.TLS.Resume = ResumeRequire })
	r.write("a", "secret")
	c := r.connect()
	c.loginTLS()
	d := c.epsv()
	c.cmd(150, "RETR a")
	td := tls.Client(d, &tls.Config{InsecureSkipVerify: true})
	if b, _ := io.ReadAll(td); len(b) > 0 {
		t.Errorf("got %q", b)
	}
	c.expect(522)
	d = c.epsv()
	c.cmd(150, "RETR a")
	if b, err := io.ReadAll(tls.Client(d, c.cfg)); err != nil || string(b) != "secret" {
		t.Errorf("resumed: %q, %v", b, err)
	}
	c.expect(226)
}

func TestRow14UploadWithoutCloseNotifyIsKeptAndNoted(t *testing.T) {
	r := startTLS(t, nil)
	c := r.connect()
	c.loginTLS()
	d := c.epsv()
	c.cmd(150, "STOR a")
	td := tls.Client(d, c.cfg)
	td.Write([]byte("hello"))
	d.Close() // TCP ends, TLS does not
	c.expect(226)
	if got := r.content("a"); got != "hello" {
		t.Errorf("kept %q", got)
	}
	if x := r.rec.wait(t, connlog.DataClosed, 1); !strings.Contains(x.Err, "close_notify") {
		t.Errorf("recorded %+v", x)
	}
	d = c.epsv()
	c.cmd(150, "STOR b")
	td = tls.Client(d, c.cfg)
	td.Write([]byte("hello"))
	td.Close()
	c.expect(226)
	if x := r.rec.wait(t, connlog.DataClosed, 2); x.Err != "" {
		t.Errorf("recorded %+v", x)
	}
}

// recordConn hands over one TLS record a read, as OpenSSL takes them: what comes behind the handshake stays unread.
type recordConn struct {
	net.Conn
	left int
}

func (c *recordConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		var header [5]byte
		if n, err := io.ReadFull(c.Conn, header[:]); err != nil {
			return n, err
		}
		c.left = int(binary.BigEndian.Uint16(header[3:]))
		return copy(b, header[:]), nil
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// A client that only writes leaves the session ticket unread. Its close must not become a reset, which loses what is under
// way; one that reads at the end gets the ticket.
func TestRow14UploadIsWholeWhoseClientDoesNotReadTheTicket(t *testing.T) {
	r := startTLS(t, nil)
	c := r.connect()
	c.loginTLS()
	content := strings.Repeat("x", 4<<20)
	for _, end := range []struct {
		name   string
		notify bool
		read   bool
	}{{"a", true, false}, {"b", false, false}, {"c", true, true}} {
		d := c.epsv()
		c.cmd(150, "STOR %s", end.name)
		cfg := c.cfg.Clone()
		tickets := &ticketCounter{ClientSessionCache: c.cfg.ClientSessionCache}
		cfg.ClientSessionCache = tickets
		td := tls.Client(&recordConn{Conn: d}, cfg)
		if _, err := io.WriteString(td, content); err != nil {
			t.Fatal(err)
		}
		if end.notify {
			td.CloseWrite()
		}
		if end.read {
			if rest, err := io.ReadAll(td); err != nil || len(rest) > 0 {
				t.Errorf("%s: the end of our side: %q, %v", end.name, rest, err)
			}
			if tickets.n != 1 {
				t.Errorf("%s: %d tickets came", end.name, tickets.n)
			}
		}
		d.Close()
		c.expect(226)
		if got := r.content(end.name); got != content {
			t.Errorf("%s: %d bytes were kept", end.name, len(got))
		}
	}
}

type ticketCounter struct {
	tls.ClientSessionCache
	n int
}

func (c *ticketCounter) Put(key string, s *tls.ClientSessionState) {
	c.n++
	c.ClientSessionCache.Put(key, s)
}

func TestRow14UploadCutInsideATLSRecordIsBroken(t *testing.T) {
	r := startTLS(t, nil)
	c := r.connect()
	c.loginTLS()
	d := c.epsv()
	c.cmd(150, "STOR a")
	cut := &cutConn{Conn: d}
	td := tls.Client(cut, c.cfg)
	td.Write([]byte("hello"))
	cut.half = true
	td.Write(bytes.Repeat([]byte("x"), 1000))
	d.Close()
	c.expect(426)
}

// cutConn loses the second half of what is written.
type cutConn struct {
	net.Conn
	half bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.half {
		c.Conn.Write(b[:len(b)/2])
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func TestRow15CertificateIsKeptRenewedAndChecked(t *testing.T) {
	dir := t.TempDir()
	config := TLSConfig{Mode: TLSExplicit, CertDir: dir}
	now := time.Now()
	first, err := config.certificate(now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.certificate(now)
	if err != nil || fingerprint(again) != fingerprint(first) {
		t.Errorf("not kept: %v", err)
	}
	if st, _ := os.Stat(dir + "/" + selfSignedFile); st.Mode().Perm() != 0o600 && runtime.GOOS != "windows" { // which has no such bits
		t.Errorf("mode %v", st.Mode())
	}
	if err := first.Leaf.VerifyHostname("localhost"); err != nil {
		t.Error(err)
	}
	if err := first.Leaf.VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
	later, err := config.certificate(now.Add(selfSignedFor - renewBeforeEnd + time.Hour))
	if err != nil || fingerprint(later) == fingerprint(first) {
		t.Errorf("not renewed before its end: %v", err)
	}
	good := mustRead(t, dir+"/"+selfSignedFile)
	os.WriteFile(dir+"/"+selfSignedFile, []byte("rubbish"), 0o600)
	if _, err := New(Config{Listen: "127.0.0.1:0", Root: dir, Accounts: []Account{{Name: "anonymous"}}, TLS: config}); err == nil {
		t.Error("a bad certificate is no error")
	}
	bad := TLSConfig{Mode: TLSExplicit, Certificate: &tls.Certificate{}}
	if _, err := New(Config{Listen: "127.0.0.1:0", Root: dir, Accounts: []Account{{Name: "anonymous"}}, TLS: bad}); err == nil {
		t.Error("an empty pair is no error")
	}
	cert, key, both := dir+"/c.pem", dir+"/k.pem", good
	cut := bytes.Index(both, []byte("-----BEGIN PRIVATE"))
	os.WriteFile(cert, both[:cut], 0o600)
	os.WriteFile(key, both[cut:], 0o600)
	if own, err := LoadCertificate(cert, key); err != nil || fingerprint(own) != fingerprint(later) {
		t.Errorf("a person's own pair: %v", err)
	}
	if _, err := LoadCertificate(cert, cert); err == nil {
		t.Error("a pair without a key is no error")
	}
	if f := fingerprint(first); len(f) != 95 || strings.Count(f, ":") != 31 {
		t.Errorf("fingerprint %q", f)
	}
}

func TestRow15CertificateIsRenewedWhileTheServerRuns(t *testing.T) {
	dir := t.TempDir()
	r := start(t, func(c *Config) { c.TLS = TLSConfig{Mode: TLSExplicit, CertDir: dir} })
	shown := func() string {
		c := r.connect()
		c.startTLS()
		return fingerprint(&tls.Certificate{Certificate: [][]byte{c.c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw}})
	}
	first := r.srv.Fingerprint()
	if got := shown(); got != first {
		t.Errorf("shows %s, told %s", got, first)
	}
	stands := r.login()
	near, _, err := selfSigned(time.Now().Add(renewBeforeEnd - selfSignedFor - time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	r.srv.certMu.Lock()
	r.srv.cert = near
	r.srv.certMu.Unlock()
	if err := os.Remove(CertificateFile(dir)); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(CertificateFile(dir), 0o700) // it can't be kept: the old one serves on, and the record says why
	if got := shown(); got != fingerprint(near) {
		t.Error("a certificate that can't be kept is shown")
	}
	if x := r.rec.wait(t, connlog.ServerFault, 1); !strings.Contains(x.Err, "renewing the TLS certificate") {
		t.Errorf("recorded %q", x.Err)
	}
	os.Remove(CertificateFile(dir))
	r.srv.certMu.Lock()
	r.srv.renewNext = time.Time{}
	r.srv.certMu.Unlock()
	renewed := shown()
	if renewed == fingerprint(near) || renewed == first || renewed != r.srv.Fingerprint() || renewed != shown() {
		t.Errorf("shows %s", renewed)
	}
	if kept, err := (&TLSConfig{CertDir: dir}).certificate(time.Now()); err != nil || fingerprint(kept) != renewed {
		t.Errorf("the renewed one is not kept: %v", err)
	}
	stands.cmd(200, "NOOP")
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A session that is ended in the midst of its handshake gets no reply in clear: to its client that is a broken record, and
// no server that has gone away.
func TestNothingIsSaidInClearOnceTLSHasBegun(t *testing.T) {
	for _, mode := range []TLSMode{TLSRequired, TLSImplicit} {
		r := startTLS(t, func(c *Config) { c.TLS.Mode = mode })
		conn, err := net.Dial("tcp", r.srv.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		if mode == TLSRequired {
			c := newRaw(t, conn)
			c.expect(220)
			c.send("AUTH TLS\r\n")
			c.expect(234)
		}
		until(t, "the session is there", func() bool { return len(r.srv.Sessions()) == 1 })
		if mode == TLSImplicit {
			until(t, "it waits for the handshake", func() bool {
				r.srv.mu.Lock()
				defer r.srv.mu.Unlock()
				for _, n := range r.srv.sessions {
					n.writeMu.Lock()
					defer n.writeMu.Unlock()
					return n.mute
				}
				return false
			})
		}
		r.srv.Kick(r.srv.Sessions()[0].ID)
		if said, _ := io.ReadAll(conn); len(said) > 0 {
			t.Errorf("%s: %q", mode, said)
		}
	}
}
