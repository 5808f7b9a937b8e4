package transfer

import "testing"

// Of two files for one place that are in hand at once, one goes on: they must not refuse each other.
func TestOfTwoFilesForOnePlaceOneGoesOn(t *testing.T) {
	for _, d := range []Direction{Download, Upload} {
		q := &Queue{}
		l := &lane{q: q, id: 1}
		other := &lane{q: q, id: 2, workers: map[*laneWorker]bool{}}
		hand := func(l *lane, id uint64) *laneWorker {
			w := &laneWorker{q: q, l: l, task: &task{Item: Item{d, "/here/f", "/there/f"}, known: true, id: id}}
			w.shown = w.task.item(l.site)
			return w
		}
		a, b, c := hand(l, 1), hand(l, 2), hand(other, 3)
		l.workers = map[*laneWorker]bool{a: true, b: true}
		other.workers[c] = true
		q.lanes = map[uint32]*lane{1: l, 2: other}
		place := a.task.destination()
		if err := a.claim(a.task, place); err != nil {
			t.Errorf("%v: the first: %v", d, err)
		}
		if err := b.claim(b.task, place); err == nil {
			t.Errorf("%v: the second goes there, too", d)
		}
		if err := c.claim(c.task, place); (err == nil) != (d == Upload) {
			t.Errorf("%v: that of another site: %v", d, err)
		}
		a.task = nil
		if err := b.claim(b.task, place); err != nil {
			t.Errorf("%v: after the first: %v", d, err)
		}
	}
}
