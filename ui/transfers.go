package ui

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client/transfer"
	"portside/connlog"
	"portside/ui/kit"
)

// transferList is the Transfers tab: the queue, split into what moves, waits, failed and is done.
type transferList struct {
	w      *Window
	tabs   *kit.TabBar
	table  *kit.Table
	drawn  drawn
	line   *kit.FlowText // what holds the queue up
	pager  *pager
	goal   int // the item to be shown as soon as its page is read; -1: none
	box    *fyne.Container
	said   string
	object *fyne.Container
	pause  *kit.Button
	speed  *kit.Button
	now    app.Transfers
	items  []transfer.QueueItem
}

// transferStates are the tabs in their order.
var transferStates = []transfer.State{transfer.Active, transfer.Waiting, transfer.Failed, transfer.Done}

const (
	tabActive = iota
	tabWaiting
	tabFailed
	tabDone
)

func newTransferList(w *Window) *transferList {
	l := &transferList{w: w, goal: -1}
	l.table = kit.NewTable(transferColumns(tabActive)...)
	l.table.Label = "Transfers"
	l.table.Length = func() int { return len(l.items) }
	l.table.Cell = l.cell
	l.table.Key = func(i int) string { return strconv.FormatUint(l.items[i].ID, 10) }
	l.table.OnMenu = func(_ []int, at fyne.Position) { kit.ShowMenu(l.table, l.menu(), at) }
	l.table.OnKey = func(ev *fyne.KeyEvent) bool {
		if ev.Name == fyne.KeyDelete {
			w.registry.Run("transfers.remove")
			return true // not the pane's file when there is nothing to remove here
		}
		return w.registry.HandleKey(ev.Name, 0)
	}
	l.pause = kit.NewButton("Pause", l.pauseOrResume)
	l.pause.Tip = "Stop all transfers, to go on later where they stopped, or collect some first (Ctrl+P)"
	l.speed = kit.NewMenuButton("No speed limit", l.speedMenu)
	more := kit.NewMenuButton("More", l.moreMenu)
	l.tabs = kit.NewTabBar([]string{"Active", "Waiting", "Failed", "Done"}, l.pause, l.speed, more)
	l.tabs.OnSelected = func(i int) {
		l.table.SetColumns(transferColumns(i))
		l.table.ClearSelection()
		l.goal = -1
		w.app.ShowTransfers(transferStates[i], 0)
		l.refresh()
	}
	l.line = kit.NewFlowText()
	l.pager = newPager(w, func(from int) {
		l.goal = from
		w.app.ShowTransfers(transferStates[l.tabs.Selected()], from)
	})
	l.box = kit.Pad(4, 10, 4, 10, kit.HBox(kit.Gap, kit.Grow(kit.Pad(4, 0, 0, 0, l.line)), l.pager.object))
	l.box.Hide()
	l.object = kit.VBox(0, l.tabs, l.box, kit.Grow(l.table))
	l.empty()
	return l
}

func transferColumns(tab int) []kit.Column {
	name := kit.Column{ID: "file", Title: "File", Flex: true, Min: 160}
	server := kit.Column{ID: "server", Title: "Server", Width: 150}
	size := kit.Column{ID: "size", Title: "Size", Width: 140, Align: fyne.TextAlignTrailing}
	switch tab {
	case tabFailed:
		name.Flex, name.Width = false, 200
		return []kit.Column{name, {ID: "why", Title: "Why", Flex: true, Min: 200}, server}
	case tabDone:
		return []kit.Column{name, {ID: "state", Title: "Result", Width: 220}, server, size, {ID: "when", Title: "When", Width: 70}}
	}
	return []kit.Column{name, {ID: "state", Title: "Progress", Width: 200}, server, size}
}

func (l *transferList) empty() {
	e := kit.Empty{Text: "Nothing is being copied.", Hint: "Choose files in a pane and press F6, or double-click one: it is copied to the other side."}
	switch l.tabs.Selected() {
	case tabWaiting:
		e = kit.Empty{Text: "Nothing is waiting.", Hint: "Files that wait for the active transfers to end appear here, and can be put in another order."}
	case tabFailed:
		e = kit.Empty{Text: "Nothing failed.", Hint: "Files that did not get across appear here, each with the reason, and can be tried again."}
	case tabDone:
		e = kit.Empty{Text: "Nothing is done yet."}
	}
	l.table.SetEmpty(e)
}

