package kit

import (
	"image/color"
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// Entry is Fyne's entry that tells about Enter, Escape and losing the focus, and hands keys and shortcuts that it has no use
// for on to the window, so Ctrl+L or F5 work while typing.
type Entry struct {
	widget.Entry
	// OnEnter is called for Enter. Nil: the window (or the dialog around) gets the key.
	OnEnter func(text string)
	// OnEscape is called for Escape. Nil: the window (or the dialog around) gets the key.
	OnEscape func()
	// OnArrow is called for Up and Down, for a list of suggestions below.
	OnArrow func(down bool)
	// OnFocus tells that the entry got or lost the keyboard.
	OnFocus func(focused bool)
	// SelectOnFocus selects the text when the entry gets the keyboard by Tab or by a command.
	SelectOnFocus bool
	// Width is the least width; 0: Fyne's.
	Width float32
	// Page is what the wheel moves over the entry: the page that it stands on. Nil: nothing.
	Page fyne.Scrollable

	focused, invalid bool
	held             bool // the mouse button went down here and not up yet
}

// NewEntry returns a one line entry.
func NewEntry() *Entry {
	e := &Entry{}
	e.Wrapping = fyne.TextWrap(fyne.TextTruncateClip) // scrolls sideways, as Fyne's own constructor has it
	e.ExtendBaseWidget(e)
	return e
}

// NewPasswordEntry returns an entry that hides what is typed, with an eye that shows it.
func NewPasswordEntry() *Entry {
	e := NewEntry()
	e.Password = true
	e.ActionItem = newEye(e)
	return e
}

// showPassword shows or hides what is typed into a [NewPasswordEntry], as a click on its eye.
var showPassword = &desktop.CustomShortcut{KeyName: fyne.KeyV, Modifier: fyne.KeyModifierAlt}

// eye shows the password of its field. It can't have the focus: Tab has to lead from a password to the next field, where an
// Enter does not show it to everyone around. The key works in the field.
type eye struct {
	IconImage
	hoverable
	of    *Entry
	click clickFocus
}

var (
	_ fyne.Tappable      = (*eye)(nil)
	_ desktop.Mouseable  = (*eye)(nil)
	_ desktop.Hoverable  = (*eye)(nil)
	_ desktop.Cursorable = (*eye)(nil)
)

func newEye(of *Entry) *eye {
	i := &eye{of: of}
	i.Side, i.Color, i.over = 16, ColorMuted, i
	i.ExtendBaseWidget(i)
	i.tell()
	return i
}

func (i *eye) tell() {
	i.Icon, i.Tip = IconEye, "Show the password (Alt+V)"
	if !i.of.Password {
		i.Icon, i.Tip = IconEyeOff, "Hide the password (Alt+V)"
	}
}

// Tapped is called by Fyne.
func (i *eye) Tapped(*fyne.PointEvent) {
	i.click.restore(i)
	i.of.Password = !i.of.Password
	i.tell()
	i.Refresh()
	i.of.Refresh()
}

// MinSize is called by Fyne.
func (i *eye) MinSize() fyne.Size { return fyne.NewSize(28, InputHeight) }

// MouseDown is called by Fyne.
func (i *eye) MouseDown(*desktop.MouseEvent) { i.click.down(i) }

// MouseUp is called by Fyne.
func (i *eye) MouseUp(*desktop.MouseEvent) {}

// Cursor is called by Fyne.
func (i *eye) Cursor() desktop.Cursor { return desktop.DefaultCursor }

// AccessibilityLabel is called by Fyne.
func (i *eye) AccessibilityLabel() string { return i.Tip }

// AccessibilityRole is called by Fyne.
func (i *eye) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

// MinSize is called by Fyne.
func (e *Entry) MinSize() fyne.Size {
	e.ExtendBaseWidget(e)
	m := e.Entry.MinSize()
	if !e.MultiLine {
		m.Height = InputHeight
	}
	return fyne.NewSize(max(m.Width, e.Width), m.Height)
}

// SetText replaces the text. Fyne would keep the selection of the old one, and the first letter that is typed would be taken
// away with it; here everything stays selected that was.
func (e *Entry) SetText(text string) {
	selected := e.SelectedText()
	if selected != "" {
		all := selected == e.Text
		e.Entry.TypedKey(&fyne.KeyEvent{Name: fyne.KeyEnd})
		defer func() {
			if all && text != "" {
				e.SelectText()
			}
		}()
	}
	e.Entry.SetText(text)
}

// SelectText selects everything.
func (e *Entry) SelectText() { e.Entry.TypedShortcut(&fyne.ShortcutSelectAll{}) }

// FocusGained is called by Fyne.
func (e *Entry) FocusGained() {
	e.focused = true
	e.Entry.FocusGained()
	if e.SelectOnFocus && !e.held {
		e.SelectText()
	}
	e.held = false
	if e.OnFocus != nil {
		e.OnFocus(true)
	}
}

// FocusLost is called by Fyne.
func (e *Entry) FocusLost() {
	e.focused = false
	e.Entry.FocusLost()
	if e.SelectOnFocus && !e.MultiLine && !e.held { // of a text that is too long the beginning says more than the end
		e.Entry.TypedKey(&fyne.KeyEvent{Name: fyne.KeyHome})
	}
	if e.OnFocus != nil {
		e.OnFocus(false)
	}
}

func (e *Entry) shade(on bool) {
	e.focused = !on
	if on {
		e.Entry.FocusLost()
	} else {
		e.Entry.FocusGained()
	}
}

// TypedKey is called by Fyne.
func (e *Entry) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyReturn, fyne.KeyEnter:
		switch {
		case e.MultiLine:
			e.Entry.TypedKey(ev)
		case e.OnEnter != nil:
			e.OnEnter(e.Text)
		default:
			passKey(e, ev)
		}
	case fyne.KeyEscape:
		if e.OnEscape != nil {
			e.OnEscape()
			return
		}
		passKey(e, ev)
	case fyne.KeyUp, fyne.KeyDown:
		if e.OnArrow != nil {
			e.OnArrow(ev.Name == fyne.KeyDown)
			return
		}
		e.Entry.TypedKey(ev)
	case fyne.KeyF1, fyne.KeyF2, fyne.KeyF3, fyne.KeyF4, fyne.KeyF5, fyne.KeyF6, fyne.KeyF7, fyne.KeyF8,
		fyne.KeyF9, fyne.KeyF10, fyne.KeyF11, fyne.KeyF12:
		passKey(e, ev)
	default:
		e.Entry.TypedKey(ev)
	}
}

