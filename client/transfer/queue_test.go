package transfer_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
	"portside/localserver"
)

// childVariable makes the test program a queue that is killed.
const childVariable = "PORTSIDE_TEST_QUEUE"

func TestMain(m *testing.M) {
	if file := os.Getenv(childVariable); file != "" {
		child(file)
		return
	}
	goleak.VerifyTestMain(m)
}

// child works on a queue until it is empty or killed.
func child(file string) {
	log, err := os.OpenFile(file+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	q, err := transfer.OpenQueue(transfer.QueueOptions{File: file, Dial: dialURL(connlog.RecorderFunc(func(r connlog.Record) {
		if r.Event == connlog.DataClosed {
			fmt.Fprintf(log, "%s %d\n", r.Command, r.Bytes)
		}
	}))})
	if err == nil {
		err = q.ResumeAll()
	}
	if err == nil {
		err = q.Wait(context.Background())
	}
	if err == nil {
		err = q.Close()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// dialURL signs in to the server of a site's URL, in the site's mode, or in passive mode when it has none.
func dialURL(rec connlog.Recorder) func(context.Context, transfer.Site) (*client.Session, error) {
	return func(ctx context.Context, site transfer.Site) (*client.Session, error) {
		t, err := client.ParseURL(site.URL)
		if err != nil {
			return nil, err
		}
		t.TLS = client.TLSNone
		return client.Dial(ctx, client.Options{Target: t, Mode: cmp.Or(site.Mode, client.ModePassive), Recorder: rec})
	}
}

func siteAt(at netip.AddrPort) transfer.Site { return transfer.Site{URL: "ftp://" + at.String() + "/"} }

func openQueue(t *testing.T, o transfer.QueueOptions) *transfer.Queue {
	t.Helper()
	if o.File == "" {
		o.File = filepath.Join(t.TempDir(), "queue.db")
	}
	if o.Dial == nil {
		o.Dial = dialURL(nil)
	}
	o.Hurry()
	q, err := transfer.OpenQueue(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func add(t *testing.T, q *transfer.Queue, b transfer.Batch, items ...transfer.Item) {
	t.Helper()
	if _, err := q.Add(b, transfer.Orders(items...)); err != nil {
		t.Fatal(err)
	}
}

func drained(t *testing.T, q *transfer.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := q.Wait(ctx); err != nil {
		t.Fatalf("%v: %+v", err, q.Snapshot())
	}
}

func listed(t *testing.T, q *transfer.Queue, state transfer.State) []transfer.QueueItem {
	t.Helper()
	items, err := q.List(state, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func noFailures(t *testing.T, q *transfer.Queue) {
	t.Helper()
	for _, it := range listed(t, q, transfer.Failed) {
		t.Errorf("%s %s: %s", it.Direction, it.Remote, it.Err)
	}
}

func TestAQueueMovesFoldersBothWaysOverSeveralSites(t *testing.T) {
	q := openQueue(t, transfer.QueueOptions{})
	src := t.TempDir()
	want := tree(t, src)
	var checks []func()
	for i := range 2 {
		root, down := t.TempDir(), t.TempDir()
		have := tree(t, filepath.Join(root, "pub"))
		b := transfer.Batch{Site: siteAt(serve(t, root, nil)), Title: fmt.Sprint(i)}
		add(t, q, b, transfer.Item{Direction: transfer.Upload, Local: src, Remote: "/up"},
			transfer.Item{Local: filepath.Join(down, "got"), Remote: "/pub"}, transfer.Item{Local: filepath.Join(down, "one"), Remote: "/pub/a.txt"})
		checks = append(checks, func() {
			same(t, read(t, filepath.Join(root, "up")), want)
			same(t, read(t, filepath.Join(down, "got")), have)
			if content(t, filepath.Join(down, "one")) != "hello" {
				t.Error("the single file")
			}
		})
	}
	drained(t, q)
	noFailures(t, q)
	for _, check := range checks {
		check()
	}
	if n := len(listed(t, q, transfer.Done)); n != 2*(2*(len(want)-1)+1) {
		t.Errorf("%d are done", n)
	}
}

func TestNothingIsLostOrDoneTwiceWhenTheProgramIsKilled(t *testing.T) {
	root, down, src := t.TempDir(), t.TempDir(), t.TempDir()
	sums := map[string][32]byte{}
	for i := range 60 {
		name := fmt.Sprintf("d%d/f%03d", i%7, i)
		for _, dir := range []string{filepath.Join(root, "pub"), src} {
			_ = os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
			sums[name] = sha256.Sum256(random(t, filepath.Join(dir, filepath.FromSlash(name)), 1000+i*3000))
			sums[dir+name] = sums[name]
		}
	}
	var mu sync.Mutex
	taken := map[string]int64{} // bytes that came to the server, by command
	server := start(t, root, func(c *localserver.Config) {
		c.Recorder = connlog.RecorderFunc(func(r connlog.Record) {
			mu.Lock()
			defer mu.Unlock()
			if r.Event == connlog.DataClosed || r.Event == connlog.DataFailed {
				taken[r.Command] += r.Bytes
			}
		})
	})
	file := filepath.Join(t.TempDir(), "queue.db")
	q, err := transfer.OpenQueue(transfer.QueueOptions{File: file, Dial: dialURL(nil)})
	if err != nil {
		t.Fatal(err)
	}
	q.PauseAll()
	add(t, q, transfer.Batch{Site: siteAt(server.Addr()), Policy: transfer.Ask},
		transfer.Item{Direction: transfer.Upload, Local: src, Remote: "/up"}, transfer.Item{Local: filepath.Join(down, "got"), Remote: "/pub"})
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for run := 0; ; run++ {
		if run > 200 {
			t.Fatal("it does not end")
		}
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childVariable+"="+file)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		var err error
		// Later and later, so that the program gets somewhere on a slow machine, too.
		kill := time.NewTimer(time.Duration(40+run*17%90+run*run/4) * time.Millisecond)
		select {
		case err = <-ended:
		case <-kill.C:
			kills++
			_ = c.Process.Kill()
			<-ended
			// A busy server may not have given an upload its name yet when it is asked for it, and gets it once more.
			waitFor(t, func() bool { return len(server.Sessions()) == 0 }, func() string { return "the server keeps sessions" })
			continue
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		break
	}
	if kills < 3 {
		t.Errorf("it was killed %d times only", kills)
	}
	for i := range 60 {
		name := fmt.Sprintf("d%d/f%03d", i%7, i)
		if sha256.Sum256([]byte(content(t, filepath.Join(down, "got", filepath.FromSlash(name))))) != sums[filepath.Join(root, "pub")+name] {
			t.Errorf("the download %s differs", name)
		}
		if sha256.Sum256([]byte(content(t, filepath.Join(root, "up", filepath.FromSlash(name))))) != sums[src+name] {
			t.Errorf("the upload %s differs", name)
		}
	}
	again := openQueue(t, transfer.QueueOptions{File: file})
	noFailures(t, again)
	if n := len(listed(t, again, transfer.Done)); n != 120 {
		t.Errorf("%d of 120 are done", n)
	}
	for _, it := range listed(t, again, transfer.Done) {
		if it.Err != "" {
			t.Errorf("%s was left out: %s", it.Remote, it.Err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("killed %d times", kills)
	log := content(t, file+".log")
	whole := 0 // of which the log knows: a program can be killed before it has written the line
	for i := range 60 {
		name, size := fmt.Sprintf("d%d/f%03d", i%7, i), int64(1000+i*3000)
		if n := strings.Count(log, fmt.Sprintf("RETR /pub/%s %d\n", name, size)); n > 1 {
			t.Errorf("%s was downloaded %d times", name, n)
		} else {
			whole += n
		}
		if n := taken["STOR /up/"+name]; n != size {
			t.Errorf("%d bytes were uploaded of %s, which has %d", n, name, size)
		}
	}
	if whole == 0 {
		t.Error("the log of the killed programs says nothing")
	}
}

// The program may end after a download has got its time and before it has got its name, and before the disk knows that it
// was begun.
func TestADownloadThatLacksOnlyItsNameIsNotFetchedAgain(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	want := random(t, filepath.Join(root, "f"), 10_000)
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(root, "f"), when, when); err != nil {
		t.Fatal(err)
	}
	site := siteAt(serve(t, root, nil))
	file, copied := filepath.Join(t.TempDir(), "queue.db"), filepath.Join(t.TempDir(), "queue.db")
	var once sync.Once
	isCopied := make(chan struct{})
	first := openQueue(t, transfer.QueueOptions{File: file, Dial: func(context.Context, transfer.Site) (*client.Session, error) {
		once.Do(func() {
			defer close(isCopied)
			b, err := os.ReadFile(file) // it is in hand by now: this is what a program leaves that is killed
			if err == nil {
				err = os.WriteFile(copied, b, 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		})
		return nil, errors.New("killed")
	}})
	if _, err := first.Add(transfer.Batch{Site: site, Policy: transfer.Ask}, func(yield func(transfer.Order) bool) {
		yield(transfer.Order{Item: transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"},
			Entry: &client.Entry{Name: "f", Type: client.File, Size: int64(len(want)), Time: when}})
	}); err != nil {
		t.Fatal(err)
	}
	<-isCopied
	part := filepath.Join(dir, "f.part")
	if err := os.WriteFile(part, want, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(part, when, when); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	q := openQueue(t, transfer.QueueOptions{File: copied, Dial: dialURL(connlog.RecorderFunc(func(r connlog.Record) {
		if strings.HasPrefix(r.Command, "RETR") {
			asked.Store(true)
		}
	}))})
	if err := q.ResumeAll(); err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	noFailures(t, q)
	if content(t, filepath.Join(dir, "f")) != string(want) || asked.Load() {
		t.Errorf("fetched again: %v", asked.Load())
	}
}

func TestAMillionItemsTakeNoMemory(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	file := filepath.Join(t.TempDir(), "queue.db")
	q, err := transfer.OpenQueue(transfer.QueueOptions{File: file, Dial: dialURL(nil)})
	if err != nil {
		t.Fatal(err)
	}
	q.PauseAll()
	var peak uint64
	heap := func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	began := time.Now()
	var orders iter.Seq[transfer.Order] = func(yield func(transfer.Order) bool) {
		for i := range n {
			if i%(n/10) == 0 {
				heap()
			}
			name := fmt.Sprintf("folder-%d/some file with a longer name %d.jpeg", i/1000, i)
			if !yield(transfer.Order{Item: transfer.Item{Local: "/home/someone/pictures/" + name, Remote: "/pub/pictures/" + name},
				Entry: &client.Entry{Size: 1000}}) {
				return
			}
		}
	}
	if _, err := q.Add(transfer.Batch{Site: transfer.Site{URL: "ftp://a/"}}, orders); err != nil {
		t.Fatal(err)
	}
	added := time.Since(began)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	q = openQueue(t, transfer.QueueOptions{File: file})
	opened := time.Since(began)
	s := q.Snapshot()
	if !s.Paused || s.Items[transfer.Waiting] != n || s.Bytes[transfer.Waiting] != int64(n)*1000 {
		t.Errorf("%+v", s)
	}
	began = time.Now()
	page, err := q.List(transfer.Waiting, 0, 1000)
	if err != nil || len(page) != 1000 || page[7].Local != "/home/someone/pictures/folder-0/some file with a longer name 7.jpeg" {
		t.Fatal(err, len(page))
	}
	looked := time.Since(began)
	began = time.Now()
	page, err = q.List(transfer.Waiting, n-10, 1000)
	if err != nil || len(page) != 10 || !strings.HasSuffix(page[9].Remote, fmt.Sprintf(" %d.jpeg", n-1)) {
		t.Fatal(err, len(page))
	}
	atTheEnd := time.Since(began)
	began = time.Now()
	if page, err = q.List(transfer.Waiting, 0, 1000); err != nil {
		t.Fatal(err)
	}
	if err := q.Move(transfer.Top, page[500].ID); err != nil {
		t.Fatal(err)
	}
	moved := time.Since(began)
	heap()
	st, _ := os.Stat(file)
	t.Logf("%d items: added in %v, opened in %v, a page in %v, the last one in %v, one moved in %v; heap at most %d KiB, file %d MiB",
		n, added, opened, looked, atTheEnd, moved, peak>>10, st.Size()>>20)
	if peak > 64<<20 {
		t.Errorf("%d MiB in memory", peak>>20)
	}
	if err := q.Clear(transfer.Waiting); err != nil || q.Snapshot().Left() != 0 {
		t.Error(err, q.Snapshot().Left())
	}
}

func TestAServerThatTakesFewerConnectionsGetsFewerAndItIsSaid(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	want := tree(t, root)
	at := serve(t, root, func(c *localserver.Config) { c.Limits.MaxSessions = 2 })
	var said atomic.Pointer[string]
	var refused atomic.Int32
	var q *transfer.Queue
	ready := make(chan struct{})
	q = openQueue(t, transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 8} },
		Dial: func(ctx context.Context, site transfer.Site) (*client.Session, error) {
			<-ready
			s, err := dialURL(nil)(ctx, site)
			if err != nil {
				text := err.Error()
				said.Store(&text)
				refused.Add(1)
			}
			return s, err
		}})
	close(ready)
	add(t, q, transfer.Batch{Site: siteAt(at)}, transfer.Item{Local: dir, Remote: "/"})
	drained(t, q)
	noFailures(t, q)
	same(t, read(t, dir), want)
	if said.Load() != nil {
		if s := q.Snapshot().Sites[0]; !strings.Contains(s.Note, "takes 2 of 8 connections") {
			t.Errorf("%+v", s)
		}
	}
	if n := refused.Load(); n > 6 {
		t.Errorf("it was asked %d times for more", n)
	}
}

// TestAServerThatWasAwayTakesAsManyConnectionsAsBefore goes away behind a question, and comes back.
func TestAServerThatWasAwayTakesAsManyConnectionsAsBefore(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for i := range 4 {
		write(t, filepath.Join(root, fmt.Sprint(i)), "new")
		write(t, filepath.Join(dir, fmt.Sprint(i)), "older")
	}
	var dials atomic.Int32
	var away atomic.Bool
	var first atomic.Pointer[client.Session]
	asked, answer := make(chan struct{}), make(chan struct{})
	o := transfer.QueueOptions{
		Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 3} },
		Dial: func(ctx context.Context, site transfer.Site) (*client.Session, error) {
			if dials.Add(1) > 1 {
				<-asked
				if away.Load() {
					return nil, &client.Error{Op: "connect to", On: "it", Err: syscall.ECONNREFUSED}
				}
			}
			s, err := dialURL(nil)(ctx, site)
			first.CompareAndSwap(nil, s)
			return s, err
		},
		Ask: func(context.Context, transfer.Conflict) (transfer.Answer, error) {
			away.Store(true)
			close(asked)
			<-answer
			return transfer.Answer{Policy: transfer.Overwrite, All: true}, nil
		},
	}
	o.Linger(time.Minute) // the first session stays, however long the disk takes to keep what it has found
	q := openQueue(t, o)
	var items []transfer.Item
	for i := range 4 {
		items = append(items, transfer.Item{Local: filepath.Join(dir, fmt.Sprint(i)), Remote: "/" + fmt.Sprint(i)})
	}
	add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil)), Policy: transfer.Ask}, items...)
	until(t, q, func(s transfer.QueueSnapshot) bool {
		return strings.Contains(s.Sites[0].Note, "takes 1 of 3 connections")
	})
	_ = first.Load().Close()
	away.Store(false)
	close(answer)
	drained(t, q)
	noFailures(t, q)
	if s := q.Snapshot().Sites[0]; s.Note != "" || s.Limit != 3 {
		t.Errorf("it is used as if it were still away: %+v", s)
	}
}

func TestPriorityAndOrderDecideWhatGoesFirst(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	var mu sync.Mutex
	var order []string
	at := serve(t, root, func(c *localserver.Config) {
		c.Recorder = connlog.RecorderFunc(func(r connlog.Record) {
			if r.Event == connlog.DataClosed && strings.HasPrefix(r.Command, "RETR") {
				mu.Lock()
				order = append(order, strings.TrimPrefix(r.Command, "RETR /"))
				mu.Unlock()
			}
		})
	})
	q := openQueue(t, transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }})
	q.PauseAll()
	ids := map[string]uint64{}
	for _, name := range strings.Fields("a b c d e f") {
		write(t, filepath.Join(root, name), name)
		entry := client.Entry{Name: name, Size: 1}
		_, err := q.Add(transfer.Batch{Site: siteAt(at)}, func(yield func(transfer.Order) bool) {
			yield(transfer.Order{Item: transfer.Item{Local: filepath.Join(dir, name), Remote: "/" + name}, Entry: &entry})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, it := range listed(t, q, transfer.Waiting) {
		ids[it.Remote[1:]] = it.ID
	}
	for _, err := range []error{
		q.Prioritize(transfer.High, ids["e"]), q.Prioritize(transfer.Low, ids["b"]), q.Move(transfer.Top, ids["d"]),
		q.Move(transfer.Down, ids["a"]), q.Move(transfer.Bottom, ids["c"]), q.Pause(ids["f"]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var shown []string
	for _, it := range listed(t, q, transfer.Waiting) {
		shown = append(shown, it.Remote[1:])
	}
	if got := strings.Join(shown, ""); got != "edcab" && got != "edacb" {
		t.Error("shown:", got)
	}
	if n := q.Snapshot().Items[transfer.Paused]; n != 1 {
		t.Error("paused:", n)
	}
	if err := q.ResumeAll(); err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	mu.Lock()
	defer mu.Unlock()
	if i := slices.Index(order, "b"); i != 5 || order[0] != "e" || order[1] != "d" {
		t.Error(order)
	}
}

func TestAnAnswerHoldsForTheBatchWhenToldSo(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for i := range 6 {
		write(t, filepath.Join(root, strconv.Itoa(i)), "server")
		write(t, filepath.Join(dir, strconv.Itoa(i)), "here")
	}
	var asked atomic.Int32
	q := openQueue(t, transfer.QueueOptions{Ask: func(_ context.Context, c transfer.Conflict) (transfer.Answer, error) {
		if c.LocalSize != 4 || c.RemoteSize != 6 || c.LocalTime.IsZero() || c.RemoteTime.IsZero() {
			t.Errorf("%+v", c)
		}
		if asked.Add(1) == 1 {
			return transfer.Answer{Policy: transfer.Skip}, nil
		}
		return transfer.Answer{Policy: transfer.Overwrite, All: true}, nil
	}})
	add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil)), Policy: transfer.Ask}, transfer.Item{Local: dir, Remote: "/"})
	drained(t, q)
	noFailures(t, q)
	got := 0
	for i := range 6 {
		if content(t, filepath.Join(dir, strconv.Itoa(i))) == "server" {
			got++
		}
	}
	if asked.Load() != 2 || got != 5 {
		t.Errorf("asked %d times, %d were overwritten", asked.Load(), got)
	}
	// A question that is refused takes the batch out.
	q.ResumeAll()
	refused := openQueue(t, transfer.QueueOptions{Ask: func(context.Context, transfer.Conflict) (transfer.Answer, error) {
		return transfer.Answer{}, errors.New("no")
	}})
	add(t, refused, transfer.Batch{Site: siteAt(serve(t, root, nil)), Policy: transfer.Ask}, transfer.Item{Local: dir, Remote: "/"})
	drained(t, refused)
	if s := refused.Snapshot(); s.Items[transfer.Done]+s.Items[transfer.Failed] != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAPausedTransferGoesOnWhereItStopped(t *testing.T) {
	for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
		t.Run(d.String(), func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			from, to := root, dir
			if d == transfer.Upload {
				from, to = dir, root
			}
			want := random(t, filepath.Join(from, "f"), 3<<20)
			var mu sync.Mutex
			var sent int64
			at := serve(t, root, nil)
			q := openQueue(t, transfer.QueueOptions{Dial: dialURL(connlog.RecorderFunc(func(r connlog.Record) {
				if (r.Event == connlog.DataClosed || r.Event == connlog.DataFailed) && (strings.HasPrefix(r.Command, "RETR") || strings.HasPrefix(r.Command, "STOR")) {
					mu.Lock()
					sent += r.Bytes
					mu.Unlock()
				}
			}))})
			q.SetSpeed(4<<20, 4<<20)
			add(t, q, transfer.Batch{Site: siteAt(at)}, transfer.Item{Direction: d, Local: filepath.Join(dir, "f"), Remote: "/f"})
			deadline := time.Now().Add(time.Minute)
			for half := false; !half; {
				if time.Now().After(deadline) {
					t.Fatalf("%+v", q.Snapshot())
				}
				for _, it := range q.Snapshot().Current {
					half = half || it.Moved > 1<<20
				}
				time.Sleep(2 * time.Millisecond)
			}
			q.PauseAll()
			for q.Snapshot().Items[transfer.Active] > 0 {
				time.Sleep(2 * time.Millisecond)
			}
			if _, err := os.Stat(filepath.Join(dir, "f")); d == transfer.Download && err == nil {
				t.Error("a part has the file's name")
			}
			q.SetSpeed(0, 0)
			if err := q.ResumeAll(); err != nil {
				t.Fatal(err)
			}
			drained(t, q)
			noFailures(t, q)
			if !bytes.Equal([]byte(content(t, filepath.Join(to, "f"))), want) {
				t.Error("the file differs")
			}
			mu.Lock()
			defer mu.Unlock()
			if sent > int64(len(want))+1<<20 {
				t.Errorf("%d bytes went over the wire for %d", sent, len(want))
			}
		})
	}
}

func TestNoPasswordIsInTheQueue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	q := openQueue(t, transfer.QueueOptions{File: file})
	q.PauseAll()
	add(t, q, transfer.Batch{Site: transfer.Site{URL: "ftp://bob@a/"}}, transfer.Item{Local: "/x", Remote: "/x"})
	b, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(b, []byte("ftp://bob@a/")) {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Error("others can read it")
	}
	if _, err := q.Add(transfer.Batch{Site: transfer.Site{URL: "ftp://bob:secret@a/"}}, transfer.Orders(transfer.Item{Local: "/x", Remote: "/x"})); err == nil {
		t.Error("a password was taken")
	}
}

