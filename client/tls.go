package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"portside/connlog"
	"portside/wire"
)

// protect puts TLS over the control connection. The certificate is judged after the handshake and before anything is
// sent, so that a person may be asked without a handshake that waits.
//
// The configuration is shared with the data connections, and crypto/tls finds a session to resume by ServerName: that
// is how data connections resume the control connection's session, which vsftpd, ProFTPD and FileZilla Server require.
func (s *Session) protect(ctx context.Context) error {
	name := strings.TrimSuffix(s.o.Host, ".")
	if i := strings.IndexByte(name, '%'); i >= 0 {
		name = name[:i]
	}
	cfg := &tls.Config{
		ServerName:         name,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
		InsecureSkipVerify: true, // judge does it
	}
	s.ctl.within(ctx, s.o.Timeouts.Connect)
	conn := tls.Client(s.ctl.tcp, cfg)
	if err := conn.Handshake(); err != nil {
		return tlsFailed(err)
	}
	_ = s.ctl.tcp.SetDeadline(time.Time{}) // a person may have to think
	state := conn.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return &Error{Reason: connlog.ReasonTLS, Err: errors.New("the server showed no certificate")}
	}
	if err := s.judge(ctx, state, name); err != nil {
		return err
	}
	s.ctl.conn, s.tlsConfig, s.tlsState = conn, forData(cfg, state), &state
	s.leaf = state.PeerCertificates[0].Raw
	r := s.ctl.local
	r.Event, r.TLS, r.Cipher = connlog.ControlTLS, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	s.record(r)
	return nil
}

// forData is the configuration of data connections, of what the control connection's handshake turned out to be. A server
// that knows none of the key exchanges which the client begins with asks for another (RFC 8446 section 4.1.4), and that
// takes a round trip; vsftpd is one. Data connections begin with what it chose.
func forData(cfg *tls.Config, control tls.ConnectionState) *tls.Config {
	switch control.CurveID {
	case 0, tls.X25519, tls.X25519MLKEM768: // crypto/tls begins with these
		return cfg
	}
	cfg = cfg.Clone() // with the same session cache
	cfg.CurvePreferences = []tls.CurveID{control.CurveID}
	return cfg
}

func tlsFailed(err error) error {
	e := &Error{Reason: connlog.ReasonTLS, Err: fmt.Errorf("TLS handshake: %w", err)}
	if record, ok := asType[tls.RecordHeaderError](err); ok {
		e.Err = errors.New("the server does not begin with TLS")
		if bytes.HasPrefix(record.RecordHeader[:], []byte("220")) {
			e.Advice = "It greets in clear, as FTP does: use ftpes:// (explicit TLS) or ftp://, usually on port 21."
		} else {
			e.Reason = connlog.ReasonNotFTP
		}
	} else if reason := ReasonOf(err); reason == connlog.ReasonTimeout {
		e.Reason = reason
	}
	return e
}

// judge verifies the certificate, and asks when it can't be trusted.
func (s *Session) judge(ctx context.Context, st tls.ConnectionState, name string) error {
	if s.o.Insecure {
		return nil
	}
	err := verify(st, name, s.o.RootCAs)
	p := CertificateProblem{Host: s.o.Host, Chain: st.PeerCertificates, SHA256: Fingerprint(st.PeerCertificates[0]), Err: err}
	if err == nil {
		if pin := s.pinned(); pin == "" || pin == p.SHA256 {
			return nil
		}
		err = errors.New("it is not the one that was trusted for this server")
	}
	if s.o.Verify == nil {
		return &Error{Reason: connlog.ReasonTLS, Err: fmt.Errorf("the certificate is not trusted: %w", err),
			Advice: "Its SHA-256 fingerprint is " + p.SHA256 + "."}
	}
	if err := s.o.Verify(ctx, p); err != nil {
		e := &Error{Reason: connlog.ReasonTLS, Err: fmt.Errorf("the certificate was not accepted: %w", err)}
		if ctx.Err() != nil {
			e.Reason = connlog.ReasonCancelled
		}
		return e
	}
	return nil
}

func (s *Session) pinned() string {
	if s.o.Pinned == nil {
		return ""
	}
	return s.o.Pinned()
}

func verify(st tls.ConnectionState, name string, roots *x509.CertPool) error {
	opts := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range st.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := st.PeerCertificates[0].Verify(opts); err != nil {
		return certificateError{err}
	}
	return nil
}

// certificateError may hold names that whoever made the certificate has chosen.
type certificateError struct{ error }

func (e certificateError) Error() string { return wire.Escape(e.error.Error()) }
func (e certificateError) Unwrap() error { return e.error }

// sameServer refuses a data connection whose TLS end is not the control connection's server.
func (s *Session) sameServer(st tls.ConnectionState) error {
	if s.o.Insecure || len(st.PeerCertificates) > 0 && bytes.Equal(st.PeerCertificates[0].Raw, s.leaf) {
		return nil
	}
	if len(st.PeerCertificates) > 0 && s.pinned() == "" && verify(st, s.tlsConfig.ServerName, s.o.RootCAs) == nil {
		return nil
	}
	return errors.New("the data connection shows another certificate than the control connection")
}

// Fingerprint is the SHA-256 of a certificate, "AB:CD:...".
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	hexes := make([]string, len(sum))
	for i, b := range sum {
		hexes[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(hexes, ":")
}
