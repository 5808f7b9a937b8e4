//go:build !linux

package way

import (
	"context"
	"errors"
	"time"
)

// Way exists on Linux only.
type Way struct{}

// Open fails with [errors.ErrUnsupported].
func Open(context.Context, time.Duration) (*Way, error) { return nil, errors.ErrUnsupported }

func (w *Way) Args(args ...string) []string { return args }
func (w *Way) Close() error                 { return nil }
