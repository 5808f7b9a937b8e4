package ui

import (
	"fmt"
	"slices"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/ui/kit"
)

// tabStrip is the row of site tabs. It is there as soon as there are two.
type tabStrip struct {
	row     *fyne.Container
	buttons []tabButtons
	outer   *fyne.Container
	drawn   string // what the row shows
	current app.TabID
	kept    map[app.TabID]tabState
}

// tabButtons are a tab's two: they stay as long as the tab does, or a click that is on its way would be lost.
type tabButtons struct {
	id        app.TabID
	show, end *kit.Button
	mark      *kit.Marked // around both
}

// tabState is what the screen keeps of a tab that is not shown.
type tabState struct {
	address, user, password string
	mode                    int
	local                   string
	past, next              []string // of the remote pane
	localPast, localNext    []string
	cursor                  string
	linked                  *linkedFolders
}

func (s *tabStrip) box() fyne.CanvasObject {
	s.row = kit.HBox(2)
	s.kept = map[app.TabID]tabState{}
	s.outer = kit.FixedHeight(kit.PaneBar, kit.Surface(kit.Pad(3, 8, 0, 8, s.row)))
	s.outer.Hide()
	return s.outer
}

// tabTitle is what a tab is called.
func tabTitle(t app.Tab) string {
	switch {
	case t.Name != "":
		return connlog.Printable(shorten(t.Name, 24))
	case t.Target.Host == "":
		return "New tab"
	}
	title := shorten(t.Target.Host, 24)
	if t.Target.Port != 0 {
		title += fmt.Sprintf(":%d", t.Target.Port)
	}
	return connlog.Printable(title)
}

// tabTitles are what the tabs are called: those of the same server are told apart by the user, then by a number.
func tabTitles(all []app.Tab) []string {
	titles := make([]string, len(all))
	for i, t := range all {
		titles[i] = tabTitle(t)
	}
	twice := func(title string) bool {
		n := 0
		for _, t := range titles {
			if t == title {
				n++
			}
		}
		return n > 1
	}
	named := slices.Clone(titles)
	for i, t := range all {
		if t.Target.Host != "" && t.Name == "" && twice(titles[i]) {
			user := t.Target.User
			if user == "" {
				user = client.Anonymous
			}
			named[i] = connlog.Printable(shorten(user, 16)) + "@" + titles[i]
		}
	}
	seen := map[string]int{}
	for i, title := range named {
		if seen[title]++; seen[title] > 1 {
			named[i] = fmt.Sprintf("%s (%d)", title, seen[title])
		}
	}
	return named
}

// showTabs brings the row, and what the screen keeps for each tab, in line with the application.
func (c *connect) showTabs() {
	s := &c.tabs
	all, current := c.w.app.Tabs()
	if s.current != current {
		c.changeTab(all, current)
	}
	drawn, titles := fmt.Sprint(current), tabTitles(all)
	for i, t := range all {
		drawn += fmt.Sprint("|", t.ID, titles[i], t.Color, t.Phase, t.Busy, t.Asks, t.Failed)
	}
	if drawn == s.drawn {
		return
	}
	s.drawn = drawn
	if !slices.EqualFunc(s.buttons, all, func(b tabButtons, t app.Tab) bool { return b.id == t.ID }) {
		c.makeTabButtons(all)
	}
	for i, t := range all {
		s.buttons[i].describe(t, titles[i], t.ID == current)
	}
	kit.SetVisible(s.outer, len(all) > 1)
	kit.SetVisible(c.plus, len(all) < 2) // the row has one of its own
	c.remote.bar.Refresh()
	c.object.Refresh()
}

// makeTabButtons fills the row anew, keeping the buttons of tabs that were there.
func (c *connect) makeTabButtons(all []app.Tab) {
	s := &c.tabs
	before := s.buttons
	s.buttons = nil
	s.row.RemoveAll()
	for _, t := range all {
		i := slices.IndexFunc(before, func(b tabButtons) bool { return b.id == t.ID })
		if i < 0 {
			b := tabButtons{id: t.ID, show: kit.NewButton("", func() { c.selectTab(t.ID) }), end: kit.NewIconButton(kit.IconClose, "", func() { c.closeTab(t.ID) })}
			b.show.Style, b.end.Style = kit.Quiet, kit.Quiet
			b.mark = kit.NewMarked(kit.HBox(0, b.show, b.end))
			before, i = append(before, b), len(before)
		}
		s.buttons = append(s.buttons, before[i])
		s.row.Add(before[i].mark)
	}
	plus := kit.NewIconButton(kit.IconPlus, "New tab (Ctrl+T)", c.newTab)
	plus.Style = kit.Quiet
	s.row.Add(kit.Pad(0, 0, 2, 0, plus))
}

