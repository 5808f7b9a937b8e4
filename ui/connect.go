package ui

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
	"portside/ui/channels"
	"portside/ui/kit"
)

// connect is the Connect screen: address bar, local and remote pane, and the drawer with channels, transfers, commands.
type connect struct {
	w *Window

	address  *kit.Entry
	user     *kit.Entry
	password *kit.Entry
	mode     *kit.Select
	button   *kit.Button
	sites    *kit.Button // what was connected to, and the sites
	siteChip *kit.Chip   // the site that is connected to
	sharing  *kit.Chip

	local, remote *pane
	tls           *kit.Chip
	tlsDrawn      string
	plus          *kit.Button   // opens the first tab beside the only one
	line          *kit.FlowText // what is under way, or what failed
	lineBox       *fyne.Container
	examine       *kit.Button
	failed        string // the error that suspicion is about
	suspicion     string
	cancel        *kit.Button
	active        *pane

	transfers *transferList
	drawer    *channels.Drawer
	split     *kit.Drawer
	panes     *kit.Split
	object    fyne.CanvasObject

	noted         kit.Span
	errs          [2]string // of the server's and of the local pane, as they were at the last look
	localIsNewest bool      // of the two
	welcome       bool      // give the keyboard to the server's files as soon as they are there
	empty         string

	clip     *clip
	watching []func() bool
	compared comparing
	linked   *linkedFolders
	tabs     tabStrip
	search   *searchPanel
	edits    *editList

	question  *app.CertificateQuestion
	asked     *kit.Dialog
	overwrite *app.OverwriteQuestion
	conflict  *kit.Dialog
	wanted    *app.PasswordQuestion
	syncing   *syncDialog
	wantedBox *kit.Dialog
}

// modes are the choices of the mode field in its order.
var modes = []client.Mode{client.ModeAuto, client.ModePassive, client.ModeActive}

