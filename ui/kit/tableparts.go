package kit

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

var colorTransparent = color.NRGBA{}

const (
	cellPad        float32 = 4  // left and right of a cell's text
	edgePad        float32 = 6  // more at the table's edges
	cellIcon       float32 = 16 // a cell's icon
	scrollBarWidth float32 = 10
)

// cellSpan returns where the content of column col lies in a table of the given column widths.
func cellSpan(widths []float32, col int) (x, w float32) {
	for i := range col {
		x += widths[i]
	}
	w = widths[col]
	x += cellPad
	w -= 2 * cellPad
	if col == 0 {
		x += edgePad
		w -= edgePad
	}
	if col == lastColumn(widths) {
		w -= edgePad
	}
	return x, w
}

// lastColumn is the last one that has a width: others have yielded.
func lastColumn(widths []float32) int {
	last := len(widths) - 1
	for last > 0 && widths[last] == 0 {
		last--
	}
	return last
}

// tableBody draws the rows that can be seen. It is Scrollable, which also makes Fyne clip it.
type tableBody struct {
	widget.BaseWidget
	t       *Table
	rows    []*tableRow
	ring    *canvas.Rectangle
	empty   *fyne.Container
	objects []fyne.CanvasObject
	widths  []float32
	size    fyne.Size
}

type tableRow struct {
	back  *canvas.Rectangle
	cells []*tableCell
	row   int
}

type tableCell struct {
	text       *canvas.Text
	icon       *canvas.Image
	iconName   string
	indent     float32
	track, bar *canvas.Rectangle
}

var (
	_ fyne.Scrollable        = (*tableBody)(nil)
	_ desktop.Mouseable      = (*tableBody)(nil)
	_ desktop.Hoverable      = (*tableBody)(nil)
	_ fyne.Tappable          = (*tableBody)(nil)
	_ fyne.SecondaryTappable = (*tableBody)(nil)
	_ fyne.Draggable         = (*tableBody)(nil)
)

func (b *tableBody) Scrolled(ev *fyne.ScrollEvent) {
	if b.t.Page != nil && b.t.maxOffset() == 0 {
		b.t.Page.Scrolled(ev)
		return
	}
	b.t.scrollTo(b.t.offset - ev.Scrolled.DY*RowHeight*3/25) // a notch is 25 units: three rows
	b.setHover(b.t.rowAt(ev.Position.Y))
}
func (b *tableBody) MouseDown(ev *desktop.MouseEvent)    { b.t.mouseDown(ev) }
func (b *tableBody) MouseUp(ev *desktop.MouseEvent)      { b.t.mouseUp(ev) }
func (b *tableBody) Tapped(*fyne.PointEvent)             { b.t.tapped() }
func (b *tableBody) TappedSecondary(ev *fyne.PointEvent) { b.t.tappedSecondary(ev) }
func (b *tableBody) Dragged(ev *fyne.DragEvent)          { b.t.dragged(ev) }
func (b *tableBody) DragEnd()                            { b.t.dragEnd() }
func (b *tableBody) MouseIn(ev *desktop.MouseEvent)      { b.setHover(b.t.rowAt(ev.Position.Y)) }
func (b *tableBody) MouseMoved(ev *desktop.MouseEvent)   { b.setHover(b.t.rowAt(ev.Position.Y)) }
func (b *tableBody) MouseOut()                           { b.setHover(-1) }
func (b *tableBody) MinSize() fyne.Size                  { return fyne.NewSize(80, RowHeight) }
func (b *tableBody) CreateRenderer() fyne.WidgetRenderer { return &bodyRenderer{b} }

func (b *tableBody) setHover(row int) {
	if row == b.t.hover {
		return
	}
	old := b.t.hover
	b.t.hover = row
	for _, r := range b.rows {
		if r.back.Visible() && (r.row == old || r.row == row) {
			b.paintBack(r)
		}
	}
}

