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
	name, names := "get", []string{"URL", "DEST"}
	if direction == transfer.Upload {
		name, names = "put", []string{"SRC", "URL"}
	}
	fs := flags(name)
	resume := fs.Bool("resume", false, "")
	segments := 1
	if direction == transfer.Download {
		fs.IntVar(&segments, "segments", 1, "")
	}
	r := remoteFlags(c, fs)
	rest, err := parse(fs, args, names...)
	if err != nil {
		return err
	}
	if segments < 1 || segments > transfer.MaxSegments {
		return misuse("--segments goes from 1 to %d, not %d", transfer.MaxSegments, segments)
	}
	url, local := rest[0], rest[1]
	if direction == transfer.Upload {
		local, url = rest[0], rest[1]
	}
	if local, err = homedir.Expand(local); err != nil {
		return err
	}
	if direction == transfer.Upload {
		if _, err := os.Stat(local); err != nil {
			return err // before a password is asked for
		}
	}
	if err := r.aim(url); err != nil {
		return err
	}
	// The first session says what the remote path is; it then serves the transfer.
	first, err := r.dial(ctx)
	if err != nil {
		return err
	}
	dial, done := transfer.Beginning(first, r.dial)
	defer done()
	item, err := place(ctx, first, direction, local, r.options.Path)
	if err != nil {
		return err
	}
	policy := transfer.Overwrite // as cp does
	if *resume {
		policy = transfer.Resume
	}
	job := transfer.Start(ctx, transfer.Options{Dial: dial, Parallel: *r.parallel, Resume: *resume, Overwrite: policy,
		Segments: segments}, item)
	result := watch(c, job, *r.log)
	if r.forPeople() {
		fmt.Fprintf(c.Err, "%d of %d files, %s in %s.\n", result.Files, job.Snapshot().Files, connlog.Bytes(result.Bytes), connlog.Took(result.Duration))
	}
	return r.outcome(result, "--resume goes on from here")
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
	base := filepath.Base(filepath.Clean(local))
	if remote == "" || strings.HasSuffix(remote, "/") {
		item.Remote = path.Join(remote, base)
		return item, nil
	}
	err := s.CheckDir(ctx, remote)
	var no *client.Error
	switch {
	case err == nil:
		item.Remote = path.Join(remote, base)
		return item, nil
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
