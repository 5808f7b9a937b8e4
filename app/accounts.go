package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"portside/localserver"
)

// Account is somebody who may sign in to the local server, as the settings keep it. The password itself is never kept.
type Account struct {
	Name         string               `json:"name"`
	PasswordHash localserver.Password `json:"passwordHash,omitzero"` // argon2id; none for anonymous
	Folder       string               `json:"folder,omitempty"`      // empty: the shared folder
	Rights       Rights               `json:"rights"`
	RequireTLS   bool                 `json:"requireTLS,omitempty"`
	MaxSessions  int                  `json:"maxSessions,omitempty"` // at once; 0: no limit of its own
}

// Anonymous says whether the account needs no password.
func (a Account) Anonymous() bool { return strings.EqualFold(a.Name, localserver.Anonymous) }

// Rights is [localserver.Rights] with words for a settings file and for people.
type Rights localserver.Rights

// The presets, and everything that changes files.
const (
	ReadOnly  = Rights(localserver.ReadOnly)
	DropBox   = Rights(localserver.DropBox)
	ReadWrite = Rights(localserver.ReadWrite)
	Writing   = ReadWrite &^ ReadOnly
)

// Right is a single right.
type Right struct {
	Rights Rights
	Name   string // in a settings file
	Title  string // for people
}

// SingleRights returns the single rights in the order in which they are shown.
func SingleRights() []Right {
	return []Right{
		{Rights(localserver.List), "list", "See what is there"},
		{Rights(localserver.Read), "read", "Download"},
		{Rights(localserver.Upload), "upload", "Upload new files"},
		{Rights(localserver.Overwrite), "overwrite", "Replace files"},
		{Rights(localserver.Delete), "delete", "Delete"},
		{Rights(localserver.Rename), "rename", "Rename"},
		{Rights(localserver.MakeFolder), "make-folder", "Make folders"},
	}
}

// String says in words what the rights are.
func (r Rights) String() string {
	switch r {
	case 0:
		return "nothing"
	case ReadOnly:
		return "read only"
	case DropBox:
		return "drop box"
	case ReadWrite:
		return "read and write"
	}
	return r.names()
}

func (r Rights) names() string {
	var names []string
	for _, one := range SingleRights() {
		if r&one.Rights != 0 {
			names = append(names, one.Name)
		}
	}
	return strings.Join(names, ", ")
}

// MarshalText names the single rights, with commas between them.
func (r Rights) MarshalText() ([]byte, error) { return []byte(r.names()), nil }

// UnmarshalText reads what MarshalText wrote. A right that does not exist is an error.
func (r *Rights) UnmarshalText(text []byte) error {
	var all Rights
	for _, name := range strings.FieldsFunc(string(text), func(c rune) bool { return c == ',' || c == ' ' }) {
		i := slices.IndexFunc(SingleRights(), func(one Right) bool { return one.Name == name })
		if i < 0 {
			return fmt.Errorf("there is no right called %q", name)
		}
		all |= SingleRights()[i].Rights
	}
	*r = all
	return nil
}

// maxAccountName is the longest name of an account in bytes, far below the longest command line.
const maxAccountName = 128

// Check says what is wrong with an account by itself. The error is a sentence for the person.
func (a Account) Check() error {
	switch {
	case a.Name == "":
		return errors.New("type a name for the account")
	case strings.TrimSpace(a.Name) != a.Name:
		return fmt.Errorf("the name %q begins or ends with a space, which nobody can see: leave it out", a.Name)
	case !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("the name %q has a control character, which no client can send", a.Name)
	case len(a.Name) > maxAccountName:
		return fmt.Errorf("the name is %d bytes long; %d are the most", len(a.Name), maxAccountName)
	case strings.EqualFold(a.Name, "ftp"):
		return fmt.Errorf("%q means the anonymous account in FTP: choose another name", a.Name)
	case a.Rights == 0:
		return fmt.Errorf("%s may do nothing at all: choose at least one right, or delete the account", a.Name)
	case a.MaxSessions < 0 || a.MaxSessions > 10_000:
		return fmt.Errorf("%d sessions at once can't be: type a number from 1 to 10,000, or leave it empty for no limit of its own", a.MaxSessions)
	case !a.Anonymous() && a.PasswordHash.IsZero():
		return fmt.Errorf("%s has no password: type one, or let Portside make one", a.Name)
	}
	return nil
}

