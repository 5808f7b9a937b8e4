package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// State is where in the queue an item is.
type State uint8

const (
	Waiting State = iota
	Active        // a worker has it, or it waits for its next try
	Paused
	Failed
	Done // moved, or left out by a rule
	states
)

// Priority is which of the waiting items of a site go first.
type Priority int8

const (
	Low    Priority = -1
	Normal Priority = 0
	High   Priority = 1
)

// kinds of a record.
const (
	named  uint8 = iota // as it was asked for: whether it is a file or a folder is not known yet
	file                // to move
	folder              // to read
)

// record is an item as it is kept on disk. Its paths are those of its root with Rel behind them.
type record struct {
	id       uint64
	Batch    uint64   `json:"b"`
	Site     uint32   `json:"si"`
	Root     uint64   `json:"r,omitempty"`
	Rel      string   `json:"p,omitempty"` // with slashes
	Kind     uint8    `json:"k,omitempty"`
	State    State    `json:"st,omitempty"`
	Priority Priority `json:"pr,omitempty"`
	Pos      int64    `json:"o"` // order among those of one state
	Size     int64    `json:"s"` // -1: not known
	Time     int64    `json:"t,omitempty"`
	Day      bool     `json:"dy,omitempty"` // Time is of the day alone
	Timed    bool     `json:"tm,omitempty"` // Time is MDTM's
	Link     bool     `json:"l,omitempty"`
	Line     lineage  `json:"ln,omitempty"` // of a remote folder
	After    string   `json:"a,omitempty"`  // a folder of which a part is in the queue already: up to this name

	Listed    bool   `json:"li,omitempty"`
	There     *there `json:"th,omitempty"`
	Decided   bool   `json:"d,omitempty"`
	From      int64  `json:"f,omitempty"`
	As        string `json:"as,omitempty"`
	Begun     bool   `json:"bg,omitempty"`
	Stale     bool   `json:"sl,omitempty"`
	Recovered bool   `json:"rc,omitempty"`
	Claimed   int64  `json:"c,omitempty"` // when it was first taken in hand

	Err   string `json:"e,omitempty"`
	Ended int64  `json:"en,omitempty"`
	Moved int64  `json:"m,omitempty"`
}

// there is a file at the destination.
type there struct {
	Size   int64 `json:"s"`
	Time   int64 `json:"t,omitempty"`
	Folder bool  `json:"f,omitempty"`
}

// rootRecord is what an item was named as, and what the paths of all that is found in it begin with.
type rootRecord struct {
	Direction Direction `json:"d"`
	Local     string    `json:"l"`
	Remote    string    `json:"r"`
	Place     string    `json:"p,omitempty"` // the local folder that Rel is below
	File      bool      `json:"f,omitempty"` // it is a single file: Rel is its local name
}

// batchRecord is one request.
type batchRecord struct {
	Site     uint32   `json:"s"`
	Title    string   `json:"t"`
	Policy   Policy   `json:"p"`
	Resume   bool     `json:"r"`
	Segments int      `json:"g,omitempty"`
	Priority Priority `json:"pr,omitempty"`
	Left     int      `json:"l"`            // items that are not done
	Folders  int      `json:"fo,omitempty"` // that were found in the server's
}

var (
	bucketItems   = []byte("items")
	bucketRoots   = []byte("roots")
	bucketBatches = []byte("batches")
	bucketSites   = []byte("sites")
	bucketMeta    = []byte("meta")
	bucketOrder   = [states][]byte{[]byte("waiting"), []byte("active"), []byte("paused"), []byte("failed"), []byte("done")}
	keyTotals     = []byte("totals")
)

// totals are how many items there are, kept with them in one transaction.
type totals struct {
	Items [states]int   `json:"i"`
	Bytes [states]int64 `json:"b"`
	Next  int64         `json:"n"` // the next place at the end
	First int64         `json:"f"` // the next place at the begin
}

