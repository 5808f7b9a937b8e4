// Package way puts a network namespace at a distance from the one that the program runs in: every packet between the two
// arrives half a round trip later. So both ends have a whole TCP stack each, and whatever they wait for (handshakes, TLS,
// acknowledgements, windows) takes the time that it takes on a real way. Nothing is lost, and there is no limit of speed.
//
// It needs Linux, root's rights, /dev/net/tun and the program ip.
package way

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The two ends, of the block that is set aside for measuring networks (RFC 2544 section C.2.2).
var (
	Near = netip.MustParseAddr("198.18.0.1")
	Far  = netip.MustParseAddr("198.18.0.2")
)

const (
	prefix = "/30"
	mtu    = 1500
	queued = 10_000 // packets under way; more are dropped, as a router would
)

// Way is a distance that stands until [Way.Close].
type Way struct {
	namespace string
	ends      [2]*os.File
	work      sync.WaitGroup
}

// Open makes a namespace at a distance. The round trip is from the time that a packet leaves to the time that its answer
// may be read, 0 to a minute.
func Open(ctx context.Context, roundTrip time.Duration) (*Way, error) {
	if roundTrip < 0 || roundTrip > time.Minute {
		return nil, fmt.Errorf("a round trip of %v is out of range", roundTrip)
	}
	w := &Way{namespace: fmt.Sprintf("portside-way-%d", os.Getpid())}
	if err := ip(ctx, "netns", "add", w.namespace); err != nil {
		return nil, err
	}
	names := [2]string{"portside-near", "portside-far"}
	err := ip(ctx, "-n", w.namespace, "link", "set", "lo", "up")
	for i, name := range names {
		if err == nil {
			w.ends[i], err = tun(name)
		}
	}
	for _, args := range [][]string{
		{"link", "set", names[1], "netns", w.namespace},
		{"address", "add", Near.String() + prefix, "dev", names[0]},
		{"link", "set", names[0], "mtu", fmt.Sprint(mtu), "up"},
		{"-n", w.namespace, "address", "add", Far.String() + prefix, "dev", names[1]},
		{"-n", w.namespace, "link", "set", names[1], "mtu", fmt.Sprint(mtu), "up"},
	} {
		if err == nil {
			err = ip(ctx, args...)
		}
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.carry(w.ends[0], w.ends[1], roundTrip/2)
	w.carry(w.ends[1], w.ends[0], roundTrip/2)
	return w, nil
}

// Args is a command line that runs args at the far end.
func (w *Way) Args(args ...string) []string {
	return append([]string{"ip", "netns", "exec", w.namespace}, args...)
}

// Close takes the namespace away. Programs that still run in it lose their network.
func (w *Way) Close() error {
	var errs []error
	for _, f := range w.ends {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	w.work.Wait()
	return errors.Join(append(errs, ip(context.Background(), "netns", "delete", w.namespace))...)
}

// tun makes a network interface of which this program is the cable.
func tun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

type packet struct {
	at   time.Time
	data []byte
}

// carry takes packets from one end to the other until the ends are closed.
func (w *Way) carry(from, to *os.File, delay time.Duration) {
	under := make(chan packet, queued)
	w.work.Go(func() {
		defer close(under)
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			select {
			case under <- packet{time.Now().Add(delay), append([]byte(nil), b[:n]...)}:
			default:
			}
		}
	})
	w.work.Go(func() {
		// The runtime's timers are a millisecond coarse, and a file takes several of them.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for p := range under {
			if d := time.Until(p.at); d > 0 {
				ts := unix.NsecToTimespec(int64(d))
				_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
			}
			_, _ = to.Write(p.data) // an interface that is down drops it
		}
	})
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}
