package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/connlog"
	"portside/doctor"
	"portside/ui/kit"
)

// learn is the Learn screen: a simulator of who opens which channel and what stops it, and the pages of learn_pages.go.
type learn struct {
	w        *Window
	object   *fyne.Container // the simulator or the page
	table    fyne.CanvasObject
	pages    *learnPages
	page     string // the page that is seen; empty: the simulator
	setup    doctor.Setup
	run      doctor.Run
	switches []learnSwitch

	passive, active *kit.Button
	bars            []*fyne.Container // the rows of switches, and what they are in
	picture         *picture
	player          *player
	play            *kit.Button
	back, next      *kit.Button
	caption         *kit.FlowText
	story           *kit.FlowText
	fixes           *kit.FlowText
	advice          *kit.FlowText
	cards           [3]*kit.Card
	played          bool // the first run was shown
}

type learnSwitch struct {
	doctor.Switch
	check *kit.Check
}

// learnStart is what the simulator shows first: the case that most people meet.
var learnStart = doctor.Setup{Mode: connlog.Passive, ClientFirewall: true, ServerFirewall: true, RangeSet: true}

func newLearn(w *Window) *learn {
	l := &learn{w: w, setup: learnStart}
	l.passive = kit.NewButton("Passive", func() { l.change(func(s *doctor.Setup) { s.Mode = connlog.Passive }) })
	l.passive.Tip = "The client opens both channels"
	l.active = kit.NewButton("Active", func() { l.change(func(s *doctor.Setup) { s.Mode = connlog.Active }) })
	l.active.Tip = "The server dials back to the client"
	title := kit.NewBoldLabel("Who opens which channel?")
	title.TextSize = kit.TitleSize
	first := []fyne.CanvasObject{title, kit.Pad(0, 20, 0, 8, kit.HBox(kit.Gap, l.passive, l.active))}
	var more []fyne.CanvasObject
	for i, sw := range doctor.Switches() {
		check := kit.NewCheck(sw.Title, func(on bool) { l.change(func(s *doctor.Setup) { *sw.Field(s) = on }) })
		check.Boxed, check.Tip = true, sw.Tip
		l.switches = append(l.switches, learnSwitch{sw, check})
		if i < 5 {
			first = append(first, check)
		} else {
			more = append(more, check)
		}
	}
	second := container.New(&wrap{gap: kit.Gap, line: 6}, more...)
	bars := kit.VBox(6, container.New(&wrap{gap: kit.Gap, line: 6}, first...), second)

	l.picture = newPicture(fyne.NewSize(560, 202))
	l.player = &player{moved: l.moved, animated: func() bool { return calmBuild || w.driver.Settings().ShowAnimations() }}
	l.play = kit.NewButton("Play", l.toggle)
	l.back = kit.NewIconButton(kit.IconBack, "One step back  Left", func() { l.player.step(-1) })
	l.next = kit.NewIconButton(kit.IconForward, "One step on  Right", func() { l.player.step(1) })
	l.caption = kit.NewMutedParagraph("")
	buttons := kit.VBox(0, kit.HBox(kit.Gap, kit.FixedWidth(92, l.play), l.back, l.next)) // as high as buttons are
	controls := kit.HBox(kit.Gap, buttons, kit.Grow(kit.Pad(4, 0, 0, 4, l.caption)))
	stage := kit.NewFlushCard(kit.VBox(0, kit.Grow(l.picture), kit.Pad(0, 16, 8, 16, kit.FixedHeight(2*kit.LineHeight+4, controls))))

	l.story, l.fixes, l.advice = kit.NewFlowText(), kit.NewFlowText(), kit.NewFlowText()
	for i, c := range []struct {
		title string
		text  *kit.FlowText
	}{{"What happens", l.story}, {"What fixes it", l.fixes}, {"Which is better?", l.advice}} {
		l.cards[i] = kit.NewCard(c.title, container.NewVScroll(kit.Pad(0, 10, 0, 0, kit.VBox(0, c.text))))
	}
	cards := container.New(&evenRow{gap: 12}, l.cards[0], l.cards[1], l.cards[2])
	all := kit.VBox(12, bars, kit.Grow(container.New(&twoRows{gap: 12, share: 0.6, least: 128}, stage, cards)))
	l.table = kit.Pad(12, 12, 12, 12, all)
	l.bars = []*fyne.Container{second, bars, all}
	l.pages = newLearnPages(l)
	l.object = container.NewStack(l.table)
	l.showSetup()
	return l
}

