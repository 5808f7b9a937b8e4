package kit

import (
	"slices"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// Post runs a function on the UI goroutine, later: fyne.Do in the program, a queue in tests.
type Post func(func())

const (
	tipDelay  = 600 * time.Millisecond
	toastTime = 4 * time.Second
)

// Layers is a window's outermost content: what the window shows, and above it toasts and tooltips, which never take the
// keyboard. Without it both stay away silently.
type Layers struct {
	widget.BaseWidget
	content fyne.CanvasObject
	*floats
}

// NewLayers returns the layers around content.
func NewLayers(content fyne.CanvasObject, post Post) *Layers {
	l := &Layers{content: content, floats: newFloats(post)}
	l.ExtendBaseWidget(l)
	return l
}

// Close ends the timers. Call it when the window is gone.
func (l *Layers) Close() { l.stop() }

// CreateRenderer is called by Fyne.
func (l *Layers) CreateRenderer() fyne.WidgetRenderer {
	return &simpleRenderer{
		objects: append([]fyne.CanvasObject{l.content}, l.objects()...),
		layout: func(s fyne.Size) {
			l.content.Resize(s)
			l.place(s)
		},
		min:     func() fyne.Size { return l.content.MinSize() },
		refresh: func() {},
	}
}

// floats are the toast, the tooltip and what is dragged, of a window or of a dialog.
type floats struct {
	post     Post
	toast    *float
	ghost    *float // what is dragged
	tip      *float
	tipOwner fyne.CanvasObject
	tipTimer *time.Timer
	end      *time.Timer
	size     fyne.Size
	stopped  bool
}

type floatHost interface{ hosts() *floats }

func (f *floats) hosts() *floats { return f }

func newFloats(post Post) *floats {
	return &floats{post: post, toast: newFloat(TextSize, 12, 8), ghost: newFloat(CaptionSize, 8, 4), tip: newFloat(CaptionSize, 8, 4)}
}

func (f *floats) objects() []fyne.CanvasObject { return []fyne.CanvasObject{f.toast, f.ghost, f.tip} }

func (f *floats) stop() {
	f.stopped = true
	for _, t := range []*time.Timer{f.tipTimer, f.end} {
		if t != nil {
			t.Stop()
		}
	}
}

// after runs do on the UI goroutine unless its timer was stopped.
func (f *floats) after(d time.Duration, do func()) *time.Timer {
	return time.AfterFunc(d, func() {
		f.post(func() {
			if !f.stopped {
				do()
			}
		})
	})
}

func (f *floats) place(size fyne.Size) {
	f.size = size
	m := f.toast.MinSize()
	f.toast.Resize(m)
	f.toast.Move(fyne.NewPos((size.Width-m.Width)/2, size.Height-m.Height-44))
}

func (f *floats) showToast(text string, icon IconName, color fyne.ThemeColorName) {
	f.toast.show(text, icon, color)
	f.place(f.size)
	if f.end != nil {
		f.end.Stop()
	}
	f.end = f.after(toastTime, f.toast.Hide)
}

func (f *floats) hideTip() {
	f.tipOwner = nil
	if f.tipTimer != nil {
		f.tipTimer.Stop()
	}
	if f.tip.Visible() {
		f.tip.Hide()
	}
}

func (f *floats) startTip(owner fyne.CanvasObject, text string, at fyne.Position) {
	f.hideTip()
	f.tipOwner = owner
	f.tipTimer = f.after(tipDelay, func() {
		if f.tipOwner != owner || !owner.Visible() {
			return
		}
		f.tip.show(text, "", "")
		m := f.tip.MinSize()
		below := fyne.CurrentApp().Driver().AbsolutePositionForObject(owner).AddXY(0, owner.Size().Height+4)
		x := clamp(min(at.X, below.X+owner.Size().Width-m.Width), 4, max(4, f.size.Width-m.Width-4))
		x = max(x, clamp(below.X, 4, max(4, f.size.Width-m.Width-4)))
		y := below.Y
		if y+m.Height > f.size.Height-4 {
			y = below.Y - owner.Size().Height - m.Height - 8
		}
		f.tip.Move(fyne.NewPos(x, y))
		f.tip.Resize(m)
		canvas.Refresh(owner) // Fyne can't find the canvas of what was never shown
	})
}

// floatsOf finds the floats above o: those of the uppermost dialog, else the window's. A menu above has none.
func floatsOf(o fyne.CanvasObject) *floats {
	c := canvasOf(o)
	if c == nil {
		return nil
	}
	for _, host := range slices.Backward(append([]fyne.CanvasObject{c.Content()}, c.Overlays().List()...)) {
		if h, ok := host.(floatHost); ok {
			return h.hosts()
		}
	}
	return nil
}

func showTip(o fyne.CanvasObject, text string, at fyne.Position) {
	if text == "" {
		return
	}
	if f := floatsOf(o); f != nil {
		f.startTip(o, text, at)
	}
}

// hideTip takes o's tooltip away. It may lie below a dialog that has come meanwhile.
func hideTip(o fyne.CanvasObject) {
	c := canvasOf(o)
	if c == nil {
		return
	}
	for _, f := range allFloats(c) {
		if f.tipOwner == o {
			f.hideTip()
		}
	}
}

// hideTips takes every tooltip of a canvas away: the mouse that called for it points at what is covered now.
func hideTips(c fyne.Canvas) {
	for _, f := range allFloats(c) {
		f.hideTip()
	}
}

func allFloats(c fyne.Canvas) (all []*floats) {
	for _, host := range append([]fyne.CanvasObject{c.Content()}, c.Overlays().List()...) {
		if h, ok := host.(floatHost); ok {
			all = append(all, h.hosts())
		}
	}
	return all
}

// ShowToast says something at the bottom of o's window for a few seconds: what was done, never what must be answered.
func ShowToast(o fyne.CanvasObject, text string) { toastOn(o, text, IconCheck, ColorGood) }

// ShowBadToast says that something failed, where the details stand elsewhere.
func ShowBadToast(o fyne.CanvasObject, text string) { toastOn(o, text, IconCross, ColorBad) }

// ShowNote says what is neither a success nor a failure: that something begins, or that there was nothing to do.
func ShowNote(o fyne.CanvasObject, text string) { toastOn(o, text, IconInfo, ColorMuted) }

func toastOn(o fyne.CanvasObject, text string, icon IconName, color fyne.ThemeColorName) {
	if f := floatsOf(o); f != nil {
		f.showToast(text, icon, color)
		canvas.Refresh(o) // Fyne can't find the canvas of what was never shown
	}
}

// float is a small text over everything else. It hears no mouse.
type float struct {
	widget.BaseWidget
	size, padX, padY float32
	back             *canvas.Rectangle
	label            *canvas.Text
	img              *canvas.Image
	text             string
	icon             IconName
	color            fyne.ThemeColorName
}

func newFloat(size, padX, padY float32) *float {
	f := &float{size: size, padX: padX, padY: padY}
	f.ExtendBaseWidget(f)
	f.Hide()
	return f
}

func (f *float) show(text string, icon IconName, color fyne.ThemeColorName) {
	f.text, f.icon, f.color = text, icon, color
	f.Refresh()
	f.Show()
}

func (f *float) minSize() fyne.Size {
	m := f.label.MinSize()
	if f.icon != "" {
		m.Width += 20
	}
	return m.AddWidthHeight(2*f.padX, 2*f.padY)
}

func (f *float) layout(s fyne.Size) {
	f.back.Resize(s)
	x := f.padX
	if f.icon != "" {
		f.img.Move(fyne.NewPos(x, (s.Height-14)/2))
		f.img.Resize(fyne.NewSquareSize(14))
		x += 20
	}
	m := f.label.MinSize()
	f.label.Move(fyne.NewPos(x, (s.Height-m.Height)/2))
	f.label.Resize(m)
}

func (f *float) paint() {
	f.back.FillColor, f.back.StrokeColor = Color(theme.ColorNameOverlayBackground), Color(ColorPanelBorder)
	f.back.StrokeWidth, f.back.CornerRadius = 1, Radius
	f.back.Shadow = canvas.Shadow{Color: Color(theme.ColorNameShadow), BlurRadius: 8, Offset: fyne.NewPos(0, 2)}
	f.label.Text, f.label.TextSize, f.label.Color = f.text, f.size, Color(theme.ColorNameForeground)
	setIcon(f.img, f.icon, f.color)
	f.layout(f.Size())
}

func (f *float) CreateRenderer() fyne.WidgetRenderer {
	f.back, f.label, f.img = canvas.NewRectangle(colorTransparent), canvas.NewText("", colorTransparent), newIcon()
	f.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{f.back, f.img, f.label}, layout: f.layout, min: f.minSize, refresh: f.paint,
	}
}
