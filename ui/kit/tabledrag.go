package kit

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
)

// dragStart is how far the mouse goes with its button down before that is a drag.
const dragStart float32 = 8

// MarkDrop shows a row as the one that takes what is dragged; -1: none.
func (t *Table) MarkDrop(row int) {
	if row == t.drop {
		return
	}
	t.drop = row
	t.body.update(true)
}

// cancelDrag ends a drag without a drop, and says whether there was one.
func (t *Table) cancelDrag() bool {
	if !t.dragging {
		return false
	}
	t.dragging, t.dropped = false, true
	if t.OnDrop != nil {
		t.OnDrop(nil, t.dragAt)
	}
	return true
}

// ShowDragged shows at an absolute position what is being dragged; an empty text takes it away.
func ShowDragged(o fyne.CanvasObject, text string, at fyne.Position) {
	f := floatsOf(o)
	if f == nil {
		return
	}
	if text == "" {
		f.ghost.Hide()
		return
	}
	if !f.ghost.Visible() || f.ghost.text != text {
		f.ghost.show(text, "", "")
		f.ghost.Resize(f.ghost.MinSize())
	}
	size := f.ghost.Size()
	f.ghost.Move(fyne.NewPos(min(at.X+14, f.size.Width-size.Width), min(at.Y+12, f.size.Height-size.Height)))
	canvas.Refresh(o)
}
