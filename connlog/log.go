package connlog

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a [Log]. A record takes about 0.6 KiB with its strings, a channel about 1.5 KiB with its dialogue, so a
// full log stays below some 30 MiB, however long the program runs.
const (
	DefaultRecords  = 20_000
	FileRecords     = 200_000 // for logs that are read from files, to be explained and forgotten
	maxSessions     = 1_000   // ended sessions go first
	maxChannels     = 400     // data channels kept for a session; the control channel is always kept
	maxAllChannels  = 10_000
	maxDialogue     = 16 // lines of dialogue kept for a channel
	maxStrangers    = 8
	maxHolders      = 50
	maxStringLength = 1_024 // longest text field kept
)

// State says how far a channel has come.
type State string

const (
	Offered   State = "offered"   // an address was named; nobody has dialled it yet, as far as this side knows
	Dialing   State = "dialing"   // this side is dialling
	Open      State = "open"      // it stands
	Closed    State = "closed"    // it ended well
	Failed    State = "failed"    // it never stood, or broke
	Withdrawn State = "withdrawn" // it ended before anything was to go through it, and nobody missed it
)

// SessionKey names a session: ids are unique for each recording side.
type SessionKey struct {
	Side Side
	ID   string
}

// ChannelKey names a channel of a session; Conn 0 is the control connection.
type ChannelKey struct {
	SessionKey
	Conn int
}

// Numbered is a record with its place in the log. Seq grows by one with each record and starts at 1.
type Numbered struct {
	Seq uint64
	Record
}

// Line is a command or a reply, as a channel keeps it.
type Line struct {
	Time time.Time
	By   Side // the client's are commands, the server's replies
	Text string
}

// Session is what the log knows of one session: a snapshot.
type Session struct {
	SessionKey
	Started, Ended time.Time // Ended is zero while it is open
	Client, Server netip.AddrPort
	Host           string // the name that the person typed, at a client
	User           string
	TLS            string
	Peer           string    // the other side's id of the session, when it said so
	Failed         int       // channels that failed
	Channels       []Channel // the control channel first, then the data channels, oldest first
	Dropped        int       // data channels that are no longer kept
}

// Open says that the session has not ended.
func (s Session) Open() bool { return s.Ended.IsZero() }

// Channel is what the log knows of one channel: a snapshot. [Channel.Explain] puts it into words.
type Channel struct {
	ChannelKey
	Kind       ChannelKind
	Mode       Mode
	Initiator  Side // who opens it
	From, To   netip.AddrPort
	Advertised netip.AddrPort
	State      State
	TLS        string
	Cipher     string
	Resumed    bool
	Bytes      int64
	Duration   time.Duration
	Offer      string // the command that arranged a data channel: EPSV, PASV, "EPRT |1|…", "PORT …"
	Command    string // the transfer that used it: "RETR a.txt"
	Reply      string // the reply that refused it
	By         Side   // who ended it
	Reason     Reason
	Err        string
	Started    time.Time
	Dialled    time.Time // when this side began to open it
	Opened     time.Time
	Ended      time.Time
	Strangers  []netip.AddrPort // connections that were turned away at its port
	Holders    []string         // who held the ports when none was left
	Dialogue   []Line           // the commands and replies that belong to it

	// What the explanation needs of the session: the two ends of the control connection, and whether a data channel in the
	// other mode never came about: before this one was asked for or, when this one failed, too, ever.
	Client, Server netip.AddrPort
	OtherFailed    bool
	Host           string
	User           string
	Software       string
}

// ClientEnd returns the channel's end at the client; its port is 0 as long as this side doesn't know it.
func (c Channel) ClientEnd() netip.AddrPort { return c.end(Client) }

// ServerEnd returns the channel's end at the server; its port is 0 as long as this side doesn't know it.
func (c Channel) ServerEnd() netip.AddrPort { return c.end(Server) }

