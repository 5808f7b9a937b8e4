package client

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"portside/connlog"
	"portside/wire"
)

// Over a distance most of the time of small files goes into round trips. Two things can be sent before they are needed,
// behind the command of the transfer before: the offer of the next data connection (EPSV, or EPRT with a listener that
// stands), and in active mode the RETR that uses it as well, because it needs no answer first. In passive mode the next
// data connection is dialled as soon as the server has said where it waits, while the file before is still being put in
// its place. So a file takes two round trips in passive mode and one in active mode, and one more of a server that waits
// until its last packet is acknowledged before it says 226, as vsftpd does. STOR is never sent ahead: one that is taken
// back has emptied a file.
//
// An upload of a small file in clear and in passive mode does not wait for the 150 before it sends, which saves a round trip;
// in active mode the server's connection arrives together with it. The server's word counts as ever: what it did not confirm
// is not stored, and its refusal is what is told, though the data may have met a reset before it came. That is done with
// servers only that are known to accept the connection when they carry out the command: others may read from it earlier,
// throw away what comes, and then confirm an empty file.
//
// The time of an upload is set without waiting for the answer, which comes before that of the next upload.
//
// The sign-in ends with commands that need no answer first either: they go out behind FEAT, and the first offer with them;
// the next sessions send the password with the name as well, once it is known to be right.
//
// RFC 959 lets a server answer commands in order only, but not every server reads a second command well during a
// transfer. So whatever goes wrong with a transfer that had something sent ahead is done again without, and when that
// works the server is spared from then on.

// aheadDepth is how many downloads are asked for before they are needed.
const aheadDepth = 4

// aheadUpload is the largest upload, in bytes, that goes out before the server has agreed: of a larger one a round trip is no
// matter, and a refusal would cost much.
const aheadUpload = 64 << 10

// earlyLimit is how long an offer that was asked for early may take when it is needed: the transfer in front of it is over.
const earlyLimit = 5 * time.Second

// freshLimit is how long a passive offer may lie unused, before another one is asked for: servers close what waits.
const freshLimit = 5 * time.Second

// early is a data connection that was negotiated before it is needed, or a command of the sign-in, without line.
type early struct {
	mode    Mode
	line    string      // EPSV, PASV, EPRT ... or PORT ...
	command string      // the RETR behind it; empty: none was sent
	d       *dataConn   // in active mode it waits already
	answer  chan answer // to line
	seq     int         // of command
	got     []answer    // to command, until it is adopted
	adopted bool
	dead    bool // taken back: its replies are passed over
	// answered, which may be nil, is told the final reply to a command that is dead from the start: nobody waits for it.
	answered func(reply)

	// Of passive mode:
	life    context.Context
	cancel  context.CancelFunc // ends life, and the dial with it
	limit   time.Duration      // of the dial
	apart   bool               // asked for while no transfer ran, so it is as good as one that is asked for when it is needed
	reached bool               // the answer came, so d.opened is closed some day
	since   time.Time          // when it came
}

// outgoing is a command line with the early data connection that it belongs to, if any.
type outgoing struct {
	line  string
	e     *early
	offer bool // line is e's offer, else e's command
}

// following is what [Session.Follow] was told.
type following struct {
	more      bool
	downloads []string
}

// Follow says what comes after the next transfer, so that the session may negotiate for it early: more transfers, and
// the paths of the downloads among them, in their order, as far as they are downloads from the first byte on. It is kept
// until the next call. A transfer that was not announced is as good as one that was, only slower; what was asked for in
// vain is taken back. Servers that can't take it are found out and spared, see [Session.NotAhead].
func (s *Session) Follow(more bool, downloads ...string) {
	if s.checkCharset(downloads...) != nil {
		downloads = nil
	}
	s.next.Store(&following{more || len(downloads) > 0, downloads})
}

// NotAhead says that nothing is sent ahead in this session: the server can't take it, or [Options.NotAhead] said so.
func (s *Session) NotAhead() bool { return s.spared.Load() }