func (l *learn) commands() []kit.Command {
	here := func() bool { return l.w.screen == "learn" && l.page == "" }
	page := func() bool { return l.w.screen == "learn" && l.page != "" }
	return []kit.Command{
		{ID: "learn.play", Title: "Play or pause the arrows", Keys: []string{"F5"}, Group: "Learn", Enabled: here, Run: l.toggle},
		{ID: "learn.next", Title: "One step on", Keys: []string{"Right"}, Group: "Learn", Enabled: here, Run: func() { l.player.step(1) }},
		{ID: "learn.back", Title: "One step back", Keys: []string{"Left"}, Group: "Learn", Enabled: here, Run: func() { l.player.step(-1) }},
		{ID: "learn.close", Title: "Back to the simulator", Keys: []string{"Escape"}, Group: "Learn", Enabled: page, Run: func() { l.open("") }},
		{ID: "learn.down", Title: "Scroll down", Keys: []string{"Down"}, Group: "Learn", Enabled: page, Run: func() { l.pages.scroll(3 * kit.LineHeight) }},
		{ID: "learn.up", Title: "Scroll up", Keys: []string{"Up"}, Group: "Learn", Enabled: page, Run: func() { l.pages.scroll(-3 * kit.LineHeight) }},
		{ID: "learn.pagedown", Title: "Scroll a page down", Keys: []string{"PageDown"}, Group: "Learn", Enabled: page, Run: func() { l.pages.scroll(l.pages.body.Size().Height - kit.LineHeight) }},
		{ID: "learn.pageup", Title: "Scroll a page up", Keys: []string{"PageUp"}, Group: "Learn", Enabled: page, Run: func() { l.pages.scroll(kit.LineHeight - l.pages.body.Size().Height) }},
	}
}

func (l *learn) view() fyne.CanvasObject { return l.object }
func (l *learn) refresh()                {}

func (l *learn) shown(on bool) {
	if !on {
		l.player.pause()
		return
	}
	if l.page == "" && !l.played {
		l.played = true
		l.player.replay()
	}
}

func (l *learn) focus() {
	if l.page != "" {
		l.w.focusOn(l.pages.tabs)
		return
	}
	l.w.focusOn(l.play)
}

func (l *learn) status() (left, right []string) {
	if l.page != "" {
		return []string{"Learn"}, []string{"Escape goes back to the simulator"}
	}
	return []string{connlog.Capital(string(l.setup.Mode)) + " mode: " + l.outcome()}, []string{"Left and Right step, F5 plays"}
}

// outcome is the run in a few words.
func (l *learn) outcome() string {
	r := l.run
	switch {
	case r.Verdict == doctor.OKWithFault:
		return "works, but not for every client"
	case r.Works:
		return "both channels stand"
	case r.Stop == doctor.OnTheWay:
		return "the data channel leads nowhere"
	case r.Stop == doctor.AtServer:
		return "the server refuses the data channel"
	}
	return "the data channel stops at " + r.Stop.String()
}

// open shows a page by its id, see [learnPage], and switches to this screen if need be. An empty or unknown id opens the
// simulator.
func (l *learn) open(page string) {
	if !l.pages.show(page) {
		page = ""
	}
	l.page = page
	l.player.pause()
	view := l.table
	if page != "" {
		view = l.pages.object
	}
	l.object.Objects = []fyne.CanvasObject{view}
	l.object.Refresh()
	if l.w.screen != "learn" {
		l.w.show("learn")
		return
	}
	l.shown(true)
	l.focus()
	l.w.refreshStatus()
}

