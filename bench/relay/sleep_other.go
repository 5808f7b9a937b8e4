//go:build !linux

package relay

import (
	"context"
	"time"
)

// sleep waits until a time, and says whether ctx still stands.
func sleep(ctx context.Context, until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		return ctx.Err() == nil
	}
	return coarseSleep(ctx, d)
}
