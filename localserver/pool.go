package localserver

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// errNoPort says that every port of the passive range is offered to some session, or taken by another program.
var errNoPort = errors.New("no free port in the passive range")

// portPool is the passive port range. A port is free, offered (a listener waits on it) or in use (its listener is
// closed, its data connection still runs). Free ports are taken at random, so that the next one can't be guessed.
// When none is free, a port that is only in use can be offered again: the data connection that runs on it is another
// four-tuple, and Go's SO_REUSEADDR lets the kernel bind it where the system allows that. Two offers never share one.
// Ports that another program holds are set aside for a while. Taking and giving back cost O(1).
type portPool struct {
	min   uint16
	mu    sync.Mutex
	state []portState
	free  portSet
	used  portSet
	aside []asidePort // oldest first
}

type portState struct {
	offered bool
	aside   bool
	running int32 // data connections that still run on it
	at      int32 // index in free or used
}

type asidePort struct {
	port  uint16
	until time.Time
}

const asideFor = 10 * time.Second

type portSet []uint16

func newPortPool(c PassiveConfig) *portPool {
	if !c.UseRange {
		return nil
	}
	n := int(c.Max) - int(c.Min) + 1
	p := &portPool{min: c.Min, state: make([]portState, n), free: make(portSet, 0, n)}
	for i := range n {
		p.add(&p.free, c.Min+uint16(i))
	}
	return p
}

func (p *portPool) add(set *portSet, port uint16) {
	p.state[port-p.min].at = int32(len(*set))
	*set = append(*set, port)
}

func (p *portPool) remove(set *portSet, port uint16) {
	at, last := p.state[port-p.min].at, len(*set)-1
	moved := (*set)[last]
	(*set)[at] = moved
	p.state[moved-p.min].at = at
	*set = (*set)[:last]
}

// lease is one offer of a port, from the listen to the end of its data connection. pool is nil without a range.
type lease struct {
	pool *portPool
	port uint16
}

// listen opens a listener on addr at a port of the pool, or at one that the system picks when p is nil.
func (p *portPool) listen(addr netip.Addr) (*net.TCPListener, lease, error) {
	if p == nil {
		ln, err := listenData(netip.AddrPortFrom(addr, 0))
		if err != nil {
			return nil, lease{}, err
		}
		return ln, lease{port: uint16(ln.Addr().(*net.TCPAddr).Port)}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.aside) > 0 && now.After(p.aside[0].until) {
		port := p.aside[0].port
		p.aside = p.aside[1:]
		p.state[port-p.min].aside = false
		p.settle(port)
	}
	for {
		set := &p.free
		if len(*set) == 0 {
			set = &p.used
		}
		if len(*set) == 0 {
			return nil, lease{}, errNoPort
		}
		port := (*set)[rand.IntN(len(*set))]
		p.remove(set, port)
		st := &p.state[port-p.min]
		ln, err := listenData(netip.AddrPortFrom(addr, port))
		if err == nil {
			st.offered = true
			return ln, lease{p, port}, nil
		}
		if !addressInUse(err) {
			p.settle(port)
			return nil, lease{}, err
		}
		st.aside = true
		p.aside = append(p.aside, asidePort{port, now.Add(asideFor)})
	}
}

// settle puts a port into the set where it belongs. The caller holds mu, and the port is in no set.
func (p *portPool) settle(port uint16) {
	switch st := &p.state[port-p.min]; {
	case st.offered || st.aside:
	case st.running > 0:
		p.add(&p.used, port)
	default:
		p.add(&p.free, port)
	}
}

// taken says that the offer's listener is closed because its client came: the data connection runs now.
func (l lease) taken() {
	if l.pool == nil {
		return
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	st := &l.pool.state[l.port-l.pool.min]
	st.offered = false
	st.running++
	l.pool.settle(l.port)
}

// withdrawn says that the offer's listener is closed and nobody came.
func (l lease) withdrawn() {
	if l.pool == nil {
		return
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.pool.state[l.port-l.pool.min].offered = false
	l.pool.settle(l.port)
}

// ended says that the data connection of a lease that was taken is closed.
func (l lease) ended() {
	if l.pool == nil {
		return
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	st := &l.pool.state[l.port-l.pool.min]
	st.running--
	if st.running == 0 && !st.offered && !st.aside {
		l.pool.remove(&l.pool.used, l.port)
		l.pool.settle(l.port)
	}
}

// listenData opens a listener for one data connection. It does without Multipath TCP, which Go has on by itself: a
// listen and close alone took 77 µs with it and 45 without. Nor does it need keep-alive: the stall time watches.
func listenData(at netip.AddrPort) (*net.TCPListener, error) {
	c := net.ListenConfig{KeepAlive: -1}
	c.SetMultipathTCP(false)
	l, err := c.Listen(context.Background(), tcpNetwork(at.Addr()), at.String()) // a numeric address: nothing is looked up
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

func tcpNetwork(addr netip.Addr) string {
	if addr.Is4() {
		return "tcp4"
	}
	return "tcp6"
}
