// Package terminal is Portside without a window: the commands serve, get, put, mirror, check, explain and demo, over the same
// engines.
//
// Their forms are fixed, since other programs call them: exit code 0 means all went well, 1 that something failed
// (each failure is named), 2 that the command was used wrongly. With --log json, standard output holds one JSON object
// a line and nothing else; what is meant for people goes to standard error.
package terminal

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"portside/assets"
	"portside/connlog"
	"portside/wire"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Console is where a command reads and writes.
type Console struct {
	In       *os.File
	Out, Err io.Writer
	Getenv   func(string) string
}

// Usage is the help page.
const Usage = `Portside, an FTP client and local FTP server that says who opened which channel.

  portside [URL]                opens the window, and connects to URL
  portside serve [options] DIR  shares a folder
      --listen HOST:PORT        where to wait for clients (default :2121; port 0 picks a free one)
      --anonymous               anyone may come in (default without --user; with --user: both)
      --user NAME               a user, with --password PW
      --write                   lets clients change files (default: read only)
      --passive-ports MIN-MAX   the passive port range (default 21100-21199; "any": the system picks)
      --passive-ip auto|IP|NAME the Passive IP that is announced (default auto)
      --tls off|explicit|required|implicit
                                explicit, the default: TLS for clients that ask for it
      --cert FILE --key FILE    a certificate chain and its key in PEM, in place of the self-signed certificate
      --tls-resume off|note|require
                                whether data channels have to resume the control channel's TLS session (default note)
      --max-clients N, --max-per-address N
                                clients at once (default 4096), and from one address (default 1024)
      --sign-in-seconds N, --idle-minutes N, --stall-minutes N, --offer-seconds N
                                how long a client may take to sign in (60), between two commands (15), between two bytes
                                of a file (5), and to open a data channel (30)
      --shut-out-after N, --shut-out-minutes N
                                wrong passwords after which an address is shut out (10), and for how long (5)
      --foreign-data            takes data channels from other addresses than the control channel's
      --port-20                 opens data channels in active mode from port 20, where that is possible
      --discard-partial         removes what came of an upload that broke
      --log text|json           the connection log on standard output (default text)
                                While it runs, the lines "passive-ports MIN-MAX" and "passive-ip auto|IP|NAME", typed
                                or through a pipe, change these for the next offer; transfers go on
      --check                   does not share: says what would keep clients out (firewalls, router, ports,
                                certificate) and the lines to type against it; exit code 1 when something is bad
      --ask-router              with --check: asks your own router, too (UPnP, NAT-PMP), what it forwards
  portside get [options] URL DEST   downloads a file or folder
  portside put [options] SRC URL    uploads a file or folder
      --mode auto|passive|active    who opens data channels (default auto: passive, then active)
      --parallel N                  connections at once, 1 to 16 (default 4)
      --resume                      goes on where an earlier transfer stopped
      --segments N                  get: over how many connections one large file comes, 1 to 16 (default 1)
      --insecure                    accepts any TLS certificate
      --log text|json               the connection log on standard output
  portside mirror [options] URL DIR  makes DIR like the server's folder, by size and time
      --upload                      the other way: makes the server's folder like DIR (default: --download)
      --delete                      takes out what the source does not have, when all else went well
      --exclude GLOB                leaves alone on both sides, so it is not deleted either, what is called so in any
                                    folder ("*.tmp"), or has this path below DIR ("cache/*", "**" for any folders);
                                    with a slash at the end: folders only; may be given several times
      --dry-run                     lists what would be done, and does nothing
      --resume                      goes on with a download where an earlier run stopped within the file
      --mode, --parallel, --insecure, --log
                                    as for portside get
  portside check [options] URL  finds out why a server can't be used, on whose side, and what to type there
      --mode auto|passive|active    whose faults are looked for (default auto: passive; the other is tried, too)
      --tls auto|none|explicit|explicit-clear|implicit
                                    in place of what the URL says; explicit-clear: data channels in clear
      --action list|get|resume      what is done when a session stands (default list); --path P names on what
      --ca FILE                     certificates in PEM that are trusted besides the system's
      --consent-plain               allows a comparison in clear, in which the password can be read on the way
      --insecure                    accepts any TLS certificate
      --json                        one JSON object; without it the last line is "verdict: ID"
  portside explain [--html] LOG [LOG]
                                explains a log saved as JSON lines; with the logs of both ends: what they prove together
  portside demo                 a local server, a client, one file in each mode: every channel explained
  portside version
  portside licences             the licences of what others have made of Portside

URL is a host, or ftp://, ftps:// (implicit TLS) or ftpes:// (explicit TLS) with user, password and path.
The password can also come from the environment variable PORTSIDE_PASSWORD, or is asked for.
`

type command func(ctx context.Context, c Console, args []string) error

