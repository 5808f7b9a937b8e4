package transfer_test

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"portside/client/transfer"
	"portside/wire"
)

// hostile is a scripted server that lists what it likes and gives "evil" for every file.
type hostile struct {
	listings map[string]string // by folder
	endless  string            // of every other folder
	feat     string
	short    map[string]int // how often a file comes without its end, by name
	mu       sync.Mutex
	lines    []string
}

func (h *hostile) serve(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { h.session(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func (h *hostile) session(conn net.Conn) {
	defer conn.Close()
	say := func(s string) { io.WriteString(conn, s+"\r\n") }
	var data net.Listener
	defer func() {
		if data != nil {
			data.Close()
		}
	}()
	send := func(s string) {
		if data == nil {
			say("425 No")
			return
		}
		say("150 Here")
		c, err := data.Accept()
		data.Close()
		data = nil
		if err != nil {
			return
		}
		io.WriteString(c, s)
		c.Close()
		say("226 Done")
	}
	say("220 Ready")
	br := bufio.NewReader(conn)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		h.mu.Lock()
		h.lines = append(h.lines, line)
		h.mu.Unlock()
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "USER", "PASS":
			say("230 In")
		case "FEAT":
			say("211-Features\r\n MLST type*;size*;modify*;\r\n" + h.feat + " SIZE\r\n211 End")
		case "TYPE", "OPTS", "NOOP":
			say("200 OK")
		case "PWD":
			say(`257 "/"`)
		case "CWD":
			say("250 OK")
		case "EPSV":
			if data != nil {
				data.Close()
			}
			if data, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return
			}
			say("229 " + wire.Format229(data.Addr().(*net.TCPAddr).AddrPort().Port()))
		case "MLSD":
			listing, ok := h.listings[strings.Trim(arg, "/")]
			if !ok {
				listing = h.endless
			}
			send(listing)
		case "SIZE":
			say("213 4")
		case "RETR":
			body := "evil"
			h.mu.Lock()
			if h.short[arg] > 0 {
				h.short[arg]--
				body = body[:2]
			}
			h.mu.Unlock()
			send(body)
		case "QUIT":
			say("221 Bye")
			return
		default:
			say("502 No")
		}
	}
}

func file(name string) string   { return "type=file;size=4;modify=20200101000000; " + name + "\r\n" }
func folder(name string) string { return "type=dir;modify=20200101000000; " + name + "\r\n" }

// Nothing is written outside the chosen folder whatever a server calls its files; what is left out is named, and the rest
// comes.
func TestNamesThatLeadElsewhere(t *testing.T) {
	deep := strings.Repeat("../", 20)
	for name, c := range map[string]struct {
		listing string
		refused int // how many are named as failures
		windows int // the same on Windows
	}{
		"slash":                 {file("/abs") + file("a/b") + file(deep+"tmp/x"), 3, 3},
		"backslash":             {file(`..\..\up`) + file(`C:\x`), 0, 2},
		"dot dot":               {folder("..") + folder(".") + file("..") + file("../up") + folder("../dir"), 2, 2},
		"NUL":                   {file("a\x00b") + file("\x00"), 2, 2},
		"control characters":    {file("a\x1b[2Jb") + file("bell\x07") + file("cr\rname") + file("del\x7f"), 4, 4},
		"reserved Windows name": {file("CON") + file("nul.txt") + file("COM1") + file("aux "), 0, 4},
		"Windows stream":        {file("good.txt:stream") + file("C:"), 0, 2},
		"trailing dot":          {file("x.") + file("...") + file("y "), 0, 3},
		"the same name twice":   {file("two") + file("two"), 1, 1},
		"file and folder":       {file("both") + folder("both"), 1, 1},
		"another one's part":    {file("p") + file("p.part"), 1, 1},
		"overlong":              {file(strings.Repeat("n", 5000)), 1, 1},
		"home":                  {file("~") + file("~root") + file("$HOME") + file("-rf"), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hostile{listings: map[string]string{"": file("good") + c.listing, "both": file("inner"), "dir": file("inner")}}
			top := t.TempDir()
			place := filepath.Join(top, "a", "chosen")
			if err := os.MkdirAll(place, 0o755); err != nil {
				t.Fatal(err)
			}
			r := transfer.Start(context.Background(), options(h.serve(t), 2), transfer.Item{Local: place, Remote: "/"}).Wait()
			want := c.refused
			if runtime.GOOS == "windows" {
				want = c.windows
			}
			if r.Err != nil || len(r.Failures) != want {
				t.Errorf("%v, %d failures, want %d: %v", r.Err, len(r.Failures), want, r.Failures)
			}
			for _, f := range r.Failures {
				if strings.ContainsAny(f.Error(), "\x00\x1b\x07\r\n") {
					t.Errorf("the words to the person hold what the server wrote: %q", f.Error())
				}
			}
			if b, err := os.ReadFile(filepath.Join(place, "good")); string(b) != "evil" || err != nil {
				t.Errorf("the honest file did not come: %q %v", b, err)
			}
			outside(t, top, place)
		})
	}
}

// outside fails when anything but the folders on the way to place lies in top.
func outside(t *testing.T, top, place string) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == place {
			return fs.SkipDir
		}
		if !strings.HasPrefix(place, path) {
			t.Errorf("%s was written outside the chosen folder", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A folder within a folder within ... that the server makes up as it is asked comes to an end, and that is said.
func TestFoldersWithoutEndAreLeft(t *testing.T) {
	h := &hostile{listings: map[string]string{"": folder("honest") + folder("d"), "honest": file("good")}, endless: folder("d")}
	place := t.TempDir()
	r := transfer.Start(context.Background(), options(h.serve(t), 2), transfer.Item{Local: place, Remote: "/"}).Wait()
	if r.Err != nil || len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Error(), "deep") {
		t.Errorf("%v %v", r.Err, r.Failures)
	}
	if _, err := os.Stat(filepath.Join(place, "honest", "good")); err != nil {
		t.Error(err)
	}
}

// MODE Z is not spoken, so nothing that a server sends is unpacked.
func TestNothingIsUnpacked(t *testing.T) {
	h := &hostile{listings: map[string]string{"": file("bomb.gz")}, feat: " MODE Z\r\n"}
	place := t.TempDir()
	r := transfer.Start(context.Background(), options(h.serve(t), 1), transfer.Item{Local: place, Remote: "/"}).Wait()
	if !r.OK() {
		t.Error(r)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range h.lines {
		if strings.Contains(line, "MODE") {
			t.Errorf("the client sent %q", line)
		}
	}
}

// A server that says 226 after half a file: its word is no proof. Once may have been an accident.
func TestAFileThatLacksItsEndIsNotTakenForWhole(t *testing.T) {
	h := &hostile{listings: map[string]string{"": file("once") + file("always")}, short: map[string]int{"/once": 1, "/always": 100}}
	place := t.TempDir()
	r := transfer.Start(context.Background(), options(h.serve(t), 1), transfer.Item{Local: place, Remote: "/"}).Wait()
	if r.Err != nil || len(r.Failures) != 1 || r.Failures[0].Remote != "/always" || !strings.Contains(r.Failures[0].Error(), "2 bytes") {
		t.Errorf("%v %v", r.Err, r.Failures)
	}
	if got := content(t, filepath.Join(place, "once")); got != "evil" {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(filepath.Join(place, "always")); err == nil {
		t.Error("half a file has its name")
	}
	if left := 100 - h.short["/always"]; left != 2 {
		t.Errorf("it was fetched %d times", left)
	}
}
