package channels

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
	"portside/ui/kit"
	"portside/ui/uitest"
)

func TestTheDetailShowsTheExplanationAndItsDialogue(t *testing.T) {
	uitest.App(t, kit.Dark)
	d := NewDetail("Nothing chosen.")
	uitest.Window(t, d, 600, 500)
	if d.title.String() != "Nothing chosen." {
		t.Errorf("empty: %q", d.title.String())
	}
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	s.active("RETR a", 1<<20)
	c := channelsOf(log, connlog.Client)[1]
	e := c.Explain()
	d.SetChannel(c)
	if d.title.String() != connlog.Text(e.Title) || len(d.paragraphs.Objects) != len(e.Paragraphs) {
		t.Errorf("title %q, %d paragraphs of %d", d.title.String(), len(d.paragraphs.Objects), len(e.Paragraphs))
	}
	r := test.WidgetRenderer(d.dialogue).(*dialogueRenderer)
	if len(r.lines) != len(e.Dialogue) || r.lines[0].text.Text != "EPRT |1|192.168.1.7|50210|" || r.lines[1].text.Text != "200 EPRT command successful" {
		t.Errorf("dialogue of %d lines, want %d", len(r.lines), len(e.Dialogue))
	}
	var copied string
	d.OnCopy = func(text string) { copied = text }
	d.CopyExplanation()
	if copied != e.String() {
		t.Errorf("copied %q", copied)
	}
}

func TestButtonsStayWhileAChannelMoves(t *testing.T) {
	uitest.App(t, kit.Dark)
	d := NewDetail("")
	uitest.Window(t, d, 600, 500)
	ran := int64(0)
	d.Actions = func(c connlog.Channel) []Action {
		return []Action{{"Use passive from now on", func() { ran = c.Bytes }}}
	}
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	s.active("RETR a", 1<<20)
	d.SetChannel(channelsOf(log, connlog.Client)[1])
	button := d.buttons.Objects[0]
	s.data(connlog.DataProgress, connlog.Record{Bytes: 5 << 20})
	d.SetChannel(channelsOf(log, connlog.Client)[1])
	if d.buttons.Objects[0] != button {
		t.Error("the button was made anew under the mouse")
	}
	test.Tap(button.(fyne.Tappable))
	if ran != 5<<20 {
		t.Errorf("the action is that of an older state: %d bytes", ran)
	}
}

func newTestCommands(t *testing.T, log *connlog.Log) (*Commands, *reader) {
	t.Helper()
	uitest.App(t, kit.Dark)
	m := NewCommands(log, "Nothing yet.")
	uitest.Window(t, m, 800, 200)
	return m, &reader{log: log, side: connlog.Client}
}

func TestCommandsFollowTheEndUnlessScrolledUp(t *testing.T) {
	log := connlog.NewLog(0)
	m, r := newTestCommands(t, log)
	s := newTeller(log, connlog.Client, "a", 0)
	more := func() {
		for range 100 {
			s.command("NOOP")
		}
		m.setLines(r.read(query{}).lines, false, nil)
	}
	more()
	more()
	if m.col.offset != m.col.maxOffset() || m.newest.Visible() {
		t.Fatal("the end is not followed")
	}
	m.col.Scrolled(&fyne.ScrollEvent{Scrolled: fyne.NewDelta(0, 400)})
	place := m.col.offset
	more()
	if m.col.offset != place || !m.newest.Visible() {
		t.Fatalf("scrolled up to %v, and moved to %v", place, m.col.offset)
	}
	m.col.scrollTo(m.col.maxOffset())
	more()
	if m.col.offset != m.col.maxOffset() {
		t.Error("back at the end, it is not followed again")
	}
}

func TestCommandsKeepPlaceAndChoiceWhenTheOldestLinesGo(t *testing.T) {
	m, _ := newTestCommands(t, connlog.NewLog(0))
	lines := make([]line, 300)
	for i := range lines {
		lines[i] = line{seq: uint64(i + 1), from: connlog.Client, text: "NOOP"}
	}
	m.setLines(lines[:200], false, nil)
	m.col.pick(120, false)
	m.col.pick(123, true)
	m.col.scrollTo(100 * lineRow)
	m.setLines(lines[50:], false, nil)
	if got := m.lines[int(m.col.offset/lineRow)].seq; got != 101 {
		t.Errorf("line %d is on top, it was 101", got)
	}
	first, last, ok := m.col.chosen()
	if !ok || m.lines[first].seq != 121 || m.lines[last].seq != 124 {
		t.Errorf("chosen %d to %d (%v)", first, last, ok)
	}
}

