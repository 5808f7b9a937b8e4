package localserver

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"portside/connlog"
	"portside/wire"
)

// factSet is the facts that MLST and MLSD show.
type factSet uint8

const (
	factType factSet = 1 << iota
	factSize
	factModify
	factPerm
	factUnique
	factMode
	allFacts = factType | factSize | factModify | factPerm | factUnique | factMode
)

var factNames = []string{"type", "size", "modify", "perm", "unique", "unix.mode"}

// list returns the facts as FEAT shows them: a star marks those that are switched on (RFC 3659 section 7.8).
func (f factSet) list() string {
	var b strings.Builder
	for i, name := range factNames {
		b.WriteString(name)
		if f&(1<<i) != 0 {
			b.WriteByte('*')
		}
		b.WriteByte(';')
	}
	return b.String()
}

// chosen returns the facts that are switched on, as OPTS MLST answers.
func (f factSet) chosen() string {
	var b strings.Builder
	for i, name := range factNames {
		if f&(1<<i) != 0 {
			b.WriteString(name + ";")
		}
	}
	return b.String()
}

// parseFactSet reads the argument of OPTS MLST; facts that are not known are left out.
func parseFactSet(arg string) (f factSet) {
	for name := range strings.SplitSeq(strings.ToLower(arg), ";") {
		if i := slices.Index(factNames, strings.TrimSpace(name)); i >= 0 {
			f |= 1 << i
		}
	}
	return f
}

// entry is what a listing says of a file or folder beside its name.
type entry struct {
	there    bool
	mode     fs.FileMode
	size     int64
	modified time.Time
	dev, ino uint64
	known    bool // dev and ino are
}

func entryOf(st fs.FileInfo) entry {
	e := entry{there: true, mode: st.Mode(), size: st.Size(), modified: st.ModTime()}
	e.dev, e.ino, e.known = fileID(st)
	return e
}

// appendID appends the unique fact.
func (e *entry) appendID(b []byte) []byte {
	b = strconv.AppendUint(b, e.dev, 16)
	b = append(b, 'g')
	return strconv.AppendUint(b, e.ino, 16)
}

// appendFacts appends an MLST or MLSD line without its line end (RFC 3659 section 7.2).
func (s *session) appendFacts(b []byte, e *entry, name string) []byte {
	dir := e.mode.IsDir()
	for i, fact := range factNames {
		f := factSet(1) << i
		if s.facts&f == 0 || f == factSize && dir || f == factUnique && !e.known {
			continue
		}
		b = append(b, fact...)
		b = append(b, '=')
		switch f {
		case factType:
			kind := "file"
			if dir {
				kind = "dir"
			}
			b = append(b, kind...)
		case factSize:
			b = strconv.AppendInt(b, e.size, 10)
		case factModify:
			b = wire.AppendTime(b, e.modified)
		case factPerm:
			b = s.account.Rights.appendPerm(b, dir)
		case factUnique:
			b = e.appendID(b)
		case factMode:
			bits := e.mode.Perm()
			b = append(b, '0', '0'+byte(bits>>6), '0'+byte(bits>>3&7), '0'+byte(bits&7))
		}
		b = append(b, ';')
	}
	b = append(b, ' ')
	return append(b, name...)
}

// appendPerm appends the perm fact: what this account may do (RFC 3659 section 7.5.5).
func (r Rights) appendPerm(b []byte, dir bool) []byte {
	add := func(need Rights, letter byte) {
		if r&need == need {
			b = append(b, letter)
		}
	}
	if dir {
		add(Upload, 'c')
		add(Delete, 'd')
		b = append(b, 'e')
		add(Rename, 'f')
		add(List, 'l')
		add(MakeFolder, 'm')
		add(Delete, 'p')
		return b
	}
	add(Upload|Overwrite, 'a')
	add(Delete, 'd')
	add(Rename, 'f')
	add(Read, 'r')
	add(Upload|Overwrite, 'w')
	return b
}

// listArg splits the argument of LIST and NLST into ls switches, which change nothing, and the path.
func listArg(arg string) string {
	arg = strings.TrimLeft(arg, " ")
	for strings.HasPrefix(arg, "-") {
		_, arg, _ = strings.Cut(arg, " ")
		arg = strings.TrimLeft(arg, " ")
	}
	return arg
}

