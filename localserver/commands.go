package localserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"portside/connlog"
	"portside/wire"
)

// command is one row of the command table.
type command struct {
	run      func(*session, wire.Command)
	arg      argument
	before   bool // allowed before the sign-in
	transfer bool // runs in a worker: it waits for data
	help     string
}

type argument int

const (
	argOptional argument = iota
	argRequired
	argNone
)

// newCommands returns the command table. FEAT, HELP and the dispatch all come from it.
func newCommands() map[string]command {
	return map[string]command{
		"USER": {run: (*session).cmdUSER, before: true, arg: argRequired, help: "USER name"},
		"PASS": {run: (*session).cmdPASS, before: true, help: "PASS password"},
		"ACCT": {run: fixed(202, "No account is needed."), before: true, help: "ACCT account"},
		"REIN": {run: (*session).cmdREIN, before: true, arg: argNone, help: "REIN"},
		"QUIT": {run: (*session).cmdQUIT, before: true, arg: argNone, help: "QUIT"},
		"AUTH": {run: (*session).cmdAUTH, before: true, arg: argRequired, help: "AUTH TLS"},
		"PBSZ": {run: (*session).cmdPBSZ, before: true, arg: argRequired, help: "PBSZ 0"},
		"PROT": {run: (*session).cmdPROT, before: true, arg: argRequired, help: "PROT C or P"},
		"HOST": {run: (*session).cmdHOST, before: true, arg: argRequired, help: "HOST name"},
		"CLNT": {run: (*session).cmdCLNT, before: true, arg: argRequired, help: "CLNT software"},
		"FEAT": {run: (*session).cmdFEAT, before: true, arg: argNone, help: "FEAT"},
		"OPTS": {run: (*session).cmdOPTS, before: true, arg: argRequired, help: "OPTS UTF8 ON, OPTS MLST facts"},
		"HELP": {run: (*session).cmdHELP, before: true, help: "HELP [command]"},
		"NOOP": {run: fixed(200, "OK."), before: true, help: "NOOP"},
		"SYST": {run: fixed(215, "UNIX Type: L8"), before: true, arg: argNone, help: "SYST"},
		"ALLO": {run: (*session).cmdALLO, arg: argRequired, help: "ALLO bytes"},
		"TYPE": {run: (*session).cmdTYPE, arg: argRequired, help: "TYPE A, I or L 8"},
		"STRU": {run: oneOf("F", "Structure is file.", "R", "P"), arg: argRequired, help: "STRU F"},
		"MODE": {run: oneOf("S", "Mode is stream.", "B", "C", "Z"), arg: argRequired, help: "MODE S"},
		"PASV": {run: (*session).cmdPASV, arg: argNone, help: "PASV"},
		"EPSV": {run: (*session).cmdEPSV, help: "EPSV [1, 2 or ALL]"},
		"PORT": {run: (*session).cmdPORT, arg: argRequired, help: "PORT h1,h2,h3,h4,p1,p2"},
		"EPRT": {run: (*session).cmdPORT, arg: argRequired, help: "EPRT |1 or 2|address|port|"},
		"ABOR": {run: (*session).cmdABOR, arg: argNone, help: "ABOR"},
		"STAT": {run: (*session).cmdSTAT, help: "STAT [path]"},
		"PWD":  {run: (*session).cmdPWD, arg: argNone, help: "PWD"},
		"CWD":  {run: (*session).cmdCWD, arg: argRequired, help: "CWD path"},
		"CDUP": {run: (*session).cmdCDUP, arg: argNone, help: "CDUP"},
		"LIST": {run: (*session).cmdLIST, transfer: true, help: "LIST [-a] [-l] [path]"},
		"NLST": {run: (*session).cmdLIST, transfer: true, help: "NLST [path]"},
		"MLSD": {run: (*session).cmdLIST, transfer: true, help: "MLSD [path]"},
		"MLST": {run: (*session).cmdMLST, help: "MLST [path]"},
		"SIZE": {run: (*session).cmdSIZE, arg: argRequired, help: "SIZE path"},
		"MDTM": {run: (*session).cmdMDTM, arg: argRequired, help: "MDTM path"},
		"MFMT": {run: (*session).cmdMFMT, arg: argRequired, help: "MFMT YYYYMMDDHHMMSS path"},
		"AVBL": {run: (*session).cmdAVBL, help: "AVBL [path]"},
		"REST": {run: (*session).cmdREST, arg: argRequired, help: "REST offset"},
		"RETR": {run: (*session).cmdRETR, arg: argRequired, transfer: true, help: "RETR path"},
		"STOR": {run: (*session).cmdSTOR, arg: argRequired, transfer: true, help: "STOR path"},
		"APPE": {run: (*session).cmdSTOR, arg: argRequired, transfer: true, help: "APPE path"},
		"STOU": {run: (*session).cmdSTOR, transfer: true, help: "STOU [name]"},
		"DELE": {run: (*session).cmdDELE, arg: argRequired, help: "DELE path"},
		"RMD":  {run: (*session).cmdRMD, arg: argRequired, help: "RMD path"},
		"MKD":  {run: (*session).cmdMKD, arg: argRequired, help: "MKD path"},
		"RNFR": {run: (*session).cmdRNFR, arg: argRequired, help: "RNFR path"},
		"RNTO": {run: (*session).cmdRNTO, arg: argRequired, help: "RNTO path"},
		"SITE": {run: (*session).cmdSITE, arg: argRequired, help: "SITE HELP, SITE CHMOD mode path"},
	}
}

