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
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"portside/client"
)

// mover does with one session what a task asks for.
type mover struct {
	h   host
	ctx context.Context // of the task
	s   *client.Session
	o   moving

	offset atomic.Int64 // where in the file the transfer under way began
	beside atomic.Int64 // bytes of the file that other sessions have moved
}

// moving is how files are moved.
type moving struct {
	resume    bool // go on with a part that an unknown earlier run left
	overwrite Policy
	segments  int
	noHash    bool
	// durable finds out what an upload replaces before it begins, so that after a crash the one is told from the other.
	durable  bool
	down, up *rate.Limiter // nil: no limit

	surplus int64         // see maxSurplus; 0: that
	look    time.Duration // see lookAtSize; 0: that
}

// host is whom a mover works for: a [Job] or a [Queue].
type host interface {
	// add takes what a folder holds, or what a named item turned out to be.
	add(from *task, more ...*task)
	// reject takes up an entry of a folder that is not moved.
	reject(from *task, it Item, err error)
	// claim refuses a place that another file goes to.
	claim(t *task, place string) error
	// ask decides about a file that is there already.
	ask(ctx context.Context, t *task, c Conflict) (Policy, error)
	// begin keeps the task as it is, before its destination changes.
	begin(t *task) error
	keep(r *os.Root)
	// found counts the folders in a remote one; an error: they are too many to be followed.
	found(from *task, folders int) error
	// proved says that a data connection has worked.
	proved()
	// spare is another session for the same server, for a segment, as long as there may be another one. The caller
	// calls release when it needs it no longer, which closes it.
	spare(ctx context.Context) (s *client.Session, release func(), err error)
	// can and cannot remember what the server refused.
	can(what string) bool
	cannot(what string)
}

// What servers may be unable to do.
const (
	setTimes = "set times"
	hashing  = "hash"
)

// again is a failure that another try may mend.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

var errChanged = errors.New("it was changed while it was copied")

// errNoSpare: as many connections are in use as there may be.
var errNoSpare = errors.New("no connection is free")

func (m *mover) at(offset int64) {
	m.offset.Store(offset)
	m.beside.Store(0)
}

// moved is how far the file is that moves now.
func (m *mover) moved() int64 { return m.offset.Load() + m.beside.Load() + m.s.Moved() }

// upload puts one file.
func (m *mover) upload(t *task) (int64, error) {
	if err := m.h.claim(t, t.Remote); err != nil {
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
	offset, err := m.uploadOffset(t, st)
	if err != nil {
		return 0, err
	}
	t.size, t.time = st.Size(), st.ModTime()
	if !t.begun {
		t.begun = true
		if err := m.h.begin(t); err != nil {
			return 0, err
		}
	}
	n := int64(0)
	if offset == 0 || offset < st.Size() {
		n, offset, err = m.send(t, f, offset)
	}
	if err != nil {
		if n > 0 {
			t.sent = offset + n
		}
		return 0, err
	}
	size := offset + n
	if now, err := f.Stat(); err == nil && (size != now.Size() || !now.ModTime().Equal(st.ModTime())) {
		t.sent, t.stale = 0, true
		return 0, again{errChanged}
	}
	if offset > 0 { // joined from two connections: the server's word ends one of them only
		if have, err := m.s.Size(m.ctx, t.Remote); err == nil && have != size {
			t.sent, t.stale = 0, true
			return 0, again{fmt.Errorf("the server has %d bytes of it, not %d", have, size)}
		}
	}
	if err := m.checkHash(t, size, func() (io.ReadCloser, error) { return t.root.Open(t.rel) }); err != nil {
		t.sent, t.stale = 0, true
		return 0, err
	}
	m.h.proved()
	m.keepTime(t)
	return size, nil
}

// send sends f from offset on, or from its begin when the server can't go on with a file. It says how many bytes went out
// and from where on.
func (m *mover) send(t *task, f *os.File, offset int64) (n, from int64, err error) {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return 0, offset, err
	}
	m.at(offset)
	n, err = m.s.Put(m.ctx, t.Remote, offset, m.pacedReader(f))
	var e *client.Error
	if err == nil || offset == 0 || n > 0 || !errors.As(err, &e) || e.Code < 500 || e.Data {
		return n, offset, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, 0, err
	}
	m.at(0)
	n, err = m.s.Put(m.ctx, t.Remote, 0, m.pacedReader(f))
	return n, 0, err
}

// uploadOffset says from where on to send: after a broken try from where the server has it, else as the policy says.
func (m *mover) uploadOffset(t *task, st fs.FileInfo) (int64, error) {
	if t.begun {
		return m.goOnUpload(t, st), nil
	}
	there := t.there
	// What is there must be known when a broken upload is to go on: some servers keep it until the new one is whole.
	if !t.listed && (m.o.overwrite != Overwrite || m.o.durable || st.Size() > small) {
		if size, err := m.s.Size(m.ctx, t.Remote); err == nil {
			there = &client.Entry{Type: client.File, Size: size}
			there.Time, _ = m.s.ModTime(m.ctx, t.Remote)
		}
		t.listed, t.there = true, there
	}
	if there == nil {
		return 0, nil
	}
	if there.Type == client.Folder {
		return 0, fmt.Errorf("%s is a folder on the server", t.Remote)
	}
	return m.decide(t, Conflict{Item: t.Item, LocalSize: st.Size(), RemoteSize: there.Size, LocalTime: st.ModTime(), RemoteTime: there.Time})
}

