package ui

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/client"
	"portside/client/sites"
	"portside/connlog"
	"portside/ui/kit"
)

// The choices of the fields, in their order.
var (
	siteTLS      = []client.TLSMode{client.TLSAuto, client.TLSExplicit, client.TLSImplicit, client.TLSNone}
	siteTLSNames = []string{"TLS if the server has it", "TLS required (explicit)", "TLS from the start (implicit)", "None: all in clear"}
	siteLogins   = []sites.Login{sites.LoginNormal, sites.LoginAsk, sites.LoginAnonymous, sites.LoginAccount}
	loginNames   = []string{"Name and password", "Ask for the password each time", "Anonymous", "Name, password and account"}
	siteModes    = []client.Mode{"", client.ModeAuto, client.ModePassive, client.ModeActive}
	modeNames    = []string{"As on the Connect screen", "Auto: passive first, then active", "Passive: you open the data channel", "Active: the server opens it"}
)

// siteFields are the fields of a site or a folder, in groups.
type siteFields struct {
	w       *Window
	manager *siteManager
	problem string // what was typed and can't be taken over
	filling bool

	name, host, port         *kit.Entry
	tls, login, color        *kit.Select
	user, password, account  *kit.Entry
	clear                    *kit.FlowText
	userRow, passRow, accRow fyne.CanvasObject

	mode                     *kit.Select
	min, max, announced      *kit.Entry
	trust                    *kit.Check
	connections              *kit.Select
	down, up                 *kit.Entry
	local, remote            *kit.Entry
	linked                   *kit.Check
	marks                    *kit.Table
	bookmarks                []sites.Bookmark
	change, drop             *kit.Button // of bookmarks
	hostWas                  string
	charset                  *kit.Select
	offset                   *kit.Entry
	notes                    *kit.Entry
	tabs                     *kit.TabBar
	pages                    []fyne.CanvasObject
	page                     *fyne.Container
	folderBox, siteBox, none fyne.CanvasObject
	folderName               *kit.Entry
	object                   *fyne.Container
}

