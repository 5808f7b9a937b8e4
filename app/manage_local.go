package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"portside/client"
)

// CountLocal counts what entries of a folder of this computer hold, those in folders included. Links are counted, not
// followed.
func (a *App) CountLocal(dir string, names []string) *Count {
	c := a.newCount()
	ok := a.run(func(context.Context) {
		var err error
		for _, n := range names {
			if err = walkLocal(c.ctx, filepath.Join(dir, n), func(_ string, d fs.FileInfo) error {
				e := client.Entry{Type: client.File, Size: d.Size()}
				if d.IsDir() {
					e.Type = client.Folder
				}
				c.add(a, e)
				return nil
			}); err != nil {
				break
			}
		}
		c.end(a, err)
	})
	if !ok {
		c.end(a, context.Canceled)
	}
	return c
}

// walkLocal visits a file, or a folder and all that is in it, until ctx ends.
func walkLocal(ctx context.Context, root string, visit func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return visit(name, info)
	})
}

// DeleteLocal deletes entries of a folder of this computer for good, folders with all that is in them. What can't be deleted
// is named, and the rest is deleted.
func (a *App) DeleteLocal(dir string, names []string) {
	a.changeLocal(func(ctx context.Context) error {
		var errs failures
		for _, n := range names {
			if ctx.Err() != nil {
				break
			}
			errs.add(os.RemoveAll(filepath.Join(dir, n)))
		}
		return errs.join(len(names), "deleted")
	})
}

// MoveLocal moves entries of one folder of this computer to another. It never writes over another entry: what is there
// already stays where it was, and is named. Between disks it copies first and deletes the source when all is there.
func (a *App) MoveLocal(from string, names []string, to string) {
	a.changeLocal(func(ctx context.Context) error {
		return eachInto(ctx, from, names, to, "moved", func(old, new string) error {
			err := os.Rename(old, new)
			if err == nil || !crossDevice(err) {
				return err
			}
			if err := copyTree(ctx, old, new); err != nil {
				return err
			}
			return os.RemoveAll(old)
		})
	})
}

// CopyLocal copies files and folders of this computer, named with their paths, into one of its folders. In the folder
// where it is already, a copy gets a name of its own; elsewhere nothing is written over.
func (a *App) CopyLocal(paths []string, to string) {
	a.changeLocal(func(ctx context.Context) error {
		var errs failures
		for _, p := range paths {
			dir, name := filepath.Split(p)
			if filepath.Clean(dir) == filepath.Clean(to) {
				errs.add(copyTree(ctx, p, freeName(to, name)))
				continue
			}
			errs.add(eachInto(ctx, dir, []string{name}, to, "copied", func(old, new string) error { return copyTree(ctx, old, new) }))
			if ctx.Err() != nil {
				break
			}
		}
		return errs.join(len(paths), "copied")
	})
}

// eachInto does something with each of the names in one folder and the place for it in another.
func eachInto(ctx context.Context, from string, names []string, to, done string, do func(old, new string) error) error {
	if filepath.Clean(from) == filepath.Clean(to) {
		return nil
	}
	var errs failures
	for _, n := range names {
		if ctx.Err() != nil {
			break
		}
		old, place := filepath.Join(from, n), filepath.Join(to, n)
		if rel, err := filepath.Rel(old, to); err == nil && filepath.IsLocal(rel) {
			errs.add(fmt.Errorf("%s can't be put into itself", n))
			continue
		}
		if _, err := os.Lstat(place); err == nil {
			errs.add(fmt.Errorf("%s is in %s already", n, to))
			continue
		}
		errs.add(do(old, place))
	}
	return errs.join(len(names), done)
}

// freeName is a name for a copy beside the original: "a (copy).txt", "a (copy 2).txt".
func freeName(dir, name string) string {
	ext := filepath.Ext(name)
	if ext == name {
		ext = "" // a name such as ".profile"
	}
	stem := name[:len(name)-len(ext)]
	for i := 1; ; i++ {
		mark := " (copy)"
		if i > 1 {
			mark = fmt.Sprintf(" (copy %d)", i)
		}
		full := filepath.Join(dir, stem+mark+ext)
		if _, err := os.Lstat(full); err != nil {
			return full
		}
	}
}

// copyTree copies a file, a link, or a folder with all that is in it to a place where nothing is; what it began is taken
// away again when it fails. Times and rights are kept.
func copyTree(ctx context.Context, from, to string) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, fs.ErrExist) {
			os.RemoveAll(to)
		}
	}()
	type folder struct {
		name string
		info fs.FileInfo
	}
	var folders []folder
	err = walkLocal(ctx, from, func(name string, info fs.FileInfo) error {
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		place := filepath.Join(to, rel)
		switch {
		case info.IsDir():
			folders = append(folders, folder{place, info})
			return os.Mkdir(place, 0o700)
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(target, place)
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is no file and no folder", name)
		}
		return copyFile(ctx, name, place, info)
	})
	for i := len(folders) - 1; i >= 0 && err == nil; i-- { // not before their content is there
		f := folders[i]
		if err = os.Chmod(f.name, f.info.Mode().Perm()); err == nil {
			err = os.Chtimes(f.name, f.info.ModTime(), f.info.ModTime())
		}
	}
	return err
}

func copyFile(ctx context.Context, from, to string, info fs.FileInfo) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	for err == nil { // in parts, so that it can be ended
		if err = ctx.Err(); err == nil {
			_, err = io.CopyN(dst, src, 16<<20)
		}
	}
	if err == io.EOF {
		err = nil
	}
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(to, info.Mode().Perm())
	}
	if err == nil {
		err = os.Chtimes(to, info.ModTime(), info.ModTime())
	}
	return err
}

// ChangeLocalRights sets the rights of entries of a folder of this computer. On Windows only the right of the owner to write
// counts.
func (a *App) ChangeLocalRights(dir string, names []string, want ModeChange) {
	a.changeLocal(func(ctx context.Context) error {
		var errs failures
		done := 0
		set := func(name string, info fs.FileInfo) error {
			e := client.Entry{Type: client.File}
			switch {
			case info.IsDir():
				e.Type = client.Folder
			case !info.Mode().IsRegular():
				return nil
			}
			if mode := want.of(e); mode != nil {
				done++
				errs.add(os.Chmod(name, fs.FileMode(*mode&0o777)))
			}
			return nil
		}
		for _, n := range names {
			full := filepath.Join(dir, n)
			info, err := os.Lstat(full)
			switch {
			case err != nil:
				errs.add(err)
			case want.Inside && info.IsDir():
				// The deepest first: a folder that closes would hide its content.
				var all []string
				infos := map[string]fs.FileInfo{}
				errs.add(walkLocal(ctx, full, func(name string, info fs.FileInfo) error {
					all, infos[name] = append(all, name), info
					return nil
				}))
				for i := len(all) - 1; i >= 0; i-- {
					_ = set(all[i], infos[all[i]])
				}
			default:
				_ = set(full, info)
			}
		}
		return errs.join(done, "set")
	})
}
