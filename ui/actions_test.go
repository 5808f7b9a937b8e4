package ui

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"portside/connlog"
	"portside/ui/channels"
	"portside/ui/uitest"
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

func TestAnotherModeIsOfferedWhereItMayHelpOnly(t *testing.T) {
	w, core, _, _, _ := onServer(t, func(string, string) {})
	to := core.Remote().Target
	server := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.ControlPort())
	for _, one := range []struct {
		reason  connlog.Reason
		reply   string
		opened  bool
		command string
		helps   bool
	}{
		{reason: connlog.ReasonTimeout, helps: true},
		{reason: connlog.ReasonRefused, helps: true},
		{reason: connlog.ReasonStalled, opened: true, command: "RETR a", helps: true},
		{reason: connlog.ReasonRejected, reply: "502 No EPSV", helps: true},
		{reason: connlog.ReasonRejected, reply: "425 Can't open data connection", opened: true, command: "LIST", helps: true},
		{reason: connlog.ReasonRejected, reply: "550 No such file", opened: true, command: "RETR a"},
		{reason: connlog.ReasonRejected, reply: "550 No such file", command: "RETR a"},
		{reason: connlog.ReasonCancelled, opened: true, command: "RETR a"},
		{reason: connlog.ReasonLocal, opened: true, command: "RETR a"},
	} {
		ch := connlog.Channel{
			Kind: connlog.Data, Mode: connlog.Passive, State: connlog.Failed, Host: to.Host, Server: server,
			Reason: one.reason, Reply: one.reply, Command: one.command,
		}
		if one.opened {
			ch.Opened = time.Unix(1, 0)
		}
		offered := slices.ContainsFunc(w.connect.actions(ch), func(a channels.Action) bool { return a.Label == "Use active from now on" })
		if offered != one.helps {
			t.Errorf("%s %q: offered %v", one.reason, one.reply, offered)
		}
	}
}

func TestANameThatCantBeIsSaidInASentence(t *testing.T) {
	w, _, _, _, _ := onServer(t, func(string, string) {})
	w.registry.Run("pane.folder")
	uitest.Type(w, "a/b")
	if said := dialogText(w); !strings.Contains(said, "A name can't hold a slash or a line end.") {
		t.Errorf("it says %q", said)
	}
}
