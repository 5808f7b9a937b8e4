package ui

import (
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/doctor"
	"portside/ui/kit"
)

// doctorScreen is the Doctor screen: the probes as they run, and then what is wrong, where, and what to change.
type doctorScreen struct {
	w *Window

	address  *kit.Entry
	user     *kit.Entry
	password *kit.Entry
	mode     *kit.Select
	button   *kit.Button
	consent  *kit.Check

	facts   *fyne.Container
	tried   *container.Scroll // around facts
	list    *fyne.Container   // around tried
	found   *container.Scroll // around body
	lead    *kit.FlowText     // what will stand among the facts, or what is wrong with the address
	note    *kit.FlowText
	verdict *kit.Card
	side    *kit.FlowText
	title   *kit.FlowText
	words   *kit.FlowText
	picture *picture
	figure  *kit.Card // around picture
	fixes   *fyne.Container
	fixCard *kit.Card
	fixBox  fyne.CanvasObject // around fixCard
	body    *fyne.Container
	idle    fyne.CanvasObject
	object  fyne.CanvasObject

	lines  []*factLine
	drawn  []doctor.Fact // what the picture shows while an examination runs
	report *doctor.Report
	wrong  string // with the address, until the next examination
}

func newDoctor(w *Window) *doctorScreen {
	d := &doctorScreen{w: w}
	set := w.app.Settings().Connect
	d.address, d.user, d.password = kit.NewEntry(), kit.NewEntry(), kit.NewPasswordEntry()
	d.address.SetPlaceHolder("The server to examine: host name or URL")
	d.address.SetText(set.URL)
	d.address.SelectOnFocus = true
	d.user.SetPlaceHolder("anonymous")
	d.user.SetText(set.User)
	d.password.SetPlaceHolder("Password")
	for _, e := range []*kit.Entry{d.address, d.user, d.password} {
		e.OnEnter = func(string) { d.examine() }
	}
	d.mode = kit.NewSelect([]string{"Auto", "Passive", "Active"}, nil)
	d.mode.Prefix = "Mode: "
	d.button = kit.NewPrimaryButton("Examine", d.examineOrCancel)
	d.button.Titles = []string{"Examine", "Cancel", "Examine again"}
	d.consent = kit.NewCheck("Compare without TLS, too", nil)

	d.facts = kit.VBox(6)
	d.consent.Tip = "Tells what a router does to the unprotected session. The password is then readable on the way."
	d.note = kit.NewMutedParagraph("")
	d.tried = container.NewVScroll(kit.Pad(0, 8, 0, 0, d.facts))
	d.lead = kit.NewFlowText()
	d.list = container.NewBorder(d.lead, kit.VBox(8, d.consent, d.note), nil, nil, d.tried)
	tried := kit.NewCard("What was tried", d.list)

	d.side, d.title, d.words = kit.NewFlowText(), kit.NewFlowText(), kit.NewFlowText()
	d.title.TextSize, d.title.Bold = kit.HeadlineSize, true
	d.verdict = kit.NewCard("", kit.VBox(4, d.side, d.title, d.words))
	d.picture = newPicture(fyne.NewSize(420, 190))
	d.fixes = kit.VBox(8)
	d.fixCard = kit.NewCard("What to change", d.fixes)
	d.fixBox = kit.Grow(d.fixCard)
	d.figure = kit.NewCard("", d.picture)
	d.body = kit.VBox(12, d.verdict, d.figure, d.fixBox)
	d.idle = invitation(kit.IconDoctor, "Why can't a server be reached?",
		"Type its address above and press Examine. The doctor goes step by step: name, control channel, TLS, sign-in, passive and active mode. Then it says which firewall or setting has to change, and the line to type.")

	bar := kit.FixedHeight(kit.BarHeight, kit.Surface(kit.Pad(8, 10, 8, 10, kit.HBox(kit.Gap,
		kit.Grow(d.address), kit.FixedWidth(112, d.user), kit.FixedWidth(120, d.password), kit.FixedWidth(122, d.mode), d.button))))
	d.found = container.NewVScroll(kit.Pad(0, 6, 0, 0, d.body))
	right := container.NewStack(d.found, d.idle)
	d.object = container.NewBorder(bar, nil, nil, nil, kit.Pad(12, 12, 12, 12, container.New(&columns{first: 0.34, gap: 12}, tried, right)))
	d.refresh()
	return d
}

