package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"fyne.io/fyne/v2"
	homedir "github.com/mitchellh/go-homedir"
)

// ChooseFolder asks for an existing folder of this computer, beginning at start, and hands its absolute path to run. Paths
// that are typed may begin with ~.
func ChooseFolder(w fyne.Window, start string, run func(path string)) *Dialog {
	return Chooser{Post: fyne.Do}.Folder(w, start, run)
}

// ChooseSave asks where to save a file, beginning with the path of a proposed file, and hands the absolute path to run. It
// asks before an existing file is replaced.
func ChooseSave(w fyne.Window, proposed string, run func(path string)) *Dialog {
	return Chooser{Post: fyne.Do}.Save(w, proposed, run)
}

// ExpandPath makes a path that a person typed absolute: ~ is the home folder, and what is not absolute lies in base.
func ExpandPath(path, base string) (string, error) {
	path, err := homedir.Expand(strings.TrimSpace(path))
	if err != nil {
		return "", fmt.Errorf("the home folder of %q: %w", path, err)
	}
	if path == "" {
		path = base
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	return filepath.Abs(path)
}

// Chooser makes the dialogs of [ChooseFolder] and [ChooseSave]. Folders are read away from the UI goroutine, and what was
// read comes back through Post.
type Chooser struct {
	Post Post
	// Hidden has [Chooser.Files] show names that begin with a dot from the beginning.
	Hidden bool
}

// Folder is [ChooseFolder].
func (c Chooser) Folder(w fyne.Window, start string, run func(path string)) *Dialog {
	ch := newChooserDialog(w, c.Post, "Choose a folder", chooseThis, start)
	ch.table.OnSelectionChanged = ch.nameChoice
	ch.accept = func() bool {
		dir, ok := ch.typedDir()
		switch {
		case !ok:
		case dir != ch.dir:
			ch.open(dir)
		case !ch.read: // it is on its way
		case ch.chosen() != ch.dir:
			ch.ifReadable(ch.chosen(), func(dir string) { ch.dialog.Close(); run(dir) })
		default:
			ch.dialog.Close()
			run(dir)
		}
		return false
	}
	ch.begin(nil)
	return ch.dialog
}

const chooseThis = "Choose this folder"

// chosen is the folder that is chosen in the list, or else the one that is shown.
func (ch *chooserDialog) chosen() string {
	if rows := ch.table.Selected(); len(rows) == 1 {
		return filepath.Join(ch.dir, ch.entries[rows[0]].name)
	}
	return ch.dir
}

// nameChoice has the button say which folder it is about, for the one shown and the one chosen in it are easily confused.
func (ch *chooserDialog) nameChoice() {
	name := filepath.Base(ch.chosen())
	if utf8.RuneCountInString(name) > 32 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		ch.dialog.NameDefault(chooseThis)
		return
	}
	ch.dialog.NameDefault("Choose “" + name + "”")
}

// ifReadable goes on with dir when it can be read.
func (ch *chooserDialog) ifReadable(dir string, goOn func(dir string)) {
	ch.try(dir+" can't be opened", func() error { _, err := readFolder(ch.ctx, dir); return err }, func() { goOn(dir) })
}

// try does something with the disk, off the toolkit's goroutine, and goes on when that went well; else it says what failed.
func (ch *chooserDialog) try(what string, do func() error, goOn func()) {
	go func() {
		err := do()
		ch.post(func() {
			switch {
			case ch.ctx.Err() != nil:
			case err != nil:
				ch.fail(fmt.Errorf("%s: %w", what, plainError(err)))
			default:
				goOn()
			}
		})
	}()
}

// Save is [ChooseSave].
func (c Chooser) Save(w fyne.Window, proposed string, run func(path string)) *Dialog {
	dir, file := filepath.Split(proposed)
	ch := newChooserDialog(w, c.Post, "Save as", "Save", dir)
	ch.files = true
	ch.name = NewEntry()
	ch.name.SetText(file)
	ch.accept = func() bool {
		if dir, ok := ch.typedDir(); !ok {
			return false
		} else if dir != ch.dir {
			ch.open(dir)
			return false
		}
		name := strings.TrimSpace(ch.name.Text)
		if name == "" {
			ch.fail(errors.New("type a name for the file"))
			return false
		}
		path, err := ExpandPath(name, ch.dir)
		if err != nil {
			ch.fail(err)
			return false
		}
		ch.ifFree(path, func() {
			ch.dialog.Close()
			run(path)
		})
		return false
	}
	ch.begin(ch.name)
	selectStem(ch.name, true)
	return ch.dialog
}

