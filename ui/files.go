package ui

import (
	"fmt"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/ui/kit"
)

// clip is what was cut or copied in a pane.
type clip struct {
	local   bool
	cut     bool
	server  client.Target // of the server's entries
	dir     string
	entries []client.Entry
	names   map[string]bool // of what was cut
}

// holds says whether an entry of a pane was cut.
func (k *clip) holds(p *pane, server client.Target, name string) bool {
	if k == nil || !k.cut || k.local != p.local || k.dir != p.path || !k.local && !sameServer(k.server, server) {
		return false
	}
	return k.names[name]
}

func sameServer(a, b client.Target) bool {
	return strings.EqualFold(a.Host, b.Host) && a.ControlPort() == b.ControlPort() && a.User == b.User
}

// fileCommands are what can be done with the entries of a pane, beside what the Connect screen itself knows.
func (c *connect) fileCommands() []kit.Command {
	on := func() bool { return c.w.screen == "connect" }
	usable := func() bool { return on() && c.usable(c.active) }
	some := func() bool { return usable() && c.active.chosen() > 0 }
	atServer := func() bool { return on() && c.w.app.Remote().Phase == app.Connected }
	remoteSome := func() bool { return some() && c.active == c.remote }
	return []kit.Command{
		{ID: "pane.cut", Title: "Cut", Keys: []string{"Ctrl+X"}, Group: "Files", Enabled: some, Run: func() { c.take(true) }},
		{ID: "pane.take", Title: "Copy", Keys: []string{"Ctrl+C"}, Group: "Files", Enabled: some, Run: func() { c.take(false) }},
		{ID: "pane.paste", Title: "Paste", Keys: []string{"Ctrl+V"}, Group: "Files", Enabled: func() bool { return usable() && c.clip != nil }, Run: c.paste},
		{ID: "pane.rights", Title: "Rights…", Keys: []string{"Alt+R"}, Group: "Files", Enabled: some, Run: c.changeRights},
		{ID: "pane.properties", Title: "Properties", Keys: []string{"Alt+Enter"}, Group: "Files", Enabled: some, Run: c.properties},
		{ID: "pane.url", Title: "Copy URL", Keys: []string{"Ctrl+U"}, Group: "Files", Enabled: remoteSome,
			Run: func() { c.copyURL(c.active.path, c.active.selected()) }},
		{ID: "pane.share", Title: "Share…", Group: "Files", Enabled: func() bool { return usable() && c.shareable() != "" }, Run: c.shareFolder},
		{ID: "pane.filter", Title: "Filter", Keys: []string{"Ctrl+F"}, Group: "Files", Icon: kit.IconFilter, Enabled: usable, Run: c.filter},
		{ID: "pane.hidden", Title: "Show hidden files", Keys: []string{"Ctrl+H"}, Group: "View", Enabled: on,
			Checked: func() bool { return !c.w.app.Settings().Connect.HideHidden }, Run: c.toggleHidden},
		{ID: "pane.columns", Title: "Columns…", Keys: []string{"Alt+C"}, Group: "View", Enabled: on, Run: func() {
			t := c.active.table
			kit.ShowMenu(t, c.active.columnMenu(), fyne.CurrentApp().Driver().AbsolutePositionForObject(t).AddXY(24, kit.RowHeight))
		}},
		{ID: "pane.more", Title: "More…", Keys: []string{"Alt+M"}, Group: "View", Enabled: on, Run: func() {
			t := c.active.table
			c.moreMenu(fyne.CurrentApp().Driver().AbsolutePositionForObject(t).AddXY(24, kit.RowHeight))
		}},
		{ID: "pane.path", Title: "Go to path", Keys: []string{"Alt+D"}, Group: "Files", Enabled: on, Run: func() { c.active.typePath() }},
		{ID: "pane.raw", Title: "Send a command…", Keys: []string{"Ctrl+E"}, Group: "Connection", Enabled: atServer, Run: c.rawCommand},
	}
}

// usable says whether a pane shows something that can be worked with.
func (c *connect) usable(p *pane) bool {
	return p == c.local || c.w.app.Remote().Phase == app.Connected
}

