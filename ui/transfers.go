package ui

import (
	"fmt"
	"path"
	"time"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client/transfer"
	"portside/connlog"
	"portside/ui/kit"
)

// transferList is the Transfers tab: each copy with its progress, and the files that are moving or failed under it.
type transferList struct {
	w      *Window
	table  *kit.Table
	drawn  drawn
	object fyne.CanvasObject
	clear  *kit.Button
	cancel *kit.Button
	lines  []transferLine
	all    []app.Transfer
}

// transferLine is a transfer, or a file of it.
type transferLine struct {
	transfer app.Transfer
	file     *transfer.Current
	failure  string
}

func newTransferList(w *Window) *transferList {
	l := &transferList{w: w}
	l.table = kit.NewTable(
		kit.Column{ID: "what", Title: "What", Flex: true, Min: 180},
		kit.Column{ID: "progress", Title: "Progress", Width: 150},
		kit.Column{ID: "size", Title: "Size", Width: 150, Align: fyne.TextAlignTrailing},
		kit.Column{ID: "speed", Title: "Speed", Width: 90, Align: fyne.TextAlignTrailing},
		kit.Column{ID: "left", Title: "Time left", Width: 76, Align: fyne.TextAlignTrailing},
	)
	l.table.Label = "Transfers"
	l.table.Length = func() int { return len(l.lines) }
	l.table.Cell = l.cell
	l.table.Key = func(i int) string {
		t := l.lines[i]
		if t.file != nil {
			return fmt.Sprint(t.transfer.ID, t.file.Remote)
		}
		return fmt.Sprint(t.transfer.ID, t.failure)
	}
	l.table.OnKey = func(ev *fyne.KeyEvent) bool {
		if ev.Name == fyne.KeyDelete {
			l.cancelSelected()
			return true
		}
		return w.registry.HandleKey(ev.Name, 0)
	}
	l.table.SetEmpty(kit.Empty{Text: "Nothing is being copied.", Hint: "Choose files in a pane and press F6, or double-click one: it is copied to the other side."})
	l.cancel = kit.NewButton("Cancel transfer", l.cancelSelected)
	l.clear = kit.NewButton("Clear finished", w.app.ClearTransfers)
	l.object = kit.VBox(0, kit.Grow(l.table), kit.Pad(3, 8, 3, 8, kit.HBox(kit.Gap, kit.Space(), l.cancel, l.clear)))
	return l
}

func (l *transferList) cancelSelected() {
	rows := l.table.Selected()
	if len(rows) == 0 && l.table.Cursor() >= 0 {
		rows = []int{l.table.Cursor()}
	}
	if len(rows) == 0 { // nothing chosen: the one that runs is meant
		for i, line := range l.lines {
			if line.file == nil && line.transfer.Phase == app.TransferRunning {
				rows = append(rows, i)
			}
		}
	}
	for _, i := range rows {
		if i < len(l.lines) {
			l.w.app.CancelTransfer(l.lines[i].transfer.ID)
		}
	}
}

func (l *transferList) refresh() {
	l.all = l.w.app.Transfers()
	l.lines = l.lines[:0]
	running, finished := false, false
	for i := len(l.all) - 1; i >= 0; i-- { // the newest first
		t := l.all[i]
		running = running || t.Phase == app.TransferRunning
		finished = finished || t.Phase != app.TransferRunning
		l.lines = append(l.lines, transferLine{transfer: t})
		for j := range t.Current {
			l.lines = append(l.lines, transferLine{transfer: t, file: &t.Current[j]})
		}
		if t.Err != "" {
			l.lines = append(l.lines, transferLine{transfer: t, failure: t.Err})
		}
		for _, f := range t.Failures {
			l.lines = append(l.lines, transferLine{transfer: t, failure: f.Error()})
		}
	}
	enable(l.cancel, running)
	enable(l.clear, finished)
	l.drawn.redraw(l.table)
}

