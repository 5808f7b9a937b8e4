package transfer_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
	"portside/localserver"
)

func random(t *testing.T, name string, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	_, _ = rand.Read(b)
	write(t, name, string(b))
	_ = os.Chtimes(name, stamp, stamp)
	return b
}

func onlyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the folder holds %q, want %q", got, names)
	}
}

func TestALargeFileComesInSegments(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	want := random(t, filepath.Join(root, "f"), 5<<20+17)
	var restarts atomic.Int32
	for name, sessions := range map[string]int{"as many as asked for": 8, "the server takes one": 1} {
		t.Run(name, func(t *testing.T) {
			restarts.Store(0)
			at := serve(t, root, func(c *localserver.Config) { c.Limits.MaxSessions = sessions })
			o := options(at, 1)
			o.Segments = 4
			o.Dial = func(ctx context.Context) (*client.Session, error) {
				return client.Dial(ctx, client.Options{Mode: client.ModePassive,
					Target: client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone},
					Recorder: connlog.RecorderFunc(func(r connlog.Record) {
						if r.Event == connlog.CommandSent && strings.HasPrefix(r.Command, "REST ") && r.Command != "REST 0" {
							restarts.Add(1)
						}
					})})
			}
			ok(t, transfer.Start(context.Background(), o, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait())
			if !bytes.Equal([]byte(content(t, filepath.Join(dir, "f"))), want) {
				t.Error("the file differs")
			}
			if restarts.Load() < 3 {
				t.Errorf("%d restarts: no segments", restarts.Load())
			}
			onlyFiles(t, dir, "f")
			_ = os.Remove(filepath.Join(dir, "f"))
		})
	}
}

// crowd counts the sessions that a server has at once.
type crowd struct {
	mu        sync.Mutex
	now, most int
	restarts  int
	restarted map[string]bool // sessions
}

func (c *crowd) Record(r connlog.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Event == connlog.ControlOpened:
		c.now++
		c.most = max(c.most, c.now)
	case r.Event == connlog.ControlClosed:
		c.now--
	case r.Event == connlog.CommandSent && strings.HasPrefix(r.Command, "REST ") && r.Command != "REST 0":
		c.restarts++
		c.restarted[r.Session] = true
	}
}

func TestSegmentsTakeNoMoreConnectionsThanTheSiteMayHave(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	want := random(t, filepath.Join(root, "f"), 12<<20)
	for i := range 8 {
		writeIn(t, filepath.Join(root, "small"), strconv.Itoa(i), strings.Repeat("x", 1<<18))
	}
	for name, c := range map[string]struct{ may, takes, most int }{
		"as many as the site may have":  {may: 3, takes: 20, most: 3},
		"fewer than the site may have":  {may: 6, takes: 2, most: 0},
		"a connection that is kept":     {may: 4, takes: 20, most: 4},
		"one that must not be exceeded": {may: 1, takes: 20, most: 1},
	} {
		t.Run(name, func(t *testing.T) {
			seen := &crowd{restarted: map[string]bool{}}
			server := start(t, root, func(s *localserver.Config) { s.Limits.MaxSessions, s.Recorder = c.takes, seen })
			q := openQueue(t, transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: c.may} }})
			here := filepath.Join(dir, name)
			// These leave sessions with nothing to do.
			add(t, q, transfer.Batch{Site: siteAt(server.Addr())}, transfer.Item{Local: filepath.Join(here, "small"), Remote: "/small"})
			drained(t, q)
			q.SetSpeed(40<<20, 0) // so that each connection gets its share
			add(t, q, transfer.Batch{Site: siteAt(server.Addr()), Segments: 8}, transfer.Item{Local: filepath.Join(here, "f"), Remote: "/f"})
			drained(t, q)
			noFailures(t, q)
			if !bytes.Equal([]byte(content(t, filepath.Join(here, "f"))), want) {
				t.Error("the file differs")
			}
			if s := q.Snapshot().Sites[0]; c.takes < c.may && !strings.Contains(s.Note, "The server takes 2 of 6 connections") {
				t.Errorf("%+v", s)
			}
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if c.takes > c.may && seen.most > c.most || seen.restarts < 7 {
				t.Errorf("%d sessions at once, %d restarts", seen.most, seen.restarts)
			}
			if n := min(c.may, c.takes); len(seen.restarted) != n {
				t.Errorf("segments came over %d connections, not %d", len(seen.restarted), n)
			}
		})
	}
}

