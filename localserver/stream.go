package localserver

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// stallConn is a TCP connection whose reads and writes break off with errStalled when no byte moves for stall.
type stallConn struct {
	*net.TCPConn
	stall time.Duration
}

func (c *stallConn) Read(b []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.stall))
	n, err := c.TCPConn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errStalled
	}
	return n, err
}

func (c *stallConn) Write(b []byte) (written int, err error) {
	for {
		c.SetWriteDeadline(time.Now().Add(c.stall))
		n, err := c.TCPConn.Write(b[written:])
		written += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if n > 0 {
				continue // slow, but it moves
			}
			err = errStalled
		}
		return written, err
	}
}

// bufferedConn stands between TLS and TCP: crypto/tls writes and reads each record of 16 KiB with a system call of
// its own; this makes it one for many. During the handshake it passes everything through.
type bufferedConn struct {
	*stallConn
	bulk  bool
	ended bool   // TCP's end came; TLS asks for no more bytes after close_notify
	hold  bool   // the last record of the next write waits for the one after it
	held  []byte // such a record
	out   *[largeBuffer]byte
	n     int
	in    *bufio.Reader
}

var inBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 128<<10) }}

func newBufferedConn(c *stallConn) *bufferedConn {
	in := inBuffers.Get().(*bufio.Reader)
	in.Reset(c)
	return &bufferedConn{stallConn: c, in: in}
}

func (c *bufferedConn) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.ended = c.ended || err == io.EOF
	return n, err
}

func (c *bufferedConn) Write(b []byte) (int, error) {
	if c.hold {
		c.hold = false
		last := lastRecord(b)
		c.held = bytes.Clone(b[last:])
		if n, err := c.stallConn.Write(b[:last]); err != nil {
			return n, err
		}
		return len(b), nil
	}
	if c.held != nil {
		all := append(c.held, b...)
		c.held = nil
		if _, err := c.Write(all); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	if !c.bulk {
		return c.stallConn.Write(b)
	}
	if c.out == nil {
		c.out = largeBuffers.Get().(*[largeBuffer]byte)
	}
	if c.n+len(b) > len(c.out) {
		if err := c.Flush(); err != nil {
			return 0, err
		}
	}
	if len(b) > len(c.out) {
		return c.stallConn.Write(b)
	}
	c.n += copy(c.out[c.n:], b)
	return len(b), nil
}

// lastRecord returns where the last of whole TLS records begins (RFC 8446 section 5.1).
func lastRecord(b []byte) int {
	const header = 5
	for at := 0; ; {
		if len(b)-at < header {
			return at
		}
		next := at + header + int(binary.BigEndian.Uint16(b[at+3:]))
		if next >= len(b) {
			return at
		}
		at = next
	}
}

// Flush sends what Write has collected.
func (c *bufferedConn) Flush() error {
	if c.n == 0 {
		return nil
	}
	n := c.n
	c.n = 0
	_, err := c.stallConn.Write(c.out[:n])
	return err
}

func (c *bufferedConn) release() {
	c.in.Reset(nil)
	inBuffers.Put(c.in)
	if c.out != nil {
		largeBuffers.Put(c.out)
		c.out = nil
	}
}
