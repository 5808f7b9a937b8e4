package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"portside/client"
)

// Causes that end a task under way.
var (
	errPause  = errors.New("paused")
	errRemove = errors.New("removed")
	errLater  = errors.New("put back")
)

// laneWorker is one session's owner in a queue.
type laneWorker struct {
	mover
	q *Queue
	l *lane

	// guarded by q.mu
	task   *task
	stop   context.CancelCauseFunc
	signed bool // it has a session
	// shown is what others may see of the task under way, as it was taken up or begun: the rest of it is the worker's.
	shown  QueueItem
	pace   pace
	places []string // where the task's file goes to; no other may

	mode     client.Mode // that the session uses
	rejects  []Failure
	replaced bool // the task's record is another one by now
	keeps    []*os.Root
}

func (w *laneWorker) run() {
	defer w.leave()
	for {
		t := w.next()
		if t == nil {
			return
		}
		if !w.dial(t) {
			return
		}
		err := w.work(t)
		w.finish(t, err)
		w.q.awaitDisk()
	}
}

func (w *laneWorker) leave() {
	w.hangUp()
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	delete(w.l.workers, w)
	if len(w.l.workers) == 0 {
		w.l.proven = false
		if w.l.fails == 0 && !w.l.stopped {
			w.l.limit = 0 // next time it is asked again
		}
		w.q.letGo()
	}
	w.q.kickLocked()
	w.q.o.Changed()
}

func (w *laneWorker) hangUp() {
	w.q.mu.Lock()
	s := w.s
	w.s, w.signed = nil, false
	w.q.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

// next waits for something to do; nil: this worker is not needed any more.
func (w *laneWorker) next() *task {
	q, l := w.q, w.l
	idle := time.Now().Add(q.o.idle)
	q.mu.Lock()
	goodbye := q.goodbye
	q.mu.Unlock()
	for {
		q.mu.Lock()
		if q.ctx.Err() != nil || q.paused || l.stopped || l.tooMany(w) || q.st.err() != nil {
			q.mu.Unlock()
			return nil
		}
		now := time.Now()
		rest := now.Before(l.until) // the server was not reached, and is asked again later
		if !rest {
			t := l.take(w, now)
			for t != nil && q.removed[t.batch] {
				q.putBack(l, t, errRemove)
				t = l.take(w, now)
			}
			if t != nil {
				w.task, w.shown, w.places = t, t.item(l.site), nil
				w.ctx, w.stop = context.WithCancelCause(q.ctx)
				q.mu.Unlock()
				return t
			}
		}
		wake := l.wake
		due := idle
		switch {
		case rest:
			due = l.until
		case len(l.later) > 0:
			due = l.later[0].at
		}
		q.mu.Unlock()
		if !rest && q.st.waitingOf(l.id) > 0 {
			l.claims <- struct{}{}
			q.mu.Lock()
			none := l.first(w) < 0
			q.mu.Unlock()
			var err error
			if none {
				err = l.claim()
			}
			<-l.claims
			if err != nil {
				return nil
			}
			continue
		}
		q.mu.Lock()
		ends := goodbye != q.goodbye && len(l.later) == 0
		q.mu.Unlock()
		if ends {
			return nil
		}
		if !due.After(now) {
			if due.Equal(idle) {
				return nil
			}
			continue
		}
		sleep := time.NewTimer(time.Until(due))
		select {
		case <-wake:
		case <-sleep.C:
		case <-q.ctx.Done():
		}
		sleep.Stop()
	}
}

// lineUp says what w will move after t, so that its session can ask for it early; other workers leave that alone. There
// must be enough for everybody. What is paused or taken out meanwhile goes all the same: it was asked for in vain. q.mu is
// held.
func (w *laneWorker) lineUp(t *task) (line []*task) {
	l := w.l
	if w.s.Mode() != client.ModeActive || w.s.NotAhead() {
		return nil
	}
	enough := len(l.ready)+l.q.st.waitingOf(l.id) > lineLength*len(l.workers)
	for _, n := range l.ready {
		if len(line) == lineLength {
			break
		}
		if n.owner == nil && (!enough || n.batch != t.batch || n.rootID != t.rootID || !n.small()) || n.owner != nil && n.owner != w {
			continue
		}
		n.owner, n.root = w, t.root
		line = append(line, n)
	}
	return line
}

// dial gets the worker a session. When it can't, the task goes back.
func (w *laneWorker) dial(t *task) bool {
	q, l := w.q, w.l
	q.mu.Lock()
	site := l.site
	q.mu.Unlock()
	if w.s != nil && w.s.Err() == nil {
		if w.mode != site.Mode { // the person has chosen another one since
			w.mode = site.Mode
			w.s.SetMode(site.Mode)
		}
		return true
	}
	w.hangUp()
	w.mode = site.Mode
	s, err := q.o.Dial(w.ctx, site)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		w.s, w.signed, l.proven = s, true, true
		l.fails, l.until = 0, time.Time{}
		l.doubt()
		if l.limit == 0 {
			l.note = ""
		}
		l.raise()
		l.startWorkers(len(l.ready) + q.st.waitingOf(l.id) + 1)
		return true
	}
	cause := context.Cause(w.ctx)
	w.stop(nil)
	w.task = nil
	if cause != nil {
		q.putBack(l, t, cause)
		return false
	}
	l.ready = slices.Insert(l.ready, 0, t)
	others := l.signed()
	var e *client.Error
	refused := errors.As(err, &e)
	switch {
	case others > 0:
		l.fewer(others, err)
	case refused && e.Temporary() && l.fails < queueDials:
		l.fails++
		delay := min(q.o.retry<<(l.fails-1), longestRetry)
		l.until = time.Now().Add(delay)
		l.note = fmt.Sprintf("Next try in %v: %v", delay.Round(time.Second), err)
	default:
		l.stopped, l.fails = true, 0
		l.note = fmt.Sprintf("Stopped: %v", err)
		q.release(l)
	}
	q.o.Changed()
	return false
}

