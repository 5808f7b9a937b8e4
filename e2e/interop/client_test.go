//go:build linux

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portside/e2e/peers"
)

func TestClientMovesFilesAndFoldersWithEveryServer(t *testing.T) {
	k := watchKernel(t)
	var n count
	t.Cleanup(func() { n.report(t) })
	for _, kind := range peers.Kinds {
		for _, tls := range []peers.TLS{peers.Off, peers.Required, peers.Implicit} {
			for _, host := range hosts {
				t.Run(fmt.Sprintf("%s/%s/%s", kind, tls, host), func(t *testing.T) {
					t.Parallel()
					// The servers that can insist that data connections resume the TLS session do.
					reuse := tls != peers.Off && (kind == peers.Vsftpd || kind == peers.ProFTPD)
					s := peers.ForTest(t, peers.Config{Kind: kind, TLS: tls, Host: host, RequireReuse: reuse})
					for _, active := range []bool{false, true} {
						t.Run(modeName(active), func(t *testing.T) { clientMoves(t, k, &n, s, active) })
					}
				})
			}
		}
	}
}

func modeName(active bool) string {
	if active {
		return "active"
	}
	return "passive"
}

func clientMoves(t *testing.T, k *peers.Kernel, n *count, s *peers.Server, active bool) {
	src := makeTree(t, t.TempDir(), "tree")
	for _, what := range []string{"tree", "tree/big.bin"} {
		name := filepath.Base(what)
		local := filepath.Join(filepath.Dir(src), what)
		base := strings.TrimSuffix(s.URL(""), "/") + "/"

		options := []string{"--mode", modeName(active), "--log", "json"}
		if s.Kind == peers.Pyftpdlib && active {
			// pyftpdlib 1.5.7 now and then loses the event that its own connection stands when another one closes in the
			// same turn of its loop, and answers 421 after 30 s; lftp's parallel transfers meet that, too.
			options = append(options, "--parallel", "1")
		}
		run := func(verb string, args ...string) {
			t.Helper()
			first := openings(t, k)
			log, pid := transfer(t, s.CA, slices.Concat([]string{verb}, options, args)...)
			check := channelCheck{kernel: k, first: first, active: active, tls: s.TLS != peers.Off, resumed: s.RequireReuse,
				client: pid, server: s.PID(), at: s.AddrPort(), count: n}
			check.run(t, log)
		}
		run("put", local, base)
		sameFiles(t, local, filepath.Join(s.Root, name))
		down := t.TempDir()
		run("get", base+name, down)
		sameFiles(t, local, filepath.Join(down, name))
		os.RemoveAll(filepath.Join(s.Root, name))
	}
}
