package doctor

import (
	"cmp"
	"fmt"

	"portside/connlog"
)

// The verdicts on a server that can't be reached, or that is no FTP server.

func (e *Evidence) sayNameUnresolved(Finding) string {
	if e.NoSuch {
		return fmt.Sprintf("The name %s does not exist, or this computer's name service does not know it.", e.Target.Host)
	}
	return fmt.Sprintf("The name service of this computer gave no address for %s: %s.", e.Target.Host, e.NameError)
}

func (e *Evidence) fixNameUnresolved(Finding) []Fix {
	return []Fix{
		e.advice(ClientComputer, "Check how {host} is spelled, or try the server's IP address."),
		e.advice(ClientNetwork, "Check this computer's name server; `nslookup {host}` asks it."),
	}
}

func (e *Evidence) sayControlRefused(f Finding) string {
	port := e.port()
	switch {
	case f.Side == ClientComputer:
		return fmt.Sprintf("This computer itself forbids the connection to port %s.", port)
	case f.Side == ClientNetwork && f.Confidence == Proved:
		return fmt.Sprintf("Your own network refuses port %s of %s: the refusal comes from within two hops, and packets to another port of the same host come further.", port, e.Peer.Addr())
	case f.Side == ServerComputer && e.Control == Unreachable:
		return fmt.Sprintf("%s says that a rule forbids port %s: the firewall of the server's computer, or of the router that has its address.", e.Peer.Addr(), port)
	case f.Side == ClientNetwork:
		return fmt.Sprintf("A box one hop away answers for %s and refuses port %s: your own network does not let it out.", e.Peer.Addr(), port)
	case f.Side == ServerNetwork:
		return fmt.Sprintf("A router on the way to %s says that a rule forbids port %s.", e.Peer.Addr(), port)
	}
	return fmt.Sprintf("%s answers that nobody listens on port %s: no FTP server runs there, or a firewall rejects it.", e.Peer.Addr(), port)
}

func (e *Evidence) fixControlRefused(f Finding) []Fix {
	if f.Side == ClientComputer || f.Side == ClientNetwork {
		return []Fix{e.advice(f.Side, "Let TCP port {port} out to {public}, or use another network.")}
	}
	if f.Side == ServerNetwork {
		return []Fix{
			e.choice(ServerNetwork, "Let port {port} through in the router or firewall that forbids it, and forward it to the server.", forwardControl),
			e.choice(ServerComputer, "Let port {port} in on the server's computer, too.", openControl, e.firewallChoice()),
		}
	}
	if e.Control == Unreachable {
		return []Fix{
			e.choice(ServerComputer, "Let port {port} in on the server's computer.", openControl, e.firewallChoice()),
			e.choice(ServerNetwork, "If a router stands before the server, let port {port} through there, and forward it.", forwardControl),
		}
	}
	return []Fix{
		e.advice(ServerComputer, "Start the FTP server, and check that it listens on port {port} and on an address that clients reach."),
		e.choice(ServerComputer, "Let port {port} in on the server's computer.", openControl, e.firewallChoice()),
		e.choice(ServerNetwork, "If a router stands before the server, forward port {port}.", forwardControl),
	}
}

func (e *Evidence) sayControlTimeout(f Finding) string {
	port := e.port()
	lastHop, lastAddr := e.Hops.last()
	switch {
	case e.cutOff():
		return "No router answers, and the next computer on the way was looked for in vain: your own router is off, or this computer's network settings name a wrong one. If you can reach other servers, it is the server's computer that is off or has another address."
	case e.absent() && e.OnLink:
		return fmt.Sprintf("No computer answers for %s in your own network: it is off, or has another address.", e.Peer.Addr())
	case e.absent():
		return fmt.Sprintf("The router before the server looked for the computer to which port %s of %s leads, and found none: it is off, or the port is forwarded to a wrong address.", port, e.Peer.Addr())
	case f.Side == ServerComputer:
		return fmt.Sprintf("%s answers on another port, and not on port %s: a firewall on the server's computer drops it.", e.Peer.Addr(), port)
	case f.Side == ClientNetwork && f.Confidence == Proved:
		return fmt.Sprintf("Your own network does not let port %s out: packets to it are lost after hop %d, packets to another port of %s come further.", port, lastHop, e.Peer.Addr())
	case f.Side == ClientNetwork:
		return fmt.Sprintf("Packets to %s are lost right after %s: your own network or your provider does not pass port %s on.", e.Peer, hopText(lastHop, lastAddr), port)
	case lastHop > 0 && lastAddr == e.Peer.Addr():
		return fmt.Sprintf("Packets to port %s come as far as %s, the router that has the server's address, and vanish there or right behind it: the port is not forwarded, a firewall drops it, or the computer is off.", port, hopText(lastHop, lastAddr))
	case lastHop > 0:
		return fmt.Sprintf("Packets to %s come as far as %s and vanish there: a firewall drops port %s, a router does not forward it, or the computer is off.", e.Peer, hopText(lastHop, lastAddr), port)
	}
	return fmt.Sprintf("Nothing answers at %s: a firewall drops port %s, a router does not forward it, or the computer is off.", e.Peer, port)
}

