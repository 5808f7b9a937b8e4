// Package localserver is Portside's FTP server: it shares folders over FTP and FTPS and records who opened which
// channel.
//
// What it promises, with the source of each rule in the file that keeps it:
//
//   - Nothing outside the shared folder is reached ([os.Root]); a file is replaced only by one that came whole.
//   - A data connection belongs to one session: its other end is the control connection's, whoever dials, and it
//     ends with the transfer, with the session, or at its deadline. No port, socket or goroutine outlives it.
//   - The control connection is read all the time, also during a transfer: ABOR, STAT, QUIT, a lost client and
//     [Server.Kick] act at once.
//   - Everything that happens on the wire is written as a [connlog.Record]; text for people is made there.
//
// Sources: RFC 959, 1123 section 4.1, 1579, 2228, 2389, 2428, 2577, 3659, 4217, 7151; vsftpd's and pyftpdlib's
// behaviour where the RFCs leave room.
package localserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"portside/connlog"
	"portside/wire"
)

// Server is one FTP server. [New] makes it, [Server.Start] runs it once, [Server.Stop] ends it.
type Server struct {
	config   Config
	recorder connlog.Recorder
	commands map[string]command
	people   atomic.Pointer[people]
	gate     *passwordGate
	guard    *guard
	temps    *liveTemps

	claims     sync.Map     // of each claim that a STOU runs on
	nameMemory atomic.Int64 // see nameMostOfAll

	certMu    sync.Mutex
	cert      *tls.Certificate
	renewNext time.Time // not before

	settings atomic.Pointer[settings]
	resolved atomic.Pointer[netip.Addr] // last good answer for the passive host name
	own      atomic.Pointer[[]netip.Prefix]

	mu        sync.Mutex
	state     serverState
	addr      netip.AddrPort
	listeners []net.Listener
	sessions  map[string]*session
	folders   map[string]*folder // that are open, by their paths
	lingering bool               // one of them is a session's only
	life      context.Context    // ends when the server's own goroutines must
	end       context.CancelFunc
	resolving context.CancelFunc // the running resolver
	work      sync.WaitGroup
	stopped   chan struct{}
}

type serverState int

const (
	stateNew serverState = iota
	stateRunning
	stateStopping
	stateStopped
)

// settings is what can change while the server runs.
type settings struct {
	passive PassiveConfig
	limits  Limits
	pool    *portPool
}

// New checks config and makes a server that is not running yet. Errors are sentences for the person.
func New(config Config) (*Server, error) {
	if config.Root != "" && slices.ContainsFunc(config.Accounts, func(a Account) bool { return a.Root == "" }) {
		if err := checkFolder(config.Root); err != nil {
			return nil, err
		}
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	switch config.TLS.Mode {
	case "":
		config.TLS.Mode = TLSOff
	case TLSOff, TLSExplicit, TLSRequired, TLSImplicit:
	default:
		return nil, fmt.Errorf("TLS mode %q is not one of off, explicit, required and implicit", config.TLS.Mode)
	}
	switch config.TLS.Resume {
	case "":
		config.TLS.Resume = ResumeNote
	case ResumeOff, ResumeNote, ResumeRequire:
	default:
		return nil, fmt.Errorf("TLS resumption policy %q is not one of off, note and require", config.TLS.Resume)
	}
	if config.Greeting == "" {
		config.Greeting = "Portside"
	}
	config.Accounts = slices.Clone(config.Accounts)
	s := &Server{config: config, recorder: config.Recorder, commands: newCommands(), guard: newGuard(),
		temps: &liveTemps{names: map[string]struct{}{}}, folders: map[string]*folder{}, sessions: map[string]*session{},
		gate: newPasswordGate(config.Accounts), stopped: make(chan struct{})}
	if s.recorder == nil {
		s.recorder = connlog.Discard
	}
	if config.TLS.Mode != TLSOff {
		cert, err := config.TLS.certificate(time.Now())
		if err != nil {
			return nil, err
		}
		s.cert = cert
	}
	s.settings.Store(&settings{config.Passive, config.Limits.withDefaults(), newPortPool(config.Passive)})
	return s, nil
}

func (s *Server) limits() Limits { return s.settings.Load().limits }

// Start binds the listen address and serves until [Server.Stop]. It returns when clients can connect. ctx bounds
// the start only. A server can be started once.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateNew {
		return errors.New("the server was started before; make a new one")
	}
	if err := s.openFolders(); err != nil {
		s.closeFolders()
		return err
	}
	if err := s.listen(ctx); err != nil {
		s.closeFolders()
		return err
	}
	if _, err := s.config.Passive.Check(s.addr.Port()); err != nil {
		for _, l := range s.listeners {
			l.Close()
		}
		s.closeFolders()
		return err
	}
	if err := s.tryRange(s.settings.Load()); err != nil {
		for _, l := range s.listeners {
			l.Close()
		}
		s.closeFolders()
		return err
	}
	own := ownNetworks()
	s.own.Store(&own)
	s.life, s.end = context.WithCancel(context.Background())
	s.state = stateRunning
	s.startResolver()
	for _, f := range s.folders {
		s.work.Go(func() { clean(s.life, f.current(), s.temps) })
	}
	for _, l := range s.listeners {
		s.work.Go(func() { s.serve(l) })
	}
	s.record(connlog.Record{Event: connlog.Listening, Addr: s.addr.String()})
	return nil
}

