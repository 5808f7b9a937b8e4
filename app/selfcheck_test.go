package app

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"portside/doctor"
)

// noRouter is this computer, whose router is not asked: a test talks to nobody but itself.
func noRouter() doctor.SelfEnv {
	env := doctor.System()
	env.FindRouter = nil
	return env
}

// natPMP is a router on loopback that forwards what it is asked to (RFC 6886).
type natPMP struct {
	mu    sync.Mutex
	ports map[uint16]bool
}

func (n *natPMP) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ports)
}

func (n *natPMP) serve(t *testing.T) netip.AddrPort {
	n.ports = map[uint16]bool{}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			size, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			switch {
			case size == 2:
				conn.WriteToUDP([]byte{0, 128, 0, 0, 0, 0, 0, 1, 198, 51, 100, 7}, from)
			case size == 12:
				port := binary.BigEndian.Uint16(buf[4:])
				n.mu.Lock()
				delete(n.ports, port)
				if binary.BigEndian.Uint32(buf[8:]) > 0 {
					n.ports[port] = true
				}
				n.mu.Unlock()
				conn.WriteToUDP(append([]byte{0, 130, 0, 0, 0, 0, 0, 1}, buf[4:12]...), from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestTheSelfCheckRunsWhenSharingStartsAndWhenPassiveSettingsChange(t *testing.T) {
	a := start(t)
	if c := a.SelfCheck(); c.Checking || !c.Done.IsZero() {
		t.Errorf("before anything was asked for: %+v", c)
	}
	a.share.startOver(t, t.TempDir(), nil)
	until(t, "the check ended", func() bool { return a.SelfCheck().Stamp >= 1 && !a.SelfCheck().Checking })
	first := a.SelfCheck()
	if len(first.Report.Findings) < 5 || first.Done.IsZero() {
		t.Errorf("%+v", first)
	}
	set := a.Settings().Share
	set.UseRange, set.Min, set.Max = true, 21100, 21109
	if err := applyPassive(t, a, set); err != nil {
		t.Fatal(err)
	}
	until(t, "the new range was judged", func() bool {
		for _, f := range a.SelfCheck().Report.Findings {
			if f.ID == doctor.SelfRangeSize && f.State == doctor.SelfWarn {
				return true
			}
		}
		return false
	})
}

func TestTheRouterForwardsUntilSharingStops(t *testing.T) {
	router := &natPMP{}
	loop := netip.MustParseAddr("127.0.0.1")
	search := doctor.RouterSearch{Gateway: loop, Local: loop, PMP: router.serve(t), PMPWait: time.Minute,
		SSDP: netip.AddrPortFrom(loop, 9), SSDPWait: 100 * time.Millisecond}
	a := start(t)
	a.share.check.env = func() doctor.SelfEnv {
		env := noRouter()
		env.Interfaces = func() ([]doctor.SelfInterface, error) {
			return []doctor.SelfInterface{{Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.1.20/24")}}}, nil
		}
		read := env.ReadFile
		env.ReadFile = func(name string) ([]byte, error) {
			if name == "/proc/net/route" {
				return []byte("eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"), nil
			}
			return read(name)
		}
		env.OS = "linux"
		env.FindRouter = func(ctx context.Context, _ doctor.RouterSearch) (*doctor.Router, error) {
			return doctor.FindRouter(ctx, search)
		}
		return env
	}
	a.share.startOver(t, t.TempDir(), func(set *ShareSettings) { set.UseRange, set.Min, set.Max = true, 23100, 23119 })
	until(t, "the check has ended", func() bool { c := a.SelfCheck(); return !c.Checking && c.Report.RouterNotAsked })
	if a.SelfCheck().Report.Router != nil {
		t.Error("the router was asked without the person's word")
	}
	a.LookAtRouter()
	until(t, "the router was found", func() bool { return a.SelfCheck().CanAskRouter() })
	if router.count() != 0 {
		t.Errorf("%d ports are forwarded, and nobody asked for it", router.count())
	}
	a.share.check.turn.Lock()
	a.AskRouter()
	a.StopShare()
	until(t, "the server has stopped", func() bool { return a.Share().Phase == Stopped })
	a.share.check.turn.Unlock()
	until(t, "nothing is asked of the router any more", func() bool { return !a.SelfCheck().Asking })
	if router.count() != 0 || a.SelfCheck().Forwarded {
		t.Errorf("%d ports of a server that has stopped are forwarded", router.count())
	}
	a.StartShare()
	until(t, "it runs again and the router was found", func() bool {
		return a.Share().Phase == Running && !a.SelfCheck().Checking && a.SelfCheck().CanAskRouter()
	})
	a.AskRouter()
	until(t, "the ports are forwarded", func() bool { return a.SelfCheck().Forwarded })
	if router.count() != 21 {
		t.Errorf("%d ports are forwarded, want the control port and 20", router.count())
	}
	a.StopShare()
	until(t, "they are no longer", func() bool { return router.count() == 0 && !a.SelfCheck().Forwarded })
}

func TestTheEstimateIsRememberedAndJudgesTheRange(t *testing.T) {
	a := start(t)
	if err := a.SetEstimate(0, 4); err == nil {
		t.Error("nobody at once was taken")
	}
	if err := a.SetEstimate(30, 5); err != nil {
		t.Fatal(err)
	}
	if err := a.saved.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	set := New(a.dir).Settings().Share
	if set.People != 30 || set.FilesEach != 5 {
		t.Errorf("after a restart %d people and %d files", set.People, set.FilesEach)
	}
	e := EstimateRange(set, set.People, set.FilesEach)
	if e.Enough || e.Need != 225 || e.Max-e.Min+1 < e.Need {
		t.Errorf("%+v", e)
	}
	set.Min, set.Max = e.Min, e.Max
	if !EstimateRange(set, 30, 5).Enough {
		t.Error("the range that was proposed is not enough")
	}
}
