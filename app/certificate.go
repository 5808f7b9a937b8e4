package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"portside/client"
	"portside/connlog"
)

// CertificateQuestion asks the person whether to trust a server's certificate. Answer must be called once.
type CertificateQuestion struct {
	Problem client.CertificateProblem
	// Known is the fingerprint that was trusted for this server until now; another one is a loud warning.
	Known string
	// Before is the certificate that was trusted until now, and since when; nil when only its fingerprint was kept.
	Before *x509.Certificate
	Since  time.Time
	Answer func(Trust)
}

// Vouched says that an authority which this computer trusts vouches for the certificate: only that it is not the one that
// was trusted for this server needs an answer. [TrustAlways] then means that authority.
func (q *CertificateQuestion) Vouched() bool { return q.Problem.Err == nil }

// Trust is the answer to a [CertificateQuestion].
type Trust int

const (
	TrustNo Trust = iota
	TrustOnce
	TrustAlways
)

var errNotTrusted = errors.New("you did not trust it")

// trusts says that the person has trusted a certificate for this server, always or in this run.
func (r *remote) trusts(key string, p client.CertificateProblem) bool {
	always := r.app.Settings().Sites[key].Certificate == p.SHA256
	r.mu.Lock()
	defer r.mu.Unlock()
	return always || r.once[key+" "+p.SHA256]
}

// verify asks the person about a certificate that the system doesn't trust, unless it was trusted before. Several sessions
// may ask: the panes', the queue's, a search's.
func (r *remote) verify(key string) func(context.Context, client.CertificateProblem) error {
	return func(ctx context.Context, p client.CertificateProblem) error {
		if r.trusts(key, p) {
			return nil // without a turn: another server's question may be open for hours
		}
		at, err := r.askAt(ctx)
		if err != nil {
			return err
		}
		defer func() { <-at.asking }()
		if r.trusts(key, p) {
			return nil
		}
		site := r.app.Settings().Sites[key]
		known := site.Certificate
		answer := make(chan Trust, 1)
		q := &CertificateQuestion{Problem: p, Known: known, Before: site.x509(), Since: site.TrustedSince, Answer: func(t Trust) {
			select {
			case answer <- t:
			default: // answered already
			}
		}}
		at.set(func(st *Remote) { st.Question = q })
		if !slices.Contains(r.app.remotes(), at) { // closed meanwhile: nobody sees it
			q.Answer(TrustNo)
		}
		defer at.set(func(st *Remote) {
			if st.Question == q {
				st.Question = nil
			}
		})
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case t := <-answer:
			switch t {
			case TrustNo:
				if p.Err != nil {
					return fmt.Errorf("%w: %w", errNotTrusted, p.Err)
				}
				return errNotTrusted
			case TrustAlways:
				r.app.ChangeSettings(func(s *Settings) {
					site := s.Sites[key]
					if p.Err != nil {
						site.trust(p.SHA256, p.Chain, time.Now())
					} else {
						site.forget() // from now on whoever vouches for it is trusted, also with its next certificate
					}
					s.Sites[key] = site
				})
			}
			r.mu.Lock()
			if t == TrustOnce {
				r.once[key+" "+p.SHA256] = true
			}
			r.answers++
			r.mu.Unlock()
			return nil
		}
	}
}

// askAt waits until the tab can ask, or the current one when the tab was closed, and returns it with its turn taken.
func (r *remote) askAt(ctx context.Context) (*remote, error) {
	for {
		at := r
		if !slices.Contains(r.app.remotes(), r) {
			at = r.app.remote()
		}
		select {
		case at.asking <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if slices.Contains(r.app.remotes(), at) {
			return at, nil
		}
		<-at.asking
	}
}

// CertificateText describes a certificate for a dialog.
type CertificateText struct {
	Subject, Issuer, Names, From, Until, SHA256, Problem string
}

// Describe returns what a person needs to judge the server's certificate.
func (q *CertificateQuestion) Describe() CertificateText {
	t := CertificateText{SHA256: q.Problem.SHA256}
	if q.Problem.Err != nil {
		t.Problem = certificateProblem(q.Problem.Err, q.Problem.Chain)
	}
	if len(q.Problem.Chain) == 0 {
		return t
	}
	d := DescribeCertificate(q.Problem.Chain[0])
	d.SHA256, d.Problem = t.SHA256, t.Problem
	return d
}

// certificateProblem says in words why a certificate is not trusted by itself.
func certificateProblem(err error, chain []*x509.Certificate) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown) && len(chain) > 0 && bytes.Equal(chain[0].RawSubject, chain[0].RawIssuer):
		return "Self-signed: nobody but the server itself vouches for it."
	case errors.As(err, &unknown):
		return "Signed by nobody that this computer trusts."
	case errors.As(err, &name):
		return "Made for other names than " + name.Host + "."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && len(chain) > 0 && time.Now().Before(chain[0].NotBefore):
		return "Not valid yet."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "Expired."
	}
	return connlog.Capital(strings.TrimPrefix(err.Error(), "x509: ")) + "."
}

func certificateNames(c *x509.Certificate) []string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
