package kit_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"
	homedir "github.com/mitchellh/go-homedir"

	"portside/ui/kit"
	"portside/ui/uitest"
)

func newWindow(t *testing.T) fyne.Window {
	t.Helper()
	uitest.App(t, kit.Dark)
	return uitest.Window(t, kit.NewLabel("behind"), 900, 640)
}

func TestEnterAndEscapeAnswerADialogFromAnywhere(t *testing.T) {
	w := newWindow(t)
	for _, c := range []struct {
		name   string
		danger bool
		keys   []fyne.KeyName
		ran    bool
		open   bool
	}{
		{name: "Enter takes the default", keys: []fyne.KeyName{fyne.KeyReturn}, ran: true},
		{name: "the keypad's Enter too", keys: []fyne.KeyName{fyne.KeyEnter}, ran: true},
		{name: "Escape cancels", keys: []fyne.KeyName{fyne.KeyEscape}},
		{name: "Enter does not do what is dangerous", danger: true, keys: []fyne.KeyName{fyne.KeyReturn}},
		{name: "other keys do nothing", keys: []fyne.KeyName{fyne.KeyF5, fyne.KeyDelete}, open: true},
	} {
		for _, focused := range []bool{true, false} {
			ran, behind := false, false
			w.Canvas().SetOnTypedKey(func(*fyne.KeyEvent) { behind = true })
			d := kit.Confirm(w, "Delete?", "It will be gone.", "Delete", c.danger, func() { ran = true })
			if !focused {
				w.Canvas().Unfocus()
			}
			for _, k := range c.keys {
				uitest.Key(w, k)
			}
			if ran != c.ran || d.Open() != c.open || behind {
				t.Errorf("%s (focused %v): ran %v, open %v, window behind got keys %v", c.name, focused, ran, d.Open(), behind)
			}
			d.Close()
			uitest.Key(w, fyne.KeyF5)
			if !behind {
				t.Errorf("%s: after the dialog the window does not get its keys again", c.name)
			}
		}
	}
}

func TestAnEntryInADialogLeavesEnterAndEscapeToIt(t *testing.T) {
	w := newWindow(t)
	entry := kit.NewEntry()
	accepted := 0
	d := &kit.Dialog{Title: "Name", Content: entry, Focus: entry, Buttons: []kit.DialogButton{
		{Text: "OK", Default: true, Run: func() bool { accepted++; return false }},
	}}
	d.Show(w)
	uitest.Type(w, "x")
	uitest.Key(w, fyne.KeyReturn)
	if entry.Text != "x" || accepted != 1 || !d.Open() {
		t.Errorf("text %q, accepted %d, open %v", entry.Text, accepted, d.Open())
	}
	uitest.Key(w, fyne.KeyEscape) // no button cancels: Escape closes
	if d.Open() {
		t.Error("Escape left the dialog open")
	}
}

func TestTabGoesRoundInsideADialog(t *testing.T) {
	w := newWindow(t)
	d := kit.Confirm(w, "Go?", "Now.", "Go", false, func() {})
	first := w.Canvas().Focused()
	w.Canvas().FocusNext()
	second := w.Canvas().Focused()
	w.Canvas().FocusNext()
	if first == second || w.Canvas().Focused() != first {
		t.Errorf("Tab went %v, %v, %v", first, second, w.Canvas().Focused())
	}
	d.Close()
	if len(w.Canvas().Overlays().List()) != 0 {
		t.Error("the dialog is still there")
	}
}

func TestADialogThatClosesLeavesTheOnesAboveIt(t *testing.T) {
	w := newWindow(t)
	behind := 0
	w.Canvas().SetOnTypedKey(func(*fyne.KeyEvent) { behind++ })
	below := kit.Confirm(w, "Below?", "First.", "Yes", false, func() {})
	entry, answers := kit.NewEntry(), 0
	above := &kit.Dialog{Title: "Above", Content: entry, Focus: entry, Buttons: []kit.DialogButton{
		{Text: "OK", Default: true, Run: func() bool { answers++; return false }}, {Text: "Cancel", Cancel: true},
	}}
	above.Show(w)
	third := kit.Confirm(w, "On top?", "Third.", "Yes", false, func() { answers += 10 })
	below.Close()
	if n := len(w.Canvas().Overlays().List()); n != 2 || !above.Open() || !third.Open() {
		t.Fatalf("%d dialogs stand, open: %v and %v", n, above.Open(), third.Open())
	}
	uitest.Key(w, fyne.KeyReturn)
	if answers != 10 || third.Open() {
		t.Errorf("Enter was not heard by the dialog on top: %d", answers)
	}
	w.Canvas().Focus(entry)
	uitest.Type(w, "y")
	uitest.Key(w, fyne.KeyReturn)
	if answers != 11 || entry.Text != "y" {
		t.Errorf("the dialog above does not hear its keys: %d, %q", answers, entry.Text)
	}
	uitest.Key(w, fyne.KeyEscape)
	if above.Open() || behind != 0 {
		t.Errorf("Escape left it open %v, the window behind got %d keys", above.Open(), behind)
	}
	if uitest.Key(w, fyne.KeyF5); behind != 1 {
		t.Error("after the dialogs the window does not get its keys again")
	}
}

