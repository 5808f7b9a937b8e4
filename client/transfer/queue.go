package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/time/rate"

	"portside/client"
)

// Site is a server as a queue keeps it: enough to sign in again but for the password, which is never kept.
type Site struct {
	// URL names server, user and TLS, without password and path.
	URL  string      `json:"url"`
	Mode client.Mode `json:"mode,omitempty"`
	// Ref is the user's own name for it, for instance of an entry of the site book.
	Ref string `json:"ref,omitempty"`

	Waiting int `json:"waiting,omitempty"` // kept by the queue
}

func (s Site) key() string { return s.URL + "\x00" + s.Ref }

// Limits is how a site is used.
type Limits struct {
	Connections int   // for transfers at once, 1 to 16; 0: 4
	Down, Up    int64 // bytes a second, 0: no limit of its own
}

const defaultConnections = 4

// Answer is what to do with a file that is there already.
type Answer struct {
	Policy Policy
	All    bool // for all further files of the same batch
}

// QueueOptions is what [OpenQueue] needs.
type QueueOptions struct {
	// File is where the queue is kept. No password is in it.
	File string
	// Dial makes a session. It knows the password, or asks for it.
	Dial func(ctx context.Context, site Site) (*client.Session, error)
	// Limits says how a site is used now; nil: with four connections, as fast as it goes.
	Limits func(Site) Limits
	// Ask decides where a batch's policy is [Ask]; one question at a time. An error takes the batch out of the queue.
	Ask func(ctx context.Context, c Conflict) (Answer, error)
	// Changed is called when a snapshot would look different; it must return at once.
	Changed func()
	// Idle is called when everything that could be moved was: how many items were done and failed since the last time.
	Idle func(done, failed int)
	// Landed is called when a batch has nothing left to move.
	Landed func(d Direction, site Site)

	// For tests. Zero: the defaults.
	retry, idle time.Duration
	patience    time.Duration
	folders     int
	sync        func(*os.File) error
}

// Limits of a queue's patience.
const (
	queueTries    = 8               // of one item, when the failure may pass: vsftpd keeps a broken upload locked for 5 minutes
	queueDials    = 8               // in a row, before a site is left alone
	firstRetry    = 2 * time.Second // doubled with every try
	longestRetry  = 2 * time.Minute
	idleSession   = 20 * time.Second // a session with nothing to do is kept so long
	rootsOpen     = 64               // local folders held open
	closePatience = 5 * time.Second  // a session says goodbye within one
)

// Batch is a request: files and folders of one site.
type Batch struct {
	Site     Site
	Title    string
	Policy   Policy
	Resume   bool // go on with parts that an unknown earlier run left
	Segments int  // see [Options.Segments]
	Priority Priority
	// Ended, if set, is called once, in a goroutine of its own: with true when every file was moved, with false as soon as
	// one has failed, was passed over or was taken out. It is never called when the queue is closed before that. What the
	// items are must be known: a folder among them counts as one that was passed over.
	Ended func(all bool)
}

// Queue moves files and folders to and from several sites, and keeps what is to do on disk. After the program has ended,
// however that came, the next [OpenQueue] of the same file goes on: what was moved is not moved again, what was under way
// goes on where it stopped, and nothing is forgotten. That holds when the computer loses its power, too, as far as its disks
// keep what they were told to keep: a download is written out to the disk before it is called done. A queue begins paused
// when the last run left something in it.
//
// What is in memory does not grow with the number of items.
type Queue struct {
	o      QueueOptions
	st     *store
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	asking chan struct{}
	down   *rate.Limiter
	up     *rate.Limiter

	mu      sync.Mutex
	paused  bool
	closed  bool
	sites   map[uint32]Site
	lanes   map[uint32]*lane
	batches map[uint64]*batchRecord
	roots   map[uint64]*openRoot
	tick    uint64
	done    int // since the last Idle
	failed  int
	worked  bool
	meter   meter
	problem string
	removed map[uint64]bool // batches that were taken out
	watched map[uint64]*watch
	adds    int // batches that are on their way in
	goodbye int // grows when idle sessions are to end

	// Downloads that have their names and are not known to be on the disk.
	unwritten []*arrival
	underWay  []*arrival    // being written out
	writing   bool          // a goroutine does it
	writes    time.Time     // since when
	taken     chan struct{} // closed and replaced when unwritten was taken
}

// openRoot is a local folder held open.
type openRoot struct {
	*os.Root
	used uint64
	refs int
}

