package app

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/client"
	"portside/client/secrets"
	"portside/client/sites"
	"portside/doctor"
	"portside/localserver"
)

// ring is a keyring in memory.
type ring struct {
	mu   sync.Mutex
	held map[string]string
}

func (r *ring) Get(_ context.Context, key string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.held[key]; ok {
		return v, nil
	}
	return "", secrets.ErrNotFound
}

func (r *ring) Set(_ context.Context, key, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[key] = value
	return nil
}

func (r *ring) Delete(_ context.Context, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, key)
	return nil
}

func (r *ring) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held)
}

func startWithRing(t *testing.T) (*App, *ring) {
	a := start(t)
	k := &ring{held: map[string]string{}}
	a.safe.open = func(context.Context) (secrets.Store, error) { return k, nil }
	return a, k
}

// guarded starts a server that wants a password and TLS, and returns a site for it.
func guarded(t *testing.T, a *App) *sites.Site {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "in", "file.txt"), "x")
	hash, err := localserver.HashPassword("s3cret")
	if err != nil {
		t.Fatal(err)
	}
	addr := a.share.startOver(t, dir, func(s *ShareSettings) {
		s.Access, s.User, s.PasswordHash, s.TLS = AccessUser, "alice", hash, localserver.TLSRequired
	})
	host, portText, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(portText)
	return &sites.Site{Host: host, Port: uint16(port), TLS: client.TLSExplicit, Login: sites.LoginNormal, User: "alice", RemoteFolder: "in",
		LocalFolder: dir, Mode: client.ModeActive, Color: "red", Connections: 2, DownLimit: 4096}
}

func add(t *testing.T, a *App, name string, s *sites.Site) string {
	t.Helper()
	n := sites.NewNode(name, s)
	if err := a.ChangeSites(func(b *sites.Book) error { return b.Add("", -1, n) }); err != nil {
		t.Fatal(err)
	}
	return n.ID
}

func asked(t *testing.T, a *App, kind QuestionKind) *Question {
	t.Helper()
	until(t, "it asks about "+string(kind), func() bool {
		if q := a.Remote().Question; q != nil {
			q.Answer(TrustOnce)
		}
		q := a.Question()
		if q != nil && q.Kind != kind {
			t.Fatalf("it asks about %s", q.Kind)
		}
		return q != nil
	})
	return a.Question()
}

func answered(t *testing.T, a *App, q *Question, r Reply) {
	t.Helper()
	q.Answer(r)
	until(t, "the answer is taken", func() bool { return a.Question() != q })
}

func listed(t *testing.T, a *App, want string) {
	t.Helper()
	until(t, "the folder is listed", func() bool {
		r := a.Remote()
		if r.Question != nil {
			r.Question.Answer(TrustOnce)
		}
		if r.Err != "" {
			t.Fatal(r.Err)
		}
		return r.Phase == Connected && r.Folder.Path == want && r.Doing == ""
	})
}

