package terminal

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func lastLine(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return lines[len(lines)-1]
}

func TestCheckSaysThatAServerIsInOrder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := sharing(t, "--user", "alice", "--password", "p@ss:w/rd", "--tls", "off", dir)
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		want string
	}{
		{"password in the URL, escaped", nil, []string{"--tls", "none", "ftp://alice:p%40ss%3Aw%2Frd@" + addr}, exitOK, "verdict: ok"},
		{"password in the environment", []string{passwordVariable, "p@ss:w/rd"}, []string{"--tls", "none", "ftp://alice@" + addr}, exitOK, "verdict: ok"},
		{"active mode", []string{passwordVariable, "p@ss:w/rd"}, []string{"--tls", "none", "--mode", "active", "ftp://alice@" + addr}, exitOK, "verdict: ok"},
		{"a file", []string{passwordVariable, "p@ss:w/rd"}, []string{"--tls", "none", "--action", "get", "--path", "a.txt", "ftp://alice@" + addr}, exitOK, "verdict: ok"},
		{"consent", []string{passwordVariable, "p@ss:w/rd"}, []string{"--consent-plain", "ftp://alice@" + addr}, exitOK, "verdict: ok"},
		{"no consent", []string{passwordVariable, "p@ss:w/rd"}, []string{"ftp://alice@" + addr}, exitFailed, "verdict: tls-unsupported"},
		{"wrong password", nil, []string{"--tls", "none", "ftp://alice:no@" + addr}, exitFailed, "verdict: login-refused"},
		{"no TLS there", []string{passwordVariable, "x"}, []string{"--tls", "explicit", "ftp://alice@" + addr}, exitFailed, "verdict: tls-unsupported"},
		{"TLS from the URL", []string{passwordVariable, "x"}, []string{"ftpes://alice@" + addr}, exitFailed, "verdict: tls-unsupported"},
	} {
		con, out, errs := console(t, c.env...)
		if code := Run(con, append([]string{"check"}, c.args...)); code != c.code || lastLine(out.String()) != c.want {
			t.Errorf("%s: exit %d, last line %q, want %d, %q\n%s%s", c.name, code, lastLine(out.String()), c.code, c.want, out, errs)
		}
		if strings.Contains(out.String(), "p@ss") {
			t.Errorf("%s: the password is in the output", c.name)
		}
	}
}

func TestCheckNamesTheFaultAndTheLinesToType(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	held, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	addr := held.LocalAddr().String() // nobody listens at the port of a connection, or will
	code, out, _ := run(t, "check", "ftp://"+addr)
	if code != exitFailed || lastLine(out) != "verdict: control-refused" || !strings.Contains(out, "sudo ufw allow ") {
		t.Errorf("exit %d:\n%s", code, out)
	}

	code, out, _ = run(t, "check", "--json", "ftp://"+addr)
	var report struct {
		Verdict, Confidence, Side, Sentence string
		Fixes                               []struct {
			Side, Text string
			Variants   []struct{ Name, Command string }
		}
		Facts []struct{ Title, Result, By, To string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if code != exitFailed || report.Verdict != "control-refused" || report.Confidence == "" || report.Side == "" || report.Sentence == "" ||
		len(report.Fixes) == 0 || len(report.Facts) == 0 || report.Facts[0].By != "client" || report.Facts[0].To != addr {
		t.Errorf("exit %d: %+v", code, report)
	}
}

func TestCheckTellsBadUse(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(broken, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{}, {"--mode", "x", "ftp://h"}, {"--tls", "x", "ftp://h"}, {"--action", "x", "ftp://h"}, {"--action", "get", "ftp://h"},
		{"--ca", broken, "ftp://h"}, {"--ca", broken + ".none", "ftp://h"}, {"http://h"}, {"ftp://alice@h"}, {"ftp://h", "more"},
		{"--path", "a\nb", "ftp://h"},
	} {
		if code, out, _ := run(t, append([]string{"check"}, args...)...); code != exitUsage {
			t.Errorf("%q: exit %d\n%s", args, code, out)
		}
	}
}

// asProgram makes the test binary the program itself, for tests that need one.
const asProgram = "PORTSIDE_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	os.Exit(Run(Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}, os.Args[1:]))
}

// Real routers, firewalls and servers in network namespaces, each with a known fault: PORTSIDE_LAB is the path of the
// laboratory's lab.sh. It takes two to three minutes, mostly of waiting.
func TestCheckFindsTheFaultsOfTheLaboratory(t *testing.T) {
	lab := os.Getenv("PORTSIDE_LAB")
	if lab == "" {
		t.Skip("PORTSIDE_LAB is not set: no laboratory to examine servers in")
	}
	if os.Geteuid() != 0 {
		t.Skip("the laboratory's network namespaces need root")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../scripts/lab-check")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", lab, "grade", "-j", "3", "--", script, program)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("some answers are not acceptable: %v\n%s", err, out)
	}
	var exact, acceptable, all int
	if _, err := fmt.Sscanf(lastLine(string(out)), "exact %d, acceptable %d, of %d", &exact, &acceptable, &all); err != nil || all == 0 {
		t.Fatalf("%v in\n%s", err, out)
	}
	if exact*100 < all*95 {
		t.Errorf("%d of %d answers are exact\n%s", exact, all, out)
	}
}
