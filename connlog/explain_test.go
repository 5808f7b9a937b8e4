package connlog

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/explanations.md anew")

// TestExplanationsReadAsDocumented plays every event × mode × viewpoint × outcome and compares all that Portside says
// of it with docs/explanations.md, a document made to be reviewed sentence by sentence. After a change of wording:
// go test ./connlog -run Explanations -update
func TestExplanationsReadAsDocumented(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# What Portside says\n\nMade by `go test ./connlog -run Explanations -update`; the test fails when the words and this file differ.\n" +
		"The client is 192.168.1.7, the server 203.0.113.5. First the label over the arrow, then the explanation, then the line in the log.\n")
	for _, mode := range []Mode{Passive, Active} {
		for _, side := range []Side{Client, Server} {
			fmt.Fprintf(&b, "\n## %s mode, at the %s\n", Capital(string(mode)), side)
			for _, o := range outcomes(mode, side) {
				tp := open(side)
				tp.play(o.records...)
				cs := tp.session(t).Channels
				c := cs[len(cs)-1]
				fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", o.name, c.Label())
				for _, p := range append([][]Span{c.Explain().Title}, c.Explain().Paragraphs...) {
					fmt.Fprintf(&b, "> %s\n>\n", Text(p))
				}
				all := tp.log.Records(0)
				line := Sentence(all[len(all)-1].Record)
				fmt.Fprintf(&b, "\n    %s\n", line)
				agree(t, o.name, line, c)
			}
		}
	}
	for _, side := range []Side{Client, Server} {
		fmt.Fprintf(&b, "\n## The control channel, at the %s\n", side)
		for _, o := range controlOutcomes(side) {
			tp := &tape{log: NewLog(0), side: side}
			tp.play(o.records...)
			c := tp.session(t).Channels[0]
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", o.name, c.Label())
			for _, p := range append([][]Span{c.Explain().Title}, c.Explain().Paragraphs...) {
				fmt.Fprintf(&b, "> %s\n>\n", Text(p))
			}
			all := tp.log.Records(0)
			fmt.Fprintf(&b, "\n    %s\n", Sentence(all[len(all)-1].Record))
		}
	}
	const path = "../docs/explanations.md"
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("docs/explanations.md is not what the program says: read the difference, then run with -update")
	}
	for _, bad := range []string{"%!", "(no value)", " . ", "..", "an unknown address", "port ?", "``"} {
		for i, line := range strings.Split(b.String(), "\n") {
			if strings.Contains(line, bad) {
				t.Errorf("line %d has %q: %s", i+1, bad, line)
			}
		}
	}
}

// agree fails when the log's line of a failure says something else than the channel's explanation.
func agree(t *testing.T, name, line string, c Channel) {
	t.Helper()
	explained := flat(c.Explain().Paragraphs)
	for _, head := range []string{"The data channel failed. ", "The data channel has ended. "} {
		if what, ok := strings.CutPrefix(line, head); ok && !strings.Contains(explained, what) {
			t.Errorf("%s: the line says %q, the explanation %q", name, what, explained)
		}
	}
	if strings.Contains(line, "no connection came from the client's address") && !strings.Contains(c.Label(), "the client never opened it") {
		t.Errorf("%s: %q, and the label %q", name, line, c.Label())
	}
}

type outcome struct {
	name    string
	records []Record
}

