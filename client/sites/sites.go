// Package sites is the site book: the servers that a person keeps, in folders, with all that is set for each of them, as one
// readable file; and the books of other programs, read and written.
//
// It promises: the file is whole or the one before (an atomic rename), the last good one is kept beside it, and one that
// can't be understood is set aside and never written over. No password ever stands in the book: importers hand passwords
// back apart from it, see [Import]. An importer reads what a stranger wrote: it never stops at a bad entry, it lists what it
// could not read.
//
// Passwords have a package of their own, portside/client/secrets, because this one is plain data without anything that can
// wait or fail but a file.
//
// Sources: FileZilla 3.63 and WinSCP 6 by their files and source, Cyberduck's bookmarks, the manuals of .netrc, gFTP, lftp.
package sites

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"

	"portside/client"
)

// Login is how one signs in to a [Site].
type Login string

const (
	LoginAnonymous Login = "anonymous" // as anybody
	LoginNormal    Login = "normal"    // with a password that the secret store keeps
	LoginAsk       Login = "ask"       // with a password that is asked for each time
	LoginAccount   Login = "account"   // like normal, and with an account (ACCT, RFC 959 section 4.1.1)
)

// Color marks a site, so that the one that matters looks different. Empty is none.
type Color string

// Colors are those that can be chosen, in the order in which FileZilla numbers its own (1 to 7 there).
var Colors = []Color{"", "red", "green", "blue", "yellow", "cyan", "magenta", "orange"}

// Site is one server, and how to use it. The zero value of each field is the usual way.
type Site struct {
	Host  string         `json:"host"`
	Port  uint16         `json:"port,omitempty"` // 0: the usual one of the encryption
	TLS   client.TLSMode `json:"encryption"`
	Login Login          `json:"login"`
	User  string         `json:"user,omitempty"`

	Mode          client.Mode `json:"mode,omitempty"` // empty: the program's
	ActiveMin     uint16      `json:"activePortMin,omitempty"`
	ActiveMax     uint16      `json:"activePortMax,omitempty"` // 0: the program's
	ActiveAddress string      `json:"activeAddress,omitempty"` // an IP address; empty: the program's
	// TrustPassiveAddress dials the address that a 227 reply names; else only its port counts.
	TrustPassiveAddress bool `json:"trustPassiveAddress,omitempty"`

	// Charset is the character set of names by its IANA name; empty: UTF-8 where it is that, else bytes as they are.
	Charset string `json:"charset,omitempty"`
	// TimeOffset is how many minutes the times in the server's listings are ahead of UTC; nil: measured.
	TimeOffset *int `json:"timeOffsetMinutes,omitempty"`

	LocalFolder  string `json:"localFolder,omitempty"`
	RemoteFolder string `json:"remoteFolder,omitempty"` // absolute, or relative to the folder after sign-in
	Linked       bool   `json:"linkedBrowsing,omitempty"`

	Connections int        `json:"connections,omitempty"`            // for transfers, 1 to 16; 0: the program's
	DownLimit   int64      `json:"downloadBytesPerSecond,omitempty"` // 0: none
	UpLimit     int64      `json:"uploadBytesPerSecond,omitempty"`   // 0: none
	Color       Color      `json:"color,omitempty"`
	Notes       string     `json:"notes,omitempty"`
	Bookmarks   []Bookmark `json:"bookmarks,omitempty"`
}

// Bookmark is a pair of folders of a site. Either may be empty.
type Bookmark struct {
	Name   string `json:"name"`
	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"`
	Linked bool   `json:"linkedBrowsing,omitempty"`
}

// Secret is what one signs in with beside the name. It stands in a secret store, never in the book.
type Secret struct {
	Password string `json:"password,omitempty"`
	Account  string `json:"account,omitempty"`
}

// Target is where the site leads to, without a password.
func (s *Site) Target() client.Target {
	t := client.Target{Host: s.Host, Port: s.Port, TLS: s.TLS, Path: s.RemoteFolder}
	if s.Login != LoginAnonymous {
		t.User = s.User
	}
	return t
}

// Clone returns a copy that shares nothing.
func (s *Site) Clone() *Site {
	c := *s
	c.Bookmarks = slices.Clone(s.Bookmarks)
	if s.TimeOffset != nil {
		minutes := *s.TimeOffset
		c.TimeOffset = &minutes
	}
	return &c
}

