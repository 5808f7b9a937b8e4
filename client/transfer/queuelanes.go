package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/time/rate"

	"portside/client"
)

// lane is a site and its workers.
type lane struct {
	q       *Queue
	id      uint32
	site    Site
	limit   int // what the server turned out to take; 0: not known
	note    string
	refusal error // why limit is what it is
	stopped bool  // until the person resumes
	proven  bool  // somebody has signed in since it was begun
	fails   int   // dials in a row
	until   time.Time
	ready   []*task // claimed
	later   []delayed
	workers map[*laneWorker]bool
	lending
	claims  chan struct{} // one at a time
	wake    chan struct{} // closed and replaced
	refused map[string]bool
	down    *rate.Limiter
	up      *rate.Limiter
}

type delayed struct {
	at time.Time
	t  *task
}

// kick starts workers where there is something to do.
func (q *Queue) kick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.kickLocked()
}

func (q *Queue) kickLocked() {
	if q.closed || q.paused || q.ctx.Err() != nil || q.st.err() != nil {
		return
	}
	for id, site := range q.sites {
		n := q.st.waitingOf(id)
		l := q.lanes[id]
		if l != nil {
			n += len(l.ready) + len(l.later)
		}
		if n == 0 {
			continue
		}
		if l == nil {
			l = &lane{q: q, id: id, site: site, claims: make(chan struct{}, 1), wake: make(chan struct{}), workers: map[*laneWorker]bool{}, refused: map[string]bool{},
				down: NewLimit(0), up: NewLimit(0)}
			q.lanes[id] = l
		}
		l.startWorkers(n)
		l.rouse()
	}
}

// rouse wakes idle workers; q.mu is held.
func (l *lane) rouse() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// connections is how many sessions the lane may have; q.mu is held.
func (l *lane) connections() int {
	n := l.want()
	if l.limit > 0 {
		n = min(n, l.limit)
	}
	if l.fails > 0 || !l.proven {
		n = 1 // one finds out whether the server lets in, and answers what is asked meanwhile
	}
	return n
}

func (l *lane) limits() Limits {
	var limits Limits
	if l.q.o.Limits != nil {
		limits = l.q.o.Limits(l.site)
	}
	if limits.Connections == 0 {
		limits.Connections = defaultConnections
	}
	limits.Connections = min(max(limits.Connections, 1), maxParallel)
	return limits
}

func (l *lane) want() int { return l.limits().Connections }

// startWorkers starts as many as n items need; q.mu is held.
func (l *lane) startWorkers(n int) {
	if l.stopped {
		return
	}
	limits := l.limits()
	setLimit(l.down, limits.Down)
	setLimit(l.up, limits.Up)
	for len(l.workers) < n && len(l.workers)+l.spares < l.connections() {
		w := &laneWorker{l: l, q: l.q}
		w.h = w
		l.workers[w] = true
		l.q.wg.Go(w.run)
	}
}

// claimAtOnce is how many items a lane takes from the disk at once, and twice what its workers may line up if that is more.
const claimAtOnce = 32

// claim takes the next waiting items of the lane in hand.
func (l *lane) claim() error {
	var got []*task
	l.q.mu.Lock()
	most := max(claimAtOnce, 2*lineLength*len(l.workers))
	l.q.mu.Unlock()
	err := l.q.st.do(func(tx *bolt.Tx) error {
		var ids []uint64
		prefix := (&record{State: Waiting, Site: l.id}).orderKey()[:4]
		c := tx.Bucket(bucketOrder[Waiting]).Cursor()
		for k, _ := c.Seek(prefix); k != nil && string(k[:4]) == string(prefix) && len(ids) < most; k, _ = c.Next() {
			ids = append(ids, idIn(k))
		}
		for _, id := range ids {
			r, err := getRecord(tx, id)
			if err != nil {
				return err
			}
			root, err := get[rootRecord](tx, bucketRoots, r.Root)
			if err != nil {
				return err
			}
			batch, err := get[batchRecord](tx, bucketBatches, r.Batch)
			if err != nil {
				return err
			}
			if root == nil || batch == nil {
				l.q.mu.Lock()
				l.q.missed(r.Batch)
				l.q.mu.Unlock()
				if err := l.q.st.remove(tx, r); err != nil {
					return err
				}
				continue
			}
			if err := l.q.st.update(tx, r, func(r *record) {
				r.State = Active
				if !r.Recovered || r.Claimed == 0 {
					r.Claimed = time.Now().UnixNano()
				}
			}); err != nil {
				return err
			}
			l.q.mu.Lock()
			if l.q.batches[r.Batch] == nil {
				l.q.batches[r.Batch] = batch
			}
			l.q.mu.Unlock()
			got = append(got, newTask(r, root))
		}
		return nil
	})
	l.q.mu.Lock()
	l.ready = append(l.ready, got...)
	l.q.mu.Unlock()
	return err
}

