//go:build !race

package localserver

const raceEnabled = false