// work does a task.
func (w *laneWorker) work(t *task) error {
	w.q.mu.Lock()
	batch := w.q.batches[t.batch]
	policy := Ask
	if batch != nil {
		policy = batch.Policy
		w.o = moving{resume: batch.Resume, overwrite: policy, segments: batch.Segments, durable: true}
	}
	w.o.down, w.o.up = w.q.limiter(w.q.down, w.l.down), w.q.limiter(w.q.up, w.l.up)
	w.rejects, w.replaced = nil, false
	w.q.worked = true
	w.q.mu.Unlock()
	defer func() {
		for _, r := range w.keeps {
			_ = r.Close()
		}
		w.keeps = nil
	}()
	if t.known {
		root, err := w.q.open(t, true)
		if err != nil {
			return err
		}
		t.root = root.Root
		defer w.q.drops(t.rootID, root)
	}
	w.q.mu.Lock()
	more := w.l.first(w) >= 0
	line := w.lineUp(t)
	w.q.mu.Unlock()
	w.follow(t, more, line)
	var err error
	t.moved, err = w.do(t)
	w.noteNotAhead()
	return err
}

// finish keeps what became of a task.
func (w *laneWorker) finish(t *task, err error) {
	q, l := w.q, w.l
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.o.Changed()
	cause := context.Cause(w.ctx)
	w.stop(nil)
	w.task = nil
	offset := w.offset.Load()
	w.at(0)
	if err == nil && t.known && !t.folder {
		q.meter.base[t.Direction] += t.moved - offset
	}
	if err != nil && cause != nil {
		q.putBack(l, t, cause)
		if errors.Is(cause, errRemove) {
			q.landed(t)
		}
		return
	}
	var skip *skipped
	switch {
	case w.replaced:
		return // its record was changed together with what was found
	case err == nil && t.Direction == Download && t.known && !t.folder:
		q.arrived(l, t)
		return
	case err == nil:
		q.finished(t)
		return
	case errors.As(err, &skip):
		q.done++
		q.missed(t.batch)
		q.post(t, func(tx *bolt.Tx, _ *task, r *record) error {
			return q.st.finish(tx, r, Done, func(r *record) { r.Err = skip.why })
		})
	case w.passing(err) && t.tries+1 < queueTries:
		t.tries++
		t.problem = err.Error()
		delay := min(q.o.retry<<(t.tries-1), longestRetry)
		l.later = append(l.later, delayed{time.Now().Add(delay), t})
		slices.SortFunc(l.later, func(a, b delayed) int { return a.at.Compare(b.at) })
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error { return q.st.update(tx, r, t.keep) })
		l.rouse()
		return
	default:
		q.failed++
		q.missed(t.batch)
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
			return q.st.finish(tx, r, Failed, func(r *record) { t.keep(r); r.Err = err.Error(); r.Recovered = r.Recovered || t.begun })
		})
	}
	q.landed(t)
}

// passing says that a failure may pass.
func (w *laneWorker) passing(err error) bool {
	var other again
	if errors.As(err, &other) {
		return true
	}
	var e *client.Error
	return errors.As(err, &e) && (e.Temporary() || w.s.Err() != nil && e.Reason != "local")
}