func (b *tableBody) setEmpty(e Empty) {
	center := []fyne.CanvasObject{}
	line := func(s string, name fyne.ThemeColorName) {
		if s != "" {
			f := NewFlowText(Span{Text: s, Color: name})
			f.Center = true
			center = append(center, f)
		}
	}
	line(e.Text, "")
	line(e.Hint, ColorMuted)
	if e.Button != "" {
		center = append(center, container.NewPadded(container.NewCenter(NewButton(e.Button, e.OnTap))))
	}
	b.empty = container.NewVBox(center...)
	b.compose()
}

// compose lists what the renderer shows.
func (b *tableBody) compose() {
	objects := make([]fyne.CanvasObject, 0, len(b.rows)*8)
	for _, r := range b.rows {
		objects = append(objects, r.back)
		for _, c := range r.cells {
			if c.track != nil {
				objects = append(objects, c.track, c.bar)
			}
			if c.icon != nil {
				objects = append(objects, c.icon)
			}
			objects = append(objects, c.text)
		}
	}
	if b.ring == nil {
		b.ring = newRing()
		b.ring.StrokeWidth = 1
		b.ring.CornerRadius = 2
	}
	objects = append(objects, b.ring)
	if b.empty != nil {
		objects = append(objects, b.empty)
	}
	b.objects = objects
}

// update brings the visible rows in line with the model. all reads every cell again; otherwise only rows that moved in.
func (b *tableBody) update(all bool) {
	size := b.Size()
	if size.Width <= 0 || size.Height <= 0 {
		return
	}
	if size != b.size {
		b.size, all = size, true
	}
	t := b.t
	n := t.length()
	if all {
		b.widths = t.widths(size.Width)
	}
	want := int(size.Height/RowHeight) + 2
	recompose := b.objects == nil
	for len(b.rows) < want {
		b.rows = append(b.rows, &tableRow{back: canvas.NewRectangle(colorTransparent), row: -1})
		recompose = true
	}
	first := int(t.offset / RowHeight)
	for i := range want {
		row := first + i
		r := b.rows[row%want]
		if row >= n {
			b.hideRow(r)
			continue
		}
		y := float32(row)*RowHeight - t.offset
		changed := r.row != row || !r.back.Visible()
		r.row = row
		if changed || all {
			if b.fill(r) {
				recompose = true
			}
		}
		b.place(r, y)
	}
	for _, r := range b.rows[want:] {
		b.hideRow(r)
	}
	if b.empty != nil {
		b.empty.Hidden = n > 0
		if n == 0 {
			width := min(size.Width-32, 420)
			b.empty.Resize(fyne.NewSize(width, b.empty.MinSize().Height))
			h := b.empty.MinSize().Height
			b.empty.Resize(fyne.NewSize(width, h))
			b.empty.Move(fyne.NewPos((size.Width-width)/2, max(8, (size.Height-h)*0.4)))
		}
	}
	if recompose {
		b.compose()
	}
	b.placeRing(n)
	if recompose {
		canvas.Refresh(b)
	}
}

func (b *tableBody) placeRing(n int) {
	t := b.t
	show := t.focused
	pos, size := fyne.NewPos(0, 0), b.Size()
	if t.cursor >= 0 && t.cursor < n {
		y := float32(t.cursor)*RowHeight - t.offset
		pos, size = fyne.NewPos(1, y), fyne.NewSize(size.Width-2, RowHeight)
		show = show && y > -RowHeight && y < b.Size().Height
	}
	b.ring.Move(pos)
	b.ring.Resize(size)
	refreshRing(b.ring, show)
}

func (b *tableBody) hideRow(r *tableRow) {
	if r.row == -1 && r.back.Hidden {
		return
	}
	r.row = -1
	r.back.Hide()
	for _, c := range r.cells {
		c.text.Hide()
		if c.icon != nil {
			c.icon.Hide()
		}
		if c.track != nil {
			c.track.Hide()
			c.bar.Hide()
		}
	}
}

func (b *tableBody) paintBack(r *tableRow) {
	t := b.t
	var c color.Color = colorTransparent
	switch {
	case r.row == t.drop && t.drop >= 0:
		c = Color(ColorRowSelected)
	case t.isSelected(r.row) && t.focused:
		c = Color(ColorRowSelected)
	case t.isSelected(r.row):
		c = Color(ColorRowSelectedInactive)
	case r.row == t.hover:
		c = Color(theme.ColorNameHover)
	}
	if r.back.FillColor != c {
		r.back.FillColor = c
		r.back.Refresh()
	}
}

