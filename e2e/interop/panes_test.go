//go:build linux

package interop

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portside/app"
	"portside/client"
	"portside/e2e/peers"
)

// oddNames are names that servers, shells and formats like to trip over.
var oddNames = []string{
	"a[1] *{x}?", " lead", "trail ", "in the  middle", "-dash", "quote\"s 'n", "two\\slash", "#50%25", "grüße ✓.txt", "~home", "..two dots", "semi;colon=1", "-> arrow",
}

// changesNames says that a server refuses a name, or makes another one of it: Pure-FTPd does so with an end that can't be
// seen and with a backslash.
func changesNames(kind peers.Kind, name string) bool {
	return kind == peers.PureFTPd && (strings.HasSuffix(name, " ") || strings.Contains(name, "\\"))
}

// panes is the application under the window, connected to a server.
type panes struct {
	t    *testing.T
	a    *app.App
	s    *peers.Server
	base string // the folder shown, on the server
}

func openPanes(t *testing.T, kind peers.Kind) *panes {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := &panes{t: t, s: peers.ForTest(t, peers.Config{Kind: kind}), a: app.New("")}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.a.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	p.connect()
	return p
}

func (p *panes) connect() {
	p.t.Helper()
	target, err := client.ParseURL(p.s.URL(""))
	if err != nil {
		p.t.Fatal(err)
	}
	p.a.Connect(target, client.ModeAuto)
	p.until("it is connected", func() bool { return p.a.Remote().Phase == app.Connected && p.a.Remote().Folder.Path != "" })
	p.settled()
	p.base = p.a.Remote().Folder.Path
}

func (p *panes) until(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("not so in time: %s; %+v", what, p.a.Remote())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// settled waits until nothing is under way and returns what went wrong.
func (p *panes) settled() string {
	p.t.Helper()
	p.until("nothing is under way", func() bool { return p.a.Remote().Doing == "" })
	return p.a.Remote().Err
}

// well fails when the last thing went wrong.
func (p *panes) well(what string) {
	p.t.Helper()
	if err := p.settled(); err != "" {
		p.t.Errorf("%s: %s", what, err)
	}
}

func (p *panes) open(dir string) {
	p.t.Helper()
	full := path.Join(p.base, dir)
	p.a.OpenRemote(full)
	p.until(dir+" is shown", func() bool { r := p.a.Remote(); return r.Doing == "" && (r.Folder.Path == full || r.Err != "") })
	p.well("opening " + dir)
}

func (p *panes) names() []string {
	var out []string
	for _, e := range p.a.Remote().Folder.Entries {
		out = append(out, e.Name)
	}
	slices.Sort(out)
	return out
}

func (p *panes) entry(name string) client.Entry {
	p.t.Helper()
	for _, e := range p.a.Remote().Folder.Entries {
		if e.Name == name {
			return e
		}
	}
	p.t.Fatalf("no %q in %q", name, p.names())
	return client.Entry{}
}

// on is the path of a file of the server on this computer's disk.
func (p *panes) on(name string) string { return filepath.Join(p.s.Root, filepath.FromSlash(name)) }

// put makes a file on the server's side that the server may change.
func (p *panes) put(name, content string) {
	p.t.Helper()
	file := p.on(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		p.t.Fatal(err)
	}
	for at := file; at != p.s.Root; at = filepath.Dir(at) {
		mode := os.FileMode(0o777)
		if at == file {
			mode = 0o666
		}
		if err := os.Chmod(at, mode); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *panes) there(name string) bool {
	_, err := os.Lstat(p.on(name))
	return err == nil
}

func TestPanesWorkWithEveryServer(t *testing.T) {
	for _, kind := range peers.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Run("listing and names", func(t *testing.T) { listsAndRenames(t, openPanes(t, kind)) })
			t.Run("moving and deleting", func(t *testing.T) { movesAndDeletes(t, openPanes(t, kind)) })
			t.Run("rights", func(t *testing.T) { setsRights(t, openPanes(t, kind)) })
			t.Run("search and commands", func(t *testing.T) { searches(t, openPanes(t, kind)) })
			t.Run("editing", func(t *testing.T) { edits(t, openPanes(t, kind)) })
		})
	}
}

