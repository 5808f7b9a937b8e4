//go:build linux

package attacks

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"portside/localserver"
)

// Bounce (RFC 2577 section 3): the server dials nobody but the client, and none of its low ports.
func TestBounceReachesNobody(t *testing.T) {
	p := serve(t)
	p.file("a", "content")
	victim, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()
	reached := make(chan struct{})
	go func() {
		if c, err := victim.Accept(); err == nil {
			c.Close()
			close(reached)
		}
	}()
	port := victim.Addr().(*net.TCPAddr).Port
	c := p.signIn()
	for _, line := range []string{
		fmt.Sprintf("PORT 127,0,0,2,%d,%d", port>>8, port&255), fmt.Sprintf("EPRT |1|127.0.0.2|%d|", port), fmt.Sprintf("EPRT |2|::ffff:127.0.0.2|%d|", port),
		"PORT 127,0,0,1,0,25", "EPRT |1|127.0.0.1|22|", "PORT 0,0,0,0,200,1", "EPRT |1|localhost|2000|", "EPRT |1|0x7f.2|2000|", "PORT 127,0,0,258,8,0",
		"PORT 127,0,0,1,8", "PORT -127,0,0,2,8,1", "EPRT |2|::1|2000|", "EPRT |1|127.0.0.1|70000|", "LPRT 4,4,127,0,0,2,2,8,0",
	} {
		if code, text := c.try(line); code < 500 || code > 599 {
			t.Errorf("%s: %d %s", line, code, text)
		}
		if code, text := c.try("RETR a"); code != 425 {
			t.Errorf("RETR after %s: %d %s", line, code, text)
		}
	}
	// A good request that a refused one follows is not kept.
	own, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	to := own.Addr().(*net.TCPAddr).Port
	c.cmd(200, "PORT 127,0,0,1,%d,%d", to>>8, to&255)
	c.cmd(504, "PORT 127,0,0,2,%d,%d", port>>8, port&255)
	c.cmd(425, "RETR a")
	select {
	case <-reached:
		t.Error("the victim was dialled")
	default:
	}
}

