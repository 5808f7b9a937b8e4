// Package ui is the window: a rail with the screens Connect, Share, Doctor, Learn and Settings, and a status bar.
//
// A screen asks [app.App] to do things and draws what it shows. Nothing here touches the network or a disk: every such
// call is a task of the application. Only the choosers of files and folders ([kit.Chooser]) read folders by themselves, in
// goroutines of their own. The screens look at the application's state a few times a second through one watcher, on the
// toolkit's own goroutine.
package ui

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/connlog"
	"portside/ui/channels"
	"portside/ui/kit"
)

// Options is what a window needs from outside.
type Options struct {
	// Post runs a function on the toolkit's goroutine, later: fyne.Do, or a queue in tests.
	Post func(func())
	// Open is a URL to connect to at once.
	Open string
}

// Window is Portside's window.
type Window struct {
	fyne.Window
	app      *app.App
	driver   fyne.App
	post     func(func())
	registry *kit.Registry
	watcher  *kit.Watcher
	layers   *kit.Layers
	stop     context.CancelFunc

	rail   *kit.Rail
	body   *fyne.Container
	status *kit.StatusBar
	screen string
	asked  *kit.Dialog // whether to quit
	asker  *asker
	opener func(*url.URL) error // opens a file with the system's program
	colors map[string]string    // the theme in which each screen was shown last

	connect  *connect
	share    *share
	doctor   *doctorScreen
	learn    *learn
	settings *settings
}

// screens are the rail's items in their order.
var screens = []string{"connect", "share", "doctor", "learn", "settings"}

// screen is what the rail switches between.
type screen interface {
	view() fyne.CanvasObject
	refresh()
	shown(bool)
	focus()
	status() (left, right []string)
}

// New returns Portside's window over core, not yet shown. Close it after its loop has ended.
func New(driver fyne.App, core *app.App, o Options) *Window {
	ctx, stop := context.WithCancel(context.Background())
	w := &Window{app: core, driver: driver, post: o.Post, stop: stop, registry: kit.NewRegistry(), opener: driver.OpenURL, colors: map[string]string{}}
	driver.Settings().SetTheme(kit.NewTheme(w.variant))
	w.Window = driver.NewWindow("Portside")
	w.SetMaster()
	w.SetPadded(false)

	w.rail = kit.NewRail(
		kit.RailItem{Title: "Connect", Icon: kit.IconConnect, Tip: "Move files to and from a server (Ctrl+1)"},
		kit.RailItem{Title: "Share", Icon: kit.IconShare, Tip: "Share a folder on your network (Ctrl+2)"},
		kit.RailItem{Title: "Doctor", Icon: kit.IconDoctor, Tip: "Find out why a server can't be reached (Ctrl+3)"},
		kit.RailItem{Title: "Learn", Icon: kit.IconLearn, Tip: "How FTP's two channels work (Ctrl+4)"},
		kit.RailItem{Title: "Settings", Icon: kit.IconSettings, Bottom: true},
	)
	w.rail.OnSelected = func(i int) {
		walks := w.Canvas().Focused() == fyne.Focusable(w.rail)
		w.show(screens[i])
		if walks {
			w.focusOn(w.rail) // the next arrow goes on
		}
	}
	w.status = kit.NewStatusBar()
	w.asker = &asker{w: w}
	w.connect, w.share, w.settings = newConnect(w), newShare(w), newSettings(w)
	w.doctor, w.learn = newDoctor(w), newLearn(w)
	w.body = container.NewStack()
	for _, name := range screens { // they were all made in the present colours
		w.colors[name] = w.colorsNow()
	}
	w.addCommands()
	w.settings.fillKeys()

	w.layers = kit.NewLayers(kit.VBox(0, kit.Grow(kit.HBox(0, w.rail, kit.Grow(w.body))), w.status), o.Post)
	w.SetContent(w.layers)
	w.registry.Attach(w.Window)
	w.SetOnDropped(w.dropped)
	w.SetCloseIntercept(w.closing)

	set := core.Settings().Window
	w.Resize(fyne.NewSize(set.Width, set.Height))
	first := "connect"
	for _, s := range screens {
		if s == set.Screen {
			first = s
		}
	}
	w.show(first)
	core.OnTransfersEnded(func(e app.TransfersEnded) {
		driver.SendNotification(fyne.NewNotification("Portside", e.Sentence()))
	})
	core.GiveMemoryBack()
	w.connect.drawer.Start(ctx)
	w.share.drawer.Start(ctx)
	w.watcher = kit.Watch(ctx, o.Post, 0, core.Version, w.refresh)
	if o.Open != "" {
		w.show("connect")
		w.connect.open(o.Open)
	}
	return w
}

