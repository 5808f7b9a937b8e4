package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
	"portside/localserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *App {
	t.Helper()
	a := New(t.TempDir())
	a.share.check.env = noRouter
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return a
}

// until waits for a state that other goroutines bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// share starts the local server over dir on a free port of loopback's.
func (s *share) startOver(t *testing.T, dir string, change func(*ShareSettings)) string {
	t.Helper()
	a := s.app
	a.ChangeSettings(func(set *Settings) {
		set.Share.Folder, set.Share.Port, set.Share.UseRange = dir, freePort(t), false
		if change != nil {
			change(&set.Share)
		}
	})
	a.StartShare()
	until(t, "the server runs", func() bool {
		if st := a.Share(); st.Err != "" {
			t.Fatal(st.Err)
		}
		return a.Share().Phase == Running
	})
	return net.JoinHostPort("127.0.0.1", portOf(a.Share().Addr.String()))
}

// answer runs a task and returns what it says when it is done.
func answer(t *testing.T, task func(done func(error))) error {
	t.Helper()
	said := make(chan error, 1)
	task(func(err error) { said <- err })
	select {
	case err := <-said:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the task was never done")
		return nil
	}
}

func applyPassive(t *testing.T, a *App, set ShareSettings) error {
	t.Helper()
	return answer(t, func(done func(error)) { a.ApplyPassive(set, done) })
}

func portOf(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// freePort returns a port that no system gives out by itself: one of those may belong to another program's connection by
// the time that the server listens.
func freePort(t *testing.T) int { return freePorts(t, 1) }

// freePorts returns the first of n free ports in a row.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	syscall.ForkLock.RLock() // else a process that begins meanwhile, such as to ask the firewall, has the ports for a moment longer
	defer syscall.ForkLock.RUnlock()
	for range 100 {
		port := 10_000 + rand.IntN(10_000)
		free := true
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port+i))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, a *App, url string, mode client.Mode) {
	t.Helper()
	target, err := client.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	a.Connect(target, mode)
	until(t, "the folder is listed", func() bool {
		r := a.Remote()
		if r.Err != "" {
			t.Fatal(r.Err)
		}
		return r.Phase == Connected && r.Folder.Path != "" && r.Doing == ""
	})
}

func names(entries []client.Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return strings.Join(out, " ")
}

func TestSettingsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	a := New(dir)
	hash, err := localserver.HashPassword("brisk-otter-41")
	if err != nil {
		t.Fatal(err)
	}
	a.ChangeSettings(func(s *Settings) {
		s.Theme, s.Share.Min, s.Share.PasswordHash = ThemeLight, 30000, hash
		s.Sites["h:21"] = Site{Mode: client.ModeActive}
	})
	a.Close(context.Background())
	b := New(dir)
	defer b.Close(context.Background())
	s := b.Settings()
	if s.Theme != ThemeLight || s.Share.Min != 30000 || s.Share.PasswordHash.String() != hash.String() || s.Sites["h:21"].Mode != client.ModeActive {
		t.Errorf("%+v", s)
	}
	text, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if err != nil || bytes.Contains(text, []byte("brisk-otter-41")) || !json.Valid(text) {
		t.Errorf("%v %s", err, text)
	}
}

func TestSettingsThatStayAsTheyAreAreNotWritten(t *testing.T) {
	dir := t.TempDir()
	a := New(dir)
	t.Cleanup(func() { a.Close(context.Background()) })
	change := func(limit int) (os.FileInfo, uint64) {
		t.Helper()
		a.ChangeSettings(func(s *Settings) { s.Connect.DownLimit = limit })
		if err := a.saved.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, settingsFile))
		if err != nil {
			t.Fatal(err)
		}
		return info, a.Version()
	}
	first, version := change(1)
	if same, v := change(1); !os.SameFile(first, same) || v != version {
		t.Error("the same again is written, and said to be news")
	}
	if other, v := change(2); os.SameFile(first, other) || v == version {
		t.Error("a change is not written")
	}
}

