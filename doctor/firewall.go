package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// This file answers one question of a packet filter: is the first packet of a client's connection let in? Rule sets of
// nftables and iptables are read into the same form; each test of a rule says yes, no or maybe. A rule that can't be
// judged is decisive only when the packet's fate depends on it, and then the answer is "unsure", never a guess.

// fwPacket is the first packet of a client's TCP connection to this computer. Its source is an example of a client:
// rules for single other addresses, such as a list of banned ones, don't concern it.
type fwPacket struct {
	from, to netip.Addr
	in       string // the interface that it comes in by
	port     uint16
}

func (p fwPacket) family() string {
	if p.to.Unmap().Is4() {
		return "ip"
	}
	return "ip6"
}

// fwMatch is the outcome of a test, ordered so that the least of several is that of all together.
type fwMatch int8

const (
	fwNo fwMatch = iota
	fwMaybe
	fwYes
)

func fwIf(b bool) fwMatch {
	if b {
		return fwYes
	}
	return fwNo
}

func (m fwMatch) not() fwMatch { return fwYes - m }

type fwTest func(fwPacket) fwMatch

// fwAction is what a rule does with a packet that it matches.
type fwAction int8

const (
	fwPass   fwAction = iota // counts, logs, marks: nothing that decides
	fwAccept                 //
	fwDrop                   // drops or rejects
	fwReturn                 //
	fwJump                   //
	fwGoto                   //
	fwOther                  // hands it to something that can't be looked into: a queue, another address
)

type fwRule struct {
	tests  []fwTest
	action fwAction
	target string // key of the chain, for fwJump and fwGoto
	text   string
}

type fwChain struct {
	family, table, name string
	hook                string // "" when no packet begins here
	priority            int
	drop                bool // policy
	iptables            bool // written by iptables, whatever the kernel keeps it in
	rules               []fwRule
}

func (c *fwChain) key() string { return c.family + " " + c.table + " " + c.name }

// fwRuleset is all that a packet has to pass.
type fwRuleset struct {
	chains map[string]*fwChain
	cuts   []int // ports at which a rule begins or ends to match: between two of them all ports fare alike
}

func (s *fwRuleset) chain(family, table, name string) *fwChain {
	c := &fwChain{family: family, table: table, name: name}
	if old := s.chains[c.key()]; old != nil {
		return old
	}
	if s.chains == nil {
		s.chains = map[string]*fwChain{}
	}
	s.chains[c.key()] = c
	return c
}

func (s *fwRuleset) cut(lo, hi int) { s.cuts = append(s.cuts, lo, hi+1) }

// fwVerdict is what becomes of the packet.
type fwVerdict int8

const (
	fwOpen fwVerdict = iota
	fwClosed
	fwUnsure
	fwFell // out of the end of a chain; never in an fwAnswer
)

// fwAnswer is the verdict with the rule that decides.
type fwAnswer struct {
	verdict fwVerdict
	rule    string
	base    *fwChain // the chain on whose hook it was decided, nil when there is none
}

// bases returns the chains that the packet enters, in order.
func (s *fwRuleset) bases(family string) []*fwChain {
	var all []*fwChain
	for _, c := range s.chains {
		if c.hook != "" && (c.family == family || c.family == "inet" || c.family == "netdev") {
			all = append(all, c)
		}
	}
	order := []string{"ingress", "prerouting", "input"}
	slices.SortFunc(all, func(a, b *fwChain) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.hook), slices.Index(order, b.hook)),
			cmp.Compare(a.priority, b.priority),
			cmp.Compare(a.key(), b.key()),
		)
	})
	return all
}

// ask follows the packet through every chain on its way in. Accepting ends one chain only; dropping ends all.
func (s *fwRuleset) ask(p fwPacket) fwAnswer {
	open := fwAnswer{rule: "no rule refuses it"}
	var unsure *fwAnswer
	steps := 200_000 // a rule set of jumps to jumps may be exponential; none that people write comes near
	for _, base := range s.bases(p.family()) {
		v, rule := s.walk(base, 0, p, 0, &steps)
		a := fwAnswer{v, rule, base}
		switch {
		case v == fwClosed:
			return a
		case v == fwUnsure && unsure == nil:
			unsure = &a
		case v == fwOpen && rule != "" && base.hook == "input":
			open = a
		}
	}
	if unsure != nil {
		return *unsure
	}
	return open
}

