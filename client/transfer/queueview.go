package transfer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// QueueItem is an item of a queue as it is shown.
type QueueItem struct {
	ID, Batch uint64
	Item
	Site     Site
	Folder   bool // it is read for what is in it
	Named    bool // whether it is a file or a folder is not known yet
	State    State
	Priority Priority
	Size     int64   // bytes, -1: not known
	Moved    int64   // bytes that are across
	Speed    float64 // bytes a second while it moves, over the last seconds; 0: it can't be told yet
	Writing  bool    // it is here, and its disk, which is slow, is being waited for
	Err      string
	Ended    time.Time
	NextTry  time.Time // of one whose last try failed
}

// SiteState is what goes on with a site.
type SiteState struct {
	Site        Site
	Connections int    // sessions now
	Limit       int    // at most
	Note        string // why it takes fewer, or rests
	Stopped     bool   // nothing is moved until [Queue.Resume]
	Rests       bool   // the next try is later
}

// QueueSnapshot is how a queue stands.
type QueueSnapshot struct {
	Paused    bool
	Items     [states]int   // by [State]; folders that wait to be read are among them
	Bytes     [states]int64 // of those whose size is known
	Current   []QueueItem   // under way, and waiting for their next try
	Sites     []SiteState
	Down, Up  float64       // bytes a second
	Remaining time.Duration // 0: it can't be told
	Problem   string        // why the queue can't go on at all
}

// Left is how many items are not done and not failed.
func (s QueueSnapshot) Left() int { return s.Items[Waiting] + s.Items[Active] + s.Items[Paused] }

// Snapshot says how the queue stands. It looks at nothing on disk.
func (q *Queue) Snapshot() QueueSnapshot {
	c := q.st.counts()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := QueueSnapshot{Paused: q.paused, Items: c.Items, Bytes: c.Bytes, Problem: q.problem}
	now := time.Now()
	bytes := q.meter.base
	under := int64(0)
	for _, id := range slices.Sorted(maps.Keys(q.lanes)) {
		l := q.lanes[id]
		state := SiteState{Site: l.site, Connections: l.lent, Limit: l.connections(), Note: l.note, Stopped: l.stopped, Rests: now.Before(l.until)}
		for w := range l.workers {
			if w.signed {
				state.Connections++
			}
			if w.task == nil {
				continue
			}
			it := w.shown
			it.State = Active
			if w.signed && !it.Named && !it.Folder {
				it.Moved = w.moved()
				it.Speed = w.pace.speed(it.ID, now, it.Moved)
				bytes[it.Direction] += w.beside.Load() + w.s.Moved()
				under += it.Moved
			}
			s.Current = append(s.Current, it)
		}
		for _, d := range l.later {
			it := d.t.item(l.site)
			it.State, it.NextTry, it.Err = Active, d.at, d.t.problem
			s.Current = append(s.Current, it)
		}
		s.Sites = append(s.Sites, state)
	}
	slow := q.writing && now.Sub(q.writes) > slowDisk
	for i, a := range slices.Concat(q.underWay, q.unwritten) {
		if a.gone {
			continue
		}
		under += a.t.moved
		if slow && i < shownUnwritten {
			it := a.t.item(a.site)
			it.State, it.Moved, it.Writing = Active, a.t.moved, true
			s.Current = append(s.Current, it)
		}
	}
	slices.SortFunc(s.Current, func(a, b QueueItem) int {
		if a.NextTry.IsZero() != b.NextTry.IsZero() {
			if a.NextTry.IsZero() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	s.Down, s.Up = q.meter.speed(now, bytes)
	if left := c.Bytes[Waiting] + c.Bytes[Active] - under; left > 0 && s.Down+s.Up >= 1 {
		s.Remaining = remaining(left, s.Down+s.Up)
	}
	return s
}

func (t *task) item(site Site) QueueItem {
	return QueueItem{ID: t.id, Batch: t.batch, Item: t.Item, Site: site, Folder: t.folder, Named: !t.known, Priority: t.priority, Size: t.size}
}

// List reads up to limit items of a state from disk, from the offset-th on. Done and failed ones come newest first, the
// others in their order.
func (q *Queue) List(state State, offset, limit int) ([]QueueItem, error) {
	var out []QueueItem
	err := q.st.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketOrder[state]).Cursor()
		next, k := c.Next, []byte(nil)
		if state == Done || state == Failed {
			k, _ = c.Last()
			next = c.Prev
		} else {
			k, _ = c.First()
		}
		roots := map[uint64]*rootRecord{}
		for ; k != nil && len(out) < limit; k, _ = next() {
			if offset > 0 {
				offset--
				continue
			}
			r, err := getRecord(tx, idIn(k))
			if err != nil {
				return err
			}
			if r == nil {
				continue
			}
			root := roots[r.Root]
			if root == nil {
				if root, err = get[rootRecord](tx, bucketRoots, r.Root); err != nil {
					return err
				}
				if root == nil {
					continue
				}
				roots[r.Root] = root
			}
			q.mu.Lock()
			site := q.sites[r.Site]
			q.mu.Unlock()
			it := newTask(r, root).item(site)
			it.State, it.Err, it.Moved = r.State, r.Err, r.Moved
			if r.Ended != 0 {
				it.Ended = time.Unix(0, r.Ended)
			}
			out = append(out, it)
		}
		return nil
	})
	return out, err
}

