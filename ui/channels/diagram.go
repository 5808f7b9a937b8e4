package channels

import (
	"image/color"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
	"portside/ui/kit"
)

// The diagram's measures, on the grid of 4.
const (
	channelRow  = 56
	postHeight  = 40
	postWidth   = 116
	diagramEdge = 14  // between the posts and the edge
	diagramMost = 860 // wider than this, arrows only get longer and labels farther from their ends
	headLength  = 16
	headHeight  = 14
	labelGap    = 10 // between a label and the lifelines
	lockSize    = 13
	boldRoom    = 330 // with less, most labels would have to be small, so all are
)

// Diagram draws channels as arrows between the two computers of a session, the newest at the bottom. The client stands
// left, the server right, and whichever of them is this computer is called so. An arrow's tail, with a dot, stands at
// the side that opened the channel; its colour is that side's.
//
//   - offered: a thin dashed line without a head; nobody has opened it
//   - being opened: dashed, with the head
//   - open: a full line, thicker than that of a closed channel
//   - failed: red, with a cross where it stopped
//
// A lock says that TLS protects the channel. The chosen channel is the newest one until the person chooses another;
// choosing the newest again follows it from there on. Only rows in sight have objects.
type Diagram struct {
	widget.BaseWidget

	// OnChosen is called when another channel is chosen, by the person or by following, and when the chosen one changed.
	OnChosen func(connlog.Channel)
	// OnCopy is called for Ctrl+C.
	OnCopy func(connlog.Channel)
	// Menu returns the context menu of a channel, or nil.
	Menu func(connlog.Channel) *fyne.Menu

	side     connlog.Side
	col      *column
	newest   *kit.Button
	channels []connlog.Channel
	several  bool // the rows belong to more than one session, so each names its own
	empty    string
	chosen   connlog.ChannelKey
	any      bool // something is chosen
	pinned   bool // the person chose it
}

// NewDiagram returns an empty diagram for the viewpoint of side. empty is shown as long as there is no channel.
func NewDiagram(side connlog.Side, empty string) *Diagram {
	d := &Diagram{side: side, empty: empty}
	d.col = newColumn(channelRow, func() row { return newChannelRow(d) })
	d.col.chose = d.choseRow
	d.col.copy = func() {
		if c, ok := d.Chosen(); ok && d.OnCopy != nil {
			d.OnCopy(c)
		}
	}
	d.col.menu = func() *fyne.Menu {
		if c, ok := d.Chosen(); ok && d.Menu != nil {
			return d.Menu(c)
		}
		return nil
	}
	d.col.moved = d.Refresh
	d.newest = newNewest(d.Follow)
	d.ExtendBaseWidget(d)
	return d
}

// newNewest returns the button that goes to the end of a column, over its lower edge.
func newNewest(run func()) *kit.Button {
	b := kit.NewButton("Newest", run)
	b.Icon, b.Tip = kit.IconDown, "Go to the newest and follow it"
	return b
}

// placeNewest puts the button over the lower right corner of a widget of the given size.
func placeNewest(b *kit.Button, size fyne.Size) {
	b.Resize(b.MinSize())
	b.Move(fyne.NewPos(size.Width-b.MinSize().Width-barWidth-8, size.Height-b.MinSize().Height-8))
}

// SetChannels shows channels, in this order. several says that they belong to more than one session. The diagram
// keeps the slice and does not change it.
func (d *Diagram) SetChannels(channels []connlog.Channel, several bool) {
	before := d.channels
	d.channels, d.several = channels, several
	at := -1
	if d.pinned {
		at = d.index(d.chosen)
	}
	if at < 0 {
		if d.pinned { // what the person chose is gone: the newest is followed again
			d.col.follow = true
		}
		d.pinned, at = false, len(channels)-1
	}
	d.any = at >= 0
	if d.any {
		d.chosen = channels[at].ChannelKey
	}
	d.col.choose(at, at)
	d.col.setCount(len(channels), gone(before, channels))
	d.Refresh()
	d.tell(at)
}

