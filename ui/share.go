package ui

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"rsc.io/qr"

	"portside/app"
	"portside/connlog"
	"portside/localserver"
	"portside/ui/channels"
	"portside/ui/kit"
)

// share is the Share screen: what is shared and for whom, the addresses to type elsewhere, passive mode, who is here,
// and the channels from the server's viewpoint.
type share struct {
	w *Window

	dot      *kit.Dot
	title    *kit.Label
	toggle   *kit.Button
	err      *kit.FlowText
	folder   *kit.Entry
	choose   *kit.Button
	access   *kit.Select
	rights   *kit.Select
	user     *kit.Entry
	password *kit.Entry
	generate *kit.Button
	login    *fyne.Container
	rightBox *fyne.Container // around rights
	accounts *accountsRow
	port     *kit.Entry
	tls      *kit.Select
	saved    string // the password that the saved hash is of, when this run knows it

	qr        *canvas.Image
	code      *fyne.Container // around qr
	reach     *fyne.Container // code and addresses
	addresses *fyne.Container
	opener    *kit.FlowText // what such an address is opened with
	proof     *kit.FlowText // the certificate's fingerprint, to compare with what a client shows
	drawn     string        // the addresses and the fingerprint that are drawn
	self      *selfCard

	useRange *kit.Check
	min, max *kit.Entry
	rangeMsg *kit.FlowText
	estimate *estimator
	ipMode   *kit.Select
	ip       *kit.Entry
	ipBox    fyne.CanvasObject // around ip
	ipMsg    *kit.FlowText
	networks *kit.Button

	people      *kit.Table
	peopleDrawn drawn
	sessions    []localserver.SessionInfo
	ports       *ports
	drawer      *channels.Drawer
	state       app.Share
	told        string // why the last start failed, once it was said
	badPort     bool   // what is typed as the port is none, as is said
	filling     bool   // the fields are being filled, not typed in

	object fyne.CanvasObject
}

var (
	tlsModes = []localserver.TLSMode{localserver.TLSExplicit, localserver.TLSRequired, localserver.TLSImplicit, localserver.TLSOff}
	ipModes  = []localserver.PassiveIPMode{localserver.PassiveAuto, localserver.PassiveFixed, localserver.PassiveHost}
)

func newShare(w *Window) *share {
	s := &share{w: w}
	s.self = newSelfCard(w, func() {
		if s.object != nil {
			s.object.Refresh()
		}
	})
	left := kit.VBox(12, s.sharingCard(), s.addressCard(), kit.Grow(s.self.card()))
	leftScroll := container.NewVScroll(kit.Pad(0, 8, 12, 0, left)) // the scroll bar stands in the gap
	s.folder.Page, s.user.Page, s.password.Page, s.port.Page = leftScroll, leftScroll, leftScroll, leftScroll

	s.people = s.peopleTable()
	s.ports = newPorts(s)
	s.drawer = channels.NewDrawer(channels.Options{
		Side: connlog.Server, Log: w.app.Log, Post: w.post, Actions: s.actions, Save: w.saveLog, Compare: w.compareLogs,
		Before: []channels.Tab{{ID: "people", Title: "People", Content: s.people}},
		After:  []channels.Tab{{ID: tabPorts, Title: "Ports", Content: s.ports.object}},
		Empty:  "Start sharing: as soon as somebody connects, each channel appears here as an arrow.",
	})
	s.drawer.SetActive(false) // until it is shown
	s.drawer.SelectTab("people")
	right := kit.Pad(0, 0, 12, 0, kit.VBox(12, s.passiveCard(), kit.Grow(kit.NewFlushCard(s.drawer))))
	s.object = kit.Pad(12, 12, 0, 12, container.New(&sideBySide{share: 0.36, least: 312, most: 384}, kit.Pad(0, 4, 0, 0, leftScroll), right))
	for _, e := range []*kit.Entry{s.folder, s.user, s.password, s.port, s.min, s.max, s.ip} {
		e.SelectOnFocus = true
	}
	s.fill()
	return s
}

