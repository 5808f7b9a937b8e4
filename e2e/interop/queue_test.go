//go:build linux

package interop

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"portside/client"
	queue "portside/client/transfer"
	"portside/connlog"
	"portside/e2e/peers"
)

// signIn are the options for a session with a peer.
func signIn(s *peers.Server, rec connlog.Recorder) client.Options {
	return client.Options{Mode: client.ModePassive, Recorder: rec, Target: client.Target{Host: s.Host, Port: s.Port, TLS: client.TLSNone, User: s.User, Password: s.Password}}
}

func peerQueue(t *testing.T, dial func(context.Context) (*client.Session, error), segments int, items ...queue.Item) queue.QueueSnapshot {
	t.Helper()
	q, err := queue.OpenQueue(queue.QueueOptions{File: filepath.Join(t.TempDir(), "queue.db"),
		Dial: func(ctx context.Context, _ queue.Site) (*client.Session, error) { return dial(ctx) }})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := q.Add(queue.Batch{Site: queue.Site{URL: "ftp://peer/"}, Segments: segments}, queue.Orders(items...)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := q.Wait(ctx); err != nil {
		t.Fatalf("%v: %+v", err, q.Snapshot())
	}
	failed, err := q.List(queue.Failed, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failed {
		t.Errorf("%s %s: %s", f.Direction, f.Remote, f.Err)
	}
	return q.Snapshot()
}

func TestTheQueueMovesATreeBothWaysWithEveryServer(t *testing.T) {
	for _, kind := range peers.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := peers.ForTest(t, peers.Config{Kind: kind})
			src := makeTree(t, t.TempDir(), "tree")
			down := filepath.Join(t.TempDir(), "got")
			dial := func(ctx context.Context) (*client.Session, error) { return client.Dial(ctx, signIn(s, nil)) }
			remote := path.Join(s.Base, "tree")
			peerQueue(t, dial, 1, queue.Item{Direction: queue.Upload, Local: src, Remote: remote})
			peerQueue(t, dial, 2, queue.Item{Local: down, Remote: remote})
			if want, got := hashes(t, src), hashes(t, down); !maps.Equal(want, got) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestAFolderIsMirroredWithEveryServer(t *testing.T) {
	for _, kind := range peers.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := peers.ForTest(t, peers.Config{Kind: kind})
			src := makeTree(t, t.TempDir(), "tree")
			back := filepath.Join(t.TempDir(), "back")
			dial := func(ctx context.Context) (*client.Session, error) { return client.Dial(ctx, signIn(s, nil)) }
			run := func(m queue.Mirror) *queue.Plan {
				t.Helper()
				session, err := dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer session.Close()
				p, err := queue.PlanMirror(t.Context(), session, m, nil)
				if err != nil {
					t.Fatal(err)
				}
				r := p.Run(t.Context(), queue.Options{Dial: dial, Parallel: 3}, nil)
				for _, f := range r.Failures {
					t.Error(f)
				}
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				return p
			}
			remote := path.Join(s.Base, "tree")
			up := queue.Mirror{Direction: queue.Upload, Local: src, Remote: remote, Delete: true}
			run(up)
			run(queue.Mirror{Local: back, Remote: remote, Delete: true})
			if want, got := hashes(t, src), hashes(t, back); !maps.Equal(want, got) {
				t.Errorf("%v, want %v", got, want)
			}
			if err := os.RemoveAll(filepath.Join(src, "sub")); err != nil {
				t.Fatal(err)
			}
			if p := run(up); p.Copies() != 0 || p.Deletes() == 0 {
				t.Errorf("%d copies, %d deletes", p.Copies(), p.Deletes())
			}
			if p := run(queue.Mirror{Local: back, Remote: remote, Delete: true}); p.Copies() != 0 {
				t.Errorf("%+v", p.Changes)
			}
			if want, got := hashes(t, src), hashes(t, back); !maps.Equal(want, got) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// Links of the server to folders, shown or hidden: those that lead back end, and those that go are not emptied.
func TestLinksToFoldersMakeNoLoopAndAreNotEmptiedWithAnyServer(t *testing.T) {
	for _, kind := range peers.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := peers.ForTest(t, peers.Config{Kind: kind})
			tree := makeTree(t, s.Root, "tree")
			want := hashes(t, tree)
			for name, to := range map[string]string{"back": ".", "sub/up": "..", "sub/upper": ".."} {
				if err := os.Symlink(to, filepath.Join(tree, name)); err != nil {
					t.Fatal(err)
				}
			}
			dial := func(ctx context.Context) (*client.Session, error) { return client.Dial(ctx, signIn(s, nil)) }
			down := filepath.Join(t.TempDir(), "down")
			peerQueue(t, dial, 1, queue.Item{Local: down, Remote: path.Join(s.Base, "tree")})
			if got := hashes(t, down); !maps.Equal(want, got) {
				t.Errorf("%v, want %v", got, want)
			}

			makeTree(t, filepath.Join(s.Root, "top"), "inner")
			for name, to := range map[string]string{"top/link": "../tree", "top/back": "."} {
				if err := os.Symlink(to, filepath.Join(s.Root, name)); err != nil {
					t.Fatal(err)
				}
			}
			letOthersWrite(t, filepath.Join(s.Root, "top"))
			session, err := dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			p, err := queue.PlanMirror(t.Context(), session, queue.Mirror{Direction: queue.Upload, Local: t.TempDir(), Remote: path.Join(s.Base, "top"), Delete: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := p.Run(t.Context(), queue.Options{Dial: dial, Parallel: 2}, nil)
			if left, _ := os.ReadDir(filepath.Join(s.Root, "top")); !r.OK() || len(left) != 0 {
				t.Errorf("%v, %v: %v", left, r.Err, r.Failures)
			}
			for name := range want {
				if _, err := os.Stat(filepath.Join(tree, name)); err != nil {
					t.Error("what a link led to is gone:", err)
				}
			}
		})
	}
}

// letOthersWrite gives a folder of the server's to the user that it runs as.
func letOthersWrite(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink == 0 {
			err = os.Chmod(name, 0o777)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
