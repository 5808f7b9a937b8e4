package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"portside/client"
	"portside/connlog"
	"portside/wire"
)

const (
	maxOffers   = 12 // so that server limits and ban tools are not set off
	maxSessions = 6  // one after another; never more than two at once
	maxHops     = 30
	smallMSS    = 536 // bytes; every IPv4 path carries it (RFC 9293 section 3.7.1)
	resumeAt    = 1000
)

// examination is one run of an [Examiner]. Its methods run in one goroutine; what runs beside it is joined in wait.
type examination struct {
	network  Network
	limits   Limits
	now      func() time.Time
	recorder connlog.Recorder
	progress func(Fact)
	o        Options
	password string

	e        Evidence
	facts    []Fact
	offers   int
	sessions atomic.Int32
	started  time.Time
	rtt      time.Duration // of the first control connection
	dropped  int64         // when it began
	ended    func() error  // not nil when it was cancelled, or took too long
	beside   sync.WaitGroup
	traced   struct {
		sync.Mutex
		hops, offer Trace
		facts       []Fact
	}
}

// Examine probes the server and says what is wrong with it.
func (ex *Examiner) Examine(ctx context.Context, t client.Target) Report {
	x := &examination{
		network: ex.Network.orSystem(), limits: ex.Limits.orDefaults(), now: ex.Now, recorder: ex.Recorder,
		progress: ex.Progress, o: ex.Options, password: t.Password,
	}
	if x.now == nil {
		x.now = time.Now
	}
	if x.recorder == nil {
		x.recorder = connlog.Discard
	}
	if x.progress == nil {
		x.progress = func(Fact) {}
	}
	if t.User == "" {
		t.User = client.Anonymous
	}
	if x.password == "" && t.User == client.Anonymous {
		x.password = client.AnonymousPassword
	}
	// What can't stand in a command line is cut off: a URL must not be able to send commands of its own.
	for _, s := range []*string{&t.User, &x.password, &t.Path} {
		if i := strings.IndexAny(*s, "\r\n\x00"); i >= 0 {
			*s = (*s)[:i]
		}
	}
	if t.TLS == "" {
		t.TLS = client.TLSAuto
	}
	t.Password = ""
	x.e = Evidence{Target: t, Mode: ex.Mode, Action: ex.Action, ClearData: ex.ClearData, Consent: ex.ConsentPlain}
	x.e.TLSAsked = t.TLS == client.TLSExplicit || t.TLS == client.TLSImplicit
	x.started = x.now()
	x.dropped, _ = x.network.Dropped(false)

	ctx, cancel := context.WithTimeout(ctx, x.limits.Total)
	defer cancel()
	x.ended = ctx.Err
	x.run(ctx)
	cancelled := ctx.Err() != nil
	cancel()
	x.join()
	r := Judge(x.e)
	r.Facts, r.Started, r.Took, r.Cancelled = x.facts, x.started, Duration(x.now().Sub(x.started)), cancelled
	return r
}

func (x *examination) sessionID() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	x.sessions.Add(1)
	return hex.EncodeToString(b[:])
}

// begin shows a probe that starts; the function that it returns shows how it ended.
func (x *examination) begin(f Fact) func(Fact) {
	f.ID, f.Running, f.Time = len(x.facts)+1, true, x.now()
	x.facts = append(x.facts, f)
	i := len(x.facts) - 1
	x.progress(f)
	return func(end Fact) {
		end.ID, end.Probe, end.Time, end.Running = f.ID, f.Probe, f.Time, false
		if end.Duration == 0 {
			end.Duration = x.now().Sub(f.Time)
		}
		if !end.OK && x.ended() != nil && cutShort(end) {
			end.Note, end.Outcome, end.Detail = true, NotTried, "not waited for"
		}
		if end.By == "" {
			end.By = f.By
		}
		if !end.To.IsValid() {
			end.To = f.To
		}
		if end.Command == "" {
			end.Command = f.Command
		}
		x.facts[i] = end
		x.progress(end)
	}
}

