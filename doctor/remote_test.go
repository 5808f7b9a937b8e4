package doctor

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portside/client"
	"portside/connlog"
	"portside/wire"
)

// fake is an FTP server on loopback with one fault. Its zero value is in good order.
type fake struct {
	t        *testing.T
	first    string // in place of the greeting; "-" closes at once, "" greets
	after    time.Duration
	says     map[string]string // the whole reply to a verb, in place of the usual one; "-" closes the connection, "..." hangs
	features string            // in place of the usual ones, lines separated by "|"
	tls      *tls.Config
	implicit bool
	pasvIP   string
	closed   bool   // offers name a port on which nobody listens
	silent   bool   // data connections are accepted by nobody: LIST is never answered
	listing  string // what LIST sends; "" is one file
	sends    int    // bytes that RETR sends before it stops, 0: all
	size     int
	noEnd    bool          // RETR never ends with 226, and nothing is answered afterwards
	noDial   bool          // PORT is taken and nobody dials
	dialFrom string        // PORT is dialled from this address
	balancer bool          // data connections are closed at once, and LIST is begun and not ended
	drops    bool          // data connections are closed at once, and waited for again
	slow     time.Duration // before LIST sends anything
	waits    func(*Limits) // shortens what is waited for in vain; nil: nothing is

	addr   netip.AddrPort
	offers atomic.Int32
	mu     sync.Mutex
	open   int // control connections of the examination at this moment
	most   int
	heard  []string
	conns  map[net.Conn]bool
	done   sync.WaitGroup
}

func (f *fake) start(t *testing.T) *fake {
	t.Helper()
	f.t, f.conns = t, map[net.Conn]bool{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = addrPort(l.Addr())
	f.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.keep(c)
			f.done.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for c := range f.conns {
			c.Close()
		}
		f.conns = nil
		f.mu.Unlock()
		f.done.Wait()
	})
	return f
}