// gone says how many of the rows before are no longer there, when it is the oldest that went.
func gone(before, now []connlog.Channel) int {
	if len(before) == 0 || len(now) == 0 || before[0].ChannelKey == now[0].ChannelKey {
		return 0
	}
	return max(0, slices.IndexFunc(before, func(c connlog.Channel) bool { return c.ChannelKey == now[0].ChannelKey }))
}

func (d *Diagram) index(key connlog.ChannelKey) int {
	return slices.IndexFunc(d.channels, func(c connlog.Channel) bool { return c.ChannelKey == key })
}

// Chosen returns the chosen channel.
func (d *Diagram) Chosen() (connlog.Channel, bool) {
	if i := d.col.cursor; d.any && i >= 0 && i < len(d.channels) {
		return d.channels[i], true
	}
	return connlog.Channel{}, false
}

// Follow chooses the newest channel, and each that comes after it.
func (d *Diagram) Follow() {
	d.pinned = false
	d.col.toEnd()
	d.SetChannels(d.channels, d.several)
}

// Choose chooses a channel, as the person would.
func (d *Diagram) Choose(key connlog.ChannelKey) {
	if i := d.index(key); i >= 0 {
		d.col.pick(i, false)
	}
}

// Reveal brings the channel that the person chose into sight, after a change of what is shown.
func (d *Diagram) Reveal() {
	if d.pinned {
		d.col.reveal(d.col.cursor)
	}
}

func (d *Diagram) choseRow(i int) {
	d.any, d.chosen = true, d.channels[i].ChannelKey
	d.pinned = i < len(d.channels)-1
	d.Refresh()
	d.tell(i)
}

func (d *Diagram) tell(i int) {
	if i >= 0 && d.OnChosen != nil {
		d.OnChosen(d.channels[i])
	}
}

// AccessibilityLabel says the chosen channel.
func (d *Diagram) AccessibilityLabel() string {
	if c, ok := d.Chosen(); ok {
		return c.Label()
	}
	return d.empty
}

// AccessibilityRole implements [fyne.Accessible].
func (d *Diagram) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleContainer }

// lifelines returns where the two computers' lines stand in a widget of the given width: under the middle of their
// posts, or nearer to the edge where that leaves too little for the arrows.
func lifelines(width float32) (left, right float32) {
	inset := diagramEdge + min(max((width-340)/3, 26), postWidth/2)
	inset += (width - min(width, diagramMost)) / 2
	return inset, width - inset
}

// edges returns where the posts begin and end.
func edges(width float32) (left, right float32) {
	inset := diagramEdge + (width-min(width, diagramMost))/2
	return inset, width - inset
}

// CreateRenderer implements [fyne.Widget].
func (d *Diagram) CreateRenderer() fyne.WidgetRenderer {
	r := &diagramRenderer{d: d, client: newPost(), server: newPost(), lines: [2]*canvas.Rectangle{{}, {}}, empty: kit.NewFlowText()}
	r.objects = []fyne.CanvasObject{r.lines[0], r.lines[1], d.col, r.empty}
	r.objects = append(append(r.objects, r.client.objects()...), r.server.objects()...)
	r.objects = append(r.objects, d.newest)
	r.update()
	return r
}

type diagramRenderer struct {
	d              *Diagram
	client, server *post
	lines          [2]*canvas.Rectangle
	empty          *kit.FlowText
	objects        []fyne.CanvasObject
}

func (r *diagramRenderer) MinSize() fyne.Size {
	return fyne.NewSize(2*(postWidth+diagramEdge)+40, diagramEdge+postHeight+channelRow)
}
func (r *diagramRenderer) Objects() []fyne.CanvasObject { return r.objects }
func (r *diagramRenderer) Destroy()                     {}

