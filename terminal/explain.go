package terminal

import (
	"context"

	"github.com/mitchellh/go-homedir"

	"portside/connlog"
)

// explain reads one or two saved logs, of the client, the server or both, and says what they prove.
func explain(_ context.Context, c Console, args []string) error {
	fs := flags("explain")
	html := fs.Bool("html", false, "")
	rest, err := parseSome(fs, args, 1, 2, "LOG, a log saved as JSON lines,")
	if err != nil {
		return err
	}
	log := connlog.NewLog(connlog.FileRecords)
	for _, name := range rest {
		name, err := homedir.Expand(name)
		if err != nil {
			return err
		}
		if err := log.ReadFile(name); err != nil {
			return err
		}
	}
	if *html {
		return log.WriteHTML(c.Out)
	}
	return log.WriteComparison(c.Out)
}