// Close ends what the window runs. Call it after the toolkit's loop has ended, before the application is closed.
func (w *Window) Close() {
	w.stop()
	w.watcher.Stop()
	w.connect.drawer.Close()
	w.share.drawer.Close()
	w.layers.Close()
}

func (w *Window) variant() kit.Variant {
	switch w.app.Settings().Theme {
	case app.ThemeLight:
		return kit.Light
	case app.ThemeDark:
		return kit.Dark
	}
	return kit.FollowSystem
}

func (w *Window) current() screen {
	switch w.screen {
	case "share":
		return w.share
	case "doctor":
		return w.doctor
	case "learn":
		return w.learn
	case "settings":
		return w.settings
	}
	return w.connect
}

// focusOn gives o, which must be on the screen that is seen, the keyboard. Unlike [kit.FocusOn] it works before the
// screen was drawn for the first time.
func (w *Window) focusOn(o fyne.Focusable) { w.Canvas().Focus(o) }

// show switches to a screen. Something on the new one always gets the keyboard: what had it is gone, and would keep the
// keys to itself.
func (w *Window) show(name string) {
	if w.screen == name {
		return
	}
	if w.screen != "" {
		w.current().shown(false)
	}
	w.screen = name
	s := w.current()
	w.body.Objects = []fyne.CanvasObject{s.view()}
	w.body.Refresh()
	for i, n := range screens {
		if n == name {
			w.rail.Select(i)
		}
	}
	w.paintAgain(name)
	s.refresh()
	s.shown(true)
	s.focus()
	w.refreshStatus()
}

// paintAgain draws a screen anew that was last seen in other colours: Fyne tells a change of theme only to what is shown.
func (w *Window) paintAgain(name string) {
	if now := w.colorsNow(); w.colors[name] != now {
		w.driver.Settings().SetTheme(kit.NewTheme(w.variant))
		w.colors[name] = now
	}
}

// colorsNow names what the colours depend on.
func (w *Window) colorsNow() string {
	return fmt.Sprint(w.app.Settings().Theme, w.driver.Settings().ThemeVariant())
}

// refresh brings the screen that is seen in line with the application.
func (w *Window) refresh() {
	w.current().refresh()
	w.refreshStatus()
	w.connect.transfers.ended(w.app.TakeTransfersEnded())
	if w.screen != "connect" {
		w.connect.questions()
	}
	w.asker.refresh()
	for _, n := range w.app.TakeNotices() {
		if n.Bad {
			kit.Message(w, "Portside", n.Text)
		} else {
			kit.ShowNote(w.body, n.Text)
		}
	}
}

func (w *Window) refreshStatus() {
	if w.body == nil || w.screen == "" {
		return
	}
	left, right := w.current().status()
	w.status.SetLeft(segments(left)...)
	w.status.SetRight(segments(right)...)
}

func segments(texts []string) []kit.Segment {
	out := make([]kit.Segment, len(texts))
	for i, t := range texts {
		out[i] = kit.Segment{Text: t}
	}
	return out
}

func (w *Window) addCommands() {
	go1 := func(name, title, key string) kit.Command {
		return kit.Command{ID: "go." + name, Title: title, Keys: []string{key}, Group: "View", Run: func() { w.show(name) }}
	}
	w.registry.Add(
		kit.Command{ID: "log.text", Title: "Save log as text…", Keys: []string{"Ctrl+S"}, Group: "File", Run: func() { w.saveLog("portside-log.txt", w.app.Log.WriteText) }},
		kit.Command{ID: "log.json", Title: "Save log as JSON lines…", Keys: []string{"Ctrl+Shift+S"}, Group: "File", Run: func() { w.saveLog("portside-log.jsonl", w.app.Log.WriteJSON) }},
		kit.Command{ID: "log.html", Title: "Save log as a page…", Group: "File", Run: func() { w.saveLog("portside-log.html", w.app.Log.WriteHTML) }},
		kit.Command{ID: "log.compare", Title: "Compare logs…", Keys: []string{"Ctrl+D"}, Group: "File", Run: w.compareLogs},
		kit.Command{ID: "app.quit", Title: "Quit", Keys: []string{"Ctrl+Q"}, Group: "File", Run: w.closing},
	)
	w.registry.Add(w.connect.commands()...)
	w.registry.Add(w.connect.siteCommands()...)
	w.registry.Add(w.share.commands()...)
	w.registry.Add(w.doctor.commands()...)
	w.registry.Add(w.learn.commands()...)
	w.registry.Add(go1("connect", "Connect", "Ctrl+1"), go1("share", "Share", "Ctrl+2"), go1("doctor", "Doctor", "Ctrl+3"),
		go1("learn", "Learn", "Ctrl+4"), go1("settings", "Settings", "Ctrl+,"))
}

