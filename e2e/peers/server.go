//go:build linux

package peers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// ErrMissing says that a program is not on this machine, or can't do what was asked without more rights.
var ErrMissing = errors.New("not available on this machine")

// Kind is a server program.
type Kind string

// The server programs.
const (
	Vsftpd    Kind = "vsftpd"
	ProFTPD   Kind = "proftpd"
	PureFTPd  Kind = "pure-ftpd"
	Pyftpdlib Kind = "pyftpdlib"
)

// Kinds are all server programs.
var Kinds = []Kind{Vsftpd, ProFTPD, PureFTPd, Pyftpdlib}

// TLS is what a server does about TLS; the words are those of `portside serve --tls`.
type TLS string

// What a server does about TLS. Required: explicit TLS, and nothing without it, data connections included.
const (
	Off      TLS = "off"
	Explicit TLS = "explicit"
	Required TLS = "required"
	Implicit TLS = "implicit"
)

// Config says what server is wanted. The zero value of a field is its default.
type Config struct {
	Kind Kind
	// Host is the IP address to listen on; default 127.0.0.1.
	Host string
	// Port is the port to listen on; default: a free one.
	Port uint16
	TLS  TLS // default Off
	// RequireReuse has the server refuse a data connection that does not resume the control connection's TLS session.
	// vsftpd and ProFTPD can; the others give [ErrMissing].
	RequireReuse bool
	// PassiveMin and PassiveMax are the passive port range; default: the system's choice.
	PassiveMin, PassiveMax uint16
	// Sessions is how many sessions there may be at once, also of one address; default: at least 50. ProFTPD takes 60.
	Sessions int
	// Anonymous signs in as anonymous. Without it the account is User with Password, but for vsftpd, which has accounts
	// in the system's user database only and is always anonymous.
	Anonymous bool
	// Zone is the server's time zone in POSIX's words, such as "XST-5:30"; its listings with LIST are in local time then. Default: UTC.
	Zone string
	// NoMLSD has ProFTPD offer none of the commands of RFC 3659 section 7, and MFMT neither, so that LIST is all there is.
	NoMLSD bool
	// Locked: the server refuses the account, with 530.
	Locked bool
	// Namespace is the network namespace to run in; Host is an address there that can be reached, and Port is needed, too.
	Namespace string
	// Root is the folder to serve, made writable for the server; default: a new one. In a [Server] it is the folder that
	// [Server.Base] names.
	Root string
}

// The account of every server that has accounts of its own.
const (
	User     = "portside"
	Password = "sesame-42"
	// cryptPassword is Password as crypt(3) SHA-512, noPassword that of nothing.
	noPassword    = "*"
	cryptPassword = "$6$portside$xrnFHr7IbD/IYArHWu5Z6ePKsB1aJXaLmio8vLVtf2I05bjZDplamFtVvHH/J2Q0Yn.OkgYISGvcxlf44Z1Vd1"
)

// Server is a running server program.
type Server struct {
	Config
	// User and Password sign in.
	User, Password string
	// Base is the folder on the server where files can be written, without slashes; "" is the folder one signs in to.
	Base string
	// CA is a PEM file that vouches for the server's certificate, "" without TLS.
	CA string

	dir string
	cmd *exec.Cmd
	in  io.Closer // the watchdog ends the server when this closes
	log string
	end chan struct{} // closed when the server's processes are gone
}

// watchdog runs the server and ends its whole process group when standard input ends: so a server never outlives the
// process that started it, however that ended.
const watchdog = `("$@"; echo "exit status $?" >&2; kill -KILL 0) </dev/null & read -r line; kill -KILL 0`

// ready is how long a server may take to greet.
const ready = 2 * time.Minute

// ForTest starts a server for one test, and skips the test when the program is missing.
func ForTest(t testing.TB, c Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), c)
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("%s said:\n%s", s.Kind, s.Log())
		}
		s.remove()
	})
	return s
}

