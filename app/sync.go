package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
)

// SyncPhase is how far a synchronization has come.
type SyncPhase string

const (
	SyncIdle      SyncPhase = ""
	SyncComparing SyncPhase = "comparing"
	SyncReady     SyncPhase = "ready" // the plan is there, nothing was changed
	SyncRunning   SyncPhase = "running"
	SyncDone      SyncPhase = "done"
	SyncFailed    SyncPhase = "failed"
)

// Sync is the synchronization of two folders as a screen shows it.
type Sync struct {
	Phase   SyncPhase
	Folders int            // read so far
	Plan    *transfer.Plan // when ready and later
	Err     string
	Result  string // what was done
}

type syncing struct {
	mu     sync.Mutex
	state  Sync
	opts   client.Options // of the server that the plan is for
	ref    string
	round  int // grows with each comparison: an older one's outcome is dropped
	cancel context.CancelFunc

	deleting atomic.Int64 // plans that are at their last step
}

// Sync returns how far the synchronization is.
func (a *App) Sync() Sync {
	a.sync.mu.Lock()
	defer a.sync.mu.Unlock()
	return a.sync.state
}

// CompareFolders finds out what has to be done to make one of two folders like the other, with a session of its own.
// Nothing is changed but what is remembered of m.Exclude; the plan shows in [App.Sync].
func (a *App) CompareFolders(m transfer.Mirror) {
	r := a.remote()
	r.mu.Lock()
	opts, ref := r.opts, ""
	if r.site != nil {
		ref = r.site.id
	}
	r.mu.Unlock()
	a.ChangeSettings(func(s *Settings) { s.Connect.SyncExclude = m.Exclude })
	y := &a.sync
	a.CancelSync()
	ctx, cancel := context.WithCancel(a.ctx)
	y.mu.Lock()
	y.round++
	round := y.round
	y.state, y.opts, y.ref, y.cancel = Sync{Phase: SyncComparing}, opts, ref, cancel
	y.mu.Unlock()
	a.changed()
	set := func(f func(*Sync)) {
		y.mu.Lock()
		if y.round == round {
			f(&y.state)
		}
		y.mu.Unlock()
		a.changed()
	}
	ok := a.run(func(context.Context) {
		defer cancel()
		s, err := client.Dial(ctx, opts)
		var plan *transfer.Plan
		if err == nil {
			plan, err = transfer.PlanMirror(ctx, s, m, func(n int) { set(func(st *Sync) { st.Folders = n }) })
			_ = s.Close()
		}
		set(func(st *Sync) {
			st.Phase, st.Plan = SyncReady, plan
			if err != nil {
				st.Phase, st.Err = SyncFailed, Sentence(err)
			}
		})
	})
	if !ok {
		cancel()
	}
}

// CancelSync ends a comparison, or the making of folders, and forgets the plan. What is in the transfer queue stays there; to
// keep all that would be deleted after it, take something of it out of the queue.
func (a *App) CancelSync() {
	y := &a.sync
	y.mu.Lock()
	cancel := y.cancel
	y.round++
	y.state, y.cancel = Sync{}, nil
	y.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	a.changed()
}

// RunSync does what the plan says: makes room and folders, puts the files into the transfer queue, and deletes what the
// source does not have once all of them are copied. When one of them is not, nothing is deleted: it may be all that is left
// of something. A notice says how it ended, as the screen may show something else by then. What was not deleted when the
// application ends stays.
func (a *App) RunSync() {
	y := &a.sync
	ctx, cancel := context.WithCancel(a.ctx)
	y.mu.Lock()
	if y.state.Phase != SyncReady {
		y.mu.Unlock()
		cancel()
		return
	}
	r := &syncRun{app: a, plan: y.state.Plan, opts: y.opts, ref: y.ref, round: y.round, queued: make(chan struct{})}
	y.state.Phase, y.cancel = SyncRunning, cancel
	y.mu.Unlock()
	a.changed()
	ok := a.run(func(context.Context) {
		defer cancel()
		defer close(r.queued)
		result, err := r.begin(ctx)
		r.show(result, err)
	})
	if !ok {
		cancel()
	}
}