func (s *share) sharingCard() fyne.CanvasObject {
	s.dot = kit.NewDot(kit.ColorMuted, 10)
	s.title = kit.NewBoldLabel("Not sharing")
	s.title.TextSize = kit.TitleSize
	s.title.Shrink = true
	s.toggle = kit.NewPrimaryButton("Start", s.startOrStop)
	s.err = kit.NewFlowText()
	s.err.Hide()

	s.folder = kit.NewEntry()
	s.folder.SetPlaceHolder("Folder to share")
	s.choose = kit.NewButton("Choose…", func() { s.chooseFolder(func() {}) })
	s.access = kit.NewSelect(accessChoices(accessAnyone), s.chooseAccess)
	s.rights = kit.NewSelect([]string{"Read only", "Read and write"}, func(i int) { s.allowWrite(i == 1) })
	s.user = kit.NewEntry()
	s.user.SetPlaceHolder("User name")
	s.password = kit.NewEntry() // in clear: it is there to be read out to somebody
	s.password.SetPlaceHolder("Password")
	s.password.OnFocus = s.onLeave(s.keepPassword)
	s.password.OnEnter = func(string) { s.keepPassword(); s.start() }
	s.generate = kit.NewIconButton(kit.IconRefresh, "Make a new password", s.newPassword)
	s.login = kit.VBox(6, s.user, kit.HBox(6, kit.Grow(s.password), s.generate))
	s.rightBox = kit.FixedWidth(136, s.rights)
	s.accounts = newAccountsRow(s.w, s.showLogin)
	s.port = kit.NewEntry()
	for _, e := range []*kit.Entry{s.folder, s.user, s.port} {
		e.OnFocus = s.onLeave(func() { s.keep() })
		e.OnEnter = func(string) {
			if s.keep() {
				s.start()
			}
		}
	}
	s.tls = kit.NewSelect([]string{"TLS if asked for", "TLS required", "Implicit TLS", "No TLS"}, func(int) { s.keep() })
	s.tls.Tip = "FTP over TLS protects names, passwords and files. Many devices can't do it, so it is offered and not required."

	options := kit.NewIconButton(kit.IconSettings, "Server options: limits, timers, your own certificate", func() { openServerOptions(s.w) })
	head := kit.HBox(10, container.NewCenter(s.dot), kit.Grow(s.title), s.toggle)
	return kit.NewCard("", kit.VBox(6,
		head, s.err,
		kit.NewMutedLabel("Folder"), kit.HBox(6, kit.Grow(s.folder), s.choose),
		kit.NewMutedLabel("Who may come in"), s.rows(kit.Grow(s.access), s.rightBox), s.login, s.accounts.object,
		kit.NewMutedLabel("Port and protection"), kit.HBox(6, kit.FixedWidth(80, s.port), kit.Grow(s.tls), options),
	))
}

// rows puts two fields beside each other where a card is wide enough.
func (s *share) rows(objects ...fyne.CanvasObject) fyne.CanvasObject {
	return newReflow(func() float32 { return 300 }, 6, 6, objects...)
}

func (s *share) addressCard() fyne.CanvasObject {
	s.qr = &canvas.Image{FillMode: canvas.ImageFillContain, ScaleMode: canvas.ImageScalePixels}
	s.qr.SetMinSize(fyne.NewSize(112, 112))
	s.addresses = kit.VBox(4, kit.NewMutedParagraph(noAddresses))
	s.code = container.NewCenter(s.qr)
	s.code.Hide()
	s.reach = newReflow(s.addressWidth, 12, 10, s.code, kit.Grow(s.addresses))
	s.opener = kit.NewFlowText()
	s.opener.TextSize = kit.CaptionSize
	s.opener.Hide()
	s.proof = kit.NewFlowText()
	s.proof.TextSize = kit.CaptionSize
	s.proof.Hide()
	return kit.NewCard("Open on another device", kit.VBox(10, s.reach, s.opener, s.proof))
}

