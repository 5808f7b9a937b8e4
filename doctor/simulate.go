package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portside/connlog"
	"portside/wire"
)

// Setup is an FTP client and an FTP server with what stands between them, for [Simulate]. The way is: client, its
// firewall, its router, the internet, the server's router, its firewall, server. A switch of something that isn't there
// ([Setup.RangeOpen] without [Setup.ServerFirewall]) has no effect; [Switch.Matters] says which have one.
type Setup struct {
	Mode connlog.Mode
	EPSV bool // passive mode is asked for with EPSV, whose reply names a port and no address
	TLS  bool // both channels are protected, so nothing on the way can read the commands

	ClientFirewall  bool // lets everything out and nothing in
	ClientStrict    bool // lets only the ports 21, 80, 443 and 990 out
	ClientNAT       bool // a router shares one public address and lets nothing in
	ActiveOpen      bool // the client's firewall lets its active ports in
	ActiveForwarded bool // the client's router forwards its active ports, and the client names the public address

	ServerFirewall bool // lets port 21 in and everything out
	ServerStrict   bool // lets nothing out that the server itself opens
	ServerNAT      bool // a router has the public address and forwards port 21
	RangeSet       bool // the server waits at 21100–21199 only; else at any free port
	RangeOpen      bool // the server's firewall lets 21100–21199 in
	RangeForwarded bool // the server's router forwards 21100–21199
	PassiveIP      bool // the server's 227 reply names the public address; else the server's own

	Helper bool // the routers read FTP's commands (an "FTP helper" or ALG), mend addresses and open ports
}

// Place is where something is on the way from the client to the server.
type Place int

// The places, in their order.
const (
	AtClient Place = iota
	AtClientFirewall
	AtClientRouter
	OnTheWay
	AtServerRouter
	AtServerFirewall
	AtServer
)

// String is the place in words: "the server's firewall".
func (p Place) String() string {
	return [...]string{
		"the client", "the client's firewall", "the client's router", "the internet",
		"the server's router", "the server's firewall", "the server",
	}[p]
}

// The addresses and ports of every run. An end behind a router has a private address, and its router the public one.
var (
	simClient        = netip.MustParseAddr("198.51.100.7")
	simClientPrivate = netip.MustParseAddr("192.168.1.7")
	simServer        = netip.MustParseAddr("203.0.113.5")
	simServerPrivate = netip.MustParseAddr("10.0.0.4")
	simClientRouter  = netip.MustParseAddr("198.51.100.1")
	simInternet      = netip.MustParseAddr("192.0.2.1")
	simServerRouter  = netip.MustParseAddr("203.0.113.1")
)

const (
	simControlFrom = 51812
	simControlTo   = 21
	simDataFrom    = 51813
	simActiveFrom  = 20
	simActiveTo    = 50210 // of the client's active ports 50210–50219
	simInRange     = 21107
	simAnyPort     = 40731
	simOtherPort   = 34518 // at other times
	simThirdPort   = 52260
	simRange       = "21100–21199"
	simActive      = "50210–50219"
)

// ClientAddr is the address of the client's computer.
func (s Setup) ClientAddr() netip.Addr {
	if s.ClientNAT {
		return simClientPrivate
	}
	return simClient
}

// ClientPublic is the address that the server sees the client come from.
func (s Setup) ClientPublic() netip.Addr { return simClient }

// ServerAddr is the address of the server's computer.
func (s Setup) ServerAddr() netip.Addr {
	if s.ServerNAT {
		return simServerPrivate
	}
	return simServer
}

// ServerPublic is the address that the client dials.
func (s Setup) ServerPublic() netip.Addr { return simServer }

func (s Setup) passivePort() uint16 {
	if s.RangeSet {
		return simInRange
	}
	return simAnyPort
}

// StepKind tells the steps of a run apart.
type StepKind int

// The kinds of steps.
const (
	ControlOpens StepKind = iota // the control channel is opened
	Said                         // a command or a reply goes over the control channel
	DataOpens                    // the data channel is dialled
)

// Step is one thing that happens in a run.
type Step struct {
	Kind StepKind
	By   connlog.Side   // who dials, or who speaks
	From netip.AddrPort // the dialler's end, as the dialler knows it
	To   netip.AddrPort // what it dials
	Line string         // Said: the line
	// Stopped says that it doesn't get farther than At. Otherwise At is the other end.
	Stopped bool
	At      Place
	Word    string // Stopped: what happens there, in two words: "Dropped here"
	Text    string // the step as a sentence
}

