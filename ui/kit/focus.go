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

// passKey hands a key that the focused widget o has no use for to the window. Fyne itself does so only while nothing has
// the focus.
func passKey(o fyne.CanvasObject, ev *fyne.KeyEvent) {
	if c := canvasOf(o); c != nil && c.OnTypedKey() != nil {
		c.OnTypedKey()(ev)
	}
}

// passShortcut hands a shortcut that the focused widget o has no use for to the window.
func passShortcut(o fyne.CanvasObject, s fyne.Shortcut) {
	if c, ok := canvasOf(o).(fyne.Shortcutable); ok {
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
	if !ok || !object.Visible() {
		return
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
