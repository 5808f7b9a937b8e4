package sites

import (
	"net/url"
	"path"
	"strings"
	"time"

	homedir "github.com/mitchellh/go-homedir"
	"howett.net/plist"

	"portside/client"
)

// ParseCyberduck reads a bookmark of Cyberduck's (.duck), a property list. It holds no password: Cyberduck keeps it in the
// system's keychain.
func ParseCyberduck(data []byte) *Imported {
	i := &Imported{From: Cyberduck}
	var all any
	if err := decodePlist(data, &all); err != nil {
		i.problem("The file", "it can't be read (%v)", err)
		return i
	}
	switch t := all.(type) {
	case map[string]any:
		i.duck(t)
	case []any: // the history of old versions
		for _, one := range t {
			if m, ok := one.(map[string]any); ok {
				i.duck(m)
			} else {
				i.problem("", "it is no bookmark")
			}
		}
	default:
		i.problem("The file", "it holds no bookmark")
	}
	return i
}

// decodePlist keeps a panic of the library at a stranger's file from ending the program.
func decodePlist(data []byte, into any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errDamaged
		}
	}()
	_, err = plist.Unmarshal(data, into)
	return err
}

func (i *Imported) duck(m map[string]any) {
	text := func(key string) string {
		s, _ := m[key].(string)
		return strings.TrimSpace(s)
	}
	name := clean(text("Nickname"))
	if name == "" {
		name = clean(text("Hostname"))
	}
	s := &Site{Host: clean(text("Hostname")), User: text("Username"), RemoteFolder: text("Path"), Notes: cleanText(text("Comment")),
		Login: LoginAsk}
	switch protocol := text("Protocol"); protocol {
	case "ftp":
		s.TLS = client.TLSAuto
	case "ftps":
		s.TLS = client.TLSExplicit
	default:
		i.problem(name, "it is %q, not FTP", clean(protocol))
		return
	}
	if s.TLS == client.TLSExplicit && text("Port") == "990" {
		s.TLS = client.TLSImplicit
	}
	i.setPort(name, s, text("Port"))
	if s.User == "" || s.User == client.Anonymous {
		s.Login = LoginAnonymous
	}
	switch text("FTP Connect Mode") {
	case "active":
		s.Mode = client.ModeActive
	case "passive":
		s.Mode = client.ModePassive
	}
	if c := text("Encoding"); c != "" {
		if _, err := Charset(c); err != nil {
			i.problem(name, "its character set %q is not known; it is recognised by itself now", clean(c))
		} else {
			s.Charset = c
		}
	}
	if zone := text("Timezone"); zone != "" && zone != "UTC" {
		if at, err := time.LoadLocation(zone); err == nil && zone != "Local" {
			_, seconds := time.Now().In(at).Zone()
			setOffset(s, seconds/60)
		}
	}
	s.LocalFolder = clean(text("Download Folder"))
	if full, err := homedir.Expand(s.LocalFolder); err == nil {
		s.LocalFolder = full
	}
	if web := text("Web URL"); web != "" {
		s.Notes = strings.TrimSpace(s.Notes + "\n" + clean(web))
	}
	into := &i.Nodes
	if labels, ok := m["Labels"].([]any); ok && len(labels) > 0 {
		if l, ok := labels[0].(string); ok {
			into = folder(into, l)
		}
	}
	i.add(into, name, s, Secret{})
}