// refresh brings the tab in line with the queue.
func (l *transferList) refresh() {
	tab := l.tabs.Selected()
	l.now = l.w.app.Transfers()
	if transferStates[tab] == transfer.Active {
		l.items = l.now.Current
	} else if l.now.State == transferStates[tab] {
		l.items = l.now.Shown
	}
	counts := l.now.Items
	for i, n := range []int{len(l.now.Current), counts[transfer.Waiting] + counts[transfer.Paused] + max(0, counts[transfer.Active]-len(l.now.Current)), counts[transfer.Failed], counts[transfer.Done]} {
		text := ""
		if n > 0 {
			text = thousands(n)
		}
		l.tabs.SetCount(i, text)
	}
	l.say()
	title := "Pause"
	if l.rests() {
		title = "Resume"
	}
	l.pause.SetText(title)
	l.speed.SetText(l.limits())
	if len(l.items) == 0 {
		l.empty()
	}
	l.drawn.redraw(l.table)
	l.goal = min(l.goal, l.now.Listed(transferStates[tab])-1) // the list may have become shorter
	if row := l.goal - l.now.From; l.goal >= 0 && row >= 0 && row < len(l.items) {
		l.goal = -1
		l.table.SetCursor(row)
	}
}

func (l *transferList) stopped() bool {
	for _, s := range l.now.Sites {
		if s.Stopped && l.now.Left() > 0 {
			return true
		}
	}
	return false
}

// say tells what holds the queue up, and what was not asked for.
func (l *transferList) say() {
	var spans []kit.Span
	text := ""
	note := func(s string, color fyne.ThemeColorName) {
		if text != "" {
			s = "  " + s
		}
		text += s
		spans = append(spans, kit.Span{Text: s, Color: color})
	}
	if l.now.Problem != "" {
		note("The queue can't go on: "+l.now.Problem, kit.ColorBad)
	}
	switch {
	case l.now.Paused && l.now.Left() > 0:
		note("Paused. Resume goes on where it stopped.", kit.ColorMuted)
	case l.now.Paused:
		note("Paused. What is copied from now on waits here until you press Resume.", kit.ColorMuted)
	}
	for _, s := range l.now.Sites {
		if s.Note != "" && l.now.Left() > 0 {
			color := kit.ColorMuted
			if s.Stopped {
				color = kit.ColorBad
			}
			note(l.w.app.SiteName(s.Site)+": "+connlog.Printable(s.Note), color)
		}
	}
	state := transferStates[l.tabs.Selected()]
	total := 0
	if state != transfer.Active && state == l.now.State {
		total = l.now.Listed(state)
	}
	moved := l.pager.show(l.now.From, len(l.items), total, app.TransfersShown)
	if text == l.said && !moved {
		return
	}
	l.said = text
	l.line.SetSpans(spans...)
	kit.SetVisible(l.box, text != "" || l.pager.object.Visible())
	l.object.Refresh()
}

func (l *transferList) cell(i, col int) kit.Cell {
	if i >= len(l.items) {
		return kit.Cell{}
	}
	it := l.items[i]
	columns := l.table.Columns()
	if col >= len(columns) {
		return kit.Cell{}
	}
	switch columns[col].ID {
	case "file":
		icon, color := kit.IconUpload, kit.ColorMuted
		name := filepath.Base(it.Local)
		if it.Direction == transfer.Download {
			icon, name = kit.IconDownload, path.Base(it.Remote)
		}
		switch {
		case it.State == transfer.Failed:
			icon, color = kit.IconCross, kit.ColorBad
		case it.State == transfer.Done && it.Err == "":
			icon, color = kit.IconCheck, kit.ColorGood
		case it.State == transfer.Paused:
			icon = kit.IconPause
		case it.Folder:
			icon = kit.IconFolder
		}
		return kit.Cell{Text: connlog.Printable(name), Icon: kit.IconColored(icon, color)}
	case "server":
		return kit.Cell{Text: connlog.Printable(l.w.app.SiteName(it.Site))}
	case "why":
		return kit.Cell{Text: connlog.Capital(connlog.Printable(it.Err)), Color: kit.ColorBad}
	case "state":
		return l.state(it)
	case "size":
		if it.Folder || it.Size < 0 {
			return kit.Cell{}
		}
		if it.State == transfer.Active {
			return kit.Cell{Text: sizes(it.Moved, it.Size)}
		}
		return kit.Cell{Text: connlog.Bytes(it.Size)}
	case "when":
		return kit.Cell{Text: it.Ended.Local().Format("15:04:05")}
	}
	return kit.Cell{}
}

