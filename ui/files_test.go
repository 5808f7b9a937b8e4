package ui

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/localserver"
	"portside/ui/kit"
	"portside/ui/uitest"
)

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// onServer is the window with the root of a writable server over remote in the right pane, and local in the left one.
func onServer(t *testing.T, fill func(local, remote string)) (w *Window, core *app.App, queue *uitest.Queue, local, remote string) {
	t.Helper()
	w, core, queue = testWindow(t, 1280, 800)
	local, remote = t.TempDir(), t.TempDir()
	fill(local, remote)
	core.ChangeSettings(func(s *app.Settings) {
		s.Share.Folder, s.Share.Port, s.Share.UseRange, s.Share.Write, s.Share.TLS = remote, 0, false, true, localserver.TLSOff // at any free port
	})
	core.StartShare()
	queue.Await(t, "the server", func() bool { return core.Share().Phase == app.Running })
	core.OpenLocal(local)
	w.connect.open(fmt.Sprintf("ftp://127.0.0.1:%d/", core.Share().Addr.Port()))
	queue.Await(t, "both folders", func() bool {
		return w.connect.local.path == local && w.connect.remote.path == "/" && core.Remote().Doing == ""
	})
	return w, core, queue, local, remote
}

// choose selects entries of a pane and makes it the active one.
func choose(w *Window, p *pane, names ...string) {
	w.focusOn(p.table)
	p.table.SetSelected(names)
}

func shownNames(p *pane) string {
	var out []string
	for i := range p.rows.Len() {
		out = append(out, p.rows.at(i).Name)
	}
	return strings.Join(out, " ")
}

func exists(name string) bool { _, err := os.Lstat(name); return err == nil }

func TestFilterAndHiddenFilesLeaveOutAndSaySo(t *testing.T) {
	w, _, queue, _, _ := onServer(t, func(_, remote string) {
		for _, n := range []string{".profile", "a.jpg", "b.JPG", "notes.txt"} {
			put(t, filepath.Join(remote, n), "x")
		}
	})
	p := w.connect.remote
	choose(w, p, "a.jpg")
	w.registry.Run("pane.filter")
	uitest.Type(w, "*.jpg")
	if got := shownNames(p); got != "a.jpg b.JPG" || p.filterCount.Text != "2 of 4" {
		t.Errorf("%q, %q", got, p.filterCount.Text)
	}
	uitest.Shot(t, w, "filter")
	uitest.Key(w, fyne.KeyEscape)
	if got := shownNames(p); got != ".profile a.jpg b.JPG notes.txt" || w.Canvas().Focused() != fyne.Focusable(p.table) {
		t.Errorf("after Escape: %q, focus on %T", got, w.Canvas().Focused())
	}
	w.registry.Run("pane.hidden")
	if got := shownNames(p); got != "a.jpg b.JPG notes.txt" || !strings.Contains(p.summary(), "1 hidden") {
		t.Errorf("hidden files are shown: %q, %q", got, p.summary())
	}
	w.registry.Run("pane.hidden")
	queue.Drain()
	if !strings.HasPrefix(shownNames(p), ".profile") {
		t.Error("hidden files don't come back")
	}
}

// TestAFilterShowsItsFirstMatchesAndItsEndWhatWasChosen types a filter far down a long listing, and ends it.
func TestAFilterShowsItsFirstMatchesAndItsEndWhatWasChosen(t *testing.T) {
	w, _, _, _, _ := onServer(t, func(_, remote string) {
		for i := range 200 {
			put(t, filepath.Join(remote, fmt.Sprintf("%c%03d", 'a'+i%2, i)), "x")
		}
	})
	p := w.connect.remote
	choose(w, p, "b199")
	w.registry.Run("pane.filter")
	uitest.Type(w, "a")
	if first, _ := p.table.Seen(); first != 0 {
		t.Errorf("the first match is out of sight: row %d is the first that is seen", first)
	}
	choose(w, p, "a198")
	p.endFilter()
	first, last := p.table.Seen()
	if row := p.rows.find("a198"); row < first || row > last {
		t.Errorf("what was chosen is out of sight: row %d of %d to %d", row, first, last)
	}
}

