package kit

import (
	"strings"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// Span is a piece of a [FlowText] in one style.
type Span struct {
	Text  string
	Bold  bool
	Mono  bool
	Color fyne.ThemeColorName // empty: the paragraph's colour
	OnTap func()              // makes the piece a link
}

// FlowText is a paragraph of spans, wrapped to its width. A line break in a span begins a new line. The whole text can be
// copied from its context menu.
type FlowText struct {
	widget.BaseWidget
	Color    fyne.ThemeColorName // empty: text colour
	TextSize float32             // 0: kit.TextSize
	Bold     bool
	Center   bool
	// Width is the width that the paragraph asks for before it has one; 0: it takes what it gets.
	Width float32

	spans  []Span
	parts  []flowPart
	height float32
	laid   float32
}

type flowPart struct {
	object fyne.CanvasObject
	text   *canvas.Text
	span   int
	x, y   float32
	w, h   float32
}

var _ fyne.SecondaryTappable = (*FlowText)(nil)

// NewFlowText returns a paragraph.
func NewFlowText(spans ...Span) *FlowText {
	f := &FlowText{spans: spans, laid: -1}
	f.ExtendBaseWidget(f)
	return f
}

// NewParagraph returns a paragraph of plain text.
func NewParagraph(text string) *FlowText { return NewFlowText(Span{Text: text}) }

// NewMutedParagraph returns a paragraph of secondary text.
func NewMutedParagraph(text string) *FlowText {
	return NewFlowText(Span{Text: text, Color: ColorMuted})
}

// SetSpans replaces the text.
func (f *FlowText) SetSpans(spans ...Span) {
	if sameSpans(f.spans, spans) {
		return
	}
	f.spans = spans
	f.laid, f.parts = -1, nil // the parts name spans by number
	f.Refresh()
}

// SetText replaces the text by plain text.
func (f *FlowText) SetText(text string) { f.SetSpans(Span{Text: text}) }

func sameSpans(a, b []Span) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].OnTap != nil || b[i].OnTap != nil || a[i].Text != b[i].Text || a[i].Bold != b[i].Bold ||
			a[i].Mono != b[i].Mono || a[i].Color != b[i].Color {
			return false
		}
	}
	return true
}

// String returns the text without its styles.
func (f *FlowText) String() string {
	var b strings.Builder
	for _, s := range f.spans {
		b.WriteString(s.Text)
	}
	return b.String()
}

// TappedSecondary is called by Fyne.
func (f *FlowText) TappedSecondary(ev *fyne.PointEvent) {
	ShowMenu(f, fyne.NewMenu("", fyne.NewMenuItem("Copy", func() { Copy(f, f.String()) })), ev.AbsolutePosition)
}

// AccessibilityLabel is the text.
func (f *FlowText) AccessibilityLabel() string { return f.String() }

// AccessibilityRole says what it is.
func (f *FlowText) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

func (f *FlowText) sizeOf(s Span) float32 {
	size := f.TextSize
	if size == 0 {
		size = TextSize
	}
	if s.Mono {
		size--
	}
	return size
}

func (f *FlowText) styleOf(s Span) fyne.TextStyle {
	return fyne.TextStyle{Bold: s.Bold || f.Bold, Monospace: s.Mono}
}

func (f *FlowText) measure(s Span, text string) float32 {
	return fyne.MeasureText(text, f.sizeOf(s), f.styleOf(s)).Width
}

func (f *FlowText) lineHeight() float32 {
	if f.TextSize > TextSize {
		return float32(int(f.TextSize*1.5 + 0.5))
	}
	return LineHeight
}

// flowWord is what must stay on one line: pieces of spans up to a white space.
type flowWord struct {
	pieces []flowPiece
	width  float32
	space  float32 // width of the space before it
	broken bool    // a new line begins here
}

type flowPiece struct {
	span int
	text string
	w    float32
}

func (f *FlowText) words() []flowWord {
	var words []flowWord
	current := flowWord{}
	flush := func() {
		if len(current.pieces) > 0 || current.broken {
			words = append(words, current)
		}
		current = flowWord{}
	}
	for i, s := range f.spans {
		start := -1
		take := func(end int) {
			if start >= 0 {
				piece := flowPiece{span: i, text: s.Text[start:end]}
				piece.w = f.measure(s, piece.text)
				current.pieces = append(current.pieces, piece)
				current.width += piece.w
				start = -1
			}
		}
		for at, r := range s.Text {
			if !unicode.IsSpace(r) || r == '\u00a0' {
				if start < 0 {
					start = at
				}
				continue
			}
			take(at)
			flush()
			if r == '\n' {
				current.broken = true
			} else {
				current.space = f.measure(s, " ")
			}
		}
		take(len(s.Text))
	}
	flush()
	return words
}

