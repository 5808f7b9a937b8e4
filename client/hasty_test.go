package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/connlog"
)

// smallFile is a file of some bytes, as the transfers open it.
func smallFile(t *testing.T, size int) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// hasty is a peer to which uploads go out before it has agreed, and a session with it that has more to move.
func hasty(t *testing.T, script func(p *peer)) (*peer, *Session, *book) {
	t.Helper()
	p := newPeer(t)
	p.greeting = "220 (vsFTPd 3.0.5)"
	if script != nil {
		script(p)
	}
	s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
	s.Follow(true)
	return p, s, b
}

// take reads what comes over the data connection until its end, or for 10 s.
func (c *peerConn) take() (net.Conn, string) {
	conn := c.open()
	if conn == nil {
		return nil, ""
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(conn)
	if err != nil {
		c.t.Error(err)
	}
	return conn, string(b)
}

// isStored says what the peer has under a name.
func (p *peer) isStored(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored[name]
}

func TestASmallUploadDoesNotWaitForConsentWhereThatIsSafe(t *testing.T) {
	file := func(t *testing.T) io.Reader { return smallFile(t, 100) }
	for _, tc := range []struct {
		name     string
		greeting string
		body     func(t *testing.T) io.Reader
		offset   int64
		mode     Mode
		last     bool
		waits    bool
	}{
		{name: "vsftpd", greeting: "220 (vsFTPd 3.0.5)", body: file, mode: ModePassive},
		{name: "ProFTPD", greeting: "220 ProFTPD Server", body: file, mode: ModePassive},
		{name: "empty", greeting: "220 (vsFTPd 3.0.5)", body: func(t *testing.T) io.Reader { return smallFile(t, 0) }, mode: ModePassive},
		{name: "the largest", greeting: "220 (vsFTPd 3.0.5)", body: func(t *testing.T) io.Reader { return smallFile(t, aheadUpload) }, mode: ModePassive},

		{name: "Pure-FTPd", greeting: "220 Welcome to Pure-FTPd", body: file, mode: ModePassive, waits: true},
		{name: "unknown server", greeting: "220 A server", body: file, mode: ModePassive, waits: true},
		{name: "pyftpdlib", greeting: "220 pyftpdlib 1.5.7 ready.", body: file, mode: ModePassive, waits: true},
		{name: "larger", greeting: "220 (vsFTPd 3.0.5)", body: func(t *testing.T) io.Reader { return smallFile(t, aheadUpload+1) }, mode: ModePassive, waits: true},
		{name: "no file", greeting: "220 (vsFTPd 3.0.5)", body: func(*testing.T) io.Reader { return strings.NewReader("x") }, mode: ModePassive, waits: true},
		{name: "the rest of a file", greeting: "220 (vsFTPd 3.0.5)", body: file, offset: 5, mode: ModePassive, waits: true},
		{name: "the last", greeting: "220 (vsFTPd 3.0.5)", body: file, mode: ModePassive, last: true, waits: true},
		{name: "active", greeting: "220 (vsFTPd 3.0.5)", body: file, mode: ModeActive, waits: true},
		{name: "mode not proved", greeting: "220 (vsFTPd 3.0.5)", body: file, mode: ModeAuto, waits: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			p.greeting = tc.greeting
			p.on["STOR"] = func(c *peerConn, arg string) {
				conn := c.open()
				if conn == nil {
					return
				}
				defer conn.Close()
				limit := 10 * time.Second
				if tc.waits {
					limit = 50 * time.Millisecond
				}
				_ = conn.SetReadDeadline(time.Now().Add(limit))
				early, err := io.ReadAll(conn)
				if waits := errors.Is(err, os.ErrDeadlineExceeded); waits != tc.waits || waits && len(early) > 0 {
					t.Errorf("before the 150 came %d bytes, and %v", len(early), err)
				}
				c.say("150 Go")
				_ = conn.SetReadDeadline(time.Time{})
				rest, err := io.ReadAll(conn)
				if err != nil {
					t.Error(err)
				}
				c.mu.Lock()
				c.stored[arg] = string(early) + string(rest)
				c.mu.Unlock()
				c.say("226 Done")
			}
			s, b := dial(t, Options{Target: p.target(), Mode: tc.mode})
			s.Follow(!tc.last)
			n, err := s.Put(context.Background(), "up", tc.offset, tc.body(t))
			if err != nil || int(n) != len(p.isStored("up")) || s.NotAhead() != strings.Contains(tc.greeting, "pyftpdlib") {
				t.Error(n, err, len(p.isStored("up")), s.NotAhead())
			}
			if closed := b.find(connlog.DataClosed); len(closed) != 1 || closed[0].Bytes != n || closed[0].Command != "STOR up" {
				t.Errorf("%+v", closed)
			}
		})
	}
}

