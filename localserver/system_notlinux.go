//go:build !linux

package localserver

// ephemeralRange returns the ports that the system gives to its own outgoing connections: IANA's dynamic ports
// (RFC 6335 section 6), the default of Windows and macOS.
func ephemeralRange() (lo, hi uint16) { return 49152, 65535 }

// portHolder names the program that listens on a port, "" when that can't be known.
func portHolder(string) string { return "" }

// sendBufferMax is 0: these systems tune the buffer well enough by themselves.
func sendBufferMax() int { return 0 }