// TypedShortcut is called by Fyne.
func (e *Entry) TypedShortcut(s fyne.Shortcut) {
	if c, ok := s.(*desktop.CustomShortcut); ok {
		if i, ok := e.ActionItem.(*eye); ok && *c == *showPassword {
			i.Tapped(nil)
			return
		}
		editing := []fyne.KeyName{fyne.KeyLeft, fyne.KeyRight, fyne.KeyBackspace, fyne.KeyDelete}
		if !slices.Contains(editing, c.KeyName) || c.Modifier&fyne.KeyModifierAlt != 0 {
			passShortcut(e, s)
			return
		}
	}
	e.Entry.TypedShortcut(s)
}

// AcceptsTab is called by Fyne. Tab goes on to the next field, also from a field of several lines.
func (e *Entry) AcceptsTab() bool { return false }

// SetInvalid shows a red border, or the usual one. Say beside the field what is wrong.
func (e *Entry) SetInvalid(invalid bool) {
	if e.invalid != invalid {
		e.invalid = invalid
		e.Refresh()
	}
}

// entryInset is how much further from the border our entries begin than Fyne's.
const entryInset float32 = 3

// MouseDown is called by Fyne.
func (e *Entry) MouseDown(ev *desktop.MouseEvent) {
	ev.Position.X -= entryInset
	e.held = false
	e.Entry.MouseDown(ev)
	e.held = true
}

