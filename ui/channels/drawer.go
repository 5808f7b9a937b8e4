package channels

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
	"portside/ui/kit"
)

// The drawer's own tabs, for [Drawer.SelectTab].
const (
	TabChannels = "channels"
	TabCommands = "commands"
)

// menuSessions is how many sessions the menu names; older ones are found among all of them.
const menuSessions = 20

// Tab is a further tab, which the screen brings.
type Tab struct {
	ID, Title string
	Content   fyne.CanvasObject
}

// Options is what a [Drawer] needs.
type Options struct {
	// Side is the viewpoint: whose records are shown.
	Side connlog.Side
	Log  *connlog.Log
	// Post runs a function on the user interface's goroutine, later and in order. It must not wait for it.
	Post kit.Post
	// Before and After are further tabs, left and right of Channels.
	Before, After []Tab
	// Actions returns what can be done about a channel, for the buttons under its explanation; nil for nothing.
	Actions func(connlog.Channel) []Action
	// Save asks the person where to save the log, with name as the proposal, and calls write with what was opened,
	// which may be on another goroutine. Nil: the log can't be saved from here.
	Save func(name string, write func(io.Writer) error)
	// Fold is called for a click on the tab that is shown already, and Unfold when another one is chosen.
	Fold, Unfold func()
	// Compare asks for another log and compares it with this one. Nil: it can't be done from here.
	Compare func()
	// Empty is what stands in the place of the channels as long as there are none: what would be here, and how to get it.
	Empty string
}

// Drawer is the panel under the panes: the channels with their explanation, the commands, and what further tabs the
// screen brings. It watches the log only between [Drawer.Start] and [Drawer.Close], and only while it is active.
type Drawer struct {
	widget.BaseWidget

	opt      Options
	diagram  *Diagram
	detail   *Detail
	commands *Commands
	lookout  *lookout
	view     view
	active   bool

	all      []Tab
	tabs     *kit.TabBar
	split    *kit.Split
	session  *kit.Button
	search   *kit.Entry
	failures *kit.Button
	save     *kit.Button
	now      func() time.Time
}

// NewDrawer returns a drawer that is active but does not watch yet.
func NewDrawer(opt Options) *Drawer {
	d := &Drawer{opt: opt, now: time.Now}
	copyText := func(text string) { kit.Copy(d, text) }
	d.diagram = NewDiagram(opt.Side, opt.Empty)
	d.detail = NewDetail("Here the chosen channel is explained: who opened it and why, what the firewalls on the way saw, and how it ended.")
	d.commands = NewCommands(opt.Log, opt.Empty)
	d.detail.Actions, d.detail.OnCopy, d.commands.OnCopy = opt.Actions, copyText, copyText
	d.diagram.OnChosen = d.detail.SetChannel
	d.diagram.OnCopy = func(c connlog.Channel) { copyText(c.Explain().String()) }
	d.diagram.Menu = d.channelMenu
	d.lookout = newLookout(opt.Log, opt.Side, d.apply)

	d.split = kit.NewSplit(d.diagram, d.detail)
	d.split.SetOffset(0.47)
	d.session = kit.NewMenuButton("", d.sessionMenu)
	d.session.Tip = "Which sessions are shown"
	d.search = kit.NewEntry()
	d.search.SetPlaceHolder("Find")
	d.search.OnChanged = func(text string) {
		d.ask(func(q *query) { q.text = strings.ToLower(strings.TrimSpace(text)) })
	}
	d.search.OnEscape = func() {
		d.search.SetText("")
		d.FocusContent()
	}
	d.search.OnEnter = func(string) { d.FocusContent() }
	d.search.OnArrow = func(bool) { d.FocusContent() }
	d.failures = kit.NewButton("Failures only", func() { d.SetFailuresOnly(!d.failures.On) })
	d.save = kit.NewMenuButton("Save log…", d.saveMenu)
	d.makeTabs()
	d.SetActive(true)
	d.showQuery()
	d.ExtendBaseWidget(d)
	return d
}

