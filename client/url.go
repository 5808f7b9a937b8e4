package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// TLSMode says when TLS begins on the control connection (RFC 4217; implicit TLS is older and has no RFC).
type TLSMode string

const (
	// TLSAuto uses explicit TLS when the server offers AUTH TLS, and goes on in clear when it does not.
	TLSAuto TLSMode = "auto"
	// TLSNone never uses TLS: user name, password and files go in clear.
	TLSNone TLSMode = "none"
	// TLSExplicit requires AUTH TLS: without it nothing is sent.
	TLSExplicit TLSMode = "explicit"
	// TLSImplicit begins with the TLS handshake, usually on port 990.
	TLSImplicit TLSMode = "implicit"
)

// Anonymous is the user name of a public server (RFC 1635), AnonymousPassword what is sent with it.
const (
	Anonymous         = "anonymous"
	AnonymousPassword = "anonymous@"
)

// Target is where a session goes and as whom.
type Target struct {
	Host     string // a name or an address, IPv6 without brackets
	Port     uint16 // 0: 21, or 990 for implicit TLS
	TLS      TLSMode
	User     string // empty: [Anonymous]
	Password string
	// Path is relative to the folder after sign-in, or absolute when it begins with "/". RFC 1738 section 3.2.2:
	// ftp://host/a is "a", ftp://host/%2Fa and ftp://host//a are "/a".
	Path string
}

// ControlPort is Port, or the usual one when that is 0.
func (t Target) ControlPort() uint16 {
	switch {
	case t.Port != 0:
		return t.Port
	case t.TLS == TLSImplicit:
		return 990
	default:
		return 21
	}
}

// Address is host:port for a dial.
func (t Target) Address() string {
	return net.JoinHostPort(t.Host, strconv.Itoa(int(t.ControlPort())))
}

// URL writes the target as a URL that [ParseURL] reads back, without the password.
func (t Target) URL() string { return t.write("/%2F") }

// Shown is [Target.URL] for the eyes: an absolute path begins with "//" and not with the "/%2F" of RFC 1738, which says
// little to a person. [ParseURL] reads both.
func (t Target) Shown() string { return t.write("//") }

// write is the URL whose absolute path begins with root.
func (t Target) write(root string) string {
	var b strings.Builder
	switch t.TLS {
	case TLSImplicit:
		b.WriteString("ftps://")
	case TLSExplicit:
		b.WriteString("ftpes://")
	default:
		b.WriteString("ftp://")
	}
	if t.User != "" && t.User != Anonymous {
		b.WriteString(url.PathEscape(t.User) + "@")
	}
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + strings.ReplaceAll(host, "%", "%25") + "]"
	}
	b.WriteString(host)
	if t.Port != 0 && t.Port != (Target{TLS: t.TLS}).ControlPort() {
		b.WriteString(":" + strconv.Itoa(int(t.Port)))
	}
	if t.Path != "" {
		path := t.Path
		if path[0] == '/' {
			b.WriteString(root)
			path = path[1:]
		} else {
			b.WriteByte('/')
		}
		for i, part := range strings.Split(path, "/") {
			if i > 0 {
				b.WriteByte('/')
			}
			b.WriteString(strings.ReplaceAll(url.PathEscape(part), ";", "%3B"))
		}
	}
	return b.String()
}