func newSiteFields(w *Window, m *siteManager) *siteFields {
	f := &siteFields{w: w, manager: m}
	entry := func(hint string) *kit.Entry {
		e := kit.NewEntry()
		e.SetPlaceHolder(hint)
		e.SelectOnFocus = true
		e.OnChanged = func(string) { f.changed() }
		return e
	}
	f.name, f.host, f.port = entry("as it is listed"), entry("name, address or a pasted URL"), entry("21")
	f.host.OnChanged = f.hostChanged
	f.host.OnFocus = func(on bool) {
		if !on {
			f.fromURL(f.host.Text)
		}
	}
	f.tls = kit.NewSelect(siteTLSNames, func(int) { f.follow() })
	f.login = kit.NewSelect(loginNames, func(int) { f.follow() })
	names := []string{"None"}
	for _, c := range sites.Colors[1:] {
		names = append(names, connlog.Capital(string(c)))
	}
	f.color = kit.NewSelect(names, nil)
	f.user, f.account = entry("user name"), kit.NewPasswordEntry()
	f.password = kit.NewPasswordEntry()
	f.password.SelectOnFocus, f.account.SelectOnFocus = true, true
	f.clear = kit.NewFlowText()
	f.userRow, f.passRow, f.accRow = formRow("User", f.user), formRow("Password", f.password), formRow("Account", f.account)
	general := kit.VBox(8, formRow("Name", f.name),
		formRow("Host", kit.HBox(6, kit.Grow(f.host), kit.NewMutedLabel("Port"), kit.FixedWidth(64, f.port))),
		formRow("Encryption", f.tls), formRow("Sign-in", f.login), f.userRow, f.passRow, f.accRow,
		formRow("Colour", kit.HBox(0, kit.FixedWidth(150, f.color), kit.Space())), f.clear)

	f.mode = kit.NewSelect(modeNames, nil)
	f.min, f.max, f.announced = entry("any"), entry("any"), entry("as in the settings")
	f.trust = kit.NewCheck("Trust the address in the server's answer to PASV", nil)
	f.trust.Tip = "Without it only the port counts, and the server that you connected to is dialled. Needed where another machine moves the files."
	counts := []string{"As in the settings"}
	for i := 1; i <= 16; i++ {
		counts = append(counts, strconv.Itoa(i))
	}
	f.connections = kit.NewSelect(counts, nil)
	f.down, f.up = entry("no limit"), entry("no limit")
	speed := func(e *kit.Entry) fyne.CanvasObject {
		return kit.HBox(6, kit.FixedWidth(90, e), kit.NewMutedLabel("KiB/s"), kit.Space())
	}
	connection := kit.VBox(8, formRow("Mode", f.mode),
		formRow("Active: ports", kit.HBox(6, kit.FixedWidth(72, f.min), kit.NewMutedLabel("to"), kit.FixedWidth(72, f.max), kit.Space())),
		formRow("Announced", f.announced), formRow("", f.trust),
		formRow("Connections", kit.HBox(0, kit.FixedWidth(150, f.connections), kit.Space())),
		formRow("Download", speed(f.down)), formRow("Upload", speed(f.up)))

	f.local, f.remote = entry("stays where it is"), entry("the folder after sign-in")
	choose := kit.NewButton("Choose…", func() { m.files.Folder(w, f.local.Text, f.local.SetText) })
	f.linked = kit.NewCheck("Open the same folders on both sides (linked browsing)", nil)
	f.marks = kit.NewTable(
		kit.Column{ID: "name", Title: "Bookmark", Width: 110}, kit.Column{ID: "local", Title: "This computer", Flex: true, Min: 80},
		kit.Column{ID: "remote", Title: "Server", Width: 150},
	)
	f.marks.Single, f.marks.Label = true, "Bookmarks"
	f.marks.Length = func() int { return len(f.bookmarks) }
	f.marks.Cell = func(row, col int) kit.Cell {
		b := f.bookmarks[row]
		return kit.Cell{Text: connlog.Printable([]string{b.Name, b.Local, b.Remote}[col])}
	}
	f.marks.SetEmpty(kit.Empty{Text: "No bookmarks.", Hint: "Pairs of folders that you go to often."})
	f.marks.OnActivated = func(row int) { f.bookmark(row) }
	f.marks.OnKey = func(ev *fyne.KeyEvent) bool {
		switch ev.Name {
		case fyne.KeyInsert:
			f.bookmark(-1)
		case fyne.KeyDelete:
			f.dropBookmark()
		case fyne.KeyF2:
			f.editBookmark()
		default:
			return false
		}
		return true
	}
	f.change, f.drop = kit.NewButton("Edit…", f.editBookmark), kit.NewButton("Delete", f.dropBookmark)
	f.marks.OnSelectionChanged = f.enableBookmarks
	folders := kit.VBox(8, formRow("This computer", kit.HBox(6, kit.Grow(f.local), choose)), formRow("Server", f.remote), formRow("", f.linked),
		kit.Grow(kit.NewFlushCard(f.marks)),
		kit.HBox(6, kit.NewButton("Add…", func() { f.bookmark(-1) }), f.change, f.drop, kit.Space()))

	f.charset = kit.NewSelect(append([]string{"Automatic"}, sites.CharsetNames...), nil)
	f.offset = entry("measured")
	server := kit.VBox(8, formRow("Character set", kit.HBox(0, kit.FixedWidth(200, f.charset), kit.Space())),
		kit.NewMutedParagraph("Of file names. Automatic is right for every server that speaks UTF-8; an old one may need the one it was set up with."),
		formRow("Its clock", kit.HBox(6, kit.FixedWidth(90, f.offset), kit.NewMutedLabel("ahead of UTC, for instance +2:00 or -3:30"), kit.Space())),
		kit.NewMutedParagraph("Old servers list times in their own zone without saying which. Empty: it is measured once at a file's time (of vsftpd with use_localtime: at the first upload), and shown in the status bar."))

	f.notes = kit.NewEntry()
	f.notes.MultiLine, f.notes.Wrapping = true, fyne.TextWrapWord
	f.notes.SetPlaceHolder("Whatever you want to remember about this server. No passwords: notes are kept as plain text.")

	f.pages = []fyne.CanvasObject{general, connection, folders, server, kit.VBox(0, kit.Grow(f.notes))}
	f.page = container.NewStack(f.pages[0])
	f.tabs = kit.NewTabBar([]string{"General", "Connection", "Folders", "Names and times", "Notes"})
	f.tabs.OnSelected = func(i int) {
		f.page.Objects = []fyne.CanvasObject{f.pages[i]}
		f.page.Refresh()
	}
	f.siteBox = kit.VBox(10, f.tabs, kit.Grow(f.page))
	f.folderName = entry("")
	f.folderBox = kit.VBox(8, formRow("Folder", f.folderName), kit.NewMutedParagraph("Drag sites into it, or choose one and press Alt+Right."))
	f.none = kit.VBox(8, kit.NewMutedParagraph("Add a site with the plus sign at the left, or import the sites of FileZilla, WinSCP, Cyberduck, gFTP, lftp or a .netrc file."))
	f.object = container.NewStack(f.none)
	return f
}

