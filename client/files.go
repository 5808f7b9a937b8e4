package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"portside/connlog"
	"portside/wire"
)

// List reads a folder. dir is absolute, or relative to the current folder; empty is the current folder. MLSD is used
// where the server has it, LIST else. "." and ".." are left out; see [Entry.Unsafe] for other names that lead elsewhere.
func (s *Session) List(ctx context.Context, dir string) ([]Entry, error) {
	return s.list(ctx, dir, nil)
}

func (s *Session) list(ctx context.Context, dir string, piece func([]Entry)) ([]Entry, error) {
	var entries []Entry
	err := s.do(ctx, "list", dir, func() (err error) {
		if s.hasMLSD() {
			if err := s.askFacts(); err != nil {
				return err
			}
			l, err := s.listWith("MLSD", dir, parseMLSD, piece)
			entries = l.entries
			// 501: it is no folder (RFC 3659 section 7.2.1), 550: it can't be read.
			if code := s.ctl.last.code; err == nil || code == 550 || code == 501 || code < 500 || s.ctl.dataErr != nil || s.ctl.failure() != nil {
				return err
			}
			s.noMLSD = true // announced, and then refused
		}
		return s.plainly(dir, func(dir string) error {
			entries, err = s.listUnix(dir, piece)
			entries = s.setClock(dir, entries, err)
			return err
		})
	})
	return entries, err
}

// plainly has list read a folder. A name that the server may take for a pattern is not told it: the folder is listed from
// within.
func (s *Session) plainly(dir string, list func(dir string) error) error {
	if !strings.ContainsAny(dir, "*?[]{}~") {
		return list(dir)
	}
	here, err := s.workingDir()
	if err != nil {
		return err
	}
	return s.within(here, dir, func() error { return list("") })
}

// listUnix lists with LIST, with "-a" for names that begin with a dot unless the server takes that for a name.
func (s *Session) listUnix(dir string, piece func([]Entry)) ([]Entry, error) {
	arg := dir
	if strings.HasPrefix(arg, "-") {
		arg = "./" + arg // else it would be taken for options
	}
	if !s.noDashA {
		options := "-a"
		if arg != "" {
			options += " " + arg
		}
		all, err := s.listWith("LIST", options, parseLIST, piece)
		refused := err != nil && s.ctl.last.code >= 500 && s.ctl.dataErr == nil && s.ctl.failure() == nil
		if !refused && (err != nil || all.lines > 0) {
			return all.entries, err
		}
	}
	l, err := s.listWith("LIST", arg, parseLIST, piece)
	s.noDashA = l.lines > 0 // without it there is something
	return l.entries, err
}

// Links returns the names in a folder that LIST shows as links. MLSD may show what they lead to instead, as pyftpdlib's does.
func (s *Session) Links(ctx context.Context, dir string) (map[string]bool, error) {
	links := map[string]bool{}
	err := s.do(ctx, "look for links in", dir, func() error {
		return s.plainly(dir, func(dir string) error {
			entries, err := s.listUnix(dir, nil)
			for _, e := range entries {
				if e.Type == Link {
					links[e.Name] = true
				}
			}
			return err
		})
	})
	return links, err
}

// Unique is what tells a file or folder from all others of the server, see [Entry.ID]. It is asked for with MLST (RFC 3659
// section 7); "" without an error: the server does not say.
func (s *Session) Unique(ctx context.Context, path string) (id string, err error) {
	if !strings.Contains(strings.ToLower(s.features["MLST"]), "unique") {
		return "", nil
	}
	err = s.do(ctx, "ask for the facts of", path, func() error {
		if err := s.askFacts(); err != nil {
			return err
		}
		line := "MLST"
		if path != "" {
			line += " " + path
		}
		r, err := s.ctl.command(s.ctl.op, line)
		if err != nil {
			return err
		}
		if r.code != 250 {
			return errRefused
		}
		for _, line := range r.lines {
			if fact, ok := strings.CutPrefix(line, " "); ok {
				e, _ := parseMLSD(fact, time.Time{})
				id = e.ID
			}
		}
		return nil
	})
	return id, err
}

// listWith runs one listing command.
func (s *Session) listWith(verb, arg string, parse parser, piece func([]Entry)) (lister, error) {
	command := verb
	if arg != "" {
		command += " " + arg
	}
	l := lister{parse: parse, now: time.Now(), piece: piece, decode: s.decode}
	err := s.retrieve(command, arg, 0, l.read, nil)
	if err == nil {
		err = l.judge()
	}
	return l, err
}