// Change is one way to make a run go better: what Doctor's verdict says has to be done, and the switches that stand for
// it.
type Change struct {
	Text  string // what to do, in Doctor's words: "Let the passive range in on the server's computer."
	Line  string // the line to type for it, where there is one
	Short string // for a button beside the place: "Let 21100–21199 in"
	At    Place  // where it is done
	Apply func(Setup) Setup
}

// Run is what happens in a [Setup].
type Run struct {
	Setup   Setup
	Steps   []Step
	Works   bool   // the data channel stands
	Stop    Place  // where the data channel stops; AtClient or AtServer at its head when it works
	Story   string // what happens, and why
	Report         // what Doctor says of it, asked at the client
	Advice  string // which mode to choose here
	Changes []Change
}

// Simulate plays a listing through a setup. What its packets meet is in simulatenet.go, and what that means is for
// Doctor's rules to say: the run's verdict, sentence and changes are those of [Judge]. The tests hold every setup to what
// real servers, routers and firewalls do, and the verdicts to those of an examination there.
func Simulate(s Setup) Run {
	r := simulate(s)
	for _, c := range r.candidates() {
		after := simulate(c.Apply(s))
		// Going over to passive mode is a step ahead even if the server's side has to change next: that side has to do
		// it once, for everybody. Another way round it has to work at once.
		onward := after.Verdict != r.Verdict && (after.Setup.Mode == s.Mode || after.Works ||
			after.Setup.Mode == connlog.Passive && after.Stop != AtClientFirewall)
		if onward {
			r.Changes = append(r.Changes, c)
		}
	}
	return r
}

func simulate(s Setup) Run {
	r := Run{Setup: s, Report: Judge(s.evidence())}
	control := "The client opens the control channel, from its port 51812 to the server's port 21, and signs in."
	if s.TLS {
		control = "The client opens the control channel, from its port 51812 to the server's port 21. TLS protects it, and the client signs in."
	}
	r.Steps = append(r.Steps, Step{
		Kind: ControlOpens, By: connlog.Client, At: AtServer, Text: control,
		From: netip.AddrPortFrom(s.ClientAddr(), simControlFrom), To: netip.AddrPortFrom(s.ServerPublic(), simControlTo),
	})
	if s.Mode == connlog.Active {
		r.active()
	} else {
		r.passive()
	}
	r.Advice = advice(r)
	return r
}

func (r *Run) say(by connlog.Side, line, text string) {
	at := AtServer
	if by == connlog.Server {
		at = AtClient
	}
	r.Steps = append(r.Steps, Step{Kind: Said, By: by, Line: line, At: at, Text: text})
}

// ends adds the data channel to the run: d arrives at its head, or stops at a place.
func (r *Run) ends(d Step, at Place) {
	r.Stop, r.Works = at, at == d.At
	if !r.Works {
		d.Stopped, d.At, d.Word = true, at, "Dropped here"
		d.Text = strings.Replace(d.Text, "opens the data channel", "tries to open the data channel", 1)
		switch {
		case at == AtServer:
			d.Word = "Refused"
		case at == OnTheWay:
			d.Word = "Leads nowhere"
			d.Text += " Nobody is there."
		default:
			d.Text += " It stops at " + at.String() + "."
		}
		outward := at == AtClientFirewall && d.By == connlog.Client || at == AtServerFirewall && d.By == connlog.Server
		switch {
		case outward:
			d.Word = "Not let out"
		case at == AtServerRouter:
			d.Word = "Not forwarded"
		}
	}
	r.Steps = append(r.Steps, d)
}