func listsAndRenames(t *testing.T, p *panes) {
	for _, name := range oddNames {
		p.put("odd/"+name, name)
	}
	p.put("odd/.hidden", "")
	p.open("odd")
	if got := p.names(); !slices.Equal(got, slices.Sorted(slices.Values(append(slices.Clone(oddNames), ".hidden")))) {
		t.Errorf("listed: %q", got)
	}
	for _, name := range oddNames {
		if !slices.Contains(p.names(), name) {
			continue
		}
		e := p.entry(name)
		if e.Type != client.File || e.Size != int64(len(name)) || e.Rights == "" || time.Since(e.Time).Abs() > 25*time.Hour {
			t.Errorf("%q: %+v", name, e)
		}
		if changesNames(p.s.Kind, name) {
			continue
		}
		p.a.RenameRemote(p.a.Remote().Folder.Path, name, "was "+name)
		p.well("renaming " + name)
		if !p.there("odd/was " + name) {
			t.Errorf("%q is not renamed", name)
			continue
		}
		p.a.RenameRemote(p.a.Remote().Folder.Path, "was "+name, name)
		p.well("renaming back " + name)
		folder := "new " + name
		if p.s.Kind == peers.ProFTPD && strings.Contains(name, "*") {
			continue // it makes no such folder
		}
		p.a.MakeRemoteFolder(p.a.Remote().Folder.Path, folder)
		p.well("the folder " + folder)
		p.open("odd/" + folder)
		if got := p.names(); len(got) != 0 {
			t.Errorf("in %q: %q", folder, got)
		}
		p.open("odd")
		if p.entry(folder).Type != client.Folder {
			t.Errorf("%q: %+v", folder, p.entry(folder))
		}
		u, err := client.ParseURL(p.a.RemoteURL(p.a.Remote().Folder.Path, name))
		if err != nil || path.Join("/", u.Path) != path.Join(p.base, "odd", name) {
			t.Errorf("the URL of %q leads to %q: %v", name, u.Path, err)
		}
	}
	p.a.RenameRemote(p.a.Remote().Folder.Path, ".hidden", "-dash")
	if err := p.settled(); !strings.Contains(err, "there already") || !p.there("odd/.hidden") {
		t.Errorf("renaming over another file: %q", err)
	}
}

func movesAndDeletes(t *testing.T, p *panes) {
	for i := range 3 {
		p.put(fmt.Sprintf("from/tree/deep/%d", i), "12345")
	}
	p.put("from/tree/.dot", "1")
	p.put("from/single", "22")
	p.put("to/single", "taken")
	p.put("kept/inner", "stays")
	if err := os.Symlink("../../kept", p.on("from/tree/link")); err != nil {
		t.Fatal(err)
	}
	p.open("from")
	all := []client.Entry{p.entry("tree"), p.entry("single")}
	c := p.a.CountRemote(p.a.Remote().Folder.Path, all)
	p.until("it is counted", func() bool { return c.Tally().Done })
	want := app.Tally{Files: 6, Folders: 2, Bytes: 18, Done: true}
	if kind := p.s.Kind; kind == peers.Pyftpdlib { // it shows the link as the folder that it leads to
		want = app.Tally{Files: 6, Folders: 3, Bytes: 23, Done: true}
	}
	if n := c.Tally(); n != want {
		t.Errorf("counted: %+v", n)
	}
	p.a.MoveRemote(path.Join(p.base, "from"), all, path.Join(p.base, "to"), nil)
	if err := p.settled(); !strings.Contains(err, "1 of 2 could not be moved") || !strings.Contains(err, "single is in") {
		t.Errorf("moving onto another file: %q", err)
	}
	if got, _ := os.ReadFile(p.on("to/single")); string(got) != "taken" || !p.there("from/single") || !p.there("to/tree/deep/2") {
		t.Errorf("after the move: to/single is %q; moved: %t", got, p.there("to/tree/deep/2"))
	}
	p.open("to")
	p.a.DeleteRemote(p.a.Remote().Folder.Path, []client.Entry{p.entry("tree"), p.entry("single")}, 0)
	p.well("deleting")
	if p.there("to/tree") || p.there("to/single") || len(p.names()) != 0 {
		t.Errorf("after deleting: %q", p.names())
	}
	if !p.there("kept/inner") {
		t.Error("what the link led to is gone")
	}
}

