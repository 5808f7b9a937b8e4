//go:build !linux

package client

import "syscall"

// bindLate has nothing to set on this system.
var bindLate func(network, address string, c syscall.RawConn) error
