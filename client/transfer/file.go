package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
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

const partSuffix = ".part"

// longest is how long a name may be, in bytes, so that the part and its segments (".part.FROM-TO") have names that disks
// take: 255 bytes, or as many letters.
const longest = 255 - len(partSuffix) - len(".") - 2*len("9223372036854775807") - len("-")

// partOf is what a file is called until it is whole. A long name is cut, and told from its like by a sum.
func partOf(place string) string {
	dir, name := filepath.Split(place)
	if len(name) > longest {
		sum := fmt.Sprintf("~%08x", crc32.ChecksumIEEE([]byte(name)))
		name = strings.ToValidUTF8(name[:longest-len(sum)], "") + sum
	}
	return dir + name + partSuffix
}

// coarse is how far a file's time may lie behind the clock.
const coarse = 10 * time.Millisecond

// slow is how long a transfer must take before the server is asked whether the file was changed meanwhile.
const slow = time.Second

// download gets one file.
func (m *mover) download(t *task) (int64, error) {
	for _, place := range []string{t.Local, partOf(t.Local)} { // a server may list NAME and NAME.part
		if err := m.h.claim(t, place); err != nil {
			return 0, err
		}
	}
	offset := int64(0)
	if st, err := t.root.Stat(t.rel); err == nil {
		if st.IsDir() {
			return 0, fmt.Errorf("%s is a folder here", t.Local)
		}
		if !st.Mode().IsRegular() { // taking its name would take a device away: /dev/null for one
			return 0, fmt.Errorf("%s is neither a file nor a folder here: it was left alone", t.Local)
		}
		if t.recovered && m.whole(t, st) {
			return st.Size(), nil // it had its name already when the program ended
		}
		if !t.begun {
			offset, err = m.decide(t, Conflict{Item: t.Item, LocalSize: st.Size(), RemoteSize: t.size, LocalTime: st.ModTime(), RemoteTime: t.time})
			if err != nil {
				return 0, err
			}
		}
	}
	part := partOf(t.rel)
	if offset > 0 {
		if err := t.root.Rename(t.rel, part); err != nil {
			return 0, err
		}
	}
	taken, fresh := offset, !t.begun
	mayGoOn := offset > 0
	if st, err := t.root.Lstat(part); err == nil {
		// A part that came after the task was taken in hand is its own, even if the program ended before that was kept.
		// So is one that lacks nothing but the name: it has the server's time already.
		if t.recovered && !t.claimed.IsZero() && (!st.ModTime().Before(t.claimed.Add(-coarse)) || t.isThat(st)) {
			t.begun = true
		}
		switch {
		case !st.Mode().IsRegular():
			return 0, fmt.Errorf("%s.part is in the way: it is no file", t.Local)
		case offset == 0 && (t.begun || m.o.resume) && m.goesOn(t, st):
			offset, mayGoOn = st.Size(), true
		}
	}
	flags := os.O_WRONLY | os.O_CREATE
	if offset == 0 {
		flags |= os.O_TRUNC
		m.knowTime(t)
	}
	f, err := t.root.OpenFile(part, flags, 0o666)
	if errors.Is(err, fs.ErrNotExist) { // the disk has lost the folder, or a person has deleted it
		if err = t.root.MkdirAll(filepath.Dir(part), 0o777); err == nil {
			f, err = t.root.OpenFile(part, flags, 0o666)
		}
	}
	if err != nil {
		return 0, err
	}
	if !t.begun {
		t.begun = true
		if err := m.h.begin(t); err != nil {
			_ = f.Close()
			return 0, err
		}
	}
	began := time.Now()
	var size int64
	pieces := m.pieces(t, part)
	if pieces != nil {
		size, err = m.fillPieces(t, f, part, offset, pieces, mayGoOn)
	} else {
		size, err = m.fill(t, f, offset)
	}
	if err == nil {
		err = m.unchanged(t, size, offset > 0 || pieces != nil || time.Since(began) > slow)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = m.checkHash(t, size, func() (io.ReadCloser, error) { return t.root.Open(part) })
	}
	if err != nil {
		var other again
		if size == 0 || errors.As(err, &other) {
			_ = t.root.Remove(part)
			if m.o.segments > 1 {
				dropPieces(t.root, part, nil)
			}
		}
		if st, lost := t.root.Lstat(part); taken > 0 && lost == nil && st.Size() == taken && t.root.Rename(part, t.rel) == nil && fresh {
			t.begun = false // nothing came: the file that was there is where it was
		}
		return 0, err
	}
	if offset > 0 || m.o.segments > 1 {
		dropPieces(t.root, part, nil)
	}
	if t.day {
		if at, err := m.s.ModTime(m.ctx, t.Remote); err == nil {
			t.time = at
		}
	}
	if !t.time.IsZero() {
		// A file is not lost for its time: on a disk of FAT only the one who mounted it may set times.
		if err := t.root.Chtimes(part, t.time, t.time); err != nil && !errors.Is(err, fs.ErrPermission) {
			return 0, err
		}
	}
	if err := t.root.Rename(part, t.rel); err != nil {
		return 0, err
	}
	return size, nil
}

