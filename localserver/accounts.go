package localserver

// Who may sign in, also when that changes while the server runs.

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"portside/connlog"
)

// account is an Account as the running server needs it.
type account struct {
	Account
	folder   *folder
	sessions *atomic.Int32 // also those of the accounts of this name before it
}

// people is who may sign in, at one moment. It never changes: another takes its place.
type people struct {
	accounts  map[string]*account
	clearOnly map[string]bool // with any RequireTLS account: the names that may sign in in clear
}

// key is the name of an account in [people]: anonymous has one in every spelling.
func (a *Account) key() string {
	if a.anonymous() {
		return Anonymous
	}
	return a.Name
}

// checkAccounts looks at the accounts of a server whose shared folder is root.
func checkAccounts(root string, accounts []Account) error {
	seen := map[string]bool{}
	for i := range accounts {
		a := &accounts[i]
		switch {
		case a.Name == "":
			return errors.New("an account has no name")
		case strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return fmt.Errorf("account name %q has a control character", a.Name)
		case seen[a.key()]:
			return fmt.Errorf("account %q stands twice in the list", a.Name)
		case !a.anonymous() && a.Password.IsZero():
			return fmt.Errorf("account %q has no password; only %q needs none", a.Name, Anonymous)
		}
		seen[a.key()] = true
		if err := checkFolder(cmp.Or(a.Root, root)); err != nil {
			return err
		}
	}
	return nil
}

// gather makes the people of accounts, whose shared folder is root. It opens folders that are not open yet and returns
// them too; on an error all of them are closed again. before lends the counts of its sessions. The caller holds mu, and
// puts the folders into s.folders.
func (s *Server) gather(root string, accounts []Account, before *people) (*people, map[string]*folder, error) {
	next := &people{accounts: map[string]*account{}}
	opened := map[string]*folder{}
	for _, a := range accounts {
		path := cmp.Or(a.Root, root)
		f := s.folders[path]
		if f == nil {
			f = opened[path]
		}
		if f == nil {
			var err error
			if f, err = openFolder(path); err != nil {
				for _, o := range opened {
					o.close()
				}
				return nil, nil, err
			}
			opened[path] = f
		}
		if a.Rights == 0 {
			a.Rights = ReadOnly
		}
		one := &account{Account: a, folder: f, sessions: new(atomic.Int32)}
		if before != nil && before.accounts[a.key()] != nil {
			one.sessions = before.accounts[a.key()].sessions
		}
		next.accounts[a.key()] = one
	}
	for _, a := range next.accounts {
		if a.RequireTLS {
			next.clearOnly = map[string]bool{}
			for key, other := range next.accounts {
				if !other.RequireTLS {
					next.clearOnly[key] = true
				}
			}
			break
		}
	}
	return next, opened, nil
}

// SetAccounts changes who may sign in; root is the folder of accounts without one of their own. It holds for every
// sign-in from now on. Sessions that stand follow from their next command on: other rights and limits take effect in
// them. A session whose account is gone, has another password or another folder, or asks for TLS that the session does
// not have, ends: at once, or when the transfer that runs is over. Transfers are not broken.
//
// An empty list lets nobody in. An error is a sentence for the person, and nothing was changed then. Before the start
// and after the stop, SetAccounts is an error.
func (s *Server) SetAccounts(root string, accounts []Account) error {
	if err := checkAccounts(root, accounts); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateRunning {
		return errors.New("the server does not run, so its accounts can't be changed")
	}
	next, opened, err := s.gather(root, accounts, s.people.Load())
	if err != nil {
		return err
	}
	for path, f := range opened {
		s.folders[path] = f
		s.work.Go(func() { clean(s.life, f.current(), s.temps) })
	}
	s.gate.allow(accounts)
	s.people.Store(next)
	for _, n := range s.sessions {
		if !n.mayStay(next) {
			n.toEnd(connlog.ReasonKicked, errKicked, "Your account was changed. Sign in again.")
			// Side by side, and not under mu: a client that does not read holds up its own 421 only.
			s.work.Go(func() { n.endIfIdle() })
		}
	}
	s.closeUnused()
	return nil
}

// closeUnused closes the folders that no account and no session has any more, and notes whether a session keeps one
// that no account has. The caller holds mu.
func (s *Server) closeUnused() {
	used := map[*folder]bool{}
	for _, a := range s.people.Load().accounts {
		used[a.folder] = true
	}
	shared := len(used)
	for _, n := range s.sessions {
		if a := n.signedIn(); a != nil {
			used[a.folder] = true
		}
	}
	s.lingering = len(used) > shared
	for path, f := range s.folders {
		if !used[f] {
			f.close()
			delete(s.folders, path)
		}
	}
}

// signIn makes a the account of the session, unless the accounts have changed since a was looked up.
func (s *session) signIn(a *account) bool {
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	if s.srv.people.Load().accounts[a.key()] != a {
		return false
	}
	s.mu.Lock()
	s.account = a
	s.mu.Unlock()
	return true
}

func (s *session) signedIn() *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account
}

// mayStay reports whether the session's sign-in is still good among next.
func (s *session) mayStay(next *people) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account
	if a == nil {
		return true
	}
	now := next.accounts[a.key()]
	return now != nil && now.folder == a.folder && (a.anonymous() || now.Password == a.Password) && (!now.RequireTLS || s.tlsText != "")
}

// followAccount takes over what the account may do now. The executor calls it before a command.
func (s *session) followAccount() {
	if s.account == nil {
		return
	}
	p := s.srv.people.Load()
	if now := p.accounts[s.account.key()]; now != nil && now != s.account && s.mayStay(p) {
		s.mu.Lock()
		s.account = now
		s.mu.Unlock()
	}
}
