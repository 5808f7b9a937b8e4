package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/natefinch/atomic"
)

// Vault keeps secrets in a file that a master password opens. The password opens a key (age's scrypt recipient), and the key
// opens the secrets, so that the second's work that scrypt takes on purpose is done once a session and not with each change.
type Vault struct {
	path string
	// Work is scrypt's work factor for a new vault, the logarithm to the base 2; 0: age's own, a second's work. Set it before use.
	Work int

	mu       sync.Mutex
	identity *age.X25519Identity // nil: locked
	locked   string              // the key, encrypted with the master password
	secrets  map[string]string
}

// vaultFile is what stands on disk: both parts are armored age files.
type vaultFile struct {
	About   string `json:"about"`
	Key     string `json:"key"`
	Secrets string `json:"secrets"`
}

const vaultAbout = "Portside's passwords, encrypted with the master password (age-encryption.org/v1)"

// maxVault is how large a vault may be: a hundred thousand passwords take less.
const maxVault = 32 << 20

// maxWork bounds what a vault's file can ask of this computer: 2^22 takes some ten seconds and 4 GiB.
const maxWork = 22

// NewVault returns the vault at path, which need not exist yet. It is locked.
func NewVault(path string) *Vault { return &Vault{path: path} }

// Exists says whether there is a vault already: else the first password that is given becomes its master password.
func (v *Vault) Exists() bool {
	_, err := os.Stat(v.path)
	return err == nil
}

// Locked says whether the master password has not been given yet.
func (v *Vault) Locked() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.identity == nil
}

