package kit

import (
	"slices"
	"strings"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// Sizes of a menu.
const (
	menuRow     float32 = 26
	menuLine    float32 = 9  // a separator's height
	menuEdge    float32 = 4  // above the first row and below the last
	menuPad     float32 = 10 // left and right in a row
	menuSign    float32 = 16
	menuSignGap float32 = 8
	menuKeyGap  float32 = 28 // the least room between a title and its key
	menuMin     float32 = 120
	menuSpare   float32 = 4 // to the window's edge
)

// ShowMenu shows a context menu over o at an absolute position.
//
// The menu is ours and not Fyne's, which writes keys too faintly to be read, skips no disabled item, and lets the titles
// stand apart by whether there is a sign before them.
func ShowMenu(o fyne.CanvasObject, menu *fyne.Menu, at fyne.Position) {
	if c := canvasOf(o); c != nil && len(menu.Items) > 0 {
		openMenu(c, menu, menuPlace{at: at})
	}
}

// showMenuBelow shows a menu under o, or above it where there is more room.
func showMenuBelow(o fyne.CanvasObject, menu *fyne.Menu) *menuLayer {
	c := canvasOf(o)
	if c == nil || len(menu.Items) == 0 {
		return nil
	}
	top := fyne.CurrentApp().Driver().AbsolutePositionForObject(o)
	return openMenu(c, menu, menuPlace{at: top.AddXY(0, o.Size().Height+2), above: top.Y - 2, width: o.Size().Width})
}

// menuPlace is where a menu is wanted.
type menuPlace struct {
	at    fyne.Position
	above float32 // where its lower edge may be instead; 0: nowhere
	left  float32 // where its right edge may be instead; 0: nowhere
	width float32 // the least width
}

// menuLayer covers the window while a menu is open: it has the keyboard, and a click beside the menu closes it.
type menuLayer struct {
	widget.BaseWidget
	canvas fyne.Canvas
	panels []*menuPanel // the menu, and what is open of its submenus
	space  blank
	aim    menuAim
}

var (
	_ fyne.Focusable         = (*menuLayer)(nil)
	_ fyne.Tappable          = (*menuLayer)(nil)
	_ fyne.SecondaryTappable = (*menuLayer)(nil)
	_ fyne.Shortcutable      = (*menuLayer)(nil)
)

func openMenu(c fyne.Canvas, menu *fyne.Menu, at menuPlace) *menuLayer {
	l := &menuLayer{canvas: c, aim: menuAim{after: afterPause}}
	l.ExtendBaseWidget(l)
	l.Resize(c.Size())
	l.push(menu, at)
	hideTips(c)
	c.Overlays().Add(l)
	l.Resize(c.Size())
	c.Focus(l)
	return l
}

func (l *menuLayer) push(menu *fyne.Menu, at menuPlace) *menuPanel {
	p := newMenuPanel(l, menu)
	p.at = at
	l.panels = append(l.panels, p)
	p.place(at, l.canvas.Size())
	l.Refresh()
	return p
}

// closeAbove closes the submenus that were opened from p.
func (l *menuLayer) closeAbove(p *menuPanel) {
	if i := slices.Index(l.panels, p); l.submenu(p) != nil {
		l.panels = l.panels[:i+1]
		l.Refresh()
	}
}

func (l *menuLayer) close() {
	l.aim.stop()
	l.canvas.Overlays().Remove(l)
}

func (l *menuLayer) top() *menuPanel { return l.panels[len(l.panels)-1] }

// FocusGained is called by Fyne.
func (l *menuLayer) FocusGained() {}

// FocusLost is called by Fyne.
func (l *menuLayer) FocusLost() {}

// Tapped is called by Fyne.
func (l *menuLayer) Tapped(*fyne.PointEvent) { l.close() }

// TappedSecondary is called by Fyne.
func (l *menuLayer) TappedSecondary(*fyne.PointEvent) { l.close() }

// TypedShortcut is called by Fyne. The window's commands wait until the menu is gone.
func (l *menuLayer) TypedShortcut(fyne.Shortcut) {}

// TypedRune goes to the next item that begins with r.
func (l *menuLayer) TypedRune(r rune) {
	p := l.top()
	if l.space.came(r) {
		l.runActive()
		return
	}
	for i := range p.rows {
		row := p.rows[(p.active+1+i+len(p.rows))%len(p.rows)]
		first := []rune(row.item.Label)
		if len(first) > 0 && unicode.ToLower(first[0]) == unicode.ToLower(r) && row.usable() {
			p.activate(row)
			return
		}
	}
}

// TypedKey is called by Fyne.
func (l *menuLayer) TypedKey(ev *fyne.KeyEvent) {
	l.aim.stop()
	p := l.top()
	switch ev.Name {
	case fyne.KeyEscape:
		l.close()
	case fyne.KeyDown:
		p.step(p.active, 1)
	case fyne.KeyUp:
		p.step(p.active, -1)
	case fyne.KeyHome, fyne.KeyPageUp:
		p.step(-1, 1)
	case fyne.KeyEnd, fyne.KeyPageDown:
		p.step(0, -1)
	case fyne.KeyRight:
		if p.active >= 0 && p.rows[p.active].item.ChildMenu != nil {
			l.run(p.rows[p.active])
		}
	case fyne.KeyLeft:
		if len(l.panels) > 1 {
			l.closeAbove(l.panels[len(l.panels)-2])
		}
	case fyne.KeyReturn, fyne.KeyEnter:
		l.runActive()
	case fyne.KeySpace:
		l.space.expect()
	}
}

func (l *menuLayer) runActive() {
	if p := l.top(); p.active >= 0 {
		l.run(p.rows[p.active])
	}
}

// run does what a row is for, or opens its submenu with the first item chosen.
func (l *menuLayer) run(row *menuRowItem) {
	if !row.usable() {
		return
	}
	if row.item.ChildMenu != nil {
		row.panel.open(row).step(-1, 1)
		return
	}
	l.close()
	if row.item.Action != nil {
		row.item.Action()
	}
}

// CreateRenderer is called by Fyne.
func (l *menuLayer) CreateRenderer() fyne.WidgetRenderer { return &menuLayerRenderer{l} }

type menuLayerRenderer struct{ l *menuLayer }

// Layout keeps the menu inside a window that changes its size.
func (r *menuLayerRenderer) Layout(s fyne.Size) {
	for _, p := range r.l.panels {
		p.place(p.at, s)
	}
}
func (r *menuLayerRenderer) MinSize() fyne.Size { return fyne.NewSize(0, 0) }
func (r *menuLayerRenderer) Refresh() {
	for _, p := range r.l.panels {
		p.Refresh()
	}
	canvas.Refresh(r.l)
}
func (r *menuLayerRenderer) Destroy() {}
func (r *menuLayerRenderer) Objects() []fyne.CanvasObject {
	out := make([]fyne.CanvasObject, len(r.l.panels))
	for i, p := range r.l.panels {
		out[i] = p
	}
	return out
}

// menuPanel is one box of items.
type menuPanel struct {
	widget.BaseWidget
	layer  *menuLayer
	at     menuPlace
	rows   []*menuRowItem // without separators
	list   *fyne.Container
	scroll *container.Scroll
	active int // the row that Enter runs; -1: none
	signs  bool
	arrows bool
	back   *canvas.Rectangle
}

func newMenuPanel(l *menuLayer, menu *fyne.Menu) *menuPanel {
	p := &menuPanel{layer: l, active: -1, list: VBox(0)}
	p.ExtendBaseWidget(p)
	for _, item := range menu.Items {
		if item.IsSeparator {
			p.list.Add(Pad((menuLine-1)/2, 0, (menuLine-1)/2, 0, NewSeparator()))
			continue
		}
		row := &menuRowItem{panel: p, item: item, index: len(p.rows)}
		row.ExtendBaseWidget(row)
		p.rows = append(p.rows, row)
		p.list.Add(row)
		p.signs = p.signs || item.Icon != nil || item.Checked
		p.arrows = p.arrows || item.ChildMenu != nil
	}
	p.scroll = container.NewVScroll(p.list)
	return p
}

// place gives the panel its size and finds it a place inside the window.
func (p *menuPanel) place(at menuPlace, window fyne.Size) {
	size := p.list.MinSize().AddWidthHeight(0, 2*menuEdge)
	size.Width = min(max(size.Width, at.width, menuMin), window.Width-2*menuSpare)
	size.Height = min(size.Height, window.Height-2*menuSpare)
	x, y := at.at.X, at.at.Y
	if x+size.Width > window.Width-menuSpare && at.left > 0 {
		x = at.left - size.Width
	}
	if y+size.Height > window.Height-menuSpare && at.above >= size.Height+menuSpare {
		y = at.above - size.Height
	}
	p.Resize(size)
	p.Move(fyne.NewPos(clamp(x, menuSpare, window.Width-menuSpare-size.Width), clamp(y, menuSpare, window.Height-menuSpare-size.Height)))
}

// step makes the next usable row from the one numbered from on the active one, round the ends.
func (p *menuPanel) step(from, by int) {
	if from < 0 && by < 0 {
		from = 0
	}
	for range p.rows {
		from = (from + by + len(p.rows)) % len(p.rows)
		if p.rows[from].usable() {
			p.activate(p.rows[from])
			return
		}
	}
}

func (p *menuPanel) activate(row *menuRowItem) {
	p.layer.closeAbove(p)
	before := p.active
	p.active = row.index
	if before >= 0 {
		p.rows[before].Refresh()
	}
	row.Refresh()
	top, view := row.Position().Y, p.scroll.Size().Height
	switch y := p.scroll.Offset.Y; {
	case top < y:
		p.scroll.ScrollToOffset(fyne.NewPos(0, top))
	case top+menuRow > y+view:
		p.scroll.ScrollToOffset(fyne.NewPos(0, top+menuRow-view))
	}
}

// open shows the submenu of a row beside it.
func (p *menuPanel) open(row *menuRowItem) *menuPanel {
	p.activate(row)
	at := p.Position().AddXY(p.Size().Width-2, row.Position().Y-p.scroll.Offset.Y)
	return p.layer.push(row.item.ChildMenu, menuPlace{at: at, left: p.Position().X + 2})
}

// Tapped holds clicks between the rows back from the layer.
func (p *menuPanel) Tapped(*fyne.PointEvent) {}

// TappedSecondary is called by Fyne.
func (p *menuPanel) TappedSecondary(*fyne.PointEvent) {}

func (p *menuPanel) paint() {
	p.back.FillColor, p.back.StrokeColor = Color(theme.ColorNameMenuBackground), Color(ColorPanelBorder)
	p.back.StrokeWidth, p.back.CornerRadius = 1, Radius
	p.back.Shadow = canvas.Shadow{Color: Color(theme.ColorNameShadow), BlurRadius: 8, Offset: fyne.NewPos(0, 2)}
}

// CreateRenderer is called by Fyne.
func (p *menuPanel) CreateRenderer() fyne.WidgetRenderer {
	p.back = canvas.NewRectangle(colorTransparent)
	p.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{p.back, p.scroll},
		layout: func(s fyne.Size) {
			p.back.Resize(s)
			p.scroll.Move(fyne.NewPos(0, menuEdge))
			p.scroll.Resize(s.SubtractWidthHeight(0, 2*menuEdge))
		},
		min: func() fyne.Size { return fyne.NewSize(menuMin, menuRow) }, refresh: p.paint,
	}
}

