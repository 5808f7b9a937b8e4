package ui

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"

	"portside/app"
	"portside/client/sites"
	"portside/connlog"
	"portside/ui/kit"
)

// siteManager is the dialog with the tree of sites and the fields of the chosen one. It works on a copy of the book: Save and
// Connect keep what was edited in it, Cancel leaves the book as it was.
type siteManager struct {
	w      *Window
	base   *sites.Book // as it was copied
	book   *sites.Book
	secret app.SecretChanges
	// changed: there is something to lose.
	changed bool
	looking bool // for what can be imported

	search *kit.Entry
	tree   *kit.Table
	rows   []treeRow
	filled string // the ID that the fields show
	fields *siteFields
	tools  *toolRow
	note   *kit.FlowText
	dialog *kit.Dialog
	files  kit.Chooser
}

type treeRow struct {
	node  *sites.Node
	in    []*sites.Node
	depth int
}

// toolRow is the row of buttons under the tree.
type toolRow struct {
	up, down, duplicate, remove *kit.Button
}

// openSites opens the site manager, with a site chosen: the empty ID is the one that is connected to, or the first.
func openSites(w *Window, id string) *siteManager {
	m := &siteManager{w: w, note: kit.NewFlowText(kit.Span{Text: " "}), files: kit.Chooser{Post: w.post}}
	m.base, _ = w.app.Sites()
	m.book = m.base.Clone()
	m.secret = app.SecretChanges{Set: map[string]sites.Secret{}, Copy: map[string]string{}}

	m.search = kit.NewEntry()
	m.search.SetPlaceHolder("Search")
	m.search.OnChanged = func(text string) {
		m.search.OnEscape = nil // the dialog's
		if text != "" {
			m.search.OnEscape = func() { m.search.SetText("") }
		}
		m.show(m.chosen())
	}
	m.search.OnArrow = func(down bool) {
		if down {
			kit.FocusOn(m.tree)
		}
	}
	t := kit.NewTable(kit.Column{ID: "name", Title: "Site", Flex: true})
	m.tree = t
	t.Label, t.Single, t.HideHeader = "Sites", true, true
	t.Length = func() int { return len(m.rows) }
	t.Key = func(row int) string { return m.rows[row].node.ID }
	t.Cell = m.cell
	t.OnSelectionChanged = m.choose
	t.OnActivated = m.activate
	t.OnKey = m.key
	t.OnShortcut = m.shortcut
	t.OnMenu = func(_ []int, at fyne.Position) { kit.ShowMenu(t, m.menu(), at) }
	t.OnDrag = func(_ []int, at fyne.Position) { m.drag(at) }
	t.OnDrop = m.drop

	m.fields = newSiteFields(w, m)
	m.tools = &toolRow{
		up:        kit.NewIconButton(kit.IconUp, "Up (Alt+Up)", func() { m.shift(-1) }),
		down:      kit.NewIconButton(kit.IconDown, "Down (Alt+Down)", func() { m.shift(1) }),
		duplicate: kit.NewIconButton(kit.IconCopy, "Duplicate (Ctrl+D)", m.duplicate),
		remove:    kit.NewIconButton(kit.IconDelete, "Delete (Delete)", m.remove),
	}
	bar := kit.HBox(4, kit.NewIconButton(kit.IconPlus, "New site (Insert)", m.newSite),
		kit.NewIconButton(kit.IconFolderNew, "New folder (F7)", m.newFolder),
		m.tools.duplicate, m.tools.up, m.tools.down, m.tools.remove, kit.Space())
	left := kit.VBox(6, m.search, kit.Grow(kit.NewFlushCard(t)), bar)

	m.dialog = &kit.Dialog{Title: "Sites", Width: 800, Height: 404, Post: w.post, Focus: t}
	m.dialog.Content = kit.VBox(6, kit.Grow(kit.HBox(14, kit.FixedWidth(250, left), kit.Grow(m.fields.object))), m.note)
	stay := func(f func()) func() bool { return func() bool { f(); return false } }
	m.dialog.Buttons = []kit.DialogButton{
		{Text: "Import…", Left: true, Run: stay(m.imports)},
		{Text: "Export…", Left: true, Run: stay(m.exports)},
		{Text: "Cancel", Cancel: true, Run: m.cancel},
		{Text: "Save", Run: func() bool { return m.keep() }},
		{Text: "Connect", Style: kit.Primary, Default: true, Run: m.connect},
	}
	m.dialog.OnKey = func(ev *fyne.KeyEvent) bool {
		if ev.Name == fyne.KeyF7 {
			m.newFolder()
			return true
		}
		return false
	}
	if id == "" {
		_, _, id = w.app.ConnectedSite()
	}
	m.dialog.Show(w)
	m.show(id)
	return m
}

