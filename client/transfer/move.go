package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"portside/client"
)

// do moves a file or scans a folder, and says how many bytes the file has.
func (w *worker) do(t *task) (int64, error) {
	switch {
	case !t.known && t.Direction == Download:
		return 0, w.beginDownload(t)
	case !t.known:
		return 0, w.beginUpload(t)
	case t.folder && t.Direction == Download:
		return 0, w.scanRemote(t)
	case t.folder:
		return 0, w.scanLocal(t)
	case t.Direction == Download:
		return w.download(t)
	default:
		return w.upload(t)
	}
}

// beginDownload finds out what the item is, and opens the local folder that it goes to.
func (w *worker) beginDownload(t *task) error {
	e, err := w.stat(t.Remote)
	if err != nil {
		return err
	}
	place := t.Local
	if e.Type != client.Folder {
		place = filepath.Dir(t.Local)
	}
	if err := os.MkdirAll(place, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(place)
	if err != nil {
		return err
	}
	w.j.keep(root)
	n := &task{Item: t.Item, known: true, root: root, size: -1, time: e.Time, link: e.Type == client.Link}
	switch e.Type {
	case client.Folder:
		n.folder, n.rel = true, "."
	case client.Other:
		return &skipped{"it is neither a file nor a folder"}
	default:
		n.rel = filepath.Base(t.Local)
		if e.Type == client.File {
			n.size = e.Size
		}
	}
	w.j.add(n)
	return nil
}

// stat finds out what a remote path is: from the listing of its folder, or, where that may not be read, by asking.
func (w *worker) stat(remote string) (client.Entry, error) {
	ctx := w.j.ctx
	clean := strings.TrimRight(remote, "/")
	if clean == "" || clean == "." {
		return client.Entry{Type: client.Folder}, nil
	}
	dir, name := path.Split(clean)
	if dir != "/" {
		dir = strings.TrimRight(dir, "/")
	}
	entries, listErr := w.s.List(ctx, dir)
	if listErr == nil {
		w.proved()
	}
	for _, e := range entries {
		if e.Name == name && !e.Unsafe {
			if e.Type == client.Link && w.isFolder(clean) {
				e.Type = client.Folder // the person named it: it is meant
			}
			return e, nil
		}
	}
	var refused *client.Error
	if listErr != nil && (!errors.As(listErr, &refused) || refused.Code == 0 || refused.Data) {
		return client.Entry{}, listErr
	}
	if size, err := w.s.Size(ctx, clean); err == nil {
		e := client.Entry{Name: name, Type: client.File, Size: size}
		e.Time, _ = w.s.ModTime(ctx, clean)
		return e, nil
	}
	if w.isFolder(clean) {
		return client.Entry{Name: name, Type: client.Folder}, nil
	}
	if listErr != nil {
		return client.Entry{}, listErr
	}
	return client.Entry{}, fmt.Errorf("the server has no %q", remote)
}

// isFolder asks with CWD, and goes back.
func (w *worker) isFolder(remote string) bool {
	ctx := w.j.ctx
	here, err := w.s.CurrentDir(ctx)
	if err != nil || w.s.ChangeDir(ctx, remote) != nil {
		return false
	}
	return w.s.ChangeDir(ctx, here) == nil
}

func (w *worker) proved() {
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	w.j.worked = true
}

// scanRemote makes the local folder and queues what the remote one holds.
func (w *worker) scanRemote(t *task) error {
	if t.rel != "." {
		if err := t.root.Mkdir(t.rel, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if st, err := t.root.Stat(t.rel); err == nil && !st.IsDir() {
			return fmt.Errorf("%s is a file here, so no folder can be made of that name", t.Local)
		}
	}
	entries, err := w.s.List(w.j.ctx, t.Remote)
	if err != nil {
		return err
	}
	w.proved()
	more := make([]*task, 0, len(entries))
	for _, e := range entries {
		n := &task{
			Item: Item{Download, filepath.Join(t.Local, e.Name), child(t.Remote, e.Name)}, known: true, root: t.root,
			rel: filepath.Join(t.rel, e.Name), size: -1, time: e.Time, link: e.Type == client.Link, folder: e.Type == client.Folder,
		}
		err := usableName(e.Name)
		switch {
		case e.Unsafe:
			err = fmt.Errorf("the server lists a name that can't be used: %q", e.Name)
		case err == nil && e.Type == client.Other:
			err = &skipped{"it is neither a file nor a folder"}
		case e.Type == client.File:
			n.size = e.Size
		}
		if err != nil {
			w.j.reject(Item{Download, t.Local, n.Remote}, err)
			continue
		}
		more = append(more, n)
	}
	w.j.add(more...)
	return nil
}

// download gets one file.
func (w *worker) download(t *task) (int64, error) {
	if err := w.j.claim(t, t.Local); err != nil {
		return 0, err
	}
	part := t.rel + ".part"
	offset := int64(0)
	if st, err := t.root.Stat(t.rel); err == nil && !t.begun {
		if st.IsDir() {
			return 0, fmt.Errorf("%s is a folder here", t.Local)
		}
		offset, err = w.j.decide(t, Conflict{Item: t.Item, LocalSize: st.Size(), RemoteSize: t.size, LocalTime: st.ModTime(), RemoteTime: t.time})
		if err != nil {
			return 0, err
		}
		if offset > 0 {
			if err := t.root.Rename(t.rel, part); err != nil {
				return 0, err
			}
		}
	}
	if st, err := t.root.Lstat(part); err == nil {
		switch {
		case !st.Mode().IsRegular():
			return 0, fmt.Errorf("%s.part is in the way: it is no file", t.Local)
		case offset == 0 && (t.begun || w.j.o.Resume) && !t.time.After(st.ModTime()) && (t.size < 0 || st.Size() <= t.size):
			offset = st.Size()
		}
	}
	flags := os.O_WRONLY | os.O_CREATE
	if offset == 0 {
		flags |= os.O_TRUNC
	}
	f, err := t.root.OpenFile(part, flags, 0o666)
	if err != nil {
		return 0, err
	}
	t.begun = true
	size, err := w.fill(t, f, offset)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		if size == 0 {
			_ = t.root.Remove(part)
		}
		return 0, err
	}
	if !t.time.IsZero() {
		if err := t.root.Chtimes(part, t.time, t.time); err != nil {
			return 0, err
		}
	}
	if err := t.root.Rename(part, t.rel); err != nil {
		return 0, err
	}
	return size, nil
}

// fill writes the file's rest from offset on, and checks that it is whole.
func (w *worker) fill(t *task, f *os.File, offset int64) (int64, error) {
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return offset, err
		}
	}
	if offset > 0 && offset == t.size {
		return offset, nil // nothing is missing but the name
	}
	w.at(offset)
	n, err := w.s.Get(w.j.ctx, t.Remote, offset, f)
	size := offset + n
	if err != nil {
		var e *client.Error
		switch {
		case t.link && errors.As(err, &e) && e.Code == 550 && w.isFolder(t.Remote):
			return size, &skipped{"it is a link to a folder"}
		case offset > 0 && n == 0 && errors.As(err, &e) && e.Code >= 500 && !e.Data:
			// The server can't resume, or the file there is shorter by now: begin anew.
			if err := f.Truncate(0); err != nil {
				return 0, err
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return 0, err
			}
			w.at(0)
			if size, err = w.s.Get(w.j.ctx, t.Remote, 0, f); err != nil {
				return size, err
			}
		default:
			return size, err
		}
	}
	w.proved()
	if t.size >= 0 && size != t.size {
		// The listing may be old: the file was being written.
		if now, err := w.s.Size(w.j.ctx, t.Remote); err != nil || now != size {
			return size, fmt.Errorf("it came with %d bytes, but the server says that it has %d", size, max(now, t.size))
		}
	}
	return size, nil
}

