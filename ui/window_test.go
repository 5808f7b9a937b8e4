package ui

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/ui/channels"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// testWindow is the whole window without a display, over an application that keeps nothing.
func testWindow(t *testing.T, width, height float32) (*Window, *app.App, *uitest.Queue) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	driver := uitest.App(t, kit.Dark)
	core := app.New("")
	queue := uitest.NewQueue()
	w := New(driver, core, Options{Post: queue.Post})
	t.Cleanup(func() {
		w.Close()
		if err := core.Close(context.Background()); err != nil {
			t.Error(err)
		}
		w.Window.Close()
	})
	w.Resize(fyne.NewSize(width, height))
	uitest.Settle(w)
	return w, core, queue
}

func TestEveryScreenFitsTheSmallestWindowAndTakesTheKeyboard(t *testing.T) {
	w, _, _ := testWindow(t, kit.MinWidth, kit.MinHeight)
	for _, name := range screens {
		w.show(name)
		uitest.Settle(w)
		if m := w.Content().MinSize(); m.Width > kit.MinWidth || m.Height > kit.MinHeight {
			t.Errorf("%s needs %v", name, m)
		}
		if w.Canvas().Focused() == nil {
			t.Errorf("%s leaves the keyboard to nobody", name)
		}
	}
}

func TestTheDrawerFoldsToItsTabsAndOpensForWhatIsAskedOfIt(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	open := w.connect.drawer.Size().Height
	w.registry.Run("drawer.fold")
	if h := w.connect.drawer.Size().Height; h != kit.TabHeight {
		t.Errorf("folded it is %v high", h)
	}
	w.connect.drawer.SelectTab("transfers")
	if h := w.connect.drawer.Size().Height; h != open {
		t.Errorf("another tab leaves it %v high, not %v", h, open)
	}
	w.registry.Run("drawer.fold")
	w.registry.Run("drawer.find")
	if w.connect.drawer.Size().Height != open || w.connect.drawer.Tab() != channels.TabChannels {
		t.Error("the search can't be seen")
	}
}

func TestTryItConnectsInBothModesAndGivesTheKeyboardToTheFiles(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	w.registry.Run("connect.try")
	queue.Await(t, "the sample folder", func() bool { return w.connect.remote.rows.Len() > 0 })
	if w.Canvas().Focused() != fyne.Focusable(w.connect.remote.table) {
		t.Errorf("the focus is on %T", w.Canvas().Focused())
	}
	queue.Await(t, "both modes", func() bool {
		seen := map[connlog.Mode]bool{}
		for _, n := range core.Log.Records(0) {
			if n.Side == connlog.Client && n.Event == connlog.DataClosed {
				seen[n.Mode] = true
			}
		}
		return seen[connlog.Passive] && seen[connlog.Active]
	})
}

func TestWhatConnectsMovesNoPanes(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w, core, queue := testWindow(t, 1280, 800)
	height := w.connect.panes.Size().Height
	w.connect.address.SetText("ftp://" + silent.Addr().String() + "/%2F")
	w.connect.connect()
	queue.Await(t, "the connection", func() bool { return core.Remote().Doing != "" })
	w.connect.refresh()
	if r := core.Remote(); r.Phase != app.Connecting || w.connect.lineBox.Visible() || w.connect.panes.Size().Height != height || !strings.HasPrefix(w.connect.empty, r.Doing) {
		t.Errorf("%v: the panes are %v high after %v, and the remote one says %q", r.Phase, w.connect.panes.Size().Height, height, w.connect.empty)
	}
	core.Cancel()
}

func TestAReasonIsSaidOnce(t *testing.T) {
	if !endsAlike("Proved: It can't be trusted: unknown authority.", "Connect to h: not accepted: unknown authority.") {
		t.Error("the same reason is said twice")
	}
	if endsAlike("Likely: A firewall drops it.", "Connect to h: timeout.") || endsAlike("No.", "No.") {
		t.Error("another reason is left out")
	}
}

func TestAnAddressThatCantBeIsSaidAndStaysToBeMended(t *testing.T) {
	w, _, queue := testWindow(t, 1280, 800)
	w.registry.Run("connect.address")
	uitest.Type(w, "http://example.org")
	uitest.Key(w, fyne.KeyReturn)
	if !strings.Contains(w.connect.line.String(), "http") || !w.connect.lineBox.Visible() {
		t.Errorf("it says %q", w.connect.line.String())
	}
	w.connect.refresh()
	queue.Drain()
	if !w.connect.lineBox.Visible() {
		t.Error("the next look takes what was said away")
	}
	if w.Canvas().Focused() != fyne.Focusable(w.connect.address) {
		t.Errorf("the focus is on %T", w.Canvas().Focused())
	}
}