// show lists the tree again, or what the search finds, with a node chosen.
func (m *siteManager) show(id string) {
	m.rows = m.rows[:0]
	empty := kit.Empty{Text: "No sites yet.", Hint: "Add one, or import those of another program."}
	if text := strings.TrimSpace(m.search.Text); text != "" {
		if m.book.Len() > 0 {
			empty = kit.Empty{Text: "No site was found.", Hint: "The search looks at names, hosts, users, folders and notes."}
		}
		for _, n := range m.book.Search(text) {
			_, in := m.book.Find(n.ID)
			m.rows = append(m.rows, treeRow{node: n, in: in})
		}
	} else {
		m.addRows(m.book.Nodes, nil)
	}
	at := slices.IndexFunc(m.rows, func(r treeRow) bool { return r.node.ID == id })
	m.tree.SetEmpty(empty)
	if at < 0 && len(m.rows) > 0 {
		at = 0
	}
	if at >= 0 {
		m.tree.SetCursor(at)
	}
	m.choose()
}

func (m *siteManager) addRows(nodes, in []*sites.Node) {
	for _, n := range nodes {
		m.rows = append(m.rows, treeRow{n, in, len(in)})
		if n.Folder() && !n.Closed {
			m.addRows(n.Nodes, append(slices.Clip(in), n))
		}
	}
}

func (m *siteManager) cell(row, _ int) kit.Cell {
	r := m.rows[row]
	name := r.node.Name
	if r.node.ID == m.filled {
		name = m.fields.listed(r.node)
	}
	c := kit.Cell{Text: connlog.Printable(name), Indent: float32(r.depth) * 16}
	switch {
	case !r.node.Folder():
		color := kit.ColorMuted
		if r.node.Site.Color != "" {
			color = siteColor(r.node.Site.Color)
		}
		c.Icon = kit.IconColored(kit.IconServer, color)
		if len(r.in) > 0 && r.depth == 0 {
			c.Text += "  (" + connlog.Printable(sites.Path(r.in)) + ")"
		}
	case r.node.Closed:
		c.Icon = kit.IconColored(kit.IconTriangleRight, kit.ColorMuted)
	default:
		c.Icon = kit.IconColored(kit.IconTriangleDown, kit.ColorMuted)
	}
	return c
}

// chosen is the ID of the chosen node, or "".
func (m *siteManager) chosen() string {
	if rows := m.tree.Selected(); len(rows) == 1 && rows[0] < len(m.rows) {
		return m.rows[rows[0]].node.ID
	}
	return ""
}

// node is the chosen node, and where it lies.
func (m *siteManager) node() (n *sites.Node, in []*sites.Node) { return m.book.Find(m.chosen()) }

// choose shows the fields of the chosen node, after those of the one before were taken over.
func (m *siteManager) choose() {
	if id := m.chosen(); id != m.filled || id == "" {
		m.take()
		lost := ""
		if before, _ := m.book.Find(m.filled); before != nil && m.fields.problem != "" {
			lost = "Not taken over for " + shorten(connlog.Printable(before.Name), 40) + ": " + m.fields.problem
		}
		m.filled = id
		n, _ := m.node()
		m.fields.fill(n)
		m.say(lost, kit.ColorBad)
	}
	n, _ := m.node()
	for _, b := range []*kit.Button{m.tools.up, m.tools.down, m.tools.duplicate, m.tools.remove} {
		enable(b, n != nil)
	}
	if len(m.dialog.Buttons) > 0 {
		m.dialog.SetEnabled("Connect", n != nil && !n.Folder())
		m.dialog.SetEnabled("Export…", m.book.Len() > 0)
	}
}

