package kit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"
)

// tableUnder is a table of names in a window, with its modifiers and its clock in the test's hand.
type tableUnder struct {
	*Table
	names []string
	mods  fyne.KeyModifier
	clock time.Time
}

func newTableUnder(t *testing.T, names ...string) *tableUnder {
	t.Helper()
	app := test.NewTempApp(t)
	app.Settings().SetTheme(NewTheme(func() Variant { return Dark }))
	u := &tableUnder{names: names, clock: time.Unix(1000, 0)}
	u.Table = NewTable(
		Column{Title: "Name", Flex: true, Min: 60, Sortable: true},
		Column{Title: "Size", Width: 80, Min: 50, Align: fyne.TextAlignTrailing, Sortable: true},
		Column{Title: "Rights", Width: 90},
	)
	u.Length = func() int { return len(u.names) }
	u.Key = func(row int) string { return u.names[row] }
	u.Table.Cell = func(row, col int) Cell { return Cell{Text: fmt.Sprint(u.names[row], strings.Repeat("x", col))} }
	u.Table.mods = func() fyne.KeyModifier { return u.mods }
	u.now = func() time.Time { return u.clock }
	w := test.NewTempWindow(t, u.Table)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(400, RowHeight*11)) // a header and ten rows
	return u
}

func (u *tableUnder) selectedNames() []string {
	var names []string
	for _, row := range u.Selected() {
		names = append(names, u.names[row])
	}
	return names
}

func (u *tableUnder) expect(t *testing.T, cursor string, selected ...string) {
	t.Helper()
	if got := u.selectedNames(); !slices.Equal(got, selected) {
		t.Errorf("selected %q, want %q", got, selected)
	}
	if got := u.names[u.Cursor()]; got != cursor {
		t.Errorf("cursor at %q, want %q", got, cursor)
	}
}

func (u *tableUnder) press(button desktop.MouseButton, row int, mods fyne.KeyModifier) {
	ev := &desktop.MouseEvent{Button: button, Modifier: mods}
	ev.Position = fyne.NewPos(20, float32(row)*RowHeight-u.offset+5)
	u.body.MouseDown(ev)
}

func (u *tableUnder) click(row int, mods fyne.KeyModifier) {
	u.press(desktop.MouseButtonPrimary, row, mods)
	u.body.MouseUp(&desktop.MouseEvent{Button: desktop.MouseButtonPrimary})
	u.body.Tapped(&fyne.PointEvent{})
}

func (u *tableUnder) key(name fyne.KeyName, mods fyne.KeyModifier) {
	u.mods = mods
	u.TypedKey(&fyne.KeyEvent{Name: name})
	u.mods = 0
}

const ctrl, shift = fyne.KeyModifierShortcutDefault, fyne.KeyModifierShift

func TestMouseSelectsOneSomeAndARange(t *testing.T) {
	u := newTableUnder(t, "a", "b", "c", "d", "e", "f")
	u.click(1, 0)
	u.expect(t, "b", "b")
	u.click(3, ctrl)
	u.expect(t, "d", "b", "d")
	u.click(5, shift)
	u.expect(t, "f", "d", "e", "f")
	u.click(0, ctrl)
	u.click(1, ctrl|shift)
	u.expect(t, "b", "a", "b", "d", "e", "f")
	u.click(4, ctrl)
	u.expect(t, "e", "a", "b", "d", "f")
	u.click(3, 0) // one of several, without a drag: it alone stays
	u.expect(t, "d", "d")
	u.press(desktop.MouseButtonPrimary, 40, 0)
	if len(u.Selected()) != 0 {
		t.Error("a click below the rows left a selection")
	}
}

func TestRightClickKeepsASelectionThatItHits(t *testing.T) {
	u := newTableUnder(t, "a", "b", "c", "d")
	var menu []int
	u.OnMenu = func(rows []int, _ fyne.Position) { menu = rows }
	u.click(0, 0)
	u.click(2, shift)
	rightClick := func(row int) {
		u.body.TappedSecondary(&fyne.PointEvent{Position: fyne.NewPos(20, (float32(row)+0.5)*RowHeight)})
	}
	u.press(desktop.MouseButtonSecondary, 1, 0)
	rightClick(1)
	if !slices.Equal(menu, []int{0, 1, 2}) {
		t.Errorf("the menu is for %v", menu)
	}
	u.press(desktop.MouseButtonSecondary, 3, 0)
	rightClick(3)
	if !slices.Equal(menu, []int{3}) {
		t.Errorf("the menu is for %v", menu)
	}
	menu = nil
	u.key(fyne.KeyF10, shift)
	if !slices.Equal(menu, []int{3}) {
		t.Errorf("Shift+F10: the menu is for %v", menu)
	}
	if rightClick(2); !slices.Equal(menu, []int{2}) { // the button went down on an open menu, which this click closed
		t.Errorf("with a menu open, the next menu is for %v", menu)
	}
}

