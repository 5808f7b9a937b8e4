//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"portside/connlog"
	"portside/e2e/peers"
	"portside/localserver"
)

// scaled is a server under load, and the processes that it is made of.
type scaled struct {
	name string
	place
	processes func() []int
}

// scale measures servers with many clients at once: Portside's engine in a process of its own, with its log written as
// JSON to nowhere, and the peers that are there. A row has the median, the ratio (above 1, Portside is
// ahead) and how far the rounds lie apart: a ratio that differs from 1 by less than that says nothing.
func scale(ctx context.Context, out io.Writer, o options, work string) error {
	b := &bench{options: o, source: filepath.Join(work, fileName), work: work}
	defer b.stop()
	var failed []error
	for _, secure := range []peers.TLS{peers.Off, peers.Explicit} {
		servers, err := b.scaledServers(ctx, secure)
		if err != nil {
			return err
		}
		kind := map[peers.TLS]string{peers.Off: "plain", peers.Explicit: "TLS"}[secure]
		for _, m := range measures(kind, secure == peers.Explicit) {
			if !o.only.MatchString(m.name) || ctx.Err() != nil {
				continue
			}
			values, errs := m.take(ctx, b, servers)
			for i, s := range servers {
				switch {
				case errs[i] != nil:
					if i == 0 {
						failed = append(failed, fmt.Errorf("%s: %w", m.name, errs[i]))
					}
					fmt.Fprintf(out, "%-44s %-10s failed: %v\n", m.name, s.name, errs[i])
				case i == 0:
					fmt.Fprintf(out, "%-44s %-10s %10.2f %-9s %6s %4.0f%%\n", m.name, s.name, middle(values[0]), m.unit, "", 100*width(values[0]))
				case errs[0] == nil:
					ratio := middle(values[i]) / middle(values[0])
					if m.more {
						ratio = 1 / ratio
					}
					shown := fmt.Sprintf("%.2f", ratio)
					if math.IsNaN(ratio) || math.IsInf(ratio, 0) { // against 0: too little memory to be measured
						shown = "–"
					}
					fmt.Fprintf(out, "%-44s %-10s %10.2f %-9s %6s %4.0f%%  %s\n", m.name, s.name, middle(values[i]), m.unit, shown, 100*width(values[i]),
						verdict(shown == "–" || ratio >= 0.995))
				}
			}
		}
		b.stop()
		b.stops = nil
	}
	return errors.Join(failed...)
}

// measure is a row: a number of each server, the median of several rounds. more: the higher, the better.
type measure struct {
	name, unit string
	more       bool
	rounds     int // at most
	run        func(context.Context, *bench, scaled) (float64, error)
}

// take measures the servers in turn, so that what else the machine does meets all of them, and nobody always comes first.
func (m measure) take(ctx context.Context, b *bench, servers []scaled) (values [][]float64, errs []error) {
	values, errs = make([][]float64, len(servers)), make([]error, len(servers))
	for round := range min(m.rounds, b.rounds) {
		for turn := range servers {
			i := (turn + round) % len(servers)
			if errs[i] != nil {
				continue
			}
			value, err := m.run(ctx, b, servers[i])
			values[i], errs[i] = append(values[i], value), err
		}
	}
	return values, errs
}

// middle is the median, and width how far the rounds lie apart, as a share of it.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func width(values []float64) float64 {
	if m := middle(values); m > 0 {
		return (slices.Max(values) - slices.Min(values)) / m
	}
	return 0
}

// listed is how many entries the folders have that are listed.
var listed = []struct {
	entries int
	words   string
}{{1000, "1,000"}, {10_000, "10,000"}, {100_000, "100,000"}, {1_000_000, "1,000,000"}}

const (
	manyPorts   = 500
	smallFiles  = 10_000
	kept        = 100_000 // the largest folder that stays for the next round
	entryName   = "file with number %07d.txt"
	idleOurs    = 5000
	idleOfPeers = 200 // those that have a process or two for each session
)