// cutShort says that a probe may have ended as it did because the examination was ended.
func cutShort(f Fact) bool {
	switch f.Outcome {
	case NotTried, Failed, Broken:
		return true
	case Silence:
		return f.Probe == ProbeControl
	}
	return false
}

// tell shows a fact that needed no waiting.
func (x *examination) tell(f Fact) { x.begin(f)(f) }

func (x *examination) run(ctx context.Context) {
	if !x.names(ctx) {
		return
	}
	s := x.control(ctx)
	if s == nil {
		return
	}
	defer func() { s.close() }()
	if !x.greet(ctx, s) || !x.secure(ctx, s) || !x.enter(ctx, s) {
		return
	}
	if x.e.mode() == client.ModeActive {
		s = x.active(ctx, s, x.limits.Accept, false)
		if x.e.active().works() {
			s = x.transfer(ctx, s)
		} else if m := x.e.active().Move; m.Outcome == Stalled || m.Outcome == Broken {
			s = x.stalled(ctx, s, m)
		}
		s = x.passive(ctx, s, false)
		s = x.compare(ctx, s)
		return
	}
	s = x.passive(ctx, s, true)
	works := x.e.Passive.moved()
	if works && x.stoppedMoving() == nil {
		s = x.transfer(ctx, s)
	}
	s = x.compare(ctx, s)
	if ctx.Err() == nil && x.stoppedMoving() == nil {
		switch {
		case !works:
			s = x.active(ctx, s, x.limits.Accept*2/5, false)
		case !x.slow():
			s = x.active(ctx, s, x.limits.Quick, true)
		}
	}
}

// stoppedMoving returns a transfer that began and did not end well.
func (x *examination) stoppedMoving() *Move {
	for _, m := range []*Move{&x.e.Transfer, &x.e.Passive.EPSV.Move, &x.e.Passive.PASV.Move} {
		if m.Outcome == Stalled || m.Outcome == Broken || m.Outcome == NoEnd {
			return m
		}
	}
	return nil
}

func (x *examination) names(ctx context.Context) bool {
	host := x.e.Target.Host
	if a, err := netip.ParseAddr(host); err == nil {
		x.e.Addrs = []netip.Addr{a}
		return true
	}
	done := x.begin(Fact{Probe: ProbeNames, Detail: host})
	nctx, cancel := context.WithTimeout(ctx, x.limits.Name)
	defer cancel()
	addrs, err := x.network.Resolve(nctx, host)
	for _, a := range addrs {
		if a = a.Unmap(); !slices.Contains(x.e.Addrs, a) && len(x.e.Addrs) < 8 {
			x.e.Addrs = append(x.e.Addrs, a)
		}
	}
	if len(x.e.Addrs) == 0 && ctx.Err() != nil {
		done(Fact{Outcome: Failed, Detail: host})
		return false
	}
	if len(x.e.Addrs) == 0 {
		x.e.NoSuch = noSuchName(err)
		x.e.NameError = "no address"
		if err != nil {
			x.e.NameError = connlog.Printable(err.Error())
		}
		done(Fact{Outcome: Failed, Detail: host})
		return false
	}
	var list []string
	for _, a := range x.e.Addrs {
		list = append(list, a.String())
	}
	done(Fact{OK: true, Outcome: Worked, Detail: host + " = " + strings.Join(list, ", ")})
	return true
}

// maxAddrs bounds how many addresses of a name are dialled.
const maxAddrs = 4

// toDial returns the addresses of the name in the order in which they are dialled: the one that the system prefers, one
// of the other family, the others.
func (x *examination) toDial() []netip.AddrPort {
	addrs := slices.Clone(x.e.Addrs)
	if i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is4() != addrs[0].Is4() }); i > 1 {
		other := addrs[i]
		addrs = slices.Insert(slices.Delete(addrs, i, i+1), 1, other)
	}
	var out []netip.AddrPort
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		out = append(out, netip.AddrPortFrom(a, x.e.Target.ControlPort()))
	}
	return out
}

