package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"portside/client"
	"portside/client/transfer"
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
}

// Sync returns how far the synchronization is.
func (a *App) Sync() Sync {
	a.sync.mu.Lock()
	defer a.sync.mu.Unlock()
	return a.sync.state
}

// CompareFolders finds out what has to be done to make one of two folders like the other, with a session of its own.
// Nothing is changed; the plan shows in [App.Sync].
func (a *App) CompareFolders(m transfer.Mirror) {
	r := a.remote()
	r.mu.Lock()
	opts, ref := r.opts, ""
	if r.site != nil {
		ref = r.site.id
	}
	r.mu.Unlock()
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

// CancelSync ends a comparison, or the deleting and making of folders, and forgets the plan.
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

// RunSync does what the plan says: makes room and folders, puts the files into the transfer queue, and deletes at the end
// of its own steps what the source does not have.
func (a *App) RunSync() {
	y := &a.sync
	ctx, cancel := context.WithCancel(a.ctx)
	y.mu.Lock()
	if y.state.Phase != SyncReady {
		y.mu.Unlock()
		cancel()
		return
	}
	plan, opts, ref, round := y.state.Plan, y.opts, y.ref, y.round
	y.state.Phase, y.cancel = SyncRunning, cancel
	y.mu.Unlock()
	a.changed()
	ok := a.run(func(context.Context) {
		defer cancel()
		failures, err := a.runSync(ctx, plan, opts, ref)
		y.mu.Lock()
		if y.round == round {
			y.state.Phase = SyncDone
			y.state.Result = fmt.Sprintf("%d files are in the transfer queue.", plan.Copies())
			switch {
			case err != nil:
				y.state.Phase, y.state.Err = SyncFailed, Sentence(err)
			case len(failures) > 0:
				y.state.Phase, y.state.Err = SyncFailed, fmt.Sprintf("%d steps failed. The first: %s", len(failures), Sentence(failures[0]))
			}
		}
		y.mu.Unlock()
		a.RefreshLocal()
		a.RefreshSite(opts.Target)
	})
	if !ok {
		cancel()
	}
}

func (a *App) runSync(ctx context.Context, plan *transfer.Plan, opts client.Options, ref string) ([]transfer.Failure, error) {
	s, err := client.Dial(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	failures := plan.Prepare(ctx, s)
	if ctx.Err() != nil {
		return failures, context.Cause(ctx)
	}
	if plan.Copies() > 0 {
		a.enqueueFor(opts, ref, transfer.Batch{Title: "Synchronize " + plan.Remote, Policy: transfer.Overwrite}, plan.Orders())
	}
	if plan.Delete && len(failures) > 0 {
		return failures, errors.Join(errors.New("nothing was deleted, because of what failed before"), failures[0])
	}
	if plan.Delete {
		failures = append(failures, plan.Clean(ctx, s)...)
	}
	return failures, nil
}