// cmdLIST is LIST, NLST and MLSD.
func (s *session) cmdLIST(c wire.Command) {
	if !s.allowed(List) {
		return
	}
	arg := c.Arg
	if c.Verb != "MLSD" {
		arg = s.listPath(arg)
	}
	virtual, rel, ok := s.at(arg)
	if !ok {
		return
	}
	pattern := ""
	st, err := s.root.Stat(rel)
	if (errors.Is(err, fs.ErrNotExist) || is(err, badNameErrors)) && c.Verb != "MLSD" && strings.ContainsAny(path.Base(arg), "*?[") {
		// "NLST *.txt": mget of older clients sends it.
		pattern = path.Base(virtual)
		if _, bad := path.Match(pattern, ""); bad == nil {
			arg = path.Dir(arg)
			virtual, rel = path.Dir(virtual), filepath.Dir(rel)
			st, err = s.root.Stat(rel)
		}
	}
	if err == nil && !st.IsDir() && (c.Verb == "MLSD" || !st.Mode().IsRegular()) {
		err = errNotFolder
	}
	if err != nil {
		if errors.Is(err, errNotFolder) {
			s.reply(501, virtual+": not a folder.")
			return
		}
		s.replyFile(err, virtual)
		return
	}
	var dir *os.File
	if st.IsDir() {
		if dir, err = s.root.OpenFile(rel, os.O_RDONLY|openNonblock, 0); err != nil {
			s.replyFile(err, virtual)
			return
		}
		defer dir.Close()
	}
	p := s.openData(c, virtual, Sending, "Sending the listing of "+virtual+".")
	if p == nil {
		return
	}
	err = s.sendListing(p, c.Verb, arg, pattern, rel, st, dir)
	if err == nil {
		err = p.finish()
	}
	if err = p.end(s.xfer, err); err != nil {
		s.replyBroken(err, virtual, "")
		return
	}
	s.reply(226, "Listing sent.")
}

// listPath leaves the switches out, unless a file of just that name exists ("-a").
func (s *session) listPath(arg string) string {
	stripped := listArg(arg)
	if stripped == arg {
		return arg
	}
	if _, rel, err := relative(s.cwd, arg); err == nil && arg != "" && strings.HasPrefix(arg, "-") {
		if _, err := s.root.Lstat(rel); err == nil {
			return arg
		}
	}
	return stripped
}

// sendListing writes the lines. arg is the path as the client gave it: NLST puts it in front of each name.
func (s *session) sendListing(p *pipe, verb, arg, pattern, rel string, st fs.FileInfo, dir *os.File) error {
	out := bufio.NewWriterSize(p, 32<<10)
	now := time.Now()
	var line []byte
	prefix := ""
	emit := func(e *entry, name string) error {
		line = line[:0]
		switch verb {
		case "LIST":
			line = wire.AppendList(line, e.mode, e.size, e.modified, now, name)
		case "NLST":
			line = append(line, prefix...)
			line = append(line, name...)
		default:
			line = s.appendFacts(line, e, name)
		}
		line = append(line, '\r', '\n')
		_, err := out.Write(line)
		return err
	}
	if dir == nil {
		e := entryOf(st)
		if err := emit(&e, arg); err != nil {
			return err
		}
		return out.Flush()
	}
	if verb == "NLST" && arg != "" && arg != "." && arg != "./" && (arg != "/" || s.cwd != "/") {
		prefix = strings.TrimSuffix(arg, "/") + "/"
	}
	if err := s.eachEntry(s.xfer, dir, rel, pattern, emit); err != nil {
		return err
	}
	return out.Flush()
}

// lookAhead is how many entries are looked at before they are emitted: by two goroutines, for most of a long listing's time
// is the kernel's, or a file server's, answer to that.
const lookAhead = 512

// lookBoth is [entries.look] by two goroutines.
func (s *session) lookBoth(here entries, names []string, found []entry) error {
	half := len(names) / 2
	if half < lookAhead/8 {
		return here.look(names, found)
	}
	var other sync.WaitGroup
	var failed error
	other.Go(func() {
		defer s.srv.contain(s)
		failed = here.look(names[half:], found[half:])
	})
	err := here.look(names[:half], found)
	other.Wait()
	return cmp.Or(err, failed)
}

