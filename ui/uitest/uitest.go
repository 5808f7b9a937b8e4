// Package uitest is what tests of screens need: an application in Portside's look, windows without a display, a queue in the
// place of the UI goroutine, keys that go where the window would send them, and pictures.
//
// Fyne's application is global, so tests that use this package can't run in parallel.
package uitest

import (
	"image/png"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"portside/ui/kit"
)

// ShotsEnv names the environment variable of the folder that [Shot] writes to. Unset: no pictures.
const ShotsEnv = "PORTSIDE_SHOTS"

// App starts a test application in Portside's theme, forced to the given variant.
func App(t testing.TB, variant kit.Variant) fyne.App {
	t.Helper()
	app := test.NewTempApp(t)
	app.Settings().SetTheme(kit.NewTheme(func() kit.Variant { return variant }))
	return app
}

// Window shows content in a window of the given size, closed at the test's end.
func Window(t testing.TB, content fyne.CanvasObject, width, height float32) fyne.Window {
	t.Helper()
	w := test.NewTempWindow(t, content)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(width, height))
	Settle(w)
	return w
}

// Settle lays a window out again until paragraphs have the heights of their widths; the real window does so by itself.
func Settle(w fyne.Window) {
	size := w.Canvas().Size()
	for range 3 {
		w.Resize(size.AddWidthHeight(1, 1))
		w.Resize(size)
	}
}

// Shot writes a picture of the window to the folder named by [ShotsEnv].
func Shot(t testing.TB, w fyne.Window, name string) {
	t.Helper()
	dir := os.Getenv(ShotsEnv)
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, w.Canvas().Capture()); err != nil {
		t.Fatal(err)
	}
}

// Key types a key as the window does: to the focused widget, or to the window when nothing has the focus.
func Key(w fyne.Window, name fyne.KeyName) {
	ev := &fyne.KeyEvent{Name: name}
	if f := w.Canvas().Focused(); f != nil {
		f.TypedKey(ev)
	} else if typed := w.Canvas().OnTypedKey(); typed != nil {
		typed(ev)
	}
	if name == fyne.KeySpace { // its letter follows, to whatever has the keyboard then
		Type(w, " ")
	}
}

// Type types text into the focused widget.
func Type(w fyne.Window, text string) {
	for _, r := range text {
		if f := w.Canvas().Focused(); f != nil {
			f.TypedRune(r)
		}
	}
}

// Shortcut sends a key with Ctrl, Alt or Super to the focused widget.
func Shortcut(w fyne.Window, name fyne.KeyName, mods fyne.KeyModifier) {
	if f, ok := w.Canvas().Focused().(fyne.Shortcutable); ok {
		f.TypedShortcut(&desktop.CustomShortcut{KeyName: name, Modifier: mods})
	}
}

// Queue stands for the UI goroutine: what is posted runs when the test says so, in the test's goroutine.
type Queue struct {
	mu    sync.Mutex
	funcs []func()
	added chan struct{}
}

// NewQueue returns an empty queue.
func NewQueue() *Queue { return &Queue{added: make(chan struct{}, 1)} }

// Post is a [kit.Post].
func (q *Queue) Post(f func()) {
	q.mu.Lock()
	q.funcs = append(q.funcs, f)
	q.mu.Unlock()
	select {
	case q.added <- struct{}{}:
	default:
	}
}

// Drain runs what was posted, and what that posts, and returns how many it ran.
func (q *Queue) Drain() int {
	ran := 0
	for {
		q.mu.Lock()
		funcs := q.funcs
		q.funcs = nil
		q.mu.Unlock()
		if len(funcs) == 0 {
			return ran
		}
		for _, f := range funcs {
			f()
			ran++
		}
	}
}

// Await drains the queue until done is true, and fails the test after ten seconds.
func (q *Queue) Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		q.Drain()
		if done() {
			return
		}
		select {
		case <-q.added:
		case <-deadline.C:
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}
