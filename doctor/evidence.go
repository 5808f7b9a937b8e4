package doctor

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portside/client"
	"portside/connlog"
)

// Outcome is how one attempt ended.
type Outcome string

const (
	NotTried    Outcome = ""
	Worked      Outcome = "ok"
	Refused     Outcome = "refused"     // a TCP reset in answer
	Silence     Outcome = "no answer"   // nothing came back
	Unreachable Outcome = "unreachable" // a router said that it can't be reached
	Filtered    Outcome = "prohibited"  // a router said that a rule forbids it (ICMP 3/9, 3/10, 3/13)
	Rejected    Outcome = "turned down" // by a reply on the control connection
	Broken      Outcome = "broken"      // it stood and was cut
	Stalled     Outcome = "stalled"     // it stood and no byte moved any more
	NoEnd       Outcome = "no end"      // every byte came, the reply that ends the transfer did not
	TLSFailed   Outcome = "TLS failed"
	Failed      Outcome = "failed" // on this computer
	Passed      Outcome = "hop"    // a router on the way answered: the packet came as far as there ([Hop])
)

// Hop is what came back for a packet with a small TTL.
type Hop struct {
	TTL     int        `json:"ttl"`
	Outcome Outcome    `json:"outcome"` // Passed, Worked, Refused, Unreachable, Filtered, Silence
	Addr    netip.Addr `json:"addr"`    // who answered, when the system says so
}

// Trace is what came back for each TTL, smallest first.
type Trace []Hop

// at returns what came back for ttl.
func (t Trace) at(ttl int) Outcome {
	for _, h := range t {
		if h.TTL == ttl {
			return h.Outcome
		}
	}
	return NotTried
}

// last returns the largest TTL at which a router answered, and that router.
func (t Trace) last() (ttl int, addr netip.Addr) {
	for _, h := range t {
		if h.Outcome == Passed {
			ttl, addr = h.TTL, h.Addr
		}
	}
	return ttl, addr
}

// first returns the smallest TTL with one of outcomes, or 0.
func (t Trace) first(outcomes ...Outcome) int {
	for _, h := range t {
		for _, o := range outcomes {
			if h.Outcome == o {
				return h.TTL
			}
		}
	}
	return 0
}

// distance is the smallest TTL with which a connection comes about: how far away the server is.
func (t Trace) distance() int { return t.first(Worked) }

// Greeter is what answers on the control port.
type Greeter string

const (
	GreeterFTP    Greeter = "FTP"
	GreeterSSH    Greeter = "SSH"
	GreeterHTTP   Greeter = "HTTP"
	GreeterTLS    Greeter = "TLS" // nothing in clear, but a TLS handshake works
	GreeterMail   Greeter = "mail"
	GreeterOther  Greeter = "other"
	GreeterSilent Greeter = "silent"
	GreeterClosed Greeter = "closed" // the connection was closed without a word
)

// Answer is a reply of the server, as far as the rules look at it.
type Answer struct {
	Code int
	Text string // safe to print
}

func (a Answer) String() string {
	if a.Code == 0 {
		return ""
	}
	return strings.TrimSpace(itoa(a.Code) + " " + a.Text)
}

func (a Answer) failed() bool { return a.Code >= 400 }

// ownFault says that the server broke a transfer off for a reason on its own computer (RFC 959 section 4.2.2).
func (a Answer) ownFault() bool {
	return a.Code == 451 || a.Code == 452 || a.Code == 551 || a.Code == 552
}

// banned says that a refusal is about where the client comes from.
func (a Answer) banned() bool { return a.failed() && saysBanned.MatchString(a.Text) }

// unknown says that the server did not know the command: the codes of RFC 959 section 4.2.2 for that.
func (a Answer) unknown() bool {
	return a.Code == 500 || a.Code == 502 || a.Code == 504 || a.Code == 202
}

// Move is a listing or a file over a data connection.
type Move struct {
	Command   string
	Outcome   Outcome
	Answer    Answer // the reply that ended it
	Begun     bool   // a preliminary reply (1xx) came
	Bytes     int64
	Took      time.Duration
	Handshake string // what the data connection's TLS handshake said
	Secured   stage  // how far TLS on the data connection came
	Resumed   bool   // it resumed the control connection's TLS session
	Stopped   bool   // it was stopped on purpose, after Limits.Transfer
	Alone     bool   // the control connection ended while it was under way, or before
	NotUTF8   string // a name in the listing that is not UTF-8, safe to print
	MSS       int    // segments were limited to this size
}

