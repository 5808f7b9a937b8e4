package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"portside/client"
	"portside/connlog"
	"portside/wire"
)

// passive tries passive mode: EPSV, PASV at both addresses, and as the mode asked for (full) further offers and the
// place where an offer that does not answer is lost. It returns the session to go on with.
func (x *examination) passive(ctx context.Context, s *controlConn, full bool) *controlConn {
	p := &x.e.Passive
	wait := x.limits.Dial
	if !full {
		wait = x.limits.DialNext
	}
	if s = x.like(ctx, s); !usable(s) {
		return s
	}
	p.EPSV = x.offerOnce(ctx, s, ProbeEPSV, "EPSV", wait, full)
	if full && x.cantGoOn(p.EPSV) {
		return x.stalled(ctx, s, p.EPSV.Move)
	}
	if p.EPSV.Dial == Silence {
		wait = x.nextWait(s)
	}
	if !x.e.v6() && (full || p.EPSV.Refused()) {
		if s = x.like(ctx, s); !usable(s) {
			return s
		}
		p.PASV = x.offerOnce(ctx, s, ProbePASV, "PASV", wait, full)
		if a := p.PASV.Advertised.Addr(); p.PASV.Port != 0 && p.PASV.Dial == NotTried && a.IsValid() {
			// The offer was spent on the address that it named; the one that the control connection uses needs another.
			p.Advertised = p.PASV
			x.tryAdvertised(ctx, s, &p.Advertised)
			if s = x.like(ctx, s); !usable(s) {
				return s
			}
			done := x.begin(Fact{Probe: ProbePASV, By: connlog.Client, Command: "PASV"})
			p.PASV = s.offer("PASV")
			x.useOffer(ctx, s, &p.PASV, wait, full)
			done(offerFact(p.PASV))
		}
		if full && x.cantGoOn(p.PASV) {
			return x.stalled(ctx, s, p.PASV.Move)
		}
	}
	if full && ctx.Err() == nil {
		s = x.more(ctx, s)
	}
	if full && ctx.Err() == nil && p.moved() && !x.e.wrongAddress() && !x.slow() {
		s = x.withoutResuming(ctx, s)
	}
	if full && p.dead() && ctx.Err() == nil {
		x.localise(ctx, p.all()[0].Dialled)
	}
	return s
}

// withoutResuming makes one data connection that does not resume the control connection's TLS session, to see whether
// the server insists on it: other programs may not do it.
func (x *examination) withoutResuming(ctx context.Context, s *controlConn) *controlConn {
	if !usable(s) || s.tls == nil || !s.protect {
		return s
	}
	kind := "EPSV"
	if !x.e.Passive.EPSV.Move.Resumed {
		kind = "PASV"
		if !x.e.Passive.PASV.Move.Resumed {
			return s
		}
	}
	usual := s.tls
	fresh := usual.Clone()
	fresh.ClientSessionCache = nil
	s.tls = fresh
	defer func() { s.tls = usual }()
	done := x.begin(Fact{Probe: ProbeReuse, By: connlog.Client, Command: kind, Note: true})
	o := s.offer(kind)
	x.useOffer(ctx, s, &o, x.limits.DialNext, false)
	if m := o.Move; m.Answer.failed() || m.Outcome == TLSFailed {
		x.e.Reuse = m.Answer
		if m.Answer.Code == 0 {
			x.e.Reuse = Answer{Code: 522, Text: m.Handshake}
		}
	}
	done(Fact{Note: true, OK: o.Works(), Outcome: o.Move.Outcome, Detail: x.e.Reuse.String(), To: o.Dialled})
	return x.like(ctx, s)
}

// nextWait is for dials after one that was silent: long enough for a second packet.
func (x *examination) nextWait(s *controlConn) time.Duration {
	return max(x.limits.DialNext, min(6*s.rtt, x.limits.Dial))
}

