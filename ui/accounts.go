package ui

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"github.com/sethvargo/go-diceware/diceware"

	"portside/app"
	"portside/connlog"
	"portside/localserver"
	"portside/ui/kit"
)

// The choices of who may come in, by their places in the field.
const (
	accessAnyone = iota
	accessUser
	accessList
)

var accesses = []app.Access{app.AccessAnonymous, app.AccessUser, app.AccessAccounts}

// accessChoices names the choices. The last one says what choosing it does, and once it is chosen what it means.
func accessChoices(selected int) []string {
	last := "More accounts…"
	if selected == accessList {
		last = "The accounts below"
	}
	return []string{"Anyone on this network", "One user, password", last}
}

// chooseAccess follows a choice of who may come in. Whoever may write so far does not let anyone write by that.
func (s *share) chooseAccess(i int) {
	if i == accessAnyone {
		s.rights.ShowSelected(0)
	}
	if i == accessList {
		s.w.app.UseAccounts()
	}
	s.keep()
	s.showLogin()
	if i == accessList {
		openAccounts(s.w, s.showLogin)
	}
}

// accountsRow stands on the Share screen in the place of name and password when a list says who may come in.
type accountsRow struct {
	w      *Window
	names  *kit.Label
	object *fyne.Container
}

func newAccountsRow(w *Window, changed func()) *accountsRow {
	r := &accountsRow{w: w, names: kit.NewMutedLabel("")}
	r.names.Shrink = true
	r.object = kit.HBox(6, kit.Grow(r.names), kit.NewButton("Accounts…", func() { openAccounts(w, changed) }))
	return r
}

// show says who is in the list, or hides the row.
func (r *accountsRow) show(on bool) {
	list := r.w.app.Settings().Share.Accounts
	var names []string
	for _, one := range list {
		names = append(names, connlog.Printable(one.Name))
	}
	switch {
	case !on:
		r.object.Hide()
		return
	case len(list) == 0:
		r.names.Set("Nobody yet", kit.ColorBad)
	case app.CheckAccounts(list) != nil:
		r.names.Set(connlog.Capital(count(len(list), "account", "accounts"))+", with a mistake", kit.ColorBad)
	default:
		r.names.Set(strings.Join(names, ", "), kit.ColorMuted)
	}
	r.object.Show()
}

// accounts is the dialog with the table of all accounts. Each change is kept at once.
type accounts struct {
	w      *Window
	list   []app.Account
	table  *kit.Table
	note   *kit.FlowText
	dialog *kit.Dialog
}

// openAccounts opens the dialog with the table of accounts. changed is called when it is closed.
func openAccounts(w *Window, changed func()) *accounts {
	a := &accounts{w: w, note: kit.NewFlowText()}
	t := kit.NewTable(
		kit.Column{ID: "name", Title: "Account", Flex: true, Min: 130},
		kit.Column{ID: "rights", Title: "Rights", Width: 150, Min: 80},
		kit.Column{ID: "folder", Title: "Folder", Width: 170, Min: 80},
		kit.Column{ID: "tls", Title: "TLS", Width: 76},
		kit.Column{ID: "sessions", Title: "Sessions", Width: 76, Align: fyne.TextAlignTrailing},
	)
	a.table = t
	t.Label, t.Single = "Accounts", true
	t.Length = func() int { return len(a.list) }
	t.Key = func(i int) string { return strconv.Itoa(i) + " " + a.list[i].Name }
	t.Cell = a.cell
	t.OnActivated = a.edit
	t.OnSelectionChanged = a.enable
	t.OnMenu = func(rows []int, at fyne.Position) {
		items := []*fyne.MenuItem{fyne.NewMenuItem("Add…", a.add)}
		if len(rows) == 1 {
			items = append(items, fyne.NewMenuItem("Edit…", a.with(a.edit)), fyne.NewMenuItem("Duplicate…", a.with(a.duplicate)),
				fyne.NewMenuItemSeparator(), fyne.NewMenuItem("Delete", a.with(a.remove)))
		}
		kit.ShowMenu(t, fyne.NewMenu("", items...), at)
	}
	t.OnKey = func(ev *fyne.KeyEvent) bool {
		switch ev.Name {
		case fyne.KeyInsert:
			a.add()
		case fyne.KeyF2:
			a.with(a.edit)()
		case fyne.KeyDelete:
			a.with(a.remove)()
		default:
			return false
		}
		return true
	}
	t.SetEmpty(kit.Empty{Text: "Nobody may come in.", Hint: "Add an account: a name and a password for one person, or the one that anyone may use."})

	a.dialog = &kit.Dialog{Title: "Accounts", Width: 700, Post: w.post, Focus: t, OnClosed: changed}
	a.dialog.Content = kit.VBox(8, kit.FixedHeight(252, kit.NewFlushCard(t)), a.note)
	stay := func(f func()) func() bool { return func() bool { f(); return false } }
	a.dialog.Buttons = []kit.DialogButton{
		{Text: "Add…", Left: true, Run: stay(a.add)},
		{Text: "Edit…", Left: true, Run: stay(a.with(a.edit))},
		{Text: "Duplicate…", Left: true, Run: stay(a.with(a.duplicate))},
		{Text: "Delete", Left: true, Run: stay(a.with(a.remove))},
		{Text: "Close", Style: kit.Primary, Default: true, Cancel: true},
	}
	a.read()
	a.dialog.Show(w)
	t.SetCursor(0)
	a.enable()
	return a
}