func measures(kind string, secure bool) []measure {
	all := []measure{
		{name: kind + ", idle session, memory", unit: "kB", rounds: 1, run: idleSession},
		{name: kind + ", sign-ins at 8 at once", unit: "/s", more: true, rounds: 5, run: signIns},
		{name: kind + ", 500 downloads of 1 MiB, 500 ports", unit: "ms", rounds: 5, run: manyDownloads},
		{name: kind + ", 10,000 downloads of 1 KiB, 50 clients", unit: "ms", rounds: 5, run: smallDownloads},
	}
	if !secure {
		for _, verb := range []string{"LIST", "MLSD"} {
			for _, n := range listed {
				of, rounds := verb+" of "+n.words, 5
				if n.entries > kept {
					rounds = 1 // a minute or two for the slowest
				}
				all = append(all,
					measure{name: of + ", first byte", unit: "ms", rounds: rounds, run: listing(verb, n.entries, 0)},
					measure{name: of + ", whole", unit: "ms", rounds: rounds, run: listing(verb, n.entries, 1)},
					measure{name: of + ", memory more", unit: "MB", rounds: 1, run: listing(verb, n.entries, 2)},
					measure{name: of + ", server's CPU", unit: "ms", rounds: rounds, run: listing(verb, n.entries, 3)})
			}
		}
	}
	for _, n := range []int{1, 10, 100} {
		all = append(all, measure{name: fmt.Sprintf("%s, %d streams, throughput", kind, n), unit: "MB/s", more: true, rounds: 5, run: streams(n, false)},
			measure{name: fmt.Sprintf("%s, %d streams, server's CPU", kind, n), unit: "s/GiB", rounds: 5, run: streams(n, true)})
	}
	return all
}

// idleSession is the memory that one signed-in session adds, pages shared with others counted in part.
func idleSession(ctx context.Context, _ *bench, s scaled) (float64, error) {
	n := idleOurs
	if s.name != "portside" && s.name != "pyftpdlib" {
		n = idleOfPeers
	}
	first, err := several(ctx, s.place, 10) // what the first ones cost once
	if err != nil {
		return 0, err
	}
	defer closeAll(first)
	before, err := proportional(s.processes())
	if err != nil {
		return 0, err
	}
	all, err := several(ctx, s.place, n)
	if err != nil {
		return 0, err
	}
	defer closeAll(all)
	time.Sleep(settle) // garbage and caches come to rest
	after, err := proportional(s.processes())
	return float64(after-before) / 1024 / float64(n), err
}

// proportional is the memory of processes: each page divided by how many use it.
func proportional(pids []int) (bytes int64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				if err != nil {
					return 0, err
				}
				bytes += kb << 10
			}
		}
	}
	if bytes == 0 {
		return 0, errors.New("no process of the server runs")
	}
	return bytes, nil
}

// signIns counts whole sign-ins, each over a connection of its own.
func signIns(ctx context.Context, _ *bench, s scaled) (float64, error) {
	const during = 3 * time.Second
	var n atomic.Int64
	begin := time.Now()
	took, err := together(make([]*load, 8), func(int, *load) error {
		for time.Since(begin) < during {
			l, err := connect(ctx, s.place)
			if err != nil {
				return err
			}
			err = l.cmd("QUIT", 221)
			l.close()
			if err != nil {
				return err
			}
			n.Add(1)
		}
		return nil
	})
	return float64(n.Load()) / took.Seconds(), err
}

// manyDownloads opens 500 data connections before any of them moves a byte, then all move at once.
func manyDownloads(ctx context.Context, _ *bench, s scaled) (float64, error) {
	all, err := several(ctx, s.place, manyPorts)
	if err != nil {
		return 0, err
	}
	defer closeAll(all)
	datas, took := make([]io.Closer, len(all)), time.Duration(0)
	ready := make(chan struct{})
	var opened atomic.Int32
	took, err = together(all, func(i int, l *load) error {
		d, err := l.open(ctx)
		if opened.Add(1) == int32(len(all)) {
			close(ready)
		}
		if err != nil {
			return err
		}
		datas[i] = d
		<-ready
		from, err := l.get(d, "RETR mebi")
		if err != nil {
			return err
		}
		n, err := l.drain(from, make([]byte, 16<<10), nil)
		if err == nil && n != 1<<20 {
			err = fmt.Errorf("%d bytes came", n)
		}
		return err
	})
	for _, d := range datas {
		if d != nil {
			d.Close()
		}
	}
	return took.Seconds() * 1000, err
}