// take takes what the fields say over into the book's copy.
func (m *siteManager) take() {
	n, _ := m.book.Find(m.filled)
	if n == nil {
		return
	}
	changed, secret := m.fields.take(n)
	m.changed = m.changed || changed
	if secret != nil {
		m.secret.Set[n.ID] = *secret
		m.changed = true
	}
}

func (m *siteManager) say(text string, color fyne.ThemeColorName) {
	if text == "" {
		text, color = " ", ""
	}
	m.note.SetSpans(kit.Span{Text: text, Color: color})
	m.dialog.Refresh()
}

// activate connects to a site, and opens or closes a folder.
func (m *siteManager) activate(row int) {
	if m.rows[row].node.Folder() {
		m.fold(m.rows[row].node, !m.rows[row].node.Closed)
		return
	}
	m.dialog.Accept()
}

func (m *siteManager) fold(n *sites.Node, closed bool) {
	n.Closed = closed
	m.changed = true
	m.show(n.ID)
}

func (m *siteManager) key(ev *fyne.KeyEvent) bool {
	n, in := m.node()
	switch ev.Name {
	case fyne.KeyInsert:
		m.newSite()
	case fyne.KeyF7:
		m.newFolder()
	case fyne.KeyDelete:
		m.remove()
	case fyne.KeyF2:
		m.fields.focusName(n)
	case fyne.KeyRight:
		if n == nil || !n.Folder() || !n.Closed {
			return false
		}
		m.fold(n, false)
	case fyne.KeyLeft:
		switch {
		case n != nil && n.Folder() && !n.Closed:
			m.fold(n, true)
		case len(in) > 0:
			m.show(in[len(in)-1].ID)
		default:
			return false
		}
	default:
		return false
	}
	return true
}

// shortcut moves the chosen node with Alt and the arrows, and duplicates it.
func (m *siteManager) shortcut(s fyne.Shortcut) bool {
	c, ok := s.(*desktop.CustomShortcut)
	if !ok {
		return false
	}
	switch {
	case c.Modifier == fyne.KeyModifierAlt && c.KeyName == fyne.KeyUp:
		m.shift(-1)
	case c.Modifier == fyne.KeyModifierAlt && c.KeyName == fyne.KeyDown:
		m.shift(1)
	case c.Modifier == fyne.KeyModifierAlt && c.KeyName == fyne.KeyLeft:
		m.out()
	case c.Modifier == fyne.KeyModifierAlt && c.KeyName == fyne.KeyRight:
		m.into()
	case c.Modifier == fyne.KeyModifierShortcutDefault && c.KeyName == fyne.KeyD:
		m.duplicate()
	default:
		return false
	}
	return true
}

func (m *siteManager) menu() *fyne.Menu {
	items := []*fyne.MenuItem{fyne.NewMenuItem("New site", m.newSite), fyne.NewMenuItem("New folder…", m.newFolder)}
	if n, in := m.node(); n != nil {
		items = append(items, fyne.NewMenuItemSeparator(), fyne.NewMenuItem("Duplicate", m.duplicate),
			fyne.NewMenuItem("Move up", func() { m.shift(-1) }), fyne.NewMenuItem("Move down", func() { m.shift(1) }))
		if len(in) > 0 {
			items = append(items, fyne.NewMenuItem("Move out of the folder", m.out))
		}
		items = append(items, fyne.NewMenuItem("Move into the folder above", m.into), fyne.NewMenuItemSeparator(), fyne.NewMenuItem("Delete", m.remove))
	}
	return fyne.NewMenu("", items...)
}

// move moves a node, and says why that can't be.
func (m *siteManager) move(id, folder string, at int) {
	if err := m.book.Move(id, folder, at); err != nil {
		m.say(app.Sentence(err), kit.ColorBad)
		return
	}
	m.changed = true
	m.show(id)
}

// around is the folder that a node lies in ("" at the top), what that holds, and the node's place.
func (m *siteManager) around(n *sites.Node, in []*sites.Node) (folder string, list []*sites.Node, at int) {
	list = m.book.Nodes
	if len(in) > 0 {
		folder, list = in[len(in)-1].ID, in[len(in)-1].Nodes
	}
	return folder, list, slices.Index(list, n)
}