// syncRun is a plan being carried out.
type syncRun struct {
	app    *App
	plan   *transfer.Plan
	opts   client.Options
	ref    string
	round  int
	queued chan struct{} // closed when the screen was told what is in the queue
}

// show puts an outcome on the screen, unless that shows something else by now.
func (r *syncRun) show(result string, err error) {
	y := &r.app.sync
	y.mu.Lock()
	if y.round == r.round {
		y.state.Phase, y.state.Result = SyncDone, result
		if err != nil {
			y.state.Phase, y.state.Err = SyncFailed, Sentence(err)
		}
	}
	y.mu.Unlock()
	r.app.RefreshLocal()
	r.app.RefreshSite(r.opts.Target)
	r.app.changed()
}

// begin does all but the deleting; that, too, when there is nothing to copy.
func (r *syncRun) begin(ctx context.Context) (string, error) {
	s, err := client.Dial(ctx, r.opts)
	if err != nil {
		return "", err
	}
	defer s.Close()
	failures := r.plan.Prepare(ctx, s)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	copies, cleans := r.plan.Copies(), r.plan.Cleans()
	if copies > 0 {
		b := transfer.Batch{Title: "Synchronize " + r.plan.Remote, Policy: transfer.Overwrite}
		if cleans > 0 && len(failures) == 0 {
			b.Ended = r.copied
		}
		r.app.enqueueFor(r.opts, r.ref, b, r.plan.Orders())
	}
	switch {
	case len(failures) > 0 && cleans > 0:
		return "", fmt.Errorf("nothing was deleted, because of what failed before: %w", failures[0])
	case len(failures) > 0:
		return "", failedSteps(failures)
	case copies > 0 && cleans > 0:
		return fmt.Sprintf("%s in the transfer queue. When all is copied, %s deleted; if anything is not, nothing is.", filesAre(copies), entriesAre(cleans)), nil
	case copies > 0:
		return filesAre(copies) + " in the transfer queue.", nil
	}
	if failures = r.plan.Clean(ctx, s); len(failures) > 0 {
		return "", failedSteps(failures)
	}
	return "The folders are alike now.", nil
}

// copied goes on when the files are copied, or when one of them can't be.
func (r *syncRun) copied(all bool) {
	a := r.app
	a.sync.deleting.Add(1)
	ok := a.run(func(ctx context.Context) {
		defer a.sync.deleting.Add(-1)
		select {
		case <-r.queued:
		case <-ctx.Done():
			return
		}
		err := errors.New("nothing was deleted, because not every file was copied: compare again to see what is left to do")
		if all {
			err = r.clean(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		result := "The folders are alike now."
		r.show(result, err)
		if err != nil {
			a.notify(fmt.Sprintf("Synchronize %s: %s", connlog.Printable(r.plan.Remote), Sentence(err)), true)
		} else {
			a.notify(fmt.Sprintf("Synchronize %s: all is copied, and %s deleted.", connlog.Printable(r.plan.Remote), entriesAre(r.plan.Cleans())), false)
		}
	})
	if !ok {
		a.sync.deleting.Add(-1)
	}
}

func (r *syncRun) clean(ctx context.Context) error {
	s, err := client.Dial(ctx, r.opts)
	if err != nil {
		return fmt.Errorf("nothing was deleted: %w", err)
	}
	defer s.Close()
	if failures := r.plan.Clean(ctx, s); len(failures) > 0 {
		return failedSteps(failures)
	}
	return nil
}

func failedSteps(failures []transfer.Failure) error {
	if len(failures) == 1 {
		return failures[0]
	}
	return fmt.Errorf("%d steps failed. The first: %w", len(failures), failures[0])
}

func filesAre(n int) string {
	if n == 1 {
		return "1 file is"
	}
	return fmt.Sprintf("%d files are", n)
}

func entriesAre(n int) string {
	if n == 1 {
		return "1 file or folder is"
	}
	return fmt.Sprintf("%d files and folders are", n)
}