func (c *connect) filter() {
	p := c.active
	p.showFilter(true)
	p.countFiltered()
	c.w.focusOn(p.filter)
}

func (c *connect) toggleHidden() {
	hide := !c.w.app.Settings().Connect.HideHidden
	c.w.settings.change(func(s *app.Settings) { s.Connect.HideHidden = hide })
	for _, p := range []*pane{c.local, c.remote} {
		p.rows.hideHidden = hide
		p.arrange()
	}
	c.w.refreshStatus()
}

// take keeps what is chosen for a paste.
func (c *connect) take(cut bool) {
	p := c.active
	k := &clip{local: p.local, cut: cut, server: c.w.app.Remote().Target, dir: p.path, entries: p.selected()}
	if len(k.entries) == 0 {
		return
	}
	if cut { // each row that is drawn asks
		k.names = make(map[string]bool, len(k.entries))
		for _, e := range k.entries {
			k.names[e.Name] = true
		}
	}
	c.clip = k
	c.local.table.Refresh()
	c.remote.table.Refresh()
	done := "Copied "
	if cut {
		done = "Cut "
	}
	kit.ShowToast(c.object, done+shorten(nameOf(k.entries), 60)+"; paste with Ctrl+V")
}

func nameOf(entries []client.Entry) string {
	if len(entries) == 1 {
		return connlog.Printable(entries[0].Name)
	}
	return fmt.Sprintf("%d entries", len(entries))
}

func namesOf(entries []client.Entry) []string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names
}

// paste puts what was cut or copied into the folder of the active pane.
func (c *connect) paste() {
	k, p := c.clip, c.active
	if k == nil || !c.usable(p) {
		return
	}
	c.put(*k, p, p.path)
	if k.cut && k.local == p.local {
		c.clip = nil
	}
}

// put brings entries into a folder of a pane. Within this computer they are moved or copied, within a server they are moved,
// and between the two they are transferred; the source stays where it was.
func (c *connect) put(k clip, p *pane, dir string) {
	switch {
	case k.local && p.local && k.cut:
		c.w.app.MoveLocal(k.dir, namesOf(k.entries), dir)
	case k.local && p.local:
		paths := make([]string, len(k.entries))
		for i, e := range k.entries {
			paths[i] = filepath.Join(k.dir, e.Name)
		}
		c.w.app.CopyLocal(paths, dir)
	case k.local:
		c.uploadInto(k.entries, k.dir, dir)
	case !sameServer(k.server, c.w.app.Remote().Target) || c.w.app.Remote().Phase != app.Connected:
		c.note("These entries are on "+k.server.Host+". Choose its tab first; between two servers, copy them to this computer and on from there.", kit.ColorMuted)
	case p.local:
		c.downloadFrom(k.dir, k.entries, dir)
	case k.cut:
		c.w.app.MoveRemote(k.dir, k.entries, dir, nil)
	default:
		c.note("FTP has no copy on the server itself. Cut and paste moves; a copy goes over this computer.", kit.ColorMuted)
	}
}

// uploadInto uploads into a folder that need not be the one shown.
func (c *connect) uploadInto(entries []client.Entry, from, into string) {
	if c.w.app.Remote().Phase != app.Connected {
		c.note(connectFirst, kit.ColorMuted)
		return
	}
	paths := make([]string, len(entries))
	for i, e := range entries {
		paths[i] = filepath.Join(from, e.Name)
	}
	c.w.app.UploadPathsTo(paths, into)
	c.drawer.SelectTab("transfers")
}

func (c *connect) downloadFrom(dir string, entries []client.Entry, into string) {
	if into == "" || len(entries) == 0 {
		return
	}
	c.w.app.DownloadFrom(dir, entries, into)
	c.drawer.SelectTab("transfers")
}

// shareable is the one local folder that is chosen, or the one shown when nothing is; "" when there is no such folder, or
// another one is shared now.
func (c *connect) shareable() string {
	if c.active != c.local || c.w.app.Share().Phase != app.Stopped {
		return ""
	}
	switch chosen := c.local.selected(); {
	case len(chosen) == 0:
		return c.local.path
	case len(chosen) == 1 && chosen[0].Type == client.Folder:
		return filepath.Join(c.local.path, chosen[0].Name)
	}
	return ""
}