// invitation says what will be in an empty place.
func invitation(icon kit.IconName, title, text string) fyne.CanvasObject {
	head := kit.NewBoldLabel(title)
	head.TextSize, head.Align = kit.HeadlineSize, fyne.TextAlignCenter
	sign := kit.NewIcon(icon, kit.ColorMuted)
	sign.Side = 32
	p := kit.NewMutedParagraph(text)
	p.Center, p.Width = true, 420
	return container.NewCenter(kit.FixedWidth(420, kit.VBox(12, kit.FixedHeight(40, sign), head, p)))
}

// columns lays two things side by side: the first gets its share of the width.
type columns struct{ first, gap float32 }

func (c *columns) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	w := max(objects[0].MinSize().Width, (size.Width-c.gap)*c.first)
	objects[0].Resize(fyne.NewSize(w, size.Height))
	objects[1].Move(fyne.NewPos(w+c.gap, 0))
	objects[1].Resize(fyne.NewSize(size.Width-w-c.gap, size.Height))
}

func (c *columns) MinSize(objects []fyne.CanvasObject) fyne.Size {
	a, b := objects[0].MinSize(), objects[1].MinSize()
	return fyne.NewSize(a.Width+c.gap+b.Width, max(a.Height, b.Height))
}

// factLine is a probe: a sign, what is tried, how it ended.
type factLine struct {
	fact   doctor.Fact
	sign   *kit.IconImage
	text   *kit.FlowText
	object fyne.CanvasObject
}

func newFactLine() *factLine {
	l := &factLine{sign: kit.NewIcon(kit.IconClock, kit.ColorMuted), text: kit.NewFlowText()}
	l.object = kit.HBox(8, container.NewVBox(kit.FixedHeight(kit.LineHeight, kit.FixedWidth(16, l.sign))), kit.Grow(l.text))
	return l
}

func (l *factLine) show(f doctor.Fact) {
	if l.fact == f {
		return
	}
	l.fact = f
	switch {
	case f.Running:
		l.sign.Set(kit.IconClock, kit.ColorMuted)
	case f.OK:
		l.sign.Set(kit.IconCheck, kit.ColorGood)
	case f.Note:
		l.sign.Set(kit.IconInfo, kit.ColorMuted)
	default:
		l.sign.Set(kit.IconCross, kit.ColorBad)
	}
	l.text.SetSpans(kit.Span{Text: plainArrows(f.Title()) + "  "}, kit.Span{Text: f.Result(), Color: kit.ColorMuted})
}

// plainArrows writes the arrows of a text as words: the toolkit's fonts can't be relied on for them.
func plainArrows(s string) string {
	return strings.NewReplacer(" → ", " to ", " ← to ", " back to ", " ← ", " back to ").Replace(s)
}

func (d *doctorScreen) examineOrCancel() {
	if d.w.app.Examination().Running {
		d.w.app.CancelExamination()
		return
	}
	d.examine()
}

func (d *doctorScreen) examine() {
	t, err := client.ParseURL(d.address.Text)
	if err != nil {
		d.wrong = app.Sentence(err)
		d.refresh()
		kit.FocusOn(d.address)
		return
	}
	if t.User == "" { // the fields may be of another time
		t.User = d.user.Text
	}
	if t.Password == "" {
		t.Password = d.password.Text
	}
	d.start(t, modes[d.mode.Selected])
}

// start examines a target, for instance the one that Connect just failed with.
func (d *doctorScreen) start(t client.Target, mode client.Mode) {
	d.facts.RemoveAll()
	d.lines, d.drawn, d.report, d.wrong = nil, nil, nil, ""
	d.found.ScrollToTop()
	d.w.app.Examine(t, mode, d.consent.Checked)
	d.refresh()
}

// examineTarget fills the fields and examines: the way here from another screen.
func (d *doctorScreen) examineTarget(t client.Target, mode client.Mode) {
	shown := t
	shown.User, shown.Password = "", ""
	d.address.SetText(shown.Shown())
	d.user.SetText(t.User)
	d.password.SetText(t.Password)
	d.mode.ShowSelected(max(0, slices.Index(modes, mode)))
	d.start(t, mode)
}

func (d *doctorScreen) refresh() {
	e := d.w.app.Examination()
	began := e.Running || e.Report != nil
	switch {
	case e.Running:
		d.button.Style = kit.Plain
		d.button.SetText("Cancel")
	case began:
		d.button.Style = kit.Primary
		d.button.SetText("Examine again")
	default:
		d.button.Style = kit.Primary
		d.button.SetText("Examine")
	}
	more := false
	for i, f := range e.Facts {
		if i == len(d.lines) {
			d.lines, more = append(d.lines, newFactLine()), true
			d.facts.Add(d.lines[i].object)
		}
		d.lines[i].show(f)
	}
	if more && e.Running {
		d.tried.ScrollToBottom()
	}
	d.sayLead(began)
	if began {
		d.note.SetText(asked(e.Target.Host))
	}
	if e.Report != d.report {
		d.report = e.Report
		d.showReport(e)
	}
	if e.Running {
		d.showProgress(e.Facts)
	}
	tried := e.Report != nil || e.Running && len(e.Facts) > 0
	kit.SetVisible(d.idle, !tried)
	kit.SetVisible(d.body, tried)
}

