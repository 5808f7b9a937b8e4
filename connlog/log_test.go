package connlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	t0       = time.Date(2026, 11, 23, 9, 41, 7, 118e6, time.UTC)
	clientAt = netip.MustParseAddrPort("192.168.1.7:51812")
	serverAt = netip.MustParseAddrPort("203.0.113.5:21")
)

// tape plays records into a log, each a millisecond after the one before.
type tape struct {
	log  *Log
	side Side
	n    int
}

func (t *tape) play(rs ...Record) {
	for _, r := range rs {
		if r.Time.IsZero() {
			r.Time = t0.Add(time.Duration(t.n) * time.Millisecond)
		}
		t.n++
		r.Side = t.side
		if r.Session == "" {
			r.Session = "s1"
		}
		t.log.Record(r)
	}
}

func open(side Side) *tape {
	t := &tape{log: NewLog(0), side: side}
	t.play(Record{Event: ControlOpened, Channel: Control, Initiator: Client, From: clientAt, To: serverAt})
	return t
}

func (t *tape) session(tb testing.TB) Session {
	tb.Helper()
	s, ok := t.log.Session(SessionKey{t.side, "s1"})
	if !ok {
		tb.Fatal("the log has no session s1")
	}
	return s
}

func cmd(line string) Record   { return Record{Event: CommandSent, Channel: Control, Command: line} }
func reply(line string) Record { return Record{Event: ReplySent, Channel: Control, Reply: line} }

func TestAnActiveTransferIsOneChannelOpenedByTheServer(t *testing.T) {
	tp := open(Client)
	tp.play(
		cmd("PWD"), reply(`257 "/"`),
		cmd("EPRT |1|192.168.1.7|50210|"),
		Record{Event: ActiveRequested, Channel: Data, Conn: 1, Mode: Active, Initiator: Server, Command: "EPRT |1|192.168.1.7|50210|", To: netip.MustParseAddrPort("192.168.1.7:50210")},
		reply("200 EPRT command successful"),
		cmd("RETR a.iso"), reply("150 Here it comes"),
		Record{Event: DataOpened, Channel: Data, Conn: 1, Mode: Active, Initiator: Server, From: netip.MustParseAddrPort("203.0.113.5:20"), To: netip.MustParseAddrPort("192.168.1.7:50210")},
		Record{Event: DataProgress, Channel: Data, Conn: 1, Bytes: 1 << 20},
	)
	c := tp.session(t).Channels[1]
	if c.State != Open || c.Initiator != Server || c.Bytes != 1<<20 || c.Command != "RETR a.iso" {
		t.Fatalf("while it runs: %+v", c)
	}
	tp.play(
		Record{Event: DataClosed, Channel: Data, Conn: 1, Bytes: 19293798, Duration: 1640 * time.Millisecond},
		reply("226 Done"), cmd("NOOP"), reply("200 Still here"),
	)
	c = tp.session(t).Channels[1]
	if got, want := c.Label(), "Data · active · the server opened it · 18.4 MiB download"; got != want {
		t.Errorf("label %q, want %q", got, want)
	}
	if c.ClientEnd().Port() != 50210 || c.ServerEnd().Port() != 20 {
		t.Errorf("ends %v and %v", c.ClientEnd(), c.ServerEnd())
	}
	var lines []string
	for _, l := range c.Dialogue {
		lines = append(lines, l.Text)
	}
	want := []string{"EPRT |1|192.168.1.7|50210|", "200 EPRT command successful", "RETR a.iso", "150 Here it comes", "226 Done"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("dialogue %q, want %q", lines, want)
	}
	if words := c.Explain().String(); !strings.Contains(words, "the server dialled back") || !strings.Contains(words, "inbound connection to TCP port 50210") {
		t.Errorf("explanation: %s", words)
	}
}

func TestOffersThatNobodyTookEndWithTheSession(t *testing.T) {
	tp := open(Server)
	tp.play(
		Record{Event: PassiveOffered, Channel: Data, Conn: 1, Mode: Passive, Initiator: Client, Command: "EPSV", To: netip.MustParseAddrPort("203.0.113.5:21107")},
		Record{Event: PassiveOffered, Channel: Data, Conn: 2, Mode: Passive, Initiator: Client, Command: "EPSV", To: netip.MustParseAddrPort("203.0.113.5:21108")},
		Record{Event: DataFailed, Channel: Data, Conn: 2, Mode: Passive, Initiator: Client, Reason: ReasonNotTaken},
		Record{Event: ControlClosed, Channel: Control, By: Client, Reason: ReasonQuit},
	)
	s := tp.session(t)
	if s.Open() || s.Failed != 0 || s.Channels[1].State != Withdrawn || s.Channels[2].State != Withdrawn || s.Channels[0].State != Closed {
		t.Errorf("%+v", s)
	}
}

