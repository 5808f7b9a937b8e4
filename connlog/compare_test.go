package connlog

import (
	"bytes"
	"encoding/xml"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// both plays the two ends of one session into one log.
func both(client, server []Record) *Log {
	l := NewLog(0)
	c, s := &tape{log: l, side: Client}, &tape{log: l, side: Server}
	natted := netip.MustParseAddrPort("198.51.100.7:40001")
	c.play(Record{Event: ControlOpened, Channel: Control, Initiator: Client, From: clientAt, To: serverAt},
		Record{Event: Greeted, Channel: Control, Peer: "srv1"})
	c.play(client...)
	s.play(Record{Session: "srv1", Event: ControlOpened, Channel: Control, Initiator: Client, From: natted, To: netip.MustParseAddrPort("10.0.0.4:21")})
	for _, r := range server {
		r.Session = "srv1"
		s.play(r)
	}
	return l
}

func TestTwoLogsTogetherProveWhatOneCannot(t *testing.T) {
	to := netip.MustParseAddrPort("203.0.113.5:21107")
	inside := netip.MustParseAddrPort("10.0.0.4:21107")
	mine := netip.MustParseAddrPort("192.168.1.7:50210")
	data := func(r Record) Record { r.Channel, r.Conn = Data, 1; return r }
	passive := func(r Record) Record { r.Mode, r.Initiator = Passive, Client; return data(r) }
	active := func(r Record) Record { r.Mode, r.Initiator = Active, Server; return data(r) }
	for _, c := range []struct {
		name           string
		client, server []Record
		want           string
	}{
		{"passive, dropped on the way",
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: to}), passive(Record{Event: DataFailed, To: to, Reason: ReasonTimeout})},
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: inside}), passive(Record{Event: OfferExpired, To: inside, Reason: ReasonTimeout})},
			"the server was waiting there, and nothing arrived"},
		{"passive, from another address",
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: to}), passive(Record{Event: DataFailed, To: to, Reason: ReasonReset})},
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: inside}), passive(Record{Event: StrangerRefused, From: netip.MustParseAddrPort("198.51.100.99:5"), To: inside})},
			"uses more than one public address"},
		{"active, dropped at the client",
			[]Record{active(Record{Event: ActiveRequested, Command: "EPRT", To: mine}), active(Record{Event: DataFailed, To: mine, Reason: ReasonTimeout})},
			[]Record{active(Record{Event: ActiveRequested, Command: "EPRT", To: mine}), active(Record{Event: DataFailed, To: mine, Reason: ReasonTimeout})},
			"the client was waiting, and nothing arrived"},
		{"active, the client gave up while the server dialled",
			[]Record{active(Record{Event: ActiveRequested, Command: "EPRT", To: mine}), active(Record{Event: DataFailed, To: mine, Reason: ReasonTimeout, Time: t0.Add(10 * time.Second)})},
			[]Record{active(Record{Event: ActiveRequested, Command: "EPRT", To: mine}), active(Record{Event: DataDialing, To: mine}),
				active(Record{Event: DataFailed, To: mine, Command: "MLSD", Reason: ReasonCancelled, By: Client, Err: "the client sent ABOR", Time: t0.Add(10 * time.Second)})},
			"the client was waiting, and nothing arrived"},
		{"TLS, ended by the client",
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: to}), passive(Record{Event: DataOpened, From: mine, To: to}), passive(Record{Event: DataFailed, Reason: ReasonTLS, Err: "the certificate changed"})},
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: inside}), passive(Record{Event: DataOpened, From: mine, To: inside}), passive(Record{Event: DataClosed, Bytes: 0})},
			"the client ended it over TLS: the certificate changed."},
		{"all well",
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: to}), passive(Record{Event: DataOpened, From: mine, To: to}), passive(Record{Event: DataClosed, Bytes: 5})},
			[]Record{passive(Record{Event: PassiveOffered, Command: "EPSV", To: inside}), passive(Record{Event: DataOpened, From: netip.MustParseAddrPort("198.51.100.7:40002"), To: inside}), passive(Record{Event: DataClosed, Bytes: 5})},
			"a router with NAT is in between"},
	} {
		// Through the file format, as it is used.
		var file bytes.Buffer
		if err := both(c.client, c.server).WriteJSON(&file); err != nil {
			t.Fatal(err)
		}
		l := NewLog(0)
		if _, err := l.ReadJSON(&file); err != nil {
			t.Fatal(err)
		}
		pairs := l.Compare()
		if len(pairs) != 1 || pairs[0].Server == nil || len(pairs[0].Channels) != 2 {
			t.Fatalf("%s: %+v", c.name, pairs)
		}
		if got := Text(pairs[0].Channels[1].Together); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q in it", c.name, got, c.want)
		}
		if c.name == "active, the client gave up while the server dialled" {
			if seen := pairs[0].Channels[1].Seen(Client); !seen.SeenTried() || !strings.Contains(seen.Label(), "the server tried to open it") {
				t.Errorf("the picture says %q though the server's log has the dial", seen.Label())
			}
		}
		var out bytes.Buffer
		if err := l.WriteComparison(&out); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v %s", c.name, err, out.String())
		}
	}
}