// describe says what a tab is and how it is.
func (b tabButtons) describe(t app.Tab, title string, current bool) {
	icon, state := kit.IconServer, "Not connected"
	switch {
	case t.Asks:
		icon, state = kit.IconWarning, "Asks about a certificate"
	case t.Busy:
		icon, state = kit.IconClock, "Busy"
	case t.Failed:
		icon, state = kit.IconCross, "Failed"
	case t.Phase == app.Connected:
		state = "Connected"
	case t.Phase == app.Connecting:
		state = "Connecting"
	}
	if t.Name != "" && t.Target.Host != "" {
		state += ": " + connlog.Printable(t.Target.Host)
	}
	b.show.IconColor = ""
	if t.Color != "" {
		b.show.IconColor = siteColor(t.Color)
	}
	b.show.Text, b.show.Icon, b.show.Tip, b.show.On = title, icon, state, current
	b.show.Refresh()
	b.mark.SetOn(current)
	b.mark.Refresh()
	b.end.Tip = "Close " + title
}

// changeTab puts away what the screen shows of one tab and takes out what it kept of another.
func (c *connect) changeTab(all []app.Tab, current app.TabID) {
	s := &c.tabs
	if s.current != 0 {
		st := tabState{
			address: c.address.Text, user: c.user.Text, password: c.password.Text, mode: c.mode.Selected, local: c.local.path,
			past: c.remote.past, next: c.remote.next, localPast: c.local.past, localNext: c.local.next, linked: c.linked,
		}
		if row := c.remote.table.Cursor(); row >= 0 {
			st.cursor = c.remote.rows.at(row).Name
		}
		s.kept[s.current] = st
	}
	there := map[app.TabID]bool{}
	for _, t := range all {
		there[t.ID] = true
	}
	for id := range s.kept {
		if !there[id] {
			delete(s.kept, id)
		}
	}
	first := s.current == 0
	s.current = current
	if first {
		return
	}
	st, known := s.kept[current]
	if !known {
		st.mode, st.local = c.mode.Selected, c.local.path
	}
	c.address.SetText(st.address)
	c.user.SetText(st.user)
	c.password.SetText(st.password)
	c.mode.ShowSelected(st.mode)
	c.linked = st.linked
	c.noted = kit.Span{}
	c.remote.table.SetSelected(nil) // the same names in another tab are other entries
	c.remote.past, c.remote.next, c.remote.want = st.past, st.next, st.cursor
	if known {
		c.local.past, c.local.next = st.localPast, st.localNext
	}
	if st.local != "" && st.local != c.local.path {
		c.w.app.OpenLocal(st.local)
	}
}

func (c *connect) newTab() {
	c.w.show("connect")
	c.endRename()
	c.w.app.NewTab()
	c.refresh()
	c.w.focusOn(c.address)
}

func (c *connect) selectTab(id app.TabID) {
	c.endRename()
	c.w.app.SelectTab(id)
	c.refresh()
	c.w.refreshStatus()
	c.focus()
}

func (c *connect) closeTab(id app.TabID) {
	c.endRename()
	c.w.app.CloseTab(id)
	c.refresh()
	c.w.refreshStatus()
	c.focus()
}

// endRename ends a change of a name in its row, as leaving it does, while the tab that it belongs to is the current one yet.
func (c *connect) endRename() {
	if c.remote.table.Editing() {
		c.w.focusOn(c.remote.table)
	}
}

// stepTab goes to the next tab or the one before, round the ends.
func (c *connect) stepTab(by int) {
	all, current := c.w.app.Tabs()
	for i, t := range all {
		if t.ID == current {
			c.selectTab(all[(i+by+len(all))%len(all)].ID)
			return
		}
	}
}

func (c *connect) shiftTab(by int) {
	all, current := c.w.app.Tabs()
	for i, t := range all {
		if t.ID == current {
			c.w.app.MoveTab(current, i+by)
		}
	}
	c.refresh()
}

func (c *connect) tabCommands() []kit.Command {
	on := func() bool { return c.w.screen == "connect" }
	several := func() bool {
		all, _ := c.w.app.Tabs()
		return on() && len(all) > 1
	}
	return []kit.Command{
		{ID: "tab.new", Title: "New tab", Keys: []string{"Ctrl+T", "Ctrl+N"}, Group: "Tabs", Icon: kit.IconPlus, Run: c.newTab},
		{ID: "tab.close", Title: "Close tab", Keys: []string{"Ctrl+W"}, Group: "Tabs", Enabled: several, Run: func() { c.closeTab(c.tabs.current) }},
		{ID: "tab.next", Title: "Next tab", Keys: []string{"Alt+PgDn"}, Group: "Tabs", Enabled: several, Run: func() { c.stepTab(1) }},
		{ID: "tab.previous", Title: "Previous tab", Keys: []string{"Alt+PgUp"}, Group: "Tabs", Enabled: several, Run: func() { c.stepTab(-1) }},
		{ID: "tab.left", Title: "Move tab left", Keys: []string{"Alt+Shift+PgUp"}, Group: "Tabs", Enabled: several, Run: func() { c.shiftTab(-1) }},
		{ID: "tab.right", Title: "Move tab right", Keys: []string{"Alt+Shift+PgDn"}, Group: "Tabs", Enabled: several, Run: func() { c.shiftTab(1) }},
	}
}
