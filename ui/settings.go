package ui

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/ui/kit"
)

// settings is the Settings screen: looks, transfers, active mode, passwords, what was learnt of servers, and the keys.
type settings struct {
	w      *Window
	object fyne.CanvasObject

	theme    *kit.Select
	parallel *kit.Select
	min, max *kit.Entry
	ip       *kit.Entry
	problem  *kit.FlowText
	where    *kit.FlowText // passwords are kept
	master   *kit.Button
	sites    *kit.Table
	drawn    drawn // sites
	names    []string
	known    map[string]app.Site
	fillKeys func() // once all commands are known
}

var themes = []app.Theme{app.ThemeSystem, app.ThemeLight, app.ThemeDark}

func newSettings(w *Window) *settings {
	s := &settings{w: w}
	set := w.app.Settings()

	s.theme = kit.NewSelect([]string{"As the system", "Light", "Dark"}, func(i int) {
		s.change(func(set *app.Settings) { set.Theme = themes[i] })
		w.driver.Settings().SetTheme(kit.NewTheme(w.variant))
	})
	s.theme.ShowSelected(max(0, slices.Index(themes, set.Theme)))
	var numbers []string
	for i := 1; i <= 16; i++ {
		numbers = append(numbers, strconv.Itoa(i))
	}
	s.parallel = kit.NewSelect(numbers, func(i int) {
		s.change(func(set *app.Settings) { set.Connect.Parallel = i + 1 })
	})
	s.parallel.ShowSelected(set.Connect.Parallel - 1)

	s.min, s.max, s.ip = kit.NewEntry(), kit.NewEntry(), kit.NewEntry()
	s.min.SetPlaceHolder("any")
	s.max.SetPlaceHolder("any")
	s.ip.SetPlaceHolder("this computer's own")
	if set.Connect.ActiveMin > 0 {
		s.min.SetText(strconv.Itoa(set.Connect.ActiveMin))
		s.max.SetText(strconv.Itoa(set.Connect.ActiveMax))
	}
	s.ip.SetText(set.Connect.ActiveIP)
	for _, e := range []*kit.Entry{s.min, s.max, s.ip} {
		e.SelectOnFocus = true
		e.OnFocus = func(focused bool) {
			if !focused {
				s.keepActive()
			}
		}
		e.OnEnter = func(string) { s.keepActive() }
	}
	s.problem = kit.NewFlowText()

	s.sites = kit.NewTable(
		kit.Column{ID: "site", Title: "Server", Flex: true, Min: 120},
		kit.Column{ID: "mode", Title: "Mode", Width: 72},
		kit.Column{ID: "certificate", Title: "Trusted certificate", Width: 156},
	)
	s.sites.Label = "Servers"
	s.sites.Length = func() int { return len(s.names) }
	s.sites.Key = func(i int) string { return s.names[i] }
	s.sites.Cell = func(i, col int) kit.Cell {
		site := s.known[s.names[i]]
		switch col {
		case 0:
			return kit.Cell{Text: s.names[i]}
		case 1:
			return kit.Cell{Text: string(site.Mode)}
		}
		return kit.Cell{Text: site.Certificate, Mono: true}
	}
	s.sites.SetEmpty(kit.Empty{Text: "Nothing yet.", Hint: "What works with a server, and the certificates that you trust for good, appear here."})
	forget := kit.NewButton("Forget", s.forget)
	forget.Disable()
	s.sites.OnSelectionChanged = func() { enable(forget, len(s.sites.Selected()) > 0) }
	certificates := kit.NewButton("Trusted certificates…", func() { openCertificates(w) })
	s.sites.OnKey = func(ev *fyne.KeyEvent) bool {
		if ev.Name == fyne.KeyDelete {
			s.forget()
			return true
		}
		return w.registry.HandleKey(ev.Name, 0)
	}

	looks := kit.NewCard("Appearance", labelled("Theme", kit.FixedWidth(180, s.theme)))
	transfers := s.transfers(numbers, set.Connect)
	active := kit.NewCard("Active mode", kit.VBox(kit.Gap,
		kit.NewMutedParagraph("In active mode the server dials back to this computer. A firewall here needs fixed ports for that, and a router your public address."),
		labelled("Ports", kit.HBox(6, kit.FixedWidth(72, s.min), kit.NewMutedLabel("to"), kit.FixedWidth(72, s.max))),
		labelled("Announced address", kit.FixedWidth(180, s.ip)), s.problem))
	servers := kit.NewCard("Servers", kit.VBox(kit.Gap, kit.FixedHeight(180, s.sites), kit.HBox(6, forget, certificates, kit.Space())))
	keys := kit.NewCard("Keyboard shortcuts", s.keys())

	left := kit.VBox(12, looks, transfers, active, s.passwords(), servers, s.about())
	columns := container.NewGridWithColumns(2, kit.Pad(0, 6, 0, 0, left), kit.Pad(0, 0, 0, 6, keys))
	page := container.NewVScroll(kit.Pad(12, 12, 12, 12, columns))
	s.sites.Page, s.object = page, page
	s.min.Page, s.max.Page, s.ip.Page = page, page, page
	return s
}

