package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/natefinch/atomic"

	"portside/client"
	"portside/client/transfer"
	"portside/localserver"
)

// Theme is how the window looks.
type Theme string

const (
	ThemeSystem Theme = "system"
	ThemeLight  Theme = "light"
	ThemeDark   Theme = "dark"
)

// Access is who may come in to a shared folder.
type Access string

const (
	AccessAnonymous Access = "anonymous" // anyone who can reach this computer
	AccessUser      Access = "user"      // one user with a password
	AccessAccounts  Access = "accounts"  // those of the list, each with rights of its own
)

// Settings is what Portside remembers between two starts. It holds no password in clear.
type Settings struct {
	Theme   Theme           `json:"theme"`
	Window  WindowSettings  `json:"window"`
	Share   ShareSettings   `json:"share"`
	Connect ConnectSettings `json:"connect"`
	// Sites holds what was learnt of a server, by "host:port".
	Sites map[string]Site `json:"sites,omitempty"`
	// Recent are the servers that were connected to, the newest first.
	Recent []Recent `json:"recent,omitempty"`
}

// WindowSettings is the window's size in Fyne's units, and what was open.
type WindowSettings struct {
	Width  float32 `json:"width"`
	Height float32 `json:"height"`
	Screen string  `json:"screen,omitempty"`
	Drawer float64 `json:"drawer,omitempty"` // where the drawer begins, as a share of the height
	Folded bool    `json:"drawerFolded,omitempty"`
	Panes  float64 `json:"panes,omitempty"` // where the server's pane begins, as a share of the width
}

// ShareSettings is the local server as the Share screen shows it.
type ShareSettings struct {
	Folder       string                    `json:"folder"`
	Port         int                       `json:"port"`
	Access       Access                    `json:"access"`
	User         string                    `json:"user"`
	PasswordHash localserver.Password      `json:"passwordHash,omitzero"` // argon2id; the password itself is never stored
	Write        bool                      `json:"write"`
	Accounts     []Account                 `json:"accounts,omitempty"`
	TLS          localserver.TLSMode       `json:"tls"`
	UseRange     bool                      `json:"usePassivePortRange"`
	Min          int                       `json:"passivePortMin"`
	Max          int                       `json:"passivePortMax"`
	IPMode       localserver.PassiveIPMode `json:"passiveIPMode"`
	IPValue      string                    `json:"passiveIP"`
	// LocalNetworks are told the address that they came to, whatever the passive IP is; nil: the default.
	LocalNetworks []netip.Prefix `json:"localNetworks,omitzero"`
	// People and FilesEach are for how many people at once, moving how many files each at once, the range should do.
	People    int           `json:"peopleAtOnce"`
	FilesEach int           `json:"filesEach"`
	Options   ServerOptions `json:"options,omitzero"`
}

// ConnectSettings is the address bar and the client's ways.
type ConnectSettings struct {
	URL         string      `json:"url,omitempty"` // without a password
	User        string      `json:"user,omitempty"`
	Mode        client.Mode `json:"mode"`
	LocalFolder string      `json:"localFolder,omitempty"`
	Parallel    int         `json:"parallel"` // connections for transfers to one server, 1 to 16
	// DownLimit and UpLimit bound the speed of all transfers, in KiB a second; 0: no limit.
	DownLimit int `json:"downLimitKiB,omitempty"`
	UpLimit   int `json:"upLimitKiB,omitempty"`
	// Segments is over how many connections one large file is downloaded, 1 to 16.
	Segments  int             `json:"segments,omitempty"`
	Overwrite OverwriteChoice `json:"overwrite,omitempty"`
	Quiet     bool            `json:"noNotification,omitempty"` // no word from the desktop when the last transfer has ended
	// ActiveMin and ActiveMax bound the ports for active mode; 0 means any.
	ActiveMin int `json:"activePortMin,omitempty"`
	ActiveMax int `json:"activePortMax,omitempty"`
	// ActiveIP is the address announced in active mode; empty means the control connection's own.
	ActiveIP string `json:"activeIP,omitempty"`
	// HideHidden leaves out of both panes what has a name that begins with a dot.
	HideHidden bool `json:"hideHidden,omitempty"`
	// SyncExclude is what was last excluded from a synchronization, see [transfer.Mirror].
	SyncExclude []string `json:"syncExclude,omitempty"`
	// LocalPane and RemotePane are the panes' columns.
	LocalPane  PaneSettings `json:"localPane,omitzero"`
	RemotePane PaneSettings `json:"remotePane,omitzero"`
}

