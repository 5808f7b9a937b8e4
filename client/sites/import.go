package sites

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"portside/client"
)

// Program is whose file an import reads.
type Program string

const (
	Portside  Program = "Portside"
	FileZilla Program = "FileZilla"
	WinSCP    Program = "WinSCP"
	Cyberduck Program = "Cyberduck"
	Netrc     Program = ".netrc"
	GFTP      Program = "gFTP"
	LFTP      Program = "lftp"
)

// Imported is what an import has read.
type Imported struct {
	From  Program
	Nodes []*Node
	// Secrets are the passwords, by the ID of the node. They belong into a secret store.
	Secrets map[string]Secret
	// Problems are the entries that could not be read or not wholly, each as a sentence that names the entry.
	Problems []string
}

// Len is how many sites were read.
func (i *Imported) Len() int { return (&Book{Nodes: i.Nodes}).Len() }

// maxProblems bounds the list; a file with more is another kind of file.
const maxProblems = 500

func (i *Imported) problem(entry, format string, args ...any) {
	switch {
	case len(i.Problems) > maxProblems:
	case len(i.Problems) == maxProblems:
		i.Problems = append(i.Problems, "There are more problems than can be listed here.")
	default:
		name := clean(entry)
		if name == "" {
			name = "An entry without a name"
		}
		i.Problems = append(i.Problems, name+": "+fmt.Sprintf(format, args...)+".")
	}
}

// add takes a site that was read, if it can be one, and keeps its secret apart.
func (i *Imported) add(into *[]*Node, name string, s *Site, secret Secret) {
	s.Host, s.User = strings.TrimSpace(s.Host), strings.TrimSpace(s.User)
	// A URL in the host's place is taken for what it is; some programs allow it. What else the entry says goes before.
	if strings.Contains(s.Host, "://") {
		t, err := client.ParseURL(s.Host)
		if err != nil {
			i.problem(name, "%v", err)
			return
		}
		s.Host, s.RemoteFolder = t.Host, cmp.Or(s.RemoteFolder, t.Path)
		if s.TLS == client.TLSAuto {
			s.TLS = t.TLS
		}
		if s.Port == 0 && t.Port != (client.Target{TLS: s.TLS}).ControlPort() {
			s.Port = t.Port
		}
		if s.User == "" && t.User != "" {
			s.User, s.Login = t.User, LoginAsk
		}
	}
	s.Host = strings.TrimSuffix(strings.TrimPrefix(s.Host, "["), "]")
	if s.User == client.Anonymous && s.Login != LoginAnonymous {
		s.Login, secret = LoginAnonymous, Secret{}
	}
	if (s.Login == LoginNormal || s.Login == LoginAccount) && s.User == "" {
		s.Login = LoginAsk
	}
	s.Mend()
	secret = Secret{Password: toUTF8(secret.Password), Account: toUTF8(secret.Account)}
	name = clean(name)
	if err := s.Check(); err != nil {
		i.problem(name, "%v", err)
		return
	}
	if strings.ContainsAny(secret.Password+secret.Account, "\r\n\x00") {
		i.problem(name, "its password holds what FTP can't carry and was left out")
		secret = Secret{}
	}
	if name == "" {
		name = s.Host
	}
	if s.Login == LoginAnonymous {
		s.User = ""
	}
	n := NewNode(name, s)
	*into = append(*into, n)
	if secret != (Secret{}) && (s.Login == LoginNormal || s.Login == LoginAccount) {
		if i.Secrets == nil {
			i.Secrets = map[string]Secret{}
		}
		i.Secrets[n.ID] = secret
	}
}

// folder returns the list of the folder with a name in a list, which is made when it isn't there.
func folder(into *[]*Node, name string) *[]*Node {
	name = clean(name)
	if name == "" {
		return into
	}
	for _, n := range *into {
		if n.Folder() && n.Name == name {
			return &n.Nodes
		}
	}
	n := NewNode(name, nil)
	*into = append(*into, n)
	return &n.Nodes
}

// inFolders returns the list at the end of a path of folders.
func (i *Imported) inFolders(path []string) *[]*Node {
	list := &i.Nodes
	for depth, p := range path {
		if depth >= maxDepth {
			break
		}
		list = folder(list, p)
	}
	return list
}

// clean makes a name printable and bounds it.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > 200 {
		s = strings.TrimSpace(string([]rune(s)[:200]))
	}
	return s
}

// cleanText is clean for a text of several lines.
func cleanText(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// Import reads a file of another program, which is known by its content and name. The error says that the file as a whole
// is none of them; what is wrong within it stands in [Imported.Problems].
func Import(name string, data []byte) (*Imported, error) {
	if len(data) > maxFile {
		return nil, errors.New("the file is too large to be a list of sites")
	}
	data = decodeText(data)
	base := strings.ToLower(filepath.Base(name))
	head := data
	if len(head) > 64<<10 {
		head = head[:64<<10]
	}
	text := string(head)
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.Contains(text, "<FileZilla3"):
		return ParseFileZilla(data), nil
	case strings.HasSuffix(base, ".duck"), strings.HasPrefix(trimmed, "bplist0"), strings.Contains(text, "<plist"):
		return ParseCyberduck(data), nil
	case strings.HasPrefix(trimmed, "{"):
		b, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("it looks like a book of Portside's, and can't be read: %w", err)
		}
		return importBook(b), nil
	case strings.Contains(text, "[Sessions\\"), strings.Contains(text, "[Configuration\\Interface"), base == "winscp.ini":
		return ParseWinSCP(data), nil
	case strings.HasSuffix(base, "netrc"), strings.HasPrefix(trimmed, "machine "), strings.HasPrefix(trimmed, "default "):
		return ParseNetrc(data), nil
	case hasSection(text):
		return ParseGFTP(data), nil
	case looksLFTP(trimmed):
		return ParseLFTP(data), nil
	}
	return nil, errors.New("it is no list of sites that Portside knows: FileZilla's sitemanager.xml, WinSCP.ini, Cyberduck's .duck, " +
		".netrc, the bookmarks of gFTP or lftp, or a book of Portside's own")
}