// with returns a function that runs f with the selected row, if there is one.
func (a *accounts) with(f func(row int)) func() {
	return func() {
		if rows := a.table.Selected(); len(rows) == 1 {
			f(rows[0])
		}
	}
}

func (a *accounts) enable() {
	for _, title := range []string{"Edit…", "Duplicate…", "Delete"} {
		a.dialog.SetEnabled(title, len(a.table.Selected()) == 1)
	}
}

// read shows the list as it is kept now, and what must be said of it.
func (a *accounts) read() {
	set := a.w.app.Settings().Share
	a.list = set.Accounts
	a.table.Refresh()
	over := slices.IndexFunc(a.list, func(one app.Account) bool { return one.RequireTLS })
	err := app.CheckAccounts(a.list)
	switch {
	case err != nil && len(a.list) > 0:
		a.note.SetSpans(kit.Span{Text: app.Sentence(err), Color: kit.ColorBad})
	case over >= 0 && set.TLS == localserver.TLSOff:
		a.note.SetSpans(kit.Span{Text: connlog.Printable(a.list[over].Name) + " may sign in over TLS only, but TLS is switched off on the Share screen.", Color: kit.ColorWarn})
	case a.w.app.Share().AccountsErr != "":
		a.note.SetSpans(kit.Span{Text: app.Sentence(errors.New(a.w.app.Share().AccountsErr)), Color: kit.ColorBad},
			kit.Span{Text: " Until then sharing goes on with the accounts that it had.", Color: kit.ColorMuted})
	case a.w.app.Share().Phase != app.Stopped:
		a.note.SetSpans(kit.Span{Text: "Sharing is on: changes apply at once. Who has to sign in again because of one may finish the file under way.", Color: kit.ColorMuted})
	default:
		a.note.SetSpans(kit.Span{Text: "Each account sees its own folder, or the shared one, and does there what its rights allow.", Color: kit.ColorMuted})
	}
	a.dialog.Refresh()
}

// tlsOf says whether an account has to use TLS on a server with this mode.
func tlsOf(one app.Account, mode localserver.TLSMode) string {
	switch {
	case one.RequireTLS, mode == localserver.TLSRequired, mode == localserver.TLSImplicit:
		return "Required"
	case mode == localserver.TLSOff:
		return "Off"
	}
	return "Optional"
}

func (a *accounts) cell(row, col int) kit.Cell {
	if row >= len(a.list) {
		return kit.Cell{}
	}
	one := a.list[row]
	switch col {
	case 0:
		switch {
		case one.Check() != nil:
			return kit.Cell{Text: connlog.Printable(one.Name), Icon: kit.IconColored(kit.IconWarning, kit.ColorBad)}
		case one.Anonymous():
			return kit.Cell{Text: "anonymous (anyone)", Icon: kit.IconColored(kit.IconUnlock, kit.ColorMuted)}
		}
		return kit.Cell{Text: connlog.Printable(one.Name), Icon: kit.IconColored(kit.IconPerson, kit.ColorMuted)}
	case 1:
		c := kit.Cell{Text: connlog.Capital(one.Rights.String())}
		if one.Anonymous() && one.Rights&app.Writing != 0 {
			c.Color = kit.ColorWarn
		}
		return c
	case 2:
		if one.Folder == "" {
			return kit.Cell{Text: "The shared folder"}
		}
		return kit.Cell{Text: shorten(connlog.Printable(one.Folder), 26)}
	case 3:
		return kit.Cell{Text: tlsOf(one, a.w.app.Settings().Share.TLS)}
	}
	if one.MaxSessions > 0 {
		return kit.Cell{Text: strconv.Itoa(one.MaxSessions)}
	}
	return kit.Cell{Text: "Any"}
}

func (a *accounts) add() {
	openAccount(a.w, -1, app.Account{Rights: app.ReadOnly}, a.saved)
}

func (a *accounts) edit(row int) { openAccount(a.w, row, a.list[row], a.saved) }

func (a *accounts) duplicate(row int) {
	openAccount(a.w, -1, app.DuplicateOf(a.list, a.list[row]), a.saved)
}

