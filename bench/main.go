//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"
)

type options struct {
	portside string
	dir      string
	size     int64
	rounds   int
	only     *regexp.Regexp
	idle     time.Duration
	scale    bool
	small    bool
}

func main() {
	if len(os.Args) > 1 {
		// Started by itself, to be a server.
		if serve := map[string]func([]string) error{"goftp": serveGoftp, "engine": serveEngine}[os.Args[1]]; serve != nil {
			if err := serve(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	var o options
	flag.StringVar(&o.portside, "portside", "./portside", "the program to measure")
	flag.StringVar(&o.dir, "dir", "/dev/shm", "a folder in memory")
	flag.Int64Var(&o.size, "size", 1024, "the size of the file, in MiB")
	flag.IntVar(&o.rounds, "rounds", 5, "how many times each program takes its turn")
	flag.DurationVar(&o.idle, "idle", 10*time.Second, "how long to look at an idle program")
	flag.BoolVar(&o.scale, "scale", false, "measure the server with many clients at once instead")
	flag.BoolVar(&o.small, "small", false, "measure 1,000 small files at a distance and on loopback instead")
	only := flag.String("only", "", "measure rows whose name matches this regular expression only")
	limit := flag.Duration("limit", 30*time.Minute, "the longest that all may take")
	flag.Parse()
	o.size <<= 20
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || flag.NArg() > 0 || o.size <= 0 || o.rounds <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if o.small && os.Geteuid() == 0 && os.Getenv(apart) == "" {
		os.Exit(runApart())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		cancel()
		os.Exit(1)
	}
}

// apart is set in a process that has a network namespace of its own.
const apart = "PORTSIDE_BENCH_APART"

// runApart runs this program once more in a network namespace of its own, so that package way makes its interfaces and
// addresses there.
func runApart() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), apart+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	signal.Ignore(os.Interrupt) // the other one has it from the terminal, and ends what it started
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

func run(ctx context.Context, out io.Writer, o options) error {
	if _, err := os.Stat(o.portside); err != nil && !o.scale {
		return fmt.Errorf("%w: build it first, as bench/run does", err)
	}
	work, err := os.MkdirTemp(o.dir, "portside-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil { // servers read it under an account of their own
		return err
	}
	if free, err := freeSpace(work); err == nil && free < 4*o.size {
		return fmt.Errorf("%s has %d MiB free, and %d are needed: choose a smaller --size", o.dir, free>>20, 4*o.size>>20)
	}
	fmt.Fprintf(out, "%d CPUs, %s, file of %d MiB in %s, median of %d rounds, programs in turn\n\n", runtime.NumCPU(), runtime.Version(), o.size>>20, o.dir, o.rounds)
	if o.scale {
		if err := randomFile(filepath.Join(work, fileName), o.size); err != nil {
			return err
		}
		return scale(ctx, out, o, work)
	}
	if o.small {
		if os.Getenv(apart) != "" {
			if out, err := exec.CommandContext(ctx, "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
				return fmt.Errorf("ip: %w: %s", err, out)
			}
		}
		return small(ctx, out, o, work)
	}
	failed := transfers(ctx, out, o, work)
	return errors.Join(failed, idle(ctx, out, o, work))
}

func freeSpace(dir string) (int64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	return int64(s.Bavail) * s.Bsize, err
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// spread is how far the rounds lie apart, as a share of the median.
func spread(times []time.Duration) float64 {
	return float64(slices.Max(times)-slices.Min(times)) / float64(median(times))
}

// verdict compares a number with what was aimed at.
func verdict(good bool) string {
	if good {
		return "ok"
	}
	return "MISSED"
}

func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}
