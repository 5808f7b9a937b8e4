//go:build linux

package peers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Opening is a TCP connection that some program on this machine opened over loopback: the first SYN that the kernel sent.
type Opening struct {
	time time.Time // by the wall clock, which may be set meanwhile: it only says whether asking is worth while
	// From sent the SYN, so its side is the initiator. To is where it went.
	From, To netip.AddrPort
	// Owner is the process that has From, its parent, its parent's parent, and so on, and the process groups of them all: a
	// process whose parent has ended is another's child, and still of its group. Empty when it had closed the connection
	// before one could look, and as long as Asked is false.
	Owner []int
	Asked bool
}

func (o Opening) String() string { return fmt.Sprintf("%s -> %s (owner %v)", o.From, o.To, o.Owner) }

// OwnedBy says whether the process pid, one that it started, or one of its group opened the connection.
func (o Opening) OwnedBy(pid int) bool { return slices.Contains(o.Owner, pid) }

// Kernel notes the connections that are opened over loopback while it runs.
type Kernel struct {
	socket int
	ends   []netip.Addr // only connections with one of these at an end
	mark   net.Listener // for those of [Kernel.Now]
	stop   chan struct{}
	done   sync.WaitGroup

	lost atomic.Int64

	mu       sync.Mutex
	openings []Opening
	unasked  []int // indexes of openings whose owner has not been asked for
	more     chan struct{}
}

// WatchKernel notes openings from or to one of the addresses, until the test ends. Without the right to (CAP_NET_RAW) it
// returns nil and says so.
func WatchKernel(t testing.TB, ends ...netip.Addr) *Kernel {
	t.Helper()
	k, err := watchKernel(ends)
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

func watchKernel(ends []netip.Addr) (*Kernel, error) {
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
		err = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		// Room for what comes while this program waits for a processor.
		err = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20)
		if errors.Is(err, unix.EPERM) { // CAP_NET_ADMIN is another right; without it the buffer stays small
			err = nil
		}
	}
	if err == nil {
		err = unix.Bind(s, &unix.SockaddrLinklayer{Protocol: all, Ifindex: lo.Index})
	}
	var mark net.Listener
	if err == nil {
		mark, err = net.Listen("tcp", netip.AddrPortFrom(ends[0], 0).String())
	}
	if err != nil {
		unix.Close(s)
		return nil, fmt.Errorf("listening to loopback: %w", err)
	}
	k := &Kernel{socket: s, ends: ends, mark: mark, stop: make(chan struct{}), more: make(chan struct{}, 1)}
	k.done.Add(2)
	go k.capture()
	go k.askOwners()
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
	k.mark.Close()
}

func (k *Kernel) capture() {
	defer k.done.Done()
	defer unix.Close(k.socket)
	packet, control := make([]byte, 256), make([]byte, 128)
	for {
		select {
		case <-k.stop:
			return
		default:
		}
		if stats, err := unix.GetsockoptTpacketStats(k.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			k.lost.Add(int64(stats.Drops))
		}
		n, c, _, from, err := unix.Recvmsg(k.socket, packet, control, 0)
		if err != nil {
			continue // the timeout
		}
		if link, ok := from.(*unix.SockaddrLinklayer); !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue // loopback shows every packet on its way out and on its way in
		}
		o, ok := parseSYN(packet[:n])
		if !ok || !slices.Contains(k.ends, o.From.Addr()) && !slices.Contains(k.ends, o.To.Addr()) {
			continue
		}
		o.time, o.Asked = stamp(control[:c]), k.isMark(o)
		k.mu.Lock()
		if !o.Asked {
			k.unasked = append(k.unasked, len(k.openings))
		}
		k.openings = append(k.openings, o)
		k.mu.Unlock()
		select {
		case k.more <- struct{}{}:
		default:
		}
	}
}

// askWithin is the age from which an opening is too old to ask whose it is: it is most likely over.
const askWithin = 10 * time.Second

// askOwners finds out whose the openings are, the latest first, since whose a socket is can be asked only while it is open.
func (k *Kernel) askOwners() {
	defer k.done.Done()
	// This thread goes before the others, where that is allowed. It stays locked, and so ends with this goroutine.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -5)
	for {
		k.mu.Lock()
		next, o := -1, Opening{}
		if last := len(k.unasked) - 1; last >= 0 {
			next, k.unasked = k.unasked[last], k.unasked[:last]
			o = k.openings[next]
		}
		k.mu.Unlock()
		if next < 0 {
			select {
			case <-k.stop:
				return
			case <-k.more:
			}
			continue
		}
		var owner []int
		if time.Since(o.time) < askWithin {
			owner = lineage(inodeOf(o.From, o.To))
		}
		k.mu.Lock()
		k.openings[next].Owner, k.openings[next].Asked = owner, true
		k.mu.Unlock()
	}
}

// stamp is the kernel's time of a packet.
func stamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if err == nil && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return time.Unix(ts.Unix())
		}
	}
	return time.Now()
}

// Lost is how many openings there were at least that the kernel could not report, since this program was too slow.
func (k *Kernel) Lost() int64 { return k.lost.Load() }

// Openings are the connections so far, oldest first.
func (k *Kernel) Openings() []Opening {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Opening(nil), k.openings...)
}

