package ui

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/storage"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// TestWhatIsAnsweredHoldsForTheFolderThatWasAskedAbout opens a folder that holds the same names while a dialog asks: a slow
// listing comes when it will.
func TestWhatIsAnsweredHoldsForTheFolderThatWasAskedAbout(t *testing.T) {
	fill := func(dir string) {
		for _, name := range []string{"gone", "old", "in/gone", "in/old"} {
			put(t, filepath.Join(dir, name), name)
		}
		for _, name := range []string{"rights", "in/rights"} {
			put(t, filepath.Join(dir, name), name)
			if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	w, core, queue, local, remote := onServer(t, func(local, remote string) { fill(local); fill(remote) })
	c := w.connect
	for _, side := range []struct {
		p         *pane
		dir, root string
	}{{c.local, local, local}, {c.remote, remote, "/"}} {
		p := side.p
		ask := func(command, name string, answer func()) {
			t.Helper()
			p.goTo(side.root)
			queue.Await(t, "the folder", func() bool { return p.path == side.root && core.Remote().Doing == "" })
			choose(w, p, name)
			if !w.registry.Run(command) {
				t.Fatalf("%s can't be run", command)
			}
			p.goTo(p.join("in"))
			queue.Await(t, "the other folder", func() bool { return p.base(p.path) == "in" && core.Remote().Doing == "" })
			answer()
		}
		ask("pane.delete", "gone", func() { pressButton(t, w, "Delete") })
		queue.Await(t, "the file is deleted", func() bool { return !exists(filepath.Join(side.dir, "gone")) })
		ask("pane.folder", "old", func() { uitest.Type(w, "made"); uitest.Key(w, fyne.KeyReturn) })
		queue.Await(t, "the folder is made", func() bool { return exists(filepath.Join(side.dir, "made")) })
		ask("pane.file", "old", func() { uitest.Type(w, "fresh"); uitest.Key(w, fyne.KeyReturn) })
		queue.Await(t, "the file is made", func() bool { return exists(filepath.Join(side.dir, "fresh")) })
		ask("pane.rights", "rights", func() { uitest.Type(w, "600"); uitest.Key(w, fyne.KeyReturn) })
		queue.Await(t, "the rights are set", func() bool {
			info, err := os.Stat(filepath.Join(side.dir, "rights"))
			return err == nil && info.Mode().Perm() == 0o600
		})
		queue.Await(t, "the end", func() bool { return core.Remote().Doing == "" })
		if info, err := os.Stat(filepath.Join(side.dir, "in/rights")); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("the rights of the other folder's file: %v, %v", info, err)
		}
		if !exists(filepath.Join(side.dir, "in/gone")) || exists(filepath.Join(side.dir, "in/made")) || exists(filepath.Join(side.dir, "in/fresh")) {
			t.Error("the other folder was changed")
		}
	}
}

func TestANameThatIsBeingChangedStaysInItsTab(t *testing.T) {
	w, core, queue, _, remote := onServer(t, func(_, remote string) {
		put(t, filepath.Join(remote, "x"), "top")
		put(t, filepath.Join(remote, "y"), "top")
	})
	c := w.connect
	url := c.address.Text
	w.registry.Run("tab.new")
	c.open(url)
	queue.Await(t, "the second tab", func() bool { return c.remote.path == "/" && core.Remote().Doing == "" })
	choose(w, c.remote, "x", "y")
	w.registry.Run("tab.next")
	if n := c.remote.table.SelectedCount(); n > 1 {
		t.Errorf("%d entries of the other tab are selected", n)
	}
	_, first := core.Tabs()
	choose(w, c.remote, "x")
	w.registry.Run("pane.rename")
	uitest.Type(w, "new")
	w.registry.Run("tab.next")
	if _, now := core.Tabs(); now == first || c.remote.table.Editing() || w.Canvas().Focused() != fyne.Focusable(c.remote.table) {
		t.Fatalf("tab %v, editing %v, the keyboard is on %T", now, c.remote.table.Editing(), w.Canvas().Focused())
	}
	queue.Await(t, "the file has its name", func() bool { return exists(filepath.Join(remote, "new")) })
	session := ""
	for _, r := range core.Log.Records(0) {
		if r.Side != connlog.Client {
			continue
		}
		if session == "" { // the first tab's
			session = r.Session
		}
		if strings.HasPrefix(r.Command, "RNFR") && r.Session != session {
			t.Errorf("%s goes to session %s of the other tab", r.Command, r.Session)
		}
	}
}

func TestWhatIsDroppedActsOnlyOnWhatIsSeen(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	dir, from := t.TempDir(), filepath.Join(t.TempDir(), "a.txt")
	put(t, from, "a")
	core.OpenLocal(dir)
	queue.Await(t, "the folder", func() bool { return w.connect.local.path == dir })
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(w.connect.local.table).AddXY(40, 60)
	drop := func() { w.dropped(at, []fyne.URI{storage.NewFileURI(from)}) }
	w.show("settings")
	if drop(); w.screen != "connect" || !strings.Contains(w.connect.line.String(), "Drop files over") {
		t.Errorf("%s says %q", w.screen, w.connect.line.String())
	}
	d := kit.Message(w, "", "")
	drop()
	d.Close()
	core.OpenLocal(from) // which gives what was begun time to show
	queue.Await(t, "its failure", func() bool { return core.Local().Err != "" })
	if exists(filepath.Join(dir, "a.txt")) {
		t.Fatal("it is copied to a folder that was not to be seen")
	}
	drop()
	queue.Await(t, "the copy", func() bool { return exists(filepath.Join(dir, "a.txt")) })
}

func TestAPathThatIsNotThereStaysToBeMendedAndIsNoStepBack(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "sub", "a.txt"), "a")
	core.OpenLocal(dir)
	p := w.connect.local
	queue.Await(t, "the folder", func() bool { return p.path == dir })
	p.past = nil
	w.focusOn(p.table)
	p.typePath()
	p.address.SetText(filepath.Join(dir, "missing"))
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the failure", func() bool { return core.Local().Err != "" && p.stamp == core.Local().Stamp })
	if p.address.Text != filepath.Join(dir, "missing") || w.Canvas().Focused() != fyne.Focusable(p.address) {
		t.Errorf("the path is %q, the keyboard on %T", p.address.Text, w.Canvas().Focused())
	}
	if !p.back.Disabled() {
		t.Error("there is a way back to the folder that is shown")
	}
	p.address.SetText("sub") // below the folder that is shown
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the other folder", func() bool { return p.path == filepath.Join(dir, "sub") })
	if w.Canvas().Focused() != fyne.Focusable(p.table) {
		t.Errorf("the keyboard is on %T", w.Canvas().Focused())
	}
	p.goTo(p.path)
	p.goBack()
	queue.Await(t, "the way back", func() bool { return p.path == dir })
	if !p.back.Disabled() || p.forward.Disabled() {
		t.Errorf("back %v, forward %v", p.past, p.next)
	}
}

