package channels

import (
	"fmt"
	"image/color"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"portside/connlog"
	"portside/ui/kit"
	"portside/ui/uitest"
)

func channelsOf(log *connlog.Log, side connlog.Side) []connlog.Channel {
	return (&reader{log: log, side: side}).read(query{}).channels
}

func newTestDiagram(t *testing.T, side connlog.Side, w, h float32) *Diagram {
	t.Helper()
	uitest.App(t, kit.Dark)
	d := NewDiagram(side, "Nothing yet.")
	uitest.Window(t, d, w, h)
	return d
}

// rowOf returns the drawn row of channel i.
func rowOf(t *testing.T, d *Diagram, i int) *channelView {
	t.Helper()
	test.WidgetRenderer(d.col).Refresh()
	k := i - int(d.col.offset/channelRow)
	if k < 0 || k >= len(d.col.rows) {
		t.Fatalf("row %d is not drawn", i)
	}
	return d.col.rows[k].(*channelView)
}

func draws(v *channelView, o fyne.CanvasObject) bool {
	for _, have := range v.box.Objects {
		if have == o {
			return o.Visible()
		}
	}
	return false
}

func TestTheTailStandsAtTheSideThatOpenedTheChannel(t *testing.T) {
	for _, side := range []connlog.Side{connlog.Client, connlog.Server} {
		t.Run(string(side), func(t *testing.T) {
			d := newTestDiagram(t, side, 560, 300)
			log := connlog.NewLog(0)
			s := newTeller(log, side, "a", 0)
			s.signIn("alice")
			s.passive("MLSD", 4096)
			s.active("RETR a", 100)
			d.SetChannels(channelsOf(log, side), false)

			left, right := lifelines(560)
			for i, want := range []struct {
				tail  float32
				color fyne.ThemeColorName
				ports [2]string
			}{
				{left, kit.ColorClient, [2]string{":51812", ":21"}},
				{left, kit.ColorClient, [2]string{":51813", ":21101"}},
				{right, kit.ColorServer, [2]string{":50210", ":20"}},
			} {
				v := rowOf(t, d, i)
				dot := v.dot.Position().X + v.dot.Size().Width/2
				if dot != want.tail || !draws(v, v.dot) {
					t.Errorf("row %d: dot at %v, want %v", i, dot, want.tail)
				}
				head := v.head.Position().X + v.head.Size().Width/2
				if other := left + right - want.tail; abs(head-other) > headLength || !draws(v, v.head) {
					t.Errorf("row %d: head at %v, want near %v", i, head, other)
				}
				if v.head.FillColor != kit.Color(want.color) || v.shaft.FillColor != kit.Color(want.color) {
					t.Errorf("row %d: not in the colour %s", i, want.color)
				}
				if got := [2]string{v.ends[0].Text, v.ends[1].Text}; got != want.ports {
					t.Errorf("row %d: ports %q, want %q", i, got, want.ports)
				}
			}
		})
	}
}

func abs(v float32) float32 { return max(v, -v) }

func TestEachStateOfAChannelLooksDifferent(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 800)
	at := at("203.0.113.5:21101")
	base := connlog.Channel{Kind: connlog.Data, Mode: connlog.Passive, Initiator: connlog.Client, To: at}
	base.Side = connlog.Client
	with := func(s connlog.State, change func(*connlog.Channel)) connlog.Channel {
		c := base
		c.State = s
		if change != nil {
			change(&c)
		}
		return c
	}
	rows := []struct {
		channel                         connlog.Channel
		head, full, dashes, cross, lock bool
		filled                          bool // the dot
		name                            fyne.ThemeColorName
	}{
		{channel: with(connlog.Offered, nil), dashes: true, name: kit.ColorClient},
		{channel: with(connlog.Dialing, nil), dashes: true, head: true, filled: true, name: kit.ColorClient},
		{channel: with(connlog.Open, func(c *connlog.Channel) { c.TLS = "TLS 1.3" }), full: true, head: true, lock: true, filled: true, name: kit.ColorClient},
		{channel: with(connlog.Closed, nil), full: true, head: true, filled: true, name: kit.ColorClient},
		{channel: with(connlog.Failed, func(c *connlog.Channel) { c.Reason = connlog.ReasonTimeout }), full: true, dashes: true, cross: true, filled: true, name: kit.ColorBad},
		{channel: with(connlog.Failed, func(c *connlog.Channel) {
			c.Mode, c.Initiator, c.Reason = connlog.Active, connlog.Server, connlog.ReasonTimeout
		}), dashes: true, cross: true, name: kit.ColorBad},
		{channel: with(connlog.Withdrawn, nil), dashes: true, name: kit.ColorMuted},
	}
	var all []connlog.Channel
	for i := range rows {
		rows[i].channel.Conn = i
		all = append(all, rows[i].channel)
	}
	d.SetChannels(all, false)
	d.col.choose(-1, -1)
	d.col.Refresh()
	for i, want := range rows {
		v := rowOf(t, d, i)
		state := want.channel.State
		if draws(v, v.head) != want.head || draws(v, v.shaft) != want.full || draws(v, v.cross[0]) != want.cross || draws(v, v.lock) != want.lock {
			t.Errorf("%s: head %v, full line %v, cross %v, lock %v", state, draws(v, v.head), draws(v, v.shaft), draws(v, v.cross[0]), draws(v, v.lock))
		}
		if got := len(v.dashes) > 0 && draws(v, v.dashes[0]); got != want.dashes {
			t.Errorf("%s: dashed %v", state, got)
		}
		ink := kit.Color(want.name)
		if want.filled && v.dot.FillColor != ink || !want.filled && v.dot.StrokeColor != ink {
			t.Errorf("%s: the dot has not the colour %s", state, want.name)
		}
		if v.label.Text == "" {
			t.Errorf("%s: no label, so only colour and shape tell", state)
		}
	}
	if rowOf(t, d, 2).shaft.Size().Height <= rowOf(t, d, 3).shaft.Size().Height {
		t.Error("an open channel looks like a closed one")
	}
}