func TestAChangeInPlaceIsWrittenAndTouchesNoOlderLook(t *testing.T) {
	dir := t.TempDir()
	a := New(dir)
	a.ChangeSettings(func(s *Settings) {
		s.Connect.SyncExclude = []string{"*.tmp"}
		s.Connect.LocalPane = PaneSettings{Columns: []string{"size"}, Widths: map[string]float32{"size": 80}}
	})
	before := a.Settings()
	a.ChangeSettings(func(s *Settings) {
		s.Connect.SyncExclude[0], s.Connect.LocalPane.Columns[0], s.Connect.LocalPane.Widths["size"] = "*.bak", "time", 90
	})
	if c := before.Connect; c.SyncExclude[0] != "*.tmp" || c.LocalPane.Columns[0] != "size" || c.LocalPane.Widths["size"] != 80 {
		t.Errorf("the older look has become %+v", c)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := New(dir)
	defer b.Close(t.Context())
	if c := b.Settings().Connect; c.SyncExclude[0] != "*.bak" || c.LocalPane.Columns[0] != "time" || c.LocalPane.Widths["size"] != 90 {
		t.Errorf("written was %+v", c)
	}
}

func TestABrokenSettingsFileIsSetAsideAndSaid(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, settingsFile), `{"theme": "dark", `)
	a := New(dir)
	defer a.Close(context.Background())
	notices := a.TakeNotices()
	if len(notices) != 1 || !strings.Contains(notices[0].Text, "set aside") {
		t.Fatalf("%v", notices)
	}
	aside, _ := filepath.Glob(filepath.Join(dir, "settings.broken-*"))
	if len(aside) != 1 {
		t.Fatalf("set aside: %v", aside)
	}
	if text, _ := os.ReadFile(aside[0]); string(text) != `{"theme": "dark", ` {
		t.Errorf("%s", text)
	}
	a.ChangeSettings(func(s *Settings) { s.Theme = ThemeDark })
	if err := a.saved.wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSettingsOutOfRangeGoBackToTheirDefaults(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, settingsFile), `{"theme":"pink","window":{"width":-4},"share":{"port":99999,"access":"all","passiveIPMode":"x","passivePortMin":86636,"passivePortMax":86735},"connect":{"parallel":900,"mode":"?","activePortMin":-1,"activePortMax":65536}}`)
	a := New(dir)
	defer a.Close(context.Background())
	s, d := a.Settings(), DefaultSettings()
	if s.Theme != d.Theme || s.Window.Width != d.Window.Width || s.Share.Port != d.Share.Port || s.Share.Access != d.Share.Access ||
		s.Share.IPMode != d.Share.IPMode || s.Share.Min != d.Share.Min || s.Share.Max != d.Share.Max || s.Connect.ActiveMin != 0 || s.Connect.ActiveMax != 0 || s.Connect.Parallel != d.Connect.Parallel || s.Connect.Mode != d.Connect.Mode {
		t.Errorf("%+v", s)
	}
}

