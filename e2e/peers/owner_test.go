//go:build linux

package peers

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Listen, for the tests of this folder, waits at a port of host (empty: of every address), and skips the test on a machine without such an address, as one
// without IPv6.
func Listen(t *testing.T, host string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		t.Skip("no such address here: ", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// The kernel answers with a listening socket when the connection that it was asked for is gone. A connection's port may be
// somebody else's by then, who is not the one that had opened it.
func TestAListenerHasNotTheConnectionsThatHadItsPort(t *testing.T) {
	for _, host := range []string{"127.0.0.2", "::1", ""} {
		t.Run(host, func(t *testing.T) {
			l := Listen(t, host)
			if host == "" {
				host = "127.0.0.1"
			}
			gone := netip.AddrPortFrom(netip.MustParseAddr(host), l.Addr().(*net.TCPAddr).AddrPort().Port())
			if inode := inodeOf(gone, netip.AddrPortFrom(gone.Addr(), 9)); inode != 0 {
				t.Errorf("a connection that is gone is the socket %d of %v", inode, lineage(inode))
			}
			c, err := net.Dial("tcp", gone.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			from := c.LocalAddr().(*net.TCPAddr).AddrPort()
			if inodeOf(from, gone) == 0 {
				t.Error("a connection that is open is not found")
			}
		})
	}
}

// vsftpd's processes of a session end one after the other, and the one with the connection may be the last.
func TestAConnectionOfAProcessWhoseParentHasEndedIsItsGroups(t *testing.T) {
	l := Listen(t, "127.0.0.1")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	parent := exec.Command("bash", "-c", `(exec 3<>/dev/tcp/127.0.0.1/$0 && read -r -u 3) >/dev/null 2>&1 &`, port)
	parent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := parent.Run(); err != nil { // it does not wait for its child
		t.Fatal(err)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	owner := lineage(inodeOf(c.RemoteAddr().(*net.TCPAddr).AddrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort()))
	if !slices.Contains(owner, parent.Process.Pid) {
		t.Errorf("the owners %v are not of the group %d", owner, parent.Process.Pid)
	}
}

// A process that begins has copies of this program's connections until it is another program.
func TestAProcessThatBeginsOwnsNoConnectionOfTheOneThatStartsIt(t *testing.T) {
	if os.Getenv("PORTSIDE_TEST_COPY") != "" {
		_, _ = os.Stdin.Read(make([]byte, 1)) // until it is closed
		return
	}
	l := Listen(t, "127.0.0.1")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	copied, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	child := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), "PORTSIDE_TEST_COPY=1")
	child.ExtraFiles = []*os.File{copied}
	in, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	owner := lineage(inodeOf(c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()))
	in.Close()
	_ = child.Wait()
	if slices.Contains(owner, child.Process.Pid) || !slices.Contains(owner, os.Getpid()) {
		t.Errorf("the owners are %v, with the copy's holder %d or without %d", owner, child.Process.Pid, os.Getpid())
	}
}
