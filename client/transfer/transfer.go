// Package transfer moves files and folders to and from a server over several sessions at once.
//
// A [Job] scans folders while it moves files. Promises:
//
//   - A download goes to NAME.part and takes its name only when it is whole and of the size that the server named; a
//     part that is left can be resumed. An upload that breaks is reset, so that the server does not take it for whole.
//     It goes straight to its name: taking it later would need the right to rename, and the right to delete what is there,
//     where many servers refuse RNTO; it would lose that file's owner and rights, need room for both, and cost two more round
//     trips a file. FileZilla and lftp do the same. Servers that keep the old file until the new one is whole do it
//     themselves (ProFTPD's HiddenStores, Portside).
//   - What a server sends beyond the size that it has named is limited to a GiB.
//   - Every file and folder that did not get across is named in [Result.Failures] or [Result.Skipped]; the others go on.
//   - Nothing is written outside the folder that was named, whatever names a server lists: see [os.Root]. So a link in
//     the local folder that leads out of it is not written through either.
//   - Folders are made as needed, empty ones too. Times are kept: of downloads always, of uploads when the server can
//     (MFMT). Links on the server are downloaded as the file they lead to, links to folders are skipped; a local link
//     is uploaded as the file it leads to when that lies in the same folder tree, else it is skipped. So a link never
//     makes a loop and never carries away what was not meant to go. Many servers list a link to a folder as a folder: one
//     that leads back is known by the server's numbers (unique), where it tells them. What is named is followed 256 folders
//     deep, and into a million folders; what is left out then fails with that reason.
//   - A session that breaks is dialled again, and a file that broke is continued, a bounded number of times. A server
//     that takes fewer connections than asked for gets fewer.
package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"portside/client"
	"portside/connlog"
)

// Direction is which way an item goes.
type Direction int

const (
	Download Direction = iota
	Upload
)

// String is "download" or "upload".
func (d Direction) String() string {
	if d == Upload {
		return "upload"
	}
	return "download"
}

// Item is one file or folder to move. Both paths name the thing itself, not the folder to put it into. Remote is
// absolute, or relative to the folder after sign-in, which is "".
type Item struct {
	Direction     Direction
	Local, Remote string
}

// Policy says what happens to a file that is there already.
type Policy int

const (
	Overwrite Policy = iota
	Skip
	Resume    // continue a shorter one, leave one of the same size, overwrite a longer one
	Newer     // overwrite an older one, leave the others
	Ask       // [Options.Ask] decides
	OtherSize // overwrite one of another size, leave the others
	Rename    // give the one that comes a name that is free: "name (1).txt"
)

// Conflict is a file that is there already.
type Conflict struct {
	Item
	LocalSize, RemoteSize int64 // bytes
	LocalTime, RemoteTime time.Time
}

// Options is what [Start] needs.
type Options struct {
	// Dial makes a session. It is called from several goroutines.
	Dial func(ctx context.Context) (*client.Session, error)
	// Parallel is how many sessions are used, 1 to 16; Segments of one file may make them more.
	Parallel int
	// Resume continues what an earlier run left: NAME.part on this side. It does not overwrite anything whole by itself.
	Resume    bool
	Overwrite Policy
	// Ask decides when Overwrite is [Ask]; one question at a time. An error cancels the job.
	Ask func(ctx context.Context, c Conflict) (Policy, error)
	// Segments is over how many connections one large file is downloaded, 1 to [MaxSegments]; 0 and 1: over one. It takes
	// a server that has REST, and files of at least a MiB a segment. No more than Segments or Parallel sessions, whichever
	// is more, are used by all files together; what finds no session free comes over those that are there.
	//
	// Uploads have no segments: they would take several STOR with REST into one file at a time, which RFC 3659 section 5.3
	// leaves open, and servers do differently: many cut the file off at the restart point, some hold it locked, some write
	// to a file of their own until the transfer ends. The result may be damaged in a way that its size does not show.
	Segments int
	// NoHash leaves out comparing hashes where the server has a command for it (HASH, XSHA256, XSHA1, XMD5, XCRC).
	NoHash bool
	// Down and Up limit the speed, see [NewLimit]; nil: no limit.
	Down, Up *rate.Limiter

	// For tests. Zero: the defaults.
	surplus int64
	look    time.Duration
	folders int
}

// Failure is a file or folder that did not get across, and why.
type Failure struct {
	Item
	Err error
}

