package terminal

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
	"portside/wire"
)

// remote is the server that get, put and mirror work with, and the options that they share.
type remote struct {
	c        Console
	mode     *string
	parallel *int
	insecure *bool
	log      *string

	options client.Options
	found   atomic.Value // the mode that one session has found out, so that the others need not try
	clear   atomic.Bool  // one session has found out that the server has no TLS
	again   atomic.Bool  // one session has signed in
}

func remoteFlags(c Console, fs *flag.FlagSet) *remote {
	return &remote{c: c, mode: fs.String("mode", "auto", ""), parallel: fs.Int("parallel", 4, ""),
		insecure: fs.Bool("insecure", false, ""), log: fs.String("log", "", "")}
}

// aim checks the options and reads the URL, whose password may be asked for.
func (r *remote) aim(url string) error {
	if err := oneOf("mode", *r.mode, "auto", "passive", "active"); err != nil {
		return err
	}
	if *r.parallel < 1 || *r.parallel > 16 {
		return misuse("--parallel goes from 1 to 16, not %d", *r.parallel)
	}
	rec, err := logTo(r.c, *r.log)
	if err != nil {
		return err
	}
	t, err := target(r.c, url)
	if err != nil {
		return err
	}
	r.options = client.Options{Target: t, Mode: client.Mode(*r.mode), Clock: &client.Clock{}, Insecure: *r.insecure, Recorder: rec, Verify: verify(r.c), MovesFirst: true}
	if r.options.Mode == client.ModeAuto {
		r.options.Remember = func(m client.Mode) { r.found.Store(m) }
	}
	return nil
}

func (r *remote) dial(ctx context.Context) (*client.Session, error) {
	o := r.options
	o.First, _ = r.found.Load().(client.Mode)
	if r.clear.Load() {
		o.TLS = client.TLSNone // a session before this one has asked
	}
	o.Again = r.again.Load()
	s, err := client.Dial(ctx, o)
	if err == nil {
		r.again.Store(true)
	}
	if err == nil && o.TLS == client.TLSAuto && s.TLSState() == nil {
		r.clear.Store(true)
	}
	return s, err
}

// forPeople says that standard output is not for programs.
func (r *remote) forPeople() bool { return *r.log != "json" }

// outcome names what did not get across, and makes an error of it. goesOn is what to do after a cancelled transfer.
func (r *remote) outcome(result transfer.Result, goesOn string) error {
	r.tell(result.Skipped)
	r.tell(result.Failures)
	if result.Fewer != nil && result.Err == nil {
		fmt.Fprintf(r.c.Err, "portside: fewer connections were used than asked for: %s\n", harmless(result.Fewer))
	}
	switch {
	case errors.Is(result.Err, context.Canceled):
		fmt.Fprintf(r.c.Err, "portside: cancelled; %s\n", goesOn)
		return errReported
	case result.Err != nil && len(result.Failures) == 0:
		return result.Err
	case !result.OK():
		return errReported
	}
	return nil
}

// verify asks about a certificate that the system does not trust, as ssh does about a host key, once for all sessions.
// Without a terminal nobody can be asked.
func verify(c Console) func(context.Context, client.CertificateProblem) error {
	var asking sync.Mutex
	var trusted []string
	return func(ctx context.Context, p client.CertificateProblem) error {
		asking.Lock()
		defer asking.Unlock()
		if slices.Contains(trusted, p.SHA256) {
			return nil
		}
		if !isTerminal(c.In) {
			return fmt.Errorf("%w; its SHA-256 fingerprint is %s; --insecure accepts it", p.Err, p.SHA256)
		}
		subject := ""
		if len(p.Chain) > 0 {
			subject = p.Chain[0].Subject.String()
		}
		fmt.Fprintf(c.Err, "The certificate of %s is not trusted: %v.\nIssued to %s\nSHA-256   %s\nTrust it this time? (yes/no) ",
			p.Host, p.Err, connlog.Printable(subject), p.SHA256)
		answer, err := readLine(ctx, c.In)
		if err != nil {
			return err
		}
		if !strings.EqualFold(strings.TrimSpace(answer), "yes") {
			return p.Err
		}
		trusted = append(trusted, p.SHA256)
		return nil
	}
}

// tell names what did not get across, one line each, whatever a file is called.
func (r *remote) tell(failures []transfer.Failure) {
	for _, f := range failures {
		fmt.Fprintf(r.c.Err, "portside: %s\n", wire.Escape(f.Error()))
	}
}
