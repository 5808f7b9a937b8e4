package localserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"portside/connlog"
)

// descriptors counts this process's open files and sockets.
func descriptors(t *testing.T) (n int, what []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			what = append(what, to)
		}
	}
	return len(what), what
}

// TestRow35ManyLivesUnderLoadLeaveNothing starts and stops servers at one port and one small passive range, each with
// clients in every state. PORTSIDE_LIVES says how many; the default keeps the package fast.
func TestRow35ManyLivesUnderLoadLeaveNothing(t *testing.T) {
	lives := 50
	if v := os.Getenv("PORTSIDE_LIVES"); v != "" {
		if _, err := fmt.Sscan(v, &lives); err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	if err := os.WriteFile(root+"/down", make([]byte, 8<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	first := freeRange(t, 5)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), first+4)
	goroutines := runtime.NumGoroutine()
	files, before := descriptors(t)
	for life := range lives {
		rec := newRecords()
		config := Config{Listen: at.String(), Root: root, Recorder: rec, TLS: TLSConfig{Mode: TLSExplicit},
			Accounts: []Account{{Name: "u", Password: testPassword(), Rights: ReadWrite}},
			Passive:  PassiveConfig{UseRange: true, Min: first, Max: first + 3}}
		config.Limits.StopGrace = time.Millisecond
		srv, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Start(context.Background()); err != nil {
			t.Fatalf("life %d: %v", life, err)
		}
		r := &rig{t: t, srv: srv, rec: rec, root: root}
		t.Run("load", func(t *testing.T) { // its cleanups close the clients
			r.t = t
			r.login()
			r.login().epsvPort()
			down, up, awaited, dialled := r.login(), r.login(), r.login(), r.connect()
			down.epsv()
			down.send("RETR down\r\n")
			d := up.epsv()
			up.cmd(150, "STOR up")
			io.WriteString(d, "part")
			awaited.epsvPort()
			awaited.send("LIST\r\n")
			dialled.startTLS()
			dialled.cmd(331, "USER u")
			dialled.cmd(230, "PASS pw")
			ln, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			to := ln.Addr().(*net.TCPAddr).AddrPort()
			dialled.cmd(200, "EPRT |1|127.0.0.1|%d|", to.Port())
			dialled.send("STOR other\r\n")
			rec.wait(t, connlog.DataOpened, 3)
			srv.Stop(context.Background())
		})
		if t.Failed() {
			t.Fatalf("life %d", life)
		}
		for name := range strings.SplitSeq(listing(root), " ") {
			if strings.HasPrefix(name, tempPrefix) {
				t.Fatalf("life %d left %s", life, name)
			}
		}
		os.Remove(root + "/up")
		for port := first; port < first+4; port++ {
			ln, err := net.Listen("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String())
			if err != nil {
				t.Fatalf("life %d keeps port %d: %v", life, port, err)
			}
			ln.Close()
		}
	}
	until(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if n, after := descriptors(t); n > files {
		t.Errorf("%d descriptors before, %d after %d lives:\n%q\n%q", files, n, lives, before, after)
	}
}
