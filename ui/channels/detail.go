package channels

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
	"portside/ui/kit"
)

const detailEdge = 16

// Action is something that the person can do about a channel, offered as a button under its explanation.
type Action struct {
	Label string
	Run   func()
}

// Detail shows a channel in words: who opened it, why, what the firewalls saw, how it ended, what can be done, and the
// commands and replies that belong to it. The words are [connlog.Channel.Explain]'s.
type Detail struct {
	widget.BaseWidget

	// Actions returns what the screen offers to do about a channel, or nil.
	Actions func(connlog.Channel) []Action
	// OnCopy takes a text to the clipboard.
	OnCopy func(text string)

	empty   string
	channel connlog.Channel
	cleared bool
	text    string // what is shown, to leave alone what did not change
	labels  []string
	actions []Action

	title      *kit.FlowText
	paragraphs *fyne.Container
	buttons    *fyne.Container
	dialogue   *dialogue
	body       *fyne.Container
	scroll     *container.Scroll
}

// NewDetail returns an empty Detail, which shows the text empty.
func NewDetail(empty string) *Detail {
	d := &Detail{
		empty: empty, title: kit.NewFlowText(), paragraphs: kit.VBox(6),
		buttons: container.New(layout.NewRowWrapLayoutWithCustomPadding(kit.Gap, kit.Gap)), dialogue: newDialogue(),
	}
	d.body = kit.VBox(10, d.title, d.paragraphs, d.buttons, d.dialogue)
	d.scroll = container.NewVScroll(kit.Pad(12, detailEdge, 12, detailEdge, d.body))
	d.ExtendBaseWidget(d)
	d.Clear()
	return d
}

// Clear shows that no channel is chosen.
func (d *Detail) Clear() {
	if d.cleared {
		return
	}
	d.channel, d.text, d.labels, d.actions, d.cleared = connlog.Channel{}, "", nil, nil, true
	d.title.SetSpans(kit.Span{Text: d.empty, Color: kit.ColorMuted})
	d.paragraphs.RemoveAll()
	d.buttons.RemoveAll()
	d.dialogue.set(nil)
	for _, o := range []fyne.CanvasObject{d.paragraphs, d.buttons, d.dialogue} {
		o.Hide()
	}
	d.body.Refresh()
}

// SetChannel shows c. Only what changed is drawn anew, so a button under the mouse stays where it is.
func (d *Detail) SetChannel(c connlog.Channel) {
	other := c.ChannelKey != d.channel.ChannelKey
	d.channel, d.cleared = c, false
	e := c.Explain()
	if text := e.String(); text != d.text {
		d.text = text
		title := Spans(e.Title)
		for i := range title {
			title[i].Bold = true
		}
		d.title.SetSpans(title...)
		d.setParagraphs(e.Paragraphs)
		d.dialogue.set(e.Dialogue)
		d.dialogue.Hidden = len(e.Dialogue) == 0
	}
	d.setActions(c)
	d.body.Refresh()
	if other {
		d.scroll.ScrollToTop()
	} else {
		d.scroll.Refresh()
	}
}

func (d *Detail) setParagraphs(paragraphs [][]connlog.Span) {
	paragraphs = slices.DeleteFunc(slices.Clone(paragraphs), func(p []connlog.Span) bool { return len(p) == 0 })
	have := d.paragraphs.Objects
	for i, p := range paragraphs {
		if i < len(have) {
			have[i].(*kit.FlowText).SetSpans(Spans(p)...)
		} else {
			have = append(have, kit.NewFlowText(Spans(p)...))
		}
	}
	d.paragraphs.Objects = have[:len(paragraphs)]
	d.paragraphs.Show()
	d.paragraphs.Refresh()
}

// setActions makes the buttons anew only when there are others: what they run is always of the newest actions.
func (d *Detail) setActions(c connlog.Channel) {
	d.actions = nil
	if d.Actions != nil {
		d.actions = d.Actions(c)
	}
	d.actions = append(slices.Clone(d.actions), Action{"Copy explanation", d.CopyExplanation})
	var labels []string
	for _, a := range d.actions {
		labels = append(labels, a.Label)
	}
	if slices.Equal(labels, d.labels) {
		return
	}
	d.labels = labels
	d.buttons.RemoveAll()
	for i, label := range labels {
		d.buttons.Add(kit.NewButton(label, func() {
			if i < len(d.actions) {
				d.actions[i].Run()
			}
		}))
	}
	d.buttons.Show()
}

// CopyExplanation copies what is shown, as text.
func (d *Detail) CopyExplanation() {
	if d.text != "" && d.OnCopy != nil {
		d.OnCopy(d.text)
	}
}

// AccessibilityLabel is the explanation.
func (d *Detail) AccessibilityLabel() string { return d.text }

// AccessibilityRole implements [fyne.Accessible].
func (d *Detail) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// CreateRenderer implements [fyne.Widget].
func (d *Detail) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(d.scroll) }

// Spans gives connlog's styles their looks.
func Spans(in []connlog.Span) []kit.Span {
	out := make([]kit.Span, len(in))
	for i, s := range in {
		out[i] = kit.Span{Text: s.Text}
		switch s.Style {
		case connlog.Strong:
			out[i].Bold = true
		case connlog.Code:
			out[i].Mono = true
		case connlog.Muted:
			out[i].Color = kit.ColorMuted
		case connlog.OpenedByClient:
			out[i].Color = kit.ColorClient
		case connlog.OpenedByServer:
			out[i].Color = kit.ColorServer
		case connlog.Good:
			out[i].Color = kit.ColorGood
		case connlog.Bad:
			out[i].Color = kit.ColorBad
		}
	}
	return out
}

// dialogue draws the few commands and replies of one channel.
type dialogue struct {
	widget.BaseWidget
	lines []connlog.Line
}

func newDialogue() *dialogue {
	g := &dialogue{}
	g.ExtendBaseWidget(g)
	return g
}

func (g *dialogue) set(lines []connlog.Line) {
	g.lines = lines
	g.Refresh()
}

func (g *dialogue) CreateRenderer() fyne.WidgetRenderer {
	return &dialogueRenderer{g: g, box: &fyne.Container{}}
}

type dialogueRenderer struct {
	g     *dialogue
	box   *fyne.Container
	lines []lineText
}

func (r *dialogueRenderer) MinSize() fyne.Size {
	return fyne.NewSize(120, float32(len(r.g.lines))*lineRow)
}
func (r *dialogueRenderer) Objects() []fyne.CanvasObject { return []fyne.CanvasObject{r.box} }
func (r *dialogueRenderer) Destroy()                     {}

func (r *dialogueRenderer) Layout(size fyne.Size) {
	r.box.Resize(size)
	r.box.Objects = r.box.Objects[:0]
	ink, muted := kit.Color(theme.ColorNameForeground), kit.Color(kit.ColorMuted)
	for i, l := range r.g.lines {
		if i == len(r.lines) {
			r.lines = append(r.lines, newLineText())
		}
		r.lines[i].draw(r.box, 0, float32(i)*lineRow, size.Width, l.Time, l.By, l.Text, ink, muted, nil)
	}
}

func (r *dialogueRenderer) Refresh() {
	r.Layout(r.g.Size())
	canvas.Refresh(r.g)
}
