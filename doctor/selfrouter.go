package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/dcps/internetgateway2"
	"github.com/huin/goupnp/soap"
)

// Router is the gateway of this network, asked in the ways that it understands: UPnP IGD, NAT-PMP (RFC 6886) or PCP
// (RFC 6887). Only the gateway itself is asked and believed: answers from other addresses, and addresses elsewhere that
// it names, are left alone.
type Router struct {
	External netip.Addr // its address on the other side, as it says; not valid when it doesn't say
	Name     string     // what it calls itself, "" when it doesn't

	local netip.Addr
	igd   igd
	pmp   netip.AddrPort // valid: it answers NAT-PMP, or PCP
	pcp   bool
	nonce [12]byte // of this router's PCP mappings: who changes one must know it (RFC 6887 section 11.2)
}

// RouterSearch says where to look, and how long. The zero values of ports are the protocols' own; tests set others.
type RouterSearch struct {
	Gateway, Local    netip.Addr
	SSDP              netip.AddrPort // default: the gateway's port 1900, and the multicast group
	PMP               netip.AddrPort // default: the gateway's port 5351
	SSDPWait, PMPWait time.Duration  // for the first answer; default: 2 s
}

// How long a router may take. Answers come within some milliseconds; SSDP lets a device wait as long as MX says (1 s).
const (
	routerSearch = 2 * time.Second
	routerAnswer = 3 * time.Second
	routerBytes  = 1 << 20 // of one answer over HTTP
)

// ErrNoRouter says that the gateway answers neither UPnP nor NAT-PMP nor PCP.
var ErrNoRouter = errors.New("the router does not answer UPnP, NAT-PMP or PCP")

// FindRouter asks the gateway which of the protocols it speaks. It takes the longer of the two waits when it speaks none.
func FindRouter(ctx context.Context, s RouterSearch) (*Router, error) {
	if !s.Gateway.IsValid() || !s.Local.IsValid() {
		return nil, errors.New("there is no default gateway")
	}
	if !s.PMP.IsValid() {
		s.PMP = netip.AddrPortFrom(s.Gateway, 5351)
	}
	r := &Router{local: s.Local}
	_, _ = rand.Read(r.nonce[:]) // never fails (crypto/rand)
	var tasks sync.WaitGroup
	var device *goupnp.RootDevice
	s.SSDPWait, s.PMPWait = cmp.Or(s.SSDPWait, routerSearch), cmp.Or(s.PMPWait, routerSearch)
	second, enough := context.WithTimeout(ctx, s.PMPWait)
	defer enough()
	tasks.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, s.SSDPWait+routerAnswer)
		defer cancel()
		if location, err := ssdpSearch(ctx, s); err == nil {
			if device, r.igd = readDevice(ctx, s.Gateway, location); r.igd != nil {
				enough() // UPnP tells more than the others, so these need not be waited for
			}
		}
	})
	var external netip.Addr
	tasks.Go(func() {
		var err error
		if external, r.pcp, err = pmpExternal(second, s); err == nil {
			r.pmp = s.PMP
		}
	})
	tasks.Wait()
	if device != nil {
		r.Name = strings.TrimSpace(device.Device.FriendlyName)
	}
	if r.igd == nil && !r.pmp.IsValid() {
		return nil, ErrNoRouter
	}
	r.External = external
	if r.igd != nil {
		ctx, cancel := context.WithTimeout(ctx, routerAnswer)
		defer cancel()
		if text, err := r.igd.GetExternalIPAddressCtx(ctx); err == nil {
			if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
				r.External = a.Unmap()
			}
		}
	}
	if r.External.IsUnspecified() {
		r.External = netip.Addr{} // it has no address outside: the line is down
	}
	return r, nil
}

// Protocol names the way that mappings are asked for.
func (r *Router) Protocol() string {
	switch {
	case r.igd != nil:
		return "UPnP"
	case r.pcp:
		return "PCP"
	}
	return "NAT-PMP"
}