// ParseNetrc reads ~/.netrc: tokens between white space, values perhaps in double quotes with backslash escapes (curl), a
// macro (macdef) up to an empty line, "#" to the line's end where a keyword would stand.
func ParseNetrc(data []byte) *Imported {
	i := &Imported{From: Netrc}
	l := netrcLexer{rest: toUTF8(string(data))}
	var host string
	var s *Site
	var secret Secret
	flush := func() {
		defer func() { s, secret = nil, Secret{} }()
		if s == nil {
			return
		}
		name := s.Host
		if s.User != "" && s.User != client.Anonymous {
			name = s.User + "@" + s.Host
			s.Login = LoginNormal
			if secret.Account != "" {
				s.Login = LoginAccount
			}
			if secret == (Secret{}) {
				s.Login = LoginAsk
			}
		} else {
			s.Login = LoginAnonymous
		}
		i.add(&i.Nodes, name, s, secret)
	}
	for {
		key, ok := l.next()
		if !ok {
			break
		}
		value := func() (string, bool) {
			v, ok := l.next()
			if !ok {
				i.problem(host, "it ends after %q", clean(key))
			}
			return v, ok
		}
		switch strings.ToLower(key) {
		case "machine":
			flush()
			if v, ok := value(); ok {
				host = v
				s = &Site{Host: v, TLS: client.TLSAuto}
				if h, p, ok := strings.Cut(v, ":"); ok && !strings.Contains(p, ":") {
					s.Host = h
					i.setPort(v, s, p)
				}
			}
		case "default":
			flush()
			host = "default"
			i.problem("default", "it stands for every server and is no site")
		case "login":
			if v, ok := value(); ok && s != nil {
				s.User = v
			}
		case "password":
			if v, ok := value(); ok {
				secret.Password = v
			}
		case "account":
			if v, ok := value(); ok {
				secret.Account = v
			}
		case "macdef":
			l.skipMacro()
		case "port": // some programs have it
			if v, ok := value(); ok && s != nil {
				i.setPort(host, s, v)
			}
		default:
			if strings.HasPrefix(key, "#") {
				l.skipLine()
				continue
			}
			// The word itself may be a part of a password.
			i.problem(host, "a word is no keyword of a .netrc file and was passed over")
		}
	}
	flush()
	return i
}

type netrcLexer struct{ rest string }

func (l *netrcLexer) next() (string, bool) {
	l.rest = strings.TrimLeft(l.rest, " \t\r\n\f\v")
	if l.rest == "" {
		return "", false
	}
	if l.rest[0] != '"' {
		end := strings.IndexAny(l.rest, " \t\r\n\f\v")
		if end < 0 {
			end = len(l.rest)
		}
		word := l.rest[:end]
		l.rest = l.rest[end:]
		return word, true
	}
	var b strings.Builder
	for at := 1; at < len(l.rest); at++ {
		switch c := l.rest[at]; {
		case c == '"':
			l.rest = l.rest[at+1:]
			return b.String(), true
		case c == '\\' && at+1 < len(l.rest):
			at++
			switch e := l.rest[at]; e {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(e)
			}
		default:
			b.WriteByte(c)
		}
	}
	l.rest = ""
	return b.String(), true
}

func (l *netrcLexer) skipLine() {
	_, l.rest, _ = strings.Cut(l.rest, "\n")
}

func (l *netrcLexer) skipMacro() {
	l.skipLine()
	for l.rest != "" {
		line, rest, _ := strings.Cut(l.rest, "\n")
		l.rest = rest
		if strings.TrimSpace(line) == "" {
			return
		}
	}
}

