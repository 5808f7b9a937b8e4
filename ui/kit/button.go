package kit

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// ButtonStyle is how loud a button is.
type ButtonStyle int

const (
	Plain   ButtonStyle = iota
	Primary             // the one thing to do here
	Danger              // stops or deletes something
	Quiet               // no border: inside of other things
)

// Button does one thing. Unlike Fyne's it has a border, runs with Enter as well as with Space, tells with a tooltip what it
// does, and leaves the keyboard where it was when it is clicked.
type Button struct {
	widget.DisableableWidget
	focusable
	hoverable // Tip
	Text      string
	Icon      IconName            // before the text
	IconColor fyne.ThemeColorName // empty: the text's
	Trailing  IconName            // after the text
	Style     ButtonStyle
	// Titles are all that it may be called: it is as wide as the widest, so that nothing beside it moves.
	Titles []string
	// On shows the button as chosen, for a row of choices.
	On       bool
	OnTapped func()

	pressed        bool
	click          clickFocus
	back, ring     *canvas.Rectangle
	label          *canvas.Text
	icon, trailing *canvas.Image
}

var (
	_ fyne.Focusable    = (*Button)(nil)
	_ fyne.Shortcutable = (*Button)(nil)
	_ fyne.Tappable     = (*Button)(nil)
	_ desktop.Mouseable = (*Button)(nil)
	_ desktop.Hoverable = (*Button)(nil)
)

// NewButton returns a plain button.
func NewButton(text string, tapped func()) *Button {
	b := &Button{Text: text, OnTapped: tapped}
	b.self, b.over = b, b
	b.ExtendBaseWidget(b)
	return b
}

// NewPrimaryButton returns the button of the one thing to do here.
func NewPrimaryButton(text string, tapped func()) *Button {
	b := NewButton(text, tapped)
	b.Style = Primary
	return b
}

// NewIconButton returns a button with a sign alone; tip says in words what it does.
func NewIconButton(icon IconName, tip string, tapped func()) *Button {
	b := NewButton("", tapped)
	b.Icon, b.Tip = icon, tip
	return b
}

// NewMenuButton returns a button that opens a menu, made anew each time.
func NewMenuButton(text string, menu func() *fyne.Menu) *Button {
	b := NewButton(text, nil)
	b.Trailing = IconChevronDown
	b.OnTapped = func() { showMenuBelow(b, menu()) }
	return b
}

// SetText changes the title.
func (b *Button) SetText(text string) {
	if b.Text != text {
		b.Text = text
		b.Refresh()
	}
}

// SetOn shows the button as chosen or not.
func (b *Button) SetOn(on bool) {
	if b.On != on {
		b.On = on
		b.Refresh()
	}
}

func (b *Button) run() {
	if !b.Disabled() && b.OnTapped != nil {
		b.OnTapped()
	}
}

// Tapped is called by Fyne.
func (b *Button) Tapped(*fyne.PointEvent) {
	b.click.restore(b)
	b.run()
}

// MouseDown is called by Fyne.
func (b *Button) MouseDown(*desktop.MouseEvent) {
	b.click.down(b)
	hideTip(b)
	b.pressed = true
	b.Refresh()
}

// MouseUp is called by Fyne.
func (b *Button) MouseUp(*desktop.MouseEvent) {
	b.pressed = false
	b.Refresh()
}

// TypedKey is called by Fyne.
func (b *Button) TypedKey(ev *fyne.KeyEvent) { b.actOn(ev, b.run) }

// AccessibilityLabel names the button for screen readers.
func (b *Button) AccessibilityLabel() string {
	if b.Text == "" {
		return b.Tip
	}
	return b.Text
}

// AccessibilityRole says what it is.
func (b *Button) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

// Cursor is called by Fyne.
func (b *Button) Cursor() desktop.Cursor { return desktop.DefaultCursor }

func (b *Button) colors() (fill, stroke, ink fyne.ThemeColorName) {
	style := b.Style
	if b.On && style == Plain {
		style = Primary
	}
	switch {
	case b.Disabled() && style == Quiet:
		return "", "", theme.ColorNameDisabled
	case b.Disabled():
		return ColorChip, ColorPanelBorder, theme.ColorNameDisabled
	case style == Primary:
		return theme.ColorNamePrimary, theme.ColorNamePrimary, theme.ColorNameForegroundOnPrimary
	case style == Danger:
		return ColorBad, ColorBad, theme.ColorNameForegroundOnError
	case style == Quiet && b.hovered:
		return "", "", theme.ColorNameForeground
	case style == Quiet:
		return "", "", ColorMuted
	}
	return ColorChip, ColorPanelBorder, theme.ColorNameForeground
}

// filled says that the button has the focus ring's own colour, on which only one within it is seen.
func (b *Button) filled() bool {
	fill, _, _ := b.colors()
	return fill == theme.ColorNamePrimary
}

func (b *Button) padding() float32 {
	if b.Style == Quiet || b.Text == "" {
		return 6
	}
	return 12
}

