//go:build e2e && linux

package window

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portside/e2e/peers"
)

const (
	// patience is how long an effect may take on a slow, busy machine.
	patience = 90 * time.Second
	// pollEvery is how often an effect is looked for.
	pollEvery = 40 * time.Millisecond
	// toolTime bounds a look at the display, or a key: an X server that is held by a hung window answers nobody.
	toolTime = time.Minute
)

// artifacts is the folder of the pictures, which git ignores.
const artifacts = "../artifacts"

// programs are what the tests need besides Go, with their packages in Debian.
var programs = [][2]string{{"Xvfb", "xvfb"}, {"openbox", "openbox"}, {"xdotool", "xdotool"}, {"import", "imagemagick"}}

// need skips the test when a program is missing.
func need(t *testing.T) {
	t.Helper()
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p[0]); err != nil {
			missing = append(missing, fmt.Sprintf("%s (package %s)", p[0], p[1]))
		}
	}
	if len(missing) > 0 {
		t.Skipf("the real window is not tested: %s not installed", strings.Join(missing, ", "))
	}
}

// built is the program under test, built once.
var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PORTSIDE_CHECKED_BIN"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "portside-window-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "portside")
	// Not migrated_fynedo: without it Fyne looks at each call's goroutine.
	cmd := exec.Command("go", "build", "-tags", "no_emoji", "-o", path, "portside")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("PORTSIDE_CHECKED_BIN") == "" {
		if path, err := built(); err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// openboxConfig leaves the mouse to the window. By itself openbox looks at each click first and hands it on: on a busy machine
// the keys that follow a click then arrive before it.
const openboxConfig = `<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <focus><focusNew>yes</focusNew></focus>
  <keyboard><keybind key="A-F4"><action name="Close"/></keybind></keyboard>
  <mouse><dragThreshold>1</dragThreshold></mouse>
</openbox_config>
`

// desk is a display with a window manager and Portside's window on it.
type desk struct {
	t       *testing.T
	home    string
	display string
	window  string // X's id
	size    [2]int // of the window
	program *exec.Cmd
	ended   <-chan struct{}
	state   error // of the ended program
	stderr  *output
	logged  []record // the log as it was saved last
}

// output collects what a program writes while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// newDesk starts a display and a window manager, with a new home folder.
func newDesk(t *testing.T) *desk {
	t.Helper()
	need(t)
	d := &desk{t: t, home: peers.Home(t)}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	server := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1500x1000x24", "-nolisten", "tcp", "-noreset")
	server.ExtraFiles = []*os.File{write}
	d.start(server, new(error))
	write.Close()
	read.SetReadDeadline(time.Now().Add(patience))
	number := make([]byte, 16)
	n, err := read.Read(number)
	if err != nil {
		t.Fatalf("Xvfb names no display: %v", err)
	}
	d.display = ":" + strings.TrimSpace(string(number[:n]))
	d.await("the display", func() bool {
		_, err := d.xdotool("getdisplaygeometry")
		return err == nil
	})
	config := d.path("openbox.xml")
	if err := os.WriteFile(config, []byte(openboxConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	manager := exec.Command("openbox", "--sm-disable", "--config-file", config)
	manager.Env = d.env()
	d.start(manager, new(error))
	return d
}

// start runs a program in a process group of its own until the test ends, or the process of the tests. What it returns is
// closed when the program has ended, with its outcome in state.
func (d *desk) start(cmd *exec.Cmd, state *error) <-chan struct{} {
	d.t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second // a session bus that outlives its session holds the output open
	began, gone := make(chan error), make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread() // Pdeathsig means the death of the thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		began <- err
		if err == nil {
			if *state = cmd.Wait(); errors.Is(*state, exec.ErrWaitDelay) {
				*state = nil
			}
		}
	}()
	if err := <-began; err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-gone
	})
	return gone
}

func (d *desk) env() []string {
	return append(os.Environ(),
		"DISPLAY="+d.display, "HOME="+d.home, "XDG_CONFIG_HOME="+d.path(".config"), "XDG_CACHE_HOME="+d.path(".cache"),
		"XDG_RUNTIME_DIR="+d.home, "TMPDIR="+d.home, "XDG_DATA_HOME="+d.path(".local"), "WAYLAND_DISPLAY=", "XDG_SESSION_TYPE=x11",
		"LANG=C.UTF-8", "FYNE_SCALE=1", "FYNE_THEME=dark", "LIBGL_ALWAYS_SOFTWARE=1")
}

