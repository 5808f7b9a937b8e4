package channels

import (
	"cmp"
	"image/color"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
	"portside/ui/kit"
)

const (
	lineRow    = 20
	lineEdge   = 10
	signWidth  = 12
	timeFormat = "15:04:05.000"
)

var mono = fyne.TextStyle{Monospace: true}

// Commands shows the dialogue on the control connections, each line with its time and an arrow that says who wrote it,
// and between the lines what became of the channels. It follows the end unless the person has scrolled up. Passwords
// are masked before they come here.
type Commands struct {
	widget.BaseWidget

	// OnCopy takes a text to the clipboard.
	OnCopy func(text string)

	log     *connlog.Log
	col     *column
	newest  *kit.Button
	lines   []line
	several bool
	names   map[connlog.SessionKey]string
	empty   string
}

// NewCommands returns an empty view. What is copied from it is read from log.
func NewCommands(log *connlog.Log, empty string) *Commands {
	m := &Commands{log: log, empty: empty}
	m.col = newColumn(lineRow, func() row { return newLineView(m) })
	m.col.ranged = true
	m.col.copy = m.CopyChosen
	m.col.menu = func() *fyne.Menu {
		chosen := fyne.NewMenuItem("Copy", m.CopyChosen)
		_, _, ok := m.col.chosen()
		chosen.Disabled = !ok
		return fyne.NewMenu("", chosen, fyne.NewMenuItem("Copy all", m.CopyAll))
	}
	m.col.moved = m.Refresh
	m.newest = newNewest(m.col.toEnd)
	m.ExtendBaseWidget(m)
	return m
}

// setLines shows lines, which the caller no longer changes.
func (m *Commands) setLines(lines []line, several bool, names map[connlog.SessionKey]string) {
	before := m.lines
	m.lines, m.several, m.names = lines, several, names
	shift := 0
	if len(before) > 0 && len(lines) > 0 {
		shift = seek(before, lines[0].seq) // how many of the oldest went away
	}
	if first, last, ok := m.col.chosen(); ok && len(before) > last {
		// The same lines stay chosen, wherever they stand now.
		lo, hi := seek(lines, before[first].seq), seek(lines, before[last].seq+1)-1
		if hi < lo {
			lo, hi = -1, -1
		}
		if m.col.anchor <= m.col.cursor {
			m.col.choose(lo, hi)
		} else {
			m.col.choose(hi, lo)
		}
	}
	m.col.setCount(len(lines), shift)
	m.Refresh()
}

// seek returns the index of the first line with at least this Seq.
func seek(lines []line, seq uint64) int {
	i, _ := slices.BinarySearchFunc(lines, seq, func(l line, seq uint64) int { return cmp.Compare(l.seq, seq) })
	return i
}

// CopyChosen copies the chosen lines, as they stand in a text log.
func (m *Commands) CopyChosen() {
	if first, last, ok := m.col.chosen(); ok {
		m.copy(m.lines[first : last+1])
	}
}

// CopyAll copies every line that is shown.
func (m *Commands) CopyAll() { m.copy(m.lines) }

func (m *Commands) copy(lines []line) {
	if len(lines) == 0 || m.OnCopy == nil {
		return
	}
	var b strings.Builder
	k := 0
	for _, n := range m.log.Records(lines[0].seq - 1) {
		for k < len(lines) && lines[k].seq < n.Seq {
			k++
		}
		if k == len(lines) {
			break
		}
		if lines[k].seq == n.Seq {
			b.WriteString(n.Line())
			b.WriteByte('\n')
		}
	}
	m.OnCopy(b.String())
}

// CreateRenderer implements [fyne.Widget].
func (m *Commands) CreateRenderer() fyne.WidgetRenderer {
	r := &commandsRenderer{m: m, empty: &canvas.Text{}}
	r.objects = []fyne.CanvasObject{m.col, r.empty, m.newest}
	r.update()
	return r
}

type commandsRenderer struct {
	m       *Commands
	empty   *canvas.Text
	objects []fyne.CanvasObject
}

func (r *commandsRenderer) MinSize() fyne.Size           { return r.m.col.MinSize() }
func (r *commandsRenderer) Objects() []fyne.CanvasObject { return r.objects }
func (r *commandsRenderer) Destroy()                     {}

func (r *commandsRenderer) Layout(size fyne.Size) {
	r.m.col.Move(fyne.NewPos(0, 4))
	r.m.col.Resize(fyne.NewSize(size.Width, max(0, size.Height-4)))
	placeNewest(r.m.newest, size)
	r.empty.Text = fit(r.m.empty, r.empty.TextSize, r.empty.TextStyle, size.Width-2*lineEdge-6)
	r.empty.Move(fyne.NewPos(lineEdge+6, 12))
}

func (r *commandsRenderer) Refresh() {
	r.update()
	r.Layout(r.m.Size())
	canvas.Refresh(r.m)
}

func (r *commandsRenderer) update() {
	r.m.newest.Hidden = r.m.col.follow || r.m.col.maxOffset() <= 0
	r.empty.Hidden = len(r.m.lines) > 0
	r.empty.TextSize, r.empty.Color = theme.TextSize(), kit.Color(kit.ColorMuted)
}