func TestASecondProgramIsToldThatTheQueueIsInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	openQueue(t, transfer.QueueOptions{File: file})
	if q, err := transfer.OpenQueue(transfer.QueueOptions{File: file}); err == nil {
		_ = q.Close()
		t.Error("opened twice")
	} else if !strings.Contains(err.Error(), "another Portside") {
		t.Error(err)
	}
}

func TestAModeChosenSinceHoldsForSessionsThatAreStillOpen(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f"), "hello")
	var mu sync.Mutex
	opened := map[connlog.Mode]int{}
	rec := connlog.RecorderFunc(func(r connlog.Record) {
		mu.Lock()
		defer mu.Unlock()
		if r.Event == connlog.DataOpened {
			opened[r.Mode]++
		}
	})
	q := openQueue(t, transfer.QueueOptions{Dial: dialURL(rec)})
	site := siteAt(serve(t, root, nil))
	for i, mode := range []client.Mode{client.ModePassive, client.ModeActive, client.ModePassive} {
		mu.Lock()
		clear(opened)
		mu.Unlock()
		site.Mode = mode
		add(t, q, transfer.Batch{Site: site}, transfer.Item{Local: filepath.Join(dir, fmt.Sprint(i)), Remote: "/f"})
		drained(t, q)
		noFailures(t, q)
		mu.Lock()
		if n := len(opened); n != 1 || opened[connlog.Mode(mode)] == 0 {
			t.Errorf("in %s mode data channels were opened as %v", mode, opened)
		}
		mu.Unlock()
	}
}