// PaneSettings is how a pane looks.
type PaneSettings struct {
	Columns []string           `json:"columns,omitempty"` // beside the name: size, time, rights, owner; none: as at first
	Widths  map[string]float32 `json:"widths,omitempty"`  // in Fyne's units, by column
}

// Site is what Portside has learnt of a server.
type Site struct {
	Mode        client.Mode `json:"mode,omitempty"`              // the mode that Auto found to work
	Certificate string      `json:"certificateSHA256,omitempty"` // trusted by the person, for good
	NotAhead    bool        `json:"notAhead,omitempty"`          // it can't take commands ahead, see client.Session.Follow
	// CertificateDER is that certificate in base64, and TrustedSince when it was trusted.
	CertificateDER string    `json:"certificate,omitempty"`
	TrustedSince   time.Time `json:"trustedSince,omitzero"`
	// InClear: the person allows the password to go out in clear to this server.
	InClear bool `json:"passwordInClear,omitempty"`
}

// DefaultSettings is what a first start uses: port 2121 (which needs no rights), anonymous and read-only, and the
// passive range 21100-21199, which no system uses for its own connections.
func DefaultSettings() Settings {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	folder := filepath.Join(home, "Public")
	if _, err := os.Stat(folder); err != nil {
		folder = ""
	}
	return Settings{
		Theme:  ThemeSystem,
		Window: WindowSettings{Width: 1280, Height: 800, Screen: "connect"},
		Share: ShareSettings{
			Folder: folder, Port: 2121, Access: AccessAnonymous, User: "guest",
			TLS: localserver.TLSExplicit, UseRange: true, Min: 21100, Max: 21199, IPMode: localserver.PassiveAuto,
			People: 12, FilesEach: 4,
		},
		Connect: ConnectSettings{Mode: client.ModeAuto, LocalFolder: home, Parallel: 4, Segments: 1, Overwrite: OverwriteAsk},
		Sites:   map[string]Site{},
	}
}

// mend puts what a settings file may not hold back to its default: a person can edit the file.
func (s *Settings) mend() {
	d := DefaultSettings()
	s.Share.Options.mend()
	if s.Theme != ThemeLight && s.Theme != ThemeDark {
		s.Theme = ThemeSystem
	}
	if s.Window.Width < 600 || s.Window.Height < 400 || s.Window.Width > 10_000 || s.Window.Height > 10_000 {
		s.Window.Width, s.Window.Height = d.Window.Width, d.Window.Height
	}
	if s.Window.Drawer < 0 || s.Window.Drawer > 1 {
		s.Window.Drawer = 0
	}
	if s.Window.Panes < 0 || s.Window.Panes > 1 {
		s.Window.Panes = 0
	}
	if s.Share.Port < 0 || s.Share.Port > 65535 {
		s.Share.Port = d.Share.Port
	}
	if bad := func(port int) bool { return port < 0 || port > 65535 }; bad(s.Share.Min) || bad(s.Share.Max) {
		s.Share.Min, s.Share.Max = d.Share.Min, d.Share.Max
	}
	if s.Share.Access != AccessUser && s.Share.Access != AccessAccounts {
		s.Share.Access = AccessAnonymous
	}
	for i := range s.Share.Accounts {
		one := &s.Share.Accounts[i]
		one.MaxSessions = max(0, one.MaxSessions)
		if one.Rights == 0 {
			one.Rights = ReadOnly
		}
	}
	switch s.Share.TLS {
	case localserver.TLSOff, localserver.TLSExplicit, localserver.TLSRequired, localserver.TLSImplicit:
	default:
		s.Share.TLS = d.Share.TLS
	}
	switch s.Share.IPMode {
	case localserver.PassiveAuto, localserver.PassiveFixed, localserver.PassiveHost:
	default:
		s.Share.IPMode = d.Share.IPMode
	}
	if s.Share.People < 1 || s.Share.People > 10_000 {
		s.Share.People = d.Share.People
	}
	if s.Share.FilesEach < 1 || s.Share.FilesEach > 1000 {
		s.Share.FilesEach = d.Share.FilesEach
	}
	switch s.Connect.Mode {
	case client.ModeAuto, client.ModePassive, client.ModeActive:
	default:
		s.Connect.Mode = client.ModeAuto
	}
	if s.Connect.Parallel < 1 || s.Connect.Parallel > 16 {
		s.Connect.Parallel = d.Connect.Parallel
	}
	if s.Connect.Segments < 1 || s.Connect.Segments > transfer.MaxSegments {
		s.Connect.Segments = 1
	}
	if s.Connect.ActiveMin < 0 || s.Connect.ActiveMax < s.Connect.ActiveMin || s.Connect.ActiveMax > 65535 {
		s.Connect.ActiveMin, s.Connect.ActiveMax = 0, 0
	}
	s.Connect.DownLimit, s.Connect.UpLimit = max(s.Connect.DownLimit, 0), max(s.Connect.UpLimit, 0)
	if !s.Connect.Overwrite.known() {
		s.Connect.Overwrite = OverwriteAsk
	}
	for _, p := range []*PaneSettings{&s.Connect.LocalPane, &s.Connect.RemotePane} {
		for id, w := range p.Widths {
			if !(w >= 20 && w <= 2000) {
				delete(p.Widths, id)
			}
		}
	}
	if s.Sites == nil {
		s.Sites = map[string]Site{}
	}
}