func (l *transferList) cell(i, col int) kit.Cell {
	if i >= len(l.lines) {
		return kit.Cell{}
	}
	line := l.lines[i]
	t := line.transfer
	switch {
	case line.failure != "":
		if col == 0 {
			return kit.Cell{Text: line.failure, Icon: kit.IconColored(kit.IconCross, kit.ColorBad), Color: kit.ColorBad}
		}
		return kit.Cell{}
	case line.file != nil:
		f := line.file
		switch col {
		case 0:
			return kit.Cell{Text: "    " + connlog.Printable(path.Base(f.Remote)), Color: kit.ColorMuted}
		case 1:
			return progressCell(f.Done, f.Total, "")
		case 2:
			return kit.Cell{Text: sizes(f.Done, f.Total)}
		}
		return kit.Cell{}
	}
	switch col {
	case 0:
		icon, color := kit.IconUpload, kit.ColorMuted
		if t.Download {
			icon = kit.IconDownload
		}
		switch t.Phase {
		case app.TransferDone:
			icon, color = kit.IconCheck, kit.ColorGood
		case app.TransferFailed:
			icon, color = kit.IconCross, kit.ColorBad
		}
		return kit.Cell{Text: connlog.Printable(t.Title), Icon: kit.IconColored(icon, color)}
	case 1:
		switch t.Phase {
		case app.TransferDone:
			return kit.Cell{Text: "Done in " + connlog.Took(t.Ended.Sub(t.Started)), Color: kit.ColorGood}
		case app.TransferFailed:
			return kit.Cell{Text: fmt.Sprintf("%d failed", max(t.Failed, 1)), Color: kit.ColorBad}
		case app.TransferCancelled:
			return kit.Cell{Text: "Cancelled"}
		}
		return progressCell(t.BytesDone, t.Bytes, fmt.Sprintf("%d of %d", t.Done, t.Files))
	case 2:
		return kit.Cell{Text: sizes(t.BytesDone, t.Bytes)}
	case 3:
		if t.Phase == app.TransferRunning {
			return kit.Cell{Text: speed(t.Speed)}
		}
	case 4:
		if t.Phase == app.TransferRunning && t.Remaining > 0 {
			return kit.Cell{Text: clock(t.Remaining)}
		}
	}
	return kit.Cell{}
}

func progressCell(done, size int64, text string) kit.Cell {
	var f float32
	if size > 0 {
		f = min(1, float32(done)/float32(size))
	}
	if text == "" {
		text = fmt.Sprintf("%d %%", int(f*100))
	}
	return kit.Cell{Text: text, Bar: &kit.Bar{Fraction: f}}
}

func sizes(done, total int64) string {
	if total <= 0 || done == total {
		return connlog.Bytes(done)
	}
	return connlog.Bytes(done) + " of " + connlog.Bytes(total)
}

func speed(bytesPerSecond float64) string { return connlog.Bytes(int64(bytesPerSecond)) + "/s" }

// badge is the small text beside the tab's title: "2 of 14".
func (l *transferList) badge() string {
	done, total, running := 0, 0, false
	for _, t := range l.all {
		if t.Phase == app.TransferRunning {
			running = true
			done, total = done+t.Done, total+t.Files
		}
	}
	if !running {
		return ""
	}
	return fmt.Sprintf("%d of %d", done, total)
}

// status is the right end of the status bar: speeds, files, time left.
func (l *transferList) status() []string {
	var down, up float64
	var left time.Duration
	done, total := 0, 0
	for _, t := range l.all {
		if t.Phase != app.TransferRunning {
			continue
		}
		if t.Download {
			down += t.Speed
		} else {
			up += t.Speed
		}
		left = max(left, t.Remaining)
		done, total = done+t.Done, total+t.Files
	}
	if total == 0 {
		return nil
	}
	var out []string
	if down > 0 {
		out = append(out, "Down "+speed(down))
	}
	if up > 0 {
		out = append(out, "Up "+speed(up))
	}
	text := fmt.Sprintf("%d of %s", done, count(total, "file", "files"))
	if left > 0 {
		text += " · " + clock(left) + " left"
	}
	return append(out, text)
}
