package kit_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"

	"portside/ui/kit"
	"portside/ui/uitest"
)

const ctrl = fyne.KeyModifierShortcutDefault

func TestAKeyRunsTheFirstEnabledCommand(t *testing.T) {
	r := kit.NewRegistry()
	var ran []string
	screen := "connect"
	add := func(id, key string, enabled func() bool) {
		r.Add(kit.Command{ID: id, Title: id, Keys: strings.Fields(key), Enabled: enabled, Run: func() { ran = append(ran, id) }})
	}
	add("connect.refresh", "F5", func() bool { return screen == "connect" })
	add("share.refresh", "F5 Ctrl+R", func() bool { return screen == "share" })
	add("address", "Ctrl+L", nil)
	add("copy", "Ctrl+C", nil)
	add("menu", "Shift+F10", nil)
	add("enter", "Enter", nil)

	hit := func(name fyne.KeyName, mods fyne.KeyModifier, want bool) {
		t.Helper()
		if got := r.HandleKey(name, mods); got != want {
			t.Errorf("HandleKey(%s, %v) = %v", name, mods, got)
		}
	}
	hit(fyne.KeyF5, 0, true)
	screen = "share"
	hit(fyne.KeyF5, 0, true)
	hit(fyne.KeyF5, ctrl, false)
	hit(fyne.KeyL, 0, false)
	hit(fyne.KeyL, ctrl, true)
	hit(fyne.KeyF10, fyne.KeyModifierShift, true)
	hit(fyne.KeyEnter, 0, true)
	screen = "learn"
	hit(fyne.KeyF5, 0, false)
	if !r.HandleShortcut(&fyne.ShortcutCopy{}) || !r.HandleShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyL, Modifier: ctrl}) {
		t.Error("shortcuts of Fyne's own kinds are not understood")
	}
	if r.Run("share.refresh") || r.Run("nothing") || !r.Run("address") {
		t.Error("Run does not look at what is enabled")
	}
	want := []string{"connect.refresh", "share.refresh", "address", "menu", "enter", "copy", "address", "address"}
	if !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
}

func TestMenusAndHelpComeFromTheCommands(t *testing.T) {
	uitest.App(t, kit.Dark)
	r := kit.NewRegistry()
	ran := 0
	r.Add(
		kit.Command{ID: "open", Title: "Open", Keys: []string{"Ctrl+O"}, Group: "File", Run: func() { ran++ }},
		kit.Command{ID: "down", Title: "Download", Keys: []string{"F6"}, Group: "Remote", Enabled: func() bool { return false }, Run: func() { ran++ }, Icon: kit.IconDownload},
		kit.Command{ID: "next", Title: "Next pane", Keys: []string{"Ctrl+Tab"}, Group: "File", Run: func() {}},
	)
	menu := r.Menu("open", "-", "down")
	menu.Items[0].Action()
	if len(menu.Items) != 3 || !menu.Items[1].IsSeparator || ran != 1 || menu.Items[0].Disabled || !menu.Items[2].Disabled {
		t.Errorf("the context menu is %+v", menu.Items)
	}
	var lines []string
	for _, l := range r.Help() {
		lines = append(lines, l.Group+" "+l.Title+" "+strings.Join(l.Keys, " "))
	}
	want := []string{"File Open " + kit.KeyLabel("Ctrl+O"), "File Next pane " + kit.KeyLabel("Ctrl+Tab"), "Remote Download F6"}
	if !slices.Equal(lines, want) {
		t.Errorf("help is %q, want %q", lines, want)
	}
}

func TestHelpNamesAKeyOfTwoScreensOnce(t *testing.T) {
	r := kit.NewRegistry()
	for _, c := range []kit.Command{
		{ID: "connect.find", Title: "Find", Group: "View", Keys: []string{"F3"}},
		{ID: "share.find", Title: "Find", Group: "View", Keys: []string{"F3"}},
		{ID: "share.more", Title: "Find more", Group: "View", Keys: []string{"F3"}},
	} {
		c.Run = func() {}
		r.Add(c)
	}
	if lines := r.Help(); len(lines) != 2 {
		t.Errorf("help is %+v", lines)
	}
}

func TestTheWindowsKeysReachTheRegistryFromAFocusedEntry(t *testing.T) {
	uitest.App(t, kit.Dark)
	entry := kit.NewEntry()
	w := uitest.Window(t, entry, 200, 60)
	r := kit.NewRegistry()
	var ran []string
	for _, k := range []string{"F5", "Escape", "Delete"} {
		r.Add(kit.Command{ID: k, Title: k, Keys: []string{k}, Run: func() { ran = append(ran, k) }})
	}
	r.Attach(w)
	w.Canvas().Focus(entry)
	for _, k := range []fyne.KeyName{fyne.KeyF5, fyne.KeyDelete, fyne.KeyEscape} { // Delete is the entry's own
		uitest.Key(w, k)
	}
	if want := []string{"F5", "Escape"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	d := kit.Message(w, "Told", "Something.")
	uitest.Key(w, fyne.KeyF5)
	d.Close()
	if len(ran) != 2 {
		t.Error("a command ran behind an open dialog")
	}
}

func TestSlipsInCommandsAreFoundAtOnce(t *testing.T) {
	for name, c := range map[string]kit.Command{"key": {ID: "x", Keys: []string{"Hyper+Q"}}, "twice": {ID: "a"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			r := kit.NewRegistry()
			r.Add(kit.Command{ID: "a"})
			r.Add(c)
		}()
	}
}

func TestAWatcherShowsManyChangesAsFew(t *testing.T) {
	queue := uitest.NewQueue()
	var version atomic.Uint64
	refreshed, seen := 0, uint64(0)
	w := kit.Watch(context.Background(), queue.Post, 200, version.Load, func() {
		refreshed++
		seen = version.Load()
	})
	queue.Await(t, "the first refresh", func() bool { return refreshed == 1 })
	for range 10_000 {
		version.Add(1)
	}
	queue.Await(t, "the change", func() bool { return seen == 10_000 })
	if refreshed > 3 {
		t.Errorf("%d refreshes for one burst", refreshed)
	}

	w.SetVisible(false)
	w.Wake() // it looks once more, and sees that nobody does
	before := refreshed
	version.Add(1)
	w.SetVisible(true)
	queue.Await(t, "what changed while hidden", func() bool { return seen == 10_001 })
	if refreshed != before+1 {
		t.Errorf("%d refreshes after it was shown again", refreshed-before)
	}

	version.Add(1)
	w.Wake()
	w.Stop()
	queue.Drain()
	if seen != 10_001 && seen != 10_002 {
		t.Errorf("seen %d", seen)
	}
	n := refreshed
	version.Add(1)
	w.Wake()
	if queue.Drain(); refreshed != n {
		t.Error("a stopped watcher refreshes")
	}
}
