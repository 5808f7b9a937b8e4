package localserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// PassiveConfig says where the server waits for passive data connections, and which address it tells clients.
type PassiveConfig struct {
	UseRange bool   // false: the operating system picks a port for each offer
	Min, Max uint16 // the range, both ends included; looked at when UseRange is set
	IP       PassiveIP
	// AllowForeignAddress takes data connections from addresses other than the control connection's. Off: a client
	// whose two channels come from two addresses is refused, and so is everybody who guesses a port.
	AllowForeignAddress bool
}

// PassiveIPMode is how the address in a 227 reply is chosen.
type PassiveIPMode string

// The three ways. The zero value means PassiveAuto.
const (
	PassiveAuto  PassiveIPMode = "auto"  // the address that the client came to
	PassiveFixed PassiveIPMode = "fixed" // Value is an IPv4 address
	PassiveHost  PassiveIPMode = "host"  // Value is a host name, resolved in the background
)

// PassiveIP is the rule for the address in a 227 reply. EPSV carries no address, so it does not concern EPSV.
type PassiveIP struct {
	Mode  PassiveIPMode
	Value string
	// LocalNetworks are told the address that they came to in every mode. nil: [DefaultLocalNetworks] and the
	// networks of this computer's own interfaces.
	LocalNetworks []netip.Prefix
}

// DefaultLocalNetworks returns loopback, the private networks of RFC 1918, carrier-grade NAT (RFC 6598), link-local
// and unique local addresses.
func DefaultLocalNetworks() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
		"::1/128", "fe80::/10", "fc00::/7",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// smallRange is the number of ports below which a range gets a warning: every pending listing and transfer of every
// client takes one.
const smallRange = 10

// Check judges the settings for a server whose control connection is on controlPort (0: not known yet). An error
// means that they can't work or don't parse; warnings are sentences about what may trouble clients.
func (c PassiveConfig) Check(controlPort uint16) (warnings []string, err error) {
	if c.UseRange {
		switch {
		case c.Min < 1024 || c.Max < 1024:
			return nil, fmt.Errorf("passive ports %d-%d: ports below 1024 are reserved for system services; use 1024 to 65535",
				c.Min, c.Max)
		case c.Min > c.Max:
			return nil, fmt.Errorf("passive ports %d-%d: the first port is above the last", c.Min, c.Max)
		case controlPort != 0 && controlPort >= c.Min && controlPort <= c.Max:
			return nil, fmt.Errorf("passive ports %d-%d: port %d is the control connection's own; leave it out of the range",
				c.Min, c.Max, controlPort)
		}
		lo, hi := ephemeralRange()
		if c.Min <= hi && c.Max >= lo {
			warnings = append(warnings, fmt.Sprintf("Ports %d-%d overlap %d-%d, which this system takes for its own outgoing "+
				"connections: one can be taken when it is needed. 21100-21199 are not.", c.Min, c.Max, lo, hi))
		}
		if n := int(c.Max) - int(c.Min) + 1; n < smallRange {
			warnings = append(warnings, fmt.Sprintf("%d ports are few: clients that list and transfer in parallel wait for one "+
				"another. Use at least %d.", n, smallRange))
		}
	}
	switch c.IP.Mode {
	case "", PassiveAuto:
	case PassiveFixed:
		addr, err := netip.ParseAddr(c.IP.Value)
		if err != nil {
			return nil, fmt.Errorf("passive IP %q is not an IP address such as 203.0.113.7", c.IP.Value)
		}
		addr = addr.Unmap()
		if addr.Is6() {
			return nil, fmt.Errorf("passive IP %s is IPv6, but the 227 reply carries IPv4 only; over IPv6 clients use EPSV, which "+
				"needs no address", addr)
		}
		if why := Unroutable(addr); why != "" {
			warnings = append(warnings, fmt.Sprintf("Clients on the internet can't reach %s: it is %s.", addr, why))
		}
	case PassiveHost:
		if err := checkHostName(c.IP.Value); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("passive IP mode %q is not one of auto, fixed and host", c.IP.Mode)
	}
	for _, p := range c.IP.LocalNetworks {
		if !p.IsValid() {
			return nil, errors.New("the list of local networks has an entry that is not ADDRESS/BITS")
		}
	}
	return warnings, nil
}

// Unroutable says in words why the internet can't reach addr, "" when it can.
func Unroutable(addr netip.Addr) string {
	in := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(addr) }
	switch {
	case addr.IsUnspecified():
		return "no host's address (unspecified)"
	case addr.IsLoopback():
		return "this computer's loopback address"
	case addr.IsPrivate():
		return "a private address of a local network (RFC 1918)"
	case addr.IsLinkLocalUnicast():
		return "a link-local address (RFC 3927)"
	case in("100.64.0.0/10"):
		return "a carrier's shared address behind NAT (RFC 6598)"
	case addr.IsMulticast():
		return "a multicast address"
	case in("0.0.0.0/8"), in("240.0.0.0/4"):
		return "a reserved address"
	case in("192.0.2.0/24"), in("198.51.100.0/24"), in("203.0.113.0/24"):
		return "an address for documentation (RFC 5737)"
	case in("2001:db8::/32"):
		return "an address for documentation (RFC 3849)"
	case in("198.18.0.0/15"):
		return "an address for benchmarks (RFC 2544)"
	}
	return ""
}

func checkHostName(name string) error {
	bad := fmt.Errorf("passive IP %q is not a host name such as files.example.org", name)
	trimmed := strings.TrimSuffix(name, ".")
	if trimmed == "" || len(trimmed) > 253 {
		return bad
	}
	if _, err := netip.ParseAddr(trimmed); err == nil {
		return fmt.Errorf("passive IP %q is an address, not a host name; use the fixed IP setting for it", name)
	}
	labels := strings.Split(trimmed, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return bad
		}
		for _, r := range l {
			if r < 0x80 && r != '-' && r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') {
				return bad
			}
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return bad // "999.1.1.1": a mistyped address, which must not be looked up
	}
	return nil
}

// addressFor is the Passive IP rule as a pure function. resolved is the last good answer for the host name.
func (ip PassiveIP) addressFor(own []netip.Prefix, resolved, local, client netip.Addr) netip.Addr {
	local, client = local.Unmap(), client.Unmap().WithZone("")
	var public netip.Addr
	switch ip.Mode {
	case PassiveFixed:
		public, _ = netip.ParseAddr(ip.Value)
		public = public.Unmap()
	case PassiveHost:
		public = resolved
	}
	if !public.IsValid() || local.Is6() {
		return local
	}
	networks := ip.LocalNetworks
	if networks == nil {
		networks = append(DefaultLocalNetworks(), own...)
	}
	for _, n := range networks {
		if n.Contains(client) {
			return local
		}
	}
	return public
}

// ownNetworks returns the subnets of this computer's interfaces.
func ownNetworks() []netip.Prefix {
	var all []netip.Prefix
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the default list still holds
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Masked())
		}
	}
	return all
}

// How often the passive host name is looked up: often enough for a home line that gets a new address at night.
const (
	resolveEvery   = 5 * time.Minute
	resolveRetry   = 20 * time.Second
	resolveTimeout = 10 * time.Second
)

// resolveIPv4 looks name up for the 227 reply.
func resolveIPv4(ctx context.Context, name string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("looking up the passive host name %s: %w", name, err)
	}
	if len(addrs) == 0 {
		return netip.Addr{}, fmt.Errorf("the passive host name %s has no IPv4 address", name)
	}
	return addrs[0].Unmap(), nil
}
