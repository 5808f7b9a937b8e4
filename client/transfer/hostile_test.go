package transfer_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/client/transfer"
	"portside/wire"
)

// hostile is a scripted server that lists what it likes and gives "evil" for every file.
type hostile struct {
	listings map[string]string // by folder
	endless  string            // of every other folder
	lists    map[string]string // what LIST shows of a folder, where that is not what MLSD does
	feat     string
	unix     bool           // it has LIST, and no MLSD
	short    map[string]int // how often a file comes without its end, by name
	odd      map[string]odd // how a file comes, by path
	whim     *whimsical
	refusal  string              // to every RETR
	size     string              // of every file; "": 4
	answers  map[string][]string // to other commands, the last one again and again
	mu       sync.Mutex
	lines    []string
}

// whimsical resets connections at random, the same ones for the same seed as far as the order of commands is the same.
type whimsical struct {
	mu   sync.Mutex
	dice *rand.Rand
}

func (w *whimsical) roll() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dice.IntN(12) == 0
}

// odd is how a file comes that comes oddly.
type odd struct {
	first, last string            // in place of "150 Here" and "226 Done"
	before      string            // on the control connection, ahead of the command's own replies
	body        func(w io.Writer) // nil: "evil"
	reset       string            // "control", "data" or "both" is reset after the body
	times       int               // how often; 0: always
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

// asked are the lines that came so far with one of these commands.
func (h *hostile) asked(verbs ...string) (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range h.lines {
		verb, _, _ := strings.Cut(line, " ")
		if slices.Contains(verbs, verb) {
			lines = append(lines, line)
		}
	}
	return lines
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
		if h.whim.roll() {
			io.WriteString(c, s[:len(s)/2])
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
			say("426 Cut")
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
		if h.whim.roll() {
			conn.(*net.TCPConn).SetLinger(0)
			return
		}
		switch verb {
		case "USER", "PASS":
			say("230 In")
		case "FEAT":
			mlst := " MLST type*;size*;modify*;\r\n"
			if h.unix {
				mlst = ""
			}
			say("211-Features\r\n" + mlst + h.feat + " SIZE\r\n211 End")
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
			_ = data.(*net.TCPListener).SetDeadline(time.Now().Add(3 * time.Second)) // after two answers to one command nobody may come
			say("229 " + wire.Format229(data.Addr().(*net.TCPAddr).AddrPort().Port()))
		case "MLSD", "LIST":
			arg = strings.TrimPrefix(strings.TrimPrefix(arg, "-a"), " ")
			listing, ok := h.listings[strings.Trim(arg, "/")]
			if !ok {
				listing = h.endless
			}
			if as, ok := h.lists[strings.Trim(arg, "/")]; ok && verb == "LIST" {
				listing = as
			}
			send(listing)
		case "SIZE":
			say("213 " + cmp.Or(h.size, "4"))
		case "RETR":
			h.mu.Lock()
			o, isOdd := h.odd[arg]
			if isOdd && o.times > 0 {
				if o.times--; o.times == 0 {
					delete(h.odd, arg)
				} else {
					h.odd[arg] = o
				}
			}
			h.mu.Unlock()
			if isOdd {
				if data == nil {
					say("425 No")
					continue
				}
				io.WriteString(conn, o.before)
				say(cmp.Or(o.first, "150 Here"))
				if strings.HasPrefix(o.first, "5") && o.last == "" { // as an honest server does
					continue
				}
				c, err := data.Accept()
				data.Close()
				data = nil
				if err != nil {
					return
				}
				if o.body != nil {
					o.body(c)
				} else {
					io.WriteString(c, "evil")
				}
				if o.reset == "data" || o.reset == "both" {
					c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
				if o.reset == "control" || o.reset == "both" {
					conn.(*net.TCPConn).SetLinger(0)
					return
				}
				say(cmp.Or(o.last, "226 Done"))
				continue
			}
			if h.refusal != "" {
				say(h.refusal)
				continue
			}
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
			h.mu.Lock()
			answer := "502 No"
			if all := h.answers[verb]; len(all) > 0 {
				if answer = all[0]; len(all) > 1 {
					h.answers[verb] = all[1:]
				}
			}
			h.mu.Unlock()
			say(answer)
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

// What a server does oddly with one file is named or mended, and leaves no file that is not whole; the others come.
func TestFilesThatComeOddly(t *testing.T) {
	write := func(s string) func(io.Writer) { return func(w io.Writer) { io.WriteString(w, s) } }
	endless := func(w io.Writer) {
		for page := bytes.Repeat([]byte("x"), 1<<16); ; {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		odd
		comes bool   // whole in the end
		said  string // else
	}{
		"more than its size":           {odd: odd{body: write("evil and more")}, said: "13 bytes"},
		"nothing":                      {odd: odd{body: write("")}, said: "0 bytes"},
		"without end":                  {odd: odd{body: endless}, said: "much more than the size"},
		"gone since the listing":       {odd: odd{first: "550 Gone", last: "550 Gone again"}, said: "550"},
		"a success without data":       {odd: odd{first: "226 Done already"}, comes: true},
		"two ends":                     {odd: odd{last: "226 Done\r\n226 Really done"}, comes: true},
		"two beginnings":               {odd: odd{first: "150 Here\r\n125 Still here\r\n150 Now"}, comes: true},
		"an end and a failure":         {odd: odd{last: "226 Done\r\n550 No"}, comes: true},
		"a failure in front":           {odd: odd{before: "500 Eh?\r\n", times: 1}, comes: true},
		"an end in front":              {odd: odd{before: "226 Of what?\r\n", times: 1}, comes: true},
		"no words, only noise":         {odd: odd{last: "\x00\xff\x1b[2J", times: 1}, comes: true},
		"a reply of 10 MB":             {odd: odd{last: "226 " + strings.Repeat("x", 10<<20), times: 1}, comes: true},
		"a reply of many lines":        {odd: odd{last: "226-" + strings.Repeat("x\r\n 226 y\r\n", 20_000) + "226 End", times: 1}, comes: true},
		"the control connection reset": {odd: odd{reset: "control", times: 2}, comes: true},
		"the data connection reset":    {odd: odd{body: write("ev"), reset: "data", last: "426 Cut", times: 2}, comes: true},
		"both reset":                   {odd: odd{body: write("ev"), reset: "both", times: 2}, comes: true},
		"a goodbye in the midst":       {odd: odd{last: "421 Enough", times: 1}, comes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &hostile{listings: map[string]string{"": file("a") + file("odd") + file("z")}, odd: map[string]odd{"/odd": c.odd}}
			top := t.TempDir()
			place := filepath.Join(top, "chosen")
			o := options(h.serve(t), 1)
			o.Suspect(1 << 20)
			r := transfer.Start(context.Background(), o, transfer.Item{Local: place, Remote: "/"}).Wait()
			outside(t, top, place)
			for _, honest := range []string{"a", "z"} {
				if b, err := os.ReadFile(filepath.Join(place, honest)); string(b) != "evil" {
					t.Errorf("%s did not come: %q %v", honest, b, err)
				}
			}
			b, err := os.ReadFile(filepath.Join(place, "odd"))
			switch {
			case c.comes && (string(b) != "evil" || !r.OK()):
				t.Errorf("%q %v: %v %v", b, err, r.Err, r.Failures)
			case !c.comes && err == nil:
				t.Errorf("it has its name, with %d bytes", len(b))
			case !c.comes && (len(r.Failures) != 1 || r.Err != nil || !strings.Contains(r.Failures[0].Error(), c.said)):
				t.Errorf("%v %v", r.Err, r.Failures)
			}
			if st, err := os.Stat(filepath.Join(place, "odd.part")); err == nil && st.Size() > 64<<20 {
				t.Errorf("a part of %d bytes is left", st.Size())
			}
		})
	}
}

// A plan ends, too, however the server goes on making up folders.
func TestAPlanOfFoldersWithoutEndEnds(t *testing.T) {
	h := &hostile{listings: map[string]string{"": folder("d") + file("good")}, endless: folder("d")}
	o := options(h.serve(t), 1)
	p := plan(t, o, transfer.Mirror{Local: t.TempDir(), Remote: "/"})
	if len(p.Skipped) != 1 || !strings.Contains(p.Skipped[0].Error(), "deep") || p.Copies() != 1 {
		t.Errorf("%d skipped, %d copies", len(p.Skipped), p.Copies())
	}
	s, err := o.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := transfer.Mirror{Direction: transfer.Upload, Local: t.TempDir(), Remote: "/", Delete: true}
	if _, err := transfer.PlanMirror(context.Background(), s, m, nil); err == nil || !strings.Contains(err.Error(), "deep") {
		t.Error(err)
	}
}

// Every file comes whole from a server that resets connections at random, and nothing else comes.
func TestAServerThatResetsAtRandom(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var root, sub strings.Builder
			want := map[string]bool{"sub": true}
			for i := range 20 {
				root.WriteString(file(fmt.Sprint("f", i)))
				sub.WriteString(file(fmt.Sprint("g", i)))
				want[fmt.Sprint("f", i)], want[filepath.Join("sub", fmt.Sprint("g", i))] = true, true
			}
			h := &hostile{listings: map[string]string{"": root.String() + folder("sub"), "sub": sub.String()}, whim: &whimsical{dice: rand.New(rand.NewPCG(seed, 1))}}
			q := openQueue(t, transfer.QueueOptions{})
			place := t.TempDir()
			add(t, q, transfer.Batch{Site: siteAt(h.serve(t))}, transfer.Item{Local: place, Remote: "/"})
			drained(t, q)
			noFailures(t, q)
			got := 0
			err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
				rel, _ := filepath.Rel(place, path)
				if err != nil || rel == "." {
					return err
				}
				got++
				if !want[rel] {
					t.Errorf("%s came from nowhere", rel)
				}
				if b, _ := os.ReadFile(path); !d.IsDir() && string(b) != "evil" {
					t.Errorf("%s is %q", rel, b)
				}
				return nil
			})
			if err != nil || got != len(want) {
				t.Errorf("%d of %d came: %v", got, len(want), err)
			}
		})
	}
}