// asked says to whom an examination of a host talks.
func asked(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return "Nothing left this computer except to " + host + ". No outside service was asked."
	}
	return "Nothing left this computer except to " + host + ", and to the name server for its address. No other service was asked."
}

// sayLead says what is wrong with the address, or what will stand in the empty list.
func (d *doctorScreen) sayLead(began bool) {
	lead := kit.Span{Text: d.wrong, Color: kit.ColorBad}
	if d.wrong == "" && !began {
		lead = kit.Span{Text: "Each step appears here as soon as it is tried, with its outcome.", Color: kit.ColorMuted}
	}
	if d.lead.String() == lead.Text && d.lead.Visible() == (lead.Text != "") {
		return
	}
	d.lead.SetSpans(lead)
	kit.SetVisible(d.lead, lead.Text != "")
	d.list.Refresh()
}

// showProgress shows how far the channels came until now.
func (d *doctorScreen) showProgress(facts []doctor.Fact) {
	if slices.Equal(d.drawn, facts) || len(facts) == 0 {
		return
	}
	d.drawn = facts
	d.verdict.SetBorder("")
	d.side.SetSpans(kit.Span{Text: "Examining", Bold: true, Color: kit.ColorMuted})
	now := facts[len(facts)-1]
	for _, f := range facts {
		if f.Running {
			now = f
		}
	}
	d.title.SetText(plainArrows(now.Title()))
	d.words.SetText("What is wrong, and what to change, is said when all has been tried.")
	f, done := figureOfFacts(facts)
	d.figure.Show()
	d.picture.show(f, nil)
	d.picture.draw(done)
	d.fixBox.Hide()
	d.body.Refresh()
}

func (d *doctorScreen) showReport(e app.Examination) {
	r := e.Report
	if r == nil {
		return
	}
	color, head := kit.ColorBad, "Who has to act: "+sideWords(actor(r))
	switch {
	case r.Verdict == doctor.OK:
		color, head = kit.ColorGood, "All well"
	case r.Verdict == doctor.OKWithFault:
		color, head = kit.ColorWarn, "Works here, but not for everyone"
	case r.Verdict == doctor.Undecided:
		color, head = kit.ColorMuted, "Nothing was found out"
	}
	if r.Cancelled && r.Verdict != doctor.Undecided {
		head = "Cancelled: this is what the evidence so far allows. " + head
	}
	if accuses(r) {
		head += " · " + string(r.Confidence)
	}
	d.verdict.SetBorder(color)
	d.side.SetSpans(kit.Span{Text: head, Bold: true, Color: color})
	first, rest := firstSentence(r.Sentence)
	d.title.SetText(plainArrows(first))
	spans := []kit.Span{{Text: plainArrows(rest)}}
	if r.Verdict == doctor.OK && slices.ContainsFunc(r.Arrows, func(a doctor.Arrow) bool { return a.Mode == connlog.Active && !a.Works }) { // in the picture, too
		spans = append(spans, kit.Span{Text: " Active mode does not work, and is not needed."})
	}
	if r.Second != nil {
		spans = append(spans, kit.Span{Text: "\nAnd also: " + plainArrows(r.Second.Sentence)})
	}
	if r.Workaround != "" {
		spans = append(spans, kit.Span{Text: "\nWhat helps at once: ", Bold: true}, kit.Span{Text: plainArrows(r.Workaround)})
	}
	spans = append(spans, kit.Span{Text: "\nVerdict: " + string(r.Verdict) + ", examined in " + connlog.Took(time.Duration(r.Took)) + ".", Color: kit.ColorMuted})
	if page := pageOfVerdict(r.Verdict); page != "" {
		spans = append(spans, kit.Span{Text: " Read more", OnTap: func() { d.w.learn.open(page) }})
	}
	d.words.SetSpans(spans...)
	kit.SetVisible(d.figure, len(r.Arrows) > 0) // nothing was opened: there is nothing to draw
	d.picture.show(figureOfReport(r), nil)
	d.picture.draw(float32(len(r.Arrows)))
	d.showFixes(r)
	d.fixBox.Show()
	d.body.Refresh()
	d.found.ScrollToTop()
}

