package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// commandTime bounds each command that is run: all of them print and end.
const commandTime = 5 * time.Second

// System is this computer as it is.
func System() SelfEnv {
	program, _ := os.Executable()
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	return SelfEnv{
		OS: runtime.GOOS, Root: os.Geteuid() == 0, Program: program, Now: time.Now,
		Run: runCommand, ReadFile: os.ReadFile, Interfaces: systemInterfaces, Listen: tryListen, FileLimit: fileLimit,
		Resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			ctx, cancel := context.WithTimeout(ctx, commandTime)
			defer cancel()
			return net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		},
		ReadFolder: func(name string) error {
			_, err := os.ReadDir(name)
			return err
		},
		FindRouter: FindRouter,
	}
}

// runCommand runs a program of the system in English. A desktop's PATH often lacks the folders of the administrator.
func runCommand(ctx context.Context, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && runtime.GOOS != "windows" {
		for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
			if p, e := exec.LookPath(dir + name); e == nil {
				path, err = p, nil
				break
			}
		}
	}
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LANGUAGE=C")
	cmd.WaitDelay = time.Second
	hideWindow(cmd)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return string(out), fmt.Errorf("%s: %w: %s", name, err, said)
	}
	return string(out), nil
}

func systemInterfaces() ([]SelfInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []SelfInterface
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away
		}
		one := SelfInterface{Name: i.Name}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				one.Addresses = append(one.Addresses, p)
			}
		}
		out = append(out, one)
	}
	return out, nil
}

func tryListen(ctx context.Context, at netip.Addr, port uint16) error {
	host := ""
	if at.IsValid() {
		host = at.String()
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		if addressTaken(err) {
			return errors.Join(ErrPortTaken, err)
		}
		return err
	}
	return l.Close()
}
