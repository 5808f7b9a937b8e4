package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// box draws a surface and a border around an object.
type box struct {
	widget.BaseWidget
	content      fyne.CanvasObject
	fill, stroke fyne.ThemeColorName
	radius       float32
	back         *canvas.Rectangle
}

func newBox(content fyne.CanvasObject, fill, stroke fyne.ThemeColorName, radius float32) *box {
	b := &box{content: content, fill: fill, stroke: stroke, radius: radius}
	b.ExtendBaseWidget(b)
	return b
}

func (b *box) setStroke(name fyne.ThemeColorName) {
	if b.stroke != name {
		b.stroke = name
		b.Refresh()
	}
}

func (b *box) CreateRenderer() fyne.WidgetRenderer {
	b.back = canvas.NewRectangle(colorTransparent)
	paint := func() {
		b.back.FillColor = Color(b.fill)
		b.back.CornerRadius = b.radius
		b.back.StrokeWidth = 0
		if b.stroke != "" {
			b.back.StrokeColor, b.back.StrokeWidth = Color(b.stroke), 1
		}
	}
	paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{b.back, b.content},
		layout:  func(s fyne.Size) { b.back.Resize(s); b.content.Resize(s) },
		min:     func() fyne.Size { return b.content.MinSize() },
		refresh: paint,
	}
}

// Card is a panel with a border and a title.
type Card struct {
	widget.BaseWidget
	box   *box
	title *Label
	note  *Label
}

// NewCard returns a panel around content. title may be empty.
func NewCard(title string, content fyne.CanvasObject) *Card {
	c := &Card{title: NewBoldLabel(title), note: NewMutedLabel("")}
	inner := content
	if title != "" {
		inner = VBox(8, HBox(Gap, c.title, Space(), c.note), Grow(content))
	}
	c.box = newBox(Pad(14, 16, 16, 16, inner), ColorPanel, ColorPanelBorder, CardRadius)
	c.ExtendBaseWidget(c)
	return c
}

// NewFlushCard returns a panel whose content reaches its border: tabs, tables.
func NewFlushCard(content fyne.CanvasObject) *Card {
	c := &Card{title: NewBoldLabel(""), note: NewMutedLabel("")}
	c.box = newBox(Pad(1, 1, 1, 1, content), ColorPanel, ColorPanelBorder, CardRadius)
	c.ExtendBaseWidget(c)
	return c
}

// SetTitle changes the title of a card that was made with one.
func (c *Card) SetTitle(title string) { c.title.SetText(title) }

// SetNote shows muted words at the right of the title.
func (c *Card) SetNote(note string) { c.note.SetText(note) }

// SetBorder changes the border's colour; empty: the usual one.
func (c *Card) SetBorder(name fyne.ThemeColorName) {
	if name == "" {
		name = ColorPanelBorder
	}
	c.box.setStroke(name)
}

// CreateRenderer is called by Fyne.
func (c *Card) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(c.box) }

// Separator is a line of one unit.
type Separator struct{ widget.BaseWidget }

// NewSeparator returns a horizontal line.
func NewSeparator() *Separator {
	s := &Separator{}
	s.ExtendBaseWidget(s)
	return s
}

// CreateRenderer is called by Fyne.
func (s *Separator) CreateRenderer() fyne.WidgetRenderer {
	line := canvas.NewRectangle(Color(ColorPanelBorder))
	return &simpleRenderer{
		objects: []fyne.CanvasObject{line}, layout: func(size fyne.Size) { line.Resize(size) },
		min: func() fyne.Size { return fyne.NewSize(1, 1) }, refresh: func() { line.FillColor = Color(ColorPanelBorder) },
	}
}

// Marked is something with a line below it while it is the current one of its kind, as the tabs of a [TabBar] have it.
type Marked struct {
	widget.BaseWidget
	content fyne.CanvasObject
	on      bool
}

// NewMarked returns content without a line.
func NewMarked(content fyne.CanvasObject) *Marked {
	m := &Marked{content: content}
	m.ExtendBaseWidget(m)
	return m
}

// SetOn shows or hides the line.
func (m *Marked) SetOn(on bool) {
	if m.on != on {
		m.on = on
		m.Refresh()
	}
}

// On says whether the line is to be seen.
func (m *Marked) On() bool { return m.on }

// CreateRenderer is called by Fyne.
func (m *Marked) CreateRenderer() fyne.WidgetRenderer {
	line := canvas.NewRectangle(colorTransparent)
	paint := func() { line.FillColor, line.Hidden = Color(theme.ColorNamePrimary), !m.on }
	paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{m.content, line},
		layout: func(s fyne.Size) {
			m.content.Resize(s.SubtractWidthHeight(0, 2))
			line.Move(fyne.NewPos(0, s.Height-2))
			line.Resize(fyne.NewSize(s.Width, 2))
		},
		min: func() fyne.Size { return m.content.MinSize().AddWidthHeight(0, 2) }, refresh: paint,
	}
}

