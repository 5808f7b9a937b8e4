package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portside/client"
	"portside/client/sites"
	"portside/client/transfer"
)

// What is asked of the queue while its file is being opened is done when it is open.
func TestWhatIsPressedWhileTheQueueIsOpenedIsDone(t *testing.T) {
	a := start(t)
	a.queue.opening.Lock()
	a.ResumeTransfers()
	opened, err := transfer.OpenQueue(transfer.QueueOptions{File: filepath.Join(t.TempDir(), "queue.db")})
	if err != nil {
		t.Fatal(err)
	}
	opened.PauseAll()
	a.queue.mu.Lock()
	a.queue.queue = opened
	a.queue.mu.Unlock()
	a.queue.opening.Unlock()
	until(t, "the queue goes on", func() bool { return !a.Transfers().Paused })
}

func TestEveryItemOfTheQueueCanBeReached(t *testing.T) {
	a := start(t)
	n := sites.NewNode("Mine", &sites.Site{Host: "a.example"})
	if err := a.ChangeSites(func(b *sites.Book) error { return b.Add("", -1, n) }); err != nil {
		t.Fatal(err)
	}
	queue, err := a.queue.open()
	if err != nil {
		t.Fatal(err)
	}
	queue.PauseAll()
	batch, err := queue.Add(transfer.Batch{Site: transfer.Site{URL: "ftp://a.example/", Ref: n.ID}}, func(yield func(transfer.Order) bool) {
		for i := range 2500 {
			name := fmt.Sprint("/", i)
			if !yield(transfer.Order{Item: transfer.Item{Local: name, Remote: name}}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	page := func(from int, first string, count int) []transfer.QueueItem {
		t.Helper()
		a.ShowTransfers(transfer.Waiting, from)
		until(t, fmt.Sprint("the page from ", from, " begins with ", first), func() bool {
			now := a.Transfers()
			return len(now.Shown) == count && now.From == from && now.Shown[0].Remote == first && now.Listed(transfer.Waiting) == 2500
		})
		return a.Transfers().Shown
	}
	items := page(0, "/0", 1000)
	if name := a.SiteName(items[0].Site); name != "Mine" {
		t.Errorf("its server is called %q in batch %d", name, batch)
	}
	page(1000, "/1000", 1000)
	page(2000, "/2000", 500)
	// What is paused stands behind the rest.
	a.PauseItems([]uint64{items[0].ID, items[1].ID})
	page(1000, "/1002", 1000)
	if last := page(2000, "/2002", 500); last[499].Remote != "/1" || last[499].State != transfer.Paused {
		t.Errorf("the last one is %+v", last[499])
	}
	// When the page is gone, the last one that there is takes its place.
	a.CancelTransfers()
	until(t, "all are out", func() bool { now := a.Transfers(); return now.Left() == 0 && len(now.Shown) == 0 && now.From == 0 })
}

func TestTransfersThatAreLeftAreSaid(t *testing.T) {
	for left, want := range map[int]string{
		1: "1 transfer was left from the last time. It is paused: see Transfers.",
		3: "3 transfers were left from the last time. They are paused: see Transfers.",
	} {
		dir := t.TempDir()
		before := New(dir)
		queue, err := before.queue.open()
		if err != nil {
			t.Fatal(err)
		}
		queue.PauseAll()
		if _, err := queue.Add(transfer.Batch{Site: transfer.Site{URL: "ftp://a.example/"}}, func(yield func(transfer.Order) bool) {
			for i := range left {
				name := fmt.Sprint("/", i)
				if !yield(transfer.Order{Item: transfer.Item{Local: name, Remote: name}}) {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := before.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := New(dir)
		if n := a.TakeNotices(); len(n) != 1 || n[0].Text != want {
			t.Errorf("%d left: %v", left, n)
		}
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheEndOfTransfersIsSaidAsItWas(t *testing.T) {
	for want, e := range map[string]TransfersEnded{
		"Nothing was copied.":            {}, // all were skipped or cancelled
		"1 file was copied.":             {Done: 1},
		"12 files were copied.":          {Done: 12},
		"1 file was not copied.":         {Failed: 1},
		"3 files were not copied.":       {Failed: 3},
		"1 file was copied, 2 failed.":   {Done: 1, Failed: 2},
		"4 files were copied, 1 failed.": {Done: 4, Failed: 1},
	} {
		if got := e.Sentence(); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}

// A question that nobody answers holds up what it is about, and no other server: their passwords and certificates are known.
func TestAQuestionHoldsUpNoOtherSite(t *testing.T) {
	a := start(t)
	known := transfer.Site{URL: "ftp://u@known/"}
	a.queue.known[knownAs(known)] = client.Options{Target: client.Target{Host: "known", Password: "pw"}}
	a.ChangeSettings(func(s *Settings) { s.Sites["known:21"] = Site{Certificate: "TRUSTED"} })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	go func() {
		_, err := a.queue.ask(ctx, transfer.Conflict{})
		ended <- err
	}()
	go func() {
		ended <- a.remote().verify("new:21")(ctx, client.CertificateProblem{Host: "new", SHA256: "NEW"})
	}()
	until(t, "it asks", func() bool { return a.OverwriteQuestion() != nil && a.Remote().Question != nil })

	soon, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	if o, err := a.queue.options(soon, known); err != nil || o.Password != "pw" {
		t.Errorf("a site with a known password: %v", err)
	}
	if err := a.remote().verify("known:21")(soon, client.CertificateProblem{Host: "known", SHA256: "TRUSTED"}); err != nil {
		t.Errorf("a site with a trusted certificate: %v", err)
	}
	// One that has to ask waits for its turn, and can be cancelled.
	go func() {
		_, err := a.queue.options(ctx, transfer.Site{URL: "ftp://u@other/"})
		ended <- err
	}()
	cancel()
	for range 3 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// The beginning of a queue's file, as a full disk or a crash may leave it.
func TestADamagedQueueIsSetAside(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, queueFile), "\x00\x00\x00")
	a := New(dir)
	defer a.Close(context.Background())
	var said string
	until(t, "it is said", func() bool {
		for _, n := range a.TakeNotices() {
			said = n.Text
		}
		return said != ""
	})
	aside, err := filepath.Glob(filepath.Join(dir, "queue.broken-*.db"))
	if err != nil || len(aside) != 1 || !strings.Contains(said, aside[0]) {
		t.Errorf("%q, %v %v", said, aside, err)
	}
}