func (d *Drawer) makeTabs() {
	d.all = append(d.all, d.opt.Before...)
	d.all = append(d.all, Tab{TabChannels, "Channels", d.split})
	d.all = append(d.all, d.opt.After...)
	d.all = append(d.all, Tab{TabCommands, "Commands", d.commands})
	titles := make([]string, len(d.all))
	for i, t := range d.all {
		titles[i] = t.Title
	}
	d.tabs = kit.NewTabBar(titles)
	d.tabs.Reserve(d.index(TabChannels), "99")
	d.tabs.OnSelected = func(i int) {
		if d.opt.Unfold != nil {
			d.opt.Unfold()
		}
		d.Refresh()
		d.all[i].Content.Refresh() // it missed what happened while it was not shown, a change of theme for instance
	}
	d.tabs.OnTappedAgain = d.opt.Fold
}

// Start begins to watch the log, until ctx ends or [Drawer.Close] is called.
func (d *Drawer) Start(ctx context.Context) {
	d.lookout.start(ctx, d.opt.Post)
}

// Close ends the watching and waits until it has ended.
func (d *Drawer) Close() { d.lookout.stop() }

// SetActive says whether anybody can see the drawer. While nobody can, the log is not looked at.
func (d *Drawer) SetActive(active bool) {
	d.active = active
	d.lookout.setVisible(d.visible())
}

// Show makes the drawer visible.
func (d *Drawer) Show() { d.BaseWidget.Show(); d.lookout.setVisible(d.visible()) }

// Hide makes it invisible, and stops looking at the log for as long.
func (d *Drawer) Hide() { d.BaseWidget.Hide(); d.lookout.setVisible(false) }

func (d *Drawer) visible() bool { return d.active && !d.Hidden }

func (d *Drawer) ask(change func(*query)) {
	d.lookout.ask(change)
	d.showQuery()
}

// ShowAllSessions shows the channels and commands of every session.
func (d *Drawer) ShowAllSessions() {
	d.ask(func(q *query) { q.choice, q.session = allSessions, connlog.SessionKey{} })
}

// ShowNewestSession shows whichever session began last.
func (d *Drawer) ShowNewestSession() {
	d.ask(func(q *query) { q.choice, q.session = newestSession, connlog.SessionKey{} })
}

// ShowSession shows one session.
func (d *Drawer) ShowSession(key connlog.SessionKey) {
	d.ask(func(q *query) { q.choice, q.session = oneSession, key })
}

// SetFailuresOnly leaves out what did not fail, or no longer does.
func (d *Drawer) SetFailuresOnly(on bool) {
	d.ask(func(q *query) { q.failures = on })
}

// FocusSearch gives the keyboard to the text search, for Ctrl+F.
func (d *Drawer) FocusSearch() {
	if d.Tab() != TabCommands {
		d.SelectTab(TabChannels)
	}
	kit.FocusBeside(d, d.search)
}

// FocusContent gives the keyboard to the arrows, or to the lines of the commands.
func (d *Drawer) FocusContent() {
	switch d.Tab() {
	case TabChannels:
		kit.FocusBeside(d, d.diagram.col)
	case TabCommands:
		kit.FocusBeside(d, d.commands.col)
	}
}

// SelectTab shows the tab called id.
func (d *Drawer) SelectTab(id string) { d.tabs.Select(d.index(id)) }

// Tab returns the id of the tab that is shown.
func (d *Drawer) Tab() string { return d.all[d.tabs.Selected()].ID }

// SetBadge changes the small text beside a tab's title, a number for instance; empty takes it away.
func (d *Drawer) SetBadge(id, text string) {
	if i := d.index(id); i >= 0 {
		width := d.tabs.MinSize().Width
		d.tabs.SetCount(i, text)
		if d.tabs.MinSize().Width != width {
			d.Refresh() // the tools move
		}
	}
}

func (d *Drawer) index(id string) int {
	return slices.IndexFunc(d.all, func(t Tab) bool { return t.ID == id })
}

// Chosen returns the chosen channel.
func (d *Drawer) Chosen() (connlog.Channel, bool) { return d.diagram.Chosen() }

