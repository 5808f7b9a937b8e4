package client

import (
	"net"
	"syscall"
	"testing"
)

func TestADialThatIsRefusedIsToldInShort(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 21139}
	e := &dataError{mode: ModePassive, err: &net.OpError{Op: "dial", Net: "tcp", Source: &net.TCPAddr{}, Addr: at, Err: syscall.ECONNREFUSED}}
	if got, want := e.Error(), "passive data connection: 192.0.2.7:21139: "+syscall.ECONNREFUSED.Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
