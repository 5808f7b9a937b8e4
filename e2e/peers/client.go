//go:build linux

package peers

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed ftplib_client.py
var ftplibClient string

// Endpoint is a server as a client program needs to know it.
type Endpoint struct {
	Addr           netip.AddrPort
	User, Password string
	TLS            TLS
	CA             string // PEM file; "" takes any certificate
	Base           string // the folder on the server that takes files; "" is the one that one signs in to
}

// Endpoint is how to reach the server.
func (s *Server) Endpoint() Endpoint {
	return Endpoint{Addr: s.AddrPort(), User: s.User, Password: s.Password, TLS: s.TLS, CA: s.CA, Base: s.Base}
}

func (e Endpoint) host() string            { return e.Addr.Addr().String() }
func (e Endpoint) path(name string) string { return path.Join(e.Base, name) }
func (e Endpoint) port() string            { return strconv.Itoa(int(e.Addr.Port())) }

// Op is a kind of transfer.
type Op string

// The transfers.
const (
	Get       Op = "get"
	Put       Op = "put"
	GetFolder Op = "get-folder"
	PutFolder Op = "put-folder"
)

// Ops are all kinds of transfer.
var Ops = []Op{Get, Put, GetFolder, PutFolder}

// Job is one transfer. A get brings Remote, a path below Base, into the folder Local; a put brings Local, a file or
// folder, to Base. The last part of the name stays.
type Job struct {
	Endpoint
	Local, Remote string
	Active        bool // else passive
}

// Client is a client program.
type Client struct {
	Name string
	// Lacks says why the program can't do a job, for reasons that are its own; "" when it can.
	Lacks   func(op Op, j Job) string
	command func(ctx context.Context, op Op, j Job) (args, env []string, err error)
}

// jobTime is the longest that a client program may take: a program that hangs is a failure, not a wait.
const jobTime = 5 * time.Minute

// patience is how many seconds a client program waits for an answer: a server that looks at a password for long, so that guessing
// is slow, takes seconds on a busy machine.
const patience = "60"

// Result is what a client program left.
type Result struct {
	Output string // all that it printed
	PID    int
}

// Run runs the program to its end.
func (c Client) Run(ctx context.Context, op Op, j Job) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTime)
	defer cancel()
	args, env, err := c.command(ctx, op, j)
	if err != nil {
		return Result{}, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// No start-up file of the person's, no proxy, and messages in English.
	home, err := os.MkdirTemp("", "portside-client-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(home)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TERM=dumb", "HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home,
		"XDG_CACHE_HOME=" + home}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s %s%s: %w", c.Name, op, j.Local, j.Remote, err)
	}
	r := Result{Output: string(out)}
	if cmd.Process != nil {
		r.PID = cmd.Process.Pid
	}
	return r, err
}

// Clients are all client programs.
var Clients = []Client{Curl, Lftp, Ncftp, Ftplib}

// Curl transfers files; it knows no folders.
var Curl = Client{
	Name: "curl",
	Lacks: func(op Op, j Job) string {
		if op == GetFolder || op == PutFolder {
			return "curl moves no folders"
		}
		if j.Active && j.TLS != Off && curlLosesActiveTLS() {
			return "curl 7.88 closes the data socket before it reads the server's address in active mode with TLS (sa_addr inet_ntop() failed)"
		}
		return ""
	},
	command: func(_ context.Context, op Op, j Job) ([]string, []string, error) {
		bin, err := exec.LookPath("curl")
		if err != nil {
			return nil, nil, fmt.Errorf("curl: %w", ErrMissing)
		}
		args := append([]string{bin, "--silent", "--show-error", "--verbose"}, CurlOptions(j.Endpoint, j.Active)...)
		if op == Get {
			args = append(args, "--output", filepath.Join(j.Local, path.Base(j.Remote)), CurlURL(j.Endpoint, j.Remote))
		} else {
			args = append(args, "--upload-file", j.Local, CurlURL(j.Endpoint, filepath.Base(j.Local)))
		}
		return args, nil, nil
	},
}

// CurlOptions are curl's options for a server and mode.
func CurlOptions(e Endpoint, active bool) []string {
	args := []string{"--disable", "--globoff", "--user", e.User + ":" + e.Password, "--connect-timeout", patience}
	if active {
		args = append(args, "--ftp-port", "-")
	}
	switch e.TLS {
	case Explicit, Required:
		args = append(args, "--ssl-reqd")
	}
	if e.TLS != Off {
		if e.CA == "" {
			args = append(args, "--insecure")
		} else {
			args = append(args, "--cacert", e.CA)
		}
	}
	return args
}

// CurlURL is the URL of a file below Base for curl.
func CurlURL(e Endpoint, remote string) string {
	u := url.URL{Scheme: "ftp", Host: e.Addr.String(), Path: "/" + e.path(remote)}
	if e.TLS == Implicit {
		u.Scheme = "ftps"
	}
	return u.String()
}

