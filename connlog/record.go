// Package connlog is the connection log that Portside's client and server share.
//
// An FTP session has two channels (RFC 959 section 2.3): the control connection, opened by the client, and a data
// connection for every listing and file, opened by the client in passive mode and by the server in active mode.
// Client and server write what happens on the wire as a typed [Record] to a [Recorder]; they never write text for
// people. This package alone turns records into words ([Sentence], [Channel.Explain]), into arrows ([Log.Sessions]
// gives the [Channel] values that a diagram draws) and into log files. So window, terminal and reports say the same
// sentence, because it is made in one place.
//
// Who opened a channel is never guessed: [Record.Initiator] is the side that called connect.
package connlog

import (
	"net/netip"
	"time"
)

// Side is one end of an FTP session.
type Side string

// The two ends. As [Record.Side] it says whose record it is, as [Record.Initiator] who opened the channel.
const (
	Client Side = "client"
	Server Side = "server"
)

// Other returns the opposite end.
func (s Side) Other() Side {
	if s == Client {
		return Server
	}
	return Client
}

// ChannelKind tells the two FTP channels apart.
type ChannelKind string

const (
	Control ChannelKind = "control"
	Data    ChannelKind = "data"
)

// Mode is how a data connection comes about: passive (the client opens it, RFC 959 PASV, RFC 2428 EPSV) or active
// (the server opens it, PORT and EPRT).
type Mode string

const (
	Passive Mode = "passive"
	Active  Mode = "active"
)

// Event is what happened. The names are fixed: they stand in the JSON log, which other tools read.
type Event string

const (
	// Listening: the server accepts clients at Addr.
	Listening Event = "listening"
	// Stopped: the server has stopped; nothing of it is left.
	Stopped Event = "stopped"
	// ServerFault: something went wrong that concerns the server and no one session (Err says what).
	ServerFault Event = "server-fault"

	// ControlDialing: the client is about to open the control connection to To.
	ControlDialing Event = "control-dialing"
	// ControlOpened: the control connection stands. From is the client's end, To the server's.
	ControlOpened Event = "control-opened"
	// Greeted: the server's first words came (Software), with its id of the session where it gives one (Peer).
	Greeted Event = "greeted"
	// ControlFailed: the control connection could not be opened, or its greeting or TLS handshake failed (Reason, Err).
	ControlFailed Event = "control-failed"
	// ControlTLS: TLS protects the control connection from here on (TLS, Cipher).
	ControlTLS Event = "control-tls"
	// SignedIn: the server accepted User.
	SignedIn Event = "signed-in"
	// SignInRefused: the server refused User (Reply).
	SignInRefused Event = "sign-in-refused"
	// ControlClosed: the control connection ended. Initiator opened it; By is the side that closed it, Reason why.
	ControlClosed Event = "control-closed"

	// PassiveOffered: the server named To as the place where it waits for a data connection (Command PASV or EPSV).
	// At the client To is the address it will dial, and Advertised what the 227 reply named when that differs.
	PassiveOffered Event = "passive-offered"
	// ActiveRequested: the client named To as the place where it waits (Command PORT or EPRT, in full).
	ActiveRequested Event = "active-requested"
	// ActiveRefused: the server refused PORT or EPRT (Reply).
	ActiveRefused Event = "active-refused"
	// PassiveRefused: the server refused PASV or EPSV (Reply).
	PassiveRefused Event = "passive-refused"
	// DataDialing: this side started to dial the data connection to To.
	DataDialing Event = "data-dialing"
	// DataOpened: the data connection stands. From is the end that dialled.
	DataOpened Event = "data-opened"
	// DataTLS: the data connection's TLS handshake is done (TLS, Resumed).
	DataTLS Event = "data-tls"
	// DataProgress: Bytes so far. At most a few a second for each channel.
	DataProgress Event = "data-progress"
	// DataClosed: the data connection ended well. Bytes and Duration are final.
	DataClosed Event = "data-closed"
	// DataFailed: the data connection never stood, or broke (Reason, Err, Bytes so far).
	DataFailed Event = "data-failed"
	// OfferExpired: nobody took the passive offer; its port is free again.
	OfferExpired Event = "offer-expired"
	// StrangerRefused: a connection came to the data port from an address (From) that is not the other end of the
	// control connection. It was closed, and the wait goes on.
	StrangerRefused Event = "stranger-refused"
	// PortsExhausted: every port of the passive range is taken (Holders says by which sessions).
	PortsExhausted Event = "ports-exhausted"
	// ModeChanged: the client goes from one mode to the other by itself (Mode is the new one, Err why).
	ModeChanged Event = "mode-changed"

	// CommandSent is a command on the control connection, secrets masked.
	CommandSent Event = "command"
	// ReplySent is a reply on the control connection.
	ReplySent Event = "reply"
)