func (s *Session) hasMLSD() bool {
	_, mlst := s.features["MLST"]
	_, mlsd := s.features["MLSD"]
	return (mlst || mlsd) && !s.noMLSD
}

// askFacts has the server tell rights and owners in MLSD when it can and does not by itself, as pyftpdlib does not (OPTS
// MLST, RFC 3659 section 7.9). A server that doesn't take it lists as it did.
func (s *Session) askFacts() error {
	offered := strings.ToLower(s.features["MLST"])
	if s.facts || !strings.Contains(offered, "unix.") {
		return nil
	}
	s.facts = true
	wanted, more := "", false
	for _, f := range strings.Split(offered, ";") {
		name, on := strings.CutSuffix(strings.TrimSpace(f), "*")
		if slices.Contains(mlsdFacts, name) {
			wanted += name + ";"
			more = more || !on
		}
	}
	if !more {
		return nil
	}
	_, err := s.ctl.command(s.ctl.op, "OPTS MLST "+wanted)
	return err
}

// mlsdFacts are those that [parseMLSD] reads.
var mlsdFacts = []string{"type", "size", "modify", "perm", "unique", "unix.mode", "unix.owner", "unix.ownername", "unix.uid"}

// Get copies a file from offset on (REST) to w and returns how many bytes it wrote. When the session is in clear and w
// is an [*os.File], the kernel copies. Data is complete only when the error is nil.
func (s *Session) Get(ctx context.Context, path string, offset int64, w io.Writer) (int64, error) {
	var n int64
	err := s.do(ctx, "download", path, func() error {
		return s.retrieve("RETR "+path, path, offset, func(d *dataConn) error {
			err := d.download(w)
			n = d.moved.Load()
			return err
		}, rewinder(w))
	})
	return n, err
}

// rewinder undoes what was written to w from now on, when w is a file.
func rewinder(w io.Writer) func() bool {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	start, err := f.Seek(0, io.SeekCurrent)
	return func() bool {
		if err != nil {
			return false
		}
		if _, err := f.Seek(start, io.SeekStart); err != nil {
			return false
		}
		return f.Truncate(start) == nil
	}
}

// retrieve runs a command that brings data: through the library's RETR, whose line goes out as command.
// undo, which may be nil, takes back what read has done with the data.
func (s *Session) retrieve(command, path string, offset int64, read func(*dataConn) error, undo func() bool) error {
	var d *dataConn
	untouched := func() bool { return d == nil || d.moved.Load() == 0 || undo != nil && undo() }
	return s.transfer(command, untouched, func() error {
		s.ctl.instead, s.ctl.from = command, offset
		resp, err := s.lib.RetrFrom(path, uint64(max(offset, 0)))
		if err != nil {
			return err
		}
		d = s.ctl.data
		op := s.ctl.op // the next operation's context is another
		stop := context.AfterFunc(op, func() { d.stop(context.Cause(op)) })
		defer stop()
		if err = d.ready(s.ctl.op); err == nil {
			err = read(d)
		}
		if err != nil {
			d.stop(err)
			_ = d.Close()
		}
		if closing := resp.Close(); err == nil {
			err = closing
		}
		return err
	})
}

// Put stores r as a file, from offset on (REST) when that is not 0, and returns how many bytes were sent. When the
// session is in clear and r is an [*os.File], the kernel copies. If r fails or the context ends, the data connection is
// reset, so that the server does not take the part for the whole. A cancelled context is noticed when r returns. A small file
// with more to come ([Session.Follow]) may go out before the server has agreed; what it refuses then counts as not sent.
func (s *Session) Put(ctx context.Context, path string, offset int64, r io.Reader) (int64, error) {
	return s.store(ctx, "STOR", path, offset, r)
}

// Append adds r to the end of a file (APPE), which is made when it does not exist.
func (s *Session) Append(ctx context.Context, path string, r io.Reader) (int64, error) {
	return s.store(ctx, "APPE", path, 0, r)
}

