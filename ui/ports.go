package ui

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/connlog"
	"portside/localserver"
	"portside/ui/kit"
)

// ports is the tab that says who holds which passive port, and when there was none left.
type ports struct {
	s       *share
	holders []app.PortHolder
	line    *kit.FlowText
	said    string // what line says
	table   *kit.Table
	drawn   drawn
	object  *fyne.Container
}

// tabPorts is the tab's name in the drawer.
const tabPorts = "ports"

func newPorts(s *share) *ports {
	p := &ports{s: s, line: kit.NewFlowText()}
	t := kit.NewTable(
		kit.Column{ID: "port", Title: "Port", Width: 70, Min: 56},
		kit.Column{ID: "state", Title: "State", Width: 100, Min: 82},
		kit.Column{ID: "who", Title: "Who", Flex: true, Min: 92},
		kit.Column{ID: "address", Title: "Client's address", Width: 170, Min: 90},
		kit.Column{ID: "session", Title: "Session", Width: 90, Min: 80},
		kit.Column{ID: "since", Title: "Since", Width: 80, Min: 70, Align: fyne.TextAlignTrailing},
	)
	p.table = t
	t.Label, t.Single = "Passive ports", true
	t.Length = func() int { return len(p.holders) }
	t.Key = func(i int) string { return strconv.Itoa(int(p.holders[i].Port)) + " " + p.holders[i].Session }
	t.Cell = p.cell
	t.OnActivated = func(i int) { s.showSession(p.holders[i].Session) }
	t.OnMenu = func(rows []int, at fyne.Position) {
		if len(rows) != 1 {
			return
		}
		one := p.holders[rows[0]]
		kit.ShowMenu(t, fyne.NewMenu("",
			fyne.NewMenuItem("Show channels", func() { s.showSession(one.Session) }),
			fyne.NewMenuItem("Copy", func() { kit.Copy(t, p.text(one)) }),
			fyne.NewMenuItemSeparator(),
			fyne.NewMenuItem("Disconnect", func() { s.w.app.Kick(one.Session) }),
		), at)
	}
	t.OnKey = func(ev *fyne.KeyEvent) bool { return s.w.registry.HandleKey(ev.Name, 0) }
	t.SetEmpty(kit.Empty{Text: "No passive port is taken.", Hint: "While a file or a listing moves in passive mode, its port appears here, with the client that holds it."})
	p.object = kit.VBox(0, kit.Pad(8, 10, 8, 10, p.line), kit.NewSeparator(), kit.Grow(t))
	p.show(app.Share{Phase: app.Stopped})
	return p
}

func (p *ports) cell(row, col int) kit.Cell {
	if row >= len(p.holders) {
		return kit.Cell{}
	}
	one := p.holders[row]
	switch col {
	case 0:
		return kit.Cell{Text: strconv.Itoa(int(one.Port)), Mono: true}
	case 1:
		if one.InUse {
			return kit.Cell{Text: "in use", Icon: kit.IconColored(kit.IconArrowRight, kit.ColorClient)}
		}
		return kit.Cell{Text: "offered", Icon: kit.IconColored(kit.IconClock, kit.ColorMuted)}
	case 2:
		return kit.Cell{Text: connlog.Printable(one.User)}
	case 3:
		return kit.Cell{Text: one.Client.Addr().Unmap().String()}
	case 4:
		return kit.Cell{Text: one.Session, Mono: true}
	}
	if one.Since.IsZero() {
		return kit.Cell{}
	}
	return kit.Cell{Text: one.Since.Format("15:04:05")}
}

func (p *ports) text(one app.PortHolder) string {
	state := "offered"
	if one.InUse {
		state = "in use"
	}
	return fmt.Sprintf("%d %s by %s at %s, session %s", one.Port, state, connlog.Printable(one.User), one.Client.Addr().Unmap(), one.Session)
}

// show brings the tab in line with the server.
func (p *ports) show(st app.Share) {
	p.holders = st.Ports
	p.drawn.redraw(p.table)
	moving := 0
	for _, one := range p.holders {
		if one.InUse {
			moving++
		}
	}
	spans := []kit.Span{{Text: portsTaken(st), Bold: true}}
	switch waiting := len(p.holders) - moving; {
	case st.Phase == app.Stopped:
		spans = []kit.Span{{Text: "While you share, the passive ports in use appear here.", Color: kit.ColorMuted}}
	case moving > 0 && waiting > 0:
		spans = append(spans, kit.Span{Text: fmt.Sprintf(": %s, %s for a client.", count(moving, "data channel", "data channels"), count(waiting, "waits", "wait")), Color: kit.ColorMuted})
	case moving > 0:
		spans = append(spans, kit.Span{Text: ": " + count(moving, "data channel", "data channels") + ".", Color: kit.ColorMuted})
	case waiting > 0:
		spans = append(spans, kit.Span{Text: ": " + count(waiting, "waits", "wait") + " for a client.", Color: kit.ColorMuted})
	default:
		spans = append(spans, kit.Span{Text: ".", Bold: true})
	}
	if n := st.Shortage.Times; n > 0 {
		last := st.Shortage.Last
		if more := len(last.Holders) - holdersSaid; more > 0 {
			last.Holders = append(slices.Clone(last.Holders[:holdersSaid]), fmt.Sprintf("%d more", more))
		}
		why := connlog.Sentence(last)
		if last.Event == connlog.PortsExhausted && len(last.Holders) > 0 {
			why = "Taken by " + strings.Join(last.Holders, "; ") + "." // that the range was full is said
		}
		spans = append(spans,
			kit.Span{Text: " The range was full " + count(n, "time", "times") + ", last at " + last.Time.Format("15:04:05") + ".", Color: kit.ColorBad, Bold: true},
			kit.Span{Text: " " + connlog.Printable(why) + " Make the range larger, in your firewall and router too. ", Color: kit.ColorMuted},
			kit.Span{Text: "Show it", OnTap: func() { p.s.showSession(last.Session) }})
	}
	var said strings.Builder
	for _, one := range spans {
		said.WriteString(one.Text)
	}
	if said.String() != p.said {
		p.said = said.String()
		p.line.SetSpans(spans...)
		p.object.Refresh()
	}
}

