package localserver

// Commands on folders and files that need no data connection.

import (
	"cmp"
	"errors"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"portside/wire"
)

// allowed replies 550 when the account lacks a right.
func (s *session) allowed(r Rights) bool {
	if s.account.Rights&r == r {
		return true
	}
	s.reply(550, "Your account may not do that.")
	return false
}

// at resolves a path argument. It replies itself when it can't be.
func (s *session) at(arg string) (virtual, rel string, ok bool) {
	virtual, rel, err := relative(s.cwd, arg)
	if err != nil {
		s.replyFile(err, virtual)
		return "", "", false
	}
	return virtual, rel, true
}

func (s *session) replyFile(err error, virtual string) { s.reply(fileReply(err, virtual)) }

func (s *session) cmdPWD(wire.Command) { s.reply(257, wire.Quote(s.cwd)+" is the current folder.") }

func (s *session) cmdCDUP(wire.Command) { s.cmdCWD(wire.Command{Verb: "CDUP", Arg: ".."}) }

func (s *session) cmdCWD(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok {
		return
	}
	st, err := s.root.Stat(rel)
	switch {
	case err != nil:
		s.replyFile(err, virtual)
	case !st.IsDir():
		s.replyFile(errNotFolder, virtual)
	default:
		s.cwd = virtual
		s.reply(250, "The current folder is "+wire.Quote(virtual)+".")
	}
}

func (s *session) cmdSIZE(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(List) {
		return
	}
	st, err := s.root.Stat(rel)
	switch {
	case err != nil:
		s.replyFile(err, virtual)
	case !st.Mode().IsRegular():
		s.replyFile(errNotRegular, virtual)
	case !s.binary:
		s.reply(550, "SIZE is not possible in TYPE A: line ends change the size. Send TYPE I first.")
	default:
		s.reply(213, strconv.FormatInt(st.Size(), 10))
	}
}

func (s *session) cmdMDTM(c wire.Command) {
	// "MDTM YYYYMMDDHHMMSS path" sets the time in some clients; a file of that name is asked for first.
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(List) {
		return
	}
	st, err := s.root.Stat(rel)
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(213, wire.FormatTime(st.ModTime()))
}

func (s *session) cmdMFMT(c wire.Command) {
	stamp, path, _ := strings.Cut(c.Arg, " ")
	when, err := wire.ParseTime(stamp)
	if err != nil || path == "" {
		s.reply(501, "Usage: MFMT YYYYMMDDHHMMSS path.")
		return
	}
	if !time.Unix(0, when.UnixNano()).Equal(when) { // Chtimes would take another time
		s.reply(501, "MFMT knows the years 1678 to 2261.")
		return
	}
	virtual, ok := s.change(path, Overwrite, func(rel string) error {
		if err := s.root.Chtimes(rel, time.Time{}, when); err != nil {
			return err
		}
		st, err := s.root.Stat(rel)
		if err == nil {
			when = st.ModTime() // what the file system made of it
		}
		return err
	})
	if ok {
		s.replyf(213, "Modify=%s; %s", wire.FormatTime(when), virtual)
	}
}

func (s *session) cmdAVBL(c wire.Command) {
	virtual, rel, ok := s.at(cmp.Or(c.Arg, "."))
	if !ok {
		return
	}
	st, err := s.root.Stat(rel)
	if err == nil && !st.IsDir() {
		err = errNotFolder
	}
	var free int64
	if err == nil {
		free, err = freeSpace(s.root, rel)
	}
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	s.reply(213, strconv.FormatInt(free, 10))
}

// bytesIn is the size of so many blocks, at most the largest number: some file systems on a network say that they have more.
func bytesIn(blocks, size uint64) int64 {
	high, low := bits.Mul64(blocks, size)
	if high > 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}

func (s *session) cmdREST(c wire.Command) {
	n, err := wire.ParseOffset(c.Arg)
	switch {
	case err != nil:
		s.reply(501, "REST wants a number of bytes from 0 up.")
	case !s.binary && n > 0:
		s.reply(504, "REST is not possible in TYPE A. Send TYPE I first.")
	default:
		s.rest = n
		s.replyf(350, "The next transfer starts at byte %d.", n)
	}
}

// change does one change of a path, not of the shared folder itself, that needs a right, and replies: what act says went
// wrong, or nothing.
func (s *session) change(arg string, need Rights, act func(rel string) error) (virtual string, ok bool) {
	virtual, rel, ok := s.at(arg)
	if !ok || !s.allowed(need) {
		return "", false
	}
	err := errShared
	if rel != "." {
		err = act(rel)
	}
	if err != nil {
		s.replyFile(err, virtual)
		return "", false
	}
	return virtual, true
}