func newConnect(w *Window) *connect {
	c := &connect{w: w}
	set := w.app.Settings().Connect

	c.address = kit.NewEntry()
	c.address.SetPlaceHolder("Host name, or ftp://, ftpes://, ftps://")
	c.address.SetText(set.URL)
	c.address.SelectOnFocus = true
	c.address.OnEnter = func(string) { c.connect() }
	c.address.OnChanged = c.typed
	c.user = kit.NewEntry()
	c.user.SetPlaceHolder("anonymous")
	c.user.SetText(set.User)
	c.user.OnEnter = c.address.OnEnter
	c.password = kit.NewPasswordEntry()
	c.password.SetPlaceHolder("Password")
	c.password.OnEnter = c.address.OnEnter
	c.user.SelectOnFocus, c.password.SelectOnFocus = true, true
	c.mode = kit.NewSelect([]string{"Auto", "Passive", "Active"}, func(i int) {
		c.w.app.UseMode(modes[i])
	})
	c.mode.Prefix = "Mode: "
	c.mode.Tip = "Who opens the data channel: passive, you do; active, the server does; auto tries passive first"
	c.mode.ShowSelected(slices.Index(modes, set.Mode))
	c.button = kit.NewPrimaryButton("Connect", c.connectOrNot)
	c.button.Titles = []string{"Connect", "Cancel", "Disconnect"}
	c.sharing = kit.NewChip("Not sharing", kit.ColorMuted, "")
	c.sharing.OnTapped = func() { w.show("share") }

	c.sites = kit.NewMenuButton("", c.sitesMenu)
	c.sites.Icon, c.sites.Tip = kit.IconStar, "Sites, and what you connected to  "+kit.KeyLabel("Ctrl+B")
	c.siteChip = kit.NewChip("", "", "")
	c.siteChip.OnTapped = func() { openSites(w, "") }
	c.siteChip.Hide()
	c.tls = kit.NewChip("", "", "")
	c.siteChip.Shrinks, c.tls.Shrinks = true, true
	more := func(p **pane) *kit.Button {
		b := kit.NewIconButton(kit.IconMore, "More (Alt+M)", nil)
		b.Style = kit.Quiet
		b.OnTapped = func() {
			c.active = *p
			c.moreMenu(fyne.CurrentApp().Driver().AbsolutePositionForObject(b).AddXY(0, b.Size().Height+2))
		}
		return b
	}
	c.local = newPane("LOCAL", true, more(&c.local))
	c.plus = kit.NewIconButton(kit.IconPlus, "New tab for another server (Ctrl+T)", c.newTab)
	c.plus.Style = kit.Quiet
	c.remote = newPane("REMOTE", false, c.siteChip, c.tls, c.plus, more(&c.remote))
	c.active = c.local
	c.local.open, c.remote.open = w.app.OpenLocal, c.openRemote
	c.local.copy, c.remote.copy = c.upload, c.download
	for _, p := range []*pane{c.local, c.remote} {
		p.focused = func() { c.active = p }
		p.tab = func() { w.focusOn(c.other(p).table) }
		p.key = func(ev *fyne.KeyEvent) bool { return w.registry.HandleKey(ev.Name, 0) }
		p.menu = c.menu
		p.table.OnSelectionChanged = w.refreshStatus
		p.table.OnDrag = func(rows []int, at fyne.Position) { c.drag(p, rows, at) }
		p.table.OnDrop = func(rows []int, at fyne.Position) { c.drop(p, rows, at) }
		p.rows.hideHidden = set.HideHidden
		p.cutOut = func(name string) bool { return c.clip.holds(p, c.w.app.Remote().Target, name) }
		p.keepColumns = func() {
			w.settings.change(func(s *app.Settings) {
				s.Connect.LocalPane, s.Connect.RemotePane = c.local.rememberColumns(), c.remote.rememberColumns()
			})
		}
		p.going = func(dir string) { c.follow(p, dir) }
		p.changed, p.arranged = c.compareAgain, w.refreshStatus
	}
	c.local.restoreColumns(set.LocalPane)
	c.remote.restoreColumns(set.RemotePane)
	c.local.table.SetEmpty(kit.Empty{Text: "This folder is empty."})

	c.line = kit.NewFlowText()
	c.cancel = kit.NewButton("Cancel", w.app.Cancel)
	c.examine = kit.NewButton("Examine", c.examineServer)
	c.examine.Tip = "Find out what is wrong, step by step, and what has to change"
	c.lineBox = kit.Pad(2, 8, 2, 10, kit.HBox(kit.Gap, kit.Grow(kit.Pad(4, 0, 4, 0, c.line)), container.NewCenter(c.examine), container.NewCenter(c.cancel)))

	c.transfers = newTransferList(w)
	c.search, c.edits = newSearchPanel(c), newEditList(c)
	c.drawer = channels.NewDrawer(channels.Options{
		Side: connlog.Client, Log: w.app.Log, Post: w.post, Actions: c.actions, Save: w.saveLog, Compare: w.compareLogs,
		Fold: func() { c.split.Toggle() }, Unfold: func() { c.split.SetFolded(false) },
		After: []channels.Tab{{ID: "transfers", Title: "Transfers", Content: c.transfers.object}},
		Empty: "Connect to a server, and each channel appears here as an arrow: its tail is at the side that opened it.",
	})

	fields := container.New(&elastic{gap: kit.Gap, grows: 1, // Tab goes from the address on to the user
		least: []float32{0, 180, 84, 96, 0, 0, 0}, most: []float32{0, 300, 120, 128, 0, 0, 0},
	}, c.sites, c.address, c.user, c.password, c.mode, c.button, c.sharing)
	bar := kit.FixedHeight(kit.BarHeight, kit.Surface(kit.Pad(8, 10, 8, 10, fields)))
	c.panes = kit.NewSplit(c.local.object, c.remote.object)
	if share := w.app.Settings().Window.Panes; share > 0 && share < 1 {
		c.panes.SetOffset(float32(share))
	}
	panes := kit.VBox(0, c.tabs.box(), kit.Grow(c.panes))
	c.split = kit.NewDrawer(kit.VBox(0, kit.Grow(panes), c.lineBox), nil, c.drawer, 0)
	c.split.SetShare(drawerShare)
	if d := w.app.Settings().Window.Drawer; d > 0 && d < 1 {
		c.split.SetShare(float32(1 - d))
	}
	c.split.SetFolded(w.app.Settings().Window.Folded)
	c.object = kit.VBox(0, bar, kit.NewSeparator(), kit.Grow(c.split))
	c.lineBox.Hide()
	w.app.OpenLocal(set.LocalFolder)
	return c
}

