package app

import (
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// Certificate is one that a person has trusted for good, for one server.
type Certificate struct {
	Server string // host:port
	SHA256 string
	Since  time.Time         // zero: before Portside kept the time
	X509   *x509.Certificate // nil: before Portside kept more than the fingerprint
}

// Certificates returns the trusted certificates by the name of their server.
func (a *App) Certificates() []Certificate {
	var out []Certificate
	for server, s := range a.Settings().Sites {
		if s.Certificate != "" {
			out = append(out, Certificate{Server: server, SHA256: s.Certificate, Since: s.TrustedSince, X509: s.x509()})
		}
	}
	slices.SortFunc(out, func(a, b Certificate) int { return strings.Compare(a.Server, b.Server) })
	return out
}

// ForgetCertificate stops trusting a server's certificate: the next connection asks again.
func (a *App) ForgetCertificate(server string) {
	a.ChangeSettings(func(set *Settings) {
		s := set.Sites[server]
		s.forget()
		if s == (Site{}) {
			delete(set.Sites, server)
			return
		}
		set.Sites[server] = s
	})
	for _, r := range a.remotes() {
		r.mu.Lock()
		for once := range r.once {
			if strings.HasPrefix(once, server+" ") {
				delete(r.once, once)
			}
		}
		r.mu.Unlock()
	}
}

// trust remembers a certificate for good.
func (s *Site) trust(sha256 string, chain []*x509.Certificate, now time.Time) {
	s.Certificate, s.TrustedSince, s.CertificateDER = sha256, now.UTC().Truncate(time.Second), ""
	if len(chain) > 0 {
		s.CertificateDER = base64.StdEncoding.EncodeToString(chain[0].Raw)
	}
}

// forget stops trusting the certificate.
func (s *Site) forget() { s.Certificate, s.CertificateDER, s.TrustedSince = "", "", time.Time{} }

// x509 is the certificate that was trusted, if more than its fingerprint was kept.
func (s Site) x509() *x509.Certificate {
	der, err := base64.StdEncoding.DecodeString(s.CertificateDER)
	if err != nil || len(der) == 0 {
		return nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c
}

// DescribeCertificate returns what a person needs to know a certificate by; of nil, nothing.
func DescribeCertificate(c *x509.Certificate) CertificateText {
	var t CertificateText
	if c == nil {
		return t
	}
	t.Subject, t.Issuer, t.Names = c.Subject.String(), c.Issuer.String(), strings.Join(certificateNames(c), ", ")
	t.From, t.Until = c.NotBefore.Local().Format(time.DateOnly), c.NotAfter.Local().Format(time.DateOnly)
	return t
}
