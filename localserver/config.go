package localserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"portside/connlog"
)

// Config is everything a [Server] is started with. [New] checks it.
type Config struct {
	// Listen is HOST:PORT. Port 0 picks a free port, an empty host listens on all interfaces, IPv4 and IPv6.
	Listen string
	// Root is the folder that accounts without a Root of their own see as "/".
	Root     string
	Accounts []Account // at least one
	Passive  PassiveConfig
	Active   ActiveConfig
	TLS      TLSConfig
	Limits   Limits // zero fields take the value of DefaultLimits
	Uploads  UploadConfig
	Recorder connlog.Recorder // nil keeps no records
	// Greeting is the product's name in the 220 reply, "Portside" when empty.
	Greeting string
}

// ActiveConfig says how the server opens data connections to its clients.
type ActiveConfig struct {
	// AllowForeignAddress lets PORT and EPRT name an address other than the client's own. Off, as it should stay:
	// on, every client can make this server connect to other hosts (RFC 2577 section 3).
	AllowForeignAddress bool
	// Port20 asks for port 20 at our end, RFC 959's default data port, which some old firewalls expect. Where that
	// needs rights that the program does not have, another port is used and the record says so.
	Port20 bool
}

// UploadConfig says what becomes of uploads.
type UploadConfig struct {
	// DiscardPartial removes what came of an upload that broke. Off: the part is kept under the client's own name
	// when no such file existed, so that REST or APPE can go on with it. A file that existed is never touched.
	DiscardPartial bool
}

// Rights is what an account may do. The zero value means [ReadOnly].
type Rights uint16

// The single rights.
const (
	List       Rights = 1 << iota // LIST, NLST, MLSD, MLST, SIZE, MDTM, STAT of a path
	Read                          // RETR
	Upload                        // STOR, STOU, APPE of files that do not exist
	Overwrite                     // STOR and APPE of files that exist, RNTO over one, MFMT, SITE CHMOD
	Delete                        // DELE, RMD
	Rename                        // RNFR, RNTO
	MakeFolder                    // MKD
)

// The presets that the window offers.
const (
	ReadOnly  = List | Read
	DropBox   = Upload
	ReadWrite = List | Read | Upload | Overwrite | Delete | Rename | MakeFolder
)

// Account is somebody who may sign in.
type Account struct {
	// Name is what USER says. "anonymous" also answers to "ftp", and takes any password.
	Name     string
	Password Password // not looked at for "anonymous"
	Root     string   // empty: Config.Root
	Rights   Rights
	// RequireTLS refuses the account in clear. Then all names that are not known are refused in clear as well, so
	// that the answer tells nobody which names exist.
	RequireTLS  bool
	MaxSessions int // 0: no limit of its own
}

// Anonymous is the name of the account that needs no password.
const Anonymous = "anonymous"

func (a *Account) anonymous() bool { return strings.EqualFold(a.Name, Anonymous) }

// Limits bounds what clients can take of the server. A zero field means the default, a negative number "no limit"
// where that makes sense (MaxSessions, MaxSessionsPerAddress, ShutOutAfter).
type Limits struct {
	MaxSessions            int           // sessions in all; the next client gets 421
	MaxSessionsPerAddress  int           // of one address (of one /64 in IPv6)
	LoginTimeout           time.Duration // from the greeting to a successful sign-in
	IdleTimeout            time.Duration // without a command, while no data moves
	StallTimeout           time.Duration // without a byte on a data connection
	OfferTimeout           time.Duration // how long a passive offer waits, and a transfer for its data connection
	DialTimeout            time.Duration // for an active data connection to be answered
	StopGrace              time.Duration // what transfers get to finish when the server stops
	WrongPasswords         int           // per connection
	WrongPasswordDelay     time.Duration // before the answer to the first wrong password; it doubles with each
	ShutOutAfter           int           // wrong passwords of one address before it is shut out
	ShutOutFor             time.Duration
	UnknownBeforeLogin     int // commands that are not FTP's before the connection is closed
	CommandsPerSecondLogin int // before the sign-in
}

// DefaultLimits returns the limits that zero fields of [Limits] stand for.
//
// An idle session costs 20 kB (45 kB with TLS), so 4,096 of them are bearable; one address gets a quarter of them at
// most, so that it can't keep the others out.
func DefaultLimits() Limits {
	return Limits{
		MaxSessions: 4096, MaxSessionsPerAddress: 1024,
		LoginTimeout: 60 * time.Second, IdleTimeout: 15 * time.Minute, StallTimeout: 5 * time.Minute,
		OfferTimeout: 30 * time.Second, DialTimeout: 20 * time.Second, StopGrace: 10 * time.Second,
		WrongPasswords: 3, WrongPasswordDelay: 500 * time.Millisecond, ShutOutAfter: 10, ShutOutFor: 5 * time.Minute,
		UnknownBeforeLogin: 10, CommandsPerSecondLogin: 50,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	number := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	span := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	number(&l.MaxSessions, d.MaxSessions)
	number(&l.MaxSessionsPerAddress, d.MaxSessionsPerAddress)
	span(&l.LoginTimeout, d.LoginTimeout)
	span(&l.IdleTimeout, d.IdleTimeout)
	span(&l.StallTimeout, d.StallTimeout)
	span(&l.OfferTimeout, d.OfferTimeout)
	span(&l.DialTimeout, d.DialTimeout)
	span(&l.StopGrace, d.StopGrace)
	number(&l.WrongPasswords, d.WrongPasswords)
	span(&l.WrongPasswordDelay, d.WrongPasswordDelay)
	number(&l.ShutOutAfter, d.ShutOutAfter)
	span(&l.ShutOutFor, d.ShutOutFor)
	number(&l.UnknownBeforeLogin, d.UnknownBeforeLogin)
	number(&l.CommandsPerSecondLogin, d.CommandsPerSecondLogin)
	return l
}

func (l Limits) check() error {
	for name, n := range map[string]int{
		"wrong passwords": l.WrongPasswords, "unknown commands before sign-in": l.UnknownBeforeLogin,
		"commands per second before sign-in": l.CommandsPerSecondLogin,
	} {
		if n < 0 {
			return fmt.Errorf("the limit of %s is %d; it must be at least 1", name, n)
		}
	}
	return nil
}

// check looks at everything that can be judged without opening a socket.
func (c *Config) check() error {
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q is not HOST:PORT: %w", c.Listen, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("listen address %q: %q is not a port from 0 to 65535", c.Listen, port)
	}
	if _, err := c.Passive.Check(uint16(n)); err != nil {
		return err
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if len(c.Accounts) == 0 {
		return errors.New("the server has no account: add one, or allow anonymous sign-in")
	}
	return checkAccounts(c.Root, c.Accounts)
}

func checkFolder(path string) error {
	if path == "" {
		return errors.New("no folder to share: choose one")
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist: choose another, or make it first", path)
	case err != nil:
		return fmt.Errorf("the folder %s can't be shared: %w", path, err)
	case !st.IsDir():
		return fmt.Errorf("%s is a file, not a folder: choose the folder that it lies in", path)
	}
	return nil
}
