package doctor

import (
	"fmt"
	"slices"
	"strings"

	"portside/client"
	"portside/connlog"
)

// Fix is one thing to change, by one side.
type Fix struct {
	Side     Side      `json:"side"`
	Text     string    `json:"text"`
	Variants []Variant `json:"variants,omitempty"` // the same for different systems; empty when the text says it all
	Chosen   int       `json:"chosen"`             // the variant that the evidence suggests
	Remedy   Remedy    `json:"-"`                  // what it does, when Learn can show that; else empty
}

// Remedy names what a fix does, for [Simulate] to do it in a picture.
type Remedy string

// The remedies that a [Setup] has a switch for.
const (
	UsePassive         Remedy = "use-passive"
	UseActive          Remedy = "use-active"
	UseEPSV            Remedy = "use-epsv"
	SetRange           Remedy = "set-range"
	OpenRange          Remedy = "open-range"    // in the firewall of the server's computer
	ForwardRange       Remedy = "forward-range" // in the router before it
	SetPassiveIP       Remedy = "set-passive-ip"
	LetClientOut       Remedy = "let-client-out"
	LetServerOut       Remedy = "let-server-out"
	OpenActivePorts    Remedy = "open-active-ports"    // in the firewall of the client's computer
	ForwardActivePorts Remedy = "forward-active-ports" // in the client's router
)

func (f Fix) does(r Remedy) Fix {
	f.Remedy = r
	return f
}

// Variant is a fix for one system: lines to type or a setting to make, ready to be copied.
type Variant struct {
	Name    string `json:"name"` // "ufw", "vsftpd", "Router"
	Command string `json:"command"`
	Note    string `json:"note,omitempty"`
}

// fixes says what to change, by whom, most useful first.
func (e *Evidence) fixes(r Report) []Fix {
	out := e.fixesFor(r.Finding)
	if r.Second != nil {
		for _, f := range e.fixesFor(*r.Second) {
			if !slices.ContainsFunc(out, func(o Fix) bool { return o.Text == f.Text }) {
				out = append(out, f)
			}
		}
	}
	if e.mode() == client.ModeActive && e.Passive.tried() && !e.Passive.moved() && len(out) > 1 { // that way is no better
		out = slices.DeleteFunc(out, func(f Fix) bool { return f.Remedy == UsePassive })
	}
	if e.OnLink || e.Peer.Addr().IsLoopback() { // no router stands between
		if here := slices.DeleteFunc(slices.Clone(out), func(f Fix) bool { return f.Side == ServerNetwork }); len(here) > 0 {
			out = here
		}
	}
	if out == nil {
		out = []Fix{}
	}
	if len(out) > 0 { // what it was the other choice to is gone
		if rest, ok := strings.CutPrefix(out[0].Text, "Or "); ok {
			out[0].Text = connlog.Capital(rest)
		}
	}
	return out
}

// fixesFor says what to change because of one finding.
func (e *Evidence) fixesFor(f Finding) []Fix {
	if fixes := verdicts[f.Verdict].fixes; fixes != nil {
		return fixes(e, f)
	}
	return nil
}

func (e *Evidence) advice(side Side, text string) Fix { return Fix{Side: side, Text: e.fill(text)} }

// setting is a change of the server's settings, in the words of the software that runs there.
func (e *Evidence) setting(text string, table []Variant) Fix {
	return e.choice(ServerSettings, text, table, string(e.Software))
}

// choice builds a fix from a table of variants, the one named first being chosen when it is there.
func (e *Evidence) choice(side Side, text string, table []Variant, prefer ...string) Fix {
	f := Fix{Side: side, Text: e.fill(text), Variants: make([]Variant, 0, len(table))}
	real := e.filler()
	for _, v := range table {
		if e.v6() {
			v = v.forIPv6()
		}
		f.Variants = append(f.Variants, Variant{v.Name, real.Replace(v.Command), real.Replace(v.Note)})
	}
	for _, p := range prefer {
		if i := slices.IndexFunc(f.Variants, func(v Variant) bool { return v.Name == p }); i >= 0 {
			f.Chosen = i
			return f
		}
	}
	if len(prefer) > 0 && prefer[0] != "" { // another server's line must not seem to be for this one
		f.Variants = slices.Insert(f.Variants, 0, Variant{Name: prefer[0], Command: "Look for this setting in the manual of " + prefer[0]})
	}
	return f
}

// firewallChoice is the firewall that a server's software suggests.
func (e *Evidence) firewallChoice() string {
	switch e.Software {
	case IIS, FileZillaServer:
		return "Windows Defender Firewall"
	}
	return "ufw"
}

