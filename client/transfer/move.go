package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"portside/client"
)

// do moves a file or scans a folder, and says how many bytes the file has.
func (m *mover) do(t *task) (int64, error) {
	switch {
	case !t.known && t.Direction == Download:
		return 0, m.beginDownload(t)
	case !t.known:
		return 0, m.beginUpload(t)
	case t.folder && t.Direction == Download:
		return 0, m.scanRemote(t)
	case t.folder:
		return 0, m.scanLocal(t)
	case t.Direction == Download:
		return m.download(t)
	default:
		return m.upload(t)
	}
}

// beginDownload finds out what the item is, and opens the local folder that it goes to.
func (m *mover) beginDownload(t *task) error {
	e, entries := client.Entry{Type: client.Folder}, m.itself(t.Remote)
	if entries == nil {
		var err error
		if e, err = m.stat(t.Remote); err != nil {
			return err
		}
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
	m.h.keep(root)
	n := &task{Item: t.Item, known: true, root: root, size: -1, time: e.Time, day: ofTheDay(&e), link: e.Type == client.Link, entries: entries}
	switch e.Type {
	case client.Folder:
		n.folder, n.rel, n.line = true, ".", lineage{}.with(e)
	case client.Other:
		return &skipped{"it is neither a file nor a folder"}
	default:
		n.rel = filepath.Base(t.Local)
		if e.Type == client.File {
			n.size = e.Size
		}
	}
	m.h.add(t, n)
	return nil
}

// itself is what a folder holds whose path ends with "/"; nil: it holds nothing, or may be no folder. Some servers list a
// file as a folder with itself in it, others list nothing of what does not exist.
func (m *mover) itself(remote string) []client.Entry {
	clean := strings.TrimRight(remote, "/")
	if clean == remote || clean == "" {
		return nil
	}
	entries, err := m.s.List(m.ctx, remote)
	if err != nil {
		return nil
	}
	m.h.proved()
	if len(entries) == 1 && path.Base(entries[0].Name) == path.Base(clean) {
		return nil
	}
	return entries
}

// stat finds out what a remote path is: from the listing of its folder, or, where that may not be read, by asking.
func (m *mover) stat(remote string) (client.Entry, error) {
	ctx := m.ctx
	clean := strings.TrimRight(remote, "/")
	if clean == "" || clean == "." {
		return client.Entry{Type: client.Folder}, nil
	}
	dir, name := path.Split(clean)
	if dir != "/" {
		dir = strings.TrimRight(dir, "/")
	}
	entries, listErr := m.s.List(ctx, dir)
	if listErr == nil {
		m.h.proved()
	}
	for _, e := range entries {
		if e.Name == name && !e.Unsafe {
			if e.Type == client.Link && m.isFolder(clean) {
				e.Type = client.Folder // the person named it: it is meant
			}
			return e, nil
		}
	}
	var refused *client.Error
	if listErr != nil && (!errors.As(listErr, &refused) || refused.Code == 0 || refused.Data) {
		return client.Entry{}, listErr
	}
	if size, err := m.s.Size(ctx, clean); err == nil {
		e := client.Entry{Name: name, Type: client.File, Size: size}
		e.Time, _ = m.s.ModTime(ctx, clean)
		return e, nil
	}
	if m.isFolder(clean) {
		return client.Entry{Name: name, Type: client.Folder}, nil
	}
	if listErr != nil {
		return client.Entry{}, listErr
	}
	return client.Entry{}, fmt.Errorf("the server has no %q", remote)
}

func (m *mover) isFolder(remote string) bool { return m.s.CheckDir(m.ctx, remote) == nil }

// maxDepth is how many folders may lie in each other: a server can make up one in every other for ever.
const maxDepth = 256

var errTooDeep = fmt.Errorf("the folders go more than %d deep, so what lies further down is left out", maxDepth)

// scanRemote makes the local folder and queues what the remote one holds.
func (m *mover) scanRemote(t *task) error {
	if strings.Count(t.rel, string(filepath.Separator)) >= maxDepth {
		return errTooDeep
	}
	if t.rel != "." {
		if err := t.root.Mkdir(t.rel, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if st, err := t.root.Stat(t.rel); err == nil && !st.IsDir() {
			return fmt.Errorf("%s is a file here, so no folder can be made of that name", t.Local)
		}
	}
	entries := t.entries
	t.entries = nil
	if entries == nil {
		var err error
		if entries, err = m.s.List(m.ctx, t.Remote); err != nil {
			return err
		}
		m.h.proved()
	}
	folders := 0
	for _, e := range entries {
		if e.Type == client.Folder {
			folders++
		}
	}
	if err := m.h.found(t, folders); err != nil {
		return err
	}
	more := make([]*task, 0, len(entries))
	for _, e := range entries {
		n := &task{
			Item: Item{Download, filepath.Join(t.Local, e.Name), child(t.Remote, e.Name)}, known: true, root: t.root,
			rel: filepath.Join(t.rel, e.Name), size: -1, time: e.Time, day: ofTheDay(&e), link: e.Type == client.Link, folder: e.Type == client.Folder,
		}
		err := usableName(e.Name)
		switch {
		case e.Unsafe:
			err = fmt.Errorf("the server lists a name that can't be used: %q", e.Name)
		case err == nil && t.line.leadsBack(e):
			err = errLeadsBack
		case err == nil && e.Type == client.Other:
			err = &skipped{"it is neither a file nor a folder"}
		case e.Type == client.File:
			n.size = e.Size
		case n.folder:
			n.line = t.line.with(e)
		}
		if err != nil {
			m.h.reject(t, Item{Download, t.Local, n.Remote}, err)
			continue
		}
		more = append(more, n)
	}
	m.h.add(t, more...)
	return nil
}

// beginUpload finds out what the item is.
func (m *mover) beginUpload(t *task) error {
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
	m.h.keep(n.root)
	m.h.add(t, n)
	return nil
}

// scanLocal makes the remote folder and queues what the local one holds.
func (m *mover) scanLocal(t *task) error {
	dir, err := t.root.Open(t.rel)
	if err != nil {
		return err
	}
	entries, err := dir.ReadDir(-1)
	_ = dir.Close()
	if err != nil {
		return err
	}
	there, err := m.makeRemote(t.Remote)
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
			m.h.reject(t, n.Item, err)
			continue
		}
		more = append(more, n)
	}
	m.h.add(t, more...)
	return nil
}

// makeRemote makes a remote folder and returns what is in it.
func (m *mover) makeRemote(dir string) (map[string]client.Entry, error) {
	clean := strings.TrimRight(dir, "/")
	if clean != "" && clean != "." {
		if err := m.s.MakeDir(m.ctx, clean); err == nil {
			return nil, nil
		} else if entries, listErr := m.s.List(m.ctx, dir); listErr != nil || len(entries) == 0 && !m.isFolder(clean) {
			return nil, err // no folder is there; the reason for that stands in the reply to MKD
		} else {
			m.h.proved()
			return byName(entries), nil
		}
	}
	entries, err := m.s.List(m.ctx, dir)
	if err != nil {
		return nil, err
	}
	m.h.proved()
	return byName(entries), nil
}

func byName(entries []client.Entry) map[string]client.Entry {
	m := make(map[string]client.Entry, len(entries))
	for _, e := range entries {
		m[e.Name] = e
	}
	return m
}