func (e *Evidence) fixControlTimeout(f Finding) []Fix {
	switch {
	case e.cutOff():
		return []Fix{
			e.advice(ClientNetwork, "Check this computer's network: cable or Wi-Fi, whether the router is on, and the router's address (default gateway) in this computer's settings."),
			e.advice(ServerComputer, "If you can reach other servers, check that the server's computer is on and has the address that it is meant to have."),
		}
	case e.absent():
		return []Fix{
			e.advice(ServerComputer, "Check that the server's computer is on, connected, and has the address that it is meant to have."),
			e.choice(ServerNetwork, "Check that the router forwards port {port} to the server's address.", forwardControl),
		}
	case f.Side == ClientNetwork:
		return []Fix{e.advice(ClientNetwork, "Let outbound TCP port {port} through your router or firewall, or use another network.")}
	}
	fixes := []Fix{
		e.choice(ServerComputer, "Let port {port} in on the server's computer.", openControl, e.firewallChoice()),
		e.choice(ServerNetwork, "Forward port {port} on the router before the server.", forwardControl),
		e.advice(ServerComputer, "Check that the server's computer is on, and that {public} is its address."),
	}
	if f.Side == ServerNetwork { // who has to act comes first
		fixes[0], fixes[1] = fixes[1], fixes[0]
	}
	return fixes
}

func (e *Evidence) sayClientFirewallOutbound(f Finding) string {
	port, dead := e.port(), e.deadPorts()
	switch {
	case e.unanswered():
		return fmt.Sprintf("Your network lets other ports out to %s, and not port %s.", e.Peer.Addr(), port)
	case f.Side == ClientComputer:
		return fmt.Sprintf("This computer's firewall lets port %s out and not %s of the same server.", port, dead)
	}
	stop, _ := e.stop()
	if stop > 2 {
		return fmt.Sprintf("Port %s answers and %s of the same server can't be reached: packets to them are lost at hop %d of %d, nearer to you than to the server. Your own network or your provider does not let them out.", port, dead, stop, e.Hops.distance())
	}
	return fmt.Sprintf("Your own network lets port %s out and not %s of the same server: packets to them are lost right after the first router.", port, dead)
}

func (e *Evidence) fixClientFirewallOutbound(f Finding) []Fix {
	if e.unanswered() {
		return nil
	}
	ports := "Let outbound TCP ports {port} and {lo}–{hi} through to {public}."
	if _, _, known := e.proposal(); !known {
		ports = "Let outbound TCP port {port} and all from 1024 on through to {public}: the server uses no range of its own."
	}
	return []Fix{
		e.advice(f.Side, ports).does(LetClientOut),
		e.advice(ServerSettings, "Or ask the server's admin for a passive range that your network lets out."),
		e.advice(ClientNetwork, "Or use another network, or SFTP, which needs one port only."),
	}
}

func (e *Evidence) sayTLSModeMismatch(Finding) string {
	if e.TLSPlain {
		return fmt.Sprintf("Port %s greets in clear, so it speaks plain FTP or explicit TLS; your program begins with TLS (implicit).", e.port())
	}
	return fmt.Sprintf("Port %s begins with TLS (implicit); your program waits for a greeting in clear, as explicit TLS and plain FTP do.", e.port())
}