// Unlock opens the vault, or makes it when there is none. With another password than the vault's the error is [ErrPassword].
// It takes about a second.
func (v *Vault) Unlock(password string) error {
	if password == "" {
		return errors.New("the master password can't be empty")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	f, err := v.read()
	if errors.Is(err, fs.ErrNotExist) {
		return v.make(password)
	}
	if err != nil {
		return err
	}
	identity, secrets, err := f.unlocked(password)
	if err != nil {
		return err
	}
	v.identity, v.locked, v.secrets = identity, f.Key, secrets
	return nil
}

// unlocked is the file's key, and what that opens. With another password than the vault's the error is [ErrPassword].
func (f vaultFile) unlocked(password string) (*age.X25519Identity, map[string]string, error) {
	scrypt, err := age.NewScryptIdentity(password)
	if err != nil {
		return nil, nil, err
	}
	scrypt.SetMaxWorkFactor(maxWork)
	key, err := open(f.Key, scrypt)
	if err != nil {
		var no *age.NoIdentityMatchError
		if errors.As(err, &no) || strings.Contains(err.Error(), "incorrect passphrase") {
			return nil, nil, ErrPassword
		}
		return nil, nil, fmt.Errorf("the vault's file is damaged: %w", err)
	}
	identity, err := age.ParseX25519Identity(strings.TrimSpace(string(key)))
	if err != nil {
		return nil, nil, errors.New("the vault's file is damaged: its key is none")
	}
	secrets, err := f.opened(identity)
	return identity, secrets, err
}

// read reads the vault's file. The error wraps [fs.ErrNotExist] when there is none.
func (v *Vault) read() (f vaultFile, err error) {
	data, err := os.ReadFile(v.path)
	if err != nil {
		return f, fmt.Errorf("the vault can't be read: %w", err)
	}
	if len(data) > maxVault {
		return f, errors.New("the vault's file is too large to be one")
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("the vault's file is damaged: %w", err)
	}
	return f, nil
}

// opened is what the file holds, opened with its key.
func (f vaultFile) opened(key age.Identity) (map[string]string, error) {
	plain, err := open(f.Secrets, key)
	if err != nil {
		return nil, fmt.Errorf("the vault's file is damaged: %w", err)
	}
	out := map[string]string{}
	if err := json.Unmarshal(plain, &out); err != nil {
		return nil, errors.New("the vault's file is damaged: what it holds can't be understood") // never what stands there
	}
	return out, nil
}

// make begins a vault.
func (v *Vault) make(password string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	locked, err := v.lockKey(identity, password)
	if err != nil {
		return err
	}
	if err := v.save(identity, locked, map[string]string{}); err != nil {
		return err
	}
	v.identity, v.locked, v.secrets = identity, locked, map[string]string{}
	return nil
}

func (v *Vault) lockKey(identity *age.X25519Identity, password string) (string, error) {
	recipient, err := age.NewScryptRecipient(password)
	if err != nil {
		return "", err
	}
	if v.Work != 0 {
		recipient.SetWorkFactor(v.Work)
	}
	return seal([]byte(identity.String()), recipient)
}

// ChangePassword gives the vault another master password, whether it is open or locked, and leaves it open. With another old
// one than the vault's the error is [ErrPassword]. With an error the vault is as it was. It takes about two seconds.
func (v *Vault) ChangePassword(old, password string) error {
	if old == "" || password == "" {
		return errors.New("the master password can't be empty")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	f, err := v.read()
	if err != nil {
		return err
	}
	identity, secrets, err := f.unlocked(old)
	if err != nil {
		return err
	}
	locked, err := v.lockKey(identity, password)
	if err != nil {
		return err
	}
	if err := v.save(identity, locked, secrets); err != nil {
		return err
	}
	v.identity, v.locked, v.secrets = identity, locked, secrets
	return nil
}

// renew takes up what another program has changed in the vault's file since it was read.
func (v *Vault) renew() error {
	f, err := v.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	secrets, err := f.opened(v.identity)
	if err != nil {
		return fmt.Errorf("the vault was changed by another program; lock it and unlock it again: %w", err)
	}
	v.locked, v.secrets = f.Key, secrets
	return nil
}

// Lock forgets the master password and everything that it has opened.
func (v *Vault) Lock() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.identity, v.locked, v.secrets = nil, "", nil
}

// Forget deletes the vault with all that it holds, for a person who has lost the master password.
func (v *Vault) Forget() error {
	v.Lock()
	err := os.Remove(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (v *Vault) save(identity *age.X25519Identity, locked string, secrets map[string]string) error {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	sealed, err := seal(plain, identity.Recipient())
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(vaultFile{vaultAbout, locked, sealed}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(v.path), 0o700); err != nil {
		return fmt.Errorf("the vault's folder can't be made: %w", err)
	}
	if err := atomic.WriteFile(v.path, bytes.NewReader(append(data, '\n'))); err != nil {
		return fmt.Errorf("the vault can't be saved: %w", err)
	}
	return nil
}

// change edits the secrets; they are as they were when they can't be saved.
func (v *Vault) change(ctx context.Context, edit func(map[string]string)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.identity == nil {
		return ErrLocked
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := v.renew(); err != nil {
		return err
	}
	next := maps.Clone(v.secrets)
	edit(next)
	if maps.Equal(next, v.secrets) {
		return nil
	}
	if err := v.save(v.identity, v.locked, next); err != nil {
		return err
	}
	v.secrets = next
	return nil
}

// Get is of [Store].
func (v *Vault) Get(_ context.Context, key string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.identity == nil {
		return "", ErrLocked
	}
	if s, ok := v.secrets[key]; ok {
		return s, nil
	}
	return "", ErrNotFound
}

// Set is of [Store].
func (v *Vault) Set(ctx context.Context, key, value string) error {
	return v.change(ctx, func(m map[string]string) { m[key] = value })
}

// Delete is of [Store].
func (v *Vault) Delete(ctx context.Context, key string) error {
	return v.change(ctx, func(m map[string]string) { delete(m, key) })
}

func seal(plain []byte, to age.Recipient) (string, error) {
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, to)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(plain); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if err := a.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

func open(sealed string, with age.Identity) ([]byte, error) {
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(sealed)), with)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxVault))
}
