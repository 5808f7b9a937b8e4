package connlog

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// SpanStyle says how a part of a text is meant; a screen chooses the looks.
type SpanStyle int

const (
	Plain SpanStyle = iota
	Strong
	Code           // typed or seen on the wire
	Muted          // an aside
	OpenedByClient // names the side that opened the channel
	OpenedByServer
	Good
	Bad
)

// Span is a part of a text in one style.
type Span struct {
	Text  string
	Style SpanStyle
}

// spans makes a paragraph of a format in which **…** is strong and `…` is code, and %s takes the next of args. The
// marks are read before the arguments are put in, so that a text from a stranger can't hold one.
func spans(style SpanStyle, format string, args ...string) []Span {
	var out []Span
	add := func(text string, st SpanStyle) {
		for strings.Contains(text, "%s") {
			text = strings.Replace(text, "%s", "\x00"+args[0]+"\x00", 1)
			args = args[1:]
			// What was put in is set apart at once, so that a "%s" in it is not taken for ours.
			head, rest, _ := strings.Cut(text, "\x00")
			arg, tail, _ := strings.Cut(rest, "\x00")
			if head+arg != "" {
				out = append(out, Span{head + arg, st})
			}
			text = tail
		}
		if text != "" {
			out = append(out, Span{text, st})
		}
	}
	for format != "" {
		i := strings.IndexAny(format, "*`")
		if i < 0 {
			add(format, style)
			break
		}
		mark, st := "`", Code
		if format[i] == '*' {
			mark, st = "**", Strong
		}
		inner, rest, ok := strings.Cut(format[i+len(mark):], mark)
		if !ok {
			add(format, style)
			break
		}
		add(format[:i], style)
		add(inner, st)
		format = rest
	}
	return merge(out)
}

func merge(in []Span) []Span {
	var out []Span
	for _, s := range in {
		if n := len(out); n > 0 && out[n-1].Style == s.Style {
			out[n-1].Text += s.Text
			continue
		}
		out = append(out, s)
	}
	return out
}

// Text returns the spans as plain text.
func Text(in []Span) string {
	var b strings.Builder
	for _, s := range in {
		b.WriteString(s.Text)
	}
	return b.String()
}

// Bytes returns a size for people: "0 bytes", "312 KiB", "18.4 MiB".
func Bytes(n int64) string {
	const mib = 1 << 20
	switch {
	case n == 1:
		return "1 byte"
	case n < 1024:
		return fmt.Sprintf("%d bytes", max(n, 0))
	case n >= 10*mib && n < 1000*mib:
		return fmt.Sprintf("%.1f MiB", float64(n)/mib) // humanize drops the tenth from 10 up
	}
	return strings.Replace(humanize.IBytes(uint64(n)), ".0 ", " ", 1)
}

// Took returns a duration for people: "4 ms", "1.2 s", "3 min 20 s".
func Took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "under 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// you returns how side is called in a text for viewpoint: "you", "the server", "the client".
func you(side, viewpoint Side) string {
	if side == viewpoint {
		return "you"
	}
	return "the " + string(side)
}

// Ended writes an error as a sentence: a capital at its beginning, a full stop at its end. An empty one stays empty.
func Ended(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return Capital(s)
	}
	return Capital(s) + "."
}

// Capital writes the first letter of s large.
func Capital(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if first == utf8.RuneError {
		return s
	}
	return string(unicode.ToUpper(first)) + s[n:]
}

// addr returns an address and port for a text, or only the address while the port isn't known.
func addr(ap netip.AddrPort) string {
	switch {
	case !ap.IsValid():
		return "an unknown address"
	case ap.Port() == 0:
		return ipText(ap)
	}
	return addrText(ap)
}

func port(ap netip.AddrPort) string {
	if ap.Port() == 0 {
		return "?"
	}
	return fmt.Sprint(ap.Port())
}

// Private says that an address means something on its own network only: RFC 1918, RFC 4193, RFC 6598, loopback and
// link-local.
func Private(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a)
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598, carrier-grade NAT

// cargo says what a data connection is for: "the listing", "the file a.txt".
func cargo(command string) string {
	_, arg, _ := strings.Cut(command, " ")
	switch verb(command) {
	case "LIST", "NLST", "MLSD":
		return "the listing"
	case "RETR", "STOR", "APPE", "STOU":
		if arg == "" {
			return "the file"
		}
		return "the file " + arg
	}
	return "data"
}

// load is [cargo] for the label of an arrow: "4 KiB listing", "18.4 MiB download".
func load(command string, n int64, open bool) string {
	what := ""
	switch verb(command) {
	case "LIST", "NLST", "MLSD":
		what = "listing"
	case "RETR":
		what = "download"
	case "STOR", "APPE", "STOU":
		what = "upload"
	}
	switch {
	case what == "" && n == 0:
		return ""
	case what == "":
		return Bytes(n)
	case open && n == 0:
		return what
	}
	return Bytes(n) + " " + what
}

// trouble says in a few words what stopped a channel, for its label.
func trouble(r Reason) string {
	switch r {
	case ReasonRefused:
		return "refused"
	case ReasonTimeout:
		return "no answer"
	case ReasonUnreachable:
		return "unreachable"
	case ReasonUnknownHost:
		return "unknown name"
	case ReasonReset:
		return "cut off"
	case ReasonRejected:
		return "turned down"
	case ReasonStalled:
		return "stalled"
	case ReasonTLS:
		return "TLS failed"
	case ReasonNotFTP:
		return "not FTP"
	case ReasonCancelled:
		return "cancelled"
	case ReasonIdle:
		return "idle too long"
	case ReasonKicked:
		return "disconnected"
	case ReasonStopping:
		return "server stopped"
	case ReasonQuit:
		return "finished"
	case ReasonLost:
		return "lost"
	case ReasonLocal:
		return "failed on this computer"
	case ReasonPolicy:
		return "refused by a rule"
	case ReasonNotTaken:
		return "not used"
	case ReasonRangeFull:
		return "passive range full"
	}
	return "failed"
}

// firewalls says what a firewall at each end saw, for a channel that initiator opens to target, from viewpoint.
func firewalls(initiator, viewpoint Side, target netip.AddrPort) (format string, args []string) {
	if initiator == viewpoint {
		return "To your firewall it is an **outbound** connection; to the firewall on " + possessive(viewpoint.Other()) +
			" side it is **inbound**, so that side has to let TCP port %s in.", []string{port(target)}
	}
	return "To your firewall it is an **inbound** connection to TCP port %s, which has to be let in; to the firewall on " +
		possessive(viewpoint.Other()) + " side it is **outbound**.", []string{port(target)}
}

func possessive(side Side) string { return "the " + string(side) + "'s" }
