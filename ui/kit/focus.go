package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
)

// canvasOf returns the canvas that shows o, or nil.
func canvasOf(o fyne.CanvasObject) fyne.Canvas { return fyne.CurrentApp().Driver().CanvasForObject(o) }

// FocusOn gives o the keyboard. It does nothing while o is on no canvas.
func FocusOn(o fyne.Focusable) {
	if object, ok := o.(fyne.CanvasObject); ok {
		if c := canvasOf(object); c != nil {
			c.Focus(o)
		}
	}
}

// FocusBeside gives o the keyboard on the canvas of near. Unlike [FocusOn] it reaches what was put there and not drawn yet.
func FocusBeside(near fyne.CanvasObject, o fyne.Focusable) {
	if c := canvasOf(near); c != nil {
		c.Focus(o)
	}
}

// canvasOfFocused returns the canvas that has its focus on o. Unlike [canvasOf] it knows what was not drawn yet: an Enter that
// follows at once on the key that opened a dialog is not lost.
func canvasOfFocused(o fyne.CanvasObject) fyne.Canvas {
	if c := canvasOf(o); c != nil {
		return c
	}
	for _, w := range fyne.CurrentApp().Driver().AllWindows() {
		if f, ok := o.(fyne.Focusable); ok && w.Canvas().Focused() == f {
			return w.Canvas()
		}
	}
	return nil
}

// passKey hands a key that the focused widget o has no use for to the window. Fyne itself does so only while nothing has
// the focus.
func passKey(o fyne.CanvasObject, ev *fyne.KeyEvent) {
	if c := canvasOfFocused(o); c != nil && c.OnTypedKey() != nil {
		c.OnTypedKey()(ev)
	}
}

// passShortcut hands a shortcut that the focused widget o has no use for to the window.
func passShortcut(o fyne.CanvasObject, s fyne.Shortcut) {
	if c, ok := canvasOfFocused(o).(fyne.Shortcutable); ok {
		c.TypedShortcut(s)
	}
}

// modifiers returns the modifier keys held now; none where the driver can't tell (tests).
func modifiers() fyne.KeyModifier {
	if d, ok := fyne.CurrentApp().Driver().(desktop.Driver); ok {
		return d.CurrentKeyModifiers()
	}
	return 0
}

// clickFocus keeps the focus where it was when a button is clicked: Fyne takes it away, and the next F2 or Delete would
// reach nobody.
type clickFocus struct {
	before fyne.Focusable
}

func (f *clickFocus) down(o fyne.CanvasObject) {
	if c := canvasOf(o); c != nil {
		f.before = c.Focused()
	}
}

func (f *clickFocus) restore(o fyne.CanvasObject) {
	before := f.before
	f.before = nil
	object, ok := before.(fyne.CanvasObject)
	if !ok || !object.Visible() || fyne.CurrentApp().Driver().AbsolutePositionForObject(object).IsZero() {
		return // it is no longer on the canvas, which Fyne tells with the position (0,0)
	}
	if c := canvasOf(o); c != nil && canvasOf(object) == c && c.Focused() == nil {
		c.Focus(before)
	}
}

// newRing returns the rectangle that shows the focus around a widget.
func newRing() *canvas.Rectangle {
	r := canvas.NewRectangle(colorTransparent)
	r.StrokeWidth = 1.5
	r.CornerRadius = Radius
	r.Hide()
	return r
}

func refreshRing(r *canvas.Rectangle, focused bool) {
	r.StrokeColor = Color(theme.ColorNamePrimary)
	r.Hidden = !focused
	r.Refresh()
}

// blank lets Space act when its letter comes. With the key, the letter would be typed into what has the keyboard next, such as
// the field of a dialog.
type blank struct{ expected bool }

// expect is for the key.
func (b *blank) expect() { b.expected = true }

// came says whether r is the letter of the key.
func (b *blank) came(r rune) bool {
	was := b.expected
	b.expected = false
	return was && r == ' '
}

// focusable is the keyboard's half of a widget of ours: it shows the focus, and hands shortcuts on to the window.
type focusable struct {
	self    fyne.Widget
	focused bool
	space   blank
	act     func() // waits for the letter of Space
}

// FocusGained is called by Fyne.
func (f *focusable) FocusGained() { f.focused = true; f.self.Refresh() }

// FocusLost is called by Fyne.
func (f *focusable) FocusLost() { f.focused = false; f.self.Refresh() }

// TypedRune is called by Fyne.
func (f *focusable) TypedRune(r rune) {
	if f.space.came(r) && f.act != nil {
		f.act()
	}
}

// actOn runs act for Enter, and for Space as soon as its letter has come. Other keys go to the window.
func (f *focusable) actOn(ev *fyne.KeyEvent, act func()) {
	switch ev.Name {
	case fyne.KeyReturn, fyne.KeyEnter:
		act()
	case fyne.KeySpace:
		f.act = act
		f.space.expect()
	default:
		passKey(f.self, ev)
	}
}

// TypedShortcut is called by Fyne.
func (f *focusable) TypedShortcut(s fyne.Shortcut) { passShortcut(f.self, s) }

func (f *focusable) shade(on bool) { f.focused = !on; f.self.Refresh() }

// shaded is a widget that has its canvas's focus and can hide that: a dialog above it has the keyboard for now. Nobody is
// told that it lost the focus, because it gets the keyboard back with the end of the dialog.
type shaded interface{ shade(on bool) }

// shadeFocus hides or shows again that o has the focus.
func shadeFocus(o fyne.Focusable, on bool) {
	if s, ok := o.(shaded); ok {
		s.shade(on)
	}
}

// hoverable is the mouse's half: it shows that the mouse is over the widget, and the tooltip after a while.
type hoverable struct {
	Tip     string // tooltip
	over    fyne.Widget
	hovered bool
}

// MouseIn is called by Fyne.
func (h *hoverable) MouseIn(ev *desktop.MouseEvent) {
	h.hovered = true
	h.over.Refresh()
	showTip(h.over, h.Tip, ev.AbsolutePosition)
}

// MouseMoved is called by Fyne.
func (h *hoverable) MouseMoved(*desktop.MouseEvent) {}

// MouseOut is called by Fyne.
func (h *hoverable) MouseOut() {
	h.hovered = false
	h.over.Refresh()
	hideTip(h.over)
}
