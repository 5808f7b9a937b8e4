package ui

import (
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"portside/ui/kit"
)

// find returns the objects of a type that the topmost dialog shows, or the window without one, in their order.
func find[T fyne.CanvasObject](w fyne.Window) []T {
	var out []T
	var look func(o fyne.CanvasObject)
	look = func(o fyne.CanvasObject) {
		if o == nil || !o.Visible() {
			return
		}
		if t, ok := o.(T); ok {
			out = append(out, t)
		}
		switch o := o.(type) {
		case *fyne.Container:
			for _, child := range o.Objects {
				look(child)
			}
		case fyne.Widget:
			for _, child := range test.WidgetRenderer(o).Objects() {
				look(child)
			}
		}
	}
	if top := w.Canvas().Overlays().Top(); top != nil {
		look(top)
	} else {
		look(w.Content())
	}
	return out
}

// dialogText is all that the topmost dialog says in running text.
func dialogText(w fyne.Window) string {
	var out []string
	for _, f := range find[*kit.FlowText](w) {
		out = append(out, f.String())
	}
	return strings.Join(out, "\n")
}

// pressButton presses a button of the topmost dialog.
func pressButton(t *testing.T, w fyne.Window, title string) {
	t.Helper()
	for _, b := range find[*kit.Button](w) {
		if b.Text == title {
			if b.Disabled() {
				t.Fatalf("the button %q is disabled", title)
			}
			b.OnTapped()
			return
		}
	}
	t.Fatalf("no button %q", title)
}