// reset ends a data connection as a server does that throws away what came.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// resetsAtOnce makes the first data connection of a peer one that is reset when it stands, before anything is sent: hook,
// told the records, waits for that. What answers STOR is left to the caller.
func resetsAtOnce(p *peer) (hook func(connlog.Record)) {
	stands, done := make(chan struct{}), make(chan struct{})
	var first, once sync.Once
	p.on["EPSV"] = func(c *peerConn, arg string) {
		c.answer("EPSV", arg)
		first.Do(func() {
			defer close(done)
			if conn := c.open(); conn != nil {
				<-stands
				reset(conn)
			}
		})
	}
	return func(r connlog.Record) {
		if r.Event == connlog.DataOpened {
			once.Do(func() { close(stands) })
			<-done
		}
	}
}

func TestARefusalIsToldAlsoWhenTheDataWasUnderWay(t *testing.T) {
	for _, tc := range []struct {
		name   string
		early  bool // the reset comes before the data
		answer string
		code   int
		reason connlog.Reason
	}{
		{"553 after the data", false, "553 Could not create file.", 553, connlog.ReasonRejected},
		{"550 after the data", false, "550 Permission denied.", 550, connlog.ReasonRejected},
		{"452 after the data", false, "452 No space.", 452, connlog.ReasonRejected},
		{"553 after a reset", true, "553 Could not create file.", 553, connlog.ReasonRejected},
		{"550 after a reset", true, "550 Permission denied.", 550, connlog.ReasonRejected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var hook func(connlog.Record)
			p, s, b := hasty(t, func(p *peer) {
				if tc.early {
					hook = resetsAtOnce(p)
				}
				p.on["STOR"] = func(c *peerConn, arg string) {
					if arg == "good" {
						c.answer("STOR", arg)
						return
					}
					if tc.early {
						time.Sleep(20 * time.Millisecond) // nothing says when the session has met the reset
					} else {
						conn, _ := c.take()
						reset(conn)
					}
					c.say("%s", tc.answer)
				}
			})
			b.mu.Lock()
			b.hook = hook
			b.mu.Unlock()
			n, err := s.Put(context.Background(), "bad", 0, smallFile(t, 4096))
			e := wantError(t, err, tc.reason)
			if e.Code != tc.code || e.Data || e.Reply != tc.answer || n != 0 {
				t.Errorf("%d %+v", n, e)
			}
			failed := b.find(connlog.DataFailed)
			if len(failed) != 1 || failed[0].Reply != tc.answer || failed[0].By != connlog.Server || failed[0].Bytes != 0 {
				t.Errorf("%+v", failed)
			}
			if n, err := s.Put(context.Background(), "good", 0, smallFile(t, 4096)); n != 4096 || err != nil || len(p.isStored("good")) != 4096 {
				t.Error(n, err)
			}
			if s.NotAhead() {
				t.Error("a refusal of a file was taken for a server that can't take commands ahead")
			}
		})
	}
}

// A server that confirms what did not reach it has stored a part: the session does not believe it.
func TestAConfirmedUploadThatWasResetIsSentAgain(t *testing.T) {
	var hook func(connlog.Record)
	stores := 0
	p, s, b := hasty(t, func(p *peer) {
		hook = resetsAtOnce(p)
		p.on["STOR"] = func(c *peerConn, arg string) {
			if stores++; stores == 1 {
				c.say("150 Go")
				c.say("226 Done")
				return
			}
			c.answer("STOR", arg)
		}
	})
	b.mu.Lock()
	b.hook = hook
	b.mu.Unlock()
	n, err := s.Put(context.Background(), "up", 0, smallFile(t, 4096))
	if n != 4096 || err != nil || len(p.isStored("up")) != 4096 || stores != 2 || !s.NotAhead() {
		t.Error(n, err, len(p.isStored("up")), stores, s.NotAhead())
	}
}

