package channels

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"portside/ui/kit"
)

const (
	barWidth   = 10 // the strip at the right edge that the scroll bar takes
	barMinimum = 24 // the shortest thumb that is easy to hit
)

// row draws one row of a column. What it draws is made once and filled anew for each row that comes into sight.
type row interface {
	object() fyne.CanvasObject
	fill(i int, size fyne.Size, st rowState)
}

// rowState is what the person does with a row.
type rowState struct {
	chosen, hovered bool
	active          bool // the column has the keyboard
	cursor          bool // and this is its row
}

// column is a virtual list of rows of one height, of which only those in sight have objects. It is what [Diagram] and
// [Commands] have in common: scrolling, the end that it follows, the mouse, the keys, and the chosen rows. It
// acts on the press of a mouse button, as a second's hesitation between press and release would be taken for a drag.
type column struct {
	widget.BaseWidget

	height float32
	make   func() row
	chose  func(i int)       // the person chose row i (the cursor)
	menu   func() *fyne.Menu // for the secondary button and the menu key
	copy   func()
	moved  func() // it began or ceased to follow the end
	ranged bool   // Shift chooses more than one row

	count   int
	offset  float32
	follow  bool // it stays at the end when rows come
	anchor  int  // the chosen rows are those from anchor to cursor; -1: none
	cursor  int
	hovered int
	focused bool
	onBar   bool    // a drag moves the scroll bar
	grip    float32 // where the thumb was taken
	rows    []row
}

func newColumn(height float32, makeRow func() row) *column {
	c := &column{height: height, make: makeRow, follow: true, anchor: -1, cursor: -1, hovered: -1}
	c.ExtendBaseWidget(c)
	return c
}

// setCount changes how many rows there are, and moves the rows by shift rows, so that those in sight stay where they
// are when rows before them went away.
func (c *column) setCount(count, shift int) {
	c.count = count
	if shift != 0 {
		c.offset -= float32(shift) * c.height
	}
	if c.follow {
		c.offset = c.maxOffset()
	}
	c.clamp()
	c.Refresh()
}

// choose makes rows anchor to cursor the chosen ones without telling anybody. -1 chooses none.
func (c *column) choose(anchor, cursor int) {
	c.anchor, c.cursor = anchor, cursor
}

func (c *column) chosen() (first, last int, ok bool) {
	if c.cursor < 0 || c.cursor >= c.count || c.anchor < 0 {
		return 0, 0, false
	}
	return min(c.anchor, c.cursor), min(max(c.anchor, c.cursor), c.count-1), true
}

func (c *column) maxOffset() float32 { return max(0, float32(c.count)*c.height-c.Size().Height) }

func (c *column) clamp() { c.offset = min(max(c.offset, 0), c.maxOffset()) }

func (c *column) scrollTo(offset float32) {
	c.offset = offset
	c.clamp()
	c.setFollow(c.offset >= c.maxOffset()-1)
	c.Refresh()
}

func (c *column) setFollow(follow bool) {
	if follow == c.follow {
		return
	}
	c.follow = follow
	if c.moved != nil {
		c.moved()
	}
}

// toEnd goes to the end and stays there.
func (c *column) toEnd() { c.scrollTo(c.maxOffset()) }

// reveal scrolls as little as brings row i into sight.
func (c *column) reveal(i int) {
	top := float32(i) * c.height
	switch {
	case top < c.offset:
		c.scrollTo(top)
	case top+c.height > c.offset+c.Size().Height:
		c.scrollTo(top + c.height - c.Size().Height)
	}
}

func (c *column) rowAt(y float32) int {
	i := int((y + c.offset) / c.height)
	if y+c.offset < 0 || i >= c.count {
		return -1
	}
	return i
}

// pick is the person's choice of row i; extend keeps the other end of the range.
func (c *column) pick(i int, extend bool) {
	if c.count == 0 {
		return
	}
	i = min(max(i, 0), c.count-1)
	c.cursor = i
	if !extend || !c.ranged || c.anchor < 0 {
		c.anchor = i
	}
	c.reveal(i)
	c.setFollow(i == c.count-1) // a row that was chosen must not be carried away by those that come
	if c.chose != nil {
		c.chose(i)
	}
	c.Refresh()
}

// Scrolled moves the rows with the wheel.
func (c *column) Scrolled(e *fyne.ScrollEvent) { c.scrollTo(c.offset - e.Scrolled.DY) }

