package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/natefinch/atomic"

	"portside/client"
	"portside/client/sites"
)

// siteBook is the book of sites and its file.
type siteBook struct {
	dir string // empty: nowhere

	saved *saver
	kept  []byte // the file as it was read or last written; the saver's, after the start

	mu    sync.Mutex
	book  *sites.Book
	stamp uint64                  // grows with each change
	typed map[string]sites.Secret // on their way to where passwords are kept, by the IDs of sites
}

func (a *App) loadSites(dir string) {
	a.book = &siteBook{dir: dir, book: &sites.Book{}, typed: map[string]sites.Secret{}, saved: &saver{write: a.saveSites, failed: a.notSaved}}
	if dir == "" {
		return
	}
	a.book.kept, _ = os.ReadFile(filepath.Join(dir, sites.File)) // Load says what is wrong with it
	book, notice, err := sites.Load(dir, time.Now())
	a.book.book = book
	switch {
	case err != nil:
		a.book.dir = "" // what can't be read must not be written over
		a.notify(Sentence(err)+" What you change in it now is forgotten when this window closes.", true)
	case notice != "":
		a.notify(notice, true)
	}
}

// Sites returns the book as it is now, a copy, and a number that grows with each change.
func (a *App) Sites() (*sites.Book, uint64) {
	a.book.mu.Lock()
	defer a.book.mu.Unlock()
	return a.book.book.Clone(), a.book.stamp
}

// ChangeSites lets edit change the book, and has it written without waiting for that. When edit returns an error the book
// stays as it was.
func (a *App) ChangeSites(edit func(*sites.Book) error) error {
	b := a.book
	b.mu.Lock()
	next := b.book.Clone()
	if err := edit(next); err != nil {
		b.mu.Unlock()
		return err
	}
	b.book = next
	b.stamp++
	b.mu.Unlock()
	a.changed()
	b.saved.save()
	return nil
}

// saveSites writes the book as it is now.
func (a *App) saveSites() error {
	if a.book.dir == "" {
		return nil
	}
	a.book.mu.Lock()
	book := a.book.book // never changed in place, see ChangeSites
	a.book.mu.Unlock()
	kept, other, err := sites.Save(a.book.dir, book, a.book.kept, time.Now())
	if err != nil {
		return err
	}
	a.book.kept = kept
	if other != "" {
		a.notify(fmt.Sprintf("Another Portside that runs has changed the sites. This one's have replaced them; the others are kept as %s, which Import in Sites can read.", other), true)
	}
	return nil
}

// SecretChanges are what happens to passwords together with a change of the book, by the IDs of sites.
type SecretChanges struct {
	Set    map[string]sites.Secret
	Copy   map[string]string // to: from
	Delete []string
}

// SaveSites takes over how a person has edited base, a copy of the book; what has changed in the book since and was left
// alone stays, see [sites.Merge]. It does what is to happen to passwords as a task, for which the person may be asked for a
// master password. done is called from it; an error is about the passwords. Who connects to a site meanwhile signs in with
// what was set for it.
func (a *App) SaveSites(base, edited *sites.Book, c SecretChanges, done func(error)) {
	_ = a.ChangeSites(func(b *sites.Book) error {
		*b = *sites.Merge(base, edited, b)
		return nil
	})
	b := a.book
	b.mu.Lock()
	maps.Copy(b.typed, c.Set)
	b.mu.Unlock()
	a.run(func(ctx context.Context) {
		err := a.changeSecrets(ctx, c)
		b.mu.Lock()
		maps.DeleteFunc(b.typed, func(id string, s sites.Secret) bool { return c.Set[id] == s })
		b.mu.Unlock()
		done(err)
	})
}

func (a *App) changeSecrets(ctx context.Context, c SecretChanges) error {
	all := map[string]sites.Secret{}
	var errs []error
	for to, from := range c.Copy {
		s, err := a.secretOf(ctx, from)
		if err != nil {
			errs = append(errs, err)
			break
		}
		if s != (sites.Secret{}) {
			all[to] = s
		}
	}
	maps.Copy(all, c.Set)
	errs = append(errs, a.keepSecrets(ctx, all))
	if len(c.Delete) > 0 {
		errs = append(errs, a.forgetSecrets(ctx, c.Delete))
	}
	return errors.Join(errs...)
}

// site returns a node of the book, which is not to be changed; nil when there is none.
func (a *App) site(id string) *sites.Node {
	a.book.mu.Lock()
	defer a.book.mu.Unlock()
	n, _ := a.book.book.Find(id)
	return n
}