func (s *share) passiveCard() fyne.CanvasObject {
	s.useRange = kit.NewCheck("Use a passive port range", func(bool) { s.applyPassive() })
	s.min, s.max = kit.NewEntry(), kit.NewEntry()
	for _, e := range []*kit.Entry{s.min, s.max} {
		e.OnChanged = func(string) { s.checkRange() }
		e.OnFocus = s.onLeave(s.applyPassive)
		e.OnEnter = func(string) { s.applyPassive() }
	}
	s.rangeMsg = kit.NewFlowText()
	s.estimate = newEstimator(s)
	s.ipMode = kit.NewSelect([]string{"Automatic", "Fixed IP", "Host name"}, func(int) { s.chooseIP() })
	s.ip = kit.NewEntry()
	s.ip.OnFocus = s.onLeave(s.applyPassive)
	s.ip.OnEnter = func(string) { s.applyPassive() }
	s.ipBox = kit.Grow(s.ip)
	s.ipMsg = kit.NewFlowText()
	s.networks = kit.NewButton("Local networks…", func() { editNetworks(s.w, s.showIP) })
	s.networks.Style = kit.Quiet

	rangeSide := kit.VBox(6, s.useRange,
		kit.HBox(6, kit.NewMutedLabel("Min"), kit.FixedWidth(64, s.min), kit.NewMutedLabel("Max"), kit.FixedWidth(64, s.max), kit.Space()),
		s.rangeMsg, s.estimate.object)
	ipSide := kit.VBox(6, kit.FixedHeight(kit.RowHeight, kit.HBox(6, kit.NewLabel("Passive IP"), kit.Space(), s.networks)),
		newReflow(func() float32 { return 250 }, 6, 6, kit.FixedWidth(116, s.ipMode), s.ipBox), s.ipMsg)
	card := kit.NewCard("Passive mode", container.New(&sideBySide{gap: 16, share: 0.5, least: 190, most: 420}, rangeSide, ipSide))
	card.SetNote("clients open the data channel to you")
	return card
}

func (s *share) peopleTable() *kit.Table {
	t := kit.NewTable(
		kit.Column{ID: "who", Title: "Who", Flex: true, Min: 160},
		kit.Column{ID: "mode", Title: "Mode", Width: 62},
		kit.Column{ID: "doing", Title: "Doing", Width: 150},
		kit.Column{ID: "speed", Title: "Speed", Width: 104, Align: fyne.TextAlignTrailing},
	)
	t.Label = "People"
	t.Single = true
	t.Length = func() int { return len(s.sessions) }
	t.Key = func(i int) string { return s.sessions[i].ID }
	t.Cell = s.person
	t.OnActivated = s.showPerson
	t.OnMenu = func(rows []int, at fyne.Position) {
		if len(rows) == 0 {
			return
		}
		one := s.sessions[rows[0]]
		kit.ShowMenu(t, fyne.NewMenu("",
			fyne.NewMenuItem("Show channels", func() { s.showSession(one.ID) }),
			fyne.NewMenuItem("Copy address", func() { kit.Copy(t, one.Client.Addr().String()) }),
			fyne.NewMenuItemSeparator(),
			fyne.NewMenuItem("Disconnect", func() { s.w.app.Kick(one.ID) }),
		), at)
	}
	t.OnKey = func(ev *fyne.KeyEvent) bool {
		if rows := t.Selected(); ev.Name == fyne.KeyDelete && len(rows) == 1 {
			s.w.app.Kick(s.sessions[rows[0]].ID)
			return true
		}
		return s.w.registry.HandleKey(ev.Name, 0)
	}
	t.SetEmpty(kit.Empty{Text: "Nobody is connected.", Hint: "Clients appear here when they connect, with what they are doing."})
	return t
}

func (s *share) showPerson(row int) { s.showSession(s.sessions[row].ID) }

func (s *share) showSession(id string) {
	s.drawer.ShowSession(connlog.SessionKey{Side: connlog.Server, ID: id})
	s.drawer.SelectTab(channels.TabChannels)
	s.drawer.FocusContent()
}

