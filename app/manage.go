package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"portside/client"
	"portside/wire"
)

// Tally is what a count of files and folders has found so far.
type Tally struct {
	Files, Folders int // links and other things count as files
	Bytes          int64
	Done           bool
	Err            string // why it ended before its time
}

func (t *Tally) add(e client.Entry) {
	if e.Type == client.Folder {
		t.Folders++
		return
	}
	t.Files++
	t.Bytes = wire.AddSizes(t.Bytes, e.Size)
}

// Count is a count under way.
type Count struct {
	mu     sync.Mutex
	tally  Tally
	cancel context.CancelFunc
	ctx    context.Context
}

// newCount returns a count that ends with the application at the latest.
func (a *App) newCount() *Count {
	c := &Count{}
	c.ctx, c.cancel = context.WithCancel(a.ctx)
	return c
}

// Tally returns what was found so far.
func (c *Count) Tally() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally
}

// Cancel ends the count. It may be called at any time, again and again.
func (c *Count) Cancel() { c.cancel() }

func (c *Count) add(a *App, e client.Entry) {
	c.mu.Lock()
	c.tally.add(e)
	c.mu.Unlock()
	a.changed()
}

func (c *Count) end(a *App, err error) {
	c.cancel()
	c.mu.Lock()
	c.tally.Done = true
	if err != nil {
		c.tally.Err = Sentence(err)
	}
	c.mu.Unlock()
	a.changed()
}

// CountRemote counts what entries of a folder of the current tab's server hold, those in folders included. Links are counted,
// not followed.
func (a *App) CountRemote(dir string, entries []client.Entry) *Count {
	c := a.newCount()
	r := a.remote()
	ok := r.do("Counting", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)()
		s, err := r.open(ctx)
		var missed failures
		if err == nil {
			err = walk(ctx, s, dir, entries, func(_ string, e client.Entry, done bool) error {
				if !done {
					c.add(a, e)
				}
				return nil
			}, &missed)
		}
		gone := c.ctx.Err() != nil
		c.end(a, cmp.Or(err, missed.first))
		if gone {
			return nil // it was asked for
		}
		return err
	}, func() { c.end(a, context.Canceled) })
	if !ok {
		c.end(a, context.Canceled)
	}
	return c
}

// maxDepth bounds how deep folders are followed: a server can make them up without end.
const maxDepth = 200

// walk visits entries of a folder and all that is in them: a folder before its content with done false, and after it
// with done true; what is no folder once, with done false. Links are never followed. A folder that can't be listed goes to
// missed and the walk goes on; an error from visit, and the end of the session, end it.
func walk(ctx context.Context, s *client.Session, dir string, entries []client.Entry, visit func(dir string, e client.Entry, done bool) error, missed *failures) error {
	if strings.Count(dir, "/") > maxDepth {
		return fmt.Errorf("%s lies more than %d folders deep", dir, maxDepth)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(dir, e, false); err != nil {
			return err
		}
		if e.Type != client.Folder {
			continue
		}
		inner, err := s.List(ctx, path.Join(dir, e.Name))
		if over := cmp.Or(ctx.Err(), s.Err()); over != nil {
			return cmp.Or(err, over)
		}
		missed.add(err)
		if err := walk(ctx, s, path.Join(dir, e.Name), inner, visit, missed); err != nil {
			return err
		}
		if err := visit(dir, e, true); err != nil {
			return err
		}
	}
	return nil
}

// MakeRemoteFolder makes a folder in one of the current tab's server.
func (a *App) MakeRemoteFolder(dir, name string) {
	a.remote().with("Making the folder "+name, func(ctx context.Context, s *client.Session) error {
		return s.MakeDir(ctx, path.Join(dir, name))
	}, dir)
}

// MakeRemoteFile makes an empty file in a folder of the current tab's server. It never writes over another entry.
func (a *App) MakeRemoteFile(dir, name string) {
	r := a.remote()
	r.with("Making the file "+name, func(ctx context.Context, s *client.Session) error {
		if err := free(ctx, s, dir, name); err != nil {
			return err
		}
		_, err := s.Put(ctx, path.Join(dir, name), 0, strings.NewReader(""))
		return err
	}, dir)
}

