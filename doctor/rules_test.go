package doctor

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portside/client"
	"portside/connlog"
)

var updateTable = flag.Bool("update-doctor", false, "write docs/doctor.md anew")

var (
	here       = netip.MustParseAddrPort("198.51.100.7:51812")
	hereNATted = netip.MustParseAddrPort("192.168.1.7:51812")
	waitNATted = netip.MustParseAddrPort("192.168.1.7:50210")
	there      = netip.MustParseAddrPort("203.0.113.5:21")
	there6     = netip.MustParseAddrPort("[2001:db8::5]:21")
	routerOne  = netip.MustParseAddr("198.51.100.1")
	routerTwo  = netip.MustParseAddr("198.51.100.129")
)

func listed(bytes int64) Move {
	return Move{Command: "LIST", Outcome: Worked, Begun: true, Bytes: bytes, Answer: Answer{226, "Done"}}
}

func took(command string, port uint16) Offer {
	o := Offer{Command: command, Port: port, Dial: Worked, Dialled: netip.AddrPortFrom(there.Addr(), port), Move: listed(390)}
	if command == "PASV" {
		o.Advertised = o.Dialled
	}
	return o
}

func failed(command string, port uint16, how Outcome) Offer {
	o := took(command, port)
	o.Dial, o.Move = how, Move{}
	return o
}

func refusedOffer(command string, code int, text string) Offer {
	return Offer{Command: command, Answer: Answer{code, text}}
}

// hops is a way: "h" a router answers, "x" its address is the server's, "." silence, "r" reset, "p" prohibited, "o" open.
func hops(way string) Trace {
	var t Trace
	for i, c := range way {
		h := Hop{TTL: i + 1}
		switch c {
		case 'h':
			h.Outcome, h.Addr = Passed, routerOne
		case 'x':
			h.Outcome, h.Addr = Passed, there.Addr()
		case '.':
			h.Outcome = Silence
		case 'r':
			h.Outcome = Refused
		case 'p':
			h.Outcome, h.Addr = Filtered, routerTwo
		case 'o':
			h.Outcome = Worked
		}
		t = append(t, h)
	}
	return t
}

// sound is what is found at a server in good order, in passive mode.
func sound() Evidence {
	return Evidence{
		Target: client.Target{Host: "files.example.org", User: "alice", TLS: client.TLSNone}, Mode: client.ModeAuto,
		Local: here, Peer: there, Control: Worked, Greeter: GreeterFTP, Greeting: Answer{220, "(vsFTPd 3.0.3)"}, SignedIn: true,
		User: Answer{331, "Password"}, Pass: Answer{230, "Welcome"}, Software: VSFTPD,
		Passive: Passive{EPSV: took("EPSV", 21134), PASV: took("PASV", 21135)},
	}
}

func unsigned() Evidence {
	e := sound()
	e.SignedIn, e.User, e.Pass, e.Passive = false, Answer{}, Answer{}, Passive{}
	return e
}

func dead(control, offer string) Evidence {
	e := sound()
	e.Passive = Passive{EPSV: failed("EPSV", 21134, Silence), PASV: failed("PASV", 21136, Silence), Trace: hops(offer)}
	e.Hops = hops(control)
	return e
}

func activeEvidence(a Active) Evidence {
	e := sound()
	e.Mode, e.Passive = client.ModeActive, Passive{}
	if !a.Announced.IsValid() {
		a.Announced = netip.AddrPortFrom(e.Local.Addr(), 50210)
	}
	if a.Command == "" {
		a.Command = "EPRT"
	}
	if a.Answer.Code == 0 {
		a.Answer = Answer{200, "Fine"}
	}
	if a.Command == "PORT" {
		e.PORT = a
	} else {
		e.EPRT = a
	}
	return e
}

func tlsUp(e Evidence) Evidence {
	e.Target.TLS, e.TLSAsked, e.TLSUp, e.TLSVersion, e.ListsAuth = client.TLSExplicit, true, true, "TLS 1.3", true
	return e
}

func with(e Evidence, change func(*Evidence)) Evidence {
	change(&e)
	return e
}

func moving(m Move) Evidence {
	return with(sound(), func(e *Evidence) {
		e.Action, e.Target.Path, e.Transfer, e.Size = ActionGet, "big.bin", m, 6_000_000
	})
}

