//go:build !no_animations

package ui

// calmBuild says that Fyne's own animations are left out of the build.
const calmBuild = false
