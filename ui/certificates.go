package ui

import (
	"slices"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/connlog"
	"portside/ui/kit"
)

// describe is a certificate as rows of a name and a value; more stand below. An empty server is left out.
func describe(server string, d app.CertificateText, more ...[2]string) fyne.CanvasObject {
	lines := [][2]string{{"Server", server}, {"Issued to", d.Subject}, {"Names", d.Names}, {"Issued by", d.Issuer}}
	if d.From != "" {
		lines = append(lines, [2]string{"Valid", d.From + " to " + d.Until})
	}
	lines = append(append(lines, [2]string{"SHA-256", grouped(d.SHA256)}), more...)
	rows := []fyne.CanvasObject{}
	for _, l := range lines {
		if l[1] == "" {
			continue
		}
		text := kit.NewFlowText(kit.Span{Text: connlog.Printable(l[1]), Mono: l[0] == "SHA-256"})
		rows = append(rows, kit.HBox(8, kit.FixedWidth(84, besideText(l[0])), kit.Grow(text)))
	}
	return kit.VBox(2, rows...)
}

// besideText names a paragraph at its side, in line with the first of its lines.
func besideText(label string) fyne.CanvasObject {
	return kit.VBox(0, kit.FixedHeight(kit.LineHeight, kit.NewMutedLabel(label)))
}

// oldAndNew shows the certificate that was trusted beside the one that the server shows now, with borders of the colours.
func oldAndNew(q *app.CertificateQuestion, oldColor, newColor fyne.ThemeColorName) fyne.CanvasObject {
	before, now := app.DescribeCertificate(q.Before), q.Describe()
	before.SHA256 = q.Known
	since := "" // not known
	if !q.Since.IsZero() {
		since = q.Since.Local().Format(time.DateOnly)
	}
	card := func(title string, color fyne.ThemeColorName, content fyne.CanvasObject) fyne.CanvasObject {
		k := kit.NewCard(title, content)
		k.SetBorder(color)
		return k
	}
	return container.NewGridWithColumns(2,
		card("Trusted until now", oldColor, describe("", before, [2]string{"Trusted", since})),
		card("Shown now", newColor, describe("", now, [2]string{"Problem", now.Problem})))
}

// changedCertificate is the loud stop: a server that was trusted shows another certificate.
func (c *connect) changedCertificate(q *app.CertificateQuestion) *kit.Dialog {
	d := &kit.Dialog{Title: "Stop: this server's certificate has changed", Width: 780, Post: c.w.post}
	const trust = "Trust the new one"
	sure := kit.NewCheck("The server's owner has told me this new fingerprint", func(on bool) { d.SetEnabled(trust, on) })
	d.Content = kit.VBox(10,
		kit.NewFlowText(
			kit.Span{Text: connlog.Printable(q.Problem.Host) + " may be another computer that answers in its place. ", Bold: true, Color: kit.ColorBad},
			kit.Span{Text: "You trusted one certificate for it, and it shows another. If its owner has renewed it, ask for the new fingerprint and compare. Nothing was sent so far."}),
		oldAndNew(q, kit.ColorGood, kit.ColorBad),
		sure)
	d.Buttons = []kit.DialogButton{
		{Text: trust, Left: true, Style: kit.Danger, Run: func() bool { q.Answer(app.TrustAlways); return true }},
		{Text: "Don't connect", Style: kit.Primary, Default: true, Cancel: true, Run: func() bool { q.Answer(app.TrustNo); return true }},
	}
	d.Show(c.w)
	d.SetEnabled(trust, false)
	return d
}

// vouchedCertificate asks about a certificate that an authority vouches for in the place of one that the person has trusted.
func (c *connect) vouchedCertificate(q *app.CertificateQuestion) *kit.Dialog {
	answer := func(t app.Trust) func() bool {
		return func() bool { q.Answer(t); return true }
	}
	d := &kit.Dialog{Title: "This server's certificate has changed", Width: 780, Post: c.w.post}
	d.Content = kit.VBox(10,
		kit.NewFlowText(kit.Span{Text: connlog.Printable(q.Problem.Host) + " shows another certificate than the one that you trusted. An authority that this computer trusts vouches for the new one: " +
			"most likely its owner got a proper certificate. If in doubt, ask. Nothing was sent so far."}),
		oldAndNew(q, "", ""))
	d.Buttons = []kit.DialogButton{
		{Text: "Trust the authority from now on", Left: true, Run: answer(app.TrustAlways)},
		{Text: "Trust once", Run: answer(app.TrustOnce)},
		{Text: "Don't connect", Default: true, Cancel: true, Run: answer(app.TrustNo)},
	}
	d.Show(c.w)
	return d
}

// certificates is the dialog with the trusted certificates.
type certificates struct {
	w      *Window
	all    []app.Certificate
	table  *kit.Table
	dialog *kit.Dialog
}

