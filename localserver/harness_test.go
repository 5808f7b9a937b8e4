package localserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"

	"portside/connlog"
	"portside/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of the tests; nothing waits that long unless it is broken.
const patience = 30 * time.Second

// atOnce bounds what must not wait for any of the server's limits, which are 10 s and more: a busy machine is slow, too.
const atOnce = 9 * time.Second

// records keeps what the server recorded, and lets tests wait for a record.
type records struct {
	mu   sync.Mutex
	cond *sync.Cond
	all  []connlog.Record
}

func newRecords() *records {
	r := &records{}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *records) Record(x connlog.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, x)
	r.cond.Broadcast()
}

func (r *records) snapshot() []connlog.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// wait returns the nth record of an event (from 1).
func (r *records) wait(t *testing.T, e connlog.Event, nth int) connlog.Record {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() { r.mu.Lock(); late = true; r.mu.Unlock(); r.cond.Broadcast() })
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		n := 0
		for _, x := range r.all {
			if x.Event == e {
				if n++; n == nth {
					return x
				}
			}
		}
		if late {
			t.Fatalf("no record %q number %d; have:\n%s", e, nth, r.text())
		}
		r.cond.Wait()
	}
}

func (r *records) count(e connlog.Event) (n int) {
	for _, x := range r.snapshot() {
		if x.Event == e {
			n++
		}
	}
	return n
}

func (r *records) text() string {
	var b strings.Builder
	for _, x := range r.all {
		fmt.Fprintf(&b, "%s %s %d %s %s->%s %s %s %s %s\n", x.Session, x.Event, x.Conn, x.Initiator, x.From, x.To, x.Command, x.Reply, x.Reason, x.Err)
	}
	return b.String()
}

// testPassword is the hash of "pw" at the lowest cost: the tests sign in often, also under the race detector.
func testPassword() Password {
	sum := argon2.IDKey([]byte("pw"), []byte("saltsalt"), 1, 8, 1, 32)
	return Password{"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + base64.RawStdEncoding.EncodeToString(sum)}
}

type rig struct {
	t    *testing.T
	srv  *Server
	rec  *records
	root string
}

// start runs a server on loopback over an empty folder. change may alter the configuration.
func start(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, rec: newRecords(), root: t.TempDir()}
	c := Config{Listen: "127.0.0.1:0", Root: r.root, Recorder: r.rec,
		Accounts: []Account{{Name: "u", Password: testPassword(), Rights: ReadWrite}, {Name: "anonymous"}}}
	c.Limits.StopGrace = 200 * time.Millisecond
	c.Limits.WrongPasswordDelay = time.Millisecond
	if change != nil {
		change(&c)
	}
	srv, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.srv = srv
	t.Cleanup(func() {
		srv.Stop(context.Background())
		if t.Failed() {
			t.Logf("records:\n%s", r.rec.text())
		}
	})
	return r
}

func (r *rig) write(name, content string) {
	r.t.Helper()
	p := filepath.Join(r.root, name)
	os.MkdirAll(filepath.Dir(p), 0o755)
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) content(name string) string {
	b, err := os.ReadFile(filepath.Join(r.root, name))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(b)
}

func (r *rig) names() []string {
	entries, err := os.ReadDir(r.root)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// raw is a client made of a socket: it sends what it is told to.
type raw struct {
	t   *testing.T
	c   net.Conn
	in  *bufio.Reader
	cfg *tls.Config
}

func (r *rig) dial() *raw {
	r.t.Helper()
	c, err := net.Dial("tcp", r.srv.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return &raw{t: r.t, c: c, in: bufio.NewReader(c)}
}

// connect dials and reads the greeting.
func (r *rig) connect() *raw {
	r.t.Helper()
	c := r.dial()
	c.expect(220)
	return c
}

// login connects and signs in, in TYPE I.
func (r *rig) login() *raw {
	r.t.Helper()
	c := r.connect()
	c.cmd(331, "USER u")
	c.cmd(230, "PASS pw")
	c.cmd(200, "TYPE I")
	return c
}

func (c *raw) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.c, s); err != nil {
		c.t.Fatalf("sending %q: %v", s, err)
	}
}

