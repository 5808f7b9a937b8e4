package localserver

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portside/connlog"
)

// otherPassword is the hash of "pw" with another salt, so to the server it is a changed password.
func otherPassword(t *testing.T, plain string) Password {
	t.Helper()
	p, err := HashPassword(plain)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// as connects and signs in with a password; it returns the reply's code, too.
func (r *rig) as(user, password string) (*raw, int) {
	r.t.Helper()
	c := r.connect()
	c.send("USER " + user + "\r\n")
	if code, _ := c.reply(); code != 331 {
		return c, code
	}
	c.send("PASS " + password + "\r\n")
	code, _ := c.reply()
	return c, code
}

func TestRow35AccountsChangeForTheNextSignIn(t *testing.T) {
	r := start(t, nil)
	own := t.TempDir()
	if err := r.srv.SetAccounts(r.root, []Account{
		{Name: "new", Password: otherPassword(t, "n"), Root: own, Rights: ReadWrite}, {Name: "u", Password: otherPassword(t, "changed")},
	}); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		user, password string
		code           int
	}{{"new", "n", 230}, {"u", "pw", 530}, {"u", "changed", 230}, {"anonymous", "x", 530}} {
		if _, code := r.as(one.user, one.password); code != one.code {
			t.Errorf("%s with %q: %d, want %d", one.user, one.password, code, one.code)
		}
	}
	c, _ := r.as("new", "n")
	c.cmd(200, "TYPE I")
	c.store("STOR f", "x")
	if _, err := os.Stat(filepath.Join(own, "f")); err != nil {
		t.Errorf("the new account's folder: %v", err)
	}

	for text, list := range map[string][]Account{
		"twice":       {{Name: "a", Password: testPassword()}, {Name: "a", Password: testPassword()}},
		"no password": {{Name: "a"}},
		"not exist":   {{Name: "a", Password: testPassword(), Root: filepath.Join(own, "gone")}},
	} {
		if err := r.srv.SetAccounts(r.root, list); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", list, err, text)
		}
	}
	if _, code := r.as("new", "n"); code != 230 {
		t.Errorf("a list that was refused changed something: %d", code)
	}
	if err := r.srv.SetAccounts(r.root, nil); err != nil {
		t.Fatal(err)
	}
	if _, code := r.as("new", "n"); code != 530 {
		t.Errorf("with no account somebody came in: %d", code)
	}
	until(t, "the folders are closed when nobody has them", func() bool {
		r.srv.mu.Lock()
		defer r.srv.mu.Unlock()
		return len(r.srv.folders) == 0
	})
	r.srv.Stop(t.Context())
	if err := r.srv.SetAccounts(r.root, nil); err == nil {
		t.Error("a stopped server took accounts")
	}
}

