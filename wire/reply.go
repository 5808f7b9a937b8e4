package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Reply is one reply on the control connection, RFC 959 section 4.2.
type Reply struct {
	Code  int      // 100 to 659
	Lines []string // text without the code; at least one
}

// Class is the first digit: 1 preliminary, 2 done, 3 more needed, 4 failed for now, 5 failed for good.
func (r Reply) Class() int { return r.Code / 100 }

// String returns the reply for a log: "220 Ready", lines after the first on lines of their own, no line end.
func (r Reply) String() string {
	return strings.TrimSuffix(strings.ReplaceAll(string(r.Format()), "\r\n", "\n"), "\n")
}

// Format returns the reply as it goes on the wire. In a reply of many lines only the first and the last carry the
// code, and a line between that begins with a digit is moved one space to the right, so that it can't end the reply
// early (RFC 959 section 4.2). Control characters in the text become "?": a file name can't forge a reply.
func (r Reply) Format() []byte {
	if len(r.Lines) == 0 {
		r.Lines = []string{""}
	}
	var b bytes.Buffer
	for i, l := range r.Lines {
		switch {
		case i == len(r.Lines)-1:
			fmt.Fprintf(&b, "%03d ", r.Code)
		case i == 0:
			fmt.Fprintf(&b, "%03d-", r.Code)
		case l != "" && l[0] >= '0' && l[0] <= '9':
			b.WriteByte(' ')
		}
		for j := range len(l) {
			if c := l[j]; c < ' ' && c != '\t' || c == 0x7f {
				b.WriteByte('?')
			} else {
				b.WriteByte(c)
			}
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// ErrIncomplete says that the bytes end before the reply does.
var ErrIncomplete = errors.New("reply is not complete")

// ParseReply reads one reply from the begin of data and returns what follows it. It returns [ErrIncomplete] while the
// last line has not come, and another error for bytes that are no FTP reply. A bare LF ends a line too.
func ParseReply(data []byte) (r Reply, rest []byte, err error) {
	for first := true; ; first = false {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			if first && !replyBegin(data) {
				return Reply{}, nil, fmt.Errorf("%.40q is not an FTP reply", data)
			}
			return Reply{}, nil, ErrIncomplete
		}
		line := string(bytes.TrimSuffix(data[:end], []byte("\r")))
		data = data[end+1:]
		code, more, text, ok := ParseReplyLine(line)
		if first {
			if !ok {
				return Reply{}, nil, fmt.Errorf("%.40q is not an FTP reply", line)
			}
			r.Code = code
		}
		switch {
		case first:
			r.Lines = append(r.Lines, text)
			if !more {
				return r, data, nil
			}
		case ok && code == r.Code && !more:
			r.Lines = append(r.Lines, text)
			return r, data, nil
		case ok && code == r.Code:
			r.Lines = append(r.Lines, text) // some servers repeat the code on every line
		default:
			r.Lines = append(r.Lines, strings.TrimPrefix(line, " "))
		}
	}
}

func replyBegin(b []byte) bool {
	for i := 0; i < len(b) && i < 3; i++ {
		if b[i] < '0' || b[i] > '9' {
			return false
		}
	}
	return len(b) < 4 || b[3] == ' ' || b[3] == '-' || b[3] == '\r'
}

// ParseReplyLine reads one line of a reply without its line end: the code, whether more lines follow ("220-"), and
// the text. ok is false for a line that does not begin with a code, as those between the first and the last may.
func ParseReplyLine(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 || line[0] < '1' || line[0] > '6' || line[1] < '0' || line[1] > '5' || line[2] < '0' || line[2] > '9' {
		return 0, false, "", false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', line[4:], true
}

// Quote returns a path as the 257 replies of PWD and MKD name it: in quotes, a quote in it doubled (RFC 959
// appendix II).
func Quote(path string) string { return `"` + strings.ReplaceAll(path, `"`, `""`) + `"` }

// Parse257 reads the quoted path at the begin of the text of a 257 reply.
func Parse257(text string) (string, error) {
	open := strings.IndexByte(text, '"')
	if open < 0 {
		return "", fmt.Errorf("no quoted path in %q", text)
	}
	var b strings.Builder
	for in := text[open+1:]; ; {
		close := strings.IndexByte(in, '"')
		if close < 0 {
			return "", fmt.Errorf("no closing quote in %q", text)
		}
		b.WriteString(in[:close])
		if in = in[close+1:]; in == "" || in[0] != '"' {
			return b.String(), nil
		}
		b.WriteByte('"')
		in = in[1:]
	}
}

// Greeting returns the text of Portside's 220 greeting. It names the session, so that the logs of both ends can be
// laid side by side.
func Greeting(product, session string) string { return product + " ready [session " + session + "]" }

// ParseGreeting returns the session that a greeting made by [Greeting] names, and "" for another server's greeting.
func ParseGreeting(text string) string {
	_, in, found := strings.Cut(text, "[session ")
	id, _, closed := strings.Cut(in, "]")
	if !found || !closed || id == "" || len(id) > 64 {
		return ""
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return id
}