// fill sets what the row shows. It reports whether canvas objects were added.
func (b *tableBody) fill(r *tableRow) (added bool) {
	t := b.t
	for len(r.cells) < len(t.columns) {
		r.cells = append(r.cells, &tableCell{text: canvas.NewText("", colorTransparent)})
		added = true
	}
	r.back.Show()
	b.paintBack(r)
	selected := t.isSelected(r.row)
	for col, c := range r.cells {
		if col >= len(t.columns) {
			c.text.Hide()
			if c.icon != nil {
				c.icon.Hide()
			}
			if c.track != nil {
				c.track.Hide()
				c.bar.Hide()
			}
			continue
		}
		var cell Cell
		if t.Cell != nil {
			cell = t.Cell(r.row, col)
		}
		if b.fillCell(c, col, cell, selected) {
			added = true
		}
	}
	return added
}

func (b *tableBody) fillCell(c *tableCell, col int, cell Cell, selected bool) (added bool) {
	_, w := cellSpan(b.widths, col)
	if b.widths[col] == 0 {
		cell = Cell{}
	}
	c.indent = cell.Indent
	w -= cell.Indent
	if cell.Icon != nil {
		if c.icon == nil {
			c.icon = canvas.NewImageFromResource(cell.Icon)
			c.icon.FillMode = canvas.ImageFillContain
			added = true
		}
		if name := cell.Icon.Name(); name != c.iconName {
			c.iconName = name
			c.icon.Resource = cell.Icon
			c.icon.Refresh()
		}
		w -= cellIcon + 6
	}
	if c.icon != nil {
		c.icon.Hidden = cell.Icon == nil
	}
	if cell.Bar != nil && c.track == nil {
		c.track, c.bar = canvas.NewRectangle(colorTransparent), canvas.NewRectangle(colorTransparent)
		c.track.CornerRadius, c.bar.CornerRadius = 2, 2
		added = true
	}
	if c.track != nil {
		c.track.Hidden, c.bar.Hidden = cell.Bar == nil, cell.Bar == nil
	}
	if cell.Bar != nil {
		name := cell.Bar.Color
		if name == "" {
			name = theme.ColorNamePrimary
		}
		c.track.FillColor, c.bar.FillColor = Color(ColorPanelBorder), Color(name)
		full := max(0, w)
		c.track.Resize(fyne.NewSize(full, 3))
		c.bar.Resize(fyne.NewSize(full*clamp(cell.Bar.Fraction, 0, 1), 3))
		c.track.Refresh()
		c.bar.Refresh()
	}
	name := cell.Color
	if name == "" {
		name = theme.ColorNameForeground
		if col > 0 {
			name = ColorMuted
		}
	}
	if selected && name == ColorMuted {
		name = ColorMutedSelected
	}
	style := fyne.TextStyle{Bold: cell.Bold, Monospace: cell.Mono}
	size := TextSize
	if cell.Mono {
		size = CaptionSize
	}
	text := b.t.ellipsis.fit(cell.Text, w, size, style)
	col0 := Color(name)
	align := b.t.columns[col].Align
	if c.text.Text != text || c.text.Color != col0 || c.text.TextStyle != style || c.text.Alignment != align || c.text.TextSize != size || c.text.Hidden {
		c.text.Text, c.text.Color, c.text.TextStyle, c.text.Alignment, c.text.TextSize = text, col0, style, align, size
		c.text.Hidden = false
		c.text.Refresh()
	}
	return added
}

