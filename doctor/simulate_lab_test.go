package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/connlog"
	"portside/wire"
)

// labEnv names the environment variable with the path of the laboratory's lab.sh: a client, two routers and a server, each
// in a network namespace, with nftables between them.
const labEnv = "PORTSIDE_LAB"

func lab(t *testing.T) string {
	t.Helper()
	script := os.Getenv(labEnv)
	if script == "" {
		t.Skip(labEnv + " is not set: no laboratory to compare with")
	}
	if os.Geteuid() != 0 {
		t.Skip("the laboratory's network namespaces need root")
	}
	for _, program := range []string{"bash", "ip", "nft", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("the laboratory needs " + program)
		}
	}
	return script
}

func TestTheRecordedScenariosAreTheLaboratorys(t *testing.T) {
	out, err := exec.Command("bash", lab(t), "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	truth := map[string]Verdict{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 1 {
			truth[f[0]] = Verdict(f[1])
		}
	}
	for _, m := range modelled {
		if truth[m.scenario] != m.verdict {
			t.Errorf("%s is recorded as %s, the laboratory says %q", m.scenario, m.verdict, truth[m.scenario])
		}
	}
}

// TestTheTableAgreesWithTheLaboratory builds every setup that differs in what the network sees, with real routers,
// firewalls, helpers and a real server, and lists through it with a client that believes what it is told. It takes some
// minutes, mostly of waiting: run it with -timeout 30m.
func TestTheTableAgreesWithTheLaboratory(t *testing.T) {
	source, err := os.ReadFile(lab(t))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	setups := distinct()
	var scenarios strings.Builder
	for i, s := range setups {
		fmt.Fprintf(&scenarios, "S_learn_%d(){ is ok \"\" \"\"; %s; }\n", i, labVars(s))
	}
	home := filepath.Dir(os.Getenv(labEnv))
	text := strings.Replace(string(source), "\nnames(){", "\n"+scenarios.String()+"names(){", 1)
	text = strings.Replace(text, "HERE=$(", "HERE="+strconv.Quote(home)+" # $(", 1)
	text = strings.Replace(text, "; SELF=$HERE/lab.sh", "", 1)
	script := filepath.Join(t.TempDir(), "lab.sh")
	if err := os.WriteFile(script, []byte("SELF="+script+"\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}

	next := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range next {
				s := setups[i]
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				cmd := exec.CommandContext(ctx, "bash", script, "run", "learn-"+strconv.Itoa(i), "--", self, "-test.run=^TestLaboratoryClient$", "-test.v")
				cmd.Env = append(os.Environ(), clientEnv+"="+clientArgs(s))
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				cancel()
				_, saw, found := strings.Cut(string(out), "outcome: ")
				saw, _, _ = strings.Cut(saw, "\n")
				if !found {
					t.Errorf("no outcome for %+v: %v\n%s%s", s, err, out, stderr.Bytes())
					continue
				}
				if want := labOutcome(Simulate(s)); saw != want {
					t.Errorf("the table says %q (%s), the laboratory %q, for %s (%s)", want, Simulate(s).Verdict, saw, labVars(s), clientArgs(s))
				}
			}
		})
	}
	for i := range setups {
		next <- i
	}
	close(next)
	wg.Wait()
	t.Logf("%d setups compared", len(setups))
}

// distinct returns the setups that differ for the network, each once: without the switches that have no effect beside the
// others, and in passive mode with one client, as no more of the client's side has a say there than its strict firewall.
func distinct() []Setup {
	seen := map[Setup]bool{}
	var out []Setup
	everySetup(func(s Setup) {
		for _, sw := range Switches() {
			if !sw.Matters(s) {
				*sw.Field(&s) = false
			}
		}
		if !s.RangeSet {
			s.RangeOpen, s.RangeForwarded = false, false
		}
		if s.Mode == connlog.Passive {
			s.ClientNAT = true
			s.ClientFirewall = s.ClientStrict
			if s.ClientStrict && s.ServerNAT {
				return
			}
		} else {
			s.RangeSet = false
			s.ServerFirewall = s.ServerStrict
		}
		if !s.Helper {
			s.TLS = false
		}
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	})
	return out
}

// labVars says a setup in the laboratory's words. Its passive range is 50000–50009, the client's active ports are
// 52000–52009.
func labVars(s Setup) string {
	bit := map[bool]string{false: "0", true: "1"}
	v := []string{"CN=" + bit[s.ClientNAT], "SN=" + bit[s.ServerNAT], "MODE=" + string(s.Mode), "FWD="}
	set := func(name, value string) { v = append(v, name+"='"+value+"'") }
	if s.RangeForwarded {
		set("FWD", "50000-50009")
	}
	if !s.RangeSet {
		v = append(v, "PMIN=40000", "PMAX=40999")
	}
	if !s.PassiveIP {
		v = append(v, "PIP=")
	}
	if s.ServerFirewall {
		in := "tcp dport 21 accept; "
		if s.RangeOpen {
			in += "tcp dport 50000-50009 accept; "
		}
		set("SVFW", in+"ct state new counter drop")
	}
	if s.ServerStrict && s.ServerFirewall {
		set("SVOUT", "oifname s0 ct state new counter drop")
	}
	if s.ClientFirewall {
		in := ""
		if s.ActiveOpen {
			in = "tcp dport 52000-52009 accept; "
		}
		set("CLFW", in+"ct state new counter drop")
	}
	var forward []string
	if s.ClientStrict && s.ClientFirewall {
		forward = append(forward, "iifname l0 tcp dport != { 21, 80, 443, 990 } counter drop")
	}
	if s.ActiveForwarded && s.ClientNAT {
		set("CRNAT", "chain pre { type nat hook prerouting priority -100; iifname w0 tcp dport 52000-52009 dnat to 10.1.0.2; }")
		forward = append(forward, "iifname w0 ct status dnat accept")
	}
	set("CRFW", strings.Join(forward, "; "))
	if s.Helper {
		v = append(v, "SRALG=1", "CRALG=1")
	}
	if s.TLS {
		v = append(v, "TLS=explicit", "PTLS=explicit")
	}
	return strings.Join(v, " ")
}

