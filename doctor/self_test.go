package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portside/localserver"
)

var selfNow = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const linuxRoutes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
	"wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\neth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
	"eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"

// healthy is a computer on a home network where nothing is wrong, and a server on it.
func healthy() (SelfTarget, SelfEnv) {
	t := SelfTarget{
		Port: 2121, TLS: localserver.TLSExplicit, Root: "/srv/ftp", People: 12, FilesEach: 4,
		Passive: localserver.PassiveConfig{UseRange: true, Min: 21100, Max: 21199, IP: localserver.PassiveIP{Mode: localserver.PassiveFixed, Value: "198.51.100.7"}},
	}
	files := map[string]string{
		"/proc/net/route": linuxRoutes, "/proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n", "/proc/sys/net/ipv4/ip_local_reserved_ports": "\n",
	}
	return t, SelfEnv{
		OS: "linux", Root: true, Program: "/opt/portside", Now: func() time.Time { return selfNow },
		Run: commands{"nft -j list ruleset": `{"nftables": []}`}.run,
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
		Interfaces: func() ([]SelfInterface, error) {
			return []SelfInterface{
				{"docker0", []netip.Prefix{netip.MustParsePrefix("172.17.0.1/16")}},
				{"eth0", []netip.Prefix{netip.MustParsePrefix("192.168.1.20/24"), netip.MustParsePrefix("fe80::1/64")}},
			}, nil
		},
		Listen:     func(context.Context, netip.Addr, uint16) error { return nil },
		FileLimit:  func() (uint64, bool) { return 1024, true },
		Resolve:    func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") },
		ReadFolder: func(string) error { return nil },
	}
}

func find(r SelfReport, id string) SelfFinding {
	for _, f := range r.Findings {
		if f.ID == id {
			return f
		}
	}
	return SelfFinding{}
}

func TestNothingIsWrongWithAHealthyServer(t *testing.T) {
	target, env := healthy()
	r := CheckSelf(t.Context(), target, env)
	for _, f := range r.Findings {
		if f.State != SelfGood || f.Side != Nobody || f.Sentence == "" {
			t.Errorf("%s: %s (%s) %s", f.ID, f.Sentence, f.State, f.Detail)
		}
	}
	if r.Bad() || len(r.Findings) < 11 {
		t.Errorf("bad %v, %d findings", r.Bad(), len(r.Findings))
	}
}

func public(env *SelfEnv, address string) {
	env.Interfaces = func() ([]SelfInterface, error) {
		return []SelfInterface{{"eth0", []netip.Prefix{netip.MustParsePrefix(address)}}}, nil
	}
}

