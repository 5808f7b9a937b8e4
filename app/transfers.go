package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"sync"
	"time"

	"portside/client"
	"portside/client/transfer"
)

// TransferPhase is how far a transfer has come.
type TransferPhase string

const (
	TransferRunning   TransferPhase = "running"
	TransferDone      TransferPhase = "done"
	TransferFailed    TransferPhase = "failed" // at least one file could not be moved
	TransferCancelled TransferPhase = "cancelled"
)

// Transfer is one request to copy files and folders, as a screen shows it.
type Transfer struct {
	ID       uint64
	Download bool
	Title    string
	Phase    TransferPhase
	Started  time.Time
	Ended    time.Time
	Err      string // why it ended before its time
	transfer.Snapshot
}

// maxTransfers is how many finished transfers are remembered.
const maxTransfers = 100

type transfers struct {
	app *App
	mu  sync.Mutex
	all []*running

	asking   sync.Mutex // one question at a time
	question *OverwriteQuestion
}

// OverwriteQuestion asks what to do about a file that is there already. Answer must be called once.
type OverwriteQuestion struct {
	transfer.Conflict
	// Answer takes the policy, and whether it holds for all further files of the same transfer. A cancelled question
	// cancels the transfer.
	Answer func(policy transfer.Policy, all bool)
	Cancel func()
}

// OverwriteQuestion returns the question that waits for an answer, or nil.
func (a *App) OverwriteQuestion() *OverwriteQuestion {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	return a.queue.question
}

// asker returns what a transfer asks with. It remembers an answer that was given for all.
func (q *transfers) asker() func(context.Context, transfer.Conflict) (transfer.Policy, error) {
	type answer struct {
		policy transfer.Policy
		all    bool
		err    error
	}
	var always *transfer.Policy
	return func(ctx context.Context, c transfer.Conflict) (transfer.Policy, error) {
		q.asking.Lock()
		defer q.asking.Unlock()
		if always != nil {
			return *always, nil
		}
		answers := make(chan answer, 1)
		reply := func(a answer) {
			select {
			case answers <- a:
			default: // answered already
			}
		}
		q.ask(&OverwriteQuestion{
			Conflict: c,
			Answer:   func(p transfer.Policy, all bool) { reply(answer{policy: p, all: all}) },
			Cancel:   func() { reply(answer{err: context.Canceled}) },
		})
		defer q.ask(nil)
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case a := <-answers:
			if a.all {
				always = &a.policy
			}
			return a.policy, a.err
		}
	}
}

func (q *transfers) ask(question *OverwriteQuestion) {
	q.mu.Lock()
	q.question = question
	q.mu.Unlock()
	q.app.changed()
}

type running struct {
	shown Transfer
	job   *transfer.Job
}

func newTransfers(a *App) *transfers { return &transfers{app: a} }

// Transfers returns all transfers, oldest first.
func (a *App) Transfers() []Transfer {
	q := a.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]Transfer, len(q.all))
	for i, t := range q.all {
		out[i] = t.shown
		if t.shown.Phase == TransferRunning {
			out[i].Snapshot = t.job.Snapshot()
		}
	}
	return out
}

// TransfersRunning returns how many transfers have not ended.
func (a *App) TransfersRunning() int {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	n := 0
	for _, t := range a.queue.all {
		if t.shown.Phase == TransferRunning {
			n++
		}
	}
	return n
}

// Download copies entries of the remote folder shown into a local folder.
func (a *App) Download(entries []client.Entry, into string) {
	dir := a.Remote().Folder.Path
	items := make([]transfer.Item, len(entries))
	for i, e := range entries {
		items[i] = transfer.Item{Direction: transfer.Download, Local: filepath.Join(into, e.Name), Remote: path.Join(dir, e.Name)}
	}
	a.transfer(items, nameEntries(entries)+" from "+a.Remote().Target.Host)
}

// Upload copies entries of a local folder into the remote folder shown.
func (a *App) Upload(entries []client.Entry, from string) {
	paths := make([]string, len(entries))
	for i, e := range entries {
		paths[i] = filepath.Join(from, e.Name)
	}
	a.UploadPaths(paths)
}

