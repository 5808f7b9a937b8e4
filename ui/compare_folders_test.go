package ui

import (
	"testing"
	"time"

	"portside/client"
)

// LIST leaves out seconds, and of old files the time of the day: what lies within that is no difference.
func TestTimesAreComparedAsPreciselyAsTheListingIs(t *testing.T) {
	listed := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		here    time.Duration // after the time that is listed
		precise time.Duration
		want    mark
	}{
		{0, 0, same},
		{2 * time.Second, 0, same},
		{3 * time.Second, 0, newer},
		{-3 * time.Second, 0, older},
		{59 * time.Second, time.Minute, same},
		{2 * time.Minute, time.Minute, newer},
		{-3 * time.Second, time.Minute, older},
		{23 * time.Hour, 24 * time.Hour, same},
		{25 * time.Hour, 24 * time.Hour, newer},
	} {
		here := client.Entry{Time: listed.Add(c.here)}
		there := client.Entry{Time: listed, Precision: c.precise}
		other := map[mark]mark{same: same, newer: older, older: newer}[c.want]
		if a, b := compareEntries(&here, &there, compareTime); a != c.want || b != other {
			t.Errorf("%+v: %v %v", c, a, b)
		}
		if b, a := compareEntries(&there, &here, compareTime); a != c.want || b != other {
			t.Errorf("turned round, %+v: %v %v", c, a, b)
		}
	}
}