// store is the queue's file. One goroutine writes; what comes while it does goes into its next transaction together.
type store struct {
	db *bolt.DB

	mu      sync.Mutex
	pending []op
	waits   bool // somebody waits for one of them
	wake    chan struct{}
	closed  bool
	ended   chan struct{}
	broken  error
	totals  totals          // as committed, or about to be
	waiting map[uint32]int  // of a site
	ready   func(err error) // hears that something was committed

	// Of the transaction under way; the writer's own.
	now totals
	per map[uint32]int
}

type op struct {
	do   func(tx *bolt.Tx) error
	done chan error
}

// lockWait is how long another program that has the queue is waited for.
const lockWait = 2 * time.Second

// errInUse: another Portside has the queue.
var errInUse = errors.New("another Portside is using it")

// ErrDamaged says that the queue's file holds something else.
var ErrDamaged = errors.New("it is damaged")

// guarded runs do with what a damaged file makes of the library an error: it panics, and where the file is cut off it reads
// memory that is not there.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return do()
}

func openFile(name string, o *bolt.Options) (db *bolt.DB, err error) {
	o.Timeout = lockWait
	err = guarded(func() (err error) {
		db, err = bolt.Open(name, 0o600, o)
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, errInUse
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return db, err
}

// checkFile says whether a file can be opened for good. The library looks for free pages then, and ends the program from a
// goroutine of its own when it finds something odd.
func checkFile(name string) error {
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0 {
		return nil // it is made
	}
	if err != nil {
		return err
	}
	db, err := openFile(name, &bolt.Options{ReadOnly: true})
	if err != nil {
		if small := int64(2 * os.Getpagesize()); !errors.Is(err, errInUse) && st.Size() < small { // no error of its own in the library
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return err
	}
	defer db.Close()
	if st, err = os.Stat(name); err != nil { // now that nobody else writes
		return err
	}
	return guarded(func() error {
		return db.View(func(tx *bolt.Tx) error {
			if tx.Size() > st.Size() {
				return fmt.Errorf("%w: its end is missing", ErrDamaged)
			}
			return tx.ForEach(func(_ []byte, b *bolt.Bucket) error { return checkBucket(b) })
		})
	})
}

// checkBucket goes through all that a bucket holds.
func checkBucket(b *bolt.Bucket) error {
	var before []byte
	return b.ForEach(func(k, _ []byte) error {
		if before != nil && bytes.Compare(before, k) >= 0 {
			return fmt.Errorf("%w: it is out of order", ErrDamaged)
		}
		before = k
		return nil
	})
}

func openStore(name string) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	if err := checkFile(name); err != nil {
		return nil, err
	}
	db, err := openFile(name, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	s := &store{db: db, wake: make(chan struct{}, 1), ended: make(chan struct{}), waiting: map[uint32]int{}}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, b := range append([][]byte{bucketItems, bucketRoots, bucketBatches, bucketSites, bucketMeta}, bucketOrder[:]...) {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		if b := tx.Bucket(bucketMeta).Get(keyTotals); b != nil {
			if err := json.Unmarshal(b, &s.now); err != nil {
				return fmt.Errorf("%w: its totals can't be read: %w", ErrDamaged, err)
			}
		}
		s.per = map[uint32]int{}
		return tx.Bucket(bucketSites).ForEach(func(k, v []byte) error {
			var site Site
			if err := json.Unmarshal(v, &site); err != nil {
				return fmt.Errorf("%w: a site can't be read: %w", ErrDamaged, err)
			}
			s.per[uint32(number(k))] = site.Waiting
			return nil
		})
	})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	s.publish()
	go s.run()
	return s, nil
}

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func number(k []byte) uint64 { return binary.BigEndian.Uint64(k) }

// orderKey is where an item stands among those of its state: waiting ones by site, priority and place.
func (r *record) orderKey() []byte {
	var k []byte
	if r.State == Waiting {
		k = append(binary.BigEndian.AppendUint32(nil, r.Site), byte(High-r.Priority))
	}
	k = binary.BigEndian.AppendUint64(k, uint64(r.Pos)^1<<63)
	return binary.BigEndian.AppendUint64(k, r.id)
}

// idIn is the item's number at the end of an order key.
func idIn(k []byte) uint64 { return number(k[len(k)-8:]) }

// window is how long a transaction that nobody waits for gathers.
const window = 50 * time.Millisecond

func (s *store) run() {
	defer close(s.ended)
	for range s.wake {
		s.mu.Lock()
		waits := s.waits
		closed := s.closed
		s.mu.Unlock()
		if !waits && !closed {
			s.gather()
		}
		s.mu.Lock()
		ops := s.pending
		s.pending, s.waits = nil, false
		closed = s.closed
		err := s.broken
		s.mu.Unlock()
		if len(ops) > 0 && err == nil {
			err = s.commit(ops)
		} else {
			for _, o := range ops {
				o.answer(err)
			}
		}
		if err != nil {
			s.mu.Lock()
			s.broken = err
			s.mu.Unlock()
		}
		if s.ready != nil && len(ops) > 0 {
			s.ready(err)
		}
		if closed {
			return
		}
	}
}

// gather waits for more to come, until somebody waits for it.
func (s *store) gather() {
	enough := time.NewTimer(window)
	defer enough.Stop()
	for {
		select {
		case <-enough.C:
			return
		case <-s.wake:
			s.mu.Lock()
			now := s.waits || s.closed
			s.mu.Unlock()
			if now {
				return
			}
		}
	}
}

func (o op) answer(err error) {
	if o.done != nil {
		o.done <- err
	}
}

// commit runs ops in one transaction. An op's own error is its caller's; it must have written nothing then.
func (s *store) commit(ops []op) error {
	errs := make([]error, len(ops))
	before, per := s.now, map[uint32]int{}
	for k, v := range s.per {
		per[k] = v
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		for i, o := range ops {
			errs[i] = o.do(tx)
		}
		b, err := json.Marshal(s.now)
		if err != nil {
			return err
		}
		if err := tx.Bucket(bucketMeta).Put(keyTotals, b); err != nil {
			return err
		}
		for id, n := range s.per {
			if per[id] == n {
				continue
			}
			if err := change(tx, bucketSites, uint64(id), func(site *Site) { site.Waiting = n }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.now, s.per = before, per
		err = fmt.Errorf("the transfer queue can't be written: %w", err)
	}
	s.publish()
	for i, o := range ops {
		o.answer(errors.Join(err, errs[i]))
	}
	return err
}

func (s *store) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals = s.now
	for k, v := range s.per {
		s.waiting[k] = v
	}
}

func (s *store) counts() totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals
}

func (s *store) waitingOf(site uint32) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting[site]
}

func (s *store) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

func (s *store) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

var errClosed = errors.New("the transfer queue is closed")

// do runs f in a transaction and waits until it is on disk.
func (s *store) do(f func(tx *bolt.Tx) error) error {
	done := make(chan error, 1)
	if err := s.put(op{f, done}); err != nil {
		return err
	}
	return <-done
}

// post runs f in a transaction soon.
func (s *store) post(f func(tx *bolt.Tx) error) { _ = s.put(op{f, nil}) }

func (s *store) put(o op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if s.broken != nil {
		return s.broken
	}
	s.pending = append(s.pending, o)
	s.waits = s.waits || o.done != nil
	s.rouse()
	return nil
}

// close writes what is pending and lets go of the file.
func (s *store) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.rouse()
	s.mu.Unlock()
	<-s.ended
	return s.db.Close()
}

