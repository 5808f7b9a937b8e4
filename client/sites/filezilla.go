package sites

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"portside/client"
)

// fzServer is a Server element (FileZilla 3.63, sitemanager.xml). Elements that are missing have their default.
type fzServer struct {
	Host, Port, Protocol, Type, User, Account string
	Pass                                      struct {
		Text     string `xml:",chardata"`
		Encoding string `xml:"encoding,attr"`
	}
	Logontype                  string
	TimezoneOffset             string
	PasvMode                   string
	MaximumMultipleConnections string
	EncodingType               string
	CustomEncoding             string
	PostLoginCommands          struct{ Command []string }
	Name                       string
	Comments                   string
	Colour                     string
	LocalDir, RemoteDir        string
	SyncBrowsing               string
	Bookmark                   []fzBookmark
	Text                       string `xml:",chardata"` // older files have the name there
}

type fzBookmark struct {
	Name, LocalDir, RemoteDir, SyncBrowsing string
}

// ParseFileZilla reads FileZilla's sitemanager.xml and what it exports.
func ParseFileZilla(data []byte) *Imported {
	i := &Imported{From: FileZilla}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	d.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		e, err := Charset(label)
		if err != nil || e == nil {
			return in, nil
		}
		return e.NewDecoder().Reader(in), nil
	}
	if err := i.fzNodes(d, &i.Nodes, nil, 0); err != nil && !errors.Is(err, io.EOF) {
		i.problem("The file", "it breaks off or is damaged (%v); what came before was read", err)
	}
	return i
}

// fzNodes reads folders and servers up to the end of the element that it is in. named is called with the text between them,
// which is a folder's name.
func (i *Imported) fzNodes(d *xml.Decoder, into *[]*Node, named func(string), depth int) error {
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.CharData:
			if text := clean(string(t)); text != "" && named != nil {
				named(text)
			}
		case xml.EndElement:
			if depth > 0 {
				return nil
			}
		case xml.StartElement:
			switch t.Name.Local {
			case "FileZilla3", "Servers":
				// Their content follows.
			case "Server":
				var s fzServer
				if err := d.DecodeElement(&s, &t); err != nil {
					return err
				}
				i.fzServer(into, &s)
			case "Folder":
				n := NewNode("", nil)
				for _, a := range t.Attr {
					n.Closed = n.Closed || a.Name.Local == "expanded" && a.Value == "0"
				}
				list := into
				if depth < maxDepth {
					*into = append(*into, n)
					list = &n.Nodes
				}
				err := i.fzNodes(d, list, func(text string) {
					if n.Name == "" {
						n.Name = text
					}
				}, depth+1)
				if n.Name == "" {
					n.Name = "Folder"
				}
				if err != nil {
					return err
				}
			default:
				if err := d.Skip(); err != nil {
					return err
				}
			}
		}
	}
}

func (i *Imported) fzServer(into *[]*Node, f *fzServer) {
	name := clean(f.Name)
	if name == "" {
		name = clean(f.Text)
	}
	if name == "" {
		name = clean(f.Host)
	}
	s := &Site{Host: clean(f.Host), User: strings.TrimSpace(f.User), Notes: cleanText(f.Comments), LocalFolder: clean(f.LocalDir)}
	switch strings.TrimSpace(f.Protocol) {
	case "", "0":
		s.TLS = client.TLSAuto
	case "3":
		s.TLS = client.TLSImplicit
	case "4":
		s.TLS = client.TLSExplicit
	case "6":
		s.TLS = client.TLSNone
	case "1":
		i.problem(name, "it is SFTP, which Portside does not speak")
		return
	default:
		i.problem(name, "it is not FTP (FileZilla's protocol %s)", clean(f.Protocol))
		return
	}
	i.setPort(name, s, f.Port)
	secret := Secret{}
	var err error
	switch strings.TrimSpace(f.Logontype) {
	case "", "0":
		s.Login = LoginAnonymous
	case "1":
		s.Login = LoginNormal
		secret.Password, err = fzPassword(f)
	case "4":
		s.Login = LoginAccount
		secret.Account = strings.TrimSpace(f.Account)
		secret.Password, err = fzPassword(f)
	default: // ask, interactive, key file
		s.Login = LoginAsk
	}
	if err != nil {
		i.problem(name, "%v; Portside asks for the password", err)
		s.Login, secret = LoginAsk, Secret{}
	}
	switch strings.TrimSpace(f.PasvMode) {
	case "MODE_ACTIVE":
		s.Mode = client.ModeActive
	case "MODE_PASSIVE":
		s.Mode = client.ModePassive
	}
	if minutes, err := strconv.Atoi(strings.TrimSpace(f.TimezoneOffset)); err == nil {
		setOffset(s, -minutes) // FileZilla adds it to the listed times
	}
	if n, err := strconv.Atoi(strings.TrimSpace(f.MaximumMultipleConnections)); err == nil && n > 0 {
		s.Connections = min(n, 16)
	}
	switch strings.TrimSpace(f.EncodingType) {
	case "UTF-8":
		s.Charset = "UTF-8"
	case "Custom":
		s.Charset = clean(f.CustomEncoding)
		if _, err := Charset(s.Charset); err != nil {
			i.problem(name, "its character set %q is not known; it is recognised by itself now", s.Charset)
			s.Charset = ""
		}
	}
	if n, err := strconv.Atoi(strings.TrimSpace(f.Colour)); err == nil && n > 0 && n < len(Colors) {
		s.Color = Colors[n]
	}
	if s.RemoteFolder, err = parseSafePath(f.RemoteDir); err != nil {
		i.problem(name, "its folder on the server: %v", err)
	}
	if len(f.PostLoginCommands.Command) > 0 {
		i.problem(name, leftCommands)
	}
	s.Linked = strings.TrimSpace(f.SyncBrowsing) == "1"
	for _, b := range f.Bookmark {
		m := Bookmark{Name: clean(b.Name), Local: clean(b.LocalDir), Linked: strings.TrimSpace(b.SyncBrowsing) == "1"}
		if m.Remote, err = parseSafePath(b.RemoteDir); err != nil {
			i.problem(name, "its bookmark %q: %v", m.Name, err)
		}
		if m.Local != "" || m.Remote != "" {
			s.Bookmarks = append(s.Bookmarks, m)
		}
	}
	i.add(into, name, s, secret)
}

