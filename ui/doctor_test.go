package ui

import (
	"net/netip"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	"portside/app"
	"portside/client"
	"portside/connlog"
	"portside/doctor"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// A verdict comes into sight, wherever the person had scrolled to in the one before.
func TestAVerdictIsShownFromItsBeginning(t *testing.T) {
	w := learnWindow(t, kit.Light, 900, 600)
	w.show("doctor")
	d := w.doctor
	report := func(port uint16) *doctor.Report {
		dead := doctor.Offer{Command: "EPSV", Port: port, Dial: doctor.Silence}
		r := doctor.Judge(doctor.Evidence{
			Target: client.Target{Host: "files.example.org", User: "alice"}, Local: netip.MustParseAddrPort("198.51.100.7:51812"),
			Peer: netip.MustParseAddrPort("203.0.113.5:21"), Control: doctor.Worked, Greeter: doctor.GreeterFTP,
			Greeting: doctor.Answer{Code: 220}, SignedIn: true, Passive: doctor.Passive{EPSV: dead},
		})
		return &r
	}
	d.report = report(21134)
	d.idle.Hide()
	d.body.Show()
	d.showReport(app.Examination{Report: d.report})
	uitest.Settle(w)
	d.found.Scrolled(&fyne.ScrollEvent{Scrolled: fyne.NewDelta(0, -200)})
	if d.found.Offset.Y == 0 {
		t.Fatal("the verdict fits: nothing is shown by this test")
	}
	d.showReport(app.Examination{Report: report(21135)})
	if d.found.Offset.Y != 0 {
		t.Errorf("the new verdict is shown from %v on", d.found.Offset.Y)
	}
}

func TestThePictureFollowsAnExaminationThatRuns(t *testing.T) {
	control := doctor.Fact{ID: 1, Probe: doctor.ProbeControl, Running: true, To: netip.MustParseAddrPort("203.0.113.5:21")}
	f, done := figureOfFacts([]doctor.Fact{control})
	if len(f.arrows) != 1 || done != 0.5 || f.server[1] != "203.0.113.5" || f.client[1] != "" {
		t.Fatalf("while it dials: %v of %+v", done, f)
	}
	control.Running, control.OK, control.From = false, true, netip.MustParseAddrPort("198.51.100.7:51812")
	dead := doctor.Fact{ID: 2, Probe: doctor.ProbeControl, Outcome: doctor.Silence, To: netip.MustParseAddrPort("[2001:db8::5]:21")}
	facts := []doctor.Fact{
		control, dead,
		{ID: 3, Probe: doctor.ProbeSignIn, OK: true},
		{ID: 4, Probe: doctor.ProbeEPSV, Outcome: doctor.Silence},
		{ID: 5, Probe: doctor.ProbeActive, Running: true},
	}
	f, done = figureOfFacts(facts)
	if len(f.arrows) != 3 || done != 2.5 || f.server[1] != "203.0.113.5" || f.client[1] != "198.51.100.7" {
		t.Fatalf("%v of %+v", done, f)
	}
	if a := f.arrows[0]; a.stopped || a.by != connlog.Client {
		t.Errorf("the control channel that works is shown as %+v", a)
	}
	if a := f.arrows[1]; !a.stopped || a.at != doctor.OnTheWay || a.labels[0] != "data, passive · no answer" {
		t.Errorf("the passive channel that failed is shown as %+v", a)
	}
	if a := f.arrows[2]; a.stopped || a.by != connlog.Server {
		t.Errorf("the active channel that is awaited is shown as %+v", a)
	}
	facts[3].OK, facts[3].Outcome = true, doctor.Worked
	if f, _ = figureOfFacts(facts); f.arrows[1].stopped {
		t.Error("a passive channel that works is shown as stopped")
	}
}

func TestAnAddressThatCantBeExaminedStaysSaid(t *testing.T) {
	w, core, queue := testWindow(t, 1280, 800)
	w.show("doctor")
	d := w.doctor
	d.address.SetText("ftp://127.0.0.1:1/")
	d.examine()
	queue.Await(t, "the report", func() bool { return core.Examination().Report != nil && d.report != nil })
	d.address.SetText("http://example.org/")
	d.examine()
	if d.refresh(); !strings.Contains(d.lead.String(), "http") {
		t.Errorf("it says %q", d.lead.String())
	}
	d.address.SetText("ftp://127.0.0.1:1/")
	if d.examine(); strings.Contains(d.lead.String(), "http") {
		t.Errorf("it still says %q", d.lead.String())
	}
	core.CancelExamination()
	d.user.SetText("bob")
	d.address.SetText("ftp://alice@127.0.0.1:1/")
	d.examine()
	if got := core.Examination().Target.User; got != "alice" { // as in Connect
		t.Errorf("%s is examined, the address names alice", got)
	}
	core.CancelExamination()
}

func TestWhatIsTypedStandsApartInAFix(t *testing.T) {
	got := coded("Ask with `nslookup x` there.")
	if len(got) != 3 || got[1].Text != "nslookup x" || !got[1].Mono || got[0].Mono || got[2].Mono {
		t.Errorf("%+v", got)
	}
}

func TestWithoutAChannelNoEmptyPictureIsShown(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	d := w.doctor
	d.showReport(app.Examination{Report: &doctor.Report{Finding: doctor.Finding{Verdict: doctor.NameUnresolved}}})
	if d.figure.Visible() {
		t.Error("a picture of nothing is to be seen")
	}
	d.showReport(app.Examination{Report: &doctor.Report{Finding: doctor.Finding{Verdict: doctor.OK}, Arrows: []doctor.Arrow{{Works: true}}}})
	if !d.figure.Visible() {
		t.Error("the picture of a channel is missing")
	}
}

// An examination that was ended before it knew anything names nobody, and offers no complaint to send.
func TestAnExaminationThatFoundNothingOutBlamesNobody(t *testing.T) {
	w := learnWindow(t, kit.Light, 1280, 800)
	w.show("doctor")
	d := w.doctor
	d.idle.Hide()
	d.body.Show()
	complaints := func(e doctor.Evidence) (n int) {
		e.Target, e.Peer = client.Target{Host: "files.example.org"}, netip.MustParseAddrPort("203.0.113.5:21")
		r := doctor.Judge(e)
		r.Cancelled = true
		d.showReport(app.Examination{Report: &r})
		for _, b := range find[*kit.Button](w) {
			if strings.Contains(b.Text, "admin") {
				n++
			}
		}
		return n
	}
	if n := complaints(doctor.Evidence{Control: doctor.Refused}); n != 1 {
		t.Fatalf("of a fault %d complaints can be copied", n)
	}
	if n := complaints(doctor.Evidence{Control: doctor.Worked}); n != 0 || d.side.String() != "Nothing was found out" {
		t.Errorf("%q, %d complaints can be copied", d.side.String(), n)
	}
}

// Who has to act is whoever does what is advised first, and only what the server's side can mend is a report for its admin.
func TestWhoHasToActIsWhoDoesTheFirstFix(t *testing.T) {
	w := learnWindow(t, kit.Light, 1280, 800)
	w.show("doctor")
	d := w.doctor
	d.idle.Hide()
	d.body.Show()
	up := doctor.Evidence{Target: client.Target{Host: "files.example.org"}, Peer: netip.MustParseAddrPort("203.0.113.5:21"), Control: doctor.Worked, Greeter: doctor.GreeterFTP}
	password, ssh, lost := up, up, doctor.Evidence{Target: up.Target, Peer: up.Peer, Control: doctor.Refused}
	password.Greeting, password.User, password.Pass = doctor.Answer{Code: 220}, doctor.Answer{Code: 331}, doctor.Answer{Code: 530, Text: "Login incorrect."}
	ssh.Greeter, ssh.Heard = doctor.GreeterSSH, "SSH-2.0"
	for name, one := range map[string]struct {
		evidence    doctor.Evidence
		who, button string
	}{
		"password": {password, "Who has to act: you, on this computer", "Copy a report for the server's admin"},
		"SSH":      {ssh, "Who has to act: you, on this computer", "Copy report"},
		"refused":  {lost, "Who has to act: the server's computer", "Copy a report for the server's admin"},
	} {
		r := doctor.Judge(one.evidence)
		d.showReport(app.Examination{Report: &r})
		if got := d.side.String(); !strings.HasPrefix(got, one.who) {
			t.Errorf("%s: %q", name, got)
		}
		pressButton(t, w, one.button)
	}
}

// What the picture shows as stopped is spoken of, also where all is well without it.
func TestActiveModeThatFailsBesideIsSpokenOf(t *testing.T) {
	w, _, _ := testWindow(t, 1280, 800)
	d := w.doctor
	for _, works := range []bool{true, false} {
		arrows := []doctor.Arrow{{Works: true}, {Mode: connlog.Active, Works: works}}
		d.showReport(app.Examination{Report: &doctor.Report{Finding: doctor.Finding{Verdict: doctor.OK, Sentence: "Everything works."}, Arrows: arrows}})
		if got := d.words.String(); strings.Contains(got, "Active mode does not work, and is not needed.") == works {
			t.Errorf("active mode works: %v; %q", works, got)
		}
	}
}

func TestTheNoteNamesWhoWasAsked(t *testing.T) {
	for host, names := range map[string]bool{"files.example.org": true, "192.0.2.1": false, "2001:db8::1": false} {
		if got := asked(host); strings.Contains(got, "name server") != names || !strings.Contains(got, host) {
			t.Errorf("%s: %q", host, got)
		}
	}
}

func TestNotesOfAFixShowNoBackticks(t *testing.T) {
	w := learnWindow(t, kit.Light, 1280, 800)
	d := w.doctor
	box := d.variants(doctor.Fix{Variants: []doctor.Variant{{Name: "nftables", Command: "nft", Note: "See `nft list ruleset`."}}})
	for _, o := range box.(*fyne.Container).Objects {
		if text, ok := o.(*kit.FlowText); ok && text.String() != "See nft list ruleset." {
			t.Errorf("%q", text.String())
		}
	}
}
