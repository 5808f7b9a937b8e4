package channels

import (
	"context"
	"sync"
	"time"

	"portside/connlog"
	"portside/ui/kit"
)

// share is the part of the time that looking through the log may take: a full log is looked at less often.
const share = 0.1

// lookout looks at the log, at the pace of a [kit.Watcher] and on its goroutine, and has a view ready when there is
// something new to show. So the user interface only ever gets finished views, one at a time.
type lookout struct {
	log     *connlog.Log
	read    func(query) view
	show    func(view)
	watcher *kit.Watcher

	mu      sync.Mutex
	visible bool
	asked   query
	answer  view
	made    uint64 // how many answers there were

	rest time.Time // before this, the log's growth alone is no reason to look; the watcher's goroutine has it
}

func newLookout(log *connlog.Log, side connlog.Side, show func(view)) *lookout {
	r := &reader{log: log, side: side}
	return &lookout{log: log, read: r.read, show: show}
}

func (l *lookout) start(ctx context.Context, post kit.Post) {
	l.watcher = kit.Watch(ctx, post, 0, l.look, l.refresh)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watcher.SetVisible(l.visible)
}

func (l *lookout) stop() {
	if l.watcher != nil {
		l.watcher.Stop()
	}
}

// setVisible says whether anybody can see what is shown.
func (l *lookout) setVisible(visible bool) {
	l.mu.Lock()
	l.visible = visible
	l.mu.Unlock()
	if l.watcher != nil {
		l.watcher.SetVisible(visible)
	}
}

// ask changes what is wanted. It is answered at once, not at the next tick.
func (l *lookout) ask(change func(*query)) {
	l.mu.Lock()
	before := l.asked
	change(&l.asked)
	changed := before != l.asked
	l.mu.Unlock()
	if changed && l.watcher != nil {
		l.watcher.Wake()
	}
}

func (l *lookout) want() query {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// look makes a new answer when there is reason to, and returns how many there were.
func (l *lookout) look() uint64 {
	l.mu.Lock()
	visible, q, last, made := l.visible, l.asked, l.answer, l.made
	l.mu.Unlock()
	began := time.Now()
	if !visible || made > 0 && q == last.query && (l.log.Version() == last.version || began.Before(l.rest)) {
		return made
	}
	v := l.read(q)
	l.rest = began.Add(time.Duration(float64(time.Since(began)) / share))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = v
	l.made++
	return l.made
}

// refresh shows the answer, unless something else was asked since: then the answer to that is on its way.
func (l *lookout) refresh() {
	l.mu.Lock()
	v, asked, made := l.answer, l.asked, l.made
	l.mu.Unlock()
	if made > 0 && v.query == asked {
		l.show(v)
	}
}
