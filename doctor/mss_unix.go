//go:build unix

package doctor

import "golang.org/x/sys/unix"

// setMSS makes the other side send segments of at most mss bytes: the size is announced when the connection is opened.
func setMSS(fd uintptr, mss int) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, mss)
}
