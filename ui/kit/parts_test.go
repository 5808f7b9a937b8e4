package kit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/test"

	"portside/ui/kit"
	"portside/ui/uitest"
)

// texts returns what a widget writes, piece by piece.
func texts(w fyne.Widget) (pieces []*canvas.Text) {
	for _, o := range test.WidgetRenderer(w).Objects() {
		switch o := o.(type) {
		case *canvas.Text:
			pieces = append(pieces, o)
		case fyne.Widget:
			pieces = append(pieces, texts(o)...)
		}
	}
	return pieces
}

func TestAParagraphWrapsAndKeepsItsWordsTogether(t *testing.T) {
	uitest.App(t, kit.Dark)
	f := kit.NewFlowText(
		kit.Span{Text: "You asked for active mode ("}, kit.Span{Text: "EPRT |1|192.168.1.7|50210|", Mono: true},
		kit.Span{Text: "), so the server dialled back.\nAn "}, kit.Span{Text: "inbound", Bold: true}, kit.Span{Text: " connection."},
	)
	for _, width := range []float32{120, 200, 333, 900} {
		f.Resize(fyne.NewSize(width, 20))
		lines := map[int]bool{}
		for _, p := range texts(f) {
			lines[int((p.Position().Y+10)/kit.LineHeight)] = true
			if right := p.Position().X + p.MinSize().Width; right > width+1 {
				t.Errorf("at %v: %q reaches to %v", width, p.Text, right)
			}
			if p.Text != "" && (p.Text[0] == ')' && p.Position().X == 0) {
				t.Errorf("at %v: %q was torn from its word", width, p.Text)
			}
		}
		if h := f.MinSize().Height; h != float32(len(lines))*kit.LineHeight {
			t.Errorf("at %v: height %v for %d lines", width, h, len(lines))
		}
	}
	if h := f.MinSize().Height; h != 2*kit.LineHeight {
		t.Errorf("at full width it has height %v", h)
	}
	if want := "You asked for active mode (EPRT |1|192.168.1.7|50210|), so the server dialled back.\nAn inbound connection."; f.String() != want {
		t.Errorf("as plain text: %q", f.String())
	}
	f.SetText("averyveryveryverylongwordwithoutanyspaceatall/and/more/of/it")
	f.Resize(fyne.NewSize(100, 20))
	for _, p := range texts(f) {
		if p.MinSize().Width > 101 {
			t.Errorf("%q is wider than the paragraph", p.Text)
		}
	}
}

func TestRailAndTabsAreOneStopOfTheKeyboardEach(t *testing.T) {
	uitest.App(t, kit.Light)
	var rail, tabs []int
	r := kit.NewRail(kit.RailItem{Title: "Connect", Icon: kit.IconConnect}, kit.RailItem{Title: "Share", Icon: kit.IconShare},
		kit.RailItem{Title: "Settings", Icon: kit.IconSettings, Bottom: true})
	r.OnSelected = func(i int) { rail = append(rail, i) }
	b := kit.NewTabBar([]string{"Channels", "Transfers"})
	b.OnSelected = func(i int) { tabs = append(tabs, i) }
	again := 0
	b.OnTappedAgain = func() { again++ }
	w := uitest.Window(t, kit.HBox(0, r, kit.Grow(b)), 600, 400)
	w.Canvas().FocusNext()
	for range 3 {
		uitest.Key(w, fyne.KeyDown)
	}
	uitest.Key(w, fyne.KeyUp)
	w.Canvas().FocusNext()
	uitest.Key(w, fyne.KeyRight)
	uitest.Key(w, fyne.KeyRight)
	uitest.Key(w, fyne.KeyReturn)
	uitest.Key(w, fyne.KeyLeft)
	b.SetCount(1, "2 of 14")
	if !slices.Equal(rail, []int{1, 2, 1}) || !slices.Equal(tabs, []int{1, 0}) || again != 1 {
		t.Errorf("rail %v, tabs %v, again %d", rail, tabs, again)
	}
}

func TestACountMovesNoTabForWhichRoomWasReserved(t *testing.T) {
	uitest.App(t, kit.Light)
	b := kit.NewTabBar([]string{"Channels", "Transfers"})
	b.Reserve(0, "99")
	uitest.Window(t, b, 600, 400)
	width := b.MinSize().Width
	for _, count := range []string{"1", "42", ""} {
		if b.SetCount(0, count); b.MinSize().Width != width {
			t.Errorf("with the count %q the tabs are %v wide, not %v", count, b.MinSize().Width, width)
		}
	}
	if b.SetCount(0, "12345"); b.MinSize().Width <= width {
		t.Error("a count that needs more has no more room")
	}
}

