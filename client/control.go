package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"portside/connlog"
	"portside/wire"
)

// control is the control connection that the library is given for its own. It stands above TLS, so it sees every
// command and reply in clear and records them. One goroutine reads replies all the time: a refusal ends the wait for
// a data connection at once, and a lost server is noticed while nothing is asked of it.
//
// The library asks for every data connection with PASV. That line never reaches the server: control lets [offer] do
// the negotiation in the mode of the session, and answers the library itself.
type control struct {
	conn  net.Conn
	tcp   net.Conn      // conn, or what is beneath its TLS
	reply time.Duration // how long a reply may take
	final time.Duration // how long the last reply to a transfer may take: some servers look at a whole upload first
	log   func(connlog.Record)
	local connlog.Record // From, To, Initiator of this connection, for records
	open  func() (*dataConn, error)
	note  func(verb string, r reply)                // told the final replies to the library's commands
	line  func(verb string, d *dataConn) []outgoing // what goes out behind a transfer command
	plan  func(verb string) []outgoing              // what goes out behind a command of the sign-in
	reach func(e *early, r reply)                   // dials what the server has offered early
	upset func()                                    // told that the server answers out of order

	encode  func(string) (string, error) // a line for the wire
	decode  func(string) string          // a line from the wire
	account string                       // for a server that asks for it

	replies chan answer
	done    chan struct{} // closed when the reader has ended; err is set by then
	life    context.Context
	die     context.CancelFunc // ends life, when the connection has failed

	mu      sync.Mutex
	err     error
	bye     reply // a 421: the server is about to close
	closing bool
	unasked int    // replies to nothing; the reader's own
	waiting []sent // sent, and no final reply yet
	seq     int
	latest  int       // seq of the last command that was not sent ahead
	data    *dataConn // of the operation under way
	early   []*early  // negotiated ahead
	stash   []answer  // to the command under way, which was sent ahead
	settles bool      // every reply is for settle

	// The rest belongs to the operation under way, and operations take turns.
	op       context.Context
	out      []byte // what the library wrote, up to its line end
	in       []byte // what the library may read
	pending  []reply
	instead  string   // goes out in place of the next RETR
	from     int64    // the offset of that
	ready    *early   // has sent the next RETR already
	foretold []*early // of the sign-in: has gone out, and the library has not asked for it yet
	unclear  bool     // a transfer was taken back, and nobody counts how often the server answers that
	aided    bool     // something was sent ahead, of this transfer or behind it
	hasty    bool     // the data of the next STOR does not wait for the server's consent, if the mode is passive
	last     reply    // the last final reply, as the server sent it
	begun    bool     // the transfer command had its preliminary reply
	dataErr  error    // why the data connection did not come about
}

// maxUnasked is how many replies that nobody asked for a server may send.
const maxUnasked = 1000

// maxBegun is how many preliminary replies (1xx) a server may give to one command, and to a connection: RFC 959 allows one,
// and without an end to them a wait for the final reply has none.
const maxBegun = 100

type sent struct {
	seq   int
	verb  string
	data  *dataConn // of a transfer
	early *early
	offer bool // of early
	begun int  // preliminary replies so far
}

// answer is a reply with the command that it answers; an unasked reply has none.
type answer struct {
	reply
	to sent
}

// transferVerbs are the commands that move something over a data connection.
var transferVerbs = []string{"RETR", "STOR", "APPE", "STOU", "LIST", "MLSD", "NLST"}

func verbOf(line string) string {
	verb, _, _ := strings.Cut(line, " ")
	return strings.ToUpper(verb)
}

// run reads replies until the connection ends. br holds what was read of conn so far.
func (c *control) run(br *bufio.Reader) {
	defer close(c.done)
	for {
		r, err := readReply(br)
		quickAck(c.tcp)
		if err != nil {
			if errors.Is(err, errNotAReply) {
				err = fmt.Errorf("%w: %q", err, clip(r.String()))
			}
			c.lost(err)
			return
		}
		for i := range r.lines {
			r.lines[i] = c.decode(r.lines[i])
		}
		c.log(connlog.Record{Event: connlog.ReplySent, Channel: connlog.Control, Reply: r.String()})
		if !c.sort(r) {
			return
		}
	}
}