func TestTheLogStaysBounded(t *testing.T) {
	l := NewLog(100)
	for i := range 3000 {
		id := fmt.Sprintf("s%d", i)
		for conn := range 3 {
			l.Record(Record{Session: id, Side: Server, Event: PassiveOffered, Channel: Data, Conn: conn + 1, Mode: Passive})
		}
		l.Record(Record{Session: id, Side: Server, Event: ControlClosed, Channel: Control})
	}
	for conn := range 2000 {
		l.Record(Record{Session: "busy", Side: Server, Event: DataOpened, Channel: Data, Conn: conn + 1, Mode: Passive})
	}
	if rs := l.Records(0); len(rs) != 100 || rs[99].Seq != 14000 || rs[0].Seq != 13901 {
		t.Errorf("%d records, %d to %d", len(rs), rs[0].Seq, rs[len(rs)-1].Seq)
	}
	ss := l.Sessions()
	if len(ss) != maxSessions {
		t.Errorf("%d sessions", len(ss))
	}
	busy := ss[len(ss)-1]
	if len(busy.Channels) != maxChannels+1 || busy.Dropped != 2000-maxChannels || busy.Channels[0].Kind != Control {
		t.Errorf("%d channels, %d dropped", len(busy.Channels), busy.Dropped)
	}
	if rs := l.Records(13_995); len(rs) != 5 || rs[0].Seq != 13_996 {
		t.Errorf("records after 13995: %v", rs)
	}
}

func TestRecordSurvivesJSON(t *testing.T) {
	in := Record{Time: t0, Session: "s1", Side: Client, Event: DataClosed, Channel: Data, Conn: 3, Mode: Passive, Initiator: Client,
		From: clientAt, To: netip.MustParseAddrPort("[2001:db8::1]:21107"), Advertised: netip.MustParseAddrPort("10.0.0.1:21107"),
		TLS: "TLS 1.3", Resumed: true, Bytes: 0, Duration: 1500 * time.Millisecond, Command: "LIST", By: Server}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(`"bytes":0`)) || !bytes.Contains(b, []byte(`"time":"2026-11-23T09:41:07.118Z"`)) {
		t.Errorf("%s", b)
	}
	for _, same := range []bool{false, true} { // the same address in three places
		if same {
			in.From, in.Advertised = in.To, in.To
			if b, err = json.Marshal(in); err != nil {
				t.Fatal(err)
			}
		}
		var out Record
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(in) != fmt.Sprint(out) {
			t.Errorf("in  %v\nout %v", in, out)
		}
	}
}

func TestWhatAStrangerSendsCannotForgeALogLine(t *testing.T) {
	var text, js bytes.Buffer
	log := NewLog(0)
	rec := Tee(NewTextWriter(&text), NewJSONWriter(&js), log)
	evil := "RETR a\r\n09:00:00 you were hacked \x1b[2J \u202egnp.exe \xff**bold**`code`%s"
	rec.Record(Record{Side: Server, Session: "s1", Event: CommandSent, Channel: Control, Command: evil})
	rec.Record(Record{Side: Server, Session: "s1", Event: DataFailed, Channel: Data, Conn: 1, Mode: Passive, Err: evil, Command: evil})
	if err := log.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), js.String()} {
		if strings.ContainsAny(out, "\x1b\r\u202e") || strings.Contains(out, "\n09:00:00") {
			t.Errorf("%q", out)
		}
	}
	if !strings.Contains(text.String(), "**bold**`code`%s") {
		t.Error("a text from outside was read as our own markup")
	}
}

func TestAnothersLogFileCannotActOnATerminal(t *testing.T) {
	const evil = `\u001b[2J\u202e`
	line := func(event string) string {
		return `{"time":"2026-11-23T09:41:07.118Z","session":"` + evil + `","side":"server","event":"` + event + `","channel":"` + evil + `","conn":1,"mode":"` + evil +
			`","initiator":"` + evil + `","command":"` + evil + `","reply":"` + evil + `","user":"` + evil + `","by":"` + evil + `","reason":"` + evil + `","error":"` + evil +
			`","addr":"` + evil + `","holders":["` + evil + `"],"host":"` + evil + `","peer":"` + evil + `","software":"` + evil + `","tls":"` + evil + `","cipher":"` + evil + `"}`
	}
	var lines []string
	for _, event := range []string{"control-opened", "ports-exhausted", "listening", "data-failed", "control-closed", evil} {
		lines = append(lines, line(event))
	}
	l := NewLog(0)
	if n, err := l.ReadJSON(strings.NewReader(strings.Join(lines, "\n"))); n != len(lines) || err != nil {
		t.Fatal(n, err)
	}
	for what, write := range map[string]func(io.Writer) error{"comparison": l.WriteComparison, "text": l.WriteText, "page": l.WriteHTML, "JSON": l.WriteJSON} {
		var out bytes.Buffer
		if err := write(&out); err != nil || strings.ContainsAny(out.String(), "\x1b\u202e") || strings.Contains(out.String(), `"`+evil[:6]) {
			t.Errorf("%s: %v %q", what, err, out.String())
		}
	}
}

