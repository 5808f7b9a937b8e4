package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// Split puts two things side by side with a line between them that can be dragged.
type Split struct {
	widget.BaseWidget
	left, right fyne.CanvasObject
	offset      float32
	handle      *splitHandle
}

// NewSplit returns a split in the middle.
func NewSplit(left, right fyne.CanvasObject) *Split {
	s := &Split{left: left, right: right, offset: 0.5}
	s.handle = newSplitHandle(true, func(d float32) {
		if w := s.Size().Width; w > 0 {
			s.SetOffset(s.offset + d/w)
		}
	}, func() {})
	s.handle.reset = func() { s.SetOffset(0.5) }
	s.ExtendBaseWidget(s)
	return s
}

// Offset returns the left part's share of the width.
func (s *Split) Offset() float32 { return s.offset }

// SetOffset gives the left part its share of the width, as far as both still fit.
func (s *Split) SetOffset(offset float32) {
	s.offset = clamp(offset, 0, 1)
	s.layout(s.Size())
	canvas.Refresh(s)
}

func (s *Split) layout(size fyne.Size) {
	if size.Width <= 0 {
		return
	}
	left, right := s.left.MinSize().Width, s.right.MinSize().Width
	w := clamp(float32(int(size.Width*s.offset)), left, max(left, size.Width-right-1))
	s.left.Resize(fyne.NewSize(w, size.Height))
	s.right.Move(fyne.NewPos(w+1, 0))
	s.right.Resize(fyne.NewSize(size.Width-w-1, size.Height))
	s.handle.Move(fyne.NewPos(w-3, 0))
	s.handle.Resize(fyne.NewSize(7, size.Height))
}

// CreateRenderer is called by Fyne.
func (s *Split) CreateRenderer() fyne.WidgetRenderer {
	return &simpleRenderer{
		objects: []fyne.CanvasObject{s.left, s.right, s.handle}, layout: s.layout, refresh: func() { s.layout(s.Size()) },
		min: func() fyne.Size {
			l, r := s.left.MinSize(), s.right.MinSize()
			return fyne.NewSize(l.Width+r.Width+1, max(l.Height, r.Height))
		},
	}
}

// Drawer puts a body under something, below a header that stays when the body folds away. The header's upper edge can be
// dragged; with the keyboard, [Drawer.SetHeight] and [Drawer.SetFolded] serve commands.
// A height holds when the window gets higher or lower; a share that was given with [Drawer.SetShare] holds instead.
type Drawer struct {
	widget.BaseWidget
	main, header, body fyne.CanvasObject
	height             float32
	share              float32 // of the whole, header and body; 0: height counts
	folded             bool
	handle             *splitHandle
}

// NewDrawer returns an open drawer whose body is height high. A nil header: the body has one of its own, [TabHeight] high.
func NewDrawer(main, header, body fyne.CanvasObject, height float32) *Drawer {
	d := &Drawer{main: main, header: header, body: body, height: height}
	d.handle = newSplitHandle(false, func(dy float32) {
		if d.folded {
			d.folded = false
			d.height = 0
		}
		d.SetHeight(d.height - dy)
	}, func() {
		if d.height < drawerFolds {
			d.SetHeight(max(d.height, drawerLeast))
			d.folded = true
			d.Refresh()
		}
	})
	d.handle.reset = d.Toggle
	d.ExtendBaseWidget(d)
	return d
}

const (
	drawerLeast float32 = 80 // the body's least height
	drawerFolds float32 = 48 // dragged below this it folds
	mainLeast   float32 = 120
)

// SetHeight changes the height of the open body.
func (d *Drawer) SetHeight(h float32) {
	d.height = max(0, h)
	if size := d.Size(); size.Height > 0 {
		d.height = min(d.height, max(drawerLeast, size.Height-d.headerHeight()-mainLeast))
		if d.share > 0 {
			d.share = (d.height + d.headerHeight()) / size.Height
		}
	}
	d.Refresh()
}

// Share returns header's and body's share of the whole, 0 when a height counts.
func (d *Drawer) Share() float32 { return d.share }

// SetShare gives header and open body a share of the whole, from 0 to 1, which they keep in a window of another height.
func (d *Drawer) SetShare(share float32) {
	d.share = clamp(share, 0.05, 1)
	d.Refresh()
}

// SetFolded folds or opens the body.
func (d *Drawer) SetFolded(folded bool) {
	if d.folded != folded {
		d.folded = folded
		d.Refresh()
	}
}

// Folded says whether the body is folded away.
func (d *Drawer) Folded() bool { return d.folded }

// Toggle folds or opens the body.
func (d *Drawer) Toggle() { d.SetFolded(!d.folded) }

func (d *Drawer) headerHeight() float32 {
	if d.header == nil {
		return TabHeight
	}
	return d.header.MinSize().Height
}

