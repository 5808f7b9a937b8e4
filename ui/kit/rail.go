package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// RailItem is a screen in the [Rail].
type RailItem struct {
	Title  string
	Icon   IconName
	Tip    string
	Bottom bool // stands at the bottom
}

// Rail is the column of screens at the left of the window. It is one stop of Tab; Up and Down go through it.
type Rail struct {
	widget.BaseWidget
	focusable
	OnSelected func(index int)

	items    []*railItem
	selected int
	back     *canvas.Rectangle
	line     *canvas.Rectangle
}

var (
	_ fyne.Focusable    = (*Rail)(nil)
	_ fyne.Shortcutable = (*Rail)(nil)
)

// NewRail returns a rail with the first item selected.
func NewRail(items ...RailItem) *Rail {
	r := &Rail{}
	r.self = r
	for i, it := range items {
		item := &railItem{RailItem: it, rail: r, index: i}
		item.over, item.hoverable.Tip = item, it.Tip
		item.ExtendBaseWidget(item)
		r.items = append(r.items, item)
	}
	r.ExtendBaseWidget(r)
	return r
}

// Selected returns the index of the selected item.
func (r *Rail) Selected() int { return r.selected }

// Select selects an item and tells OnSelected when that is news.
func (r *Rail) Select(index int) {
	if index < 0 || index >= len(r.items) || index == r.selected {
		return
	}
	old := r.selected
	r.selected = index
	r.items[old].Refresh()
	r.items[index].Refresh()
	if r.OnSelected != nil {
		r.OnSelected(index)
	}
}

// TypedKey is called by Fyne.
func (r *Rail) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyUp:
		r.Select(r.selected - 1)
	case fyne.KeyDown:
		r.Select(r.selected + 1)
	case fyne.KeyHome:
		r.Select(0)
	case fyne.KeyEnd:
		r.Select(len(r.items) - 1)
	default:
		passKey(r, ev)
	}
}

// CreateRenderer is called by Fyne.
func (r *Rail) CreateRenderer() fyne.WidgetRenderer {
	r.back, r.line = canvas.NewRectangle(colorTransparent), canvas.NewRectangle(colorTransparent)
	paint := func() {
		r.back.FillColor, r.line.FillColor = Color(ColorPanel), Color(ColorPanelBorder)
	}
	paint()
	objects := []fyne.CanvasObject{r.back, r.line}
	for _, it := range r.items {
		objects = append(objects, it)
	}
	return &simpleRenderer{
		objects: objects,
		layout: func(s fyne.Size) {
			r.back.Resize(s)
			r.line.Move(fyne.NewPos(s.Width-1, 0))
			r.line.Resize(fyne.NewSize(1, s.Height))
			top, bottom := float32(10), s.Height-railItemHeight-6
			for _, it := range r.items {
				y := &top
				step := railItemHeight + 4
				if it.Bottom {
					y, step = &bottom, -step
				}
				it.Move(fyne.NewPos(6, *y))
				it.Resize(fyne.NewSize(s.Width-12, railItemHeight))
				*y += step
			}
		},
		min:     func() fyne.Size { return fyne.NewSize(RailWidth, float32(len(r.items))*(railItemHeight+4)+16) },
		refresh: paint,
	}
}

const railItemHeight float32 = 56

type railItem struct {
	widget.BaseWidget
	hoverable
	RailItem
	rail       *Rail
	index      int
	back, ring *canvas.Rectangle
	img        *canvas.Image
	label      *canvas.Text
}

var (
	_ fyne.Tappable     = (*railItem)(nil)
	_ desktop.Hoverable = (*railItem)(nil)
)

func (i *railItem) Tapped(*fyne.PointEvent)                { i.rail.Select(i.index) }
func (i *railItem) AccessibilityLabel() string             { return i.Title }
func (i *railItem) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

func (i *railItem) paint() {
	chosen := i.rail.selected == i.index
	ink := ColorMuted
	i.back.FillColor = colorTransparent
	switch {
	case chosen:
		ink = theme.ColorNameForeground
		i.back.FillColor = Color(ColorRowSelected)
	case i.hovered:
		ink = theme.ColorNameForeground
		i.back.FillColor = Color(theme.ColorNameHover)
	}
	i.back.CornerRadius, i.ring.CornerRadius = 6, 6
	setIcon(i.img, i.Icon, ink)
	i.label.Text, i.label.TextSize, i.label.Color = i.Title, CaptionSize-1, Color(ink)
	refreshRing(i.ring, chosen && i.rail.focused)
}