// try shows a setup in the simulator and plays it.
func (l *learn) try(s doctor.Setup) {
	l.setup, l.played = s, true
	l.open("")
	l.showSetup()
	l.player.replay()
}

// change changes the setup and plays what happens then.
func (l *learn) change(f func(*doctor.Setup)) {
	f(&l.setup)
	l.showSetup()
	l.player.replay()
	l.w.refreshStatus()
}

// apply makes a change that was clicked. What was clicked is gone then, so the keyboard goes to what stays.
func (l *learn) apply(c doctor.Change) {
	l.change(func(s *doctor.Setup) { *s = c.Apply(*s) })
	l.focus()
}

// showSetup brings everything in line with the setup.
func (l *learn) showSetup() {
	l.run = doctor.Simulate(l.setup)
	l.passive.SetOn(l.setup.Mode == connlog.Passive)
	l.active.SetOn(l.setup.Mode == connlog.Active)
	for i, sw := range l.switches {
		sw.check.ShowChecked(*sw.Field(&l.setup))
		if i >= 5 && sw.check.Visible() != sw.Matters(l.setup) {
			sw.check.Hidden = !sw.Matters(l.setup)
		}
	}
	for _, box := range l.bars { // the second row may be in more or fewer lines now
		box.Refresh()
	}

	var fix *kit.Button
	if !l.run.Works && len(l.run.Changes) > 0 {
		c := l.run.Changes[0]
		fix = kit.NewButton(c.Short, func() { l.apply(c) })
		fix.Tip = plainArrows(c.Text)
		fix.Hide()
	}
	l.picture.show(figureOf(l.run), fix)
	l.player.end = float32(len(l.run.Steps))

	read := learnPage(l.run)
	l.story.SetSpans(kit.Span{Text: l.run.Story + " "}, kit.Span{Text: "Read more", OnTap: func() { l.open(read) }})
	l.fixes.SetSpans(l.fixSpans()...)
	l.cards[1].SetTitle("What fixes it")
	if l.run.Verdict == doctor.OK {
		l.cards[1].SetTitle("What would break it")
	}
	advice := []kit.Span{{Text: l.run.Advice + "\n\n"}, {Text: "Short pages: ", Color: kit.ColorMuted}}
	for i, p := range pagesOfLearn {
		if i > 0 {
			advice = append(advice, kit.Span{Text: " · ", Color: kit.ColorMuted})
		}
		// A page's name stays on one line: a link in two pieces is two stops of Tab.
		name := strings.ReplaceAll(p.tab, " ", "\u00a0")
		advice = append(advice, kit.Span{Text: name, OnTap: func() { l.open(p.id) }})
	}
	l.advice.SetSpans(advice...)
}

