package client

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"portside/connlog"
)

// heap is what the program holds, in MiB.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// A listing without end is given up, the person is told, the session goes on, and what was held is let go.
func TestAnEndlessListingIsGivenUp(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads a million entries")
	}
	p := newPeer(t)
	page := strings.Repeat("type=file;size=1;modify=20200101000000; some-file-name.txt\r\n", 2000)
	p.on["MLSD"] = func(c *peerConn, _ string) {
		c.say("150 Here")
		if conn := c.open(); conn != nil {
			for {
				if _, err := io.WriteString(conn, page); err != nil {
					break
				}
			}
			conn.Close()
			c.say("426 Cut")
		}
	}
	s, _ := dial(t, Options{Target: p.target(), Mode: ModePassive})
	before, most := heap(), 0.0
	stop, looked := make(chan bool), make(chan bool)
	go func() {
		defer close(looked)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, float64(m.HeapAlloc)/(1<<20))
			}
		}
	}()
	entries, err := s.List(context.Background(), "")
	close(stop)
	<-looked
	wantError(t, err, connlog.ReasonPolicy, "more than 1000000 entries")
	if err := s.Noop(context.Background()); err != nil {
		t.Error("the session did not go on:", err)
	}
	t.Logf("%d entries; heap %.0f MiB before, at most %.0f MiB", len(entries), before, most)
	if most-before > 1024 {
		t.Errorf("it held %.0f MiB", most-before)
	}
	runtime.KeepAlive(entries)
	entries = nil
	if after := heap(); after-before > 64 {
		t.Errorf("%.0f MiB are still held", after-before)
	}
}

// Replies without end are held only as far as a reply may go.
func TestEndlessRepliesHoldLittle(t *testing.T) {
	for name, part := range map[string]string{"one line": strings.Repeat("x", 64<<10), "one reply": "213-more\r\n", "many replies": "213 5\r\n"} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.on["SIZE"] = func(c *peerConn, _ string) {
				for page := strings.Repeat(part, 1+(1<<16)/len(part)); ; {
					if _, err := io.WriteString(c.Conn, page); err != nil {
						return
					}
				}
			}
			s, _ := dial(t, Options{Target: p.target()})
			before := heap()
			_, _ = s.Size(context.Background(), "a")
			select {
			case <-s.ctl.done:
			case <-time.After(time.Minute):
				t.Fatal("the server is still listened to")
			}
			if s.Err() == nil {
				t.Error("the person is not told")
			}
			if got := heap() - before; got > 16 {
				t.Errorf("it held %.0f MiB", got)
			}
		})
	}
}

// A server that says again and again that it will answer soon is not waited for without end.
func TestRepliesThatOnlyBeginComeToAnEnd(t *testing.T) {
	soon := func(c *peerConn, every time.Duration, line string) {
		for {
			if _, err := io.WriteString(c.Conn, line); err != nil {
				return
			}
			time.Sleep(every)
		}
	}
	ends := func(t *testing.T, do func() error) error {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- do() }()
		select {
		case err := <-done:
			return err
		case <-time.After(time.Minute):
			t.Fatal("the server is still waited for")
			return nil
		}
	}
	// Told to come back later, it is the time that ends it; without a pause it is the number.
	for name, limit := range map[string]time.Duration{"slowly": time.Second, "at once": 0} {
		t.Run("the greeting, "+name, func(t *testing.T) {
			p := newPeer(t)
			p.greet = func(c *peerConn) { soon(c, limit/4, "120 In a minute\r\n") }
			err := ends(t, func() error {
				_, err := Dial(context.Background(), Options{Target: p.target(), Timeouts: Timeouts{Reply: limit}})
				return err
			})
			if limit > 0 {
				wantError(t, err, connlog.ReasonRejected, "not ready yet")
			} else {
				wantError(t, err, connlog.ReasonNotFTP)
			}
		})
	}
	t.Run("a command", func(t *testing.T) {
		p := newPeer(t)
		p.on["SIZE"] = func(c *peerConn, _ string) { soon(c, 2*time.Millisecond, "150 Soon\r\n") }
		s, _ := dial(t, Options{Target: p.target()})
		err := ends(t, func() error {
			_, err := s.Size(context.Background(), "a")
			return err
		})
		wantError(t, err, connlog.ReasonNotFTP, "does not end")
	})
}

// What a 229 or 227 names beside a port is not taken: no other host, and no other thing than a port.
func TestAnOfferThatMakesNoSenseIsRefused(t *testing.T) {
	for _, reply := range []string{"229 (|||0|)", "229 (|||65536|)", "229 (|1|10.0.0.1|x|)", "229 ok", "227 (1,2,3,4,5)", "229 (|||-1|)"} {
		p := newPeer(t)
		p.on["EPSV"] = func(c *peerConn, _ string) { c.say("%s", reply) }
		p.on["PASV"] = func(c *peerConn, _ string) { c.say("227 (127,0,0,1,0,0)") }
		s, b := dial(t, Options{Target: p.target(), Mode: ModePassive})
		if got, err := get(t, s); err == nil {
			t.Errorf("%q gave %q", reply, got)
		}
		if r := b.find(connlog.DataDialing); len(r) != 0 {
			t.Errorf("%q was dialled: %+v", reply, r)
		}
	}
}

