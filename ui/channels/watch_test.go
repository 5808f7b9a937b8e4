package channels

import (
	"context"
	"testing"
	"time"

	"portside/connlog"
)

// rig is a watcher with its clock and its user interface in the test's hands.
type rig struct {
	*watcher
	log    *connlog.Log
	ticks  chan time.Time
	posted chan func()
	views  []view
	reads  int
}

func newRig(t *testing.T) *rig {
	r := &rig{log: connlog.NewLog(0), ticks: make(chan time.Time), posted: make(chan func(), 10)}
	r.watcher = newWatcher(r.log, connlog.Client, func(f func()) { r.posted <- f }, func(v view) { r.views = append(r.views, v) })
	r.watcher.tick = r.ticks
	r.start(context.Background())
	t.Cleanup(r.stop)
	return r
}

// look ticks twice: when the second tick has been taken, what the first led to is done.
func (r *rig) look() (posted int) {
	for range 2 {
		r.ticks <- time.Time{}
	}
	return len(r.posted)
}

func (r *rig) run(t *testing.T) {
	t.Helper()
	select {
	case f := <-r.posted:
		f()
	case <-time.After(5 * time.Second):
		t.Fatal("nothing was posted")
	}
}

func TestWatcherLooksOnlyWhenSomebodySeesItAndSomethingChanged(t *testing.T) {
	r := newRig(t)
	newTeller(r.log, connlog.Client, "a", 0).signIn("alice")
	if n := r.look(); n != 0 {
		t.Fatalf("hidden, and %d views were posted", n)
	}
	r.ask(func(_ *query, shown *bool) { *shown = true })
	r.run(t)
	if len(r.views) != 1 || r.views[0].total != 1 {
		t.Fatalf("shown: views %v", len(r.views))
	}
	if n := r.look(); n != 0 {
		t.Errorf("nothing changed, and %d views were posted", n)
	}
	newTeller(r.log, connlog.Client, "b", time.Second).signIn("bob")
	for deadline := time.Now().Add(5 * time.Second); len(r.posted) == 0 && time.Now().Before(deadline); {
		select { // the watcher may be resting, or already be waiting for its view to be shown
		case r.ticks <- time.Time{}:
		case <-time.After(time.Millisecond):
		}
	}
	r.run(t)
	if len(r.views) != 2 || r.views[1].total != 2 {
		t.Errorf("after a change: %d views", len(r.views))
	}
}

func TestWatcherPostsOneViewForAnyNumberOfRecords(t *testing.T) {
	r := newRig(t)
	r.ask(func(_ *query, shown *bool) { *shown = true })
	f := <-r.posted
	s := newTeller(r.log, connlog.Client, "a", 0)
	for range 10_000 {
		s.command("NOOP")
	}
	select {
	case r.ticks <- time.Time{}:
		t.Error("the next look did not wait until the view was shown")
	case <-time.After(20 * time.Millisecond):
	}
	if len(r.posted) != 0 {
		t.Error("a second view was posted before the first was shown")
	}
	f()
}

func TestWatcherDropsTheAnswerToAnOlderQuestion(t *testing.T) {
	r := newRig(t)
	r.ask(func(_ *query, shown *bool) { *shown = true })
	f := <-r.posted
	r.ask(func(q *query, _ *bool) { q.text = "new" })
	f()
	if len(r.views) != 0 {
		t.Error("the older answer was shown")
	}
	r.run(t)
	if len(r.views) != 1 || r.views[0].query.text != "new" {
		t.Errorf("views %d", len(r.views))
	}
}

func TestWatcherStopsWhileItsViewIsUnderWay(t *testing.T) {
	r := newRig(t)
	r.ask(func(_ *query, shown *bool) { *shown = true })
	f := <-r.posted
	r.stop()
	f() // what was posted runs later, after the drawer was closed
}
