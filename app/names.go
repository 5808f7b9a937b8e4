package app

import (
	"cmp"
	"slices"
	"strings"

	"portside/client"
)

// Names are the names of a folder's entries as a list needs them to compare and to sort by. They are made where the folder
// is read: with 100,000 entries that takes longer than a screen may stand still.
type Names struct {
	Fold  []string // in lower case, by the entry's number
	Order []int32  // the numbers of the entries in the order of their names: numbers in them by value, capitals counting last
}

// NamesOf returns the names of entries.
func NamesOf(entries []client.Entry) Names { return Names{}.with(entries) }

// with returns the names of entries, of which the first are those that n was made of, unless the listing was begun anew:
// a server that ends MLSD with a refusal is asked with LIST. n stays as it is.
func (n Names) with(entries []client.Entry) Names {
	if !n.begins(entries) {
		n = Names{}
	}
	known := len(n.Fold)
	fold := slices.Grow(slices.Clip(n.Fold), len(entries)-known)
	for _, e := range entries[known:] {
		fold = append(fold, strings.ToLower(e.Name))
	}
	byName := func(a, b int32) int {
		return cmp.Or(naturally(fold[a], fold[b]), strings.Compare(entries[a].Name, entries[b].Name), cmp.Compare(a, b))
	}
	fresh := make([]int32, 0, len(entries)-known)
	for i := known; i < len(entries); i++ {
		fresh = append(fresh, int32(i))
	}
	slices.SortFunc(fresh, byName)
	return Names{fold, merge(n.Order, fresh, byName)}
}

// naturally compares names as file managers do: a run of digits counts as the number that it is, so that 9 stands before 10.
func naturally(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	for i > 0 && digit(a[i-1]) {
		i--
	}
	j := i
	for i < len(a) && j < len(b) {
		if !digit(a[i]) || !digit(b[j]) {
			if a[i] != b[j] {
				return cmp.Compare(a[i], b[j])
			}
			i, j = i+1, j+1
			continue
		}
		m, n := number(a[i:]), number(b[j:])
		i, j = i+len(m), j+len(n)
		m, n = strings.TrimLeft(m, "0"), strings.TrimLeft(n, "0")
		if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(a)-i, len(b)-j), strings.Compare(a, b))
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// number is the run of digits that s begins with.
func number(s string) string {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return s[:n]
}

// begins says that n was made of the first of entries, by the ends of it: it is asked for every piece of a long listing.
func (n Names) begins(entries []client.Entry) bool {
	last := len(n.Fold) - 1
	return last < 0 || last < len(entries) &&
		n.Fold[0] == strings.ToLower(entries[0].Name) && n.Fold[last] == strings.ToLower(entries[last].Name)
}

// merge joins two sorted lists.
func merge(a, b []int32, compare func(a, b int32) int) []int32 {
	out := make([]int32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compare(b[0], a[0]) < 0 {
			out, b = append(out, b[0]), b[1:]
		} else {
			out, a = append(out, a[0]), a[1:]
		}
	}
	return append(append(out, a...), b...)
}
