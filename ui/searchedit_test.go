package ui

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/ui/kit"
	"portside/ui/uitest"
)

func TestSearchFindsAndGoesThere(t *testing.T) {
	w, core, queue, local, remote := onServer(t, func(_, remote string) {
		put(t, filepath.Join(remote, "a.jpg"), "1")
		put(t, filepath.Join(remote, "x", "y", "b.jpg"), strings.Repeat("1", 3000))
		put(t, filepath.Join(remote, "x", "c.txt"), "1")
	})
	s := w.connect.search
	w.registry.Run("search.open")
	uitest.Type(w, "*.jpg")
	s.min.SetText("nothing")
	uitest.Key(w, fyne.KeyReturn)
	if !strings.Contains(s.line.Text, "not a size") || w.Canvas().Focused() != fyne.Focusable(s.min) {
		t.Errorf("it says %q, the focus is on %T", s.line.Text, w.Canvas().Focused())
	}
	s.min.SetText("1 KB")
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the hit", func() bool { return len(s.state.Hits) == 1 && !s.state.Running })
	s.min.SetText("")
	w.focusOn(s.name)
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the hits", func() bool { return len(s.state.Hits) == 2 && !s.state.Running })
	if !strings.Contains(s.line.Text, "2 hits in 3 folders") {
		t.Errorf("it says %q", s.line.Text)
	}
	for _, want := range [][2]string{{"a.jpg", "b.jpg"}, {"b.jpg", "a.jpg"}} { // by name, up and down
		if s.table.SortBy(0); s.hit(0).Name != want[0] || s.hit(1).Name != want[1] {
			t.Errorf("sorted: %s, %s", s.hit(0).Name, s.hit(1).Name)
		}
	}
	uitest.Shot(t, w, "search")
	s.table.SetSelected([]string{"/x/y/b.jpg"})
	s.download()
	queue.Await(t, "the download", func() bool { return exists(filepath.Join(local, "b.jpg")) })
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "its folder", func() bool { return w.connect.remote.path == "/x/y" && core.Remote().Doing == "" })
	if e := w.connect.remote.selected(); len(e) != 1 || e[0].Name != "b.jpg" || w.Canvas().Overlays().Top() != nil {
		t.Errorf("%v is selected", e)
	}
	w.registry.Run("search.open")
	s.table.SetSelected([]string{"/x/y/b.jpg"})
	s.remove()
	pressButton(t, w, "Delete")
	queue.Await(t, "it is deleted", func() bool { return !exists(filepath.Join(remote, "x", "y", "b.jpg")) && len(s.state.Hits) == 1 })
}

func TestSizesAndDaysAreRead(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "500": 500, "1 KB": 1024, "1.5 MiB": 3 << 19, "2g": 2 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "-1", "1 XB", "NaN", "inf", "1e300 TB", "KB", "1 KM"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	if _, err := parseDay("2026-13-01"); err == nil {
		t.Error("a thirteenth month")
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("1.5 GB")
	f.Add("0x1p9")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseSize(text); err == nil && n < 0 {
			t.Errorf("%q is read as %d", text, n)
		}
	})
}

func TestARemoteFileIsOpenedWatchedAndAConflictIsAskedAbout(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	w, core, queue, _, remote := onServer(t, func(_, remote string) {
		put(t, filepath.Join(remote, "notes.txt"), "one")
		put(t, filepath.Join(remote, "run.exe"), "MZ")
	})
	var opened string
	w.opener = func(u *url.URL) error { opened = u.Path; return nil }
	choose(w, w.connect.remote, "run.exe")
	w.registry.Run("pane.edit")
	if text := dialogText(w); !strings.Contains(text, "may be a program") {
		t.Fatalf("it says %q", text)
	}
	uitest.Key(w, fyne.KeyEscape)
	choose(w, w.connect.remote, "notes.txt")
	uitest.Key(w, fyne.KeyF4)
	queue.Await(t, "the file", func() bool { return opened != "" })
	if err := os.WriteFile(opened, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	served := filepath.Join(remote, "notes.txt")
	queue.Await(t, "the upload", func() bool {
		b, _ := os.ReadFile(served)
		e := core.Edits()
		return string(b) == "two" && e[0].Phase == app.EditWatching
	})
	put(t, served, "theirs")
	if err := os.WriteFile(opened, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	queue.Await(t, "the question", func() bool { return strings.Contains(dialogText(w), "Nothing has been written over") })
	uitest.Shot(t, w, "conflict")
	pressButton(t, w, "Upload mine")
	queue.Await(t, "the answer", func() bool {
		b, _ := os.ReadFile(served)
		return string(b) == "mine" && core.Edits()[0].Phase == app.EditWatching // until then it is not on the server for sure
	})
	queue.Await(t, "the question is gone", func() bool { return w.Canvas().Overlays().Top() == nil })
	w.registry.Run("edit.list")
	uitest.Shot(t, w, "edits")
	if len(w.connect.edits.all) != 1 {
		t.Fatalf("%d files are open", len(w.connect.edits.all))
	}
	uitest.Key(w, fyne.KeyDelete)
	queue.Await(t, "it is closed", func() bool { return len(core.Edits()) == 0 && !exists(opened) })
}

func TestKeysInADialogsListReachNothingBelowIt(t *testing.T) {
	w, _, _, _, _ := onServer(t, func(local, remote string) {
		put(t, filepath.Join(local, "a.txt"), "a")
		put(t, filepath.Join(remote, "b.txt"), "b")
	})
	choose(w, w.connect.remote, "b.txt")
	for _, one := range []struct {
		command string
		table   *kit.Table
	}{{"edit.list", w.connect.edits.table}, {"search.open", w.connect.search.table}} {
		w.registry.Run(one.command)
		w.focusOn(one.table)
		for _, key := range []fyne.KeyName{fyne.KeyF2, fyne.KeyF7, fyne.KeyF5} {
			if uitest.Key(w, key); w.dialogs() != 1 || w.connect.remote.table.Editing() {
				t.Errorf("%s: %s opens something: %d dialogs", one.command, key, w.dialogs())
			}
		}
		if uitest.Key(w, fyne.KeyEscape); w.dialogs() != 0 {
			t.Fatalf("%s: Escape leaves %d dialogs", one.command, w.dialogs())
		}
	}
}

func TestAFileIsOpenedByItsAddressOnEverySystem(t *testing.T) {
	for name, want := range map[string]string{
		"/home/bob/a b#1.txt": "file:///home/bob/a%20b%231.txt", "C:/Users/bob/a.txt": "file:///C:/Users/bob/a.txt", "//host/share/a.txt": "file:////host/share/a.txt",
	} {
		if got := fileURL(name).String(); got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
}