func TestFindingsNameTheFaultTheFixAndWhoHasToAct(t *testing.T) {
	ufw := commands{"ufw status verbose": "Status: active\nDefault: deny (incoming), allow (outgoing), disabled (routed)\n\n2121/tcp  ALLOW IN    Anywhere\n", "nft -j list ruleset": denied}
	for name, tt := range map[string]struct {
		change func(*SelfTarget, *SelfEnv)
		id     string
		state  SelfState
		says   string
		fix    string
		side   Side
	}{
		"the passive range is closed": {func(_ *SelfTarget, e *SelfEnv) { e.Run = ufw.run },
			SelfPassive, SelfBad, "Passive ports 21100-21199 are closed (ufw).", "sudo ufw allow 21100:21199/tcp", ServerComputer},
		"the control port is open beside it": {func(_ *SelfTarget, e *SelfEnv) { e.Run = ufw.run },
			SelfControlPort, SelfGood, "Control port 2121 is open (ufw).", "", Nobody},
		"a part of the range is closed": {func(_ *SelfTarget, e *SelfEnv) {
			e.Run = commands{"ufw status verbose": ufw["ufw status verbose"] + "21100:21149/tcp  ALLOW IN  Anywhere\n", "nft -j list ruleset": denied}.run
		}, SelfPassive, SelfBad, "Passive ports 21150-21199 of 21100-21199 are closed", "sudo ufw allow 21100:21199/tcp", ServerComputer},
		"the range is open to this network only": {func(_ *SelfTarget, e *SelfEnv) {
			e.Run = commands{"ufw status verbose": ufw["ufw status verbose"] + "21100:21199/tcp  ALLOW IN  192.168.1.0/24\n", "nft -j list ruleset": denied}.run
		}, SelfPassive, SelfWarn, "open to this network only", "sudo ufw allow 21100:21199/tcp", ServerComputer},
		"the rules need rights": {func(_ *SelfTarget, e *SelfEnv) {
			e.Root, e.Run = false, commands{"nft -j list ruleset": denied}.run
		}, SelfFirewall, SelfUnknown, "can't be seen", "sudo nft list ruleset", ServerComputer},
		"the control port is taken": {func(_ *SelfTarget, e *SelfEnv) {
			e.Listen = func(_ context.Context, _ netip.Addr, p uint16) error {
				if p == 2121 {
					return ErrPortTaken
				}
				return nil
			}
			e.Run = commands{"nft -j list ruleset": `{"nftables": []}`, "ss -ltnpH": "LISTEN 0      32           0.0.0.0:2121      0.0.0.0:*    users:((\"vsftpd\",pid=812,fd=3))\n"}.run
		}, SelfListen, SelfBad, "Control port 2121 is taken by vsftpd (process 812).", "", ServerComputer},
		"the control port needs rights": {func(t *SelfTarget, e *SelfEnv) {
			t.Port = 21
			e.Listen = func(_ context.Context, _ netip.Addr, p uint16) error {
				if p == 21 {
					return fs.ErrPermission
				}
				return nil
			}
		}, SelfListen, SelfBad, "needs administrator rights", "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=21", ServerComputer},
		"it listens on loopback": {func(t *SelfTarget, _ *SelfEnv) { t.Listen = netip.MustParseAddr("127.0.0.1") },
			SelfListen, SelfWarn, "only programs on this computer", "", ServerSettings},
		"it listens where this computer is not": {func(t *SelfTarget, _ *SelfEnv) { t.Listen = netip.MustParseAddr("192.168.9.9") },
			SelfListen, SelfBad, "none of this computer's addresses", "", ServerSettings},
		"no network": {func(_ *SelfTarget, e *SelfEnv) { e.Interfaces = func() ([]SelfInterface, error) { return nil, nil } },
			SelfAddresses, SelfWarn, "in no network", "", ServerComputer},
		"the provider translates addresses": {func(_ *SelfTarget, e *SelfEnv) { public(e, "100.72.3.4/22") },
			SelfNAT, SelfWarn, "RFC 6598", "", ServerNetwork},
		"a public address": {func(_ *SelfTarget, e *SelfEnv) { public(e, "8.8.4.5/24") },
			SelfNAT, SelfGood, "public address of its own", "", Nobody},
		"Passive IP is automatic behind a router": {func(t *SelfTarget, _ *SelfEnv) { t.Passive.IP = localserver.PassiveIP{} },
			SelfPassiveIP, SelfWarn, "people outside are told 192.168.1.20", "", ServerSettings},
		"Passive IP is private": {func(t *SelfTarget, _ *SelfEnv) { t.Passive.IP.Value = "192.168.1.20" },
			SelfPassiveIP, SelfWarn, "people on the internet can't reach it", "", ServerSettings},
		"Passive IP is a name without address": {func(t *SelfTarget, _ *SelfEnv) {
			t.Passive.IP = localserver.PassiveIP{Mode: localserver.PassiveHost, Value: "home.example.org"}
		}, SelfPassiveIP, SelfBad, "home.example.org has no IPv4 address", "", ServerSettings},
		"too few ports": {func(t *SelfTarget, _ *SelfEnv) { t.Passive.Max = 21109 },
			SelfRangeSize, SelfWarn, "10 passive ports are too few for 12 people moving 4 files each: about 72 are needed.", "21100-21179", ServerSettings},
		"the system's own ports": {func(t *SelfTarget, _ *SelfEnv) { t.Passive.Min, t.Passive.Max = 40000, 40099 },
			SelfEphemeral, SelfWarn, "port 40000", "sudo sysctl -w net.ipv4.ip_local_reserved_ports=40000-40099", ServerSettings},
		"another program in the range": {func(_ *SelfTarget, e *SelfEnv) {
			e.Listen = func(_ context.Context, _ netip.Addr, p uint16) error {
				if p == 21110 {
					return ErrPortTaken
				}
				return nil
			}
			e.Run = commands{"nft -j list ruleset": `{"nftables": []}`, "ss -ltnpH": "LISTEN 0 511 [::]:21110 [::]:* users:((\"node\",pid=77,fd=20))\n"}.run
		}, SelfBusy, SelfWarn, "1 port of the passive range is used by other programs: 21110 by node (process 77).", "", ServerComputer},
		"port 20 without rights": {func(t *SelfTarget, e *SelfEnv) {
			t.Port20 = true
			e.Listen = func(_ context.Context, _ netip.Addr, p uint16) error {
				if p == 20 {
					return fs.ErrPermission
				}
				return nil
			}
		}, SelfPort20, SelfWarn, "port 20 can't be used", "sudo setcap cap_net_bind_service=+ep '/opt/portside'", ServerComputer},
		"few open files": {func(t *SelfTarget, e *SelfEnv) { e.FileLimit = func() (uint64, bool) { return 128, true } },
			SelfFiles, SelfBad, "only 128 files", "ulimit -n 440", ServerComputer},
		"TLS is off": {func(t *SelfTarget, _ *SelfEnv) { t.TLS = localserver.TLSOff },
			SelfCertificate, SelfWarn, "in clear", "", ServerSettings},
		"the certificate has ended": {func(t *SelfTarget, _ *SelfEnv) {
			t.Certificate = certificate(selfNow.AddDate(0, 0, -1), "192.168.1.20")
		},
			SelfCertificate, SelfBad, "ended on 2026-06-30", "", ServerSettings},
		"the certificate ends soon": {func(t *SelfTarget, _ *SelfEnv) { t.Certificate = certificate(selfNow.AddDate(0, 0, 9), "192.168.1.20") },
			SelfCertificate, SelfWarn, "ends on 2026-07-10", "", ServerSettings},
		"the certificate is of another network": {func(t *SelfTarget, _ *SelfEnv) {
			t.Certificate, t.CertFile = certificate(selfNow.AddDate(1, 0, 0), "10.0.0.9"), "/home/a/it's.pem"
		}, SelfCertificate, SelfWarn, "does not name 192.168.1.20", `rm '/home/a/it'\''s.pem'`, ServerSettings},
		"the folder can't be read": {func(_ *SelfTarget, e *SelfEnv) { e.ReadFolder = func(string) error { return fs.ErrPermission } },
			SelfFolder, SelfBad, "/srv/ftp can't be read", "", ServerComputer},
	} {
		t.Run(name, func(t *testing.T) {
			target, env := healthy()
			tt.change(&target, &env)
			r := CheckSelf(t.Context(), target, env)
			f := find(r, tt.id)
			if f.State != tt.state || !strings.Contains(f.Sentence, tt.says) || f.Fix != tt.fix || f.Side != tt.side {
				t.Errorf("got  %s %q fix %q side %q\nwant %s %q fix %q side %q", f.State, f.Sentence, f.Fix, f.Side, tt.state, tt.says, tt.fix, tt.side)
			}
			if tt.state == SelfBad && !r.Bad() {
				t.Error("the report is not bad")
			}
		})
	}
}