func setsRights(t *testing.T, p *panes) {
	// Rights are the owner's to change, so the server makes the files itself.
	p.open("")
	p.a.MakeRemoteFolder(p.a.Remote().Folder.Path, "mine")
	p.well("a folder")
	p.open("mine")
	local := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(local, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.a.UploadPaths([]string{local})
	p.until("it is uploaded and shown", func() bool { return slices.Contains(p.names(), "file") })
	p.well("uploading")
	p.open("")
	files, folders := uint32(0o640), uint32(0o751)
	p.a.ChangeRemoteRights(p.a.Remote().Folder.Path, []client.Entry{p.entry("mine")}, app.ModeChange{Files: &files, Folders: &folders, Inside: true})
	err := p.settled()
	file, _ := os.Stat(p.on("mine/file"))
	folder, _ := os.Stat(p.on("mine"))
	if p.s.Kind == peers.Vsftpd { // it lets nobody do this who is anonymous
		if !strings.Contains(err, "SITE CHMOD") && !strings.Contains(err, "rights") {
			t.Errorf("a refusal is told as %q", err)
		}
		return
	}
	if err != "" || file.Mode().Perm() != 0o640 || folder.Mode().Perm() != 0o751 {
		t.Errorf("%s; the file has %o, the folder %o", err, file.Mode().Perm(), folder.Mode().Perm())
	}
	if mode, ok := client.ParseRights(p.entry("mine").Rights); !ok || mode != 0o751 {
		t.Errorf("shown: %q", p.entry("mine").Rights)
	}
}

func searches(t *testing.T, p *panes) {
	p.put("s/a/one.jpg", strings.Repeat("x", 2000))
	p.put("s/a/[b] c/TWO.JPG", "x")
	p.put("s/three.txt", "x")
	p.open("s")
	find := func(q app.Query) string {
		q.Files = true
		p.a.Search(path.Join(p.base, "s"), q)
		p.until("it has searched", func() bool { return !p.a.SearchState().Running })
		st := p.a.SearchState()
		if st.Err != "" || st.Missed > 0 {
			t.Errorf("searching for %+v: %s, %d missed", q, st.Err, st.Missed)
		}
		var names []string
		for _, h := range st.Hits {
			names = append(names, h.Name)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		query app.Query
		want  string
	}{
		{app.Query{Name: "*.jpg"}, "one.jpg TWO.JPG"}, {app.Query{MinSize: 1000}, "one.jpg"},
		{app.Query{Name: "t", MaxSize: 1000}, "three.txt TWO.JPG"},
		{app.Query{After: time.Now().Add(-48 * time.Hour)}, "three.txt one.jpg TWO.JPG"}, {app.Query{Before: time.Now().Add(-48 * time.Hour)}, ""},
	} {
		if got := find(c.query); got != c.want {
			t.Errorf("%+v found %q", c.query, got)
		}
	}
	find(app.Query{Name: "*.jpg"})
	p.a.DeleteHits(p.a.SearchState().Hits)
	p.well("deleting the hits")
	if p.there("s/a/one.jpg") || p.there("s/a/[b] c/TWO.JPG") || !p.there("s/three.txt") || len(p.a.SearchState().Hits) != 0 {
		t.Errorf("after deleting the hits: %v", p.a.SearchState().Hits)
	}
	for _, line := range []string{"NOOP", "SITE HELP", "STAT", "FEAT", "XYZZY"} {
		answers := make(chan string, 1)
		p.a.Command(line, func(r client.Reply, err error) {
			if err != nil {
				r.Text = err.Error()
			}
			answers <- fmt.Sprint(r.Code, " ", r.Text)
		})
		select {
		case a := <-answers:
			if len(a) < 5 || strings.HasPrefix(a, "0 ") {
				t.Errorf("%s is answered %q", line, a)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s is not answered", line)
		}
	}
	p.a.OpenRemote(".")
	p.well("listing after commands")
}

func edits(t *testing.T, p *panes) {
	// vsftpd's anonymous user may write over its own files only.
	p.open("")
	local := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(local, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.a.UploadPaths([]string{local})
	p.until("it is uploaded and shown", func() bool { return slices.Contains(p.names(), "note.txt") })
	opened := make(chan string, 1)
	p.a.EditRemote(p.base, p.entry("note.txt"), func(name string) error { opened <- name; return nil })
	var copied string
	select {
	case copied = <-opened:
	case <-time.After(time.Minute):
		t.Fatalf("it is not opened: %+v", p.a.Edits())
	}
	if err := os.WriteFile(copied, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	edit := func() app.Edit { return p.a.Edits()[0] }
	p.until("it is uploaded again", func() bool { e := edit(); return e.Uploads == 1 && e.Phase == app.EditWatching })
	if got, _ := os.ReadFile(p.on("note.txt")); string(got) != "second" {
		t.Errorf("the server has %q", got)
	}
	// Somebody else changes it: their version stays until the person decides.
	if err := os.WriteFile(p.on("note.txt"), []byte("theirs, longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.until("the conflict is seen", func() bool { return edit().Phase == app.EditConflict })
	if got, _ := os.ReadFile(p.on("note.txt")); string(got) != "theirs, longer" {
		t.Errorf("the server has %q", got)
	}
	p.a.UploadEdit(edit().ID)
	p.until("it is uploaded over theirs", func() bool { e := edit(); return e.Uploads == 2 && e.Phase == app.EditWatching })
	if got, _ := os.ReadFile(p.on("note.txt")); string(got) != "mine" {
		t.Errorf("the server has %q", got)
	}
	p.a.EndEdit(edit().ID)
	p.until("it is ended", func() bool { return len(p.a.Edits()) == 0 })
	p.until("the copy is gone", func() bool { _, err := os.Stat(copied); return os.IsNotExist(err) })
}
