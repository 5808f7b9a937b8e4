package doctor

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// smallestRange is the number of passive ports below which a range is not worth having: two or three people and the
// listings that their clients ask for on the side.
const smallestRange = 20

// maxPassivePorts is all there are from 1024 to 65535.
const maxPassivePorts = 65535 - 1024 + 1

// PortsNeeded estimates how many passive ports a server needs for people who are connected at the same time, each moving
// filesEach files at once. why says so in words that go on after a colon.
//
// Each file takes one port. Half as many again are for offers that nobody takes (a client behind a firewall holds a port
// until its offer ends). For small numbers chance weighs more: there, the answer is what Erlang's formula B gives for a
// loss of one offer in a thousand.
func PortsNeeded(people, filesEach int) (need int, why string) {
	streams := min(max(people, 1)*max(filesEach, 1), maxPassivePorts)
	need = max(smallestRange, erlangB(float64(streams), 0.001), (3*streams+1)/2)
	need = min(need, maxPassivePorts)
	switch need {
	case smallestRange:
		return need, "clients list folders while they move files, so fewer are not worth having."
	case maxPassivePorts:
		return need, "all that there are from 1024 on."
	}
	return need, fmt.Sprintf("%d files at once, and %d to spare for offers that nobody takes.", streams, need-streams)
}

// erlangB returns the least number of ports that refuse at most the share loss of offers under the load (in Erlang).
// For large loads, half again is more and spares the loop.
func erlangB(load, loss float64) int {
	if load > 200 {
		return 0
	}
	blocked := 1.0
	for n := 1; ; n++ {
		blocked = load * blocked / (float64(n) + load*blocked)
		if blocked <= loss || math.IsNaN(blocked) {
			return n
		}
	}
}

// Ephemeral is the range of ports that the system takes for its own outgoing connections, both ends included.
type Ephemeral struct {
	Min, Max int
	// Reserved are ports in it that the system leaves alone (Linux: net.ipv4.ip_local_reserved_ports).
	Reserved string
}

// taken says whether the system may take a port of lo to hi, and which is the first.
func (e Ephemeral) taken(lo, hi int) (int, bool) {
	reserved, _ := parsePorts(e.Reserved)
	for p := max(lo, e.Min); p <= min(hi, e.Max); p++ {
		if !reserved.has(uint16(p)) {
			return p, true
		}
	}
	return 0, false
}

// SuggestRange returns a passive range of at least need ports, from the given one on when that can be: clear of the control port
// and, if there is room, of the ports that the system uses itself. Where so many can't be, it is the longest range there is.
func SuggestRange(from, need, control int, e Ephemeral) (lo, hi int) {
	need = (need + 9) / 10 * 10
	fits := func(lo int) bool {
		hi := lo + need - 1
		if lo < 1024 || hi > 65535 || control >= lo && control <= hi {
			return false
		}
		_, taken := e.taken(lo, hi)
		return !taken
	}
	for _, lo := range []int{from, 21100, control + 1, 10000, 5000, 1024} {
		if fits(lo) {
			return lo, lo + need - 1
		}
	}
	// There is no room beside the system's own ports: better shared than too few, and too few than what can't be.
	lo, hi = 1024, 65535
	switch below, above := control-lo, hi-control; {
	case control < lo:
	case above >= need || above >= below:
		lo = control + 1
	default:
		hi = control - 1
	}
	return lo, min(hi, lo+need-1)
}

// readEphemeral asks the system for the range.
func (c *selfCheck) readEphemeral() Ephemeral {
	switch c.env.OS {
	case "linux":
		e := Ephemeral{Min: 32768, Max: 60999} // the kernel's default
		if text, err := c.env.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
			fmt.Sscan(string(text), &e.Min, &e.Max)
		}
		if text, err := c.env.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports"); err == nil {
			e.Reserved = strings.TrimSpace(string(text))
		}
		return e
	case "darwin":
		e := Ephemeral{Min: 49152, Max: 65535}
		if text, err := c.env.Run(c.ctx, "sysctl", "-n", "net.inet.ip.portrange.first", "net.inet.ip.portrange.last"); err == nil {
			fmt.Sscan(text, &e.Min, &e.Max)
		}
		return e
	case "windows":
		// "Start Port : 49152" and "Number of Ports : 16384", in the system's language: the numbers count.
		e := Ephemeral{Min: 49152, Max: 65535}
		if text, err := c.env.Run(c.ctx, "netsh", "int", "ipv4", "show", "dynamicport", "tcp"); err == nil {
			if m := regexp.MustCompile(`: (\d+)`).FindAllStringSubmatch(text, 2); len(m) == 2 {
				start, _ := strconv.Atoi(m[0][1])
				n, _ := strconv.Atoi(m[1][1])
				if start > 0 && n > 0 {
					e.Min, e.Max = start, start+n-1
				}
			}
		}
		return e
	}
	return Ephemeral{Min: 49152, Max: 65535} // RFC 6335
}

// busyPorts returns the ports from lo to hi that somebody else listens on, and who, where that is known.
func (c *selfCheck) busyPorts(lo, hi int) (busy []int, ok bool) {
	own := map[int]bool{}
	for _, p := range c.t.Held {
		own[int(p)] = true
	}
	if !c.t.Running {
		for p := lo; p <= hi && c.ctx.Err() == nil; p++ {
			if err := c.env.Listen(c.ctx, c.t.Listen, uint16(p)); errors.Is(err, ErrPortTaken) {
				busy = append(busy, p)
			}
		}
		return busy, c.ctx.Err() == nil
	}
	// While the server runs, trying a port could be in the way of a client: look, don't touch.
	seen := false
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := c.env.ReadFile(table)
		if err != nil {
			continue
		}
		seen = true
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != "0A" { // LISTEN
				continue
			}
			_, port, _ := strings.Cut(f[1], ":")
			p, err := strconv.ParseUint(port, 16, 16)
			if n := int(p); err == nil && n >= lo && n <= hi && !own[n] {
				own[n] = true
				busy = append(busy, n)
			}
		}
	}
	return busy, seen
}

var ssLine = regexp.MustCompile(`^LISTEN\s+\S+\s+\S+\s+\S*:(\d+)\s+\S+\s+users:\(\("([^"]+)",pid=(\d+)`)

// holders names the programs that listen, by port.
func (c *selfCheck) holders() map[int]string {
	out := map[int]string{}
	switch c.env.OS {
	case "linux":
		text, _ := c.env.Run(c.ctx, "ss", "-ltnpH")
		for line := range strings.Lines(text) {
			if m := ssLine.FindStringSubmatch(line); m != nil {
				p, _ := strconv.Atoi(m[1])
				out[p] = m[2] + " (process " + m[3] + ")"
			}
		}
	case "darwin":
		text, _ := c.env.Run(c.ctx, "lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-Fpcn")
		pid, name := "", ""
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			switch value := line[1:]; line[0] {
			case 'p':
				pid = value
			case 'c':
				name = value
			case 'n':
				if p, err := strconv.Atoi(value[strings.LastIndex(value, ":")+1:]); err == nil {
					out[p] = name + " (process " + pid + ")"
				}
			}
		}
	case "windows":
		text, _ := c.env.Run(c.ctx, "netstat", "-ano", "-p", "TCP")
		listening := regexp.MustCompile(`(?m)^\s*TCP\s+\S+:(\d+)\s+\S+:0\s+\S+\s+(\d+)`)
		for _, m := range listening.FindAllStringSubmatch(text, -1) {
			p, _ := strconv.Atoi(m[1])
			out[p] = "process " + m[2]
		}
	}
	return out
}