func (r *Run) passive() {
	s := r.Setup
	o, stop := s.offer(s.passivePort())
	if o.Command == "EPSV" {
		r.say(connlog.Client, "EPSV", "The client asks for passive mode: EPSV.")
		r.say(connlog.Server, "229 "+wire.Format229(o.Port),
			fmt.Sprintf("The server names the port where it waits: %d. An EPSV reply has no address, so the client takes the one it already talks to.", o.Port))
	} else {
		text := fmt.Sprintf("The server names the place where it waits: %s, port %d.", o.Advertised.Addr(), o.Port)
		switch {
		case s.ServerNAT && s.rewritten():
			text += fmt.Sprintf(" It wrote its own address, %s; the helper in its router read along and put the public one there.", s.ServerAddr())
		case s.ServerNAT && s.PassiveIP:
			text += " That is its Passive IP, the public address of its router."
		case s.ServerNAT:
			text += " That is its own, private address: its Passive IP isn't set."
		}
		r.say(connlog.Client, "PASV", "The client asks for passive mode: PASV.")
		r.say(connlog.Server, "227 "+wire.Format227(o.Advertised), text)
	}
	d := Step{Kind: DataOpens, By: connlog.Client, At: AtServer, From: netip.AddrPortFrom(s.ClientAddr(), simDataFrom), To: o.Dialled}
	d.Text = fmt.Sprintf("The client opens the data channel too, from its port %d to %s.", simDataFrom, o.Dialled)
	r.ends(d, stop)

	const both = "In passive mode the client opens both channels: to its own firewall they are outbound, to the firewall on the server's side inbound. "
	const hangs = " Signing in works, and then every listing hangs."
	wall := map[Place]string{AtServerRouter: "router", AtServerFirewall: "firewall"}[stop]
	switch {
	case stop == AtClientFirewall:
		r.Story = fmt.Sprintf("%sThis firewall at the client lets only the ports 21, 80, 443 and 990 out. The control channel goes to port 21, so it passes; the data channel goes to port %d, so it never leaves.%s", both, o.Port, hangs)
	case stop == OnTheWay:
		r.Story = fmt.Sprintf("The server's 227 reply names %s, a private address, which means nothing outside the server's own network: the data channel is dialled to nowhere.%s", o.Advertised.Addr(), hangs)
	case wall != "" && !s.RangeSet:
		r.Story = fmt.Sprintf("%sThe server has no passive range: it waits at any free port, this time at %d. Its %s can't know that port, so it drops the data channel.", both, o.Port, wall)
		if s.RangeOpen && s.ServerFirewall || s.RangeForwarded && s.ServerNAT {
			r.Story += " The ports " + simRange + " don't help while the server waits elsewhere."
		}
		r.Story += hangs
	case stop == AtServerRouter:
		r.Story = fmt.Sprintf("%sThe server's router forwards port 21, but not port %d, so it doesn't know which computer the data channel is for and drops it.%s", both, o.Port, hangs)
	case stop == AtServerFirewall:
		r.Story = fmt.Sprintf("%sThe data channel arrives at port %d, which the server's firewall doesn't let in, so it is dropped.%s", both, o.Port, hangs)
	case s.helped() && !(s.RangeSet && s.RangeForwarded):
		r.Story = fmt.Sprintf("%sNobody told the server's router about port %d: its FTP helper read the reply and opened it. With TLS it couldn't read it.", both, o.Port)
	case s.ServerFirewall || s.ServerNAT:
		r.Story = fmt.Sprintf("%sThe server's side lets in port 21 and the passive range %s, so both arrive.", both, simRange)
	default:
		r.Story = both + "Nothing on the server's side stops them, so both arrive."
	}
}

func (r *Run) active() {
	s := r.Setup
	a, told, stop := s.activeTry()
	ask := fmt.Sprintf("The client asks for active mode and names the place where it waits: %s, port %d.", a.Announced.Addr(), a.Announced.Port())
	if told != a.Announced.Addr() {
		ask += fmt.Sprintf(" The helper in its router reads along and puts the public address %s there.", told)
	}
	r.say(connlog.Client, "PORT "+wire.FormatPort(a.Announced), ask)
	r.say(connlog.Server, a.Answer.String(), "The server agrees.")
	d := Step{Kind: DataOpens, By: connlog.Server, At: AtClient, From: netip.AddrPortFrom(s.ServerAddr(), simActiveFrom), To: netip.AddrPortFrom(told, a.Announced.Port())}
	d.Text = fmt.Sprintf("The server dials back and opens the data channel, from its port %d to %s.", simActiveFrom, d.To)
	if a.refused() {
		r.Steps[len(r.Steps)-1].Text = "The server says no: it sees the client at another address, and a private one it could not dial."
		d.Text = "Nothing is dialled: there is no data channel."
	}
	r.ends(d, stop)

	const apart = "In active mode the channels start at opposite sides: the client opens the control channel, and the server dials back and opens the data channel. "
	switch {
	case stop == AtServer:
		r.Story = fmt.Sprintf("In active mode the client tells the server where to dial back to. This client names %s, a private address behind its router: the server sees another one and can't use it.", a.Announced.Addr())
	case stop == AtServerFirewall:
		r.Story = apart + "To the server's firewall that is outbound, and this one lets nothing out that the server itself opens."
	case stop == AtClientFirewall:
		r.Story = apart + "To the client's firewall that is inbound, and most firewalls and home routers stop that. Signing in works, and then every listing hangs."
	case told != a.Announced.Addr():
		r.Story = apart + "The FTP helper in the client's router read the command and let the server in. With TLS it couldn't read it."
	case s.ClientFirewall || s.ClientNAT:
		r.Story = apart + "The client's side lets it in at the ports " + simActive + ", so it arrives. Every client would have to do that."
	default:
		r.Story = apart + "Nothing on the client's side stops it, so it arrives. Few clients stand in the open like this."
	}
}