// cantGoOn says that a transfer stopped moving, which is then the thing to look at.
func (x *examination) cantGoOn(o Offer) bool {
	return o.Move.Outcome == Stalled || o.Move.Outcome == NoEnd || o.Move.Outcome == Broken && o.Move.Begun
}

func (x *examination) offerOnce(ctx context.Context, s *controlConn, probe Probe, command string, wait time.Duration, full bool) Offer {
	done := x.begin(Fact{Probe: probe, By: connlog.Client, Command: command})
	o := s.offer(command)
	if o.Port != 0 && !(command == "PASV" && x.otherAddress(o.Advertised.Addr())) {
		x.useOffer(ctx, s, &o, wait, full)
	}
	done(offerFact(o))
	return o
}

// useOffer dials an offer at the control connection's address and lists over it.
func (x *examination) useOffer(ctx context.Context, s *controlConn, o *Offer, wait time.Duration, full bool) {
	if o.Port == 0 {
		return
	}
	to := netip.AddrPortFrom(s.peer.Addr(), o.Port)
	if full {
		// Where is it lost? Asked while waiting, when there is nothing to be seen after a second.
		tctx, cancel := context.WithCancel(ctx)
		defer cancel()
		x.beside.Go(func() {
			select {
			case <-time.After(min(time.Second, wait/2)):
				x.localise(tctx, to)
			case <-tctx.Done():
			}
		})
	}
	conn := s.dialOffer(ctx, o, to, wait, 0)
	if conn == nil {
		return
	}
	if x.slow() { // that it stands is enough
		conn.Close()
		return
	}
	o.Move, _, _ = x.move(ctx, s, "LIST", conn, 0)
}

// slow says that a listing took so long that further ones would keep a person waiting for nothing new.
func (x *examination) slow() bool {
	return x.e.firstPassiveMove().Took > x.limits.End
}

// move runs a command over a data connection that stands.
func (x *examination) move(ctx context.Context, s *controlConn, command string, conn net.Conn, mss int) (Move, bool, netip.AddrPort) {
	m := movement{s: s, command: command, mode: connlog.Passive, wait: time.Second, mss: mss,
		open: func(context.Context) (net.Conn, error) { return conn, nil }}
	out, opened, from := m.run(ctx)
	conn.Close()
	return out, opened, from
}

// otherAddress says that a 227 reply sends clients to another address than the control connection's. 0.0.0.0 means "the
// same" to clients, and some services send it on purpose.
func (x *examination) otherAddress(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && a != x.e.Peer.Addr()
}

// tryAdvertised dials the address that the server dictates: once, and never a well-known port (RFC 2577 section 3).
func (x *examination) tryAdvertised(ctx context.Context, s *controlConn, o *Offer) {
	done := x.begin(Fact{Probe: ProbeAdvertised, By: connlog.Client, To: o.Advertised, Command: "PASV"})
	a := o.Advertised
	switch {
	case a.Port() < 1024, a.Addr().IsMulticast(), a.Addr().IsLoopback() && !x.e.Peer.Addr().IsLoopback():
		o.Dial, o.Dialled = Failed, a
	default:
		if conn := s.dialOffer(ctx, o, a, x.nextWait(s), 0); conn != nil {
			o.Move, _, _ = x.move(ctx, s, "LIST", conn, 0)
		}
	}
	done(offerFact(*o))
}

