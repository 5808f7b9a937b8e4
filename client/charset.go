package client

import (
	"fmt"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"

	"portside/connlog"
)

// Charset returns the encoding with an IANA name or alias, see https://www.iana.org/assignments/character-sets. It is nil
// for the empty name and for UTF-8: then names go over the wire as they are. Encodings in which a line end or a slash is
// no single byte of its own (UTF-16, UTF-32) can't be spoken on a control connection (RFC 2640 section 2.1).
func Charset(name string) (encoding.Encoding, error) {
	if name == "" || strings.EqualFold(name, "UTF-8") || strings.EqualFold(name, "utf8") {
		return nil, nil
	}
	e, err := ianaindex.IANA.Encoding(name)
	if err != nil || e == nil {
		return nil, fmt.Errorf("the character set %q is not known", name)
	}
	if b, err := e.NewEncoder().String("a/b\r\n"); err != nil || b != "a/b\r\n" {
		return nil, fmt.Errorf("FTP can't carry the character set %q", name)
	}
	return e, nil
}

// encode writes a command line in the server's character set. A name that can't be written in it is an error, never another
// name.
func (s *Session) encode(line string) (string, error) {
	if s.charset == nil {
		return line, nil
	}
	out, err := s.charset.NewEncoder().String(line)
	if err != nil {
		return "", fmt.Errorf("the character set %s, in which this server's names are written, lacks a character of the name", s.o.Charset)
	}
	return out, nil
}

// decode reads what a server sent in its character set. What is no text in it stays as it is.
func (s *Session) decode(text string) string {
	if s.charset == nil {
		return text
	}
	if out, err := s.charset.NewDecoder().String(text); err == nil {
		return out
	}
	return text
}

// checkCharset is [checkNames], and refuses what the server's character set can't write.
func (s *Session) checkCharset(names ...string) error {
	if err := checkNames(names...); err != nil {
		return err
	}
	for _, n := range names {
		if _, err := s.encode(n); err != nil {
			return err
		}
	}
	return nil
}

// openCharset resolves [Options.Charset].
func (s *Session) openCharset() error {
	var err error
	if s.charset, err = Charset(s.o.Charset); err != nil {
		return &Error{Op: "connect to", On: s.o.Address(), Reason: connlog.ReasonPolicy, Err: err,
			Advice: "Choose another one in the site's settings."}
	}
	return nil
}