// UploadPaths copies files and folders of this computer into the remote folder shown.
func (a *App) UploadPaths(paths []string) {
	dir := a.Remote().Folder.Path
	items := make([]transfer.Item, len(paths))
	for i, p := range paths {
		items[i] = transfer.Item{Direction: transfer.Upload, Local: p, Remote: path.Join(dir, filepath.Base(p))}
	}
	title := filepath.Base(paths[0])
	if len(paths) > 1 {
		title = fmt.Sprintf("%d entries", len(paths))
	}
	a.transfer(items, title+" to "+a.Remote().Target.Host)
}

func nameEntries(entries []client.Entry) string {
	if len(entries) == 1 {
		return entries[0].Name
	}
	return fmt.Sprintf("%d entries", len(entries))
}

// transfer starts a transfer with sessions of its own, so that the panes stay usable meanwhile.
func (a *App) transfer(items []transfer.Item, title string) {
	r := a.remote()
	r.mu.Lock()
	opts := r.opts
	r.mu.Unlock()
	if opts.Host == "" || len(items) == 0 {
		return
	}
	parallel := a.Settings().Connect.Parallel
	t := &running{shown: Transfer{
		Download: items[0].Direction == transfer.Download, Title: title, Phase: TransferRunning, Started: time.Now(),
	}}
	a.mu.Lock()
	a.nextID++
	t.shown.ID = a.nextID
	a.mu.Unlock()
	started := make(chan struct{})
	ok := a.run(func(ctx context.Context) {
		t.job = transfer.Start(ctx, transfer.Options{
			Dial:      func(ctx context.Context) (*client.Session, error) { return client.Dial(ctx, opts) },
			Parallel:  parallel,
			Resume:    true, // a .part file that an earlier try left is gone on with
			Overwrite: transfer.Ask,
			Ask:       a.queue.asker(),
		}, items...)
		close(started)
		result := t.job.Wait()
		a.queue.ended(t, result)
	})
	if !ok {
		return
	}
	<-started // at once: Start only starts
	a.queue.mu.Lock()
	a.queue.all = append(a.queue.all, t)
	a.queue.mu.Unlock()
	a.changed()
}

func (q *transfers) ended(t *running, result transfer.Result) {
	q.mu.Lock()
	t.shown.Snapshot = t.job.Snapshot()
	t.shown.Ended = time.Now()
	switch {
	case errors.Is(result.Err, context.Canceled):
		t.shown.Phase = TransferCancelled
	case result.Err != nil:
		t.shown.Phase, t.shown.Err = TransferFailed, Sentence(result.Err)
	case len(result.Failures) > 0:
		t.shown.Phase = TransferFailed
	default:
		t.shown.Phase = TransferDone
	}
	for i := 0; len(q.all) > maxTransfers && i < len(q.all); {
		if q.all[i].shown.Phase == TransferRunning {
			i++
			continue
		}
		q.all = append(q.all[:i], q.all[i+1:]...)
	}
	q.mu.Unlock()
	q.app.changed()
	if t.shown.Download {
		q.app.RefreshLocal()
	} else {
		q.app.RefreshRemote()
	}
}

// CancelTransfer ends a transfer. What was downloaded stays as a .part file, from which it can be resumed.
func (a *App) CancelTransfer(id uint64) {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	for _, t := range a.queue.all {
		if t.shown.ID == id {
			t.job.Cancel()
		}
	}
}

func (q *transfers) cancelAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.all {
		t.job.Cancel()
	}
}

// ClearTransfers forgets the transfers that have ended.
func (a *App) ClearTransfers() {
	a.queue.mu.Lock()
	kept := a.queue.all[:0]
	for _, t := range a.queue.all {
		if t.shown.Phase == TransferRunning {
			kept = append(kept, t)
		}
	}
	a.queue.all = kept
	a.queue.mu.Unlock()
	a.changed()
}

// SaveFile writes a file as a task, and calls done from it. The old file stays until the new one is whole.
func (a *App) SaveFile(name string, write func(io.Writer) error, done func(error)) {
	a.run(func(context.Context) { done(saveFile(name, write)) })
}