// A refused command is a channel that never came about, at both ends, whatever port each of them has noted for it.
func TestARefusedEPRTAndThePORTAfterItArePairedInTheirOrder(t *testing.T) {
	mine := netip.MustParseAddrPort("192.168.1.7:50210")
	active := func(conn int, r Record) Record {
		r.Channel, r.Mode, r.Initiator, r.Conn = Data, Active, Server, conn
		return r
	}
	l := both([]Record{
		active(1, Record{Event: ActiveRequested, Command: "EPRT |1|192.168.1.7|50210|", To: mine}),
		active(1, Record{Event: ActiveRefused, Command: "EPRT |1|192.168.1.7|50210|", To: mine, Reply: "501 No", Reason: ReasonRejected}),
		active(2, Record{Event: ActiveRequested, Command: "PORT 192,168,1,7,196,34", To: mine}),
		active(2, Record{Event: DataOpened, From: serverAt, To: mine}),
		active(2, Record{Event: DataClosed, Bytes: 5}),
	}, []Record{
		active(1, Record{Event: ActiveRefused, Command: "EPRT |1|192.168.1.7|50210|", Reply: "501 No", Reason: ReasonPolicy}),
		active(2, Record{Event: ActiveRequested, Command: "PORT 192,168,1,7,196,34", To: mine}),
		active(2, Record{Event: DataOpened, From: serverAt, To: mine}),
		active(2, Record{Event: DataClosed, Bytes: 5}),
	})
	pairs := l.Compare()
	if len(pairs) != 1 || len(pairs[0].Channels) != 3 {
		t.Fatalf("%+v", pairs)
	}
	for i, want := range []string{"the server refused the client's EPRT", "the server opened it"} {
		p := pairs[0].Channels[i+1]
		if p.Client == nil || p.Server == nil || !strings.Contains(Text(p.Together), want) {
			t.Errorf("%d: %+v", i+1, p)
		}
	}
}

func TestABadLineOfALogIsNamedAndTheRestIsRead(t *testing.T) {
	l := NewLog(0)
	n, err := l.ReadJSON(strings.NewReader("{\"time\":\"2026-11-23T09:41:07.118Z\",\"side\":\"client\",\"session\":\"s1\",\"event\":\"control-opened\"}\nnonsense\n\n{}\n"))
	if n != 1 || err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%d, %v", n, err)
	}
}

