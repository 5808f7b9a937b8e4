package ui

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client/secrets"
	"portside/ui/kit"
	"portside/ui/uitest"
)

func TestTheMasterPasswordIsChangedInSettings(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	path := filepath.Join(dir, "vault.json")
	opened := func(password string) error {
		v := secrets.NewVault(path)
		v.Work = 4
		return v.Unlock(password)
	}
	core, queue := app.New(dir), uitest.NewQueue()
	w := New(uitest.App(t, kit.Dark), core, Options{Post: queue.Post})
	t.Cleanup(func() {
		w.Close()
		if err := core.Close(context.Background()); err != nil {
			t.Error(err)
		}
		w.Window.Close()
	})
	w.Resize(fyne.NewSize(kit.MinWidth, kit.MinHeight))
	w.show("settings")
	s := w.settings
	if s.refresh(); !s.master.Disabled() || !strings.Contains(s.where.String(), "keyring") {
		t.Error("without a vault there is a master password to change")
	}
	if err := opened("one"); err != nil {
		t.Fatal(err)
	}
	if s.refresh(); s.master.Disabled() || strings.Contains(s.where.String(), "keyring") {
		t.Error("with a vault there is no master password to change")
	}
	s.master.OnTapped()
	uitest.Settle(w)
	uitest.Shot(t, w, "master-change")
	fields := find[*kit.Entry](w)
	try := func(old, password, again, want string) {
		t.Helper()
		for i, text := range []string{old, password, again} {
			fields[i].SetText(text)
		}
		uitest.Key(w, fyne.KeyReturn)
		queue.Await(t, want, func() bool { return strings.Contains(dialogText(w), want) })
	}
	try("", "two", "two", "Type the current")
	try("one", "", "", "Type the new")
	try("one", "two", "", "once more below")
	try("one", "two", "twi", "not the same")
	try("wrong", "two", "two", "not the current master password")
	if w.Canvas().Focused() != fyne.Focusable(fields[0]) || opened("one") != nil {
		t.Errorf("after a wrong one the keyboard is at %T; the vault: %v", w.Canvas().Focused(), opened("one"))
	}
	fields[0].SetText("one")
	uitest.Key(w, fyne.KeyReturn)
	uitest.Key(w, fyne.KeyEscape)
	if w.dialogs() != 1 {
		t.Error("it went away before it was known whether the change is made")
	}
	queue.Await(t, "it is changed", func() bool { return w.dialogs() == 0 })
	if err := opened("two"); err != nil {
		t.Errorf("the new one: %v", err)
	}
}