func get[T any](tx *bolt.Tx, bucket []byte, id uint64) (*T, error) {
	b := tx.Bucket(bucket).Get(key(id))
	if b == nil {
		return nil, nil
	}
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("an entry of the transfer queue can't be read: %w", err)
	}
	if n, ok := any(v).(withNames); ok {
		v = n.with(fromText).(*T)
	}
	return v, nil
}

// JSON holds UTF-8 alone, and a name may be any bytes: what is no UTF-8 stands there as base64, behind a zero byte, which
// no name has.
func asText(name string) string {
	if utf8.ValidString(name) && !strings.HasPrefix(name, "\x00") {
		return name
	}
	return "\x00" + base64.StdEncoding.EncodeToString([]byte(name))
}

func fromText(text string) string {
	if code, ok := strings.CutPrefix(text, "\x00"); ok {
		if name, err := base64.StdEncoding.DecodeString(code); err == nil {
			return string(name)
		}
	}
	return text
}

// withNames is a record with names in it; with returns a copy with the changed names.
type withNames interface {
	with(change func(string) string) any
}

func (r *record) with(change func(string) string) any {
	c := *r
	c.Rel, c.After, c.As = change(r.Rel), change(r.After), change(r.As)
	return &c
}

func (r *rootRecord) with(change func(string) string) any {
	c := *r
	c.Local, c.Remote, c.Place = change(r.Local), change(r.Remote), change(r.Place)
	return &c
}

