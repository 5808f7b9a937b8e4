package localserver

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

type tinyListener struct {
	fd   int
	addr netip.AddrPort
}

func (l tinyListener) close() { unix.Close(l.fd) }

// listenBacklog0 opens a listener whose queue one or two connections fill.
func listenBacklog0() (tinyListener, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return tinyListener{}, err
	}
	l := tinyListener{fd: fd}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		l.close()
		return l, err
	}
	if err := unix.Listen(fd, 0); err != nil {
		l.close()
		return l, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		l.close()
		return l, err
	}
	in := name.(*unix.SockaddrInet4)
	l.addr = netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
	return l, nil
}