func TestColumnsAreChosenAndRemembered(t *testing.T) {
	w, core, _, _, _ := onServer(t, func(string, string) {})
	p := w.connect.remote
	p.table.SortBy(1)
	for _, item := range p.columnMenu().Items {
		if item.Label == "Size" || item.Label == "Owner" {
			item.Action()
		}
	}
	if got := strings.Join(p.shown, " "); got != "name time rights owner" {
		t.Errorf("%q", got)
	}
	if col, _ := p.table.Sort(); col != 0 || p.rows.by != byName {
		t.Errorf("it is sorted by a column that is gone: %d, %s", col, p.rows.by)
	}
	set := core.Settings().Connect.RemotePane
	q := newPane("AGAIN", false)
	q.restoreColumns(set)
	if got := strings.Join(q.shown, " "); got != "name time rights owner" {
		t.Errorf("remembered: %q", got)
	}
}

func TestDeletingAFolderCountsFirst(t *testing.T) {
	w, _, queue, _, remote := onServer(t, func(_, remote string) {
		put(t, filepath.Join(remote, "d", "one"), "12345")
		put(t, filepath.Join(remote, "d", "sub", "two"), "12345")
	})
	choose(w, w.connect.remote, "d")
	uitest.Key(w, fyne.KeyDelete)
	queue.Await(t, "the count", func() bool { return strings.Contains(dialogText(w), "2 files in 2 folders, 10 bytes") })
	uitest.Shot(t, w, "delete")
	if !exists(filepath.Join(remote, "d")) {
		t.Fatal("it was deleted without a yes")
	}
	pressButton(t, w, "Delete")
	queue.Await(t, "it is gone", func() bool { return !exists(filepath.Join(remote, "d")) && shownNames(w.connect.remote) == "" })
}

func TestRenamingInPlaceRefusesANameThatIsTaken(t *testing.T) {
	w, _, queue, _, remote := onServer(t, func(_, remote string) {
		put(t, filepath.Join(remote, "a.txt"), "a")
		put(t, filepath.Join(remote, "b.txt"), "b")
	})
	p := w.connect.remote
	choose(w, p, "a.txt")
	uitest.Key(w, fyne.KeyF2)
	entry, ok := w.Canvas().Focused().(*kit.Entry)
	if !ok {
		t.Fatalf("the focus is on %T", w.Canvas().Focused())
	}
	if got := entry.SelectedText(); got != "a" {
		t.Errorf("%q is selected", got)
	}
	uitest.Shot(t, w, "rename")
	entry.SetText("b.txt")
	uitest.Key(w, fyne.KeyReturn)
	if !p.table.Editing() {
		t.Fatal("a name that is taken was accepted")
	}
	entry.SetText("c.txt")
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the new name", func() bool { return exists(filepath.Join(remote, "c.txt")) && shownNames(p) == "b.txt c.txt" })
	if e := p.selected(); len(e) != 1 || e[0].Name != "c.txt" {
		t.Errorf("%v is selected", e)
	}
	if b, _ := os.ReadFile(filepath.Join(remote, "b.txt")); string(b) != "b" {
		t.Errorf("b.txt holds %q", b)
	}
	choose(w, p, "c.txt")
	uitest.Key(w, fyne.KeyF2)
	uitest.Type(w, "zzz")
	uitest.Key(w, fyne.KeyEscape)
	if p.table.Editing() || !exists(filepath.Join(remote, "c.txt")) {
		t.Error("Escape did not give up")
	}
}