// split cuts words that are wider than a line into pieces that are not.
func (f *FlowText) split(words []flowWord, width float32) []flowWord {
	out := make([]flowWord, 0, len(words))
	for _, w := range words {
		if w.width <= width {
			out = append(out, w)
			continue
		}
		part := flowWord{space: w.space, broken: w.broken}
		for _, p := range w.pieces {
			s := f.spans[p.span]
			text := []rune(p.text)
			for len(text) > 0 {
				n := len(text)
				for n > 1 && part.width+f.measure(s, string(text[:n])) > width {
					n--
				}
				piece := flowPiece{span: p.span, text: string(text[:n])}
				piece.w = f.measure(s, piece.text)
				if part.width > 0 && part.width+piece.w > width {
					out = append(out, part)
					part = flowWord{}
					continue
				}
				part.pieces = append(part.pieces, piece)
				part.width += piece.w
				text = text[n:]
			}
		}
		out = append(out, part)
	}
	return out
}

// lay wraps the text to width and places its parts.
func (f *FlowText) lay(width float32) {
	f.laid = width
	lineHeight := f.lineHeight()
	var parts []flowPart
	x, line, lineStart := float32(0), 0, 0
	endLine := func() {
		if f.Center {
			for i := lineStart; i < len(parts); i++ {
				parts[i].x += (width - x) / 2
			}
		}
		lineStart = len(parts)
	}
	for i, w := range f.split(f.words(), width) {
		space := w.space
		switch {
		case w.broken && i > 0, x > 0 && x+space+w.width > width+0.5:
			endLine()
			line++
			x, space = 0, 0
		case x == 0:
			space = 0
		}
		for j, p := range w.pieces {
			lead := ""
			if j == 0 && space > 0 {
				lead = " "
			}
			last := len(parts) - 1
			if last >= lineStart && parts[last].span == p.span { // the same style goes on
				parts[last].text.Text += lead + p.text
				x += p.w
				if j == 0 {
					x += space
				}
				parts[last].w = x - parts[last].x
				continue
			}
			if j == 0 {
				x += space
			}
			s := f.spans[p.span]
			text := canvas.NewText(p.text, colorTransparent)
			text.TextSize, text.TextStyle = f.sizeOf(s), f.styleOf(s)
			parts = append(parts, flowPart{text: text, object: text, span: p.span, x: x, y: float32(line) * lineHeight, w: p.w})
			x += p.w
		}
	}
	endLine()
	_, baseline := fyne.CurrentApp().Driver().RenderedTextSize("x", f.sizeOf(Span{}), fyne.TextStyle{}, nil)
	plain := fyne.MeasureText("x", f.sizeOf(Span{}), fyne.TextStyle{}).Height
	for i := range parts {
		p := &parts[i]
		size, b := fyne.CurrentApp().Driver().RenderedTextSize(p.text.Text, p.text.TextSize, p.text.TextStyle, nil)
		p.w, p.h = size.Width, size.Height
		p.y += (lineHeight-plain)/2 + baseline - b
		if s := f.spans[p.span]; s.OnTap != nil {
			link := &flowLink{text: p.text, run: s.OnTap}
			link.self, link.over = link, link
			link.ExtendBaseWidget(link)
			p.object = link
		}
	}
	f.parts = parts
	f.height = float32(line+1) * lineHeight
	f.paint()
}

func (f *FlowText) paint() {
	for _, p := range f.parts {
		name := f.spans[p.span].Color
		if name == "" {
			name = f.Color
		}
		if f.spans[p.span].OnTap != nil {
			name = theme.ColorNameHyperlink
		}
		if name == "" {
			name = theme.ColorNameForeground
		}
		p.text.Color = Color(name)
		p.object.Move(fyne.NewPos(p.x, p.y))
		p.object.Resize(fyne.NewSize(p.w, p.h))
		p.object.Refresh()
	}
}

// Resize is called by Fyne. Another width means another height, which the layouts around ask for again.
func (f *FlowText) Resize(size fyne.Size) {
	if size.Width != f.laid && size.Width > 0 {
		f.lay(size.Width)
		f.BaseWidget.Resize(size)
		canvas.Refresh(f)
		return
	}
	f.BaseWidget.Resize(size)
}