// MouseDown chooses the row, or takes the scroll bar.
func (c *column) MouseDown(e *desktop.MouseEvent) {
	c.takeFocus()
	thumb, length, ok := c.thumb()
	if c.onBar = ok && e.Position.X > c.Size().Width-barWidth; c.onBar {
		c.grip = e.Position.Y - thumb
		if c.grip < 0 || c.grip > length { // beside the thumb: it comes to the mouse
			c.grip = length / 2
			c.dragBar(e.Position.Y)
		}
		return
	}
	if e.Button == desktop.MouseButtonSecondary {
		c.pickForMenu(e.Position.Y)
	} else if i := c.rowAt(e.Position.Y); i >= 0 {
		c.pick(i, e.Modifier&fyne.KeyModifierShift != 0)
	}
}

// pickForMenu chooses the row at y unless it is among those that are chosen: the menu is for all of them.
func (c *column) pickForMenu(y float32) {
	i := c.rowAt(y)
	if first, last, ok := c.chosen(); i >= 0 && !(ok && i >= first && i <= last) {
		c.pick(i, false)
	}
}

// MouseUp ends what MouseDown began.
func (c *column) MouseUp(*desktop.MouseEvent) { c.onBar = false }

// Tapped is there so that a touch, and a click in a test, choose as well.
func (c *column) Tapped(e *fyne.PointEvent) {
	if i := c.rowAt(e.Position.Y); i >= 0 && i != c.cursor {
		c.pick(i, false)
	}
}

// TappedSecondary opens the menu of the row below the mouse. The click may have closed another menu: then MouseDown was not
// called.
func (c *column) TappedSecondary(e *fyne.PointEvent) {
	c.takeFocus()
	c.pickForMenu(e.Position.Y)
	c.showMenu(e.AbsolutePosition)
}

// Dragged moves the scroll bar, or chooses rows.
func (c *column) Dragged(e *fyne.DragEvent) {
	if c.onBar {
		c.dragBar(e.Position.Y)
		return
	}
	if !c.ranged || c.cursor < 0 {
		return
	}
	i := int((e.Position.Y + c.offset) / c.height)
	if i = min(max(i, 0), c.count-1); i != c.cursor {
		c.pick(i, true)
	}
}

// DragEnd ends a drag.
func (c *column) DragEnd() { c.onBar = false }

// thumb returns where the scroll bar's thumb begins and how long it is; ok is false when everything is in sight.
func (c *column) thumb() (top, length float32, ok bool) {
	most, h := c.maxOffset(), c.Size().Height
	if most <= 0 || h <= 0 {
		return 0, 0, false
	}
	length = min(max(barMinimum, h*h/(h+most)), h)
	return (h - length) * c.offset / most, length, true
}

func (c *column) dragBar(y float32) {
	if _, length, ok := c.thumb(); ok && c.Size().Height > length {
		c.scrollTo((y - c.grip) / (c.Size().Height - length) * c.maxOffset())
	}
}

// MouseIn follows the mouse.
func (c *column) MouseIn(e *desktop.MouseEvent) { c.hover(c.rowAt(e.Position.Y)) }

// MouseMoved follows the mouse.
func (c *column) MouseMoved(e *desktop.MouseEvent) { c.hover(c.rowAt(e.Position.Y)) }

// MouseOut follows the mouse.
func (c *column) MouseOut() { c.hover(-1) }

func (c *column) hover(i int) {
	if i != c.hovered {
		c.hovered = i
		c.Refresh()
	}
}

func (c *column) takeFocus() {
	if !c.focused {
		kit.FocusOn(c)
	}
}

// FocusGained shows where the keyboard is.
func (c *column) FocusGained() { c.focused = true; c.Refresh() }

// FocusLost is the opposite of FocusGained.
func (c *column) FocusLost() { c.focused = false; c.Refresh() }

// TypedRune does nothing: letters are not keys here.
func (c *column) TypedRune(rune) {}