func TestSharingAndConnectingMoveAFolderBothWaysInEachMode(t *testing.T) {
	a := start(t)
	shared, mine := t.TempDir(), t.TempDir()
	write(t, filepath.Join(shared, "photos", "one.jpg"), strings.Repeat("1", 200_000))
	addr := a.share.startOver(t, shared, func(s *ShareSettings) { s.Write, s.TLS = true, localserver.TLSOff })
	for _, mode := range []client.Mode{client.ModePassive, client.ModeActive} {
		connect(t, a, "ftp://"+addr+"/", mode)
		if got := names(a.Remote().Folder.Entries); !strings.Contains(got, "photos") {
			t.Fatalf("listing: %q", got)
		}
		into := filepath.Join(mine, string(mode))
		if err := os.Mkdir(into, 0o755); err != nil {
			t.Fatal(err)
		}
		a.DownloadFrom(a.Remote().Folder.Path, []client.Entry{{Name: "photos", Type: client.Folder}}, into)
		finished(t, a)
		if got, err := os.ReadFile(filepath.Join(into, "photos", "one.jpg")); err != nil || len(got) != 200_000 {
			t.Fatalf("%v, %d bytes", err, len(got))
		}
		a.UploadPaths([]string{into})
		finished(t, a)
		if got, err := os.ReadFile(filepath.Join(shared, string(mode), "photos", "one.jpg")); err != nil || len(got) != 200_000 {
			t.Fatalf("%v, %d bytes", err, len(got))
		}
		want := connlog.Client
		if mode == client.ModeActive {
			want = connlog.Server
		}
		key := connlog.SessionKey{Side: connlog.Client, ID: a.Remote().Session}
		s, ok := a.Log.Session(key)
		if !ok || len(s.Channels) < 2 || s.Channels[1].Initiator != want {
			t.Errorf("%s mode: the log says %+v", mode, s)
		}
	}
	a.Disconnect()
	until(t, "it is disconnected", func() bool { return a.Remote().Phase == Disconnected && len(a.Share().Sessions) == 0 })
	a.StopShare()
	until(t, "the server has stopped", func() bool { return a.Share().Phase == Stopped })
}

func finished(t *testing.T, a *App) {
	t.Helper()
	until(t, "the transfer has ended", func() bool { return a.TransfersRunning() == 0 })
	a.ShowTransfers(transfer.Failed, 0)
	if s := a.Transfers(); s.Items[transfer.Failed] > 0 {
		until(t, "the failures are read", func() bool { return len(a.Transfers().Shown) > 0 })
		t.Fatalf("%+v", a.Transfers().Shown)
	}
	a.ClearTransfers(transfer.Done)
}

func TestAnExistingFileIsAskedAbout(t *testing.T) {
	a := start(t)
	shared, mine := t.TempDir(), t.TempDir()
	write(t, filepath.Join(shared, "a.txt"), "new text")
	write(t, filepath.Join(shared, "b.txt"), "new text")
	write(t, filepath.Join(mine, "a.txt"), "old")
	write(t, filepath.Join(mine, "b.txt"), "old")
	connect(t, a, "ftp://"+a.share.startOver(t, shared, func(s *ShareSettings) { s.TLS = localserver.TLSOff })+"/", client.ModePassive)
	a.DownloadFrom(a.Remote().Folder.Path, a.Remote().Folder.Entries, mine)
	until(t, "it asks", func() bool { return a.OverwriteQuestion() != nil })
	q := a.OverwriteQuestion()
	if q.LocalSize != 3 || q.RemoteSize != 8 {
		t.Errorf("%+v", q.Conflict)
	}
	q.Answer(transfer.Overwrite, true)
	finished(t, a)
	for _, n := range []string{"a.txt", "b.txt"} {
		if text, _ := os.ReadFile(filepath.Join(mine, n)); string(text) != "new text" {
			t.Errorf("%s: %q", n, text)
		}
	}
	a.DownloadFrom(a.Remote().Folder.Path, a.Remote().Folder.Entries, mine)
	until(t, "it asks", func() bool { return a.OverwriteQuestion() != nil })
	a.OverwriteQuestion().Cancel()
	until(t, "the transfer has ended", func() bool { return a.TransfersRunning() == 0 })
	if text, _ := os.ReadFile(filepath.Join(mine, "a.txt")); string(text) != "new text" || a.Transfers().Items[transfer.Done] > 2 {
		t.Errorf("%q, %+v", text, a.Transfers())
	}
}