// canonical maps the names of RFC 775 and of telnet-era clients to RFC 959's.
func canonical(verb string) string {
	switch verb {
	case "XPWD":
		return "PWD"
	case "XCWD":
		return "CWD"
	case "XCUP":
		return "CDUP"
	case "XMKD":
		return "MKD"
	case "XRMD":
		return "RMD"
	}
	return verb
}

// known but off: commands of RFCs that this server does not offer. They get 502, not 500.
var notOffered = []string{
	"SMNT", "LANG", "LPRT", "LPSV", "ADAT", "MIC", "CONF", "ENC", "CCC", "HASH", "XCRC", "XMD5", "XSHA", "XSHA1", "XSHA256",
	"XSHA512", "MD5", "MMD5", "RANG", "COMB", "MFCT", "MFF", "XSEM", "XSEN", "MLFL", "MAIL", "MSND", "MSOM", "MSAM", "MRSQ", "MRCP",
}

// otherProtocols are the first words of HTTP, SMTP, IMAP, POP3, SSH and others. Nobody who says one speaks FTP: it is
// a lost client, or a page in a browser that makes it talk to us (ALPACA, RFC 2577 section 7).
var otherProtocols = []string{
	"GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PROPFIND", "PRI", "HELO", "EHLO", "LHLO", "MAIL", "RCPT",
	"DATA", "CAPA", "APOP", "LOGIN", "STARTTLS", "INVITE", "REGISTER",
}

func fixed(code int, text string) func(*session, wire.Command) {
	return func(s *session, _ wire.Command) { s.reply(code, text) }
}

// oneOf is STRU and MODE: one value works, others are known and answered 504.
func oneOf(value, text string, others ...string) func(*session, wire.Command) {
	return func(s *session, c wire.Command) {
		arg := strings.ToUpper(strings.TrimSpace(c.Arg))
		switch {
		case arg == value:
			s.reply(200, text)
		case slices.Contains(others, arg):
			s.replyf(504, "%s %s is not offered, only %s.", c.Verb, arg, value)
		default:
			s.replyf(501, "%s wants %s.", c.Verb, value)
		}
	}
}

