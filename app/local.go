package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"portside/client"
)

// Local is this computer's pane.
type Local struct {
	Folder
	Err string
}

type local struct {
	mu    sync.Mutex
	state Local
	want  string // the folder that is being listed
	turn  uint64 // grows with each folder that is wanted: an older listing's outcome is dropped
}

// Local returns the local folder shown.
func (a *App) Local() Local {
	a.local.mu.Lock()
	defer a.local.mu.Unlock()
	return a.local.state
}

// OpenLocal lists a folder of this computer; the path may begin with "~". A folder that can't be listed leaves the
// one shown as it is and says why.
func (a *App) OpenLocal(dir string) {
	l := &a.local
	l.mu.Lock()
	l.turn++
	l.want = dir
	turn, before := l.turn, l.state
	l.state.Loading = true
	l.mu.Unlock()
	a.changed()
	// A listing of a network drive can take long, so it is a task.
	a.run(func(ctx context.Context) {
		full, err := expand(dir)
		var entries []client.Entry
		var names Names
		if err == nil {
			pace := newPace()
			entries, err = listLocal(ctx, full, func(so []client.Entry) bool {
				due := full != before.Path && pace.due(len(so))
				if due {
					names = names.with(so)
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.turn != turn {
					return false // another folder is wanted by now
				}
				if due {
					l.state = Local{Folder: Folder{Path: full, Entries: so, Names: names, Stamp: a.tabs.stamps.Add(1), Loading: true}}
					a.changed()
				}
				return true
			})
		}
		if err == nil {
			names = NamesOf(entries) // they are in another order by now
		}
		l.mu.Lock()
		if l.turn != turn {
			l.mu.Unlock()
			return
		}
		unfinished := err != nil && before.Loading && before.Path != "" && before.Path != full
		if err != nil {
			l.state = before
			l.state.Loading, l.state.Err, l.state.Stamp = false, Sentence(err), a.tabs.stamps.Add(1)
		} else {
			l.state = Local{Folder: Folder{Path: full, Entries: entries, Names: names, Stamp: a.tabs.stamps.Add(1)}}
		}
		l.mu.Unlock()
		a.changed()
		if unfinished { // it was being read when this folder was asked for
			a.notify(Sentence(err), true)
			a.OpenLocal(before.Path)
			return
		}
		if err == nil && a.Settings().Connect.LocalFolder != full {
			a.ChangeSettings(func(s *Settings) { s.Connect.LocalFolder = full })
		}
	})
}

// RefreshLocal lists the local folder shown again, or the one that is on its way.
func (a *App) RefreshLocal() {
	l := &a.local
	l.mu.Lock()
	dir := l.state.Path
	if l.state.Loading {
		dir = l.want
	}
	l.mu.Unlock()
	if dir != "" {
		a.OpenLocal(dir)
	}
}

// localPart is how many entries of a local folder are read at a time.
const localPart = 1024

// listLocal reads a folder. so is called with what was read so far, and ends the listing when it returns false.
func listLocal(ctx context.Context, dir string, so func([]client.Entry) bool) ([]client.Entry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	owners := newOwners()
	var entries []client.Entry
	for {
		part, err := f.ReadDir(localPart)
		for _, d := range part {
			info, err := d.Info()
			if err != nil {
				continue // deleted meanwhile
			}
			entries = append(entries, localEntry(dir, info, owners))
		}
		switch {
		case err == io.EOF:
			if len(entries) > localPart {
				entries = slices.Clone(entries) // somebody may be reading what was handed out
			}
			slices.SortFunc(entries, func(a, b client.Entry) int { return strings.Compare(a.Name, b.Name) })
			return entries, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if so != nil && !so(slices.Clip(entries)) {
			return nil, context.Canceled
		}
	}
}

func localEntry(dir string, info fs.FileInfo, owners *owners) client.Entry {
	full := filepath.Join(dir, info.Name())
	e := client.Entry{
		Name: info.Name(), Type: client.File, Size: info.Size(), Time: info.ModTime(),
		Rights: info.Mode().Perm().String()[1:], Owner: owners.of(info),
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.Type, e.Size = client.Folder, 0
	case mode&os.ModeSymlink != 0:
		e.Type = client.Link
		e.Target, _ = os.Readlink(full)
		if to, err := os.Stat(full); err == nil && to.IsDir() {
			e.Type = client.Folder // it opens like one
		}
	case !mode.IsRegular():
		e.Type = client.Other
	}
	return e
}

// changeLocal runs f as a task and lists the folder shown again.
func (a *App) changeLocal(f func(ctx context.Context) error) {
	a.run(func(ctx context.Context) {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			a.notify(Sentence(err), true)
		}
		a.RefreshLocal()
	})
}

// localName checks a typed name: it must stay in its folder.
func localName(name string) error {
	if name == "" || name == "." || name == ".." || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return fmt.Errorf("%q can't be a name: it must not be empty or hold a path", name)
	}
	return nil
}

// MakeLocalFolder makes a folder in a folder of this computer.
func (a *App) MakeLocalFolder(dir, name string) {
	a.changeLocal(func(context.Context) error {
		if err := localName(name); err != nil {
			return err
		}
		return os.Mkdir(filepath.Join(dir, name), 0o755)
	})
}

// MakeLocalFile makes an empty file in a folder of this computer. It never writes over another one.
func (a *App) MakeLocalFile(dir, name string) {
	a.changeLocal(func(context.Context) error {
		if err := localName(name); err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// RenameLocal gives an entry of a folder of this computer another name. It never writes over another entry.
func (a *App) RenameLocal(dir, from, to string) {
	a.changeLocal(func(context.Context) error {
		if err := localName(to); err != nil {
			return err
		}
		old, place := filepath.Join(dir, from), filepath.Join(dir, to)
		if st, err := os.Lstat(place); err == nil && !sameEntry(old, place, st) {
			return fmt.Errorf("%s is there already", to)
		}
		return os.Rename(old, place)
	})
}

// sameEntry says that what is at place, st, is what is called old: two spellings of one name, where the disk takes capitals
// and small letters for the same.
func sameEntry(old, place string, st fs.FileInfo) bool {
	was, err := os.Lstat(old)
	return err == nil && old != place && strings.EqualFold(old, place) && os.SameFile(was, st)
}

func tlsNames(cs *tls.ConnectionState) (version, cipher string) {
	return tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite)
}