// control opens the control connection: to the address that the system prefers, and to the name's others when that does
// not answer at once (RFC 8305), so that a broken family is seen, and one host of several that is down.
func (x *examination) control(ctx context.Context) *controlConn {
	tries := x.toDial()
	ends := x.race(ctx, tries)
	for i, won := range ends {
		s := won.s
		if s == nil {
			continue
		}
		for _, other := range ends[i+1:] {
			other.s.close()
		}
		if i > 0 {
			x.e.OtherDead, x.e.OtherHow = tries[0].Addr(), ends[0].how
		}
		x.e.Control, x.e.Local, x.e.Peer, x.rtt = Worked, s.local, s.peer, s.rtt
		x.e.OnLink = x.network.OnLink(s.peer.Addr())
		return s
	}
	x.e.Peer, x.e.Control, x.e.OnLink = tries[0], ends[0].how, x.network.OnLink(tries[0].Addr())
	if ctx.Err() != nil && ends[0].how == Silence {
		x.e.Control = NotTried // not waited for
	}
	if ends[0].err != nil {
		x.e.ControlError = connlog.Printable(ends[0].err.Error())
	}
	if ctx.Err() == nil {
		x.whereControlStops(ctx)
	}
	return nil
}

// dialled is how a try to open the control connection ended.
type dialled struct {
	s   *controlConn // nil: it did not stand
	how Outcome
	err error
}

// race dials the addresses one after the other, the next when one has failed or takes long, and returns how each ended.
func (x *examination) race(ctx context.Context, tries []netip.AddrPort) []dialled {
	type result struct {
		dialled
		i    int
		took time.Duration
	}
	results := make(chan result, len(tries))
	dctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make([]dialled, len(tries))
	told := make([]func(Fact), len(tries))
	begun, ended, stands := 0, 0, false
	dial := func() {
		i := begun
		begun++
		told[i] = x.begin(Fact{Probe: ProbeControl, By: connlog.Client, To: tries[i]})
		// The session outlives this function, so it hangs on ctx; only its dial hangs on dctx.
		x.beside.Go(func() {
			start := x.now()
			s, how, err := x.dialControlWithin(ctx, dctx, tries[i], 0)
			results <- result{dialled{s, how, err}, i, x.now().Sub(start)}
		})
	}
	dial()
	timer := time.NewTimer(300 * time.Millisecond)
	defer timer.Stop()
	for ended < begun {
		select {
		case r := <-results:
			ended++
			ends[r.i], stands = r.dialled, stands || r.s != nil
			if r.i == 0 {
				x.e.ControlTook = r.took
			}
			f := Fact{OK: r.s != nil, Outcome: r.how}
			if r.s != nil {
				f.From, f.To = r.s.local, r.s.peer
			}
			told[r.i](f)
			switch {
			case r.s != nil && r.i == 0:
				cancel()
			case r.s != nil:
				timer.Reset(1200 * time.Millisecond) // the preferred one gets that much more
			case begun < len(tries) && !stands:
				dial()
			}
		case <-timer.C:
			switch {
			case stands:
				cancel()
			case begun < len(tries):
				dial()
				timer.Reset(time.Second)
			}
		}
	}
	return ends
}