// A server that says that its disk is full (452) is not asked for the same file again at once, and the others have their try.
func TestAFullServerIsAskedOnceForEachFile(t *testing.T) {
	h := &hostile{listings: map[string]string{"": file("a") + file("b")}, refusal: "452 No space left"}
	r := transfer.Start(context.Background(), options(h.serve(t), 1), transfer.Item{Local: t.TempDir(), Remote: "/"}).Wait()
	if len(r.Failures) != 2 || r.Err != nil {
		t.Errorf("%v %v", r.Err, r.Failures)
	}
	if asked := h.asked("RETR"); len(asked) != 2 {
		t.Errorf("asked %d times: %q", len(asked), asked)
	}
}

// The largest size that there is neither makes segments without end nor turns into a small one where sizes are added.
func TestSizesThatNoFileHas(t *testing.T) {
	const most = "9223372036854775807"
	listing := strings.ReplaceAll(file("a")+file("b")+file("c"), "size=4", "size="+most)
	slowly := odd{body: func(w io.Writer) {
		for range 20 { // longer than the time between two looks at what has come
			io.WriteString(w, "evil")
			time.Sleep(time.Millisecond)
		}
	}}
	for segments := 1; segments <= 4; segments += 3 {
		h := &hostile{listings: map[string]string{"": listing}, feat: " REST STREAM\r\n", odd: map[string]odd{"/a": slowly}}
		o := options(h.serve(t), 2)
		o.Segments = segments
		o.Suspect(1 << 20)
		p := plan(t, o, transfer.Mirror{Local: t.TempDir(), Remote: "/"})
		if fmt.Sprint(p.Bytes) != most {
			t.Errorf("all are %d bytes", p.Bytes)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		r := transfer.Start(ctx, o, transfer.Item{Local: t.TempDir(), Remote: "/"}).Wait()
		cancel()
		// Without segments the others come: SIZE says that they have 4 bytes.
		if r.Err != nil || segments == 1 && (r.Files != 2 || len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Error(), "80 bytes")) {
			t.Errorf("%d segments: %d came, %v %v", segments, r.Files, r.Err, r.Failures)
		}
	}
}