func (s *session) cmdDELE(c wire.Command) {
	if virtual, ok := s.change(c.Arg, Delete, func(rel string) error { return s.remove(rel, false) }); ok {
		s.reply(250, virtual+" is deleted.")
	}
}

func (s *session) cmdRMD(c wire.Command) {
	if virtual, ok := s.change(c.Arg, Delete, func(rel string) error { return s.remove(rel, true) }); ok {
		s.reply(250, virtual+" is removed.")
	}
}

// remove removes a folder or something else, whichever is meant.
func (s *session) remove(rel string, folder bool) error {
	st, err := s.root.Lstat(rel)
	switch {
	case err != nil:
		return err
	case folder && !st.IsDir():
		return errNotFolder
	case !folder && st.IsDir():
		return errIsFolder
	}
	return s.root.Remove(rel)
}

func (s *session) cmdMKD(c wire.Command) {
	virtual, ok := s.change(c.Arg, MakeFolder, func(rel string) error { return s.root.Mkdir(rel, 0o755) })
	if ok {
		s.reply(257, wire.Quote(virtual)+" is made.")
	}
}

func (s *session) cmdRNFR(c wire.Command) {
	from := ""
	virtual, ok := s.change(c.Arg, Rename, func(rel string) error {
		from = rel
		_, err := s.root.Lstat(rel)
		return err
	})
	if ok {
		s.renameFrom, s.renameName = from, virtual
		s.reply(350, "RNTO please.")
	}
}

func (s *session) cmdRNTO(c wire.Command) {
	from := s.renameFrom
	s.renameFrom = ""
	if from == "" {
		s.reply(503, "Send RNFR first.")
		return
	}
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(Rename) {
		return
	}
	was, err := s.root.Lstat(from)
	if err != nil {
		s.replyFile(err, s.renameName)
		return
	}
	rename := s.root.Rename
	if s.account.Rights&Overwrite == 0 {
		rename = func(from, to string) error { return renameNew(s.root, from, to) }
	}
	if st, err := s.root.Lstat(rel); err == nil {
		// "a" to "A" in a folder that ignores case names the same file twice.
		same := filepath.Clean(from) != filepath.Clean(rel) && strings.EqualFold(from, rel) && os.SameFile(was, st)
		switch {
		case same:
			rename = s.root.Rename
		case st.IsDir(), was.IsDir():
			s.reply(553, virtual+": it exists already.")
			return
		case s.account.Rights&Overwrite == 0:
			s.reply(553, virtual+": it exists already, and your account may not overwrite.")
			return
		}
	}
	switch err := rename(from, rel); {
	case errors.Is(err, fs.ErrExist) && !is(err, notEmptyErrors):
		s.reply(553, virtual+": it exists already.")
		return
	case err != nil:
		s.replyFile(err, virtual)
		return
	}
	s.reply(250, "Renamed to "+virtual+".")
}

func (s *session) cmdSITE(c wire.Command) {
	what, arg, _ := strings.Cut(c.Arg, " ")
	switch strings.ToUpper(what) {
	case "HELP":
		s.helpSITE(arg)
	case "CHMOD":
		mode, path, _ := strings.Cut(arg, " ")
		bits, err := strconv.ParseUint(mode, 8, 32)
		if err != nil || bits > 0o777 || path == "" {
			s.reply(501, "Usage: SITE CHMOD mode path, mode from 000 to 777.")
			return
		}
		if _, ok := s.change(path, Overwrite, func(rel string) error { return s.root.Chmod(rel, fs.FileMode(bits)) }); ok {
			s.reply(200, "Done.")
		}
	default:
		s.reply(504, "SITE knows HELP and CHMOD.")
	}
}

// helpSITE is SITE HELP, and HELP SITE, of one command or of all ("").
func (s *session) helpSITE(of string) {
	switch strings.ToUpper(strings.TrimSpace(of)) {
	case "":
		s.replyLines(214, "SITE commands:", " HELP", " CHMOD mode path", "End")
	case "HELP":
		s.reply(214, "Syntax: SITE HELP [command]")
	case "CHMOD":
		s.reply(214, "Syntax: SITE CHMOD mode path")
	default:
		s.reply(502, "There is no such SITE command.")
	}
}
