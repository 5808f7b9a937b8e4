package transfer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portside/client/transfer"
	"portside/connlog"
)

// slowDisk lets files wait until it is opened.
type slowDisk struct {
	opened chan struct{}
	mu     sync.Mutex
	came   []string
}

func (d *slowDisk) sync(f *os.File) error {
	d.mu.Lock()
	d.came = append(d.came, filepath.Base(f.Name()))
	d.mu.Unlock()
	<-d.opened
	return f.Sync()
}

func (d *slowDisk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.came)
}

// retrs counts how often a file was asked for.
func retrs(n *atomic.Int32) connlog.Recorder {
	return connlog.RecorderFunc(func(r connlog.Record) {
		if r.Event == connlog.DataClosed && strings.HasPrefix(r.Command, "RETR") {
			n.Add(1)
		}
	})
}

func TestADownloadIsDoneWhenItIsOnTheDisk(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(root, name), name)
	}
	disk := &slowDisk{opened: make(chan struct{})}
	var told atomic.Int32
	o := transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }, Idle: func(int, int) { told.Add(1) }}
	o.Sync(disk.sync)
	q := openQueue(t, o)
	var items []transfer.Item
	for _, name := range []string{"a", "b", "c"} {
		items = append(items, transfer.Item{Local: filepath.Join(dir, name), Remote: "/" + name})
	}
	add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil)), Ended: func(bool) { told.Add(1) }}, items...)
	// The others don't wait for it.
	until(t, q, func(s transfer.QueueSnapshot) bool {
		for _, it := range items {
			if _, err := os.Stat(it.Local); err != nil {
				return false
			}
		}
		return len(s.Current) == 3 && s.Current[0].Writing && s.Current[2].Writing && disk.count() > 0
	})
	if s := q.Snapshot(); s.Items[transfer.Done] != 0 || s.Items[transfer.Active] != 3 || told.Load() != 0 {
		t.Errorf("%+v, %d written out, %d times told", s, disk.count(), told.Load())
	}
	close(disk.opened)
	drained(t, q)
	noFailures(t, q)
	until(t, q, func(s transfer.QueueSnapshot) bool {
		return s.Items[transfer.Done] == 3 && disk.count() == 3 && told.Load() == 2 && len(s.Current) == 0
	})
}

// A person may take a folder away while the disk is waited for, and it stays away.
func TestAFolderThatIsGoneIsNotMadeAnewToBeWrittenOut(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	disk := &slowDisk{opened: make(chan struct{})}
	o := transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }}
	o.Hurry()
	o.Sync(disk.sync)
	q := openQueue(t, o)
	var items []transfer.Item
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(root, name), name)
		items = append(items, transfer.Item{Local: filepath.Join(dir, name, name), Remote: "/" + name})
	}
	add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil))}, items...)
	until(t, q, func(s transfer.QueueSnapshot) bool {
		connections := 0
		for _, site := range s.Sites {
			connections += site.Connections
		}
		_, err := os.Stat(items[1].Local)
		return err == nil && disk.count() > 0 && connections == 0
	})
	gone := filepath.Join(dir, "b")
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	close(disk.opened)
	drained(t, q)
	if _, err := os.Stat(gone); err == nil {
		t.Error("it was made anew")
	}
}

func TestWhatTheDiskRefusesFailsAndIsFetchedAnew(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "f"), "content")
	refuse := atomic.Bool{}
	refuse.Store(true)
	var asked atomic.Int32
	o := transfer.QueueOptions{Dial: dialURL(retrs(&asked))}
	o.Sync(func(*os.File) error {
		if refuse.Load() {
			return errors.New("input/output error")
		}
		return nil
	})
	q := openQueue(t, o)
	place := filepath.Join(dir, "f")
	add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil))}, transfer.Item{Local: place, Remote: "/f"})
	drained(t, q)
	failed := listed(t, q, transfer.Failed)
	if len(failed) != 1 || !strings.Contains(failed[0].Err, "disk: input/output error") {
		t.Fatalf("%+v", failed)
	}
	if _, err := os.Stat(place); err == nil {
		t.Error("it has its name")
	}
	refuse.Store(false)
	if err := q.Resume(failed[0].ID); err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	noFailures(t, q)
	if content(t, place) != "content" || asked.Load() != 2 {
		t.Errorf("%d times asked for", asked.Load())
	}
}

// fetchedOnce says that the next run of a queue has want files done, and that none of them was asked for twice in all.
func fetchedOnce(t *testing.T, file string, asked *atomic.Int32, want int) {
	t.Helper()
	q := openQueue(t, transfer.QueueOptions{File: file, Dial: dialURL(retrs(asked))})
	if err := q.ResumeAll(); err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	noFailures(t, q)
	if n := len(listed(t, q, transfer.Done)); n != want || int(asked.Load()) != want {
		t.Errorf("%d are done, %d times asked for", n, asked.Load())
	}
}

