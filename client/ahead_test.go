package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portside/connlog"
)

// several gets files into a folder, each with word of what follows, and returns what came.
func several(t *testing.T, s *Session, paths ...string) []string {
	t.Helper()
	var got []string
	for i, p := range paths {
		s.Follow(i < len(paths)-1, paths[i+1:]...)
		f, err := os.Create(filepath.Join(t.TempDir(), "x"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Get(context.Background(), p, 0, f)
		f.Close()
		b, rerr := os.ReadFile(f.Name())
		if rerr != nil {
			t.Fatal(rerr)
		}
		if err != nil {
			got = append(got, "error: "+err.Error())
			continue
		}
		got = append(got, string(b))
	}
	return got
}

// alphabet gives a peer the files a to h, each holding its name three times.
func alphabet(p *peer) (paths, want []string) {
	for c := 'a'; c <= 'h'; c++ {
		p.files[string(c)] = strings.Repeat(string(c), 3)
		paths, want = append(paths, string(c)), append(want, p.files[string(c)])
	}
	return paths, want
}

func TestTheNextOfferIsAskedForWithTheTransferBefore(t *testing.T) {
	p := newPeer(t)
	paths, want := alphabet(p)
	p.on["RETR"] = func(c *peerConn, arg string) {
		if arg != "h" { // the last one has nothing behind it
			line, err := c.br.Peek(4)
			if err != nil || string(line) != "EPSV" {
				t.Errorf("behind RETR %s: %q %v", arg, line, err)
			}
		}
		c.answer("RETR", arg)
	}
	s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
	if got := several(t, s, paths...); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	offers, opened := b.find(connlog.PassiveOffered), b.find(connlog.DataOpened)
	if len(offers) != len(paths) || len(opened) != len(paths) || s.NotAhead() {
		t.Fatal(len(offers), len(opened), s.NotAhead())
	}
	for i := range paths {
		if offers[i].Conn != i+1 || opened[i].Conn != i+1 || offers[i].To != opened[i].To || opened[i].Initiator != connlog.Client {
			t.Errorf("%+v\n%+v", offers[i], opened[i])
		}
	}
}

func TestActiveDownloadsAreAskedForSeveralAtOnce(t *testing.T) {
	p := newPeer(t)
	paths, want := alphabet(p)
	most := 0
	p.on["RETR"] = func(c *peerConn, arg string) {
		if arg == "c" { // all that is ahead by now is in one piece behind it
			behind, _ := c.br.Peek(c.br.Buffered())
			most = strings.Count(string(behind), "RETR")
		}
		c.answer("RETR", arg)
	}
	s, b := dial(t, Options{Target: p.target(), Mode: ModeActive})
	if got := several(t, s, paths...); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if most == 0 {
		t.Errorf("nothing came behind the third; %q", p.lines())
	}
	closed := b.find(connlog.DataClosed)
	if len(closed) != len(paths) || s.NotAhead() {
		t.Fatalf("%+v", closed)
	}
	for i, r := range closed {
		if r.Initiator != connlog.Server || r.Command != "RETR "+paths[i] || r.Bytes != 3 {
			t.Errorf("%+v", r)
		}
	}
}

func TestAMissingFileDoesNotDisturbWhatIsAhead(t *testing.T) {
	for _, mode := range []Mode{ModePassive, ModeActive} {
		p := newPeer(t)
		paths, want := alphabet(p)
		p.on["RETR"] = func(c *peerConn, arg string) {
			if arg == "d" {
				c.say("550 No such file")
				return
			}
			c.answer("RETR", arg)
		}
		s, b := dial(t, Options{Target: p.target(), Mode: mode})
		got := several(t, s, paths...)
		if !strings.Contains(got[3], "No such file") {
			t.Errorf("%s: %q", mode, got[3])
		}
		got[3] = want[3]
		if !slices.Equal(got, want) || s.NotAhead() || len(b.find(connlog.OfferExpired)) != 0 {
			t.Errorf("%s: %q %v", mode, got, s.NotAhead())
		}
	}
}

func TestWhatWasAskedForInVainIsTakenBackAndSaid(t *testing.T) {
	for _, mode := range []Mode{ModePassive, ModeActive} {
		p := newPeer(t)
		paths, want := alphabet(p)
		s, b := dial(t, Options{Target: p.target(), Mode: mode})
		if got := several(t, s, paths[:3]...); !slices.Equal(got, want[:3]) {
			t.Fatal(got)
		}
		s.Follow(true, "g", "h")
		if _, err := s.Get(context.Background(), "a", 0, io.Discard); err != nil {
			t.Fatal(err)
		}
		s.Follow(false)
		// Another file than the one that was announced, a listing, and a command in between.
		if r, err := s.Raw(context.Background(), "NOOP"); r.Code != 200 || err != nil {
			t.Error(r, err)
		}
		if got := several(t, s, "e"); got[0] != "eee" {
			t.Errorf("%s: %q", mode, got)
		}
		if l, err := s.List(context.Background(), ""); err != nil || len(l) != 1 {
			t.Error(l, err)
		}
		back := len(b.find(connlog.OfferExpired))
		for _, r := range b.find(connlog.DataFailed) {
			if r.Reason == connlog.ReasonNotTaken {
				back++
			}
		}
		if want := map[Mode]int{ModePassive: 0, ModeActive: 2}[mode]; back != want {
			t.Errorf("%s: %d were taken back, want %d", mode, back, want)
		}
		if s.NotAhead() {
			t.Error("the server was spared for nothing")
		}
	}
}

// The next data connection is opened while the person's program still does something with the last file.
func TestTheNextDataConnectionIsOpenedBeforeItIsNeeded(t *testing.T) {
	p := newPeer(t)
	opened := make(chan connlog.Record, 10)
	b := &book{hook: func(r connlog.Record) {
		if r.Event == connlog.DataOpened {
			opened <- r
		}
	}}
	s, err := Dial(context.Background(), Options{Target: p.target(), Mode: ModePassive, Recorder: b})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Follow(true)
	if _, err := s.Get(context.Background(), "a.txt", 0, io.Discard); err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // the second comes without a word from us
		select {
		case r := <-opened:
			if r.Conn != n+1 {
				t.Errorf("%+v", r)
			}
		case <-time.After(time.Minute):
			t.Fatalf("data connection %d was not opened", n+1)
		}
	}
	s.Close()
	unused := b.find(connlog.DataFailed)
	if len(unused) != 1 || unused[0].Reason != connlog.ReasonNotTaken || unused[0].Conn != 2 || unused[0].Bytes != 0 {
		t.Errorf("%+v", unused)
	}
}

func TestAnOfferThatNobodyUsedIsTakenBackAtTheEnd(t *testing.T) {
	p := newPeer(t)
	s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
	s.Follow(true)
	if _, err := s.Get(context.Background(), "a.txt", 0, io.Discard); err != nil {
		t.Fatal(err)
	}
	s.Close()
	// Whether it stood by then or not.
	r := append(b.find(connlog.OfferExpired), b.find(connlog.DataFailed)...)
	if len(r) != 1 || r[0].Reason != connlog.ReasonNotTaken || !r[0].To.IsValid() || r[0].Conn != 2 {
		t.Errorf("%+v", r)
	}
}

// Servers that can't take a command during a transfer, each in its own way. Every file arrives all the same.
func TestAServerThatCantTakeCommandsAheadIsFoundOutAndSpared(t *testing.T) {
	refuse := func(reply string) func(c *peerConn, arg string) {
		return func(c *peerConn, arg string) {
			c.say("150 Here")
			conn := c.open()
			if conn == nil {
				return
			}
			if c.br.Buffered() > 0 { // a command has come meanwhile
				c.br.Discard(c.br.Buffered())
				c.say("%s", reply)
			}
			io.WriteString(conn, c.files[arg])
			conn.Close()
			c.say("226 Done")
		}
	}
	for name, retr := range map[string]func(c *peerConn, arg string){
		"450":       refuse("450 EPSV: data transfer in progress"),
		"503":       refuse("503 Bad sequence of commands"),
		"500":       refuse("500 Not during a transfer"),
		"swallowed": func(c *peerConn, arg string) { c.br.Discard(c.br.Buffered()); c.answer("RETR", arg) },
		"offer first": func(c *peerConn, arg string) {
			c.say("150 Here")
			conn := c.open()
			if conn == nil {
				return
			}
			if c.br.Buffered() > 0 {
				line, _ := c.br.ReadString('\n')
				verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
				c.answer(verb, rest)
			}
			io.WriteString(conn, c.files[arg])
			conn.Close()
			c.say("226 Done")
		},
		"dropped": func(c *peerConn, arg string) {
			c.say("150 Here")
			conn := c.open()
			if conn == nil {
				return
			}
			if c.br.Buffered() > 0 {
				c.br.Discard(c.br.Buffered())
				conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
				c.say("426 Another command came")
				c.say("500 What?")
				return
			}
			io.WriteString(conn, c.files[arg])
			conn.Close()
			c.say("226 Done")
		},
	} {
		for _, mode := range []Mode{ModePassive, ModeActive} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				p := newPeer(t)
				paths, want := alphabet(p)
				p.on["RETR"] = retr
				told := 0
				s, _ := dial(t, Options{Target: p.target(), Mode: mode, CannotAhead: func() { told++ }, Timeouts: short})
				var got []string
				for tries := 0; len(got) < len(paths) && tries < 4; tries++ {
					// What a transfer job does when the session was lost: the next one is spared.
					if s.Err() != nil {
						if !s.NotAhead() {
							t.Error("the session was lost, and the server not spared")
						}
						s, _ = dial(t, Options{Target: p.target(), Mode: mode, NotAhead: true})
					}
					for _, one := range several(t, s, paths[len(got):]...) {
						if strings.HasPrefix(one, "error: ") {
							t.Log(one)
							break
						}
						got = append(got, one)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q", got)
				}
				if !s.NotAhead() {
					t.Error("the server was not spared")
				}
			})
		}
	}
}