// ifFree goes on when nothing has the path yet, or when the person says that it may be replaced.
func (ch *chooserDialog) ifFree(path string, goOn func()) {
	go func() {
		info, err := os.Stat(path)
		ch.post(func() {
			switch {
			case ch.ctx.Err() != nil:
			case errors.Is(err, fs.ErrNotExist):
				goOn()
			case err != nil:
				ch.fail(fmt.Errorf("%s can't be written: %w", path, plainError(err)))
			case info.IsDir():
				ch.open(path)
			default:
				Confirm(ch.w, "Replace the file?", filepath.Base(path)+" exists already. What it holds now will be lost.",
					"Replace", true, goOn)
			}
		})
	}()
}

type chooserEntry struct {
	name string
	dir  bool
}

type chooserDialog struct {
	w       fyne.Window
	post    Post
	dialog  *Dialog
	button  string
	dir     string
	read    bool           // dir was read: it exists
	all     []chooserEntry // what the folder holds
	entries []chooserEntry // what is shown of it
	files   bool           // show files too
	hidden  *Check
	address *Entry
	name    *Entry // of the file to save; nil in the folder chooser
	table   *Table
	problem *FlowText
	accept  func() bool
	cancel  context.CancelFunc // ends the reading under way
	ctx     context.Context
	close   context.CancelFunc
}

func newChooserDialog(w fyne.Window, post Post, title, button, start string) *chooserDialog {
	ch := &chooserDialog{w: w, post: post, button: button, address: NewEntry(), problem: NewMutedParagraph(" ")}
	ch.ctx, ch.close = context.WithCancel(context.Background())
	ch.dialog = &Dialog{Title: title, Width: 560, Height: 380, Post: post, OnClosed: ch.close}
	ch.dir = startDir(start)
	ch.hidden = NewCheck("Show hidden", func(bool) { ch.filter() })
	ch.address.OnEnter = func(string) { ch.dialog.Accept() }
	ch.address.OnArrow = func(down bool) {
		if down {
			FocusOn(ch.table)
		}
	}
	ch.table = NewTable(Column{Title: "Name", Flex: true})
	ch.table.Single, ch.table.HideHeader, ch.table.Label = true, true, "Folders"
	ch.table.Length = func() int { return len(ch.entries) }
	ch.table.Key = func(row int) string { return ch.entries[row].name }
	folder, file := IconColored(IconFolder, ColorClient), IconColored(IconFile, ColorMuted)
	ch.table.Cell = func(row, _ int) Cell {
		e := ch.entries[row]
		if e.dir {
			return Cell{Text: e.name, Icon: folder}
		}
		if ch.opens() {
			return Cell{Text: e.name, Icon: file} // it can be chosen
		}
		return Cell{Text: e.name, Icon: file, Color: ColorMuted}
	}
	ch.table.OnActivated = func(row int) {
		if e := ch.entries[row]; e.dir {
			ch.open(filepath.Join(ch.dir, e.name))
		} else {
			ch.dialog.Accept()
		}
	}
	ch.table.OnCursorChanged = func(row int) {
		if e := ch.entries[row]; ch.name != nil && !e.dir {
			ch.name.SetText(e.name)
		}
	}
	ch.table.OnBackspace = ch.up
	return ch
}

// startDir is start as an absolute path, or the home folder.
func startDir(start string) string {
	home, err := homedir.Dir()
	if err != nil {
		home = string(filepath.Separator)
	}
	dir, err := ExpandPath(start, home)
	if err != nil {
		return home
	}
	return dir
}

// opens says that files that are there are chosen: no folder has to be made for that.
func (ch *chooserDialog) opens() bool { return ch.files && ch.name == nil }

// begin shows the dialog with the keyboard on focus; nil: the list.
func (ch *chooserDialog) begin(focus fyne.Focusable) {
	up := NewIconButton(IconUp, "The folder above (Backspace)", ch.up)
	home := NewIconButton(IconHome, "Home folder", func() { ch.open(startDir("~")) })
	top := HBox(6, Grow(ch.address), up, home)
	list := newBox(Pad(1, 1, 1, 1, ch.table), "background", ColorPanelBorder, Radius)
	parts := []fyne.CanvasObject{top, Grow(list), HBox(Gap, ch.hidden, Grow(ch.problem))}
	if ch.name != nil {
		parts = append([]fyne.CanvasObject{Field("Name", ch.name)}, parts...)
	}
	ch.dialog.Content = VBox(8, parts...)
	ch.dialog.Focus = focus
	if focus == nil {
		ch.dialog.Focus = ch.table
	}
	ch.dialog.Buttons = []DialogButton{
		{Text: "Cancel", Cancel: true},
		{Text: ch.button, Style: Primary, Default: true, Run: func() bool { return ch.accept() }},
	}
	if !ch.opens() {
		ch.dialog.Buttons = append([]DialogButton{{Text: "New folder…", Left: true, Run: func() bool { ch.newFolder(); return false }}}, ch.dialog.Buttons...)
	}
	ch.dialog.OnKey = func(ev *fyne.KeyEvent) bool {
		if ev.Name == fyne.KeyF7 && !ch.opens() {
			ch.newFolder()
			return true
		}
		return false
	}
	ch.dialog.Show(ch.w)
	ch.list(ch.dir, true)
}

