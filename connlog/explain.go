package connlog

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Explanation is a channel in words.
type Explanation struct {
	Title      []Span
	Paragraphs [][]Span
	Dialogue   []Line // the commands and replies that belong to the channel
}

// String returns the explanation as plain text, the dialogue after it.
func (e Explanation) String() string {
	lines := []string{Text(e.Title)}
	for _, p := range e.Paragraphs {
		lines = append(lines, Text(p))
	}
	for _, l := range e.Dialogue {
		sign := " > "
		if l.By == Server {
			sign = " < "
		}
		lines = append(lines, l.Time.Format("15:04:05.000")+sign+l.Text)
	}
	return strings.Join(lines, "\n")
}

// Label returns the channel in one line, as it stands over its arrow: "Data · active · the server opened it ·
// 18.4 MiB download".
func (c Channel) Label() string {
	c = c.meant()
	parts := []string{Capital(string(c.Kind))}
	if c.Mode != "" {
		parts = append(parts, string(c.Mode))
	}
	parts = append(parts, c.opener())
	if c.Kind == Control {
		if c.TLS != "" {
			parts = append(parts, c.TLS)
		} else if (c.State == Open || c.State == Closed) && !c.Opened.IsZero() {
			parts = append(parts, "in clear")
		}
	} else if l := load(c.Command, c.Bytes, c.State != Closed); l != "" && c.State != Withdrawn {
		parts = append(parts, l)
	}
	switch {
	case c.State == Failed:
		parts = append(parts, trouble(c.Reason))
	case c.State == Closed && c.Kind == Control:
		parts = append(parts, c.closed())
	}
	return strings.Join(parts, " · ")
}

// opener says who opened the channel, or was to: "you opened it", "the server tried to open it".
func (c Channel) opener() string {
	who := you(c.Initiator, c.Side)
	if c.Initiator == "" {
		return "not opened"
	}
	are := "is"
	if who == "you" {
		are = "are"
	}
	switch {
	case c.State == Failed && c.Opened.IsZero() && (c.Reason == ReasonRejected || c.Reason == ReasonPolicy || c.Reason == ReasonRangeFull):
		return "nobody opened it"
	case c.State == Offered:
		return "waiting for " + who
	case c.State == Dialing:
		return who + " " + are + " opening it"
	case c.State == Withdrawn:
		return "not used"
	case c.State == Failed && c.Opened.IsZero() && !c.tried():
		return who + " never opened it"
	case c.State == Failed && c.Opened.IsZero():
		return who + " tried to open it"
	}
	return who + " opened it"
}

// tried says that this side knows of an attempt: its own dial, or one that was answered with no.
func (c Channel) tried() bool {
	switch c.Reason {
	case ReasonRefused, ReasonUnreachable, ReasonReset, ReasonRejected, ReasonPolicy:
		return true
	}
	return c.Initiator == c.Side || !c.Dialled.IsZero()
}

func (c Channel) closed() string {
	switch c.Reason {
	case ReasonQuit:
		return "signed off"
	case ReasonLost, ReasonReset, ReasonIdle, ReasonStopping:
		return trouble(c.Reason)
	}
	if c.By != "" {
		return you(c.By, c.Side) + " closed it"
	}
	return "closed"
}

// patience is how long a dial or a wait has to be for its end to mean that nothing came: Linux has sent the first packet
// of a connection twice by then.
const patience = 2 * time.Second

// inVain says that this side dialled, or a server waited for its client's dial, and that the other side gave up before
// the channel stood.
func (c Channel) inVain() bool {
	began := c.Dialled
	if c.Side == Server && c.Mode == Passive {
		began = c.Started
	}
	return c.Kind == Data && c.State == Failed && c.Opened.IsZero() && !began.IsZero() && c.By == c.Side.Other() &&
		(c.Reason == ReasonCancelled || c.Reason == ReasonLost || c.Reason == ReasonQuit) && c.Ended.Sub(began) >= patience
}

// meant takes "425 Can't open data connection" (RFC 959) for what it says: somebody tried, and the connection never
// came. A dial that the other side waited for in vain is one that got no answer, too.
func (c Channel) meant() Channel {
	if c.inVain() {
		c.Reason = ReasonTimeout
	}
	if c.Kind == Data && c.State == Failed && c.Opened.IsZero() && c.Reason == ReasonRejected && moves(c.Command) && strings.HasPrefix(c.Reply, "425") {
		c.Reason = ReasonTimeout
	}
	return c
}