// menuRowItem is one item. The right button does nothing there: Fyne hands a right click that closes something on to what
// lies below.
type menuRowItem struct {
	widget.BaseWidget
	panel       *menuPanel
	item        *fyne.MenuItem
	index       int
	back        *canvas.Rectangle
	sign, arrow *canvas.Image
	title, key  *canvas.Text
}

var (
	_ fyne.Tappable     = (*menuRowItem)(nil)
	_ desktop.Hoverable = (*menuRowItem)(nil)
)

func (r *menuRowItem) usable() bool { return !r.item.Disabled }

// Tapped is called by Fyne.
func (r *menuRowItem) Tapped(*fyne.PointEvent) { r.panel.layer.run(r) }

// MouseIn is called by Fyne.
func (r *menuRowItem) MouseIn(ev *desktop.MouseEvent) { r.panel.layer.hover(r, ev.AbsolutePosition) }

// MouseMoved is called by Fyne.
func (r *menuRowItem) MouseMoved(ev *desktop.MouseEvent) {
	if l := r.panel.layer; l.aim.passed == r {
		l.hover(r, ev.AbsolutePosition)
	} else {
		l.aim.moved(ev.AbsolutePosition)
	}
}

// MouseOut is called by Fyne.
func (r *menuRowItem) MouseOut() {
	if l := r.panel.layer; l.aim.passed == r {
		l.aim.stop()
	}
}

