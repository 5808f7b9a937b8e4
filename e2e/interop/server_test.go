//go:build linux

package interop

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"portside/e2e/peers"
)

func TestServerServesEveryClient(t *testing.T) {
	k := watchKernel(t)
	var n count
	t.Cleanup(func() { n.report(t) })
	ports := 24100
	for _, tls := range []peers.TLS{peers.Off, peers.Explicit, peers.Required, peers.Implicit} {
		for _, host := range hosts {
			low := uint16(ports)
			high := low + 49
			ports += 50
			t.Run(fmt.Sprintf("%s/%s", tls, host), func(t *testing.T) {
				t.Parallel()
				s := serve(t, host, tls, "--passive-ports", fmt.Sprintf("%d-%d", low, high))
				for _, client := range peers.Clients {
					for _, active := range []bool{false, true} {
						t.Run(client.Name+"/"+modeName(active), func(t *testing.T) {
							for _, folder := range []bool{false, true} {
								served(t, k, &n, s, client, active, folder, low, high)
							}
						})
					}
				}
			})
		}
	}
}

func served(t *testing.T, k *peers.Kernel, n *count, s *server, client peers.Client, active, folder bool, low, high uint16) {
	put, get := peers.Put, peers.Get
	src := makeTree(t, t.TempDir(), "tree")
	local := filepath.Join(src, "big.bin")
	if folder {
		put, get, local = peers.PutFolder, peers.GetFolder, src
	}
	job := peers.Job{Endpoint: s.Endpoint, Active: active, Local: local}
	switch why := client.Lacks(put, job); {
	case why != "" && folder && client.Lacks(peers.Put, job) == "":
		return // moves files only
	case why != "":
		t.Skip(why)
	}
	name := filepath.Base(local)
	defer os.RemoveAll(filepath.Join(s.Root, name))

	run := func(op peers.Op, job peers.Job) {
		t.Helper()
		first, skip := openings(t, k), len(s.records())
		r, err := client.Run(t.Context(), op, job)
		if errors.Is(err, peers.ErrMissing) {
			t.Skip(err)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, r.Output)
		}
		log := s.settled(t, skip, k, first)
		check := channelCheck{kernel: k, first: first, active: active, tls: s.TLS != peers.Off, client: r.PID, server: s.cmd.Process.Pid, at: s.Addr, count: n}
		check.run(t, log)
		for _, r := range log {
			if port := portOf(r.To); r.Event == "data-opened" && !active && (port < low || port > high) {
				t.Errorf("port %d is not in the passive range %d-%d: %v", port, low, high, r)
			}
		}
	}
	run(put, job)
	sameFiles(t, local, filepath.Join(s.Root, name))
	job.Local, job.Remote = t.TempDir(), name
	run(get, job)
	sameFiles(t, local, filepath.Join(job.Local, name))
}

func portOf(s string) uint16 {
	a, _ := netip.ParseAddrPort(s)
	return a.Port()
}
