package ui

import (
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/ui/kit"
)

// editList is the dialog of remote files that are open in programs of this computer.
type editList struct {
	c      *connect
	dialog *kit.Dialog
	table  *kit.Table
	object fyne.CanvasObject
	all    []app.Edit
	drawn  drawn
	asked  map[uint64]*kit.Dialog // conflicts
	upload *kit.Button
	reload *kit.Button
	open   *kit.Button
	end    *kit.Button
}

func newEditList(c *connect) *editList {
	l := &editList{c: c, asked: map[uint64]*kit.Dialog{}}
	t := kit.NewTable(
		kit.Column{ID: "file", Title: "File", Flex: true, Min: 120},
		kit.Column{ID: "server", Title: "Server", Width: 140},
		kit.Column{ID: "state", Title: "State", Width: 330},
	)
	t.Label, t.Single = "Open files", true
	t.Length = func() int { return len(l.all) }
	t.Key = func(i int) string { return strconv.FormatUint(l.all[i].ID, 10) }
	t.Cell = func(i, col int) kit.Cell {
		e := l.all[i]
		switch col {
		case 0:
			return kit.Cell{Text: connlog.Printable(e.Remote), Icon: kit.IconColored(kit.IconEdit, kit.ColorMuted)}
		case 1:
			return kit.Cell{Text: connlog.Printable(e.Server.Host)}
		}
		text, color := editWords(e)
		return kit.Cell{Text: text, Color: color}
	}
	t.SetEmpty(kit.Empty{Text: "No file of a server is open.", Hint: "F4 opens a file of the server in this computer's program for it; when it is saved, it is uploaded again."})
	t.OnActivated = func(int) { l.openAgain() }
	t.OnSelectionChanged = l.buttons
	t.OnKey = func(ev *fyne.KeyEvent) bool {
		if ev.Name == fyne.KeyDelete {
			l.close()
			return true
		}
		return false // the commands belong to what is under the dialog
	}
	l.table = t
	l.open = kit.NewButton("Open", l.openAgain)
	l.upload = kit.NewButton("Upload mine", func() { l.with(func(e app.Edit) { c.w.app.UploadEdit(e.ID) }) })
	l.upload.Tip = "Upload the file as it is here, over what the server has"
	l.reload = kit.NewButton("Take the server's", func() { l.with(func(e app.Edit) { c.w.app.ReloadEdit(e.ID) }) })
	l.reload.Tip = "Download the server's file in place of yours, which is kept beside it"
	l.end = kit.NewButton("Stop watching", l.close)
	l.object = kit.VBox(kit.Gap, kit.Grow(kit.NewFlushCard(t)), kit.HBox(kit.Gap, l.open, l.upload, l.reload, l.end, kit.Space()))
	l.buttons()
	return l
}

func editWords(e app.Edit) (string, fyne.ThemeColorName) {
	switch e.Phase {
	case app.EditDownloading:
		return "Downloading", ""
	case app.EditUploading:
		return "Uploading", ""
	case app.EditConflict:
		return "Changed here and on the server: choose one", kit.ColorWarn
	case app.EditFailed:
		return e.Err, kit.ColorBad
	}
	if e.Uploads == 0 {
		return "Open; uploaded when it is saved", ""
	}
	return "Uploaded " + count(e.Uploads, "time", "times"), kit.ColorGood
}

func (l *editList) with(do func(app.Edit)) {
	if row := l.table.Cursor(); row >= 0 && row < len(l.all) {
		do(l.all[row])
	}
}

func (l *editList) openAgain() {
	l.with(func(e app.Edit) {
		if e.Local != "" {
			l.c.w.openFile(e.Local)
		}
	})
}

func (l *editList) close() {
	l.with(func(e app.Edit) { l.c.w.app.EndEdit(e.ID) })
}

func (l *editList) buttons() {
	some := l.table.Cursor() >= 0 && l.table.Cursor() < len(l.all)
	var e app.Edit
	if some {
		e = l.all[l.table.Cursor()]
	}
	enable(l.open, e.Local != "")
	enable(l.upload, e.Local != "")
	enable(l.reload, e.Local != "")
	enable(l.end, some)
}

// show opens the dialog.
func (l *editList) show() {
	l.dialog = &kit.Dialog{
		Title: "Files being edited", Content: l.object, Width: 700, Height: 260, Focus: l.table,
		Buttons: []kit.DialogButton{{Text: "Close", Cancel: true}},
	}
	l.dialog.Show(l.c.w)
	l.refresh()
}