// FromTarget is the site that a URL names. A password that the URL holds is left out.
func FromTarget(t client.Target) *Site {
	s := &Site{Host: t.Host, Port: t.Port, TLS: t.TLS, User: t.User, RemoteFolder: t.Path, Login: LoginNormal}
	if t.User == "" || t.User == client.Anonymous {
		s.User, s.Login = "", LoginAnonymous
	}
	s.Mend()
	return s
}

// maxOffset is the largest offset of a zone that is taken, in minutes; real ones go from -12 to +14 hours.
const maxOffset = 24 * 60

// Check says what is wrong with a site that a person has typed, as a sentence without its full stop.
func (s *Site) Check() error {
	if s.Host == "" {
		return errors.New("the host is missing: type a name such as ftp.example.org, an IP address, or paste a URL")
	}
	if t, err := client.ParseURL((client.Target{Host: s.Host, Port: s.Port}).URL()); err != nil {
		return err
	} else if _, notIP := netip.ParseAddr(s.Host); notIP != nil && t.Host != s.Host {
		return errors.New("a host is a name or an address alone, without a folder or a user")
	}
	if (s.Login == LoginNormal || s.Login == LoginAccount) && s.User == "" {
		return errors.New("type the user name, or choose anonymous sign-in")
	}
	for _, text := range []string{s.User, s.RemoteFolder} {
		if strings.ContainsAny(text, "\r\n\x00") {
			return errors.New("user name and folder can't hold a line break")
		}
	}
	if (s.ActiveMin != 0 || s.ActiveMax != 0) && (s.ActiveMin < 1024 || s.ActiveMax < s.ActiveMin) {
		return errors.New("the ports for active mode go from 1024 to 65535, the smaller first")
	}
	if s.ActiveAddress != "" {
		if _, err := netip.ParseAddr(s.ActiveAddress); err != nil {
			return fmt.Errorf("%q is not an IP address to announce", s.ActiveAddress)
		}
	}
	if _, err := Charset(s.Charset); err != nil {
		return err
	}
	if s.TimeOffset != nil && (*s.TimeOffset < -maxOffset || *s.TimeOffset > maxOffset) {
		return errors.New("a server's clock is at most a day away from UTC")
	}
	if s.Connections < 0 || s.Connections > 16 {
		return errors.New("connections at once are 1 to 16")
	}
	if s.DownLimit < 0 || s.UpLimit < 0 {
		return errors.New("a speed limit can't be below zero")
	}
	return nil
}

// Mend puts what a book may not hold back to its usual value: a person can edit the file.
func (s *Site) Mend() {
	// A URL may hold bytes of another character set, which the book's file can't.
	s.User, s.RemoteFolder = toUTF8(s.User), toUTF8(s.RemoteFolder)
	switch s.TLS {
	case client.TLSAuto, client.TLSNone, client.TLSExplicit, client.TLSImplicit:
	default:
		s.TLS = client.TLSAuto
	}
	switch s.Login {
	case LoginAnonymous, LoginNormal, LoginAsk, LoginAccount:
	default:
		s.Login = LoginAsk
		if s.User == "" {
			s.Login = LoginAnonymous
		}
	}
	switch s.Mode {
	case "", client.ModeAuto, client.ModePassive, client.ModeActive:
	default:
		s.Mode = ""
	}
	if s.ActiveMin < 1024 || s.ActiveMax < s.ActiveMin {
		s.ActiveMin, s.ActiveMax = 0, 0
	}
	if _, err := netip.ParseAddr(s.ActiveAddress); err != nil {
		s.ActiveAddress = ""
	}
	if _, err := Charset(s.Charset); err != nil {
		s.Charset = ""
	}
	if s.TimeOffset != nil && (*s.TimeOffset < -maxOffset || *s.TimeOffset > maxOffset) {
		s.TimeOffset = nil
	}
	if s.Connections < 0 || s.Connections > 16 {
		s.Connections = 0
	}
	s.DownLimit, s.UpLimit = max(0, s.DownLimit), max(0, s.UpLimit)
	if !slices.Contains(Colors, s.Color) {
		s.Color = ""
	}
}

// Charset returns the encoding with an IANA name; nil for the empty name and for UTF-8, where nothing is to be changed.
func Charset(name string) (encoding.Encoding, error) { return client.Charset(name) }

