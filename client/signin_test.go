package client

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"portside/connlog"
)

// known is the greeting of a server that takes a sign-in in one piece.
const known = "220 (vsFTPd 3.0.5)"

// pieces notes, for each command of a peer, whether something had come with it already.
func pieces(p *peer, verbs ...string) map[string]bool {
	more := map[string]bool{}
	for _, verb := range verbs {
		p.on[verb] = func(c *peerConn, arg string) {
			p.mu.Lock()
			more[verb] = c.br.Buffered() > 0
			p.mu.Unlock()
			c.answer(verb, arg)
		}
	}
	return more
}

func TestTheRestOfTheSignInGoesOutBehindFEAT(t *testing.T) {
	for _, tc := range []struct {
		greeting string
		o        Options
		want     []string // in one piece from FEAT on
	}{
		{known, Options{}, []string{"FEAT", "TYPE I"}},
		{known, Options{MovesFirst: true}, []string{"FEAT", "TYPE I", "EPSV"}},
		{known, Options{MovesFirst: true, Mode: ModeActive}, []string{"FEAT", "TYPE I"}},
		{known, Options{MovesFirst: true, NotAhead: true}, []string{"FEAT"}},
		{known, Options{MovesFirst: true, Again: true}, []string{"USER anonymous", "PASS anonymous@", "FEAT", "TYPE I", "EPSV"}},
		{known, Options{Again: true, Account: "x"}, []string{"FEAT", "TYPE I"}},
		{"220 A server", Options{MovesFirst: true, Again: true}, []string{"FEAT"}},
		{"220 ProFTPD Server", Options{MovesFirst: true, Again: true}, []string{"FEAT", "TYPE I"}},
	} {
		p := newPeer(t)
		p.greeting = tc.greeting
		more := pieces(p, "USER", "PASS", "FEAT", "TYPE")
		tc.o.Target = p.target()
		s, b := dial(t, tc.o)
		entries, err := s.List(context.Background(), "")
		if err != nil || len(entries) != 1 {
			t.Errorf("%+v: %v %v", tc.o, entries, err)
		}
		lines := p.lines()
		i := slices.Index(lines, tc.want[0])
		if i < 0 || len(lines) < i+len(tc.want) || !slices.Equal(lines[i:i+len(tc.want)], tc.want) {
			t.Errorf("%q %+v: %q", tc.greeting, tc.o, lines)
			continue
		}
		p.mu.Lock()
		for n, line := range tc.want[:len(tc.want)-1] {
			if !more[verbOf(line)] {
				t.Errorf("%+v: nothing had come with %s, and %s was to", tc.o, line, tc.want[n+1])
			}
		}
		if tc.want[0] == "FEAT" && (more["USER"] || more["PASS"]) {
			t.Errorf("%+v: something came with the name or the password", tc.o)
		}
		p.mu.Unlock()
		if n := strings.Count(strings.Join(lines, "\n"), "EPSV"); tc.o.Mode != ModeActive && n != 1 {
			t.Errorf("%+v: %d offers for one listing", tc.o, n)
		}
		if got := b.find(connlog.SignedIn); len(got) != 1 || len(s.Features()) == 0 {
			t.Errorf("%+v: %v %v", tc.o, got, s.Features())
		}
	}
}