// fixSpans are the ways to mend the run, or to break one that works, each to be clicked.
func (l *learn) fixSpans() []kit.Span {
	var out []kit.Span
	if l.run.Verdict != doctor.OK {
		if l.run.Works {
			out = append(out, kit.Span{Text: "It works here. For every other client:\n"})
		}
		for i, c := range l.run.Changes {
			number := strconv.Itoa(i+1) + ". "
			if i > 0 {
				number = "\n" + number
			}
			out = append(out, kit.Span{Text: number, Bold: true}, kit.Span{Text: plainArrows(c.Text), OnTap: func() { l.apply(c) }})
			if line, _, _ := strings.Cut(c.Line, "\n"); line != "" {
				out = append(out, kit.Span{Text: "\n"}, kit.Span{Text: line, Mono: true})
			}
		}
		hint := "\nClick it to try it in the picture."
		if len(l.run.Changes) > 1 {
			hint = "\nClick one to try it in the picture."
		}
		out = append(out, kit.Span{Text: hint, Color: kit.ColorMuted}, kit.Span{Text: "\n\nWhat Doctor says at the client: ", Bold: true},
			kit.Span{Text: plainArrows(l.run.Sentence)})
		if l.run.Second != nil {
			out = append(out, kit.Span{Text: " And also: " + plainArrows(l.run.Second.Sentence)})
		}
		return append(out, kit.Span{Text: fmt.Sprintf(" (%s, %s)", l.run.Verdict, l.run.Confidence), Color: kit.ColorMuted})
	}
	out = append(out, kit.Span{Text: "Nothing to fix: both channels stand. Try what stops them:"})
	n := 0
	for _, b := range breaks {
		after := b.Apply(l.setup)
		if n < 4 && !doctor.Simulate(after).Works {
			n++
			out = append(out, kit.Span{Text: "\n"}, kit.Span{Text: connlog.Capital(b.Text), OnTap: func() { l.apply(b) }}, kit.Span{Text: "."})
		}
	}
	return out
}

// breaks are what stops a channel that stands, for those who want to see it.
var breaks = []doctor.Change{
	breaking("use active mode through the client's firewall", func(s *doctor.Setup) {
		s.Mode, s.ClientFirewall, s.ActiveOpen = connlog.Active, true, false
	}),
	breaking("use active mode behind the client's router", func(s *doctor.Setup) {
		s.Mode, s.ClientNAT, s.ActiveForwarded, s.ClientFirewall, s.Helper = connlog.Active, true, false, false, false
	}),
	breaking("close the passive range at the server's firewall", func(s *doctor.Setup) {
		s.Mode, s.ServerFirewall, s.RangeOpen = connlog.Passive, true, false
	}),
	breaking("put the server behind a router and forget the Passive IP", func(s *doctor.Setup) {
		s.Mode, s.ServerNAT, s.RangeForwarded, s.PassiveIP, s.EPSV, s.Helper = connlog.Passive, true, true, false, false, false
	}),
	breaking("turn TLS on, so that the helper can't read along", func(s *doctor.Setup) { s.TLS = true }),
}

func breaking(text string, f func(*doctor.Setup)) doctor.Change {
	return doctor.Change{Text: text, Apply: func(s doctor.Setup) doctor.Setup { f(&s); return s }}
}

// toggle plays, pauses, or plays again from the beginning.
func (l *learn) toggle() {
	switch {
	case l.player.running():
		l.player.pause()
	case l.player.at >= l.player.end:
		l.player.replay()
	default:
		l.player.to(l.player.end)
	}
}

// moved shows the run as far as the player is.
func (l *learn) moved() {
	at := l.player.at
	l.picture.draw(at)
	n := min(len(l.run.Steps), max(1, int(at+0.999)))
	l.caption.SetSpans(kit.Span{Text: fmt.Sprintf("%d of %d  ", n, len(l.run.Steps)), Bold: true}, kit.Span{Text: l.run.Steps[n-1].Text})
	icon, text := kit.IconPlay, "Play"
	switch {
	case l.player.running():
		icon, text = kit.IconPause, "Pause"
	case at >= l.player.end:
		icon, text = kit.IconRefresh, "Replay"
	}
	if l.play.Text != text {
		l.play.Icon, l.play.Text, l.play.Tip = icon, text, text+"  F5"
		l.play.Refresh()
	}
}

// player moves along the arrows of a run: at 1.5 the first is drawn and the second in half. Use it on the UI goroutine,
// where Fyne ticks its animations too.
type player struct {
	at, end  float32
	moved    func()
	animated func() bool
	anim     *fyne.Animation
}

// stepTime is how long an arrow takes.
const stepTime = 900 * time.Millisecond

func (p *player) running() bool { return p.anim != nil }

func (p *player) pause() {
	if p.anim != nil {
		p.anim.Stop()
		p.anim = nil
		p.moved()
	}
}