// readerFunc makes a function an [io.Reader].
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s *Session) store(ctx context.Context, verb, path string, offset int64, r io.Reader) (int64, error) {
	var n int64
	inner := r
	err := s.do(ctx, "upload", path, func() error {
		used := false
		rewind := func() bool { return !used }
		if seeker, ok := r.(io.Seeker); ok {
			start, err := seeker.Seek(0, io.SeekCurrent)
			rewind = func() bool {
				if err == nil {
					_, err = seeker.Seek(start, io.SeekStart)
				}
				return err == nil
			}
		} else {
			r = readerFunc(func(p []byte) (int, error) { used = true; return inner.Read(p) })
		}
		err := s.transfer(verb+" "+path, rewind, func() error {
			var err error
			if verb == "APPE" {
				err = s.lib.Append(path, source{r})
			} else {
				s.ctl.hasty = offset <= 0 && s.mayUploadAhead(r)
				err = s.lib.StorFrom(path, source{r}, uint64(max(offset, 0)))
				s.ctl.hasty = false
			}
			if d := s.ctl.data; d != nil {
				if d.ahead && err == nil {
					err = d.unsent
				} else if d.ahead && !s.ctl.begun {
					d.moved.Store(0) // the server has taken nothing
				}
				n = d.moved.Load()
				if cause := d.cause(); cause != nil {
					err = cause // not the library's words about it
				}
			}
			return err
		})
		if err == nil {
			s.measureByUpload(path)
		}
		return err
	})
	return n, err
}

// transfer runs a command that needs a data connection. In [ModeAuto], when the data connection does not come about
// before a mode has proved itself, it runs it once more in the other mode, if rewind can undo what the first try did.
func (s *Session) transfer(command string, rewind func() bool, run func() error) error {
	was := s.choice.Load()
	s.plain = false
	err := s.attempt(run, *was)
	if err != nil && s.mayRepeat(err) && rewind() {
		s.plain = true
		s.ctl.dataErr, s.ctl.last = nil, reply{}
		if err = s.attempt(run, *was); err == nil {
			s.spare()
		}
	}
	s.plain = true // what follows is the other mode's first try
	if err == nil {
		s.proved(was, was.mode)
	}
	if err == nil || was.settled {
		return err
	}
	first, isData := asType[*dataError](s.reason(err))
	if !isData || !first.unopened() || s.ctl.failure() != nil || s.ctl.op.Err() != nil || !rewind() {
		return err
	}
	now := modeChoice{mode: was.mode.other()}
	s.record(connlog.Record{Event: connlog.ModeChanged, Channel: connlog.Data, Mode: connlog.Mode(now.mode),
		Command: wire.Mask(command), Reason: first.reason, Err: first.Error(), Reply: first.reply.String()})
	s.ctl.dataErr = nil
	err = s.attempt(run, now)
	if err == nil {
		s.proved(was, now.mode)
		return nil
	}
	if second, ok := asType[*dataError](s.reason(err)); ok && second.unopened() {
		err = &bothFailed{first: first, second: second}
		s.ctl.dataErr = err
	}
	return err
}

// bothFailed is what [ModeAuto] met when neither mode gave a data connection.
type bothFailed struct{ first, second *dataError }

func (e *bothFailed) Error() string {
	return fmt.Sprintf("neither mode gives a data connection: %v; %v", describe(e.first), describe(e.second))
}

func (e *bothFailed) Unwrap() []error { return []error{e.first, e.second} }

// asBothFailed fills in e when neither mode worked.
func asBothFailed(err error, e *Error) bool {
	both, ok := asType[*bothFailed](err)
	if ok {
		e.Reason, e.Err, e.Data, e.Unopened, e.Mode = both.second.reason, both, true, true, ModeAuto
		e.Advice = "The control connection works, so the server is there. Probably a firewall closes its passive ports, and " +
			"this computer can't be reached from outside: the server's owner can open the passive ports."
	}
	return ok
}

func describe(e *dataError) string {
	if e.reply.code != 0 {
		return fmt.Sprintf("%v (%q)", e, e.reply.String())
	}
	return e.Error()
}

// proved keeps the mode after the first data connection that worked, unless the person has chosen another meanwhile.
func (s *Session) proved(was *modeChoice, m Mode) {
	if !was.settled && s.choice.CompareAndSwap(was, &modeChoice{m, true}) && s.o.Remember != nil {
		s.o.Remember(m)
	}
}

// reason is the data connection's own account of err, when there is one.
func (s *Session) reason(err error) error {
	if s.ctl.dataErr != nil {
		return s.ctl.dataErr
	}
	return err
}

