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
	"path/filepath"
	"strings"
	"sync"
	"time"

	"portside/client"
)

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

// download gets one file: into a part of it, which takes its name when it is whole.
func (m *mover) download(t *task) (int64, error) {
	for _, place := range []string{t.Local, partOf(t.Local)} { // a server may list NAME and NAME.part
		if err := m.h.claim(t, place); err != nil {
			return 0, err
		}
	}
	d := &fetch{m: m, t: t}
	if whole, err := d.meet(); err != nil {
		return 0, err
	} else if whole {
		return d.offset, nil
	}
	if err := d.takeUp(); err != nil {
		return 0, err
	}
	f, err := d.open()
	if err != nil {
		return 0, err
	}
	size, err := d.receive(f)
	if err != nil {
		d.giveUp(size, err)
		return 0, err
	}
	if err := d.settle(); err != nil {
		return 0, err
	}
	return size, nil
}

// fetch is a download under way.
type fetch struct {
	m       *mover
	t       *task
	part    string // relative to the task's root
	offset  int64  // from where on it is asked for
	taken   int64  // how many bytes the file had that became the part
	fresh   bool   // nothing was changed for the task before
	mayGoOn bool   // what the part holds is of the same file
}

// meet looks at what has the file's name here. whole: it is the file, offset bytes long; else offset is from where on to
// get it.
func (d *fetch) meet() (whole bool, err error) {
	t := d.t
	st, err := t.root.Stat(t.rel)
	switch {
	case err != nil: // nothing, most often; what else it is, taking the name will show
		return false, nil
	case st.IsDir():
		return false, fmt.Errorf("%s is a folder here", t.Local)
	case !st.Mode().IsRegular(): // taking its name would take a device away: /dev/null for one
		return false, fmt.Errorf("%s is neither a file nor a folder here: it was left alone", t.Local)
	case t.recovered && d.m.whole(t, st): // it had its name already when the program ended
		d.offset = st.Size()
		return true, nil
	case !t.begun:
		d.offset, err = d.m.decide(t, Conflict{Item: t.Item, LocalSize: st.Size(), RemoteSize: t.size, LocalTime: st.ModTime(), RemoteTime: t.time})
	}
	return false, err
}

// takeUp finds the part that can be gone on with, which may be the file that is here.
func (d *fetch) takeUp() error {
	t := d.t
	d.part = partOf(t.rel) // whose name may be another one since [mover.decide]
	if d.offset > 0 {
		if err := t.root.Rename(t.rel, d.part); err != nil {
			return err
		}
	}
	d.taken, d.fresh, d.mayGoOn = d.offset, !t.begun, d.offset > 0
	st, err := t.root.Lstat(d.part)
	if err != nil {
		return nil // there is none
	}
	// A part that came after the task was taken in hand is its own, even if the program ended before that was kept.
	// So is one that lacks nothing but the name: it has the server's time already.
	if t.recovered && !t.claimed.IsZero() && (!st.ModTime().Before(t.claimed.Add(-coarse)) || t.isThat(st)) {
		t.begun = true
	}
	switch {
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s.part is in the way: it is no file", t.Local)
	case d.offset == 0 && (t.begun || d.m.o.resume) && d.m.goesOn(t, st):
		d.offset, d.mayGoOn = st.Size(), true
	}
	return nil
}

// open opens the part, and keeps that the task has begun.
func (d *fetch) open() (*os.File, error) {
	t := d.t
	flags := os.O_WRONLY | os.O_CREATE
	if d.offset == 0 {
		flags |= os.O_TRUNC
		d.m.knowTime(t)
	}
	f, err := t.root.OpenFile(d.part, flags, 0o666)
	if errors.Is(err, fs.ErrNotExist) { // the disk has lost the folder, or a person has deleted it
		if err = t.root.MkdirAll(filepath.Dir(d.part), 0o777); err == nil {
			f, err = t.root.OpenFile(d.part, flags, 0o666)
		}
	}
	if err != nil {
		return nil, err
	}
	if !t.begun {
		t.begun = true
		if err := d.m.h.begin(t); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	return f, nil
}

// receive fills and closes the part, and checks that it is one version of the file. It returns the part's size.
func (d *fetch) receive(f *os.File) (size int64, err error) {
	m, t := d.m, d.t
	began := time.Now()
	pieces := m.pieces(t, d.part)
	if pieces != nil {
		size, err = m.fillPieces(t, f, d.part, d.offset, pieces, d.mayGoOn)
	} else {
		size, err = m.fill(t, f, d.offset)
	}
	if err == nil {
		err = m.unchanged(t, size, d.offset > 0 || pieces != nil || time.Since(began) > slow)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = m.checkHash(t, size, func() (io.ReadCloser, error) { return t.root.Open(d.part) })
	}
	return size, err
}

// giveUp leaves what came for the next try, unless it is of no use to it.
func (d *fetch) giveUp(size int64, err error) {
	t := d.t
	var other again
	if size == 0 || errors.As(err, &other) {
		_ = t.root.Remove(d.part)
		if d.m.o.segments > 1 {
			dropPieces(t.root, d.part, nil)
		}
	}
	if st, lost := t.root.Lstat(d.part); d.taken > 0 && lost == nil && st.Size() == d.taken && t.root.Rename(d.part, t.rel) == nil && d.fresh {
		t.begun = false // nothing came: the file that was there is where it was
	}
}

// settle gives the whole file its time and its name.
func (d *fetch) settle() error {
	t := d.t
	if d.offset > 0 || d.m.o.segments > 1 {
		dropPieces(t.root, d.part, nil)
	}
	if t.day {
		if at, err := d.m.s.ModTime(d.m.ctx, t.Remote); err == nil {
			t.time = at
		}
	}
	if !t.time.IsZero() {
		// A file is not lost for its time: on a disk of FAT only the one who mounted it may set times.
		if err := t.root.Chtimes(d.part, t.time, t.time); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return t.root.Rename(d.part, t.rel)
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
