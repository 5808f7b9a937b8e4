package ui

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/ui/kit"
)

// searchPanel is the dialog that searches a server, with what can be done with the hits. Closed and opened again it shows
// the same search, which goes on meanwhile.
type searchPanel struct {
	c      *connect
	object fyne.CanvasObject
	dialog *kit.Dialog

	name, min, max, after, before *kit.Entry
	kind                          *kit.Select
	start                         *kit.Button
	line                          *kit.Label
	table                         *kit.Table
	state                         app.Search
	order                         []int32 // of the hits; nil: as they were found
	shown                         uint64
	actions                       []*kit.Button
}

func newSearchPanel(c *connect) *searchPanel {
	s := &searchPanel{c: c, line: kit.NewMutedLabel("")}
	field := func(hint string) *kit.Entry {
		e := kit.NewEntry()
		e.SetPlaceHolder(hint)
		e.SelectOnFocus = true
		e.OnEnter = func(string) { s.run() }
		return e
	}
	s.name = field("Part of a name, or *.jpg")
	s.min, s.max = field("e.g. 10 MB"), field("any")
	s.after, s.before = field("e.g. 2026-01-31"), field("any")
	s.kind = kit.NewSelect([]string{"Files", "Folders", "Files and folders"}, nil)
	s.start = kit.NewPrimaryButton("Search", s.startOrStop)

	t := kit.NewTable(
		kit.Column{ID: "name", Title: "Name", Flex: true, Min: 120, Sortable: true},
		kit.Column{ID: "folder", Title: "Folder", Width: 260, Sortable: true},
		kit.Column{ID: "size", Title: "Size", Width: 80, Align: fyne.TextAlignTrailing, Sortable: true},
		kit.Column{ID: "time", Title: "Modified", Width: 126, Sortable: true},
	)
	t.Label = "Found"
	t.Length = func() int { return len(s.state.Hits) }
	t.Key = func(i int) string { return s.hit(i).Path() }
	t.Fold = func(i int) string { return strings.ToLower(s.hit(i).Name) }
	t.OnSort = func(int, bool) { s.sort(); t.Refresh() }
	t.Cell = s.cell
	t.SetEmpty(kit.Empty{Text: "Nothing was searched for yet.", Hint: "The search begins in the folder that the remote pane shows, and goes into all folders below."})
	t.OnActivated = func(int) { s.goTo() }
	t.OnSelectionChanged = s.buttons
	t.OnMenu = func(_ []int, at fyne.Position) { kit.ShowMenu(t, s.menu(), at) }
	t.OnKey = func(ev *fyne.KeyEvent) bool {
		switch ev.Name {
		case fyne.KeyDelete:
			s.remove()
		case fyne.KeyF6:
			s.download()
		case fyne.KeyF4:
			s.edit()
		default:
			return false // the commands belong to what is under the dialog
		}
		return true
	}
	s.table = t
	for _, a := range []struct {
		text string
		run  func()
	}{{"Go to", s.goTo}, {"Download", s.download}, {"Open or edit", s.edit}, {"Copy URL", s.copyURL}, {"Delete…", s.remove}} {
		s.actions = append(s.actions, kit.NewButton(a.text, a.run))
	}
	label := func(text string) fyne.CanvasObject { return kit.NewMutedLabel(text) }
	bounds := kit.HBox(6, label("Size from"), kit.FixedWidth(84, s.min), label("to"), kit.FixedWidth(84, s.max), kit.FixedWidth(12, kit.Space()),
		label("Changed from"), kit.FixedWidth(124, s.after), label("until"), kit.FixedWidth(100, s.before), kit.Space())
	first := kit.HBox(6, kit.Grow(s.name), kit.FixedWidth(150, s.kind), s.start)
	row := kit.HBox(kit.Gap)
	for _, b := range s.actions {
		row.Add(b)
	}
	row.Add(kit.Space())
	s.object = kit.VBox(kit.Gap, first, bounds, kit.Grow(kit.NewFlushCard(t)), s.line, row)
	s.buttons()
	return s
}

// hit is the one of a row.
func (s *searchPanel) hit(row int) *app.Hit {
	if len(s.order) == len(s.state.Hits) && row < len(s.order) {
		row = int(s.order[row])
	}
	return &s.state.Hits[row]
}

// sort orders the hits as the table's header says.
func (s *searchPanel) sort() {
	col, desc := s.table.Sort()
	s.order = nil
	if col < 0 {
		return
	}
	hits := s.state.Hits
	order := make([]int32, len(hits))
	fold := make([]string, len(hits))
	for i := range order {
		order[i], fold[i] = int32(i), strings.ToLower(hits[i].Name)
	}
	compare := []func(a, b int32) int{
		func(a, b int32) int { return strings.Compare(fold[a], fold[b]) },
		func(a, b int32) int { return strings.Compare(hits[a].Dir, hits[b].Dir) },
		func(a, b int32) int { return cmp.Compare(hits[a].Size, hits[b].Size) },
		func(a, b int32) int { return hits[a].Time.Compare(hits[b].Time) },
	}[col]
	slices.SortStableFunc(order, func(a, b int32) int {
		c := compare(a, b)
		if desc {
			return -c
		}
		return c
	})
	s.order = order
}

