package app

import "time"

// pace says when a listing that comes in is worth showing again: soon at first, then the less often the more there is,
// because every look costs a sort.
type pace struct {
	last  time.Time
	shown int // entries at the last look
}

const (
	firstLook = 120 * time.Millisecond
	lateLook  = time.Second
)

func newPace() *pace { return &pace{last: time.Now()} }

// due says whether n entries are to be shown now, and counts it as done.
func (p *pace) due(n int) bool {
	since := time.Since(p.last)
	if since < firstLook || n < p.shown*3/2 && since < lateLook {
		return false
	}
	p.last, p.shown = time.Now(), n
	return true
}
