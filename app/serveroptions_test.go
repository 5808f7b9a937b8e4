package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portside/localserver"
)

// greeting is the first line that a server says to a new client.
func greeting(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestServerOptionsReachTheRunningServer(t *testing.T) {
	a := start(t)
	addr := a.share.startOver(t, t.TempDir(), nil)
	if got := greeting(t, addr); !strings.HasPrefix(got, "220 ") {
		t.Fatal(got)
	}
	set := func(o ServerOptions) error { return answer(t, func(done func(error)) { a.SetServerOptions(o, done) }) }
	if err := set(ServerOptions{MaxPerAddress: 1, ForeignData: true}); err != nil {
		t.Fatal(err)
	}
	if got := greeting(t, addr); !strings.HasPrefix(got, "421 ") {
		t.Errorf("a second client of an address that may have one: %q", got)
	}
	if !a.share.server.Passive().AllowForeignAddress || !a.Settings().Share.PassiveConfig().AllowForeignAddress {
		t.Error("data connections of other addresses are still refused")
	}
	for want, bad := range map[string]ServerOptions{
		"Seconds to sign in: 4000": {SignInSeconds: 4000}, "no way": {Resume: "often"}, "needs its key": {CertFile: "a.pem"},
		"can't be used": {CertFile: "none.pem", KeyFile: "none.pem"},
	} {
		if err := set(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", bad, err, want)
		}
	}
	if got := a.Settings().Share.Options; got != (ServerOptions{MaxPerAddress: 1, ForeignData: true}) {
		t.Errorf("kept %+v", got)
	}
}

func TestServerOptionsMakeTheConfiguration(t *testing.T) {
	other, err := localserver.New(localserver.Config{Listen: "127.0.0.1:0", Root: t.TempDir(),
		TLS: localserver.TLSConfig{Mode: localserver.TLSExplicit, CertDir: t.TempDir()}, Accounts: []localserver.Account{{Name: "anonymous"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	set := DefaultSettings().Share
	set.Folder = dir
	set.Options = ServerOptions{IdleMinutes: 3, Port20: true, DiscardPartial: true, Resume: localserver.ResumeRequire}
	c, err := set.Config(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.IdleTimeout != 3*time.Minute || !c.Active.Port20 || c.Active.AllowForeignAddress || !c.Uploads.DiscardPartial ||
		c.TLS.Resume != localserver.ResumeRequire || c.TLS.Certificate != nil {
		t.Errorf("%+v", c)
	}
	own, err := localserver.New(c) // makes a certificate in dir: another program's, so to say
	if err != nil {
		t.Fatal(err)
	}
	set.Options.CertFile = localserver.CertificateFile(dir)
	set.Options.KeyFile = set.Options.CertFile // PEM may have both
	if c, err = set.Config("", nil); err != nil {
		t.Fatal(err)
	}
	again, err := localserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if again.Fingerprint() != own.Fingerprint() || again.Fingerprint() == other.Fingerprint() {
		t.Error("the person's own certificate is not the one that clients are shown")
	}

	var read Settings
	if err := json.Unmarshal([]byte(`{"share":{"options":{"idleMinutes":-1,"maxClients":7,"tlsResumption":"x","certificateFile":"/c"}}}`), &read); err != nil {
		t.Fatal(err)
	}
	read.mend()
	if got := read.Share.Options; got != (ServerOptions{MaxClients: 7, CertFile: "/c"}) {
		t.Errorf("a settings file with nonsense gives %+v", got)
	}
}

// What is set while the server starts, when its settings were read already, must reach it all the same.
func TestOptionsThatAreSavedWhileTheServerStartsReachIt(t *testing.T) {
	a := start(t)
	a.ChangeSettings(func(s *Settings) { s.Share.Folder, s.Share.Port, s.Share.UseRange = t.TempDir(), freePort(t), false })
	s := a.share
	s.turn.Lock()
	options, passive := make(chan error, 1), make(chan error, 1)
	server, state, err := s.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.SetServerOptions(ServerOptions{MaxPerAddress: 1}, func(err error) { options <- err })
	set := a.Settings().Share
	set.UseRange, set.Min, set.Max = true, 21150, 21160
	a.ApplyPassive(set, func(err error) { passive <- err })
	if err := answer(t, func(done func(error)) { a.SetSharePassword("takes some time", done) }); err != nil {
		t.Fatal(err)
	}
	if len(options) > 0 || len(passive) > 0 {
		t.Error("it did not wait for the start")
	}
	s.mu.Lock()
	s.server, s.state = server, state
	s.mu.Unlock()
	s.turn.Unlock()
	if err := errors.Join(<-options, <-passive); err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", portOf(server.Addr().String()))
	greeting(t, addr)
	if got := greeting(t, addr); !strings.HasPrefix(got, "421 ") {
		t.Errorf("a second client of an address that may have one: %q", got)
	}
	if p := server.Passive(); p.Min != 21150 {
		t.Errorf("the range is %+v", p)
	}
}

// What was read before another change must not take that back.
func TestAChangeOfTheRangeLeavesOtherChangesAlone(t *testing.T) {
	a := start(t)
	a.ChangeSettings(func(s *Settings) { s.Share.Options.ForeignData = true })
	a.share.startOver(t, t.TempDir(), nil)
	set := a.Settings().Share
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	passive := make(chan error, 1)
	a.SetServerOptions(ServerOptions{}, func(error) {})
	a.SetLocalNetworks(networks, func(error) {})
	set.UseRange, set.Min, set.Max = true, 21150, 21160
	a.ApplyPassive(set, func(err error) { passive <- err })
	if err := <-passive; err != nil {
		t.Fatal(err)
	}
	if p := a.share.running().Passive(); p.AllowForeignAddress || p.Min != 21150 || !slices.Equal(p.IP.LocalNetworks, networks) {
		t.Errorf("the server has %+v", p)
	}
	if kept := a.Settings().Share; kept.Options.ForeignData || !slices.Equal(kept.LocalNetworks, networks) {
		t.Errorf("kept: %+v, %v", kept.Options, kept.LocalNetworks)
	}
}

func TestTheLastOfManyChangesOfTheRangeHolds(t *testing.T) {
	a := start(t)
	a.share.startOver(t, t.TempDir(), nil)
	set := a.Settings().Share
	var done sync.WaitGroup
	for i := range 50 {
		set.UseRange, set.Min, set.Max = true, 21100+i, 21160
		done.Add(1)
		a.ApplyPassive(set, func(error) { done.Done() })
	}
	done.Wait()
	if kept, holds := a.Settings().Share.Min, a.share.running().Passive().Min; kept != 21149 || holds != 21149 {
		t.Errorf("kept %d, and the server has %d", kept, holds)
	}
}