// MouseUp is called by Fyne, but not for a button that goes up elsewhere: Fyne takes the focus away then and gives it back at
// once, and what was selected up to there must stay so.
func (e *Entry) MouseUp(ev *desktop.MouseEvent) {
	e.held = false
	e.Entry.MouseUp(ev)
}

// Dragged is called by Fyne.
func (e *Entry) Dragged(ev *fyne.DragEvent) {
	ev.Position.X -= entryInset
	e.Entry.Dragged(ev)
}

// CreateRenderer is called by Fyne. Box and border are ours: Fyne's border lies between the pixels and looks dirty.
func (e *Entry) CreateRenderer() fyne.WidgetRenderer {
	e.ExtendBaseWidget(e)
	r := &entryRenderer{WidgetRenderer: e.Entry.CreateRenderer(), e: e, back: canvas.NewRectangle(colorTransparent), wheel: newEntryWheel(e)}
	if objects := r.WidgetRenderer.Objects(); !e.MultiLine && len(objects) > 2 {
		if scroll, ok := objects[2].(*container.Scroll); ok {
			hideBars(scroll)
		}
	}
	r.paint()
	return r
}

// hideBars takes the bars of a line's scroller away. The text in it is left out: Fyne reads all fonts once more for each
// text of another theme, several megabytes a field.
func hideBars(scroll *container.Scroll) {
	text := scroll.Content
	scroll.Content = canvas.NewRectangle(colorTransparent)
	container.NewThemeOverride(scroll, noBars{}) // it marks what is there now, and need not be kept
	scroll.Content = text
	scroll.Refresh()
}

// noBars is the program's theme without scroll bars and their shadows: a line that is longer than its field scrolls with the
// cursor, and a bar across a path hides its letters.
type noBars struct{}

func (noBars) theme() fyne.Theme { return fyne.CurrentApp().Settings().Theme() }

// Color is called by Fyne.
func (n noBars) Color(name fyne.ThemeColorName, v fyne.ThemeVariant) color.Color {
	if name == theme.ColorNameScrollBar || name == theme.ColorNameShadow {
		return colorTransparent
	}
	return n.theme().Color(name, v)
}

// Font is called by Fyne.
func (n noBars) Font(style fyne.TextStyle) fyne.Resource { return n.theme().Font(style) }

// Icon is called by Fyne.
func (n noBars) Icon(name fyne.ThemeIconName) fyne.Resource { return n.theme().Icon(name) }

// Size is called by Fyne.
func (n noBars) Size(name fyne.ThemeSizeName) float32 { return n.theme().Size(name) }

type entryRenderer struct {
	fyne.WidgetRenderer
	e     *Entry
	back  *canvas.Rectangle
	wheel *entryWheel
}

// entryWheel lies over the text, whose scroller would keep the wheel for itself, and lets all else through.
type entryWheel struct {
	widget.BaseWidget
	of *Entry
}

func newEntryWheel(of *Entry) *entryWheel {
	w := &entryWheel{of: of}
	w.ExtendBaseWidget(w)
	return w
}

// Scrolled is called by Fyne.
func (w *entryWheel) Scrolled(ev *fyne.ScrollEvent) { w.of.Page.Scrolled(ev) }

// CreateRenderer is called by Fyne.
func (w *entryWheel) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(canvas.NewRectangle(colorTransparent))
}

func (r *entryRenderer) paint() {
	r.back.FillColor, r.back.StrokeColor = Color(theme.ColorNameInputBackground), Color(ColorPanelBorder)
	switch {
	case r.e.invalid:
		r.back.StrokeColor = Color(ColorBad)
	case r.e.focused && !r.e.Disabled():
		r.back.StrokeColor = Color(theme.ColorNamePrimary)
	}
	r.back.StrokeWidth, r.back.CornerRadius = 1, Radius
	r.back.Refresh()
}

