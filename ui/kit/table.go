package kit

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"
)

// Column is a column of a [Table].
type Column struct {
	ID       string // stable name, for remembered widths
	Title    string
	Width    float32 // in Fyne's units; of a flexible column it is ignored
	Min      float32 // smallest width; 0 means 40
	Align    fyne.TextAlign
	Sortable bool
	Flex     bool // takes the width that the others leave; the first such column does
	// Wish is a width of the flexible column below which the columns that yield are left out, the last first; 0: none is.
	Wish   float32
	Yields bool
}

// Cell is what one cell shows.
type Cell struct {
	Text  string
	Icon  fyne.Resource       // before the text
	Color fyne.ThemeColorName // empty: text colour in the first column, muted in the others
	Bold  bool
	Mono  bool
	Bar   *Bar // a progress bar behind the text
	// Indent is how far to the right icon and text begin, in a tree.
	Indent float32
}

// Bar is a progress bar in a cell.
type Bar struct {
	Fraction float32             // 0 to 1
	Color    fyne.ThemeColorName // empty: the accent
}

// Empty is what a table shows when it has no rows: what would be here, and how to get it.
type Empty struct {
	Text   string
	Hint   string // a second, muted line
	Button string // the title of a button; empty: none
	OnTap  func()
}

// Table is a dense table of rows of the same height, which draws only the rows that can be seen: 100,000 rows cost what 30
// do. The model stays outside: Length, Cell and Key are asked when the table draws, on the UI goroutine, and must be quick.
// After the model has changed, call [Table.Refresh].
//
// Selection and cursor are kept by Key, so they survive sorting, filtering and reloading. The mouse selects with click,
// Ctrl+click and Shift+click; the keyboard with arrows, PgUp, PgDn, Home and End (with Shift: extend; with Ctrl: move only),
// Space (toggle), Ctrl+A and by typing the beginning of a name. Enter and a double click activate.
type Table struct {
	widget.BaseWidget

	Length func() int
	Cell   func(row, col int) Cell
	// Key names a row for good. Nil: the row number.
	Key func(row int) string

	// OnActivated is called for Enter and a double click.
	OnActivated func(row int)
	// OnSort is called when the person asks for another order; the table shows it already. Sort the model, then Refresh.
	OnSort func(col int, desc bool)
	// OnMenu asks for the context menu of the selected rows (none: of the table itself) at an absolute position.
	OnMenu             func(rows []int, at fyne.Position)
	OnSelectionChanged func()
	// OnCursorChanged is called when another row becomes the current one.
	OnCursorChanged func(row int)
	OnBackspace     func()
	// OnTab moves on to the next pane (back: the one before). Nil: Tab moves the focus as Fyne does.
	OnTab func(back bool)
	// OnKey sees each key that the table does not use itself, before the window does. It says whether it used it.
	OnKey func(*fyne.KeyEvent) bool
	// OnShortcut sees each shortcut that the table does not use itself, before the window does.
	OnShortcut func(fyne.Shortcut) bool
	// OnFocus tells that the table got or lost the keyboard.
	OnFocus func(focused bool)
	// OnResized tells that the person changed column widths.
	OnResized func()
	// OnDrag and OnDrop follow a drag that began on a selected row, in absolute positions. A drag that Escape ends is
	// dropped without rows.
	OnDrag func(rows []int, at fyne.Position)
	OnDrop func(rows []int, at fyne.Position)
	// NotAll says of a row that Ctrl+A leaves it alone. Nil: of none.
	NotAll func(row int) bool
	// Single allows one selected row at most.
	Single bool
	// Fold returns a row's text in lower case for typing to find. Nil: the text of TypeColumn.
	Fold func(row int) string
	// OnHeaderMenu asks for a menu about the columns, at an absolute position.
	OnHeaderMenu func(at fyne.Position)
	// TypeColumn is the column that typing searches; 0 unless told.
	TypeColumn int
	// HideHeader leaves the header out. Set it before the table is shown.
	HideHeader bool
	// Label is the table's name for screen readers.
	Label string
	// Page is what the wheel moves while the table has nothing to scroll: the page that it stands on. Nil: nothing.
	Page fyne.Scrollable

	columns  []Column
	empty    Empty
	selected map[string]struct{}
	cursor   int // row, -1: none
	cursorID string
	anchorID string
	anchor   int
	sortCol  int
	sortDesc bool
	offset   float32
	hover    int
	focused  bool

	header *tableHeader
	body   *tableBody
	bar    *scrollBar

	lastDown   time.Time
	lastDownID string
	collapse   string // key of the row to be left alone in the selection when the button comes up without a drag
	dragging   bool
	dropped    bool // the drag has ended, though the button is down yet
	drop       int  // the row that takes what is dragged; -1: none
	editing    *tableEdit
	armed      string  // key of the row that the second click of a double click went down on
	travel     float32 // how far the mouse went with its button down
	dragAt     fyne.Position
	typed      string
	typedAt    time.Time
	now        func() time.Time
	mods       func() fyne.KeyModifier
	ellipsis   *ellipsisCache
	changes    uint64
}