func advice(r Run) string {
	s := r.Setup
	switch {
	case s.Mode == connlog.Passive && r.Stop == AtClientFirewall:
		return "Neither, until this firewall changes: it stops passive mode on the way out and active mode on the way in."
	case s.Mode == connlog.Passive:
		return "Passive, nearly always: you control your server's firewall, but not the firewall of everyone who visits it."
	case r.Works:
		return "Passive, nearly always. Active works here because this client lets the server in; the next client may not."
	}
	return "Passive, nearly always: it asks only the server's side to let something in. Active mode asks that of everyone who visits."
}

// candidates are the fixes of the verdict, and what helps at once, as far as the setup has a switch for them that isn't
// there yet. What the server's side has to do is one change: half of it would only move the stop.
func (r Run) candidates() []Change {
	var out []Change
	var side []Remedy // of the server
	at := -1
	fixes := r.Fixes
	if r.remedy != "" && !slices.ContainsFunc(fixes, func(f Fix) bool { return f.Remedy == r.remedy }) {
		fixes = append(slices.Clone(fixes), Fix{Side: ClientComputer, Text: r.Workaround, Remedy: r.remedy})
	}
	for _, f := range fixes {
		change, known := remedies[f.Remedy]
		if !known {
			continue
		}
		after := r.Setup
		change.apply(&after)
		if after == r.Setup {
			continue
		}
		c := Change{Text: f.Text, Short: change.short, At: places[f.Side], Apply: func(s Setup) Setup { change.apply(&s); return s }}
		if f.Remedy == OpenRange && len(f.Variants) > 0 {
			c.Line = f.Variants[f.Chosen].Command
		}
		switch {
		case f.Side != ServerNetwork && f.Side != ServerComputer && f.Side != ServerSettings:
			out = append(out, c)
			continue
		case at < 0:
			at, out = len(out), append(out, c)
		default:
			out[at].Text += " " + c.Text
			out[at].Line = cmp.Or(out[at].Line, c.Line)
			if (f.Remedy == OpenRange || f.Remedy == ForwardRange) && out[at].Short != remedies[SetRange].short {
				out[at].Short = "Open " + simRange
			}
		}
		side = append(side, f.Remedy)
		all := slices.Clone(side)
		out[at].Apply = func(s Setup) Setup {
			for _, id := range all {
				remedies[id].apply(&s)
			}
			return s
		}
	}
	return out
}

// remedies say which switches of a setup a fix turns. A wall that isn't there needs nothing.
var remedies = map[Remedy]struct {
	short string
	apply func(*Setup)
}{
	UsePassive:         {"Use passive mode", func(s *Setup) { s.Mode = connlog.Passive }},
	UseActive:          {"Use active mode", func(s *Setup) { s.Mode = connlog.Active }},
	UseEPSV:            {"Ask with EPSV", func(s *Setup) { s.EPSV = true }},
	SetRange:           {"Set a range and open it", func(s *Setup) { s.RangeSet = true }},
	OpenRange:          {"Let " + simRange + " in", func(s *Setup) { s.RangeOpen = s.RangeOpen || s.ServerFirewall }},
	ForwardRange:       {"Forward " + simRange, func(s *Setup) { s.RangeForwarded = s.RangeForwarded || s.ServerNAT }},
	SetPassiveIP:       {"Set the Passive IP", func(s *Setup) { s.PassiveIP = s.PassiveIP || s.ServerNAT }},
	LetClientOut:       {"Let it out", func(s *Setup) { s.ClientStrict = false }},
	LetServerOut:       {"Let it out", func(s *Setup) { s.ServerStrict = false }},
	OpenActivePorts:    {"Let " + simActive + " in", func(s *Setup) { s.ActiveOpen = s.ActiveOpen || s.ClientFirewall }},
	ForwardActivePorts: {"Forward " + simActive, func(s *Setup) { s.ActiveForwarded = s.ActiveForwarded || s.ClientNAT }},
}

