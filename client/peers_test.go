package client

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"portside/connlog"
)

// book keeps records for a test to look at.
type book struct {
	mu   sync.Mutex
	all  []connlog.Record
	hook func(connlog.Record)
}

func (b *book) Record(r connlog.Record) {
	b.mu.Lock()
	b.all = append(b.all, r)
	hook := b.hook
	b.mu.Unlock()
	if hook != nil {
		hook(r)
	}
}

func (b *book) find(e connlog.Event) []connlog.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []connlog.Record
	for _, r := range b.all {
		if r.Event == e {
			out = append(out, r)
		}
	}
	return out
}

func (b *book) dump(t *testing.T) {
	if !t.Failed() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.all {
		t.Logf("%s %s#%d %s %s>%s %s %s %s %s %s %s", r.Event, r.Channel, r.Conn, r.Initiator, r.From, r.To, r.Command, r.Reply, r.Reason, r.Err, r.TLS, r.Mode)
	}
}

// dial signs in. The options' limits hold from then on, so that on a busy machine a short one ends nothing before the test has
// come to it.
func dial(t *testing.T, o Options) (*Session, *book) {
	t.Helper()
	b := &book{}
	o.Recorder = b
	t.Cleanup(func() { b.dump(t) })
	limits := o.Timeouts.withDefaults()
	o.Timeouts = Timeouts{}
	s, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.o.Timeouts = limits
	s.ctl.reply, s.ctl.final = limits.Reply, max(limits.Reply, limits.Stall)
	t.Cleanup(func() { s.Close() })
	return s, b
}

// certificate makes a self-signed one for loopback and returns the paths of its PEM files and a pool that trusts it.
func certificate(t *testing.T) (both string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("::1")}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	both = filepath.Join(t.TempDir(), "both.pem")
	var buf bytes.Buffer
	_ = pem.Encode(&buf, &pem.Block{Type: "PRIVATE KEY", Bytes: pk})
	_ = pem.Encode(&buf, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(both, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(buf.Bytes())
	return both, pool
}

// vsftpd runs a real server over a fresh folder with upload rights for anonymous, as a foreground child.
func vsftpd(t *testing.T, host string, tlsPEM string, more string) (addr netip.AddrPort, root string) {
	t.Helper()
	path, err := exec.LookPath("vsftpd")
	if err != nil {
		t.Skip("vsftpd is not installed")
	}
	if os.Getuid() != 0 {
		t.Skip("vsftpd needs root to run anonymous sessions")
	}
	dir, err := os.MkdirTemp("", "vsftpd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	_ = os.Chmod(dir, 0o755)
	root = filepath.Join(dir, "root")
	for _, d := range []string{root, filepath.Join(root, "up"), filepath.Join(dir, "empty")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "up"), 0o777); err != nil {
		t.Fatal(err)
	}
	addr = freeAddr(t, host)
	family := fmt.Sprintf("listen=YES\nlisten_ipv6=NO\nlisten_address=%s\n", host)
	if addr.Addr().Is6() {
		family = fmt.Sprintf("listen=NO\nlisten_ipv6=YES\nlisten_address6=%s\n", host)
	}
	conf := family + fmt.Sprintf(`background=NO
listen_port=%d
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
no_anon_password=YES
anon_root=%s
secure_chroot_dir=%s
connect_from_port_20=NO
port_enable=YES
pasv_enable=YES
seccomp_sandbox=NO
xferlog_enable=NO
`, addr.Port(), root, filepath.Join(dir, "empty"))
	if tlsPEM != "" {
		conf += fmt.Sprintf(`ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
ssl_tlsv1=YES
ssl_ciphers=HIGH
rsa_cert_file=%s
rsa_private_key_file=%s
`, tlsPEM, tlsPEM)
	}
	file := filepath.Join(dir, "vsftpd.conf")
	if err := os.WriteFile(file, []byte(conf+more), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("vsftpd: %s", out.String())
		}
	})
	for range 1000 {
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			conn.Close()
			return addr, root
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("vsftpd does not listen: %s", out.String())
	return
}

