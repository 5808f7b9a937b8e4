package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// Label is one line of text that follows the theme. It is as wide as its text; when it gets less it ends in an ellipsis.
type Label struct {
	widget.BaseWidget
	Text     string
	Color    fyne.ThemeColorName // empty: text colour
	TextSize float32             // 0: kit.TextSize
	Bold     bool
	Mono     bool
	Align    fyne.TextAlign
	// Shrink lets the label be narrower than its text where an [HBox] has no room for it: its least width is 24.
	Shrink bool
	text   *canvas.Text
	fit    *ellipsisCache
}

// NewLabel returns a line in the text's colour.
func NewLabel(text string) *Label {
	l := &Label{Text: text, fit: newEllipsisCache()}
	l.ExtendBaseWidget(l)
	return l
}

// NewMutedLabel returns a line of secondary text.
func NewMutedLabel(text string) *Label {
	l := NewLabel(text)
	l.Color = ColorMuted
	return l
}

// NewBoldLabel returns a line in bold.
func NewBoldLabel(text string) *Label {
	l := NewLabel(text)
	l.Bold = true
	return l
}

// NewCaption returns a small line of secondary text.
func NewCaption(text string) *Label {
	l := NewMutedLabel(text)
	l.TextSize = CaptionSize
	return l
}

// SetText changes the text.
func (l *Label) SetText(text string) {
	if l.Text != text {
		l.Text = text
		l.Refresh()
	}
}

// Set changes text and colour.
func (l *Label) Set(text string, color fyne.ThemeColorName) {
	if l.Text != text || l.Color != color {
		l.Text, l.Color = text, color
		l.Refresh()
	}
}

func (l *Label) textSize() float32 {
	switch {
	case l.TextSize > 0:
		return l.TextSize
	case l.Mono:
		return CaptionSize
	}
	return TextSize
}

func (l *Label) style() fyne.TextStyle { return fyne.TextStyle{Bold: l.Bold, Monospace: l.Mono} }

func (l *Label) minSize() fyne.Size {
	m := fyne.MeasureText(l.Text, l.textSize(), l.style())
	if l.Shrink {
		m.Width = min(m.Width, 24)
	}
	return m
}

// wish is the width for the whole text.
func (l *Label) wish() float32 { return fyne.MeasureText(l.Text, l.textSize(), l.style()).Width }

func (l *Label) paint() {
	l.text.TextSize, l.text.TextStyle, l.text.Alignment = l.textSize(), l.style(), l.Align
	name := l.Color
	if name == "" {
		name = theme.ColorNameForeground
	}
	l.text.Color = Color(name)
	l.layout(l.Size())
}

func (l *Label) layout(size fyne.Size) {
	l.text.Text = l.fit.fit(l.Text, size.Width+0.5, l.textSize(), l.style())
	h := l.text.MinSize().Height
	l.text.Move(fyne.NewPos(0, (size.Height-h)/2))
	l.text.Resize(fyne.NewSize(size.Width, h))
}

// AccessibilityLabel is the text.
func (l *Label) AccessibilityLabel() string { return l.Text }

// AccessibilityRole says what it is.
func (l *Label) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// CreateRenderer is called by Fyne.
func (l *Label) CreateRenderer() fyne.WidgetRenderer {
	l.ExtendBaseWidget(l)
	l.text = canvas.NewText("", colorTransparent)
	l.paint()
	return &simpleRenderer{objects: []fyne.CanvasObject{l.text}, layout: l.layout, min: l.minSize, refresh: l.paint}
}

// NewIcon returns a sign of 16 units in a theme colour (empty: text colour), centred in its room.
func NewIcon(name IconName, color fyne.ThemeColorName) *IconImage {
	i := &IconImage{Icon: name, Color: color, Side: 16}
	i.ExtendBaseWidget(i)
	return i
}

// IconImage is a sign that follows the theme.
type IconImage struct {
	widget.BaseWidget
	Icon  IconName
	Color fyne.ThemeColorName
	Side  float32
	img   *canvas.Image
}

// Set changes sign and colour.
func (i *IconImage) Set(name IconName, color fyne.ThemeColorName) {
	if i.Icon != name || i.Color != color {
		i.Icon, i.Color = name, color
		i.Refresh()
	}
}

func (i *IconImage) paint() {
	name := i.Color
	if name == "" {
		name = theme.ColorNameForeground
	}
	setIcon(i.img, i.Icon, name)
	i.layout(i.Size())
}

func (i *IconImage) layout(size fyne.Size) {
	i.img.Move(fyne.NewPos((size.Width-i.Side)/2, (size.Height-i.Side)/2))
	i.img.Resize(fyne.NewSquareSize(i.Side))
}

// CreateRenderer is called by Fyne.
func (i *IconImage) CreateRenderer() fyne.WidgetRenderer {
	i.ExtendBaseWidget(i)
	i.img = newIcon()
	i.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{i.img}, layout: i.layout, refresh: i.paint,
		min: func() fyne.Size { return fyne.NewSquareSize(i.Side) },
	}
}