// TypedKey moves the choice.
func (c *column) TypedKey(e *fyne.KeyEvent) {
	page, mods := max(1, int(c.Size().Height/c.height)-1), modifiers()
	extend := mods&fyne.KeyModifierShift != 0
	switch e.Name {
	case fyne.KeyUp:
		if c.cursor < 0 {
			c.pick(c.count-1, false)
			return
		}
		c.pick(c.cursor-1, extend)
	case fyne.KeyDown:
		c.pick(c.cursor+1, extend)
	case fyne.KeyPageUp:
		c.pick(c.cursor-page, extend)
	case fyne.KeyPageDown:
		c.pick(c.cursor+page, extend)
	case fyne.KeyHome:
		c.pick(0, extend)
	case fyne.KeyEnd:
		c.pick(c.count-1, extend)
	case desktop.KeyMenu:
		c.menuAtCursor()
	case fyne.KeyF10:
		if extend {
			c.menuAtCursor()
			return
		}
		c.pass(e)
	default:
		c.pass(e)
	}
}

// pass hands a key that a column has no use for to the window.
func (c *column) pass(e *fyne.KeyEvent) {
	if fc := fyne.CurrentApp().Driver().CanvasForObject(c); fc != nil && fc.OnTypedKey() != nil {
		fc.OnTypedKey()(e)
	}
}

// TypedShortcut copies and chooses everything; what else there is belongs to the window.
func (c *column) TypedShortcut(s fyne.Shortcut) {
	switch s.(type) {
	case *fyne.ShortcutCopy:
		if c.copy != nil {
			c.copy()
		}
		return
	case *fyne.ShortcutSelectAll:
		if c.ranged && c.count > 0 {
			c.anchor, c.cursor = 0, c.count-1
			c.Refresh()
		}
		return
	}
	if fc, ok := fyne.CurrentApp().Driver().CanvasForObject(c).(fyne.Shortcutable); ok {
		fc.TypedShortcut(s)
	}
}

func (c *column) menuAtCursor() {
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(c)
	y := min(max((float32(c.cursor)+0.5)*c.height-c.offset, 0), c.Size().Height)
	c.showMenu(at.AddXY(c.Size().Width/3, y))
}

func (c *column) showMenu(at fyne.Position) {
	if c.menu == nil {
		return
	}
	if m := c.menu(); m != nil {
		kit.ShowMenu(c, m, at)
	}
}

// modifiers returns the keys that are held now. A driver that is not a desktop's has none.
func modifiers() fyne.KeyModifier {
	if d, ok := fyne.CurrentApp().Driver().(desktop.Driver); ok {
		return d.CurrentKeyModifiers()
	}
	return 0
}

// CreateRenderer implements [fyne.Widget].
func (c *column) CreateRenderer() fyne.WidgetRenderer {
	return &columnRenderer{c: c, bar: &canvas.Rectangle{CornerRadius: 3}}
}

type columnRenderer struct {
	c       *column
	bar     *canvas.Rectangle
	objects []fyne.CanvasObject
}

func (r *columnRenderer) MinSize() fyne.Size           { return fyne.NewSize(80, r.c.height*2) }
func (r *columnRenderer) Objects() []fyne.CanvasObject { return r.objects }
func (r *columnRenderer) Destroy()                     {}

func (r *columnRenderer) Layout(fyne.Size) {
	if r.c.follow {
		r.c.offset = r.c.maxOffset()
	}
	r.c.clamp()
	r.place()
}

func (r *columnRenderer) Refresh() {
	r.place()
	canvas.Refresh(r.c)
}

// place gives the rows in sight their objects.
func (r *columnRenderer) place() {
	c, size := r.c, r.c.Size()
	if size.Width <= 0 || size.Height <= 0 {
		return
	}
	first := int(c.offset / c.height)
	n := min(int(size.Height/c.height)+2, c.count-first)
	for len(c.rows) < n {
		c.rows = append(c.rows, c.make())
	}
	lo, hi, any := c.chosen()
	r.objects = r.objects[:0]
	rowSize := fyne.NewSize(size.Width, c.height)
	for k := range n {
		i, one := first+k, c.rows[k]
		o := one.object()
		o.Move(fyne.NewPos(0, float32(i)*c.height-c.offset))
		o.Resize(rowSize)
		one.fill(i, rowSize, rowState{
			chosen: any && i >= lo && i <= hi, hovered: i == c.hovered, active: c.focused, cursor: c.focused && i == c.cursor,
		})
		r.objects = append(r.objects, o)
	}
	if top, length, ok := c.thumb(); ok {
		r.bar.FillColor = kit.Color(theme.ColorNameScrollBar)
		r.bar.Move(fyne.NewPos(size.Width-barWidth+2, top+2))
		r.bar.Resize(fyne.NewSize(barWidth-4, length-4))
		r.objects = append(r.objects, r.bar)
	}
}