func TestAQuestionKeepsTheKeyboardWhenTheOneBelowGoes(t *testing.T) {
	w := newWindow(t)
	below := kit.Confirm(w, "Below?", "First.", "Yes", false, func() {})
	entry := kit.NewEntry()
	above := &kit.Dialog{Title: "Above", Content: entry, Focus: entry}
	above.Show(w)
	uitest.Type(w, "a")
	below.Close()
	if uitest.Type(w, "b"); entry.Text != "ab" {
		t.Errorf("typed a and b, and there is %q", entry.Text)
	}
	above.Close()
}

func TestWhatLiesUnderADialogShowsTheFocusOnlyWhenItHasTheKeyboard(t *testing.T) {
	uitest.App(t, kit.Dark)
	table := kit.NewTable(kit.Column{Title: "Name", Flex: true})
	told := 0
	table.OnFocus = func(bool) { told++ }
	w := uitest.Window(t, table, 900, 640)
	w.Canvas().Focus(table)
	told = 0
	first := kit.Message(w, "One", "Text")
	second := kit.Message(w, "Two", "Text")
	if table.Focused() {
		t.Error("the table shows the focus under a dialog")
	}
	first.Close()
	if table.Focused() {
		t.Error("the table shows the focus under the dialog that is left")
	}
	second.Close()
	if !table.Focused() || w.Canvas().Focused() != table || told != 0 {
		t.Errorf("after the dialogs the table shows the focus: %t; it was told %d times", table.Focused(), told)
	}
}

func TestTabLeadsFromAPasswordToTheNextFieldAndAKeyShowsIt(t *testing.T) {
	w := newWindow(t)
	password, again, accepted := kit.NewPasswordEntry(), kit.NewPasswordEntry(), false
	d := &kit.Dialog{Title: "Password", Content: kit.VBox(8, password, again), Focus: password, Buttons: []kit.DialogButton{
		{Text: "OK", Default: true, Run: func() bool { accepted = true; return false }},
	}}
	d.Show(w)
	defer d.Close()
	uitest.Type(w, "a")
	w.Canvas().FocusNext()
	uitest.Type(w, "b")
	uitest.Key(w, fyne.KeyReturn)
	if password.Text != "a" || again.Text != "b" || !accepted || !password.Password || !again.Password {
		t.Errorf("typed %q and %q, accepted %v, hidden %v and %v", password.Text, again.Text, accepted, password.Password, again.Password)
	}
	w.Canvas().FocusPrevious()
	if w.Canvas().Focused() != fyne.Focusable(password) {
		t.Errorf("Shift+Tab went to %T", w.Canvas().Focused())
	}
	for _, hidden := range []bool{false, true} {
		password.TypedShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyV, Modifier: fyne.KeyModifierAlt})
		if password.Password != hidden || again.Password != true {
			t.Errorf("Alt+V: hidden %v, the other %v", password.Password, again.Password)
		}
	}
	password.ActionItem.(fyne.Tappable).Tapped(nil)
	if password.Password {
		t.Error("a click on the eye does not show the password")
	}
}

func TestPromptTakesOnlyWhatIsValid(t *testing.T) {
	w := newWindow(t)
	got := ""
	d := kit.Prompt(w, kit.PromptOptions{
		Title: "Rename", Text: "a.tar.gz", OK: "Rename", Stem: true,
		Validate: func(s string) error {
			if strings.Contains(s, "/") {
				return errors.New("a name has no slash")
			}
			return nil
		},
	}, func(s string) { got = s })
	entry := w.Canvas().Focused().(*kit.Entry)
	if sel := entry.SelectedText(); sel != "a.tar" {
		t.Errorf("selected at first: %q", sel)
	}
	entry.SetText("b/c")
	uitest.Key(w, fyne.KeyReturn)
	if got != "" || !d.Open() {
		t.Errorf("took %q", got)
	}
	entry.SetText("bc")
	uitest.Key(w, fyne.KeyReturn)
	if got != "bc" || d.Open() {
		t.Errorf("took %q, open %v", got, d.Open())
	}
}

