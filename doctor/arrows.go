package doctor

import (
	"slices"
	"strings"

	"portside/client"
	"portside/connlog"
)

// Arrow is a channel of the examination as a picture shows it.
type Arrow struct {
	Kind      connlog.ChannelKind `json:"channel"`
	Mode      connlog.Mode        `json:"mode,omitempty"`
	Initiator connlog.Side        `json:"initiator"`
	Label     string              `json:"label"`
	Works     bool                `json:"works"`
	Stop      Place               `json:"-"` // where it stops, when it doesn't work
	Stops     string              `json:"stops_at,omitempty"`
}

var places = map[Side]Place{
	ClientComputer: AtClientFirewall, ClientNetwork: AtClientRouter, ThePath: OnTheWay,
	ServerNetwork: AtServerRouter, ServerComputer: AtServerFirewall, ServerSettings: AtServer,
}

// arrows draws what was tried.
func (e *Evidence) arrows(r Report) []Arrow {
	var out []Arrow
	add := func(a Arrow, stop Place) {
		if !a.Works {
			a.Stop, a.Stops = stop, stop.String()
		}
		out = append(out, a)
	}
	if e.Control == NotTried {
		return nil
	}
	up := e.Control == Worked && !e.foreign()
	at := places[r.Side]
	switch {
	case e.Control == Worked && r.Side != ClientNetwork:
		at = AtServer // the firewall let it in
	case e.Control == Refused && at == AtServerFirewall:
		at = AtServer // who is said to refuse it
	case e.absent() && !e.OnLink:
		at = AtServerRouter // which looked for the server
	}
	add(Arrow{Kind: connlog.Control, Initiator: connlog.Client, Works: up, Label: "control → " + itoa(int(e.Target.ControlPort()))}, at)
	judged := e.mode()
	if e.Passive.tried() {
		_, blocked := e.Passive.ports()
		ports := e.Passive.offered()
		works := e.Passive.moved() && len(blocked) == 0
		if !works && len(blocked) > 0 {
			ports = blocked
		}
		stop := AtServerFirewall
		switch {
		case judged == client.ModePassive:
			stop = places[r.Side]
		case e.firstPassiveMove().Outcome != NotTried || e.noOffer():
			stop = AtServer // the connection stood, or was never offered
		}
		add(Arrow{Kind: connlog.Data, Mode: connlog.Passive, Initiator: connlog.Client, Works: works, Label: "data → " + strings.TrimPrefix(portsText(ports), "ports ")}, stop)
	}
	if a := e.active(); a.Command != "" && (!a.Quick || a.works() || a.refused()) {
		stop := AtClientFirewall
		switch {
		case a.elsewhere():
			stop = AtClient // who turned it away
		case judged == client.ModeActive:
			stop = places[r.Side]
		case a.refused(), a.Accepted, e.refusedAlike():
			stop = AtServer
		case e.natted():
			stop = AtClientRouter
		}
		add(Arrow{Kind: connlog.Data, Mode: connlog.Active, Initiator: connlog.Server, Works: a.works(), Label: "data ← " + itoa(int(a.Announced.Port()))}, stop)
	}
	if r.Verdict == Undecided { // where a channel stops that was not waited for is not known
		out = slices.DeleteFunc(out, func(a Arrow) bool { return !a.Works })
	}
	return out
}
