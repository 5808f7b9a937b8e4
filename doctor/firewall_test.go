package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func recorded(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "self", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// commands answers as the programs of a computer would; what is not in it is not installed.
type commands map[string]string

var errDenied = errors.New("exit status 1: Operation not permitted (you must be root)")

const denied = "\x00denied"

func (c commands) run(_ context.Context, name string, args ...string) (string, error) {
	out, ok := c[strings.Join(append([]string{name}, args...), " ")]
	switch {
	case out == denied:
		return "", errDenied
	case ok:
		return out, nil
	}
	for line := range c {
		if strings.HasPrefix(line, name+" ") || line == name {
			return "", fmt.Errorf("%s %v: exit status 1", name, args)
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func noFiles(string) ([]byte, error) { return nil, fs.ErrNotExist }

// at asks for a port, from this network and from the internet.
func at(f firewall, port uint16) (near, far fwVerdict) {
	p := fwPacket{from: netip.MustParseAddr("192.168.1.57"), to: netip.MustParseAddr("192.168.1.20"), in: "eth0", port: port}
	near = f.ask(p).verdict
	p.from = strangerV4
	return near, f.ask(p).verdict
}

func TestFirewallsAreReadFromTheirListings(t *testing.T) {
	type want struct {
		port      uint16
		near, far fwVerdict
	}
	windows := func(profile string) commands {
		return commands{
			"netsh advfirewall show currentprofile":           profile + " Profile Settings: \n-----\nState                                 ON\n",
			`reg query ` + windowsPolicy + `\PublicProfile`:   recorded(t, "windows-profile.txt"),
			`reg query ` + windowsPolicy + `\StandardProfile`: recorded(t, "windows-profile.txt"),
			`reg query ` + windowsPolicy + `\FirewallRules`:   recorded(t, "windows-rules.txt"),
		}
	}
	for _, tt := range []struct {
		name     string
		os       string
		commands commands
		called   string
		state    fwState
		want     []want
		allow    string // for 21100-21199
	}{
		{"ufw where the kernel's rules can't be seen", "linux", commands{
			"ufw status verbose": recorded(t, "ufw-status.txt"), "nft -j list ruleset": denied,
		}, "ufw", fwOn, []want{
			{2121, fwOpen, fwOpen}, {21100, fwOpen, fwUnsure}, {21150, fwUnsure, fwUnsure}, {990, fwOpen, fwOpen}, {2020, fwOpen, fwUnsure},
		}, "sudo ufw allow 21100:21199/tcp"},
		{"ufw, switched off", "linux", commands{"ufw status verbose": "Status: inactive\n", "nft -j list ruleset": `{"nftables": []}`},
			"nftables", fwOff, []want{{21, fwOpen, fwOpen}}, "sudo nft insert rule inet filter input tcp dport 21100-21199 accept"},
		{"firewalld asked by a user", "linux", commands{
			"firewall-cmd --state": "running\n", "firewall-cmd --get-zone-of-interface=eth0": "public\n",
			"firewall-cmd --zone=public --list-all": recorded(t, "firewalld-list-all.txt"), "nft -j list ruleset": denied,
		}, "firewalld", fwOn, []want{{21, fwOpen, fwOpen}, {2121, fwOpen, fwOpen}, {21149, fwOpen, fwOpen}, {21150, fwClosed, fwClosed}, {5353, fwClosed, fwClosed}},
			"sudo firewall-cmd --permanent --zone=public --add-port=21100-21199/tcp && sudo firewall-cmd --reload"},
		{"iptables whose rules the kernel keeps for nft", "linux", commands{
			"iptables-save": recorded(t, "iptables-save.txt"), "ip6tables-save": "", "nft -j list ruleset": recorded(t, "iptables-nft.json"),
		}, "iptables", fwOn, []want{
			{2121, fwOpen, fwOpen}, {21100, fwOpen, fwOpen}, {21150, fwOpen, fwOpen}, {22, fwOpen, fwClosed}, {23, fwClosed, fwClosed},
			{99, fwOpen, fwOpen},
		}, "sudo iptables -I INPUT -p tcp --dport 21100:21199 -j ACCEPT"},
		{"no firewall program at all", "linux", commands{}, "nftables", fwOff, []want{{21, fwOpen, fwOpen}}, ""},
		{"Windows on a private network", "windows", windows("Private"), windowsFirewall, fwOn, []want{
			{2121, fwOpen, fwOpen}, {21100, fwOpen, fwOpen}, {21150, fwClosed, fwClosed}, {990, fwOpen, fwClosed}, {7777, fwClosed, fwClosed}, {135, fwClosed, fwClosed},
		}, `netsh advfirewall firewall add rule name="Portside 21100-21199" dir=in action=allow protocol=TCP localport=21100-21199`},
		{"Windows on a public network", "windows", windows("Public"), windowsFirewall, fwOn, []want{{2121, fwOpen, fwOpen}, {21100, fwClosed, fwClosed}}, ""},
		{"Windows, switched off", "windows", commands{
			"netsh advfirewall show currentprofile":         "Public Profile Settings: \n",
			`reg query ` + windowsPolicy + `\PublicProfile`: strings.Replace(recorded(t, "windows-profile.txt"), "EnableFirewall    REG_DWORD    0x1", "EnableFirewall    REG_DWORD    0x0", 1),
		}, windowsFirewall, fwOff, []want{{21100, fwOpen, fwOpen}}, ""},
		{"macOS with the program blocked", "darwin", commands{
			socketFilter + " --getglobalstate": "Firewall is enabled. (State = 1) \n", socketFilter + " --getblockall": "Firewall has block all state set to disabled.\n",
			socketFilter + " --getappblocked /Applications/Portside": "The application at path (/Applications/Portside) is blocked\n",
		}, macFirewall, fwOn, []want{{21, fwClosed, fwClosed}}, "sudo " + socketFilter + " --add '/Applications/Portside' --unblockapp '/Applications/Portside'"},
		{"macOS that has not asked yet", "darwin", commands{
			socketFilter + " --getglobalstate": "Firewall is enabled. (State = 1) \n", socketFilter + " --getblockall": "Block all DISABLED! \n",
			socketFilter + " --getappblocked /Applications/Portside": "The application at path is not part of the firewall\n",
		}, macFirewall, fwOn, []want{{21, fwUnsure, fwUnsure}}, ""},
		{"macOS that blocks everything", "darwin", commands{
			socketFilter + " --getglobalstate": "Firewall is enabled. (State = 2) \n", socketFilter + " --getblockall": "Firewall has block all state set to enabled.\n",
		}, macFirewall, fwOn, []want{{21, fwClosed, fwClosed}}, ""},
		{"macOS, switched off", "darwin", commands{socketFilter + " --getglobalstate": "Firewall is disabled. (State = 0) \n"}, macFirewall, fwOff, []want{{21, fwOpen, fwOpen}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := readFirewall(t.Context(), SelfEnv{OS: tt.os, Root: true, Program: "/Applications/Portside", Run: tt.commands.run, ReadFile: noFiles}, "eth0")
			if f.ask == nil {
				t.Fatalf("the rules can't be seen: %s", f.why)
			}
			p := fwPacket{from: strangerV4, to: netip.MustParseAddr("192.168.1.20"), in: "eth0", port: 7}
			base := f.ask(p).base
			if got := f.called(base); got != tt.called || f.state != tt.state {
				t.Errorf("it is %s, state %d; want %s, %d", got, f.state, tt.called, tt.state)
			}
			for _, w := range tt.want {
				if near, far := at(f, w.port); near != w.near || far != w.far {
					t.Errorf("port %d: near %d, far %d; want %d, %d", w.port, near, far, w.near, w.far)
				}
			}
			if got := f.allow(21100, 21199, base); tt.allow != "" && got != tt.allow {
				t.Errorf("the line to type is %q, want %q", got, tt.allow)
			}
		})
	}
}

func TestUFWHasRulesOfItsOwnForIPv6(t *testing.T) {
	ask, _ := readUFW(recorded(t, "ufw-status.txt"))
	p := fwPacket{from: strangerV6, to: netip.MustParseAddr("2a00:1:2:3::20"), in: "eth0", port: 2121}
	if a := ask(p); a.verdict != fwClosed || !strings.Contains(a.rule, "DENY IN") {
		t.Errorf("port 2121 over IPv6: %d by %q, want closed by the rule for (v6)", a.verdict, a.rule)
	}
}

func TestWhatCannotBeSeenNamesTheCommandThatShowsIt(t *testing.T) {
	for name, tt := range map[string]struct {
		commands commands
		files    map[string]string
		see      string
		state    fwState
	}{
		"ufw is on":       {commands{"ufw status verbose": denied, "nft -j list ruleset": denied}, map[string]string{"/etc/ufw/ufw.conf": "# x\nENABLED=yes\n"}, "sudo ufw status verbose", fwOn},
		"ufw is off":      {commands{"ufw status verbose": denied, "nft -j list ruleset": denied}, map[string]string{"/etc/ufw/ufw.conf": "ENABLED=no\n"}, "sudo nft list ruleset", fwUnknown},
		"only iptables":   {commands{"iptables-save": denied}, nil, "sudo iptables-save", fwUnknown},
		"firewalld is on": {commands{"firewall-cmd --state": "running", "nft -j list ruleset": denied}, nil, "sudo firewall-cmd --list-all", fwOn},
	} {
		t.Run(name, func(t *testing.T) {
			env := SelfEnv{OS: "linux", Run: tt.commands.run, ReadFile: func(name string) ([]byte, error) {
				if text, ok := tt.files[name]; ok {
					return []byte(text), nil
				}
				return nil, fs.ErrNotExist
			}}
			f := readFirewall(t.Context(), env, "eth0")
			if f.ask != nil || f.see != tt.see || f.state != tt.state {
				t.Errorf("seen %v, state %d, to see it %q; want %d, %q", f.ask != nil, f.state, f.see, tt.state, tt.see)
			}
		})
	}
}

func TestARuleThatCantBeJudgedDecidesOnlyWhenItMatters(t *testing.T) {
	rules := func(last string) string {
		return `{"nftables": [{"chain": {"family": "inet", "table": "f", "name": "in", "hook": "input", "prio": 0, "policy": "` + last + `"}},
		{"rule": {"family": "inet", "table": "f", "chain": "in", "expr": [{"xt": {"type": "match", "name": "geoip"}}, {"accept": null}]}}]}`
	}
	for policy, want := range map[string]fwVerdict{"accept": fwOpen, "drop": fwUnsure} {
		s, err := parseNFT(rules(policy), func(string, string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		if a := s.ask(fwPacket{from: strangerV4, to: netip.MustParseAddr("10.0.0.1"), port: 21}); a.verdict != want {
			t.Errorf("policy %s: %d, want %d", policy, a.verdict, want)
		}
	}
}

func TestJumpsInACircleEnd(t *testing.T) {
	s := &fwRuleset{}
	c := s.chain("ip", "filter", "INPUT")
	c.hook = "input"
	for range 3 {
		c.rules = append(c.rules, fwRule{action: fwJump, target: c.key()})
	}
	if a := s.ask(fwPacket{to: netip.MustParseAddr("10.0.0.1")}); a.verdict != fwUnsure {
		t.Errorf("a circle of jumps is %d, want unsure", a.verdict)
	}
}

func FuzzFirewallListings(f *testing.F) {
	for _, name := range []string{"iptables-save.txt", "iptables-nft.json", "ufw-status.txt", "firewalld-list-all.txt", "windows-rules.txt"} {
		b, err := os.ReadFile(filepath.Join("testdata", "self", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := fwPacket{from: strangerV4, to: netip.MustParseAddr("192.168.1.20"), in: "eth0", port: 21}
		s := &fwRuleset{}
		addIPTables(s, "ip", text)
		s.ask(p)
		if s, err := parseNFT(text, func(string, string) bool { return false }); err == nil {
			s.ask(p)
		}
		for _, read := range []func(string) (func(fwPacket) fwAnswer, []int){readUFW, func(text string) (func(fwPacket) fwAnswer, []int) {
			return readFirewalld(text, func(string) string { return text })
		}, func(text string) (func(fwPacket) fwAnswer, []int) {
			return readWindowsRules(text, "Public", "x", false, false)
		}} {
			ask, cuts := read(text)
			spans(21100, 21199, cuts, func(port uint16) fwAnswer { p.port = port; return ask(p) })
		}
	})
}

// Two firewalls may be on at once, or one may have left its rules behind: the line to type is for the one that decides.
func TestTheFirewallThatDecidesIsNamed(t *testing.T) {
	own := &fwChain{family: "inet", table: "firewalld", name: "filter_INPUT", hook: "input"}
	iptables := &fwChain{family: "ip", table: "filter", name: "INPUT", hook: "input", iptables: true}
	other := &fwChain{family: "inet", table: "mine", name: "in", hook: "input"}
	for _, c := range []struct {
		f    firewall
		base *fwChain
		want string
	}{
		{firewall{name: "firewalld", table: "firewalld"}, nil, "firewalld"},
		{firewall{name: "firewalld", table: "firewalld"}, own, "firewalld"},
		{firewall{name: "firewalld", table: "firewalld"}, iptables, "iptables"},
		{firewall{name: "firewalld", table: "firewalld", ufwToo: true}, iptables, "ufw"},
		{firewall{name: "firewalld", table: "firewalld"}, other, "nftables"},
		{firewall{name: "firewalld"}, iptables, "firewalld"},
		{firewall{name: "ufw", ufwToo: true}, iptables, "ufw"},
		{firewall{name: "ufw", ufwToo: true}, other, "nftables"},
		{firewall{name: "nftables"}, iptables, "iptables"},
		{firewall{name: "nftables"}, other, "nftables"},
	} {
		if got := c.f.called(c.base); got != c.want {
			t.Errorf("%s, decided in %v: %s, want %s", c.f.name, c.base, got, c.want)
		}
	}
}
