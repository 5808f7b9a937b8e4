package terminal

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"portside/doctor"
	"portside/localserver"
)

func TestServeCheckPrintsFindingsWithTheirFixes(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	env := doctor.System()
	env.OS, env.FindRouter = "linux", nil
	env.Listen = func(context.Context, netip.Addr, uint16) error { return nil }
	rules := ""
	env.Run = func(_ context.Context, name string, args ...string) (string, error) {
		if name == "ufw" {
			return "Status: active\nDefault: deny (incoming), allow (outgoing), disabled (routed)\n\n2121/tcp   ALLOW IN   Anywhere\n" + rules, nil
		}
		return "", errors.New("not permitted")
	}
	check := func() (string, error) {
		var out bytes.Buffer
		o := serveArgs{
			c: Console{Out: &out}, listen: ":2121", root: t.TempDir(), tls: "explicit",
			passive: localserver.PassiveConfig{UseRange: true, Min: 21100, Max: 21199},
		}
		err := o.checkSelf(t.Context(), env)
		return out.String(), err
	}
	out, err := check()
	if !errors.Is(err, errReported) {
		t.Errorf("a closed range is %v, want exit code 1", err)
	}
	for _, line := range []string{
		"ok       Control port 2121 is open (ufw).\n", "BAD      Passive ports 21100-21199 are closed (ufw).\n",
		"         sudo ufw allow 21100:21199/tcp\n         To be changed: server's computer.\n", "1 bad, ",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is missing in\n%s", line, out)
		}
	}
	rules = "21100:21199/tcp  ALLOW IN  Anywhere\n"
	if out, err := check(); err != nil || !strings.Contains(out, "\n0 bad, ") {
		t.Errorf("with the range open: %v\n%s", err, out)
	}
}

func TestServeCheckRefusesWhatCannotBe(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "--check"}, {"serve", "--check", "--passive-ports", "80-90", t.TempDir()}, {"serve", "--check", "--listen", "nowhere", t.TempDir()},
	} {
		if code, _, errs := run(t, args...); code != exitUsage || errs == "" {
			t.Errorf("%v: exit code %d, %q", args, code, errs)
		}
	}
}
