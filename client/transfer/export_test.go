package transfer

import (
	"cmp"
	"os"
	"time"
)

// Hurry shortens a queue's patience for tests, but not the one that a busy computer needs.
func (o *QueueOptions) Hurry() {
	o.retry, o.idle = 20*time.Millisecond, cmp.Or(o.idle, 200*time.Millisecond)
	o.patience = cmp.Or(o.patience, time.Minute)
}

// Linger sets how long a session stays that has nothing to do.
func (o *QueueOptions) Linger(idle time.Duration) { o.idle = idle }

// Wait sets how long [Queue.Close] waits for a disk that hangs.
func (o *QueueOptions) Wait(patience time.Duration) { o.patience = patience }

// Suspect lets a download bring only so many bytes beyond the size that the server has named.
func (o *Options) Suspect(bytes int64) { o.surplus, o.look = bytes, 5*time.Millisecond }

// Fold lets a server have only so many folders.
func (o *Options) Fold(most int) { o.folders = most }

// Fold lets a server have only so many folders for one request.
func (o *QueueOptions) Fold(most int) { o.folders = most }

// Sync takes the place of writing a file out to the disk.
func (o *QueueOptions) Sync(f func(*os.File) error) { o.sync = f }

// Rest waits until nothing goes on by itself: idle sessions have ended, and batches that were taken out are gone.
func (q *Queue) Rest() { q.wg.Wait() }

// Ends says whether [Queue.Close] has begun.
func (q *Queue) Ends() bool { return q.ctx.Err() != nil }

// ParseExcluded reads the patterns of [Mirror.Exclude].
func ParseExcluded(patterns []string) (excluded, error) { return parseExcluded(patterns) }

// Has says whether a path is excluded.
func (x excluded) Has(rel string, folder bool) bool { return x.has(rel, folder) }