// SpareServer makes the session send nothing ahead from now on.
func (s *Session) SpareServer() { s.spared.Store(true) }

// spare is called when the server was found to be unable to take commands ahead.
func (s *Session) spare() {
	if !s.spared.Swap(true) && s.o.CannotAhead != nil {
		s.o.CannotAhead()
	}
}

// Servers known by their greeting.
var (
	// pyftpdlib carries out EPSV and EPRT while a transfer waits for its data connection, and drops that connection.
	disorderly = []string{"pyftpdlib"}
	// orderly ones are known to finish a transfer before they look at the next command, so an upload, which can't be told
	// from a part of it by what the server sends, is as safe with something behind it as without.
	orderly = []string{"vsftpd", "portside"}
	// Pure-FTPd answers 500 to what comes during a transfer. What comes in one piece with the transfer command it has read
	// before: that is so for EPSV, and not in active mode, where more is sent ahead while files move.
	oneAtATime = []string{"pure-ftpd"}
	// patient ones leave a passive data connection alone until the command that uses it. So does Pure-FTPd, which is no faster
	// for it.
	patient = []string{"vsftpd", "portside", "proftpd"}
	// prompt ones are known to keep what comes while they carry out a command outside of transfers.
	prompt = []string{"vsftpd", "portside", "proftpd", "pure-ftpd"}
	// vsftpd's times of MDTM are as those of its listings.
	localTimes = []string{"vsftpd"}
)

func greets(greeting string, names []string) bool {
	greeting = strings.ToLower(greeting)
	return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(greeting, n) })
}

// lineUp says what to send behind the transfer command of the data connection d.
func (s *Session) lineUp(verb string, d *dataConn) (out []outgoing) {
	next := s.next.Load()
	if next == nil || !next.more || s.plain || s.spared.Load() || d == nil {
		return nil
	}
	if verb != "RETR" && !greets(s.greeting, orderly) {
		return nil
	}
	c := s.ctl
	c.mu.Lock()
	lined := slices.Clone(c.early)
	c.mu.Unlock()
	if n := len(lined); n > 0 && lined[n-1].command == "" {
		return nil // that offer is for the next transfer, whatever it is
	}
	if d.mode == ModePassive {
		if len(lined) > 0 {
			return nil
		}
		return s.queue(out, s.earlyOffer(s.o.Timeouts.DataDial))
	}
	if !s.dialsBack || greets(s.greeting, oneAtATime) {
		return nil
	}
	downloads := next.downloads
	if s.tlsConfig != nil {
		downloads = nil // a server that meets a reset in the midst of a handshake may end the session: vsftpd does
	}
	for i, path := range downloads {
		command := "RETR " + path
		switch {
		case i < len(lined) && lined[i].command == command:
			continue
		case i < len(lined) || i >= aheadDepth:
			return out
		}
		e, err := s.earlyRequest(command)
		if err != nil {
			return out
		}
		out = s.queue(out, e)
	}
	if len(lined)+len(out) == 0 {
		if e, err := s.earlyRequest(""); err == nil {
			out = s.queue(out, e)
		}
	}
	return out
}

// queue adds an early data connection to those that are under way, and its lines to out.
func (s *Session) queue(out []outgoing, e *early) []outgoing {
	c := s.ctl
	c.mu.Lock()
	c.early = append(c.early, e)
	c.mu.Unlock()
	c.aided = true
	out = append(out, outgoing{e.line, e, true})
	if e.command != "" {
		out = append(out, outgoing{line: e.command, e: e})
	}
	return out
}

// earlyOffer is a passive data connection that is not needed yet, and limit that of its dial.
func (s *Session) earlyOffer(limit time.Duration) *early {
	line := "EPSV"
	if s.noEPSV && s.peer.Addr().Is4() {
		line = "PASV"
	}
	e := &early{mode: ModePassive, line: line, answer: make(chan answer, 1), d: s.newData(ModePassive), limit: limit}
	e.life, e.cancel = context.WithCancel(s.ctl.life)
	return e
}

