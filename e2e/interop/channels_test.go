//go:build linux

package interop

import (
	"math"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portside/e2e/peers"
)

// channelCheck holds a JSON log against the kernel's view of the same time.
//
// Every control and data connection in the log must have been opened by the side, from and to the addresses that the kernel
// saw; every connection that the kernel saw between the two sides must stand in the log.
type channelCheck struct {
	kernel         *peers.Kernel  // nil: not allowed to look, so only the log itself is checked
	first          int            // of the kernel's openings; those before are not of this log
	active         bool           // the mode that was asked for
	tls            bool           // data connections must be protected
	resumed        bool           // and resume the control connection's TLS session
	client, server int            // process groups
	at             netip.AddrPort // the server's address
	count          *count
}

// count is how many connections were checked, and of how many of those the kernel could name the owner.
type count struct{ all, named atomic.Int64 }

// report fails when the kernel named no owner, so that the check says nothing.
func (c *count) report(t *testing.T) {
	all, named := c.all.Load(), c.named.Load()
	t.Logf("%d connections stand in the logs as the kernel saw them; of %d it could also say whose they were", all, named)
	if all > 0 && named == 0 {
		t.Error("the kernel named the owner of no connection")
	}
}

// hosts are the servers' addresses. The client's end of an IPv4 connection is 127.0.0.1.
var hosts = []string{"127.0.0.2", "::1"}

func watchKernel(t *testing.T) *peers.Kernel {
	var ends []netip.Addr
	for _, h := range hosts {
		ends = append(ends, netip.MustParseAddr(h))
	}
	return peers.WatchKernel(t, ends...)
}

// ends are a connection's two ends, from being the initiator's.
type ends struct{ from, to netip.AddrPort }

// openings is how many connections the kernel, if it may be asked, has seen until now.
func openings(t *testing.T, k *peers.Kernel) int {
	t.Helper()
	if k == nil {
		return 0
	}
	n, err := k.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// kernelDelay is the longest that the kernel's report may come later than the end of the session.
const kernelDelay = time.Minute

func (c channelCheck) run(t *testing.T, log []record) {
	t.Helper()
	logged, withdrawn := c.fromLog(t, log)
	if c.kernel == nil {
		return
	}
	last, err := c.kernel.Now(t.Context())
	if err != nil {
		t.Log(err)
		last = math.MaxInt
	}
	var seen map[ends]peers.Opening
	for limit := time.Now().Add(kernelDelay); ; time.Sleep(5 * time.Millisecond) {
		if seen = c.fromKernel(last); time.Now().After(limit) || covers(seen, logged) {
			break
		}
	}
	if lost := c.kernel.Lost(); lost > 0 && !covers(seen, logged) {
		t.Logf("not held against the kernel, which could not report %d connections of this busy machine", lost)
		return
	}
	named := 0
	for e, r := range logged {
		o, ok := seen[e]
		if !ok {
			t.Errorf("the kernel saw no such connection: %v\nit saw %v", r, seen)
			continue
		}
		owner, other := c.client, c.server
		if r.Initiator == "server" {
			owner, other = other, owner
		}
		switch {
		case len(o.Owner) == 0: // the socket was gone before one could ask whose it is
		case o.OwnedBy(owner):
			named++
		case o.OwnedBy(other):
			t.Errorf("the kernel says that the other side opened it: %v\n%v", o, r)
		default:
			t.Errorf("the kernel says that somebody else opened it: %v\n%v", o, r)
		}
		// Over IPv4 the server has an address of its own, so the address alone tells the sides apart.
		if fromServer := e.from.Addr() == c.at.Addr(); c.at.Addr().Is4() && fromServer != (r.Initiator == "server") {
			t.Errorf("the initiator's address is not the %s's: %v", r.Initiator, r)
		}
	}
	if c.count != nil {
		c.count.named.Add(int64(named))
		c.count.all.Add(int64(len(logged)))
	}
	for e, o := range seen {
		if withdrawn[e.to] {
			continue // it came to the offer when that was withdrawn, and was never accepted
		}
		if _, ok := logged[e]; !ok && (e.to == c.at || o.OwnedBy(c.client) || o.OwnedBy(c.server)) {
			t.Errorf("a connection stands in no record: %v\n%s", o, dialogue(log))
		}
	}
}

// fromLog checks the records themselves and returns those of opened connections, and the addresses of offers that were
// withdrawn before anybody was accepted.
func (c channelCheck) fromLog(t *testing.T, log []record) (logged map[ends]record, withdrawn map[netip.AddrPort]bool) {
	t.Helper()
	mode, initiator := "passive", "client"
	if c.active {
		mode, initiator = "active", "server"
	}
	type conn struct {
		session string
		number  int
	}
	logged, withdrawn = map[ends]record{}, map[netip.AddrPort]bool{}
	opened, closed, protected, unused := map[conn]record{}, map[conn]bool{}, map[conn]record{}, map[conn]bool{}
	for _, r := range log {
		id := conn{r.Session, r.Conn}
		want := "client"
		switch r.Event {
		case "data-opened":
			opened[id] = r
			want = initiator
			if r.Mode != mode {
				t.Errorf("the mode is not %s: %v", mode, r)
			}
		case "control-opened":
		case "offer-expired":
			// A dial that was given up may have reached the other side's queue in the same moment, and an offer that was taken
			// back may have somebody in its own: nobody ever had that connection.
			if r.Reason == "not-taken" {
				withdrawn[address(t, r, r.To)] = true
			}
			continue
		case "data-tls":
			protected[id] = r
			continue
		case "data-closed":
			closed[id] = true
			continue
		case "data-failed", "control-failed", "stranger-refused", "ports-exhausted", "mode-changed":
			if r.Reason == "not-taken" { // the client asked for a connection, and then nothing went over it
				closed[id], unused[id] = true, true
				if opened[id].Event == "" {
					withdrawn[address(t, r, r.To)] = true
				}
				continue
			}
			t.Errorf("unexpected: %v", r)
			continue
		default:
			continue
		}
		if r.Initiator != want {
			t.Errorf("the initiator is not the %s: %v", want, r)
		}
		logged[ends{address(t, r, r.From), address(t, r, r.To)}] = r
	}
	if len(opened) == 0 {
		t.Errorf("no data connection in the log:\n%s", dialogue(log))
	}
	for id, r := range opened {
		if !closed[id] {
			t.Errorf("no record says that it was closed: %v", r)
		}
		p, ok := protected[id]
		if unused[id] && !ok {
			continue // asked for ahead: TLS begins with the transfer
		}
		if ok != c.tls || ok && !strings.HasPrefix(p.TLS, "TLS 1.") {
			t.Errorf("TLS of the data connection is %v, want %v: %v %v", ok, c.tls, r, p)
		}
		if c.resumed && !p.Resumed {
			t.Errorf("the control connection's TLS session is not resumed: %v", p)
		}
	}
	return logged, withdrawn
}

// fromKernel is what the kernel saw until it had seen last openings.
func (c channelCheck) fromKernel(last int) map[ends]peers.Opening {
	seen := map[ends]peers.Opening{}
	all := c.kernel.Openings()
	for _, o := range all[c.first:min(last, len(all))] {
		e := ends{o.From, o.To}
		if len(seen[e].Owner) == 0 { // a SYN that was sent again is no other connection
			seen[e] = o
		}
	}
	return seen
}

// covers says whether the kernel has reported all connections of a log, and whose they are.
func covers(seen map[ends]peers.Opening, logged map[ends]record) bool {
	for e := range logged {
		if o, ok := seen[e]; !ok || !o.Asked {
			return false
		}
	}
	return true
}
