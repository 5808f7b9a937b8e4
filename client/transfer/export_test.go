package transfer

import "time"

// Hurry shortens a queue's patience for tests.
func (o *QueueOptions) Hurry() { o.retry, o.idle = 20*time.Millisecond, 200*time.Millisecond }

// Suspect lets a download bring only so many bytes beyond the size that the server has named.
func (o *Options) Suspect(bytes int64) { o.surplus, o.look = bytes, 5*time.Millisecond }

// Rest waits until nothing goes on by itself: idle sessions have ended, and batches that were taken out are gone.
func (q *Queue) Rest() { q.wg.Wait() }

// ParseExcluded reads the patterns of [Mirror.Exclude].
func ParseExcluded(patterns []string) (excluded, error) { return parseExcluded(patterns) }

// Has says whether a path is excluded.
func (x excluded) Has(rel string, folder bool) bool { return x.has(rel, folder) }