// TestAFolderAboveShowsWhereOneCameFrom goes up by each of the ways there are.
func TestAFolderAboveShowsWhereOneCameFrom(t *testing.T) {
	w, core, queue, local, _ := onServer(t, func(local, remote string) {
		for _, dir := range []string{local, remote} {
			for _, name := range []string{"a", "b/in/deep", "c"} {
				if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	c := w.connect
	for _, side := range []struct {
		p    *pane
		root string
	}{{c.local, local}, {c.remote, "/"}} {
		p := side.p
		for name, up := range map[string]func(){
			"Back":       func() { p.goBack() },
			"breadcrumb": func() { p.crumbs.open(side.root) },
			"typed path": func() { p.address.OnEnter(side.root) },
		} {
			p.goTo(side.root)
			queue.Await(t, "the folder", func() bool { return p.path == side.root && core.Remote().Doing == "" })
			choose(w, p, "c")
			p.goTo(p.join("b/in"))
			queue.Await(t, "the folder within", func() bool { return p.base(p.path) == "in" && core.Remote().Doing == "" })
			up()
			queue.Await(t, "the folder above", func() bool { return p.path == side.root && core.Remote().Doing == "" })
			if got := p.rows.at(p.table.Cursor()).Name; got != "b" {
				t.Errorf("%s, %s: the current row is %q", p.title, name, got)
			}
		}
	}
}

func TestTryingItLeavesTheHistoryOfAConnectedTab(t *testing.T) {
	w, core, queue, _, _ := onServer(t, func(_, remote string) { put(t, filepath.Join(remote, "d", "x"), "x") })
	c := w.connect
	c.remote.goTo("/d")
	queue.Await(t, "the folder", func() bool { return c.remote.path == "/d" && core.Remote().Doing == "" })
	w.registry.Run("connect.try")
	queue.Await(t, "a tab of its own", func() bool {
		all, _ := core.Tabs()
		return len(all) == 2 && c.remote.rows.Len() > 0 && core.Remote().Doing == ""
	})
	w.registry.Run("tab.previous")
	if c.remote.path != "/d" || len(c.remote.past) != 1 {
		t.Errorf("the first tab shows %q, with %v to go back to", c.remote.path, c.remote.past)
	}
}

func TestWithoutAServerItsPaneSaysWhatToDo(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	c := w.connect
	if !c.remote.refresh.Disabled() || !c.remote.up.Disabled() {
		t.Error("there is nothing to refresh")
	}
	w.focusOn(c.remote.table)
	c.remote.typePath()
	uitest.Type(w, "/pub")
	if uitest.Key(w, fyne.KeyReturn); !strings.Contains(c.line.String(), "Connect to a server first") {
		t.Errorf("it says %q", c.line.String())
	}
}

// Sizes that a server makes up do not add up to nothing.
func TestSizesOfNonsenseAreSummedToTheMost(t *testing.T) {
	var l listing
	huge := client.Entry{Type: client.File, Size: math.MaxInt64}
	a, b := huge, huge
	a.Name, b.Name = "a", "b"
	entries := []client.Entry{a, b}
	l.set(app.Folder{Path: "/", Entries: entries, Names: app.NamesOf(entries)}, false)
	if l.sum.bytes != math.MaxInt64 || l.sum.files != 2 {
		t.Errorf("%+v", l.sum)
	}
}

// Host, Tab, user, Tab, password: so it goes in other clients, and who types without looking would press a button between.
func TestTabGoesFromTheAddressToTheUserAndThePassword(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	c := w.connect
	w.focusOn(c.address)
	for _, want := range []fyne.Focusable{c.user, c.password} {
		w.Canvas().FocusNext()
		if got := w.Canvas().Focused(); got != want {
			t.Fatalf("Tab leads to %T %v", got, got)
		}
	}
}
