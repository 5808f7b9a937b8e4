package terminal

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mitchellh/go-homedir"

	"portside/app"
	"portside/connlog"
	"portside/doctor"
	"portside/localserver"
)

// stopGrace bounds the end: transfers get ten seconds of it (SERVER.md row 35).
const stopGrace = 12 * time.Second

// serve shares a folder until ctx ends, or says what would keep clients from it.
func serve(ctx context.Context, c Console, args []string) error {
	o, err := parseServeArgs(c, args)
	if err != nil {
		return err
	}
	if o.check {
		return o.checkSelf(ctx, doctor.System())
	}
	server, err := o.server()
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	var lines <-chan string
	if steered(c.In) {
		lines = typed(ctx, c.In)
	}
	o.greet(server, lines != nil)
	steerUntil(ctx, c, server, lines)
	end, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return server.Stop(end)
}

// serveArgs is what serve was called with.
type serveArgs struct {
	c                Console
	root             string // absolute
	listen, tls, log string
	user, password   string
	anonymous, write bool
	passive          localserver.PassiveConfig
	options          app.ServerOptions
	recorder         connlog.Recorder
	check, askRouter bool
}

func parseServeArgs(c Console, args []string) (*serveArgs, error) {
	o := &serveArgs{c: c}
	fs := flags("serve")
	fs.StringVar(&o.listen, "listen", ":2121", "")
	fs.StringVar(&o.user, "user", "", "")
	fs.StringVar(&o.password, "password", "", "")
	fs.BoolVar(&o.anonymous, "anonymous", false, "")
	fs.BoolVar(&o.write, "write", false, "")
	ports := fs.String("passive-ports", "21100-21199", "")
	ip := fs.String("passive-ip", "auto", "")
	fs.StringVar(&o.tls, "tls", "explicit", "")
	fs.StringVar(&o.log, "log", "text", "")
	fs.BoolVar(&o.check, "check", false, "")
	fs.BoolVar(&o.askRouter, "ask-router", false, "")
	for _, n := range app.ServerNumbers() {
		fs.IntVar(n.Of(&o.options), n.Flag, 0, "")
	}
	fs.BoolVar(&o.options.ForeignData, "foreign-data", false, "")
	fs.BoolVar(&o.options.Port20, "port-20", false, "")
	fs.BoolVar(&o.options.DiscardPartial, "discard-partial", false, "")
	fs.StringVar((*string)(&o.options.Resume), "tls-resume", "", "")
	fs.StringVar(&o.options.CertFile, "cert", "", "")
	fs.StringVar(&o.options.KeyFile, "key", "", "")
	rest, err := parse(fs, args, "DIR, the folder to share,")
	if err != nil {
		return nil, err
	}
	if err := numbersGiven(fs, &o.options); err != nil {
		return nil, err
	}
	if err := oneOf("tls", o.tls, "off", "explicit", "required", "implicit"); err != nil {
		return nil, err
	}
	if o.recorder, err = logTo(c, o.log); err != nil {
		return nil, err
	}
	if o.root, err = homedir.Expand(rest[0]); err != nil {
		return nil, err
	}
	if o.root, err = filepath.Abs(o.root); err != nil {
		return nil, err
	}
	o.passive, err = passiveConfig(*ports, *ip)
	return o, err
}

// server makes the server and warns of what it may lack.
func (o *serveArgs) server() (*localserver.Server, error) {
	accounts, err := serveAccounts(o.c, o.user, o.password, o.anonymous, o.write)
	if err != nil {
		return nil, err
	}
	certDir, err := app.ConfigDir()
	if err != nil {
		certDir = "" // no home: the certificate lives as long as the server
	}
	if err := o.options.Check(); err != nil {
		return nil, usageError{err}
	}
	config := localserver.Config{
		Listen: o.listen, Root: o.root, Accounts: accounts, Passive: o.passive, Recorder: o.recorder,
		TLS: localserver.TLSConfig{Mode: localserver.TLSMode(o.tls), CertDir: certDir},
	}
	if err := o.options.Apply(&config); err != nil {
		return nil, err
	}
	server, err := localserver.New(config)
	if errors.Is(err, localserver.ErrNotKept) { // a service often has no folder of its own
		fmt.Fprintf(o.c.Err, "portside serve: warning: %s. It lives as long as the server; --cert and --key name one that stays.\n", harmless(err))
		config.TLS.CertDir = ""
		server, err = localserver.New(config)
	}
	if err != nil {
		return nil, usageError{err}
	}
	warnOf(o.c, o.passive, listenPort(o.listen))
	return server, nil
}

// warnOf says what is unwise about the passive ports of a server whose control port is port.
func warnOf(c Console, passive localserver.PassiveConfig, port uint16) {
	if warnings, err := passive.Check(port); err == nil {
		for _, w := range warnings {
			fmt.Fprintln(c.Err, "portside serve: warning:", w)
		}
	}
}

// greet says where the server is, to a person; steered: that lines can be typed.
func (o *serveArgs) greet(server *localserver.Server, steered bool) {
	if o.log != "text" {
		return
	}
	fmt.Fprintf(o.c.Err, "Sharing %s at %s. Ctrl+C stops.\n", o.root, server.Addr())
	if sum := server.Fingerprint(); sum != "" {
		fmt.Fprintf(o.c.Err, "Its TLS certificate's SHA-256, to compare at the client: %s\n", sum)
	}
	if steered {
		fmt.Fprintf(o.c.Err, "Typed lines change it while it runs: %s.\n", steerUsage)
	}
}