// knowTime asks for a file's time where listings give the minute or the day only, so that another version of it is known by
// it. Of a small file the round trip would cost more.
func (m *mover) knowTime(t *task) {
	if t.timed || t.small() || m.exact() {
		return
	}
	at, err := m.s.ModTime(m.ctx, t.Remote)
	if err != nil {
		return
	}
	t.time, t.day, t.timed = at, false, true
	if t.begun {
		_ = m.h.begin(t)
	}
}

// whole says that a local file is what the server's file was when it was claimed. Downloads get the server's time before
// they get their name.
func (m *mover) whole(t *task, st fs.FileInfo) bool {
	if _, err := t.root.Lstat(partOf(t.rel)); err == nil {
		return false
	}
	return t.isThat(st)
}

// isThat says that a local file has the size and the time of the server's, as far as these are known.
func (t *task) isThat(st fs.FileInfo) bool {
	late := st.ModTime().Sub(t.time)
	return t.size == st.Size() && !t.time.IsZero() && (late == 0 || t.day && late > 0 && late < 24*time.Hour)
}

// ofTheDay says that a listing gives the day alone.
func ofTheDay(e *client.Entry) bool { return e.Precision > time.Minute }

// goesOn says whether a part can be gone on with: the server's file must be the one that it was begun from.
func (m *mover) goesOn(t *task, part fs.FileInfo) bool {
	whole := t.isThat(part) // it lacks the name alone
	switch {
	case t.size >= 0 && part.Size() > t.size:
		return false
	case whole:
	case t.small() && !m.exact():
		return false // its time is not known to the second, and it is here anew as fast as it is asked for
	case !t.begun:
		m.knowTime(t)
		return before(t.time, part)
	}
	same := true
	if size, err := m.s.Size(m.ctx, t.Remote); err == nil && t.size >= 0 && size != t.size {
		t.size, same = size, false
	}
	if at, err := m.s.ModTime(m.ctx, t.Remote); err == nil {
		if exact := m.exact() || t.timed; exact && !t.time.IsZero() && !at.Equal(t.time) || !exact && !whole && !before(at, part) {
			t.time, same = at, false
		}
	}
	if !same {
		_ = m.h.begin(t)
	}
	return same
}

// before says that a server's file was last changed in an earlier second than a part of it: in the same one, it may have
// been changed after that.
func before(at time.Time, part fs.FileInfo) bool {
	return at.Before(part.ModTime().Truncate(time.Second))
}

// exact says that listings give times to the second, in UTC.
func (m *mover) exact() bool {
	f := m.s.Features()
	_, mlst := f["MLST"]
	_, mlsd := f["MLSD"]
	return mlst || mlsd
}

// unchanged checks that what came is one version of the file: by its size, and after a longer transfer by its time. A file
// that is rewritten in place, in the same length, while it comes within a second, is not noticed: times are in seconds, and
// to ask for each would cost small files a round trip.
func (m *mover) unchanged(t *task, size int64, ask bool) error {
	if t.size >= 0 && size != t.size {
		// The listing may be old: the file was being written.
		if now, err := m.s.Size(m.ctx, t.Remote); err != nil || now != size {
			err := fmt.Errorf("it came with %d bytes, but the server says that it has %d", size, max(now, t.size))
			if now > size && t.tries == 0 {
				return again{err} // the data connection lost its end, or was another's; a server that counts wrongly does so again
			}
			return err
		}
		t.size = size
		if at, err := m.s.ModTime(m.ctx, t.Remote); err == nil {
			t.time = at
		}
		return nil
	}
	if !ask || t.time.IsZero() {
		return nil
	}
	exact := m.exact() || t.timed
	if _, known := m.s.TimeOffset(); !exact && !known {
		return nil
	}
	at, err := m.s.ModTime(m.ctx, t.Remote)
	if err == nil && (exact && !at.Equal(t.time.Truncate(time.Second)) || !exact && !t.mayBeOf(at)) {
		t.time, t.day, t.timed = at, false, t.timed || !exact
		if now, err := m.s.Size(m.ctx, t.Remote); err == nil {
			t.size = now
		}
		return again{errChanged}
	}
	return nil
}

// mayBeOf says that a time of LIST may be that of a version that was changed at a time. A whole hour off may be summer time.
func (t *task) mayBeOf(at time.Time) bool {
	precision := time.Minute
	if t.day {
		precision = 24 * time.Hour
	}
	late := at.Sub(t.time)
	for _, summer := range []time.Duration{0, time.Hour, -time.Hour} {
		if late >= summer && late < summer+precision {
			return true
		}
	}
	return false
}