// Explain puts the channel into words for the side whose record it is: who opened it, from where to where, why, what
// the firewalls at both ends saw, what it carried, how it ended, and what can be changed when it didn't work.
func (c Channel) Explain() Explanation {
	c = c.meant()
	e := Explanation{Title: c.title(), Dialogue: c.Dialogue}
	if c.Kind == Control {
		e.Paragraphs = c.explainControl()
	} else {
		e.Paragraphs = c.explainData()
	}
	return e
}

func (c Channel) title() []Span {
	head := Capital(string(c.Kind))
	if c.Mode != "" {
		head += " · " + string(c.Mode)
	}
	opener := Span{c.opener(), OpenedByClient}
	if c.Initiator == Server {
		opener.Style = OpenedByServer
	}
	if c.State == Failed {
		return []Span{{head + " · ", Strong}, {trouble(c.Reason), Bad}, {" · ", Strong}, opener}
	}
	return []Span{{head + " · ", Strong}, opener}
}

func (c Channel) explainControl() [][]Span {
	var out [][]Span
	server := addr(c.ServerEnd())
	if c.Host != "" && c.Host != ipText(c.Server) {
		server = c.Host + " (" + server + ")"
	}
	switch {
	case c.State == Failed && c.Opened.IsZero():
		out = append(out, c.controlFailure(server)...)
		return out
	case c.State == Dialing:
		out = append(out, spans(Plain, "You are opening the control channel to %s. Every command and reply goes over it; each listing and file gets a data channel of its own.", server))
		return out
	case c.Opened.IsZero():
		out = append(out, spans(Plain, "%s opened the control channel. This log does not go back to its beginning.", Capital(you(Client, c.Side))))
	case c.Side == Client:
		out = append(out, spans(Plain, "You opened the control channel, from this computer's port %s to %s. Every command and reply goes over it; each listing and file gets a data channel of its own.", port(c.From), server))
	default:
		out = append(out, spans(Plain, "The client opened the control channel, from %s to this computer's port %s. Every command and reply goes over it; each listing and file gets a data channel of its own.", addr(c.From), port(c.To)))
	}
	if !c.Opened.IsZero() {
		f, args := firewalls(Client, c.Side, c.ServerEnd())
		out = append(out, spans(Plain, f, args...))
	}
	switch {
	case c.TLS != "":
		out = append(out, spans(Muted, "It is protected by %s.", joinNonEmpty(", ", c.TLS, c.Cipher)))
	case c.State != Failed && !c.Opened.IsZero():
		out = append(out, spans(Muted, "It is in clear: anyone on the way can read commands, names and the password. FTP over TLS protects both channels."))
	}
	if c.State == Failed {
		out = append(out, c.controlFailure(server)...)
	}
	if c.State == Closed {
		out = append(out, c.controlEnd())
	}
	if c.Reply != "" && c.User == "" && c.State != Failed {
		out = append(out, spans(Plain, "Signing in was refused: `%s`.", quoted(c.Reply)))
	}
	return out
}

func (c Channel) controlEnd() []Span {
	who := Capital(you(c.By, c.Side))
	if c.By == "" {
		who = "One side"
	}
	switch c.Reason {
	case ReasonQuit:
		return spans(Plain, "%s signed off, and the channel was closed in good order.", who)
	case ReasonIdle:
		return spans(Plain, "%s closed it because nothing had happened on it for too long.", who)
	case ReasonKicked:
		return spans(Plain, "%s ended the session.", who)
	case ReasonStopping:
		return spans(Plain, "It was closed because the server was stopped.")
	case ReasonLost, ReasonReset:
		return spans(Plain, "It was lost without a word: the other program ended, the network went away, or a router on the way forgot the connection.")
	case ReasonPolicy:
		return spans(Plain, "%s closed it by a rule: %s.", who, quoted(cmp.Or(c.Err, c.Reply)))
	}
	if c.Err != "" {
		return spans(Plain, "%s closed it: %s.", who, quoted(c.Err))
	}
	if c.Reply != "" {
		return spans(Plain, "%s closed it: `%s`.", who, quoted(c.Reply))
	}
	return spans(Plain, "%s closed it.", who)
}

