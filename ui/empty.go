package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/ui/kit"
)

// empty is a screen that says what will be there, and what serves until then.
type empty struct {
	w      *Window
	object fyne.CanvasObject
	button *kit.Button
}

func newDoctor(w *Window) *empty {
	open := kit.NewButton("Open Connect", func() { w.show("connect") })
	return newEmpty(w, kit.IconDoctor, "Doctor is not built yet",
		"It will examine a server that can't be reached: control channel, TLS, sign-in, passive and active mode, and then say which firewall or setting has to change, with the line to type.",
		"Until then, the Channels drawer of the Connect screen explains each channel that fails, and the command portside check tries both modes against a server.", open)
}

func newLearn(w *Window) *empty {
	try := kit.NewButton("Try it on this computer", func() { w.connect.tryIt() })
	return newEmpty(w, kit.IconLearn, "Learn is not built yet",
		"It will show in moving pictures how FTP's two channels work: who opens which one in active and in passive mode, what firewalls and NAT do to them, and what a passive port range and a Passive IP are for.",
		"Until then you can watch the real thing: a server and a client on this computer, one file in each mode, every channel explained.", try)
}

func newEmpty(w *Window, icon kit.IconName, title, will, until string, button *kit.Button) *empty {
	head := kit.NewBoldLabel(title)
	head.TextSize = kit.HeadlineSize
	head.Align = fyne.TextAlignCenter
	sign := kit.NewIcon(icon, kit.ColorMuted)
	sign.Side = 32
	texts := []fyne.CanvasObject{kit.FixedHeight(40, sign), head}
	for _, t := range []string{will, until} {
		p := kit.NewMutedParagraph(t)
		p.Center = true
		p.Width = 520
		texts = append(texts, p)
	}
	texts = append(texts, container.NewCenter(button))
	return &empty{w, container.NewCenter(kit.FixedWidth(520, kit.VBox(12, texts...))), button}
}

func (e *empty) view() fyne.CanvasObject        { return e.object }
func (e *empty) refresh()                       {}
func (e *empty) shown(bool)                     {}
func (e *empty) focus()                         { e.w.focusOn(e.button) }
func (e *empty) status() (left, right []string) { return nil, nil }