// end is what becomes of a packet at the end of c: a base chain has a policy, any other goes back to where it was called.
func (c *fwChain) end(depth int) (fwVerdict, string) {
	switch {
	case depth > 0:
		return fwFell, ""
	case c.drop:
		return fwClosed, c.key() + ": policy drop"
	}
	return fwOpen, ""
}

// walk follows the packet through the rules of c from number i on.
func (s *fwRuleset) walk(c *fwChain, i int, p fwPacket, depth int, steps *int) (fwVerdict, string) {
	for ; i < len(c.rules); i++ {
		r := c.rules[i]
		if *steps--; *steps < 0 || depth > 32 {
			return fwUnsure, "the rules are too many to follow"
		}
		m := fwYes
		for _, t := range r.tests {
			if m = min(m, t(p)); m == fwNo {
				break
			}
		}
		if m == fwNo || r.action == fwPass {
			continue
		}
		v, rule := fwFell, c.key()+": "+r.text
		switch r.action {
		case fwAccept:
			v = fwOpen
		case fwDrop:
			v = fwClosed
		case fwOther:
			v = fwUnsure
		case fwJump, fwGoto:
			to := s.chains[r.target]
			if to == nil {
				v = fwUnsure
				break
			}
			var deeper string
			if v, deeper = s.walk(to, 0, p, depth+1, steps); v != fwFell {
				rule = deeper
			}
			if v == fwFell && r.action == fwJump {
				continue
			}
		}
		if v == fwFell {
			v, rule = c.end(depth)
		}
		if m == fwYes {
			return v, rule
		}
		// The rule may match or not: it matters only when the rest would decide otherwise.
		rest, why := s.walk(c, i+1, p, depth, steps)
		if rest == v {
			return rest, why
		}
		return fwUnsure, rule
	}
	return c.end(depth)
}

// fwSpan is a run of ports that fare alike.
type fwSpan struct {
	lo, hi int
	fwAnswer
}

func (s fwSpan) String() string { return portRange(s.lo, s.hi) }

func portRange(lo, hi int) string {
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

// spans asks for each port from lo to hi, and joins those with the same answer.
func spans(lo, hi int, cuts []int, ask func(port uint16) fwAnswer) []fwSpan {
	at := []int{lo}
	for _, c := range cuts {
		if c > lo && c <= hi {
			at = append(at, c)
		}
	}
	slices.Sort(at)
	at = slices.Compact(at)
	var out []fwSpan
	for i, from := range at {
		to := hi
		if i+1 < len(at) {
			to = at[i+1] - 1
		}
		a := ask(uint16(from))
		if n := len(out); n > 0 && out[n-1].fwAnswer == a {
			out[n-1].hi = to
			continue
		}
		out = append(out, fwSpan{from, to, a})
	}
	return out
}

// fwPorts is a list of port ranges as one match of a rule.
type fwPorts [][2]int

func (l fwPorts) has(port uint16) bool {
	return slices.ContainsFunc(l, func(r [2]int) bool { return int(port) >= r[0] && int(port) <= r[1] })
}

// parsePorts reads "21", "21100:21199" and "21100-21199", several with commas between.
func parsePorts(text string) (fwPorts, bool) {
	var out fwPorts
	for one := range strings.SplitSeq(text, ",") {
		lo, hi, both := strings.Cut(strings.ReplaceAll(strings.TrimSpace(one), "-", ":"), ":")
		var r [2]int
		if _, err := fmt.Sscanf(lo, "%d", &r[0]); err != nil {
			if !both || lo != "" {
				return nil, false
			}
			r[0] = 0
		}
		r[1] = r[0]
		if both {
			if _, err := fmt.Sscanf(hi, "%d", &r[1]); err != nil {
				if hi != "" {
					return nil, false
				}
				r[1] = 65535
			}
		}
		out = append(out, r)
	}
	return out, true
}

// parseNetwork reads an address with or without a prefix length.
func parseNetwork(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}

// interfaceMatches compares an interface's name with a pattern that may end in "*" (nftables) or "+" (iptables).
func interfaceMatches(pattern, name string) bool {
	if n := len(pattern); n > 0 && (pattern[n-1] == '*' || pattern[n-1] == '+') {
		return strings.HasPrefix(name, pattern[:n-1])
	}
	return pattern == name
}