func TestCommandsAreCopiedAsTheyStandInATextLog(t *testing.T) {
	log := connlog.NewLog(0)
	m, r := newTestCommands(t, log)
	newTeller(log, connlog.Client, "a", 0).signIn("alice")
	m.setLines(r.read(query{}).lines, false, nil)
	var copied string
	m.OnCopy = func(text string) { copied = text }
	m.col.pick(1, false)
	m.col.pick(2, true)
	m.col.TypedShortcut(&fyne.ShortcutCopy{})
	want := ""
	for _, n := range log.Records(0)[1:3] {
		want += n.Line() + "\n"
	}
	if copied != want {
		t.Errorf("copied %q, want %q", copied, want)
	}
	m.col.TypedShortcut(&fyne.ShortcutSelectAll{})
	m.col.TypedShortcut(&fyne.ShortcutCopy{})
	if n := strings.Count(copied, "\n"); n != len(log.Records(0)) {
		t.Errorf("%d lines copied of %d", n, len(log.Records(0)))
	}
	if strings.Contains(copied, "secret") || !strings.Contains(copied, "PASS ****") {
		t.Error("password")
	}
}

// drawerRig is a drawer whose user interface runs when the test says so.
type drawerRig struct {
	*Drawer
	log   *connlog.Log
	queue *uitest.Queue
}

func newDrawerRig(t *testing.T, opt Options) *drawerRig {
	t.Helper()
	uitest.App(t, kit.Dark)
	r := &drawerRig{log: connlog.NewLog(0), queue: uitest.NewQueue()}
	opt.Log, opt.Post = r.log, r.queue.Post
	if opt.Side == "" {
		opt.Side = connlog.Client
	}
	r.Drawer = NewDrawer(opt)
	uitest.Window(t, r.Drawer, 1100, 360)
	t.Cleanup(r.Close)
	return r
}

func TestTheDrawerShowsWhatIsRecorded(t *testing.T) {
	r := newDrawerRig(t, Options{})
	r.Start(context.Background())
	s := newTeller(r.log, connlog.Client, "a", 0)
	s.signIn("alice")
	s.passive("MLSD", 4096)
	r.queue.Await(t, "the channels", func() bool { return len(r.diagram.channels) == 2 })
	if c, _ := r.Chosen(); c.Conn != 1 || !strings.Contains(r.detail.text, "passive") {
		t.Errorf("chosen %v, explained %q", c.Label(), r.detail.text)
	}
	if len(r.commands.lines) == 0 {
		t.Error("no commands")
	}
	s.blocked(connlog.ReasonTimeout)
	r.queue.Await(t, "the failure", func() bool { return len(r.diagram.channels) == 3 })
	r.SetFailuresOnly(true)
	r.queue.Await(t, "the filter", func() bool { return len(r.diagram.channels) == 1 })
	if !r.failures.On {
		t.Error("the button does not show that it is on")
	}
	r.SetFailuresOnly(false)
	test.Type(r.search, "MLSD")
	r.queue.Await(t, "the search", func() bool {
		return len(r.diagram.channels) == 1 && r.diagram.channels[0].Conn == 1
	})
	r.search.SetText("no such thing")
	r.queue.Await(t, "an empty result", func() bool { return len(r.diagram.channels) == 0 })
	if r.diagram.empty == r.opt.Empty || r.detail.text != "" {
		t.Errorf("nothing found, and it says %q, and explains %q", r.diagram.empty, r.detail.text)
	}
	r.search.TypedKey(&fyne.KeyEvent{Name: fyne.KeyEscape})
	r.queue.Await(t, "Escape to end the search", func() bool { return len(r.diagram.channels) == 3 })
}

func TestTheDrawerLooksAtNothingWhileHidden(t *testing.T) {
	r := newDrawerRig(t, Options{})
	newTeller(r.log, connlog.Client, "a", 0).signIn("alice")
	// Nothing looks by itself before Start, so what look says is about this moment.
	r.SetActive(false)
	if r.lookout.look() != 0 {
		t.Error("it looked at the log while inactive")
	}
	r.SetActive(true)
	r.Hide()
	if r.lookout.look() != 0 {
		t.Error("it looked at the log while hidden")
	}
	r.Start(context.Background())
	r.Show()
	r.queue.Await(t, "the channels after being shown again", func() bool { return len(r.diagram.channels) == 1 })
}

func item(t *testing.T, m *fyne.Menu, title string) *fyne.MenuItem {
	t.Helper()
	for _, i := range m.Items {
		if strings.Contains(i.Label, title) {
			return i
		}
	}
	t.Fatalf("no %q in the menu", title)
	return nil
}