// more asks for further offers, to tell one blocked port from all, and EPSV from PASV.
func (x *examination) more(ctx context.Context, s *controlConn) *controlConn {
	p := &x.e.Passive
	var kinds []string
	for _, o := range []Offer{p.EPSV, p.PASV} {
		if o.Dial != NotTried && (o.Move.Outcome == NotTried || o.Move.moved()) {
			kinds = append(kinds, o.Command)
		}
	}
	if len(kinds) == 0 {
		return s
	}
	_, blocked := p.ports()
	healthy := len(blocked) == 0 // then it is not worth a person's time to go on for long
	n, reserve := 6, 3
	if p.dead() {
		n = 3
	} else if !x.listing() {
		n, reserve = 3, 5
	}
	done := x.begin(Fact{Probe: ProbeRange, By: connlog.Client, Note: true})
	var ok, bad []string
	for i := range n {
		if x.offers+reserve >= maxOffers || ctx.Err() != nil || healthy && len(bad) == 0 && x.now().Sub(x.started) > 3*time.Second {
			break
		}
		if s = x.like(ctx, s); !usable(s) {
			break
		}
		o := s.offer(kinds[i%len(kinds)])
		if o.Port == 0 {
			break
		}
		wait := x.nextWait(s)
		if p.dead() {
			wait = wait * 3 / 4 // still long enough for a second packet
		}
		conn := s.dialOffer(ctx, &o, netip.AddrPortFrom(s.peer.Addr(), o.Port), wait, 0)
		if conn != nil {
			ok = append(ok, itoa(int(o.Port)))
			conn.Close()
		} else {
			bad = append(bad, itoa(int(o.Port)))
		}
		p.More = append(p.More, o)
	}
	f := Fact{OK: len(bad) == 0 && len(ok) > 0, Outcome: Worked, Detail: strings.Join(ok, ", ")}
	if len(ok)+len(bad) == 0 {
		f.Note, f.Outcome, f.Detail = true, NotTried, "not tried"
	}
	if len(bad) > 0 {
		f.Outcome, f.Detail = p.More[len(p.More)-1].Dial, strings.Join(bad, ", ")
		if len(ok) > 0 {
			f.Detail += "; answered: " + strings.Join(ok, ", ")
		}
		if f.Outcome == Worked {
			f.Outcome = Silence
		}
	}
	done(f)
	return s
}

// localise follows packets to the control port and to an offered port that does not answer, once. The control port is
// tried one TTL after the other, from near to far, so that it sees one connection only.
func (x *examination) localise(ctx context.Context, to netip.AddrPort) {
	x.traced.Lock()
	defer x.traced.Unlock()
	if len(x.traced.offer) > 0 || ctx.Err() != nil {
		return
	}
	start := x.now()
	var offer Trace
	done := make(chan struct{})
	go func() {
		defer close(done)
		ttls := make([]int, 20)
		for i := range ttls {
			ttls[i] = i + 1
		}
		offer = x.network.Trace(ctx, to, ttls, x.limits.Hop)
	}()
	hops := x.distance(ctx)
	<-done
	if ctx.Err() != nil && hops.distance() == 0 {
		return
	}
	x.traced.hops, x.traced.offer = hops, offer
	x.traced.facts = append(x.traced.facts,
		Fact{Probe: ProbeDistance, By: connlog.Client, To: x.e.Peer, Note: true, Outcome: Worked, Hop: hops.distance(), Time: start},
		Fact{Probe: ProbeTrace, By: connlog.Client, To: to, Outcome: Silence, Time: start, Duration: x.now().Sub(start)})
}

func (x *examination) distance(ctx context.Context) Trace {
	var out Trace
	wait := min(max(x.limits.Hop/4, 4*x.rtt), x.limits.Hop)
	end := x.now().Add(6 * x.limits.Hop)
	for ttl := 1; ttl <= maxHops && ctx.Err() == nil && x.now().Before(end); ttl++ {
		h := x.network.Trace(ctx, x.e.Peer, []int{ttl}, wait)
		out = append(out, h...)
		if len(h) == 0 || h[0].Outcome != Passed && h[0].Outcome != Silence {
			break
		}
	}
	return out
}

// join waits for what runs beside, and takes its results over.
func (x *examination) join() {
	x.beside.Wait()
	x.traced.Lock()
	defer x.traced.Unlock()
	if len(x.traced.offer) == 0 {
		return
	}
	if len(x.e.Hops) == 0 {
		x.e.Hops = x.traced.hops
	}
	x.e.Passive.Trace = x.traced.offer
	if !x.e.Passive.dead() {
		return
	}
	at, _ := x.e.stop()
	for _, f := range x.traced.facts {
		if f.Probe == ProbeTrace {
			f.Hop = at
			if r := x.e.Passive.Trace.first(Refused, Unreachable, Filtered); r != 0 {
				f.Outcome = x.e.Passive.Trace.at(r)
			}
			for _, h := range x.e.Passive.Trace {
				if h.TTL == at-1 {
					f.HopAddr = h.Addr
				}
			}
			if k := x.e.refuser(); k != 0 {
				f.Hop = k
			}
		}
		f.ID = len(x.facts) + 1
		x.facts = append(x.facts, f)
		x.progress(f)
	}
}

