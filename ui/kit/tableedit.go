package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
)

// tableEdit is the entry over a row whose text is being changed.
type tableEdit struct {
	entry *Entry
	key   string
	done  bool
}

// EditRow puts an entry over the first column of a row. Enter, and leaving it, hand a changed text that check takes to
// done; Escape gives up. stem selects a file name without its extension at first. The row must stay in the model under
// its key; when it goes away, so does the entry.
func (t *Table) EditRow(row int, text string, stem bool, check func(string) error, done func(string)) {
	t.endEdit(nil)
	if row < 0 || row >= t.length() {
		return
	}
	t.ScrollTo(row)
	e := &tableEdit{entry: NewEntry(), key: t.key(row)}
	e.entry.SetText(text)
	finish := func(take bool) {
		if e.done {
			return
		}
		now := e.entry.Text
		e.done = true
		t.endEdit(e)
		if take && now != text && check(now) == nil {
			done(now)
		}
	}
	e.entry.OnChanged = func(now string) { e.entry.SetInvalid(check(now) != nil) }
	e.entry.OnEnter = func(now string) {
		if now != text && check(now) != nil {
			return // it stays to be mended
		}
		finish(true)
	}
	e.entry.OnEscape = func() { finish(false) }
	e.entry.OnFocus = func(on bool) {
		if !on {
			finish(true)
		}
	}
	t.editing = e
	t.placeEdit()
	t.BaseWidget.Refresh()
	canvas.Refresh(t)
	FocusBeside(t, e.entry)
	selectStem(e.entry, stem)
}

// Editing says whether a row is being edited.
func (t *Table) Editing() bool { return t.editing != nil }

// CancelEdit gives up the change of a row, as Escape does.
func (t *Table) CancelEdit() { t.endEdit(nil) }

// endEdit takes the entry away; nil: whichever there is, giving up. An entry that has the keyboard leaves it to the table.
func (t *Table) endEdit(e *tableEdit) {
	if t.editing == nil || e != nil && e != t.editing {
		return
	}
	entry := t.editing.entry
	t.editing.done = true
	t.editing = nil
	if entry.focused {
		FocusOn(t)
	}
	t.BaseWidget.Refresh()
	canvas.Refresh(t)
}

// placeEdit keeps the entry over its row.
func (t *Table) placeEdit() {
	e := t.editing
	if e == nil {
		return
	}
	row := t.cursor
	if row < 0 || row >= t.length() || t.key(row) != e.key {
		row = -1
		for i := range t.length() {
			if t.key(i) == e.key {
				row = i
				break
			}
		}
	}
	if row < 0 {
		t.endEdit(e)
		return
	}
	top := float32(0)
	if !t.HideHeader {
		top = RowHeight
	}
	x, w := cellSpan(t.widths(t.body.Size().Width), 0)
	x, w = x+cellIcon, w-cellIcon
	y := top + float32(row)*RowHeight - t.offset
	e.entry.Hidden = y < top-RowHeight/2 || y > t.Size().Height-RowHeight/2
	e.entry.Move(fyne.NewPos(x, y-(InputHeight-RowHeight)/2))
	e.entry.Resize(fyne.NewSize(max(80, w), InputHeight))
}
