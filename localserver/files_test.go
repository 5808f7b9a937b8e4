package localserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portside/connlog"
	"portside/wire"
)

func TestRow25NothingOutsideTheRootIsReached(t *testing.T) {
	r := start(t, nil)
	outside := t.TempDir()
	os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644)
	os.Mkdir(filepath.Join(outside, "folder"), 0o755)
	r.write("in/real", "inside")
	for link, to := range map[string]string{
		"out": filepath.Join(outside, "secret"), "outdir": outside, "up": "../" + filepath.Base(outside), "inner": "in/real", "innerdir": "in",
		"dangling": "nothing", "loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(r.root, link)); err != nil {
			t.Skipf("no links on this system: %v", err)
		}
	}
	c := r.login()
	for _, path := range []string{
		"out", "outdir/secret", "up/secret", "../" + filepath.Base(outside) + "/secret", "/../../etc/passwd", "in/../../x", "dangling", "loop",
		outside + "/secret",
	} {
		c.epsvPort()
		c.cmd(550, "RETR %s", path)
		c.cmd(550, "SIZE %s", path)
		c.cmd(550, "MDTM %s", path)
		c.cmd(550, "MLST %s", path)
		c.cmd(550, "CWD %s", path)
		c.cmd(550, "SITE CHMOD 777 %s", path)
	}
	for _, line := range []string{"SIZE out", "MLST outdir/secret", "CWD up", "STOR out", "STOR outdir/new"} {
		if text := c.cmd(550, "%s", line); !strings.HasSuffix(text, ": it leads out of the shared folder.") {
			t.Errorf("%s: %q", line, text)
		}
	}
	c.epsvPort()
	c.cmd(550, "STOR outdir/new")
	c.epsvPort()
	c.cmd(550, "STOR out")
	c.cmd(550, "MKD outdir/new")
	c.cmd(550, "RMD outdir/folder")
	c.cmd(550, "DELE outdir/secret")
	c.cmd(350, "RNFR in/real")
	if text := c.cmd(550, "RNTO outdir/real"); !strings.HasSuffix(text, ": it leads out of the shared folder.") {
		t.Errorf("RNTO: %q", text)
	}
	if n := listing(outside); n != "folder secret" {
		t.Errorf("outside is now %q", n)
	}
	if got := c.fetch("RETR inner"); got != "inside" {
		t.Errorf("a link inside gives %q", got)
	}
	if got := c.fetch("RETR innerdir/real"); got != "inside" {
		t.Errorf("a linked folder inside gives %q", got)
	}
	c.store("STOR inner", "written through")
	if got := r.content("in/real"); got != "written through" {
		t.Errorf("writing through a link gives %q", got)
	}
	if names := c.fetch("NLST"); names != "in\r\ninner\r\ninnerdir\r\n" {
		t.Errorf("listed %q", names)
	}
	if text := c.fetch("LIST"); strings.Contains(text, "->") || strings.Count(text, "\nd") != 1 {
		t.Errorf("listed %q", text)
	}
	c.cmd(250, "DELE out") // the link itself may go
	if n := listing(outside); n != "folder secret" {
		t.Errorf("outside is now %q", n)
	}
}

func TestRow25UploadFollowsALinkInALinkedFolder(t *testing.T) {
	r := start(t, nil)
	r.write("f", "another file")
	r.write("x/f", "meant")
	r.write("x/y/here", "")
	for link, to := range map[string]string{"d": "x/y", "x/y/l": "../f", "x/y/new": "../made", "x/y/out": "../../../f", "x/y/abs": "/etc/f"} {
		if err := os.Symlink(to, filepath.Join(r.root, filepath.FromSlash(link))); err != nil {
			t.Skipf("no links on this system: %v", err)
		}
	}
	c := r.login()
	if got := c.fetch("RETR d/l"); got != "meant" {
		t.Fatalf("the link leads to %q", got)
	}
	c.store("STOR d/l", "replaced")
	if r.content("f") != "another file" || r.content("x/f") != "replaced" {
		t.Errorf("f is %q, x/f is %q", r.content("f"), r.content("x/f"))
	}
	if c.store("STOR d/new", "made"); r.content("x/made") != "made" {
		t.Errorf("x/made is %q", r.content("x/made"))
	}
	for _, path := range []string{"d/out", "d/abs", "d/l/below", "none/l"} {
		c.epsvPort()
		c.cmd(550, "STOR %s", path)
	}
}

