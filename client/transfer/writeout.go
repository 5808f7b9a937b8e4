package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A computer that loses its power forgets what the system has not written to the disk yet, for instance the last half
// minute, and a record that says "done" must not outlive its file. Writing a file out takes milliseconds, however small it
// is, so those that came meanwhile are written out together, and beside the transfers.

// arrival is a download that has its name.
type arrival struct {
	t    *task
	site Site
	gone bool // it is out of the queue, or kept for the next run; guarded by q.mu
}

// Limits of writing out.
const (
	maxUnwritten   = 1000                   // downloads that may wait for the disk before others have to
	writers        = 32                     // files written out at once, which most disks do in one go
	slowDisk       = 300 * time.Millisecond // from then on it is shown
	shownUnwritten = 16
)

// arrived is told of a download that has its name; q.mu is held.
func (q *Queue) arrived(l *lane, t *task) {
	q.unwritten = append(q.unwritten, &arrival{t: t, site: l.site})
	if !q.writing {
		q.writing, q.writes = true, time.Now()
		q.wg.Go(q.writeOut)
	}
}

// awaitDisk waits as long as too much waits to be written out.
func (q *Queue) awaitDisk() {
	for {
		q.mu.Lock()
		full, taken := len(q.unwritten) >= maxUnwritten, q.taken
		q.mu.Unlock()
		if !full {
			return
		}
		select {
		case <-taken:
		case <-q.ctx.Done():
			return
		}
	}
}

// writeOut writes out what has arrived, until there is nothing.
func (q *Queue) writeOut() {
	for {
		q.mu.Lock()
		now := q.unwritten
		q.unwritten, q.underWay, q.writes = nil, now, time.Now()
		close(q.taken)
		q.taken = make(chan struct{})
		if len(now) == 0 {
			q.writing = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		var errs []error
		closing := q.ctx.Err() != nil
		if !closing {
			errs = q.syncAll(now)
		}
		q.mu.Lock()
		q.underWay = nil
		for i, a := range now {
			switch {
			case a.gone:
			case closing:
				q.keepArrived(a)
			case errs[i] != nil:
				q.lost(a.t, errs[i])
			default:
				q.finished(a.t)
			}
		}
		q.mu.Unlock()
		q.o.Changed()
	}
}

// keepArrived leaves a download to the next run, which finds it whole and writes it out; q.mu is held.
func (q *Queue) keepArrived(a *arrival) {
	a.gone = true
	q.post(a.t, func(tx *bolt.Tx, t *task, r *record) error {
		return q.st.update(tx, r, func(r *record) { t.keep(r); r.Size = t.moved })
	})
}

// removeArrived takes those downloads out of the queue that wait for the disk and that f wants. Their files stay. q.mu is
// held.
func (q *Queue) removeArrived(f func(*task) bool) {
	for _, a := range slices.Concat(q.underWay, q.unwritten) {
		if a.gone || !f(a.t) {
			continue
		}
		a.gone = true
		q.missed(a.t.batch)
		q.post(a.t, func(tx *bolt.Tx, _ *task, r *record) error { return q.st.remove(tx, r) })
		q.landed(a.t)
	}
	q.unwritten = slices.DeleteFunc(q.unwritten, func(a *arrival) bool { return a.gone })
}

// abandon gives up waiting for what does not end, and says what that is.
func (q *Queue) abandon() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	hang := q.underWay
	for _, a := range slices.Concat(q.underWay, q.unwritten) {
		if !a.gone {
			q.keepArrived(a)
		}
	}
	if len(hang) > 0 {
		return fmt.Errorf("the disk of %s does not answer, so it is not known whether it has kept what came last; it is looked at again the next time", hang[0].t.Local)
	}
	for _, l := range q.lanes {
		for w := range l.workers {
			if w.task != nil {
				return fmt.Errorf("the transfer of %s does not end: its disk may not answer; it is gone on with the next time", w.shown.Local)
			}
		}
	}
	return errors.New("the transfers don't end: a disk may not answer; they are gone on with the next time")
}

// lost fails a download that the disk did not take; q.mu is held.
func (q *Queue) lost(t *task, err error) {
	q.failed++
	q.missed(t.batch)
	q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
		return q.st.finish(tx, r, Failed, func(r *record) {
			t.keep(r)
			r.Begun, r.Recovered, r.Err = false, false, fmt.Sprintf("it can't be written to the disk: %v", err)
		})
	})
	q.landed(t)
}

// syncAll writes out files and the folders that name them. What is not there any more needs nothing.
func (q *Queue) syncAll(files []*arrival) []error {
	errs := make([]error, len(files))
	var all sync.WaitGroup
	next := make(chan int)
	for range min(writers, len(files)) {
		all.Go(func() {
			for i := range next {
				errs[i] = q.syncFile(files[i])
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	all.Wait()
	type folder struct {
		root uint64
		rel  string
	}
	synced := map[folder]bool{}
	for _, a := range files {
		for rel := a.t.rel; rel != "."; {
			rel = filepath.Dir(rel)
			if f := (folder{a.t.rootID, rel}); !synced[f] {
				synced[f] = true
				q.syncFolder(a.t, rel)
			}
		}
	}
	return errs
}

// syncFile writes a file out. One that the disk refuses is taken away, unless it is out of the queue: what is in it can't be
// told.
func (q *Queue) syncFile(a *arrival) error {
	t := a.t
	root, err := q.open(t, false)
	if err != nil {
		return nil // the folder was taken away, and the file with it
	}
	defer q.drops(t.rootID, root)
	how := os.O_RDONLY
	if runtime.GOOS == "windows" {
		how = os.O_RDWR
	}
	f, err := root.OpenFile(t.rel, how, 0)
	if err != nil {
		return nil // it was moved or deleted, or may be written but not read
	}
	err = q.o.sync(f)
	_ = f.Close()
	q.mu.Lock()
	ours := !a.gone
	q.mu.Unlock()
	if err != nil && ours {
		_ = root.Remove(t.rel)
	}
	return err
}

// syncIfCan is a file's Sync, but for file systems that have no such thing.
func syncIfCan(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// syncFolder writes out a folder's names, as far as this system can.
func (q *Queue) syncFolder(t *task, rel string) {
	if runtime.GOOS == "windows" {
		return
	}
	root, err := q.open(t, false)
	if err != nil {
		return
	}
	defer q.drops(t.rootID, root)
	if dir, err := root.Open(rel); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}
