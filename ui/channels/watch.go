package channels

import (
	"context"
	"sync"
	"time"

	"portside/connlog"
)

// interval is how often the log is looked at: as often as a person can follow numbers that move, and no more, as each
// change repaints the whole window.
const interval = 250 * time.Millisecond

// share is the part of the time that looking through the log may take: a full log is looked at less often.
const share = 0.1

// watcher looks at the log and brings a view to the user interface when there is something new to show. It owns one
// goroutine, which does all the looking through; the next look waits until the view has been shown.
type watcher struct {
	read func(query) view
	at   func() uint64 // the log's version
	post func(func())
	show func(view)
	tick <-chan time.Time

	mu     sync.Mutex
	asked  query
	shown  bool // somebody can see it
	kicked chan struct{}

	cancel context.CancelFunc
	done   chan struct{}
}

func newWatcher(log *connlog.Log, side connlog.Side, post func(func()), show func(view)) *watcher {
	r := &reader{log: log, side: side}
	return &watcher{read: r.read, at: log.Version, post: post, show: show, kicked: make(chan struct{}, 1)}
}

// start begins to watch. The goroutine ends when ctx does, or with stop.
func (w *watcher) start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		w.watch(ctx)
	}()
}

// stop ends the goroutine and waits for it.
func (w *watcher) stop() {
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.done
}

// ask changes what is wanted, and whether anybody looks. What the person asks for is answered at once, not at the
// next tick.
func (w *watcher) ask(change func(q *query, shown *bool)) {
	w.mu.Lock()
	q, shown := w.asked, w.shown
	change(&w.asked, &w.shown)
	changed := q != w.asked || !shown && w.shown
	w.mu.Unlock()
	if !changed {
		return
	}
	select {
	case w.kicked <- struct{}{}:
	default: // the look that is due will see it
	}
}

func (w *watcher) want() (query, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked, w.shown
}

func (w *watcher) watch(ctx context.Context) {
	tick := w.tick
	if tick == nil {
		t := time.NewTicker(interval)
		defer t.Stop()
		tick = t.C
	}
	var (
		last    view
		first   = true
		resting time.Time
		applied = make(chan struct{}, 1) // one view is under way at most, so the user interface never waits
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.kicked:
		case <-tick:
			if time.Now().Before(resting) {
				continue
			}
		}
		q, shown := w.want()
		if !shown || !first && q == last.query && w.at() == last.version {
			continue
		}
		began := time.Now()
		last, first = w.read(q), false
		resting = time.Now().Add(time.Duration(float64(time.Since(began)) / share))
		v := last
		w.post(func() {
			if now, _ := w.want(); now == v.query { // else the answer to the newer question is on its way
				w.show(v)
			}
			applied <- struct{}{}
		})
		select {
		case <-applied:
		case <-ctx.Done():
			return
		}
	}
}