// withRange puts the setting of the passive range behind the first fix for it, or before it when the server has no range
// yet: a firewall that is opened for ports that the server doesn't use lets nobody in.
func (e *Evidence) withRange(first Fix, more ...Fix) []Fix {
	lo, hi, known := e.proposal()
	text := fmt.Sprintf("Set the server's passive range to %d–%d, the same as in firewall and router.", lo, hi)
	if known {
		text = fmt.Sprintf("Check that the server's passive range is %d–%d (seen: %s); firewall, router and server have to name the same one.", lo, hi, portList(e.Passive.offered()))
	}
	setting := e.setting(text, setRange).does(SetRange)
	if known {
		return append([]Fix{first, setting}, more...)
	}
	return append([]Fix{setting, first}, more...)
}

// proposal is the passive range that the fixes name. known says that the offers seen all lie in it; else the server seems
// to use any port, and a range has to be set first.
//
// A server's range is seen in part only, so it is widened to whole hundreds; firewall, router and server setting are
// then given the same one.
func (e *Evidence) proposal() (lo, hi int, known bool) {
	ports := e.Passive.offered()
	for _, o := range []Offer{e.Comparison.EPSV, e.Comparison.PASV} {
		if o.Port != 0 {
			ports = append(ports, o.Port)
		}
	}
	if len(ports) == 0 {
		return 21100, 21199, false
	}
	lo, hi = int(slices.Min(ports)), int(slices.Max(ports))
	if hi-lo > 2000 || lo < 1024 { // no range of its own, or one that is no passive range
		return 21100, 21199, false
	}
	return lo / 100 * 100, min(hi/100*100+99, 65535), true
}

// filler puts the real ports and addresses into a template.
func (e *Evidence) filler() *strings.Replacer {
	lo, hi, _ := e.proposal()
	a := e.active().Announced
	inside := "SERVER"
	for _, o := range []Offer{e.Passive.PASV, e.Passive.Advertised, e.Comparison.PASV} {
		if ip := o.Advertised.Addr(); ip.IsValid() && private(ip) && !ip.IsLoopback() && ip != e.Peer.Addr() {
			inside = ip.String()
		}
	}
	if private(e.Peer.Addr()) {
		inside = e.Peer.Addr().String()
	}
	public := e.Peer.Addr().String()
	if a := e.Passive.Advertised.Advertised.Addr(); private(e.Peer.Addr()) && a.IsValid() && !private(a) {
		public = a.String()
	}
	activePort := "50210"
	if a.Port() != 0 {
		activePort = itoa(int(a.Port()))
	}
	return strings.NewReplacer(
		"{lo}", itoa(lo), "{hi}", itoa(hi), "{port}", itoa(int(e.Target.ControlPort())), "{public}", public, "{inside}", inside,
		"{host}", e.Target.Host, "{user}", e.Target.User, "{path}", connlog.Printable(e.Target.Path), "{active}", activePort, "{client}", e.Local.Addr().String(),
	)
}

// fill puts the real ports and addresses into a template.
func (e *Evidence) fill(s string) string {
	if !strings.Contains(s, "{") {
		return s
	}
	return e.filler().Replace(s)
}

// overIPv6 is what stands in place of lines for IPv4, by their begin: routers don't translate addresses there (RFC 4864).
var overIPv6 = []struct{ begin, instead, note string }{
	{"Forward TCP {port} to {inside}:{port}\nForward", "Let TCP {lo}-{hi} in to {public}", "In the router's firewall for IPv6, which forwards nothing but has to let it through."},
	{"Forward TCP {port}", "Let TCP {port} in to {public}", "In the router's firewall for IPv6, which forwards nothing but has to let it through."},
	{"sudo nft add rule ip nat prerouting", "sudo nft insert rule inet filter forward ip6 daddr {public} tcp dport { {port}, {lo}-{hi} } accept", "On a Linux router; see `nft list ruleset` for the names of table and chain."},
	{"sudo iptables -t nat", "sudo ip6tables -I FORWARD -p tcp -d {public} -m multiport --dports {port},{lo}:{hi} -j ACCEPT", "On a Linux router. " + afterRestart},
}

// forIPv6 is the variant for a server that is reached by IPv6.
func (v Variant) forIPv6() Variant {
	for _, o := range overIPv6 {
		if strings.HasPrefix(v.Command, o.begin) {
			return Variant{strings.Replace(v.Name, "iptables", "ip6tables", 1), o.instead, o.note}
		}
	}
	if strings.HasPrefix(v.Command, "sudo iptables ") {
		v.Name, v.Command = "ip6tables", strings.Replace(v.Command, "iptables", "ip6tables", 1)
	}
	v.Command = strings.Replace(v.Command, " ip saddr ", " ip6 saddr ", 1)
	return v
}
