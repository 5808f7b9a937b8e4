package localserver

// How data connections are asked for and opened: PASV, EPSV, PORT, EPRT, and the transfer's side of it.

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"portside/connlog"
	"portside/wire"
)

// dropData takes back the offer or request that stands.
func (s *session) dropData(why error) {
	if d := s.takeData(); d != nil {
		d.withdraw(why)
	}
}

func (s *session) setData(d *dataConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.mode = d, d.mode
}

func (s *session) refusePassive(c wire.Command, reason connlog.Reason, code int, text string) {
	s.refuseOffer(s.nextConn(), c, reason, code, text)
}

// refuseOffer says no to PASV or EPSV. The data channel that does not come about is numbered as any other.
func (s *session) refuseOffer(conn int, c wire.Command, reason connlog.Reason, code int, text string) {
	s.record(connlog.Record{Event: connlog.PassiveRefused, Channel: connlog.Data, Conn: conn, Mode: connlog.Passive, Initiator: connlog.Client,
		Command: wire.Mask(c.String()), Reply: wire.Reply{Code: code, Lines: []string{text}}.String(), Reason: reason})
	s.reply(code, text)
}

func (s *session) cmdPASV(c wire.Command) {
	switch {
	case s.extended:
		s.refusePassive(c, connlog.ReasonPolicy, 501, "PASV is not possible after EPSV ALL.")
		return
	case s.local.Addr().Is6():
		s.refusePassive(c, connlog.ReasonPolicy, 425, "PASV is for IPv4 only; use EPSV.")
		return
	}
	d := s.offer(c)
	if d == nil {
		return
	}
	d.told = netip.AddrPortFrom(s.srv.PassiveAddressFor(s.local.Addr(), s.peer.Addr()), d.lease.port)
	s.announce(d)
	s.reply(227, wire.Format227(d.told))
}

func (s *session) cmdEPSV(c wire.Command) {
	family := ownFamily(s.local.Addr().Is6())
	switch arg := strings.ToUpper(strings.TrimSpace(c.Arg)); {
	case arg == "ALL":
		s.extended = true
		s.reply(200, "Only EPSV from now on.")
		return
	case arg == "" || arg == family:
	case strings.Trim(arg, "0123456789") == "":
		s.refusePassive(c, connlog.ReasonPolicy, 522, fmt.Sprintf("Network protocol not supported, use (%s)", family))
		return
	default:
		s.refusePassive(c, connlog.ReasonPolicy, 501, "EPSV wants nothing, 1, 2 or ALL.")
		return
	}
	d := s.offer(c)
	if d == nil {
		return
	}
	s.announce(d)
	s.reply(229, wire.Format229(d.lease.port))
}

// ownFamily is the number of the session's network protocol in EPRT and EPSV (RFC 2428 section 2).
func ownFamily(six bool) string {
	if six {
		return "2"
	}
	return "1"
}

// offer replaces the former data connection by a passive offer. It replies itself when there is no port.
func (s *session) offer(c wire.Command) *dataConn {
	s.dropData(errNewer)
	d, err := s.offerPassive(c.Verb)
	switch {
	case errors.Is(err, errNoPort):
		conn := s.nextConn()
		s.record(connlog.Record{Event: connlog.PortsExhausted, Channel: connlog.Data, Conn: conn, Mode: connlog.Passive, Initiator: connlog.Client,
			Command: c.Verb, Holders: s.srv.holders()})
		s.refuseOffer(conn, c, connlog.ReasonLocal, 425, "All passive ports are taken. Try again in a moment.")
		return nil
	case err != nil:
		s.record(connlog.Record{Event: connlog.ServerFault, Err: "opening a passive port: " + err.Error()})
		s.refusePassive(c, connlog.ReasonLocal, 425, "The server can't open a passive port.")
		return nil
	}
	return d
}

// announce records an offer, then lets it be taken: whoever comes is recorded after it.
func (s *session) announce(d *dataConn) {
	d.record(connlog.Record{Event: connlog.PassiveOffered, Command: d.command})
	s.setData(d)
	go d.accept()
}

// cmdPORT is PORT and EPRT.
func (s *session) cmdPORT(c wire.Command) {
	s.dropData(errNewer)
	to, refusal := s.activeTarget(c)
	if refusal.Code != 0 {
		s.record(connlog.Record{Event: connlog.ActiveRefused, Channel: connlog.Data, Conn: s.nextConn(), Mode: connlog.Active, Initiator: connlog.Server, To: to,
			Command: wire.Mask(c.String()), Reply: refusal.String(), Reason: connlog.ReasonPolicy})
		s.replyLines(refusal.Code, refusal.Lines...)
		return
	}
	d := s.requestActive(wire.Mask(c.String()), to)
	d.record(connlog.Record{Event: connlog.ActiveRequested, Command: d.command})
	s.setData(d)
	s.reply(200, "The server will connect to you for the next transfer.")
}

