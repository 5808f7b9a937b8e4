package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
)

func TestASignInThatIsRefusedHalfWayLosesNothing(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	want := random(t, filepath.Join(root, "f"), 24<<20)
	server := start(t, root, nil)
	var dials atomic.Int32
	var allowed atomic.Bool
	rec := connlog.RecorderFunc(func(r connlog.Record) {
		if r.Event == connlog.DataProgress && strings.HasPrefix(r.Command, "RETR") && dials.Load() == 1 {
			for _, one := range server.Sessions() {
				go server.Kick(one.ID)
			}
		}
	})
	q := openQueue(t, transfer.QueueOptions{Dial: func(ctx context.Context, site transfer.Site) (*client.Session, error) {
		if dials.Add(1) > 1 && !allowed.Load() {
			return nil, &client.Error{Op: "sign in to", On: "it", Code: 530, Reply: "530 Not now."}
		}
		return dialURL(rec)(ctx, site)
	}})
	q.SetSpeed(24<<20, 0)
	add(t, q, transfer.Batch{Site: siteAt(server.Addr())}, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"})
	until(t, q, func(s transfer.QueueSnapshot) bool { return len(s.Sites) == 1 && s.Sites[0].Stopped })
	if s := q.Snapshot(); s.Left() != 1 || !strings.Contains(s.Sites[0].Note, "530 Not now") {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(filepath.Join(dir, "f")); err == nil {
		t.Error("a part has the file's name")
	}
	allowed.Store(true)
	if err := q.ResumeAll(); err != nil {
		t.Fatal(err)
	}
	drained(t, q)
	noFailures(t, q)
	if !bytes.Equal([]byte(content(t, filepath.Join(dir, "f"))), want) {
		t.Error("the file differs")
	}
}

func TestAFileThatChangesUnderWayIsNeverMixed(t *testing.T) {
	for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
		t.Run(d.String(), func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			from, to := root, dir
			if d == transfer.Upload {
				from, to = dir, root
			}
			random(t, filepath.Join(from, "f"), 3<<20)
			q := openQueue(t, transfer.QueueOptions{})
			q.SetSpeed(2<<20, 2<<20)
			add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil))}, transfer.Item{Direction: d, Local: filepath.Join(dir, "f"), Remote: "/f"})
			until(t, q, func(s transfer.QueueSnapshot) bool { return len(s.Current) == 1 && s.Current[0].Moved > 1<<20 })
			// In the same length, and in the same file.
			want := bytes.Repeat([]byte("new!"), 3<<18)
			f, err := os.OpenFile(filepath.Join(from, "f"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Write(want)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			drained(t, q)
			noFailures(t, q)
			if !bytes.Equal([]byte(content(t, filepath.Join(to, "f"))), want) {
				t.Error("the file is mixed")
			}
		})
	}
}

func TestAFullDiskIsNamedAndTheOthersGoOn(t *testing.T) {
	small := smallDisk(t)
	root := t.TempDir()
	random(t, filepath.Join(root, "large"), 4<<20)
	for i := range 20 {
		random(t, filepath.Join(root, fmt.Sprint("little", i)), 1000)
	}
	q := openQueue(t, transfer.QueueOptions{Limits: func(transfer.Site) transfer.Limits { return transfer.Limits{Connections: 1} }})
	q.SetSpeed(1<<40, 0) // so that the kernel does not copy, as under TLS
	add(t, q, transfer.Batch{Site: siteAt(serve(t, root, nil))}, transfer.Item{Local: filepath.Join(small, "got"), Remote: "/"})
	drained(t, q)
	failed := listed(t, q, transfer.Failed)
	named := false
	for _, f := range failed {
		named = named || f.Remote == "/large" && strings.Contains(f.Err, "no space left")
		if _, err := os.Stat(f.Local); err == nil {
			t.Errorf("%s has its name", f.Local)
		}
		if st, err := os.Stat(f.Local + ".part"); err == nil && st.Size() == 0 {
			t.Errorf("an empty part of %s is left", f.Local)
		}
	}
	if !named || len(failed)+len(listed(t, q, transfer.Done)) != 21 {
		t.Errorf("%+v", failed)
	}
}

func until(t *testing.T, q *transfer.Queue, f func(transfer.QueueSnapshot) bool) {
	t.Helper()
	waitFor(t, func() bool { return f(q.Snapshot()) }, func() string { return fmt.Sprintf("%+v", q.Snapshot()) })
}

func waitFor(t *testing.T, f func() bool, why func() string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it never came about: ", why())
		}
	}
}
