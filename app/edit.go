package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"portside/client"
)

// EditPhase is how far the edit of a remote file has come.
type EditPhase string

const (
	EditDownloading EditPhase = "downloading"
	EditWatching    EditPhase = "watching" // open; a change is uploaded
	EditUploading   EditPhase = "uploading"
	EditConflict    EditPhase = "conflict" // changed here, and meanwhile on the server, too
	EditFailed      EditPhase = "failed"   // the change is here only; it is tried again with the next one, or when asked
)

// Edit is a remote file that is open in a program of this computer.
type Edit struct {
	ID      uint64
	Remote  string // its path on the server
	Server  client.Target
	Local   string // the copy that is open
	Phase   EditPhase
	Err     string
	Uploads int // how often it was uploaded
}

// Unsaved says that there are changes that the server does not have.
func (e Edit) Unsaved() bool {
	return e.Phase == EditUploading || e.Phase == EditConflict || e.Phase == EditFailed && e.Local != ""
}

// edits are the remote files that are open.
type edits struct {
	mu  sync.Mutex
	all []*edit
}

type edit struct {
	app    *App
	opts   client.Options
	dir    string // on this computer; the file lies in it alone
	cancel context.CancelFunc
	force  chan struct{} // upload even though the server's file has changed
	again  chan struct{} // take the server's file instead

	shown  Edit // under edits.mu
	remote remoteState
	sum    [sha256.Size]byte // of what the server has
	aside  []string          // the person's own versions that the server's took the place of
}

// remoteState is what tells one version of a file on a server from another, as far as the server says it.
type remoteState struct {
	size int64 // -1: not told
	time time.Time
}

// editPause is how long a file must have rested before it is uploaded: programs save in several steps.
const editPause = 400 * time.Millisecond

// EditRemote downloads a file of a folder of the current tab's server into a folder of its own, has open open it, and from
// then on uploads it whenever it has changed, until [App.EndEdit] or the end of the program. Before each upload it looks
// whether the server's file is still the one that was downloaded. A file that is open already is only opened again.
func (a *App) EditRemote(dir string, entry client.Entry, open func(name string) error) {
	r := a.remote()
	r.mu.Lock()
	opts := r.opts
	r.mu.Unlock()
	full := path.Join(dir, entry.Name)
	a.edits.mu.Lock()
	for _, e := range a.edits.all {
		if e.shown.Remote == full && siteKey(e.opts.Target) == siteKey(opts.Target) && e.opts.User == opts.User {
			local := e.shown.Local
			a.edits.mu.Unlock()
			if local != "" {
				a.run(func(context.Context) { a.sayOpen(open(local)) })
			}
			return
		}
	}
	a.edits.mu.Unlock()
	if opts.Host == "" {
		return
	}
	e := &edit{app: a, opts: opts, force: make(chan struct{}, 1), again: make(chan struct{}, 1)}
	a.mu.Lock()
	a.nextID++
	id := a.nextID
	a.mu.Unlock()
	server := opts.Target
	server.Password = ""
	e.shown = Edit{ID: id, Remote: full, Server: server, Phase: EditDownloading}
	ctx, cancel := context.WithCancel(a.ctx)
	e.cancel = cancel
	a.edits.mu.Lock()
	a.edits.all = append(a.edits.all, e)
	a.edits.mu.Unlock()
	a.changed()
	ok := a.run(func(context.Context) {
		defer cancel()
		e.run(ctx, entry.Name, open)
	})
	if !ok {
		cancel()
	}
}

func (a *App) sayOpen(err error) {
	if err != nil {
		a.notify("The file could not be opened: "+Sentence(err), true)
	}
}

// Edits returns the remote files that are open, oldest first.
func (a *App) Edits() []Edit {
	a.edits.mu.Lock()
	defer a.edits.mu.Unlock()
	out := make([]Edit, len(a.edits.all))
	for i, e := range a.edits.all {
		out[i] = e.shown
	}
	return out
}

func (a *App) edit(id uint64) *edit {
	a.edits.mu.Lock()
	defer a.edits.mu.Unlock()
	for _, e := range a.edits.all {
		if e.shown.ID == id {
			return e
		}
	}
	return nil
}

