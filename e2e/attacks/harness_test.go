//go:build linux

package attacks

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portside/terminal"
	"portside/wire"
)

// patience bounds every wait; nothing waits that long unless it is broken.
const patience = time.Minute

// soon is how long somebody may take whom nobody holds up, on a busy machine. Who is held up waits for a limit of
// localserver's, and that is longer.
const soon = 15 * time.Second

const user, password = "ann", "sesame 42"

// asProgram has the test binary be portside.
const asProgram = "PORTSIDE_ATTACKED"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(terminal.Run(terminal.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// program is a running portside serve.
type program struct {
	t    *testing.T
	root string
	addr string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	out bytes.Buffer // its log, as it came
	err bytes.Buffer
}

// serve starts portside serve with the user and anonymous, and ends it with the test.
func serve(t *testing.T, options ...string) *program {
	t.Helper()
	return serveFolder(t, t.TempDir(), options...)
}

func serveFolder(t *testing.T, root string, options ...string) *program {
	t.Helper()
	p := &program{t: t, root: root, done: make(chan struct{})}
	bin := os.Getenv("PORTSIDE_BIN")
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		bin = self
	} else if abs, err := filepath.Abs(bin); err == nil {
		bin = abs
	}
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--user", user, "--anonymous", "--write", "--log", "json", "--passive-ports", "any"}, options...)
	p.cmd = exec.Command(bin, append(args, root)...)
	home := t.TempDir()
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "PORTSIDE_PASSWORD="+password, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.err
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listens := make(chan string, 1)
	go func() {
		defer close(p.done)
		lines := bufio.NewReader(out)
		for first := true; ; first = false {
			line, err := lines.ReadBytes('\n')
			p.mu.Lock()
			p.out.Write(line)
			p.mu.Unlock()
			if first {
				listens <- string(line)
			}
			if err != nil {
				break
			}
		}
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("portside serve: %v\n%s", p.cmd.ProcessState, p.err.String())
		}
	})
	first := <-listens
	var listening struct{ Addr string }
	if err := json.Unmarshal([]byte(first), &listening); err != nil || listening.Addr == "" {
		// In text form the address stands in the first line.
		i := strings.Index(first, "127.0.0.1:")
		if i < 0 {
			t.Fatalf("portside serve began with %q", first)
		}
		listening.Addr = strings.TrimRight(strings.Fields(first[i:])[0], ".,;")
	}
	p.addr = listening.Addr
	return p
}

// end ends the program with a signal and waits for it.
func (p *program) end(signal os.Signal) {
	p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.done
		p.t.Error("portside serve did not end")
	}
}

func (p *program) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// file makes a file in the shared folder.
func (p *program) file(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	os.MkdirAll(filepath.Dir(path), 0o755)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// descriptors counts the program's open files and sockets, and resident is its memory in bytes.
func (p *program) descriptors() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(entries)
}

func (p *program) resident() (n int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var size int64
	fmt.Sscan(string(b), &size, &n)
	return n * int64(os.Getpagesize())
}

// client is a raw control connection.
type client struct {
	t    testing.TB
	c    net.Conn
	in   *bufio.Reader
	from net.IP
}

func dial(t testing.TB, addr string, from net.IP) *client {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if from != nil {
		d.LocalAddr = &net.TCPAddr{IP: from}
	}
	c, err := d.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c), from}
}

// connect comes from 127.0.0.1 and reads the greeting.
func (p *program) connect() *client {
	p.t.Helper()
	c := dial(p.t, p.addr, nil)
	c.expect(220)
	return c
}

func (p *program) signIn() *client {
	p.t.Helper()
	c := p.connect()
	c.signIn()
	return c
}

func (c *client) signIn() {
	c.t.Helper()
	c.cmd(331, "USER %s", user)
	c.cmd(230, "PASS %s", password)
	c.cmd(200, "TYPE I")
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.c, s); err != nil {
		c.t.Fatalf("sending %q: %v", s, err)
	}
}

// reply reads one reply; code 0 is the connection's end.
func (c *client) reply() (int, string) {
	c.t.Helper()
	c.c.SetReadDeadline(time.Now().Add(patience))
	var all []byte
	for {
		line, err := c.in.ReadBytes('\n')
		all = append(all, line...)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			c.t.Fatalf("no reply; so far %q", all)
		}
		if err != nil {
			return 0, string(all)
		}
		if r, _, err := wire.ParseReply(all); err == nil {
			return r.Code, strings.Join(r.Lines, "\n")
		} else if err != wire.ErrIncomplete {
			c.t.Fatalf("reply %q: %v", all, err)
		}
	}
}

func (c *client) expect(codes ...int) string {
	c.t.Helper()
	got, text := c.reply()
	for _, want := range codes {
		if got == want {
			return text
		}
	}
	c.t.Fatalf("got %d %q, want %v", got, text, codes)
	return ""
}

// cmd sends a command and wants a code.
func (c *client) cmd(code int, format string, args ...any) string {
	c.t.Helper()
	line := fmt.Sprintf(format, args...)
	c.send(line + "\r\n")
	got, text := c.reply()
	if got != code {
		c.t.Fatalf("%q: got %d %q, want %d", line, got, text, code)
	}
	return text
}

// try sends a command and returns what came back.
func (c *client) try(line string) (int, string) {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.reply()
}

func (c *client) startTLS(config *tls.Config) {
	c.t.Helper()
	t := tls.Client(c.c, config)
	if err := t.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.c, c.in = t, bufio.NewReader(t)
}

// epsv asks for a passive port and returns its address.
func (c *client) epsv() string {
	c.t.Helper()
	port, err := wire.Parse229(c.cmd(229, "EPSV"))
	if err != nil {
		c.t.Fatal(err)
	}
	host := c.c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
	return netip.AddrPortFrom(host, port).String()
}

// data opens a passive data connection.
func (c *client) data() net.Conn {
	c.t.Helper()
	return dial(c.t, c.epsv(), c.from).c
}

// fetch does a passive transfer of the server's and returns its last code and what came.
func (c *client) fetch(line string) (int, string) {
	c.t.Helper()
	d := c.data()
	defer d.Close()
	code, text := c.try(line)
	if code != 150 {
		return code, text
	}
	d.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(d)
	if err != nil {
		c.t.Fatal(err)
	}
	code, _ = c.reply()
	return code, string(b)
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func stranger(n byte) net.IP { return net.IPv4(127, 0, 0, n) }

// secret is what lies outside the shared folder.
const secret = "outside of the shared folder"
