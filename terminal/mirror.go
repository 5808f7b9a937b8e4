package terminal

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/mitchellh/go-homedir"

	"portside/client/transfer"
	"portside/connlog"
)

// mirror makes one folder like another one, by size and time.
func mirror(ctx context.Context, c Console, args []string) error {
	fs := flags("mirror")
	upload := fs.Bool("upload", false, "")
	download := fs.Bool("download", false, "")
	remove := fs.Bool("delete", false, "")
	dry := fs.Bool("dry-run", false, "")
	resume := fs.Bool("resume", false, "")
	var exclude []string
	fs.Func("exclude", "", func(pattern string) error { exclude = append(exclude, pattern); return nil })
	r := remoteFlags(c, fs)
	rest, err := parse(fs, args, "URL", "DIR")
	switch {
	case err != nil:
		return err
	case *upload && *download:
		return misuse("it goes one way: --upload or --download")
	case *upload && *resume:
		return misuse("--resume is for downloads: whether a part on the server is of the same file can't be told")
	case strings.Contains(rest[1], "://"):
		return misuse("the URL comes first, whichever way it goes; --upload makes the server's folder like the local one")
	}
	local, err := homedir.Expand(rest[1])
	if err != nil {
		return err
	}
	if err := r.aim(rest[0]); err != nil {
		return err
	}
	m := transfer.Mirror{Local: local, Remote: r.options.Path, Delete: *remove, Exclude: exclude}
	if *upload {
		m.Direction = transfer.Upload
	}
	if err := m.Check(); err != nil {
		return usageError{err}
	}
	s, err := r.dial(ctx)
	if err != nil {
		return err
	}
	dial, done := transfer.Beginning(s, r.dial)
	defer done()
	show := *r.log == "" && isTerminal(c.Err)
	plan, err := transfer.PlanMirror(ctx, s, m, func(folders int) {
		if show {
			fmt.Fprintf(c.Err, "\r\x1b[K%d folders compared", folders)
		}
	})
	if show {
		fmt.Fprint(c.Err, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if *dry {
		r.list(plan)
		return nil
	}
	result := plan.Run(ctx, transfer.Options{Dial: dial, Parallel: *r.parallel, Resume: *resume}, func(job *transfer.Job) { watch(c, job, *r.log) })
	if r.forPeople() {
		fmt.Fprintf(c.Err, "%d copied (%s), %d deleted, %d the same%s, in %s.\n",
			result.Files, connlog.Bytes(result.Bytes), result.Deleted, plan.Same, left(plan), connlog.Took(result.Duration))
	}
	return r.outcome(result, "the same command goes on from here")
}

// list says what a plan would do.
func (r *remote) list(plan *transfer.Plan) {
	if r.forPeople() {
		for _, change := range plan.Changes {
			fmt.Fprintf(r.c.Out, "%-13s %s (%s)\n", change.Kind, connlog.Printable(cmp.Or(change.Rel, ".")), change.Why)
		}
	}
	r.tell(plan.Skipped)
	fmt.Fprintf(r.c.Err, "%d to copy (%s), %d to delete, %d the same%s. Nothing was changed.\n", plan.Copies(), connlog.Bytes(plan.Bytes), plan.Deletes(), plan.Same, left(plan))
}

// left says how much is excluded, when something is.
func left(p *transfer.Plan) string {
	if p.Excluded == 0 {
		return ""
	}
	return fmt.Sprintf(", %d excluded", p.Excluded)
}
