package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portside/connlog"
	"portside/localserver"
)

// portside runs Portside's own server with TLS.
func portside(t *testing.T, c localserver.Config) (*localserver.Server, Target) {
	t.Helper()
	c.Listen, c.Root = "127.0.0.1:0", t.TempDir()
	c.Accounts = []localserver.Account{{Name: localserver.Anonymous, Rights: localserver.ReadWrite}}
	if err := os.WriteFile(filepath.Join(c.Root, "a.txt"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := localserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s, to(s.Addr())
}

func TestAnUntrustedCertificateIsAskedAbout(t *testing.T) {
	server, target := portside(t, localserver.Config{TLS: localserver.TLSConfig{Mode: localserver.TLSExplicit}})
	ctx := context.Background()
	target.TLS = TLSAuto

	b := &book{}
	_, err := Dial(ctx, Options{Target: target, Recorder: b})
	wantError(t, err, connlog.ReasonTLS, "not trusted", server.Fingerprint())
	for _, r := range b.find(connlog.CommandSent) {
		if r.Command != "AUTH TLS" {
			t.Errorf("sent %q before the certificate was accepted", r.Command)
		}
	}

	no := errors.New("not today")
	_, err = Dial(ctx, Options{Target: target, Verify: func(context.Context, CertificateProblem) error { return no }})
	wantError(t, err, connlog.ReasonTLS, "not today")
	if !errors.Is(err, no) {
		t.Error("the person's refusal is not wrapped")
	}

	var asked []CertificateProblem
	s, b := dial(t, Options{Target: target, Mode: ModePassive, Verify: func(_ context.Context, p CertificateProblem) error {
		asked = append(asked, p)
		return nil
	}})
	if got, err := get(t, s); got != "hello" || err != nil {
		t.Fatal(got, err)
	}
	if len(asked) != 1 || asked[0].SHA256 != server.Fingerprint() || asked[0].Err == nil || asked[0].Host != "127.0.0.1" {
		t.Errorf("%+v", asked)
	}
	if s.TLSState() == nil || len(b.find(connlog.ControlTLS)) != 1 {
		t.Error("no TLS")
	}
}

func TestDataConnectionsBeginWithTheKeyExchangeThatTheServerChose(t *testing.T) {
	both, _ := certificate(t)
	pair, err := tls.LoadX509KeyPair(both, both)
	if err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{Certificates: []tls.Certificate{pair}, CurvePreferences: []tls.CurveID{tls.CurveP384}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	shake := func(cfg *tls.Config) (tls.ConnectionState, int) {
		go func() {
			there, err := ln.Accept()
			if err != nil {
				return
			}
			defer there.Close()
			_, _ = tls.Server(there, server).Write([]byte("x")) // a ticket comes before it
		}()
		here, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		flights := &writes{Conn: here}
		conn := tls.Client(flights, cfg)
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return conn.ConnectionState(), flights.n
	}
	cfg := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	control, first := shake(cfg)
	data, second := shake(forData(cfg, control))
	if !data.DidResume || control.CurveID != tls.CurveP384 || data.CurveID != tls.CurveP384 || second >= first {
		t.Errorf("%d flights with %v, then %d with %v, resumed %v", first, control.CurveID, second, data.CurveID, data.DidResume)
	}
}

// writes counts.
type writes struct {
	net.Conn
	n int
}

func (w *writes) Write(p []byte) (int, error) {
	w.n++
	return w.Conn.Write(p)
}

func TestACertificateInThePlaceOfAPinnedOneIsAskedAboutThoughItIsVouchedFor(t *testing.T) {
	server, target := portside(t, localserver.Config{TLS: localserver.TLSConfig{Mode: localserver.TLSRequired}})
	target.TLS = TLSExplicit
	s, _ := dial(t, Options{Target: target, Insecure: true})
	roots := x509.NewCertPool()
	roots.AddCert(s.TLSState().PeerCertificates[0])
	var asked []CertificateProblem
	o := Options{Target: target, Mode: ModePassive, RootCAs: roots, Verify: func(_ context.Context, p CertificateProblem) error {
		asked = append(asked, p)
		return nil
	}}
	for pin, questions := range map[string]int{"": 0, server.Fingerprint(): 0, "AB:CD": 1} {
		asked = nil
		o.Pinned = func() string { return pin }
		s, _ := dial(t, o)
		if got, err := get(t, s); got != "hello" || err != nil {
			t.Error(got, err)
		}
		if len(asked) != questions || questions == 1 && (asked[0].Err != nil || asked[0].SHA256 != server.Fingerprint()) {
			t.Errorf("pinned %q: asked %+v", pin, asked)
		}
	}
	o.Verify, o.Pinned = nil, func() string { return "AB:CD" }
	_, err := Dial(context.Background(), o)
	wantError(t, err, connlog.ReasonTLS, "not the one that was trusted")
}

func TestDataConnectionsResumeThisSessionsTLSAndNoOther(t *testing.T) {
	for _, mode := range []Mode{ModePassive, ModeActive} {
		_, target := portside(t, localserver.Config{TLS: localserver.TLSConfig{Mode: localserver.TLSRequired, Resume: localserver.ResumeRequire}})
		target.TLS = TLSExplicit
		s1, b1 := dial(t, Options{Target: target, Mode: mode, Insecure: true})
		s2, b2 := dial(t, Options{Target: target, Mode: mode, Insecure: true})
		for range 5 { // more than a TLS 1.3 server's tickets
			for _, s := range []*Session{s1, s2} {
				if got, err := get(t, s); got != "hello" || err != nil {
					t.Fatal(mode, got, err)
				}
				if _, err := s.Put(context.Background(), "up", 0, strings.NewReader("x")); err != nil {
					t.Fatal(mode, err)
				}
			}
		}
		for _, b := range []*book{b1, b2} {
			for _, r := range b.find(connlog.DataTLS) {
				if !r.Resumed || r.TLS == "" {
					t.Errorf("%+v", r)
				}
			}
		}
	}
}

func TestBothEndsNameTheSameSessionAndTheSamePorts(t *testing.T) {
	for _, mode := range []Mode{ModePassive, ModeActive} {
		far := &book{}
		server, target := portside(t, localserver.Config{Recorder: far})
		s, near := dial(t, Options{Target: target, Mode: mode})
		if _, err := s.Get(context.Background(), "/a.txt", 0, io.Discard); err != nil {
			t.Fatal(err)
		}
		one := server.Sessions()
		if len(one) != 1 || near.find(connlog.Greeted)[0].Peer != one[0].ID {
			t.Errorf("%+v; %+v", one, near.find(connlog.Greeted))
		}
		a, b := near.find(connlog.DataOpened), far.find(connlog.DataOpened)
		if len(a) != 1 || len(b) != 1 || a[0].From != b[0].From || a[0].To != b[0].To || a[0].Initiator != b[0].Initiator || a[0].Mode != b[0].Mode {
			t.Errorf("%v: client %+v, server %+v", mode, a, b)
		}
	}
}
