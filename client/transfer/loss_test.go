package transfer_test

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
)

// A server that keeps the old file until the new one is whole still has the old one when an upload breaks: nothing may be
// put behind that.
func TestAnUploadThatBreaksIsNotPutBehindTheOldFile(t *testing.T) {
	for name, run := range map[string]func(o transfer.Options, dir string) transfer.Result{
		"of a file": func(o transfer.Options, dir string) transfer.Result {
			return transfer.Start(context.Background(), o, transfer.Item{Direction: transfer.Upload, Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait()
		},
		"of a mirror": func(o transfer.Options, dir string) transfer.Result {
			return plan(t, o, transfer.Mirror{Direction: transfer.Upload, Local: dir, Remote: "/"}).Run(context.Background(), o, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			big := random(t, filepath.Join(dir, "f"), 8<<20)
			write(t, filepath.Join(root, "f"), string(bytes.Repeat([]byte("old"), 1000)))
			server := start(t, root, nil)
			at := server.Addr()
			var cut atomic.Int32
			var kicks sync.WaitGroup
			defer kicks.Wait()
			o := options(at, 1)
			o.Dial = func(ctx context.Context) (*client.Session, error) {
				return client.Dial(ctx, client.Options{Mode: client.ModePassive,
					Target: client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone},
					Recorder: connlog.RecorderFunc(func(r connlog.Record) {
						if r.Event == connlog.DataProgress && r.Command == "STOR /f" && cut.Add(1) == 1 {
							for _, one := range server.Sessions() {
								kicks.Go(func() { server.Kick(one.ID) })
							}
						}
					})})
			}
			o.Up = transfer.NewLimit(16 << 20)
			ok(t, run(o, dir))
			if cut.Load() < 1 {
				t.Error("nothing was cut")
			}
			if !bytes.Equal([]byte(content(t, filepath.Join(root, "f"))), big) {
				t.Error("old and new are mixed")
			}
		})
	}
}

// Resume takes up the local file under the name of a part. When the server then gives nothing, it is where it was.
func TestAFileThatCantBeGoneOnWithIsWhereItWas(t *testing.T) {
	h, dir := &hostile{listings: map[string]string{"": file("f")}, refusal: "550 Not yours"}, t.TempDir()
	write(t, filepath.Join(dir, "f"), "ev")
	o := options(h.serve(t), 1)
	o.Overwrite = transfer.Resume
	r := transfer.Start(context.Background(), o, transfer.Item{Local: filepath.Join(dir, "f"), Remote: "/f"}).Wait()
	if len(r.Failures) != 1 {
		t.Errorf("%v", r)
	}
	onlyFiles(t, dir, "f")
	if got := content(t, filepath.Join(dir, "f")); got != "ev" {
		t.Errorf("%q", got)
	}
}