const (
	buttonIcon    float32 = 16
	trailingIcon  float32 = 12
	buttonIconGap float32 = 6
)

func (b *Button) minSize() fyne.Size {
	title := b.label.MinSize().Width
	for _, t := range b.Titles {
		title = max(title, fyne.MeasureText(t, TextSize, fyne.TextStyle{Bold: true}).Width)
	}
	return fyne.NewSize(b.width(title), InputHeight)
}

// width is the button's with a title that is so wide.
func (b *Button) width(title float32) float32 {
	w := 2 * b.padding()
	if b.Text != "" {
		w += title
	}
	if b.Icon != "" {
		w += buttonIcon
		if b.Text != "" {
			w += buttonIconGap
		}
	}
	if b.Trailing != "" {
		w += trailingIcon + buttonIconGap
	}
	return w
}

func (b *Button) layout(size fyne.Size) {
	b.back.Resize(size)
	out := float32(1)
	if b.filled() {
		out = -2
	}
	b.ring.Move(fyne.NewPos(-out, -out))
	b.ring.Resize(size.AddWidthHeight(2*out, 2*out))
	text := b.label.MinSize()
	x := (size.Width - b.width(text.Width)) / 2
	x += b.padding()
	if b.Icon != "" {
		b.icon.Move(fyne.NewPos(x, (size.Height-buttonIcon)/2))
		b.icon.Resize(fyne.NewSquareSize(buttonIcon))
		x += buttonIcon + buttonIconGap
	}
	b.label.Move(fyne.NewPos(x, (size.Height-text.Height)/2))
	b.label.Resize(text)
	if b.Trailing != "" {
		b.trailing.Move(fyne.NewPos(x+text.Width+buttonIconGap, (size.Height-trailingIcon)/2))
		b.trailing.Resize(fyne.NewSquareSize(trailingIcon))
	}
}

func (b *Button) paint() {
	fill, stroke, ink := b.colors()
	b.back.FillColor, b.back.StrokeColor = colorTransparent, colorTransparent
	if fill != "" {
		b.back.FillColor, b.back.StrokeColor = Color(fill), Color(stroke)
	}
	switch {
	case b.Disabled():
	case b.pressed:
		b.back.FillColor = over(b.back.FillColor, Color(theme.ColorNamePressed))
	case b.hovered:
		b.back.FillColor = over(b.back.FillColor, Color(theme.ColorNameHover))
	}
	b.back.StrokeWidth = 1
	b.back.CornerRadius = Radius
	b.label.Text = b.Text
	b.label.TextSize = TextSize
	b.label.Color = Color(ink)
	b.label.TextStyle.Bold = b.Style == Primary || b.Style == Danger || b.On
	sign := ink
	if b.IconColor != "" && !b.Disabled() {
		sign = b.IconColor
	}
	setIcon(b.icon, b.Icon, sign)
	setIcon(b.trailing, b.Trailing, ink)
	b.fade(b.Disabled() && b.Style == Quiet)
	refreshRing(b.ring, b.focused)
	if b.filled() {
		b.ring.StrokeColor = Color(ink)
	}
	b.layout(b.Size())
}

// fade lets a disabled button without a border be told from one that only waits for the mouse: their colours are close.
func (b *Button) fade(on bool) {
	gone := 0.0
	if on {
		gone = 0.55
		ink := color.NRGBAModel.Convert(b.label.Color).(color.NRGBA)
		ink.A = uint8(255 * (1 - gone))
		b.label.Color = ink
	}
	b.icon.Translucency, b.trailing.Translucency = gone, gone
}

// setIcon shows the sign called name, or nothing.
func setIcon(img *canvas.Image, name IconName, c fyne.ThemeColorName) {
	img.Hidden = name == ""
	if name != "" {
		img.Resource = IconColored(name, c)
	}
}

func newIcon() *canvas.Image {
	img := &canvas.Image{FillMode: canvas.ImageFillContain}
	img.Hide()
	return img
}

// CreateRenderer is called by Fyne.
func (b *Button) CreateRenderer() fyne.WidgetRenderer {
	b.ExtendBaseWidget(b)
	b.back, b.ring = canvas.NewRectangle(colorTransparent), newRing()
	b.ring.CornerRadius = Radius + 1
	b.label = canvas.NewText("", colorTransparent)
	b.icon, b.trailing = newIcon(), newIcon()
	b.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{b.back, b.icon, b.label, b.trailing, b.ring},
		layout:  b.layout, min: b.minSize, refresh: b.paint,
	}
}

// over lays a translucent colour over another one.
func over(under, top color.Color) color.Color {
	u := color.NRGBAModel.Convert(under).(color.NRGBA)
	t := color.NRGBAModel.Convert(top).(color.NRGBA)
	if u.A == 0 {
		return t
	}
	mix := func(a, b uint8) uint8 { return uint8((int(a)*(255-int(t.A)) + int(b)*int(t.A)) / 255) }
	return color.NRGBA{R: mix(u.R, t.R), G: mix(u.G, t.G), B: mix(u.B, t.B), A: u.A}
}
