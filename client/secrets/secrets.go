// Package secrets keeps passwords: in the system's keyring (Secret Service, Keychain, Credential Manager), and where there is
// none in a vault, a file that is encrypted with a master password. It knows nothing of sites and FTP, so it stands beside
// the site book and not in it: a secret has a key and a value.
//
// It promises: nothing is ever written in clear; no error and no log names a secret; nothing waits without a limit, also
// where a session bus hangs or there is none; a vault is whole or the one before.
//
// Sources: the Secret Service API of freedesktop.org by github.com/zalando/go-keyring, age-encryption.org/v1 by
// filippo.io/age.
package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/zalando/go-keyring"
)

// Errors of a [Store].
var (
	ErrNotFound = errors.New("no such secret is kept")
	// ErrLocked: the vault's master password is needed first.
	ErrLocked = errors.New("the vault is locked")
	// ErrNotUnlocked: the person did not unlock the keyring, or could not be asked to.
	ErrNotUnlocked = errors.New("the system's keyring was not unlocked")
	// ErrUnavailable: there is no keyring here, or it doesn't answer.
	ErrUnavailable = errors.New("this system has no keyring that answers")
	// ErrPassword: that was not the master password.
	ErrPassword = errors.New("that is not the master password")
)

// Store keeps secrets. Its methods are safe for concurrent use, may wait as long as ctx allows, and return errors that wrap
// one of those above where one fits.
type Store interface {
	Get(ctx context.Context, key string) (string, error)
	Set(ctx context.Context, key, value string) error
	// Delete takes a secret out; one that isn't there is no error.
	Delete(ctx context.Context, key string) error
}

// Limits of the keyring: to find out whether there is one, and to wait for it when it may have asked the person to unlock it.
const (
	probeLimit   = 3 * time.Second
	keyringLimit = 60 * time.Second
)

// service is the name under which the system's keyring lists the secrets.
const service = "portside"

// Keyring is the system's keyring. Make it with [OpenKeyring].
type Keyring struct {
	limit time.Duration // of a call; 0: keyringLimit

	mu    sync.Mutex
	under chan struct{} // of the call under way, closed when it has ended; nil: there is none
	slow  bool          // it has been waited for as long as may be: nobody waits for it any more
}

// OpenKeyring finds the system's keyring. The error wraps [ErrUnavailable] when there is none; that is known within seconds,
// and at once where there is no session bus.
func OpenKeyring(ctx context.Context) (*Keyring, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if err := probe(ctx); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return &Keyring{}, nil
}

// errSlow is why a call was given up that nobody has cancelled.
var errSlow = errors.New("it does not answer")

// call runs f, which can't be cancelled, when no other call is under way. One that takes too long is given up, and until it
// has ended nothing more is asked of the keyring: so at most one is left hanging. One whose caller has gone, perhaps while
// the keyring asks the person to unlock it, is waited for.
func (k *Keyring) call(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(k.limit, keyringLimit), errSlow)
	defer cancel()
	for {
		k.mu.Lock()
		before, slow := k.under, k.slow
		if before == nil {
			break
		}
		k.mu.Unlock()
		if slow {
			return fmt.Errorf("%w: %w", ErrUnavailable, errSlow)
		}
		select {
		case <-before:
		case <-ctx.Done():
			return k.gaveUp(ctx, before)
		}
	}
	ended := make(chan struct{})
	k.under = ended
	k.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		err := f()
		k.mu.Lock()
		k.under, k.slow = nil, false
		k.mu.Unlock()
		close(ended)
		done <- err
	}()
	select {
	case err := <-done:
		switch {
		case errors.Is(err, keyring.ErrNotFound):
			return ErrNotFound
		case errors.Is(err, keyring.ErrSetDataTooBig):
			return errors.New("the password is too long for the system's keyring")
		case err != nil && strings.HasPrefix(err.Error(), "failed to unlock"): // the library has no name for it
			return ErrNotUnlocked
		case err != nil:
			return fmt.Errorf("%w: %v", ErrUnavailable, err)
		}
		return nil
	case <-ctx.Done():
		return k.gaveUp(ctx, ended)
	}
}

// gaveUp says why the call under way, which ended belongs to, is not waited for any longer.
func (k *Keyring) gaveUp(ctx context.Context, ended chan struct{}) error {
	cause := context.Cause(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slow = k.slow || k.under == ended && errors.Is(cause, errSlow)
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// Get is of [Store].
func (k *Keyring) Get(ctx context.Context, key string) (string, error) {
	var value string
	err := k.call(ctx, func() error {
		v, err := keyring.Get(service, key)
		value = v
		return err
	})
	if err != nil {
		return "", err // value may still be written to
	}
	return value, nil
}

// Set is of [Store].
func (k *Keyring) Set(ctx context.Context, key, value string) error {
	return k.call(ctx, func() error {
		if err := keyring.Set(service, key, value); err != nil {
			return err
		}
		// A question of the keyring that was dismissed is no error to the library.
		if kept, err := keyring.Get(service, key); err != nil || kept != value {
			return errors.Join(errors.New("it did not keep the password"), err)
		}
		return nil
	})
}

// Delete is of [Store].
func (k *Keyring) Delete(ctx context.Context, key string) error {
	err := k.call(ctx, func() error { return keyring.Delete(service, key) })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
