//go:build unix

package terminal

import (
	"os/signal"
	"syscall"
)

// runInBackground lets a background job ask for a key and get an error, where it would be stopped until it is in front.
func runInBackground() { signal.Ignore(syscall.SIGTTIN) }

// errBackground is what reading from the terminal gives a background job then.
const errBackground = syscall.EIO