// closing asks when something would be cut off, keeps the window's size, and quits.
func (w *Window) closing() {
	if w.asked != nil && w.asked.Open() {
		return // the window's own button, a second time
	}
	size := w.Canvas().Size()
	w.app.ChangeSettings(func(s *app.Settings) {
		s.Window.Width, s.Window.Height, s.Window.Screen = size.Width, size.Height, w.screen
		s.Window.Drawer, s.Window.Folded = 1-float64(w.connect.split.Share()), w.connect.split.Folded()
		s.Window.Panes = float64(w.connect.panes.Offset())
	})
	quit := func() { w.driver.Quit() }
	people := len(w.app.Share().Sessions)
	moving := w.app.TransfersRunning()
	unsaved := 0
	for _, e := range w.app.Edits() {
		if e.Unsaved() {
			unsaved++
		}
	}
	switch {
	case unsaved > 0:
		w.asked = kit.Confirm(w, "Quit Portside?", connlog.Capital(count(unsaved, "open file has", "open files have"))+" changes that are not on the server. They stay on this computer, but are not uploaded any more.", "Quit", true, quit)
	case moving > 0:
		w.asked = kit.Confirm(w, "Quit Portside?", connlog.Capital(count(moving, "transfer is", "transfers are"))+" left. Quitting stops them; the next time they can go on where they stopped.", "Quit", true, quit)
	case people > 0:
		w.asked = kit.Confirm(w, "Quit Portside?", connlog.Capital(count(people, "person is", "people are"))+" connected to your shared folder. Quitting ends sharing.", "Quit", true, quit)
	default:
		quit()
	}
}

// dropped takes what was dragged from the desktop. An open dialog holds it back, as it does the rest of the window.
func (w *Window) dropped(at fyne.Position, uris []fyne.URI) {
	if w.Canvas().Overlays().Top() != nil {
		return
	}
	var paths []string
	for _, u := range uris {
		if u.Scheme() == "file" {
			paths = append(paths, u.Path())
		}
	}
	if len(paths) == 0 {
		return
	}
	if w.screen == "share" {
		w.share.drop(paths[0])
		return
	}
	if w.screen != "connect" {
		w.show("connect") // nobody aimed at a folder that was not to be seen
		w.connect.note("Drop files over the pane that they are for.", kit.ColorMuted)
		return
	}
	w.connect.dropPaths(paths, at)
}

// saveLog asks where and writes the log there. The writing is the application's task: a log can be large and a disk
// slow.
func (w *Window) saveLog(name string, write func(io.Writer) error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	kit.ChooseSave(w, filepath.Join(home, name), func(path string) {
		w.app.SaveFile(path, write, func(err error) {
			w.post(func() {
				if err != nil {
					kit.Message(w, "The log was not saved", app.Sentence(err))
					return
				}
				kit.ShowToast(w.body, "Saved as "+path)
			})
		})
	})
}

// noteAndLearn are the actions that both viewpoints offer about a channel: a note to the other side, where that has to
// change something, and the page that explains the mode.
func (w *Window) noteAndLearn(ch connlog.Channel) []channels.Action {
	var out []channels.Action
	if note := ch.Note(); note != "" {
		out = append(out, channels.Action{Label: "Copy a note for them", Run: func() { kit.Copy(w.body, note) }})
	}
	page := "channels"
	switch {
	case ch.State == connlog.Failed && ch.Opened.IsZero():
		page = "firewalls"
	case ch.Mode == connlog.Active:
		page = "active"
	case ch.Mode == connlog.Passive:
		page = "passive"
	}
	return append(out, channels.Action{Label: "Learn more", Run: func() { w.learn.open(page) }})
}
