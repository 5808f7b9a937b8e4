//go:build linux

package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portside/client"
	"portside/e2e/peers"
	"portside/localserver"
)

// ownServer starts Portside's own server in this process.
func ownServer(t *testing.T, root string, tls peers.TLS) netip.AddrPort {
	t.Helper()
	s, err := localserver.New(localserver.Config{Listen: "127.0.0.1:0", Root: root, TLS: localserver.TLSConfig{Mode: localserver.TLSMode(tls)},
		Accounts: []localserver.Account{{Name: "anonymous", Rights: localserver.ReadWrite}}})
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
	})
	return s.Addr()
}

// Many small files with word of what follows, a missing one and a cancelled one among them: every server gives every file,
// whether it takes commands ahead or is spared from them.
func TestSmallFilesWithEveryServer(t *testing.T) {
	for _, kind := range append([]peers.Kind{"portside"}, peers.Kinds...) {
		for _, tls := range []peers.TLS{peers.Off, peers.Required} {
			for _, active := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%s", kind, tls, modeName(active)), func(t *testing.T) {
					o := client.Options{Mode: client.ModePassive, Insecure: true}
					if active {
						o.Mode = client.ModeActive
					}
					if tls != peers.Off {
						o.TLS = client.TLSExplicit
					} else {
						o.TLS = client.TLSNone
					}
					var root, base string
					var at netip.AddrPort
					if kind == "portside" {
						root = t.TempDir()
						at = ownServer(t, root, tls)
					} else {
						s := peers.ForTest(t, peers.Config{Kind: kind, TLS: tls, RequireReuse: tls != peers.Off && (kind == peers.Vsftpd || kind == peers.ProFTPD)})
						root, base, at = s.Root, s.Base, s.AddrPort()
						o.User, o.Password = s.User, s.Password
					}
					o.Host, o.Port = at.Addr().String(), at.Port()
					smallFilesBothWays(t, o, root, base)
				})
			}
		}
	}
}

func smallFilesBothWays(t *testing.T, o client.Options, root, base string) {
	const files = 24
	body := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 4096+i) }
	var paths []string
	for i := range files {
		name := fmt.Sprintf("small%02d", i)
		if err := os.WriteFile(filepath.Join(root, name), body(i), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, "/"+filepath.Join(base, name))
	}
	const missing, cancelled = 9, 15
	if err := os.Remove(filepath.Join(root, filepath.Base(paths[missing]))); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	defer stop()
	o.MovesFirst = true
	first, err := client.Dial(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := first.List(ctx, "/"+base); err != nil || len(l) != files-1 {
		t.Errorf("%d entries: %v", len(l), err)
	}
	first.Close()
	o.Again = true
	s, err := client.Dial(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	redial := func(why error) {
		t.Log("the session was lost:", why)
		spared := s.NotAhead()
		s.Close()
		if s, err = client.Dial(ctx, o); err != nil {
			t.Fatal(err)
		}
		if spared {
			s.SpareServer()
		}
	}
	for i, p := range paths {
		s.Follow(i+1 < len(paths), paths[i+1:]...)
		f, err := os.Create(filepath.Join(t.TempDir(), "x"))
		if err != nil {
			t.Fatal(err)
		}
		getting, cancel := context.WithCancel(ctx)
		if i == cancelled {
			cancel()
		}
		_, err = s.Get(getting, p, 0, f)
		cancel()
		f.Close()
		if i == missing || i == cancelled {
			if err == nil {
				t.Errorf("no error for %s", p)
			}
		} else if got, _ := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, body(i)) {
			t.Errorf("%s came with %d bytes: %v", p, len(got), err)
		}
		if s.Err() != nil {
			redial(s.Err())
		}
	}
	const refused = 11 // there is no such folder
	up := func(i int) []byte { return bytes.Repeat(body(i), 1+i%15) }
	for i := range files {
		s.Follow(i+1 < files)
		name := fmt.Sprintf("up%02d", i)
		if i == refused {
			name = filepath.Join("nowhere", name)
		}
		local := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(local, up(i), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(local)
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.Put(ctx, "/"+filepath.Join(base, name), 0, f)
		f.Close()
		var e *client.Error
		if i == refused {
			if !errors.As(err, &e) || e.Code != 550 && e.Code != 553 || e.Data || n != 0 {
				t.Errorf("%s: %d sent, %v", name, n, err)
			}
		} else if err != nil || int(n) != len(up(i)) {
			t.Errorf("%s: %d sent, %v", name, n, err)
		}
		if s.Err() != nil {
			redial(s.Err())
		}
	}
	for i := range files {
		if got, err := os.ReadFile(filepath.Join(root, fmt.Sprintf("up%02d", i))); i != refused && (err != nil || !bytes.Equal(got, up(i))) {
			t.Errorf("up%02d has %d bytes: %v", i, len(got), err)
		}
	}
	t.Log("takes commands ahead:", !s.NotAhead())
}
