package app

import (
	"sync"
	"time"

	"portside/connlog"
	"portside/localserver"
)

// PortHolder is a passive port, who has it, and since when it is in this state; Since is zero when that is not known.
type PortHolder struct {
	localserver.PortHolder
	Since time.Time
}

// PortShortage says how often the passive range was full since the server's start: a client got no port, or one that was
// taken back from another. Last is what the log says of the last time.
type PortShortage struct {
	Times int
	Last  connlog.Record
}

// portWatch hands the server's records on, and remembers what they say about its passive ports that the server itself
// doesn't: since when a session holds one, and when there was none left. A session holds one at a time, so it costs one
// entry for each.
type portWatch struct {
	next connlog.Recorder

	mu       sync.Mutex
	since    map[string]portSince // by session
	shortage PortShortage
}

type portSince struct {
	port  uint16
	inUse bool
	at    time.Time
}

func newPortWatch(next connlog.Recorder) *portWatch {
	return &portWatch{next: next, since: map[string]portSince{}}
}

// Record is called by the server.
func (w *portWatch) Record(r connlog.Record) {
	switch {
	case r.Event == connlog.PassiveOffered, r.Event == connlog.DataOpened && r.Mode == connlog.Passive:
		w.mu.Lock()
		w.since[r.Session] = portSince{r.To.Port(), r.Event == connlog.DataOpened, r.Time}
		w.mu.Unlock()
	case r.Event == connlog.ControlClosed:
		w.mu.Lock()
		delete(w.since, r.Session)
		w.mu.Unlock()
	case r.Event == connlog.PortsExhausted, r.Reason == connlog.ReasonRangeFull:
		w.mu.Lock()
		w.shortage.Times++
		w.shortage.Last = r
		w.mu.Unlock()
	}
	w.next.Record(r)
}

// holders adds to the server's holders what the records said.
func (w *portWatch) holders(ports []localserver.PortHolder) ([]PortHolder, PortShortage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]PortHolder, len(ports))
	for i, p := range ports {
		all[i].PortHolder = p
		if s := w.since[p.Session]; s.port == p.Port && s.inUse == p.InUse {
			all[i].Since = s.at
		}
	}
	return all, w.shortage
}