// cases is evidence for each rule, in the order of the table.
var cases = []struct {
	name   string
	e      Evidence
	want   Verdict
	sure   Confidence
	side   Side
	second Verdict
}{
	{"no such name", Evidence{Target: client.Target{Host: "nosuch.example"}, NameError: "no such host", NoSuch: true}, NameUnresolved, Proved, ClientComputer, ""},
	{"name service silent", Evidence{Target: client.Target{Host: "files.example.org"}, NameError: "i/o timeout"}, NameUnresolved, Likely, ClientNetwork, ""},
	{"forbidden here", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting = Filtered, "", Answer{} }), ControlRefused, Proved, ClientComputer, ""},
	{"prohibited", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting, e.Hops = Unreachable, "", Answer{}, hops("hhp") }), ControlRefused, Proved, ServerNetwork, ""},
	{"prohibited at the server's address", with(unsigned(), func(e *Evidence) {
		e.Control, e.Greeter, e.Greeting, e.Hops = Unreachable, "", Answer{}, Trace{{TTL: 3, Outcome: Passed, Addr: there.Addr()}, {TTL: 4, Outcome: Filtered, Addr: there.Addr()}}
	}), ControlRefused, Likely, ServerComputer, ""},
	{"reset on this side, other ports are let out", with(unsigned(), func(e *Evidence) {
		e.Control, e.Greeter, e.Greeting, e.Hops, e.Beyond = Refused, "", Answer{}, hops("hrr"), 2
	}), ControlRefused, Proved, ClientNetwork, ""},
	{"reset next door", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting, e.Hops = Refused, "", Answer{}, hops("rr") }), ControlRefused, Likely, ClientNetwork, ""},
	{"reset", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting, e.Hops = Refused, "", Answer{}, hops("hhr") }), ControlRefused, Proved, ServerComputer, ""},
	{"port 21 not let out", with(unsigned(), func(e *Evidence) {
		e.Control, e.Greeter, e.Greeting, e.Hops, e.Beyond = Silence, "", Answer{}, hops("h..."), 2
	}), ControlTimeout, Proved, ClientNetwork, ClientFirewallOutbound},
	{"another port of the host answers", with(unsigned(), func(e *Evidence) {
		e.Control, e.Greeter, e.Greeting, e.Hops, e.OtherPort = Silence, "", Answer{}, hops("h..."), true
	}), ControlTimeout, Likely, ServerComputer, ""},
	{"the server's computer is off", with(unsigned(), func(e *Evidence) {
		e.Control, e.ControlTook, e.Greeter, e.Greeting, e.Hops = Unreachable, 3060*time.Millisecond, "", Answer{}, hops("hhx..")
	}), ControlTimeout, Likely, ServerComputer, ""},
	{"this computer's router is off", with(unsigned(), func(e *Evidence) {
		e.Control, e.ControlTook, e.Greeter, e.Greeting, e.Hops = Unreachable, 3060*time.Millisecond, "", Answer{}, hops("....")
	}), ControlTimeout, Likely, ClientNetwork, ""},
	{"lost after the first hop", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting, e.Hops = Silence, "", Answer{}, hops("h...") }), ControlTimeout, Likely, ClientNetwork, ""},
	{"lost at the server's router", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting, e.Hops = Silence, "", Answer{}, hops("hhx..") }), ControlTimeout, Likely, ServerNetwork, ""},
	{"lost somewhere", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting, e.Hops = Silence, "", Answer{}, hops("....") }), ControlTimeout, Possible, ServerNetwork, ""},

	{"implicit TLS", with(unsigned(), func(e *Evidence) { e.Greeter, e.Greeting = GreeterTLS, Answer{} }), TLSModeMismatch, Proved, ClientComputer, ""},
	{"clear where TLS was expected", with(unsigned(), func(e *Evidence) { e.TLSPlain, e.TLSError = true, "x" }), TLSModeMismatch, Proved, ClientComputer, ""},
	{"captive portal", with(unsigned(), func(e *Evidence) { e.Greeter, e.Greeting, e.Hops = GreeterHTTP, Answer{}, hops("o") }), NotFTP, Likely, ClientNetwork, ""},
	{"SSH", with(unsigned(), func(e *Evidence) { e.Greeter, e.Greeting, e.Heard = GreeterSSH, Answer{}, "SSH-2.0" }), NotFTP, Proved, ClientComputer, ""},
	{"silence", with(unsigned(), func(e *Evidence) { e.Greeter, e.Greeting, e.GreetIn = GreeterSilent, Answer{}, 27*time.Second }), NotFTP, Possible, ServerComputer, ""},
	{"greeting without an end", with(unsigned(), func(e *Evidence) { e.Greeting, e.Heard, e.GreetCut = Answer{}, "220-Welcome", true }), ServerSlowGreeting, Likely, ServerSettings, ""},
	{"address turned away", with(unsigned(), func(e *Evidence) { e.Greeting = Answer{530, "Connection refused: your IP address is not allowed"} }), LoginRefused, Likely, ServerSettings, ""},
	{"maintenance", with(unsigned(), func(e *Evidence) { e.Greeting = Answer{421, "Closed for maintenance until 6:00"} }), ServerFull, Proved, ServerSettings, ""},
	{"full", with(unsigned(), func(e *Evidence) { e.Greeting = Answer{421, "There are too many connected users"} }), ServerFull, Proved, ServerSettings, ""},
	{"greeting wants TLS", with(unsigned(), func(e *Evidence) { e.Greeting = Answer{421, "SSL/TLS required"} }), TLSRequired, Likely, ServerSettings, ""},
	{"ready later", with(unsigned(), func(e *Evidence) { e.Greeting, e.GreetIn = Answer{120, "Service ready in 5 minutes"}, 27*time.Second }), ServerSlowGreeting, Likely, ServerSettings, ""},
	{"no greeting's code", with(unsigned(), func(e *Evidence) { e.Greeting = Answer{331, "Password"} }), NotFTP, Likely, ClientComputer, ""},
	{"greeting refuses", with(unsigned(), func(e *Evidence) { e.Greeting = Answer{530, "Access denied"} }), LoginRefused, Likely, ServerSettings, ""},

	{"handshake stops at full packets", with(tlsUp(unsigned()), func(e *Evidence) {
		e.TLSUp, e.TLSError, e.TLSStalled, e.TLSSmall, e.AuthAnswer = false, "timeout", true, true, Answer{234, "Go on"}
	}), MTUBlackhole, Proved, ThePath, ""},
	{"AUTH swallowed", with(tlsUp(unsigned()), func(e *Evidence) { e.TLSUp, e.AuthAnswer = false, Answer{500, "Unknown command"} }), ALGTamper, Likely, ThePath, ""},
	{"no TLS", with(tlsUp(unsigned()), func(e *Evidence) {
		e.TLSUp, e.ListsAuth, e.AuthAnswer = false, false, Answer{530, "Please login with USER and PASS."}
	}), TLSUnsupported, Proved, ServerSettings, ""},
	{"TLS listed and not begun, not asked for either", with(unsigned(), func(e *Evidence) {
		e.Target.TLS, e.ListsAuth, e.AuthAnswer = client.TLSAuto, true, Answer{431, "No certificate configured"}
	}), TLSUnsupported, Proved, ServerSettings, ""},
	{"old TLS", with(tlsUp(unsigned()), func(e *Evidence) {
		e.TLSUp, e.AuthAnswer, e.TLSError, e.TLSOld = false, Answer{234, "Go on"}, "protocol version", "TLS 1.0"
	}), TLSUnsupported, Proved, ServerSettings, ""},
	{"handshake stops", with(tlsUp(unsigned()), func(e *Evidence) {
		e.TLSUp, e.AuthAnswer, e.TLSError, e.TLSStalled = false, Answer{234, "Go on"}, "timeout", true
	}), ALGTamper, Possible, ThePath, ""},
	{"handshake fails", with(tlsUp(unsigned()), func(e *Evidence) {
		e.TLSUp, e.AuthAnswer, e.TLSError = false, Answer{234, "Go on"}, "handshake failure"
	}), TLSUnsupported, Likely, ServerSettings, ""},
	{"a certificate of the client is wanted", with(tlsUp(unsigned()), func(e *Evidence) {
		e.CertWanted, e.TLSError, e.Lost, e.LostAt = true, "the other side says: certificate required", errClosed, "USER"
	}), TLSCertificate, Likely, ServerSettings, ""},
	{"a certificate of the client was asked for and not needed", with(tlsUp(sound()), func(e *Evidence) {
		e.CertWanted, e.TLSError, e.Lost, e.LostAt = true, "the other side says: internal error", errClosed, "QUIT"
	}), OK, Proved, Nobody, ""},
	{"certificate", with(tlsUp(unsigned()), func(e *Evidence) { e.CertError, e.CertNames = "unknown authority", []string{"other.example"} }), TLSCertificate, Proved, ServerSettings, ""},
	{"held back", with(unsigned(), func(e *Evidence) { e.HeldBack = true }), TLSUnsupported, Proved, ServerSettings, ""},
	{"AUTH first", with(unsigned(), func(e *Evidence) { e.User = Answer{530, "Must perform AUTH first."} }), TLSRequired, Proved, ServerSettings, ""},
	{"TLS required", with(unsigned(), func(e *Evidence) { e.User = Answer{530, "Anonymous sessions must use encryption."} }), TLSRequired, Proved, ServerSettings, ""},
	{"a proxy wants to know the host", with(unsigned(), func(e *Evidence) {
		e.Greeting, e.User, e.Pass = Answer{220, "Secure gateway FTP server ready."}, Answer{331, ""}, Answer{530, "Host name required: user@host"}
	}), LoginRefused, Likely, ClientNetwork, ""},
	{"an account, too", with(unsigned(), func(e *Evidence) { e.User, e.Pass = Answer{331, ""}, Answer{332, "Need account for login."} }), LoginRefused, Proved, ServerSettings, ""},
	{"expired", with(unsigned(), func(e *Evidence) { e.User, e.Pass = Answer{331, ""}, Answer{530, "Password has expired."} }), LoginRefused, Proved, ServerSettings, ""},
	{"something else expired", with(unsigned(), func(e *Evidence) { e.User, e.Pass = Answer{331, ""}, Answer{530, "The server's licence has expired."} }), LoginRefused, Proved, ServerSettings, ""},
	{"ended at FEAT", with(unsigned(), func(e *Evidence) { e.Lost, e.LostAt = errClosed, "FEAT" }), LoginRefused, Possible, ServerSettings, ""},
	{"421 at FEAT", with(unsigned(), func(e *Evidence) { e.Lost, e.LostAt, e.LostText = errClosed, "FEAT", Answer{421, "Timeout"} }), ServerFull, Likely, ServerSettings, ""},
	{"full after PASS", with(unsigned(), func(e *Evidence) { e.User, e.Pass = Answer{331, ""}, Answer{421, "Goodbye"} }), ServerFull, Proved, ServerSettings, ""},
	{"banned", with(unsigned(), func(e *Evidence) {
		e.User, e.Pass = Answer{331, ""}, Answer{421, "Login attempt limit exceeded; your address is banned."}
	}), LoginRefused, Likely, ServerSettings, ""},
	{"too many from one address", with(unsigned(), func(e *Evidence) {
		e.User = Answer{530, "Sorry, too many connections (10) from your internet address."}
	}), ServerFull, Proved, ServerSettings, ""},
	{"nothing is answered", with(unsigned(), func(e *Evidence) { e.User, e.Lost = Answer{}, errSilent }), ALGTamper, Possible, ThePath, ""},
	{"sent away after the sign-in", with(sound(), func(e *Evidence) {
		e.Passive, e.Lost, e.LostText = Passive{}, errClosed, Answer{421, "Service not available."}
	}), ServerFull, Likely, ServerSettings, ""},
	{"dropped after the sign-in", with(sound(), func(e *Evidence) { e.Passive, e.Lost = Passive{}, errClosed }), LoginRefused, Likely, ServerSettings, ""},
	{"silent after the sign-in", with(sound(), func(e *Evidence) { e.Passive, e.Lost = Passive{}, errSilent }), DataCut, Possible, ThePath, ""},
	{"the sign-in is not answered", with(unsigned(), func(e *Evidence) { e.User, e.Lost = Answer{331, ""}, errSilent }), LoginRefused, Possible, ServerSettings, ""},
	{"password", with(unsigned(), func(e *Evidence) { e.User, e.Pass = Answer{331, ""}, Answer{530, "Login incorrect."} }), LoginRefused, Proved, ServerSettings, ""},
	{"no home folder", with(unsigned(), func(e *Evidence) {
		e.User, e.Pass = Answer{331, ""}, Answer{500, "OOPS: cannot change directory:/srv/ftp"}
	}), LoginRefused, Proved, ServerSettings, ""},
	{"ends while signing in", with(unsigned(), func(e *Evidence) { e.User, e.Lost = Answer{331, ""}, errClosed }), LoginRefused, Possible, ServerSettings, ""},
	{"PROT refused", with(tlsUp(unsigned()), func(e *Evidence) { e.SignedIn, e.ProtAnswer = true, Answer{534, "No"} }), TLSDataProtection, Proved, ServerSettings, ""},

	{"227 changed", with(sound(), func(e *Evidence) {
		e.Passive.EPSV = refusedOffer("EPSV", 500, "Unknown command")
		e.Passive.Advertised = failed("PASV", 21137, Silence)
		e.Passive.Advertised.Advertised = netip.MustParseAddrPort("198.51.100.77:21137")
		e.Comparison = Comparison{Tried: true, EPSV: took("EPSV", 21138), PASV: took("PASV", 21139)}
	}), ALGTamper, Proved, ThePath, ""},
	{"EPSV swallowed", with(sound(), func(e *Evidence) {
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 500, "Unknown command"), PASV: refusedOffer("PASV", 500, "Unknown command")}
		e.Features = map[string]string{"EPSV": "", "PASV": ""}
	}), ALGTamper, Likely, ThePath, ""},
	{"IPv6 without EPSV", with(sound(), func(e *Evidence) {
		e.Peer, e.Passive = there6, Passive{EPSV: refusedOffer("EPSV", 500, "Unknown command.")}
	}), IPv6Unsupported, Proved, ServerSettings, ""},
	{"no port left", with(sound(), func(e *Evidence) {
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 500, "OOPS: vsf_sysutil_bind"), PASV: refusedOffer("PASV", 500, "OOPS: vsf_sysutil_bind")}
	}), ServerPassiveExhausted, Proved, ServerSettings, ""},
	{"a port of more than 16 bits", with(sound(), func(e *Evidence) {
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 500, "What?"), PASV: refusedOffer("PASV", 227, "Entering Passive Mode (203,0,113,5,300,12)")}
	}), ServerPassiveIP, Proved, ServerSettings, ""},
	{"replies out of step", with(sound(), func(e *Evidence) {
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 200, "Type is binary"), PASV: refusedOffer("PASV", 229, "Entering Extended Passive Mode (|||21134|)")}
	}), ALGTamper, Possible, ThePath, ""},
	{"PASV is not answered", with(sound(), func(e *Evidence) {
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 500, "What?"), PASV: Offer{Command: "PASV", Unanswered: errSilent}}
	}), ServerPassiveExhausted, Likely, ServerSettings, ""},
	{"no port can be opened", with(sound(), func(e *Evidence) {
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 425, "Cannot open passive connection"), PASV: refusedOffer("PASV", 425, "Cannot open passive connection")}
	}), ServerPassiveExhausted, Likely, ServerSettings, ""},
	{"passive mode off", with(sound(), func(e *Evidence) {
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 550, "Permission denied."), PASV: refusedOffer("PASV", 550, "Permission denied.")}
	}), ServerPassiveExhausted, Likely, ServerSettings, ""},
	{"the server dials from another address", activeEvidence(Active{Move: Move{Outcome: Silence, Answer: Answer{226, "Done"}}, Strangers: []netip.Addr{netip.MustParseAddr("203.0.113.9")}}), ServerEgressActive, Likely, ServerNetwork, ""},
	{"reuse required", with(tlsUp(sound()), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Begun: true, Answer: Answer{522, "SSL connection failed; session reuse required"}}
	}), TLSSessionReuse, Proved, ServerSettings, ""},
	{"clear data refused", with(tlsUp(sound()), func(e *Evidence) {
		e.ClearData = true
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Answer: Answer{522, "Data connections must be encrypted."}}
	}), TLSDataProtection, Proved, ServerSettings, ""},
	{"refused under TLS for no stated reason", with(tlsUp(sound()), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Begun: true, Answer: Answer{425, "Unable to build data connection: Operation not permitted"}}
	}), TLSSessionReuse, Likely, ServerSettings, ""},
	{"other address", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Answer: Answer{425, "Security: Bad IP connecting."}}
	}), ClientMultiAddress, Proved, ClientNetwork, ""},
	{"full when a transfer is asked for", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Command: "LIST", Outcome: Rejected, Begun: true, Answer: Answer{421, "Too many connections from this IP"}}
	}), ServerFull, Likely, ServerSettings, ""},
	{"421 when a transfer is asked for", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Command: "LIST", Outcome: Rejected, Begun: true, Answer: Answer{421, "Service not available"}}
	}), DataCut, Likely, ServerSettings, ""},
	{"closed without a word", with(sound(), func(e *Evidence) { e.Passive.EPSV.Move = Move{Outcome: Broken} }), ClientMultiAddress, Likely, ClientNetwork, ""},
	{"refused whoever dials", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Answer: Answer{425, "Can't open data connection."}}
		e.EPRT = Active{Command: "EPRT", Answer: Answer{200, ""}, Move: e.Passive.EPSV.Move}
	}), ListingEmpty, Likely, ServerSettings, ""},
	{"refused when this side dials", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Answer: Answer{425, "Can't open data connection."}}
		e.EPRT = Active{Command: "EPRT", Answer: Answer{200, ""}, Accepted: true, Move: listed(390)}
	}), ClientMultiAddress, Likely, ClientNetwork, ""},
	{"begun, and cut by the server's words", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Begun: true, Answer: Answer{426, "Connection closed; transfer aborted."}}
	}), DataCut, Possible, ThePath, ""},
	{"begun, and broken off for a reason of its own", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Begun: true, Answer: Answer{451, "Local error in processing."}}
	}), DataCut, Likely, ServerSettings, ""},
	{"broken off under way for a reason of its own", with(moving(Move{Outcome: Broken, Begun: true, Bytes: 487_000, Answer: Answer{451, "Local error in processing."}}), func(e *Evidence) {
		e.Again = e.Transfer
	}), DataCut, Likely, ServerSettings, ""},
	{"listing refused", with(sound(), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: Rejected, Answer: Answer{550, "Permission denied."}}
	}), ListingEmpty, Likely, ServerSettings, ""},
	{"the session ends at the listing", with(sound(), func(e *Evidence) { e.Passive.EPSV.Move = Move{Command: "LIST", Outcome: Broken, Alone: true} }), DataCut, Likely, ServerSettings, ""},
	{"data handshake fails", with(tlsUp(sound()), func(e *Evidence) {
		e.Passive.EPSV.Move = Move{Outcome: TLSFailed, Handshake: "remote error"}
	}), TLSDataProtection, Likely, ServerSettings, ""},

	{"small packets only", with(moving(Move{Command: "RETR", Outcome: Stalled, Begun: true}), func(e *Evidence) { e.Small = listed(6_000_000) }), MTUBlackhole, Proved, ThePath, ""},
	{"small packets only, under TLS", with(tlsUp(moving(Move{Command: "RETR", Outcome: Stalled, Begun: true, Secured: pending})), func(e *Evidence) { e.Small = listed(6_000_000) }), MTUBlackhole, Proved, ThePath, ""},
	{"no handshake on the data channel", with(tlsUp(moving(Move{Outcome: Stalled, Begun: true, Secured: pending})), func(e *Evidence) {
		e.Small = Move{Outcome: Stalled, Begun: true}
	}), TLSDataProtection, Likely, ServerSettings, ""},
	{"nothing ever comes", with(moving(Move{Outcome: Stalled, Begun: true}), func(e *Evidence) { e.Small = Move{Outcome: Stalled, Begun: true} }), DataCut, Likely, ServerSettings, ""},
	{"swallowed on the way", with(moving(Move{Outcome: Stalled, Begun: true, Answer: Answer{226, "Done"}}), func(e *Evidence) {
		e.Small = Move{Outcome: Stalled, Begun: true, Answer: Answer{226, "Done"}}
	}), DataCut, Likely, ThePath, ""},
	{"not closed", with(moving(Move{Outcome: Stalled, Begun: true, Bytes: 47, Answer: Answer{226, "Done"}}), func(e *Evidence) { e.Again = e.Transfer }), DataCut, Likely, ServerSettings, ""},
	{"closed before a byte came", with(activeEvidence(Active{Accepted: true, Move: Move{Outcome: Broken}}), func(e *Evidence) {
		e.Transfer, e.Again = Move{Outcome: Broken}, Move{Outcome: Broken}
	}), DataCut, Likely, ServerSettings, ""},
	{"idle, said by the server", with(moving(Move{Outcome: NoEnd, Bytes: 900_000, Took: 15 * time.Second}), func(e *Evidence) {
		e.Noop, e.LostText = Worked, Answer{421, "Timeout."}
	}), ControlIdleTimeout, Proved, ServerSettings, ""},
	{"closed by a balancer", with(moving(Move{Outcome: NoEnd, Begun: true, Took: time.Millisecond}), func(e *Evidence) { e.Noop = Silence }), DataCut, Possible, ServerNetwork, ""},
	{"forgotten", with(moving(Move{Outcome: NoEnd, Bytes: 900_000, Took: 15 * time.Second}), func(e *Evidence) { e.Noop = Silence }), ControlIdleTimeout, Proved, ThePath, ""},
	{"silent after a moment's transfer", with(moving(Move{Outcome: NoEnd, Bytes: 47, Took: time.Millisecond}), func(e *Evidence) { e.Noop = Silence }), ControlIdleTimeout, Possible, ServerSettings, ""},
	{"no 226", with(moving(Move{Outcome: NoEnd, Bytes: 900_000, Took: 15 * time.Second}), func(e *Evidence) { e.Noop = Worked }), ControlIdleTimeout, Possible, ThePath, ""},
	{"cut twice at one place", with(moving(Move{Outcome: Stalled, Begun: true, Bytes: 487_000}), func(e *Evidence) {
		e.Again = Move{Outcome: Stalled, Begun: true, Bytes: 491_000}
	}), DataCut, Proved, ThePath, ""},
	{"stops twice", with(moving(Move{Outcome: Stalled, Begun: true, Bytes: 487_000}), func(e *Evidence) {
		e.Again = Move{Outcome: Stalled, Begun: true, Bytes: 4_910_000}
	}), DataCut, Likely, ThePath, ""},
	{"stopped once", with(moving(Move{Outcome: Broken, Begun: true, Bytes: 487_000}), func(e *Evidence) { e.Again = listed(6_000_000) }), DataCut, Possible, ThePath, ""},
	{"too short", moving(listed(5000)), DataCut, Likely, ThePath, ""},

	{"only at the address that PASV names", with(dead("hhxo", "hh..."), func(e *Evidence) {
		e.Passive.Advertised = took("PASV", 21137)
		e.Passive.Advertised.Advertised = netip.MustParseAddrPort("203.0.113.9:21137")
	}), EPSVBroken, Proved, ServerNetwork, ""},
	{"blind under TLS, at the server", with(tlsUp(dead("hhho", "hhhp")), func(e *Evidence) { e.Comparison = Comparison{Tried: true, EPSV: took("EPSV", 21140)} }), ALGBlindTLS, Likely, ServerComputer, ""},
	{"blind under TLS", with(tlsUp(dead("hhxo", "hh...")), func(e *Evidence) { e.Comparison = Comparison{Tried: true, EPSV: took("EPSV", 21140)} }), ALGBlindTLS, Proved, ServerNetwork, ""},
	{"PASV's reply to EPSV", with(sound(), func(e *Evidence) {
		e.Passive.EPSV = refusedOffer("EPSV", 227, "Entering Passive Mode (203,0,113,5,82,142)")
	}), EPSVBroken, Proved, ServerSettings, ""},
	{"EPSV names port 0", with(sound(), func(e *Evidence) {
		e.Passive.EPSV = refusedOffer("EPSV", 229, "Entering Extended Passive Mode (|||0|)")
	}), EPSVBroken, Proved, ServerSettings, ""},
	{"EPSV ends the session", with(sound(), func(e *Evidence) { e.Passive.EPSV = refusedOffer("EPSV", 0, "the connection was closed") }), EPSVBroken, Likely, ServerSettings, ""},
	{"EPSV to the wrong machine", with(sound(), func(e *Evidence) {
		e.Passive.EPSV = failed("EPSV", 21134, Refused)
		e.Passive.More = []Offer{failed("EPSV", 21150, Refused), took("PASV", 21151)}
	}), EPSVBroken, Proved, ServerNetwork, ""},
	{"the same port, now and then", with(sound(), func(e *Evidence) {
		e.Passive.More = []Offer{took("EPSV", 21150), failed("EPSV", 21151, Silence), failed("PASV", 21150, Silence)}
	}), ServerFirewallPassive, Likely, ServerComputer, ""},
	{"half the range", with(sound(), func(e *Evidence) { e.Passive.More = []Offer{failed("EPSV", 21150, Silence), took("EPSV", 21151)} }), ServerForwardPassive, Proved, ServerNetwork, ""},
	{"EPSV once", with(sound(), func(e *Evidence) { e.Passive.EPSV = failed("EPSV", 21134, Silence) }), EPSVBroken, Likely, ServerNetwork, ""},
	{"the own router, with the server behind it", with(dead("ho", "..."), func(e *Evidence) { e.Local = hereNATted }), ServerForwardPassive, Likely, ServerNetwork, ""},
	{"not even the first hop", dead("hhxo", "....."), ClientFirewallOutbound, Likely, ClientComputer, ""},
	{"not the second hop", dead("hhxo", "h...."), ClientFirewallOutbound, Likely, ClientNetwork, ""},
	{"the first router forbids it, and says so once", with(dead("hhxo", "h...."), func(e *Evidence) {
		e.Passive.Trace = append(e.Passive.Trace, Hop{20, Filtered, routerOne})
	}), ClientFirewallOutbound, Likely, ClientNetwork, ""},
	{"the router before the server forbids it, and says so once", with(dead("hhho", "hhh.."), func(e *Evidence) {
		e.Hops[1].Addr, e.Hops[2].Addr = there6.Addr(), routerTwo
		e.Passive.Trace = append(e.Passive.Trace, Hop{20, Filtered, routerTwo})
	}), ServerForwardPassive, Likely, ServerNetwork, ""},
	{"forwarded to a computer that isn't there", with(dead("hhxo", "hhx.."), func(e *Evidence) {
		e.Passive.EPSV.Dial, e.Passive.EPSV.Took = Unreachable, 3070*time.Millisecond
	}), ServerForwardPassive, Likely, ServerNetwork, ""},
	{"called unreachable at once", with(dead("hhxo", "hhx.."), func(e *Evidence) {
		e.Passive.EPSV.Dial, e.Passive.EPSV.Took = Unreachable, 70*time.Millisecond
	}), ServerFirewallPassive, Likely, ServerComputer, ""},
	{"forwarded past the server", dead("hhxo", "hhxh."), ServerForwardPassive, Likely, ServerNetwork, ""},
	{"at the server", dead("hhxo", "hhx.."), ServerFirewallPassive, Likely, ServerComputer, ""},
	{"reset by the server", with(dead("hhho", "hhhr"), func(e *Evidence) { e.Passive.EPSV.Dial, e.Passive.PASV.Dial = Refused, Refused }), ServerFirewallPassive, Likely, ServerComputer, ""},
	{"at the router with the server's address", dead("hhxo", "hh..."), ServerForwardPassive, Likely, ServerNetwork, ""},
	{"at the hop before", dead("hhhho", "hhh.."), ServerForwardPassive, Likely, ServerNetwork, ""},
	{"in the farther half", dead("hhhhhhho", "hhhh..."), ServerForwardPassive, Likely, ServerNetwork, ""},
	{"in the nearer half", dead("hhhhhhho", "hh....."), ClientFirewallOutbound, Likely, ClientNetwork, ""},
	{"reset, place unknown", with(dead("", ""), func(e *Evidence) { e.Passive.EPSV.Dial = Refused }), ServerFirewallPassive, Possible, ServerComputer, ""},
	{"private and not forwarded", with(dead("", ""), func(e *Evidence) {
		e.Passive.Advertised = failed("PASV", 21137, Silence)
		e.Passive.Advertised.Advertised = netip.MustParseAddrPort("10.0.0.4:21137")
	}), ServerForwardPassive, Possible, ServerNetwork, ServerPassiveIP},
	{"place unknown", dead("", ""), ServerFirewallPassive, Possible, ServerComputer, ""},
	{"silent routers on both ways", dead("h..o", "h..."), ServerFirewallPassive, Likely, ServerComputer, ""},

	{"private address, EPSV", with(sound(), func(e *Evidence) {
		e.Passive.Advertised = failed("PASV", 21137, Silence)
		e.Passive.Advertised.Advertised = netip.MustParseAddrPort("10.0.0.4:21137")
	}), OKWithFault, Proved, ServerSettings, ""},
	{"hairpin", with(sound(), func(e *Evidence) {
		e.Peer = netip.MustParseAddrPort("10.0.0.4:21")
		e.Local = netip.MustParseAddrPort("10.0.0.9:40000")
		e.Passive.EPSV = refusedOffer("EPSV", 550, "Permission denied.")
		e.Passive.Advertised = failed("PASV", 21137, Silence)
	}), ServerPassiveHairpin, Likely, ServerSettings, ""},
	{"private address", with(sound(), func(e *Evidence) {
		e.Passive.EPSV = refusedOffer("EPSV", 550, "Permission denied.")
		e.Passive.Advertised = failed("PASV", 21137, Silence)
		e.Passive.Advertised.Advertised = netip.MustParseAddrPort("10.0.0.4:21137")
	}), ServerPassiveIP, Proved, ServerSettings, ""},

	{"PORT changed", with(activeEvidence(Active{Accepted: true, Move: listed(390)}), func(e *Evidence) {
		e.PORT = Active{Command: "PORT", Answer: Answer{500, "Illegal PORT command."}}
	}), ALGTamper, Likely, ThePath, ""},
	{"proxy next door", with(activeEvidence(Active{Answer: Answer{500, "Illegal EPRT command."}}), func(e *Evidence) { e.Hops = hops("o") }), ALGTamper, Likely, ClientNetwork, ""},
	{"active, blind under TLS", with(tlsUp(activeEvidence(Active{Answer: Answer{500, "Illegal EPRT command."}})), func(e *Evidence) {
		e.Local = hereNATted
		e.Comparison = Comparison{Tried: true, EPRT: Active{Command: "EPRT", Answer: Answer{200, ""}, Accepted: true, Move: listed(390)}}
	}), ALGBlindTLS, Proved, ClientNetwork, ""},
	{"IPv6 without EPRT", with(activeEvidence(Active{Answer: Answer{500, "Unknown command."}}), func(e *Evidence) { e.Peer = there6 }), IPv6Unsupported, Proved, ServerSettings, ""},
	{"active mode off", activeEvidence(Active{Answer: Answer{550, "Permission denied."}}), ActiveDisabled, Proved, ServerSettings, ""},
	{"active mode not understood", activeEvidence(Active{Answer: Answer{501, "Syntax error in parameters or arguments."}}), ActiveDisabled, Likely, ServerSettings, ""},
	{"private address refused", with(activeEvidence(Active{Announced: waitNATted, Answer: Answer{500, "Illegal EPRT command."}}), func(e *Evidence) { e.Local = hereNATted }), ClientNATActive, Proved, ClientNetwork, ""},
	{"public address refused", activeEvidence(Active{Answer: Answer{500, "I won't open a connection to 198.51.100.7 (only to 203.0.113.9)"}}), ClientNATActive, Likely, ClientNetwork, ""},
	{"private address mended on the way, eaten here", with(activeEvidence(Active{Announced: waitNATted, Move: Move{Outcome: Silence}, Counted: true, Dropped: 3}), func(e *Evidence) { e.Local = hereNATted }), ClientFirewallActive, Likely, ClientComputer, ""},
	{"private address, nothing comes", with(activeEvidence(Active{Announced: waitNATted, Move: Move{Outcome: Silence}}), func(e *Evidence) { e.Local = hereNATted }), ClientNATActive, Likely, ClientNetwork, ""},
	{"eaten here", activeEvidence(Active{Move: Move{Outcome: Silence}, Counted: true, Dropped: 4}), ClientFirewallActive, Proved, ClientComputer, ""},
	{"eaten here, through when expected", activeEvidence(Active{Accepted: true, Through: true, Punched: true, Counted: true, Dropped: 3, Move: listed(390)}), ClientFirewallActive, Proved, ClientComputer, ""},
	{"through when expected", activeEvidence(Active{Accepted: true, Through: true, Punched: true, Counted: true, Move: listed(390)}), ClientFirewallActive, Proved, ClientNetwork, ""},
	{"more packets lost than usual", activeEvidence(Active{Move: Move{Outcome: Silence}, Counted: true, Dropped: 9, Noise: 2}), ClientFirewallActive, Likely, ClientComputer, ""},
	{"nothing comes though expected", activeEvidence(Active{Move: Move{Outcome: Silence}, Punched: true, Counted: true}), ServerEgressActive, Likely, ServerNetwork, ""},
	{"nothing comes", activeEvidence(Active{Move: Move{Outcome: Rejected, Answer: Answer{425, "Failed to establish connection."}}}), ServerEgressActive, Possible, ServerNetwork, ""},

	{"no REST", with(moving(Move{}), func(e *Evidence) { e.Action, e.Rest = ActionResume, Answer{502, "Unknown command."} }), RESTUnsupported, Proved, ServerSettings, ""},
	{"REST not obeyed", with(moving(listed(6_000_000)), func(e *Evidence) { e.Action, e.Rest, e.Ignored = ActionResume, Answer{350, ""}, true }), RESTUnsupported, Proved, ServerSettings, ""},
	{"EPSV listed and not known", with(sound(), func(e *Evidence) {
		e.Passive.EPSV, e.Features = refusedOffer("EPSV", 500, "What?"), map[string]string{"EPSV": "", "PASV": ""}
	}), OKWithFault, Likely, ServerSettings, ""},
	{"slow greeting", with(sound(), func(e *Evidence) { e.GreetIn = 25 * time.Second }), ServerSlowGreeting, Proved, ServerSettings, ""},
	{"no such path", with(sound(), func(e *Evidence) { e.Target.Path, e.PathFail = "nosuch", Answer{550, "No such file."} }), ListingEmpty, Likely, ServerSettings, ""},
	{"empty", with(sound(), func(e *Evidence) { e.Passive.EPSV.Move.Bytes = 0 }), ListingEmpty, Proved, ServerSettings, ""},
	{"names", with(sound(), func(e *Evidence) { e.Passive.EPSV.Move.NotUTF8 = `Caf\xe9.txt` }), Charset, Proved, ServerSettings, ""},
	{"sound", sound(), OK, Proved, Nobody, ""},
	{"sound, active", activeEvidence(Active{Accepted: true, Move: listed(390)}), OK, Proved, Nobody, ""},
	{"sound, resumption required", with(tlsUp(sound()), func(e *Evidence) { e.Reuse = Answer{522, "session reuse required"} }), OK, Proved, Nobody, TLSSessionReuse},
	{"given up before the connection", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting = NotTried, "", Answer{} }), Undecided, Possible, Nobody, ""},
	{"given up before the greeting", with(unsigned(), func(e *Evidence) { e.Greeter, e.Greeting = "", Answer{} }), Undecided, Possible, Nobody, ""},
	{"given up before the sign-in", unsigned(), Undecided, Possible, Nobody, ""},
	{"given up before the data", with(sound(), func(e *Evidence) { e.Passive = Passive{} }), Undecided, Possible, Nobody, ""},
}