func (c Channel) controlFailure(server string) [][]Span {
	p := func(format string, args ...string) [][]Span { return [][]Span{spans(Plain, format, args...)} }
	switch c.Reason {
	case ReasonUnknownHost:
		return p("Nothing was opened: the name `%s` could not be found. Check how it is spelled; if it is right, this computer's name service (DNS) doesn't know it.", c.Host)
	case ReasonRefused:
		return p("You tried to open the control channel to %s and were turned away at once: no program accepts connections there, or a firewall rejects them. Something at this address answers, so it leads somewhere. **Check the port**, and that the FTP server is running.", server)
	case ReasonTimeout:
		return p("You tried to open the control channel to %s and nothing answered. Silence means that a firewall in front of the server doesn't let the port in, that a router there doesn't forward it, that your own network doesn't let it out, or that the computer is off.", server)
	case ReasonUnreachable:
		return p("You tried to open the control channel to %s, and the network says that it can't be reached: %s. This computer is not connected, or a router on the way has no way there or forbids it.", server, quoted(c.Err))
	case ReasonNotFTP:
		return p("Something answers at %s, but it doesn't speak FTP: %s.", server, quoted(c.Err))
	case ReasonTLS:
		return p("The control channel was opened, but it could not be protected with TLS: %s.", quoted(c.Err))
	case ReasonCancelled:
		return p("You cancelled before the control channel to %s was ready.", server)
	}
	if c.Reply != "" {
		return p("The server at %s turned you away: `%s`.", server, quoted(c.Reply))
	}
	return p("The control channel to %s failed: %s.", server, quoted(c.Err))
}

func (c Channel) explainData() [][]Span {
	var out [][]Span
	switch c.State {
	case Failed:
		out = append(out, c.how())
		out = append(out, c.dataFailure()...)
	case Withdrawn:
		out = append(out, c.how())
		switch {
		case !c.Opened.IsZero():
			out = append(out, spans(Plain, "It was closed again before anything went through it. That is normal: clients that copy many files open the next data channel before they know that they need it."))
		case c.Reason == ReasonRangeFull:
			out = append(out, c.takenBack())
		case c.missed():
			out = append(out, spans(Plain, "The offer was taken back after %s, and nobody had come. Clients often ask for a port and then change their mind. But **if this client can't list a folder, then its dial did not arrive here.**", Took(c.Ended.Sub(c.Started))), c.whyNobodyComes())
		default:
			out = append(out, spans(Plain, "The offer was taken back before anybody used it. That is normal: %s", c.withdrawnWhy()))
		}
	case Offered, Dialing:
		out = append(out, c.how())
		f, args := firewalls(c.Initiator, c.Side, c.To)
		out = append(out, spans(Plain, f, args...))
	default:
		out = append(out, c.how())
		f, args := firewalls(c.Initiator, c.Side, c.To)
		if c.Initiator != c.Side {
			f += " It got through."
		}
		out = append(out, spans(Plain, f, args...))
		out = append(out, c.outcome())
		out = append(out, c.aside())
	}
	if c.Advertised.IsValid() && c.Advertised.Addr() != c.To.Addr() {
		out = append(out, spans(Plain, "The server's reply named `%s`. Portside dialled %s instead, the address that the control channel already reaches.%s",
			addrText(c.Advertised), ipText(c.To), privateNote(c.Advertised.Addr())))
	}
	if len(c.Strangers) > 0 && !c.elsewhere() {
		out = append(out, spans(Bad, "%s", fmt.Sprintf("A stranger also came to this port and was turned away (%s): only the other end of the control channel may use it.", c.strangers())))
	}
	return out
}

func (c Channel) strangers() string {
	var from []string
	for _, s := range c.Strangers {
		from = append(from, addrText(s))
	}
	return strings.Join(from, ", ")
}

// elsewhere says that somebody came to a passive port from another address than the client's, and the client itself never
// did: as a rule it is the client, by another way.
func (c Channel) elsewhere() bool {
	return c.Side == Server && c.Mode == Passive && len(c.Strangers) > 0 && c.State == Failed && c.Opened.IsZero() && c.Reason == ReasonTimeout
}