// igd is what UPnP's WANIPConnection:1, :2 and WANPPPConnection:1 have in common.
type igd interface {
	GetExternalIPAddressCtx(ctx context.Context) (string, error)
	GetSpecificPortMappingEntryCtx(ctx context.Context, remoteHost string, externalPort uint16, protocol string) (
		internalPort uint16, internalClient string, enabled bool, description string, lease uint32, err error)
	AddPortMappingCtx(ctx context.Context, remoteHost string, externalPort uint16, protocol string, internalPort uint16,
		internalClient string, enabled bool, description string, lease uint32) error
	DeletePortMappingCtx(ctx context.Context, remoteHost string, externalPort uint16, protocol string) error
}

// ssdpSearch sends UPnP's M-SEARCH (UPnP Device Architecture 1.1, section 1.3.2) to the gateway and to the multicast
// group, and returns the address of the description that the gateway names. It does not use the library's search, which
// would believe every device on the network.
func ssdpSearch(ctx context.Context, s RouterSearch) (*url.URL, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Local, 0)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	to := []netip.AddrPort{s.SSDP}
	if !s.SSDP.IsValid() {
		to = []netip.AddrPort{netip.AddrPortFrom(s.Gateway, 1900), netip.MustParseAddrPort("239.255.255.250:1900")}
	}
	for _, target := range []string{"urn:schemas-upnp-org:device:InternetGatewayDevice:1", "urn:schemas-upnp-org:device:InternetGatewayDevice:2"} {
		ask := "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: " + target + "\r\n\r\n"
		for _, at := range to {
			conn.WriteToUDPAddrPort([]byte(ask), at) // what can't be sent has no answer
		}
	}
	conn.SetReadDeadline(time.Now().Add(s.SSDPWait))
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return nil, err
		}
		if from.Addr().Unmap() != s.Gateway {
			continue
		}
		for line := range strings.Lines(string(buf[:n])) {
			name, value, _ := strings.Cut(line, ":")
			if strings.EqualFold(strings.TrimSpace(name), "LOCATION") {
				if u, err := url.Parse(strings.TrimSpace(value)); err == nil && atGateway(u, s.Gateway) {
					return u, nil
				}
			}
		}
	}
}

// atGateway says whether u leads to the gateway itself.
func atGateway(u *url.URL, gateway netip.Addr) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a == gateway && u.Scheme == "http"
}

// routerHTTP returns a client that talks to the gateway only, follows no redirect and reads no endless answer.
func routerHTTP(gateway netip.Addr) http.Client {
	return http.Client{
		Timeout:       routerAnswer,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     gatewayOnly{gateway, &http.Transport{DisableKeepAlives: true}},
	}
}

type gatewayOnly struct {
	gateway netip.Addr
	next    http.RoundTripper
}

func (g gatewayOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if !atGateway(req.URL, g.gateway) {
		return nil, fmt.Errorf("%s is not the router", req.URL.Host)
	}
	resp, err := g.next.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, routerBytes), resp.Body}
	}
	return resp, err
}

// readDevice reads the gateway's description and returns its connection service.
func readDevice(ctx context.Context, gateway netip.Addr, location *url.URL) (*goupnp.RootDevice, igd) {
	client := routerHTTP(gateway)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		return nil, nil
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil
	}
	defer resp.Body.Close()
	root := &goupnp.RootDevice{}
	if resp.StatusCode != http.StatusOK || xml.NewDecoder(resp.Body).Decode(root) != nil {
		return nil, nil
	}
	base := location
	if u, err := url.Parse(root.URLBaseStr); err == nil && root.URLBaseStr != "" {
		base = u
	}
	root.SetURLBase(base)
	var found igd
	root.Device.VisitServices(func(s *goupnp.Service) {
		if found != nil || !s.ControlURL.Ok {
			return
		}
		c := soap.NewSOAPClient(s.ControlURL.URL)
		c.HTTPClient = client
		sc := goupnp.ServiceClient{SOAPClient: c, RootDevice: root, Location: location, Service: s}
		switch s.ServiceType {
		case internetgateway2.URN_WANIPConnection_1:
			found = &internetgateway2.WANIPConnection1{ServiceClient: sc}
		case internetgateway2.URN_WANIPConnection_2:
			found = &internetgateway2.WANIPConnection2{ServiceClient: sc}
		case internetgateway2.URN_WANPPPConnection_1:
			found = &internetgateway2.WANPPPConnection1{ServiceClient: sc}
		}
	})
	return root, found
}

// Mapping is what the router does with a port.
type Mapping struct {
	Port  uint16
	Known bool       // the router could be asked (UPnP only)
	To    netip.Addr // who gets it; not valid: nobody
}

