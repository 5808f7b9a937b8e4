package localserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// TLSMode is when TLS protects a session.
type TLSMode string

// The modes. The zero value means TLSOff.
const (
	TLSOff      TLSMode = "off"
	TLSExplicit TLSMode = "explicit" // AUTH TLS is offered, clear sessions are allowed
	TLSRequired TLSMode = "required" // AUTH TLS is required before USER, and PROT P for data
	TLSImplicit TLSMode = "implicit" // TLS from the first byte, as on port 990; data must be protected too
)

// ResumePolicy is what a data connection is asked whose TLS session is not that of its control connection. Resuming
// proves that both connections come from the same program; older clients can't do it.
type ResumePolicy string

// The policies. The zero value means ResumeNote.
const (
	ResumeOff     ResumePolicy = "off"  // no session tickets: each data connection is a full handshake
	ResumeNote    ResumePolicy = "note" // resumption is offered, and the record says whether it was used
	ResumeRequire ResumePolicy = "require"
)

// TLSConfig is the server's TLS (RFC 4217).
type TLSConfig struct {
	Mode TLSMode
	// Certificate is the person's own; nil: one is made and signed by itself.
	Certificate *tls.Certificate
	// CertDir is where the self-signed certificate is kept, so that clients meet the same one again. Empty: it lives
	// in memory, as long as the Server value.
	CertDir string
	Resume  ResumePolicy
}

// LoadCertificate reads a PEM certificate chain and its key.
func LoadCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s can't be used: %w", certFile, keyFile, err)
	}
	return &c, checkCertificate(&c, time.Now())
}

func checkCertificate(c *tls.Certificate, now time.Time) error {
	if len(c.Certificate) == 0 || c.PrivateKey == nil {
		return errors.New("the TLS certificate has no certificate or no key in it")
	}
	if c.Leaf == nil {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			return fmt.Errorf("the TLS certificate can't be read: %w", err)
		}
		c.Leaf = leaf
	}
	if now.After(c.Leaf.NotAfter) {
		return fmt.Errorf("the TLS certificate ended on %s: get a new one, or use the self-signed one",
			c.Leaf.NotAfter.Format(time.DateOnly))
	}
	return nil
}

const (
	selfSignedFor   = 2 * 365 * 24 * time.Hour
	renewBeforeEnd  = 30 * 24 * time.Hour
	selfSignedFile  = "localserver.pem"
	clockDifference = 24 * time.Hour // NotBefore lies that far back, for clients whose clock is slow
)

// ErrNotKept is why [New] fails when CertDir can't be written: with another CertDir, or none, there is a certificate.
var ErrNotKept = errors.New("the TLS certificate can't be kept")

// CertificateFile is where the self-signed certificate is kept in CertDir: PEM, with its key.
func CertificateFile(certDir string) string { return filepath.Join(certDir, selfSignedFile) }

// certificate returns the certificate that c asks for: the person's, the kept one, or a new one.
func (c *TLSConfig) certificate(now time.Time) (*tls.Certificate, error) {
	if c.Certificate != nil {
		own := *c.Certificate
		return &own, checkCertificate(&own, now)
	}
	if c.CertDir == "" {
		cert, _, err := selfSigned(now)
		return cert, err
	}
	file := CertificateFile(c.CertDir)
	if pair, err := os.ReadFile(file); err == nil {
		cert, err := tls.X509KeyPair(pair, pair)
		if err != nil {
			return nil, fmt.Errorf("the kept TLS certificate %s can't be read: %w; remove the file to get a new one", file, err)
		}
		if err := checkCertificate(&cert, now.Add(renewBeforeEnd)); err == nil {
			return &cert, nil
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the kept TLS certificate can't be read: %w", err)
	}
	cert, pair, err := selfSigned(now)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.CertDir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	temp, err := os.CreateTemp(c.CertDir, selfSignedFile+".*") // CreateTemp makes it 0600
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	_, err = temp.Write(pair)
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		os.Remove(temp.Name())
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return cert, nil
}

// selfSigned makes a certificate for this computer's names and addresses, and its PEM form with the key.
func selfSigned(now time.Time) (*tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a TLS key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("making a TLS certificate: %w", err)
	}
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "" && host != "localhost" && checkHostName(host) == nil {
		names = append(names, host)
		if short, _, dotted := strings.Cut(host, "."); !dotted {
			names = append(names, short+".local") // its name in mDNS (RFC 6762)
		}
	}
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	addrs, _ := net.InterfaceAddrs() // without them the certificate still serves
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			ips = append(ips, p.Addr().AsSlice())
		}
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[len(names)-1], Organization: []string{"Portside"}},
		NotBefore: now.Add(-clockDifference), NotAfter: now.Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: names, IPAddresses: ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("making a TLS certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("making a TLS certificate: %w", err)
	}
	pair := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pair, err
}

// fingerprint is the SHA-256 of the certificate as clients show it: upper-case pairs with colons.
func fingerprint(c *tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// sessionTLS returns the TLS configuration of one session, for its control connection and its data connections.
// It has a ticket key of its own, so a data connection can resume this session's TLS session and no other's: another
// session's ticket can't be opened, and its owner gets a full handshake.
func sessionTLS(cert *tls.Certificate, resume ResumePolicy) *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{*cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"ftp"}, // a client that speaks another protocol by ALPN is refused (ALPACA)
		// Whole records from the begin: FTP data has no first paint to hurry for.
		DynamicRecordSizingDisabled: true,
		SessionTicketsDisabled:      resume == ResumeOff,
	}
	if resume != ResumeOff {
		var key [32]byte
		rand.Read(key[:])
		c.SetSessionTicketKeys([][32]byte{key})
	}
	return c
}
