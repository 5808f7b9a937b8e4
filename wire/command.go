package wire

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the longest command line in bytes that Portside's server takes, its line end not counted. RFC 959 names
// no limit; PATH_MAX of the common systems is 4096.
const MaxLine = 4096

// ErrControlByte says that a command line holds NUL, CR or another control byte that no command may carry.
var ErrControlByte = errors.New("control character in the command")

// Command is one command line: RFC 959 section 5.3, a verb, and after one space its argument.
type Command struct {
	Verb string // upper case, "RETR"
	Arg  string // exactly as sent: spaces at its begin and end belong to file names
}

// ParseCommand reads one command line without its line end. Telnet commands in front of it are skipped (RFC 959
// section 4.1.3: ABOR comes after IAC IP, IAC DM, and the last byte may be lost to TCP's urgent data). It returns
// [ErrControlByte] for C0 bytes and DEL, together with what verb there is, and an error for a verb that is not made
// of letters.
func ParseCommand(line string) (Command, error) {
	for line != "" && line[0] >= 0xf0 {
		line = line[1:]
	}
	verb, arg, _ := strings.Cut(line, " ")
	c := Command{Arg: arg}
	if len(verb) <= 16 {
		c.Verb = strings.ToUpper(verb)
	}
	for i := range len(line) {
		if line[i] < ' ' || line[i] == 0x7f {
			return c, ErrControlByte
		}
	}
	if c.Verb == "" {
		return c, errors.New("no command")
	}
	for i := range len(verb) {
		if b := verb[i] | 0x20; b < 'a' || b > 'z' {
			return Command{Arg: arg}, fmt.Errorf("%q is not a command", verb)
		}
	}
	return c, nil
}

// String returns the command line without its line end, secrets included; [Mask] makes it fit for a log.
func (c Command) String() string {
	if c.Arg == "" {
		return c.Verb
	}
	return c.Verb + " " + c.Arg
}

// Mask returns a command line that a log may show: the argument of PASS, ACCT and SITE PSWD is "****", the rest
// goes through [Escape].
func Mask(line string) string {
	for line != "" && line[0] >= 0xf0 {
		line = line[1:]
	}
	trimmed := strings.TrimLeft(line, " \t")
	verb, _, has := strings.Cut(trimmed, " ")
	if strings.EqualFold(verb, "PASS") || strings.EqualFold(verb, "ACCT") {
		if has {
			return strings.ToUpper(verb) + " ****"
		}
		return strings.ToUpper(verb)
	}
	// Serv-U and others change a password with SITE PSWD.
	if site, what, _ := strings.Cut(trimmed, " "); strings.EqualFold(site, "SITE") {
		what, _, has = strings.Cut(strings.TrimLeft(what, " "), " ")
		if what = strings.ToUpper(what); has && (what == "PSWD" || what == "PASS" || what == "PASSWD" || what == "CHPASS") {
			return "SITE " + what + " ****"
		}
	}
	// A verb that is glued to a control byte ("PASS\x00secret") is no command, but still somebody's password.
	for _, secret := range []string{"PASS", "ACCT"} {
		if len(verb) >= len(secret) && strings.EqualFold(verb[:len(secret)], secret) {
			return secret + "****"
		}
	}
	return Escape(line)
}

// Escape makes text from a stranger safe to print: control characters, ESC, characters that change the writing
// direction, line and paragraph separators and bytes that are not UTF-8 are shown as \xNN or \uNNNN.
func Escape(s string) string {
	clean := true
	for _, r := range s {
		if unprintable(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < 0x20, r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func unprintable(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029
}