// attempt runs a transfer once, and leaves the control connection in step and the data connection closed and recorded.
func (s *Session) attempt(run func() error, in modeChoice) error {
	c := s.ctl
	c.open = func() (*dataConn, error) { return s.offer(c.op, in.mode, !in.settled) }
	c.aided, c.ready = false, nil
	err := run()
	c.instead = ""
	d := c.data
	if err == nil && d != nil && d.mode == ModeActive {
		s.dialsBack = true
	}
	if err != nil {
		if d != nil && c.dataErr == nil {
			c.blame(d)
		}
		if c.begun || !aboutTheFile(c.last) {
			s.takeBack()
		}
		abort := func() {
			if d != nil {
				d.stop(err)
				_ = d.Close()
			}
		}
		if s.life.Err() != nil {
			abort() // the session ends anyway
		} else {
			c.settle(abort)
		}
	}
	if data, ok := asType[*dataError](s.reason(err)); ok || err == nil && d != nil {
		s.barren[in.mode] = ok && data.unopened()
	}
	if d != nil {
		ended := s.reason(err)
		if err != nil && c.op.Err() != nil {
			ended = context.Cause(c.op)
		} else if err != nil && c.dataErr == nil && c.last.code >= 400 {
			ended = &dataError{mode: d.mode, reason: connlog.ReasonRejected, reply: c.last, opened: true,
				err: errors.New("the server ended it")}
		}
		d.end(ended, 0)
		c.mu.Lock()
		c.data = nil
		c.mu.Unlock()
	}
	return err
}

// blame finds out whether d is why the transfer failed, or the server's word about the file.
func (c *control) blame(d *dataConn) {
	cause := d.cause()
	if cause == nil {
		cause = d.unopened()
	}
	if cause == errUnused {
		cause = nil
	}
	if e, ok := asType[*dataError](cause); ok && e.reply.code != 0 && e.reply.code != 425 && e.reply.code != 426 {
		c.last = e.reply
		return
	}
	if cause == nil && c.last.code == 425 {
		cause = &dataError{mode: d.mode, reason: connlog.ReasonRejected, reply: c.last, err: errors.New("the server could not use it")}
	}
	c.dataErr = cause
}

// Moved is how many bytes of payload the transfer under way has moved, 0 when there is none. It may be called while
// another method runs.
func (s *Session) Moved() int64 {
	s.ctl.mu.Lock()
	defer s.ctl.mu.Unlock()
	if s.ctl.data == nil {
		return 0
	}
	return s.ctl.data.moved.Load()
}

// SetMode makes the transfers after the one under way use another mode; [ModeAuto] finds out again.
func (s *Session) SetMode(m Mode) {
	switch {
	case m == ModePassive || m == ModeActive:
		s.choice.Store(&modeChoice{m, true})
	case s.o.First == ModeActive:
		s.choice.Store(&modeChoice{ModeActive, false})
	default:
		s.choice.Store(&modeChoice{ModePassive, false})
	}
}

// Mode is the mode in use: for [ModeAuto] the one that worked, or will be tried first.
func (s *Session) Mode() Mode { return s.choice.Load().mode }

// modeChoice is the mode of the next data connection. settled: it has worked, or a person chose it.
type modeChoice struct {
	mode    Mode
	settled bool
}

// Rename moves a file or folder (RNFR, RNTO).
func (s *Session) Rename(ctx context.Context, from, to string) error {
	if err := s.checkCharset(to); err != nil {
		return &Error{Op: "rename", On: from, Reason: connlog.ReasonPolicy, Err: err}
	}
	return s.do(ctx, "rename", from, func() error { return s.lib.Rename(from, to) })
}

// Delete deletes a file (DELE).
func (s *Session) Delete(ctx context.Context, path string) error {
	return s.do(ctx, "delete", path, func() error { return s.lib.Delete(path) })
}

// RemoveDir deletes an empty folder (RMD).
func (s *Session) RemoveDir(ctx context.Context, path string) error {
	return s.do(ctx, "delete folder", path, func() error { return s.lib.RemoveDir(path) })
}

// MakeDir makes a folder (MKD).
func (s *Session) MakeDir(ctx context.Context, path string) error {
	return s.do(ctx, "make folder", path, func() error { return s.lib.MakeDir(path) })
}

// ChangeDir changes the current folder (CWD).
func (s *Session) ChangeDir(ctx context.Context, path string) error {
	return s.do(ctx, "change to folder", path, func() error { return s.lib.ChangeDir(path) })
}

// CheckDir asks with CWD whether a folder is there and can be entered. The current folder stays what it was.
func (s *Session) CheckDir(ctx context.Context, path string) error {
	return s.do(ctx, "change to folder", path, func() error {
		here, err := s.workingDir()
		if err != nil {
			return err
		}
		return s.within(here, path, func() error { return nil })
	})
}

