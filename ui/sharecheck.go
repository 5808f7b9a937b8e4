package ui

import (
	"fmt"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"

	"portside/app"
	"portside/doctor"
	"portside/ui/kit"
)

// selfCard shows what was found out about this computer's firewall, router, ports and certificate: what needs a look
// with the line to type, and the two answers that everybody wants, whether the control port and the passive ports are let
// in. The rest stands behind a button.
type selfCard struct {
	w     *Window
	list  *fyne.Container
	drawn string // what is drawn
	all   bool
	// resized is called when the card is drawn anew: the page around must not stay scrolled beyond its end.
	resized func()
}

func newSelfCard(w *Window, resized func()) *selfCard {
	return &selfCard{w: w, list: kit.VBox(6), resized: resized}
}

func (c *selfCard) card() fyne.CanvasObject { return kit.NewCard("Firewall and router", c.list) }

// refresh draws the last report, if it is another one than drawn.
func (c *selfCard) refresh() { c.show(c.w.app.SelfCheck()) }

func (c *selfCard) show(check app.SelfCheck) {
	running := c.w.app.Share().Phase == app.Running
	now := fmt.Sprint(check.Stamp, check.Checking, check.Asking, check.Forwarded, check.RouterErr, running, c.all)
	if now == c.drawn {
		return
	}
	c.drawn = now
	c.list.RemoveAll()
	again := kit.NewButton("Check again", c.w.app.CheckSelf)
	if check.Done.IsZero() {
		again.Text = "Check now"
		c.list.Add(kit.NewMutedParagraph("Does a firewall on this computer let the server's ports in, and does the router forward them? Portside looks when you start sharing."))
	}
	if check.Checking {
		again.Text = "Checking…"
		again.Disable()
	}
	fine := 0
	for _, f := range check.Report.Findings {
		if f.State == doctor.SelfGood && f.ID != doctor.SelfControlPort && f.ID != doctor.SelfPassive && !c.all {
			fine++
			continue
		}
		c.add(f)
	}
	if check.RouterErr != "" {
		c.list.Add(signed(kit.IconCross, kit.ColorBad, check.RouterErr))
	}
	if check.Forwarded {
		c.list.Add(kit.NewMutedParagraph("The router forwards the ports until sharing stops."))
	}
	buttons := []fyne.CanvasObject{again}
	if check.Report.RouterNotAsked {
		look := kit.NewButton("Look at the router", c.w.app.LookAtRouter)
		look.Tip = "Asks your own router by UPnP and NAT-PMP what it forwards to this computer. Nobody else is asked."
		buttons = []fyne.CanvasObject{look, again}
	}
	if check.CanAskRouter() && !check.Forwarded {
		ask := kit.NewButton("Ask the router ("+check.Report.Router.Protocol()+")", c.askRouter)
		switch {
		case check.Asking:
			ask.Text = "Asking the router…"
			ask.Disable()
		case !running:
			ask.Tip = "Start sharing first: the router is asked only while the server runs."
			ask.Disable()
		}
		buttons = []fyne.CanvasObject{ask, again}
	}
	if !check.Done.IsZero() {
		title := count(fine, "more is fine", "more are fine")
		if c.all {
			title = "Show less"
		}
		more := kit.NewButton(title, func() { c.all = !c.all; c.refresh() })
		more.Style = kit.Quiet
		more.Tip = "Everything that was looked at, and how it was found out"
		if c.all || fine > 0 {
			c.list.Add(kit.Pad(0, 0, 0, 16, kit.HBox(0, more, kit.Space()))) // in line with the words after the signs
		}
	}
	buttons = append(buttons, kit.Space())
	c.list.Add(newReflow(func() float32 {
		width := float32(6 * (len(buttons) - 1))
		for _, b := range buttons {
			width += b.MinSize().Width
		}
		return width
	}, 6, 6, buttons...))
	c.list.Refresh()
	c.resized()
}

func (c *selfCard) add(f doctor.SelfFinding) {
	icon, color := kit.IconInfo, fyne.ThemeColorName(kit.ColorMuted)
	switch f.State {
	case doctor.SelfGood:
		icon, color = kit.IconCheck, kit.ColorGood
	case doctor.SelfBad:
		icon, color = kit.IconCross, kit.ColorBad
	case doctor.SelfWarn:
		icon, color = kit.IconWarning, kit.ColorWarn
	}
	c.list.Add(signed(icon, color, f.Sentence))
	if f.Fix != "" {
		c.list.Add(kit.NewCodeLine(f.Fix))
	}
	if c.all && f.Detail != "" {
		c.list.Add(kit.Pad(0, 0, 0, 22, kit.NewMutedParagraph(f.Detail)))
	}
}

