package ui

import (
	"fmt"
	"strings"

	"portside/ui/kit"
)

// drawn is what a table shows, as it was drawn last.
type drawn string

// redraw draws the table if it would look different: whatever is drawn anew costs the whole window, and the screens look at
// the application a few times a second.
func (d *drawn) redraw(t *kit.Table) {
	var b strings.Builder
	columns := len(t.Columns())
	first, last := t.Seen()
	for row := range t.Length() {
		b.WriteString(t.Key(row)) // selection and cursor follow all of them
		if row < first || row > last {
			continue
		}
		for col := range columns {
			c := t.Cell(row, col)
			fmt.Fprint(&b, "\x1f", c.Text, c.Color)
			if c.Icon != nil {
				b.WriteString(c.Icon.Name())
			}
			if c.Bar != nil {
				fmt.Fprint(&b, *c.Bar)
			}
		}
		b.WriteByte('\x1e')
	}
	if now := drawn(b.String()); now != *d {
		*d = now
		t.Refresh()
	}
}