func TestACancelledDownloadTakesBackWhatIsAhead(t *testing.T) {
	for _, mode := range []Mode{ModePassive, ModeActive} {
		p := newPeer(t)
		paths, want := alphabet(p)
		p.files["d"] = strings.Repeat("d", 100)
		s, _ := dial(t, Options{Target: p.target(), Mode: mode})
		if got := several(t, s, paths[:3]...); !slices.Equal(got, want[:3]) {
			t.Fatal(got)
		}
		s.Follow(true, "e", "f", "g")
		ctx, cancel := context.WithCancel(context.Background())
		_, err := s.Get(ctx, "d", 0, writerFunc(func(b []byte) (int, error) { cancel(); return 0, ctx.Err() }))
		if err == nil {
			t.Error("no error")
		}
		if s.Err() != nil {
			t.Fatalf("%s: the session was lost: %v", mode, s.Err())
		}
		if got := several(t, s, "h", "a"); !slices.Equal(got, []string{"hhh", "aaa"}) {
			t.Errorf("%s: %q", mode, got)
		}
	}
}

func TestAServerThatGoesAwayAfterAnUnusedOfferIsNoticed(t *testing.T) {
	p := newPeer(t)
	offers := 0
	p.on["EPSV"] = func(c *peerConn, arg string) {
		c.answer("EPSV", arg)
		if offers++; offers == 2 {
			c.say("421 Nobody used the port")
			c.Conn.Close()
		}
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	s.Follow(true)
	if _, err := s.Get(context.Background(), "a.txt", 0, io.Discard); err != nil {
		t.Fatal(err) // the file had come whole
	}
	select {
	case <-s.ctl.done:
	case <-time.After(time.Minute):
		t.Fatal("the end was not noticed")
	}
	if _, err := s.Get(context.Background(), "a.txt", 0, io.Discard); err == nil {
		t.Error("no error")
	}
}

func TestUploadsGoAheadWithKnownServersOnly(t *testing.T) {
	for greeting, ahead := range map[string]bool{"220 (vsFTPd 3.0.5)": true, "220 A server": false} {
		p := newPeer(t)
		p.greeting = greeting
		behind := make(chan bool, 3)
		p.on["STOR"] = func(c *peerConn, arg string) {
			behind <- c.br.Buffered() > 0
			c.answer("STOR", arg)
		}
		s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
		for i := range 3 {
			s.Follow(i < 2)
			if _, err := s.Put(context.Background(), fmt.Sprint("up", i), 0, strings.NewReader(fmt.Sprint("body ", i))); err != nil {
				t.Fatal(err)
			}
			if got := <-behind; got != (ahead && i < 2) {
				t.Errorf("%s: something behind STOR number %d: %v", greeting, i, got)
			}
		}
		p.mu.Lock()
		for i := range 3 {
			if p.stored[fmt.Sprint("up", i)] != fmt.Sprint("body ", i) {
				t.Errorf("%q", p.stored)
			}
		}
		p.mu.Unlock()
	}
}

// An upload's time is set without a round trip of its own, where the next upload comes behind it.
func TestTimesOfUploadsAreSetOnTheWay(t *testing.T) {
	for _, tc := range []struct {
		name, greeting string
		ahead, refuses bool
	}{
		{"vsftpd", "220 (vsFTPd 3.0.5)", true, false},
		{"refuses", "220 (vsFTPd 3.0.5)", true, true},
		{"unknown server", "220 A server", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			p.greeting = tc.greeting
			p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-Features\r\n MFMT\r\n211 End") }
			p.on["MFMT"] = func(c *peerConn, arg string) {
				if tc.ahead && strings.HasSuffix(arg, "up0") {
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
					if _, err := c.br.Peek(1); err != nil { // the next command comes without an answer to this one
						t.Error(err)
					}
					_ = c.SetReadDeadline(time.Time{})
				}
				if tc.refuses {
					c.say("550 Not yours")
					return
				}
				c.say("213 Modify=%s", arg)
			}
			s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
			at := time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
			asked := 0
			for i := range 3 {
				s.Follow(i < 2)
				name := fmt.Sprint("up", i)
				if _, err := s.Put(context.Background(), name, 0, strings.NewReader(name)); err != nil {
					t.Fatal(err)
				}
				if !s.CanSetModTime() {
					continue
				}
				asked++
				if err := s.SetModTime(context.Background(), name, at); err != nil {
					t.Error(err)
				}
			}
			if tc.refuses {
				if asked == 3 {
					t.Error("a server that refuses was asked each time")
				}
				return
			}
			var lines []string
			for _, l := range p.lines() {
				if strings.HasPrefix(l, "MFMT") {
					lines = append(lines, l)
				}
			}
			if want := []string{"MFMT 20210304050607 up0", "MFMT 20210304050607 up1", "MFMT 20210304050607 up2"}; !slices.Equal(lines, want) {
				t.Errorf("%q", lines)
			}
			if len(b.find(connlog.DataClosed)) != 3 || s.NotAhead() {
				t.Errorf("%+v", b.find(connlog.DataClosed))
			}
		})
	}
}
