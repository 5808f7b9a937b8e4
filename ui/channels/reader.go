package channels

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"portside/connlog"
)

// maxLines bounds what [Commands] keeps: as much as a log keeps by default.
const maxLines = connlog.DefaultRecords

// choice says which sessions are shown.
type choice int

const (
	allSessions   choice = iota
	newestSession        // whichever began last
	oneSession
)

// query is what the person asks to see. It is comparable, so that a change is easily seen.
type query struct {
	choice   choice
	session  connlog.SessionKey // when choice is oneSession
	failures bool
	text     string // lower case; empty finds everything
}

// narrowed says that something is kept out by the filters, not by the choice of session.
func (q query) narrowed() bool { return q.failures || q.text != "" }

// line is one row of [Commands].
type line struct {
	seq     uint64
	at      time.Time
	session connlog.SessionKey
	from    connlog.Side // who wrote the command or reply; empty for a line about a channel
	failed  bool
	text    string
}

// view answers a query at one moment. The user interface only reads it.
type view struct {
	version  uint64
	query    query
	sessions []connlog.Session // of this side, newest first, without their channels
	channels []connlog.Channel // by the time they began, newest last
	several  bool              // channels and lines may belong to more than one session
	total    int               // channels before the filters
	failed   int               // of these, failed
	newest   connlog.ChannelKey
	lines    []line
	allLines int // lines before the filters
}

// reader turns the log into views. It belongs to one goroutine, which is not the user interface's: what it costs to
// look through a full log is never paid on a frame.
type reader struct {
	log  *connlog.Log
	side connlog.Side

	last  uint64 // Seq of the newest record read
	lines []line // append-only, so that a view may share it: trimming makes a new slice

	found     []line // the lines that fit asked, append-only as well
	asked     query
	foundUpTo uint64
}

// read answers q from what the log holds now.
func (r *reader) read(q query) view {
	v := view{version: r.log.Version(), query: q}
	newest := connlog.SessionKey{}
	for _, s := range slices.Backward(r.log.Sessions()) {
		if s.Side != r.side {
			continue
		}
		if len(v.sessions) == 0 {
			newest = s.SessionKey
		}
		if q.wants(s.SessionKey, newest) {
			v.channels = append(v.channels, s.Channels...)
		}
		s.Channels = nil
		v.sessions = append(v.sessions, s)
	}
	v.several = q.choice == allSessions && len(v.sessions) > 1
	slices.SortStableFunc(v.channels, func(a, b connlog.Channel) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Conn, b.Conn))
	})
	v.total = len(v.channels)
	if v.total > 0 {
		v.newest = v.channels[v.total-1].ChannelKey
	}
	for _, c := range v.channels {
		if c.State == connlog.Failed {
			v.failed++
		}
	}
	if q.narrowed() {
		v.channels = slices.DeleteFunc(v.channels, func(c connlog.Channel) bool { return !q.findsChannel(c) })
	}
	r.readLines()
	v.lines, v.allLines = r.find(q, newest)
	return v
}

func (r *reader) readLines() {
	for _, n := range r.log.Records(r.last) {
		r.last = n.Seq
		if n.Side != r.side {
			continue
		}
		l := line{seq: n.Seq, at: n.Time, session: connlog.SessionKey{Side: n.Side, ID: n.Session}}
		switch n.Event {
		case connlog.CommandSent:
			l.from, l.text = connlog.Client, n.Command
		case connlog.ReplySent:
			l.from, l.text = connlog.Server, n.Reply
			l.failed = strings.HasPrefix(n.Reply, "4") || strings.HasPrefix(n.Reply, "5")
		default:
			l.text = connlog.Sentence(n.Record)
			l.failed = failure(n.Event)
		}
		r.lines = append(r.lines, l)
	}
	r.lines = trim(r.lines)
}

// failure says that the event tells of something that did not work.
func failure(e connlog.Event) bool {
	switch e {
	case connlog.ServerFault, connlog.ControlFailed, connlog.SignInRefused, connlog.ActiveRefused, connlog.PassiveRefused,
		connlog.DataFailed, connlog.StrangerRefused, connlog.PortsExhausted:
		return true
	}
	return false
}

// find returns the lines that fit q, looking only at those that came since it was asked the same before.
func (r *reader) find(q query, newest connlog.SessionKey) ([]line, int) {
	if q.choice == newestSession { // the same question once it is known which session that is
		q.choice, q.session = oneSession, newest
	}
	if q == (query{}) {
		return r.lines, len(r.lines)
	}
	if q != r.asked {
		r.asked, r.found, r.foundUpTo = q, nil, 0
	}
	from, _ := slices.BinarySearchFunc(r.lines, r.foundUpTo+1, func(l line, seq uint64) int { return cmp.Compare(l.seq, seq) })
	for _, l := range r.lines[from:] {
		if q.findsLine(l) {
			r.found = append(r.found, l)
		}
	}
	r.foundUpTo = r.last
	r.found = trim(r.found)
	return r.found, len(r.lines)
}

// trim drops the oldest lines, in one go for many, when there are too many. It leaves the old slice as it was.
func trim(lines []line) []line {
	if len(lines) < maxLines+maxLines/4 {
		return lines
	}
	return slices.Clone(lines[len(lines)-maxLines:])
}

func (q query) wants(key, newest connlog.SessionKey) bool {
	switch q.choice {
	case newestSession:
		return key == newest
	case oneSession:
		return key == q.session
	}
	return true
}

func (q query) findsLine(l line) bool {
	if q.choice == oneSession && l.session != q.session || q.failures && !l.failed {
		return false
	}
	return q.text == "" || strings.Contains(strings.ToLower(l.text), q.text)
}

func (q query) findsChannel(c connlog.Channel) bool {
	if q.failures && c.State != connlog.Failed {
		return false
	}
	if q.text == "" {
		return true
	}
	for _, s := range []string{c.Label(), c.Offer, c.Command, c.Reply, c.Host, c.User, c.ClientEnd().String(), c.ServerEnd().String()} {
		if strings.Contains(strings.ToLower(s), q.text) {
			return true
		}
	}
	return false
}