// FindSites looks for the sites of other programs on this computer, as a task, and hands them to done from it.
func (a *App) FindSites(done func([]sites.Source)) {
	a.run(func(context.Context) {
		home, err := os.UserHomeDir()
		if err != nil {
			done(nil)
			return
		}
		config, err := os.UserConfigDir()
		if err != nil {
			config = filepath.Join(home, ".config")
		}
		data := cmp.Or(os.Getenv("XDG_DATA_HOME"), filepath.Join(home, ".local", "share"))
		done(sites.Find(sites.Places{Home: home, Config: config, Data: data}))
	})
}

// ReadSites reads the sites of a file of another program, or of a folder of Cyberduck's bookmarks, as a task. done is called
// from it; nothing has been taken into the book then, see [App.SaveSites].
func (a *App) ReadSites(path string, done func(*sites.Imported, error)) {
	a.run(func(context.Context) {
		full, err := expand(path)
		if err != nil {
			done(nil, err)
			return
		}
		done(sites.ImportFile(full))
	})
}

// ExportSites writes a book to a file as a task: as FileZilla's XML, or as a book of Portside's own. No passwords are
// written. done is called from it with what the file could not hold.
func (a *App) ExportSites(path string, book *sites.Book, format sites.Program, done func(lost []string, err error)) {
	book = book.Clone()
	a.run(func(context.Context) {
		full, err := expand(path)
		if err != nil {
			done(nil, err)
			return
		}
		var data []byte
		var lost []string
		if format == sites.FileZilla {
			data, lost, err = sites.FormatFileZilla(book.Nodes)
		} else {
			data, err = sites.Format(book)
		}
		if err == nil {
			err = atomic.WriteFile(full, bytes.NewReader(data))
		}
		done(lost, err)
	})
}

// Recent is a server that was connected to.
type Recent struct {
	URL  string    `json:"url"` // without a password, with the user
	Site string    `json:"site,omitempty"`
	Time time.Time `json:"time"`
}

// maxRecent is how many are remembered.
const maxRecent = 12

// remember puts a connection at the head of the recent ones.
func (s *Settings) remember(r Recent) {
	s.Recent = slices.DeleteFunc(slices.Clone(s.Recent), func(o Recent) bool {
		return r.Site != "" && o.Site == r.Site || r.Site == "" && o.Site == "" && o.URL == r.URL
	})
	s.Recent = slices.Insert(s.Recent, 0, r)
	if len(s.Recent) > maxRecent {
		s.Recent = s.Recent[:maxRecent]
	}
}

// Recents returns the servers that were connected to, the newest first; sites that are gone are left out.
func (a *App) Recents() []Recent {
	return slices.DeleteFunc(slices.Clone(a.Settings().Recent), func(r Recent) bool { return r.Site != "" && a.site(r.Site) == nil })
}

// ForgetRecents empties the list.
func (a *App) ForgetRecents() { a.ChangeSettings(func(s *Settings) { s.Recent = nil }) }

// openSite is the site that a tab is connected to.
type openSite struct {
	id, name string
	site     *sites.Site
}

// ConnectSite connects the current tab to a site of the book, with all that is set for it, in place of the connection there
// is. The outcome shows in [App.Remote]. A password that isn't kept is asked for, see [App.Question].
func (a *App) ConnectSite(id string) error {
	n := a.site(id)
	if n == nil || n.Folder() {
		return errors.New("this site is no longer in the book")
	}
	r := a.remote()
	s := &openSite{id: id, name: n.Name, site: n.Site.Clone()}
	a.run(func(ctx context.Context) { a.stopSamples(ctx, r) })
	target := s.site.Target()
	a.ChangeSettings(func(set *Settings) {
		set.remember(Recent{URL: target.URL(), Site: id, Time: time.Now()})
	})
	mode := s.site.Mode
	if mode == "" {
		mode = a.Settings().Connect.Mode
	}
	if s.site.LocalFolder != "" {
		a.OpenLocal(s.site.LocalFolder)
	}
	r.connectTo(target, mode, s)
	return nil
}