// goOnUpload says from where on to send a file that was begun: from where the server has it, when that is of this file.
func (m *mover) goOnUpload(t *task, st fs.FileInfo) int64 {
	changed := st.Size() != t.size || !st.ModTime().Equal(t.time)
	if t.stale || changed || t.sent == 0 && !t.recovered {
		t.stale = false
		return t.from
	}
	have, err := m.s.Size(m.ctx, t.Remote)
	switch {
	case err != nil || have > st.Size():
		return 0
	case !t.listed || m.isBefore(t, have):
		return t.from // nothing of it reached the server, or nothing that it has kept
	case !t.recovered && have > t.sent:
		return 0
	}
	return have
}

// isBefore says that the server may still have what the upload was to replace.
func (m *mover) isBefore(t *task, have int64) bool {
	if t.there == nil || t.there.Size != have {
		return false
	}
	at, err := m.s.ModTime(m.ctx, t.Remote)
	return err != nil || t.there.Time.IsZero() || !m.exact() || at.Equal(t.there.Time)
}

// keepTime sets the upload's time where the server can. A server that refuses is not asked again: the file is there,
// and its time is no reason to call it failed.
func (m *mover) keepTime(t *task) {
	if t.time.IsZero() || !m.h.can(setTimes) || !m.s.CanSetModTime() {
		return
	}
	if err := m.s.SetModTime(m.ctx, t.Remote, t.time.Truncate(time.Second)); err != nil {
		m.h.cannot(setTimes)
	}
}

// precision is how far apart two times of one version of a file may lie: listings may give minutes only, and some disks
// keep two seconds.
const precision = 2 * time.Second

// decide says what happens to a file whose destination exists: from which offset to go on, or a *skipped error.
func (m *mover) decide(t *task, c Conflict) (offset int64, err error) {
	if t.decided {
		return t.from, nil
	}
	from, to := c.RemoteSize, c.LocalSize
	fromTime, toTime := c.RemoteTime, c.LocalTime
	if c.Direction == Upload {
		from, to, fromTime, toTime = to, from, toTime, fromTime
	}
	policy := m.o.overwrite
	if policy == Ask {
		if policy, err = m.h.ask(m.ctx, t, c); err != nil {
			return 0, err
		}
	}
	switch policy {
	case Skip, Ask:
		return 0, &skipped{"it is there already"}
	case Resume:
		switch {
		case from == to:
			return 0, &skipped{"it is there already, in the same size"}
		case from > to && (fromTime.IsZero() || toTime.IsZero() || !fromTime.After(toTime.Add(precision))):
			t.from = to
		}
	case Newer:
		if !toTime.IsZero() && !fromTime.IsZero() && fromTime.Before(toTime.Add(precision)) {
			return 0, &skipped{"the one that is there is not older"}
		}
	case OtherSize:
		if from == to {
			return 0, &skipped{"the one that is there has the same size"}
		}
	case Rename:
		if err := m.rename(t); err != nil {
			return 0, err
		}
	}
	t.decided = true
	return t.from, nil
}

// maxNames bounds the search for a free name.
const maxNames = 1000

// rename gives a file that comes to a taken name another: "name (1).txt".
func (m *mover) rename(t *task) error {
	var taken func(name string) bool
	name := filepath.Base(t.rel)
	if t.Direction == Download {
		taken = func(name string) bool {
			_, err := t.root.Lstat(filepath.Join(filepath.Dir(t.rel), name))
			_, part := t.root.Lstat(filepath.Join(filepath.Dir(t.rel), partOf(name)))
			return err == nil || part == nil
		}
	} else {
		dir := path.Dir(t.Remote)
		if dir == "." {
			dir = ""
		}
		entries, err := m.s.List(m.ctx, dir)
		if err != nil {
			return err
		}
		there := byName(entries)
		name = path.Base(t.Remote)
		taken = func(name string) bool { _, ok := there[name]; return ok }
	}
	ext := path.Ext(name)
	if ext == name {
		ext = ""
	}
	for i := 1; i <= maxNames; i++ {
		next := fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), i, ext)
		if !taken(next) {
			t.takeName(next)
			return nil
		}
	}
	return fmt.Errorf("no free name was found for %q", name)
}

// takeName changes what the file is called at its destination.
func (t *task) takeName(name string) {
	t.as = name
	if t.Direction == Download {
		t.rel = filepath.Join(filepath.Dir(t.rel), name)
		t.Local = filepath.Join(filepath.Dir(t.Local), name)
		return
	}
	if dir, _ := path.Split(t.Remote); dir != "" {
		t.Remote = child(dir, name)
	} else {
		t.Remote = name
	}
}