var (
	_ fyne.Focusable    = (*Table)(nil)
	_ fyne.Shortcutable = (*Table)(nil)
	_ fyne.Tabbable     = (*Table)(nil)
)

// typeAheadPause ends a word typed to find a row.
const typeAheadPause = time.Second

// NewTable returns a table with the given columns and no model yet.
func NewTable(columns ...Column) *Table {
	t := &Table{
		selected: map[string]struct{}{}, cursor: -1, anchor: -1, sortCol: -1, hover: -1, drop: -1,
		now: time.Now, mods: modifiers, ellipsis: newEllipsisCache(),
	}
	t.header = &tableHeader{t: t, grip: -1, over: -1}
	t.header.ExtendBaseWidget(t.header)
	t.body = &tableBody{t: t}
	t.body.ExtendBaseWidget(t.body)
	t.bar = &scrollBar{moved: func(offset float32) { t.scrollTo(offset) }, taken: func() { FocusOn(t) }}
	t.bar.ExtendBaseWidget(t.bar)
	t.columns = columns
	t.ExtendBaseWidget(t)
	return t
}

// SetColumns replaces the columns.
func (t *Table) SetColumns(columns []Column) {
	t.columns = columns
	t.Refresh()
}

// Columns returns the columns with their present widths.
func (t *Table) Columns() []Column { return append([]Column(nil), t.columns...) }

// SetEmpty says what is shown when there are no rows.
func (t *Table) SetEmpty(e Empty) {
	t.empty = e
	t.body.setEmpty(e)
	t.Refresh()
}

// SetSort shows the order in the header without calling OnSort. col -1: no order.
func (t *Table) SetSort(col int, desc bool) {
	t.sortCol, t.sortDesc = col, desc
	t.header.Refresh()
}

// Sort returns the order that the header shows; col is -1 when there is none.
func (t *Table) Sort() (col int, desc bool) { return t.sortCol, t.sortDesc }

// SortBy orders by col, as a click on its header does: a second time turns the order round.
func (t *Table) SortBy(col int) {
	if col < 0 || col >= len(t.columns) || !t.columns[col].Sortable {
		return
	}
	if t.sortCol == col {
		t.sortDesc = !t.sortDesc
	} else {
		t.sortCol, t.sortDesc = col, false
	}
	t.header.Refresh()
	if t.OnSort != nil {
		t.OnSort(t.sortCol, t.sortDesc)
	}
}

func (t *Table) length() int {
	if t.Length == nil {
		return 0
	}
	return t.Length()
}

func (t *Table) key(row int) string {
	if t.Key == nil {
		return strconv.Itoa(row)
	}
	return t.Key(row)
}

