//go:build linux

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portside/e2e/peers"
)

// runTime is the longest that one portside get or put may take.
const runTime = 3 * time.Minute

var binary string

func TestMain(m *testing.M) {
	code, err := 1, error(nil)
	if binary, err = program(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if os.Getenv("PORTSIDE_BIN") == "" {
		os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

// program is the portside to test.
func program() (string, error) {
	if bin := os.Getenv("PORTSIDE_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "portside-interop-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "portside")
	// The flags of ./run, so that what is in the build cache serves both.
	if out, err := exec.Command("go", "build", "-tags", "migrated_fynedo,no_emoji,no_animations", "-o", bin, "portside").CombinedOutput(); err != nil {
		return bin, fmt.Errorf("building portside: %w\n%s", err, out)
	}
	return bin, nil
}

// record is a line of the JSON log, read by its fixed names.
type record struct {
	Time                                                      time.Time
	Session, Side, Event, Channel, Mode, Initiator, TLS, Text string
	From, To, Addr, Command, Reply, Reason, Error             string
	Conn                                                      int
	Bytes                                                     int64
	Resumed                                                   bool
}

func (r record) String() string {
	b, _ := json.Marshal(r)
	return string(b)
}

// address reads From or To.
func address(t *testing.T, r record, s string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Errorf("the record has the address %q: %v", s, r)
	}
	return a
}

// environment is portside's: settings and certificate in a folder of the test, certificates trusted from ca.
func environment(t *testing.T, ca string) []string {
	home := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_CACHE_HOME=" + filepath.Join(home, "cache")}
	if ca != "" {
		env = append(env, "SSL_CERT_FILE="+ca)
	}
	return env
}

// transfer runs portside get or put to its end and returns its log and process.
func transfer(t *testing.T, ca string, args ...string) (log []record, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment(t, ca)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Errorf("standard output has a line that is not JSON: %q", lines.Text())
			continue
		}
		log = append(log, r)
	}
	if err != nil {
		t.Errorf("portside %s: %v\n%s%s", strings.Join(args, " "), err, stderr.String(), dialogue(log))
	}
	return log, cmd.Process.Pid
}

// dialogue prints a log for a person who looks for the fault.
func dialogue(log []record) string {
	var b strings.Builder
	for _, r := range log {
		fmt.Fprintf(&b, "  %s %s %s %s %s -> %s %s %s %s\n", r.Session, r.Event, r.Mode, r.Initiator, r.From, r.To, r.Command, r.Reply, r.Error)
	}
	return b.String()
}

// server is a running portside serve.
type server struct {
	peers.Endpoint
	Root string
	cmd  *exec.Cmd
	ends chan error

	mu     sync.Mutex
	log    []record
	broken []string // lines that are not JSON
	more   chan struct{}
}

const user, password = "ann", "sesame 42"

// serve starts portside serve. It is stopped when the test ends, and must do so with exit code 0.
func serve(t *testing.T, host string, tls peers.TLS, options ...string) *server {
	t.Helper()
	switch _, err := peers.FreePort(host); {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT): // a machine without IPv6
		t.Skip("no such address here: ", err)
	case err != nil:
		t.Fatal(err)
	}
	s := &server{Root: t.TempDir(), ends: make(chan error, 1), more: make(chan struct{}, 1)}
	args := append([]string{"serve", "--listen", netip.AddrPortFrom(netip.MustParseAddr(host), 0).String(), "--user", user, "--write", "--tls", string(tls),
		"--log", "json"}, options...)
	s.cmd = exec.Command(binary, append(args, s.Root)...)
	s.cmd.Env = append(environment(t, ""), "PORTSIDE_PASSWORD="+password)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr bytes.Buffer
	s.cmd.Stderr = &stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.add(lines.Bytes())
		}
		s.ends <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-s.ends:
			if err != nil {
				t.Errorf("portside serve ended with %v\n%s", err, stderr.String())
			}
		case <-time.After(time.Minute):
			s.cmd.Process.Kill()
			t.Errorf("portside serve did not end on SIGTERM: %v", <-s.ends)
		}
		log := s.records()
		if len(log) > 0 && log[len(log)-1].Event != "stopped" {
			t.Errorf("the last record is not stopped: %v", log[len(log)-1])
		}
		if len(s.broken) > 0 {
			t.Errorf("standard output has lines that are not JSON: %q", s.broken)
		}
		if t.Failed() {
			t.Logf("portside serve said:\n%s%s", stderr.String(), dialogue(log))
		}
	})
	log, ok := s.until(func(log []record) bool { return len(log) > 0 })
	if !ok || log[0].Event != "listening" {
		t.Fatalf("the first record is not listening: %v\n%s", log, stderr.String())
	}
	s.Endpoint = peers.Endpoint{Addr: address(t, log[0], log[0].Addr), User: user, Password: password, TLS: tls}
	return s
}

func (s *server) add(line []byte) {
	var r record
	err := json.Unmarshal(line, &r)
	s.mu.Lock()
	if err != nil {
		s.broken = append(s.broken, string(line))
	} else {
		s.log = append(s.log, r)
	}
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *server) records() []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]record(nil), s.log...)
}

// until waits until the log is as enough says, for a minute.
func (s *server) until(enough func([]record) bool) ([]record, bool) {
	limit := time.After(time.Minute)
	for {
		log := s.records()
		if enough(log) {
			return log, true
		}
		select {
		case <-s.more:
		case <-limit:
			return log, false
		}
	}
}

// settled returns the log after the first skip records, when every session in it has ended, and all that the kernel has seen
// since its opening first stand in it: a client that has ended may have left a connection that nobody has accepted yet.
func (s *server) settled(t *testing.T, skip int, k *peers.Kernel, first int) []record {
	t.Helper()
	came := map[string]bool{}
	if last := openings(t, k); k != nil {
		for _, o := range k.Openings()[first:last] {
			if o.To == s.Addr {
				came[o.From.String()] = true
			}
		}
	}
	log, ok := s.until(func(log []record) bool {
		open, seen := 0, map[string]bool{}
		for _, r := range log[skip:] {
			switch r.Event {
			case "control-opened":
				open++
				seen[r.From] = true
			case "control-closed":
				open--
			}
		}
		for from := range came {
			if !seen[from] {
				return false
			}
		}
		return len(seen) > 0 && open == 0
	})
	if !ok {
		t.Errorf("a session did not end, or is not there:\n%v\n%s", came, dialogue(log[skip:]))
	}
	return log[skip:]
}