func (s *share) person(i, col int) kit.Cell {
	if i >= len(s.sessions) {
		return kit.Cell{}
	}
	p := s.sessions[i]
	switch col {
	case 0:
		who := p.User
		if who == "" {
			who = "signing in"
		}
		text := who + " · " + p.Client.Addr().Unmap().String()
		if p.Software != "" {
			text += " · " + p.Software
		}
		icon, color := kit.IconUnlock, kit.ColorMuted
		if p.TLS != "" {
			icon, color = kit.IconLock, kit.ColorGood
		}
		return kit.Cell{Text: connlog.Printable(text), Icon: kit.IconColored(icon, color)}
	case 1:
		return kit.Cell{Text: string(p.Mode)}
	case 2:
		if p.Command != "" {
			return kit.Cell{Text: connlog.Printable(p.Command + " " + p.Path)}
		}
		// In steps of ten seconds, which don't keep the window busy.
		if idle := time.Since(p.IdleSince).Truncate(10 * time.Second); !p.IdleSince.IsZero() && idle > 0 {
			return kit.Cell{Text: "idle " + roughly(idle)}
		}
	case 3:
		if p.Command != "" {
			return kit.Cell{Text: speed(float64(p.Rate))}
		}
	}
	return kit.Cell{}
}

// roughly writes how long something has lasted where a fraction of a second says nothing: "30 s", "4 min", "2 h 5 min".
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// actions are what can be done about a channel.
func (s *share) actions(ch connlog.Channel) []channels.Action {
	out := s.w.noteAndLearn(ch)
	for _, p := range s.sessions {
		if p.ID == ch.ID {
			out = append(out, channels.Action{Label: "Disconnect", Run: func() { s.w.app.Kick(ch.ID) }})
		}
	}
	return out
}

// onLeave returns a focus handler that runs f when the field loses the keyboard.
func (s *share) onLeave(f func()) func(bool) {
	return func(focused bool) {
		if !focused && !s.filling {
			f()
		}
	}
}

// fill brings the fields in line with the settings.
func (s *share) fill() {
	s.filling = true
	defer func() { s.filling = false }()
	set := s.w.app.Settings().Share
	s.folder.SetText(set.Folder)
	s.port.SetText(strconv.Itoa(set.Port))
	s.access.ShowSelected(slices.Index(accesses, set.Access))
	s.rights.ShowSelected(0)
	if set.Write {
		s.rights.ShowSelected(1)
	}
	s.user.SetText(set.User)
	if !set.PasswordHash.IsZero() {
		s.password.SetPlaceHolder("unchanged")
	}
	for i, m := range tlsModes {
		if m == set.TLS {
			s.tls.ShowSelected(i)
		}
	}
	s.useRange.ShowChecked(set.UseRange)
	s.min.SetText(strconv.Itoa(set.Min))
	s.max.SetText(strconv.Itoa(set.Max))
	for i, m := range ipModes {
		if m == set.IPMode {
			s.ipMode.ShowSelected(i)
		}
	}
	s.ip.SetText(set.IPValue)
	s.showLogin()
	s.showIP()
	s.estimate.fill()
	s.checkRange()
	s.self.refresh()
}

func (s *share) showLogin() {
	list := s.access.Selected == accessList
	s.access.SetOptions(accessChoices(s.access.Selected), s.access.Selected)
	s.accounts.show(list)
	s.rightBox.Show()
	if list {
		s.rightBox.Hide()
	}
	if s.access.Selected == accessUser {
		s.login.Show()
		if s.password.Text == "" && s.w.app.Settings().Share.PasswordHash.IsZero() {
			s.newPassword()
		}
	} else {
		s.login.Hide()
	}
	if s.object != nil {
		s.object.Refresh()
	}
}

func (s *share) newPassword() {
	text, err := newPassword()
	if err != nil {
		s.problem(app.Sentence(err))
		return
	}
	s.password.SetText(text)
	s.keepPassword()
}

// keepPassword hands a typed password over to be hashed and kept.
func (s *share) keepPassword() {
	text := s.password.Text
	if text == "" || text == s.saved {
		return
	}
	s.saved = text
	s.w.app.SetSharePassword(text, func(err error) {
		if err != nil {
			s.w.post(func() { s.saved = ""; s.problem(app.Sentence(err)) })
		}
	})
}