// Refresh draws the model again. Keys that are gone leave the selection, and the cursor follows its row.
func (t *Table) Refresh() {
	t.changes++
	changed := t.reconcile()
	t.offset = clamp(t.offset, 0, t.maxOffset())
	t.header.Refresh()
	t.body.update(true)
	t.updateBar()
	t.placeEdit()
	t.BaseWidget.Refresh()
	if changed && t.OnSelectionChanged != nil {
		t.OnSelectionChanged()
	}
}

// reconcile brings selection and cursor in line with the model and says whether the selection lost rows.
func (t *Table) reconcile() bool {
	n := t.length()
	findCursor := t.cursorID != "" && (t.cursor < 0 || t.cursor >= n || t.key(t.cursor) != t.cursorID)
	if !findCursor && len(t.selected) == 0 {
		if t.cursor >= n {
			t.cursor = n - 1
		}
		return false
	}
	kept := make(map[string]struct{}, len(t.selected))
	found := -1
	for row := 0; row < n && (len(kept) < len(t.selected) || findCursor && found < 0); row++ {
		k := t.key(row)
		if _, ok := t.selected[k]; ok {
			kept[k] = struct{}{}
		}
		if k == t.cursorID {
			found = row
		}
	}
	changed := len(kept) != len(t.selected)
	t.selected = kept
	if findCursor {
		if found < 0 { // the row is gone: stay where it was
			t.cursor = min(t.cursor, n-1)
			t.cursorID = ""
			if t.cursor >= 0 {
				t.cursorID = t.key(t.cursor)
			}
		} else {
			t.cursor = found
		}
		t.anchor, t.anchorID = t.cursor, t.cursorID
	}
	return changed
}

// Selected returns the selected rows, from top to bottom.
func (t *Table) Selected() []int {
	if len(t.selected) == 0 {
		return nil
	}
	n := t.length()
	if len(t.selected) == 1 && t.cursor >= 0 && t.cursor < n && t.isSelected(t.cursor) {
		return []int{t.cursor}
	}
	rows := make([]int, 0, len(t.selected))
	for row := 0; row < n && len(rows) < len(t.selected); row++ {
		if t.isSelected(row) {
			rows = append(rows, row)
		}
	}
	return rows
}

// SelectedCount returns how many rows are selected; it costs nothing.
func (t *Table) SelectedCount() int { return len(t.selected) }

// Changes counts what may have changed the selection or its rows: what is made of them holds until it is another one.
func (t *Table) Changes() uint64 { return t.changes }

// SetSelected selects the rows with the given keys and no others. The first of them becomes the current row.
func (t *Table) SetSelected(keys []string) {
	t.selected = make(map[string]struct{}, len(keys))
	for _, k := range keys {
		t.selected[k] = struct{}{}
		if t.Single {
			break
		}
	}
	if len(keys) > 0 {
		t.cursorID, t.cursor = keys[0], -1
	}
	t.reconcile()
	if len(keys) > 0 && t.cursor >= 0 {
		t.anchor, t.anchorID = t.cursor, t.cursorID
		t.ScrollTo(t.cursor)
	}
	t.selectionChanged()
}

// SelectAll selects every row but those that NotAll names.
func (t *Table) SelectAll() {
	if t.Single {
		return
	}
	n := t.length()
	t.selected = make(map[string]struct{}, n)
	for row := range n {
		if t.NotAll == nil || !t.NotAll(row) {
			t.selected[t.key(row)] = struct{}{}
		}
	}
	t.selectionChanged()
}

// ClearSelection selects nothing.
func (t *Table) ClearSelection() {
	clear(t.selected)
	t.selectionChanged()
}

// Cursor returns the current row, or -1.
func (t *Table) Cursor() int {
	if t.cursor >= t.length() {
		return -1
	}
	return t.cursor
}

// SetCursor makes row the current and only selected one, and shows it.
func (t *Table) SetCursor(row int) {
	if row < 0 || row >= t.length() {
		return
	}
	t.moveCursor(row, 0)
}

