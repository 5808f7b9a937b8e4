package ui

import (
	"path"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/ui/kit"
	"portside/wire"
)

// pane is one of the two file lists of the Connect screen: address bar, navigation, table. It knows nothing of where
// the entries come from.
type pane struct {
	title string
	// open lists a folder; copy moves entries to the other side; menu shows the context menu.
	open     func(dir string)
	copy     func([]client.Entry)
	menu     func(at fyne.Position)
	focused  func()
	tab      func()
	key      func(*fyne.KeyEvent) bool
	local    bool
	going    func(dir string)       // told before another folder is opened by the person
	changed  func()                 // told when another listing is there, before it is drawn
	arranged func()                 // told when other entries are shown
	cutOut   func(name string) bool // says which entries were cut

	object  fyne.CanvasObject
	bar     *fyne.Container
	address *kit.Entry
	crumbs  *crumbBar
	back    *kit.Button
	forward *kit.Button
	up      *kit.Button
	refresh *kit.Button
	table   *kit.Table

	off         map[string]bool // columns that are not shown
	shown       []string        // the columns' names
	compared    bool            // the column of a comparison is there
	keepColumns func()
	filterBar   *fyne.Container
	filter      *kit.Entry
	filterCount *kit.Label

	path    string
	stamp   uint64
	loading bool // what is shown is a part yet
	rows    listing
	told    struct { // of the selection
		at   uint64
		text string
	}
	want       string
	arrive     string   // the folder that was typed: the files get the keyboard when it is there
	past, next []string // folders to go back and forward to
}

