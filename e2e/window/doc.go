// Package window tests Portside's real window: built, shown on a display of its own, and driven by mouse and keyboard as a
// person would.
//
// It promises that the window is judged by what it did in the world: files on disk, sockets of the kernel, settings kept,
// the log that it saves, and what is to be seen. It waits for such effects with a deadline, never for a time. The window is
// built without the tag migrated_fynedo, so Fyne reports each call from a wrong goroutine, and such a report fails the test,
// as does any other complaint of Fyne's.
//
//	go test -tags e2e ./e2e/window
//
// It needs Linux, the window's build tools, and the programs Xvfb, openbox, xdotool and ImageMagick's import; without them it
// says so and skips. Pictures of every screen are left in e2e/artifacts.
package window
