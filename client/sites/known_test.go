package sites

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheSitesOfOtherProgramsAreFound(t *testing.T) {
	home := t.TempDir()
	p := Places{Home: home, Config: filepath.Join(home, ".config"), Data: filepath.Join(home, ".local", "share")}
	if got := Find(p); got != nil {
		t.Errorf("in an empty home: %v", got)
	}
	put := func(content string, name ...string) string {
		file := filepath.Join(append([]string{home}, name...)...)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	want := []Source{
		{FileZilla, put("<FileZilla3/>", ".config", "filezilla", "sitemanager.xml")}, // once, though it is in both places
		{Cyberduck, filepath.Dir(put("<plist/>", ".config", "Cyberduck", "Bookmarks", "a.duck"))},
		{LFTP, put("a\tftp://a/\n", ".local", "share", "lftp", "bookmarks")},
	}
	put("", ".netrc")
	if err := os.MkdirAll(filepath.Join(home, ".gftp", "bookmarks"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := Find(p); !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}