// ruleOf returns the index of the rule that gave a finding.
func ruleOf(f Finding) int {
	return slices.IndexFunc(Rules, func(r Rule) bool {
		return r.Evidence == f.Rule && r.Verdict == f.Verdict && r.Side == f.Side
	})
}

func TestEachRuleLeadsFromItsEvidenceToItsVerdict(t *testing.T) {
	reached := make([]bool, len(Rules))
	for _, c := range cases {
		r := Judge(c.e)
		if r.Verdict != c.want || r.Confidence != c.sure || r.Side != c.side {
			t.Errorf("%s: %s, %s, %s; want %s, %s, %s (%s)", c.name, r.Verdict, r.Confidence, r.Side, c.want, c.sure, c.side, r.Rule)
			continue
		}
		reached[ruleOf(r.Finding)] = true
		switch {
		case r.Second == nil && c.second != "", r.Second != nil && r.Second.Verdict != c.second:
			t.Errorf("%s: second %+v, want %q", c.name, r.Second, c.second)
		case r.Second != nil:
			reached[ruleOf(*r.Second)] = true
		}
	}
	for i, ok := range reached {
		if !ok {
			t.Errorf("no case reaches the rule %s: %s", Rules[i].Verdict, Rules[i].Evidence)
		}
	}
}

