package localserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portside/wire"
)

// FuzzLines: whatever comes in whatever pieces, only lines that ended are returned, none is longer than allowed, and
// the pieces don't matter.
func FuzzLines(f *testing.F) {
	f.Add("USER u\r\nPASS x\nNOOP", 3)
	f.Add(strings.Repeat("a", 5000)+"\r\nNOOP\r\n", 700)
	f.Add("\x16\x03\x01", 1)
	f.Fuzz(func(t *testing.T, text string, piece int) {
		if len(text) > 1<<16 || piece < 1 {
			return
		}
		lines := func(r io.Reader) (all []string, err error) {
			var l lineReader
			l.reset(r)
			for {
				line, err := l.next()
				if err != nil {
					return all, err
				}
				if line != tooLong && (len(line) > wire.MaxLine+1 || strings.Contains(line, "\n")) {
					t.Fatalf("line %q", line)
				}
				all = append(all, line)
			}
		}
		whole, err := lines(strings.NewReader(text))
		parts, err2 := lines(&pieces{text, piece})
		if strings.Join(whole, "|") != strings.Join(parts, "|") || err != err2 {
			t.Fatalf("%q, %v; in pieces of %d: %q, %v", whole, err, piece, parts, err2)
		}
		if err == io.EOF && len(whole) != strings.Count(text, "\n") {
			t.Fatalf("%d lines out of %q", len(whole), text)
		}
	})
}

type pieces struct {
	text string
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.text)
	p.text = p.text[n:]
	return n, nil
}

func FuzzPathsStayBelowTheRoot(f *testing.F) {
	for _, arg := range []string{"../../etc/passwd", `..\x`, "out/secret", "in/../out/secret", "loop/a", "secret", "away", "abs", "a", "./a/", "in/./b", "a\x00b",
		".portside-upload-x", ".PORTSIDE-UPLOAD-x", "in//b/..", "in/up/../secret"} {
		f.Add("/", arg)
		f.Add("/in", arg)
	}
	f.Add("/in", "..")
	shared, secret := fuzzTree(f)
	root, err := os.OpenRoot(shared)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, cwd, arg string) {
		if !strings.HasPrefix(cwd, "/") {
			return
		}
		virtual, rel, err := relative(cwd, arg)
		if err != nil {
			return
		}
		if !filepath.IsLocal(rel) || !strings.HasPrefix(virtual, "/") || strings.Contains(virtual+"/", "/../") || strings.Contains(rel, tempPrefix) &&
			strings.HasPrefix(filepath.Base(rel), tempPrefix) {
			t.Fatalf("%q %q: %q %q", cwd, arg, virtual, rel)
		}
		if st, err := root.Stat(rel); err == nil && os.SameFile(st, secret) {
			t.Fatalf("%q %q: a file outside is seen", cwd, arg)
		}
		if file, st, err := openFile(root, rel, 0); err == nil {
			file.Close()
			if os.SameFile(st, secret) || !st.Mode().IsRegular() {
				t.Fatalf("%q %q: %v is opened", cwd, arg, st.Mode())
			}
		}
		if target, err := resolveLink(root, rel); err == nil && !filepath.IsLocal(target) {
			t.Fatalf("%q %q: writing would go to %q", cwd, arg, target)
		}
	})
}

// fuzzTree makes a folder to share with links of all kinds in it, and a file beside it that nobody may reach.
func fuzzTree(f *testing.F) (shared string, secret os.FileInfo) {
	dir := f.TempDir()
	shared, outside := filepath.Join(dir, "shared"), filepath.Join(dir, "secret")
	check := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	check(os.MkdirAll(filepath.Join(shared, "in"), 0o755))
	check(os.WriteFile(filepath.Join(shared, "a"), []byte("a"), 0o644))
	check(os.WriteFile(filepath.Join(shared, "in", "b"), []byte("bb"), 0o644))
	check(os.WriteFile(outside, []byte("secret"), 0o644))
	for name, to := range map[string]string{
		"out": "..", "away": "../secret", "abs": outside, "loop": "loop", "same": "in", "in/up": "../..", "in/b2": "b",
	} {
		if err := os.Symlink(to, filepath.Join(shared, filepath.FromSlash(name))); err != nil {
			f.Skipf("no links here: %v", err)
		}
	}
	secret, err := os.Stat(outside)
	check(err)
	return shared, secret
}

