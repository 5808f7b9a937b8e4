package app

import (
	"slices"
	"testing"

	"portside/client"
)

func TestNamesOfAListingThatComesInPiecesAreThoseOfTheWhole(t *testing.T) {
	var entries []client.Entry
	for _, name := range []string{"b", "A", "a", "Ärger", "10", "9", "a", "", "B.txt"} {
		entries = append(entries, client.Entry{Name: name})
	}
	whole := NamesOf(entries)
	var sorted []string
	for _, i := range whole.Order {
		sorted = append(sorted, entries[i].Name)
	}
	if want := []string{"", "10", "9", "A", "a", "a", "b", "B.txt", "Ärger"}; !slices.Equal(sorted, want) {
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
