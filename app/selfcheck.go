package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"portside/doctor"
	"portside/localserver"
)

// SelfCheck is what was found out about the local server's own surroundings: firewall, router, ports, certificate.
type SelfCheck struct {
	Checking bool
	Done     time.Time // of the last check that ended; zero: there was none
	Report   doctor.SelfReport
	Stamp    uint64 // grows with each report

	Asking    bool   // the router is being asked to forward the ports
	Forwarded bool   // it does, until sharing stops
	RouterErr string // why it does not
}

// CanAskRouter says whether the router could be asked for what it does not do yet.
func (c SelfCheck) CanAskRouter() bool {
	return c.Report.Router != nil && !c.Report.Forwarded && len(c.Report.Forward) > 0
}

type selfCheck struct {
	env func() doctor.SelfEnv // nil: this computer as it is

	mu      sync.Mutex
	router  bool // the person wants the router to be asked
	state   SelfCheck
	again   bool // something changed while a check ran
	release context.CancelFunc
	turn    sync.Mutex // held as long as ports are forwarded
}

// CheckSelf starts a look at what may keep clients from the local server; the outcome shows in [App.SelfCheck]. While
// one runs, another call makes it run once more at its end.
func (a *App) CheckSelf() {
	c := &a.share.check
	c.mu.Lock()
	if c.state.Checking {
		c.again = true
		c.mu.Unlock()
		return
	}
	c.state.Checking = true
	c.mu.Unlock()
	a.changed()
	if !a.run(a.checkSelf) {
		c.mu.Lock()
		c.state.Checking = false
		c.mu.Unlock()
	}
}

// LookAtRouter checks again and asks this network's router, too, by UPnP and NAT-PMP: what it forwards, and what its
// outside address is. From then on each check of this run asks it.
func (a *App) LookAtRouter() {
	a.share.check.mu.Lock()
	a.share.check.router = true
	a.share.check.mu.Unlock()
	a.CheckSelf()
}

func (a *App) checkSelf(ctx context.Context) {
	c := &a.share.check
	env := doctor.System
	if c.env != nil {
		env = c.env
	}
	for {
		c.mu.Lock()
		ask := c.router
		c.mu.Unlock()
		world := env()
		if !ask {
			world.FindRouter = nil // nothing leaves this computer without the person's word
		}
		report := doctor.CheckSelf(ctx, a.selfTarget(), world)
		c.mu.Lock()
		again := c.again && ctx.Err() == nil
		c.again = false
		c.state.Report, c.state.Done, c.state.Checking = report, time.Now(), again
		c.state.Stamp++
		c.mu.Unlock()
		a.changed()
		if !again {
			return
		}
	}
}

// SelfCheck returns what the last check found.
func (a *App) SelfCheck() SelfCheck {
	a.share.check.mu.Lock()
	defer a.share.check.mu.Unlock()
	return a.share.check.state
}

// selfTarget is the local server as it runs, or as it would run.
func (a *App) selfTarget() doctor.SelfTarget {
	set := a.Settings().Share
	t := doctor.SelfTarget{
		Port: uint16(set.Port), Passive: set.PassiveConfig(), TLS: set.TLS, People: set.People, FilesEach: set.FilesEach,
	}
	t.Root, _ = expand(set.Folder)
	if a.dir != "" {
		t.CertFile = localserver.CertificateFile(a.dir)
	}
	if own := set.Options.CertFile; own != "" {
		t.CertFile, _ = expand(own)
	}
	if st := a.Share(); st.Phase == Running {
		t.Running, t.Listen, t.Port, t.Root = true, st.Addr.Addr(), st.Addr.Port(), st.Folder
		for _, p := range st.Ports {
			t.Held = append(t.Held, p.Port)
		}
	}
	return t
}

// AskRouter asks the router to send the server's ports to this computer, renews that while the server runs, and takes
// it back when it stops.
func (a *App) AskRouter() {
	c := &a.share.check
	c.mu.Lock()
	report := c.state.Report
	busy := c.state.Asking || !c.state.CanAskRouter()
	if !busy {
		c.state.Asking, c.state.RouterErr = true, ""
	}
	c.mu.Unlock()
	if busy {
		return
	}
	if a.Share().Phase != Running {
		c.asked(false, "")
		return
	}
	a.releaseRouter()
	a.changed()
	started := a.run(func(ctx context.Context) {
		c.turn.Lock() // an earlier one takes its ports back first
		defer c.turn.Unlock()
		held, release := context.WithCancel(ctx)
		defer release()
		c.mu.Lock()
		c.release = release
		c.mu.Unlock()
		if a.Share().Phase != Running { // it was stopped before there was something to release
			c.asked(false, "")
			a.changed()
			return
		}
		defer func() { // also when only some of the ports were forwarded
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer cancel()
			report.Router.Unmap(ctx, report.Forward) // what it keeps ends with its lease
		}()
		for first := true; ; first = false {
			if err := report.Router.Map(held, report.Forward); err != nil {
				if held.Err() == nil {
					c.asked(false, Sentence(err))
				} else {
					c.asked(false, "")
				}
				a.changed()
				return
			}
			c.asked(true, "")
			a.changed()
			if first {
				a.CheckSelf()
			}
			select {
			case <-held.Done():
				c.asked(false, "")
				a.changed()
				return
			case <-time.After(doctor.Lease / 2):
			}
		}
	})
	if !started {
		c.asked(false, "")
	}
}

func (c *selfCheck) asked(forwarded bool, err string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Asking, c.state.Forwarded, c.state.RouterErr = false, forwarded, err
}

// releaseRouter takes back what the router was asked for.
func (a *App) releaseRouter() {
	c := &a.share.check
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

// CheckEstimate says whether so many people, moving so many files each, can be planned for.
func CheckEstimate(people, filesEach int) error {
	if people < 1 || people > 10_000 {
		return fmt.Errorf("%d people can't be: type a number from 1 to 10000", people)
	}
	if filesEach < 1 || filesEach > 1000 {
		return fmt.Errorf("%d files each can't be: type a number from 1 to 1000", filesEach)
	}
	return nil
}

// SetEstimate keeps for how many people at once, moving how many files each, the passive range should do.
func (a *App) SetEstimate(people, filesEach int) error {
	if err := CheckEstimate(people, filesEach); err != nil {
		return err
	}
	if set := a.Settings().Share; set.People == people && set.FilesEach == filesEach {
		return nil
	}
	a.ChangeSettings(func(s *Settings) { s.Share.People, s.Share.FilesEach = people, filesEach })
	if !a.SelfCheck().Done.IsZero() {
		a.CheckSelf()
	}
	return nil
}

// Estimate is what the passive range is to do for.
type Estimate struct {
	Need   int
	Why    string // in words that go on after a colon
	Enough bool
	// Min and Max are a range that is large enough, when this one isn't.
	Min, Max int
}

// EstimateRange says how many passive ports people moving filesEach files each need, and whether the range of set has
// them.
func EstimateRange(set ShareSettings, people, filesEach int) Estimate {
	var e Estimate
	e.Need, e.Why = doctor.PortsNeeded(people, filesEach)
	e.Enough = set.Max-set.Min+1 >= e.Need
	if !e.Enough {
		e.Min, e.Max = doctor.SuggestRange(set.Min, e.Need, set.Port, doctor.Ephemeral{Min: 32768, Max: 65535})
	}
	return e
}