func (r *diagramRenderer) Layout(size fyne.Size) {
	left, right := lifelines(size.Width)
	from, to := edges(size.Width)
	top := float32(diagramEdge - 4)
	room := max(postWidth, (to-from)/2-8)
	r.client.layout(from, top, room, 0)
	r.server.layout(to, top, room, 1)
	top += postHeight
	for i, x := range []float32{left, right} {
		r.lines[i].Move(fyne.NewPos(x-0.75, top))
		r.lines[i].Resize(fyne.NewSize(1.5, max(0, size.Height-top)))
	}
	r.d.col.Move(fyne.NewPos(0, top))
	r.d.col.Resize(fyne.NewSize(size.Width, max(0, size.Height-top)))
	placeNewest(r.d.newest, size)
	r.empty.Move(fyne.NewPos(left+16, top+16))
	r.empty.Resize(fyne.NewSize(max(40, right-left-32), max(0, size.Height-top-16)))
}

func (r *diagramRenderer) Refresh() {
	r.update()
	r.Layout(r.d.Size())
	canvas.Refresh(r.d)
}

func (r *diagramRenderer) update() {
	c, _ := r.d.Chosen()
	client, server := "Client", "Server"
	if r.d.side == connlog.Client {
		client = "This computer"
		server = join(server, hostName(c))
	} else {
		server = "This computer"
		client = join(client, c.User)
	}
	r.client.set(client, address(c.Client))
	r.server.set(server, address(c.Server))
	for _, l := range r.lines {
		l.FillColor = kit.Color(kit.ColorPanelBorder)
	}
	r.d.newest.Hidden = !r.d.pinned && (r.d.col.follow || r.d.col.maxOffset() <= 0)
	r.empty.Hidden = len(r.d.channels) > 0
	r.empty.SetSpans(kit.Span{Text: r.d.empty, Color: kit.ColorMuted})
}

// hostName returns the name that the person typed, when it is not just the address again.
func hostName(c connlog.Channel) string {
	if _, err := netip.ParseAddr(c.Host); err == nil {
		return ""
	}
	return c.Host
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " · " + b
}

func address(ap netip.AddrPort) string {
	if !ap.IsValid() {
		return ""
	}
	return ap.Addr().Unmap().String()
}

// post is one of the two computers, at the head of its lifeline.
type post struct {
	box          *canvas.Rectangle
	title, sub   *canvas.Text
	titleT, subT string
}

func newPost() *post {
	return &post{box: &canvas.Rectangle{CornerRadius: 5}, title: &canvas.Text{TextStyle: fyne.TextStyle{Bold: true}}, sub: &canvas.Text{}}
}

func (p *post) objects() []fyne.CanvasObject { return []fyne.CanvasObject{p.box, p.title, p.sub} }

func (p *post) set(title, sub string) {
	p.titleT, p.subT = title, sub
	p.box.FillColor = kit.Color(theme.ColorNameButton)
	p.title.Color, p.title.TextSize = kit.Color(theme.ColorNameForeground), theme.TextSize()
	p.sub.Color, p.sub.TextSize = kit.Color(kit.ColorMuted), theme.CaptionTextSize()
}

// layout puts the post at x: its left edge, or with align 1 its right edge. It gets as wide as its name, up to room.
func (p *post) layout(x, y, room, align float32) {
	p.title.Text = fit(p.titleT, p.title.TextSize, p.title.TextStyle, room-20)
	p.sub.Text = fit(p.subT, p.sub.TextSize, p.sub.TextStyle, room-20)
	ts, ss := p.title.MinSize(), p.sub.MinSize()
	w := max(postWidth, ts.Width+20, ss.Width+20)
	left := x - align*w
	p.box.Move(fyne.NewPos(left, y))
	p.box.Resize(fyne.NewSize(w, postHeight))
	if p.subT == "" {
		p.title.Move(fyne.NewPos(left+(w-ts.Width)/2, y+(postHeight-ts.Height)/2))
	} else {
		p.title.Move(fyne.NewPos(left+(w-ts.Width)/2, y+postHeight/2-ts.Height+1))
	}
	p.sub.Move(fyne.NewPos(left+(w-ss.Width)/2, y+postHeight/2))
	for _, o := range p.objects() {
		o.Refresh()
	}
}

