package app

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"

	"portside/connlog"
	"portside/localserver"
)

// keep saves an account and returns what SaveAccount says of it.
func keep(a *App, at int, account Account, password string) error {
	done := make(chan error, 1)
	a.SaveAccount(at, account, password, func(err error) { done <- err })
	return <-done
}

func mustKeep(t *testing.T, a *App, account Account, password string) {
	t.Helper()
	if err := keep(a, -1, account, password); err != nil {
		t.Fatal(err)
	}
}

func accountNames(a *App) string {
	var names []string
	for _, one := range a.Settings().Share.Accounts {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

// dial signs in with a client that is not ours.
func dial(t *testing.T, addr, user, password string, o ...ftp.DialOption) (*ftp.ServerConn, error) {
	t.Helper()
	c, err := ftp.Dial(addr, append(o, ftp.DialWithTimeout(10*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Quit() })
	return c, c.Login(user, password)
}

func TestEachAccountGetsItsFolderAndItsRights(t *testing.T) {
	a := start(t)
	common, own := t.TempDir(), t.TempDir()
	write(t, filepath.Join(common, "common.txt"), "c")
	write(t, filepath.Join(own, "own.txt"), "o")
	a.UseAccounts() // begins with anonymous
	mustKeep(t, a, Account{Name: "reader", Rights: ReadOnly, Folder: own}, "r")
	mustKeep(t, a, Account{Name: "box", Rights: DropBox}, "b")
	mustKeep(t, a, Account{Name: "writer", Rights: ReadWrite}, "w")
	mustKeep(t, a, Account{Name: "careful", Rights: ReadOnly, RequireTLS: true}, "c")
	mustKeep(t, a, Account{Name: "one", Rights: ReadOnly, MaxSessions: 1}, "1")
	if got := accountNames(a); got != "anonymous reader box writer careful one" {
		t.Fatalf("accounts: %s", got)
	}
	addr := a.share.startOver(t, common, nil)
	if !a.Share().Write {
		t.Error("somebody may write, and Share doesn't say so")
	}

	for _, one := range []struct {
		user, password, list string
		store, replace, del  bool
	}{
		{"anonymous", "x@", "common.txt", false, false, false},
		{"reader", "r", "own.txt", false, false, false},
		{"box", "b", "refused", true, false, false},
		{"writer", "w", "common.txt", true, true, true},
	} {
		t.Run(one.user, func(t *testing.T) {
			c, err := dial(t, addr, one.user, one.password)
			if err != nil {
				t.Fatal(err)
			}
			list, err := c.NameList("")
			slices.Sort(list)
			if got := strings.Join(list, " "); err != nil && one.list != "refused" || err == nil && !strings.Contains(got, one.list) {
				t.Errorf("list: %q %v, want %s", got, err, one.list)
			}
			name := one.user + ".txt"
			if err := c.Stor(name, strings.NewReader("new")); (err == nil) != one.store {
				t.Errorf("store: %v, want %v", err, one.store)
			}
			if err := c.Stor("common.txt", strings.NewReader("c")); (err == nil) != one.replace {
				t.Errorf("replace: %v, want %v", err, one.replace)
			}
			if err := c.Delete(name); (err == nil) != one.del {
				t.Errorf("delete: %v, want %v", err, one.del)
			}
		})
	}
	if _, err := dial(t, addr, "reader", "w"); err == nil {
		t.Error("another account's password was taken")
	}
	if _, err := dial(t, addr, "careful", "c"); err == nil {
		t.Error("an account that requires TLS came in in clear")
	}
	if _, err := dial(t, addr, "careful", "c", ftp.DialWithExplicitTLS(&tls.Config{InsecureSkipVerify: true})); err != nil {
		t.Errorf("over TLS: %v", err)
	}
	if _, err := dial(t, addr, "one", "1"); err != nil {
		t.Error(err)
	}
	if _, err := dial(t, addr, "one", "1"); err == nil {
		t.Error("a second session of an account that may have one")
	}
}

func TestTheListBeginsWithWhoeverMayComeInSoFar(t *testing.T) {
	a := start(t)
	hash, err := localserver.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	a.ChangeSettings(func(s *Settings) {
		s.Share.Access, s.Share.User, s.Share.PasswordHash, s.Share.Write = AccessUser, "guest", hash, true
	})
	a.UseAccounts()
	want := []Account{{Name: "guest", PasswordHash: hash, Rights: ReadWrite}}
	if got := a.Settings().Share; got.Access != AccessAccounts || !slices.Equal(got.Accounts, want) {
		t.Errorf("%+v", got)
	}
	a.ChangeSettings(func(s *Settings) { s.Share.Access = AccessAnonymous })
	a.UseAccounts()
	if got := a.Settings().Share.Accounts; !slices.Equal(got, want) {
		t.Errorf("the list was not kept: %+v", got)
	}
}

func TestABrokenOrDoubledAccountIsAnErrorAndNothingIsLost(t *testing.T) {
	a := start(t)
	mustKeep(t, a, Account{Name: "alice", Rights: ReadOnly}, "a")
	mustKeep(t, a, Account{Name: "Anonymous", Rights: ReadOnly}, "ignored")
	before := a.Settings().Share.Accounts
	if before[1].Name != "anonymous" || !before[1].PasswordHash.IsZero() {
		t.Fatalf("anonymous: %+v", before[1])
	}
	for _, one := range []struct {
		at       int
		account  Account
		password string
		want     string
	}{
		{-1, Account{Name: "", Rights: ReadOnly}, "x", "type a name"},
		{-1, Account{Name: "bob ", Rights: ReadOnly}, "x", "space"},
		{-1, Account{Name: "b\r\nob", Rights: ReadOnly}, "x", "control character"},
		{-1, Account{Name: "\xff", Rights: ReadOnly}, "x", "control character"},
		{-1, Account{Name: strings.Repeat("b", 200), Rights: ReadOnly}, "x", "bytes long"},
		{-1, Account{Name: "FTP", Rights: ReadOnly}, "x", "anonymous account"},
		{-1, Account{Name: "alice", Rights: ReadOnly}, "x", "already"},
		{-1, Account{Name: "ANONYMOUS", Rights: ReadOnly}, "", "already"},
		{0, Account{Name: "anonymous", Rights: ReadOnly}, "", "already"},
		{-1, Account{Name: "bob", Rights: ReadOnly}, "", "no password"},
		{-1, Account{Name: "bob"}, "x", "nothing at all"},
		{-1, Account{Name: "bob", Rights: ReadOnly, MaxSessions: -1}, "x", "sessions"},
		{-1, Account{Name: "bob", Rights: ReadOnly, Folder: filepath.Join(t.TempDir(), "gone")}, "x", "folder"},
		{2, Account{Name: "bob", Rights: ReadOnly}, "x", "no longer"},
	} {
		if err := keep(a, one.at, one.account, one.password); err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%d %+v: %v, want %q", one.at, one.account, err, one.want)
		}
		if got := a.Settings().Share.Accounts; !slices.Equal(got, before) {
			t.Fatalf("the list was changed: %+v", got)
		}
	}
}

func TestAnEditedAccountKeepsItsPasswordAndADeletedOneIsGone(t *testing.T) {
	a := start(t)
	for _, name := range []string{"alice", "bob", "carol"} {
		mustKeep(t, a, Account{Name: name, Rights: ReadOnly}, name)
	}
	list := a.Settings().Share.Accounts
	bob := list[1]
	bob.Name, bob.Rights = "robert", ReadWrite
	if err := keep(a, 1, bob, ""); err != nil {
		t.Fatal(err)
	}
	if got := a.Settings().Share.Accounts[1]; got != bob {
		t.Errorf("%+v", got)
	}
	twin := DuplicateOf(a.Settings().Share.Accounts, bob)
	if twin.Name != "robert-2" || twin.Rights != ReadWrite || !twin.PasswordHash.IsZero() {
		t.Errorf("%+v", twin)
	}
	a.DeleteAccount(0, "bob") // the list has moved on: nothing of another name is deleted
	a.DeleteAccount(7, "bob")
	a.DeleteAccount(0, "alice")
	if got := accountNames(a); got != "robert carol" {
		t.Errorf("left: %s", got)
	}
	if err := a.saved.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := New(a.dir)
	defer again.Close(t.Context())
	if got := again.Settings().Share.Accounts; !slices.Equal(got, a.Settings().Share.Accounts) {
		t.Errorf("after a restart: %+v", got)
	}
	b, err := os.ReadFile(filepath.Join(a.dir, settingsFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"rights": "list, read, upload, overwrite, delete, rename, make-folder"`) {
		t.Errorf("settings: %s", b)
	}
}

func TestTheRunningServerFollowsTheAccounts(t *testing.T) {
	a := start(t)
	a.UseAccounts()
	addr := a.share.startOver(t, t.TempDir(), nil)
	mustKeep(t, a, Account{Name: "late", Rights: ReadOnly}, "l")
	late, err := dial(t, addr, "late", "l")
	if err != nil {
		t.Fatalf("a new account, at once: %v", err)
	}
	if err := late.MakeDir("x"); err == nil {
		t.Fatal("a reader made a folder")
	}
	account := a.Settings().Share.Accounts[1]
	account.Rights = ReadWrite
	if err := keep(a, 1, account, ""); err != nil {
		t.Fatal(err)
	}
	if err := late.MakeDir("x"); err != nil {
		t.Errorf("the session that stands did not get the new right: %v", err)
	}
	if !a.Share().Write {
		t.Error("somebody may write now, and Share doesn't say so")
	}
	if err := keep(a, 1, account, "changed"); err != nil {
		t.Fatal(err)
	}
	if err := late.NoOp(); err == nil {
		t.Error("a session goes on with the former password")
	}
	if _, err := dial(t, addr, "late", "l"); err == nil {
		t.Error("the former password is taken")
	}
	if _, err := dial(t, addr, "late", "changed"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	a.DeleteAccount(1, "late")
	until(t, "the deleted account is gone", func() bool { _, err := dial(t, addr, "late", "changed"); return err != nil })
	a.DeleteAccount(0, "anonymous")
	until(t, "nobody comes in", func() bool { _, err := dial(t, addr, "anonymous", "x"); return err != nil })
	if st := a.Share(); st.Phase != Running || st.AccountsErr != "" {
		t.Errorf("%s %q", st.Phase, st.AccountsErr)
	}
}

func TestTheSimpleChoiceChangesWhileTheServerRuns(t *testing.T) {
	a := start(t)
	addr := a.share.startOver(t, t.TempDir(), nil)
	visitor, err := dial(t, addr, "anonymous", "x")
	if err != nil {
		t.Fatal(err)
	}
	a.ChangeSettings(func(s *Settings) { s.Share.Access, s.Share.User = AccessUser, "guest" })
	until(t, "it is said that there is no password yet", func() bool { return strings.Contains(a.Share().AccountsErr, "password") })
	if err := visitor.NoOp(); err != nil {
		t.Errorf("until then the former ones hold: %v", err)
	}
	a.ChangeSettings(func(s *Settings) { s.Share.Access = AccessAnonymous })
	until(t, "back to what the server has, nothing is wrong any more", func() bool { return a.Share().AccountsErr == "" })
	a.ChangeSettings(func(s *Settings) { s.Share.Access = AccessUser })
	done := make(chan error, 1)
	a.SetSharePassword("secret", func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	until(t, "the user comes in", func() bool { _, err := dial(t, addr, "guest", "secret"); return err == nil })
	st := a.Share()
	if st.AccountsErr != "" || st.Access != AccessUser || !strings.Contains(st.Addresses[0].URL, "guest@") {
		t.Errorf("%+v", st)
	}
	if err := visitor.NoOp(); err == nil {
		t.Error("anonymous is still there")
	}
}

func TestAStartWithBrokenAccountsSaysWhich(t *testing.T) {
	hash, err := localserver.HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	ok := Account{Name: "alice", PasswordHash: hash, Rights: ReadOnly}
	for _, one := range []struct {
		list []Account
		tls  localserver.TLSMode
		want string
	}{
		{nil, localserver.TLSExplicit, "no account"},
		{[]Account{ok, ok}, localserver.TLSExplicit, "two accounts called alice"},
		{[]Account{{Name: "anonymous", Rights: ReadOnly}, {Name: "ANONYMOUS", Rights: ReadOnly}}, localserver.TLSExplicit, "two accounts"},
		{[]Account{{Name: "alice", Rights: ReadOnly}}, localserver.TLSExplicit, "no password"},
		{[]Account{{Name: "alice", PasswordHash: hash, Rights: ReadOnly, RequireTLS: true}}, localserver.TLSOff, "TLS is switched off"},
	} {
		set := ShareSettings{Folder: t.TempDir(), Access: AccessAccounts, Accounts: one.list, TLS: one.tls}
		if _, err := set.Config("", nil); err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%+v: %v, want %q", one.list, err, one.want)
		}
	}
	ok.Folder = t.TempDir()
	set := ShareSettings{Access: AccessAccounts, Accounts: []Account{ok}, TLS: localserver.TLSOff}
	if cfg, err := set.Config("", nil); err != nil || cfg.Accounts[0].Root != ok.Folder {
		t.Errorf("an account with a folder of its own needs no shared one: %+v %v", cfg, err)
	}
}

func TestRightsSurviveTheSettingsFileAndNonsenseIsRefused(t *testing.T) {
	for r := Rights(1); r <= ReadWrite; r++ {
		b, err := json.Marshal(r)
		var back Rights
		if err != nil || json.Unmarshal(b, &back) != nil || back != r {
			t.Fatalf("%d became %s became %d: %v", r, b, back, err)
		}
	}
	var r Rights
	if err := json.Unmarshal([]byte(`"list, fly"`), &r); err == nil {
		t.Error("a right that does not exist was taken")
	}
}

// anonymousFrom signs in from 127.0.0.last and returns what sends a command and returns the reply.
func anonymousFrom(t *testing.T, addr string, last byte) func(string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	read := func() string {
		b := make([]byte, 512)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	read()
	do := func(line string) string { c.Write([]byte(line + "\r\n")); return read() }
	do("USER anonymous")
	do("PASS x")
	return do
}

func TestHoldersOfPassivePortsAndAFullRangeAreKnown(t *testing.T) {
	a := start(t)
	before := time.Now()
	port := freePort(t)
	addr := a.share.startOver(t, t.TempDir(), func(s *ShareSettings) { s.UseRange, s.Min, s.Max = true, port, port })
	first, second := anonymousFrom(t, addr, 1), anonymousFrom(t, addr, 1)
	if got := first("EPSV"); !strings.HasPrefix(got, "229") {
		t.Fatal(got)
	}
	if got := second("EPSV"); !strings.HasPrefix(got, "425") {
		t.Fatal(got)
	}
	st := a.Share()
	if len(st.Ports) != 1 || st.PortsTotal != 1 {
		t.Fatalf("ports %+v of %d", st.Ports, st.PortsTotal)
	}
	if p := st.Ports[0]; int(p.Port) != port || p.InUse || p.User != "anonymous" || p.Since.Before(before) || p.Since.After(time.Now()) {
		t.Errorf("offered: %+v", p)
	}
	if st.Shortage.Times != 1 || !strings.Contains(connlog.Sentence(st.Shortage.Last), strconv.Itoa(port)) {
		t.Errorf("shortage: %+v", st.Shortage)
	}
	d, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	until(t, "the port is in use, and since when", func() bool {
		p := a.Share().Ports
		return len(p) == 1 && p[0].InUse && !p[0].Since.Before(st.Ports[0].Since)
	})
}

func TestAnOfferThatWasTakenBackSaysThatTheRangeWasFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("127.0.0.2 is an address of this computer on Linux only")
	}
	a := start(t)
	port := freePorts(t, 2)
	addr := a.share.startOver(t, t.TempDir(), func(s *ShareSettings) { s.UseRange, s.Min, s.Max = true, port, port+1 })
	for range 2 {
		if got := anonymousFrom(t, addr, 1)("EPSV"); !strings.HasPrefix(got, "229") {
			t.Fatal(got)
		}
	}
	if n := a.Share().Shortage.Times; n != 0 {
		t.Fatalf("the range was full %d times", n)
	}
	if got := anonymousFrom(t, addr, 2)("EPSV"); !strings.HasPrefix(got, "229") {
		t.Fatal(got)
	}
	if s := a.Share().Shortage; s.Times != 1 || !strings.Contains(connlog.Sentence(s.Last), "was taken back: an address without a port needed it") {
		t.Errorf("shortage: %+v", s)
	}
}

func TestLocalNetworksAreReadKeptAndApplied(t *testing.T) {
	a := start(t)
	for text, want := range map[string]string{
		"":                                  "[]",
		"192.168.1.20/24\n\n fd00::/8 \r\n": "[192.168.1.0/24 fd00::/8]",
		"10.0.0.5, 10.0.0.5/32":             "[10.0.0.5/32]",
		"::ffff:10.0.0.0/104":               "[10.0.0.0/8]",
	} {
		if got, err := ParseNetworks(text); err != nil || got == nil || fmtNetworks(got) != want {
			t.Errorf("%q: %v %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"10.0.0.0/8\nhome": `line 2: "home"`, "10.0.0.0/33": "line 1", "fe80::1%eth0": "line 1", "10/8": "line 1", "::ffff:0:0/90": "covers",
	} {
		if _, err := ParseNetworks(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}

	a.share.startOver(t, t.TempDir(), func(s *ShareSettings) { s.IPMode, s.IPValue = localserver.PassiveFixed, "198.51.100.7" })
	told := func() string { return tell(t, a, "127.0.0.1").String() }
	if got := told(); got != "127.0.0.1" {
		t.Errorf("by default this computer is told %s", got)
	}
	local := func(list []netip.Prefix) {
		t.Helper()
		if err := answer(t, func(done func(error)) { a.SetLocalNetworks(list, done) }); err != nil {
			t.Fatal(err)
		}
	}
	local([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if got := told(); got != "198.51.100.7" {
		t.Errorf("a client that is not of the list is told %s", got)
	}
	if got := a.Settings().Share.LocalPeople(); got != "people in 10.0.0.0/8" {
		t.Error(got)
	}
	local([]netip.Prefix{})
	if err := a.saved.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := New(a.dir)
	defer again.Close(t.Context())
	if got := again.Settings().Share; got.LocalNetworks == nil || got.LocalPeople() != "nobody" {
		t.Errorf("an empty list became %v", got.LocalNetworks)
	}
	local(nil)
	if got := told(); got != "127.0.0.1" || a.Settings().Share.LocalPeople() != "people on your network" {
		t.Errorf("back to the default: %s", got)
	}
}

func fmtNetworks(list []netip.Prefix) string {
	var s []string
	for _, p := range list {
		s = append(s, p.String())
	}
	return "[" + strings.Join(s, " ") + "]"
}

// tell returns what the running server tells a client at an address of this computer.
func tell(t *testing.T, a *App, client string) netip.Addr {
	t.Helper()
	a.share.mu.Lock()
	defer a.share.mu.Unlock()
	return a.share.server.PassiveAddressFor(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr(client))
}

// FTP lets anonymous and ftp in with any password, so neither can be the user who needs one.
func TestTheUserWithAPasswordCanBeNobodyWhomEverybodyMayBe(t *testing.T) {
	hash, err := localserver.HashPassword("s3cret")
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{"anonymous": false, "Anonymous": false, "ftp": false, " ": false, "guest": true} {
		people, err := ShareSettings{Access: AccessUser, User: name, PasswordHash: hash, Write: true}.people()
		if (err == nil) != good || good != (len(people) == 1) {
			t.Errorf("%q: %v, %d people", name, err, len(people))
		}
		if _, err := NamedAccount(name, "s3cret", localserver.ReadWrite); (err == nil) != good {
			t.Errorf("%q in the terminal: %v", name, err)
		}
	}
}
