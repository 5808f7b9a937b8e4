//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"portside/e2e/peers"
)

// oneTransfer is the longest that one transfer may take.
const oneTransfer = 5 * time.Minute

const fileName = "file.bin"

// contender is one program in a row: how it moves the file once.
type contender struct {
	name string
	move func(ctx context.Context) (took, error)
}

// took is what one transfer took: time from start to end of the client program, and processor time of the contender.
type took struct{ wall, cpu time.Duration }

// row is one kind of transfer, Portside first, then its peers.
type row struct {
	name       string
	contenders []contender
}

// transfers measures and prints the first part of the table.
func transfers(ctx context.Context, out io.Writer, o options, work string) error {
	source := filepath.Join(work, fileName)
	if err := randomFile(source, o.size); err != nil {
		return err
	}
	b := &bench{options: o, source: source, work: work, servers: map[netip.AddrPort]func() []int{}}
	defer b.stop()
	rows, err := b.rows(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-46s %12s %12s %7s %7s %8s  %s\n", "transfer", "Portside", "peer", "ratio", "spread", "CPU", "aim: ratio >= 1.00")
	var failed []error
	for _, r := range rows {
		failed = append(failed, r.measure(ctx, out, o))
	}
	fmt.Fprintln(out)
	return errors.Join(failed...)
}

func (r row) measure(ctx context.Context, out io.Writer, o options) error {
	return r.compare(ctx, o, func(c contender, ours, peer sample) {
		ratio := float64(peer.wall) / float64(ours.wall)
		fmt.Fprintf(out, "%-46s %7.0f MB/s %7.0f MB/s %7.2f %6.0f%% %8.2f  %s\n", r.title(c), rate(o.size, ours.wall), rate(o.size, peer.wall), ratio,
			100*max(ours.spread, peer.spread), float64(peer.cpu)/float64(max(ours.cpu, tick)), verdict(ratio >= 0.995))
	})
}

// sample is what a contender's rounds came to: medians.
type sample struct {
	took
	spread float64
}

// compare has the contenders take turns, and shows each that was asked for beside the first.
func (r row) compare(ctx context.Context, o options, show func(c contender, ours, peer sample)) error {
	var wanted []contender
	for i, c := range r.contenders {
		if i == 0 || o.only.MatchString(r.title(c)) {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) < 2 {
		return nil
	}
	times, cpu, failures := make([][]time.Duration, len(wanted)), make([][]time.Duration, len(wanted)), make([]error, len(wanted))
	for round := -1; round < o.rounds; round++ { // the first one warms caches and does not count
		for turn := range wanted {
			i := (turn + max(round, 0)) % len(wanted) // nobody always comes first
			if failures[i] != nil {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, oneTransfer)
			d, err := wanted[i].move(ctx)
			cancel()
			if err != nil {
				failures[i] = fmt.Errorf("%s: %s: %w", r.name, wanted[i].name, err)
			} else if round >= 0 {
				times[i], cpu[i] = append(times[i], d.wall), append(cpu[i], d.cpu)
			}
		}
	}
	if failures[0] == nil {
		of := func(i int) sample { return sample{took{median(times[i]), median(cpu[i])}, spread(times[i])} }
		for i, c := range wanted {
			if i > 0 && failures[i] == nil {
				show(c, of(0), of(i))
			}
		}
	}
	return errors.Join(failures...)
}

func (r row) title(peer contender) string { return r.name + " : " + peer.name }

// tick is the unit of the kernel's processor times.
const tick = 10 * time.Millisecond

func rate(size int64, d time.Duration) float64 { return float64(size) / 1e6 / d.Seconds() }

// bench keeps what was started.
type bench struct {
	options
	source, work string
	stops        []func()
	servers      map[netip.AddrPort]func() []int // the processes of the server at an address
}

func (b *bench) stop() {
	for _, stop := range b.stops {
		stop()
	}
}

// place is a server with the file in a folder on disk.
type place struct {
	peers.Endpoint
	root string
}

// rows starts the servers and says what to measure.
func (b *bench) rows(ctx context.Context) (rows []row, err error) {
	for _, tls := range []peers.TLS{peers.Off, peers.Explicit} {
		name := map[peers.TLS]string{peers.Off: "plain", peers.Explicit: "TLS"}[tls]
		ours, err := b.servePortside(ctx, tls)
		if err != nil {
			return nil, err
		}
		goftp, err := b.startGoftp(ctx, tls)
		if err != nil {
			return nil, err
		}
		vsftpd, err := b.startVsftpd(ctx, tls)
		if err != nil {
			return nil, err
		}
		for _, op := range []peers.Op{peers.Get, peers.Put} {
			what := map[peers.Op]string{peers.Get: "download", peers.Put: "upload"}[op] + " " + name
			rows = append(rows, row{"server, " + what + ", client curl", []contender{
				{"portside", b.ofServer(ours, b.withCurl(op, ours))}, {"vsftpd", b.ofServer(vsftpd, b.withCurl(op, vsftpd))},
				{"goftp", b.ofServer(goftp, b.withCurl(op, goftp))},
			}}, row{"client, " + what + ", server vsftpd", []contender{
				{"portside", b.withPortside(op, vsftpd)}, {"curl", b.withCurl(op, vsftpd)}, {"lftp", b.withLftp(op, vsftpd)},
			}})
		}
	}
	return rows, nil
}

// withCurl, withPortside and withLftp move the file with one client.

func (b *bench) withCurl(op peers.Op, p place) func(context.Context) (took, error) {
	args := append([]string{"curl", "--silent", "--show-error"}, peers.CurlOptions(p.Endpoint, false)...)
	if op == peers.Get {
		args = append(args, "--output", b.target(op, p), peers.CurlURL(p.Endpoint, fileName))
	} else {
		args = append(args, "--upload-file", b.source, peers.CurlURL(p.Endpoint, "up.bin"))
	}
	return b.timed(op, p, args)
}

func (b *bench) withPortside(op peers.Op, p place) func(context.Context) (took, error) {
	url := func(name string) string {
		return fmt.Sprintf("%s://%s@%s/%s", peers.Scheme(p.TLS), p.User, p.Addr, filepath.Join(p.Base, name))
	}
	if op == peers.Get {
		return b.timed(op, p, []string{absolute(b.portside), "get", "--mode", "passive", url(fileName), b.target(op, p)})
	}
	return b.timed(op, p, []string{absolute(b.portside), "put", "--mode", "passive", b.source, url("up.bin")})
}

func (b *bench) withLftp(op peers.Op, p place) func(context.Context) (took, error) {
	script := strings.Replace(peers.LftpSettings(p.Endpoint, false), "debug 6\n", "", 1)
	if op == peers.Get {
		script += fmt.Sprintf("get -c %q -o %q\n", fileName, b.target(op, p))
		script = strings.Replace(script, "get -c", "get", 1)
	} else {
		script += fmt.Sprintf("put %q -o %q\n", b.source, "up.bin")
	}
	return b.timed(op, p, []string{"lftp", "--norc", "-c", script})
}

// target is the file that a transfer makes.
func (b *bench) target(op peers.Op, p place) string {
	if op == peers.Put {
		return filepath.Join(p.root, "up.bin")
	}
	return filepath.Join(b.work, "down.bin")
}

// timed runs a client and returns how long it took, from start to end of the program. What it made is checked by its
// size, and removed.
func (b *bench) timed(op peers.Op, p place, args []string) func(context.Context) (took, error) {
	target := b.target(op, p)
	return func(ctx context.Context) (took, error) {
		defer os.Remove(target)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "PORTSIDE_PASSWORD="+p.Password, "HOME="+b.work, "XDG_CONFIG_HOME="+b.work)
		if p.CA != "" {
			cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+p.CA)
		}
		start := time.Now()
		out, err := cmd.CombinedOutput()
		d := time.Since(start)
		if err != nil {
			return took{}, fmt.Errorf("%s: %w: %s", filepath.Base(args[0]), err, out)
		}
		if info, err := os.Stat(target); err != nil || info.Size() != b.size {
			return took{}, fmt.Errorf("%s left %v, not %d bytes: %w", filepath.Base(args[0]), info, b.size, err)
		}
		return took{d, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
	}
}

// ofServer has a transfer count the processor time of the server instead of the client's.
func (b *bench) ofServer(p place, move func(context.Context) (took, error)) func(context.Context) (took, error) {
	sum := func() (all time.Duration) {
		for _, pid := range b.servers[p.Addr]() {
			all += familyTime(pid)
		}
		return all
	}
	return func(ctx context.Context) (took, error) {
		before := sum()
		t, err := move(ctx)
		time.Sleep(50 * time.Millisecond) // a session's process ends a little after its client
		t.cpu = sum() - before
		return t, err
	}
}

// folder is a new folder with the file, which a server may serve and write to.
func (b *bench) folder(name string) (string, error) {
	dir := filepath.Join(b.work, name)
	if err := os.Mkdir(dir, 0o777); err != nil {
		return "", err
	}
	return dir, errors.Join(os.Chmod(dir, 0o777), os.Link(b.source, filepath.Join(dir, fileName)))
}

func (b *bench) startVsftpd(ctx context.Context, tls peers.TLS) (p place, err error) {
	dir := filepath.Join(b.work, "vsftpd-"+string(tls))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return p, err
	}
	s, err := peers.Start(ctx, peers.Config{Kind: peers.Vsftpd, TLS: tls, Root: dir})
	if err != nil {
		return p, err
	}
	b.stops = append(b.stops, s.Remove)
	b.servers[s.AddrPort()] = s.Processes
	return place{s.Endpoint(), s.Root}, os.Link(b.source, filepath.Join(s.Root, fileName))
}