func newPane(title string, local bool, extra ...fyne.CanvasObject) *pane {
	p := &pane{title: title, local: local}
	p.address = kit.NewEntry()
	p.address.SelectOnFocus = true
	p.address.OnEnter = func(text string) {
		p.arrive = p.full(text)
		p.goTo(p.arrive)
	}
	p.address.OnEscape = func() {
		p.address.SetText(p.path)
		kit.FocusOn(p.table)
	}
	p.back = kit.NewIconButton(kit.IconBack, "Back (Alt+Left)", p.goBack)
	p.forward = kit.NewIconButton(kit.IconForward, "Forward (Alt+Right)", p.goForward)
	p.up = kit.NewIconButton(kit.IconUp, "Up one folder (Backspace)", p.goUp)
	p.refresh = kit.NewIconButton(kit.IconRefresh, "Refresh (F5)", func() { p.open(p.path) })
	for _, b := range []*kit.Button{p.back, p.forward, p.up, p.refresh} {
		b.Style = kit.Quiet
	}

	p.rows.by = byName
	p.off = map[string]bool{"owner": true, "rights": local}
	t := kit.NewTable(p.columns()...)
	t.Label = title
	t.Length = p.rows.Len
	t.Key = func(i int) string { return p.rows.at(i).Name } // ".." is no entry's name
	t.NotAll = func(i int) bool { return p.rows.at(i).Name == above.Name }
	t.Fold = p.rows.folded
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
	t.OnHeaderMenu = func(at fyne.Position) { kit.ShowMenu(t, p.columnMenu(), at) }
	t.OnResized = p.columnsChanged
	t.SetSort(0, false)
	p.table = t
	p.makeFilter()

	bar := append([]fyne.CanvasObject{
		kit.FixedWidth(54, caption(title)), p.back, p.forward, p.up, kit.Grow(p.makeCrumbs()), p.refresh,
	}, extra...)
	p.bar = kit.HBox(2, bar...)
	top := kit.FixedHeight(kit.PaneBar, kit.Surface(kit.Pad(3, 8, 3, 10, p.bar)))
	p.object = kit.VBox(0, top, p.filterBar, kit.Grow(t))
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
func (p *pane) show(f app.Folder, typing bool) {
	if f.Stamp == p.stamp {
		return
	}
	other := f.Path != p.path
	p.stamp, p.path, p.loading = f.Stamp, f.Path, f.Loading
	if !typing {
		p.address.SetText(f.Path)
	}
	if other {
		p.rows.filter = ""
		p.showFilter(false)
	}
	if other {
		p.crumbs.show(f.Path, p.local)
	}
	p.rows.set(f, f.Path != "" && p.parent(f.Path) != f.Path)
	if p.changed != nil {
		p.changed()
	}
	if other {
		p.table.CancelEdit() // a row of the same name is another one
		p.table.SetSelected(nil)
		p.table.ScrollTo(0)
	}
	p.table.Refresh()
	switch {
	case p.want != "" && p.cursorTo(p.want), p.want != "" && p.loading: // it may come yet
	case other && p.rows.Len() > 0:
		p.table.SetCursor(0)
	}
	if !p.loading {
		p.want = ""
	}
	if p.arrive != "" && p.arrive == f.Path {
		p.arrive = ""
		kit.FocusOn(p.table)
		p.address.SetText(f.Path)
	}
	p.countFiltered()
	p.buttons()
}

func (p *pane) cursorTo(name string) bool {
	row := p.rows.find(name)
	if row >= 0 {
		p.table.SetCursor(row)
		p.table.ScrollTo(row)
	}
	return row >= 0
}

// sort takes the table's order.
func (p *pane) sort() {
	col, desc := p.table.Sort()
	if columns := p.table.Columns(); col >= 0 && col < len(columns) {
		p.rows.by, p.rows.desc = order(columns[col].ID), desc
	}
	p.arrange()
}

// arrange filters and sorts anew.
func (p *pane) arrange() {
	p.rows.arrange()
	p.table.Refresh()
	p.countFiltered()
	if p.arranged != nil {
		p.arranged()
	}
}

func (p *pane) cell(i, col int) kit.Cell {
	if i >= p.rows.Len() || col >= len(p.shown) {
		return kit.Cell{}
	}
	e, parent := p.rows.at(i), p.rows.isParent(i)
	switch p.shown[col] {
	case string(byName):
		icon, color := kit.IconFile, kit.ColorMuted
		switch {
		case parent:
			icon = kit.IconUp
		case e.Type == client.Folder:
			icon, color = kit.IconFolder, kit.ColorClient
			if e.Target != "" {
				icon = kit.IconFolderLink
			}
		case e.Type == client.Link:
			icon = kit.IconLink
		}
		// A name from a server may hold what would act on the line; it is shown with escapes and used as it is.
		c := kit.Cell{Text: connlog.Printable(e.Name), Icon: kit.IconColored(icon, color)}
		if cut := p.cutOut; cut != nil && !parent && cut(e.Name) {
			c.Color = kit.ColorMuted
		}
		if m := p.mark(i); m != unmarked {
			c.Color = markColors[m]
		}
		return c
	case columnCompared:
		m := p.mark(i)
		return kit.Cell{Text: markWords[m], Color: markColors[m]}
	case string(bySize):
		if e.Type == client.Folder {
			return kit.Cell{}
		}
		return kit.Cell{Text: connlog.Bytes(e.Size)}
	case string(byTime):
		if e.Time.IsZero() {
			return kit.Cell{}
		}
		return kit.Cell{Text: e.Time.Local().Format("2006-01-02 15:04")}
	case string(byRights):
		return kit.Cell{Text: e.Rights}
	case string(byOwner):
		return kit.Cell{Text: connlog.Printable(e.Owner)}
	}
	return kit.Cell{}
}

// selected returns the chosen entries, or the one under the cursor when none is; never the parent.
func (p *pane) selected() []client.Entry {
	rows := p.table.Selected()
	if len(rows) == 0 && p.table.Cursor() >= 0 {
		rows = []int{p.table.Cursor()}
	}
	return p.entries(rows)
}

// entries are those of rows, without the parent.
func (p *pane) entries(rows []int) []client.Entry {
	out := make([]client.Entry, 0, len(rows))
	for _, i := range rows {
		if i < p.rows.Len() && !p.rows.isParent(i) {
			out = append(out, *p.rows.at(i))
		}
	}
	return out
}

// chosen is how many entries [pane.selected] would return at least: 0, 1, or more. It costs little, however many there are.
func (p *pane) chosen() int {
	n := p.table.SelectedCount()
	if n > 2 {
		return n - 1 // the parent may be one of them
	}
	return len(p.selected())
}

func (p *pane) activate(i int) {
	switch e := *p.rows.at(i); {
	case p.rows.isParent(i):
		p.goUp()
	case e.Type == client.Folder:
		p.goTo(p.join(e.Name))
	case e.Type == client.Link && !p.local:
		p.goTo(p.join(e.Name)) // it may be a folder; when it is not, the server says so
	default:
		p.copy([]client.Entry{e})
	}
}

func (p *pane) goTo(dir string) {
	if p.going != nil {
		p.going(dir)
	}
	if p.path != "" && p.path != dir {
		p.past = append(p.past, p.path)
		p.next = nil
	}
	p.want = p.towards(dir)
	p.open(dir)
}

// towards is the folder in dir that leads to the one that is shown, "" when dir is not above it.
func (p *pane) towards(dir string) string {
	for at := p.path; at != ""; {
		up := p.parent(at)
		switch up {
		case dir:
			return p.base(at)
		case at:
			return ""
		}
		at = up
	}
	return ""
}

// full is a path as it was typed, from the root on.
func (p *pane) full(dir string) string {
	if p.local {
		if full, err := kit.ExpandPath(dir, p.path); err == nil {
			return full
		}
		return dir
	}
	if !strings.HasPrefix(dir, "/") {
		dir = path.Join("/", p.path, dir)
	}
	return path.Clean(dir)
}

func (p *pane) goUp() {
	if p.path == "" || p.parent(p.path) == p.path {
		return
	}
	p.goTo(p.parent(p.path))
}

func (p *pane) goBack() { p.past, p.next = p.travel(p.past, p.next) }

func (p *pane) goForward() { p.next, p.past = p.travel(p.next, p.past) }

// travel goes to the last folder of from and puts the present one on to.
func (p *pane) travel(from, to []string) (newFrom, newTo []string) {
	if from = p.elsewhere(from); len(from) == 0 {
		return from, to
	}
	dir := from[len(from)-1]
	if p.going != nil {
		p.going(dir)
	}
	p.want = p.towards(dir)
	p.open(dir)
	return from[:len(from)-1], append(to, p.path)
}

// elsewhere leaves out of a history's end the folder that is shown: it stands there after one that could not be opened.
func (p *pane) elsewhere(history []string) []string {
	for len(history) > 0 && history[len(history)-1] == p.path {
		history = history[:len(history)-1]
	}
	return history
}

// forget drops the history: another server has other folders.
func (p *pane) forget() { p.past, p.next = nil, nil }

func (p *pane) buttons() {
	enable(p.back, len(p.elsewhere(p.past)) > 0)
	enable(p.forward, len(p.elsewhere(p.next)) > 0)
	enable(p.refresh, p.path != "")
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

// selection says how much is selected. It is asked for a few times a second, and there may be 100,000 entries.
func (p *pane) selection() string {
	if now := p.table.Changes(); p.told.at != now || p.told.text == "" {
		p.told.at, p.told.text = now, p.sumSelection()
	}
	return p.told.text
}

func (p *pane) sumSelection() string {
	n := p.table.SelectedCount()
	if n == 0 {
		return ""
	}
	var sum int64
	n = 0
	for _, i := range p.table.Selected() {
		if !p.rows.isParent(i) {
			n++
			sum = wire.AddSizes(sum, p.rows.at(i).Size)
		}
	}
	if n == 0 {
		return ""
	}
	text := thousands(n) + " selected"
	if sum > 0 {
		text += ", " + connlog.Bytes(sum)
	}
	return text
}
