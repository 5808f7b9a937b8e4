package ui

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/test"

	"portside/app"
	"portside/connlog"
	"portside/doctor"
	"portside/localserver"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// shareWindow is the window with Share on it, without a display.
func shareWindow(t *testing.T) (*Window, *uitest.Queue) {
	t.Helper()
	driver := uitest.App(t, kit.Dark)
	core := app.New("")
	core.ChangeSettings(func(s *app.Settings) { s.Share.Folder = t.TempDir() })
	queue := uitest.NewQueue()
	w := New(driver, core, Options{Post: queue.Post})
	t.Cleanup(func() {
		w.Close()
		if err := core.Close(context.Background()); err != nil {
			t.Error(err)
		}
		w.Window.Close()
	})
	w.Resize(fyne.NewSize(900, 600))
	w.show("share")
	uitest.Settle(w)
	return w, queue
}

// dialogs is how many dialogs are open.
func (w *Window) dialogs() int { return len(w.Canvas().Overlays().List()) }

func (w *Window) accountNames() string {
	var names []string
	for _, one := range w.app.Settings().Share.Accounts {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

func TestMoreAccountsAreAddedEditedAndDeletedWithTheKeyboard(t *testing.T) {
	w, queue := shareWindow(t)
	w.share.access.SetSelected(accessList)
	if set := w.app.Settings().Share; set.Access != app.AccessAccounts || w.accountNames() != "anonymous" || w.dialogs() != 1 {
		t.Fatalf("%s, accounts %q, %d dialogs", set.Access, w.accountNames(), w.dialogs())
	}
	uitest.Shot(t, w, "accounts")

	uitest.Key(w, fyne.KeyInsert)
	uitest.Type(w, "bob")
	uitest.Key(w, fyne.KeyReturn) // with the password that was made
	queue.Await(t, "bob is saved", func() bool { return w.accountNames() == "anonymous bob" && w.dialogs() == 1 })
	bob := w.app.Settings().Share.Accounts[1]
	if bob.PasswordHash.IsZero() || bob.Rights != app.ReadOnly {
		t.Errorf("%+v", bob)
	}

	uitest.Key(w, fyne.KeyInsert)
	uitest.Type(w, "bob")
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "the doubled name is refused", func() bool {
		return strings.Contains(problemOf(w), "already") && w.dialogs() == 2
	})
	uitest.Type(w, "by") // bobby
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "it is saved under another name", func() bool { return w.accountNames() == "anonymous bob bobby" && w.dialogs() == 1 })

	uitest.Key(w, fyne.KeyUp)
	uitest.Key(w, fyne.KeyReturn) // edit bob
	uitest.Type(w, "robert")      // over the name, which is selected
	uitest.Shot(t, w, "account")
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "bob is renamed", func() bool { return w.accountNames() == "anonymous robert bobby" })
	if got := w.app.Settings().Share.Accounts[1]; got.PasswordHash != bob.PasswordHash {
		t.Error("his password is gone")
	}

	uitest.Key(w, fyne.KeyDelete)
	uitest.Key(w, fyne.KeyReturn) // Cancel is what Enter does
	if w.accountNames() != "anonymous robert bobby" || w.dialogs() != 1 {
		t.Errorf("accounts %q, %d dialogs", w.accountNames(), w.dialogs())
	}
	uitest.Key(w, fyne.KeyEscape)
	if w.dialogs() != 0 || !w.share.accounts.object.Visible() || !strings.Contains(w.share.accounts.names.Text, "robert") {
		t.Errorf("%d dialogs, the screen says %q", w.dialogs(), w.share.accounts.names.Text)
	}
	w.share.access.SetSelected(accessAnyone)
	if w.share.accounts.object.Visible() || !w.share.rightBox.Visible() || w.accountNames() != "anonymous robert bobby" {
		t.Error("the simple choice does not come back, or the list is lost")
	}
}

// problemOf is what the lines of the topmost dialog say.
func problemOf(w *Window) string {
	var all strings.Builder
	var walk func(o fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		switch o := o.(type) {
		case *kit.FlowText:
			all.WriteString(o.String() + "\n")
		case *fyne.Container:
			for _, one := range o.Objects {
				walk(one)
			}
		case fyne.Widget:
			for _, one := range test.WidgetRenderer(o).Objects() {
				walk(one)
			}
		}
	}
	walk(w.Canvas().Overlays().Top())
	return all.String()
}

