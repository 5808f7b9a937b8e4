package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mitchellh/go-homedir"
	"golang.org/x/term"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
)

// passwordVariable is where a password can come from without standing in the list of processes.
const passwordVariable = "PORTSIDE_PASSWORD"

// target reads a URL; its password comes from the URL, the environment, or the person.
func target(c Console, url string) (client.Target, error) {
	t, err := client.ParseURL(url)
	if err != nil {
		return t, usageError{err}
	}
	return t, askPassword(c, &t)
}

// askPassword gets a password that is not in the URL from the environment, or from the person.
func askPassword(c Console, t *client.Target) error {
	if t.Password != "" {
		return nil
	}
	if t.User != "" && t.User != client.Anonymous {
		t.Password = c.Getenv(passwordVariable)
	}
	if t.Password != "" || t.User == "" || t.User == client.Anonymous {
		return nil
	}
	if !term.IsTerminal(int(c.In.Fd())) {
		return misuse("no password for %s: put it in the URL or in %s", t.User, passwordVariable)
	}
	fmt.Fprintf(c.Err, "Password of %s at %s: ", t.User, t.Host)
	b, err := term.ReadPassword(int(c.In.Fd()))
	fmt.Fprintln(c.Err)
	t.Password = string(b)
	return err
}

func get(ctx context.Context, c Console, args []string) error {
	return move(ctx, c, args, transfer.Download)
}

func put(ctx context.Context, c Console, args []string) error {
	return move(ctx, c, args, transfer.Upload)
}

func move(ctx context.Context, c Console, args []string, direction transfer.Direction) error {
	fs := flags(c)
	mode := fs.String("mode", "auto", "")
	parallel := fs.Int("parallel", 4, "")
	resume := fs.Bool("resume", false, "")
	segments := 1
	if direction == transfer.Download {
		fs.IntVar(&segments, "segments", 1, "")
	}
	insecure := fs.Bool("insecure", false, "")
	kind := fs.String("log", "", "")
	names := []string{"URL", "DEST"}
	if direction == transfer.Upload {
		names = []string{"SRC", "URL"}
	}
	rest, err := parse(fs, args, names...)
	if err != nil {
		return err
	}
	if err := oneOf("mode", *mode, "auto", "passive", "active"); err != nil {
		return err
	}
	if *parallel < 1 || *parallel > 16 {
		return misuse("--parallel goes from 1 to 16, not %d", *parallel)
	}
	if segments < 1 || segments > transfer.MaxSegments {
		return misuse("--segments goes from 1 to %d, not %d", transfer.MaxSegments, segments)
	}
	rec, err := logTo(c, *kind)
	if err != nil {
		return err
	}
	url, local := rest[0], rest[1]
	if direction == transfer.Upload {
		local, url = rest[0], rest[1]
	}
	if local, err = homedir.Expand(local); err != nil {
		return err
	}
	t, err := target(c, url)
	if err != nil {
		return err
	}
	options := client.Options{Target: t, Mode: client.Mode(*mode), Insecure: *insecure, Recorder: rec, Verify: verify(c)}
	begin := func(ctx context.Context) (*client.Session, error) { return client.Dial(ctx, options) }
	if options.Mode == client.ModeAuto {
		// What one session finds out, the others need not try again.
		var found atomic.Value
		options.Remember = func(m client.Mode) { found.Store(m) }
		begin = func(ctx context.Context) (*client.Session, error) {
			o := options
			o.First, _ = found.Load().(client.Mode)
			return client.Dial(ctx, o)
		}
	}

	// The first session says what the remote path is; it then serves the transfer.
	first, err := begin(ctx)
	if err != nil {
		return err
	}
	item, err := place(ctx, first, direction, local, t.Path)
	if err != nil {
		first.Close()
		return err
	}
	sessions := make(chan *client.Session, 1)
	sessions <- first
	dial := func(ctx context.Context) (*client.Session, error) {
		select {
		case s := <-sessions:
			return s, nil
		default:
			return begin(ctx)
		}
	}
	policy := transfer.Overwrite // as cp does
	if *resume {
		policy = transfer.Resume
	}
	job := transfer.Start(ctx, transfer.Options{Dial: dial, Parallel: *parallel, Resume: *resume, Overwrite: policy,
		Segments: segments}, item)
	result := watch(c, job, *kind)
	select {
	case s := <-sessions: // nobody needed it
		s.Close()
	default:
	}
	if *kind != "json" {
		fmt.Fprintf(c.Err, "%d of %d files, %s in %s.\n", result.Files, job.Snapshot().Files, connlog.Bytes(result.Bytes), connlog.Took(result.Duration))
	}
	for _, f := range append(result.Skipped, result.Failures...) {
		fmt.Fprintf(c.Err, "portside: %v\n", f)
	}
	if result.Fewer != nil && result.Err == nil {
		fmt.Fprintf(c.Err, "portside: fewer connections were used than asked for: %v\n", result.Fewer)
	}
	switch {
	case errors.Is(result.Err, context.Canceled):
		fmt.Fprintln(c.Err, "portside: cancelled; --resume goes on from here")
		return errReported
	case result.Err != nil && len(result.Failures) == 0:
		return result.Err
	case !result.OK():
		return errReported
	}
	return nil
}