// actor is who does the first thing that a report advises: what is wrong at a server may be helped here.
func actor(r *doctor.Report) doctor.Side {
	if len(r.Fixes) > 0 {
		return r.Fixes[0].Side
	}
	return r.Side
}

// accuses says that a report names who has to act.
func accuses(r *doctor.Report) bool { return r.Problem() && r.Verdict != doctor.Undecided }

// firstSentence splits a text after its first sentence.
func firstSentence(s string) (first, rest string) {
	for i := 0; i+1 < len(s); i++ {
		switch {
		case s[i+1] != ' ':
		case s[i] == '.':
			return s[:i+1], s[i+2:]
		case s[i] == ':' && i > 24 && i+2 < len(s):
			return s[:i], connlog.Capital(s[i+2:])
		}
	}
	return s, ""
}

func sideWords(s doctor.Side) string {
	switch s {
	case doctor.ClientComputer:
		return "you, on this computer"
	case doctor.ClientNetwork:
		return "you, in your network"
	case doctor.ThePath:
		return "somebody on the way"
	case doctor.Nobody:
		return "nobody"
	}
	return "the " + string(s)
}

// figureOfEnds is the picture of both ends, without what is between them.
func figureOfEnds(facts []doctor.Fact) figure {
	f := figure{client: [2]string{"You", ""}, server: [2]string{"Server", ""}}
	for _, fact := range facts {
		if fact.Probe == doctor.ProbeControl && fact.To.IsValid() && f.client[1] == "" {
			f.server[1] = fact.To.Addr().Unmap().String()
			if fact.From.IsValid() {
				f.client[1] = fact.From.Addr().Unmap().String()
			}
		}
	}
	return f
}

// figureOfFacts is the picture of an examination that runs: each kind of channel as it was tried last. Where one stops is
// not known before the end. done is how much of it is to be drawn: half of a channel that is being opened.
func figureOfFacts(facts []doctor.Fact) (f figure, done float32) {
	f = figureOfEnds(facts)
	f.walls = []wall{{at: doctor.AtClientFirewall, name: "Your firewall"}, {at: doctor.AtServerFirewall, name: "Server's firewall"}}
	var opening []arrow // drawn last
	for _, c := range []struct {
		name   string
		by     connlog.Side
		probes []doctor.Probe
	}{
		{"control", connlog.Client, []doctor.Probe{doctor.ProbeControl}},
		{"data, passive", connlog.Client, []doctor.Probe{doctor.ProbeEPSV, doctor.ProbePASV, doctor.ProbeAdvertised}},
		{"data, active", connlog.Server, []doctor.Probe{doctor.ProbeActive}},
	} {
		fact := decisive(facts, c.probes)
		if fact == nil {
			continue
		}
		a := arrow{by: c.by, labels: []string{c.name}}
		if fact.Running {
			opening = append(opening, a)
			continue
		}
		if !fact.OK {
			a.stopped, a.at = true, doctor.OnTheWay
			a.labels = []string{c.name + " · " + string(fact.Outcome), c.name}
		}
		f.arrows = append(f.arrows, a)
	}
	done = float32(len(f.arrows)) + 0.5*float32(len(opening))
	f.arrows = append(f.arrows, opening...)
	return f, done
}

// decisive is the last fact of some probes; of the control channel, which may be tried at several addresses, the first that
// works.
func decisive(facts []doctor.Fact, probes []doctor.Probe) (last *doctor.Fact) {
	for i, fact := range facts {
		if !slices.Contains(probes, fact.Probe) {
			continue
		}
		last = &facts[i]
		if fact.OK && fact.Probe == doctor.ProbeControl {
			break
		}
	}
	return last
}

// figureOfReport is the picture of an examination: both ends, both firewalls, routers where something stopped, and
// each channel as far as it came.
func figureOfReport(r *doctor.Report) figure {
	f := figureOfEnds(r.Facts)
	routers := map[doctor.Place]bool{}
	for _, a := range r.Arrows {
		if !a.Works && (a.Stop == doctor.AtClientRouter || a.Stop == doctor.AtServerRouter) {
			routers[a.Stop] = true
		}
		label := plainArrows(a.Label)
		line := arrow{by: a.Initiator, labels: []string{label}, stopped: !a.Works, at: a.Stop}
		if !a.Works {
			line.labels = []string{label + " · stopped at " + a.Stops, label + " · stopped", string(a.Kind) + " · stopped"}
		}
		f.arrows = append(f.arrows, line)
	}
	f.walls = append(f.walls, wall{at: doctor.AtClientFirewall, name: "Your firewall"})
	if routers[doctor.AtClientRouter] {
		f.walls = append(f.walls, wall{at: doctor.AtClientRouter, name: "Your router", router: true})
	}
	if routers[doctor.AtServerRouter] {
		f.walls = append(f.walls, wall{at: doctor.AtServerRouter, name: "Server's router", router: true})
	}
	f.walls = append(f.walls, wall{at: doctor.AtServerFirewall, name: "Server's firewall"})
	return f
}