func TestRow29TheSharedFolderItselfStaysAsItIs(t *testing.T) {
	r := start(t, nil)
	before, err := os.Stat(r.root)
	if err != nil {
		t.Fatal(err)
	}
	c := r.login()
	c.cmd(550, "SITE CHMOD 0 /")
	c.cmd(550, "MFMT 20200203040506 /")
	c.cmd(550, "RMD .")
	c.cmd(550, "MKD /")
	c.cmd(550, "RNFR /")
	if after, err := os.Stat(r.root); err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("it is now %v, %v", after, err)
	}
}

func listing(dir string) string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestRow25OnlyRegularFilesAreOpened(t *testing.T) {
	r := start(t, nil)
	if err := makeFIFO(filepath.Join(r.root, "fifo")); err != nil {
		t.Skipf("no FIFO on this system: %v", err)
	}
	l, err := net.Listen("unix", filepath.Join(r.root, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := r.login()
	for _, name := range []string{"fifo", "sock"} {
		for _, cmd := range []string{"RETR", "STOR", "APPE", "SIZE", "MLST"} {
			c.epsvPort()
			c.cmd(550, "%s %s", cmd, name)
		}
	}
	if n := c.fetch("NLST"); n != "" {
		t.Errorf("listed %q", n)
	}
}

func TestRow26RepliesShowNoPathOfTheHost(t *testing.T) {
	r := start(t, nil)
	r.write("d/f", "x")
	os.WriteFile(filepath.Join(r.root, "f"), nil, 0o644)
	c := r.login()
	for _, line := range []string{
		"RETR none", "STOR none/x", "CWD none", "DELE d", "RMD d", "RMD f", "MKD d", "MKD f/x", "RNFR none", "SIZE d", "MLST none", "LIST none",
		"MFMT 20200101000000 none", "SITE CHMOD 600 none", "AVBL none", "RETR " + strings.Repeat("x", 300), "STAT none",
	} {
		c.send(line + "\r\n")
		code, text := c.reply()
		if code < 425 || strings.Contains(text, r.root) || strings.Contains(text, filepath.Base(r.root)) {
			t.Errorf("%s: %d %s", line, code, text)
		}
	}
	if text := c.cmd(257, "PWD"); !strings.HasPrefix(text, `"/"`) {
		t.Error(text)
	}
}

func TestRow27StorWithoutADataConnectionLeavesTheFile(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.OfferTimeout = 50 * time.Millisecond })
	r.write("a", "precious")
	c := r.login()
	c.cmd(425, "STOR a")
	c.epsvPort()
	c.cmd(425, "STOR a")
	c.cmd(425, "APPE b")
	if r.content("a") != "precious" || listing(r.root) != "a" {
		t.Errorf("a is %q, the folder %q", r.content("a"), listing(r.root))
	}
}

func TestRow27UploadAppearsWhole(t *testing.T) {
	r := start(t, nil)
	r.write("a", "old")
	os.Chmod(filepath.Join(r.root, "a"), 0o640)
	c := r.login()
	d := c.epsv()
	c.cmd(150, "STOR a")
	io.WriteString(d, "new")
	until(t, "the bytes have come", func() bool { return r.srv.Sessions()[0].Bytes == 3 })
	if got := r.content("a"); got != "old" {
		t.Errorf("during the upload: %q", got)
	}
	if names := r.login().fetch("NLST"); names != "a\r\n" {
		t.Errorf("listed %q", names)
	}
	for _, n := range r.names() {
		if n != "a" {
			c2 := r.login()
			c2.epsvPort()
			c2.cmd(550, "RETR %s", n)
			c2.cmd(550, "DELE %s", n)
		}
	}
	d.Close()
	c.expect(226)
	c.store("STOR b", "b")
	if r.content("a") != "new" || listing(r.root) != "a b" {
		t.Errorf("afterwards: %q, %q", r.content("a"), listing(r.root))
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{"a": 0o640, "b": 0o644} {
			if st, _ := os.Stat(filepath.Join(r.root, name)); st.Mode().Perm() != want {
				t.Errorf("%s: mode %v", name, st.Mode())
			}
		}
	}
}