func (l *transferList) state(it transfer.QueueItem) kit.Cell {
	switch it.State {
	case transfer.Active:
		if !it.NextTry.IsZero() {
			when := "Waiting for a free connection" // its time has come, and questions or other files have them all
			if left := time.Until(it.NextTry); left > 0 {
				when = "Again in " + clock(left)
			}
			return kit.Cell{Text: when + ": " + connlog.Printable(it.Err), Color: kit.ColorBad}
		}
		if it.Folder || it.Named {
			return kit.Cell{Text: "Looking what is in it"}
		}
		if it.Writing {
			return progressCell(it.Moved, it.Size, "Writing to the disk")
		}
		return progressCell(it.Moved, it.Size, progress(it))
	case transfer.Paused:
		return kit.Cell{Text: "Paused"}
	case transfer.Done:
		if it.Err != "" {
			return kit.Cell{Text: "Skipped: " + it.Err}
		}
		return kit.Cell{Text: "Done", Color: kit.ColorGood}
	}
	switch it.Priority {
	case transfer.High:
		return kit.Cell{Text: "High priority"}
	case transfer.Low:
		return kit.Cell{Text: "Low priority"}
	}
	return kit.Cell{Text: "Waiting"}
}

func progressCell(done, size int64, text string) kit.Cell {
	var f float32
	if size > 0 {
		f = min(1, float32(done)/float32(size))
	}
	return kit.Cell{Text: text, Bar: &kit.Bar{Fraction: f}}
}

// progress says how far a file is, how fast it moves, and how long that takes yet.
func progress(it transfer.QueueItem) string {
	var parts []string
	if it.Size > 0 {
		parts = append(parts, fmt.Sprintf("%d %%", min(100, it.Moved*100/it.Size)))
	}
	if it.Speed >= 1 {
		parts = append(parts, speed(it.Speed))
		if left := float64(it.Size-it.Moved) / it.Speed; left >= 1 && left < 100*3600 {
			parts = append(parts, clock(time.Duration(left)*time.Second))
		}
	}
	return strings.Join(parts, " · ")
}

func sizes(done, total int64) string {
	if total <= 0 || done == total {
		return connlog.Bytes(done)
	}
	return connlog.Bytes(done) + " of " + connlog.Bytes(total)
}

func speed(bytesPerSecond float64) string { return connlog.Bytes(int64(bytesPerSecond)) + "/s" }

// badge is the small text beside the tab's title: how many are left.
func (l *transferList) badge() string {
	if n := l.now.Left(); n > 0 {
		return thousands(n)
	}
	return ""
}

// status is the right end of the status bar: speeds, files, time left.
func (l *transferList) status() []string {
	left := l.now.Left()
	switch {
	case left == 0 && l.now.Paused:
		return []string{"Transfers paused"}
	case left == 0:
		return nil
	}
	var out []string
	if l.now.Down > 0 && !l.now.Paused {
		out = append(out, "Down "+speed(l.now.Down))
	}
	if l.now.Up > 0 && !l.now.Paused {
		out = append(out, "Up "+speed(l.now.Up))
	}
	text := count(left, "transfer", "transfers") + " left"
	if l.now.Paused {
		text += ", paused"
	} else if l.now.Remaining > 0 {
		text += " · " + clock(l.now.Remaining)
	}
	return append(out, text)
}

// chosen are the numbers of the selected items, or of the one under the cursor.
func (l *transferList) chosen() []uint64 {
	rows := l.table.Selected()
	if len(rows) == 0 && l.table.Cursor() >= 0 {
		rows = []int{l.table.Cursor()}
	}
	var ids []uint64
	for _, i := range rows {
		if i < len(l.items) {
			ids = append(ids, l.items[i].ID)
		}
	}
	return ids
}

// rests says that nothing moves until the person wants it to.
func (l *transferList) rests() bool {
	return l.now.Paused || l.stopped() || l.now.Items[transfer.Paused] > 0 && l.now.Left() == l.now.Items[transfer.Paused]
}

func (l *transferList) pauseOrResume() {
	if l.rests() {
		l.w.app.ResumeTransfers()
	} else {
		l.w.app.PauseTransfers()
	}
}

// limits is the speed limit in short.
func (l *transferList) limits() string {
	down, up := l.w.app.SpeedLimits()
	var parts []string
	if down > 0 {
		parts = append(parts, "down "+connlog.Bytes(int64(down)<<10)+"/s")
	}
	if up > 0 {
		parts = append(parts, "up "+connlog.Bytes(int64(up)<<10)+"/s")
	}
	if len(parts) == 0 {
		return "No speed limit"
	}
	return "Limit: " + strings.Join(parts, ", ")
}

func (l *transferList) speedMenu() *fyne.Menu {
	return l.w.registry.Menu("transfers.speed", "transfers.unlimited")
}

