//go:build linux

package interop

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"portside/client"
	queue "portside/client/transfer"
	"portside/e2e/peers"
)

// stamped makes a folder with files of several ages: half a year apart, so that summer time lies between some of them, and
// so old that LIST gives the day alone.
func stamped(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	now := time.Now().UTC().Truncate(time.Second)
	for name, age := range map[string]time.Duration{"hour": time.Hour, "month": 30 * 24 * time.Hour, "half-year": 130 * 24 * time.Hour, "old": 500 * 24 * time.Hour} {
		times[name] = now.Add(-age)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	stamp(t, dir, times)
	return times
}

func stamp(t *testing.T, dir string, times map[string]time.Time) {
	t.Helper()
	for name, at := range times {
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func modTime(t *testing.T, name string) time.Time {
	t.Helper()
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return st.ModTime().Truncate(time.Second)
}

// A server's listings may be in its own zone, with or without summer time: files that are alike are never copied again.
func TestAMirrorCopiesNothingAgainWhateverTheServersZone(t *testing.T) {
	const india, berlin, newYork = "XST-5:30", "XST-1XDT,M3.5.0,M10.5.0/3", "XST5XDT,M3.2.0,M11.1.0"
	offset := 330 * time.Minute
	for name, c := range map[string]struct {
		peers.Config
		offset *time.Duration // set by the person
		told   bool           // the server tells when files were changed, so that those that came another way are known, too
	}{
		"vsftpd, UTC":                 {Config: peers.Config{Kind: peers.Vsftpd}, told: true},
		"vsftpd, India":               {Config: peers.Config{Kind: peers.Vsftpd, Zone: india}, told: true}, // by an upload
		"vsftpd, New York":            {Config: peers.Config{Kind: peers.Vsftpd, Zone: newYork}},           // that, too, but not summer time
		"vsftpd, India, which is set": {Config: peers.Config{Kind: peers.Vsftpd, Zone: india}, offset: &offset, told: true},
		"ProFTPD, India":              {Config: peers.Config{Kind: peers.ProFTPD, Zone: india}, told: true},
		"ProFTPD, LIST, India":        {Config: peers.Config{Kind: peers.ProFTPD, Zone: india, NoMLSD: true}, told: true},
		"ProFTPD, LIST, Berlin":       {Config: peers.Config{Kind: peers.ProFTPD, Zone: berlin, NoMLSD: true}, told: true},
		"ProFTPD, LIST, New York":     {Config: peers.Config{Kind: peers.ProFTPD, Zone: newYork, NoMLSD: true}, told: true},
		"Pure-FTPd, Berlin":           {Config: peers.Config{Kind: peers.PureFTPd, Zone: berlin}, told: true},
		"pyftpdlib, New York":         {Config: peers.Config{Kind: peers.Pyftpdlib, Zone: newYork}, told: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := peers.ForTest(t, c.Config)
			src, back := filepath.Join(t.TempDir(), "tree"), filepath.Join(t.TempDir(), "back")
			times := stamped(t, src)
			o := signIn(s, nil)
			o.TimeOffset, o.Clock = c.offset, &client.Clock{}
			dial := func(ctx context.Context) (*client.Session, error) { return client.Dial(ctx, o) }
			plan := func(m queue.Mirror) *queue.Plan {
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
				return p
			}
			nothing := func(when string, m queue.Mirror) {
				t.Helper()
				if p := plan(m); len(p.Changes) != 0 || p.Same != len(times) {
					t.Errorf("%s: %+v", when, p.Changes)
				}
			}
			up := queue.Mirror{Direction: queue.Upload, Local: src, Remote: path.Join(s.Base, "tree")}
			down := queue.Mirror{Local: back, Remote: up.Remote}
			for _, m := range []queue.Mirror{up, down} {
				p := plan(m)
				r := p.Run(t.Context(), queue.Options{Dial: dial, Parallel: 2}, nil)
				if !r.OK() || p.Copies() != len(times) {
					t.Fatal(p.Copies(), r.Err, r.Failures)
				}
				nothing("once more", m)
			}
			if !c.told {
				return
			}
			for name := range times {
				here, there := modTime(t, filepath.Join(back, name)), modTime(t, filepath.Join(s.Root, "tree", name))
				if late := there.Sub(here); late < 0 || late >= time.Minute {
					t.Errorf("%s came with the time %v, and the server's is of %v", name, here, there)
				}
			}
			// The same files, put there by something else.
			stamp(t, filepath.Join(s.Root, "tree"), times)
			nothing("uploaded by others", up)
			down.Local = src
			nothing("downloaded by others", down)
			// One of them changes to another of the same length.
			later := times["half-year"].Add(30 * time.Minute)
			stamp(t, filepath.Join(s.Root, "tree"), map[string]time.Time{"half-year": later})
			if p := plan(down); p.Copies() != 1 || p.Changes[0].Rel != "half-year" {
				t.Errorf("changed on the server: %+v", p.Changes)
			}
			stamp(t, src, map[string]time.Time{"half-year": later.Add(2 * time.Hour)})
			if p := plan(up); p.Copies() != 1 || p.Changes[0].Rel != "half-year" {
				t.Errorf("changed here: %+v", p.Changes)
			}
		})
	}
}