// stage says how far the TLS handshake of a data connection came; its zero value is a data connection in clear.
type stage int

const (
	pending stage = iota + 1
	secured
)

// Offer is one PASV or EPSV, and what became of it.
type Offer struct {
	Command    string
	Answer     Answer
	Unanswered error // why there is no answer
	Port       uint16
	Advertised netip.AddrPort // what the 227 reply named
	Dialled    netip.AddrPort
	Dial       Outcome // NotTried when the offer was refused
	Took       time.Duration
	Move       Move // Outcome NotTried: only the connection was tried
}

// Refused says that the server made no offer.
func (o Offer) Refused() bool { return o.Command != "" && o.Port == 0 }

// silent says that the server did not answer.
func (o Offer) silent() bool { return o.Refused() && errors.Is(o.Unanswered, errSilent) }

// Works says that the data connection came about and, if something was to go over it, carried it.
func (o Offer) Works() bool {
	return o.Dial == Worked && (o.Move.Outcome == NotTried || o.Move.moved())
}

// forNothing says that the data connection was closed before a byte came, and that nobody ended the transfer.
func (m Move) forNothing() bool { return m.Outcome == NoEnd && m.Bytes == 0 }

func (m Move) moved() bool { return m.Outcome == Worked || m.Outcome == NoEnd }

// Passive is passive mode as a whole.
type Passive struct {
	EPSV       Offer   // the first EPSV
	PASV       Offer   // the first PASV whose port was dialled at the control connection's address
	Advertised Offer   // the PASV offer that was dialled at the address that it named, when that is another one
	More       []Offer // further offers, connection only
	Trace      Trace   // towards an offered port that did not answer
}

// all returns every offer that was dialled at the control connection's address.
func (p Passive) all() []Offer {
	var out []Offer
	for _, o := range append([]Offer{p.EPSV, p.PASV}, p.More...) {
		if o.Dial != NotTried {
			out = append(out, o)
		}
	}
	return out
}

func (p Passive) tried() bool {
	return p.EPSV.Command != "" || p.PASV.Command != "" || p.Advertised.Command != ""
}

// moved says that a listing or file came over passive mode.
func (p Passive) moved() bool { return p.EPSV.Move.moved() || p.PASV.Move.moved() }

// Active is one EPRT or PORT, and what became of it.
type Active struct {
	Command   string // EPRT or PORT
	Announced netip.AddrPort
	Answer    Answer
	Accepted  bool // the server's connection came
	From      netip.AddrPort
	Strangers []netip.Addr
	Move      Move
	Waited    time.Duration
	Quick     bool  // it was only looked at for a moment, since the other mode works
	Dropped   int64 // packets that came in and were not delivered while the server dialled
	Noise     int64 // how many of those are usual in that time
	Counted   bool  // Dropped and Noise are known
	Punched   bool  // this side's firewalls were told to expect the server
	Through   bool  // the connection came only after that
}

func (a Active) refused() bool { return a.Command != "" && a.Answer.failed() }

// works says that the server's connection came by itself and carried what it was for.
func (a Active) works() bool { return a.Accepted && !a.Through && a.Move.moved() }

// elsewhere says that the server took the command, and that a connection came from another address than its own.
func (a Active) elsewhere() bool { return a.nothing() && len(a.Strangers) > 0 }

// nothing says that the server took the command and its connection never came.
func (a Active) nothing() bool {
	return a.Command != "" && !a.refused() && !a.Accepted && a.Move.Outcome != Failed
}

// Comparison is the same over another protection: in clear when the session is TLS, under TLS when it is clear.
type Comparison struct {
	Tried  bool
	Failed string // why it could not be made
	EPSV   Offer
	PASV   Offer
	EPRT   Active
	PORT   Active
}