func smallDownloads(ctx context.Context, _ *bench, s scaled) (float64, error) {
	all, err := several(ctx, s.place, 50)
	if err != nil {
		return 0, err
	}
	defer closeAll(all)
	took, err := together(all, func(_ int, l *load) error {
		buffer := make([]byte, 4<<10)
		for range smallFiles / len(all) {
			if n, err := l.fetch(ctx, "RETR kibi", buffer); err != nil || n != 1<<10 {
				return fmt.Errorf("%d bytes: %w", n, err)
			}
		}
		return nil
	})
	return took.Seconds() * 1000, err
}

// listing measures a listing of a folder with entries: the time to its first byte (0), to its end (1), the memory that the
// server takes for it (2), or its processor time (3).
func listing(verb string, entries, what int) func(context.Context, *bench, scaled) (float64, error) {
	return func(ctx context.Context, _ *bench, s scaled) (float64, error) {
		name := "many" + strconv.Itoa(entries)
		if err := fillFolder(filepath.Join(s.root, name), entries); err != nil {
			return 0, err
		}
		if entries > kept {
			defer os.RemoveAll(filepath.Join(s.root, name)) // a file system in memory has no room for one of each server
		}
		l, err := connect(ctx, s.place)
		if err != nil {
			return 0, err
		}
		defer l.close()
		if err := l.cmd("CWD "+name, 250); err != nil {
			return 0, err
		}
		d, err := l.open(ctx)
		if err != nil {
			return 0, err
		}
		defer d.Close()
		before, err := proportional(s.processes())
		if err != nil {
			return 0, err
		}
		ran, err := cpuOf(s.processes())
		if err != nil {
			return 0, err
		}
		stop, most := make(chan struct{}), make(chan int64)
		go func() {
			peak := int64(0)
			for what == 2 {
				if now, err := proportional(s.processes()); err == nil {
					peak = max(peak, now)
				}
				select {
				case <-stop:
					most <- peak
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
			<-stop
			most <- 0
		}()
		begin, first := time.Now(), time.Time{}
		from, err := l.get(d, verb)
		n := int64(0)
		if err == nil {
			n, err = l.drain(from, make([]byte, 64<<10), &first)
		}
		took := time.Since(begin)
		close(stop)
		peak := <-most
		after, cpuErr := cpuOf(s.processes())
		if err == nil {
			err = cpuErr
		}
		if err == nil && n < int64(entries*len(entryName)) {
			err = fmt.Errorf("a listing of %d bytes", n)
		}
		return []float64{first.Sub(begin).Seconds() * 1000, took.Seconds() * 1000, float64(max(0, peak-before)) / mega, (after - ran).Seconds() * 1000}[what], err
	}
}

// streams downloads from n clients at once, b.size bytes in all: megabytes per second, or the server's processor seconds
// per GiB.
func streams(n int, cpu bool) func(context.Context, *bench, scaled) (float64, error) {
	return func(ctx context.Context, b *bench, s scaled) (float64, error) {
		all, err := several(ctx, s.place, n)
		if err != nil {
			return 0, err
		}
		defer closeAll(all)
		// Each stream takes the file as often as is needed; at 100 streams, as much of it as REST leaves.
		share := b.size / int64(n)
		before, err := cpuOf(s.processes())
		if err != nil {
			return 0, err
		}
		took, err := together(all, func(_ int, l *load) error {
			if err := l.cmd("REST "+strconv.FormatInt(b.size-share, 10), 350); err != nil {
				return err
			}
			got, err := l.fetch(ctx, "RETR "+fileName, make([]byte, 256<<10))
			if err == nil && got != share {
				err = fmt.Errorf("%d bytes of %d came", got, share)
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		after, err := cpuOf(s.processes())
		moved := float64(share * int64(n))
		if cpu {
			return (after - before).Seconds() / (moved / (1 << 30)), err
		}
		return moved / 1e6 / took.Seconds(), err
	}
}

// cpuOf is what the threads of processes have run, to the nanosecond: hundredths, as cpuTime has them, are too coarse for
// a hundred processes that each send a little.
func cpuOf(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return 0, err
		}
		for _, t := range threads {
			text, err := os.ReadFile(t)
			if err != nil {
				continue // it has ended
			}
			var ran int64
			if _, err := fmt.Sscan(string(text), &ran); err != nil {
				return 0, err
			}
			sum += time.Duration(ran)
		}
	}
	if sum == 0 {
		return 0, errors.New("this kernel does not say what the server's processes have run")
	}
	return sum, nil
}

// scaledServers starts Portside's engine and the peers that are there.
func (b *bench) scaledServers(ctx context.Context, secure peers.TLS) (all []scaled, err error) {
	root, err := b.scaleFolder("portside", secure)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	lowest := 20000 // below the ephemeral ports
	cmd := exec.CommandContext(ctx, self, "engine", root, string(secure), strconv.Itoa(lowest))
	first, err := b.start(cmd)
	if err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(strings.TrimSpace(first))
	if err != nil {
		return nil, err
	}
	all = append(all, scaled{"portside", place{peers.Endpoint{Addr: at, User: peers.User, Password: peers.Password, TLS: secure}, root},
		func() []int { return []int{cmd.Process.Pid} }})
	for i, kind := range []peers.Kind{peers.Vsftpd, peers.PureFTPd, peers.Pyftpdlib} {
		dir, err := b.scaleFolder(string(kind), secure)
		if err != nil {
			return nil, err
		}
		low := uint16(lowest + 1000*(i+1))
		c := peers.Config{Kind: kind, TLS: secure, Sessions: 2 * idleOurs, PassiveMin: low, PassiveMax: low + manyPorts - 1}
		if c.Root = dir; kind == peers.Vsftpd {
			// It serves the folder "pub" within, where the files are.
			if err := os.Rename(dir, dir+"-pub"); err != nil {
				return nil, err
			}
			if err := errors.Join(os.Mkdir(dir, 0o755), os.Rename(dir+"-pub", filepath.Join(dir, "pub"))); err != nil {
				return nil, err
			}
		}
		s, err := peers.Start(ctx, c)
		if errors.Is(err, peers.ErrMissing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b.stops = append(b.stops, s.Remove)
		all = append(all, scaled{string(kind), place{s.Endpoint(), s.Root}, s.Processes})
	}
	return all, nil
}

// scaleFolder makes a folder with the files that the measures ask for.
func (b *bench) scaleFolder(name string, secure peers.TLS) (string, error) {
	dir, err := b.folder("scale-" + name + "-" + string(secure))
	if err != nil {
		return "", err
	}
	return dir, errors.Join(randomFile(filepath.Join(dir, "kibi"), 1<<10), randomFile(filepath.Join(dir, "mebi"), 1<<20))
}

// fillFolder makes a folder of empty files, unless it is there.
func fillFolder(dir string, entries int) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	}
	for i := range entries {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf(entryName, i)), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// serveEngine is Portside's engine without the limits that keep one address from taking all sessions: ROOT TLS PORT,
// the lowest passive port. It prints its address and serves until it is ended.
func serveEngine(args []string) error {
	if len(args) != 3 {
		return errors.New("use: engine ROOT TLS PORT")
	}
	port, err := strconv.ParseUint(args[2], 10, 16)
	if err != nil {
		return err
	}
	hash, err := localserver.HashPassword(peers.Password)
	if err != nil {
		return err
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer nowhere.Close()
	s, err := localserver.New(localserver.Config{
		Listen: "127.0.0.1:0", Root: args[0], Accounts: []localserver.Account{{Name: peers.User, Password: hash, Rights: localserver.ReadWrite}},
		Passive: localserver.PassiveConfig{UseRange: true, Min: uint16(port), Max: uint16(port) + manyPorts - 1},
		TLS:     localserver.TLSConfig{Mode: localserver.TLSMode(args[1])}, Limits: localserver.Limits{MaxSessions: -1, MaxSessionsPerAddress: -1},
		Recorder: connlog.NewJSONWriter(nowhere),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.Start(ctx); err != nil {
		return err
	}
	fmt.Println(s.Addr())
	<-ctx.Done()
	return s.Stop(context.Background())
}