func TestDoubleClickActivatesAndTwoClicksDoNot(t *testing.T) {
	u := newTableUnder(t, "a", "b", "c")
	var activated []int
	u.OnActivated = func(row int) { activated = append(activated, row) }
	u.click(1, 0)
	u.clock = u.clock.Add(100 * time.Millisecond)
	u.click(1, 0)
	if !slices.Equal(activated, []int{1}) {
		t.Fatalf("activated %v", activated)
	}
	u.clock = u.clock.Add(time.Second)
	u.click(1, 0)
	u.clock = u.clock.Add(time.Second)
	u.click(1, 0)
	u.click(2, 0)
	if len(activated) != 1 {
		t.Errorf("activated %v", activated)
	}
	u.key(fyne.KeyReturn, 0)
	if !slices.Equal(activated, []int{1, 2}) {
		t.Errorf("after Enter: activated %v", activated)
	}
}

func TestKeysMoveExtendAndToggle(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("%03d", i)
	}
	u := newTableUnder(t, names...)
	u.FocusGained()
	if u.Cursor() != 0 || len(u.Selected()) != 0 {
		t.Fatal("the focus should put the cursor on the first row and select nothing")
	}
	u.key(fyne.KeyDown, 0)
	u.expect(t, "001", "001")
	u.key(fyne.KeyDown, shift)
	u.key(fyne.KeyDown, shift)
	u.expect(t, "003", "001", "002", "003")
	u.key(fyne.KeyUp, shift)
	u.expect(t, "002", "001", "002")
	u.key(fyne.KeyEnd, 0)
	u.expect(t, "099", "099")
	if want := float32(100-10) * RowHeight; u.offset != want {
		t.Errorf("End shows from %v, want %v", u.offset, want)
	}
	u.key(fyne.KeyPageUp, 0)
	u.expect(t, "090", "090")
	u.key(fyne.KeyHome, 0)
	u.TypedShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyDown, Modifier: ctrl})
	u.expect(t, "001", "000") // Ctrl moves without selecting
	u.key(fyne.KeySpace, 0)
	u.expect(t, "001", "000", "001")
	u.TypedShortcut(&fyne.ShortcutSelectAll{})
	if n := u.SelectedCount(); n != 100 {
		t.Errorf("Ctrl+A selected %d", n)
	}
}

func TestTypingFindsARow(t *testing.T) {
	u := newTableUnder(t, "apple", "Banana", "bear", "big fish", "cat")
	typed := func(s string) {
		for _, r := range s {
			if r == ' ' {
				u.key(fyne.KeySpace, 0)
			}
			u.TypedRune(r)
		}
	}
	typed("b")
	u.expect(t, "Banana", "Banana")
	typed("b")
	u.expect(t, "bear", "bear")
	u.clock = u.clock.Add(2 * time.Second)
	typed("big f")
	u.expect(t, "big fish", "big fish")
	u.clock = u.clock.Add(2 * time.Second)
	typed("c")
	u.expect(t, "cat", "cat")
	typed("zz")
	u.expect(t, "cat", "cat")
}

func TestAClickAKeyOrTheLossOfTheKeyboardEndsTheTypedWord(t *testing.T) {
	for name, between := range map[string]func(u *tableUnder){
		"a click":    func(u *tableUnder) { u.click(0, 0) },
		"a key":      func(u *tableUnder) { u.TypedKey(&fyne.KeyEvent{Name: fyne.KeyF6}) },
		"a shortcut": func(u *tableUnder) { u.TypedShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyL, Modifier: ctrl}) },
		"the focus":  func(u *tableUnder) { u.setFocus(false); u.setFocus(true) },
	} {
		t.Run(name, func(t *testing.T) {
			u := newTableUnder(t, "outbox", "tree")
			typed := func() {
				for _, r := range "tre" { // as Fyne tells: each key, then what it writes
					u.TypedKey(&fyne.KeyEvent{Name: fyne.KeyName(strings.ToUpper(string(r)))})
					u.TypedRune(r)
				}
			}
			u.SetCursor(0)
			typed()
			u.expect(t, "tree", "tree")
			u.SetCursor(0)
			between(u)
			u.SetCursor(0)
			typed() // within the second in which a word goes on
			u.expect(t, "tree", "tree")
		})
	}
}

