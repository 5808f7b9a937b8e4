package transfer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
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

// serve runs Portside's own server over root, with all rights for anonymous.
func serve(t *testing.T, root string, change func(*localserver.Config)) netip.AddrPort {
	t.Helper()
	return start(t, root, change).Addr()
}

func start(t *testing.T, root string, change func(*localserver.Config)) *localserver.Server {
	t.Helper()
	c := localserver.Config{Listen: "127.0.0.1:0", Root: root,
		Accounts: []localserver.Account{{Name: localserver.Anonymous, Rights: localserver.ReadWrite}}}
	if change != nil {
		change(&c)
	}
	s, err := localserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s
}

func options(at netip.AddrPort, parallel int) transfer.Options {
	return transfer.Options{Parallel: parallel, Dial: func(ctx context.Context) (*client.Session, error) {
		return client.Dial(ctx, client.Options{Mode: client.ModePassive,
			Target: client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone}})
	}}
}

var stamp = time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)

// tree makes a folder with files of several sizes, an empty folder and odd names.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	want := map[string]string{}
	big := make([]byte, 1<<20)
	_, _ = rand.Read(big)
	files := map[string]string{"a.txt": "hello", "empty": "", "sub/deep/er/b.bin": string(big), "sub/ leading": "x",
		"sub/ünï cödé.txt": "y", ".hidden": "h", "-dash": "d"}
	for i := range 40 {
		files[fmt.Sprintf("many/%03d", i)] = strings.Repeat("z", i)
	}
	for name, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(full, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		want[name] = content
	}
	if err := os.MkdirAll(filepath.Join(dir, "nothing", "here"), 0o755); err != nil {
		t.Fatal(err)
	}
	want["nothing/here/"] = ""
	return want
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if entries, _ := os.ReadDir(p); len(entries) == 0 {
				got[rel+"/"] = ""
			}
			return nil
		}
		b, err := os.ReadFile(p)
		got[rel] = string(b)
		if st, _ := d.Info(); !st.ModTime().Equal(stamp) {
			t.Errorf("%s has the time %v", rel, st.ModTime())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return got
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, content := range want {
		if g, ok := got[name]; !ok || g != content {
			t.Errorf("%q is missing or differs (%d bytes, want %d)", name, len(g), len(content))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is too much", name)
		}
	}
}

func ok(t *testing.T, r transfer.Result) {
	t.Helper()
	for _, f := range r.Failures {
		t.Error(f)
	}
	if !r.OK() {
		t.Fatal(r.Err)
	}
}

func TestFoldersGoBothWays(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			root, down := t.TempDir(), t.TempDir()
			src := t.TempDir()
			want := tree(t, src)
			at := serve(t, root, nil)
			ctx := context.Background()
			r := transfer.Start(ctx, options(at, parallel), transfer.Item{Direction: transfer.Upload, Local: src, Remote: "/box"}).Wait()
			ok(t, r)
			same(t, read(t, filepath.Join(root, "box")), want)
			if r.Files != len(want)-1 {
				t.Error("files:", r.Files)
			}
			job := transfer.Start(ctx, options(at, parallel), transfer.Item{Local: filepath.Join(down, "got"), Remote: "/box"})
			ok(t, job.Wait())
			same(t, read(t, filepath.Join(down, "got")), want)
			if s := job.Snapshot(); !s.Finished || s.Files != s.Done || s.Bytes != s.BytesDone || s.Scanning || s.Sessions != 0 {
				t.Errorf("%+v", s)
			}
			// The same once more: over what is there already.
			ok(t, transfer.Start(ctx, options(at, parallel), transfer.Item{Direction: transfer.Upload, Local: src, Remote: "/box"}).Wait())
			same(t, read(t, filepath.Join(root, "box")), want)
		})
	}
}

