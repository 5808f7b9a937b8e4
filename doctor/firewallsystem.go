package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// fwState is what is known of a firewall.
type fwState int8

const (
	fwUnknown fwState = iota
	fwOn
	fwOff
)

// firewall is this computer's firewall as far as it could be read.
type firewall struct {
	name  string // "ufw", "firewalld", "nftables", "iptables", "Windows Defender Firewall", "macOS"
	state fwState
	// ask says what becomes of a packet; nil when the rules can't be seen. cuts are the ports at which its answer may
	// change.
	ask  func(fwPacket) fwAnswer
	cuts []int
	// see is the command that shows what could not be seen, why says what was in the way.
	see, why string
	zone     string // firewalld's, of the interface in question
	program  string // for systems that let programs in, not ports
	ufwToo   bool   // ufw is on, also where another firewall gives the name
	table    string // nftables' table that firewalld writes; "" when it writes iptables' rules
}

// allow returns the command that lets TCP ports in. base is the chain that refuses them, nil when it is not known.
func (f firewall) allow(lo, hi int, base *fwChain) string {
	switch f.called(base) {
	case "ufw":
		return "sudo ufw allow " + strings.ReplaceAll(portRange(lo, hi), "-", ":") + "/tcp"
	case "firewalld":
		zone := ""
		if f.zone != "" {
			zone = "--zone=" + f.zone + " "
		}
		return "sudo firewall-cmd --permanent " + zone + "--add-port=" + portRange(lo, hi) + "/tcp && sudo firewall-cmd --reload"
	case "nftables":
		family, table, name := "inet", "filter", "input"
		if base != nil {
			family, table, name = base.family, base.table, base.name
		}
		return fmt.Sprintf("sudo nft insert rule %s %s %s tcp dport %s accept", family, table, name, portRange(lo, hi))
	case "iptables":
		tool, chain, table := "iptables", "INPUT", ""
		if base != nil {
			chain = base.name
			if base.family == "ip6" {
				tool = "ip6tables"
			}
			if base.table != "filter" {
				table = "-t " + base.table + " "
			}
		}
		return fmt.Sprintf("sudo %s %s-I %s -p tcp --dport %s -j ACCEPT", tool, table, chain, strings.ReplaceAll(portRange(lo, hi), "-", ":"))
	case windowsFirewall:
		return fmt.Sprintf(`netsh advfirewall firewall add rule name="Portside %s" dir=in action=allow protocol=TCP localport=%[1]s`, portRange(lo, hi))
	case macFirewall:
		if f.program == "" {
			return ""
		}
		return fmt.Sprintf("sudo %s --add '%s' --unblockapp '%[2]s'", socketFilter, strings.ReplaceAll(f.program, "'", `'\''`))
	}
	return ""
}

// called names the firewall that base belongs to: several may be at work at once.
func (f firewall) called(base *fwChain) string {
	if base == nil {
		return f.name
	}
	switch {
	case base.table == f.name, f.name == "firewalld" && f.table == "", f.name == "ufw" && base.iptables: // its own list, or the kernel's
		return f.name
	case base.iptables && f.ufwToo:
		return "ufw"
	case base.iptables:
		return "iptables"
	case f.name == "firewalld" || f.name == "ufw":
		return "nftables"
	}
	return f.name
}

const (
	windowsFirewall = "Windows Defender Firewall"
	macFirewall     = "macOS firewall"
	socketFilter    = "/usr/libexec/ApplicationFirewall/socketfilterfw"
)

// readFirewall finds out which firewall is at work and reads its rules. iface is the interface that clients come by.
func readFirewall(ctx context.Context, env SelfEnv, iface string) firewall {
	switch env.OS {
	case "linux":
		return readLinuxFirewall(ctx, env, iface)
	case "windows":
		return readWindowsFirewall(ctx, env)
	case "darwin":
		return readMacFirewall(ctx, env)
	}
	return firewall{name: "firewall", why: "Portside knows no way to look at this system's firewall"}
}

func missing(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist)
}

