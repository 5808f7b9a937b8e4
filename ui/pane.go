package ui

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fyne.io/fyne/v2"

	"portside/client"
	"portside/connlog"
	"portside/ui/kit"
)

// pane is one of the two file lists of the Connect screen: address bar, navigation, table. It knows nothing of where
// the entries come from.
type pane struct {
	title string
	// open lists a folder; copy moves entries to the other side; menu shows the context menu.
	open    func(dir string)
	copy    func([]client.Entry)
	menu    func(at fyne.Position)
	focused func()
	tab     func()
	key     func(*fyne.KeyEvent) bool
	local   bool

	object  fyne.CanvasObject
	address *kit.Entry
	back    *kit.Button
	forward *kit.Button
	up      *kit.Button
	table   *kit.Table

	path       string
	stamp      uint64
	rows       []row // the parent first, where there is one
	want       string
	arrive     bool     // give the files the keyboard when the folder that was typed is there
	past, next []string // folders to go back and forward to
}

// row is an entry with what sorting needs, made once.
type row struct {
	client.Entry
	parent bool
	fold   string // the name for comparing
}

// paneColumns are the columns in their order.
const (
	columnName = iota
	columnSize
	columnTime
	columnRights
)

func newPane(title string, local bool, extra ...fyne.CanvasObject) *pane {
	p := &pane{title: title, local: local}
	p.address = kit.NewEntry()
	p.address.SelectOnFocus = true
	p.address.OnEnter = func(text string) { p.arrive = true; p.goTo(text) }
	p.address.OnEscape = func() {
		p.address.SetText(p.path)
		kit.FocusOn(p.table)
	}
	p.back = kit.NewIconButton(kit.IconBack, "Back (Alt+Left)", p.goBack)
	p.forward = kit.NewIconButton(kit.IconForward, "Forward (Alt+Right)", p.goForward)
	p.up = kit.NewIconButton(kit.IconUp, "Up one folder (Backspace)", p.goUp)
	refresh := kit.NewIconButton(kit.IconRefresh, "Refresh (F5)", func() { p.open(p.path) })
	for _, b := range []*kit.Button{p.back, p.forward, p.up, refresh} {
		b.Style = kit.Quiet
	}

	columns := []kit.Column{
		{ID: "name", Title: "Name", Flex: true, Min: 120, Sortable: true},
		{ID: "size", Title: "Size", Width: 80, Align: fyne.TextAlignTrailing, Sortable: true},
		{ID: "time", Title: "Modified", Width: 126, Sortable: true},
	}
	if !local {
		columns = append(columns, kit.Column{ID: "rights", Title: "Rights", Width: 84, Sortable: true})
	}
	t := kit.NewTable(columns...)
	t.Label = title
	t.Length = func() int { return len(p.rows) }
	t.Key = func(i int) string {
		if p.rows[i].parent {
			return ".."
		}
		return "/" + p.rows[i].Name
	}
	t.Cell = p.cell
	t.OnActivated = p.activate
	t.OnSort = func(int, bool) { p.sort() }
	t.OnBackspace = p.goUp
	t.OnMenu = func(_ []int, at fyne.Position) { p.menu(at) }
	t.OnFocus = func(on bool) {
		if on {
			p.focused()
		}
	}
	t.OnTab = func(bool) { p.tab() }
	t.OnKey = func(ev *fyne.KeyEvent) bool { return p.key(ev) }
	t.SetSort(columnName, false)
	p.table = t

	bar := append([]fyne.CanvasObject{
		kit.FixedWidth(54, caption(title)), p.back, p.forward, p.up, kit.Grow(p.address), refresh,
	}, extra...)
	top := kit.FixedHeight(kit.PaneBar, kit.Surface(kit.Pad(3, 8, 3, 10, kit.HBox(2, bar...))))
	p.object = kit.VBox(0, top, kit.Grow(t))
	p.buttons()
	return p
}

func caption(text string) *kit.Label {
	l := kit.NewCaption(text)
	l.Bold = true
	l.Color = kit.ColorMuted
	return l
}

// show takes a new listing; the same stamp again does nothing.
func (p *pane) show(dir string, entries []client.Entry, stamp uint64, typing bool) {
	if stamp == p.stamp {
		return
	}
	p.stamp = stamp
	other := dir != p.path
	p.path = dir
	if !typing {
		p.address.SetText(dir)
	}
	p.rows = p.rows[:0]
	if dir != "" && p.parent(dir) != dir {
		p.rows = append(p.rows, row{parent: true, Entry: client.Entry{Name: "..", Type: client.Folder}})
	}
	for _, e := range entries {
		p.rows = append(p.rows, row{Entry: e, fold: strings.ToLower(e.Name)})
	}
	p.order()
	if other {
		p.table.SetSelected(nil)
		p.table.ScrollTo(0)
	}
	p.table.Refresh()
	switch {
	case p.want != "":
		p.cursorTo(p.want)
	case other && len(p.rows) > 0:
		p.table.SetCursor(0)
	}
	p.want = ""
	if p.arrive {
		p.arrive = false
		kit.FocusOn(p.table)
		p.address.SetText(dir)
	}
	p.buttons()
}

