package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"portside/client"
)

// ChangeKind is what a mirror does with one file or folder.
type ChangeKind int

const (
	MakeFolder ChangeKind = iota
	Copy
	Delete // a file or a link
	DeleteFolder
)

// String is the kind in a word.
func (k ChangeKind) String() string {
	return [...]string{"make folder", "copy", "delete", "delete folder"}[k]
}

// Change is a step of a [Plan].
type Change struct {
	Kind ChangeKind
	Rel  string // path below both folders, with slashes
	Size int64  // bytes, of what is copied
	Why  string // "new", "newer", "another size", "not in the source"

	entry client.Entry
	old   *client.Entry // what is replaced; nil: nothing
	first bool          // something of another kind has its place, and goes before
}

// Plan is what has to be done to make the destination like the source.
type Plan struct {
	Mirror
	Changes  []Change
	Same     int       // files that need nothing
	Excluded int       // files and folders
	Bytes    int64     // to copy
	Skipped  []Failure // what can't be mirrored, and why

	stay    []string // folders of which a part is deleted
	deleted int      // so far
}

// Copies is how many files are copied.
func (p *Plan) Copies() int { return p.count(func(c Change) bool { return c.Kind == Copy }) }

// Deletes is how many files and folders go.
func (p *Plan) Deletes() int { return p.count(Change.deletes) }

// Cleans is how many of them [Plan.Clean] deletes; the others make room and go before the copying.
func (p *Plan) Cleans() int { return p.count(Change.cleans) }

func (p *Plan) count(which func(Change) bool) int {
	n := 0
	for _, c := range p.Changes {
		if which(c) {
			n++
		}
	}
	return n
}

func (c Change) deletes() bool { return c.Kind == Delete || c.Kind == DeleteFolder }

func (c Change) cleans() bool { return !c.first && c.deletes() }

// item is where a change's file comes from and goes to.
func (p *Plan) item(c Change) Item {
	it := Item{p.Direction, p.Local, p.Remote}
	if c.Rel != "" {
		it.Local, it.Remote = filepath.Join(p.Local, filepath.FromSlash(c.Rel)), child(p.Remote, c.Rel)
	}
	return it
}

// Prepare makes room and makes folders, so that the files can be copied. What did not work is returned; the rest is done.
func (p *Plan) Prepare(ctx context.Context, s *client.Session) []Failure {
	if p.Direction == Download {
		if err := os.MkdirAll(p.Local, 0o777); err != nil {
			return []Failure{{Item{p.Direction, p.Local, p.Remote}, err}}
		}
	}
	return p.steps(ctx, s, func(c Change) bool { return c.first || c.Kind == MakeFolder })
}

// Clean deletes what the source does not have. Call it after the copying.
func (p *Plan) Clean(ctx context.Context, s *client.Session) []Failure {
	return p.steps(ctx, s, Change.cleans)
}

func (p *Plan) steps(ctx context.Context, s *client.Session, which func(Change) bool) []Failure {
	var failures []Failure
	var root *os.Root
	if p.Direction == Download {
		var err error
		if root, err = os.OpenRoot(p.Local); err != nil {
			return []Failure{{Item{p.Direction, p.Local, p.Remote}, err}}
		}
		defer root.Close()
	}
	links := p.linksAmong(s, which)
	for _, c := range p.Changes {
		if !which(c) {
			continue
		}
		if ctx.Err() != nil {
			return append(failures, Failure{p.item(c), context.Cause(ctx)})
		}
		var err error
		rel := filepath.FromSlash(c.Rel)
		switch {
		case root == nil && links.gone(ctx, s, c.Rel):
		case root != nil && c.Kind == MakeFolder:
			err = root.Mkdir(cmp.Or(rel, "."), 0o777)
			if errors.Is(err, fs.ErrExist) {
				err = nil
			}
		case root != nil:
			err = root.Remove(rel)
		case c.Kind == MakeFolder:
			err = s.MakeDir(ctx, strings.TrimRight(p.item(c).Remote, "/"))
		case c.Kind == Delete:
			err = s.Delete(ctx, p.item(c).Remote)
		default:
			err = s.RemoveDir(ctx, p.item(c).Remote)
		}
		if err != nil {
			failures = append(failures, Failure{p.item(c), fmt.Errorf("%s: %w", c.Kind, err)})
		} else if c.deletes() {
			p.deleted++
		}
	}
	return failures
}