func TestACertificateIsAskedAboutOnceAndRememberedForTheSite(t *testing.T) {
	a := start(t)
	shared := t.TempDir()
	addr := a.share.startOver(t, shared, func(s *ShareSettings) { s.TLS = localserver.TLSRequired })
	target, _ := client.ParseURL("ftpes://" + addr + "/")

	a.Connect(target, client.ModeAuto)
	until(t, "it asks", func() bool { return a.Remote().Question != nil })
	a.Remote().Question.Answer(TrustNo)
	until(t, "it is refused", func() bool { return a.Remote().Err != "" && a.Remote().Phase == Disconnected })
	if len(a.Settings().Sites) != 0 {
		t.Errorf("%v", a.Settings().Sites)
	}

	a.Connect(target, client.ModeAuto)
	until(t, "it asks again", func() bool { return a.Remote().Question != nil })
	q := a.Remote().Question
	if d := q.Describe(); d.SHA256 == "" || d.Subject == "" || d.Problem == "" || q.Known != "" {
		t.Errorf("%+v", d)
	}
	q.Answer(TrustAlways)
	until(t, "it is connected", func() bool { return a.Remote().Folder.Path == "/" })
	if r := a.Remote(); !strings.HasPrefix(r.TLS, "TLS 1.") || r.ModeUsed != client.ModePassive {
		t.Errorf("%+v", r)
	}
	connect(t, a, "ftpes://"+addr+"/", client.ModeAuto) // without a question
	site := a.Settings().Sites[addr]
	if site.Certificate != q.Problem.SHA256 || site.Mode != client.ModePassive {
		t.Errorf("%+v", site)
	}
}

func TestAnAuthorityTakesThePlaceOfATrustedCertificateOnlyWhenThePersonSaysSo(t *testing.T) {
	for _, c := range []struct {
		answer Trust
		ok     bool
		pin    string // afterwards
		again  bool   // it is asked about the next time
	}{{TrustNo, false, "OLD", true}, {TrustOnce, true, "OLD", false}, {TrustAlways, true, "", false}} {
		a := start(t)
		a.ChangeSettings(func(s *Settings) { s.Sites["h:21"] = Site{Certificate: "OLD"} })
		done := make(chan error, 1)
		verify := a.remote().verify("h:21")
		go func() { done <- verify(context.Background(), client.CertificateProblem{Host: "h", SHA256: "NEW"}) }()
		until(t, "it asks", func() bool { return a.Remote().Question != nil })
		q := a.Remote().Question
		if !q.Vouched() || q.Known != "OLD" {
			t.Errorf("%+v", q)
		}
		q.Answer(c.answer)
		if err := <-done; (err == nil) != c.ok {
			t.Errorf("answer %d: %v", c.answer, err)
		}
		if pin := a.Settings().Sites["h:21"].Certificate; pin != c.pin {
			t.Errorf("answer %d: %q is trusted", c.answer, pin)
		}
	}
}