func TestSegmentsAndFilesShareTheConnectionsOfAJob(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	writeIn(t, filepath.Join(root, "m"), "f", strings.Repeat("x", 6<<20))
	for i := range 30 {
		writeIn(t, filepath.Join(root, "m"), fmt.Sprint(i), strings.Repeat("x", 1<<16))
	}
	seen := &crowd{restarted: map[string]bool{}}
	o := options(serve(t, root, func(s *localserver.Config) { s.Recorder = seen }), 3)
	o.Segments = 5
	ok(t, transfer.Start(context.Background(), o, transfer.Item{Local: filepath.Join(dir, "m"), Remote: "/m"}).Wait())
	if content(t, filepath.Join(dir, "m", "f")) != strings.Repeat("x", 6<<20) {
		t.Error("the file differs")
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.most > 5 || seen.restarts < 4 {
		t.Errorf("%d sessions at once, %d restarts", seen.most, seen.restarts)
	}
}

func TestSegmentsThatWereLeftAreGoneOnWith(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	const mib = 1 << 20
	want := random(t, filepath.Join(root, "f"), 4*mib)
	at := serve(t, root, nil)
	for name, left := range map[string]map[string]int64{
		"two were begun":              {"f.part": 1000, "f.part.2097152-3145728": 5000},
		"joining was under way":       {"f.part": 2*mib + 5, "f.part.2097152-3145728": mib},
		"a part without segments":     {"f.part": 3*mib + 7},
		"segments of another plan":    {"f.part": 9, "f.part.7-9": 2},
		"a segment that is too long":  {"f.part": 9, "f.part.1048576-2097152": mib + 3},
		"the whole, without its name": {"f.part": 4 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			for file, size := range left {
				from := int64(0)
				switch {
				case strings.HasSuffix(file, "1048576-2097152"):
					from = mib
				case strings.HasSuffix(file, "2097152-3145728"):
					from = 2 * mib
				}
				write(t, filepath.Join(dir, file), string(want[from:min(from+size, int64(len(want)))])+strings.Repeat("x", int(max(0, from+size-int64(len(want))))))
			}
			o := options(at, 1)
			o.Segments, o.Resume, o.Overwrite = 4, true, transfer.Overwrite
			ok(t, transfer.Start(context.Background(), o, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait())
			if !bytes.Equal([]byte(content(t, filepath.Join(dir, "f"))), want) {
				t.Error("the file differs")
			}
			onlyFiles(t, dir, "f")
			_ = os.Remove(filepath.Join(dir, "f"))
		})
	}
}

func TestAFileThatComesCanTakeAnotherName(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f.txt"), "server")
	write(t, filepath.Join(dir, "f.txt"), "here")
	write(t, filepath.Join(dir, "f (1).txt"), "taken")
	o := options(serve(t, root, nil), 1)
	o.Overwrite = transfer.Rename
	item := transfer.Item{Local: filepath.Join(dir, "f.txt"), Remote: "/f.txt"}
	ok(t, transfer.Start(context.Background(), o, item).Wait())
	if content(t, filepath.Join(dir, "f.txt")) != "here" || content(t, filepath.Join(dir, "f (2).txt")) != "server" {
		t.Error("download")
	}
	item.Direction = transfer.Upload
	ok(t, transfer.Start(context.Background(), o, item).Wait())
	if content(t, filepath.Join(root, "f.txt")) != "server" || content(t, filepath.Join(root, "f (1).txt")) != "here" {
		t.Error("upload")
	}
}

func TestASpeedLimitHolds(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f"), strings.Repeat("x", 200_000))
	o := options(serve(t, root, nil), 1)
	o.Down, o.Up = transfer.NewLimit(400_000), transfer.NewLimit(400_000)
	for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
		r := transfer.Start(context.Background(), o, transfer.Item{Direction: d, Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait()
		ok(t, r)
		if r.Duration.Seconds() < 0.4 || r.Bytes != 200_000 {
			t.Errorf("%v: %+v", d, r)
		}
	}
}

func TestASitesSpeedLimitHolds(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f"), strings.Repeat("x", 200_000))
	q := openQueue(t, transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Down: 500_000, Up: 500_000} }})
	q.SetSpeed(10<<20, 10<<20) // the tighter one of the two holds
	site := siteAt(serve(t, root, nil))
	for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
		began := time.Now()
		add(t, q, transfer.Batch{Site: site}, transfer.Item{Direction: d, Local: filepath.Join(dir, "f"), Remote: "/f"})
		drained(t, q)
		noFailures(t, q)
		if took := time.Since(began); took < 300*time.Millisecond {
			t.Errorf("%v in %v", d, took)
		}
	}
}

