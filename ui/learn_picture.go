package ui

import (
	"fmt"
	"image/color"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
	"portside/doctor"
	"portside/ui/kit"
)

// figure is what a picture of client, server and the walls between them shows: the run of a setup, or what a page needs.
type figure struct {
	client, server [2]string // name and address
	walls          []wall
	arrows         []arrow
}

// wall is a firewall or a router on the way.
type wall struct {
	at     doctor.Place
	name   string
	rule   string // what it lets through
	router bool
}

// arrow is a channel, or a line that goes over the control channel.
type arrow struct {
	said    bool
	tls     bool // a channel that TLS protects: a lock stands before its label
	by      connlog.Side
	labels  []string  // the longest that fits is shown
	ports   [2]string // under the client's and the server's end
	stopped bool
	at      doctor.Place
	word    string
}

// weight is an arrow's share of the height, below the one before it.
func (f figure) weight(i int) float32 {
	switch {
	case !f.arrows[i].said:
		return 2
	case i > 0 && !f.arrows[i-1].said: // below the ports of a channel
		return 1.4
	}
	return 1
}

// figureOf draws a run.
func figureOf(r doctor.Run) figure {
	s := r.Setup
	f := figure{client: [2]string{"Client", s.ClientAddr().String()}, server: [2]string{"Server", s.ServerAddr().String()}}
	passive := s.Mode == connlog.Passive
	if s.ClientFirewall {
		out, in := "free", "closed"
		if s.ClientStrict {
			out = "21, 80, 443, 990"
		}
		if s.ActiveOpen && !passive {
			in = "50210–50219"
		}
		f.walls = append(f.walls, wall{at: doctor.AtClientFirewall, name: "Firewall", rule: "out: " + out + " · in: " + in})
	}
	if s.ClientNAT {
		f.walls = append(f.walls, wall{at: doctor.AtClientRouter, name: "Router", rule: s.ClientPublic().String(), router: true})
	}
	if s.ServerNAT {
		rule := s.ServerPublic().String() + " · forwards 21"
		if s.RangeForwarded {
			rule += ", 21100–21199"
		}
		f.walls = append(f.walls, wall{at: doctor.AtServerRouter, name: "Router", rule: rule, router: true})
	}
	if s.ServerFirewall {
		rule := "in: 21"
		if s.RangeOpen {
			rule += ", 21100–21199"
		}
		switch {
		case s.ServerStrict && !passive:
			rule += " · out: closed"
		default:
			rule += " · out: free"
		}
		f.walls = append(f.walls, wall{at: doctor.AtServerFirewall, name: "Firewall", rule: rule})
	}
	for i, st := range r.Steps {
		f.arrows = append(f.arrows, arrowOf(s, i+1, st))
	}
	return f
}

func arrowOf(s doctor.Setup, n int, st doctor.Step) arrow {
	a := arrow{said: st.Kind == doctor.Said, tls: s.TLS && !st.Stopped, by: st.By, stopped: st.Stopped, at: st.At, word: st.Word}
	number := fmt.Sprintf("%d  ", n)
	if a.said {
		short := st.Line
		if words := strings.Fields(st.Line); st.By == connlog.Server && len(words) > 1 {
			short = words[0] + " " + strings.Trim(words[len(words)-1], "().") // the code and what matters
			if words[0] >= "400" || words[0] == "200" {
				short = words[0]
			}
		}
		a.labels = []string{number + st.Line, number + short}
		return a
	}
	who := "the client"
	own, other := 0, 1
	if st.By == connlog.Server {
		who, own, other = "the server", 1, 0
	}
	a.ports[own] = fmt.Sprintf(":%d", st.From.Port())
	a.ports[other] = fmt.Sprintf(":%d", st.To.Port())
	kind := "Control"
	if st.Kind == doctor.DataOpens {
		kind = "Data · " + string(s.Mode)
	}
	did := who + " opened it"
	switch {
	case st.Stopped && st.At == doctor.AtServer:
		did, a.ports[own], a.ports[other] = "nobody opened it", "", ""
	case st.Stopped && st.At == doctor.OnTheWay:
		did, a.ports[other] = who+" tried to open it", ""
	case st.Stopped:
		did = who + " tried to open it"
	}
	a.labels = []string{number + kind + " · " + did, number + kind, number + strings.TrimPrefix(kind, "Data · ")}
	return a
}