// channelView is one arrow with its texts.
type channelView struct {
	d      *Diagram
	box    *fyne.Container
	back   *canvas.Rectangle
	patch  *canvas.Rectangle    // behind a label that crosses the lifelines
	lines  [2]*canvas.Rectangle // the lifelines, over the background
	label  *canvas.Text
	lock   *canvas.Image
	ends   [2]*canvas.Text // the ports under both ends
	tag    *canvas.Text
	shaft  *canvas.Rectangle
	dot    *canvas.Circle
	head   *canvas.ArbitraryPolygon
	cross  [2]*canvas.Line
	dashes []*canvas.Rectangle
}

func newChannelRow(d *Diagram) *channelView {
	v := &channelView{
		d: d, back: &canvas.Rectangle{CornerRadius: 5}, patch: &canvas.Rectangle{}, label: &canvas.Text{}, tag: &canvas.Text{},
		lines: [2]*canvas.Rectangle{{}, {}}, lock: canvas.NewImageFromResource(nil), ends: [2]*canvas.Text{{}, {}},
		shaft: &canvas.Rectangle{}, dot: &canvas.Circle{}, head: &canvas.ArbitraryPolygon{}, cross: [2]*canvas.Line{{}, {}},
	}
	v.box = &fyne.Container{}
	return v
}

func (v *channelView) object() fyne.CanvasObject { return v.box }

func (v *channelView) fill(i int, size fyne.Size, st rowState) {
	c := v.d.channels[i]
	left, right := lifelines(size.Width)
	v.box.Objects = append(v.box.Objects[:0], v.back, v.lines[0], v.lines[1])

	back, muted := kit.Color(kit.ColorPanel), kit.ColorMuted
	v.back.FillColor, v.back.StrokeWidth = back, 0
	switch {
	case st.chosen && st.active:
		back, muted = kit.Color(kit.ColorRowSelected), kit.ColorMutedSelected
		v.back.FillColor = back
	case st.chosen:
		back, muted = kit.Color(kit.ColorRowSelectedInactive), kit.ColorMutedSelected
		v.back.FillColor = back
	case st.hovered:
		v.back.FillColor = kit.Color(theme.ColorNameHover)
	}
	v.back.Hidden = !st.chosen && !st.hovered
	from, to := edges(size.Width)
	v.back.Move(fyne.NewPos(from, 1))
	v.back.Resize(fyne.NewSize(to-from, size.Height-2))
	for k, x := range []float32{left, right} {
		v.lines[k].FillColor = kit.Color(kit.ColorPanelBorder)
		v.lines[k].Move(fyne.NewPos(x-0.75, 0))
		v.lines[k].Resize(fyne.NewSize(1.5, size.Height))
	}
	v.texts(c, st, left, right, back, muted)
	v.arrow(c, left, right, back)
	v.box.Refresh()
}

const arrowY = 29 // of the arrow in its row

