// Package keyring runs Portside's store of secrets against a real keyring: gnome-keyring on a session bus of its own, with a
// home folder of its own. Questions of the keyring are answered on a display of its own.
//
// It has tests only, which are skipped where gnome-keyring is missing.
package keyring