// shift moves the chosen node one place up or down in its folder.
func (m *siteManager) shift(by int) {
	n, in := m.node()
	if n == nil {
		return
	}
	folder, list, at := m.around(n, in)
	switch {
	case by < 0 && at > 0:
		m.move(n.ID, folder, at-1)
	case by > 0 && at < len(list)-1:
		m.move(n.ID, folder, at+2)
	}
}

// out moves the chosen node behind the folder that it lies in.
func (m *siteManager) out() {
	n, in := m.node()
	if n == nil || len(in) == 0 {
		return
	}
	folder, _, at := m.around(in[len(in)-1], in[:len(in)-1])
	m.move(n.ID, folder, at+1)
}

// into moves the chosen node into the folder next above it in its list.
func (m *siteManager) into() {
	n, in := m.node()
	if n == nil {
		return
	}
	_, list, at := m.around(n, in)
	for i := at - 1; i >= 0; i-- {
		if list[i].Folder() {
			list[i].Closed = false
			m.move(n.ID, list[i].ID, -1)
			return
		}
	}
	m.say("There is no folder above it in this list.", kit.ColorMuted)
}

// place is where a dragged node would go.
type place struct {
	folder string // "": the top
	at     int    // -1: the end
	words  string
	row    int // of the folder that would take it; -1: it goes between rows
	open   *sites.Node
}

// placeAt is the place under the mouse: between two rows, or in a folder. It reports false where there is none.
func (m *siteManager) placeAt(n *sites.Node, at fyne.Position) (place, bool) {
	row, part := m.tree.RowAt(at)
	if n == nil || row < 0 || strings.TrimSpace(m.search.Text) != "" {
		return place{}, false
	}
	if row >= len(m.rows) {
		return place{at: -1, row: -1, words: "to the end"}, true
	}
	to := m.rows[row]
	if to.node == n {
		return place{}, false
	}
	name := shorten(connlog.Printable(to.node.Name), 30)
	folder, _, index := m.around(to.node, to.in)
	switch {
	case to.node.Folder() && part > 0.25 && (part < 0.75 || !to.node.Closed):
		p := place{folder: to.node.ID, at: -1, row: row, words: "into " + name, open: to.node}
		if part >= 0.75 {
			p.at = 0
		}
		return p, true
	case part < 0.5:
		return place{folder: folder, at: index, row: -1, words: "before " + name}, true
	}
	return place{folder: folder, at: index + 1, row: -1, words: "after " + name}, true
}

// drag shows where the chosen node would go.
func (m *siteManager) drag(at fyne.Position) {
	n, _ := m.node()
	if n == nil {
		return
	}
	p, ok := m.placeAt(n, at)
	text := shorten(connlog.Printable(n.Name), 30)
	if !ok {
		p.row = -1
	} else {
		text = "Move " + text + " " + p.words
	}
	m.tree.MarkDrop(p.row)
	kit.ShowDragged(m.tree, text, at)
}

// drop puts the chosen node where it was dropped. A drag that was given up comes without rows.
func (m *siteManager) drop(rows []int, at fyne.Position) {
	m.tree.MarkDrop(-1)
	kit.ShowDragged(m.tree, "", at)
	n, _ := m.node()
	p, ok := m.placeAt(n, at)
	if !ok || len(rows) == 0 {
		return
	}
	if p.open != nil {
		p.open.Closed = false
	}
	m.move(n.ID, p.folder, p.at)
}

// add puts a new node behind the chosen one, or into it when it is an open folder.
func (m *siteManager) add(n *sites.Node) {
	m.take()
	folder, at := "", -1
	if c, in := m.node(); c != nil {
		if c.Folder() && !c.Closed {
			folder = c.ID
		} else {
			folder, _, at = m.around(c, in)
			at++
		}
	}
	if err := m.book.Add(folder, at, n); err != nil {
		m.say(app.Sentence(err), kit.ColorBad)
		return
	}
	m.changed = true
	m.search.SetText("")
	m.show(n.ID)
}

func (m *siteManager) newSite() { m.addSite(&sites.Site{Login: sites.LoginNormal}, "") }