func (b *tableBody) place(r *tableRow, y float32) {
	r.back.Move(fyne.NewPos(0, y))
	r.back.Resize(fyne.NewSize(b.size.Width, RowHeight))
	for col, c := range r.cells {
		if col >= len(b.widths) {
			continue
		}
		x, w := cellSpan(b.widths, col)
		x, w = x+c.indent, w-c.indent
		if c.icon != nil && !c.icon.Hidden {
			c.icon.Move(fyne.NewPos(x, y+(RowHeight-cellIcon)/2))
			c.icon.Resize(fyne.NewSquareSize(cellIcon))
			x += cellIcon + 6
			w -= cellIcon + 6
		}
		textHeight := RowHeight
		if c.track != nil && !c.track.Hidden {
			c.track.Move(fyne.NewPos(x, y+RowHeight-5))
			c.bar.Move(fyne.NewPos(x, y+RowHeight-5))
			textHeight = RowHeight - 4
		}
		h := c.text.MinSize().Height
		c.text.Move(fyne.NewPos(x, y+(textHeight-h)/2))
		c.text.Resize(fyne.NewSize(max(0, w), h))
	}
}

type bodyRenderer struct{ b *tableBody }

func (r *bodyRenderer) Layout(fyne.Size)             { r.b.update(false) }
func (r *bodyRenderer) MinSize() fyne.Size           { return r.b.MinSize() }
func (r *bodyRenderer) Objects() []fyne.CanvasObject { return r.b.objects }
func (r *bodyRenderer) Destroy()                     {}
func (r *bodyRenderer) Refresh() {
	r.b.update(true)
	canvas.Refresh(r.b)
}

// tableHeader draws the titles, sorts on a click and resizes on a drag.
type tableHeader struct {
	widget.BaseWidget
	t      *Table
	back   *canvas.Rectangle
	line   *canvas.Rectangle
	titles []*canvas.Text
	sort   *canvas.Image
	grips  []*canvas.Rectangle
	grip   int // the boundary being dragged or under the mouse: right of this column; -1: none
	over   int
	moved  bool
}

var (
	_ fyne.Tappable      = (*tableHeader)(nil)
	_ fyne.Draggable     = (*tableHeader)(nil)
	_ desktop.Cursorable = (*tableHeader)(nil)
	_ desktop.Hoverable  = (*tableHeader)(nil)
	_ desktop.Mouseable  = (*tableHeader)(nil)
)

// boundaryAt returns the column whose right edge is at x, or -1. The last edge does not move.
func (h *tableHeader) boundaryAt(x float32) int {
	edge := float32(0)
	widths := h.t.widths(h.Size().Width)
	for i := range lastColumn(widths) {
		edge += widths[i]
		if x >= edge-4 && x <= edge+4 {
			return i
		}
	}
	return -1
}

func (h *tableHeader) columnAt(x float32) int {
	edge := float32(0)
	for i, w := range h.t.widths(h.Size().Width) {
		if edge += w; x < edge {
			return i
		}
	}
	return -1
}

func (h *tableHeader) MouseDown(ev *desktop.MouseEvent) {
	h.grip, h.moved = h.boundaryAt(ev.Position.X), false
}
func (h *tableHeader) MouseUp(*desktop.MouseEvent) {}

func (h *tableHeader) Tapped(ev *fyne.PointEvent) {
	if h.grip < 0 && !h.moved {
		h.t.SortBy(h.columnAt(ev.Position.X))
	}
	FocusOn(h.t)
}

// TappedSecondary is called by Fyne.
func (h *tableHeader) TappedSecondary(ev *fyne.PointEvent) {
	if h.t.OnHeaderMenu != nil {
		h.t.OnHeaderMenu(ev.AbsolutePosition)
	}
}

// Dragged moves a boundary: what one neighbour wins the other loses, so the line stays under the mouse.
func (h *tableHeader) Dragged(ev *fyne.DragEvent) {
	if h.grip < 0 || h.grip+1 >= len(h.t.columns) {
		return
	}
	h.moved = true
	widths := h.t.widths(h.Size().Width)
	left, right := &h.t.columns[h.grip], &h.t.columns[h.grip+1]
	dx := clamp(ev.Dragged.DX, left.min()-widths[h.grip], widths[h.grip+1]-right.min())
	left.Width, right.Width = widths[h.grip]+dx, widths[h.grip+1]-dx
	h.Refresh()
	h.t.body.update(true)
}

func (h *tableHeader) DragEnd() {
	h.grip = -1
	if h.moved && h.t.OnResized != nil {
		h.t.OnResized()
	}
	h.moved = false
	FocusOn(h.t)
}