// within runs do with dir as the current folder, and goes back to here. It does so when the operation was cancelled, too:
// else every relative path after it would name something else. A session that can't go back is given up.
func (s *Session) within(here, dir string, do func() error) error {
	c := s.ctl
	err := s.lib.ChangeDir(dir)
	if err == nil {
		err = do()
	} else if c.op.Err() == nil {
		return err
	}
	if c.failure() != nil || s.life.Err() != nil {
		return err
	}
	limit := s.o.Timeouts.Reply
	if c.op.Err() != nil {
		limit = min(limit, abortLimit)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.op), limit)
	defer cancel()
	last := c.last
	r, back := c.command(ctx, "CWD "+here)
	if back != nil || r.code >= 300 {
		reason := connlog.ReasonTimeout
		if back == nil {
			reason = connlog.ReasonRejected
		}
		c.fail(&Error{Op: "control connection", Reason: reason, Code: r.code, Reply: r.String(),
			Err: errors.New("the server did not change back to the folder before, so the session was given up")}, connlog.Client, reason)
		return cmp.Or(err, c.failure())
	}
	if err != nil {
		c.last = last
	}
	return err
}

// CurrentDir is the current folder (PWD).
func (s *Session) CurrentDir(ctx context.Context) (dir string, err error) {
	err = s.do(ctx, "ask for the current folder", "", func() error {
		dir, err = s.workingDir()
		return err
	})
	return dir, err
}

// workingDir is PWD; the library takes text that stands after the path for a part of it.
func (s *Session) workingDir() (string, error) {
	r, err := s.ctl.command(s.ctl.op, "PWD")
	if err != nil {
		return "", err
	}
	if r.code != 257 {
		return "", errRefused
	}
	return wire.Parse257(r.text())
}

// Size is a file's size in bytes (SIZE).
func (s *Session) Size(ctx context.Context, path string) (n int64, err error) {
	err = s.do(ctx, "ask for the size of", path, func() error {
		var text string
		if text, err = s.ask("SIZE " + path); err == nil {
			n, err = wire.ParseOffset(text)
		}
		return err
	})
	return n, err
}

// ask sends a command and returns the text of the reply, which must be a success.
func (s *Session) ask(line string) (string, error) {
	r, err := s.ctl.command(s.ctl.op, line)
	if err != nil {
		return "", err
	}
	if r.code < 200 || r.code > 299 {
		return "", errRefused
	}
	return r.text(), nil
}

// ModTime is when a file was last changed (MDTM), in UTC, to the second.
func (s *Session) ModTime(ctx context.Context, path string) (t time.Time, err error) {
	err = s.do(ctx, "ask for the time of", path, func() error {
		if _, ok := s.features["MDTM"]; !ok {
			return errors.New("the server does not tell times")
		}
		var text string
		if text, err = s.ask("MDTM " + path); err == nil {
			if t, err = wire.ParseTime(text); err == nil {
				t = t.Truncate(time.Second).Add(-s.mdtmOffset())
			}
		}
		return err
	})
	return t, err
}

// CanSetModTime says whether [Session.SetModTime] may work: the server has MFMT, or is vsftpd, which takes MDTM for it.
func (s *Session) CanSetModTime() bool {
	_, mfmt := s.features["MFMT"]
	_, mdtm := s.features["MDTM"]
	return (mfmt || mdtm && strings.Contains(strings.ToLower(s.greeting), "vsftpd")) && !s.untimed.Load()
}

// SetModTime sets when a file was last changed, to the second. When more transfers were announced ([Session.Follow]), and
// the server is known to carry out one command after the other, it does not wait for the answer: then a refusal is no
// error, but [Session.CanSetModTime] says no from then on.
func (s *Session) SetModTime(ctx context.Context, path string, t time.Time) error {
	t = t.Add(s.mdtmOffset())
	next := s.next.Load()
	if next == nil || !next.more || s.spared.Load() || !greets(s.greeting, orderly) {
		return s.do(ctx, "set the time of", path, func() error { return s.lib.SetTime(path, t) })
	}
	verb := "MDTM"
	if _, has := s.features["MFMT"]; has {
		verb = "MFMT"
	}
	line := verb + " " + t.UTC().Format("20060102150405") + " " + path
	return s.do(ctx, "set the time of", path, func() error {
		return s.ctl.write([]outgoing{{line: line, e: &early{command: line, dead: true, answered: func(r reply) {
			if r.code >= 400 {
				s.untimed.Store(true)
			}
		}}}})
	})
}