// Error names the item and the cause.
func (f Failure) Error() string {
	on := f.Remote
	if f.Direction == Upload {
		on = f.Local
	}
	if on == "" {
		on = "of the whole folder" // of a URL without a path
	}
	head, why := fmt.Sprintf("%s %s: ", f.Direction, on), f.Err.Error()
	for strings.HasPrefix(why, head) { // an error of the session names the file as well
		why = strings.TrimPrefix(why, head)
	}
	return head + why
}

// Unwrap gives the cause.
func (f Failure) Unwrap() error { return f.Err }

// Current is a file that moves now.
type Current struct {
	Item
	Done, Total int64 // bytes
}

// Snapshot is how far a job is.
type Snapshot struct {
	Scanning            bool // folders are still being read: the totals grow
	Files, Done, Failed int  // files in all, moved, and failed (folders that failed too)
	SkippedFiles        int
	Bytes, BytesDone    int64
	Speed               float64       // bytes a second, over the last seconds
	Remaining           time.Duration // 0 when it can't be told
	Elapsed             time.Duration
	Sessions            int // in use
	Current             []Current
	Failures            []Failure
	Finished            bool
}

// Result is what became of a job.
type Result struct {
	Files    int // moved
	Bytes    int64
	Duration time.Duration
	Deleted  int // files and folders, by a mirror
	Failures []Failure
	Skipped  []Failure // left out by a rule, and which
	// Fewer is why fewer sessions were used than asked for; nil: they were not.
	Fewer error
	// Err is why the job ended before its time: cancelled, no session, no data channel.
	Err error
}

// OK says that everything got across.
func (r Result) OK() bool { return r.Err == nil && len(r.Failures) == 0 }

// Limits of a job's patience.
const (
	maxParallel = 16
	maxTries    = 3 // of one file or folder, and of one dial
	firstPause  = 500 * time.Millisecond
)

// Job is a transfer that goes on.
type Job struct {
	o       Options
	ctx     context.Context
	cancel  context.CancelCauseFunc
	done    chan struct{}
	started time.Time
	asking  sync.Mutex

	mu       sync.Mutex
	wake     *sync.Cond
	folders  []*task // to scan, the last first
	files    []*task // to move, the first first
	open     int     // tasks not finished
	scanning int     // of them folders
	alive    int     // workers
	workers  []*worker
	tree     bool            // there is a folder, so probably many files
	worked   bool            // a data connection has worked
	refused  map[string]bool // what the server can't do
	targets  map[string]bool
	lending
	seen   int // remote folders
	roots  []*os.Root
	pace   pace
	high   int64
	total  int
	bytes  int64
	moved  int64
	result Result
}

// task is one file or folder.
type task struct {
	Item
	folder bool
	known  bool     // folder or file is decided; else it is an item as given
	root   *os.Root // local names are below it
	rel    string   // local name below root
	size   int64    // -1: not known
	time   time.Time
	day    bool // time is of the day alone: an old file's in a listing of LIST
	timed  bool // time is MDTM's, where listings are not so precise
	link   bool
	line   lineage       // of a remote folder to read
	there  *client.Entry // an upload's target that exists; nil with listed: none
	listed bool
	tries  int
	// What earlier tries did:
	decided   bool   // the policy was asked
	from      int64  // and said to begin here
	as        string // and gave it another name
	begun     bool   // the destination was changed: the .part, or the file on the server, is of this task
	sent      int64  // an upload's bytes that went out, counted from the file's begin
	stale     bool   // what went out is of an older version of the file
	recovered bool   // an earlier run of the program had it in hand when it ended

	looked, atOnce bool           // see asksAtOnce
	entries        []client.Entry // of a folder that was listed already

	// In a queue:
	id, rootID, batch uint64
	place             string // the local folder that root is
	after             string // a folder of which entries up to this one are in the queue already
	priority          Priority
	claimed           time.Time
	owner             *laneWorker // has lined it up
	moved             int64
	problem           string // why the last try failed
}

// worker is one session's owner. Its session, task, dials and what is shown are guarded by j.mu.
type worker struct {
	mover
	j       *Job
	task    *task
	shown   Current // of the task, as it was taken up or begun: the rest of it is the worker's
	line    []*task // taken as well, to come after task
	dials   bool    // for what will come
	scanner bool
}

// Start begins to move items.
func Start(ctx context.Context, o Options, items ...Item) *Job {
	tasks := make([]*task, len(items))
	for i, it := range items {
		tasks[i] = &task{Item: it, size: -1}
	}
	return start(ctx, o, tasks)
}

