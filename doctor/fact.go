package doctor

import (
	"encoding/json"
	"net/netip"
	"time"

	"portside/connlog"
)

// Probe names what is tried.
type Probe string

// The probes, in the order in which they are usually made.
const (
	ProbeNames      Probe = "names"
	ProbeControl    Probe = "control"
	ProbeGreeting   Probe = "greeting"
	ProbeHello      Probe = "tls-hello"    // does TLS answer where no greeting came?
	ProbeHTTP       Probe = "http"         // does a web server?
	ProbeTLS        Probe = "tls"          // AUTH TLS, or the handshake of implicit TLS
	ProbeSmallTLS   Probe = "tls-small"    // the same handshake with small segments
	ProbeSignIn     Probe = "sign-in"      //
	ProbeProtection Probe = "protection"   // PBSZ and PROT
	ProbeEPSV       Probe = "epsv"         //
	ProbePASV       Probe = "pasv"         // at the control connection's address
	ProbeAdvertised Probe = "advertised"   // at the address that the 227 reply names
	ProbeReuse      Probe = "reuse"        // a data connection without a resumed TLS session
	ProbeRange      Probe = "range"        // further offers, connection only
	ProbeTransfer   Probe = "transfer"     //
	ProbeSmall      Probe = "small"        // the transfer again, with small segments
	ProbeAgain      Probe = "again"        // the transfer again, to see whether it stops at the same place
	ProbeIdle       Probe = "idle"         // is the control connection alive after the transfer?
	ProbeRest       Probe = "rest"         //
	ProbeActive     Probe = "active"       // EPRT or PORT
	ProbeCompare    Probe = "compare"      // the same in clear, or under TLS
	ProbeDistance   Probe = "distance"     // how many hops the control port is away
	ProbeTrace      Probe = "trace"        // where packets to an offered port are lost
	ProbeOtherPort  Probe = "other-port"   // do packets to another port of the same host come further?
	ProbeNotClear   Probe = "not-in-clear" // the password was held back
)

// theCertificate is the Command of the part of ProbeTLS that looks whether the certificate can be trusted.
const theCertificate = "certificate"

// Fact is one probe and its outcome.
type Fact struct {
	ID       int // the same when the probe begins and ends; grows
	Probe    Probe
	Running  bool
	OK       bool         // it went as it should
	Note     bool         // neither good nor bad: something to know
	By       connlog.Side // who dialled
	From, To netip.AddrPort
	Command  string // EPSV, PORT 192,0,2,2,200,10, RETR a.txt, certificate
	Outcome  Outcome
	Detail   string // the server's reply, an error, a count; safe to print
	Time     time.Time
	Duration time.Duration
	Hop      int        // where it stopped, counted from this computer
	HopAddr  netip.Addr // the router there
}

// MarshalJSON writes the fact with its title and result in words.
func (f Fact) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Probe    Probe          `json:"probe"`
		Title    string         `json:"title"`
		Result   string         `json:"result"`
		OK       bool           `json:"ok"`
		Note     bool           `json:"note,omitempty"`
		By       connlog.Side   `json:"by,omitempty"`
		From     netip.AddrPort `json:"from,omitzero"`
		To       netip.AddrPort `json:"to,omitzero"`
		Command  string         `json:"command,omitempty"`
		Outcome  Outcome        `json:"outcome,omitempty"`
		Detail   string         `json:"detail,omitempty"`
		Time     time.Time      `json:"time"`
		Duration float64        `json:"seconds"`
		Hop      int            `json:"hop,omitempty"`
		HopAddr  netip.Addr     `json:"hop_address,omitzero"`
	}{f.Probe, f.Title(), f.Result(), f.OK, f.Note, f.By, f.From, f.To, f.Command, f.Outcome, f.Detail, f.Time,
		f.Duration.Seconds(), f.Hop, f.HopAddr})
}

// MarshalJSON writes seconds.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).Seconds()) }