// A connection that fails between two looks of the screen is said all the same.
func TestWhatIsWrongWithAnAddressDoesNotHideTheNextFailure(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	c := w.connect
	fail := func() {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		held, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		other, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		closed := held.LocalAddr().String() // nobody listens at the port of a connection, or will
		c.address.SetText(closed)
		c.connect()
		for end := time.Now().Add(time.Minute); core.Remote().Doing != "" || !strings.Contains(core.Remote().Err, closed); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it does not fail")
			}
		}
		queue.Drain()
		c.refresh()
		if said := c.line.String(); !strings.Contains(said, closed) {
			t.Errorf("it says %q", said)
		}
	}
	for range 2 {
		c.address.SetText("")
		c.connect()
		if said := c.line.String(); !strings.Contains(said, "address is empty") {
			t.Errorf("it says %q", said)
		}
		fail()
	}
	// Without a connect in front, as of a folder that can't be opened.
	c.note("Something.", kit.ColorMuted)
	core.OpenLocal(filepath.Join(t.TempDir(), "none"))
	queue.Await(t, "the folder's failure", func() bool { return strings.Contains(c.line.String(), "none") })
}

func TestAPasswordInAURLMovesToItsField(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	w.connect.address.SetText("ftp://alice:s3cret@example.org/pub")
	if got := w.connect.address.Text; strings.Contains(got, "s3cret") || strings.Contains(got, "alice") {
		t.Errorf("the address bar shows %q", got)
	}
	if w.connect.user.Text != "alice" || w.connect.password.Text != "s3cret" {
		t.Errorf("user %q, password %q", w.connect.user.Text, w.connect.password.Text)
	}
}

