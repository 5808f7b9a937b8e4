package sites

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"portside/client"
)

func site(host string) *Site { return &Site{Host: host, TLS: client.TLSAuto, Login: LoginAnonymous} }

// sample is a book: work(a, inner(b)), c.
func sample() (book *Book, work, a, inner, b, c *Node) {
	work, a, inner, b, c = NewNode("Work", nil), NewNode("A", site("a.example")), NewNode("Inner", nil), NewNode("B", site("b.example")), NewNode("C", site("c.example"))
	inner.Nodes = []*Node{b}
	work.Nodes = []*Node{a, inner}
	return &Book{Nodes: []*Node{work, c}}, work, a, inner, b, c
}

// shape is the tree in one line.
func shape(nodes []*Node) string {
	var parts []string
	for _, n := range nodes {
		s := n.Name
		if n.Folder() {
			s += "(" + shape(n.Nodes) + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

func TestNodesAreMovedByTheOrderThatIsSeen(t *testing.T) {
	for _, c := range []struct {
		name, want string
		move       func(*Book, map[string]string) error
	}{
		{"down in its list", "C Work(A Inner(B))", func(b *Book, id map[string]string) error { return b.Move(id["Work"], "", 2) }},
		{"up in its list", "Work(Inner(B) A) C", func(b *Book, id map[string]string) error { return b.Move(id["Inner"], id["Work"], 0) }},
		{"into a folder", "Work(A Inner(B C))", func(b *Book, id map[string]string) error { return b.Move(id["C"], id["Inner"], -1) }},
		{"out of a folder", "Work(A Inner()) B C", func(b *Book, id map[string]string) error { return b.Move(id["B"], "", 1) }},
		{"to where it is", "Work(A Inner(B)) C", func(b *Book, id map[string]string) error { return b.Move(id["C"], "", 1) }},
	} {
		book, w, a, i, b, cc := sample()
		ids := map[string]string{"Work": w.ID, "A": a.ID, "Inner": i.ID, "B": b.ID, "C": cc.ID}
		if err := c.move(book, ids); err != nil || shape(book.Nodes) != c.want {
			t.Errorf("%s: %s, %v", c.name, shape(book.Nodes), err)
		}
	}
	book, w, _, i, _, _ := sample()
	for _, to := range []string{w.ID, i.ID} {
		if err := book.Move(w.ID, to, 0); err == nil {
			t.Error("a folder went into itself")
		}
	}
	if err := book.Move("gone", "", 0); err == nil {
		t.Error("what isn't there was moved")
	}
	if got := shape(book.Nodes); got != "Work(A Inner(B)) C" {
		t.Errorf("a refused move left %s", got)
	}
}

func TestADuplicateSharesNothingAndStandsBehind(t *testing.T) {
	book, w, a, _, _, _ := sample()
	a.Site.Bookmarks = []Bookmark{{Name: "m", Remote: "/m"}}
	c, from, err := book.Duplicate(w.ID)
	if err != nil || shape(book.Nodes) != "Work(A Inner(B)) Work (2)(A Inner(B)) C" {
		t.Fatalf("%s, %v", shape(book.Nodes), err)
	}
	if from[c.Nodes[0].ID] != a.ID || len(from) != 4 {
		t.Errorf("copied from %v", from)
	}
	c.Nodes[0].Site.Bookmarks[0].Name = "other"
	if a.Site.Bookmarks[0].Name != "m" {
		t.Error("they share their bookmarks")
	}
	if err := book.Delete(w.ID); err != nil || shape(book.Nodes) != "Work (2)(A Inner(B)) C" {
		t.Errorf("%s, %v", shape(book.Nodes), err)
	}
}

func TestSearchWantsAllWordsAnywhere(t *testing.T) {
	book, _, a, _, b, _ := sample()
	a.Site.Notes = "The blue one"
	for text, want := range map[string]string{"": "A B C", "EXAMPLE": "A B C", "blue a.ex": "A", "inner": "B", "work": "A B", "nothing": ""} {
		if got := shape(book.Search(text)); got != want {
			t.Errorf("%q finds %q, not %q", text, got, want)
		}
	}
	b.Site.User = "hans"
	if got := shape(book.Search("hans")); got != "B" {
		t.Errorf("the user finds %q", got)
	}
}

func TestABookComesBackAsItWas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	book, _, a, _, _, _ := sample()
	minutes := -90
	a.Site = &Site{Host: "a.example", Port: 2121, TLS: client.TLSExplicit, Login: LoginAccount, User: "u", Mode: client.ModeActive,
		ActiveMin: 5000, ActiveMax: 5010, ActiveAddress: "192.0.2.1", TrustPassiveAddress: true, Charset: "KOI8-R", TimeOffset: &minutes,
		LocalFolder: "/l", RemoteFolder: "/r", Linked: true, Connections: 3, DownLimit: 1 << 20, UpLimit: 4096, Color: "red",
		Notes: "two\nlines", Bookmarks: []Bookmark{{"n", "/a", "/b", true}}}
	if _, _, err := Save(dir, book, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	back, notice, err := Load(dir, time.Now())
	if err != nil || notice != "" || !reflect.DeepEqual(book, back) {
		t.Fatalf("%v %q %+v", err, notice, back)
	}
	if v := reflect.ValueOf(*a.Site); true {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("the field %s isn't tried here", v.Type().Field(i).Name)
			}
		}
	}
}

func TestABrokenBookIsSetAsideAndTheLastGoodOneIsUsed(t *testing.T) {
	dir := t.TempDir()
	book, _, _, _, _, c := sample()
	if _, _, err := Save(dir, book, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := book.Delete(c.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Save(dir, book, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, File)
	if err := os.WriteFile(path, []byte(`{"sites": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, notice, err := Load(dir, time.Now())
	if err != nil || shape(got.Nodes) != "Work(A Inner(B)) C" || !strings.Contains(notice, "last good") {
		t.Fatalf("%s, %q, %v", shape(got.Nodes), notice, err)
	}
	aside, _ := filepath.Glob(filepath.Join(dir, "sites.broken-*"))
	if len(aside) != 1 || !strings.Contains(notice, aside[0]) {
		t.Errorf("set aside as %v, said %q", aside, notice)
	}
	// A broken file never becomes the backup.
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Save(dir, got, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if b, err := readBook(filepath.Join(dir, Backup)); err != nil || b.Len() != 3 {
		t.Errorf("the backup: %v", err)
	}
	if empty, notice, err := Load(t.TempDir(), time.Now()); err != nil || notice != "" || empty.Len() != 0 {
		t.Errorf("no file: %v %q", err, notice)
	}
}

func TestAnEditedBookIsMended(t *testing.T) {
	b, err := Parse([]byte(`{"sites":[null,{"id":"x","name":" ","site":{"host":"h","encryption":"ssl","login":"magic","mode":"sideways",
		"activePortMin":5,"activeAddress":"here","charset":"klingon","connections":99,"color":"plaid","timeOffsetMinutes":9999}},
		{"id":"x","name":"two","site":{"host":"i"}}]}`))
	if err != nil || len(b.Nodes) != 2 || b.Nodes[0].ID == b.Nodes[1].ID {
		t.Fatalf("%v %+v", err, b)
	}
	want := &Site{Host: "h", TLS: client.TLSAuto, Login: LoginAnonymous}
	if got := b.Nodes[0]; got.Name != "h" || !reflect.DeepEqual(got.Site, want) {
		t.Errorf("%+v", got.Site)
	}
}

func TestCheckNamesWhatAPersonMustMend(t *testing.T) {
	day := 2000
	for want, s := range map[string]*Site{
		"host is missing": {}, "character": {Host: "a b"}, "user name": {Host: "h", Login: LoginNormal},
		"ports": {Host: "h", ActiveMin: 1}, "not an IP": {Host: "h", ActiveAddress: "x"}, "character set": {Host: "h", Charset: "x"},
		"carry": {Host: "h", Charset: "UTF-16"}, "day away": {Host: "h", TimeOffset: &day}, "1 to 16": {Host: "h", Connections: 17},
		"below zero": {Host: "h", DownLimit: -1}, "line break": {Host: "h", RemoteFolder: "/a\r\nDELE b"},
	} {
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, h := range []string{"ftp.example.org", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"} {
		if err := site(h).Check(); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

// A person can lay folders into each other without end; what lies deeper than a book goes is not lost.
func TestSitesInTooManyFoldersStayInTheBook(t *testing.T) {
	in := []*Node{NewNode("deep", &Site{Host: "deep.example"})}
	for i := range 2 * maxDepth {
		folder := NewNode(fmt.Sprint(i), nil)
		folder.Nodes = append(in, NewNode("beside", &Site{Host: "beside.example"}))
		in = []*Node{folder}
	}
	b := &Book{Nodes: in}
	data, err := Format(b)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(data)
	if err != nil || back.Len() != b.Len() {
		t.Errorf("%d of %d sites are left: %v", back.Len(), b.Len(), err)
	}
	back.All(func(n *Node, around []*Node) bool {
		if len(around) > maxDepth {
			t.Errorf("%s lies in %d folders", n.Name, len(around))
		}
		return true
	})
}