func (i *railItem) CreateRenderer() fyne.WidgetRenderer {
	i.back, i.ring = canvas.NewRectangle(colorTransparent), newRing()
	i.img, i.label = newIcon(), canvas.NewText("", colorTransparent)
	i.label.Alignment = fyne.TextAlignCenter
	i.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{i.back, i.img, i.label, i.ring},
		layout: func(s fyne.Size) {
			i.back.Resize(s)
			i.ring.Resize(s)
			i.img.Move(fyne.NewPos((s.Width-20)/2, 9))
			i.img.Resize(fyne.NewSquareSize(20))
			m := i.label.MinSize()
			i.label.Move(fyne.NewPos(0, 34))
			i.label.Resize(fyne.NewSize(s.Width, m.Height))
		},
		min: func() fyne.Size { return fyne.NewSize(RailWidth-12, railItemHeight) }, refresh: i.paint,
	}
}

// TabBar is a row of tabs with counts, and actions at the right. It is one stop of Tab; Left and Right go through it.
type TabBar struct {
	widget.BaseWidget
	focusable
	OnSelected func(index int)
	// OnTappedAgain is called for a click or Enter on the tab that is selected already, for instance to fold.
	OnTappedAgain func()

	tabs     []*tab
	actions  *fyne.Container
	selected int
	back     *canvas.Rectangle
	line     *canvas.Rectangle
}

var (
	_ fyne.Focusable    = (*TabBar)(nil)
	_ fyne.Shortcutable = (*TabBar)(nil)
)

// NewTabBar returns a bar with the first tab selected. actions stand at the right.
func NewTabBar(titles []string, actions ...fyne.CanvasObject) *TabBar {
	b := &TabBar{actions: HBox(Gap, actions...)}
	b.self = b
	for i, title := range titles {
		t := &tab{bar: b, index: i, title: title}
		t.over = t
		t.ExtendBaseWidget(t)
		b.tabs = append(b.tabs, t)
	}
	b.ExtendBaseWidget(b)
	return b
}

// Selected returns the index of the selected tab.
func (b *TabBar) Selected() int { return b.selected }

// Select selects a tab and tells OnSelected when that is news.
func (b *TabBar) Select(index int) {
	if index < 0 || index >= len(b.tabs) || index == b.selected {
		return
	}
	old := b.selected
	b.selected = index
	b.tabs[old].Refresh()
	b.tabs[index].Refresh()
	if b.OnSelected != nil {
		b.OnSelected(index)
	}
}

// Reserve keeps room beside a tab's title for a count as wide as this one, so that the tabs after it stay where they are.
func (b *TabBar) Reserve(index int, count string) {
	t := canvas.NewText(count, colorTransparent)
	t.TextSize = CaptionSize - 1
	b.tabs[index].room = pillWidth(t)
}

// SetCount shows a count beside a tab's title; empty: none.
func (b *TabBar) SetCount(index int, count string) {
	if t := b.tabs[index]; t.count != count {
		t.count = count
		t.Refresh()
		b.Refresh()
	}
}

// TypedKey is called by Fyne.
func (b *TabBar) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyLeft:
		b.Select(b.selected - 1)
	case fyne.KeyRight:
		b.Select(b.selected + 1)
	case fyne.KeySpace, fyne.KeyReturn, fyne.KeyEnter:
		if b.OnTappedAgain != nil {
			b.OnTappedAgain()
		}
	default:
		passKey(b, ev)
	}
}

