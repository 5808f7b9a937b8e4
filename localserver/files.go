package localserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tempPrefix begins the name of a file that an upload is written to. Such names are never listed, and no command
// reaches them.
const tempPrefix = ".portside-upload-"

// What a name is not, or is, against a command's wish.
var (
	errNotRegular = errors.New("not a regular file") // a FIFO, a socket, a device
	errNotFolder  = errors.New("not a folder")
	errIsFolder   = errors.New("it is a folder")
	errShared     = errors.New("it is the shared folder itself")
	errLeadsOut   = errors.New("it leads out of the shared folder")
)

// leadsOut reports whether a path was refused because it leads out of its os.Root, of which the package os says no more
// than the words.
func leadsOut(err error) bool {
	const words = "path escapes from parent"
	var at *fs.PathError
	var renamed *os.LinkError
	return errors.Is(err, errLeadsOut) || errors.As(err, &at) && at.Err.Error() == words ||
		errors.As(err, &renamed) && renamed.Err.Error() == words
}

// folder is a shared folder. Its [os.Root] lets no name, link or race leave it.
type folder struct {
	path string
	mu   sync.Mutex
	root *os.Root
	old  []*os.Root // roots of folders that were replaced while sessions may still use them
}

func openFolder(path string) (*folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("the folder %s can't be shared: %w", path, err)
	}
	return &folder{path: path, root: root}, nil
}

// current returns the root as it is now: a folder that was removed and made again is opened again.
func (f *folder) current() *os.Root {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := os.Stat(f.path)
	if err != nil {
		return f.root
	}
	if was, err := f.root.Stat("."); err == nil && os.SameFile(was, now) {
		return f.root
	}
	if root, err := os.OpenRoot(f.path); err == nil {
		f.old = append(f.old, f.root)
		f.root = root
	}
	return f.root
}

func (f *folder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range append(f.old, f.root) {
		r.Close()
	}
	f.old = nil
}

// relative turns a client's path into one below the root. cwd and the virtual result begin with "/".
func relative(cwd, arg string) (virtual, rel string, err error) {
	if !strings.HasPrefix(arg, "/") {
		arg = cwd + "/" + arg
	}
	virtual = path.Clean("/" + arg)
	rel = strings.TrimPrefix(virtual, "/")
	if rel == "" {
		return virtual, ".", nil
	}
	for part := range strings.SplitSeq(rel, "/") {
		if isTemp(part) || runtime.GOOS == "windows" && meansMoreOnWindows(part) {
			return virtual, "", fs.ErrNotExist
		}
	}
	rel = filepath.FromSlash(rel)
	if !filepath.IsLocal(rel) {
		return virtual, "", fs.ErrNotExist
	}
	return virtual, rel, nil
}

// isTemp reports whether a name is an upload's, also where the file system takes "A" and "a" for the same letter.
func isTemp(name string) bool {
	n := 0
	for i := range name {
		if n == len(tempPrefix) {
			return strings.EqualFold(name[:i], tempPrefix)
		}
		n++
	}
	return strings.EqualFold(name, tempPrefix)
}

// meansMoreOnWindows reports whether Windows takes a name for something else than a file of that name: a backslash is
// a separator, a colon names a drive or a stream, dots and spaces at the end are dropped ("a.txt." is "a.txt", ".. "
// leads up), and some names are devices in every folder, with any extension.
func meansMoreOnWindows(name string) bool {
	if strings.ContainsAny(name, `\:`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return true
	}
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, found := strings.CutPrefix(base, "COM")
	if !found {
		port, found = strings.CutPrefix(base, "LPT")
	}
	digit := []rune(port)
	return found && len(digit) == 1 && strings.ContainsRune("0123456789¹²³", digit[0])
}