func (c Channel) end(side Side) netip.AddrPort {
	end, control := c.To, c.Server
	if c.Initiator == side {
		end = c.From
	}
	if side == Client {
		control = c.Client
	}
	if !end.IsValid() && control.IsValid() {
		return netip.AddrPortFrom(control.Addr(), 0)
	}
	return end
}

// Log keeps the newest records and, for each session, what they say of its channels. It is a [Recorder], safe for
// concurrent use, and bounded: [DefaultRecords] records, 1,000 sessions, 400 data channels for each and 10,000 in
// all, and for more records more sessions and channels in proportion; the oldest go first. [DataProgress] moves a
// channel's byte count and is not kept as a record.
type Log struct {
	mu       sync.Mutex
	version  uint64
	seq      uint64
	ring     []Numbered // ring[seq % len] once full
	max      int
	scale    int        // of the bounds of sessions and of all channels
	sessions []*session // oldest first
	byKey    map[SessionKey]*session
	channels int
}

type session struct {
	Session
	channels []*Channel
	pending  []Line   // commands and replies not yet known to belong to a channel
	current  *Channel // the data channel that the dialogue is about
}

// NewLog returns an empty log of at most maxRecords records; 0 means [DefaultRecords].
func NewLog(maxRecords int) *Log {
	if maxRecords <= 0 {
		maxRecords = DefaultRecords
	}
	return &Log{max: maxRecords, scale: max(1, maxRecords/DefaultRecords), byKey: make(map[SessionKey]*session)}
}

// Version grows with every record, so that a screen can tell whether it has to look again.
func (l *Log) Version() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

// Record takes r into the log.
func (l *Log) Record(r Record) {
	r = r.clean()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version++
	n := Numbered{Record: r}
	if r.Event != DataProgress {
		l.seq++
		n.Seq = l.seq
		if len(l.ring) < l.max {
			l.ring = append(l.ring, n)
		} else {
			l.ring[(l.seq-1)%uint64(l.max)] = n
		}
	}
	if r.Session != "" {
		l.apply(n)
	}
}

// Records returns the records with Seq greater than after that are still kept, oldest first.
func (l *Log) Records(after uint64) []Numbered {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.seq - uint64(len(l.ring)) // Seq of the oldest kept, less one
	if after < first {
		after = first
	}
	if after >= l.seq {
		return nil
	}
	out := make([]Numbered, 0, l.seq-after)
	for s := after; s < l.seq; s++ {
		out = append(out, l.ring[s%uint64(l.max)])
	}
	return out
}

// Sessions returns what the log knows of each session, oldest first.
func (l *Log) Sessions() []Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Session, len(l.sessions))
	for i, s := range l.sessions {
		out[i] = s.snapshot()
	}
	return out
}

// Session returns what the log knows of one session.
func (l *Log) Session(key SessionKey) (Session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.byKey[key]
	if !ok {
		return Session{}, false
	}
	return s.snapshot(), true
}

func (s *session) snapshot() Session {
	out := s.Session
	out.Channels = make([]Channel, len(s.channels))
	for i, c := range s.channels {
		out.Channels[i] = *c
		// Later records append to these slices; the snapshot must not share the tail.
		out.Channels[i].Dialogue = slices.Clip(c.Dialogue)
		out.Channels[i].Strangers = slices.Clip(c.Strangers)
		out.Channels[i].Client, out.Channels[i].Server = s.Client, s.Server
		out.Channels[i].Host, out.Channels[i].User = s.Host, s.User
		if c.State == Failed && c.Opened.IsZero() && c.Kind == Data {
			out.Channels[i].OtherFailed = c.OtherFailed || s.failedIn(c.Mode.other())
		}
	}
	return out
}