// mayUploadAhead says that the data of a whole upload may go out before the server has answered STOR.
func (s *Session) mayUploadAhead(r io.Reader) bool {
	next := s.next.Load()
	if next == nil || !next.more || s.plain || s.spared.Load() || s.tlsConfig != nil || !s.choice.Load().settled || !greets(s.greeting, patient) {
		return false
	}
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode().IsRegular() && st.Size() <= aheadUpload
}

// signInAhead is what to send behind USER or FEAT: the rest of the sign-in, in the library's order and words, as far as
// that does not hang on what FEAT says, and the first offer.
func (s *Session) signInAhead(verb string) (out []outgoing) {
	if s.spared.Load() || !greets(s.greeting, prompt) {
		return nil
	}
	lines := []string{"TYPE I"}
	if verb == "USER" {
		if !s.o.Again || s.o.Account != "" || !greets(s.greeting, orderly) {
			return nil
		}
		lines = append([]string{"PASS " + s.o.Password, "FEAT"}, lines...)
	}
	if s.tlsConfig != nil {
		lines = append(lines, "PBSZ 0", "PROT P")
	}
	for _, line := range lines {
		out = append(out, outgoing{line: line, e: &early{command: line}})
	}
	choice := s.choice.Load()
	if !s.o.MovesFirst || choice.mode != ModePassive || !greets(s.greeting, orderly) {
		return out
	}
	e := s.earlyOffer(s.dialLimit(!choice.settled))
	e.apart = true
	return s.queue(out, e)
}

// earlyRequest opens a listener for a data connection that is not needed yet.
func (s *Session) earlyRequest(command string) (*early, error) {
	d := s.newData(ModeActive)
	d.accept = s.o.Timeouts.Accept
	lines, ln, err := d.listener(s.ctl.op)
	if err != nil {
		return nil, err
	}
	d.record(connlog.Record{Event: connlog.ActiveRequested, Command: lines[0]}) // before anybody can come: that changes its ends
	d.serve(ln, d.accept+s.ctl.final)
	return &early{mode: ModeActive, line: lines[0], command: command, d: d, answer: make(chan answer, 1)}, nil
}

// adopt returns the data connection that was negotiated early for the transfer that begins now; nil: there is none.
func (s *Session) adopt(ctx context.Context, mode Mode) (*dataConn, error) {
	c := s.ctl
	c.mu.Lock()
	var e *early
	if len(c.early) > 0 {
		e = c.early[0]
	}
	c.mu.Unlock()
	if e == nil {
		return nil, nil
	}
	if e.mode != mode || e.command != "" && (e.command != c.instead || c.from != 0) || s.stale(e) {
		s.takeBack()
		c.settle(func() {})
		return nil, c.failure()
	}
	c.aided = !e.apart
	a, err := c.awaitEarly(ctx, e)
	if errors.Is(err, errNoReply) {
		c.unclear = true // the server has passed over what came during a transfer
	} else if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if len(c.early) > 0 && c.early[0] == e {
		c.early = c.early[1:]
	}
	c.mu.Unlock()
	if err == nil && mode == ModePassive {
		stop := context.AfterFunc(ctx, e.cancel)
		<-e.d.opened
		stop()
		e.cancel()
		if !errors.Is(e.d.openErr, errNoOffer) {
			return e.d, e.d.dialled()
		}
	} else if err == nil && a.code >= 200 && a.code < 300 {
		if e.command != "" {
			c.ready = e
		}
		return e.d, nil
	}
	if err == nil && e.apart {
		return nil, nil // refused: it is asked again, and then in other ways
	}
	// Refused, though the server has taken it before: it is asked again when it has nothing else to do.
	c.mu.Lock()
	c.early = append([]*early{e}, c.early...)
	c.mu.Unlock()
	s.takeBack()
	c.settle(func() {})
	s.plain = true
	s.spare()
	return nil, c.failure()
}

