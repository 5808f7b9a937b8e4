package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"portside/localserver"
)

// ServerOptions is what few people change of the local server. The zero value is its defaults.
type ServerOptions struct {
	MaxClients     int `json:"maxClients,omitempty"`
	MaxPerAddress  int `json:"maxClientsPerAddress,omitempty"`
	SignInSeconds  int `json:"signInSeconds,omitempty"`
	IdleMinutes    int `json:"idleMinutes,omitempty"`
	StallMinutes   int `json:"stallMinutes,omitempty"`
	OfferSeconds   int `json:"offerSeconds,omitempty"`
	ShutOutAfter   int `json:"shutOutAfter,omitempty"`
	ShutOutMinutes int `json:"shutOutMinutes,omitempty"`
	// ForeignData takes data connections from other addresses than the control connection's: clients with two ways to the
	// internet have them. Anybody who guesses a passive port can then take its data connection.
	ForeignData bool `json:"dataFromOtherAddresses,omitempty"`
	// Port20 asks for port 20 at the server's end in active mode, which some old firewalls expect.
	Port20 bool `json:"activeFromPort20,omitempty"`
	// DiscardPartial removes what came of an upload that broke.
	DiscardPartial bool `json:"discardPartialUploads,omitempty"`
	// Resume is what data connections are asked whose TLS session is not the control connection's; empty: it is noted.
	Resume localserver.ResumePolicy `json:"tlsResumption,omitempty"`
	// CertFile and KeyFile are a certificate chain and its key in PEM, in place of the self-signed certificate.
	CertFile string `json:"certificateFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
}

// ServerNumber is a number among the [ServerOptions].
type ServerNumber struct {
	Flag, Title string // of the terminal and of the window
	Default     int
	Most        int // the least is 1
	Of          func(*ServerOptions) *int
}

// ServerNumbers returns the numbers in the order in which they are shown.
func ServerNumbers() []ServerNumber {
	d := localserver.DefaultLimits()
	seconds := func(t time.Duration) int { return int(t / time.Second) }
	minutes := func(t time.Duration) int { return int(t / time.Minute) }
	return []ServerNumber{
		{"max-clients", "Clients at once", d.MaxSessions, 100_000, func(o *ServerOptions) *int { return &o.MaxClients }},
		{"max-per-address", "Clients from one address", d.MaxSessionsPerAddress, 100_000, func(o *ServerOptions) *int { return &o.MaxPerAddress }},
		{"sign-in-seconds", "Seconds to sign in", seconds(d.LoginTimeout), 3600, func(o *ServerOptions) *int { return &o.SignInSeconds }},
		{"idle-minutes", "Minutes without a command", minutes(d.IdleTimeout), 1440, func(o *ServerOptions) *int { return &o.IdleMinutes }},
		{"stall-minutes", "Minutes without a byte", minutes(d.StallTimeout), 1440, func(o *ServerOptions) *int { return &o.StallMinutes }},
		{"offer-seconds", "Seconds for a data channel", seconds(d.OfferTimeout), 600, func(o *ServerOptions) *int { return &o.OfferSeconds }},
		{"shut-out-after", "Wrong passwords of an address", d.ShutOutAfter, 1000, func(o *ServerOptions) *int { return &o.ShutOutAfter }},
		{"shut-out-minutes", "Minutes that it is shut out", minutes(d.ShutOutFor), 1440, func(o *ServerOptions) *int { return &o.ShutOutMinutes }},
	}
}

// Check says what can't be. The certificate's files are looked at.
func (o ServerOptions) Check() error {
	for _, n := range ServerNumbers() {
		if v := *n.Of(&o); v < 0 || v > n.Most {
			return fmt.Errorf("%s: %d can't be: type a number from 1 to %d", n.Title, v, n.Most)
		}
	}
	switch o.Resume {
	case "", localserver.ResumeOff, localserver.ResumeNote, localserver.ResumeRequire:
	default:
		return fmt.Errorf("%q is no way to treat TLS resumption: off, note and require are", o.Resume)
	}
	return o.Apply(&localserver.Config{})
}

// limits returns the server's limits.
func (o ServerOptions) limits() localserver.Limits {
	return localserver.Limits{
		MaxSessions: o.MaxClients, MaxSessionsPerAddress: o.MaxPerAddress,
		LoginTimeout: time.Duration(o.SignInSeconds) * time.Second, IdleTimeout: time.Duration(o.IdleMinutes) * time.Minute,
		StallTimeout: time.Duration(o.StallMinutes) * time.Minute, OfferTimeout: time.Duration(o.OfferSeconds) * time.Second,
		ShutOutAfter: o.ShutOutAfter, ShutOutFor: time.Duration(o.ShutOutMinutes) * time.Minute,
	}
}

// Apply puts the options into a server's configuration. A certificate that can't be used is an error.
func (o ServerOptions) Apply(c *localserver.Config) error {
	c.Limits = o.limits()
	c.Passive.AllowForeignAddress = o.ForeignData
	c.Active.Port20 = o.Port20
	c.Uploads.DiscardPartial = o.DiscardPartial
	c.TLS.Resume = o.Resume
	switch {
	case o.CertFile == "" && o.KeyFile == "":
		return nil
	case o.CertFile == "" || o.KeyFile == "":
		return errors.New("a certificate needs its key, and a key its certificate: choose both files, or none")
	}
	cert, err := expand(o.CertFile)
	if err != nil {
		return err
	}
	key, err := expand(o.KeyFile)
	if err != nil {
		return err
	}
	c.TLS.Certificate, err = localserver.LoadCertificate(cert, key)
	return err
}

// mend puts numbers and words that can't be back to their defaults. A certificate that can't be used is said when the
// server starts: nobody is to get another one unasked.
func (o *ServerOptions) mend() {
	for _, n := range ServerNumbers() {
		if v := n.Of(o); *v < 0 || *v > n.Most {
			*v = 0
		}
	}
	switch o.Resume {
	case localserver.ResumeOff, localserver.ResumeNote, localserver.ResumeRequire:
	default:
		o.Resume = ""
	}
}

// SetServerOptions checks the options and keeps them. The running server takes over its limits and which data connections
// it takes, from the next command or offer on; the rest holds from its next start. It reads the certificate's files and
// waits for a start or stop under way, so it is a task; done is called from it, when the options are written.
func (a *App) SetServerOptions(o ServerOptions, done func(error)) {
	a.share.inOrder(func(ctx context.Context) {
		err := a.setServerOptions(o)
		if err == nil {
			_ = a.saved.wait(ctx) // a notice says why not
		}
		done(err)
	})
}

func (a *App) setServerOptions(o ServerOptions) error {
	if err := o.Check(); err != nil {
		return err
	}
	a.share.turn.Lock()
	defer a.share.turn.Unlock()
	a.ChangeSettings(func(s *Settings) { s.Share.Options = o })
	server := a.share.running()
	if server == nil {
		return nil
	}
	if err := server.SetLimits(o.limits()); err != nil {
		return err
	}
	passive := server.Passive()
	passive.AllowForeignAddress = o.ForeignData
	return server.SetPassive(passive)
}