// tryRange opens one passive port, so that a range that other programs hold is said when it is chosen.
func (s *Server) tryRange(with *settings) error {
	c, pool := with.passive, with.pool
	if pool == nil {
		return nil
	}
	ln, l, err := pool.listen(s.addr.Addr(), netip.Addr{})
	if errors.Is(err, errNoPort) {
		return fmt.Errorf("all passive ports from %d to %d are in use: choose another range", c.Min, c.Max)
	}
	if err != nil {
		return fmt.Errorf("passive ports from %d to %d can't be opened: %w", c.Min, c.Max, err)
	}
	ln.Close()
	l.withdrawn()
	return nil
}

func (s *Server) openFolders() error {
	everybody, opened, err := s.gather(s.config.Root, s.config.Accounts, nil)
	if err != nil {
		return err
	}
	s.people.Store(everybody)
	s.folders = opened
	return nil
}

func (s *Server) closeFolders() {
	for _, f := range s.folders {
		f.close()
	}
}

func (s *Server) listen(ctx context.Context) error {
	config := net.ListenConfig{KeepAlive: -1} // set for each control connection
	config.SetMultipathTCP(false)             // as for data connections
	l, err := config.Listen(ctx, "tcp", s.config.Listen)
	// It may be in use by what was started beside the last server here: see [childStart].
	for pause := time.Millisecond; pause < childStart && addressInUse(err) && ctx.Err() == nil; pause *= 2 {
		select {
		case <-time.After(pause):
			l, err = config.Listen(ctx, "tcp", s.config.Listen)
		case <-ctx.Done():
		}
	}
	if err != nil {
		return listenError(s.config.Listen, err)
	}
	s.listeners = append(s.listeners, l)
	s.addr = unmapped(l.Addr())
	return nil
}

// startError is a sentence that says all of its cause.
type startError struct {
	text  string
	cause error
}

func (e *startError) Error() string { return e.text }
func (e *startError) Unwrap() error { return e.cause }

// listenError says why the control port could not be opened and what to do.
func listenError(addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	switch {
	case addressInUse(err):
		holder, stop := "", "stop the program that has it"
		if who := portHolder(port); who != "" {
			holder, stop = " by "+who, "stop that program"
		}
		return &startError{fmt.Sprintf("port %s is in use%s: %s, or choose another port", port, holder, stop), err}
	case errors.Is(err, os.ErrPermission):
		return &startError{fmt.Sprintf("port %s needs administrator rights: choose a port from 1024 up, such as 2121", port), err}
	case addressNotOurs(err):
		return &startError{fmt.Sprintf("%s is not an address of this computer: listen on one of its own, or on all by leaving the host empty", addr), err}
	}
	return fmt.Errorf("the server can't listen on %s: %w", addr, err)
}