func (p *pane) cursorTo(name string) {
	for i, r := range p.rows {
		if r.Name == name && !r.parent {
			p.table.SetCursor(i)
			p.table.ScrollTo(i)
			return
		}
	}
}

func (p *pane) sort() {
	p.order()
	p.table.Refresh()
}

// order sorts: the parent first, folders before files, then by the chosen column and by name.
func (p *pane) order() {
	col, desc := p.table.Sort()
	slices.SortStableFunc(p.rows, func(a, b row) int {
		if a.parent != b.parent {
			return first(a.parent)
		}
		if af, bf := a.Type == client.Folder, b.Type == client.Folder; af != bf {
			return first(af)
		}
		c := 0
		switch col {
		case columnSize:
			c = cmp.Compare(a.Size, b.Size)
		case columnTime:
			c = a.Time.Compare(b.Time)
		case columnRights:
			c = strings.Compare(a.Rights, b.Rights)
		}
		if c == 0 {
			c = cmp.Or(strings.Compare(a.fold, b.fold), strings.Compare(a.Name, b.Name))
		}
		if desc {
			return -c
		}
		return c
	})
}

func first(yes bool) int {
	if yes {
		return -1
	}
	return 1
}

func (p *pane) cell(i, col int) kit.Cell {
	if i >= len(p.rows) {
		return kit.Cell{}
	}
	r := p.rows[i]
	switch col {
	case columnName:
		icon, color := kit.IconFile, kit.ColorMuted
		switch {
		case r.parent:
			icon = kit.IconUp
		case r.Type == client.Folder:
			icon, color = kit.IconFolder, kit.ColorClient
			if r.Target != "" {
				icon = kit.IconFolderLink
			}
		case r.Type == client.Link:
			icon = kit.IconLink
		}
		// A name from a server may hold what would act on the line; it is shown with escapes and used as it is.
		return kit.Cell{Text: connlog.Printable(r.Name), Icon: kit.IconColored(icon, color)}
	case columnSize:
		if r.Type == client.Folder {
			return kit.Cell{}
		}
		return kit.Cell{Text: connlog.Bytes(r.Size)}
	case columnTime:
		if r.Time.IsZero() {
			return kit.Cell{}
		}
		return kit.Cell{Text: r.Time.Local().Format("2006-01-02 15:04")}
	case columnRights:
		return kit.Cell{Text: r.Rights}
	}
	return kit.Cell{}
}

// selected returns the chosen entries, or the one under the cursor when none is; never the parent.
func (p *pane) selected() []client.Entry {
	rows := p.table.Selected()
	if len(rows) == 0 && p.table.Cursor() >= 0 {
		rows = []int{p.table.Cursor()}
	}
	var out []client.Entry
	for _, i := range rows {
		if i < len(p.rows) && !p.rows[i].parent {
			out = append(out, p.rows[i].Entry)
		}
	}
	return out
}

func (p *pane) activate(i int) {
	switch r := p.rows[i]; {
	case r.parent:
		p.goUp()
	case r.Type == client.Folder:
		p.goTo(p.join(r.Name))
	case r.Type == client.Link && !p.local:
		p.goTo(p.join(r.Name)) // it may be a folder; when it is not, the server says so
	default:
		p.copy([]client.Entry{r.Entry})
	}
}

func (p *pane) goTo(dir string) {
	if p.path != "" {
		p.past = append(p.past, p.path)
		p.next = nil
	}
	p.open(dir)
}

func (p *pane) goUp() {
	if p.path == "" || p.parent(p.path) == p.path {
		return
	}
	p.want = p.base(p.path)
	p.goTo(p.parent(p.path))
}

func (p *pane) goBack() { p.past, p.next = p.travel(p.past, p.next) }

func (p *pane) goForward() { p.next, p.past = p.travel(p.next, p.past) }

// travel goes to the last folder of from and puts the present one on to.
func (p *pane) travel(from, to []string) (newFrom, newTo []string) {
	if len(from) == 0 {
		return from, to
	}
	dir := from[len(from)-1]
	p.open(dir)
	return from[:len(from)-1], append(to, p.path)
}

// forget drops the history: another server has other folders.
func (p *pane) forget() { p.past, p.next = nil, nil }

func (p *pane) buttons() {
	enable(p.back, len(p.past) > 0)
	enable(p.forward, len(p.next) > 0)
	enable(p.up, p.path != "" && p.parent(p.path) != p.path)
}

func enable(w fyne.Disableable, on bool) {
	switch {
	case on && w.Disabled():
		w.Enable()
	case !on && !w.Disabled():
		w.Disable()
	}
}

func (p *pane) parent(dir string) string {
	if p.local {
		return filepath.Dir(dir)
	}
	return path.Dir(dir)
}

func (p *pane) base(dir string) string {
	if p.local {
		return filepath.Base(dir)
	}
	return path.Base(dir)
}

func (p *pane) join(name string) string {
	if p.local {
		return filepath.Join(p.path, name)
	}
	return path.Join(p.path, name)
}