// Now is how many connections there were until now: what was opened before the call is among the first n of [Kernel.Openings],
// and what is opened afterwards is not. It opens one itself and waits for that, since packets come in order and times do
// not: the clock may be set meanwhile. An error says that the kernel did not report it.
func (k *Kernel) Now(ctx context.Context) (n int, err error) {
	for range 3 { // its packet may be one of those that are lost
		if n, err = k.openOne(ctx); err == nil {
			return n, nil
		}
	}
	return 0, err
}

// openOne opens a connection and says how many openings there are with that.
func (k *Kernel) openOne(ctx context.Context) (int, error) {
	begin := len(k.Openings())
	c, err := new(net.Dialer).DialContext(ctx, "tcp", k.mark.Addr().String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if other, err := k.mark.Accept(); err == nil {
		other.Close()
	}
	from := c.LocalAddr().(*net.TCPAddr).AddrPort()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		i := slices.IndexFunc(k.Openings()[begin:], func(o Opening) bool { return o.From == from && k.isMark(o) })
		if i >= 0 {
			return begin + i + 1, nil
		}
	}
	return 0, fmt.Errorf("the kernel did not report %s -> %s", from, k.mark.Addr())
}

// isMark says whether [Kernel.Now] opened it.
func (k *Kernel) isMark(o Opening) bool { return o.To == k.mark.Addr().(*net.TCPAddr).AddrPort() }

func parseSYN(b []byte) (o Opening, ok bool) {
	if len(b) < 40 {
		return o, false
	}
	var src, dst netip.Addr
	tcp := b[40:]
	if b[0]>>4 == 4 {
		src, _ = netip.AddrFromSlice(b[12:16])
		dst, _ = netip.AddrFromSlice(b[16:20])
		tcp = b[min(len(b), int(b[0]&15)*4):]
	} else {
		src, _ = netip.AddrFromSlice(b[8:24])
		dst, _ = netip.AddrFromSlice(b[24:40])
	}
	if len(tcp) < 20 {
		return o, false
	}
	o.From = netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	o.To = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	return o, true
}

// inodeOf asks the kernel (sock_diag(7)) for the socket local -> remote; 0 when it is gone.
func inodeOf(local, remote netip.AddrPort) uint32 {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return 0
	}
	defer unix.Close(s)
	const sockDiagByFamily = 20
	family := byte(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	// nlmsghdr, then inet_diag_req_v2: family, protocol, two bytes, states, and the socket's ports, addresses, interface
	// and cookie (all ones: none).
	b := make([]byte, 0, 72)
	b = binary.NativeEndian.AppendUint32(b, 72)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0, 0xff, 0xff, 0xff, 0xff)
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	for _, end := range []netip.AddrPort{local, remote} {
		var full [16]byte
		copy(full[:], end.Addr().AsSlice())
		b = append(b, full[:]...)
	}
	b = append(b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	if unix.Sendto(s, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return 0
	}
	answer := make([]byte, 1024)
	n, _, err := unix.Recvfrom(s, answer, 0)
	// nlmsghdr, then inet_diag_msg: 4 bytes with the state second, the socket (48), and five words, the last of them the inode.
	if err != nil || n < 16+4+48+20 || binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return 0
	}
	// When the connection is gone, the kernel answers with whoever listens at its port by now.
	if answer[16+1] == unix.BPF_TCP_LISTEN {
		return 0
	}
	return binary.NativeEndian.Uint32(answer[16+4+48+16:])
}

// lineage is the process that has the socket, and its ancestors; nil when nobody has it any more.
func lineage(inode uint32) (pids []int) {
	if inode == 0 {
		return nil
	}
	want := fmt.Sprintf("socket:[%d]", inode)
	for _, pid := range slices.Backward(processes()) { // the youngest first: it is most likely one of the test's
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			if target, err := os.Readlink(dir + f.Name()); err != nil || target != want {
				continue
			}
			self, _ := os.Readlink("/proc/self/exe")
			for pid > 1 {
				_, parent, group, ok := processOf(pid)
				if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); ok && exe == self && pid != os.Getpid() {
					pid = parent // not yet the program that it is to be: what it has is a copy of this program's
					continue
				}
				if !ok {
					return nil // it has ended meanwhile, so whose it was can't be said
				}
				pids = append(pids, pid, group)
				pid = parent
			}
			return pids
		}
	}
	return nil
}

// processes are the numbers of all processes, in order.
func processes() (pids []int) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// processOf reads a process's state, parent and group.
func processOf(pid int) (state string, parent, group int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, 0, false
	}
	// PID (NAME) STATE PPID PGRP ...: a name may contain anything, so look from its last bracket.
	_, err = fmt.Sscan(string(b[bytes.LastIndexByte(b, ')')+1:]), &state, &parent, &group)
	return state, parent, group, err == nil
}

// Descendants are pid, what it started, what those started, and so on, dead ones that wait for their parent excepted.
func Descendants(pid int) []int {
	family := map[int]bool{pid: true}
	all := processes()
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if _, parent, _, ok := processOf(p); ok && family[parent] && !family[p] {
				family[p], grown = true, true
			}
		}
	}
	return alive(slices.Sorted(maps.Keys(family)))
}

// alive are those of pids that run.
func alive(pids []int) (running []int) {
	for _, pid := range pids {
		if state, _, _, ok := processOf(pid); ok && state != "Z" && state != "X" {
			running = append(running, pid)
		}
	}
	return running
}