// readLinuxFirewall asks the kernel's rules first, since ufw and firewalld only write them. Their own listings are used
// when the kernel's can't be seen.
func readLinuxFirewall(ctx context.Context, env SelfEnv, iface string) firewall {
	f := firewall{}
	ufw, ufwErr := env.Run(ctx, "ufw", "status", "verbose")
	ufwOn := ufwErr == nil && strings.Contains(ufw, "Status: active")
	if ufwErr != nil && !missing(ufwErr) {
		if conf, err := env.ReadFile("/etc/ufw/ufw.conf"); err == nil {
			ufwOn = regexp.MustCompile(`(?m)^\s*ENABLED\s*=\s*["']?yes`).Match(conf)
		}
	}
	fd, fdErr := env.Run(ctx, "firewall-cmd", "--state")
	firewalldOn := fdErr == nil && strings.Contains(fd, "running") && !strings.Contains(fd, "not running")
	switch {
	case firewalldOn:
		f.name, f.see = "firewalld", "sudo firewall-cmd --list-all"
		if zone, err := env.Run(ctx, "firewall-cmd", "--get-zone-of-interface="+iface); err == nil && iface != "" {
			f.zone = strings.TrimSpace(zone)
		}
	case ufwOn:
		f.name, f.see = "ufw", "sudo ufw status verbose"
	}

	f.ufwToo = ufwOn
	kernel, tools, err := readKernelRules(ctx, env)
	if f.name == "" {
		f.name, f.see = "iptables", "sudo iptables-save"
		if slices.Contains(tools, "nft") || len(tools) == 0 {
			f.name, f.see = "nftables", "sudo nft list ruleset"
		}
	}
	switch {
	case kernel != nil:
		f.ask, f.cuts = kernel.ask, kernel.cuts
		f.state = fwOff
		for _, c := range kernel.chains {
			if c.hook != "" && (c.drop || len(c.rules) > 0) {
				f.state = fwOn
			}
			if c.table == "firewalld" {
				f.table = c.table
			}
		}
	case f.name == "ufw" && ufwErr == nil:
		f.state = fwOn
		f.ask, f.cuts = readUFW(ufw)
	case f.name == "firewalld":
		f.state = fwOn
		args := []string{"--list-all"}
		if f.zone != "" {
			args = []string{"--zone=" + f.zone, "--list-all"}
		}
		if list, err := env.Run(ctx, "firewall-cmd", args...); err == nil {
			f.ask, f.cuts = readFirewalld(list, func(service string) string {
				info, err := env.Run(ctx, "firewall-cmd", "--info-service="+service)
				if err != nil {
					return ""
				}
				return info
			})
		}
	case ufwOn:
		f.state = fwOn
	case len(tools) == 0 && missing(ufwErr) && missing(fdErr):
		f.state = fwOff
		f.why = "none of ufw, firewalld, nft and iptables is installed"
		f.ask = func(fwPacket) fwAnswer { return fwAnswer{rule: f.why} }
	}
	if f.ask == nil {
		f.why = "its rules can be seen with administrator rights only"
		if err != nil && !strings.Contains(err.Error(), "not permitted") && env.Root {
			f.why = err.Error()
		}
	}
	return f
}

// readKernelRules lists the rules that the kernel applies, with nft and with iptables. tools are those that are
// installed. The rules are nil when one of them can't be seen.
func readKernelRules(ctx context.Context, env SelfEnv) (rules *fwRuleset, tools []string, err error) {
	saved := map[string]string{}
	compat := false // iptables' rules live in nft's tables
	for family, tool := range map[string]string{"ip": "iptables-save", "ip6": "ip6tables-save"} {
		text, runErr := env.Run(ctx, tool)
		switch {
		case runErr == nil:
			saved[family] = text
			compat = compat || strings.Contains(text, "(nf_tables)")
		case !missing(runErr):
			err = errors.Join(err, runErr)
		}
		if !missing(runErr) && !slices.Contains(tools, "iptables") {
			tools = append(tools, "iptables")
		}
	}
	nft, nftErr := env.Run(ctx, "nft", "-j", "list", "ruleset")
	if !missing(nftErr) {
		tools = append(tools, "nft")
	}
	rules = &fwRuleset{}
	if nftErr == nil {
		rules, nftErr = parseNFT(nft, func(family, table string) bool {
			return compat && (family == "ip" || family == "ip6") &&
				slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, table)
		})
	}
	if nftErr != nil && !missing(nftErr) {
		err = errors.Join(err, nftErr)
	}
	if err != nil || len(tools) == 0 {
		return nil, tools, err
	}
	for family, text := range saved {
		addIPTables(rules, family, text)
	}
	return rules, tools, nil
}