func TestRow35SessionsFollowTheirAccounts(t *testing.T) {
	own := t.TempDir()
	list := []Account{{Name: "anonymous"}}
	for _, name := range []string{"rights", "gone", "word", "moved", "clear", "same"} {
		list = append(list, Account{Name: name, Password: testPassword(), Rights: ReadWrite})
	}
	r := start(t, func(c *Config) { c.Accounts = list; c.TLS.Mode = TLSExplicit })
	r.write("f", "content")
	sessions := map[string]*raw{}
	for _, a := range list {
		c, code := r.as(a.Name, "pw")
		if code != 230 {
			t.Fatalf("%s: %d", a.Name, code)
		}
		c.cmd(200, "TYPE I")
		sessions[a.Name] = c
	}
	if err := r.srv.SetAccounts(r.root, []Account{
		{Name: "anonymous"},
		{Name: "rights", Password: testPassword(), Rights: ReadOnly, MaxSessions: 1},
		{Name: "word", Password: otherPassword(t, "pw"), Rights: ReadWrite},
		{Name: "moved", Password: testPassword(), Rights: ReadWrite, Root: own},
		{Name: "clear", Password: testPassword(), Rights: ReadWrite, RequireTLS: true},
		{Name: "same", Password: testPassword(), Rights: ReadWrite},
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone", "word", "moved", "clear"} {
		if text := sessions[name].expect(421); !strings.Contains(text, "account") {
			t.Errorf("%s is told %q", name, text)
		}
		if code, text := sessions[name].reply(); code != 0 {
			t.Errorf("%s goes on with %d %s", name, code, text)
		}
	}
	sessions["same"].store("STOR g", "x")
	if got := sessions["anonymous"].fetch("RETR f"); got != "content" {
		t.Errorf("anonymous got %q", got)
	}
	if got := sessions["rights"].fetch("RETR f"); got != "content" {
		t.Errorf("a reader got %q", got)
	}
	sessions["rights"].cmd(550, "DELE f")
	if _, code := r.as("rights", "pw"); code != 530 {
		t.Errorf("a second session of an account that may have one since: %d", code)
	}
	sessions["rights"].cmd(221, "QUIT")
	until(t, "its place is free", func() bool { _, code := r.as("rights", "pw"); return code == 230 })
	if closed := r.rec.wait(t, connlog.ControlClosed, 1); closed.By != connlog.Server || closed.Reason != connlog.ReasonKicked {
		t.Errorf("%+v", closed)
	}
}

func TestRow35TransfersOutliveTheirAccounts(t *testing.T) {
	r := start(t, nil)
	big := strings.Repeat("0123456789abcdef", 1<<20) // more than any socket buffer
	r.write("big", big)
	c := r.login()
	down := c.epsv()
	c.cmd(150, "RETR big")
	c.send("RETR big\r\nDELE big\r\n")
	up := r.login()
	data := up.epsv()
	up.cmd(150, "STOR up")
	io.WriteString(data, "first ")

	if err := r.srv.SetAccounts(r.root, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(down); err != nil || string(got) != big {
		t.Errorf("the download broke after %d bytes: %v", len(got), err)
	}
	c.expect(226)
	c.expect(421)
	io.WriteString(data, "second")
	data.Close()
	up.expect(226)
	up.expect(421)
	if got := r.content("up"); got != "first second" {
		t.Errorf("uploaded: %q", got)
	}
	if r.content("big") != big {
		t.Error("what was sent ahead was still done")
	}
	until(t, "the folder is closed after the last transfer", func() bool {
		r.srv.mu.Lock()
		defer r.srv.mu.Unlock()
		return len(r.srv.sessions) == 0 && len(r.srv.folders) == 0
	})
}

// Between the decision that no transfer runs and the close, a transfer must not begin: it would be cut.
func TestRow35NoTransferBeginsInASessionThatIsToEnd(t *testing.T) {
	r := start(t, nil)
	r.write("f", "content")
	c := r.login()
	c.epsv()
	for _, n := range r.srv.sessions {
		n.mu.Lock()
		n.ending = &ending{connlog.ReasonKicked, errKicked, "Your account was changed. Sign in again."}
		n.mu.Unlock()
		if n.beginTransfer() {
			t.Error("a transfer began")
		}
	}
	c.send("RETR f\r\nNOOP\r\n")
	c.expect(421)
}

// The sessions end side by side with SetAccounts, but a command that comes after it has no effect any more.
func TestRow35NoCommandIsObeyedAfterTheAccountWasTaken(t *testing.T) {
	const people = 40
	r := start(t, nil)
	clients := make([]*raw, people)
	for i := range clients {
		clients[i] = r.login()
	}
	if err := r.srv.SetAccounts(r.root, nil); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		fmt.Fprintf(c.c, "MKD made-%d\r\n", i) // fails where the 421 was faster
	}
	for _, c := range clients {
		c.c.SetReadDeadline(time.Now().Add(30 * time.Second))
		io.Copy(io.Discard, c.c) // to its end; what is read may be lost by the end of a connection with a command unread
	}
	made, err := os.ReadDir(r.root)
	if err != nil || len(made) > 0 {
		t.Errorf("%d of %d sessions still obeyed: %v", len(made), people, err)
	}
}
