//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"portside/bench/relay"
	"portside/bench/way"
	"portside/e2e/peers"
)

// Many small files: what takes time is round trips.
const (
	manyFiles  = 1000
	manySize   = 4 << 10
	manyConns  = 10
	manyTrip   = 20 * time.Millisecond
	manyFolder = "small"
)

// small measures 1,000 files of 4 KiB over 10 connections from vsftpd, at a distance and without.
func small(ctx context.Context, out io.Writer, o options, work string) error {
	b := &bench{options: o, work: work, servers: map[netip.AddrPort]func() []int{}}
	defer b.stop()
	distant, err := way.Open(ctx, manyTrip)
	host := ""
	if err != nil {
		fmt.Fprintf(out, "No distance between network namespaces, only the relay: %v\n\n", err)
	} else {
		b.stops = append(b.stops, func() { _ = distant.Close() })
		host = way.Near.String()
	}
	root := filepath.Join(work, "vsftpd-small")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	server, err := peers.Start(ctx, peers.Config{Kind: peers.Vsftpd, TLS: peers.Off, Root: root, Sessions: 100, Host: host})
	if err != nil {
		return err
	}
	b.stops = append(b.stops, server.Remove)
	dir := filepath.Join(server.Root, manyFolder)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	body := make([]byte, manySize)
	for i := range manyFiles {
		_, _ = rand.Read(body)
		if err := os.WriteFile(filepath.Join(dir, manyName(i)), body, 0o644); err != nil {
			return err
		}
	}
	at := place{server.Endpoint(), server.Root}
	relayed := at
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	relayed.Addr = netip.MustParseAddrPort(ln.Addr().String())
	relaying, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- relay.Relay{To: at.Addr.String(), RoundTrip: manyTrip}.Serve(relaying, ln) }()
	defer func() { stop(); <-done }()

	fmt.Fprintf(out, "%d files of %d KiB, %d connections, server vsftpd\n\n%-52s %9s %9s %7s %7s %8s\n", manyFiles, manySize>>10, manyConns,
		"", "Portside", "peer", "ratio", "spread", "CPU")
	here := func(args ...string) []string { return args }
	distances := []distance{{"20 ms by relay", relayed, here, false}, {"loopback", at, here, true}}
	if distant != nil {
		distances = append([]distance{{"20 ms round trip", at, distant.Args, false}}, distances...)
	}
	var failed []error
	for _, d := range distances {
		for _, op := range []peers.Op{peers.Get, peers.Put} {
			for _, active := range []bool{false, true} {
				what := map[peers.Op]string{peers.Get: "download", peers.Put: "upload"}[op]
				name := fmt.Sprintf("%s, %s, %s", d.name, what, map[bool]string{false: "passive", true: "active"}[active])
				r := row{name, []contender{
					{"portside", b.manyWithPortside(op, d, active)}, {"curl -Z 10", b.manyWithCurl(op, d, active)}, {"lftp -P10", b.manyWithLftp(op, d, active)},
				}}
				failed = append(failed, r.compare(ctx, o, func(c contender, ours, peer sample) {
					fmt.Fprintf(out, "%-52s %7.2f s %7.2f s %7.2f %6.0f%% %8.2f\n", r.title(c), ours.wall.Seconds(), peer.wall.Seconds(),
						float64(peer.wall)/float64(ours.wall), 100*max(ours.spread, peer.spread), float64(peer.cpu)/float64(max(ours.cpu, tick)))
				}))
			}
		}
	}
	fmt.Fprintln(out)
	return errors.Join(failed...)
}

// distance is a server seen from a client, and how a client is run there.
type distance struct {
	name string
	place
	args func(args ...string) []string
	near bool // so near that the kernel's search for ports counts
}

// fewWaiting is how many connections in TIME-WAIT slow nobody down.
const fewWaiting = 2000

