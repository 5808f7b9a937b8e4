package client

import "syscall"

// bindLate makes the kernel choose the local port at connect instead of at bind (IP_BIND_ADDRESS_NO_PORT). Else a local
// address that is set takes a port of its own for the minute that a closed connection lingers, and thousands of small
// files use them all up. A kernel that does not know it goes on without.
func bindLate(_, _ string, c syscall.RawConn) error {
	const bindAddressNoPort = 24
	return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1) })
}