func outcomes(mode Mode, side Side) []outcome {
	offer := Record{Event: PassiveOffered, Channel: Data, Conn: 1, Mode: Passive, Initiator: Client, Command: "EPSV", To: netip.MustParseAddrPort("203.0.113.5:21107")}
	opened := Record{Event: DataOpened, Channel: Data, Conn: 1, Mode: Passive, Initiator: Client, From: netip.MustParseAddrPort("192.168.1.7:51813"), To: offer.To}
	if mode == Active {
		offer = Record{Event: ActiveRequested, Channel: Data, Conn: 1, Mode: Active, Initiator: Server, Command: "EPRT |1|192.168.1.7|50210|", To: netip.MustParseAddrPort("192.168.1.7:50210")}
		opened = Record{Event: DataOpened, Channel: Data, Conn: 1, Mode: Active, Initiator: Server, From: netip.MustParseAddrPort("203.0.113.5:20"), To: offer.To}
	}
	broken := func(r Record) Record {
		r.Event, r.Channel, r.Conn, r.Mode, r.Initiator, r.From, r.To = DataFailed, Data, 1, mode, offer.Initiator, opened.From, offer.To
		return r
	}
	end := func(r Record) Record {
		r.Channel, r.Conn, r.Mode, r.Initiator = Data, 1, mode, offer.Initiator
		if !r.To.IsValid() {
			r.To = offer.To
		}
		return r
	}
	dial := end(Record{Event: DataDialing})
	out := []outcome{
		{"Offered", []Record{offer}},
		{"Open, a listing to come", []Record{offer, cmd("MLSD"), opened}},
		{"Closed after a listing", []Record{offer, cmd("MLSD"), opened, end(Record{Event: DataClosed, Command: "MLSD", Bytes: 4096, Duration: 12 * time.Millisecond})}},
		{"Closed after a protected file", []Record{offer, opened, end(Record{Event: DataTLS, TLS: "TLS 1.3", Resumed: true}), end(Record{Event: DataClosed, Command: "RETR a.iso", TLS: "TLS 1.3", Bytes: 19293798, Duration: 1640 * time.Millisecond})}},
		{"Cut in the middle", []Record{offer, opened, broken(Record{Command: "RETR a.iso", Reason: ReasonReset, By: side.Other(), Bytes: 5 << 20, Err: "connection reset by peer"})}},
		{"Stalled", []Record{offer, opened, broken(Record{Command: "RETR a.iso", Reason: ReasonStalled, Bytes: 5 << 20})}},
		{"Cancelled", []Record{offer, opened, broken(Record{Command: "RETR a.iso", Reason: ReasonCancelled, By: Client, Bytes: 5 << 20})}},
		{"Opened and not needed", []Record{offer, opened, broken(Record{Reason: ReasonNotTaken})}},
		{"TLS handshake failed", []Record{offer, opened, broken(Record{Reason: ReasonTLS, Err: "session was not resumed"})}},
		{"The disk was full", []Record{offer, opened, broken(Record{Command: "STOR a.iso", Reason: ReasonLocal, By: side, Bytes: 5 << 20, Err: "no space left on device"})}},
		{"The session ended in the middle", []Record{offer, opened, broken(Record{Command: "RETR a.iso", Reason: ReasonKicked, By: Server, Bytes: 5 << 20})}},
		{"The control channel was lost in the middle", []Record{offer, opened, broken(Record{Command: "RETR a.iso", Reason: ReasonLost, By: side.Other(), Bytes: 5 << 20, Err: "the control connection was lost"})}},
	}
	if side != offer.Initiator { // this side waits for the other one, so others can come
		out = append(out, outcome{"A stranger came first", []Record{offer, opened, end(Record{Event: StrangerRefused, From: netip.MustParseAddrPort("198.51.100.66:4444")})}})
	}
	refused := Record{Event: DataFailed, Command: "STOR a.iso", Reason: ReasonRejected, By: Server, Reply: "550 Permission denied."}
	switch {
	case mode == Passive && side == Client:
		private := offer
		private.To, private.Advertised = netip.MustParseAddrPort("203.0.113.5:21107"), netip.MustParseAddrPort("10.0.0.4:21107")
		private.Command = "PASV"
		out = append(out,
			outcome{"No answer", []Record{offer, dial, end(Record{Event: DataFailed, Reason: ReasonTimeout})}},
			outcome{"Turned away", []Record{offer, dial, end(Record{Event: DataFailed, Reason: ReasonRefused})}},
			outcome{"Unreachable", []Record{offer, dial, end(Record{Event: DataFailed, Reason: ReasonUnreachable, Err: "no route to host"})}},
			outcome{"The transfer was refused", []Record{offer, dial, opened, broken(refused)}},
			outcome{"Asked for early, and not needed", []Record{offer, dial, end(Record{Event: OfferExpired, Reason: ReasonNotTaken, Err: "it was asked for early, and not needed"})}},
			outcome{"The reply named a private address", []Record{private, opened}},
			outcome{"The server refused", []Record{unnamed(end(Record{Event: PassiveRefused, Command: "EPSV", Reply: "425 No free port"}))}},
			outcome{"No answer, active mode had failed", after(Active, offer, dial, end(Record{Event: DataFailed, Reason: ReasonTimeout}))},
		)
	case mode == Passive:
		out = append(out,
			outcome{"The client never came", []Record{offer, end(Record{Event: OfferExpired, Reason: ReasonTimeout})}},
			outcome{"The client asked for a listing and never came", []Record{offer, end(Record{Event: DataFailed, Command: "MLSD", Reason: ReasonTimeout, Err: "nobody opened the data connection in time"})}},
			outcome{"The client asked for a listing, never came and gave up", []Record{offer, end(Record{Event: DataFailed, Command: "MLSD", Reason: ReasonLost, By: Client, Err: "the control connection was lost", Time: t0.Add(10 * time.Second), Duration: 10 * time.Second})}},
			outcome{"The session ended before the client came", []Record{offer, end(Record{Event: DataFailed, Command: "MLSD", Reason: ReasonKicked, By: Server, Err: "the server's owner ended the session"})}},
			outcome{"It did not resume the TLS session", []Record{offer, opened, broken(Record{Command: "MLSD", Reason: ReasonPolicy, By: Server, Err: "the data connection did not resume the control connection's TLS session"})}},
			outcome{"Somebody came from another address, the client never did", []Record{offer,
				end(Record{Event: StrangerRefused, From: netip.MustParseAddrPort("198.51.100.66:4444")}), end(Record{Event: OfferExpired, Reason: ReasonTimeout})}},
			outcome{"The client, from outside, was told a private address", []Record{
				{Event: ControlOpened, Channel: Control, Initiator: Client, From: netip.MustParseAddrPort("198.51.100.9:4000"), To: netip.MustParseAddrPort("192.168.1.20:21")},
				end(Record{Event: PassiveOffered, Command: "PASV", To: netip.MustParseAddrPort("192.168.1.20:21107")}),
				end(Record{Event: OfferExpired, Reason: ReasonTimeout, To: netip.MustParseAddrPort("192.168.1.20:21107")})}},
			outcome{"Taken back", []Record{offer, end(Record{Event: OfferExpired, Reason: ReasonNotTaken})}},
			outcome{"Taken back for another client", []Record{offer, end(Record{Event: OfferExpired, Reason: ReasonRangeFull, By: Server, Err: "an address without a port needed it, and this client's had the most"})}},
			outcome{"Taken back for another client, and a transfer waited", []Record{offer, end(Record{Event: DataFailed, Command: "RETR a.iso", Reason: ReasonRangeFull, By: Server, Err: "an address without a port needed it, and this client's had the most"})}},
			outcome{"Taken back after a while", []Record{offer, end(Record{Event: OfferExpired, Reason: ReasonNotTaken, Time: t0.Add(15 * time.Second)})}},
			outcome{"No port left", []Record{unnamed(end(Record{Event: PortsExhausted, Command: "EPSV", Holders: []string{"s2 guest 192.168.1.44: 21100", "s3 guest 192.168.1.45: 21101"}}))}},
		)
	case side == Client:
		out = append(out,
			outcome{"Never arrived", []Record{offer, end(Record{Event: DataFailed, Reason: ReasonTimeout, Reply: "425 Failed to establish connection."})}},
			outcome{"The server could not connect", []Record{offer, end(Record{Event: DataFailed, Command: "MLSD", Reason: ReasonRejected, By: Server, Reply: "425 Failed to establish connection."})}},
			outcome{"The transfer was refused", []Record{offer, end(refused)}},
			outcome{"The server refused", []Record{offer, end(Record{Event: ActiveRefused, Reply: "500 Illegal PORT command."})}},
			outcome{"Closed after a listing, passive mode had failed", after(Passive, offer, opened, end(Record{Event: DataClosed, Command: "MLSD", Bytes: 4096, Duration: 12 * time.Millisecond}))},
			outcome{"Never arrived, passive mode had failed", after(Passive, offer, end(Record{Event: DataFailed, Reason: ReasonTimeout, Reply: "425 Failed to establish connection."}))},
			outcome{"The server refused, passive mode had failed", after(Passive, end(Record{Event: ActiveRefused, Command: offer.Command, Reply: "500 Illegal PORT command."}))},
		)
	default:
		out = append(out,
			outcome{"No answer", []Record{offer, dial, end(Record{Event: DataFailed, Reason: ReasonTimeout})}},
			outcome{"Turned away", []Record{offer, dial, end(Record{Event: DataFailed, Reason: ReasonRefused})}},
			outcome{"The client, from outside, named a private address", []Record{
				{Event: ControlOpened, Channel: Control, Initiator: Client, From: netip.MustParseAddrPort("198.51.100.9:4000"), To: netip.MustParseAddrPort("203.0.113.5:21")},
				end(Record{Event: ActiveRefused, Command: "PORT 10,9,9,9,200,10", To: netip.MustParseAddrPort("10.9.9.9:51210"), Reply: "504 Only your own address is dialled.", Reason: ReasonPolicy})}},
			outcome{"The client, from outside, named a private address, passive mode had failed", append([]Record{
				{Event: ControlOpened, Channel: Control, Initiator: Client, From: netip.MustParseAddrPort("198.51.100.9:4000"), To: netip.MustParseAddrPort("203.0.113.5:21")}},
				after(Passive, end(Record{Event: ActiveRefused, Command: "PORT 10,9,9,9,200,10", To: netip.MustParseAddrPort("10.9.9.9:51210"), Reply: "504 Only your own address is dialled.", Reason: ReasonPolicy}))...)},
			outcome{"No answer, passive mode had failed", after(Passive, offer, dial, end(Record{Event: DataFailed, Reason: ReasonTimeout}))},
			outcome{"The client gave up", []Record{offer, dial, end(Record{Event: DataFailed, Command: "MLSD", Reason: ReasonCancelled, By: Client, Err: "the client sent ABOR", Time: t0.Add(10 * time.Second), Duration: 10 * time.Second})}},
			outcome{"Cancelled at once", []Record{offer, dial, end(Record{Event: DataFailed, Command: "MLSD", Reason: ReasonCancelled, By: Client, Err: "the client sent ABOR"})}},
			outcome{"Refused by a rule", []Record{end(Record{Event: ActiveRefused, Command: "PORT 192,168,1,7,0,25", To: netip.MustParseAddrPort("192.168.1.7:25"), Reply: "504 Port 25 is not allowed.", Reason: ReasonPolicy})}},
		)
	}
	return out
}

