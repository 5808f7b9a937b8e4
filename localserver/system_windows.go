package localserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows"
)

// The errors of sockets and folders by what they mean.
var (
	refusedErrors     = []error{windows.WSAECONNREFUSED}
	unreachableErrors = []error{windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEHOSTDOWN, windows.WSAENETDOWN}
	resetErrors       = []error{windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAENETRESET}
	timeoutErrors     = []error{windows.WSAETIMEDOUT}
	notEmptyErrors    = []error{windows.ERROR_DIR_NOT_EMPTY}
	inUseErrors       = []error{windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_BUSY}
	badNameErrors     = []error{windows.ERROR_INVALID_NAME}
)

const openNonblock = 0 // Windows has no FIFOs in folders

// kernelCopy is off: TransmitFile does not say how much it has sent when its deadline comes.
const kernelCopy = false

func addressInUse(err error) bool {
	// Windows answers WSAEACCES for a port that another program holds exclusively, or that the system has reserved.
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}

func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func readOnlyDisk(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// lock says no: an upload's file could not take its name while it is locked and open.
func lock(*os.File) bool { return false }

// fileID is empty: the identity of a file takes an open of it on Windows, too much for each line of a listing.
func fileID(fs.FileInfo) (dev, ino uint64, known bool) { return 0, 0, false }

// entries looks at what lies in a folder.
type entries struct {
	folder *os.Root
}

func openEntries(root *os.Root, rel string, _ *os.File) (entries, error) {
	folder, err := root.OpenRoot(rel)
	return entries{folder}, err
}

func (e entries) close() { e.folder.Close() }

// look fills in what is known of names.
func (e entries) look(names []string, found []entry) error {
	for i, name := range names {
		found[i] = entry{}
		if st, err := e.folder.Lstat(name); err == nil {
			found[i] = entryOf(st)
		}
	}
	return nil
}

func freeSpace(root *os.Root, rel string) (int64, error) {
	dir, err := windows.UTF16PtrFromString(filepath.Join(root.Name(), rel))
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(dir, &free, nil, nil); err != nil {
		return 0, err
	}
	return bytesIn(free, 1), nil
}

// reuseAddress does nothing: on Windows SO_REUSEADDR would let two programs share a port.
func reuseAddress(string, string, syscall.RawConn) error { return nil }

func addressNotOurs(err error) bool { return errors.Is(err, windows.WSAEADDRNOTAVAIL) }
