package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portside/client"
	"portside/localserver"
)

// connected is an application whose current tab shows the root of a writable server over the returned folder.
func connected(t *testing.T) (*App, string, string) {
	t.Helper()
	a := start(t)
	dir := t.TempDir()
	addr := a.share.startOver(t, dir, func(s *ShareSettings) { s.Write, s.TLS = true, localserver.TLSOff })
	connect(t, a, "ftp://"+addr+"/", client.ModePassive)
	return a, dir, addr
}

// idle waits until nothing is under way in the current tab, and fails for an error that is not expected.
func idle(t *testing.T, a *App) Remote {
	t.Helper()
	until(t, "it is done", func() bool { return a.Remote().Doing == "" })
	return a.Remote()
}

func entry(t *testing.T, a *App, name string) client.Entry {
	t.Helper()
	for _, e := range a.Remote().Folder.Entries {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no %s in %s", name, names(a.Remote().Folder.Entries))
	return client.Entry{}
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	err := filepath.Walk(dir, func(name string, _ os.FileInfo, err error) error {
		if os.IsNotExist(err) {
			return nil // it goes away just now
		}
		if rel, _ := filepath.Rel(dir, name); rel != "." {
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func TestEachTabKeepsItsServerAndItsFolder(t *testing.T) {
	a, dir, addr := connected(t)
	write(t, filepath.Join(dir, "in", "a.txt"), "a")
	first := a.Remote().Tab
	a.OpenRemote("/in")
	until(t, "the folder is shown", func() bool { return a.Remote().Folder.Path == "/in" })
	idle(t, a)

	second := a.NewTab()
	if r := a.Remote(); r.Tab != second || r.Phase != Disconnected || r.Folder.Path != "" {
		t.Errorf("a new tab shows %+v", r)
	}
	connect(t, a, "ftp://"+addr+"/", client.ModeActive)
	tabs, current := a.Tabs()
	if len(tabs) != 2 || current != second || tabs[0].ID != first || tabs[0].Phase != Connected || tabs[1].Phase != Connected {
		t.Errorf("%+v, current %d", tabs, current)
	}
	if a.Remote().Mode != client.ModeActive {
		t.Errorf("the second tab's mode is %s", a.Remote().Mode)
	}
	a.SelectTab(first)
	if r := a.Remote(); r.Folder.Path != "/in" || names(r.Folder.Entries) != "a.txt" || r.Mode != client.ModePassive {
		t.Errorf("the first tab shows %s: %s in mode %s", r.Folder.Path, names(r.Folder.Entries), r.Mode)
	}
	a.Disconnect()
	a.SelectTab(second)
	if a.Remote().Phase != Connected {
		t.Error("disconnecting one tab ended the other's session")
	}
	a.MoveTab(second, 0)
	if tabs, _ := a.Tabs(); tabs[0].ID != second {
		t.Errorf("moved: %+v", tabs)
	}
	a.CloseTab(second)
	if a.Remote().Tab != first {
		t.Error("the neighbour is not current after a tab was closed")
	}
	until(t, "its session has ended", func() bool { return len(a.Share().Sessions) == 0 })
	a.CloseTab(first)
	if tabs, _ := a.Tabs(); len(tabs) != 1 || tabs[0].Phase != Disconnected || tabs[0].ID == first {
		t.Errorf("without tabs: %+v", tabs)
	}
}

func TestATabThatIsNotShownIsListedAgainWhenItIs(t *testing.T) {
	a, dir, addr := connected(t)
	write(t, filepath.Join(dir, "in", "a.txt"), "a")
	first := a.Remote().Tab
	a.OpenRemote("/in")
	idle(t, a)
	second := a.NewTab()
	connect(t, a, "ftp://"+addr+"/in", client.ModePassive)
	shows := func(want string) {
		t.Helper()
		until(t, "it shows "+want, func() bool { r := a.Remote(); return r.Doing == "" && names(r.Folder.Entries) == want })
	}
	local := filepath.Join(t.TempDir(), "up.txt")
	write(t, local, "up")
	a.UploadPaths([]string{local})
	shows("a.txt up.txt")
	finished(t, a)
	a.SelectTab(first)
	shows("a.txt up.txt")
	a.RenameRemote(a.Remote().Folder.Path, "up.txt", "b.txt")
	shows("a.txt b.txt")
	a.SelectTab(second)
	shows("a.txt b.txt")
	// Nothing has changed: nothing is listed again.
	stamp := a.Remote().Folder.Stamp
	a.SelectTab(first)
	a.SelectTab(second)
	if idle(t, a).Folder.Stamp != stamp {
		t.Error("a tab whose folder has not changed is listed again")
	}
}

func TestWhatIsAskedForOneAfterTheOtherIsDoneInThatOrder(t *testing.T) {
	a, dir, _ := connected(t)
	for i := range 40 {
		name := fmt.Sprint("folder ", i)
		a.MakeRemoteFolder(a.Remote().Folder.Path, name)
		a.OpenRemote("/" + name)
		if r := idle(t, a); r.Err != "" || r.Folder.Path != "/"+name {
			t.Fatalf("%s is shown: %s", r.Folder.Path, r.Err)
		}
		a.OpenRemote("/")
		idle(t, a)
	}
	if got := strings.Count(tree(t, dir), "folder"); got != 40 {
		t.Errorf("%d folders", got)
	}
}

func TestANewFileIsEmptyAndTakesNobodysPlace(t *testing.T) {
	a, dir, _ := connected(t)
	mine := t.TempDir()
	for _, at := range []string{dir, mine} {
		write(t, filepath.Join(at, "taken"), "x")
	}
	for _, name := range []string{"new", "taken"} {
		a.MakeRemoteFile("/", name)
		if r := idle(t, a); (r.Err != "") != (name == "taken") {
			t.Errorf("%s: %q", name, r.Err)
		}
		a.MakeLocalFile(mine, name)
	}
	until(t, "the local one is there", func() bool { _, err := os.Stat(filepath.Join(mine, "new")); return err == nil })
	for _, at := range []string{dir, mine} {
		for name, want := range map[string]string{"new": "", "taken": "x"} {
			if b, err := os.ReadFile(filepath.Join(at, name)); err != nil || string(b) != want {
				t.Errorf("%s holds %q, %v", name, b, err)
			}
		}
	}
}

// Somebody else may have put a file there since the folder was listed.
func TestAFileThatIsNotShownYetIsNotWrittenOver(t *testing.T) {
	for what, f := range map[string]func(a *App){
		"a new file": func(a *App) { a.MakeRemoteFile("/", "theirs") },
		"a rename":   func(a *App) { a.RenameRemote("/", "mine", "theirs") },
	} {
		a, dir, _ := connected(t)
		write(t, filepath.Join(dir, "mine"), "mine")
		a.OpenRemote("/")
		until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 1 })
		idle(t, a)
		write(t, filepath.Join(dir, "theirs"), "theirs")
		f(a)
		if r := idle(t, a); !strings.Contains(r.Err, "heirs is there already") {
			t.Errorf("%s: %q", what, r.Err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "theirs")); err != nil || string(b) != "theirs" {
			t.Errorf("%s: it holds %q, %v", what, b, err)
		}
	}
}

func TestTheCountBeforeADeleteCountsAllThatIsInFolders(t *testing.T) {
	a, dir, _ := connected(t)
	for i := range 7 {
		write(t, filepath.Join(dir, "d", "sub", fmt.Sprint(i)), "12345")
	}
	write(t, filepath.Join(dir, "single"), "1")
	a.OpenRemote(".")
	until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 2 })
	idle(t, a)
	c := a.CountRemote(a.Remote().Folder.Path, a.Remote().Folder.Entries)
	until(t, "it has counted", func() bool { return c.Tally().Done })
	want := Tally{Files: 8, Folders: 2, Bytes: 36, Done: true}
	if got := c.Tally(); got != want {
		t.Errorf("the server's: %+v", got)
	}
	l := a.CountLocal(dir, []string{"d", "single"})
	until(t, "it has counted here", func() bool { return l.Tally().Done })
	if got := l.Tally(); got != want {
		t.Errorf("this computer's: %+v", got)
	}
	a.DeleteRemote(a.Remote().Folder.Path, []client.Entry{entry(t, a, "d")}, 9)
	until(t, "it is gone", func() bool { return tree(t, dir) == "single" })
	if r := idle(t, a); r.Err != "" || names(r.Folder.Entries) != "single" {
		t.Errorf("%q, %s", r.Err, names(r.Folder.Entries))
	}
}

func TestACancelledCountEndsAndLeavesTheSessionUsable(t *testing.T) {
	a, dir, _ := connected(t)
	write(t, filepath.Join(dir, "d", "x"), "1")
	a.OpenRemote(".")
	until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 1 })
	c := a.CountRemote(a.Remote().Folder.Path, a.Remote().Folder.Entries)
	c.Cancel()
	until(t, "it has ended", func() bool { return c.Tally().Done })
	a.OpenRemote("/d")
	until(t, "the session goes on", func() bool { return a.Remote().Folder.Path == "/d" })
	if r := idle(t, a); r.Err != "" {
		t.Error(r.Err)
	}
}