// UploadEdit uploads an edited file as it is, over what the server has.
func (a *App) UploadEdit(id uint64) {
	if e := a.edit(id); e != nil {
		select {
		case e.force <- struct{}{}:
		default: // it is asked for already
		}
	}
}

// ReloadEdit takes the server's file in place of the edited one. Where that had changes, it is kept beside it, under a name
// that ends in ".mine" (the next time ".mine2"), also after the end of the edit.
func (a *App) ReloadEdit(id uint64) {
	if e := a.edit(id); e != nil {
		select {
		case e.again <- struct{}{}:
		default:
		}
	}
}

// EndEdit stops watching a file. Its copy here is deleted, unless it has changes that the server does not have: then it
// stays, and a notice says where.
func (a *App) EndEdit(id uint64) {
	if e := a.edit(id); e != nil {
		e.cancel()
	}
}

func (e *edit) set(change func(*Edit)) {
	e.app.edits.mu.Lock()
	change(&e.shown)
	e.app.edits.mu.Unlock()
	e.app.changed()
}

func (e *edit) fail(err error) {
	e.set(func(s *Edit) { s.Phase, s.Err = EditFailed, Sentence(err) })
}

// run is the life of an edit.
func (e *edit) run(ctx context.Context, name string, open func(string) error) {
	defer e.end()
	local, err := e.download(ctx, name)
	if err != nil {
		e.fail(err)
		<-ctx.Done() // until the person has read it
		return
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(e.dir) // the folder: many programs save by putting a new file in the place of the old one
	}
	if err != nil {
		e.fail(fmt.Errorf("the file can't be watched: %w", err))
		<-ctx.Done()
		return
	}
	e.set(func(s *Edit) { s.Local, s.Phase = local, EditWatching })
	e.app.sayOpen(open(local))
	rest := time.NewTimer(time.Hour)
	rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-watcher.Events:
			if !ok {
				return
			}
			rest.Reset(editPause)
		case <-watcher.Errors:
			rest.Reset(editPause) // something may have been missed
		case <-rest.C:
			e.upload(ctx, false)
		case <-e.force:
			e.upload(ctx, true)
		case <-e.again:
			e.reload(ctx)
		}
	}
}

// end forgets the edit, and its copy unless there is something in it that is nowhere else.
func (e *edit) end() {
	a := e.app
	a.edits.mu.Lock()
	a.edits.all = slices.DeleteFunc(a.edits.all, func(o *edit) bool { return o == e })
	local := e.shown.Local
	a.edits.mu.Unlock()
	a.changed()
	if e.dir == "" {
		return
	}
	if local != "" {
		if sum, err := fileSum(local); err == nil && sum != e.sum {
			a.notify("The changes to "+filepath.Base(local)+" are not on the server. They are kept in "+local+".", true)
			return
		}
	}
	if len(e.aside) > 0 {
		os.Remove(local)
		a.notify("Your own version of "+filepath.Base(local)+" is not on the server. It is kept in "+strings.Join(e.aside, ", ")+".", true)
		return
	}
	os.RemoveAll(e.dir)
}