// What is not written out when the program ends is found whole the next time.
func TestWhatWaitsForTheDiskAtTheEndIsNotFetchedAgain(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	var asked atomic.Int32
	file, at := filepath.Join(t.TempDir(), "queue.db"), serve(t, root, nil)
	disk := &slowDisk{opened: make(chan struct{})}
	o := transfer.QueueOptions{File: file, Dial: dialURL(retrs(&asked)), Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }}
	o.Sync(disk.sync)
	first := openQueue(t, o)
	var items []transfer.Item
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(root, name), name)
		items = append(items, transfer.Item{Local: filepath.Join(dir, name), Remote: "/" + name})
	}
	add(t, first, transfer.Batch{Site: siteAt(at)}, items...)
	until(t, first, func(s transfer.QueueSnapshot) bool { return len(s.Current) == 3 && s.Current[2].Writing })
	ended := make(chan error, 1)
	go func() { ended <- first.Close() }()
	waitFor(t, first.Ends, func() string { return "it does not begin to end" })
	select {
	case <-ended:
		t.Fatal("the program ended while a file was being written out")
	case <-time.After(50 * time.Millisecond):
	}
	close(disk.opened)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := disk.count(); n == 3 {
		t.Errorf("%d were written out", n)
	}
	fetchedOnce(t, file, &asked, 3)
}

// What waits for the disk is here: taken out of the queue it stays, and is done with.
func TestWhatWaitsForTheDiskCanBeTakenOutOfTheQueue(t *testing.T) {
	for name, out := range map[string]func(q *transfer.Queue, batch uint64, ids []uint64) error{
		"by item": func(q *transfer.Queue, _ uint64, ids []uint64) error { return q.Remove(ids...) },
		"all":     func(q *transfer.Queue, _ uint64, _ []uint64) error { return q.Clear(transfer.Waiting) },
		"a batch": func(q *transfer.Queue, batch uint64, _ []uint64) error { q.RemoveBatch(batch); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			disk := &slowDisk{opened: make(chan struct{})}
			o := transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }}
			o.Hurry()
			o.Sync(func(f *os.File) error {
				_ = disk.sync(f)
				return errors.New("input/output error")
			})
			q := openQueue(t, o)
			var items []transfer.Item
			for _, name := range []string{"a", "b"} { // one is being written out, the other waits for that
				write(t, filepath.Join(root, name), name)
				items = append(items, transfer.Item{Local: filepath.Join(dir, name), Remote: "/" + name})
			}
			ended := make(chan bool, 1)
			batch, err := q.Add(transfer.Batch{Site: siteAt(serve(t, root, nil)), Ended: func(all bool) { ended <- all }}, transfer.Orders(items...))
			if err != nil {
				t.Fatal(err)
			}
			if err := q.ResumeAll(); err != nil {
				t.Fatal(err)
			}
			var ids []uint64
			until(t, q, func(s transfer.QueueSnapshot) bool {
				ids = nil
				for _, it := range s.Current {
					if it.Writing {
						ids = append(ids, it.ID)
					}
				}
				return len(ids) == 2
			})
			if err := out(q, batch, ids); err != nil {
				t.Fatal(err)
			}
			until(t, q, func(s transfer.QueueSnapshot) bool { return s.Items[transfer.Active] == 0 && len(s.Current) == 0 })
			close(disk.opened)
			q.Rest()
			if s := q.Snapshot(); s.Left()+s.Items[transfer.Failed]+s.Items[transfer.Done] != 0 || <-ended {
				t.Errorf("%+v", s)
			}
			onlyFiles(t, dir, "a", "b")
		})
	}
}

// A network drive whose server is away lets nobody write or end: the program says so, and goes.
func TestADiskThatHangsIsNotWaitedForAtTheEnd(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	var asked atomic.Int32
	file, at := filepath.Join(t.TempDir(), "queue.db"), serve(t, root, nil)
	disk := &slowDisk{opened: make(chan struct{})}
	o := transfer.QueueOptions{File: file, Dial: dialURL(retrs(&asked)), Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }}
	o.Sync(disk.sync)
	o.Wait(50 * time.Millisecond)
	first := openQueue(t, o)
	var items []transfer.Item
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(root, name), name)
		items = append(items, transfer.Item{Local: filepath.Join(dir, name), Remote: "/" + name})
	}
	add(t, first, transfer.Batch{Site: siteAt(at)}, items...)
	until(t, first, func(s transfer.QueueSnapshot) bool { return len(s.Current) == 2 && s.Current[1].Writing })
	if err := first.Close(); err == nil || !strings.Contains(err.Error(), "the disk of "+items[0].Local+" does not answer") {
		t.Error(err)
	}
	fetchedOnce(t, file, &asked, 2)
	close(disk.opened)
	first.Rest()
}

// A disk may forget a folder that was made, and a person may delete one.
func TestAFolderThatIsGoneIsMadeAgain(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"sub/deep/a", "sub/deep/b"} {
		writeIn(t, root, name, name)
	}
	writeIn(t, dir, "sub/deep/a", "old")
	o := options(serve(t, root, nil), 1)
	o.Overwrite = transfer.Ask
	o.Ask = func(context.Context, transfer.Conflict) (transfer.Policy, error) {
		return transfer.Overwrite, os.RemoveAll(filepath.Join(dir, "sub"))
	}
	ok(t, transfer.Start(context.Background(), o, transfer.Item{Local: dir, Remote: "/"}).Wait())
	if a, b := content(t, filepath.Join(dir, "sub/deep/a")), content(t, filepath.Join(dir, "sub/deep/b")); a != "sub/deep/a" || b != "sub/deep/b" {
		t.Errorf("%q %q", a, b)
	}
}
