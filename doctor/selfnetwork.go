package doctor

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// AddressKind is how far an address reaches.
type AddressKind string

const (
	Public    AddressKind = "public"
	Private   AddressKind = "private (RFC 1918)"
	Shared    AddressKind = "shared by a provider's customers (RFC 6598)"
	LinkLocal AddressKind = "link-local"
	Unique    AddressKind = "unique local (RFC 4193)"
	Loopback  AddressKind = "loopback"
	Useless   AddressKind = "no host's"
)

var (
	rfc6598  = netip.MustParsePrefix("100.64.0.0/10")
	reserved = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}
)

// KindOf says what kind of address a is. Documentation networks count as public: laboratories use them so.
func KindOf(a netip.Addr) AddressKind {
	a = a.Unmap()
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || reserved[0].Contains(a) || reserved[1].Contains(a):
		return Useless
	case a.IsLoopback():
		return Loopback
	case a.IsLinkLocalUnicast():
		return LinkLocal
	case a.Is4() && a.IsPrivate():
		return Private
	case a.IsPrivate():
		return Unique
	case rfc6598.Contains(a):
		return Shared
	}
	return Public
}

// SelfInterface is a network interface that is up.
type SelfInterface struct {
	Name      string
	Addresses []netip.Prefix
}

// selfRoute is the default route of IPv4.
type selfRoute struct {
	gateway netip.Addr
	iface   string
	local   netip.Prefix // this computer's address on iface
}

// defaultRoute finds the default route; without one, the first interface that others could reach.
func defaultRoute(ctx context.Context, env SelfEnv, interfaces []SelfInterface) selfRoute {
	r := selfRoute{}
	switch env.OS {
	case "linux":
		if text, err := env.ReadFile("/proc/net/route"); err == nil {
			r.gateway, r.iface = linuxRoute(string(text))
		}
	case "darwin":
		if text, err := env.Run(ctx, "route", "-n", "get", "default"); err == nil {
			if m := regexp.MustCompile(`gateway: (\S+)`).FindStringSubmatch(text); m != nil {
				r.gateway, _ = netip.ParseAddr(m[1])
			}
			if m := regexp.MustCompile(`interface: (\S+)`).FindStringSubmatch(text); m != nil {
				r.iface = m[1]
			}
		}
	case "windows":
		if text, err := env.Run(ctx, "route", "print", "-4", "0.0.0.0"); err == nil {
			// Destination, mask, gateway and this computer's address: numbers only, in every language.
			m := regexp.MustCompile(`(?m)^\s*0\.0\.0\.0\s+0\.0\.0\.0\s+(\d\S+)\s+(\d\S+)`).FindStringSubmatch(text)
			if m != nil {
				r.gateway, _ = netip.ParseAddr(m[1])
				for _, i := range interfaces {
					for _, a := range i.Addresses {
						if a.Addr().String() == m[2] {
							r.iface = i.Name
						}
					}
				}
			}
		}
	}
	for _, i := range interfaces {
		for _, a := range i.Addresses {
			if !a.Addr().Is4() || a.Addr().IsLoopback() || r.local.IsValid() || r.iface != "" && i.Name != r.iface {
				continue
			}
			if r.iface == "" && a.Addr().IsLinkLocalUnicast() {
				continue
			}
			r.iface, r.local = i.Name, a
		}
	}
	return r
}

// linuxRoute reads /proc/net/route: addresses are hexadecimal in the machine's byte order, which is little endian on
// every machine that Portside is built for.
func linuxRoute(text string) (gateway netip.Addr, iface string) {
	best := -1
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(f[2])
		metric := 0
		if _, scanErr := fmt.Sscan(f[6], &metric); err != nil || scanErr != nil || len(raw) != 4 || best >= 0 && metric >= best {
			continue
		}
		best, iface = metric, f[0]
		gateway = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.LittleEndian.Uint32(raw))))
		if gateway.IsUnspecified() {
			gateway = netip.Addr{} // a point-to-point link
		}
	}
	return gateway, iface
}

// tunnels are name beginnings of interfaces that lead into a virtual private network. Some of these use RFC 6598's
// addresses, which says nothing about a provider.
var tunnels = []string{"tun", "tap", "wg", "tailscale", "utun", "zt", "ppp", "nebula"}

func isTunnel(name string) bool {
	for _, t := range tunnels {
		if strings.HasPrefix(strings.ToLower(name), t) {
			return true
		}
	}
	return strings.Contains(name, "Tailscale") || strings.Contains(name, "WireGuard")
}

// virtual are interfaces for containers and virtual machines on this computer: nobody else is there.
func isVirtual(name string) bool {
	for _, t := range []string{"docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "lxcbr", "lxdbr", "cni", "flannel", "vEthernet"} {
		if strings.HasPrefix(name, t) {
			return true
		}
	}
	return false
}