// In active mode the sessions of a queue ask for the files that come next before the one under way is over, each for its
// own, and every file arrives once.
func TestAQueueAsksForSmallFilesAheadInActiveMode(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	const files = 200
	for i := range files {
		write(t, filepath.Join(root, fmt.Sprintf("f%03d", i)), fmt.Sprint("body ", i))
	}
	var mu sync.Mutex
	asked, under, most := map[string]int{}, map[string]int{}, 0
	rec := connlog.RecorderFunc(func(r connlog.Record) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Event == connlog.CommandSent && strings.HasPrefix(r.Command, "RETR "):
			asked[r.Command]++
			under[r.Session]++
			most = max(most, under[r.Session])
		case r.Event == connlog.ReplySent && strings.HasPrefix(r.Reply, "226") && under[r.Session] > 0:
			under[r.Session]--
		}
	})
	q := openQueue(t, transfer.QueueOptions{Dial: dialURL(rec),
		Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 3} }})
	site := siteAt(serve(t, root, nil))
	site.Mode = client.ModeActive
	add(t, q, transfer.Batch{Site: site}, transfer.Item{Local: dir, Remote: "/"})
	drained(t, q)
	noFailures(t, q)
	for i := range files {
		if got := content(t, filepath.Join(dir, fmt.Sprintf("f%03d", i))); got != fmt.Sprint("body ", i) {
			t.Errorf("file %d is %q", i, got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if most < 3 {
		t.Errorf("at most %d files were asked for at once", most)
	}
	again := 0
	for _, n := range asked {
		again += n - 1
	}
	if len(asked) != files || again > files/10 {
		t.Errorf("%d files were asked for, %d of them in vain", len(asked), again)
	}
}

// A folder that is held open can't be removed on Windows, and its disk can't be taken out.
func TestAQueueThatIsDoneHoldsNoFolder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("open files are counted in /proc")
	}
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f"), "x")
	idle := make(chan bool, 1)
	q := openQueue(t, transfer.QueueOptions{Idle: func(int, int) { idle <- true }})
	if err := q.ResumeAll(); err != nil {
		t.Fatal(err)
	}
	add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil))}, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"})
	select {
	case <-idle:
	case <-time.After(30 * time.Second):
		t.Fatal("it is not done")
	}
	noFailures(t, q)
	if got := content(t, filepath.Join(dir, "f")); got != "x" {
		t.Errorf("%q", got)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && name == dir {
			t.Error("the folder is open still")
		}
	}
}