// Beginning makes a dial that hands out s first. done closes s when nobody needed it.
func Beginning(s *client.Session, dial func(context.Context) (*client.Session, error)) (first func(context.Context) (*client.Session, error), done func()) {
	ready := make(chan *client.Session, 1)
	ready <- s
	first = func(ctx context.Context) (*client.Session, error) {
		select {
		case s := <-ready:
			if s.Err() == nil {
				return s, nil
			}
			_ = s.Close()
		default:
		}
		return dial(ctx)
	}
	done = func() {
		select {
		case s := <-ready:
			_ = s.Close()
		default:
		}
	}
	return first, done
}

// start begins to move tasks.
func start(ctx context.Context, o Options, tasks []*task) *Job {
	o.Parallel = min(max(o.Parallel, 1), maxParallel)
	j := &Job{o: o, done: make(chan struct{}), started: time.Now(), targets: map[string]bool{}, refused: map[string]bool{}, alive: o.Parallel}
	j.wake = sync.NewCond(&j.mu)
	j.ctx, j.cancel = context.WithCancelCause(ctx)
	j.add(nil, tasks...)
	how := moving{resume: o.Resume, overwrite: o.Overwrite, segments: o.Segments, noHash: o.NoHash, down: o.Down, up: o.Up, surplus: o.surplus, look: o.look}
	for i := range o.Parallel {
		j.workers = append(j.workers, &worker{mover: mover{h: j, ctx: j.ctx, o: how}, j: j, scanner: i == 0 && o.Parallel > 1})
	}
	var all sync.WaitGroup
	for _, w := range j.workers {
		all.Go(w.run)
	}
	stop := context.AfterFunc(j.ctx, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.wake.Broadcast()
	})
	go func() {
		all.Wait()
		stop()
		j.mu.Lock()
		for _, r := range j.roots {
			_ = r.Close()
		}
		if j.open > 0 && j.result.Err == nil {
			j.result.Err = context.Cause(j.ctx)
		}
		j.result.Duration = time.Since(j.started)
		j.mu.Unlock()
		j.cancel(nil)
		close(j.done)
	}()
	return j
}

// Cancel stops the job. What was begun is left so that it can be resumed.
func (j *Job) Cancel() { j.cancel(context.Canceled) }

// Wait returns when nothing of the job goes on any more.
func (j *Job) Wait() Result {
	<-j.done
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.result
}

// Done is closed when nothing of the job goes on any more.
func (j *Job) Done() <-chan struct{} { return j.done }

// Snapshot says how far the job is. Speed is measured from one call to the next, so it should be called a few times a
// second.
func (j *Job) Snapshot() Snapshot {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	s := Snapshot{Scanning: j.scanning > 0, Files: j.total, Done: j.result.Files, Failed: len(j.result.Failures),
		SkippedFiles: len(j.result.Skipped), Bytes: j.bytes, BytesDone: j.moved, Elapsed: now.Sub(j.started),
		Failures: slices.Clone(j.result.Failures), Sessions: j.spares}
	for _, w := range j.workers {
		if w.s != nil {
			s.Sessions++
		}
		if w.task == nil || w.task.folder || !w.task.known || w.s == nil { // what a listing moves is no progress of a file
			continue
		}
		c := w.shown
		c.Done = w.moved()
		s.BytesDone += c.Done
		s.Current = append(s.Current, c)
	}
	j.high = max(j.high, s.BytesDone)
	s.BytesDone = j.high // a file between two lists must not make the bar go back
	s.Bytes = max(s.Bytes, s.BytesDone)
	select {
	case <-j.done:
		s.Finished, s.Elapsed = true, j.result.Duration
		if secs := s.Elapsed.Seconds(); secs > 0 {
			s.Speed = float64(j.result.Bytes) / secs
		}
		return s
	default:
	}
	s.Speed = j.pace.speed(0, now, s.BytesDone)
	if left := s.Bytes - s.BytesDone; s.Speed >= 1 && left > 0 {
		s.Remaining = remaining(left, s.Speed)
	}
	return s
}

// add queues tasks.
func (j *Job) add(_ *task, tasks ...*task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range tasks {
		j.open++
		if t.folder || !t.known {
			j.scanning++
			j.tree = j.tree || t.folder || t.Direction == Download && strings.HasSuffix(t.Remote, "/")
			j.folders = append(j.folders, t)
			continue
		}
		j.total++
		j.bytes += max(t.size, 0)
		j.files = append(j.files, t)
	}
	j.wake.Broadcast()
}