// tooMany says that the lane has one worker too many, and that w is the one to leave: those that have a session stay;
// q.mu is held.
func (l *lane) tooMany(w *laneWorker) bool {
	return l.signed() > l.connections() || !w.signed && len(l.workers)+l.spares > l.connections()
}

// signed is how many sessions the lane has; q.mu is held.
func (l *lane) signed() int {
	n := l.lent
	for w := range l.workers {
		if w.signed {
			n++
		}
	}
	return n
}

// fewer keeps in mind that the server takes no more sessions than it has, n; q.mu is held. A server says it with 421 or
// 530, and some by closing the connection.
func (l *lane) fewer(n int, err error) {
	l.limit, l.refusal = n, err
	l.note = fmt.Sprintf("The server takes %d of %d connections: %v", n, l.want(), err)
}

// doubt forgets the limit when the first session of several comes and no reply of the server gave the limit: a server that
// went away refused the others, and not for their number. q.mu is held.
func (l *lane) doubt() {
	var e *client.Error
	said := errors.As(l.refusal, &e) && e.Code != 0
	if l.limit > 0 && l.signed() == 1 && !said {
		l.limit, l.refusal = 0, nil
	}
}

// take takes a claimed task for w, first one whose next try is due; q.mu is held.
func (l *lane) take(w *laneWorker, now time.Time) *task {
	if len(l.later) > 0 && !l.later[0].at.After(now) {
		t := l.later[0].t
		l.later = l.later[1:]
		return t
	}
	i := l.first(w)
	if i < 0 {
		return nil
	}
	t := l.ready[i]
	l.ready = slices.Delete(l.ready, i, i+1)
	return t
}

// first is where in ready the task is that w is to take next: one that it has lined up, else one that nobody has, or whose
// worker has left; -1: there is none. q.mu is held.
func (l *lane) first(w *laneWorker) int {
	if i := slices.IndexFunc(l.ready, func(t *task) bool { return t.owner == w }); i >= 0 {
		return i
	}
	return slices.IndexFunc(l.ready, func(t *task) bool { return !l.workers[t.owner] })
}

// settle calls Idle when nothing is left to do.
func (q *Queue) settle() {
	c := q.st.counts()
	if c.Items[Waiting]+c.Items[Active] > 0 {
		return
	}
	q.mu.Lock()
	busy := false
	for _, l := range q.lanes {
		for w := range l.workers {
			busy = busy || w.task != nil
		}
	}
	done, failed, worked := q.done, q.failed, q.worked
	if busy || !worked {
		q.mu.Unlock()
		return
	}
	q.done, q.failed, q.worked = 0, 0, false
	clear(q.batches)
	q.letGo()
	q.mu.Unlock()
	if q.o.Idle != nil {
		q.o.Idle(done, failed)
	}
}

// raise corrects the limit when a session was on its way in while another one was refused; q.mu is held.
func (l *lane) raise() {
	if n := l.signed(); l.limit > 0 && n > l.limit {
		l.fewer(n, l.refusal)
	}
}

// release gives what a lane has claimed back to the waiting ones; q.mu is held.
func (q *Queue) release(l *lane) {
	back := l.ready
	for _, d := range l.later {
		back = append(back, d.t)
	}
	l.ready, l.later = nil, nil
	for _, t := range back {
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
			return q.st.update(tx, r, func(r *record) { t.keep(r); r.State = Waiting; r.Recovered = r.Recovered || t.begun })
		})
	}
}

// limiter picks the tighter of two limits; q.mu is held.
func (q *Queue) limiter(all, own *rate.Limiter) *rate.Limiter {
	if own.Limit() < all.Limit() {
		return own
	}
	return all
}

// The lane is who lends its workers' sessions.

func (l *lane) mayLend() bool { return len(l.workers)+l.spares < l.connections() }

func (l *lane) dialSpare(ctx context.Context) (*client.Session, error) {
	l.q.mu.Lock()
	site := l.site
	l.q.mu.Unlock()
	return l.q.o.Dial(ctx, site)
}

func (l *lane) cannotLend(err error) { l.fewer(l.signed(), err) }

func (l *lane) lendsOther() {
	l.raise()
	l.q.kickLocked()
	l.q.o.Changed()
}

// borrow takes the session of a worker that has nothing to do; the worker leaves, or dials anew. q.mu is held.
func (l *lane) borrow() *client.Session {
	for w := range l.workers {
		if w.task == nil && w.signed && w.s.Err() == nil && w.mode == l.site.Mode {
			s := w.s
			w.s, w.signed = nil, false
			l.rouse()
			return s
		}
	}
	return nil
}
