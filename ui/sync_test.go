package ui

import (
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/ui/uitest"
)

func TestASynchronizationGoesOnWhenItsDialogIsOpenedAgain(t *testing.T) {
	w, core, queue, local, _ := onServer(t, func(_, remote string) { put(t, filepath.Join(remote, "d", "a.txt"), "a") })
	w.registry.Run("pane.sync")
	pressButton(t, w, syncCompare)
	queue.Await(t, "the plan", func() bool { return core.Sync().Phase == app.SyncReady })
	w.connect.refresh()
	pressButton(t, w, syncRun)
	uitest.Key(w, fyne.KeyEscape)
	w.registry.Run("pane.sync")
	queue.Await(t, "the file", func() bool { return exists(filepath.Join(local, "d", "a.txt")) })
	uitest.Key(w, fyne.KeyEscape)
	if w.dialogs() != 0 {
		t.Errorf("%d dialogs are left: %s", w.dialogs(), dialogText(w))
	}
}

func TestASynchronizationLeavesAloneWhatIsExcluded(t *testing.T) {
	w, core, queue, _, _ := onServer(t, func(local, remote string) {
		put(t, filepath.Join(remote, "d", "a.txt"), "a")
		put(t, filepath.Join(remote, "d", "b.tmp"), "b")
		put(t, filepath.Join(local, "mine.tmp"), "c")
	})
	w.registry.Run("pane.sync")
	s := w.connect.syncing
	s.except.SetText("[")
	s.compare()
	if !strings.Contains(dialogText(w), "is no pattern") || core.Sync().Phase != app.SyncIdle {
		t.Errorf("%s: %v", dialogText(w), core.Sync())
	}
	s.remove.SetChecked(true)
	s.except.SetText(" *.tmp ;x/ ;")
	s.compare()
	queue.Await(t, "the plan", func() bool { return core.Sync().Phase == app.SyncReady })
	w.connect.refresh()
	if p := core.Sync().Plan; p.Copies() != 1 || p.Deletes() != 0 || !strings.Contains(dialogText(w), "2 files and folders are excluded") {
		t.Errorf("%+v: %s", p.Changes, dialogText(w))
	}
	s.except.SetText("")
	if core.Sync().Phase != app.SyncIdle {
		t.Error("the plan is kept, which was made for other patterns")
	}
	uitest.Key(w, fyne.KeyEscape)
	w.registry.Run("pane.sync")
	if got := w.connect.syncing.except.Text; got != "*.tmp; x/" {
		t.Errorf("remembered: %q", got)
	}
}
