package transfer

import "portside/client"

// A session negotiates ahead for the files that follow the one under way, see [client.Session.Follow]: so a worker takes
// a few small files at once. Passive mode needs to know only that something follows.
const (
	lineLength = 4       // files that a worker takes beside the one it moves
	small      = 1 << 20 // bytes; of a larger file a round trip is no matter
	takesAhead = "take commands ahead"
)

// lineUp takes more files when there are enough for everybody. w.j.mu is held.
func (w *worker) lineUp() {
	j := w.j
	if w.s == nil || w.s.Mode() != client.ModeActive || w.s.NotAhead() {
		return
	}
	for len(w.line) < lineLength && len(j.files) > lineLength*j.alive && j.files[0].small() {
		w.line, j.files = append(w.line, j.files[0]), j.files[1:]
	}
}

// giveBack leaves what a worker has taken to the others.
func (w *worker) giveBack() {
	j := w.j
	j.mu.Lock()
	defer j.mu.Unlock()
	j.files = append(w.line, j.files...)
	w.line = nil
	j.wake.Broadcast()
}

func (t *task) small() bool { return t.known && !t.folder && t.size >= 0 && t.size <= small }

// tellWhatFollows tells the session what comes after t.
func (w *worker) tellWhatFollows(t *task) {
	w.j.mu.Lock()
	more := len(w.line)+len(w.j.files) > 0
	w.j.mu.Unlock()
	w.follow(t, more, w.line)
}

// follow tells the session what comes after t: more, and of that the first few.
func (m *mover) follow(t *task, more bool, line []*task) {
	if !m.h.can(takesAhead) {
		m.s.SpareServer()
	}
	if t.Direction == Download && (t.folder || !t.known) {
		m.s.Follow(true) // after a listing comes another, or a file
		return
	}
	if !t.small() {
		m.s.Follow(false)
		return
	}
	var downloads []string
	for _, n := range line {
		if !n.looked {
			n.looked, n.atOnce = true, m.asksAtOnce(n)
		}
		if !n.atOnce {
			break
		}
		downloads = append(downloads, n.Remote)
	}
	m.s.Follow(more, downloads...)
}

// asksAtOnce says that the first that a task does with its session is to get the whole file.
func (m *mover) asksAtOnce(t *task) bool {
	if t.Direction != Download || !t.small() || t.link || t.begun || t.recovered || m.o.segments > 1 || slowed(m.o.down) {
		return false
	}
	_, err := t.root.Lstat(t.rel)
	_, part := t.root.Lstat(partOf(t.rel))
	return err != nil && part != nil
}

// noteNotAhead keeps other sessions from finding out again that the server can't take commands ahead.
func (m *mover) noteNotAhead() {
	if m.s.NotAhead() && m.h.can(takesAhead) {
		m.h.cannot(takesAhead)
	}
}
