package ui

import (
	"fyne.io/fyne/v2"

	"portside/app"
	"portside/connlog"
	"portside/ui/kit"
)

// asker shows the application's questions, one at a time, and takes one away that is no longer asked.
type asker struct {
	w      *Window
	asked  *app.Question
	dialog *kit.Dialog
}

func (a *asker) refresh() {
	q := a.w.app.Question()
	if q == a.asked {
		return
	}
	a.asked = q
	if a.dialog != nil {
		a.dialog.OnClosed = nil
		a.dialog.Close()
		a.dialog = nil
	}
	if q == nil {
		return
	}
	switch q.Kind {
	case app.AskPassword:
		a.password(q)
	case app.AskMaster, app.AskNewMaster:
		a.master(q)
	case app.AskClear:
		a.clear(q)
	}
}

// open shows a dialog for a question. However it is closed, the question is answered.
func (a *asker) open(q *app.Question, d *kit.Dialog) {
	d.Post = a.w.post
	d.OnClosed = func() { q.Answer(app.Reply{}) } // does nothing after an answer
	a.dialog = d
	d.Show(a.w)
}

func (a *asker) password(q *app.Question) {
	password, account := kit.NewPasswordEntry(), kit.NewPasswordEntry()
	keep := kit.NewCheck("Keep it for this site", nil)
	keep.Tip = "In this system's keyring, or in a file that a master password encrypts"
	rows := []fyne.CanvasObject{nameRow("User", q.User), formRow("Password", password)}
	if q.Account {
		rows = append(rows, formRow("Account", account))
	}
	rows = append(rows, formRow("", keep))
	if q.Problem != "" {
		rows = append([]fyne.CanvasObject{kit.NewFlowText(kit.Span{Text: q.Problem, Color: kit.ColorWarn})}, rows...)
	}
	a.open(q, signInDialog("Sign in to "+shorten(connlog.Printable(q.Site), 36), password, func() {
		q.Answer(app.Reply{OK: true, Password: password.Text, Account: account.Text, Keep: keep.Checked})
	}, rows...))
}

// nameRow shows a name that may be long.
func nameRow(label, name string) fyne.CanvasObject {
	return formRow(label, kit.NewLabel(shorten(connlog.Printable(name), 40)))
}

// signInDialog asks for a password; its field is among the rows.
func signInDialog(title string, password *kit.Entry, answer func(), rows ...fyne.CanvasObject) *kit.Dialog {
	return &kit.Dialog{Title: title, Width: 400, Focus: password, Content: kit.VBox(8, rows...),
		Buttons: []kit.DialogButton{
			{Text: "Cancel", Cancel: true},
			{Text: "Sign in", Style: kit.Primary, Default: true, Run: func() bool { answer(); return true }},
		}}
}

func (a *asker) master(q *app.Question) {
	fresh := q.Kind == app.AskNewMaster
	password, again := kit.NewPasswordEntry(), kit.NewPasswordEntry()
	problem := kit.NewFlowText(kit.Span{Text: " "})
	if q.Problem != "" {
		problem.SetSpans(kit.Span{Text: q.Problem, Color: kit.ColorBad})
	}
	title, ok, intro := "Master password", "Unlock", "It opens the passwords that are kept for your sites, until you quit Portside."
	rows := []fyne.CanvasObject{formRow("Password", password)}
	if fresh {
		title, ok = "Choose a master password", "Keep"
		intro = "This system has no keyring, so Portside keeps passwords in a file of its own. The master password encrypts it. It is asked for once each time you use Portside, and nobody can recover it."
		rows = append(rows, formRow("Once more", again))
	}
	rows = append([]fyne.CanvasObject{kit.NewParagraph(intro)}, append(rows, problem)...)
	d := &kit.Dialog{Title: title, Width: 420, Focus: password, Content: kit.VBox(8, rows...)}
	d.Buttons = []kit.DialogButton{
		{Text: "Cancel", Cancel: true},
		{Text: ok, Style: kit.Primary, Default: true, Run: func() bool {
			why := ""
			switch {
			case password.Text == "":
				why = "Type the master password."
			case fresh:
				why = typedTwice(password.Text, again.Text)
			}
			if why != "" {
				problem.SetSpans(kit.Span{Text: why, Color: kit.ColorBad})
				d.Refresh()
				return false
			}
			// It stays until it is known to be right: what is typed meanwhile must not go to the screen below.
			problem.SetSpans(kit.Span{Text: "Opening…", Color: kit.ColorMuted})
			d.SetEnabled(ok, false)
			d.SetEnabled("Cancel", false)
			d.Refresh()
			q.Answer(app.Reply{OK: true, Password: password.Text})
			return false
		}},
	}
	if !fresh {
		d.Buttons = append([]kit.DialogButton{{Text: "Forgotten…", Left: true, Run: func() bool { a.forgotten(d); return false }}}, d.Buttons...)
	}
	a.open(q, d)
}

// forgotten begins anew: what the vault holds can't be had without its password.
func (a *asker) forgotten(d *kit.Dialog) {
	kit.Confirm(a.w, "Delete all kept passwords?", "Nobody can read them without the master password. Your sites stay; Portside asks for their passwords again.",
		"Delete them", true, func() {
			d.Close()
			a.w.app.ForgetVault(func(err error) {
				a.w.post(func() {
					if err != nil {
						kit.Message(a.w, "The passwords were not deleted", app.Sentence(err))
						return
					}
					kit.ShowToast(a.w.body, "The kept passwords are deleted")
				})
			})
		})
}

func (a *asker) clear(q *app.Question) {
	keep := kit.NewCheck("Don't ask again for this server", nil)
	text := kit.NewFlowText(
		kit.Span{Text: "This connection has no TLS. ", Bold: true, Color: kit.ColorWarn},
		kit.Span{Text: "The password for " + shorten(connlog.Printable(q.User), 40) + " would go to " + shorten(connlog.Printable(q.Host), 60) +
			" in clear: everyone on the way can read it, and the files too. Nothing was sent so far."})
	a.open(q, &kit.Dialog{Title: "Send the password in clear?", Width: 460, Content: kit.VBox(10, text, keep), Buttons: []kit.DialogButton{
		{Text: "Cancel", Cancel: true, Default: true},
		{Text: "Send it in clear", Style: kit.Danger, Run: func() bool { q.Answer(app.Reply{OK: true, Keep: keep.Checked}); return true }},
	}})
}