func TestSingleFilesTakeTheNameThatWasGiven(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "a"), "from the server")
	write(t, filepath.Join(dir, "b"), "from here")
	at := serve(t, root, nil)
	r := transfer.Start(context.Background(), options(at, 2),
		transfer.Item{Direction: transfer.Download, Local: filepath.Join(dir, "new", "x"), Remote: "a"},
		transfer.Item{Direction: transfer.Upload, Local: filepath.Join(dir, "b"), Remote: "/y"}).Wait()
	ok(t, r)
	if got := content(t, filepath.Join(dir, "new", "x")); got != "from the server" {
		t.Error(got)
	}
	if got := content(t, filepath.Join(root, "y")); got != "from here" {
		t.Error(got)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestEachFailureIsNamedAndTheOthersGoOn(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "good"), "x")
	at := serve(t, root, nil)
	write(t, filepath.Join(dir, "blocked"), "a file where a folder must go")
	if err := os.Mkdir(filepath.Join(root, "blocked"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := transfer.Start(context.Background(), options(at, 1), transfer.Item{Local: dir, Remote: "/"},
		transfer.Item{Local: filepath.Join(dir, "none"), Remote: "/none"}).Wait()
	if r.Files != 1 || len(r.Failures) != 2 || r.Err != nil {
		t.Fatalf("%+v", r)
	}
	all := r.Failures[0].Error() + r.Failures[1].Error()
	for _, word := range []string{"blocked", `no "/none"`} {
		if !strings.Contains(all, word) {
			t.Errorf("%q is not in %q", word, all)
		}
	}
	if content(t, filepath.Join(dir, "good")) != "x" {
		t.Error("good")
	}
}

// Whoever may write in a folder of devices would take the device away with the name.
func TestWhatIsNoFileIsNotReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a socket is told from a file on other systems only")
	}
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f"), "content")
	place := filepath.Join(dir, "f")
	l, err := net.Listen("unix", place)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := options(serve(t, root, nil), 1)
	r := transfer.Start(context.Background(), o, transfer.Item{Local: place, Remote: "/f"}).Wait()
	if len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Error(), "neither a file nor a folder") {
		t.Errorf("%+v", r)
	}
	if st, err := os.Lstat(place); err != nil || st.Mode().Type() != fs.ModeSocket {
		t.Errorf("the socket is gone: %v, %v", st, err)
	}
	onlyFiles(t, dir, "f")
}

func TestPoliciesForFilesThatAreThere(t *testing.T) {
	old, young := stamp, stamp.Add(time.Hour)
	for name, tc := range map[string]struct {
		policy       transfer.Policy
		here, there  string // local content and the server's
		hereT, farT  time.Time
		down, up     string // what the target holds afterwards
		asks         int
		skippedFiles int
	}{
		"overwrite":                  {transfer.Overwrite, "local", "server", old, old, "server", "local", 0, 0},
		"skip":                       {transfer.Skip, "local", "server", old, old, "local", "server", 0, 1},
		"newer":                      {transfer.Newer, "local", "server", old, young, "server", "server", 0, 0},
		"resume":                     {transfer.Resume, "ab", "xyz", old, old, "abz", "ab", 0, 0},
		"newer, but it is older":     {transfer.Newer, "local", "server", young, old, "local", "local", 0, 1},
		"other size, and it is":      {transfer.OtherSize, "local", "server", old, young, "server", "local", 0, 0},
		"other size, but it is same": {transfer.OtherSize, "local!", "server", old, young, "local!", "server", 0, 1},
		"ask":                        {transfer.Ask, "local", "server", old, old, "server", "local", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dir := range []transfer.Direction{transfer.Download, transfer.Upload} {
				root, here := t.TempDir(), t.TempDir()
				write(t, filepath.Join(root, "f"), tc.there)
				write(t, filepath.Join(here, "f"), tc.here)
				_ = os.Chtimes(filepath.Join(root, "f"), tc.farT, tc.farT)
				_ = os.Chtimes(filepath.Join(here, "f"), tc.hereT, tc.hereT)
				o := options(serve(t, root, nil), 1)
				o.Overwrite = tc.policy
				asks := 0
				o.Ask = func(_ context.Context, c transfer.Conflict) (transfer.Policy, error) {
					asks++
					if c.LocalSize != int64(len(tc.here)) || c.RemoteSize != int64(len(tc.there)) || c.Remote != "/f" {
						t.Errorf("%+v", c)
					}
					return transfer.Overwrite, nil
				}
				r := transfer.Start(context.Background(), o, transfer.Item{Direction: dir, Local: filepath.Join(here, "f"), Remote: "/f"}).Wait()
				ok(t, r)
				got, want := content(t, filepath.Join(here, "f")), tc.down
				if dir == transfer.Upload {
					got, want = content(t, filepath.Join(root, "f")), tc.up
				}
				if got != want || asks != tc.asks {
					t.Errorf("%v: %q, want %q; %d questions", dir, got, want, asks)
				}
			}
		})
	}
}

func TestAPartThatWasLeftIsResumed(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f"), "0123456789")
	_ = os.Chtimes(filepath.Join(root, "f"), stamp, stamp)
	write(t, filepath.Join(dir, "f.part"), "abcd")
	o := options(serve(t, root, nil), 1)
	o.Resume = true
	item := transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}
	ok(t, transfer.Start(context.Background(), o, item).Wait())
	if got := content(t, filepath.Join(dir, "f")); got != "abcd456789" {
		t.Error(got)
	}
	// A part that is older than the server's file is of another file.
	write(t, filepath.Join(dir, "f.part"), "abcd")
	_ = os.Chtimes(filepath.Join(dir, "f.part"), stamp.Add(-time.Hour), stamp.Add(-time.Hour))
	ok(t, transfer.Start(context.Background(), o, item).Wait())
	if got := content(t, filepath.Join(dir, "f")); got != "0123456789" {
		t.Error(got)
	}
}