// curlLosesActiveTLS says whether curl is older than 8, which has the fault mended.
func curlLosesActiveTLS() bool {
	out, err := exec.Command("curl", "--version").Output()
	var major int
	_, scan := fmt.Sscanf(string(out), "curl %d.", &major)
	return err == nil && scan == nil && major < 8
}

// Lftp transfers files and folders.
var Lftp = Client{
	Name: "lftp",
	Lacks: func(_ Op, j Job) string {
		if j.Active && j.Addr.Addr().Is6() {
			return "lftp 4.9.2 names the address :: in EPRT over IPv6"
		}
		if j.Addr.Addr().Is6() && !globalIPv6() {
			return "lftp takes IPv6 for switched off on a machine without a global IPv6 address"
		}
		return ""
	},
	command: func(_ context.Context, op Op, j Job) ([]string, []string, error) {
		bin, err := exec.LookPath("lftp")
		if err != nil {
			return nil, nil, fmt.Errorf("lftp: %w", ErrMissing)
		}
		script := LftpSettings(j.Endpoint, j.Active)
		switch op {
		case Get:
			script += fmt.Sprintf("get -O %q %q\n", j.Local, j.Remote)
		case Put:
			script += fmt.Sprintf("put %q\n", j.Local)
		case GetFolder:
			script += fmt.Sprintf("mirror --parallel=2 %q %q\n", j.Remote, filepath.Join(j.Local, path.Base(j.Remote)))
		case PutFolder:
			script += fmt.Sprintf("mirror -R --parallel=2 %q %q\n", j.Local, filepath.Base(j.Local))
		}
		return []string{bin, "--norc", "-c", script}, nil, nil
	},
}

func globalIPv6() bool {
	addresses, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() == nil && n.IP.IsGlobalUnicast()
	})
}

// LftpSettings are the lines that sign lftp in and go to Base.
func LftpSettings(e Endpoint, active bool) string {
	set := map[string]string{
		"cmd:fail-exit": "yes", "net:max-retries": "1", "net:timeout": patience, "net:reconnect-interval-base": "1", "ftp:passive-mode": strconv.FormatBool(!active),
		"ftp:ssl-force": strconv.FormatBool(e.TLS != Off), "ftp:ssl-protect-data": "yes", "ftp:ssl-allow": strconv.FormatBool(e.TLS != Off),
	}
	if e.CA == "" {
		set["ssl:verify-certificate"] = "no"
	} else {
		set["ssl:ca-file"] = e.CA
	}
	var b strings.Builder
	for name, value := range set {
		fmt.Fprintf(&b, "set %s %q\n", name, value)
	}
	scheme := "ftp"
	if e.TLS == Implicit {
		scheme = "ftps"
	}
	fmt.Fprintf(&b, "debug 6\nopen -u %q,%q %s://%s\n", e.User, e.Password, scheme, net.JoinHostPort(e.host(), e.port()))
	if e.Base != "" {
		fmt.Fprintf(&b, "cd %q\n", e.Base)
	}
	return b.String()
}

// Ncftp is ncftpget and ncftpput.
var Ncftp = Client{
	Name: "ncftp",
	Lacks: func(_ Op, j Job) string {
		switch {
		case j.TLS != Off:
			return "ncftp knows no TLS"
		case j.Addr.Addr().Is6():
			return "ncftp knows no IPv6"
		}
		return ""
	},
	command: func(_ context.Context, op Op, j Job) ([]string, []string, error) {
		name := "ncftpget"
		if op == Put || op == PutFolder {
			name = "ncftpput"
		}
		bin, err := exec.LookPath(name)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, ErrMissing)
		}
		mode := "-F"
		if j.Active {
			mode = "-E"
		}
		args := []string{bin, "-u", j.User, "-p", j.Password, "-P", j.port(), "-V", "-d", "stdout", "-t", patience, "-r", "1", mode}
		if op == GetFolder || op == PutFolder {
			args = append(args, "-R")
		}
		if op == Get || op == GetFolder {
			return append(args, j.host(), j.Local, j.path(j.Remote)), nil, nil
		}
		return append(args, j.host(), path.Join(".", j.Base), j.Local), nil, nil
	},
}

// Ftplib is Python's own FTP client.
var Ftplib = Client{
	Name:  "ftplib",
	Lacks: func(Op, Job) string { return "" },
	command: func(ctx context.Context, op Op, j Job) ([]string, []string, error) {
		python, err := pythonWith(ctx, "ftplib")
		if err != nil {
			return nil, nil, err
		}
		mode := "passive"
		if j.Active {
			mode = "active"
		}
		return []string{python, "-c", ftplibClient, string(op), j.host(), j.port(), j.User, j.Password, string(j.TLS), j.CA, mode, j.Base, j.Local, j.Remote}, nil, nil
	},
}