// at says where the transfer that begins now goes on.
func (w *worker) at(offset int64) {
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	w.offset = offset
}

// beginUpload finds out what the item is.
func (w *worker) beginUpload(t *task) error {
	st, err := os.Stat(t.Local)
	if err != nil {
		return err
	}
	n := &task{Item: t.Item, known: true, size: st.Size(), time: st.ModTime()}
	place := t.Local
	switch {
	case st.IsDir():
		n.folder, n.rel = true, "."
	case st.Mode().IsRegular():
		real, err := filepath.EvalSymlinks(t.Local) // the person named it: a link is meant
		if err != nil {
			return err
		}
		place, n.rel = filepath.Dir(real), filepath.Base(real)
	default:
		return &skipped{"it is neither a file nor a folder"}
	}
	if n.root, err = os.OpenRoot(place); err != nil {
		return err
	}
	w.j.keep(n.root)
	w.j.add(n)
	return nil
}

// scanLocal makes the remote folder and queues what the local one holds.
func (w *worker) scanLocal(t *task) error {
	dir, err := t.root.Open(t.rel)
	if err != nil {
		return err
	}
	entries, err := dir.ReadDir(-1)
	_ = dir.Close()
	if err != nil {
		return err
	}
	there, err := w.makeRemote(t.Remote)
	if err != nil {
		return err
	}
	more := make([]*task, 0, len(entries))
	for _, e := range entries {
		n := &task{Item: Item{Upload, filepath.Join(t.Local, e.Name()), child(t.Remote, e.Name())}, known: true, root: t.root,
			rel: filepath.Join(t.rel, e.Name()), listed: true}
		st, err := t.root.Stat(n.rel) // follows links inside the tree, refuses those that lead out
		linked := e.Type()&fs.ModeSymlink != 0
		switch {
		case linked && err != nil:
			err = &skipped{"it is a link that leads out of the folder, or nowhere"}
		case err != nil:
		case linked && st.IsDir():
			err = &skipped{"it is a link to a folder"}
		case st.IsDir():
			n.folder = true
		case !st.Mode().IsRegular():
			err = &skipped{"it is neither a file nor a folder"}
		default:
			n.size, n.time = st.Size(), st.ModTime()
			if old, ok := there[e.Name()]; ok {
				n.there = &old
			}
		}
		if err != nil {
			w.j.reject(n.Item, err)
			continue
		}
		more = append(more, n)
	}
	w.j.add(more...)
	return nil
}