// usageError is a command used wrongly.
type usageError struct{ error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported says that what failed was already said.
var errReported = errors.New("failed")

// Is says whether name is one of the commands.
func Is(name string) bool { return commands()[name] != nil }

func commands() map[string]command {
	return map[string]command{
		"serve": serve, "get": get, "put": put, "mirror": mirror, "check": check, "demo": demo, "explain": explain,
		"version": version, "licences": licences, "help": help, "--help": help, "-h": help, "--version": version,
	}
}

// Version is what `portside version` prints, set at build time.
var Version = "0.1.0"

func version(_ context.Context, c Console, _ []string) error {
	_, err := fmt.Fprintln(c.Out, "portside", Version)
	return err
}

func licences(_ context.Context, c Console, _ []string) error {
	_, err := io.WriteString(c.Out, assets.Licences)
	return err
}

func help(_ context.Context, c Console, _ []string) error {
	_, err := io.WriteString(c.Out, Usage)
	return err
}

// Window reads what the window is started with: nothing, or the URL to connect to. Without a display it can't open.
func Window(args []string, getenv func(string) string) (url string, err error) {
	switch {
	case len(args) > 0 && strings.HasPrefix(args[0], "-"):
		return "", misuse("there is no option %s; see portside help", args[0])
	case len(args) > 1:
		return "", misuse("%s is no command, and the window takes one URL at most; see portside help", args[0])
	case runtime.GOOS != "windows" && runtime.GOOS != "darwin" && getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "":
		return "", errors.New("the window can't open: there is no display, neither DISPLAY nor WAYLAND_DISPLAY is set; " +
			"portside help lists what can be done without one")
	case len(args) == 1:
		return args[0], nil
	}
	return "", nil
}

// Fail says why the program ends, and returns its exit code.
func Fail(c Console, err error) int {
	fmt.Fprintln(c.Err, "portside:", harmless(err))
	var wrong usageError
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// checked remembers that something could not be written: whoever reads a log must not take half of it for the whole.
type checked struct {
	w      io.Writer
	mu     sync.Mutex
	failed error
}

func (o *checked) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.failed = cmp.Or(o.failed, err)
	}
	return n, err
}

func (o *checked) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		return nil
	}
	return fmt.Errorf("standard output is not whole: %w", o.failed)
}

// Run runs the command args[0] and returns the exit code. SIGINT, SIGTERM and the end of the terminal (SIGHUP) end it in
// good order; a second one ends the program at once.
func Run(c Console, args []string) int {
	run := commands()[args[0]]
	if run == nil {
		fmt.Fprintf(c.Err, "portside: there is no command %q.\n\n%s", args[0], Usage)
		return exitUsage
	}
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup wants it to have no effect
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	context.AfterFunc(ctx, stop) // from the first signal on, the next one has its usual effect
	out := &checked{w: c.Out}
	c.Out = out
	err := run(ctx, c, args[1:])
	if err == nil {
		err = out.err()
	}
	var wrong usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(c.Out, usageOf(args[0]))
		return exitOK
	case errors.As(err, &wrong):
		fmt.Fprintf(c.Err, "portside %s: %s\n", args[0], harmless(err))
		return exitUsage
	case errors.Is(err, errReported):
		return exitFailed
	}
	fmt.Fprintf(c.Err, "portside %s: %s\n", args[0], harmless(err))
	return exitFailed
}

// harmless is an error's text, in which no name can act on the terminal. Its line ends stay.
func harmless(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, l := range lines {
		lines[i] = wire.Escape(l)
	}
	return strings.Join(lines, "\n")
}

// flags returns an empty set that leaves it to [Run] to say what is wrong, and to print the help that is asked for.
func flags(command string) *flag.FlagSet {
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// usageOf is what the help page says of a command: its line, the options below it, which it may share with the commands
// between, and what stands at the end for all.
func usageOf(command string) string {
	page, general, _ := strings.Cut(Usage, "\n\nURL is")
	var part []string
	options := false
	for line := range strings.SplitSeq(page, "\n") {
		head, isHead := strings.CutPrefix(line, "  portside ")
		name, _, _ := strings.Cut(head, " ")
		if isHead && options {
			break
		}
		switch {
		case isHead && name == command:
			part = append(part, line)
		case !isHead && len(part) > 0:
			part, options = append(part, line), true
		}
	}
	return strings.Join(part, "\n") + "\n\nURL is" + general
}

// parse reads flags wherever they stand and returns the other arguments, each of which has to be there.
func parse(fs *flag.FlagSet, args []string, want ...string) ([]string, error) {
	return parseSome(fs, args, len(want), len(want), want...)
}

// parseSome is parse with low to high arguments.
func parseSome(fs *flag.FlagSet, args []string, low, high int, want ...string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, misuse("%w; see portside %s --help", err, fs.Name())
		}
		if fs.NArg() == 0 {
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if len(rest) < low {
		return nil, misuse("%s is missing; see portside %s --help", want[len(rest)], fs.Name())
	}
	if len(rest) > high {
		return nil, misuse("%q is one argument too many; see portside %s --help", rest[high], fs.Name())
	}
	return rest, nil
}

// logTo returns the recorder for --log; the empty kind keeps nothing.
func logTo(c Console, kind string) (connlog.Recorder, error) {
	switch kind {
	case "":
		return connlog.Discard, nil
	case "text":
		return connlog.NewTextWriter(c.Out), nil
	case "json":
		return connlog.NewJSONWriter(c.Out), nil
	}
	return nil, misuse("--log is text or json, not %q", kind)
}

// oneOf checks a flag that has a few values.
func oneOf(name, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return misuse("--%s is one of %s, not %q", name, strings.Join(values, ", "), value)
}