func TestAServerThatGaveUpWhileThePersonThoughtIsDialledAgain(t *testing.T) {
	server, err := localserver.New(localserver.Config{Listen: "127.0.0.1:0", Root: t.TempDir(), TLS: localserver.TLSConfig{Mode: localserver.TLSRequired},
		Accounts: []localserver.Account{{Name: localserver.Anonymous, Rights: localserver.ReadWrite}}})
	if err == nil {
		err = server.Start(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	a := start(t)
	target, _ := client.ParseURL("ftpes://" + server.Addr().String() + "/")
	a.Connect(target, client.ModePassive)
	until(t, "it asks", func() bool { return a.Remote().Question != nil })
	for _, one := range server.Sessions() {
		server.Kick(one.ID)
	}
	until(t, "the server has given up", func() bool { return len(server.Sessions()) == 0 })
	a.Remote().Question.Answer(TrustOnce)
	until(t, "it is connected", func() bool { return a.Remote().Folder.Path == "/" })
}

func TestConnectingCanBeCancelled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := start(t)
	target, _ := client.ParseURL("ftp://" + l.Addr().String())
	a.Connect(target, client.ModeAuto)
	until(t, "it is connecting", func() bool { return a.Remote().Doing != "" && a.Remote().Status != "" })
	a.Cancel()
	until(t, "it has stopped", func() bool { r := a.Remote(); return r.Phase == Disconnected && r.Doing == "" })
	if err := a.Remote().Err; !strings.HasPrefix(err, "Cancelled") {
		t.Errorf("%q", err)
	}
}

func TestAFailedStartSaysWhy(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, change := range map[string]func(*ShareSettings){
		"choose a folder": func(s *ShareSettings) { s.Folder = "" },
		"not":             func(s *ShareSettings) { s.Folder = "/no/such/folder" },
		"in use":          func(s *ShareSettings) { s.Port = l.Addr().(*net.TCPAddr).Port },
		"password":        func(s *ShareSettings) { s.Access = AccessUser },
	} {
		a := start(t)
		a.ChangeSettings(func(s *Settings) {
			s.Share.Folder, s.Share.Port = t.TempDir(), 0
			change(&s.Share)
		})
		a.StartShare()
		until(t, "it fails", func() bool { return a.Share().Err != "" })
		if st := a.Share(); st.Phase != Stopped || !strings.Contains(st.Err, want) {
			t.Errorf("%q: %+v", want, st)
		}
	}
}

func TestPassiveSettingsReachTheRunningServerAndNonsenseChangesNothing(t *testing.T) {
	a := start(t)
	addr := a.share.startOver(t, t.TempDir(), func(s *ShareSettings) { s.TLS = localserver.TLSOff })
	set := a.Settings().Share
	set.UseRange, set.Min, set.Max = true, 21150, 21160
	if err := applyPassive(t, a, set); err != nil {
		t.Fatal(err)
	}
	connect(t, a, "ftp://"+addr+"/", client.ModePassive)
	s, _ := a.Log.Session(connlog.SessionKey{Side: connlog.Client, ID: a.Remote().Session})
	if p := s.Channels[1].To.Port(); p < 21150 || p > 21160 {
		t.Errorf("port %d", p)
	}
	for _, bad := range [][2]int{{21160, 21150}, {80, 90}, {21150, 70000}, {-1, 5}, {set.Port, set.Port}} {
		wrong := set
		wrong.Min, wrong.Max = bad[0], bad[1]
		if err := applyPassive(t, a, wrong); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if got := a.Settings().Share; got.Min != 21150 || got.Max != 21160 {
		t.Errorf("%+v", got)
	}
	set.IPMode, set.IPValue = localserver.PassiveFixed, "10.1.2.3"
	if err := applyPassive(t, a, set); err != nil {
		t.Errorf("a private address: %v", err)
	}
	set.IPValue = "not an address"
	if err := applyPassive(t, a, set); err == nil {
		t.Error("nonsense was taken as an address")
	}
}

func TestTryItShowsBothModesAndCleansUp(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	a := New("")
	a.TryIt()
	until(t, "both modes were shown", func() bool {
		modes := map[connlog.Mode]bool{}
		for _, s := range a.Log.Sessions() {
			for _, c := range s.Channels {
				if s.Side == connlog.Client && c.State == connlog.Closed {
					modes[c.Mode] = true
				}
			}
		}
		return modes[connlog.Passive] && modes[connlog.Active] && a.Remote().Doing == ""
	})
	if err := a.Remote().Err; err != "" {
		t.Error(err)
	}
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLocalFolderChanges(t *testing.T) {
	a := start(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.txt"), "a")
	a.OpenLocal(dir)
	until(t, "it is listed", func() bool { return a.Local().Path == dir })
	step := func(do func(), want string) {
		t.Helper()
		do()
		until(t, "the folder holds "+want, func() bool { return names(a.Local().Entries) == want })
	}
	step(func() { a.MakeLocalFolder(a.Local().Path, "new") }, "a.txt new")
	step(func() { a.RenameLocal(a.Local().Path, "a.txt", "b.txt") }, "b.txt new")
	a.RenameLocal(a.Local().Path, "b.txt", "new")
	a.MakeLocalFolder(a.Local().Path, "../out")
	refused := 0
	until(t, "both are refused", func() bool { refused += len(a.TakeNotices()); return refused >= 2 })
	if _, err := os.Stat(filepath.Join(dir, "..", "out")); err == nil {
		t.Error("a folder was made outside")
	}
	until(t, "it says so", func() bool {
		if st := a.Local(); st.Err == "" && !st.Loading { // else what was refused has listed the folder again, after this
			a.OpenLocal(filepath.Join(dir, "no such folder"))
		}
		return a.Local().Err != ""
	})
	if a.Local().Path != dir {
		t.Errorf("path %q", a.Local().Path)
	}
	step(func() { a.DeleteLocal(a.Local().Path, []string{"b.txt", "new"}) }, "")
}

// On Windows and macOS "a.txt" and "A.txt" are one file; two names of one file stand for that here.
func TestCapitalsOfANameCanBeChangedWhereTheyDoNotCount(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("a.txt"), "one")
	if err := os.Link(at("a.txt"), at("A.txt")); err != nil {
		t.Skip("no disk with two names for a file:", err)
	}
	if err := os.Link(at("a.txt"), at("other.txt")); err != nil {
		t.Fatal(err)
	}
	write(t, at("b.txt"), "two")
	write(t, at("B.txt"), "three")
	for _, tt := range []struct {
		from, to string
		same     bool
	}{{"a.txt", "A.txt", true}, {"a.txt", "a.txt", false}, {"a.txt", "other.txt", false}, {"b.txt", "B.txt", false}, {"none", "A.txt", false}} {
		st, err := os.Lstat(at(tt.to))
		if err != nil {
			t.Fatal(err)
		}
		if sameEntry(at(tt.from), at(tt.to), st) != tt.same {
			t.Errorf("%s and %s are taken for one: %v", tt.from, tt.to, !tt.same)
		}
	}
}

func TestAFolderThatWasStillBeingReadIsReadToItsEndWhenTheNextOneFails(t *testing.T) {
	a := start(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "")
	write(t, filepath.Join(dir, "b"), "")
	a.local.mu.Lock()
	a.local.state = Local{Folder: Folder{Path: dir, Entries: []client.Entry{{Name: "a"}}, Loading: true}} // what came so far
	a.local.mu.Unlock()
	a.OpenLocal(filepath.Join(dir, "no such folder"))
	until(t, "it is whole", func() bool { l := a.Local(); return l.Path == dir && names(l.Entries) == "a b" && !l.Loading })
	if n := a.TakeNotices(); len(n) != 1 || !strings.Contains(n[0].Text, "no such folder") {
		t.Errorf("it is said: %v", n)
	}
}

func TestSavingAFileThatFailsLeavesTheOldOne(t *testing.T) {
	a := start(t)
	name := filepath.Join(t.TempDir(), "log.txt")
	write(t, name, "old")
	for _, one := range []struct {
		write func(io.Writer) error
		want  string
	}{
		{func(w io.Writer) error { w.Write([]byte("half")); return io.ErrUnexpectedEOF }, "old"},
		{func(w io.Writer) error { _, err := w.Write([]byte("new")); return err }, "new"},
	} {
		done := make(chan error)
		a.SaveFile(name, one.write, func(err error) { done <- err })
		<-done
		if text, _ := os.ReadFile(name); string(text) != one.want {
			t.Errorf("%q, want %q", text, one.want)
		}
	}
}

func TestStoppingTwiceDoesNotWaitForTransfers(t *testing.T) {
	a := start(t)
	shared := t.TempDir()
	write(t, filepath.Join(shared, "big"), strings.Repeat("x", 32<<20))
	addr := a.share.startOver(t, shared, func(s *ShareSettings) { s.TLS = localserver.TLSOff })
	target, _ := client.ParseURL("ftp://" + addr + "/")
	s, err := client.Dial(context.Background(), client.Options{Target: target, Mode: client.ModePassive})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stuck, release := io.Pipe() // a client that reads a little and then no more
	done := make(chan struct{})
	go func() { defer close(done); s.Get(context.Background(), "big", 0, release) }()
	if _, err := io.ReadFull(stuck, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a.StopShare()
	if a.Share().Phase != Stopping {
		t.Fatalf("phase %s", a.Share().Phase)
	}
	until(t, "the second stop has ended it", func() bool { a.StopShare(); return a.Share().Phase == Stopped })
	if took := time.Since(began); took > 8*time.Second { // the grace is ten
		t.Errorf("it waited %v for the transfer", took)
	}
	stuck.Close()
	<-done
}

func TestASentenceBeginsWithACapitalOfAnyAlphabet(t *testing.T) {
	for text, want := range map[string]string{"": "", "no room": "No room.", "ärger.txt is there already": "Ärger.txt is there already.", "日本 is full.": "日本 is full.",
		"\xff is no name": "\xff is no name."} {
		if got := Sentence(errors.New(text)); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestAServerIsNotStartedAfterTheApplicationHasStoppedIt(t *testing.T) {
	a := start(t)
	a.ChangeSettings(func(s *Settings) { s.Share.Folder, s.Share.Port, s.Share.UseRange = t.TempDir(), freePort(t), false })
	a.share.turn.Lock() // the start waits
	a.StartShare()
	a.share.turn.Unlock()
	if err := a.share.close(t.Context()); err != nil { // before the start, or after it
		t.Fatal(err)
	}
	a.StartShare() // a task that was late
	until(t, "it is started, or not", func() bool { return a.Share().Phase != Starting })
	if phase := a.Share().Phase; phase != Stopped {
		t.Errorf("it is %s", phase)
	}
}

func TestClosingWaitsNoLongerThanAsked(t *testing.T) {
	a := start(t)
	addr := a.share.startOver(t, t.TempDir(), func(s *ShareSettings) { s.Write, s.TLS = true, localserver.TLSOff })
	target, _ := client.ParseURL("ftp://" + addr)
	s, err := client.Dial(t.Context(), client.Options{Target: target, Mode: client.ModePassive})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	slow, begun := io.Pipe()
	defer slow.Close()
	go s.Put(t.Context(), "slow", 0, slow)
	if _, err := begun.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	until(t, "it is uploading", func() bool { in := a.Share().Sessions; return len(in) == 1 && in[0].Command == "STOR" })
	a.StopShare() // its grace begins
	until(t, "it is stopping", func() bool { a.share.mu.Lock(); defer a.share.mu.Unlock(); return a.share.hurry != nil })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_ = a.Close(ctx)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestSamplesThatBeginWhileTheApplicationClosesAreTakenAway(t *testing.T) {
	a := New("")
	begun := make(chan *sampleServer, 1)
	a.run(func(ctx context.Context) { // as in TryIt
		<-ctx.Done()
		samples, err := startSamples(context.WithoutCancel(ctx), a.Log)
		if err != nil {
			t.Error(err)
		}
		a.mu.Lock()
		a.demo = samples
		a.mu.Unlock()
		begun <- samples
	})
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat((<-begun).dir); !os.IsNotExist(err) {
		t.Errorf("their folder is still there: %v", err)
	}
}

func TestWhatWasSeenHoldsNoAdvice(t *testing.T) {
	err := fmt.Errorf("outside: %w", &client.Error{Op: "list", On: "/", Reason: connlog.ReasonTimeout, Advice: "Try passive mode."})
	if got := Sentence(withoutAdvice(err)); strings.Contains(got, "Try passive") || !strings.Contains(got, "no answer") && !strings.Contains(got, "timeout") {
		t.Error(got)
	}
	if plain := errors.New("disk full"); withoutAdvice(plain) != plain {
		t.Error("another error is changed")
	}
}
