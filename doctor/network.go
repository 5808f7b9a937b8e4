package doctor

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"portside/client"
	"portside/connlog"
)

func itoa(n int) string { return strconv.Itoa(n) }

// orSystem fills in what the system does.
func (n Network) orSystem() Network {
	if n.Resolve == nil {
		n.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if n.Dial == nil {
		n.Dial = systemDial
	}
	if n.Listen == nil {
		n.Listen = func(ctx context.Context, at netip.Addr, mss int) (net.Listener, error) {
			lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
				if mss > 0 {
					_ = c.Control(func(fd uintptr) { setMSS(fd, mss) })
				}
				return sharePort(network, address, c)
			}}
			return lc.Listen(ctx, "tcp", netip.AddrPortFrom(at, 0).String())
		}
		if n.Punch == nil {
			n.Punch = systemPunch
		}
	}
	if n.Trace == nil {
		n.Trace = systemTrace
	}
	if n.Dropped == nil {
		n.Dropped = systemDropped
	}
	if n.OnLink == nil {
		n.OnLink = onLink
	}
	return n
}

func systemDial(ctx context.Context, to netip.AddrPort, mss int) (net.Conn, error) {
	d := net.Dialer{}
	if mss > 0 {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { setMSS(fd, mss) })
		}
	}
	return d.DialContext(ctx, "tcp", to.String())
}

func onLink(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() || a.IsLinkLocalUnicast() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, i := range addrs {
		if p, err := netip.ParsePrefix(i.String()); err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}

func zoneIndex(name string) uint32 {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// dialOutcome reads how a connect ended.
func dialOutcome(err error) Outcome {
	switch {
	case err == nil:
		return Worked
	case client.Forbidden(err):
		return Filtered
	}
	switch client.ReasonOf(err) {
	case connlog.ReasonRefused, connlog.ReasonReset:
		return Refused
	case connlog.ReasonUnreachable:
		return Unreachable
	case connlog.ReasonTimeout, connlog.ReasonCancelled:
		return Silence
	}
	return Failed
}

// reason is an outcome as the connection log names it.
func (o Outcome) reason() connlog.Reason {
	switch o {
	case Refused:
		return connlog.ReasonRefused
	case Silence:
		return connlog.ReasonTimeout
	case Unreachable, Filtered:
		return connlog.ReasonUnreachable
	case Rejected:
		return connlog.ReasonRejected
	case Stalled, NoEnd:
		return connlog.ReasonStalled
	case TLSFailed:
		return connlog.ReasonTLS
	case Broken:
		return connlog.ReasonReset
	}
	return connlog.ReasonLocal
}
