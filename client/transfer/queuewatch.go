package transfer

// watch is a batch whose end somebody wants to know of. It is kept for this run only: what depends on it, such as
// deleting, must not be done in another one.
type watch struct {
	want  int // files; -1 while they are still being added
	moved int
	ended func(all bool)
}

// watch begins to count for a batch.
func (q *Queue) watch(batch uint64, ended func(all bool)) {
	if ended == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.watched[batch] = &watch{want: -1, ended: ended}
}

// watchEnds says how many files were added to a batch. One that is not whole is not watched any more: its adder knows.
func (q *Queue) watchEnds(batch uint64, added int, whole bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.watched[batch]
	switch {
	case w == nil:
	case !whole:
		delete(q.watched, batch)
	default:
		w.want = added
		q.tellEnd(batch, w)
	}
}

// moved counts a file of a batch that has got to its place; q.mu is held.
func (q *Queue) moved(batch uint64) {
	if w := q.watched[batch]; w != nil {
		w.moved++
		q.tellEnd(batch, w)
	}
}

// missed says that a file of a batch does not get to its place; q.mu is held.
func (q *Queue) missed(batch uint64) {
	if w := q.watched[batch]; w != nil {
		delete(q.watched, batch)
		q.tell(w, false)
	}
}

func (q *Queue) tellEnd(batch uint64, w *watch) {
	if w.want >= 0 && w.moved >= w.want {
		delete(q.watched, batch)
		q.tell(w, true)
	}
}

func (q *Queue) tell(w *watch, all bool) {
	if !q.closed {
		q.wg.Go(func() { w.ended(all) })
	}
}