// allowWrite asks twice before anonymous people may change files.
func (s *share) allowWrite(on bool) {
	if !on || s.access.Selected == accessUser {
		s.keep()
		return
	}
	s.rights.ShowSelected(0)
	kit.Confirm(s.w, "Let anyone change your files?",
		"Without a password, everyone who can reach this computer could add, change and delete files in the shared folder. A user with a password is safer.",
		"Let anyone write", true, func() {
			s.rights.ShowSelected(1)
			s.keep()
		})
}

// keep saves what the fields of the first card say, and tells whether they can be so. Why the last start failed stands until
// something else is said there.
func (s *share) keep() bool {
	if s.filling {
		return false
	}
	port, err := strconv.Atoi(strings.TrimSpace(s.port.Text))
	if err != nil || port < 0 || port > 65535 {
		s.problem(fmt.Sprintf("%q is not a port: type a number from 1 to 65535. Ports below 1024 need special rights.", s.port.Text))
		s.badPort = true
		return false
	}
	before := s.w.app.Settings().Share
	s.w.app.ChangeSettings(func(set *app.Settings) {
		set.Share.Folder = strings.TrimSpace(s.folder.Text)
		set.Share.Port = port
		set.Share.Access = accesses[s.access.Selected]
		set.Share.Write = s.rights.Selected == 1
		set.Share.User = strings.TrimSpace(s.user.Text)
		set.Share.TLS = tlsModes[s.tls.Selected]
	})
	if s.badPort || !reflect.DeepEqual(before, s.w.app.Settings().Share) {
		s.badPort = false
		s.problem("")
		s.checkRange() // the control port is none of the range
	}
	return true
}

func (s *share) problem(text string) { s.say(text, kit.ColorBad) }

// say shows a line under the title; an empty one takes it away.
func (s *share) say(text string, color fyne.ThemeColorName) {
	s.err.SetSpans(kit.Span{Text: text, Color: color})
	if text == "" {
		s.err.Hide()
	} else {
		s.err.Show()
	}
	if s.object != nil {
		s.object.Refresh()
	}
}

func (s *share) startOrStop() {
	switch s.w.app.Share().Phase {
	case app.Running, app.Stopping:
		s.w.app.StopShare()
	default:
		s.start()
	}
}

// chooseFolder asks for the folder to share, keeps it, and goes on.
func (s *share) chooseFolder(goOn func()) {
	kit.Chooser{Post: s.w.post}.Folder(s.w, s.folder.Text, func(path string) {
		s.folder.SetText(path)
		s.keep()
		goOn()
	})
}

// start keeps what is typed and starts the server, with a folder that is asked for when there is none. A password that is
// still being hashed is waited for, off this goroutine.
func (s *share) start() {
	if s.w.app.Share().Phase != app.Stopped {
		return
	}
	if !s.keep() {
		return
	}
	s.problem("")
	if s.access.Selected != accessList && strings.TrimSpace(s.folder.Text) == "" {
		s.chooseFolder(s.start)
		return
	}
	if s.access.Selected == accessUser && s.password.Text != "" {
		s.saved = s.password.Text
		s.w.app.SetSharePassword(s.password.Text, func(err error) {
			s.w.post(func() {
				if err != nil {
					s.problem(app.Sentence(err))
					return
				}
				s.launch()
			})
		})
		return
	}
	s.launch()
}

// launch starts the server; should it fail as it did before, that is said anew.
func (s *share) launch() {
	s.told = ""
	s.w.app.StartShare()
}

// typedPassive returns the settings with the passive fields as typed.
func (s *share) typedPassive() (app.ShareSettings, error) {
	set := s.w.app.Settings().Share
	set.UseRange = s.useRange.Checked
	for _, f := range []struct {
		entry *kit.Entry
		name  string
		to    *int
	}{{s.min, "Min", &set.Min}, {s.max, "Max", &set.Max}} {
		n, err := strconv.Atoi(strings.TrimSpace(f.entry.Text))
		if err != nil && set.UseRange {
			return set, fmt.Errorf("%s: %q is not a port number", f.name, f.entry.Text)
		}
		if err == nil {
			*f.to = n
		}
	}
	set.IPMode = ipModes[s.ipMode.Selected]
	set.IPValue = strings.TrimSpace(s.ip.Text)
	return set, nil
}

