package ui

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"

	"portside/app"
	"portside/client"
	"portside/client/sites"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// testBook puts a small book into the application: Work (Alpha, Beta), Gamma.
func testBook(t *testing.T, core *app.App) (work, alpha, gamma *sites.Node) {
	t.Helper()
	site := func(host string, c sites.Color) *sites.Site {
		return &sites.Site{Host: host, TLS: client.TLSExplicit, Login: sites.LoginNormal, User: "alice", Color: c}
	}
	work, alpha, gamma = sites.NewNode("Work", nil), sites.NewNode("Alpha", site("alpha.example.org", "red")), sites.NewNode("Gamma", site("gamma.example.net", "green"))
	work.Nodes = []*sites.Node{alpha, sites.NewNode("Beta", site("beta.example.org", ""))}
	if err := core.ChangeSites(func(b *sites.Book) error {
		b.Nodes = []*sites.Node{work, gamma}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return work, alpha, gamma
}

// tree is what the manager's tree shows, a line for each row.
func (m *siteManager) lines() string {
	var out []string
	for i := range m.rows {
		out = append(out, strings.Repeat(".", m.rows[i].depth)+m.rows[i].node.Name)
	}
	return strings.Join(out, " ")
}

func bookText(core *app.App) string {
	b, _ := core.Sites()
	m := &siteManager{book: b}
	m.addRows(b.Nodes, nil)
	return m.lines()
}

func alt(m *siteManager, key fyne.KeyName) {
	m.tree.TypedShortcut(&desktop.CustomShortcut{KeyName: key, Modifier: fyne.KeyModifierAlt})
}

func TestTheSiteManagerFitsTheSmallestWindowInEachGroup(t *testing.T) {
	w, core, _ := testWindow(t, kit.MinWidth, kit.MinHeight)
	_, alpha, _ := testBook(t, core)
	m := openSites(w, alpha.ID)
	for i, name := range []string{"general", "connection", "folders", "names", "notes"} {
		m.fields.tabs.Select(i)
		uitest.Settle(w)
		uitest.Shot(t, w, "sites-"+name)
		page := m.fields.pages[i]
		if need, has := page.MinSize(), page.Size(); need.Height > has.Height+1 || need.Width > has.Width+1 {
			t.Errorf("%s needs %v and has %v", name, need, has)
		}
	}
	m.dialog.Cancel()
}

func TestBookmarksAreEditedOnlyWhenOneIsChosen(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	_, alpha, _ := testBook(t, core)
	m := openSites(w, alpha.ID)
	f := m.fields
	f.tabs.Select(2)
	uitest.Settle(w)
	enabled := func() [2]bool { return [2]bool{!f.change.Disabled(), !f.drop.Disabled()} }
	if enabled() != [2]bool{} {
		t.Errorf("without bookmarks Edit and Delete are enabled: %v", enabled())
	}
	f.bookmark(-1)
	uitest.Type(w, "Photos")
	w.Canvas().FocusNext()
	uitest.Type(w, "/home/alice")
	uitest.Key(w, fyne.KeyReturn)
	if len(f.bookmarks) != 1 || f.bookmarks[0].Name != "Photos" || f.bookmarks[0].Local != "/home/alice" || enabled() != [2]bool{true, true} {
		t.Errorf("added: %+v; enabled: %v", f.bookmarks, enabled())
	}
	f.drop.OnTapped()
	if len(f.bookmarks) != 0 || enabled() != [2]bool{} {
		t.Errorf("deleted: %+v; enabled: %v", f.bookmarks, enabled())
	}
	m.dialog.Close()
}

func TestSitesAreArrangedByKeysAndByDragging(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	work, alpha, gamma := testBook(t, core)
	m := openSites(w, alpha.ID)
	steps := []struct {
		key  fyne.KeyName
		want string
	}{
		{fyne.KeyDown, "Work .Beta .Alpha Gamma"}, {fyne.KeyUp, "Work .Alpha .Beta Gamma"}, {fyne.KeyUp, "Work .Alpha .Beta Gamma"},
		{fyne.KeyLeft, "Work .Beta Alpha Gamma"}, {fyne.KeyRight, "Work .Beta .Alpha Gamma"},
	}
	for _, s := range steps {
		if alt(m, s.key); m.lines() != s.want || m.chosen() != alpha.ID {
			t.Fatalf("Alt+%s: %s", s.key, m.lines())
		}
	}
	// Fold and unfold.
	m.show(work.ID)
	uitest.Key(w, fyne.KeyLeft)
	if m.lines() != "Work Gamma" {
		t.Errorf("folded: %s", m.lines())
	}
	uitest.Key(w, fyne.KeyRight)
	at := func(row int, part float32) fyne.Position {
		uitest.Settle(w)
		top := fyne.CurrentApp().Driver().AbsolutePositionForObject(m.tree)
		return top.AddXY(20, (float32(row)+part)*kit.RowHeight)
	}
	m.show(gamma.ID)
	before := m.lines()
	if m.drop(nil, at(0, 0.5)); m.lines() != before {
		t.Errorf("a drag that Escape ended moved it: %s", m.lines())
	}
	m.drop([]int{0}, at(0, 0.5))
	if m.lines() != "Work .Beta .Alpha .Gamma" && m.lines() != "Work .Gamma .Beta .Alpha" {
		t.Errorf("dropped into a folder: %s", m.lines())
	}
	m.drop([]int{0}, at(0, 0.1))
	if m.lines() != "Gamma Work .Beta .Alpha" {
		t.Errorf("dropped above the first: %s", m.lines())
	}
	m.show(work.ID)
	m.drop([]int{0}, at(2, 0.2))
	if m.lines() != "Gamma Work .Beta .Alpha" {
		t.Errorf("a folder dropped into itself: %s", m.lines())
	}
	if bookText(core) != "Work .Alpha .Beta Gamma" {
		t.Error("the book changed before it was saved")
	}
	if !m.keep() || bookText(core) != "Gamma Work .Beta .Alpha" {
		t.Errorf("saved: %s", bookText(core))
	}
	m.dialog.Close()
}

func TestASiteIsMadeFromAPastedURLSearchedDuplicatedAndDeleted(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	testBook(t, core)
	w.registry.Run("connect.sites")
	m := openSites(w, "")
	m.newSite()
	m.fields.host.SetText("ftps://bob:s3cret@new.example.org:2990/pub/a")
	f := m.fields
	if f.host.Text != "new.example.org" || f.port.Text != "2990" || f.user.Text != "bob" || f.password.Text != "s3cret" ||
		f.remote.Text != "pub/a" || siteTLS[f.tls.Selected] != client.TLSImplicit || f.name.Text != "new.example.org" {
		t.Errorf("host %q port %q user %q folder %q", f.host.Text, f.port.Text, f.user.Text, f.remote.Text)
	}
	m.take()
	id := m.chosen()
	if m.secret.Set[id].Password != "s3cret" {
		t.Errorf("secrets: %+v", m.secret.Set)
	}
	m.duplicate()
	if m.secret.Set[m.chosen()].Password != "s3cret" || m.chosen() == id {
		t.Error("the copy has no password")
	}
	m.search.SetText("new")
	if m.lines() != "new.example.org new.example.org (2)" {
		t.Errorf("found %s", m.lines())
	}
	m.remove()
	m.remove()
	if m.lines() != "" || len(m.secret.Set) != 0 {
		t.Errorf("left: %s, %+v", m.lines(), m.secret.Set)
	}
	w.focusOn(m.search)
	uitest.Key(w, fyne.KeyEscape)
	if m.lines() != "Work .Alpha .Beta Gamma" {
		t.Errorf("left: %s", m.lines())
	}
	m.dialog.Close()
}

func TestAURLThatIsTypedIsTakenApartWhenItIsWhole(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	testBook(t, core)
	m := openSites(w, "")
	uitest.Settle(w)
	m.newSite()
	uitest.Type(w, "ftpes://joe:s3cret@typed.example.org:2121/deep")
	f := m.fields
	if f.host.Text != "ftpes://joe:s3cret@typed.example.org:2121/deep" {
		t.Errorf("while it is typed it becomes %q", f.host.Text)
	}
	w.Canvas().FocusNext()
	if f.host.Text != "typed.example.org" || f.port.Text != "2121" || f.user.Text != "joe" || f.password.Text != "s3cret" || f.remote.Text != "deep" {
		t.Errorf("host %q port %q user %q folder %q", f.host.Text, f.port.Text, f.user.Text, f.remote.Text)
	}
	m.dialog.Close()
}

func TestWhatCantBeASiteIsSaidAndNotLost(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	_, alpha, gamma := testBook(t, core)
	m := openSites(w, alpha.ID)
	for field, text := range map[*kit.Entry]string{m.fields.port: "0x", m.fields.offset: "noon", m.fields.down: "fast", m.fields.announced: "here", m.fields.min: "80"} {
		before := field.Text
		field.SetText(text)
		if m.keep() || strings.TrimSpace(m.note.String()) == "" {
			t.Errorf("%q was taken", text)
		}
		field.SetText(before)
		if said := strings.TrimSpace(m.note.String()); said != "" {
			t.Errorf("%q was taken out again, and still it says: %s", text, said)
		}
	}
	m.fields.name.SetText("Alpha One")
	row := slices.IndexFunc(m.rows, func(r treeRow) bool { return r.node.ID == alpha.ID })
	if shown := m.cell(row, 0).Text; shown != "Alpha One" {
		t.Errorf("the list shows %q while its name is typed", shown)
	}
	m.fields.name.SetText("Alpha")
	m.fields.offset.SetText("-3:30")
	m.fields.down.SetText("512")
	m.fields.color.ShowSelected(3)
	m.show(gamma.ID)
	m.show(alpha.ID)
	if m.fields.offset.Text != "-3:30" || m.fields.down.Text != "512" {
		t.Error("choosing another site lost what was typed")
	}
	if !m.keep() {
		t.Fatal(m.note.String())
	}
	b, _ := core.Sites()
	n, _ := b.Find(alpha.ID)
	if *n.Site.TimeOffset != -210 || n.Site.DownLimit != 512*1024 || n.Site.Color != "blue" {
		t.Errorf("%+v", n.Site)
	}
	m.dialog.Close()
}

func TestTheSiteManagerKeepsWhatChangedBehindIt(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	_, alpha, gamma := testBook(t, core)
	m := openSites(w, alpha.ID)
	m.fields.notes.SetText("ask for Bob")
	change := func(note string) {
		if err := core.ChangeSites(func(b *sites.Book) error {
			for _, id := range []string{alpha.ID, gamma.ID} {
				n, _ := b.Find(id)
				n.Site.Bookmarks = append(n.Site.Bookmarks, sites.Bookmark{Name: note, Remote: "/" + note})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(notes string, bookmarks int) {
		t.Helper()
		if !m.keep() {
			t.Fatal(m.note.String())
		}
		b, _ := core.Sites()
		one, _ := b.Find(alpha.ID)
		other, _ := b.Find(gamma.ID)
		if one.Site.Notes != notes || len(one.Site.Bookmarks) != bookmarks || len(other.Site.Bookmarks) != bookmarks {
			t.Errorf("%+v, %+v", one.Site, other.Site)
		}
	}
	change("one")
	check("ask for Bob", 1)
	m.fields.notes.SetText("ask for Eve")
	change("two")
	check("ask for Eve", 2)
	m.dialog.Close()
}

func TestTheNameIsReachedFromEveryGroupOfFields(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	work, alpha, _ := testBook(t, core)
	m := openSites(w, alpha.ID)
	m.fields.tabs.Select(4)
	if m.key(&fyne.KeyEvent{Name: fyne.KeyF2}); w.Canvas().Focused() != fyne.Focusable(m.fields.name) {
		t.Errorf("F2 leaves the keyboard on %T", w.Canvas().Focused())
	}
	w.focusOn(m.tree)
	m.show(work.ID)
	if m.key(&fyne.KeyEvent{Name: fyne.KeyF2}); w.Canvas().Focused() != fyne.Focusable(m.fields.folderName) {
		t.Errorf("in a folder F2 leaves the keyboard on %T", w.Canvas().Focused())
	}
	w.focusOn(m.tree)
	m.fields.tabs.Select(4)
	if m.newSite(); w.Canvas().Focused() != fyne.Focusable(m.fields.host) {
		t.Errorf("a new site leaves the keyboard on %T", w.Canvas().Focused())
	}
}

func TestOneFieldThatCantBeLosesNoOther(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	_, alpha, gamma := testBook(t, core)
	m := openSites(w, alpha.ID)
	port := m.fields.port.Text
	m.fields.port.SetText("0x")
	m.fields.user.SetText("bob")
	m.fields.notes.SetText("ask for Bob")
	m.show(gamma.ID)
	if said := m.note.String(); !strings.Contains(said, "Alpha") || !strings.Contains(said, "0x") {
		t.Errorf("it says %q", said)
	}
	m.show(alpha.ID)
	if m.fields.user.Text != "bob" || m.fields.notes.Text != "ask for Bob" || m.fields.port.Text != port {
		t.Errorf("user %q, notes %q, port %q", m.fields.user.Text, m.fields.notes.Text, m.fields.port.Text)
	}
	m.changed = false
	m.fields.port.SetText("0x")
	if m.dialog.Cancel(); w.dialogs() != 2 {
		t.Error("what was typed is lost without a question")
	}
}

func TestCancelAsksOnlyWhenSomethingWouldBeLost(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	_, alpha, _ := testBook(t, core)
	m := openSites(w, alpha.ID)
	m.dialog.Cancel()
	if m.dialog.Open() {
		t.Fatal("it asks about nothing")
	}
	m = openSites(w, alpha.ID)
	m.fields.name.SetText("Other")
	m.dialog.Cancel()
	if !m.dialog.Open() {
		t.Fatal("it was lost without a question")
	}
	if bookText(core) != "Work .Alpha .Beta Gamma" {
		t.Error("it was saved")
	}
}

func TestAnImportListsWhatItCouldNotRead(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	m := openSites(w, "")
	uitest.Settle(w)
	uitest.Shot(t, w, "sites-empty")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("XDG_DATA_HOME", "")
	// Nothing is found: a file is asked for.
	m.imports()
	queue.Await(t, "a file is asked for", func() bool { return len(find[*kit.Check](w)) == 1 && find[*kit.Check](w)[0].Text == "Show hidden" })
	uitest.Key(w, fyne.KeyEscape)
	put(t, filepath.Join(home, ".lftp", "bookmarks"), "good\tftp://g.example/pub\nbad\thttp://b.example/\n")
	put(t, filepath.Join(home, ".netrc"), "machine n.example login bob password secret\n")
	put(t, filepath.Join(home, ".gftp", "bookmarks"), "[x]\nhostname=x.example\n")
	w.Canvas().Unfocus() // as a click beside everything does
	m.imports()
	m.imports() // pressed twice, it offers once
	queue.Await(t, "what was found is offered", func() bool { return len(find[*kit.Check](w)) == 3 && !m.looking })
	uitest.Settle(w)
	uitest.Shot(t, w, "sites-found")
	find[*kit.Check](w)[1].SetChecked(false) // gFTP
	pressButton(t, w, "Import")
	queue.Await(t, "the sites", func() bool { return strings.Contains(dialogText(w), "2 sites were read") })
	uitest.Settle(w)
	uitest.Shot(t, w, "sites-import")
	if got := m.lines(); !strings.Contains(got, "From lftp .good") || !strings.Contains(got, "From .netrc .bob@n.example") || strings.Contains(got, "gFTP") {
		t.Errorf("read: %s", got)
	}
	if !strings.Contains(dialogText(w), "bad") {
		t.Errorf("it says %q", dialogText(w))
	}
	if n := len(find[*kit.Check](w)); n > 0 {
		t.Errorf("another offer of %d is open", n)
	}
	read := m.lines()
	uitest.Key(w, fyne.KeyEscape)
	if !m.tree.Focused() {
		t.Errorf("after the import the keyboard is on %T", w.Canvas().Focused())
	}
	m.newSite()
	m.fields.tabs.Select(2)
	w.focusOn(m.search)
	if m.keep() || w.Canvas().Focused() != fyne.Focusable(m.fields.host) || m.fields.tabs.Selected() != 0 {
		t.Errorf("for the host that is missing the keyboard is on %T", w.Canvas().Focused())
	}
	m.remove()
	m.keep()
	if bookText(core) != read {
		t.Errorf("kept: %s", bookText(core))
	}
}

func TestQuestionsAreShownAndAnswered(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	for _, q := range []app.Question{
		{Kind: app.AskPassword, Site: "Alpha", User: "alice", Account: true}, {Kind: app.AskMaster, Problem: "That is not the master password."},
		{Kind: app.AskNewMaster}, {Kind: app.AskClear, Host: "alpha.example.org", User: "alice"},
	} {
		var got *app.Reply
		q.Answer = func(r app.Reply) {
			if got == nil {
				got = &r
			}
		}
		a := &asker{w: w}
		for range 2 { // answered, and cancelled
			got = nil
			switch q.Kind {
			case app.AskPassword:
				a.password(&q)
			case app.AskClear:
				a.clear(&q)
			default:
				a.master(&q)
			}
			uitest.Settle(w)
			uitest.Shot(t, w, "ask-"+strings.ReplaceAll(string(q.Kind), " ", "-"))
			a.dialog.Cancel()
			if got == nil || got.OK {
				t.Errorf("%s: cancelled gives %+v", q.Kind, got)
			}
		}
	}
	// Through the application: a site that asks.
	id := sites.NewNode("Ask", &sites.Site{Host: "127.0.0.1", Port: 1, TLS: client.TLSNone, Login: sites.LoginAsk, User: "alice"})
	if err := core.ChangeSites(func(b *sites.Book) error { return b.Add("", -1, id) }); err != nil {
		t.Fatal(err)
	}
	w.connectSite(id.ID)
	queue.Await(t, "the question", func() bool { return w.asker.dialog != nil && w.asker.dialog.Open() })
	w.asker.dialog.Cancel()
	queue.Await(t, "it is taken away", func() bool { return core.Question() == nil && core.Remote().Phase == app.Disconnected })
}

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}, &x509.Certificate{Subject: pkix.Name{CommonName: name}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAChangedCertificateIsALoudStop(t *testing.T) {
	w, _, _ := testWindow(t, 900, 600)
	before, now := certificate(t, "alpha.example.org"), certificate(t, "alpha.example.org")
	var got []app.Trust
	ask := func(known string) {
		w.connect.ask(&app.CertificateQuestion{Known: known, Before: before, Since: time.Now(), Answer: func(t app.Trust) { got = append(got, t) },
			Problem: client.CertificateProblem{Host: "alpha.example.org", Chain: []*x509.Certificate{now}, SHA256: client.Fingerprint(now),
				Err: errors.New("certificate signed by unknown authority")}})
		uitest.Settle(w)
	}
	ask(client.Fingerprint(before))
	uitest.Shot(t, w, "certificate-changed")
	if !strings.HasPrefix(w.connect.asked.Title, "Stop") {
		t.Errorf("it says %q", w.connect.asked.Title)
	}
	w.connect.asked.Accept() // Enter
	if len(got) != 1 || got[0] != app.TrustNo {
		t.Errorf("Enter answers %v", got)
	}
	// One that an authority vouches for is no alarm, but not taken by an Enter either.
	got, w.connect.question = nil, nil
	w.connect.ask(&app.CertificateQuestion{Known: client.Fingerprint(before), Before: before, Answer: func(t app.Trust) { got = append(got, t) },
		Problem: client.CertificateProblem{Host: "alpha.example.org", Chain: []*x509.Certificate{now}, SHA256: client.Fingerprint(now)}})
	uitest.Settle(w)
	uitest.Shot(t, w, "certificate-vouched")
	if strings.HasPrefix(w.connect.asked.Title, "Stop") {
		t.Errorf("it says %q", w.connect.asked.Title)
	}
	if w.connect.asked.Accept(); len(got) != 1 || got[0] != app.TrustNo {
		t.Errorf("Enter answers %v", got)
	}
	w.connect.question = nil
	ask("")
	uitest.Shot(t, w, "certificate-new")
	if strings.HasPrefix(w.connect.asked.Title, "Stop") {
		t.Error("a new one is no change")
	}
	w.connect.asked.Cancel()
}

func TestTrustedCertificatesAreListedAndForgotten(t *testing.T) {
	w, core, _ := testWindow(t, 900, 600)
	c := certificate(t, "alpha.example.org")
	core.ChangeSettings(func(s *app.Settings) {
		s.Sites["alpha.example.org:21"] = app.Site{Certificate: client.Fingerprint(c), Mode: client.ModePassive}
		s.Sites["beta.example.org:21"] = app.Site{Mode: client.ModeActive}
	})
	w.show("settings")
	box := openCertificates(w)
	uitest.Settle(w)
	uitest.Shot(t, w, "certificates")
	if len(box.all) != 1 {
		t.Fatalf("%+v", box.all)
	}
	box.show(0)
	uitest.Key(w, fyne.KeyEscape)
	core.ForgetCertificate(box.all[0].Server)
	box.read()
	if len(box.all) != 0 || core.Settings().Sites["alpha.example.org:21"].Mode != client.ModePassive {
		t.Error("it is not forgotten, or more than it")
	}
	box.dialog.Close()
}

func TestTheMenuOfTheAddressBarListsRecentOnesAndSites(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	testBook(t, core)
	core.ChangeSettings(func(s *app.Settings) {
		s.Recent = []app.Recent{{URL: "ftp://alice@old.example.org", Time: time.Now()}, {URL: "ftp://x", Site: "gone", Time: time.Now()}}
	})
	var labels []string
	for _, i := range w.connect.sitesMenu().Items {
		labels = append(labels, i.Label)
	}
	got := strings.Join(labels, "|")
	for _, want := range []string{"Recent|ftp://alice@old.example.org|", "Sites|Work|Gamma", "Sites…", "Save as a site…"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if strings.Contains(got, "ftp://x") {
		t.Error("a site that is gone is listed")
	}
	w.connect.openRecent("ftp://alice@old.example.org")
	if w.connect.user.Text != "alice" || core.Remote().Phase != app.Disconnected {
		t.Error("it connects before there is a password")
	}
}

func TestASiteAndABookmarkWithLinkedBrowsingBeginIt(t *testing.T) {
	w, core, queue, local, _ := onServer(t, func(local, remote string) {
		put(t, filepath.Join(local, "in/x"), "1")
		put(t, filepath.Join(remote, "in/x"), "1")
	})
	c := w.connect
	target := core.Remote().Target
	site := sites.Site{
		Host: target.Host, Port: target.Port, TLS: target.TLS, Login: sites.LoginAnonymous, LocalFolder: local, Linked: true,
		Bookmarks: []sites.Bookmark{{Name: "in", Local: filepath.Join(local, "in"), Remote: "/in", Linked: true}},
	}
	node := sites.NewNode("here", &site)
	if err := core.ChangeSites(func(b *sites.Book) error { return b.Add("", 0, node) }); err != nil {
		t.Fatal(err)
	}
	id := node.ID
	c.connectSite(id)
	queue.Await(t, "the site's folders are linked", func() bool { return c.linked != nil && c.remote.path == "/" && core.Remote().Doing == "" })
	c.remote.goTo("/in")
	queue.Await(t, "this computer follows", func() bool { return c.local.path == filepath.Join(local, "in") })
	w.registry.Run("connect.bookmark")
	uitest.Type(w, "here")
	uitest.Key(w, fyne.KeyReturn)
	if now, _, id := core.ConnectedSite(); len(now.Bookmarks) != 2 || now.Bookmarks[1] != (sites.Bookmark{Name: "here", Local: c.local.path, Remote: c.remote.path, Linked: true}) {
		t.Errorf("%s has the bookmarks %+v", id, now.Bookmarks)
	}
	c.openBookmark(site.Bookmarks[0])
	if l := c.linked; l == nil || l.remote != "/in" || l.local != filepath.Join(local, "in") {
		t.Errorf("the bookmark's folders are linked as %+v", l)
	}
}