// signed is a sentence with a sign before its first line.
func signed(icon kit.IconName, color fyne.ThemeColorName, text string) fyne.CanvasObject {
	sign := container.NewVBox(kit.Pad(2, 0, 0, 0, kit.NewIcon(icon, color)))
	return kit.HBox(6, sign, kit.Grow(kit.NewFlowText(kit.Span{Text: text, Color: theme.ColorNameForeground})))
}

// askRouter asks the person first: the whole internet can come in then.
func (c *selfCard) askRouter() {
	set := c.w.app.Settings().Share
	anyone := set.Anyone()
	who := "With the user name and the password, everyone on the internet can then come in."
	if anyone != 0 {
		who = "No password is set: everyone on the internet can then read the shared folder"
		if anyone&app.Writing != 0 {
			who += ", change and delete what is in it"
		}
		who += "."
	}
	kit.Confirm(c.w, "Open the ports to the internet?",
		"The router is asked to forward the control port and the passive ports to this computer, until sharing stops. "+who,
		"Ask the router", anyone != 0, c.w.app.AskRouter)
}

// estimator is the line beside the passive range: how many ports so many people need.
type estimator struct {
	s             *share
	people, files *kit.Entry
	msg           *kit.FlowText
	use           *kit.Button
	plan          app.Estimate
	object        fyne.CanvasObject
}

func newEstimator(s *share) *estimator {
	e := &estimator{s: s, people: kit.NewEntry(), files: kit.NewEntry(), msg: kit.NewFlowText()}
	for _, f := range []*kit.Entry{e.people, e.files} {
		f.SelectOnFocus = true
		f.OnChanged = func(string) { e.show() }
		f.OnFocus = s.onLeave(e.keep)
		f.OnEnter = func(string) { e.keep() }
	}
	e.use = kit.NewButton("Use this range", func() {
		s.min.SetText(strconv.Itoa(e.plan.Min))
		s.max.SetText(strconv.Itoa(e.plan.Max))
		s.applyPassive()
	})
	e.object = kit.VBox(6, newReflow(func() float32 { return 250 }, 6, 4,
		kit.HBox(6, kit.NewMutedLabel("People at once"), kit.FixedWidth(48, e.people)),
		kit.HBox(6, kit.NewMutedLabel("× files each"), kit.FixedWidth(44, e.files), kit.Space())),
		e.msg, kit.HBox(0, e.use, kit.Space()))
	return e
}

func (e *estimator) fill() {
	set := e.s.w.app.Settings().Share
	e.people.SetText(strconv.Itoa(set.People))
	e.files.SetText(strconv.Itoa(set.FilesEach))
	e.show()
}

func (e *estimator) numbers() (people, files int, ok bool) {
	people, err1 := strconv.Atoi(strings.TrimSpace(e.people.Text))
	files, err2 := strconv.Atoi(strings.TrimSpace(e.files.Text))
	return people, files, err1 == nil && err2 == nil
}

// show says what the numbers as typed ask of the range as typed.
func (e *estimator) show() {
	set, err := e.s.typedPassive()
	people, files, ok := e.numbers()
	e.use.Hide()
	switch {
	case !set.UseRange:
		e.object.Hide()
		return
	case !ok || app.CheckEstimate(people, files) != nil:
		e.msg.SetSpans(kit.Span{Text: "Type two numbers to see how many ports they need.", Color: kit.ColorMuted})
	default:
		e.plan = app.EstimateRange(set, people, files)
		verdict := kit.Span{Text: "This range is enough.", Color: kit.ColorGood}
		switch {
		case err != nil || app.CheckPorts(set) != nil: // as while it is typed, and nothing may jump then
			verdict.Text = ""
		case !e.plan.Enough:
			verdict = kit.Span{Text: fmt.Sprintf("This range has %d.", set.Max-set.Min+1), Color: kit.ColorWarn}
			e.use.SetText(fmt.Sprintf("Use %d–%d", e.plan.Min, e.plan.Max))
			e.use.Show()
		}
		e.msg.SetSpans(kit.Span{Text: "About ", Color: kit.ColorMuted}, kit.Span{Text: count(e.plan.Need, "port", "ports"), Bold: true},
			kit.Span{Text: " needed: " + e.plan.Why + " ", Color: kit.ColorMuted}, verdict)
	}
	e.object.Show()
}

// keep remembers the numbers.
func (e *estimator) keep() {
	people, files, ok := e.numbers()
	if ok && app.CheckEstimate(people, files) == nil {
		e.s.w.app.SetEstimate(people, files)
	}
}