func (l *Log) apply(n Numbered) {
	key := SessionKey{n.Side, n.Session}
	s := l.byKey[key]
	if s == nil {
		s = &session{Session: Session{SessionKey: key, Started: n.Time}}
		s.channels = []*Channel{{
			ChannelKey: ChannelKey{key, 0}, Kind: Control, Initiator: Client, State: Dialing, Started: n.Time,
		}}
		switch n.Event {
		case ControlDialing, ControlOpened, ControlFailed:
		default:
			s.channels[0].State = Open // its beginning is no longer in the log
		}
		l.byKey[key] = s
		l.sessions = append(l.sessions, s)
		l.forget(s)
	}
	if n.Event == CommandSent || n.Event == ReplySent {
		s.dialogue(n)
		return
	}
	if n.Channel == Control || n.Conn == 0 {
		s.applyControl(n)
		return
	}
	c, made := s.data(n)
	if made {
		l.channels++
		l.forget(s)
	}
	s.applyData(c, n)
}

// forget makes room. Ended sessions go first, oldest first; keep is never dropped.
func (l *Log) forget(keep *session) {
	if len(keep.channels) > maxChannels+1 {
		keep.channels = slices.Delete(keep.channels, 1, 2)
		keep.Dropped++
		l.channels--
	}
	for len(l.sessions) > l.scale*maxSessions || l.channels > l.scale*maxAllChannels {
		i := slices.IndexFunc(l.sessions, func(s *session) bool { return s != keep && !s.Open() })
		if i < 0 {
			i = slices.IndexFunc(l.sessions, func(s *session) bool { return s != keep })
		}
		if i < 0 {
			return
		}
		delete(l.byKey, l.sessions[i].SessionKey)
		l.channels -= len(l.sessions[i].channels) - 1
		l.sessions = slices.Delete(l.sessions, i, i+1)
	}
}

func (s *session) applyControl(n Numbered) {
	c := s.channels[0]
	setAddr(&c.From, n.From)
	setAddr(&c.To, n.To)
	switch n.Event {
	case ControlDialing:
		s.Host = n.Host
		setAddr(&s.Server, n.To)
	case ControlOpened:
		c.State, c.Opened = Open, n.Time
		s.Client, s.Server = n.From, n.To
		setString(&s.Host, n.Host)
	case Greeted:
		setString(&c.Software, n.Software)
		setString(&s.Peer, n.Peer)
	case ControlTLS:
		c.TLS, c.Cipher, s.TLS = n.TLS, n.Cipher, n.TLS
	case SignedIn:
		s.User = n.User
		setString(&c.Software, n.Software)
	case SignInRefused:
		c.Reply = n.Reply
	case ControlFailed:
		if c.State != Failed {
			s.Failed++
		}
		c.State, c.Reason, c.Err, c.Ended = Failed, n.Reason, n.Err, n.Time
		setString(&c.Reply, n.Reply)
		setString(&s.Host, n.Host)
		s.end(n)
	case ControlClosed:
		if c.State != Failed {
			c.State, c.Reason, c.By, c.Err, c.Ended = Closed, n.Reason, n.By, n.Err, n.Time
			setString(&c.Reply, n.Reply)
		}
		s.end(n)
	}
	if !c.Opened.IsZero() && !c.Ended.IsZero() {
		c.Duration = c.Ended.Sub(c.Opened)
	}
}

func (s *session) end(n Numbered) {
	s.Ended = n.Time
	s.pending, s.current = nil, nil
	for _, c := range s.channels[1:] {
		if c.State == Offered || c.State == Dialing {
			c.State, c.Reason, c.Ended = Withdrawn, ReasonNotTaken, n.Time
		}
	}
}

// data returns the data channel that n is about, and whether it had to be made.
func (s *session) data(n Numbered) (*Channel, bool) {
	for _, c := range slices.Backward(s.channels) {
		if c.Conn == n.Conn {
			return c, false
		}
	}
	c := &Channel{ChannelKey: ChannelKey{s.SessionKey, n.Conn}, Kind: Data, State: Offered, Started: n.Time}
	s.channels = append(s.channels, c)
	return c, true
}