func TestMovingOnTheServerWritesOverNothing(t *testing.T) {
	a, dir, _ := connected(t)
	write(t, filepath.Join(dir, "a.txt"), "new")
	write(t, filepath.Join(dir, "b.txt"), "b")
	write(t, filepath.Join(dir, "to", "a.txt"), "old")
	a.OpenRemote(".")
	until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 3 })
	idle(t, a)
	result := make(chan error, 1)
	a.MoveRemote("/", []client.Entry{entry(t, a, "a.txt"), entry(t, a, "b.txt"), entry(t, a, "to")}, "/to", func(err error) { result <- err })
	err := <-result
	if err == nil || !strings.Contains(err.Error(), "2 of 3") || !strings.Contains(err.Error(), "a.txt is in /to already") {
		t.Errorf("%v", err)
	}
	idle(t, a)
	if got := tree(t, dir); got != "a.txt to to/a.txt to/b.txt" {
		t.Errorf("%s", got)
	}
	if old, _ := os.ReadFile(filepath.Join(dir, "to", "a.txt")); string(old) != "old" {
		t.Errorf("the file that was there holds %q", old)
	}
	a.RenameRemote(a.Remote().Folder.Path, "a.txt", "to")
	until(t, "renaming onto another is refused", func() bool { return strings.Contains(a.Remote().Err, "already") })
}

