package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	l.state.Loading = true
	l.mu.Unlock()
	a.changed()
	// A listing of a network drive can take long, so it is a task.
	a.run(func(context.Context) {
		full, err := expand(dir)
		var entries []client.Entry
		if err == nil {
			entries, err = listLocal(full)
		}
		l.mu.Lock()
		l.state.Loading = false
		if err != nil {
			l.state.Err = Sentence(err)
		} else {
			l.state = Local{Folder: Folder{Path: full, Entries: entries, Stamp: l.state.Stamp + 1}}
		}
		l.mu.Unlock()
		a.changed()
		if err == nil && a.Settings().Connect.LocalFolder != full {
			a.keepSettings(func(s *Settings) { s.Connect.LocalFolder = full })
		}
	})
}

// RefreshLocal lists the local folder shown again.
func (a *App) RefreshLocal() {
	if dir := a.Local().Path; dir != "" {
		a.OpenLocal(dir)
	}
}

func listLocal(dir string) ([]client.Entry, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	entries := make([]client.Entry, 0, len(list))
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			continue // deleted meanwhile
		}
		e := client.Entry{Name: d.Name(), Type: client.File, Size: info.Size(), Time: info.ModTime(), Rights: info.Mode().Perm().String()[1:]}
		switch mode := info.Mode(); {
		case mode.IsDir():
			e.Type, e.Size = client.Folder, 0
		case mode&os.ModeSymlink != 0:
			e.Type = client.Link
			e.Target, _ = os.Readlink(filepath.Join(dir, d.Name()))
			if to, err := os.Stat(filepath.Join(dir, d.Name())); err == nil && to.IsDir() {
				e.Type = client.Folder // it opens like one
			}
		case !mode.IsRegular():
			e.Type = client.Other
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// changeLocal runs f as a task and lists the folder again.
func (a *App) changeLocal(f func(dir string) error) {
	dir := a.Local().Path
	a.run(func(context.Context) {
		if err := f(dir); err != nil {
			a.notify(Sentence(err), true)
		}
		a.OpenLocal(dir)
	})
}

// localName checks a typed name: it must stay in its folder.
func localName(name string) error {
	if name == "" || name == "." || name == ".." || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return fmt.Errorf("%q can't be a name: it must not be empty or hold a path", name)
	}
	return nil
}

// MakeLocalFolder makes a folder in the local one shown.
func (a *App) MakeLocalFolder(name string) {
	a.changeLocal(func(dir string) error {
		if err := localName(name); err != nil {
			return err
		}
		return os.Mkdir(filepath.Join(dir, name), 0o755)
	})
}

// RenameLocal gives an entry of the local folder another name. It never writes over another entry.
func (a *App) RenameLocal(from, to string) {
	a.changeLocal(func(dir string) error {
		if err := localName(to); err != nil {
			return err
		}
		if _, err := os.Lstat(filepath.Join(dir, to)); err == nil {
			return fmt.Errorf("%s is there already", to)
		}
		return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))
	})
}

// DeleteLocal deletes entries of the local folder for good, folders with all that is in them.
func (a *App) DeleteLocal(names []string) {
	a.changeLocal(func(dir string) error {
		var errs []error
		for _, n := range names {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, n)))
		}
		return errors.Join(errs...)
	})
}

func tlsNames(cs *tls.ConnectionState) (version, cipher string) {
	return tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite)
}