// Reason classifies why something failed or ended. Empty when nothing failed.
type Reason string

const (
	ReasonRefused     Reason = "refused"     // TCP reset in answer to the dial: nobody listens, or a firewall rejects
	ReasonTimeout     Reason = "timeout"     // no answer before the deadline: typically a firewall that drops
	ReasonUnreachable Reason = "unreachable" // ICMP unreachable, no route
	ReasonUnknownHost Reason = "unknown-host"
	ReasonReset       Reason = "reset"     // the connection stood and was cut
	ReasonRejected    Reason = "rejected"  // the other side said no on the control connection (Reply)
	ReasonStalled     Reason = "stalled"   // no byte moved for the stall time
	ReasonTLS         Reason = "tls"       // TLS handshake or certificate
	ReasonNotFTP      Reason = "not-ftp"   // the greeting was not FTP
	ReasonCancelled   Reason = "cancelled" // the person or ABOR ended it
	ReasonIdle        Reason = "idle"      // idle timeout
	ReasonKicked      Reason = "kicked"    // the server's owner ended the session
	ReasonStopping    Reason = "stopping"  // the server is stopping
	ReasonQuit        Reason = "quit"      // QUIT
	ReasonLost        Reason = "lost"      // the connection ended without QUIT or 421
	ReasonLocal       Reason = "local"     // something on this computer: disk, rights, address in use
	ReasonPolicy      Reason = "policy"    // a rule of this side refused it
	ReasonNotTaken    Reason = "not-taken" // withdrawn before anybody came: a newer offer, or the session's end
	// ReasonRangeFull: the passive range was full, and this offer's port went to an address that had fewer offers.
	ReasonRangeFull Reason = "range-full"
)

// Record is one thing that happened in a session. Zero fields mean "does not apply".
type Record struct {
	Time    time.Time
	Session string // the recording side's id of the session; empty for Listening, Stopped, ServerFault
	Side    Side   // whose record it is
	Event   Event
	Channel ChannelKind
	// Conn tells the data connections of a session apart: 1 for the first offer or request, 2 for the next. An
	// offer, its dial, and everything until it is closed carry the same number. 0 is the control connection.
	Conn      int
	Mode      Mode
	Initiator Side           // who opens the channel: the side that calls connect
	From      netip.AddrPort // the initiator's end, as far as this side knows it
	To        netip.AddrPort // the other end
	// Advertised is the address that the 227 reply named, when the client dials another one (To) instead.
	Advertised netip.AddrPort
	TLS        string // "TLS 1.3"; empty: in clear
	Cipher     string
	Resumed    bool // the data connection resumed the control connection's TLS session
	Bytes      int64
	Duration   time.Duration // of what it carried; of the dial or the wait, when it never stood
	Command    string        // the command that it is about, secrets masked: "EPSV", "PORT 10,0,0,1,200,10", "RETR a.txt"
	Reply      string        // the reply that it is about: "425 Can't open data connection"
	User       string
	By         Side // ControlClosed, DataFailed: which side ended it
	Reason     Reason
	Err        string   // the error in the program's words; for the record, after the sentence
	Addr       string   // Listening: HOST:PORT
	Holders    []string // PortsExhausted: "SESSION USER ADDRESS: PORT", and "another program: PORT"; a log keeps 50 lines, the last then says how many more
	Host       string   // ControlDialing, ControlFailed: the name that the person typed
	Peer       string   // Greeted: the server's id of the session, when its greeting gives one
	Software   string   // Greeted: the greeting's text; SignedIn at a server: what CLNT said
}

// Recorder takes records. Record must be safe for concurrent use and must not block on a person or a network.
type Recorder interface {
	Record(Record)
}

// RecorderFunc makes a function a [Recorder].
type RecorderFunc func(Record)

// Record calls f.
func (f RecorderFunc) Record(r Record) { f(r) }

// Discard is a [Recorder] that keeps nothing.
var Discard Recorder = RecorderFunc(func(Record) {})

// Tee returns a [Recorder] that hands each record to all of rs, in their order.
func Tee(rs ...Recorder) Recorder {
	return RecorderFunc(func(r Record) {
		for _, one := range rs {
			one.Record(r)
		}
	})
}