// CreateRenderer is called by Fyne.
func (b *TabBar) CreateRenderer() fyne.WidgetRenderer {
	b.back, b.line = canvas.NewRectangle(colorTransparent), canvas.NewRectangle(colorTransparent)
	layout := func(s fyne.Size) {
		b.back.Resize(s)
		b.line.Move(fyne.NewPos(0, s.Height-1))
		b.line.Resize(fyne.NewSize(s.Width, 1))
		x := float32(6)
		for _, t := range b.tabs {
			m := t.MinSize()
			t.Move(fyne.NewPos(x, 0))
			t.Resize(fyne.NewSize(m.Width, s.Height))
			x += m.Width + 2
		}
		m := b.actions.MinSize()
		b.actions.Move(fyne.NewPos(s.Width-m.Width-6, (s.Height-1-m.Height)/2))
		b.actions.Resize(m)
	}
	paint := func() {
		b.back.FillColor, b.line.FillColor = Color(ColorPanel), Color(ColorPanelBorder)
		b.back.CornerRadius = CardRadius - 1
		layout(b.Size())
	}
	paint()
	objects := []fyne.CanvasObject{b.back, b.line}
	for _, t := range b.tabs {
		objects = append(objects, t)
	}
	return &simpleRenderer{
		objects: append(objects, b.actions), layout: layout, refresh: paint,
		min: func() fyne.Size {
			w := float32(12) + b.actions.MinSize().Width
			for _, t := range b.tabs {
				w += t.MinSize().Width + 2
			}
			return fyne.NewSize(w, TabHeight)
		},
	}
}

type tab struct {
	widget.BaseWidget
	hoverable
	bar               *TabBar
	index             int
	title, count      string
	room              float32 // what is kept for the count's pill
	under, ring, pill *canvas.Rectangle
	label, number     *canvas.Text
}

var (
	_ fyne.Tappable     = (*tab)(nil)
	_ desktop.Hoverable = (*tab)(nil)
)

func (t *tab) Tapped(*fyne.PointEvent) {
	if t.bar.selected == t.index {
		if t.bar.OnTappedAgain != nil {
			t.bar.OnTappedAgain()
		}
		return
	}
	t.bar.Select(t.index)
}
func (t *tab) AccessibilityLabel() string             { return t.title }
func (t *tab) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

// pillWidth is how wide the pill around a count is.
func pillWidth(number *canvas.Text) float32 { return max(18, number.MinSize().Width+12) }

// pillWidth is how wide the count's pill is; 0: there is none.
func (t *tab) pillWidth() float32 {
	if t.count == "" {
		return 0
	}
	return pillWidth(t.number)
}

// width is the tab's with a pill of this width.
func (t *tab) width(pill float32) float32 {
	w := 24 + t.label.MinSize().Width
	if pill > 0 {
		w += 6 + pill
	}
	return w
}

func (t *tab) minSize() fyne.Size {
	return fyne.NewSize(t.width(max(t.room, t.pillWidth())), TabHeight)
}

func (t *tab) layout(s fyne.Size) {
	m := t.label.MinSize()
	t.label.Move(fyne.NewPos(12, (s.Height-m.Height)/2))
	t.label.Resize(m)
	n := t.number.MinSize()
	pw := t.pillWidth()
	t.pill.Move(fyne.NewPos(18+m.Width, (s.Height-16)/2))
	t.pill.Resize(fyne.NewSize(pw, 16))
	t.number.Move(fyne.NewPos(18+m.Width+(pw-n.Width)/2, (s.Height-n.Height)/2))
	t.number.Resize(n)
	t.under.Move(fyne.NewPos(0, s.Height-2))
	t.under.Resize(fyne.NewSize(t.width(pw), 2))
	t.ring.Move(fyne.NewPos(2, 3))
	t.ring.Resize(fyne.NewSize(s.Width-4, s.Height-8))
}

func (t *tab) paint() {
	chosen := t.bar.selected == t.index
	ink := ColorMuted
	if chosen || t.hovered {
		ink = theme.ColorNameForeground
	}
	t.label.Text, t.label.TextSize, t.label.Color = t.title, TextSize, Color(ink)
	t.number.Text, t.number.TextSize, t.number.Color = t.count, CaptionSize-1, Color(ink)
	t.pill.Hidden, t.number.Hidden = t.count == "", t.count == ""
	t.pill.FillColor, t.pill.CornerRadius = Color(ColorChip), 8
	t.under.Hidden = !chosen
	t.under.FillColor = Color(theme.ColorNamePrimary)
	refreshRing(t.ring, chosen && t.bar.focused)
	t.layout(t.Size())
}

func (t *tab) CreateRenderer() fyne.WidgetRenderer {
	t.under, t.ring, t.pill = canvas.NewRectangle(colorTransparent), newRing(), canvas.NewRectangle(colorTransparent)
	t.label, t.number = canvas.NewText("", colorTransparent), canvas.NewText("", colorTransparent)
	t.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{t.pill, t.number, t.label, t.under, t.ring},
		layout:  t.layout, min: t.minSize, refresh: t.paint,
	}
}
