//go:build linux

package keyring

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"portside/app"
	"portside/client"
	"portside/client/secrets"
	"portside/client/sites"
	"portside/e2e/peers"
	"portside/localserver"
)

const (
	insideVariable = "PORTSIDE_TEST_KEYRING"
	master         = "hunter2"
	secret         = "pässword & more"
	patience       = 90 * time.Second
)

// inside runs the rest of the test, a program of its own, on a session bus with a keyring: with one that is unlocked by
// the master password, or with one that nobody has used yet. It says whether that is where it runs already.
func inside(t *testing.T, unlocked bool, env ...string) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		if unlocked {
			awaitDaemon(t)
		}
		return true
	}
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("not installed: ", err)
		}
	}
	home := peers.Home(t)
	script := `exec "$0" -test.run "^$1\$" -test.v`
	if unlocked {
		script = `printf %s "$2" | gnome-keyring-daemon --unlock --components=secrets >/dev/null || exit 77; ` + script
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dbus-run-session", "--", "/bin/sh", "-c", script, os.Args[0], t.Name(), master)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_DATA_HOME="+filepath.Join(home, "data"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"),
		"XDG_CACHE_HOME="+filepath.Join(home, "cache"), "DISPLAY=", "WAYLAND_DISPLAY=", "DBUS_SESSION_BUS_ADDRESS=", insideVariable+"="+t.Name())
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second // the bus's services may hold the output open
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if (err != nil && !errors.Is(err, exec.ErrWaitDelay)) || !strings.Contains(out.String(), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out.String())
	}
	inNoFile(t, home, secret)
	return false
}

// awaitDaemon waits until the keyring's daemon, which goes into the background first, has its name on the bus: else the bus
// starts another one.
func awaitDaemon(t *testing.T) {
	t.Helper()
	bus, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	owned := false
	for until := time.Now().Add(patience); !owned; time.Sleep(5 * time.Millisecond) {
		if err := bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&owned); err != nil || time.Now().After(until) {
			t.Fatal("the keyring does not come onto the bus: ", err)
		}
	}
}