func (s *searchPanel) cell(i, col int) kit.Cell {
	h := s.hit(i)
	switch col {
	case 0:
		icon, color := kit.IconFile, kit.ColorMuted
		if h.Type == client.Folder {
			icon, color = kit.IconFolder, kit.ColorClient
		}
		return kit.Cell{Text: connlog.Printable(h.Name), Icon: kit.IconColored(icon, color)}
	case 1:
		return kit.Cell{Text: connlog.Printable(h.Dir)}
	case 2:
		if h.Type == client.Folder {
			return kit.Cell{}
		}
		return kit.Cell{Text: connlog.Bytes(h.Size)}
	}
	if h.Time.IsZero() {
		return kit.Cell{}
	}
	return kit.Cell{Text: h.Time.Local().Format("2006-01-02 15:04")}
}

// open shows the dialog with the keyboard in its first field.
func (s *searchPanel) open() {
	s.dialog = &kit.Dialog{
		Title: "Search on " + shorten(connlog.Printable(s.c.w.app.Remote().Target.Host), 40), Content: s.object, Width: 760, Height: 400,
		Focus: s.name, Buttons: []kit.DialogButton{{Text: "Close", Cancel: true}},
	}
	s.dialog.Show(s.c.w)
	s.refresh()
}

func (s *searchPanel) startOrStop() {
	if s.state.Running {
		s.c.w.app.CancelSearch()
		return
	}
	s.run()
}

func (s *searchPanel) run() {
	if s.c.w.app.Remote().Phase != app.Connected || s.c.remote.path == "" {
		s.say("Connect to a server first.", kit.ColorBad)
		return
	}
	q, bad, err := s.query()
	for _, e := range []*kit.Entry{s.min, s.max, s.after, s.before} {
		e.SetInvalid(e == bad)
	}
	if err != nil {
		s.say(app.Sentence(err), kit.ColorBad)
		s.c.w.focusOn(bad)
		return
	}
	s.table.SetSelected(nil)
	s.c.w.app.Search(s.c.remote.path, q)
	s.refresh()
	s.c.w.focusOn(s.table)
}

// query reads the fields, and says which of them can't be read.
func (s *searchPanel) query() (q app.Query, bad *kit.Entry, err error) {
	q.Name = s.name.Text
	q.Files, q.Folders = s.kind.Selected != 1, s.kind.Selected != 0
	if q.MinSize, err = parseSize(s.min.Text); err != nil {
		return q, s.min, err
	}
	if q.MaxSize, err = parseSize(s.max.Text); err != nil {
		return q, s.max, err
	}
	if q.MaxSize > 0 && q.MaxSize < q.MinSize {
		return q, s.max, errors.New("the smaller size comes first")
	}
	if q.After, err = parseDay(s.after.Text); err != nil {
		return q, s.after, err
	}
	if q.Before, err = parseDay(s.before.Text); err != nil {
		return q, s.before, err
	}
	if !q.Before.IsZero() {
		q.Before = q.Before.AddDate(0, 0, 1) // until the end of that day
	}
	if !q.After.IsZero() && !q.Before.IsZero() && !q.After.Before(q.Before) {
		return q, s.before, errors.New("the earlier day comes first")
	}
	return q, nil, nil
}

// parseSize reads "500", "10 KB", "1.5 MiB"; a K is 1024 bytes either way. Empty is 0.
func parseSize(text string) (int64, error) {
	typed := text
	text = strings.ToUpper(strings.TrimSpace(text))
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(text, "KMGTIB ")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(text[len(number):]), "B"), "I")
	power := strings.Index("KMGT", unit)
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0) || n > 1<<20 && unit != "" || power < 0 || len(unit) > 1 || n > 1<<53 {
		return 0, fmt.Errorf("%q is not a size, such as 500 KB or 1.5 GB", typed)
	}
	if unit != "" {
		for range power + 1 {
			n *= 1024
		}
	}
	return int64(n), nil
}

// parseDay reads a day in this computer's time zone; empty is no time.
func parseDay(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, text, time.Local)
	if err != nil {
		return t, fmt.Errorf("%q is not a day, such as %s", text, time.Now().Format(time.DateOnly))
	}
	return t, nil
}

func (s *searchPanel) say(text string, color fyne.ThemeColorName) { s.line.Set(text, color) }