// missed says that a passive port was offered for long enough to dial it, and that the client asked for another instead.
func (c Channel) missed() bool {
	return c.State == Withdrawn && c.Opened.IsZero() && c.Side == Server && c.Mode == Passive && c.Ended.Sub(c.Started) >= patience
}

func privateNote(a netip.Addr) string {
	if Private(a) {
		return " The one in the reply is a private address, which means nothing outside the server's own network: the server's Passive IP, the address that it names to clients, isn't set."
	}
	return ""
}

// takenBack says why the port of an offer went to another client.
func (c Channel) takenBack() []Span {
	return spans(Plain, "You took the offer back: %s. All ports of your passive range were offered, and nobody had come to this one yet. **A larger range** helps.", quoted(c.Err))
}

func (c Channel) withdrawnWhy() string {
	switch {
	case c.Side == Server:
		return "clients often ask for a port and then change their mind."
	case c.Err != "":
		return c.Err + "."
	}
	return "another way was used instead."
}

// how says how the channel came about: who asked for which mode with which command, and who dialled whom.
func (c Channel) how() []Span {
	offer := c.Offer
	if offer == "" {
		offer = "its command"
	}
	opened := !c.Opened.IsZero()
	switch {
	case c.Mode == Active && !opened && !moves(c.Command) && (c.Reason == ReasonRejected || c.Reason == ReasonPolicy):
		return spans(Plain, "%s asked for active mode (`%s`).", Capital(you(Client, c.Side)), offer)
	case c.Mode == Passive && c.Side == Client && (c.Reason == ReasonRejected && !opened && !c.To.IsValid()):
		return spans(Plain, "You asked for passive mode (`%s`).", offer)
	case c.Mode == Passive && c.Side == Client && opened:
		return spans(Plain, "You asked for passive mode (`%s`), and the server named its port %s. Then **you opened** the data channel, from this computer's port %s to %s.", offer, port(c.To), port(c.From), addr(c.To))
	case c.Mode == Passive && c.Side == Client:
		return spans(Plain, "You asked for passive mode (`%s`), and the server named its port %s: **you open** the data channel, from this computer to %s.", offer, port(c.To), addr(c.To))
	case c.Mode == Passive && opened:
		return spans(Plain, "The client asked for passive mode (`%s`), and you offered port %s. Then **the client opened** the data channel, from %s to %s.", offer, port(c.To), addr(c.From), addr(c.To))
	case c.Mode == Passive && !c.To.IsValid():
		return spans(Plain, "The client asked for passive mode (`%s`).", offer)
	case c.Mode == Passive:
		return spans(Plain, "The client asked for passive mode (`%s`), and you told it to come to %s: **the client opens** the data channel.", offer, addr(c.To))
	case c.Side == Client && opened:
		return spans(Plain, "You asked for active mode (`%s`), so **the server dialled back** to this computer, from its port %s to your port %s.", offer, port(c.From), port(c.To))
	case c.Side == Client:
		return spans(Plain, "You asked for active mode (`%s`): **the server dials back** to this computer, to your port %s.", offer, port(c.To))
	case opened:
		return spans(Plain, "The client asked for active mode (`%s`), so **you dialled back**, from your port %s to %s.", offer, port(c.From), addr(c.To))
	}
	return spans(Plain, "The client asked for active mode (`%s`): **you dial back** to %s.", offer, addr(c.To))
}

// outcome says what the channel carried and how it ended.
func (c Channel) outcome() []Span {
	protected := "in clear"
	if c.TLS != "" {
		protected = "protected by " + c.TLS
		if c.Resumed {
			protected += ", which resumed the control channel's TLS session"
		}
	}
	what := cargo(c.Command)
	if c.State == Open {
		if c.Bytes == 0 {
			return spans(Plain, "It is open for %s, %s.", what, protected)
		}
		return spans(Plain, "It is carrying %s, %s so far, %s.", what, Bytes(c.Bytes), protected)
	}
	return spans(Plain, "It carried %s, %s in %s, %s, and was closed in good order.", what, Bytes(c.Bytes), Took(c.Duration), protected)
}