func TestAFullRangeOfManySessionsTakesLittleRoom(t *testing.T) {
	holders := make([]string, 4000)
	for i := range holders {
		holders[i] = fmt.Sprintf("%08x guest 192.168.1.44: %d", i, 21100+i)
	}
	l := NewLog(0)
	l.Record(Record{Side: Server, Session: "a", Event: PortsExhausted, Channel: Data, Conn: 1, Mode: Passive, Holders: holders})
	kept := l.Records(0)[0].Holders
	if len(kept) > 100 || kept[0] != holders[0] || kept[len(kept)-1] != fmt.Sprintf("%d more", 4000-len(kept)+1) {
		t.Errorf("%d holders are kept, the last is %q", len(kept), kept[len(kept)-1])
	}
	if len(holders) != 4000 || holders[60] != "0000003c guest 192.168.1.44: 21160" {
		t.Error("the server's own list was changed")
	}
}

// As in a log that was saved after its first records had made room, or with more open sessions than it keeps.
func TestASessionWhoseBeginIsNotInTheLogIsNotSaidToBeDialling(t *testing.T) {
	for _, side := range []Side{Client, Server} {
		tp := &tape{log: NewLog(0), side: side}
		tp.play(cmd("NOOP"), reply("200 OK."))
		c := tp.session(t).Channels[0]
		text := c.Explain().String() + c.Label()
		if c.State != Open || !strings.Contains(text, "begin") || strings.Contains(text, "opening") || strings.Contains(text, "clear") || strings.Contains(text, "?") {
			t.Errorf("%s: %s, %s", side, c.State, text)
		}
		tp.play(Record{Event: ControlClosed, Channel: Control, By: Client, Reason: ReasonQuit})
		c = tp.session(t).Channels[0]
		if text = c.Explain().String(); c.State != Closed || !strings.Contains(text, "signed off") {
			t.Errorf("%s: %s, %s", side, c.State, text)
		}
		tp = &tape{log: NewLog(0), side: side}
		tp.play(Record{Event: ControlTLS, Channel: Control, TLS: "TLS 1.3"})
		if c = tp.session(t).Channels[0]; c.State != Open || !strings.Contains(c.Explain().String(), "protected by TLS 1.3") {
			t.Errorf("%s: %s, %s", side, c.State, c.Explain())
		}
	}
}

func TestALogWithoutASessionsBeginDoesNotContradictTheOtherEnd(t *testing.T) {
	tp := open(Client)
	tp.play(Record{Event: Greeted, Channel: Control, Peer: "s2"})
	tp.side = Server
	tp.play(Record{Session: "s2", Event: SignedIn, Channel: Control, User: "guest"})
	pairs := tp.log.Compare()
	if len(pairs) != 1 || len(pairs[0].Channels) != 1 || !strings.Contains(Text(pairs[0].Channels[0].Together), "Both ends agree") {
		t.Errorf("%+v", pairs)
	}
}

func TestRecordingFromManySessionsAtOnce(t *testing.T) {
	l := NewLog(1000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			tp := &tape{log: l, side: Server}
			for conn := range 200 {
				tp.play(Record{Session: fmt.Sprint(i), Event: DataOpened, Channel: Data, Conn: conn + 1, Mode: Active}, cmd("NOOP"))
				l.Sessions()
			}
		})
	}
	wg.Wait()
	if got := len(l.Sessions()); got != 9 { // and the session s1 of the NOOPs
		t.Errorf("%d sessions", got)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := NewLog(0)
	r := Record{Session: "s1", Side: Server, Event: ReplySent, Channel: Control, Reply: "226 Transfer complete."}
	for b.Loop() {
		l.Record(r)
	}
}

func TestARefusalKeepsWhoHeldThePorts(t *testing.T) {
	l := NewLog(0)
	r := Record{Side: Server, Session: "a", Channel: Data, Conn: 1, Mode: Passive, Initiator: Client, Command: "EPSV"}
	full, no := r, r
	full.Event, full.Holders = PortsExhausted, []string{"s2 guest 192.168.1.44: 21100"}
	no.Event, no.Reply = PassiveRefused, "425 All passive ports are taken."
	l.Record(full)
	l.Record(no)
	s, _ := l.Session(SessionKey{Server, "a"})
	if len(s.Channels) != 2 || s.Failed != 1 {
		t.Fatalf("%+v", s)
	}
	if c := s.Channels[1]; c.State != Failed || len(c.Holders) != 1 || !strings.Contains(Text(c.Explain().Paragraphs[1]), "every port of your passive range is taken") {
		t.Errorf("%+v\n%s", c, c.Explain())
	}
}

func TestAChangeOfModeIsToldInSentences(t *testing.T) {
	got := Sentence(Record{Side: Client, Event: ModeChanged, Mode: Active, Err: "passive data connection: no answer within 4s"})
	if got != "Portside goes on in active mode. Passive data connection: no answer within 4s." {
		t.Error(got)
	}
	if got = Sentence(Record{Side: Client, Event: ModeChanged, Mode: Active}); got != "Portside goes on in active mode." {
		t.Error(got)
	}
}