// What a listing said of a name may be wrong by the time that it is asked for: a file that is a folder now, a folder that is a
// file, links that lead round, and names in every encoding.
func TestAListingThatIsWrongByNow(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("names are any bytes on Linux only")
	}
	names := []string{"latin\xe9", "overlong\xc0\xaf", "\xed\xa0\x80surrogate", "\xff\xfe", "u\u202e gpj.exe", "zero\u200bwidth", "e\u0301", "\u00e9", "日本", "%2e%2e%2f", "a\\u002fb", "=?utf-8?q?x?="}
	var listing strings.Builder
	for _, n := range names {
		listing.WriteString(file(n))
	}
	link := func(name, to string) string {
		return "type=OS.unix=slink:" + to + ";modify=20200101000000; " + name + "\r\n"
	}
	h := &hostile{listings: map[string]string{
		"": listing.String() + file("now-a-folder") + folder("now-a-file") + link("round", "/") + link("up", "../..") + folder("good"), "good": file("inner") + link("back", "/good"),
		"round": file("x"), "up": file("x"), "now-a-file": "",
	}, odd: map[string]odd{"/now-a-folder": {first: "550 It is a folder"}, "/round": {first: "550 A folder"},
		"/up": {first: "550 A folder"}, "/good/back": {first: "550 A folder"}}}
	top := t.TempDir()
	place := filepath.Join(top, "a", "chosen")
	r := transfer.Start(context.Background(), options(h.serve(t), 2), transfer.Item{Local: place, Remote: "/"}).Wait()
	if r.Err != nil || len(r.Failures) != 1 || len(r.Skipped) != 3 {
		t.Errorf("%v %v %v", r.Err, r.Failures, r.Skipped)
	}
	for _, n := range append(names, "good/inner") {
		if b, err := os.ReadFile(filepath.Join(place, filepath.FromSlash(n))); string(b) != "evil" {
			t.Errorf("%q did not come: %q %v", n, b, err)
		}
	}
	for _, f := range append(r.Failures, r.Skipped...) {
		if strings.ContainsAny(f.Error(), "\x00\x1b\r\n") {
			t.Errorf("%q", f.Error())
		}
	}
	outside(t, top, place)
}