// apply shows v.
func (d *Drawer) apply(v view) {
	asked := d.view.query != v.query
	d.view = v
	names := make(map[connlog.SessionKey]string, len(v.sessions))
	for _, s := range v.sessions {
		names[s.SessionKey] = who(s.Side, s.User, s.Host, s.Client, s.Server)
	}
	d.diagram.empty, d.commands.empty = d.opt.Empty, d.opt.Empty
	if v.query.narrowed() && v.total > 0 {
		d.diagram.empty = "None of the channels fits the filter."
	}
	if v.query.narrowed() && v.allLines > 0 {
		d.commands.empty = "No line fits the filter."
	}
	d.diagram.SetChannels(v.channels, v.several)
	if asked {
		d.diagram.Reveal()
	}
	if len(v.channels) == 0 {
		d.detail.Clear()
	}
	d.commands.setLines(v.lines, v.several, names)
	count := ""
	if v.total > 0 {
		count = strconv.Itoa(v.total)
	}
	d.SetBadge(TabChannels, count)
	d.showQuery()
}

// showQuery brings the tools in line with what is asked.
func (d *Drawer) showQuery() {
	q := d.lookout.want()
	text := "All sessions"
	switch q.choice {
	case newestSession:
		text = "Newest session"
	case oneSession:
		text = "One session"
		for _, s := range d.view.sessions {
			if s.SessionKey == q.session {
				text = sessionTitle(s)
			}
		}
	}
	if d.session.Text != text {
		d.session.SetText(text)
		d.Refresh()
	}
	d.failures.SetOn(q.failures)
}

func sessionTitle(s connlog.Session) string {
	return join(who(s.Side, s.User, s.Host, s.Client, s.Server), s.Started.Format("15:04:05"))
}

func (d *Drawer) sessionMenu() *fyne.Menu {
	q := d.lookout.want()
	item := func(title string, checked bool, run func()) *fyne.MenuItem {
		i := fyne.NewMenuItem(title, run)
		i.Checked = checked
		return i
	}
	items := []*fyne.MenuItem{
		item("All sessions", q.choice == allSessions, d.ShowAllSessions),
		item("Newest session", q.choice == newestSession, d.ShowNewestSession),
	}
	for i, s := range d.view.sessions {
		if i == 0 {
			items = append(items, fyne.NewMenuItemSeparator())
		}
		if i == menuSessions {
			break
		}
		title := sessionTitle(s)
		if s.Failed > 0 {
			title = join(title, strconv.Itoa(s.Failed)+" failed")
		}
		items = append(items, item(title, q.choice == oneSession && q.session == s.SessionKey, func() { d.ShowSession(s.SessionKey) }))
	}
	return fyne.NewMenu("", items...)
}

func (d *Drawer) channelMenu(c connlog.Channel) *fyne.Menu {
	items := []*fyne.MenuItem{
		fyne.NewMenuItem("Copy explanation", func() { d.diagram.OnCopy(c) }),
		fyne.NewMenuItem("Show only this session", func() { d.ShowSession(c.SessionKey) }),
	}
	if d.opt.Actions != nil {
		for i, a := range d.opt.Actions(c) {
			if i == 0 {
				items = append(items, fyne.NewMenuItemSeparator())
			}
			items = append(items, fyne.NewMenuItem(a.Label, a.Run))
		}
	}
	return fyne.NewMenu("", items...)
}

func (d *Drawer) saveMenu() *fyne.Menu {
	name := "portside-" + d.now().Format("2006-01-02-1504")
	items := []*fyne.MenuItem{
		fyne.NewMenuItem("As text, for reading…", func() { d.opt.Save(name+".txt", d.opt.Log.WriteText) }),
		fyne.NewMenuItem("As a page with pictures (HTML)…", func() { d.opt.Save(name+".html", d.opt.Log.WriteHTML) }),
		fyne.NewMenuItem("As JSON lines, for programs…", func() { d.opt.Save(name+".jsonl", d.opt.Log.WriteJSON) }),
	}
	if d.opt.Compare != nil {
		items = append(items, fyne.NewMenuItemSeparator(), fyne.NewMenuItem("Compare logs…", d.opt.Compare))
	}
	return fyne.NewMenu("", items...)
}