// lane is a site and its workers.
type lane struct {
	q       *Queue
	id      uint32
	site    Site
	limit   int // what the server turned out to take; 0: not known
	note    string
	refusal error // why limit is what it is
	stopped bool  // until the person resumes
	proven  bool  // somebody has signed in since it was begun
	fails   int   // dials in a row
	until   time.Time
	ready   []*task // claimed
	later   []delayed
	workers map[*laneWorker]bool
	lending
	claims  chan struct{} // one at a time
	wake    chan struct{} // closed and replaced
	refused map[string]bool
	down    *rate.Limiter
	up      *rate.Limiter
}

type delayed struct {
	at time.Time
	t  *task
}

// OpenQueue opens or makes a queue. Close it.
func OpenQueue(o QueueOptions) (*Queue, error) {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.retry == 0 {
		o.retry = firstRetry
	}
	if o.idle == 0 {
		o.idle = idleSession
	}
	if o.sync == nil {
		o.sync = syncIfCan
	}
	st, err := openStore(o.File)
	if err != nil {
		return nil, fmt.Errorf("the transfer queue %s can't be opened: %w", o.File, err)
	}
	q := &Queue{o: o, st: st, paused: true, asking: make(chan struct{}, 1), taken: make(chan struct{}), down: NewLimit(0), up: NewLimit(0),
		sites: map[uint32]Site{}, lanes: map[uint32]*lane{}, batches: map[uint64]*batchRecord{}, roots: map[uint64]*openRoot{}, removed: map[uint64]bool{}, watched: map[uint64]*watch{}}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	st.ready = func(err error) {
		if err != nil {
			q.mu.Lock()
			q.problem = err.Error()
			q.mu.Unlock()
		}
		q.kick()
		q.settle()
		o.Changed()
	}
	if err := st.do(q.recover); err != nil {
		_ = st.close()
		return nil, fmt.Errorf("the transfer queue %s can't be read: %w", o.File, err)
	}
	c := st.counts()
	q.mu.Lock()
	q.paused = c.Items[Waiting]+c.Items[Paused] > 0
	q.mu.Unlock()
	return q, nil
}

// keptDone is how many of the items that are done are remembered from one run to the next.
const keptDone = 10_000

// recover takes up what an earlier run left.
func (q *Queue) recover(tx *bolt.Tx) error {
	s := q.st
	err := tx.Bucket(bucketSites).ForEach(func(k, _ []byte) error {
		site, err := get[Site](tx, bucketSites, number(k))
		if err == nil {
			q.sites[uint32(number(k))] = *site
		}
		return err
	})
	if err != nil {
		return err
	}
	var ids []uint64
	c := tx.Bucket(bucketOrder[Active]).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		ids = append(ids, idIn(k))
	}
	for _, id := range ids {
		r, err := getRecord(tx, id)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		if err := s.update(tx, r, func(r *record) { r.State, r.Recovered, r.Err = Waiting, true, "" }); err != nil {
			return err
		}
	}
	if over := s.now.Items[Done] - keptDone; over > 0 {
		if err := q.drop(tx, Done, over); err != nil {
			return err
		}
	}
	if s.now.Items == [states]int{} {
		return q.forget(tx)
	}
	return nil
}

// forget empties what only items refer to, when there are none.
func (q *Queue) forget(tx *bolt.Tx) error {
	for _, b := range [][]byte{bucketRoots, bucketBatches, bucketItems, bucketOrder[Done]} {
		if err := tx.DeleteBucket(b); err != nil {
			return err
		}
		if _, err := tx.CreateBucket(b); err != nil {
			return err
		}
	}
	// Numbers begin anew, so what is known by one goes, too.
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, r := range q.roots {
		if r.refs == 0 {
			_ = r.Close()
		}
		delete(q.roots, id)
	}
	clear(q.batches)
	clear(q.removed)
	for batch := range q.watched {
		q.missed(batch)
	}
	return nil
}