// FuzzPORT: what PORT may name is the client's own address and a port from 1024, or it is refused with a proper code.
func FuzzPORT(f *testing.F) {
	for _, arg := range []string{"127,0,0,1,200,10", "127,0,0,1,3,255", "10,0,0,1,200,10", "127,0,0,1,200", "0127,0,0,1,200,10", "127,0,0,1,256,1", "localhost", "0,0,0,0,4,0"} {
		f.Add(arg)
	}
	fuzzActive(f, "PORT")
}

// FuzzEPRT is [FuzzPORT] for EPRT.
func FuzzEPRT(f *testing.F) {
	for _, arg := range []string{"|1|127.0.0.1|5000|", "|2|::1|5000|", "|1|127.0.0.1|80|", "|1|10.0.0.1|5000|", "|2|::ffff:127.0.0.1|5000|", "!1!127.0.0.1!5000!",
		"|3|x|5000|", "|1|127.0.0.1|99999|", "|2|fe80::1%lo|5000|", "|1|localhost|5000|", "1112711", "||||"} {
		f.Add(arg)
	}
	fuzzActive(f, "EPRT")
}

func fuzzActive(f *testing.F, verb string) {
	f.Fuzz(func(t *testing.T, arg string) {
		for _, peer := range []string{"127.0.0.1", "::1"} {
			s := &session{srv: &Server{commands: newCommands()}, local: netip.AddrPortFrom(netip.MustParseAddr(peer), 21),
				peer: netip.AddrPortFrom(netip.MustParseAddr(peer), 40000)}
			to, refusal := s.activeTarget(wire.Command{Verb: verb, Arg: arg})
			switch refusal.Code {
			case 0:
				if to.Addr().Unmap() != s.peer.Addr() || to.Port() < 1024 {
					t.Fatalf("%s %q of %s: %v would be dialled", verb, arg, peer, to)
				}
			case 501, 504, 522:
				if again, _, err := wire.ParseReply(refusal.Format()); err != nil || again.Code != refusal.Code {
					t.Fatalf("%s %q: reply %q", verb, arg, refusal.Format())
				}
			default:
				t.Fatalf("%s %q: %d", verb, arg, refusal.Code)
			}
		}
	})
}

// FuzzMLST: whatever facts OPTS MLST chooses and whatever MLST names, the reply is a line of exactly those facts, and never of
// something outside the folder.
func FuzzMLST(f *testing.F) {
	for _, facts := range []string{"", "size;type;", "TYPE;Size", ";;", "unix.mode;perm;unique;modify;", "x;type ; type", "size"} {
		for _, path := range []string{"", "a", "in/b", "/", "..", "away", "out/secret", "abs", "in/up/secret", "-l", " a"} {
			f.Add(facts, path)
		}
	}
	shared, secret := fuzzTree(f)
	root, err := os.OpenRoot(shared)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, facts, path string) {
		if _, err := wire.ParseCommand("MLST " + path); err != nil {
			return // never comes that far
		}
		s := &session{root: root, cwd: "/", facts: parseFactSet(facts), account: &account{Account: Account{Rights: ReadWrite}}}
		chosen := s.facts.chosen()
		if parseFactSet(chosen) != s.facts || parseFactSet(strings.ReplaceAll(s.facts.list(), "*", "")) != allFacts {
			t.Fatalf("%q: %q, %q", facts, chosen, s.facts.list())
		}
		reply := s.factsOf(path)
		if reply.Code != 250 {
			if reply.Code != 550 && reply.Code != 553 || len(reply.Lines) != 1 {
				t.Fatalf("MLST %q: %+v", path, reply)
			}
			return
		}
		again, rest, err := wire.ParseReply(reply.Format())
		if err != nil || len(rest) > 0 || len(again.Lines) != 3 {
			t.Fatalf("MLST %q: %q: %v", path, reply.Format(), err)
		}
		shown, name, err := wire.ParseFacts(strings.TrimPrefix(reply.Lines[1], " "))
		if err != nil || !strings.HasPrefix(name, "/") {
			t.Fatalf("MLST %q: %q: %v", path, reply.Lines[1], err)
		}
		for _, fact := range shown {
			if !strings.Contains(";"+chosen, ";"+fact.Name+";") || fact.Name == "unique" && fact.Value == idOf(secret) {
				t.Fatalf("OPTS MLST %q, MLST %q: %q", facts, path, reply.Lines[1])
			}
		}
	})
}

