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
	n     int            // for all names
	of    map[string]int // of them, by account; those for names that nobody has stay until all are old
	until time.Time      // shut out until then
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
	if g.out(k, now) {
		return shutOutText
	}
	if l.MaxSessionsPerAddress > 0 && g.sessions[k] >= l.MaxSessionsPerAddress {
		return "Too many connections from your address. Close some, or try again later."
	}
	g.sessions[k]++
	return ""
}

const shutOutText = "Too many wrong passwords from your address. Try again later."

// out reports whether an address is shut out. The caller holds mu.
func (g *guard) out(key netip.Addr, now time.Time) bool {
	w := g.wrong[key]
	return w != nil && now.Before(w.until)
}

// shutOut reports whether an address may try no password now, not over a connection that stands either.
func (g *guard) shutOut(addr netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out(guardKey(addr), now)
}

func (g *guard) leave(addr netip.Addr) {
	k := guardKey(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[k]--; g.sessions[k] <= 0 {
		delete(g.sessions, k)
	}
}

// wrongPassword counts one for an account ("": a name that nobody has) and returns how long the answer must wait. The delay
// doubles with each wrong password of the address, whatever name it is for and connection it comes over, up to eight seconds.
func (g *guard) wrongPassword(addr netip.Addr, account string, l Limits, now time.Time) (delay time.Duration) {
	k := guardKey(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wrong[k]
	if w == nil || now.Sub(w.last) > l.ShutOutFor {
		if w == nil && len(g.wrong) >= maxWrong {
			var goes netip.Addr // one that shuts nobody out now; else any
			for old, e := range g.wrong {
				if goes = old; now.After(e.until) {
					break
				}
			}
			delete(g.wrong, goes)
		}
		w = &wrongCount{of: map[string]int{}}
		g.wrong[k] = w
	}
	w.n++
	if account != "" {
		w.of[account]++
	}
	w.last = now
	if l.ShutOutAfter > 0 && w.n >= l.ShutOutAfter {
		w.until = now.Add(l.ShutOutFor)
	}
	return min(l.WrongPasswordDelay<<min(w.n-1, 8), 8*time.Second)
}

// rightPassword forgets the wrong ones for this account, not those for others: who has an account could guess theirs for
// ever, with a right password of the own one in between.
func (g *guard) rightPassword(addr netip.Addr, account string) {
	k := guardKey(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wrong[k]
	if w == nil {
		return
	}
	w.n -= w.of[account]
	delete(w.of, account)
	if w.n == 0 {
		delete(g.wrong, k)
	}
}
