package localserver

import (
	"net/netip"
	"sync"
	"time"
)

// guard counts sessions and wrong passwords for each address. IPv6 addresses count as their /64, which is what one
// customer gets.
type guard struct {
	mu       sync.Mutex
	sessions map[netip.Addr]int
	wrong    map[netip.Addr]*wrongCount
}

type wrongCount struct {
	n     int
	until time.Time // shut out until then
	last  time.Time
}

// maxWrong bounds the memory that a flood from many addresses can take.
const maxWrong = 20000

func newGuard() *guard {
	return &guard{sessions: map[netip.Addr]int{}, wrong: map[netip.Addr]*wrongCount{}}
}

func guardKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// admit counts a new session of addr, or says why it can't be.
func (g *guard) admit(addr netip.Addr, l Limits, now time.Time) (refusal string) {
	k := guardKey(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.wrong[k]; w != nil && now.Before(w.until) {
		return "Too many wrong passwords from your address. Try again later."
	}
	if l.MaxSessionsPerAddress > 0 && g.sessions[k] >= l.MaxSessionsPerAddress {
		return "Too many connections from your address. Close some, or try again later."
	}
	g.sessions[k]++
	return ""
}

func (g *guard) leave(addr netip.Addr) {
	k := guardKey(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[k]--; g.sessions[k] <= 0 {
		delete(g.sessions, k)
	}
}

// wrongPassword counts one and returns how long the answer must wait. The delay doubles with each wrong password of
// the address, whatever connection it comes over, up to eight seconds.
func (g *guard) wrongPassword(addr netip.Addr, l Limits, now time.Time) (delay time.Duration) {
	k := guardKey(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wrong[k]
	if w == nil || now.Sub(w.last) > l.ShutOutFor {
		if w == nil && len(g.wrong) >= maxWrong {
			for old, e := range g.wrong { // any entry that no longer holds goes; else any
				delete(g.wrong, old)
				if now.After(e.until) {
					break
				}
			}
		}
		w = &wrongCount{}
		g.wrong[k] = w
	}
	w.n++
	w.last = now
	if l.ShutOutAfter > 0 && w.n >= l.ShutOutAfter {
		w.until = now.Add(l.ShutOutFor)
	}
	return min(l.WrongPasswordDelay<<min(w.n-1, 8), 8*time.Second)
}

// rightPassword forgets the wrong ones.
func (g *guard) rightPassword(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.wrong, guardKey(addr))
}