// shareFolder takes the folder to the Share screen, where who may come in is chosen.
func (c *connect) shareFolder() {
	folder := c.shareable()
	c.w.show("share")
	c.w.share.drop(folder)
	c.w.focusOn(c.w.share.toggle)
}

// copyURL copies the addresses of entries of a folder of the server.
func (c *connect) copyURL(dir string, entries []client.Entry) {
	var urls []string
	for _, e := range entries {
		urls = append(urls, c.w.app.RemoteURL(dir, e.Name))
	}
	kit.Copy(c.object, strings.Join(urls, "\n"))
}

// drag follows entries of a pane that are dragged: the folder under the mouse that would take them is marked.
func (c *connect) drag(p *pane, rows []int, at fyne.Position) {
	to, dir, row := c.dropTarget(p, rows, at)
	for _, q := range []*pane{c.local, c.remote} {
		if q == to {
			q.table.MarkDrop(row)
		} else {
			q.table.MarkDrop(-1)
		}
	}
	if len(rows) > 0 && p.rows.isParent(rows[0]) {
		rows = rows[1:]
	}
	if len(rows) == 0 {
		return
	}
	text := nameOf(p.entries(rows[:min(len(rows), 1)])) // each move of the mouse asks
	if len(rows) > 1 {
		text = fmt.Sprintf("%d entries", len(rows))
	}
	switch {
	case to == nil:
	case to == p:
		text = "Move " + text + " to " + connlog.Printable(to.base(dir))
	case to.local:
		text = "Download " + text + " to " + connlog.Printable(to.base(dir))
	default:
		text = "Upload " + text + " to " + connlog.Printable(to.base(dir))
	}
	kit.ShowDragged(c.object, shorten(text, 70), at)
}

// dropTarget is the folder under the mouse that can take entries dragged from a pane; to is nil when none can. row is the
// folder's, or -1 for the one that the pane shows.
func (c *connect) dropTarget(from *pane, rows []int, at fyne.Position) (to *pane, dir string, row int) {
	for _, p := range []*pane{c.local, c.remote} {
		over, _ := p.table.RowAt(at)
		if over < 0 || p.path == "" || !c.usable(p) {
			continue
		}
		if over < p.rows.Len() && p.rows.at(over).Type == client.Folder {
			for _, r := range rows {
				if p == from && r == over {
					return nil, "", -1
				}
			}
			if p.rows.isParent(over) {
				return p, p.parent(p.path), over
			}
			return p, p.join(p.rows.at(over).Name), over
		}
		if p != from {
			return p, p.path, -1
		}
	}
	return nil, "", -1
}

// drop puts what was dragged where the mouse let go.
func (c *connect) drop(p *pane, rows []int, at fyne.Position) {
	kit.ShowDragged(c.object, "", at)
	to, dir, _ := c.dropTarget(p, rows, at)
	c.local.table.MarkDrop(-1)
	c.remote.table.MarkDrop(-1)
	entries := p.entries(rows)
	if to == nil || len(entries) == 0 {
		return
	}
	c.put(clip{local: p.local, cut: to == p, server: c.w.app.Remote().Target, dir: p.path, entries: entries}, to, dir)
}

// dropPaths takes what was dragged from the desktop: over the local pane it is copied there, elsewhere uploaded; over a
// folder's row, into that folder.
func (c *connect) dropPaths(paths []string, at fyne.Position) {
	to, dir, _ := c.dropTarget(nil, nil, at)
	switch {
	case to == c.local:
		c.w.app.CopyLocal(paths, dir)
	case to == c.remote && dir != c.remote.path:
		c.w.app.UploadPathsTo(paths, dir)
		c.drawer.SelectTab("transfers")
	default:
		c.uploadPaths(paths)
	}
}

// watched calls f whenever the application's state has changed, until it returns false.
func (c *connect) watched(f func() bool) {
	if f() {
		c.watching = append(c.watching, f)
	}
}

func (c *connect) callWatched() {
	all := c.watching
	c.watching = nil
	for _, f := range all {
		if f() {
			c.watching = append(c.watching, f)
		}
	}
}