// changed is told of each letter: what was found wrong before may be right now, and the list shows the name as it is typed.
func (f *siteFields) changed() {
	if f.filling {
		return
	}
	if strings.TrimSpace(f.manager.note.String()) != "" {
		f.manager.say("", "")
	}
	f.manager.tree.Refresh()
}

// focusName gives the keyboard to the field with the name of n, which the fields show.
func (f *siteFields) focusName(n *sites.Node) {
	switch {
	case n == nil:
	case n.Folder():
		f.w.focusOn(f.folderName)
	default:
		f.tabs.Select(0)
		f.w.focusOn(f.name)
	}
}

// listed is the name that n, which the fields show, has once they are taken over.
func (f *siteFields) listed(n *sites.Node) string {
	text := f.name.Text
	if n.Folder() {
		text = f.folderName.Text
	}
	return cmp.Or(strings.TrimSpace(text), n.Name)
}

// hostChanged takes a URL that was pasted apart at once. One that is typed letter by letter is left until it is whole: when
// the field is left, or the site is kept.
func (f *siteFields) hostChanged(text string) {
	grown := len(text) - len(f.hostWas)
	f.hostWas = text
	if f.filling {
		return
	}
	f.changed()
	if grown > utf8.UTFMax {
		f.fromURL(text)
	}
}

// fromURL fills the fields from a URL that stands in the host's field.
func (f *siteFields) fromURL(text string) {
	s, password, ok := app.SiteFromURL(text)
	if !ok {
		return
	}
	f.host.SetText(s.Host)
	f.port.SetText("")
	if s.Port != 0 {
		f.port.SetText(strconv.Itoa(int(s.Port)))
	}
	f.tls.ShowSelected(slices.Index(siteTLS, s.TLS))
	if s.User != "" {
		f.user.SetText(s.User)
		f.login.ShowSelected(slices.Index(siteLogins, sites.LoginNormal))
	}
	if password != "" {
		f.password.SetText(password)
	}
	if s.RemoteFolder != "" {
		f.remote.SetText(s.RemoteFolder)
	}
	if n := strings.TrimSpace(f.name.Text); n == "" || n == "New site" {
		f.name.SetText(s.Host)
	}
	f.follow()
}