func TestAServerThatCantTakeDataBeforeItAgreedIsFoundOutAndSpared(t *testing.T) {
	for _, answer := range []string{"425 No connection", "426 Cut", "451 Local error"} {
		tries := 0
		p, s, _ := hasty(t, func(p *peer) {
			p.greeting = "220 ProFTPD Server" // nothing else goes out ahead to it
			p.on["STOR"] = func(c *peerConn, arg string) {
				if tries++; tries == 1 {
					conn, _ := c.take()
					reset(conn)
					c.say("%s", answer)
					return
				}
				open := c.data
				c.data = func() (net.Conn, error) {
					conn, err := open()
					if err == nil {
						_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
						if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Error("data came before the 150 again:", err)
						}
						_ = conn.SetReadDeadline(time.Time{})
						c.say("150 Go")
					}
					return conn, err
				}
				conn, body := c.take()
				conn.Close()
				c.mu.Lock()
				c.stored[arg] = body
				c.mu.Unlock()
				c.say("226 Done")
			}
		})
		n, err := s.Put(context.Background(), "up", 0, smallFile(t, 4096))
		if n != 4096 || err != nil || len(p.isStored("up")) != 4096 || !s.NotAhead() {
			t.Error(answer, n, err, len(p.isStored("up")), s.NotAhead())
		}
	}
}

func TestAnUploadIsNotDoneBeforeTheServerHasConfirmedIt(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(c *peerConn)
		code int
	}{
		{"it ends without a word", func(c *peerConn) { c.Close() }, 0},
		{"it says 421", func(c *peerConn) { c.say("421 Shutting down") }, 421},
		{"it says 421 and ends", func(c *peerConn) { c.say("421 Shutting down"); c.Close() }, 421},
		{"it agrees and ends", func(c *peerConn) { c.say("150 Go"); c.Close() }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, s, _ := hasty(t, func(p *peer) {
				p.on["STOR"] = func(c *peerConn, _ string) {
					conn, body := c.take()
					if len(body) != 4096 {
						t.Error(len(body))
					}
					conn.Close()
					tc.end(c)
				}
			})
			_, err := s.Put(context.Background(), "up", 0, smallFile(t, 4096))
			var e *Error
			if !errors.As(err, &e) || e.Code != tc.code {
				t.Errorf("%+v", err)
			}
			if tries := strings.Count(strings.Join(p.lines(), "\n"), "STOR"); tries != 1 {
				t.Errorf("%q", p.lines())
			}
		})
	}
	t.Run("it says nothing", func(t *testing.T) {
		_, s, _ := hasty(t, func(p *peer) {
			p.on["STOR"] = func(c *peerConn, _ string) { c.take() }
		})
		s.ctl.reply = 100 * time.Millisecond
		_, err := s.Put(context.Background(), "up", 0, smallFile(t, 4096))
		wantError(t, err, connlog.ReasonTimeout)
	})
}

func TestACancelledUploadThatWaitsForConsentKeepsTheSession(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p, s, _ := hasty(t, func(p *peer) {
		p.on["STOR"] = func(c *peerConn, arg string) {
			if arg == "good" {
				c.answer("STOR", arg)
				return
			}
			c.take()
			cancel()
			if line, err := c.br.ReadString('\n'); err != nil || line != "EPSV\r\n" {
				t.Errorf("%q %v", line, err)
			}
			if line, err := c.br.ReadString('\n'); err != nil || line != "ABOR\r\n" {
				t.Errorf("%q %v", line, err)
			}
			c.say("426 Cut")
			c.say("502 Not now")
			c.say("226 Aborted")
		}
	})
	n, err := s.Put(ctx, "up", 0, smallFile(t, 4096))
	wantError(t, err, connlog.ReasonCancelled)
	if n != 0 {
		t.Error(n)
	}
	if n, err := s.Put(context.Background(), "good", 0, smallFile(t, 4096)); n != 4096 || err != nil || len(p.isStored("good")) != 4096 {
		t.Error(n, err)
	}
}