// path returns a path in the home folder.
func (d *desk) path(name string) string { return filepath.Join(d.home, filepath.FromSlash(name)) }

func (d *desk) settings() string { return d.path(".config/portside/settings.json") }

// open starts Portside and waits for its window, with the given size. At the test's end nothing must be wrong with what it
// wrote to its standard error.
func (d *desk) open(width, height int, args ...string) {
	d.t.Helper()
	program, err := built()
	if err != nil {
		d.t.Fatal(err)
	}
	// Nothing blinks or plays by itself, so that a screen is known to have settled.
	still := d.path(".config/fyne/settings.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(still), 0o700), os.WriteFile(still, []byte(`{"no_animations": true}`), 0o600)); err != nil {
		d.t.Fatal(err)
	}
	// A session bus of its own, so that the desktop of whoever runs the test has no say.
	if _, err := exec.LookPath("dbus-run-session"); err == nil {
		args = append([]string{"--", program}, args...)
		program = "dbus-run-session"
	}
	cmd := exec.Command(program, args...)
	d.stderr = &output{}
	cmd.Stderr, cmd.Stdout, cmd.Env, cmd.Dir = d.stderr, d.stderr, d.env(), d.home
	d.program = cmd
	test := d.t
	test.Cleanup(d.complaints)
	d.ended = d.start(cmd, &d.state)
	test.Cleanup(func() {
		if test.Failed() {
			d.keep("failed-"+strings.ReplaceAll(test.Name(), "/", "-"), d.look())
		}
	})
	d.await("the window", func() bool {
		out, _ := d.xdotool("search", "--onlyvisible", "--name", "^Portside$")
		d.window, _, _ = strings.Cut(strings.TrimSpace(out), "\n")
		return d.window != ""
	})
	d.must("windowfocus", "--sync", d.window)
	d.resize(width, height)
	d.settled("the window is drawn", func(img *image.NRGBA) bool { return colors(img) > 20 })
}

// harmless are complaints that are none: Fyne reads its own preferences while it writes them, at the end, and nobody shows
// notifications on the test's desktop.
var harmless = []string{"Preferences load error", "Failed to send message to bus"}

// complaints fails the test for whatever Fyne or the program complained of.
func (d *desk) complaints() {
	d.t.Helper()
	for _, line := range strings.Split(d.stderr.String(), "\n") {
		for _, bad := range []string{"Error in Fyne call thread", "Fyne error", "panic:", "DATA RACE", "fatal error"} {
			if strings.Contains(line, bad) && !slices.ContainsFunc(harmless, func(h string) bool { return strings.Contains(line, h) }) {
				d.t.Errorf("the program complains:\n%s", d.stderr.String())
				return
			}
		}
	}
}

// closed waits for the program's end and returns its outcome.
func (d *desk) closed() error {
	d.t.Helper()
	select {
	case <-d.ended:
		return d.state
	case <-time.After(patience):
		d.keep("failed-"+strings.ReplaceAll(d.t.Name(), "/", "-"), d.look())
		d.stacks()
		d.t.Fatalf("the program doesn't end\n%s", d.stderr.String())
		return nil
	}
}

func (d *desk) xdotool(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "xdotool", args...)
	cmd.Env = d.env()
	out, err := cmd.Output()
	return string(out), err
}

func (d *desk) must(args ...string) string {
	d.t.Helper()
	out, err := d.xdotool(args...)
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		d.t.Fatalf("xdotool %s: %v\n%s", strings.Join(args, " "), err, d.stderr.String())
	}
	return out
}

// keys presses keys in turn: "ctrl+l", "Tab", "Return". The window hears them in this order, each after what the one before
// it did on the screen.
func (d *desk) keys(keys ...string) {
	d.t.Helper()
	d.must(append([]string{"key", "--delay", "15"}, keys...)...)
}

// typed types text.
func (d *desk) typed(text string) {
	d.t.Helper()
	d.must("type", "--delay", "8", "--", text)
}

// click presses the left button at a place of the window; times 2 is a double click. All presses go out at once: the window
// measures the time between them when it hears of them, and on a busy machine draws for long in between.
func (d *desk) click(x, y, times int) {
	d.t.Helper()
	d.must("mousemove", "--sync", "--window", d.window, strconv.Itoa(x), strconv.Itoa(y))
	d.must(slices.Repeat([]string{"mousedown", "1", "mouseup", "1"}, times)...)
}

