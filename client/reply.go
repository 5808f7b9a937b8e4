package client

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"portside/wire"
)

// What a server may send as one reply. FEAT and STAT are the longest honest ones.
const (
	maxReplyLine  = 64 << 10
	maxReplyBytes = 1 << 20
)

var (
	errTooMuch   = errors.New("the reply does not end: that is no FTP server, or a broken one")
	errNotAReply = errors.New("that is not an FTP reply")
)

// reply is one whole reply (RFC 959 section 4.2). lines are without their line ends; the last begins with the code.
type reply struct {
	code  int
	lines []string
}

// text is the last line's text: what the server says about the command as a whole.
func (r reply) text() string {
	if len(r.lines) == 0 {
		return ""
	}
	last := r.lines[len(r.lines)-1]
	if len(last) < 4 {
		return ""
	}
	return strings.TrimSpace(last[4:])
}

// String is the reply for records and errors, a multi-line reply with its lines joined by "\n", safe to print.
func (r reply) String() string {
	out := make([]string, len(r.lines))
	for i, l := range r.lines {
		out[i] = wire.Escape(l)
	}
	return strings.Join(out, "\n")
}

// wire is the reply as net/textproto reads it, which wants a space after the last line's code.
func (r reply) wire() string {
	all := strings.Join(r.lines, "\r\n")
	if len(r.lines) > 0 && len(r.lines[len(r.lines)-1]) == 3 {
		all += " "
	}
	return all + "\r\n"
}

// as gives the reply another code; the library insists on one exact code where RFC 959 section 5.4 allows several.
func (r reply) as(code int) reply {
	return oneLine(code, r.text())
}

func (r reply) preliminary() bool { return r.code >= 100 && r.code < 200 }

// oneLine makes a reply that no server sent.
func oneLine(code int, text string) reply {
	return reply{code: code, lines: []string{fmt.Sprintf("%d %s", code, text)}}
}

// readReply reads one reply. It holds at most maxReplyBytes; [errTooMuch] and [errNotAReply] say what is wrong with
// a stranger's bytes. In the second case the reply holds the line that it is about.
func readReply(br *bufio.Reader) (reply, error) {
	var r reply
	size := 0
	for {
		line, err := readLine(br, maxReplyLine)
		if err != nil {
			return r, err
		}
		if size += len(line) + 2; size > maxReplyBytes {
			return r, errTooMuch
		}
		code, more, _, ok := wire.ParseReplyLine(line)
		r.lines = append(r.lines, line)
		switch {
		case len(r.lines) == 1 && !ok:
			return r, errNotAReply
		case len(r.lines) == 1:
			r.code = code
			if !more {
				return r, nil
			}
		case ok && !more && code == r.code:
			return r, nil
		}
	}
}

// readLine reads up to LF and cuts the line end. It keeps no more than limit bytes.
func readLine(br *bufio.Reader, limit int) (string, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return "", errTooMuch
		}
		line = append(line, part...)
		if err == nil {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
		if err != bufio.ErrBufferFull {
			return string(line), err
		}
	}
}
