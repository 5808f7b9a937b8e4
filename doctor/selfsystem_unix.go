//go:build unix

package doctor

import (
	"errors"
	"os/exec"

	"golang.org/x/sys/unix"
)

func hideWindow(*exec.Cmd) {}

func addressTaken(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

func fileLimit() (uint64, bool) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}
