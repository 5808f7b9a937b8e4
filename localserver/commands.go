package localserver

import (
	"errors"
	"slices"
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
	if s.endIfIdle() {
		return
	}
	s.followAccount()
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
	// REST outlives the commands that prepare the transfer: some clients send them after it, and to forget it then would
	// put the tail of a file at its begin.
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
		case "RETR", "STOR", "APPE", "STOU", "PASV", "EPSV", "PORT", "EPRT", "TYPE", "MODE", "STRU", "ALLO", "PBSZ", "PROT":
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
	s.rest = 0 // it was for this one, whatever came of it
	s.dropData(errUnused)
	s.transferring = false
}

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
	case what == "MLST" && value != "" && (!strings.HasSuffix(value, ";") || strings.ContainsAny(value, " \t")):
		s.reply(501, "Usage: OPTS MLST fact;fact;") // each ends with a semicolon (RFC 3659 section 7.8)
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
	if what, of, _ := strings.Cut(strings.TrimSpace(c.Arg), " "); strings.EqualFold(what, "SITE") && of != "" {
		s.helpSITE(of)
		return
	}
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

// localByte reports whether a type is L with its byte size in one word.
func localByte(kind string) bool {
	size, found := strings.CutPrefix(kind, "L")
	return found && size != "" && strings.Trim(size, "0123456789") == ""
}

func (s *session) cmdTYPE(c wire.Command) {
	switch f := strings.Fields(strings.ToUpper(c.Arg)); {
	case len(f) == 1 && f[0] == "A", len(f) == 2 && f[0] == "A" && f[1] == "N":
		s.binary = false
		s.reply(200, "Type is ASCII.")
	case len(f) == 1 && (f[0] == "I" || f[0] == "L8"), len(f) == 2 && f[0] == "L" && f[1] == "8":
		s.binary = true
		s.reply(200, "Type is binary.")
	case len(f) > 0 && (f[0] == "A" || f[0] == "E" || f[0] == "L"), len(f) == 1 && localByte(f[0]):
		s.replyf(504, "TYPE %s is not offered; use A, I or L 8.", strings.Join(f, " "))
	default:
		s.reply(501, "TYPE wants A, I or L 8.")
	}
}
