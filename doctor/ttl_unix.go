//go:build unix && !linux

package doctor

import (
	"strings"

	"golang.org/x/sys/unix"
)

func setTTL(network string, fd uintptr, ttl int) {
	if strings.HasSuffix(network, "6") {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
		return
	}
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, ttl)
}