// ParseGFTP reads gFTP's bookmarks: sections named folder/name.
func ParseGFTP(data []byte) *Imported {
	i := &Imported{From: GFTP}
	all, bad := readINI(data)
	for _, section := range all {
		k := section.keys
		folders := strings.Split(toUTF8(section.name), "/")
		name := folders[len(folders)-1]
		if k["hostname"] == "" {
			if len(k) > 0 {
				i.problem(name, "it names no host")
			}
			continue // gFTP writes a section for a folder, too
		}
		s := &Site{Host: clean(toUTF8(k["hostname"])), User: toUTF8(k["username"]), RemoteFolder: toUTF8(k["remote directory"]),
			LocalFolder: toUTF8(k["local directory"]), Login: LoginAsk}
		switch protocol := strings.ToUpper(k["protocol"]); protocol {
		case "", "FTP":
			s.TLS = client.TLSAuto
		case "FTPS":
			s.TLS = client.TLSExplicit
		case "FTPSI":
			s.TLS = client.TLSImplicit
		default:
			i.problem(name, "it is %q, not FTP", clean(protocol))
			continue
		}
		if p := k["port"]; p != "0" {
			i.setPort(name, s, p)
		}
		secret := Secret{Password: toUTF8(k["password"]), Account: toUTF8(k["account"])}
		switch {
		case s.User == "", s.User == client.Anonymous, k["password"] == "@EMAIL@":
			s.Login = LoginAnonymous
		case strings.HasPrefix(secret.Password, "$"):
			password, ok := gftpPassword(secret.Password)
			if !ok {
				i.problem(name, "its password can't be read; Portside asks for it")
				secret = Secret{}
				break
			}
			secret.Password, s.Login = password, LoginNormal
		case secret.Password != "":
			s.Login = LoginNormal
		}
		if s.Login == LoginNormal && secret.Account != "" {
			s.Login = LoginAccount
		}
		i.add(i.inFolders(folders[:len(folders)-1]), name, s, secret)
	}
	if bad > 0 {
		i.problem("The file", "%d of its lines are neither a section nor a setting", bad)
	}
	return i
}

// gftpPassword undoes gFTP's scrambling: after "$", each character is two bytes that hold its upper and its lower half in
// the middle four bits, between ones (gftp's lib/misc.c, gftp_scramble_password).
func gftpPassword(text string) (string, bool) {
	text = text[1:]
	if len(text)%2 != 0 {
		return "", false
	}
	var out []byte
	for at := 0; at+1 < len(text); at += 2 {
		high, low := text[at], text[at+1]
		if high&0xc3 != 0x41 || low&0xc3 != 0x41 {
			return "", false
		}
		out = append(out, (high&0x3c)<<2|(low&0x3c)>>2)
	}
	return toUTF8(string(out)), true
}

// ParseLFTP reads lftp's bookmarks: a name, white space and a URL in each line; a name with slashes lies in folders.
func ParseLFTP(data []byte) *Imported {
	i := &Imported{From: LFTP}
	for line := range strings.SplitSeq(toUTF8(string(data)), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, address, ok := cutSpace(line)
		if !ok {
			i.problem("A line without an address", "it was passed over")
			continue
		}
		scheme, _, _ := strings.Cut(address, "://")
		switch strings.ToLower(scheme) {
		case "ftp", "ftps", "ftpes":
		default:
			if strings.Contains(address, "://") {
				i.problem(name, "it is %q, not FTP", clean(scheme))
				continue
			}
		}
		t, err := client.ParseURL(strings.Trim(address, `"`))
		if err != nil {
			i.problem(name, "%v", err)
			continue
		}
		s := FromTarget(t)
		s.RemoteFolder = strings.TrimSuffix(s.RemoteFolder, "/")
		if strings.HasPrefix(s.RemoteFolder, "~") {
			s.RemoteFolder = strings.TrimPrefix(s.RemoteFolder, "~")
			s.RemoteFolder = strings.TrimPrefix(s.RemoteFolder, "/")
		}
		if t.Password == "" && s.Login == LoginNormal {
			s.Login = LoginAsk
		}
		if p, err := url.PathUnescape(name); err == nil {
			name = p
		}
		dir := strings.Trim(path.Dir(name), "/.")
		var folders []string
		if dir != "" {
			folders = strings.Split(dir, "/")
		}
		i.add(i.inFolders(folders), path.Base(name), s, Secret{Password: t.Password})
	}
	return i
}

func cutSpace(line string) (before, after string, ok bool) {
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return line, "", false
	}
	return line[:at], strings.TrimSpace(line[at:]), true
}

// looksLFTP says whether the first line is a name and a URL.
func looksLFTP(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		_, address, ok := cutSpace(line)
		return ok && strings.Contains(address, "://")
	}
	return false
}
