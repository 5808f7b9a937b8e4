package ui

import (
	"context"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"portside/app"
	"portside/connlog"
	"portside/doctor"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// learnWindow is the window with Learn on it, without a display. The test driver ends each animation at once.
func learnWindow(t *testing.T, variant kit.Variant, width, height float32) *Window {
	t.Helper()
	driver := uitest.App(t, variant)
	core := app.New("")
	queue := uitest.NewQueue()
	w := New(driver, core, Options{Post: queue.Post})
	driver.Settings().SetTheme(kit.NewTheme(func() kit.Variant { return variant }))
	t.Cleanup(func() {
		w.Close()
		if err := core.Close(context.Background()); err != nil {
			t.Error(err)
		}
		w.Window.Close()
	})
	w.Resize(fyne.NewSize(width, height))
	w.show("learn")
	uitest.Settle(w)
	return w
}

// link returns what a click on the words of a paragraph does.
func link(t *testing.T, f *kit.FlowText, words string) func() {
	t.Helper()
	for _, o := range test.WidgetRenderer(f).Objects() {
		tap, ok := o.(fyne.Tappable)
		named, is := o.(interface{ AccessibilityLabel() string })
		if ok && is && strings.Contains(named.AccessibilityLabel(), words) {
			return func() { tap.Tapped(nil) }
		}
	}
	t.Fatalf("no link %q in %q", words, f.String())
	return nil
}

func (l *learn) check(id string) *kit.Check {
	for _, s := range l.switches {
		if s.ID == id {
			return s.check
		}
	}
	return nil
}

func TestLearnShowsWhereTheDataChannelStops(t *testing.T) {
	w := learnWindow(t, kit.Dark, 1280, 800)
	uitest.Shot(t, w, "learn-dark")
	l := w.learn
	if l.run.Verdict != doctor.ServerFirewallPassive {
		t.Fatalf("it begins with %s", l.run.Verdict)
	}
	if got := l.picture.AccessibilityLabel(); !strings.Contains(got, "Dropped here") || !strings.Contains(got, "the client tried to open it") {
		t.Errorf("the picture says %q", got)
	}
	if !strings.Contains(l.story.String(), "every listing hangs") {
		t.Errorf("the text says %q", l.story.String())
	}
	if left, _ := l.status(); !strings.Contains(left[0], "the server's firewall") {
		t.Errorf("the status bar says %q", left)
	}
}

func TestAFixCanBeClickedInTheTextAndInThePicture(t *testing.T) {
	w := learnWindow(t, kit.Light, 1280, 800)
	l := w.learn
	test.Tap(l.picture.fix)
	if !l.run.Works || !l.check("range-open").Checked {
		t.Fatalf("after the click in the picture: %s", l.run.Verdict)
	}
	if l.picture.fix != nil || !strings.Contains(l.picture.AccessibilityLabel(), "Data · passive · the client opened it") {
		t.Errorf("the picture still offers a fix, or says %q", l.picture.AccessibilityLabel())
	}
	uitest.Settle(w)
	uitest.Shot(t, w, "learn-works")
	link(t, l.fixes, "Use active mode through")()
	if l.run.Verdict != doctor.ClientFirewallActive || l.passive.On || !l.active.On {
		t.Fatalf("after breaking it: %s", l.run.Verdict)
	}
	uitest.Settle(w)
	uitest.Shot(t, w, "learn-active")
	link(t, l.fixes, "Use passive mode")()
	if !l.run.Works || w.Canvas().Focused() != fyne.Focusable(l.play) {
		t.Errorf("after the click in the text: %s, the keyboard is at %T", l.run.Verdict, w.Canvas().Focused())
	}
}

func TestSwitchesThatDoNotMatterAreNotShown(t *testing.T) {
	l := learnWindow(t, kit.Dark, 1280, 800).learn
	shown := func() (ids []string) {
		for _, s := range l.switches[5:] {
			if s.check.Visible() {
				ids = append(ids, s.ID)
			}
		}
		return ids
	}
	if got := strings.Join(shown(), " "); got != "epsv range range-open client-strict" {
		t.Errorf("in passive mode: %s", got)
	}
	l.check("server-nat").SetChecked(true)
	if got := strings.Join(shown(), " "); got != "epsv range range-open range-forwarded passive-ip client-strict helper" {
		t.Errorf("with the server behind NAT: %s", got)
	}
	test.Tap(l.active)
	if got := strings.Join(shown(), " "); got != "active-open server-strict" {
		t.Errorf("in active mode: %s", got)
	}
}

func TestTheKeyboardStepsThroughARun(t *testing.T) {
	w := learnWindow(t, kit.Dark, 1280, 800)
	l := w.learn
	w.registry.HandleKey(fyne.KeyLeft, 0)
	w.registry.HandleKey(fyne.KeyLeft, 0)
	if l.player.at != 2 || l.play.Text != "Play" {
		t.Fatalf("two steps back from 4: %v, the button says %s", l.player.at, l.play.Text)
	}
	if got := l.picture.AccessibilityLabel(); strings.Contains(got, "Data") || strings.Contains(got, "227") || !strings.Contains(got, "PASV") {
		t.Errorf("at the second step the picture says %q", got)
	}
	if !strings.HasPrefix(l.caption.String(), "2 of 4") {
		t.Errorf("the caption says %q", l.caption.String())
	}
	w.registry.HandleKey(fyne.KeyRight, 0)
	if l.player.at != 3 {
		t.Errorf("a step on: %v", l.player.at)
	}
	for range 9 {
		w.registry.HandleKey(fyne.KeyLeft, 0)
	}
	if l.player.at != 1 {
		t.Errorf("all the way back: %v", l.player.at)
	}
	w.registry.HandleKey(fyne.KeyF5, 0)
	if l.player.at != 4 || l.play.Text != "Replay" {
		t.Errorf("F5: %v, the button says %s", l.player.at, l.play.Text)
	}
}

func TestWithoutAnimationsTheEndIsShownAtOnce(t *testing.T) {
	moved := 0
	p := &player{end: 4, moved: func() { moved++ }, animated: func() bool { return false }}
	p.replay()
	if p.at != 4 || p.running() || moved != 1 {
		t.Errorf("at %v, running %v, drawn %d times", p.at, p.running(), moved)
	}
}

func TestEveryPageOpensAndItsLinksLeadToPages(t *testing.T) {
	w := learnWindow(t, kit.Light, 900, 600)
	l := w.learn
	ids := map[string]bool{}
	for _, p := range pagesOfLearn {
		ids[p.id] = true
	}
	for i, p := range pagesOfLearn {
		l.open(p.id)
		uitest.Settle(w)
		uitest.Shot(t, w, "learn-page-"+p.id)
		if l.page != p.id || l.pages.tabs.Selected() != i {
			t.Errorf("%s: page %q, tab %d", p.id, l.page, l.pages.tabs.Selected())
		}
		for _, text := range p.text {
			if strings.Count(text, "**")%2 != 0 || strings.Count(text, "`")%2 != 0 {
				t.Errorf("%s: a mark is open in %q", p.id, text)
			}
			for _, s := range l.pages.spans(text) {
				if strings.ContainsAny(s.Text, "*`[]") {
					t.Errorf("%s: %q shows its marks", p.id, s.Text)
				}
				if s.OnTap == nil {
					continue
				}
				s.OnTap()
				if !ids[l.page] || l.page == p.id {
					t.Errorf("%s: the link %q leads to %q", p.id, s.Text, l.page)
				}
			}
		}
	}
	if !w.registry.HandleKey(fyne.KeyEscape, 0) || l.page != "" {
		t.Error("Escape doesn't lead back to the simulator")
	}
	l.open("no such page")
	if l.page != "" || l.object.Objects[0] != l.table {
		t.Error("an unknown page isn't the simulator")
	}
}

func TestOpenSwitchesToLearnFromAnotherScreen(t *testing.T) {
	w := learnWindow(t, kit.Dark, 1280, 800)
	w.show("connect")
	w.learn.open("passive-ip")
	if w.screen != "learn" || w.learn.page != "passive-ip" {
		t.Errorf("on %s, page %q", w.screen, w.learn.page)
	}
	w.learn.try(noPassiveIP)
	if w.learn.page != "" || w.learn.run.Verdict != doctor.ServerPassiveIP || w.learn.player.at != w.learn.player.end {
		t.Errorf("Try it: page %q, %s", w.learn.page, w.learn.run.Verdict)
	}
}

func TestEveryRunAndEveryVerdictHasAPage(t *testing.T) {
	ids := map[string]bool{}
	for _, p := range pagesOfLearn {
		ids[p.id] = true
	}
	for _, mode := range []connlog.Mode{connlog.Passive, connlog.Active} {
		if page := learnPage(doctor.Simulate(doctor.Setup{Mode: mode})); !ids[page] {
			t.Errorf("%s: %q", mode, page)
		}
	}
	for _, v := range []doctor.Verdict{doctor.OKWithFault, doctor.ServerForwardPassive, doctor.ClientNATActive, doctor.ALGBlindTLS, doctor.EPSVBroken, "new"} {
		if page := pageOfVerdict(v); !ids[page] {
			t.Errorf("%s: %q", v, page)
		}
	}
}

func TestLearnFitsTheSmallestWindowInEverySetup(t *testing.T) {
	w := learnWindow(t, kit.Dark, kit.MinWidth, kit.MinHeight)
	l := w.learn
	for _, s := range l.switches[:5] {
		s.check.SetChecked(true)
	}
	for _, b := range []*kit.Button{l.active, l.passive} {
		test.Tap(b)
		uitest.Settle(w)
		if m := w.Content().MinSize(); m.Width > kit.MinWidth || m.Height > kit.MinHeight {
			t.Errorf("%s mode needs %v", l.setup.Mode, m)
		}
		uitest.Shot(t, w, "learn-small-"+string(l.setup.Mode))
	}
}