func (f *fake) keep(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil {
		c.Close()
		return
	}
	f.conns[c] = true
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	var conn net.Conn = c
	if f.implicit {
		conn = tls.Server(c, f.tls)
	}
	if f.after > 0 {
		time.Sleep(f.after)
	}
	switch f.first {
	case "-":
		return
	case "...":
		io.Copy(io.Discard, conn)
		return
	case "":
		fmt.Fprint(conn, "220 Fake ready\r\n")
	default:
		fmt.Fprint(conn, f.first)
	}
	in := bufio.NewReader(conn)
	say := func(format string, args ...any) { fmt.Fprintf(conn, format+"\r\n", args...) }
	var data func() net.Conn
	protect := false
	dataConn := func() net.Conn {
		if data == nil {
			return nil
		}
		d := data()
		data = nil
		if d != nil && protect {
			d = tls.Server(d, f.tls)
		}
		return d
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, arg, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		f.mu.Lock()
		f.heard = append(f.heard, line)
		f.mu.Unlock()
		if verb == "EPSV" || verb == "PASV" {
			f.offers.Add(1)
		}
		if r, ok := f.says[verb]; ok {
			switch r {
			case "-":
				return
			case "...": // it hangs
				io.Copy(io.Discard, in)
				return
			}
			say("%s", r)
			continue
		}
		switch verb {
		case "FEAT":
			features := f.features
			if features == "" {
				features = "EPSV|EPRT|PASV|REST STREAM|SIZE|UTF8"
				if f.tls != nil {
					features += "|AUTH TLS|PBSZ|PROT"
				}
			}
			say("211-Features:\r\n %s\r\n211 End", strings.ReplaceAll(features, "|", "\r\n "))
		case "AUTH":
			if f.tls == nil {
				say("502 No TLS")
				continue
			}
			say("234 Go on")
			conn = tls.Server(conn, f.tls)
			in = bufio.NewReader(conn)
		case "USER":
			say("331 Password")
		case "PASS":
			say("230 Welcome")
		case "PROT":
			protect = arg == "P"
			say("200 Fine")
		case "SYST":
			say("215 UNIX Type: L8")
		case "SIZE":
			say("213 %d", f.size)
		case "REST":
			say("350 Fine")
		case "EPSV", "PASV":
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				say("425 No port")
				continue
			}
			at := addrPort(l.Addr())
			if f.closed {
				l.Close()
			}
			data = func() net.Conn {
				l.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
				d, err := l.Accept()
				l.Close()
				if err != nil {
					return nil
				}
				f.keep(d)
				return d
			}
			f.done.Go(func() { // an offer that nobody takes ends with the server
				for {
					f.mu.Lock()
					over := f.conns == nil
					f.mu.Unlock()
					if over {
						l.Close()
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
			if verb == "EPSV" {
				say("229 %s", wire.Format229(at.Port()))
				continue
			}
			if f.pasvIP != "" {
				at = netip.AddrPortFrom(netip.MustParseAddr(f.pasvIP), at.Port())
			}
			say("227 %s", wire.Format227(at))
		case "EPRT", "PORT":
			at, err := wire.ParsePort(arg)
			if verb == "EPRT" {
				at, err = wire.ParseEPRT(arg)
			}
			if err != nil {
				say("501 What?")
				continue
			}
			data = func() net.Conn {
				dialer := net.Dialer{Timeout: time.Second}
				if f.dialFrom != "" {
					dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(f.dialFrom)}
				}
				d, err := dialer.Dial("tcp", at.String())
				if err != nil {
					return nil
				}
				f.keep(d)
				return d
			}
			if f.noDial {
				data = func() net.Conn { time.Sleep(200 * time.Millisecond); return nil }
			}
			say("200 Fine")
		case "LIST", "RETR":
			if f.silent {
				continue
			}
			d := dataConn()
			if d == nil {
				say("425 Can't open data connection")
				continue
			}
			if f.drops {
				d.Close()
				continue
			}
			say("150 Here it comes")
			if f.balancer {
				d.Close()
				io.Copy(io.Discard, in)
				return
			}
			time.Sleep(f.slow)
			switch {
			case verb == "LIST" && f.listing == "":
				io.WriteString(d, "-rw-r--r-- 1 ftp ftp 5 Jan  1 00:00 a.txt\r\n")
			case verb == "LIST":
				io.WriteString(d, strings.TrimPrefix(f.listing, "empty"))
			case f.sends > 0:
				d.Write(make([]byte, f.sends))
				io.Copy(io.Discard, in) // and then nothing more
				d.Close()
				return
			default:
				d.Write(make([]byte, f.size))
			}
			d.Close()
			if verb == "RETR" && f.noEnd {
				io.Copy(io.Discard, in)
				return
			}
			say("226 Done")
		case "QUIT":
			say("221 Bye")
			return
		default:
			say("200 Fine")
		}
	}
}

func (f *fake) said(verb string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.heard {
		if l == verb || strings.HasPrefix(l, verb+" ") {
			return true
		}
	}
	return false
}

// quick are waits that suit loopback, where what they wait for never comes.
var quick = Limits{
	Name: time.Second, Connect: 3 * time.Second, Greeting: 150 * time.Millisecond, Hello: 3 * time.Second, Slow: 4 * time.Second, Reply: 2 * time.Second, SignIn: 2 * time.Second,
	Dial: 400 * time.Millisecond, DialNext: 300 * time.Millisecond, Accept: 500 * time.Millisecond, Quick: 200 * time.Millisecond,
	Stall: 300 * time.Millisecond, End: 300 * time.Millisecond, Transfer: 2 * time.Second, Hop: 50 * time.Millisecond, Total: 2 * time.Minute,
}

// patient are waits for what comes, which is late when the machine is busy or stood still.
var patient = Limits{
	Name: patience, Connect: patience, Greeting: patience, Hello: patience, Slow: patience, Reply: patience, SignIn: patience, Dial: patience, DialNext: patience,
	Accept: patience, Quick: patience, Stall: patience, End: patience, Transfer: 2 * patience, Hop: 50 * time.Millisecond, Total: 10 * patience,
}

const patience = 20 * time.Second

// What may be waited for in vain: a greeting, a reply to a command, and a data connection or what comes over one.
var (
	noGreeting = func(l *Limits) { l.Greeting, l.Hello, l.Slow = quick.Greeting, quick.Hello, quick.Slow }
	noReply    = func(l *Limits) { l.Reply = quick.Reply }
	noData     = func(l *Limits) {
		l.Accept, l.Quick, l.Stall, l.End, l.Transfer = quick.Accept, quick.Quick, quick.Stall, quick.End, quick.Transfer
	}
)

// limits are patient but for what the fake lets wait in vain.
func (f *fake) limits() Limits {
	l := patient
	if f.waits != nil {
		f.waits(&l)
	}
	return l
}

// noTrace is a network on which no router answers, so that only the server's own connections count.
func noTrace(context.Context, netip.AddrPort, []int, time.Duration) []Hop { return nil }

func (f *fake) target() client.Target {
	return client.Target{Host: f.addr.Addr().String(), Port: f.addr.Port(), TLS: client.TLSNone, User: "alice", Password: "s3cret@word"}
}

func (f *fake) examine(ctx context.Context, t client.Target, o Options) Report {
	return (&Examiner{Options: o, Limits: f.limits(), Network: Network{Trace: noTrace, Dial: f.dial}}).Examine(ctx, t)
}

// dial counts how many control connections the examination has open at once.
func (f *fake) dial(ctx context.Context, to netip.AddrPort, mss int) (net.Conn, error) {
	c, err := systemDial(ctx, to, mss)
	if err != nil || to != f.addr {
		return c, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
	f.most = max(f.most, f.open)
	return &counted{Conn: c, f: f}, nil
}

type counted struct {
	net.Conn
	f    *fake
	once sync.Once
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.f.mu.Lock()
		c.f.open--
		c.f.mu.Unlock()
	})
	return err
}

// fakeCertificate returns a server's TLS configuration for 127.0.0.1 and the pool that trusts it.
func fakeCertificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fake"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestAServerInGoodOrderIsCalledOK(t *testing.T) {
	conf, pool := fakeCertificate(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct {
		name string
		tls  client.TLSMode
		mode client.Mode
	}{
		{"clear, automatic", client.TLSNone, client.ModeAuto},
		{"clear, active", client.TLSNone, client.ModeActive},
		{"explicit TLS", client.TLSExplicit, client.ModePassive},
		{"explicit TLS, active", client.TLSExplicit, client.ModeActive},
		{"implicit TLS", client.TLSImplicit, client.ModeAuto},
		{"automatic TLS", client.TLSAuto, client.ModeAuto},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := (&fake{tls: conf, implicit: c.tls == client.TLSImplicit}).start(t)
			target := f.target()
			target.TLS = c.tls
			start := time.Now()
			r := f.examine(t.Context(), target, Options{Mode: c.mode, RootCAs: pool})
			if r.Verdict != OK || r.Problem() {
				t.Fatalf("%s: %s\n%s", r.Verdict, r.Sentence, r.ForAdmin())
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if r.Evidence.TLSUp != (c.tls != client.TLSNone) {
				t.Errorf("TLS up: %v", r.Evidence.TLSUp)
			}
			if n := f.most; n > 2 {
				t.Errorf("%d control connections at once", n)
			}
			if n := f.offers.Load(); n > maxOffers {
				t.Errorf("%d offers", n)
			}
		})
	}
}

