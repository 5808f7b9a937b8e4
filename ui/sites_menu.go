package ui

import (
	"errors"
	"path"
	"strings"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/client/sites"
	"portside/connlog"
	"portside/ui/kit"
)

// connectSite connects the Connect screen to a site of the book.
func (w *Window) connectSite(id string) {
	w.show("connect")
	w.connect.connectSite(id)
}

func (c *connect) connectSite(id string) {
	book, _ := c.w.app.Sites()
	n, _ := book.Find(id)
	c.begin()
	if err := c.w.app.ConnectSite(id); err != nil {
		c.note(app.Sentence(err), kit.ColorBad)
		return
	}
	// The bar names what is connected to; the password is not its business.
	t := n.Site.Target()
	c.user.SetText(t.User)
	c.password.SetText("")
	t.User = ""
	c.address.SetText(t.Shown())
	if r := c.w.app.Remote(); r.Mode != "" {
		for i, m := range modes {
			if m == r.Mode {
				c.mode.ShowSelected(i)
			}
		}
	}
	c.welcome = true // last: what is typed into the bar takes it back
}

// How many entries the menu of the address bar shows of each kind; the manager has them all.
const (
	menuRecents = 8
	menuSites   = 30
)

// sitesMenu lists the connected site's bookmarks, what was connected to, and the sites.
func (c *connect) sitesMenu() *fyne.Menu {
	var items []*fyne.MenuItem
	heading := func(text string) {
		if len(items) > 0 {
			items = append(items, fyne.NewMenuItemSeparator())
		}
		h := fyne.NewMenuItem(text, nil)
		h.Disabled = true
		items = append(items, h)
	}
	if s, _, _ := c.w.app.ConnectedSite(); s != nil && len(s.Bookmarks) > 0 && c.w.app.Remote().Phase == app.Connected {
		heading("Bookmarks")
		for _, b := range s.Bookmarks {
			item := fyne.NewMenuItem(shorten(connlog.Printable(b.Name), 48), func() { c.openBookmark(b) })
			item.Icon = kit.IconColored(kit.IconStar, kit.ColorMuted)
			items = append(items, item)
		}
	}
	book, _ := c.w.app.Sites()
	if recents := c.w.app.Recents(); len(recents) > 0 {
		heading("Recent")
		for _, r := range recents[:min(len(recents), menuRecents)] {
			label, icon, run := r.URL, kit.IconClock, func() { c.openRecent(r.URL) }
			if n, _ := book.Find(r.Site); r.Site != "" && n != nil {
				label, icon, run = n.Name, kit.IconServer, func() { c.connectSite(r.Site) }
			} else if t, err := client.ParseURL(r.URL); err == nil {
				label = t.Shown()
			}
			item := fyne.NewMenuItem(shorten(connlog.Printable(label), 48), run)
			item.Icon = kit.IconColored(icon, kit.ColorMuted)
			items = append(items, item)
		}
	}
	if book.Len() > 0 {
		heading("Sites")
		items = append(items, c.menuOf(book.Nodes, new(int))...)
	}
	if len(items) > 0 {
		items = append(items, fyne.NewMenuItemSeparator())
	}
	items = append(items, c.w.registry.Menu("connect.sites", "connect.keepsite", "connect.bookmark").Items...)
	if len(c.w.app.Recents()) > 0 {
		items = append(items, fyne.NewMenuItem("Clear the recent servers", c.w.app.ForgetRecents))
	}
	return fyne.NewMenu("", items...)
}

// menuOf lists nodes, folders as menus of their own, up to a number of sites.
func (c *connect) menuOf(nodes []*sites.Node, n *int) []*fyne.MenuItem {
	var items []*fyne.MenuItem
	for _, one := range nodes {
		if *n >= menuSites {
			break
		}
		item := fyne.NewMenuItem(shorten(connlog.Printable(one.Name), 48), nil)
		if one.Folder() {
			inside := c.menuOf(one.Nodes, n)
			if len(inside) == 0 {
				continue
			}
			item.ChildMenu = fyne.NewMenu("", inside...)
			item.Icon = kit.IconColored(kit.IconFolder, kit.ColorMuted)
		} else {
			*n++
			id := one.ID
			item.Action = func() { c.connectSite(id) }
			color := kit.ColorMuted
			if one.Site.Color != "" {
				color = siteColor(one.Site.Color)
			}
			item.Icon = kit.IconColored(kit.IconServer, color)
		}
		items = append(items, item)
	}
	return items
}