// ScrollTo moves the view just as far as row needs to be seen.
func (t *Table) ScrollTo(row int) {
	top, height := float32(row)*RowHeight, t.body.Size().Height
	switch {
	case top < t.offset:
		t.scrollTo(top)
	case top+RowHeight > t.offset+height:
		t.scrollTo(top + RowHeight - height)
	}
}

// Seen returns the first and the last row that can be seen, in part at least; before the table is laid out, all rows may be.
func (t *Table) Seen() (first, last int) {
	height := t.body.Size().Height
	if height <= 0 {
		return 0, t.length() - 1
	}
	return int(t.offset / RowHeight), min(t.length()-1, int((t.offset+height)/RowHeight))
}

// Focused says whether the table has the keyboard.
func (t *Table) Focused() bool { return t.focused }

func (t *Table) isSelected(row int) bool {
	_, ok := t.selected[t.key(row)]
	return ok
}

func (t *Table) selectionChanged() {
	t.changes++
	t.body.update(true)
	if t.OnSelectionChanged != nil {
		t.OnSelectionChanged()
	}
}

func (t *Table) setCursor(row int) {
	if row == t.cursor && t.cursorID != "" && t.key(row) == t.cursorID {
		return
	}
	t.cursor, t.cursorID = row, t.key(row)
	if t.OnCursorChanged != nil {
		t.OnCursorChanged(row)
	}
}

// moveCursor goes to row: alone it selects that row only, with Shift from the anchor to it, with Ctrl it moves only.
func (t *Table) moveCursor(row int, mods fyne.KeyModifier) {
	n := t.length()
	if n == 0 {
		return
	}
	row = max(0, min(row, n-1))
	switch {
	case mods&fyne.KeyModifierShift != 0 && !t.Single:
		t.extendTo(row, false)
	case mods&fyne.KeyModifierShortcutDefault != 0:
		t.setCursor(row)
		t.anchor, t.anchorID = row, t.key(row)
		t.body.update(true)
	default:
		t.setCursor(row)
		t.anchor, t.anchorID = row, t.cursorID
		clear(t.selected)
		t.selected[t.cursorID] = struct{}{}
		t.selectionChanged()
	}
	t.ScrollTo(row)
}

// extendTo selects from the anchor to row; add keeps what was selected before.
func (t *Table) extendTo(row int, add bool) {
	from := t.anchor
	if n := t.length(); from < 0 || from >= n || t.key(from) != t.anchorID {
		from = t.cursor
		if from < 0 || from >= n {
			from = 0
		}
		t.anchor, t.anchorID = from, t.key(from)
	}
	if !add {
		clear(t.selected)
	}
	for i := min(from, row); i <= max(from, row); i++ {
		t.selected[t.key(i)] = struct{}{}
	}
	t.setCursor(row)
	t.selectionChanged()
}

func (t *Table) toggle(row int) {
	k := t.key(row)
	_, was := t.selected[k]
	if t.Single {
		clear(t.selected)
	}
	if was {
		delete(t.selected, k)
	} else {
		t.selected[k] = struct{}{}
	}
	t.setCursor(row)
	t.anchor, t.anchorID = row, k
	t.selectionChanged()
}

func (t *Table) activate(row int) {
	if row >= 0 && row < t.length() && t.OnActivated != nil {
		t.OnActivated(row)
	}
}