func (f *FlowText) minSize() fyne.Size {
	if f.laid <= 0 {
		width := f.Width
		if width == 0 {
			width = 400
		}
		f.lay(width)
		f.laid = -1 // only a guess: the first Resize lays it out again
	}
	return fyne.NewSize(max(24, f.Width), f.height)
}

// CreateRenderer is called by Fyne.
func (f *FlowText) CreateRenderer() fyne.WidgetRenderer {
	f.ExtendBaseWidget(f)
	return &flowRenderer{f}
}

type flowRenderer struct{ f *FlowText }

func (r *flowRenderer) Layout(size fyne.Size) {
	if size.Width > 0 && size.Width != r.f.laid {
		r.f.lay(size.Width)
	}
}
func (r *flowRenderer) MinSize() fyne.Size { return r.f.minSize() }
func (r *flowRenderer) Destroy()           {}
func (r *flowRenderer) Refresh() {
	if r.f.laid < 0 && r.f.Size().Width > 0 {
		r.f.lay(r.f.Size().Width)
	}
	r.f.paint()
	canvas.Refresh(r.f)
}

func (r *flowRenderer) Objects() []fyne.CanvasObject {
	objects := make([]fyne.CanvasObject, len(r.f.parts))
	for i, p := range r.f.parts {
		objects[i] = p.object
	}
	return objects
}

// flowLink is a piece of a paragraph that can be clicked.
type flowLink struct {
	widget.BaseWidget
	focusable
	hoverable
	text *canvas.Text
	line *canvas.Rectangle
	run  func()
}

var (
	_ fyne.Tappable      = (*flowLink)(nil)
	_ fyne.Focusable     = (*flowLink)(nil)
	_ desktop.Hoverable  = (*flowLink)(nil)
	_ desktop.Cursorable = (*flowLink)(nil)
)

func (l *flowLink) Tapped(*fyne.PointEvent)    { l.run() }
func (l *flowLink) Cursor() desktop.Cursor     { return desktop.PointerCursor }
func (l *flowLink) TypedKey(ev *fyne.KeyEvent) { l.actOn(ev, l.run) }

// AccessibilityLabel is the text.
func (l *flowLink) AccessibilityLabel() string { return l.text.Text }

// AccessibilityRole says what it is.
func (l *flowLink) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleLink }

func (l *flowLink) CreateRenderer() fyne.WidgetRenderer {
	l.line = canvas.NewRectangle(colorTransparent)
	paint := func() {
		l.line.FillColor = l.text.Color
		l.line.Hidden = !l.focused && !l.hovered
	}
	paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{l.text, l.line},
		layout: func(s fyne.Size) {
			l.text.Resize(s)
			l.line.Move(fyne.NewPos(0, s.Height-2))
			l.line.Resize(fyne.NewSize(s.Width, 1))
		},
		min: func() fyne.Size { return l.text.MinSize() }, refresh: paint,
	}
}

// Copy puts text on the clipboard and says so in a toast.
func Copy(o fyne.CanvasObject, text string) {
	fyne.CurrentApp().Clipboard().SetContent(text)
	ShowToast(o, "Copied.")
}

// NewCodeLine returns a line to be copied: a command, an address. extra stands before the Copy button, for instance a choice
// of the firewall that the command is for.
func NewCodeLine(text string, extra ...fyne.CanvasObject) *CodeLine {
	c := &CodeLine{}
	c.ExtendBaseWidget(c)
	copyButton := NewButton("Copy", func() { Copy(c, text) })
	copyButton.Style = Quiet
	within := strings.TrimLeft(text, " ")
	indent := strings.Repeat("\u00a0", len(text)-len(within))
	words := NewFlowText(Span{Text: indent + within, Mono: true}) // somebody may have to type it: no part of it is left out
	row := []fyne.CanvasObject{Grow(Pad((InputHeight-LineHeight)/2, 0, (InputHeight-LineHeight)/2, 0, words))}
	for _, one := range append(extra, copyButton) {
		row = append(row, container.NewVBox(one))
	}
	c.content = newBox(Pad(0, 3, 0, 8, HBox(4, row...)), theme.ColorNameInputBackground, ColorPanelBorder, Radius)
	return c
}

// CodeLine is a line of typewriter text in a box, with a Copy button.
type CodeLine struct {
	widget.BaseWidget
	content fyne.CanvasObject
}

// CreateRenderer is called by Fyne.
func (c *CodeLine) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(c.content) }
