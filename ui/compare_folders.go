package ui

import (
	"time"

	"fyne.io/fyne/v2"

	"portside/client"
	"portside/ui/kit"
)

// mark is what a comparison of two folders says of an entry.
type mark uint8

const (
	unmarked mark = iota // not compared: a folder that is on both sides
	same
	alone   // on this side only
	newer   // changed later than the other side's
	older   // changed earlier
	differs // of another size, or a file where the other side has a folder
)

var markWords = [...]string{unmarked: "", same: "same", alone: "only here", newer: "newer", older: "older", differs: "differs"}

// comparing is what two folders are compared by.
type comparing int

const (
	compareOff comparing = iota
	compareSize
	compareTime
)

// sameTime is how far apart two times of the same file may lie: some disks keep two seconds.
const sameTime = 2 * time.Second

// compareListings marks the entries of both sides.
func compareListings(a, b *listing, by comparing) {
	if by == compareOff {
		a.marks, b.marks = nil, nil
		return
	}
	index := make(map[string]int, len(b.entries))
	for i := range b.entries {
		index[b.entries[i].Name] = i
	}
	a.marks, b.marks = make([]mark, len(a.entries)), make([]mark, len(b.entries))
	for i := range b.marks {
		b.marks[i] = alone
	}
	for i := range a.entries {
		j, both := index[a.entries[i].Name]
		if !both {
			a.marks[i] = alone
			continue
		}
		a.marks[i], b.marks[j] = compareEntries(&a.entries[i], &b.entries[j], by)
	}
}

func compareEntries(a, b *client.Entry, by comparing) (mark, mark) {
	af, bf := a.Type == client.Folder, b.Type == client.Folder
	switch {
	case af != bf:
		return differs, differs
	case af:
		return unmarked, unmarked
	case by == compareSize && a.Size != b.Size:
		return differs, differs
	case by == compareSize:
		return same, same
	}
	switch d := a.Time.Sub(b.Time); {
	case a.Time.IsZero() || b.Time.IsZero():
		return unmarked, unmarked
	case d > sameTime+b.Precision:
		return newer, older
	case d < -sameTime-a.Precision:
		return older, newer
	}
	return same, same
}

// markColors go with the words, never alone.
var markColors = [...]fyne.ThemeColorName{
	unmarked: "", same: kit.ColorMuted, alone: kit.ColorClient, newer: kit.ColorGood, older: kit.ColorWarn, differs: kit.ColorBad,
}

// mark is what the comparison says of a row.
func (p *pane) mark(row int) mark {
	if i := p.rows.index(row); i >= 0 && i < len(p.rows.marks) {
		return p.rows.marks[i]
	}
	return unmarked
}