func TestFieldsAreChangedByKeyboard(t *testing.T) {
	uitest.App(t, kit.Light)
	var picks []int
	s := kit.NewSelect([]string{"Auto", "Passive", "Active"}, func(i int) { picks = append(picks, i) })
	ticks := 0
	c := kit.NewCheck("Use a passive port range", func(bool) { ticks++ })
	w := uitest.Window(t, kit.VBox(8, s, c), 300, 100)
	w.Canvas().Focus(s)
	for _, k := range []fyne.KeyName{fyne.KeyDown, fyne.KeyDown, fyne.KeyDown, fyne.KeyUp} {
		uitest.Key(w, k)
	}
	if !slices.Equal(picks, []int{1, 2, 1}) || s.Value() != "Passive" {
		t.Errorf("picks %v, value %q", picks, s.Value())
	}
	uitest.Key(w, fyne.KeyReturn)
	if len(w.Canvas().Overlays().List()) != 1 {
		t.Error("Enter does not open the choices")
	}
	w.Canvas().Overlays().Remove(w.Canvas().Overlays().Top())
	w.Canvas().Focus(c)
	uitest.Key(w, fyne.KeySpace)
	c.ShowChecked(false)
	c.Disable()
	uitest.Key(w, fyne.KeySpace)
	if ticks != 1 || c.Checked {
		t.Errorf("told %d times, checked %v", ticks, c.Checked)
	}
}

func TestTheDrawerFoldsAndKeepsItsHeight(t *testing.T) {
	uitest.App(t, kit.Dark)
	body := canvas.NewRectangle(nil)
	main := canvas.NewRectangle(nil)
	d := kit.NewDrawer(main, kit.NewTabBar([]string{"Channels"}), body, 200)
	uitest.Window(t, d, 500, 600)
	if body.Size().Height != 200 || main.Size().Height != 600-200-kit.TabHeight-1 {
		t.Errorf("open: body %v, main %v", body.Size(), main.Size())
	}
	d.Toggle()
	if body.Visible() || main.Size().Height != 600-kit.TabHeight-1 {
		t.Errorf("folded: body visible %v, main %v", body.Visible(), main.Size())
	}
	d.Toggle()
	d.SetHeight(5000)
	if !body.Visible() || main.Size().Height < 100 {
		t.Errorf("as high as it can be: main %v", main.Size())
	}
}

func TestADrawerWhoseBodyHasItsOwnHeaderKeepsThatWhenItFolds(t *testing.T) {
	uitest.App(t, kit.Dark)
	body, main := canvas.NewRectangle(nil), canvas.NewRectangle(nil)
	d := kit.NewDrawer(main, nil, body, 200)
	w := uitest.Window(t, d, 500, 600)
	if body.Size().Height != 200+kit.TabHeight || main.Size().Height+body.Size().Height+1 != 600 {
		t.Errorf("open: body %v, main %v", body.Size(), main.Size())
	}
	d.Toggle()
	if !body.Visible() || body.Size().Height != kit.TabHeight {
		t.Errorf("folded: body visible %v, %v", body.Visible(), body.Size())
	}
	d.Toggle()
	d.SetShare(0.5)
	w.Resize(fyne.NewSize(500, 400))
	if h := body.Size().Height; h != 200 {
		t.Errorf("half of 400 is %v", h)
	}
	d.SetHeight(100)
	w.Resize(fyne.NewSize(500, 800))
	if h := body.Size().Height; h < 263 || h > 265 {
		t.Errorf("100 and the header in 400 is %v in 800", h)
	}
}

func TestToastsComeAndGoWithoutTheKeyboard(t *testing.T) {
	uitest.App(t, kit.Dark)
	queue := uitest.NewQueue()
	entry := kit.NewEntry()
	layers := kit.NewLayers(entry, queue.Post)
	w := uitest.Window(t, layers, 400, 300)
	t.Cleanup(layers.Close)
	w.Canvas().Focus(entry)
	toast := test.WidgetRenderer(layers).Objects()[1]
	start := time.Now()
	kit.Copy(entry, "ftp://192.168.1.20:2121")
	if !toast.Visible() || w.Canvas().Focused() != fyne.Focusable(entry) {
		t.Errorf("toast visible %v, focus on %T", toast.Visible(), w.Canvas().Focused())
	}
	if got := fyne.CurrentApp().Clipboard().Content(); got != "ftp://192.168.1.20:2121" {
		t.Errorf("on the clipboard: %q", got)
	}
	queue.Await(t, "the toast to go", func() bool { return !toast.Visible() })
	if stayed := time.Since(start); stayed < 3*time.Second {
		t.Errorf("it stayed %v only", stayed)
	}
}

func TestColoursFollowTheThemeWhenItChanges(t *testing.T) {
	app := uitest.App(t, kit.Dark)
	l := kit.NewMutedLabel("muted")
	b := kit.NewButton("Button", nil)
	uitest.Window(t, kit.VBox(0, l, b), 200, 100)
	dark := texts(l)[0].Color
	app.Settings().SetTheme(kit.NewTheme(func() kit.Variant { return kit.Light }))
	l.Refresh()
	b.Refresh()
	if light := texts(l)[0].Color; light == dark {
		t.Errorf("the label is still %v", light)
	}
	if texts(b)[0].Color != kit.Color("foreground") {
		t.Error("the button is still dark")
	}
}

