package app

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"portside/client"
)

// Query is what is searched for on a server: all of it must fit.
type Query struct {
	Name    string // a part of the name, or a pattern with * and ? for the whole; capitals don't matter; empty: any
	MinSize int64  // bytes
	MaxSize int64  // 0: any
	After   time.Time
	Before  time.Time // zero: any
	Files   bool
	Folders bool
}

// fits says whether an entry is what is searched for. A size or a time that the server does not tell fits no bound.
func (q Query) fits(e client.Entry) bool {
	folder := e.Type == client.Folder
	switch {
	case folder && !q.Folders, !folder && !q.Files:
		return false
	case (q.MinSize > 0 || q.MaxSize > 0) && (folder || e.Size < q.MinSize || q.MaxSize > 0 && e.Size > q.MaxSize):
		return false
	case !q.After.IsZero() && (e.Time.IsZero() || e.Time.Before(q.After)),
		!q.Before.IsZero() && (e.Time.IsZero() || !e.Time.Before(q.Before)):
		return false
	}
	return NameFits(q.Name, e.Name)
}

// NameFits says whether a name holds a text, or fits a pattern with * and ? as a whole; capitals don't matter, and an empty
// pattern fits every name.
func NameFits(pattern, name string) bool { return NameMatcher(pattern)(strings.ToLower(name)) }

// NameMatcher is [NameFits] for many names, which are in lower case already.
func NameMatcher(pattern string) func(folded string) bool {
	pattern = strings.ToLower(strings.TrimSpace(pattern))
	if !strings.ContainsAny(pattern, "*?") {
		return func(name string) bool { return strings.Contains(name, pattern) }
	}
	return func(name string) bool { return wild(pattern, name) }
}

// wild matches a name with a pattern. Only the last * that was met is ever gone back to, so it takes no more than the
// product of the two lengths.
func wild(pattern, name string) bool {
	star, from := -1, 0
	p, n := 0, 0
	for n < len(name) {
		_, width := utf8.DecodeRuneInString(name[n:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			n += width
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			_, width := utf8.DecodeRuneInString(name[from:])
			from += width
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Hit is something that was found.
type Hit struct {
	Dir string
	client.Entry
}

// Path is where it lies.
func (h Hit) Path() string { return path.Join(h.Dir, h.Name) }

// Search is the newest search as a screen shows it.
type Search struct {
	Stamp   uint64 // grows with each new hit and each new search
	Server  client.Target
	Dir     string
	Hits    []Hit // not to be changed
	Folders int   // that were looked into
	Missed  int   // that could not be
	Running bool
	Now     string // the folder that is looked into
	Err     string
}

// maxHits bounds what a search keeps.
const maxHits = 100_000

type search struct {
	mu     sync.Mutex
	state  Search
	cancel context.CancelFunc
	turn   uint64
}

// Search looks for what fits q in a folder of the current tab's server and in all folders below, over a session of its
// own, so that the pane stays usable. It takes the place of the search before.
func (a *App) Search(dir string, q Query) {
	r := a.remote()
	r.mu.Lock()
	opts := r.opts
	r.mu.Unlock()
	if opts.Host == "" || dir == "" {
		return
	}
	s := &a.search
	ctx, cancel := context.WithCancel(a.ctx)
	server := opts.Target
	server.Password = ""
	s.mu.Lock()
	if s.cancel != nil {
		s.cancel()
	}
	s.cancel = cancel
	s.turn++
	turn := s.turn
	s.state = Search{Stamp: s.state.Stamp + 1, Server: server, Dir: dir, Running: true}
	s.mu.Unlock()
	a.changed()
	set := func(change func(*Search)) {
		s.mu.Lock()
		if s.turn == turn {
			change(&s.state)
		}
		s.mu.Unlock()
		a.changed()
	}
	ok := a.run(func(context.Context) {
		defer cancel()
		err := searchServer(ctx, opts, dir, q, set)
		set(func(st *Search) {
			st.Running, st.Now = false, ""
			if err != nil && !errors.Is(err, context.Canceled) {
				st.Err = Sentence(err)
			}
		})
	})
	if !ok {
		cancel()
	}
}

var errManyHits = errors.New("there are more hits than can be shown: narrow the search")

func searchServer(ctx context.Context, opts client.Options, root string, q Query, set func(func(*Search))) error {
	s, err := client.Dial(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Close()
	found := 0
	waiting := []string{root} // breadth first: what is near comes first
	for len(waiting) > 0 {
		dir := waiting[0]
		waiting = waiting[1:]
		set(func(st *Search) { st.Now = dir })
		entries, err := s.List(ctx, dir)
		if err := errors.Join(ctx.Err(), s.Err()); err != nil {
			return err
		}
		if err != nil {
			if dir == root {
				return err
			}
			set(func(st *Search) { st.Missed++ })
			continue
		}
		var hits []Hit
		for _, e := range entries {
			if q.fits(e) {
				hits = append(hits, Hit{dir, e})
			}
			if e.Type == client.Folder && !e.Unsafe && strings.Count(dir, "/") < maxDepth {
				waiting = append(waiting, path.Join(dir, e.Name))
			}
		}
		found += len(hits)
		set(func(st *Search) {
			st.Folders++
			if len(hits) > 0 {
				st.Hits = append(st.Hits, hits...)
				st.Stamp++
			}
		})
		if found > maxHits || len(waiting) > maxHits {
			return errManyHits
		}
	}
	return nil
}

// CancelSearch ends the search; what it has found stays.
func (a *App) CancelSearch() {
	a.search.mu.Lock()
	defer a.search.mu.Unlock()
	if a.search.cancel != nil {
		a.search.cancel()
	}
}

// SearchState returns the newest search.
func (a *App) SearchState() Search {
	a.search.mu.Lock()
	defer a.search.mu.Unlock()
	return a.search.state
}

// DownloadHits copies what was found into a local folder.
func (a *App) DownloadHits(hits []Hit, into string) {
	for dir, entries := range byFolder(hits) {
		a.DownloadFrom(dir, entries, into)
	}
}

// DeleteHits deletes what was found, folders with all that is in them, and takes it out of the search.
func (a *App) DeleteHits(hits []Hit) {
	r := a.remote()
	r.with("Deleting", func(ctx context.Context, s *client.Session) error {
		var errs failures
		gone := map[string]bool{}
		for _, h := range hits {
			if err := deleteRemote(ctx, r, s, h.Dir, []client.Entry{h.Entry}, 0); !errs.add(err) {
				gone[h.Path()] = true
			}
			if ctx.Err() != nil || s.Err() != nil {
				break
			}
		}
		a.search.mu.Lock()
		var left []Hit
		for _, h := range a.search.state.Hits {
			if !gone[h.Path()] {
				left = append(left, h)
			}
		}
		a.search.state.Hits = left
		a.search.state.Stamp++
		a.search.mu.Unlock()
		return errs.join(len(hits), "deleted")
	}, slices.Collect(maps.Keys(byFolder(hits)))...)
}

func byFolder(hits []Hit) map[string][]client.Entry {
	m := map[string][]client.Entry{}
	for _, h := range hits {
		m[h.Dir] = append(m[h.Dir], h.Entry)
	}
	return m
}