// Mappings asks where the router sends the TCP ports. Only UPnP can tell; with the others Known stays false.
func (r *Router) Mappings(ctx context.Context, ports []uint16) []Mapping {
	out := make([]Mapping, len(ports))
	for i, p := range ports {
		out[i].Port = p
		if r.igd == nil {
			continue
		}
		one, cancel := context.WithTimeout(ctx, routerAnswer)
		to, client, enabled, _, _, err := r.igd.GetSpecificPortMappingEntryCtx(one, "", p, "TCP")
		cancel()
		var fault *soap.SOAPFaultError
		switch {
		case err == nil:
			out[i].Known = true
			if a, err := netip.ParseAddr(client); err == nil && enabled && to == p {
				out[i].To = a
			}
		case errors.As(err, &fault): // 714 NoSuchEntryInArray
			out[i].Known = true
		}
	}
	return out
}

// Lease is how long a mapping lives when nobody renews it: a computer that is switched off leaves nothing open for long.
const Lease = time.Hour

// Map asks the router to send the TCP ports to this computer, each to the same number: the port in a 227 reply is the
// one that is dialled. It stops at the first that the router refuses; what was mapped until then stays until [Router.Unmap]
// or the end of the [Lease].
func (r *Router) Map(ctx context.Context, ports []uint16) error {
	for _, p := range ports {
		one, cancel := context.WithTimeout(ctx, routerAnswer)
		err := r.mapOne(one, p, Lease)
		cancel()
		if err != nil {
			return fmt.Errorf("the router refuses to forward port %d (%s): %w", p, r.Protocol(), err)
		}
	}
	return nil
}

// Unmap takes the mappings back.
func (r *Router) Unmap(ctx context.Context, ports []uint16) error {
	var all error
	for _, p := range ports {
		if ctx.Err() != nil {
			return errors.Join(all, ctx.Err())
		}
		one, cancel := context.WithTimeout(ctx, routerAnswer)
		all = errors.Join(all, r.mapOne(one, p, 0))
		cancel()
	}
	return all
}

func (r *Router) mapOne(ctx context.Context, port uint16, lease time.Duration) error {
	switch {
	case r.igd == nil:
		got, err := pmpMap(ctx, r, port, lease)
		if err == nil && lease > 0 && got != port {
			pmpMap(ctx, r, port, 0) // another number is of no use: FTP can't announce it
			return fmt.Errorf("it offers port %d instead, which FTP can't announce", got)
		}
		return err
	case lease == 0:
		return routerFault(r.igd.DeletePortMappingCtx(ctx, "", port, "TCP"))
	}
	err := r.igd.AddPortMappingCtx(ctx, "", port, "TCP", port, r.local.String(), true, "Portside", uint32(lease/time.Second))
	var fault *soap.SOAPFaultError
	if errors.As(err, &fault) && fault.Detail.UPnPError.Errorcode == 725 { // OnlyPermanentLeasesSupported
		err = r.igd.AddPortMappingCtx(ctx, "", port, "TCP", port, r.local.String(), true, "Portside", 0)
	}
	return routerFault(err)
}

// routerFault says a UPnP fault in words.
func routerFault(err error) error {
	var fault *soap.SOAPFaultError
	if !errors.As(err, &fault) {
		return err
	}
	e := fault.Detail.UPnPError
	words := map[int]string{
		606: "it does not allow programs to change it; allow UPnP in its settings", 714: "it has no such mapping",
		718: "the port is forwarded to another computer already", 729: "the port is in use by the router itself",
	}
	if w, ok := words[e.Errorcode]; ok {
		return fmt.Errorf("%s (UPnP error %d)", w, e.Errorcode)
	}
	return fmt.Errorf("UPnP error %d %s", e.Errorcode, e.ErrorDescription)
}