// sort hands a reply to whoever waits for it, and says whether to go on reading.
func (c *control) sort(r reply) bool {
	c.mu.Lock()
	a := answer{reply: r}
	if r.code == 421 {
		c.bye = r
	}
	disorder, endless := false, false
	if len(c.waiting) > 0 {
		i := 0
		i, disorder = c.place(r)
		if r.preliminary() {
			c.waiting[i].begun++
			endless = c.waiting[i].begun > maxBegun
		}
		a.to = c.waiting[i]
		if !r.preliminary() {
			c.waiting = slices.Delete(c.waiting, i, i+1)
		}
	}
	kept := false
	var offered *early
	if e := a.to.early; e != nil && !c.settles {
		switch {
		case e.dead:
			kept = true
			if e.answered != nil && !r.preliminary() {
				e.answered(r)
			}
		case a.to.offer:
			kept = true
			if !r.preliminary() {
				if e.mode == ModePassive {
					e.reached, e.since, offered = true, time.Now(), e
				}
				e.answer <- a // it has room for the one final reply
			}
		case !e.adopted:
			kept = true
			e.got = append(e.got, a)
		}
	}
	c.mu.Unlock()
	if offered != nil {
		c.reach(offered, r)
	}
	if disorder {
		c.upset()
	}
	if a.to.verb == "" { // unasked: recorded, and 421 is kept for the end that follows
		c.unasked++
		endless = c.unasked > maxUnasked
	}
	if endless {
		c.fail(errTooMuch, connlog.Client, connlog.ReasonNotFTP)
		return false
	}
	if a.to.verb == "" {
		return true
	}
	if a.to.data != nil && !r.preliminary() {
		a.to.data.answered(r)
	}
	if kept {
		return true
	}
	select {
	case c.replies <- a:
		return true
	default:
		c.fail(errTooMuch, connlog.Client, connlog.ReasonNotFTP)
		return false
	}
}

// lost ends the connection because reading failed.
func (c *control) lost(err error) {
	c.mu.Lock()
	bye := c.bye
	c.mu.Unlock()
	if bye.code != 0 {
		text := strings.ToLower(bye.String())
		reason := connlog.ReasonRejected
		if strings.Contains(text, "timeout") || strings.Contains(text, "idle") || strings.Contains(text, "inactiv") {
			reason = connlog.ReasonIdle
		}
		c.fail(&Error{Op: "control connection", Reason: reason, Code: bye.code, Reply: bye.String()}, connlog.Server, reason)
		return
	}
	by := connlog.Server
	reason := ReasonOf(err)
	if reason == connlog.ReasonNotFTP {
		by = connlog.Client
	}
	c.fail(&Error{Op: "control connection", Reason: reason, Err: fmt.Errorf("it ended: %w", err)}, by, reason)
}

// fail ends the connection for good; only the first call counts.
func (c *control) fail(err error, by connlog.Side, reason connlog.Reason) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if c.closing {
		err, by, reason = net.ErrClosed, connlog.Client, connlog.ReasonQuit
	}
	c.err = err
	data, bye := c.data, c.bye
	early := slices.Clone(c.early)
	c.mu.Unlock()
	r := c.local
	r.Event, r.By, r.Reason = connlog.ControlClosed, by, reason
	if reason != connlog.ReasonQuit {
		r.Err = err.Error()
	}
	if bye.code != 0 {
		r.Reply = bye.String()
	}
	c.log(r)
	c.die()
	if reason == connlog.ReasonQuit {
		_ = c.conn.Close() // with TLS's close_notify
	} else {
		_ = c.tcp.Close()
	}
	if data != nil && (reason == connlog.ReasonQuit || !data.done()) {
		data.stop(err)
	}
	for _, e := range early {
		if e.d != nil {
			e.d.stop(err)
		}
	}
}

// failure is why the connection is of no use any more, or nil.
func (c *control) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// send writes one command line, and what is to follow it ahead of its time.
func (c *control) send(line string, ahead ...outgoing) error {
	c.begun = false
	c.last = reply{}
	return c.write(append([]outgoing{{line: line}}, ahead...))
}