func openCertificates(w *Window) *certificates {
	c := &certificates{w: w}
	t := kit.NewTable(
		kit.Column{ID: "server", Title: "Server", Flex: true, Min: 140},
		kit.Column{ID: "subject", Title: "Issued to", Width: 150},
		kit.Column{ID: "until", Title: "Valid until", Width: 90},
		kit.Column{ID: "since", Title: "Trusted since", Width: 104},
		kit.Column{ID: "print", Title: "SHA-256", Width: 150},
	)
	c.table = t
	t.Label, t.Single = "Trusted certificates", true
	t.Length = func() int { return len(c.all) }
	t.Key = func(i int) string { return c.all[i].Server }
	t.Cell = c.cell
	t.OnActivated = c.show
	t.OnSelectionChanged = c.enable
	t.OnKey = func(ev *fyne.KeyEvent) bool {
		if ev.Name == fyne.KeyDelete {
			c.with(c.forget)()
			return true
		}
		return false
	}
	t.OnMenu = func(rows []int, at fyne.Position) {
		if len(rows) == 1 {
			kit.ShowMenu(t, fyne.NewMenu("", fyne.NewMenuItem("Details…", c.with(c.show)), fyne.NewMenuItem("Forget", c.with(c.forget))), at)
		}
	}
	t.SetEmpty(kit.Empty{Text: "No certificates.", Hint: "Those that you trust for good when a server shows them appear here."})
	stay := func(f func()) func() bool { return func() bool { f(); return false } }
	c.dialog = &kit.Dialog{Title: "Trusted certificates", Width: 720, Post: w.post, Focus: t,
		Content: kit.VBox(8, kit.FixedHeight(230, kit.NewFlushCard(t)),
			kit.NewMutedParagraph("When a server shows another certificate than the one here, you are warned before anything is sent. Forget one, and the next connection asks again.")),
		Buttons: []kit.DialogButton{
			{Text: "Details…", Left: true, Run: stay(c.with(c.show))},
			{Text: "Forget", Left: true, Run: stay(c.with(c.forget))},
			{Text: "Close", Style: kit.Primary, Default: true, Cancel: true, Run: func() bool { w.settings.refresh(); return true }},
		}}
	c.read()
	c.dialog.Show(w)
	t.SetCursor(0)
	c.enable()
	return c
}

func (c *certificates) read() {
	c.all = c.w.app.Certificates()
	c.table.Refresh()
}

func (c *certificates) enable() {
	one := len(c.table.Selected()) == 1
	c.dialog.SetEnabled("Details…", one)
	c.dialog.SetEnabled("Forget", one)
}

func (c *certificates) with(f func(row int)) func() {
	return func() {
		if rows := c.table.Selected(); len(rows) == 1 {
			f(rows[0])
		}
	}
}

func (c *certificates) cell(row, col int) kit.Cell {
	one := c.all[row]
	d := app.DescribeCertificate(one.X509)
	cell := kit.Cell{Text: connlog.Printable(one.Server)}
	switch col {
	case 1:
		cell.Text = connlog.Printable(d.Subject)
	case 2:
		cell.Text = d.Until
		if one.X509 != nil && time.Now().After(one.X509.NotAfter) {
			cell.Color = kit.ColorBad
		}
	case 3:
		cell.Text = ""
		if !one.Since.IsZero() {
			cell.Text = one.Since.Local().Format(time.DateOnly)
		}
	case 4:
		cell.Text, cell.Mono = one.SHA256, true
	}
	return cell
}

func (c *certificates) show(row int) {
	one := c.all[row]
	d := app.DescribeCertificate(one.X509)
	d.SHA256 = one.SHA256
	since := ""
	if !one.Since.IsZero() {
		since = one.Since.Local().Format(time.DateOnly)
	}
	box := &kit.Dialog{Title: connlog.Printable(one.Server), Width: 560, Post: c.w.post, Content: describe("", d, [2]string{"Trusted", since})}
	box.Buttons = []kit.DialogButton{
		{Text: "Copy the fingerprint", Left: true, Run: func() bool { kit.Copy(c.table, one.SHA256); return false }},
		{Text: "Close", Style: kit.Primary, Default: true, Cancel: true},
	}
	box.Show(c.w)
}

func (c *certificates) forget(row int) {
	server := c.all[row].Server
	kit.Confirm(c.w, "Forget this certificate?", "The next connection to "+connlog.Printable(server)+" asks whether you trust what it shows.", "Forget", true, func() {
		c.w.app.ForgetCertificate(server)
		c.read()
		if i := slices.IndexFunc(c.all, func(o app.Certificate) bool { return o.Server > server }); i >= 0 {
			row = i
		}
		c.table.SetCursor(min(row, len(c.all)-1))
		c.enable()
	})
}
