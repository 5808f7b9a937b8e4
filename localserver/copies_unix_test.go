//go:build unix

package localserver

// On Windows processes begin without copies of sockets.

import (
	"net/netip"
	"os"
	"testing"
	"time"
)

// A process that the program starts, such as to ask the firewall, has copies of all sockets for a moment.
func TestRow21PortIsOfferedAgainWhileAProcessHasACopyOfItsSocket(t *testing.T) {
	for name, giveBack := range map[string]func(*rig, *raw) *raw{
		"given back": func(r *rig, c *raw) *raw { c.cmd(226, "ABOR"); return c },
		"taken back": func(r *rig, _ *raw) *raw { return r.loginFrom(2) },
	} {
		t.Run(name, func(t *testing.T) {
			r := withRange(t, 2, nil)
			c := r.loginFrom(1)
			c.epsvPort()
			r.loginFrom(1).epsvPort()
			var copies []*os.File
			r.srv.mu.Lock()
			for _, n := range r.srv.sessions {
				copied, err := n.data.ln.File()
				if err != nil {
					t.Error(err)
				}
				copies = append(copies, copied)
			}
			r.srv.mu.Unlock()
			time.AfterFunc(50*time.Millisecond, func() {
				for _, f := range copies {
					f.Close()
				}
			})
			giveBack(r, c).cmd(229, "EPSV")
		})
	}
}

func TestRow34StartWaitsForAPortOfWhichAProcessHasACopy(t *testing.T) {
	last, err := listenData(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), freeRange(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	copied, err := last.File()
	last.Close()
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { copied.Close() })
	start(t, func(c *Config) { c.Listen = last.Addr().String() })
}
