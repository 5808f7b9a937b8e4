package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"portside/client"
)

// minPiece is the least size of a segment: below it another connection costs more than it brings.
const minPiece = 1 << 20

// MaxSegments is how many connections one file may use.
const MaxSegments = maxParallel

// piece is a segment of a file: bytes from..to. The first one is the .part itself; the others lie beside it as
// NAME.part.FROM-TO until they are joined.
type piece struct {
	from, to int64
	name     string
}

// pieces cuts a file into segments; nil: it comes over one connection.
func (m *mover) pieces(t *task, part string) []piece {
	n := min(int64(min(m.o.segments, MaxSegments)), t.size/minPiece)
	if n < 2 || t.link {
		return nil
	}
	if rest, ok := m.s.Features()["REST"]; !ok || !strings.Contains(strings.ToUpper(rest), "STREAM") {
		return nil
	}
	step := t.size / n
	if t.size%n > 0 {
		step++
	}
	out := make([]piece, 0, n)
	for i := range n { // nothing is added to the size, which a server may make up
		p := piece{i * step, (i + 1) * step, part}
		if i == n-1 {
			p.to = t.size
		}
		if i > 0 {
			p.name = fmt.Sprintf("%s.%d-%d", part, p.from, p.to)
		}
		out = append(out, p)
	}
	return out
}

var pieceName = regexp.MustCompile(`^\.\d+-\d+$`)

// dropPieces removes the segments that lie beside part, but for those of the plan that are kept.
func dropPieces(root *os.Root, part string, keep []piece) {
	dir, err := root.Open(filepath.Dir(part))
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	kept := map[string]bool{}
	for _, p := range keep {
		kept[filepath.Base(p.name)] = true
	}
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, filepath.Base(part))
		if ok && pieceName.MatchString(rest) && !kept[name] {
			_ = root.Remove(filepath.Join(filepath.Dir(part), name))
		}
	}
}

// errEnough ends a download at the end of its segment.
var errEnough = errors.New("the segment is whole")

// limited takes n bytes.
type limited struct {
	w io.Writer
	n int64
	// count hears how many bytes came; nil: nobody does.
	count func(int64)
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.n {
		p = p[:l.n]
	}
	n, err := l.w.Write(p)
	l.n -= int64(n)
	if l.count != nil {
		l.count(int64(n))
	}
	if err == nil && l.n == 0 {
		err = errEnough
	}
	return n, err
}

// fillPieces gets a file in segments over several sessions at once, and joins them in f. goOn: f and the segments of an
// earlier try are of the same file.
func (m *mover) fillPieces(t *task, f *os.File, part string, offset int64, plan []piece, goOn bool) (int64, error) {
	if goOn {
		dropPieces(t.root, part, plan)
	} else {
		dropPieces(t.root, part, nil)
	}
	m.at(0)
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	todo := make(chan piece, len(plan))
	for _, p := range plan {
		if p.to > offset {
			todo <- p
		} else {
			m.beside.Add(p.to - p.from)
		}
	}
	close(todo)
	work := func(s *client.Session, counts bool) error {
		for p := range todo {
			if err := m.getPiece(ctx, t, s, f, p, offset, counts); err != nil {
				return err
			}
		}
		return nil
	}
	var helpers sync.WaitGroup
	errs := make(chan error, len(plan))
	for range len(todo) - 1 {
		helpers.Go(func() {
			s, release := m.spareOne(ctx, todo)
			if s == nil {
				return // the others do it
			}
			defer release()
			if err := work(s, true); err != nil {
				errs <- err
				cancel(err)
			}
		})
	}
	err := work(m.s, false)
	if err != nil {
		cancel(err)
	}
	helpers.Wait()
	close(errs)
	for e := range errs {
		if err == nil || errors.Is(err, context.Canceled) {
			err = e
		}
	}
	if m.ctx.Err() != nil && err != nil {
		err = context.Cause(m.ctx)
	}
	if err != nil {
		return max(offset, 1), err // something is there to go on with
	}
	m.h.proved()
	return m.join(t, f, plan)
}

// lookForSpare is how often a connection is looked for when none is free.
const lookForSpare = 100 * time.Millisecond

// spareOne waits for another session as long as there is something to do for it; nil: there will be none.
func (m *mover) spareOne(ctx context.Context, todo <-chan piece) (*client.Session, func()) {
	for len(todo) > 0 {
		s, release, err := m.h.spare(ctx)
		if err == nil {
			return s, release
		}
		if !errors.Is(err, errNoSpare) || !pause(ctx, lookForSpare) {
			break
		}
	}
	return nil, nil
}

// getPiece gets what is missing of a segment.
func (m *mover) getPiece(ctx context.Context, t *task, s *client.Session, f *os.File, p piece, offset int64, counts bool) error {
	have := int64(0)
	out := f
	if p.from > 0 {
		var err error
		if out, err = t.root.OpenFile(p.name, os.O_WRONLY|os.O_CREATE, 0o666); err != nil {
			return err
		}
		defer out.Close()
		st, err := out.Stat()
		if err != nil {
			return err
		}
		have = min(st.Size(), p.to-p.from)
		if err := out.Truncate(have); err != nil {
			return err
		}
		have = max(have, offset-p.from) // what was joined already needs no segment
	} else {
		have = min(offset, p.to)
	}
	m.beside.Add(have)
	want := p.to - p.from - have
	if want <= 0 {
		return nil
	}
	if p.from > 0 && have == offset-p.from {
		if err := out.Truncate(have); err != nil { // what was joined is not read from here
			return err
		}
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return err
	}
	l := &limited{w: out, n: want}
	if limit := m.pacedWriter(out); limit != io.Writer(out) {
		l.w = limit
	}
	if counts {
		l.count = func(n int64) { m.beside.Add(n) }
	}
	_, err := s.Get(ctx, t.Remote, p.from+have, l)
	switch {
	case l.n == 0:
		if !counts {
			m.beside.Add(want)
		}
		return nil
	case err != nil:
		return err
	}
	return again{fmt.Errorf("it ends %d bytes too early: it has become shorter", l.n)}
}

// join appends the segments to the first one, and removes each that is in.
func (m *mover) join(t *task, f *os.File, plan []piece) (int64, error) {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return at, err
	}
	for _, p := range plan[1:] {
		if m.ctx.Err() != nil {
			return at, context.Cause(m.ctx)
		}
		if at >= p.to {
			continue
		}
		in, err := t.root.Open(p.name)
		if err != nil {
			return at, err
		}
		if _, err = in.Seek(at-p.from, io.SeekStart); err == nil {
			var n int64
			n, err = io.Copy(f, in)
			at += n
		}
		_ = in.Close()
		if err != nil {
			return at, err
		}
		if at != p.to {
			return at, fmt.Errorf("the segment up to byte %d has %d bytes too few", p.to, p.to-at)
		}
		_ = t.root.Remove(p.name)
	}
	return at, nil
}
