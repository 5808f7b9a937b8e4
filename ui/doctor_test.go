package ui

import (
	"net/netip"
	"testing"

	"portside/connlog"
	"portside/doctor"
)

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
