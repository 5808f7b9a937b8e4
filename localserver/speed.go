package localserver

import (
	"math"
	"sync"
	"time"
)

// speedSpan is how far a speed looks back. A throttled client takes its bytes in bursts, some of them a second apart,
// because the kernel tells of room in a send buffer only when a good part of it is empty.
const speedSpan = 2 * time.Second

// speed is the bytes per second of a transfer, lately: an average in which what is older than speedSpan counts little.
type speed struct {
	mu   sync.Mutex
	rate float64
	at   time.Time // of the last count; zero: there was none
}

// count says that n bytes moved in the time took, which ends now.
func (s *speed) count(n int64, took time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rate := float64(n) / took.Seconds()
	if s.at.IsZero() {
		s.rate = rate
	} else {
		s.rate += (rate - s.rate) * (1 - math.Exp(-took.Seconds()/speedSpan.Seconds()))
	}
	s.at = now
}

// read returns the speed. It falls while nobody counts: a writer whose client does not read counts nothing.
func (s *speed) read(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	quiet := max(0, now.Sub(s.at)-2*progressEvery)
	return int64(s.rate * math.Exp(-quiet.Seconds()/speedSpan.Seconds()))
}