func TestRow27BrokenUpload(t *testing.T) {
	for _, x := range []struct {
		name          string
		target        string
		discard       bool
		rights        Rights
		wantA, wantNo string
	}{
		{"an old file stays", "a", false, ReadWrite, "old", "b"},
		{"a new file's part can be continued", "b", false, ReadWrite, "old", ""},
		{"unless the setting says no", "b", true, ReadWrite, "old", "b"},
		{"or the account could not continue it", "b", false, DropBox, "old", "b"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := start(t, func(c *Config) { c.Uploads.DiscardPartial = x.discard; c.Accounts[0].Rights = x.rights })
			r.write("a", "old")
			c := r.login()
			d := c.epsv()
			if x.rights == DropBox && x.target == "a" {
				c.cmd(550, "STOR a")
				return
			}
			c.cmd(150, "STOR %s", x.target)
			io.WriteString(d, "part")
			until(t, "the bytes have come", func() bool { return r.srv.Sessions()[0].Bytes == 4 })
			d.(*net.TCPConn).SetLinger(0)
			d.Close()
			c.expect(426)
			if got := r.content("a"); got != x.wantA {
				t.Errorf("a is %q", got)
			}
			want := "a b"
			if x.wantNo != "" {
				want = "a"
			}
			if got := listing(r.root); got != want {
				t.Errorf("the folder has %q", got)
			}
			if x.wantNo == "" {
				c.cmd(350, "REST 4")
				c.store("STOR b", "ly")
				if got := r.content("b"); got != "partly" {
					t.Errorf("continued: %q", got)
				}
			}
		})
	}
}

func TestRow32UploadsToOneNameDoNotReplaceEachOther(t *testing.T) {
	r := start(t, func(c *Config) { c.Accounts[0].Rights = DropBox })
	a, b := r.login(), r.login()
	da, db := a.epsv(), b.epsv()
	a.cmd(150, "STOR x")
	b.cmd(150, "STOR x")
	io.WriteString(da, "first")
	da.Close()
	a.expect(226)
	io.WriteString(db, "second")
	db.Close()
	b.expect(550)
	if r.content("x") != "first" || listing(r.root) != "x" {
		t.Errorf("x is %q, the folder %q", r.content("x"), listing(r.root))
	}
}

func TestRow27LostClientsUploadIsBroken(t *testing.T) {
	r := start(t, nil)
	r.write("a", "old")
	c := r.login()
	d := c.epsv()
	c.cmd(150, "STOR a")
	io.WriteString(d, "part")
	c.c.Close()
	r.rec.wait(t, connlog.ControlClosed, 1)
	if r.content("a") != "old" || listing(r.root) != "a" {
		t.Errorf("a is %q, the folder %q", r.content("a"), listing(r.root))
	}
}