// takeUp makes the row the active one, with its submenu open.
func (r *menuRowItem) takeUp() {
	switch {
	case !r.usable():
	case r.item.ChildMenu != nil:
		if r.panel.active != r.index || r.panel.layer.top() == r.panel {
			r.panel.open(r)
		}
	default:
		r.panel.activate(r)
	}
}

// AccessibilityLabel names the item for screen readers.
func (r *menuRowItem) AccessibilityLabel() string { return r.item.Label }

// AccessibilityRole says what it is.
func (r *menuRowItem) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

// titleX is where titles begin: after the signs, where one item has one.
func (r *menuRowItem) titleX() float32 {
	if r.panel.signs {
		return menuPad + menuSign + menuSignGap
	}
	return menuPad + 2
}

func (r *menuRowItem) minSize() fyne.Size {
	w := r.titleX() + r.title.MinSize().Width + menuPad + 2
	if r.key.Text != "" {
		w += menuKeyGap + r.key.MinSize().Width
	}
	if r.panel.arrows {
		w += trailingIcon + menuSignGap
	}
	return fyne.NewSize(w, menuRow)
}

func (r *menuRowItem) layout(s fyne.Size) {
	r.back.Move(fyne.NewPos(4, 0))
	r.back.Resize(s.SubtractWidthHeight(8, 0))
	r.sign.Move(fyne.NewPos(menuPad, (s.Height-menuSign)/2))
	r.sign.Resize(fyne.NewSquareSize(menuSign))
	r.arrow.Move(fyne.NewPos(s.Width-menuPad-trailingIcon, (s.Height-trailingIcon)/2))
	r.arrow.Resize(fyne.NewSquareSize(trailingIcon))
	right := s.Width - menuPad - 2
	if r.panel.arrows {
		right -= trailingIcon + menuSignGap
	}
	m := r.title.MinSize()
	r.title.Move(fyne.NewPos(r.titleX(), (s.Height-m.Height)/2))
	r.title.Resize(m)
	k := r.key.MinSize()
	r.key.Move(fyne.NewPos(right-k.Width, (s.Height-k.Height)/2))
	r.key.Resize(k)
}

