package doctor

import (
	"net/netip"

	"portside/client"
	"portside/connlog"
)

// This file is the network of a [Setup]: what each wall does with a packet, and from that the [Evidence] that a client
// there would gather. It holds no verdict: those are [Rules]' alone. The way has four hops, as in the laboratory that the
// tests compare with: the client's router, one on the internet, the server's router, the server.

// inward is where a connection from the client to an address and port comes to. expected says that the server's router
// was told of the port by its helper.
func (s Setup) inward(to netip.AddrPort, expected bool) Place {
	inRange := to.Port() == simInRange
	switch port := to.Port(); {
	case s.ClientFirewall && s.ClientStrict && port != 21 && port != 80 && port != 443 && port != 990:
		return AtClientFirewall
	case connlog.Private(to.Addr()):
		return OnTheWay
	case s.ServerNAT && port != simControlTo && !(s.RangeForwarded && inRange) && !expected:
		return AtServerRouter
	case s.ServerFirewall && port != simControlTo && !(s.RangeOpen && inRange):
		return AtServerFirewall
	}
	return AtServer
}

// outward is where a connection from the server to the client comes to.
func (s Setup) outward() Place {
	switch {
	case s.ServerFirewall && s.ServerStrict:
		return AtServerFirewall
	case s.ClientFirewall && !s.ActiveOpen:
		return AtClientFirewall
	}
	return AtClient
}

// rewritten says that the router of the server's side puts its address into a 227 reply. It looks only at replies that
// name the server's own address: one that names another (a Passive IP) is none of its business, and what TLS hides it
// can't read.
func (s Setup) rewritten() bool { return s.Helper && s.ServerNAT && !s.TLS && !s.PassiveIP }

// helped says that this router opens the port of an offer by itself. A 229 reply names no address, so it can't name a
// wrong one.
func (s Setup) helped() bool {
	return s.rewritten() || s.Helper && s.ServerNAT && !s.TLS && s.EPSV
}

// offer is what the client's EPSV or PASV gets, and where the data connection comes to for a client that believes it.
func (s Setup) offer(port uint16) (Offer, Place) {
	o := Offer{Command: "PASV", Port: port, Answer: Answer{Code: 227}}
	o.Advertised = netip.AddrPortFrom(s.ServerAddr(), port)
	if s.PassiveIP || s.rewritten() {
		o.Advertised = netip.AddrPortFrom(s.ServerPublic(), port)
	}
	o.Dialled = o.Advertised
	if s.EPSV {
		o = Offer{Command: "EPSV", Port: port, Answer: Answer{Code: 229}, Dialled: netip.AddrPortFrom(s.ServerPublic(), port)}
	}
	stop := s.inward(o.Dialled, s.helped())
	if o.Dial = Silence; stop == AtServer {
		o.Dial, o.Move = Worked, simListing
	}
	return o, stop
}

// simListing is a listing that goes through.
var simListing = Move{Command: "LIST", Outcome: Worked, Answer: Answer{Code: 226}, Begun: true, Bytes: 1024}

// activeTry is the client's PORT and what becomes of it: the address that the server is told, and where its connection
// comes to. A server takes only the address that it sees its client at, as vsftpd and Portside's own.
func (s Setup) activeTry() (a Active, told netip.Addr, stop Place) {
	named := s.ClientAddr()
	if s.ActiveForwarded {
		named = s.ClientPublic()
	}
	told = named
	if s.ClientNAT && s.Helper && !s.TLS && !s.ActiveForwarded {
		told = s.ClientPublic()
	}
	a = Active{Command: "PORT", Announced: netip.AddrPortFrom(named, simActiveTo), Counted: true}
	if told != s.ClientPublic() {
		a.Answer = Answer{Code: 500, Text: "Illegal PORT command."}
		return a, told, AtServer
	}
	a.Answer = Answer{Code: 200, Text: "PORT command successful."}
	stop = s.outward()
	switch stop {
	case AtClient:
		a.Accepted, a.From, a.Move = true, netip.AddrPortFrom(s.ServerPublic(), simActiveFrom), simListing
	case AtClientFirewall:
		a.Dropped = 4 // the server's kernel tries at 0, 1, 3 and 7 s
	default:
		a.Punched = true // looked for at the client's side, and not there
	}
	return a, told, stop
}

// hops is what comes back for packets with small TTLs that get as far as stop. Routers answer, firewalls are silent.
func (s Setup) hops(stop Place) Trace {
	near, far := simClientRouter, s.ServerPublic()
	if !s.ServerNAT {
		far = simServerRouter
	}
	t := Trace{{1, Passed, near}, {2, Passed, simInternet}, {3, Passed, far}, {4, Worked, s.ServerPublic()}}
	lost := map[Place]int{AtClientFirewall: 1, OnTheWay: 3, AtServerRouter: 3, AtServerFirewall: 4, AtServer: 5}[stop]
	for i := range t {
		if t[i].TTL >= lost {
			t[i] = Hop{TTL: t[i].TTL, Outcome: Silence}
		}
	}
	return t
}

// evidence is what the client of this setup finds out: the mode that it was told to use, the other one as a way around,
// and under TLS the same in clear. It asks with EPSV or PASV as it was told and dials where the reply says, as many
// programs do; with EPSV it also looks at what PASV would have named.
func (s Setup) evidence() Evidence {
	e := Evidence{
		Target: client.Target{Host: s.ServerPublic().String(), Port: simControlTo, User: client.Anonymous, TLS: client.TLSNone},
		Mode:   client.ModePassive, Action: ActionList, Addrs: []netip.Addr{s.ServerPublic()},
		Local:   netip.AddrPortFrom(s.ClientAddr(), simControlFrom),
		Peer:    netip.AddrPortFrom(s.ServerPublic(), simControlTo),
		Control: Worked, Hops: s.hops(AtServer), Greeter: GreeterFTP, Greeting: Answer{Code: 220}, User: Answer{Code: 331}, Pass: Answer{Code: 230}, SignedIn: true,
	}
	if s.Mode == connlog.Active {
		e.Mode = client.ModeActive
	}
	e.Passive = s.passiveEvidence()
	e.PORT, _, _ = s.activeTry()
	if s.TLS {
		e.Target.TLS, e.TLSAsked, e.TLSUp, e.TLSVersion = client.TLSExplicit, true, true, "TLS 1.3"
		plain := s
		plain.TLS = false
		p := plain.passiveEvidence()
		e.Comparison = Comparison{Tried: true, EPSV: p.EPSV, PASV: p.PASV}
		e.Comparison.PORT, _, _ = plain.activeTry()
	}
	return e
}

func (s Setup) passiveEvidence() Passive {
	var p Passive
	first, stop := s.offer(s.passivePort())
	wrong := func(o Offer) bool { return o.Command == "PASV" && o.Advertised.Addr() != s.ServerPublic() }
	switch {
	case s.EPSV:
		p.EPSV = first
		asked := s
		asked.EPSV = false
		if o, _ := asked.offer(s.passivePort()); wrong(o) {
			p.Advertised = o
		}
	case wrong(first):
		p.Advertised = first
	default:
		p.PASV = first
	}
	if stop != AtServer {
		p.Trace = s.hops(stop)
	}
	if !s.RangeSet { // further offers show that there is no range
		for _, port := range []uint16{simOtherPort, simThirdPort} {
			o, _ := s.offer(port)
			if wrong(o) {
				o.Dial = NotTried
			}
			o.Move = Move{}
			p.More = append(p.More, o)
		}
	}
	return p
}