// awaitPorts waits until the connections of earlier runs have left TIME-WAIT, which takes a minute: with many thousands of
// them the kernel looks long for a free port, and longest for whom comes last.
func awaitPorts(ctx context.Context) error {
	for {
		b, err := os.ReadFile("/proc/net/sockstat")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(b), " tw ")
		var waiting int
		if _, err := fmt.Sscan(rest, &waiting); err != nil || waiting <= fewWaiting {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func manyName(i int) string { return fmt.Sprintf("f%04d.bin", i) }

// manyWithPortside, manyWithCurl and manyWithLftp move the folder with one client.

func (b *bench) manyWithPortside(op peers.Op, p distance, active bool) func(context.Context) (took, error) {
	mode := map[bool]string{false: "passive", true: "active"}[active]
	url := func(name string) string {
		return fmt.Sprintf("ftp://%s@%s/%s", p.User, p.Addr, filepath.Join(p.Base, name))
	}
	return b.many(op, p, func(target string) []string {
		args := []string{absolute(b.portside), map[peers.Op]string{peers.Get: "get", peers.Put: "put"}[op], "--mode", mode, "--parallel", fmt.Sprint(manyConns)}
		if op == peers.Get {
			return append(args, url(manyFolder)+"/", target)
		}
		return append(args, filepath.Join(p.root, manyFolder), url(filepath.Base(target)))
	})
}

func (b *bench) manyWithCurl(op peers.Op, p distance, active bool) func(context.Context) (took, error) {
	return b.many(op, p, func(target string) []string {
		args := []string{"curl", "--silent", "--show-error", "--parallel", "--parallel-max", fmt.Sprint(manyConns)}
		for _, a := range peers.CurlOptions(p.Endpoint, active) {
			if a != "--globoff" {
				args = append(args, a)
			}
		}
		if op == peers.Get {
			return append(args, "--create-dirs", "--output", filepath.Join(target, "f#1.bin"), peers.CurlURL(p.Endpoint, manyFolder)+"/f[0000-0999].bin")
		}
		return append(args, "--ftp-create-dirs", "--upload-file", filepath.Join(p.root, manyFolder, "f[0000-0999].bin"),
			peers.CurlURL(p.Endpoint, filepath.Base(target))+"/")
	})
}

func (b *bench) manyWithLftp(op peers.Op, p distance, active bool) func(context.Context) (took, error) {
	return b.many(op, p, func(target string) []string {
		script := strings.Replace(peers.LftpSettings(p.Endpoint, active), "debug 6\n", "", 1)
		if op == peers.Get {
			script += fmt.Sprintf("mirror --parallel=%d %q %q\n", manyConns, manyFolder, target)
		} else {
			script += fmt.Sprintf("mirror -R --parallel=%d %q %q\n", manyConns, filepath.Join(p.root, manyFolder), filepath.Base(target))
		}
		return []string{"lftp", "--norc", "-c", script}
	})
}

// many runs a client that moves the folder, and checks that all of it is there.
func (b *bench) many(op peers.Op, p distance, command func(target string) []string) func(context.Context) (took, error) {
	return func(ctx context.Context) (took, error) {
		target := filepath.Join(b.work, "down")
		if op == peers.Put {
			target = filepath.Join(p.root, "up")
		}
		defer os.RemoveAll(target)
		if p.near {
			if err := awaitPorts(ctx); err != nil {
				return took{}, err
			}
		}
		args := p.args(command(target)...)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "PORTSIDE_PASSWORD="+p.Password, "HOME="+b.work, "XDG_CONFIG_HOME="+b.work)
		start := time.Now()
		out, err := cmd.CombinedOutput()
		d := time.Since(start)
		if err != nil {
			return took{}, fmt.Errorf("%s: %w: %.500s", filepath.Base(args[0]), err, out)
		}
		for i := range manyFiles {
			st, err := os.Stat(filepath.Join(target, manyName(i)))
			if err != nil || st.Size() != manySize {
				return took{}, fmt.Errorf("%s left %s incomplete: %w", filepath.Base(args[0]), manyName(i), err)
			}
		}
		return took{d, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
	}
}
