//go:build e2e && linux

package window

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"portside/e2e/peers"
)

// record is a line of the saved log, by its public names.
type record struct {
	Session   string         `json:"session"`
	Side      string         `json:"side"`
	Event     string         `json:"event"`
	Channel   string         `json:"channel"`
	Mode      string         `json:"mode"`
	Initiator string         `json:"initiator"`
	From      netip.AddrPort `json:"from"`
	To        netip.AddrPort `json:"to"`
	Bytes     int64          `json:"bytes"`
	Command   string         `json:"command"`
	Reason    string         `json:"reason"`
	Text      string         `json:"text"`
}

// logFile is the name that the window proposes for the log.
const logFile = "portside-log.jsonl"

// log has the window save its log, with the keyboard, and reads it.
func (d *desk) log() []record {
	d.t.Helper()
	path := d.path(logFile)
	os.Remove(path)
	d.keys("ctrl+shift+s", "Return")
	d.await("the log is saved", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	d.dialog(false)
	b, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	var all []record
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			d.t.Fatalf("the log has a line that is not JSON: %v\n%s", err, lines.Text())
		}
		all = append(all, r)
	}
	d.logged = all
	return all
}

// awaitLog waits until the log holds a record.
func (d *desk) awaitLog(what string, is func(record) bool) {
	d.t.Helper()
	d.await("the log says: "+what, func() bool { return slices.ContainsFunc(d.log(), is) })
}

// makeTree fills a folder with files of many sizes, with names that a command line or a listing could trip over, and returns
// its content as [tree] does.
func makeTree(t *testing.T, dir string, seed uint64) map[string]string {
	t.Helper()
	random := rand.NewChaCha8([32]byte{byte(seed)})
	for name, size := range map[string]int{
		"empty.txt": 0, "one byte": 1, "a name with spaces.txt": 4_097, "Grüße.txt": 70_000,
		"big.bin": 3_000_000, "inner/x.dat": 100_000, "inner/deeper/-dash; semi.bin": 65_536,
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		content := make([]byte, size)
		random.Read(content)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tree(t, dir)
}

// tree returns the SHA-256 of each file below dir, by its path; nil when dir is not there.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	var files map[string]string
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil // being moved
		}
		name, _ := filepath.Rel(dir, path)
		if files == nil {
			files = map[string]string{}
		}
		files[name] = fmt.Sprintf("%x", sha256.Sum256(b))
		return nil
	})
	return files
}

// listens says whether the kernel has a socket that listens at a TCP port. Asking so leaves no trace in the server's log.
func listens(port int) bool {
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Fields(line)
			if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				return true
			}
		}
	}
	return false
}

// kept returns the settings that the window has saved.
func (d *desk) kept() (s struct {
	Theme string `json:"theme"`
	Share struct {
		Port     int  `json:"port"`
		Write    bool `json:"write"`
		UseRange bool `json:"usePassivePortRange"`
		Min      int  `json:"passivePortMin"`
		Max      int  `json:"passivePortMax"`
	} `json:"share"`
	Connect struct {
		Mode string `json:"mode"`
	} `json:"connect"`
}) {
	b, err := os.ReadFile(d.settings())
	if err == nil {
		json.Unmarshal(b, &s)
	}
	return s
}

// Places at 1280x800, with the mouse.
var (
	modeField  = image.Pt(1000, 22)
	remoteRow1 = image.Pt(760, 119)
	localRow1  = image.Pt(150, 119)
)

