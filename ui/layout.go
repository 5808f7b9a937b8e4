package ui

import (
	"fyne.io/fyne/v2"

	"portside/ui/kit"
)

// The smallest window that the screens are laid out for is 900x600: a window can't be made smaller than its content, so
// what is wide gives way here.

// reflow puts objects in a row where there is room for it, and below each other where there is not.
type reflow struct {
	at           func() float32 // the least width of the row
	wide, narrow fyne.Layout
	width        float32
}

// newReflow lays objects out in a row from the width at on. gap is in the row, lines in the column.
func newReflow(at func() float32, gap, lines float32, objects ...fyne.CanvasObject) *fyne.Container {
	box := kit.HBox(gap, objects...)
	box.Layout = &reflow{at: at, wide: box.Layout, narrow: kit.VBox(lines).Layout}
	return box
}

func (r *reflow) now() fyne.Layout {
	if r.width >= r.at() {
		return r.wide
	}
	return r.narrow
}

func (r *reflow) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	r.width = size.Width
	r.now().Layout(objects, size)
}

func (r *reflow) MinSize(objects []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(r.narrow.MinSize(objects).Width, r.now().MinSize(objects).Height)
}

// elastic puts objects in a row; each is from least to most wide. One grows without end once the others have most.
type elastic struct {
	gap         float32
	grows       int       // the index of that one
	least, most []float32 // by object; a least of 0 is the object's own width
}

func (e *elastic) bounds(objects []fyne.CanvasObject, i int) (least, most float32) {
	least, most = e.least[i], e.most[i]
	if least == 0 {
		least = objects[i].MinSize().Width
	}
	return least, max(least, most)
}

func (e *elastic) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	rest := size.Width - e.MinSize(objects).Width
	room := float32(0)
	for i := range objects {
		least, most := e.bounds(objects, i)
		room += most - least
	}
	share := float32(1)
	if room > 0 {
		share = max(0, min(1, rest/room))
	}
	x := float32(0)
	for i, o := range objects {
		least, most := e.bounds(objects, i)
		w := float32(int(least + share*(most-least)))
		if i == e.grows {
			w += max(0, float32(int(rest-room)))
		}
		o.Move(fyne.NewPos(x, 0))
		o.Resize(fyne.NewSize(w, size.Height))
		x += w + e.gap
	}
}

func (e *elastic) MinSize(objects []fyne.CanvasObject) fyne.Size {
	m := fyne.NewSize(e.gap*float32(len(objects)-1), 0)
	for i, o := range objects {
		least, _ := e.bounds(objects, i)
		m.Width += least
		m.Height = max(m.Height, o.MinSize().Height)
	}
	return m
}

// sideBySide gives the first object a share of the width within bounds, and the second the rest.
type sideBySide struct {
	gap, share, least, most float32
}

func (s *sideBySide) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	w := float32(int(max(s.least, min(s.most, size.Width*s.share))))
	objects[0].Move(fyne.NewPos(0, 0))
	objects[0].Resize(fyne.NewSize(w, size.Height))
	objects[1].Move(fyne.NewPos(w+s.gap, 0))
	objects[1].Resize(fyne.NewSize(size.Width-w-s.gap, size.Height))
}

func (s *sideBySide) MinSize(objects []fyne.CanvasObject) fyne.Size {
	a, b := objects[0].MinSize(), objects[1].MinSize()
	return fyne.NewSize(s.least+s.gap+b.Width, max(a.Height, b.Height))
}

// shorten cuts a text that would push others out of a bar: the middle goes, so that a path keeps its end.
func shorten(text string, most int) string {
	r := []rune(text)
	if len(r) <= most {
		return text
	}
	head := (most - 1) / 3
	return string(r[:head]) + "…" + string(r[len(r)-(most-1-head):])
}