// whereControlStops follows the packets to a control port that does not answer. None of them connects, so all are sent
// at once.
func (x *examination) whereControlStops(ctx context.Context) {
	done := x.begin(Fact{Probe: ProbeTrace, By: connlog.Client, To: x.e.Peer})
	ttls := make([]int, 20)
	for i := range ttls {
		ttls[i] = i + 1
	}
	x.e.Hops = x.network.Trace(ctx, x.e.Peer, ttls, x.limits.Hop)
	last, addr := x.e.Hops.last()
	f := Fact{Note: true, Outcome: x.e.Control, Hop: last, HopAddr: addr}
	if r := x.e.Hops.first(Refused, Unreachable, Filtered); r != 0 {
		f.Hop = r
	}
	done(f)
	if x.e.Control == Refused {
		last = x.e.Hops.first(Refused) - 1 // the reset may come from the router there, in the server's name
	}
	if last < 0 || last > 2 || x.e.Control == Refused && (last > 1 || x.e.OnLink) || ctx.Err() != nil {
		return
	}
	// Lost or refused within two hops: does a packet to another port of the same host come further? It dies on the way, too.
	other := netip.AddrPortFrom(x.e.Peer.Addr(), 443)
	if x.e.Peer.Port() == 443 {
		other = netip.AddrPortFrom(x.e.Peer.Addr(), 80)
	}
	done = x.begin(Fact{Probe: ProbeOtherPort, By: connlog.Client, To: other})
	way := Trace(x.network.Trace(ctx, other, []int{last + 1, last + 2}, x.limits.Hop))
	beyond, from := way.last()
	x.e.Beyond, x.e.OtherPort = beyond, way.first(Worked, Refused) != 0
	f = Fact{Note: true, Outcome: Passed, Hop: max(beyond, last), HopAddr: from}
	if x.e.OtherPort {
		f.Outcome, f.Hop = Worked, way.first(Worked, Refused)
	}
	done(f)
}

func (x *examination) greet(ctx context.Context, s *controlConn) bool {
	if x.e.Target.TLS == client.TLSImplicit {
		return x.greetImplicit(ctx, s)
	}
	start := x.now()
	done := x.begin(Fact{Probe: ProbeGreeting, By: connlog.Client, From: s.local, To: s.peer})
	type said struct {
		r   wire.Reply
		err error
	}
	heard := make(chan said, 1)
	octx, came := context.WithCancel(ctx)
	defer came()
	x.beside.Go(func() {
		r, err := s.greeting(x.limits.Slow)
		heard <- said{r, err}
		came()
	})
	var first said
	select {
	case first = <-heard:
	case <-time.After(x.limits.Greeting):
		// Silence: is it another protocol? The first connection goes on waiting meanwhile.
		g := x.otherProtocol(octx)
		if g != "" {
			s.halted.Store(true)
			_ = s.tcp.SetReadDeadline(time.Unix(1, 0))
		}
		if first = <-heard; g != "" && first.err != nil {
			x.e.Greeter = g
			done(Fact{Outcome: Silence, Detail: "it speaks " + string(g)})
			if g != GreeterTLS {
				x.nearby(ctx)
			}
			return false
		}
	}
	x.e.GreetIn = x.now().Sub(start)
	if errors.Is(first.err, errEnded) {
		done(Fact{Outcome: Failed})
		return false
	}
	x.e.Greeter, x.e.Heard = greeter(first.r, first.err, s.buf)
	x.e.GreetCut = first.err != nil && x.e.Greeter == GreeterFTP
	if first.err == nil {
		s.greeted(first.r)
		x.e.Greeting = answer(first.r)
		x.e.Software = softwareOf(x.e.Greeting.Text)
	}
	ok := x.e.Greeter == GreeterFTP && x.e.Greeting.Code/100 == 2
	f := Fact{OK: ok, Outcome: Worked, Detail: x.e.Greeting.String(), From: s.local}
	switch {
	case first.err != nil:
		f.Outcome, f.Detail = Rejected, x.e.Heard
		if x.e.Greeter == GreeterSilent {
			f.Outcome = Silence
		} else if x.e.Greeter == GreeterClosed {
			f.Outcome = Broken
		}
	case !ok:
		f.Outcome = Rejected
	}
	done(f)
	if !ok && ctx.Err() == nil && x.e.Greeter != GreeterFTP {
		x.nearby(ctx)
	}
	return ok
}

