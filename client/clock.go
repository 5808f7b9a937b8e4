package client

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"portside/connlog"
)

// Clock is what is known of the zone in which a server writes the times of its LIST listings. MLSD and MDTM give UTC
// (RFC 3659 section 2.3), LIST gives the server's local time without saying which. The zero Clock knows nothing.
type Clock struct {
	mu      sync.Mutex
	offset  time.Duration // ahead of UTC
	known   bool
	fixed   bool // a person has set it
	tried   int
	local   bool // MDTM gives what LIST does
	written int  // uploads that were asked for their time, as far as that has told nothing
}

func (k *Clock) set(offset *time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if offset != nil {
		k.offset, k.known, k.fixed = *offset, true, true
	}
}

// TimeOffset is how far the times in the server's LIST listings are ahead of UTC, and whether that is known: it was given in
// [Options], or measured by comparing a listed file's time with its MDTM. With MLSD there is nothing to know. Listed times
// are UTC once it is known.
func (s *Session) TimeOffset() (offset time.Duration, known bool) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	return s.clock.offset, s.clock.known
}

// mdtmOffset is how far the times of MDTM are ahead of UTC. RFC 3659 section 2.3 says that they are not, but vsftpd's are as
// its listings (use_localtime, which Debian sets), so what a person has set holds for them, too.
func (s *Session) mdtmOffset() time.Duration {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	if s.clock.local || s.clock.fixed && greets(s.greeting, localTimes) {
		return s.clock.offset
	}
	return 0
}

// measureByUpload finds out how far MDTM is ahead of UTC where it is as LIST is, which nothing that is only read tells: the
// file called path has just been written, so its time is now, as far as the clocks of both computers go right.
func (s *Session) measureByUpload(path string) {
	if _, has := s.features["MDTM"]; !has || !greets(s.greeting, localTimes) {
		return
	}
	s.clock.mu.Lock()
	ask := !s.clock.fixed && !s.clock.local && s.clock.written < clockTries
	s.clock.mu.Unlock()
	if !ask {
		return
	}
	at, ok := s.timeOf(path)
	diff := time.Until(at)
	offset := diff.Round(zoneStep)
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.written++
	if off := diff - offset; !ok || off.Abs() > clocksApart || offset.Abs() > zoneMost {
		return
	}
	s.clock.written = clockTries
	if offset != 0 {
		s.clock.offset, s.clock.known, s.clock.local = offset, true, true
	}
}

// timeOf is what MDTM says of a file, as it says it.
func (s *Session) timeOf(path string) (at time.Time, ok bool) {
	last := s.ctl.last
	r, err := s.ctl.command(s.ctl.op, "MDTM "+path)
	s.ctl.last = last
	if err != nil || r.code != 213 {
		return at, false
	}
	stamp, _, _ := strings.Cut(r.text(), ".")
	at, err = time.ParseInLocation("20060102150405", stamp, time.UTC)
	return at, err == nil
}

// How often a session tries to measure, and what a zone can be: whole quarters of an hour, at most 14 hours ahead.
const (
	clockTries = 3
	zoneStep   = 15 * time.Minute
	zoneMost   = 14 * time.Hour

	clocksApart = 3 * time.Minute // how far both computers' clocks may be apart
)

// setClock returns a LIST listing with its times in UTC, and measures the offset first if it is not known: one MDTM of one
// file. The entries themselves may be on a screen already and stay as they are.
func (s *Session) setClock(dir string, entries []Entry, err error) []Entry {
	if err != nil {
		return entries
	}
	offset, known := s.TimeOffset()
	if !known {
		offset, known = s.measureClock(dir, entries)
	}
	if !known || offset == 0 {
		return entries
	}
	entries = slices.Clone(entries)
	for i := range entries {
		if !entries[i].Time.IsZero() {
			entries[i].Time = entries[i].Time.Add(-offset)
		}
	}
	return entries
}

func (s *Session) measureClock(dir string, entries []Entry) (time.Duration, bool) {
	if _, has := s.features["MDTM"]; !has {
		return 0, false
	}
	s.clock.mu.Lock()
	again := s.clock.tried < clockTries
	s.clock.mu.Unlock()
	if !again {
		return 0, false
	}
	for _, e := range entries {
		if e.Type != File || e.Unsafe || e.Time.IsZero() || e.Precision > time.Minute {
			continue
		}
		s.clock.mu.Lock()
		s.clock.tried++
		s.clock.mu.Unlock()
		at, ok := s.timeOf(path.Join(dir, e.Name))
		if !ok {
			return 0, false
		}
		diff := e.Time.Sub(at.Truncate(time.Minute))
		offset := diff.Round(zoneStep)
		if off := diff - offset; off.Abs() > time.Minute || offset.Abs() > zoneMost {
			return 0, false // the file was changed between the two, or the listing's year is a guess
		}
		s.clock.mu.Lock()
		defer s.clock.mu.Unlock()
		if !s.clock.known { // another session may have found it out meanwhile, and by an upload, which tells more
			s.clock.offset, s.clock.known = offset, true
		}
		return s.clock.offset, true
	}
	return 0, false
}

// mayGoInClear asks before a password goes out in clear.
func (s *Session) mayGoInClear(ctx context.Context) error {
	if s.tlsState != nil || s.o.InClear == nil || s.o.User == Anonymous {
		return nil
	}
	_ = s.ctl.tcp.SetDeadline(time.Time{}) // a person may have to think
	err := s.o.InClear(ctx, s.peer)
	if err == nil {
		return nil
	}
	e := &Error{Reason: connlog.ReasonPolicy, Err: errors.New("the password was not sent in clear"), Advice: "Nothing was sent."}
	if ctx.Err() != nil {
		e.Reason, e.Err, e.Advice = connlog.ReasonCancelled, context.Cause(ctx), ""
	}
	return e
}
