package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
