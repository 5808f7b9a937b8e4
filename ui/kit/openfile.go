package kit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"fyne.io/fyne/v2"
)

// ChooseFiles asks for files of this computer, beginning in a folder, and hands their absolute paths to run.
func ChooseFiles(w fyne.Window, title, button, start string, run func(paths []string)) *Dialog {
	return Chooser{Post: fyne.Do}.Files(w, title, button, start, run)
}

// Files is [ChooseFiles].
func (c Chooser) Files(w fyne.Window, title, button, start string, run func(paths []string)) *Dialog {
	ch := newChooserDialog(w, c.Post, title, button, start)
	ch.files, ch.hidden.Checked = true, c.Hidden
	ch.table.Single, ch.table.Label = false, "Files"
	ch.accept = func() bool {
		typed, ok := ch.typedDir()
		if !ok {
			return false
		}
		if typed != ch.dir { // a path was typed: a folder to go to, or the file
			ch.ifFile(typed, func() {
				ch.dialog.Close()
				run([]string{typed})
			})
			return false
		}
		var paths []string
		for _, row := range ch.table.Selected() {
			if e := ch.entries[row]; !e.dir {
				paths = append(paths, filepath.Join(ch.dir, e.name))
			}
		}
		if len(paths) == 0 {
			if row := ch.table.Cursor(); row >= 0 && row < len(ch.entries) && slices.Contains(ch.table.Selected(), row) {
				ch.open(filepath.Join(ch.dir, ch.entries[row].name))
				return false
			}
			ch.fail(errors.New("choose a file"))
			return false
		}
		ch.dialog.Close()
		run(paths)
		return false
	}
	ch.begin(nil)
	return ch.dialog
}

// ifFile goes on when the path is a file; a folder is opened.
func (ch *chooserDialog) ifFile(path string, goOn func()) {
	go func() {
		info, err := os.Stat(path)
		ch.post(func() {
			switch {
			case ch.ctx.Err() != nil:
			case err != nil:
				ch.fail(plainError(err))
			case info.IsDir():
				ch.open(path)
			default:
				goOn()
			}
		})
	}()
}