func offerFact(o Offer) Fact {
	f := Fact{OK: o.Works() && !o.Move.forNothing(), Outcome: o.Dial, To: o.Dialled, Command: o.Command, Duration: o.Took}
	switch {
	case o.Port == 0:
		f.Outcome, f.Detail = Rejected, o.Answer.String()
		if o.Answer.Code == 0 {
			f.Outcome, f.Detail = Broken, o.Answer.Text
		}
	case o.Dial == Worked && o.Move.Outcome != NotTried:
		f.Outcome, f.Detail, f.Duration = o.Move.Outcome, moveDetail(o.Move), o.Took+o.Move.Took
	case o.Dial == NotTried && o.Advertised.IsValid():
		f.OK, f.Note, f.Outcome, f.To = false, true, Worked, o.Advertised
		f.Detail = "it names " + o.Advertised.Addr().String()
	}
	return f
}

func moveDetail(m Move) string {
	if m.moved() {
		d := connlog.Bytes(m.Bytes)
		if m.Resumed {
			d += ", TLS session resumed"
		}
		return d
	}
	if m.Answer.Code != 0 {
		return m.Answer.String()
	}
	if m.Handshake != "" {
		return m.Handshake
	}
	return "after " + connlog.Bytes(m.Bytes)
}

// active tries active mode: EPRT, and PORT when the server refuses that one or to see that both work.
func (x *examination) active(ctx context.Context, s *controlConn, wait time.Duration, quick bool) *controlConn {
	if s = x.like(ctx, s); !usable(s) {
		return s
	}
	if x.e.natted() { // nothing is to be expected, a helper on the way apart
		wait = min(wait, x.limits.Dial)
	}
	x.e.EPRT = x.activeOnce(ctx, s, "EPRT", "LIST", wait, quick, 0)
	if x.e.v6() || x.e.EPRT.nothing() || x.e.EPRT.Through || ctx.Err() != nil {
		return s
	}
	if m := x.e.EPRT.Move; x.e.EPRT.Accepted && !m.moved() {
		return s
	}
	if s = x.like(ctx, s); !usable(s) {
		return s
	}
	x.e.PORT = x.activeOnce(ctx, s, "PORT", "LIST", wait, quick, 0)
	if !quick && x.e.PORT.refused() && !x.e.natted() && saysIllegal.MatchString(x.e.PORT.Answer.Text) {
		x.nearby(ctx) // the server sees another address than this computer's: is there a proxy?
	}
	return s
}

func (x *examination) activeOnce(ctx context.Context, s *controlConn, verb, command string, wait time.Duration, quick bool, mss int) Active {
	a := Active{Command: verb, Quick: quick}
	done := x.begin(Fact{Probe: ProbeActive, By: connlog.Server, Command: verb})
	x.letIn(ctx, s, &a, command, wait, mss)
	done(activeFact(a))
	return a
}

func activeFact(a Active) Fact {
	f := Fact{OK: a.works(), Outcome: a.Move.Outcome, From: a.From, To: a.Announced, Command: a.Command, Detail: moveDetail(a.Move)}
	switch {
	case a.refused():
		f.Outcome, f.Detail = Rejected, a.Answer.String()
	case a.nothing():
		f.Outcome, f.Detail = Silence, ""
		if a.elsewhere() {
			f.Outcome, f.Detail = Rejected, "it came from "+a.Strangers[0].String()
		} else if a.Move.Answer.failed() {
			f.Outcome, f.Detail = Rejected, a.Move.Answer.String()
		} else if a.Quick {
			f.Note, f.Detail = true, "not waited for longer"
		}
		if a.Counted && a.Dropped > 0 {
			f.Detail = strings.TrimPrefix(fmt.Sprintf("%s; %s reached this computer and no program", f.Detail, packets(a.Dropped)), "; ")
		}
	}
	if a.Through {
		f.Outcome, f.Detail = Silence, "it came only when this side was told to expect it"
	}
	if a.Quick && !f.OK {
		f.Note = true
	}
	return f
}