// activeTarget returns where PORT or EPRT wants to be dialled, or the reply that refuses it. Only the client's own
// address and ports from 1024 up are dialled (RFC 2577 section 3).
func (s *session) activeTarget(c wire.Command) (to netip.AddrPort, refusal wire.Reply) {
	refuse := func(code int, text string) (netip.AddrPort, wire.Reply) {
		return to, wire.Reply{Code: code, Lines: []string{text}}
	}
	if s.extended {
		return refuse(501, c.Verb+" is not possible after EPSV ALL.")
	}
	arg, six := strings.TrimSpace(c.Arg), s.local.Addr().Is6()
	parse := wire.ParsePort
	if c.Verb == "EPRT" {
		parse = wire.ParseEPRT
		// The family is judged before the address: of another family's address nothing needs to be understood.
		if family, err := wire.EPRTFamily(arg); err == nil && (family == 2) != six {
			return refuse(522, "Network protocol not supported, use ("+ownFamily(six)+")")
		}
	}
	to, err := parse(arg)
	switch {
	case errors.Is(err, wire.ErrFamily):
		return refuse(522, "Network protocol not supported, use ("+ownFamily(six)+")")
	case err != nil:
		return refuse(501, "Malformed. Usage: "+s.srv.commands[c.Verb].help+".")
	case to.Addr().Unmap().Is6() != six && c.Verb == "EPRT": // "|2|::ffff:192.0.2.1|…"
		return refuse(522, "Network protocol not supported, use ("+ownFamily(six)+")")
	case to.Addr().Unmap().Is6() != six:
		return refuse(504, "PORT is for IPv4; use EPRT or EPSV.")
	case to.Port() < 1024:
		return refuse(504, "Ports below 1024 are not dialled.")
	case !s.srv.config.Active.AllowForeignAddress && !sameHost(to.Addr(), s.peer.Addr()):
		return refuse(504, "Only your own address "+s.peer.Addr().String()+" is dialled.")
	}
	if z := s.peer.Addr().Zone(); z != "" {
		to = netip.AddrPortFrom(to.Addr().WithZone(z), to.Port())
	}
	return to, wire.Reply{}
}

// needsTLS reports whether clear data connections are refused.
func (s *session) needsTLS() bool {
	mode := s.srv.config.TLS.Mode
	return mode == TLSRequired || mode == TLSImplicit || s.account.RequireTLS
}

// openData gets the data connection for a transfer: it waits for it or dials it, sends the 150 reply with text, and
// starts TLS. When it can't, it has replied and returns nil.
func (s *session) openData(c wire.Command, virtual string, dir Direction, text string) *pipe {
	s.mu.Lock()
	d := s.data
	s.doing = doing{c.Verb, wire.Escape(virtual), dir, time.Now()}
	s.mu.Unlock()
	if d == nil {
		s.reply(425, "No data connection: send PASV, EPSV, PORT or EPRT first.")
		return nil
	}
	if s.needsTLS() && !s.protected {
		s.takeData()
		d.close(errTLSPolicy, false)
		s.reply(522, "Data connections must be protected: send PBSZ 0 and PROT P first.")
		return nil
	}
	ctx := s.xfer
	conn, err := d.open(ctx, wire.Mask(c.String()))
	if err != nil {
		s.takeData()
		if !d.said {
			d.close(err, false)
		}
		s.replyNoData(d, err)
		return nil
	}
	s.mu.Lock()
	s.standing = true
	s.mu.Unlock()
	l := s.srv.limits()
	p := d.pipe(conn, l)
	p.unhook = context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), errAborted) {
			conn.Close()
		} else {
			reset(conn)
		}
	})
	s.reply(150, text)
	if s.protected && s.tls != nil {
		if err := p.handshake(ctx, s.tls, s.srv.config.TLS.Resume, dir); err != nil {
			err = p.end(ctx, err)
			switch {
			case errors.Is(err, errNotResumed):
				s.reply(522, "The data connection must resume the TLS session of the control connection.")
			case errors.Is(err, errAborted):
				s.reply(426, "Transfer aborted.")
			default:
				s.reply(522, "The TLS handshake on the data connection failed.")
			}
			return nil
		}
	}
	return p
}

// replyNoData says why there is no data connection.
func (s *session) replyNoData(d *dataConn, err error) {
	l := s.srv.limits()
	reason, _ := classify(err)
	switch {
	case errors.Is(err, errAborted), errors.Is(err, errQuit):
		s.reply(426, "Transfer aborted before the data connection stood.")
	case errors.Is(err, errTakenBack):
		s.reply(425, "Your passive offer was taken back: another address needed a port. Send PASV or EPSV again.")
	case errors.Is(err, errExpired):
		s.reply(425, "The passive offer has expired: send PASV or EPSV again.")
	case errors.Is(err, errNotTaken):
		s.replyf(425, "Nobody opened the data connection to %s within %v.", d.told, l.OfferTimeout)
	case d.mode == connlog.Active && reason == connlog.ReasonTimeout:
		s.replyf(425, "No answer from %s within %v.", d.told, l.DialTimeout)
	case d.mode == connlog.Active && reason == connlog.ReasonRefused:
		s.replyf(425, "%s refused the data connection.", d.told)
	case d.mode == connlog.Active:
		s.replyf(425, "Can't connect to %s.", d.told)
	default:
		s.reply(425, "Can't open the data connection.")
	}
}

// end closes the data connection after a transfer and returns what the transfer's error really is.
func (p *pipe) end(ctx context.Context, err error) error {
	p.unhook()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	p.d.s.takeData()
	p.d.close(err, false)
	p.release()
	return err
}

// replyBroken says why a transfer broke off.
func (s *session) replyBroken(err error, virtual, more string) {
	var local *localError
	switch {
	case errors.As(err, &local):
		code, text := fileReply(local.error, virtual)
		if code == 550 {
			code = 451
		}
		s.reply(code, text+more)
	case errors.Is(err, errStalled):
		s.reply(426, "No data moved for too long; transfer ended."+more)
	case errors.Is(err, errAborted):
		s.reply(426, "Transfer aborted."+more)
	default:
		s.reply(426, "The data connection broke."+more)
	}
}