// Evidence is everything that an examination, or a session's log, found out. Rules see nothing else.
type Evidence struct {
	Target    client.Target // without the password
	Mode      client.Mode
	Action    Action
	ClearData bool
	Consent   bool

	Addrs     []netip.Addr
	NameError string // why there is none
	NoSuch    bool   // the name service says that the name does not exist
	Local     netip.AddrPort
	Peer      netip.AddrPort
	OtherDead netip.Addr // an address of another family that did not answer while Peer did
	OtherHow  Outcome

	Control      Outcome
	ControlError string
	ControlTook  time.Duration // until that was known, when it is not Worked
	Hops         Trace         // towards the control port
	Beyond       int           // the largest TTL at which a router answered for a packet to another port of the same host
	OtherPort    bool          // the host itself answered there

	Greeter  Greeter
	Greeting Answer
	Heard    string // what came instead of a greeting, safe to print
	GreetCut bool   // a greeting began and did not end
	GreetIn  time.Duration
	OnLink   bool // the server is in a network of this computer

	TLSAsked        bool // this session wanted TLS
	TLSUp           bool
	TLSVersion      string
	AuthAnswer      Answer
	ListsAuth       bool // FEAT names AUTH
	TLSError        string
	TLSOld          string // the only version the server speaks, when that is too old
	TLSPlain        bool   // implicit TLS was tried, and an FTP greeting in clear came
	TLSStalled      bool   // the handshake began and stopped
	TLSSmall        bool   // the same handshake works with small segments
	CertError       string
	CertIssuer      string
	CertNames       []string
	CertExpired     bool
	CertEarly       bool // it becomes valid only later, by this computer's clock
	CertMisnamed    bool // it is for other names
	CertWanted      bool // the server asked this side for a certificate
	CertFingerprint string
	ProtAnswer      Answer // the answer to PROT when it was refused
	HeldBack        bool   // the password was not sent, because it would have gone in clear

	User     Answer // the answer to USER
	Pass     Answer // the answer to PASS
	SignedIn bool
	SignInIn time.Duration // from USER to the answer that ended the sign-in

	Features map[string]string
	System   string
	Software Software

	Passive    Passive
	EPRT       Active
	PORT       Active
	Comparison Comparison

	Transfer Move // the first transfer of the action
	Again    Move // the second one, after the first stalled or broke
	Small    Move // the same with small segments
	Size     int64
	Noop     Outcome // after a transfer that did not end
	Reuse    Answer  // the refusal of a data connection that did not resume the TLS session, made on purpose
	Rest     Answer  // the answer to REST
	Ignored  bool    // REST was taken and not obeyed
	PathFail Answer  // the answer that refused the path
	Lost     error   // how the control connection ended when it did before its time
	LostText Answer
	LostAt   string // the command, without what follows it, at which that was seen
}

// active returns the attempt in active mode that says most.
func (e *Evidence) active() Active {
	switch {
	case e.PORT.works(), e.EPRT.Command == "":
		return e.PORT
	case e.EPRT.works(), e.PORT.Command == "":
		return e.EPRT
	case e.EPRT.refused() && !e.PORT.refused():
		return e.PORT
	case e.EPRT.refused() && e.EPRT.Answer.unknown():
		return e.PORT
	}
	return e.EPRT
}

// mode is the mode whose faults are looked for.
func (e *Evidence) mode() client.Mode {
	if e.Mode == client.ModeActive {
		return client.ModeActive
	}
	return client.ModePassive
}

func (e *Evidence) v6() bool { return e.Peer.Addr().Is6() && !e.Peer.Addr().Is4In6() }

// natted says that this computer is known to the server under another address than its own.
func (e *Evidence) natted() bool {
	return connlog.Private(e.Local.Addr()) && !connlog.Private(e.Peer.Addr())
}

// announcesPrivate says that the address in PORT or EPRT means nothing where the server is.
func (e *Evidence) announcesPrivate() bool {
	a := e.active().Announced.Addr()
	if !a.IsValid() {
		return e.natted()
	}
	return connlog.Private(a) && !connlog.Private(e.Peer.Addr())
}

// wrongAddress says that the 227 reply names an address that leads nowhere from here.
func (e *Evidence) wrongAddress() bool {
	a := e.Passive.Advertised
	return a.Command != "" && !a.Works()
}

// dead says that no passive data connection came about at the control connection's address.
func (p Passive) dead() bool {
	all := p.all()
	for _, o := range all {
		if o.Dial == Worked {
			return false
		}
	}
	return len(all) > 0
}

