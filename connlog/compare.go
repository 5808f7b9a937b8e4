package connlog

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxLine bounds a line of a log file: a record is far smaller.
const maxLine = 1 << 20

// ReadJSON adds the records of a JSON log, one object a line, to the log, and returns how many there were. Lines that
// are no record are an error that names the first of them; the others are read all the same.
func (l *Log) ReadJSON(r io.Reader) (n int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var rec Record
		if bad := json.Unmarshal(lines.Bytes(), &rec); bad != nil || rec.Event == "" || rec.Side != Client && rec.Side != Server {
			if err == nil {
				err = fmt.Errorf("line %d is not a record of a connection log", number)
			}
			continue
		}
		l.Record(rec)
		n++
	}
	return n, errors.Join(err, lines.Err())
}

// ReadFile is [Log.ReadJSON] of a file. The error names the file, and says so of one without any record.
func (l *Log) ReadFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := l.ReadJSON(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n == 0 {
		return fmt.Errorf("%s holds no record of a connection log: save it as JSON lines", name)
	}
	return nil
}

// Pair is one session as both ends saw it. Of an end that left no log the session is nil.
type Pair struct {
	Client, Server *Session
	Channels       []ChannelPair
}

// ChannelPair is one channel as both ends saw it, and what the two views prove together. An end that didn't see the
// channel has nil.
type ChannelPair struct {
	Client, Server *Channel
	Together       []Span
}

// Compare pairs the sessions of clients and servers in the log: the client's record of the greeting names the server's
// session; where it doesn't, the addresses of the control connection do. Sessions without a partner come last.
func (l *Log) Compare() []Pair {
	sessions := l.Sessions()
	used := make([]bool, len(sessions))
	var pairs, alone []Pair
	for i := range sessions {
		c := &sessions[i]
		if c.Side != Client {
			continue
		}
		partner := -1
		for j := range sessions {
			s := &sessions[j]
			if s.Side != Server || used[j] {
				continue
			}
			if c.Peer != "" && c.Peer == s.ID || c.Peer == "" && c.Client.IsValid() && c.Client == s.Client && c.Server == s.Server {
				partner = j
				break
			}
		}
		if partner < 0 {
			alone = append(alone, Pair{Client: c, Channels: pairChannels(c, nil)})
			continue
		}
		used[partner] = true
		pairs = append(pairs, Pair{Client: c, Server: &sessions[partner], Channels: pairChannels(c, &sessions[partner])})
	}
	for j := range sessions {
		if sessions[j].Side == Server && !used[j] {
			alone = append(alone, Pair{Server: &sessions[j], Channels: pairChannels(nil, &sessions[j])})
		}
	}
	return append(pairs, alone...)
}

// pairChannels pairs the channels by what both ends know: mode and the port that was named, in the order of offers.
func pairChannels(c, s *Session) []ChannelPair {
	var out []ChannelPair
	var theirs []Channel
	if s != nil {
		theirs = s.Channels
	}
	used := make([]bool, len(theirs))
	if c != nil {
		for i := range c.Channels {
			a := &c.Channels[i]
			p := ChannelPair{Client: a}
			for j := range theirs {
				b := &theirs[j]
				if !used[j] && a.sameAs(b) {
					used[j], p.Server = true, b
					break
				}
			}
			out = append(out, p)
		}
	}
	for j := range theirs {
		if !used[j] {
			out = append(out, ChannelPair{Server: &theirs[j]})
		}
	}
	for i := range out {
		out[i].Together = together(out[i].Client, out[i].Server)
	}
	return out
}

// sameAs says that two views are of one channel: arranged by the same command, which named the same port or was refused.
func (c *Channel) sameAs(o *Channel) bool {
	switch {
	case c.Kind != o.Kind || c.Mode != o.Mode:
		return false
	case c.Kind == Control:
		return true
	case c.Offer != "" && o.Offer != "" && verb(c.Offer) != verb(o.Offer):
		return false
	}
	return c.denied() && o.denied() || c.named() == o.named()
}

// denied says that the server refused the command that was to arrange the channel.
func (c *Channel) denied() bool {
	return c.State == Failed && c.Opened.IsZero() && !moves(c.Command) && (c.Reason == ReasonRejected || c.Reason == ReasonPolicy)
}

// named is the port that the offer named: the server's in passive mode, the client's in active mode. A NAT that works
// for FTP keeps it.
func (c *Channel) named() uint16 { return c.To.Port() }

