package ui

import (
	"fmt"
	"strings"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client/transfer"
	"portside/connlog"
	"portside/ui/kit"
)

// syncDialog makes the folders of the two panes alike: which way, what would be done, and then does it.
type syncDialog struct {
	w      *Window
	dialog *kit.Dialog
	way    *kit.Select
	remove *kit.Check
	except *kit.Entry
	local  string
	remote string
	line   *kit.FlowText
	table  *kit.Table
	shown  app.Sync
	drawn  bool
}

const (
	syncCompare = "Compare"
	syncRun     = "Synchronize"
)

// newSync opens the dialog for the folders of the two panes.
func newSync(w *Window, local, remote string) *syncDialog {
	under := w.app.Sync()
	running := under.Phase == app.SyncRunning
	if running { // the dialog was closed meanwhile: it is shown, not ended
		local, remote = under.Plan.Local, under.Plan.Remote
	} else {
		w.app.CancelSync()
	}
	s := &syncDialog{w: w, local: local, remote: remote}
	s.way = kit.NewSelect([]string{"Make the local folder like the server's", "Make the server's folder like the local one"}, func(int) { s.stale() })
	s.way.ShowSelected(0)
	if running && under.Plan.Direction == transfer.Upload {
		s.way.ShowSelected(1)
	}
	s.remove = kit.NewCheck("Delete what the other side does not have", func(bool) { s.stale() })
	if running {
		s.remove.ShowChecked(under.Plan.Delete)
	}
	s.except = kit.NewEntry()
	s.except.SetPlaceHolder("Left alone on both sides, for instance *.tmp; .git/; cache/*")
	s.except.SetText(joinPatterns(w.app.Settings().Connect.SyncExclude))
	if running {
		s.except.SetText(joinPatterns(under.Plan.Exclude))
	}
	s.except.OnChanged = func(string) { s.except.SetInvalid(false); s.stale() }
	s.except.OnEnter = func(string) { s.compare() }
	s.line = kit.NewFlowText(kit.Span{Text: "Compare first: what would be done is listed here, and nothing is changed.", Color: kit.ColorMuted})
	s.table = kit.NewTable(
		kit.Column{ID: "what", Title: "What", Width: 130}, kit.Column{ID: "name", Title: "Name", Flex: true, Min: 160},
		kit.Column{ID: "why", Title: "Why", Width: 140}, kit.Column{ID: "size", Title: "Size", Width: 80, Align: fyne.TextAlignTrailing})
	s.table.Label = "What would be done"
	s.table.TypeColumn = 1
	s.table.Length = func() int {
		if s.shown.Plan == nil {
			return 0
		}
		return len(s.shown.Plan.Changes)
	}
	s.table.Cell = s.cell
	s.table.SetEmpty(kit.Empty{Text: "Nothing is planned."})
	row := func(label, text string) fyne.CanvasObject {
		return kit.HBox(kit.Gap, kit.FixedWidth(110, kit.NewMutedLabel(label)), kit.Grow(kit.NewLabel(connlog.Printable(text))))
	}
	s.dialog = &kit.Dialog{
		Title: "Synchronize folders", Width: 680, Height: 400, Focus: s.way,
		Content: kit.VBox(kit.Gap, row("This computer", local), row("Server", remote),
			kit.HBox(kit.Gap, kit.FixedWidth(320, s.way), s.remove, kit.Space()),
			kit.HBox(kit.Gap, kit.FixedWidth(110, kit.NewMutedLabel("Exclude")), kit.Grow(s.except)), s.line, kit.Grow(s.table)),
		Buttons: []kit.DialogButton{
			{Text: syncCompare, Left: true, Style: kit.Primary, Default: true, Run: s.compare},
			{Text: "Close", Cancel: true},
			{Text: syncRun, Run: s.run},
		},
		OnClosed: func() {
			if w.app.Sync().Phase != app.SyncRunning {
				w.app.CancelSync()
			}
			w.connect.syncing = nil
		},
	}
	s.dialog.Show(w)
	s.dialog.SetEnabled(syncRun, false)
	return s
}

// stale forgets a plan that was made for other choices.
func (s *syncDialog) stale() {
	if s.shown.Phase != app.SyncRunning {
		s.w.app.CancelSync()
	}
}

func (s *syncDialog) compare() bool {
	m := transfer.Mirror{Local: s.local, Remote: s.remote, Delete: s.remove.Checked, Exclude: splitPatterns(s.except.Text)}
	if s.way.Selected == 1 {
		m.Direction = transfer.Upload
	}
	if err := m.Check(); err != nil {
		s.except.SetInvalid(true)
		s.line.SetSpans(kit.Span{Text: connlog.Capital(err.Error()) + ".", Color: kit.ColorBad})
		return false
	}
	s.w.app.CompareFolders(m)
	return false
}