func fzPassword(f *fzServer) (string, error) {
	switch f.Pass.Encoding {
	case "":
		return f.Pass.Text, nil
	case "base64":
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(f.Pass.Text))
		if err != nil || !utf8.Valid(b) {
			return "", errors.New("its password can't be read")
		}
		return string(b), nil
	case "crypt":
		return "", errors.New("its password is locked with FileZilla's master password")
	}
	return "", errors.New("its password is written in a way that Portside does not know")
}

// parseSafePath reads FileZilla's form of a remote path: type, prefix length and prefix, then length and text of each
// segment, lengths in characters: "1 0 3 pub 3 a b" is /pub/a b.
func parseSafePath(text string) (string, error) {
	text = strings.TrimRight(strings.TrimLeft(text, " \t\r\n"), "\r\n")
	if text == "" {
		return "", nil
	}
	if text[0] == '/' {
		return text, nil // somebody wrote it by hand
	}
	bad := fmt.Errorf("%q can't be read", clean(text))
	rest := []rune(text)
	number := func() (int, bool) {
		n, digits := 0, 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' && digits < 6 {
			n = n*10 + int(rest[digits]-'0')
			digits++
		}
		rest = rest[digits:]
		return n, digits > 0
	}
	space := func() bool {
		if len(rest) > 0 && rest[0] == ' ' {
			rest = rest[1:]
			return true
		}
		return false
	}
	take := func(n int) (string, bool) {
		if n > len(rest) {
			return "", false
		}
		s := string(rest[:n])
		rest = rest[n:]
		return s, true
	}
	kind, ok := number()
	if !ok || !space() {
		return "", bad
	}
	length, ok := number()
	if !ok {
		return "", bad
	}
	prefix := ""
	if length > 0 {
		if !space() {
			return "", bad
		}
		if prefix, ok = take(length); !ok {
			return "", bad
		}
	}
	var b strings.Builder
	for len(rest) > 0 {
		if !space() {
			return "", bad
		}
		if length, ok = number(); !ok || !space() {
			return "", bad
		}
		segment, ok := take(length)
		if !ok {
			return "", bad
		}
		b.WriteString("/" + segment)
	}
	switch kind {
	case 0, 1, 3, 8, 9, 10:
		if b.Len() == 0 && prefix == "" {
			return "/", nil
		}
		return prefix + b.String(), nil
	}
	return "", fmt.Errorf("it is written for a kind of server that Portside does not know (%d)", kind)
}

// safePath writes a remote path as [parseSafePath] reads it. A relative one can't be written so.
func safePath(path string) (string, bool) {
	if !strings.HasPrefix(path, "/") {
		return "", false
	}
	out := "1 0"
	for part := range strings.SplitSeq(path, "/") {
		if part != "" {
			out += fmt.Sprintf(" %d %s", utf8.RuneCountInString(part), part)
		}
	}
	return out, true
}

type fzPass struct {
	Encoding string `xml:"encoding,attr"`
	Text     string `xml:",chardata"`
}