func TestSessionsCanBeChosen(t *testing.T) {
	r := newDrawerRig(t, Options{Side: connlog.Server})
	r.Start(context.Background())
	a := newTeller(r.log, connlog.Server, "a", 0)
	a.signIn("alice")
	a.blocked(connlog.ReasonRefused)
	b := newTeller(r.log, connlog.Server, "b", time.Second)
	b.client = "192.168.1.44"
	b.signIn("bob")
	r.queue.Await(t, "the sessions", func() bool { return len(r.diagram.channels) == 3 })
	m := r.sessionMenu()
	if !item(t, m, "All").Checked {
		t.Error("all sessions are not marked")
	}
	if !strings.Contains(item(t, m, "alice").Label, "1 failed") {
		t.Error("the menu does not tell of the failure")
	}
	item(t, m, "alice").Action()
	r.queue.Await(t, "alice's session", func() bool {
		return len(r.diagram.channels) == 2 && r.diagram.channels[0].ID == "a"
	})
	for _, l := range r.commands.lines {
		if l.session.ID != "a" {
			t.Errorf("a line of %v", l.session)
		}
	}
	if !strings.Contains(r.session.Text, "alice") {
		t.Errorf("the button says %q", r.session.Text)
	}
	item(t, r.sessionMenu(), "Newest").Action()
	r.queue.Await(t, "bob's session", func() bool {
		return len(r.diagram.channels) == 1 && r.diagram.channels[0].ID == "b"
	})
	newTeller(r.log, connlog.Server, "c", 2*time.Second).signIn("carol")
	r.queue.Await(t, "the newer session", func() bool {
		return len(r.diagram.channels) == 1 && r.diagram.channels[0].ID == "c"
	})
}

func TestTheLogIsSavedWhereThePersonSays(t *testing.T) {
	saved := map[string]string{}
	r := newDrawerRig(t, Options{Save: func(name string, write func(io.Writer) error) {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Error(err)
		}
		saved[name] = b.String()
		if err := write(brokenWriter{}); err == nil {
			t.Error("an error of the file is not told")
		}
	}})
	r.now = func() time.Time { return began }
	newTeller(r.log, connlog.Client, "a", 0).signIn("alice")
	m := r.saveMenu()
	item(t, m, "text").Action()
	item(t, m, "JSON").Action()
	if !strings.Contains(saved["portside-2026-11-23-0941.txt"], "PASS ****") {
		t.Error("text log", saved)
	}
	if !strings.Contains(saved["portside-2026-11-23-0941.jsonl"], `"event":"control-opened"`) {
		t.Error("JSON log", saved)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestTheScreensTabsStandBesideTheDrawers(t *testing.T) {
	people, transfers := widget.NewLabel("people"), widget.NewLabel("transfers")
	r := newDrawerRig(t, Options{
		Before: []Tab{{"people", "People", people}}, After: []Tab{{"transfers", "Transfers", transfers}},
		Save: func(string, func(io.Writer) error) {},
	})
	shows := func(o fyne.CanvasObject) bool {
		for _, have := range test.WidgetRenderer(r.Drawer).Objects() {
			if have == o {
				return true
			}
		}
		return false
	}
	if r.Tab() != "people" || !shows(people) || shows(r.session) || !shows(r.save) {
		t.Error("the first tab is not the screen's")
	}
	r.SelectTab(TabChannels)
	if !shows(r.split) || !shows(r.session) || shows(people) {
		t.Error("Channels is not shown with its tools")
	}
	r.SelectTab("transfers")
	r.FocusSearch()
	if r.Tab() != TabChannels {
		t.Errorf("search is in the tab %s", r.Tab())
	}
	r.SetBadge("nowhere", "1") // an unknown tab is no reason to fall over
}

func TestToolsDoNotCoverTheTabs(t *testing.T) {
	r := newDrawerRig(t, Options{
		After: []Tab{{"transfers", "Transfers", widget.NewLabel("")}}, Save: func(string, func(io.Writer) error) {},
	})
	for _, w := range []float32{330, 450, 600, 700, 760, 820, 1200} {
		r.Resize(fyne.NewSize(w, 400))
		r.SetBadge("transfers", "2 of 14")
		left := w
		for _, o := range []fyne.CanvasObject{r.session, r.search, r.failures, r.save} {
			if o.Position().X < 0 {
				t.Errorf("%v wide: a tool at %v", w, o.Position())
			}
			if o.Position().X+o.Size().Width > w+0.5 {
				t.Errorf("%v wide: a tool ends at %v", w, o.Position().X+o.Size().Width)
			}
			left = min(left, o.Position().X)
		}
		if beside := r.session.Position().Y < 20; beside && left < r.tabs.MinSize().Width {
			t.Errorf("%v wide: tools from %v over tabs up to %v", w, left, r.tabs.MinSize().Width)
		}
	}
}