// stale says that a passive offer has lain unused for too long.
func (s *Session) stale(e *early) bool {
	s.ctl.mu.Lock()
	defer s.ctl.mu.Unlock()
	return e.reached && time.Since(e.since) > freshLimit
}

// awaitEarly waits for the answer to an offer that was asked for early.
func (c *control) awaitEarly(ctx context.Context, e *early) (answer, error) {
	t := time.NewTimer(min(c.reply, earlyLimit))
	defer t.Stop()
	select {
	case a := <-e.answer:
		return a, nil
	case <-c.done:
		return answer{}, c.failure()
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	case <-t.C:
		return answer{}, errNoReply
	}
}

// reach dials the data connection that the server has offered early in r. Who takes e off the list waits for the end of it.
func (s *Session) reach(e *early, r reply) {
	to, ok := e.d.offered(e.line, r)
	if !ok {
		e.d.openErr = errNoOffer
		close(e.d.opened)
		return
	}
	go e.d.connect(e.life, to, e.limit)
}

var (
	errTakenBack = errors.New("it was asked for early, and not needed")
	errNoOffer   = errors.New("the server offers nothing")
)

// takeBack gives up what was negotiated early. A server that has begun to send meets a reset.
func (s *Session) takeBack() {
	c := s.ctl
	c.mu.Lock()
	all := c.early
	c.early = nil
	for _, e := range all {
		e.dead = true
		if e.command != "" && !slices.ContainsFunc(e.got, func(a answer) bool { return !a.preliminary() }) {
			c.unclear = true
		}
	}
	c.mu.Unlock()
	for _, e := range all {
		d := e.d
		if e.mode == ModePassive {
			e.cancel()
			if !e.reached {
				continue // not answered: nothing was offered
			}
			<-d.opened
		} else {
			d.stop(errTakenBack)
		}
		_ = d.Close()
		if d.tcp == nil {
			if !errors.Is(d.openErr, errNoOffer) {
				d.record(connlog.Record{Event: connlog.OfferExpired, Reason: connlog.ReasonNotTaken, Err: errTakenBack.Error()})
			}
			continue
		}
		d.command = wire.Mask(e.command)
		d.end(&dataError{mode: e.mode, reason: connlog.ReasonNotTaken, opened: true, err: errTakenBack}, 0)
	}
}

// place says which of the commands that wait for an answer r answers, and whether the server has answered a command that
// was sent ahead before the transfer in front of it. c.mu is held.
func (c *control) place(r reply) (i int, disorder bool) {
	if len(c.waiting) < 2 || r.preliminary() || !slices.Contains(transferVerbs, c.waiting[0].verb) || !c.waiting[1].offer {
		return 0, false
	}
	switch c.waiting[1].verb {
	case "EPSV":
		disorder = r.code == 229
	case "PASV":
		disorder = r.code == 227
	default:
		disorder = r.code == 200
	}
	if disorder {
		return 1, true
	}
	return 0, false
}

// mayRepeat says that a transfer that had something sent ahead failed in a way that the same transfer alone may not.
func (s *Session) mayRepeat(err error) bool {
	c := s.ctl
	if !c.aided || c.op.Err() != nil {
		return false
	}
	if c.failure() != nil || c.last.code == 421 { // the end of the connection follows
		s.spared.Store(true) // perhaps for that reason: the next session of this errand goes without
		return false
	}
	if _, local := asType[*localError](s.reason(err)); local {
		return false
	}
	return c.begun || !aboutTheFile(c.last)
}

// aboutTheFile says that a refusal is about the file, and nothing else is wrong.
func aboutTheFile(r reply) bool {
	return slices.Contains([]int{452, 530, 532, 550, 551, 552, 553}, r.code)
}
