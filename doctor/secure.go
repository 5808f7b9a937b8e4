package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strings"

	"portside/client"
	"portside/connlog"
	"portside/wire"
)

const (
	tlsUsual  = tls.VersionTLS12
	tlsOldest = tls.VersionTLS10 // to find out what a server speaks; nothing secret goes over it
)

// secure negotiates TLS as the target asks for. It returns false when the session ends here.
func (x *examination) secure(ctx context.Context, s *controlConn) bool {
	e := &x.e
	if e.Target.TLS == client.TLSImplicit {
		return true // done before the greeting
	}
	features := s.features()
	_, e.ListsAuth = features["AUTH"]
	if s.dead != nil {
		x.lose(s, s.dead)
		x.tell(Fact{Probe: ProbeSignIn, By: connlog.Client, From: s.local, To: s.peer, Outcome: Broken, Detail: cmp.Or(s.goodbye.String(), s.dead.Error()+" at FEAT")})
		return false
	}
	if e.Target.TLS == client.TLSNone {
		return true
	}
	done := x.begin(Fact{Probe: ProbeTLS, By: connlog.Client, From: s.local, To: s.peer, Command: "AUTH TLS"})
	a, err := s.ask("AUTH TLS")
	e.AuthAnswer = a
	if errors.Is(err, errEnded) {
		done(Fact{Outcome: Failed})
		return false
	}
	if err != nil || a.Code != 234 {
		f := Fact{Outcome: Rejected, Detail: a.String(), From: s.local}
		if err != nil {
			e.TLSError, f.Outcome, f.Detail = err.Error(), Broken, err.Error()
		}
		// In automatic mode a server without TLS is used in clear, unless it says that it has TLS.
		goOn := e.Target.TLS == client.TLSAuto && !e.ListsAuth && s.dead == nil
		f.Note = goOn
		done(f)
		return goOn
	}
	st, err := s.handshake(ctx, tlsUsual)
	if !x.shook(ctx, st, err, done) {
		return false
	}
	return x.trusted(st)
}

// greetImplicit does the handshake of implicit TLS and then reads the greeting.
func (x *examination) greetImplicit(ctx context.Context, s *controlConn) bool {
	e := &x.e
	done := x.begin(Fact{Probe: ProbeTLS, By: connlog.Client, From: s.local, To: s.peer})
	st, err := s.handshake(ctx, tlsUsual)
	if err != nil && plainGreeting(err) {
		e.TLSPlain, e.TLSError, e.Greeter = true, "the server greets in clear", GreeterFTP
		done(Fact{Outcome: TLSFailed, Detail: e.TLSError})
		return false
	}
	if head := firstBytes(err); head != "" {
		if g, text := greeter(wire.Reply{}, errNotReply, []byte(head)); g == GreeterSSH || g == GreeterHTTP {
			e.Greeter, e.Heard = g, text
			done(Fact{Outcome: TLSFailed, Detail: text})
			return false
		}
	}
	if !x.shook(ctx, st, err, done) || !x.trusted(st) {
		return false
	}
	start := x.now()
	done = x.begin(Fact{Probe: ProbeGreeting, By: connlog.Client, From: s.local, To: s.peer})
	r, err := s.greeting(x.limits.Slow)
	if errors.Is(err, errEnded) {
		done(Fact{Outcome: Failed})
		return false
	}
	e.GreetIn = x.now().Sub(start)
	e.Greeter, e.Heard = greeter(r, err, s.buf)
	e.GreetCut = err != nil && e.Greeter == GreeterFTP
	f := Fact{From: s.local, Outcome: Rejected, Detail: e.Heard}
	if err == nil {
		s.greeted(r)
		e.Greeting = answer(r)
		e.Software = softwareOf(e.Greeting.Text)
		f.Detail = e.Greeting.String()
	}
	ok := e.Greeter == GreeterFTP && e.Greeting.Code/100 == 2
	if ok {
		f.OK, f.Outcome = true, Worked
	}
	done(f)
	return ok
}

// shook notes how a handshake ended, and looks into one that failed.
func (x *examination) shook(ctx context.Context, st tls.ConnectionState, err error, done func(Fact)) bool {
	e := &x.e
	if err == nil {
		e.TLSUp, e.TLSVersion = true, tls.VersionName(st.Version)
		done(Fact{OK: true, Outcome: Worked, Detail: e.TLSVersion})
		return true
	}
	if ctx.Err() != nil {
		done(Fact{Outcome: Failed})
		return false
	}
	e.TLSError = tlsTrouble(err)
	stalled := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	e.TLSStalled = stalled
	f := Fact{Outcome: TLSFailed, Detail: e.TLSError}
	if stalled {
		f.Outcome, f.Detail = Silence, "the handshake stopped"
	}
	done(f)
	switch {
	case stalled: // the server's certificate is the first thing that fills whole packets
		done := x.begin(Fact{Probe: ProbeSmallTLS, By: connlog.Client, To: e.Peer})
		_, err := x.handshakeAnew(ctx, tlsUsual, smallMSS)
		e.TLSSmall = err == nil
		f := Fact{OK: e.TLSSmall, Outcome: Worked}
		if err != nil {
			f.Outcome, f.Detail = TLSFailed, tlsTrouble(err)
		}
		done(f)
	case !plainGreeting(err):
		if st, err := x.handshakeAnew(ctx, tlsOldest, 0); err == nil {
			e.TLSOld = tls.VersionName(st.Version)
		}
	}
	return false
}

