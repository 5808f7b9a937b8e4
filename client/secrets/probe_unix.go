//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/godbus/dbus/v5"
)

// secretService is the well-known name of a keyring on the session bus.
const secretService = "org.freedesktop.secrets"

// probe finds out whether the session bus has a keyring, without starting a bus: the library would run dbus-launch.
func probe(ctx context.Context) error {
	address := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if address == "" || address == "autolaunch:" {
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if dir == "" {
			dir = fmt.Sprintf("/run/user/%d", os.Getuid())
		}
		if _, err := os.Stat(filepath.Join(dir, "bus")); err != nil {
			return errors.New("there is no session bus")
		}
		address = "unix:path=" + filepath.Join(dir, "bus")
	}
	done := make(chan error, 1)
	go func() { done <- ask(ctx, address) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done(): // the bus takes connections and says nothing; its socket closes with ctx
		return errors.New("the session bus does not answer")
	}
}

func ask(ctx context.Context, address string) error {
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("the session bus can't be reached: %w", err)
	}
	defer conn.Close()
	for _, method := range []string{"ListNames", "ListActivatableNames"} {
		var names []string
		if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus."+method, 0).Store(&names); err != nil {
			return fmt.Errorf("the session bus does not answer: %w", err)
		}
		if slices.Contains(names, secretService) {
			return nil
		}
	}
	return errors.New("no keyring is on the session bus")
}
