package doctor

import (
	"fmt"
	"net/netip"
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
)

const (
	simControlFrom = 51812
	simControlTo   = 21
	simDataFrom    = 51813
	simActiveFrom  = 20
	simActiveTo    = 50210 // of the client's active ports 50210–50219
	simInRange     = 21107
	simAnyPort     = 40731
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

// Change is one way to make a run go better: a thing to change in reality, and the switches that stand for it.
type Change struct {
	Text  string // what to do, to go on a sentence: "let 21100–21199 in at the server's firewall"
	Short string // for a button beside the place: "Let 21100–21199 in"
	At    Place  // where it is done
	Apply func(Setup) Setup
}

// Run is what happens in a [Setup].
type Run struct {
	Setup   Setup
	Steps   []Step
	Verdict Verdict // as [Examine] would give it, knowing both sides
	Works   bool    // the data channel stands
	Stop    Place   // where the data channel stops; AtClient or AtServer at its head when it works
	Story   string  // what happens, and why
	Advice  string  // which mode to choose here
	Changes []Change
}

// Simulate plays a listing through a setup. It is the table of outcomes in one place: the Learn screen draws it, and its
// tests hold every combination to what real servers, routers and firewalls do.
func Simulate(s Setup) Run {
	r := simulate(s)
	for _, c := range candidates(r) {
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
	r := Run{Setup: s, Verdict: OK, Works: true}
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

// blocked ends the run: the data channel d stops at a place.
func (r *Run) blocked(d Step, at Place, v Verdict, word, story string) {
	d.Stopped, d.At, d.Word = true, at, word
	d.Text = strings.Replace(d.Text, "opens the data channel", "tries to open the data channel", 1)
	switch at {
	case AtServer:
	case OnTheWay:
		d.Text += " Nobody is there."
	default:
		d.Text += " It stops at " + at.String() + "."
	}
	r.Steps = append(r.Steps, d)
	r.Works, r.Verdict, r.Stop, r.Story = false, v, at, story
}

func (r *Run) arrived(d Step, story string) {
	r.Steps = append(r.Steps, d)
	r.Stop, r.Story = d.At, story
}

// helps says that the router of the server's side carries a passive data channel by itself. It looks only at replies that
// name the server's own address: one that names another (a Passive IP) is none of its business, and what TLS hides it
// can't read.
func (s Setup) helps() bool {
	return s.Helper && s.ServerNAT && !s.TLS && (s.EPSV || !s.PassiveIP)
}

func (r *Run) passive() {
	s := r.Setup
	port := s.passivePort()
	dialled := netip.AddrPortFrom(s.ServerPublic(), port)
	if s.EPSV {
		r.say(connlog.Client, "EPSV", "The client asks for passive mode: EPSV.")
		r.say(connlog.Server, "229 "+wire.Format229(port),
			fmt.Sprintf("The server names the port where it waits: %d. An EPSV reply has no address, so the client takes the one it already talks to.", port))
	} else {
		named := s.ServerAddr()
		if s.PassiveIP || s.helps() {
			named = s.ServerPublic()
		}
		dialled = netip.AddrPortFrom(named, port)
		text := fmt.Sprintf("The server names the place where it waits: %s, port %d.", named, port)
		switch {
		case s.ServerNAT && s.helps():
			text += fmt.Sprintf(" It wrote its own address, %s; the helper in its router read along and put the public one there.", s.ServerAddr())
		case s.ServerNAT && s.PassiveIP:
			text += " That is its Passive IP, the public address of its router."
		case s.ServerNAT:
			text += " That is its own, private address: its Passive IP isn't set."
		}
		r.say(connlog.Client, "PASV", "The client asks for passive mode: PASV.")
		r.say(connlog.Server, "227 "+wire.Format227(dialled), text)
	}

	d := Step{Kind: DataOpens, By: connlog.Client, At: AtServer, From: netip.AddrPortFrom(s.ClientAddr(), simDataFrom), To: dialled}
	d.Text = fmt.Sprintf("The client opens the data channel too, from its port %d to %s.", simDataFrom, dialled)
	const both = "In passive mode the client opens both channels: to its own firewall they are outbound, to the firewall on the server's side inbound. "
	const hangs = " Signing in works, and then every listing hangs."
	switch {
	case s.ClientFirewall && s.ClientStrict:
		r.blocked(d, AtClientFirewall, ClientFirewallOutbound, "Not let out",
			fmt.Sprintf("%sThis firewall at the client lets only the ports 21, 80, 443 and 990 out. The control channel goes to port 21, so it passes; the data channel goes to port %d, so it never leaves.%s", both, port, hangs))
	case dialled.Addr().IsPrivate():
		r.blocked(d, OnTheWay, blind(s, ServerPassiveIP), "Leads nowhere",
			fmt.Sprintf("The server's 227 reply names %s, a private address, which means nothing outside the server's own network: the data channel is dialled to nowhere.%s%s", dialled.Addr(), blindStory(s), hangs))
	case s.ServerNAT && !s.helps() && !(s.RangeSet && s.RangeForwarded):
		why := fmt.Sprintf("The server's router forwards port 21, but not port %d, so it doesn't know which computer the data channel is for and drops it.", port)
		if !s.RangeSet {
			why = fmt.Sprintf("The server has no passive range: it waits at any free port, this time at %d. Its router can't know that port, so it drops the data channel.", port)
			if s.RangeForwarded {
				why += " Forwarding " + simRange + " doesn't help while the server waits elsewhere."
			}
		}
		r.blocked(d, AtServerRouter, blind(s, ServerForwardPassive), "Not forwarded", both+why+blindStory(s)+hangs)
	case s.ServerFirewall && !(s.RangeSet && s.RangeOpen):
		why := fmt.Sprintf("The data channel arrives at port %d, which the server's firewall doesn't let in, so it is dropped.", port)
		if !s.RangeSet {
			why = fmt.Sprintf("The server has no passive range: it waits at any free port, this time at %d. Its firewall can't know that port, so it drops the data channel.", port)
			if s.RangeOpen {
				why += " Letting " + simRange + " in doesn't help while the server waits elsewhere."
			}
		}
		r.blocked(d, AtServerFirewall, ServerFirewallPassive, "Dropped here", both+why+hangs)
	default:
		story := both
		switch {
		case s.helps() && !(s.RangeSet && s.RangeForwarded):
			story += fmt.Sprintf("Nobody told the server's router about port %d: its FTP helper read the reply and opened it. With TLS it couldn't read it.", port)
		case s.ServerFirewall || s.ServerNAT:
			story += fmt.Sprintf("The server's side lets in port 21 and the passive range %s, so both arrive.", simRange)
		default:
			story += "Nothing on the server's side stops them, so both arrive."
		}
		if s.ServerNAT && s.EPSV && !s.PassiveIP && !s.helps() {
			r.Verdict = OKWithFault
			story += fmt.Sprintf(" It works because EPSV names no address. A client that asks with PASV would be told %s, a private address, and fail.", s.ServerAddr())
		}
		r.arrived(d, story)
	}
}

// blind turns a verdict into the one that names the cause: a helper that would have carried the channel without TLS.
func blind(s Setup, v Verdict) Verdict {
	plain := s
	plain.TLS = false
	if s.TLS && plain.helps() {
		return ALGBlindTLS
	}
	return v
}

func blindStory(s Setup) string {
	if blind(s, OK) == ALGBlindTLS {
		return " Without TLS the router's FTP helper would have read the reply and helped; TLS hides it."
	}
	return ""
}

func (r *Run) active() {
	s := r.Setup
	rewritten := s.ClientNAT && s.Helper && !s.TLS && !s.ActiveForwarded
	named := s.ClientAddr()
	if s.ActiveForwarded {
		named = s.ClientPublic()
	}
	told := named
	if rewritten {
		told = s.ClientPublic()
	}
	at := netip.AddrPortFrom(told, simActiveTo)
	ask := fmt.Sprintf("The client asks for active mode and names the place where it waits: %s, port %d.", named, simActiveTo)
	if rewritten {
		ask += fmt.Sprintf(" The helper in its router reads along and puts the public address %s there.", told)
	}
	r.say(connlog.Client, "PORT "+wire.FormatPort(netip.AddrPortFrom(named, simActiveTo)), ask)

	d := Step{Kind: DataOpens, By: connlog.Server, At: AtClient, From: netip.AddrPortFrom(s.ServerAddr(), simActiveFrom), To: at}
	if told != s.ClientPublic() {
		r.say(connlog.Server, "500 Illegal PORT command.", "The server says no: it sees the client at another address, and a private one it could not dial.")
		d.Text = "Nothing is dialled: there is no data channel."
		v, story := ClientNATActive, ""
		if s.TLS && s.Helper {
			v, story = ALGBlindTLS, " Without TLS the router's FTP helper would have put the public address there; TLS hides the command."
		}
		r.blocked(d, AtServer, v, "Refused",
			fmt.Sprintf("In active mode the client tells the server where to dial back to. This client names %s, a private address behind its router: the server sees another one and can't use it.%s", named, story))
		return
	}
	r.say(connlog.Server, "200 PORT command successful.", "The server agrees.")
	d.Text = fmt.Sprintf("The server dials back and opens the data channel, from its port %d to %s.", simActiveFrom, at)
	const apart = "In active mode the channels start at opposite sides: the client opens the control channel, and the server dials back and opens the data channel. "
	switch {
	case s.ServerFirewall && s.ServerStrict:
		r.blocked(d, AtServerFirewall, ServerEgressActive, "Not let out",
			apart+"To the server's firewall that is outbound, and this one lets nothing out that the server itself opens.")
	case s.ClientFirewall && !s.ActiveOpen:
		r.blocked(d, AtClientFirewall, ClientFirewallActive, "Dropped here",
			apart+"To the client's firewall that is inbound, and most firewalls and every home router stop that. Signing in works, and then every listing hangs.")
	default:
		story := apart
		switch {
		case rewritten:
			story += "The FTP helper in the client's router read the command and let the server in. With TLS it couldn't read it."
		case s.ClientFirewall || s.ClientNAT:
			story += "The client's side lets it in at the ports " + simActive + ", so it arrives. Every client would have to do that."
		default:
			story += "Nothing on the client's side stops it, so it arrives. Few clients stand in the open like this."
		}
		r.arrived(d, story)
	}
}

func advice(r Run) string {
	s := r.Setup
	switch {
	case s.Mode == connlog.Passive && r.Verdict == ClientFirewallOutbound:
		return "Neither, until this firewall changes: it stops passive mode on the way out and active mode on the way in."
	case s.Mode == connlog.Passive:
		return "Passive, nearly always: you control your server's firewall, but not the firewall of everyone who visits it."
	case r.Works:
		return "Passive, nearly always. Active works here because this client lets the server in; the next client may not."
	}
	return "Passive, nearly always: it asks only the server's side to let something in. Active mode asks that of everyone who visits."
}

// candidates are the changes that a person would think of, the best one first. [Simulate] keeps those that help.
func candidates(r Run) []Change {
	s := r.Setup
	set := func(text, short string, at Place, change func(*Setup)) Change {
		return Change{Text: text, Short: short, At: at, Apply: func(s Setup) Setup { change(&s); return s }}
	}
	passive := set("use passive mode", "Use passive mode", AtClient, func(s *Setup) { s.Mode = connlog.Passive })
	active := set("use active mode", "Use active mode", AtClient, func(s *Setup) { s.Mode = connlog.Active })
	passiveIP := set(fmt.Sprintf("set the server's Passive IP to %s", s.ServerPublic()), "Set the Passive IP", AtServer,
		func(s *Setup) { s.PassiveIP = true })
	epsv := set("ask with EPSV, whose reply names no address", "Ask with EPSV", AtClient, func(s *Setup) { s.EPSV = true })
	forwardActive := set("forward "+simActive+" in the client's router, and let the client name its public address", "Forward "+simActive,
		AtClientRouter, func(s *Setup) { s.ActiveForwarded = true })

	// The range is opened wherever the server's side has a wall: half of it would only move the stop.
	var parts []string
	if !s.RangeSet {
		parts = append(parts, "give the server the passive range "+simRange)
	}
	if s.ServerNAT && !(s.RangeForwarded && s.RangeSet) {
		parts = append(parts, "forward "+simRange+" in its router")
	}
	if s.ServerFirewall && !(s.RangeOpen && s.RangeSet) {
		parts = append(parts, "let "+simRange+" in at its firewall")
	}
	if blind(s, OK) == ALGBlindTLS && !s.PassiveIP && !s.EPSV {
		parts = append(parts, "set its Passive IP")
	}
	text := strings.Join(parts, ", ")
	if !strings.Contains(text, "the server") {
		text = strings.Replace(text, "its ", "the server's ", 1)
	}
	if i := strings.LastIndex(text, ", "); i >= 0 {
		text = text[:i] + ", and " + text[i+2:]
	}
	short := "Let " + simRange + " in"
	if !s.RangeSet {
		short = "Set a range and open it"
	}
	openRange := set(text, short, r.Stop, func(n *Setup) {
		n.RangeSet = true
		n.RangeForwarded = n.RangeForwarded || s.ServerNAT
		n.RangeOpen = n.RangeOpen || s.ServerFirewall
		n.PassiveIP = n.PassiveIP || blind(s, OK) == ALGBlindTLS && !s.EPSV
	})

	switch r.Verdict {
	case OKWithFault:
		return []Change{passiveIP}
	case ClientFirewallOutbound:
		return []Change{set("let the client's connections out", "Let it out", AtClientFirewall, func(s *Setup) { s.ClientStrict = false }), active}
	case ServerPassiveIP:
		return []Change{passiveIP, epsv, active}
	case ServerForwardPassive, ServerFirewallPassive:
		return []Change{openRange, active}
	case ClientNATActive:
		return []Change{passive, forwardActive}
	case ClientFirewallActive:
		return []Change{passive, set("let "+simActive+" in at the client's firewall", "Let "+simActive+" in", AtClientFirewall, func(s *Setup) { s.ActiveOpen = true })}
	case ServerEgressActive:
		return []Change{passive, set("let the server's own connections out", "Let it out", AtServerFirewall, func(s *Setup) { s.ServerStrict = false })}
	case ALGBlindTLS:
		if s.Mode == connlog.Active {
			return []Change{passive, forwardActive}
		}
		return []Change{openRange, active}
	}
	return nil
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