// drop takes the first n items of a state out.
func (q *Queue) drop(tx *bolt.Tx, state State, n int) error {
	c := tx.Bucket(bucketOrder[state]).Cursor()
	var ids []uint64
	for k, _ := c.First(); k != nil && len(ids) < n; k, _ = c.Next() {
		ids = append(ids, idIn(k))
	}
	for _, id := range ids {
		r, err := getRecord(tx, id)
		if err != nil || r == nil {
			continue
		}
		if err := q.st.remove(tx, r); err != nil {
			return err
		}
		if r.Root == r.id && r.Kind == file {
			if err := tx.Bucket(bucketRoots).Delete(key(r.Root)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close stops the transfers, keeps what is left, and waits until nothing goes on. A disk that hangs, for instance a network
// drive whose server is away, is waited for for five seconds; the error names it then.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cancel()
	ended := make(chan struct{})
	go func() {
		q.wg.Wait()
		close(ended)
	}()
	patience := time.NewTimer(cmp.Or(q.o.patience, closePatience))
	defer patience.Stop()
	var hangs error
	select {
	case <-ended:
	case <-patience.C: // nothing can end a call that waits for a disk
		hangs = q.abandon()
	}
	err := errors.Join(hangs, q.st.close())
	q.mu.Lock()
	defer q.mu.Unlock()
	q.letGo()
	q.roots = map[uint64]*openRoot{} // what is still in use is closed by whom it was opened for
	return err
}

// Order is an item to add, with what is known of it.
type Order struct {
	Item
	// Entry is what a listing said of what is downloaded; nil: it is found out.
	Entry *client.Entry
}

// Orders are items of which nothing is known.
func Orders(items ...Item) iter.Seq[Order] {
	return func(yield func(Order) bool) {
		for _, it := range items {
			if !yield(Order{Item: it}) {
				return
			}
		}
	}
}

// addPortion is how many items go into one transaction.
const addPortion = 5000

// Add puts items into the queue and returns when they are on disk. It returns the number of the batch.
func (q *Queue) Add(b Batch, orders iter.Seq[Order]) (uint64, error) {
	if t, err := client.ParseURL(b.Site.URL); err != nil {
		return 0, err
	} else if t.Password != "" {
		return 0, errors.New("a password must not be kept in the transfer queue")
	}
	q.mu.Lock()
	q.adds++
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.adds--
		q.mu.Unlock()
	}()
	var batch uint64
	var site uint32
	added, whole := 0, false
	defer func() { q.watchEnds(batch, added, whole) }()
	err := q.st.do(func(tx *bolt.Tx) error {
		var err error
		if site, err = q.siteID(tx, b.Site); err != nil {
			return err
		}
		if batch, err = tx.Bucket(bucketBatches).NextSequence(); err != nil {
			return err
		}
		q.watch(batch, b.Ended)
		return put(tx, bucketBatches, batch, batchRecord{Site: site, Title: b.Title, Policy: b.Policy, Resume: b.Resume,
			Segments: b.Segments, Priority: b.Priority})
	})
	if err != nil {
		return 0, err
	}
	flush := func(portion []Order) error {
		return q.st.do(func(tx *bolt.Tx) error {
			for _, it := range portion {
				r := &record{Batch: batch, Site: site, Kind: named, Priority: b.Priority, Size: -1}
				root := rootRecord{Direction: it.Direction, Local: it.Local, Remote: it.Remote}
				it.tell(r, &root)
				if err := q.st.insert(tx, r); err != nil {
					return err
				}
				if err := put(tx, bucketRoots, r.Root, &root); err != nil {
					return err
				}
			}
			return change(tx, bucketBatches, batch, func(b *batchRecord) { b.Left += len(portion) })
		})
	}
	portion := make([]Order, 0, 64)
	for it := range orders {
		added++
		if portion = append(portion, it); len(portion) == addPortion {
			if err := flush(portion); err != nil {
				return batch, err
			}
			portion = portion[:0]
			q.kick()
		}
	}
	if len(portion) > 0 {
		if err := flush(portion); err != nil {
			return batch, err
		}
	}
	whole = true
	q.kick()
	return batch, nil
}

// tell writes what is known of an order into its record.
func (o Order) tell(r *record, root *rootRecord) {
	if o.Direction != Download || o.Entry == nil || o.Entry.Unsafe {
		return
	}
	r.Time, r.Day = unix(o.Entry.Time), ofTheDay(o.Entry)
	switch o.Entry.Type {
	case client.Folder:
		r.Kind, r.Rel, r.Line, root.Place = folder, ".", lineage{}.with(*o.Entry), o.Local
	case client.File:
		r.Kind, r.Rel, r.Size = file, filepath.Base(o.Local), o.Entry.Size
		root.Place, root.File = filepath.Dir(o.Local), true
	}
}

// siteID finds or gives a site's number.
func (q *Queue) siteID(tx *bolt.Tx, site Site) (uint32, error) {
	site.Waiting = 0
	q.mu.Lock()
	for id, s := range q.sites {
		if s.key() == site.key() {
			q.mu.Unlock()
			err := change(tx, bucketSites, uint64(id), func(s *Site) { s.Mode = site.Mode })
			q.mu.Lock()
			q.sites[id] = site
			if l := q.lanes[id]; l != nil {
				l.site = site
			}
			q.mu.Unlock()
			return id, err
		}
	}
	q.mu.Unlock()
	n, err := tx.Bucket(bucketSites).NextSequence()
	if err != nil {
		return 0, err
	}
	if err := put(tx, bucketSites, n, site); err != nil {
		return 0, err
	}
	q.mu.Lock()
	q.sites[uint32(n)] = site
	q.mu.Unlock()
	return uint32(n), nil
}

// kick starts workers where there is something to do.
func (q *Queue) kick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.kickLocked()
}

func (q *Queue) kickLocked() {
	if q.closed || q.paused || q.ctx.Err() != nil || q.st.err() != nil {
		return
	}
	for id, site := range q.sites {
		n := q.st.waitingOf(id)
		l := q.lanes[id]
		if l != nil {
			n += len(l.ready) + len(l.later)
		}
		if n == 0 {
			continue
		}
		if l == nil {
			l = &lane{q: q, id: id, site: site, claims: make(chan struct{}, 1), wake: make(chan struct{}), workers: map[*laneWorker]bool{}, refused: map[string]bool{},
				down: NewLimit(0), up: NewLimit(0)}
			q.lanes[id] = l
		}
		l.startWorkers(n)
		l.rouse()
	}
}

// rouse wakes idle workers; q.mu is held.
func (l *lane) rouse() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// connections is how many sessions the lane may have; q.mu is held.
func (l *lane) connections() int {
	n := l.want()
	if l.limit > 0 {
		n = min(n, l.limit)
	}
	if l.fails > 0 || !l.proven {
		n = 1 // one finds out whether the server lets in, and answers what is asked meanwhile
	}
	return n
}

func (l *lane) limits() Limits {
	var limits Limits
	if l.q.o.Limits != nil {
		limits = l.q.o.Limits(l.site)
	}
	if limits.Connections == 0 {
		limits.Connections = defaultConnections
	}
	limits.Connections = min(max(limits.Connections, 1), maxParallel)
	return limits
}

func (l *lane) want() int { return l.limits().Connections }

// startWorkers starts as many as n items need; q.mu is held.
func (l *lane) startWorkers(n int) {
	if l.stopped {
		return
	}
	limits := l.limits()
	setLimit(l.down, limits.Down)
	setLimit(l.up, limits.Up)
	for len(l.workers) < n && len(l.workers)+l.spares < l.connections() {
		w := &laneWorker{l: l, q: l.q}
		w.h = w
		l.workers[w] = true
		l.q.wg.Go(w.run)
	}
}

// claimAtOnce is how many items a lane takes from the disk at once, and twice what its workers may line up if that is more.
const claimAtOnce = 32

// claim takes the next waiting items of the lane in hand.
func (l *lane) claim() error {
	var got []*task
	l.q.mu.Lock()
	most := max(claimAtOnce, 2*lineLength*len(l.workers))
	l.q.mu.Unlock()
	err := l.q.st.do(func(tx *bolt.Tx) error {
		var ids []uint64
		prefix := (&record{State: Waiting, Site: l.id}).orderKey()[:4]
		c := tx.Bucket(bucketOrder[Waiting]).Cursor()
		for k, _ := c.Seek(prefix); k != nil && string(k[:4]) == string(prefix) && len(ids) < most; k, _ = c.Next() {
			ids = append(ids, idIn(k))
		}
		for _, id := range ids {
			r, err := getRecord(tx, id)
			if err != nil {
				return err
			}
			root, err := get[rootRecord](tx, bucketRoots, r.Root)
			if err != nil {
				return err
			}
			batch, err := get[batchRecord](tx, bucketBatches, r.Batch)
			if err != nil {
				return err
			}
			if root == nil || batch == nil {
				l.q.mu.Lock()
				l.q.missed(r.Batch)
				l.q.mu.Unlock()
				if err := l.q.st.remove(tx, r); err != nil {
					return err
				}
				continue
			}
			if err := l.q.st.update(tx, r, func(r *record) {
				r.State = Active
				if !r.Recovered || r.Claimed == 0 {
					r.Claimed = time.Now().UnixNano()
				}
			}); err != nil {
				return err
			}
			l.q.mu.Lock()
			if l.q.batches[r.Batch] == nil {
				l.q.batches[r.Batch] = batch
			}
			l.q.mu.Unlock()
			got = append(got, newTask(r, root))
		}
		return nil
	})
	l.q.mu.Lock()
	l.ready = append(l.ready, got...)
	l.q.mu.Unlock()
	return err
}

// newTask makes a task of what is on disk.
func newTask(r *record, root *rootRecord) *task {
	t := &task{Item: r.item(root), known: r.Kind != named, folder: r.Kind == folder, size: r.Size, day: r.Day, timed: r.Timed, link: r.Link, line: r.Line,
		listed: r.Listed, decided: r.Decided, from: r.From, begun: r.Begun, stale: r.Stale, recovered: r.Recovered,
		id: r.id, rootID: r.Root, batch: r.Batch, place: root.Place, after: r.After, priority: r.Priority}
	if r.Time != 0 {
		t.time = time.Unix(0, r.Time).UTC()
	}
	if r.Claimed != 0 {
		t.claimed = time.Unix(0, r.Claimed)
	}
	if r.There != nil {
		e := client.Entry{Size: r.There.Size}
		if r.There.Folder {
			e.Type = client.Folder
		}
		if r.There.Time != 0 {
			e.Time = time.Unix(0, r.There.Time).UTC()
		}
		t.there = &e
	}
	t.rel = filepath.FromSlash(r.Rel)
	if r.As != "" {
		t.takeName(r.As)
	}
	return t
}

// item is where the record's file comes from and goes to.
func (r *record) item(root *rootRecord) Item {
	it := Item{root.Direction, root.Local, root.Remote}
	if r.Kind != named && !root.File && r.Rel != "." && r.Rel != "" {
		it.Local = filepath.Join(root.Local, filepath.FromSlash(r.Rel))
		it.Remote = child(root.Remote, r.Rel)
	}
	return it
}

// keep writes what a task has learnt into its record.
func (t *task) keep(r *record) {
	r.Size, r.Link, r.Line = t.size, t.link, t.line
	r.Time, r.Day, r.Timed = unix(t.time), t.day, t.timed
	r.Listed, r.There = t.listed, nil
	if t.there != nil {
		r.There = &there{t.there.Size, unix(t.there.Time), t.there.Type == client.Folder}
	}
	r.Decided, r.From, r.Begun, r.Stale, r.As = t.decided, t.from, t.begun, t.stale, t.as
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// open opens the local folder of a task, or finds it open. create makes that of a download when it is not there.
func (q *Queue) open(t *task, create bool) (*openRoot, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tick++
	if r := q.roots[t.rootID]; r != nil {
		r.refs++
		r.used = q.tick
		return r, nil
	}
	q.mu.Unlock()
	var err error
	if create && t.Direction == Download {
		err = os.MkdirAll(t.place, 0o777)
	}
	var root *os.Root
	if err == nil {
		root, err = os.OpenRoot(t.place)
	}
	q.mu.Lock()
	if err != nil {
		return nil, err
	}
	if r := q.roots[t.rootID]; r != nil { // another was faster
		_ = root.Close()
		r.refs++
		return r, nil
	}
	for len(q.roots) >= rootsOpen {
		var oldest uint64
		for id, r := range q.roots {
			if r.refs == 0 && (oldest == 0 || r.used < q.roots[oldest].used) {
				oldest = id
			}
		}
		if oldest == 0 {
			break
		}
		_ = q.roots[oldest].Close()
		delete(q.roots, oldest)
	}
	r := &openRoot{Root: root, used: q.tick, refs: 1}
	q.roots[t.rootID] = r
	return r, nil
}

// drops says that a local folder is not used any more by whom it was opened for.
func (q *Queue) drops(id uint64, root *openRoot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	root.refs--
	if root.refs == 0 && q.roots[id] != root {
		_ = root.Close()
	}
}

// letGo closes the local folders that nothing is moved to or from: one that is held open can't be removed on Windows, nor
// its disk be taken out. q.mu is held.
func (q *Queue) letGo() {
	for id, r := range q.roots {
		if r.refs == 0 {
			_ = r.Close()
			delete(q.roots, id)
		}
	}
}

// Causes that end a task under way.
var (
	errPause  = errors.New("paused")
	errRemove = errors.New("removed")
	errLater  = errors.New("put back")
)

// laneWorker is one session's owner in a queue.
type laneWorker struct {
	mover
	q *Queue
	l *lane

	// guarded by q.mu
	task   *task
	stop   context.CancelCauseFunc
	signed bool // it has a session
	// shown is what others may see of the task under way, as it was taken up or begun: the rest of it is the worker's.
	shown  QueueItem
	pace   pace
	places []string // where the task's file goes to; no other may

	mode     client.Mode // that the session uses
	rejects  []Failure
	replaced bool // the task's record is another one by now
	keeps    []*os.Root
}

func (w *laneWorker) run() {
	defer w.leave()
	for {
		t := w.next()
		if t == nil {
			return
		}
		if !w.dial(t) {
			return
		}
		err := w.work(t)
		w.finish(t, err)
		w.q.awaitDisk()
	}
}

func (w *laneWorker) leave() {
	w.hangUp()
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	delete(w.l.workers, w)
	if len(w.l.workers) == 0 {
		w.l.proven = false
		if w.l.fails == 0 && !w.l.stopped {
			w.l.limit = 0 // next time it is asked again
		}
		w.q.letGo()
	}
	w.q.kickLocked()
	w.q.o.Changed()
}

func (w *laneWorker) hangUp() {
	w.q.mu.Lock()
	s := w.s
	w.s, w.signed = nil, false
	w.q.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

// next waits for something to do; nil: this worker is not needed any more.
func (w *laneWorker) next() *task {
	q, l := w.q, w.l
	idle := time.Now().Add(q.o.idle)
	q.mu.Lock()
	goodbye := q.goodbye
	q.mu.Unlock()
	for {
		q.mu.Lock()
		if q.ctx.Err() != nil || q.paused || l.stopped || l.tooMany(w) || q.st.err() != nil {
			q.mu.Unlock()
			return nil
		}
		now := time.Now()
		rest := now.Before(l.until) // the server was not reached, and is asked again later
		if !rest {
			t := l.take(w, now)
			for t != nil && q.removed[t.batch] {
				q.putBack(l, t, errRemove)
				t = l.take(w, now)
			}
			if t != nil {
				w.task, w.shown, w.places = t, t.item(l.site), nil
				w.ctx, w.stop = context.WithCancelCause(q.ctx)
				q.mu.Unlock()
				return t
			}
		}
		wake := l.wake
		due := idle
		switch {
		case rest:
			due = l.until
		case len(l.later) > 0:
			due = l.later[0].at
		}
		q.mu.Unlock()
		if !rest && q.st.waitingOf(l.id) > 0 {
			l.claims <- struct{}{}
			q.mu.Lock()
			none := l.first(w) < 0
			q.mu.Unlock()
			var err error
			if none {
				err = l.claim()
			}
			<-l.claims
			if err != nil {
				return nil
			}
			continue
		}
		q.mu.Lock()
		ends := goodbye != q.goodbye && len(l.later) == 0
		q.mu.Unlock()
		if ends {
			return nil
		}
		if !due.After(now) {
			if due.Equal(idle) {
				return nil
			}
			continue
		}
		sleep := time.NewTimer(time.Until(due))
		select {
		case <-wake:
		case <-sleep.C:
		case <-q.ctx.Done():
		}
		sleep.Stop()
	}
}

// tooMany says that the lane has one worker too many, and that w is the one to leave: those that have a session stay;
// q.mu is held.
func (l *lane) tooMany(w *laneWorker) bool {
	return l.signed() > l.connections() || !w.signed && len(l.workers)+l.spares > l.connections()
}

// signed is how many sessions the lane has; q.mu is held.
func (l *lane) signed() int {
	n := l.lent
	for w := range l.workers {
		if w.signed {
			n++
		}
	}
	return n
}

// fewer keeps in mind that the server takes no more sessions than it has, n; q.mu is held. A server says it with 421 or
// 530, and some by closing the connection.
func (l *lane) fewer(n int, err error) {
	l.limit, l.refusal = n, err
	l.note = fmt.Sprintf("The server takes %d of %d connections: %v", n, l.want(), err)
}

// take takes a claimed task for w, first one whose next try is due; q.mu is held.
func (l *lane) take(w *laneWorker, now time.Time) *task {
	if len(l.later) > 0 && !l.later[0].at.After(now) {
		t := l.later[0].t
		l.later = l.later[1:]
		return t
	}
	i := l.first(w)
	if i < 0 {
		return nil
	}
	t := l.ready[i]
	l.ready = slices.Delete(l.ready, i, i+1)
	return t
}

// first is where in ready the task is that w is to take next: one that it has lined up, else one that nobody has, or whose
// worker has left; -1: there is none. q.mu is held.
func (l *lane) first(w *laneWorker) int {
	if i := slices.IndexFunc(l.ready, func(t *task) bool { return t.owner == w }); i >= 0 {
		return i
	}
	return slices.IndexFunc(l.ready, func(t *task) bool { return !l.workers[t.owner] })
}

// lineUp says what w will move after t, so that its session can ask for it early; other workers leave that alone. There
// must be enough for everybody. What is paused or taken out meanwhile goes all the same: it was asked for in vain. q.mu is
// held.
func (w *laneWorker) lineUp(t *task) (line []*task) {
	l := w.l
	if w.s.Mode() != client.ModeActive || w.s.NotAhead() {
		return nil
	}
	enough := len(l.ready)+l.q.st.waitingOf(l.id) > lineLength*len(l.workers)
	for _, n := range l.ready {
		if len(line) == lineLength {
			break
		}
		if n.owner == nil && (!enough || n.batch != t.batch || n.rootID != t.rootID || !n.small()) || n.owner != nil && n.owner != w {
			continue
		}
		n.owner, n.root = w, t.root
		line = append(line, n)
	}
	return line
}

// settle calls Idle when nothing is left to do.
func (q *Queue) settle() {
	c := q.st.counts()
	if c.Items[Waiting]+c.Items[Active] > 0 {
		return
	}
	q.mu.Lock()
	busy := false
	for _, l := range q.lanes {
		for w := range l.workers {
			busy = busy || w.task != nil
		}
	}
	done, failed, worked := q.done, q.failed, q.worked
	if busy || !worked {
		q.mu.Unlock()
		return
	}
	q.done, q.failed, q.worked = 0, 0, false
	clear(q.batches)
	q.letGo()
	q.mu.Unlock()
	if q.o.Idle != nil {
		q.o.Idle(done, failed)
	}
}

// dial gets the worker a session. When it can't, the task goes back.
func (w *laneWorker) dial(t *task) bool {
	q, l := w.q, w.l
	q.mu.Lock()
	site := l.site
	q.mu.Unlock()
	if w.s != nil && w.s.Err() == nil {
		if w.mode != site.Mode { // the person has chosen another one since
			w.mode = site.Mode
			w.s.SetMode(site.Mode)
		}
		return true
	}
	w.hangUp()
	w.mode = site.Mode
	s, err := q.o.Dial(w.ctx, site)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		w.s, w.signed, l.proven = s, true, true
		l.fails, l.until = 0, time.Time{}
		if l.limit == 0 {
			l.note = ""
		}
		l.raise()
		l.startWorkers(len(l.ready) + q.st.waitingOf(l.id) + 1)
		return true
	}
	cause := context.Cause(w.ctx)
	w.stop(nil)
	w.task = nil
	if cause != nil {
		q.putBack(l, t, cause)
		return false
	}
	l.ready = slices.Insert(l.ready, 0, t)
	others := l.signed()
	var e *client.Error
	refused := errors.As(err, &e)
	switch {
	case others > 0:
		l.fewer(others, err)
	case refused && e.Temporary() && l.fails < queueDials:
		l.fails++
		delay := min(q.o.retry<<(l.fails-1), longestRetry)
		l.until = time.Now().Add(delay)
		l.note = fmt.Sprintf("Next try in %v: %v", delay.Round(time.Second), err)
	default:
		l.stopped, l.fails = true, 0
		l.note = fmt.Sprintf("Stopped: %v", err)
		q.release(l)
	}
	q.o.Changed()
	return false
}

// raise corrects the limit when a session was on its way in while another one was refused; q.mu is held.
func (l *lane) raise() {
	if n := l.signed(); l.limit > 0 && n > l.limit {
		l.fewer(n, l.refusal)
	}
}

// release gives what a lane has claimed back to the waiting ones; q.mu is held.
func (q *Queue) release(l *lane) {
	back := l.ready
	for _, d := range l.later {
		back = append(back, d.t)
	}
	l.ready, l.later = nil, nil
	for _, t := range back {
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
			return q.st.update(tx, r, func(r *record) { t.keep(r); r.State = Waiting; r.Recovered = r.Recovered || t.begun })
		})
	}
}

