package localserver

import (
	"testing"
	"time"
)

func TestSpeedOfAThrottledClientIsSteadyAndFallsWhenNothingMoves(t *testing.T) {
	var s speed
	now := time.Now()
	if got := s.read(now); got != 0 {
		t.Fatalf("before the first byte: %d", got)
	}
	// 100 kB/s, in bursts of 100 kB a second apart, looked at four times a second.
	for i := range 40 {
		now = now.Add(250 * time.Millisecond)
		n := int64(0)
		if i%4 == 0 {
			n = 100_000
		}
		s.count(n, 250*time.Millisecond, now)
		if got := s.read(now); got < 50_000 || i > 20 && got > 150_000 {
			t.Fatalf("after %d looks: %d bytes/s", i, got)
		}
	}
	if got := s.read(now.Add(400 * time.Millisecond)); got < 50_000 {
		t.Errorf("between two counts: %d", got)
	}
	if got := s.read(now.Add(20 * time.Second)); got > 100 {
		t.Errorf("20 s without a byte: %d", got)
	}
}
