//go:build linux

package peers_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portside/e2e/peers"
)

// Every combination of server, TLS and address family takes a folder and gives it back, in both modes, so that a failure of
// Portside with it is Portside's.
func TestServersStartServeAndGoAway(t *testing.T) {
	for _, kind := range peers.Kinds {
		for _, tls := range []peers.TLS{peers.Off, peers.Explicit, peers.Required, peers.Implicit} {
			for _, host := range []string{"127.0.0.2", "::1"} {
				t.Run(fmt.Sprintf("%s/%s/%s", kind, tls, host), func(t *testing.T) {
					t.Parallel()
					s := peers.ForTest(t, peers.Config{Kind: kind, TLS: tls, Host: host})
					for _, active := range []bool{false, true} {
						thereAndBack(t, s, active)
					}
					family := s.Processes()
					s.Close()
					for _, pid := range family {
						if err := syscall.Kill(pid, 0); err != syscall.ESRCH && !zombie(pid) {
							t.Errorf("process %d of the server %v is left: %v", pid, family, err)
						}
					}
				})
			}
		}
	}
}

// Servers that start at the same time look for a port before any of them listens.
func TestAFreePortIsGivenOnce(t *testing.T) {
	given := map[uint16]bool{}
	for range 1000 {
		port, err := peers.FreePort("127.0.0.2")
		if err != nil {
			t.Fatal(err)
		}
		if given[port] {
			t.Fatalf("%d is given twice", port)
		}
		given[port] = true
	}
}

// zombie says whether a process has ended and its parent has not asked yet.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || strings.Contains(string(b), "State:\tZ")
}

func thereAndBack(t *testing.T, s *peers.Server, active bool) {
	t.Helper()
	name := fmt.Sprintf("tree-%v", active)
	src, dst := filepath.Join(t.TempDir(), name), t.TempDir()
	for name, size := range map[string]int{"a.txt": 5, "empty": 0, "sub/b.bin": 300_000, "sub/deep/with space.txt": 70_000} {
		path := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("portside ", size)[:size]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(op peers.Op, job peers.Job) {
		job.Endpoint, job.Active = s.Endpoint(), active
		if r, err := peers.Ftplib.Run(t.Context(), op, job); err != nil {
			t.Fatalf("%v\n%s", err, r.Output)
		}
	}
	run(peers.PutFolder, peers.Job{Local: src})
	run(peers.GetFolder, peers.Job{Local: dst, Remote: name})
	if out, err := exec.Command("diff", "-r", src, filepath.Join(dst, name)).CombinedOutput(); err != nil {
		t.Errorf("differ: %v\n%s", err, out)
	}
}