// drawerShare is the drawer's share of the height until the person changes it.
const drawerShare = 0.43

func (c *connect) other(p *pane) *pane {
	if p == c.local {
		return c.remote
	}
	return c.local
}

// typed fills user and password from a URL that was pasted, so that a password doesn't stay readable in the bar.
func (c *connect) typed(text string) {
	c.welcome = false
	at := strings.LastIndex(text, "@")
	if at < 0 || !strings.Contains(text, "://") {
		return
	}
	t, err := client.ParseURL(text)
	if err != nil || t.Password == "" {
		return
	}
	c.user.SetText(t.User)
	c.password.SetText(t.Password)
	t.Password = ""
	t.User = ""
	c.address.SetText(t.Shown())
}

func (c *connect) connectOrNot() {
	switch c.w.app.Remote().Phase {
	case app.Disconnected:
		c.connect()
	case app.Connecting:
		c.w.app.Cancel()
	default:
		c.w.app.Disconnect()
	}
}

func (c *connect) connect() {
	t, ok := c.target()
	if !ok {
		return
	}
	c.begin()
	c.welcome = true
	c.w.app.Connect(t, modes[c.mode.Selected])
}

// target reads the bar; when that can't be it says why.
func (c *connect) target() (t client.Target, ok bool) {
	t, err := c.readBar()
	if err != nil {
		c.note(app.Sentence(err), kit.ColorBad)
		c.w.focusOn(c.address)
		return t, false
	}
	return t, true
}

func (c *connect) readBar() (client.Target, error) {
	t, err := client.ParseURL(c.address.Text)
	if err != nil {
		return t, err
	}
	if t.User == "" {
		t.User = c.user.Text
	}
	if c.password.Text != "" {
		t.Password = c.password.Text
	}
	return t, nil
}

// examineServer has the doctor examine the server in the bar.
func (c *connect) examineServer() {
	if t, ok := c.target(); ok {
		c.examineTarget(t)
	}
}

func (c *connect) examineTarget(t client.Target) {
	c.w.show("doctor")
	c.w.doctor.examineTarget(t, modes[c.mode.Selected])
}

// serverOf is a channel's server: as the bar names it, else as one of the tabs does, else what the channel tells. The log
// has the channels of all tabs, and of servers that were left.
func (c *connect) serverOf(ch connlog.Channel) client.Target {
	if t, err := c.readBar(); err == nil && leadsTo(ch, t) {
		return t
	}
	tabs, _ := c.w.app.Tabs()
	for _, tab := range tabs {
		if leadsTo(ch, tab.Target) {
			return tab.Target
		}
	}
	return client.Target{Host: ch.Host, Port: ch.Server.Port(), User: ch.User}
}

// leadsTo says whether a channel belongs to a session with a server.
func leadsTo(ch connlog.Channel, t client.Target) bool {
	return strings.EqualFold(ch.Host, t.Host) && (!ch.Server.IsValid() || ch.Server.Port() == t.ControlPort())
}

// tryIt connects to a server of its own on this computer, and moves a file in both modes.
func (c *connect) tryIt() {
	c.w.show("connect")
	if c.w.app.Remote().Phase == app.Disconnected { // else it gets a tab of its own
		c.begin()
	}
	c.split.SetFolded(false)
	c.drawer.SelectTab(channels.TabChannels)
	c.w.focusOn(c.remote.table) // the button goes away
	c.w.app.TryIt()
}