func (s *searchPanel) refresh() {
	s.state = s.c.w.app.SearchState()
	if s.state.Stamp != s.shown {
		s.shown = s.state.Stamp
		s.sort()
		s.table.Refresh()
		if s.table.Cursor() < 0 && len(s.state.Hits) > 0 {
			s.table.SetCursor(0)
		}
		s.buttons()
	}
	if s.state.Stamp == 0 {
		return
	}
	text := count(len(s.state.Hits), "hit", "hits") + " in " + count(s.state.Folders, "folder", "folders")
	if s.state.Missed > 0 {
		text += ", " + count(s.state.Missed, "folder", "folders") + " can't be read"
	}
	title := "Search"
	if s.state.Running {
		title = "Stop"
		if s.state.Now != "" {
			text += "; looking into " + shorten(connlog.Printable(s.state.Now), 40)
		}
	} else if len(s.state.Hits) == 0 {
		s.table.SetEmpty(kit.Empty{Text: "Nothing was found."})
	}
	s.start.SetText(title)
	if s.state.Err != "" {
		s.say(s.state.Err, kit.ColorBad)
		return
	}
	s.say(text, kit.ColorMuted)
}

// chosen are the hits that are selected, or the one under the cursor.
func (s *searchPanel) chosen() []app.Hit {
	rows := s.table.Selected()
	if len(rows) == 0 && s.table.Cursor() >= 0 {
		rows = []int{s.table.Cursor()}
	}
	var hits []app.Hit
	for _, i := range rows {
		if i < len(s.state.Hits) {
			hits = append(hits, *s.hit(i))
		}
	}
	return hits
}

func (s *searchPanel) buttons() {
	some := s.table.SelectedCount() > 0 || s.table.Cursor() >= 0
	for _, b := range s.actions {
		enable(b, some)
	}
}

func (s *searchPanel) menu() *fyne.Menu {
	menu := fyne.NewMenu("")
	for _, b := range s.actions {
		item := fyne.NewMenuItem(b.Text, b.OnTapped)
		item.Disabled = b.Disabled()
		menu.Items = append(menu.Items, item)
	}
	return menu
}

// reach gives the hits to do, when the tab that is shown is connected to their server.
func (s *searchPanel) reach(do func([]app.Hit)) {
	hits := s.chosen()
	r := s.c.w.app.Remote()
	switch {
	case len(hits) == 0:
	case r.Phase != app.Connected || !sameServer(r.Target, s.state.Server):
		s.say("These were found on "+s.state.Server.Host+": choose its tab first.", kit.ColorBad)
	default:
		do(hits)
	}
}

func (s *searchPanel) goTo() {
	s.reach(func(hits []app.Hit) {
		s.dialog.Close()
		p := s.c.remote
		p.goTo(hits[0].Dir)
		p.want = hits[0].Name
		if p.path == hits[0].Dir {
			p.cursorTo(p.want)
		}
		s.c.w.focusOn(p.table)
	})
}

func (s *searchPanel) download() {
	s.reach(func(hits []app.Hit) {
		s.c.w.app.DownloadHits(hits, s.c.local.path)
		s.c.drawer.SelectTab("transfers")
		kit.ShowNote(s.object, "Downloading "+count(len(hits), "hit", "hits")+" to "+shorten(s.c.local.path, 40))
	})
}

func (s *searchPanel) edit() {
	s.reach(func(hits []app.Hit) {
		for _, h := range hits {
			if h.Type == client.File && len(hits) <= 20 {
				s.c.editFile(h.Dir, h.Entry)
			}
		}
	})
}

func (s *searchPanel) copyURL() {
	s.reach(func(hits []app.Hit) {
		var urls []string
		for _, h := range hits {
			t := s.state.Server
			t.Path = path.Join(h.Dir, h.Name)
			urls = append(urls, t.URL())
		}
		kit.Copy(s.object, strings.Join(urls, "\n"))
	})
}

func (s *searchPanel) remove() {
	s.reach(func(hits []app.Hit) {
		text := connlog.Capital(count(len(hits), "hit", "hits")) + " on the server will be deleted for good. Folders are deleted with all that is in them."
		if len(hits) == 1 {
			text = connlog.Printable(hits[0].Path()) + " will be deleted on the server, for good."
		}
		kit.Confirm(s.c.w, "Delete", text, "Delete", true, func() { s.c.w.app.DeleteHits(hits) })
	})
}

func (c *connect) searchCommands() []kit.Command {
	return []kit.Command{
		{ID: "search.open", Title: "Search on the server", Keys: []string{"Ctrl+Shift+F"}, Group: "Files", Icon: kit.IconSearch,
			Enabled: func() bool { return c.w.screen == "connect" && c.w.app.Remote().Phase == app.Connected }, Run: c.search.open},
	}
}
