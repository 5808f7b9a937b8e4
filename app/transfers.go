package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"portside/client"
	"portside/client/transfer"
)

// Transfers is the transfer queue as a screen shows it.
type Transfers struct {
	transfer.QueueSnapshot
	// Shown is the page that the screen asked for with [App.ShowTransfers], as it was at the last look: at most
	// [TransfersShown] items.
	Shown []transfer.QueueItem
	State transfer.State // whose items Shown are
	From  int            // how many of them stand before Shown
}

// TransfersShown is how many waiting, failed or done items a page holds.
const TransfersShown = 1000

// Listed is how many items of a state [App.ShowTransfers] leads to.
func (t Transfers) Listed(state transfer.State) int {
	n := t.Items[state]
	if state == transfer.Waiting {
		n += t.Items[transfer.Paused]
	}
	return n
}

// AfterTransfers is what happens when the last transfer has ended.
type AfterTransfers int

const (
	AfterNothing AfterTransfers = iota
	AfterDisconnect
	AfterQuit
)

// TransfersEnded tells that nothing is left to move.
type TransfersEnded struct {
	Done, Failed int // since the last time
	After        AfterTransfers
}

// Sentence says it.
func (e TransfersEnded) Sentence() string {
	files := func(n int) string {
		if n == 1 {
			return "1 file was"
		}
		return fmt.Sprintf("%d files were", n)
	}
	switch {
	case e.Done == 0 && e.Failed == 0:
		return "Nothing was copied."
	case e.Failed == 0:
		return files(e.Done) + " copied."
	case e.Done == 0:
		return files(e.Failed) + " not copied."
	}
	return fmt.Sprintf("%s copied, %d failed.", files(e.Done), e.Failed)
}

// OverwriteQuestion asks what to do about a file that is there already. Answer must be called once.
type OverwriteQuestion struct {
	transfer.Conflict
	// Answer takes the policy, and whether it holds for all further files of the same request. A cancelled question takes
	// the rest of the request out of the queue.
	Answer func(policy transfer.Policy, all bool)
	Cancel func()
}

// PasswordQuestion asks for a password that the queue needs: none is kept in it.
type PasswordQuestion struct {
	Target client.Target
	Answer func(password string)
	Cancel func() // the site's transfers stay where they are
}

// OverwriteQuestion returns the question that waits for an answer, or nil.
func (a *App) OverwriteQuestion() *OverwriteQuestion {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	return a.queue.question
}

// PasswordQuestion returns the question that waits for an answer, or nil.
func (a *App) PasswordQuestion() *PasswordQuestion {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	return a.queue.password
}