// within is what lies in dir.
func within(t *testing.T, dir string) (files []string, folders int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch rel, _ := filepath.Rel(dir, name); {
		case err != nil:
			return err
		case !d.IsDir():
			files = append(files, filepath.ToSlash(rel))
		case rel != ".":
			folders++
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return files, folders
}

func numbered(name, id string) string {
	return "type=dir;modify=20200101000000;unique=" + id + "; " + name + "\r\n"
}

// Two links to a folder above make two to the power of the depth of folders. A server's numbers tell them; one that gives
// the same for all tells nothing.
func TestALinkThatLeadsBackIsNotFollowed(t *testing.T) {
	loops := numbered("one", "8U5") + numbered("two", "8U5") + numbered("sub", "8U6") + numbered("zero", "0g0") + file("good")
	h := &hostile{
		listings: map[string]string{"": numbered("top", "8U5"), "top": loops, "top/sub": loops, "top/zero": numbered("zero", "0g0"), "top/zero/zero": file("deep")},
		endless:  file("wrong"),
	}
	const want = "good, sub/good, sub/zero/wrong, zero/zero/deep"
	place := func(t *testing.T) (dir string, come func() string) {
		dir = t.TempDir()
		return dir, func() string { files, _ := within(t, dir); return strings.Join(files, ", ") }
	}
	t.Run("job", func(t *testing.T) {
		dir, come := place(t)
		r := transfer.Start(context.Background(), options(h.serve(t), 2), transfer.Item{Local: dir, Remote: "/top"}).Wait()
		if come() != want || !r.OK() || len(r.Skipped) != 5 || !strings.Contains(r.Skipped[0].Error(), "leads back") {
			t.Errorf("%s: %v %v %v", come(), r.Err, r.Failures, r.Skipped)
		}
	})
	t.Run("queue", func(t *testing.T) {
		dir, come := place(t)
		q := openQueue(t, transfer.QueueOptions{})
		add(t, q, transfer.Batch{Site: siteAt(h.serve(t))}, transfer.Item{Local: dir, Remote: "/top"})
		q.Resume()
		drained(t, q)
		noFailures(t, q)
		if come() != want {
			t.Error(come())
		}
	})
	t.Run("mirror", func(t *testing.T) {
		dir, come := place(t)
		o := options(h.serve(t), 2)
		p := plan(t, o, transfer.Mirror{Local: dir, Remote: "/"}) // whose own number is not asked for
		if r := p.Run(context.Background(), o, nil); come() != "top/"+strings.ReplaceAll(want, ", ", ", top/") || !r.OK() {
			t.Errorf("%s: %v %v %v", come(), r.Err, r.Failures, r.Skipped)
		}
	})
	t.Run("mirror of the folder that it leads back to", func(t *testing.T) {
		dir, come := place(t)
		told := &hostile{listings: h.listings, endless: h.endless, feat: " MLST type*;size*;modify*;unique*;\r\n",
			answers: map[string][]string{"MLST": {"250-Facts\r\n type=cdir;unique=8U5; /top\r\n250 End"}}}
		o := options(told.serve(t), 2)
		if r := plan(t, o, transfer.Mirror{Local: dir, Remote: "/top"}).Run(context.Background(), o, nil); come() != want || !r.OK() {
			t.Errorf("%s: %v %v %v", come(), r.Err, r.Failures, r.Skipped)
		}
	})
}

// Folders that branch without end come to an end, and that is said.
func TestFoldersThatBranchWithoutEndAreLeft(t *testing.T) {
	const most = 50
	h := &hostile{listings: map[string]string{"": folder("a") + folder("b") + file("good")}, endless: folder("a") + folder("b")}
	t.Run("job", func(t *testing.T) {
		o := options(h.serve(t), 2)
		o.Fold(most)
		place := t.TempDir()
		r := transfer.Start(context.Background(), o, transfer.Item{Local: place, Remote: "/"}).Wait()
		if r.Err != nil || len(r.Failures) == 0 || len(r.Failures) > most || !strings.Contains(r.Failures[0].Error(), "more than 50 folders") {
			t.Errorf("%v, %d failures: %v", r.Err, len(r.Failures), r.Failures)
		}
		if _, folders := within(t, place); folders > most {
			t.Errorf("%d folders", folders)
		}
	})
	t.Run("queue", func(t *testing.T) {
		o := transfer.QueueOptions{}
		o.Fold(most)
		q := openQueue(t, o)
		place := t.TempDir()
		add(t, q, transfer.Batch{Site: siteAt(h.serve(t))}, transfer.Item{Local: place, Remote: "/"})
		q.Resume()
		drained(t, q)
		failed := listed(t, q, transfer.Failed)
		if len(failed) == 0 || len(failed) > most || !strings.Contains(failed[0].Err, "more than 50 folders") || !failed[0].Folder {
			t.Errorf("%d failures: %v", len(failed), failed)
		}
	})
}

// A link that the server lists as a folder is taken away, and what it leads to stays.
func TestAMirrorDoesNotEmptyWhatALinkLeadsTo(t *testing.T) {
	h := &hostile{listings: map[string]string{"": folder("link") + folder("real"), "link": file("precious"), "real": file("gone")},
		answers: map[string][]string{"DELE": {"250 It was a link", "550 It is a folder", "250 Gone"}, "RMD": {"250 Gone"}}}
	o := options(h.serve(t), 1)
	r := plan(t, o, transfer.Mirror{Direction: transfer.Upload, Local: t.TempDir(), Remote: "/", Delete: true}).Run(context.Background(), o, nil)
	did := h.asked("DELE", "RMD")
	if got := strings.Join(did, ", "); got != "DELE /link, DELE /real, DELE /real/gone, RMD /real" || !r.OK() || r.Deleted != 4 {
		t.Errorf("%s: %+v", got, r)
	}
}

// Neither is it emptied when it holds what is excluded, so that a folder would stay.
func TestAMirrorDoesNotEmptyWhatALinkLeadsToThatHoldsWhatIsExcluded(t *testing.T) {
	const unix = "drwxr-xr-x 2 u g 4096 Jan 01  2020 real\r\n"
	for name, c := range map[string]struct{ list, changes, did string }{
		"LIST tells a link":          {unix + "lrwxrwxrwx 1 u g 4 Jan 01  2020 link -> real\r\n", "delete link, delete real/gone", "DELE /link, DELE /real, DELE /real/gone"},
		"LIST hides it as MLSD does": {unix + "drwxr-xr-x 2 u g 4096 Jan 01  2020 link\r\n", "delete link/gone, delete real/gone", "DELE /link, DELE /real, DELE /real/gone"},
		"LIST shows nothing":         {"", "delete link/gone, delete real/gone", "DELE /link, DELE /real, DELE /real/gone"},
	} {
		t.Run(name, func(t *testing.T) {
			in := file("keep.tmp") + file("gone")
			h := &hostile{listings: map[string]string{"": folder("link") + folder("real"), "link": in, "real": in}, lists: map[string]string{"": c.list},
				answers: map[string][]string{"DELE": {"250 It was a link", "550 It is a folder", "250 Gone"}}}
			o := options(h.serve(t), 1)
			p := plan(t, o, transfer.Mirror{Direction: transfer.Upload, Local: t.TempDir(), Remote: "/", Delete: true, Exclude: []string{"*.tmp"}})
			if got := strings.Join(changes(p), ", "); got != c.changes {
				t.Error(got)
			}
			r := p.Run(context.Background(), o, nil)
			if got := strings.Join(h.asked("DELE", "RMD"), ", "); got != c.did || !r.OK() {
				t.Errorf("%s: %+v", got, r)
			}
		})
	}
}