// mouseDown acts at once: Fyne's own double tap would make each click wait 300 ms.
func (t *Table) mouseDown(ev *desktop.MouseEvent) {
	FocusOn(t)
	t.endWord()
	row := t.rowAt(ev.Position.Y)
	t.collapse, t.armed, t.travel = "", "", 0
	if row < 0 {
		t.lastDownID = ""
		if ev.Modifier&(fyne.KeyModifierShortcutDefault|fyne.KeyModifierShift) == 0 && len(t.selected) > 0 {
			t.ClearSelection()
		}
		return
	}
	k := t.key(row)
	if ev.Button == desktop.MouseButtonSecondary {
		if !t.isSelected(row) {
			t.moveCursor(row, 0)
		} else {
			t.setCursor(row)
			t.body.update(true)
		}
		return
	}
	if ev.Button != desktop.MouseButtonPrimary {
		return
	}
	now := t.now()
	if ev.Modifier == 0 && k == t.lastDownID && now.Sub(t.lastDown) <= fyne.CurrentApp().Driver().DoubleTapDelay() {
		t.lastDownID = ""
		t.armed = k
		return
	}
	t.lastDown, t.lastDownID = now, k
	ctrl := ev.Modifier&fyne.KeyModifierShortcutDefault != 0
	switch {
	case ev.Modifier&fyne.KeyModifierShift != 0 && !t.Single:
		t.extendTo(row, ctrl)
	case ctrl:
		t.toggle(row)
	case t.isSelected(row) && len(t.selected) > 1:
		t.setCursor(row) // maybe a drag of all of them begins
		t.collapse = k
		t.body.update(true)
	default:
		t.moveCursor(row, 0)
	}
}

func (t *Table) mouseUp(*desktop.MouseEvent) {
	if t.collapse != "" && !t.dragging && t.cursor >= 0 && t.cursor < t.length() && t.key(t.cursor) == t.collapse {
		t.moveCursor(t.cursor, 0)
	}
	t.collapse = ""
}

// tapped ends a double click. Not before: a dialog opened while the button is still down, or while Fyne works off its
// release, loses the keyboard again.
func (t *Table) tapped() {
	if t.armed != "" && t.cursor >= 0 && t.cursor < t.length() && t.key(t.cursor) == t.armed {
		t.armed = ""
		t.activate(t.cursor)
	}
}

func (t *Table) dragged(ev *fyne.DragEvent) {
	t.travel += max(ev.Dragged.DX, -ev.Dragged.DX) + max(ev.Dragged.DY, -ev.Dragged.DY)
	if t.travel < dragStart { // a hand that shakes
		return
	}
	t.armed = ""
	if t.OnDrag == nil || len(t.selected) == 0 || t.dropped {
		return
	}
	t.dragging, t.dragAt = true, ev.AbsolutePosition
	t.OnDrag(t.Selected(), t.dragAt)
}

func (t *Table) dragEnd() {
	if t.dragging || t.dropped {
		FocusOn(t) // Fyne took the keyboard away where the button came up outside
	}
	if t.dragging && t.OnDrop != nil {
		t.OnDrop(t.Selected(), t.dragAt)
	}
	t.dragging, t.dropped, t.collapse = false, false, ""
	t.tapped()
}

// tappedSecondary opens the menu of the row below the mouse. The click may have closed another menu: then the table has not
// heard the button go down.
func (t *Table) tappedSecondary(ev *fyne.PointEvent) {
	t.mouseDown(&desktop.MouseEvent{PointEvent: *ev, Button: desktop.MouseButtonSecondary, Modifier: t.mods()})
	t.menuAt(ev.AbsolutePosition)
}

func (t *Table) menuAt(at fyne.Position) {
	if t.OnMenu != nil {
		t.OnMenu(t.Selected(), at)
	}
}

// menuAtCursor opens the context menu from the keyboard.
func (t *Table) menuAtCursor() {
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(t.body)
	if row := t.Cursor(); row >= 0 {
		t.ScrollTo(row)
		at = at.AddXY(24, float32(row+1)*RowHeight-t.offset)
	}
	t.menuAt(at)
}

// rowAt returns the row at y of the body, or -1.
func (t *Table) rowAt(y float32) int {
	row := int((y + t.offset) / RowHeight)
	if y < 0 || row < 0 || row >= t.length() {
		return -1
	}
	return row
}

