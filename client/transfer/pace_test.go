package transfer

import (
	"testing"
	"time"
)

func TestPaceIsThatOfTheLastSecondsAndOfOneItem(t *testing.T) {
	var p pace
	now := time.Unix(1_000, 0)
	step := func(id uint64, d time.Duration, moved int64) float64 {
		now = now.Add(d)
		return p.speed(id, now, moved)
	}
	if got := step(1, 0, 5_000); got != 0 {
		t.Errorf("a first look tells %v", got)
	}
	if got := step(1, time.Second, 7_000); got != 2_000 { // 5,000 were there before
		t.Errorf("after a second: %v", got)
	}
	for range 10 {
		step(1, time.Second, 7_000)
	}
	if got := step(1, time.Second, 7_000); got != 0 {
		t.Errorf("what stands still has %v", got)
	}
	step(2, time.Second, 0)
	if got := step(2, time.Second, 300); got != 300 {
		t.Errorf("the next item has %v", got)
	}
	if got := step(2, time.Second, 0); got != 0 { // begun anew
		t.Errorf("an item that began anew has %v", got)
	}
}
