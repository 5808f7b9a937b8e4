package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portside/connlog"
	"portside/localserver"
)

// This file looks at the local server from inside: what on this computer, and as far as it answers on this network's
// router, would keep clients from either channel. Nothing is changed, no port of a running server is touched, no third
// party is asked: what a stranger on the internet would meet is judged from here, and the sentences say so.

// SelfState is what a finding means for the server's clients.
type SelfState string

const (
	SelfGood    SelfState = "good"
	SelfWarn    SelfState = "warn"    // some clients, or some day
	SelfBad     SelfState = "bad"     // clients can't connect, or can't get data
	SelfUnknown SelfState = "unknown" // it can't be seen from here, or not with these rights
)

// The findings, in the order of a report.
const (
	SelfAddresses   = "addresses"
	SelfListen      = "listen"
	SelfNAT         = "nat"
	SelfFirewall    = "firewall" // in place of the next two when nothing is known
	SelfControlPort = "control-port"
	SelfPassive     = "passive-ports"
	SelfIPv6        = "firewall-ipv6"
	SelfRouter      = "router"
	SelfPassiveIP   = "passive-ip"
	SelfRangeSize   = "range-size"
	SelfEphemeral   = "range-ephemeral"
	SelfBusy        = "range-busy"
	SelfPort20      = "port-20"
	SelfFiles       = "file-limit"
	SelfCertificate = "certificate"
	SelfFolder      = "folder"
)

// SelfFinding is one thing that was looked at.
type SelfFinding struct {
	ID       string    `json:"id"`
	State    SelfState `json:"state"`
	Sentence string    `json:"sentence"`
	Detail   string    `json:"detail,omitempty"` // the evidence, and what else there is to know
	Fix      string    `json:"fix,omitempty"`    // the line to type, exactly; empty when there is none
	Side     Side      `json:"side"`             // who has to act; [Nobody] when it is good
}

// SelfReport is all findings, in order.
type SelfReport struct {
	Findings []SelfFinding `json:"findings"`
	Took     Duration      `json:"seconds"`
	// Router is this network's, when it answers; it can be asked to forward the ports.
	Router *Router `json:"-"`
	// Forward are the ports that the router would have to send here, in order: the control port and the passive range.
	Forward []uint16 `json:"-"`
	// RouterNotAsked says that there is a router to be asked, and that [SelfEnv.FindRouter] was nil.
	RouterNotAsked bool `json:"-"`
	// Forwarded says that the router sends all of them here.
	Forwarded bool `json:"-"`
}

// Bad says whether a finding is [SelfBad].
func (r SelfReport) Bad() bool {
	return slices.ContainsFunc(r.Findings, func(f SelfFinding) bool { return f.State == SelfBad })
}

// SelfTarget is the server to look at.
type SelfTarget struct {
	Listen  netip.Addr // where it waits for clients; not valid or unspecified: everywhere
	Port    uint16     // of the control connection; 0: the system picks one
	Passive localserver.PassiveConfig
	Port20  bool // active data connections are to come from port 20
	Running bool // its ports are its own, not somebody else's
	Held    []uint16
	TLS     localserver.TLSMode
	// Certificate is what clients are shown; nil: CertFile (PEM) is read, and one that does not exist will be made.
	Certificate *x509.Certificate
	CertFile    string
	Root        string // the folder that is shared
	// People and FilesEach are how many people at once, moving how many files each at once. 0: the size of the range is
	// not judged.
	People, FilesEach int
}

// SelfEnv is everything that the check asks of the computer, so that a test can answer with what others printed.
type SelfEnv struct {
	OS      string // as runtime.GOOS
	Root    bool   // administrator rights
	Program string // path of this program, for firewalls that let in programs
	Now     func() time.Time
	// Run runs a command that only looks, and returns what it printed. A command that is not installed is an error that
	// wraps [exec.ErrNotFound].
	Run        func(ctx context.Context, name string, args ...string) (string, error)
	ReadFile   func(name string) ([]byte, error)
	Interfaces func() ([]SelfInterface, error) // that are up
	// Listen listens on a TCP port for a moment. Its error wraps [ErrPortTaken] or [fs.ErrPermission] where that is why.
	Listen     func(ctx context.Context, at netip.Addr, port uint16) error
	FileLimit  func() (open uint64, ok bool) // most open files of this program
	Resolve    func(ctx context.Context, host string) ([]netip.Addr, error)
	ReadFolder func(name string) error // says why a folder can't be read
	// FindRouter asks this network's router; nil: the router is not asked.
	FindRouter func(ctx context.Context, s RouterSearch) (*Router, error)
}

