package ui

import (
	"strings"

	"fyne.io/fyne/v2"

	"portside/assets"
	"portside/ui/kit"
)

// about is the card with what the program is made of.
func (s *settings) about() fyne.CanvasObject {
	text := "Portside"
	if v := s.w.driver.Metadata().Version; v != "" {
		text += " " + v
	}
	show := kit.NewButton("Licences…", func() { openLicences(s.w) })
	show.Tip = "The licences of what others have made of this program"
	return kit.NewCard("About", kit.HBox(kit.Gap, kit.Grow(kit.NewLabel(text)), show))
}

// openLicences shows the licences of what is part of the program, a line a row: as one text they would take long to draw.
func openLicences(w *Window) *kit.Dialog {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(assets.Licences, "\n"), "\n") {
		lines = append(lines, broken(strings.ReplaceAll(line, "\t", "    "), licenceColumns)...)
	}
	t := kit.NewTable(kit.Column{Title: "Licences", Flex: true})
	t.Label, t.HideHeader, t.Single = "Licences", true, true
	t.Length = func() int { return len(lines) }
	t.Cell = func(row, _ int) kit.Cell {
		return kit.Cell{Text: lines[row], Mono: true}
	}
	d := &kit.Dialog{Title: "Licences of what is part of Portside", Width: 860, Post: w.post, Focus: t,
		Content: kit.FixedHeight(420, kit.NewFlushCard(t)),
		Buttons: []kit.DialogButton{
			{Text: "Copy all", Left: true, Run: func() bool { kit.Copy(t, assets.Licences); return false }},
			{Text: "Close", Style: kit.Primary, Default: true, Cancel: true},
		}}
	d.Show(w)
	t.SetCursor(0)
	return d
}

// licenceColumns is how many letters of a licence stand in a row of the dialog.
const licenceColumns = 100

// broken breaks a line at its blanks into lines of at most so many bytes; a longer word has a line of its own.
func broken(line string, most int) []string {
	var out []string
	for len(line) > most {
		at := strings.LastIndexByte(line[:most+1], ' ')
		if at <= 0 {
			if at = strings.IndexByte(line[most:], ' ') + most; at < most {
				break
			}
		}
		out, line = append(out, line[:at]), line[at+1:]
	}
	return append(out, line)
}
