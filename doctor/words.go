package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"portside/client"
	"portside/connlog"
)

// private says that an address means something on its own network only.
func private(a netip.Addr) bool { return connlog.Private(a) }

// Title is what the probe tries, in a few words.
func (f Fact) Title() string {
	switch f.Probe {
	case ProbeNames:
		return "Address of " + firstWord(f.Detail)
	case ProbeControl:
		return "Control channel to " + addrText(f.To)
	case ProbeGreeting:
		return "Greeting"
	case ProbeHello:
		return "Does it speak TLS?"
	case ProbeHTTP:
		return "Is it a web server?"
	case ProbeTLS:
		if f.Command == "" && f.Outcome == TLSFailed && !f.OK {
			return "TLS"
		}
		return strings.TrimSpace("TLS " + map[bool]string{true: "(" + f.Command + ")"}[f.Command != ""])
	case ProbeSmallTLS:
		return "TLS with small packets"
	case ProbeSignIn:
		return "Sign in"
	case ProbeProtection:
		return "Protect the data channels (" + f.Command + ")"
	case ProbeEPSV:
		return "Passive, extended (EPSV)" + arrow(f)
	case ProbePASV:
		return "Passive (PASV)" + arrow(f)
	case ProbeAdvertised:
		return "Passive, at the address that the server names" + arrow(f)
	case ProbeReuse:
		return "Must data channels resume the TLS session?"
	case ProbeRange:
		return "More passive ports"
	case ProbeTransfer:
		return "Transfer " + f.Command
	case ProbeSmall:
		return "The same with small packets"
	case ProbeAgain:
		return "The same once more"
	case ProbeIdle:
		return "Is the control channel still alive?"
	case ProbeRest:
		return "Resume (" + f.Command + ")"
	case ProbeActive:
		title := "Active (" + f.Command + ")"
		if f.To.IsValid() {
			title += " ← to " + addrText(f.To)
		}
		return title
	case ProbeCompare:
		if f.Command == "TLS" {
			return "The same under TLS"
		}
		return "The same in clear"
	case ProbeDistance:
		return "How far is port " + itoa(int(f.To.Port())) + "?"
	case ProbeTrace:
		return "Where are packets to port " + itoa(int(f.To.Port())) + " lost?"
	case ProbeOtherPort:
		return "Do packets to port " + itoa(int(f.To.Port())) + " come further?"
	case ProbeNotClear:
		return "The password"
	}
	return string(f.Probe)
}

// Result is how the probe ended, in a few words.
func (f Fact) Result() string {
	if f.Running {
		return "…"
	}
	switch f.Probe {
	case ProbeNames:
		if f.Note {
			return f.Detail
		}
		if f.OK {
			_, list, _ := strings.Cut(f.Detail, " = ")
			return list
		}
		return "not found"
	case ProbeDistance:
		switch {
		case f.Hop == 1 && f.Outcome == Worked:
			return "1 hop"
		case f.Hop > 0 && f.Outcome == Worked:
			return itoa(f.Hop) + " hops"
		case f.Hop == 1:
			return "more than 1 hop"
		}
		return "not known"
	case ProbeTrace, ProbeOtherPort:
		if f.Hop == 0 {
			return "no router answers"
		}
		if f.Outcome == Worked {
			return "the host itself answers, hop " + itoa(f.Hop)
		}
		at := "hop " + itoa(f.Hop)
		if f.HopAddr.IsValid() && f.Probe == ProbeTrace && f.Outcome == Silence {
			at += ", after " + f.HopAddr.String()
		}
		switch {
		case f.Outcome == Refused:
			at += ", which refuses"
		case f.Outcome == Filtered, f.Outcome == Unreachable:
			at += ", which says " + string(f.Outcome)
		}
		return at
	case ProbeReuse:
		if f.OK {
			return "no"
		}
		return "yes: " + cmp.Or(f.Detail, string(f.Outcome))
	case ProbeNotClear:
		return "not sent: it would go in clear"
	}
	if f.Probe == ProbeGreeting {
		f.Detail, _, _ = strings.Cut(f.Detail, " / ") // a greeting may have many lines
	}
	if f.OK {
		if f.Detail != "" {
			return f.Detail
		}
		return connlog.Took(f.Duration)
	}
	out := string(f.Outcome)
	if f.Outcome == Worked {
		out = ""
	}
	if f.Detail != "" {
		out = strings.TrimPrefix(out+": "+f.Detail, ": ")
	}
	return cmp.Or(out, connlog.Took(f.Duration))
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

func arrow(f Fact) string {
	if !f.To.IsValid() || f.To.Port() == 0 {
		return ""
	}
	return " → " + addrText(f.To)
}

func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return "?"
	}
	return a.String()
}