// letIn sends a's command, and takes the server's connection and what comes over it, into a.
func (x *examination) letIn(ctx context.Context, s *controlConn, a *Active, command string, wait time.Duration, mss int) {
	l, err := x.network.Listen(ctx, s.local.Addr(), mss)
	if err != nil {
		a.Answer = Answer{Text: err.Error()}
		a.Move.Outcome = Failed
		return
	}
	defer l.Close()
	a.Announced = addrPort(l.Addr())
	line := "EPRT " + wire.FormatEPRT(a.Announced)
	if a.Command == "PORT" {
		line = "PORT " + wire.FormatPort(a.Announced)
	}
	s.data++
	rec := connlog.Record{Channel: connlog.Data, Conn: s.data, Mode: connlog.Active, Initiator: connlog.Server, To: a.Announced, Command: line}
	before, counted := x.network.Dropped(x.e.v6())
	began := x.now()
	a.Answer, err = s.ask(line)
	if errors.Is(err, errEnded) {
		a.Move.Outcome = Failed
		return
	}
	if err != nil || a.Answer.failed() {
		if err != nil && a.Answer.Code == 0 {
			a.Answer = Answer{Code: 599, Text: err.Error()}
		}
		rec.Event, rec.Reply = connlog.ActiveRefused, a.Answer.String()
		s.record(rec)
		return
	}
	rec.Event = connlog.ActiveRequested
	s.record(rec)
	m := movement{s: s, command: command, mode: connlog.Active, wait: wait, mss: mss, open: func(ctx context.Context) (net.Conn, error) {
		stop := context.AfterFunc(ctx, func() { l.Close() })
		defer stop()
		for {
			conn, err := l.Accept()
			if err != nil {
				return nil, err
			}
			if from := addrPort(conn.RemoteAddr()); from.Addr() == s.peer.Addr() {
				return conn, nil
			} else if len(a.Strangers) < 4 {
				a.Strangers = append(a.Strangers, from.Addr())
			}
			conn.Close()
		}
	}}
	if !a.Quick && x.network.Punch != nil && !x.e.natted() {
		m.meet = x.meet(ctx, a, s)
	}
	a.Move, a.Accepted, a.From = m.run(ctx)
	a.Waited = x.now().Sub(began)
	a.Through = a.Accepted && a.Punched
	if after, ok := x.network.Dropped(x.e.v6()); ok && counted {
		a.Counted, a.Dropped = true, after-before
		if age := began.Sub(x.started); age > 0 && !x.e.v6() {
			a.Noise = int64(float64(before-x.dropped)/age.Seconds()*a.Waited.Seconds() + 0.5)
		}
	}
}

func packets(n int64) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}

// meet returns what is done when the server's connection has not come after half the wait: a packet to where it usually
// dials from (RFC 959 section 3.2: the port below the control port) opens every firewall on this side that keeps track of
// connections. What comes only then was stopped on this side; the server's kernel sends again after 1, 3 and 7 s.
func (x *examination) meet(ctx context.Context, a *Active, s *controlConn) func(time.Duration) {
	at := x.limits.Accept / 2
	return func(waited time.Duration) {
		if a.Punched || waited < at {
			return
		}
		a.Punched = true
		dctx, cancel := context.WithTimeout(ctx, x.limits.Hop)
		d := x.distance(dctx).distance()
		cancel()
		switch d {
		case 0:
			d = 4 // not known in time: two hops are enough for most firewalls on this side
		case 1:
			return
		}
		ports := []uint16{20}
		if p := s.peer.Port() - 1; p != 20 {
			ports = append(ports, p)
		}
		for _, p := range ports {
			x.network.Punch(ctx, a.Announced, netip.AddrPortFrom(s.peer.Addr(), p), max(1, d-2))
		}
	}
}