// fill writes the file's rest from offset on.
func (m *mover) fill(t *task, f *os.File, offset int64) (int64, error) {
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return offset, err
		}
	}
	if offset > 0 && offset == t.size {
		return offset, nil // nothing is missing but the name
	}
	m.at(offset)
	ctx, done := m.bounded(t)
	defer done()
	n, err := m.s.Get(ctx, t.Remote, offset, m.pacedWriter(f))
	size := offset + n
	if err != nil {
		var e *client.Error
		switch {
		case errors.Is(context.Cause(ctx), errEndless):
			return 0, errEndless
		case t.link && errors.As(err, &e) && e.Code == 550 && m.isFolder(t.Remote):
			return size, &skipped{"it is a link to a folder"}
		case offset > 0 && n == 0 && errors.As(err, &e) && e.Code >= 500 && !e.Data:
			// The server can't resume, or the file there is shorter by now: begin anew. It may as well give nothing at all.
			out := &anew{f: f}
			m.at(0)
			size, err = m.s.Get(ctx, t.Remote, 0, m.pacedWriter(out))
			if err != nil && errors.Is(context.Cause(ctx), errEndless) {
				return 0, errEndless
			}
			if err != nil && !out.begun {
				return offset, err
			}
			if err == nil {
				err = out.begin()
			}
			if err != nil {
				return size, err
			}
		default:
			return size, err
		}
	}
	m.h.proved()
	return size, nil
}

// A file may grow while it comes, and a server may send without end: what comes beyond the size that it has named is
// limited, and looked at from time to time.
const (
	maxSurplus = 1 << 30 // bytes
	lookAtSize = time.Second
)

var errEndless = errors.New("the server sends much more than the size that it has named, so it was not taken")

// bounded is a context for a download, which ends when more comes than may. Call done after it.
func (m *mover) bounded(t *task) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(m.ctx)
	if t.size < 0 {
		return ctx, func() { cancel(nil) }
	}
	surplus := cmp.Or(m.o.surplus, maxSurplus)
	var watch sync.WaitGroup
	watch.Go(func() {
		look := time.NewTicker(cmp.Or(m.o.look, lookAtSize))
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
				if m.moved()-surplus > t.size { // which may be any number
					cancel(errEndless)
				}
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

// anew is a file that is emptied when the first byte comes that is to take the place of what it holds.
type anew struct {
	f     *os.File
	begun bool
}

func (a *anew) begin() error {
	if a.begun {
		return nil
	}
	a.begun = true
	if err := a.f.Truncate(0); err != nil {
		return err
	}
	_, err := a.f.Seek(0, io.SeekStart)
	return err
}

func (a *anew) Write(p []byte) (int, error) {
	if err := a.begin(); err != nil {
		return 0, err
	}
	return a.f.Write(p)
}

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

// paced slows a copy down to a limit.
type paced struct {
	ctx   context.Context
	limit *rate.Limiter
	w     io.Writer
	r     io.ReadSeeker
}

// pacedWriter is f, slowed down where there is a limit. Without one the kernel can copy to a file.
func (m *mover) pacedWriter(f io.Writer) io.Writer {
	if !slowed(m.o.down) {
		return f
	}
	return &paced{ctx: m.ctx, limit: m.o.down, w: f}
}

func (m *mover) pacedReader(f *os.File) io.Reader {
	if !slowed(m.o.up) {
		return f
	}
	return &paced{ctx: m.ctx, limit: m.o.up, r: f}
}

// Write writes p in portions that the limit lets through at once.
func (p *paced) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n := min(len(b)-done, paceStep)
		if err := p.limit.WaitN(p.ctx, n); err != nil {
			return done, err
		}
		m, err := p.w.Write(b[done : done+n])
		done += m
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Read reads as much as the limit lets through at once.
func (p *paced) Read(b []byte) (int, error) {
	n := min(len(b), paceStep)
	if err := p.limit.WaitN(p.ctx, n); err != nil {
		return 0, err
	}
	return p.r.Read(b[:n])
}

// Seek lets a transfer begin once more.
func (p *paced) Seek(offset int64, whence int) (int64, error) { return p.r.Seek(offset, whence) }

// paceStep is how many bytes are let through at once; a [rate.Limiter] of [NewLimit] has it as its burst.
const paceStep = 16 << 10

// NewLimit is a speed limit in bytes a second; 0 and less: none.
func NewLimit(bytesPerSecond int64) *rate.Limiter {
	l := rate.NewLimiter(rate.Inf, paceStep)
	setLimit(l, bytesPerSecond)
	return l
}

func slowed(l *rate.Limiter) bool { return l != nil && l.Limit() != rate.Inf }

func setLimit(l *rate.Limiter, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetLimit(rate.Limit(bytesPerSecond))
}
