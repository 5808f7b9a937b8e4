package ui

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"portside/app"
	"portside/localserver"
	"portside/ui/kit"
)

var (
	resumePolicies = []localserver.ResumePolicy{localserver.ResumeNote, localserver.ResumeRequire, localserver.ResumeOff}
	resumeNames    = []string{"Offered, and noted in the log", "Required: older clients can't", "Not offered"}
)

// serverOptions is the dialog with what few people change of the local server.
type serverOptions struct {
	w       *Window
	numbers []*kit.Entry

	cert, key                *kit.Entry
	resume                   *kit.Select
	foreign, port20, discard *kit.Check
	problem                  *kit.FlowText
	dialog                   *kit.Dialog
}

func openServerOptions(w *Window) *serverOptions {
	f := &serverOptions{w: w, problem: kit.NewFlowText(kit.Span{Text: " "})}
	now := w.app.Settings().Share.Options
	grid := container.NewGridWithColumns(2)
	for _, n := range app.ServerNumbers() {
		e := kit.NewEntry()
		e.SelectOnFocus = true
		e.SetPlaceHolder(strconv.Itoa(n.Default))
		if v := *n.Of(&now); v > 0 {
			e.SetText(strconv.Itoa(v))
		}
		e.OnChanged = func(string) { f.say("") }
		f.numbers = append(f.numbers, e)
		right := float32(0)
		if len(f.numbers)%2 == 1 {
			right = 20 // between the columns
		}
		grid.Add(kit.Pad(0, right, 0, 0, kit.HBox(8, kit.Grow(kit.NewMutedLabel(n.Title)), kit.FixedWidth(64, e))))
	}
	f.cert, f.key = kit.NewEntry(), kit.NewEntry()
	f.cert.SetPlaceHolder("Self-signed, made by Portside")
	f.cert.SetText(now.CertFile)
	f.key.SetText(now.KeyFile)
	f.resume = kit.NewSelect(resumeNames, func(int) { f.say("") })
	f.resume.ShowSelected(max(0, slices.Index(resumePolicies, now.Resume)))
	f.foreign = kit.NewCheck("Data channels may come from another address than the control channel", func(bool) { f.say("") })
	f.foreign.Tip = "For clients with two ways to the internet. Whoever guesses a passive port can then take a file that is meant for somebody else."
	f.port20 = kit.NewCheck("In active mode, open data channels from port 20 where that is possible", func(bool) { f.say("") })
	f.discard = kit.NewCheck("Remove what came of an upload that broke", func(bool) { f.say("") })
	f.foreign.ShowChecked(now.ForeignData)
	f.port20.ShowChecked(now.Port20)
	f.discard.ShowChecked(now.DiscardPartial)

	f.dialog = &kit.Dialog{Title: "Server options", Width: 600, Post: w.post, Focus: f.numbers[0]}
	f.dialog.Content = kit.VBox(8, grid, kit.NewSeparator(),
		formRow("Certificate (PEM)", f.file(f.cert, "Choose a certificate")), formRow("Its key (PEM)", f.file(f.key, "Choose the certificate's key")),
		formRow("TLS resumption", f.resume), f.foreign, f.port20, f.discard, f.problem)
	f.dialog.Buttons = []kit.DialogButton{
		{Text: "Defaults", Left: true, Run: func() bool { f.clear(); return false }},
		{Text: "Cancel", Cancel: true},
		{Text: "Save", Style: kit.Primary, Default: true, Run: f.save},
	}
	f.dialog.Show(w)
	f.say("")
	return f
}

// file is a field for a file, with a button to choose one.
func (f *serverOptions) file(e *kit.Entry, title string) fyne.CanvasObject {
	e.OnChanged = func(string) { f.say("") }
	return kit.HBox(6, kit.Grow(e), kit.NewButton("Choose…", func() {
		start := ""
		if e.Text != "" {
			start = filepath.Dir(e.Text)
		}
		kit.ChooseFiles(f.w, title, "Choose", start, func(paths []string) {
			if len(paths) > 0 {
				e.SetText(paths[0])
			}
		})
	}))
}

func (f *serverOptions) clear() {
	for _, e := range append(slices.Clone(f.numbers), f.cert, f.key) {
		e.SetText("")
	}
	f.resume.ShowSelected(0)
	for _, c := range []*kit.Check{f.foreign, f.port20, f.discard} {
		c.ShowChecked(false)
	}
	f.say("")
}

// say shows a problem under the fields. Without one, it says from when on the options hold.
func (f *serverOptions) say(problem string) {
	span := kit.Span{Text: problem, Color: kit.ColorBad}
	if problem == "" {
		span = kit.Span{Text: "An empty field is the default.", Color: kit.ColorMuted}
		if f.w.app.Share().Phase != app.Stopped {
			span.Text += " Limits and other addresses hold at once, the rest from the next start."
		}
	}
	f.problem.SetSpans(span)
	f.dialog.Refresh()
}

// typed returns the options as the fields have them.
func (f *serverOptions) typed() (o app.ServerOptions, err error) {
	for i, n := range app.ServerNumbers() {
		text := strings.TrimSpace(f.numbers[i].Text)
		if text == "" {
			continue
		}
		v, err := strconv.Atoi(text)
		if err != nil || v < 1 || v > n.Most {
			return o, fmt.Errorf("%s: %q can't be: type a number from 1 to %d", n.Title, text, n.Most)
		}
		*n.Of(&o) = v
	}
	o.CertFile, o.KeyFile = strings.TrimSpace(f.cert.Text), strings.TrimSpace(f.key.Text)
	if p := resumePolicies[f.resume.Selected]; p != localserver.ResumeNote {
		o.Resume = p
	}
	o.ForeignData, o.Port20, o.DiscardPartial = f.foreign.Checked, f.port20.Checked, f.discard.Checked
	return o, nil
}

// save hands the options over and closes the dialog when they are saved.
func (f *serverOptions) save() bool {
	o, err := f.typed()
	if err != nil {
		f.say(app.Sentence(err))
		return false
	}
	f.dialog.SetEnabled("Save", false)
	f.w.app.SetServerOptions(o, func(err error) { f.w.post(func() { f.saved(err) }) })
	return false
}

func (f *serverOptions) saved(err error) {
	f.dialog.SetEnabled("Save", true)
	switch {
	case err == nil:
		f.dialog.Close()
	case f.dialog.Open():
		f.say(app.Sentence(err))
	default: // cancelled meanwhile
		kit.Message(f.w, "The server options were not saved", app.Sentence(err))
	}
}
