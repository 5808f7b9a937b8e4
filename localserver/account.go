package localserver

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
)

// Password is an argon2id hash. Its text form is the PHC string "$argon2id$v=19$m=...,t=...,p=...$salt$hash", which
// settings can store. The zero value is no password, and nothing matches it.
type Password struct{ phc string }

// Cost of a new hash: one of the settings that OWASP's password storage guide calls equal in strength, with the small
// memory, since the server may have to compute two at a time on a small computer.
const (
	argonMemory = 12 * 1024 // KiB
	argonTime   = 3
	saltLen     = 16
	hashLen     = 32
)

// HashPassword returns the hash of plain with a new salt. An empty password is an error.
func HashPassword(plain string) (Password, error) {
	if plain == "" {
		return Password{}, errors.New("the password is empty")
	}
	salt := make([]byte, saltLen)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(plain), salt, argonTime, argonMemory, 1, hashLen)
	return Password{fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))}, nil
}

// ParsePassword reads the text form of a [Password]. Costs above 256 MiB or 16 rounds are refused: a settings file
// must not be able to bring the computer down.
func ParsePassword(phc string) (Password, error) {
	p := Password{phc}
	if _, err := p.parts(); err != nil {
		return Password{}, err
	}
	return p, nil
}

// String returns the PHC string, "" for the zero value.
func (p Password) String() string { return p.phc }

// IsZero reports whether there is no password.
func (p Password) IsZero() bool { return p.phc == "" }

// MarshalText returns the PHC string.
func (p Password) MarshalText() ([]byte, error) { return []byte(p.phc), nil }

// UnmarshalText is [ParsePassword]; empty text gives the zero value.
func (p *Password) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Password{}
		return nil
	}
	parsed, err := ParsePassword(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

func (p Password) parts() (h argonHash, err error) {
	f := strings.Split(p.phc, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" {
		return h, errors.New("not an argon2id password hash")
	}
	var version int
	if _, err := fmt.Sscanf(f[2], "v=%d", &version); err != nil || version != argon2.Version {
		return h, fmt.Errorf("password hash has version %q, want v=%d", f[2], argon2.Version)
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil ||
		h.memory < 8 || h.memory > 256*1024 || h.time < 1 || h.time > 16 || h.threads < 1 || h.threads > 16 {
		return h, fmt.Errorf("password hash has cost %q, which is malformed or too high", f[3])
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(f[4]); err != nil || len(h.salt) < 8 {
		return h, errors.New("password hash has no proper salt")
	}
	if h.sum, err = base64.RawStdEncoding.DecodeString(f[5]); err != nil || len(h.sum) < 16 || len(h.sum) > 64 {
		return h, errors.New("password hash has no proper sum")
	}
	return h, nil
}

// passwordGate checks passwords without letting strangers burn the processor or the memory: two hashes at a time at
// most, and the password that was right last for an account is known again by its HMAC under a key of this run.
// An unknown name costs as much as a wrong password.
type passwordGate struct {
	slots chan struct{}
	key   [32]byte
	mu    sync.Mutex
	dummy Password
	known map[string][32]byte // PHC string to the HMAC of the password that matched it
}

func newPasswordGate(accounts []Account) *passwordGate {
	g := &passwordGate{slots: make(chan struct{}, 2), known: map[string][32]byte{}}
	rand.Read(g.key[:])
	g.allow(accounts)
	return g
}

// allow tells the gate who has a password now. What it knows of others is forgotten.
func (g *passwordGate) allow(accounts []Account) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := map[string][32]byte{}
	var dummy Password // it must cost what the real ones cost
	for _, a := range accounts {
		if a.Password.IsZero() {
			continue
		}
		if dummy.IsZero() {
			dummy = a.Password
		}
		if sum, has := g.known[a.Password.phc]; has {
			known[a.Password.phc] = sum
		}
	}
	if dummy.IsZero() {
		salt := base64.RawStdEncoding.EncodeToString(make([]byte, saltLen))
		sum := base64.RawStdEncoding.EncodeToString(g.key[:])
		dummy = Password{fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime, salt, sum)}
	}
	g.dummy, g.known = dummy, known
}

// check reports whether plain is the password of account, which is nil for a name that nobody has. Its turn to be hashed may
// come late; may is asked then whether it still is to be.
func (g *passwordGate) check(ctx context.Context, account *Account, plain string, may func() bool) (bool, error) {
	g.mu.Lock()
	want := g.dummy
	g.mu.Unlock()
	if account != nil {
		want = account.Password
	}
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write([]byte(want.phc))
	mac.Write([]byte{0})
	mac.Write([]byte(plain))
	sum := [32]byte(mac.Sum(nil))
	g.mu.Lock()
	known, has := g.known[want.phc]
	g.mu.Unlock()
	if account != nil && has && hmac.Equal(known[:], sum[:]) {
		return true, nil
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if !may() {
		return false, nil
	}
	h, err := want.parts()
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(plain), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
	if subtle.ConstantTimeCompare(got, h.sum) != 1 || account == nil {
		return false, nil
	}
	g.mu.Lock()
	g.known[want.phc] = sum
	g.mu.Unlock()
	return true, nil
}
