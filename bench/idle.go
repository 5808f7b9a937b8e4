//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portside/e2e/peers"
)

// settle is how long a program has to come to rest before it is looked at.
const settle = 5 * time.Second

// What an idle program may take, by what was aimed at.
const (
	serveMB, windowMB, windowCPU = 40, 200, 2.5
	mega                         = 1 << 20
)

// idle measures and prints the second part of the table.
func idle(ctx context.Context, out io.Writer, o options, work string) error {
	fmt.Fprintf(out, "%-46s %12s %12s\n", "idle", "Portside", "aim")
	print := func(name string, value, aim float64, unit string) {
		fmt.Fprintf(out, "%-46s %8.1f %-3s %8.1f %-3s  %s\n", name, value, unit, aim, unit, verdict(value <= aim))
	}
	var failed []error
	if name := "serve, no session"; o.only.MatchString(name) {
		use, err := idleServe(ctx, o, work)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		} else {
			print(name+", memory", use.memory/mega, serveMB, "MB")
		}
	}
	if name := "window"; o.only.MatchString(name) {
		use, err := idleWindow(ctx, o, work)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			fmt.Fprintf(out, "%-46s not measured: %v\n", name, err)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		default:
			print(name+" under Xvfb with software GL, memory", use.memory/mega, windowMB, "MB")
			print(name+" under Xvfb with software GL, one core", use.cpu, windowCPU, "%")
		}
	}
	return errors.Join(failed...)
}

// use is what a process takes: resident bytes, and per cent of one core.
type use struct{ memory, cpu float64 }

func idleServe(ctx context.Context, o options, work string) (use, error) {
	b := &bench{options: o, work: work}
	defer b.stop()
	dir, err := os.MkdirTemp(work, "idle-")
	if err != nil {
		return use{}, err
	}
	cmd := exec.CommandContext(ctx, absolute(o.portside), "serve", "--listen", "127.0.0.1:0", "--log", "json", dir)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if _, err := b.start(cmd); err != nil {
		return use{}, err
	}
	return watch(ctx, cmd.Process.Pid, o.idle)
}

// idleWindow opens the window on a display of its own.
func idleWindow(ctx context.Context, o options, work string) (use, error) {
	for _, program := range []string{"Xvfb", "openbox", "dbus-run-session"} {
		if _, err := exec.LookPath(program); err != nil {
			return use{}, err
		}
	}
	b := &bench{options: o, work: work}
	defer b.stop()
	home, err := os.MkdirTemp(work, "window-")
	if err != nil {
		return use{}, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return use{}, err
	}
	defer r.Close()
	xvfb := exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-screen", "0", "1600x1000x24", "-nolisten", "tcp")
	xvfb.ExtraFiles = []*os.File{w}
	if err := b.launch(xvfb, home); err != nil {
		return use{}, err
	}
	w.Close()
	display, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return use{}, fmt.Errorf("the X server named no display: %w", err)
	}
	env := []string{"DISPLAY=:" + strings.TrimSpace(display), "WAYLAND_DISPLAY=", "HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"XDG_RUNTIME_DIR=" + home, "FYNE_THEME=light", "FYNE_SCALE=1", "LANG=C.UTF-8"}
	if err := b.launch(exec.CommandContext(ctx, "openbox"), home, env...); err != nil {
		return use{}, err
	}
	// The session bus runs the program as its child, and ends with it.
	bus := exec.CommandContext(ctx, "dbus-run-session", "--", absolute(o.portside))
	if err := b.launch(bus, home, env...); err != nil {
		return use{}, err
	}
	select {
	case <-ctx.Done():
		return use{}, ctx.Err()
	case <-time.After(settle):
	}
	pid, err := childOf(bus.Process.Pid, absolute(o.portside))
	if err != nil {
		return use{}, err
	}
	return watch(ctx, pid, o.idle)
}

// launch starts a program whose process group ends with the bench.
func (b *bench) launch(cmd *exec.Cmd, dir string, env ...string) error {
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		cmd.Wait()
		kill.Stop()
	}
	b.stops = append([]func(){stop}, b.stops...) // what came last needs the others, so it goes first
	return nil
}

// childOf finds the descendant of a process that runs a program.
func childOf(pid int, program string) (int, error) {
	for _, p := range peers.Descendants(pid) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p)); err == nil && exe == program {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%s does not run", program)
}

// watch looks at a process that is to be idle.
func watch(ctx context.Context, pid int, long time.Duration) (use, error) {
	wait := func(d time.Duration) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
	if err := wait(settle); err != nil {
		return use{}, err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return use{}, err
	}
	if err := wait(long); err != nil {
		return use{}, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return use{}, err
	}
	memory, err := resident(pid)
	return use{memory: memory, cpu: 100 * (after - before).Seconds() / long.Seconds()}, err
}

// resident is a process's VmRSS in bytes.
func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// cpuTime is what a process has used of all cores; the kernel counts in hundredths of a second.
func cpuTime(pid int) (time.Duration, error) {
	times, err := cpuTimes(pid)
	return times[0] + times[1], err
}

// familyTime is what a process and those of its children that have ended have used.
func familyTime(pid int) time.Duration {
	times, _ := cpuTimes(pid)
	return times[0] + times[1] + times[2] + times[3]
}

// cpuTimes are a process's user and system time, and those of its children that have ended.
func cpuTimes(pid int) (times [4]time.Duration, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return times, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 15 {
		return times, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	for i := range times {
		n, err := strconv.Atoi(f[11+i])
		if err != nil {
			return times, err
		}
		times[i] = time.Duration(n) * tick
	}
	return times, nil
}