func TestSelectionFollowsItsRowsThroughSortingAndReloading(t *testing.T) {
	u := newTableUnder(t, "a", "b", "c", "d")
	changes := 0
	u.click(1, 0)
	u.click(3, ctrl)
	u.OnSelectionChanged = func() { changes++ }
	slices.Reverse(u.names)
	u.Refresh()
	u.expect(t, "d", "d", "b")
	if changes != 0 {
		t.Error("sorting is no change of the selection")
	}
	u.names = []string{"c", "b", "new"}
	u.Refresh()
	if got := u.selectedNames(); !slices.Equal(got, []string{"b"}) || changes != 1 {
		t.Errorf("after the row was gone: %q, %d changes", got, changes)
	}
	u.names = nil
	u.Refresh()
	if u.Cursor() != -1 || len(u.Selected()) != 0 {
		t.Errorf("an empty table has cursor %d and selection %v", u.Cursor(), u.Selected())
	}
	u.key(fyne.KeyDown, 0)
	u.key(fyne.KeyReturn, 0)
	u.names = []string{"x", "y"}
	u.Refresh()
	u.SetSelected([]string{"y", "gone"})
	u.expect(t, "y", "y")
}

func TestHeaderSortsAndResizes(t *testing.T) {
	u := newTableUnder(t, "a", "b")
	var orders []string
	u.OnSort = func(col int, desc bool) { orders = append(orders, fmt.Sprint(col, desc)) }
	tap := func(x float32) {
		ev := &desktop.MouseEvent{Button: desktop.MouseButtonPrimary}
		ev.Position = fyne.NewPos(x, 5)
		u.header.MouseDown(ev)
		u.header.Tapped(&fyne.PointEvent{Position: ev.Position})
	}
	tap(20)
	tap(20)
	tap(260) // Size: 400 wide, the last two columns are 80 and 90
	tap(350) // Rights can't be sorted
	if want := []string{"0 false", "0 true", "1 false"}; !slices.Equal(orders, want) {
		t.Errorf("orders %q, want %q", orders, want)
	}

	resized := 0
	u.OnResized = func() { resized++ }
	drag := func(x, dx float32) {
		ev := &desktop.MouseEvent{Button: desktop.MouseButtonPrimary}
		ev.Position = fyne.NewPos(x, 5)
		u.header.MouseMoved(ev)
		if u.header.Cursor() != desktop.HResizeCursor {
			t.Errorf("no resize cursor at %v", x)
		}
		u.header.MouseDown(ev)
		u.header.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(dx, 0)})
		u.header.DragEnd()
	}
	drag(310, 20) // between Size and Rights
	if w := u.widths(400); w[0] != 230 || w[1] != 100 || w[2] != 70 {
		t.Errorf("widths %v", w)
	}
	drag(230, 400) // the flexible column takes from Size down to its least width
	if w := u.widths(400); w[1] != 50 || w[2] != 70 || w[0] != 280 {
		t.Errorf("widths %v", w)
	}
	if resized != 2 {
		t.Errorf("told of %d resizings", resized)
	}
	if w := u.widths(150); w[0]+w[1]+w[2] > 151 {
		t.Errorf("in a narrow table the columns take %v", w)
	}
}

