//go:build unix

package localserver

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

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
func fileID(st fs.FileInfo) (dev, ino uint64, known bool) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return uint64(sys.Dev), sys.Ino, true
}

// entries looks at what lies in an open folder. Names come from that folder itself, have no "/", and no link is followed:
// nothing outside is reached, whatever becomes of the folder's own name meanwhile.
type entries struct {
	dir syscall.RawConn
}

func openEntries(_ *os.Root, _ string, dir *os.File) (entries, error) {
	raw, err := dir.SyscallConn()
	return entries{raw}, err
}

func (entries) close() {}

// look fills in what is known of names, all of them in one go: an os.Root takes half as long again as the kernel.
func (e entries) look(names []string, found []entry) error {
	return e.dir.Control(func(fd uintptr) {
		for i, name := range names {
			found[i] = entry{}
			if strings.Contains(name, "/") {
				continue
			}
			var st unix.Stat_t
			err := unix.Fstatat(int(fd), name, &st, unix.AT_SYMLINK_NOFOLLOW)
			for errors.Is(err, unix.EINTR) {
				err = unix.Fstatat(int(fd), name, &st, unix.AT_SYMLINK_NOFOLLOW)
			}
			if err != nil {
				continue
			}
			mode := fs.FileMode(st.Mode & 0o777)
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFREG:
			case unix.S_IFDIR:
				mode |= fs.ModeDir
			case unix.S_IFLNK:
				mode |= fs.ModeSymlink
			default:
				mode |= fs.ModeIrregular
			}
			found[i] = entry{there: true, mode: mode, size: st.Size, modified: time.Unix(st.Mtim.Unix()), dev: uint64(st.Dev), ino: st.Ino, known: true}
		}
	})
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
	return bytesIn(uint64(st.Bavail), uint64(st.Bsize)), statErr
}

// reuseAddress lets the active dial bind port 20 again while an earlier connection from it is in TIME_WAIT.
func reuseAddress(_, _ string, c syscall.RawConn) error {
	var setErr error
	err := c.Control(func(fd uintptr) { setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, setErr)
}

func addressNotOurs(err error) bool { return errors.Is(err, unix.EADDRNOTAVAIL) }
