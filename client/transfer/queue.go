package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
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
