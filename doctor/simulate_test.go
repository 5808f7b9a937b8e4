package doctor

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"portside/connlog"
)

// everySetup calls f with each of the 65536 combinations.
func everySetup(f func(Setup)) {
	switches := Switches()
	for bits := range 1 << len(switches) {
		for _, mode := range []connlog.Mode{connlog.Passive, connlog.Active} {
			s := Setup{Mode: mode}
			for i, sw := range switches {
				*sw.Field(&s) = bits>>i&1 == 1
			}
			f(s)
		}
	}
}

// differentSetups calls f with the combinations in which every switch that is on matters. That the others are the same as one
// of them is what [TestASwitchThatDoesNotMatterChangesNothing] is for.
func differentSetups(f func(Setup)) {
	switches := Switches()
	everySetup(func(s Setup) {
		for _, sw := range switches {
			if *sw.Field(&s) && !sw.Matters(s) {
				return
			}
		}
		f(s)
	})
}

func TestSwitchesReachEveryFieldOfASetup(t *testing.T) {
	s := Setup{Mode: connlog.Passive}
	ids := map[string]bool{}
	for _, sw := range Switches() {
		*sw.Field(&s) = true
		ids[sw.ID] = true
	}
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Bool && !v.Field(i).Bool() {
			t.Errorf("no switch for %s", v.Type().Field(i).Name)
		}
	}
	if len(ids) != len(Switches()) {
		t.Error("two switches share an id")
	}
}

func TestEverySetupTellsAConsistentStory(t *testing.T) {
	differentSetups(func(s Setup) {
		r := Simulate(s)
		fail := func(what string) { t.Fatalf("%s: %+v\n%+v", what, s, r) }
		last := r.Steps[len(r.Steps)-1]
		if r.Steps[0].Kind != ControlOpens || r.Steps[0].By != connlog.Client || r.Steps[0].Stopped {
			fail("the control channel isn't opened by the client first")
		}
		dialler := connlog.Client
		if s.Mode == connlog.Active {
			dialler = connlog.Server
		}
		if last.Kind != DataOpens || last.By != dialler {
			fail("the data channel is opened by the wrong side")
		}
		if r.Works == last.Stopped || r.Works != (r.Verdict == OK || r.Verdict == OKWithFault) || r.Stop != last.At {
			fail("verdict, arrow and outcome differ")
		}
		if last.Stopped == (last.Word == "") {
			fail("an arrow that stops has no word, or one that arrives has one")
		}
		// A wall can only stop what it is there for.
		there := map[Place]bool{
			AtClientFirewall: s.ClientFirewall, AtClientRouter: s.ClientNAT, AtServerRouter: s.ServerNAT, AtServerFirewall: s.ServerFirewall,
			OnTheWay: s.ServerNAT, AtServer: s.Mode == connlog.Passive || s.ClientNAT, AtClient: s.Mode == connlog.Active,
		}
		if !there[r.Stop] {
			fail("it stops at " + r.Stop.String() + ", which isn't there")
		}
		if r.Works && len(r.Changes) > 0 && r.Verdict == OK {
			fail("a setup that works has changes")
		}
		if !r.Works && len(r.Changes) == 0 {
			fail("no change is offered")
		}
		for _, text := range []string{r.Story, r.Advice} {
			if !strings.HasSuffix(text, ".") || strings.Contains(text, "  ") || strings.Contains(text, "..") {
				fail("a text isn't a sentence: " + text)
			}
		}
		for _, c := range r.Changes {
			after := simulate(c.Apply(s))
			if after.Verdict == r.Verdict {
				fail("a change changes nothing: " + c.Text)
			}
			if after := c.Apply(s); c.Short == "Set the Passive IP" && (after.RangeForwarded != s.RangeForwarded || after.RangeOpen != s.RangeOpen) {
				t.Errorf("%+v: the button says %q and does %q", s, c.Short, c.Text)
			}
			if c.Text == "" || c.Short == "" {
				fail("a change without words")
			}
			if !strings.HasSuffix(c.Text, ".") || strings.ContainsAny(c.Text, "{}") {
				fail("a change isn't said in a sentence: " + c.Text)
			}
		}
	})
}

