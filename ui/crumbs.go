package ui

import (
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
	"portside/ui/kit"
)

// crumbBar shows a path as a button for each folder on it. What has no room goes into a menu at the left; a click beside
// the buttons asks for the path to be typed.
type crumbBar struct {
	widget.BaseWidget
	open func(dir string)
	edit func()

	parts   []crumb
	buttons []*kit.Button
	signs   []*kit.IconImage // between them
	more    *kit.Button
	first   int // the first part that has room
	back    *canvas.Rectangle
}

type crumb struct{ title, dir string }

var _ fyne.Tappable = (*crumbBar)(nil)

func newCrumbBar(open func(string), edit func()) *crumbBar {
	b := &crumbBar{open: open, edit: edit, back: canvas.NewRectangle(nil)}
	b.more = kit.NewIconButton(kit.IconMore, "The folders before", nil)
	b.more.Style = kit.Quiet
	b.more.OnTapped = func() {
		menu := fyne.NewMenu("")
		for _, p := range b.parts[:b.first] {
			menu.Items = append(menu.Items, fyne.NewMenuItem(p.title, func() { b.open(p.dir) }))
		}
		kit.ShowMenu(b, menu, fyne.CurrentApp().Driver().AbsolutePositionForObject(b).AddXY(0, b.Size().Height))
	}
	b.ExtendBaseWidget(b)
	return b
}

// crumbsOf are the folders on the way to dir.
func crumbsOf(dir string, local bool) []crumb {
	if dir == "" {
		return nil
	}
	separator, root := "/", "/"
	if local {
		separator = string(filepath.Separator)
		root = filepath.VolumeName(dir) + separator
	}
	out := []crumb{{root, root}}
	at := root
	for _, name := range strings.Split(strings.Trim(strings.TrimPrefix(dir, root), separator), separator) {
		if name == "" {
			continue
		}
		at = strings.TrimSuffix(at, separator) + separator + name
		out = append(out, crumb{connlog.Printable(shorten(name, 40)), at})
	}
	return out
}

// show shows the way to dir.
func (b *crumbBar) show(dir string, local bool) {
	b.parts = crumbsOf(dir, local)
	b.buttons, b.signs = b.buttons[:0], b.signs[:0]
	for i, p := range b.parts {
		button := kit.NewButton(p.title, func() { b.open(p.dir) })
		button.Style = kit.Quiet
		b.buttons = append(b.buttons, button)
		sign := kit.NewIcon(kit.IconChevronRight, kit.ColorMuted)
		sign.Side = 10
		sign.Hidden = i == 0
		b.signs = append(b.signs, sign)
	}
	b.Refresh()
}

// Tapped is called by Fyne for a click beside the buttons.
func (b *crumbBar) Tapped(*fyne.PointEvent) { b.edit() }

// MinSize is called by Fyne.
func (b *crumbBar) MinSize() fyne.Size { return fyne.NewSize(60, kit.InputHeight) }

const crumbSign float32 = 12

func (b *crumbBar) layout(size fyne.Size) {
	b.back.Resize(size)
	room := size.Width - 8
	b.first = len(b.parts)
	used := float32(0)
	for i := len(b.parts) - 1; i >= 0; i-- {
		w := b.buttons[i].MinSize().Width
		if i > 0 {
			w += crumbSign
		}
		spare := float32(0)
		if i > 0 {
			spare = b.more.MinSize().Width
		}
		if used+w+spare > room && i < len(b.parts)-1 {
			break
		}
		used += w
		b.first = i
	}
	x := float32(4)
	h := size.Height - 4
	b.more.Hidden = b.first == 0
	if b.first > 0 {
		w := b.more.MinSize().Width
		b.more.Move(fyne.NewPos(x, 2))
		b.more.Resize(fyne.NewSize(w, h))
		x += w
	}
	for i, button := range b.buttons {
		button.Hidden = i < b.first
		b.signs[i].Hidden = i < b.first || i == 0
		if button.Hidden {
			continue
		}
		if i > 0 {
			b.signs[i].Move(fyne.NewPos(x, (size.Height-crumbSign)/2))
			b.signs[i].Resize(fyne.NewSquareSize(crumbSign))
			x += crumbSign
		}
		w := min(button.MinSize().Width, size.Width-4-x)
		button.Move(fyne.NewPos(x, 2))
		button.Resize(fyne.NewSize(max(0, w), h))
		x += w
	}
}

func (b *crumbBar) paint() {
	b.back.FillColor, b.back.StrokeColor = kit.Color(theme.ColorNameInputBackground), kit.Color(kit.ColorPanelBorder)
	b.back.StrokeWidth, b.back.CornerRadius = 1, kit.Radius
}

// CreateRenderer is called by Fyne.
func (b *crumbBar) CreateRenderer() fyne.WidgetRenderer {
	b.paint()
	return &crumbRenderer{b}
}

type crumbRenderer struct{ b *crumbBar }

func (r *crumbRenderer) Layout(size fyne.Size) { r.b.layout(size) }
func (r *crumbRenderer) MinSize() fyne.Size    { return r.b.MinSize() }
func (r *crumbRenderer) Destroy()              {}
func (r *crumbRenderer) Refresh() {
	r.b.paint()
	r.b.layout(r.b.Size())
	canvas.Refresh(r.b)
}

func (r *crumbRenderer) Objects() []fyne.CanvasObject {
	objects := []fyne.CanvasObject{r.b.back, r.b.more}
	for i, button := range r.b.buttons {
		objects = append(objects, r.b.signs[i], button)
	}
	return objects
}

// makeCrumbs puts the bar in the place of the path's entry, which comes back to be typed in.
func (p *pane) makeCrumbs() fyne.CanvasObject {
	p.crumbs = newCrumbBar(func(dir string) { p.goTo(dir); kit.FocusOn(p.table) }, p.typePath)
	p.address.OnFocus = func(on bool) {
		if !on {
			p.arrive = "" // the keyboard went elsewhere meanwhile
			p.address.Hide()
			p.crumbs.Show()
		}
	}
	p.address.Hide()
	return container.NewStack(p.crumbs, p.address)
}

// typePath gives the path the keyboard, ready to be typed over.
func (p *pane) typePath() {
	p.address.SetText(p.path)
	p.crumbs.Hide()
	p.address.Show()
	kit.FocusBeside(p.table, p.address)
	p.address.SelectText()
}