func (h *tableHeader) Cursor() desktop.Cursor {
	if h.over >= 0 || h.grip >= 0 && h.moved {
		return desktop.HResizeCursor
	}
	return desktop.DefaultCursor
}
func (h *tableHeader) MouseIn(ev *desktop.MouseEvent)    { h.MouseMoved(ev) }
func (h *tableHeader) MouseMoved(ev *desktop.MouseEvent) { h.hover(h.boundaryAt(ev.Position.X), true) }
func (h *tableHeader) MouseOut()                         { h.hover(-1, false) }

func (h *tableHeader) hover(boundary int, inside bool) {
	h.over = boundary
	for i, g := range h.grips {
		hidden := !inside || i >= len(h.t.columns)-1
		if g.Hidden != hidden {
			g.Hidden = hidden
			g.Refresh()
		}
	}
}

func (h *tableHeader) CreateRenderer() fyne.WidgetRenderer {
	h.back = canvas.NewRectangle(colorTransparent)
	h.line = canvas.NewRectangle(colorTransparent)
	h.sort = canvas.NewImageFromResource(IconColored(IconTriangleUp, ColorMuted))
	h.sort.FillMode = canvas.ImageFillContain
	r := &headerRenderer{h}
	r.Refresh()
	return r
}

type headerRenderer struct{ h *tableHeader }

func (r *headerRenderer) IsClip() {}

func (r *headerRenderer) Layout(size fyne.Size) {
	h := r.h
	h.back.Resize(size)
	h.line.Move(fyne.NewPos(0, size.Height-1))
	h.line.Resize(fyne.NewSize(size.Width, 1))
	widths := h.t.widths(size.Width)
	h.sort.Hide()
	edge := float32(0)
	for i, c := range h.t.columns {
		x, w := cellSpan(widths, i)
		edge += widths[i]
		sorted := i == h.t.sortCol
		room := w
		if sorted {
			room -= 15
		}
		text := h.titles[i]
		text.Text = h.t.ellipsis.fit(c.Title, room, CaptionSize, fyne.TextStyle{})
		min := text.MinSize()
		tx := x
		switch {
		case c.Align == fyne.TextAlignTrailing && sorted:
			tx = x + w - min.Width - 15
		case c.Align == fyne.TextAlignTrailing:
			tx = x + w - min.Width
		case c.Align == fyne.TextAlignCenter:
			tx = x + (w-min.Width)/2
		}
		text.Move(fyne.NewPos(tx, (size.Height-min.Height)/2))
		text.Resize(min)
		if sorted && w > 0 {
			h.sort.Move(fyne.NewPos(tx+min.Width+4, (size.Height-11)/2))
			h.sort.Resize(fyne.NewSquareSize(11))
			h.sort.Show()
		}
		h.grips[i].Move(fyne.NewPos(edge-0.5, 5))
		h.grips[i].Resize(fyne.NewSize(1, size.Height-10))
	}
}

func (r *headerRenderer) Refresh() {
	h := r.h
	for len(h.titles) < len(h.t.columns) {
		h.titles = append(h.titles, canvas.NewText("", colorTransparent))
		g := canvas.NewRectangle(colorTransparent)
		g.Hide()
		h.grips = append(h.grips, g)
	}
	h.back.FillColor = Color(theme.ColorNameBackground)
	h.line.FillColor = Color(ColorPanelBorder)
	for i, t := range h.titles {
		t.Hidden = i >= len(h.t.columns)
		t.TextSize = CaptionSize
		t.Color = Color(ColorMuted)
		h.grips[i].FillColor = Color(ColorOutline)
		if i == h.t.sortCol {
			t.Color = Color(theme.ColorNameForeground)
		}
	}
	icon := IconTriangleUp
	if h.t.sortDesc {
		icon = IconTriangleDown
	}
	h.sort.Resource = IconColored(icon, ColorMuted)
	h.sort.Refresh()
	r.Layout(h.Size())
	canvas.Refresh(h)
}
func (r *headerRenderer) MinSize() fyne.Size { return fyne.NewSize(40, RowHeight) }
func (r *headerRenderer) Destroy()           {}
func (r *headerRenderer) Objects() []fyne.CanvasObject {
	objects := []fyne.CanvasObject{r.h.back}
	for i, t := range r.h.titles {
		objects = append(objects, t, r.h.grips[i])
	}
	return append(objects, r.h.sort, r.h.line)
}