func TestWhatFailedBeforeItsBatchWasTakenOutCanBeTriedAgain(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	q := openQueue(t, transfer.QueueOptions{})
	if err := q.ResumeAll(); err != nil {
		t.Fatal(err)
	}
	batch, err := q.Add(transfer.Batch{Site: siteAt(serve(t, root, nil))}, transfer.Orders(transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}))
	if err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	if n := len(listed(t, q, transfer.Failed)); n != 1 {
		t.Fatalf("%d failed", n)
	}
	q.RemoveBatch(batch)
	q.Rest()
	write(t, filepath.Join(root, "f"), "now it is there")
	if err := q.RetryFailed(); err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	noFailures(t, q)
	if n := len(listed(t, q, transfer.Done)); n != 1 {
		t.Errorf("%d done", n)
	}
}

func TestTriesGrowApartAndEnd(t *testing.T) {
	const first = 20 * time.Millisecond // see Hurry
	h := &hostile{listings: map[string]string{"": file("busy") + file("good")}, odd: map[string]odd{"/busy": {first: "450 Busy", last: "450 Busy"}}}
	dir := t.TempDir()
	q := openQueue(t, transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }})
	began := time.Now()
	add(t, q, transfer.Batch{Site: siteAt(h.serve(t))}, transfer.Item{Local: dir, Remote: "/"})
	until(t, q, func(s transfer.QueueSnapshot) bool { // it does not hold up the others
		return s.Items[transfer.Done] == 1 && len(s.Current) == 1 && !s.Current[0].NextTry.IsZero() && strings.Contains(s.Current[0].Err, "450 Busy")
	})
	drained(t, q)
	tries := 0 // one of them may be made twice, with nothing sent ahead
	h.mu.Lock()
	for _, l := range h.lines {
		if l == "RETR /busy" {
			tries++
		}
	}
	h.mu.Unlock()
	if took := time.Since(began); tries < 8 || tries > 9 || took < first*(1+2+4+8+16+32+64) {
		t.Errorf("%d tries in %v", tries, took)
	}
	if f := listed(t, q, transfer.Failed); len(f) != 1 || !strings.Contains(f[0].Err, "450 Busy") {
		t.Errorf("%+v", f)
	}
	// Once more by hand, when the server has come round.
	h.mu.Lock()
	delete(h.odd, "/busy")
	h.mu.Unlock()
	if err := q.RetryFailed(); err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	noFailures(t, q)
	if content(t, filepath.Join(dir, "busy")) != "evil" {
		t.Error("the file differs")
	}
}