// nearby asks whether what answers is one hop away though the address is not: then it is not the server.
func (x *examination) nearby(ctx context.Context) {
	if x.e.OnLink {
		return
	}
	done := x.begin(Fact{Probe: ProbeDistance, By: connlog.Client, To: x.e.Peer})
	x.e.Hops = x.network.Trace(ctx, x.e.Peer, []int{1}, x.limits.Hop)
	f := Fact{Note: true, Outcome: x.e.Hops.at(1), Hop: 1}
	done(f)
}

// otherProtocol tries TLS and HTTP on connections of their own.
func (x *examination) otherProtocol(ctx context.Context) Greeter {
	done := x.begin(Fact{Probe: ProbeHello, By: connlog.Client, To: x.e.Peer})
	s, how, err := x.dialControl(ctx, x.e.Peer, 0)
	if err != nil {
		done(Fact{Note: true, Outcome: how})
		return ""
	}
	hctx, cancel := context.WithTimeout(ctx, x.limits.Hello)
	_, err = s.handshake(hctx, tlsOldest)
	cancel()
	s.dead = errHalted
	s.close()
	if err == nil {
		done(Fact{Note: true, OK: true, Outcome: Worked})
		return GreeterTLS
	}
	if plainGreeting(err) {
		done(Fact{Note: true, Outcome: Rejected, Detail: "it greets in clear"})
		return ""
	}
	done(Fact{Note: true, Outcome: Silence})
	if ctx.Err() != nil {
		return ""
	}
	done = x.begin(Fact{Probe: ProbeHTTP, By: connlog.Client, To: x.e.Peer})
	s, how, err = x.dialControl(ctx, x.e.Peer, 0)
	if err != nil {
		done(Fact{Note: true, Outcome: how})
		return ""
	}
	defer s.close()
	_ = s.send("GET / HTTP/1.0\r\n")
	_, err = s.next(x.limits.Hello)
	s.dead = errHalted
	if g, text := greeter(wire.Reply{}, err, s.buf); g == GreeterHTTP {
		done(Fact{Note: true, OK: true, Outcome: Worked, Detail: text})
		return g
	}
	done(Fact{Note: true, Outcome: Silence})
	return ""
}

// enter signs in and asks what the server can do.
func (x *examination) enter(ctx context.Context, s *controlConn) bool {
	e := &x.e
	if !e.TLSUp && e.Target.TLS == client.TLSAuto && e.Target.User != client.Anonymous && !e.Consent {
		e.HeldBack = true
		x.tell(Fact{Probe: ProbeNotClear, Outcome: Failed})
		return false
	}
	done := x.begin(Fact{Probe: ProbeSignIn, By: connlog.Client, From: s.local, To: s.peer, Detail: e.Target.User})
	start := x.now()
	var err error
	e.User, e.Pass, err = s.signIn(e.Target.User, x.password)
	e.SignInIn = x.now().Sub(start)
	last := e.Pass
	if last.Code == 0 {
		last = e.User
	}
	e.Software = e.Software.or(softwareOf(e.User.Text + "\n" + e.Pass.Text))
	e.SignedIn = err == nil && last.Code/100 == 2
	f := Fact{OK: e.SignedIn, Outcome: Worked, Detail: e.Target.User, From: s.local}
	if !e.SignedIn {
		f.Outcome, f.Detail = Rejected, last.String()
		if err != nil {
			f.Outcome, f.Detail = Broken, cmp.Or(s.alert, err.Error())
			x.lose(s, err)
		}
	}
	done(f)
	if !e.SignedIn {
		return false
	}
	if e.TLSUp && !x.protection(s) {
		return false
	}
	if f := s.features(); f != nil {
		e.Features = f
		if _, ok := f["UTF8"]; ok {
			_, _ = s.ask("OPTS UTF8 ON") // IIS sends another character set without it
		}
	}
	if a, err := s.ask("SYST"); err == nil && a.Code == 215 {
		e.System = a.Text
		e.Software = e.Software.or(softwareOfSystem(a.Text))
	}
	_, _ = s.ask("TYPE I")
	if e.Action != ActionGet && e.Action != ActionResume && e.Target.Path != "" {
		if a, err := s.ask("CWD " + e.Target.Path); err == nil && a.failed() {
			e.PathFail = a
		}
	}
	if s.dead != nil {
		x.lose(s, s.dead)
	}
	return s.dead == nil && ctx.Err() == nil
}

