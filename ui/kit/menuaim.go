package kit

import (
	"slices"
	"time"

	"fyne.io/fyne/v2"
)

const (
	// aimPause is how long a pointer that has stopped on its way to a submenu keeps that open.
	aimPause = 300 * time.Millisecond
	// aimStep is what one looks back by for where the pointer comes from: single moves go by whole pixels.
	aimStep float32 = 5
)

// menuAim lets the pointer take the short way to an open submenu, across other rows, without these closing it: as long as it
// is inside the triangle between where it comes from and the submenu's near edge.
type menuAim struct {
	from, mid, at fyne.Position // where the pointer was two steps ago and one step ago, and where it is
	passed        *menuRowItem  // the row under a pointer on its way to the submenu of another
	pause         *time.Timer
	after         func(time.Duration, func()) *time.Timer
}

// afterPause runs f on the UI goroutine.
func afterPause(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { fyne.Do(f) })
}

// stop forgets the row that the pointer passes over.
func (a *menuAim) stop() {
	a.passed = nil
	if a.pause != nil {
		a.pause.Stop()
	}
}

func (a *menuAim) moved(at fyne.Position) {
	a.at = at
	if d := at.Subtract(a.mid); d.X*d.X+d.Y*d.Y >= aimStep*aimStep {
		a.from, a.mid = a.mid, at
	}
}

// towards says whether the pointer is on its way from a row of parent to the submenu.
func (a *menuAim) towards(submenu, parent *menuPanel) bool {
	edge := submenu.Position().X
	if edge < parent.Position().X {
		edge += submenu.Size().Width
	}
	if edge == a.from.X {
		return false
	}
	way, down := (a.at.X-a.from.X)/(edge-a.from.X), a.at.Y-a.from.Y
	top := submenu.Position().Y - a.from.Y
	return way > 0 && way <= 1 && down >= top*way && down <= (top+submenu.Size().Height)*way
}

// hover takes up the row under the pointer, unless that is on its way to the submenu of another row.
func (l *menuLayer) hover(row *menuRowItem, at fyne.Position) {
	l.aim.moved(at)
	l.aim.stop()
	p := row.panel
	if submenu := l.submenu(p); submenu == nil || row.index == p.active || !l.aim.towards(submenu, p) {
		row.takeUp()
		return
	}
	l.aim.passed = row
	l.aim.pause = l.aim.after(aimPause, func() {
		if l.aim.passed == row {
			l.aim.stop()
			row.takeUp()
		}
	})
}

// submenu is what is open beside p; nil: nothing.
func (l *menuLayer) submenu(p *menuPanel) *menuPanel {
	if i := slices.Index(l.panels, p); i >= 0 && i+1 < len(l.panels) {
		return l.panels[i+1]
	}
	return nil
}