// sign is the arrow of a line of dialogue: a command goes right, from the client to the server, a reply goes left, as
// in the diagram. It is drawn, as Fyne's fonts can't be relied on for arrows.
type sign struct {
	shaft *canvas.Rectangle
	head  *canvas.ArbitraryPolygon
}

func newSign() sign {
	return sign{shaft: &canvas.Rectangle{}, head: &canvas.ArbitraryPolygon{}}
}

// draw puts the arrow into box, at x, centred on y; nothing for a line that nobody wrote.
func (s sign) draw(box *fyne.Container, from connlog.Side, x, y float32) {
	const head = 5
	ink, at, shaft := kit.Color(kit.ColorClient), x+signWidth-head, x
	s.head.Points = []fyne.Position{{}, {X: head, Y: 4}, {Y: 8}}
	switch from {
	case connlog.Server:
		ink, at, shaft = kit.Color(kit.ColorServer), x, x+head-1
		s.head.Points = []fyne.Position{{X: head}, {X: head, Y: 8}, {Y: 4}}
	case connlog.Client:
	default:
		return
	}
	s.shaft.FillColor, s.head.FillColor = ink, ink
	s.shaft.Move(fyne.NewPos(shaft, y-0.75))
	s.shaft.Resize(fyne.NewSize(signWidth-head+1, 1.5))
	s.head.Move(fyne.NewPos(at, y-4))
	s.head.Resize(fyne.NewSize(head, 8))
	box.Objects = append(box.Objects, s.shaft, s.head)
}

// lineText draws one line of dialogue: the time, the sign, the text. [Commands] and [Detail] have it in common.
type lineText struct {
	at, text *canvas.Text
	sign     sign
}

func newLineText() lineText {
	return lineText{at: &canvas.Text{TextStyle: mono}, text: &canvas.Text{}, sign: newSign()}
}

func (t lineText) draw(box *fyne.Container, x, y, width float32, when time.Time, from connlog.Side, text string, ink, muted color.Color, tag *canvas.Text) {
	t.at.TextSize, t.at.Color, t.at.Text = theme.CaptionTextSize(), muted, when.Format(timeFormat)
	t.text.TextSize, t.text.Color, t.text.TextStyle = theme.CaptionTextSize(), ink, mono
	if from == "" { // a sentence, not what was on the wire
		t.text.TextStyle = fyne.TextStyle{}
	}
	end := x + width
	t.at.Move(fyne.NewPos(x, y+(lineRow-t.at.MinSize().Height)/2))
	x += t.at.MinSize().Width + 10
	box.Objects = append(box.Objects, t.at)
	if tag != nil {
		tag.TextSize, tag.Color = theme.CaptionTextSize(), muted
		tagWidth := min(150, width/5)
		tag.Text = fit(tag.Text, tag.TextSize, tag.TextStyle, tagWidth-10)
		tag.Move(fyne.NewPos(x, y+(lineRow-tag.MinSize().Height)/2))
		x += tagWidth
		box.Objects = append(box.Objects, tag)
	}
	t.sign.draw(box, from, x, y+lineRow/2)
	x += signWidth + 8
	t.text.Text = fit(text, t.text.TextSize, t.text.TextStyle, end-x)
	t.text.Move(fyne.NewPos(x, y+(lineRow-t.text.MinSize().Height)/2))
	box.Objects = append(box.Objects, t.text)
}

type lineView struct {
	m    *Commands
	box  *fyne.Container
	back *canvas.Rectangle
	tag  *canvas.Text
	line lineText
}

func newLineView(m *Commands) *lineView {
	return &lineView{m: m, box: &fyne.Container{}, back: &canvas.Rectangle{}, tag: &canvas.Text{}, line: newLineText()}
}

func (v *lineView) object() fyne.CanvasObject { return v.box }

func (v *lineView) fill(i int, size fyne.Size, st rowState) {
	l := v.m.lines[i]
	v.box.Objects = v.box.Objects[:0]
	ink, muted := kit.Color(theme.ColorNameForeground), kit.Color(kit.ColorMuted)
	if st.chosen || st.hovered {
		switch {
		case st.chosen && st.active:
			v.back.FillColor, muted = kit.Color(kit.ColorRowSelected), kit.Color(kit.ColorMutedSelected)
		case st.chosen:
			v.back.FillColor, muted = kit.Color(kit.ColorRowSelectedInactive), kit.Color(kit.ColorMutedSelected)
		default:
			v.back.FillColor = kit.Color(theme.ColorNameHover)
		}
		v.back.Resize(size)
		v.box.Objects = append(v.box.Objects, v.back)
	}
	switch {
	case l.failed:
		ink = kit.Color(kit.ColorBad)
	case l.from == "":
		ink = muted
	}
	var tag *canvas.Text
	if v.m.several {
		tag = v.tag
		tag.Text = v.m.names[l.session]
	}
	v.line.draw(v.box, lineEdge, 0, size.Width-lineEdge-barWidth-4, l.at, l.from, l.text, ink, muted, tag)
}