// aside says what the other mode would have meant.
func (c Channel) aside() []Span {
	switch {
	case c.Mode == Active && c.Side == Client && c.OtherFailed:
		return spans(Muted, "In passive mode this arrow would start on your side and need an open port on the server's side instead. That failed before in this session.")
	case c.Mode == Active && c.Side == Client:
		return spans(Muted, "In passive mode this arrow would start on your side and need an open port on the server's side instead. Passive is the safer choice when you don't control your router or firewall.")
	case c.Mode == Active:
		return spans(Muted, "In passive mode this arrow would start at the client and need one of your passive ports to be open. Most clients sit behind a router that stops active mode.")
	case c.Side == Client:
		return spans(Muted, "In active mode this arrow would start at the server, and your own firewall would have to let it in.")
	}
	return spans(Muted, "In active mode this arrow would start at your computer, and the client's firewall would have to let it in. Most don't.")
}

func (c Channel) dataFailure() [][]Span {
	if !c.Opened.IsZero() {
		return [][]Span{c.broke()}
	}
	switch c.Reason {
	case ReasonCancelled:
		return [][]Span{spans(Plain, "It was cancelled before the channel was open.")}
	case ReasonLocal:
		return [][]Span{spans(Plain, "It failed on this computer: %s.", quoted(c.Err))}
	case ReasonNotTaken, ReasonQuit, ReasonKicked, ReasonStopping, ReasonLost:
		return [][]Span{spans(Plain, "The session ended before the channel was open.")}
	}
	if c.Reason == ReasonRejected && moves(c.Command) { // the mode was granted, so its own refusals don't fit
		return [][]Span{spans(Plain, "%s refused the transfer: `%s`. So the data channel was not opened. Most likely that is about the file, the folder or the user's rights, not about a firewall.", Capital(you(Server, c.Side)), quoted(c.Reply))}
	}
	switch {
	case c.Mode == Passive && c.Side == Client:
		return c.passiveFailureAtClient()
	case c.Mode == Passive:
		return c.passiveFailureAtServer()
	case c.Side == Client:
		return c.activeFailureAtClient()
	}
	return c.activeFailureAtServer()
}

// broke explains a channel that stood and then ended badly.
func (c Channel) broke() []Span {
	sofar := Bytes(c.Bytes) + " of " + cargo(c.Command)
	switch c.Reason {
	case ReasonCancelled:
		return spans(Plain, "The channel was open, and the transfer was cancelled after %s.", sofar)
	case ReasonStalled:
		return spans(Plain, "The channel was open, and after %s nothing moved any more. A router or firewall that loses the connection, or packets too large for a link on the way, look like this.", sofar)
	case ReasonTLS:
		return spans(Plain, "The channel was open, but its TLS handshake failed: %s. The firewalls let the connection through. Some servers insist that the data channel resumes the control channel's TLS session.", quoted(c.Err))
	case ReasonLocal:
		return spans(Plain, "The channel worked, and then this computer failed after %s: %s.", sofar, quoted(c.Err))
	case ReasonStopping, ReasonKicked:
		return spans(Plain, "The channel worked, and was ended with the session after %s.", sofar)
	case ReasonRejected:
		return spans(Plain, "The channel was open, and then %s said no: `%s`. No firewall did that.", you(Server, c.Side), quoted(c.Reply))
	case ReasonTimeout:
		return spans(Plain, "The channel was open, but nobody used it in time.")
	case ReasonPolicy:
		return spans(Plain, "The channel was open, and %s closed it by a rule: %s.", you(Server, c.Side), quoted(c.Err))
	}
	who := "the other side"
	if c.By != "" {
		who = you(c.By, c.Side)
	}
	if c.Err == "" {
		return spans(Plain, "The channel was open, and was cut by %s after %s.", who, sofar)
	}
	return spans(Plain, "The channel was open, and was cut by %s after %s: %s.", who, sofar, quoted(c.Err))
}