// follow shows the fields that the choices want, and warns of what goes in clear.
func (f *siteFields) follow() {
	login, mode := siteLogins[max(0, f.login.Selected)], siteTLS[max(0, f.tls.Selected)]
	kit.SetVisible(f.userRow, login != sites.LoginAnonymous)
	kit.SetVisible(f.passRow, login == sites.LoginNormal || login == sites.LoginAccount)
	kit.SetVisible(f.accRow, login == sites.LoginAccount)
	f.port.SetPlaceHolder(strconv.Itoa(int((client.Target{TLS: mode}).ControlPort())))
	switch {
	case mode == client.TLSNone && login == sites.LoginAnonymous:
		f.clear.SetSpans(kit.Span{Text: "Commands, names and files go unprotected.", Color: kit.ColorMuted})
	case mode == client.TLSNone:
		f.clear.SetSpans(kit.Span{Text: "Your password will go in clear: everyone on the way can read it.", Color: kit.ColorWarn})
	case mode == client.TLSAuto && login != sites.LoginAnonymous:
		f.clear.SetSpans(kit.Span{Text: "If the server has no TLS, you are asked before the password goes in clear.", Color: kit.ColorMuted})
	default:
		f.clear.SetSpans(kit.Span{Text: " "})
	}
	f.object.Refresh()
}

// fill shows a node; nil is none.
func (f *siteFields) fill(n *sites.Node) {
	f.problem = ""
	f.filling = true
	defer func() { f.filling = false }()
	only := func(o fyne.CanvasObject) {
		f.object.Objects = []fyne.CanvasObject{o}
		f.object.Refresh()
	}
	switch {
	case n == nil:
		only(f.none)
		return
	case n.Folder():
		f.folderName.SetText(n.Name)
		only(f.folderBox)
		return
	}
	s := n.Site
	number := func(e *kit.Entry, v int64) {
		e.SetText("")
		if v != 0 {
			e.SetText(strconv.FormatInt(v, 10))
		}
	}
	f.name.SetText(n.Name)
	f.host.SetText(s.Host)
	number(f.port, int64(s.Port))
	f.tls.ShowSelected(max(0, slices.Index(siteTLS, s.TLS)))
	f.login.ShowSelected(max(0, slices.Index(siteLogins, s.Login)))
	f.color.ShowSelected(max(0, slices.Index(sites.Colors, s.Color)))
	f.user.SetText(s.User)
	f.password.SetText("")
	f.account.SetText("")
	hint := "asked for, unless you type it here"
	if secret, ok := f.manager.secret.Set[n.ID]; ok {
		f.password.SetText(secret.Password)
		f.account.SetText(secret.Account)
	} else if s.Host != "" && (s.Login == sites.LoginNormal || s.Login == sites.LoginAccount) {
		hint = "unchanged"
	}
	f.password.SetPlaceHolder(hint)
	f.account.SetPlaceHolder(hint)
	f.mode.ShowSelected(max(0, slices.Index(siteModes, s.Mode)))
	number(f.min, int64(s.ActiveMin))
	number(f.max, int64(s.ActiveMax))
	f.announced.SetText(s.ActiveAddress)
	f.trust.ShowChecked(s.TrustPassiveAddress)
	f.connections.ShowSelected(s.Connections)
	f.down.SetText(kib(s.DownLimit))
	f.up.SetText(kib(s.UpLimit))
	f.local.SetText(s.LocalFolder)
	f.remote.SetText(s.RemoteFolder)
	f.linked.ShowChecked(s.Linked)
	f.bookmarks = slices.Clone(s.Bookmarks)
	f.marks.Refresh()
	f.enableBookmarks()
	options := append([]string{"Automatic"}, sites.CharsetNames...)
	at := 0
	if s.Charset != "" {
		if at = slices.IndexFunc(options, func(o string) bool { return strings.EqualFold(o, s.Charset) }); at < 0 {
			options, at = append(options, s.Charset), len(options)
		}
	}
	f.charset.SetOptions(options, at)
	f.offset.SetText("")
	if s.TimeOffset != nil {
		f.offset.SetText(formatOffset(*s.TimeOffset))
	}
	f.notes.SetText(s.Notes)
	f.follow()
	only(f.siteBox)
}

// kib writes a limit in KiB/s.
func kib(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(bytes)/1024, 'f', -1, 64)
}

func parseKiB(text string) (int64, error) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", "."), 64)
	if err != nil || v < 1 || v > 1<<40 {
		return 0, fmt.Errorf("%q is no speed: type a number of KiB/s from 1 up, or leave it empty for no limit", text)
	}
	return int64(v * 1024), nil
}