func (d *Drawer) layout(size fyne.Size) {
	if size.Height <= 0 {
		return
	}
	header := d.headerHeight()
	if d.share > 0 {
		d.height = max(0, float32(int(d.share*size.Height))-header)
	}
	body := float32(0)
	if !d.folded {
		body = min(d.height, max(0, size.Height-header-1-min(mainLeast, size.Height/3)))
	}
	switch {
	case d.header == nil:
	case d.folded:
		d.body.Hide()
	default:
		d.body.Show()
	}
	top := size.Height - header - body - 1
	d.main.Resize(fyne.NewSize(size.Width, top))
	d.handle.Move(fyne.NewPos(0, top-3))
	d.handle.Resize(fyne.NewSize(size.Width, 7))
	if d.header == nil {
		d.body.Move(fyne.NewPos(0, top+1))
		d.body.Resize(fyne.NewSize(size.Width, header+body))
		return
	}
	d.header.Move(fyne.NewPos(0, top+1))
	d.header.Resize(fyne.NewSize(size.Width, header))
	d.body.Move(fyne.NewPos(0, top+1+header))
	d.body.Resize(fyne.NewSize(size.Width, body))
}

// CreateRenderer is called by Fyne.
func (d *Drawer) CreateRenderer() fyne.WidgetRenderer {
	objects := []fyne.CanvasObject{d.main, d.body, d.handle}
	if d.header != nil {
		objects = []fyne.CanvasObject{d.main, d.header, d.body, d.handle}
	}
	return &simpleRenderer{
		objects: objects, layout: d.layout, refresh: func() { d.layout(d.Size()) },
		min: func() fyne.Size {
			m, b := d.main.MinSize(), d.body.MinSize()
			if d.header != nil {
				m.Width = max(m.Width, d.header.MinSize().Width)
			}
			return fyne.NewSize(max(m.Width, b.Width), m.Height+d.headerHeight()+1)
		},
	}
}

// splitHandle is a line of one unit that can be grabbed in a strip of seven.
type splitHandle struct {
	widget.BaseWidget
	upright       bool // the line is upright, the drag goes sideways
	moved         func(float32)
	end           func()
	reset         func() // double click
	hovered, held bool
	line          *canvas.Rectangle
	click         clickFocus
}

var (
	_ fyne.Draggable      = (*splitHandle)(nil)
	_ desktop.Mouseable   = (*splitHandle)(nil)
	_ fyne.Tappable       = (*splitHandle)(nil)
	_ fyne.DoubleTappable = (*splitHandle)(nil)
	_ desktop.Cursorable  = (*splitHandle)(nil)
	_ desktop.Hoverable   = (*splitHandle)(nil)
)

func newSplitHandle(upright bool, moved func(float32), end func()) *splitHandle {
	h := &splitHandle{upright: upright, moved: moved, end: end}
	h.ExtendBaseWidget(h)
	return h
}

func (h *splitHandle) Dragged(ev *fyne.DragEvent) {
	h.held = true
	if h.upright {
		h.moved(ev.Dragged.DX)
	} else {
		h.moved(ev.Dragged.DY)
	}
}

func (h *splitHandle) DragEnd() {
	h.held = false
	h.Refresh()
	h.end()
	h.click.restore(h)
}

func (h *splitHandle) DoubleTapped(*fyne.PointEvent) {
	h.reset()
	h.click.restore(h)
}

func (h *splitHandle) MouseDown(*desktop.MouseEvent) {
	before := h.click.before
	if h.click.down(h); h.click.before == nil { // the second click of two comes when the keyboard is gone
		h.click.before = before
	}
}

func (h *splitHandle) Tapped(*fyne.PointEvent)        { h.click.restore(h) }
func (h *splitHandle) MouseUp(*desktop.MouseEvent)    {}
func (h *splitHandle) MouseIn(*desktop.MouseEvent)    { h.hovered = true; h.Refresh() }
func (h *splitHandle) MouseMoved(*desktop.MouseEvent) {}
func (h *splitHandle) MouseOut()                      { h.hovered = false; h.Refresh() }
func (h *splitHandle) Cursor() desktop.Cursor {
	if h.upright {
		return desktop.HResizeCursor
	}
	return desktop.VResizeCursor
}

func (h *splitHandle) CreateRenderer() fyne.WidgetRenderer {
	h.line = canvas.NewRectangle(colorTransparent)
	layout := func(s fyne.Size) {
		thick := float32(1)
		if h.hovered || h.held {
			thick = 3
		}
		if h.upright {
			h.line.Move(fyne.NewPos(3-(thick-1)/2, 0))
			h.line.Resize(fyne.NewSize(thick, s.Height))
		} else {
			h.line.Move(fyne.NewPos(0, 3-(thick-1)/2))
			h.line.Resize(fyne.NewSize(s.Width, thick))
		}
	}
	paint := func() {
		h.line.FillColor = Color(ColorPanelBorder)
		if h.hovered || h.held {
			h.line.FillColor = Color(theme.ColorNamePrimary)
		}
		layout(h.Size())
	}
	paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{h.line}, layout: layout, refresh: paint,
		min: func() fyne.Size { return fyne.NewSize(1, 1) },
	}
}
