package app

import (
	"context"
	"slices"
	"sync"

	"portside/client"
	"portside/connlog"
	"portside/doctor"
)

// Examination is what the Doctor screen shows: the probes as they run, then the report.
type Examination struct {
	Running bool
	Target  client.Target // without the password
	Facts   []doctor.Fact
	Report  *doctor.Report // nil until it has ended
}

type examination struct {
	mu     sync.Mutex
	state  Examination
	cancel context.CancelFunc
	run    uint64 // grows with each examination: what an older one still says is dropped
}

// Examination returns the state of the newest examination.
func (a *App) Examination() Examination {
	e := &a.examination
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.state
	s.Facts = slices.Clone(s.Facts)
	return s
}

// Examine finds out why a server can't be used. It takes the place of an examination that runs. With consent the
// password may be sent in clear, for a comparison. The channels that it opens stand in the log as any others.
func (a *App) Examine(t client.Target, mode client.Mode, consent bool) {
	e := &a.examination
	o := doctor.Options{
		Mode: mode, ConsentPlain: consent, Recorder: a.Log,
		// A certificate that the person trusts for this server, for good or this once, is not what keeps it from working.
		Trusted: func(fingerprint string) bool {
			return slices.ContainsFunc(a.remotes(), func(r *remote) bool {
				return r.trusts(siteKey(t), client.CertificateProblem{SHA256: fingerprint})
			})
		},
	}
	e.mu.Lock()
	if e.cancel != nil {
		e.cancel()
	}
	ctx, cancel := context.WithCancel(a.ctx)
	e.run++
	run := e.run
	e.cancel = cancel
	shown := t
	shown.Password = ""
	e.state = Examination{Running: true, Target: shown}
	e.mu.Unlock()
	a.changed()

	o.Progress = func(f doctor.Fact) {
		e.mu.Lock()
		if e.run == run {
			if i := slices.IndexFunc(e.state.Facts, func(have doctor.Fact) bool { return have.ID == f.ID }); i >= 0 {
				e.state.Facts[i] = f
			} else {
				e.state.Facts = append(e.state.Facts, f)
			}
		}
		e.mu.Unlock()
		a.changed()
	}
	started := a.run(func(context.Context) {
		defer cancel()
		report := doctor.Examine(ctx, t, o)
		e.mu.Lock()
		if e.run == run {
			e.state.Running, e.state.Report, e.state.Facts = false, &report, report.Facts
		}
		e.mu.Unlock()
		a.changed()
	})
	if !started {
		cancel()
	}
}

// CancelExamination ends the examination that runs; its report then says what the evidence so far allows.
func (a *App) CancelExamination() {
	a.examination.mu.Lock()
	cancel := a.examination.cancel
	a.examination.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Suspicion returns what the log of the newest session with a server says of its failure, without any probe; nil when
// nothing failed in it, or when it isn't a channel's fault.
func (a *App) Suspicion() *doctor.Report {
	sessions := a.Log.Sessions()
	for i := len(sessions) - 1; i >= 0; i-- {
		s := sessions[i]
		if s.Side != connlog.Client {
			continue
		}
		if s.Failed == 0 {
			return nil
		}
		r := doctor.FromSession(s)
		if r.Sentence == "" || !r.Problem() || r.Verdict == doctor.Undecided {
			return nil
		}
		return &r
	}
	return nil
}
