package localserver

// RETR, STOR, APPE and STOU.

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"portside/wire"
)

func (s *session) cmdRETR(c wire.Command) {
	virtual, rel, ok := s.at(c.Arg)
	if !ok || !s.allowed(Read) {
		return
	}
	f, st, err := openFile(s.root, rel, 0)
	if err != nil {
		s.replyFile(err, virtual)
		return
	}
	defer f.Close()
	if !s.restFits() {
		return
	}
	if s.rest > st.Size() {
		s.replyf(554, "The file has %d bytes; REST %d is beyond its end.", st.Size(), s.rest)
		return
	}
	if _, err := f.Seek(s.rest, 0); err != nil {
		s.replyFile(err, virtual)
		return
	}
	p := s.openData(c, virtual, Sending, fmt.Sprintf("Sending %s (%d bytes).", virtual, st.Size()-s.rest))
	if p == nil {
		return
	}
	if s.binary {
		err = p.send(f)
	} else {
		err = p.copyTo(&crlfReader{r: f})
	}
	if err == nil {
		err = p.finish()
	}
	if err = p.end(s.xfer, err); err != nil {
		s.replyBroken(err, virtual, "")
		return
	}
	s.replyf(226, "Sent %s.", virtual)
}

// restFits replies 554 to a transfer that REST and a later TYPE A ask for at once (RFC 1123 section 4.1.3.4).
func (s *session) restFits() bool {
	if s.rest > 0 && !s.binary {
		s.reply(554, "REST is not possible in TYPE A. Send TYPE I, then REST, first.")
		return false
	}
	return true
}

// cmdSTOR is STOR, APPE and STOU.
func (s *session) cmdSTOR(c wire.Command) {
	if !s.allowed(Upload) {
		return
	}
	name := c.Arg
	if c.Verb == "STOU" {
		var free func()
		name, free = s.uniqueName(c.Arg)
		defer free()
	}
	virtual, rel, ok := s.at(name)
	if !ok {
		return
	}
	target, ok := s.target(virtual, rel)
	if !ok {
		return
	}
	text := "Ready to receive " + virtual + "."
	if c.Verb == "STOU" {
		text = "FILE: " + virtual // RFC 1123 section 4.1.2.9
	}
	p := s.openData(c, virtual, Receiving, text)
	if p == nil {
		return
	}
	u, err := newUpload(s.root, target, s.rest, c.Verb == "APPE", s.srv.temps)
	if err != nil {
		p.end(s.xfer, &localError{err})
		s.replyFile(err, virtual)
		return
	}
	u.newOnly = c.Verb == "STOU" || s.account.Rights&Overwrite == 0
	if err := s.receive(p, u.file); err != nil {
		more := ""
		keep := !s.srv.config.Uploads.DiscardPartial && s.account.Rights&Overwrite != 0
		if u.broken(keep, p.d.bytes.Load()) {
			more = " What came is kept and can be continued."
		}
		s.replyBroken(err, virtual, more)
		return
	}
	if err := u.done(); err != nil {
		code, text := fileReply(err, virtual)
		s.reply(code, text)
		return
	}
	s.replyf(226, "Received %s.", virtual)
}

// target is the file that an upload to rel changes, or a reply says why there is none. Everything that can be refused is
// refused here, before the data connection stands; the file is touched after it.
func (s *session) target(virtual, rel string) (target string, ok bool) {
	target, err := resolveLink(s.root, rel)
	if err != nil {
		s.replyFile(err, virtual)
		return "", false
	}
	size := int64(0)
	switch st, err := s.root.Stat(target); {
	case err == nil && st.IsDir():
		s.replyFile(errIsFolder, virtual)
		return "", false
	case err == nil && !st.Mode().IsRegular():
		s.replyFile(errNotRegular, virtual)
		return "", false
	case err == nil && s.account.Rights&Overwrite == 0:
		s.reply(550, virtual+": it exists already, and your account may not overwrite.")
		return "", false
	case err == nil:
		size = st.Size()
	case !errors.Is(err, fs.ErrNotExist):
		s.replyFile(err, virtual)
		return "", false
	}
	if !s.restFits() {
		return "", false
	}
	if s.rest > size {
		s.replyf(554, "The file has %d bytes; REST %d is beyond its end.", size, s.rest)
		return "", false
	}
	if st, err := s.root.Stat(filepath.Dir(target)); err != nil || !st.IsDir() {
		s.reply(550, virtual+": no such folder to put it in.")
		return "", false
	}
	return target, true
}

// receive copies what the client sends and ends the data connection.
func (s *session) receive(p *pipe, f io.Writer) error {
	var err error
	if s.binary {
		err = p.receive(f)
	} else {
		w := &lfWriter{w: f}
		if err = p.receive(w); err == nil {
			err = w.flush()
		}
	}
	if err == nil {
		p.finish() // answers close_notify, which some clients wait for; one that has gone already does not matter
	}
	return p.end(s.xfer, err)
}

// claim is a name that a STOU is told and that no file has yet.
type claim struct {
	root *os.Root
	rel  string
}

// uniqueName finds a name for STOU that nobody has, and keeps other STOUs off it until free is called.
func (s *session) uniqueName(wish string) (name string, free func()) {
	base := cmp.Or(wish, "upload")
	name = base
	for i := 1; i < 10000; i++ {
		_, rel, err := relative(s.cwd, name)
		if err != nil {
			break
		}
		if _, err := s.root.Lstat(rel); errors.Is(err, fs.ErrNotExist) {
			one := claim{s.root, rel}
			if _, taken := s.srv.claims.LoadOrStore(one, nil); !taken {
				return name, func() { s.srv.claims.Delete(one) }
			}
		}
		name = base + "." + strconv.Itoa(i)
	}
	return name, func() {}
}