// saved shows the account that was saved at a place, -1 for the last one.
func (a *accounts) saved(at int) {
	a.read()
	if at < 0 {
		at = len(a.list) - 1
	}
	a.table.SetCursor(at)
	a.enable()
}

func (a *accounts) remove(row int) {
	name := a.list[row].Name
	text := connlog.Printable(name) + " can't sign in any more."
	if a.w.app.Share().Phase != app.Stopped {
		text += " Whoever is here with it may finish the file under way."
	}
	kit.Confirm(a.w, "Delete this account?", text+" Files stay where they are.", "Delete", true, func() {
		a.w.app.DeleteAccount(row, name)
		a.read()
		a.table.SetCursor(min(row, len(a.list)-1))
		a.enable()
	})
}

var (
	presets     = []app.Rights{app.ReadOnly, app.DropBox, app.ReadWrite}
	presetNames = []string{"Read only", "Drop box: upload, see nothing", "Read and write", "As ticked below"}
)

// account is the dialog with the fields of one account.
type account struct {
	w      *Window
	at     int // its place in the list; -1: it is new
	before app.Account
	saved  func(at int)

	anyone, tls              *kit.Check
	name, password           *kit.Entry
	folder, sessions         *kit.Entry
	generate, copyIt, choose *kit.Button
	preset                   *kit.Select
	boxes                    []*kit.Check
	problem                  *kit.FlowText
	dialog                   *kit.Dialog
}

// openAccount opens the dialog of the account at a place in the list, or of a new one for -1.
func openAccount(w *Window, at int, before app.Account, saved func(at int)) *account {
	f := &account{w: w, at: at, before: before, saved: saved, problem: kit.NewFlowText(kit.Span{Text: " "})}
	title, save := "New account", "Add account"
	if at >= 0 {
		title, save = "Account", "Save"
	}
	f.name, f.password, f.folder, f.sessions = kit.NewEntry(), kit.NewEntry(), kit.NewEntry(), kit.NewEntry()
	for _, e := range []*kit.Entry{f.name, f.password, f.folder, f.sessions} {
		e.SelectOnFocus = true
		e.OnChanged = func(string) { f.say("") }
	}
	f.anyone = kit.NewCheck("Anyone, without a password (anonymous)", func(bool) { f.showAnyone() })
	f.password.OnChanged = func(string) { f.say(""); enable(f.copyIt, f.password.Text != "") }
	f.generate = kit.NewIconButton(kit.IconRefresh, "Make a new password", func() {
		text, err := newPassword()
		if err != nil {
			f.say(app.Sentence(err))
			return
		}
		f.password.SetText(text)
	})
	f.copyIt = kit.NewIconButton(kit.IconCopy, "Copy the password", func() { kit.Copy(f.password, f.password.Text) })
	f.folder.SetPlaceHolder("The shared folder")
	f.choose = kit.NewButton("Choose…", func() {
		start := f.folder.Text
		if start == "" {
			start = w.app.Settings().Share.Folder
		}
		kit.ChooseFolder(w, start, f.folder.SetText)
	})
	f.preset = kit.NewSelect(presetNames, func(i int) {
		if i < len(presets) {
			f.tick(presets[i])
		}
	})
	grid := container.NewGridWithColumns(3)
	for _, one := range app.SingleRights() {
		box := kit.NewCheck(one.Title, func(bool) { f.showPreset() })
		f.boxes = append(f.boxes, box)
		grid.Add(box)
	}
	f.tls = kit.NewCheck("Only over TLS", func(bool) { f.say("") })
	f.tls.Tip = "Refuses to sign in without TLS, so that name, password and files never cross the network in clear."
	f.sessions.SetPlaceHolder("any number")

	f.dialog = &kit.Dialog{Title: title, Width: 560, Post: w.post, Focus: f.name}
	f.dialog.Content = kit.VBox(8,
		formRow("Name", f.name), formRow("", f.anyone),
		formRow("Password", kit.HBox(6, kit.Grow(f.password), f.generate, f.copyIt)),
		formRow("Folder", kit.HBox(6, kit.Grow(f.folder), f.choose)),
		formRow("Rights", f.preset), formRow("", grid),
		formRow("Sessions at once", kit.HBox(16, kit.FixedWidth(110, f.sessions), f.tls, kit.Space())),
		f.problem,
	)
	f.dialog.Buttons = []kit.DialogButton{
		{Text: "Cancel", Cancel: true},
		{Text: save, Style: kit.Primary, Default: true, Run: func() bool { f.save(); return false }},
	}
	f.fill()
	if f.anyone.Checked {
		f.dialog.Focus = f.anyone // a disabled field keeps the keys to itself
	}
	f.dialog.Show(w)
	return f
}

func formRow(label string, field fyne.CanvasObject) fyne.CanvasObject {
	return kit.HBox(8, kit.FixedWidth(112, kit.NewMutedLabel(label)), kit.Grow(field))
}