// checkRange says while typing what the range means.
func (s *share) checkRange() {
	set, err := s.typedPassive()
	enable(s.min, s.useRange.Checked)
	enable(s.max, s.useRange.Checked)
	s.estimate.show()
	if !s.useRange.Checked {
		s.rangeMsg.SetSpans(kit.Span{Text: "The system picks any free port for each file. Through a firewall or a router that can't work: nobody knows which port to open.", Color: kit.ColorMuted})
		return
	}
	if err == nil {
		err = app.CheckPorts(set)
	}
	if err != nil {
		s.rangeMsg.SetSpans(kit.Span{Text: app.Sentence(err), Color: kit.ColorBad})
		return
	}
	if warnings := set.RangeWarnings(); len(warnings) > 0 {
		s.rangeMsg.SetSpans(kit.Span{Text: strings.Join(warnings, " "), Color: kit.ColorWarn})
		return
	}
	s.rangeMsg.SetSpans(kit.Span{Text: count(set.Max-set.Min+1, "port", "ports"), Bold: true},
		kit.Span{Text: ", one for each file being moved.", Color: kit.ColorMuted})
}

// applyPassive checks the passive fields, keeps them, and applies them to the running server.
func (s *share) applyPassive() {
	if s.filling {
		return
	}
	s.checkRange()
	s.showIP()
	set, err := s.typedPassive()
	if err == nil {
		if set.IPMode != localserver.PassiveAuto && set.IPValue == "" { // not typed yet
			kept := s.w.app.Settings().Share
			set.IPMode, set.IPValue = kept.IPMode, kept.IPValue
		}
		s.w.app.ApplyPassive(set, func(err error) {
			if err != nil {
				s.w.post(func() { s.refusedPassive(set, err) })
			}
		})
	}
	if err != nil {
		s.refusedPassive(set, err)
	}
	s.object.Refresh()
}

// refusedPassive says why the passive settings can't be, at the field that it is about.
func (s *share) refusedPassive(set app.ShareSettings, err error) {
	where := s.rangeMsg
	if _, ip := set.CheckPassiveIP(); ip != nil && app.CheckPorts(set) == nil {
		where = s.ipMsg
	}
	where.SetSpans(kit.Span{Text: app.Sentence(err) + " Nothing was changed.", Color: kit.ColorBad})
	s.object.Refresh()
}

// chooseIP follows a choice of how the Passive IP is found.
func (s *share) chooseIP() {
	s.applyPassive()
	if s.ipBox.Visible() && s.ip.Text == "" {
		s.w.focusOn(s.ip)
	}
}

// showIP says in words what clients are told.
func (s *share) showIP() {
	set := s.w.app.Settings().Share
	set.IPMode, set.IPValue = ipModes[s.ipMode.Selected], strings.TrimSpace(s.ip.Text)
	local, _ := s.w.app.PassiveAddresses()
	auto := set.IPMode == localserver.PassiveAuto
	kit.SetVisible(s.ipBox, !auto)
	kit.SetVisible(s.networks, !auto) // else everyone is told the same way
	example := "Public IP address"
	if set.IPMode == localserver.PassiveHost {
		example = "home.example.org"
	}
	s.ip.SetPlaceHolder(example)
	switch {
	case auto:
		s.ipMsg.SetSpans(kit.Span{Text: "Everyone is told the address that they reached you at (" + local.String() + " on your network). Behind a router, people outside need your public address: set it here.", Color: kit.ColorMuted})
		return
	case set.IPValue == "":
		s.ipMsg.SetSpans(kit.Span{Text: "Type what people outside reach you at. Until then everything stays as it was.", Color: kit.ColorMuted})
		return
	}
	words := told(set, local.String(), set.IPValue)
	if set.IPMode == localserver.PassiveHost {
		words += " The name is looked up again and again, so a changing address is followed."
	}
	spans := []kit.Span{{Text: words, Color: kit.ColorMuted}}
	if warnings, _ := set.CheckPassiveIP(); len(warnings) > 0 {
		spans = append(spans, kit.Span{Text: " " + strings.Join(warnings, " "), Color: kit.ColorWarn})
	}
	s.ipMsg.SetSpans(spans...)
}