func TestAServerThatIsAwayIsAskedLessAndLess(t *testing.T) {
	const first = 20 * time.Millisecond // see Hurry
	var dials atomic.Int32
	began := time.Now()
	q := openQueue(t, transfer.QueueOptions{Dial: func(context.Context, transfer.Site) (*client.Session, error) {
		dials.Add(1)
		return nil, &client.Error{Op: "connect to", On: "it", Code: 421, Reply: "421 Maintenance."}
	}})
	add(t, q, transfer.Batch{Site: transfer.Site{URL: "ftp://a/"}}, transfer.Item{Local: t.TempDir(), Remote: "/"})
	until(t, q, func(s transfer.QueueSnapshot) bool {
		return len(s.Sites) == 1 && s.Sites[0].Rests && strings.HasPrefix(s.Sites[0].Note, "Next try in")
	})
	until(t, q, func(transfer.QueueSnapshot) bool { return dials.Load() >= 6 }) // a busy machine may look too late for the sixth alone
	if took := time.Since(began); took < first*(1+2+4+8+16) {
		t.Errorf("6 dials in %v", took)
	}
	until(t, q, func(s transfer.QueueSnapshot) bool { return s.Sites[0].Stopped })
	if s := q.Snapshot(); s.Left() != 1 || dials.Load() != 9 || !strings.Contains(s.Sites[0].Note, "421 Maintenance") {
		t.Errorf("after %d dials: %+v", dials.Load(), s)
	}
}