// openFile opens a regular file and nothing else. O_NONBLOCK keeps the open of a FIFO that took the file's place
// from waiting for its other end.
func openFile(root *os.Root, rel string, flag int) (*os.File, fs.FileInfo, error) {
	st, err := root.Stat(rel)
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	f, err := root.OpenFile(rel, flag|openNonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err = f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, st, nil
}

// resolveLink returns the path without links that writing to rel would change. Links must stay inside root; each is
// followed from the folder that it really lies in.
func resolveLink(root *os.Root, rel string) (string, error) {
	var done []string // the part without links
	parts := strings.Split(filepath.ToSlash(rel), "/")
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && len(done) == 0:
			return "", errLeadsOut
		case part == "..":
			done = done[:len(done)-1]
			continue
		}
		done = append(done, part)
		at := filepath.Join(done...)
		st, err := root.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) && len(parts) == 0 {
			return at, nil // it is to be made
		}
		if err != nil {
			return "", err
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if links++; links > 16 {
			return "", errors.New("too many links")
		}
		to, err := root.Readlink(at)
		if err != nil {
			return "", err
		}
		if to == "" || os.IsPathSeparator(to[0]) || filepath.VolumeName(to) != "" {
			return "", errLeadsOut
		}
		done, parts = done[:len(done)-1], append(strings.Split(filepath.ToSlash(to), "/"), parts...)
	}
	return filepath.Join(append([]string{"."}, done...)...), nil
}

// upload is a file that is being received. A new file or a replacement goes to a temporary file beside its target
// and takes the target's name when it is whole; an append and a resumed upload write to the file itself. It holds the
// folder, so it comes to its end there also when the folder is renamed meanwhile.
type upload struct {
	root    *os.Root // the folder that the target lies in
	file    *os.File
	target  string // its name there
	temp    string // "" when the target itself is written
	existed bool
	newOnly bool // the account may not overwrite, so nothing that came meanwhile may be replaced
	perm    fs.FileMode
	live    *liveTemps
}

// newUpload opens the file that STOR, STOU or APPE writes. offset is REST's; appending starts at the end.
func newUpload(root *os.Root, target string, offset int64, appending bool, live *liveTemps) (*upload, error) {
	dir, err := root.OpenRoot(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	u := &upload{root: dir, target: filepath.Base(target), perm: 0o644, live: live}
	if err := u.open(offset, appending); err != nil {
		dir.Close()
		return nil, err
	}
	return u, nil
}

func (u *upload) open(offset int64, appending bool) error {
	st, err := u.root.Lstat(u.target)
	switch {
	case err == nil:
		u.existed = true
		if !st.Mode().IsRegular() {
			return errNotRegular
		}
		u.perm = st.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if u.existed && (appending || offset > 0) {
		f, st, err := openFile(u.root, u.target, os.O_WRONLY)
		if err != nil {
			return err
		}
		if appending {
			offset = st.Size()
		}
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			f.Close()
			return err
		}
		u.file = f
		return nil
	}
	var random [8]byte
	rand.Read(random[:])
	u.temp = tempPrefix + hex.EncodeToString(random[:])
	u.live.add(u.temp)
	u.file, err = u.root.OpenFile(u.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		u.live.remove(u.temp)
		return err
	}
	lock(u.file)
	return nil
}

// done closes the file and gives it its name.
func (u *upload) done() error {
	defer u.root.Close()
	err := u.file.Close()
	if u.temp == "" {
		return err
	}
	defer u.live.remove(u.temp)
	if err == nil {
		err = u.root.Chmod(u.temp, u.perm)
	}
	if err == nil {
		err = u.takeName()
	}
	if err != nil {
		u.root.Remove(u.temp)
	}
	return err
}

// takeName moves the whole file to its name.
func (u *upload) takeName() error {
	if u.newOnly {
		return renameNew(u.root, u.temp, u.target)
	}
	return u.root.Rename(u.temp, u.target)
}

// renameNew renames what must not take another's place, also when that came in the same instant.
func renameNew(root *os.Root, from, to string) error {
	err := root.Link(from, to) // fails when the name is taken, which a rename does not
	if err == nil {
		return root.Remove(from)
	}
	if _, taken := root.Lstat(to); taken == nil {
		return fs.ErrExist
	}
	return root.Rename(from, to) // a folder, or a file system without links
}

// broken ends an upload that did not come whole. The part is kept under the target's name when keep says so, nothing
// stood there, and there is something to keep. It reports whether a part can be continued.
func (u *upload) broken(keep bool, received int64) (kept bool) {
	if u.temp == "" {
		u.file.Close()
		u.root.Close()
		return true
	}
	if keep && !u.existed && received > 0 {
		// Somebody else may have made the target meanwhile.
		if _, err := u.root.Lstat(u.target); errors.Is(err, fs.ErrNotExist) {
			return u.done() == nil
		}
	}
	u.file.Close()
	u.root.Remove(u.temp)
	u.root.Close()
	u.live.remove(u.temp)
	return false
}

// liveTemps are the temporary files of uploads that run, which the sweep must leave alone.
type liveTemps struct {
	mu    sync.Mutex
	names map[string]struct{}
}

func (l *liveTemps) add(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[name] = struct{}{}
}

func (l *liveTemps) remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.names, name)
}