// after are records of a data channel that was asked for because one in the other mode had failed.
func after(other Mode, records ...Record) []Record {
	first := Record{Channel: Data, Conn: 1, Mode: other, Initiator: other.initiator(), To: netip.MustParseAddrPort("203.0.113.5:21107"), Command: "EPSV", Event: PassiveOffered}
	if other == Active {
		first.To, first.Command, first.Event = netip.MustParseAddrPort("192.168.1.7:50210"), "EPRT |1|192.168.1.7|50210|", ActiveRequested
	}
	failed := first
	failed.Event, failed.Command, failed.Reason = DataFailed, "", ReasonTimeout
	out := []Record{first, failed}
	for _, r := range records {
		r.Conn = 2
		out = append(out, r)
	}
	return out
}

// unnamed is a record from before an address was named.
func unnamed(r Record) Record {
	r.To = netip.AddrPort{}
	return r
}

func controlOutcomes(side Side) []outcome {
	dial := Record{Event: ControlDialing, Channel: Control, Initiator: Client, Host: "files.example.org", To: serverAt}
	opened := Record{Event: ControlOpened, Channel: Control, Initiator: Client, From: clientAt, To: serverAt, Host: "files.example.org"}
	fail := func(reason Reason, err string) Record {
		return Record{Event: ControlFailed, Channel: Control, Initiator: Client, Host: "files.example.org", To: serverAt, Reason: reason, Err: err}
	}
	closed := func(by Side, reason Reason) Record {
		return Record{Event: ControlClosed, Channel: Control, Initiator: Client, By: by, Reason: reason}
	}
	if side == Server {
		opened.Host = ""
	}
	tls := Record{Event: ControlTLS, Channel: Control, TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
	in := Record{Event: SignedIn, Channel: Control, User: "alice"}
	out := []outcome{
		{"Open, in clear", []Record{opened}},
		{"Protected", []Record{opened, tls}},
		{"Signed in", []Record{opened, tls, in}},
		{"Sign-in refused", []Record{opened, {Event: SignInRefused, Channel: Control, User: "alice", Reply: "530 Wrong user name or password."}}},
		{"Signed off", []Record{opened, in, closed(Client, ReasonQuit)}},
		{"Idle", []Record{opened, in, closed(Server, ReasonIdle)}},
		{"Lost", []Record{opened, in, closed(side.Other(), ReasonLost)}},
		{"Ended by the server's owner", []Record{opened, in, closed(Server, ReasonKicked)}},
		{"Server stopped", []Record{opened, in, closed(Server, ReasonStopping)}},
	}
	if side == Server {
		out = append(out, outcome{"TLS failed", []Record{opened, {Event: ControlFailed, Channel: Control, Initiator: Client, Reason: ReasonTLS, Err: "remote error: tls: unknown certificate authority"}}})
	}
	if side == Client {
		out = append(out,
			outcome{"Dialling", []Record{dial}},
			outcome{"Unknown name", []Record{{Event: ControlFailed, Channel: Control, Initiator: Client, Host: "fiels.example.org", Reason: ReasonUnknownHost}}},
			outcome{"Turned away", []Record{dial, fail(ReasonRefused, "")}},
			outcome{"No answer", []Record{dial, fail(ReasonTimeout, "")}},
			outcome{"Unreachable", []Record{dial, fail(ReasonUnreachable, "no route to host")}},
			outcome{"Not FTP", []Record{dial, opened, fail(ReasonNotFTP, "an SSH server answers, use SFTP")}},
			outcome{"TLS failed", []Record{dial, opened, fail(ReasonTLS, "certificate has expired")}},
		)
	}
	return out
}

func FuzzPrintable(f *testing.F) {
	f.Add("plain")
	f.Add("a\x1b[2J\r\n\u202e\xff\u0085")
	f.Fuzz(func(t *testing.T, s string) {
		out := Printable(s)
		for _, c := range out {
			if c < 0x20 || c >= 0x7f && c <= 0x9f || c >= 0x202a && c <= 0x202e {
				t.Fatalf("%q gives %q", s, out)
			}
		}
		if len(out) > 10*maxStringLength+8 {
			t.Fatalf("%d bytes from %d", len(out), len(s))
		}
	})
}

func TestErrorsBecomeSentences(t *testing.T) {
	for in, want := range map[string]string{"": "", "it broke": "It broke.", "It broke.": "It broke.", "über 5 bytes": "Über 5 bytes.", "\xff": "\xff."} {
		if got := Ended(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