// CharsetNames are the names that a choice offers, the most common first. [Charset] knows more.
var CharsetNames = func() []string {
	names := []string{"UTF-8", "windows-1252", "ISO-8859-1", "ISO-8859-15", "IBM437", "IBM850", "ISO-8859-2", "windows-1250",
		"IBM852", "windows-1251", "KOI8-R", "KOI8-U", "IBM866", "ISO-8859-5", "ISO-8859-7", "windows-1253", "ISO-8859-9",
		"windows-1254", "windows-1255", "ISO-8859-8", "windows-1256", "ISO-8859-6", "windows-1257", "ISO-8859-13", "ISO-8859-4",
		"windows-1258", "windows-874", "Shift_JIS", "EUC-JP", "ISO-2022-JP", "GB18030", "GBK", "Big5", "EUC-KR", "macintosh"}
	known := names[:0]
	for _, n := range names {
		if e, err := ianaindex.IANA.Encoding(n); err == nil && e != nil {
			known = append(known, n)
		}
	}
	return known
}()

// Node is a folder or a site of a [Book].
type Node struct {
	ID   string `json:"id"` // names it for good
	Name string `json:"name"`
	// Site is nil in a folder.
	Site *Site `json:"site,omitempty"`
	// Nodes are what a folder holds, in the person's order.
	Nodes []*Node `json:"holds,omitempty"`
	// Closed is a folder whose content isn't shown.
	Closed bool `json:"closed,omitempty"`
}

// Folder says whether it is one.
func (n *Node) Folder() bool { return n.Site == nil }

// Clone returns a copy that shares nothing.
func (n *Node) Clone() *Node {
	c := *n
	if n.Site != nil {
		c.Site = n.Site.Clone()
	}
	c.Nodes = cloneNodes(n.Nodes)
	return &c
}

func cloneNodes(nodes []*Node) []*Node {
	if nodes == nil {
		return nil
	}
	out := make([]*Node, len(nodes))
	for i, n := range nodes {
		out[i] = n.Clone()
	}
	return out
}

// NewID returns an ID that nothing else has.
func NewID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// NewNode returns a node with an ID of its own; a nil site makes a folder.
func NewNode(name string, s *Site) *Node { return &Node{ID: NewID(), Name: name, Site: s} }

// Book is all sites, in folders. Its methods are not safe for concurrent use.
type Book struct {
	Nodes []*Node `json:"sites"`
}

// Clone returns a copy that shares nothing.
func (b *Book) Clone() *Book { return &Book{Nodes: cloneNodes(b.Nodes)} }

// All calls f with each node in the order in which a tree shows them, and the nodes that it lies in, until f says stop.
func (b *Book) All(f func(n *Node, in []*Node) bool) { walk(b.Nodes, nil, f) }

func walk(nodes, in []*Node, f func(*Node, []*Node) bool) bool {
	for _, n := range nodes {
		if !f(n, in) || !walk(n.Nodes, append(slices.Clip(in), n), f) {
			return false
		}
	}
	return true
}

// Find returns the node with an ID and the folders around it, the outermost first; nil when there is none.
func (b *Book) Find(id string) (found *Node, in []*Node) {
	b.All(func(n *Node, around []*Node) bool {
		if n.ID == id {
			found, in = n, around
		}
		return found == nil
	})
	return found, in
}

// Path is where a node lies, "Work / Customers", empty at the top.
func Path(in []*Node) string {
	names := make([]string, len(in))
	for i, n := range in {
		names[i] = n.Name
	}
	return strings.Join(names, " / ")
}

// list returns the list that a folder holds; the empty ID is the top.
func (b *Book) list(folder string) *[]*Node {
	if folder == "" {
		return &b.Nodes
	}
	if n, _ := b.Find(folder); n != nil && n.Folder() {
		return &n.Nodes
	}
	return nil
}

var errGone = errors.New("it is no longer in the book")

// Add puts a node into a folder (empty: the top) at a place; a place beyond the end, or below 0, is the end.
func (b *Book) Add(folder string, at int, n *Node) error {
	list := b.list(folder)
	if list == nil {
		return errGone
	}
	if at < 0 || at > len(*list) {
		at = len(*list)
	}
	*list = slices.Insert(*list, at, n)
	return nil
}

// Delete takes a node out, a folder with all that it holds.
func (b *Book) Delete(id string) error {
	n, in := b.Find(id)
	if n == nil {
		return errGone
	}
	list := b.around(in)
	*list = slices.DeleteFunc(*list, func(o *Node) bool { return o == n })
	return nil
}