func TestRightsAreSetForFilesAndFoldersApart(t *testing.T) {
	a, dir, _ := connected(t)
	write(t, filepath.Join(dir, "d", "sub", "x"), "1")
	write(t, filepath.Join(dir, "d", "y"), "1")
	a.OpenRemote(".")
	until(t, "it is listed", func() bool { return len(a.Remote().Folder.Entries) == 1 })
	idle(t, a)
	check := func(where string, files, folders os.FileMode) {
		t.Helper()
		for name, want := range map[string]os.FileMode{"d": folders, "d/sub": folders, "d/sub/x": files, "d/y": files} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %s is %v, not %v (%v)", where, name, info.Mode().Perm(), want, err)
			}
		}
	}
	mode := func(m uint32) *uint32 { return &m }
	a.ChangeRemoteRights(a.Remote().Folder.Path, a.Remote().Folder.Entries, ModeChange{Files: mode(0o640), Folders: mode(0o750), Inside: true})
	until(t, "it begins", func() bool { info, _ := os.Stat(filepath.Join(dir, "d")); return info.Mode().Perm() == 0o750 })
	if r := idle(t, a); r.Err != "" {
		t.Error(r.Err)
	}
	check("on the server", 0o640, 0o750)
	a.OpenLocal(dir)
	until(t, "it is listed here", func() bool { return a.Local().Path == dir })
	a.ChangeLocalRights(a.Local().Path, []string{"d"}, ModeChange{Files: mode(0o600), Folders: mode(0o700), Inside: true})
	until(t, "it is shown", func() bool { e := a.Local().Entries; return len(e) == 1 && e[0].Rights == "rwx------" })
	check("here", 0o600, 0o700)
}

func TestATypedCommandIsAnsweredAndWhatWouldBreakTheSessionIsRefused(t *testing.T) {
	a, _, _ := connected(t)
	type answer struct {
		reply client.Reply
		err   error
	}
	ask := func(line string) answer {
		c := make(chan answer, 1)
		a.Command(line, func(r client.Reply, err error) { c <- answer{r, err} })
		return <-c
	}
	if got := ask("SITE HELP"); got.err != nil || got.reply.Code != 214 {
		t.Errorf("%+v", got)
	}
	if got := ask("NOSUCH"); got.err != nil || got.reply.Code < 500 {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"LIST", "retr x", "PASV", "QUIT", "AUTH TLS", "USER x", "  ", "STAT\r\nDELE x"} {
		if got := ask(line); got.err == nil {
			t.Errorf("%q was sent: %+v", line, got.reply)
		}
	}
	a.OpenRemote(".")
	if r := idle(t, a); r.Err != "" || r.Phase != Connected {
		t.Errorf("%+v", r)
	}
}

func TestMovingAndCopyingHereWritesOverNothing(t *testing.T) {
	a := start(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.txt"), "a")
	write(t, filepath.Join(dir, "d", "x.sh"), "x")
	write(t, filepath.Join(dir, "to", "a.txt"), "old")
	stamp := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "d", "x.sh"), stamp, stamp); err != nil {
		t.Fatal(err)
	}
	a.OpenLocal(dir)
	until(t, "it is listed", func() bool { return a.Local().Path == dir })
	settled := func(want string) {
		t.Helper()
		until(t, want, func() bool { return tree(t, dir) == want })
		before := a.Local().Stamp
		a.RefreshLocal()
		until(t, "it is listed again", func() bool { return a.Local().Stamp > before && !a.Local().Loading })
	}
	a.CopyLocal([]string{filepath.Join(dir, "a.txt")}, dir)
	settled("a (copy).txt a.txt d d/x.sh to to/a.txt")
	a.CopyLocal([]string{filepath.Join(dir, "d")}, filepath.Join(dir, "to"))
	settled("a (copy).txt a.txt d d/x.sh to to/a.txt to/d to/d/x.sh")
	until(t, "the copy has the file's time", func() bool {
		info, err := os.Stat(filepath.Join(dir, "to", "d", "x.sh"))
		return err == nil && info.ModTime().Equal(stamp)
	})
	a.MoveLocal(dir, []string{"a.txt", "a (copy).txt", "to"}, filepath.Join(dir, "to"))
	until(t, "it is said", func() bool {
		for _, n := range a.TakeNotices() {
			return n.Bad && strings.Contains(n.Text, "2 of 3")
		}
		return false
	})
	settled("a.txt d d/x.sh to to/a (copy).txt to/a.txt to/d to/d/x.sh")
	if old, _ := os.ReadFile(filepath.Join(dir, "to", "a.txt")); string(old) != "old" {
		t.Errorf("the file that was there holds %q", old)
	}
}