// formatOffset writes minutes as "+2:00".
func formatOffset(minutes int) string {
	sign := "+"
	if minutes < 0 {
		sign, minutes = "-", -minutes
	}
	return fmt.Sprintf("%s%d:%02d", sign, minutes/60, minutes%60)
}

func parseOffset(text string) (*int, error) {
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	bad := fmt.Errorf("%q is no time zone: type hours and minutes ahead of UTC such as +2:00 or -3:30, or leave it empty", text)
	sign, rest := 1, strings.TrimPrefix(text, "+")
	if strings.HasPrefix(text, "-") {
		sign, rest = -1, text[1:]
	}
	hours, mins, has := strings.Cut(rest, ":")
	h, err := strconv.ParseUint(hours, 10, 8)
	m := uint64(0)
	if err == nil && has {
		m, err = strconv.ParseUint(mins, 10, 8)
	}
	if err != nil || m > 59 || h > 23 {
		return nil, bad
	}
	minutes := sign * int(h*60+m)
	return &minutes, nil
}

// take takes what the fields say over into a node, and says whether that is news; the secret is one that was typed. What
// can't be taken over is said in problem, and the node keeps what it had in its place.
func (f *siteFields) take(n *sites.Node) (changed bool, secret *sites.Secret) {
	f.problem = ""
	if n.Folder() {
		if name := strings.TrimSpace(f.folderName.Text); name != "" && name != n.Name {
			n.Name, changed = name, true
		}
		return changed, nil
	}
	f.fromURL(f.host.Text)
	before, s := n.Site, n.Site.Clone()
	keep := func(err error) {
		if err != nil && f.problem == "" {
			f.problem = app.Sentence(err)
		}
	}
	number := func(e *kit.Entry, into *uint16) {
		text := strings.TrimSpace(e.Text)
		if text == "" {
			*into = 0
			return
		}
		v, err := strconv.ParseUint(text, 10, 16)
		if err != nil || v == 0 {
			keep(fmt.Errorf("the port is %q; it has to be a number from 1 to 65535", text))
			return
		}
		*into = uint16(v)
	}
	limit := func(e *kit.Entry, into *int64) {
		v, err := parseKiB(e.Text)
		if err != nil {
			keep(err)
			return
		}
		*into = v
	}
	s.Host = strings.TrimSpace(f.host.Text)
	number(f.port, &s.Port)
	s.TLS, s.Login = siteTLS[f.tls.Selected], siteLogins[f.login.Selected]
	s.Color = sites.Colors[f.color.Selected]
	s.User = strings.TrimSpace(f.user.Text)
	if s.Login == sites.LoginAnonymous {
		s.User = ""
	}
	s.Mode = siteModes[f.mode.Selected]
	number(f.min, &s.ActiveMin)
	number(f.max, &s.ActiveMax)
	s.ActiveAddress = strings.TrimSpace(f.announced.Text)
	s.TrustPassiveAddress, s.Linked = f.trust.Checked, f.linked.Checked
	s.Connections = f.connections.Selected
	limit(f.down, &s.DownLimit)
	limit(f.up, &s.UpLimit)
	s.LocalFolder, s.RemoteFolder = strings.TrimSpace(f.local.Text), strings.TrimSpace(f.remote.Text)
	s.Bookmarks = slices.Clone(f.bookmarks)
	s.Charset = ""
	if f.charset.Selected > 0 {
		s.Charset = f.charset.Value()
	}
	if offset, err := parseOffset(f.offset.Text); err != nil {
		keep(err)
	} else {
		s.TimeOffset = offset
	}
	s.Notes = f.notes.Text
	name := strings.TrimSpace(f.name.Text)
	if name == "" || name == "New site" && s.Host != "" {
		name = s.Host
	}
	if name == "" {
		name = "New site"
	}
	if s.Login == sites.LoginNormal || s.Login == sites.LoginAccount {
		typed := sites.Secret{Password: f.password.Text}
		if s.Login == sites.LoginAccount {
			typed.Account = f.account.Text
		}
		if had := f.manager.secret.Set[n.ID]; typed != had && typed != (sites.Secret{}) {
			secret = &typed
		}
	}
	if len(s.Bookmarks) == 0 && len(before.Bookmarks) == 0 {
		s.Bookmarks = before.Bookmarks // nil or empty: no change
	}
	changed = name != n.Name || !reflect.DeepEqual(s, before)
	n.Name, n.Site = name, s
	return changed, secret
}

