package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/mitchellh/go-homedir"

	"portside/connlog"
	"portside/localserver"
)

// Phase is how far something that is started and stopped has come.
type Phase string

const (
	Stopped  Phase = "stopped"
	Starting Phase = "starting"
	Running  Phase = "running"
	Stopping Phase = "stopping"
)

// Share is the local server as a screen shows it.
type Share struct {
	Phase       Phase
	Err         string // why the last start failed
	Folder      string // what is shared, while it runs
	Addr        netip.AddrPort
	Addresses   []Address // to type on another device
	Fingerprint string    // SHA-256 of the certificate, while TLS is on
	Sessions    []localserver.SessionInfo
	Ports       []PortHolder
	PortsTotal  int    // size of the passive range; 0 when the system picks ports
	PortsMin    uint16 // its first port
	Shortage    PortShortage
	Write       bool
	Access      Access
	AccountsErr string // why the running server keeps other accounts than the settings have now
}

// Address is where the local server can be reached.
type Address struct {
	URL       string
	Interface string // the network interface's name
	Reach     Reach
}

// Reach says from where an address works.
type Reach string

const (
	ReachSelf     Reach = "self"     // only on this computer
	ReachLocal    Reach = "local"    // on the same network
	ReachInternet Reach = "internet" // a public address of this computer itself
)

// stopGrace is how long a stopping server lets transfers finish (SERVER.md row 35 says 10 s), with room to close.
const stopGrace = 12 * time.Second

type share struct {
	app *App

	// turn is held while the server is being started, changed or stopped, so that these come one after the other. closed
	// is under it.
	turn   sync.Mutex
	closed bool // nothing is started any more

	mu     sync.Mutex
	line   []func(context.Context) // changes of the server's options that wait for those before them
	state  Share
	server *localserver.Server
	people int                // at the last look
	hurry  context.CancelFunc // ends the grace of a stop under way
	// ports and has belong to server: what its records say of its ports, and the settings that its accounts are from.
	ports *portWatch
	has   ShareSettings

	check selfCheck
}

func newShare(a *App) *share { return &share{app: a, state: Share{Phase: Stopped}} }

// Share returns the local server's state.
func (a *App) Share() Share {
	s := a.share
	s.mu.Lock()
	state, server, ports := s.state, s.server, s.ports
	s.mu.Unlock()
	if server != nil && (state.Phase == Running || state.Phase == Stopping) {
		state.Fingerprint = server.Fingerprint() // another one after a renewal
		state.Sessions = server.Sessions()
		state.Ports, state.Shortage = ports.holders(server.PortsInUse())
		state.PortsTotal = 0
		if p := server.Passive(); p.UseRange {
			state.PortsTotal, state.PortsMin = int(p.Max)-int(p.Min)+1, p.Min
		}
	}
	return state
}

// busy says that somebody is connected, or just was.
func (s *share) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return false
	}
	n := len(s.server.Sessions())
	was := s.people
	s.people = n
	return n > 0 || was > 0
}

// PassiveConfig returns the passive settings in the server's own terms.
func (s ShareSettings) PassiveConfig() localserver.PassiveConfig {
	return localserver.PassiveConfig{
		UseRange: s.UseRange, Min: uint16(s.Min), Max: uint16(s.Max),
		IP:                  localserver.PassiveIP{Mode: s.IPMode, Value: s.IPValue, LocalNetworks: s.LocalNetworks},
		AllowForeignAddress: s.Options.ForeignData,
	}
}

// Config returns the server's configuration for these settings. Rights and folder are checked when it starts.
func (s ShareSettings) Config(certDir string, rec connlog.Recorder) (localserver.Config, error) {
	folder, accounts, err := s.accounts()
	if err != nil {
		return localserver.Config{}, err
	}
	c := localserver.Config{
		Listen:   net.JoinHostPort("", strconv.Itoa(s.Port)),
		Root:     folder,
		Accounts: accounts,
		Passive:  s.PassiveConfig(),
		TLS:      localserver.TLSConfig{Mode: s.TLS, CertDir: certDir},
		Recorder: rec,
	}
	if err := s.Options.Apply(&c); err != nil {
		return localserver.Config{}, err
	}
	return c, nil
}

