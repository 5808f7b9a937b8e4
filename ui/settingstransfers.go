package ui

import (
	"slices"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/ui/kit"
)

// transfers is the card with how files are copied.
func (s *settings) transfers(numbers []string, set app.ConnectSettings) fyne.CanvasObject {
	segments := kit.NewSelect(numbers, func(i int) {
		s.change(func(set *app.Settings) { set.Connect.Segments = i + 1 })
	})
	segments.ShowSelected(set.Segments - 1)
	segments.Tip = "More than one gets a large file in segments, where the server can resume"
	exists := kit.NewSelect([]string{"Ask", "Overwrite", "Overwrite if newer", "Overwrite if size differs", "Resume", "Rename", "Skip"}, func(i int) {
		s.change(func(set *app.Settings) { set.Connect.Overwrite = app.OverwriteChoices[i] })
	})
	exists.ShowSelected(max(0, slices.Index(app.OverwriteChoices, set.Overwrite)))
	notify := kit.NewCheck("Notify me when all transfers are done", func(on bool) {
		s.change(func(set *app.Settings) { set.Connect.Quiet = !on })
	})
	notify.ShowChecked(!set.Quiet)
	limits := kit.NewButton("Speed limits…", func() { s.w.connect.transfers.askSpeed() })
	return kit.NewCard("Transfers", kit.VBox(kit.Gap,
		labelled("Connections at once", kit.FixedWidth(80, s.parallel)),
		labelled("For one large file", kit.FixedWidth(80, segments)),
		labelled("If the file exists", kit.FixedWidth(180, exists)),
		labelled("Speed", limits),
		notify))
}