// FuzzALPN: a client that offers protocols by ALPN comes in with "ftp" among them or not at all (ALPACA), and no malformed offer
// does harm. Each line of the first text is a protocol; the second takes the extension's place in another handshake.
func FuzzALPN(f *testing.F) {
	for _, protos := range []string{"", "ftp", "http/1.1\nftp", "h2\nhttp/1.1", "FTP", "ftp\x00", "imap", "ftps", "ftp-data"} {
		f.Add(protos, []byte("\x00\x04\x03ftp"))
	}
	f.Add("", []byte("\x00\x00"))
	f.Add("", []byte("\xff\xff\x03ftp"))
	f.Add("", []byte("\x00\x05\x00\x03ftp"))
	c := TLSConfig{}
	cert, err := c.certificate(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		var offered []string
		for name := range strings.SplitSeq(text, "\n") {
			if n := len(name); n > 0 && n < 256 && len(offered) < 100 {
				offered = append(offered, name)
			}
		}
		// Names that ALPN compares byte by byte (RFC 7301 section 3.2).
		want := len(offered) == 0 || slices.Contains(offered, "ftp")
		state, err := handshake(cert, offered)
		if (err == nil) != want || err == nil && (state.NegotiatedProtocol == "ftp") != (len(offered) > 0) {
			t.Fatalf("offered %q: %q, %v", offered, state.NegotiatedProtocol, err)
		}
		if len(raw) < 4 || len(raw) > 250 {
			return
		}
		// A hello that was changed: the client would notice at the handshake's end, so only the server's choice is looked at.
		s := tls.Server(&scripted{in: bytes.NewReader(helloWith(raw))}, sessionTLS(cert, ResumeNote))
		if err := s.Handshake(); err == nil {
			t.Fatalf("a hello alone, with ALPN %q, came in", raw)
		}
		chosen := s.ConnectionState().NegotiatedProtocol
		if chosen != "" && (chosen != "ftp" || !bytes.Contains(raw, []byte("\x03ftp"))) || string(raw) == "\x00\x04\x03ftp" && chosen == "" {
			t.Fatalf("%q is chosen from %q", chosen, raw)
		}
	})
}

// handshake is the server's side of a TLS handshake with a client that offers protocols.
func handshake(cert *tls.Certificate, offered []string) (tls.ConnectionState, error) {
	near, far := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer near.Close()
		c := tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: offered})
		if c.Handshake() == nil {
			io.Copy(io.Discard, c)
		}
	}()
	far.SetDeadline(time.Now().Add(patience))
	s := tls.Server(far, sessionTLS(cert, ResumeNote))
	err := s.Handshake()
	far.Close()
	<-ended
	return s.ConnectionState(), err
}

// helloWith is a TLS client's first message with alpn as the body of its ALPN extension.
func helloWith(alpn []byte) []byte {
	name := strings.Repeat("x", len(alpn)-3)
	var hello bytes.Buffer
	tls.Client(&scripted{in: strings.NewReader(""), out: &hello}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{name}}).Handshake()
	was := append([]byte{0, byte(len(name) + 1), byte(len(name))}, name...)
	return bytes.Replace(hello.Bytes(), was, alpn, 1)
}

// scripted is a connection whose other end has said all it will say. out is nil when nobody looks at what it is told.
type scripted struct {
	net.Conn
	in  io.Reader
	out io.Writer
}

func (s *scripted) Read(b []byte) (int, error) { return s.in.Read(b) }

func (s *scripted) Write(b []byte) (int, error) {
	if s.out != nil {
		return s.out.Write(b)
	}
	return len(b), nil
}