// expand makes a typed path an absolute one; "~" is the person's home.
func expand(path string) (string, error) {
	if path == "" {
		return "", errors.New("choose a folder to share")
	}
	path, err := homedir.Expand(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// StartShare starts the local server with the settings as they are. The outcome shows in [App.Share].
func (a *App) StartShare() {
	s := a.share
	if !s.enter(Stopped, Starting) {
		return
	}
	started := a.run(func(ctx context.Context) {
		s.turn.Lock()
		defer s.turn.Unlock()
		if s.closed {
			s.enter(Starting, Stopped)
			return
		}
		server, state, err := s.start(ctx)
		if err != nil {
			state = Share{Phase: Stopped, Err: err.Error()}
		}
		s.mu.Lock()
		s.server, s.state = server, state
		s.mu.Unlock()
		if err == nil {
			a.CheckSelf()
		}
		a.changed()
	})
	if !started {
		s.enter(Starting, Stopped)
	}
}

func (s *share) start(ctx context.Context) (*localserver.Server, Share, error) {
	set := s.app.Settings().Share
	certDir := ""
	if s.app.dir != "" {
		certDir = s.app.dir
	}
	ports := newPortWatch(s.app.Log)
	cfg, err := set.Config(certDir, ports)
	if err != nil {
		return nil, Share{}, err
	}
	server, err := localserver.New(cfg)
	if err != nil {
		return nil, Share{}, err
	}
	if err := server.Start(ctx); err != nil {
		return nil, Share{}, err
	}
	s.mu.Lock()
	s.ports, s.has = ports, set
	s.mu.Unlock()
	return server, Share{
		Phase: Running, Folder: cmp.Or(cfg.Root, cfg.Accounts[0].Root), Addr: server.Addr(), Addresses: set.addresses(server.Addr()),
		Fingerprint: server.Fingerprint(), Write: set.writable(), Access: set.Access,
	}, nil
}

// StopShare stops the local server: transfers get some seconds to finish, then all sessions end. A second call while
// it is stopping ends them at once.
func (a *App) StopShare() {
	s := a.share
	if !s.enter(Running, Stopping) {
		s.hurryUp()
		return
	}
	a.run(func(ctx context.Context) {
		s.turn.Lock()
		defer s.turn.Unlock()
		ctx, cancel := context.WithTimeout(ctx, stopGrace)
		defer cancel()
		s.mu.Lock()
		s.hurry = cancel
		s.mu.Unlock()
		s.stop(ctx)
	})
}

func (s *share) stop(ctx context.Context) error {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	s.app.releaseRouter()
	var err error
	if server != nil {
		err = server.Stop(ctx)
	}
	s.mu.Lock()
	s.server, s.state, s.hurry = nil, Share{Phase: Stopped}, nil
	s.mu.Unlock()
	s.app.changed()
	return err
}

// close stops the server for good. When ctx ends, a stop under way ends its grace, too.
func (s *share) close(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.hurryUp)()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.closed = true
	return s.stop(ctx)
}

// hurryUp ends the grace of a stop under way.
func (s *share) hurryUp() {
	s.mu.Lock()
	hurry := s.hurry
	s.mu.Unlock()
	if hurry != nil {
		hurry()
	}
}

// enter moves from one phase to another; false when it is in neither.
func (s *share) enter(from, to Phase) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Phase != from {
		return false
	}
	s.state.Phase, s.state.Err = to, ""
	s.app.changed()
	return true
}

// inOrder runs f as a task, after those that it was given before: what was asked for last is what holds.
func (s *share) inOrder(f func(context.Context)) {
	s.mu.Lock()
	s.line = append(s.line, f)
	first := len(s.line) == 1
	s.mu.Unlock()
	if !first {
		return
	}
	s.app.run(func(ctx context.Context) {
		for f != nil {
			f(ctx)
			s.mu.Lock()
			f = nil
			if s.line = s.line[1:]; len(s.line) > 0 {
				f = s.line[0]
			}
			s.mu.Unlock()
		}
	})
}

// running returns the server, unless there is none. The caller holds turn: it stays that one.
func (s *share) running() *localserver.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// ApplyPassive checks the passive range and the Passive IP of set, keeps them, and hands them to the running server for its
// next offer. A setting that can't be is an error and changes nothing. It waits for a start or stop under way, so it is a
// task; done is called from it.
func (a *App) ApplyPassive(set ShareSettings, done func(error)) {
	a.share.inOrder(func(context.Context) {
		now := a.Settings().Share // the rest may have changed since set was read
		now.UseRange, now.Min, now.Max, now.IPMode, now.IPValue = set.UseRange, set.Min, set.Max, set.IPMode, set.IPValue
		done(a.applyPassive(now))
	})
}

func (a *App) applyPassive(set ShareSettings) error {
	if err := CheckPorts(set); err != nil {
		return err
	}
	cfg := set.PassiveConfig()
	if _, err := cfg.Check(uint16(set.Port)); err != nil {
		return err
	}
	a.share.turn.Lock()
	defer a.share.turn.Unlock()
	if server := a.share.running(); server != nil {
		if err := server.SetPassive(cfg); err != nil {
			return err
		}
		a.releaseRouter() // it was asked for other ports
	}
	a.ChangeSettings(func(s *Settings) {
		s.Share.UseRange, s.Share.Min, s.Share.Max = set.UseRange, set.Min, set.Max
		s.Share.IPMode, s.Share.IPValue, s.Share.LocalNetworks = set.IPMode, set.IPValue, set.LocalNetworks
	})
	if !a.SelfCheck().Done.IsZero() {
		a.CheckSelf()
	}
	a.changed()
	return nil
}