func TestTheReportIsOneSafePage(t *testing.T) {
	l := NewLog(0)
	tp := &tape{log: l, side: Client}
	for _, mode := range []Mode{Passive, Active} {
		for _, o := range outcomes(mode, Client) {
			for _, r := range o.records {
				r.Session = string(mode) + o.name
				tp.play(r)
			}
		}
	}
	tp.play(Record{Session: "<script>alert(1)</script>", Event: ControlFailed, Channel: Control, Reason: ReasonNotFTP, Err: `"><img src=x onerror=alert(1)>`})
	var b bytes.Buffer
	if err := l.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<script", "<img", "http://", "https://", "ZgotmplZ", "<no value>"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{"<polygon", "stroke-dasharray", "the server opened it", "translate(", "EPRT"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	// Every picture is well-formed XML.
	for rest := page; ; {
		i := strings.Index(rest, "<svg viewBox")
		if i < 0 {
			break
		}
		j := strings.Index(rest, "</svg>\n")
		if j < i {
			t.Fatal("a picture has no end")
		}
		if err := xml.Unmarshal([]byte(rest[i:j+6]), new(struct{})); err != nil {
			t.Errorf("%v in %s", err, rest[i:j+6])
		}
		rest = rest[j+6:]
	}
}

// The cross of a failed channel stands where the diagram on the screen has it: by the side that turned it down.
func TestTheReportsCrossStandsWhereTheChannelStopped(t *testing.T) {
	refused := Channel{ChannelKey: ChannelKey{SessionKey: SessionKey{Side: Server}}, Kind: Data, Mode: Active, Initiator: Server, State: Failed, Reason: ReasonRejected}
	silent := Channel{ChannelKey: ChannelKey{SessionKey: SessionKey{Side: Client}}, Kind: Data, Mode: Passive, Initiator: Client, State: Failed, Reason: ReasonTimeout}
	unseen := silent
	unseen.Side = Server
	a := newReportSession(Session{Channels: []Channel{refused, silent, unseen}}).Arrows
	if middle := svgWidth / 2; a[0].CrossX < svgServer-60 || a[1].CrossX < middle || a[1].CrossX > svgServer-60 {
		t.Errorf("the crosses stand at %d and %d", a[0].CrossX, a[1].CrossX)
	}
	if !a[1].Rest || a[1].Hollow || a[2].Rest || !a[2].Hollow || !a[2].Dashed {
		t.Errorf("tried: %+v; not seen: %+v", a[1], a[2])
	}
}

func FuzzReadJSON(f *testing.F) {
	var b bytes.Buffer
	both(nil, nil).WriteJSON(&b)
	f.Add(b.Bytes())
	f.Add([]byte(`{"time":"2026-11-23T09:41:07.118Z","side":"server","event":"data-failed","conn":-1,"channel":"data"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		l := NewLog(100)
		l.ReadJSON(bytes.NewReader(in))
		var out bytes.Buffer
		l.WriteComparison(&out)
		l.WriteHTML(&out)
		l.WriteText(&out)
	})
}

func TestTheNoteToTheOtherSideNamesWhatTheyHaveToChange(t *testing.T) {
	for _, side := range []Side{Client, Server} {
		for _, mode := range []Mode{Passive, Active} {
			for _, o := range outcomes(mode, side) {
				tp := open(side)
				tp.play(o.records...)
				cs := tp.session(t).Channels
				c := cs[len(cs)-1]
				note := c.Note()
				if c.State != Failed && note != "" {
					t.Errorf("%s %s %s: a note about a channel that works: %s", side, mode, o.name, note)
				}
				if side == Server && mode == Active && c.State == Failed && c.Opened.IsZero() && !strings.Contains(note, "passive mode") {
					t.Errorf("%s: %q", o.name, note)
				}
				if strings.Contains(note, "unknown address") || strings.Contains(note, "port ?") {
					t.Errorf("%s %s %s: %s", side, mode, o.name, note)
				}
			}
		}
	}
}

func TestAClientByAnotherAddressIsToldSo(t *testing.T) {
	for _, o := range outcomes(Passive, Server) {
		if o.name != "Somebody came from another address, the client never did" {
			continue
		}
		tp := open(Server)
		tp.play(o.records...)
		cs := tp.session(t).Channels
		if note := cs[len(cs)-1].Note(); !strings.Contains(note, "came from 198.51.100.66:4444, while you are signed in from 192.168.1.7") || !strings.Contains(note, "by one address") {
			t.Error(note)
		}
		return
	}
	t.Error("no such outcome")
}