// Switch is one setting of a [Setup] that a person can turn on and off.
type Switch struct {
	ID    string // "client-nat"
	Title string
	Tip   string
	At    Place
	// Field is where the setting is kept.
	Field func(*Setup) *bool
	// Matters says whether the switch has an effect beside the others.
	Matters func(Setup) bool
}

// Switches are all settings but the mode, in the order of the way from the client to the server.
func Switches() []Switch {
	always := func(Setup) bool { return true }
	passive := func(s Setup) bool { return s.Mode == connlog.Passive }
	return []Switch{
		{"client-firewall", "Firewall at the client", "It lets everything out and nothing in.", AtClientFirewall,
			func(s *Setup) *bool { return &s.ClientFirewall }, always},
		{"server-firewall", "Firewall at the server", "It lets port 21 in and everything out.", AtServerFirewall,
			func(s *Setup) *bool { return &s.ServerFirewall }, always},
		{"client-nat", "Client behind NAT", "A router shares one public address and lets nothing in by itself.", AtClientRouter,
			func(s *Setup) *bool { return &s.ClientNAT }, always},
		{"server-nat", "Server behind NAT", "A router has the public address. It forwards port 21 to the server.", AtServerRouter,
			func(s *Setup) *bool { return &s.ServerNAT }, always},
		{"tls", "TLS", "FTPS: both channels are protected, and nothing on the way can read the commands.", AtClient,
			func(s *Setup) *bool { return &s.TLS }, always},

		{"epsv", "EPSV instead of PASV", "The reply to EPSV names a port and no address.", AtClient,
			func(s *Setup) *bool { return &s.EPSV }, passive},
		{"range", "Passive range set", "The server waits at 21100–21199 only. Without it: at any free port.", AtServer,
			func(s *Setup) *bool { return &s.RangeSet }, passive},
		{"range-open", "Range let in", "The server's firewall lets 21100–21199 in.", AtServerFirewall,
			func(s *Setup) *bool { return &s.RangeOpen }, func(s Setup) bool { return passive(s) && s.ServerFirewall }},
		{"range-forwarded", "Range forwarded", "The server's router forwards 21100–21199 to the server.", AtServerRouter,
			func(s *Setup) *bool { return &s.RangeForwarded }, func(s Setup) bool { return passive(s) && s.ServerNAT }},
		{"passive-ip", "Passive IP set", "The server tells clients the public address instead of its own.", AtServer,
			func(s *Setup) *bool { return &s.PassiveIP }, func(s Setup) bool { return passive(s) && s.ServerNAT }},
		{"client-strict", "Client's firewall is strict", "It lets only the ports 21, 80, 443 and 990 out.", AtClientFirewall,
			func(s *Setup) *bool { return &s.ClientStrict }, func(s Setup) bool { return passive(s) && s.ClientFirewall }},

		{"active-open", "Active ports let in", "The client's firewall lets 50210–50219 in.", AtClientFirewall,
			func(s *Setup) *bool { return &s.ActiveOpen }, func(s Setup) bool { return !passive(s) && s.ClientFirewall }},
		{"active-forwarded", "Active ports forwarded", "The client's router forwards 50210–50219, and the client names its public address.", AtClientRouter,
			func(s *Setup) *bool { return &s.ActiveForwarded }, func(s Setup) bool { return !passive(s) && s.ClientNAT }},
		{"server-strict", "Server's firewall is strict", "It lets nothing out that the server itself opens.", AtServerFirewall,
			func(s *Setup) *bool { return &s.ServerStrict }, func(s Setup) bool { return !passive(s) && s.ServerFirewall }},

		{"helper", "Routers help with FTP", "They read the commands, mend addresses and open ports by themselves (an FTP helper, or ALG).", OnTheWay,
			func(s *Setup) *bool { return &s.Helper },
			func(s Setup) bool { return passive(s) && s.ServerNAT || !passive(s) && s.ClientNAT }},
	}
}