// open fills the bar from a URL and connects.
func (c *connect) open(url string) {
	c.user.SetText("") // who signed in somewhere else the last time
	c.password.SetText("")
	c.address.SetText(url)
	c.connect()
}

// begin forgets what belongs to the server before.
func (c *connect) begin() {
	c.remote.forget()
	c.noted = kit.Span{}
}

// note says something on this screen's own account, until something else is under way or has failed.
func (c *connect) note(text string, color fyne.ThemeColorName) {
	c.noted = kit.Span{Text: text, Color: color}
	c.errors(c.w.app.Remote().Err, c.w.app.Local().Err)
	c.refresh()
}

// errors takes note of the panes' errors, and says whether there is a new one.
func (c *connect) errors(remote, local string) (fresh bool) {
	for i, err := range []string{remote, local} {
		if err != "" && err != c.errs[i] {
			c.localIsNewest, fresh = i == 1, true
		}
		c.errs[i] = err
	}
	return fresh
}

// say shows a line under the panes; an empty one takes it away.
func (c *connect) say(text string, color fyne.ThemeColorName) {
	if text == "" {
		if c.lineBox.Visible() {
			c.lineBox.Hide()
			c.object.Refresh()
		}
		return
	}
	c.line.SetSpans(kit.Span{Text: text, Color: color})
	c.cancel.Hide()
	c.examine.Hide()
	if r := c.w.app.Remote(); color == kit.ColorBad && text == r.Err && text == c.failed {
		if c.suspicion != "" || r.Phase == app.Disconnected {
			c.examine.Show()
		}
		if c.suspicion != "" {
			spans := []kit.Span{{Text: c.suspicion, Color: kit.ColorBad}}
			if !endsAlike(c.suspicion, r.Seen) {
				spans = append(spans, kit.Span{Text: " " + r.Seen, Color: kit.ColorMuted})
			}
			c.line.SetSpans(spans...)
		}
	}
	if c.w.app.Remote().Doing != "" {
		c.cancel.Show()
	}
	if !c.lineBox.Visible() {
		c.lineBox.Show()
		c.object.Refresh()
	}
}

// endsAlike says that both end with the same reason, the words after the last colon.
func endsAlike(a, b string) bool {
	i, j := strings.LastIndex(a, ": "), strings.LastIndex(b, ": ")
	return i >= 0 && j >= 0 && a[i:] == b[j:]
}