func (p *player) replay() {
	p.pause()
	p.at = 0
	p.to(p.end)
}

// step goes to the next or the previous whole arrow. Back is at once: an arrow doesn't go backwards.
func (p *player) step(by int) {
	p.pause()
	if by < 0 {
		p.at = max(1, float32(int(p.at-0.001)))
		p.moved()
		return
	}
	p.to(min(p.end, float32(int(p.at)+1)))
}

// to plays until target, or goes there at once where the person wants no animations.
func (p *player) to(target float32) {
	p.pause()
	from := p.at
	if !p.animated() || target <= from {
		p.at = target
		p.moved()
		return
	}
	var anim *fyne.Animation
	anim = fyne.NewAnimation(time.Duration(float32(stepTime)*(target-from)), func(done float32) {
		if p.anim != anim {
			return // stopped meanwhile
		}
		p.at = from + (target-from)*done
		if done >= 1 {
			p.anim = nil
		}
		p.moved()
	})
	anim.Curve = fyne.AnimationLinear
	p.anim = anim
	anim.Start()
}

// wrap puts objects in rows as wide as there is room for.
type wrap struct {
	gap, line float32
	width     float32
}

func (l *wrap) place(objects []fyne.CanvasObject, width float32, move bool) (height float32) {
	x, y, row := float32(0), float32(0), float32(0)
	for _, o := range objects {
		if !o.Visible() {
			continue
		}
		m := o.MinSize().Max(fyne.NewSize(0, kit.InputHeight))
		if x > 0 && x+m.Width > width {
			x, y, row = 0, y+row+l.line, 0
		}
		if move {
			o.Move(fyne.NewPos(x, y))
			o.Resize(m)
		}
		x, row = x+m.Width+l.gap, max(row, m.Height)
	}
	return y + row
}

func (l *wrap) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	l.width = size.Width
	l.place(objects, size.Width, true)
}

func (l *wrap) MinSize(objects []fyne.CanvasObject) fyne.Size {
	width := l.width
	if width == 0 {
		width = kit.MinWidth
	}
	m := fyne.NewSize(0, l.place(objects, width, false))
	for _, o := range objects {
		m.Width = max(m.Width, o.MinSize().Width)
	}
	return m
}

// evenRow gives each object the same width.
type evenRow struct{ gap float32 }

func (l *evenRow) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	n := float32(len(objects))
	w := (size.Width - l.gap*(n-1)) / n
	for i, o := range objects {
		o.Move(fyne.NewPos(float32(int(float32(i)*(w+l.gap))), 0))
		o.Resize(fyne.NewSize(float32(int(w)), size.Height))
	}
}

func (l *evenRow) MinSize(objects []fyne.CanvasObject) fyne.Size {
	m := fyne.Size{}
	for _, o := range objects {
		m = m.Max(o.MinSize())
	}
	n := float32(len(objects))
	return fyne.NewSize(n*m.Width+(n-1)*l.gap, m.Height)
}

// twoRows gives the upper of two objects a share of the height, and the lower one the rest, but no less than least.
type twoRows struct{ gap, share, least float32 }

func (l *twoRows) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	h := float32(int((size.Height - l.gap) * l.share))
	h = max(objects[0].MinSize().Height, min(h, size.Height-l.gap-l.least))
	objects[0].Move(fyne.NewPos(0, 0))
	objects[0].Resize(fyne.NewSize(size.Width, h))
	objects[1].Move(fyne.NewPos(0, h+l.gap))
	objects[1].Resize(fyne.NewSize(size.Width, size.Height-h-l.gap))
}

func (l *twoRows) MinSize(objects []fyne.CanvasObject) fyne.Size {
	a, b := objects[0].MinSize(), objects[1].MinSize()
	return fyne.NewSize(max(a.Width, b.Width), a.Height+l.gap+max(b.Height, l.least))
}