func (s *share) enable(w fyne.Disableable, on bool) {
	enable(w, on)
	if f, ok := w.(fyne.Focusable); ok && !on && s.w.Canvas().Focused() == f {
		s.w.focusOn(s.toggle) // a disabled field keeps the keys to itself
	}
}

// refresh brings the screen in line with the application.
func (s *share) refresh() {
	st := s.w.app.Share()
	before := s.state.Phase
	keeps := s.state.AccountsErr
	s.state = st
	stopped, running := st.Phase == app.Stopped, st.Phase == app.Running
	for _, w := range []fyne.Disableable{s.folder, s.choose, s.port, s.tls} {
		s.enable(w, stopped)
	}
	for _, w := range []fyne.Disableable{s.access, s.rights, s.user, s.password, s.generate} {
		s.enable(w, stopped || running) // the running server takes over who may come in
	}
	if before != st.Phase {
		switch st.Phase {
		case app.Stopped:
			if before == app.Stopping {
				s.problem("")
			}
			s.dot.SetColor(kit.ColorMuted)
			s.title.SetText("Not sharing")
			s.toggle.Style = kit.Primary
			s.toggle.SetText("Start")
		case app.Starting:
			s.title.SetText("Starting…")
		case app.Running:
			s.dot.SetColor(kit.ColorGood)
			s.title.SetText("Sharing")
			s.toggle.Style = kit.Danger
			s.toggle.SetText("Stop")
		case app.Stopping:
			s.title.SetText("Stopping…")
			s.toggle.SetText("Stop now")
			s.say("Transfers under way get ten seconds to finish.", kit.ColorMuted)
		}
		enable(s.toggle, st.Phase != app.Starting)
	}
	if st.Err != s.told { // once: what is changed then may be the remedy
		s.told = st.Err
		s.problem(app.Sentence(errors.New(st.Err)))
	}
	if st.Phase == app.Running && (before != app.Running || keeps != st.AccountsErr) {
		s.problem("")
		if st.AccountsErr != "" {
			s.problem(app.Sentence(errors.New(st.AccountsErr)) + " Until then those come in who could before.")
		}
	}
	s.showAddresses(st)
	s.self.refresh()
	s.sessions = st.Sessions
	s.peopleDrawn.redraw(s.people)
	badge := ""
	if len(s.sessions) > 0 {
		badge = strconv.Itoa(len(s.sessions))
	}
	s.drawer.SetBadge("people", badge)
	s.ports.show(st)
	s.drawer.SetBadge(tabPorts, s.ports.badge())
}

// maxAddresses is how many addresses are listed: more only confuse.
const maxAddresses = 3

func (s *share) showAddresses(st app.Share) {
	var key strings.Builder
	for _, a := range st.Addresses {
		key.WriteString(a.URL + "\n")
	}
	key.WriteString(st.Fingerprint)
	if key.String() == s.drawn {
		return
	}
	s.drawn = key.String()
	s.addresses.RemoveAll()
	s.proof.SetSpans(kit.Span{Text: "The TLS certificate's SHA-256, to compare on the other device: ", Color: kit.ColorMuted},
		kit.Span{Text: grouped(st.Fingerprint), Mono: true},
		kit.Span{Text: " "}, kit.Span{Text: "Copy", OnTap: func() { kit.Copy(s.addresses, st.Fingerprint) }})
	kit.SetVisible(s.proof, st.Fingerprint != "")
	kit.SetVisible(s.opener, len(st.Addresses) > 0)
	if len(st.Addresses) > 0 {
		s.opener.SetSpans(kit.Span{Text: opensWith(st.Addresses[0].URL), Color: kit.ColorMuted})
	} else {
		s.code.Hide()
		s.addresses.Add(kit.NewMutedParagraph(noAddresses))
		s.object.Refresh()
		return
	}
	for i, a := range st.Addresses {
		if i == maxAddresses {
			break
		}
		line := kit.NewLabel(a.URL)
		line.Mono, line.Shrink = true, true
		copyIt := kit.NewIconButton(kit.IconCopy, "Copy "+a.URL, func() { kit.Copy(s.addresses, a.URL) })
		copyIt.Style = kit.Quiet
		s.addresses.Add(kit.HBox(4, kit.Grow(line), copyIt))
		note := kit.NewMutedLabel(reach(a))
		note.Shrink = true
		s.addresses.Add(note)
	}
	if code, err := qr.Encode(st.Addresses[0].URL, qr.M); err == nil {
		if img, err := png.Decode(bytes.NewReader(code.PNG())); err == nil {
			s.qr.Image = img
			s.qr.Refresh()
			s.code.Show()
		}
	}
	s.reach.Refresh()
	s.object.Refresh()
}

