package kit

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"portside/connlog"
)

// DialogButton is an answer to a [Dialog].
type DialogButton struct {
	Text  string
	Style ButtonStyle
	// Default is run by Enter, from wherever the focus is but on another button.
	Default bool
	// Cancel is run by Escape.
	Cancel bool
	// Run does it. It says whether the dialog may close; nil: it just closes.
	Run func() bool
	// Left puts the button at the left end, apart from the answers.
	Left bool
}

// Dialog asks something and holds back the rest of the window until it has an answer. Enter runs the default button, Escape
// the one that cancels, Tab goes round inside.
type Dialog struct {
	Title   string
	Content fyne.CanvasObject // gets the dialog's width
	Buttons []DialogButton
	// Focus has the keyboard first; nil: the default button.
	Focus fyne.Focusable
	// Width is the least width of the content; 0: 400. Height is its least height.
	Width, Height float32
	// OnClosed is called when the dialog is gone, however that came.
	OnClosed func()
	// OnKey sees the keys that nothing inside has used, before Enter and Escape. It says whether it used one.
	OnKey func(*fyne.KeyEvent) bool
	// Post lets tooltips and toasts come; nil: fyne.Do.
	Post Post

	canvas  fyne.Canvas
	overlay *dialogOverlay
	keys    func(*fyne.KeyEvent)
	under   fyne.Focusable // has the keyboard again when the dialog is gone
	buttons []*Button
	closed  bool
}

// Show opens the dialog in a window.
func (d *Dialog) Show(w fyne.Window) {
	d.canvas = w.Canvas()
	if d.Post == nil {
		d.Post = fyne.Do
	}
	hideTips(d.canvas)
	d.overlay = newDialogOverlay(d)
	d.keys = d.canvas.OnTypedKey()
	d.canvas.SetOnTypedKey(d.typedKey)
	d.under = d.canvas.Focused()
	shadeFocus(d.under, true)
	d.canvas.Overlays().Add(d.overlay)
	d.overlay.Resize(d.canvas.Size())
	d.canvas.Focus(d.firstFocus())
}

func (d *Dialog) firstFocus() fyne.Focusable {
	if d.Focus != nil {
		return d.Focus
	}
	for _, want := range []func(DialogButton) bool{
		func(b DialogButton) bool { return b.Default },
		func(b DialogButton) bool { return b.Cancel },
		func(DialogButton) bool { return true },
	} {
		for i, b := range d.Buttons {
			if want(b) {
				return d.buttons[i]
			}
		}
	}
	return nil
}

// Close takes the dialog away.
func (d *Dialog) Close() {
	if d.overlay == nil || d.closed {
		return
	}
	d.closed = true
	d.leave()
	d.overlay.stop()
	if d.OnClosed != nil {
		d.OnClosed()
	}
}

// leave takes the dialog off the canvas. Fyne takes everything above away with it, so the dialogs there are put back with
// their focus: one may have come for another reason, and nobody would see what it asks.
func (d *Dialog) leave() {
	stack := d.canvas.Overlays()
	var above []*dialogOverlay
	if at := slices.Index(stack.List(), fyne.CanvasObject(d.overlay)); at >= 0 {
		for _, o := range stack.List()[at+1:] {
			if o, ok := o.(*dialogOverlay); ok {
				above = append(above, o)
			}
		}
	}
	if len(above) == 0 {
		stack.Remove(d.overlay)
		d.canvas.SetOnTypedKey(d.keys)
		if d.under != nil && d.canvas.Focused() == d.under {
			shadeFocus(d.under, false)
		}
		return
	}
	above[0].d.keys, above[0].d.under = d.keys, d.under // not those of the dialog that is gone
	focused := d.canvas.Focused()
	d.canvas.Unfocus()
	stack.Remove(d.overlay)
	for _, o := range above {
		stack.Add(o)
		o.Resize(d.canvas.Size())
	}
	if focused != nil {
		d.canvas.Focus(focused)
	}
}

// Open says whether the dialog is to be seen.
func (d *Dialog) Open() bool { return d.overlay != nil && !d.closed }

// SetEnabled enables or disables the button with a title.
func (d *Dialog) SetEnabled(title string, on bool) {
	for i, b := range d.Buttons {
		if b.Text == title && i < len(d.buttons) {
			if on {
				d.buttons[i].Enable()
			} else {
				d.buttons[i].Disable()
			}
		}
	}
}

// SetDefault makes the button with a title the one that Enter runs, and shows it so.
func (d *Dialog) SetDefault(title string) {
	for i := range d.Buttons {
		one := &d.Buttons[i]
		one.Default = one.Text == title
		switch {
		case one.Default && one.Style == Plain:
			one.Style = Primary
		case !one.Default && one.Style == Primary:
			one.Style = Plain
		}
		if i < len(d.buttons) {
			d.buttons[i].Style = one.Style
			d.buttons[i].Refresh()
		}
	}
}