// RowAt returns the row at an absolute position, and how far down in it that is, from 0 to 1; beyond the last row it returns
// the length, and outside the table -1.
func (t *Table) RowAt(at fyne.Position) (row int, part float32) {
	top := fyne.CurrentApp().Driver().AbsolutePositionForObject(t.body)
	size := t.body.Size()
	p := at.Subtract(top)
	if p.X < 0 || p.Y < 0 || p.X >= size.Width || p.Y >= size.Height {
		return -1, 0
	}
	y := (p.Y + t.offset) / RowHeight
	if int(y) >= t.length() {
		return t.length(), 0
	}
	return int(y), y - float32(int(y))
}

func (t *Table) page() int { return max(1, int(t.body.Size().Height/RowHeight)-1) }

func (t *Table) maxOffset() float32 {
	return max(0, float32(t.length())*RowHeight-t.body.Size().Height)
}

func (t *Table) scrollTo(offset float32) {
	offset = clamp(offset, 0, t.maxOffset())
	if offset == t.offset {
		return
	}
	t.offset = offset
	t.body.update(false)
	t.updateBar()
	t.placeEdit()
}

func (t *Table) updateBar() {
	t.bar.set(t.offset, t.body.Size().Height, float32(t.length())*RowHeight)
}

// FocusGained is called by Fyne.
func (t *Table) FocusGained() { t.setFocus(true) }

// FocusLost is called by Fyne.
func (t *Table) FocusLost() { t.setFocus(false) }

func (t *Table) setFocus(on bool) {
	t.focused = on
	t.endWord()
	if on && t.cursor < 0 && t.length() > 0 {
		t.setCursor(0)
		t.anchor, t.anchorID = 0, t.cursorID
	}
	t.body.update(true)
	if t.OnFocus != nil {
		t.OnFocus(on)
	}
}

func (t *Table) shade(on bool) {
	t.focused = !on
	t.body.update(true)
}

// AcceptsTab is called by Fyne.
func (t *Table) AcceptsTab() bool { return t.OnTab != nil }

// TypedKey is called by Fyne.
func (t *Table) TypedKey(ev *fyne.KeyEvent) {
	mods := t.mods()
	if !writes(ev.Name) {
		t.endWord()
	}
	if ev.Name == fyne.KeyEscape && t.cancelDrag() {
		return
	}
	if ev.Name == fyne.KeyF10 && mods&fyne.KeyModifierShift != 0 && t.OnMenu != nil {
		t.menuAtCursor()
		return
	}
	switch ev.Name {
	case fyne.KeyUp, fyne.KeyDown, fyne.KeyPageUp, fyne.KeyPageDown, fyne.KeyHome, fyne.KeyEnd:
		t.moveKey(ev.Name, mods)
	case fyne.KeyReturn, fyne.KeyEnter:
		if t.OnActivated != nil && t.Cursor() >= 0 {
			t.activate(t.cursor)
			return
		}
		t.passKey(ev)
	case fyne.KeyBackspace:
		if t.OnBackspace != nil {
			t.OnBackspace()
			return
		}
		t.passKey(ev)
	case fyne.KeySpace:
		if !t.inWord() {
			if row := t.Cursor(); row >= 0 {
				t.toggle(row)
			}
		}
	case fyne.KeyTab:
		if t.OnTab != nil {
			t.OnTab(mods&fyne.KeyModifierShift != 0)
		}
	case desktop.KeyMenu:
		if t.OnMenu != nil {
			t.menuAtCursor()
			return
		}
		t.passKey(ev)
	default:
		if writes(ev.Name) { // letters and digits come again as runes
			return
		}
		t.passKey(ev)
	}
}

// writes says whether a key is part of typing: what it writes, if anything, comes to TypedRune. Fyne names no key for letters
// that it doesn't know.
func writes(key fyne.KeyName) bool {
	switch key {
	case "", fyne.KeySpace, desktop.KeyShiftLeft, desktop.KeyShiftRight, desktop.KeyControlLeft, desktop.KeyControlRight,
		desktop.KeyAltLeft, desktop.KeyAltRight, desktop.KeyCapsLock:
		return true
	}
	return len(key) == 1
}