func (r *menuRowItem) paint() {
	on := r.panel.active == r.index
	ink, faint := theme.ColorNameForeground, ColorMuted
	r.back.Hidden = !on
	r.back.FillColor, r.back.CornerRadius = Color(ColorRowSelected), Radius
	switch {
	case !r.usable():
		ink, faint = theme.ColorNameDisabled, theme.ColorNameDisabled
	case on:
		faint = ColorMutedSelected
	}
	r.title.Text, r.title.TextSize, r.title.Color = r.item.Label, TextSize, Color(ink)
	r.key.TextSize, r.key.Color = CaptionSize, Color(faint)
	setIcon(r.arrow, "", ink)
	if r.item.ChildMenu != nil {
		setIcon(r.arrow, IconChevronRight, ink)
	}
	r.paintSign(ink)
}

func (r *menuRowItem) paintSign(ink fyne.ThemeColorName) {
	r.sign.Translucency = 0
	ours, is := r.item.Icon.(*iconResource)
	switch {
	case r.item.Checked:
		setIcon(r.sign, IconCheck, ink)
	case is && (!r.usable() || ours.color == theme.ColorNameForeground):
		setIcon(r.sign, ours.name, ink)
	default:
		r.sign.Hidden, r.sign.Resource = r.item.Icon == nil, r.item.Icon
	}
	if !r.usable() {
		r.sign.Translucency = 0.55
	}
}

// CreateRenderer is called by Fyne.
func (r *menuRowItem) CreateRenderer() fyne.WidgetRenderer {
	r.back, r.sign, r.arrow = canvas.NewRectangle(colorTransparent), newIcon(), newIcon()
	r.title, r.key = canvas.NewText("", colorTransparent), canvas.NewText("", colorTransparent)
	if s, ok := r.item.Shortcut.(fyne.KeyboardShortcut); ok {
		r.key.Text = shortcutLabel(s)
	}
	r.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{r.back, r.sign, r.title, r.key, r.arrow},
		layout:  r.layout, min: r.minSize, refresh: func() { r.paint(); r.layout(r.Size()) },
	}
}

// keyLabels are the keys whose names Fyne writes differently.
var keyLabels = map[fyne.KeyName]string{
	fyne.KeyReturn: "Enter", fyne.KeyEnter: "Enter", fyne.KeyPageUp: "PgUp", fyne.KeyPageDown: "PgDn", fyne.KeyBackspace: "Backspace",
}

// shortcutLabel writes a shortcut as [KeyLabel] does.
func shortcutLabel(s fyne.KeyboardShortcut) string {
	var parts []string
	for _, m := range []struct {
		is   fyne.KeyModifier
		name string
	}{{fyne.KeyModifierShortcutDefault, "Ctrl"}, {fyne.KeyModifierAlt, "Alt"}, {fyne.KeyModifierShift, "Shift"}, {fyne.KeyModifierSuper, "Super"}} {
		if s.Mod()&m.is != 0 && (m.name != "Super" || fyne.KeyModifierShortcutDefault != fyne.KeyModifierSuper) {
			parts = append(parts, m.name)
		}
	}
	name := string(s.Key())
	if label, ok := keyLabels[s.Key()]; ok {
		name = label
	}
	return KeyLabel(strings.Join(append(parts, name), "+"))
}
