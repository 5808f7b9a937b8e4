package ui

import (
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/connlog"
	"portside/doctor"
	"portside/ui/kit"
)

// learnText is a page: a picture and some paragraphs. In a paragraph **bold** is bold, `code` is typewriter, and
// [words](page) lead to another page.
type learnText struct {
	id, tab, title string
	setup          doctor.Setup // its picture, and what "Try it" opens
	figure         *figure      // a picture that no setup gives
	text           []string
}

// The setups that pages show.
var (
	openPassive   = doctor.Setup{Mode: connlog.Passive, RangeSet: true}
	openActive    = doctor.Setup{Mode: connlog.Active}
	closedActive  = doctor.Setup{Mode: connlog.Active, ClientFirewall: true, ServerFirewall: true}
	guarded       = doctor.Setup{Mode: connlog.Passive, ClientFirewall: true, ServerFirewall: true, RangeSet: true, RangeOpen: true}
	noPassiveIP   = doctor.Setup{Mode: connlog.Passive, ClientNAT: true, ServerNAT: true, RangeSet: true, RangeForwarded: true}
	helperBlinded = doctor.Setup{Mode: connlog.Passive, EPSV: true, TLS: true, ServerNAT: true, RangeSet: true, PassiveIP: true, Helper: true}
)

var pagesOfLearn = []learnText{
	{id: "channels", tab: "Two channels", title: "Two channels", setup: openPassive, text: []string{
		"FTP uses two connections where most protocols use one.",
		"The **control channel** carries the commands and the replies: signing in, asking for a listing, asking for a file. The client opens it, to the server's port 21, and it stands for the whole session.",
		"Each listing and each file goes through a **data channel** of its own, opened for it and closed after it. Ten files are ten data channels.",
		"Who opens the data channel is the whole question: in [passive mode](passive) the client, in [active mode](active) the server. When a session hangs after signing in, it is nearly always the data channel that [a firewall](firewalls) stopped.",
	}},
	{id: "passive", tab: "Passive", title: "Passive mode: the client opens both", setup: openPassive, text: []string{
		"The client asks for passive mode (`PASV` or `EPSV`), and the server names a port where it waits. Then the client opens the data channel, to that port. “Passive” is the server: it waits.",
		"To the client's firewall both channels are outbound, and outbound is nearly always let go. To the firewall on the server's side both are inbound: it has to let in port 21 and the server's [passive range](range).",
		"The reply to `PASV` names an address and a port. The reply to `EPSV` names the port alone, and the client takes the address that it already talks to, so there is no [address to get wrong](passive-ip).",
	}},
	{id: "active", tab: "Active", title: "Active mode: the server dials back", setup: openActive, text: []string{
		"The client waits at a port of its own and tells the server where: `PORT` or `EPRT`, with its address and that port. Then the server dials back and opens the data channel, usually from its port 20.",
		"To the client's firewall that is inbound, and most firewalls and home routers stop that. Behind a router the client also names a private address, which means nothing outside.",
		"It is FTP's first way, older than firewalls. It still serves where both computers are in one network, or where the client can let the server in and the server's side can't open a [passive range](range).",
	}},
	{id: "firewalls", tab: "Firewalls", title: "Firewalls: who is inbound to whom", setup: closedActive, text: []string{
		"A firewall asks first who opened a connection. What leaves is **outbound**, and mostly let go. What arrives is **inbound**, and mostly stopped. Once a connection stands, it lets both directions through: so it doesn't matter whether you download or upload.",
		"In [passive mode](passive) the data channel is outbound for the client and inbound for the server. In [active mode](active) it is the other way round, as in the picture.",
		"You look after one firewall at your server. The firewalls at the clients belong to everyone who visits it. That is why passive mode is the one to set up.",
		"A firewall that drops says nothing: the client waits, and the listing hangs. A firewall that rejects answers at once: connection refused.",
	}},
	{id: "range", tab: "Range", title: "The passive range, and its size", figure: rangeFigure(), setup: guarded, text: []string{
		"Without a range the server waits at any free port, and nobody knows which port to open. Give it a **passive range**, for instance 21100–21199, and let exactly that in: at the server's firewall, and in the router before it, with the same numbers.",
		"Each listing and each file that moves uses one port. So count **people at once × files each at once**, and half as many again for offers that nobody takes: 12 people with 4 files each need about 72 ports.",
		"Too few, and the server says no to the latecomers (425). Too many, and more is open than need be. For a home 20 are plenty, and 100 serve most offices.",
		"Stay above 1024 and below 32768: higher ports are where computers take the ports for their own outgoing connections from.",
	}},
	{id: "passive-ip", tab: "Passive IP", title: "Passive IP and NAT", setup: noPassiveIP, text: []string{
		"Behind a router (NAT) the server has a private address, and the router has the public one. The server knows only its own. So it answers `PASV` with 10.0.0.4, which means nothing outside its own network, and the data channel leads nowhere.",
		"**Passive IP** is the setting for what to tell clients instead: the router's public address. Other servers call it external IP, masquerade address or pasv_address.",
		"The router also has to forward port 21 and the [passive range](range), with the same numbers.",
		"`EPSV` names no address, and many programs dial the address they already reach when they are told a private one; Portside does, and says so. So a Passive IP that isn't set may go unnoticed with one client and break the next.",
		"In the server's own network the public address often doesn't come back. Portside tells clients there its local address, and everyone else the Passive IP.",
	}},
	{id: "tls", tab: "TLS, SFTP", title: "FTPS is no different; SFTP and HTTP need one channel", figure: sftpFigure(), setup: helperBlinded, text: []string{
		"**FTPS** is FTP inside TLS. Explicit FTPS begins at port 21 and then turns TLS on, implicit FTPS has it from the start at port 990. The channels are the same two, opened by the same sides, and firewalls have to let the same ports in.",
		"One thing gets harder: some routers and firewalls help with FTP. They read the commands, mend the addresses and open the ports. TLS hides the commands from them too, so a server that lived on such help stops working the day TLS is turned on. Set a [passive range](range) and a [Passive IP](passive-ip), and no help is needed.",
		"**SFTP** and **HTTP** need one channel only: commands and files share it, and the client opens it. One port at the server is enough: 22 for SFTP, 443 for HTTPS. SFTP is no kind of FTP; it is part of SSH.",
	}},
	{id: "mode", tab: "Which mode?", title: "Which mode to choose", setup: guarded, text: []string{
		"**Passive, nearly always**: you control your server's firewall, but not the firewall of everyone who visits it.",
		"Take **active** where both computers are in one network with no firewall between them, or where the server's side can't be changed and yours can: then let the server in at your firewall, and forward the port in your router.",
		"Neither helps where the client's firewall lets only a few ports out and nothing in. Then ask for the passive range to be let out, or use [SFTP](tls).",
		"Portside tries passive mode first. Where no data channel comes about, it tries active mode once, and says so.",
	}},
}

