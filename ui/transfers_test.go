package ui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/client/transfer"
	"portside/ui/kit"
	"portside/ui/uitest"
)

func TestAPasswordForTheTransfersIsHandedOverAndNotCancelled(t *testing.T) {
	for _, c := range []struct {
		end  fyne.KeyName
		want string
	}{{fyne.KeyReturn, "answer s3cret"}, {fyne.KeyEscape, "cancel"}} {
		w, _, _ := testWindow(t, 1280, 800)
		first := "" // the queue takes the first answer
		say := func(s string) {
			if first == "" {
				first = s
			}
		}
		w.connect.transfers.askPassword(&app.PasswordQuestion{
			Target: client.Target{Host: "example.org", User: "alice"},
			Answer: func(s string) { say("answer " + s) }, Cancel: func() { say("cancel") },
		})
		uitest.Type(w, "s3cret")
		uitest.Key(w, c.end)
		if first != c.want || w.dialogs() != 0 {
			t.Errorf("%s says %q with %d dialogs left", c.end, first, w.dialogs())
		}
	}
}

func TestDeleteInAnEmptyTransferListDeletesNoFile(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.txt"), "a")
	core.OpenLocal(dir)
	queue.Await(t, "the folder", func() bool { return w.connect.local.path == dir })
	choose(w, w.connect.local, "a.txt")
	w.registry.Run("transfers.show")
	if uitest.Key(w, fyne.KeyDelete); w.dialogs() != 0 {
		t.Errorf("it asks: %s", dialogText(w))
	}
}

func TestAReasonBeginsWithACapital(t *testing.T) {
	w := learnWindow(t, kit.Light, 1000, 600)
	l := w.connect.transfers
	l.table.SetColumns(transferColumns(tabFailed))
	l.items = []transfer.QueueItem{{State: transfer.Failed, Err: "it came with 5 bytes"}, {State: transfer.Failed}}
	for i, want := range []string{"It came with 5 bytes", ""} {
		if got := l.cell(i, 1).Text; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestATransferAsksOnEveryScreen(t *testing.T) {
	w, core, queue, local, _ := onServer(t, func(local, remote string) {
		put(t, filepath.Join(local, "a.txt"), "mine")
		put(t, filepath.Join(remote, "a.txt"), "theirs")
	})
	choose(w, w.connect.remote, "a.txt")
	w.registry.Run("pane.copy")
	w.show("settings")
	queue.Await(t, "the question", func() bool { return w.dialogs() == 1 })
	pressButton(t, w, "Overwrite")
	queue.Await(t, "the file", func() bool {
		b, _ := os.ReadFile(filepath.Join(local, "a.txt"))
		return string(b) == "theirs" && core.TransfersRunning() == 0
	})
}

// As with the queue of other programs, files can be collected first and moved later.
func TestTransfersCanBeCollectedWhilePaused(t *testing.T) {
	w, core, queue, local, _ := onServer(t, func(_, remote string) { put(t, filepath.Join(remote, "a.txt"), "a") })
	l := w.connect.transfers
	w.registry.Run("transfers.pause")
	queue.Await(t, "it rests", func() bool { return core.Transfers().Paused && l.pause.Text == "Resume" })
	if got := l.status(); len(got) != 1 || got[0] != "Transfers paused" {
		t.Errorf("the status bar says %q", got)
	}
	choose(w, w.connect.remote, "a.txt")
	w.registry.Run("pane.copy")
	queue.Await(t, "it waits", func() bool { return len(core.Transfers().Shown) == 1 && core.Transfers().Items[transfer.Waiting] == 1 })
	if exists(filepath.Join(local, "a.txt")) {
		t.Error("it was copied")
	}
	core.PauseItems([]uint64{core.Transfers().Shown[0].ID})
	queue.Await(t, "the item rests", func() bool { return core.Transfers().Items[transfer.Paused] == 1 })
	w.registry.Run("transfers.pause")
	queue.Await(t, "the file", func() bool { return exists(filepath.Join(local, "a.txt")) && l.pause.Text == "Pause" })
	for want, items := range map[bool][2]int{true: {0, 1}, false: {1, 1}} {
		l.now = app.Transfers{}
		l.now.Items[transfer.Waiting], l.now.Items[transfer.Paused] = items[0], items[1]
		if l.rests() != want {
			t.Errorf("%d waiting and %d paused: rests is %v", items[0], items[1], !want)
		}
	}
}

func TestATransferSaysHowFastItIsAndHowLongItTakesYet(t *testing.T) {
	for _, c := range []struct {
		item transfer.QueueItem
		want string
	}{
		{transfer.QueueItem{Size: 1000}, "0 %"},
		{transfer.QueueItem{Size: 100 << 20, Moved: 50 << 20, Speed: 1 << 20}, "50 % · 1 MiB/s · 00:50"},
		{transfer.QueueItem{Size: 100 << 20, Moved: 100 << 20, Speed: 1 << 20}, "100 % · 1 MiB/s"},
		{transfer.QueueItem{Size: -1, Moved: 5, Speed: 1 << 20}, "1 MiB/s"},
	} {
		if got := progress(c.item); got != c.want {
			t.Errorf("%+v: %q, want %q", c.item, got, c.want)
		}
	}
}

// A file whose next try is due while other files have all connections is not about to begin.
func TestAFileWhoseNextTryIsDueWaitsForAConnection(t *testing.T) {
	var l transferList
	for left, want := range map[time.Duration]string{
		time.Hour:    "Again in ",
		-time.Minute: "Waiting for a free connection: ",
	} {
		it := transfer.QueueItem{State: transfer.Active, NextTry: time.Now().Add(left), Err: "refused"}
		if got := l.state(it).Text; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ": refused") {
			t.Errorf("%q, want %q and why", got, want)
		}
	}
}