func FuzzPassword(f *testing.F) {
	f.Add(testPassword().String())
	f.Add("$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$x")
	f.Fuzz(func(t *testing.T, phc string) {
		p, err := ParsePassword(phc)
		if err == nil && (p.String() != phc || p.IsZero()) {
			t.Fatal(phc)
		}
	})
}

func FuzzTextConversion(f *testing.F) {
	f.Add("a\r\nb\nc\rd", 2)
	f.Fuzz(func(t *testing.T, text string, piece int) {
		if piece < 1 || len(text) > 1<<16 {
			return
		}
		sent, err := io.ReadAll(&crlfReader{r: &pieces{text, piece}})
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := io.ReadAll(&crlfReader{r: strings.NewReader(text)})
		if string(sent) != string(whole) {
			t.Fatalf("pieces matter: %q, %q", sent, whole)
		}
		var b strings.Builder
		w := &lfWriter{w: &b}
		for p := (&pieces{string(sent), piece}); p.text != ""; {
			buf := make([]byte, 16)
			n, _ := p.Read(buf)
			w.Write(buf[:n])
		}
		w.flush()
		if want := strings.ReplaceAll(string(whole), "\r\n", "\n"); b.String() != want {
			t.Fatalf("%q comes back as %q", want, b.String())
		}
	})
}

// FuzzSession: whatever a signed-in client sends, every reply is well formed, and the server is there for the next one.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"PASV\r\nLIST -la /\r\nABOR", "EPRT |1|127.0.0.1|99999|\r\nRETR a", "OPTS MLST size;type;;UNIQUE\r\nMLST a", "REST 5\r\nSTAT a\r\nSITE CHMOD 777 a",
		"RNFR a\r\nRNTO ../b\r\nMKD \"x\"\r\nPWD", "TYPE L 8\r\nALLO 5 R 5\r\nMFMT 20200101000000 a", "\xff\xf4\xff\xf2ABOR\r\nEPSV ALL\r\nPASV", "USER u\r\nPASS \x00\nREIN",
		"AVBL /\r\nHOST x\r\nCLNT \x1b[0m\r\nFEAT\r\nHELP RETR", "CWD " + strings.Repeat("../", 2000) + "\r\nAUTH TLS",
	} {
		f.Add(s)
	}
	root := f.TempDir()
	srv, err := New(Config{Listen: "127.0.0.1:0", Root: root, Accounts: []Account{{Name: "u", Password: testPassword(), Rights: ReadWrite}},
		Limits: Limits{OfferTimeout: 20 * time.Millisecond, DialTimeout: 20 * time.Millisecond, StopGrace: time.Millisecond, WrongPasswordDelay: time.Microsecond,
			ShutOutAfter: -1}})
	if err != nil {
		f.Fatal(err)
	}
	if err := srv.Start(context.Background()); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { srv.Stop(context.Background()) })
	f.Fuzz(func(t *testing.T, text string) {
		// From one address the ports would run out: closed connections keep theirs for a minute.
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(rand.IntN(256)), byte(rand.IntN(256)), byte(1+rand.IntN(254)))}}
		c, err := d.Dial("tcp4", srv.Addr().String())
		if err != nil {
			if c, err = net.Dial("tcp4", srv.Addr().String()); err != nil {
				t.Fatal(err)
			}
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		// A server may close while the rest is sent.
		go io.WriteString(c, "USER u\r\nPASS pw\r\n"+text+"\r\nQUIT\r\n")
		said, lost := io.ReadAll(c)
		if ne, ok := lost.(net.Error); ok && ne.Timeout() {
			t.Fatalf("no end to %q", text)
		}
		for rest := said; len(rest) > 0; {
			_, more, err := wire.ParseReply(rest)
			if err == wire.ErrIncomplete && lost != nil {
				break // a close with commands unread takes replies along (RFC 1122 section 4.2.2.13)
			}
			if err != nil {
				t.Fatalf("%q: reply %q: %v", text, rest, err)
			}
			rest = more
		}
	})
}

func idOf(st os.FileInfo) string {
	e := entryOf(st)
	return string(e.appendID(nil))
}
