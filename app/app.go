// Package app is the application without a screen: settings, the running server, the connections to remote servers,
// transfers, and the connection log that all of them write to. The window and the terminal ask it to do things and
// draw what it shows.
//
// Everything that takes time runs in goroutines that the [App] owns; [App.Close] ends them and waits. A method that a
// screen calls returns at once. State is given out as snapshots; [App.Version] grows whenever one of them would look
// different, so that a screen can look a few times a second and redraw only then.
package app

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portside/connlog"
)

// App is the application. Its methods are safe for concurrent use.
type App struct {
	sync syncing
	// Log is the connection log of client and server, both viewpoints.
	Log *connlog.Log

	dir     string // where settings are kept; empty: nowhere
	version atomic.Uint64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	settings Settings
	saved    *saver   // of the settings
	kept     Settings // as they were read or last written; the saver's, after the start
	notices  []Notice
	nextID   uint64

	share  *share
	tabs   *tabs
	queue  *transfers
	local  local
	edits  edits
	search search

	book      *siteBook
	safe      *safe
	questions questions

	examination examination
	demo        *sampleServer
	demoTab     *remote // that is connected to it
}

// Notice is something that a person should read once: a warning or an error that has no place of its own.
type Notice struct {
	ID   uint64
	Text string
	Bad  bool
}

// ConfigDir is where the program keeps its settings: the user's configuration folder, "portside" in it.
func ConfigDir() (string, error) {
	base, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "portside"), nil
}

// New returns an application whose settings are kept in dir; with an empty dir they are forgotten at the end.
// Settings that can't be read don't stop it: they are set aside, the defaults are used, and a [Notice] says so.
func New(dir string) *App {
	ctx, cancel := context.WithCancel(context.Background())
	a := &App{Log: connlog.NewLog(0), dir: dir, ctx: ctx, cancel: cancel, settings: DefaultSettings()}
	a.questions.turn = make(chan struct{}, 1)
	a.saved = &saver{write: a.saveSettings, failed: a.notSaved}
	a.safe = newSafe(dir)
	a.loadSites(dir)
	a.share = newShare(a)
	a.tabs = newTabs(a)
	a.queue = newTransfers(a)
	if dir != "" {
		s, notice, err := loadSettings(dir, time.Now())
		a.settings, a.kept = s, s.clone()
		switch {
		case err != nil:
			a.notify(err.Error(), true)
			a.dir = "" // what can't be read must not be written over
		case notice != "":
			a.notify(notice, true)
		}
		a.queue.openLeft()
	}
	return a
}

// Close stops the server and every connection and transfer, and waits until nothing is left running and the settings and
// sites are written, or ctx ends. Its error also says what could not be written.
func (a *App) Close(ctx context.Context) error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	a.mu.Unlock()

	err := a.share.close(ctx)
	a.stopSamples(ctx, nil)
	a.cancel()
	done := make(chan error, 1)
	go func() {
		queue := a.queue.close()
		a.tasks.Wait()
		a.tabs.close()
		a.stopSamples(ctx, nil) // of a task that was starting them
		done <- queue
	}()
	select {
	case queue := <-done:
		err = errors.Join(err, queue)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, a.saved.close(ctx), a.book.saved.close(ctx))
}

// Version grows whenever a snapshot would look different. While files move, or somebody is connected to the local
// server, every look is a new one. The log has a version of its own.
func (a *App) Version() uint64 {
	if a.TransfersRunning() > 0 || a.share.busy() {
		return a.version.Add(1)
	}
	return a.version.Load()
}

func (a *App) changed() { a.version.Add(1) }

// run starts f as a task that Close ends and waits for. It reports false when the application is closing.
func (a *App) run(f func(ctx context.Context)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.tasks.Go(func() { f(a.ctx) })
	return true
}

// Settings returns the settings as they are now.
func (a *App) Settings() Settings {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settings.clone()
}

// clone returns settings that share nothing with s.
func (s Settings) clone() Settings {
	s.Sites = maps.Clone(s.Sites)
	s.Recent = slices.Clone(s.Recent)
	s.Share.Accounts = slices.Clone(s.Share.Accounts)
	s.Share.LocalNetworks = slices.Clone(s.Share.LocalNetworks)
	s.Connect.SyncExclude = slices.Clone(s.Connect.SyncExclude)
	for _, p := range []*PaneSettings{&s.Connect.LocalPane, &s.Connect.RemotePane} {
		p.Columns, p.Widths = slices.Clone(p.Columns), maps.Clone(p.Widths)
	}
	return s
}

// ChangeSettings lets change edit the settings, and has them written when they are others. It does not wait for that. When
// they can't be written they hold for this run, and a [Notice] says why.
func (a *App) ChangeSettings(change func(*Settings)) {
	if a.changeSettings(change) {
		a.saved.save() // not under mu, which the write needs
	}
}

// changeSettings says whether there is something to write.
func (a *App) changeSettings(change func(*Settings)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.settings.clone()
	change(&next)
	next.mend()
	if a.saved.good() && reflect.DeepEqual(next, a.settings) {
		return false // a field that was left as it was costs no write
	}
	if !a.closed && !next.Share.sameAccounts(a.settings.Share) {
		a.tasks.Go(a.share.followAccounts) // the running server's, too
	}
	a.settings = next
	a.changed()
	return true
}

// saveSettings writes the settings as they are now.
func (a *App) saveSettings() error {
	if a.dir == "" {
		return nil
	}
	now := a.Settings()
	notice, err := saveSettings(a.dir, a.kept, now)
	if err != nil {
		return err
	}
	a.kept = now
	if notice != "" {
		a.notify(notice, false)
	}
	return nil
}

// notSaved says that something could not be written.
func (a *App) notSaved(err error) { a.notify(Sentence(err), true) }

func (a *App) notify(text string, bad bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nextID++
	a.notices = append(a.notices, Notice{a.nextID, text, bad})
	if len(a.notices) > 20 {
		a.notices = a.notices[1:]
	}
	a.changed()
}

// TakeNotices returns the notices that nobody has taken yet.
func (a *App) TakeNotices() []Notice {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.notices
	a.notices = nil
	return n
}
