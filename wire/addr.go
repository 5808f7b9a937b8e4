// Package wire holds FTP's formats and nothing else: command lines, replies, the address codecs of PORT, EPRT and of
// the 227 and 229 replies, MLSD facts, LIST lines. Pure functions over bytes and strings, used by client, server and
// doctor alike, so that both ends of a session read the same bytes the same way.
//
// Sources: RFC 959, RFC 2389, RFC 2428, RFC 3659.
package wire

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ErrFamily says that an EPRT or EPSV argument names a network protocol other than 1 (IPv4) and 2 (IPv6). A server
// answers it with 522 (RFC 2428 section 2).
var ErrFamily = errors.New("network protocol not supported, use (1,2)")

// FormatPort returns the six numbers "h1,h2,h3,h4,p1,p2" of PORT and of the 227 reply (RFC 959 section 4.1.2).
// The address must be IPv4, or IPv4 mapped into IPv6.
func FormatPort(ap netip.AddrPort) string {
	a := ap.Addr().Unmap().As4()
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], ap.Port()>>8, ap.Port()&0xff)
}

// ParsePort reads the argument of PORT: six decimal numbers from 0 to 255, comma separated, no sign, no leading
// zeros and no names, so nothing is ever looked up (servers were seen to resolve "999.1.1.1").
func ParsePort(arg string) (netip.AddrPort, error) {
	parts := strings.Split(arg, ",")
	if len(parts) != 6 {
		return netip.AddrPort{}, fmt.Errorf("%q: want six numbers h1,h2,h3,h4,p1,p2", arg)
	}
	var n [6]byte
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 8)
		if err != nil || p != strconv.FormatUint(v, 10) {
			return netip.AddrPort{}, fmt.Errorf("%q: %q is not a number from 0 to 255", arg, p)
		}
		n[i] = byte(v)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[:4])), uint16(n[4])<<8|uint16(n[5])), nil
}

// FormatEPRT returns the argument of EPRT, "|1|192.0.2.1|50210|" or "|2|2001:db8::1|50210|" (RFC 2428 section 2).
// A zone is left out: it means nothing to the other host.
func FormatEPRT(ap netip.AddrPort) string {
	a, family := ap.Addr().Unmap().WithZone(""), 1
	if a.Is6() {
		family = 2
	}
	return fmt.Sprintf("|%d|%s|%d|", family, a, ap.Port())
}

// ParseEPRT reads the argument of EPRT with any delimiter in the range 33 to 126 (RFC 2428 section 2). It returns
// [ErrFamily] for a network protocol other than 1 and 2, and another error for everything malformed.
func ParseEPRT(arg string) (netip.AddrPort, error) {
	family, address, number, err := splitEPRT(arg)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" || addr.Is4() != (family == 1) {
		return netip.AddrPort{}, fmt.Errorf("%q: %q is not an address of network protocol %d", arg, address, family)
	}
	port, err := parsePortNumber(number)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q: %w", arg, err)
	}
	return netip.AddrPortFrom(addr, port), nil
}

// EPRTFamily returns the network protocol that EPRT's argument names, 1 for IPv4 or 2 for IPv6, whatever its address and
// port are. Its errors are those of [ParseEPRT].
func EPRTFamily(arg string) (int, error) {
	family, _, _, err := splitEPRT(arg)
	return family, err
}

func splitEPRT(arg string) (family int, address, port string, err error) {
	if arg == "" || arg[0] < 33 || arg[0] > 126 {
		return 0, "", "", fmt.Errorf("%q: want |1|address|port| or |2|address|port|", arg)
	}
	parts := strings.Split(arg, arg[:1])
	if len(parts) != 5 || parts[0] != "" || parts[4] != "" {
		return 0, "", "", fmt.Errorf("%q: want |1|address|port| or |2|address|port|", arg)
	}
	n, err := strconv.ParseUint(parts[1], 10, 16)
	if err != nil {
		return 0, "", "", fmt.Errorf("%q: %q is not a network protocol number", arg, parts[1])
	}
	if n != 1 && n != 2 {
		return 0, "", "", ErrFamily
	}
	return int(n), parts[2], parts[3], nil
}

// Format227 returns the text of a 227 reply, without the code.
func Format227(ap netip.AddrPort) string {
	return "Entering Passive Mode (" + FormatPort(ap) + ")."
}

// Parse227 finds the six numbers in the text of a 227 reply. RFC 1123 section 4.1.2.6 says not to rely on the
// brackets, so the first run of six comma separated numbers counts, wherever it stands. Leading zeros and spaces after
// the commas are forgiven, as curl forgives them.
func Parse227(text string) (netip.AddrPort, error) {
	for i := 0; i < len(text); {
		if !numberOrComma(text[i]) {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && (numberOrComma(text[end]) || text[end] == ' ' && text[end-1] == ',') {
			end++
		}
		if strings.Count(text[i:end], ",") >= 5 {
			numbers := strings.Split(strings.Trim(text[i:end], ", "), ",")
			for i, n := range numbers {
				if n = strings.TrimSpace(n); n != "" {
					n = cmp.Or(strings.TrimLeft(n, "0"), "0")
				}
				numbers[i] = n
			}
			return ParsePort(strings.Join(numbers, ","))
		}
		i = end
	}
	return netip.AddrPort{}, fmt.Errorf("no address in %q", text)
}

func numberOrComma(c byte) bool { return c >= '0' && c <= '9' || c == ',' }

// Format229 returns the text of a 229 reply, without the code (RFC 2428 section 3).
func Format229(port uint16) string {
	return fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", port)
}

// Parse229 reads the port in the text of a 229 reply: "(<d><d><d>port<d>)" with any delimiter.
func Parse229(text string) (uint16, error) {
	open := strings.IndexByte(text, '(')
	if open < 0 {
		return 0, fmt.Errorf("no port in %q", text)
	}
	in, _, closed := strings.Cut(text[open+1:], ")")
	if !closed || len(in) < 5 || in[0] != in[1] || in[1] != in[2] || in[len(in)-1] != in[0] {
		return 0, fmt.Errorf("no port in %q", text)
	}
	return parsePortNumber(in[3 : len(in)-1])
}

func parsePortNumber(s string) (uint16, error) {
	v, err := strconv.ParseUint(s, 10, 16)
	if err != nil || v == 0 || s != strconv.FormatUint(v, 10) {
		return 0, fmt.Errorf("%q is not a port from 1 to 65535", s)
	}
	return uint16(v), nil
}