// checkSelf prints what would keep clients from a server with these settings, and the lines to type against it.
func (o *serveArgs) checkSelf(ctx context.Context, env doctor.SelfEnv) error {
	if _, err := o.passive.Check(listenPort(o.listen)); err != nil {
		return usageError{err}
	}
	t, err := o.selfTarget()
	if err != nil {
		return err
	}
	if !o.askRouter {
		env.FindRouter = nil // nothing leaves this computer without the person's word
	}
	report := doctor.CheckSelf(ctx, t, env)
	writeSelfReport(o.c.Out, report)
	if report.Bad() {
		return errReported
	}
	return ctx.Err()
}

// selfTarget is the server as [doctor.CheckSelf] looks at it, with as many people as the window assumes at first.
func (o *serveArgs) selfTarget() (doctor.SelfTarget, error) {
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return doctor.SelfTarget{}, misuse("--listen is HOST:PORT, not %q", o.listen)
	}
	set := app.DefaultSettings().Share
	t := doctor.SelfTarget{
		Port: listenPort(o.listen), Passive: o.passive, TLS: localserver.TLSMode(o.tls), Root: o.root, People: set.People, FilesEach: set.FilesEach,
	}
	t.Listen, _ = netip.ParseAddr(host)
	if dir, err := app.ConfigDir(); err == nil {
		t.CertFile = localserver.CertificateFile(dir)
	}
	return t, nil
}

func writeSelfReport(out io.Writer, report doctor.SelfReport) {
	signs := map[doctor.SelfState]string{doctor.SelfGood: "ok", doctor.SelfWarn: "warning", doctor.SelfBad: "BAD", doctor.SelfUnknown: "unknown"}
	count := map[doctor.SelfState]int{}
	for _, f := range report.Findings {
		count[f.State]++
		fmt.Fprintf(out, "%-8s %s\n", signs[f.State], f.Sentence)
		if f.State == doctor.SelfGood {
			continue
		}
		for _, line := range []string{f.Detail, f.Fix} {
			if line != "" {
				fmt.Fprintf(out, "         %s\n", line)
			}
		}
		if f.Side != doctor.Nobody {
			fmt.Fprintf(out, "         To be changed: %s.\n", f.Side)
		}
	}
	fmt.Fprintf(out, "\n%d bad, %d warnings, %d unknown, %d good.\n",
		count[doctor.SelfBad], count[doctor.SelfWarn], count[doctor.SelfUnknown], count[doctor.SelfGood])
}

func listenPort(listen string) uint16 {
	_, port, ok := strings.Cut(listen[strings.LastIndex(listen, "]")+1:], ":")
	if !ok {
		return 0
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}

func serveAccounts(c Console, user, password string, anonymous, write bool) ([]localserver.Account, error) {
	rights := localserver.ReadOnly
	if write {
		rights = localserver.ReadWrite
	}
	var accounts []localserver.Account
	if user != "" {
		if password == "" {
			password = c.Getenv(passwordVariable)
		}
		if password == "" {
			return nil, misuse("--user needs --password, or a password in %s", passwordVariable)
		}
		one, err := app.NamedAccount(user, password, rights)
		if err != nil {
			return nil, misuse("--user: %v", err)
		}
		accounts = append(accounts, one)
	} else if password != "" {
		return nil, misuse("--password needs --user")
	}
	if anonymous || user == "" {
		accounts = append(accounts, localserver.Account{Name: "anonymous", Rights: rights})
	}
	return accounts, nil
}

// numbersGiven checks the numbers that were given: 0 would pass for the default.
func numbersGiven(fs *flag.FlagSet, options *app.ServerOptions) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, n := range app.ServerNumbers() {
		if v := *n.Of(options); given[n.Flag] && (v < 1 || v > n.Most) {
			return misuse("--%s goes from 1 to %d, not %d", n.Flag, n.Most, v)
		}
	}
	return nil
}

func passiveConfig(ports, ip string) (localserver.PassiveConfig, error) {
	p := localserver.PassiveConfig{IP: localserver.PassiveIP{Mode: localserver.PassiveAuto}}
	if ports != "any" {
		low, high, ok := strings.Cut(ports, "-")
		lo, err1 := strconv.ParseUint(low, 10, 16)
		hi, err2 := strconv.ParseUint(high, 10, 16)
		if !ok || err1 != nil || err2 != nil {
			return p, misuse("--passive-ports is MIN-MAX, such as 21100-21199, not %q", ports)
		}
		p.UseRange, p.Min, p.Max = true, uint16(lo), uint16(hi)
	}
	switch _, err := netip.ParseAddr(ip); {
	case ip == "auto":
	case ip == "":
		return p, misuse("--passive-ip is auto, an IP address or a host name; it is empty here")
	case err == nil:
		p.IP = localserver.PassiveIP{Mode: localserver.PassiveFixed, Value: ip}
	default:
		p.IP = localserver.PassiveIP{Mode: localserver.PassiveHost, Value: ip}
	}
	return p, nil
}