// list returns the table of a chooser, which has the focus when it opens.
func list(t *testing.T, w fyne.Window) *kit.Table {
	t.Helper()
	table, ok := w.Canvas().Focused().(*kit.Table)
	if !ok {
		t.Fatalf("the list of folders does not have the focus but %T", w.Canvas().Focused())
	}
	return table
}

func folderTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"alpha/inner", "Beta", ".hidden"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "file.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestAFolderIsChosenWithTheKeyboardAlone(t *testing.T) {
	w := newWindow(t)
	root, queue := folderTree(t), uitest.NewQueue()
	chosen := ""
	d := kit.Chooser{Post: queue.Post}.Folder(w, root, func(path string) { chosen = path })
	table := list(t, w)
	queue.Await(t, "the folder to be read", func() bool { return table.Length() == 2 })
	if a, b := table.Cell(0, 0).Text, table.Cell(1, 0).Text; a != "alpha" || b != "Beta" {
		t.Fatalf("shows %q and %q", a, b)
	}
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "alpha to be read", func() bool { return table.Length() == 1 })
	uitest.Key(w, fyne.KeyBackspace)
	queue.Await(t, "the way back", func() bool { return table.Length() == 2 })
	if table.Cursor() != 0 {
		t.Error("the folder that one came from is not the current row")
	}
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "alpha to be read again", func() bool { return table.Length() == 1 })
	d.Accept()
	if want := filepath.Join(root, "alpha"); chosen != want || d.Open() {
		t.Errorf("chosen %q, want %q; open %v", chosen, want, d.Open())
	}
}

// A click on a folder and then on the button means that folder, and the button says so: what is shared by mistake is the
// folder above with all that is in it.
func TestTheFolderThatIsMarkedIsChosenNotTheOneAroundIt(t *testing.T) {
	w := newWindow(t)
	root, queue := folderTree(t), uitest.NewQueue()
	chosen := ""
	d := kit.Chooser{Post: queue.Post}.Folder(w, root, func(path string) { chosen = path })
	button := func() string { return d.Buttons[len(d.Buttons)-1].Text }
	table := list(t, w)
	queue.Await(t, "the folder to be read", func() bool { return table.Length() == 2 })
	if want := "Choose “" + filepath.Base(root) + "”"; button() != want {
		t.Errorf("nothing is marked, and the button says %q, want %q", button(), want)
	}
	table.SetCursor(1)
	if button() != "Choose “Beta”" {
		t.Errorf("Beta is marked, and the button says %q", button())
	}
	d.Accept()
	queue.Await(t, "the choice", func() bool { return !d.Open() })
	if want := filepath.Join(root, "Beta"); chosen != want {
		t.Errorf("chosen %q, want %q", chosen, want)
	}
}

func TestAMarkedFolderThatCannotBeReadIsNotChosen(t *testing.T) {
	w := newWindow(t)
	root, queue := folderTree(t), uitest.NewQueue()
	chosen := ""
	d := kit.Chooser{Post: queue.Post}.Folder(w, root, func(path string) { chosen = path })
	table := list(t, w)
	queue.Await(t, "the folder to be read", func() bool { return table.Length() == 2 })
	table.SetCursor(1)
	if err := os.Remove(filepath.Join(root, "Beta")); err != nil {
		t.Fatal(err)
	}
	d.Accept()
	queue.Await(t, "the problem", func() bool { return strings.Contains(said(d), "can't be opened: no such file") })
	if chosen != "" || !d.Open() {
		t.Errorf("%s is chosen, and is gone", chosen)
	}
}

// said is the line of problems of a chooser.
func said(d *kit.Dialog) string {
	var line *kit.FlowText
	var find func(o fyne.CanvasObject)
	find = func(o fyne.CanvasObject) {
		switch o := o.(type) {
		case *fyne.Container:
			for _, c := range o.Objects {
				find(c)
			}
		case *kit.FlowText:
			line = o
		}
	}
	find(d.Content)
	return line.String()
}

