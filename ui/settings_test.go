package ui

import (
	"testing"

	"portside/app"
	"portside/ui/kit"
)

func TestForgetWaitsForAServerToBeChosen(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	core.ChangeSettings(func(set *app.Settings) { set.Sites = map[string]app.Site{"files.example.org": {}} })
	w.show("settings")
	w.settings.refresh()
	var forget *kit.Button
	for _, b := range find[*kit.Button](w) {
		if b.Text == "Forget" {
			forget = b
		}
	}
	if !forget.Disabled() {
		t.Error("nothing is chosen, and it can be forgotten")
	}
	w.settings.sites.SetSelected([]string{"files.example.org"})
	if forget.Disabled() {
		t.Fatal("what is chosen can't be forgotten")
	}
	forget.Tapped(nil)
	w.settings.refresh()
	if len(core.Settings().Sites) != 0 || !forget.Disabled() {
		t.Errorf("%d servers are left, and Forget is ready: %v", len(core.Settings().Sites), !forget.Disabled())
	}
}
