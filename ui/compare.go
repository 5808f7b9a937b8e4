package ui

import (
	"os"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/connlog"
	"portside/ui/channels"
	"portside/ui/kit"
)

// compareLogs asks for the log of the other end and shows what the two logs prove together.
func (w *Window) compareLogs() {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	o := kit.PromptOptions{
		Title: "Compare logs", Label: "The other end's log, saved as JSON lines", Text: filepath.Join(home, ""), OK: "Compare",
	}
	kit.Prompt(w, o, func(name string) {
		w.app.CompareWith(strings.TrimSpace(name), func(pairs []connlog.Pair, err error) {
			w.post(func() {
				if err != nil {
					kit.Message(w, "The logs can't be compared", app.Sentence(err))
					return
				}
				w.showComparison(pairs)
			})
		})
	})
}

func (w *Window) showComparison(pairs []connlog.Pair) {
	var rows []fyne.CanvasObject
	var text strings.Builder
	for _, p := range pairs {
		head := "Client session " + p.Client.ID + ", server session " + p.Server.ID
		text.WriteString(head + "\n" + p.Client.Draw() + "\n")
		rows = append(rows, kit.NewBoldLabel(head))
		for _, c := range p.Channels {
			one := c.Client
			if one == nil {
				one = c.Server
			}
			text.WriteString(one.Label() + "\n  " + connlog.Text(c.Together) + "\n")
			rows = append(rows, kit.NewMutedLabel(one.Label()), kit.NewFlowText(channels.Spans(c.Together)...))
		}
	}
	list := container.NewVScroll(kit.Pad(0, 12, 0, 0, kit.VBox(6, rows...)))
	d := &kit.Dialog{Title: "What both logs prove", Content: list, Width: 640, Height: 380}
	d.Buttons = []kit.DialogButton{
		{Text: "Copy", Left: true, Run: func() bool { kit.Copy(list, text.String()); return false }},
		{Text: "Close", Default: true, Cancel: true},
	}
	d.Show(w)
}
