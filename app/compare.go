package app

import (
	"context"
	"fmt"
	"strings"

	"portside/connlog"
)

// CompareWith reads logs that were saved as JSON lines and pairs their sessions: those of both ends, or one of the other
// end, which is compared with this program's log. It runs as a task and calls done from it.
func (a *App) CompareWith(names []string, done func([]connlog.Pair, error)) {
	a.run(func(context.Context) {
		pairs, err := a.compareWith(names)
		done(pairs, err)
	})
}

func (a *App) compareWith(names []string) ([]connlog.Pair, error) {
	both := connlog.NewLog(connlog.FileRecords)
	for _, name := range names {
		full, err := expand(name)
		if err != nil {
			return nil, err
		}
		if err := both.ReadFile(full); err != nil {
			return nil, err
		}
	}
	if len(names) == 1 {
		for _, r := range a.Log.Records(0) {
			both.Record(r.Record)
		}
	}
	pairs := both.Compare()
	together := pairs[:0]
	for _, p := range pairs {
		if p.Client != nil && p.Server != nil {
			together = append(together, p)
		}
	}
	switch {
	case len(together) > 0:
		return together, nil
	case len(names) == 1:
		return nil, fmt.Errorf("%s has no session in common with this log: the other end's log of the same session is needed", names[0])
	}
	return nil, fmt.Errorf("%s have no session in common: the logs of both ends of the same session are needed", strings.Join(names, " and "))
}