// scrollBar is a table's vertical scroll bar: a thumb that can be dragged, nothing else.
type scrollBar struct {
	widget.BaseWidget
	moved                func(offset float32)
	taken                func() // at both ends of a click or a drag, which Fyne takes the keyboard for
	offset, view, length float32
	hovered, held        bool
	thumb                *canvas.Rectangle
}

var (
	_ fyne.Draggable    = (*scrollBar)(nil)
	_ desktop.Hoverable = (*scrollBar)(nil)
	_ desktop.Mouseable = (*scrollBar)(nil)
)

func (s *scrollBar) set(offset, view, length float32) {
	s.offset, s.view, s.length = offset, view, length
	s.Hidden = length <= view
	s.place()
}

func (s *scrollBar) thumbSpan() (y, h float32) {
	track := s.Size().Height - 4
	h = min(track, max(24, track*s.view/max(s.length, 1)))
	if s.length > s.view {
		y = (track - h) * s.offset / (s.length - s.view)
	}
	return y + 2, h
}

func (s *scrollBar) place() {
	if s.thumb == nil {
		return
	}
	width := float32(4)
	if s.hovered || s.held {
		width = 7
	}
	y, h := s.thumbSpan()
	s.thumb.Move(fyne.NewPos(s.Size().Width-width-1, y))
	s.thumb.Resize(fyne.NewSize(width, h))
	s.thumb.CornerRadius = width / 2
	s.thumb.FillColor = Color(theme.ColorNameScrollBar)
	s.thumb.Refresh()
}

func (s *scrollBar) MouseIn(*desktop.MouseEvent)    { s.hovered = true; s.place() }
func (s *scrollBar) MouseMoved(*desktop.MouseEvent) {}
func (s *scrollBar) MouseOut()                      { s.hovered = false; s.place() }

// MouseDown beside the thumb goes a page.
func (s *scrollBar) MouseDown(ev *desktop.MouseEvent) {
	s.taken()
	y, h := s.thumbSpan()
	switch {
	case ev.Position.Y < y:
		s.moved(s.offset - s.view)
	case ev.Position.Y > y+h:
		s.moved(s.offset + s.view)
	}
}
func (s *scrollBar) MouseUp(*desktop.MouseEvent) {}
func (s *scrollBar) Dragged(ev *fyne.DragEvent) {
	_, h := s.thumbSpan()
	track := s.Size().Height - 4 - h
	if track <= 0 {
		return
	}
	s.held = true
	s.moved(clamp(s.offset+ev.Dragged.DY*(s.length-s.view)/track, 0, s.length-s.view))
}
func (s *scrollBar) DragEnd() { s.held = false; s.place(); s.taken() }

func (s *scrollBar) CreateRenderer() fyne.WidgetRenderer {
	s.thumb = canvas.NewRectangle(colorTransparent)
	s.place()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{s.thumb},
		layout:  func(fyne.Size) { s.place() },
		min:     func() fyne.Size { return fyne.NewSize(scrollBarWidth, 24) },
		refresh: s.place,
	}
}

// simpleRenderer is a renderer of functions, for widgets with a fixed list of parts.
type simpleRenderer struct {
	objects []fyne.CanvasObject
	layout  func(fyne.Size)
	min     func() fyne.Size
	refresh func()
}

func (r *simpleRenderer) Layout(s fyne.Size)           { r.layout(s) }
func (r *simpleRenderer) MinSize() fyne.Size           { return r.min() }
func (r *simpleRenderer) Objects() []fyne.CanvasObject { return r.objects }
func (r *simpleRenderer) Destroy()                     {}
func (r *simpleRenderer) Refresh() {
	r.refresh()
	for _, o := range r.objects {
		o.Refresh()
	}
}
