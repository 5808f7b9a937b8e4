package connlog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

func printableRune(c rune) bool {
	// unicode.IsPrint is false for format characters, the bidirectional marks among them.
	return c == ' ' || unicode.IsPrint(c)
}

func escapeRune(c rune) string {
	switch {
	case c < 0x80:
		return escapeByte(byte(c))
	case c <= 0xFFFF:
		return fmt.Sprintf(`\u%04x`, c)
	}
	return fmt.Sprintf(`\U%08x`, c)
}

func escapeByte(c byte) string {
	switch c {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	return fmt.Sprintf(`\x%02x`, c)
}

// jsonRecord is the JSON form of a [Record]: one object a line. Names are fixed; more may be added.
type jsonRecord struct {
	Time       string      `json:"time"` // RFC 3339, milliseconds
	Session    string      `json:"session,omitempty"`
	Side       Side        `json:"side"`
	Event      Event       `json:"event"`
	Channel    ChannelKind `json:"channel,omitempty"`
	Conn       int         `json:"conn,omitempty"`
	Mode       Mode        `json:"mode,omitempty"`
	Initiator  Side        `json:"initiator,omitempty"`
	From       string      `json:"from,omitempty"`
	To         string      `json:"to,omitempty"`
	Advertised string      `json:"advertised,omitempty"`
	TLS        string      `json:"tls,omitempty"`
	Cipher     string      `json:"cipher,omitempty"`
	Resumed    bool        `json:"resumed,omitempty"`
	Bytes      *int64      `json:"bytes,omitempty"` // there for every data event that counts, also when it is 0
	Duration   float64     `json:"duration,omitempty"`
	Command    string      `json:"command,omitempty"`
	Reply      string      `json:"reply,omitempty"`
	User       string      `json:"user,omitempty"`
	By         Side        `json:"by,omitempty"`
	Reason     Reason      `json:"reason,omitempty"`
	Err        string      `json:"error,omitempty"`
	Addr       string      `json:"addr,omitempty"`
	Holders    []string    `json:"holders,omitempty"`
	Host       string      `json:"host,omitempty"`
	Peer       string      `json:"peer,omitempty"`
	Software   string      `json:"software,omitempty"`
	Text       string      `json:"text,omitempty"`
}

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func counts(e Event) bool { return e == DataProgress || e == DataClosed || e == DataFailed }

// MarshalJSON writes the record as one JSON object, with its sentence as "text" and the duration in seconds.
func (r Record) MarshalJSON() ([]byte, error) {
	j := jsonRecord{
		Time: r.Time.Format(timeFormat), Session: r.Session, Side: r.Side, Event: r.Event, Channel: r.Channel,
		Conn: r.Conn, Mode: r.Mode, Initiator: r.Initiator, From: addrText(r.From), To: addrText(r.To),
		Advertised: addrText(r.Advertised), TLS: r.TLS, Cipher: r.Cipher, Resumed: r.Resumed,
		Duration: r.Duration.Seconds(), Command: r.Command, Reply: r.Reply, User: r.User, By: r.By, Reason: r.Reason,
		Err: r.Err, Addr: r.Addr, Holders: r.Holders, Host: r.Host, Peer: r.Peer, Software: r.Software,
		Text: Sentence(r),
	}
	if counts(r.Event) {
		j.Bytes = &r.Bytes
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what [Record.MarshalJSON] wrote. The sentence is not read: it is made anew from the rest.
func (r *Record) UnmarshalJSON(b []byte) error {
	var j jsonRecord
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	at, err := time.Parse(timeFormat, j.Time)
	if err != nil {
		return err
	}
	*r = Record{
		Time: at, Session: j.Session, Side: j.Side, Event: j.Event, Channel: j.Channel, Conn: j.Conn, Mode: j.Mode,
		Initiator: j.Initiator, TLS: j.TLS, Cipher: j.Cipher, Resumed: j.Resumed,
		Duration: time.Duration(j.Duration * float64(time.Second)), Command: j.Command, Reply: j.Reply, User: j.User,
		By: j.By, Reason: j.Reason, Err: j.Err, Addr: j.Addr, Holders: j.Holders, Host: j.Host, Peer: j.Peer,
		Software: j.Software,
	}
	if j.Bytes != nil {
		r.Bytes = *j.Bytes
	}
	r.From, err = parseAddr(j.From)
	if err == nil {
		r.To, err = parseAddr(j.To)
	}
	if err == nil {
		r.Advertised, err = parseAddr(j.Advertised)
	}
	return err
}

// parseAddr reads what addrText wrote.
func parseAddr(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	return netip.ParseAddrPort(text)
}

func addrText(ap netip.AddrPort) string {
	if !ap.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}

// Line returns the record as a line of a text log, without the line end: time, session, and the command or reply as
// it was on the wire, or the sentence. [DataProgress] gives the empty string: a text log is for reading.
func (r Record) Line() string {
	at := r.Time.Format("15:04:05.000")
	who := r.Session
	if who == "" {
		who = string(r.Side)
	}
	switch r.Event {
	case DataProgress:
		return ""
	case CommandSent:
		return fmt.Sprintf("%s  %-10s  > %s", at, who, r.Command)
	case ReplySent:
		return fmt.Sprintf("%s  %-10s  < %s", at, who, r.Reply)
	}
	return fmt.Sprintf("%s  %-10s  %s", at, who, Sentence(r))
}

// NewTextWriter returns a [Recorder] that writes each record to w as a line ([Record.Line]), each in one Write.
func NewTextWriter(w io.Writer) Recorder {
	return &lineWriter{w: w, line: func(r Record) []byte {
		if s := r.Line(); s != "" {
			return []byte(s)
		}
		return nil
	}}
}

// NewJSONWriter returns a [Recorder] that writes each record to w as one JSON object a line, each in one Write.
func NewJSONWriter(w io.Writer) Recorder {
	return &lineWriter{w: w, line: func(r Record) []byte {
		b, err := r.MarshalJSON() // json.Marshal would read and check it once more
		if err != nil {
			return nil // can't be: a jsonRecord is made of strings and numbers
		}
		return b
	}}
}

// lineWriter writes whole lines. An error of w is not reported: a log that can't be written must not stop a transfer.
type lineWriter struct {
	mu   sync.Mutex
	w    io.Writer
	line func(Record) []byte
}

func (lw *lineWriter) Record(r Record) {
	b := lw.line(r.clean())
	if b == nil {
		return
	}
	lw.mu.Lock()
	defer lw.mu.Unlock()
	lw.w.Write(append(b, '\n'))
}

// WriteJSON writes the records that are kept as JSON, one object a line.
func (l *Log) WriteJSON(w io.Writer) error {
	bw := bufio.NewWriter(w)
	enc := json.NewEncoder(bw) // one value a line
	for _, n := range l.Records(0) {
		if err := enc.Encode(n.Record); err != nil {
			return err
		}
	}
	return bw.Flush()
}

// WriteText writes the log for reading: each session's channels as a picture with their explanations, then the
// records line by line.
func (l *Log) WriteText(w io.Writer) error {
	bw := bufio.NewWriter(w)
	fmt.Fprintf(bw, "Portside connection log, %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, s := range l.Sessions() {
		fmt.Fprintf(bw, "\n%s\n\n", s.Draw())
		for _, c := range s.Channels {
			fmt.Fprintf(bw, "%s\n\n", c.Explain())
		}
	}
	bw.WriteString("\nRecords\n\n")
	for _, n := range l.Records(0) {
		fmt.Fprintln(bw, n.Line())
	}
	return bw.Flush()
}

// Draw returns the session's channels as a picture in characters for a terminal: the client at the left, the server
// at the right, the tail "o" at the side that opened the channel, an "x" where a channel failed.
func (s Session) Draw() string {
	width := 64
	for _, c := range s.Channels {
		width = max(width, utf8.RuneCountInString(c.Label())+10)
	}
	left, right := s.names()
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s%s\n", width+10-min(8, len(right)/2), left, right)
	for _, c := range s.Channels {
		label := " " + c.Label() + " "
		dashes := width - utf8.RuneCountInString(label)
		line := strings.Repeat("-", dashes/2) + label + strings.Repeat("-", dashes-dashes/2)
		tail, head := 'o', '>'
		if c.Initiator == Server {
			head = '<'
		}
		switch c.State {
		case Failed:
			head = 'x'
		case Offered, Withdrawn:
			tail, head = '.', '.'
		}
		first, last := tail, head
		if c.Initiator == Server {
			first, last = head, tail
		}
		fmt.Fprintf(&b, "%7s %c%s%c %s\n", portText(c.ClientEnd()), first, line, last, portText(c.ServerEnd()))
	}
	return strings.TrimRight(b.String(), "\n")
}

func (s Session) names() (client, server string) {
	client, server = "Client "+ipText(s.Client), "Server "+ipText(s.Server)
	if s.Side == Client {
		client = "This computer (client) " + ipText(s.Client)
	} else {
		server = "This computer (server) " + ipText(s.Server)
	}
	return client, server
}

func ipText(ap netip.AddrPort) string {
	if !ap.IsValid() {
		return ""
	}
	return ap.Addr().Unmap().String()
}

func portText(ap netip.AddrPort) string {
	if ap.Port() == 0 {
		return ":?"
	}
	return fmt.Sprintf(":%d", ap.Port())
}
