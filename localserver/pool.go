package localserver

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// errNoPort says that every port of the passive range is offered to some session, or taken by another program.
var errNoPort = errors.New("no free port in the passive range")

// portPool is the passive port range. A port is free, offered (a listener waits on it) or in use (its listener is
// closed, its data connection still runs). Free ports are taken at random, so that the next one can't be guessed.
// When none is free, a port that is only in use can be offered again: the data connection that runs on it is another
// four-tuple, and Go's SO_REUSEADDR lets the kernel bind it where the system allows that. Two offers never share one.
// Ports that another program holds are set aside for a while. Taking and giving back cost O(1), while a port is free.
//
// When all ports are offered, an address gets one of those of the address that has the most, as long as that one is left
// with as many at least: so one address may have the whole range while nobody else wants it, and keeps nobody out. The
// offer that has waited longest goes: whoever means to come comes soon. (vsftpd, ProFTPD and FileZilla Server know no such
// rule: there whoever has as many sessions as ports keeps all others out.)
type portPool struct {
	min    uint16
	mu     sync.Mutex
	state  []portState
	free   portSet
	used   portSet
	aside  []asidePort               // oldest first
	offers map[netip.Addr]*list.List // of standingOffer, oldest first, by whose they are
}

type portState struct {
	offered  bool
	aside    bool
	promised bool  // taken back from one, and about to be offered to another
	running  int32 // data connections that still run on it
	at       int32 // index in free or used
	standing *list.Element
	left     int64 // when its last listener here was closed, in nanoseconds of Unix time
}

// childStart is how long a process that this program starts, such as one that asks the firewall, may take until it runs a
// program of its own. Until then it has copies of all sockets: a port that was just given back may be in use by nobody else.
const childStart = time.Second

// standingOffer is an offer that can be taken back.
type standingOffer struct {
	port     uint16
	owner    netip.Addr
	takeBack func() // returns when its listener is closed
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
	p := &portPool{min: c.Min, state: make([]portState, n), free: make(portSet, 0, n), offers: map[netip.Addr]*list.List{}}
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

// listen opens a listener on addr at a port of the pool, or at one that the system picks when p is nil. owner is whose the
// offer will be.
func (p *portPool) listen(addr, owner netip.Addr) (*net.TCPListener, lease, error) {
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
		port, ok := p.pick()
		if !ok {
			if port, ok = p.takeBack(owner); !ok {
				return nil, lease{}, errNoPort
			}
		}
		st := &p.state[port-p.min]
		ln, err := p.bind(netip.AddrPortFrom(addr, port))
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

// bind listens on a port that is in no set. Was it ours until a moment ago, that may take a little: see [childStart]. The caller
// holds mu, which is let go of meanwhile.
func (p *portPool) bind(at netip.AddrPort) (*net.TCPListener, error) {
	st := &p.state[at.Port()-p.min]
	for pause := time.Millisecond; ; pause *= 2 {
		ln, err := listenData(at)
		ago := time.Duration(time.Now().UnixNano() - st.left) // below 0: the clock was set back
		if err == nil || !addressInUse(err) || st.running > 0 || ago < 0 || ago > childStart {
			return ln, err
		}
		st.promised = true
		p.mu.Unlock()
		time.Sleep(pause)
		p.mu.Lock()
		st.promised = false
	}
}

// others returns the ports of the range that other programs were seen to hold, lowest first.
func (p *portPool) others() (ports []uint16) {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.aside {
		ports = append(ports, a.port)
	}
	slices.Sort(ports)
	return ports
}

// pick takes a port that is free, else one that is only in use, out of its set. The caller holds mu.
func (p *portPool) pick() (port uint16, ok bool) {
	set := &p.free
	if len(*set) == 0 {
		set = &p.used
	}
	if len(*set) == 0 {
		return 0, false
	}
	port = (*set)[rand.IntN(len(*set))]
	p.remove(set, port)
	return port, true
}

// takeBack frees a port for owner, if another has its fair share even without it. The caller holds mu, which is let go of
// meanwhile.
func (p *portPool) takeBack(owner netip.Addr) (port uint16, ok bool) {
	has, most := 0, (*list.List)(nil)
	if own := p.offers[owner]; own != nil {
		has = own.Len()
	}
	for _, all := range p.offers {
		if most == nil || all.Len() > most.Len() {
			most = all
		}
	}
	if most == nil || most.Len() <= has+1 {
		return 0, false
	}
	o := most.Front().Value.(standingOffer)
	p.gone(o.port)
	st := &p.state[o.port-p.min]
	st.promised = true
	p.mu.Unlock()
	o.takeBack()
	p.mu.Lock()
	st.promised = false
	return o.port, true
}

// gone says that nobody can come to an offer any more. The caller holds mu.
func (p *portPool) gone(port uint16) {
	st := &p.state[port-p.min]
	if st.standing == nil {
		return
	}
	owner := st.standing.Value.(standingOffer).owner
	all := p.offers[owner]
	all.Remove(st.standing)
	st.standing = nil
	if all.Len() == 0 {
		delete(p.offers, owner)
	}
}

// settle puts a port into the set where it belongs. The caller holds mu, and the port is in no set.
func (p *portPool) settle(port uint16) {
	switch st := &p.state[port-p.min]; {
	case st.offered || st.aside || st.promised:
	case st.running > 0:
		p.add(&p.used, port)
	default:
		p.add(&p.free, port)
	}
}

// standing says whose the offer is, and how it can be taken back.
func (l lease) standing(owner netip.Addr, takeBack func()) {
	if l.pool == nil {
		return
	}
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.offers[owner]
	if all == nil {
		all = list.New()
		p.offers[owner] = all
	}
	p.state[l.port-p.min].standing = all.PushBack(standingOffer{l.port, owner, takeBack})
}

// taken says that the offer's listener is closed because its client came: the data connection runs now.
func (l lease) taken() {
	if l.pool == nil {
		return
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.pool.gone(l.port)
	st := &l.pool.state[l.port-l.pool.min]
	st.offered, st.left = false, time.Now().UnixNano()
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
	l.pool.gone(l.port)
	st := &l.pool.state[l.port-l.pool.min]
	st.offered, st.left = false, time.Now().UnixNano()
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
	if st.running == 0 && !st.offered && !st.aside && !st.promised {
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