// remove asks whether to delete what is chosen; what folders hold is counted first.
func (c *connect) remove() {
	p, dir := c.active, c.active.path // another folder may be shown by the time that the question is answered
	entries := p.selected()
	if len(entries) == 0 {
		return
	}
	where := "on this computer"
	if p == c.remote {
		where = "on the server"
	}
	folders := false
	for _, e := range entries {
		folders = folders || e.Type == client.Folder && e.Target == ""
	}
	drop := func(total int) {
		if p == c.remote {
			c.w.app.DeleteRemote(dir, entries, total)
			return
		}
		c.w.app.DeleteLocal(dir, namesOf(entries))
	}
	if !folders {
		text := fmt.Sprintf("%s %s will be deleted for good.", connlog.Capital(count(len(entries), "entry", "entries")), where)
		if len(entries) == 1 {
			text = fmt.Sprintf("%s will be deleted %s, for good.", connlog.Printable(entries[0].Name), where)
		}
		kit.Confirm(c.w, "Delete", text, "Delete", true, func() { drop(len(entries)) })
		return
	}
	counted := c.count(p, entries)
	text := kit.NewFlowText()
	d := &kit.Dialog{Title: "Delete " + shorten(nameOf(entries), 50), Content: text, Width: 420, OnClosed: counted.Cancel}
	d.Buttons = []kit.DialogButton{
		{Text: "Cancel", Cancel: true, Default: true},
		{Text: "Delete", Style: kit.Danger, Run: func() bool {
			t := counted.Tally()
			d.Close()
			drop(t.Files + t.Folders)
			return false
		}},
	}
	d.Show(c.w)
	d.SetEnabled("Delete", false)
	c.watched(func() bool {
		t := counted.Tally()
		what := tallied(t)
		switch {
		case !t.Done:
			text.SetText("Counting what is in there: " + what + " so far…")
		case t.Err != "":
			text.SetSpans(kit.Span{Text: "At least " + what + " " + where + " will be deleted for good. Not everything could be counted: "},
				kit.Span{Text: t.Err, Color: kit.ColorBad})
		default:
			text.SetText(connlog.Capital(what) + " " + where + " will be deleted for good.")
		}
		d.SetEnabled("Delete", t.Done)
		d.Refresh()
		return d.Open() && !t.Done
	})
}

func tallied(t app.Tally) string {
	text := count(t.Files, "file", "files")
	if t.Folders > 0 {
		text += " in " + count(t.Folders, "folder", "folders")
	}
	if t.Bytes > 0 {
		text += ", " + connlog.Bytes(t.Bytes)
	}
	return text
}

func (c *connect) count(p *pane, entries []client.Entry) *app.Count {
	if p == c.remote {
		return c.w.app.CountRemote(p.path, entries)
	}
	return c.w.app.CountLocal(p.path, namesOf(entries))
}

// rename changes a name in its row.
func (c *connect) rename() {
	p, dir := c.active, c.active.path
	selected := p.selected()
	if len(selected) == 0 {
		return
	}
	from := selected[0].Name
	taken := func(name string) error {
		if err := goodName(name); err != nil {
			return err
		}
		if name != from && p.rows.find(name) >= 0 {
			return fmt.Errorf("%s is there already", name)
		}
		return nil
	}
	p.table.EditRow(p.rows.find(from), from, selected[0].Type != client.Folder, taken, func(to string) {
		p.want = to
		if p == c.local {
			c.w.app.RenameLocal(dir, from, to)
		} else {
			c.w.app.RenameRemote(dir, from, to)
		}
	})
}

