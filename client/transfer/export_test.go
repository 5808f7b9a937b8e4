package transfer

import "time"

// Hurry shortens a queue's patience for tests.
func (o *QueueOptions) Hurry() { o.retry, o.idle = 20*time.Millisecond, 200*time.Millisecond }