// ErrPortTaken says that a program listens on the port.
var ErrPortTaken = errors.New("the port is taken")

// selfTime bounds a whole check: commands answer at once, a router within [routerSearch] and some milliseconds a port.
const selfTime = 20 * time.Second

type selfCheck struct {
	ctx    context.Context
	t      SelfTarget
	env    SelfEnv
	report SelfReport

	interfaces []SelfInterface
	route      selfRoute
	lo, hi     int // the ports that passive data connections come to
	ephemeral  Ephemeral
	router     *Router
	routerErr  error
}

// CheckSelf looks at everything and says what is wrong, and what to type against it. It takes some milliseconds, and up
// to three seconds where a router is asked.
func CheckSelf(ctx context.Context, t SelfTarget, env SelfEnv) SelfReport {
	ctx, cancel := context.WithTimeout(ctx, selfTime)
	defer cancel()
	began := env.Now()
	c := &selfCheck{ctx: ctx, t: t, env: env}
	c.interfaces, _ = env.Interfaces()
	c.route = defaultRoute(ctx, env, c.interfaces)
	c.ephemeral = c.readEphemeral()
	c.lo, c.hi = int(t.Passive.Min), int(t.Passive.Max)
	if !t.Passive.UseRange {
		c.lo, c.hi = c.ephemeral.Min, c.ephemeral.Max
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if env.FindRouter != nil && c.behindNAT() && !c.loopbackOnly() {
			c.router, c.routerErr = env.FindRouter(ctx, RouterSearch{Gateway: c.route.gateway, Local: c.route.local.Addr()})
		}
	}()
	c.addresses()
	c.listen()
	fw := readFirewall(ctx, env, c.route.iface)
	<-asked
	c.nat()
	c.firewall(fw)
	c.mappings()
	c.passiveIP()
	c.rangeSize()
	c.rangeEphemeral()
	c.rangeBusy()
	c.port20()
	c.files()
	c.certificate()
	c.folder()
	c.report.Router = c.router
	c.report.Took = Duration(env.Now().Sub(began))
	return c.report
}

func (c *selfCheck) add(id string, state SelfState, side Side, fix, detail, format string, args ...any) {
	if state == SelfGood {
		side = Nobody
	}
	c.report.Findings = append(c.report.Findings, SelfFinding{id, state, fmt.Sprintf(format, args...), detail, fix, side})
}

func (c *selfCheck) loopbackOnly() bool { return c.t.Listen.IsLoopback() }

// own returns this computer's addresses that others could use, IPv4 first.
func (c *selfCheck) own() (all []netip.Addr, words []string) {
	for _, v4 := range []bool{true, false} {
		for _, i := range c.interfaces {
			if isVirtual(i.Name) {
				continue
			}
			for _, p := range i.Addresses {
				a := p.Addr().Unmap()
				k := KindOf(a)
				if a.Is4() != v4 || k == Loopback || k == Useless || k == LinkLocal && !v4 {
					continue
				}
				if a.IsLinkLocalUnicast() && len(all) > 0 {
					continue
				}
				all = append(all, a)
				kind := string(k)
				if isTunnel(i.Name) {
					kind = "in a VPN"
				}
				words = append(words, fmt.Sprintf("%s (%s, %s)", a, kind, i.Name))
			}
		}
	}
	return all, words
}