// pmpAsk sends one request to the router's port 5351, again after 250 ms, 500 ms and so on as RFC 6886 section 3.1 says,
// until check takes an answer or ctx ends.
func pmpAsk(ctx context.Context, local netip.Addr, to netip.AddrPort, ask []byte, check func([]byte) bool) error {
	conn, err := (&net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}).DialContext(ctx, "udp4", to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	buf := make([]byte, 1100) // the longest PCP message
	for wait := 250 * time.Millisecond; ; wait *= 2 {
		if _, err := conn.Write(ask); err != nil {
			return errors.Join(ctx.Err(), err)
		}
		conn.SetReadDeadline(time.Now().Add(wait))
		for {
			n, err := conn.Read(buf)
			if err != nil {
				var timeout net.Error
				if ctx.Err() == nil && errors.As(err, &timeout) && timeout.Timeout() {
					break
				}
				return errors.Join(ctx.Err(), err)
			}
			if check(buf[:n]) {
				return nil
			}
		}
	}
}

// pmpExternal asks for the outside address by NAT-PMP (RFC 6886 section 3.2). A router that speaks PCP only answers with
// its version; then PCP's ANNOUNCE (RFC 6887 section 14.1) shows that it does.
func pmpExternal(ctx context.Context, s RouterSearch) (external netip.Addr, pcp bool, err error) {
	err = pmpAsk(ctx, s.Local, s.PMP, []byte{0, 0}, func(b []byte) bool {
		switch {
		case len(b) >= 12 && b[0] == 0 && b[1] == 128:
			switch binary.BigEndian.Uint16(b[2:]) {
			case 0:
				external = netip.AddrFrom4([4]byte(b[8:12]))
			case 1:
				pcp = true
			}
			return true
		case len(b) >= 4 && (b[0] == 2 || b[0] == 0 && b[3] == 1): // unsupported version
			pcp = true
			return true
		}
		return false
	})
	if err == nil && pcp {
		announce := pcpHeader(0, 0, s.Local)
		err = pmpAsk(ctx, s.Local, s.PMP, announce, func(b []byte) bool { return len(b) >= 24 && b[0] == 2 && b[1] == 0x80 })
	}
	return external, pcp, err
}

// pcpHeader is the first 24 octets of a PCP request (RFC 6887 section 7.1).
func pcpHeader(opcode byte, lifetime uint32, client netip.Addr) []byte {
	b := make([]byte, 24, 60)
	b[0], b[1] = 2, opcode
	binary.BigEndian.PutUint32(b[4:], lifetime)
	a := client.As16()
	copy(b[8:], a[:])
	return b
}

// pmpMap asks for one TCP mapping, or with a lifetime of 0 takes it back, and returns the port outside.
func pmpMap(ctx context.Context, r *Router, port uint16, lease time.Duration) (got uint16, err error) {
	seconds := uint32(lease / time.Second)
	var ask []byte
	if r.pcp { // MAP, RFC 6887 section 11.1
		ask = pcpHeader(1, seconds, r.local)[:60]
		copy(ask[24:36], r.nonce[:])
		ask[36] = 6 // TCP
		binary.BigEndian.PutUint16(ask[40:], port)
		binary.BigEndian.PutUint16(ask[42:], port)
		any := netip.AddrFrom4([4]byte{}).As16() // ::ffff:0.0.0.0: whichever address
		copy(ask[44:], any[:])
	} else { // RFC 6886 section 3.3
		ask = make([]byte, 12)
		ask[1] = 2 // map TCP
		binary.BigEndian.PutUint16(ask[4:], port)
		if lease > 0 {
			binary.BigEndian.PutUint16(ask[6:], port)
		}
		binary.BigEndian.PutUint32(ask[8:], seconds)
	}
	var code uint16
	err = pmpAsk(ctx, r.local, r.pmp, ask, func(b []byte) bool {
		switch {
		case r.pcp && len(b) >= 60 && b[0] == 2 && b[1] == 0x81 && string(b[24:36]) == string(r.nonce[:]) && binary.BigEndian.Uint16(b[40:]) == port:
			code, got = uint16(b[3]), binary.BigEndian.Uint16(b[42:])
			return true
		case !r.pcp && len(b) >= 16 && b[0] == 0 && b[1] == 130 && binary.BigEndian.Uint16(b[8:]) == port:
			code, got = binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[10:])
			return true
		}
		return false
	})
	if err == nil && code != 0 {
		what := "NAT-PMP"
		if r.pcp {
			what = "PCP"
		}
		err = fmt.Errorf("%s result code %d", what, code)
		if code == 2 {
			err = fmt.Errorf("it does not allow programs to change it; allow %s in its settings (%[1]s result code 2)", what)
		}
	}
	return got, err
}
