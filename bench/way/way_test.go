//go:build linux

package way_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portside/bench/way"
)

const (
	trip  = 60 * time.Millisecond
	dials = "PORTSIDE_WAY_TEST" // what the far end dials
)

func TestMain(m *testing.M) {
	if at := os.Getenv(dials); at != "" {
		began := time.Now()
		conn, err := net.DialTimeout("tcp", at, 10*time.Second)
		connected := time.Since(began)
		if err == nil {
			_, err = io.ReadAll(conn)
		}
		fmt.Println(connected.Microseconds(), time.Since(began).Microseconds(), err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A connection stands after one round trip, and what the other end says at once comes half a round trip after that end has
// seen it stand.
func TestEverythingTakesItsRoundTrips(t *testing.T) {
	runtime.LockOSThread() // this thread, and what it starts, moves to a namespace of its own, and ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no rights to make a network namespace:", err)
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("no network interfaces of programs on this system:", err)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip is not installed:", err)
	}
	w, err := way.Open(t.Context(), trip)
	if err != nil {
		t.Fatal(err)
	}
	name := w.Args()[3]
	ln, err := net.Listen("tcp", way.Near.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			fmt.Fprint(conn, strings.Repeat("x", 20_000))
			conn.Close()
		}
	}()
	args := w.Args(fmt.Sprintf("/proc/%d/exe", os.Getpid()))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), dials+"="+ln.Addr().String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	var connected, all int64
	if _, scan := fmt.Sscan(string(out), &connected, &all); err != nil || scan != nil {
		t.Fatalf("%v %v %q", err, scan, out)
	}
	// Longer on a busy computer, never shorter, and not for ever. 20,000 bytes are more than the first window, so they take one more.
	if c := time.Duration(connected) * time.Microsecond; c < trip || c > 100*trip {
		t.Errorf("the connection stood after %v", c)
	}
	if a := time.Duration(all) * time.Microsecond; a < 2*trip || a > 100*trip {
		t.Errorf("all was there after %v", a)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/run/netns/" + name); err == nil {
		t.Error("the namespace was left")
	}
}

func TestARoundTripOutOfRangeIsRefused(t *testing.T) {
	for _, trip := range []time.Duration{-time.Second, time.Hour} {
		if _, err := way.Open(t.Context(), trip); err == nil {
			t.Error(trip)
		}
	}
}
