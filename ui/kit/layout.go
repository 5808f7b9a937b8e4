package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
)

// HBox puts objects in a row with the given gap, each as high as the row. A [Grow] takes the width that is left.
func HBox(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(&rowLayout{gap: gap}, objects...)
}

// VBox puts objects below each other with the given gap, each as wide as the column. A [Grow] takes the height that is left.
func VBox(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(&rowLayout{gap: gap, down: true}, objects...)
}

// Grow marks an object of an [HBox] or [VBox] that takes the room that is left; several share it evenly.
func Grow(o fyne.CanvasObject) fyne.CanvasObject {
	return container.New(growLayout{}, o)
}

// SetVisible shows or hides an object.
func SetVisible(o fyne.CanvasObject, on bool) {
	if on {
		o.Show()
	} else {
		o.Hide()
	}
}

// Space is an empty Grow: it pushes the rest to the other end.
func Space() fyne.CanvasObject { return Grow(canvas.NewRectangle(colorTransparent)) }

// Pad puts room around an object.
func Pad(top, right, bottom, left float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(layout.NewCustomPaddedLayout(top, bottom, left, right), o)
}

// FixedWidth gives an object a width of its own.
func FixedWidth(w float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(&fixedLayout{width: w}, o)
}

// FixedHeight gives an object a height of its own.
func FixedHeight(h float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(&fixedLayout{height: h}, o)
}

// Surface puts an object on a panel's surface, without border.
func Surface(o fyne.CanvasObject) fyne.CanvasObject { return newBox(o, ColorPanel, "", 0) }

type growLayout struct{}

func (growLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	for _, o := range objects {
		o.Move(fyne.NewPos(0, 0))
		o.Resize(size)
	}
}

func (growLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	m := fyne.Size{}
	for _, o := range objects {
		m = m.Max(o.MinSize())
	}
	return m
}

type fixedLayout struct{ width, height float32 }

func (f *fixedLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	growLayout{}.Layout(objects, size)
}

func (f *fixedLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	m := growLayout{}.MinSize(objects)
	if f.width > 0 {
		m.Width = f.width
	}
	if f.height > 0 {
		m.Height = f.height
	}
	return m
}

// rowLayout is a box with a gap of its own; Fyne's boxes know the theme's padding only.
type rowLayout struct {
	gap  float32
	down bool
}

func (l *rowLayout) along(s fyne.Size) float32 {
	if l.down {
		return s.Height
	}
	return s.Width
}

func (l *rowLayout) size(along, across float32) fyne.Size {
	if l.down {
		return fyne.NewSize(across, along)
	}
	return fyne.NewSize(along, across)
}

// shrinks is an object of a row that can do with less width than it wishes for.
type shrinks interface{ wish() float32 }

// growsFirst is the width that what grows gets before what has shrunk gets more.
const growsFirst float32 = 120

func grows(o fyne.CanvasObject) bool {
	c, ok := o.(*fyne.Container)
	if !ok {
		return false
	}
	_, ok = c.Layout.(growLayout)
	return ok
}

func (l *rowLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	across := size.Width
	if !l.down {
		across = size.Height
	}
	fixed, growing, shown := float32(0), 0, 0
	for _, o := range objects {
		if !o.Visible() {
			continue
		}
		shown++
		if grows(o) {
			growing++
			continue
		}
		if l.down { // a paragraph's height depends on its width
			o.Resize(fyne.NewSize(across, o.MinSize().Height))
		}
		fixed += l.along(o.MinSize())
	}
	rest := max(0, l.along(size)-fixed-l.gap*float32(shown-1))
	more := make([]float32, len(objects)) // for those that had to shrink
	for i, o := range objects {
		if s, ok := o.(shrinks); ok && !l.down && o.Visible() {
			more[i] = clamp(s.wish()-o.MinSize().Width, 0, max(0, rest-float32(growing)*growsFirst))
			if c, ok := o.(*Chip); ok && more[i] < c.worth() {
				more[i] = 0
			}
			rest -= more[i]
		}
	}
	if growing > 0 {
		rest /= float32(growing)
	}
	at := float32(0)
	for i, o := range objects {
		if !o.Visible() {
			continue
		}
		along := l.along(o.MinSize()) + more[i]
		if grows(o) {
			along = rest
		}
		if l.down {
			o.Move(fyne.NewPos(0, at))
		} else {
			o.Move(fyne.NewPos(at, 0))
		}
		o.Resize(l.size(along, across))
		at += along + l.gap
	}
}

func (l *rowLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	along, across, shown := float32(0), float32(0), 0
	for _, o := range objects {
		if !o.Visible() {
			continue
		}
		shown++
		m := o.MinSize()
		along += l.along(m)
		if l.down {
			across = max(across, m.Width)
		} else {
			across = max(across, m.Height)
		}
	}
	if shown > 1 {
		along += l.gap * float32(shown-1)
	}
	return l.size(along, across)
}