func TestEachFaultOfAServerGetsItsVerdict(t *testing.T) {
	conf, pool := fakeCertificate(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct {
		name    string
		fake    *fake
		tls     client.TLSMode
		options Options
		path    string
		want    Verdict
	}{
		{name: "SSH", fake: &fake{first: "SSH-2.0-OpenSSH_9.6\r\n"}, want: NotFTP},
		{name: "web server that speaks at once", fake: &fake{first: "HTTP/1.1 400 Bad Request\r\n\r\n"}, want: NotFTP},
		{name: "mail server", fake: &fake{first: "220 mx.example ESMTP Postfix\r\n"}, want: NotFTP},
		{name: "closes at once", fake: &fake{first: "-"}, want: NotFTP},
		{name: "silence", fake: &fake{waits: noGreeting, first: "..."}, want: NotFTP},
		{name: "implicit TLS met with clear", fake: &fake{waits: noGreeting, tls: conf, implicit: true}, want: TLSModeMismatch},
		{name: "clear met with implicit TLS", tls: client.TLSImplicit, want: TLSModeMismatch},
		{name: "full at the greeting", fake: &fake{first: "421 Too many connections, try later\r\n"}, want: ServerFull},
		{name: "greeting without an end", fake: &fake{waits: noGreeting, first: "220-Welcome\r\n220-Please wait\r\n"}, want: ServerSlowGreeting},
		{name: "greeting turns the address away", fake: &fake{first: "530 Connection refused: your IP address is not allowed\r\n"}, want: LoginRefused},
		{name: "nothing is answered", fake: &fake{waits: noReply, says: map[string]string{"FEAT": "..."}}, want: ALGTamper},
		{name: "banned at PASS", fake: &fake{says: map[string]string{"PASS": "421 Login attempt limit exceeded; your address is banned."}}, want: LoginRefused},
		{name: "421 after the sign-in", fake: &fake{says: map[string]string{"PASS": "230 In\r\n421 Service not available."}}, want: ServerFull},
		{name: "closed after the sign-in", fake: &fake{says: map[string]string{"TYPE": "-"}}, want: LoginRefused},
		{name: "TLS listed and refused, in automatic mode", fake: &fake{tls: conf, says: map[string]string{"AUTH": "431 No certificate configured"}}, tls: client.TLSAuto, want: TLSUnsupported},
		{name: "EPSV names port 0", fake: &fake{says: map[string]string{"EPSV": "229 Entering Extended Passive Mode (|||0|)"}}, want: EPSVBroken},
		{name: "EPSV hangs", fake: &fake{waits: noReply, says: map[string]string{"EPSV": "..."}}, want: EPSVBroken},
		{name: "a port of more than 16 bits", fake: &fake{features: "SIZE", says: map[string]string{"EPSV": "500 What?", "PASV": "227 Entering Passive Mode (127,0,0,1,300,12)"}}, want: ServerPassiveIP},
		{name: "PASV hangs", fake: &fake{waits: noReply, features: "SIZE", says: map[string]string{"EPSV": "500 What?", "PASV": "..."}}, want: ServerPassiveExhausted},
		{name: "425 whoever dials", fake: &fake{says: map[string]string{"LIST": "425 Can't open data connection."}}, want: ListingEmpty},
		{name: "425 whoever dials, active mode", fake: &fake{says: map[string]string{"LIST": "425 Can't open data connection."}}, options: Options{Mode: client.ModeActive}, want: ListingEmpty},
		{name: "session ends at the listing", fake: &fake{waits: noData, says: map[string]string{"LIST": "-"}}, want: DataCut},
		{name: "replies out of step", fake: &fake{features: "SIZE", says: map[string]string{"TYPE": "200 Fine\r\n200 Fine"}}, want: ALGTamper},
		{name: "451 under way", fake: &fake{says: map[string]string{"LIST": "150 Here\r\n451 Local error in processing."}}, want: DataCut},
		{name: "226 and nothing", fake: &fake{waits: noData, says: map[string]string{"LIST": "150 Here\r\n226 Done"}}, want: DataCut},
		{name: "in clear where TLS was agreed", fake: &fake{waits: noData, tls: conf, says: map[string]string{"PROT": "200 Fine"}}, tls: client.TLSExplicit, want: TLSDataProtection},
		{name: "full at USER", fake: &fake{says: map[string]string{"USER": "530 Sorry, the maximum number of clients are already connected"}}, want: ServerFull},
		{name: "TLS required, vsftpd", fake: &fake{says: map[string]string{"USER": "530 Non-anonymous sessions must use encryption."}}, want: TLSRequired},
		{name: "TLS required, Pure-FTPd", fake: &fake{says: map[string]string{"USER": "421 Sorry, cleartext sessions are not accepted on this server."}}, want: TLSRequired},
		{name: "TLS required, ProFTPD", fake: &fake{says: map[string]string{"PASS": "550 SSL/TLS required on the control channel"}}, want: TLSRequired},
		{name: "TLS required, FileZilla Server", fake: &fake{says: map[string]string{"USER": "503 Use AUTH first."}}, want: TLSRequired},
		{name: "TLS required, IIS", fake: &fake{says: map[string]string{"USER": "534 Policy requires SSL."}}, want: TLSRequired},
		{name: "no TLS", tls: client.TLSExplicit, want: TLSUnsupported},
		{name: "AUTH swallowed", fake: &fake{tls: conf, says: map[string]string{"AUTH": "500 XXXX not understood"}}, tls: client.TLSExplicit, want: ALGTamper},
		{name: "certificate", fake: &fake{tls: conf}, tls: client.TLSExplicit, options: Options{RootCAs: x509.NewCertPool()}, want: TLSCertificate},
		{name: "a certificate that the person trusts", fake: &fake{tls: conf}, tls: client.TLSExplicit, options: Options{RootCAs: x509.NewCertPool(), Trusted: func(fingerprint string) bool { return strings.Count(fingerprint, ":") == 31 }}, want: OK},
		{name: "another certificate than the one that the person trusts", fake: &fake{tls: conf}, tls: client.TLSExplicit, options: Options{RootCAs: x509.NewCertPool(), Trusted: func(string) bool { return false }}, want: TLSCertificate},
		{name: "password", fake: &fake{says: map[string]string{"PASS": "530 Login incorrect."}}, want: LoginRefused},
		{name: "PROT refused", fake: &fake{tls: conf, says: map[string]string{"PROT": "534 No"}}, tls: client.TLSExplicit, want: TLSDataProtection},
		{name: "clear data refused", fake: &fake{tls: conf, says: map[string]string{"LIST": "522 Data connections must be encrypted."}}, tls: client.TLSExplicit, options: Options{ClearData: true}, want: TLSDataProtection},
		{name: "session reuse", fake: &fake{tls: conf, says: map[string]string{"LIST": "522 SSL connection failed; session reuse required"}}, tls: client.TLSExplicit, want: TLSSessionReuse},
		{name: "other address", fake: &fake{says: map[string]string{"LIST": "425 Security: Bad IP connecting."}}, want: ClientMultiAddress},
		{name: "other address, Pure-FTPd", fake: &fake{waits: noData, drops: true}, want: ClientMultiAddress},
		{name: "offers lead nowhere", fake: &fake{closed: true}, want: ServerFirewallPassive},
		{name: "no port left", fake: &fake{says: map[string]string{"EPSV": "425 All reserved TCP ports are busy.", "PASV": "425 All reserved TCP ports are busy."}}, want: ServerPassiveExhausted},
		{name: "session ends at the offer", fake: &fake{says: map[string]string{"EPSV": "-", "PASV": "-"}}, want: ServerPassiveExhausted},
		{name: "passive commands changed", fake: &fake{says: map[string]string{"EPSV": "500 Unknown command.", "PASV": "500 Unknown command."}}, want: ALGTamper},
		{name: "passive disabled", fake: &fake{features: "SIZE", says: map[string]string{"EPSV": "502 No", "PASV": "502 No"}}, want: ServerPassiveExhausted},
		{name: "private address in 227, no EPSV", fake: &fake{pasvIP: "127.66.0.1", says: map[string]string{"EPSV": "522 No"}}, want: ServerPassiveIP},
		{name: "private address in 227, EPSV hides it", fake: &fake{pasvIP: "127.66.0.1"}, want: OKWithFault},
		{name: "0.0.0.0 in 227", fake: &fake{pasvIP: "0.0.0.0"}, want: OK},
		{name: "active disabled", fake: &fake{says: map[string]string{"EPRT": "550 Permission denied.", "PORT": "550 Permission denied."}}, options: Options{Mode: client.ModeActive}, want: ActiveDisabled},
		{name: "address refused", fake: &fake{says: map[string]string{"EPRT": "500 Illegal EPRT command.", "PORT": "500 Illegal PORT command."}}, options: Options{Mode: client.ModeActive}, want: ClientNATActive},
		{name: "PORT changed", fake: &fake{says: map[string]string{"PORT": "500 Illegal PORT command."}}, options: Options{Mode: client.ModeActive}, want: ALGTamper},
		{name: "nobody dials", fake: &fake{noDial: true}, options: Options{Mode: client.ModeActive}, want: ServerEgressActive},
		{name: "dialled from another address", fake: &fake{waits: noData, dialFrom: "127.0.0.2"}, options: Options{Mode: client.ModeActive}, want: ServerEgressActive},
		{name: "a balancer without a server behind it", fake: &fake{waits: noData, balancer: true}, want: DataCut},
		{name: "EPSV listed and not known", fake: &fake{says: map[string]string{"EPSV": "500 What?"}}, want: OKWithFault},
		{name: "session ends at PROT", fake: &fake{tls: conf, says: map[string]string{"PROT": "-"}}, tls: client.TLSExplicit, want: LoginRefused},
		{name: "session ends at RETR", fake: &fake{says: map[string]string{"RETR": "-"}}, options: Options{Action: ActionGet}, path: "a", want: DataCut},
		{name: "empty listing", fake: &fake{listing: "empty"}, want: ListingEmpty},
		{name: "Latin-1 names", fake: &fake{listing: "-rw-r--r-- 1 ftp ftp 5 Jan  1 00:00 Caf\xe9.txt\r\n"}, want: Charset},
		{name: "slow greeting", fake: &fake{waits: noGreeting, after: 300 * time.Millisecond}, want: OK}, // late, but not by seconds
		{name: "ready later, and then ready", fake: &fake{first: "120 Soon\r\n120 Very soon\r\n220 Ready\r\n"}, want: OK},
		{name: "ready later, for ever", fake: &fake{waits: noGreeting, first: "120 Soon\r\n120 Soon\r\n"}, want: ServerSlowGreeting},
		{name: "ready later, and then gone", fake: &fake{waits: noGreeting, first: "120 Soon\r\n", says: map[string]string{"": "-"}}, want: ServerSlowGreeting},
		{name: "no greeting at all", fake: &fake{waits: noGreeting, first: "..."}, want: NotFTP},
		{name: "no such file", fake: &fake{says: map[string]string{"RETR": "550 No such file"}}, options: Options{Action: ActionGet}, path: "a", want: ListingEmpty},
		{name: "download", fake: &fake{size: 5000}, options: Options{Action: ActionGet}, path: "a", want: OK},
		{name: "fewer bytes than SIZE", fake: &fake{says: map[string]string{"SIZE": "213 999999"}, size: 5000}, options: Options{Action: ActionGet}, path: "a", want: DataCut},
		{name: "cut at the same place", fake: &fake{waits: noData, sends: 90_000, size: 200_000}, options: Options{Action: ActionGet}, path: "a", want: DataCut},
		{name: "control connection dead after the file", fake: &fake{waits: noData, noEnd: true, size: 5000}, options: Options{Action: ActionGet}, path: "a", want: ControlIdleTimeout},
		{name: "idle by the server's clock", fake: &fake{says: map[string]string{"RETR": "150 Here\r\n421 Timeout."}}, options: Options{Action: ActionGet}, path: "a", want: ControlIdleTimeout},
		{name: "REST refused", fake: &fake{says: map[string]string{"REST": "502 No"}}, options: Options{Action: ActionResume}, path: "a", want: RESTUnsupported},
		{name: "REST ignored", fake: &fake{size: 5000}, options: Options{Action: ActionResume}, path: "a", want: RESTUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := c.fake
			if f == nil {
				f = &fake{}
			}
			f.start(t)
			target := f.target()
			target.Path = c.path
			if c.tls != "" {
				target.TLS = c.tls
			}
			if c.options.RootCAs == nil {
				c.options.RootCAs = pool
			}
			r := f.examine(t.Context(), target, c.options)
			if r.Verdict != c.want {
				t.Errorf("%s, want %s: %s\n%s", r.Verdict, c.want, r.Sentence, r.ForAdmin())
			}
			for _, f := range r.Facts {
				if f.Running {
					t.Errorf("the probe %q never ended", f.Title())
				}
			}
			if n := f.most; n > 2 {
				t.Errorf("%d control connections at once", n)
			}
			if n := f.offers.Load(); n > maxOffers {
				t.Errorf("%d offers", n)
			}
			if strings.Contains(r.ForAdmin(), "s3cret") || strings.Contains(fmt.Sprint(r), "s3cret") {
				t.Error("the password is in the report")
			}
		})
	}
}