// data makes a data connection in the mode that works and runs command over it.
func (x *examination) data(ctx context.Context, s *controlConn, command string, mss int) Move {
	if x.e.mode() == client.ModeActive {
		verb := "EPRT"
		if !x.e.EPRT.works() && x.e.PORT.Command != "" {
			verb = "PORT"
		}
		return x.activeOnce(ctx, s, verb, command, x.limits.Accept, false, mss).Move
	}
	kind := "EPSV"
	if !x.e.Passive.EPSV.Works() {
		kind = "PASV"
	}
	o := s.offer(kind)
	if o.Port == 0 {
		return Move{Command: command, Outcome: Rejected, Answer: o.Answer}
	}
	conn := s.dialOffer(ctx, &o, netip.AddrPortFrom(s.peer.Addr(), o.Port), x.limits.Dial, mss)
	if conn == nil {
		return Move{Command: command, Outcome: o.Dial}
	}
	m, _, _ := x.move(ctx, s, command, conn, mss)
	return m
}

// transfer does the action: a download, from a place in the file when that is asked for.
func (x *examination) transfer(ctx context.Context, s *controlConn) *controlConn {
	e := &x.e
	if x.listing() || ctx.Err() != nil {
		return s
	}
	if s = x.like(ctx, s); !usable(s) {
		return s
	}
	if a, err := s.ask("SIZE " + e.Target.Path); err == nil && a.Code == 213 {
		e.Size, _ = wire.ParseOffset(a.Text)
	}
	if e.Action == ActionResume {
		done := x.begin(Fact{Probe: ProbeRest, Command: "REST " + itoa(resumeAt)})
		e.Rest, _ = s.ask("REST " + itoa(resumeAt))
		f := Fact{OK: e.Rest.Code == 350, Outcome: Worked, Detail: e.Rest.String()}
		if !f.OK {
			f.Outcome = Rejected
		}
		done(f)
		if !f.OK || s.dead != nil {
			return s
		}
	}
	done := x.begin(Fact{Probe: ProbeTransfer, Command: "RETR " + e.Target.Path})
	e.Transfer = x.data(ctx, s, "RETR "+e.Target.Path, 0)
	m := e.Transfer
	done(Fact{OK: m.Outcome == Worked, Outcome: m.Outcome, Detail: moveDetail(m), Duration: m.Took})
	switch {
	case m.Outcome == Rejected && !m.Begun:
		e.PathFail = m.Answer
	case m.Outcome == Worked && e.Action == ActionResume && e.Size > resumeAt && m.Bytes >= e.Size && !m.Stopped:
		e.Ignored = true
	case m.Outcome == Stalled, m.Outcome == Broken, m.Outcome == NoEnd:
		return x.stalled(ctx, s, m)
	}
	return s
}

// stalled looks into a transfer that began and did not end well.
func (x *examination) stalled(ctx context.Context, s *controlConn, m Move) *controlConn {
	e := &x.e
	e.Transfer = m
	switch {
	case ctx.Err() != nil:
	case m.Answer.Code == 421:
		e.Noop, e.LostText = Broken, m.Answer
	case m.Outcome == NoEnd:
		done := x.begin(Fact{Probe: ProbeIdle, Command: "NOOP"})
		e.Noop = Broken
		if s.dead == nil {
			e.Noop = Silence
			if err := s.send("NOOP"); err != nil {
				e.Noop = Broken
			} else if r, err := s.next(x.limits.Stall * 5 / 6); err == nil {
				e.Noop, e.LostText = Worked, answer(r)
			} else if errors.Is(err, errClosed) {
				e.Noop = Broken
			}
			s.dead = errSilent
		}
		done(Fact{OK: e.Noop == Worked, Outcome: e.Noop, Detail: e.LostText.String()})
	case m.Bytes == 0 && m.Outcome == Stalled:
		e.Small, s = x.once(ctx, s, ProbeSmall, m.Command, smallMSS)
	default:
		e.Again, s = x.once(ctx, s, ProbeAgain, m.Command, 0)
	}
	return s
}