// inWord says whether a word is being typed to find a row.
func (t *Table) inWord() bool { return t.typed != "" && t.now().Sub(t.typedAt) <= typeAheadPause }

// endWord lets the next letter begin a new word: whoever clicked or pressed another key in between is looking for something
// else, however quick that was.
func (t *Table) endWord() { t.typed = "" }

func (t *Table) passKey(ev *fyne.KeyEvent) {
	if t.OnKey == nil || !t.OnKey(ev) {
		passKey(t, ev)
	}
}

func (t *Table) moveKey(name fyne.KeyName, mods fyne.KeyModifier) {
	row := t.cursor
	switch name {
	case fyne.KeyUp:
		row--
	case fyne.KeyDown:
		row++
	case fyne.KeyPageUp:
		row -= t.page()
	case fyne.KeyPageDown:
		row += t.page()
	case fyne.KeyHome:
		row = 0
	case fyne.KeyEnd:
		row = t.length() - 1
	}
	t.moveCursor(row, mods)
}

// TypedRune finds the next row that begins with what is being typed.
func (t *Table) TypedRune(r rune) {
	if !unicode.IsPrint(r) || t.Cell == nil {
		return
	}
	now := t.now()
	fresh := !t.inWord()
	if fresh && r == ' ' { // the key toggled the row
		t.typed = ""
		return
	}
	letter := strings.ToLower(string(r))
	if fresh {
		t.typed = ""
	}
	from := t.cursor
	if t.typed == "" || t.typed == letter { // the first letter, and the same again, go on to the next row
		t.typed = letter
		from++
	} else {
		t.typed += letter
	}
	t.typedAt = now
	n := t.length()
	for i := range n {
		row := (max(from, 0) + i) % n
		if strings.HasPrefix(t.folded(row), t.typed) {
			t.moveCursor(row, 0)
			return
		}
	}
}

func (t *Table) folded(row int) string {
	if t.Fold != nil {
		return t.Fold(row)
	}
	return strings.ToLower(t.Cell(row, t.TypeColumn).Text)
}

// TypedShortcut is called by Fyne for keys with Ctrl, Alt or Super.
func (t *Table) TypedShortcut(s fyne.Shortcut) {
	t.endWord()
	switch s := s.(type) {
	case *fyne.ShortcutSelectAll:
		if !t.Single {
			t.SelectAll()
			return
		}
	case *desktop.CustomShortcut:
		if s.Modifier&fyne.KeyModifierShortcutDefault != 0 && s.Modifier&(fyne.KeyModifierAlt) == 0 && !t.Single {
			switch s.KeyName {
			case fyne.KeyUp, fyne.KeyDown, fyne.KeyPageUp, fyne.KeyPageDown, fyne.KeyHome, fyne.KeyEnd:
				t.moveKey(s.KeyName, s.Modifier)
				return
			case fyne.KeySpace:
				if row := t.Cursor(); row >= 0 {
					t.toggle(row)
				}
				return
			}
		}
	}
	if t.OnShortcut != nil && t.OnShortcut(s) {
		return
	}
	passShortcut(t, s)
}

// AccessibilityLabel names the table for screen readers.
func (t *Table) AccessibilityLabel() string { return t.Label }

// AccessibilityRole says what the table is.
func (t *Table) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleContainer }

