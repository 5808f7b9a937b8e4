package kit

import (
	"image/color"
	"slices"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"
)

// menuWindow is a window with a button and an open menu over it: Copy, a line, Paste (disabled), Hidden (ticked), More.
func menuWindow(t *testing.T, ran *[]string) (fyne.Window, *menuLayer) {
	t.Helper()
	test.NewTempApp(t).Settings().SetTheme(NewTheme(func() Variant { return Dark }))
	b := NewButton("b", nil)
	w := test.NewTempWindow(t, b)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(400, 300))
	w.Canvas().Focus(b)
	item := func(name string) *fyne.MenuItem {
		return fyne.NewMenuItem(name, func() { *ran = append(*ran, name) })
	}
	copyItem, paste, hidden, more := item("Copy"), item("Paste"), item("Hidden"), item("More")
	copyItem.Icon = Icon(IconCopy)
	copyItem.Shortcut = &desktop.CustomShortcut{KeyName: fyne.KeyReturn, Modifier: fyne.KeyModifierAlt | fyne.KeyModifierShift}
	paste.Disabled, hidden.Checked = true, true
	more.ChildMenu = fyne.NewMenu("", item("Inside"), item("Deep"))
	ShowMenu(b, fyne.NewMenu("", copyItem, fyne.NewMenuItemSeparator(), paste, hidden, more), fyne.NewPos(20, 20))
	l, ok := w.Canvas().Overlays().Top().(*menuLayer)
	if !ok || w.Canvas().Focused() != fyne.Focusable(l) {
		t.Fatal("the menu is not open with the keyboard")
	}
	return w, l
}

func keys(l *menuLayer, names ...fyne.KeyName) {
	for _, n := range names {
		l.TypedKey(&fyne.KeyEvent{Name: n})
		if n == fyne.KeySpace {
			l.TypedRune(' ')
		}
	}
}

func TestTheLetterOfSpaceIsNotTypedIntoWhatAMenuOrAButtonOpens(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(NewTheme(nil))
	e := NewEntry()
	open := NewButton("New…", func() { FocusOn(e) })
	chip, link := NewChip("Not sharing", "", ""), NewFlowText(Span{Text: "Learn more", OnTap: func() { FocusOn(e) }})
	chip.OnTapped = func() { FocusOn(e) }
	w := test.NewTempWindow(t, VBox(0, open, chip, link, e))
	space := func() { // as the window sends it: the key, and then its letter
		w.Canvas().Focused().TypedKey(&fyne.KeyEvent{Name: fyne.KeySpace})
		w.Canvas().Focused().TypedRune(' ')
	}
	w.Canvas().Focus(open)
	for range 3 { // button, chip, link
		from := w.Canvas().Focused()
		if space(); e.Text != "" || w.Canvas().Focused() != fyne.Focusable(e) {
			t.Errorf("%T: %q is typed, the keyboard is on %T", from, e.Text, w.Canvas().Focused())
		}
		e.SetText("")
		w.Canvas().Focus(from)
		w.Canvas().FocusNext()
	}
	w.Canvas().Focus(open)
	ShowMenu(open, fyne.NewMenu("", fyne.NewMenuItem("New…", func() { FocusOn(e) })), fyne.NewPos(5, 5))
	keys(w.Canvas().Overlays().Top().(*menuLayer), fyne.KeyDown)
	if space(); e.Text != "" || w.Canvas().Focused() != fyne.Focusable(e) {
		t.Errorf("the menu: %q is typed, the keyboard is on %T", e.Text, w.Canvas().Focused())
	}
}

// Fyne hands a right click that closes what is on top on to what lies below.
func TestARightClickOnAnItemReachesNothingBelow(t *testing.T) {
	var ran []string
	w, l := menuWindow(t, &ran)
	row := l.top().rows[0]
	if s, ok := any(row).(fyne.SecondaryTappable); ok {
		s.TappedSecondary(&fyne.PointEvent{})
	}
	if w.Canvas().Overlays().Top() == nil {
		t.Error("the menu is gone, and what lies below gets the click")
	}
}

func TestAToastIsSeenBesideAnOpenMenu(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(NewTheme(nil))
	b := NewButton("b", nil)
	layers := NewLayers(b, func(func()) {})
	defer layers.Close()
	test.NewTempWindow(t, layers)
	ShowMenu(b, fyne.NewMenu("", fyne.NewMenuItem("Copy", nil)), fyne.NewPos(0, 0))
	if ShowToast(b, "Uploaded"); !layers.toast.Visible() {
		t.Error("a toast is lost")
	}
}

