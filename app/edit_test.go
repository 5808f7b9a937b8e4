package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnEditedFileIsUploadedAgainAndAConflictIsNotWrittenOver(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	a, dir, _ := connected(t)
	served := filepath.Join(dir, "notes.txt")
	write(t, served, "one")
	a.OpenRemote(".")
	until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 1 })
	idle(t, a)
	opened := make(chan string, 4)
	a.EditRemote("/", entry(t, a, "notes.txt"), func(name string) error { opened <- name; return nil })
	local := <-opened
	if b, _ := os.ReadFile(local); string(b) != "one" || filepath.Base(local) != "notes.txt" {
		t.Fatalf("%s holds %q", local, b)
	}
	if info, err := os.Stat(filepath.Dir(local)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its folder: %v, %v", info.Mode(), err)
	}
	holds := func(name, want string) {
		t.Helper()
		until(t, name+" holds "+want, func() bool { b, _ := os.ReadFile(name); return string(b) == want })
	}
	phase := func(want EditPhase) {
		t.Helper()
		until(t, "it is "+string(want), func() bool { e := a.Edits(); return len(e) == 1 && e[0].Phase == want })
	}
	write(t, local, "two, written in place")
	holds(served, "two, written in place")
	phase(EditWatching)

	// As many programs save: a new file takes the place of the old one.
	write(t, local+".tmp", "three, renamed")
	if err := os.Rename(local+".tmp", local); err != nil {
		t.Fatal(err)
	}
	holds(served, "three, renamed")
	phase(EditWatching)
	if n := a.Edits()[0].Uploads; n != 2 {
		t.Errorf("uploaded %d times", n)
	}

	// Somebody else changes it meanwhile.
	write(t, served, "theirs")
	write(t, local, "mine")
	phase(EditConflict)
	if b, _ := os.ReadFile(served); string(b) != "theirs" {
		t.Fatalf("their change was written over: %q", b)
	}
	until(t, "the pane shows theirs", func() bool { return entry(t, a, "notes.txt").Size == int64(len("theirs")) })
	a.ReloadEdit(a.Edits()[0].ID)
	holds(local, "theirs")
	holds(local+".mine", "mine")
	phase(EditWatching)
	write(t, served, "theirs again")
	write(t, local, "mine again")
	phase(EditConflict)
	a.UploadEdit(a.Edits()[0].ID)
	holds(served, "mine again")
	phase(EditWatching)

	// Opening it once more opens the same copy.
	a.EditRemote("/", entry(t, a, "notes.txt"), func(name string) error { opened <- name; return nil })
	if again := <-opened; again != local {
		t.Errorf("it is open twice: %s", again)
	}
	write(t, served, "theirs, the third time")
	write(t, local, "mine, the second time")
	phase(EditConflict)
	a.ReloadEdit(a.Edits()[0].ID)
	holds(local, "theirs, the third time")
	holds(local+".mine", "mine")
	holds(local+".mine2", "mine, the second time")
	phase(EditWatching)
	write(t, served, "theirs, the fourth time")
	a.ReloadEdit(a.Edits()[0].ID)
	holds(local, "theirs, the fourth time")
	phase(EditWatching)
	if _, err := os.Stat(local + ".mine3"); err == nil {
		t.Error("what the server had is kept as the person's")
	}

	a.EndEdit(a.Edits()[0].ID)
	until(t, "it is closed", func() bool { return len(a.Edits()) == 0 })
	until(t, "the copy is gone", func() bool { _, err := os.Stat(local); return os.IsNotExist(err) })
	until(t, "it is said where the person's own versions are", func() bool {
		for _, n := range a.TakeNotices() {
			if strings.Contains(n.Text, local+".mine, ") && strings.Contains(n.Text, local+".mine2.") {
				return true
			}
		}
		return false
	})
	holds(local+".mine", "mine")
	holds(local+".mine2", "mine, the second time")
}

func TestAnEditedFileOfAnyNameIsReloaded(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	a, dir, _ := connected(t)
	write(t, filepath.Join(dir, ".new"), "one")
	a.OpenRemote(".")
	until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 1 })
	idle(t, a)
	opened := make(chan string, 1)
	a.EditRemote("/", entry(t, a, ".new"), func(name string) error { opened <- name; return nil })
	local := <-opened
	write(t, filepath.Join(dir, ".new"), "theirs")
	write(t, local, "mine")
	until(t, "it is a conflict", func() bool { e := a.Edits(); return len(e) == 1 && e[0].Phase == EditConflict })
	a.ReloadEdit(a.Edits()[0].ID)
	until(t, "both are there", func() bool {
		theirs, _ := os.ReadFile(local)
		mine, _ := os.ReadFile(local + ".mine")
		return string(theirs) == "theirs" && string(mine) == "mine"
	})
}

func TestChangesThatTheServerDoesNotHaveAreKept(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	a, dir, _ := connected(t)
	write(t, filepath.Join(dir, "n.txt"), "one")
	a.OpenRemote(".")
	until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 1 })
	idle(t, a)
	opened := make(chan string, 1)
	a.EditRemote("/", entry(t, a, "n.txt"), func(name string) error { opened <- name; return nil })
	local := <-opened
	a.StopShare()
	until(t, "the server is gone", func() bool { return a.Share().Phase == Stopped })
	write(t, local, "precious")
	until(t, "it has failed", func() bool { e := a.Edits(); return len(e) == 1 && e[0].Phase == EditFailed && e[0].Err != "" })
	if !a.Edits()[0].Unsaved() {
		t.Error("it counts as saved")
	}
	a.EndEdit(a.Edits()[0].ID)
	until(t, "it is said where the changes are", func() bool {
		for _, n := range a.TakeNotices() {
			if strings.Contains(n.Text, local) {
				return true
			}
		}
		return false
	})
	if b, _ := os.ReadFile(local); string(b) != "precious" {
		t.Errorf("the change is lost: %q", b)
	}
}
