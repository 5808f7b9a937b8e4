package localserver

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A computer so busy that a deadline is over before the write begins must not cost a byte of the file.
func TestADeadlineThatIsOverAtOnceLosesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	body := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan []byte, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		got <- b
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	p := &pipe{d: &dataConn{s: &session{}}, tcp: c.(*net.TCPConn), stall: time.Minute, lastTick: time.Now().Add(time.Hour),
		clock: func() time.Time {
			if late++; late <= 3 {
				return time.Now().Add(-time.Hour)
			}
			return time.Now()
		}}
	if err := p.send(f); err != nil {
		t.Error(err)
	}
	c.Close()
	if b := <-got; !bytes.Equal(b, body) {
		t.Errorf("%d of %d bytes came", len(b), len(body))
	}
}