// write writes command lines in one piece.
func (c *control) write(lines []outgoing) error {
	var text strings.Builder
	for _, o := range lines {
		wired, err := c.encode(o.line)
		if err != nil {
			return err
		}
		text.WriteString(wired + "\r\n")
	}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return c.err
	}
	for _, o := range lines {
		c.seq++
		w := sent{seq: c.seq, verb: verbOf(o.line), early: o.e, offer: o.offer}
		if o.e == nil {
			c.latest, c.stash = c.seq, nil
		} else if !o.offer {
			o.e.seq = c.seq
		}
		if slices.Contains(transferVerbs, w.verb) {
			if w.data = c.data; o.e != nil {
				w.data = o.e.d
			}
		}
		c.waiting = append(c.waiting, w)
	}
	data := c.data
	c.mu.Unlock()
	for _, o := range lines {
		c.log(connlog.Record{Event: connlog.CommandSent, Channel: connlog.Control, Command: wire.Mask(o.line)})
		if data != nil && o.e == nil && slices.Contains(transferVerbs, verbOf(o.line)) {
			data.begin(wire.Mask(o.line))
		}
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.reply))
	if _, err := c.conn.Write([]byte(text.String())); err != nil {
		// A server that refuses may have said why before it closed: the reader knows more.
		select {
		case <-c.done:
		case <-time.After(time.Second):
			c.lost(err)
		}
		return c.failure()
	}
	return nil
}

// await returns the next reply to the latest command. Replies to earlier ones, which somebody stopped waiting for, are
// passed over.
func (c *control) await(ctx context.Context, limit time.Duration) (answer, error) {
	c.mu.Lock()
	seq, data := c.latest, c.data
	if len(c.stash) > 0 {
		a := c.stash[0]
		c.stash = c.stash[1:]
		c.mu.Unlock()
		return a, nil
	}
	c.mu.Unlock()
	var accepted <-chan struct{}
	if data != nil {
		accepted = data.opened
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		select {
		case a := <-c.replies:
			if a.to.seq >= seq {
				return a, nil
			}
			continue
		default:
		}
		select {
		case a := <-c.replies:
			if a.to.seq >= seq {
				return a, nil
			}
		case <-c.done:
			select {
			case a := <-c.replies:
				if a.to.seq >= seq {
					return a, nil
				}
			default:
				return answer{}, c.failure()
			}
		case <-accepted:
			if data.openErr != nil {
				return answer{}, data.openErr
			}
			accepted = nil
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		case <-t.C:
			return answer{}, errNoReply
		}
	}
}

var errNoReply = errors.New("the server did not answer in time")

// command sends a line of our own and returns its final reply.
func (c *control) command(ctx context.Context, line string) (reply, error) {
	if err := c.send(line); err != nil {
		return reply{}, err
	}
	for {
		a, err := c.await(ctx, c.reply)
		if err != nil {
			return reply{}, c.silent(err)
		}
		if !a.preliminary() {
			c.last = a.reply
			return a.reply, nil
		}
	}
}

// silent ends the connection when err says that the server does not answer any more.
func (c *control) silent(err error) error {
	if errors.Is(err, errNoReply) {
		c.fail(&Error{Op: "control connection", Reason: connlog.ReasonTimeout, Err: fmt.Errorf("%w (%v)", err, c.reply)},
			connlog.Client, connlog.ReasonTimeout)
		return c.failure()
	}
	return err
}