func (b *Book) around(in []*Node) *[]*Node {
	if len(in) == 0 {
		return &b.Nodes
	}
	return &in[len(in)-1].Nodes
}

// Move takes a node to a place in a folder, counted as the list was before. A folder can't go into itself.
func (b *Book) Move(id, folder string, at int) error {
	n, in := b.Find(id)
	to := b.list(folder)
	if n == nil || to == nil {
		return errGone
	}
	if folder == id {
		return errors.New("a folder can't lie in itself")
	}
	if _, around := b.Find(folder); slices.Contains(around, n) {
		return errors.New("a folder can't lie in itself")
	}
	from := b.around(in)
	was := slices.Index(*from, n)
	if at < 0 || at > len(*to) {
		at = len(*to)
	}
	if from == to && was < at {
		at--
	}
	*from = slices.Delete(*from, was, was+1)
	*to = slices.Insert(*to, at, n)
	return nil
}

// Duplicate puts a copy of a node behind it, and returns the copy and which node each new ID was copied from.
func (b *Book) Duplicate(id string) (*Node, map[string]string, error) {
	n, in := b.Find(id)
	if n == nil {
		return nil, nil, errGone
	}
	c := n.Clone()
	from := map[string]string{}
	walk([]*Node{c}, nil, func(one *Node, _ []*Node) bool {
		old := one.ID
		one.ID = NewID()
		from[one.ID] = old
		return true
	})
	list := b.around(in)
	c.Name = freeName(*list, n.Name)
	*list = slices.Insert(*list, slices.Index(*list, n)+1, c)
	return c, from, nil
}

// freeName is "Name (2)", or the next number that the list doesn't have.
func freeName(list []*Node, name string) string {
	for i := 2; ; i++ {
		try := fmt.Sprintf("%s (%d)", name, i)
		if !slices.ContainsFunc(list, func(n *Node) bool { return n.Name == try }) {
			return try
		}
	}
}

// Search returns the sites whose name, host, user, notes, folder or bookmark holds all words of the text, without regard to
// case, in the book's order.
func (b *Book) Search(text string) []*Node {
	words := strings.Fields(strings.ToLower(text))
	var out []*Node
	b.All(func(n *Node, in []*Node) bool {
		if n.Folder() {
			return true
		}
		s := n.Site
		all := []string{n.Name, s.Host, s.User, s.Notes, s.RemoteFolder, s.LocalFolder, Path(in)}
		for _, m := range s.Bookmarks {
			all = append(all, m.Name, m.Remote)
		}
		hay := strings.ToLower(strings.Join(all, "\n"))
		for _, w := range words {
			if !strings.Contains(hay, w) {
				return true
			}
		}
		out = append(out, n)
		return true
	})
	return out
}

// Len is how many sites the book holds.
func (b *Book) Len() int {
	n := 0
	b.All(func(one *Node, _ []*Node) bool {
		if !one.Folder() {
			n++
		}
		return true
	})
	return n
}

// maxDepth is how deep a node may lie in folders. Sites that lie deeper come to lie there.
const maxDepth = 32

// sitesIn are the sites in nodes and in the folders among them, without the folders.
func sitesIn(nodes []*Node) (out []*Node) {
	for _, n := range nodes {
		switch {
		case n == nil:
		case n.Site != nil:
			out = append(out, n)
		default:
			out = append(out, sitesIn(n.Nodes)...)
		}
	}
	return out
}

// mend gives every node an ID of its own and a name, and every site what [Site.Mend] gives it.
func (b *Book) mend() {
	seen := map[string]bool{}
	var each func(nodes []*Node, depth int) []*Node
	each = func(nodes []*Node, depth int) []*Node {
		nodes = slices.DeleteFunc(nodes, func(n *Node) bool { return n == nil })
		for _, n := range nodes {
			if n.ID == "" || seen[n.ID] {
				n.ID = NewID()
			}
			seen[n.ID] = true
			if n.Site != nil {
				n.Site.Mend()
				n.Nodes = nil
			}
			if n.Name = strings.TrimSpace(n.Name); n.Name == "" {
				n.Name = "Folder"
				if n.Site != nil {
					n.Name = n.Site.Host
				}
			}
			if depth+1 == maxDepth {
				n.Nodes = sitesIn(n.Nodes)
			}
			n.Nodes = each(n.Nodes, depth+1)
		}
		return nodes
	}
	b.Nodes = each(b.Nodes, 0)
}
