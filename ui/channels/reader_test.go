package channels

import (
	"strings"
	"testing"
	"time"

	"portside/connlog"
)

func TestReaderShowsOnlyItsOwnSide(t *testing.T) {
	log := connlog.NewLog(0)
	newTeller(log, connlog.Client, "c1", 0).signIn("alice")
	newTeller(log, connlog.Server, "s1", 0).signIn("alice")
	r := &reader{log: log, side: connlog.Server}
	v := r.read(query{})
	if len(v.sessions) != 1 || v.sessions[0].ID != "s1" || v.total != 1 {
		t.Fatalf("sessions %v, %d channels; want the server's one", v.sessions, v.total)
	}
	for _, l := range v.lines {
		if l.session.ID != "s1" {
			t.Fatalf("line of %v", l.session)
		}
	}
}

func TestReaderOrdersTheChannelsOfAllSessionsByTime(t *testing.T) {
	log := connlog.NewLog(0)
	a := newTeller(log, connlog.Client, "a", 0)
	b := newTeller(log, connlog.Client, "b", 50*time.Millisecond)
	a.signIn("alice")
	b.signIn("bob")
	a.passive("MLSD", 4096)
	b.now = a.now.Add(time.Second)
	b.passive("RETR b", 1)
	a.now = b.now.Add(time.Second)
	a.passive("RETR a", 1)
	r := &reader{log: log, side: connlog.Client}
	v := r.read(query{})
	var got []string
	for _, c := range v.channels {
		got = append(got, c.ID)
	}
	if s := strings.Join(got, ""); s != "ababa" {
		t.Errorf("order %q, want ababa", s)
	}
	if !v.several {
		t.Error("rows of two sessions don't name theirs")
	}
	if v = r.read(query{choice: newestSession}); len(v.channels) != 2 || v.channels[0].ID != "b" || v.several {
		t.Errorf("newest session: %d channels of %v", len(v.channels), v.channels[0].ID)
	}
	if v = r.read(query{choice: oneSession, session: connlog.SessionKey{Side: connlog.Client, ID: "a"}}); len(v.channels) != 3 {
		t.Errorf("session a: %d channels, want 3", len(v.channels))
	}
}

func TestReaderFiltersFailuresAndText(t *testing.T) {
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	s.passive("RETR Report.PDF", 10)
	s.blocked(connlog.ReasonTimeout)
	r := &reader{log: log, side: connlog.Client}
	v := r.read(query{failures: true})
	if len(v.channels) != 1 || v.channels[0].State != connlog.Failed || v.total != 3 || v.failed != 1 {
		t.Errorf("failures: %d of %d shown, %d failed", len(v.channels), v.total, v.failed)
	}
	for _, l := range v.lines {
		if !l.failed {
			t.Errorf("line that did not fail: %q", l.text)
		}
	}
	if len(v.lines) < 2 {
		t.Errorf("%d failed lines, want the event and the 425", len(v.lines))
	}
	v = r.read(query{text: "report.pdf"})
	if len(v.channels) != 1 || !strings.Contains(v.channels[0].Command, "Report.PDF") {
		t.Errorf("search finds %d channels", len(v.channels))
	}
	if v = r.read(query{text: "10.0.0.9"}); len(v.channels) != 1 {
		t.Errorf("search for an address finds %d channels", len(v.channels))
	}
}

func TestReaderReadsEachRecordOnceAndKeepsABoundedNumber(t *testing.T) {
	log := connlog.NewLog(1000)
	s := newTeller(log, connlog.Client, "a", 0)
	r := &reader{log: log, side: connlog.Client}
	asked := query{text: "noop 7"}
	var last view
	for i := range 60 {
		for range 1000 {
			s.command("NOOP 7")
		}
		if last = r.read(asked); i == 0 && len(last.lines) != 1000 {
			t.Fatalf("%d lines found, want 1000", len(last.lines))
		}
	}
	if n := len(r.lines); n < maxLines || n > maxLines*5/4 {
		t.Errorf("%d lines kept, want about %d", n, maxLines)
	}
	if n := len(last.lines); n < maxLines || n > maxLines*5/4 {
		t.Errorf("%d lines found, want about %d", n, maxLines)
	}
	for i := 1; i < len(last.lines); i++ {
		if last.lines[i].seq != last.lines[i-1].seq+1 {
			t.Fatalf("line %d has Seq %d after %d", i, last.lines[i].seq, last.lines[i-1].seq)
		}
	}
}

func TestReaderLeavesAViewAloneOnceGiven(t *testing.T) {
	log := connlog.NewLog(0)
	s := newTeller(log, connlog.Client, "a", 0)
	s.signIn("alice")
	r := &reader{log: log, side: connlog.Client}
	first := r.read(query{})
	texts := make([]string, len(first.lines))
	for i, l := range first.lines {
		texts[i] = l.text
	}
	for range 3 * maxLines / 2 {
		s.command("NOOP")
		if s.now.Second()%10 == 0 && s.now.Nanosecond() < 13e6 {
			r.read(query{})
		}
	}
	r.read(query{})
	for i, l := range first.lines {
		if l.text != texts[i] {
			t.Fatalf("line %d of an earlier view became %q", i, l.text)
		}
	}
}