// AddBookmark keeps a bookmark with the site that the current tab is connected to.
func (a *App) AddBookmark(b sites.Bookmark) error {
	r := a.remote()
	_, _, id := r.openSite()
	err := a.ChangeSites(func(book *sites.Book) error {
		n, _ := book.Find(id)
		if n == nil || n.Folder() {
			return errors.New("this site is no longer in the book")
		}
		n.Site.Bookmarks = append(slices.Clone(n.Site.Bookmarks), b)
		return nil
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.site != nil && r.site.id == id {
		r.site.site.Bookmarks = append(slices.Clone(r.site.site.Bookmarks), b)
	}
	return nil
}

// ConnectedSite returns the site that the current tab is, or was last, connected to, a copy, with its name and ID; nil when
// it was no site of the book. Its limits and connections hold for transfers.
func (a *App) ConnectedSite() (s *sites.Site, name, id string) { return a.remote().openSite() }

func (r *remote) openSite() (s *sites.Site, name, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.site == nil {
		return nil, "", ""
	}
	return r.site.site.Clone(), r.site.name, r.site.id
}

// apply gives a session the options of its site.
func (s *openSite) apply(o *client.Options) {
	if s.site.ActiveMin > 0 {
		o.ActivePorts = client.PortRange{Min: s.site.ActiveMin, Max: s.site.ActiveMax}
	}
	if ip, err := netip.ParseAddr(s.site.ActiveAddress); err == nil {
		o.ActiveAddress = ip
	}
	o.TrustPASV = s.site.TrustPassiveAddress
	o.Charset = s.site.Charset
	if s.site.TimeOffset != nil {
		offset := time.Duration(*s.site.TimeOffset) * time.Minute
		o.TimeOffset = &offset
	}
}

// signIn finds the password of a site: kept, or asked for.
func (a *App) signIn(ctx context.Context, s *openSite) (sites.Secret, error) {
	if s.site.Login == sites.LoginAnonymous {
		return sites.Secret{}, nil
	}
	q := Question{Kind: AskPassword, Site: s.name, Host: s.site.Host, User: s.site.User, Account: s.site.Login == sites.LoginAccount}
	if s.site.Login != sites.LoginAsk {
		kept, err := a.secretOf(ctx, s.id)
		if ctx.Err() != nil {
			return sites.Secret{}, context.Cause(ctx)
		}
		if err == nil && kept != (sites.Secret{}) {
			return kept, nil
		}
		if err != nil && !errors.Is(err, errNotUnlocked) {
			q.Problem = Sentence(fmt.Errorf("the password that is kept can't be read: %w", err))
		}
	}
	r, err := a.ask(ctx, q, nil)
	if err != nil {
		return sites.Secret{}, err
	}
	if !r.OK {
		return sites.Secret{}, context.Canceled
	}
	secret := sites.Secret{Password: r.Password, Account: r.Account}
	if r.Keep && secret != (sites.Secret{}) {
		if err := a.keepSecrets(ctx, map[string]sites.Secret{s.id: secret}); err != nil {
			if !errors.Is(err, errNotUnlocked) {
				a.notify("The password was not kept: "+Sentence(err), true)
			}
		} else if s.site.Login == sites.LoginAsk {
			_ = a.ChangeSites(func(b *sites.Book) error {
				if n, _ := b.Find(s.id); n != nil && n.Site != nil {
					n.Site.Login = sites.LoginNormal
				}
				return nil
			})
		}
	}
	return secret, nil
}

// unlock finds what one signs in to a site with, and puts it into the options of its sessions.
func (r *remote) unlock(ctx context.Context, s *openSite) error {
	if s == nil {
		return nil
	}
	secret, err := r.app.signIn(ctx, s)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.site == s { // else another connect came in between
		r.opts.Password, r.opts.Account = secret.Password, secret.Account
	}
	return nil
}

// inClear asks before a password goes out in clear, once for a server and a run, or for good. What stays on this computer
// needs no question.
func (r *remote) inClear(key string, t client.Target) func(context.Context, netip.AddrPort) error {
	return func(ctx context.Context, peer netip.AddrPort) error {
		once := "clear " + key
		r.mu.Lock()
		allowed := r.once[once]
		r.mu.Unlock()
		if allowed || peer.Addr().IsLoopback() || r.app.Settings().Sites[key].InClear {
			return nil
		}
		reply, err := r.app.ask(ctx, Question{Kind: AskClear, Site: t.Host, Host: t.Host, User: t.User}, nil)
		switch {
		case err != nil:
			return err
		case !reply.OK:
			return errors.New("you did not allow it")
		case reply.Keep:
			r.app.ChangeSettings(func(s *Settings) {
				site := s.Sites[key]
				site.InClear = true
				s.Sites[key] = site
			})
		}
		r.mu.Lock()
		r.once[once] = true
		r.answers++
		r.mu.Unlock()
		return nil
	}
}

// SiteFromURL reads a URL that a person pastes, as a site and its password; ok is false for what is none.
func SiteFromURL(text string) (s *sites.Site, password string, ok bool) {
	if !strings.Contains(text, "://") {
		return nil, "", false
	}
	t, err := client.ParseURL(text)
	if err != nil {
		return nil, "", false
	}
	return sites.FromTarget(t), t.Password, true
}