func TestRightsBoxesAndOctalFollowEachOther(t *testing.T) {
	w, _, queue, _, remote := onServer(t, func(_, remote string) {
		put(t, filepath.Join(remote, "d", "x"), "x")
		put(t, filepath.Join(remote, "y"), "y")
	})
	g := newRightsGrid("Files", 0o644)
	g.boxes[8].SetChecked(true)
	if g.octal.Text != "645" || g.mode != 0o645 {
		t.Errorf("box: %s, %o", g.octal.Text, g.mode)
	}
	g.octal.SetText("700")
	if g.mode != 0o700 || !g.boxes[2].Checked || g.boxes[8].Checked {
		t.Errorf("octal: %o", g.mode)
	}
	if g.octal.SetText("9"); g.valid() {
		t.Error("9 is valid")
	}
	choose(w, w.connect.remote, "d", "y")
	w.registry.Run("pane.rights")
	uitest.Shot(t, w, "rights")
	checks := find[*kit.Check](w)
	for _, c := range checks {
		if strings.HasPrefix(c.Text, "Also") {
			c.SetChecked(true)
		}
	}
	entries := find[*kit.Entry](w)
	entries[0].SetText("600")
	entries[1].SetText("711")
	pressButton(t, w, "Set rights")
	want := map[string]os.FileMode{"d": 0o711, "d/x": 0o600, "y": 0o600}
	queue.Await(t, "the rights", func() bool {
		for name, mode := range want {
			if info, err := os.Stat(filepath.Join(remote, name)); err != nil || info.Mode().Perm() != mode {
				return false
			}
		}
		return true
	})
}

func TestPropertiesCountAndCommandsAnswer(t *testing.T) {
	w, _, queue, _, _ := onServer(t, func(_, remote string) { put(t, filepath.Join(remote, "d", "x"), "1234") })
	choose(w, w.connect.remote, "d")
	w.registry.Run("pane.properties")
	queue.Await(t, "the contents", func() bool { return strings.Contains(dialogText(w), "1 file, 4 bytes") })
	if text := dialogText(w); !strings.Contains(text, "ftp://127.0.0.1") || !strings.Contains(text, "/%2Fd") {
		t.Errorf("no URL: %s", text)
	}
	uitest.Shot(t, w, "properties")
	uitest.Key(w, fyne.KeyEscape)
	w.registry.Run("pane.raw")
	uitest.Type(w, "SITE HELP")
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the answer", func() bool { return strings.Contains(dialogText(w), "214") })
	uitest.Type(w, "LIST")
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the refusal", func() bool { return strings.Contains(dialogText(w), "data channel, which") })
	uitest.Shot(t, w, "raw")
	uitest.Key(w, fyne.KeyEscape)
}

func TestCutPasteAndDraggingMove(t *testing.T) {
	w, core, queue, local, remote := onServer(t, func(local, remote string) {
		put(t, filepath.Join(remote, "a.txt"), "a")
		put(t, filepath.Join(remote, "to", "x"), "x")
		put(t, filepath.Join(local, "here.txt"), "h")
		put(t, filepath.Join(local, "sub", "y"), "y")
	})
	c := w.connect
	choose(w, c.remote, "a.txt")
	w.registry.Run("pane.cut")
	c.remote.goTo("/to")
	queue.Await(t, "the folder", func() bool { return c.remote.path == "/to" && core.Remote().Doing == "" })
	w.registry.Run("pane.paste")
	queue.Await(t, "it is moved", func() bool {
		return exists(filepath.Join(remote, "to", "a.txt")) && !exists(filepath.Join(remote, "a.txt"))
	})

	at := func(p *pane, name string) fyne.Position {
		uitest.Settle(w)
		base := fyne.CurrentApp().Driver().AbsolutePositionForObject(p.table)
		return base.AddXY(40, kit.RowHeight*float32(p.rows.find(name)+1)+kit.RowHeight/2)
	}
	row := c.local.rows.find("here.txt")
	c.drag(c.local, []int{row}, at(c.local, "sub"))
	uitest.Shot(t, w, "drag")
	c.drop(c.local, []int{row}, at(c.local, "sub"))
	queue.Await(t, "it is moved here", func() bool {
		return exists(filepath.Join(local, "sub", "here.txt")) && !exists(filepath.Join(local, "here.txt"))
	})
	queue.Await(t, "it is listed", func() bool { return c.local.rows.find("here.txt") < 0 && c.remote.rows.find("a.txt") >= 0 })
	row = c.remote.rows.find("a.txt")
	c.drop(c.remote, []int{row}, at(c.local, "sub"))
	queue.Await(t, "it is downloaded", func() bool { return exists(filepath.Join(local, "sub", "a.txt")) })
	if !exists(filepath.Join(remote, "to", "a.txt")) {
		t.Error("a download took the source away")
	}
	c.dropPaths([]string{filepath.Join(local, "sub", "y")}, fyne.NewPos(at(c.remote, "x").X, at(c.remote, "x").Y))
	queue.Await(t, "it is uploaded", func() bool { return exists(filepath.Join(remote, "to", "y")) })
}