// The fields hold who signed in the last time, which may have been somewhere else.
func TestTheUserOfAURLGoesBeforeTheField(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	c := w.connect
	c.user.SetText("bob")
	c.password.SetText("of bob")
	for address, user := range map[string]string{"ftp://alice@127.0.0.1:1/": "alice", "ftp://127.0.0.1:1/": "bob", "127.0.0.1": "bob"} {
		c.address.SetText(address)
		if got, err := c.readBar(); err != nil || got.User != user {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
	c.open("ftp://127.0.0.1:1/")
	if got := core.Remote().Target; got.User != "" && got.User != client.Anonymous || got.Password != "" || c.user.Text != "" {
		t.Errorf("the URL that was handed over signs in as %q with %q", got.User, got.Password)
	}
}

func TestATableIsDrawnOnlyWhenItLooksDifferent(t *testing.T) {
	uitest.App(t, kit.Dark)
	text := "one"
	asked := 0
	table := kit.NewTable(kit.Column{Title: "Name", Flex: true})
	table.Length = func() int { return 1 }
	table.Key = func(int) string { return "row" }
	table.Cell = func(int, int) kit.Cell { asked++; return kit.Cell{Text: text} }
	uitest.Window(t, table, 200, 100)
	var d drawn
	d.redraw(table)
	asked = 0
	d.redraw(table)
	if asked != 1 {
		t.Errorf("the same again asks %d times for the cell, more than to compare it", asked)
	}
	text = "two"
	if d.redraw(table); asked <= 2 {
		t.Error("a change is not drawn")
	}
}

func TestReflowPutsBelowWhatHasNoRoomBeside(t *testing.T) {
	a, b := canvas.NewRectangle(nil), canvas.NewRectangle(nil)
	a.SetMinSize(fyne.NewSize(100, 20))
	b.SetMinSize(fyne.NewSize(100, 20))
	box := newReflow(func() float32 { return 250 }, 10, 5, a, kit.Grow(b))
	box.Resize(fyne.NewSize(300, 50))
	if b.Size().Width != 190 || box.MinSize().Height != 20 {
		t.Errorf("wide: the second is %v wide, the whole at least %v", b.Size().Width, box.MinSize())
	}
	box.Resize(fyne.NewSize(200, 50))
	if b.Size().Width != 200 || box.MinSize().Height != 45 || box.MinSize().Width != 100 {
		t.Errorf("narrow: the second is %v wide, the whole at least %v", b.Size().Width, box.MinSize())
	}
}

func TestElasticGivesRoomToTheFirstOnceTheOthersHaveEnough(t *testing.T) {
	a, b := canvas.NewRectangle(nil), canvas.NewRectangle(nil)
	box := container.New(&elastic{gap: 10, least: []float32{100, 50}, most: []float32{100, 80}}, a, b)
	for width, want := range map[float32][2]float32{160: {100, 50}, 175: {100, 65}, 190: {100, 80}, 500: {410, 80}} {
		box.Resize(fyne.NewSize(width, 20))
		if got := [2]float32{a.Size().Width, b.Size().Width}; got != want {
			t.Errorf("in %v: %v, want %v", width, got, want)
		}
	}
}

func TestShortenKeepsTheEnd(t *testing.T) {
	if got := shorten("/home/alice/Public", 40); got != "/home/alice/Public" {
		t.Error(got)
	}
	got := shorten("/home/alice/pictures/2026/summer/Grüße", 20)
	if n := len([]rune(got)); n != 20 || !strings.HasPrefix(got, "/home/") || !strings.HasSuffix(got, "/Grüße") {
		t.Errorf("%q has %d runes", got, n)
	}
}

func TestGoodNameTakesNoPath(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "a b.txt": true, "..x": true, "": false, ".": false, "..": false, "a/b": false, "a\nb": false} {
		if err := goodName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestALongStatusDoesNotWidenTheWindow(t *testing.T) {
	w, _, _ := testWindow(t, kit.MinWidth, kit.MinHeight)
	w.status.SetLeft(segments([]string{
		"files.a-rather-long-host-name.example.or · a-rather-long-user-name", "Auto uses passive mode", "Server's clock: UTC+2:00",
		"12 folders, 1234 files, 123.4 MiB, 12 hidden", "2 files open, 1 not uploaded",
	})...)
	w.status.SetRight(segments([]string{"Down 12.3 MiB/s", "Up 12.3 MiB/s", "1234 transfers left · 1:02:03"})...)
	if m := w.Content().MinSize(); m.Width > kit.MinWidth {
		t.Errorf("the window needs %v", m)
	}
}

func TestArrowsWalkThroughTheRail(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	w.focusOn(w.rail)
	uitest.Key(w, fyne.KeyDown)
	uitest.Key(w, fyne.KeyDown)
	if w.screen != "doctor" {
		t.Errorf("two steps down show %s", w.screen)
	}
	if w.registry.Run("go.share"); w.Canvas().Focused() == fyne.Focusable(w.rail) {
		t.Error("a screen that was asked for leaves the keyboard to the rail")
	}
}

func TestTheKeysAreListedInTheOrderOfTheScreens(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	var groups []string
	for _, h := range w.registry.Help() {
		if len(groups) == 0 || groups[len(groups)-1] != h.Group {
			groups = append(groups, h.Group)
		}
	}
	at := func(group string) int { return slices.Index(groups, group) }
	if at("File") != 0 || at("Connection") > at("Share") || at("Share") > at("Doctor") || at("Doctor") > at("Learn") {
		t.Errorf("the groups are %q", groups)
	}
}

func TestTheWindowComesBackAsItWasLeft(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	w.connect.panes.SetOffset(0.3)
	w.connect.split.SetFolded(true)
	w.closing()
	again := New(fyne.CurrentApp(), core, Options{Post: uitest.NewQueue().Post})
	t.Cleanup(again.Close)
	if got := again.connect.panes.Offset(); got < 0.299 || got > 0.301 {
		t.Errorf("the panes are parted at %v", got)
	}
	if !again.connect.split.Folded() {
		t.Error("the drawer is open")
	}
}

func TestTabsOfOneServerAreToldApart(t *testing.T) {
	tab := func(name, user, host string) app.Tab {
		return app.Tab{Name: name, Target: client.Target{User: user, Host: host}}
	}
	for _, c := range []struct {
		tabs []app.Tab
		want []string
	}{
		{[]app.Tab{tab("", "alice", "a"), tab("", "", "b"), tab("", "", "")}, []string{"a", "b", "New tab"}},
		{[]app.Tab{tab("", "alice", "a"), tab("", "", "a")}, []string{"alice@a", "anonymous@a"}},
		{[]app.Tab{tab("", "alice", "a"), tab("", "alice", "a"), tab("NAS", "x", "a"), tab("NAS", "x", "a")}, []string{"alice@a", "alice@a (2)", "NAS", "NAS (2)"}},
	} {
		if got := tabTitles(c.tabs); !slices.Equal(got, c.want) {
			t.Errorf("titles %q, want %q", got, c.want)
		}
	}
}

func TestASiteThatIsSavedAsksForItsName(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	w.connect.address.SetText("ftp://nas.example.org")
	w.connect.keepSite()
	uitest.Type(w, "My NAS") // over the name that is proposed
	uitest.Key(w, fyne.KeyReturn)
	book, _ := w.app.Sites()
	if book.Len() != 1 || book.Nodes[0].Name != "My NAS" {
		t.Errorf("the book holds %d sites", book.Len())
	}
	if w.app.Remote().Phase != app.Disconnected {
		t.Error("Enter connected")
	}
}

func TestIdleTimesAreWrittenRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{30 * time.Second: "30 s", 130 * time.Second: "2 min", 125 * time.Minute: "2 h 5 min"} {
		if got := roughly(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}
