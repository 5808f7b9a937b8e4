package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"portside/client"
)

// newTask makes a task of what is on disk.
func newTask(r *record, root *rootRecord) *task {
	t := &task{Item: r.item(root), known: r.Kind != named, folder: r.Kind == folder, size: r.Size, day: r.Day, timed: r.Timed, link: r.Link, line: r.Line,
		listed: r.Listed, decided: r.Decided, from: r.From, begun: r.Begun, stale: r.Stale, recovered: r.Recovered,
		id: r.id, rootID: r.Root, batch: r.Batch, place: root.Place, after: r.After, priority: r.Priority}
	if r.Time != 0 {
		t.time = time.Unix(0, r.Time).UTC()
	}
	if r.Claimed != 0 {
		t.claimed = time.Unix(0, r.Claimed)
	}
	if r.There != nil {
		e := client.Entry{Size: r.There.Size}
		if r.There.Folder {
			e.Type = client.Folder
		}
		if r.There.Time != 0 {
			e.Time = time.Unix(0, r.There.Time).UTC()
		}
		t.there = &e
	}
	t.rel = filepath.FromSlash(r.Rel)
	if r.As != "" {
		t.takeName(r.As)
	}
	return t
}

// item is where the record's file comes from and goes to.
func (r *record) item(root *rootRecord) Item {
	it := Item{root.Direction, root.Local, root.Remote}
	if r.Kind != named && !root.File && r.Rel != "." && r.Rel != "" {
		it.Local = filepath.Join(root.Local, filepath.FromSlash(r.Rel))
		it.Remote = child(root.Remote, r.Rel)
	}
	return it
}

// keep writes what a task has learnt into its record.
func (t *task) keep(r *record) {
	r.Size, r.Link, r.Line = t.size, t.link, t.line
	r.Time, r.Day, r.Timed = unix(t.time), t.day, t.timed
	r.Listed, r.There = t.listed, nil
	if t.there != nil {
		r.There = &there{t.there.Size, unix(t.there.Time), t.there.Type == client.Folder}
	}
	r.Decided, r.From, r.Begun, r.Stale, r.As = t.decided, t.from, t.begun, t.stale, t.as
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// openRoot is a local folder held open.
type openRoot struct {
	*os.Root
	used uint64
	refs int
}

// open opens the local folder of a task, or finds it open. create makes that of a download when it is not there.
func (q *Queue) open(t *task, create bool) (*openRoot, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tick++
	if r := q.roots[t.rootID]; r != nil {
		r.refs++
		r.used = q.tick
		return r, nil
	}
	q.mu.Unlock()
	var err error
	if create && t.Direction == Download {
		err = os.MkdirAll(t.place, 0o777)
	}
	var root *os.Root
	if err == nil {
		root, err = os.OpenRoot(t.place)
	}
	q.mu.Lock()
	if err != nil {
		return nil, err
	}
	if r := q.roots[t.rootID]; r != nil { // another was faster
		_ = root.Close()
		r.refs++
		return r, nil
	}
	for len(q.roots) >= rootsOpen {
		var oldest uint64
		for id, r := range q.roots {
			if r.refs == 0 && (oldest == 0 || r.used < q.roots[oldest].used) {
				oldest = id
			}
		}
		if oldest == 0 {
			break
		}
		_ = q.roots[oldest].Close()
		delete(q.roots, oldest)
	}
	r := &openRoot{Root: root, used: q.tick, refs: 1}
	q.roots[t.rootID] = r
	return r, nil
}

// drops says that a local folder is not used any more by whom it was opened for.
func (q *Queue) drops(id uint64, root *openRoot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	root.refs--
	if root.refs == 0 && q.roots[id] != root {
		_ = root.Close()
	}
}

// letGo closes the local folders that nothing is moved to or from: one that is held open can't be removed on Windows, nor
// its disk be taken out. q.mu is held.
func (q *Queue) letGo() {
	for id, r := range q.roots {
		if r.refs == 0 {
			_ = r.Close()
			delete(q.roots, id)
		}
	}
}

// post changes a task's record soon; a record that is gone is left alone. f gets the task as it is now: it may be under way
// again by then. The caller has the task in hand, or nobody has.
func (q *Queue) post(t *task, f func(tx *bolt.Tx, t *task, r *record) error) {
	now := *t
	q.st.post(func(tx *bolt.Tx) error {
		r, err := getRecord(tx, now.id)
		if err != nil || r == nil {
			return err
		}
		return f(tx, &now, r)
	})
}

// putBack does with a task what the cause of its end asks for; q.mu is held.
func (q *Queue) putBack(l *lane, t *task, cause error) {
	state := Waiting
	switch {
	case q.ctx.Err() != nil:
		// It stays as it is: the next run takes it up.
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error { return q.st.update(tx, r, t.keep) })
		return
	case errors.Is(cause, errRemove):
		q.missed(t.batch)
		q.post(t, func(tx *bolt.Tx, _ *task, r *record) error { return q.st.remove(tx, r) })
		return
	case errors.Is(cause, errPause):
		state = Paused
	}
	q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
		return q.st.update(tx, r, func(r *record) { t.keep(r); r.State = state; r.Recovered = r.Recovered || t.begun })
	})
}

// finished is told of an item that is done; q.mu is held.
func (q *Queue) finished(t *task) {
	q.done++
	q.moved(t.batch)
	q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
		return q.st.finish(tx, r, Done, func(r *record) { t.keep(r); r.Moved, r.Size, r.Err, r.Begun = t.moved, t.moved, "", false })
	})
	q.landed(t)
}

// landed counts a batch's items down.
func (q *Queue) landed(t *task) {
	direction := t.Direction
	q.st.post(func(tx *bolt.Tx) error {
		return q.left(tx, t.batch, -1, direction)
	})
}

// left changes how many items of a batch are left, and says when none is.
func (q *Queue) left(tx *bolt.Tx, batch uint64, by int, d Direction) error {
	var site uint32
	left := -1
	err := change(tx, bucketBatches, batch, func(b *batchRecord) { b.Left += by; left, site = b.Left, b.Site })
	if err == nil && left == 0 && q.o.Landed != nil {
		q.mu.Lock()
		s := q.sites[site]
		q.mu.Unlock()
		q.o.Landed(d, s)
	}
	return err
}

// destination is what the task's file is called where it goes to.
func (t *task) destination() string {
	if t.Direction == Upload {
		return t.Remote
	}
	return t.Local
}