func TestAnyoneMayWriteOnlyAfterASecondQuestion(t *testing.T) {
	w, queue := shareWindow(t)
	w.app.UseAccounts()
	saved := 0
	f := openAccount(w, 0, w.app.Settings().Share.Accounts[0], func(int) { saved++ })
	if w.Canvas().Focused() == fyne.Focusable(f.name) {
		t.Error("the keyboard is in a field that is disabled")
	}
	f.preset.SetSelected(2)
	f.save()
	if w.dialogs() != 2 || !strings.Contains(problemOf(w), "delete, rename and make folders") {
		t.Fatalf("%d dialogs, which say %q", w.dialogs(), problemOf(w))
	}
	uitest.Key(w, fyne.KeyEscape)
	if got := w.app.Settings().Share.Anyone(); got != app.ReadOnly {
		t.Fatalf("anyone may %s", got)
	}
	f.save()
	w.Canvas().FocusNext()
	uitest.Key(w, fyne.KeyReturn)
	queue.Await(t, "it is saved", func() bool { return saved == 1 })
	if got := w.app.Settings().Share.Anyone(); got != app.ReadWrite {
		t.Errorf("anyone may %s", got)
	}

	// The simple choice: a user may write, anyone must not by that.
	w.share.access.SetSelected(accessUser)
	w.share.rights.SetSelected(1)
	w.share.access.SetSelected(accessAnyone)
	if set := w.app.Settings().Share; set.Access != app.AccessAnonymous || set.Write {
		t.Errorf("%s, write %v", set.Access, set.Write)
	}
}

func TestBoxesAndPresetsFollowEachOther(t *testing.T) {
	w, _ := shareWindow(t)
	f := openAccount(w, -1, app.Account{Rights: app.ReadOnly}, func(int) {})
	f.preset.SetSelected(1)
	if f.ticked() != app.DropBox {
		t.Errorf("%s", f.ticked())
	}
	f.boxes[0].SetChecked(true)
	if f.preset.Selected != 3 {
		t.Errorf("%s", f.preset.Value())
	}
	f.boxes[2].SetChecked(false)
	f.boxes[1].SetChecked(true)
	if f.preset.Selected != 0 {
		t.Errorf("%s", f.preset.Value())
	}
	for _, text := range []string{"0", "-1", "many"} {
		f.sessions.SetText(text)
		if _, problem := f.typed(); problem == "" {
			t.Errorf("%q sessions were taken", text)
		}
	}
}

func TestThePortsTabSaysWhoHoldsWhichPort(t *testing.T) {
	w, _ := shareWindow(t)
	p := w.share.ports
	client := netip.MustParseAddrPort("192.0.2.9:4000")
	holder := func(port uint16, id, user string, inUse bool) app.PortHolder {
		return app.PortHolder{PortHolder: localserver.PortHolder{Port: port, Session: id, User: user, Client: client, InUse: inUse},
			Since: time.Date(2030, 1, 2, 15, 4, 5, 0, time.Local)}
	}
	st := app.Share{Phase: app.Running, PortsTotal: 2, PortsMin: 21100, Ports: []app.PortHolder{holder(21100, "a1", "bob", true), holder(21101, "b2", "eve\x1b[2J", false)}}
	p.show(st)
	if got := p.line.String(); got != "2 of 2 passive ports in use: 1 data channel, 1 waits for a client." {
		t.Error(got)
	}
	moved := st
	moved.PortsMin, moved.PortsTotal = 21101, 5
	if got := portsTaken(moved); got != "1 of 5 passive ports in use, 1 of the former range" {
		t.Error(got)
	}
	var row []string
	for col := range 6 {
		row = append(row, p.cell(0, col).Text)
	}
	if got := strings.Join(row, "|"); got != "21100|in use|bob|192.0.2.9|a1|15:04:05" {
		t.Error(got)
	}
	if got := p.cell(1, 2).Text; strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	st.Shortage = app.PortShortage{Times: 3, Last: connlog.Record{Time: st.Ports[0].Since, Event: connlog.PortsExhausted, Session: "c3",
		Holders: []string{"a1 bob 192.0.2.9: 21100", "b2 eve 192.0.2.9: 21101", "x", "y"}}}
	p.show(st)
	for _, want := range []string{"full 3 times", "15:04:05", "bob", "2 more", "Show it"} {
		if !strings.Contains(p.line.String(), want) {
			t.Errorf("no %q in %q", want, p.line.String())
		}
	}
	if strings.Contains(p.line.String(), "Every port") {
		t.Errorf("said twice: %q", p.line.String())
	}
	w.share.drawer.SelectTab(tabPorts)
	uitest.Settle(w)
	uitest.Shot(t, w, "ports")
	p.show(app.Share{Phase: app.Stopped})
	if p.badge() != "" || strings.Contains(p.line.String(), "full") {
		t.Errorf("after the stop: %q %q", p.badge(), p.line.String())
	}
}