func (c Channel) passiveFailureAtClient() [][]Span {
	p := port(c.To)
	switch c.Reason {
	case ReasonRejected:
		return [][]Span{
			spans(Plain, "The server said no: `%s`. Nothing was dialled, so no firewall was asked: this is the server's own setting, or all its passive ports are taken.", quoted(c.Reply)),
			c.tryActive(),
		}
	case ReasonTimeout, ReasonUnreachable:
		what := "Nothing answered"
		if c.Reason == ReasonUnreachable {
			what = "The network said that this port can't be reached"
		}
		out := [][]Span{
			spans(Plain, what+". The control channel to the same server works, so the server is up and can be reached. To your firewall this dial was **outbound**; to the server's it was **inbound**."),
			spans(Plain, "**The server's side has to change:** its firewall must let in the ports that it names in passive mode (TCP %s is one of them), and a router in front of it must forward them. If other FTP servers fail in the same way, your own network may not let such ports out.", p),
			c.tryActive(),
		}
		if Private(c.To.Addr()) && c.Server.IsValid() && !Private(c.Server.Addr()) {
			out = append(out, spans(Plain, "The server told you a private address, %s, which only its own network can reach: its **Passive IP** must be set to its public address.", ipText(c.To)))
		}
		return out
	case ReasonRefused:
		return [][]Span{
			spans(Plain, "You were turned away at once: nobody accepts at %s. A firewall on the server's side rejects the port, its router sends it to another computer, or the server gave up waiting.", addr(c.To)),
			spans(Plain, "**The server's side has to change:** let in the ports that it names in passive mode (TCP %s is one of them), and forward them to the server where a router is in front of it.", p),
			c.tryActive(),
		}
	}
	return [][]Span{spans(Plain, "The data channel could not be opened: %s.", quoted(c.Err))}
}

func (c Channel) tryActive() []Span {
	if c.OtherFailed {
		return spans(Muted, "Active mode failed in this session, too.")
	}
	return spans(Muted, "Meanwhile active mode may work: the server opens the data channel, and your firewall must let that in.")
}

func (c Channel) passiveFailureAtServer() [][]Span {
	p := port(c.To)
	switch c.Reason {
	case ReasonRejected:
		if len(c.Holders) > 0 {
			return [][]Span{
				spans(Plain, "You had no port to offer: **every port of your passive range is taken**. Taken by %s.", strings.Join(c.Holders, "; ")),
				spans(Plain, "Make the range larger, and open the new ports in your firewall and router as well."),
			}
		}
		return [][]Span{spans(Plain, "You said no: `%s`.", quoted(c.Reply))}
	case ReasonRangeFull:
		return [][]Span{c.takenBack()}
	case ReasonTimeout:
		if c.elsewhere() {
			return [][]Span{
				spans(Plain, "**The client never came from its own address**, %s. A connection came from %s instead and was turned away: only the other end of the control channel may use this port.", ipText(c.Client), c.strangers()),
				spans(Plain, "Most likely it was the same client: **its network, a proxy or a VPN uses more than one public address.** Their side has to change: let all connections to you leave by one address."),
			}
		}
		if c.To.IsValid() && Private(c.To.Addr()) && c.Client.IsValid() && !Private(c.Client.Addr()) && strings.EqualFold(c.Offer, "PASV") {
			return [][]Span{
				spans(Plain, "**The client never came.** You told it to come to %s, a private address of your own network, and it comes from outside: it can't get there.", addr(c.To)),
				spans(Plain, "**Your side has to change:** set your Passive IP to your public address or host name, and forward TCP port %s (the whole passive range) in your router.", p),
			}
		}
		return [][]Span{
			spans(Plain, "**The client never came.** Its dial would have been **inbound** to your firewall."),
			c.whyNobodyComes(),
		}
	}
	if c.Err == "" {
		return [][]Span{spans(Plain, "The client did not open the data channel (%s).", trouble(c.Reason))}
	}
	return [][]Span{spans(Plain, "The data channel could not be opened: %s.", quoted(c.Err))}
}

// whyNobodyComes says what keeps a client from a passive port: by where its control channel comes from.
func (c Channel) whyNobodyComes() []Span {
	near := "**Your firewall or router** most likely doesn't let TCP port %s in: open your whole passive range there, the ports that you offer for data channels. If clients from other places get through, this client's own network doesn't let the port out."
	if c.Client.IsValid() && Private(c.Client.Addr()) {
		near = "The client is on a network of your own, so no router of yours has to forward anything: either **this computer's firewall** doesn't let TCP port %s in (open your whole passive range, the ports that you offer for data channels), or the client's own firewall doesn't let it out, or the client changed its mind."
	}
	return spans(Plain, near, port(c.To))
}