func (r *entryRenderer) Layout(size fyne.Size) {
	r.WidgetRenderer.Layout(size)
	r.back.Resize(size)
	r.wheel.Resize(size)
	if objects := r.WidgetRenderer.Objects(); len(objects) > 2 { // box, border, text, the rest
		text := objects[2]
		text.Move(text.Position().AddXY(entryInset, 0))
		text.Resize(text.Size().SubtractWidthHeight(entryInset, 0))
	}
}

func (r *entryRenderer) Refresh() {
	r.paint()
	r.WidgetRenderer.Refresh()
}

func (r *entryRenderer) Objects() []fyne.CanvasObject {
	objects := r.WidgetRenderer.Objects()
	all := append([]fyne.CanvasObject{r.back}, objects[min(2, len(objects)):]...)
	if r.e.Page != nil {
		all = append(all, r.wheel)
	}
	return all
}

// Check is a box with a tick and a text.
type Check struct {
	widget.DisableableWidget
	focusable
	hoverable // Tip
	Text      string
	Checked   bool
	Boxed     bool // drawn as a button, for a row of switches
	OnChanged func(bool)

	back, box, ring *canvas.Rectangle
	tick            *canvas.Image
	label           *canvas.Text
	click           clickFocus
}

var (
	_ fyne.Focusable    = (*Check)(nil)
	_ fyne.Shortcutable = (*Check)(nil)
	_ fyne.Tappable     = (*Check)(nil)
	_ desktop.Hoverable = (*Check)(nil)
	_ desktop.Mouseable = (*Check)(nil)
)

// NewCheck returns an empty box.
func NewCheck(text string, changed func(bool)) *Check {
	c := &Check{Text: text, OnChanged: changed}
	c.self, c.over = c, c
	c.ExtendBaseWidget(c)
	return c
}

// SetChecked changes the tick and tells OnChanged when that is news.
func (c *Check) SetChecked(on bool) {
	if c.Checked == on {
		return
	}
	c.Checked = on
	c.Refresh()
	if c.OnChanged != nil {
		c.OnChanged(on)
	}
}

// ShowChecked shows the tick without telling OnChanged.
func (c *Check) ShowChecked(on bool) {
	if c.Checked != on {
		c.Checked = on
		c.Refresh()
	}
}

func (c *Check) toggle() {
	if !c.Disabled() {
		c.SetChecked(!c.Checked)
	}
}

// Tapped is called by Fyne.
func (c *Check) Tapped(*fyne.PointEvent) {
	c.click.restore(c)
	c.toggle()
}

// MouseDown is called by Fyne.
func (c *Check) MouseDown(*desktop.MouseEvent) { c.click.down(c); hideTip(c) }

// MouseUp is called by Fyne.
func (c *Check) MouseUp(*desktop.MouseEvent) {}

// TypedKey is called by Fyne.
func (c *Check) TypedKey(ev *fyne.KeyEvent) {
	if ev.Name == fyne.KeySpace {
		c.toggle()
		return
	}
	passKey(c, ev)
}

// AccessibilityLabel names the box for screen readers.
func (c *Check) AccessibilityLabel() string { return c.Text }

// AccessibilityRole says what it is.
func (c *Check) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

const checkBox float32 = 14

func (c *Check) pad() float32 {
	if c.Boxed {
		return 12
	}
	return 0
}

func (c *Check) minSize() fyne.Size {
	w := 2*c.pad() + checkBox
	if c.Text != "" {
		w += 7 + c.label.MinSize().Width
	}
	if c.Boxed {
		return fyne.NewSize(w, InputHeight)
	}
	return fyne.NewSize(w+2, RowHeight)
}

func (c *Check) layout(size fyne.Size) {
	c.back.Resize(size)
	c.ring.Move(fyne.NewPos(-3, 0))
	c.ring.Resize(fyne.NewSize(c.minSize().Width+6, size.Height))
	x, y := c.pad(), (size.Height-checkBox)/2
	c.box.Move(fyne.NewPos(x, y))
	c.box.Resize(fyne.NewSquareSize(checkBox))
	c.tick.Move(fyne.NewPos(x+1, y+1))
	c.tick.Resize(fyne.NewSquareSize(checkBox - 2))
	m := c.label.MinSize()
	c.label.Move(fyne.NewPos(x+checkBox+7, (size.Height-m.Height)/2))
	c.label.Resize(m)
}