// labOutcome is what the laboratory's client sees of a run.
func labOutcome(r Run) string {
	switch {
	case r.Works:
		return "works"
	case r.Steps[len(r.Steps)-1].Word == "Refused":
		return "refused"
	}
	return "blocked"
}

const clientEnv = "PORTSIDE_LAB_CLIENT"

func clientArgs(s Setup) string {
	args := string(s.Mode)
	if s.EPSV {
		args += " epsv"
	}
	if s.TLS {
		args += " tls"
	}
	if s.ActiveForwarded && s.ClientNAT {
		args += " public"
	}
	return args
}

// TestLaboratoryClient is the client in the laboratory: this test binary, started again in a network namespace. It does
// what it is told and dials where the server says, as many clients do and Portside's own does not.
func TestLaboratoryClient(t *testing.T) {
	args := os.Getenv(clientEnv)
	if args == "" {
		t.Skip("runs in the laboratory only")
	}
	saw, err := list(strings.Fields(args))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("outcome: %s\n", saw)
}

const labWait = 2500 * time.Millisecond // two SYNs

func list(args []string) (string, error) {
	has := func(word string) bool { return slices.Contains(args, word) }
	conn, err := net.DialTimeout("tcp4", os.Getenv("FTP_HOST")+":"+os.Getenv("FTP_PORT"), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	local, peer := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	c := &session{r: textproto.NewReader(bufio.NewReader(conn)), w: conn}
	if _, err := c.reply(220); err != nil {
		return "", err
	}
	config := &tls.Config{InsecureSkipVerify: true, ServerName: os.Getenv("FTP_HOST"), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if has("tls") {
		if _, err := c.ask(234, "AUTH TLS"); err != nil {
			return "", err
		}
		protected := tls.Client(conn, config)
		c = &session{r: textproto.NewReader(bufio.NewReader(protected)), w: protected}
	}
	if _, err := c.ask(331, "USER %s", os.Getenv("FTP_USER")); err != nil {
		return "", err
	}
	if _, err := c.ask(230, "PASS %s", os.Getenv("FTP_PASS")); err != nil {
		return "", err
	}
	if has("tls") {
		for _, line := range []string{"PBSZ 0", "PROT P"} {
			if _, err := c.ask(200, "%s", line); err != nil {
				return "", err
			}
		}
	}

	var data net.Conn
	if has("active") {
		var listener net.Listener
		var err error
		for port := 52000; port < 52010; port++ {
			if listener, err = net.Listen("tcp4", ":"+strconv.Itoa(port)); err == nil {
				break
			}
		}
		if err != nil {
			return "", err
		}
		defer listener.Close()
		at := netip.AddrPortFrom(local.Addr(), listener.Addr().(*net.TCPAddr).AddrPort().Port())
		if has("public") {
			at = netip.AddrPortFrom(netip.MustParseAddr("198.51.100.2"), at.Port())
		}
		if _, err := c.ask(200, "PORT %s", wire.FormatPort(at)); err != nil {
			return "refused", nil
		}
		if err := c.send("LIST"); err != nil {
			return "", err
		}
		if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(labWait)); err != nil {
			return "", err
		}
		if data, err = listener.Accept(); err != nil {
			return "blocked", nil
		}
	} else {
		var to netip.AddrPort
		if has("epsv") {
			text, err := c.ask(229, "EPSV")
			if err != nil {
				return "", err
			}
			port, err := wire.Parse229(text)
			if err != nil {
				return "", err
			}
			to = netip.AddrPortFrom(peer.Addr(), port)
		} else {
			text, err := c.ask(227, "PASV")
			if err != nil {
				return "", err
			}
			if to, err = wire.Parse227(text); err != nil {
				return "", err
			}
		}
		var err error
		if data, err = net.DialTimeout("tcp4", to.String(), labWait); err != nil {
			return "blocked", nil
		}
		if err := c.send("LIST"); err != nil {
			return "", err
		}
	}
	defer data.Close()
	if err := data.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := c.reply(150); err != nil {
		return "", err
	}
	if has("tls") {
		data = tls.Client(data, config)
	}
	if listing, err := io.ReadAll(data); err != nil || !bytes.Contains(listing, []byte("hello.txt")) {
		return "", fmt.Errorf("the listing is %q: %w", listing, errors.Join(err))
	}
	return "works", nil
}

// session is a control connection.
type session struct {
	r *textproto.Reader
	w io.Writer
}

func (s *session) send(line string) error {
	_, err := io.WriteString(s.w, line+"\r\n")
	return err
}

func (s *session) reply(code int) (string, error) {
	_, text, err := s.r.ReadResponse(code)
	return text, err
}

func (s *session) ask(code int, format string, args ...any) (string, error) {
	if err := s.send(fmt.Sprintf(format, args...)); err != nil {
		return "", err
	}
	return s.reply(code)
}