// The picture's measures, on the grid of 4.
const (
	figureEdge    float32 = 16 // around everything
	wallWidth     float32 = 16
	routerWidth   float32 = 24
	captionRow    float32 = 20
	arrowHead     float32 = 16
	arrowHeadHigh float32 = 14
)

// picture shows a figure as far as it has happened.
type picture struct {
	widget.BaseWidget
	least fyne.Size
	fig   figure
	// done is how many arrows are drawn; a fraction draws one in part.
	done float32
	// fix is the button at the place where the last arrow stops, or nil.
	fix     *kit.Button
	objects []fyne.CanvasObject
}

func newPicture(least fyne.Size) *picture {
	p := &picture{least: least}
	p.ExtendBaseWidget(p)
	return p
}

// show replaces the figure. fix may be nil.
func (p *picture) show(f figure, fix *kit.Button) {
	p.fig, p.fix = f, fix
	p.Refresh()
}

// draw shows the first n arrows.
func (p *picture) draw(n float32) {
	if p.done != n {
		p.done = n
		p.Refresh()
	}
}

// AccessibilityLabel says the picture in words.
func (p *picture) AccessibilityLabel() string {
	var words []string
	for i, a := range p.fig.arrows {
		if float32(i) < p.done {
			words = append(words, strings.TrimSpace(a.labels[0]+" "+a.word))
		}
	}
	return strings.Join(words, ". ")
}

// AccessibilityRole says what it is.
func (p *picture) AccessibilityRole() fyne.AccessibleRole { return fyne.AccessibleRoleText }

// CreateRenderer is called by Fyne.
func (p *picture) CreateRenderer() fyne.WidgetRenderer {
	p.ExtendBaseWidget(p)
	return &pictureRenderer{p}
}

type pictureRenderer struct{ p *picture }

func (r *pictureRenderer) Layout(fyne.Size)             { r.p.paint() }
func (r *pictureRenderer) MinSize() fyne.Size           { return r.p.least }
func (r *pictureRenderer) Destroy()                     {}
func (r *pictureRenderer) Objects() []fyne.CanvasObject { return r.p.objects }
func (r *pictureRenderer) Refresh() {
	r.p.paint()
	canvas.Refresh(r.p)
}

// stage is where things stand in a picture of a certain size.
type stage struct {
	p           *picture
	left, right float32 // the posts' inner edges
	top, bottom float32 // of the posts
	clear       [2]float32
	at          map[doctor.Place]float32
}

func (p *picture) stage() *stage {
	size := p.Size()
	s := &stage{p: p, top: figureEdge, at: map[doctor.Place]float32{}}
	post, near := min(190, max(120, size.Width*0.16)), float32(56)
	if size.Width < 520 { // beside the Doctor's probes in a small window
		post, near = 100, 36
	}
	s.left, s.right = figureEdge+post, size.Width-figureEdge-post
	captions := captionRow + 8
	counts := map[bool]int{}
	for _, w := range p.fig.walls {
		counts[w.at < doctor.OnTheWay]++
	}
	if counts[true] > 1 || counts[false] > 1 {
		captions += captionRow
	}
	s.bottom = size.Height - figureEdge - captions
	// A firewall and a router on one side stand close to each other, so that the labels have the middle.
	step := min(110, max(near, (s.right-s.left)*0.12))
	s.clear = [2]float32{s.left + 12, s.right - 12}
	s.at[doctor.AtClient], s.at[doctor.AtServer], s.at[doctor.OnTheWay] = s.left, s.right, (s.left+s.right)/2
	for _, w := range p.fig.walls {
		d := step
		if counts[w.at < doctor.OnTheWay] > 1 {
			d = step * 0.95
			if w.router {
				d = step * 1.75
			}
		}
		if w.at < doctor.OnTheWay {
			s.at[w.at] = s.left + d
			s.clear[0] = max(s.clear[0], s.left+d+routerWidth/2+6)
		} else {
			s.at[w.at] = s.right - d
			s.clear[1] = min(s.clear[1], s.right-d-routerWidth/2-6)
		}
	}
	return s
}