func TestAnAddressThatIsNotTheControlChannelsIsSaid(t *testing.T) {
	if got := portText(at("10.0.0.9:51002"), at("198.51.100.9:40000")); got != "10.0.0.9:51002" {
		t.Errorf("%q", got)
	}
	if got := portText(at("[::ffff:198.51.100.9]:51002"), at("198.51.100.9:40000")); got != ":51002" {
		t.Errorf("%q for the same address mapped into IPv6", got)
	}
}

func TestOnlyRowsInSightHaveObjects(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 400)
	all := make([]connlog.Channel, 10_000)
	for i := range all {
		all[i] = connlog.Channel{Kind: connlog.Data, Mode: connlog.Passive, Initiator: connlog.Client, State: connlog.Closed}
		all[i].Conn = i + 1
	}
	d.SetChannels(all, false)
	for _, to := range []float32{0, 1234, d.col.maxOffset()} {
		d.col.scrollTo(to)
		if n := len(test.WidgetRenderer(d.col).Objects()); n > 10 {
			t.Fatalf("%d objects at %v", n, to)
		}
	}
	if n := len(d.col.rows); n > 10 {
		t.Errorf("%d rows were made", n)
	}
}

func key(name fyne.KeyName) *fyne.KeyEvent { return &fyne.KeyEvent{Name: name} }

func TestTheNewestChannelIsChosenUntilThePersonChoosesAnother(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 240)
	var told []int
	d.OnChosen = func(c connlog.Channel) { told = append(told, c.Conn) }
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	more := func() int {
		s.passive("MLSD", 1)
		d.SetChannels(channelsOf(log, connlog.Client), false)
		c, _ := d.Chosen()
		return c.Conn
	}
	for i := 1; i <= 5; i++ {
		if got := more(); got != i {
			t.Fatalf("channel %d is chosen, the newest is %d", got, i)
		}
	}
	if d.col.offset != d.col.maxOffset() {
		t.Error("the newest is not in sight")
	}

	d.col.TypedKey(key(fyne.KeyUp))
	d.col.TypedKey(key(fyne.KeyUp))
	if got := more(); got != 3 || !d.newest.Visible() {
		t.Fatalf("channel %d is chosen though the person chose 3; button to the newest: %v", got, d.newest.Visible())
	}
	if top := d.col.offset; more() != 3 || d.col.offset != top {
		t.Error("the chosen channel was carried away by new ones")
	}
	d.col.TypedKey(key(fyne.KeyEnd))
	if got := more(); got != 8 || d.newest.Visible() {
		t.Errorf("channel %d is chosen; the person had gone back to the newest", got)
	}
	d.col.TypedKey(key(fyne.KeyHome))
	if c, _ := d.Chosen(); c.Kind != connlog.Control || d.col.offset != 0 {
		t.Errorf("Home chose %v at %v", c.Label(), d.col.offset)
	}
	test.Tap(d.newest)
	if got := more(); got != 9 || d.col.offset != d.col.maxOffset() {
		t.Errorf("channel %d is chosen after the button", got)
	}
	if told[len(told)-1] != 9 {
		t.Errorf("OnChosen was told %v", told)
	}
}

func TestTheNewestIsFollowedAgainWhenTheChosenChannelIsGone(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 240)
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	for range 12 {
		s.passive("MLSD", 1)
	}
	all := channelsOf(log, connlog.Client)
	d.SetChannels(all, false)
	d.col.TypedKey(key(fyne.KeyHome))
	d.SetChannels(all[6:], false)
	if c, _ := d.Chosen(); c.Conn != 12 || d.newest.Visible() || d.col.offset != d.col.maxOffset() {
		t.Errorf("channel %d is chosen at %v of %v; button to the newest: %v", c.Conn, d.col.offset, d.col.maxOffset(), d.newest.Visible())
	}
}

