package app

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"

	"portside/client/secrets"
	"portside/client/sites"
)

// vaultName is the vault's file in the configuration folder.
const vaultName = "vault.json"

// safe is where passwords are kept: the system's keyring, or the vault where there is none.
type safe struct {
	opening sync.Mutex // held while the store is looked for, and while a person is asked for the master password

	mu      sync.Mutex
	keyring secrets.Store // nil: not found, or not looked for yet
	looked  bool
	vault   *secrets.Vault
	// open finds the system's keyring.
	open func(context.Context) (secrets.Store, error)
}

func newSafe(dir string) *safe {
	s := &safe{open: func(ctx context.Context) (secrets.Store, error) {
		k, err := secrets.OpenKeyring(ctx)
		if err != nil {
			return nil, err
		}
		return k, nil
	}}
	if dir != "" {
		s.vault = secrets.NewVault(filepath.Join(dir, vaultName))
	}
	return s
}

var (
	errNoStore = errors.New("passwords can't be kept: this system has no keyring, and Portside has no folder for a vault")
	// errNotUnlocked: the person did not give the master password.
	errNotUnlocked = errors.New("no master password was given")
)

// secretStore returns where passwords are kept. It asks for the master password when that is a vault which is still locked;
// make says whether a vault may be made where there is none.
func (a *App) secretStore(ctx context.Context, make bool) (secrets.Store, error) {
	s := a.safe
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	looked, ring := s.looked, s.keyring
	s.mu.Unlock()
	if !looked {
		if found, err := s.open(ctx); err == nil {
			ring = found
		} else if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.mu.Lock()
		s.looked, s.keyring = true, ring
		s.mu.Unlock()
	}
	// A vault that is there holds what was kept while there was no keyring.
	if ring != nil && (s.vault == nil || !s.vault.Exists()) {
		return ring, nil
	}
	if s.vault == nil {
		return nil, errNoStore
	}
	if !s.vault.Locked() {
		return s.vault, nil
	}
	exists := s.vault.Exists()
	if !exists && !make {
		return nil, secrets.ErrNotFound
	}
	q := Question{Kind: AskMaster}
	if !exists {
		q.Kind = AskNewMaster
	}
	r, err := a.ask(ctx, q, func(r Reply) (string, error) {
		err := s.vault.Unlock(r.Password)
		if errors.Is(err, secrets.ErrPassword) {
			return "That is not the master password.", nil
		}
		return "", err
	})
	switch {
	case err != nil:
		return nil, err
	case !r.OK:
		return nil, errNotUnlocked
	}
	return s.vault, nil
}

func secretKey(id string) string { return "site/" + id }

// secretOf reads the secret of a site; the empty one when none is kept.
func (a *App) secretOf(ctx context.Context, id string) (sites.Secret, error) {
	a.book.mu.Lock()
	out, typed := a.book.typed[id]
	a.book.mu.Unlock()
	if typed {
		return out, nil
	}
	store, err := a.secretStore(ctx, false)
	if err != nil {
		if errors.Is(err, secrets.ErrNotFound) {
			err = nil
		}
		return out, err
	}
	text, err := store.Get(ctx, secretKey(id))
	if errors.Is(err, secrets.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if json.Unmarshal([]byte(text), &out) != nil {
		return sites.Secret{}, errors.New("the password that is kept for this site can't be read") // never what stands there
	}
	return out, nil
}

// keepSecrets keeps secrets by the ID of their sites. It asks for a master password first where that is needed.
func (a *App) keepSecrets(ctx context.Context, all map[string]sites.Secret) error {
	if len(all) == 0 {
		return nil
	}
	store, err := a.secretStore(ctx, true)
	if err != nil {
		return err
	}
	for id, s := range all {
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if err := store.Set(ctx, secretKey(id), string(text)); err != nil {
			return err
		}
	}
	return nil
}

// forgetSecrets deletes the secrets of sites that are gone. A vault that is locked keeps what it has: nobody is asked for a
// password to forget one, and without its site nothing leads to it.
func (a *App) forgetSecrets(ctx context.Context, ids []string) error {
	a.safe.mu.Lock()
	vault := a.safe.vault
	a.safe.mu.Unlock()
	if vault != nil && vault.Exists() && vault.Locked() {
		return nil
	}
	store, err := a.secretStore(ctx, false)
	if err != nil {
		if errors.Is(err, secrets.ErrNotFound) {
			return nil
		}
		return err
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, store.Delete(ctx, secretKey(id)))
	}
	return errors.Join(errs...)
}

// HasVault says whether passwords are kept in a vault, which has a master password, and not in the system's keyring.
func (a *App) HasVault() bool { return a.safe.vault != nil && a.safe.vault.Exists() }

// ChangeMaster gives the vault another master password as a task. done is called from it; the error wraps
// [secrets.ErrPassword] when old is not the one that it has. With an error nothing has changed.
func (a *App) ChangeMaster(old, password string, done func(error)) {
	a.run(func(context.Context) {
		if a.safe.vault == nil {
			done(errNoStore)
			return
		}
		done(a.safe.vault.ChangePassword(old, password))
	})
}

// ForgetVault deletes the vault with all passwords in it, for a person who has lost the master password.
func (a *App) ForgetVault(done func(error)) {
	a.run(func(context.Context) {
		var err error
		if a.safe.vault != nil {
			err = a.safe.vault.Forget()
		}
		done(err)
	})
}