// certificate returns a self-signed one for an address.
func certificate(until time.Time, address string) *x509.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: until.AddDate(-2, 0, 0), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(address)},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}

func TestARunningServersPortsAreLookedAtAndNotTouched(t *testing.T) {
	target, env := healthy()
	target.Running, target.Held = true, []uint16{21101}
	env.Listen = func(_ context.Context, _ netip.Addr, p uint16) error {
		t.Errorf("port %d was touched", p)
		return nil
	}
	read := env.ReadFile
	env.ReadFile = func(name string) ([]byte, error) {
		if name == "/proc/net/tcp" { // 21101 is ours, 21102 is not, and on 21103 a connection stands
			return []byte("  sl  local_address rem_address   st\n   0: 00000000:526D 00000000:0000 0A x\n   1: 00000000:526E 00000000:0000 0A x\n   2: 1401A8C0:526F 0101A8C0:1F90 01 x\n"), nil
		}
		return read(name)
	}
	f := find(CheckSelf(t.Context(), target, env), SelfBusy)
	if f.State != SelfWarn || !strings.Contains(f.Sentence, "1 port of the passive range is used by other programs: 21102.") {
		t.Errorf("%+v", f)
	}
}

func TestRouterMappingsAreFoundOut(t *testing.T) {
	g := newGateway(t, true, false)
	check := func() (SelfReport, SelfFinding) {
		target, env := healthy()
		target.Passive.Max = 21102
		target.People = 0
		env.FindRouter = func(ctx context.Context, s RouterSearch) (*Router, error) {
			if s.Gateway != netip.MustParseAddr("192.168.1.1") || s.Local != netip.MustParseAddr("192.168.1.20") {
				t.Errorf("asked for %+v", s)
			}
			r, err := FindRouter(ctx, g.search)
			if err == nil {
				r.local = s.Local
			}
			return r, err
		}
		r := CheckSelf(t.Context(), target, env)
		return r, find(r, SelfRouter)
	}
	r, f := check()
	if f.State != SelfWarn || f.Sentence != "Router: no mapping for 2121, 21100-21102." || r.Router == nil || r.Forwarded || len(r.Forward) != 4 {
		t.Errorf("no mapping: %+v %v", f, r.Forward)
	}
	if err := r.Router.Map(t.Context(), r.Forward); err != nil {
		t.Fatal(err)
	}
	if r, f = check(); f.State != SelfGood || !r.Forwarded {
		t.Errorf("all mapped: %+v", f)
	}
	g.set(func() { delete(g.mappings, "21101") })
	if _, f = check(); f.State != SelfWarn || !strings.Contains(f.Sentence, "not port 21101") {
		t.Errorf("one missing: %+v", f)
	}
	g.set(func() { g.mappings["21101"] = "192.168.1.99" })
	if _, f = check(); !strings.Contains(f.Sentence, "forwards port 21101 to another computer") {
		t.Errorf("one elsewhere: %+v", f)
	}
	g.set(func() { g.external = "100.64.1.2" })
	if r, _ = check(); find(r, SelfNAT).State != SelfWarn || find(r, SelfNAT).Side != ServerNetwork {
		t.Errorf("two translations: %+v", find(r, SelfNAT))
	}
	g.set(func() { g.external = "198.51.100.8" })
	if r, _ = check(); find(r, SelfPassiveIP).State != SelfBad || find(r, SelfPassiveIP).Fix != "198.51.100.8" {
		t.Errorf("another outside address than Passive IP: %+v", find(r, SelfPassiveIP))
	}
}