func TestTheEndOfABatchAndOfTheQueueIsTold(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for i := range 3 {
		write(t, filepath.Join(root, fmt.Sprint(i)), "x")
	}
	var mu sync.Mutex
	var told []string
	tell := func(format string, args ...any) {
		mu.Lock()
		told = append(told, fmt.Sprintf(format, args...))
		mu.Unlock()
	}
	q := openQueue(t, transfer.QueueOptions{
		Idle:   func(done, failed int) { tell("%d done, %d failed", done, failed) },
		Landed: func(d transfer.Direction, site transfer.Site) { tell("%s at %s", d, site.URL) },
	})
	site := siteAt(serve(t, root, nil))
	items := []transfer.Item{{Local: filepath.Join(dir, "got"), Remote: "/"}, {Local: filepath.Join(dir, "none"), Remote: "/none"}}
	for _, want := range []string{"3 done, 1 failed", "3 done, 1 failed"} { // once more: it counts anew
		mu.Lock()
		told = nil
		mu.Unlock()
		add(t, q, transfer.Batch{Site: site, Policy: transfer.Overwrite}, items...)
		drained(t, q)
		waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(told) >= 2 }, func() string { return fmt.Sprint(told) })
		mu.Lock()
		if len(told) != 2 || !slices.Contains(told, want) || !slices.Contains(told, "download at "+site.URL) {
			t.Error(told)
		}
		mu.Unlock()
	}
}

func TestTwoFilesOfTheQueueNeverGoToOnePlaceAtOnce(t *testing.T) {
	for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
		t.Run(d.String(), func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			from, to := root, dir
			if d == transfer.Upload {
				from, to = dir, root
			}
			q := openQueue(t, transfer.QueueOptions{})
			q.SetSpeed(1<<20, 1<<20)
			var items []transfer.Item
			for _, name := range []string{"a", "b"} {
				write(t, filepath.Join(from, name), strings.Repeat(name, 1<<20))
				item := transfer.Item{Direction: d, Local: filepath.Join(dir, name), Remote: "/both"}
				if d == transfer.Download {
					item.Local, item.Remote = filepath.Join(dir, "both"), "/"+name
				}
				items = append(items, item)
			}
			add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil)), Policy: transfer.Ask}, items...)
			drained(t, q)
			failed := listed(t, q, transfer.Failed)
			if len(failed) != 1 || !strings.Contains(failed[0].Err, "same destination") {
				t.Errorf("%+v", failed)
			}
			if got := content(t, filepath.Join(to, "both")); got != strings.Repeat(got[:1], 1<<20) {
				t.Error("the files are mixed")
			}
		})
	}
}