func TestASlowListingIsNotAskedForAgain(t *testing.T) {
	f := (&fake{slow: 2 * quick.End}).start(t)
	x := Examiner{Limits: patient, Network: Network{Trace: noTrace}}
	x.Limits.End = quick.End
	r := x.Examine(t.Context(), f.target())
	f.mu.Lock()
	defer f.mu.Unlock()
	lists := 0
	for _, line := range f.heard {
		if line == "LIST" {
			lists++
		}
	}
	if r.Verdict != OK || lists != 1 {
		t.Errorf("%s after %d listings: %s", r.Verdict, lists, r.Sentence)
	}
	if len(r.Evidence.Passive.More) == 0 {
		t.Error("passive ports are connected to all the same")
	}
}

// closedAt is an address at which nobody listens, or will: it belongs to a connection until the test ends. A listener that
// was closed may live on in a process that begins.
func closedAt(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); other.Close() })
	return addrPort(c.LocalAddr())
}

func TestNobodyListens(t *testing.T) {
	at := closedAt(t)
	r := (&Examiner{Limits: patient}).Examine(t.Context(), client.Target{Host: "127.0.0.1", Port: at.Port()})
	if r.Verdict != ControlRefused {
		t.Errorf("%s: %s", r.Verdict, r.Sentence)
	}
}

