package client

import (
	"net"
	"syscall"
)

// quickAck has the kernel acknowledge what has come at once (TCP_QUICKACK). Servers that leave Nagle's algorithm on hold
// the 226 back until the 150 is acknowledged, and a delayed acknowledgement costs up to 40 ms a file. The kernel forgets
// the wish soon, so it is renewed after every reply.
func quickAck(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
	}
}