func (p *picture) paint() {
	p.objects = nil
	if p.Size().Width < 10 || len(p.fig.arrows) == 0 {
		return
	}
	s := p.stage()
	s.posts()
	s.drawWalls()
	all := float32(1.2) // the room under the last arrow, for a word and a button
	for i := range p.fig.arrows {
		all += p.fig.weight(i)
	}
	unit := (s.bottom - s.top - 4) / all
	y := s.top
	for i, a := range p.fig.arrows {
		y += unit * p.fig.weight(i)
		if shown := p.done - float32(i); shown > 0 {
			s.arrow(a, y-min(18, unit*0.3), min(1, shown))
		}
	}
	if p.fix != nil {
		p.fix.Hidden = p.done < float32(len(p.fig.arrows))
		p.objects = append(p.objects, p.fix)
	}
}

func (p *picture) add(o fyne.CanvasObject, x, y, w, h float32) {
	o.Move(fyne.NewPos(x, y))
	o.Resize(fyne.NewSize(w, h))
	p.objects = append(p.objects, o)
}

// text puts a line at y; align says which part of it is at x: 0 its beginning, 0.5 its middle, 1 its end. It stays in
// the picture.
func (p *picture) text(s string, size float32, style fyne.TextStyle, ink color.Color, x, y, align float32) *canvas.Text {
	t := canvas.NewText(s, ink)
	t.TextSize, t.TextStyle = size, style
	m := t.MinSize()
	x = min(max(x-align*m.Width, 4), p.Size().Width-4-m.Width)
	p.add(t, x, y, m.Width, m.Height)
	return t
}

func (s *stage) posts() {
	for i, post := range [][2]string{s.p.fig.client, s.p.fig.server} {
		x, w := figureEdge, s.left-figureEdge
		if i == 1 {
			x = s.right
		}
		back := canvas.NewRectangle(kit.Color(kit.ColorChip))
		back.CornerRadius = kit.CardRadius
		s.p.add(back, x, s.top, w, s.bottom-s.top)
		s.p.text(post[0], kit.TitleSize, fyne.TextStyle{Bold: true}, kit.Color(theme.ColorNameForeground), x+w/2, s.top+14, 0.5)
		s.p.text(post[1], kit.TextSize, fyne.TextStyle{}, kit.Color(kit.ColorMuted), x+w/2, s.top+36, 0.5)
	}
}

// stoppedAt says whether a channel was seen to stop at a place.
func (s *stage) stoppedAt(at doctor.Place) bool {
	for i, a := range s.p.fig.arrows {
		if a.stopped && a.at == at && s.p.done >= float32(i+1) {
			return true
		}
	}
	return false
}