// links finds out which of the server's folders that are to be deleted are links: MLSD need not say so, and pyftpdlib's
// doesn't. What one leads to must not be emptied.
type links struct {
	plan    *Plan
	folders map[string]bool // true: not asked yet; false: it is a folder
	were    map[string]bool
}

func (p *Plan) linksAmong(s *client.Session, which func(Change) bool) *links {
	l := &links{plan: p, folders: map[string]bool{}, were: map[string]bool{}}
	if _, hides := s.Features()["MLST"]; hides {
		for _, c := range p.Changes {
			if c.Kind == DeleteFolder && which(c) {
				l.folders[c.Rel] = true
			}
		}
		for _, rel := range p.stay {
			l.folders[rel] = true
		}
	}
	return l
}

// gone says that rel is, or lies behind, a link that is deleted by now: DELE takes a link away, and no folder.
func (l *links) gone(ctx context.Context, s *client.Session, rel string) bool {
	for i := 0; i <= len(rel); i++ {
		if i < len(rel) && rel[i] != '/' {
			continue
		}
		outer := rel[:i]
		if l.folders[outer] {
			l.folders[outer] = false
			l.were[outer] = s.Delete(ctx, l.plan.item(Change{Rel: outer}).Remote) == nil
		}
		if l.were[outer] {
			return true
		}
	}
	return false
}

// Orders are the files to copy, for a queue; their policy is [Overwrite].
func (p *Plan) Orders() iter.Seq[Order] {
	return func(yield func(Order) bool) {
		for _, c := range p.Changes {
			if c.Kind == Copy && !yield(Order{Item: p.item(c), Entry: &c.entry}) {
				return
			}
		}
	}
}

// Run does everything that is planned, copying over several sessions.
func (p *Plan) Run(ctx context.Context, o Options, watch func(*Job)) Result {
	began := time.Now()
	s, err := o.Dial(ctx)
	if err != nil {
		return Result{Err: err}
	}
	dial, done := Beginning(s, o.Dial)
	defer done()
	o.Dial = dial
	failures := p.Prepare(ctx, s)
	var tasks []*task
	root, err := os.OpenRoot(p.Local)
	if err != nil {
		return Result{Err: err, Failures: failures}
	}
	defer root.Close()
	for _, c := range p.Changes {
		if c.Kind == Copy {
			tasks = append(tasks, &task{Item: p.item(c), known: true, root: root, rel: filepath.FromSlash(c.Rel), size: c.entry.Size, time: c.entry.Time, day: ofTheDay(&c.entry), listed: true, there: c.old})
		}
	}
	o.Overwrite = Overwrite
	job := start(ctx, o, tasks)
	if watch != nil {
		watch(job)
	}
	r := job.Wait()
	r.Failures = append(failures, r.Failures...)
	r.Skipped = append(slices.Clone(p.Skipped), r.Skipped...)
	if r.Err == nil && p.Delete && p.Deletes() > 0 {
		// Only after everything else has gone well: what is deleted may be all that is left of something.
		if len(r.Failures) > 0 {
			r.Failures = append(r.Failures, Failure{Item{p.Direction, p.Local, p.Remote}, errors.New("nothing was deleted, because of what failed before")})
		} else if s, err := o.Dial(ctx); err != nil {
			r.Err = err
		} else {
			r.Failures = append(r.Failures, p.Clean(ctx, s)...)
			_ = s.Close()
		}
	}
	r.Deleted, r.Duration = p.deleted, time.Since(began)
	return r
}