// ParseURL reads what a person types or pastes: a bare host, host:port, [v6]:port, user@host, user:password@host/path,
// and ftp:// (TLS when the server has it), ftps:// (implicit TLS) and ftpes:// (explicit TLS required). User, password
// and path are percent-decoded; "@" may stand unescaped in a password; ";type=" is left out (RFC 1738 section 3.2). A
// bare host with port 990 means implicit TLS. Errors never repeat the part that may hold a password.
func ParseURL(s string) (Target, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Target{}, errors.New("the address is empty: type a host name, an IP address or an ftp:// URL")
	}
	t := Target{TLS: TLSAuto}
	rest, bare := s, true
	if scheme, after, ok := strings.Cut(s, "://"); ok && isScheme(scheme) {
		rest, bare = after, false
		switch strings.ToLower(scheme) {
		case "ftp":
		case "ftps":
			t.TLS = TLSImplicit
		case "ftpes":
			t.TLS = TLSExplicit
		default:
			return Target{}, fmt.Errorf("%q is not a kind of address for FTP: use ftp://, ftps:// or ftpes://", scheme+"://")
		}
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		authority = authority[at+1:]
		var err error
		if t.User, err = decode(user); err != nil {
			return Target{}, fmt.Errorf("the user name: %w", err)
		}
		if t.Password, err = decode(password); err != nil {
			return Target{}, fmt.Errorf("the password: %w", err)
		}
	}
	host, port, err := splitHostPort(authority)
	if err != nil {
		if hasPath && strings.Contains(path, "@") {
			return Target{}, errors.New(`the address can't be read: write "/" in a user name or password as %2F`)
		}
		return Target{}, err
	}
	t.Host, t.Port = host, port
	if bare && port == 990 {
		t.TLS = TLSImplicit
	}
	// Not by ToLower, which changes the length of what isn't UTF-8.
	if i := strings.LastIndexByte(path, ';'); i >= 0 && len(path) >= i+6 && strings.EqualFold(path[i:i+6], ";type=") && !strings.Contains(path[i:], "/") {
		path = path[:i]
	}
	if t.Path, err = decode(path); err != nil {
		return Target{}, fmt.Errorf("the path: %w", err)
	}
	return t, nil
}

func isScheme(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return s != ""
}

var errEscape = errors.New(`"%" must be followed by two hexadecimal digits; write a percent sign as %25`)

// decode undoes percent-encoding and refuses what could never stand in an FTP command.
func decode(s string) (string, error) {
	out, err := url.PathUnescape(s)
	if err != nil {
		return "", errEscape
	}
	if strings.ContainsAny(out, "\r\n\x00") {
		return "", errors.New("it holds a line break or a zero byte, which FTP can't carry")
	}
	return out, nil
}

func splitHostPort(s string) (host string, port uint16, err error) {
	portText, hasPort := "", false
	switch {
	case strings.HasPrefix(s, "["):
		inside, after, closed := strings.Cut(s[1:], "]")
		if !closed || after != "" && after[0] != ':' {
			return "", 0, errors.New("an IPv6 address with a port is written [2001:db8::1]:21")
		}
		if host, err = decodeZone(inside); err != nil {
			return "", 0, err
		}
		if after != "" {
			portText, hasPort = after[1:], true
		}
	case strings.Count(s, ":") > 1:
		if host, err = decodeZone(s); err != nil {
			return "", 0, err
		}
	default:
		host, portText, hasPort = strings.Cut(s, ":")
		if host, err = decode(host); err != nil {
			return "", 0, fmt.Errorf("the host: %w", err)
		}
		if err := checkHost(host); err != nil {
			return "", 0, err
		}
	}
	if hasPort && portText != "" {
		n, err := strconv.ParseUint(portText, 10, 16)
		if err != nil || n == 0 {
			return "", 0, errors.New("the port after the host must be a number from 1 to 65535")
		}
		port = uint16(n)
	}
	return host, port, nil
}

// decodeZone reads an IPv6 address; its zone may be written %25eth0 (RFC 6874) or %eth0.
func decodeZone(s string) (string, error) {
	a, err := netip.ParseAddr(strings.Replace(s, "%25", "%", 1))
	if err != nil || !a.Is6() || strings.ContainsAny(a.Zone(), " /\\@\r\n\t\x00[]%") {
		return "", errors.New("what stands as the host has colons, but is not an IPv6 address such as 2001:db8::1")
	}
	return a.String(), nil
}

func checkHost(h string) error {
	if h == "" {
		return errors.New("the host is missing: type a name such as ftp.example.org or an IP address")
	}
	if !utf8.ValidString(h) {
		return errors.New("the host name is not text in UTF-8")
	}
	if len(h) > 253 {
		return errors.New("the host name is longer than 253 characters")
	}
	for _, r := range h {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`/\@:[]%?#<>"'|;,`, r) {
			return fmt.Errorf("a host name can't hold the character %q", r)
		}
	}
	return nil
}
