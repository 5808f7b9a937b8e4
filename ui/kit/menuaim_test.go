package kit

import (
	"slices"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"
)

// pointerAt is the pointer x into a row, at half its height.
func pointerAt(row *menuRowItem, x float32) *desktop.MouseEvent {
	top := fyne.CurrentApp().Driver().AbsolutePositionForObject(row)
	return &desktop.MouseEvent{PointEvent: fyne.PointEvent{AbsolutePosition: top.AddXY(x, row.Size().Height/2)}}
}

// aimRig is an open menu Sort (Name, Size, Time, Rights), Filter (Files, Folders), Refresh, with the pause in the test's hand.
type aimRig struct {
	*menuLayer
	rows  []*menuRowItem
	pause func()
	on    *menuRowItem
}

func newAimRig(t *testing.T, at fyne.Position) *aimRig {
	t.Helper()
	test.NewTempApp(t).Settings().SetTheme(NewTheme(nil))
	b := NewButton("b", nil)
	w := test.NewTempWindow(t, b)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(500, 300))
	with := func(title string, titles ...string) *fyne.MenuItem {
		i := fyne.NewMenuItem(title, nil)
		for n, t := range titles {
			if n == 0 {
				i.ChildMenu = fyne.NewMenu("")
			}
			i.ChildMenu.Items = append(i.ChildMenu.Items, fyne.NewMenuItem(t, nil))
		}
		return i
	}
	ShowMenu(b, fyne.NewMenu("", with("Sort", "Name", "Size", "Time", "Rights"), with("Filter", "Files", "Folders"), with("Refresh")), at)
	r := &aimRig{menuLayer: w.Canvas().Overlays().Top().(*menuLayer)}
	r.rows = r.top().rows
	r.aim.after = func(_ time.Duration, f func()) *time.Timer {
		r.pause = f
		return time.NewTimer(time.Hour)
	}
	return r
}

// move moves the pointer as the window reports it.
func (r *aimRig) move(row *menuRowItem, x float32) {
	if row != r.on {
		if r.on != nil {
			r.on.MouseOut()
		}
		row.MouseIn(pointerAt(row, x))
		r.on = row
	}
	row.MouseMoved(pointerAt(row, x))
}

// open is the first title of the submenu that is open.
func (r *aimRig) open() string {
	if s := r.submenu(r.panels[0]); s != nil {
		return s.rows[0].item.Label
	}
	return ""
}

func TestTheShortWayToASubmenuLeavesItOpen(t *testing.T) {
	for side, at := range map[string]fyne.Position{"right": fyne.NewPos(20, 20), "left": fyne.NewPos(360, 20)} {
		t.Run(side, func(t *testing.T) {
			r := newAimRig(t, at)
			way := []float32{10, 30, 50, 80, 100}
			if side == "left" {
				slices.Reverse(way)
			}
			for i, row := range []int{0, 0, 0, 1, 2} {
				r.move(r.rows[row], way[i])
				if r.open() != "Name" {
					t.Fatalf("%v into %s, the submenu of %q is open", way[i], r.rows[row].item.Label, r.open())
				}
			}
			items := r.submenu(r.panels[0]).rows
			r.move(items[2], 20)
			if r.open() != "Name" || r.top().active != 2 {
				t.Errorf("in the submenu item %d is active", r.top().active)
			}
		})
	}
}

func TestAPointerThatDoesNotGoToTheSubmenuLeavesIt(t *testing.T) {
	for name, way := range map[string][]float32{"straight down": {50, 50, 50}, "away": {90, 60, 30}} {
		t.Run(name, func(t *testing.T) {
			r := newAimRig(t, fyne.NewPos(20, 20))
			r.move(r.rows[0], way[0]-5)
			r.move(r.rows[0], way[0])
			if r.move(r.rows[1], way[1]); r.open() != "Files" {
				t.Errorf("over Filter the submenu of %q is open", r.open())
			}
			if r.move(r.rows[2], way[2]); r.open() != "" {
				t.Errorf("over Refresh the submenu of %q is open", r.open())
			}
		})
	}
}

func TestAPointerThatStopsOnItsWayIsWhereItStopped(t *testing.T) {
	r := newAimRig(t, fyne.NewPos(20, 20))
	for i, x := range []float32{30, 50, 80} {
		r.move(r.rows[i/2], x)
	}
	if r.open() != "Name" || r.pause == nil {
		t.Fatal("the pointer is not on its way")
	}
	if r.pause(); r.open() != "Files" {
		t.Errorf("after the pause the submenu of %q is open", r.open())
	}
	// A pause that ends when the pointer has gone on changes nothing.
	r.move(r.rows[1], 85)
	late := r.pause
	r.move(r.submenu(r.panels[0]).rows[0], 10)
	if late(); r.open() != "Files" {
		t.Errorf("the submenu of %q is open", r.open())
	}
}
