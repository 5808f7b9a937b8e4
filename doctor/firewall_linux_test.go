package doctor

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests ask the kernel: two network namespaces with a cable between them, rules on one side, connections from the
// other. What the rules' reading says must be what a connection meets.

const (
	fwLabServer = "192.168.77.20"
	fwLabNear   = "192.168.77.57" // what neighbour makes of the server's address
	fwLabHelper = "PORTSIDE_TEST_IN_NAMESPACE"
	fwLabWait   = 150 * time.Millisecond
)

var fwLabPorts = []uint16{21, 2121, 21100, 21110, 21150, 21199}

// TestFirewallLabHelper is not a test: the others run this program again with it, inside a namespace.
func TestFirewallLabHelper(t *testing.T) {
	switch os.Getenv(fwLabHelper) {
	case "listen":
		for _, p := range fwLabPorts {
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", fwLabServer, p))
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			go func() {
				for {
					if c, err := l.Accept(); err == nil {
						c.Close()
					}
				}
			}()
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test that started it ends
		os.Exit(0)
	case "dial":
		wait, _ := time.ParseDuration(os.Getenv(fwLabHelper + "_WAIT"))
		var tasks sync.WaitGroup
		open := make([]bool, 2*len(fwLabPorts))
		for i, p := range fwLabPorts {
			for j, from := range []string{fwLabNear, strangerV4.String()} {
				tasks.Go(func() {
					d := net.Dialer{Timeout: wait, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
					if c, err := d.Dial("tcp", net.JoinHostPort(fwLabServer, fmt.Sprint(p))); err == nil {
						c.Close()
						open[2*i+j] = true
					}
				})
			}
		}
		tasks.Wait()
		fmt.Println(open)
		os.Exit(0)
	}
}

type fwLab struct {
	t              *testing.T
	server, client string
}

func newFWLab(t *testing.T) *fwLab {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	l := &fwLab{t, fmt.Sprintf("pstest%ds", os.Getpid()), fmt.Sprintf("pstest%dc", os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", l.server).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %s", out)
	}
	t.Cleanup(func() {
		exec.Command("ip", "netns", "del", l.server).Run()
		exec.Command("ip", "netns", "del", l.client).Run()
	})
	for _, line := range []string{
		"netns add " + l.client, "link add eth0 netns " + l.server + " type veth peer name eth0 netns " + l.client,
		"-n " + l.server + " addr add " + fwLabServer + "/24 dev eth0", "-n " + l.server + " link set eth0 up", "-n " + l.server + " link set lo up",
		"-n " + l.server + " route add default via " + fwLabNear,
		"-n " + l.client + " addr add " + fwLabNear + "/24 dev eth0", "-n " + l.client + " link set lo up",
		"-n " + l.client + " addr add " + strangerV4.String() + "/32 dev lo", "-n " + l.client + " link set eth0 up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %s", line, out)
		}
	}
	return l
}

func (l *fwLab) in(namespace string, name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", namespace, name}, args...)...)
}

func (l *fwLab) env() SelfEnv {
	e := System()
	e.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		if _, err := exec.LookPath(name); err != nil {
			return "", err
		}
		return runCommand(ctx, "ip", append([]string{"netns", "exec", l.server, name}, args...)...)
	}
	return e
}

// rules loads a rule set; false says that nft won't have it.
func (l *fwLab) rules(text string) bool {
	cmd := l.in(l.server, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\n" + text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Logf("nft: %s", out)
	}
	return err == nil
}

func (l *fwLab) listen() {
	self, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := l.in(l.server, self, "-test.run=^TestFirewallLabHelper$")
	cmd.Env = append(os.Environ(), fwLabHelper+"=listen")
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this program, however that ends
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { cmd.Process.Signal(syscall.SIGKILL); cmd.Wait() })
	buf := make([]byte, 5)
	if _, err := out.Read(buf); err != nil || string(buf) != "ready" {
		l.t.Fatalf("the listeners: %q %v", buf, err)
	}
}