// ufwRule matches a line of ufw's list: "21100:21199/tcp            ALLOW IN    192.168.0.0/16             # ftp". A long
// left side leaves one space only: "192.168.77.20 21199/tcp on eth0 ALLOW IN    192.168.77.57".
var ufwRule = regexp.MustCompile(`^(.+?)\s+(ALLOW|LIMIT|DENY|REJECT)(?: (IN|OUT|FWD))?\s+(.+?)\s*(?:#.*)?$`)

// readUFW reads the list of `ufw status verbose`.
func readUFW(text string) (func(fwPacket) fwAnswer, []int) {
	s := &fwRuleset{}
	var rules [2]*fwChain
	for i, family := range []string{"ip", "ip6"} {
		rules[i] = s.chain(family, "ufw", "input")
		rules[i].hook, rules[i].drop = "input", true
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if in, ok := strings.CutPrefix(line, "Default: "); ok {
			rules[0].drop = !strings.HasPrefix(in, "allow (incoming)")
			rules[1].drop = rules[0].drop
			continue
		}
		m := ufwRule.FindStringSubmatch(line)
		if m == nil || m[3] == "OUT" || m[3] == "FWD" {
			continue
		}
		rule := fwRule{action: fwAccept, text: strings.Join(strings.Fields(line), " ")}
		if m[2] == "DENY" || m[2] == "REJECT" {
			rule.action = fwDrop
		}
		to := rules[0]
		if strings.Contains(line, "(v6)") {
			to = rules[1]
		}
		ufwSide(s, &rule, strings.ReplaceAll(m[1], " (v6)", ""), true)
		ufwSide(s, &rule, strings.ReplaceAll(m[4], " (v6)", ""), false)
		to.rules = append(to.rules, rule)
	}
	return s.ask, s.cuts
}

// ufwSide reads one side of a rule: "Anywhere", "21/tcp", "192.168.1.5 21/tcp", "Anywhere on eth0", "OpenSSH".
func ufwSide(s *fwRuleset, rule *fwRule, side string, to bool) {
	add := func(t fwTest) { rule.tests = append(rule.tests, t) }
	side, iface, on := strings.Cut(side, " on ")
	if on {
		add(func(p fwPacket) fwMatch { return fwIf(interfaceMatches(iface, p.in)) })
	}
	for _, word := range strings.Fields(side) {
		ports, protocol, _ := strings.Cut(word, "/")
		network, isNetwork := parseNetwork(word)
		list, isPorts := parsePorts(ports)
		switch {
		case word == "Anywhere":
		case isNetwork:
			add(func(p fwPacket) fwMatch {
				if to {
					return fwIf(network.Contains(p.to))
				}
				return fwIf(network.Contains(p.from))
			})
		case isPorts && to:
			for _, r := range list {
				s.cut(r[0], r[1])
			}
			add(func(p fwPacket) fwMatch { return fwIf((protocol == "" || protocol == "tcp") && list.has(p.port)) })
		default: // an application profile, a client's port
			add(func(fwPacket) fwMatch { return fwMaybe })
		}
	}
}

// readFirewalld reads the list of `firewall-cmd --list-all`. service gives `firewall-cmd --info-service=NAME`, "" when
// that can't be had.
func readFirewalld(text string, service func(name string) string) (func(fwPacket) fwAnswer, []int) {
	s := &fwRuleset{}
	field := map[string]string{}
	rich := false
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && !strings.Contains(key, " ") || key == "rich rules" {
			field[key] = strings.TrimSpace(value)
		}
		rich = rich || strings.HasPrefix(strings.TrimSpace(line), "rule ")
	}
	// Services that firewalld ships with FTP's ports: ftp is 21, ftps is 990.
	known := map[string]string{"ftp": "21", "ftps": "990"}
	var ports fwPorts
	add := func(text string) {
		if r, ok := parsePorts(text); ok {
			ports = append(ports, r...)
			s.cut(r[0][0], r[0][1])
		}
	}
	for _, name := range strings.Fields(field["services"]) {
		if p, ok := known[name]; ok {
			add(p)
			continue
		}
		for line := range strings.Lines(service(name)) {
			if list, ok := strings.CutPrefix(strings.TrimSpace(line), "ports:"); ok {
				for _, p := range strings.Fields(list) {
					if p, ok := strings.CutSuffix(p, "/tcp"); ok {
						add(p)
					}
				}
			}
		}
	}
	for _, p := range strings.Fields(field["ports"]) {
		if p, ok := strings.CutSuffix(p, "/tcp"); ok {
			add(p)
		}
	}
	zone, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	rule := "zone " + zone + ": ports " + field["ports"] + ", services " + field["services"]
	return func(p fwPacket) fwAnswer {
		switch {
		case field["target"] == "ACCEPT" || ports.has(p.port):
			return fwAnswer{verdict: fwOpen, rule: rule}
		case rich:
			return fwAnswer{verdict: fwUnsure, rule: "zone " + zone + ": rich rules"}
		}
		return fwAnswer{verdict: fwClosed, rule: rule}
	}, s.cuts
}