func TestPortsNeededGrowsWithPeopleAndFiles(t *testing.T) {
	for _, tt := range []struct{ people, files, want int }{
		{1, 1, 20}, {2, 4, 20}, {12, 4, 72}, {50, 4, 300}, {5, 4, 35}, {0, 0, 20}, {1_000_000, 1000, maxPassivePorts},
	} {
		if got, why := PortsNeeded(tt.people, tt.files); got != tt.want || why == "" || strings.Contains(why, "-") {
			t.Errorf("%d people, %d files: %d %q, want %d", tt.people, tt.files, got, why, tt.want)
		}
	}
	for load, want := range map[float64]int{1: 6, 5: 14, 10: 21, 20: 35, 50: 71, 100: 128} { // the usual tables of Erlang B at 0.1 %
		if got := erlangB(load, 0.001); got != want {
			t.Errorf("Erlang B of %v: %d, want %d", load, got, want)
		}
	}
}

func TestASuggestedRangeIsFreeOfOtherUses(t *testing.T) {
	e := Ephemeral{Min: 32768, Max: 60999}
	for _, tt := range []struct{ min, need, control, lo, hi int }{
		{21100, 72, 2121, 21100, 21179}, {40000, 100, 21, 21100, 21199}, {2100, 100, 2121, 21100, 21199}, {21100, 20000, 2121, 2122, 22121}, {60990, 10, 21, 21100, 21109},
	} {
		if lo, hi := SuggestRange(tt.min, tt.need, tt.control, e); lo != tt.lo || hi != tt.hi {
			t.Errorf("from %d, %d ports: %d-%d, want %d-%d", tt.min, tt.need, lo, hi, tt.lo, tt.hi)
		}
	}
	for _, control := range []int{21, 1024, 2121, 40000, 65535} {
		for need := 20; need <= maxPassivePorts; need += 976 {
			lo, hi := SuggestRange(21100, need, control, e)
			most := max(control-1024, 65535-max(control, 1023)) // on one side of the control port
			if lo < 1024 || hi > 65535 || hi-lo+1 < min(need, most) || control >= lo && control <= hi {
				t.Errorf("%d ports beside %d: %d-%d", need, control, lo, hi)
			}
		}
	}
}