// RenameRemote gives an entry of a folder of the current tab's server another name. It never writes over another entry.
func (a *App) RenameRemote(dir, from, to string) {
	r := a.remote()
	r.with("Renaming "+from, func(ctx context.Context, s *client.Session) error {
		if err := free(ctx, s, dir, to); err != nil {
			return err
		}
		return s.Rename(ctx, path.Join(dir, from), path.Join(dir, to))
	}, dir)
}

// free fails when a folder has an entry of that name already. What a tab shows of it may be hours old: it is listed anew.
func free(ctx context.Context, s *client.Session, dir, name string) error {
	there, err := s.List(ctx, dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(there, func(e client.Entry) bool { return e.Name == name }) {
		return fmt.Errorf("%s is there already", name)
	}
	return nil
}

// MoveRemote moves entries of one folder of the current tab's server to another one, without a transfer. It never writes
// over another entry: what is there already stays where it was, and is named. done is called from a task with the
// failure, or nil.
func (a *App) MoveRemote(from string, entries []client.Entry, to string, done func(error)) {
	r := a.remote()
	r.with("Moving "+nameEntries(entries), func(ctx context.Context, s *client.Session) error {
		err := moveRemote(ctx, r, s, from, entries, to)
		if done != nil {
			done(err)
		}
		return err
	}, from, to)
}

func moveRemote(ctx context.Context, r *remote, s *client.Session, from string, entries []client.Entry, to string) error {
	if path.Clean(from) == path.Clean(to) {
		return nil
	}
	there, err := s.List(ctx, to)
	if err != nil {
		return err
	}
	taken := make(map[string]bool, len(there))
	for _, e := range there {
		taken[e.Name] = true
	}
	var errs failures
	for i, e := range entries {
		old := path.Join(from, e.Name)
		switch {
		case taken[e.Name]:
			errs.add(fmt.Errorf("%s is in %s already", e.Name, to))
		case e.Type == client.Folder && inside(to, old):
			errs.add(fmt.Errorf("%s can't be moved into itself", e.Name))
		default:
			errs.add(s.Rename(ctx, old, path.Join(to, e.Name)))
		}
		if ctx.Err() != nil || s.Err() != nil {
			break
		}
		r.progress("Moving", i+1, len(entries))
	}
	return errs.join(len(entries), "moved")
}

// inside says whether a path is folder, or lies in it.
func inside(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
}

// DeleteRemote deletes entries of a folder of the current tab's server, folders with all that is in them. total is how many
// there are in all, from a count before; 0 when nobody counted. What can't be deleted is named, and the rest is deleted.
func (a *App) DeleteRemote(dir string, entries []client.Entry, total int) {
	r := a.remote()
	r.with("Deleting "+nameEntries(entries), func(ctx context.Context, s *client.Session) error {
		return deleteRemote(ctx, r, s, dir, entries, total)
	}, dir)
}

func deleteRemote(ctx context.Context, r *remote, s *client.Session, dir string, entries []client.Entry, total int) error {
	var errs failures
	gone := 0
	// MLSD need not tell a link to a folder from a folder, and pyftpdlib's doesn't. What it leads to is not to be emptied, so
	// DELE goes first: it takes a link away, and no folder.
	_, hidesLinks := s.Features()["MLST"]
	var drop func(dir string, e client.Entry) bool
	drop = func(dir string, e client.Entry) bool {
		full := path.Join(dir, e.Name)
		if ctx.Err() != nil || s.Err() != nil {
			return errs.add(cmp.Or(ctx.Err(), s.Err()))
		}
		if e.Type != client.Folder {
			if errs.add(s.Delete(ctx, full)) {
				return true
			}
		} else {
			if strings.Count(full, "/") > maxDepth {
				return errs.add(fmt.Errorf("%s lies more than %d folders deep", full, maxDepth))
			}
			if hidesLinks && s.Delete(ctx, full) == nil {
				gone++
				r.progress("Deleting", gone, total)
				return false
			}
			inner, err := s.List(ctx, full)
			if errs.add(err) {
				return true
			}
			failed := false
			for _, e := range inner {
				failed = drop(full, e) || failed
			}
			if failed || errs.add(s.RemoveDir(ctx, full)) {
				return true // it is not empty: what is in it was named
			}
		}
		gone++
		r.progress("Deleting", gone, total)
		return false
	}
	for _, e := range entries {
		drop(dir, e)
	}
	return errs.join(max(total, gone+errs.n), "deleted")
}

// progress says how far the operation under way has come.
func (r *remote) progress(doing string, n, total int) {
	text := fmt.Sprintf("%s %d", doing, n)
	if total > 0 {
		text += fmt.Sprintf(" of %d", max(n, total))
	}
	r.set(func(st *Remote) {
		if st.Doing != "" {
			st.Doing, st.Status = text, ""
		}
	})
}

// ModeChange is what [App.ChangeRemoteRights] and [App.ChangeLocalRights] set: the rights of files and of folders apart.
type ModeChange struct {
	// Files and Folders are what files and folders get; nil leaves them as they are. Links and other things are left.
	Files, Folders *uint32
	// Inside goes into folders, too.
	Inside bool
}

func (w ModeChange) of(e client.Entry) *uint32 {
	switch e.Type {
	case client.File:
		return w.Files
	case client.Folder:
		if e.Target == "" {
			return w.Folders
		}
	}
	return nil
}

// ChangeRemoteRights sets the rights of entries of a folder of the current tab's server. What can't be set is named, and the
// rest is set.
func (a *App) ChangeRemoteRights(dir string, entries []client.Entry, want ModeChange) {
	r := a.remote()
	r.with("Setting the rights of "+nameEntries(entries), func(ctx context.Context, s *client.Session) error {
		var errs failures
		done := 0
		set := func(dir string, e client.Entry) {
			if mode := want.of(e); mode != nil {
				done++
				errs.add(s.Chmod(ctx, path.Join(dir, e.Name), *mode))
				r.progress("Setting rights:", done, 0)
			}
		}
		var err error
		if want.Inside {
			err = walk(ctx, s, dir, entries, func(dir string, e client.Entry, left bool) error {
				// A folder that opens up is opened before its content is listed; one that closes, after it.
				opens := want.Folders != nil && *want.Folders&0o500 == 0o500
				if e.Type != client.Folder && !left || e.Type == client.Folder && opens != left {
					set(dir, e)
				}
				return s.Err()
			}, &errs)
		} else {
			for _, e := range entries {
				if set(dir, e); ctx.Err() != nil || s.Err() != nil {
					break
				}
			}
		}
		return errors.Join(errs.join(done, "set"), err)
	}, dir)
}

// failures collects what went wrong with some of many.
type failures struct {
	n     int
	first error
}

// add counts err unless it is nil, and says whether it did.
func (f *failures) add(err error) bool {
	if err == nil {
		return false
	}
	if f.n++; f.first == nil {
		f.first = err
	}
	return true
}

// join is nil, the one failure, or the first one with how many there were of total.
func (f *failures) join(total int, done string) error {
	switch {
	case f.n == 0:
		return nil
	case f.n == 1 && total <= 1:
		return f.first
	}
	return fmt.Errorf("%d of %d could not be %s; the first: %w", f.n, max(f.n, total), done, f.first)
}

// Command sends a line that a person typed to the current tab's server, and hands the reply to done, from a task.
func (a *App) Command(line string, done func(client.Reply, error)) {
	r := a.remote()
	ok := r.do("Sending a command", func(ctx context.Context) error {
		s, err := r.open(ctx)
		if err != nil {
			done(client.Reply{}, err)
			return err
		}
		reply, err := s.Command(ctx, line)
		done(reply, err)
		return nil // it is shown where it was typed
	}, func() { done(client.Reply{}, context.Canceled) })
	if !ok {
		done(client.Reply{}, context.Canceled)
	}
}

// RemoteURL is the address of an entry of a folder of the current tab's server, without the password; an empty name is the
// folder itself.
func (a *App) RemoteURL(dir, name string) string {
	t := a.Remote().Target
	t.Path = path.Join(dir, name)
	return t.URL()
}
