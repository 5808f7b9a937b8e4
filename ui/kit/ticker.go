package kit

import (
	"context"
	"sync/atomic"
	"time"
)

// TickRate is how often a [Watcher] looks, in times a second, unless told otherwise. Each change redraws the whole window,
// so more costs much and shows little.
const TickRate = 4.0

// Watcher brings changes of a model to the screen at the screen's own pace: it looks at the model's version a few times a
// second and posts one refresh when it has changed. Ten thousand changes a second cost the window the same as ten. While it
// is paused it does nothing at all.
type Watcher struct {
	version func() uint64
	refresh func()
	post    Post
	every   time.Duration
	visible atomic.Bool
	pending atomic.Bool
	wake    chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}
}

// Watch starts a watcher. version is called from the watcher's goroutine and must be safe for that; refresh runs where post
// runs it. hz is in times a second; 0: [TickRate]. It begins visible, with one refresh. Stop it, or cancel ctx.
func Watch(ctx context.Context, post Post, hz float64, version func() uint64, refresh func()) *Watcher {
	if hz <= 0 {
		hz = TickRate
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &Watcher{
		version: version, refresh: refresh, post: post, every: time.Duration(float64(time.Second) / hz),
		wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
	}
	w.visible.Store(true)
	go w.loop(ctx)
	return w
}

// SetVisible pauses the watcher or lets it go on; what changed meanwhile is then shown at once.
func (w *Watcher) SetVisible(visible bool) {
	if w.visible.Swap(visible) != visible && visible {
		w.Wake()
	}
}

// Wake makes the watcher look now, for instance after something that the person did.
func (w *Watcher) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Stop ends the watcher and waits for it. A refresh that was posted already does nothing any more.
func (w *Watcher) Stop() {
	w.cancel()
	<-w.done
}

func (w *Watcher) loop(ctx context.Context) {
	defer close(w.done)
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	seen, first := uint64(0), true
	for {
		if w.visible.Load() && !w.pending.Load() {
			if v := w.version(); v != seen || first {
				seen, first = v, false
				w.pending.Store(true)
				w.post(func() {
					w.pending.Store(false)
					if ctx.Err() == nil {
						w.refresh()
					}
				})
			}
		}
		ticks := tick.C
		if !w.visible.Load() {
			ticks = nil // nobody looks: sleep until woken
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		case <-w.wake:
		}
	}
}
