package localserver

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
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
	f.Add("/a", "../../etc/passwd")
	f.Add("/", `..\x`)
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
	})
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