// Dot is a filled circle that says a state, beside words that say it too.
type Dot struct {
	widget.BaseWidget
	color    fyne.ThemeColorName
	diameter float32
}

// NewDot returns a circle.
func NewDot(color fyne.ThemeColorName, diameter float32) *Dot {
	d := &Dot{color: color, diameter: diameter}
	d.ExtendBaseWidget(d)
	return d
}

// SetColor changes the colour.
func (d *Dot) SetColor(name fyne.ThemeColorName) {
	if d.color != name {
		d.color = name
		d.Refresh()
	}
}

// CreateRenderer is called by Fyne.
func (d *Dot) CreateRenderer() fyne.WidgetRenderer {
	c := canvas.NewCircle(Color(d.color))
	return &simpleRenderer{
		objects: []fyne.CanvasObject{c},
		layout: func(s fyne.Size) {
			c.Move(fyne.NewPos((s.Width-d.diameter)/2, (s.Height-d.diameter)/2))
			c.Resize(fyne.NewSquareSize(d.diameter))
		},
		min:     func() fyne.Size { return fyne.NewSquareSize(d.diameter) },
		refresh: func() { c.FillColor = Color(d.color) },
	}
}

// Chip is a small rounded label with a dot or a sign: a state in two words. With OnTapped it is a button.
type Chip struct {
	widget.BaseWidget
	focusable
	hoverable // Tip
	OnTapped  func()
	// Shrinks lets the chip give up its text, from the end, where an [HBox] has no room for it; its dot or sign stays.
	Shrinks bool

	text       string
	dot        fyne.ThemeColorName
	icon       IconName
	back, ring *canvas.Rectangle
	circle     *canvas.Circle
	img        *canvas.Image
	label      *canvas.Text
}

var (
	_ fyne.Tappable     = (*Chip)(nil)
	_ fyne.Focusable    = (*Chip)(nil)
	_ fyne.Disableable  = (*Chip)(nil)
	_ desktop.Hoverable = (*Chip)(nil)
)

// NewChip returns a chip. dot is the colour of its dot, icon its sign; both may be empty.
func NewChip(text string, dot fyne.ThemeColorName, icon IconName) *Chip {
	c := &Chip{text: text, dot: dot, icon: icon}
	c.self, c.over = c, c
	c.ExtendBaseWidget(c)
	return c
}

// Set changes what the chip says.
func (c *Chip) Set(text string, dot fyne.ThemeColorName, icon IconName) {
	if c.text != text || c.dot != dot || c.icon != icon {
		c.text, c.dot, c.icon = text, dot, icon
		c.Refresh()
	}
}

// Text returns what the chip says.
func (c *Chip) Text() string { return c.text }

// Tapped is called by Fyne.
func (c *Chip) Tapped(*fyne.PointEvent) {
	if c.OnTapped != nil {
		c.OnTapped()
	}
}

// Disabled is called by Fyne: a chip that does nothing is no stop of Tab.
func (c *Chip) Disabled() bool { return c.OnTapped == nil }

// Enable is there for [fyne.Disableable]; OnTapped decides.
func (c *Chip) Enable() {}

// Disable is there for [fyne.Disableable]; OnTapped decides.
func (c *Chip) Disable() {}

// TypedKey is called by Fyne.
func (c *Chip) TypedKey(ev *fyne.KeyEvent) { c.actOn(ev, func() { c.Tapped(nil) }) }

// AccessibilityLabel is the text.
func (c *Chip) AccessibilityLabel() string { return c.text }

// AccessibilityRole says what it is.
func (c *Chip) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

const (
	chipHeight    float32 = 24
	chipPad       float32 = 10
	chipDot       float32 = 8
	chipDotGap    float32 = 6
	chipIcon      float32 = 13
	chipIconGap   float32 = 5
	chipLeastText float32 = 20 // less of a text says nothing
)

// textAt is where the text begins.
func (c *Chip) textAt() float32 {
	x := chipPad
	if c.dot != "" {
		x += chipDot + chipDotGap
	}
	if c.icon != "" {
		x += chipIcon + chipIconGap
	}
	return x
}

func (c *Chip) minSize() fyne.Size {
	w := c.wish()
	switch {
	case !c.Shrinks:
	case c.icon != "":
		w = c.textAt() - chipIconGap + chipPad
	case c.dot != "":
		w = c.textAt() - chipDotGap + chipPad
	}
	return fyne.NewSize(w, chipHeight)
}

// wish is the width for the whole text.
func (c *Chip) wish() float32 {
	return c.textAt() + fyne.MeasureText(c.text, CaptionSize, fyne.TextStyle{}).Width + chipPad
}

// worth is how much more than its least width makes a difference: the first letters of a word say less than the sign alone.
func (c *Chip) worth() float32 {
	if c.icon == "" && c.dot == "" {
		return 0
	}
	return 0.7 * (c.wish() - c.minSize().Width)
}