// refresh brings the screen in line with the application.
func (c *connect) refresh() {
	r := c.w.app.Remote()
	switch r.Phase {
	case app.Disconnected:
		c.button.Style = kit.Primary
		c.button.SetText("Connect")
	case app.Connecting:
		c.button.Style = kit.Plain
		c.button.SetText("Cancel")
	case app.Connected:
		c.button.Style = kit.Plain
		c.button.SetText("Disconnect")
	}
	l := c.w.app.Local()
	// What was under way may have ended between two looks.
	if c.errors(r.Err, l.Err) || r.Doing != "" {
		c.noted = kit.Span{}
	}
	switch {
	case r.Phase == app.Connecting && r.Folder.Path == "":
		c.say("", "") // the empty pane says it: a line that comes and goes would move the panes
	case r.Doing != "" && r.Status != "":
		c.say(r.Doing+": "+r.Status, kit.ColorMuted)
	case r.Doing != "":
		c.say(r.Doing+"…", kit.ColorMuted)
	case c.noted.Text != "":
		c.say(c.noted.Text, c.noted.Color)
	case l.Err != "" && (r.Err == "" || c.localIsNewest):
		c.say(l.Err, kit.ColorBad)
	case r.Err != "":
		if r.Err != c.failed {
			c.failed, c.suspicion = r.Err, ""
			if s := c.w.app.Suspicion(); s != nil {
				c.suspicion = connlog.Capital(string(s.Confidence)) + ": " + plainArrows(s.Sentence)
			}
		}
		c.say(r.Err, kit.ColorBad)
	default:
		c.say("", "")
	}

	c.showTabs()
	c.local.show(l.Folder, c.typing(c.local))
	c.remote.show(r.Folder, c.typing(c.remote))
	c.callWatched()
	c.search.refresh()
	c.remoteEmpty(r)
	if c.welcome && r.Phase == app.Connected && r.Folder.Path != "" {
		c.welcome = false
		c.w.focusOn(c.remote.table)
		if s, _, _ := c.w.app.ConnectedSite(); s != nil && s.Linked && c.linked == nil {
			c.link(c.local.path, c.remote.path)
		}
	}
	switch {
	case r.Phase != app.Connected:
		c.tls.Hide()
	case r.TLS != "":
		c.tls.Set(r.TLS, "", kit.IconLock)
		c.tls.Tip = tlsTip(r)
		c.tls.Show()
	default:
		c.tls.Set("In clear", "", kit.IconUnlock)
		c.tls.Tip = "Commands, names, passwords and files go unprotected. ftpes:// asks for TLS."
		c.tls.Show()
	}
	c.showSite(r)
	if now := c.tls.Text() + c.siteChip.Text() + fmt.Sprint(c.tls.Visible(), c.siteChip.Visible()); now != c.tlsDrawn { // it takes room in the pane's bar
		c.tlsDrawn = now
		c.remote.bar.Refresh()
	}
	s := c.w.app.Share()
	if s.Phase == app.Running {
		c.sharing.Set("Sharing "+shorten(connlog.Printable(filepath.Base(s.Folder)), 16), kit.ColorGood, "")
	} else {
		c.sharing.Set("Not sharing", kit.ColorMuted, "")
	}
	c.transfers.refresh()
	c.drawer.SetBadge("transfers", c.transfers.badge())
	c.questions()
	if c.syncing != nil {
		c.syncing.refresh()
	}
}

// questions shows what waits for an answer. What waits goes on with it only, so another screen does not hold it back.
func (c *connect) questions() {
	c.edits.refresh()
	c.ask(c.w.app.Remote().Question)
	c.askOverwrite(c.w.app.OverwriteQuestion())
	c.transfers.askPassword(c.w.app.PasswordQuestion())
}

func (c *connect) typing(p *pane) bool { return c.w.Canvas().Focused() == p.address }

func (c *connect) remoteEmpty(r app.Remote) {
	e := kit.Empty{Text: r.Doing, Hint: r.Status}
	switch {
	case r.Phase == app.Connected && r.Folder.Path != "":
		e = kit.Empty{Text: "This folder is empty."}
	case r.Phase == app.Disconnected:
		e = kit.Empty{
			Text: "Not connected.", Hint: "Type a server's address above and press Enter. To see first how it goes, use a server on this computer:",
			Button: "Try it", OnTap: c.tryIt,
		}
	}
	if now := e.Text + e.Hint; now != c.empty { // a button that is made anew would lose the click that is on its way
		c.empty = now
		c.remote.table.SetEmpty(e)
	}
}

// actions are what can be done about a channel.
func (c *connect) actions(ch connlog.Channel) []channels.Action {
	var out []channels.Action
	use := func(label string, m client.Mode) {
		out = append(out, channels.Action{Label: label, Run: func() { c.mode.SetSelected(slices.Index(modes, m)) }})
	}
	if r := c.w.app.Remote(); ch.Kind == connlog.Data && r.Phase == app.Connected && leadsTo(ch, r.Target) {
		switch {
		case ch.Mode == connlog.Active && !ch.OtherFailed:
			use("Use passive from now on", client.ModePassive)
		case ch.Mode == connlog.Passive && ch.State == connlog.Failed && !ch.OtherFailed && ch.ModeMatters():
			use("Use active from now on", client.ModeActive)
		}
	}
	if ch.State == connlog.Failed {
		out = append(out, channels.Action{Label: "Examine", Run: func() { c.examineTarget(c.serverOf(ch)) }})
	}
	return append(out, c.w.noteAndLearn(ch)...)
}

func (c *connect) download(entries []client.Entry) {
	if len(entries) == 0 || c.local.path == "" {
		return
	}
	c.downloadFrom(c.remote.path, entries, c.local.path)
}

