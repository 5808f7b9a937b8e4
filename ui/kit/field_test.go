package kit_test

import (
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"portside/ui/kit"
	"portside/ui/uitest"
)

func TestTheFirstLetterAfterANewTextIsNotLost(t *testing.T) {
	uitest.App(t, kit.Dark)
	e := kit.NewEntry()
	e.SelectOnFocus = true
	w := uitest.Window(t, e, 300, 40)
	e.SetText("ftp://example.org/")
	w.Canvas().Focus(e) // selects it
	e.SetText("")
	if uitest.Type(w, "ftp"); e.Text != "ftp" {
		t.Errorf("into the empty field came %q", e.Text)
	}
	e.SelectText()
	e.SetText("another")
	if uitest.Type(w, "x"); e.Text != "x" {
		t.Errorf("what was selected was not typed over: %q", e.Text)
	}
}

func TestTheKeyboardStaysInTheTableWhenTheEditedRowGoes(t *testing.T) {
	uitest.App(t, kit.Dark)
	rows := []string{"a", "b"}
	table := kit.NewTable(kit.Column{Title: "Name", Flex: true})
	table.Length = func() int { return len(rows) }
	table.Key = func(i int) string { return rows[i] }
	table.Cell = func(i, _ int) kit.Cell { return kit.Cell{Text: rows[i]} }
	w := uitest.Window(t, table, 300, 200)
	w.Canvas().Focus(table)
	table.EditRow(1, "b", false, func(string) error { return nil }, func(to string) { t.Errorf("a row that is gone is changed to %q", to) })
	uitest.Type(w, "x")
	rows = rows[:1]
	table.Refresh()
	if table.Editing() || w.Canvas().Focused() != fyne.Focusable(table) {
		t.Errorf("editing %v, the keyboard is on %T", table.Editing(), w.Canvas().Focused())
	}
}

func TestALongTextShowsItsBeginningOnceItIsLeft(t *testing.T) {
	uitest.App(t, kit.Dark)
	e, other := kit.NewEntry(), kit.NewEntry()
	e.SelectOnFocus = true
	w := uitest.Window(t, kit.VBox(8, e, other), 120, 100)
	w.Canvas().Focus(e)
	uitest.Type(w, "ftpes://files.example.org:2121/releases/of/long/ago")
	w.Canvas().Focus(other)
	if e.CursorColumn != 0 {
		t.Errorf("the field shows what lies around letter %d", e.CursorColumn)
	}
	w.Canvas().Focus(e)
	if e.SelectedText() != e.Text {
		t.Errorf("coming back selects %q", e.SelectedText())
	}
}

func TestAChipGivesUpItsTextWholeOrKeepsMostOfIt(t *testing.T) {
	uitest.App(t, kit.Dark)
	chip := kit.NewChip("TLS 1.3", "", kit.IconLock)
	whole := chip.MinSize().Width
	chip.Shrinks = true
	sign := chip.MinSize().Width
	for _, room := range []float32{sign, whole - 30, whole} {
		row := kit.HBox(0, chip, kit.Grow(kit.NewLabel("")))
		uitest.Window(t, row, room+120, 40)
		if got := chip.Size().Width; got != sign && got < whole-12 {
			t.Errorf("with %v for it the chip is %v wide: a sign is %v, all of it %v", room, got, sign, whole)
		}
	}
}

// wheeled is a page that takes what the wheel does.
type wheeled struct{ moved float32 }

func (p *wheeled) Scrolled(ev *fyne.ScrollEvent) { p.moved += ev.Scrolled.DY }

func TestTheWheelMovesThePageOverAnEntry(t *testing.T) {
	uitest.App(t, kit.Dark)
	e, page := kit.NewEntry(), &wheeled{}
	e.Page = page
	w := uitest.Window(t, e, 300, 40)
	if test.Scroll(w.Canvas(), fyne.NewPos(60, 20), 0, -25); page.moved != -25 {
		t.Errorf("the page moved by %v", page.moved)
	}
}

// As the window does it: the focus goes when the button goes up elsewhere, and comes back with the end of the drag.
func TestAPartThatIsSelectedBeyondTheFieldStaysSelected(t *testing.T) {
	uitest.App(t, kit.Dark)
	e, other := kit.NewEntry(), kit.NewEntry()
	e.SelectOnFocus = true
	e.SetText("ftp.example.org/releases")
	w := uitest.Window(t, kit.VBox(8, e, other), 300, 100)
	at := func(x float32) fyne.PointEvent { return fyne.PointEvent{Position: fyne.NewPos(x, 12)} }
	e.MouseDown(&desktop.MouseEvent{PointEvent: at(90), Button: desktop.MouseButtonPrimary})
	e.Dragged(&fyne.DragEvent{PointEvent: at(60), Dragged: fyne.NewDelta(-30, 0)})
	e.Dragged(&fyne.DragEvent{PointEvent: at(20), Dragged: fyne.NewDelta(-40, 0)})
	part := e.SelectedText()
	w.Canvas().Unfocus()
	w.Canvas().Focus(e)
	e.DragEnd()
	if got := e.SelectedText(); got != part || part == "" || part == e.Text {
		t.Errorf("%q was selected, and then %q", part, got)
	}
	w.Canvas().Focus(other)
	w.Canvas().Focus(e)
	if e.SelectedText() != e.Text {
		t.Errorf("coming back selects %q", e.SelectedText())
	}
	e.MouseDown(&desktop.MouseEvent{PointEvent: at(90), Button: desktop.MouseButtonPrimary})
	e.MouseUp(&desktop.MouseEvent{PointEvent: at(90), Button: desktop.MouseButtonPrimary})
	w.Canvas().Focus(other)
	if w.Canvas().Focus(e); e.SelectedText() != e.Text {
		t.Errorf("after a click elsewhere, coming back selects %q", e.SelectedText())
	}
}
