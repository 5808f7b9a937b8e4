package kit_test

import (
	"testing"

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