// typedDir is the folder that the address names.
func (ch *chooserDialog) typedDir() (string, bool) {
	dir, err := ExpandPath(ch.address.Text, ch.dir)
	if err != nil {
		ch.fail(err)
		return "", false
	}
	return dir, true
}

func (ch *chooserDialog) fail(err error) {
	ch.problem.SetSpans(Span{Text: err.Error(), Color: ColorBad})
}

func (ch *chooserDialog) up() {
	if parent := filepath.Dir(ch.dir); parent != ch.dir {
		ch.open(parent)
	}
}

// open reads dir and shows it when it could be read.
func (ch *chooserDialog) open(dir string) { ch.list(dir, false) }

// list is [chooserDialog.open]; with orAbove it shows the nearest folder above that can be read in the place of one that can't.
func (ch *chooserDialog) list(dir string, orAbove bool) {
	if ch.cancel != nil {
		ch.cancel()
	}
	ctx, cancel := context.WithCancel(ch.ctx)
	ch.cancel = cancel
	ch.problem.SetText("Reading the folder…")
	go func() {
		shown := dir
		entries, err := readFolder(ctx, shown)
		problem := err
		for orAbove && err != nil && ctx.Err() == nil && filepath.Dir(shown) != shown {
			shown = filepath.Dir(shown)
			entries, err = readFolder(ctx, shown)
		}
		ch.post(func() {
			defer cancel()
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				ch.show(shown, entries)
			}
			if problem != nil {
				ch.fail(fmt.Errorf("%s can't be opened: %w", dir, plainError(problem)))
			}
		})
	}()
}

// show shows a folder that was read, with the one that was shown before as the current row.
func (ch *chooserDialog) show(dir string, entries []chooserEntry) {
	from := filepath.Base(ch.dir)
	ch.dir, ch.all, ch.read = dir, entries, true
	ch.address.SetText(dir)
	ch.problem.SetText(" ")
	ch.table.ClearSelection()
	ch.filter()
	ch.table.ScrollTo(0)
	takeOver := ch.table.OnCursorChanged
	ch.table.OnCursorChanged = nil // the name is the person's, or the proposed one, until a file is chosen
	ch.table.SetCursor(max(0, slices.IndexFunc(ch.entries, func(e chooserEntry) bool { return e.name == from })))
	ch.table.OnCursorChanged = takeOver
	if !ch.files {
		ch.table.ClearSelection() // a folder is chosen by a person
	}
}

func (ch *chooserDialog) filter() {
	ch.entries = ch.entries[:0]
	for _, e := range ch.all {
		if (e.dir || ch.files) && (ch.hidden.Checked || !strings.HasPrefix(e.name, ".")) {
			ch.entries = append(ch.entries, e)
		}
	}
	empty := Empty{Text: "No folders here.", Hint: "Choose it, or make a new one in it."}
	if ch.opens() {
		empty = Empty{Text: "No files here."}
		if len(ch.all) > 0 {
			empty.Hint = "Those whose name begins with a dot are hidden: tick Show hidden."
		}
	}
	ch.table.SetEmpty(empty)
	ch.table.Refresh()
}

func (ch *chooserDialog) newFolder() {
	Prompt(ch.w, PromptOptions{Title: "New folder", Label: "Name", OK: "Make folder", Validate: func(name string) error {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) {
			return errors.New("type a name without slashes")
		}
		return nil
	}}, func(name string) {
		dir := filepath.Join(ch.dir, name)
		ch.try("the folder "+name+" can't be made", func() error { return os.Mkdir(dir, 0o755) }, func() { ch.open(dir) })
	})
}

// plainError leaves out the operation and the path that the sentence around names already.
func plainError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readFolder lists a folder, folders first, and gives up between two portions when ctx ends.
func readFolder(ctx context.Context, dir string) ([]chooserEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []chooserEntry
	for {
		portion, err := f.ReadDir(512)
		for _, e := range portion {
			isDir := e.IsDir()
			if e.Type()&fs.ModeSymlink != 0 {
				if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
					isDir = info.IsDir()
				}
			}
			entries = append(entries, chooserEntry{e.Name(), isDir})
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(entries, func(a, b chooserEntry) int {
		if a.dir != b.dir {
			if a.dir {
				return -1
			}
			return 1
		}
		if c := strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	return entries, nil
}
