package ui

import (
	"os"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/connlog"
	"portside/ui/channels"
	"portside/ui/kit"
)

// compareLogs asks for the log of the other end, or for those of both, and shows what the two prove together.
func (w *Window) compareLogs() {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	kit.ChooseFiles(w, "Compare logs: choose the other end's log, or both, saved as JSON lines", "Compare", home, func(names []string) {
		w.app.CompareWith(names, func(pairs []connlog.Pair, err error) {
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

// comparison shows the channels of two logs in one picture, and of the chosen one what each end says of it and what that
// proves.
type comparison struct {
	pairs   map[connlog.ChannelKey]connlog.ChannelPair // by the channel that the picture shows
	diagram *channels.Diagram
	said    *fyne.Container
	object  fyne.CanvasObject
}

func (w *Window) showComparison(pairs []connlog.Pair) {
	c := newComparison(pairs, w.ownSide(pairs))
	d := &kit.Dialog{Title: "What both logs prove", Content: c.object, Width: min(960, w.Canvas().Size().Width-120), Height: min(480, w.Canvas().Size().Height-180)}
	d.Buttons = []kit.DialogButton{
		{Text: "Copy", Left: true, Run: func() bool { kit.Copy(c.object, comparisonText(pairs)); return false }},
		{Text: "Close", Default: true, Cancel: true},
	}
	d.Show(w)
}

// ownSide is the side of these sessions that this program was: the picture calls it "This computer".
func (w *Window) ownSide(pairs []connlog.Pair) connlog.Side {
	for _, p := range pairs {
		if _, ok := w.app.Log.Session(p.Server.SessionKey); ok {
			return connlog.Server
		}
	}
	return connlog.Client
}

func newComparison(pairs []connlog.Pair, own connlog.Side) *comparison {
	c := &comparison{pairs: map[connlog.ChannelKey]connlog.ChannelPair{}, said: kit.VBox(8), diagram: channels.NewDiagram(own, "")}
	var all []connlog.Channel
	for _, p := range pairs {
		for _, ch := range p.Channels {
			one := ch.Seen(own)
			c.pairs[one.ChannelKey] = ch
			all = append(all, one)
		}
	}
	c.diagram.OnChosen = c.show
	c.diagram.SetChannels(all, len(pairs) > 1)
	for _, ch := range all { // what failed is what one looks for
		if ch.State == connlog.Failed {
			c.diagram.Choose(ch.ChannelKey)
			break
		}
	}
	c.object = container.New(&columns{first: 0.48, gap: 12}, c.diagram, container.NewVScroll(kit.Pad(0, 12, 0, 0, c.said)))
	return c
}

func (c *comparison) show(ch connlog.Channel) {
	p := c.pairs[ch.ChannelKey]
	c.said.Objects = []fyne.CanvasObject{kit.NewBoldLabel("Together"), kit.NewFlowText(channels.Spans(p.Together)...)}
	for _, view := range []struct {
		title string
		of    *connlog.Channel
	}{{"What the client's log says", p.Client}, {"What the server's log says", p.Server}} {
		if view.of == nil {
			continue
		}
		c.said.Add(kit.NewBoldLabel(view.title))
		for _, paragraph := range view.of.Explain().Paragraphs {
			if len(paragraph) > 0 {
				c.said.Add(kit.NewFlowText(channels.Spans(paragraph)...))
			}
		}
	}
	c.said.Refresh()
}

func comparisonText(pairs []connlog.Pair) string {
	var text strings.Builder
	for _, p := range pairs {
		p.Write(&text)
		text.WriteByte('\n')
	}
	return text.String()
}