// askSpeed asks for the limits.
func (l *transferList) askSpeed() {
	down, up := l.w.app.SpeedLimits()
	entries := [2]*kit.Entry{kit.NewEntry(), kit.NewEntry()}
	for i, n := range []int{down, up} {
		entries[i].SetPlaceHolder("no limit")
		if n > 0 {
			entries[i].SetText(strconv.Itoa(n))
		}
		entries[i].SelectOnFocus = true
	}
	problem := kit.NewMutedParagraph(" ")
	d := &kit.Dialog{Title: "Speed limits", Focus: entries[0], Content: kit.VBox(kit.Gap,
		kit.NewMutedParagraph("For all transfers together, in KiB a second. What is under way keeps to it at once."),
		labelled("Download", kit.FixedWidth(120, entries[0])), labelled("Upload", kit.FixedWidth(120, entries[1])), problem)}
	d.Buttons = []kit.DialogButton{{Text: "Cancel", Cancel: true}, {Text: "Set", Style: kit.Primary, Default: true, Run: func() bool {
		var n [2]int
		for i, e := range entries {
			text := strings.TrimSpace(e.Text)
			if text == "" {
				continue
			}
			var err error
			if n[i], err = strconv.Atoi(text); err != nil || n[i] < 1 || n[i] > maxLimit {
				problem.SetSpans(kit.Span{Text: fmt.Sprintf("%q is not a number from 1 to %d. Leave it empty for no limit.", text, maxLimit), Color: kit.ColorBad})
				d.Refresh()
				return false
			}
		}
		l.w.app.SetSpeedLimits(n[0], n[1])
		return true
	}}}
	for _, e := range entries {
		e.OnEnter = func(string) { d.Accept() }
	}
	d.Show(l.w)
}

// maxLimit is the highest speed limit, in KiB a second: 100 GiB/s.
const maxLimit = 100 << 20

func (l *transferList) menu() *fyne.Menu {
	switch l.tabs.Selected() {
	case tabActive:
		return l.w.registry.Menu("transfers.item.pause", "transfers.remove", "-", "transfers.pause")
	case tabWaiting:
		return l.w.registry.Menu("transfers.item.pause", "transfers.item.resume", "-", "transfers.top", "transfers.up", "transfers.down", "transfers.bottom", "-",
			"transfers.high", "transfers.normal", "transfers.low", "-", "transfers.remove", "transfers.cancel")
	case tabFailed:
		return l.w.registry.Menu("transfers.item.resume", "transfers.retry", "-", "transfers.remove", "transfers.clearFailed")
	}
	return l.w.registry.Menu("transfers.remove", "transfers.clearDone")
}

func (l *transferList) moreMenu() *fyne.Menu {
	return l.w.registry.Menu("transfers.retry", "transfers.clearDone", "transfers.clearFailed", "transfers.cancel", "-",
		"transfers.after.nothing", "transfers.after.disconnect", "transfers.after.quit")
}

func (l *transferList) cancelAll() {
	kit.Confirm(l.w, "Cancel all transfers?", connlog.Capital(count(l.now.Left(), "transfer", "transfers"))+" will be taken out of the queue. What was downloaded of a file so far stays beside it as a .part file.",
		"Cancel transfers", true, l.w.app.CancelTransfers)
}