func (c Channel) activeFailureAtClient() [][]Span {
	usePassive := spans(Plain, "**Use passive mode**, where you open the data channel yourself. Or let TCP port %s in at your firewall and forward it in your router.", port(c.To))
	if c.OtherFailed {
		usePassive = spans(Plain, "Passive mode failed in this session, too, so **one mode has to be made to work**: passive mode on the server's side, or active mode on yours, by letting TCP port %s in at your firewall and router.", port(c.To))
	}
	switch c.Reason {
	case ReasonRejected:
		out := [][]Span{spans(Plain, "The server said no: `%s`. Nothing was dialled.", quoted(c.Reply))}
		if Private(c.To.Addr()) && c.Server.IsValid() && !Private(c.Server.Addr()) {
			out = append(out, spans(Plain, "You told it to come to %s, which is a private address behind your router: the server sees another one and can't use yours.", ipText(c.To)))
		} else {
			out = append(out, spans(Plain, "Many servers don't do active mode, or only to the address that they see you come from."))
		}
		if c.OtherFailed {
			return append(out, spans(Plain, "Passive mode failed in this session, too: **the server's side has to mend that.**"))
		}
		return append(out, spans(Plain, "**Use passive mode.**"))
	case ReasonTimeout:
		never := spans(Plain, "**The server's connection never arrived.** To your firewall it would have been **inbound**, and most firewalls and home routers stop that.")
		if c.Reply != "" {
			never = append(never, spans(Plain, " The server says: `%s`.", quoted(c.Reply))...)
		}
		out := [][]Span{never}
		if Private(c.To.Addr()) && c.Server.IsValid() && !Private(c.Server.Addr()) {
			out = append(out, spans(Plain, "You told it to come to %s, a private address behind your router: nobody gets there from outside.", ipText(c.To)))
		}
		return append(out, usePassive)
	}
	if c.Reply != "" {
		return [][]Span{spans(Plain, "The server could not open it: `%s`.", quoted(c.Reply)), usePassive}
	}
	return [][]Span{spans(Plain, "The data channel could not be opened: %s.", quoted(c.Err)), usePassive}
}

func (c Channel) activeFailureAtServer() [][]Span {
	theirs := spans(Plain, "**Their side has to change:** switch the client to passive mode, or let the connection in at their firewall and router.")
	if c.OtherFailed {
		theirs = spans(Plain, "Passive mode failed in this session, too, so **one mode has to be made to work**: passive mode on your side, by letting your passive range in at your firewall and router, or active mode on the client's, by letting its TCP port %s in.", port(c.To))
	}
	if c.To.IsValid() && Private(c.To.Addr()) && c.Client.IsValid() && !Private(c.Client.Addr()) {
		theirs = spans(Plain, "**Their side has to change:** switch the client to passive mode; or let it name its public address, and forward the port in its router.")
		if c.OtherFailed {
			theirs = spans(Plain, "Passive mode failed in this session, too: **your side has to mend that**, by letting your passive range in at your firewall and router.")
		}
		return [][]Span{
			spans(Plain, "The client told you to dial %s. That is a private address behind its router, so your computer can't reach it.", addr(c.To)),
			theirs,
		}
	}
	switch c.Reason {
	case ReasonRejected, ReasonPolicy:
		return [][]Span{spans(Plain, "You did not dial: `%s`. A server that dials any address it is told to can be used to attack others, so only the client's own address and ports from 1024 up are dialled.", quoted(joinNonEmpty(" ", c.Reply, c.Err)))}
	case ReasonTimeout, ReasonUnreachable:
		return [][]Span{
			spans(Plain, "Nothing answered. To your firewall your dial was **outbound**; to the client's it was **inbound**, and most firewalls and home routers stop that."),
			theirs,
		}
	case ReasonRefused:
		return [][]Span{spans(Plain, "You were turned away at once: the client's firewall rejects inbound connections, or the client had stopped waiting."), theirs}
	}
	return [][]Span{spans(Plain, "The data channel could not be opened: %s.", quoted(c.Err))}
}

// quoted returns a reply or an error as it stands within one of our sentences, which has a full stop of its own.
func quoted(s string) string { return strings.TrimRight(s, ". ") }

func joinNonEmpty(sep string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, sep)
}
