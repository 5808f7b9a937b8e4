package sites

import "testing"

func TestAMergeKeepsWhatThePersonLeftAlone(t *testing.T) {
	base, work, a, inner, b, c := sample()
	a.Site.Bookmarks = []Bookmark{{Name: "one", Remote: "/1"}, {Name: "two", Remote: "/2"}}
	for _, s := range []*Site{a.Site, b.Site, c.Site} {
		s.Login, s.User = LoginAsk, "al"
	}
	at := func(book *Book, n *Node) *Node {
		found, _ := book.Find(n.ID)
		return found
	}

	present := base.Clone()
	minutes := 60
	at(present, a).Site.Login, at(present, a).Site.TimeOffset, at(present, a).Site.Notes = LoginNormal, &minutes, "theirs"
	at(present, a).Site.Bookmarks = append(at(present, a).Site.Bookmarks, Bookmark{Name: "new", Remote: "/new"})
	at(present, b).Name, at(present, b).Site.Login, at(present, c).Site.Login = "B2", LoginNormal, LoginNormal
	folder := NewNode("Added", nil)
	folder.Nodes = []*Node{NewNode("In", site("in.example"))}
	if err := present.Add(inner.ID, -1, folder); err != nil {
		t.Fatal(err)
	}
	if err := present.Add(work.ID, 0, NewNode("First", site("first.example"))); err != nil {
		t.Fatal(err)
	}

	edited := base.Clone()
	at(edited, a).Site.Notes, at(edited, a).Site.Bookmarks = "mine", a.Site.Bookmarks[1:]
	at(edited, c).Site.User = "bob"
	at(edited, work).Closed = true
	if err := edited.Move(b.ID, "", 0); err != nil {
		t.Fatal(err)
	}
	if err := edited.Delete(inner.ID); err != nil {
		t.Fatal(err)
	}
	before, other := shape(edited.Nodes), shape(present.Nodes)

	got := Merge(base, edited, present)
	if shape(got.Nodes) != "B2 Work(A First) C Added(In)" || !at(got, work).Closed {
		t.Errorf("merged: %s", shape(got.Nodes))
	}
	one := at(got, a).Site
	if one.Notes != "mine" || one.Login != LoginNormal || one.TimeOffset == nil || *one.TimeOffset != 60 {
		t.Errorf("what was left alone is lost, or what was typed: %+v", one)
	}
	if len(one.Bookmarks) != 2 || one.Bookmarks[0].Name != "two" || one.Bookmarks[1].Name != "new" {
		t.Errorf("bookmarks: %+v", one.Bookmarks)
	}
	if at(got, b).Site.Login != LoginNormal {
		t.Error("a site that was moved lost what came meanwhile")
	}
	if two := at(got, c).Site; two.User != "bob" || two.Login != LoginAsk {
		t.Errorf("another user would sign in with the first one's password: %+v", two)
	}
	one.Bookmarks[1].Name, *one.TimeOffset = "x", 0
	if minutes != 60 || at(present, a).Site.Bookmarks[2].Name != "new" || shape(edited.Nodes) != before || shape(present.Nodes) != other {
		t.Error("what was merged is shared or changed")
	}
}