// servePortside starts portside serve and waits until it listens.
func (b *bench) servePortside(ctx context.Context, tls peers.TLS) (p place, err error) {
	if p.root, err = b.folder("portside-" + string(tls)); err != nil {
		return p, err
	}
	// Its certificate is its own, so clients take any.
	p.Endpoint = peers.Endpoint{User: peers.User, Password: peers.Password, TLS: tls}
	cmd := exec.CommandContext(ctx, absolute(b.portside), "serve", "--listen", "127.0.0.1:0", "--user", p.User, "--write", "--tls", string(tls),
		"--passive-ports", "any", "--log", "json", p.root)
	cmd.Env = append(os.Environ(), "PORTSIDE_PASSWORD="+p.Password, "HOME="+b.work, "XDG_CONFIG_HOME="+b.work)
	first, err := b.start(cmd)
	if err != nil {
		return p, err
	}
	var listening struct{ Addr string }
	if err := json.Unmarshal([]byte(first), &listening); err != nil {
		return p, fmt.Errorf("portside serve began with %q: %w", first, err)
	}
	p.Addr, err = netip.ParseAddrPort(listening.Addr)
	b.servers[p.Addr] = func() []int { return []int{cmd.Process.Pid} }
	return p, err
}

// startGoftp starts this program as a goftp server.
func (b *bench) startGoftp(ctx context.Context, tls peers.TLS) (p place, err error) {
	if p.root, err = b.folder("goftp-" + string(tls)); err != nil {
		return p, err
	}
	self, err := os.Executable()
	if err != nil {
		return p, err
	}
	p.Endpoint = peers.Endpoint{User: peers.User, Password: peers.Password, TLS: tls}
	args := []string{"goftp", p.root}
	if tls != peers.Off {
		p.CA = filepath.Join(b.work, "goftp-cert.pem")
		key := filepath.Join(b.work, "goftp-key.pem")
		if err := peers.WriteCertificate(p.CA, key); err != nil {
			return p, err
		}
		args = append(args, p.CA, key)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	first, err := b.start(cmd)
	if err != nil {
		return p, err
	}
	if p.Addr, err = netip.ParseAddrPort(strings.TrimSpace(first)); err != nil {
		return p, err
	}
	b.servers[p.Addr] = func() []int { return []int{cmd.Process.Pid} }
	return p, listens(ctx, p.Addr) // it prints its address just before it does
}

// start starts a server that prints where it listens, returns that line, and reads the rest away.
func (b *bench) start(cmd *exec.Cmd) (string, error) {
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	b.stops = append(b.stops, func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
	})
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	go io.Copy(io.Discard, lines) // ends with the process
	return first, err
}

// listens waits until something listens at an address.
func listens(ctx context.Context, at netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func randomFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	return errors.Join(err, f.Close())
}