func put(tx *bolt.Tx, bucket []byte, id uint64, v any) error {
	if n, ok := v.(withNames); ok {
		v = n.with(asText)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put(key(id), b)
}

func change[T any](tx *bolt.Tx, bucket []byte, id uint64, f func(*T)) error {
	v, err := get[T](tx, bucket, id)
	if err != nil || v == nil {
		return err
	}
	f(v)
	return put(tx, bucket, id, v)
}

func getRecord(tx *bolt.Tx, id uint64) (*record, error) {
	r, err := get[record](tx, bucketItems, id)
	if r != nil {
		r.id = id
	}
	return r, err
}

// count adds an item to the totals, or takes it out.
func (s *store) count(r *record, by int) {
	if r.Kind == folder && r.State == Done {
		return
	}
	s.now.Items[r.State] += by
	s.now.Bytes[r.State] += int64(by) * max(r.Size, 0)
	if r.State == Waiting {
		s.per[r.Site] += by
	}
}

// insert adds a new item, whose id is given out here.
func (s *store) insert(tx *bolt.Tx, r *record) error {
	items := tx.Bucket(bucketItems)
	id, err := items.NextSequence()
	if err != nil {
		return err
	}
	r.id = id
	if r.Root == 0 {
		r.Root = id
	}
	if r.Pos == 0 {
		s.now.Next++
		r.Pos = s.now.Next
	}
	items.FillPercent = 0.9 // ids only grow
	if err := put(tx, bucketItems, id, r); err != nil {
		return err
	}
	s.count(r, 1)
	return tx.Bucket(bucketOrder[r.State]).Put(r.orderKey(), nil)
}

// update changes an item where it is.
func (s *store) update(tx *bolt.Tx, r *record, f func(*record)) error {
	if err := tx.Bucket(bucketOrder[r.State]).Delete(r.orderKey()); err != nil {
		return err
	}
	s.count(r, -1)
	f(r)
	s.count(r, 1)
	if err := put(tx, bucketItems, r.id, r); err != nil {
		return err
	}
	return tx.Bucket(bucketOrder[r.State]).Put(r.orderKey(), nil)
}

// remove takes an item out.
func (s *store) remove(tx *bolt.Tx, r *record) error {
	if err := tx.Bucket(bucketOrder[r.State]).Delete(r.orderKey()); err != nil {
		return err
	}
	s.count(r, -1)
	return tx.Bucket(bucketItems).Delete(key(r.id))
}

// finish moves an item to the end of a state's list.
func (s *store) finish(tx *bolt.Tx, r *record, to State, f func(*record)) error {
	return s.update(tx, r, func(r *record) {
		s.now.Next++
		r.State, r.Pos, r.Ended = to, s.now.Next, time.Now().UnixNano()
		f(r)
	})
}