// execute does one command. worker says that the calling goroutine is the worker.
func (s *session) execute(line string, worker bool) {
	signedIn := s.account != nil
	l := s.srv.limits()
	if !signedIn && s.loginWindow.add(time.Now()) > l.CommandsPerSecondLogin {
		s.close(connlog.Server, connlog.ReasonPolicy, errors.New("too many commands before the sign-in"), "Too many commands; sign in first.")
		return
	}
	var c wire.Command
	err := errTooLong
	if line != tooLong {
		c, err = wire.ParseCommand(line)
	}
	c.Verb = canonical(c.Verb)
	row, known := s.srv.commands[c.Verb]

	// What a command leaves behind for the next one is forgotten by any other.
	// REST outlives the commands that prepare the data connection: some clients send them after it, and to forget it
	// then would put the tail of a file at its begin.
	rest, from, fromName, user := s.rest, s.renameFrom, s.renameName, s.login.user
	s.rest, s.renameFrom, s.renameName, s.login.user = 0, "", "", ""

	switch {
	case err == errTooLong:
		s.replyf(500, "The line is longer than %d bytes.", wire.MaxLine)
	case errors.Is(err, wire.ErrControlByte) && known:
		s.reply(501, "The argument has a control character.")
	case !known && !signedIn && (slices.Contains(otherProtocols, c.Verb) || strings.HasPrefix(line, "SSH-")):
		s.close(connlog.Server, connlog.ReasonNotFTP, errors.New("another protocol than FTP"), "This is an FTP server.")
	case err != nil || !known:
		if slices.Contains(notOffered, c.Verb) {
			s.replyf(502, "%s is not offered.", c.Verb)
		} else {
			s.reply(500, "Unknown command.")
		}
		if s.unknown++; !signedIn && s.unknown >= l.UnknownBeforeLogin {
			s.close(connlog.Server, connlog.ReasonPolicy, errors.New("too many unknown commands"), "Too many unknown commands.")
		}
	case !row.before && !signedIn:
		s.reply(530, "Sign in first, with USER and PASS.")
	case row.arg == argRequired && c.Arg == "", row.arg == argNone && strings.TrimSpace(c.Arg) != "":
		s.replyf(501, "Usage: %s.", row.help)
	default:
		switch c.Verb {
		case "RETR", "STOR", "APPE", "PASV", "EPSV", "PORT", "EPRT":
			s.rest = rest
		case "RNTO":
			s.renameFrom, s.renameName = from, fromName
		case "PASS":
			s.login.user = user
		}
		switch {
		case !row.transfer:
			row.run(s, c)
		case worker:
			s.beginTransfer()
			s.runTransfer(row, c)
		default:
			s.startWorker(func() { s.runTransfer(row, c) })
		}
	}
}

// runTransfer runs a transfer command. Whatever its end, its offer or request is used up: nothing that came for it may
// serve the next one. A refusal takes it back before the reply, so that the client finds the port free.
func (s *session) runTransfer(row command, c wire.Command) {
	s.transferring = true
	row.run(s, c)
	s.dropData(errUnused)
	s.transferring = false
}