// resize gives the window a size and waits until it has exactly that: a screen that needs more room would refuse.
func (d *desk) resize(width, height int) {
	d.t.Helper()
	d.size = [2]int{width, height}
	var last, now *image.NRGBA
	d.await(fmt.Sprintf("the window is drawn at %dx%d", width, height), func() bool {
		last, now = now, d.look()
		return d.fits(now) && same(last, now)
	})
}

// fits says whether the window has its size, and asks for it when it hasn't: with a change of theme Fyne sets the size once
// more, to the last one that it heard of, which on a busy machine is not the present one.
func (d *desk) fits(img *image.NRGBA) bool {
	if !d.sized(img) {
		d.must("windowsize", d.window, strconv.Itoa(d.size[0]), strconv.Itoa(d.size[1]))
		return false
	}
	return true
}

// sized says whether the window has the size that was asked for.
func (d *desk) sized(img *image.NRGBA) bool {
	return img != nil && img.Rect.Dx() == d.size[0] && img.Rect.Dy() == d.size[1]
}

// stacks ends the program so that it writes what each of its goroutines is at: a window that hangs is told from one that did
// something else.
func (d *desk) stacks() {
	if d.program == nil {
		return
	}
	syscall.Kill(-d.program.Process.Pid, syscall.SIGQUIT)
	select {
	case <-d.ended:
	case <-time.After(toolTime):
	}
}

// await waits for an effect.
func (d *desk) await(what string, there func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for !there() {
		if d.ended != nil {
			select {
			case <-d.ended:
				d.t.Fatalf("the program ended (%v) while this was waited for: %s\n%s", d.state, what, d.stderr.String())
			default:
			}
		}
		if time.Now().After(deadline) {
			d.keep("failed-"+strings.ReplaceAll(d.t.Name(), "/", "-"), d.look())
			d.stacks()
			d.t.Fatalf("waited %v for: %s\n%s", patience, what, d.stderr.String())
		}
		time.Sleep(pollEvery)
	}
}

// look returns what the window shows, as pixels; nil while there is nothing to see.
func (d *desk) look() *image.NRGBA {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "import", "-window", d.window, "-depth", "8", "rgba:-")
	cmd.Env = d.env()
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	for _, s := range [][2]int{{1280, 800}, {900, 600}} {
		if len(out) == s[0]*s[1]*4 {
			return &image.NRGBA{Pix: out, Stride: s[0] * 4, Rect: image.Rect(0, 0, s[0], s[1])}
		}
	}
	return nil // being resized
}

// settled waits until the window shows what is wanted and two looks in a row are the same, and returns what it shows.
func (d *desk) settled(what string, want func(*image.NRGBA) bool) *image.NRGBA {
	d.t.Helper()
	var last, now *image.NRGBA
	d.await(what, func() bool {
		last, now = now, d.look()
		return d.fits(now) && same(last, now) && (want == nil || want(now))
	})
	return now
}

func same(a, b *image.NRGBA) bool {
	return a != nil && b != nil && a.Rect == b.Rect && bytes.Equal(a.Pix, b.Pix)
}

// colors counts the colours of a picture, up to 100: an empty window has few.
func colors(img *image.NRGBA) int {
	seen := map[color.NRGBA]bool{}
	for y := 0; y < img.Rect.Dy() && len(seen) < 100; y += 3 {
		for x := 0; x < img.Rect.Dx(); x += 3 {
			seen[img.NRGBAAt(x, y)] = true
		}
	}
	return len(seen)
}

// plainSpot is a place of the rail where nothing stands, and plain its colour, dark and light. Behind a dialog it is darker.
var (
	plainSpot = image.Pt(4, 300)
	plain     = []color.NRGBA{{0x1b, 0x1f, 0x26, 0xff}, {0xff, 0xff, 0xff, 0xff}}
)

// dialog waits until a dialog holds the window back, or until none does.
func (d *desk) dialog(open bool) {
	d.t.Helper()
	d.await(fmt.Sprintf("a dialog is open: %v", open), func() bool {
		img := d.look()
		return img != nil && slices.Contains(plain, img.NRGBAAt(plainSpot.X, plainSpot.Y)) != open
	})
}

// keep writes what the window shows, or showed, as an artefact.
func (d *desk) keep(name string, img *image.NRGBA) {
	if img == nil {
		return
	}
	var b bytes.Buffer
	err := errors.Join(png.Encode(&b, img), os.MkdirAll(artifacts, 0o755))
	if err == nil {
		err = os.WriteFile(filepath.Join(artifacts, "window-"+name+".png"), b.Bytes(), 0o644)
	}
	if err != nil {
		d.t.Error(err)
	}
}