// Paused says whether the queue as a whole rests.
func (q *Queue) Paused() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused
}

// PauseAll puts what is under way back, to be gone on with where it stopped, and moves nothing until [Queue.ResumeAll].
func (q *Queue) PauseAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = true
	q.putAllBack()
	q.o.Changed()
}

// putAllBack returns everything that lanes have in hand to the waiting items; q.mu is held.
func (q *Queue) putAllBack() {
	for _, l := range q.lanes {
		for w := range l.workers {
			if w.task != nil {
				w.stop(errLater)
			}
		}
		q.release(l)
		l.rouse()
	}
}

// ResumeAll goes on, also with sites that were given up and with items that were paused.
func (q *Queue) ResumeAll() error {
	err := q.all(Paused, func(tx *bolt.Tx, r *record) error {
		return q.st.update(tx, r, func(r *record) { r.State = Waiting })
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = false
	for _, l := range q.lanes {
		l.stopped, l.fails, l.until, l.limit = false, 0, time.Time{}, 0
		l.note = ""
	}
	q.kickLocked()
	q.o.Changed()
	return err
}

// all changes every item of a state, a portion a transaction. f takes it out of the state.
func (q *Queue) all(state State, f func(tx *bolt.Tx, r *record) error) error {
	for {
		n := 0
		err := q.st.do(func(tx *bolt.Tx) error {
			c := tx.Bucket(bucketOrder[state]).Cursor()
			var ids []uint64
			for k, _ := c.First(); k != nil && len(ids) < addPortion; k, _ = c.Next() {
				ids = append(ids, idIn(k))
			}
			for _, id := range ids {
				r, err := getRecord(tx, id)
				if err != nil {
					return err
				}
				if r == nil {
					continue
				}
				n++
				if err := f(tx, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n < addPortion {
			return err
		}
	}
}

// each changes the items called ids; those in hand are put back first, so what f sees is on disk. Those under way are
// ended with cause, which does the rest; without a cause they are left alone.
func (q *Queue) each(ids []uint64, cause error, f func(tx *bolt.Tx, r *record) error) error {
	defer q.o.Changed()
	defer q.kick()
	for try := 0; len(ids) > 0 && try < 5; try++ { // a worker may take one in hand between the two steps
		q.inHand(ids, cause)
		var busy []uint64
		err := q.st.do(func(tx *bolt.Tx) error {
			for _, id := range ids {
				r, err := getRecord(tx, id)
				if err != nil {
					return err
				}
				switch {
				case r == nil:
				case r.State == Active:
					busy = append(busy, id)
				default:
					if err := f(tx, r); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil || cause == nil {
			return err
		}
		ids = busy
	}
	return nil
}

// inHand puts claimed items back, and ends those under way with cause.
func (q *Queue) inHand(ids []uint64, cause error) {
	wanted := map[uint64]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		held := slices.ContainsFunc(l.ready, func(t *task) bool { return wanted[t.id] }) ||
			slices.ContainsFunc(l.later, func(d delayed) bool { return wanted[d.t.id] })
		if held {
			q.release(l)
		}
		for w := range l.workers {
			if w.task != nil && wanted[w.task.id] && cause != nil {
				w.stop(cause)
			}
		}
	}
	if errors.Is(cause, errRemove) {
		q.removeArrived(func(t *task) bool { return wanted[t.id] })
	}
}

// Pause takes items out of the order until [Queue.Resume]. One under way is put back, to be gone on with later.
func (q *Queue) Pause(ids ...uint64) error {
	return q.each(ids, errPause, func(tx *bolt.Tx, r *record) error {
		if r.State != Waiting {
			return nil
		}
		return q.st.update(tx, r, func(r *record) { r.State = Paused })
	})
}

// Resume lets items that were paused go on, and tries those that failed once more.
func (q *Queue) Resume(ids ...uint64) error {
	return q.each(ids, nil, q.retry)
}

// retry lets a paused or failed item wait again.
func (q *Queue) retry(tx *bolt.Tx, r *record) error {
	if r.State != Paused && r.State != Failed {
		return nil
	}
	failed := r.State == Failed
	q.mu.Lock()
	delete(q.removed, r.Batch) // it is wanted again, though the rest of its batch was taken out
	q.mu.Unlock()
	direction := Download
	if root, err := get[rootRecord](tx, bucketRoots, r.Root); err == nil && root != nil {
		direction = root.Direction
	}
	if err := q.st.update(tx, r, func(r *record) { r.State, r.Err, r.Ended = Waiting, "", 0 }); err != nil || !failed {
		return err
	}
	return q.left(tx, r.Batch, 1, direction)
}

// RetryFailed tries everything that failed once more.
func (q *Queue) RetryFailed() error {
	err := q.all(Failed, q.retry)
	q.kick()
	return err
}

// Remove takes items out of the queue. What was downloaded of one stays beside it as a part, or as a file when it is whole
// and only waits for its disk.
func (q *Queue) Remove(ids ...uint64) error {
	return q.each(ids, errRemove, q.takeOut)
}

func (q *Queue) takeOut(tx *bolt.Tx, r *record) error {
	open := r.State != Done && r.State != Failed
	if err := q.st.remove(tx, r); err != nil || !open {
		return err
	}
	q.mu.Lock()
	q.missed(r.Batch)
	q.mu.Unlock()
	return change(tx, bucketBatches, r.Batch, func(b *batchRecord) { b.Left-- })
}

// RemoveBatch takes what is left of a batch out of the queue. It returns at once.
func (q *Queue) RemoveBatch(batch uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		for w := range l.workers {
			if w.task != nil && w.task.batch == batch {
				w.stop(errRemove)
			}
		}
		q.release(l)
	}
	q.removeArrived(func(t *task) bool { return t.batch == batch })
	q.missed(batch)
	q.removed[batch] = true // what is claimed at this moment goes when it is taken
	if q.closed {
		return
	}
	q.wg.Go(func() { q.removeBatch(batch) })
}

func (q *Queue) removeBatch(batch uint64) {
	for _, state := range []State{Waiting, Paused} {
		var after []byte
		for more := true; more && q.ctx.Err() == nil; {
			err := q.st.do(func(tx *bolt.Tx) error {
				more = false
				c := tx.Bucket(bucketOrder[state]).Cursor()
				k, _ := c.Seek(after)
				var ids []uint64
				for ; k != nil; k, _ = c.Next() {
					if ids = append(ids, idIn(k)); len(ids) == addPortion {
						after, more = slices.Clone(k), true
						break
					}
				}
				for _, id := range ids {
					r, err := getRecord(tx, id)
					if err != nil {
						return err
					}
					if r != nil && r.Batch == batch {
						if err := q.takeOut(tx, r); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				return
			}
		}
	}
	q.kick()
}

// Clear forgets all items of a state that nothing is done about: [Done], [Failed], [Waiting] (with those under way) or
// [Paused].
func (q *Queue) Clear(state State) error {
	if state == Waiting {
		return q.clearOpen()
	}
	if err := q.all(state, q.takeOut); err != nil {
		return err
	}
	return q.tidy()
}

// clearOpen takes out what waits and what is under way.
func (q *Queue) clearOpen() error {
	q.mu.Lock()
	was := q.paused
	q.paused = true // nothing is claimed meanwhile
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.paused = was
		q.kickLocked()
		q.mu.Unlock()
	}()
	for {
		q.mu.Lock()
		for _, l := range q.lanes {
			for w := range l.workers {
				if w.task != nil {
					w.stop(errRemove)
				}
			}
			q.release(l)
			l.rouse()
		}
		q.removeArrived(func(*task) bool { return true })
		q.mu.Unlock()
		if err := q.all(Waiting, q.takeOut); err != nil {
			return err
		}
		if q.st.counts().Items[Active] == 0 || !pause(q.ctx, 20*time.Millisecond) {
			return q.tidy()
		}
	}
}

// tidy forgets what nothing refers to any more.
func (q *Queue) tidy() error {
	err := q.st.do(func(tx *bolt.Tx) error {
		q.mu.Lock()
		adds := q.adds
		q.mu.Unlock()
		if adds == 0 && q.st.now.Items == [states]int{} {
			return q.forget(tx)
		}
		return nil
	})
	q.o.Changed()
	return err
}

// Prioritize changes which of the waiting items go first.
func (q *Queue) Prioritize(p Priority, ids ...uint64) error {
	return q.each(ids, nil, func(tx *bolt.Tx, r *record) error {
		return q.st.update(tx, r, func(r *record) { r.Priority = p })
	})
}

// Where is where [Queue.Move] puts items.
type Where int

const (
	Top Where = iota
	Up
	Down
	Bottom
)

// Move changes the order of waiting items of one site and priority.
func (q *Queue) Move(to Where, ids ...uint64) error {
	switch to {
	case Top, Down:
		ids = slices.Clone(ids)
		slices.Reverse(ids)
	}
	s := q.st
	return q.each(ids, nil, func(tx *bolt.Tx, r *record) error {
		if r.State != Waiting {
			return nil
		}
		switch to {
		case Top:
			return s.update(tx, r, func(r *record) { s.now.First--; r.Pos = s.now.First })
		case Bottom:
			return s.update(tx, r, func(r *record) { s.now.Next++; r.Pos = s.now.Next })
		}
		c := tx.Bucket(bucketOrder[Waiting]).Cursor()
		own := r.orderKey()
		c.Seek(own)
		k, _ := c.Next()
		if to == Up {
			c.Seek(own)
			k, _ = c.Prev()
		}
		if k == nil || string(k[:5]) != string(own[:5]) { // another site or priority
			return nil
		}
		other, err := getRecord(tx, idIn(k))
		if err != nil || other == nil || slices.Contains(ids, other.id) {
			return err
		}
		pos := other.Pos
		if err := s.update(tx, other, func(o *record) { o.Pos = r.Pos }); err != nil {
			return err
		}
		return s.update(tx, r, func(r *record) { r.Pos = pos })
	})
}

// HangUp ends the sessions that have nothing to do, which are kept for a while otherwise.
func (q *Queue) HangUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.goodbye++
	for _, l := range q.lanes {
		l.rouse()
	}
}

// SetSpeed limits all transfers together, in bytes a second; 0: no limit. What moves without a limit when one is set goes
// on with it where it stopped.
func (q *Queue) SetSpeed(down, up int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tighter := func(before float64, now int64) bool { return now > 0 && before > 1e300 }
	interrupt := [2]bool{tighter(float64(q.down.Limit()), down), tighter(float64(q.up.Limit()), up)}
	setLimit(q.down, down)
	setLimit(q.up, up)
	for _, l := range q.lanes {
		for w := range l.workers {
			if t := w.task; t != nil && t.known && !t.folder && interrupt[t.Direction] {
				w.stop(errLater)
			}
		}
	}
}

// caseless: this system's file names usually don't tell upper from lower case.
const caseless = runtime.GOOS == "windows" || runtime.GOOS == "darwin"

func samePlace(a, b string) bool { return a == b || caseless && strings.EqualFold(a, b) }

// Wait returns when nothing waits and nothing is under way, or when ctx ends. A queue that is paused, or whose site was
// given up, does not get there.
func (q *Queue) Wait(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := q.st.err(); err != nil {
			return err
		}
		if c := q.st.counts(); c.Items[Waiting]+c.Items[Active] == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.ctx.Done():
			return errors.New("the queue was closed")
		case <-tick.C:
		}
	}
}
