// Portside is a desktop FTP client and one-click local FTP server that says who opened which channel.
//
// Without arguments it opens the window; with a URL the window connects to it. The commands serve, get, put, mirror, check,
// explain and demo run the same engines in a terminal: see portside help.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"fyne.io/fyne/v2"
	fyneapp "fyne.io/fyne/v2/app"

	"portside/app"
	"portside/assets"
	"portside/terminal"
	"portside/ui"
)

// closeGrace bounds the end: a running server lets transfers finish for ten seconds, and a disk that hangs is waited for for five.
const closeGrace = 20 * time.Second

func main() {
	console := terminal.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
	if len(os.Args) > 1 && terminal.Is(os.Args[1]) {
		os.Exit(terminal.Run(console, os.Args[1:]))
	}
	open, err := terminal.Window(os.Args[1:], os.Getenv)
	if err != nil {
		os.Exit(terminal.Fail(console, err))
	}
	os.Exit(window(open))
}

// window opens the window, connected to a URL if that is not empty, and returns the exit code.
func window(open string) int {
	dir, err := app.ConfigDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "portside: settings are not kept:", err)
	}
	if cache, err := os.UserCacheDir(); err == nil {
		os.MkdirAll(cache, 0o700) // Fyne makes one level only, and complains where this one is missing
	}
	core := app.New(dir)
	fyneapp.SetMetadata(fyne.AppMetadata{ID: "io.github.portside.Portside", Name: "Portside", Version: terminal.Version, Icon: fyne.NewStaticResource("portside.png", assets.AppIcon)})
	driver := fyneapp.NewWithID("io.github.portside.Portside")
	driver.SetIcon(fyne.NewStaticResource("portside.png", assets.AppIcon))
	w := ui.New(driver, core, ui.Options{Post: fyne.Do, Open: open})
	w.ShowAndRun()
	// Here and not in the toolkit's own hook, which is lost in some ends.
	w.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := core.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "portside:", err)
		return 1
	}
	return 0
}
