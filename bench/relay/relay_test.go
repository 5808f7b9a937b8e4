package relay_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portside/bench/relay"
	"portside/client"
	"portside/connlog"
	"portside/localserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Both modes work behind the relay, both ways, and every exchange takes the time that it would at a distance.
func TestBothModesTakeTheRoundTrips(t *testing.T) {
	const trip = 40 * time.Millisecond
	server, err := localserver.New(localserver.Config{Listen: "127.0.0.1:0", Root: t.TempDir(),
		Accounts: []localserver.Account{{Name: localserver.Anonymous, Rights: localserver.ReadWrite}}})
	if err == nil {
		err = server.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- relay.Relay{To: server.Addr().String(), RoundTrip: trip}.Serve(ctx, ln) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	at := netip.MustParseAddrPort(ln.Addr().String())
	body := bytes.Repeat([]byte("body "), 50_000)
	for mode, trips := range map[client.Mode]time.Duration{client.ModePassive: 3, client.ModeActive: 3} {
		began := time.Now()
		s, err := client.Dial(t.Context(), client.Options{Mode: mode, Recorder: connlog.Discard,
			Target: client.Target{Host: at.Addr().String(), Port: at.Port(), TLS: client.TLSNone}})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 5*trip { // connect and greeting 2, USER, FEAT, TYPE
			t.Errorf("%s: signing in took %v", mode, took)
		}
		for _, step := range []func() error{
			func() error { _, err := s.Put(t.Context(), "f", 0, bytes.NewReader(body)); return err },
			func() error {
				var got bytes.Buffer
				_, err := s.Get(t.Context(), "f", 0, &got)
				if !bytes.Equal(got.Bytes(), body) {
					t.Errorf("%s: %d bytes came", mode, got.Len())
				}
				return err
			},
		} {
			began := time.Now()
			if err := step(); err != nil {
				t.Fatal(mode, err)
			}
			if took := time.Since(began); took < trips*trip { // the offer, and two for connection and transfer
				t.Errorf("%s: a transfer took %v, less than %v", mode, took, trips*trip)
			}
		}
		s.Close()
	}
}