func (s *Server) serve(l net.Listener) {
	pause := time.Millisecond
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, or a client that was gone before it came: what is there goes on.
			s.record(connlog.Record{Event: connlog.ServerFault, Err: "accepting a client: " + err.Error()})
			select {
			case <-time.After(pause):
			case <-s.life.Done():
				return
			}
			pause = min(pause*2, time.Second)
			continue
		}
		pause = time.Millisecond
		s.admit(c.(*net.TCPConn))
	}
}

// admit starts a session, or refuses the client with 421.
func (s *Server) admit(c *net.TCPConn) {
	peer := unmapped(c.RemoteAddr())
	limits := s.limits()
	refusal := ""
	s.mu.Lock()
	switch {
	case s.state != stateRunning:
		s.mu.Unlock()
		c.Close()
		return
	case limits.MaxSessions > 0 && len(s.sessions) >= limits.MaxSessions:
		refusal = "The server has as many clients as it takes. Try again later."
	default:
		refusal = s.guard.admit(peer.Addr(), limits, time.Now())
	}
	if refusal != "" {
		s.mu.Unlock()
		s.refuse(c, peer, refusal)
		return
	}
	n := s.newSession(c)
	s.sessions[n.id] = n
	s.work.Go(n.run)
	s.mu.Unlock()
}

func (s *Server) refuse(c *net.TCPConn, peer netip.AddrPort, why string) {
	r := connlog.Record{Channel: connlog.Control, Initiator: connlog.Client, From: peer, To: unmapped(c.LocalAddr()), Session: newID()}
	r.Event = connlog.ControlOpened
	s.record(r)
	reply := wire.Reply{Code: 421, Lines: []string{why}}
	if s.config.TLS.Mode != TLSImplicit {
		c.SetWriteDeadline(time.Now().Add(time.Second)) // a new connection's send buffer is empty: this does not wait
		c.Write(reply.Format())
	}
	c.Close()
	r.Event, r.By, r.Reason, r.Reply = connlog.ControlClosed, connlog.Server, connlog.ReasonPolicy, reply.String()
	s.record(r)
}

// Addr returns the address that the server listens on; its port is the real one when port 0 was asked for.
func (s *Server) Addr() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

const stoppingText = "The server is stopping."

// Stop ends the server: no new clients from now on, sessions without a transfer end at once, transfers get
// [Limits.StopGrace] to finish, or until ctx ends. When it returns, no goroutine, socket or temporary file is left.
// Its error is ctx's when ctx cut transfers short. Stopping twice, or before the start, does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	switch s.state {
	case stateNew:
		s.state = stateStopped
		close(s.stopped)
		s.mu.Unlock()
		return nil
	case stateStopping, stateStopped:
		s.mu.Unlock()
		<-s.stopped
		return nil
	}
	s.state = stateStopping
	for _, l := range s.listeners {
		l.Close()
	}
	sessions := make([]*session, 0, len(s.sessions))
	for _, n := range s.sessions {
		sessions = append(sessions, n)
	}
	s.mu.Unlock()
	s.end()

	for _, n := range sessions {
		// Side by side: a client that does not read holds up its own 421 only.
		n.toEnd(connlog.ReasonStopping, errStopping, stoppingText)
		s.work.Go(func() { n.endIfIdle() })
	}
	ended := make(chan struct{})
	go func() {
		s.work.Wait()
		close(ended)
	}()
	var err error
	grace := time.NewTimer(s.limits().StopGrace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	cut := false
	select {
	case <-ended:
	default:
		cut = true
		var closing sync.WaitGroup
		for _, n := range sessions {
			closing.Go(func() { n.close(connlog.Server, connlog.ReasonStopping, errStopping, stoppingText) })
		}
		closing.Wait()
		<-ended
	}
	if !cut {
		err = nil
	}
	s.closeFolders()
	s.record(connlog.Record{Event: connlog.Stopped, Addr: s.addr.String()})
	s.mu.Lock()
	s.state = stateStopped
	s.mu.Unlock()
	close(s.stopped)
	return err
}

