package doctor

import "fmt"

// The verdicts on data channels in active mode.

func (e *Evidence) sayClientFirewallActive(f Finding) string {
	active := e.active()
	if f.Side == ClientComputer {
		return fmt.Sprintf("This computer's firewall stops the server's data channel to port %d: packets arrived here and reached no program.", active.Announced.Port())
	}
	return fmt.Sprintf("The firewall of your own network stops the server's data channel to port %d: it came in as soon as this side expected it.", active.Announced.Port())
}

func (e *Evidence) fixClientFirewallActive(f Finding) []Fix {
	if f.Side == ClientNetwork {
		return []Fix{
			e.advice(ClientComputer, "Use passive mode: then you open the data channels, and nothing has to be let in here.").does(UsePassive),
			e.advice(ClientNetwork, "Or let TCP connections from {public} in to {client} on the firewall of your network."),
		}
	}
	return []Fix{
		e.advice(ClientComputer, "Use passive mode: then you open the data channels, and nothing has to be let in here.").does(UsePassive),
		e.choice(ClientComputer, "Or use fixed active ports (50210–50219) and let the server in to them.", clientInbound, "ufw").does(OpenActivePorts),
	}
}

func (e *Evidence) sayClientNATActive(Finding) string {
	active := e.active()
	switch {
	case active.refused() && e.announcesPrivate():
		return fmt.Sprintf("You are behind a router (NAT): your program asks the server to dial %s, a private address, and the server refuses: %q.", active.Announced.Addr(), active.Answer)
	case active.refused():
		return fmt.Sprintf("The server sees you under another address than %s and refuses to dial that one: %q. You are behind NAT, a proxy or a VPN.", active.Announced.Addr(), active.Answer)
	}
	return fmt.Sprintf("You are behind a router (NAT): the server is asked to dial %s, a private address that it can't reach, and its connection never comes.", active.Announced.Addr())
}

func (e *Evidence) fixClientNATActive(Finding) []Fix {
	if rfc6598.Contains(e.Local.Addr()) {
		return []Fix{
			e.advice(ClientComputer, "Use passive mode: then you open the data channels, and the router does not matter.").does(UsePassive),
			e.advice(ClientNetwork, "Or ask your provider for a public address, or use IPv6: {client} is behind the provider's own NAT, where no port can be forwarded to you."),
		}
	}
	return []Fix{
		e.advice(ClientComputer, "Use passive mode: then you open the data channels, and the router does not matter.").does(UsePassive),
		e.advice(ClientNetwork, "Or use fixed active ports (50210–50219), forward them on your router to {client}, and let your program announce your public address.").does(ForwardActivePorts),
	}
}

func (e *Evidence) sayServerEgressActive(Finding) string {
	active := e.active()
	if active.elsewhere() {
		return fmt.Sprintf("The server's data channel seems to come from %s, and the control channel goes to %s: this side turns away whoever is not the server. The server's side leaves by another address, as with a load balancer or a second line.", active.Strangers[0], e.Peer.Addr())
	}
	if active.Move.Answer.failed() {
		return fmt.Sprintf("The server took the order to dial %s, and its connection was refused or never came here (%q): its side does not let it out, or a firewall between does not let it in.", active.Announced, active.Move.Answer)
	}
	return fmt.Sprintf("The server took the order to dial %s, and nothing of it arrives here: the server's side does not let the connection out, or a firewall between does not let it in.", active.Announced)
}

func (e *Evidence) fixServerEgressActive(Finding) []Fix {
	if e.active().elsewhere() {
		return []Fix{
			e.advice(ClientComputer, "Use passive mode: then you open the data channels.").does(UsePassive),
			e.advice(ServerNetwork, "Let the server's data channels leave by {public}, the address of its control channel: source NAT in the router or load balancer."),
		}
	}
	return []Fix{
		e.advice(ClientComputer, "Use passive mode: then you open the data channels.").does(UsePassive),
		e.advice(ServerNetwork, "Or let the server open outbound TCP connections, from port 20 or any, to ports above 1023.").does(LetServerOut),
	}
}

func (e *Evidence) sayActiveDisabled(Finding) string {
	return fmt.Sprintf("The server does not do active mode: %q.", e.active().Answer)
}

func (e *Evidence) fixActiveDisabled(Finding) []Fix {
	return []Fix{
		e.advice(ClientComputer, "Use passive mode.").does(UsePassive),
		e.setting("Or switch active mode on at the server.", enableActive),
	}
}