func TestRow27StaleTemporaryFilesAreSweptAtTheStart(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	root.Mkdir("d", 0o755)
	file := func(name string, age time.Duration) string {
		root.WriteFile(name, nil, 0o600)
		then := time.Now().Add(-age)
		if err := root.Chtimes(name, then, then); err != nil {
			t.Fatal(err)
		}
		return name
	}
	stale, young, target := file(filepath.Join("d", tempPrefix+"00"), 2*staleAfter), file(tempPrefix+"01", 0), file("kept", 2*staleAfter)
	crashed := file(tempPrefix+"02", youngFor+time.Second)
	running, err := newUpload(root, "up", 0, false, &liveTemps{names: map[string]struct{}{}}) // another server's
	if err != nil {
		t.Fatal(err)
	}
	file(running.temp, staleAfter/2) // stalled
	if n := sweep(t.Context(), root, &liveTemps{}, time.Now()); n != 1 {
		t.Errorf("%d are too young, want 1", n)
	}
	left := map[string]bool{young: true, target: true, running.temp: true, stale: false, crashed: !locks(root)}
	for name, want := range left {
		if _, err := root.Stat(name); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
	if err := running.done(); err != nil {
		t.Errorf("the running upload: %v", err)
	}
	root.Remove(target)
	file(filepath.Join("d", tempPrefix+"03"), 2*staleAfter)
	start(t, func(c *Config) { c.Root = dir })
	until(t, "the start has swept", func() bool { _, err := root.Stat(filepath.Join("d", tempPrefix+"03")); return err != nil })
}

// locks reports whether the file system and the system under it have locks.
func locks(root *os.Root) bool {
	f, err := root.OpenFile("lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false
	}
	defer root.Remove("lock")
	defer f.Close()
	return lock(f)
}

func TestRow25NamesThatMeanMoreOnWindowsAreKnown(t *testing.T) {
	for _, name := range []string{"CON", "con", "aux.txt", "Nul.tar.gz", "PRN ", "nul .txt", "COM1", "com9.log", "LPT¹", "COM0", "CONIN$", "conout$.x",
		"a.", "a ", "...", ".. ", ". ", `a\b`, `..\..\x`, "a:b", "a.txt::$DATA", "C:", `\`} {
		if !meansMoreOnWindows(name) {
			t.Errorf("%q is taken for a plain name", name)
		}
	}
	for _, name := range []string{"a", ".a", "console", "com", "COM10", "COMA", "LPT", "auxiliary.txt", "nul_", "a.nul", "x con", "a b", "ä", "COM⁴"} {
		if meansMoreOnWindows(name) {
			t.Errorf("%q is refused", name)
		}
	}
}

func TestRow27NamesOfUploadsAreReachedInNoSpelling(t *testing.T) {
	for _, arg := range []string{tempPrefix + "01", strings.ToUpper(tempPrefix) + "01", ".portside-upload-", "d/" + tempPrefix + "/x", ".portſide-upload-01"} {
		if _, _, err := relative("/", arg); err == nil {
			t.Errorf("%q is reached", arg)
		}
	}
	for _, arg := range []string{".portside-uploa", "x.portside-upload-1", ".portside-uploads", "ä"} {
		if _, _, err := relative("/", arg); err != nil {
			t.Errorf("%q is refused", arg)
		}
	}
}

func TestRow28RestIsForNoTransferButTheNext(t *testing.T) {
	for _, between := range []string{"EPSV", "PASV", "TYPE I", "MODE S"} {
		for _, refused := range []bool{false, true} {
			r := start(t, nil)
			r.write("a", "0123456789")
			c := r.login()
			if refused {
				c.cmd(350, "REST 99")
				c.epsvPort()
				c.cmd(554, "RETR a")
			} else {
				c.cmd(350, "REST 4")
				if got := c.fetch("RETR a"); got != "456789" {
					t.Errorf("resumed: %q", got)
				}
			}
			c.send(between + "\r\n")
			c.reply()
			if got := c.fetch("RETR a"); got != "0123456789" {
				t.Errorf("refused %v, then %s: the next download is %q", refused, between, got)
			}
			c.send(between + "\r\n")
			c.reply()
			c.store("STOR a", "new")
			if got := r.content("a"); got != "new" {
				t.Errorf("refused %v, then %s: the next upload left %q", refused, between, got)
			}
		}
	}
}

func TestRow28Rest(t *testing.T) {
	r := start(t, nil)
	r.write("a", "0123456789")
	c := r.login()
	c.cmd(501, "REST -5")
	c.cmd(501, "REST x")
	c.cmd(501, "REST 99999999999999999999")
	rest := func(n int64, line string) string { c.cmd(350, "REST %d", n); return line }
	d := c.epsv()
	c.cmd(150, "%s", rest(4, "RETR a"))
	if b, _ := io.ReadAll(d); string(b) != "456789" {
		t.Errorf("got %q", b)
	}
	c.expect(226)
	c.epsvPort()
	c.cmd(554, "%s", rest(11, "RETR a"))
	c.epsvPort()
	c.cmd(554, "%s", rest(1<<40, "STOR a"))
	c.epsvPort()
	c.cmd(554, "%s", rest(1, "STOR new"))
	c.cmd(350, "REST 4")
	c.cmd(200, "TYPE I") // ftplib and others send it after REST
	if got := c.fetch("RETR a"); got != "456789" {
		t.Errorf("after REST and TYPE: %q", got)
	}
	for _, line := range []string{"RETR a", "STOR a"} {
		c.cmd(200, "TYPE I")
		c.cmd(350, "REST 4")
		c.cmd(200, "TYPE A")
		c.epsvPort()
		c.cmd(554, "%s", line)
	}
	c.cmd(200, "TYPE I")
	d = c.epsv()
	c.cmd(150, "%s", rest(10, "RETR a"))
	if b, _ := io.ReadAll(d); len(b) != 0 {
		t.Errorf("got %q", b)
	}
	c.expect(226)
	d = c.epsv()
	c.cmd(150, "%s", rest(8, "STOR a"))
	io.WriteString(d, "ABCD")
	d.Close()
	c.expect(226)
	if got := r.content("a"); got != "01234567ABCD" {
		t.Errorf("a is %q", got)
	}
	for _, between := range []string{"NOOP", "LIST"} { // forgotten
		c.cmd(350, "REST 5")
		if between == "LIST" {
			c.fetch("LIST")
		} else {
			c.cmd(200, "%s", between)
		}
		if got := c.fetch("RETR a"); got != "01234567ABCD" {
			t.Errorf("after %s: %q", between, got)
		}
	}
	c.store("APPE a", "!")
	c.store("APPE fresh", "x")
	if r.content("a") != "01234567ABCD!" || r.content("fresh") != "x" {
		t.Errorf("appended: %q, %q", r.content("a"), r.content("fresh"))
	}
}

func TestRow29DeleteRenameAndFolders(t *testing.T) {
	r := start(t, nil)
	r.write("d/f", "x")
	r.write("a", "a")
	r.write("b", "b")
	c := r.login()
	c.cmd(550, "DELE d")
	if text := c.cmd(550, "RMD d"); !strings.Contains(text, "not empty") {
		t.Errorf("RMD of a folder with a file: %q", text)
	}
	c.cmd(550, "RMD a")
	c.cmd(550, "RMD /")
	c.epsvPort()
	if text := c.cmd(550, "STOR /"); !strings.Contains(text, "it is a folder") {
		t.Errorf("STOR of the shared folder: %q", text)
	}
	c.cmd(350, "RNFR a")
	c.cmd(200, "NOOP")
	c.cmd(503, "RNTO c")
	c.cmd(350, "RNFR a")
	c.cmd(553, "RNTO d")
	c.cmd(350, "RNFR a")
	c.cmd(250, "RNTO b") // overwriting is allowed to this account
	if r.content("b") != "a" {
		t.Error("b is", r.content("b"))
	}
	if runtime.GOOS == "windows" { // names have no quotation marks there
		c.cmd(553, `MKD say "hi"`)
	} else {
		if text := c.cmd(257, `MKD say "hi"`); !strings.HasPrefix(text, `"/say ""hi""" `) {
			t.Error(text)
		}
		c.cmd(250, `CWD say "hi"`)
		if path, err := wire.Parse257(c.cmd(257, "PWD")); path != `/say "hi"` {
			t.Errorf("%q %v", path, err)
		}
		c.cmd(250, "CDUP")
		c.cmd(250, `RMD say "hi"`)
	}
	c.cmd(250, "DELE d/f")
	c.cmd(250, "RMD d")

	r = start(t, func(c *Config) { c.Accounts[0].Rights = ReadWrite &^ Overwrite })
	r.write("a", "a")
	r.write("b", "b")
	c = r.login()
	c.cmd(350, "RNFR a")
	c.cmd(553, "RNTO b")
	c.epsvPort()
	c.cmd(550, "STOR a")
	c.epsvPort()
	c.cmd(550, "APPE a")
	c.cmd(350, "RNFR a")
	c.cmd(250, "RNTO c")
}

func TestRow29RenamesToOneNameDoNotReplaceEachOther(t *testing.T) {
	r := start(t, func(c *Config) { c.Accounts[0].Rights = ReadWrite &^ Overwrite })
	one, two := r.login(), r.login()
	for i := range 200 {
		r.write("one", "1")
		r.write("two", "2")
		one.cmd(350, "RNFR one")
		two.cmd(350, "RNFR two")
		one.send("RNTO new\r\n")
		two.send("RNTO new\r\n")
		a, _ := one.reply()
		b, _ := two.reply()
		if min(a, b) != 250 || max(a, b) != 553 {
			t.Fatalf("round %d: %d and %d, want one of them done and one refused", i, a, b)
		}
		if got := r.names(); len(got) != 2 {
			t.Fatalf("round %d: %v", i, got)
		}
		os.Remove(filepath.Join(r.root, "new"))
	}
}

func TestRow27STOUsAtOnceHaveNamesOfTheirOwn(t *testing.T) {
	r := start(t, nil)
	r.write("n", "old")
	for round := range 2 { // a name is free again after its STOU
		one, two := r.login(), r.login()
		a, b := one.epsv(), two.epsv()
		first, second := one.cmd(150, "STOU n"), two.cmd(150, "STOU n")
		if first != "FILE: /n.1" || second != "FILE: /n.2" {
			t.Errorf("told %q and %q", first, second)
		}
		io.WriteString(a, "1")
		io.WriteString(b, "2")
		b.Close()
		two.expect(226)
		a.Close()
		one.expect(226)
		if r.content("n") != "old" || r.content("n.1") != "1" || r.content("n.2") != "2" {
			t.Errorf("round %d: %q", round, r.names())
		}
		os.Remove(filepath.Join(r.root, "n.1"))
		os.Remove(filepath.Join(r.root, "n.2"))
		until(t, "the names are free again", func() bool {
			free := true
			r.srv.claims.Range(func(any, any) bool { free = false; return false })
			return free
		})
	}
	c := r.login()
	d := c.epsv()
	c.cmd(150, "STOU n")
	r.login().store("STOR n.1", "named by its client")
	d.Close()
	c.expect(550)
	if got := r.content("n.1"); got != "named by its client" {
		t.Errorf("STOU replaced a file by %q", got)
	}
}

func TestRow27UploadComesToItsEndInAFolderThatIsRenamed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows renames no folder in which a file is open")
	}
	r := start(t, nil)
	r.write("d/old", "old")
	c, other := r.login(), r.login()
	d := c.epsv()
	c.cmd(150, "STOR d/new")
	io.WriteString(d, "content")
	in := func(folder string) int {
		entries, _ := os.ReadDir(filepath.Join(r.root, folder))
		return len(entries)
	}
	until(t, "the upload has begun", func() bool { return in("d") == 2 })
	other.cmd(350, "RNFR d")
	other.cmd(250, "RNTO e")
	d.Close()
	c.expect(226)
	if r.content("e/new") != "content" || in("e") != 2 || in("d") != 0 {
		t.Errorf("%d in the folder, want the old and the new file", in("e"))
	}
}

func TestRow30Listings(t *testing.T) {
	r := start(t, nil)
	r.write("b.txt", "12345")
	r.write("a b", "")
	r.write("dir/x.txt", "")
	r.write("dir/y.bin", "")
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	os.Chtimes(filepath.Join(r.root, "b.txt"), when, when)
	os.Chmod(filepath.Join(r.root, "b.txt"), 0o640)
	letters, mode := "-rw-r-----", "0640"
	if runtime.GOOS == "windows" { // knows of these nothing but "read only"
		letters, mode = "-rw-rw-rw-", "0666"
	}
	if err := os.WriteFile(filepath.Join(r.root, "evil\r\n226 done"), nil, 0o644); err != nil {
		t.Logf("no line ends in names here: %v", err)
	}
	c := r.login()
	line := letters + "   1 ftp      ftp                 5 Feb  3  2020 b.txt\r\n"
	for _, cmd := range []string{"LIST", "LIST -a", "LIST -l", "LIST -la", "LIST -la /", "LIST ."} {
		if text := c.fetch("%s", cmd); strings.Count(text, "\r\n") != 3 || !strings.Contains(text, line) || text[0] != '-' {
			t.Errorf("%s: %q", cmd, text)
		}
	}
	for cmd, want := range map[string]string{
		"NLST": "a b\r\nb.txt\r\ndir\r\n", "NLST dir": "dir/x.txt\r\ndir/y.bin\r\n", "NLST *.txt": "b.txt\r\n", "NLST dir/*.bin": "dir/y.bin\r\n",
		"NLST b.txt": "b.txt\r\n", "NLST -a": "a b\r\nb.txt\r\ndir\r\n",
	} {
		if text := c.fetch("%s", cmd); text != want {
			t.Errorf("%s: %q", cmd, text)
		}
	}
	c.cmd(250, "CWD dir")
	if text := c.fetch("NLST /"); text != "/a b\r\n/b.txt\r\n/dir\r\n" {
		t.Errorf("NLST / in another folder: %q", text)
	}
	if text := c.fetch("NLST /*.txt"); text != "/b.txt\r\n" {
		t.Errorf("NLST /*.txt in another folder: %q", text)
	}
	c.cmd(250, "CDUP")
	lines := strings.Split(strings.TrimSpace(c.fetch("MLSD")), "\r\n")
	facts, name, err := wire.ParseFacts(lines[1])
	if err != nil || name != "b.txt" || len(lines) != 3 {
		t.Fatalf("%q: %v", lines, err)
	}
	for _, want := range []wire.Fact{{Name: "type", Value: "file"}, {Name: "size", Value: "5"}, {Name: "modify", Value: "20200203040506"},
		{Name: "perm", Value: "adfrw"}, {Name: "unix.mode", Value: mode}} {
		if !slices.Contains(facts, want) {
			t.Errorf("%v lacks %v", facts, want)
		}
	}
	c.cmd(200, "OPTS MLST size;bogus;type;")
	if text := c.cmd(250, "MLST b.txt"); !strings.Contains(text, "\ntype=file;size=5; /b.txt\n") {
		t.Errorf("MLST %q", text)
	}
	c.epsvPort()
	c.cmd(501, "MLSD b.txt")
	if text := c.cmd(212, "STAT dir"); strings.Count(text, "\n") != 3 {
		t.Errorf("STAT %q", text)
	}
	if runtime.GOOS != "windows" {
		if x := r.rec.wait(t, connlog.ServerFault, 1); !strings.Contains(x.Err, "1 names") {
			t.Errorf("recorded %+v", x)
		}
	}
}

func TestRow30NamesAreSortedInPiecesWithinABudget(t *testing.T) {
	dir := t.TempDir()
	const n = 3000
	for i := range n {
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d", (i*7919)%n)), nil, 0o644)
	}
	every := func(string) bool { return true }
	for _, budget := range []int{1 << 20, 2000, 200} {
		next := 0
		err := sortedNames(t.Context(), openFolderOf(t, dir), every, nameMemory{own: budget, most: budget}, func(name string) error {
			if name != fmt.Sprintf("%04d", next) {
				return fmt.Errorf("got %s at place %d", name, next)
			}
			next++
			return nil
		})
		if err != nil || next != n {
			t.Errorf("budget %d: %d names, %v", budget, next, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errAborted)
	err := sortedNames(ctx, openFolderOf(t, dir), every, nameMemory{own: nameBudget}, func(string) error { return nil })
	if !errors.Is(err, errAborted) {
		t.Errorf("ABOR while names are read: %v", err)
	}
}

func openFolderOf(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Runs of names are merged in order, and the first half is the first half.
func TestRow30NamesInManyRuns(t *testing.T) {
	var l nameList
	const n = 5*nameRun/2 + 7
	for i := range n {
		l.add(fmt.Sprintf("%06d", i*7919%n))
	}
	check := func(l *nameList, want int) {
		t.Helper()
		next := 0
		for a := range l.inOrder() {
			if got := l.name(a); got != fmt.Sprintf("%06d", next) {
				t.Fatalf("%q at place %d", got, next)
			}
			next++
		}
		if next != want {
			t.Errorf("%d names, want %d", next, want)
		}
	}
	check(&l, n)
	half := l.firstHalf()
	half.add("000000a") // what comes after it is sorted in
	if got := half.last(); got != "000000a" {
		t.Errorf("last is %q", got)
	}
	half = l.firstHalf()
	check(&half, (n+1)/2)
}

// The listings of a server share what they may take beyond their own, and give it back.
func TestRow30ListingsShareTheirMemory(t *testing.T) {
	var common atomic.Int64
	one := nameMemory{own: nameBudget, most: nameMost, common: &common}
	for one.more() {
	}
	if one.taken != nameMost-nameBudget {
		t.Errorf("one listing takes %d beyond its own", one.taken)
	}
	var all []nameMemory
	for common.Load()+nameStep <= nameMostOfAll {
		m := nameMemory{own: nameBudget, most: nameMost, common: &common}
		if !m.more() {
			t.Fatalf("no more at %d of all", common.Load())
		}
		all = append(all, m)
	}
	late := nameMemory{own: nameBudget, most: nameMost, common: &common}
	if late.more() || common.Load() != nameMostOfAll {
		t.Errorf("more than all: %d", common.Load())
	}
	one.release()
	for _, m := range all {
		m.release()
	}
	if common.Load() != 0 {
		t.Errorf("%d not given back", common.Load())
	}
}

func TestRow30TypeAConvertsLineEnds(t *testing.T) {
	r := start(t, nil)
	long := strings.Repeat("line\n", 50_000)
	r.write("a", "one\ntwo\r\nthree\r\r\n\n")
	r.write("long", long)
	c := r.login()
	c.cmd(200, "TYPE A")
	c.cmd(550, "SIZE a")
	c.cmd(504, "REST 5")
	if got := c.fetch("RETR a"); got != "one\r\ntwo\r\nthree\r\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	if got := c.fetch("RETR long"); got != strings.ReplaceAll(long, "\n", "\r\n") {
		t.Errorf("got %d bytes", len(got))
	}
	c.store("STOR up", "one\r\ntwo\nthree\rfour\r\r\n\r")
	if got := r.content("up"); got != "one\ntwo\nthree\rfour\r\n\r" {
		t.Errorf("stored %q", got)
	}
}

func TestRow31Times(t *testing.T) {
	r := start(t, nil)
	r.write("a", "x")
	c := r.login()
	c.cmd(213, "MFMT 20200203040506 a")
	if text := c.cmd(213, "MDTM a"); text != "20200203040506" {
		t.Error(text)
	}
	c.cmd(501, "MFMT 99991231235959 a")
	c.cmd(501, "MFMT 15821015000000 a")
	if set := c.cmd(213, "MFMT 22000101000000 a"); !strings.Contains(set, "Modify="+c.cmd(213, "MDTM a")+";") {
		t.Errorf("MFMT says %q, and MDTM another time", set) // a file system may know fewer years
	}
	c.cmd(213, "MFMT 20200203040506 a")
	c.cmd(501, "MFMT 2020 a")
	c.cmd(501, "MFMT 20200203040506")
	c.cmd(502, "HASH a")
	c.cmd(502, "XCRC a")
	c.cmd(200, "SITE CHMOD 600 a")
	c.cmd(501, "SITE CHMOD 644")
	c.cmd(501, "SITE CHMOD 4755 a")
	c.cmd(504, "SITE RMDIR a")
	if st, _ := os.Stat(filepath.Join(r.root, "a")); runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Error(st.Mode())
	}
}

func TestRow31FreeSpaceIsNeverBelowNothing(t *testing.T) {
	for _, tt := range []struct {
		blocks, size uint64
		want         int64
	}{{0, 4096, 0}, {3, 4096, 12288}, {1 << 52, 4096, math.MaxInt64}, {1 << 51, 4096, math.MaxInt64}, {1<<51 - 1, 4096, math.MaxInt64 - 4095}, {math.MaxUint64, 1, math.MaxInt64}} {
		if got := bytesIn(tt.blocks, tt.size); got != tt.want {
			t.Errorf("%d blocks of %d: %d, not %d", tt.blocks, tt.size, got, tt.want)
		}
	}
}

func TestRow32Rights(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Accounts = append(c.Accounts, Account{Name: "box", Password: testPassword(), Rights: DropBox})
	})
	r.write("a", "x")
	c := r.connect()
	c.cmd(331, "USER anonymous")
	c.cmd(230, "PASS me@example.org")
	c.cmd(200, "TYPE I")
	for _, line := range []string{"STOR b", "APPE a", "STOU", "DELE a", "RMD a", "MKD d", "RNFR a", "MFMT 20200101000000 a", "SITE CHMOD 600 a"} {
		c.cmd(550, "%s", line)
	}
	if c.fetch("RETR a") != "x" || c.fetch("NLST") != "a\r\n" {
		t.Error("anonymous can't read")
	}
	c.cmd(331, "USER box")
	c.cmd(230, "PASS pw")
	for _, line := range []string{"LIST", "NLST", "MLSD", "RETR a", "SIZE a", "MDTM a", "MLST a", "STAT a", "STOR a", "DELE a", "MKD d"} {
		c.cmd(550, "%s", line)
	}
	c.store("STOR new", "mine")
	d := c.epsv()
	if text := c.cmd(150, "STOU"); text != "FILE: /upload" {
		t.Error(text)
	}
	d.Close()
	c.expect(226)
	if listing(r.root) != "a new upload" {
		t.Error(listing(r.root))
	}
}

func TestRow33VanishedRootAndFiles(t *testing.T) {
	r := start(t, nil)
	r.write("a", "x")
	c := r.login()
	if err := os.RemoveAll(r.root); err != nil {
		t.Skip(err)
	}
	c.epsvPort()
	c.cmd(550, "RETR a")
	c.epsv()
	c.cmd(150, "STOR b")
	c.expect(550)
	os.Mkdir(r.root, 0o755)
	r.write("a", "back")
	if got := r.login().fetch("RETR a"); got != "back" {
		t.Errorf("after it came back: %q", got)
	}
	c.cmd(200, "NOOP")
}

func TestRow33FullDisk(t *testing.T) {
	// /dev/full answers every write with ENOSPC; an upload gets there over a bind mount only, so the writer is tested.
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	defer f.Close()
	_, err = f.Write([]byte("x"))
	if code, text := fileReply(&localError{err}, "/a"); code != 452 || !strings.Contains(text, "no space") {
		t.Errorf("%d %s", code, text)
	}
}