func (e *Evidence) fixTLSModeMismatch(Finding) []Fix {
	if e.TLSPlain {
		return []Fix{e.advice(ClientComputer, "Choose explicit TLS: ftpes://{host}:{port}. Implicit TLS usually is on port 990.")}
	}
	return []Fix{e.advice(ClientComputer, "Choose implicit TLS: ftps://{host}:{port}. Explicit TLS usually is on port 21.")}
}

func (e *Evidence) sayNotFTP(f Finding) string {
	port := e.port()
	switch {
	case f.Side == ClientNetwork:
		return fmt.Sprintf("Something in your own network answers in place of %s, such as the sign-in page of a guest network.", e.Peer.Addr())
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
	return string(f.Verdict)
}

func (e *Evidence) fixNotFTP(f Finding) []Fix {
	switch {
	case f.Side == ClientNetwork:
		return []Fix{e.advice(ClientNetwork, "Open a web page in your browser and sign in to the network, or use another network.")}
	case e.Greeter == GreeterSSH:
		return []Fix{e.advice(ClientComputer, "Use a program for SFTP, or ask on which port FTP is offered.")}
	case e.Greeter == GreeterClosed || e.Greeter == GreeterSilent:
		return []Fix{
			e.advice(ServerComputer, "Check that the FTP server runs and has not stopped answering; restart it."),
			e.advice(ServerComputer, "Check the rules of access: /etc/hosts.allow and /etc/hosts.deny, fail2ban, the server's IP filter."),
			e.advice(ClientComputer, "Check the port number."),
		}
	}
	return []Fix{e.advice(ClientComputer, "Check the host name and the port; FTP usually is on port 21.")}
}

func (e *Evidence) sayServerSlowGreeting(Finding) string {
	if e.GreetCut {
		return fmt.Sprintf("The server begins its greeting (%q) and does not end it: it hangs, or waits for something such as a name lookup of your address.", e.Heard)
	}
	if e.Greeting.Code == 120 {
		return fmt.Sprintf("The server says that it will be ready later, and did not become so within %s: %q.", connlog.Took(e.GreetIn), e.Greeting)
	}
	return fmt.Sprintf("The server greets only after %s: usually it waits for a name lookup of your address that never ends. Programs that wait less give up.", connlog.Took(e.GreetIn))
}

func (e *Evidence) fixServerSlowGreeting(Finding) []Fix {
	if e.GreetCut {
		return []Fix{
			e.setting("Switch the lookup of clients' names off, or repair the name server that the server's computer uses.", noLookups),
			e.advice(ServerComputer, "Check the welcome text and the server's log; restart the server."),
		}
	}
	switch e.Greeting.Code {
	case 0:
		return nil
	case 120:
		return []Fix{
			e.advice(ClientComputer, "Wait as long as the server says, and try again."),
			e.advice(ServerSettings, "See the server's log for what it waits for before it takes clients."),
		}
	}
	return []Fix{
		e.setting("Switch the lookup of clients' names off, or repair the name server that the server's computer uses.", noLookups),
		e.advice(ClientComputer, "Let your program wait longer for the greeting."),
	}
}

func (e *Evidence) sayServerFull(Finding) string {
	answer := e.fullAnswer()
	switch {
	case saysFull.MatchString(answer):
		return fmt.Sprintf("The server takes no more clients: %q.", answer)
	case e.SignedIn:
		return fmt.Sprintf("The server ends the session right after the sign-in: %q.", answer)
	}
	return fmt.Sprintf("The server takes nobody in at the moment: %q.", answer)
}

// fullAnswer is the reply by which the server sends clients away.
func (e *Evidence) fullAnswer() string {
	return cmp.Or(failing(e.Greeting), failing(e.Pass), failing(e.User), failing(e.LostText), failing(e.firstMove().Answer))
}

func (e *Evidence) fixServerFull(Finding) []Fix {
	if !saysFull.MatchString(e.fullAnswer()) {
		return []Fix{
			e.advice(ClientComputer, "Wait and try again."),
			e.advice(ServerSettings, "See the server's log for why it sends clients away: maintenance, a timeout, a limit."),
		}
	}
	return []Fix{
		e.advice(ClientComputer, "Wait and try again; close other connections to this server, and transfer fewer files at once."),
		e.setting("Raise the limit of clients.", moreClients),
	}
}