// protection says how data connections are protected (RFC 4217 section 9).
func (x *examination) protection(s *controlConn) bool {
	level := "P"
	if x.e.ClearData {
		level = "C"
	}
	_, _ = s.ask("PBSZ 0")
	a, err := s.ask("PROT " + level)
	switch {
	case err != nil:
		x.lose(s, err)
	case a.Code/100 == 2:
		s.protect = level == "P"
		return true
	}
	x.e.ProtAnswer = a
	x.tell(Fact{Probe: ProbeProtection, Outcome: Rejected, Command: "PROT " + level, Detail: a.String()})
	return false
}

// another ends s and opens a session like it. secure and mss may differ from the first one's; nil means that it could
// not be had, and why tells.
func (x *examination) another(ctx context.Context, s *controlConn, secure bool, mss int) (_ *controlConn, why string) {
	s.close()
	if x.sessions.Load() >= maxSessions || ctx.Err() != nil {
		return nil, "enough sessions were tried"
	}
	n, how, err := x.dialControl(ctx, x.e.Peer, mss)
	if err != nil {
		return nil, string(how)
	}
	fail := func(why string) (*controlConn, string) {
		n.close()
		return nil, why
	}
	implicit := secure && x.e.Target.TLS == client.TLSImplicit
	if implicit {
		if _, err := n.handshake(ctx, tlsUsual); err != nil {
			return fail("TLS: " + err.Error())
		}
	}
	g, err := n.greeting(x.limits.Slow)
	if err != nil || g.Class() != 2 {
		return fail("greeting: " + answer(g).String())
	}
	n.greeted(g)
	if secure && !implicit {
		if a, err := n.ask("AUTH TLS"); err != nil || a.Code != 234 {
			return fail("AUTH TLS: " + a.String())
		}
		st, err := n.handshake(ctx, tlsUsual)
		if err != nil {
			return fail("TLS: " + err.Error())
		}
		if !x.e.TLSUp && !x.anonymous() && x.verify(st) != nil {
			return fail("its certificate is not trusted")
		}
	}
	password := x.password
	if !secure && x.e.TLSUp && x.anonymous() && !x.o.ConsentPlain {
		password = client.AnonymousPassword // an address of a person is not sent in clear either
	}
	u, p, err := n.signIn(x.e.Target.User, password)
	if err != nil || u.Code/100 != 2 && p.Code/100 != 2 {
		return fail("sign-in: " + cmp.Or(p.String(), u.String()))
	}
	if secure {
		_, _ = n.ask("PBSZ 0")
		a, _ := n.ask(map[bool]string{true: "PROT C", false: "PROT P"}[x.e.ClearData])
		n.protect = a.Code/100 == 2 && !x.e.ClearData
	}
	_, _ = n.ask("TYPE I")
	if x.listing() && x.e.Target.Path != "" && x.e.PathFail.Code == 0 {
		_, _ = n.ask("CWD " + x.e.Target.Path)
	}
	if n.dead != nil {
		return fail(n.dead.Error())
	}
	return n, ""
}

// like opens another session of the same kind, when s can't be used any more.
func (x *examination) like(ctx context.Context, s *controlConn) *controlConn {
	if s != nil && s.dead == nil {
		return s
	}
	if s == nil || x.sessions.Load() >= maxSessions || ctx.Err() != nil {
		return s
	}
	n, _ := x.another(ctx, s, x.e.TLSUp, 0)
	return n
}

func usable(s *controlConn) bool { return s != nil && s.dead == nil }

func (x *examination) anonymous() bool { return x.e.Target.User == client.Anonymous }

func (x *examination) listing() bool { return x.e.Action != ActionGet && x.e.Action != ActionResume }