func (f *siteFields) editBookmark() {
	if rows := f.marks.Selected(); len(rows) == 1 {
		f.bookmark(rows[0])
	}
}

func (f *siteFields) dropBookmark() {
	if rows := f.marks.Selected(); len(rows) == 1 {
		f.bookmarks = slices.Delete(slices.Clone(f.bookmarks), rows[0], rows[0]+1)
		f.marks.Refresh()
		f.enableBookmarks()
	}
}

func (f *siteFields) enableBookmarks() {
	one := len(f.marks.Selected()) == 1
	enable(f.change, one)
	enable(f.drop, one)
}

// seenNow is a bookmark of the folders in the panes, when those are this site's.
func (f *siteFields) seenNow() sites.Bookmark {
	c := f.w.connect
	if _, _, id := f.w.app.ConnectedSite(); id != f.manager.filled || f.w.app.Remote().Phase != app.Connected {
		return sites.Bookmark{}
	}
	return sites.Bookmark{Name: path.Base(c.remote.path), Local: c.local.path, Remote: c.remote.path}
}

// bookmark edits a bookmark; -1 is a new one, with the folders that are seen now.
func (f *siteFields) bookmark(row int) {
	b := f.seenNow()
	title, ok := "New bookmark", "Add"
	if row >= 0 {
		b, title, ok = f.bookmarks[row], "Bookmark", "Change"
	}
	name, local, remote := kit.NewEntry(), kit.NewEntry(), kit.NewEntry()
	name.SetText(b.Name)
	local.SetText(b.Local)
	remote.SetText(b.Remote)
	linked := kit.NewCheck("Linked browsing", nil)
	linked.ShowChecked(b.Linked)
	problem := kit.NewFlowText(kit.Span{Text: " "})
	choose := kit.NewButton("Choose…", func() { f.manager.files.Folder(f.w, local.Text, local.SetText) })
	d := &kit.Dialog{Title: title, Width: 460, Post: f.w.post, Focus: name, Content: kit.VBox(8, formRow("Name", name),
		formRow("This computer", kit.HBox(6, kit.Grow(local), choose)), formRow("Server", remote), formRow("", linked), problem)}
	d.Buttons = []kit.DialogButton{{Text: "Cancel", Cancel: true}, {Text: ok, Style: kit.Primary, Default: true, Run: func() bool {
		now := sites.Bookmark{Name: strings.TrimSpace(name.Text), Local: strings.TrimSpace(local.Text), Remote: strings.TrimSpace(remote.Text), Linked: linked.Checked}
		err := error(nil)
		switch {
		case now.Local == "" && now.Remote == "":
			err = errors.New("type at least one of the two folders")
		case strings.ContainsAny(now.Remote, "\r\n\x00"):
			err = errors.New("a folder can't hold a line break")
		}
		if err != nil {
			problem.SetSpans(kit.Span{Text: app.Sentence(err), Color: kit.ColorBad})
			return false
		}
		if now.Name == "" {
			now.Name = now.Remote
		}
		f.bookmarks = slices.Clone(f.bookmarks)
		if row >= 0 {
			f.bookmarks[row] = now
		} else {
			f.bookmarks = append(f.bookmarks, now)
		}
		f.marks.Refresh()
		if row < 0 {
			row = len(f.bookmarks) - 1
		}
		f.marks.SetCursor(row)
		return true
	}}}
	d.Show(f.w)
}