// makeRemote makes a remote folder and returns what is in it.
func (w *worker) makeRemote(dir string) (map[string]client.Entry, error) {
	clean := strings.TrimRight(dir, "/")
	if clean != "" && clean != "." {
		if err := w.s.MakeDir(w.j.ctx, clean); err == nil {
			return nil, nil
		} else if entries, listErr := w.s.List(w.j.ctx, dir); listErr != nil || len(entries) == 0 && !w.isFolder(clean) {
			return nil, err // no folder is there; the reason for that stands in the reply to MKD
		} else {
			w.proved()
			return byName(entries), nil
		}
	}
	entries, err := w.s.List(w.j.ctx, dir)
	if err != nil {
		return nil, err
	}
	w.proved()
	return byName(entries), nil
}

func byName(entries []client.Entry) map[string]client.Entry {
	m := make(map[string]client.Entry, len(entries))
	for _, e := range entries {
		m[e.Name] = e
	}
	return m
}

// upload puts one file.
func (w *worker) upload(t *task) (int64, error) {
	ctx := w.j.ctx
	if err := w.j.claim(t, t.Remote); err != nil {
		return 0, err
	}
	f, err := t.root.Open(t.rel)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !st.Mode().IsRegular() {
		return 0, &skipped{"it is not a file any more"}
	}
	offset, err := w.uploadOffset(ctx, t, st)
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	w.at(offset)
	n, err := w.s.Put(ctx, t.Remote, offset, f)
	if err != nil && offset > 0 && n == 0 {
		var e *client.Error
		if errors.As(err, &e) && e.Code >= 500 && !e.Data { // the server can't resume
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return 0, err
			}
			offset = 0
			w.at(0)
			n, err = w.s.Put(ctx, t.Remote, 0, f)
		}
	}
	if err != nil {
		if n > 0 {
			t.sent = offset + n
		}
		return 0, err
	}
	w.proved()
	w.keepTime(ctx, t)
	return offset + n, nil
}

// uploadOffset says from where on to send: after a broken try from where the server has it, else as the policy says.
func (w *worker) uploadOffset(ctx context.Context, t *task, st fs.FileInfo) (int64, error) {
	if t.sent > 0 {
		if have, err := w.s.Size(ctx, t.Remote); err == nil && have <= t.sent {
			return have, nil
		}
		return 0, nil
	}
	there := t.there
	if !t.listed && w.j.o.Overwrite != Overwrite {
		if size, err := w.s.Size(ctx, t.Remote); err == nil {
			there = &client.Entry{Type: client.File, Size: size}
			there.Time, _ = w.s.ModTime(ctx, t.Remote)
		}
	}
	if there == nil {
		return 0, nil
	}
	if there.Type == client.Folder {
		return 0, fmt.Errorf("%s is a folder on the server", t.Remote)
	}
	return w.j.decide(t, Conflict{Item: t.Item, LocalSize: st.Size(), RemoteSize: there.Size, LocalTime: st.ModTime(), RemoteTime: there.Time})
}

// keepTime sets the upload's time where the server can. A server that refuses is not asked again: the file is there,
// and its time is no reason to call it failed.
func (w *worker) keepTime(ctx context.Context, t *task) {
	w.j.mu.Lock()
	off := w.j.noTimes
	w.j.mu.Unlock()
	if off || t.time.IsZero() || !w.s.CanSetModTime() {
		return
	}
	if err := w.s.SetModTime(ctx, t.Remote, t.time.Truncate(time.Second)); err != nil {
		w.j.mu.Lock()
		w.j.noTimes = true
		w.j.mu.Unlock()
	}
}