// post changes a task's record soon; a record that is gone is left alone. f gets the task as it is now: it may be under way
// again by then. The caller has the task in hand, or nobody has.
func (q *Queue) post(t *task, f func(tx *bolt.Tx, t *task, r *record) error) {
	now := *t
	q.st.post(func(tx *bolt.Tx) error {
		r, err := getRecord(tx, now.id)
		if err != nil || r == nil {
			return err
		}
		return f(tx, &now, r)
	})
}

// putBack does with a task what the cause of its end asks for; q.mu is held.
func (q *Queue) putBack(l *lane, t *task, cause error) {
	state := Waiting
	switch {
	case q.ctx.Err() != nil:
		// It stays as it is: the next run takes it up.
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error { return q.st.update(tx, r, t.keep) })
		return
	case errors.Is(cause, errRemove):
		q.missed(t.batch)
		q.post(t, func(tx *bolt.Tx, _ *task, r *record) error { return q.st.remove(tx, r) })
		return
	case errors.Is(cause, errPause):
		state = Paused
	}
	q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
		return q.st.update(tx, r, func(r *record) { t.keep(r); r.State = state; r.Recovered = r.Recovered || t.begun })
	})
}

// work does a task.
func (w *laneWorker) work(t *task) error {
	w.q.mu.Lock()
	batch := w.q.batches[t.batch]
	policy := Ask
	if batch != nil {
		policy = batch.Policy
		w.o = moving{resume: batch.Resume, overwrite: policy, segments: batch.Segments, durable: true}
	}
	w.o.down, w.o.up = w.q.limiter(w.q.down, w.l.down), w.q.limiter(w.q.up, w.l.up)
	w.rejects, w.replaced = nil, false
	w.q.worked = true
	w.q.mu.Unlock()
	defer func() {
		for _, r := range w.keeps {
			_ = r.Close()
		}
		w.keeps = nil
	}()
	if t.known {
		root, err := w.q.open(t, true)
		if err != nil {
			return err
		}
		t.root = root.Root
		defer w.q.drops(t.rootID, root)
	}
	w.q.mu.Lock()
	more := w.l.first(w) >= 0
	line := w.lineUp(t)
	w.q.mu.Unlock()
	w.follow(t, more, line)
	var err error
	t.moved, err = w.do(t)
	w.noteNotAhead()
	return err
}

