package ui

import (
	"portside/connlog"
	"portside/ui/kit"
)

// makeFilter makes the bar that filters the listing while a person types. It comes with Ctrl+F and goes with Escape, or when
// another folder is opened.
func (p *pane) makeFilter() {
	p.filter = kit.NewEntry()
	p.filter.SetPlaceHolder("Part of a name, or a pattern such as *.jpg")
	p.filter.SelectOnFocus = true
	p.filter.OnChanged = func(text string) {
		if p.rows.filter != text {
			p.rows.filter = text
			p.arrange()
			p.seek()
		}
	}
	p.filter.OnEnter = func(string) { kit.FocusOn(p.table) }
	p.filter.OnArrow = func(bool) { kit.FocusOn(p.table) }
	p.filter.OnEscape = p.endFilter
	p.filterCount = kit.NewMutedLabel("")
	end := kit.NewIconButton(kit.IconClose, "Clear the filter (Escape)", p.endFilter)
	end.Style = kit.Quiet
	p.filterBar = kit.FixedHeight(kit.PaneBar, kit.Surface(kit.Pad(3, 8, 3, 10,
		kit.HBox(6, kit.FixedWidth(54, caption("FILTER")), kit.Grow(p.filter), p.filterCount, end))))
	p.filterBar.Hide()
}

// showFilter shows or hides the bar; hidden it lets everything pass.
func (p *pane) showFilter(on bool) {
	if on == p.filterBar.Visible() {
		return
	}
	if on {
		p.filterBar.Show()
	} else {
		p.filter.SetText("")
		p.filterBar.Hide()
	}
	p.object.Refresh()
}

// seek shows what was chosen where it stands now, or else the first rows: the place of before means nothing among others.
func (p *pane) seek() {
	if p.table.SelectedCount() == 0 {
		p.table.SetCursor(0)
	}
	p.table.ScrollTo(p.table.Cursor())
}

func (p *pane) endFilter() {
	p.showFilter(false)
	kit.FocusOn(p.table)
}

// countFiltered says how many of all entries pass the filter.
func (p *pane) countFiltered() {
	if p.filterBar != nil && p.filterBar.Visible() {
		shown := p.rows.sum.folders + p.rows.sum.files
		p.filterCount.SetText(thousands(shown) + " of " + thousands(shown+p.rows.sum.filtered))
		p.filterBar.Refresh()
	}
}

// summary says what is shown and what is left out.
func (p *pane) summary() string {
	s := p.rows.sum
	if p.path == "" {
		return ""
	}
	text := count(s.files, "file", "files")
	if s.folders > 0 {
		text = count(s.folders, "folder", "folders") + ", " + text
	}
	if s.bytes > 0 {
		text += ", " + connlog.Bytes(s.bytes)
	}
	if s.filtered > 0 {
		text += ", " + thousands(s.filtered) + " filtered out"
	}
	if s.hidden > 0 {
		text += ", " + thousands(s.hidden) + " hidden"
	}
	if p.loading {
		text += " so far"
	}
	return text
}
