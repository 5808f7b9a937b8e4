package connlog

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// Sentence says in one line what the record says, for the side whose record it is, and for everything that opens a
// channel what a firewall on either side sees. A command or reply is given as it was on the wire.
func Sentence(r Record) string {
	r = r.clean()
	me, other := r.Side, r.Side.Other()
	switch r.Event {
	case Listening:
		return fmt.Sprintf("The server is waiting for clients at %s.", r.Addr)
	case Stopped:
		return "The server has stopped."
	case ServerFault:
		return sentenceErr("The server has a problem", r.Err)

	case ControlDialing:
		return fmt.Sprintf("You are opening the control channel to %s: outbound for your firewall, inbound for the server's.", hostAddr(r.Host, r.To))
	case ControlOpened:
		if me == Client {
			return fmt.Sprintf("You opened the control channel from %s to %s: outbound for your firewall, inbound for the server's.", addr(r.From), addr(r.To))
		}
		return fmt.Sprintf("The client opened the control channel from %s to %s: inbound for your firewall, outbound for the client's.", addr(r.From), addr(r.To))
	case Greeted:
		return fmt.Sprintf("The server greets: %s.", quoted(r.Software))
	case ControlFailed:
		c := Channel{ChannelKey: ChannelKey{SessionKey{me, r.Session}, 0}, Kind: Control, Reason: r.Reason, Err: r.Err,
			Reply: r.Reply, Host: r.Host, To: r.To, Server: r.To, Initiator: Client}
		return flat(c.controlFailure(hostAddr(r.Host, r.To)))
	case ControlTLS:
		return fmt.Sprintf("The control channel is protected by %s from here on.", joinNonEmpty(", ", r.TLS, r.Cipher))
	case SignedIn:
		if me == Client {
			return fmt.Sprintf("You are signed in as %s.", r.User)
		}
		return fmt.Sprintf("The client signed in as %s.", r.User)
	case SignInRefused:
		if me == Client {
			return fmt.Sprintf("The server refused to sign you in as %s: %s.", r.User, quoted(r.Reply))
		}
		return fmt.Sprintf("You refused to sign the client in as %s.", r.User)
	case ControlClosed:
		c := Channel{ChannelKey: ChannelKey{SessionKey{me, r.Session}, 0}, Reason: r.Reason, By: r.By, Err: r.Err, Reply: r.Reply}
		return "The control channel has ended. " + Text(c.controlEnd())

	case PassiveOffered:
		if me == Client {
			s := fmt.Sprintf("The server offers passive mode at %s in answer to %s: you open the data channel (outbound for your firewall, inbound for the server's).", addr(r.To), r.Command)
			if r.Advertised.IsValid() && r.Advertised.Addr() != r.To.Addr() {
				s += fmt.Sprintf(" Its reply named %s, which is not where the control channel goes, so %s is used.", addr(r.Advertised), ipText(r.To))
			}
			return s
		}
		return fmt.Sprintf("You offered passive mode at %s in answer to %s: the client opens the data channel (inbound for your firewall, outbound for the client's).", addr(r.To), r.Command)
	case ActiveRequested:
		if me == Client {
			return fmt.Sprintf("You asked for active mode and named %s: the server opens the data channel (inbound for your firewall, outbound for the server's).", addr(r.To))
		}
		return fmt.Sprintf("The client asked for active mode and named %s: you open the data channel (outbound for your firewall, inbound for the client's).", addr(r.To))
	case ActiveRefused, PassiveRefused:
		mode := Passive
		if r.Event == ActiveRefused {
			mode = Active
		}
		return fmt.Sprintf("%s refused %s mode: %s.", Capital(you(Server, me)), mode, quoted(joinNonEmpty(" ", r.Reply, r.Err)))
	case DataDialing:
		return fmt.Sprintf("You are opening the data channel to %s (%s mode): outbound for your firewall, inbound for %s.", addr(r.To), r.Mode, possessive(other))
	case DataOpened:
		return dataOpened(r)
	case DataTLS:
		if r.Resumed {
			return fmt.Sprintf("The data channel is protected by %s and resumed the control channel's TLS session.", r.TLS)
		}
		return fmt.Sprintf("The data channel is protected by %s.", r.TLS)
	case DataProgress:
		return fmt.Sprintf("The data channel has carried %s so far.", Bytes(r.Bytes))
	case DataClosed:
		return fmt.Sprintf("The data channel carried %s, %s in %s, and was closed.", cargo(r.Command), Bytes(r.Bytes), Took(r.Duration))
	case DataFailed:
		switch {
		case r.Reason == ReasonNotTaken && r.From.IsValid():
			return "The data channel was closed again: nothing had to go through it."
		case r.Reason == ReasonNotTaken:
			return "The offer of a data channel was taken back: nobody used it."
		}
		return dataFailed(r.channel().meant())
	case OfferExpired:
		if r.Reason == ReasonNotTaken || r.Reason == ReasonRangeFull {
			return fmt.Sprintf("The offer of port %s was taken back: %s.", port(r.To), cmp.Or(r.Err, "nobody used it"))
		}
		return fmt.Sprintf("The offer of port %s has run out: no connection came from the client's address (inbound for your firewall, outbound for the client's).", port(r.To))
	case StrangerRefused:
		return fmt.Sprintf("A connection from %s came to the data port %s and was closed: it didn't come from the other end of the control channel. The wait goes on.", addr(r.From), port(r.To))
	case PortsExhausted:
		s := "Every port of the passive range is taken, so no port could be offered."
		if len(r.Holders) > 0 {
			s += " Taken by " + strings.Join(r.Holders, "; ") + "."
		}
		return s
	case ModeChanged:
		return joinNonEmpty(" ", fmt.Sprintf("Portside goes on in %s mode.", r.Mode), Ended(r.Err))
	case CommandSent:
		return r.Command
	case ReplySent:
		return r.Reply
	}
	return joinNonEmpty(" ", string(r.Event), r.Command, r.Reply, r.Err)
}

