package ui

import (
	"slices"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/ui/kit"
)

// columnCompared is the column of a comparison with the other side. It comes and goes with that.
const columnCompared = "compared"

// paneColumns are all columns in their order.
func paneColumns() []kit.Column {
	return []kit.Column{
		{ID: string(byName), Title: "Name", Flex: true, Min: 120, Wish: 180, Sortable: true},
		{ID: columnCompared, Title: "Compared", Width: 76, Min: 70},
		{ID: string(bySize), Title: "Size", Width: 80, Align: fyne.TextAlignTrailing, Sortable: true},
		{ID: string(byTime), Title: "Modified", Width: 126, Sortable: true},
		{ID: string(byRights), Title: "Rights", Width: 84, Sortable: true, Yields: true},
		{ID: string(byOwner), Title: "Owner", Width: 80, Sortable: true, Yields: true},
	}
}

// columns are those that are shown, with the widths that the table's have now.
func (p *pane) columns() []kit.Column {
	widths := map[string]float32{}
	if p.table != nil {
		widths = p.widths()
	}
	p.shown = p.shown[:0]
	var out []kit.Column
	for _, c := range paneColumns() {
		if p.off[c.ID] || c.ID == columnCompared && !p.compared {
			continue
		}
		if w := widths[c.ID]; w > 0 {
			c.Width = w
		}
		p.shown = append(p.shown, c.ID)
		out = append(out, c)
	}
	return out
}

func (p *pane) widths() map[string]float32 {
	widths := map[string]float32{}
	for _, c := range p.table.Columns() {
		if !c.Flex {
			widths[c.ID] = c.Width
		}
	}
	return widths
}

// showColumns brings the table in line with what is to be shown.
func (p *pane) showColumns() {
	columns := p.columns()
	at := slices.IndexFunc(columns, func(c kit.Column) bool { return c.ID == string(p.rows.by) })
	if at < 0 { // the column that it was sorted by is gone
		p.rows.by, p.rows.desc, at = byName, false, 0
		p.rows.arrange()
	}
	p.table.SetColumns(columns)
	p.table.SetSort(at, p.rows.desc)
	p.table.Refresh()
}

func (p *pane) columnsChanged() {
	if p.keepColumns != nil {
		p.keepColumns()
	}
}

// columnMenu has a tick for each column that is shown.
func (p *pane) columnMenu() *fyne.Menu {
	menu := fyne.NewMenu("")
	for _, c := range paneColumns()[2:] {
		item := fyne.NewMenuItem(c.Title, func() {
			p.off[c.ID] = !p.off[c.ID]
			p.showColumns()
			p.columnsChanged()
		})
		item.Checked = !p.off[c.ID]
		menu.Items = append(menu.Items, item)
	}
	return menu
}

// restoreColumns takes what the settings remember.
func (p *pane) restoreColumns(set app.PaneSettings) {
	if len(set.Columns) > 0 {
		for _, c := range paneColumns()[2:] {
			p.off[c.ID] = !slices.Contains(set.Columns, c.ID)
		}
	}
	columns := p.columns()
	for i, c := range columns {
		if w := set.Widths[c.ID]; w > 0 {
			columns[i].Width = w
		}
	}
	p.table.SetColumns(columns)
}

// rememberColumns writes what [pane.restoreColumns] reads.
func (p *pane) rememberColumns() app.PaneSettings {
	set := app.PaneSettings{Columns: []string{string(byName)}, Widths: p.widths()}
	delete(set.Widths, columnCompared)
	for _, c := range paneColumns()[2:] {
		if !p.off[c.ID] {
			set.Columns = append(set.Columns, c.ID)
		}
	}
	return set
}