func (c *Chip) layout(size fyne.Size) {
	y := (size.Height - chipHeight) / 2
	c.back.Move(fyne.NewPos(0, y))
	c.back.Resize(fyne.NewSize(size.Width, chipHeight))
	c.ring.Move(c.back.Position())
	c.ring.Resize(c.back.Size())
	x := chipPad
	if c.dot != "" {
		c.circle.Move(fyne.NewPos(x, y+(chipHeight-chipDot)/2))
		c.circle.Resize(fyne.NewSquareSize(chipDot))
		x += chipDot + chipDotGap
	}
	if c.icon != "" {
		c.img.Move(fyne.NewPos(x, y+(chipHeight-chipIcon)/2))
		c.img.Resize(fyne.NewSquareSize(chipIcon))
	}
	room := size.Width - c.textAt() - chipPad
	text := c.text
	if c.Shrinks && size.Width > 0 && size.Width < c.wish()-1 {
		text = newEllipsisCache().fit(c.text, room, CaptionSize, fyne.TextStyle{})
	}
	if text != c.label.Text {
		c.label.Text = text
		c.label.Refresh()
	}
	c.label.Hidden = c.Shrinks && (room < chipLeastText || size.Width-c.minSize().Width < c.worth()-1)
	m := c.label.MinSize()
	c.label.Move(fyne.NewPos(c.textAt(), y+(chipHeight-m.Height)/2))
	c.label.Resize(m)
}

func (c *Chip) paint() {
	c.back.FillColor = Color(ColorChip)
	if c.hovered && c.OnTapped != nil {
		c.back.FillColor = over(c.back.FillColor, Color(theme.ColorNameHover))
	}
	c.back.CornerRadius, c.ring.CornerRadius = chipHeight/2, chipHeight/2
	c.circle.Hidden = c.dot == ""
	if c.dot != "" {
		c.circle.FillColor = Color(c.dot)
	}
	setIcon(c.img, c.icon, theme.ColorNameForeground)
	c.label.TextSize, c.label.Color = CaptionSize, Color(theme.ColorNameForeground)
	refreshRing(c.ring, c.focused)
	c.layout(c.Size())
}

// CreateRenderer is called by Fyne.
func (c *Chip) CreateRenderer() fyne.WidgetRenderer {
	c.ExtendBaseWidget(c)
	c.back, c.ring = canvas.NewRectangle(colorTransparent), newRing()
	c.circle, c.img, c.label = canvas.NewCircle(colorTransparent), newIcon(), canvas.NewText("", colorTransparent)
	c.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{c.back, c.circle, c.img, c.label, c.ring},
		layout:  c.layout, min: c.minSize, refresh: c.paint,
	}
}

// Segment is a part of a [StatusBar].
type Segment struct {
	Text  string
	Icon  IconName
	Color fyne.ThemeColorName // empty: muted
}

// StatusBar is the line at the bottom of a window. What the left end says is cut where there is no room for it, from its end;
// the right end is shown whole.
type StatusBar struct {
	widget.BaseWidget
	left, right []Segment
	leftBox     *fyne.Container
	rightBox    *fyne.Container
	content     fyne.CanvasObject
}

// NewStatusBar returns an empty bar.
func NewStatusBar() *StatusBar {
	s := &StatusBar{leftBox: HBox(16), rightBox: HBox(16)}
	bar := Pad(0, 10, 0, 10, HBox(16, Grow(s.leftBox), s.rightBox))
	s.content = Surface(VBox(0, NewSeparator(), FixedHeight(RowHeight-1, bar)))
	s.ExtendBaseWidget(s)
	return s
}

// SetLeft and SetRight show what the two ends say. Nothing is drawn again when nothing changed.
func (s *StatusBar) SetLeft(segments ...Segment) { setSegments(&s.left, segments, s.leftBox, true) }

// SetRight shows what the right end says.
func (s *StatusBar) SetRight(segments ...Segment) { setSegments(&s.right, segments, s.rightBox, false) }

func setSegments(have *[]Segment, want []Segment, into *fyne.Container, shrink bool) {
	same := len(*have) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = (*have)[i] == want[i]
	}
	if same {
		return
	}
	*have = append((*have)[:0:0], want...)
	objects := make([]fyne.CanvasObject, 0, len(want))
	for _, w := range want {
		if w.Text == "" && w.Icon == "" {
			continue
		}
		l := NewCaption(w.Text)
		if w.Color != "" {
			l.Color = w.Color
		}
		if w.Icon == "" {
			l.Shrink = shrink
			objects = append(objects, l)
			continue
		}
		icon := NewIcon(w.Icon, l.Color)
		icon.Side = 12
		objects = append(objects, HBox(4, icon, l))
	}
	into.Objects = objects
	into.Refresh()
}

// CreateRenderer is called by Fyne.
func (s *StatusBar) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(s.content) }
