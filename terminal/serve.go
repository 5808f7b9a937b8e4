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
	"portside/doctor"
	"portside/localserver"
)

// stopGrace bounds the end: transfers get ten seconds of it (SERVER.md row 35).
const stopGrace = 12 * time.Second

func serve(ctx context.Context, c Console, args []string) error {
	fs := flags("serve")
	listen := fs.String("listen", ":2121", "")
	user := fs.String("user", "", "")
	password := fs.String("password", "", "")
	anonymous := fs.Bool("anonymous", false, "")
	write := fs.Bool("write", false, "")
	ports := fs.String("passive-ports", "21100-21199", "")
	ip := fs.String("passive-ip", "auto", "")
	tls := fs.String("tls", "explicit", "")
	kind := fs.String("log", "text", "")
	selfCheck := fs.Bool("check", false, "")
	askRouter := fs.Bool("ask-router", false, "")
	var options app.ServerOptions
	for _, n := range app.ServerNumbers() {
		fs.IntVar(n.Of(&options), n.Flag, 0, "")
	}
	fs.BoolVar(&options.ForeignData, "foreign-data", false, "")
	fs.BoolVar(&options.Port20, "port-20", false, "")
	fs.BoolVar(&options.DiscardPartial, "discard-partial", false, "")
	fs.StringVar((*string)(&options.Resume), "tls-resume", "", "")
	fs.StringVar(&options.CertFile, "cert", "", "")
	fs.StringVar(&options.KeyFile, "key", "", "")
	rest, err := parse(fs, args, "DIR, the folder to share,")
	if err != nil {
		return err
	}
	if err := numbersGiven(fs, &options); err != nil {
		return err
	}
	if err := oneOf("tls", *tls, "off", "explicit", "required", "implicit"); err != nil {
		return err
	}
	rec, err := logTo(c, *kind)
	if err != nil {
		return err
	}
	root, err := homedir.Expand(rest[0])
	if err != nil {
		return err
	}
	if root, err = filepath.Abs(root); err != nil {
		return err
	}
	if *selfCheck {
		passive, err := passiveConfig(*ports, *ip)
		if err != nil {
			return err
		}
		if _, err := passive.Check(listenPort(*listen)); err != nil {
			return usageError{err}
		}
		env := doctor.System()
		if !*askRouter {
			env.FindRouter = nil // nothing leaves this computer without the person's word
		}
		return checkSelf(ctx, c.Out, *listen, root, passive, localserver.TLSMode(*tls), env)
	}
	accounts, err := serveAccounts(c, *user, *password, *anonymous, *write)
	if err != nil {
		return err
	}
	passive, err := passiveConfig(*ports, *ip)
	if err != nil {
		return err
	}
	certDir, err := app.ConfigDir()
	if err != nil {
		certDir = "" // no home: the certificate lives as long as the server
	}
	if err := options.Check(); err != nil {
		return usageError{err}
	}
	config := localserver.Config{
		Listen: *listen, Root: root, Accounts: accounts, Passive: passive, Recorder: rec,
		TLS: localserver.TLSConfig{Mode: localserver.TLSMode(*tls), CertDir: certDir},
	}
	if err := options.Apply(&config); err != nil {
		return err
	}
	server, err := localserver.New(config)
	if errors.Is(err, localserver.ErrNotKept) { // a service often has no folder of its own
		fmt.Fprintf(c.Err, "portside serve: warning: %s. It lives as long as the server; --cert and --key name one that stays.\n", harmless(err))
		config.TLS.CertDir = ""
		server, err = localserver.New(config)
	}
	if err != nil {
		return usageError{err}
	}
	if warnings, err := passive.Check(listenPort(*listen)); err == nil {
		for _, w := range warnings {
			fmt.Fprintln(c.Err, "portside serve: warning:", w)
		}
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	var lines <-chan string
	if steered(c.In) {
		lines = typed(ctx, c.In)
	}
	if *kind == "text" {
		fmt.Fprintf(c.Err, "Sharing %s at %s. Ctrl+C stops.\n", root, server.Addr())
		if sum := server.Fingerprint(); sum != "" {
			fmt.Fprintf(c.Err, "Its TLS certificate's SHA-256, to compare at the client: %s\n", sum)
		}
		if lines != nil {
			fmt.Fprintf(c.Err, "Typed lines change it while it runs: %s.\n", steerUsage)
		}
	}
	for running := true; running; {
		select {
		case line, more := <-lines:
			if !more {
				lines = nil
				continue
			}
			steer(c, server, line)
		case <-ctx.Done():
			running = false
		}
	}
	end, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return server.Stop(end)
}

// checkSelf prints what would keep clients from a server with these settings, and the lines to type against it.
func checkSelf(ctx context.Context, out io.Writer, listen, root string, passive localserver.PassiveConfig, tls localserver.TLSMode, env doctor.SelfEnv) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return misuse("--listen is HOST:PORT, not %q", listen)
	}
	set := app.DefaultSettings().Share
	t := doctor.SelfTarget{
		Port: listenPort(listen), Passive: passive, TLS: tls, Root: root, People: set.People, FilesEach: set.FilesEach,
	}
	t.Listen, _ = netip.ParseAddr(host)
	if dir, err := app.ConfigDir(); err == nil {
		t.CertFile = localserver.CertificateFile(dir)
	}
	report := doctor.CheckSelf(ctx, t, env)
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
	if report.Bad() {
		return errReported
	}
	return ctx.Err()
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
		hash, err := localserver.HashPassword(password)
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, localserver.Account{Name: user, Password: hash, Rights: rights})
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
