//go:build linux

package peers

import (
	"net"
	"net/netip"
	"testing"
)

// The kernel answers with a listening socket when the connection that it was asked for is gone. A connection's port may be
// somebody else's by then, who is not the one that had opened it.
func TestAListenerHasNotTheConnectionsThatHadItsPort(t *testing.T) {
	for _, host := range []string{"127.0.0.2", "::1", ""} {
		t.Run(host, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				t.Skip(err)
			}
			defer l.Close()
			if host == "" {
				host = "127.0.0.1"
			}
			gone := netip.AddrPortFrom(netip.MustParseAddr(host), l.Addr().(*net.TCPAddr).AddrPort().Port())
			if inode := inodeOf(gone, netip.AddrPortFrom(gone.Addr(), 9)); inode != 0 {
				t.Errorf("a connection that is gone is the socket %d of %v", inode, lineage(inode))
			}
			c, err := net.Dial("tcp", gone.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			from := c.LocalAddr().(*net.TCPAddr).AddrPort()
			if inodeOf(from, gone) == 0 {
				t.Error("a connection that is open is not found")
			}
		})
	}
}