// CreateRenderer implements [fyne.Widget].
func (d *Drawer) CreateRenderer() fyne.WidgetRenderer {
	return &drawerRenderer{d: d, bar: &canvas.Rectangle{}, line: &canvas.Rectangle{}}
}

type drawerRenderer struct {
	d         *Drawer
	bar, line *canvas.Rectangle
	objects   []fyne.CanvasObject
}

func (r *drawerRenderer) Objects() []fyne.CanvasObject { return r.objects }
func (r *drawerRenderer) Destroy()                     {}

func (r *drawerRenderer) MinSize() fyne.Size {
	return fyne.NewSize(max(r.d.tabs.MinSize().Width, 320), 2*kit.TabHeight+100)
}

func (r *drawerRenderer) Layout(size fyne.Size) {
	d := r.d
	tab := d.Tab()
	var tools []fyne.CanvasObject
	if tab == TabChannels || tab == TabCommands {
		tools = append(tools, d.session, d.search, d.failures)
	}
	if d.opt.Save != nil {
		tools = append(tools, d.save)
	}
	r.objects = append([]fyne.CanvasObject{r.bar, r.line, d.tabs}, tools...)

	const gap, edge = 6, 6
	tabs := d.tabs.MinSize().Width
	d.setCompact(false)
	widths, sum := toolWidths(d, tools, gap)
	if tabs+edge+sum > size.Width { // signs instead of words
		d.setCompact(true)
		widths, sum = toolWidths(d, tools, gap)
	}
	height, x, y := kit.TabHeight, size.Width-edge-sum, float32(0)
	if tabs+edge+sum > size.Width && len(tools) > 1 { // a row of their own, from the left
		height, x, y = 2*kit.TabHeight, edge, kit.TabHeight
		if over := sum + 2*edge - size.Width; over > 0 {
			widths[1] = max(60, widths[1]-over) // the search
		}
	}
	d.tabs.Resize(fyne.NewSize(size.Width, kit.TabHeight))
	for i, o := range tools {
		o.Move(fyne.NewPos(x, y+(kit.TabHeight-kit.InputHeight)/2))
		o.Resize(fyne.NewSize(widths[i], kit.InputHeight))
		x += widths[i] + gap
	}
	r.bar.FillColor, r.line.FillColor = kit.Color(kit.ColorPanel), kit.Color(kit.ColorPanelBorder)
	r.bar.Resize(size)
	r.line.Hidden = y == 0 // the tab bar has one of its own
	r.line.Move(fyne.NewPos(0, height-1))
	r.line.Resize(fyne.NewSize(size.Width, 1))
	if o := d.all[d.tabs.Selected()].Content; o != nil && size.Height > height+1 { // else only the tabs are left of the drawer
		o.Move(fyne.NewPos(0, height))
		o.Resize(fyne.NewSize(size.Width, max(0, size.Height-height)))
		r.objects = append(r.objects, o)
	}
}

// toolWidths returns the widths of the tools, and what they take in all with gaps between them.
func toolWidths(d *Drawer, tools []fyne.CanvasObject, gap float32) (widths []float32, sum float32) {
	for i, o := range tools {
		w := o.MinSize().Width
		switch o {
		case d.search:
			w = 120
		case d.session:
			w = min(max(w, 130), 260)
		}
		if i > 0 {
			sum += gap
		}
		widths, sum = append(widths, w), sum+w
	}
	return widths, sum
}

// setCompact makes the buttons signs, which say in their tooltips what they do, or gives them their words.
func (d *Drawer) setCompact(on bool) {
	set := func(b *kit.Button, text, tip string, icon kit.IconName) {
		if on {
			text = ""
		} else {
			tip, icon = "", ""
		}
		if b.Text != text || b.Icon != icon {
			b.Text, b.Tip, b.Icon = text, tip, icon
			b.Refresh()
		}
	}
	set(d.failures, "Failures only", "Show only what failed", kit.IconWarning)
	set(d.save, "Save log…", "Save the log", kit.IconSave)
}

func (r *drawerRenderer) Refresh() {
	r.Layout(r.d.Size())
	canvas.Refresh(r.d)
}