// Start starts a server and waits for its greeting. ctx covers the start only; Close and Remove end it.
func Start(ctx context.Context, c Config) (*Server, error) {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.TLS == "" {
		c.TLS = Off
	}
	if c.Port == 0 {
		port, err := FreePort(c.Host)
		if err != nil {
			return nil, err
		}
		c.Port = port
	}
	dir, err := os.MkdirTemp("", "portside-peer-")
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c, User: User, Password: Password, dir: dir, log: filepath.Join(dir, "log"), end: make(chan struct{})}
	if c.Anonymous || c.Kind == Vsftpd {
		s.User, s.Password = "anonymous", "guest@example.org"
	}
	if err := s.start(ctx); err != nil {
		s.Close()
		log := s.Log()
		s.remove()
		if errors.Is(err, ErrMissing) {
			return nil, err
		}
		return nil, fmt.Errorf("starting %s at %s: %w\n%s", c.Kind, s.Addr(), err, log)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	// The servers leave root for an account without rights, which must come through.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	if s.Root == "" {
		s.Root = filepath.Join(s.dir, "root")
		if err := os.Mkdir(s.Root, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(s.Root, 0o777); err != nil {
		return err
	}
	if s.TLS != Off {
		s.CA = filepath.Join(s.dir, "cert.pem")
		if err := WriteCertificate(s.CA, s.key()); err != nil {
			return err
		}
	}
	args, env, err := s.command(ctx)
	if err != nil {
		return err
	}
	out, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer out.Close()
	if s.Namespace != "" {
		args = append([]string{"ip", "netns", "exec", s.Namespace}, args...)
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", watchdog, "watchdog"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	go func() {
		cmd.Wait() // ends by SIGKILL, always
		close(s.end)
	}()
	return s.await(ctx)
}

// await waits for the server's greeting.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.greeting(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.end:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no greeting: %w", err)
		case <-tick.C:
		}
	}
}

func (s *Server) greeting(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	if s.TLS == Implicit {
		return nil // greets after the handshake only
	}
	// Who gave up early and asked again would have a busy machine start one more session each time, and be later still.
	if limit, ok := ctx.Deadline(); ok {
		c.SetDeadline(limit)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "220") {
		return fmt.Errorf("greeting %q", line)
	}
	fmt.Fprint(c, "QUIT\r\n")
	return nil
}

// Addr is the server's HOST:PORT.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))) }

// AddrPort is the server's address.
func (s *Server) AddrPort() netip.AddrPort { return netip.MustParseAddrPort(s.Addr()) }

// URL is that of name below Base, with account and password, as ftp, ftpes or ftps according to the server's TLS.
func (s *Server) URL(name string) string {
	u := url.URL{Scheme: Scheme(s.TLS), User: url.UserPassword(s.User, s.Password), Host: s.Addr(), Path: "/" + s.Endpoint().path(name)}
	return u.String()
}

// Scheme is the URL scheme that asks Portside for t.
func Scheme(t TLS) string {
	switch t {
	case Implicit:
		return "ftps"
	case Explicit, Required:
		return "ftpes"
	}
	return "ftp"
}

// PID is the process whose descendants the server's processes are.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log is what the server printed so far.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Close ends the server's processes and waits until they are gone.
func (s *Server) Close() {
	if s.cmd == nil {
		return
	}
	// Some servers give a session a process group of its own, which the watchdog does not reach.
	family := s.Processes()
	s.in.Close()
	select {
	case <-s.end:
	case <-time.After(2 * time.Second):
		syscall.Kill(-s.PID(), syscall.SIGKILL)
		<-s.end
	}
	// The kernel needs a moment to take the last ones away, and on a busy machine seconds.
	for end := time.Now().Add(20 * time.Second); len(alive(family)) > 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, pid := range alive(family) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Processes are the server's processes that run.
func (s *Server) Processes() []int {
	if s.cmd == nil {
		return nil
	}
	return Descendants(s.PID())
}

// Remove ends the server and removes its folder.
func (s *Server) Remove() {
	s.Close()
	s.remove()
}

func (s *Server) remove() { os.RemoveAll(s.dir) }

func (s *Server) key() string { return filepath.Join(s.dir, "key.pem") }

// Home is a new folder for programs of which some may outlive the test for a moment, such as what a session bus has started, and
// still write there while it is removed.
func Home(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "portside-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := os.RemoveAll(dir)
		for end := time.Now().Add(ready); err != nil && time.Now().Before(end); err = os.RemoveAll(dir) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// lastPort counts what [FreePort] has looked at: servers that start at the same time must not get the same port.
var lastPort atomic.Uint32

// FreePort is a port of host (empty: of every address) that nobody has at the moment, and none that the system gives out by itself: one of those may
// belong to a connection by the time that the server listens. It gives every port once, until it has come round.
func FreePort(host string) (port uint16, err error) {
	syscall.ForkLock.RLock() // else a program that starts meanwhile has the port for a moment longer
	defer syscall.ForkLock.RUnlock()
	for range 100 {
		port = 10_000 + uint16((100*uint32(os.Getpid())+lastPort.Add(1))%10_000) // other processes begin elsewhere
		l, listens := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err = listens; err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, fmt.Errorf("%s: %w: %w", host, ErrMissing, err)
}