func TestMenuIsWalkedByKeyboard(t *testing.T) {
	for _, c := range []struct {
		keys []fyne.KeyName
		ran  []string
	}{
		{[]fyne.KeyName{fyne.KeyDown, fyne.KeyReturn}, []string{"Copy"}},
		{[]fyne.KeyName{fyne.KeyDown, fyne.KeyDown, fyne.KeySpace}, []string{"Hidden"}}, // over the line and what is disabled
		{[]fyne.KeyName{fyne.KeyUp, fyne.KeyUp, fyne.KeyReturn}, []string{"Hidden"}},
		{[]fyne.KeyName{fyne.KeyEnd, fyne.KeyDown, fyne.KeyReturn}, []string{"Copy"}}, // round the end
		{[]fyne.KeyName{fyne.KeyEnd, fyne.KeyRight, fyne.KeyDown, fyne.KeyReturn}, []string{"Deep"}},
		{[]fyne.KeyName{fyne.KeyEnd, fyne.KeyRight, fyne.KeyLeft, fyne.KeyHome, fyne.KeyReturn}, []string{"Copy"}},
		{[]fyne.KeyName{fyne.KeyDown, fyne.KeyEscape}, nil},
	} {
		var ran []string
		w, l := menuWindow(t, &ran)
		keys(l, c.keys...)
		if !slices.Equal(ran, c.ran) {
			t.Errorf("%v ran %q, want %q", c.keys, ran, c.ran)
		}
		if w.Canvas().Overlays().Top() != nil {
			t.Errorf("%v left the menu open", c.keys)
		}
		if _, ok := w.Canvas().Focused().(*Button); !ok {
			t.Errorf("%v: the keyboard is not back where it was", c.keys)
		}
	}
}

func TestMenuItemIsFoundByItsFirstLetter(t *testing.T) {
	var ran []string
	_, l := menuWindow(t, &ran)
	l.TypedRune('p') // disabled
	if l.top().active != -1 {
		t.Errorf("a letter chose item %d, which can't be used", l.top().active)
	}
	l.TypedRune('h')
	keys(l, fyne.KeyReturn)
	if !slices.Equal(ran, []string{"Hidden"}) {
		t.Errorf("h and Enter ran %q", ran)
	}
}

func TestMenuTitlesStandInOneColumnAndKeysCanBeRead(t *testing.T) {
	var ran []string
	_, l := menuWindow(t, &ran)
	rows := l.top().rows
	for _, r := range rows {
		if r.title.Position().X != rows[0].title.Position().X {
			t.Errorf("%s begins at %v, %s at %v", r.item.Label, r.title.Position().X, rows[0].item.Label, rows[0].title.Position().X)
		}
	}
	if got := rows[0].key.Text; got != "Alt+Shift+Enter" {
		t.Errorf("the key is written %q", got)
	}
	if rows[0].key.Color.(color.NRGBA).A != 0xff || rows[0].key.Color != Color(ColorMuted) {
		t.Errorf("the key is drawn in %v", rows[0].key.Color)
	}
	if rows[1].title.Color != Color(theme.ColorNameDisabled) {
		t.Errorf("what is disabled is drawn in %v", rows[1].title.Color)
	}
}

func TestMenuIsUsedAndLeftByMouse(t *testing.T) {
	var ran []string
	w, l := menuWindow(t, &ran)
	rows := l.top().rows
	rows[3].MouseIn(pointerAt(rows[3], 20))
	if len(l.panels) != 2 {
		t.Fatal("the mouse over More opens nothing")
	}
	rows[0].MouseIn(pointerAt(rows[0], 20))
	if len(l.panels) != 1 {
		t.Error("the submenu stays when the mouse goes elsewhere")
	}
	rows[1].Tapped(nil)
	if len(ran) != 0 || w.Canvas().Overlays().Top() == nil {
		t.Error("a click on what is disabled does something")
	}
	test.TapCanvas(w.Canvas(), fyne.NewPos(390, 290))
	if w.Canvas().Overlays().Top() != nil {
		t.Error("a click beside the menu leaves it open")
	}
}

func TestMenuStaysInsideTheWindow(t *testing.T) {
	var ran []string
	w, l := menuWindow(t, &ran)
	l.close()
	many := fyne.NewMenu("")
	for range 40 {
		many.Items = append(many.Items, fyne.NewMenuItem("An item", nil))
	}
	ShowMenu(w.Content(), many, fyne.NewPos(390, 280))
	p := w.Canvas().Overlays().Top().(*menuLayer).top()
	if end := p.Position().AddXY(p.Size().Width, p.Size().Height); end.X > 400 || end.Y > 300 || p.Position().Y < 0 {
		t.Errorf("the menu lies from %v to %v", p.Position(), end)
	}
	keys(p.layer, fyne.KeyEnd)
	if row := p.rows[39]; row.Position().Y+menuRow-p.scroll.Offset.Y > p.scroll.Size().Height {
		t.Error("the last item is active out of sight")
	}
}

func TestChoicesOpenAtTheChosenOne(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(NewTheme(nil))
	s := NewSelect([]string{"Auto", "Passive", "Active"}, nil)
	s.ShowSelected(1)
	w := test.NewTempWindow(t, s)
	w.Canvas().Focus(s)
	s.TypedKey(&fyne.KeyEvent{Name: fyne.KeyReturn})
	keys(w.Canvas().Overlays().Top().(*menuLayer), fyne.KeyDown, fyne.KeyReturn)
	if s.Value() != "Active" {
		t.Errorf("Enter, Down, Enter chose %s", s.Value())
	}
}