// The registry holds Windows' rules in a form that is the same in every language; netsh translates its words.
const windowsPolicy = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy`

func readWindowsFirewall(ctx context.Context, env SelfEnv) firewall {
	f := firewall{name: windowsFirewall, see: "netsh advfirewall show currentprofile"}
	profile, err := env.Run(ctx, "netsh", "advfirewall", "show", "currentprofile")
	if err != nil {
		f.why = err.Error()
		return f
	}
	// The registry calls the private profile "Standard".
	current, key := "", ""
	for name, k := range map[string]string{"Public": "PublicProfile", "Private": "StandardProfile", "Domain": "DomainProfile"} {
		if strings.Contains(profile, name+" ") {
			current, key = name, k
		}
	}
	values := ""
	for _, k := range []string{"PublicProfile", "StandardProfile", "DomainProfile"} { // another language: the strictest, public
		if key == "" || k == key {
			if values, err = env.Run(ctx, "reg", "query", windowsPolicy+`\`+k); err == nil {
				break
			}
		}
	}
	value := func(name string) string {
		m := regexp.MustCompile(`(?m)^\s*` + name + `\s+REG_DWORD\s+0x(\d+)`).FindStringSubmatch(values)
		if m == nil {
			return ""
		}
		return m[1]
	}
	switch value("EnableFirewall") {
	case "0":
		f.state = fwOff
		f.ask = func(fwPacket) fwAnswer {
			return fwAnswer{rule: "the firewall is off for " + strings.ToLower(current) + " networks"}
		}
		return f
	case "1":
		f.state = fwOn
	}
	rules, err := env.Run(ctx, "reg", "query", windowsPolicy+`\FirewallRules`)
	if err != nil || f.state == fwUnknown {
		f.why = "the firewall's rules can't be read from the registry"
		return f
	}
	f.ask, f.cuts = readWindowsRules(rules, current, env.Program, value("DefaultInboundAction") == "0", value("DoNotAllowExceptions") == "1")
	return f
}

type windowsRule struct {
	block, local bool
	ports        fwPorts // nil: all
	name         string
}

// readWindowsRules reads lines such as
// "{GUID}    REG_SZ    v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public|LPort=21|App=C:\x.exe|Name=x|"
// ([MS-FASP] 2.2.19). A rule that blocks wins over one that allows.
func readWindowsRules(text, profile, program string, defaultAllow, noExceptions bool) (func(fwPacket) fwAnswer, []int) {
	var rules []windowsRule
	s := &fwRuleset{}
	for line := range strings.Lines(text) {
		_, value, ok := strings.Cut(line, "REG_SZ")
		if !ok {
			continue
		}
		field := map[string][]string{}
		for part := range strings.SplitSeq(strings.TrimSpace(value), "|") {
			k, v, _ := strings.Cut(part, "=")
			field[k] = append(field[k], v)
		}
		one := func(k string) string { return strings.Join(field[k], ",") }
		app := one("App")
		switch {
		case one("Active") != "TRUE" || one("Dir") != "In",
			field["Protocol"] != nil && one("Protocol") != "6" && one("Protocol") != "256",
			field["Profile"] != nil && profile != "" && !slices.Contains(field["Profile"], profile),
			app != "" && !strings.EqualFold(app, program),
			field["Svc"] != nil, field["AppPkgId"] != nil:
			continue
		}
		r := windowsRule{block: one("Action") == "Block", name: one("Name")}
		for _, k := range []string{"LPort", "LPort2_10"} {
			for _, v := range field[k] {
				if p, ok := parsePorts(v); ok {
					r.ports = append(r.ports, p...)
					s.cut(p[0][0], p[0][1])
				} else {
					r.ports = append(r.ports, [2]int{-1, -1}) // "RPC" and other words
				}
			}
		}
		for k := range field { // RA4, RA42, RA6, RA62: remote addresses, such as LocalSubnet
			r.local = r.local || strings.HasPrefix(k, "RA4") || strings.HasPrefix(k, "RA6")
		}
		rules = append(rules, r)
	}
	return func(p fwPacket) fwAnswer {
		if noExceptions {
			return fwAnswer{verdict: fwClosed, rule: "all incoming connections are blocked"}
		}
		open := fwAnswer{verdict: fwClosed, rule: "no rule allows it"}
		if defaultAllow {
			open = fwAnswer{verdict: fwOpen, rule: "incoming connections are allowed unless a rule blocks them"}
		}
		for _, r := range rules {
			if r.ports != nil && !r.ports.has(p.port) || r.local && !p.from.IsPrivate() && !p.from.IsLinkLocalUnicast() {
				continue
			}
			if r.block {
				return fwAnswer{verdict: fwClosed, rule: "rule " + r.name}
			}
			open = fwAnswer{verdict: fwOpen, rule: "rule " + r.name}
		}
		return open
	}, s.cuts
}

func readMacFirewall(ctx context.Context, env SelfEnv) firewall {
	f := firewall{name: macFirewall, see: socketFilter + " --getglobalstate", program: env.Program}
	state, err := env.Run(ctx, socketFilter, "--getglobalstate")
	if err != nil {
		f.why = "the firewall's state can't be read"
		return f
	}
	fixed := func(v fwVerdict, rule string) {
		f.ask = func(fwPacket) fwAnswer { return fwAnswer{verdict: v, rule: rule} }
	}
	if strings.Contains(state, "State = 0") || strings.Contains(state, "is disabled") {
		f.state = fwOff
		fixed(fwOpen, "the firewall is off")
		return f
	}
	f.state = fwOn
	all, err := env.Run(ctx, socketFilter, "--getblockall")
	if err == nil && (strings.Contains(all, "set to enabled") || strings.Contains(all, "Block all ENABLED") || strings.Contains(all, "State = 2")) ||
		strings.Contains(state, "State = 2") {
		f.program = "" // letting the program in has no effect then
		fixed(fwClosed, "all incoming connections are blocked: System Settings > Network > Firewall > Options")
		return f
	}
	app, err := env.Run(ctx, socketFilter, "--getappblocked", env.Program)
	switch {
	case err != nil:
		f.why = "whether the firewall lets Portside in can't be read"
	case strings.Contains(app, "permitted"):
		fixed(fwOpen, "Portside is let in")
	case strings.Contains(app, "not part of the firewall"):
		fixed(fwUnsure, "Portside is not in the firewall's list yet: macOS asks when the first client connects")
	case strings.Contains(app, "blocked"):
		fixed(fwClosed, "Portside is blocked")
	}
	return f
}

// The examples of clients that the rules are asked about: one on this network, and one on the internet, whose address
// means nothing but "public"; no packet goes there.
var strangerV4, strangerV6 = netip.MustParseAddr("9.78.65.43"), netip.MustParseAddr("2a00:1:2:3::9")

// neighbour returns another address of the same network.
func neighbour(own netip.Prefix) netip.Addr {
	raw := own.Addr().AsSlice()
	bits := own.Addr().BitLen() - own.Bits()
	if bits < 2 {
		return own.Addr()
	}
	last := len(raw) - 1
	mask := byte(1)<<min(bits, 7) - 1
	for step := byte(37); ; step++ {
		raw[last] = own.Addr().AsSlice()[last]&^mask | (own.Addr().AsSlice()[last]+step)&mask
		if host := raw[last] & mask; host != 0 && host != mask && raw[last] != own.Addr().AsSlice()[last] {
			a, _ := netip.AddrFromSlice(raw)
			return a
		}
		if step > 200 {
			return own.Addr()
		}
	}
}