func (l *transferList) commands() []kit.Command {
	on := func() bool { return l.w.screen == "connect" && l.w.connect.drawer.Tab() == "transfers" }
	any := func() bool { return l.w.screen == "connect" }
	in := func(tabs ...int) func() bool {
		return func() bool {
			if !on() || len(l.chosen()) == 0 {
				return false
			}
			for _, t := range tabs {
				if l.tabs.Selected() == t {
					return true
				}
			}
			return false
		}
	}
	a := l.w.app
	has := func(state transfer.State) func() bool {
		return func() bool { return any() && l.now.Items[state] > 0 }
	}
	move := func(id, title, key string, to transfer.Where) kit.Command {
		return kit.Command{ID: id, Title: title, Keys: []string{key}, Group: "Transfers", Enabled: in(tabWaiting), Run: func() { a.MoveItems(to, l.chosen()) }}
	}
	prio := func(id, title string, p transfer.Priority) kit.Command {
		return kit.Command{ID: id, Title: title, Group: "Transfers", Enabled: in(tabWaiting), Run: func() { a.PrioritizeItems(p, l.chosen()) }}
	}
	after := func(id, title string, what app.AfterTransfers) kit.Command {
		return kit.Command{ID: id, Title: title, Group: "Transfers", Checked: func() bool { return a.AfterTransfers() == what },
			Run: func() { a.SetAfterTransfers(what) }}
	}
	return []kit.Command{
		{ID: "transfers.show", Title: "Show transfers", Keys: []string{"Ctrl+Shift+T"}, Group: "Transfers", Enabled: any, Run: l.show},
		{ID: "transfers.pause", Title: "Pause or resume all", Keys: []string{"Ctrl+P"}, Group: "Transfers", Icon: kit.IconPause,
			Enabled: any, Run: l.pauseOrResume},
		{ID: "transfers.speed", Title: "Speed limits…", Keys: []string{"Ctrl+Shift+L"}, Group: "Transfers", Enabled: any, Run: l.askSpeed},
		{ID: "transfers.unlimited", Title: "No speed limit", Group: "Transfers", Run: func() { a.SetSpeedLimits(0, 0) },
			Checked: func() bool { d, u := a.SpeedLimits(); return d == 0 && u == 0 }},
		{ID: "transfers.retry", Title: "Try all failed again", Group: "Transfers", Icon: kit.IconRefresh, Enabled: has(transfer.Failed), Run: a.RetryFailed},
		{ID: "transfers.clearDone", Title: "Clear done", Group: "Transfers", Enabled: has(transfer.Done), Run: func() { a.ClearTransfers(transfer.Done) }},
		{ID: "transfers.clearFailed", Title: "Clear failed", Group: "Transfers", Enabled: has(transfer.Failed), Run: func() { a.ClearTransfers(transfer.Failed) }},
		{ID: "transfers.cancel", Title: "Cancel all…", Group: "Transfers", Icon: kit.IconStop, Enabled: func() bool { return any() && l.now.Left() > 0 }, Run: l.cancelAll},
		{ID: "transfers.item.pause", Title: "Pause", Group: "Transfers", Icon: kit.IconPause, Enabled: in(tabActive, tabWaiting), Run: func() { a.PauseItems(l.chosen()) }},
		{ID: "transfers.item.resume", Title: "Resume, or try again", Keys: []string{"Ctrl+Enter"}, Group: "Transfers", Icon: kit.IconPlay,
			Enabled: in(tabWaiting, tabFailed), Run: func() { a.ResumeItems(l.chosen()) }},
		{ID: "transfers.remove", Title: "Remove from the list", Group: "Transfers", Icon: kit.IconDelete,
			Enabled: in(tabActive, tabWaiting, tabFailed, tabDone), Run: func() { a.RemoveItems(l.chosen()) }},
		move("transfers.top", "Move to the top", "Alt+Home", transfer.Top), move("transfers.up", "Move up", "Alt+Up", transfer.Up),
		move("transfers.down", "Move down", "Alt+Down", transfer.Down), move("transfers.bottom", "Move to the end", "Alt+End", transfer.Bottom),
		prio("transfers.high", "High priority", transfer.High), prio("transfers.normal", "Normal priority", transfer.Normal), prio("transfers.low", "Low priority", transfer.Low),
		after("transfers.after.nothing", "At the end: nothing", app.AfterNothing), after("transfers.after.disconnect", "At the end: disconnect", app.AfterDisconnect),
		after("transfers.after.quit", "At the end: quit Portside", app.AfterQuit),
	}
}

// show opens the tab and gives its list the keyboard.
func (l *transferList) show() {
	l.w.connect.split.SetFolded(false)
	l.w.connect.drawer.SelectTab("transfers")
	l.w.focusOn(l.table)
}

// ended says that everything was moved.
func (l *transferList) ended(e *app.TransfersEnded) {
	if e == nil {
		return
	}
	show := kit.ShowToast
	switch {
	case e.Failed > 0:
		show = kit.ShowBadToast
	case e.Done == 0:
		show = kit.ShowNote
	}
	show(l.w.body, e.Sentence())
	if e.After == app.AfterQuit {
		l.w.closing()
	}
}

// askPassword shows the question about a password that the queue needs, once, and takes it away when it is not asked any
// more.
func (l *transferList) askPassword(q *app.PasswordQuestion) {
	c := l.w.connect
	if q == c.wanted {
		return
	}
	c.wanted = q
	if c.wantedBox != nil {
		c.wantedBox.Close()
		c.wantedBox = nil
	}
	if q == nil {
		return
	}
	password := kit.NewPasswordEntry()
	c.wantedBox = signInDialog("Password for the transfers", password, func() { q.Answer(password.Text) },
		nameRow("Server", q.Target.Host), nameRow("User", q.Target.User), formRow("Password", password))
	c.wantedBox.Post, c.wantedBox.OnClosed = l.w.post, q.Cancel // after an answer it does nothing
	c.wantedBox.Show(l.w)
}