// NameDefault gives the default button of an open dialog another title.
func (d *Dialog) NameDefault(text string) {
	for i, b := range d.Buttons {
		if b.Default && i < len(d.buttons) && b.Text != text {
			d.Buttons[i].Text = text
			d.buttons[i].SetText(text)
			d.Refresh()
		}
	}
}

// Refresh lays the dialog out again after its content has changed its size.
func (d *Dialog) Refresh() {
	if d.Open() {
		d.overlay.layout(d.overlay.Size())
		canvas.Refresh(d.overlay)
	}
}

func (d *Dialog) run(i int) {
	if !d.Open() || d.buttons[i].Disabled() {
		return
	}
	if run := d.Buttons[i].Run; run == nil || run() {
		d.Close()
	}
}

// Accept runs the default button, as Enter does.
func (d *Dialog) Accept() { d.runFirst(func(b DialogButton) bool { return b.Default }) }

// Cancel runs the button that cancels, as Escape does; without one the dialog just closes.
func (d *Dialog) Cancel() {
	if !d.runFirst(func(b DialogButton) bool { return b.Cancel }) {
		d.Close()
	}
}

func (d *Dialog) runFirst(want func(DialogButton) bool) bool {
	for i, b := range d.Buttons {
		if want(b) {
			d.run(i)
			return true
		}
	}
	return false
}

// typedKey hears the keys that nothing in the dialog has a use for. A menu open above the dialog has the keyboard itself.
func (d *Dialog) typedKey(ev *fyne.KeyEvent) {
	if d.OnKey != nil && d.OnKey(ev) {
		return
	}
	switch ev.Name {
	case fyne.KeyEscape:
		d.Cancel()
	case fyne.KeyReturn, fyne.KeyEnter:
		d.Accept()
	}
}

// dialogOverlay covers the window: a shade, and the dialog in its middle.
type dialogOverlay struct {
	widget.BaseWidget
	*floats
	d       *Dialog
	shade   *canvas.Rectangle
	back    *canvas.Rectangle
	title   *Label
	content fyne.CanvasObject
	row     *fyne.Container
}

func newDialogOverlay(d *Dialog) *dialogOverlay {
	o := &dialogOverlay{d: d, floats: newFloats(d.Post), content: d.Content, title: NewBoldLabel(d.Title)}
	o.title.TextSize, o.title.Shrink = TitleSize, true // a file's name may be longer than the window is wide
	if o.content == nil {
		o.content = canvas.NewRectangle(colorTransparent)
	}
	var left, right []fyne.CanvasObject
	for i, b := range d.Buttons {
		button := NewButton(b.Text, func() { d.run(i) })
		button.Style = b.Style
		d.buttons = append(d.buttons, button)
		if b.Left {
			left = append(left, button)
		} else {
			right = append(right, button)
		}
	}
	o.row = HBox(Gap, append(append(left, Space()), right...)...)
	o.ExtendBaseWidget(o)
	return o
}

// Tapped is called by Fyne: a click beside the dialog does nothing.
func (o *dialogOverlay) Tapped(*fyne.PointEvent) {}

const (
	dialogPad    float32 = 20
	dialogMargin float32 = 24
)

func (o *dialogOverlay) layout(size fyne.Size) {
	o.shade.Resize(size)
	width := o.d.Width
	if width == 0 {
		width = 400
	}
	width = max(width, o.content.MinSize().Width, o.row.MinSize().Width, o.title.wish())
	width = min(width, size.Width-2*(dialogPad+dialogMargin))
	o.content.Resize(fyne.NewSize(width, o.content.MinSize().Height)) // a paragraph's height depends on its width
	top := dialogPad
	titleHeight := float32(0)
	if o.d.Title != "" {
		titleHeight = o.title.MinSize().Height + 10
	}
	contentHeight := max(o.d.Height, o.content.MinSize().Height)
	rowHeight := o.row.MinSize().Height
	total := top + titleHeight + contentHeight + 18 + rowHeight + dialogPad
	if over := total - (size.Height - 2*dialogMargin); over > 0 {
		contentHeight -= over
		total -= over
	}
	x := float32(int((size.Width - width - 2*dialogPad) / 2))
	y := float32(int(max(dialogMargin, (size.Height-total)*0.4)))
	o.back.Move(fyne.NewPos(x, y))
	o.back.Resize(fyne.NewSize(width+2*dialogPad, total))
	x, y = x+dialogPad, y+top
	o.title.Move(fyne.NewPos(x, y))
	o.title.Resize(fyne.NewSize(width, o.title.MinSize().Height))
	y += titleHeight
	o.content.Move(fyne.NewPos(x, y))
	o.content.Resize(fyne.NewSize(width, contentHeight))
	y += contentHeight + 18
	o.row.Move(fyne.NewPos(x, y))
	o.row.Resize(fyne.NewSize(width, rowHeight))
	o.place(size)
}

