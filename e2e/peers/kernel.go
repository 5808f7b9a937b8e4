//go:build linux

package peers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Opening is a TCP connection that some program on this machine opened over loopback: the first SYN that the kernel sent.
type Opening struct {
	Time time.Time
	// From sent the SYN, so its side is the initiator. To is where it went.
	From, To netip.AddrPort
	// Group is the process group of the program that owns From; 0 when it had closed it before one could look.
	Group int
}

func (o Opening) String() string { return fmt.Sprintf("%s -> %s (group %d)", o.From, o.To, o.Group) }

// Kernel notes every connection that is opened over loopback while it runs.
type Kernel struct {
	socket int
	stop   chan struct{}
	done   sync.WaitGroup

	mu       sync.Mutex
	openings []Opening
}

// WatchKernel starts to note openings until the test ends. Without the right to (CAP_NET_RAW) it returns nil and says so.
func WatchKernel(t testing.TB) *Kernel {
	t.Helper()
	k, err := watchKernel()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Log("the kernel's own view of the connections needs CAP_NET_RAW: not checked")
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func watchKernel() (*Kernel, error) {
	all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8 // network order
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return nil, err
	}
	lo, err := net.InterfaceByName("lo")
	if err == nil {
		err = filterSYN(s)
	}
	if err == nil {
		err = unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
	}
	if err == nil {
		err = unix.Bind(s, &unix.SockaddrLinklayer{Protocol: all, Ifindex: lo.Index})
	}
	if err != nil {
		unix.Close(s)
		return nil, fmt.Errorf("listening to loopback: %w", err)
	}
	k := &Kernel{socket: s, stop: make(chan struct{})}
	k.done.Add(1)
	go k.run()
	return k, nil
}

// filterSYN lets through TCP segments of IPv4 and IPv6 with SYN and without ACK only.
func filterSYN(socket int) error {
	const (
		loadByte, loadIndexed = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_LD | unix.BPF_B | unix.BPF_IND
		headerLength          = unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH
		and, equal, ret       = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	)
	program := []unix.SockFilter{
		0:  {Code: loadByte, K: 0},
		1:  {Code: and, K: 0xf0},
		2:  {Code: equal, K: 0x40, Jt: 0, Jf: 5}, // IPv4, else 8
		3:  {Code: loadByte, K: 9},
		4:  {Code: equal, K: unix.IPPROTO_TCP, Jt: 0, Jf: 9}, // else 14
		5:  {Code: headerLength, K: 0},
		6:  {Code: loadIndexed, K: 13},
		7:  {Code: equal, K: 0, Jt: 6, Jf: 4}, // no flags: 14; else 12
		8:  {Code: equal, K: 0x60, Jt: 0, Jf: 5},
		9:  {Code: loadByte, K: 6},
		10: {Code: equal, K: unix.IPPROTO_TCP, Jt: 0, Jf: 3},
		11: {Code: loadByte, K: 40 + 13},
		12: {Code: and, K: 0x12}, // SYN and ACK
		13: {Code: equal, K: 0x02, Jt: 1, Jf: 0},
		14: {Code: ret, K: 0},
		15: {Code: ret, K: 256},
	}
	return unix.SetsockoptSockFprog(socket, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0]))})
}

// Close stops.
func (k *Kernel) Close() {
	close(k.stop)
	k.done.Wait()
}

func (k *Kernel) run() {
	defer k.done.Done()
	defer unix.Close(k.socket)
	b := make([]byte, 256)
	for {
		select {
		case <-k.stop:
			return
		default:
		}
		n, from, err := unix.Recvfrom(k.socket, b, 0)
		if err != nil {
			continue // the timeout
		}
		if link, ok := from.(*unix.SockaddrLinklayer); !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue // loopback shows every packet on its way out and on its way in
		}
		o, ok := parseSYN(b[:n])
		if !ok {
			continue
		}
		o.Time = time.Now()
		o.Group = groupOf(inodeOf(o.From, o.To))
		k.mu.Lock()
		k.openings = append(k.openings, o)
		k.mu.Unlock()
	}
}

// Openings are the connections so far, oldest first.
func (k *Kernel) Openings() []Opening {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Opening(nil), k.openings...)
}

func parseSYN(b []byte) (o Opening, ok bool) {
	if len(b) < 60 {
		return o, false // an IPv4 SYN over loopback carries options; 40 + 20 for IPv6
	}
	var src, dst netip.Addr
	tcp := b[40:]
	if b[0]>>4 == 4 {
		src, _ = netip.AddrFromSlice(b[12:16])
		dst, _ = netip.AddrFromSlice(b[16:20])
		tcp = b[int(b[0]&15)*4:]
	} else {
		src, _ = netip.AddrFromSlice(b[8:24])
		dst, _ = netip.AddrFromSlice(b[24:40])
	}
	o.From = netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	o.To = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	return o, true
}

// inodeOf finds the socket local -> remote in the kernel's tables; "" when it is gone.
func inodeOf(local, remote netip.AddrPort) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		for lines.Scan() {
			f := strings.Fields(lines.Text())
			if len(f) > 9 && tableAddr(f[1]) == local && tableAddr(f[2]) == remote {
				return f[9]
			}
		}
	}
	return ""
}

// tableAddr reads an address of /proc/net/tcp: words in the machine's byte order, then the port.
func tableAddr(s string) netip.AddrPort {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	p, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p))
}

// groupOf is the process group of the program that has the socket; 0 when nobody has it.
func groupOf(inode string) int {
	if inode == "" || inode == "0" {
		return 0
	}
	want := "socket:[" + inode + "]"
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, f := range files {
		if target, err := os.Readlink(f); err == nil && target == want {
			pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
			_, group, _ := processOf(pid)
			return group
		}
	}
	return 0
}

// processOf reads a process's state and process group.
func processOf(pid int) (state string, group int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, false
	}
	// PID (NAME) STATE PPID PGRP ...: a name may contain anything, so look from its last bracket.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 3 {
		return "", 0, false
	}
	group, err = strconv.Atoi(f[2])
	return f[0], group, err == nil
}

// Processes are the server's processes, dead ones that wait for init excepted.
func (s *Server) Processes() (pids []int) {
	if s.cmd == nil {
		return nil
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		if state, group, ok := processOf(pid); ok && group == s.PID() && state != "Z" && state != "X" {
			pids = append(pids, pid)
		}
	}
	return pids
}
