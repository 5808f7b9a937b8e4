package localserver

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

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
