package relay

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sleep waits until a time, and says whether ctx still stands. The runtime's own timers are a millisecond coarse, and a
// file takes several of them: the way would be longer than it says.
func sleep(ctx context.Context, until time.Time) bool {
	d := time.Until(until)
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err() == nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return coarseSleep(ctx, d)
	}
	f := os.NewFile(uintptr(fd), "timer")
	defer f.Close()
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil); err != nil {
		return coarseSleep(ctx, d)
	}
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	var fired [8]byte
	_, _ = f.Read(fired[:])
	return ctx.Err() == nil
}