// limiter picks the tighter of two limits; q.mu is held.
func (q *Queue) limiter(all, own *rate.Limiter) *rate.Limiter {
	if own.Limit() < all.Limit() {
		return own
	}
	return all
}

// finish keeps what became of a task.
func (w *laneWorker) finish(t *task, err error) {
	q, l := w.q, w.l
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.o.Changed()
	cause := context.Cause(w.ctx)
	w.stop(nil)
	w.task = nil
	offset := w.offset.Load()
	w.at(0)
	if err == nil && t.known && !t.folder {
		q.meter.base[t.Direction] += t.moved - offset
	}
	if err != nil && cause != nil {
		q.putBack(l, t, cause)
		if errors.Is(cause, errRemove) {
			q.landed(t)
		}
		return
	}
	var skip *skipped
	switch {
	case w.replaced:
		return // its record was changed together with what was found
	case err == nil && t.Direction == Download && t.known && !t.folder:
		q.arrived(l, t)
		return
	case err == nil:
		q.finished(t)
		return
	case errors.As(err, &skip):
		q.done++
		q.missed(t.batch)
		q.post(t, func(tx *bolt.Tx, _ *task, r *record) error {
			return q.st.finish(tx, r, Done, func(r *record) { r.Err = skip.why })
		})
	case w.passing(err) && t.tries+1 < queueTries:
		t.tries++
		t.problem = err.Error()
		delay := min(q.o.retry<<(t.tries-1), longestRetry)
		l.later = append(l.later, delayed{time.Now().Add(delay), t})
		slices.SortFunc(l.later, func(a, b delayed) int { return a.at.Compare(b.at) })
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error { return q.st.update(tx, r, t.keep) })
		l.rouse()
		return
	default:
		q.failed++
		q.missed(t.batch)
		q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
			return q.st.finish(tx, r, Failed, func(r *record) { t.keep(r); r.Err = err.Error(); r.Recovered = r.Recovered || t.begun })
		})
	}
	q.landed(t)
}