// widths shares the width among the columns.
func (t *Table) widths(total float32) []float32 {
	w := make([]float32, len(t.columns))
	flex, fixed, slack := -1, float32(0), float32(0)
	for i, c := range t.columns {
		if c.Flex && flex < 0 {
			flex = i
			continue
		}
		w[i] = max(c.Width, c.min())
		fixed += w[i]
		slack += w[i] - c.min()
	}
	rest := total - fixed
	if flex < 0 {
		return w
	}
	for i := len(w) - 1; i >= 0 && rest < t.columns[flex].Wish; i-- {
		if c := t.columns[i]; c.Yields {
			rest += w[i]
			slack -= w[i] - c.min()
			w[i] = 0
		}
	}
	least := t.columns[flex].min()
	if rest < least && slack > 0 { // too narrow: the others give what they can
		give := min(1, (least-rest)/slack)
		for i, c := range t.columns {
			if i != flex && w[i] > 0 {
				cut := (w[i] - c.min()) * give
				w[i] -= cut
				rest += cut
			}
		}
	}
	w[flex] = max(rest, least)
	return w
}

func (c Column) min() float32 {
	if c.Min > 0 {
		return c.Min
	}
	return 40
}

// CreateRenderer is called by Fyne.
func (t *Table) CreateRenderer() fyne.WidgetRenderer {
	t.ExtendBaseWidget(t)
	return &tableRenderer{t: t}
}

type tableRenderer struct{ t *Table }

func (r *tableRenderer) Layout(size fyne.Size) {
	top := float32(0)
	if !r.t.HideHeader {
		top = RowHeight
		r.t.header.Resize(fyne.NewSize(size.Width, RowHeight))
	}
	r.t.header.Hidden = r.t.HideHeader
	r.t.body.Move(fyne.NewPos(0, top))
	r.t.body.Resize(fyne.NewSize(size.Width, max(0, size.Height-top)))
	r.t.bar.Move(fyne.NewPos(size.Width-scrollBarWidth, top))
	r.t.bar.Resize(fyne.NewSize(scrollBarWidth, max(0, size.Height-top)))
	r.t.offset = clamp(r.t.offset, 0, r.t.maxOffset())
	r.t.body.update(false)
	r.t.updateBar()
	r.t.placeEdit()
}

func (r *tableRenderer) MinSize() fyne.Size { return fyne.NewSize(120, 3*RowHeight) }
func (r *tableRenderer) Refresh()           { canvas.Refresh(r.t) }
func (r *tableRenderer) Destroy()           {}
func (r *tableRenderer) Objects() []fyne.CanvasObject {
	objects := []fyne.CanvasObject{r.t.header, r.t.body, r.t.bar}
	if r.t.editing != nil {
		objects = append(objects, r.t.editing.entry)
	}
	return objects
}

func clamp(v, lo, hi float32) float32 { return max(lo, min(v, hi)) }

// ellipsisCache remembers how texts were cut: measuring is the dear part of drawing a row.
type ellipsisCache struct {
	cut map[ellipsisKey]string
}

type ellipsisKey struct {
	text  string
	width int
	size  float32
	style fyne.TextStyle
}

const ellipsisCacheSize = 8192

func newEllipsisCache() *ellipsisCache { return &ellipsisCache{cut: map[ellipsisKey]string{}} }

// fit returns text, or its beginning and an ellipsis when it is wider than width.
func (c *ellipsisCache) fit(text string, width, size float32, style fyne.TextStyle) string {
	if text == "" || width <= 0 {
		return ""
	}
	k := ellipsisKey{text, int(width), size, style}
	if cut, ok := c.cut[k]; ok {
		return cut
	}
	cut := text
	if fyne.MeasureText(text, size, style).Width > width {
		runes := []rune(text)
		lo, hi := 0, len(runes) // runes[:lo] fits with the ellipsis, runes[:hi] does not
		for hi-lo > 1 {
			mid := (lo + hi) / 2
			if fyne.MeasureText(string(runes[:mid])+"…", size, style).Width <= width {
				lo = mid
			} else {
				hi = mid
			}
		}
		cut = strings.TrimRight(string(runes[:lo]), " ") + "…"
	}
	if len(c.cut) >= ellipsisCacheSize {
		clear(c.cut)
	}
	c.cut[k] = cut
	return cut
}
