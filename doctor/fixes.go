package doctor

import (
	"cmp"
	"errors"
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

// Arrow is a channel of the examination as a picture shows it.
type Arrow struct {
	Kind      connlog.ChannelKind `json:"channel"`
	Mode      connlog.Mode        `json:"mode,omitempty"`
	Initiator connlog.Side        `json:"initiator"`
	Label     string              `json:"label"`
	Works     bool                `json:"works"`
	Stop      Place               `json:"-"` // where it stops, when it doesn't work
	Stops     string              `json:"stops_at,omitempty"`
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

// overIPv6 is what stands in place of lines for IPv4, by their begin: routers don't translate addresses there (RFC 4864).
var overIPv6 = []struct{ begin, instead, note string }{
	{"Forward TCP {port} to {inside}:{port}\nForward", "Let TCP {lo}-{hi} in to {public}", "In the router's firewall for IPv6, which forwards nothing but has to let it through."},
	{"Forward TCP {port}", "Let TCP {port} in to {public}", "In the router's firewall for IPv6, which forwards nothing but has to let it through."},
	{"sudo nft add rule ip nat prerouting", "sudo nft insert rule inet filter forward ip6 daddr {public} tcp dport { {port}, {lo}-{hi} } accept", "On a Linux router; see `nft list ruleset` for the names of table and chain."},
	{"sudo iptables -t nat", "sudo ip6tables -I FORWARD -p tcp -d {public} -m multiport --dports {port},{lo}:{hi} -j ACCEPT", "On a Linux router."},
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

func (e *Evidence) advice(side Side, text string) Fix { return Fix{Side: side, Text: e.fill(text)} }

// firewallChoice is the firewall that a server's software suggests.
func (e *Evidence) firewallChoice() string {
	switch e.Software {
	case IIS, FileZillaServer:
		return "Windows Defender Firewall"
	}
	return "ufw"
}

var openRange = []Variant{
	{"ufw", "sudo ufw allow {lo}:{hi}/tcp", ""},
	{"firewalld", "sudo firewall-cmd --permanent --add-port={lo}-{hi}/tcp\nsudo firewall-cmd --reload", "The service \"ftp\" alone relies on a helper, which is blind under TLS."},
	{"nftables", "sudo nft insert rule inet filter input tcp dport {lo}-{hi} accept", "See `nft list ruleset` for the names of table and chain; then save it in /etc/nftables.conf."},
	{"iptables", "sudo iptables -I INPUT -p tcp --dport {lo}:{hi} -j ACCEPT", ""},
	{"Windows Defender Firewall", `New-NetFirewallRule -DisplayName "FTP passive" -Direction Inbound -Protocol TCP -LocalPort {lo}-{hi} -Action Allow`, "In PowerShell as administrator."},
	{"macOS", "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add PROGRAM\nsudo /usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp PROGRAM", "macOS lets programs in, not ports; \"Block all incoming connections\" must be off."},
	{"Cloud security group", "Inbound rule: TCP {lo}-{hi} from the clients' addresses", "AWS, Azure and others: also the network's ACL."},
	{"Docker", "docker run -p {port}:{port} -p {lo}-{hi}:{lo}-{hi} …", "A container's ports have to be published with the same numbers."},
}

var openControl = []Variant{
	{"ufw", "sudo ufw allow {port}/tcp", ""},
	{"firewalld", "sudo firewall-cmd --permanent --add-port={port}/tcp\nsudo firewall-cmd --reload", ""},
	{"nftables", "sudo nft insert rule inet filter input tcp dport {port} accept", "See `nft list ruleset` for the names of table and chain."},
	{"iptables", "sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT", ""},
	{"Windows Defender Firewall", `New-NetFirewallRule -DisplayName "FTP" -Direction Inbound -Protocol TCP -LocalPort {port} -Action Allow`, "In PowerShell as administrator."},
	{"macOS", "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add PROGRAM\nsudo /usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp PROGRAM", ""},
	{"Cloud security group", "Inbound rule: TCP {port} from the clients' addresses", ""},
}

var forwardRange = []Variant{
	{"Router", "Forward TCP {port} to {inside}:{port}\nForward TCP {lo}-{hi} to {inside}:{lo}-{hi}", "The same numbers inside and outside: the server names them to its clients. {inside} is the server's address in its own network."},
	{"nftables", "sudo nft add rule ip nat prerouting tcp dport { {port}, {lo}-{hi} } dnat to {inside}\nsudo nft insert rule inet filter forward ip daddr {inside} tcp dport { {port}, {lo}-{hi} } accept", "On a Linux router; see `nft list ruleset` for the names of tables and chains."},
	{"iptables", "sudo iptables -t nat -A PREROUTING -p tcp -m multiport --dports {port},{lo}:{hi} -j DNAT --to-destination {inside}\nsudo iptables -I FORWARD -p tcp -d {inside} -m multiport --dports {port},{lo}:{hi} -j ACCEPT", "On a Linux router."},
	{"Cloud security group", "Inbound rule: TCP {lo}-{hi} from the clients' addresses", ""},
}

var forwardControl = []Variant{
	{"Router", "Forward TCP {port} to {inside}:{port}", "{inside} is the server's address in its own network."},
	{"Cloud security group", "Inbound rule: TCP {port} from the clients' addresses", ""},
}

// The passive range and the Passive IP in each server's own words.
var setRange = []Variant{
	{string(VSFTPD), "pasv_enable=YES\npasv_min_port={lo}\npasv_max_port={hi}", "/etc/vsftpd.conf, then restart vsftpd."},
	{string(ProFTPD), "PassivePorts {lo} {hi}", "proftpd.conf, then restart."},
	{string(PureFTPd), "PassivePortRange {lo} {hi}", "pure-ftpd.conf; on Debian: echo \"{lo} {hi}\" > /etc/pure-ftpd/conf/PassivePortRange."},
	{string(FileZillaServer), "Server > Configure > Protocols settings > FTP and FTP over TLS > Passive mode: Use custom port range, {lo} to {hi}", ""},
	{string(IIS), `%windir%\system32\inetsrv\appcmd set config -section:system.ftpServer/firewallSupport /lowDataChannelPort:{lo} /highDataChannelPort:{hi} /commit:apphost` + "\nnet stop ftpsvc && net start ftpsvc", "At a command prompt as administrator. Or IIS Manager, the server's FTP Firewall Support: Data Channel Port Range {lo}-{hi}."},
	{string(JSCAPE), "Services > Listeners > FTP/S > Passive port range: {lo} - {hi}", ""},
	{string(SFTPGo), `"ftpd": { "passive_port_range": { "start": {lo}, "end": {hi} } }`, "sftpgo.json."},
	{string(Portside), "Share > Passive mode > Use a passive port range: {lo} to {hi}", "Or: portside serve --passive-ports {lo}-{hi} …"},
}

var setPassiveIP = []Variant{
	{string(VSFTPD), "pasv_address={public}", "/etc/vsftpd.conf. With a name in place of the address: pasv_addr_resolve=YES."},
	{string(ProFTPD), "MasqueradeAddress {public}", "proftpd.conf; a name is allowed."},
	{string(PureFTPd), "ForcePassiveIP {public}", "pure-ftpd.conf, or the option -P; a name is allowed."},
	{string(FileZillaServer), "Server > Configure > Protocols settings > FTP and FTP over TLS > Passive mode: Use the following host: {public}", "With \"Use default host for local connections\" switched on."},
	{string(IIS), "FTP Firewall Support of the site > External IP Address of Firewall: {public}", ""},
	{string(JSCAPE), "Services > Listeners > FTP/S > Passive IP: {public}", ""},
	{string(SFTPGo), `"ftpd": { "bindings": [ { "force_passive_ip": "{public}" } ] }`, "sftpgo.json."},
	{string(Portside), "Share > Passive mode > Passive IP > Fixed IP: {public}", "Or: portside serve --passive-ip {public} …"},
}

var localIP = []Variant{
	{string(FileZillaServer), "Server > Configure > Protocols settings > FTP and FTP over TLS > Passive mode: Use default host for local connections", ""},
	{string(ProFTPD), "<IfClass lan>\n  MasqueradeAddress {inside}\n</IfClass>", "With a Class of the local network, in proftpd.conf."},
	{string(SFTPGo), `"passive_ip_overrides": [ { "networks": ["192.168.0.0/16", "10.0.0.0/8"], "ip": "" } ]`, "sftpgo.json, in the binding."},
	{string(Portside), "Share > Passive mode > Passive IP: Automatic", "It tells each client the address that it came by."},
	{"Router", "Switch on NAT loopback (hairpin NAT) for TCP {port} and {lo}-{hi}", "Then the public address works inside, too."},
	{"DNS", "Let {host} be {inside} for clients inside and the public address for all others", "Split DNS; the server's Passive IP then has to be given for each network."},
}

var moreClients = []Variant{
	{string(VSFTPD), "max_clients=100\nmax_per_ip=10", "0 means no limit."},
	{string(ProFTPD), "MaxInstances 100\nMaxClients 100\nMaxClientsPerHost 10", ""},
	{string(PureFTPd), "MaxClientsNumber 100\nMaxClientsPerIP 10", ""},
	{string(FileZillaServer), "Server > Configure > Server listeners and users: raise the limits of connections", ""},
	{string(IIS), "FTP site > Advanced Settings > Connections > Max Connections", ""},
	{string(SFTPGo), `"common": { "max_total_connections": 100, "max_per_host_connections": 20 }`, "sftpgo.json."},
	{string(Portside), "Share > Server options > Clients at once", ""},
}

var noLookups = []Variant{
	{string(VSFTPD), "reverse_lookup_enable=NO", "Newer than 3.0.3; else repair the name server in /etc/resolv.conf."},
	{string(ProFTPD), "UseReverseDNS off\nIdentLookups off", ""},
	{string(PureFTPd), "DontResolve yes", ""},
}

var noReuse = []Variant{
	{string(VSFTPD), "require_ssl_reuse=NO", "/etc/vsftpd.conf"},
	{string(ProFTPD), "TLSOptions NoSessionReuseRequired", "proftpd.conf"},
	{string(FileZillaServer), "FTP over TLS settings: Require TLS session resumption on data connection: off", "In versions 0.9."},
}

var enableTLS = []Variant{
	{string(VSFTPD), "ssl_enable=YES\nrsa_cert_file=/etc/ssl/certs/ftp.pem\nrsa_private_key_file=/etc/ssl/private/ftp.key", ""},
	{string(ProFTPD), "TLSEngine on\nTLSRSACertificateFile /etc/ssl/certs/ftp.pem\nTLSRSACertificateKeyFile /etc/ssl/private/ftp.key", "mod_tls has to be loaded."},
	{string(PureFTPd), "TLS 1", "With the certificate and key in /etc/ssl/private/pure-ftpd.pem."},
	{string(FileZillaServer), "Server > Configure > Server listeners > Protocol: Explicit FTP over TLS and insecure plain FTP", ""},
	{string(IIS), "FTP SSL Settings of the site: choose a certificate and Allow SSL connections", ""},
	{string(JSCAPE), "Services > Listeners > FTP/S: allow explicit SSL, with a server key", ""},
	{string(SFTPGo), `"ftpd": { "certificate_file": "/etc/ssl/certs/ftp.pem", "certificate_key_file": "/etc/ssl/private/ftp.key" }`, "sftpgo.json, in the binding for FTP: \"tls_mode\": 0 (TLS if asked for) or 1 (required)."},
	{string(Portside), "Share > Port and protection: TLS if asked for", ""},
}

var enableActive = []Variant{
	{string(VSFTPD), "port_enable=YES\nconnect_from_port_20=YES", "/etc/vsftpd.conf"},
	{string(SFTPGo), `"ftpd": { "disable_active_mode": false }`, "sftpgo.json"},
}

var clientInbound = []Variant{
	{"ufw", "sudo ufw allow from {public} to any port 50210:50219 proto tcp", ""},
	{"firewalld", "sudo firewall-cmd --permanent --add-port=50210-50219/tcp\nsudo firewall-cmd --reload", ""},
	{"nftables", "sudo nft insert rule inet filter input ip saddr {public} tcp dport 50210-50219 accept", "See `nft list ruleset` for the names of table and chain."},
	{"Windows Defender Firewall", `New-NetFirewallRule -DisplayName "FTP active" -Direction Inbound -Protocol TCP -RemoteAddress {public} -LocalPort 50210-50219 -Action Allow`, "In PowerShell as administrator."},
	{"macOS", "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add PROGRAM\nsudo /usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp PROGRAM", ""},
}

var clampMSS = []Variant{
	{"Linux router", "sudo nft add rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu", "On the router or VPN gateway before the smaller link."},
	{"Linux server", "sudo sysctl -w net.ipv4.tcp_mtu_probing=1", "The server then finds the size out by itself."},
	{"Firewall", "Let ICMP type 3 code 4 (fragmentation needed) and ICMPv6 type 2 (packet too big) through", ""},
	{"VPN", "MTU 1280", "In the VPN's settings, on either side."},
}

var helperOff = []Variant{
	{"Home router", "Switch the router's FTP helper (FTP ALG) off", ""},
	{"Cisco ASA", "policy-map global_policy\n class inspection_default\n  no inspect ftp", ""},
	{"MikroTik", "/ip firewall service-port disable ftp", ""},
	{"Linux router", "Remove the rule with `ct helper set` for FTP; see `nft list ruleset`", ""},
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

func (e *Evidence) fixesFor(f Finding) []Fix {
	server := string(e.Software)
	lo, hi, known := e.proposal()
	rangeText := fmt.Sprintf("Set the server's passive range to %d–%d, the same as in firewall and router.", lo, hi)
	if known {
		rangeText = fmt.Sprintf("Check that the server's passive range is %d–%d (seen: %s); firewall, router and server have to name the same one.", lo, hi, portList(e.Passive.offered()))
	}
	setting := e.choice(ServerSettings, rangeText, setRange, server).does(SetRange)
	switch f.Verdict {
	case NameUnresolved:
		return []Fix{
			e.advice(ClientComputer, "Check how {host} is spelled, or try the server's IP address."),
			e.advice(ClientNetwork, "Check this computer's name server; `nslookup {host}` asks it."),
		}
	case ControlRefused:
		if f.Side == ClientComputer || f.Side == ClientNetwork {
			return []Fix{e.advice(f.Side, "Let TCP port {port} out to {public}, or use another network.")}
		}
		if f.Side == ServerNetwork {
			return []Fix{
				e.choice(ServerNetwork, "Let port {port} through in the router or firewall that forbids it, and forward it to the server.", forwardControl),
				e.choice(ServerComputer, "Let port {port} in on the server's computer, too.", openControl, e.firewallChoice()),
			}
		}
		if e.Control == Unreachable {
			return []Fix{
				e.choice(ServerComputer, "Let port {port} in on the server's computer.", openControl, e.firewallChoice()),
				e.choice(ServerNetwork, "If a router stands before the server, let port {port} through there, and forward it.", forwardControl),
			}
		}
		return []Fix{
			e.advice(ServerComputer, "Start the FTP server, and check that it listens on port {port} and on an address that clients reach."),
			e.choice(ServerComputer, "Let port {port} in on the server's computer.", openControl, e.firewallChoice()),
			e.choice(ServerNetwork, "If a router stands before the server, forward port {port}.", forwardControl),
		}
	case ControlTimeout:
		switch {
		case e.cutOff():
			return []Fix{
				e.advice(ClientNetwork, "Check this computer's network: cable or Wi-Fi, whether the router is on, and the router's address (default gateway) in this computer's settings."),
				e.advice(ServerComputer, "If you can reach other servers, check that the server's computer is on and has the address that it is meant to have."),
			}
		case e.absent():
			return []Fix{
				e.advice(ServerComputer, "Check that the server's computer is on, connected, and has the address that it is meant to have."),
				e.choice(ServerNetwork, "Check that the router forwards port {port} to the server's address.", forwardControl),
			}
		case f.Side == ClientNetwork:
			return []Fix{e.advice(ClientNetwork, "Let outbound TCP port {port} through your router or firewall, or use another network.")}
		}
		return []Fix{
			e.choice(ServerComputer, "Let port {port} in on the server's computer.", openControl, e.firewallChoice()),
			e.choice(ServerNetwork, "Forward port {port} on the router before the server.", forwardControl),
			e.advice(ServerComputer, "Check that the server's computer is on, and that {public} is its address."),
		}
	case ClientFirewallOutbound:
		if e.unanswered() {
			return nil
		}
		ports := "Let outbound TCP ports {port} and {lo}–{hi} through to {public}."
		if !known {
			ports = "Let outbound TCP port {port} and all from 1024 on through to {public}: the server uses no range of its own."
		}
		return []Fix{
			e.advice(f.Side, ports).does(LetClientOut),
			e.advice(ServerSettings, "Or ask the server's admin for a passive range that your network lets out."),
			e.advice(ClientNetwork, "Or use another network, or SFTP, which needs one port only."),
		}
	case TLSModeMismatch:
		if e.TLSPlain {
			return []Fix{e.advice(ClientComputer, "Choose explicit TLS: ftpes://{host}:{port}. Implicit TLS usually is on port 990.")}
		}
		return []Fix{e.advice(ClientComputer, "Choose implicit TLS: ftps://{host}:{port}. Explicit TLS usually is on port 21.")}
	case NotFTP:
		switch {
		case f.Side == ClientNetwork:
			return []Fix{e.advice(ClientNetwork, "Open a web page in your browser and sign in to the network, or use another network.")}
		case e.Greeter == GreeterSSH:
			return []Fix{e.advice(ClientComputer, "Use a program for SFTP, or ask on which port FTP is offered.")}
		case e.Greeter == GreeterClosed || e.Greeter == GreeterSilent:
			return []Fix{
				e.advice(ServerComputer, "Check that the FTP server runs and has not stopped answering; restart it."),
				e.advice(ServerComputer, "Check the rules of access: /etc/hosts.allow and /etc/hosts.deny, fail2ban, the server's IP filter."),
				e.advice(ClientComputer, "Check the port number."),
			}
		}
		return []Fix{e.advice(ClientComputer, "Check the host name and the port; FTP usually is on port 21.")}
	case ServerSlowGreeting:
		if e.GreetCut {
			return []Fix{
				e.choice(ServerSettings, "Switch the lookup of clients' names off, or repair the name server that the server's computer uses.", noLookups, server),
				e.advice(ServerComputer, "Check the welcome text and the server's log; restart the server."),
			}
		}
		switch e.Greeting.Code {
		case 0:
			return nil
		case 120:
			return []Fix{
				e.advice(ClientComputer, "Wait as long as the server says, and try again."),
				e.advice(ServerSettings, "See the server's log for what it waits for before it takes clients."),
			}
		}
		return []Fix{
			e.choice(ServerSettings, "Switch the lookup of clients' names off, or repair the name server that the server's computer uses.", noLookups, server),
			e.advice(ClientComputer, "Let your program wait longer for the greeting."),
		}
	case ServerFull:
		if !saysFull.MatchString(e.fullAnswer()) {
			return []Fix{
				e.advice(ClientComputer, "Wait and try again."),
				e.advice(ServerSettings, "See the server's log for why it sends clients away: maintenance, a timeout, a limit."),
			}
		}
		return []Fix{
			e.advice(ClientComputer, "Wait and try again; close other connections to this server, and transfer fewer files at once."),
			e.choice(ServerSettings, "Raise the limit of clients.", moreClients, server),
		}
	case TLSRequired:
		return []Fix{e.advice(ClientComputer, "Choose explicit TLS: ftpes://{host}.")}
	case TLSUnsupported:
		if e.TLSOld != "" {
			return []Fix{e.advice(ServerSettings, "Switch TLS 1.2 and 1.3 on, and update the server.")}
		}
		if e.ListsAuth && e.AuthAnswer.failed() || e.TLSError != "" && e.AuthAnswer.Code == 234 {
			return []Fix{
				e.advice(ServerSettings, "Check the server's certificate and private key, and its log for why TLS can't begin."),
				e.advice(ClientComputer, "Try another network: if TLS works there, a box on your side cuts it."),
				e.advice(ClientComputer, "Or choose plain FTP (ftp://), when it does not matter that the password and the files can be read on the way."),
			}
		}
		plain := "Or choose plain FTP (ftp://), when it does not matter that the password and the files can be read on the way."
		if e.HeldBack { // that is what was asked for
			plain = "Or let the password go in clear, when it does not matter that it and the files can be read on the way: `--consent-plain`, or \"Compare without TLS, too\" in the window."
		}
		return []Fix{
			e.choice(ServerSettings, "Switch TLS on at the server.", enableTLS, server),
			e.advice(ClientComputer, plain),
		}
	case TLSCertificate:
		if e.CertError == "" {
			return []Fix{
				e.advice(ServerSettings, "Don't require certificates of clients at the server, or only of those who have one."),
				e.advice(ClientComputer, "Or use a program that can show a certificate, with one that the server's admin gives you; Portside can't."),
			}
		}
		fixes := []Fix{e.advice(ServerSettings, "Install a certificate for {host} from an authority that clients know, with its intermediate certificates.")}
		if e.CertExpired {
			fixes[0] = e.advice(ServerSettings, "Renew the server's certificate: it is not valid any more.")
		}
		if e.CertEarly {
			fixes = []Fix{
				e.advice(ClientComputer, "Check the date of this computer: by its clock the certificate is not valid yet."),
				e.advice(ServerSettings, "If the date is right, the server's certificate was made with a wrong one: make it anew."),
			}
		}
		if e.CertMisnamed && len(e.CertNames) > 0 && !e.CertExpired && !e.CertEarly {
			fixes = append([]Fix{e.advice(ClientComputer, "Connect by a name that the certificate is for, if it is this server's: "+strings.Join(e.CertNames, ", ")+".")}, fixes...)
		}
		return append(fixes, e.advice(ClientComputer, "If you know this server, trust its certificate after you have compared the fingerprint with its admin: "+e.CertFingerprint))
	case LoginRefused:
		switch answer := cmp.Or(failing(e.Pass), failing(e.User)); {
		case f.Side == ClientNetwork:
			return []Fix{
				e.advice(ClientComputer, "Sign in as the proxy wants it, usually as {user}@{host}, with the proxy as host."),
				e.advice(ClientNetwork, "Or let connections to {public} past the proxy: firewall, virus scanner or parental control that looks into FTP."),
			}
		case e.User.Code == 332 || e.Pass.Code == 332:
			return []Fix{
				e.advice(ServerSettings, "Let the user {user} in without an account (ACCT)."),
				e.advice(ClientComputer, "Or send the account that the server's admin gives you, where your program has a field for it."),
			}
		case saysExpired.MatchString(answer):
			return []Fix{e.advice(ServerSettings, "Give the user {user} a new password, or more time, at the server.")}
		case e.User.Code == 0 && e.LostAt != "", e.SignedIn && e.LostAt != "" && e.LostText.Code == 0 && errors.Is(e.Lost, errClosed):
			why := "a crash, or access rules such as /etc/hosts.deny"
			if e.SignedIn {
				why = "a crash, or a home folder that is missing or that {user} may not enter"
			}
			return []Fix{
				e.advice(ServerSettings, "See the server's log for why it ends the session at "+e.LostAt+": "+why+"."),
				e.advice(ClientComputer, "Try another network: if it works there, a box on your side ends the session."),
			}
		case e.Greeting.failed() || e.User.banned() || e.Pass.banned():
			return []Fix{
				e.advice(ServerSettings, "Let this client's address in: see the server's access rules, and what bans addresses (fail2ban, the server's own list of blocked addresses)."),
				e.advice(ClientComputer, "Wait until the ban has passed, and check user name and password before the next try."),
			}
		case e.SignedIn, saysHome.MatchString(cmp.Or(failing(e.Pass), failing(e.User))):
			return []Fix{e.advice(ServerSettings, "See the server's log: often the home folder of {user} is missing, or the user may not enter it.")}
		case errors.Is(e.Lost, errSilent):
			return []Fix{e.advice(ServerSettings, "See the server's log for what the sign-in waits for: a directory (LDAP, Active Directory), a database, a name lookup.")}
		}
		fixes := []Fix{e.advice(ClientComputer, "Check user name and password; too many tries may block your address.")}
		if strings.Contains(e.Pass.Text, "writable root") {
			fixes = []Fix{e.choice(ServerSettings, "Take the right to write from the user's root folder, or allow it.", []Variant{{string(VSFTPD), "allow_writeable_chroot=YES", "/etc/vsftpd.conf"}}, server)}
		} else if e.Target.User == client.Anonymous {
			fixes = append(fixes, e.choice(ServerSettings, "Or allow anonymous users.", []Variant{
				{string(VSFTPD), "anonymous_enable=YES", "/etc/vsftpd.conf"}, {string(Portside), "Share > Who may come in: Anyone on this network", ""},
			}, server))
		} else {
			fixes = append(fixes, e.advice(ServerSettings, "Check that the user {user} exists, may use FTP (shell in /etc/shells, user lists), and has a home folder."))
		}
		if e.ListsAuth && !e.TLSUp {
			fixes = append(fixes, e.advice(ClientComputer, "The server offers TLS; some refuse users in clear without saying so. Try explicit TLS: ftpes://{host}."))
		}
		return fixes
	case TLSSessionReuse:
		return []Fix{
			e.advice(ClientComputer, "Use a program that resumes the TLS session for data channels; Portside does."),
			e.choice(ServerSettings, "Or don't require it at the server.", noReuse, server),
		}
	case TLSDataProtection:
		if e.ClearData {
			return []Fix{e.advice(ClientComputer, "Let your program encrypt data channels, too (PROT P).")}
		}
		return []Fix{e.advice(ServerSettings, "Allow protected data channels (PROT P) at the server, and see what it logs for them.")}
	case ServerFirewallPassive:
		if len(e.Passive.fickle()) > 0 {
			return []Fix{
				e.advice(ServerComputer, "Raise the limit of new connections for ports {lo}–{hi}, or take it away, in the firewall of the server's computer or of the router before it (`ufw limit`, `limit rate` and `ct count` in nftables, `recent` and `connlimit` in iptables, an intrusion prevention)."),
				e.advice(ClientComputer, "Transfer fewer files at once, and try from another network: if all goes well there, packets are lost on your side."),
			}
		}
		beforeServer := "If a router or a cloud filter stands before the server, let the range in there, too."
		if e.ownerBeforeServer() {
			beforeServer = "Check that the router at {public} forwards the range to the same computer as port {port}, with the same numbers."
		}
		return settingFirst(known, []Fix{
			e.choice(ServerComputer, "Let the passive range in on the server's computer.", openRange, e.firewallChoice()).does(OpenRange),
			setting,
			e.choice(ServerNetwork, beforeServer, forwardRange).does(ForwardRange),
		})
	case ServerForwardPassive:
		forward := "Forward the passive range on the router before the server, with the same numbers."
		if e.Passive.lookedFor() != 0 || e.further() {
			forward = "Let the router before the server forward the passive range to the computer to which it forwards port {port}, with the same numbers."
		}
		return settingFirst(known, []Fix{
			e.choice(ServerNetwork, forward, forwardRange).does(ForwardRange),
			setting,
			e.choice(ServerComputer, "Let the passive range in on the server's computer, too.", openRange, e.firewallChoice()).does(OpenRange),
		})
	case ServerPassiveIP, OKWithFault:
		if f.Verdict == OKWithFault && f.Confidence == Likely {
			return []Fix{
				e.advice(ServerSettings, "Let the server know "+e.onlyListed().Command+", or take it from the list that FEAT gives."),
				e.choice(ThePath, "If the server knows it, switch off what changes FTP's commands on the way.", helperOff),
			}
		}
		if e.noOffer() {
			return []Fix{
				e.choice(ServerSettings, "Set the server's passive range to ports that exist, from 1024 to 65535.", setRange, server).does(SetRange),
				e.choice(ServerSettings, "Set the server's Passive IP to the address that clients reach, {public}.", setPassiveIP, server).does(SetPassiveIP),
				e.choice(ThePath, "If these are right, a box on the way spoils the reply: switch its inspection of FTP off.", helperOff),
			}
		}
		return []Fix{
			e.choice(ServerSettings, "Set the server's Passive IP to the address that clients reach, {public}.", setPassiveIP, server).does(SetPassiveIP),
			e.advice(ClientComputer, "Meanwhile use EPSV, or let your program dial the control channel's address.").does(UseEPSV),
		}
	case ServerPassiveHairpin:
		return []Fix{
			e.choice(ServerSettings, "Tell clients inside the network the server's inside address.", localIP, server, "Router"),
			e.advice(ClientComputer, "Meanwhile use EPSV, or let your program dial the control channel's address.").does(UseEPSV),
		}
	case ServerPassiveExhausted:
		if e.Passive.EPSV.silent() || e.Passive.PASV.silent() {
			return []Fix{
				e.advice(ServerSettings, "See the server's log for what it does when PASV or EPSV comes, and restart it."),
				e.choice(ThePath, "If it never sees the command, switch off the inspection of FTP on the way.", helperOff),
			}
		}
		if f.Confidence == Likely && !e.noPort(e.Passive.EPSV) && !e.noPort(e.Passive.PASV) {
			return []Fix{e.choice(ServerSettings, "Switch passive mode on at the server, with a range of ports of its own.", setRange, server)}
		}
		return []Fix{
			e.choice(ServerSettings, "Make the passive range larger (100 ports serve most servers), outside the system's own range, with no other program on its ports.", setRange, server),
			e.advice(ServerComputer, "See which program holds the ports: `ss -ltnp` (Linux), `netstat -ano` (Windows)."),
		}
	case EPSVBroken:
		if f.Side == ServerSettings {
			return []Fix{
				e.advice(ServerSettings, "Update the server, or switch EPSV off there; a refusal is better than such an answer, since programs then use PASV."),
				e.advice(ClientComputer, "Meanwhile let your program use PASV in place of EPSV."),
			}
		}
		if e.Passive.Advertised.Works() {
			return []Fix{
				e.advice(ServerNetwork, "Let the passive ports through at {public}, too, to the server that named them."),
				e.advice(ServerSettings, "Or let the server refuse EPSV, so that programs go where PASV sends them."),
				e.advice(ClientComputer, "Meanwhile let your program use PASV and dial the address that it names."),
			}
		}
		return []Fix{
			e.advice(ServerNetwork, "Let the load balancer send all ports of one client to the same server, or update the firewall that does not know EPSV."),
			e.advice(ClientComputer, "Meanwhile let your program use PASV in place of EPSV."),
		}
	case ClientMultiAddress:
		return []Fix{
			e.advice(ClientNetwork, "Let all connections to {public} leave by one line: pin FTP to one WAN, or give the NAT one address."),
			e.advice(ServerSettings, "Or allow data connections from other addresses at the server (vsftpd: pasv_promiscuous=YES); that is less safe."),
		}
	case ClientFirewallActive:
		if f.Side == ClientNetwork {
			return []Fix{
				e.advice(ClientComputer, "Use passive mode: then you open the data channels, and nothing has to be let in here.").does(UsePassive),
				e.advice(ClientNetwork, "Or let TCP connections from {public} in to {client} on the firewall of your network."),
			}
		}
		return []Fix{
			e.advice(ClientComputer, "Use passive mode: then you open the data channels, and nothing has to be let in here.").does(UsePassive),
			e.choice(ClientComputer, "Or use fixed active ports (50210–50219) and let the server in to them.", clientInbound, "ufw").does(OpenActivePorts),
		}
	case ClientNATActive:
		if rfc6598.Contains(e.Local.Addr()) {
			return []Fix{
				e.advice(ClientComputer, "Use passive mode: then you open the data channels, and the router does not matter.").does(UsePassive),
				e.advice(ClientNetwork, "Or ask your provider for a public address, or use IPv6: {client} is behind the provider's own NAT, where no port can be forwarded to you."),
			}
		}
		return []Fix{
			e.advice(ClientComputer, "Use passive mode: then you open the data channels, and the router does not matter.").does(UsePassive),
			e.advice(ClientNetwork, "Or use fixed active ports (50210–50219), forward them on your router to {client}, and let your program announce your public address.").does(ForwardActivePorts),
		}
	case ServerEgressActive:
		if e.active().elsewhere() {
			return []Fix{
				e.advice(ClientComputer, "Use passive mode: then you open the data channels.").does(UsePassive),
				e.advice(ServerNetwork, "Let the server's data channels leave by {public}, the address of its control channel: source NAT in the router or load balancer."),
			}
		}
		return []Fix{
			e.advice(ClientComputer, "Use passive mode: then you open the data channels.").does(UsePassive),
			e.advice(ServerNetwork, "Or let the server open outbound TCP connections, from port 20 or any, to ports above 1023.").does(LetServerOut),
		}
	case ActiveDisabled:
		return []Fix{
			e.advice(ClientComputer, "Use passive mode.").does(UsePassive),
			e.choice(ServerSettings, "Or switch active mode on at the server.", enableActive, server),
		}
	case IPv6Unsupported:
		return []Fix{
			e.advice(ClientComputer, "Connect by IPv4."),
			e.advice(ServerSettings, "Allow EPSV and EPRT at the server, or update it; until then take its IPv6 address out of DNS."),
		}
	case ALGBlindTLS:
		if f.Side == ClientNetwork {
			return []Fix{
				e.advice(ClientComputer, "Use passive mode under TLS.").does(UsePassive),
				e.advice(ClientNetwork, "Or use fixed active ports (50210–50219), forward them on your router to {client}, and let your program announce your public address.").does(ForwardActivePorts),
			}
		}
		if f.Side == ServerComputer {
			return settingFirst(known, []Fix{
				e.choice(ServerComputer, "Let the passive range in on the server's computer: its firewall's FTP helper can't do it under TLS.", openRange, e.firewallChoice()).does(OpenRange),
				setting,
			})
		}
		return settingFirst(known, []Fix{
			e.choice(ServerNetwork, "Forward the passive range on the router before the server: its FTP helper can't do it under TLS.", forwardRange).does(ForwardRange),
			setting,
			e.choice(ServerSettings, "Set the server's Passive IP to the address that clients reach, {public}.", setPassiveIP, server).does(SetPassiveIP),
		})
	case ALGTamper:
		around := "Meanwhile use FTP over TLS: a box on the way can't read it."
		if e.ListsAuth && !e.TLSUp && (e.AuthAnswer.Code != 0 || e.TLSError != "") || e.TLSStalled {
			around = "Meanwhile use implicit TLS (port 990), which has no command that could be changed, or SFTP."
		}
		return []Fix{
			e.choice(ThePath, "Switch the inspection of FTP off in the router or firewall that does it, on your side or on the server's.", helperOff),
			e.advice(ClientComputer, around),
		}
	case ControlIdleTimeout:
		if f.Side == ServerSettings && e.LostText.Code != 421 {
			return []Fix{
				e.advice(ServerSettings, "Look at the server's log for what it says at the end of this transfer."),
				e.advice(ClientComputer, "Try another network: if it works there, a box on your side loses the control channel."),
			}
		}
		if f.Side == ServerSettings {
			return []Fix{e.advice(ServerSettings, "Raise the server's idle timeout above the length of the longest transfer.")}
		}
		return []Fix{
			e.advice(ClientComputer, "Let your program keep the control channel alive (TCP keep-alive every 30 to 60 s), or transfer smaller files."),
			e.advice(ThePath, "Raise the idle timeout for TCP connections in the router, firewall or load balancer that forgets them."),
		}
	case DataCut:
		if f.Side == ServerSettings && e.Transfer.Answer.Code/100 == 2 {
			return []Fix{e.advice(ServerSettings, "Update or restart the server: it has to close the data channel at the end of each listing and download.")}
		}
		if f.Side == ServerNetwork {
			return []Fix{
				e.advice(ServerNetwork, "Look at what stands before the server: a load balancer, proxy or firewall has to pass the passive ports on to the same server as the control channel."),
				e.advice(ClientNetwork, "Let all connections to {public} leave by one line: pin FTP to one WAN, or give the NAT one address."),
			}
		}
		if f.Side == ServerSettings {
			return []Fix{
				e.advice(ServerSettings, "Look at the server's log for what it says about this transfer: a full disk, a quota, a virus scanner, a crash."),
				e.advice(ServerNetwork, "If it has seen nothing of the data channel, look at what stands before the server: proxy, load balancer, firewall with a proxy for FTP."),
			}
		}
		if m := e.firstMove(); e.Transfer.Outcome == NotTried && !m.Answer.failed() { // nothing was decided
			if e.SignedIn && errors.Is(e.Lost, errSilent) {
				return []Fix{e.advice(ClientComputer, "Try again, and from another network; then look at the server's log for this session.")}
			}
			return nil
		}
		return []Fix{
			e.advice(ThePath, "Take FTP data connections out of what inspects or limits them: virus scanner, intrusion prevention, proxy, quota."),
			e.advice(ClientComputer, "Try FTP over TLS or another network: if it works there, the box is on your side."),
			e.advice(ServerSettings, "Look at the server's log for what it says about this transfer."),
		}
	case MTUBlackhole:
		return []Fix{e.choice(ThePath, "Let the packets be small enough for the smallest link on the way.", clampMSS)}
	case ListingEmpty:
		if e.firstMove().Answer.Code == 425 || e.PathFail.Code == 425 {
			return []Fix{
				e.advice(ServerComputer, "See the server's log for why it can't open data channels: its own firewall, a virus scanner, no free sockets."),
			}
		}
		if a := cmp.Or(e.PathFail, e.firstMove().Answer); a.failed() && saysNoRoom.MatchString(a.Text) {
			return []Fix{e.advice(ServerComputer, "Make room on the server's disk, or raise the quota of the user {user}.")}
		}
		if e.PathFail.failed() {
			return []Fix{e.advice(ServerSettings, "Check that {path} is there, and that the user {user} may read it; the server's log says more.")}
		}
		return []Fix{e.advice(ServerSettings, "Check the user's home folder, its rights, and the server's rules for hidden files.")}
	case RESTUnsupported:
		return []Fix{
			e.advice(ClientComputer, "Transfer the file from its beginning."),
			e.advice(ServerSettings, "Allow REST at the server (ProFTPD: AllowRetrieveRestart on)."),
		}
	case Charset:
		return []Fix{
			e.advice(ClientComputer, "Choose the server's character set in your program, usually Windows-1252 or Latin-1; for other scripts Shift JIS, GBK, EUC-KR, KOI8-R or Windows-1251."),
			e.choice(ServerSettings, "Let the server send names in UTF-8.", []Variant{
				{string(VSFTPD), "utf8_filesystem=YES", ""}, {string(ProFTPD), "UseEncoding UTF-8 ISO-8859-1", ""}, {string(PureFTPd), "FileSystemCharset ISO-8859-1\nClientCharset UTF-8", ""},
			}, server),
		}
	}
	return nil
}

// settingFirst puts the range's setting, the second of fixes, first when the server has no range yet: a firewall that is
// opened for ports that the server doesn't use lets nobody in.
func settingFirst(known bool, fixes []Fix) []Fix {
	if !known {
		fixes[0], fixes[1] = fixes[1], fixes[0]
	}
	return fixes
}

var places = map[Side]Place{
	ClientComputer: AtClientFirewall, ClientNetwork: AtClientRouter, ThePath: OnTheWay,
	ServerNetwork: AtServerRouter, ServerComputer: AtServerFirewall, ServerSettings: AtServer,
}

// arrows draws what was tried.
func (e *Evidence) arrows(r Report) []Arrow {
	var out []Arrow
	add := func(a Arrow, stop Place) {
		if !a.Works {
			a.Stop, a.Stops = stop, stop.String()
		}
		out = append(out, a)
	}
	if e.Control == NotTried {
		return nil
	}
	up := e.Control == Worked && !e.foreign()
	at := places[r.Side]
	switch {
	case e.Control == Worked && at == AtServerFirewall:
		at = AtServer // which let it in
	case e.absent() && !e.OnLink:
		at = AtServerRouter // which looked for the server
	}
	add(Arrow{Kind: connlog.Control, Initiator: connlog.Client, Works: up, Label: "control → " + itoa(int(e.Target.ControlPort()))}, at)
	judged := e.mode()
	if e.Passive.tried() {
		_, blocked := e.Passive.ports()
		ports := e.Passive.offered()
		works := e.Passive.moved() && len(blocked) == 0
		if !works && len(blocked) > 0 {
			ports = blocked
		}
		stop := AtServerFirewall
		switch {
		case judged == client.ModePassive:
			stop = places[r.Side]
		case e.firstPassiveMove().Outcome != NotTried || e.noOffer():
			stop = AtServer // the connection stood, or was never offered
		}
		add(Arrow{Kind: connlog.Data, Mode: connlog.Passive, Initiator: connlog.Client, Works: works, Label: "data → " + strings.TrimPrefix(portsText(ports), "ports ")}, stop)
	}
	if a := e.active(); a.Command != "" && (!a.Quick || a.works() || a.refused()) {
		stop := AtClientFirewall
		switch {
		case a.elsewhere():
			stop = AtClient // who turned it away
		case judged == client.ModeActive:
			stop = places[r.Side]
		case a.refused(), a.Accepted, e.refusedAlike():
			stop = AtServer
		case e.natted():
			stop = AtClientRouter
		}
		add(Arrow{Kind: connlog.Data, Mode: connlog.Active, Initiator: connlog.Server, Works: a.works(), Label: "data ← " + itoa(int(a.Announced.Port()))}, stop)
	}
	if r.Verdict == Undecided { // where a channel stops that was not waited for is not known
		out = slices.DeleteFunc(out, func(a Arrow) bool { return !a.Works })
	}
	return out
}