func (c *connect) openRemote(dir string) {
	if c.w.app.Remote().Phase != app.Connected {
		c.note("Connect to a server first: then its folders can be opened.", kit.ColorMuted)
		return
	}
	c.w.app.OpenRemote(dir)
}

const connectFirst = "Connect to a server first: then files can be copied to it."

func (c *connect) upload(entries []client.Entry) {
	if len(entries) == 0 {
		return
	}
	c.uploadInto(entries, c.local.path, c.remote.path)
}

// uploadPaths uploads what was dropped on the window.
func (c *connect) uploadPaths(paths []string) {
	if c.w.app.Remote().Phase != app.Connected {
		c.note(connectFirst, kit.ColorMuted)
		return
	}
	c.w.app.UploadPaths(paths)
	c.drawer.SelectTab("transfers")
}

func (c *connect) commands() []kit.Command {
	on := func() bool { return c.w.screen == "connect" }
	has := func() bool { return on() && c.active.chosen() > 0 }
	usable := func() bool {
		return on() && (c.active == c.local || c.w.app.Remote().Phase == app.Connected)
	}
	one := func() bool { return usable() && c.active.chosen() == 1 }
	return slices.Concat([]kit.Command{
		{ID: "connect.address", Title: "Address bar", Keys: []string{"Ctrl+L"}, Group: "Connection", Enabled: on, Run: c.toAddress},
		{ID: "connect.connect", Title: "Connect or disconnect", Keys: []string{"Ctrl+K"}, Group: "Connection", Enabled: on, Run: c.connectOrNot},
		{ID: "connect.try", Title: "Try it on this computer", Keys: []string{"Alt+T"}, Group: "Connection", Run: c.tryIt},
		{ID: "connect.cancel", Title: "Cancel what is under way", Keys: []string{"Escape"}, Group: "Connection",
			Enabled: func() bool { return on() && c.w.app.Remote().Doing != "" }, Run: c.w.app.Cancel},
		{ID: "pane.copy", Title: "Copy to the other side", Keys: []string{"F6"}, Group: "Files", Icon: kit.IconDownload,
			Enabled: func() bool { return has() && c.w.app.Remote().Phase == app.Connected }, Run: func() { c.active.copy(c.active.selected()) }},
		{ID: "pane.sync", Title: "Synchronize folders…", Keys: []string{"Ctrl+Y"}, Group: "Files", Icon: kit.IconRefresh,
			Enabled: func() bool {
				return on() && c.local.path != "" && c.remote.path != "" && c.w.app.Remote().Phase == app.Connected
			},
			Run: func() { c.syncing = newSync(c.w, c.local.path, c.remote.path) }},
		{ID: "pane.refresh", Title: "Refresh", Keys: []string{"F5", "Ctrl+R"}, Group: "Files", Icon: kit.IconRefresh, Enabled: usable, Run: func() { c.active.open(c.active.path) }},
		{ID: "pane.folder", Title: "New folder…", Keys: []string{"F7"}, Group: "Files", Icon: kit.IconFolderNew, Enabled: usable, Run: c.newFolder},
		{ID: "pane.file", Title: "New file…", Keys: []string{"Ctrl+F7"}, Group: "Files", Enabled: usable, Run: c.newFile},
		{ID: "pane.rename", Title: "Rename", Keys: []string{"F2"}, Group: "Files", Icon: kit.IconEdit, Enabled: one, Run: c.rename},
		{ID: "pane.delete", Title: "Delete…", Keys: []string{"Delete"}, Group: "Files", Icon: kit.IconDelete, Enabled: func() bool { return usable() && has() }, Run: c.remove},
		{ID: "pane.back", Title: "Back", Keys: []string{"Alt+Left"}, Group: "Files", Enabled: on, Run: func() { c.active.goBack() }},
		{ID: "pane.forward", Title: "Forward", Keys: []string{"Alt+Right"}, Group: "Files", Enabled: on, Run: func() { c.active.goForward() }},
		{ID: "drawer.find", Title: "Find in channels", Keys: []string{"F3"}, Group: "View", Enabled: on, Run: c.find},
		{ID: "drawer.fold", Title: "Show or hide the drawer", Keys: []string{"Ctrl+J"}, Group: "View", Enabled: on, Run: c.split.Toggle},
	}, c.transfers.commands(), c.fileCommands(), c.tabCommands(), c.compareCommands(), c.editCommands(), c.searchCommands())
}