func TestTabsKeepWhatTheyShow(t *testing.T) {
	w, core, queue, _, _ := onServer(t, func(_, remote string) { put(t, filepath.Join(remote, "d", "x"), "x") })
	c := w.connect
	url := c.address.Text
	w.registry.Run("tab.new")
	queue.Drain()
	if c.address.Text != "" || c.remote.path != "" || !c.tabs.outer.Visible() {
		t.Errorf("a new tab shows %q, %q", c.address.Text, c.remote.path)
	}
	c.open(url)
	queue.Await(t, "the second tab", func() bool { return c.remote.path == "/" && core.Remote().Doing == "" })
	c.remote.goTo("/d")
	queue.Await(t, "its folder", func() bool { return c.remote.path == "/d" && core.Remote().Doing == "" })
	uitest.Shot(t, w, "tabs")
	if b := c.tabs.buttons[0].show; !strings.Contains(b.Tip, "Connected") || b.On {
		t.Errorf("the first tab says %q, on %v", b.Tip, b.On)
	}
	under := c.tabs.buttons[0].show
	w.registry.Run("tab.next")
	c.remote.open("/")
	c.refresh()
	if now := c.tabs.buttons[0].show; now != under || !now.On {
		t.Error("a click on the tab would be lost")
	}
	queue.Await(t, "the listing", func() bool { return core.Remote().Doing == "" })
	if c.remote.path != "/" || len(c.remote.past) != 0 {
		t.Errorf("the first tab shows %q, with %v to go back to", c.remote.path, c.remote.past)
	}
	w.registry.Run("tab.next")
	if c.remote.path != "/d" || len(c.remote.past) != 1 {
		t.Errorf("the second tab shows %q, with %v to go back to", c.remote.path, c.remote.past)
	}
	w.registry.Run("tab.close")
	if c.remote.path != "/" || c.tabs.outer.Visible() {
		t.Errorf("left over: %q", c.remote.path)
	}
}