func (v *channelView) texts(c connlog.Channel, st rowState, left, right float32, back color.Color, muted fyne.ThemeColorName) {
	room := right - left - 2*labelGap
	lock := float32(0)
	if c.TLS != "" {
		lock = lockSize + 4
	}
	v.label.Color = kit.Color(theme.ColorNameForeground)
	switch c.State {
	case connlog.Failed:
		v.label.Color = kit.Color(kit.ColorBad)
	case connlog.Withdrawn:
		v.label.Color = kit.Color(muted)
	}
	v.fitLabel(c.Label(), room >= boldRoom, room-lock, v.back.Size().Width-12-lock)
	w := v.label.MinSize()
	x, y := (left+right-w.Width-lock)/2, float32(arrowY)-8-w.Height
	if x < left+2 { // it crosses the lifelines, so they make room for it
		v.patch.FillColor = back
		v.patch.Hidden = st.hovered && !st.chosen // its colour is translucent then
		v.patch.Move(fyne.NewPos(x-3, y))
		v.patch.Resize(fyne.NewSize(w.Width+lock+6, w.Height))
		v.add(v.patch)
	}
	if lock > 0 {
		if res := kit.IconColored(kit.IconLock, muted); v.lock.Resource == nil || v.lock.Resource.Name() != res.Name() {
			v.lock.Resource = res
			v.lock.Refresh()
		}
		v.lock.Move(fyne.NewPos(x, y+(w.Height-lockSize)/2))
		v.lock.Resize(fyne.NewSquareSize(lockSize))
		v.add(v.lock)
	}
	v.label.Move(fyne.NewPos(x+lock, y))
	v.add(v.label)

	client := portText(c.ClientEnd(), c.Client)
	server := portText(c.ServerEnd(), c.Server)
	for k, t := range []string{client, server} {
		e := v.ends[k]
		e.TextSize, e.Color = theme.CaptionTextSize(), kit.Color(muted)
		e.Text = fit(t, e.TextSize, e.TextStyle, room/2)
		at := left + labelGap
		if k == 1 {
			at = right - labelGap - e.MinSize().Width
		}
		e.Move(fyne.NewPos(at, arrowY+7))
		v.add(e)
	}
	if v.d.several {
		from := v.ends[0].Position().X + v.ends[0].MinSize().Width + 10
		to := v.ends[1].Position().X - 10
		v.tag.TextSize, v.tag.Color = theme.CaptionTextSize(), kit.Color(muted)
		v.tag.Text = fit(who(v.d.side, c.User, c.Host, c.Client, c.Server), v.tag.TextSize, v.tag.TextStyle, to-from)
		v.tag.Move(fyne.NewPos((from+to-v.tag.MinSize().Width)/2, arrowY+7))
		v.add(v.tag)
	}
}

// fitLabel sets the label: in bold where there is room, else small and as wide as the row, then without its first word,
// as "active" alone says that it is a data channel, and at last cut.
func (v *channelView) fitLabel(text string, bold bool, room, most float32) {
	v.label.TextSize, v.label.TextStyle, v.label.Text = theme.TextSize()-0.5, fyne.TextStyle{Bold: true}, text
	if bold && v.label.MinSize().Width <= room {
		return
	}
	v.label.TextSize, v.label.TextStyle = theme.CaptionTextSize(), fyne.TextStyle{}
	if v.label.MinSize().Width > most {
		if _, rest, ok := strings.Cut(text, " · "); ok {
			text = rest
		}
	}
	v.label.Text = fit(text, v.label.TextSize, v.label.TextStyle, most)
}

func (v *channelView) add(o ...fyne.CanvasObject) { v.box.Objects = append(v.box.Objects, o...) }

// portText returns what stands under an end of an arrow: the port, with the address when that is not where the
// control connection goes, as it is then what matters.
func portText(end, control netip.AddrPort) string {
	if !end.IsValid() {
		return ""
	}
	if control.IsValid() && end.Addr().Unmap() != control.Addr().Unmap() {
		return netip.AddrPortFrom(end.Addr().Unmap(), end.Port()).String()
	}
	if end.Port() == 0 {
		return ""
	}
	return ":" + strconv.Itoa(int(end.Port()))
}

// who names a session's other end, as this side knows it.
func who(side connlog.Side, user, host string, client, server netip.AddrPort) string {
	if side == connlog.Server {
		return join(user, address(client))
	}
	if host == "" {
		host = address(server)
	}
	return join(user, host)
}