type fzOutServer struct {
	XMLName                    xml.Name `xml:"Server"`
	Host                       string
	Port                       uint16
	Protocol, Type             int
	User                       string  `xml:",omitempty"`
	Pass                       *fzPass `xml:",omitempty"`
	Account                    string  `xml:",omitempty"`
	Logontype                  int
	TimezoneOffset             int `xml:",omitempty"`
	PasvMode                   string
	MaximumMultipleConnections int `xml:",omitempty"`
	EncodingType               string
	CustomEncoding             string `xml:",omitempty"`
	BypassProxy                int
	Name                       string
	Comments                   string `xml:",omitempty"`
	Colour                     int    `xml:",omitempty"`
	LocalDir                   string `xml:",omitempty"`
	RemoteDir                  string `xml:",omitempty"`
	SyncBrowsing               int
	DirectoryComparison        int
	Bookmark                   []fzOutBookmark
}

type fzOutBookmark struct {
	Name                string
	LocalDir            string `xml:",omitempty"`
	RemoteDir           string `xml:",omitempty"`
	SyncBrowsing        int
	DirectoryComparison int
}

type fzOutFolder struct {
	XMLName  xml.Name `xml:"Folder"`
	Expanded int      `xml:"expanded,attr"`
	Name     string   `xml:",chardata"`
	Children []any
}

// FormatFileZilla writes nodes as FileZilla's sitemanager.xml, without passwords: FileZilla asks for them. lost are the
// things that its file has no place for, as sentences.
func FormatFileZilla(nodes []*Node) (data []byte, lost []string, err error) {
	type servers struct{ Children []any }
	root := struct {
		XMLName xml.Name `xml:"FileZilla3"`
		Version string   `xml:"version,attr"`
		Servers servers
	}{Version: "3.63.0"}
	root.Servers.Children = fzChildren(nodes, &lost)
	out, err := xml.MarshalIndent(root, "", "\t")
	if err != nil {
		return nil, nil, err
	}
	return append([]byte(xml.Header), append(out, '\n')...), lost, nil
}

func fzChildren(nodes []*Node, lost *[]string) []any {
	var out []any
	for _, n := range nodes {
		if n.Folder() {
			f := fzOutFolder{Expanded: 1, Name: n.Name, Children: fzChildren(n.Nodes, lost)}
			if n.Closed {
				f.Expanded = 0
			}
			out = append(out, f)
			continue
		}
		out = append(out, fzOut(n, lost))
	}
	return out
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}

func fzOut(n *Node, lost *[]string) fzOutServer {
	s := n.Site
	lose := func(what string) { *lost = append(*lost, n.Name+": "+what+".") }
	o := fzOutServer{Host: s.Host, Port: s.Target().ControlPort(), User: s.User, Name: n.Name, Comments: s.Notes,
		LocalDir: s.LocalFolder, SyncBrowsing: yes(s.Linked), MaximumMultipleConnections: min(s.Connections, 10),
		PasvMode: "MODE_DEFAULT", EncodingType: "Auto"}
	switch s.TLS {
	case client.TLSImplicit:
		o.Protocol = 3
	case client.TLSExplicit:
		o.Protocol = 4
	case client.TLSNone:
		o.Protocol = 6
	}
	switch s.Login {
	case LoginNormal, LoginAsk:
		o.Logontype = 2
	case LoginAccount:
		o.Logontype = 2
		lose("FileZilla asks for the password; the account has to be typed there again")
	}
	switch s.Mode {
	case client.ModeActive:
		o.PasvMode = "MODE_ACTIVE"
	case client.ModePassive:
		o.PasvMode = "MODE_PASSIVE"
	}
	switch {
	case strings.EqualFold(s.Charset, "UTF-8"):
		o.EncodingType = "UTF-8"
	case s.Charset != "":
		o.EncodingType, o.CustomEncoding = "Custom", s.Charset
	}
	if s.TimeOffset != nil {
		o.TimezoneOffset = -*s.TimeOffset
	}
	for i, c := range Colors {
		if c == s.Color {
			o.Colour = i
		}
	}
	remote := func(path, what string) string {
		if path == "" {
			return ""
		}
		safe, ok := safePath(path)
		if !ok {
			lose(what + " is relative to the folder after sign-in, which FileZilla has no way to write")
		}
		return safe
	}
	o.RemoteDir = remote(s.RemoteFolder, "the start folder on the server")
	for _, b := range s.Bookmarks {
		o.Bookmark = append(o.Bookmark, fzOutBookmark{Name: b.Name, LocalDir: b.Local,
			RemoteDir: remote(b.Remote, "the bookmark "+b.Name), SyncBrowsing: yes(b.Linked)})
	}
	if s.ActiveMin != 0 || s.ActiveAddress != "" || s.DownLimit != 0 || s.UpLimit != 0 || s.TrustPassiveAddress {
		lose("FileZilla has no place at a site for active ports, announced address, trusted passive address and speed limits")
	}
	return o
}