func writeIn(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), content)
}

// A file whose hash is another one than the server's comes again, and does not get its name before they are the same.
func TestHashesAreComparedWhereTheServerHasThem(t *testing.T) {
	sum := func(h hash.Hash, text string) string {
		h.Write([]byte(text))
		return hex.EncodeToString(h.Sum(nil))
	}
	for feat, c := range map[string]struct {
		verb, words string
		new         func() hash.Hash
	}{
		" HASH SHA-1;SHA-256*;MD5": {"HASH", "213 SHA-256 0-3 %s odd", sha256.New},
		" HASH SHA-512;MD5*":       {"HASH", "213 MD5 0-3 %s odd", md5.New},
		" XSHA256":                 {"XSHA256", "250 %s", sha256.New},
		" XSHA512":                 {"XSHA512", "250 %s", sha512.New},
		" XSHA1":                   {"XSHA1", "250 %s", sha1.New},
		" XSHA":                    {"XSHA", "250 %s", sha1.New},
		" XMD5":                    {"XMD5", "250 %s", md5.New},
		" XCRC":                    {"XCRC", "250 %s", func() hash.Hash { return crc32.NewIEEE() }},
	} {
		right, wrong := fmt.Sprintf(c.words, strings.ToUpper(sum(c.new(), "evil"))), fmt.Sprintf(c.words, sum(c.new(), "other"))
		for name, one := range map[string]struct {
			answers []string
			comes   bool
		}{
			"the same":                     {[]string{right}, true},
			"the same the second time":     {[]string{wrong, right}, true},
			"another one":                  {[]string{wrong}, false},
			"the server can't":             {[]string{"550 No"}, true},
			"the server doesn't after all": {[]string{"502 No"}, true},
			"nothing that is a hash":       {[]string{"250 done"}, true},
		} {
			if !one.comes && c.verb != "HASH" && c.verb != "XCRC" { // all compare alike
				continue
			}
			t.Run(feat+", "+name, func(t *testing.T) {
				t.Parallel()
				h := &hostile{listings: map[string]string{"": file("odd")}, feat: feat + "\r\n", answers: map[string][]string{c.verb: one.answers}}
				q := openQueue(t, transfer.QueueOptions{})
				place := t.TempDir()
				add(t, q, transfer.Batch{Site: siteAt(h.serve(t))}, transfer.Item{Local: place, Remote: "/"})
				if one.comes {
					drained(t, q)
					noFailures(t, q)
				} else {
					until(t, q, func(s transfer.QueueSnapshot) bool {
						return len(s.Current) == 1 && strings.Contains(s.Current[0].Err, c.verb+" differs")
					})
				}
				if _, err := os.Stat(filepath.Join(place, "odd")); (err == nil) != one.comes {
					t.Errorf("it has come: %v", err == nil)
				}
				h.mu.Lock()
				defer h.mu.Unlock()
				asked := 0
				for _, l := range h.lines {
					if l == c.verb+" /odd" {
						asked++
					}
				}
				if asked == 0 {
					t.Error("nobody asked")
				}
			})
		}
	}
}