// opensWith says which programs open a server's URL.
func opensWith(url string) string {
	if strings.HasPrefix(url, "ftp://") {
		return "Type it in Windows Explorer's address bar, in Finder's Connect to Server, in a Linux file manager, or in an FTP app. Web browsers no longer open it."
	}
	return "Type it in an FTP app that can do TLS, such as FileZilla or WinSCP. Windows Explorer, Finder and web browsers can't."
}

const noAddresses = "Start sharing, and the addresses to type on another device appear here."

// addressWidth is the least width of the code with the addresses beside it.
func (s *share) addressWidth() float32 {
	width := float32(0)
	for _, a := range s.state.Addresses[:min(len(s.state.Addresses), maxAddresses)] {
		width = max(width, fyne.MeasureText(a.URL, kit.CaptionSize, fyne.TextStyle{Monospace: true}).Width)
	}
	return s.qr.MinSize().Width + 12 + width + 4 + kit.InputHeight
}

func reach(a app.Address) string {
	switch a.Reach {
	case app.ReachSelf:
		return "Only on this computer"
	case app.ReachLocal:
		return "Same Wi-Fi or LAN · " + a.Interface
	}
	return "From the internet · " + a.Interface
}

func (s *share) commands() []kit.Command {
	on := func() bool { return s.w.screen == "share" }
	return []kit.Command{
		{ID: "share.toggle", Title: "Start or stop sharing", Keys: []string{"Ctrl+G"}, Group: "Share", Enabled: func() bool {
			p := s.w.app.Share().Phase
			return p == app.Stopped || p == app.Running
		}, Run: func() { s.w.show("share"); s.startOrStop() }},
		{ID: "share.find", Title: "Find in channels", Keys: []string{"F3"}, Group: "View", Enabled: on, Run: s.drawer.FocusSearch},
		{ID: "share.kick", Title: "Disconnect the chosen person", Group: "Share", Enabled: func() bool { return on() && len(s.people.Selected()) == 1 },
			Run: func() { s.w.app.Kick(s.sessions[s.people.Selected()[0]].ID) }},
	}
}

func (s *share) view() fyne.CanvasObject { return s.object }

func (s *share) shown(on bool) { s.drawer.SetActive(on) }

func (s *share) focus() {
	switch {
	case s.state.Phase != app.Running:
		s.w.focusOn(s.folder)
	case s.drawer.Tab() == "people" && len(s.sessions) > 0:
		s.w.focusOn(s.people)
	default:
		s.w.focusOn(s.toggle)
	}
}

// drop takes a folder that was dropped on the screen.
func (s *share) drop(path string) {
	if s.w.app.Share().Phase != app.Stopped {
		s.problem("Stop sharing first: then another folder can be chosen.")
		return
	}
	s.folder.SetText(path)
	s.keep()
}

// status is what the status bar says on this screen.
func (s *share) status() (left, right []string) {
	st := s.state
	switch st.Phase {
	case app.Stopped:
		return []string{"Not sharing"}, nil
	case app.Starting:
		return []string{"Starting"}, nil
	}
	left = append(left, "Sharing "+shorten(connlog.Printable(st.Folder), 50), count(len(st.Sessions), "person", "people"))
	if st.PortsTotal > 0 {
		left = append(left, portsTaken(st))
	}
	var up, down int64
	for _, p := range st.Sessions {
		if p.Direction == localserver.Sending {
			up += p.Rate
		} else {
			down += p.Rate
		}
	}
	return left, []string{"Up " + speed(float64(up)), "Down " + speed(float64(down))}
}