// again queues a task once more.
func (j *Job) again(t *task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t.folder || !t.known {
		j.folders = append(j.folders, t)
	} else {
		j.files = append(j.files, t)
	}
	j.wake.Broadcast()
}

// manyFiles is how far scanning runs ahead of moving.
const manyFiles = 10_000

// next waits for a task; false: there is none any more. No task and true: there will probably be one, and it is time to
// dial for it, while another worker still reads the folders.
func (w *worker) next() (*task, bool) {
	j := w.j
	j.mu.Lock()
	defer j.mu.Unlock()
	w.task, w.dials = nil, false
	w.at(0)
	for {
		switch {
		case j.ctx.Err() != nil || j.open == 0:
			return nil, false
		case w.s == nil && j.sessions() >= j.most(): // segments have them all
		case len(w.line) > 0:
			w.take(w.line[0])
			w.line = w.line[1:]
			w.lineUp()
			return w.task, true
		case len(j.folders) > 0 && (len(j.files) == 0 || w.scanner && len(j.files) < manyFiles):
			last := len(j.folders) - 1
			w.take(j.folders[last])
			j.folders = j.folders[:last]
			return w.task, true
		case len(j.files) > 0:
			w.take(j.files[0])
			j.files = j.files[1:]
			w.lineUp()
			return w.task, true
		case w.s == nil && j.tree && j.scanning > 0:
			w.dials = true
			return nil, true
		}
		j.wake.Wait()
	}
}

// take takes a task in hand; w.j.mu is held.
func (w *worker) take(t *task) { w.task, w.shown = t, Current{Item: t.Item, Total: t.size} }

// finish takes a task off the list.
func (j *Job) finish(t *task, moved int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.workers {
		if w.task == t {
			w.task = nil
			w.at(0)
		}
	}
	j.open--
	file := t.known && !t.folder
	if !file {
		j.scanning--
	}
	switch {
	case err != nil:
		j.note(t.Item, err)
		if file {
			j.bytes -= max(t.size, 0)
		}
	case file:
		j.result.Files++
		j.moved += moved
		j.result.Bytes += moved
		j.bytes += moved - max(t.size, 0)
	}
	j.wake.Broadcast()
}

// reject takes up something that will not be moved.
func (j *Job) reject(_ *task, it Item, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.total++
	j.note(it, err)
}

// note names what did not get across.
func (j *Job) note(it Item, err error) {
	var skip *skipped
	if errors.As(err, &skip) {
		j.result.Skipped = append(j.result.Skipped, Failure{it, skip})
	} else {
		j.result.Failures = append(j.result.Failures, Failure{it, err})
	}
}

// stop ends the job because nothing more can be done.
func (j *Job) stop(err error) {
	j.mu.Lock()
	if j.result.Err == nil {
		j.result.Err = err
	}
	j.mu.Unlock()
	j.cancel(err)
}

// skipped is a reason for leaving something out that is no failure.
type skipped struct{ why string }

func (s *skipped) Error() string { return s.why }

func (w *worker) run() {
	defer w.drop()
	defer w.giveBack()
	for {
		t, more := w.next()
		if !more {
			return
		}
		if w.s == nil || w.s.Err() != nil {
			if !w.dial(t) {
				return
			}
		}
		if t == nil {
			continue
		}
		w.tellWhatFollows(t)
		moved, err := w.do(t)
		w.noteNotAhead()
		if w.j.ctx.Err() != nil && err != nil {
			return
		}
		if err == nil {
			w.j.finish(t, moved, nil)
			continue
		}
		if w.worthRetrying(err) && t.tries+1 < maxTries {
			t.tries++
			if !pause(w.j.ctx, firstPause<<t.tries) {
				return
			}
			w.j.again(t)
			continue
		}
		w.j.finish(t, 0, err)
		if w.noChannel(err) {
			w.j.stop(err)
			return
		}
	}
}

// noChannel says that no file will get across: before anything did, the data channel can't be opened.
func (w *worker) noChannel(err error) bool {
	var e *client.Error
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	return errors.As(err, &e) && e.Unopened && !w.j.worked
}

func (w *worker) worthRetrying(err error) bool {
	var other again
	if errors.As(err, &other) {
		return true
	}
	var e *client.Error
	if !errors.As(err, &e) || e.Reason == connlog.ReasonLocal {
		return false
	}
	if w.noChannel(err) && e.Code/100 != 4 || e.Code == 452 { // a full disk stays full for so short a time
		return false // it would only take longer to say so
	}
	return w.s.Err() != nil || e.Temporary()
}