func TestNoFolderIsMadeWhereAFileIsChosen(t *testing.T) {
	w := newWindow(t)
	offers := func(d *kit.Dialog) bool {
		return slices.ContainsFunc(d.Buttons, func(b kit.DialogButton) bool { return strings.HasPrefix(b.Text, "New folder") })
	}
	queue := uitest.NewQueue()
	files := kit.Chooser{Post: queue.Post}.Files(w, "Open", "Open", folderTree(t), func([]string) {})
	if offers(files) {
		t.Error("a folder can be made in the dialog that opens files")
	}
	files.Close()
	folder := kit.Chooser{Post: queue.Post}.Folder(w, folderTree(t), func(string) {})
	if !offers(folder) {
		t.Error("no folder can be made in the dialog that chooses one")
	}
	folder.Close()
}

func TestAFolderThatCannotBeReadIsSaidAndNotChosen(t *testing.T) {
	w := newWindow(t)
	queue, there, chosen := uitest.NewQueue(), t.TempDir(), ""
	d := kit.Chooser{Post: queue.Post}.Folder(w, filepath.Join(there, "missing", "too"), func(dir string) { chosen = dir })
	if d.Accept(); chosen != "" || !d.Open() {
		t.Fatalf("%s is chosen before it is known to exist", chosen)
	}
	queue.Await(t, "the problem", func() bool { return strings.Contains(said(d), "can't be opened: no such file") })
}

func TestAFolderThatIsGoneBeginsAboveIt(t *testing.T) {
	w := newWindow(t)
	queue, there, chosen := uitest.NewQueue(), t.TempDir(), ""
	d := kit.Chooser{Post: queue.Post}.Folder(w, filepath.Join(there, "missing", "too"), func(dir string) { chosen = dir })
	queue.Await(t, "the folder above", func() bool { d.Accept(); return !d.Open() })
	if chosen != there {
		t.Errorf("chosen %q, want %q", chosen, there)
	}
}

func TestSavingAsksBeforeItReplaces(t *testing.T) {
	w := newWindow(t)
	root, queue := folderTree(t), uitest.NewQueue()
	chosen := ""
	d := kit.Chooser{Post: queue.Post}.Save(w, filepath.Join(root, "file.txt"), func(path string) { chosen = path })
	name := w.Canvas().Focused().(*kit.Entry)
	if name.Text != "file.txt" || name.SelectedText() != "file" {
		t.Fatalf("proposes %q with %q selected", name.Text, name.SelectedText())
	}
	d.Accept()
	queue.Await(t, "the question", func() bool { return len(w.Canvas().Overlays().List()) == 2 })
	uitest.Key(w, fyne.KeyReturn) // the dangerous answer is not the default
	if chosen != "" || !d.Open() {
		t.Fatalf("replaced without an answer: %q, open %v", chosen, d.Open())
	}
	name.SetText("new.txt")
	d.Accept()
	queue.Await(t, "the answer", func() bool { return !d.Open() })
	if want := filepath.Join(root, "new.txt"); chosen != want {
		t.Errorf("chosen %q, want %q", chosen, want)
	}
}

