package app

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"portside/assets"
	"portside/client"
	"portside/connlog"
	"portside/localserver"
)

// sampleServer is a local server on loopback over sample files in a folder of its own. Nothing of it is left when it
// is closed.
type sampleServer struct {
	dir    string
	server *localserver.Server
}

func startSamples(ctx context.Context, rec connlog.Recorder) (*sampleServer, error) {
	dir, err := os.MkdirTemp("", "portside-sample-")
	if err != nil {
		return nil, err
	}
	s := &sampleServer{dir: dir}
	samples, err := fs.Sub(assets.Samples, "samples")
	if err == nil {
		err = os.CopyFS(filepath.Join(dir, "shared"), samples)
	}
	if err == nil {
		s.server, err = localserver.New(localserver.Config{
			Listen:   "127.0.0.1:0",
			Root:     filepath.Join(dir, "shared"),
			Accounts: []localserver.Account{{Name: "anonymous", Rights: localserver.ReadOnly}},
			Passive:  localserver.PassiveConfig{UseRange: false},
			TLS:      localserver.TLSConfig{Mode: localserver.TLSOff},
			Recorder: rec,
		})
	}
	if err == nil {
		err = s.server.Start(ctx)
	}
	if err != nil {
		s.server = nil
		s.close(ctx)
		return nil, err
	}
	return s, nil
}

func (s *sampleServer) target() client.Target {
	at := s.server.Addr()
	return client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone}
}

func (s *sampleServer) close(ctx context.Context) {
	if s.server != nil {
		s.server.Stop(ctx)
	}
	os.RemoveAll(s.dir)
}

// sampleFile is the file that a trial moves.
const sampleFile = "read-me-first.txt"

// trial lists the sample folder and gets one file, over the session's present mode.
func trial(ctx context.Context, s *client.Session, into string) error {
	if _, err := s.List(ctx, "/"); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(into, sampleFile))
	if err != nil {
		return err
	}
	_, err = s.Get(ctx, "/"+sampleFile, 0, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Demo starts a local server on loopback over sample files, connects a client to it, lists a folder and gets a file
// in passive and then in active mode, and writes what both ends recorded to rec. It leaves nothing behind.
func Demo(ctx context.Context, rec connlog.Recorder) error {
	samples, err := startSamples(ctx, rec)
	if err != nil {
		return err
	}
	defer samples.close(context.WithoutCancel(ctx))
	for _, mode := range []client.Mode{client.ModePassive, client.ModeActive} {
		s, err := client.Dial(ctx, client.Options{Target: samples.target(), Mode: mode, Recorder: rec})
		if err != nil {
			return err
		}
		err = trial(ctx, s, samples.dir)
		if cerr := s.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TryIt shows the same in the window: it connects the current tab, or a new one when that is in use, to a local server
// over sample files and gets a file in passive and then in active mode. The server ends with the tab's next connect or
// disconnect, with the tab, or with the program.
func (a *App) TryIt() {
	a.run(func(ctx context.Context) {
		a.stopSamples(ctx, nil)
		samples, err := startSamples(ctx, a.Log)
		if err != nil {
			a.notify("The sample server could not be started: "+Sentence(err), true)
			return
		}
		if a.Remote().Phase != Disconnected {
			a.NewTab()
		}
		r := a.remote()
		a.mu.Lock()
		a.demo, a.demoTab = samples, r
		a.mu.Unlock()
		r.connect(samples.target(), client.ModePassive)
		r.with("Getting a file in passive and in active mode", func(ctx context.Context, s *client.Session) error {
			defer s.SetMode(client.ModeAuto)
			for _, mode := range []client.Mode{client.ModePassive, client.ModeActive} {
				s.SetMode(mode)
				if err := trial(ctx, s, samples.dir); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// stopSamples ends the sample server, if one runs for the tab; nil stands for any.
func (a *App) stopSamples(ctx context.Context, of *remote) {
	a.mu.Lock()
	samples := a.demo
	if of != nil && of != a.demoTab {
		samples = nil
	} else {
		a.demo, a.demoTab = nil, nil
	}
	a.mu.Unlock()
	if samples != nil {
		samples.close(ctx)
	}
}