func TestAnAddressIsOpenedWithWhatSpeaksItsTLS(t *testing.T) {
	w, _ := shareWindow(t)
	for url, explorer := range map[string]bool{"ftp://192.0.2.1:2121": true, "ftpes://192.0.2.1:2121": false, "ftps://192.0.2.1:2121": false} {
		w.share.showAddresses(app.Share{Phase: app.Running, Addresses: []app.Address{{URL: url, Reach: app.ReachLocal}}})
		if got := w.share.opener.String(); strings.HasPrefix(got, "Type it in Windows Explorer") != explorer || !w.share.opener.Visible() {
			t.Errorf("%s: %q", url, got)
		}
	}
}

func TestTheTLSOfAnAccountIsAtLeastTheServers(t *testing.T) {
	strict := app.Account{RequireTLS: true}
	for _, one := range []struct {
		account app.Account
		mode    localserver.TLSMode
		want    string
	}{
		{app.Account{}, localserver.TLSExplicit, "Optional"}, {app.Account{}, localserver.TLSRequired, "Required"},
		{app.Account{}, localserver.TLSImplicit, "Required"}, {app.Account{}, localserver.TLSOff, "Off"},
		{strict, localserver.TLSExplicit, "Required"}, {strict, localserver.TLSOff, "Required"},
	} {
		if got := tlsOf(one.account, one.mode); got != one.want {
			t.Errorf("%v on a server with %v: %s", one.account.RequireTLS, one.mode, got)
		}
	}
}

// The control port is none of the passive ports: that is said where it is typed, before a start fails of it. Enter starts.
func TestThePortIsCheckedAgainstTheRangeAndEnterStarts(t *testing.T) {
	w, queue := shareWindow(t)
	s := w.share
	enter := func(port string) {
		w.focusOn(s.port)
		s.port.SetText(port)
		s.port.TypedKey(&fyne.KeyEvent{Name: fyne.KeyReturn})
	}
	enter("21x")
	if got := s.err.String(); !strings.Contains(got, `"21x" is not a port`) {
		t.Errorf("%q", got)
	}
	enter("21150")
	if got := s.rangeMsg.String(); !strings.Contains(got, "21150 is the control connection's own") {
		t.Errorf("%q", got)
	}
	queue.Await(t, "that it can't start", func() bool { w.refresh(); return strings.Contains(s.err.String(), "21150") })
	enter("0")
	queue.Await(t, "sharing", func() bool { w.refresh(); return s.state.Phase == app.Running })
	if s.err.Visible() {
		t.Errorf("%q", s.err.String())
	}
	w.show("connect")
	w.show("share")
	if w.Canvas().Focused() != fyne.Focusable(s.toggle) {
		t.Errorf("nobody is here, and the focus is on %T", w.Canvas().Focused())
	}
}

func TestAShorterCheckLeavesNoEmptyPage(t *testing.T) {
	w, _ := shareWindow(t)
	s := w.share
	page := s.folder.Page.(*container.Scroll)
	check := app.SelfCheck{Done: time.Now(), Stamp: 1}
	for range 12 {
		check.Report.Findings = append(check.Report.Findings, doctor.SelfFinding{State: doctor.SelfBad, Sentence: "Closed.", Fix: "sudo ufw allow 21100:21199/tcp"})
	}
	s.self.show(check)
	uitest.Settle(w)
	page.ScrollToBottom()
	far := page.Offset.Y
	s.self.show(app.SelfCheck{Done: time.Now(), Stamp: 2})
	if most := max(0, page.Content.MinSize().Height-page.Size().Height); far <= most || page.Offset.Y > most {
		t.Errorf("scrolled to %v, and then to %v of %v", far, page.Offset.Y, most)
	}
}