// Transfers returns the queue's state.
func (a *App) Transfers() Transfers {
	q := a.queue
	t := Transfers{}
	if queue := q.get(); queue != nil {
		t.QueueSnapshot = queue.Snapshot()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t.State = q.want.state
	if q.at.state == q.want.state {
		t.Shown, t.From = q.shown, q.at.from
	}
	return t
}

// ShowTransfers says which items [Transfers.Shown] is to hold: the page with item number from, counted from 0, of the
// waiting ones (with the paused ones behind them), the failed or the done ones. The ones under way are always there.
func (a *App) ShowTransfers(state transfer.State, from int) {
	a.queue.mu.Lock()
	a.queue.want = transferPage{state, max(0, from) / TransfersShown * TransfersShown}
	a.queue.mu.Unlock()
	a.queue.changed()
}

// TransfersRunning returns how many files and folders are to be moved, unless the queue is paused, and how many
// synchronizations are deleting what is to go after that.
func (a *App) TransfersRunning() int {
	n := int(a.queue.adding.Load() + a.sync.deleting.Load())
	if queue := a.queue.get(); queue != nil && !queue.Paused() {
		s := queue.Snapshot()
		n += s.Items[transfer.Waiting] + s.Items[transfer.Active]
	}
	return n
}

// OnTransfersEnded sets what is called, as a task, when everything was moved and the settings don't want quiet.
func (a *App) OnTransfersEnded(f func(TransfersEnded)) {
	a.queue.mu.Lock()
	a.queue.tell = f
	a.queue.mu.Unlock()
}

// TakeTransfersEnded tells once that everything was moved.
func (a *App) TakeTransfersEnded() *TransfersEnded {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	e := a.queue.ended
	a.queue.ended = nil
	return e
}

// AfterTransfers is what will happen when the last transfer has ended.
func (a *App) AfterTransfers() AfterTransfers {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	return a.queue.after
}

// SetAfterTransfers changes what happens when the last transfer has ended, this once.
func (a *App) SetAfterTransfers(after AfterTransfers) {
	a.queue.mu.Lock()
	a.queue.after = after
	a.queue.mu.Unlock()
	a.changed()
}

// SpeedLimits returns the limits of all transfers together, in KiB a second; 0: none.
func (a *App) SpeedLimits() (down, up int) {
	set := a.Settings().Connect
	return set.DownLimit, set.UpLimit
}

// SetSpeedLimits changes and keeps the limits, for what is under way, too.
func (a *App) SetSpeedLimits(down, up int) {
	down, up = max(down, 0), max(up, 0)
	a.ChangeSettings(func(s *Settings) { s.Connect.DownLimit, s.Connect.UpLimit = down, up })
	a.onQueue(func(q *transfer.Queue) error {
		down, up := a.SpeedLimits()
		q.SetSpeed(int64(down)<<10, int64(up)<<10)
		return nil
	})
}

// DownloadFrom copies entries of a remote folder into a local folder.
func (a *App) DownloadFrom(dir string, entries []client.Entry, into string) {
	orders := make([]transfer.Order, len(entries))
	for i, e := range entries {
		orders[i] = transfer.Order{Item: transfer.Item{Direction: transfer.Download, Local: filepath.Join(into, e.Name), Remote: path.Join(dir, e.Name)}}
		if (e.Type == client.File || e.Type == client.Folder) && e.Target == "" {
			orders[i].Entry = &e
		}
	}
	a.enqueue(orders, nameEntries(entries)+" from "+a.Remote().Target.Host)
}

// UploadPaths copies files and folders of this computer into the remote folder shown.
func (a *App) UploadPaths(paths []string) { a.UploadPathsTo(paths, a.Remote().Folder.Path) }

// UploadPathsTo copies files and folders of this computer into a remote folder.
func (a *App) UploadPathsTo(paths []string, dir string) {
	if len(paths) == 0 {
		return
	}
	orders := make([]transfer.Order, len(paths))
	for i, p := range paths {
		orders[i] = transfer.Order{Item: transfer.Item{Direction: transfer.Upload, Local: p, Remote: path.Join(dir, filepath.Base(p))}}
	}
	title := filepath.Base(paths[0])
	if len(paths) > 1 {
		title = fmt.Sprintf("%d entries", len(paths))
	}
	a.enqueue(orders, title+" to "+a.Remote().Target.Host)
}

func nameEntries(entries []client.Entry) string {
	if len(entries) == 1 {
		return entries[0].Name
	}
	return fmt.Sprintf("%d entries", len(entries))
}

// enqueue puts orders into the queue, for the server that the panes are connected to.
func (a *App) enqueue(orders []transfer.Order, title string) {
	r := a.remote()
	r.mu.Lock()
	opts := r.opts
	ref := ""
	if r.site != nil {
		ref = r.site.id
	}
	r.mu.Unlock()
	if opts.Host == "" || len(orders) == 0 {
		return
	}
	a.enqueueFor(opts, ref, transfer.Batch{Title: title, Resume: true, Policy: a.Settings().Connect.Overwrite.policy()},
		func(yield func(transfer.Order) bool) {
			for _, o := range orders {
				if !yield(o) {
					return
				}
			}
		})
}

// enqueueFor puts orders into the queue for the server that opts lead to, which is ref in the site book or "".
func (a *App) enqueueFor(opts client.Options, ref string, b transfer.Batch, orders iter.Seq[transfer.Order]) {
	t := opts.Target
	t.Path, t.Password = "", ""
	b.Site = transfer.Site{URL: t.URL(), Mode: opts.Mode, Ref: ref}
	b.Segments = a.Settings().Connect.Segments
	q := a.queue
	q.mu.Lock()
	q.known[knownAs(b.Site)] = opts
	q.mu.Unlock()
	q.adding.Add(1)
	ok := a.run(func(context.Context) {
		defer q.changed()
		defer q.adding.Add(-1)
		queue, err := q.open()
		if err == nil {
			_, err = queue.Add(b, orders)
		}
		if err != nil && b.Ended != nil {
			b.Ended(false)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			a.notify(Sentence(err), true)
		}
	})
	if !ok {
		q.adding.Add(-1)
	}
	a.changed()
}

// onQueue does something with the queue as a task; what goes wrong becomes a notice.
func (a *App) onQueue(f func(q *transfer.Queue) error) {
	a.run(func(context.Context) {
		a.queue.opening.Lock() // its file may be on its way
		queue := a.queue.get()
		a.queue.opening.Unlock()
		if queue == nil {
			return
		}
		if err := f(queue); err != nil {
			a.notify(Sentence(err), true)
		}
		a.queue.changed()
	})
}

// PauseTransfers puts everything under way back and moves nothing until [App.ResumeTransfers], what comes later neither.
func (a *App) PauseTransfers() {
	a.run(func(context.Context) {
		queue, err := a.queue.open()
		if err != nil {
			if !errors.Is(err, context.Canceled) { // the application closes
				a.notify(Sentence(err), true)
			}
			return
		}
		queue.PauseAll()
		a.queue.changed()
	})
}

// ResumeTransfers goes on, also with what was paused one by one and with servers that were given up.
func (a *App) ResumeTransfers() { a.onQueue((*transfer.Queue).ResumeAll) }

// PauseItems lets items of the queue rest.
func (a *App) PauseItems(ids []uint64) {
	a.onQueue(func(q *transfer.Queue) error { return q.Pause(ids...) })
}

// ResumeItems lets paused items go on, and tries failed ones again.
func (a *App) ResumeItems(ids []uint64) {
	a.onQueue(func(q *transfer.Queue) error { return q.Resume(ids...) })
}

// RemoveItems takes items out of the queue. What was downloaded of one stays as a .part file.
func (a *App) RemoveItems(ids []uint64) {
	a.onQueue(func(q *transfer.Queue) error { return q.Remove(ids...) })
}

// PrioritizeItems changes which waiting items go first.
func (a *App) PrioritizeItems(p transfer.Priority, ids []uint64) {
	a.onQueue(func(q *transfer.Queue) error { return q.Prioritize(p, ids...) })
}

// MoveItems changes the order of waiting items.
func (a *App) MoveItems(to transfer.Where, ids []uint64) {
	a.onQueue(func(q *transfer.Queue) error { return q.Move(to, ids...) })
}

// RetryFailed tries everything that failed again.
func (a *App) RetryFailed() { a.onQueue((*transfer.Queue).RetryFailed) }

// CancelTransfers takes out everything that is not moved yet.
func (a *App) CancelTransfers() {
	a.onQueue(func(q *transfer.Queue) error { return errors.Join(q.Clear(transfer.Waiting), q.Clear(transfer.Paused)) })
}

// ClearTransfers forgets the items that are done, or that failed.
func (a *App) ClearTransfers(state transfer.State) {
	a.onQueue(func(q *transfer.Queue) error { return q.Clear(state) })
}

// OverwriteChoice is what happens to files that are there already, as the settings keep it.
type OverwriteChoice string

const (
	OverwriteAsk    OverwriteChoice = "ask"
	OverwriteAlways OverwriteChoice = "always"
	OverwriteNewer  OverwriteChoice = "newer"
	OverwriteSize   OverwriteChoice = "size"
	OverwriteResume OverwriteChoice = "resume"
	OverwriteRename OverwriteChoice = "rename"
	OverwriteSkip   OverwriteChoice = "skip"
)

// OverwriteChoices are all of them, as they are listed.
var OverwriteChoices = []OverwriteChoice{OverwriteAsk, OverwriteAlways, OverwriteNewer, OverwriteSize, OverwriteResume, OverwriteRename, OverwriteSkip}

func (c OverwriteChoice) policy() transfer.Policy {
	switch c {
	case OverwriteAlways:
		return transfer.Overwrite
	case OverwriteNewer:
		return transfer.Newer
	case OverwriteSize:
		return transfer.OtherSize
	case OverwriteResume:
		return transfer.Resume
	case OverwriteRename:
		return transfer.Rename
	case OverwriteSkip:
		return transfer.Skip
	}
	return transfer.Ask
}

func (c OverwriteChoice) known() bool { return slices.Contains(OverwriteChoices, c) }

// SiteName is a queued site as a person knows it: its name in the site book, else its address.
func (a *App) SiteName(site transfer.Site) string {
	if n := a.site(site.Ref); site.Ref != "" && n != nil {
		return n.Name
	}
	t, err := client.ParseURL(site.URL)
	if err != nil {
		return site.URL
	}
	name := t.Host
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if t.Port != 0 {
		name = fmt.Sprintf("%s:%d", name, t.Port)
	}
	if t.User != "" && t.User != client.Anonymous {
		name = t.User + "@" + name
	}
	return name
}
