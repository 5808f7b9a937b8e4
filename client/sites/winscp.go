package sites

import (
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"portside/client"
)

// ParseWinSCP reads WinSCP.ini, the file that WinSCP's portable edition keeps and that "Export/Backup Configuration" writes.
func ParseWinSCP(data []byte) *Imported {
	i := &Imported{From: WinSCP}
	all, bad := readINI(data)
	master := false
	for _, s := range all {
		master = master || strings.EqualFold(s.name, `Configuration\Security`) && s.keys["usemasterpassword"] == "1"
	}
	for _, s := range all {
		const prefix = `sessions\`
		if len(s.name) <= len(prefix) || !strings.EqualFold(s.name[:len(prefix)], prefix) {
			continue
		}
		name := munged(s.name[len(prefix):])
		if name == "Default Settings" || s.keys["isworkspace"] == "1" {
			continue
		}
		i.winscp(name, s.keys, master)
	}
	if bad > 0 && len(i.Nodes) == 0 && len(i.Problems) == 0 {
		i.problem("The file", "no site was found in it")
	}
	return i
}

func (i *Imported) winscp(name string, k map[string]string, master bool) {
	path := strings.Split(name, "/")
	folders, name := path[:len(path)-1], path[len(path)-1]
	text := func(key string) string { return munged(k[key]) }
	protocol := k["fsprotocol"]
	if protocol != "5" {
		kind := map[string]string{"": "SFTP", "0": "SCP", "1": "SFTP", "2": "SFTP", "6": "WebDAV", "7": "S3"}[protocol]
		if kind == "" {
			kind = "not FTP"
		}
		i.problem(name, "it is %s, which Portside does not speak", kind)
		return
	}
	s := &Site{Host: clean(text("hostname")), User: text("username"), RemoteFolder: text("remotedirectory"),
		LocalFolder: text("localdirectory"), Notes: cleanText(text("note")), Linked: k["synchronizebrowsing"] == "1"}
	switch k["ftps"] {
	case "", "0":
		s.TLS = client.TLSNone
	case "1":
		s.TLS = client.TLSImplicit
	default:
		s.TLS = client.TLSExplicit
	}
	portText := k["portnumber"]
	if portText == "" {
		portText = "22" // values that are the default are left out
	}
	i.setPort(name, s, portText)
	switch k["ftppasvmode"] {
	case "0":
		s.Mode = client.ModeActive
	case "1":
		s.Mode = client.ModePassive
	}
	s.TrustPassiveAddress = k["ftpforcepasvip2"] == "1" // off: the address of the reply is used
	if days, err := strconv.ParseFloat(strings.ReplaceAll(k["timedifference"], ",", "."), 64); err == nil && days != 0 && math.Abs(days) <= 1 {
		_, here := time.Now().Zone() // WinSCP takes listed times for this computer's, and adds the difference
		setOffset(s, here/60-int(math.Round(days*24*60)))
	}
	switch k["utf"] { // 0 off, 1 on, 2 auto
	case "1":
		s.Charset = "UTF-8"
	}
	s.Color = winscpColor(k["color"])
	s.Login = LoginNormal
	secret := Secret{Account: text("ftpaccount")}
	if secret.Account != "" {
		s.Login = LoginAccount
	}
	switch {
	case s.User == "" || s.User == client.Anonymous:
		s.Login, secret = LoginAnonymous, Secret{}
	case k["passwordplain"] != "":
		secret.Password = text("passwordplain")
	case k["password"] == "":
		if secret.Account == "" {
			s.Login = LoginAsk
		}
	case master:
		i.problem(name, "its password is locked with WinSCP's master password; Portside asks for it")
		s.Login, secret = LoginAsk, Secret{}
	default:
		password, err := winscpPassword(k["password"], s.User+clean(text("hostname")))
		if err != nil {
			i.problem(name, "%v; Portside asks for it", err)
			s.Login, secret = LoginAsk, Secret{}
		}
		secret.Password = password
	}
	if k["proxymethod"] != "" && k["proxymethod"] != "0" {
		i.problem(name, "it goes through a proxy in WinSCP, which was left out")
	}
	if k["postlogincommands"] != "" {
		i.problem(name, leftCommands)
	}
	i.add(i.inFolders(folders), name, s, secret)
}

// winscpColor takes the nearest of [Colors] for a Windows colour, 0x00BBGGRR.
func winscpColor(text string) Color {
	v, err := strconv.ParseUint(text, 10, 32)
	if err != nil || v == 0 {
		return ""
	}
	r, g, b := int(v&0xff), int(v>>8&0xff), int(v>>16&0xff)
	best, at := 1<<30, Color("")
	for name, c := range map[Color][3]int{"red": {255, 0, 0}, "green": {0, 200, 0}, "blue": {0, 0, 255}, "yellow": {255, 255, 0},
		"cyan": {0, 255, 255}, "magenta": {255, 0, 255}, "orange": {255, 150, 0}} {
		d := (r-c[0])*(r-c[0]) + (g-c[1])*(g-c[1]) + (b-c[2])*(b-c[2])
		if d < best || d == best && name < at {
			best, at = d, name
		}
	}
	return at
}

// munged undoes PuTTY's escapes, %XX. What then begins with a byte order mark is UTF-8, all else is the Western code page.
func munged(s string) string {
	if !strings.Contains(s, "%") {
		return toUTF8(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(v[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return toUTF8(b.String())
}

func toUTF8(s string) string {
	s = strings.ReplaceAll(s, "\xEF\xBB\xBF", "")
	if utf8.ValidString(s) {
		return s
	}
	if d, err := charmap.Windows1252.NewDecoder().String(s); err == nil {
		return d
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

var errPasswordForm = errors.New("its password can't be read")

// winscpPassword undoes WinSCP's obfuscation, which hides a password from a glance and from nothing else: pairs of hex
// digits, each byte the complement of the pair xor 0xA3. A first byte 0xFF begins the newer form, in which user and host
// stand before the password.
func winscpPassword(text, key string) (string, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", errPasswordForm
	}
	at := 0
	next := func() int {
		if at >= len(raw) {
			at++
			return 0
		}
		b := ^(raw[at] ^ 0xA3)
		at++
		return int(b)
	}
	flag := next()
	length := flag
	if flag == 0xFF {
		switch next() {
		case 0:
			length = next()
		case 1:
			return "", errors.New("its password is locked with WinSCP's master password")
		case 2:
			length = next() << 8
			length |= next()
		default:
			return "", errPasswordForm
		}
	}
	skip := next()
	at += skip
	if at+length > len(raw) {
		return "", errPasswordForm
	}
	out := make([]byte, length)
	for i := range out {
		out[i] = byte(next())
	}
	password := string(out)
	if flag == 0xFF {
		var ok bool
		if password, ok = strings.CutPrefix(password, key); !ok {
			return "", errors.New("its password was stored for another user or host")
		}
	}
	return toUTF8(password), nil
}