func (s *session) applyData(c *Channel, n Numbered) {
	setString(&c.Mode, n.Mode)
	setString(&c.Initiator, n.Initiator)
	if c.Initiator == "" && c.Mode != "" {
		c.Initiator = c.Mode.initiator()
	}
	if n.Event == StrangerRefused {
		if len(c.Strangers) < maxStrangers {
			c.Strangers = append(c.Strangers, n.From)
		}
		return
	}
	setAddr(&c.From, n.From)
	setAddr(&c.To, n.To)
	setAddr(&c.Advertised, n.Advertised)
	if n.Bytes > c.Bytes {
		c.Bytes = n.Bytes
	}
	if n.Command != "" && n.Event != PassiveOffered && n.Event != ActiveRequested && !arranges(n.Command) {
		c.Command = n.Command
	}
	switch n.Event {
	case PassiveOffered, ActiveRequested:
		setString(&c.Offer, n.Command)
		c.OtherFailed = s.failedIn(c.Mode.other())
		s.take(c)
	case ActiveRefused, PassiveRefused, PortsExhausted:
		setString(&c.Offer, n.Command)
		c.OtherFailed = s.failedIn(c.Mode.other())
		if n.Holders != nil {
			c.Holders = n.Holders
		}
		s.take(c)
		s.fail(c, n, ReasonRejected)
	case DataDialing:
		if c.State == Offered {
			c.State = Dialing
		}
		c.Dialled = n.Time
	case DataOpened:
		c.State, c.Opened = Open, n.Time
		setString(&c.TLS, n.TLS)
	case DataTLS:
		c.TLS, c.Cipher, c.Resumed = n.TLS, n.Cipher, n.Resumed
	case DataClosed:
		if c.State != Failed {
			c.State = Closed
		}
		c.Ended, c.Duration, c.By = n.Time, n.Duration, n.By
		setString(&c.TLS, n.TLS)
	case DataFailed:
		if n.Reason == ReasonNotTaken {
			c.State, c.Reason, c.Ended = Withdrawn, n.Reason, n.Time
			break
		}
		s.fail(c, n, n.Reason)
	case OfferExpired:
		if n.Reason == ReasonNotTaken || n.Reason == ReasonRangeFull {
			c.State, c.Reason, c.Err, c.Ended = Withdrawn, n.Reason, n.Err, n.Time
		} else {
			s.fail(c, n, ReasonTimeout)
		}
	}
}

// failedIn says that the newest data channel in the mode never came about.
func (s *session) failedIn(m Mode) bool {
	for _, c := range slices.Backward(s.channels) {
		if c.Mode == m {
			return c.State == Failed && c.Opened.IsZero() || c.missed()
		}
	}
	return false
}

func (s *session) fail(c *Channel, n Numbered, reason Reason) {
	if c.State != Failed {
		s.Failed++
	}
	c.State, c.Ended, c.Duration, c.By, c.Err = Failed, n.Time, n.Duration, n.By, n.Err
	setString(&c.Reply, n.Reply)
	c.Reason = n.Reason
	if c.Reason == "" {
		c.Reason = reason
	}
}

// dialogue files a command or reply with the data channel that it is about: what arranges a channel comes before
// the channel is known, what follows belongs to it until the next command after its end.
func (s *session) dialogue(n Numbered) {
	l := Line{n.Time, Server, n.Reply}
	if n.Event == CommandSent {
		l = Line{n.Time, Client, n.Command}
		done := s.current != nil && !s.current.Ended.IsZero()
		if done || arranges(n.Command) {
			s.current, s.pending = nil, nil
		}
		if s.current != nil && s.current.Command == "" && moves(n.Command) {
			s.current.Command = n.Command
		}
	}
	if s.current != nil {
		if len(s.current.Dialogue) < maxDialogue {
			s.current.Dialogue = append(s.current.Dialogue, l)
		}
		return
	}
	if len(s.pending) == 4 {
		s.pending = slices.Delete(s.pending, 0, 1)
	}
	s.pending = append(s.pending, l)
}

// take makes c the channel that the dialogue is about, from the command that arranged it.
func (s *session) take(c *Channel) {
	if s.current == c {
		return
	}
	from := slices.IndexFunc(s.pending, func(l Line) bool { return l.By == Client && arranges(l.Text) })
	if from >= 0 {
		c.Dialogue = append(c.Dialogue, s.pending[from:]...)
	}
	s.current, s.pending = c, nil
}