// toAddress gives the keyboard to the address bar, ready to be typed over.
func (c *connect) toAddress() {
	c.w.focusOn(c.address)
	c.address.SelectText()
}

// find searches the channels or the commands.
func (c *connect) find() {
	c.split.SetFolded(false)
	c.drawer.FocusSearch()
}

func (c *connect) menu(at fyne.Position) {
	kit.ShowMenu(c.active.table, c.w.registry.Menu("pane.copy", "pane.edit", "-", "pane.cut", "pane.take", "pane.paste", "-",
		"pane.rename", "pane.delete", "pane.rights", "pane.url", "pane.share", "-", "pane.folder", "pane.file", "pane.refresh", "pane.filter", "pane.hidden", "-", "pane.properties"), at)
}

// moreMenu offers what is seldom needed, for the active pane.
func (c *connect) moreMenu(at fyne.Position) {
	kit.ShowMenu(c.active.table, c.w.registry.Menu("pane.filter", "pane.hidden", "pane.columns", "-",
		"compare.size", "compare.time", "compare.different", "compare.linked", "-", "search.open", "edit.list", "pane.raw"), at)
}

func (c *connect) newFolder() {
	c.newEntry("New folder", "Make folder", c.w.app.MakeLocalFolder, c.w.app.MakeRemoteFolder)
}

func (c *connect) newFile() {
	c.newEntry("New file", "Make file", c.w.app.MakeLocalFile, c.w.app.MakeRemoteFile)
}

// newEntry asks for a name and makes what is called so in the active pane's folder.
func (c *connect) newEntry(title, ok string, local, remote func(dir, name string)) {
	p, dir := c.active, c.active.path // another folder may be shown by the time that the name is typed
	kit.Prompt(c.w, kit.PromptOptions{Title: title, Label: "Name", OK: ok, Validate: goodName}, func(name string) {
		p.want = name
		if p == c.local {
			local(dir, name)
		} else {
			remote(dir, name)
		}
	})
}

// goodName checks a typed name of a file or folder.
func goodName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return fmt.Errorf("type a name")
	case strings.ContainsAny(name, "/\x00\r\n"):
		return fmt.Errorf("a name can't hold a slash or a line end")
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// ask shows the question about a certificate, once, and takes it away when it is no longer asked.
func (c *connect) ask(q *app.CertificateQuestion) {
	if q == c.question {
		return
	}
	c.question = q
	if c.asked != nil {
		c.asked.Close()
		c.asked = nil
	}
	if q == nil {
		return
	}
	if q.Known != "" && q.Known != q.Problem.SHA256 {
		if q.Vouched() {
			c.asked = c.vouchedCertificate(q)
		} else {
			c.asked = c.changedCertificate(q)
		}
		return
	}
	d := q.Describe()
	intro := kit.NewFlowText(kit.Span{Text: "This server's certificate is not vouched for by anyone that this computer trusts. Compare its fingerprint (SHA-256) with the one that the server's owner tells you."})
	answer := func(t app.Trust) func() bool {
		return func() bool { q.Answer(t); return true }
	}
	c.asked = &kit.Dialog{
		Title: "Do you trust this server?", Width: 560,
		Content: kit.VBox(kit.Gap, intro, describe(q.Problem.Host, d, [2]string{"Problem", d.Problem})),
		Buttons: []kit.DialogButton{
			// Not an Enter that was meant for the address bar: trust is given with a choice.
			{Text: "Cancel", Cancel: true, Default: true, Run: answer(app.TrustNo)},
			{Text: "Trust always", Run: answer(app.TrustAlways)},
			{Text: "Trust once", Run: answer(app.TrustOnce)},
		},
	}
	c.asked.Show(c.w)
}

