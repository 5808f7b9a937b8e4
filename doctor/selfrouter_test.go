package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeGateway is a router on loopback: SSDP, a description, the connection service, NAT-PMP and PCP.
type fakeGateway struct {
	t        *testing.T
	external string
	search   RouterSearch
	pcpOnly  bool
	location string // what SSDP answers; empty: the description

	mu       sync.Mutex
	mappings map[string]string // port: client
	refuse   int               // UPnP error for every new mapping
	requests int
}

// silence is how long a test waits for an answer that never comes.
const silence = 100 * time.Millisecond

func newGateway(t *testing.T, upnp, pmp bool) *fakeGateway {
	g := &fakeGateway{t: t, external: "198.51.100.7", mappings: map[string]string{}}
	loop := netip.MustParseAddr("127.0.0.1")
	g.search = RouterSearch{Gateway: loop, Local: loop, SSDPWait: silence, PMPWait: silence}
	if pmp {
		g.search.PMPWait = time.Minute
	}
	if upnp {
		g.search.SSDPWait = time.Minute
		web := httptest.NewServer(http.HandlerFunc(g.http))
		t.Cleanup(web.Close)
		g.location = web.URL + "/desc.xml"
	}
	answer := func(f func([]byte) []byte) netip.AddrPort {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		go func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := conn.ReadFromUDP(buf)
				if err != nil {
					return
				}
				if out := f(buf[:n]); out != nil {
					conn.WriteToUDP(out, from)
				}
			}
		}()
		return conn.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	g.search.SSDP = answer(func(b []byte) []byte {
		if !upnp || !strings.HasPrefix(string(b), "M-SEARCH * HTTP/1.1\r\n") {
			return nil
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		return []byte("HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nLocation: " + g.location + "\r\nST: x\r\n\r\n")
	})
	g.search.PMP = answer(func(b []byte) []byte {
		if !pmp {
			return nil
		}
		return g.pmp(b)
	})
	return g
}

func (g *fakeGateway) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *fakeGateway) mapped() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.mappings)
}