func (o *dialogOverlay) paint() {
	o.shade.FillColor = Color(theme.ColorNameShadow)
	o.back.FillColor, o.back.StrokeColor = Color(theme.ColorNameOverlayBackground), Color(ColorPanelBorder)
	o.back.StrokeWidth, o.back.CornerRadius = 1, CardRadius
	o.back.Shadow = canvas.Shadow{Color: Color(theme.ColorNameShadow), BlurRadius: 24, Offset: fyne.NewPos(0, 6)}
	o.layout(o.Size())
}

// CreateRenderer is called by Fyne.
func (o *dialogOverlay) CreateRenderer() fyne.WidgetRenderer {
	o.shade, o.back = canvas.NewRectangle(colorTransparent), canvas.NewRectangle(colorTransparent)
	o.paint()
	return &simpleRenderer{
		objects: append([]fyne.CanvasObject{o.shade, o.back, o.title, o.content, o.row}, o.objects()...),
		layout:  o.layout,
		min: func() fyne.Size {
			return fyne.NewSize(200, 120)
		},
		refresh: o.paint,
	}
}

// Message tells something that needs no answer.
func Message(w fyne.Window, title, text string) *Dialog {
	d := &Dialog{
		Title: title, Content: NewParagraph(text),
		Buttons: []DialogButton{{Text: "Close", Default: true, Cancel: true}},
	}
	d.Show(w)
	return d
}

// Confirm asks whether to do something; yes is the verb on the button. A dangerous thing has Cancel as its default.
func Confirm(w fyne.Window, title, text, yes string, danger bool, run func()) *Dialog {
	style := Primary
	if danger {
		style = Danger
	}
	d := &Dialog{Title: title, Content: NewParagraph(text)}
	d.Buttons = []DialogButton{
		{Text: "Cancel", Cancel: true, Default: danger},
		{Text: yes, Style: style, Default: !danger, Run: func() bool {
			d.Close()
			run()
			return false
		}},
	}
	d.Show(w)
	return d
}

// PromptOptions describe a [Prompt].
type PromptOptions struct {
	Title    string
	Label    string // over the entry
	Text     string // in the entry at first, selected
	Hint     string // in the empty entry
	OK       string // the verb on the button; empty: "OK"
	Password bool
	// Stem leaves the file name's extension out of what is selected at first.
	Stem bool
	// Validate says why a text can't be taken; its error is shown below the entry.
	Validate func(text string) error
}

// Prompt asks for one line of text.
func Prompt(w fyne.Window, o PromptOptions, run func(text string)) *Dialog {
	if o.OK == "" {
		o.OK = "OK"
	}
	entry := NewEntry()
	if o.Password {
		entry = NewPasswordEntry()
	}
	entry.SetPlaceHolder(o.Hint)
	entry.SetText(o.Text)
	problem := NewMutedParagraph(" ")
	d := &Dialog{Title: o.Title, Focus: entry}
	check := func(text string) bool {
		if o.Validate == nil {
			return true
		}
		err := o.Validate(text)
		d.SetEnabled(o.OK, err == nil)
		if err == nil || text == "" || text == o.Text {
			problem.SetSpans(Span{Text: " "})
		} else {
			problem.SetSpans(Span{Text: connlog.Ended(err.Error()), Color: ColorBad})
		}
		d.Refresh()
		return err == nil
	}
	entry.OnChanged = func(text string) { check(text) }
	body := []fyne.CanvasObject{entry}
	if o.Label != "" {
		body = []fyne.CanvasObject{Field(o.Label, entry)}
	}
	if o.Validate != nil {
		body = append(body, problem)
	}
	d.Content = VBox(6, body...)
	d.Buttons = []DialogButton{
		{Text: "Cancel", Cancel: true},
		{Text: o.OK, Style: Primary, Default: true, Run: func() bool {
			if check(entry.Text) {
				d.Close()
				run(entry.Text)
			}
			return false
		}},
	}
	d.Show(w)
	check(entry.Text)
	selectStem(entry, o.Stem)
	return d
}

// selectStem selects the entry's text, of a file name only what comes before the extension.
func selectStem(e *Entry, stem bool) {
	runes := []rune(e.Text)
	end := len(runes)
	if stem {
		for i := len(runes) - 1; i > 0; i-- {
			if runes[i] == '.' {
				end = i
				break
			}
		}
	}
	if end == len(runes) {
		e.SelectText()
		return
	}
	e.CursorColumn = 0
	e.KeyDown(&fyne.KeyEvent{Name: "LeftShift"})
	for range end {
		e.Entry.TypedKey(&fyne.KeyEvent{Name: fyne.KeyRight})
	}
	e.KeyUp(&fyne.KeyEvent{Name: "LeftShift"})
}
