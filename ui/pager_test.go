package ui

import (
	"fmt"
	"path/filepath"
	"testing"

	"fyne.io/fyne/v2"

	"portside/ui/kit"
	"portside/ui/uitest"
)

func TestThePagerLeadsToAllOfALongList(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	went := -1
	p := newPager(w, func(from int) { went = from })
	if p.show(0, 999, 999, 1000); p.object.Visible() {
		t.Error("it is there though all are shown")
	}
	p.show(0, 1000, 1_234_567, 1000)
	if got := p.where.Text; got != "1 to 1,000 of 1,234,567" || !p.object.Visible() || !p.back.Disabled() || p.next.Disabled() {
		t.Errorf("at the beginning: %q", got)
	}
	for _, c := range []struct {
		button *kit.Button
		want   int
	}{{p.next, 1000}, {p.last, 1_234_566}} {
		if c.button.OnTapped(); went != c.want {
			t.Errorf("%s leads to %d, not %d", c.button.Tip, went, c.want)
		}
	}
	p.show(1_234_000, 567, 1_234_567, 1000)
	if !p.next.Disabled() || !p.last.Disabled() || p.back.Disabled() {
		t.Errorf("at the end: %q", p.where.Text)
	}
	if p.back.OnTapped(); went != 1_233_000 {
		t.Errorf("back leads to %d", went)
	}
	p.ask()
	uitest.Type(w, "500,001")
	uitest.Key(w, fyne.KeyReturn)
	if went != 500_000 {
		t.Errorf("the number leads to %d", went)
	}
}

func TestGoingToANumberInTheQueueChoosesThatItem(t *testing.T) {
	w, core, queue, local, remote := onServer(t, func(local, _ string) { put(t, filepath.Join(local, "first"), "1") })
	core.UploadPaths([]string{filepath.Join(local, "first")})
	queue.Await(t, "there is a queue", func() bool { return exists(filepath.Join(remote, "first")) && core.TransfersRunning() == 0 })
	core.PauseTransfers()
	queue.Await(t, "it rests", func() bool { return core.Transfers().Paused })
	var paths []string
	for i := range 1200 {
		paths = append(paths, filepath.Join(local, "many", fmt.Sprint("f", i)))
	}
	core.UploadPaths(paths)
	l := w.connect.transfers
	w.registry.Run("transfers.show")
	l.tabs.Select(tabWaiting)
	queue.Await(t, "the first page", func() bool { return l.pager.where.Text == "1 to 1,000 of 1,200" })
	l.pager.goTo(1100)
	queue.Await(t, "the item", func() bool { return l.now.From == 1000 && l.table.Cursor() == 100 })
	if got := l.items[l.table.Cursor()].Remote; got != "/f1100" {
		t.Errorf("%s is chosen", got)
	}
	uitest.Shot(t, w, "pager")
	// An item that is gone by the time that its page comes: the last one, at once.
	l.goal = 5000
	if l.refresh(); l.goal != -1 || l.table.Cursor() != 199 {
		t.Errorf("%d is waited for, at row %d", l.goal, l.table.Cursor())
	}
}