func (d *doctorScreen) showFixes(r *doctor.Report) {
	d.fixes.RemoveAll()
	switch {
	case len(r.Fixes) == 0 && r.Problem():
		d.fixes.Add(kit.NewMutedParagraph("Too little was found out to say what has to change: examine again."))
	case len(r.Fixes) == 0:
		d.fixes.Add(kit.NewMutedParagraph("Nothing has to change."))
	}
	for i, f := range r.Fixes {
		line := append([]kit.Span{{Text: strconv.Itoa(i+1) + ". ", Bold: true}}, coded(plainArrows(f.Text)+" ")...)
		d.fixes.Add(kit.NewFlowText(append(line, kit.Span{Text: "(" + sideWords(f.Side) + ")", Color: kit.ColorMuted})...))
		if len(f.Variants) > 0 {
			d.fixes.Add(d.variants(f))
		}
	}
	buttons := kit.HBox(kit.Gap)
	if accuses(r) {
		title := "Copy a report for the server's admin"
		if r.OwnSide() {
			title = "Copy report"
		}
		buttons.Add(kit.NewButton(title, func() { kit.Copy(d.fixes, r.ForAdmin()) }))
	}
	buttons.Add(kit.NewButton("Save report…", func() {
		d.w.saveLog("portside-report.txt", func(w io.Writer) error {
			_, err := io.WriteString(w, r.ForAdmin())
			return err
		})
	}))
	d.fixes.Add(buttons)
}

// coded is a text whose parts between backticks are typed, or go over the wire.
func coded(text string) (out []kit.Span) {
	for i, part := range strings.Split(text, "`") {
		if part != "" {
			out = append(out, kit.Span{Text: part, Mono: i%2 == 1})
		}
	}
	return out
}

// variants shows a fix for one system, with the choice of the others.
func (d *doctorScreen) variants(f doctor.Fix) fyne.CanvasObject {
	box := kit.VBox(4)
	var choose *kit.Select
	show := func(i int) {
		v := f.Variants[i]
		box.RemoveAll()
		for n, line := range strings.Split(v.Command, "\n") {
			if n == 0 && choose != nil {
				box.Add(kit.NewCodeLine(line, kit.FixedWidth(150, choose)))
				continue
			}
			box.Add(kit.NewCodeLine(line))
		}
		if v.Note != "" {
			note := coded(plainArrows(v.Note))
			for i := range note {
				note[i].Color = kit.ColorMuted
			}
			box.Add(kit.NewFlowText(note...))
		}
		d.fixes.Refresh()
	}
	if len(f.Variants) > 1 {
		names := make([]string, len(f.Variants))
		for i, v := range f.Variants {
			names[i] = v.Name
		}
		choose = kit.NewSelect(names, show)
		choose.ShowSelected(f.Chosen)
	}
	show(min(max(f.Chosen, 0), len(f.Variants)-1))
	return box
}

func (d *doctorScreen) view() fyne.CanvasObject { return d.object }
func (d *doctorScreen) shown(bool)              {}
func (d *doctorScreen) focus()                  { d.w.focusOn(d.address) }

func (d *doctorScreen) status() (left, right []string) {
	e := d.w.app.Examination()
	if e.Running {
		return []string{"Examining " + e.Target.Host}, nil
	}
	return nil, nil
}

func (d *doctorScreen) commands() []kit.Command {
	on := func() bool { return d.w.screen == "doctor" }
	return []kit.Command{
		{ID: "doctor.address", Title: "Address of the server to examine", Keys: []string{"Ctrl+L"}, Group: "Doctor", Enabled: on, Run: func() { kit.FocusOn(d.address) }},
		{ID: "doctor.examine", Title: "Examine", Keys: []string{"F5"}, Group: "Doctor", Enabled: on, Run: d.examine},
		{ID: "doctor.cancel", Title: "Cancel the examination", Keys: []string{"Escape"}, Group: "Doctor",
			Enabled: func() bool { return on() && d.w.app.Examination().Running }, Run: d.w.app.CancelExamination},
	}
}
