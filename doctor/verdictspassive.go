package doctor

import (
	"cmp"
	"fmt"

	"portside/connlog"
)

// The verdicts on data channels in passive mode.

func (e *Evidence) sayServerFirewallPassive(f Finding) string {
	port, dead := e.port(), e.deadPorts()
	if fickle := e.Passive.fickle(); len(fickle) > 0 {
		return fmt.Sprintf("Some data channels get through and some don't, to the same port (%s): a firewall on the server's side limits how many connections it lets in within a while, or packets are lost on the way.", portList(fickle))
	}
	switch f.Confidence {
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
}

func (e *Evidence) fixServerFirewallPassive(Finding) []Fix {
	if len(e.Passive.fickle()) > 0 {
		return []Fix{
			e.advice(ServerComputer, "Raise the limit of new connections for ports {lo}–{hi}, or take it away, in the firewall of the server's computer or of the router before it (`ufw limit`, `limit rate` and `ct count` in nftables, `recent` and `connlimit` in iptables, an intrusion prevention)."),
			e.advice(ClientComputer, "Transfer fewer files at once, and try from another network: if all goes well there, packets are lost on your side."),
		}
	}
	beforeServer := "If a router or a cloud filter stands before the server, let the range in there, too."
	if e.ownerBeforeServer() {
		beforeServer = "Check that the router at {public} forwards the range to the same computer as port {port}, with the same numbers."
	}
	return e.withRange(
		e.choice(ServerComputer, "Let the passive range in on the server's computer.", openRange, e.firewallChoice()).does(OpenRange),
		e.choice(ServerNetwork, beforeServer, forwardRange).does(ForwardRange),
	)
}

func (e *Evidence) sayServerForwardPassive(Finding) string {
	port := e.port()
	open, blocked := e.Passive.ports()
	dead := portsText(blocked)
	switch looked := e.Passive.lookedFor(); {
	case looked != 0:
		return fmt.Sprintf("The router before the server forwards port %s to the server and the passive %s to a computer that isn't there: it looked for one and gave up after %s.", port, dead, connlog.Took(looked))
	case e.further():
		return fmt.Sprintf("The passive %s are forwarded to another computer than port %s: packets to them go past the hop where the server is.", dead, port)
	case e.ownRouter():
		return fmt.Sprintf("Your own router sends port %s of %s on to the server, which is right behind it, and not the passive %s.", port, e.Peer.Addr(), dead)
	case len(open) > 0:
		return fmt.Sprintf("Only a part of the passive ports gets through: %s can be reached, %s can't. The range in the router or firewall is not the server's.", portList(open), portList(blocked))
	case e.ownerBeforeServer():
		return fmt.Sprintf("The router at %s forwards port %s to the server, and not the passive %s; or a filter right before it stops them.", e.Peer.Addr(), port, dead)
	}
	return fmt.Sprintf("Port %s answers and the passive %s are lost right before the server: its router does not forward them, or filters them.", port, dead)
}

func (e *Evidence) fixServerForwardPassive(Finding) []Fix {
	forward := "Forward the passive range on the router before the server, with the same numbers."
	if e.Passive.lookedFor() != 0 || e.further() {
		forward = "Let the router before the server forward the passive range to the computer to which it forwards port {port}, with the same numbers."
	}
	return e.withRange(
		e.choice(ServerNetwork, forward, forwardRange).does(ForwardRange),
		e.choice(ServerComputer, "Let the passive range in on the server's computer, too.", openRange, e.firewallChoice()).does(OpenRange),
	)
}

func (e *Evidence) sayServerPassiveIP(Finding) string {
	advertised := e.Passive.Advertised.Advertised.Addr()
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
	return fmt.Sprintf("The server tells clients to open the data channel to %s, %s; it is reached at %s.", advertised, what, e.Peer.Addr())
}

func (e *Evidence) fixServerPassiveIP(Finding) []Fix {
	if e.noOffer() {
		return []Fix{
			e.setting("Set the server's passive range to ports that exist, from 1024 to 65535.", setRange).does(SetRange),
			e.setting("Set the server's Passive IP to the address that clients reach, {public}.", setPassiveIP).does(SetPassiveIP),
			e.choice(ThePath, "If these are right, a box on the way spoils the reply: switch its inspection of FTP off.", helperOff),
		}
	}
	return []Fix{
		e.setting("Set the server's Passive IP to the address that clients reach, {public}.", setPassiveIP).does(SetPassiveIP),
		e.aroundPassiveIP(),
	}
}

// aroundPassiveIP is what a client can do about a wrong Passive IP.
func (e *Evidence) aroundPassiveIP() Fix {
	if e.Passive.EPSV.Refused() {
		return e.advice(ClientComputer, "Meanwhile let your program dial the control channel's address.")
	}
	return e.advice(ClientComputer, "Meanwhile use EPSV, or let your program dial the control channel's address.").does(UseEPSV)
}

func (e *Evidence) sayServerPassiveHairpin(Finding) string {
	advertised := e.Passive.Advertised.Advertised.Addr()
	return fmt.Sprintf("You reach the server inside its own network at %s, but it tells you to open the data channel to its public address %s, which does not lead back inside.", e.Peer.Addr(), advertised)
}

func (e *Evidence) fixServerPassiveHairpin(Finding) []Fix {
	return []Fix{
		e.choice(ServerSettings, "Tell clients inside the network the server's inside address.", localIP, string(e.Software), "Router"),
		e.aroundPassiveIP(),
	}
}

func (e *Evidence) sayOKWithFault(f Finding) string {
	advertised := e.Passive.Advertised.Advertised.Addr()
	if o := e.onlyListed(); f.Confidence == Likely {
		other := map[string]string{"EPSV": "PASV", "PASV": "EPSV"}[o.Command]
		return fmt.Sprintf("Portside gets through with %s. %s stands in the server's list of what it can do, and the server does not know it (%q): programs that go by the list fail. The list is wrong, or a box on the way changes the command.", other, o.Command, o.Answer)
	}
	return fmt.Sprintf("It works here, because EPSV names no address. Clients that use PASV are sent to %s, which can't be reached from here.", advertised)
}

func (e *Evidence) fixOKWithFault(f Finding) []Fix {
	if f.Confidence == Likely {
		return []Fix{
			e.advice(ServerSettings, "Let the server know "+e.onlyListed().Command+", or take it from the list that FEAT gives."),
			e.choice(ThePath, "If the server knows it, switch off what changes FTP's commands on the way.", helperOff),
		}
	}
	return e.fixServerPassiveIP(f)
}

func (e *Evidence) sayServerPassiveExhausted(f Finding) string {
	answer := cmp.Or(failing(e.Passive.EPSV.Answer), failing(e.Passive.PASV.Answer))
	if e.Passive.EPSV.silent() || e.Passive.PASV.silent() {
		return "The server does not answer when it is asked for a passive port: it hangs there, or a box on the way swallows the command."
	}
	if f.Confidence == Proved {
		if !e.noPort(e.Passive.EPSV) { // it is PASV's answer that says it
			answer = failing(e.Passive.PASV.Answer)
		}
		return fmt.Sprintf("The server has no passive port left, so no data channel can be opened to it: %s.", quoteOr(answer, "it ends the session when asked for one"))
	}
	if e.noPort(e.Passive.EPSV) || e.noPort(e.Passive.PASV) {
		return fmt.Sprintf("The server can't open a passive port: %s. All of them are in use, or its computer forbids it.", quoteOr(answer, "no answer"))
	}
	return fmt.Sprintf("The server gives no passive port: %s. Passive mode is switched off there, or no port is left.", quoteOr(answer, "no answer"))
}

func (e *Evidence) fixServerPassiveExhausted(f Finding) []Fix {
	if e.Passive.EPSV.silent() || e.Passive.PASV.silent() {
		return []Fix{
			e.advice(ServerSettings, "See the server's log for what it does when PASV or EPSV comes, and restart it."),
			e.choice(ThePath, "If it never sees the command, switch off the inspection of FTP on the way.", helperOff),
		}
	}
	if f.Confidence == Likely && !e.noPort(e.Passive.EPSV) && !e.noPort(e.Passive.PASV) {
		return []Fix{e.setting("Switch passive mode on at the server, with a range of ports of its own.", setRange)}
	}
	return []Fix{
		e.setting("Make the passive range larger (100 ports serve most servers), outside the system's own range, with no other program on its ports.", setRange),
		e.advice(ServerComputer, "See which program holds the ports: `ss -ltnp` (Linux), `netstat -ano` (Windows)."),
	}
}

func (e *Evidence) sayEPSVBroken(f Finding) string {
	dead, advertised := e.deadPorts(), e.Passive.Advertised.Advertised.Addr()
	switch answer := e.Passive.EPSV.Answer; {
	case answer.Code/100 == 2:
		return fmt.Sprintf("Passive mode works with PASV and not with EPSV: the answer to EPSV names no port in the form that programs read, (|||21100|): %q.", answer)
	case f.Side == ServerSettings:
		return fmt.Sprintf("Passive mode works with PASV and not with EPSV: the server does not answer EPSV properly (%s). Programs that begin with EPSV wait or lose the session.", cmp.Or(answer.String(), answer.Text))
	}
	if e.Passive.Advertised.Works() {
		return fmt.Sprintf("Data channels come about only at %s, which the answer to PASV names. At %s, where the control channel goes and where EPSV leads, %s can't be reached.", advertised, e.Peer.Addr(), dead)
	}
	return fmt.Sprintf("Passive mode works with PASV and not with EPSV: %s that EPSV named can't be reached. A load balancer or an old firewall does not follow EPSV.", dead)
}

func (e *Evidence) fixEPSVBroken(f Finding) []Fix {
	if f.Side == ServerSettings {
		return []Fix{
			e.advice(ServerSettings, "Update the server, or switch EPSV off there; a refusal is better than such an answer, since programs then use PASV."),
			e.advice(ClientComputer, "Meanwhile let your program use PASV in place of EPSV."),
		}
	}
	if e.Passive.Advertised.Works() {
		return []Fix{
			e.advice(ServerNetwork, "Let the passive ports through at {public}, too, to the server that named them."),
			e.advice(ServerSettings, "Or let the server refuse EPSV, so that programs go where PASV sends them."),
			e.advice(ClientComputer, "Meanwhile let your program use PASV and dial the address that it names."),
		}
	}
	return []Fix{
		e.advice(ServerNetwork, "Let the load balancer send all ports of one client to the same server, or update the firewall that does not know EPSV."),
		e.advice(ClientComputer, "Meanwhile let your program use PASV in place of EPSV."),
	}
}

func (e *Evidence) sayIPv6Unsupported(Finding) string {
	return fmt.Sprintf("You are connected by IPv6, and the server can't do data channels over IPv6: %q.", cmp.Or(failing(e.Passive.EPSV.Answer), failing(e.EPRT.Answer)))
}

func (e *Evidence) fixIPv6Unsupported(Finding) []Fix {
	return []Fix{
		e.advice(ClientComputer, "Connect by IPv4."),
		e.advice(ServerSettings, "Allow EPSV and EPRT at the server, or update it; until then take its IPv6 address out of DNS."),
	}
}

func (e *Evidence) sayALGBlindTLS(f Finding) string {
	if f.Side == ServerComputer {
		return "The same session works in clear and not under TLS: the firewall of the server's computer opens the data channels by reading FTP's commands, and TLS hides those."
	}
	return "The same session works in clear and not under TLS: a router on the way opens the data channels by reading FTP's commands, and TLS hides those."
}

func (e *Evidence) fixALGBlindTLS(f Finding) []Fix {
	if f.Side == ClientNetwork {
		return []Fix{
			e.advice(ClientComputer, "Use passive mode under TLS.").does(UsePassive),
			e.advice(ClientNetwork, "Or use fixed active ports (50210–50219), forward them on your router to {client}, and let your program announce your public address.").does(ForwardActivePorts),
		}
	}
	if f.Side == ServerComputer {
		return e.withRange(
			e.choice(ServerComputer, "Let the passive range in on the server's computer: its firewall's FTP helper can't do it under TLS.", openRange, e.firewallChoice()).does(OpenRange),
		)
	}
	return e.withRange(
		e.choice(ServerNetwork, "Forward the passive range on the router before the server: its FTP helper can't do it under TLS.", forwardRange).does(ForwardRange),
		e.setting("Set the server's Passive IP to the address that clients reach, {public}.", setPassiveIP).does(SetPassiveIP),
	)
}
