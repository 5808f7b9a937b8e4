package ui

import (
	"path"
	"path/filepath"
	"strings"

	"portside/ui/kit"
)

// linkedFolders is linked browsing: below two folders, each side follows the other.
type linkedFolders struct {
	local, remote string // where the two were when it began
	following     bool   // a folder is being opened because the other side went there
}

// follow opens on the other side what a pane is about to open. Outside of the two folders the link ends.
func (c *connect) follow(p *pane, dir string) {
	l := c.linked
	if l == nil || l.following {
		return
	}
	var to string
	if p.local {
		full, err := kit.ExpandPath(dir, p.path)
		rel := "."
		if err == nil {
			rel, err = filepath.Rel(l.local, full)
		}
		if err != nil || !filepath.IsLocal(rel) && rel != "." {
			c.unlink("Linked browsing has ended: " + dir + " is outside of " + l.local + ".")
			return
		}
		to = path.Join(l.remote, filepath.ToSlash(rel))
	} else {
		if !strings.HasPrefix(dir, "/") {
			dir = path.Join(p.path, dir)
		}
		dir = path.Clean(dir)
		rel, ok := strings.CutPrefix(dir+"/", strings.TrimSuffix(l.remote, "/")+"/")
		if !ok || rel != "" && !filepath.IsLocal(filepath.FromSlash(rel)) {
			c.unlink("Linked browsing has ended: " + dir + " is outside of " + l.remote + ".")
			return
		}
		to = filepath.Join(l.local, filepath.FromSlash(rel))
	}
	other := c.other(p)
	failed := c.w.app.Local().Err
	if p.local {
		failed = c.w.app.Remote().Err
	}
	if other.path == to && failed == "" { // where it could not follow, the failure goes with the listing
		return
	}
	l.following = true
	other.goTo(to)
	l.following = false
}

func (c *connect) unlink(why string) {
	c.linked = nil
	c.note(why, kit.ColorMuted)
}

func (c *connect) toggleLink() {
	if c.linked != nil {
		c.unlink("Linked browsing has ended.")
		return
	}
	c.link(c.local.path, c.remote.path)
}

// link begins linked browsing below two folders.
func (c *connect) link(local, remote string) {
	c.linked = &linkedFolders{local: local, remote: remote}
	c.note("Linked browsing: what you open on one side below these folders is opened on the other side, too.", kit.ColorMuted)
}

// compareBy compares the two folders from now on, or stops.
func (c *connect) compareBy(by comparing) {
	c.compared = by
	on := by != compareOff
	for _, p := range []*pane{c.local, c.remote} {
		if !on {
			p.rows.onlyDiff = false
		}
		if p.compared != on {
			p.compared = on
			p.showColumns()
		}
	}
	c.compareAgain()
	c.local.arrange()
	c.remote.arrange()
}

// compareAgain marks both sides anew after one of them has changed.
func (c *connect) compareAgain() {
	l, r := c.local, c.remote
	if c.compared == compareOff || l.path == "" || r.path == "" {
		l.rows.marks, r.rows.marks = nil, nil
		return
	}
	compareListings(&l.rows, &r.rows, c.compared)
	for _, p := range []*pane{l, r} {
		if p.rows.onlyDiff {
			p.rows.arrange()
		}
		p.table.Refresh()
	}
}

func (c *connect) toggleOnlyDifferent() {
	on := !c.local.rows.onlyDiff
	for _, p := range []*pane{c.local, c.remote} {
		p.rows.onlyDiff = on
		p.arrange()
	}
	c.w.refreshStatus()
}

func (c *connect) compareCommands() []kit.Command {
	both := func() bool { return c.w.screen == "connect" && c.local.path != "" && c.remote.path != "" }
	by := func(how comparing) func() {
		return func() {
			if c.compared == how {
				how := compareOff
				c.compareBy(how)
				return
			}
			c.compareBy(how)
		}
	}
	return []kit.Command{
		{ID: "compare.size", Title: "Compare folders by size", Keys: []string{"Ctrl+M"}, Group: "View", Enabled: both,
			Checked: func() bool { return c.compared == compareSize }, Run: by(compareSize)},
		{ID: "compare.time", Title: "Compare folders by time", Keys: []string{"Ctrl+Shift+M"}, Group: "View", Enabled: both,
			Checked: func() bool { return c.compared == compareTime }, Run: by(compareTime)},
		{ID: "compare.different", Title: "Show differences only", Keys: []string{"Ctrl+I"}, Group: "View",
			Enabled: func() bool { return both() && c.compared != compareOff },
			Checked: func() bool { return c.local.rows.onlyDiff }, Run: c.toggleOnlyDifferent},
		{ID: "compare.linked", Title: "Linked browsing", Keys: []string{"Alt+L"}, Group: "View", Enabled: both,
			Checked: func() bool { return c.linked != nil }, Run: c.toggleLink},
	}
}