// Write takes the library's commands. It always succeeds: the library's writer would keep an error for ever, so
// failures are told by Read.
func (c *control) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	for {
		i := slices.Index(c.out, '\n')
		if i < 0 {
			return len(p), nil
		}
		line := strings.TrimRight(string(c.out[:i]), "\r\n")
		c.out = c.out[i+1:]
		c.in, c.pending = nil, nil
		var behind []outgoing
		switch verb := verbOf(line); {
		case verb == "PASV":
			c.negotiate()
			continue
		case c.told(line):
			continue
		case verb == "USER", verb == "FEAT":
			behind = c.plan(verb)
			for _, o := range behind {
				if !o.offer {
					c.foretold = append(c.foretold, o.e)
				}
			}
		case verb == "RETR" && c.ready != nil:
			line, c.instead = c.instead, ""
			c.resume(line)
			continue
		case verb == "RETR" && c.instead != "":
			line, c.instead = c.instead, ""
			behind = c.line(verbOf(line), c.data)
		case verb == "STOR", verb == "APPE":
			behind = c.line(verb, c.data)
		case verb == "PRET" && c.instead != "":
			line = "PRET " + c.instead
		}
		err := c.send(line, behind...)
		switch {
		case err != nil && c.failure() == nil:
			c.pending = []reply{oneLine(553, err.Error())}
		case err == nil && c.hasty && verbOf(line) == "STOR" && c.data.mode == ModePassive:
			c.aided, c.data.ahead = true, true
			c.pending = []reply{oneLine(150, "not awaited")}
		}
	}
}

// resume makes a command that was sent ahead the one under way, and sends more ahead behind it.
func (c *control) resume(line string) {
	e := c.ready
	c.ready = nil
	c.takeUp(e)
	e.d.begin(wire.Mask(line))
	if more := c.line("RETR", e.d); len(more) > 0 {
		_ = c.write(more)
	}
}

// told takes up a line of the sign-in that has gone out already; false: it has not. What stood before it is not needed,
// such as a password that the server did not ask for.
func (c *control) told(line string) bool {
	i := slices.IndexFunc(c.foretold, func(e *early) bool { return e.command == line })
	if i < 0 {
		return false
	}
	e := c.foretold[i]
	c.foretold = c.foretold[i+1:]
	c.takeUp(e)
	return true
}

// takeUp makes e's command the one under way.
func (c *control) takeUp(e *early) {
	c.begun, c.last = false, reply{}
	c.mu.Lock()
	e.adopted = true
	c.latest, c.stash, e.got = e.seq, e.got, nil
	c.mu.Unlock()
}

// negotiate gives the library its data connection.
func (c *control) negotiate() {
	d, err := c.open()
	if err != nil {
		c.dataErr = err
		c.pending = []reply{oneLine(425, "no data connection")}
		return
	}
	c.mu.Lock()
	c.data = d
	c.mu.Unlock()
	c.pending = []reply{oneLine(227, "Entering Passive Mode (127,0,0,1,0,1).")}
}

// Read gives the library whole replies, one after the other.
func (c *control) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		if len(c.pending) == 0 {
			if err := c.receive(); err != nil {
				return 0, err
			}
		}
		c.in = []byte(c.pending[0].wire())
		c.pending = c.pending[1:]
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

// receive waits for the next reply and puts it, as the library wants it, into pending.
func (c *control) receive() error {
	for {
		c.mu.Lock()
		data, err, kept := c.data, c.err, len(c.stash)+len(c.replies)
		c.mu.Unlock()
		if err != nil && kept == 0 {
			return err
		}
		limit, given := c.reply, false
		if c.begun {
			limit = c.final
		}
		if data != nil && data.cause() != nil {
			limit, given = min(afterwards, c.reply), true // the transfer has failed: what the server says of it comes soon or never
		}
		a, err := c.await(c.op, limit)
		if err != nil {
			if given {
				return err
			}
			return c.silent(err)
		}
		if !a.preliminary() {
			c.last = a.reply
			c.note(a.to.verb, a.reply)
		}
		if a.code == 332 && c.account != "" && (a.to.verb == "USER" || a.to.verb == "PASS") {
			if err := c.send("ACCT " + c.account); err != nil {
				return err
			}
			continue
		}
		transfer := slices.Contains(transferVerbs, a.to.verb)
		told := data != nil && data.ahead // the library has had its 150
		switch {
		case a.preliminary() && (!transfer || c.begun):
			continue // RFC 959 allows one 1xx, some servers send two
		case a.preliminary() && told:
			c.begun = true
			continue
		case a.preliminary():
			c.begun = true
			c.pending = []reply{a.as(150)}
		case transfer && a.code < 300 && !c.begun && !told:
			c.begun = true
			c.pending = []reply{oneLine(150, "begun"), a.as(226)}
		case transfer && a.code < 300:
			c.pending = []reply{a.as(226)}
		case a.code >= 200 && a.code < 300 && usual[a.to.verb] != 0:
			c.pending = []reply{a.as(usual[a.to.verb])}
		case a.to.verb == "FEAT" && a.code == 211:
			c.pending = []reply{featReply(a.reply)}
		case a.to.verb == "OPTS":
			c.pending = []reply{oneLine(501, "not taken")} // the only refusal that the library lives with
		default:
			c.pending = []reply{a.reply}
		}
		return nil
	}
}