func labelled(label string, field fyne.CanvasObject) fyne.CanvasObject {
	return kit.HBox(kit.Gap, kit.FixedWidth(150, kit.NewMutedLabel(label)), field, kit.Space())
}

// keys lists every command with its key, from the registry, so that the page can't be wrong.
func (s *settings) keys() fyne.CanvasObject {
	box := kit.VBox(2)
	s.fillKeys = func() {
		group := ""
		for _, h := range s.w.registry.Help() {
			if h.Group != group {
				if group != "" {
					box.Add(kit.FixedHeight(kit.Gap, kit.Space()))
				}
				group = h.Group
				box.Add(kit.FixedHeight(kit.RowHeight, caption(group)))
			}
			key := kit.NewLabel(strings.Join(h.Keys, ", "))
			key.Mono = true
			box.Add(kit.HBox(kit.Gap, kit.FixedWidth(130, key), kit.Grow(kit.NewMutedLabel(h.Title))))
		}
	}
	return box
}

func (s *settings) change(f func(*app.Settings)) { s.w.app.ChangeSettings(f) }

// keepActive checks and keeps the fields of active mode.
func (s *settings) keepActive() {
	low, high, ip := strings.TrimSpace(s.min.Text), strings.TrimSpace(s.max.Text), strings.TrimSpace(s.ip.Text)
	lo, hi := 0, 0
	fail := func(format string, args ...any) {
		s.problem.SetSpans(kit.Span{Text: fmt.Sprintf(format, args...), Color: kit.ColorBad})
		s.object.Refresh()
	}
	if low != "" || high != "" {
		var err1, err2 error
		lo, err1 = strconv.Atoi(low)
		hi, err2 = strconv.Atoi(high)
		if err1 != nil || err2 != nil || lo < 1024 || hi > 65535 || lo > hi {
			fail("The ports go from 1024 to 65535, the smaller first; leave both empty for any port.")
			return
		}
	}
	if ip != "" {
		if _, err := netip.ParseAddr(ip); err != nil {
			fail("%q is not an IP address. Leave it empty to announce this computer's own.", ip)
			return
		}
	}
	s.problem.SetText("")
	s.change(func(set *app.Settings) {
		set.Connect.ActiveMin, set.Connect.ActiveMax, set.Connect.ActiveIP = lo, hi, ip
	})
}

func (s *settings) forget() {
	rows := s.sites.Selected()
	if len(rows) == 0 {
		return
	}
	s.change(func(set *app.Settings) {
		for _, i := range rows {
			delete(set.Sites, s.names[i])
		}
	})
	s.refresh()
}

func (s *settings) view() fyne.CanvasObject { return s.object }

func (s *settings) refresh() {
	s.known = s.w.app.Settings().Sites
	s.names = s.names[:0]
	for n := range s.known {
		s.names = append(s.names, n)
	}
	sort.Strings(s.names)
	s.drawn.redraw(s.sites)
	s.showPasswords()
}

func (s *settings) shown(bool) {}
func (s *settings) focus()     { s.w.focusOn(s.theme) }

func (s *settings) status() (left, right []string) { return nil, nil }