func TestLinksNeverLeadOut(t *testing.T) {
	root, dir, outside := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "secret"), "secret")
	write(t, filepath.Join(dir, "real"), "real")
	for link, target := range map[string]string{"in": "real", "out": filepath.Join(outside, "secret"), "loop": ".", "gone": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	at := serve(t, root, nil)
	r := transfer.Start(context.Background(), options(at, 2), transfer.Item{Direction: transfer.Upload, Local: dir, Remote: "/up"}).Wait()
	ok(t, r)
	if r.Files != 2 || len(r.Skipped) != 3 {
		t.Errorf("%+v", r)
	}
	if content(t, filepath.Join(root, "up", "in")) != "real" {
		t.Error("the link inside was not followed")
	}
	// And a link in the local folder is not written through when it leads out.
	into := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(into, "sub")); err != nil {
		t.Fatal(err)
	}
	_ = os.MkdirAll(filepath.Join(root, "down", "sub"), 0o755)
	write(t, filepath.Join(root, "down", "sub", "secret"), "overwritten")
	r = transfer.Start(context.Background(), options(at, 1), transfer.Item{Local: into, Remote: "/down"}).Wait()
	if len(r.Failures) == 0 || content(t, filepath.Join(outside, "secret")) != "secret" {
		t.Errorf("%+v", r)
	}
}

func TestCancelLeavesAPartAndEndsSoon(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	f, err := os.Create(filepath.Join(root, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(8 << 30); err != nil {
		t.Skip(err)
	}
	f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	at := serve(t, root, nil)
	o := options(at, 1)
	o.Dial = func(ctx context.Context) (*client.Session, error) {
		return client.Dial(ctx, client.Options{Mode: client.ModePassive,
			Target: client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone},
			Recorder: connlog.RecorderFunc(func(r connlog.Record) {
				// Not before bytes of the file are here: the listing that comes first moves bytes, too.
				if r.Event == connlog.DataProgress && strings.HasPrefix(r.Command, "RETR") && r.Bytes > 0 {
					cancel()
				}
			})})
	}
	began := time.Now()
	r := transfer.Start(ctx, o, transfer.Item{Local: filepath.Join(dir, "big"), Remote: "/big"}).Wait()
	if !errors.Is(r.Err, context.Canceled) || r.Files != 0 || time.Since(began) > 30*time.Second {
		t.Errorf("%+v after %v", r, time.Since(began))
	}
	if _, err := os.Stat(filepath.Join(dir, "big")); err == nil {
		t.Error("a part has the file's name")
	}
	if st, err := os.Stat(filepath.Join(dir, "big.part")); err != nil || st.Size() == 0 {
		t.Error(err)
	}
}

func TestAServerWithFewerSessionsGetsFewer(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	want := tree(t, root)
	at := serve(t, root, func(c *localserver.Config) { c.Limits.MaxSessions = 2 })
	job := transfer.Start(context.Background(), options(at, 8), transfer.Item{Local: dir, Remote: "/"})
	ok(t, job.Wait())
	same(t, read(t, dir), want)
}

func TestABrokenSessionIsDialledAgainAndTheFileGoesOn(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	big := make([]byte, 32<<20)
	_, _ = rand.Read(big)
	write(t, filepath.Join(root, "f"), string(big))
	server := start(t, root, nil)
	at := server.Addr()
	var cut atomic.Int32
	var kicks sync.WaitGroup
	defer kicks.Wait()
	o := options(at, 1)
	o.Dial = func(ctx context.Context) (*client.Session, error) {
		return client.Dial(ctx, client.Options{Mode: client.ModePassive,
			Target: client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone},
			Recorder: connlog.RecorderFunc(func(r connlog.Record) {
				if r.Event == connlog.DataOpened && cut.Add(1) <= 2 {
					for _, one := range server.Sessions() {
						kicks.Go(func() { server.Kick(one.ID) })
					}
				}
			})})
	}
	r := transfer.Start(context.Background(), o, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait()
	if err := r.Err; err != nil {
		t.Fatal(err)
	}
	if cut.Load() < 3 {
		t.Error("nothing was cut")
	}
	if len(r.Failures) == 0 && !bytes.Equal([]byte(content(t, filepath.Join(dir, "f"))), big) {
		t.Error("the file differs")
	}
	for _, f := range r.Failures {
		t.Error(f)
	}
}

func TestNoServerEndsTheJobWithTheReason(t *testing.T) {
	password, err := localserver.HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	at := serve(t, t.TempDir(), func(c *localserver.Config) {
		c.Accounts = []localserver.Account{{Name: "bob", Password: password}}
	})
	r := transfer.Start(context.Background(), options(at, 2), transfer.Item{Local: t.TempDir(), Remote: "/"}).Wait()
	var e *client.Error
	if !errors.As(r.Err, &e) || e.Code != 530 {
		t.Errorf("%+v", r)
	}
}

func TestAFullDiskIsTold(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), "x")
	s, err := options(serve(t, root, nil), 1).Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	_, err = s.Get(context.Background(), "/f", 0, full)
	var e *client.Error
	if !errors.As(err, &e) || e.Reason != connlog.ReasonLocal || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
}