// dial gets the worker a session for t, which may be nil. A dial that fails while other workers have one lowers their number by this one; the
// last worker tries again a few times, and then gives up the job.
func (w *worker) dial(t *task) bool {
	j := w.j
	w.drop()
	for try := 0; ; try++ {
		s, err := j.o.Dial(j.ctx)
		if err == nil {
			j.mu.Lock()
			w.s = s
			j.mu.Unlock()
			return true
		}
		if j.ctx.Err() != nil {
			return false
		}
		j.mu.Lock()
		last := j.alive == 1
		if !last {
			j.alive--
			j.result.Fewer = err
			w.task, w.dials = nil, false // it is no session that will be
			j.wake.Broadcast()
		}
		j.mu.Unlock()
		if !last {
			if t != nil {
				j.again(t)
			}
			return false
		}
		var e *client.Error
		if try+1 >= maxTries || !errors.As(err, &e) || !e.Temporary() {
			if t != nil {
				j.finish(t, 0, err)
			}
			j.stop(err)
			return false
		}
		if !pause(j.ctx, firstPause<<try) {
			return false
		}
	}
}

// drop closes the worker's session.
func (w *worker) drop() {
	w.j.mu.Lock()
	s := w.s
	w.s = nil
	w.j.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// claim makes sure that no two files of a job go to one place: a server may list names twice, or names that differ
// in case only, which are one file on Windows and macOS.
func (j *Job) claim(t *task, place string) error {
	if t.tries > 0 {
		return nil
	}
	if t.Direction == Download && caseless {
		place = strings.ToLower(place)
	}
	key := t.Direction.String() + " " + place
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.targets[key] {
		return errors.New("another file of this transfer has the same destination")
	}
	j.targets[key] = true
	return nil
}

func (j *Job) found(_ *task, folders int) error {
	most := cmp.Or(j.o.folders, maxFolders)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen+folders > most {
		return tooManyFolders(most)
	}
	j.seen += folders
	return nil
}

func (j *Job) keep(r *os.Root) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.roots = append(j.roots, r)
}

// child is a remote path below dir.
func child(dir, name string) string {
	if dir == "" || strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

// usableName refuses a remote name that can't be a local one.
func usableName(name string) error {
	if !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ContainsRune(name, 0) {
		return fmt.Errorf("%q can't be the name of a file here", name)
	}
	if runtime.GOOS == "windows" && (strings.ContainsAny(name, `<>:"|?*\`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")) {
		return fmt.Errorf("%q can't be the name of a file on Windows", name)
	}
	return nil
}

// ask decides about a file that is there already.
func (j *Job) ask(ctx context.Context, _ *task, c Conflict) (Policy, error) {
	if j.o.Ask == nil {
		return Skip, nil
	}
	j.asking.Lock()
	defer j.asking.Unlock()
	policy, err := j.o.Ask(ctx, c)
	if err != nil {
		j.stop(err)
	}
	return policy, err
}

func (j *Job) begin(t *task) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.workers {
		if w.task == t {
			w.take(t)
		}
	}
	return nil
}

func (j *Job) proved() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.worked = true
}

// most is how many sessions there may be.
func (j *Job) most() int { return max(j.o.Parallel, min(j.o.Segments, MaxSegments)) }

// sessions is how many there are, or will be at once; j.mu is held.
func (j *Job) sessions() int {
	n := j.spares
	for _, w := range j.workers {
		if w.s != nil || w.task != nil || w.dials {
			n++
		}
	}
	return n
}

func (j *Job) spare(ctx context.Context) (*client.Session, func(), error) {
	return j.lend(ctx, &j.mu, j)
}

// The job is who lends its sessions.

// mayLend: unless the server refused one.
func (j *Job) mayLend() bool { return j.sessions() < j.most() && j.result.Fewer == nil }

func (j *Job) dialSpare(ctx context.Context) (*client.Session, error) { return j.o.Dial(ctx) }
func (j *Job) cannotLend(err error)                                   { j.result.Fewer = err }
func (j *Job) lendsOther()                                            { j.wake.Broadcast() }

// borrow takes the session of a worker that has nothing to do; j.mu is held.
func (j *Job) borrow() *client.Session {
	for _, w := range j.workers {
		if w.task == nil && len(w.line) == 0 && w.s != nil && w.s.Err() == nil {
			s := w.s
			w.s = nil
			return s
		}
	}
	return nil
}

func (j *Job) can(what string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.refused[what]
}

func (j *Job) cannot(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refused[what] = true
}
