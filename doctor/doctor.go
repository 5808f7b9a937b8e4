// Package doctor finds out why an FTP server can't be used, whose side has to act, and what to type there.
//
// [Examine] probes one server as its user's client would: names, control connection, greeting, TLS, sign-in, data
// connections in passive and in active mode, a transfer. Each probe is a [Fact]; what all of them say together is the
// [Evidence]; the rules ([Rules]) are data and pure functions from evidence to a [Verdict]; verdicts.go has for each
// verdict what it means, in one sentence, and what to change, with lines to type. So everything but the probing is tested
// without a network, and docs/doctor.md is the table of rules, written from them.
//
//	r := doctor.Examine(ctx, target, doctor.Options{
//		Mode:     client.ModeAuto,
//		Progress: func(f doctor.Fact) { … },    // from the examination's goroutine, in order; must not block
//		Recorder: log,                          // the channels it opens, as any session's
//	})
//	r.Verdict, r.Confidence, r.Side, r.Sentence // what is wrong, how sure, who has to act, in one sentence
//	r.Second                                    // another fault that overlaps, or nil
//	r.Workaround                                // what helps at once on this side, or ""
//	r.Facts                                     // each probe: f.Title(), f.Result(), f.OK, f.Duration, …
//	r.Arrows                                    // the picture: each channel, and where it stopped
//	r.Fixes                                     // in order; each with variants (ufw, firewalld, …), one of them chosen
//	r.ForAdmin()                                // the report for the server's admin, without secrets
//
// A screen shows a Fact twice: when the probe begins (f.Running, same f.ID) and when it has ended. Cancelling ctx ends
// the examination within a moment; the report then says what the evidence so far allows, with r.Cancelled set.
// [FromSession] judges what an ordinary session's log says, without any probe, for a failure while working.
//
// Promises: at most 2 control connections at once and 12 passive offers; it stops at the first refused sign-in; a
// password goes in clear only when the target says so ([client.TLSNone]) or [Options.ConsentPlain] is set; of the
// addresses that a server dictates only one is ever dialled, once, and never below port 1024; no third party is asked;
// every wait is bounded, the whole examination by [Limits.Total]; nothing is left running when Examine returns.
//
// Sources: RFC 959, 2428, 4217, 2577; the model is Tailscale's net/netcheck; the taxonomy and the numbers were measured
// in a laboratory of network namespaces, where each fault was made real.
package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"portside/client"
	"portside/connlog"
)

// Verdict names what is wrong. The names are fixed: scripts read them.
type Verdict string

// The verdicts.
const (
	OK                     Verdict = "ok"            // every channel that the mode needs came up and carried data
	OKWithFault            Verdict = "ok-with-fault" // works here, but the server says something that breaks other clients
	NameUnresolved         Verdict = "name-unresolved"
	ControlRefused         Verdict = "control-refused"
	ControlTimeout         Verdict = "control-timeout"
	NotFTP                 Verdict = "not-ftp"
	ServerSlowGreeting     Verdict = "server-slow-greeting"
	TLSModeMismatch        Verdict = "tls-mode-mismatch"
	TLSRequired            Verdict = "tls-required"
	TLSUnsupported         Verdict = "tls-unsupported"
	TLSCertificate         Verdict = "tls-certificate"
	TLSSessionReuse        Verdict = "tls-session-reuse"
	TLSDataProtection      Verdict = "tls-data-protection"
	LoginRefused           Verdict = "login-refused"
	ServerFull             Verdict = "server-full"
	ServerFirewallPassive  Verdict = "server-firewall-passive"
	ServerForwardPassive   Verdict = "server-forward-passive"
	ServerPassiveIP        Verdict = "server-passive-ip"
	ServerPassiveHairpin   Verdict = "server-passive-hairpin"
	ServerPassiveExhausted Verdict = "server-passive-exhausted"
	EPSVBroken             Verdict = "epsv-broken"
	ClientFirewallOutbound Verdict = "client-firewall-outbound"
	ClientMultiAddress     Verdict = "client-multi-address"
	ClientFirewallActive   Verdict = "client-firewall-active"
	ClientNATActive        Verdict = "client-nat-active"
	ServerEgressActive     Verdict = "server-egress-active"
	ActiveDisabled         Verdict = "active-disabled"
	IPv6Unsupported        Verdict = "ipv6-unsupported"
	ALGBlindTLS            Verdict = "alg-blind-tls"
	ALGTamper              Verdict = "alg-tamper"
	ControlIdleTimeout     Verdict = "control-idle-timeout"
	DataCut                Verdict = "data-cut"
	MTUBlackhole           Verdict = "mtu-blackhole"
	ListingEmpty           Verdict = "listing-empty"
	RESTUnsupported        Verdict = "rest-unsupported"
	Charset                Verdict = "charset"
	Undecided              Verdict = "undecided" // the examination ended before anything was found out
)