func (l *liveTemps) has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, has := l.names[name]
	return has
}

// A temporary file belongs to an upload that runs, of this server or of another one on the same folder, as long as a
// process holds its lock: the lock ends with the process, however that ended. For a moment it has none, between its
// making and its lock and between its close and its name: youngFor is far longer. (After a stall it may be older. Then the
// server that starts at that very moment takes it, and the client is told that the upload failed.) Where the system has no
// locks, a file is stale when nothing was written to it for staleAfter, which is longer than any stall time (a day, where a
// person wants it). sweepAtMost bounds what a start costs in a huge tree.
const (
	staleAfter  = 25 * time.Hour
	youngFor    = 2 * time.Second
	sweepAtMost = 200_000
)

// clean removes temporary files that a crash left in root. It looks again at those that were too young to judge.
func clean(ctx context.Context, root *os.Root, live *liveTemps) {
	if sweep(ctx, root, live, time.Now()) == 0 {
		return
	}
	select {
	case <-time.After(youngFor + youngFor/10):
		sweep(ctx, root, live, time.Now())
	case <-ctx.Done():
	}
}

// sweep removes the temporary files in root that no process holds and returns how many were too young to judge.
func sweep(ctx context.Context, root *os.Root, live *liveTemps, now time.Time) (young int) {
	seen := 0
	look := func(path string, age time.Duration) {
		if age < youngFor {
			young++
			return
		}
		if age <= staleAfter {
			f, err := root.OpenFile(path, os.O_RDWR|openNonblock, 0)
			if err != nil {
				return
			}
			defer f.Close()
			if !lock(f) {
				return
			}
		}
		root.Remove(path)
	}
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		d, err := root.Open(dir)
		if err != nil {
			return
		}
		var folders []string
		for {
			entries, err := d.ReadDir(256)
			for _, e := range entries {
				seen++
				name := e.Name()
				switch {
				case e.IsDir():
					folders = append(folders, filepath.Join(dir, name))
				case e.Type().IsRegular() && strings.HasPrefix(name, tempPrefix) && !live.has(name):
					if st, err := e.Info(); err == nil {
						look(filepath.Join(dir, name), now.Sub(st.ModTime()))
					}
				}
			}
			if err != nil || seen > sweepAtMost || ctx.Err() != nil {
				break
			}
		}
		d.Close()
		for _, f := range folders {
			if depth < 64 && seen <= sweepAtMost && ctx.Err() == nil {
				walk(f, depth+1)
			}
		}
	}
	walk(".", 0)
	return young
}

// fileReply turns an error of the file system into a reply. The reply names what the client asked for and never a
// path of this computer.
func fileReply(err error, virtual string) (code int, text string) {
	switch {
	case errors.Is(err, errNotRegular):
		return 550, virtual + ": not a regular file."
	case leadsOut(err):
		return 550, virtual + ": it leads out of the shared folder."
	case errors.Is(err, errShared):
		return 550, "The shared folder itself can't be changed."
	case errors.Is(err, fs.ErrNotExist):
		return 550, virtual + ": no such file or folder."
	case is(err, notEmptyErrors): // which errors.Is takes for fs.ErrExist, too
		return 550, virtual + ": the folder is not empty."
	case errors.Is(err, fs.ErrExist):
		return 550, virtual + ": it exists already."
	case errors.Is(err, errNotFolder), errors.Is(err, syscall.ENOTDIR):
		return 550, virtual + ": not a folder."
	case errors.Is(err, errIsFolder), errors.Is(err, syscall.EISDIR):
		return 550, virtual + ": it is a folder."
	case errors.Is(err, syscall.ENAMETOOLONG):
		return 553, virtual + ": the name is too long."
	case is(err, badNameErrors):
		return 553, virtual + ": the server's system can't have that name."
	case is(err, inUseErrors):
		return 450, virtual + ": another program on the server has it in use."
	case diskFull(err):
		return 452, virtual + ": no space left on the server's disk, or its quota is used up."
	case readOnlyDisk(err):
		return 550, virtual + ": the server's disk is read-only."
	case errors.Is(err, fs.ErrPermission):
		return 550, virtual + ": the server may not do that."
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return 450, virtual + ": the server has too many files open."
	}
	return 550, virtual + ": the server could not do that."
}