func TestAProposedNameStaysWhenTheFolderHoldsFilesOnly(t *testing.T) {
	w := newWindow(t)
	root, queue := t.TempDir(), uitest.NewQueue()
	if err := os.WriteFile(filepath.Join(root, "other.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kit.Chooser{Post: queue.Post}.Save(w, filepath.Join(root, "new.txt"), func(string) {})
	name := w.Canvas().Focused().(*kit.Entry)
	for range 6 {
		if _, there := w.Canvas().Focused().(*kit.Table); there {
			break
		}
		w.Canvas().FocusNext()
	}
	table := list(t, w)
	queue.Await(t, "the folder to be read", func() bool { return table.Length() == 1 })
	if name.Text != "new.txt" {
		t.Errorf("the name is %q", name.Text)
	}
	if table.OnCursorChanged(0); name.Text != "other.txt" {
		t.Errorf("the name of the file that was chosen is %q", name.Text)
	}
}

func TestTypedPathsMayBeginWithATilde(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	homedir.Reset() // it remembers the home folder
	t.Cleanup(homedir.Reset)
	for in, want := range map[string]string{
		"~":         home,
		"~/Public":  filepath.Join(home, "Public"),
		"sub":       filepath.Join(home, "base", "sub"),
		"":          filepath.Join(home, "base"),
		" ../other": filepath.Join(home, "other"),
		"/a/../b":   filepath.FromSlash("/b"),
	} {
		if got, err := kit.ExpandPath(in, filepath.Join(home, "base")); err != nil || got != want {
			t.Errorf("%q became %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestAButtonLeavesTheKeyboardWhereItWas(t *testing.T) {
	uitest.App(t, kit.Dark)
	entry := kit.NewEntry()
	ran := 0
	button := kit.NewButton("Go", func() { ran++ })
	box := kit.VBox(4, entry, button)
	w := uitest.Window(t, kit.Pad(4, 4, 4, 4, box), 300, 100)
	click := func(during func()) {
		w.Canvas().Focus(entry)
		button.MouseDown(nil)
		w.Canvas().Unfocus() // what Fyne does for a click beside the focused widget
		during()
		button.MouseUp(nil)
		button.Tapped(nil)
	}
	click(func() {})
	if w.Canvas().Focused() != fyne.Focusable(entry) {
		t.Errorf("the focus is on %T", w.Canvas().Focused())
	}
	click(func() { box.Objects = []fyne.CanvasObject{button} })
	if w.Canvas().Focused() != nil {
		t.Errorf("the focus is on %T, which is gone", w.Canvas().Focused())
	}
	ran = 1
	w.Canvas().Focus(button)
	uitest.Key(w, fyne.KeyReturn)
	uitest.Key(w, fyne.KeySpace)
	button.Disable()
	button.Tapped(nil)
	if ran != 3 {
		t.Errorf("ran %d times, want 3", ran)
	}
}

// The mouse leaves a button when a dialog comes above it; what the button says of itself must not stay.
func TestATooltipDoesNotStayBelowADialog(t *testing.T) {
	uitest.App(t, kit.Dark)
	queue := uitest.NewQueue()
	b := kit.NewIconButton(kit.IconCheck, "What it does", nil)
	layers := kit.NewLayers(b, queue.Post)
	defer layers.Close()
	w := uitest.Window(t, layers, 900, 640)
	above := test.WidgetRenderer(layers).Objects()
	tip := above[len(above)-1]
	b.MouseIn(&desktop.MouseEvent{})
	queue.Await(t, "the tooltip", tip.Visible)
	d := kit.Confirm(w, "Delete?", "It will be gone.", "Delete", false, func() {})
	if tip.Visible() {
		t.Error("the tooltip stays while the mouse does") // then nobody hears that it left
	}
	d.Close()
	b.MouseIn(&desktop.MouseEvent{})
	queue.Await(t, "the tooltip", tip.Visible)
	kit.ShowMenu(b, fyne.NewMenu("", fyne.NewMenuItem("One", func() {})), fyne.Position{})
	if tip.Visible() {
		t.Error("the tooltip stays beside a menu")
	}
	uitest.Key(w, fyne.KeyEscape)
	b.MouseIn(&desktop.MouseEvent{})
	queue.Await(t, "the tooltip", tip.Visible)
	d = kit.Confirm(w, "Delete?", "It will be gone.", "Delete", false, func() {})
	b.MouseOut()
	d.Close()
	if tip.Visible() {
		t.Error("the tooltip comes back")
	}
}

func TestTheDefaultButtonCanBecomeAnother(t *testing.T) {
	uitest.App(t, kit.Dark)
	ran := ""
	run := func(name string) func() bool { return func() bool { ran += name; return false } }
	d := &kit.Dialog{Title: "Synchronize", Content: kit.NewLabel(""), Focus: kit.NewEntry(), Buttons: []kit.DialogButton{
		{Text: "Compare", Style: kit.Primary, Default: true, Run: run("c")}, {Text: "Run", Run: run("r")}, {Text: "Delete", Style: kit.Danger},
	}}
	w := uitest.Window(t, kit.NewLabel(""), 400, 300)
	d.Show(w)
	d.Accept()
	d.SetDefault("Run")
	d.Accept()
	if ran != "cr" {
		t.Errorf("Enter ran %q", ran)
	}
	if d.Buttons[0].Style != kit.Plain || d.Buttons[1].Style != kit.Primary || d.Buttons[2].Style != kit.Danger {
		t.Errorf("the buttons look like %v %v %v", d.Buttons[0].Style, d.Buttons[1].Style, d.Buttons[2].Style)
	}
}