func TestFoldersGoBothWaysThroughTheWindowsOwnServer(t *testing.T) {
	d := newDesk(t)
	free, err := peers.FreePort("")
	if err != nil {
		t.Fatal(err)
	}
	port := int(free)
	outside := makeTree(t, d.path("Public/tree"), 1)
	inside := makeTree(t, d.path("outbox"), 2)
	d.open(1280, 800)
	defer func() { d.t = t }()

	t.Run("share", func(t *testing.T) {
		d.t = t
		d.keys("ctrl+2")                    // the folder field; the person's Public folder is proposed
		d.keys("Tab", "Tab", "Tab", "Down") // to what people may do: read and write
		d.dialog(true)                      // anyone?
		d.keys("Tab", "Return", "Tab")      // yes; on to the port
		d.typed(strconv.Itoa(port))         // over what is there
		d.keys("ctrl+g")                    // start
		d.await("the server listens", func() bool { return listens(port) })
		d.dialog(false)
		if s := d.kept().Share; s.Port != port || !s.Write {
			t.Fatalf("kept: port %d, write %v", s.Port, s.Write)
		}
	})
	if t.Failed() {
		return
	}

	t.Run("connect", func(t *testing.T) {
		d.t = t
		d.keys("ctrl+1", "ctrl+l")
		d.typed(fmt.Sprintf("127.0.0.1:%d", port))
		d.keys("Return")
		d.dialog(true) // a certificate that nobody vouches for
		d.keep("certificate", d.settled("the certificate is shown", nil))
		d.keys("Tab", "Tab", "Return") // trust it once
		d.dialog(false)
		d.awaitLog("the folder was listed", func(r record) bool {
			return r.Side == "client" && r.Event == "data-closed" && r.Mode == "passive"
		})
	})
	if t.Failed() {
		return
	}

	move := func(t *testing.T, mode string) {
		d.t = t
		os.RemoveAll(d.path("tree"))
		os.RemoveAll(d.path("Public/outbox"))
		d.click(remoteRow1.X, remoteRow1.Y, 1)
		d.keys("t", "F6") // typing finds the row; a word would have to be typed within a second of the window's time
		d.await("the folder is downloaded in "+mode+" mode", func() bool { return maps.Equal(tree(t, d.path("tree")), outside) })
		d.click(localRow1.X, localRow1.Y, 1)
		d.keys("o", "F6")
		d.await("the folder is uploaded in "+mode+" mode", func() bool { return maps.Equal(tree(t, d.path("Public/outbox")), inside) })
		for _, side := range []string{"client", "server"} {
			d.awaitLog("all files went over "+mode+" data channels, says the "+side, func(record) bool {
				n := 0
				for _, r := range d.logged {
					if r.Side == side && r.Event == "data-closed" && r.Mode == mode && r.Bytes == 3_000_000 {
						n++
					}
				}
				return n == 2
			})
		}
	}
	t.Run("passive", func(t *testing.T) { move(t, "passive") })
	if t.Failed() {
		return
	}
	t.Run("active", func(t *testing.T) {
		d.t = t
		d.click(modeField.X, modeField.Y, 1)
		d.keys("Down", "Down", "Return") // from auto, the chosen one
		d.await("active mode is chosen", func() bool { return d.kept().Connect.Mode == "active" })
		move(t, "active")
	})
	if t.Failed() {
		return
	}

	t.Run("mouse", func(t *testing.T) {
		d.t = t
		d.click(remoteRow1.X, remoteRow1.Y+24, 2) // outbox, then tree: a double click opens it
		d.awaitLog("a folder was opened", func(r record) bool {
			return r.Side == "server" && r.Event == "command" && strings.HasPrefix(r.Command, "MLSD") && strings.HasSuffix(r.Command, "tree")
		})
		d.keys("BackSpace")
	})
	t.Run("log", func(t *testing.T) {
		d.t = t
		defer func() {
			for _, one := range oneSided(d.logged) {
				t.Log(one)
			}
		}()
		d.awaitLog("both ends tell of the same data channels", func(record) bool { return len(oneSided(d.logged)) == 0 })
		checkChannels(t, d.logged, port, d.kept().Share.Min, d.kept().Share.Max)
	})
	t.Run("pictures", func(t *testing.T) { d.t = t; d.pictures() })
	t.Run("quit", func(t *testing.T) {
		d.t = t
		d.keys("ctrl+q")
		d.dialog(true) // somebody is connected: we are
		d.keys("Tab", "Return")
		if err := d.closed(); err != nil {
			t.Errorf("the program ended with %v\n%s", err, d.stderr.String())
		}
		if listens(port) {
			t.Errorf("port %d still listens", port)
		}
	})
}

// oneSided names the data channels that only one end of the log tells of. Somebody may come to an offer in the moment in which
// it is taken back: the kernel has that connection, and one end of it nobody.
func oneSided(all []record) (strays []string) {
	type ends struct{ from, to netip.AddrPort }
	opened, withdrawn := map[string]map[ends]string{"client": {}, "server": {}}, map[netip.AddrPort]bool{}
	for _, r := range all {
		switch {
		case r.Event == "data-opened":
			opened[r.Side][ends{unmap(r.From), unmap(r.To)}] = r.Mode
		case (r.Event == "offer-expired" || r.Event == "data-failed") && r.Reason == "not-taken":
			withdrawn[unmap(r.To)] = true
		}
	}
	for side, other := range map[string]string{"client": "server", "server": "client"} {
		for e, mode := range opened[side] {
			if _, ok := opened[other][e]; !ok && !withdrawn[e.to] {
				strays = append(strays, fmt.Sprintf("the %s's %s channel %v to %v is not in the %s's log", side, mode, e.from, e.to, other))
			}
		}
	}
	return strays
}