// once runs a transfer again over a session of its own.
func (x *examination) once(ctx context.Context, s *controlConn, probe Probe, command string, mss int) (Move, *controlConn) {
	done := x.begin(Fact{Probe: probe, Command: command})
	n, why := x.another(ctx, s, x.e.TLSUp, mss)
	if n == nil {
		done(Fact{Outcome: Failed, Detail: why})
		return Move{}, nil
	}
	if x.e.Action == ActionResume {
		_, _ = n.ask("REST " + itoa(resumeAt))
	}
	m := x.data(ctx, n, command, mss)
	done(Fact{OK: m.Outcome == Worked, Outcome: m.Outcome, Detail: moveDetail(m), Duration: m.Took})
	return m, n
}

// compare does the same over another protection, where that tells who is in between: a helper that opens ports by
// reading FTP is blind under TLS, and one that spoils it spoils nothing there.
func (x *examination) compare(ctx context.Context, s *controlConn) *controlConn {
	e := &x.e
	secure := !e.TLSUp
	switch {
	case ctx.Err() != nil, s == nil:
		return s
	case e.TLSUp && e.Target.TLS != client.TLSImplicit && (x.o.ConsentPlain || x.anonymous()) && e.blocked():
	case !e.TLSUp && e.ListsAuth && e.suspicious():
	default:
		return s
	}
	c := &e.Comparison
	done := x.begin(Fact{Probe: ProbeCompare, By: connlog.Client, Command: map[bool]string{true: "TLS", false: "in clear"}[secure]})
	n, why := x.another(ctx, s, secure, 0)
	if n == nil {
		c.Failed = why
		done(Fact{Note: true, Outcome: Failed, Detail: why})
		return n
	}
	c.Tried = true
	if e.mode() == client.ModeActive {
		c.EPRT = x.activeOnce(ctx, n, "EPRT", "LIST", x.limits.Dial, false, 0)
		if c.EPRT.refused() && !e.v6() && n.dead == nil {
			c.PORT = x.activeOnce(ctx, n, "PORT", "LIST", x.limits.Dial, false, 0)
		}
		done(Fact{Note: true, OK: c.EPRT.works() || c.PORT.works(), Outcome: Worked, Detail: "active mode"})
		return n
	}
	c.EPSV = n.offer("EPSV")
	x.useOffer(ctx, n, &c.EPSV, x.nextWait(n), false)
	if n.dead == nil && !e.v6() {
		c.PASV = n.offer("PASV")
		if c.PASV.Port != 0 && !x.otherAddress(c.PASV.Advertised.Addr()) {
			x.useOffer(ctx, n, &c.PASV, x.nextWait(n), false)
		}
	}
	works := c.EPSV.Works() || c.PASV.Works()
	f := Fact{Note: true, OK: works, Outcome: Worked, Detail: "passive mode"}
	if !works {
		f.Outcome = c.EPSV.Dial
		if f.Outcome == NotTried {
			f.Outcome = Rejected
		}
	}
	done(f)
	return n
}

// blocked says that no data connection came about in the mode that was asked for.
func (e *Evidence) blocked() bool {
	if e.mode() == client.ModeActive {
		a := e.active()
		return a.refused() || a.nothing()
	}
	return e.Passive.dead()
}

// suspicious says that the commands of this session may have been changed on the way.
func (e *Evidence) suspicious() bool {
	if e.mode() == client.ModeActive {
		return false // a PORT that was changed shows against EPRT
	}
	return e.Passive.EPSV.Refused() || e.Passive.PASV.Refused() || e.wrongAddress()
}
