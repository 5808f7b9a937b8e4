package localserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ephemeralRange returns the ports that the system gives to its own outgoing connections.
func ephemeralRange() (lo, hi uint16) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		if _, err := fmt.Sscan(string(text), &lo, &hi); err == nil && lo <= hi {
			return lo, hi
		}
	}
	return 32768, 60999 // the kernel's default
}

// portHolder names the program that listens on a port, "" when that can't be known: /proc shows the sockets of
// this user's programs only.
func portHolder(port string) string {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && inodes[to] {
			pid := strings.Split(fd, "/")[2]
			if name, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil {
				return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
			}
		}
	}
	return ""
}

// sendBufferMax is the largest send buffer in bytes that a socket may ask for. Asking switches the kernel's own tuning
// off, so it pays only when the answer is large.
func sendBufferMax() int {
	text, err := os.ReadFile("/proc/sys/net/core/wmem_max")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