// SetPassive changes the passive settings. They hold from the next offer on; offers and transfers that stand go on. On an
// error, such as a range that other programs hold, nothing is changed.
func (s *Server) SetPassive(c PassiveConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := c.Check(s.addr.Port()); err != nil {
		return err
	}
	old := s.settings.Load()
	next := &settings{c, old.limits, old.pool}
	if c.UseRange != old.passive.UseRange || c.Min != old.passive.Min || c.Max != old.passive.Max {
		next.pool = newPortPool(c)
		if s.state == stateRunning {
			if err := s.tryRange(next); err != nil {
				return err
			}
		}
	}
	s.settings.Store(next)
	if s.state == stateRunning && (c.IP.Mode != old.passive.IP.Mode || c.IP.Value != old.passive.IP.Value) {
		s.startResolver()
	}
	return nil
}

// SetLimits changes the limits. They hold for new sessions and from the next command or transfer on.
func (s *Server) SetLimits(l Limits) error {
	if err := l.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.settings.Load()
	s.settings.Store(&settings{old.passive, l.withDefaults(), old.pool})
	return nil
}

// Passive returns the passive settings that hold now.
func (s *Server) Passive() PassiveConfig { return s.settings.Load().passive }

// PassiveAddressFor returns the address that PASV would tell a client at client that came to local.
func (s *Server) PassiveAddressFor(local, client netip.Addr) netip.Addr {
	var resolved netip.Addr
	if p := s.resolved.Load(); p != nil {
		resolved = *p
	}
	var own []netip.Prefix
	if p := s.own.Load(); p != nil {
		own = *p
	}
	return s.Passive().IP.addressFor(own, resolved, local, client)
}