func TestTheFirstChangesLeadToChannelsThatStand(t *testing.T) {
	longest := 0
	differentSetups(func(s Setup) {
		r, n := Simulate(s), 0
		for ; r.Verdict != OK; n++ {
			if n == 5 || len(r.Changes) == 0 {
				t.Fatalf("still %s after %d changes, from %+v", r.Verdict, n, s)
			}
			r = Simulate(r.Changes[0].Apply(r.Setup))
		}
		longest = max(longest, n)
	})
	if longest < 2 {
		t.Errorf("no setup needs more than %d change, so the steps weren't tried", longest)
	}
}

func TestASwitchThatDoesNotMatterChangesNothing(t *testing.T) {
	runs := map[Setup]Run{}
	differentSetups(func(s Setup) { runs[s] = shown(simulate(s)) })
	compare := func(s, bare Setup) {
		got, want := shown(simulate(s)), runs[bare]
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("a switch is said not to matter, and does: %+v\n%+v\n%+v", s, got, want)
		}
	}
	if testing.Short() { // each such switch alone, and all together
		for bare := range runs {
			all := bare
			for _, sw := range Switches() {
				if !sw.Matters(bare) {
					one := bare
					*sw.Field(&one), *sw.Field(&all) = true, true
					compare(one, bare)
				}
			}
			compare(all, bare)
		}
		return
	}
	everySetup(func(s Setup) {
		bare := s
		for _, sw := range Switches() {
			if !sw.Matters(s) {
				*sw.Field(&bare) = false
			}
		}
		compare(s, bare)
	})
	t.Logf("%d setups differ", len(runs))
}

// shown is what a run shows of the mode that it is in. What the other mode would do decides about the way around.
func shown(r Run) Run {
	return Run{Steps: r.Steps, Works: r.Works, Stop: r.Stop, Story: r.Story, Advice: r.Advice, Report: Report{Finding: r.Finding, Second: r.Second}}
}

func TestEverySwitchChangesTheOutcomeSomewhere(t *testing.T) {
	left := Switches()
	differentSetups(func(s Setup) {
		if len(left) == 0 {
			return
		}
		before := simulate(s)
		left = slices.DeleteFunc(left, func(sw Switch) bool {
			other := s
			*sw.Field(&other) = !*sw.Field(&other)
			return simulate(other).Verdict != before.Verdict
		})
	})
	for _, sw := range left {
		t.Errorf("%s changes no outcome", sw.ID)
	}
}

func TestOnlyTLSChangesWhatAHelperCanDo(t *testing.T) {
	differentSetups(func(s Setup) {
		plain, protected := s, s
		plain.TLS, protected.TLS = false, true
		a, b := simulate(plain), simulate(protected)
		if !s.Helper && a.Verdict != b.Verdict {
			t.Fatalf("TLS changes the outcome without a helper: %+v: %s, %s", s, a.Verdict, b.Verdict)
		}
		if b.Verdict == ALGBlindTLS && a.Verdict == ALGBlindTLS {
			t.Fatalf("a helper is blind without TLS: %+v", s)
		}
	})
}

func TestWhatTheClientHasDoesNotStopPassiveModeUnlessItIsStrict(t *testing.T) {
	differentSetups(func(s Setup) {
		if s.Mode == connlog.Active || s.ClientFirewall && s.ClientStrict {
			return
		}
		bare := s
		bare.ClientFirewall, bare.ClientNAT = false, false
		if a, b := simulate(s), simulate(bare); a.Verdict != b.Verdict {
			t.Fatalf("a firewall or NAT at the client changes passive mode from %s to %s: %+v", b.Verdict, a.Verdict, s)
		}
	})
}

