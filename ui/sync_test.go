package ui

import (
	"path/filepath"
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