// verify asks about a certificate that the system does not trust, as ssh does about a host key. Without a terminal
// nobody can be asked.
func verify(c Console) func(context.Context, client.CertificateProblem) error {
	return func(ctx context.Context, p client.CertificateProblem) error {
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
		if strings.EqualFold(strings.TrimSpace(answer), "yes") {
			return nil
		}
		return p.Err
	}
}

// readLine reads a line of what a person types; it ends with ctx, though the read itself can't be taken back.
func readLine(ctx context.Context, f *os.File) (string, error) {
	type line struct {
		text string
		err  error
	}
	got := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(f).ReadString('\n')
		got <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-got:
		return l.text, l.err
	}
}

// place says what goes where, as cp -r does: into a folder that is there under its own name, else under the new name.
func place(ctx context.Context, s *client.Session, d transfer.Direction, local, remote string) (transfer.Item, error) {
	item := transfer.Item{Direction: d, Local: local, Remote: remote}
	if d == transfer.Download {
		info, err := os.Stat(local)
		into := err == nil && info.IsDir() || strings.HasSuffix(local, string(filepath.Separator))
		if base := path.Base("/" + remote); into && base != "/" {
			item.Local = filepath.Join(local, base)
		}
		return item, nil
	}
	if _, err := os.Stat(local); err != nil {
		return item, err
	}
	base := filepath.Base(filepath.Clean(local))
	if remote == "" || strings.HasSuffix(remote, "/") {
		item.Remote = path.Join(remote, base)
		return item, nil
	}
	home, err := s.CurrentDir(ctx)
	if err != nil {
		return item, err
	}
	err = s.ChangeDir(ctx, remote)
	var no *client.Error
	switch {
	case err == nil:
		item.Remote = path.Join(remote, base)
		return item, s.ChangeDir(ctx, home)
	case errors.As(err, &no) && no.Code >= 500:
		return item, nil
	}
	return item, err
}

// watch shows the progress on a terminal until the job ends.
func watch(c Console, job *transfer.Job, kind string) transfer.Result {
	done := make(chan transfer.Result, 1)
	go func() { done <- job.Wait() }()
	show := kind == "" && isTerminal(c.Err)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case r := <-done:
			if show {
				fmt.Fprint(c.Err, "\r\x1b[K")
			}
			return r
		case <-tick.C:
			if show {
				s := job.Snapshot()
				fmt.Fprintf(c.Err, "\r\x1b[K%d of %d files, %s of %s, %s/s, %s left", s.Done, s.Files,
					connlog.Bytes(s.BytesDone), connlog.Bytes(s.Bytes), connlog.Bytes(int64(s.Speed)), s.Remaining.Round(time.Second))
			}
		}
	}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