// Ports is a range of TCP ports for people: "21134–21136", "21134".
func portsText(ports []uint16) string {
	if len(ports) == 0 {
		return "passive ports"
	}
	lo, hi := slices.Min(ports), slices.Max(ports)
	if lo == hi {
		return "port " + itoa(int(lo))
	}
	return fmt.Sprintf("ports %d–%d", lo, hi)
}

func portList(ports []uint16) string {
	ports = slices.Compact(slices.Sorted(slices.Values(ports)))
	var out []string
	for _, p := range ports {
		out = append(out, itoa(int(p)))
	}
	return strings.Join(out, ", ")
}

// sentence says what a rule's verdict means here.
func (e *Evidence) sentence(rule Rule) string {
	host, peer := e.Target.Host, e.Peer
	port := itoa(int(e.Target.ControlPort()))
	_, blocked := e.Passive.ports()
	dead := portsText(blocked)
	advertised := e.Passive.Advertised.Advertised.Addr()
	active := e.active()
	lastHop, lastAddr := e.Hops.last()
	near := func() string {
		if !lastAddr.IsValid() {
			return fmt.Sprintf("hop %d", lastHop)
		}
		return fmt.Sprintf("hop %d (%s)", lastHop, lastAddr)
	}
	switch rule.Verdict {
	case NameUnresolved:
		if e.NoSuch {
			return fmt.Sprintf("The name %s does not exist, or this computer's name service does not know it.", host)
		}
		return fmt.Sprintf("The name service of this computer gave no address for %s: %s.", host, e.NameError)
	case ControlRefused:
		switch {
		case rule.Side == ClientComputer:
			return fmt.Sprintf("This computer itself forbids the connection to port %s.", port)
		case rule.Side == ClientNetwork && rule.Confidence == Proved:
			return fmt.Sprintf("Your own network refuses port %s of %s: the refusal comes from within two hops, and packets to another port of the same host come further.", port, peer.Addr())
		case rule.Side == ServerComputer && e.Control == Unreachable:
			return fmt.Sprintf("%s says that a rule forbids port %s: the firewall of the server's computer, or of the router that has its address.", peer.Addr(), port)
		case rule.Side == ClientNetwork:
			return fmt.Sprintf("A box one hop away answers for %s and refuses port %s: your own network does not let it out.", peer.Addr(), port)
		case rule.Side == ServerNetwork:
			return fmt.Sprintf("A router on the way to %s says that a rule forbids port %s.", peer.Addr(), port)
		}
		return fmt.Sprintf("%s answers that nobody listens on port %s: no FTP server runs there, or a firewall rejects it.", peer.Addr(), port)
	case ControlTimeout:
		switch {
		case e.cutOff():
			return "No router answers, and the next computer on the way was looked for in vain: your own router is off, or this computer's network settings name a wrong one. If you can reach other servers, it is the server's computer that is off or has another address."
		case e.absent() && e.OnLink:
			return fmt.Sprintf("No computer answers for %s in your own network: it is off, or has another address.", peer.Addr())
		case e.absent():
			return fmt.Sprintf("The router before the server looked for the computer to which port %s of %s leads, and found none: it is off, or the port is forwarded to a wrong address.", port, peer.Addr())
		case rule.Side == ServerComputer:
			return fmt.Sprintf("%s answers on another port, and not on port %s: a firewall on the server's computer drops it.", peer.Addr(), port)
		case rule.Side == ClientNetwork && rule.Confidence == Proved:
			return fmt.Sprintf("Your own network does not let port %s out: packets to it are lost after hop %d, packets to another port of %s come further.", port, lastHop, peer.Addr())
		case rule.Side == ClientNetwork:
			return fmt.Sprintf("Packets to %s are lost right after %s: your own network or your provider does not pass port %s on.", peer, near(), port)
		case lastHop > 0 && lastAddr == peer.Addr():
			return fmt.Sprintf("Packets to port %s come as far as %s, the router that has the server's address, and vanish there or right behind it: the port is not forwarded, a firewall drops it, or the computer is off.", port, near())
		case lastHop > 0:
			return fmt.Sprintf("Packets to %s come as far as %s and vanish there: a firewall drops port %s, a router does not forward it, or the computer is off.", peer, near(), port)
		}
		return fmt.Sprintf("Nothing answers at %s: a firewall drops port %s, a router does not forward it, or the computer is off.", peer, port)
	case ClientFirewallOutbound:
		switch {
		case e.unanswered():
			return fmt.Sprintf("Your network lets other ports out to %s, and not port %s.", peer.Addr(), port)
		case rule.Side == ClientComputer:
			return fmt.Sprintf("This computer's firewall lets port %s out and not %s of the same server.", port, dead)
		}
		stop, _ := e.stop()
		if stop > 2 {
			return fmt.Sprintf("Port %s answers and %s of the same server can't be reached: packets to them are lost at hop %d of %d, nearer to you than to the server. Your own network or your provider does not let them out.", port, dead, stop, e.Hops.distance())
		}
		return fmt.Sprintf("Your own network lets port %s out and not %s of the same server: packets to them are lost right after the first router.", port, dead)
	case TLSModeMismatch:
		if e.TLSPlain {
			return fmt.Sprintf("Port %s greets in clear, so it speaks plain FTP or explicit TLS; your program begins with TLS (implicit).", port)
		}
		return fmt.Sprintf("Port %s begins with TLS (implicit); your program waits for a greeting in clear, as explicit TLS and plain FTP do.", port)
	case NotFTP:
		switch {
		case rule.Side == ClientNetwork:
			return fmt.Sprintf("Something in your own network answers in place of %s, such as the sign-in page of a guest network.", peer.Addr())
		case e.Greeter == GreeterSSH:
			return fmt.Sprintf("An SSH server answers on port %s: it offers SFTP, which is another protocol than FTP.", port)
		case e.Greeter == GreeterHTTP:
			return fmt.Sprintf("A web server answers on port %s.", port)
		case e.Greeter == GreeterMail:
			return fmt.Sprintf("A mail server answers on port %s: %q.", port, e.Heard)
		case e.Greeter == GreeterClosed:
			return fmt.Sprintf("Something accepts connections on port %s and closes them without a word: an access rule of the server's computer, or a forwarder with nothing behind it.", port)
		case e.Greeter == GreeterSilent:
			return fmt.Sprintf("Something accepts connections on port %s and gives no greeting within %s: it is no FTP server, or one that hangs or still waits for something such as a name lookup of your address.", port, connlog.Took(e.GreetIn))
		case e.Greeter == GreeterFTP:
			return fmt.Sprintf("What answers on port %s begins with %q, which is no greeting of an FTP server.", port, e.Greeting)
		case e.Greeter == GreeterOther && !readable(e.Heard):
			return fmt.Sprintf("What answers on port %s does not speak FTP; it sends something that is no text.", port)
		case e.Greeter == GreeterOther:
			return fmt.Sprintf("What answers on port %s does not speak FTP; it says %q.", port, e.Heard)
		}
	case ServerSlowGreeting:
		if e.GreetCut {
			return fmt.Sprintf("The server begins its greeting (%q) and does not end it: it hangs, or waits for something such as a name lookup of your address.", e.Heard)
		}
		if e.Greeting.Code == 120 {
			return fmt.Sprintf("The server says that it will be ready later, and did not become so within %s: %q.", connlog.Took(e.GreetIn), e.Greeting)
		}
		return fmt.Sprintf("The server greets only after %s: usually it waits for a name lookup of your address that never ends. Programs that wait less give up.", connlog.Took(e.GreetIn))
	case ServerFull:
		answer := e.fullAnswer()
		switch {
		case saysFull.MatchString(answer):
			return fmt.Sprintf("The server takes no more clients: %q.", answer)
		case e.SignedIn:
			return fmt.Sprintf("The server ends the session right after the sign-in: %q.", answer)
		}
		return fmt.Sprintf("The server takes nobody in at the moment: %q.", answer)
	case TLSRequired:
		return fmt.Sprintf("The server accepts only FTP over TLS, and your program spoke in clear: %q.", cmp.Or(failing(e.Greeting), failing(e.Pass), failing(e.User)))
	case TLSUnsupported:
		switch {
		case e.TLSOld != "":
			return fmt.Sprintf("The server speaks %s at best, which is not safe any more; TLS 1.2 or newer is needed.", e.TLSOld)
		case e.HeldBack:
			return "The server has no TLS, so the password would go over the network in clear. It was not sent."
		case e.ListsAuth && e.AuthAnswer.failed():
			return fmt.Sprintf("The server lists TLS among its features and refuses to begin it: %q.", e.AuthAnswer)
		case e.TLSError != "" && !e.AuthAnswer.failed():
			return fmt.Sprintf("The TLS handshake with the server fails: %s.", e.TLSError)
		}
		return fmt.Sprintf("The server does not offer TLS: %q.", e.AuthAnswer)
	case TLSCertificate:
		if e.CertError == "" {
			return fmt.Sprintf("The server asks for a certificate of the one who comes, and ends TLS when there is none: %s.", e.TLSError)
		}
		what := e.CertError
		if len(e.CertNames) > 0 {
			what += "; it is for " + strings.Join(e.CertNames, ", ")
		}
		if e.CertIssuer != "" {
			what += "; it was issued by " + e.CertIssuer
		}
		return fmt.Sprintf("The server's certificate can't be trusted for %s: %s.", host, what)
	case LoginRefused:
		answer := cmp.Or(failing(e.Pass), failing(e.User), failing(e.Greeting))
		switch {
		case rule.Side == ClientNetwork:
			return fmt.Sprintf("A proxy answers in the server's place and does not take the user %s as named: %q.", e.Target.User, answer)
		case e.SignedIn && e.LostAt != "":
			return fmt.Sprintf("The server takes the user %s and ends the session at the command %s: %s.", e.Target.User, e.LostAt, quoteOr(e.LostText.String(), errText(e.Lost)))
		case e.SignedIn:
			return fmt.Sprintf("The server takes the user %s and then ends the session: %s.", e.Target.User, quoteOr(e.LostText.String(), errText(e.Lost)))
		case answer == "" && errors.Is(e.Lost, errSilent):
			return "The server does not answer the sign-in: it hangs, or waits for something such as a directory or a name lookup."
		case answer == "" && e.User.Code == 0 && e.AuthAnswer.Code == 0:
			return fmt.Sprintf("The server greets and ends the session at the first command, %s.", cmp.Or(e.LostAt, "USER"))
		case answer == "":
			return "The server ends the session while you sign in."
		case e.Greeting.failed():
			return fmt.Sprintf("The server turns your address away: %q.", answer)
		case e.User.banned() || e.Pass.banned():
			return fmt.Sprintf("The server turns your address away, or has had too many tries from it: %q.", answer)
		case saysHome.MatchString(answer):
			return fmt.Sprintf("The server takes the user %s and can't enter that user's folder: %q.", e.Target.User, answer)
		case strings.Contains(answer, "writable root"):
			return fmt.Sprintf("The server does not start a session in a folder that the user may write to: %q.", answer)
		case e.User.Code == 332 || e.Pass.Code == 332:
			return fmt.Sprintf("The server asks for an account besides user and password: %q.", answer)
		case saysExpired.MatchString(answer):
			return fmt.Sprintf("The server refuses the user %s, because the account or its password has expired: %q.", e.Target.User, answer)
		}
		return fmt.Sprintf("The server refuses the user %s: %q.", e.Target.User, answer)
	case TLSDataProtection:
		if e.ProtAnswer.failed() {
			return fmt.Sprintf("The server refuses the protection that was asked for the data channels: %q.", e.ProtAnswer)
		}
		m := e.firstMove()
		if e.Transfer.Secured == pending && e.Transfer.Outcome == Stalled {
			return "The data channel stands, and the server does not answer its TLS handshake: it hangs there, or waits for a data channel in clear."
		}
		if m.Outcome == TLSFailed {
			return fmt.Sprintf("The data channel stands, but its TLS handshake fails: %s.", m.Handshake)
		}
		if e.ClearData {
			return fmt.Sprintf("The server insists on encrypted data channels, and your program asks for clear ones: %q.", m.Answer)
		}
		return fmt.Sprintf("The server refuses the data channel because of its protection: %q.", m.Answer)
	case TLSSessionReuse:
		if rule.Side == Nobody {
			return fmt.Sprintf("The server insists that data channels resume the control channel's TLS session (%q). Portside does; programs that don't are refused.", e.Reuse)
		}
		return fmt.Sprintf("The server wants the data channel to resume the control channel's TLS session, and refuses this one: %q.", e.firstMove().Answer)
	case ClientMultiAddress:
		m := e.firstMove()
		if m.Answer.Code == 0 {
			return "The server closes the data channel without a word: to the server it seems to come from another public address than the control channel."
		}
		return fmt.Sprintf("Your network uses more than one public address: the data channel reached the server from another one than the control channel, and the server refused it: %q.", m.Answer)
	case ServerFirewallPassive:
		if fickle := e.Passive.fickle(); len(fickle) > 0 {
			return fmt.Sprintf("Some data channels get through and some don't, to the same port (%s): a firewall on the server's side limits how many connections it lets in within a while, or packets are lost on the way.", portList(fickle))
		}
		switch rule.Confidence {
		case Likely:
			elsewhere := ""
			if e.ownerBeforeServer() {
				elsewhere = " Or the router before it forwards them to another computer."
			}
			if e.Passive.reset() {
				return fmt.Sprintf("The server's computer refuses passive data channels: %s can't be reached, though port %s answers. Its firewall rejects them, or nothing listens there, as in a container whose passive ports are not published.%s", dead, port, elsewhere)
			}
			return fmt.Sprintf("The firewall of the server's computer stops passive data channels: %s can't be reached, though packets pass every router on the way and port %s answers.%s", dead, port, elsewhere)
		default:
			if e.Passive.reset() {
				return fmt.Sprintf("Port %s answers, and connections to %s of the same server are refused: a firewall on the server's side rejects them, or nothing listens there, as in a container whose passive ports are not published.", port, dead)
			}
			return fmt.Sprintf("Port %s answers and %s of the same server can't be reached: a firewall on the server's side does not let passive data channels in.", port, dead)
		}
	case ServerForwardPassive:
		open, _ := e.Passive.ports()
		switch looked := e.Passive.lookedFor(); {
		case looked != 0:
			return fmt.Sprintf("The router before the server forwards port %s to the server and the passive %s to a computer that isn't there: it looked for one and gave up after %s.", port, dead, connlog.Took(looked))
		case e.further():
			return fmt.Sprintf("The passive %s are forwarded to another computer than port %s: packets to them go past the hop where the server is.", dead, port)
		case e.ownRouter():
			return fmt.Sprintf("Your own router sends port %s of %s on to the server, which is right behind it, and not the passive %s.", port, peer.Addr(), dead)
		case len(open) > 0:
			return fmt.Sprintf("Only a part of the passive ports gets through: %s can be reached, %s can't. The range in the router or firewall is not the server's.", portList(open), portList(blocked))
		case e.ownerBeforeServer():
			return fmt.Sprintf("The router at %s forwards port %s to the server, and not the passive %s; or a filter right before it stops them.", peer.Addr(), port, dead)
		}
		return fmt.Sprintf("Port %s answers and the passive %s are lost right before the server: its router does not forward them, or filters them.", port, dead)
	case ServerPassiveIP:
		if e.noOffer() {
			return fmt.Sprintf("The server's answer to PASV names no address and port that exist, so no data channel can be opened to it: %q.", e.Passive.PASV.Answer)
		}
		what := "an address that can't be reached from here"
		switch {
		case advertised.IsLoopback():
			what = "the loopback address, which every computer has itself"
		case private(advertised):
			what = "a private address that means nothing outside the server's own network"
		}
		return fmt.Sprintf("The server tells clients to open the data channel to %s, %s; it is reached at %s.", advertised, what, peer.Addr())
	case ServerPassiveHairpin:
		return fmt.Sprintf("You reach the server inside its own network at %s, but it tells you to open the data channel to its public address %s, which does not lead back inside.", peer.Addr(), advertised)
	case OKWithFault:
		if o := e.onlyListed(); rule.Confidence == Likely {
			other := map[string]string{"EPSV": "PASV", "PASV": "EPSV"}[o.Command]
			return fmt.Sprintf("Portside gets through with %s. %s stands in the server's list of what it can do, and the server does not know it (%q): programs that go by the list fail. The list is wrong, or a box on the way changes the command.", other, o.Command, o.Answer)
		}
		return fmt.Sprintf("It works here, because EPSV names no address. Clients that use PASV are sent to %s, which can't be reached from here.", advertised)
	case ServerPassiveExhausted:
		answer := cmp.Or(failing(e.Passive.EPSV.Answer), failing(e.Passive.PASV.Answer))
		if e.Passive.EPSV.silent() || e.Passive.PASV.silent() {
			return "The server does not answer when it is asked for a passive port: it hangs there, or a box on the way swallows the command."
		}
		if rule.Confidence == Proved {
			if !e.noPort(e.Passive.EPSV) { // it is PASV's answer that says it
				answer = failing(e.Passive.PASV.Answer)
			}
			return fmt.Sprintf("The server has no passive port left, so no data channel can be opened to it: %s.", quoteOr(answer, "it ends the session when asked for one"))
		}
		if e.noPort(e.Passive.EPSV) || e.noPort(e.Passive.PASV) {
			return fmt.Sprintf("The server can't open a passive port: %s. All of them are in use, or its computer forbids it.", quoteOr(answer, "no answer"))
		}
		return fmt.Sprintf("The server gives no passive port: %s. Passive mode is switched off there, or no port is left.", quoteOr(answer, "no answer"))
	case EPSVBroken:
		switch answer := e.Passive.EPSV.Answer; {
		case answer.Code/100 == 2:
			return fmt.Sprintf("Passive mode works with PASV and not with EPSV: the answer to EPSV names no port in the form that programs read, (|||21100|): %q.", answer)
		case rule.Side == ServerSettings:
			return fmt.Sprintf("Passive mode works with PASV and not with EPSV: the server does not answer EPSV properly (%s). Programs that begin with EPSV wait or lose the session.", cmp.Or(answer.String(), answer.Text))
		}
		if e.Passive.Advertised.Works() {
			return fmt.Sprintf("Data channels come about only at %s, which the answer to PASV names. At %s, where the control channel goes and where EPSV leads, %s can't be reached.", advertised, peer.Addr(), dead)
		}
		return fmt.Sprintf("Passive mode works with PASV and not with EPSV: %s that EPSV named can't be reached. A load balancer or an old firewall does not follow EPSV.", dead)
	case IPv6Unsupported:
		return fmt.Sprintf("You are connected by IPv6, and the server can't do data channels over IPv6: %q.", cmp.Or(failing(e.Passive.EPSV.Answer), failing(e.EPRT.Answer)))
	case ALGBlindTLS:
		if rule.Side == ServerComputer {
			return "The same session works in clear and not under TLS: the firewall of the server's computer opens the data channels by reading FTP's commands, and TLS hides those."
		}
		return "The same session works in clear and not under TLS: a router on the way opens the data channels by reading FTP's commands, and TLS hides those."
	case ALGTamper:
		switch {
		case e.TLSStalled:
			return "The server begins TLS, and the handshake then stops, however small its packets: a firewall on the way interferes with it, or the server hangs."
		case e.Lost != nil && e.User.Code == 0 && e.AuthAnswer.Code == 0 && e.TLSError == "":
			return "The server greets, and then answers nothing: it hangs, or a box on the way swallows the commands."
		case e.AuthAnswer.Code != 0 && !e.TLSUp && e.ListsAuth, e.TLSError != "":
			return fmt.Sprintf("The server offers TLS, but the command for it does not come through as it was sent: %s. A firewall on the way interferes with FTP.", quoteOr(e.AuthAnswer.String(), e.TLSError))
		case e.passive() && e.noOffer() && (e.Passive.EPSV.Answer.Code/100 == 2 || e.Passive.PASV.Answer.Code/100 == 2):
			o := e.Passive.EPSV
			if o.Answer.Code/100 != 2 {
				o = e.Passive.PASV
			}
			return fmt.Sprintf("The replies don't belong to the commands: %s is answered with %q. The server says something twice, or a box on the way does.", o.Command, o.Answer)
		case e.changedAddress():
			return fmt.Sprintf("A box on the way changes what the server says: in clear its reply names %s, under TLS %s.", advertised, e.Comparison.PASV.Advertised.Addr())
		case e.mode() == client.ModeActive && e.Hops.at(1) == Worked:
			return fmt.Sprintf("A box one hop away answers in place of %s and speaks FTP with it, so the server sees that box and refuses your address in PORT: %q.", peer.Addr(), active.Answer)
		case e.mode() == client.ModeActive:
			return fmt.Sprintf("A box on the way changes FTP commands: the server refuses PORT with an address that it takes in EPRT: %q.", e.PORT.Answer)
		}
		return fmt.Sprintf("A box on the way changes FTP commands: the server says %q to a command that it knows.", cmp.Or(failing(e.Passive.EPSV.Answer), failing(e.Passive.PASV.Answer)))
	case ClientFirewallActive:
		if rule.Side == ClientComputer {
			return fmt.Sprintf("This computer's firewall stops the server's data channel to port %d: packets arrived here and reached no program.", active.Announced.Port())
		}
		return fmt.Sprintf("The firewall of your own network stops the server's data channel to port %d: it came in as soon as this side expected it.", active.Announced.Port())
	case ClientNATActive:
		switch {
		case active.refused() && e.announcesPrivate():
			return fmt.Sprintf("You are behind a router (NAT): your program asks the server to dial %s, a private address, and the server refuses: %q.", active.Announced.Addr(), active.Answer)
		case active.refused():
			return fmt.Sprintf("The server sees you under another address than %s and refuses to dial that one: %q. You are behind NAT, a proxy or a VPN.", active.Announced.Addr(), active.Answer)
		}
		return fmt.Sprintf("You are behind a router (NAT): the server is asked to dial %s, a private address that it can't reach, and its connection never comes.", active.Announced.Addr())
	case ServerEgressActive:
		if active.elsewhere() {
			return fmt.Sprintf("The server's data channel seems to come from %s, and the control channel goes to %s: this side turns away whoever is not the server. The server's side leaves by another address, as with a load balancer or a second line.", active.Strangers[0], peer.Addr())
		}
		if active.Move.Answer.failed() {
			return fmt.Sprintf("The server took the order to dial %s, and its connection was refused or never came here (%q): its side does not let it out, or a firewall between does not let it in.", active.Announced, active.Move.Answer)
		}
		return fmt.Sprintf("The server took the order to dial %s, and nothing of it arrives here: the server's side does not let the connection out, or a firewall between does not let it in.", active.Announced)
	case ActiveDisabled:
		return fmt.Sprintf("The server does not do active mode: %q.", active.Answer)
	case ControlIdleTimeout:
		if e.LostText.Code == 421 {
			return fmt.Sprintf("The server ended the session over a transfer, because nothing had been said on the control channel for too long: %q.", e.LostText)
		}
		if e.Noop == Worked {
			return fmt.Sprintf("All %s came, but not the reply that ends the transfer, though the control channel is alive.", connlog.Bytes(e.Transfer.Bytes))
		}
		if rule.Side == ServerSettings {
			return fmt.Sprintf("All %s came at once, and then the control channel was silent: the server hangs at the end of transfers, or a box on the way lost the control channel.", connlog.Bytes(e.Transfer.Bytes))
		}
		return fmt.Sprintf("All %s came, but the control channel was dead afterwards: a router or firewall on the way forgets connections that are idle for less than %s.", connlog.Bytes(e.Transfer.Bytes), connlog.Took(e.Transfer.Took))
	case DataCut:
		switch m := e.firstMove(); {
		case e.endedBy().Command != "":
			return fmt.Sprintf("The server takes the data channel and ends the whole session as soon as it is told %s: it crashes there, or a box on the way ends the session.", e.endedBy().Command)
		case m.Answer.Code == 421:
			return fmt.Sprintf("The server takes the data channel and ends the whole session when it is told %s: %q.", m.Command, m.Answer)
		case m.Begun && m.Answer.failed() && m.Outcome == Rejected, e.Transfer.Answer.ownFault():
			if e.Transfer.Answer.ownFault() {
				m = e.Transfer
			}
			return fmt.Sprintf("The data channel stands, and the server breaks the transfer off after %s: %q.", connlog.Bytes(m.Bytes), m.Answer)
		case rule.Side == ServerNetwork:
			return "The data channel comes up and is closed at once, and the server goes on waiting for it: a load balancer or proxy before the server takes it and does not pass it on, or to the server it seems to come from another address than yours."
		case e.Transfer.Outcome == NotTried && e.SignedIn && errors.Is(e.Lost, errSilent):
			return "The server takes the user and then does not answer any more: it hangs, or the network loses packets."
		case e.Transfer.Outcome == NotTried:
			return "The session ended before it was decided whether data channels work."
		case e.Transfer.Outcome == Worked:
			return fmt.Sprintf("The transfer ends early: %d of %d bytes came.", e.Transfer.Bytes, e.Size)
		case rule.Side == ThePath && e.Transfer.Answer.Code/100 == 2 && e.Transfer.Bytes == 0:
			return fmt.Sprintf("The server says that the transfer is complete (%q), and nothing of it arrives here: something on the way swallows what data channels carry.", e.Transfer.Answer)
		case rule.Side == ServerSettings && e.Transfer.Answer.Code/100 == 2:
			return fmt.Sprintf("The server says that the transfer is complete (%q) and does not close the data channel, by which programs know its end.", e.Transfer.Answer)
		case rule.Side == ServerSettings && e.Transfer.Outcome == Broken:
			return "Data channels come up and are closed before anything comes over them: the server closes them, or a box on the way does."
		case rule.Side == ServerSettings:
			return "Data channels come up and nothing ever comes over them, however small the packets: the server hangs, or a box before it takes the connection and does not pass it on."
		case rule.Confidence == Proved:
			return fmt.Sprintf("Transfers stop at the same place, after %s and after %s: something on the way ends them, such as a scanner, a quota or a proxy.", connlog.Bytes(e.Transfer.Bytes), connlog.Bytes(e.Again.Bytes))
		case rule.Confidence == Likely:
			return fmt.Sprintf("Data channels come up and then stop moving (after %s): something on the way ends them.", connlog.Bytes(e.Transfer.Bytes))
		}
		return fmt.Sprintf("A transfer stopped after %s and could not be shown to stop again: the network lost the connection, or something on the way ended it.", connlog.Bytes(e.Transfer.Bytes))
	case MTUBlackhole:
		return "Full-size packets are lost on the way and small ones pass: a link with a smaller packet size (VPN, PPPoE), and the message that would say so is filtered."
	case ListingEmpty:
		if e.PathFail.failed() {
			if e.PathFail.Code == 425 {
				return fmt.Sprintf("Data channels work for listings, and the server can't open the one for %s: %q.", e.Target.Path, e.PathFail)
			}
			return fmt.Sprintf("The channels work, but the server refuses %s: %q.", e.Target.Path, e.PathFail)
		}
		if m := e.firstMove(); m.Answer.Code == 425 && e.refusedAlike() {
			return fmt.Sprintf("The server refuses data channels, whoever opens them: %q.", m.Answer)
		} else if m.Answer.failed() {
			empty := ""
			if saysNothing.MatchString(m.Answer.Text) {
				empty = " Some servers say so of an empty folder."
			}
			return fmt.Sprintf("The channels work, but the server refuses the listing: %q.%s", m.Answer, empty)
		}
		return fmt.Sprintf("The listing comes through with zero bytes: the folder is empty for the user %s, or the server hides what is in it.", e.Target.User)
	case RESTUnsupported:
		if e.Ignored {
			return "The server takes REST and sends the file from its beginning all the same: transfers can't be resumed."
		}
		return fmt.Sprintf("The server can't resume transfers: it answers REST with %q.", e.Rest)
	case Charset:
		return fmt.Sprintf("The server's file names are not UTF-8 (%s).", e.strangeName())
	case OK:
		return e.fine()
	case Undecided:
		return "The examination ended before " + e.reached() + "."
	}
	return string(rule.Verdict)
}

