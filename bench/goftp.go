//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"

	"goftp.io/server/v2"
	"goftp.io/server/v2/driver/file"

	"portside/e2e/peers"
)

// serveGoftp is a server on goftp.io/server, the library that Portside's own engine stands beside: ROOT [CERT KEY]. It
// prints its address and serves until it is ended.
func serveGoftp(args []string) error {
	if len(args) != 1 && len(args) != 3 {
		return errors.New("use: goftp ROOT [CERT KEY]")
	}
	driver, err := file.NewDriver(args[0])
	if err != nil {
		return err
	}
	// Only ListenAndServe sets up TLS, and it takes no listener, so a free port is looked for before.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	at := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return err
	}
	o := &server.Options{
		Driver: driver, Auth: &server.SimpleAuth{Name: peers.User, Password: peers.Password}, Perm: server.NewSimplePerm("user", "group"),
		Hostname: "127.0.0.1", Port: at.Port, PublicIP: "127.0.0.1", Logger: new(server.DiscardLogger),
	}
	if len(args) == 3 {
		o.TLS, o.ExplicitFTPS, o.CertFile, o.KeyFile = true, true, args[1], args[2]
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	fmt.Println(at)
	return s.ListenAndServe()
}