func (c *selfCheck) addresses() {
	all, words := c.own()
	switch {
	case len(all) == 0:
		c.add(SelfAddresses, SelfWarn, ServerComputer, "", "No interface that is up has an address other than loopback.",
			"This computer is in no network: only programs on it can connect.")
	case len(words) == 1:
		c.add(SelfAddresses, SelfGood, Nobody, "", "", "This computer is %s.", words[0])
	default:
		c.add(SelfAddresses, SelfGood, Nobody, "", strings.Join(words, "; ")+".", "This computer is %s, and has %s.", words[0],
			count(len(words)-1, "other address", "other addresses"))
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

// listen looks at the control port itself: whether it can be had, and on which address.
func (c *selfCheck) listen() {
	at := c.t.Listen
	mine := !at.IsValid() || at.IsUnspecified() || at.IsLoopback()
	for _, i := range c.interfaces {
		for _, p := range i.Addresses {
			mine = mine || p.Addr().Unmap() == at.Unmap()
		}
	}
	switch {
	case !mine:
		c.add(SelfListen, SelfBad, ServerSettings, "", "", "The server is to listen on %s, which is none of this computer's addresses.", at)
		return
	case c.loopbackOnly():
		c.add(SelfListen, SelfWarn, ServerSettings, "", "", "The server listens on %s: only programs on this computer can connect.", at)
		return
	case c.t.Running || c.t.Port == 0:
		return
	}
	err := c.env.Listen(c.ctx, at, c.t.Port)
	switch {
	case err == nil:
	case errors.Is(err, ErrPortTaken):
		who := c.holders()[int(c.t.Port)]
		if who == "" {
			who = "another program"
		}
		c.add(SelfListen, SelfBad, ServerComputer, "", "Stop that program, or choose another control port.", "Control port %d is taken by %s.", c.t.Port, who)
	case errors.Is(err, fs.ErrPermission):
		fix := ""
		if c.env.OS == "linux" {
			fix = fmt.Sprintf("sudo sysctl -w net.ipv4.ip_unprivileged_port_start=%d", c.t.Port)
		}
		c.add(SelfListen, SelfBad, ServerComputer, fix, "A port above 1023, such as 2121, needs no rights.", "Control port %d needs administrator rights.", c.t.Port)
	default:
		c.add(SelfListen, SelfBad, ServerComputer, "", err.Error(), "Control port %d can't be listened on.", c.t.Port)
	}
}

// behindNAT says that no IPv4 address of this computer is one of the internet's.
func (c *selfCheck) behindNAT() bool {
	for _, i := range c.interfaces {
		for _, p := range i.Addresses {
			if a := p.Addr().Unmap(); a.Is4() && KindOf(a) == Public {
				return false
			}
		}
	}
	return c.route.local.IsValid()
}

func (c *selfCheck) nat() {
	if c.loopbackOnly() || !c.route.local.IsValid() {
		return
	}
	kind := KindOf(c.route.local.Addr())
	outside := netip.Addr{}
	if c.router != nil {
		outside = c.router.External
	}
	switch {
	case !c.behindNAT():
		c.add(SelfNAT, SelfGood, Nobody, "", "", "This computer has a public address of its own: no router translates addresses before it.")
	case kind == Shared && !isTunnel(c.route.iface):
		c.add(SelfNAT, SelfWarn, ServerNetwork, "", "Ask the provider for a public IPv4 address, use IPv6, or a VPN.",
			"%s is shared by many customers of the provider (RFC 6598): nobody on the internet can reach this computer over IPv4, and no port forward helps.", c.route.local.Addr())
	case outside.IsValid() && KindOf(outside) != Public:
		c.add(SelfNAT, SelfWarn, ServerNetwork, "", fmt.Sprintf("The router says that its outside address is %s, %s. Either a second router stands before it, which needs the same port forward, or the provider translates addresses, and then no forward helps.", outside, KindOf(outside)),
			"There are two address translations between this computer and the internet.")
	default:
		detail := "This is judged from its address; the internet was not asked."
		if outside.IsValid() {
			detail = fmt.Sprintf("The router says that its outside address is %s.", outside)
		}
		c.add(SelfNAT, SelfGood, Nobody, "", detail+" Devices on this network are not concerned.",
			"This computer is behind a router that translates addresses: for people outside, the router must forward the ports, and Passive IP must be the router's outside address.")
	}
}

// firewall says whether the control port and the passive ports are let in.
func (c *selfCheck) firewall(f firewall) {
	if c.loopbackOnly() {
		return
	}
	control := int(c.t.Port)
	if f.ask == nil {
		passive := ""
		if c.t.Passive.UseRange {
			passive = " and passive ports " + portRange(c.lo, c.hi)
		}
		if f.state != fwOn {
			c.add(SelfFirewall, SelfUnknown, ServerComputer, f.see, connlog.Ended(f.why),
				"Whether a firewall on this computer lets control port %d%s in can't be seen.", control, passive)
			return
		}
		c.add(SelfFirewall, SelfUnknown, ServerComputer, f.see, connlog.Ended(f.why), "%s is on; whether it lets the server's ports in can't be seen.", f.name)
		if fix := f.allow(control, control, nil); fix != "" && control != 0 {
			c.add(SelfControlPort, SelfUnknown, ServerComputer, fix, "It does no harm when the port is open already.", "If control port %d is closed, this line opens it.", control)
		}
		if fix := f.allow(c.lo, c.hi, nil); fix != "" && c.t.Passive.UseRange {
			c.add(SelfPassive, SelfUnknown, ServerComputer, fix, "It does no harm when they are open already.", "If passive ports %s are closed, this line opens them.", portRange(c.lo, c.hi))
		}
		return
	}
	if control != 0 {
		c.ports(SelfControlPort, f, control, control, fmt.Sprintf("Control port %d is", control))
	}
	if c.t.Passive.UseRange {
		c.ports(SelfPassive, f, c.lo, c.hi, fmt.Sprintf("Passive ports %s are", portRange(c.lo, c.hi)))
	} else {
		c.ports(SelfPassive, f, c.lo, c.hi, fmt.Sprintf("The ports that the system picks for passive mode (%s) are", portRange(c.lo, c.hi)))
	}
}

// ports asks the firewall about ports for a client on this network and for one on the internet.
func (c *selfCheck) ports(id string, f firewall, lo, hi int, subject string) {
	near, far, _ := c.samples(false)
	inside := spans(lo, hi, f.cuts, func(p uint16) fwAnswer { near.port = p; return f.ask(near) })
	outside := spans(lo, hi, f.cuts, func(p uint16) fwAnswer { far.port = p; return f.ask(far) })
	v, span := worst(inside)
	w, farSpan := worst(outside)
	if v == fwOpen && w != fwOpen {
		span = farSpan
	}
	name := f.called(span.base)
	rule := "Decided by: " + span.rule + "."
	some := ""
	if v != fwOpen && len(inside) > 1 {
		some = strings.Join(badSpans(inside), ", ") + " of "
	}
	fix := f.allow(lo, hi, span.base)
	if id == SelfPassive && !c.t.Passive.UseRange {
		fix = ""
		rule += " Use a passive port range: then a few ports are enough."
	}
	subject = strings.Replace(subject, "ports ", "ports "+some, 1)
	switch {
	case v == fwClosed:
		c.add(id, SelfBad, ServerComputer, fix, rule, "%s closed (%s).", subject, name)
	case v == fwUnsure:
		c.add(id, SelfUnknown, ServerComputer, fix, rule, "Whether %s open depends on a rule that can't be judged (%s).", strings.ToLower(subject[:1])+subject[1:], name)
	case w == fwClosed:
		c.add(id, SelfWarn, ServerComputer, fix, rule+" For a server on the local network that is as it should be.", "%s open to this network only (%s).", subject, name)
	case w == fwUnsure:
		c.add(id, SelfUnknown, ServerComputer, fix, rule, "%s open to this network; for others it depends on a rule that can't be judged (%s).", subject, name)
	case f.state == fwOff:
		c.add(id, SelfGood, Nobody, "", "No firewall refuses connections on this computer: "+span.rule+".", "%s open: no firewall is on.", subject)
	default:
		c.add(id, SelfGood, Nobody, "", rule, "%s open (%s).", subject, name)
	}
	// IPv6 has rules of its own, which are easily forgotten.
	near6, _, iface := c.samples(true)
	if iface == "" || v != fwOpen || !c.t.Passive.UseRange && id == SelfPassive || c.t.Listen.Is4() && !c.t.Listen.IsUnspecified() {
		return
	}
	six, span6 := worst(spans(lo, hi, f.cuts, func(p uint16) fwAnswer { near6.port = p; return f.ask(near6) }))
	if six == fwClosed {
		c.add(SelfIPv6, SelfWarn, ServerComputer, f.allow(lo, hi, span6.base), "Decided by: "+span6.rule+".", "Over IPv6, %s closed (%s).",
			strings.ToLower(subject[:1])+subject[1:], f.called(span6.base))
	}
}

// samples returns the first packets of a client on this network and of one on the internet. The interface is "" when
// this computer has no address of that family.
func (c *selfCheck) samples(v6 bool) (near, far fwPacket, iface string) {
	local := c.route.local
	if v6 {
		local = netip.Prefix{}
		for _, i := range c.interfaces {
			for _, p := range i.Addresses {
				if k := KindOf(p.Addr()); i.Name == c.route.iface && p.Addr().Is6() && !p.Addr().Is4In6() && (k == Public || k == Unique) && !local.IsValid() {
					local = p
				}
			}
		}
		if !local.IsValid() {
			return near, far, ""
		}
	}
	if !local.IsValid() {
		local = netip.MustParsePrefix("192.168.1.20/24") // this computer is in no network yet
	}
	near = fwPacket{from: neighbour(local), to: local.Addr(), in: c.route.iface}
	far = near
	far.from = strangerV4
	if v6 {
		far.from = strangerV6
	}
	return near, far, c.route.iface
}

func worst(all []fwSpan) (fwVerdict, fwSpan) {
	for _, v := range []fwVerdict{fwClosed, fwUnsure} {
		for _, s := range all {
			if s.verdict == v {
				return v, s
			}
		}
	}
	if len(all) == 0 {
		return fwOpen, fwSpan{}
	}
	return fwOpen, all[0]
}

func badSpans(all []fwSpan) (out []string) {
	v, _ := worst(all)
	for _, s := range all {
		if s.verdict == v {
			out = append(out, s.String())
		}
	}
	if len(out) > 4 {
		out = append(out[:4], "…")
	}
	return out
}

// mappings says whether the router sends the ports here.
func (c *selfCheck) mappings() {
	if c.loopbackOnly() || !c.behindNAT() || !c.route.gateway.IsValid() {
		return
	}
	if c.env.FindRouter == nil {
		c.report.RouterNotAsked = true
		return
	}
	words := fmt.Sprint(c.t.Port)
	if c.t.Port != 0 {
		c.report.Forward = append(c.report.Forward, c.t.Port)
	}
	if c.t.Passive.UseRange {
		words += ", " + portRange(c.lo, c.hi)
		for p := c.lo; p <= c.hi; p++ {
			c.report.Forward = append(c.report.Forward, uint16(p))
		}
	}
	manual := fmt.Sprintf("For people outside: in the router at %s, forward TCP %s to %s, the same numbers on both sides.", c.route.gateway, words, c.route.local.Addr())
	switch {
	case c.router == nil:
		c.add(SelfRouter, SelfUnknown, ServerNetwork, "", manual, "Whether the router forwards %s can't be seen: it answers neither UPnP nor NAT-PMP.", words)
		return
	case c.router.igd == nil:
		c.add(SelfRouter, SelfUnknown, ServerNetwork, "", manual+" Or let Portside ask it.", "The router answers %s, which does not tell what is forwarded.", c.router.Protocol())
		return
	}
	// The ends and the middle stand for a long range: each question is a round trip.
	ports := c.report.Forward
	if len(ports) > 130 {
		ports = append(slices.Clone(ports[:60]), ports[len(ports)-60:]...)
	}
	var missing, elsewhere []uint16
	known := true
	for _, m := range c.router.Mappings(c.ctx, ports) {
		known = known && m.Known
		switch {
		case m.To == c.route.local.Addr():
		case m.To.IsValid():
			elsewhere = append(elsewhere, m.Port)
		default:
			missing = append(missing, m.Port)
		}
	}
	switch {
	case len(elsewhere) > 0:
		c.add(SelfRouter, SelfWarn, ServerNetwork, "", manual, "The router forwards port %d to another computer.", elsewhere[0])
	case len(missing) == 0:
		c.report.Forwarded = true
		c.add(SelfRouter, SelfGood, Nobody, "", "", "The router forwards %s to this computer.", words)
	case !known:
		c.add(SelfRouter, SelfUnknown, ServerNetwork, "", manual, "The router does not say whether it forwards %s.", words)
	case len(missing) == len(ports):
		c.add(SelfRouter, SelfWarn, ServerNetwork, "", manual, "Router: no mapping for %s.", words)
	default:
		c.add(SelfRouter, SelfWarn, ServerNetwork, "", manual, "The router forwards some of %s, but not port %d.", words, missing[0])
	}
}

// passiveIP looks at the address that a 227 reply names.
func (c *selfCheck) passiveIP() {
	ip := c.t.Passive.IP
	outside := netip.Addr{}
	if c.router != nil && KindOf(c.router.External) == Public {
		outside = c.router.External
	}
	switch ip.Mode {
	case localserver.PassiveFixed:
		a, err := netip.ParseAddr(ip.Value)
		a = a.Unmap()
		switch {
		case err != nil || a.Is6():
			c.add(SelfPassiveIP, SelfBad, ServerSettings, "", "", "Passive IP %q is not an IPv4 address.", ip.Value)
		case KindOf(a) != Public:
			c.add(SelfPassiveIP, SelfWarn, ServerSettings, outsideText(outside), "", "Passive IP %s is %s: people on the internet can't reach it.", a, kindWords(KindOf(a)))
		case outside.IsValid() && outside != a:
			c.add(SelfPassiveIP, SelfBad, ServerSettings, outside.String(), "The router says that this is its outside address. If it changes, use a host name that follows it.",
				"Passive IP %s is not the router's outside address %s: people outside are told an address that leads elsewhere.", a, outside)
		default:
			c.add(SelfPassiveIP, SelfGood, Nobody, "", "", "Passive IP: people outside are told %s.", a)
		}
	case localserver.PassiveHost:
		found, err := c.env.Resolve(c.ctx, ip.Value)
		found = slices.DeleteFunc(found, func(a netip.Addr) bool { return !a.Unmap().Is4() })
		switch {
		case err != nil || len(found) == 0:
			detail := ""
			if err != nil {
				detail = err.Error()
			}
			c.add(SelfPassiveIP, SelfBad, ServerSettings, "", detail, "Passive IP: the name %s has no IPv4 address.", ip.Value)
		case outside.IsValid() && found[0].Unmap() != outside:
			c.add(SelfPassiveIP, SelfBad, ServerSettings, "", "The name must be brought up to date: at the provider of the dynamic name, or in the router.",
				"Passive IP: %s is %s, but the router's outside address is %s.", ip.Value, found[0].Unmap(), outside)
		case KindOf(found[0]) != Public:
			c.add(SelfPassiveIP, SelfWarn, ServerSettings, "", "", "Passive IP: %s is %s, %s: people on the internet can't reach it.", ip.Value, found[0].Unmap(), kindWords(KindOf(found[0])))
		default:
			c.add(SelfPassiveIP, SelfGood, Nobody, "", "", "Passive IP: people outside are told %s, the address of %s.", found[0].Unmap(), ip.Value)
		}
	default:
		if !c.behindNAT() || c.loopbackOnly() {
			c.add(SelfPassiveIP, SelfGood, Nobody, "", "", "Passive IP is automatic: everyone is told the address that they came to.")
			return
		}
		detail := "For them, set Passive IP to the router's outside address or to its name. On this network nothing is to be done, and clients that use EPSV are not concerned."
		c.add(SelfPassiveIP, SelfWarn, ServerSettings, outsideText(outside), detail,
			"Passive IP is automatic: people outside are told %s, which they can't reach.", c.route.local.Addr())
	}
}

func outsideText(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return ""
}

func kindWords(k AddressKind) string {
	switch k {
	case Private, Shared, LinkLocal, Loopback:
		return "a " + string(k) + " address"
	}
	return string(k) + " address"
}

func (c *selfCheck) rangeSize() {
	if !c.t.Passive.UseRange {
		if c.behindNAT() {
			c.add(SelfRangeSize, SelfWarn, ServerSettings, "", "", "No passive port range is set: through a firewall or a router nobody knows which ports to open.")
		}
		return
	}
	have := c.hi - c.lo + 1
	if c.t.People <= 0 {
		return
	}
	need, why := PortsNeeded(c.t.People, c.t.FilesEach)
	if have >= need {
		c.add(SelfRangeSize, SelfGood, Nobody, "", why, "%s are enough for %s moving %s each.", count(have, "passive port", "passive ports"),
			count(c.t.People, "person", "people"), count(max(c.t.FilesEach, 1), "file", "files"))
		return
	}
	lo, hi := SuggestRange(c.lo, need, int(c.t.Port), c.ephemeral)
	c.add(SelfRangeSize, SelfWarn, ServerSettings, portRange(lo, hi), why, "%s are too few for %s moving %s each: about %d are needed.",
		count(have, "passive port", "passive ports"), count(c.t.People, "person", "people"), count(max(c.t.FilesEach, 1), "file", "files"), need)
}

func (c *selfCheck) rangeEphemeral() {
	if !c.t.Passive.UseRange {
		return
	}
	port, taken := c.ephemeral.taken(c.lo, c.hi)
	system := portRange(c.ephemeral.Min, c.ephemeral.Max)
	if !taken {
		c.add(SelfEphemeral, SelfGood, Nobody, "", "The system's own connections come from "+system+".", "The passive range is clear of the ports that the system uses for its own connections.")
		return
	}
	fix := ""
	if c.env.OS == "linux" {
		list := portRange(c.lo, c.hi)
		if c.ephemeral.Reserved != "" {
			list = c.ephemeral.Reserved + "," + list
		}
		fix = "sudo sysctl -w net.ipv4.ip_local_reserved_ports=" + list
	}
	c.add(SelfEphemeral, SelfWarn, ServerSettings, fix, "21100-21199 is free of that on Linux, Windows and macOS.",
		"The passive range holds port %d and others that the system uses for its own connections (%s): one that is taken can't be offered.", port, system)
}

func (c *selfCheck) rangeBusy() {
	if !c.t.Passive.UseRange {
		return
	}
	busy, ok := c.busyPorts(c.lo, c.hi)
	switch {
	case !ok:
		return
	case len(busy) == 0:
		c.add(SelfBusy, SelfGood, Nobody, "", "", "No other program uses a port of the passive range.")
		return
	}
	who := c.holders()
	var words []string
	for _, p := range busy {
		if name := who[p]; name != "" {
			words = append(words, fmt.Sprintf("%d by %s", p, name))
		} else {
			words = append(words, fmt.Sprint(p))
		}
		if len(words) == 5 && len(busy) > 5 {
			words = append(words, "…")
			break
		}
	}
	state := SelfWarn
	if len(busy) == c.hi-c.lo+1 {
		state = SelfBad
	}
	c.add(SelfBusy, state, ServerComputer, "", "Portside offers the others. A firewall lets clients through to that program, though.",
		"%s of the passive range %s used by other programs: %s.", count(len(busy), "port", "ports"), map[bool]string{true: "is", false: "are"}[len(busy) == 1], strings.Join(words, ", "))
}

// port20 says whether active data connections can come from port 20 where that is asked for.
func (c *selfCheck) port20() {
	if !c.t.Port20 {
		c.add(SelfPort20, SelfGood, Nobody, "", "Port 20 is not asked for. Few firewalls still insist on it.", "Active mode: data connections come from any port of this computer.")
		return
	}
	err := c.env.Listen(c.ctx, c.t.Listen, 20)
	if err == nil {
		c.add(SelfPort20, SelfGood, Nobody, "", "", "Active mode: data connections come from port 20.")
		return
	}
	fix := ""
	if c.env.OS == "linux" && errors.Is(err, fs.ErrPermission) && c.env.Program != "" {
		fix = "sudo setcap cap_net_bind_service=+ep '" + strings.ReplaceAll(c.env.Program, "'", `'\''`) + "'"
	}
	c.add(SelfPort20, SelfWarn, ServerComputer, fix, err.Error(), "Active mode: port 20 can't be used, so data connections come from another port.")
}

// files judges the limit of open files: each session has a control connection, each transfer a data connection and a file.
func (c *selfCheck) files() {
	limit, ok := c.env.FileLimit()
	if !ok {
		return
	}
	people, each := max(c.t.People, 1), max(c.t.FilesEach, 1)
	need := uint64(64 + people*(1+2*each) + min(c.hi-c.lo+1, people*each))
	if limit >= need {
		c.add(SelfFiles, SelfGood, Nobody, "", fmt.Sprintf("About %d are needed.", need), "This program may have %d files and connections open at once.", limit)
		return
	}
	c.add(SelfFiles, SelfBad, ServerComputer, fmt.Sprintf("ulimit -n %d", need*2), "Type it in the terminal that Portside is started from, or raise the limit for the user.",
		"This program may have only %d files and connections open at once; %s moving %s each need about %d.", limit,
		count(people, "person", "people"), count(each, "file", "files"), need)
}

// certificateSoon is how long before its end a certificate is warned of.
const certificateSoon = 30 * 24 * time.Hour

func (c *selfCheck) certificate() {
	if c.t.TLS == "" || c.t.TLS == localserver.TLSOff {
		c.add(SelfCertificate, SelfWarn, ServerSettings, "", "", "TLS is off: names, passwords and files go over the network in clear.")
		return
	}
	cert := c.t.Certificate
	if cert == nil && c.t.CertFile != "" {
		text, err := c.env.ReadFile(c.t.CertFile)
		if err == nil {
			for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
				if block.Type == "CERTIFICATE" {
					cert, err = x509.ParseCertificate(block.Bytes)
					break
				}
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.add(SelfCertificate, SelfBad, ServerComputer, "", err.Error(), "The certificate %s can't be read.", c.t.CertFile)
			return
		}
	}
	if cert == nil {
		c.add(SelfCertificate, SelfGood, Nobody, "", "Clients ask once whether to trust it.", "Portside makes a TLS certificate for this computer's names and addresses when it starts.")
		return
	}
	now := c.env.Now()
	self := bytes.Equal(cert.RawIssuer, cert.RawSubject)
	remove := ""
	if self && c.t.CertFile != "" {
		remove = "rm '" + strings.ReplaceAll(c.t.CertFile, "'", `'\''`) + "'"
		if c.env.OS == "windows" {
			remove = `del "` + c.t.CertFile + `"`
		}
	}
	again := ""
	if remove != "" {
		again = "Without the file Portside makes a new one when sharing starts; clients then ask again whether to trust it."
	}
	until := cert.NotAfter.Format(time.DateOnly)
	switch {
	case now.After(cert.NotAfter):
		c.add(SelfCertificate, SelfBad, ServerSettings, remove, again, "The TLS certificate ended on %s.", until)
		return
	case now.Before(cert.NotBefore):
		c.add(SelfCertificate, SelfBad, ServerComputer, "", "This computer's clock may be wrong.", "The TLS certificate is valid from %s on only.", cert.NotBefore.Format(time.DateOnly))
		return
	case cert.NotAfter.Sub(now) < certificateSoon:
		c.add(SelfCertificate, SelfWarn, ServerSettings, remove, again, "The TLS certificate ends on %s.", until)
		return
	}
	var uncovered []string
	covered := false
	for _, name := range c.reachedBy() {
		if cert.VerifyHostname(name) == nil {
			covered = true
		} else {
			uncovered = append(uncovered, name)
		}
	}
	switch {
	case len(uncovered) > 0 && !self && !covered:
		c.add(SelfCertificate, SelfWarn, ServerSettings, "", "Clients that use these are warned: "+strings.Join(uncovered, ", ")+".", "The TLS certificate is for %s, which is none of this server's names and addresses.",
			strings.Join(append(slices.Clone(cert.DNSNames), ipStrings(cert)...), ", "))
	case len(uncovered) > 0 && self && c.route.local.IsValid() && slices.Contains(uncovered, c.route.local.Addr().String()):
		c.add(SelfCertificate, SelfWarn, ServerSettings, remove, again, "The TLS certificate was made when this computer had other addresses: it does not name %s.", c.route.local.Addr())
	case self:
		c.add(SelfCertificate, SelfGood, Nobody, "", "It is signed by itself, so clients ask once whether to trust it.", "The TLS certificate is valid until %s and names this computer.", until)
	default:
		c.add(SelfCertificate, SelfGood, Nobody, "", "", "The TLS certificate is valid until %s.", until)
	}
}

// reachedBy returns the names and addresses that clients connect to.
func (c *selfCheck) reachedBy() []string {
	var out []string
	if c.route.local.IsValid() {
		out = append(out, c.route.local.Addr().String())
	}
	if v := c.t.Passive.IP.Value; v != "" && (c.t.Passive.IP.Mode == localserver.PassiveFixed || c.t.Passive.IP.Mode == localserver.PassiveHost) {
		out = append(out, v)
	}
	return out
}

func ipStrings(cert *x509.Certificate) (out []string) {
	for _, a := range cert.IPAddresses {
		out = append(out, a.String())
	}
	return out
}

func (c *selfCheck) folder() {
	if c.t.Root == "" {
		return
	}
	if err := c.env.ReadFolder(c.t.Root); err != nil {
		c.add(SelfFolder, SelfBad, ServerComputer, "", err.Error(), "The folder %s can't be read.", c.t.Root)
		return
	}
	c.add(SelfFolder, SelfGood, Nobody, "", "", "The folder %s can be read.", c.t.Root)
}
