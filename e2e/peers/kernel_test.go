//go:build linux

package peers_test

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"portside/e2e/peers"
)

func TestTheKernelNamesInitiatorAndEndsOfAConnection(t *testing.T) {
	for _, host := range []string{"127.0.0.2", "::1"} {
		t.Run(host, func(t *testing.T) {
			l := peers.Listen(t, host)
			k := peers.WatchKernel(t, netip.MustParseAddr(host))
			if k == nil {
				t.Skip("not allowed to listen to loopback")
			}
			first, err := k.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			last, err := k.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := peers.Opening{From: c.LocalAddr().(*net.TCPAddr).AddrPort(), To: l.Addr().(*net.TCPAddr).AddrPort()}
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				for _, o := range k.Openings()[first:last] {
					if o.From != want.From || o.To != want.To || !o.Asked {
						continue
					}
					if !o.OwnedBy(os.Getpid()) {
						t.Errorf("the owner is %v, not %d", o.Owner, os.Getpid())
					}
					return
				}
			}
			t.Errorf("no opening %v among %v", want, k.Openings()[first:last])
		})
	}
}