// A family that does not answer is told, and does not hold up the rest.
func TestTheOtherFamilyIsTriedWhenTheFirstIsSilent(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("IPv6 silent", func(t *testing.T) {
		f := (&fake{}).start(t)
		v6 := netip.MustParseAddr("2001:db8::1")
		network := Network{
			Trace: noTrace,
			Resolve: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{v6, f.addr.Addr()}, nil
			},
			Dial: func(ctx context.Context, to netip.AddrPort, mss int) (net.Conn, error) {
				if to.Addr() == v6 {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return f.dial(ctx, to, mss)
			},
		}
		target := f.target()
		target.Host = "both.example"
		limits := patient
		limits.Connect = quick.Connect
		r := (&Examiner{Limits: limits, Network: network}).Examine(t.Context(), target)
		if r.Verdict != OK || r.Evidence.OtherDead != v6 || !strings.Contains(r.Sentence, v6.String()) {
			t.Errorf("%s: %s", r.Verdict, r.Sentence)
		}
		if f.most > 2 {
			t.Errorf("%d control connections at once", f.most)
		}
	})
	for name, down := range map[string]func(context.Context) error{
		"one host of several is down":       func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"one host of several has no server": func(context.Context) error { return syscall.ECONNREFUSED },
	} {
		t.Run(name, func(t *testing.T) {
			f := (&fake{}).start(t)
			dead := []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")}
			network := Network{
				Trace:   noTrace,
				Resolve: func(context.Context, string) ([]netip.Addr, error) { return append(dead, f.addr.Addr()), nil },
				Dial: func(ctx context.Context, to netip.AddrPort, mss int) (net.Conn, error) {
					if slices.Contains(dead, to.Addr()) {
						return nil, down(ctx)
					}
					return f.dial(ctx, to, mss)
				},
			}
			target := f.target()
			target.Host = "many.example"
			limits := patient
			limits.Connect = 5 * time.Second
			r := (&Examiner{Limits: limits, Network: network}).Examine(t.Context(), target)
			if r.Verdict != OK || r.Evidence.OtherDead != dead[0] || !strings.Contains(r.Sentence, dead[0].String()) {
				t.Errorf("%s: %s", r.Verdict, r.Sentence)
			}
		})
	}
}

