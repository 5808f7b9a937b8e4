//go:build !linux

package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// systemTrace dials with small TTLs. These systems don't say which router answered, but the smallest TTL that connects
// or is reset tells how far away the one is who did it.
func systemTrace(ctx context.Context, to netip.AddrPort, ttls []int, wait time.Duration) []Hop {
	hops := make([]Hop, len(ttls))
	var all sync.WaitGroup
	for i, ttl := range ttls {
		all.Go(func() {
			d := net.Dialer{Timeout: wait, Control: func(network, _ string, c syscall.RawConn) error {
				return c.Control(func(fd uintptr) { setTTL(network, fd, ttl) })
			}}
			conn, err := d.DialContext(ctx, "tcp", to.String())
			hops[i] = Hop{TTL: ttl, Outcome: dialOutcome(err)}
			if err == nil {
				if t, ok := conn.(*net.TCPConn); ok {
					_ = t.SetLinger(0)
				}
				conn.Close()
			}
			// An ICMP time exceeded and an ICMP unreachable look alike here: nothing is made of either.
			if hops[i].Outcome == Unreachable || errors.Is(err, context.Canceled) {
				hops[i].Outcome = Silence
			}
		})
	}
	all.Wait()
	return hops
}

// Without SO_REUSEPORT's meaning on Linux a port that is listened on can't send; the probe is left out.
var systemPunch func(ctx context.Context, from, to netip.AddrPort, ttl int)

func sharePort(_, _ string, _ syscall.RawConn) error { return nil }

func systemDropped(bool) (int64, bool) { return 0, false }
