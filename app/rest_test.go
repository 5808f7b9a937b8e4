package app

import "testing"

func TestMemoryIsGivenBackOnceForEachRest(t *testing.T) {
	r := resting{last: 7}
	for i, c := range []struct {
		version uint64
		due     bool
	}{{7, true}, {7, false}, {8, false}, {9, false}, {9, true}, {9, false}, {10, false}, {10, true}} {
		if got := r.due(c.version); got != c.due {
			t.Errorf("look %d at version %d: %t", i, c.version, got)
		}
	}
}