// Confidence says how far the evidence carries.
type Confidence string

const (
	Proved   Confidence = "proved"   // a comparison leaves no other cause
	Likely   Confidence = "likely"   // the usual cause of this evidence; another one can't be told apart from here
	Possible Confidence = "possible" // one of several
)

// Side says who has to act.
type Side string

const (
	Nobody         Side = "nobody"
	ClientComputer Side = "client's computer"
	ClientNetwork  Side = "client's network"
	ThePath        Side = "the path"
	ServerNetwork  Side = "server's network"
	ServerComputer Side = "server's computer"
	ServerSettings Side = "server's settings"
)

// Finding is one verdict with what goes with it.
type Finding struct {
	Verdict    Verdict    `json:"verdict"`
	Confidence Confidence `json:"confidence"`
	Side       Side       `json:"side"`
	Sentence   string     `json:"sentence"`
	Rule       string     `json:"rule"` // the evidence that the rule asks for, in words
}

// Report is what an examination found.
type Report struct {
	Finding
	Second     *Finding  `json:"second,omitempty"` // another fault that overlaps with the first
	Workaround string    `json:"workaround,omitempty"`
	Fixes      []Fix     `json:"fixes"`
	Facts      []Fact    `json:"facts"`
	Arrows     []Arrow   `json:"arrows"`
	URL        string    `json:"url"` // without the password
	Software   string    `json:"software,omitempty"`
	Started    time.Time `json:"started"`
	Took       Duration  `json:"seconds"`
	Cancelled  bool      `json:"cancelled,omitempty"`
	Evidence   Evidence  `json:"-"`

	remedy Remedy // what Workaround does
}

// Problem says that something has to be done: every verdict but [OK].
func (r Report) Problem() bool { return r.Verdict != OK }

// Duration is a duration that stands in JSON as seconds.
type Duration time.Duration

// Action is what the examination does when a session stands.
type Action string

const (
	ActionList   Action = "list"   // lists Target.Path, or the folder after sign-in
	ActionGet    Action = "get"    // downloads Target.Path and keeps nothing
	ActionResume Action = "resume" // downloads Target.Path from its byte 1000 on
)

// Options is what an examination may be told. The zero value examines a listing in automatic mode.
type Options struct {
	// Mode is the mode whose faults are looked for; the other one is tried too, as a way around. Auto: passive.
	Mode client.Mode
	// ClearData asks for clear data connections under explicit TLS (PROT C).
	ClearData bool
	Action    Action
	RootCAs   *x509.CertPool // nil: the system's
	Insecure  bool           // take any certificate
	// Trusted says whether the person trusts a certificate that the system doesn't, by its [client.Fingerprint]. Nil: none.
	Trusted func(fingerprint string) bool
	// ConsentPlain allows a comparison in clear: the password is then readable on the way.
	ConsentPlain bool
	// Progress gets each fact, when its probe begins and when it ends. It is called from one goroutine at a time.
	Progress func(Fact)
	// Recorder gets the records of the channels that the examination opens.
	Recorder connlog.Recorder
}