func dataOpened(r Record) string {
	mode := string(r.Mode)
	switch {
	case r.Initiator == r.Side:
		verb := "opened"
		if r.Side == Server {
			verb = "dialled back and opened"
		}
		return fmt.Sprintf("You %s the data channel from %s to %s (%s mode): outbound for your firewall, inbound for %s.", verb, addr(r.From), addr(r.To), mode, possessive(r.Side.Other()))
	case r.Side == Client:
		return fmt.Sprintf("The server dialled back to you and opened the data channel from %s to %s (%s mode): inbound for your firewall, outbound for the server's.", addr(r.From), addr(r.To), mode)
	}
	return fmt.Sprintf("The client opened the data channel from %s to %s (%s mode): inbound for your firewall, outbound for the client's.", addr(r.From), addr(r.To), mode)
}

// dataFailed says what happened. Why, and what to do about it, is for the channel's explanation: the session's other
// records decide that, which a single one doesn't know.
func dataFailed(c Channel) string {
	if c.Mode == Passive && c.Side == Server && c.Reason == ReasonTimeout && c.Opened.IsZero() {
		return "The data channel failed: no connection came from the client's address (inbound for your firewall, outbound for the client's)."
	}
	head := "The data channel failed. "
	switch c.Reason {
	case ReasonCancelled, ReasonQuit, ReasonKicked, ReasonStopping:
		head = "The data channel has ended. "
	}
	return head + Text(c.dataFailure()[0])
}

// channel returns what the record alone says of its data channel.
func (r Record) channel() Channel {
	c := Channel{ChannelKey: ChannelKey{SessionKey{r.Side, r.Session}, r.Conn}, Kind: Data, Mode: r.Mode,
		Initiator: r.Initiator, From: r.From, To: r.To, State: Failed, Bytes: r.Bytes, Reply: r.Reply, By: r.By,
		Reason: r.Reason, Err: r.Err, Command: r.Command, Ended: r.Time}
	// A record alone doesn't say whether the connection was open; what stopped it does, and who came is known only when
	// somebody did.
	switch {
	case r.Reason == ReasonStalled, r.Reason == ReasonTLS, r.Bytes > 0, r.From.IsValid() && r.Event == DataFailed:
		c.Opened = r.Time
	case r.Duration > 0 && r.Initiator == r.Side:
		c.Dialled = r.Time.Add(-r.Duration)
	case r.Duration > 0:
		c.Started = r.Time.Add(-r.Duration)
	}
	return c
}

func hostAddr(host string, ap netip.AddrPort) string {
	if !ap.IsValid() {
		return host
	}
	if host == "" || host == ipText(ap) {
		return addr(ap)
	}
	return host + " (" + addr(ap) + ")"
}

func flat(paragraphs [][]Span) string {
	var out []string
	for _, p := range paragraphs {
		out = append(out, Text(p))
	}
	return strings.Join(out, " ")
}

func sentenceErr(what, err string) string {
	if err == "" {
		return what + "."
	}
	return what + ": " + quoted(err) + "."
}