// checkNamed is [Account.Check] for an account that only who knows its password may use.
func (a Account) checkNamed() error {
	if a.Anonymous() {
		return fmt.Errorf("%q comes in with any password in FTP: choose another user name, or let anyone in", a.Name)
	}
	return a.Check()
}

// NamedAccount returns the account with a user name and a password. One that would let anyone in is an error.
func NamedAccount(user, password string, rights localserver.Rights) (localserver.Account, error) {
	hash, err := localserver.HashPassword(password)
	if err != nil {
		return localserver.Account{}, err
	}
	return localserver.Account{Name: user, Password: hash, Rights: rights}, Account{Name: user, PasswordHash: hash, Rights: Rights(rights)}.checkNamed()
}

// CheckAccounts says what is wrong with a list of accounts: with one of them, or with a name that stands there twice.
// Upper and lower case make two names, but for anonymous.
func CheckAccounts(list []Account) error {
	if len(list) == 0 {
		return errors.New("there is no account, so nobody could come in: add one")
	}
	seen := map[string]bool{}
	for _, one := range list {
		if err := one.Check(); err != nil {
			return err
		}
		name := one.Name
		if one.Anonymous() {
			name = localserver.Anonymous
		}
		if seen[name] {
			return fmt.Errorf("there are two accounts called %s: give one of them another name", name)
		}
		seen[name] = true
	}
	return nil
}

// people returns the accounts that may sign in with these settings.
func (s ShareSettings) people() ([]Account, error) {
	rights := ReadOnly
	if s.Write {
		rights = ReadWrite
	}
	switch s.Access {
	case AccessAccounts:
		return s.Accounts, CheckAccounts(s.Accounts)
	case AccessUser:
		if s.User == "" {
			return nil, errors.New("type a user name for the people who may come in")
		}
		if s.PasswordHash.IsZero() {
			return nil, errors.New("type a password for the people who may come in, or let Portside make one")
		}
		one := Account{Name: s.User, PasswordHash: s.PasswordHash, Rights: rights}
		if err := one.checkNamed(); err != nil {
			return nil, err
		}
		return []Account{one}, nil
	}
	return []Account{{Name: localserver.Anonymous, Rights: rights}}, nil
}

// accounts returns the accounts in the server's own terms, and the folder of those that have none of their own: empty
// when all of them have one and no folder is shared besides.
func (s ShareSettings) accounts() (root string, accounts []localserver.Account, err error) {
	people, err := s.people()
	if err != nil {
		return "", nil, err
	}
	if s.Folder != "" || slices.ContainsFunc(people, func(p Account) bool { return p.Folder == "" }) {
		if root, err = expand(s.Folder); err != nil {
			return "", nil, err
		}
	}
	for _, p := range people {
		if p.RequireTLS && s.TLS == localserver.TLSOff {
			return "", nil, fmt.Errorf("%s may sign in over TLS only, and TLS is switched off: offer TLS, or let %s in without it", p.Name, p.Name)
		}
		one := localserver.Account{
			Name: p.Name, Password: p.PasswordHash, Rights: localserver.Rights(p.Rights), RequireTLS: p.RequireTLS, MaxSessions: p.MaxSessions,
		}
		if p.Folder != "" {
			if one.Root, err = expand(p.Folder); err != nil {
				return "", nil, err
			}
		}
		accounts = append(accounts, one)
	}
	return root, accounts, nil
}