// reached dials every port from a neighbour and from a stranger: the answers in the order of fwLabPorts, two each.
func (l *fwLab) reached(wait time.Duration) []string {
	self, _ := os.Executable()
	cmd := l.in(l.client, self, "-test.run=^TestFirewallLabHelper$")
	cmd.Env = append(os.Environ(), fwLabHelper+"=dial", fwLabHelper+"_WAIT="+wait.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("dialling: %v %s", err, out)
	}
	return strings.Fields(strings.Trim(strings.TrimSpace(string(out)), "[]"))
}

// compare asks for every port, both ways. ok is false when nft won't have the rules.
func (l *fwLab) compare(rules string) (unsure int, ok bool) {
	l.t.Helper()
	if !l.rules(rules) {
		return 0, false
	}
	fw := readFirewall(l.t.Context(), l.env(), "eth0")
	if fw.ask == nil {
		l.t.Fatalf("the rules can't be read: %s\n%s", fw.why, rules)
	}
	got := l.reached(fwLabWait)
	var slow []string // on a busy computer an answer may be late: asked again before it counts as none
	for i, port := range fwLabPorts {
		for j, from := range []netip.Addr{netip.MustParseAddr(fwLabNear), strangerV4} {
			a := fw.ask(fwPacket{from: from, to: netip.MustParseAddr(fwLabServer), in: "eth0", port: port})
			open := got[2*i+j] == "true"
			if !open && a.verdict == fwOpen {
				if slow == nil {
					slow = l.reached(8 * fwLabWait)
				}
				open = slow[2*i+j] == "true"
			}
			switch {
			case a.verdict == fwUnsure:
				unsure++
			case open != (a.verdict == fwOpen):
				l.t.Errorf("port %d from %s: a connection says open=%v, the rules' reading %v by %q\n%s", port, from, open, a.verdict, a.rule, rules)
			}
		}
	}
	return unsure, true
}

func TestFirewallReadingAgreesWithConnections(t *testing.T) {
	l := newFWLab(t)
	l.listen()
	head := "table inet filter {\n set lan { type ipv4_addr; flags interval; elements = { 192.168.0.0/16, 10.0.0.0/8 }; }\n" +
		" set ftp { type inet_service; flags interval; elements = { 21, 21100-21149 }; }\n" +
		" map verdicts { type inet_service : verdict; elements = { 21 : accept, 2121 : drop }; }\n" +
		" chain deep { tcp dport 21110 drop\n return\n }\n chain lists {\n ip saddr @lan accept\n jump deep\n }\n"
	chain := func(rules string) string {
		return head + "chain input { type filter hook input priority filter; policy drop;\n" + rules + "\n}\n}\n"
	}
	for _, rules := range []string{
		"", // no rules at all
		chain("iif lo accept"),
		chain("ct state established,related accept; tcp dport { 2121, 21100-21150 } accept"),
		chain("tcp dport @ftp ip saddr @lan accept"),
		chain("tcp dport vmap @verdicts; tcp dport 21100-21199 jump lists; tcp dport 21150 reject with tcp reset"),
		chain("tcp dport vmap { 21 : jump lists, 2121 : accept, 21100-21199 : goto deep }; accept"),
		chain("tcp flags & (fin|syn|rst|ack) == syn tcp dport >= 21110 accept; tcp flags != syn ct state new drop"),
		chain("iifname \"et*\" meta l4proto tcp th dport != { 21, 2121 } accept; ip saddr != 192.168.77.0/24 drop; tcp dport 21 accept"),
		chain("fib daddr type local meta pkttype host ip saddr . tcp dport { 192.168.77.57 . 21, 9.78.65.43 . 2121 } accept"),
		chain("ct state vmap { established : accept, invalid : drop }; limit rate over 1000/second burst 500 packets drop; tcp dport 21 limit rate 100/second burst 50 packets accept; tcp dport 2121 ct count over 100 drop; meta nfproto ipv6 accept; ip protocol tcp tcp dport 21199 accept"),
		chain("accept") + "table ip early { chain pre { type filter hook prerouting priority raw; tcp dport 21100-21120 drop; }\n}\n",
		chain("accept") + "table inet second { chain input { type filter hook input priority 10; policy drop; tcp dport 21 accept; }\n}\n",
		chain("tcp dport 21110 reject; tcp sport 1024-65535 ip daddr " + fwLabServer + " accept"),
	} {
		if unsure, ok := l.compare(rules); !ok || unsure > 0 {
			t.Errorf("these rules can be loaded and judged, but were not:\n%s", rules)
		}
	}
}