func (v *channelView) arrow(c connlog.Channel, left, right float32, back color.Color) {
	tail, tip, points := left, right-1.5, []fyne.Position{{}, {X: headLength, Y: headHeight / 2}, {Y: headHeight}}
	ink, headX := kit.Color(kit.ColorClient), tip-headLength
	if c.Initiator == connlog.Server {
		tail, tip = right, left+1.5
		points = []fyne.Position{{X: headLength}, {X: headLength, Y: headHeight}, {Y: headHeight / 2}}
		ink, headX = kit.Color(kit.ColorServer), tip
	}
	base := (headX + headX + headLength) / 2 // a line ends inside its head
	head, dot := true, true
	switch {
	case c.Initiator == "" || c.State == connlog.Withdrawn:
		ink, head, dot = kit.Color(kit.ColorMuted), false, false
		v.line(tail, tip, 1, true, ink)
	case c.State == connlog.Offered:
		head, dot = false, false
		v.line(tail, tip, 1, true, ink)
	case c.State == connlog.Dialing:
		v.line(tail, base, 2, true, ink)
	case c.State == connlog.Failed:
		ink, head = kit.Color(kit.ColorBad), false
		dot = c.SeenTried()
		v.stop(c, tail, tip, dot)
	case c.State == connlog.Open:
		v.line(tail, base, 3, false, ink)
	default:
		v.line(tail, base, 2, false, ink)
	}
	if head {
		v.head.FillColor, v.head.Points = ink, points
		v.head.Move(fyne.NewPos(headX, arrowY-headHeight/2))
		v.head.Resize(fyne.NewSize(headLength, headHeight))
		v.add(v.head)
	}
	const radius = 4.5
	v.dot.FillColor, v.dot.StrokeWidth = ink, 0
	if !dot {
		v.dot.FillColor, v.dot.StrokeColor, v.dot.StrokeWidth = back, ink, 1.5
	}
	v.dot.Move(fyne.NewPos(tail-radius, arrowY-radius))
	v.dot.Resize(fyne.NewSize(2*radius, 2*radius))
	v.add(v.dot)
}

// line draws a full or dashed line from one place to another, and returns nothing drawn for no length.
func (v *channelView) line(from, to, thick float32, dashed bool, ink color.Color) {
	from, to = min(from, to), max(from, to)
	if !dashed {
		v.shaft.FillColor = ink
		v.shaft.Move(fyne.NewPos(from, arrowY-thick/2))
		v.shaft.Resize(fyne.NewSize(to-from, thick))
		v.add(v.shaft)
		return
	}
	const dash, gap = 8, 6
	for n := 0; from < to; n, from = n+1, from+dash+gap {
		if n == len(v.dashes) {
			v.dashes = append(v.dashes, &canvas.Rectangle{})
		}
		d := v.dashes[n]
		d.FillColor = ink
		d.Move(fyne.NewPos(from, arrowY-thick/2))
		d.Resize(fyne.NewSize(min(dash, to-from), thick))
		v.add(d)
	}
}

// stop draws a failed arrow: a full line as far as it came, a cross there, and dashes for the rest of the way. It is
// dashes all the way when this side did not see that anybody tried.
func (v *channelView) stop(c connlog.Channel, tail, tip float32, tried bool) {
	ink := kit.Color(kit.ColorBad)
	at := tail + (tip-tail)*c.StoppedAt()
	if tried {
		v.line(tail, at, 2, false, ink)
		v.line(at, tip, 1, true, kit.Color(kit.ColorMuted))
	} else {
		v.line(tail, tip, 1, true, ink)
	}
	const arm = 6
	for k, l := range v.cross {
		dy := float32(arm)
		if k == 1 {
			dy = -arm
		}
		l.StrokeColor, l.StrokeWidth = ink, 3
		l.Position1, l.Position2 = fyne.NewPos(at-arm, arrowY-dy), fyne.NewPos(at+arm, arrowY+dy)
		v.add(l)
	}
}