// Examine probes the server and says what is wrong with it.
func Examine(ctx context.Context, t client.Target, o Options) Report {
	return (&Examiner{Options: o}).Examine(ctx, t)
}

// Examiner is an examination with everything it needs of the world, so that a test can give it another one.
type Examiner struct {
	Options
	Network Network
	Limits  Limits
	Now     func() time.Time // nil: time.Now
}

// Network is what an examination asks of the computer. A nil field is what the system does.
type Network struct {
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial opens a TCP connection; mss above 0 limits the size of the segments that the other side sends.
	Dial   func(ctx context.Context, to netip.AddrPort, mss int) (net.Conn, error)
	Listen func(ctx context.Context, at netip.Addr, mss int) (net.Listener, error)
	// Trace sends the first packet of a TCP connection once for each TTL, all at the same time, and says what came back
	// within wait. It never keeps a connection.
	Trace func(ctx context.Context, to netip.AddrPort, ttls []int, wait time.Duration) []Hop
	// Dropped is how many packets this computer has received and not delivered so far: what its firewall eats.
	Dropped func(v6 bool) (n int64, ok bool)
	// Punch sends one packet that dies at hop ttl, so that a firewall on this side takes the server's connection for an
	// answer to it.
	Punch func(ctx context.Context, from, to netip.AddrPort, ttl int)
	// OnLink says whether an address is in a network of this computer, no router between.
	OnLink func(netip.Addr) bool
}

// Limits are the waits of an examination. A zero field has the default in brackets.
type Limits struct {
	Name     time.Duration // the name service (6 s: a resolver that is down answers nothing for 5 s at a time)
	Connect  time.Duration // the control connection (7.5 s: Linux sends again after 1, 3 and 7 s)
	Greeting time.Duration // silence before other protocols are tried (5 s)
	Hello    time.Duration // an answer in another protocol (3 s)
	Slow     time.Duration // the greeting in all (27 s: name lookups of servers time out after 5 to 25 s; an answer is due in 30)
	Reply    time.Duration // a reply to a command (15 s: PAM delays a refusal by some 3 s)
	SignIn   time.Duration // the reply to PASS (30 s, as a session in Portside: directories and name lookups take their time)
	Dial     time.Duration // the first data connection that is dialled (4 s: sent three times)
	DialNext time.Duration // the ones after it, when the first was silent (2 s: sent twice)
	Accept   time.Duration // the server's connection in active mode (8.5 s: sent four times)
	Quick    time.Duration // the same when the other mode works (1.5 s)
	Stall    time.Duration // a transfer on which no byte moves (6 s)
	End      time.Duration // the reply after the last byte (7 s)
	Transfer time.Duration // a transfer in all; then it is stopped on purpose (60 s)
	Hop      time.Duration // an answer to a packet with a small TTL (1.2 s)
	Total    time.Duration // everything (150 s)
}

func (l Limits) orDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.Name, 6*time.Second)
	set(&l.Connect, 7500*time.Millisecond)
	set(&l.Greeting, 5*time.Second)
	set(&l.Hello, 3*time.Second)
	set(&l.Slow, 27*time.Second)
	set(&l.Reply, 15*time.Second)
	set(&l.SignIn, 30*time.Second)
	set(&l.Dial, 4*time.Second)
	set(&l.DialNext, 2*time.Second)
	set(&l.Accept, 8500*time.Millisecond)
	set(&l.Quick, 1500*time.Millisecond)
	set(&l.Stall, 6*time.Second)
	set(&l.End, 7*time.Second)
	set(&l.Transfer, 60*time.Second)
	set(&l.Hop, 1200*time.Millisecond)
	set(&l.Total, 150*time.Second)
	return l
}
