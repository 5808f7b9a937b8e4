package ui

import (
	"bytes"
	"strings"
	"testing"

	"portside/connlog"
	"portside/ui/kit"
	"portside/ui/uitest"
)

// twoLogs are the logs of both ends of a session in which the passive data channel was dropped on the way.
const twoLogs = `{"time":"2026-11-23T09:41:00.000Z","session":"a","side":"client","event":"control-opened","channel":"control","initiator":"client","from":"198.51.100.7:51812","to":"203.0.113.5:21"}
{"time":"2026-11-23T09:41:00.000Z","session":"a","side":"client","event":"greeted","channel":"control","peer":"b"}
{"time":"2026-11-23T09:41:01.000Z","session":"a","side":"client","event":"passive-offered","channel":"data","conn":1,"mode":"passive","initiator":"client","to":"203.0.113.5:21107","command":"EPSV"}
{"time":"2026-11-23T09:41:16.000Z","session":"a","side":"client","event":"data-failed","channel":"data","conn":1,"mode":"passive","initiator":"client","to":"203.0.113.5:21107","reason":"timeout"}
{"time":"2026-11-23T09:41:00.000Z","session":"b","side":"server","event":"control-opened","channel":"control","initiator":"client","from":"198.51.100.7:51812","to":"203.0.113.5:21"}
{"time":"2026-11-23T09:41:01.000Z","session":"b","side":"server","event":"passive-offered","channel":"data","conn":1,"mode":"passive","initiator":"client","to":"203.0.113.5:21107","command":"EPSV"}
{"time":"2026-11-23T09:41:16.000Z","session":"b","side":"server","event":"offer-expired","channel":"data","conn":1,"mode":"passive","initiator":"client","to":"203.0.113.5:21107","reason":"not-taken"}
`

func TestAComparisonShowsBothViewsOfTheChannelThatFailed(t *testing.T) {
	uitest.App(t, kit.Light)
	log := connlog.NewLog(0)
	if _, err := log.ReadJSON(strings.NewReader(twoLogs)); err != nil {
		t.Fatal(err)
	}
	pairs := log.Compare()
	for _, own := range []connlog.Side{connlog.Client, connlog.Server} {
		c := newComparison(pairs, own)
		w := uitest.Window(t, c.object, 960, 480)
		chosen, ok := c.diagram.Chosen()
		if !ok || chosen.Kind != connlog.Data || chosen.Side != own || chosen.State != connlog.Failed && own == connlog.Client {
			t.Errorf("%s: it begins with %+v", own, chosen)
		}
		var said strings.Builder
		for _, o := range c.said.Objects {
			if f, ok := o.(*kit.FlowText); ok {
				said.WriteString(f.String() + "\n")
			}
		}
		for _, want := range []string{"Proved:", "the server was waiting there, and nothing arrived", "you open the data channel", "the client opens the data channel"} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%s: %q is not in\n%s", own, want, said.String())
			}
		}
		if own == connlog.Client {
			uitest.Shot(t, w, "compare-logs")
		}
	}
	var b bytes.Buffer
	pairs[0].Write(&b)
	if text := comparisonText(pairs); !strings.Contains(text, "Both:   Proved:") || strings.TrimSpace(text) != strings.TrimSpace(b.String()) {
		t.Error(text)
	}
}
