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

// A keyring on the session bus, by the Secret Service API of freedesktop.org, version 0.2.
const (
	secretService   = "org.freedesktop.secrets"
	secretInterface = "org.freedesktop.Secret.Service"
	secretPath      = dbus.ObjectPath("/org/freedesktop/secrets")
	loginPath       = secretPath + "/collection/login"
)

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
			return hasCollection(ctx, conn.Object(secretService, secretPath))
		}
	}
	return errors.New("no keyring is on the session bus")
}

// hasCollection makes sure that the keyring has a collection which new secrets go to. Without one the library can't use it:
// so it is where a keyring is installed and no desktop has made the person's own.
func hasCollection(ctx context.Context, keyring dbus.BusObject) error {
	var path dbus.ObjectPath
	if err := keyring.CallWithContext(ctx, secretInterface+".ReadAlias", 0, "default").Store(&path); err != nil {
		return fmt.Errorf("the keyring does not answer: %w", err)
	}
	if path != "/" {
		return nil
	}
	var all dbus.Variant
	if err := keyring.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, secretInterface, "Collections").Store(&all); err != nil {
		return fmt.Errorf("the keyring does not answer: %w", err)
	}
	if paths, _ := all.Value().([]dbus.ObjectPath); slices.Contains(paths, loginPath) {
		return nil
	}
	return errors.New("the keyring has no collection for new secrets")
}