// properties tells all there is to know of what is chosen, and counts what folders hold.
func (c *connect) properties() {
	p, dir := c.active, c.active.path
	entries := p.selected()
	if len(entries) == 0 {
		return
	}
	var rows []fyne.CanvasObject
	add := func(label, text string, mono bool) *kit.FlowText {
		if text == "" {
			return nil
		}
		f := kit.NewFlowText(kit.Span{Text: connlog.Printable(text), Mono: mono})
		rows = append(rows, container.NewBorder(nil, nil, kit.FixedWidth(84, besideText(label)), nil, f))
		return f
	}
	title := nameOf(entries)
	place := "This computer"
	if p == c.remote {
		place = c.w.app.Remote().Target.Host
	}
	add("Where", place, false)
	add("Folder", dir, false)
	counting := len(entries) > 1
	if len(entries) == 1 {
		e := entries[0]
		counting = e.Type == client.Folder && e.Target == ""
		add("Name", e.Name, false)
		add("Kind", e.Type.String(), false)
		add("Leads to", e.Target, false)
		if e.Type == client.File {
			size := connlog.Bytes(e.Size)
			if e.Size >= 1024 {
				size += fmt.Sprintf(" (%s bytes)", thousands(e.Size))
			}
			add("Size", size, false)
		}
		if !e.Time.IsZero() {
			add("Modified", e.Time.Local().Format("2006-01-02 15:04:05"), false)
		}
		rights := e.Rights
		if mode, ok := client.ParseRights(rights); ok {
			rights += fmt.Sprintf(" (%03o)", mode)
		}
		add("Rights", rights, false)
		add("Owner", e.Owner, false)
		if p == c.remote {
			add("URL", c.w.app.RemoteURL(dir, e.Name), true)
		}
	}
	d := &kit.Dialog{Title: shorten(title, 60), Width: 480, Buttons: []kit.DialogButton{{Text: "Close", Default: true, Cancel: true}}}
	var contents *kit.FlowText
	if counting {
		contents = add("Contents", "…", false)
	}
	d.Content = kit.VBox(4, rows...)
	if p == c.remote {
		d.Buttons = append([]kit.DialogButton{{Text: "Copy URL", Left: true, Run: func() bool { c.copyURL(dir, entries); return false }}}, d.Buttons...)
	}
	if counting {
		counted := c.count(p, entries)
		d.OnClosed = counted.Cancel
		d.Show(c.w)
		c.watched(func() bool {
			t := counted.Tally()
			if len(entries) == 1 {
				t.Folders = max(0, t.Folders-1) // without itself
			}
			text := tallied(t)
			switch {
			case !t.Done:
				text += " so far…"
			case t.Err != "":
				text += " at least. " + t.Err
			}
			contents.SetText(text)
			d.Refresh()
			return d.Open() && !t.Done
		})
		return
	}
	d.Show(c.w)
}

// rawCommand asks for a line and shows what the server answers, as often as wanted.
func (c *connect) rawCommand() {
	entry := kit.NewEntry()
	entry.SetPlaceHolder("STAT, SITE HELP, FEAT, …")
	out := kit.NewFlowText(kit.Span{Text: "The server's answer appears here. Commands that need a data channel, such as LIST, are left to the panes.", Color: kit.ColorMuted})
	scroll := container.NewVScroll(out)
	var past []string
	at := 0
	entry.OnArrow = func(down bool) {
		if down {
			at++
		} else {
			at--
		}
		at = max(0, min(at, len(past)))
		if at < len(past) {
			entry.SetText(past[at])
		} else {
			entry.SetText("")
		}
	}
	d := &kit.Dialog{Title: "Send a command to " + shorten(c.w.app.Remote().Target.Host, 40), Width: 560, Focus: entry}
	send := func() bool {
		line := strings.TrimSpace(entry.Text)
		if line == "" {
			return false
		}
		past = append(past, line)
		at = len(past)
		d.SetEnabled("Send", false)
		entry.SetText("")
		c.w.app.Command(line, func(r client.Reply, err error) {
			c.w.post(func() {
				if !d.Open() {
					return
				}
				d.SetEnabled("Send", true)
				shown := kit.Span{Text: r.Text, Mono: true}
				if err != nil {
					shown = kit.Span{Text: app.Sentence(err), Color: kit.ColorBad}
				}
				out.SetSpans(kit.Span{Text: connlog.Printable(line) + "\n", Mono: true, Bold: true}, shown)
				scroll.ScrollToTop()
				d.Refresh()
			})
		})
		return false
	}
	d.Content = kit.VBox(kit.Gap, entry, kit.FixedHeight(180, scroll))
	d.Buttons = []kit.DialogButton{{Text: "Close", Cancel: true}, {Text: "Send", Style: kit.Primary, Default: true, Run: send}}
	d.Show(c.w)
}
