package terminal

// Lines that are typed while a server runs, and change what can change without a restart.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"portside/localserver"
)

const steerUsage = "passive-ports MIN-MAX|any, passive-ip auto|IP|NAME"

// steered reports whether somebody can type lines to the server: at a terminal, or through a pipe. Of another input,
// such as a file that a script reads its own lines from, nothing is taken.
func steered(in *os.File) bool {
	if in == nil {
		return false
	}
	if isTerminal(in) {
		return true
	}
	st, err := in.Stat()
	return err == nil && st.Mode()&os.ModeNamedPipe != 0
}

// typed returns the lines of in. It ends with in, or when ctx does and the next line comes; there is no way to end the
// wait for a key.
func typed(ctx context.Context, in io.Reader) <-chan string {
	runInBackground()
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(foreground{ctx, in, askAgain})
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// foreground reads from a terminal while its program is in front ("serve &" is not, before "fg").
type foreground struct {
	ctx   context.Context
	in    io.Reader
	every time.Duration // between two looks whether it is
}

const askAgain = time.Second

func (f foreground) Read(b []byte) (int, error) {
	for {
		n, err := f.in.Read(b)
		if !errors.Is(err, errBackground) {
			return n, err
		}
		select {
		case <-time.After(f.every):
		case <-f.ctx.Done():
			return 0, io.EOF
		}
	}
}

// steerUntil does what lines say until ctx ends. Without lines, or after the last one, it just waits.
func steerUntil(ctx context.Context, c Console, server *localserver.Server, lines <-chan string) {
	for {
		select {
		case line, more := <-lines:
			if !more {
				lines = nil
				continue
			}
			steer(c, server, line)
		case <-ctx.Done():
			return
		}
	}
}

// steer changes the running server as a line says, or says why not. Offers and transfers that stand go on.
func steer(c Console, server *localserver.Server, line string) {
	passive, done, err := steering(server.Passive(), line)
	if err == nil && done != "" {
		err = server.SetPassive(passive)
	}
	if err != nil {
		fmt.Fprintln(c.Err, "portside serve:", err)
		return
	}
	if done == "" {
		return
	}
	fmt.Fprintln(c.Err, done)
	warnOf(c, passive, server.Addr().Port())
}

// steering returns now as line changes it, and what to say then; nothing for an empty line.
func steering(now localserver.PassiveConfig, line string) (next localserver.PassiveConfig, done string, err error) {
	next = now
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
		return next, "", nil
	case len(words) == 2 && words[0] == "passive-ports":
		given, err := passiveConfig(words[1], "auto")
		if err != nil {
			return now, "", err
		}
		next.UseRange, next.Min, next.Max = given.UseRange, given.Min, given.Max
		if !next.UseRange {
			return next, "From the next offer on the system picks the passive ports.", nil
		}
		return next, fmt.Sprintf("From the next offer on passive ports are %d-%d.", next.Min, next.Max), nil
	case len(words) == 2 && words[0] == "passive-ip":
		given, err := passiveConfig("any", words[1])
		if err != nil {
			return now, "", err
		}
		networks := now.IP.LocalNetworks
		next.IP = given.IP
		next.IP.LocalNetworks = networks
		if words[1] == "auto" {
			return next, "From the next offer on the Passive IP is the address that each client came to.", nil
		}
		return next, fmt.Sprintf("From the next offer on the Passive IP is %s; local networks are told the address that they came to.", words[1]), nil
	}
	return now, "", fmt.Errorf("%q is not one of the lines that change a running server: %s", strings.TrimSpace(line), steerUsage)
}