// Sign-in.

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
	if s.tls == nil && (mode == TLSRequired || s.srv.clearOnly != nil && !s.srv.clearOnly[name]) {
		// Before the password is asked for: else it would have crossed the network in clear.
		s.refuse(name, connlog.ReasonPolicy, 530, "Sign in over TLS only: send AUTH TLS first.")
		return
	}
	s.login.user = name
	if name == Anonymous && s.srv.accounts[Anonymous] != nil {
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
	a := s.srv.accounts[name]
	ok, err := a != nil && a.anonymous(), error(nil)
	if !ok {
		var plain *Account
		if a != nil {
			plain = &a.Account
		}
		if ok, err = s.srv.gate.check(s.ctx, plain, c.Arg); err != nil {
			if s.ctx.Err() == nil {
				s.refuse(name, connlog.ReasonLocal, 451, "The server could not check the password.")
			}
			return
		}
	}
	if !ok {
		delay := s.srv.guard.wrongPassword(s.peer.Addr(), l, time.Now())
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
		s.srv.guard.rightPassword(s.peer.Addr())
	}
	s.root = a.folder.current()
	s.cwd, s.binary = "/", false
	s.mu.Lock()
	s.account = a
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

// TLS, RFC 4217.

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

// About the server.

func (s *session) cmdHOST(wire.Command) {
	if s.account != nil {
		s.reply(503, "HOST comes before the sign-in.") // RFC 7151 section 3.3
		return
	}
	s.reply(220, "Every host name leads here.")
}

func (s *session) cmdCLNT(c wire.Command) {
	name := c.Arg
	if len(name) > 80 {
		name = name[:80]
	}
	s.mu.Lock()
	s.software = strings.ToValidUTF8(wire.Escape(name), "?")
	s.mu.Unlock()
	s.reply(200, "Noted.")
}

func (s *session) cmdFEAT(wire.Command) {
	lines := []string{"Features:"}
	if s.srv.config.TLS.Mode != TLSOff {
		lines = append(lines, " AUTH TLS", " PBSZ", " PROT")
	}
	lines = append(lines, " AVBL", " CLNT", " EPRT", " EPSV", " HOST", " MDTM", " MFMT", " MLST "+s.facts.list(), " REST STREAM", " SIZE", " TVFS",
		" UTF8", "End")
	s.replyLines(211, lines...)
}

func (s *session) cmdOPTS(c wire.Command) {
	what, value, _ := strings.Cut(strings.TrimSpace(c.Arg), " ")
	switch what, value = strings.ToUpper(what), strings.TrimSpace(value); {
	case (what == "UTF8" || what == "UTF-8") && (value == "" || strings.EqualFold(value, "ON")):
		s.reply(200, "Names are UTF-8.")
	case what == "UTF8" || what == "UTF-8":
		s.reply(504, "Names are always UTF-8.")
	case what == "MLST":
		s.facts = parseFactSet(value)
		if opts := s.facts.chosen(); opts != "" {
			s.reply(200, "MLST OPTS "+opts)
		} else {
			s.reply(200, "MLST OPTS")
		}
	default:
		s.replyf(501, "OPTS knows UTF8 and MLST.")
	}
}

func (s *session) cmdHELP(c wire.Command) {
	if verb := canonical(strings.ToUpper(strings.TrimSpace(c.Arg))); verb != "" {
		if row, known := s.srv.commands[verb]; known {
			s.replyf(214, "Syntax: %s", row.help)
		} else {
			s.reply(502, "There is no such command.")
		}
		return
	}
	names := make([]string, 0, len(s.srv.commands))
	for name := range s.srv.commands {
		names = append(names, name)
	}
	slices.Sort(names)
	lines := []string{"These commands are known:"}
	for row := range slices.Chunk(names, 10) {
		lines = append(lines, " "+strings.Join(row, " "))
	}
	s.replyLines(214, append(lines, "End of help")...)
}

func (s *session) cmdSTAT(c wire.Command) {
	if c.Arg == "" {
		s.replyLines(211, s.statusLines()...)
		return
	}
	s.statPath(c.Arg)
}

// cmdABOR with no transfer takes back an offer. It is always answered 226.
func (s *session) cmdABOR(wire.Command) {
	s.dropData(errAborted)
	s.reply(226, "Nothing to abort.")
}

func (s *session) cmdALLO(c wire.Command) {
	f := strings.Fields(c.Arg)
	if len(f) == 0 || len(f) != 1 && (len(f) != 3 || !strings.EqualFold(f[1], "R")) {
		s.reply(501, "ALLO wants a number of bytes.")
		return
	}
	if _, err := wire.ParseOffset(f[0]); err != nil {
		s.reply(501, "ALLO wants a number of bytes.")
		return
	}
	s.reply(202, "No space needs to be reserved.")
}

func (s *session) cmdTYPE(c wire.Command) {
	switch f := strings.Fields(strings.ToUpper(c.Arg)); {
	case len(f) == 1 && f[0] == "A", len(f) == 2 && f[0] == "A" && f[1] == "N":
		s.binary = false
		s.reply(200, "Type is ASCII.")
	case len(f) == 1 && f[0] == "I", len(f) == 2 && f[0] == "L" && f[1] == "8":
		s.binary = true
		s.reply(200, "Type is binary.")
	case len(f) > 0 && (f[0] == "A" || f[0] == "E" || f[0] == "L"):
		s.replyf(504, "TYPE %s is not offered; use A, I or L 8.", strings.Join(f, " "))
	default:
		s.reply(501, "TYPE wants A, I or L 8.")
	}
}

// Data connections.

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
	s.record(connlog.Record{Event: connlog.PassiveRefused, Channel: connlog.Data, Mode: connlog.Passive, Initiator: connlog.Client,
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
	family := "1"
	if s.local.Addr().Is6() {
		family = "2"
	}
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

// offer replaces the former data connection by a passive offer. It replies itself when there is no port.
func (s *session) offer(c wire.Command) *dataConn {
	s.dropData(errNewer)
	d, err := s.offerPassive(c.Verb)
	switch {
	case errors.Is(err, errNoPort):
		s.record(connlog.Record{Event: connlog.PortsExhausted, Channel: connlog.Data, Mode: connlog.Passive, Initiator: connlog.Client,
			Command: c.Verb, Holders: s.srv.holders()})
		s.refusePassive(c, connlog.ReasonLocal, 425, "All passive ports are taken. Try again in a moment.")
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

// cmdPORT is PORT and EPRT. Only the client's own address and ports from 1024 up are dialled (RFC 2577 section 3).
func (s *session) cmdPORT(c wire.Command) {
	s.dropData(errNewer)
	refuse := func(to netip.AddrPort, code int, text string) {
		s.record(connlog.Record{Event: connlog.ActiveRefused, Channel: connlog.Data, Mode: connlog.Active, Initiator: connlog.Server, To: to,
			Command: wire.Mask(c.String()), Reply: wire.Reply{Code: code, Lines: []string{text}}.String(), Reason: connlog.ReasonPolicy})
		s.reply(code, text)
	}
	if s.extended {
		refuse(netip.AddrPort{}, 501, c.Verb+" is not possible after EPSV ALL.")
		return
	}
	parse := wire.ParsePort
	if c.Verb == "EPRT" {
		parse = wire.ParseEPRT
	}
	to, err := parse(strings.TrimSpace(c.Arg))
	six := s.local.Addr().Is6()
	switch {
	case errors.Is(err, wire.ErrFamily):
		refuse(to, 522, "Network protocol not supported, use (1,2)")
	case err != nil:
		refuse(to, 501, "Malformed. Usage: "+s.srv.commands[c.Verb].help+".")
	case to.Addr().Unmap().Is6() != six && c.Verb == "EPRT":
		family := "1"
		if six {
			family = "2"
		}
		refuse(to, 522, "Network protocol not supported, use ("+family+")")
	case to.Addr().Unmap().Is6() != six:
		refuse(to, 504, "PORT is for IPv4; use EPRT or EPSV.")
	case to.Port() < 1024:
		refuse(to, 504, "Ports below 1024 are not dialled.")
	case !s.srv.config.Active.AllowForeignAddress && !sameHost(to.Addr(), s.peer.Addr()):
		refuse(to, 504, "Only your own address "+s.peer.Addr().String()+" is dialled.")
	default:
		if z := s.peer.Addr().Zone(); z != "" {
			to = netip.AddrPortFrom(to.Addr().WithZone(z), to.Port())
		}
		d := s.requestActive(wire.Mask(c.String()), to)
		d.record(connlog.Record{Event: connlog.ActiveRequested, Command: d.command})
		s.setData(d)
		s.reply(200, "The server will connect to you for the next transfer.")
	}
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
		if !errors.Is(err, errExpired) {
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
		if err := p.handshake(ctx, s.tls, s.srv.config.TLS.Resume); err != nil {
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

// Folders and files.

// allowed replies 550 when the account lacks a right.
func (s *session) allowed(r Rights) bool {
	if s.account.Rights&r == r {
		return true
	}
	s.reply(550, "Your account may not do that.")
	return false
}

// at resolves a path argument. It replies itself when it can't be.
func (s *session) at(arg string) (virtual, rel string, ok bool) {
	virtual, rel, err := relative(s.cwd, arg)
	if err != nil {
		s.replyFile(err, virtual)
		return "", "", false
	}
	return virtual, rel, true
}

func (s *session) replyFile(err error, virtual string) { s.reply(fileReply(err, virtual)) }

func (s *session) cmdPWD(wire.Command) { s.reply(257, wire.Quote(s.cwd)+" is the current folder.") }

func (s *session) cmdCDUP(wire.Command) { s.cmdCWD(wire.Command{Verb: "CDUP", Arg: ".."}) }

func (s *session) cmdCWD(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok {
		return
	}
	st, err := s.root.Stat(rel)
	switch {
	case err != nil:
		s.replyFile(err, virtual)
	case !st.IsDir():
		s.reply(550, virtual+": not a folder.")
	default:
		s.cwd = virtual
		s.reply(250, "The current folder is "+wire.Quote(virtual)+".")
	}
}

func (s *session) cmdSIZE(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(List) {
		return
	}
	st, err := s.root.Stat(rel)
	switch {
	case err != nil:
		s.replyFile(err, virtual)
	case !st.Mode().IsRegular():
		s.reply(550, virtual+": not a regular file.")
	case !s.binary:
		s.reply(550, "SIZE is not possible in TYPE A: line ends change the size. Send TYPE I first.")
	default:
		s.reply(213, strconv.FormatInt(st.Size(), 10))
	}
}

func (s *session) cmdMDTM(c wire.Command) {
	// "MDTM YYYYMMDDHHMMSS path" sets the time in some clients; a file of that name is asked for first.
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(List) {
		return
	}
	st, err := s.root.Stat(rel)
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(213, wire.FormatTime(st.ModTime()))
}

func (s *session) cmdMFMT(c wire.Command) {
	stamp, path, _ := strings.Cut(c.Arg, " ")
	when, err := wire.ParseTime(stamp)
	if err != nil || path == "" {
		s.reply(501, "Usage: MFMT YYYYMMDDHHMMSS path.")
		return
	}
	virtual, rel, ok := s.at(path)
	if !ok || !s.allowed(Overwrite) {
		return
	}
	if err := s.root.Chtimes(rel, time.Time{}, when); err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.replyf(213, "Modify=%s; %s", wire.FormatTime(when), virtual)
}

func (s *session) cmdAVBL(c wire.Command) {
	virtual, rel, ok := s.at(firstOf(c.Arg, "."))
	if !ok {
		return
	}
	st, err := s.root.Stat(rel)
	if err == nil && !st.IsDir() {
		s.reply(550, virtual+": not a folder.")
		return
	}
	var free int64
	if err == nil {
		free, err = freeSpace(s.root, rel)
	}
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(213, strconv.FormatInt(free, 10))
}

func (s *session) cmdREST(c wire.Command) {
	n, err := wire.ParseOffset(c.Arg)
	switch {
	case err != nil:
		s.reply(501, "REST wants a number of bytes from 0 up.")
	case !s.binary && n > 0:
		s.reply(504, "REST is not possible in TYPE A. Send TYPE I first.")
	default:
		s.rest = n
		s.replyf(350, "The next transfer starts at byte %d.", n)
	}
}

func (s *session) cmdDELE(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(Delete) {
		return
	}
	st, err := s.root.Lstat(rel)
	if err == nil && st.IsDir() {
		s.reply(550, virtual+": it is a folder; use RMD.")
		return
	}
	if err == nil {
		err = s.root.Remove(rel)
	}
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(250, virtual+" is deleted.")
}

func (s *session) cmdRMD(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(Delete) {
		return
	}
	if rel == "." {
		s.reply(550, "The shared folder itself can't be removed.")
		return
	}
	st, err := s.root.Lstat(rel)
	if err == nil && !st.IsDir() {
		s.reply(550, virtual+": not a folder.")
		return
	}
	if err == nil {
		err = s.root.Remove(rel)
	}
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(250, virtual+" is removed.")
}

func (s *session) cmdMKD(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(MakeFolder) {
		return
	}
	err := fs.ErrExist
	if rel != "." {
		err = s.root.Mkdir(rel, 0o755)
	}
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(257, wire.Quote(virtual)+" is made.")
}

func (s *session) cmdRNFR(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(Rename) {
		return
	}
	if rel == "." {
		s.reply(550, "The shared folder itself can't be renamed.")
		return
	}
	if _, err := s.root.Lstat(rel); err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.renameFrom, s.renameName = rel, virtual
	s.reply(350, "RNTO please.")
}

func (s *session) cmdRNTO(c wire.Command) {
	from := s.renameFrom
	s.renameFrom = ""
	if from == "" {
		s.reply(503, "Send RNFR first.")
		return
	}
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(Rename) {
		return
	}
	was, err := s.root.Lstat(from)
	if err != nil {
		s.replyFile(err, s.renameName)
		return
	}
	if st, err := s.root.Lstat(rel); err == nil {
		// "a" to "A" in a folder that ignores case names the same file twice.
		same := filepath.Clean(from) != filepath.Clean(rel) && strings.EqualFold(from, rel) && os.SameFile(was, st)
		switch {
		case same:
		case st.IsDir(), was.IsDir():
			s.reply(553, virtual+": it exists already.")
			return
		case s.account.Rights&Overwrite == 0:
			s.reply(553, virtual+": it exists already, and your account may not overwrite.")
			return
		}
	}
	if err := s.root.Rename(from, rel); err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(250, "Renamed to "+virtual+".")
}

func (s *session) cmdSITE(c wire.Command) {
	what, arg, _ := strings.Cut(c.Arg, " ")
	switch strings.ToUpper(what) {
	case "HELP":
		s.replyLines(214, "SITE commands:", " HELP", " CHMOD mode path", "End")
	case "CHMOD":
		mode, path, _ := strings.Cut(arg, " ")
		bits, err := strconv.ParseUint(mode, 8, 32)
		if err != nil || bits > 0o777 || path == "" {
			s.reply(501, "Usage: SITE CHMOD mode path, mode from 000 to 777.")
			return
		}
		virtual, rel, ok := s.at(path)
		if !ok || !s.allowed(Overwrite) {
			return
		}
		if err := s.root.Chmod(rel, fs.FileMode(bits)); err != nil {
			s.replyFile(err, virtual)
			return
		}
		s.reply(200, "Done.")
	default:
		s.reply(504, "SITE knows HELP and CHMOD.")
	}
}

// Transfers of files.

func (s *session) cmdRETR(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(Read) {
		return
	}
	f, st, err := openFile(s.root, rel, 0)
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	defer f.Close()
	if s.rest > st.Size() {
		s.replyf(554, "The file has %d bytes; REST %d is beyond its end.", st.Size(), s.rest)
		return
	}
	if _, err := f.Seek(s.rest, 0); err != nil {
		s.replyFile(err, virtual)
		return
	}
	p := s.openData(c, virtual, Sending, fmt.Sprintf("Sending %s (%d bytes).", virtual, st.Size()-s.rest))
	if p == nil {
		return
	}
	if s.binary {
		err = p.send(f)
	} else {
		err = p.copyTo(&crlfReader{r: f})
	}
	if err == nil {
		err = p.finish()
	}
	if err = p.end(s.xfer, err); err != nil {
		s.replyBroken(err, virtual, "")
		return
	}
	s.replyf(226, "Sent %s.", virtual)
}

// cmdSTOR is STOR, APPE and STOU.
func (s *session) cmdSTOR(c wire.Command) {
	if !s.allowed(Upload) {
		return
	}
	name := c.Arg
	if c.Verb == "STOU" {
		name = s.uniqueName(c.Arg)
	}
	virtual, rel, ok := s.at(name)
	if !ok {
		return
	}
	target, err := resolveLink(s.root, rel)
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	// Everything that can be refused is refused before the data connection stands; the file is touched after it.
	size := int64(0)
	switch st, err := s.root.Stat(target); {
	case err == nil && st.IsDir():
		s.reply(550, virtual+": it is a folder.")
		return
	case err == nil && !st.Mode().IsRegular():
		s.replyFile(errNotRegular, virtual)
		return
	case err == nil && s.account.Rights&Overwrite == 0:
		s.reply(550, virtual+": it exists already, and your account may not overwrite.")
		return
	case err == nil:
		size = st.Size()
	case !errors.Is(err, fs.ErrNotExist):
		s.replyFile(err, virtual)
		return
	}
	if s.rest > size {
		s.replyf(554, "The file has %d bytes; REST %d is beyond its end.", size, s.rest)
		return
	}
	if st, err := s.root.Stat(filepath.Dir(target)); err != nil || !st.IsDir() {
		s.reply(550, virtual+": no such folder to put it in.")
		return
	}
	text := "Ready to receive " + virtual + "."
	if c.Verb == "STOU" {
		text = "FILE: " + virtual // RFC 1123 section 4.1.2.9
	}
	p := s.openData(c, virtual, Receiving, text)
	if p == nil {
		return
	}
	u, err := newUpload(s.root, target, s.rest, c.Verb == "APPE", s.srv.temps)
	if err != nil {
		p.end(s.xfer, &localError{err})
		s.replyFile(err, virtual)
		return
	}
	if s.binary {
		err = p.receive(u.file)
	} else {
		w := &lfWriter{w: u.file}
		if err = p.receive(w); err == nil {
			err = w.flush()
		}
	}
	if err == nil {
		p.finish() // answers close_notify, which some clients wait for; one that has gone already does not matter
	}
	if err = p.end(s.xfer, err); err != nil {
		more := ""
		keep := !s.srv.config.Uploads.DiscardPartial && s.account.Rights&Overwrite != 0
		if u.broken(keep, p.d.bytes.Load()) {
			more = " What came is kept and can be continued."
		}
		s.replyBroken(err, virtual, more)
		return
	}
	if err := u.done(); err != nil {
		code, text := fileReply(err, virtual)
		s.reply(code, text)
		return
	}
	s.replyf(226, "Received %s.", virtual)
}

// uniqueName finds a name for STOU that nobody has.
func (s *session) uniqueName(wish string) string {
	base := firstOf(wish, "upload")
	name := base
	for i := 1; i < 10000; i++ {
		_, rel, err := relative(s.cwd, name)
		if err != nil {
			break
		}
		if _, err := s.root.Lstat(rel); errors.Is(err, fs.ErrNotExist) {
			break
		}
		name = base + "." + strconv.Itoa(i)
	}
	return name
}