// Data stealing (RFC 2577 section 4): a stranger who finds the port first gets nothing, and takes nothing away.
func TestStolenPortsYieldNothing(t *testing.T) {
	p := serve(t)
	p.file("a", "for the owner")
	c := p.signIn()
	at := c.epsv()
	for n := byte(2); n < 12; n++ {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: stranger(n)}}
		thief, err := d.Dial("tcp4", at)
		if errors.Is(err, syscall.ECONNRESET) {
			continue // turned away before the dial had returned
		}
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		thief.SetReadDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(thief); len(b) > 0 || err == nil {
			t.Errorf("a stranger got %q, %v", b, err)
		}
	}
	own, err := net.Dial("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	c.cmd(150, "RETR a")
	if b, err := io.ReadAll(own); string(b) != "for the owner" {
		t.Errorf("the owner got %q, %v", b, err)
	}
	c.expect(226)
	// Nor does one put something into an upload.
	at = c.epsv()
	c.send("STOR b\r\n")
	thief, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: stranger(2)}}).Dial("tcp4", at)
	if err == nil {
		defer thief.Close()
		io.WriteString(thief, "planted")
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	own2, err := net.Dial("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	c.expect(150)
	io.WriteString(own2, "own")
	own2.Close()
	c.expect(226)
	if b, _ := os.ReadFile(filepath.Join(p.root, "b")); string(b) != "own" {
		t.Errorf("b is %q", b)
	}
}

// Brute force (RFC 2577 section 5): the answers get slower, the connection ends, the address is shut out, and nobody else.
func TestGuessingPasswordsGetsSlowerThenShutOut(t *testing.T) {
	p := serve(t)
	begin := time.Now()
	c := dial(t, p.addr, stranger(5))
	c.expect(220)
	for _, name := range []string{user, "nobody", user} {
		c.cmd(331, "USER %s", name)
		if text := c.cmd(530, "PASS guess"); text != "Wrong user name or password." {
			t.Errorf("%s: %q", name, text)
		}
	}
	c.expect(421)
	if took := time.Since(begin); took < 3*time.Second {
		t.Errorf("three guesses took %v", took)
	}
	var guesses sync.WaitGroup
	for range 8 {
		guesses.Go(func() {
			c := dial(t, p.addr, stranger(5))
			if code, _ := c.reply(); code != 220 {
				return // shut out by the others' guesses
			}
			c.try("USER " + user)
			c.try("PASS guess")
		})
	}
	guesses.Wait()
	if code, text := dial(t, p.addr, stranger(5)).reply(); code != 421 {
		t.Errorf("after 11 guesses: %d %s", code, text)
	}
	other := dial(t, p.addr, stranger(6))
	other.expect(220)
	other.signIn()
	if strings.Contains(p.log(), "PASS guess") {
		t.Error("a password stands in the log")
	}
}

// Floods: one address gets a part of the connections, a flood of PASV takes one port, a flood of commands ends its
// session, and all the while others are served.
func TestFloodsLeaveRoomForOthers(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Max < 4096 {
		t.Skipf("a process may open %d files only", files.Max)
	}
	p := serve(t)
	p.file("a", "content")
	served := func(what string) {
		t.Helper()
		begin := time.Now()
		c := dial(t, p.addr, stranger(7))
		c.expect(220)
		c.signIn()
		if code, text := c.fetch("RETR a"); code != 226 || text != "content" {
			t.Errorf("during the flood of %s: %d %q", what, code, text)
		}
		if took := time.Since(begin); took > soon {
			t.Errorf("during the flood of %s another client waited %v", what, took)
		}
		c.c.Close()
	}
	served("nothing")
	idle := p.descriptors()
	memory := p.resident()

	var flood []net.Conn
	for range 1500 {
		c, err := net.Dial("tcp4", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		flood = append(flood, c)
	}
	until(t, "the flood is answered", func() bool { return strings.Count(p.log(), "control-opened") >= 1500 })
	if n := p.descriptors() - idle; n > 1024+100 {
		t.Errorf("one address holds %d descriptors", n)
	}
	served("connections")
	grown := p.resident() - memory
	t.Logf("a flood of connections takes %d MB", grown>>20)
	if grown > 80<<20 && !raceEnabled { // the race detector's own memory counts
		t.Error("that is too much")
	}
	for _, c := range flood {
		c.Close()
	}
	until(t, "the flood is over", func() bool { return p.descriptors() <= idle+10 })

	c := p.signIn()
	c.c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c.c, strings.Repeat("PASV\r\nEPSV\r\nPORT 127,0,0,1,200,200\r\n", 1000))
	for i := range 3000 {
		c.expect(227, 229, 200)
		if i == 1500 {
			if n := p.descriptors() - idle; n > 20 {
				t.Errorf("a flood of PASV holds %d descriptors", n)
			}
			served("PASV")
		}
	}
	c.cmd(221, "QUIT")

	c = p.connect()
	begin := time.Now()
	go io.WriteString(c.c, strings.Repeat("NOOP\r\n", 5000))
	for n := 0; ; n++ {
		code, _ := c.reply()
		if code != 200 {
			seconds := 1 + int(time.Since(begin)/time.Second) // that a busy machine took
			if code != 421 && code != 0 || n > 200*seconds {
				t.Errorf("%d commands before the sign-in in %d s, then %d", n, seconds, code)
			}
			break
		}
	}

	c = p.signIn()
	c.data()
	c.cmd(150, "STOR up") // and no data comes
	go io.WriteString(c.c, strings.Repeat("NOOP "+strings.Repeat("x", 1000)+"\r\nHELP\r\n", 5000))
	for code := 0; code != 421; {
		if code, _ = c.reply(); code == 0 {
			break
		}
	}
	served("commands")
}

// Slow clients: half a command, half a handshake, replies and files that nobody reads cost others nothing.
func TestSlowClientsHoldUpNobody(t *testing.T) {
	p := serve(t)
	p.file("a", "content")
	p.file("big", strings.Repeat("x", 16<<20))
	for i := range 100 {
		switch c := p.connect(); i % 5 {
		case 0:
			c.send("USER an") // and never its end
		case 1:
			c.send("AUTH TLS\r\n")
			c.expect(234)
			c.send("\x16\x03\x01\x02")
		case 2:
			c.signIn()
			c.data() // never read
			c.send("RETR big\r\n")
		case 3:
			c.signIn()
			go io.WriteString(c.c, strings.Repeat("HELP\r\n", 20_000)) // replies never read
		case 4:
			c.signIn()
			c.send("EPSV\r\nLIST\r\n") // never dialled
		}
	}
	for range 5 {
		begin := time.Now()
		c := p.signIn()
		if code, text := c.fetch("RETR a"); code != 226 || text != "content" {
			t.Errorf("%d %q", code, text)
		}
		if took := time.Since(begin); took > soon {
			t.Errorf("another client waited %v", took)
		}
		c.cmd(221, "QUIT")
	}
	begin := time.Now()
	p.end(os.Interrupt)
	if took := time.Since(begin); took > localserver.DefaultLimits().StopGrace+soon {
		t.Errorf("the stop took %v", took)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Traversal: nothing outside the folder is read, written, named or told apart from what does not exist.
func TestNoNameLeadsOutOfTheFolder(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "shared")
	outside := filepath.Join(base, "shared-not")
	for _, dir := range []string{root, outside} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(outside, "kept")
	if err := os.WriteFile(kept, []byte(secret), 0o666); err != nil {
		t.Fatal(err)
	}
	p := serveFolder(t, root)
	p.file("sub/a", "inside")
	c := p.signIn()
	up := strings.Repeat("../", 30)
	for _, name := range []string{
		"../shared-not/kept", "/../shared-not/kept", kept, up + kept, "sub/../../shared-not/kept", "sub/./.././../shared-not/kept", "//" + kept, "~/kept", "~root/kept",
		`..\shared-not\kept`, "%2e%2e/shared-not/kept", "..%2fshared-not/kept", "..//shared-not//kept", ".../shared-not/kept", "..\xc0\xafshared-not/kept",
		"\xff\xfe../shared-not/kept", "/proc/self/root" + kept, "/proc/self/environ", "/dev/zero", "file:" + kept, "|cat " + kept, "`cat " + kept + "`",
	} {
		for _, verb := range []string{"SIZE", "MDTM", "MLST", "DELE", "RNFR", "CWD", "RMD", "STAT", "MFMT 20200101000000", "SITE CHMOD 777"} {
			code, text := c.try(verb + " " + name)
			if code == 0 || code < 400 && verb != "STAT" || strings.Contains(text, secret) || strings.Contains(text, base+"/shared/") {
				t.Errorf("%s %s: %d %s", verb, name, code, text)
			}
		}
		if code, text := c.fetch("RETR " + name); code != 550 {
			t.Errorf("RETR %s: %d %q", name, code, text)
		}
		for _, verb := range []string{"LIST", "NLST", "MLSD"} {
			if _, text := c.fetch(verb + " " + filepath.Dir(name)); strings.Contains(text, "kept") {
				t.Errorf("%s %s: %q", verb, filepath.Dir(name), text)
			}
		}
		c.data()
		if code, _ := c.try("STOR " + name); code == 150 {
			c.cmd(426, "ABOR")
			c.expect(226)
		}
		c.cmd(350, "RNFR sub/a")
		if code, _ := c.try("RNTO " + name); code == 250 {
			c.cmd(350, "RNFR %s", name)
			c.cmd(250, "RNTO sub/a")
		}
	}
	c.cmd(250, "CWD %s", up)
	if text := c.cmd(257, "PWD"); !strings.HasPrefix(text, `"/"`) {
		t.Errorf("PWD after CWD %s: %s", up, text)
	}
	if b, err := os.ReadFile(kept); string(b) != secret {
		t.Errorf("the outside is changed: %q, %v", b, err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("the outside has %v", entries)
	}
	if entries, _ := os.ReadDir(base); len(entries) != 2 {
		t.Errorf("above the folder is %v", entries)
	}
}

// Links that lead out are not followed, also when they take a folder's place while it is used.
func TestLinksDoNotLeadOut(t *testing.T) {
	base := t.TempDir()
	root, outside := filepath.Join(base, "shared"), filepath.Join(base, "out")
	os.Mkdir(root, 0o755)
	os.Mkdir(outside, 0o777)
	os.WriteFile(filepath.Join(outside, "a"), []byte(secret), 0o666)
	p := serveFolder(t, root)
	p.file("in/a", "inside")
	for name, to := range map[string]string{"file": "../out/a", "folder": "../out", "absolute": outside, "proc": "/proc/self/cwd", "loop": "loop", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	c := p.signIn()
	for _, line := range []string{"CWD folder", "CWD absolute", "CWD up", "CWD loop", "SIZE file", "SIZE folder/a", "MDTM file", "MLST absolute/a", "RNFR up/out/a", "DELE folder/a",
		"MKD folder/new", "RMD up/out", "SITE CHMOD 000 file", "MFMT 20200101000000 file"} {
		if code, text := c.try(line); code != 550 {
			t.Errorf("%s: %d %s", line, code, text)
		}
	}
	for _, line := range []string{"RETR file", "RETR folder/a", "RETR absolute/a", "RETR up/out/a", "RETR loop", "STOR file", "STOR folder/new", "STOR absolute/a", "APPE file", "STOU folder/a"} {
		if code, text := c.fetch(line); code != 550 && code != 553 {
			t.Errorf("%s: %d %q", line, code, text)
		}
	}
	stop, swapped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for in, aside, link := filepath.Join(root, "in"), filepath.Join(root, "aside"), filepath.Join(root, "folder"); ; n++ {
			os.Rename(in, aside)
			os.Rename(link, in)
			os.Rename(in, link)
			os.Rename(aside, in)
			select {
			case <-stop:
				swapped <- n
				return
			default:
			}
		}
	}()
	inside := 0
	for i := range 600 {
		switch code, text := c.fetch("RETR in/a"); {
		case code == 226 && text == "inside":
			inside++
		case code != 550 || text == secret:
			t.Fatalf("RETR in/a: %d %q", code, text)
		}
		if d := c.data(); i%4 == 0 {
			if code, _ := c.try("STOR in/b" + strconv.Itoa(i)); code == 150 {
				d.Close()
				c.reply()
			}
		} else {
			d.Close()
		}
	}
	close(stop)
	t.Logf("%d swaps, %d of 600 downloads came through", <-swapped, inside)
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("the outside has %v", entries)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "a")); string(b) != secret {
		t.Errorf("the outside is changed: %q, %v", b, err)
	}
}

// Injection before TLS (CVE-2011-0411): what was sent in clear after AUTH is never executed, nor is a sign-in kept.
func TestClearCommandsAreNotCarriedIntoTLS(t *testing.T) {
	p := serve(t)
	c := p.connect()
	c.send("AUTH TLS\r\nUSER " + user + "\r\nPASS " + password + "\r\nMKD injected\r\n")
	c.expect(234)
	config := &tls.Config{InsecureSkipVerify: true}
	tc := tls.Client(c.c, config)
	// The clear bytes stand before the handshake, or are thrown away: either ends well.
	if err := tc.Handshake(); err == nil {
		in := &client{t: t, c: tc, in: c.in}
		in.in.Reset(tc)
		in.cmd(530, "PWD")
	}
	if _, err := os.Stat(filepath.Join(p.root, "injected")); err == nil {
		t.Error("a clear command was executed")
	}
	c = p.signIn()
	c.cmd(234, "AUTH TLS")
	c.startTLS(config)
	c.cmd(530, "PWD")
	c.cmd(503, "PASS %s", password)
	c.cmd(503, "AUTH TLS")
}

// Downgrade: where TLS is required there is no clear sign-in, no clear data, no old TLS and no other protocol.
func TestRequiredTLSCanNotBeTalkedDown(t *testing.T) {
	p := serve(t, "--tls", "required")
	p.file("a", secret)
	clear := p.connect()
	for _, line := range []string{"USER " + user, "USER anonymous", "USER nobody"} {
		clear.cmd(530, "%s", line)
		clear.cmd(503, "PASS %s", password)
	}
	for _, line := range []string{"AUTH SSL", "AUTH NONE", "PROT C", "PBSZ 0", "CCC", "PASV"} {
		if code, text := clear.try(line); code < 500 || code > 599 {
			t.Errorf("%s in clear: %d %s", line, code, text)
		}
	}
	for name, config := range map[string]*tls.Config{
		"TLS 1.1": {InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"ALPN h2": {InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}},
	} {
		c := p.connect()
		c.cmd(234, "AUTH TLS")
		if err := tls.Client(c.c, config).Handshake(); err == nil {
			t.Errorf("%s is spoken", name)
		}
	}
	c := p.connect()
	c.cmd(234, "AUTH TLS")
	c.startTLS(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"ftp"}})
	c.signIn()
	for _, before := range []string{"", "PBSZ 0", "PROT P", "PROT C"} {
		if before != "" {
			c.cmd(200, "%s", before)
		}
		if before == "PROT P" {
			continue
		}
		for _, line := range []string{"RETR a", "LIST", "STOR b"} {
			if code, text := c.fetch(line); code != 522 || text == secret {
				t.Errorf("%s after %q: %d %q", line, before, code, text)
			}
		}
	}
	c.cmd(502, "CCC")
	// PROT C between the offer and the transfer.
	c.cmd(200, "PROT P")
	d := c.data()
	c.cmd(200, "PROT C")
	c.cmd(522, "RETR a")
	d.SetReadDeadline(time.Now().Add(patience))
	if b, _ := io.ReadAll(d); len(b) > 0 {
		t.Errorf("in clear came %q", b)
	}
}