func TestAParagraphThatHasNoRoomYetCanGetShorter(t *testing.T) {
	uitest.App(t, kit.Dark)
	f := kit.NewFlowText(kit.Span{Text: "one"}, kit.Span{Text: "two", Bold: true})
	test.WidgetRenderer(f) // as on a tab that was never shown: it is asked for its size, and gets none
	f.MinSize()
	f.SetSpans(kit.Span{Text: "one"})
	if f.String() != "one" {
		t.Error(f.String())
	}
}

func TestADisabledButtonWithoutABorderLooksSo(t *testing.T) {
	uitest.App(t, kit.Light)
	b := kit.NewIconButton(kit.IconBack, "Back", func() {})
	b.Style = kit.Quiet
	w := uitest.Window(t, b, 60, 40)
	sign := func() float64 {
		for _, o := range test.WidgetRenderer(b).Objects() {
			if img, ok := o.(*canvas.Image); ok && img.Visible() {
				return img.Translucency
			}
		}
		t.Fatal("no sign")
		return 0
	}
	on := sign()
	b.Disable()
	uitest.Shot(t, w, "disabled")
	if off := sign(); on != 0 || off < 0.4 {
		t.Errorf("enabled %v, disabled %v", on, off)
	}
	if b.Enable(); sign() != 0 {
		t.Error("it stays faint")
	}
}

func TestAButtonThatChangesItsTitleKeepsItsWidth(t *testing.T) {
	uitest.App(t, kit.Dark)
	b := kit.NewPrimaryButton("Connect", nil)
	b.Titles = []string{"Connect", "Cancel", "Disconnect"}
	before := b.MinSize()
	b.Style = kit.Plain
	b.SetText("Disconnect")
	if now := b.MinSize(); now != before {
		t.Errorf("Connect is %v, Disconnect %v", before, now)
	}
	if wide := kit.NewPrimaryButton("Disconnect", nil).MinSize(); before.Width < wide.Width {
		t.Errorf("the button is %v wide, its longest title needs %v", before.Width, wide.Width)
	}
}

// The focus can be seen on every button, also on one that is filled with the colour of the ring.
func TestTheFocusIsSeenOnEveryButton(t *testing.T) {
	for _, variant := range []kit.Variant{kit.Dark, kit.Light} {
		uitest.App(t, variant)
		for _, style := range []kit.ButtonStyle{kit.Plain, kit.Primary, kit.Danger, kit.Quiet} {
			b := kit.NewButton("Start", func() {})
			b.Style = style
			b.Resize(fyne.NewSize(80, 28))
			objects := test.WidgetRenderer(b).Objects()
			back, ring := objects[0].(*canvas.Rectangle), objects[len(objects)-1].(*canvas.Rectangle)
			b.FocusGained()
			b.Refresh()
			within := ring.Position().X > 0
			if !ring.Visible() || ring.StrokeColor == back.FillColor || within != (style == kit.Primary) {
				t.Errorf("style %v: the ring is drawn in %v on %v, within %v", style, ring.StrokeColor, back.FillColor, within)
			}
			b.FocusLost()
			if ring.Visible() {
				t.Errorf("style %v: it keeps the ring", style)
			}
		}
	}
}

// A line that is to be typed can be read to its end, however narrow the place, and is copied as it is.
func TestACodeLineIsShownWhole(t *testing.T) {
	a := uitest.App(t, kit.Dark)
	const line = "  sudo nft insert rule inet filter input tcp dport 21100-21199 accept"
	c := kit.NewCodeLine(line, kit.NewLabel("ufw"))
	w := a.NewWindow("")
	w.SetContent(c)
	for range 2 { // the first size tells how high it is
		w.Resize(fyne.NewSize(260, c.MinSize().Height))
	}
	var shown []string
	for _, f := range parts[*kit.FlowText](c) {
		for _, p := range texts(f) {
			shown = append(shown, p.Text)
			if bottom := p.Position().Y + p.MinSize().Height; bottom > c.Size().Height {
				t.Errorf("%q ends at %v of %v", p.Text, bottom, c.Size().Height)
			}
		}
	}
	if got := strings.Join(strings.Fields(strings.Join(shown, " ")), " "); got != strings.TrimSpace(line) || len(shown) < 3 {
		t.Errorf("%q in %d lines", got, len(shown))
	}
	for _, b := range parts[*kit.Button](c) {
		b.Tapped(nil)
	}
	if got := a.Clipboard().Content(); got != line {
		t.Errorf("copied %q", got)
	}
}

// parts returns what of one kind is in a widget or container.
func parts[T fyne.CanvasObject](in fyne.CanvasObject) (found []T) {
	if one, ok := in.(T); ok {
		return []T{one}
	}
	var within []fyne.CanvasObject
	switch in := in.(type) {
	case *fyne.Container:
		within = in.Objects
	case fyne.Widget:
		within = test.WidgetRenderer(in).Objects()
	}
	for _, o := range within {
		found = append(found, parts[T](o)...)
	}
	return found
}
