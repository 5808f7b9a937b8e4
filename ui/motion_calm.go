//go:build no_animations

package ui

// calmBuild says that Fyne's own animations are left out of the build: the cursor of an entry that has the keyboard fades in
// and out for ever, and each step of it draws the whole window again, a seventh of a core without a graphics card. What the
// person starts, such as the pictures of Learn, still moves.
const calmBuild = true
