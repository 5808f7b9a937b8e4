// Command delay puts a distance between any FTP client and a server, so that what takes round trips can be seen and
// measured on one computer:
//
//	go run ./bench/delay --rtt 20ms --listen 127.0.0.1:2100 --to 127.0.0.1:2121
//
// A client then connects to 127.0.0.1:2100, in passive or active mode, without TLS. See package relay for what it does.
//
// As root on Linux, nearer to the truth and with TLS, too: a client that is started at the far end of a way (package way),
// from where the server, which listens on all addresses here, is at 198.18.0.1:
//
//	go run ./bench/delay --rtt 20ms -- curl ftp://198.18.0.1:2121/
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"portside/bench/relay"
	"portside/bench/way"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where clients connect; port 0 takes a free one")
	to := flag.String("to", "127.0.0.1:2121", "the server")
	rtt := flag.Duration("rtt", 20*time.Millisecond, "the round trip")
	flag.Parse()
	if *rtt < 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if flag.NArg() > 0 {
		err = far(ctx, *rtt, flag.Args())
	} else {
		err = relayed(ctx, *rtt, *listen, *to)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "delay:", err)
		os.Exit(1)
	}
}

func relayed(ctx context.Context, rtt time.Duration, listen, to string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return relay.Relay{To: to, RoundTrip: rtt}.Serve(ctx, ln)
}

// far runs a command at the far end of a way.
func far(ctx context.Context, rtt time.Duration, args []string) error {
	w, err := way.Open(ctx, rtt)
	if err != nil {
		return err
	}
	args = w.Args(args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return errors.Join(cmd.Run(), w.Close())
}