func TestAnySpeedFitsItsColumn(t *testing.T) {
	w, _ := shareWindow(t)
	for _, one := range w.share.people.Columns() {
		if one.ID != "speed" {
			continue
		}
		for _, rate := range []float64{1023, 1023 * 1024} {
			if need := fyne.MeasureText(speed(rate), kit.TextSize, fyne.TextStyle{}).Width; need > one.Width-14 {
				t.Errorf("%q needs %v of %v", speed(rate), need, one.Width)
			}
		}
	}
}

// A client asks whether to trust the self-signed certificate: what to compare stands beside the addresses.
func TestTheCertificatesFingerprintStandsBesideTheAddresses(t *testing.T) {
	w, _ := shareWindow(t)
	s := w.share
	if s.proof.Visible() {
		t.Error("there is a fingerprint before there is a server")
	}
	at := []app.Address{{URL: "ftpes://192.0.2.1:2121", Reach: app.ReachLocal}}
	for print, want := range map[string]string{"AB:CD:EF:01": "ABCD EF01", "": ""} {
		s.showAddresses(app.Share{Phase: app.Running, Addresses: at, Fingerprint: print})
		if got := s.proof.String(); s.proof.Visible() != (print != "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, %v", print, got, s.proof.Visible())
		}
	}
}

