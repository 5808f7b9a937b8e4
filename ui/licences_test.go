package ui

import (
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	"portside/ui/uitest"
)

func TestLongLinesAreBrokenAtTheirBlanks(t *testing.T) {
	for line, want := range map[string][]string{
		"": {""}, "one two": {"one two"}, "one two three": {"one two", "three"}, "abcdefghijkl": {"abcdefghijkl"}, "abcdefghijkl m": {"abcdefghijkl", "m"},
		" abcdefghijkl": {" abcdefghijkl"},
	} {
		if got := broken(line, 7); !slices.Equal(got, want) {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestTheLicencesCanBeReadAndCopied(t *testing.T) {
	w, _ := shareWindow(t)
	w.show("settings")
	d := openLicences(w)
	uitest.Settle(w)
	uitest.Shot(t, w, "licences")
	if !d.Open() {
		t.Fatal("there is no dialog")
	}
	d.Buttons[0].Run()
	if text := fyne.CurrentApp().Clipboard().Content(); !strings.Contains(text, "github.com/jlaffaye/ftp") || !strings.Contains(text, "Mozilla Public License") {
		t.Errorf("copied %.200q", text)
	}
}
