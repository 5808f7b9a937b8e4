package doctor

import (
	"cmp"
	"strconv"
	"strings"

	"portside/client"
	"portside/connlog"
)

// FromSession judges what the log of a client's session says, without any probe: what the evidence of ordinary work
// allows. It claims less than an examination, since nothing was compared and nothing was followed along the way.
func FromSession(s connlog.Session) Report {
	e := Evidence{
		Target: client.Target{Host: cmp.Or(s.Host, s.Server.Addr().String()), Port: s.Server.Port(), User: cmp.Or(s.User, client.Anonymous), TLS: client.TLSNone},
		Local:  s.Client, Peer: s.Server, Control: Worked, Greeter: GreeterFTP, Greeting: Answer{Code: 220}, SignedIn: s.User != "",
		Mode: client.ModePassive,
	}
	if s.TLS != "" {
		e.TLSAsked, e.TLSUp, e.TLSVersion, e.Target.TLS = true, true, s.TLS, client.TLSExplicit
	}
	for _, c := range s.Channels {
		if c.Kind == connlog.Control {
			e.controlChannel(c)
			continue
		}
		e.dataChannel(c)
	}
	if e.Mode == client.ModeActive && e.Passive.tried() && !e.Passive.moved() {
		e.Mode = client.ModePassive // active was the way around that failed, too
	}
	r := Judge(e)
	r.Started = s.Started
	return r
}

// controlChannel takes over what the log says of the control connection.
func (e *Evidence) controlChannel(c connlog.Channel) {
	e.Software = softwareOf(c.Software)
	if c.State != connlog.Failed {
		if c.Reply != "" && c.User == "" {
			e.Pass, e.SignedIn = replyAnswer(c.Reply), false
		}
		return
	}
	e.Greeter, e.Greeting = "", Answer{}
	if c.Opened.IsZero() {
		e.Control = channelOutcome(c)
		e.Peer = c.To
		if c.Reason == connlog.ReasonUnknownHost {
			e.Control, e.NameError = NotTried, cmp.Or(c.Err, "no address")
			e.NoSuch = !strings.Contains(c.Err, "timeout")
		}
	}
	switch c.Reason {
	case connlog.ReasonTLS:
		e.Greeter, e.TLSAsked, e.TLSUp = GreeterFTP, true, false
		if strings.Contains(c.Err, "certificate") {
			e.CertError = whyNotTrusted(c.Err)
		} else {
			e.TLSError = c.Err
		}
	case connlog.ReasonNotFTP:
		e.Control, e.Greeter, e.Heard = Worked, GreeterOther, c.Err
	case connlog.ReasonRejected:
		e.Control, e.Greeter, e.Greeting = Worked, GreeterFTP, replyAnswer(c.Reply)
	}
}

// whyNotTrusted is what a session's error says of a certificate, without what it says of the session.
func whyNotTrusted(err string) string {
	for _, head := range []string{": the certificate was not accepted: ", ": the certificate is not trusted: "} {
		if _, why, ok := strings.Cut(err, head); ok {
			return why
		}
	}
	return err
}

// dataChannel takes over what the log says of a data connection. The newest of each kind counts.
func (e *Evidence) dataChannel(c connlog.Channel) {
	if c.State == connlog.Offered || c.State == connlog.Dialing || c.State == connlog.Withdrawn || c.State == connlog.Open || c.Reason == connlog.ReasonCancelled {
		return
	}
	e.SignedIn = true
	m := Move{Command: c.Command, Bytes: c.Bytes, Took: c.Duration, Resumed: c.Resumed, Answer: replyAnswer(c.Reply)}
	if !c.Opened.IsZero() {
		m.Outcome = channelOutcome(c)
		m.Begun = c.Bytes > 0
	}
	switch {
	case m.Outcome == Stalled, m.Outcome == Broken:
		e.Transfer = m
	case m.moved():
		e.Transfer = Move{}
	}
	if c.Mode == connlog.Active {
		e.Mode = client.ModeActive
		a := Active{Command: "EPRT", Announced: c.To, Accepted: !c.Opened.IsZero(), From: c.From, Move: m}
		if strings.HasPrefix(c.Offer, "PORT") {
			a.Command = "PORT"
		}
		if c.Opened.IsZero() && c.Reason == connlog.ReasonRejected {
			a.Answer = m.Answer
		}
		if a.Command == "PORT" {
			e.PORT = a
		} else {
			e.EPRT = a
		}
		return
	}
	e.Mode = client.ModePassive
	o := Offer{Command: cmp.Or(c.Offer, "EPSV"), Port: c.To.Port(), Dialled: c.To, Move: m, Dial: Worked}
	switch {
	case c.Opened.IsZero() && !c.To.IsValid():
		o.Dial, o.Answer = NotTried, m.Answer
	case c.Opened.IsZero():
		o.Dial = channelOutcome(c)
	}
	if c.Advertised.IsValid() {
		o.Advertised = c.Advertised
	}
	if o.Command == "PASV" {
		e.Passive.PASV = o
	} else {
		e.Passive.EPSV = o
	}
}

// replyAnswer reads a reply as the log keeps it: "425 Can't open data connection".
func replyAnswer(s string) Answer {
	code, text, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(strings.TrimSuffix(code, "-"))
	if err != nil {
		return Answer{Text: s}
	}
	return Answer{Code: n, Text: text}
}

func channelOutcome(c connlog.Channel) Outcome {
	if c.State == connlog.Closed {
		return Worked
	}
	switch c.Reason {
	case connlog.ReasonRefused:
		return Refused
	case connlog.ReasonTimeout:
		if !c.Opened.IsZero() {
			return Stalled
		}
		return Silence
	case connlog.ReasonUnreachable:
		return Unreachable
	case connlog.ReasonRejected, connlog.ReasonPolicy:
		return Rejected
	case connlog.ReasonStalled:
		return Stalled
	case connlog.ReasonTLS:
		return TLSFailed
	case connlog.ReasonLocal:
		return Failed
	}
	return Broken
}