func TestRulesAreTold(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules {
		key := string(r.Verdict) + r.Evidence + string(r.Side)
		if seen[key] || r.Evidence == "" || r.When == nil || r.Side == "" || r.Confidence == "" {
			t.Errorf("rule %+v is told twice or not in full", r)
		}
		seen[key] = true
	}
}

// Placeholders that were not filled, formats that were not met, and empty quotes have no place in a text for people.
var unfinished = regexp.MustCompile(`%!|\{[a-z]+\}|<nil>|invalid (IP|AddrPort)|\bSERVER:SERVER`)

func TestEveryVerdictHasWordsFixesAndAPicture(t *testing.T) {
	for _, c := range cases {
		r := Judge(c.e)
		texts := []string{r.Sentence, r.Workaround, r.ForAdmin()}
		for _, f := range r.Fixes {
			texts = append(texts, f.Text)
			for _, v := range f.Variants {
				texts = append(texts, v.Command, v.Note)
				if v.Name == "" || v.Command == "" {
					t.Errorf("%s: a variant of %q says nothing", c.name, f.Text)
				}
			}
			if len(f.Variants) > 0 && f.Chosen >= len(f.Variants) || f.Side == "" {
				t.Errorf("%s: %q chooses what is not there", c.name, f.Text)
			}
		}
		for _, s := range texts {
			if bad := unfinished.FindString(s); bad != "" {
				t.Errorf("%s: %q in %q", c.name, bad, s)
			}
		}
		if strings.Contains(r.Sentence, `""`) || r.Sentence == "" || !strings.HasSuffix(r.Sentence, ".") && !strings.HasSuffix(r.Sentence, ".\"") {
			t.Errorf("%s: %q is no sentence", c.name, r.Sentence)
		}
		if r.Problem() && len(r.Fixes) == 0 && !strings.Contains(r.Rule, "ended before") {
			t.Errorf("%s: no fix", c.name)
		}
		if c.e.Control == Worked && c.e.Greeter != "" && len(r.Arrows) == 0 {
			t.Errorf("%s: no picture", c.name)
		}
		if r.Problem() && r.Verdict != OKWithFault && len(r.Arrows) > 0 && c.e.Passive.dead() && r.Arrows[len(r.Arrows)-1].Works {
			t.Errorf("%s: the picture shows a channel that works: %+v", c.name, r.Arrows)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestFixesNameTheRealPortsAndAddresses(t *testing.T) {
	e := dead("hhxo", "hh...")
	e.Passive.Advertised = failed("PASV", 21137, Silence)
	e.Passive.Advertised.Advertised = netip.MustParseAddrPort("10.0.0.4:21137")
	r := Judge(e)
	var all strings.Builder
	for _, f := range r.Fixes {
		fmt.Fprintln(&all, f.Text)
		for _, v := range f.Variants {
			fmt.Fprintln(&all, v.Name, v.Command)
		}
	}
	for _, want := range []string{
		"sudo ufw allow 21100:21199/tcp", "firewall-cmd --permanent --add-port=21100-21199/tcp", "tcp dport 21100-21199 accept",
		"-LocalPort 21100-21199", "Forward TCP 21100-21199 to 10.0.0.4:21100-21199", "pasv_min_port=21100", "PassivePorts 21100 21199",
		"PassivePortRange 21100 21199", "Passive port range: 21100 - 21199", "pasv_address=203.0.113.5", "Passive IP: 203.0.113.5",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %q in\n%s", want, &all)
		}
	}
	for _, f := range r.Fixes {
		if i := slices.IndexFunc(f.Variants, func(v Variant) bool { return v.Name == string(VSFTPD) }); i >= 0 && f.Chosen != i {
			t.Errorf("%q does not choose vsftpd, which the greeting names", f.Text)
		}
	}
}

func TestAServerThatUsesAnyPortIsGivenARange(t *testing.T) {
	e := dead("", "")
	e.Passive.EPSV, e.Passive.PASV = failed("EPSV", 33001, Silence), failed("PASV", 60211, Silence)
	if lo, hi, known := e.proposal(); lo != 21100 || hi != 21199 || known {
		t.Errorf("%d-%d, %v", lo, hi, known)
	}
}

func TestNoRangeIsProposedBelowTheUsersPorts(t *testing.T) {
	e := dead("hhho", "hhhr")
	e.Passive.EPSV, e.Passive.PASV = refusedOffer("EPSV", 500, "What?"), failed("PASV", 22, Refused)
	for _, f := range Judge(e).Fixes {
		for _, v := range f.Variants {
			if strings.Contains(v.Command, "0:99") || strings.Contains(v.Command, "0-99") || strings.Contains(v.Command, "pasv_min_port=0") {
				t.Errorf("%s: %q", v.Name, v.Command)
			}
		}
	}
}

func TestACancelledTransferDecidesNothing(t *testing.T) {
	e := sound()
	e.Passive.PASV = Offer{}
	e.Passive.EPSV.Move = Move{Command: "LIST", Outcome: Failed, Begun: true}
	if r := Judge(e); len(r.Fixes) != 0 || !strings.Contains(r.Sentence, "before it was known") {
		t.Errorf("%s %+v", r.Sentence, r.Fixes)
	}
}

func TestAWayThatFailedIsNotAdvised(t *testing.T) {
	e := activeEvidence(Active{Move: Move{Outcome: Silence}, Punched: true, Counted: true})
	e.Passive.EPSV = took("EPSV", 21134)
	if f := Judge(e).Fixes[0]; f.Remedy != UsePassive {
		t.Errorf("passive mode works and is not advised first: %q", f.Text)
	}
	e.Passive.EPSV = failed("EPSV", 21134, Silence)
	for i, f := range Judge(e).Fixes {
		if f.Remedy == UsePassive {
			t.Errorf("passive mode failed, too: %q", f.Text)
		}
		if i == 0 && strings.HasPrefix(f.Text, "Or ") {
			t.Errorf("it begins with the other choice: %q", f.Text)
		}
	}
}

func TestWhatTheServerTurnsDownStopsAtTheServer(t *testing.T) {
	e := sound()
	refused := Move{Outcome: Rejected, Answer: Answer{550, "Permission denied."}}
	e.Passive.EPSV.Move, e.Passive.PASV = refused, Offer{}
	e.EPRT = Active{Command: "EPRT", Answer: Answer{200, ""}, Accepted: true, Announced: netip.AddrPortFrom(here.Addr(), 50210), Move: refused}
	for _, a := range Judge(e).Arrows[1:] {
		if a.Works || a.Stop != AtServer {
			t.Errorf("%+v", a)
		}
	}
	e.Mode = client.ModeActive
	for _, a := range Judge(e).Arrows[1:] {
		if a.Works || a.Stop != AtServer {
			t.Errorf("active mode: %+v", a)
		}
	}
	e = activeEvidence(Active{Move: Move{Outcome: Silence}, Strangers: []netip.Addr{netip.MustParseAddr("203.0.113.9")}})
	if a := Judge(e).Arrows[1]; a.Works || a.Stop != AtClient || a.Stops != "the client" {
		t.Errorf("turned away here: %+v", a)
	}
	e = unsigned()
	e.Greeter, e.Greeting = GreeterSilent, Answer{}
	if a := Judge(e).Arrows[0]; a.Works || a.Stop != AtServer {
		t.Errorf("let in by the firewall, and then nothing: %+v", a)
	}
	for _, greeter := range []Greeter{GreeterSSH, GreeterTLS} { // the person has to act, and no firewall stands in the way
		e.Greeter = greeter
		if r := Judge(e); r.Arrows[0].Works || r.Side != ClientComputer || r.Arrows[0].Stop != AtServer {
			t.Errorf("%s: %s, %+v", greeter, r.Side, r.Arrows[0])
		}
	}
	e = unsigned()
	e.Control = Refused
	if a := Judge(e).Arrows[0]; a.Works || a.Stop != AtServer {
		t.Errorf("nobody listens: %+v", a)
	}
}

// The fixes that come first fit what was seen.
func TestTheFirstFixFitsWhatWasSeen(t *testing.T) {
	first := func(e Evidence) string { return Judge(e).Fixes[0].Text }
	cert := with(tlsUp(unsigned()), func(e *Evidence) { e.CertError, e.CertNames = "not good", []string{"other.example"} })
	inside := with(sound(), func(e *Evidence) {
		e.Peer = netip.MustParseAddrPort("192.168.1.5:21")
		e.Passive = Passive{EPSV: refusedOffer("EPSV", 500, "What?"), PASV: took("PASV", 21135), Advertised: failed("PASV", 21135, Silence)}
		e.Passive.Advertised.Advertised = netip.MustParseAddrPort("10.9.9.9:21135")
	})
	for _, c := range []struct {
		name string
		e    Evidence
		want string
	}{
		{"expired certificate", with(cert, func(e *Evidence) { e.CertExpired = true }), "Renew"},
		{"certificate of tomorrow", with(cert, func(e *Evidence) { e.CertEarly = true }), "Check the date of this computer"},
		{"certificate for another name", with(cert, func(e *Evidence) { e.CertMisnamed = true }), "other.example"},
		{"disk full", with(sound(), func(e *Evidence) { e.PathFail = Answer{452, "Insufficient storage space"} }), "Make room"},
		{"passive mode off", with(sound(), func(e *Evidence) {
			e.Passive = Passive{EPSV: refusedOffer("EPSV", 550, "Permission denied."), PASV: refusedOffer("PASV", 550, "Permission denied.")}
		}), "Switch passive mode on"},
		{"a private address that is not the server's", inside, "192.168.1.5"},
		{"the same port, now and then", with(sound(), func(e *Evidence) {
			e.Passive.More = []Offer{took("EPSV", 21150), failed("PASV", 21150, Silence)}
		}), "ports 21100–21199"},
		{"lost behind the router", with(unsigned(), func(e *Evidence) { e.Control, e.Greeter, e.Greeting, e.Hops = Silence, "", Answer{}, hops("hhx..") }), "Forward port"},
		{"password expired", with(unsigned(), func(e *Evidence) { e.User, e.Pass = Answer{331, ""}, Answer{530, "Password has expired."} }), "new password"},
	} {
		if got := first(c.e); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q in it", c.name, got, c.want)
		}
	}
	for refused, want := range map[bool]bool{true: false, false: true} {
		e := inside
		if !refused {
			e.Passive.EPSV = Offer{}
		}
		if fixes := Judge(e).Fixes; strings.Contains(fixes[len(fixes)-1].Text, "use EPSV") != want {
			t.Errorf("EPSV refused %v: %q", refused, fixes[len(fixes)-1].Text)
		}
	}
	if got := Judge(with(unsigned(), func(e *Evidence) { e.HeldBack = true })).Fixes[1].Text; strings.Contains(got, "ftp://") || !strings.Contains(got, "--consent-plain") {
		t.Errorf("the password was held back: %q", got)
	}
	r := Judge(with(inside, func(e *Evidence) { e.Features = map[string]string{"EPSV": "", "PASV": ""} }))
	if r.Second == nil || strings.Contains(r.Second.Sentence, "EPSV names no address") || !strings.Contains(r.Second.Sentence, "EPSV stands in") {
		t.Errorf("EPSV is listed and refused: %+v", r.Second)
	}
}

func TestTheCertificateIsAStepOfItsOwn(t *testing.T) {
	f := Fact{Probe: ProbeTLS, Command: theCertificate, Outcome: TLSFailed, Detail: "certificate signed by unknown authority"}
	if got := f.Title() + ": " + f.Result(); got != "Certificate: signed by unknown authority" {
		t.Errorf("%q", got)
	}
	f = Fact{Probe: ProbeTLS, Command: "AUTH TLS", Outcome: TLSFailed, Detail: "EOF"}
	if got := f.Title() + ": " + f.Result(); got != "TLS (AUTH TLS): TLS failed: EOF" {
		t.Errorf("%q", got)
	}
}

// A report about what is wrong on this side has the fixes of this side: it goes to who can make them.
func TestTheReportHasTheFixesOfItsReader(t *testing.T) {
	for _, e := range []Evidence{
		with(unsigned(), func(e *Evidence) { e.Greeter, e.Greeting, e.Heard = GreeterSSH, Answer{}, "SSH-2.0" }),
		dead("hho", "hh."),
	} {
		r := Judge(e)
		text := r.ForAdmin()
		for _, f := range r.Fixes {
			if mine := f.Side == ClientComputer || f.Side == ClientNetwork; strings.Contains(text, f.Text) != (!mine || r.OwnSide()) {
				t.Errorf("%s, %s: %q in\n%s", r.Verdict, r.Side, f.Text, text)
			}
		}
	}
}

// No line for IPv4 stands in what is to be typed for a server that is reached by IPv6.
func TestOverIPv6TheLinesAreForIPv6(t *testing.T) {
	e := with(dead("hho", "hh."), func(e *Evidence) {
		e.Peer, e.Local = there6, netip.MustParseAddrPort("[2001:db8:1::7]:51812")
		e.Passive.PASV = Offer{}
	})
	active := with(activeEvidence(Active{Move: Move{Outcome: Silence}, Through: true, Accepted: true, Counted: true, Dropped: 5}), func(e *Evidence) { e.Peer = there6 })
	for _, e := range []Evidence{e, active, with(unsigned(), func(e *Evidence) { e.Peer, e.Control = there6, Silence })} {
		r := Judge(e)
		for _, f := range r.Fixes {
			for _, v := range f.Variants {
				for _, bad := range []string{"sudo iptables", "dnat", " ip saddr", " ip daddr", "SERVER"} {
					if strings.Contains(v.Command, bad) {
						t.Errorf("%s, %s: %s", r.Verdict, v.Name, v.Command)
					}
				}
				if strings.HasPrefix(v.Command, "sudo ip6tables") && !strings.Contains(v.Note, afterRestart) {
					t.Errorf("%s: a rule that is gone after a restart, and nobody says so: %s, %q", r.Verdict, v.Command, v.Note)
				}
			}
		}
	}
}

// The variant that is chosen is never another server's than the one that answers.
func TestTheChosenVariantIsForTheServerThatAnswers(t *testing.T) {
	all := []Software{VSFTPD, ProFTPD, PureFTPd, FileZillaServer, IIS, JSCAPE, SFTPGo, Portside}
	for _, c := range cases {
		for _, s := range all {
			for _, f := range Judge(with(c.e, func(e *Evidence) { e.Software = s })).Fixes {
				if f.Side != ServerSettings || len(f.Variants) == 0 {
					continue
				}
				if name := f.Variants[f.Chosen].Name; name != string(s) && slices.Contains(all, Software(name)) {
					t.Errorf("%s: %s answers, and the line for %s is chosen: %s", c.name, s, name, f.Text)
				}
			}
		}
	}
}

// The sentence says what was seen, in place of what is usual for the verdict.
func TestSentencesSayWhatWasSeen(t *testing.T) {
	for name, want := range map[string]string{
		"prohibited at the server's address":             "203.0.113.5 says that a rule forbids port 21",
		"reset on this side, other ports are let out":    "Your own network refuses port 21",
		"the same port, now and then":                    "to the same port (21150)",
		"a certificate of the client is wanted":          "asks for a certificate of the one who comes",
		"a proxy wants to know the host":                 "A proxy answers in the server's place",
		"an account, too":                                "asks for an account besides",
		"expired":                                        "has expired: ",
		"something else expired":                         "refuses the user alice: ",
		"ended at FEAT":                                  "at the first command, FEAT",
		"full when a transfer is asked for":              "takes no more clients",
		"421 when a transfer is asked for":               "when it is told LIST",
		"no port can be opened":                          "its computer forbids it",
		"silence":                                        "no greeting within 27",
		"ready later":                                    "did not become so within 27",
		"no greeting's code":                             `begins with "331 Password"`,
		"the server's computer is off":                   "looked for the computer to which port 21 of 203.0.113.5 leads",
		"forwarded to a computer that isn't there":       "gave up after 3",
		"forwarded past the server":                      "another computer than port 21",
		"maintenance":                                    "takes nobody in at the moment",
		"full":                                           "takes no more clients",
		"banned":                                         "turns your address away",
		"address turned away":                            "turns your address away",
		"greeting without an end":                        `begins its greeting ("220-Welcome")`,
		"the sign-in is not answered":                    "does not answer the sign-in",
		"sent away after the sign-in":                    `right after the sign-in: "421 Service not available".`,
		"a port of more than 16 bits":                    "(203,0,113,5,300,12)",
		"replies out of step":                            `EPSV is answered with "200 Type is binary"`,
		"the session ends at the listing":                "as soon as it is told LIST",
		"no home folder":                                 "can't enter that user's folder",
		"PASV is not answered":                           "does not answer when it is asked for a passive port",
		"refused whoever dials":                          "whoever opens them",
		"broken off under way for a reason of its own":   "breaks the transfer off after 476 KiB",
		"silent after a moment's transfer":               "came at once, and then the control channel was silent",
		"swallowed on the way":                           "nothing of it arrives here",
		"not closed":                                     "does not close the data channel",
		"TLS listed and not begun, not asked for either": "refuses to begin it",
		"reset by the server":                            "container whose passive ports are not published",
		"EPSV names port 0":                              "names no port in the form",
		"no handshake on the data channel":               "does not answer its TLS handshake",
	} {
		found := false
		for _, c := range cases {
			if c.name == name {
				found = true
				if r := Judge(c.e); !strings.Contains(r.Sentence, want) {
					t.Errorf("%s: %s", name, r.Sentence)
				}
			}
		}
		if !found {
			t.Errorf("no case %q", name)
		}
	}
}

func TestSoftwareIsKnownByItsWords(t *testing.T) {
	for said, want := range map[string]Software{
		"(vsFTPd 3.0.3)": VSFTPD, "ProFTPD Server (Debian)": ProFTPD, "--------- Welcome to Pure-FTPd [privsep] [TLS] ----------": PureFTPd,
		"FileZilla Server 1.8.2": FileZillaServer, "Microsoft FTP Service": IIS, "JSCAPE MFT Server": JSCAPE, "SFTPGo ready": SFTPGo,
		"Portside ready [session ab12]": Portside, "Windows_NT": IIS, "Welcome": UnknownSoftware,
	} {
		if got := softwareOf(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}

// Winsock has numbers of its own, and a host that its neighbours don't find is "down" on macOS.
func TestErrorsOfEverySystemAreReadAlike(t *testing.T) {
	wrapped := func(call string, errno syscall.Errno) error {
		return &net.OpError{Op: call, Net: "tcp", Err: os.NewSyscallError(call, errno)}
	}
	for errno, want := range map[syscall.Errno]Outcome{
		10013: Filtered, 10050: Unreachable, 10051: Unreachable, 10052: Refused, 10053: Refused, 10054: Refused, 10060: Silence,
		10061: Refused, 10064: Unreachable, 10065: Unreachable, syscall.EPERM: Filtered, syscall.EACCES: Filtered,
		syscall.ECONNREFUSED: Refused, syscall.ECONNRESET: Refused, syscall.EHOSTDOWN: Unreachable, syscall.ENETDOWN: Unreachable,
		syscall.EHOSTUNREACH: Unreachable, syscall.ETIMEDOUT: Silence, syscall.EADDRNOTAVAIL: Failed,
	} {
		if got := dialOutcome(wrapped("connect", errno)); got != want {
			t.Errorf("connect: %d is %q, not %q", uint(errno), got, want)
		}
	}
	for _, errno := range []syscall.Errno{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, 10052, 10053, 10054} {
		if got := tlsTrouble(wrapped("read", errno)); got != "the other side ends the connection" {
			t.Errorf("TLS: %d is %q", uint(errno), got)
		}
	}
}

// A session's log, without any probe.
func TestALogIsJudgedAsFarAsItGoes(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	opened := []connlog.Record{
		{Event: connlog.ControlOpened, Channel: connlog.Control, Initiator: connlog.Client, From: here, To: there, Host: "files.example.org"},
		{Event: connlog.SignedIn, Channel: connlog.Control, User: "alice", From: here, To: there},
	}
	data := func(r connlog.Record) connlog.Record {
		r.Channel, r.Conn = connlog.Data, 1
		return r
	}
	second := func(r connlog.Record) connlog.Record {
		r.Channel, r.Conn = connlog.Data, 2
		return r
	}
	to := netip.AddrPortFrom(there.Addr(), 21134)
	for _, c := range []struct {
		name    string
		records []connlog.Record
		want    Verdict
	}{
		{"passive silence", []connlog.Record{
			data(connlog.Record{Event: connlog.PassiveOffered, Mode: connlog.Passive, Initiator: connlog.Client, Command: "EPSV", To: to}),
			data(connlog.Record{Event: connlog.DataFailed, Mode: connlog.Passive, Initiator: connlog.Client, To: to, Reason: connlog.ReasonTimeout}),
		}, ServerFirewallPassive},
		{"active silence behind NAT", []connlog.Record{
			data(connlog.Record{Event: connlog.ActiveRequested, Mode: connlog.Active, Initiator: connlog.Server, Command: "EPRT |1|192.168.1.7|50210|", To: netip.MustParseAddrPort("192.168.1.7:50210")}),
			data(connlog.Record{Event: connlog.DataFailed, Mode: connlog.Active, Initiator: connlog.Server, To: netip.MustParseAddrPort("192.168.1.7:50210"), Reason: connlog.ReasonTimeout}),
		}, ClientNATActive},
		{"active, stalled", []connlog.Record{
			data(connlog.Record{Event: connlog.ActiveRequested, Mode: connlog.Active, Initiator: connlog.Server, Command: "EPRT |1|198.51.100.7|50210|", To: netip.AddrPortFrom(here.Addr(), 50210)}),
			data(connlog.Record{Event: connlog.DataOpened, Mode: connlog.Active, Initiator: connlog.Server, From: netip.AddrPortFrom(there.Addr(), 20), To: netip.AddrPortFrom(here.Addr(), 50210)}),
			data(connlog.Record{Event: connlog.DataFailed, Mode: connlog.Active, Initiator: connlog.Server, Command: "RETR a", Bytes: 500_000, Reason: connlog.ReasonStalled}),
		}, DataCut},
		{"stalled once, and then moved", []connlog.Record{
			data(connlog.Record{Event: connlog.PassiveOffered, Mode: connlog.Passive, Initiator: connlog.Client, Command: "EPSV", To: to}),
			data(connlog.Record{Event: connlog.DataOpened, Mode: connlog.Passive, Initiator: connlog.Client, To: to}),
			data(connlog.Record{Event: connlog.DataFailed, Mode: connlog.Passive, Initiator: connlog.Client, Command: "RETR a", Bytes: 500_000, Reason: connlog.ReasonStalled}),
			second(connlog.Record{Event: connlog.PassiveOffered, Mode: connlog.Passive, Initiator: connlog.Client, Command: "EPSV", To: to}),
			second(connlog.Record{Event: connlog.DataOpened, Mode: connlog.Passive, Initiator: connlog.Client, To: to}),
			second(connlog.Record{Event: connlog.DataClosed, Mode: connlog.Passive, Initiator: connlog.Client, Command: "RETR a", Bytes: 900_000}),
		}, OK},
		{"passive refused", []connlog.Record{
			data(connlog.Record{Event: connlog.PassiveRefused, Mode: connlog.Passive, Command: "EPSV", Reply: "425 All reserved TCP ports are busy."}),
			data(connlog.Record{Event: connlog.DataFailed, Mode: connlog.Passive, Command: "EPSV", Reply: "425 All reserved TCP ports are busy.", Reason: connlog.ReasonRejected}),
		}, ServerPassiveExhausted},
	} {
		log := connlog.NewLog(0)
		for _, r := range append(slices.Clone(opened), c.records...) {
			r.Time, r.Session, r.Side = at, "s", connlog.Client
			if c.want == ClientNATActive && r.Channel == connlog.Control {
				r.From = hereNATted
			}
			log.Record(r)
		}
		s := log.Sessions()[0]
		if r := FromSession(s); r.Verdict != c.want {
			t.Errorf("%s: %s, want %s: %s", c.name, r.Verdict, c.want, r.Sentence)
		}
	}
}

// Who is refused is not told that packets were dropped: a port on which nobody listens refuses, too.
func TestARefusedPortMayHaveNobodyWhoListens(t *testing.T) {
	e := dead("", "")
	for _, o := range []*Offer{&e.Passive.EPSV, &e.Passive.PASV} {
		o.Dial = Refused
	}
	if r := Judge(e); r.Confidence != Possible || !strings.Contains(r.Sentence, "nothing listens there") {
		t.Errorf("%s: %s", r.Confidence, r.Sentence)
	}
}

// The session's error names the server and what was done; the sentence does so itself.
func TestACertificateThatASessionRefusedIsSaidOnce(t *testing.T) {
	for said, want := range map[string]string{
		"connect to h:21: the certificate was not accepted: you did not trust it: unknown authority": "The server's certificate can't be trusted for h: you did not trust it: unknown authority.",
		"connect to h:21: the certificate is not trusted: expired":                                   "The server's certificate can't be trusted for h: expired.",
	} {
		log := connlog.NewLog(0)
		for _, r := range []connlog.Record{
			{Event: connlog.ControlOpened, From: here, To: there, Host: "h"},
			{Event: connlog.ControlFailed, Host: "h", Reason: connlog.ReasonTLS, Err: said},
		} {
			r.Session, r.Side, r.Channel, r.Initiator = "s", connlog.Client, connlog.Control, connlog.Client
			log.Record(r)
		}
		if r := FromSession(log.Sessions()[0]); r.Verdict != TLSCertificate || r.Sentence != want {
			t.Errorf("%s: %s", r.Verdict, r.Sentence)
		}
	}
}

// docs/doctor.md is the table of rules, to be read and reviewed as a document.
func TestTheTableOfRulesIsDocumented(t *testing.T) {
	const path = "../docs/doctor.md"
	want := table()
	if *updateTable {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("docs/doctor.md is not what the rules say: read the difference, then run with -update-doctor")
	}
}

func table() string {
	var b strings.Builder
	b.WriteString(`# How Portside's Doctor decides

Made by ` + "`go test ./doctor -run Documented -update-doctor`" + `; the test fails when the rules and this file differ.

The examination opens control and data connections as an FTP client would, and one rule after the other looks at what it
found. The first that holds gives the verdict, so each may take for granted that those before it don't hold. The client is
198.51.100.7, the server files.example.org at 203.0.113.5. *Proved*: a comparison leaves no other cause. *Likely*: the usual
cause; another one can't be told apart from the client's side. *Possible*: one of several.

| verdict | evidence | who has to act | confidence | first thing to change |
| --- | --- | --- | --- | --- |
`)
	samples := map[int]Report{}
	for _, c := range cases {
		r := Judge(c.e)
		if i := ruleOf(r.Finding); i >= 0 {
			if _, ok := samples[i]; !ok {
				samples[i] = r
			}
		}
		if r.Second != nil {
			if i := ruleOf(*r.Second); i >= 0 {
				if _, ok := samples[i]; !ok {
					second := Report{Finding: *r.Second}
					second.Fixes = c.e.fixesFor(*r.Second)
					samples[i] = second
				}
			}
		}
	}
	for i, r := range Rules {
		fix := ""
		if s, ok := samples[i]; ok && len(s.Fixes) > 0 {
			fix = s.Fixes[0].Text
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Verdict, r.Evidence, r.Side, r.Confidence, fix)
	}
	b.WriteString("\n## What is said\n\nOne sentence for each rule, as an example has it.\n")
	for i, r := range Rules {
		if s, ok := samples[i]; ok {
			fmt.Fprintf(&b, "\n- `%s`, %s: %s\n", r.Verdict, r.Confidence, s.Sentence)
		}
	}
	return b.String()
}