// eachEntry calls emit for the entries of dir, which is rel, that a client may see, sorted. Links are followed inside the
// root; those that lead out of it or nowhere are left out, and so is what is neither file nor folder. Names with line ends
// can't be said in a listing; they are left out and recorded.
func (s *session) eachEntry(ctx context.Context, dir *os.File, rel, pattern string, emit func(*entry, string) error) error {
	here, err := openEntries(s.root, rel, dir)
	if err != nil {
		return &localError{err}
	}
	defer here.close()
	unsayable := 0
	match := func(name string) bool {
		if strings.HasPrefix(name, tempPrefix) {
			return false
		}
		if pattern != "" {
			if ok, _ := path.Match(pattern, name); !ok {
				return false
			}
		}
		return true
	}
	var failed error
	var names []string
	var found []entry
	show := func() error {
		if cap(found) < len(names) {
			found = make([]entry, len(names))
		}
		if err := s.lookBoth(here, names, found); err != nil {
			return err
		}
		for i, name := range names {
			e := &found[i]
			if e.there && e.mode&fs.ModeSymlink != 0 {
				*e = entry{}
				if st, err := s.root.Stat(filepath.Join(rel, name)); err == nil {
					*e = entryOf(st)
				}
			}
			if !e.there || !e.mode.IsDir() && !e.mode.IsRegular() {
				continue // it vanished meanwhile, leads out, or is nothing to be listed
			}
			if failed = emit(e, name); failed != nil {
				return failed
			}
		}
		names = names[:0]
		return nil
	}
	memory := nameMemory{own: nameBudget, most: nameMost, common: &s.srv.nameMemory}
	err = sortedNames(ctx, dir, match, memory, func(name string) error {
		if strings.ContainsAny(name, "\r\n\x00") {
			unsayable++
			return nil
		}
		if names = append(names, name); len(names) < lookAhead {
			return nil
		}
		return show()
	})
	if err == nil {
		err = show()
	}
	if unsayable > 0 {
		s.record(connlog.Record{Event: connlog.ServerFault, Reason: connlog.ReasonLocal,
			Err: fmt.Sprintf("%d names with line ends or NUL were left out of a listing", unsayable)})
	}
	if err != nil && failed == nil && ctx.Err() == nil {
		return &localError{err}
	}
	return err
}

func (s *session) cmdMLST(c wire.Command) {
	if s.allowed(List) {
		r := s.factsOf(cmp.Or(c.Arg, "."))
		s.replyLines(r.Code, r.Lines...)
	}
}

// factsOf is the reply to MLST of a path (RFC 3659 section 7.3).
func (s *session) factsOf(arg string) wire.Reply {
	virtual, rel, err := relative(s.cwd, arg)
	var st fs.FileInfo
	if err == nil {
		st, err = s.root.Stat(rel)
	}
	if err == nil && !st.IsDir() && !st.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		code, text := fileReply(err, virtual)
		return wire.Reply{Code: code, Lines: []string{text}}
	}
	e := entryOf(st)
	return wire.Reply{Code: 250, Lines: []string{"Facts:", " " + string(s.appendFacts(nil, &e, virtual)), "End"}}
}

// statListMost is how many lines STAT sends over the control connection; LIST is for more.
const statListMost = 1000

// statPath answers STAT with a path: a listing over the control connection (RFC 959 section 4.1.3).
func (s *session) statPath(arg string) {
	virtual, rel, ok := s.at(s.listPath(arg))
	if !ok || !s.allowed(List) {
		return
	}
	st, err := s.root.Stat(rel)
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	code := 213
	lines := []string{"Status of " + virtual + ":"}
	now := time.Now()
	add := func(e *entry, name string) error {
		if len(lines) > statListMost {
			return errEnough
		}
		lines = append(lines, " "+string(wire.AppendList(nil, e.mode, e.size, e.modified, now, name)))
		return nil
	}
	if !st.IsDir() {
		e := entryOf(st)
		add(&e, path.Base(virtual))
	} else {
		code = 212
		dir, err := s.root.OpenFile(rel, os.O_RDONLY|openNonblock, 0)
		if err == nil {
			err = s.eachEntry(s.ctx, dir, rel, "", add)
			dir.Close()
		}
		if err != nil && !errors.Is(err, errEnough) {
			s.replyFile(err, virtual)
			return
		}
		if errors.Is(err, errEnough) {
			lines = append(lines, " There is more; use LIST.")
		}
	}
	s.replyLines(code, append(lines, "End of status")...)
}

var errEnough = errors.New("enough lines")