func TestNoFurtherAddressIsDialledWhenOneAnswers(t *testing.T) {
	f := (&fake{}).start(t)
	late, spare := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	answered := make(chan struct{})
	var once sync.Once
	var needless atomic.Bool
	network := Network{
		Trace: noTrace,
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{late, f.addr.Addr(), spare}, nil
		},
		Dial: func(ctx context.Context, to netip.AddrPort, mss int) (net.Conn, error) {
			switch to.Addr() {
			case late: // it refuses after the second one has answered
				<-answered
				time.Sleep(50 * time.Millisecond)
				return nil, syscall.ECONNREFUSED
			case spare:
				needless.Store(true)
				return nil, syscall.ECONNREFUSED
			}
			defer once.Do(func() { close(answered) })
			return f.dial(ctx, to, mss)
		},
	}
	target := f.target()
	target.Host = "many.example"
	r := (&Examiner{Limits: patient, Network: network}).Examine(t.Context(), target)
	if r.Verdict != OK || needless.Load() {
		t.Errorf("%s: %s; a third address was dialled: %v", r.Verdict, r.Sentence, needless.Load())
	}
}

func TestTheNameServiceIsAskedOnceAndItsAnswerTold(t *testing.T) {
	ask := func(ctx context.Context, host string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	r := (&Examiner{Limits: quick, Network: Network{Resolve: ask}}).Examine(t.Context(), client.Target{Host: "nosuch.example"})
	if r.Verdict != NameUnresolved || r.Confidence != Proved {
		t.Errorf("%s, %s", r.Verdict, r.Confidence)
	}
	slow := func(ctx context.Context, host string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r = (&Examiner{Limits: quick, Network: Network{Resolve: slow}}).Examine(t.Context(), client.Target{Host: "slow.example"})
	if r.Verdict != NameUnresolved || r.Confidence != Likely {
		t.Errorf("%s, %s", r.Verdict, r.Confidence)
	}
}

func TestAPasswordGoesInClearOnlyWithConsent(t *testing.T) {
	f := (&fake{}).start(t)
	target := f.target()
	target.TLS = client.TLSAuto
	if r := f.examine(t.Context(), target, Options{}); r.Verdict != TLSUnsupported || f.said("PASS") || f.said("USER") {
		t.Errorf("%s; said PASS: %v", r.Verdict, f.said("PASS"))
	}
	if r := f.examine(t.Context(), target, Options{ConsentPlain: true}); r.Verdict != OK || !f.said("PASS s3cret@word") {
		t.Errorf("%s; said PASS: %v", r.Verdict, f.said("PASS"))
	}

	conf, pool := fakeCertificate(t)
	dead := (&fake{tls: conf, closed: true}).start(t)
	target = dead.target()
	target.TLS = client.TLSExplicit
	if r := dead.examine(t.Context(), target, Options{RootCAs: pool}); r.Evidence.Comparison.Tried {
		t.Error("it was tried in clear without consent")
	}
	if r := dead.examine(t.Context(), target, Options{RootCAs: pool, ConsentPlain: true}); !r.Evidence.Comparison.Tried {
		t.Errorf("it was not tried in clear: %s", r.Evidence.Comparison.Failed)
	}
}

func TestARefusedSignInIsNotTriedAgain(t *testing.T) {
	f := (&fake{says: map[string]string{"PASS": "530 No"}}).start(t)
	f.examine(t.Context(), f.target(), Options{ConsentPlain: true})
	n := 0
	f.mu.Lock()
	for _, l := range f.heard {
		if strings.HasPrefix(l, "PASS") {
			n++
		}
	}
	f.mu.Unlock()
	if n != 1 {
		t.Errorf("PASS was said %d times", n)
	}
}

// What the server names is dialled once, and never a well-known port of a stranger.
func TestAnAddressThatTheServerDictatesIsDialledWithCare(t *testing.T) {
	for _, c := range []struct {
		reply  string
		dialed bool
	}{
		{"227 Entering Passive Mode (127,77,0,9,0,25).", false},
		{"227 Entering Passive Mode (224,0,0,1,200,10).", false},
		{"227 Entering Passive Mode (127,77,0,9,200,10).", true},
	} {
		f := (&fake{says: map[string]string{"PASV": c.reply}}).start(t)
		var mu sync.Mutex
		var strangers []netip.AddrPort
		dial := func(ctx context.Context, to netip.AddrPort, mss int) (net.Conn, error) {
			if to.Addr() != f.addr.Addr() {
				mu.Lock()
				strangers = append(strangers, to)
				mu.Unlock()
			}
			return systemDial(ctx, to, mss)
		}
		(&Examiner{Limits: patient, Network: Network{Trace: noTrace, Dial: dial}}).Examine(t.Context(), f.target())
		if c.dialed && len(strangers) != 1 || !c.dialed && len(strangers) != 0 {
			t.Errorf("%s: dialled %v", c.reply, strangers)
		}
	}
}

func TestProgressShowsEachProbeWhenItBeginsAndEnds(t *testing.T) {
	f := (&fake{}).start(t)
	begun, ended := map[int]Probe{}, map[int]Fact{}
	r := f.examine(t.Context(), f.target(), Options{Progress: func(fact Fact) {
		if fact.Running {
			begun[fact.ID] = fact.Probe
		} else {
			ended[fact.ID] = fact
		}
		if fact.Title() == "" || fact.Result() == "" {
			t.Errorf("%s has no words: %q %q", fact.Probe, fact.Title(), fact.Result())
		}
	}})
	if len(r.Facts) < 6 || len(ended) != len(r.Facts) {
		t.Errorf("%d facts, %d shown", len(r.Facts), len(ended))
	}
	for id, p := range begun {
		if ended[id].Probe != p {
			t.Errorf("probe %s never ended", p)
		}
	}
}

func TestCancellingEndsAnExaminationAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("while it waits", func(t *testing.T) {
		f := (&fake{silent: true}).start(t)
		ctx, cancel := context.WithCancel(t.Context())
		long := patient
		long.Stall, long.Reply, long.Total = time.Minute, time.Minute, time.Minute
		o := Options{Progress: func(f Fact) {
			if f.Probe == ProbeEPSV && f.Running {
				time.AfterFunc(100*time.Millisecond, cancel)
			}
		}}
		start := time.Now()
		r := (&Examiner{Options: o, Limits: long, Network: Network{Trace: noTrace}}).Examine(ctx, f.target())
		if took := time.Since(start); took > 20*time.Second { // each wait is a minute
			t.Errorf("took %v", took)
		}
		if !r.Cancelled || r.Verdict == OK {
			t.Errorf("%s, cancelled %v", r.Verdict, r.Cancelled)
		}
	})
}

// A connection that the examination closes is not called lost.
func TestTheLogSaysWhoClosedAProbesConnection(t *testing.T) {
	f := (&fake{first: "...", waits: noGreeting}).start(t)
	log := connlog.NewLog(0)
	f.examine(t.Context(), f.target(), Options{Recorder: log})
	sessions := log.Sessions()
	if len(sessions) < 3 {
		t.Fatalf("%d connections", len(sessions))
	}
	for _, s := range sessions {
		if c := s.Channels[0]; c.Reason == connlog.ReasonLost || c.By != connlog.Client {
			t.Errorf("%s by %s", c.Reason, c.By)
		}
	}
}

// What this side ended, nobody else did.
func TestACancelledExaminationBlamesNobodyForItsEnd(t *testing.T) {
	hangs := func(verb string) *fake { return &fake{says: map[string]string{verb: "..."}} }
	for _, c := range []struct {
		name  string
		probe Probe
		fake  *fake
		mode  client.Mode
		tls   client.TLSMode
	}{
		{name: "names", probe: ProbeNames, fake: &fake{}},
		{name: "control", probe: ProbeControl, fake: &fake{}},
		{name: "greeting", probe: ProbeGreeting, fake: &fake{first: "..."}},
		{name: "implicit TLS", probe: ProbeTLS, fake: &fake{first: "..."}, tls: client.TLSImplicit},
		{name: "AUTH", probe: ProbeTLS, fake: hangs("AUTH"), tls: client.TLSExplicit},
		{name: "USER", probe: ProbeSignIn, fake: hangs("USER")},
		{name: "PASS", probe: ProbeSignIn, fake: hangs("PASS")},
		{name: "EPSV", probe: ProbeEPSV, fake: hangs("EPSV")},
		{name: "LIST", probe: ProbeEPSV, fake: &fake{silent: true}},
		{name: "EPRT", probe: ProbeActive, fake: hangs("EPRT"), mode: client.ModeActive},
		{name: "the server's connection", probe: ProbeActive, fake: &fake{noDial: true, silent: true}, mode: client.ModeActive},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := c.fake.start(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			long := Limits{}.orDefaults()
			long.Total = time.Minute
			target := f.target()
			if c.tls != "" {
				target.TLS = c.tls
			}
			network := Network{Trace: noTrace}
			if c.probe == ProbeNames || c.probe == ProbeControl {
				target.Host = "files.example.org"
				network.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
					if c.probe == ProbeNames {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return []netip.Addr{f.addr.Addr()}, nil
				}
				network.Dial = func(ctx context.Context, _ netip.AddrPort, _ int) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
			}
			o := Options{Mode: c.mode, Progress: func(f Fact) {
				if f.Probe == c.probe && f.Running {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
			}}
			r := (&Examiner{Options: o, Limits: long, Network: network}).Examine(ctx, target)
			if !r.Cancelled || r.Verdict != Undecided || r.Side != Nobody || !strings.Contains(r.Sentence, "ended before") {
				t.Errorf("%s (%s): %s", r.Verdict, r.Side, r.Sentence)
			}
			if len(r.Fixes) > 0 || slices.ContainsFunc(r.Arrows, func(a Arrow) bool { return !a.Works }) {
				t.Errorf("fixes %+v, arrows %+v", r.Fixes, r.Arrows)
			}
			if s := r.ForAdmin(); strings.Contains(s, "I can't use") || strings.Contains(s, "FAIL") {
				t.Error(s)
			}
		})
	}
}

func TestTheChannelsStandInTheLogAsAnySessions(t *testing.T) {
	f := (&fake{first: "220 Portside ready [session ab12]\r\n"}).start(t)
	log := connlog.NewLog(0)
	f.examine(t.Context(), f.target(), Options{Recorder: log})
	sessions := log.Sessions()
	if len(sessions) == 0 || len(sessions[0].Channels) < 3 {
		t.Fatalf("%d sessions", len(sessions))
	}
	if sessions[0].Peer != "ab12" {
		t.Errorf("the server's id of the session is %q: its log can't be found to compare", sessions[0].Peer)
	}
	var b strings.Builder
	if err := log.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "s3cret") {
		t.Error("the password is in the log")
	}
	modes := map[connlog.Mode]connlog.Side{}
	for _, c := range sessions[0].Channels {
		if c.Kind == connlog.Data && c.State == connlog.Closed {
			modes[c.Mode] = c.Initiator
		}
	}
	if modes[connlog.Passive] != connlog.Client || modes[connlog.Active] != connlog.Server {
		t.Errorf("who opened what: %v", modes)
	}
}

