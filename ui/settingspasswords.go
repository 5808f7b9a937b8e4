package ui

import (
	"errors"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client/secrets"
	"portside/ui/kit"
)

// passwords is the card with where the sites' passwords are kept.
func (s *settings) passwords() fyne.CanvasObject {
	s.where = kit.NewMutedParagraph("")
	s.master = kit.NewButton("Change master password…", func() { openMaster(s.w) })
	return kit.NewCard("Passwords", kit.VBox(kit.Gap, s.where, kit.HBox(6, s.master, kit.Space())))
}

// showPasswords says where they are kept now: a vault comes with the first password where there is no keyring.
func (s *settings) showPasswords() {
	vault := s.w.app.HasVault()
	text := "The passwords of your sites are kept in this system's keyring, or, where there is none, in a file that a master password encrypts."
	if vault {
		text = "The passwords of your sites are kept in a file that your master password encrypts."
	}
	enable(s.master, vault)
	if text != s.where.String() {
		s.where.SetSpans(kit.Span{Text: text, Color: kit.ColorMuted})
		s.object.Refresh()
	}
}

// openMaster asks for the master password and a new one.
func openMaster(w *Window) *kit.Dialog {
	old, password, again := kit.NewPasswordEntry(), kit.NewPasswordEntry(), kit.NewPasswordEntry()
	problem := kit.NewFlowText(kit.Span{Text: " "})
	const change = "Change"
	d := &kit.Dialog{Title: "Change master password", Width: 420, Post: w.post, Focus: old, Content: kit.VBox(8,
		kit.NewParagraph("Nobody can recover the new one. The passwords of your sites stay as they are."),
		formRow("Current", old), formRow("New", password), formRow("Once more", again), problem)}
	say := func(text string, color fyne.ThemeColorName) {
		problem.SetSpans(kit.Span{Text: text, Color: color})
		d.Refresh()
	}
	busy := func(on bool) {
		d.SetEnabled(change, !on)
		d.SetEnabled("Cancel", !on)
	}
	ended := func(err error) {
		if err == nil {
			d.Close()
			kit.ShowToast(w.body, "The master password is changed")
			return
		}
		busy(false)
		if !errors.Is(err, secrets.ErrPassword) {
			say(app.Sentence(err), kit.ColorBad)
			return
		}
		say("That is not the current master password.", kit.ColorBad)
		w.focusOn(old)
		old.SelectText()
	}
	d.Buttons = []kit.DialogButton{{Text: "Cancel", Cancel: true}, {Text: change, Style: kit.Primary, Default: true, Run: func() bool {
		why := typedTwice(password.Text, again.Text)
		switch {
		case old.Text == "":
			why = "Type the current master password."
		case password.Text == "":
			why = "Type the new master password."
		}
		if why != "" {
			say(why, kit.ColorBad)
			return false
		}
		say("Changing…", kit.ColorMuted)
		busy(true)
		w.app.ChangeMaster(old.Text, password.Text, func(err error) { w.post(func() { ended(err) }) })
		return false
	}}}
	d.Show(w)
	return d
}

// typedTwice says what is wrong with a password that has to be typed twice; "" when nothing is.
func typedTwice(password, again string) string {
	switch again {
	case "":
		return "Type it once more below."
	case password:
		return ""
	}
	return "The two are not the same."
}
