package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestACertificatesProblemIsSaidInWords(t *testing.T) {
	self := []*x509.Certificate{{RawSubject: []byte("a"), RawIssuer: []byte("a"), NotBefore: time.Unix(0, 0)}}
	signed := []*x509.Certificate{{RawSubject: []byte("a"), RawIssuer: []byte("b"), NotBefore: time.Unix(0, 0)}}
	early := []*x509.Certificate{{NotBefore: time.Now().Add(time.Hour)}}
	expired := x509.CertificateInvalidError{Reason: x509.Expired}
	for _, c := range []struct {
		err   error
		chain []*x509.Certificate
		want  string
	}{
		{fmt.Errorf("tls: %w", x509.UnknownAuthorityError{}), self, "Self-signed: nobody but the server itself vouches for it."},
		{x509.UnknownAuthorityError{}, signed, "Signed by nobody that this computer trusts."},
		{x509.HostnameError{Certificate: self[0], Host: "nas"}, self, "Made for other names than nas."},
		{expired, signed, "Expired."},
		{expired, early, "Not valid yet."},
		{errors.New("x509: something else"), nil, "Something else."},
	} {
		if got := certificateProblem(c.err, c.chain); got != c.want {
			t.Errorf("%v is told as %q, want %q", c.err, got, c.want)
		}
	}
}