// ImportFile is [Import] of a file, or of all .duck files of a folder.
func ImportFile(path string) (*Imported, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return importFolder(path)
	}
	if info.Size() > maxFile {
		return nil, errors.New("the file is too large to be a list of sites")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Import(path, data)
}

func importFolder(path string) (*Imported, error) {
	names, err := filepath.Glob(filepath.Join(path, "*.duck"))
	if err == nil && len(names) == 0 {
		err = errors.New("the folder holds no .duck files")
	}
	if err != nil {
		return nil, err
	}
	all := &Imported{From: Cyberduck, Secrets: map[string]Secret{}}
	for _, n := range names {
		one, err := ImportFile(n)
		if err != nil {
			all.problem(filepath.Base(n), "%v", err)
			continue
		}
		all.Nodes = append(all.Nodes, one.Nodes...)
		all.Problems = append(all.Problems, one.Problems...)
		for id, s := range one.Secrets {
			all.Secrets[id] = s
		}
	}
	return all, nil
}

// importBook gives every node a new ID, so that the same file can come in twice.
func importBook(b *Book) *Imported {
	b.All(func(n *Node, _ []*Node) bool {
		n.ID = NewID()
		return true
	})
	i := &Imported{From: Portside}
	i.Nodes = dropBad(i, b.Nodes)
	return i
}

func dropBad(i *Imported, nodes []*Node) []*Node {
	out := nodes[:0]
	for _, n := range nodes {
		if n.Site != nil {
			if err := n.Site.Check(); err != nil {
				i.problem(n.Name, "%v", err)
				continue
			}
		}
		n.Nodes = dropBad(i, n.Nodes)
		out = append(out, n)
	}
	return out
}

// decodeText takes UTF-16 files, which Windows programs write, and a byte order mark to plain UTF-8.
func decodeText(data []byte) []byte {
	switch {
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		return data[3:]
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}), bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		big := data[0] == 0xFE
		var b strings.Builder
		var pending rune
		for i := 2; i+1 < len(data); i += 2 {
			u := rune(data[i]) | rune(data[i+1])<<8
			if big {
				u = rune(data[i])<<8 | rune(data[i+1])
			}
			switch {
			case u >= 0xD800 && u < 0xDC00:
				pending = u
			case u >= 0xDC00 && u < 0xE000 && pending != 0:
				b.WriteRune((pending-0xD800)<<10 + (u - 0xDC00) + 0x10000)
				pending = 0
			default:
				b.WriteRune(u)
				pending = 0
			}
		}
		return []byte(b.String())
	}
	return data
}

// section is a part of an INI file: its keys in lower case.
type section struct {
	name string
	keys map[string]string
}

// readINI reads sections of key=value lines. It takes values as they are: no quotes, no comments behind them, no line goes on
// in the next, because neither WinSCP nor gFTP writes such. Lines that are none of these are counted.
func readINI(data []byte) (all []section, bad int) {
	for line := range strings.SplitSeq(string(data), "\n") {
		line = strings.TrimRight(line, "\r")
		t := strings.TrimSpace(line)
		switch {
		case t == "", t[0] == '#', t[0] == ';':
		case t[0] == '[' && t[len(t)-1] == ']':
			all = append(all, section{name: t[1 : len(t)-1], keys: map[string]string{}})
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || len(all) == 0 {
				bad++
				continue
			}
			all[len(all)-1].keys[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return all, bad
}

func hasSection(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		t := strings.TrimSpace(line)
		if t == "" || t[0] == '#' || t[0] == ';' {
			continue
		}
		return t[0] == '[' && t[len(t)-1] == ']'
	}
	return false
}

// port reads a port; ok is false for what is none. Empty is 0, the usual one.
func port(text string) (n uint16, ok bool) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, true
	}
	v, err := strconv.ParseUint(text, 10, 16)
	return uint16(v), err == nil
}

// setPort gives a site its port; the usual one of its encryption is left out.
func (i *Imported) setPort(name string, s *Site, text string) {
	p, ok := port(text)
	if !ok {
		i.problem(name, "its port %q is none; the usual one is used", clean(text))
		return
	}
	if p != (client.Target{TLS: s.TLS}).ControlPort() {
		s.Port = p
	}
}

func setOffset(s *Site, minutes int) {
	if minutes != 0 {
		s.TimeOffset = &minutes
	}
}

// leftCommands says what Portside has no place for.
const leftCommands = "its commands after sign-in were left out: Portside sends none"

// errDamaged is a file whose structure is broken.
var errDamaged = errors.New("it is damaged")