// reached is what an examination that ended early did not see any more.
func (e *Evidence) reached() string {
	switch {
	case e.Control != Worked:
		return "the control channel was open"
	case e.Greeter == "":
		return "the server greeted"
	case !e.SignedIn:
		return "the server had taken the user"
	}
	return "it was known whether data channels work"
}

// fullAnswer is the reply by which the server sends clients away.
func (e *Evidence) fullAnswer() string {
	return cmp.Or(failing(e.Greeting), failing(e.Pass), failing(e.User), failing(e.LostText), failing(e.firstMove().Answer))
}

func (e *Evidence) fine() string {
	dialler := "you opened every data channel (passive mode)"
	if e.mode() == client.ModeActive {
		dialler = "the server opened every data channel (active mode)"
	}
	protected := "in clear"
	if e.TLSUp {
		protected = "under " + e.TLSVersion
	}
	out := fmt.Sprintf("Everything works %s: %s.", protected, dialler)
	if e.mode() == client.ModeActive && e.announcesPrivate() {
		out += " Your router helps: it reads FTP's commands and lets the server in, which it can't do under TLS."
	}
	if m := e.firstMove(); m.Outcome == Worked && !m.Stopped && m.Took.Seconds() >= 5 && m.Bytes < 1<<20 {
		out += fmt.Sprintf(" It is slow, though: %s took %s.", connlog.Bytes(m.Bytes), connlog.Took(m.Took))
	}
	if e.SignInIn.Seconds() >= 5 {
		out += fmt.Sprintf(" Signing in is slow, though: it took %s, as when the server waits for a directory or a name lookup.", connlog.Took(e.SignInIn))
	}
	if e.OtherDead.IsValid() {
		does := "does not answer; some programs wait for it first"
		if e.OtherHow == Refused {
			does = "refuses the port; some programs try no other"
		}
		out += fmt.Sprintf(" Its other address, %s, %s.", e.OtherDead, does)
	}
	return out
}

