package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// These tests hold the reading of ufw and firewalld against the programs themselves, in a network namespace, with files
// of their own: a mount namespace lays empty folders over the system's, so that nothing of it is read or written.

// inside runs commands in the server's namespace over a mount namespace that lives as long as the test.
type inside struct {
	l   *fwLab
	pid string
}

// own makes the mount namespace: folders are seen in it as copies, /run is empty.
func (l *fwLab) own(t *testing.T, folders ...string) *inside {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a firewall's own programs, which takes seconds")
	}
	for _, tool := range []string{"unshare", "nsenter", "mount", "cp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	script := "set -e; mount --make-rprivate /; mount -t tmpfs tmpfs /run; mkdir -p /run/dbus\n"
	for _, f := range folders {
		copied := t.TempDir()
		script += fmt.Sprintf("cp -a '%s/.' '%s'; mount --bind '%[2]s' '%[1]s'\n", f, copied)
	}
	script += "echo $$; exec cat\n"
	cmd := l.in(l.server, "unshare", "--mount", "sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Skipf("no mount namespace here: %v %s", err, stderr.String())
	}
	return &inside{l, strings.TrimSpace(string(line[:n]))}
}

func (i *inside) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--target", i.pid, "--mount", "--net", name}, args...)...)
}

func (i *inside) run(ctx context.Context, name string, args ...string) (string, error) {
	if _, err := exec.LookPath(name); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // on a busy computer Python alone takes seconds to start
	defer cancel()
	cmd := i.command(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	return string(out), err
}

func (i *inside) must(t *testing.T, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := i.command(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// env is the computer as the self-check sees it.
func (i *inside) env() SelfEnv {
	e := System()
	e.Run = i.run
	return e
}

// deniedKernel answers as the kernel does to those who may not see its rules.
func deniedKernel(e SelfEnv) SelfEnv {
	run := e.Run
	e.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		switch name {
		case "nft", "iptables-save", "ip6tables-save":
			return "", errDenied
		}
		return run(ctx, name, args...)
	}
	return e
}

// hold compares two readings of the same firewall, that of the kernel's rules and that of the program's own list, with
// what connections meet.
func (i *inside) hold(t *testing.T, called string) {
	t.Helper()
	l := i.l
	l.t = t
	kernel := readFirewall(t.Context(), i.env(), "eth0")
	listing := readFirewall(t.Context(), deniedKernel(i.env()), "eth0")
	for how, fw := range map[string]firewall{"the kernel's rules": kernel, "its own list": listing} {
		if fw.name != called || fw.state != fwOn || fw.ask == nil {
			t.Fatalf("%s: name %q, state %v, why %q", how, fw.name, fw.state, fw.why)
		}
	}
	got := l.reached(fwLabWait)
	var slow []string
	for n, port := range fwLabPorts {
		for m, from := range []netip.Addr{netip.MustParseAddr(fwLabNear), strangerV4} {
			p := fwPacket{from: from, to: netip.MustParseAddr(fwLabServer), in: "eth0", port: port}
			open := got[2*n+m] == "true"
			if !open && kernel.ask(p).verdict == fwOpen { // late, on a busy computer
				if slow == nil {
					slow = l.reached(20 * fwLabWait)
				}
				open = slow[2*n+m] == "true"
			}
			for how, a := range map[string]fwAnswer{"the kernel's rules": kernel.ask(p), "its own list": listing.ask(p)} {
				if a.verdict == fwUnsure && how == "its own list" {
					continue // it says less than the rules; a guess would be wrong
				}
				if open != (a.verdict == fwOpen) || a.verdict == fwUnsure {
					t.Errorf("port %d from %s: a connection says open=%v, %s %v by %q", port, from, open, how, a.verdict, a.rule)
				}
			}
		}
	}
}

func TestUFWItselfIsReadRightly(t *testing.T) {
	if _, err := exec.LookPath("ufw"); err != nil {
		t.Skip("ufw is not installed")
	}
	l := newFWLab(t)
	i := l.own(t, "/etc/ufw", "/etc/default") // its defaults are in /etc/default/ufw
	l.listen()
	i.must(t, "ufw", "--force", "reset")
	for _, rule := range []string{
		"allow 21/tcp", "allow 21100:21149/tcp", "deny 21110/tcp", "insert 1 reject 21100/tcp",
		"allow from 192.168.0.0/16 to any port 2121 proto tcp comment near", "allow in on eth0 from 192.168.77.57 to " + fwLabServer + " port 21199 proto tcp",
	} {
		i.must(t, append([]string{"ufw"}, strings.Fields(rule)...)...)
	}
	i.must(t, "ufw", "--force", "enable")
	i.hold(t, "ufw")
	i.must(t, "ufw", "default", "allow", "incoming")
	i.hold(t, "ufw")
	i.must(t, "ufw", "disable")
	if f := readFirewall(t.Context(), i.env(), "eth0"); f.name == "ufw" {
		t.Errorf("ufw is off, and is called the firewall: %+v", f)
	}
}

func TestFirewalldItselfIsReadRightly(t *testing.T) {
	for _, tool := range []string{"firewalld", "firewall-cmd", "dbus-daemon"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	l := newFWLab(t)
	i := l.own(t, "/etc/firewalld")
	l.listen()
	ctx, cancel := context.WithCancel(context.Background())
	var running []*exec.Cmd
	t.Cleanup(func() {
		cancel()
		for _, cmd := range running {
			_ = cmd.Wait()
		}
	})
	for _, words := range []string{"dbus-daemon --system --nofork --nopidfile", "firewalld --nofork --nopid"} {
		f := strings.Fields(words)
		cmd := i.command(ctx, f[0], f[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
		if f[0] == "dbus-daemon" {
			i.until(t, "test", "-S", "/run/dbus/system_bus_socket")
		}
	}
	i.until(t, "firewall-cmd", "--state")
	// What another program may have defined: a service of its own, with a port in it.
	i.must(t, "firewall-cmd", "--permanent", "--new-service=shared")
	i.must(t, "firewall-cmd", "--permanent", "--service=shared", "--add-port=2121/tcp")
	i.must(t, "firewall-cmd", "--permanent", "--add-service=ftp")
	i.must(t, "firewall-cmd", "--permanent", "--add-port=21100-21149/tcp")
	i.must(t, "firewall-cmd", "--reload")
	i.hold(t, "firewalld")
	i.must(t, "firewall-cmd", "--add-service=shared")
	i.hold(t, "firewalld")
	i.must(t, "firewall-cmd", "--zone=internal", "--add-port=21199/tcp")
	i.must(t, "firewall-cmd", "--zone=internal", "--change-interface=eth0")
	i.hold(t, "firewalld")
	if f := readFirewall(t.Context(), i.env(), "eth0"); f.zone != "internal" || !strings.Contains(f.allow(21100, 21199, nil), "--zone=internal") {
		t.Errorf("eth0 is in the zone internal, not %q: %s", f.zone, f.allow(21100, 21199, nil))
	}
	i.must(t, "firewall-cmd", "--zone=internal", "--add-rich-rule=rule family=ipv4 source address=9.78.65.43 port port=21150 protocol=tcp accept")
	i.hold(t, "firewalld")
	i.must(t, "firewall-cmd", "--zone=trusted", "--change-interface=eth0")
	i.hold(t, "firewalld")
}

// until runs a command again and again until it works.
func (i *inside) until(t *testing.T, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i.command(ctx, words[0], words[1:]...).Run() != nil {
		if ctx.Err() != nil {
			t.Fatalf("%s: not within a minute", strings.Join(words, " "))
		}
	}
}
