package app

import (
	"bytes"
	"context"
	"io"

	"github.com/natefinch/atomic"
)

// SaveFile writes a file as a task, and calls done from it. The old file stays until the new one is whole.
func (a *App) SaveFile(name string, write func(io.Writer) error, done func(error)) {
	a.run(func(context.Context) { done(saveFile(name, write)) })
}

// saveFile writes a file that is whole or not there.
func saveFile(name string, write func(io.Writer) error) error {
	full, err := expand(name)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return atomic.WriteFile(full, &b)
}