// SetSharePassword keeps the hash of a password for [AccessUser]. Hashing takes some tens of milliseconds on purpose
// (argon2id), so it runs as a task; done is called from it, when the hash is written.
func (a *App) SetSharePassword(password string, done func(error)) {
	a.run(func(ctx context.Context) {
		hash, err := localserver.HashPassword(password)
		if err == nil {
			a.ChangeSettings(func(s *Settings) { s.Share.PasswordHash = hash })
			_ = a.saved.wait(ctx) // a notice says why not
		}
		done(err)
	})
}

// Kick ends a session of the local server. Saying so to a client that does not read takes a moment, so this is a task.
func (a *App) Kick(session string) {
	a.share.mu.Lock()
	server := a.share.server
	a.share.mu.Unlock()
	if server != nil {
		a.run(func(context.Context) {
			server.Kick(session)
			a.changed()
		})
	}
}

// PassiveAddresses returns the address that a client on the local network is told, and the one that all others are
// told, as far as a host name's answer is known. It works while the server is stopped too.
func (a *App) PassiveAddresses() (local, others netip.Addr) {
	a.share.mu.Lock()
	server := a.share.server
	a.share.mu.Unlock()
	local = firstLocal()
	if server == nil || !local.IsValid() {
		return local, netip.Addr{}
	}
	return local, server.PassiveAddressFor(local, netip.AddrFrom4([4]byte{192, 0, 2, 1}))
}

func firstLocal() netip.Addr {
	for _, a := range interfaceAddresses() {
		if a.addr.Is4() && !a.addr.IsLoopback() {
			return a.addr
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

type interfaceAddress struct {
	name string
	addr netip.Addr
}

// interfaceAddresses returns the addresses of the interfaces that are up, IPv4 first, loopback last. Link-local IPv6
// addresses are left out: they need a zone, which a person can't type on another device.
func interfaceAddresses() []interfaceAddress {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var v4, v6, self []interfaceAddress
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, one := range addrs {
			p, err := netip.ParsePrefix(one.String())
			if err != nil || p.Addr().IsLinkLocalUnicast() {
				continue
			}
			a := interfaceAddress{i.Name, p.Addr().Unmap()}
			switch {
			case a.addr.IsLoopback():
				self = append(self, a)
			case a.addr.Is4():
				v4 = append(v4, a)
			default:
				v6 = append(v6, a)
			}
		}
	}
	return append(append(v4, v6...), self...)
}

func (s ShareSettings) addresses(at netip.AddrPort) []Address {
	scheme := "ftp"
	switch s.TLS {
	case localserver.TLSRequired:
		scheme = "ftpes"
	case localserver.TLSExplicit:
		if s.overTLSOnly() {
			scheme = "ftpes"
		}
	case localserver.TLSImplicit:
		scheme = "ftps"
	}
	user := ""
	if name := s.loginName(); name != "" {
		user = url.User(name).String() + "@"
	}
	var out []Address
	for _, i := range interfaceAddresses() {
		if !at.Addr().IsUnspecified() && at.Addr() != i.addr {
			continue
		}
		reach := ReachInternet
		switch {
		case i.addr.IsLoopback():
			reach = ReachSelf
		case localserver.Unroutable(i.addr) != "":
			reach = ReachLocal
		}
		if reach == ReachSelf && len(out) > 0 {
			continue
		}
		out = append(out, Address{
			URL:       scheme + "://" + user + netip.AddrPortFrom(i.addr, at.Port()).String(),
			Interface: i.name, Reach: reach,
		})
	}
	return out
}

// FolderExists says whether a typed path is a folder that can be read.
func FolderExists(path string) error {
	full, err := expand(path)
	if err != nil {
		return err
	}
	d, err := os.Open(full)
	if err != nil {
		return err
	}
	defer d.Close()
	if info, err := d.Stat(); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is a file, not a folder", full)
	}
	return nil
}

// CheckPorts says whether the passive port range of set can be used at all: ports from 1024 to 65535, the smaller
// first, and the control port not among them.
func CheckPorts(set ShareSettings) error {
	if !set.UseRange {
		return nil
	}
	for _, p := range []int{set.Min, set.Max} {
		if p < 1024 || p > 65535 {
			return fmt.Errorf("%d can't be a passive port: they go from 1024 to 65535", p)
		}
	}
	_, err := set.checkRange()
	return err
}

func (s ShareSettings) checkRange() (warnings []string, err error) {
	cfg := s.PassiveConfig()
	cfg.IP = localserver.PassiveIP{}
	return cfg.Check(uint16(s.Port))
}

// RangeWarnings says what may trouble clients about the passive port range, in sentences.
func (s ShareSettings) RangeWarnings() []string {
	warnings, _ := s.checkRange()
	return warnings
}

// CheckPassiveIP says whether the Passive IP can be used at all; warnings say in sentences what may trouble clients.
func (s ShareSettings) CheckPassiveIP() (warnings []string, err error) {
	cfg := s.PassiveConfig()
	cfg.UseRange = false
	return cfg.Check(uint16(s.Port))
}
