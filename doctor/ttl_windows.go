package doctor

import (
	"strings"

	"golang.org/x/sys/windows"
)

// Winsock's option numbers (ws2ipdef.h).
const (
	winTTL          = 4
	winIPv6         = 41
	winUnicastHops6 = 4
)

func setTTL(network string, fd uintptr, ttl int) {
	if strings.HasSuffix(network, "6") {
		_ = windows.SetsockoptInt(windows.Handle(fd), winIPv6, winUnicastHops6, ttl)
		return
	}
	_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, winTTL, ttl)
}

// Windows sets no segment size.
func setMSS(uintptr, int) {}