// addSite adds a site that may be filled already, for instance from a URL.
func (m *siteManager) addSite(s *sites.Site, password string) {
	s.Mend()
	name := s.Host
	if name == "" {
		name = "New site"
	}
	n := sites.NewNode(name, s)
	m.add(n)
	m.fields.password.SetText(password)
	m.fields.tabs.Select(0)
	if s.Host == "" {
		m.w.focusOn(m.fields.host)
		return
	}
	m.dialog.SetDefault("Save") // it is connected to already, or was typed for later
	m.w.focusOn(m.fields.name)
	m.fields.name.SelectText()
}

func (m *siteManager) newFolder() {
	kit.Prompt(m.w, kit.PromptOptions{Title: "New folder", Label: "Name", OK: "Make folder", Validate: func(name string) error {
		if strings.TrimSpace(name) == "" {
			return fmt.Errorf("type a name")
		}
		return nil
	}}, func(name string) {
		m.add(sites.NewNode(strings.TrimSpace(name), nil))
		kit.FocusOn(m.tree)
	})
}

func (m *siteManager) duplicate() {
	m.take()
	c, from, err := m.book.Duplicate(m.chosen())
	if err != nil {
		return
	}
	m.changed = true
	for to, old := range from {
		if s, ok := m.secret.Set[old]; ok {
			m.secret.Set[to] = s
		} else if first, ok := m.secret.Copy[old]; ok {
			m.secret.Copy[to] = first
		} else {
			m.secret.Copy[to] = old
		}
	}
	m.show(c.ID)
}

func (m *siteManager) remove() {
	n, in := m.node()
	if n == nil {
		return
	}
	drop := func() {
		_, list, at := m.around(n, in)
		next := ""
		switch {
		case at+1 < len(list):
			next = list[at+1].ID
		case at > 0:
			next = list[at-1].ID
		case len(in) > 0:
			next = in[len(in)-1].ID
		}
		m.filled = ""
		for _, id := range idsOf(n) {
			delete(m.secret.Set, id)
			delete(m.secret.Copy, id)
			m.secret.Delete = append(m.secret.Delete, id)
		}
		if err := m.book.Delete(n.ID); err != nil {
			m.say(app.Sentence(err), kit.ColorBad)
			return
		}
		m.changed = true
		m.show(next)
	}
	if !n.Folder() || len(n.Nodes) == 0 {
		drop() // Cancel brings it back
		return
	}
	kit.Confirm(m.w, "Delete this folder?", fmt.Sprintf("%s and %s in it will be deleted.", connlog.Printable(n.Name),
		count((&sites.Book{Nodes: n.Nodes}).Len(), "site", "sites")), "Delete", true, drop)
}

// idsOf are the sites of a node.
func idsOf(n *sites.Node) []string {
	var ids []string
	(&sites.Book{Nodes: []*sites.Node{n}}).All(func(one *sites.Node, _ []*sites.Node) bool {
		if !one.Folder() {
			ids = append(ids, one.ID)
		}
		return true
	})
	return ids
}

// check finds the first site that can't be, and shows it.
func (m *siteManager) check() bool {
	if problem := m.fields.problem; problem != "" {
		m.say(problem, kit.ColorBad)
		return false
	}
	var bad *sites.Node
	var why error
	m.book.All(func(n *sites.Node, in []*sites.Node) bool {
		if n.Site != nil {
			if why = n.Site.Check(); why != nil {
				bad = n
				for _, f := range in {
					f.Closed = false
				}
			}
		}
		return bad == nil
	})
	if bad == nil {
		return true
	}
	m.search.SetText("")
	m.show(bad.ID)
	if bad.Site.Host == "" {
		m.fields.tabs.Select(0)
		m.w.focusOn(m.fields.host)
	}
	m.say(app.Sentence(why), kit.ColorBad)
	return false
}