func (c *Check) paint() {
	c.back.Hidden = !c.Boxed
	c.back.FillColor, c.back.StrokeColor = Color(ColorChip), Color(ColorPanelBorder)
	c.back.StrokeWidth, c.back.CornerRadius = 1, Radius
	if c.hovered && !c.Disabled() {
		c.back.FillColor = over(c.back.FillColor, Color(theme.ColorNameHover))
	}
	fill, stroke, ink, text := theme.ColorNameInputBackground, ColorOutline, theme.ColorNameForegroundOnPrimary, theme.ColorNameForeground
	if c.Checked {
		fill, stroke = theme.ColorNamePrimary, theme.ColorNamePrimary
	}
	if c.Disabled() {
		text, stroke = theme.ColorNameDisabled, theme.ColorNameDisabled
		if c.Checked {
			fill = theme.ColorNameDisabled
		}
	}
	c.box.FillColor, c.box.StrokeColor = Color(fill), Color(stroke)
	c.box.StrokeWidth, c.box.CornerRadius = 1, 3
	c.tick.Hidden = !c.Checked
	c.tick.Resource = IconColored(IconCheck, ink)
	c.label.Text, c.label.TextSize, c.label.Color = c.Text, TextSize, Color(text)
	refreshRing(c.ring, c.focused)
	c.layout(c.Size())
}

// CreateRenderer is called by Fyne.
func (c *Check) CreateRenderer() fyne.WidgetRenderer {
	c.ExtendBaseWidget(c)
	c.back, c.box, c.ring = canvas.NewRectangle(colorTransparent), canvas.NewRectangle(colorTransparent), newRing()
	c.tick, c.label = newIcon(), canvas.NewText("", colorTransparent)
	c.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{c.back, c.box, c.tick, c.label, c.ring},
		layout:  c.layout, min: c.minSize, refresh: c.paint,
	}
}

// Select is one choice of a few, in a field that opens a menu. Up and Down change it, Enter and Space open the menu.
type Select struct {
	widget.DisableableWidget
	focusable
	hoverable // Tip
	Options   []string
	Selected  int    // index; -1: none
	Prefix    string // before the choice: "Mode: "
	OnChanged func(index int)

	back     *canvas.Rectangle
	label    *canvas.Text
	arrow    *canvas.Image
	ellipsis *ellipsisCache
}

var (
	_ fyne.Focusable    = (*Select)(nil)
	_ fyne.Shortcutable = (*Select)(nil)
	_ fyne.Tappable     = (*Select)(nil)
	_ desktop.Hoverable = (*Select)(nil)
	_ desktop.Mouseable = (*Select)(nil)
)

// NewSelect returns a field with the first option chosen.
func NewSelect(options []string, changed func(index int)) *Select {
	s := &Select{Options: options, OnChanged: changed, ellipsis: newEllipsisCache()}
	s.self, s.over = s, s
	s.ExtendBaseWidget(s)
	return s
}

// Value returns the chosen option, or "".
func (s *Select) Value() string {
	if s.Selected < 0 || s.Selected >= len(s.Options) {
		return ""
	}
	return s.Options[s.Selected]
}

// SetSelected chooses an option and tells OnChanged when that is news.
func (s *Select) SetSelected(index int) {
	if index == s.Selected || index < 0 || index >= len(s.Options) {
		return
	}
	s.ShowSelected(index)
	if s.OnChanged != nil {
		s.OnChanged(index)
	}
}

// ShowSelected shows an option without telling OnChanged.
func (s *Select) ShowSelected(index int) {
	if index != s.Selected {
		s.Selected = index
		s.Refresh()
	}
}

// SetOptions replaces the options; index is the chosen one.
func (s *Select) SetOptions(options []string, index int) {
	s.Options, s.Selected = options, index
	s.Refresh()
}

