package app

import (
	"errors"
	"syscall"
)

// errorNotSameDevice is Windows' word for two places on different disks.
const errorNotSameDevice syscall.Errno = 17

// crossDevice says that a rename failed because the two places are on different disks.
func crossDevice(err error) bool { return errors.Is(err, errorNotSameDevice) }