const gatewayDescription = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>Fake Router</friendlyName><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/ctl</controlURL><eventSubURL>/evt</eventSubURL><SCPDURL>/scpd.xml</SCPDURL></service></serviceList></device></deviceList></device></deviceList></device></root>`

func (g *fakeGateway) http(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests++
	if r.URL.Path == "/desc.xml" {
		io.WriteString(w, gatewayDescription)
		return
	}
	body, _ := io.ReadAll(r.Body)
	arg := func(name string) string {
		m := regexp.MustCompile("<" + name + ">([^<]*)</").FindSubmatch(body)
		if m == nil {
			return ""
		}
		return string(m[1])
	}
	_, action, _ := strings.Cut(strings.Trim(r.Header.Get("SOAPAction"), `"`), "#")
	reply := func(inner string) {
		fmt.Fprintf(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:%sResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">%s</u:%[1]sResponse></s:Body></s:Envelope>`, action, inner)
	}
	fault := func(code int) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode><errorDescription>x</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`, code)
	}
	port := arg("NewExternalPort")
	switch action {
	case "GetExternalIPAddress":
		reply("<NewExternalIPAddress>" + g.external + "</NewExternalIPAddress>")
	case "GetSpecificPortMappingEntry":
		client, ok := g.mappings[port]
		if !ok {
			fault(714)
			return
		}
		reply("<NewInternalPort>" + port + "</NewInternalPort><NewInternalClient>" + client + "</NewInternalClient><NewEnabled>1</NewEnabled><NewPortMappingDescription>x</NewPortMappingDescription><NewLeaseDuration>10</NewLeaseDuration>")
	case "AddPortMapping":
		if g.refuse != 0 && (g.refuse != 725 || arg("NewLeaseDuration") != "0") {
			fault(g.refuse)
			return
		}
		g.mappings[port] = arg("NewInternalClient")
		reply("")
	case "DeletePortMapping":
		delete(g.mappings, port)
		reply("")
	default:
		fault(401)
	}
}

// pmp answers NAT-PMP, or with pcpOnly PCP; a map request with a lifetime of 0 deletes.
func (g *fakeGateway) pmp(b []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	change := func(port uint16, lifetime uint32) {
		delete(g.mappings, fmt.Sprint(port))
		if lifetime > 0 {
			g.mappings[fmt.Sprint(port)] = "127.0.0.1"
		}
	}
	switch {
	case g.pcpOnly && b[0] == 0:
		return []byte{2, 0x80, 0, 1, 0, 0, 0, 0}
	case g.pcpOnly && b[1] == 0:
		out := make([]byte, 24)
		out[0], out[1] = 2, 0x80
		return out
	case g.pcpOnly && b[1] == 1 && len(b) == 60:
		out := append([]byte(nil), b...)
		out[1], out[3] = 0x81, 0
		change(binary.BigEndian.Uint16(b[40:]), binary.BigEndian.Uint32(b[4:]))
		return out
	case b[0] == 0 && b[1] == 0:
		a := netip.MustParseAddr(g.external).As4()
		return append([]byte{0, 128, 0, 0, 0, 0, 0, 9}, a[:]...)
	case b[0] == 0 && b[1] == 2 && len(b) == 12:
		out := make([]byte, 16)
		out[1] = 130
		copy(out[8:], b[4:12])
		change(binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint32(b[8:]))
		return out
	}
	return nil
}

func TestARouterIsAskedInTheWayItUnderstands(t *testing.T) {
	for name, g := range map[string]*fakeGateway{
		"UPnP": newGateway(t, true, false), "NAT-PMP": newGateway(t, false, true), "PCP": newGateway(t, false, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g.set(func() { g.pcpOnly = name == "PCP" })
			r, err := FindRouter(t.Context(), g.search)
			if err != nil {
				t.Fatal(err)
			}
			if r.Protocol() != name || name != "PCP" && r.External != netip.MustParseAddr("198.51.100.7") {
				t.Errorf("it speaks %s, outside %s", r.Protocol(), r.External)
			}
			ports := []uint16{2121, 21100, 21101}
			if err := r.Map(t.Context(), ports); err != nil {
				t.Fatal(err)
			}
			if len(g.mapped()) != 3 || g.mapped()["21101"] != "127.0.0.1" {
				t.Errorf("after Map the router has %v", g.mapped())
			}
			for _, m := range r.Mappings(t.Context(), ports) {
				if m.Known != (name == "UPnP") || m.Known && m.To != r.local {
					t.Errorf("mapping %+v", m)
				}
			}
			if err := r.Unmap(t.Context(), ports); err != nil || len(g.mapped()) != 0 {
				t.Errorf("after Unmap: %v, %v", g.mapped(), err)
			}
		})
	}
}

func TestNobodyCanGuessWhatChangesAMapping(t *testing.T) {
	t.Parallel()
	g := newGateway(t, false, true)
	g.set(func() { g.pcpOnly = true })
	var nonces [2][12]byte
	for i := range nonces {
		r, err := FindRouter(t.Context(), g.search)
		if err != nil {
			t.Fatal(err)
		}
		nonces[i] = r.nonce
	}
	for at := 0; at < len(nonces[0]); at += 4 {
		if [4]byte(nonces[0][at:]) == [4]byte(nonces[1][at:]) {
			t.Errorf("bytes %d to %d of two mappings' nonces are the same: %x", at, at+3, nonces)
		}
	}
}

func TestARouterThatKnowsOnlyPermanentMappingsGetsThem(t *testing.T) {
	g := newGateway(t, true, false)
	r, err := FindRouter(t.Context(), g.search)
	if err != nil {
		t.Fatal(err)
	}
	g.set(func() { g.refuse = 725 })
	if err := r.Map(t.Context(), []uint16{21}); err != nil || g.mapped()["21"] == "" {
		t.Errorf("error %v, mappings %v", err, g.mapped())
	}
	g.set(func() { g.refuse = 718 })
	if err := r.Map(t.Context(), []uint16{22}); err == nil || !strings.Contains(err.Error(), "forwarded to another computer") {
		t.Errorf("a port that is taken: %v", err)
	}
}

func TestASilentRouterCostsTheSearchAndNoMore(t *testing.T) {
	t.Parallel()
	g := newGateway(t, false, false)
	began := time.Now()
	if _, err := FindRouter(t.Context(), g.search); !errors.Is(err, ErrNoRouter) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took < silence || took > silence+20*time.Second {
		t.Errorf("it took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.search.SSDPWait, g.search.PMPWait = time.Minute, time.Minute
	began = time.Now()
	if _, err := FindRouter(ctx, g.search); err == nil || time.Since(began) >= time.Minute {
		t.Errorf("cancelled: %v after %v", err, time.Since(began))
	}
}

func TestOnlyTheGatewayItselfIsBelieved(t *testing.T) {
	t.Parallel()
	g := newGateway(t, true, false)
	g.search.SSDPWait = 0 // as long as a person waits, for an answer that must not be taken
	g.set(func() { g.location = "http://127.0.0.2:9/desc.xml" })
	if r, err := FindRouter(t.Context(), g.search); err == nil {
		t.Errorf("a description at %s made a router: %+v", g.location, r)
	}
	for _, elsewhere := range []string{"http://127.0.0.2:9/x", "http://router.example/x", "https://127.0.0.1/x"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, elsewhere, nil)
		if err != nil {
			t.Fatal(err)
		}
		client := routerHTTP(netip.MustParseAddr("127.0.0.1"))
		if resp, err := client.Do(req); err == nil || !strings.Contains(err.Error(), "is not the router") {
			t.Errorf("%s was asked: %v %v", elsewhere, resp, err)
		}
	}
}