// askOverwrite shows the question about a file that is there already.
func (c *connect) askOverwrite(q *app.OverwriteQuestion) {
	if q == c.overwrite {
		return
	}
	c.overwrite = q
	if c.conflict != nil {
		c.conflict.Close()
		c.conflict = nil
	}
	if q == nil {
		return
	}
	all := kit.NewCheck("Do the same for all further files that were chosen together", nil)
	line := func(where string, size int64, at time.Time) fyne.CanvasObject {
		text := connlog.Bytes(size)
		if !at.IsZero() {
			text += ", changed " + at.Local().Format("2006-01-02 15:04:05")
		}
		return kit.HBox(kit.Gap, kit.FixedWidth(110, kit.NewMutedLabel(where)), kit.Grow(kit.NewLabel(text)))
	}
	name := connlog.Printable(filepath.Base(q.Local))
	where := "on this computer"
	if q.Direction == transfer.Upload {
		where = "on the server"
	}
	answer := func(p transfer.Policy) func() bool {
		return func() bool { q.Answer(p, all.Checked); return true }
	}
	c.conflict = &kit.Dialog{
		Title: name + " is already " + where, Width: 600,
		Content: kit.VBox(kit.Gap, line("This computer", q.LocalSize, q.LocalTime), line("Server", q.RemoteSize, q.RemoteTime), all),
		Buttons: []kit.DialogButton{
			{Text: "Cancel transfer", Cancel: true, Left: true, Run: func() bool { q.Cancel(); return true }},
			{Text: "Skip", Default: true, Run: answer(transfer.Skip)},
			{Text: "Rename", Run: answer(transfer.Rename)},
			{Text: "Resume", Run: answer(transfer.Resume)},
			{Text: "If newer", Run: answer(transfer.Newer)},
			{Text: "If size differs", Run: answer(transfer.OtherSize)},
			{Text: "Overwrite", Style: kit.Danger, Run: answer(transfer.Overwrite)},
		},
	}
	c.conflict.Show(c.w)
}

// grouped breaks a fingerprint into readable groups, so that it wraps.
func grouped(hex string) string {
	if strings.Contains(hex, ":") {
		hex = strings.ReplaceAll(hex, ":", "")
	}
	var b strings.Builder
	for i, r := range hex {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (c *connect) view() fyne.CanvasObject { return c.object }

func (c *connect) shown(on bool) { c.drawer.SetActive(on) }

// focus puts the keyboard where work begins: the address bar, or the files once there are some.
func (c *connect) focus() {
	if c.w.app.Remote().Phase == app.Disconnected {
		c.w.focusOn(c.address)
		return
	}
	c.w.focusOn(c.active.table)
}

// status is what the status bar says on this screen.
func (c *connect) status() (left, right []string) {
	r := c.w.app.Remote()
	switch r.Phase {
	case app.Connected:
		user := r.Target.User
		if user == "" {
			user = client.Anonymous
		}
		left = append(left, shorten(r.Target.Host, 40)+" · "+shorten(user, 24))
		if r.Mode == client.ModeAuto && r.ModeUsed != "" && r.ModeUsed != client.ModeAuto && r.Folder.Path != "" {
			left = append(left, "Auto uses "+string(r.ModeUsed)+" mode")
		}
		if text := clockText(r); text != "" {
			left = append(left, text)
		}
	case app.Connecting:
		left = append(left, "Connecting to "+shorten(r.Target.Host, 40))
	default:
		left = append(left, "Not connected")
	}
	if text := c.active.selection(); text != "" {
		left = append(left, text)
	} else if text := c.active.summary(); text != "" {
		left = append(left, text)
	}
	if text := c.edits.status(); text != "" {
		left = append(left, text)
	}
	return left, c.transfers.status()
}

// clock writes a time left: "00:41", "1:02:03".
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}
