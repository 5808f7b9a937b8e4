package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
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
	"sync/atomic"
	"testing"
	"time"

	"portside/client"
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

// TestTheTableAgreesWithTheLaboratory builds every setup, with real routers, firewalls, helpers and a real server, and
// lists through it with a client that believes what it is told. In each setup that differs in what the network sees,
// Doctor also examines the server, and its verdict must be the one that the picture gives.
//
// Some twenty minutes on two busy cores, mostly of waiting: run it with -timeout 60m. PORTSIDE_LAB_ONLY=n takes every n-th
// network only.
func TestTheTableAgreesWithTheLaboratory(t *testing.T) {
	source, err := os.ReadFile(lab(t))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// What the client does differs, and the network is the same: one network serves all who ask.
	networks := map[string][]labTry{}
	examined := distinct()
	differentSetups(func(s Setup) {
		try := labTry{setup: s, run: Simulate(s), args: clientArgs(s)}
		// Doctor names its own address only, and waits at any port.
		try.examine = slices.Contains(examined, s) && !s.ActiveForwarded && !s.ActiveOpen
		key := labVars(s)
		if try.examine && s.Mode == connlog.Passive && !s.EPSV {
			key += " PNO=EPSV" // so that Doctor, too, asks with PASV
		}
		networks[key] = append(networks[key], try)
	})
	keys := slices.Sorted(maps.Keys(networks))
	if n, err := strconv.Atoi(os.Getenv("PORTSIDE_LAB_ONLY")); err == nil && n > 1 {
		var some []string
		for i := 0; i < len(keys); i += n {
			some = append(some, keys[i])
		}
		keys = some
	}
	var scenarios strings.Builder
	for i, key := range keys {
		fmt.Fprintf(&scenarios, "S_learn_%d(){ is ok \"\" \"\"; %s; }\n", i, key)
	}
	home := filepath.Dir(os.Getenv(labEnv))
	text := strings.Replace(string(source), "\nnames(){", "\n"+scenarios.String()+"names(){", 1)
	text = strings.Replace(text, "HERE=$(", "HERE="+strconv.Quote(home)+" # $(", 1)
	text = strings.Replace(text, "; SELF=$HERE/lab.sh", "", 1)
	text = strings.ReplaceAll(text, "-newkey rsa:2048", "-newkey ec -pkeyopt ec_paramgen_curve:P-256") // made at once
	script := filepath.Join(t.TempDir(), "lab.sh")
	if err := os.WriteFile(script, []byte("SELF="+script+"\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	// run makes the network and returns what each of tries got there.
	run := func(i int, tries []labTry) (saw [][]string, problem string) {
		var args []string
		for _, try := range tries {
			if try.examine {
				try.args += " examine"
			}
			args = append(args, try.args)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "bash", script, "run", "learn-"+strconv.Itoa(i), "--", self, "-test.run=^TestLaboratoryClient$", "-test.v")
		cmd.Env = append(os.Environ(), clientEnv+"="+strings.Join(args, ";"))
		cmd.WaitDelay = 5 * time.Second
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		for line := range strings.Lines(string(out)) {
			if words, ok := strings.CutPrefix(line, "outcome: "); ok {
				saw = append(saw, strings.Fields(words))
			}
		}
		if len(saw) != len(tries) {
			return nil, fmt.Sprintf("no outcome: %v\n%s%s", err, out, stderr.Bytes())
		}
		return saw, ""
	}

	next := make(chan int)
	var wg sync.WaitGroup
	var compared, examinations atomic.Int32
	for range 12 {
		wg.Go(func() {
			for i := range next {
				left := networks[keys[i]]
				said := map[Setup]string{}
				// On a busy computer an answer may be late: what differs is asked again before it counts.
				for again := range 2 {
					saw, problem := run(i, left)
					var wrong []labTry
					for n, try := range left {
						what := problem
						if what == "" {
							what = try.differs(saw[n])
						}
						if what != "" {
							wrong = append(wrong, try)
							said[try.setup] = what
						} else if again == 1 {
							t.Logf("only the first time: %s\nfor %s (%s)", said[try.setup], keys[i], try.args)
						}
					}
					left = wrong
					if len(left) == 0 {
						break
					}
				}
				for _, try := range left {
					t.Errorf("twice: %s\nfor %s (%s)", said[try.setup], keys[i], try.args)
				}
				for _, try := range networks[keys[i]] {
					compared.Add(1)
					if try.examine {
						examinations.Add(1)
					}
				}
			}
		})
	}
	for i := range keys {
		next <- i
	}
	close(next)
	wg.Wait()
	t.Logf("%d networks: %d setups compared, %d of them examined", len(keys), compared.Load(), examinations.Load())
}

// labTry is one client in a network of the laboratory.
type labTry struct {
	setup   Setup
	run     Run
	args    string
	examine bool
}

// differs says how what the laboratory gave is not what the picture says. saw is the outcome, and the verdicts of an
// examination.
func (l labTry) differs(saw []string) string {
	switch {
	case saw[0] != labOutcome(l.run):
		return fmt.Sprintf("the picture says %q, the laboratory %q", labOutcome(l.run), saw)
	case len(saw) > 1 && !slices.Contains(saw[1:], string(l.run.Verdict)) && !explained(l.setup, l.run.Verdict, Verdict(saw[1])):
		return fmt.Sprintf("the picture's verdict is %s, that of an examination %q", l.run.Verdict, saw[1:])
	}
	return ""
}

// explained says that an examination rightly sees more than the client of the picture, who asks one way and believes
// what it is told.
func explained(s Setup, picture, examination Verdict) bool {
	switch {
	case picture == OK && s.EPSV && s.Helper && s.PassiveIP && !s.RangeForwarded:
		// The helper carries EPSV and not PASV, since that names an address that isn't the server's own: Doctor asks with
		// both, and finds that only some offers get through.
		return examination == ServerForwardPassive
	case picture == ALGBlindTLS && !s.EPSV && s.RangeForwarded:
		// Doctor dials the control channel's address, too, and finds the port open there: only the address is wrong.
		return examination == ServerPassiveIP
	case picture == ServerFirewallPassive && s.Helper && !s.RangeForwarded:
		// The helper opens the port for one connection. The packets that Doctor sends after it stop at the router.
		return examination == ServerForwardPassive
	}
	return false
}

// distinct returns the setups that differ in what is found out about the network, each once. The others are like one of
// them: TLS changes something only for a helper; a client that lets everything out, with a router or without, is like any
// other in passive mode, and its strict firewall stops the data channel whatever the server's side has; the server's side
// has a say in active mode only where it lets nothing out.
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
			s.ServerFirewall = s.ServerStrict
			s.ServerNAT = true
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

// labVars says a setup's network in the laboratory's words. Its passive range is 50000–50009, the client's active ports are
// 52000–52009.
func labVars(s Setup) string {
	bit := map[bool]string{false: "0", true: "1"}
	v := []string{"CN=" + bit[s.ClientNAT], "SN=" + bit[s.ServerNAT], "PTLS=explicit", "FWD="}
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
	tries := strings.Split(args, ";")
	saw := make([]string, len(tries))
	var wg sync.WaitGroup
	for i, try := range tries {
		wg.Go(func() {
			var err error
			if saw[i], err = list(strings.Fields(try)); err != nil {
				saw[i] = "failed"
				t.Errorf("%s: %v", try, err)
			}
		})
	}
	wg.Wait()
	for i, try := range tries { // one after the other: they look at the system's counters
		words := strings.Fields(try)
		if slices.Contains(words, "examine") {
			r := examine(t.Context(), words)
			saw[i] += " " + string(r.Verdict)
			if r.Second != nil {
				saw[i] += " " + string(r.Second.Verdict)
			}
		}
		fmt.Printf("outcome: %s\n", saw[i])
	}
}

// examine is Doctor in the laboratory.
func examine(ctx context.Context, args []string) Report {
	port, _ := strconv.Atoi(os.Getenv("FTP_PORT"))
	target := client.Target{Host: os.Getenv("FTP_HOST"), Port: uint16(port), User: os.Getenv("FTP_USER"), Password: os.Getenv("FTP_PASS"), TLS: client.TLSNone}
	o := Options{Mode: client.ModePassive, Insecure: true, ConsentPlain: true}
	if slices.Contains(args, "active") {
		o.Mode = client.ModeActive
	}
	if slices.Contains(args, "tls") {
		target.TLS = client.TLSExplicit
	}
	return Examine(ctx, target, o)
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
