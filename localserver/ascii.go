package localserver

import "io"

// crlfReader gives a text file the line ends of TYPE A, CR LF (RFC 959 section 3.1.1.1). A CR LF in the file stays.
type crlfReader struct {
	r     io.Reader
	cr    bool // the last byte was CR
	owes  bool // an LF did not fit behind its CR
	small [16 << 10]byte
	have  []byte
	err   error
}

func (c *crlfReader) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if c.owes {
			b[n], c.owes, c.cr = '\n', false, false
			n++
			continue
		}
		if len(c.have) == 0 {
			if c.err != nil {
				break
			}
			var m int
			m, c.err = c.r.Read(c.small[:])
			c.have = c.small[:m]
			continue
		}
		x := c.have[0]
		c.have = c.have[1:]
		if x == '\n' && !c.cr {
			b[n], c.owes = '\r', true
			n++
			continue
		}
		b[n], c.cr = x, x == '\r'
		n++
	}
	if n > 0 {
		return n, nil
	}
	return 0, c.err
}

// lfWriter gives an upload in TYPE A the line ends of this computer's text files: LF. It is the same on Windows, where
// every editor of today reads it.
type lfWriter struct {
	w  io.Writer
	cr bool // a CR waits for what follows
}

func (l *lfWriter) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b)+1)
	for _, x := range b {
		if l.cr && x != '\n' {
			out = append(out, '\r')
		}
		if l.cr = x == '\r'; !l.cr {
			out = append(out, x)
		}
	}
	if _, err := l.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// flush writes a CR at the very end.
func (l *lfWriter) flush() error {
	if !l.cr {
		return nil
	}
	l.cr = false
	_, err := l.w.Write([]byte{'\r'})
	return err
}