// finished is told of an item that is done; q.mu is held.
func (q *Queue) finished(t *task) {
	q.done++
	q.moved(t.batch)
	q.post(t, func(tx *bolt.Tx, t *task, r *record) error {
		return q.st.finish(tx, r, Done, func(r *record) { t.keep(r); r.Moved, r.Size, r.Err, r.Begun = t.moved, t.moved, "", false })
	})
	q.landed(t)
}

// landed counts a batch's items down.
func (q *Queue) landed(t *task) {
	direction := t.Direction
	q.st.post(func(tx *bolt.Tx) error {
		return q.left(tx, t.batch, -1, direction)
	})
}

// left changes how many items of a batch are left, and says when none is.
func (q *Queue) left(tx *bolt.Tx, batch uint64, by int, d Direction) error {
	var site uint32
	left := -1
	err := change(tx, bucketBatches, batch, func(b *batchRecord) { b.Left += by; left, site = b.Left, b.Site })
	if err == nil && left == 0 && q.o.Landed != nil {
		q.mu.Lock()
		s := q.sites[site]
		q.mu.Unlock()
		q.o.Landed(d, s)
	}
	return err
}

// passing says that a failure may pass.
func (w *laneWorker) passing(err error) bool {
	var other again
	if errors.As(err, &other) {
		return true
	}
	var e *client.Error
	return errors.As(err, &e) && (e.Temporary() || w.s.Err() != nil && e.Reason != "local")
}

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

// destination is what the task's file is called where it goes to.
func (t *task) destination() string {
	if t.Direction == Upload {
		return t.Remote
	}
	return t.Local
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

// The lane is who lends its workers' sessions.

func (l *lane) mayLend() bool { return len(l.workers)+l.spares < l.connections() }

func (l *lane) dialSpare(ctx context.Context) (*client.Session, error) {
	l.q.mu.Lock()
	site := l.site
	l.q.mu.Unlock()
	return l.q.o.Dial(ctx, site)
}

func (l *lane) cannotLend(err error) { l.fewer(l.signed(), err) }

func (l *lane) lendsOther() {
	l.raise()
	l.q.kickLocked()
	l.q.o.Changed()
}

// borrow takes the session of a worker that has nothing to do; the worker leaves, or dials anew. q.mu is held.
func (l *lane) borrow() *client.Session {
	for w := range l.workers {
		if w.task == nil && w.signed && w.s.Err() == nil && w.mode == l.site.Mode {
			s := w.s
			w.s, w.signed = nil, false
			l.rouse()
			return s
		}
	}
	return nil
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