func TestTraceTellsAnOpenPortFromAClosedOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := addrPort(l.Addr())
	if got := systemTrace(t.Context(), open, []int{1, 2}, time.Second); len(got) != 2 || got[0].Outcome != Worked || Trace(got).distance() != 1 {
		t.Errorf("open port: %+v", got)
	}
	if got := systemTrace(t.Context(), closedAt(t), []int{1}, time.Second); len(got) != 1 || got[0].Outcome != Refused {
		t.Errorf("closed port: %+v", got)
	}
}

func FuzzWhatAServerSays(f *testing.F) {
	f.Add([]byte("220 ready\r\n"))
	f.Add([]byte("220-a\r\n b\r\n220 c\r\n"))
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Add([]byte{0x15, 3, 1, 0, 2})
	f.Fuzz(func(t *testing.T, said []byte) {
		here, there := net.Pipe()
		defer here.Close()
		go func() {
			there.Write(said)
			there.Close()
		}()
		x := &examination{limits: quick, now: time.Now, recorder: connlog.Discard}
		s := &controlConn{x: x, tcp: here, conn: here, ended: t.Context().Err}
		for range len(said) + 2 {
			r, err := s.next(time.Second)
			g, text := greeter(r, err, s.buf)
			if g == "" || strings.ContainsAny(text, "\r\n\x1b") || len(text) > 4096 {
				t.Fatalf("%q: %q, %q", said, g, text)
			}
			if err != nil {
				return
			}
			softwareOf(answer(r).Text)
		}
		t.Fatal("it never ends")
	})
}