// reply reads one reply; code 0 means the connection ended.
func (c *raw) reply() (int, string) {
	c.t.Helper()
	c.c.SetReadDeadline(time.Now().Add(patience))
	var text []byte
	for {
		line, err := c.in.ReadString('\n')
		text = append(text, line...)
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				c.t.Fatalf("no reply; so far %q", text)
			}
			return 0, string(text)
		}
		r, _, err := wire.ParseReply(text)
		if err == wire.ErrIncomplete {
			continue
		}
		if err != nil {
			c.t.Fatalf("reply %q: %v", text, err)
		}
		return r.Code, strings.Join(r.Lines, "\n")
	}
}

func (c *raw) expect(code int) string {
	c.t.Helper()
	got, text := c.reply()
	if got != code {
		c.t.Fatalf("got %d %q, want %d", got, text, code)
	}
	return text
}

// cmd sends a command and wants a code.
func (c *raw) cmd(code int, format string, args ...any) string {
	c.t.Helper()
	line := fmt.Sprintf(format, args...)
	c.send(line + "\r\n")
	got, text := c.reply()
	if got != code {
		c.t.Fatalf("%s: got %d %q, want %d", line, got, text, code)
	}
	return text
}

// epsv asks for a port and dials it.
func (c *raw) epsv() net.Conn {
	c.t.Helper()
	return c.dialPort(c.epsvPort())
}

func (c *raw) epsvPort() uint16 {
	c.t.Helper()
	port, err := wire.Parse229(c.cmd(229, "EPSV"))
	if err != nil {
		c.t.Fatal(err)
	}
	return port
}

func (c *raw) dialPort(port uint16) net.Conn {
	c.t.Helper()
	host := c.c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: c.c.LocalAddr().(*net.TCPAddr).IP}} // as the control connection
	d, err := dialer.Dial("tcp", netip.AddrPortFrom(host, port).String())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { d.Close() })
	return d
}

// fetch does a whole passive transfer of the server's.
func (c *raw) fetch(format string, args ...any) string {
	c.t.Helper()
	d := c.epsv()
	c.cmd(150, format, args...)
	b, err := io.ReadAll(d)
	if err != nil {
		c.t.Fatal(err)
	}
	c.expect(226)
	return string(b)
}

// store does a whole passive upload.
func (c *raw) store(cmd, content string) {
	c.t.Helper()
	d := c.epsv()
	c.cmd(150, "%s", cmd)
	io.WriteString(d, content)
	d.Close()
	c.expect(226)
}

func (c *raw) startTLS() {
	c.t.Helper()
	c.cmd(234, "AUTH TLS")
	c.cfg = &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	t := tls.Client(c.c, c.cfg)
	if err := t.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.c, c.in = t, bufio.NewReader(t)
}

// from dials the server's data port from another loopback address: a stranger.
// stranger connects to a passive port from another address. It is nil when that was reset before the connect was over.
func (c *raw) stranger(port uint16) net.Conn {
	c.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	s, err := d.Dial("tcp4", "127.0.0.1:"+strconv.Itoa(int(port)))
	switch {
	case err == nil:
	case addressNotOurs(err):
		c.t.Skipf("127.0.0.9 is not an address of this system: %v", err)
	case is(err, resetErrors):
		return nil
	default:
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { s.Close() })
	return s
}

// getsNothing wants a stranger to be closed without a byte.
func (c *raw) getsNothing(s net.Conn) {
	c.t.Helper()
	if s == nil {
		return
	}
	s.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(s); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the stranger got %q, %v", b, err)
	}
}

// limit changes the limits from the next command on, so that a short one ends nothing before the test has come to it.
func (r *rig) limit(change func(*Limits)) {
	r.t.Helper()
	l := r.srv.limits()
	change(&l)
	if err := r.srv.SetLimits(l); err != nil {
		r.t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