func rangeFigure() *figure {
	f := figureOf(doctor.Simulate(guarded))
	f.arrows = f.arrows[:1]
	f.arrows[0].labels = []string{"Control", "Control"}
	for i, to := range []string{":21107", ":21142", ":21163"} {
		f.arrows = append(f.arrows, arrow{by: connlog.Client, labels: []string{
			[]string{"Data · the listing", "Data · a.iso", "Data · b.iso"}[i],
		}, ports: [2]string{[]string{":51813", ":51814", ":51815"}[i], to}})
	}
	return &f
}

func sftpFigure() *figure {
	f := figureOf(doctor.Simulate(guarded))
	f.walls[1].rule = "in: 22 · out: free"
	f.arrows = []arrow{{by: connlog.Client, labels: []string{"SFTP · commands and files · the client opened it", "SFTP · commands and files", "SFTP"}, ports: [2]string{":51812", ":22"}}}
	return &f
}

// learnPage returns the page that explains a run or, by its verdict, a report of Doctor. The ids of the pages, for
// [learn.open], are channels, passive, active, firewalls, range, passive-ip, tls and mode.
func learnPage(r doctor.Run) string {
	switch r.Verdict {
	case doctor.OK:
		return string(r.Setup.Mode)
	case doctor.ServerFirewallPassive, doctor.ServerForwardPassive:
		return "range"
	}
	return pageOfVerdict(r.Verdict)
}

// pageOfVerdict returns the page that explains a verdict of Doctor.
func pageOfVerdict(v doctor.Verdict) string {
	switch v {
	case doctor.OKWithFault, doctor.ServerPassiveIP, doctor.ServerPassiveHairpin:
		return "passive-ip"
	case doctor.ServerForwardPassive, doctor.ServerPassiveExhausted:
		return "range"
	case doctor.ServerFirewallPassive, doctor.ClientFirewallActive, doctor.ServerEgressActive, doctor.ClientFirewallOutbound:
		return "firewalls"
	case doctor.ClientNATActive, doctor.ActiveDisabled:
		return "active"
	case doctor.EPSVBroken, doctor.IPv6Unsupported, doctor.ClientMultiAddress:
		return "passive"
	case doctor.ALGBlindTLS, doctor.ALGTamper, doctor.TLSModeMismatch, doctor.TLSRequired, doctor.TLSUnsupported,
		doctor.TLSCertificate, doctor.TLSSessionReuse, doctor.TLSDataProtection:
		return "tls"
	}
	return "channels"
}

