package ui

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"portside/app"
	"portside/client"
	"portside/wire"
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
	order   []int32        // their numbers by name
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

// set takes a listing.
func (l *listing) set(f app.Folder, parent bool) {
	if len(f.Names.Order) != len(f.Entries) {
		f.Names = app.NamesOf(f.Entries)
	}
	l.entries, l.fold, l.order, l.parent = f.Entries, f.Names.Fold, f.Names.Order, parent
	l.rank, l.marks = nil, nil
	l.arrange()
}

// arrange filters and sorts anew.
func (l *listing) arrange() {
	l.sum = summary{}
	folders, files := l.shown()
	if l.by != byName {
		l.makeRank()
		l.sort(folders)
		l.sort(files)
	}
	if l.desc {
		slices.Reverse(folders)
		slices.Reverse(files)
	}
	l.view = append(folders, files...)
}

// shown returns the numbers of the entries that are to be seen, in the order of their names, and counts them.
func (l *listing) shown() (folders, files []int32) {
	var match func(string) bool
	if strings.TrimSpace(l.filter) != "" {
		match = app.NameMatcher(l.filter)
	}
	folders, files = make([]int32, 0, len(l.entries)), make([]int32, 0, len(l.entries))
	for _, i := range l.order {
		e := &l.entries[i]
		switch {
		case l.hideHidden && strings.HasPrefix(l.fold[i], "."):
			l.sum.hidden++
			continue
		case match != nil && !match(l.fold[i]), l.onlyDiff && l.marks != nil && l.marks[i] == same:
			l.sum.filtered++
			continue
		}
		if e.Type == client.Folder {
			l.sum.folders++
			folders = append(folders, i)
		} else {
			l.sum.files++
			l.sum.bytes = wire.AddSizes(l.sum.bytes, e.Size)
			files = append(files, i)
		}
	}
	return folders, files
}

// makeRank finds the place of each entry by name.
func (l *listing) makeRank() {
	if l.rank != nil {
		return
	}
	l.rank = make([]int32, len(l.order))
	for place, i := range l.order {
		l.rank[i] = int32(place)
	}
}

// sortKey is what an entry is sorted by: a number for its column, then its place by name.
type sortKey struct {
	key  int64
	rank int32
	i    int32
}

// sort sorts by the column. It looks at each entry once only: they lie far apart in memory.
func (l *listing) sort(view []int32) {
	number := l.numbers(view)
	keys := make([]sortKey, len(view))
	for at, i := range view {
		keys[at] = sortKey{number(&l.entries[i]), l.rank[i], i}
	}
	slices.SortFunc(keys, func(a, b sortKey) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return int(a.rank) - int(b.rank)
	})
	for at := range keys {
		view[at] = keys[at].i
	}
}

// numbers returns what makes a number of the column that is sorted by, in the column's order.
func (l *listing) numbers(view []int32) func(*client.Entry) int64 {
	switch l.by {
	case bySize:
		return func(e *client.Entry) int64 { return e.Size }
	case byTime:
		return func(e *client.Entry) int64 { return timeNumber(e.Time) }
	case byRights:
		return l.textNumbers(view, func(e *client.Entry) string { return e.Rights })
	}
	return l.textNumbers(view, func(e *client.Entry) string { return e.Owner })
}

// timeNumber is a time in nanoseconds; what has no room in that is the least or the most.
func timeNumber(t time.Time) int64 {
	const most = math.MaxInt64 / int64(time.Second)
	switch s := t.Unix(); {
	case s <= -most:
		return math.MinInt64
	case s >= most:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// textNumbers numbers the texts of a column in their order: a folder has few different ones.
func (l *listing) textNumbers(view []int32, text func(*client.Entry) string) func(*client.Entry) int64 {
	numbers := map[string]int64{"": 0}
	last := ""
	for _, i := range view {
		if now := text(&l.entries[i]); now != last {
			last = now
			numbers[now] = 0
		}
	}
	for n, one := range slices.Sorted(maps.Keys(numbers)) {
		numbers[one] = int64(n)
	}
	last, number := "", numbers[""]
	return func(e *client.Entry) int64 {
		if now := text(e); now != last {
			last, number = now, numbers[now]
		}
		return number
	}
}