// writable says whether anybody may change files.
func (s ShareSettings) writable() bool {
	people, _ := s.people()
	return slices.ContainsFunc(people, func(p Account) bool { return p.Rights&Writing != 0 })
}

// Anyone says what somebody without a password may do with these settings; 0 when everybody needs one.
func (s ShareSettings) Anyone() Rights {
	people, _ := s.people()
	if i := slices.IndexFunc(people, Account.Anonymous); i >= 0 {
		return people[i].Rights
	}
	return 0
}

// loginName is the name to put into an address: the only account's, when it has one that must be typed.
func (s ShareSettings) loginName() string {
	if people, _ := s.people(); len(people) == 1 && !people[0].Anonymous() {
		return people[0].Name
	}
	return ""
}

// overTLSOnly says that nobody may sign in in clear.
func (s ShareSettings) overTLSOnly() bool {
	people, _ := s.people()
	return len(people) > 0 && !slices.ContainsFunc(people, func(p Account) bool { return !p.RequireTLS })
}

// UseAccounts lets the accounts of the list come in. A list that is still empty begins with whoever may come in so far.
func (a *App) UseAccounts() {
	a.ChangeSettings(func(s *Settings) {
		if len(s.Share.Accounts) == 0 {
			if people, err := s.Share.people(); err == nil {
				s.Share.Accounts = people
			}
		}
		s.Share.Access = AccessAccounts
	})
}

// SaveAccount puts account into the place at of the list, or at its end for -1. An empty password leaves the account the
// hash that it has. What is wrong is an error that changes nothing. The running server has the account when done is
// called, or [Share.AccountsErr] says why not, and it is written. Hashing and looking at the folder take a moment, so this
// is a task; done is called from it.
func (a *App) SaveAccount(at int, account Account, password string, done func(error)) {
	a.run(func(ctx context.Context) {
		err := a.saveAccount(at, account, password)
		if err == nil {
			_ = a.saved.wait(ctx) // a notice says why not
		}
		done(err)
	})
}

func (a *App) saveAccount(at int, account Account, password string) error {
	before := a.Settings().Share.Accounts
	if at >= len(before) || at < -1 {
		return errors.New("this account is no longer in the list")
	}
	if account.Anonymous() {
		account.Name, account.PasswordHash = localserver.Anonymous, localserver.Password{}
	} else if password != "" {
		hash, err := localserver.HashPassword(password)
		if err != nil {
			return err
		}
		account.PasswordHash = hash
	}
	if account.Folder != "" && (at < 0 || before[at].Folder != account.Folder) {
		if err := FolderExists(account.Folder); err != nil {
			return fmt.Errorf("the folder can't be shared: %w", err)
		}
	}
	var wrong error
	a.ChangeSettings(func(s *Settings) {
		if !slices.Equal(s.Share.Accounts, before) {
			wrong = errors.New("the list of accounts has changed meanwhile: try again")
			return
		}
		list := slices.Clone(s.Share.Accounts)
		if at < 0 {
			list = append(list, account)
		} else {
			list[at] = account
		}
		if wrong = checkOne(list, account); wrong == nil {
			s.Share.Accounts = list
		}
	})
	if wrong == nil {
		a.share.followAccounts() // so that done is called when it holds
	}
	return wrong
}

// checkOne judges one account in its list. Another one that is broken must not stand in its way.
func checkOne(list []Account, account Account) error {
	if err := account.Check(); err != nil {
		return err
	}
	same := func(o Account) bool { return o.Name == account.Name || o.Anonymous() && account.Anonymous() }
	if i := slices.IndexFunc(list, same); slices.IndexFunc(list[i+1:], same) >= 0 {
		return fmt.Errorf("there is an account called %s already: choose another name", account.Name)
	}
	return nil
}