func (s *Select) open() {
	if s.Disabled() {
		return
	}
	menu := fyne.NewMenu("")
	for i, o := range s.Options {
		item := fyne.NewMenuItem(o, func() { s.SetSelected(i) })
		item.Checked = i == s.Selected
		menu.Items = append(menu.Items, item)
	}
	if l := showMenuBelow(s, menu); l != nil && s.Selected >= 0 && s.Selected < len(s.Options) {
		l.top().activate(l.top().rows[s.Selected])
	}
}

// Tapped is called by Fyne.
func (s *Select) Tapped(*fyne.PointEvent) { s.open() }

// MouseDown is called by Fyne.
func (s *Select) MouseDown(*desktop.MouseEvent) {
	hideTip(s)
	if !s.Disabled() {
		FocusOn(s)
	}
}

// MouseUp is called by Fyne.
func (s *Select) MouseUp(*desktop.MouseEvent) {}

// TypedKey is called by Fyne.
func (s *Select) TypedKey(ev *fyne.KeyEvent) {
	switch ev.Name {
	case fyne.KeyUp, fyne.KeyDown:
		if !s.Disabled() {
			step := 1
			if ev.Name == fyne.KeyUp {
				step = -1
			}
			s.SetSelected(s.Selected + step)
		}
	case fyne.KeySpace, fyne.KeyReturn, fyne.KeyEnter:
		s.open()
	default:
		passKey(s, ev)
	}
}

// AccessibilityLabel names the field for screen readers.
func (s *Select) AccessibilityLabel() string { return s.Prefix + s.Value() }

// AccessibilityRole says what it is.
func (s *Select) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleButton }

func (s *Select) minSize() fyne.Size {
	w := float32(0)
	for _, o := range s.Options {
		w = max(w, fyne.MeasureText(s.Prefix+o, TextSize, fyne.TextStyle{}).Width)
	}
	return fyne.NewSize(w+8+10+trailingIcon+8, InputHeight)
}

func (s *Select) layout(size fyne.Size) {
	s.back.Resize(size)
	s.label.Text = s.ellipsis.fit(s.Prefix+s.Value(), size.Width-8-8-trailingIcon-8, TextSize, fyne.TextStyle{})
	m := s.label.MinSize()
	s.label.Move(fyne.NewPos(8, (size.Height-m.Height)/2))
	s.label.Resize(m)
	s.arrow.Move(fyne.NewPos(size.Width-8-trailingIcon, (size.Height-trailingIcon)/2))
	s.arrow.Resize(fyne.NewSquareSize(trailingIcon))
}

func (s *Select) paint() {
	s.back.FillColor, s.back.StrokeColor = Color(theme.ColorNameInputBackground), Color(ColorPanelBorder)
	ink := theme.ColorNameForeground
	switch {
	case s.Disabled():
		ink = theme.ColorNameDisabled
	case s.focused:
		s.back.StrokeColor = Color(theme.ColorNamePrimary)
	case s.hovered:
		s.back.FillColor = over(s.back.FillColor, Color(theme.ColorNameHover))
	}
	s.back.StrokeWidth, s.back.CornerRadius = 1, Radius
	s.label.Color, s.label.TextSize = Color(ink), TextSize
	setIcon(s.arrow, IconChevronDown, ink)
	s.layout(s.Size())
}

// CreateRenderer is called by Fyne.
func (s *Select) CreateRenderer() fyne.WidgetRenderer {
	s.ExtendBaseWidget(s)
	s.back, s.label, s.arrow = canvas.NewRectangle(colorTransparent), canvas.NewText("", colorTransparent), newIcon()
	s.paint()
	return &simpleRenderer{
		objects: []fyne.CanvasObject{s.back, s.label, s.arrow},
		layout:  s.layout, min: s.minSize, refresh: s.paint,
	}
}

// Field is a muted label over a field.
func Field(label string, field fyne.CanvasObject) fyne.CanvasObject {
	return VBox(3, NewMutedLabel(label), field)
}