func TestASiteConnectsWithAllThatIsSetForItAndItsPasswordIsAskedForOnce(t *testing.T) {
	a, k := startWithRing(t)
	s := guarded(t, a)
	id := add(t, a, "Mine", s)
	if err := a.ConnectSite(id); err != nil {
		t.Fatal(err)
	}
	q := asked(t, a, AskPassword)
	if q.User != "alice" || q.Site != "Mine" {
		t.Errorf("it asks %+v", q)
	}
	answered(t, a, q, Reply{OK: true, Password: "s3cret", Keep: true})
	listed(t, a, "/in")
	if r := a.Remote(); r.SiteName != "Mine" || r.Color != "red" || r.Mode != client.ModeActive || r.TLS == "" || r.Resumed != Resumes {
		t.Errorf("%+v", r)
	}
	if site, name, _ := a.ConnectedSite(); name != "Mine" || site.Connections != 2 || site.DownLimit != 4096 {
		t.Errorf("%q %+v", name, site)
	}
	if k.len() != 1 || a.Local().Path != s.LocalFolder {
		t.Errorf("%d secrets kept; local folder %q", k.len(), a.Local().Path)
	}
	a.Disconnect()
	if err := a.ConnectSite(id); err != nil {
		t.Fatal(err)
	}
	listed(t, a, "/in")
	if r := a.Recents(); len(r) != 1 || r[0].Site != id || strings.Contains(r[0].URL, "s3cret") {
		t.Errorf("%+v", r)
	}

	save := func(c SecretChanges, edit func(*sites.Book)) {
		t.Helper()
		book, _ := a.Sites()
		base := book.Clone()
		edit(book)
		done := make(chan error, 1)
		a.SaveSites(base, book, c, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	save(SecretChanges{Copy: map[string]string{"copy": id, "none": "nobody"}}, func(b *sites.Book) {
		b.Nodes = append(b.Nodes, &sites.Node{ID: "copy", Name: "Copy", Site: s})
	})
	if k.len() != 2 {
		t.Errorf("%d secrets after a copy", k.len())
	}
	if err := a.ConnectSite("copy"); err != nil {
		t.Fatal(err)
	}
	listed(t, a, "/in")
	save(SecretChanges{Delete: []string{"copy"}}, func(b *sites.Book) { _ = b.Delete("copy") })
	if k.len() != 1 || len(a.Recents()) != 1 {
		t.Errorf("%d secrets, recent %+v, after it was deleted", k.len(), a.Recents())
	}
	if err := a.ConnectSite("copy"); err == nil {
		t.Error("a deleted site connects")
	}
}

// Who types a password for a site and connects at once is not asked for it: it may wait for a master password to be kept.
func TestAPasswordThatIsBeingKeptIsUsed(t *testing.T) {
	a, _ := startWithRing(t)
	waits := make(chan struct{})
	a.safe.open = func(ctx context.Context) (secrets.Store, error) {
		select {
		case <-waits:
		case <-ctx.Done():
		}
		return nil, secrets.ErrUnavailable
	}
	id := add(t, a, "Mine", guarded(t, a))
	kept := make(chan error, 1)
	book, _ := a.Sites()
	a.SaveSites(book, book, SecretChanges{Set: map[string]sites.Secret{id: {Password: "s3cret"}}}, func(err error) { kept <- err })
	if err := a.ConnectSite(id); err != nil {
		t.Fatal(err)
	}
	listed(t, a, "/in")
	close(waits)
	answered(t, a, asked(t, a, AskNewMaster), Reply{})
	if err := <-kept; err == nil {
		t.Error("it was kept without a master password")
	}
	if len(a.book.typed) != 0 {
		t.Error("what was not kept stays")
	}
}

func TestAPasswordThatIsNotGivenConnectsNobody(t *testing.T) {
	a, _ := startWithRing(t)
	id := add(t, a, "Mine", guarded(t, a))
	if err := a.ConnectSite(id); err != nil {
		t.Fatal(err)
	}
	answered(t, a, asked(t, a, AskPassword), Reply{})
	until(t, "it is disconnected", func() bool { return a.Remote().Phase == Disconnected && a.Remote().Doing == "" })
	if err := a.ConnectSite(id); err != nil {
		t.Fatal(err)
	}
	asked(t, a, AskPassword)
	a.Disconnect()
	until(t, "the question is taken back", func() bool { return a.Question() == nil })
}

func TestWithoutAKeyringPasswordsLieInAVaultThatIsOpenedOnceARun(t *testing.T) {
	dir := t.TempDir()
	open := func() *App {
		a := New(dir)
		a.share.check.env = noRouter
		a.safe.open = func(context.Context) (secrets.Store, error) { return nil, secrets.ErrUnavailable }
		a.safe.vault.Work = 4 // age's own is seconds of a processor under the race detector
		return a
	}
	shut := func(a *App) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	a := open()
	id := add(t, a, "A", &sites.Site{Host: "a.example", Login: sites.LoginNormal, User: "u", TLS: client.TLSAuto})
	kept := make(chan error, 1)
	book, _ := a.Sites()
	a.SaveSites(book, book, SecretChanges{Set: map[string]sites.Secret{id: {Password: "hush-hush"}}}, func(err error) { kept <- err })
	answered(t, a, asked(t, a, AskNewMaster), Reply{OK: true, Password: "master"})
	if err := <-kept; err != nil {
		t.Fatal(err)
	}
	shut(a)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		if data, _ := os.ReadFile(f); strings.Contains(string(data), "hush-hush") {
			t.Errorf("%s tells the password", f)
		}
	}

	a = open()
	defer shut(a)
	type got struct {
		s   sites.Secret
		err error
	}
	read := make(chan got, 1)
	fetch := func() {
		a.run(func(ctx context.Context) {
			s, err := a.secretOf(ctx, id)
			read <- got{s, err}
		})
	}
	fetch()
	first := asked(t, a, AskMaster)
	first.Answer(Reply{OK: true, Password: "wrong"})
	var q *Question
	until(t, "it is asked again", func() bool {
		if q = a.Question(); q == nil {
			t.Fatal("the question went away in between")
		}
		return q != first
	})
	if q.Problem == "" {
		t.Error("it does not say that the master password was wrong")
	}
	answered(t, a, q, Reply{OK: true, Password: "master"})
	if g := <-read; g.err != nil || g.s.Password != "hush-hush" {
		t.Errorf("%+v", g)
	}
	fetch()
	if g := <-read; g.err != nil || g.s.Password != "hush-hush" {
		t.Errorf("a second time: %+v", g)
	}
	if !a.HasVault() {
		t.Error("there is no vault")
	}
	changed := make(chan error, 1)
	a.ChangeMaster("wrong", "other", func(err error) { changed <- err })
	if err := <-changed; !errors.Is(err, secrets.ErrPassword) {
		t.Errorf("with a wrong one: %v", err)
	}
	a.ChangeMaster("master", "other", func(err error) { changed <- err })
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	a.safe.vault.Lock()
	fetch()
	answered(t, a, asked(t, a, AskMaster), Reply{OK: true, Password: "other"})
	if g := <-read; g.err != nil || g.s.Password != "hush-hush" {
		t.Errorf("after the master password was changed: %+v", g)
	}
}

func TestAnImportBringsSitesIntoTheBookAndPasswordsIntoTheStore(t *testing.T) {
	a, k := startWithRing(t)
	path := filepath.Join(t.TempDir(), ".netrc")
	write(t, path, "machine a.example login al password hush-hush\nmachine b.example\nmachine bad/host login x\n")
	read := make(chan *sites.Imported, 1)
	a.ReadSites(path, func(i *sites.Imported, err error) {
		if err != nil {
			t.Error(err)
		}
		read <- i
	})
	in := <-read
	if in.Len() != 2 || len(in.Problems) != 1 {
		t.Fatalf("%d sites, problems %q", in.Len(), in.Problems)
	}
	kept := make(chan error, 1)
	a.SaveSites(&sites.Book{}, &sites.Book{Nodes: in.Nodes}, SecretChanges{Set: in.Secrets}, func(err error) { kept <- err })
	if err := <-kept; err != nil || k.len() != 1 {
		t.Errorf("%v, %d secrets", err, k.len())
	}
	until(t, "the book is saved", func() bool {
		data, _ := os.ReadFile(filepath.Join(a.dir, sites.File))
		if strings.Contains(string(data), "hush-hush") {
			t.Fatal("the book tells the password")
		}
		return strings.Contains(string(data), "b.example")
	})
	out := filepath.Join(t.TempDir(), "out.xml")
	done := make(chan error, 1)
	book, _ := a.Sites()
	a.ExportSites(out, book, sites.FileZilla, func(_ []string, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a.ReadSites(out, func(i *sites.Imported, err error) {
		if err != nil {
			t.Error(err)
		}
		read <- i
	})
	if back := <-read; back == nil || back.Len() != 2 {
		t.Error("the export does not come back")
	}
}

func TestARefusedChangeLeavesTheBookAsItWas(t *testing.T) {
	a := start(t)
	id := add(t, a, "A", &sites.Site{Host: "a"})
	if err := a.ChangeSites(func(b *sites.Book) error {
		b.Nodes[0].Site.Host = "b"
		return errors.New("no")
	}); err == nil {
		t.Error("no error")
	}
	if a.site(id).Site.Host != "a" {
		t.Error("it was changed")
	}
}

func TestCertificatesAreListedWithTheirDetailsAndForgotten(t *testing.T) {
	a, _ := startWithRing(t)
	s := guarded(t, a)
	id := add(t, a, "Mine", s)
	trust := func(answer Trust) *CertificateQuestion {
		t.Helper()
		if err := a.ConnectSite(id); err != nil {
			t.Fatal(err)
		}
		var q *CertificateQuestion
		until(t, "it asks about the certificate", func() bool {
			if p := a.Question(); p != nil && p.Kind == AskPassword {
				p.Answer(Reply{OK: true, Password: "s3cret", Keep: true})
			}
			q = a.Remote().Question
			return q != nil
		})
		q.Answer(answer)
		return q
	}
	trust(TrustAlways)
	listed(t, a, "/in")
	all := a.Certificates()
	examine := func() doctor.Verdict {
		a.Examine(a.Remote().Target, client.ModeAuto, false)
		until(t, "it is examined", func() bool { return a.Examination().Report != nil && !a.Examination().Running })
		return a.Examination().Report.Verdict
	}
	if v := examine(); v == doctor.TLSCertificate {
		t.Error("an examination stops at a certificate that is trusted")
	}
	if len(all) != 1 || all[0].X509 == nil || all[0].Since.IsZero() || DescribeCertificate(all[0].X509).Subject == "" {
		t.Fatalf("%+v", all)
	}
	// As if another certificate had been trusted before.
	a.ChangeSettings(func(set *Settings) {
		one := set.Sites[all[0].Server]
		one.Certificate = "AA:BB"
		set.Sites[all[0].Server] = one
	})
	if v := examine(); v != doctor.TLSCertificate {
		t.Errorf("an examination takes another certificate than the trusted one: %s", v)
	}
	a.Disconnect()
	if q := trust(TrustNo); q.Known != "AA:BB" || q.Before == nil || q.Since.IsZero() {
		t.Errorf("%+v", q)
	}
	until(t, "it is disconnected", func() bool { return a.Remote().Phase == Disconnected && a.Remote().Doing == "" })
	a.ForgetCertificate(all[0].Server)
	if left := a.Certificates(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	if q := trust(TrustOnce); q.Known != "" {
		t.Errorf("it still knows %q", q.Known)
	}
	listed(t, a, "/in")
}