func TestTheChosenChannelIsInSightAfterAFilter(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 240)
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	for range 30 {
		s.passive("MLSD", 1)
	}
	all := channelsOf(log, connlog.Client)
	d.SetChannels(all[20:22], false)
	d.col.pick(0, false)
	d.SetChannels(all, false)
	d.Reveal()
	if c, _ := d.Chosen(); c.Conn != 20 {
		t.Fatalf("channel %d is chosen", c.Conn)
	}
	if top := 20 * float32(channelRow); top < d.col.offset || top+channelRow > d.col.offset+d.col.Size().Height {
		t.Errorf("the chosen row at %v is out of sight: %v", top, d.col.offset)
	}
}

func TestAClickChoosesTheRowUnderTheMouse(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 400)
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	for range 3 {
		s.passive("MLSD", 1)
	}
	d.SetChannels(channelsOf(log, connlog.Client), false)
	e := &desktop.MouseEvent{Button: desktop.MouseButtonPrimary}
	e.Position = fyne.NewPos(100, channelRow*1.5)
	d.col.MouseDown(e)
	if c, _ := d.Chosen(); c.Conn != 1 {
		t.Errorf("channel %d is chosen, want 1", c.Conn)
	}
	e.Position = fyne.NewPos(100, channelRow*20)
	d.col.MouseDown(e)
	if c, _ := d.Chosen(); c.Conn != 1 {
		t.Errorf("a click below the rows chose %d", c.Conn)
	}
	// A right click that closed an open menu comes without MouseDown.
	d.col.TappedSecondary(&fyne.PointEvent{Position: fyne.NewPos(100, channelRow*2.5)})
	if c, _ := d.Chosen(); c.Conn != 2 {
		t.Errorf("the menu is for channel %d, the click is on 2", c.Conn)
	}
}

func TestTheRowsInSightStayWhenTheOldestGo(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 300)
	all := make([]connlog.Channel, 50)
	for i := range all {
		all[i] = connlog.Channel{Kind: connlog.Data, Mode: connlog.Passive, Initiator: connlog.Client, State: connlog.Closed}
		all[i].Conn = i + 1
	}
	d.SetChannels(all, false)
	d.col.pick(20, false)
	top := d.channels[int(d.col.offset/channelRow)].Conn
	d.SetChannels(all[5:], false)
	if got := d.channels[int(d.col.offset/channelRow)].Conn; got != top {
		t.Errorf("channel %d is on top, it was %d", got, top)
	}
	if c, _ := d.Chosen(); c.Conn != 21 {
		t.Errorf("channel %d is chosen, it was 21", c.Conn)
	}
	d.SetChannels(all[30:], false)
	if c, _ := d.Chosen(); c.Conn != 50 {
		t.Errorf("the chosen channel went, and %d is chosen, not the newest", c.Conn)
	}
}

func TestTheDiagramSaysWhatWillBeThere(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 560, 300)
	r := test.WidgetRenderer(d).(*diagramRenderer)
	if !r.empty.Visible() || r.empty.String() != "Nothing yet." {
		t.Errorf("empty: %q", r.empty.String())
	}
}

func TestLongLabelsAreFittedToTheRow(t *testing.T) {
	d := newTestDiagram(t, connlog.Client, 360, 300)
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.blocked(connlog.ReasonTimeout)
	s.active("RETR a", 123<<20)
	for _, w := range []float32{290, 360, 420, 560, 900} {
		d.Resize(fyne.NewSize(w, 300))
		d.SetChannels(channelsOf(log, connlog.Client), true)
		for i := range d.channels {
			v := rowOf(t, d, i)
			from, to := edges(w)
			if x := v.label.Position().X; x < from || x+v.label.MinSize().Width > to {
				t.Errorf("%v wide: label %q from %v to %v", w, v.label.Text, x, x+v.label.MinSize().Width)
			}
		}
	}
}

func TestColoursFollowTheTheme(t *testing.T) {
	uitest.App(t, kit.Dark)
	variant := kit.Dark
	fyne.CurrentApp().Settings().SetTheme(kit.NewTheme(func() kit.Variant { return variant }))
	d := NewDiagram(connlog.Client, "")
	uitest.Window(t, d, 560, 300)
	log := connlog.NewLog(0)
	newTeller(log, connlog.Client, "a", 0).signIn("alice")
	d.SetChannels(channelsOf(log, connlog.Client), false)
	colours := func() string {
		v, r := rowOf(t, d, 0), test.WidgetRenderer(d).(*diagramRenderer)
		var s string
		for _, c := range []color.Color{v.label.Color, v.shaft.FillColor, v.ends[0].Color, r.client.title.Color, r.client.box.FillColor, r.lines[0].FillColor} {
			s += fmt.Sprintln(c)
		}
		return s
	}
	dark := colours()
	variant = kit.Light
	d.Refresh()
	d.col.Refresh()
	if colours() == dark {
		t.Error("the colours are those of the dark theme")
	}
}