// splitPatterns reads what the person typed: patterns between semicolons.
func splitPatterns(text string) (patterns []string) {
	for p := range strings.SplitSeq(text, ";") {
		if p = strings.TrimSpace(p); p != "" {
			patterns = append(patterns, p)
		}
	}
	return patterns
}

func joinPatterns(patterns []string) string { return strings.Join(patterns, "; ") }

// run asks once more when something would be deleted.
func (s *syncDialog) run() bool {
	p := s.shown.Plan
	if s.shown.Phase != app.SyncReady || p == nil {
		return false
	}
	if n := p.Deletes(); n > 0 {
		where := "on this computer"
		if p.Direction == transfer.Upload {
			where = "on the server"
		}
		last := ""
		if p.Copies() > 0 && p.Cleans() > 0 {
			last = " What the other side does not have goes last, and only when all is copied."
		}
		kit.Confirm(s.w, "Delete?", fmt.Sprintf("%s %s will be deleted for good.%s", connlog.Capital(count(n, "file or folder", "files and folders")), where, last), "Synchronize", true, s.w.app.RunSync)
		return false
	}
	s.w.app.RunSync()
	return false
}

func (s *syncDialog) refresh() {
	now := s.w.app.Sync()
	if s.drawn && now == s.shown {
		return
	}
	s.drawn, s.shown = true, now
	text, color := "Compare first: what would be done is listed here, and nothing is changed.", kit.ColorMuted
	switch now.Phase {
	case app.SyncComparing:
		text = fmt.Sprintf("Comparing: %s read…", count(now.Folders, "folder", "folders"))
	case app.SyncReady:
		p := now.Plan
		text = fmt.Sprintf("%d to copy (%s), %d to delete, %d the same.", p.Copies(), connlog.Bytes(p.Bytes), p.Deletes(), p.Same)
		if len(p.Changes) == 0 {
			text = fmt.Sprintf("Nothing to do: %s the same.", count(p.Same, "file is", "files are"))
		}
		if p.Excluded > 0 {
			text += fmt.Sprintf(" %s excluded.", connlog.Capital(count(p.Excluded, "file or folder is", "files and folders are")))
		}
		if n := len(p.Skipped); n > 0 {
			text += fmt.Sprintf(" %s left out, the first: %v.", count(n, "entry is", "entries are"), p.Skipped[0])
		}
	case app.SyncRunning:
		text = "Making folders…"
		if now.Plan.Copies() == 0 {
			text = "Making folders and deleting…"
		}
	case app.SyncDone:
		text, color = now.Result, kit.ColorGood
	case app.SyncFailed:
		text, color = now.Err, kit.ColorBad
	}
	s.line.SetSpans(kit.Span{Text: text, Color: color})
	s.dialog.SetEnabled(syncCompare, now.Phase != app.SyncComparing && now.Phase != app.SyncRunning)
	planned := now.Phase == app.SyncReady && len(now.Plan.Changes) > 0
	s.dialog.SetEnabled(syncRun, planned)
	if planned {
		s.dialog.SetDefault(syncRun)
	} else {
		s.dialog.SetDefault(syncCompare)
	}
	empty := kit.Empty{Text: "Nothing is planned."}
	if now.Phase == app.SyncReady {
		empty.Text = "Nothing has to be done."
	}
	s.table.SetEmpty(empty)
	s.table.Refresh()
	s.dialog.Refresh()
}

func (s *syncDialog) cell(i, col int) kit.Cell {
	c := s.shown.Plan.Changes[i]
	switch col {
	case 0:
		icon, color := kit.IconDownload, kit.ColorMuted
		switch {
		case c.Kind == transfer.Delete, c.Kind == transfer.DeleteFolder:
			icon, color = kit.IconDelete, kit.ColorBad
		case c.Kind == transfer.MakeFolder:
			icon = kit.IconFolderNew
		case s.shown.Plan.Direction == transfer.Upload:
			icon = kit.IconUpload
		}
		return kit.Cell{Text: connlog.Capital(c.Kind.String()), Icon: kit.IconColored(icon, color)}
	case 1:
		name := c.Rel
		if name == "" {
			name = "the folder itself"
		}
		return kit.Cell{Text: connlog.Printable(name)}
	case 2:
		return kit.Cell{Text: c.Why}
	}
	if c.Kind == transfer.Copy {
		return kit.Cell{Text: connlog.Bytes(c.Size)}
	}
	return kit.Cell{}
}