// DeleteAccount takes the account at a place out of the list, if it still has that name, and soon out of the running
// server.
func (a *App) DeleteAccount(at int, name string) {
	a.ChangeSettings(func(s *Settings) {
		if at >= 0 && at < len(s.Share.Accounts) && s.Share.Accounts[at].Name == name {
			s.Share.Accounts = slices.Delete(slices.Clone(s.Share.Accounts), at, at+1)
		}
	})
}

// DuplicateOf returns a copy of an account under a name that is free. It has no password: two accounts that share one
// would share it unseen.
func DuplicateOf(list []Account, account Account) Account {
	stem := account.Name
	account.PasswordHash = localserver.Password{}
	for n := 2; ; n++ {
		account.Name = fmt.Sprintf("%s-%d", stem, n)
		if !slices.ContainsFunc(list, func(o Account) bool { return o.Name == account.Name }) {
			return account
		}
	}
}

// sameAccounts says whether the same people may come in with s and with o. It looks at nothing outside of them.
func (s ShareSettings) sameAccounts(o ShareSettings) bool {
	return s.Access == o.Access && s.User == o.User && s.PasswordHash == o.PasswordHash && s.Write == o.Write && slices.Equal(s.Accounts, o.Accounts)
}

// followAccounts gives the running server the accounts that the settings have now: for the next sign-in, and for the
// sessions that stand, as [localserver.Server.SetAccounts] says. Why it can't is said in [Share.AccountsErr]; the
// server then keeps those that it has.
func (s *share) followAccounts() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	server, has, failed := s.server, s.has, s.state.AccountsErr != ""
	s.mu.Unlock()
	set := s.app.Settings().Share
	if server == nil || set.sameAccounts(has) && !failed {
		return
	}
	root, list, err := set.accounts()
	if set.Access == AccessAccounts && len(set.Accounts) == 0 {
		root, list, err = "", nil, nil // the last one was deleted: nobody may come in
	}
	if err == nil {
		err = server.SetAccounts(root, list)
	}
	s.mu.Lock()
	if s.state.AccountsErr = ""; err != nil {
		s.state.AccountsErr = err.Error()
	} else {
		s.has = set
		s.state.Write, s.state.Access, s.state.Addresses = set.writable(), set.Access, set.addresses(server.Addr())
	}
	s.mu.Unlock()
	s.app.changed()
}

// ParseNetworks reads a list of networks, one in each line (commas do too): ADDRESS/BITS, or a single address. An error
// names the line.
func ParseNetworks(text string) ([]netip.Prefix, error) {
	list := []netip.Prefix{}
	for i, line := range strings.Split(text, "\n") {
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' }) {
			p, err := parseNetwork(word)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			if !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list, nil
}

func parseNetwork(word string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(word)
	if addr, single := netip.ParseAddr(word); single == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		p, err = addr.Prefix(addr.BitLen())
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network such as 192.168.1.0/24 or fd00::/8", word)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q covers all of IPv4: write it as IPv4, such as 10.0.0.0/8", word)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// SetLocalNetworks keeps the networks whose clients are told the address that they came to, and applies them to the
// running server, as [App.ApplyPassive] does. nil: the default, which also follows this computer's own networks.
func (a *App) SetLocalNetworks(list []netip.Prefix, done func(error)) {
	a.share.inOrder(func(context.Context) {
		set := a.Settings().Share
		set.LocalNetworks = list
		done(a.applyPassive(set))
	})
}

// LocalPeople says in words who the local networks are: "people on your network", or the networks of an edited list.
func (s ShareSettings) LocalPeople() string {
	const shown = 2
	switch n := len(s.LocalNetworks); {
	case s.LocalNetworks == nil:
		return "people on your network"
	case n == 0:
		return "nobody"
	default:
		var names []string
		for _, p := range s.LocalNetworks[:min(n, shown)] {
			names = append(names, p.String())
		}
		if n > shown {
			return fmt.Sprintf("people in %s and %d more networks", strings.Join(names, ", "), n-shown)
		}
		return "people in " + strings.Join(names, " and ")
	}
}
