package transfer

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"portside/client"
)

// The worker is its mover's host.

// add puts what was found into the queue, and takes the folder or the name that it was found by out, in one transaction.
func (w *laneWorker) add(from *task, more ...*task) {
	w.replaced = true
	if from.known || more[0].folder {
		w.q.mu.Lock()
		w.q.missed(from.batch)
		w.q.mu.Unlock()
	}
	if !from.known {
		n := more[0]
		w.q.st.post(func(tx *bolt.Tx) error {
			r, err := getRecord(tx, from.id)
			if err != nil || r == nil {
				return err
			}
			err = change(tx, bucketRoots, r.Root, func(root *rootRecord) { root.Place, root.File = n.root.Name(), !n.folder })
			if err != nil {
				return err
			}
			return w.q.st.update(tx, r, func(r *record) {
				r.State, r.Kind, r.Rel, r.Size, r.Link, r.Line, r.Time, r.Day = Waiting, file, filepath.ToSlash(n.rel), n.size, n.link, n.line, unix(n.time), n.day
				if n.folder {
					r.Kind = folder
				}
			})
		})
		return
	}
	slices.SortFunc(more, func(a, b *task) int { return strings.Compare(a.rel, b.rel) })
	seen := ""
	entries := make([]record, 0, len(more)+len(w.rejects))
	for _, n := range more {
		name := filepath.Base(n.rel)
		if name == seen {
			w.rejects = append(w.rejects, Failure{n.Item, errors.New("the folder lists this name twice")})
			continue
		}
		seen = name
		r := record{Rel: path.Join(filepath.ToSlash(from.rel), name), Kind: file}
		n.keep(&r)
		if n.folder {
			r.Kind = folder
		}
		entries = append(entries, r)
	}
	for _, f := range w.rejects {
		r := record{Rel: path.Join(filepath.ToSlash(from.rel), rejectedName(from, f)), Kind: file, State: Failed, Err: f.Err.Error(), Size: -1, Ended: time.Now().UnixNano()}
		var skip *skipped
		if errors.As(f.Err, &skip) {
			r.State = Done
		}
		entries = append(entries, r)
	}
	slices.SortFunc(entries, func(a, b record) int { return strings.Compare(a.Rel, b.Rel) })
	if from.after != "" { // a part of it came in before the program ended
		i, found := slices.BinarySearchFunc(entries, from.after, func(r record, after string) int { return strings.Compare(r.Rel, after) })
		if found {
			i++
		}
		entries = entries[i:]
	}
	for {
		n := min(len(entries), addPortion)
		w.store(from, entries[:n], n == len(entries))
		if entries = entries[n:]; len(entries) == 0 {
			return
		}
	}
}

func rejectedName(from *task, f Failure) string {
	name := f.Remote
	if f.Direction == Upload {
		return filepath.Base(f.Local)
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, from.Remote), "/")
}

// store puts a portion of a folder's entries into the queue. The last one takes the folder out.
func (w *laneWorker) store(from *task, entries []record, last bool) {
	q := w.q
	_ = q.st.do(func(tx *bolt.Tx) error {
		parent, err := getRecord(tx, from.id)
		if err != nil || parent == nil { // it was removed meanwhile
			return err
		}
		left, folders := 0, 0
		for i := range entries {
			r := &entries[i]
			r.Batch, r.Site, r.Root, r.Priority = parent.Batch, parent.Site, parent.Root, parent.Priority
			if err := q.st.insert(tx, r); err != nil {
				return err
			}
			if r.Kind == folder {
				folders++
			}
			switch r.State {
			case Waiting:
				left++
			case Failed:
				q.mu.Lock()
				q.failed++
				q.mu.Unlock()
			}
		}
		if folders > 0 {
			if err := change(tx, bucketBatches, parent.Batch, func(b *batchRecord) { b.Folders += folders }); err != nil {
				return err
			}
		}
		if last {
			if err := q.st.remove(tx, parent); err != nil {
				return err
			}
			return q.left(tx, parent.Batch, left-1, from.Direction)
		}
		if err := q.st.update(tx, parent, func(r *record) { r.After = entries[len(entries)-1].Rel }); err != nil {
			return err
		}
		return q.left(tx, parent.Batch, left, from.Direction)
	})
	q.kick()
}

func (w *laneWorker) reject(_ *task, it Item, err error) {
	w.rejects = append(w.rejects, Failure{it, err})
}

// claim refuses a place that another file goes to at the moment. Of two at once the first has it.
func (w *laneWorker) claim(t *task, place string) error {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	for id, l := range w.q.lanes {
		for o := range l.workers {
			if o == w || o.task == nil || o.shown.Direction != t.Direction || t.Direction == Upload && id != w.l.id {
				continue
			}
			if slices.ContainsFunc(o.places, func(p string) bool { return p == place || t.Direction == Download && samePlace(p, place) }) {
				return errors.New("another file of the queue has the same destination")
			}
		}
	}
	w.places = append(w.places, place)
	return nil
}

func (w *laneWorker) begin(t *task) error {
	kept := *t
	w.q.mu.Lock()
	w.shown = kept.item(w.l.site)
	if place := kept.destination(); !slices.Contains(w.places, place) {
		w.places = append(w.places, place) // it was given another name
	}
	w.q.mu.Unlock()
	f := func(tx *bolt.Tx) error {
		r, err := getRecord(tx, kept.id)
		if err != nil || r == nil {
			return err
		}
		return w.q.st.update(tx, r, kept.keep)
	}
	if t.Direction == Upload || t.recovered {
		return w.q.st.do(f) // the server's file changes at once
	}
	w.q.st.post(f)
	return nil
}

func (w *laneWorker) found(from *task, folders int) error {
	most := cmp.Or(w.q.o.folders, maxFolders)
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	b := w.q.batches[from.batch]
	if b == nil {
		return nil
	}
	if b.Folders+folders > most {
		return tooManyFolders(most)
	}
	b.Folders += folders
	return nil
}

func (w *laneWorker) keep(r *os.Root) { w.keeps = append(w.keeps, r) }
func (w *laneWorker) proved()         {}

func (w *laneWorker) spare(ctx context.Context) (*client.Session, func(), error) {
	return w.l.lend(ctx, &w.q.mu, w.l)
}

func (w *laneWorker) can(what string) bool {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	return !w.l.refused[what]
}

func (w *laneWorker) cannot(what string) {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	w.l.refused[what] = true
}

// ask asks once for a batch when the answer holds for all of it.
func (w *laneWorker) ask(ctx context.Context, t *task, c Conflict) (Policy, error) {
	q := w.q
	select {
	case q.asking <- struct{}{}:
		defer func() { <-q.asking }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	q.mu.Lock()
	if b := q.batches[t.batch]; b != nil && b.Policy != Ask {
		q.mu.Unlock()
		return b.Policy, nil
	}
	q.mu.Unlock()
	if q.o.Ask == nil {
		return Skip, nil
	}
	answer, err := q.o.Ask(ctx, c)
	if err != nil {
		if ctx.Err() == nil {
			q.RemoveBatch(t.batch)
			return 0, errRemove
		}
		return 0, err
	}
	if answer.All {
		q.mu.Lock()
		if b := q.batches[t.batch]; b != nil {
			b.Policy = answer.Policy
		}
		q.mu.Unlock()
		q.st.post(func(tx *bolt.Tx) error {
			return change(tx, bucketBatches, t.batch, func(b *batchRecord) { b.Policy = answer.Policy })
		})
	}
	return answer.Policy, nil
}