// modelled are the scenarios of the laboratory that a Setup can say, with the laboratory's verdicts. EPSV is what its
// clients ask with as long as the server knows it.
var modelled = []struct {
	scenario string
	verdict  Verdict
	setup    Setup
}{
	{"ok-passive", OK, Setup{Mode: connlog.Passive, EPSV: true, ClientNAT: true, ServerNAT: true, RangeSet: true, RangeForwarded: true, PassiveIP: true}},
	{"ok-passive-tls", OK, Setup{Mode: connlog.Passive, EPSV: true, TLS: true, ClientNAT: true, ServerNAT: true, RangeSet: true, RangeForwarded: true, PassiveIP: true}},
	{"ok-active", OK, Setup{Mode: connlog.Active, ServerNAT: true, RangeSet: true, RangeForwarded: true, PassiveIP: true}},
	{"ok-alg-plain", OK, Setup{Mode: connlog.Passive, EPSV: true, ClientNAT: true, ServerNAT: true, RangeSet: true, Helper: true}},
	{"ok-pasv-ip-epsv", OKWithFault, Setup{Mode: connlog.Passive, EPSV: true, ClientNAT: true, ServerNAT: true, RangeSet: true, RangeForwarded: true}},
	{"srv-fw-drop", ServerFirewallPassive, Setup{
		Mode: connlog.Passive, EPSV: true, ClientNAT: true, ServerFirewall: true, ServerNAT: true, RangeSet: true, RangeForwarded: true, PassiveIP: true}},
	{"srv-fw-reject", ServerFirewallPassive, Setup{
		Mode: connlog.Passive, EPSV: true, ClientNAT: true, ServerFirewall: true, ServerNAT: true, RangeSet: true, RangeForwarded: true, PassiveIP: true}},
	{"fwd-missing", ServerForwardPassive, Setup{Mode: connlog.Passive, EPSV: true, ClientNAT: true, ServerNAT: true, RangeSet: true, PassiveIP: true}},
	{"pasv-private", ServerPassiveIP, Setup{Mode: connlog.Passive, ClientNAT: true, ServerNAT: true, RangeSet: true, RangeForwarded: true}},
	{"client-egress", ClientFirewallOutbound, Setup{
		Mode: connlog.Passive, EPSV: true, ClientFirewall: true, ClientStrict: true, ClientNAT: true, ServerNAT: true,
		RangeSet: true, RangeForwarded: true, PassiveIP: true}},
	{"act-client-fw", ClientFirewallActive, Setup{Mode: connlog.Active, ClientFirewall: true, ServerNAT: true, RangeSet: true}},
	{"act-client-nat", ClientNATActive, Setup{Mode: connlog.Active, ClientNAT: true, ServerNAT: true, RangeSet: true}},
	{"act-srv-egress", ServerEgressActive, Setup{Mode: connlog.Active, ServerFirewall: true, ServerStrict: true, ServerNAT: true, RangeSet: true}},
	{"alg-tls", ALGBlindTLS, Setup{Mode: connlog.Passive, EPSV: true, TLS: true, ClientNAT: true, ServerNAT: true, RangeSet: true, Helper: true}},
}

func TestTheTableAgreesWithTheRecordedScenarios(t *testing.T) {
	for _, m := range modelled {
		if got := Simulate(m.setup).Verdict; got != m.verdict {
			t.Errorf("%s: %s, the laboratory says %s", m.scenario, got, m.verdict)
		}
	}
}

func TestEveryVerdictOfTheTableIsRecorded(t *testing.T) {
	recorded := map[Verdict]bool{}
	for _, m := range modelled {
		recorded[m.verdict] = true
	}
	differentSetups(func(s Setup) {
		if v := simulate(s).Verdict; !recorded[v] {
			t.Fatalf("%s, from %+v, has no scenario", v, s)
		}
	})
}