// Log injection: no name, command or argument writes a line of its own, moves a terminal's cursor or shows a password.
func TestLogsCanNotBeForged(t *testing.T) {
	evil := []string{
		"USER \x1b[2Jevil", "USER ann\r", "USER \u202eann", "USER ann\x00", "CLNT \x1b]0;owned\x07", "CLNT {\"event\":\"signed-in\"}", "PASS s3cret\x1b", "pAsS s3cret",
		"STOR \x1b[31m\u2028x", "MKD a\x9bb", "\x1b[2J", "NOOP \xff\xfe\u200f", "SITE PASS s3cret", "USER ann\n220 forged",
	}
	for _, kind := range []string{"json", "text"} {
		p := serve(t, "--log", kind)
		for _, line := range evil {
			c := p.connect()
			c.send(line + "\r\nQUIT\r\n")
			io.Copy(io.Discard, c.in)
		}
		c := p.signIn()
		for _, name := range []string{"\x1b[2J", "\u202egpj.exe", "a\tb"} {
			if err := os.WriteFile(filepath.Join(p.root, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			c.fetch("RETR " + name)
		}
		c.cmd(221, "QUIT")
		p.end(os.Interrupt)
		lines := bytes.Split(bytes.TrimSuffix([]byte(p.log()), []byte("\n")), []byte("\n"))
		for _, line := range lines {
			if kind == "json" && !json.Valid(line) {
				t.Errorf("%q is not JSON", line)
			}
			for _, r := range string(line) {
				if unicode.Is(unicode.Cc, r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar || r == '\u2028' {
					t.Errorf("%s: %U in %q", kind, r, line)
				}
			}
			if bytes.Contains(line, []byte("s3cret")) || bytes.Contains(line, []byte(password)) {
				t.Errorf("a password: %q", line)
			}
			if bytes.HasPrefix(line, []byte("220 forged")) {
				t.Errorf("a forged line: %q", line)
			}
		}
		if len(lines) < len(evil) {
			t.Errorf("%d lines", len(lines))
		}
	}
}
