package terminal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mitchellh/go-homedir"

	"portside/client"
	"portside/client/transfer"
	"portside/connlog"
)

// mirror makes one folder like another one, by size and time.
func mirror(ctx context.Context, c Console, args []string) error {
	fs := flags(c)
	upload := fs.Bool("upload", false, "")
	download := fs.Bool("download", false, "")
	remove := fs.Bool("delete", false, "")
	dry := fs.Bool("dry-run", false, "")
	mode := fs.String("mode", "auto", "")
	parallel := fs.Int("parallel", 4, "")
	insecure := fs.Bool("insecure", false, "")
	kind := fs.String("log", "", "")
	rest, err := parse(fs, args, "URL", "DIR")
	if err != nil {
		return err
	}
	if *upload && *download {
		return misuse("it goes one way: --upload or --download")
	}
	if err := oneOf("mode", *mode, "auto", "passive", "active"); err != nil {
		return err
	}
	if *parallel < 1 || *parallel > 16 {
		return misuse("--parallel goes from 1 to 16, not %d", *parallel)
	}
	if strings.Contains(rest[1], "://") {
		return misuse("the URL comes first, whichever way it goes; --upload makes the server's folder like the local one")
	}
	rec, err := logTo(c, *kind)
	if err != nil {
		return err
	}
	local, err := homedir.Expand(rest[1])
	if err != nil {
		return err
	}
	t, err := target(c, rest[0])
	if err != nil {
		return err
	}
	options := client.Options{Target: t, Mode: client.Mode(*mode), Insecure: *insecure, Recorder: rec, Verify: verify(c)}
	dial := func(ctx context.Context) (*client.Session, error) { return client.Dial(ctx, options) }
	m := transfer.Mirror{Local: local, Remote: t.Path, Delete: *remove}
	if *upload {
		m.Direction = transfer.Upload
	}
	s, err := dial(ctx)
	if err != nil {
		return err
	}
	plan, err := transfer.PlanMirror(ctx, s, m, nil)
	_ = s.Close()
	if err != nil {
		return err
	}
	summary := fmt.Sprintf("%d to copy (%s), %d to delete, %d the same", plan.Copies(), connlog.Bytes(plan.Bytes), plan.Deletes(), plan.Same)
	if *dry {
		if *kind != "json" {
			for _, change := range plan.Changes {
				fmt.Fprintf(c.Out, "%-13s %s (%s)\n", change.Kind, connlog.Printable(change.Rel), change.Why)
			}
		}
		for _, f := range plan.Skipped {
			fmt.Fprintf(c.Err, "portside: %v\n", f)
		}
		fmt.Fprintf(c.Err, "%s. Nothing was changed.\n", summary)
		return nil
	}
	result := plan.Run(ctx, transfer.Options{Dial: dial, Parallel: *parallel}, func(job *transfer.Job) { watch(c, job, *kind) })
	if *kind != "json" {
		fmt.Fprintf(c.Err, "%s: %d copied in %s.\n", summary, result.Files, connlog.Took(result.Duration))
	}
	for _, f := range append(result.Skipped, result.Failures...) {
		fmt.Fprintf(c.Err, "portside: %v\n", f)
	}
	switch {
	case errors.Is(result.Err, context.Canceled):
		fmt.Fprintln(c.Err, "portside: cancelled; the same command goes on from here")
		return errReported
	case result.Err != nil && len(result.Failures) == 0:
		return result.Err
	case !result.OK():
		return errReported
	}
	return nil
}