// openRecent connects as the bar did then; a password has to be typed again.
func (c *connect) openRecent(url string) {
	t, err := client.ParseURL(url)
	if err != nil {
		c.note(app.Sentence(err), kit.ColorBad)
		return
	}
	c.user.SetText(t.User)
	c.password.SetText("")
	asks := t.User != "" && t.User != client.Anonymous
	t.User = ""
	c.address.SetText(t.Shown())
	if asks {
		c.w.focusOn(c.password)
		c.note("Type the password and press Enter. A site keeps it for you: "+kit.KeyLabel("Ctrl+B")+".", kit.ColorMuted)
		return
	}
	c.connect()
}

// openBookmark goes to a pair of folders.
func (c *connect) openBookmark(b sites.Bookmark) {
	c.linked = nil // it held for the folders that are left now
	local, remote := c.local.path, c.remote.path
	if b.Local != "" {
		if full, err := kit.ExpandPath(b.Local, local); err == nil {
			local = full
		}
		c.w.app.OpenLocal(b.Local)
	}
	if b.Remote != "" {
		remote = path.Join("/", b.Remote)
		c.w.app.OpenRemote(remote)
	}
	if b.Linked {
		c.link(local, remote)
	}
}

// keepSite opens the site manager with a new site for what the bar says, or what is connected to.
func (c *connect) keepSite() {
	t, err := client.ParseURL(c.address.Text)
	if err != nil {
		openSites(c.w, "").newSite()
		return
	}
	t.User = c.user.Text
	s := sites.FromTarget(t)
	if r := c.w.app.Remote(); r.Phase == app.Connected && r.Folder.Path != "" && r.Target.Host == t.Host {
		s.RemoteFolder, s.LocalFolder = r.Folder.Path, c.local.path
	}
	m := openSites(c.w, "")
	m.addSite(s, c.password.Text)
}

func (c *connect) siteCommands() []kit.Command {
	return []kit.Command{
		{ID: "connect.sites", Title: "Sites…", Keys: []string{"Ctrl+B"}, Group: "Connection", Icon: kit.IconStar, Run: func() { openSites(c.w, "") }},
		{ID: "connect.keepsite", Title: "Save as a site…", Keys: []string{"Ctrl+Shift+B"}, Group: "Connection", Icon: kit.IconPlus,
			Enabled: func() bool { return c.w.screen == "connect" }, Run: c.keepSite},
		{ID: "connect.bookmark", Title: "Bookmark these folders…", Keys: []string{"Alt+B"}, Group: "Connection", Enabled: c.atSite, Run: c.bookmark},
	}
}

// atSite says whether the panes show folders of a site of the book.
func (c *connect) atSite() bool {
	s, _, _ := c.w.app.ConnectedSite()
	return c.w.screen == "connect" && s != nil && c.w.app.Remote().Phase == app.Connected && c.remote.path != ""
}

// bookmark keeps the two folders with the site.
func (c *connect) bookmark() {
	b := sites.Bookmark{Local: c.local.path, Remote: c.remote.path, Linked: c.linked != nil}
	kit.Prompt(c.w, kit.PromptOptions{Title: "Bookmark these folders", Label: "Name", Text: path.Base(b.Remote), OK: "Keep", Validate: func(name string) error {
		if strings.TrimSpace(name) == "" {
			return errors.New("type a name")
		}
		return nil
	}}, func(name string) {
		b.Name = strings.TrimSpace(name)
		if err := c.w.app.AddBookmark(b); err != nil {
			c.note(app.Sentence(err), kit.ColorBad)
			return
		}
		kit.ShowToast(c.object, "Kept in the menu beside the address")
	})
}

// siteColor is the theme's name of a colour that marks a site.
func siteColor(c sites.Color) fyne.ThemeColorName { return kit.ColorSite + fyne.ThemeColorName(c) }

// showSite shows the name of the site that is connected to, in its colour.
func (c *connect) showSite(r app.Remote) {
	if r.SiteName == "" || r.Phase == app.Disconnected {
		c.siteChip.Hide()
		return
	}
	dot, sign := fyne.ThemeColorName(""), kit.IconServer
	if r.Color != "" {
		dot, sign = siteColor(r.Color), ""
	}
	name := connlog.Printable(r.SiteName)
	c.siteChip.Set(shorten(name, 24), dot, sign)
	c.siteChip.Tip = name + ": the settings of this site"
	c.siteChip.Show()
}

// tlsTip says how a session is protected.
func tlsTip(r app.Remote) string {
	tip := r.TLS + ", " + r.Cipher
	switch r.Resumed {
	case app.Resumes:
		tip += ". Data connections resume its session."
	case app.ResumesNot:
		tip += ". Data connections begin sessions of their own: this server resumes none."
	}
	return tip
}

// clockText says how the server's clock stands, when it had to be found out.
func clockText(r app.Remote) string {
	if r.TimeOffset == nil || *r.TimeOffset == 0 {
		return ""
	}
	return "Server's clock: UTC" + formatOffset(int(r.TimeOffset.Minutes()))
}