func (s *stage) drawWalls() {
	rows := map[bool]int{}
	for _, w := range s.p.fig.walls {
		rows[w.at < doctor.OnTheWay]++
	}
	for _, w := range s.p.fig.walls {
		x, ink, muted := s.at[w.at], kit.Color(kit.ColorGood), kit.Color(kit.ColorMuted)
		if s.stoppedAt(w.at) {
			ink, muted = kit.Color(kit.ColorBad), kit.Color(kit.ColorBad)
		}
		end := s.bottom + 6
		if w.router && rows[w.at < doctor.OnTheWay] > 1 {
			end += captionRow
		}
		body := canvas.NewRectangle(ink)
		body.CornerRadius = kit.Radius
		width := wallWidth
		if w.router { // a frame: it doesn't choose what passes as a firewall does, it doesn't know where to send it
			width = routerWidth
			body.FillColor, body.StrokeColor, body.StrokeWidth = kit.Color(kit.ColorChip), ink, 3
		}
		s.p.add(body, x-width/2, s.top-6, width, end-s.top+6)
		caption := w.name
		if w.rule != "" {
			caption += " · " + w.rule
		}
		for _, shorter := range []string{w.rule, w.name} {
			if shorter != "" && fyne.MeasureText(caption, kit.CaptionSize, fyne.TextStyle{}).Width > s.p.Size().Width/2-8 {
				caption = shorter
			}
		}
		t := s.p.text(caption, kit.CaptionSize, fyne.TextStyle{}, muted, x, end+2, 0.5)
		if router, ok := s.at[routerOf(w.at)]; ok && !w.router { // the router beside it reaches down to its own caption
			const apart = routerWidth/2 + 8
			at := min(t.Position().X, router-apart-t.MinSize().Width)
			if w.at > doctor.OnTheWay {
				at = max(t.Position().X, router+apart)
			}
			t.Move(fyne.NewPos(min(max(at, 4), s.p.Size().Width-4-t.MinSize().Width), end+2))
		}
	}
}

// routerOf is the router on the same side.
func routerOf(at doctor.Place) doctor.Place {
	if at < doctor.OnTheWay {
		return doctor.AtClientRouter
	}
	return doctor.AtServerRouter
}

// arrow draws an arrow with its line at y, as far as it has come.
func (s *stage) arrow(a arrow, y, shown float32) {
	ink := kit.Color(kit.ColorClient)
	if a.by == connlog.Server {
		ink = kit.Color(kit.ColorServer)
	}
	from, to, dir := s.left, s.right, float32(1)
	if a.by == connlog.Server {
		from, to, dir = s.right, s.left, -1
	}
	label := kit.Color(theme.ColorNameForeground)
	thick := float32(3)
	if a.said {
		ink, label, thick = kit.Color(kit.ColorMuted), kit.Color(kit.ColorMuted), 1
		from, to = from+8*dir, to-8*dir
	}
	end := to
	if a.stopped {
		end = s.stopX(a, dir)
		if shown == 1 {
			ink, label = kit.Color(kit.ColorBad), kit.Color(kit.ColorBad)
		}
	}
	eased := shown * shown * (3 - 2*shown)
	tip := from + (end-from)*eased
	s.label(a, y, label)

	// A head goes before the line while it is under way, and stays where the channel stands.
	base, head := tip, !a.stopped || shown < 1
	if head && (tip-from)*dir > arrowHead {
		size := fyne.NewSize(arrowHead, arrowHeadHigh)
		if a.said {
			size = fyne.NewSize(8, 7)
		}
		base = tip - dir*size.Width/2
		points := []fyne.Position{{}, {X: size.Width, Y: size.Height / 2}, {Y: size.Height}}
		x := tip - size.Width
		if dir < 0 {
			points = []fyne.Position{{X: size.Width}, {X: size.Width, Y: size.Height}, {Y: size.Height / 2}}
			x = tip
		}
		s.p.add(&canvas.ArbitraryPolygon{FillColor: ink, Points: points}, x, y-size.Height/2, size.Width, size.Height)
	}
	line := canvas.NewRectangle(ink)
	s.p.add(line, min(from, base), y-thick/2, max(from, base)-min(from, base), thick)
	if a.said {
		return
	}
	const radius = 5
	s.p.add(canvas.NewCircle(ink), from-radius, y-radius, 2*radius, 2*radius)
	s.ports(a, y, shown)
	if a.stopped && shown == 1 {
		s.stop(a, y, end, to, dir)
	}
}