// handshakeAnew does the handshake over a control connection of its own and ends it.
func (x *examination) handshakeAnew(ctx context.Context, min uint16, mss int) (tls.ConnectionState, error) {
	s, _, err := x.dialControl(ctx, x.e.Peer, mss)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer s.close()
	if x.e.Target.TLS != client.TLSImplicit {
		if _, err := s.greeting(max(x.limits.Reply, 2*x.e.GreetIn)); err != nil {
			return tls.ConnectionState{}, err
		}
		if a, err := s.ask("AUTH TLS"); err != nil || a.Code != 234 {
			return tls.ConnectionState{}, errClosed
		}
	}
	return s.handshake(ctx, min)
}

// trusted judges the certificate before anything secret is sent.
func (x *examination) trusted(st tls.ConnectionState) bool {
	err := x.verify(st)
	if err == nil {
		return true
	}
	x.e.CertError = strings.TrimPrefix(connlog.Printable(err.Error()), "x509: ")
	if len(st.PeerCertificates) > 0 {
		c := st.PeerCertificates[0]
		x.e.CertNames = append(x.e.CertNames, c.DNSNames...)
		for _, ip := range c.IPAddresses {
			x.e.CertNames = append(x.e.CertNames, ip.String())
		}
		if len(x.e.CertNames) == 0 && c.Subject.CommonName != "" {
			x.e.CertNames = []string{c.Subject.CommonName}
		}
		for i, n := range x.e.CertNames {
			x.e.CertNames[i] = connlog.Printable(n)
		}
		now := x.now()
		x.e.CertExpired, x.e.CertEarly = now.After(c.NotAfter), now.Before(c.NotBefore)
		x.e.CertMisnamed = errors.As(err, new(x509.HostnameError))
		x.e.CertIssuer = connlog.Printable(c.Issuer.String())
		x.e.CertFingerprint = client.Fingerprint(c)
	}
	x.tell(Fact{Probe: ProbeTLS, Command: theCertificate, Outcome: TLSFailed, Detail: x.e.CertError, To: x.e.Peer})
	return false
}

func (x *examination) verify(st tls.ConnectionState) error {
	if x.o.Insecure {
		return nil
	}
	if len(st.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	name, _, _ := strings.Cut(strings.TrimSuffix(x.e.Target.Host, "."), "%")
	o := x509.VerifyOptions{Roots: x.o.RootCAs, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range st.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := st.PeerCertificates[0].Verify(o)
	if err != nil && x.o.Trusted != nil && x.o.Trusted(client.Fingerprint(st.PeerCertificates[0])) {
		return nil
	}
	return err
}

// firstBytes returns what came instead of a TLS record: crypto/tls keeps five bytes of it.
func firstBytes(err error) string {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) {
		return ""
	}
	return string(record.RecordHeader[:])
}

// tlsTrouble says in words why a handshake failed.
func tlsTrouble(err error) string {
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record):
		return "the other side answers in clear"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), client.ReasonOf(err) == connlog.ReasonReset:
		return "the other side ends the connection"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer"
	}
	text, remote := strings.CutPrefix(connlog.Printable(err.Error()), "remote error: ")
	text = strings.TrimPrefix(text, "tls: ")
	if remote {
		return "the other side says: " + text
	}
	return text
}

// tlsAlert is the alert with which the other side ended TLS, "" when there was none.
func tlsAlert(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" { // as crypto/tls marks them
		return ""
	}
	return tlsTrouble(err)
}

// plainGreeting says that an FTP greeting in clear came where TLS was expected.
func plainGreeting(err error) bool {
	head := firstBytes(err)
	return strings.HasPrefix(head, "220") || strings.HasPrefix(head, "120") || strings.HasPrefix(head, "421") || strings.HasPrefix(head, "500") ||
		strings.HasPrefix(head, "530")
}

// beginsReply is an FTP reply of which the end did not come (RFC 959 section 4.2).
var beginsReply = regexp.MustCompile(`^[1-5][0-5][0-9][ -]`)

// greeter tells from the first words what answers.
func greeter(r wire.Reply, err error, heard []byte) (Greeter, string) {
	text := strings.TrimSpace(string(bytes.ToValidUTF8(heard[:min(len(heard), 200)], []byte("?"))))
	line, _, _ := strings.Cut(text, "\n")
	line = connlog.Printable(strings.TrimSpace(line))
	upper := strings.ToUpper(text)
	switch {
	case err == nil && r.Code == 220 && mailGreeting(r):
		return GreeterMail, answer(r).String()
	case err == nil && strings.Contains(upper, "<HTML"), err == nil && strings.Contains(strings.ToUpper(answer(r).Text), "<HTML"):
		return GreeterHTTP, answer(r).String()
	case err == nil:
		return GreeterFTP, answer(r).String()
	case beginsReply.MatchString(text):
		return GreeterFTP, line
	case strings.HasPrefix(upper, "SSH-"):
		return GreeterSSH, line
	case strings.HasPrefix(upper, "HTTP/"), strings.HasPrefix(upper, "HTTP"), strings.HasPrefix(upper, "<!DOCTYPE"), strings.HasPrefix(upper, "<HTML"):
		return GreeterHTTP, line
	case strings.HasPrefix(upper, "+OK"), strings.HasPrefix(upper, "* OK"):
		return GreeterMail, line
	case len(heard) > 1 && heard[0] >= 0x14 && heard[0] <= 0x17 && heard[1] == 3:
		return GreeterTLS, "TLS"
	case len(heard) > 0:
		return GreeterOther, line
	case errors.Is(err, errClosed):
		return GreeterClosed, ""
	}
	return GreeterSilent, ""
}

func mailGreeting(r wire.Reply) bool {
	text := strings.ToUpper(strings.Join(r.Lines, " "))
	return strings.Contains(text, "SMTP") && !strings.Contains(text, "FTP") || strings.Contains(text, "ESMTP")
}