// keep saves what was changed.
func (m *siteManager) keep() bool {
	m.take()
	if !m.check() {
		return false
	}
	if m.changed {
		for id := range m.secret.Set {
			if n, _ := m.book.Find(id); n == nil || n.Site.Login == sites.LoginAsk || n.Site.Login == sites.LoginAnonymous {
				delete(m.secret.Set, id)
			}
		}
		m.w.app.SaveSites(m.base, m.book, m.secret, func(err error) {
			if err != nil {
				m.w.post(func() { kit.Message(m.w, "The passwords were not kept", app.Sentence(err)) })
			}
		})
		m.base = m.book.Clone()
		m.changed, m.secret = false, app.SecretChanges{Set: map[string]sites.Secret{}, Copy: map[string]string{}}
	}
	return true
}

func (m *siteManager) connect() bool {
	n, _ := m.node()
	if n == nil || n.Folder() || !m.keep() {
		return false
	}
	m.dialog.Close()
	m.w.connectSite(n.ID)
	return false
}

// cancel asks before something that was typed is lost.
func (m *siteManager) cancel() bool {
	m.take()
	if !m.changed && m.fields.problem == "" {
		return true
	}
	kit.Confirm(m.w, "Discard the changes?", "What you changed in the sites is not saved.", "Discard", true, m.dialog.Close)
	return false
}

// imports reads the sites of other programs, those of each into a folder of their own: those that lie where the programs keep
// them are offered.
func (m *siteManager) imports() {
	if m.looking {
		return
	}
	m.looking = true
	m.w.app.FindSites(func(found []sites.Source) {
		m.w.post(func() {
			m.looking = false
			switch {
			case !m.dialog.Open():
			case len(found) == 0:
				m.importFiles()
			default:
				m.offer(found)
			}
		})
	})
}

// offer asks which of the sites that were found are to be imported.
func (m *siteManager) offer(found []sites.Source) {
	rows := kit.VBox(8, kit.NewMutedParagraph("Found on this computer:"))
	checks := make([]*kit.Check, len(found))
	for i, s := range found {
		checks[i] = kit.NewCheck(string(s.From), nil)
		checks[i].ShowChecked(true)
		path := kit.NewMutedLabel(shorten(connlog.Printable(s.Path), 60))
		rows.Add(kit.HBox(kit.Gap, kit.FixedWidth(110, checks[i]), kit.Grow(path)))
	}
	d := &kit.Dialog{Title: "Import sites", Width: 560, Post: m.w.post, Focus: checks[0], Content: rows}
	d.Buttons = []kit.DialogButton{
		{Text: "Another file…", Left: true, Run: func() bool { d.Close(); m.importFiles(); return false }},
		{Text: "Cancel", Cancel: true},
		{Text: "Import", Style: kit.Primary, Default: true, Run: func() bool {
			var paths []string
			for i, c := range checks {
				if c.Checked {
					paths = append(paths, found[i].Path)
				}
			}
			d.Close()
			m.read(paths)
			return false
		}},
	}
	d.Show(m.w)
}

// importFiles asks for the files.
func (m *siteManager) importFiles() {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	files := m.files
	files.Hidden = true // most programs keep their sites where nobody sees them
	files.Files(m.w, "Import sites", "Import", home, m.read)
}

// read imports files.
func (m *siteManager) read(paths []string) {
	if len(paths) == 0 {
		return
	}
	m.say("Reading…", kit.ColorMuted)
	var all []*sites.Imported
	left := len(paths)
	for _, p := range paths {
		m.w.app.ReadSites(p, func(in *sites.Imported, err error) {
			m.w.post(func() {
				if err != nil {
					in = &sites.Imported{Problems: []string{filepath.Base(p) + ": " + err.Error()}}
				}
				all = append(all, in)
				if left--; left == 0 && m.dialog.Open() {
					m.imported(all)
				}
			})
		})
	}
}