// stopX is where a stopped arrow ends: before the wall as its dialler sees it.
func (s *stage) stopX(a arrow, dir float32) float32 {
	x := s.at[a.at]
	switch a.at {
	case doctor.OnTheWay:
		return x
	case doctor.AtServer, doctor.AtClient: // it never left
		return x + 20*dir
	}
	return x - dir*(routerWidth/2+8)
}

func (s *stage) label(a arrow, y float32, ink color.Color) {
	style, size := fyne.TextStyle{Bold: true}, kit.TextSize
	if a.said {
		style, size = fyne.TextStyle{Monospace: true}, kit.CaptionSize-1
	}
	room := s.clear[1] - s.clear[0]
	if a.tls {
		room -= 40
	}
	text := a.labels[len(a.labels)-1]
	for _, l := range a.labels {
		if fyne.MeasureText(l, size, style).Width <= room {
			text = l
			break
		}
	}
	h := fyne.MeasureText(text, size, style).Height
	gap := float32(4)
	switch {
	case a.said:
		gap = 2
	case a.at == doctor.OnTheWay:
		gap = 8 // above the cross
	}
	t := s.p.text(text, size, style, ink, (s.clear[0]+s.clear[1])/2, y-gap-h, 0.5)
	if a.tls && !a.said {
		const lock = 13
		s.p.add(canvas.NewImageFromResource(kit.IconColored(kit.IconLock, kit.ColorMuted)), t.Position().X-lock-6, t.Position().Y+(h-lock)/2, lock, lock)
	}
}

func (s *stage) ports(a arrow, y, shown float32) {
	muted := kit.Color(kit.ColorMuted)
	own, far := 0, 1
	if a.by == connlog.Server {
		own, far = 1, 0
	}
	for i, x := range []float32{s.left + 7, s.right - 7} {
		if a.ports[i] != "" && (i == own || i == far && shown == 1) {
			s.p.text(a.ports[i], kit.CaptionSize-1, fyne.TextStyle{}, muted, x, y+7, float32(i))
		}
	}
}

// stop draws where an arrow stops: a cross, dashes for the rest of the way, the word, and the button that mends it.
func (s *stage) stop(a arrow, y, at, to, dir float32) {
	ink, rest := kit.Color(kit.ColorBad), kit.Color(kit.ColorMuted)
	const dash, gap = 8, 6
	for x := at + 10*dir; (to-x)*dir > dash; x += (dash + gap) * dir {
		s.p.add(canvas.NewRectangle(rest), min(x, x+dash*dir), y-0.5, dash, 1)
	}
	const arm = 6
	for _, dy := range []float32{arm, -arm} {
		l := canvas.NewLine(ink)
		l.StrokeWidth = 3
		l.Position1, l.Position2 = fyne.NewPos(at-arm, y-dy), fyne.NewPos(at+arm, y+dy)
		s.p.objects = append(s.p.objects, l)
	}
	// The word stands before the wall and in the clear middle, the button below it, or beside it where it is too low.
	align, x := float32(1), min(at+4, s.clear[1])
	switch {
	case a.at == doctor.OnTheWay:
		align, x = 0.5, at
	case a.at == doctor.AtServer:
		x = s.clear[1]
	case dir < 0:
		align, x = 0, max(at-4, s.clear[0])
	}
	word := s.p.text(a.word, kit.TextSize, fyne.TextStyle{Bold: true}, ink, x, y+9, align)
	if s.p.fix == nil {
		return
	}
	const apart = 8
	size, m := word.MinSize(), s.p.fix.MinSize()
	left, top := x-align*m.Width, y+9+size.Height+4
	if top+m.Height > s.bottom+4 {
		top = y + 9 + (size.Height-m.Height)/2
		both := min(max(x-align*(size.Width+apart+m.Width), s.clear[0]), s.clear[1]-size.Width-apart-m.Width)
		left = both + size.Width + apart
		if align == 1 {
			left, both = both, both+m.Width+apart
		}
		word.Move(fyne.NewPos(both, y+9))
	}
	s.p.fix.Move(fyne.NewPos(left, top))
	s.p.fix.Resize(m)
}