// holdersSaid is how many holders are named where the range was full; the log has all.
const holdersSaid = 2

// portsTaken says how many passive ports are taken, of how many, and how many of a range that was set before. Several
// people may share a port.
func portsTaken(st app.Share) string {
	if st.PortsTotal == 0 {
		return count(taken(st.Ports), "passive port", "passive ports") + " in use"
	}
	var within []app.PortHolder
	for _, one := range st.Ports {
		if n := int(one.Port) - int(st.PortsMin); n >= 0 && n < st.PortsTotal {
			within = append(within, one)
		}
	}
	text := fmt.Sprintf("%d of %d passive ports in use", taken(within), st.PortsTotal)
	if former := taken(st.Ports) - taken(within); former > 0 {
		text += fmt.Sprintf(", %d of the former range", former)
	}
	return text
}

func taken(holders []app.PortHolder) int {
	ports := map[uint16]bool{}
	for _, one := range holders {
		ports[one.Port] = true
	}
	return len(ports)
}

// badge is the number beside the tab's title.
func (p *ports) badge() string {
	if len(p.holders) == 0 {
		return ""
	}
	return strconv.Itoa(taken(p.holders))
}

// told says in words which address clients are told: those of the local networks, and all others.
func told(set app.ShareSettings, local, value string) string {
	if value == "" {
		value = "this address"
	}
	if who := set.LocalPeople(); who != "nobody" {
		return connlog.Capital(who) + " are told " + local + ", everyone else " + value + "."
	}
	return "Everyone is told " + value + ", also on your own network: the list of local networks is empty."
}

// editNetworks opens the dialog with the list of local networks. changed is called after it was saved.
func editNetworks(w *Window, changed func()) *kit.Dialog {
	defaults := networkLines(localserver.DefaultLocalNetworks())
	entry := kit.NewEntry()
	entry.MultiLine, entry.Wrapping = true, fyne.TextWrapOff
	entry.TextStyle = fyne.TextStyle{Monospace: true}
	entry.SetMinRowsVisible(10)
	text := defaults
	if list := w.app.Settings().Share.LocalNetworks; list != nil {
		text = networkLines(list)
	}
	entry.SetText(text)
	problem := kit.NewFlowText(kit.Span{Text: " "})
	d := &kit.Dialog{Title: "Local networks", Width: 480, Post: w.post, Focus: entry}
	read := func() ([]netip.Prefix, bool) {
		list, err := app.ParseNetworks(entry.Text)
		said := kit.Span{Text: "This is the default, with this computer's own networks besides.", Color: kit.ColorMuted}
		switch {
		case err != nil:
			said = kit.Span{Text: app.Sentence(err), Color: kit.ColorBad}
		case len(list) == 0:
			said = kit.Span{Text: "The list is empty: people at home are told the public address too, which few routers lead back.", Color: kit.ColorWarn}
		case slices.Equal(list, localserver.DefaultLocalNetworks()):
			list = nil
		default:
			said = kit.Span{Text: connlog.Capital(count(len(list), "network", "networks")) + ". This computer's own are not added.", Color: kit.ColorMuted}
		}
		problem.SetSpans(said)
		d.SetEnabled("Save", err == nil)
		d.Refresh()
		return list, err == nil
	}
	entry.OnChanged = func(string) { read() }
	d.Content = kit.VBox(8,
		kit.NewMutedParagraph("Clients from these networks are told the address that they reached this computer at, whatever the Passive IP is. One network a line, such as 192.168.1.0/24."),
		entry, problem)
	d.Buttons = []kit.DialogButton{
		{Text: "Default list", Left: true, Run: func() bool { entry.SetText(defaults); return false }},
		{Text: "Cancel", Cancel: true},
		{Text: "Save", Style: kit.Primary, Default: true, Run: func() bool {
			list, ok := read()
			if !ok {
				return false
			}
			w.app.SetLocalNetworks(list, func(err error) {
				w.post(func() {
					switch {
					case err == nil:
						d.Close()
						changed()
					case d.Open():
						problem.SetSpans(kit.Span{Text: app.Sentence(err), Color: kit.ColorBad})
						d.Refresh()
					default: // cancelled meanwhile
						kit.Message(w, "The local networks were not saved", app.Sentence(err))
					}
				})
			})
			return false
		}},
	}
	d.Show(w)
	read()
	return d
}

func networkLines(list []netip.Prefix) string {
	lines := make([]string, len(list))
	for i, p := range list {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