// features are the lines of a FEAT reply (RFC 2389 section 3.2). Some servers forget the blank before each, or write the
// code there.
func features(r reply) []string {
	var out []string
	for i, line := range r.lines {
		if i > 0 && i < len(r.lines)-1 {
			out = append(out, strings.TrimSpace(strings.TrimPrefix(line, "211-")))
		}
	}
	return out
}

// featReply is a FEAT reply as the library reads it: the names in capitals, each after a blank.
func featReply(r reply) reply {
	out := []string{"211-Features"}
	for _, f := range features(r) {
		name, rest, _ := strings.Cut(f, " ")
		out = append(out, " "+strings.ToUpper(name)+" "+rest)
	}
	return reply{code: 211, lines: append(out, "211 End")}
}

// usual is the one success code that the library takes for a command. Servers use others of the same hundred.
var usual = map[string]int{
	"CWD": 250, "CDUP": 250, "DELE": 250, "RMD": 250, "RNTO": 250, "MKD": 257, "PWD": 257, "USER": 230, "PASS": 230, "ACCT": 230, "TYPE": 200,
	"NOOP": 200, "PBSZ": 200, "PROT": 200, "SIZE": 213, "MDTM": 213, "MFMT": 213, "OPTS": 200,
}

// How long the server may take to say how a failed transfer ended, before and after ABOR.
const (
	afterwards = 2 * time.Second
	abortLimit = 3 * time.Second
)

// settle brings the control connection back into step after a transfer that the server may still think is going on:
// ABOR, then PWD as a marker, because no reply to ABOR or to a transfer has its code 257. Servers answer ABOR with one
// reply or two. A server that does not answer is given up.
func (c *control) settle(abort func()) {
	c.mu.Lock()
	running := slices.ContainsFunc(c.waiting, func(s sent) bool {
		return slices.Contains(transferVerbs, s.verb) && (s.early == nil || s.early.adopted)
	})
	broken := c.err != nil
	unclear := c.unclear
	c.unclear = false
	c.settles = (running || unclear) && !broken
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.settles = false
		c.mu.Unlock()
	}()
	if !running && !unclear || broken {
		abort()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(abortLimit, c.reply))
	defer cancel()
	last := c.last
	var err error
	marked := !running
	if running {
		err = c.send("ABOR")
		abort()
	} else {
		abort()
		err = c.send("PWD")
	}
	for err == nil {
		select {
		case a := <-c.replies:
			switch {
			case a.preliminary():
			case a.code == 257 && marked:
				c.mu.Lock()
				c.waiting = nil
				c.mu.Unlock()
				c.last = last
				return
			case !marked:
				marked = true
				err = c.send("PWD")
			}
		case <-c.done:
			err = c.failure()
		case <-ctx.Done():
			err = errNoReply
		}
	}
	c.fail(&Error{Op: "control connection", Reason: connlog.ReasonTimeout,
		Err: errors.New("the server did not answer ABOR, so the session was given up")}, connlog.Client, connlog.ReasonTimeout)
}

// Close is called by the library when it gives up. [Session.Close] is the one that ends the session.
func (c *control) Close() error { return nil }

func (c *control) LocalAddr() net.Addr  { return c.conn.LocalAddr() }
func (c *control) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Deadlines are control's own business.
func (c *control) SetDeadline(time.Time) error      { return nil }
func (c *control) SetReadDeadline(time.Time) error  { return nil }
func (c *control) SetWriteDeadline(time.Time) error { return nil }

// clip shortens what a stranger sent for an error.
func clip(s string) string {
	s = wire.Escape(s)
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