// The race detector sees whether a snapshot reads what a worker changes meanwhile: names, sizes and times.
func TestASnapshotIsTakenWhileFilesChangeTheirNamesAndSizes(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for i := range 30 {
		name := fmt.Sprintf("%02d", i)
		write(t, filepath.Join(root, name), "there")
		write(t, filepath.Join(dir, name), "comes")
	}
	o := options(serve(t, root, nil), 2)
	o.Overwrite = transfer.Rename
	job := transfer.Start(context.Background(), o, transfer.Item{Direction: transfer.Upload, Local: dir, Remote: "/"})
	for {
		s := job.Snapshot()
		for _, c := range s.Current {
			if c.Local == "" || c.Remote == "" {
				t.Errorf("%+v", c)
			}
		}
		if s.Finished {
			break
		}
		runtime.Gosched()
	}
	ok(t, job.Wait())
	if got := content(t, filepath.Join(root, "29 (1)")); got != "comes" {
		t.Errorf("%q", got)
	}
}

// A name may be as long as the disk allows, though the part that comes first has a longer one.
func TestAFileWithTheLongestNameComes(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	one, other := strings.Repeat("ж", 127)+"a", strings.Repeat("ж", 127)+"b"
	write(t, filepath.Join(root, one), "first")
	write(t, filepath.Join(root, other), "second")
	job := transfer.Start(context.Background(), options(serve(t, root, nil), 2), transfer.Item{Local: dir, Remote: "/"})
	ok(t, job.Wait())
	onlyFiles(t, dir, one, other)
	if got := content(t, filepath.Join(dir, other)); got != "second" {
		t.Errorf("%q", got)
	}
}

// A path that ends with "/" is a folder, most probably: it is listed once, not looked up in the folder above it first.
func TestAFolderThatIsNamedAsOneIsListedOnce(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"box", "box/in", "empty", "matryoshka", "matryoshka/matryoshka"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "box", "f"), "x")
	write(t, filepath.Join(root, "box", "in", "g"), "y")
	write(t, filepath.Join(root, "file"), "z")
	write(t, filepath.Join(root, "matryoshka", "matryoshka", "f"), "x")
	for _, f := range []string{"box/f", "box/in/g", "file", "matryoshka/matryoshka/f"} {
		if err := os.Chtimes(filepath.Join(root, f), stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	at := serve(t, root, nil)
	for remote, tc := range map[string]struct {
		lists int // 0: any number
		want  map[string]string
	}{
		"/box/":          {2, map[string]string{"f": "x", "in/g": "y"}},
		"/empty/":        {0, map[string]string{"./": ""}},
		"/matryoshka/":   {0, map[string]string{"matryoshka/f": "x"}},
		"/box/in/../in/": {1, map[string]string{"g": "y"}},
		"/file/":         {0, map[string]string{".": "z"}},
		"/none/":         {0, nil},
	} {
		var seen atomic.Int64
		count := connlog.RecorderFunc(func(r connlog.Record) {
			if r.Event == connlog.CommandSent && strings.HasPrefix(r.Command, "MLSD") {
				seen.Add(1)
			}
		})
		o := options(at, 1)
		o.Dial = func(ctx context.Context) (*client.Session, error) {
			return client.Dial(ctx, client.Options{Mode: client.ModePassive, Recorder: count,
				Target: client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone}})
		}
		down := filepath.Join(t.TempDir(), "down")
		r := transfer.Start(context.Background(), o, transfer.Item{Local: down, Remote: remote}).Wait()
		if tc.want == nil {
			if len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Error(), `no "/none/"`) {
				t.Errorf("%s: %+v", remote, r)
			}
			continue
		}
		ok(t, r)
		same(t, read(t, down), tc.want)
		if n := seen.Load(); tc.lists > 0 && n != int64(tc.lists) {
			t.Errorf("%s: %d listings", remote, n)
		}
	}
}
