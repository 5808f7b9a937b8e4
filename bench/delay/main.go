// Command delay puts a distance between any FTP client and a server, so that what takes round trips can be seen and
// measured on one computer:
//
//	go run ./bench/delay --rtt 20ms --listen 127.0.0.1:2100 --to 127.0.0.1:2121
//
// A client then connects to 127.0.0.1:2100, in passive or active mode, without TLS. See package relay for what it does.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"portside/bench/relay"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where clients connect; port 0 takes a free one")
	to := flag.String("to", "127.0.0.1:2121", "the server")
	rtt := flag.Duration("rtt", 20*time.Millisecond, "the round trip")
	flag.Parse()
	if flag.NArg() > 0 || *rtt < 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", *listen)
	if err == nil {
		fmt.Println(ln.Addr())
		err = relay.Relay{To: *to, RoundTrip: *rtt}.Serve(ctx, ln)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "delay:", err)
		os.Exit(1)
	}
}
