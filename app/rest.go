package app

import (
	"context"
	"runtime/debug"
	"time"
)

// restAfter is how long nothing must have happened before memory is given back.
const restAfter = 30 * time.Second

// GiveMemoryBack returns memory that is not used any more to the system whenever the application has come to rest, until it
// is closed. By itself Go keeps it for the next work, which for a window that is left open may come tomorrow.
func (a *App) GiveMemoryBack() {
	a.run(func(ctx context.Context) {
		tick := time.NewTicker(restAfter)
		defer tick.Stop()
		r := resting{last: a.Version()}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if r.due(a.Version()) {
					debug.FreeOSMemory()
				}
			}
		}
	})
}

// resting finds out when something has come to rest.
type resting struct {
	last uint64
	done bool
}

// due says, once for each rest, that the version is still the one of the look before.
func (r *resting) due(version uint64) bool {
	if version != r.last {
		r.last, r.done = version, false
		return false
	}
	due := !r.done
	r.done = true
	return due
}
