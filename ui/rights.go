package ui

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/ui/kit"
)

// rightsGrid is a set of rights as nine boxes and as an octal number; each follows the other.
type rightsGrid struct {
	object  fyne.CanvasObject
	octal   *kit.Entry
	boxes   [9]*kit.Check
	mode    uint32
	changed func()
	showing bool
}

func newRightsGrid(title string, mode uint32) *rightsGrid {
	g := &rightsGrid{octal: kit.NewEntry(), changed: func() {}}
	g.octal.SelectOnFocus = true
	g.octal.OnChanged = g.typed
	rows := []fyne.CanvasObject{kit.HBox(kit.Gap, kit.FixedWidth(84, kit.NewBoldLabel(title)), kit.FixedWidth(70, g.octal), kit.NewMutedLabel("octal"))}
	for who, name := range []string{"Owner", "Group", "Everyone"} {
		cells := []fyne.CanvasObject{kit.FixedWidth(84, kit.NewMutedLabel(name))}
		for what, right := range []string{"Read", "Write", "Execute"} {
			i := who*3 + what
			g.boxes[i] = kit.NewCheck(right, func(on bool) {
				if g.showing {
					return
				}
				if bit := uint32(1) << (8 - i); on {
					g.mode |= bit
				} else {
					g.mode &^= bit
				}
				g.show(true)
			})
			cells = append(cells, kit.FixedWidth(84, g.boxes[i]))
		}
		rows = append(rows, kit.HBox(kit.Gap, cells...))
	}
	g.object = kit.VBox(2, rows...)
	g.mode = mode
	g.show(true)
	return g
}

// show brings the boxes, and when octal is true the number, in line with the mode.
func (g *rightsGrid) show(octal bool) {
	g.showing = true
	for i, b := range g.boxes {
		b.SetChecked(g.mode&(1<<(8-i)) != 0)
	}
	if octal {
		g.octal.SetText(fmt.Sprintf("%03o", g.mode))
	}
	g.showing = false
	g.changed()
}

func (g *rightsGrid) typed(text string) {
	mode, err := parseOctal(text)
	g.octal.SetInvalid(err != nil)
	if err == nil && !g.showing {
		g.mode = mode
		g.show(false)
	}
	g.changed()
}

func (g *rightsGrid) valid() bool {
	_, err := parseOctal(g.octal.Text)
	return err == nil
}

func parseOctal(text string) (uint32, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o7777 || len(text) < 3 || len(text) > 4 {
		return 0, errors.New("three or four digits from 0 to 7")
	}
	return uint32(n), nil
}

// enable shows the grid as one that counts or not.
func (g *rightsGrid) enable(on bool) {
	enable(g.octal, on)
	for _, b := range g.boxes {
		enable(b, on)
	}
}

// changeRights asks for the rights of what is chosen: files and folders apart when there are both, or when what is in
// folders is to be changed, too.
func (c *connect) changeRights() {
	p, dir := c.active, c.active.path // another folder may be shown by the time that the dialog is done
	entries := p.selected()
	var files, folders int
	fileMode, folderMode := uint32(0o644), uint32(0o755)
	for _, e := range entries {
		mode, known := client.ParseRights(e.Rights)
		switch {
		case e.Type == client.File:
			if files++; files == 1 && known {
				fileMode = mode
			}
		case e.Type == client.Folder && e.Target == "":
			if folders++; folders == 1 && known {
				folderMode = mode
			}
		}
	}
	if files+folders == 0 {
		c.note("The rights of a link are those of what it leads to.", kit.ColorMuted)
		return
	}
	d := &kit.Dialog{Title: "Rights of " + shorten(nameOf(entries), 50), Width: 400}
	fileGrid, folderGrid := newRightsGrid("Files", fileMode), newRightsGrid("Folders", folderMode)
	inside := kit.NewCheck("Also what is in the folders", nil)
	doFiles, doFolders := kit.NewCheck("Change files", nil), kit.NewCheck("Change folders", nil)
	doFiles.Checked, doFolders.Checked = true, true
	filePart, folderPart := kit.VBox(2, doFiles, fileGrid.object), kit.VBox(2, doFolders, folderGrid.object)
	hasFiles := func() bool { return files > 0 || inside.Checked }
	update := func() {
		filePart.Hidden, folderPart.Hidden = !hasFiles(), folders == 0
		both := hasFiles() && folders > 0
		doFiles.Hidden, doFolders.Hidden = !both, !both
		fileGrid.enable(doFiles.Checked || !both)
		folderGrid.enable(doFolders.Checked || !both)
		ok := (!hasFiles() || fileGrid.valid()) && (folders == 0 || folderGrid.valid()) && (!both || doFiles.Checked || doFolders.Checked)
		d.SetEnabled("Set rights", ok)
		d.Refresh()
	}
	fileGrid.changed, folderGrid.changed = update, update
	for _, b := range []*kit.Check{inside, doFiles, doFolders} {
		b.OnChanged = func(bool) { update() }
	}
	content := []fyne.CanvasObject{filePart, folderPart}
	d.Focus = fileGrid.octal
	if folders > 0 {
		content = append(content, inside)
		if files == 0 {
			d.Focus = folderGrid.octal
		}
	}
	d.Content = kit.VBox(12, content...)
	d.Buttons = []kit.DialogButton{{Text: "Cancel", Cancel: true}, {Text: "Set rights", Style: kit.Primary, Default: true, Run: func() bool {
		both := hasFiles() && folders > 0
		want := app.ModeChange{Inside: inside.Checked}
		if hasFiles() && (doFiles.Checked || !both) {
			want.Files = &fileGrid.mode
		}
		if folders > 0 && (doFolders.Checked || !both) {
			want.Folders = &folderGrid.mode
		}
		d.Close()
		if p == c.remote {
			c.w.app.ChangeRemoteRights(dir, entries, want)
		} else {
			c.w.app.ChangeLocalRights(dir, namesOf(entries), want)
		}
		return false
	}}}
	d.Show(c.w)
	update()
}