func TestKeysThatTheTableHasNoUseForGoOn(t *testing.T) {
	u := newTableUnder(t, "a")
	var tabs []bool
	var window []fyne.KeyName
	canvasOf(u.Table).SetOnTypedKey(func(ev *fyne.KeyEvent) { window = append(window, ev.Name) })
	backs := 0
	u.OnTab = func(back bool) { tabs = append(tabs, back) }
	u.OnBackspace = func() { backs++ }
	u.OnKey = func(ev *fyne.KeyEvent) bool { return ev.Name == fyne.KeyF2 }
	for _, k := range []fyne.KeyName{fyne.KeyF2, fyne.KeyF5, fyne.KeyDelete, fyne.KeyEscape, fyne.KeyBackspace, fyne.KeyA} {
		u.key(k, 0)
	}
	u.key(fyne.KeyTab, 0)
	u.key(fyne.KeyTab, shift)
	if want := []fyne.KeyName{fyne.KeyF5, fyne.KeyDelete, fyne.KeyEscape}; !slices.Equal(window, want) {
		t.Errorf("the window got %q, want %q", window, want)
	}
	if !slices.Equal(tabs, []bool{false, true}) || backs != 1 || !u.AcceptsTab() {
		t.Errorf("tabs %v, backspaces %d", tabs, backs)
	}
}

func TestADragTakesTheSelectedRows(t *testing.T) {
	u := newTableUnder(t, "a", "b", "c")
	var dropped []int
	u.OnDrag = func([]int, fyne.Position) {}
	u.OnDrop = func(rows []int, _ fyne.Position) { dropped = rows }
	u.click(0, 0)
	u.click(1, shift)
	u.press(desktop.MouseButtonPrimary, 0, 0)
	u.body.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(30, 0)})
	u.body.MouseUp(&desktop.MouseEvent{})
	u.body.DragEnd()
	if !slices.Equal(dropped, []int{0, 1}) {
		t.Errorf("dropped %v", dropped)
	}
	u.expect(t, "a", "a", "b")
}

// TestADragThatEndsOutsideKeepsTheKeyboard takes the keyboard away as Fyne does where the button comes up over something else.
func TestADragThatEndsOutsideKeepsTheKeyboard(t *testing.T) {
	u := newTableUnder(t, "a", "b", "c")
	u.OnDrag = func([]int, fyne.Position) {}
	c := canvasOf(u.Table)
	drag := func(d fyne.Draggable) {
		c.Unfocus()
		d.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(30, 0)})
		c.Unfocus()
		d.DragEnd()
	}
	for name, do := range map[string]func(){
		"rows": func() { u.press(desktop.MouseButtonPrimary, 0, 0); drag(u.body) },
		"rows, given up": func() {
			u.press(desktop.MouseButtonPrimary, 0, 0)
			u.body.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(30, 0)})
			u.key(fyne.KeyEscape, 0)
			drag(u.body)
		},
		"scroll bar":    func() { u.bar.MouseDown(&desktop.MouseEvent{}); drag(u.bar) },
		"column's edge": func() { u.header.MouseDown(&desktop.MouseEvent{}); drag(u.header) },
	} {
		if do(); !u.Focused() {
			t.Errorf("%s: the keyboard is gone", name)
		}
	}
}

func TestASplitThatIsDraggedOrClickedLeavesTheKeyboardWhereItWas(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(NewTheme(func() Variant { return Dark }))
	e := NewEntry()
	s := NewSplit(e, NewEntry())
	w := test.NewTempWindow(t, s)
	w.Resize(fyne.NewSize(400, 300))
	c, h := w.Canvas(), s.handle
	press := func() { h.MouseDown(&desktop.MouseEvent{}); c.Unfocus(); h.MouseUp(&desktop.MouseEvent{}); c.Unfocus() }
	for name, do := range map[string]func(){
		"drag":         func() { press(); h.Dragged(&fyne.DragEvent{Dragged: fyne.NewDelta(9, 0)}); h.DragEnd() },
		"click":        func() { press(); h.Tapped(&fyne.PointEvent{}) },
		"double click": func() { press(); press(); h.DoubleTapped(&fyne.PointEvent{}) },
	} {
		c.Focus(e)
		if do(); c.Focused() != fyne.Focusable(e) {
			t.Errorf("%s: the keyboard is on %T", name, c.Focused())
		}
	}
}

func TestOfAHundredThousandRowsOnlyTheSeenAreDrawn(t *testing.T) {
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("file-%06d", i)
	}
	u := newTableUnder(t, names...)
	cells := 0
	inner := u.Table.Cell
	u.Table.Cell = func(row, col int) Cell { cells++; return inner(row, col) }
	u.FocusGained()
	for range 1000 {
		u.key(fyne.KeyDown, 0)
	}
	u.key(fyne.KeyEnd, 0)
	u.Refresh()
	if cells > 1100*12*3 {
		t.Errorf("asked for %d cells: the table does not draw only what is seen", cells)
	}
	u.TypedShortcut(&fyne.ShortcutSelectAll{})
	if u.names[u.Cursor()] != "file-099999" || u.SelectedCount() != 100_000 {
		t.Errorf("cursor %d, selected %d", u.Cursor(), u.SelectedCount())
	}
}