// What is wrong with the Passive IP stands under it, what is wrong with the range beside the range, and both stay there.
func TestWarningsStandWhereTheirFieldsAre(t *testing.T) {
	w, queue := shareWindow(t)
	s := w.share
	says := func(where *kit.FlowText, want string) {
		t.Helper()
		if got := where.String(); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s.ipMode.SetSelected(1)
	says(s.ipMsg, "Until then everything stays as it was.")
	if w.app.Settings().Share.IPMode != localserver.PassiveAuto || w.Canvas().Focused() != fyne.Focusable(s.ip) {
		t.Error("a fixed IP without an address was kept, or the field for it has not the keyboard")
	}
	s.ip.SetText("192.168.1.5")
	s.min.SetText("50000")
	s.max.SetText("50004")
	s.applyPassive()
	queue.Await(t, "it is kept", func() bool { return w.app.Settings().Share.IPValue == "192.168.1.5" })
	says(s.ipMsg, "everyone else 192.168.1.5. Clients on the internet can't reach 192.168.1.5")
	says(s.rangeMsg, "5 ports are few")
	if strings.Contains(s.rangeMsg.String(), "192.168.1.5") {
		t.Errorf("beside the range: %q", s.rangeMsg.String())
	}
	s.fill() // as when the window opens again
	says(s.ipMsg, "Clients on the internet can't reach 192.168.1.5")
	says(s.rangeMsg, "5 ports are few")
	s.ip.SetText("300.1.1.1")
	s.applyPassive()
	queue.Await(t, "it is refused", func() bool { return strings.Contains(s.ipMsg.String(), "Nothing was changed.") })
	says(s.estimate.msg, "72 ports needed: 48 files at once, and 24 to spare for offers that nobody takes.")
	s.min.SetText("5")
	if !s.estimate.object.Visible() || strings.Contains(s.estimate.msg.String(), "This range") {
		t.Errorf("while a port is typed the estimate jumps away, or judges: %q", s.estimate.msg.String())
	}
	if got := w.app.Settings().Share.IPValue; got != "192.168.1.5" {
		t.Errorf("kept %q", got)
	}
}

func TestLocalNetworksAreEditedAndSaidInWords(t *testing.T) {
	w, queue := shareWindow(t)
	s := w.share
	if s.networks.Visible() {
		t.Error("in automatic mode the list has no use")
	}
	s.ipMode.SetSelected(1)
	s.ip.SetText("203.0.113.5")
	s.applyPassive()
	if got := s.ipMsg.String(); !s.networks.Visible() || !strings.HasPrefix(got, "People on your network are told ") {
		t.Errorf("%q", got)
	}
	edit := func(text string) {
		s.networks.OnTapped()
		e := w.Canvas().Focused().(*kit.Entry)
		e.SetText(text)
		w.Canvas().OnTypedKey()(&fyne.KeyEvent{Name: fyne.KeyReturn})
	}
	edit("10.0.0.0/8\nhome")
	if w.dialogs() != 1 || w.app.Settings().Share.LocalNetworks != nil || !strings.Contains(problemOf(w), `"home"`) {
		t.Errorf("nonsense was taken: %s", problemOf(w))
	}
	uitest.Key(w, fyne.KeyEscape)
	edit("10.1.2.3/8")
	queue.Await(t, "it is kept", func() bool { return w.dialogs() == 0 })
	if got := s.ipMsg.String(); !strings.HasPrefix(got, "People in 10.0.0.0/8 are told ") {
		t.Errorf("%q", got)
	}
	edit(networkLines(localserver.DefaultLocalNetworks()))
	queue.Await(t, "it is kept", func() bool { return w.dialogs() == 0 })
	if w.app.Settings().Share.LocalNetworks != nil {
		t.Error("the default list is kept as one of its own: this computer's networks are no longer followed")
	}
}

func TestWhoMayComeInChangesWhileSharing(t *testing.T) {
	w, queue := shareWindow(t)
	w.app.ChangeSettings(func(s *app.Settings) { s.Share.Port = 0 }) // any free one
	w.share.fill()
	w.app.StartShare()
	queue.Await(t, "sharing", func() bool { w.refresh(); return w.share.state.Phase == app.Running })
	if w.share.access.Disabled() || w.share.rights.Disabled() || !w.share.folder.Disabled() || !w.share.port.Disabled() {
		t.Error("who may come in can't be changed while sharing, or what can't change can be")
	}
	w.share.access.SetSelected(accessUser) // with a password that is made
	queue.Await(t, "the server has the user", func() bool { w.refresh(); return w.share.state.Access == app.AccessUser })
	w.share.access.SetSelected(accessList)
	if text := problemOf(w); !strings.Contains(text, "at once") {
		t.Errorf("the dialog says %q", text)
	}
	w.app.DeleteAccount(0, "guest")
	queue.Await(t, "the server has nobody", func() bool {
		w.refresh()
		return len(w.share.state.Addresses) > 0 && !strings.Contains(w.share.state.Addresses[0].URL, "guest")
	})
}

func TestStartWithoutAFolderAsksForOneAndShares(t *testing.T) {
	w, queue := shareWindow(t)
	there := t.TempDir()
	w.app.ChangeSettings(func(s *app.Settings) { s.Share.Folder, s.Share.Port, s.Share.UseRange = "", 0, false })
	w.share.fill()
	w.share.startOrStop()
	if w.dialogs() != 1 || w.app.Share().Phase != app.Stopped {
		t.Fatalf("%d dialogs, %v", w.dialogs(), w.app.Share().Phase)
	}
	address, ok := w.Canvas().Focused().(*kit.Entry)
	for range 3 { // the buttons beside it are in between
		if !ok {
			w.Canvas().FocusPrevious()
			address, ok = w.Canvas().Focused().(*kit.Entry)
		}
	}
	if !ok {
		t.Fatalf("the address is not before the list: %T", w.Canvas().Focused())
	}
	queue.Await(t, "the first folder", func() bool { return address.Text != "" })
	address.SetText(there)
	queue.Await(t, "sharing", func() bool {
		if w.dialogs() == 1 {
			uitest.Key(w, fyne.KeyReturn) // opens it, then chooses it
		}
		w.refresh()
		return w.share.state.Phase == app.Running
	})
	if got := w.app.Settings().Share.Folder; got != there {
		t.Errorf("shares %q, want %q", got, there)
	}
}

func TestWhyAStartFailedIsTakenBackWhenItIsMended(t *testing.T) {
	w, queue := shareWindow(t)
	w.app.ChangeSettings(func(s *app.Settings) { s.Share.Port, s.Share.UseRange = 0, false })
	w.share.fill()
	missing := filepath.Join(t.TempDir(), "missing")
	for range 2 {
		w.share.folder.SetText(missing)
		w.share.startOrStop()
		queue.Await(t, "the reason", func() bool { w.refresh(); return strings.Contains(w.share.err.String(), "missing") })
		w.focusOn(w.share.folder)
		w.focusOn(w.share.choose)
		if !w.share.err.Visible() {
			t.Error("Tab takes the reason away")
		}
		w.share.drop(t.TempDir())
		w.refresh()
		if got := w.share.err.String(); w.share.err.Visible() {
			t.Errorf("another folder is chosen, and it still says: %s", got)
		}
	}
}