// session runs f with a session of its own: the file may stay open longer than the tab.
func (e *edit) session(ctx context.Context, f func(*client.Session) error) error {
	s, err := client.Dial(ctx, e.opts)
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

func (e *edit) state(ctx context.Context, s *client.Session) (remoteState, error) {
	st := remoteState{size: -1}
	if n, err := s.Size(ctx, e.shown.Remote); err == nil {
		st.size = n
	} else if gone(err) {
		return st, err
	}
	if at, err := s.ModTime(ctx, e.shown.Remote); err == nil {
		st.time = at
	}
	return st, errors.Join(ctx.Err(), s.Err())
}

// gone says that the server's file is not there, as against a server that can't say its size.
func gone(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Code == 550
}

// download makes a folder and puts the file in it.
func (e *edit) download(ctx context.Context, name string) (string, error) {
	if err := localName(name); err != nil {
		return "", err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	base = filepath.Join(base, "portside", "edit")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", err
	}
	if e.dir, err = os.MkdirTemp(base, ""); err != nil { // 0700: nobody else reads it
		return "", err
	}
	local := filepath.Join(e.dir, name)
	e.remote, e.sum, err = e.fetch(ctx, local)
	return local, err
}

// fetch gets the server's file and returns what it was like.
func (e *edit) fetch(ctx context.Context, local string) (st remoteState, sum [sha256.Size]byte, err error) {
	err = e.session(ctx, func(s *client.Session) error {
		if st, err = e.state(ctx, s); err != nil {
			return err
		}
		f, err := os.OpenFile(local, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = s.Get(ctx, e.shown.Remote, 0, io.MultiWriter(f, h))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		sum = [sha256.Size]byte(h.Sum(nil))
		return err
	})
	return st, sum, err
}

func fileSum(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// upload brings the file to the server if it has changed. Without force it does not write over what somebody else has
// changed there.
func (e *edit) upload(ctx context.Context, force bool) {
	local := e.shown.Local
	sum, err := fileSum(local)
	if errors.Is(err, os.ErrNotExist) {
		return // between two steps of saving, or moved away
	}
	if err != nil {
		e.fail(err)
		return
	}
	if sum == e.sum && !force {
		e.set(func(s *Edit) { s.Phase, s.Err = EditWatching, "" }) // changed back
		return
	}
	e.set(func(s *Edit) { s.Phase, s.Err = EditUploading, "" })
	err = e.session(ctx, func(s *client.Session) error {
		if !force {
			now, err := e.state(ctx, s)
			if err != nil && !gone(err) {
				return err
			}
			if err != nil || now.size != e.remote.size || !now.time.Equal(e.remote.time) {
				return errConflict
			}
		}
		f, err := os.Open(local)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := s.Put(ctx, e.shown.Remote, 0, f); err != nil {
			return err
		}
		now, err := e.state(ctx, s)
		if err == nil {
			e.remote, e.sum = now, sum
		}
		return err
	})
	switch {
	case errors.Is(err, errConflict):
		e.set(func(s *Edit) { s.Phase = EditConflict })
		e.app.RefreshSite(e.opts.Target) // what the pane shows is old
	case err != nil:
		e.fail(err)
	default:
		e.set(func(s *Edit) { s.Phase = EditWatching; s.Uploads++ })
		e.app.RefreshSite(e.opts.Target)
	}
}

var errConflict = errors.New("the file on the server was changed or deleted meanwhile")

// reload puts the server's file in the place of the edited one, which stays beside it unless it is as the server had it.
func (e *edit) reload(ctx context.Context) {
	local := e.shown.Local
	e.set(func(s *Edit) { s.Phase, s.Err = EditDownloading, "" })
	fresh := local + ".new"
	os.Remove(fresh)
	remote, sum, err := e.fetch(ctx, fresh)
	if err == nil {
		err = e.setAside(local)
	}
	if err == nil {
		err = os.Rename(fresh, local)
	}
	if err != nil {
		e.fail(err)
		return
	}
	e.remote, e.sum = remote, sum
	e.set(func(s *Edit) { s.Phase = EditWatching })
}

// setAside gives the edited file a name of its own, if it has changes and is there.
func (e *edit) setAside(local string) error {
	sum, err := fileSum(local)
	if errors.Is(err, os.ErrNotExist) || err == nil && sum == e.sum {
		return nil
	}
	mine := local + ".mine"
	for n := 2; exists(mine); n++ {
		mine = fmt.Sprintf("%s.mine%d", local, n)
	}
	if err := os.Rename(local, mine); err != nil {
		return err
	}
	e.aside = append(e.aside, mine)
	return nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// RunsPrograms says whether opening a file of this name may run it instead of showing it.
func RunsPrograms(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".exe", ".com", ".bat", ".cmd", ".ps1", ".vbs", ".vbe", ".js", ".jse", ".wsf", ".wsh", ".msi", ".msp", ".scr", ".pif", ".lnk",
		".hta", ".cpl", ".jar", ".reg", ".desktop", ".app", ".command", ".appimage", ".run", ".deb", ".rpm", ".dmg", ".pkg", ".url":
		return true
	}
	return false
}