func TestFirewallReadingIsRightOrUnsureForRandomRules(t *testing.T) {
	l := newFWLab(t)
	l.listen()
	rounds := 6
	if os.Getenv("PORTSIDE_TEST_ROUNDS") != "" {
		fmt.Sscan(os.Getenv("PORTSIDE_TEST_ROUNDS"), &rounds)
	}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	tests := []string{
		"tcp dport 21", "tcp dport { 2121, 21100-21120 }", "tcp dport != 21110", "tcp dport > 2121", "tcp dport @ftp", "ip saddr 192.168.0.0/16",
		"ip saddr != 192.168.77.57", "ip saddr 9.0.0.0-9.255.255.255", "iifname eth0", "iifname != \"eth*\"", "ct state new", "ct state established",
		"ct state != new", "meta l4proto udp", "meta l4proto { tcp, udp }", "meta nfproto ipv4", "ip protocol tcp", "udp dport 21", "th dport 21100-21199",
		"tcp flags syn", "tcp sport >= 1024", "ip ttl 64", "meta mark 0", "ip daddr " + fwLabServer, "fib daddr type local",
	}
	for range rounds {
		var b strings.Builder
		b.WriteString("table inet filter {\n set ftp { type inet_service; flags interval; elements = { 21, 21100-21149 }; }\n")
		rule := func(targets ...string) {
			for range r.IntN(3) {
				b.WriteString(pick(tests...) + " ")
			}
			b.WriteString(pick("", "", "counter ", "log ") + pick(targets...) + "\n")
		}
		end := []string{"accept", "drop", "reject", "return", "continue"}
		for i := range 3 { // chain n jumps to those before it
			fmt.Fprintf(&b, "chain c%d {\n", i)
			for range r.IntN(4) {
				targets := end
				if i > 0 {
					targets = append([]string{fmt.Sprintf("jump c%d", r.IntN(i)), fmt.Sprintf("goto c%d", r.IntN(i))}, end...)
				}
				rule(targets...)
			}
			b.WriteString("}\n")
		}
		for i := range 1 + r.IntN(2) {
			// The way back must stay open, or every port looks closed.
			fmt.Fprintf(&b, "chain in%d { type filter hook input priority %d; policy %s;\nct state established,related accept\n", i, i*10, pick("accept", "drop"))
			for range 1 + r.IntN(5) {
				rule(append([]string{"jump c0", "jump c1", "jump c2", "goto c2"}, end...)...)
			}
			b.WriteString("}\n")
		}
		b.WriteString("}\n")
		l.compare(b.String())
	}
}

func TestWithoutRightsTheCheckSaysWhatToRun(t *testing.T) {
	l := newFWLab(t)
	l.rules("table inet filter { chain input { type filter hook input priority 0; policy drop; }\n}\n")
	env := l.env()
	env.Root = false
	env.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", err
		}
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.Output()
		return string(out), err
	}
	env.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	fw := readFirewall(t.Context(), env, "eth0")
	if fw.ask != nil || fw.see != "sudo nft list ruleset" {
		t.Errorf("without rights: ask=%v see=%q why=%q", fw.ask != nil, fw.see, fw.why)
	}
}
