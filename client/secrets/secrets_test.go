package secrets

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/zalando/go-keyring"
)

func testVault(t *testing.T) *Vault {
	t.Helper()
	return &Vault{path: filepath.Join(t.TempDir(), "v", "vault.json"), Work: 4}
}

func TestAVaultGivesItsSecretsToItsMasterPasswordAlone(t *testing.T) {
	ctx := context.Background()
	v := testVault(t)
	if v.Exists() || !v.Locked() {
		t.Fatal("there is a vault before there is one")
	}
	if _, err := v.Get(ctx, "a"); !errors.Is(err, ErrLocked) {
		t.Fatalf("locked: %v", err)
	}
	if err := v.Set(ctx, "a", "x"); !errors.Is(err, ErrLocked) {
		t.Fatalf("locked: %v", err)
	}
	if err := v.Unlock("correct horse"); err != nil {
		t.Fatal(err)
	}
	if err := v.Set(ctx, "a", "hush-hush"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(v.path)
	if err != nil || strings.Contains(string(data), "hush-hush") || strings.Contains(string(data), "correct horse") {
		t.Fatalf("what is on disk is readable, or not there: %v", err)
	}

	other := &Vault{path: v.path, Work: 4}
	if err := other.Unlock("wrong"); !errors.Is(err, ErrPassword) || !other.Locked() {
		t.Fatalf("another password: %v", err)
	}
	if err := other.Unlock("correct horse"); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Get(ctx, "a"); got != "hush-hush" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := other.Get(ctx, "b"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("not kept: %v", err)
	}
	if err := other.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := other.ChangePassword("correct horse", "battery staple"); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	if err := v.Unlock("correct horse"); !errors.Is(err, ErrPassword) {
		t.Fatalf("the old password: %v", err)
	}
	if err := v.Unlock("battery staple"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("deleted: %v", err)
	}
}

func TestTheMasterPasswordChangesOfALockedVaultAndOfAnOpenOne(t *testing.T) {
	ctx := context.Background()
	v := testVault(t)
	if err := v.ChangePassword("a", "b"); err == nil || v.Exists() {
		t.Errorf("a vault that isn't there: %v", err)
	}
	if err := errors.Join(v.Unlock("one"), v.Set(ctx, "a", "hush-hush")); err != nil {
		t.Fatal(err)
	}
	for _, locked := range []bool{false, true} {
		if v.Lock(); !locked {
			if err := v.Unlock("one"); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := os.ReadFile(v.path)
		if err := v.ChangePassword("wrong", "two"); !errors.Is(err, ErrPassword) || v.Locked() != locked {
			t.Errorf("a wrong old one: %v; locked: %v", err, v.Locked())
		}
		if err := v.ChangePassword("one", ""); err == nil {
			t.Error("an empty new one was taken")
		}
		if after, _ := os.ReadFile(v.path); string(after) != string(before) {
			t.Error("a change that was refused has changed the file")
		}
		if err := v.ChangePassword("one", "two"); err != nil {
			t.Fatal(err)
		}
		if got, err := v.Get(ctx, "a"); got != "hush-hush" || err != nil {
			t.Errorf("after the change: %q, %v", got, err)
		}
		other := &Vault{path: v.path, Work: 4}
		if err := other.Unlock("one"); !errors.Is(err, ErrPassword) {
			t.Errorf("the old one opens it: %v", err)
		}
		if err := other.ChangePassword("two", "one"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoProgramsDoNotLoseEachOthersSecrets(t *testing.T) {
	ctx := context.Background()
	a := testVault(t)
	if err := a.Unlock("pw"); err != nil {
		t.Fatal(err)
	}
	if err := a.Set(ctx, "old", "1"); err != nil {
		t.Fatal(err)
	}
	b := &Vault{path: a.path, Work: 4}
	if err := b.Unlock("pw"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Set(ctx, "of b", "2"), a.Set(ctx, "of a", "3"), b.Delete(ctx, "old"), a.ChangePassword("pw", "other")); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Get(ctx, "of b"); got != "2" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := a.Get(ctx, "old"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted by the other: %v", err)
	}
	// b still has the key, so it must not put the old master password back.
	if err := b.Set(ctx, "late", "4"); err != nil {
		t.Fatal(err)
	}
	c := &Vault{path: a.path, Work: 4}
	if err := c.Unlock("other"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"of a": "3", "of b": "2", "late": "4"} {
		if got, err := c.Get(ctx, key); got != want {
			t.Errorf("%s is %q, %v", key, got, err)
		}
	}
	// Another vault in its place is not written over.
	if err := c.Forget(); err != nil {
		t.Fatal(err)
	}
	if err := (&Vault{path: a.path, Work: 4}).Unlock("new"); err != nil {
		t.Fatal(err)
	}
	if err := b.Set(ctx, "x", "y"); err == nil {
		t.Error("another vault was written over")
	}
	if err := (&Vault{path: a.path, Work: 4}).Unlock("new"); err != nil {
		t.Error(err)
	}
}

func TestADamagedVaultIsSaidAndNotWrittenOver(t *testing.T) {
	for _, text := range []string{"", "{", `{"key":"x","secrets":"y"}`, "\x00\xff"} {
		v := testVault(t)
		if err := os.MkdirAll(filepath.Dir(v.path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(v.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := v.Unlock("x"); err == nil || errors.Is(err, ErrPassword) {
			t.Errorf("%q: %v", text, err)
		}
		if b, _ := os.ReadFile(v.path); string(b) != text {
			t.Errorf("%q was written over", text)
		}
	}
}

func TestAForgottenVaultIsGone(t *testing.T) {
	v := testVault(t)
	if err := v.Unlock("x"); err != nil {
		t.Fatal(err)
	}
	if err := v.Forget(); err != nil || v.Exists() || !v.Locked() {
		t.Fatalf("%v", err)
	}
	if err := v.Forget(); err != nil {
		t.Fatalf("a second time: %v", err)
	}
}

func TestAKeyringKeepsSecrets(t *testing.T) {
	keyring.MockInit()
	ctx := context.Background()
	k := &Keyring{}
	if _, err := k.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("not kept: %v", err)
	}
	if err := k.Delete(ctx, "a"); err != nil {
		t.Fatalf("what isn't there: %v", err)
	}
	if err := k.Set(ctx, "a", "x"); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Get(ctx, "a"); got != "x" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	keyring.MockInitWithError(errors.New("no"))
	if _, err := k.Get(ctx, "a"); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("broken: %v", err)
	}
}

func TestAKeyringThatHangsIsAskedNoMoreUntilItAnswers(t *testing.T) {
	k := &Keyring{limit: 50 * time.Millisecond}
	block := make(chan struct{})
	err := k.call(context.Background(), func() error { <-block; return nil })
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errSlow) {
		t.Fatal(err)
	}
	began := time.Now()
	k.limit = time.Minute
	if err := k.call(context.Background(), func() error { t.Error("asked again"); return nil }); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it was waited for, %v", took)
	}
	hanging := k.under
	close(block)
	<-hanging
	if err := k.call(context.Background(), func() error { return nil }); err != nil {
		t.Errorf("it answers again: %v", err)
	}
}

// Who cancels while the keyring asks to be unlocked does not lose it for the rest of the program's run.
func TestACancelledCallLeavesTheKeyringOfUse(t *testing.T) {
	k := &Keyring{}
	block, started := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-started; cancel() }()
	if err := k.call(ctx, func() error { close(started); <-block; return nil }); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// The next one waits for it, and can be cancelled while it does.
	if err := k.call(ctx, func() error { t.Error("asked beside another call"); return nil }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	next := make(chan error)
	go func() { next <- k.call(context.Background(), func() error { return nil }) }()
	close(block)
	if err := <-next; err != nil {
		t.Error(err)
	}
}

func TestWithoutASessionBusThereIsNoKeyringAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("session buses are looked for on Linux")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	began := time.Now()
	if _, err := OpenKeyring(context.Background()); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if took := time.Since(began); took >= probeLimit {
		t.Errorf("it took %v", took)
	}
}

func TestASessionBusThatSaysNothingIsNotWaitedFor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("session buses are looked for on Linux")
	}
	path := filepath.Join(t.TempDir(), "bus")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+path)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := OpenKeyring(ctx); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
}