// reset says that every offered port answered with a reset.
func (p Passive) reset() bool {
	for _, o := range p.all() {
		if o.Dial != Refused {
			return false
		}
	}
	return len(p.all()) > 0
}

// searchTime is the least time for which a router looks for a computer in its network: three tries, a second apart
// (RFC 4861 section 10; Linux does the same for ARP).
const searchTime = 2 * time.Second

// lookedFor is how long a router took to say that an offered port can't be reached: seconds, when it forwards the port
// and finds no computer there. 0: no such answer. Firewalls answer at once.
func (p Passive) lookedFor() time.Duration {
	for _, o := range p.all() {
		if o.Dial == Unreachable && o.Took >= searchTime {
			return o.Took
		}
	}
	return 0
}

// further says that packets to an offered port pass a router that those to the control port don't: they go to another
// computer.
func (e *Evidence) further() bool {
	d := e.Hops.distance()
	last, _ := e.Passive.Trace.last()
	return d > 0 && last >= d
}

// none says that no passive data connection came about, wherever it was dialled.
func (p Passive) none() bool {
	return p.dead() || len(p.all()) == 0 && p.Advertised.Dial != NotTried && p.Advertised.Dial != Worked
}

// blocked returns the ports that were offered and could not be reached, and open the ones that could.
func (p Passive) ports() (open, blocked []uint16) {
	for _, o := range p.all() {
		if o.Dial == Worked {
			open = append(open, o.Port)
		} else {
			blocked = append(blocked, o.Port)
		}
	}
	return open, blocked
}

// fickle returns the ports that could be reached once and another time not.
func (p Passive) fickle() []uint16 {
	open, blocked := p.ports()
	return slices.DeleteFunc(blocked, func(port uint16) bool { return !slices.Contains(open, port) })
}

func (p Passive) blocked() []uint16 {
	_, blocked := p.ports()
	return blocked
}

// offered returns all ports that the server named.
func (p Passive) offered() []uint16 {
	var out []uint16
	for _, o := range append([]Offer{p.EPSV, p.PASV, p.Advertised}, p.More...) {
		if o.Port != 0 {
			out = append(out, o.Port)
		}
	}
	return out
}

// stop says at which TTL packets to an offered port are lost, 0 when that isn't known. exact is false when a router
// before it gives no answers, so that it may be nearer.
//
// The control port's trace is the measure: a hop that answers for the one and not for the other is where the other
// stops.
func (e *Evidence) stop() (ttl int, exact bool) {
	t, d := e.Passive.Trace, e.Hops.distance()
	if len(t) == 0 || d == 0 {
		return 0, false
	}
	if r := t.first(Refused, Unreachable, Filtered); r != 0 {
		// Routers say "can't be reached" only now and then, so the first such answer may come for a far larger TTL; who
		// says it is known all the same. A packet for the next hop is the first that a router's filter sees.
		if k := e.refuser(); k != 0 && k < r {
			return min(k+1, d-1), true
		}
		return min(r, d), r <= d
	}
	last, _ := t.last()
	for ttl := last + 1; ttl <= d; ttl++ {
		if how := e.Hops.at(ttl); how == Passed || how == Worked {
			return ttl, ttl == last+1
		}
	}
	return d, false
}

// refuser is the hop of the router that says that an offered port can't be reached, 0 when that isn't known. An answer
// from the server's own address may be the server's or that of the router before it.
func (e *Evidence) refuser() int {
	for _, h := range e.Passive.Trace {
		if h.Outcome != Unreachable && h.Outcome != Filtered || !h.Addr.IsValid() || h.Addr == e.Peer.Addr() {
			continue
		}
		for _, way := range e.Hops {
			if way.Outcome == Passed && way.Addr == h.Addr {
				return way.TTL
			}
		}
	}
	return 0
}

// ownerBeforeServer says that the hop before the server answers with the server's own address: a router that forwards
// ports, NAT.
func (e *Evidence) ownerBeforeServer() bool {
	d := e.Hops.distance()
	for _, h := range e.Hops {
		if h.TTL == d-1 && h.Outcome == Passed && h.Addr == e.Peer.Addr() {
			return true
		}
	}
	return false
}

// lists says whether FEAT names a feature; known is false when the server has no FEAT.
func (e *Evidence) lists(feature string) (yes, known bool) {
	_, yes = e.Features[feature]
	return yes, len(e.Features) > 0
}