// A small file of which a listing gives the minute only, and that takes a while, is asked for its time afterwards.
func TestASmallFileThatIsChangedWhileItComesSlowlyComesAgain(t *testing.T) {
	const listed = "-rw-r--r-- 1 u g 4 Feb 03  2020 old\r\n-rw-r--r-- 1 u g 4 %s new\r\n"
	minute := time.Now().UTC().Add(-48 * time.Hour).Truncate(time.Minute)
	stamp := func(at time.Time) string { return "213 " + at.Format("20060102150405") }
	now := time.Now().UTC().Truncate(time.Second)
	slowly := odd{body: func(w io.Writer) {
		io.WriteString(w, "ev")
		time.Sleep(1100 * time.Millisecond)
		io.WriteString(w, "il")
	}, times: 1}
	for name, c := range map[string]struct {
		file  string
		mdtm  []string // the first one tells the zone
		again bool
	}{
		"changed since":             {"new", []string{stamp(minute), stamp(now), stamp(now)}, true},
		"an old one, changed since": {"old", []string{stamp(minute), stamp(now), stamp(now)}, true},
		"as it was":                 {"new", []string{stamp(minute), stamp(minute.Add(59 * time.Second))}, false},
		"an old one, as it was":     {"old", []string{stamp(minute), "213 20200203123456"}, false},
		"as it was, in summer time": {"new", []string{stamp(minute), stamp(minute.Add(time.Hour))}, false},
		"the zone can't be told":    {"new", []string{"550 No", stamp(now)}, false},
		"the server tells no times": {"new", []string{stamp(minute), "550 No"}, false},
		"changed again and again":   {"new", []string{stamp(minute), stamp(now), stamp(now.Add(time.Second)), stamp(now.Add(time.Second))}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &hostile{unix: true, feat: " MDTM\r\n", listings: map[string]string{"": fmt.Sprintf(listed, minute.Format("Jan 02 15:04"))},
				odd: map[string]odd{"/" + c.file: slowly}, answers: map[string][]string{"MDTM": c.mdtm}}
			dir := t.TempDir()
			r := transfer.Start(context.Background(), options(h.serve(t), 1), transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/" + c.file}).Wait()
			ok(t, r)
			asked := h.asked("RETR")
			if (len(asked) > 1) != c.again || content(t, filepath.Join(dir, "f")) != "evil" {
				t.Errorf("it came %d times: %q", len(asked), asked)
			}
		})
	}
}

// Where a listing gives the minute only, a small file's part may be of another version: it comes anew.
func TestAPartOfASmallFileIsNotGoneOnWithWhereTimesAreCoarse(t *testing.T) {
	minute := time.Now().UTC().Add(-48 * time.Hour).Truncate(time.Minute)
	for name, c := range map[string]struct {
		part string
		at   time.Time
		anew bool
	}{
		"a part":                       {"xx", time.Now(), true},
		"the whole, without its name":  {"evil", minute, false},
		"as long, and of another time": {"good", time.Now(), true},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hostile{unix: true, feat: " MDTM\r\n REST STREAM\r\n", listings: map[string]string{"": fmt.Sprintf("-rw-r--r-- 1 u g 4 %s f\r\n", minute.Format("Jan 02 15:04"))},
				answers: map[string][]string{"MDTM": {"213 " + minute.Format("20060102150405")}, "REST": {"350 Restarting"}}}
			dir := t.TempDir()
			part := filepath.Join(dir, "f.part")
			write(t, part, c.part)
			if err := os.Chtimes(part, c.at, c.at); err != nil {
				t.Fatal(err)
			}
			o := options(h.serve(t), 1)
			o.Resume = true
			ok(t, transfer.Start(context.Background(), o, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait())
			if got := content(t, filepath.Join(dir, "f")); got != "evil" || (len(h.asked("RETR")) > 0) != c.anew || len(h.asked("REST")) > 0 {
				t.Errorf("%q after %q", got, h.asked("RETR", "REST"))
			}
		})
	}
}

// Segments come over several connections, so however fast they came the server is asked whether they are of one version.
func TestSegmentsOfTwoVersionsAreNotJoined(t *testing.T) {
	const mib = 1 << 20
	whole := strings.Repeat("abcd", mib)
	stamp := func(second int) string { return fmt.Sprintf("213 202601020304%02d", second) }
	for name, listing := range map[string]string{
		"MLSD": fmt.Sprintf("type=file;size=%d;modify=20260102030405; f\r\n", len(whole)),
		"LIST": fmt.Sprintf("-rw-r--r-- 1 u g %d Jan 02  2026 f\r\n", len(whole)),
	} {
		t.Run(name, func(t *testing.T) {
			h := &hostile{unix: name == "LIST", size: strconv.Itoa(len(whole)), feat: " MDTM\r\n REST STREAM\r\n", listings: map[string]string{"": listing},
				odd:     map[string]odd{"/f": {body: func(w io.Writer) { io.WriteString(w, whole) }}},
				answers: map[string][]string{"MDTM": {stamp(5), stamp(6)}, "REST": {"350 Restarting"}}}
			if name == "MLSD" {
				h.answers["MDTM"] = h.answers["MDTM"][1:]
			}
			dir := t.TempDir()
			o := options(h.serve(t), 1)
			o.Segments = 4
			ok(t, transfer.Start(context.Background(), o, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait())
			if n := len(h.asked("RETR")); n != 8 {
				t.Errorf("%d segments were fetched, not each of four twice", n)
			}
		})
	}
}
