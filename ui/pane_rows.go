package ui

import (
	"cmp"
	"slices"
	"strings"

	"portside/app"
	"portside/client"
)

// order is what a pane is sorted by.
type order string

const (
	byName   order = "name"
	bySize   order = "size"
	byTime   order = "time"
	byRights order = "rights"
	byOwner  order = "owner"
)

// listing is what a pane shows of a folder: its entries in an order, without those that are filtered out. It is made for
// folders of 100,000 entries: the entries are never moved or copied, only their numbers are.
type listing struct {
	entries []client.Entry // the application's, not to be changed
	fold    []string       // their names for comparing
	rank    []int32        // their places by name, made when another column is sorted by
	parent  bool           // the first row is the folder above
	view    []int32        // the numbers of the entries shown, in order

	by         order
	desc       bool
	filter     string
	hideHidden bool

	marks    []mark // of a comparison with the other side, by entry; nil: none
	onlyDiff bool   // leave out what is equal on both sides

	sum summary
}

// summary is what a listing holds.
type summary struct {
	folders, files int // shown
	bytes          int64
	filtered       int // left out by the filter or the comparison
	hidden         int // left out because their names begin with a dot
}

// Len is how many rows there are, the folder above included.
func (l *listing) Len() int {
	if l.parent {
		return len(l.view) + 1
	}
	return len(l.view)
}

// isParent says that the row is the folder above.
func (l *listing) isParent(row int) bool { return l.parent && row == 0 }

// index is the number of a row's entry, -1 for the folder above.
func (l *listing) index(row int) int {
	if l.parent {
		row--
	}
	if row < 0 {
		return -1
	}
	return int(l.view[row])
}

var above = client.Entry{Name: "..", Type: client.Folder}

// at is the entry of a row.
func (l *listing) at(row int) *client.Entry {
	if i := l.index(row); i >= 0 {
		return &l.entries[i]
	}
	return &above
}

// folded is a row's name in lower case.
func (l *listing) folded(row int) string {
	if i := l.index(row); i >= 0 {
		return l.fold[i]
	}
	return ".."
}

// find is the row of the entry with a name, or -1.
func (l *listing) find(name string) int {
	for row := range l.Len() {
		if !l.isParent(row) && l.at(row).Name == name {
			return row
		}
	}
	return -1
}

// set takes a listing. more says that it is the one from before with further entries at its end: then only those are
// sorted.
func (l *listing) set(entries []client.Entry, parent, more bool) {
	n := len(l.entries)
	more = more && n > 0 && len(entries) >= n && l.marks == nil &&
		entries[0].Name == l.entries[0].Name && entries[n-1].Name == l.entries[n-1].Name
	l.entries, l.parent, l.rank = entries, parent, nil
	if !more {
		n = 0
		l.fold = make([]string, 0, len(entries))
		l.marks = nil
	}
	for i := n; i < len(entries); i++ {
		l.fold = append(l.fold, strings.ToLower(entries[i].Name))
	}
	if !more {
		l.arrange()
		return
	}
	fresh := l.shown(n)
	l.sort(fresh)
	l.view = merge(l.view, fresh, l.compare())
}

// arrange filters and sorts anew.
func (l *listing) arrange() {
	l.sum = summary{}
	l.view = l.shown(0)
	l.sort(l.view)
}

// shown returns the numbers of the entries from number n on that are to be seen, and counts them.
func (l *listing) shown(n int) []int32 {
	var match func(string) bool
	if strings.TrimSpace(l.filter) != "" {
		match = app.NameMatcher(l.filter)
	}
	view := make([]int32, 0, len(l.entries)-n)
	for i := n; i < len(l.entries); i++ {
		e := &l.entries[i]
		switch {
		case l.hideHidden && strings.HasPrefix(e.Name, "."):
			l.sum.hidden++
			continue
		case match != nil && !match(l.fold[i]), l.onlyDiff && l.marks != nil && l.marks[i] == same:
			l.sum.filtered++
			continue
		}
		if e.Type == client.Folder {
			l.sum.folders++
		} else {
			l.sum.files++
			l.sum.bytes += e.Size
		}
		view = append(view, int32(i))
	}
	return view
}

// compare returns the order of two entries by number: folders before files, then the chosen column, then the name.
func (l *listing) compare() func(a, b int32) int {
	e := l.entries
	var column func(a, b int32) int
	switch l.by {
	case bySize:
		column = func(a, b int32) int { return cmp.Compare(e[a].Size, e[b].Size) }
	case byTime:
		column = func(a, b int32) int { return e[a].Time.Compare(e[b].Time) }
	case byRights:
		column = func(a, b int32) int { return strings.Compare(e[a].Rights, e[b].Rights) }
	case byOwner:
		column = func(a, b int32) int { return strings.Compare(e[a].Owner, e[b].Owner) }
	}
	return func(a, b int32) int {
		if af, bf := e[a].Type == client.Folder, e[b].Type == client.Folder; af != bf {
			return first(af)
		}
		c := 0
		if column != nil {
			c = column(a, b)
		}
		switch {
		case c != 0:
		case l.rank != nil:
			c = cmp.Compare(l.rank[a], l.rank[b])
		default:
			c = l.byName(a, b)
		}
		if l.desc {
			return -c
		}
		return c
	}
}

func (l *listing) byName(a, b int32) int {
	if c := strings.Compare(l.fold[a], l.fold[b]); c != 0 {
		return c
	}
	if c := strings.Compare(l.entries[a].Name, l.entries[b].Name); c != 0 {
		return c
	}
	return cmp.Compare(a, b)
}

func (l *listing) sort(view []int32) {
	if l.by != byName {
		l.makeRank()
		slices.SortFunc(view, l.compare())
		return
	}
	// By name, the names alone are looked at: the rest of an entry lies far away in memory.
	folders := make([]int32, 0, l.sum.folders)
	files := view[:0]
	for _, i := range view {
		if l.entries[i].Type == client.Folder {
			folders = append(folders, i)
		} else {
			files = append(files, i)
		}
	}
	n := len(folders)
	copy(view[n:], files)
	copy(view, folders)
	turn := l.byName
	if l.desc {
		turn = func(a, b int32) int { return l.byName(b, a) }
	}
	slices.SortFunc(view[:n], turn)
	slices.SortFunc(view[n:], turn)
}

// makeRank sorts all entries by name once, so that what is equal in another column costs no look at the names.
func (l *listing) makeRank() {
	if l.rank != nil {
		return
	}
	all := make([]int32, len(l.entries))
	for i := range all {
		all[i] = int32(i)
	}
	slices.SortFunc(all, l.byName)
	l.rank = make([]int32, len(all))
	for place, i := range all {
		l.rank[i] = int32(place)
	}
}

// merge joins two sorted views.
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

func first(yes bool) int {
	if yes {
		return -1
	}
	return 1
}