func TestTimesAndSizesThatMakeNoSenseAreErrors(t *testing.T) {
	p := newPeer(t)
	answers := make(chan string, 1)
	p.on["FEAT"] = func(c *peerConn, _ string) { c.say("211-F\r\n MDTM\r\n SIZE\r\n211 End") }
	p.on["SIZE"] = func(c *peerConn, _ string) { c.say("%s", <-answers) }
	p.on["MDTM"] = p.on["SIZE"]
	s, _ := dial(t, Options{Target: p.target()})
	for _, a := range []string{"213 -5", "213 99999999999999999999", "213 x", "213", "550 No", "350 More"} {
		answers <- a
		if n, err := s.Size(context.Background(), "a"); err == nil {
			t.Errorf("SIZE %q gave %d", a, n)
		}
	}
	for _, a := range []string{"213 20201301000000", "213 2020", "213 -0200101000000", "213", "550 No"} {
		answers <- a
		if at, err := s.ModTime(context.Background(), "a"); err == nil {
			t.Errorf("MDTM %q gave %v", a, at)
		}
	}
	answers <- "213 20200102030405.678"
	if at, err := s.ModTime(context.Background(), "a"); err != nil || at != time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC) {
		t.Error(at, err)
	}
}

// FuzzFeatures: whatever FEAT answers, the library reads it as one reply, and no name holds what could move a cursor.
func FuzzFeatures(f *testing.F) {
	for _, s := range []string{"211-F\r\n MLST a*;\r\n211 End\r\n", "211 No\r\n", "211-F\r\n211-SIZE\r\n\x1b[2J\r\n211 \r\n", "211-\r\n\r\n 211\r\n211 x\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readReply(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || r.code != 211 {
			return
		}
		again, err := readReply(bufio.NewReader(strings.NewReader(featReply(r).wire())))
		if err != nil || again.code != 211 {
			t.Fatalf("%q gave %q: %v", b, featReply(r).wire(), err)
		}
		s := &Session{}
		s.note("FEAT", r)
		for name, rest := range s.features {
			if strings.ContainsAny(name+rest, "\x00\x1b\r\n") {
				t.Fatalf("%q gave %q %q", b, name, rest)
			}
		}
	})
}

// FuzzListingStream: a listing is the same in whatever pieces it comes, and its bounds hold.
func FuzzListingStream(f *testing.F) {
	f.Add([]byte("type=file; a\r\ntype=dir; b\r\n"), uint8(3))
	f.Add([]byte("-rw-r--r-- 1 b s 1 Jan 2 2020 x\nlrwxrwxrwx 1 b s 1 Jan 2 2020 l -> \x1b[2J\n01-02-20  03:04PM  <DIR>  d"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		for _, parse := range []parser{parseMLSD, parseLIST} {
			same := func(s string) string { return s }
			whole := lister{parse: parse, decode: same, now: now}
			parts := whole
			_, err1 := whole.Write(b)
			var err2 error
			for rest := b; len(rest) > 0 && err2 == nil; {
				n := min(int(size)+1, len(rest))
				_, err2 = parts.Write(rest[:n])
				rest = rest[n:]
			}
			if err1 != nil || err2 != nil {
				continue // a line too long may be noticed earlier in small pieces
			}
			whole.line(whole.part)
			parts.line(parts.part)
			if len(whole.entries) != len(parts.entries) || whole.lines != parts.lines || whole.odd != parts.odd {
				t.Fatalf("%q: %d and %d entries", b, len(whole.entries), len(parts.entries))
			}
			for _, e := range whole.entries {
				if strings.ContainsAny(e.Name+e.Target+e.Owner+e.Rights, "\x00\x1b\r\n") || strings.Contains(e.Name, "/") {
					t.Fatalf("%q gave %+v", b, e)
				}
			}
		}
	})
}

// A listing may have a million entries: what else stood in their lines is not kept.
func TestAnEntryDoesNotKeepItsLine(t *testing.T) {
	const lines = 10_000
	now := time.Now()
	for name, line := range map[string]string{
		"MLSD": "type=file;size=1;x.much=" + strings.Repeat("x", 2000) + ";unix.mode=0644;unix.owner=alice; name-%d\r\n",
		"LIST": "-rw-r--r-- 1 alice " + strings.Repeat("x", 2000) + " 1 Jan 02 2020 name-%d\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := lister{parse: parseMLSD, decode: func(s string) string { return s }, now: now}
			if name == "LIST" {
				l.parse = parseLIST
			}
			before := heap()
			for i := range lines {
				fmt.Fprintf(&l, line, i)
			}
			after := heap()
			if len(l.entries) != lines || l.entries[7].Name != "name-7" || l.entries[7].Owner != "alice" || l.entries[7].Rights != "rw-r--r--" {
				t.Fatalf("%d entries: %+v", len(l.entries), l.entries[:min(len(l.entries), 1)])
			}
			if took := after - before; took > 5 {
				t.Errorf("%d entries take %.1f MiB", lines, took)
			}
			runtime.KeepAlive(l)
		})
	}
}