const settingsFile = "settings.json"

// loadSettings reads the settings in dir. A file that can't be understood is set aside under another name and the
// defaults are used; notice then says so in a sentence.
func loadSettings(dir string, now time.Time) (s Settings, notice string, err error) {
	s = DefaultSettings()
	path := filepath.Join(dir, settingsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, "", nil
	}
	if err != nil {
		return s, "", fmt.Errorf("the settings can't be read: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		aside := filepath.Join(dir, "settings.broken-"+now.Format("20060102-150405")+".json")
		if err := os.Rename(path, aside); err != nil {
			return DefaultSettings(), "", fmt.Errorf("the settings can't be understood, and the file can't be set aside: %w", err)
		}
		return DefaultSettings(), fmt.Sprintf("The settings could not be understood (%v). The file was set aside as %s, and Portside starts with its defaults.", err, aside), nil
	}
	s.mend()
	return s, "", nil
}

// saveSettings writes the settings so that a crash leaves either the old file or the new one. before is what this program
// read or wrote last: of what it did not change since, the file's is kept, which another Portside may have written. notice
// is a sentence about what was replaced all the same.
func saveSettings(dir string, before, s Settings) (notice string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("the settings folder can't be made: %w", err)
	}
	path := filepath.Join(dir, settingsFile)
	if there, err := os.ReadFile(path); err == nil {
		s, notice = s.beside(before, there)
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return "", err
	}
	if err := atomic.WriteFile(path, bytes.NewReader(append(b, '\n'))); err != nil {
		return "", fmt.Errorf("the settings can't be saved: %w", err)
	}
	return notice, nil
}

// beside returns s with what differs in there, a settings file, from before and does not in s. Share's settings go together:
// a mixture of two would be a server that nobody chose.
func (s Settings) beside(before Settings, there []byte) (both Settings, notice string) {
	both = DefaultSettings()
	if json.Unmarshal(there, &both) != nil {
		return s, ""
	}
	both.mend()
	if !sameInFile(s.Share, before.Share) {
		if !sameInFile(both.Share, before.Share) && !sameInFile(both.Share, s.Share) {
			notice = "Another Portside that runs has changed the settings of Share. Those of this one have replaced them."
		}
		both.Share = s.Share
	}
	if s.Theme != before.Theme {
		both.Theme = s.Theme
	}
	takeChanged(&both.Window, before.Window, s.Window)
	takeChanged(&both.Connect, before.Connect, s.Connect)
	if !sameInFile(s.Recent, before.Recent) {
		both.Recent = s.Recent
	}
	for host, site := range s.Sites {
		if was := before.Sites[host]; !sameInFile(site, was) {
			there := both.Sites[host]
			takeChanged(&there, was, site)
			both.Sites[host] = there
		}
	}
	for host := range before.Sites {
		if _, has := s.Sites[host]; !has {
			delete(both.Sites, host)
		}
	}
	return both, notice
}

// takeChanged sets those fields of to that differ between before and now to now's.
func takeChanged[T any](to *T, before, now T) {
	t, b, n := reflect.ValueOf(to).Elem(), reflect.ValueOf(before), reflect.ValueOf(now)
	for i := range n.NumField() {
		if !sameInFile(n.Field(i).Interface(), b.Field(i).Interface()) {
			t.Field(i).Set(n.Field(i))
		}
	}
}

// sameInFile says that a settings file holds the same for both: an empty list and none are one there.
func sameInFile(a, b any) bool {
	one, err := json.Marshal(a)
	other, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(one, other)
}
