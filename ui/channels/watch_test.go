package channels

import (
	"context"
	"testing"
	"time"

	"portside/connlog"
)

func newTestLookout(log *connlog.Log) (l *lookout, shown *[]view) {
	shown = new([]view)
	l = newLookout(log, connlog.Client, func(v view) { *shown = append(*shown, v) })
	l.setVisible(true)
	return l, shown
}

func TestLookoutLooksOnlyWhenSomebodySeesItAndSomethingChanged(t *testing.T) {
	log := connlog.NewLog(0)
	newTeller(log, connlog.Client, "a", 0).signIn("alice")
	l, shown := newTestLookout(log)
	l.setVisible(false)
	if l.look() != 0 {
		t.Fatal("looked while hidden")
	}
	l.setVisible(true)
	if first, again := l.look(), l.look(); first != 1 || again != 1 {
		t.Fatal("looked again though nothing changed")
	}
	newTeller(log, connlog.Client, "b", time.Second).signIn("bob")
	l.rest = time.Time{}
	if l.look() != 2 {
		t.Fatal("did not look though the log grew")
	}
	l.refresh()
	if len(*shown) != 1 || (*shown)[0].total != 2 {
		t.Fatalf("shown: %d views", len(*shown))
	}
}

func TestLookoutRestsAfterALongLookButAnswersThePersonAtOnce(t *testing.T) {
	log := connlog.NewLog(0)
	l, _ := newTestLookout(log)
	l.look()
	l.rest = time.Now().Add(time.Hour)
	newTeller(log, connlog.Client, "a", 0).signIn("alice")
	if l.look() != 1 {
		t.Error("did not rest")
	}
	l.ask(func(q *query) { q.text = "x" })
	if l.look() != 2 {
		t.Error("the person has to wait")
	}
}

func TestLookoutDropsTheAnswerToAnOlderQuestion(t *testing.T) {
	l, shown := newTestLookout(connlog.NewLog(0))
	l.look()
	l.ask(func(q *query) { q.text = "new" })
	l.refresh()
	if len(*shown) != 0 {
		t.Fatal("the older answer was shown")
	}
	l.look()
	l.refresh()
	if len(*shown) != 1 || (*shown)[0].query.text != "new" {
		t.Fatalf("%d views", len(*shown))
	}
}

func TestLookoutPostsOneViewForAnyNumberOfRecords(t *testing.T) {
	log := connlog.NewLog(0)
	l, shown := newTestLookout(log)
	posted := make(chan func(), 100)
	l.start(context.Background(), func(f func()) { posted <- f })
	defer l.stop()
	first := <-posted
	s := newTeller(log, connlog.Client, "a", 0)
	for range 10_000 {
		s.command("NOOP")
	}
	if len(posted) != 0 {
		t.Fatal("a second view was posted before the first was shown")
	}
	first()
	l.ask(func(q *query) { q.text = "noop" }) // wakes it, so that the test need not wait for the next tick
	for n := 0; n < 2; n++ {                  // a tick may have come before
		(<-posted)()
		if v := (*shown)[len(*shown)-1]; v.query.text == "noop" {
			if len(v.lines) != 10_000 {
				t.Fatalf("%d lines", len(v.lines))
			}
			return
		}
	}
	t.Fatal("the new question was not answered")
}