func TestComparingMarksBothSidesAndLinkedBrowsingFollows(t *testing.T) {
	old := time.Now().Add(-48 * time.Hour)
	w, core, queue, local, _ := onServer(t, func(local, remote string) {
		for _, n := range []string{"same", "longer", "older", "sub/x"} {
			put(t, filepath.Join(local, n), "12")
			put(t, filepath.Join(remote, n), "12")
		}
		put(t, filepath.Join(remote, "longer"), "12345")
		put(t, filepath.Join(local, "mine"), "1")
		if err := os.Chtimes(filepath.Join(local, "older"), old, old); err != nil {
			t.Fatal(err)
		}
	})
	c := w.connect
	said := func(p *pane, name string) string { return markWords[p.mark(p.rows.find(name))] }
	w.registry.Run("compare.time")
	if a, b, m := said(c.local, "older"), said(c.remote, "older"), said(c.local, "mine"); a != "older" || b != "newer" || m != "only here" {
		t.Errorf("by time: %s, %s, %s", a, b, m)
	}
	w.registry.Run("compare.size")
	if a, b := said(c.local, "longer"), said(c.remote, "same"); a != "differs" || b != "same" {
		t.Errorf("by size: %s, %s", a, b)
	}
	uitest.Shot(t, w, "compare")
	w.registry.Run("compare.different")
	if got := shownNames(c.remote); got != "sub longer" {
		t.Errorf("only different: %q", got)
	}
	w.registry.Run("compare.linked")
	c.remote.goTo("/sub")
	queue.Await(t, "both sides follow", func() bool {
		return c.remote.path == "/sub" && c.local.path == filepath.Join(local, "sub") && core.Remote().Doing == ""
	})
	w.focusOn(c.local.table)
	c.local.goUp()
	queue.Await(t, "the server's side follows", func() bool { return c.remote.path == "/" && c.local.path == local })
	if err := os.Mkdir(filepath.Join(local, "lone"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.local.goTo(filepath.Join(local, "lone"))
	queue.Await(t, "the server has no such folder", func() bool { return core.Remote().Err != "" && c.local.path != local })
	c.local.goBack()
	queue.Await(t, "the failure goes", func() bool { return core.Remote().Err == "" && c.local.path == local && core.Remote().Doing == "" })
	c.local.goUp()
	queue.Await(t, "it ends outside", func() bool { return c.linked == nil && c.local.path == filepath.Dir(local) })
	if c.remote.path != "/" {
		t.Errorf("the server shows %s", c.remote.path)
	}
}

// TestAHundredThousandEntries sorts, filters and scrolls a pane of 100,000 entries, logs how long that takes (a busy machine
// can't be held to a clock), and holds it to its order and its memory.
func TestAHundredThousandEntries(t *testing.T) {
	const n = 100_000
	entries := make([]client.Entry, n)
	before := heap()
	for i := range entries {
		// Out of order, as no server sends it.
		entries[i] = client.Entry{
			Name: fmt.Sprintf("Picture %08x of the holidays.jpg", uint32(i)*2654435761), Type: client.EntryType(i % 50 / 49),
			Size: int64(i * 7919 % 1_000_003), Time: time.Unix(1_700_000_000+int64(i*31%n), 0), Rights: "rw-r--r--", Owner: "alice",
		}
	}
	uitest.App(t, kit.Dark)
	p := newPane("REMOTE", false)
	p.focused, p.tab, p.key, p.menu = func() {}, func() {}, func(*fyne.KeyEvent) bool { return false }, func(fyne.Position) {}
	win := uitest.Window(t, p.object, 620, 500)
	timed := func(what string, do func()) {
		t.Helper()
		begin := time.Now()
		do()
		t.Logf("%-28s %v", what, time.Since(begin).Round(100*time.Microsecond))
	}
	half, all := app.NamesOf(entries[:n/2]), app.NamesOf(entries) // where the folder is read
	timed("show the first half", func() {
		p.show(app.Folder{Path: "/big", Entries: entries[:n/2], Names: half, Stamp: 1, Loading: true}, false)
	})
	timed("show the rest", func() { p.show(app.Folder{Path: "/big", Entries: entries, Names: all, Stamp: 2}, false) })
	if p.rows.Len() != n+1 {
		t.Fatalf("%d rows", p.rows.Len())
	}
	rank := make([]int, n)
	for place, i := range all.Order {
		rank[i] = place
	}
	check := func() {
		t.Helper()
		rows := &p.rows
		for at := 1; at < len(rows.view); at++ {
			a, b := &rows.entries[rows.view[at-1]], &rows.entries[rows.view[at]]
			column := map[order]int{byName: 0, bySize: cmp.Compare(a.Size, b.Size), byTime: a.Time.Compare(b.Time),
				byRights: strings.Compare(a.Rights, b.Rights), byOwner: strings.Compare(a.Owner, b.Owner)}[rows.by]
			column = cmp.Or(column, cmp.Compare(rank[rows.view[at-1]], rank[rows.view[at]]))
			if rows.desc {
				column = -column
			}
			if af, bf := a.Type == client.Folder, b.Type == client.Folder; bf && !af || af == bf && column > 0 {
				t.Fatalf("rows %d and %d are out of order: %+v, %+v", at-1, at, a, b)
			}
		}
	}
	check()
	for _, col := range append([]int{0}, indexes(p.shown)...) {
		for range 2 { // up and down
			timed("sort by "+p.shown[col], func() { p.table.SortBy(col) })
			check()
		}
	}
	timed("filter", func() { p.rows.filter = "abc"; p.arrange() })
	timed("filter by pattern", func() { p.rows.filter = "*7*.jpg"; p.arrange() })
	p.rows.filter = ""
	p.arrange()
	timed("select all", p.table.SelectAll)
	timed("the selection's size", func() { p.selection() })
	p.table.ClearSelection()
	win.Canvas().Focus(p.table)
	timed("type ahead", func() { uitest.Type(win, "picture ffff") })
	timed("scroll through 1000 pages", func() {
		for i := range 1000 {
			p.table.ScrollTo(i * 100)
		}
	})
	total := heap() - before
	t.Logf("memory: %d bytes an entry, %.1f MB in all", total/n, float64(total)/1e6)
	if total/n > 600 {
		t.Errorf("an entry takes %d bytes", total/n)
	}
	runtime.KeepAlive(entries)
}

func indexes(list []string) (out []int) {
	for i := range list {
		out = append(out, i)
	}
	return out
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestASelectionIsSummedOnlyWhenItHasChanged(t *testing.T) {
	uitest.App(t, kit.Dark)
	p := newPane("REMOTE", false)
	p.focused, p.tab, p.key, p.menu = func() {}, func() {}, func(*fyne.KeyEvent) bool { return false }, func(fyne.Position) {}
	uitest.Window(t, p.object, 620, 500)
	entries := []client.Entry{{Name: "a", Size: 1 << 10}, {Name: "b", Size: 1 << 10}, {Name: "c", Size: 3 << 10}}
	p.show(app.Folder{Path: "/x", Entries: entries, Stamp: 1}, false)
	looks, key := 0, p.table.Key
	p.table.Key = func(row int) string { looks++; return key(row) }
	p.table.SelectAll()
	if got := p.selection(); got != "3 selected, 5 KiB" { // without the folder above
		t.Errorf("it says %q", got)
	}
	before := looks
	if p.selection(); looks != before {
		t.Errorf("saying it again takes %d looks at rows", looks-before)
	}
	p.table.SetSelected([]string{"c"})
	if got := p.selection(); got != "1 selected, 3 KiB" {
		t.Errorf("after another choice it says %q", got)
	}
	p.show(app.Folder{Path: "/x", Entries: []client.Entry{{Name: "c", Size: 4 << 10}}, Stamp: 2}, false)
	if got := p.selection(); got != "1 selected, 4 KiB" {
		t.Errorf("after the file has grown it says %q", got)
	}
}

func TestAFolderIsSharedFromItsMenu(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	local := t.TempDir()
	put(t, filepath.Join(local, "Holiday", "x.jpg"), "x")
	put(t, filepath.Join(local, "notes.txt"), "x")
	core.OpenLocal(local)
	queue.Await(t, "the folder", func() bool { return w.connect.local.path == local })
	offered := func() bool { return !w.registry.Menu("pane.share").Items[0].Disabled }
	choose(w, w.connect.local, "notes.txt")
	if offered() {
		t.Error("a file is offered as a folder to share")
	}
	choose(w, w.connect.local, "Holiday")
	if !offered() {
		t.Fatal("a folder can't be shared")
	}
	w.registry.Run("pane.share")
	if got, want := core.Settings().Share.Folder, filepath.Join(local, "Holiday"); got != want || w.screen != "share" {
		t.Errorf("%q on the screen %s, want %q", got, w.screen, want)
	}
	if core.Share().Phase != app.Stopped {
		t.Error("it is shared before anybody has said for whom")
	}
}