// startResolver ends the running lookups and starts those for the present host name. The caller holds mu.
func (s *Server) startResolver() {
	if s.resolving != nil {
		s.resolving()
		s.resolving = nil
	}
	s.resolved.Store(nil)
	ip := s.Passive().IP
	if ip.Mode != PassiveHost {
		return
	}
	ctx, cancel := context.WithCancel(s.life)
	s.resolving = cancel
	s.work.Go(func() {
		for {
			addr, err := resolveIPv4(ctx, ip.Value)
			if ctx.Err() != nil {
				return
			}
			wait := resolveEvery
			if err != nil {
				s.record(connlog.Record{Event: connlog.ServerFault, Reason: connlog.ReasonUnknownHost, Err: err.Error()})
				wait = resolveRetry
			} else {
				s.resolved.Store(&addr)
				own := ownNetworks() // interfaces come and go too
				s.own.Store(&own)
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
	})
}

// Fingerprint returns the SHA-256 of the certificate in the form "AB:CD:…", "" without TLS. It changes when a
// self-signed certificate is renewed, 30 days before its end.
func (s *Server) Fingerprint() string {
	cert := s.certificate(time.Now())
	if cert == nil {
		return ""
	}
	return fingerprint(cert)
}

// certificate returns the certificate for a session that begins now, nil without TLS. The self-signed one is renewed
// here when its end comes near, so that a server that runs for years shows none that has ended.
func (s *Server) certificate(now time.Time) *tls.Certificate {
	s.certMu.Lock()
	defer s.certMu.Unlock()
	if s.cert == nil || s.config.TLS.Certificate != nil || now.Before(s.cert.Leaf.NotAfter.Add(-renewBeforeEnd)) || now.Before(s.renewNext) {
		return s.cert
	}
	cert, err := s.config.TLS.certificate(now)
	if err != nil {
		s.renewNext = now.Add(time.Hour)
		s.record(connlog.Record{Event: connlog.ServerFault, Reason: connlog.ReasonLocal, Err: "renewing the TLS certificate: " + err.Error()})
		return s.cert
	}
	s.cert = cert
	return cert
}

// SessionInfo is a session at one moment.
type SessionInfo struct {
	ID        string
	User      string // the account, "" before the sign-in
	Client    netip.AddrPort
	Software  string // what CLNT said
	Since     time.Time
	TLS       string // "TLS 1.3", "" in clear
	Mode      connlog.Mode
	Command   string // the transfer that runs, "" when none does: "RETR"
	Path      string // what it moves, as the client sees it
	Direction Direction
	Bytes     int64     // of the running transfer
	Rate      int64     // bytes per second, lately
	Total     int64     // bytes moved since the session began
	IdleSince time.Time // zero while a transfer runs
}

// Direction is which way a transfer goes.
type Direction string

// The directions of a transfer, as the server sees them.
const (
	Sending   Direction = "sending"   // a download or a listing
	Receiving Direction = "receiving" // an upload
)

// Sessions returns what the sessions do now, oldest first.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	infos := make([]SessionInfo, 0, len(s.sessions))
	for _, n := range s.sessions {
		infos = append(infos, n.info())
	}
	s.mu.Unlock()
	slices.SortFunc(infos, func(a, b SessionInfo) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return infos
}

// PortHolder is a passive port and who has it.
type PortHolder struct {
	Port    uint16
	Session string
	User    string
	Client  netip.AddrPort
	InUse   bool // false: offered, and nobody has come yet
}

// PortsInUse returns the passive ports that are offered or in use, by number and session.
func (s *Server) PortsInUse() []PortHolder {
	var all []PortHolder
	s.mu.Lock()
	for _, n := range s.sessions {
		all = append(all, n.ports()...)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b PortHolder) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), strings.Compare(a.Session, b.Session))
	})
	return all
}

// holders describes who has the passive ports, for the record of a full range: first other programs, then sessions.
func (s *Server) holders() []string {
	var texts []string
	switch others := s.pool().others(); len(others) {
	case 0:
	case 1:
		texts = append(texts, fmt.Sprintf("another program: %d", others[0]))
	default:
		texts = append(texts, fmt.Sprintf("other programs: %d ports from %d to %d", len(others), others[0], others[len(others)-1]))
	}
	for _, h := range s.PortsInUse() {
		texts = append(texts, fmt.Sprintf("%s %s %s: %d", h.Session, cmp.Or(h.User, "-"), h.Client.Addr(), h.Port))
	}
	return texts
}

// Kick ends a session at once. It reports whether there was one of that id.
func (s *Server) Kick(id string) bool {
	s.mu.Lock()
	n := s.sessions[id]
	s.mu.Unlock()
	if n == nil {
		return false
	}
	n.close(connlog.Server, connlog.ReasonKicked, errKicked, "The server's owner ended this session.")
	return true
}

func (s *Server) forget(n *session) {
	s.mu.Lock()
	delete(s.sessions, n.id)
	if s.lingering && s.state == stateRunning {
		s.closeUnused()
	}
	s.guard.leave(n.peer.Addr()) // who sees that the session is gone may take its place
	s.mu.Unlock()
}

func (s *Server) pool() *portPool { return s.settings.Load().pool }

func (s *Server) record(r connlog.Record) {
	r.Side = connlog.Server
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	s.recorder.Record(r)
}

// contain is deferred in every goroutine of a session: a panic ends that session only.
func (s *Server) contain(n *session) {
	if p := recover(); p != nil {
		s.record(connlog.Record{Event: connlog.ServerFault, Session: n.id, Err: fmt.Sprintf("panic: %v\n%s", p, debug.Stack())})
		n.close(connlog.Server, connlog.ReasonLocal, errors.New("internal error"), "Internal error; the session ends.")
	}
}

func newID() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