// failing returns an answer that refuses something.
func failing(a Answer) string {
	if a.Code < 332 || a.Code == 350 {
		return ""
	}
	return a.String()
}

// readable says that most of a text is what people write, and nothing of it had to be escaped.
func readable(s string) bool {
	if strings.Contains(s, `\x`) {
		return false
	}
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == ' ' {
			n++
		}
	}
	return n > 0 && 2*n >= len([]rune(s))
}

func quoteOr(s, other string) string {
	if s == "" {
		return other
	}
	return fmt.Sprintf("%q", s)
}

// workaround says what helps at once, on the side of the one who asks, and what that does.
func (e *Evidence) workaround(v Verdict) (string, Remedy) {
	active := e.active()
	switch v {
	case ServerFirewallPassive, ServerForwardPassive, ClientFirewallOutbound, ServerPassiveExhausted, ServerPassiveIP, ServerPassiveHairpin, ALGBlindTLS, ALGTamper:
		if e.mode() == client.ModeActive {
			if e.Passive.moved() {
				return "Passive mode works here: choose it.", UsePassive
			}
			return "", ""
		}
		if e.Passive.moved() && len(e.Passive.blocked()) == 0 {
			return "Portside gets through, because it dials the control channel's address.", ""
		}
		if active.works() {
			return "Active mode works here: choose it until that is put right.", UseActive
		}
		if e.Passive.moved() {
			return "Some data channels get through: trying again helps now and then.", ""
		}
		if c := e.Comparison; c.Tried && (c.EPSV.Works() || c.PASV.Works()) && !e.TLSUp {
			return "FTP over TLS works: choose explicit TLS.", ""
		}
	case ClientNATActive, ClientFirewallActive, ServerEgressActive, ActiveDisabled:
		if e.Passive.moved() {
			return "Passive mode works here: choose it.", UsePassive
		}
	case EPSVBroken:
		return "PASV works: choose a program that can be told to use it.", ""
	case IPv6Unsupported:
		for _, a := range e.Addrs {
			if a.Is4() {
				return fmt.Sprintf("Connect by IPv4, to %s.", a), ""
			}
		}
	case TLSRequired:
		return "Choose explicit TLS (ftpes://).", ""
	case TLSModeMismatch:
		if e.TLSPlain {
			return "Choose explicit TLS (ftpes://).", ""
		}
		return "Choose implicit TLS (ftps://).", ""
	case ControlTimeout, ControlRefused:
		if e.OtherDead.IsValid() {
			return fmt.Sprintf("Its other address answers: connect without %s.", e.OtherDead), ""
		}
	}
	return "", ""
}
