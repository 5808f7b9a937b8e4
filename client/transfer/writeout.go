package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
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
	q.unwritten = append(q.unwritten, arrival{t, l.site})
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
			case closing: // the next run finds it whole, and writes it out
				q.post(a.t, func(tx *bolt.Tx, t *task, r *record) error {
					return q.st.update(tx, r, func(r *record) { t.keep(r); r.Size = t.moved })
				})
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
func (q *Queue) syncAll(files []arrival) []error {
	errs := make([]error, len(files))
	var all sync.WaitGroup
	next := make(chan int)
	for range min(writers, len(files)) {
		all.Go(func() {
			for i := range next {
				errs[i] = q.syncFile(files[i].t)
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

// syncFile writes a file out. One that the disk refuses is taken away: what is in it can't be told.
func (q *Queue) syncFile(t *task) error {
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
	if err != nil {
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
