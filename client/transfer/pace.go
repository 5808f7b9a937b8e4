package transfer

import (
	"math"
	"time"
)

// speedWindow is how far back a speed looks.
const speedWindow = 5 * time.Second

// pace measures the speed of one thing that moves, from one look to the next.
type pace struct {
	id      uint64 // of the thing
	samples []paceSample
}

type paceSample struct {
	at    time.Time
	moved int64
}

// speed takes note of how much of it is across by now, and returns its speed in bytes a second.
func (p *pace) speed(id uint64, now time.Time, moved int64) float64 {
	if n := len(p.samples); p.id != id || n > 0 && moved < p.samples[n-1].moved { // another one, or begun anew
		p.id, p.samples = id, nil
	}
	if n := len(p.samples); n == 0 || now.Sub(p.samples[n-1].at) >= 100*time.Millisecond {
		p.samples = append(p.samples, paceSample{now, moved})
	}
	for len(p.samples) > 2 && now.Sub(p.samples[0].at) > speedWindow {
		p.samples = p.samples[1:]
	}
	span := now.Sub(p.samples[0].at).Seconds()
	if span <= 0.2 {
		return 0
	}
	return float64(moved-p.samples[0].moved) / span
}

// meter measures the speed of a queue, each way.
type meter struct {
	base [2]int64 // of transfers that ended, by [Direction]
	high [2]int64 // a transfer that begins anew takes nothing back
	pace [2]pace
}

// speed takes note of how much has moved by now, and returns bytes a second.
func (m *meter) speed(now time.Time, bytes [2]int64) (down, up float64) {
	var speed [2]float64
	for d := range bytes {
		m.high[d] = max(m.high[d], bytes[d])
		speed[d] = m.pace[d].speed(0, now, m.high[d])
	}
	return speed[Download], speed[Upload]
}

// remaining is how long so many bytes take; 0: for ever, as far as anybody knows.
func remaining(bytes int64, speed float64) time.Duration {
	seconds := float64(bytes) / speed
	if seconds >= time.Duration(math.MaxInt64).Seconds() {
		return 0
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}