// inNoFile makes sure that text stands in no file of a folder.
func inNoFile(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if b, _ := os.ReadFile(path); bytes.Contains(b, []byte(text)) {
			t.Errorf("%s holds the password in clear", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func open(t *testing.T) *secrets.Keyring {
	t.Helper()
	k, err := secrets.OpenKeyring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// lock locks the person's keyring.
func lock(t *testing.T) {
	t.Helper()
	bus, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err = bus.Object("org.freedesktop.secrets", "/org/freedesktop/secrets").Call("org.freedesktop.Secret.Service.Lock", 0,
		[]dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"}).Store(&locked, &prompt)
	if err != nil || len(locked) != 1 {
		t.Fatal(locked, err)
	}
}

func holds(t *testing.T, k *secrets.Keyring, key, want string) {
	t.Helper()
	if got, err := k.Get(t.Context(), key); got != want || err != nil {
		t.Errorf("%s is %q: %v", key, got, err)
	}
}

func TestTheKeyringKeepsReadsChangesAndDeletes(t *testing.T) {
	if !inside(t, true) {
		return
	}
	k := open(t)
	if _, err := k.Get(t.Context(), "site/a"); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("nothing is kept yet: %v", err)
	}
	for key, value := range map[string]string{"site/a": secret, "site/b": "", "site/c": strings.Repeat("x", 10_000)} {
		if err := k.Set(t.Context(), key, value); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		holds(t, k, key, value)
	}
	if err := k.Set(t.Context(), "site/a", "another"); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t), "site/a", "another")
	for range 2 {
		if err := k.Delete(t.Context(), "site/a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Get(t.Context(), "site/a"); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("it was deleted: %v", err)
	}
	holds(t, k, "site/b", "")

	// Locked, and nobody can be asked without a display: said at once, and the keyring is of use again when it is unlocked.
	lock(t)
	began := time.Now()
	if _, err := k.Get(t.Context(), "site/b"); !errors.Is(err, secrets.ErrNotUnlocked) {
		t.Errorf("locked: %v", err)
	}
	if err := k.Set(t.Context(), "site/d", "x"); !errors.Is(err, secrets.ErrNotUnlocked) {
		t.Errorf("locked: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A keyring is installed and starts when it is asked for, but no desktop has made the person's own: nothing can be kept.
func TestAKeyringWithoutACollectionIsNone(t *testing.T) {
	if !inside(t, false) {
		return
	}
	if _, err := secrets.OpenKeyring(t.Context()); !errors.Is(err, secrets.ErrUnavailable) || !strings.Contains(err.Error(), "no collection") {
		t.Fatal(err)
	}
}

func TestALockedKeyringAsksAndADismissedQuestionIsNoPassword(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		display(t)
	}
	if !inside(t, true, "DISPLAY="+os.Getenv("DISPLAY")) {
		return
	}
	k := open(t)
	if err := k.Set(t.Context(), "site/a", secret); err != nil {
		t.Fatal(err)
	}
	lock(t)
	answered := func(keys []string, f func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			answer(ctx, keys)
		}()
		f()
		cancel()
		<-ended
	}
	answered([]string{"Escape"}, func() {
		if v, err := k.Get(t.Context(), "site/a"); !errors.Is(err, secrets.ErrNotUnlocked) || v != "" {
			t.Fatalf("dismissed: %q, %v", v, err)
		}
	})
	answered(append(strings.Split(master, ""), "Return"), func() { holds(t, k, "site/a", secret) })
}

// answer presses keys when the keyring's question is there, until ctx ends.
func answer(ctx context.Context, keys []string) {
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	there := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if exec.CommandContext(ctx, "xdotool", "search", "--onlyvisible", "--class", "gcr-prompter").Run() != nil {
			there = 0
			continue
		}
		if there++; there%4 == 2 { // it needs a moment to take the keyboard
			_ = exec.Command("xdotool", append([]string{"key"}, keys...)...).Run() // to its end: else a key stays down
		}
	}
}

// display starts a display with a window manager, and names it in DISPLAY.
func display(t *testing.T) {
	t.Helper()
	for _, program := range []string{"Xvfb", "openbox", "xdotool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("not installed: ", err)
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	server := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset")
	server.ExtraFiles = []*os.File{write}
	run(t, server)
	write.Close()
	_ = read.SetReadDeadline(time.Now().Add(patience))
	number := make([]byte, 16)
	n, err := read.Read(number)
	if err != nil {
		t.Fatalf("Xvfb names no display: %v", err)
	}
	t.Setenv("DISPLAY", ":"+strings.TrimSpace(string(number[:n])))
	for until := time.Now().Add(patience); exec.Command("xdotool", "getdisplaygeometry").Run() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the display does not come")
		}
	}
	run(t, exec.Command("openbox", "--sm-disable"))
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// The program keeps a site's password in the keyring, and the next run connects without a question.
func TestTheProgramKeepsASitesPasswordInTheKeyring(t *testing.T) {
	if !inside(t, true) {
		return
	}
	hash, err := localserver.HashPassword(secret)
	if err != nil {
		t.Fatal(err)
	}
	server, err := localserver.New(localserver.Config{Listen: "127.0.0.1:0", Root: t.TempDir(), TLS: localserver.TLSConfig{Mode: localserver.TLSOff},
		Accounts: []localserver.Account{{Name: "ann", Password: hash, Rights: localserver.ReadOnly}}})
	if err == nil {
		err = server.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop(context.Background())
	dir := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "portside")
	node := sites.NewNode("Mine", &sites.Site{Host: "127.0.0.1", Port: server.Addr().Port(), TLS: client.TLSAuto, Login: sites.LoginNormal, User: "ann"})
	for run := range 2 {
		a := app.New(dir)
		if run == 0 {
			if err := a.ChangeSites(func(b *sites.Book) error { return b.Add("", -1, node) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.ConnectSite(node.ID); err != nil {
			t.Fatal(err)
		}
		asked := 0
		for until := time.Now().Add(patience); a.Remote().Phase != app.Connected; time.Sleep(5 * time.Millisecond) {
			r := a.Remote()
			if r.Err != "" || time.Now().After(until) {
				t.Fatalf("run %d: %+v", run, r)
			}
			q := a.Question()
			if q == nil {
				continue
			}
			if q.Kind == app.AskPassword {
				asked++
			}
			q.Answer(app.Reply{OK: true, Password: secret, Keep: true})
			for a.Question() == q && time.Now().Before(until) {
				time.Sleep(time.Millisecond)
			}
		}
		if want := 1 - run; asked != want {
			t.Errorf("run %d: the password was asked for %d times", run, asked)
		}
		if vaults, _ := filepath.Glob(filepath.Join(dir, "vault*")); vaults != nil {
			t.Errorf("kept in %q, not in the keyring", vaults)
		}
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if _, err := open(t).Get(t.Context(), "site/"+node.ID); err != nil {
		t.Error(err)
	}
}