// checkChannels holds the log of both ends against what must be.
func checkChannels(t *testing.T, all []record, port, low, high int) {
	count := map[string]int{}
	for _, r := range all {
		if r.Text == "" {
			t.Errorf("a record without a sentence: %+v", r)
		}
		switch r.Event {
		case "data-failed":
			if r.Reason != "not-taken" { // the client may ask ahead for a file that another session gets first
				t.Errorf("%s: %s", r.Side, r.Text)
			}
		case "control-failed", "stranger-refused", "ports-exhausted", "server-fault":
			t.Errorf("%s: %s", r.Side, r.Text)
		case "control-opened":
			if r.Initiator != "client" || int(r.To.Port()) != port {
				t.Errorf("control channel opened by %q to %v, want by the client to port %d", r.Initiator, r.To, port)
			}
		case "data-opened":
			want := map[string]string{"passive": "client", "active": "server"}[r.Mode]
			if r.Initiator != want {
				t.Errorf("%s: a data channel in %s mode opened by %q", r.Side, r.Mode, r.Initiator)
			}
			if to := int(r.To.Port()); r.Mode == "passive" && (to < low || to > high) {
				t.Errorf("%s: a passive data channel to port %d, outside %d-%d", r.Side, to, low, high)
			}
			count[r.Side+" "+r.Mode]++
		}
	}
	for _, side := range []string{"client", "server"} {
		for _, mode := range []string{"passive", "active"} {
			if n := count[side+" "+mode]; n < 14 { // seven files each way, and listings
				t.Errorf("the %s has %d %s data channels", side, n, mode)
			}
		}
	}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// screens are the screens, with the keys that show them.
var screens = []struct {
	name string
	keys []string
}{
	{"connect", []string{"ctrl+1"}},
	{"share", []string{"ctrl+2"}},
	{"doctor", []string{"ctrl+3"}},
	{"learn", []string{"ctrl+4"}},
	{"settings", []string{"ctrl+comma"}},
}

// pictures keeps a picture of each screen, dark and light, in both sizes, and switches the theme on the way.
func (d *desk) pictures() {
	d.t.Helper()
	for i, theme := range []string{"light", "dark"} { // the choices after "as the system"
		d.keys("ctrl+comma", "Down")
		d.await("the theme is "+theme, func() bool { return d.kept().Theme == theme })
		shown := func(img *image.NRGBA) bool { return (img.NRGBAAt(plainSpot.X, plainSpot.Y).R > 0x80) == (i == 0) }
		d.settled("the window is drawn "+theme, shown)
		for _, size := range [][2]int{{1280, 800}, {900, 600}} {
			d.resize(size[0], size[1])
			var before *image.NRGBA
			for _, s := range screens {
				d.keys(s.keys...)
				// Within a change of theme a busy program may stand still so long that a part of the old one seems to have settled.
				now := d.settled(fmt.Sprintf("%s is shown at %dx%d, %s, and at most a tenth of it has the other theme's colours", s.name, size[0], size[1], theme),
					func(img *image.NRGBA) bool { return shown(img) && !same(img, before) && odd(img, i == 0) <= 0.1 })
				before = now
				d.keep(fmt.Sprintf("%s-%s-%dx%d", s.name, theme, size[0], size[1]), now)
			}
		}
	}
	d.resize(1280, 800)
}

// odd returns which part of a picture is dark where it should be light, or the other way round. Letters and a QR code are a
// few per cent; a panel that still has the other theme's colours is more.
func odd(img *image.NRGBA, light bool) float64 {
	n := 0
	for i := 0; i < len(img.Pix); i += 4 {
		if r, g, b := img.Pix[i], img.Pix[i+1], img.Pix[i+2]; light && max(r, g, b) < 0x40 || !light && min(r, g, b) > 0xc0 {
			n++
		}
	}
	return float64(n) / float64(len(img.Pix)/4)
}

func TestTryItShowsBothModes(t *testing.T) {
	d := newDesk(t)
	d.open(900, 600)
	d.keys("alt+t")
	for _, mode := range []string{"passive", "active"} {
		d.awaitLog("a file came in "+mode+" mode", func(r record) bool {
			return r.Side == "client" && r.Event == "data-closed" && r.Mode == mode
		})
	}
	d.keep("try-it", d.settled("the arrows stand", nil))
	d.keys("alt+F4") // the window manager asks the window to close
	if err := d.closed(); err != nil {
		t.Errorf("the program ended with %v\n%s", err, d.stderr.String())
	}
	if left, _ := filepath.Glob(d.path("portside-sample-*")); len(left) > 0 {
		t.Errorf("sample folders are left: %v", left)
	}
}

func TestSettingsThatCantBeReadAreSetAsideAndSaid(t *testing.T) {
	d := newDesk(t)
	if err := os.MkdirAll(filepath.Dir(d.settings()), 0o700); err != nil {
		t.Fatal(err)
	}
	const broken = `{"theme": "light", "window": {`
	if err := os.WriteFile(d.settings(), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	d.open(900, 600)
	d.dialog(true)
	aside, _ := filepath.Glob(filepath.Join(filepath.Dir(d.settings()), "settings.broken-*.json"))
	if len(aside) != 1 {
		t.Fatalf("set aside: %v", aside)
	}
	if b, _ := os.ReadFile(aside[0]); string(b) != broken {
		t.Errorf("what was set aside reads %q", b)
	}
	d.keys("Return")
	d.dialog(false)
	d.keys("ctrl+q")
	if err := d.closed(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}