func (m *siteManager) imported(all []*sites.Imported) {
	m.take()
	m.say("", "")
	folders := map[sites.Program]*sites.Node{}
	var problems []string
	read, secrets, first := 0, 0, ""
	for _, in := range all {
		problems = append(problems, in.Problems...)
		if len(in.Nodes) == 0 {
			continue
		}
		folder := folders[in.From]
		if folder == nil {
			folder = sites.NewNode("From "+string(in.From), nil)
			if err := m.book.Add("", -1, folder); err != nil {
				m.say(app.Sentence(err), kit.ColorBad)
				return
			}
			folders[in.From] = folder
		}
		folder.Nodes = append(folder.Nodes, in.Nodes...)
		maps.Copy(m.secret.Set, in.Secrets)
		read, secrets, first = read+in.Len(), secrets+len(in.Secrets), cmp.Or(first, folder.ID)
		m.changed = true
	}
	if first != "" {
		m.search.SetText("")
		m.show(first)
		m.w.focusOn(m.tree)
	}
	text := count(read, "site was", "sites were") + " read"
	if secrets > 0 {
		text += ", " + count(secrets, "with its password", "with their passwords")
	}
	if len(problems) == 0 {
		m.say(connlog.Capital(text)+". Save keeps what was read.", kit.ColorGood)
		return
	}
	m.report(connlog.Capital(text)+". This could not be read, or not wholly:", problems)
}

// maxReported is how many sentences a report shows; a copy has all of them.
const maxReported = 200

// report shows a list of sentences that can be copied.
func (m *siteManager) report(title string, lines []string) {
	list := kit.VBox(6)
	for _, line := range lines[:min(len(lines), maxReported)] {
		list.Add(kit.NewParagraph(connlog.Printable(line)))
	}
	if more := len(lines) - maxReported; more > 0 {
		list.Add(kit.NewMutedParagraph(fmt.Sprintf("And %d more: Copy has them all.", more)))
	}
	scroll := container.NewVScroll(kit.Pad(8, 14, 8, 10, list))
	d := &kit.Dialog{Title: "Sites", Width: 620, Post: m.w.post,
		Content: kit.VBox(8, kit.NewParagraph(title), kit.FixedHeight(180, kit.NewFlushCard(scroll)))}
	d.OnKey = func(ev *fyne.KeyEvent) bool {
		by, ok := map[fyne.KeyName]float32{fyne.KeyDown: 24, fyne.KeyUp: -24, fyne.KeyPageDown: 160, fyne.KeyPageUp: -160}[ev.Name]
		if ok {
			scroll.ScrollToOffset(scroll.Offset.AddXY(0, by))
		}
		return ok
	}
	d.Buttons = []kit.DialogButton{
		{Text: "Copy", Left: true, Run: func() bool { kit.Copy(scroll, strings.Join(lines, "\n")); return false }},
		{Text: "Close", Style: kit.Primary, Default: true, Cancel: true},
	}
	d.Show(m.w)
}

// exports writes all sites, or the chosen ones, to a file.
func (m *siteManager) exports() {
	m.take()
	n, _ := m.node()
	what := []string{"All sites"}
	if n != nil {
		what = append(what, connlog.Printable(n.Name))
	}
	part := kit.NewSelect(what, nil)
	format := kit.NewSelect([]string{"FileZilla (XML)", "Portside (JSON)"}, nil)
	d := &kit.Dialog{Title: "Export sites", Width: 420, Post: m.w.post, Content: kit.VBox(8, formRow("Which", part), formRow("As", format),
		kit.NewMutedParagraph("No passwords are written: who opens the file is asked for them."))}
	d.Buttons = []kit.DialogButton{
		{Text: "Cancel", Cancel: true},
		{Text: "Choose the file…", Style: kit.Primary, Default: true, Run: func() bool {
			d.Close()
			book := m.book
			if part.Selected == 1 {
				book = &sites.Book{Nodes: []*sites.Node{n}}
			}
			m.exportTo(book.Clone(), format.Selected == 0)
			return false
		}},
	}
	d.Show(m.w)
}

func (m *siteManager) exportTo(book *sites.Book, filezilla bool) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	name, as := "portside-sites.json", sites.Portside
	if filezilla {
		name, as = "FileZilla.xml", sites.FileZilla
	}
	m.files.Save(m.w, filepath.Join(home, name), func(path string) {
		m.w.app.ExportSites(path, book, as, func(lost []string, err error) {
			m.w.post(func() {
				switch {
				case err != nil:
					kit.Message(m.w, "The sites were not exported", app.Sentence(err))
				case len(lost) > 0:
					m.report("Saved as "+path+". The file could not hold this:", lost)
				default:
					m.say("Saved as "+path+".", kit.ColorGood)
				}
			})
		})
	})
}
