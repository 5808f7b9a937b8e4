package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portside/client/transfer"
)

func TestASynchronizationDeletesLastAndOnlyWhenAllIsCopied(t *testing.T) {
	for _, c := range []struct {
		name string
		// meanwhile happens while the copies wait.
		meanwhile func(t *testing.T, a *App, source string)
		deletes   bool
	}{
		{"all copied", func(*testing.T, *App, string) {}, true},
		{"one fails", func(t *testing.T, _ *App, source string) {
			if err := os.Remove(filepath.Join(source, "b.txt")); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"taken out", func(_ *testing.T, a *App, _ string) { a.CancelTransfers() }, false},
	} {
		for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
			t.Run(c.name+" "+d.String(), func(t *testing.T) {
				a, shared, _ := connected(t)
				mine := t.TempDir()
				source, target := shared, mine
				if d == transfer.Upload {
					source, target = mine, shared
				}
				write(t, filepath.Join(source, "same.txt"), "same")
				a.enqueue([]transfer.Order{{Item: transfer.Item{Direction: d, Local: filepath.Join(mine, "same.txt"), Remote: "/same.txt"}}}, "so that there is a queue")
				finished(t, a)
				a.PauseTransfers()
				until(t, "the queue is paused", func() bool { return a.Transfers().Paused })
				write(t, filepath.Join(source, "a.txt"), "A")
				write(t, filepath.Join(source, "b.txt"), "B")
				write(t, filepath.Join(target, "extra", "x"), "X")

				a.CompareFolders(transfer.Mirror{Direction: d, Local: mine, Remote: "/", Delete: true})
				until(t, "the plan is there", func() bool { return a.Sync().Phase == SyncReady })
				if p := a.Sync().Plan; p.Copies() != 2 || p.Cleans() != 2 {
					t.Fatalf("%+v", p)
				}
				a.RunSync()
				until(t, "the copies wait", func() bool { return a.Sync().Phase == SyncDone && a.Transfers().Items[transfer.Waiting] == 2 })
				if got := tree(t, target); got != "extra extra/x same.txt" {
					t.Errorf("before anything is copied: %s", got)
				}
				if r := a.Sync().Result; !strings.Contains(r, "When all is copied, 2 files and folders are deleted") {
					t.Error(r)
				}
				a.TakeNotices()
				c.meanwhile(t, a, source)
				a.ResumeTransfers()
				var said []Notice
				until(t, "it says how it ended", func() bool { said = append(said, a.TakeNotices()...); return len(said) > 0 })
				until(t, "nothing is left to do", func() bool { return a.TransfersRunning() == 0 })
				got := tree(t, target)
				switch {
				case c.deletes && (got != "a.txt b.txt same.txt" || said[0].Bad || a.Sync().Phase != SyncDone):
					t.Errorf("%s, %+v, %+v", got, said, a.Sync())
				case !c.deletes && (!strings.Contains(got, "extra/x") || !said[0].Bad || a.Sync().Phase != SyncFailed || !strings.Contains(a.Sync().Err, "Nothing was deleted")):
					t.Errorf("%s, %+v, %+v", got, said, a.Sync())
				}
			})
		}
	}
}

func TestWithNothingToCopyASynchronizationDeletesAtOnce(t *testing.T) {
	a, shared, _ := connected(t)
	mine := t.TempDir()
	write(t, filepath.Join(mine, "extra"), "X")
	a.CompareFolders(transfer.Mirror{Local: mine, Remote: "/", Delete: true})
	until(t, "the plan is there", func() bool { return a.Sync().Phase == SyncReady })
	a.RunSync()
	until(t, "it is done", func() bool { return a.Sync().Phase == SyncDone })
	if got := tree(t, mine); got != "" || tree(t, shared) != "" {
		t.Error(got)
	}
}