// A server that says again and again that it begins is given up, by a command and by a transfer.
func TestRepliesThatOnlyBeginComeToAnEnd(t *testing.T) {
	flooded := func(t *testing.T) *controlConn {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var server sync.WaitGroup
		server.Go(func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			for err == nil {
				_, err = io.WriteString(c, strings.Repeat("150 Soon\r\n", 100))
			}
		})
		t.Cleanup(server.Wait)
		t.Cleanup(func() { ln.Close() })
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &controlConn{x: &examination{limits: quick, now: time.Now, recorder: connlog.Discard}, tcp: c, conn: c, ended: context.Background().Err}
	}
	for name, do := range map[string]func(context.Context, *controlConn){
		"a command": func(_ context.Context, s *controlConn) {
			if a, err := s.ask("TYPE I"); !errors.Is(err, errNotReply) {
				t.Errorf("%v %v", a, err)
			}
		},
		"a transfer": func(ctx context.Context, s *controlConn) {
			never := func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			m := &movement{s: s, command: "LIST", mode: connlog.Active, open: never, wait: time.Minute}
			if out, _, _ := m.run(ctx); out.Outcome == Worked {
				t.Errorf("%+v", out)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := flooded(t)
			done := make(chan struct{})
			go func() { defer close(done); do(ctx, s) }()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatal("it is still waited for")
			}
		})
	}
}
