//go:build unix

package localserver

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The errors of sockets and folders by what they mean; Windows has numbers of its own for them.
var (
	refusedErrors     = []error{unix.ECONNREFUSED}
	unreachableErrors = []error{unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN}
	resetErrors       = []error{unix.ECONNRESET, unix.EPIPE, unix.ECONNABORTED}
	timeoutErrors     = []error{unix.ETIMEDOUT}
	notEmptyErrors    = []error{unix.ENOTEMPTY}
	inUseErrors       = []error{syscall.EBUSY, syscall.ETXTBSY}
	badNameErrors     = []error{syscall.EILSEQ}
)

const openNonblock = unix.O_NONBLOCK

// kernelCopy: sendfile says how much it has sent when its deadline comes.
const kernelCopy = true

func addressInUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

func diskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

func readOnlyDisk(err error) bool { return errors.Is(err, unix.EROFS) }

// lock takes the lock of a file, until it is closed, and reports whether nobody else had it. A file system without locks
// reports false.
func lock(f *os.File) (ok bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) { ok = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) == nil })
	return ok && err == nil
}

// fileID returns what tells a file from all others of the computer, for MLSD's unique fact.
func fileID(st fs.FileInfo) string {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(uint64(sys.Dev), 16) + "g" + strconv.FormatUint(sys.Ino, 16)
}

// freeSpace returns the bytes that root's file system still takes from this user.
func freeSpace(root *os.Root, rel string) (int64, error) {
	d, err := root.Open(rel)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	raw, err := d.SyscallConn()
	if err != nil {
		return 0, err
	}
	var st unix.Statfs_t
	var statErr error
	if err := raw.Control(func(fd uintptr) { statErr = unix.Fstatfs(int(fd), &st) }); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), statErr
}

// reuseAddress lets the active dial bind port 20 again while an earlier connection from it is in TIME_WAIT.
func reuseAddress(_, _ string, c syscall.RawConn) error {
	var setErr error
	err := c.Control(func(fd uintptr) { setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, setErr)
}

func addressNotOurs(err error) bool { return errors.Is(err, unix.EADDRNOTAVAIL) }