func (f *account) fill() {
	one := f.before
	f.name.SetText(one.Name)
	f.anyone.ShowChecked(one.Anonymous())
	f.folder.SetText(one.Folder)
	f.tls.ShowChecked(one.RequireTLS)
	if one.MaxSessions > 0 {
		f.sessions.SetText(strconv.Itoa(one.MaxSessions))
	}
	f.tick(one.Rights)
	f.showPreset()
	f.showAnyone()
	if one.Name == "" {
		f.generate.OnTapped() // a good one from the start
	}
}

func (f *account) tick(r app.Rights) {
	for i, one := range app.SingleRights() {
		f.boxes[i].ShowChecked(r&one.Rights != 0)
	}
	f.say("")
}

func (f *account) ticked() (r app.Rights) {
	for i, one := range app.SingleRights() {
		if f.boxes[i].Checked {
			r |= one.Rights
		}
	}
	return r
}

// showPreset brings the choice in line with the boxes.
func (f *account) showPreset() {
	i := slices.Index(presets, f.ticked())
	if i < 0 {
		i = len(presets)
	}
	f.preset.ShowSelected(i)
	f.say("")
}

// showAnyone brings name and password in line with the box for anyone.
func (f *account) showAnyone() {
	on := f.anyone.Checked
	if on {
		f.name.SetText(localserver.Anonymous)
		f.password.SetText("")
	} else if strings.EqualFold(f.name.Text, localserver.Anonymous) {
		f.name.SetText("")
	}
	hint := "Password"
	switch {
	case on:
		hint = "none is asked for"
	case !f.before.PasswordHash.IsZero():
		hint = "unchanged"
	}
	f.password.SetPlaceHolder(hint)
	enable(f.name, !on)
	enable(f.password, !on)
	enable(f.generate, !on)
	enable(f.copyIt, !on && f.password.Text != "")
	f.say("")
}

// say shows a problem under the fields. Without one, a new password is what there is to say something about.
func (f *account) say(problem string) {
	span := kit.Span{Text: problem, Color: kit.ColorBad}
	switch {
	case problem != "":
	case f.password.Text != "":
		span = kit.Span{Text: "Copy the password or write it down: it can't be shown again later.", Color: kit.ColorMuted}
	default:
		span.Text = " "
	}
	f.problem.SetSpans(span)
	f.dialog.Refresh()
}

// typed returns the account as the fields have it.
func (f *account) typed() (app.Account, string) {
	one := f.before
	one.Name, one.Folder = strings.TrimSpace(f.name.Text), strings.TrimSpace(f.folder.Text)
	one.Rights, one.RequireTLS, one.MaxSessions = f.ticked(), f.tls.Checked, 0
	if text := strings.TrimSpace(f.sessions.Text); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return one, strconv.Quote(text) + " is not a number of sessions: type one from 1 up, or leave it empty for any number."
		}
		one.MaxSessions = n
	}
	return one, ""
}

// save keeps the account, and asks before anyone may change files.
func (f *account) save() {
	one, problem := f.typed()
	if problem != "" {
		f.say(problem)
		return
	}
	if fresh := one.Rights &^ f.before.Rights; one.Anonymous() && one.Rights&app.Writing != 0 && (fresh&app.Writing != 0 || !f.before.Anonymous()) {
		kit.Confirm(f.w, "Let anyone change your files?",
			"Without a password, everyone who can reach this computer could "+changes(one.Rights)+" in the folder. An account with a password is safer.",
			"Let anyone write", true, func() { f.keep(one) })
		return
	}
	f.keep(one)
}

// changes says in words what rights let somebody do to files.
func changes(r app.Rights) string {
	var all []string
	for _, one := range app.SingleRights() {
		if r&one.Rights&app.Writing != 0 {
			all = append(all, strings.ToLower(one.Title))
		}
	}
	if last := len(all) - 1; last > 0 {
		return strings.Join(all[:last], ", ") + " and " + all[last]
	}
	return strings.Join(all, "")
}

func (f *account) keep(one app.Account) {
	f.busy(true)
	f.w.app.SaveAccount(f.at, one, f.password.Text, func(err error) {
		f.w.post(func() {
			f.busy(false)
			if err != nil {
				f.say(app.Sentence(err))
				return
			}
			f.dialog.Close()
			f.saved(f.at)
		})
	})
}

// busy holds back a second save while one is under way.
func (f *account) busy(on bool) {
	for _, b := range f.dialog.Buttons {
		if b.Default {
			f.dialog.SetEnabled(b.Text, !on)
		}
	}
}

// newPassword makes a password that is easy to read out: three words.
func newPassword() (string, error) {
	words, err := diceware.GenerateWithWordList(3, diceware.WordListEffSmall())
	return strings.Join(words, "-"), err
}
