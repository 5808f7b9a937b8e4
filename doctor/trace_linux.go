package doctor

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemTrace needs no privileges: Linux reports the ICMP answer to a SYN in the socket's error queue (IP_RECVERR, kernel
// 5.8 and later, commit 45af29ca761c), with the router that sent it.
func systemTrace(ctx context.Context, to netip.AddrPort, ttls []int, wait time.Duration) []Hop {
	hops := make([]Hop, len(ttls))
	polls := make([]unix.PollFd, 0, len(ttls))
	index := make([]int, 0, len(ttls))
	for i, ttl := range ttls {
		hops[i] = Hop{TTL: ttl, Outcome: Silence}
		fd, err := dialTTL(to, netip.AddrPort{}, ttl)
		if err != nil && err != unix.EINPROGRESS {
			hops[i].Outcome = hopOutcome(err)
			continue
		}
		polls, index = append(polls, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT | unix.POLLERR}), append(index, i)
	}
	defer func() {
		for _, p := range polls {
			unix.Close(int(p.Fd))
		}
	}()
	for end := time.Now().Add(wait); len(polls) > 0 && ctx.Err() == nil && time.Now().Before(end); {
		n, err := unix.Poll(polls, 40) // short, so that a cancelled context is seen
		if err != nil && err != unix.EINTR {
			break
		}
		for i := 0; n > 0 && i < len(polls); {
			if polls[i].Revents == 0 {
				i++
				continue
			}
			fd, h := int(polls[i].Fd), &hops[index[i]]
			h.Outcome, h.Addr = finished(fd)
			unix.Close(fd)
			polls, index = append(polls[:i], polls[i+1:]...), append(index[:i], index[i+1:]...)
		}
	}
	return hops
}

// dialTTL starts a connection whose packets live for ttl hops.
func dialTTL(to, from netip.AddrPort, ttl int) (fd int, err error) {
	family := unix.AF_INET
	if to.Addr().Is6() && !to.Addr().Is4In6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil && err != unix.EINPROGRESS {
			unix.Close(fd)
			fd = -1
		}
	}()
	if family == unix.AF_INET {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	} else {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	}
	if err != nil {
		return fd, err
	}
	// A probe that connects is reset, so that the server forgets it at once.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if from.IsValid() {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		if err = unix.Bind(fd, sockaddr(from)); err != nil {
			return fd, err
		}
	}
	return fd, unix.Connect(fd, sockaddr(to))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if n, err := strconv.ParseUint(a.Addr().Zone(), 10, 32); err == nil {
		sa.ZoneId = uint32(n)
	} else if a.Addr().Zone() != "" {
		sa.ZoneId = zoneIndex(a.Addr().Zone())
	}
	return sa
}

// finished reads how a connect ended, and from whom that is known.
func finished(fd int) (Outcome, netip.Addr) {
	var data [512]byte
	oob := make([]byte, 512)
	if _, n, _, _, err := unix.Recvmsg(fd, data[:], oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); err == nil {
		if how, from := extendedError(oob[:n]); how != NotTried {
			return how, from
		}
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return Failed, netip.Addr{}
	case errno == 0:
		return Worked, netip.Addr{}
	}
	return hopOutcome(syscall.Errno(errno)), netip.Addr{}
}

// ICMP types and codes: RFC 792, RFC 1812 section 5.2.7.1, RFC 4443.
const (
	originICMP, originICMP6     = 2, 3 // SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
	icmpUnreachable, icmpTime   = 3, 11
	icmp6Unreachable, icmp6Time = 1, 3
)

// extendedError reads a sock_extended_err and the address behind it (man 7 ip, IP_RECVERR).
func extendedError(oob []byte) (Outcome, netip.Addr) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return NotTried, netip.Addr{}
	}
	for _, m := range msgs {
		ip4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		ip6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		const header = int(unsafe.Sizeof(unix.SockExtendedErr{}))
		if !ip4 && !ip6 || len(m.Data) < header {
			continue
		}
		origin, typ, code := m.Data[4], m.Data[5], m.Data[6]
		var from netip.Addr
		if rest := m.Data[header:]; len(rest) >= 8 {
			switch binary.NativeEndian.Uint16(rest) {
			case unix.AF_INET:
				from, _ = netip.AddrFromSlice(rest[4:8])
			case unix.AF_INET6:
				if len(rest) >= 24 {
					from, _ = netip.AddrFromSlice(rest[8:24])
				}
			}
		}
		switch {
		case origin == originICMP && typ == icmpTime, origin == originICMP6 && typ == icmp6Time:
			return Passed, from.Unmap()
		case origin == originICMP && typ == icmpUnreachable && (code == 9 || code == 10 || code == 13),
			origin == originICMP6 && typ == icmp6Unreachable && (code == 1 || code == 5 || code == 6):
			return Filtered, from.Unmap()
		case origin == originICMP && typ == icmpUnreachable && code == 3, origin == originICMP6 && typ == icmp6Unreachable && code == 4:
			return Refused, from.Unmap()
		case origin == originICMP && typ == icmpUnreachable, origin == originICMP6 && typ == icmp6Unreachable:
			return Unreachable, from.Unmap()
		}
	}
	return NotTried, netip.Addr{}
}

func hopOutcome(err error) Outcome {
	switch err {
	case unix.ECONNREFUSED:
		return Refused
	case unix.EHOSTUNREACH, unix.ENETUNREACH:
		return Unreachable
	case unix.EACCES, unix.EPERM:
		return Filtered
	}
	return Silence
}

// systemPunch sends one SYN from a port that is being listened on, which dies on the way, so that this side's firewalls
// take a connection from the other end for part of one that was begun here (simultaneous open, RFC 9293 section 3.5).
func systemPunch(ctx context.Context, from, to netip.AddrPort, ttl int) {
	fd, err := dialTTL(to, from, ttl)
	if err != nil && err != unix.EINPROGRESS {
		return
	}
	defer unix.Close(fd)
	polls := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for range 4 { // until the router's answer is in; the socket must be gone before the server's next packet comes
		if n, err := unix.Poll(polls, 40); n > 0 || err != nil && err != unix.EINTR || ctx.Err() != nil {
			return
		}
	}
}

// sharePort lets [systemPunch] send from the port of a listener.
func sharePort(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}

// systemDropped reads how many packets came in and went to no program: what a firewall on this computer drops counts as
// received (Ip InReceives) and not as delivered (InDelivers). Unprivileged; RFC 4293's names.
func systemDropped(v6 bool) (int64, bool) {
	if v6 {
		b, err := os.ReadFile("/proc/net/snmp6")
		return snmp6(b, "Ip6InReceives") - snmp6(b, "Ip6InDelivers") - snmp6(b, "Ip6OutForwDatagrams"), err == nil
	}
	b, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0, false
	}
	var names [][]byte
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 0 || string(f[0]) != "Ip:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		n := map[string]int64{}
		for i := range min(len(f), len(names)) {
			n[string(names[i])], _ = strconv.ParseInt(string(f[i]), 10, 64)
		}
		return n["InReceives"] - n["InDelivers"] - n["ForwDatagrams"], true
	}
	return 0, false
}

func snmp6(b []byte, name string) int64 {
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) == 2 && string(f[0]) == name {
			n, _ := strconv.ParseInt(string(f[1]), 10, 64)
			return n
		}
	}
	return 0
}
