package app

import (
	"fmt"
	"slices"
	"testing"

	"portside/client"
)

func TestNamesOfAListingThatComesInPiecesAreThoseOfTheWhole(t *testing.T) {
	var entries []client.Entry
	for _, name := range []string{"b", "A", "a", "Ärger", "10", "9", "a", "", "B.txt", "v1.10b", "v1.9z", "v1.09z", "v1", "v1.9"} {
		entries = append(entries, client.Entry{Name: name})
	}
	whole := NamesOf(entries)
	var sorted []string
	for _, i := range whole.Order {
		sorted = append(sorted, entries[i].Name)
	}
	if want := []string{"", "9", "10", "A", "a", "a", "b", "B.txt", "v1", "v1.9", "v1.09z", "v1.9z", "v1.10b", "Ärger"}; !slices.Equal(sorted, want) {
		t.Errorf("%q", sorted)
	}
	for cut := range len(entries) + 1 {
		first := Names{}.with(entries[:cut])
		before := slices.Clone(first.Order)
		got := first.with(entries)
		if !slices.Equal(got.Order, whole.Order) || !slices.Equal(got.Fold, whole.Fold) {
			t.Errorf("cut at %d: %v, not %v", cut, got, whole)
		}
		if !slices.Equal(first.Order, before) {
			t.Errorf("cut at %d: the first piece was changed", cut)
		}
	}
}

// A server may end MLSD with a refusal after a part of the listing, and is asked with LIST then.
func TestNamesOfAListingThatWasBegunAnewAreThoseOfTheNewOne(t *testing.T) {
	named := func(names ...string) (out []client.Entry) {
		for _, n := range names {
			out = append(out, client.Entry{Name: n})
		}
		return out
	}
	first := NamesOf(named("a", "b", "c", "d"))
	for _, again := range [][]client.Entry{nil, named("x"), named("b", "a"), named("a", "x", "c", "e"), named("B", "c", "d", "e", "f")} {
		got, want := first.with(again), NamesOf(again)
		if !slices.Equal(got.Order, want.Order) || !slices.Equal(got.Fold, want.Fold) {
			t.Errorf("%v: %v, not %v", again, got, want)
		}
	}
}

// A sort needs an order in which nothing stands before itself, whatever the names.
func FuzzNamesHaveAnOrder(f *testing.F) {
	f.Add("a1", "a01", "a1b")
	f.Add("9", "10", "1:")
	f.Add("x00", "x0", "x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, bc, ac := naturally(a, b), naturally(b, c), naturally(a, c)
		if ab != -naturally(b, a) || (ab == 0) != (a == b) {
			t.Errorf("%q, %q: %d", a, b, ab)
		}
		if ab < 0 && bc < 0 && ac >= 0 || ab > 0 && bc > 0 && ac <= 0 {
			t.Errorf("%q, %q, %q: %d, %d, %d", a, b, c, ab, bc, ac)
		}
	})
}

func BenchmarkNames(b *testing.B) {
	entries := make([]client.Entry, 100_000)
	for i := range entries {
		entries[i].Name = fmt.Sprintf("holiday picture %d.jpeg", i*7919%100_000)
	}
	for b.Loop() {
		NamesOf(entries)
	}
}
