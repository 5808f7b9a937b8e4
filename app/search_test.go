package app

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzNamesFitPatternsAsPathMatchHasIt(f *testing.F) {
	for _, s := range [][2]string{{"*.jpg", "a.jpg"}, {"?", "ä"}, {"*a*b?", "xxaxxbc"}, {"a*", "b"}, {"**", ""}, {"*é?", "éé"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		pattern, name = strings.TrimSpace(strings.ToLower(pattern)), strings.ToLower(name)
		if !strings.ContainsAny(pattern, "*?") || strings.ContainsAny(pattern+name, `/\[]`) || !utf8.ValidString(pattern+name) {
			t.Skip()
		}
		want, err := path.Match(pattern, name)
		if err != nil {
			t.Skip()
		}
		if got := NameFits(pattern, name); got != want {
			t.Errorf("%q and %q: %v", pattern, name, got)
		}
	})
}

func TestSearchFindsByNameSizeAndTimeInAllFolders(t *testing.T) {
	a, dir, _ := connected(t)
	write(t, filepath.Join(dir, "a.jpg"), "1")
	write(t, filepath.Join(dir, "x", "b.JPG"), strings.Repeat("1", 2000))
	write(t, filepath.Join(dir, "x", "y", "c.jpg"), strings.Repeat("1", 20))
	write(t, filepath.Join(dir, "x", "photos", "d.txt"), "1")
	find := func(q Query) string {
		t.Helper()
		a.Search("/", q)
		until(t, "it has searched", func() bool { return !a.SearchState().Running })
		st := a.SearchState()
		if st.Err != "" || st.Folders != 4 {
			t.Fatalf("%+v", st)
		}
		var out []string
		for _, h := range st.Hits {
			out = append(out, h.Path())
		}
		return strings.Join(out, " ")
	}
	for _, one := range []struct {
		q    Query
		want string
	}{
		{Query{Name: "*.jpg", Files: true}, "/a.jpg /x/b.JPG /x/y/c.jpg"},
		{Query{Name: "PHOTO", Files: true, Folders: true}, "/x/photos"},
		{Query{Name: ".jpg", Files: true, MinSize: 10, MaxSize: 100}, "/x/y/c.jpg"},
		{Query{Files: true, After: time.Now().Add(time.Hour)}, ""},
		{Query{Name: "d.", Files: true, Before: time.Now().Add(time.Hour)}, "/x/photos/d.txt"},
	} {
		if got := find(one.q); got != one.want {
			t.Errorf("%+v: %q", one.q, got)
		}
	}
	find(Query{Name: "*.jpg", Files: true})
	hits := a.SearchState().Hits
	a.DeleteHits(hits[1:])
	until(t, "the hits are deleted", func() bool { return tree(t, dir) == "a.jpg x x/photos x/photos/d.txt x/y" })
	until(t, "they leave the search", func() bool { return len(a.SearchState().Hits) == 1 })
	if r := idle(t, a); r.Err != "" {
		t.Error(r.Err)
	}
}