func TestASignInInOnePieceIsToldLikeAnyOther(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		p.on["PASS"] = func(c *peerConn, arg string) { c.say("530 Too many of you") }
		for _, verb := range []string{"FEAT", "TYPE", "EPSV"} {
			p.on[verb] = func(c *peerConn, arg string) { c.say("530 Please login with USER and PASS.") }
		}
		b := &book{}
		_, err := Dial(context.Background(), Options{Target: p.target(), Again: true, MovesFirst: true, Recorder: b})
		if e := wantError(t, err, connlog.ReasonRejected, "530 Too many of you"); e.Code != 530 {
			t.Error(e)
		}
		if len(b.find(connlog.SignInRefused)) != 1 || len(b.find(connlog.SignedIn)) != 0 {
			t.Errorf("%+v", b.all)
		}
	})
	t.Run("ended", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		p.on["PASS"] = func(c *peerConn, arg string) { c.say("421 Full"); c.Conn.Close() }
		_, err := Dial(context.Background(), Options{Target: p.target(), Again: true, MovesFirst: true})
		wantError(t, err, connlog.ReasonRejected, "421 Full")
	})
	t.Run("no password asked for", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		p.on["USER"] = func(c *peerConn, arg string) { c.say("230 In") }
		p.on["PASS"] = func(c *peerConn, arg string) { c.say("503 You are in") }
		s, b := dial(t, Options{Target: p.target(), Again: true, MovesFirst: true})
		if got := several(t, s, "a.txt"); got[0] != "hello" {
			t.Error(got)
		}
		if len(b.find(connlog.SignedIn)) != 1 || len(b.find(connlog.SignInRefused)) != 0 {
			t.Errorf("%+v", b.all)
		}
	})
	t.Run("FEAT unknown", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		p.on["FEAT"] = func(c *peerConn, arg string) { c.say("500 What?") }
		p.on["LIST"] = func(c *peerConn, arg string) { c.send("-rw-r--r-- 1 a b 5 Jan 1 2020 a.txt\r\n") }
		s, _ := dial(t, Options{Target: p.target(), Again: true, MovesFirst: true})
		if l, err := s.List(context.Background(), ""); err != nil || len(l) != 1 || l[0].Name != "a.txt" {
			t.Error(l, err)
		}
	})
	t.Run("in clear, and nobody allows it", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		target := p.target()
		target.User, target.Password = "bob", "secret"
		_, err := Dial(context.Background(), Options{Target: target, Again: true,
			InClear: func(ctx context.Context, _ netip.AddrPort) error { return io.EOF }})
		wantError(t, err, connlog.ReasonPolicy)
		if strings.Contains(strings.Join(p.lines(), "\n"), "secret") {
			t.Errorf("%q", p.lines())
		}
	})
}

// What can't be sent is no reason to wait for an answer.
func TestANameOrPasswordThatCantBeWrittenIsToldAtOnce(t *testing.T) {
	for _, tc := range []struct{ greeting, user, password string }{
		{"220 A server", "Жук", "secret"},
		{known, "bob", "Жук"},
	} {
		p := newPeer(t)
		p.greeting = tc.greeting
		target := p.target()
		target.User, target.Password = tc.user, tc.password
		_, err := Dial(context.Background(), Options{Target: target, Charset: "ISO-8859-1", Again: true})
		if err == nil || !strings.Contains(err.Error(), "ISO-8859-1") {
			t.Errorf("%s: %v", tc.user, err)
		}
	}
}

// The first offer is as good as one that is asked for when it is needed, and no better.
func TestTheFirstOfferFailsAsAnyOther(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		p.on["EPSV"] = func(c *peerConn, arg string) { c.say("500 EPSV not understood") }
		s, b := dial(t, Options{Target: p.target(), MovesFirst: true})
		if got := several(t, s, "a.txt"); got[0] != "hello" || s.NotAhead() {
			t.Error(got, s.NotAhead())
		}
		if len(b.find(connlog.ModeChanged)) != 0 || s.Mode() != ModePassive {
			t.Error("the mode was changed, and PASV works")
		}
	})
	t.Run("closed ports", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		port := closedPort(t)
		p.on["EPSV"] = func(c *peerConn, arg string) { c.say("229 Entering Extended Passive Mode (|||%d|)", port) }
		s, b := dial(t, Options{Target: p.target(), MovesFirst: true})
		if got := several(t, s, "a.txt"); got[0] != "hello" || s.Mode() != ModeActive {
			t.Error(got, s.Mode())
		}
		if n := len(b.find(connlog.DataDialing)); n != 1 {
			t.Errorf("the closed port was tried %d times", n)
		}
		if s.NotAhead() {
			t.Error("the server was spared for a firewall")
		}
	})
	t.Run("long unused", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		s, b := dial(t, Options{Target: p.target(), Mode: ModePassive, MovesFirst: true})
		if err := s.Noop(context.Background()); err != nil { // whose answer comes after the offer's
			t.Fatal(err)
		}
		s.ctl.mu.Lock()
		s.ctl.early[0].since = time.Now().Add(-freshLimit - time.Second)
		s.ctl.mu.Unlock()
		if got := several(t, s, "a.txt"); got[0] != "hello" {
			t.Error(got)
		}
		if offers := b.find(connlog.PassiveOffered); len(offers) != 2 || s.NotAhead() {
			t.Errorf("%+v %v", offers, s.NotAhead())
		}
	})
	t.Run("never used", func(t *testing.T) {
		p := newPeer(t)
		p.greeting = known
		s, _ := dial(t, Options{Target: p.target(), MovesFirst: true})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