func TestLongTextsEndInAnEllipsisThatFits(t *testing.T) {
	newTableUnder(t)
	c := newEllipsisCache()
	for _, text := range []string{"short", strings.Repeat("wide name ", 20), "日本語のとても長いファイル名です.txt"} {
		cut := c.fit(text, 90, TextSize, fyne.TextStyle{})
		if w := fyne.MeasureText(cut, TextSize, fyne.TextStyle{}).Width; w > 90 {
			t.Errorf("%q is %v wide", cut, w)
		}
		if cut != text && !strings.HasSuffix(cut, "…") {
			t.Errorf("%q was cut to %q", text, cut)
		}
	}
	if got := c.fit("short", 90, TextSize, fyne.TextStyle{}); got != "short" {
		t.Errorf("a short text became %q", got)
	}
}

func BenchmarkTableScroll(b *testing.B) {
	app := test.NewTempApp(b)
	app.Settings().SetTheme(NewTheme(nil))
	t := NewTable(Column{Title: "Name", Flex: true}, Column{Title: "Size", Width: 80}, Column{Title: "Time", Width: 130})
	t.Length = func() int { return 100_000 }
	icon := Icon(IconFile)
	t.Cell = func(row, col int) Cell {
		if col == 0 {
			return Cell{Text: fmt.Sprint("file ", row), Icon: icon}
		}
		return Cell{Text: fmt.Sprint(row, col)}
	}
	w := test.NewTempWindow(b, t)
	w.Resize(fyne.NewSize(600, 600))
	b.ResetTimer()
	for i := range b.N {
		t.scrollTo(float32(i%100_000) * 60)
	}
}

// page takes what the wheel does.
type page struct{ moved float32 }

func (p *page) Scrolled(ev *fyne.ScrollEvent) { p.moved += ev.Scrolled.DY }

func TestTheWheelMovesThePageWhereTheTableHasNothingToScroll(t *testing.T) {
	u, p := newTableUnder(t, "a", "b"), &page{}
	u.Page = p
	wheel := func() { u.body.Scrolled(&fyne.ScrollEvent{Scrolled: fyne.NewDelta(0, -25)}) }
	if wheel(); p.moved != -25 {
		t.Errorf("the page moved by %v", p.moved)
	}
	for i := range 50 {
		u.names = append(u.names, fmt.Sprint("more", i))
	}
	u.Refresh()
	if wheel(); p.moved != -25 || u.offset == 0 {
		t.Errorf("with rows below, the page moved by %v, the table by %v", p.moved, u.offset)
	}
}

func TestSelectAllLeavesOutWhatIsNoEntry(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(NewTheme(nil))
	table := NewTable(Column{Title: "Name", Flex: true})
	table.Length = func() int { return 3 }
	table.Cell = func(row, _ int) Cell { return Cell{Text: "x"} }
	table.NotAll = func(row int) bool { return row == 0 }
	test.NewTempWindow(t, table)
	table.SelectAll()
	if got := table.Selected(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("selected %v", got)
	}
}

func TestColumnsYieldToNamesInANarrowTable(t *testing.T) {
	u := newTableUnder(t, "a")
	u.SetColumns([]Column{{Title: "Name", Flex: true, Min: 100, Wish: 180}, {Title: "Size", Width: 80}, {Title: "Owner", Width: 80, Yields: true}, {Title: "Rights", Width: 90, Yields: true}})
	for total, want := range map[float32][]float32{
		500: {250, 80, 80, 90},
		400: {240, 80, 80, 0},
		330: {250, 80, 0, 0},
		200: {120, 80, 0, 0},
	} {
		if got := u.widths(total); !slices.Equal(got, want) {
			t.Errorf("%v wide: columns of %v, want %v", total, got, want)
		}
	}
	if x, w := cellSpan([]float32{240, 80, 80, 0}, 2); w != 80-2*cellPad-edgePad {
		t.Errorf("the last column that is there has its text from %v, %v wide", x, w)
	}
}