func TestAddressesAreOfTheirKind(t *testing.T) {
	for text, want := range map[string]AddressKind{
		"10.1.2.3": Private, "172.31.0.1": Private, "172.32.0.1": Public, "192.168.0.1": Private, "100.64.0.1": Shared, "100.128.0.1": Public,
		"169.254.1.1": LinkLocal, "127.0.0.9": Loopback, "0.0.0.0": Useless, "255.255.255.255": Useless, "224.0.0.1": Useless, "203.0.113.5": Public,
		"::1": Loopback, "fe80::1": LinkLocal, "fd00::1": Unique, "2001:db8::1": Public, "::ffff:192.168.1.1": Private,
	} {
		if got := KindOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestTheDefaultRouteIsReadOnEverySystem(t *testing.T) {
	interfaces := []SelfInterface{{"lan", []netip.Prefix{netip.MustParsePrefix("10.0.0.7/24")}}, {"en0", []netip.Prefix{netip.MustParsePrefix("192.168.1.20/24")}}}
	for system, env := range map[string]SelfEnv{
		"linux":   {ReadFile: func(string) ([]byte, error) { return []byte(strings.ReplaceAll(linuxRoutes, "eth0", "en0")), nil }},
		"darwin":  {Run: commands{"route -n get default": "   route to: default\ndestination: default\n       mask: default\n    gateway: 192.168.1.1\n  interface: en0\n      flags: <UP,GATEWAY>\n"}.run},
		"windows": {Run: commands{"route print -4 0.0.0.0": "===\nIPv4-Routentabelle\n===\nAktive Routen:\n     Netzwerkziel    Netzwerkmaske          Gateway    Schnittstelle Metrik\n          0.0.0.0          0.0.0.0      192.168.1.1     192.168.1.20     25\n===\n"}.run},
	} {
		env.OS = system
		r := defaultRoute(t.Context(), env, interfaces)
		if r.gateway != netip.MustParseAddr("192.168.1.1") || r.iface != "en0" || r.local.Addr() != netip.MustParseAddr("192.168.1.20") {
			t.Errorf("%s: %+v", system, r)
		}
	}
}

func TestTheCheckOfThisComputerEnds(t *testing.T) {
	env := System()
	env.FindRouter = nil
	target, _ := healthy()
	target.Root = t.TempDir()
	target.Passive.IP = localserver.PassiveIP{}
	if r := CheckSelf(t.Context(), target, env); len(r.Findings) < 8 {
		t.Errorf("%+v", r.Findings)
	}
}