// together says what the two views of a channel prove that neither proves alone.
func together(c, s *Channel) []Span {
	switch {
	case c == nil && s == nil:
		return nil
	case s == nil:
		return spans(Muted, "Only the client's log has this channel.")
	case c == nil:
		return spans(Muted, "Only the server's log has this channel.")
	}
	was, is := c.meant(), s.meant()
	c, s = &was, &is
	opened := func(x *Channel) bool {
		return !x.Opened.IsZero() || x.Kind == Control && (x.State == Open || x.State == Closed) // its beginning is not in the log
	}
	moved := ""
	if c.From.IsValid() && s.From.IsValid() && c.From != s.From {
		moved = fmt.Sprintf(" The client says it came from %s, the server saw %s: a router with NAT is in between.", addrText(c.From), addrText(s.From))
	}
	if c.Kind == Data && c.Mode == Passive && c.To.IsValid() && s.To.IsValid() && c.To.Addr() != s.To.Addr() {
		if strings.EqualFold(s.Offer, "PASV") {
			moved += fmt.Sprintf(" The server named %s, the client dialled %s.", addrText(s.To), addrText(c.To))
		} else { // which names a port only
			moved += fmt.Sprintf(" The server waited at %s, the client dialled %s: a router with NAT is in between.", addrText(s.To), addrText(c.To))
		}
	}
	switch {
	case opened(c) && opened(s):
		if broke, by := c, "client"; c.State == Failed && c.Reason == ReasonTLS || s.State == Failed && s.Reason == ReasonTLS {
			if c.State != Failed || c.Reason != ReasonTLS {
				broke, by = s, "server"
			}
			return spans(Plain, "**Proved:** nothing on the way stopped the channel; the %s ended it over TLS: %s.%s", by, quoted(cmp.Or(broke.Err, string(broke.Reason))), moved)
		}
		if c.State == Failed && s.State == Closed || s.State == Failed && c.State == Closed {
			return spans(Plain, "**Proved:** the channel was open at both ends, and only one end saw it break. What was lost was lost at the end.%s", moved)
		}
		if c.Kind == Data && c.State == Closed && s.State == Closed && c.Bytes != s.Bytes {
			return spans(Bad, "The ends don't agree: the client counted %s, the server %s.%s", Bytes(c.Bytes), Bytes(s.Bytes), moved)
		}
		return spans(Good, "Both ends agree: %s opened it, and nothing stopped it.%s", "the "+string(c.Initiator), moved)
	case c.denied() && s.denied():
		return spans(Plain, "Both ends agree: the server refused the client's %s, so nothing was dialled, and nothing on the way was asked.", verb(cmp.Or(c.Offer, s.Offer)))
	case c.Kind == Control:
		return spans(Plain, "The ends don't agree on whether the control channel was open.")
	case len(s.Strangers) > 0 && c.Mode == Passive:
		return spans(Plain, "**Proved:** the client's connection arrived, but from another address (%s) than its control channel's, so the server turned it away. The client's network uses more than one public address.", addrText(s.Strangers[0]))
	case c.Mode == Passive && c.State == Failed && c.Reason == ReasonTimeout:
		return spans(Plain, "**Proved:** the client dialled %s, the server was waiting there, and nothing arrived. A firewall or router between the two drops TCP port %s: the server's side doesn't let it in, or the client's side doesn't let it out.%s", addr(c.To), port(c.To), moved)
	case c.Mode == Passive && c.State == Failed && c.Reason == ReasonRefused:
		return spans(Plain, "**Proved:** the server was waiting at port %s, and yet the client was turned away there: a firewall rejects the port, or the address leads to another computer.%s", port(s.To), moved)
	case c.Mode == Active && s.State == Failed && s.Reason == ReasonTimeout:
		return spans(Plain, "**Proved:** the server dialled %s, the client was waiting, and nothing arrived. A firewall or router between the two drops it: most likely on the client's side, where it is inbound.%s", addr(s.To), moved)
	case c.Mode == Active && s.State == Failed && s.Reason == ReasonRefused:
		return spans(Plain, "**Proved:** the client was waiting at port %s, and yet the server was turned away: a firewall on the client's side rejects it.%s", port(c.To), moved)
	case opened(c) != opened(s):
		side := "client"
		if opened(s) {
			side = "server"
		}
		return spans(Plain, "**Proved:** only the %s saw the channel open. Something in between answered in the other's place.%s", side, moved)
	}
	return spans(Muted, "Neither end saw the channel open.%s", moved)
}

// Seen is the channel as one end saw it, or as the other one did when that end has no record of it. A port that only the
// other end knows is taken over from there.
func (p ChannelPair) Seen(own Side) Channel {
	one, other := p.Client, p.Server
	if own == Server {
		one, other = other, one
	}
	if one == nil {
		return *other
	}
	c := *one
	if other == nil {
		return c
	}
	if !c.From.IsValid() || c.From.Port() == 0 {
		setAddr(&c.From, other.From)
	}
	if c.Dialled.IsZero() {
		c.Dialled = other.Dialled
	}
	if c.State == Withdrawn && other.State == Failed { // it was no change of mind
		c.State, c.Reason, c.By, c.Reply, c.Err = Failed, other.Reason, other.By, other.Reply, other.Err
	}
	return c
}

// WriteComparison writes every pair for reading: the picture as the client saw it, and for each channel what the two
// ends say and what that proves.
func (l *Log) WriteComparison(w io.Writer) error {
	bw := bufio.NewWriter(w)
	pairs := l.Compare()
	if len(pairs) == 0 {
		fmt.Fprintln(bw, "There is no session in these logs.")
	}
	for i, p := range pairs {
		if i > 0 {
			fmt.Fprintln(bw)
		}
		p.Write(bw)
	}
	return bw.Flush()
}

// Write writes one pair for reading. An error of w is w's to keep, as bufio's and strings' writers do.
func (p Pair) Write(w io.Writer) {
	shown := p.Client
	if shown == nil {
		shown = p.Server
	}
	if p.Client != nil && p.Server != nil {
		fmt.Fprintf(w, "Client session %s, server session %s\n\n", p.Client.ID, p.Server.ID)
	} else {
		fmt.Fprintf(w, "%s session %s, without the other end's log\n\n", Capital(string(shown.Side)), shown.ID)
	}
	fmt.Fprintln(w, shown.Draw())
	for _, c := range p.Channels {
		fmt.Fprintf(w, "\n%s\n", c.Seen(Client).Label())
		if c.Client != nil {
			fmt.Fprintf(w, "  Client: %s\n", words(*c.Client))
		}
		if c.Server != nil {
			fmt.Fprintf(w, "  Server: %s\n", words(*c.Server))
		}
		if len(c.Together) > 0 {
			fmt.Fprintf(w, "  Both:   %s\n", Text(c.Together))
		}
	}
}

// words returns a channel's explanation in one line.
func words(c Channel) string { return flat(c.Explain().Paragraphs) }
