package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"portside/client/sites"
)

// disk is a saver's file whose writes take as long as the test wants.
type disk struct {
	saver
	newest  string // what would be written now
	held    string
	started chan struct{}
	ends    chan error
	failed  []error
}

func newDisk() *disk {
	d := &disk{started: make(chan struct{}, 1), ends: make(chan error)}
	d.saver.failed = func(err error) { d.failed = append(d.failed, err) }
	d.write = func() error {
		d.mu.Lock()
		text := d.newest
		d.mu.Unlock()
		d.started <- struct{}{}
		err := <-d.ends
		if err == nil {
			d.held = text
		}
		return err
	}
	return d
}

func (d *disk) change(text string) {
	d.mu.Lock()
	d.newest = text
	d.mu.Unlock()
	d.save()
}

func TestChangesDoNotWaitForASlowDiskAndTheNewestIsWritten(t *testing.T) {
	d := newDisk()
	d.change("1")
	<-d.started
	d.change("2") // returns, though the disk is busy
	d.change("3")
	d.ends <- nil
	<-d.started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it did not wait for what is not written yet: %v", err)
	}
	d.ends <- nil
	if err := d.close(t.Context()); err != nil || d.held != "3" {
		t.Errorf("%v, written: %q", err, d.held)
	}
	select {
	case <-d.started:
		t.Error("it was written once more")
	default:
	}
	after := make(chan struct{}, 2)
	late := func(text string) {
		go func() { d.change(text); after <- struct{}{} }()
	}
	late("4")
	<-d.started
	late("5")
	until(t, "the last change is there", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.asked == 5 })
	d.ends <- nil
	<-d.started
	select {
	case <-after:
		t.Fatal("a change that came after the end was not written when save returned")
	default:
	}
	d.ends <- nil
	<-after
	if <-after; d.held != "5" {
		t.Errorf("what came after the end was not written when save returned: %q", d.held)
	}
}

func TestAWriteThatFailsIsSaidAndTriedAgainWithTheNextChange(t *testing.T) {
	d := newDisk()
	full := errors.New("disk full")
	if d.good() {
		t.Error("it is good before anything was written")
	}
	d.change("1")
	<-d.started
	d.ends <- full
	if err := d.wait(t.Context()); !errors.Is(err, full) || len(d.failed) != 1 || d.good() {
		t.Errorf("%v, said %v, good: %v", err, d.failed, d.good())
	}
	d.change("1")
	<-d.started
	d.ends <- nil
	if err := d.wait(t.Context()); err != nil || !d.good() || d.held != "1" {
		t.Errorf("%v, good: %v, written %q", err, d.good(), d.held)
	}
}

// A person who was told that something is saved must find it again, whatever happens next.
func TestWhatWasSaidToBeSavedIsInTheFile(t *testing.T) {
	a := start(t)
	kept := func(what string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(a.dir, settingsFile))
		if err != nil || !strings.Contains(string(text), what) {
			t.Errorf("%s is not in the file: %v %s", what, err, text)
		}
	}
	if err := answer(t, func(done func(error)) { a.SetServerOptions(ServerOptions{MaxClients: 4711}, done) }); err != nil {
		t.Fatal(err)
	}
	kept("4711")
	if err := answer(t, func(done func(error)) { a.SetSharePassword("secret", done) }); err != nil {
		t.Fatal(err)
	}
	kept(a.Settings().Share.PasswordHash.String())
	mustKeep(t, a, Account{Name: "alice", Rights: ReadOnly}, "a")
	kept("alice")
}

func TestSettingsThatCanNotBeWrittenAreANotice(t *testing.T) {
	a := start(t)
	if err := os.Mkdir(filepath.Join(a.dir, settingsFile), 0o700); err != nil {
		t.Fatal(err)
	}
	a.ChangeSettings(func(s *Settings) { s.Theme = ThemeDark })
	if err := a.saved.wait(t.Context()); err == nil {
		t.Fatal("a folder was written over")
	}
	if n := a.TakeNotices(); len(n) != 1 || !n[0].Bad || !strings.HasPrefix(n[0].Text, "The settings can't be saved") {
		t.Errorf("%+v", n)
	}
	if a.Settings().Theme != ThemeDark {
		t.Error("they don't hold for this run")
	}
	if err := os.Remove(filepath.Join(a.dir, settingsFile)); err != nil {
		t.Fatal(err)
	}
	a.ChangeSettings(func(s *Settings) { s.Theme = ThemeDark }) // the same again, and now it can be written
}

// A window may still put down its size when the application has ended.
func TestAChangeAfterTheEndIsWritten(t *testing.T) {
	dir := t.TempDir()
	a := New(dir)
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.ChangeSettings(func(s *Settings) { s.Share.User = "late" })
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it hangs")
	}
	b := New(dir)
	defer b.Close(context.Background())
	if got := b.Settings().Share.User; got != "late" {
		t.Errorf("%q", got)
	}
}

