package client

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/connlog"
)

func TestNamesGoOverTheWireInTheServersCharacterSet(t *testing.T) {
	p := newPeer(t)
	p.files["\xc4.txt"] = "latin" // Ä in ISO 8859-1
	p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-F\r\n UTF8\r\n211 End") }
	p.on["LIST"] = func(c *peerConn, _ string) { c.send("-rw-r--r-- 1 u g 5 Jan  2  2020 \xc4.txt\r\n") }
	p.on["DELE"] = func(c *peerConn, _ string) { c.say("250 Gone") }
	o := Options{Target: p.target(), Mode: ModePassive, Charset: "ISO-8859-1"}
	s, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, err := s.List(context.Background(), "")
	if err != nil || len(entries) != 1 || entries[0].Name != "Ä.txt" {
		t.Fatalf("%v %+v", err, entries)
	}
	if err := s.Delete(context.Background(), "Ä.txt"); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(p.lines(), "DELE \xc4.txt") {
		t.Errorf("sent: %q", p.lines())
	}
	before := len(p.lines())
	for _, err := range []error{s.Delete(context.Background(), "Ж"), s.Rename(context.Background(), "a.txt", "Ж")} {
		if err == nil || !strings.Contains(err.Error(), "ISO-8859-1") {
			t.Errorf("a name that can't be written: %v", err)
		}
	}
	if sent := p.lines()[before:]; len(sent) != 0 {
		t.Errorf("sent nevertheless: %q", sent)
	}
	for _, l := range p.lines() {
		if strings.HasPrefix(l, "OPTS UTF8") {
			t.Error("UTF-8 was switched on")
		}
	}
	for _, name := range []string{"klingon", "UTF-16"} {
		o.Charset = name
		if _, err := Dial(context.Background(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAccountIsSentWhenTheServerAsksForIt(t *testing.T) {
	p := newPeer(t)
	p.on["PASS"] = func(c *peerConn, _ string) { c.say("332 Need account") }
	p.on["ACCT"] = func(c *peerConn, arg string) {
		if arg == "books" {
			c.say("202 Fine")
			return
		}
		c.say("530 No")
	}
	var mu sync.Mutex
	var log []connlog.Record
	o := Options{Target: p.target(), Mode: ModePassive, Account: "books", Recorder: connlog.RecorderFunc(func(r connlog.Record) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, r)
	})}
	s, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, r := range log {
		if strings.Contains(r.Command, "books") {
			t.Errorf("the log tells the account: %q", r.Command)
		}
	}
	for _, account := range []string{"", "wrong"} {
		o.Account = account
		if _, err := Dial(context.Background(), o); err == nil {
			t.Errorf("account %q was taken", account)
		}
	}
}

func TestTheServersClockIsMeasuredOnceAndListingsAreInUTC(t *testing.T) {
	// A file of the present year, so that the listing has the time of day: ten days ago at 14:30 in the server's zone.
	day := time.Now().UTC().AddDate(0, 0, -10).Truncate(24 * time.Hour)
	listed := day.Add(14*time.Hour + 30*time.Minute)
	p := newPeer(t)
	p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-F\r\n MDTM\r\n211 End") }
	p.on["LIST"] = func(c *peerConn, _ string) {
		c.send("-rw-r--r-- 1 u g 5 " + listed.Format("Jan _2 15:04") + " a.txt\r\n")
	}
	p.on["MDTM"] = func(c *peerConn, _ string) {
		c.say("213 %s", listed.Add(-330*time.Minute+20*time.Second).Format("20060102150405"))
	}
	s, err := Dial(context.Background(), Options{Target: p.target(), Mode: ModePassive})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		entries, err := s.List(context.Background(), "")
		if err != nil || len(entries) != 1 || !entries[0].Time.Equal(listed.Add(-330*time.Minute)) {
			t.Fatalf("%v %+v", err, entries)
		}
	}
	if offset, known := s.TimeOffset(); !known || offset != 330*time.Minute {
		t.Errorf("%v %v", offset, known)
	}
	asked := 0
	for _, l := range p.lines() {
		if strings.HasPrefix(l, "MDTM") {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	fixed := time.Hour
	other, err := Dial(context.Background(), Options{Target: p.target(), Mode: ModePassive, TimeOffset: &fixed})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if entries, err := other.List(context.Background(), ""); err != nil || !entries[0].Time.Equal(listed.Add(-time.Hour)) {
		t.Errorf("%v %+v", err, entries)
	}
}

func TestNothingGoesInClearWithoutConsent(t *testing.T) {
	p := newPeer(t)
	target := p.target()
	target.User, target.Password = "alice", "s3cret"
	no := errors.New("no")
	asked := 0
	o := Options{Target: target, Mode: ModePassive, InClear: func(_ context.Context, peer netip.AddrPort) error {
		if peer.Port() != target.Port {
			t.Errorf("asked about %v", peer)
		}
		asked++
		return no
	}}
	if _, err := Dial(context.Background(), o); err == nil || asked != 1 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
	for _, l := range p.lines() {
		if strings.HasPrefix(l, "USER") || strings.HasPrefix(l, "PASS") {
			t.Errorf("sent %q", l)
		}
	}
	no = nil
	s, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	o.User, o.Password, asked = "", "", 0
	if s, err = Dial(context.Background(), o); err != nil || asked != 0 {
		t.Fatalf("anonymous: %v, asked %d times", err, asked)
	}
	s.Close()
}

// A server that knows nothing of character sets: names are bytes to it.
func TestNamesInAnotherCharacterSetReachARealServerInActiveMode(t *testing.T) {
	addr, root := vsftpd(t, "127.0.0.1", "", "")
	if err := os.WriteFile(filepath.Join(root, "up", "\xe4rger.txt"), []byte("latin"), 0o644); err != nil {
		t.Fatal(err)
	}
	low := freeAddr(t, "127.0.0.1").Port()
	ports := PortRange{Min: low, Max: low + 20}
	s, b := dial(t, Options{Target: Target{Host: "127.0.0.1", Port: addr.Port(), TLS: TLSNone}, Mode: ModeActive, ActivePorts: ports, Charset: "windows-1252"})
	entries, err := s.List(context.Background(), "/up")
	if err != nil || len(entries) != 1 || entries[0].Name != "ärger.txt" {
		t.Fatalf("%v %+v", err, entries)
	}
	var got strings.Builder
	if _, err := s.Get(context.Background(), "/up/ärger.txt", 0, &got); err != nil || got.String() != "latin" {
		t.Fatalf("%v %q", err, got.String())
	}
	if _, err := s.Put(context.Background(), "/up/5 €.txt", 0, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "up", "5 \x80.txt")); err != nil {
		t.Error(err)
	}
	for _, r := range b.find(connlog.DataOpened) {
		if p := r.To.Port(); p < ports.Min || p > ports.Max {
			t.Errorf("the server was told port %d", p)
		}
	}
}

// vsftpd with use_localtime gives its zone's time in LIST and in MDTM, so only a file that was just written tells it.
func TestAnUploadTellsTheClockOfAServerWhoseMDTMIsLocal(t *testing.T) {
	const india = 330 * time.Minute
	for name, c := range map[string]struct {
		greeting string
		ahead    time.Duration
		want     time.Duration
		asks     int
	}{
		"local time":         {"220 (vsFTPd 3.0.5)", india + time.Minute, india, 1},
		"UTC":                {"220 (vsFTPd 3.0.5)", -2 * time.Second, 0, 1},
		"a clock goes wrong": {"220 (vsFTPd 3.0.5)", india + 7*time.Minute, 0, clockTries},
		"another server":     {"220 ProFTPD", india, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.greeting = c.greeting
			asks := 0
			p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-F\r\n MDTM\r\n211 End") }
			p.on["MDTM"] = func(peer *peerConn, _ string) {
				asks++
				peer.say("213 %s", time.Now().UTC().Add(c.ahead).Format("20060102150405"))
			}
			p.on["LIST"] = func(c *peerConn, _ string) { c.send("-rw-r--r-- 1 u g 5 Feb 03 2020 a.txt\r\n") }
			o := Options{Target: p.target(), Mode: ModePassive, Clock: &Clock{}}
			s, _ := dial(t, o)
			for range clockTries + 1 {
				if _, err := s.Put(context.Background(), "b.txt", 0, strings.NewReader("x")); err != nil {
					t.Fatal(err)
				}
			}
			if asks != c.asks {
				t.Errorf("asked %d times", asks)
			}
			other, _ := dial(t, o)
			if offset, _ := other.TimeOffset(); offset != c.want {
				t.Errorf("another session knows %v", offset)
			}
			at, err := other.ModTime(context.Background(), "b.txt")
			if late := at.Sub(time.Now().Add(c.ahead - c.want)); err != nil || late.Abs() > 5*time.Second {
				t.Errorf("%v off, %v", late, err)
			}
			entries, err := other.List(context.Background(), "")
			if want := time.Date(2020, 2, 3, 0, 0, 0, 0, time.UTC).Add(-c.want); err != nil || !entries[0].Time.Equal(want) {
				t.Errorf("%v %+v", err, entries)
			}
		})
	}
}

// A listing and an upload of two sessions may measure at once: what the listing says of vsftpd is less.
func TestAListingDoesNotUndoWhatAnUploadHasToldOfTheClock(t *testing.T) {
	const india = 330 * time.Minute
	day := time.Now().UTC().AddDate(0, 0, -10).Truncate(24 * time.Hour)
	listed := day.Add(14*time.Hour + 30*time.Minute)
	p := newPeer(t)
	p.greeting = "220 (vsFTPd 3.0.5)"
	k := &Clock{}
	p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-F\r\n MDTM\r\n211 End") }
	p.on["LIST"] = func(c *peerConn, _ string) {
		c.send("-rw-r--r-- 1 u g 5 " + listed.Format("Jan _2 15:04") + " a.txt\r\n")
	}
	o := Options{Target: p.target(), Mode: ModePassive, Clock: k}
	other, _ := dial(t, o)
	p.on["MDTM"] = func(c *peerConn, arg string) {
		if arg != "a.txt" {
			c.say("213 %s", time.Now().UTC().Add(india).Format("20060102150405"))
			return
		}
		if _, err := other.Put(context.Background(), "b.txt", 0, strings.NewReader("x")); err != nil {
			t.Error(err)
		}
		c.say("213 %s", listed.Format("20060102150405"))
	}
	s, _ := dial(t, o)
	entries, err := s.List(context.Background(), "")
	if err != nil || len(entries) != 1 || !entries[0].Time.Equal(listed.Add(-india)) {
		t.Errorf("%v %+v", err, entries)
	}
	if offset, known := s.TimeOffset(); !known || offset != india {
		t.Errorf("%v %v", offset, known)
	}
}

// The race detector looks on.
func TestSessionsThatShareAClockMayBeginAtOnce(t *testing.T) {
	p := newPeer(t)
	offset := time.Hour
	o := Options{Target: p.target(), Mode: ModePassive, TimeOffset: &offset, Clock: &Clock{}}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			s, err := Dial(context.Background(), o)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if got, known := s.TimeOffset(); !known || got != offset {
				t.Errorf("%v %v", got, known)
			}
		})
	}
	all.Wait()
}