// learnPages shows one page at a time.
type learnPages struct {
	l      *learn
	object fyne.CanvasObject
	tabs   *kit.TabBar
	body   *container.Scroll
	shown  int
}

func newLearnPages(l *learn) *learnPages {
	p := &learnPages{l: l, shown: -1}
	var titles []string
	for _, page := range pagesOfLearn {
		titles = append(titles, page.tab)
	}
	back := kit.NewButton("Simulator", func() { l.open("") })
	back.Icon, back.Tip, back.Style = kit.IconBack, "Back to the simulator  Escape", kit.Quiet
	p.tabs = kit.NewTabBar(titles, back)
	p.tabs.OnSelected = func(i int) { l.open(pagesOfLearn[i].id) }
	p.body = container.NewVScroll(kit.VBox(0))
	p.object = kit.Pad(12, 12, 12, 12, kit.NewFlushCard(kit.VBox(0, p.tabs, kit.Grow(p.body))))
	return p
}

// show builds the page called id, and says whether there is one.
func (p *learnPages) show(id string) bool {
	i := slices.IndexFunc(pagesOfLearn, func(t learnText) bool { return t.id == id })
	if i < 0 {
		return false
	}
	if i != p.shown {
		p.shown = i
		p.body.Content = p.build(i)
		p.body.Offset = fyne.Position{}
		p.body.Refresh()
	}
	p.tabs.Select(i)
	return true
}

// scroll moves the page for the keyboard.
func (p *learnPages) scroll(by float32) {
	most := max(0, p.body.Content.MinSize().Height-p.body.Size().Height)
	p.body.Offset.Y = min(max(p.body.Offset.Y+by, 0), most)
	p.body.Refresh()
}

const (
	pageWidth         float32 = 860
	pageFigure        float32 = 264
	pagePictureLeast  float32 = 560
	pageParagraphSize float32 = kit.TextSize + 1
)

func (p *learnPages) build(i int) fyne.CanvasObject {
	page := pagesOfLearn[i]
	head := kit.NewBoldLabel(page.title)
	head.TextSize = kit.HeadlineSize
	pic := newPicture(fyne.NewSize(pagePictureLeast, pageFigure))
	if page.figure != nil {
		pic.show(*page.figure, nil)
	} else {
		pic.show(figureOf(doctor.Simulate(page.setup)), nil)
	}
	pic.draw(float32(len(pic.fig.arrows)))
	parts := []fyne.CanvasObject{head, pic}
	for _, text := range page.text {
		para := kit.NewFlowText(p.spans(text)...)
		para.TextSize = pageParagraphSize
		parts = append(parts, para)
	}
	try := kit.NewPrimaryButton("Try it", func() { p.l.try(page.setup) })
	try.Tip = "Open this in the simulator and change it"
	buttons := []fyne.CanvasObject{try}
	if i+1 < len(pagesOfLearn) {
		next := pagesOfLearn[i+1]
		buttons = append(buttons, kit.NewButton("Next: "+next.title, func() { p.l.open(next.id) }))
	}
	parts = append(parts, kit.HBox(kit.Gap, buttons...))
	return container.New(&column{most: pageWidth}, kit.Pad(16, 20, 20, 20, kit.VBox(12, parts...)))
}

// spans reads a page's marks.
func (p *learnPages) spans(text string) []kit.Span {
	var out []kit.Span
	plain := func(s string) {
		if s != "" {
			out = append(out, kit.Span{Text: s})
		}
	}
	for text != "" {
		i := strings.IndexAny(text, "*`[")
		if i < 0 {
			break
		}
		plain(text[:i])
		text = text[i:]
		switch text[0] {
		case '*':
			bold, rest, _ := strings.Cut(strings.TrimPrefix(text, "**"), "**")
			out = append(out, kit.Span{Text: bold, Bold: true})
			text = rest
		case '`':
			code, rest, _ := strings.Cut(text[1:], "`")
			out = append(out, kit.Span{Text: code, Mono: true})
			text = rest
		default:
			words, rest, _ := strings.Cut(text[1:], "](")
			id, after, _ := strings.Cut(rest, ")")
			out = append(out, kit.Span{Text: words, OnTap: func() { p.l.open(id) }})
			text = after
		}
	}
	plain(text)
	return out
}

// column keeps an object from being wider than can be read well, in the middle of what there is.
type column struct{ most float32 }

func (c *column) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	w := min(size.Width, c.most)
	for _, o := range objects {
		o.Resize(fyne.NewSize(w, size.Height))
		o.Move(fyne.NewPos(float32(int((size.Width-w)/2)), 0))
	}
}

func (c *column) MinSize(objects []fyne.CanvasObject) fyne.Size { return objects[0].MinSize() }