// twoPortsides run with one settings folder.
func twoPortsides(t *testing.T) (dir string, first, second *App) {
	dir = t.TempDir()
	first, second = New(dir), New(dir)
	t.Cleanup(func() { first.Close(context.Background()); second.Close(context.Background()) })
	return dir, first, second
}

// settle waits until the settings are written.
func settle(t *testing.T, a *App) {
	t.Helper()
	if err := a.saved.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTwoPortsidesKeepEachOthersSettings(t *testing.T) {
	dir, first, second := twoPortsides(t)
	change := func(a *App, f func(*Settings)) {
		t.Helper()
		a.ChangeSettings(f)
		settle(t, a)
	}
	change(first, func(s *Settings) {
		s.Theme, s.Connect.Parallel, s.Window.Width = ThemeDark, 7, 900
		s.Sites["a:21"] = Site{NotAhead: true}
		s.Share.Port = 2200
	})
	change(second, func(s *Settings) { s.Connect.Segments, s.Window.Height, s.Sites["b:21"] = 3, 700, Site{NotAhead: true} })
	change(first, func(s *Settings) { delete(s.Sites, "a:21") })
	got, _, err := loadSettings(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got.Theme != ThemeDark || got.Connect.Parallel != 7 || got.Window.Width != 900 || got.Share.Port != 2200 {
		t.Errorf("what the first one changed is gone: %+v", got)
	}
	if _, has := got.Sites["b:21"]; len(got.Sites) != 1 || !has || got.Connect.Segments != 3 || got.Window.Height != 700 {
		t.Errorf("what the second one changed is gone: %+v", got)
	}
	if n := second.TakeNotices(); len(n) != 0 {
		t.Errorf("%+v", n)
	}
	change(second, func(s *Settings) { s.Share.Write = true })
	if n := second.TakeNotices(); len(n) != 1 || !strings.HasPrefix(n[0].Text, "Another Portside that runs has changed the settings of Share") {
		t.Errorf("%+v", n)
	}
	if got, _, _ := loadSettings(dir, time.Now()); !got.Share.Write || got.Share.Port == 2200 || got.Theme != ThemeDark {
		t.Errorf("a mixture of two servers: %+v", got.Share)
	}
}

func TestADeletedLastAccountIsNoChangeOfAnotherPortside(t *testing.T) {
	a := New(t.TempDir())
	t.Cleanup(func() { a.Close(context.Background()) })
	a.ChangeSettings(func(s *Settings) { s.Share.Accounts = []Account{{Name: "ann", Rights: ReadOnly}} })
	settle(t, a)
	a.DeleteAccount(0, "ann")
	settle(t, a)
	a.ChangeSettings(func(s *Settings) { s.Share.Write = true })
	settle(t, a)
	if n := a.TakeNotices(); len(n) != 0 {
		t.Errorf("%+v", n)
	}
}

func TestWhatTwoPortsidesLearnOfOneServerIsKept(t *testing.T) {
	dir, first, second := twoPortsides(t)
	learn := func(a *App, f func(*Site)) {
		t.Helper()
		a.ChangeSettings(func(s *Settings) {
			site := s.Sites["a:21"]
			f(&site)
			s.Sites["a:21"] = site
		})
		settle(t, a)
	}
	learn(first, func(s *Site) { s.Certificate, s.CertificateDER, s.TrustedSince = "sum", "der", time.Now() })
	learn(second, func(s *Site) { s.NotAhead = true })
	got, _, err := loadSettings(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Sites["a:21"]; !s.NotAhead || s.Certificate != "sum" || s.CertificateDER != "der" || s.TrustedSince.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestSitesThatAnotherPortsideHasWrittenAreSetAside(t *testing.T) {
	_, first, second := twoPortsides(t)
	add := func(a *App, name string) {
		t.Helper()
		_ = a.ChangeSites(func(b *sites.Book) error {
			b.Nodes = append(b.Nodes, &sites.Node{ID: name, Name: name, Site: &sites.Site{Host: name}})
			return nil
		})
		if err := a.book.saved.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	add(first, "one.example")
	add(first, "two.example")
	if n := first.TakeNotices(); len(n) != 0 {
		t.Errorf("its own sites: %+v", n)
	}
	add(second, "three.example")
	n := second.TakeNotices()
	if len(n) != 1 || !n[0].Bad {
		t.Fatalf("%+v", n)
	}
	name := regexp.MustCompile(`\S+sites\.other-[^,]+json`).FindString(n[0].Text)
	if text, err := os.ReadFile(name); err != nil || !strings.Contains(string(text), "two.example") {
		t.Errorf("%q: %v %s", n[0].Text, err, text)
	}
}