// freeAddr is an address of host with a port that no system gives out by itself: one of those may belong to a connection by
// the time that a server listens there.
func freeAddr(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	syscall.ForkLock.RLock() // else a program that starts meanwhile has the port for a moment longer
	defer syscall.ForkLock.RUnlock()
	var err error
	for port := 10_000 + os.Getpid()%5000; port < 20_000; port++ {
		var ln net.Listener
		if ln, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			defer ln.Close()
			return addrPort(ln.Addr())
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	t.Skip("no address ", host, ": ", err)
	return netip.AddrPort{}
}

func to(addr netip.AddrPort) Target {
	return Target{Host: addr.Addr().String(), Port: addr.Port()}
}

func TestVsftpdInEveryMode(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		for _, tls := range []TLSMode{TLSNone, TLSExplicit, TLSImplicit} {
			for _, mode := range []Mode{ModePassive, ModeActive} {
				t.Run(fmt.Sprintf("%s/%s/%s", host, tls, mode), func(t *testing.T) {
					var pemFile, more string
					var pool *x509.CertPool
					if tls != TLSNone {
						pemFile, pool = certificate(t)
					}
					if tls == TLSImplicit {
						more = "implicit_ssl=YES\n"
					}
					addr, root := vsftpd(t, host, pemFile, more)
					exercise(t, addr, root, Options{Mode: mode, RootCAs: pool}, tls)
				})
			}
		}
	}
}

// exercise moves files both ways and checks what the records say of the channels.
func exercise(t *testing.T, addr netip.AddrPort, root string, o Options, tls TLSMode) {
	o.Target = to(addr)
	o.TLS = tls
	ctx := context.Background()
	s, b := dial(t, o)
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	if err := os.WriteFile(filepath.Join(root, "a file.bin"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, ".hidden"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	entries, err := s.List(ctx, "/")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]Entry{}
	for _, e := range entries {
		names[e.Name] = e
	}
	if e := names["a file.bin"]; len(names) != 3 || e.Size != int64(len(content)) || e.Type != File || e.Rights == "" {
		t.Errorf("listing: %+v", entries)
	}
	odd := filepath.Join(root, "a[1] *{x}")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(odd, "in"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := s.List(ctx, "/a[1] *{x}"); err != nil || len(got) != 1 || got[0].Name != "in" {
		t.Errorf("a folder with the name of a pattern: %+v %v", got, err)
	}
	if names["up"].Type != Folder {
		t.Errorf("up: %+v", names["up"])
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "got"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := s.Get(ctx, "/a file.bin", 0, f); err != nil || n != int64(len(content)) {
		t.Fatal(n, err)
	}
	if got, _ := os.ReadFile(f.Name()); !bytes.Equal(got, content) {
		t.Error("the download differs")
	}
	var tail bytes.Buffer
	if n, err := s.Get(ctx, "/a file.bin", 1<<20, &tail); err != nil || n != 2<<20 || !bytes.Equal(tail.Bytes(), content[1<<20:]) {
		t.Error("resumed download:", n, err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Put(ctx, "/up/x", 0, f); err != nil || n != int64(len(content)) {
		t.Fatal(n, err)
	}
	if n, err := s.Put(ctx, "/up/y", 0, bytes.NewReader(content[:1<<20])); err != nil || n != 1<<20 {
		t.Fatal(n, err)
	}
	if n, err := s.Append(ctx, "/up/y", bytes.NewReader(content[1<<20:])); err != nil || n != 2<<20 {
		t.Fatal(n, err)
	}
	if _, err := s.Put(ctx, "/up/empty", 0, bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "y"} {
		if got, _ := os.ReadFile(filepath.Join(root, "up", name)); !bytes.Equal(got, content) {
			t.Error("the upload differs:", name, len(got))
		}
	}
	if _, err := s.Get(ctx, "/missing", 0, &tail); err == nil {
		t.Error("a missing file came")
	} else if e, _ := asType[*Error](err); e == nil || e.Code != 550 || e.Data {
		t.Errorf("missing file: %#v", err)
	}
	if err := s.Noop(ctx); err != nil {
		t.Error(err)
	}
	for _, r := range b.find(connlog.DataOpened) {
		want := connlog.Client
		if o.Mode == ModeActive {
			want = connlog.Server
		}
		server := r.To
		if r.Initiator == connlog.Server {
			server = r.From
		}
		if r.Initiator != want || server.Addr() != addr.Addr() || !r.From.IsValid() || !r.To.IsValid() {
			t.Errorf("data opened: %+v", r)
		}
	}
	if tls != TLSNone {
		for _, r := range b.find(connlog.DataTLS) {
			if !r.Resumed {
				t.Errorf("data connection %d did not resume the TLS session", r.Conn)
			}
		}
	}
	if n := len(b.find(connlog.DataTLS)); tls != TLSNone && n < 8 {
		t.Errorf("%d data connections under TLS", n)
	}
	if got, failed := b.find(connlog.DataClosed), b.find(connlog.DataFailed); len(got) != 8 || len(failed) != 1 {
		t.Errorf("%d data connections ended well, %d did not", len(got), len(failed))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := b.find(connlog.ControlClosed); len(got) != 1 || got[0].By != connlog.Client || got[0].Reason != connlog.ReasonQuit {
		t.Errorf("control closed: %+v", got)
	}
}
