package ui

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"portside/connlog"
	"portside/ui/channels"
)

func TestExamineIsAboutTheServerOfTheChannelThatIsShown(t *testing.T) {
	w, core, _ := testWindow(t, 1280, 800)
	c := w.connect
	c.address.SetText("ftp://127.0.0.8:1/")
	c.user.SetText("alice")
	for _, one := range []struct {
		server, user string
	}{{"127.0.0.8:1", "alice"}, {"127.0.0.9:1", "bob"}} {
		server := netip.MustParseAddrPort(one.server)
		ch := connlog.Channel{Kind: connlog.Control, State: connlog.Failed, Host: server.Addr().String(), Server: server, User: "bob"}
		actions := c.actions(ch)
		i := slices.IndexFunc(actions, func(a channels.Action) bool { return a.Label == "Examine" })
		if i < 0 {
			t.Fatal("a channel that failed can't be examined")
		}
		actions[i].Run()
		core.CancelExamination()
		if got := w.doctor.address.Text; !strings.Contains(got, one.server) || w.doctor.user.Text != one.user {
			t.Errorf("examines %s as %s, not %s as %s", got, w.doctor.user.Text, one.server, one.user)
		}
		w.show("connect")
	}
}