// Features is what FEAT named: the command in capitals, and what stood after it.
func (s *Session) Features() map[string]string { return maps.Clone(s.features) }

// Noop keeps the session alive (NOOP).
func (s *Session) Noop(ctx context.Context) error {
	return s.do(ctx, "keep alive", "", func() error { return s.lib.NoOp() })
}

// Reply is a server's final reply.
type Reply struct {
	Code int
	Text string // all lines, joined by "\n", control characters escaped
}

// Raw sends one command line and returns its final reply, whatever its code. A command that needs a data connection
// gets none.
func (s *Session) Raw(ctx context.Context, line string) (Reply, error) {
	var out Reply
	if err := s.checkCharset(line); err != nil {
		return out, &Error{Op: "send", On: wire.Mask(line), Reason: connlog.ReasonPolicy, Err: err}
	}
	err := s.do(ctx, "send", wire.Mask(line), func() error {
		r, err := s.ctl.command(s.ctl.op, line)
		out = Reply{r.code, r.String()}
		return err
	})
	return out, err
}

// Bounds of a listing.
const (
	maxListingLine  = 16 << 10
	maxListingBytes = 256 << 20
	maxEntries      = 1_000_000
)

// lister reads a listing that is written to it.
type lister struct {
	parse   parser
	decode  func(string) string
	now     time.Time
	entries []Entry
	lines   int    // that say something
	odd     string // the first line that can't be read
	part    []byte // of a line
	total   int
	err     error // why it is too much
	piece   func([]Entry)
	texts   map[string]string // that entries share
}

func (l *lister) read(d *dataConn) error {
	err := d.download(l)
	if l.err != nil {
		return &dataError{mode: d.mode, reason: connlog.ReasonPolicy, opened: true, err: l.err}
	}
	if err == nil {
		l.line(l.part)
	}
	return err
}

// Write takes the next part of the listing.
func (l *lister) Write(p []byte) (int, error) {
	n := len(p)
	if l.total += n; l.total > maxListingBytes || len(l.entries) > maxEntries {
		l.err = fmt.Errorf("the listing has more than %d entries or %d MiB", maxEntries, maxListingBytes>>20)
		return 0, l.err
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		if len(l.part) > 0 {
			l.part = append(l.part, p[:i]...)
			l.line(l.part)
			l.part = l.part[:0]
		} else {
			l.line(p[:i])
		}
		p = p[i+1:]
	}
	if l.part = append(l.part, p...); len(l.part) > maxListingLine {
		l.err = fmt.Errorf("a line of the listing is longer than %d bytes", maxListingLine)
		return 0, l.err
	}
	if l.piece != nil && len(l.entries) > 0 {
		l.piece(slices.Clip(l.entries))
	}
	return n, nil
}

func (l *lister) line(b []byte) {
	line := l.decode(strings.TrimSuffix(string(b), "\r"))
	if line == "" {
		return
	}
	switch e, kind := l.parse(line, l.now); kind {
	case lineEntry:
		l.lines++
		l.compact(&e)
		l.entries = append(l.entries, e)
	case lineSelf:
		l.lines++
	case lineOdd:
		if l.odd == "" {
			l.odd = line
		}
		if e.Name != "" {
			l.entries = append(l.entries, e)
		}
	}
}

// compact lets go of the line that an entry was cut out of, and keeps what many entries have once: there may be a million.
func (l *lister) compact(e *Entry) {
	e.Name, e.Target, e.ID = strings.Clone(e.Name), strings.Clone(e.Target), strings.Clone(e.ID)
	e.Rights, e.Owner = l.shared(e.Rights), l.shared(e.Owner)
}

// maxShared is how many texts are known by which others are shared.
const maxShared = 1000

func (l *lister) shared(text string) string {
	if known, ok := l.texts[text]; ok {
		return known
	}
	text = strings.Clone(text)
	if l.texts == nil {
		l.texts = map[string]string{}
	}
	if len(l.texts) < maxShared {
		l.texts[text] = text
	}
	return text
}

// judge says that a listing of which nothing can be read is no empty folder.
func (l *lister) judge() error {
	if l.odd != "" && l.lines == 0 {
		return fmt.Errorf("the server's listing can't be read; its first line is %q", clip(l.odd))
	}
	return nil
}
