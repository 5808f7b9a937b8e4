package app

import (
	"context"
	"fmt"
	"os"

	"portside/connlog"
)

// CompareWith reads a log that was saved as JSON lines, at the other end of a session as a rule, and pairs its sessions
// with those of this program's log. It runs as a task and calls done from it.
func (a *App) CompareWith(name string, done func([]connlog.Pair, error)) {
	a.run(func(context.Context) {
		pairs, err := a.compareWith(name)
		done(pairs, err)
	})
}

func (a *App) compareWith(name string) ([]connlog.Pair, error) {
	full, err := expand(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(full)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	both := connlog.NewLog(0)
	n, err := both.ReadJSON(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", full, err)
	}
	if n == 0 {
		return nil, fmt.Errorf("%s holds no record of a connection log: save it as JSON lines at the other end", full)
	}
	for _, r := range a.Log.Records(0) {
		both.Record(r.Record)
	}
	pairs := both.Compare()
	together := pairs[:0]
	for _, p := range pairs {
		if p.Client != nil && p.Server != nil {
			together = append(together, p)
		}
	}
	if len(together) == 0 {
		return nil, fmt.Errorf("%s has no session in common with this log: the other end's log of the same session is needed", full)
	}
	return together, nil
}
