package doctor

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// hideWindow keeps a console from flashing up when the window's program runs a command.
func hideWindow(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{HideWindow: true} }

// addressTaken: Windows answers WSAEACCES for a port that another program holds exclusively, or that the system has reserved.
func addressTaken(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}

func fileLimit() (uint64, bool) { return 0, false } // Windows has none that matters