// status says how many files are open, and whether one waits for the person.
func (l *editList) status() string {
	if len(l.all) == 0 {
		return ""
	}
	text := count(len(l.all), "file", "files") + " open"
	waiting := 0
	for _, e := range l.all {
		if e.Phase == app.EditConflict || e.Phase == app.EditFailed {
			waiting++
		}
	}
	if waiting > 0 {
		text += fmt.Sprintf(", %d not uploaded", waiting)
	}
	return text
}

// refresh brings the list in line, and asks about conflicts.
func (l *editList) refresh() {
	l.all = l.c.w.app.Edits()
	l.drawn.redraw(l.table)
	l.buttons()
	there := map[uint64]bool{}
	for _, e := range l.all {
		if e.Phase == app.EditConflict {
			there[e.ID] = true
			if l.asked[e.ID] == nil {
				l.asked[e.ID] = l.ask(e)
			}
		}
	}
	for id, d := range l.asked {
		if !there[id] {
			d.Close()
			delete(l.asked, id)
		}
	}
}

func (l *editList) ask(e app.Edit) *kit.Dialog {
	a := l.c.w.app
	d := &kit.Dialog{
		Title: shorten(connlog.Printable(path.Base(e.Remote)), 50) + " has changed on the server, too", Width: 480,
		Content: kit.NewParagraph("You saved it here, and since you opened it somebody changed or deleted it on the server. Nothing has been written over. " +
			"If you take the server's, yours is kept beside it."),
		Buttons: []kit.DialogButton{
			{Text: "Decide later", Cancel: true, Default: true},
			{Text: "Take the server's", Run: func() bool { a.ReloadEdit(e.ID); return true }},
			{Text: "Upload mine", Style: kit.Danger, Run: func() bool { a.UploadEdit(e.ID); return true }},
		},
	}
	d.Show(l.c.w)
	return d
}

// openFile opens a file of this computer with the program that the system has for it.
func (w *Window) openFile(name string) {
	err := w.opener(fileURL(name))
	switch {
	case errors.Is(err, exec.ErrNotFound): // on Linux a program of its own knows which one opens what
		kit.Message(w, "The file could not be opened", "This computer lacks xdg-open, which finds the program for a file. It comes with the package xdg-utils. The file lies here: "+name)
	case err != nil:
		kit.Message(w, "The file could not be opened", app.Sentence(err))
	}
}

// fileURL is the address of a file of this computer (RFC 8089). Before a drive's letter stands a slash, too: else it would be
// a host.
func fileURL(name string) *url.URL {
	name = filepath.ToSlash(name)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	return &url.URL{Scheme: "file", Path: name}
}

// edit opens what is chosen with the system's program: a file of the server is downloaded, watched, and uploaded again when
// it has changed.
func (c *connect) edit() {
	p, dir := c.active, c.active.path
	for _, e := range p.selected() {
		if e.Type != client.File && e.Type != client.Link {
			continue
		}
		if p.local {
			c.mayRun(e.Name, func() { c.w.openFile(filepath.Join(dir, e.Name)) })
		} else {
			c.editFile(dir, e)
		}
	}
}

// editFile opens a file of the current tab's server.
func (c *connect) editFile(dir string, e client.Entry) {
	c.mayRun(e.Name, func() {
		c.w.app.EditRemote(dir, e, func(name string) error {
			c.w.post(func() { c.w.openFile(name) })
			return nil
		})
		kit.ShowNote(c.object, "Opening "+shorten(connlog.Printable(e.Name), 50)+"; it is uploaded when it is saved")
	})
}

// mayRun asks before a file is opened that may be a program.
func (c *connect) mayRun(name string, open func()) {
	if app.RunsPrograms(name) {
		kit.Confirm(c.w, "Open a program?", connlog.Printable(name)+" may be a program: opening it can run it. Open only what you trust.", "Open", true, open)
		return
	}
	open()
}

func (c *connect) editCommands() []kit.Command {
	files := func() bool {
		if c.w.screen != "connect" || !c.usable(c.active) || c.active.chosen() == 0 || c.active.chosen() > 20 {
			return false
		}
		for _, e := range c.active.selected() {
			if e.Type == client.File || e.Type == client.Link {
				return true
			}
		}
		return false
	}
	return []kit.Command{
		{ID: "pane.edit", Title: "Open or edit", Keys: []string{"F4"}, Group: "Files", Icon: kit.IconEye, Enabled: files, Run: c.edit},
		{ID: "edit.list", Title: "Files being edited…", Keys: []string{"Ctrl+O"}, Group: "Files", Enabled: func() bool { return c.w.screen == "connect" }, Run: c.edits.show},
	}
}
