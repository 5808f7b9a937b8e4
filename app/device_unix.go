//go:build unix

package app

import (
	"errors"
	"syscall"
)

// crossDevice says that a rename failed because the two places are on different disks.
func crossDevice(err error) bool { return errors.Is(err, syscall.EXDEV) }
