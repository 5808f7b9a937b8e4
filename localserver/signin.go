package localserver

// Signing in and out, and TLS on the control connection: USER, PASS, REIN, QUIT (RFC 959 section 4.1.1), AUTH, PBSZ,
// PROT (RFC 4217).

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"portside/connlog"
	"portside/wire"
)

func (s *session) cmdUSER(c wire.Command) {
	s.signOut()
	name := c.Arg
	if strings.EqualFold(name, "ftp") {
		name = Anonymous
	}
	if strings.EqualFold(name, Anonymous) {
		name = Anonymous
	}
	mode := s.srv.config.TLS.Mode
	people := s.srv.people.Load()
	if s.tls == nil && (mode == TLSRequired || people.clearOnly != nil && !people.clearOnly[name]) {
		// Before the password is asked for: else it would have crossed the network in clear.
		s.refuse(name, connlog.ReasonPolicy, 530, "Sign in over TLS only: send AUTH TLS first.")
		return
	}
	s.login.user = name
	if name == Anonymous && people.accounts[Anonymous] != nil {
		s.reply(331, "Any password will do.")
		return
	}
	s.reply(331, "Password please.")
}

func (s *session) signOut() {
	s.mu.Lock()
	if s.account != nil {
		s.account.sessions.Add(-1)
		s.account = nil
		s.loginFrom = time.Now()
	}
	s.mu.Unlock()
	s.cwd = "/"
	s.dropData(errSignOut)
}

func (s *session) refuse(user string, reason connlog.Reason, code int, text string) {
	r := wire.Reply{Code: code, Lines: []string{text}}
	s.record(connlog.Record{Event: connlog.SignInRefused, Channel: connlog.Control, User: wire.Escape(user), Reply: r.String(), Reason: reason})
	s.reply(code, text)
}

func (s *session) cmdPASS(c wire.Command) {
	name := s.login.user
	s.login.user = ""
	if name == "" {
		s.reply(503, "Send USER first.")
		return
	}
	l := s.srv.limits()
	people := s.srv.people.Load()
	a := people.accounts[name]
	ok, err := a != nil && a.anonymous(), error(nil)
	if !ok {
		var plain *Account
		if a != nil {
			plain = &a.Account
		}
		// Of passwords that were sent at the same time over many connections, most wait for their turn. Once their address is
		// shut out, they cost nothing more and learn nothing, not even of a right one.
		shutOut := func() bool { return s.srv.guard.shutOut(s.peer.Addr(), time.Now()) }
		if ok, err = s.srv.gate.check(s.ctx, plain, c.Arg, func() bool { return !shutOut() }); err != nil {
			if s.ctx.Err() == nil {
				s.refuse(name, connlog.ReasonLocal, 451, "The server could not check the password.")
			}
			return
		}
		if shutOut() {
			s.close(connlog.Server, connlog.ReasonPolicy, errors.New("too many wrong passwords from this address"), shutOutText)
			return
		}
	}
	if !ok {
		known := ""
		if a != nil {
			known = a.key()
		}
		delay := s.srv.guard.wrongPassword(s.peer.Addr(), known, l, time.Now())
		select {
		case <-time.After(delay):
		case <-s.ctx.Done():
			return
		}
		s.login.wrong++
		s.refuse(name, connlog.ReasonRejected, 530, "Wrong user name or password.")
		if s.login.wrong >= l.WrongPasswords {
			s.close(connlog.Server, connlog.ReasonPolicy, errors.New("too many wrong passwords"), "Too many wrong passwords.")
		}
		return
	}
	if n := a.sessions.Add(1); a.MaxSessions > 0 && int(n) > a.MaxSessions {
		a.sessions.Add(-1)
		s.refuse(a.Name, connlog.ReasonPolicy, 530, "This account has as many sessions as it may. Close one, or try again later.")
		return
	}
	if !a.anonymous() {
		s.srv.guard.rightPassword(s.peer.Addr(), a.key())
	}
	if s.tls == nil && a.RequireTLS || !s.signIn(a) {
		// The accounts were changed between USER and this moment.
		a.sessions.Add(-1)
		s.refuse(name, connlog.ReasonPolicy, 530, "The accounts have just changed. Try again.")
		return
	}
	s.root = a.folder.current()
	s.cwd, s.binary = "/", false
	s.mu.Lock()
	software := s.software
	s.mu.Unlock()
	s.record(connlog.Record{Event: connlog.SignedIn, Channel: connlog.Control, User: a.Name, Software: software})
	s.replyf(230, "Signed in as %s.", a.Name)
}

func (s *session) cmdREIN(wire.Command) {
	s.signOut()
	s.binary, s.extended, s.pbsz, s.protected = false, false, false, s.srv.config.TLS.Mode == TLSImplicit
	s.facts = allFacts
	s.reply(220, "Ready for a new user.")
}

func (s *session) cmdQUIT(wire.Command) {
	s.reply(221, "Goodbye.")
	s.close(connlog.Client, connlog.ReasonQuit, errQuit, "")
}

func (s *session) cmdAUTH(c wire.Command) {
	switch kind := strings.ToUpper(strings.TrimSpace(c.Arg)); {
	case s.srv.config.TLS.Mode == TLSOff:
		s.reply(502, "TLS is switched off on this server.")
	case s.tls != nil:
		s.reply(503, "TLS protects this connection already.")
	case kind != "TLS" && kind != "TLS-C":
		s.reply(504, "Only AUTH TLS is offered.")
	case s.isBusy():
		s.reply(503, "AUTH can't be used between transfers that were sent ahead.")
	default:
		s.signOut() // a sign-in in clear is forgotten (RFC 4217 section 4)
		s.reply(234, "TLS begins.")
		s.pbsz, s.protected = false, false
		s.startTLS()
	}
}

func (s *session) isBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

func (s *session) cmdPBSZ(c wire.Command) {
	_, err := strconv.ParseUint(strings.TrimSpace(c.Arg), 10, 32)
	switch {
	case s.tls == nil:
		s.reply(503, "Send AUTH TLS first.")
	case err != nil:
		s.reply(501, "PBSZ wants a number.")
	default:
		s.pbsz = true
		s.reply(200, "PBSZ=0")
	}
}

func (s *session) cmdPROT(c wire.Command) {
	level := strings.ToUpper(strings.TrimSpace(c.Arg))
	switch {
	case s.tls == nil:
		s.reply(503, "Send AUTH TLS first.")
	case !s.pbsz:
		s.reply(503, "Send PBSZ 0 first.")
	case level == "P":
		s.protected = true
		s.reply(200, "Data connections are protected from now on.")
	case level == "C":
		s.protected = false
		s.reply(200, "Data connections are in clear from now on.")
	case level == "S", level == "E":
		s.replyf(536, "PROT %s is not possible with TLS.", level)
	default:
		s.reply(504, "PROT wants C or P.")
	}
}