func (m Mode) other() Mode {
	if m == Active {
		return Passive
	}
	return Active
}

func (m Mode) initiator() Side {
	if m == Active {
		return Server
	}
	return Client
}

// verb returns a command's first word in capitals.
func verb(command string) string {
	word, _, _ := strings.Cut(command, " ")
	return strings.ToUpper(word)
}

// arranges says that the command arranges a data connection.
func arranges(command string) bool {
	switch verb(command) {
	case "PASV", "EPSV", "PORT", "EPRT":
		return true
	}
	return false
}

// ModeMatters says that a data channel in the other mode may have come about where this one failed. It would not have where
// the server refused the file, this computer failed or somebody ended it. A 425 (RFC 959 section 4.2) is about the channel.
func (c Channel) ModeMatters() bool {
	switch c.Reason {
	case ReasonRejected:
		return strings.HasPrefix(c.Reply, "425") || c.Opened.IsZero() && !moves(c.Command)
	case ReasonCancelled, ReasonLocal, ReasonTLS, ReasonStopping, ReasonKicked, ReasonQuit:
		return false
	}
	return true
}

// moves says that the command uses a data connection.
func moves(command string) bool {
	switch verb(command) {
	case "LIST", "NLST", "MLSD", "RETR", "STOR", "APPE", "STOU":
		return true
	}
	return false
}

func setAddr(dst *netip.AddrPort, v netip.AddrPort) {
	if v.IsValid() {
		*dst = v
	}
}

func setString[T ~string](dst *T, v T) {
	if v != "" {
		*dst = v
	}
}

// clean returns r with every text cut to a length worth keeping and with characters that could rule a terminal or
// reorder a line written as escapes. A stranger chooses many of these texts, and all of them in a log file of another's.
func (r Record) clean() Record {
	for _, s := range []*string{&r.Session, &r.Command, &r.Reply, &r.User, &r.Err, &r.Addr, &r.Host, &r.Peer, &r.Software, &r.TLS, &r.Cipher} {
		*s = Printable(*s)
	}
	for _, s := range []*Side{&r.Side, &r.Initiator, &r.By} {
		*s = Side(Printable(string(*s)))
	}
	r.Event, r.Channel = Event(Printable(string(r.Event))), ChannelKind(Printable(string(r.Channel)))
	r.Mode, r.Reason = Mode(Printable(string(r.Mode))), Reason(Printable(string(r.Reason)))
	r.Holders = cleanHolders(r.Holders)
	return r
}

// cleanHolders returns what is kept of a list: [maxHolders] lines, the last of which may be "950 more".
func cleanHolders(all []string) []string {
	if len(all) == 0 {
		return all
	}
	n := len(all)
	if n > maxHolders {
		n = maxHolders - 1
	}
	kept := make([]string, n, n+1)
	for i := range kept {
		kept[i] = Printable(all[i])
	}
	if more := len(all) - n; more > 0 {
		kept = append(kept, fmt.Sprintf("%d more", more))
	}
	return kept
}

// Printable returns s cut to 1,024 bytes with control characters, escape sequences, bidirectional marks and invalid
// UTF-8 written as Go escapes, so that it can't forge a line of a log or act on a terminal. A tab is such a character.
func Printable(s string) string {
	plain := len(s) <= maxStringLength
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f
	}
	if plain {
		return s
	}
	if len(s) > maxStringLength {
		s = strings.ToValidUTF8(s[:maxStringLength], "") + "…"
	}
	var b strings.Builder
	for i, c := range s {
		if c == 0xFFFD && s[i] != 0xEF { // a byte that is not UTF-8
			b.WriteString(escapeByte(s[i]))
			continue
		}
		if printableRune(c) {
			b.WriteRune(c)
		} else {
			b.WriteString(escapeRune(c))
		}
	}
	return b.String()
}
