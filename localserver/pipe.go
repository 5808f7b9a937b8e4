package localserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"portside/connlog"
)

// progressEvery is how often a transfer writes a progress record.
const progressEvery = 250 * time.Millisecond

// pipe is an open data connection as a transfer uses it: it moves bytes, counts them, and breaks off when nothing
// moves.
type pipe struct {
	d     *dataConn
	tcp   *net.TCPConn
	stall time.Duration
	tls   *tls.Conn // nil in clear
	wire  *bufferedConn

	clock     func() time.Time // for deadlines; nil: time.Now
	unhook    func() bool      // takes the end of the transfer's context off
	lastTick  time.Time
	lastBytes int64
}

func (d *dataConn) pipe(tcp *net.TCPConn, l Limits) *pipe {
	return &pipe{d: d, tcp: tcp, stall: l.StallTimeout, lastTick: time.Now()}
}

// handshake puts TLS on the connection. It comes after the 150 reply: clients wait for that first.
//
// The session ticket of TLS 1.3 comes behind the handshake. A client that uploads has no need to read, and one that closes
// with the ticket unread resets the connection: what is still in its send buffer is lost. So an upload's ticket goes out
// with our close_notify. (ProFTPD and Pure-FTPd send none there; with vsftpd such uploads break.)
func (p *pipe) handshake(ctx context.Context, config *tls.Config, resume ResumePolicy, dir Direction) error {
	p.wire = newBufferedConn(&stallConn{p.tcp, p.stall})
	if dir == Receiving {
		config = config.Clone()
		config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			p.wire.hold = cs.Version >= tls.VersionTLS13
			return config.EncryptTicket(cs, ss)
		}
	}
	p.tls = tls.Server(p.wire, config)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.tls.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	state := p.tls.ConnectionState()
	p.d.tlsText = tls.VersionName(state.Version)
	p.d.record(connlog.Record{Event: connlog.DataTLS, From: p.d.from, TLS: p.d.tlsText,
		Cipher: tls.CipherSuiteName(state.CipherSuite), Resumed: state.DidResume})
	if resume == ResumeRequire && !state.DidResume {
		return errNotResumed
	}
	p.wire.bulk = true
	return nil
}

// release gives the pipe's buffers back.
func (p *pipe) release() {
	if p.wire != nil {
		p.wire.release()
	}
}

func (p *pipe) now() time.Time {
	if p.clock != nil {
		return p.clock()
	}
	return time.Now()
}

func (p *pipe) moved(n int64) {
	total := p.d.bytes.Add(n)
	p.d.s.moved.Add(n)
	if now := time.Now(); now.Sub(p.lastTick) >= progressEvery {
		p.d.speed.count(total-p.lastBytes, now.Sub(p.lastTick), now)
		p.lastTick, p.lastBytes = now, total
		p.d.record(connlog.Record{Event: connlog.DataProgress, From: p.d.from, Bytes: total, Command: p.d.cmd})
	}
}

// Write sends one piece of a listing or of converted text.
func (p *pipe) Write(b []byte) (n int, err error) {
	if p.tls != nil {
		if n, err = p.tls.Write(b); err == nil {
			err = p.wire.Flush()
		}
	} else {
		n, err = (&stallConn{p.tcp, p.stall}).Write(b)
	}
	p.moved(int64(n))
	return n, err
}

// Read receives one piece of an upload.
func (p *pipe) Read(b []byte) (n int, err error) {
	if p.tls != nil {
		n, err = p.tls.Read(b)
	} else {
		n, err = (&stallConn{p.tcp, p.stall}).Read(b)
	}
	p.moved(int64(n))
	if err == io.EOF && p.tls != nil && p.wire.ended {
		// The client closed without close_notify, as many do: what came is taken, and noted (RFC 4217 section 12.3).
		p.d.note = "the client ended the upload without TLS close_notify"
	}
	return n, err
}

// chunk is how many bytes the kernel copies between two looks at the clock when data flows, and tick how long it may
// take when it does not.
const (
	chunk = 8 << 20
	tick  = 500 * time.Millisecond
)

// A client that took fastAfter bytes within fastAfterTime, over loopback or a network of 5 Gbit/s and more, gets a send
// buffer of largeSendBuffer for the rest.
const (
	fastAfter       = 64 << 20
	fastAfterTime   = 100 * time.Millisecond
	largeSendBuffer = 4 << 20
)

// send copies a file to the client: in clear by the kernel (sendfile), in TLS through a large buffer.
func (p *pipe) send(f *os.File) error {
	if p.tls != nil || !kernelCopy {
		return p.copyTo(f)
	}
	begin := time.Now()
	last, large := begin, false
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return &localError{err}
	}
	for {
		if sent := p.d.bytes.Load(); !large && sent >= fastAfter {
			// Each time the buffer runs empty costs a switch of goroutines. Slow clients must not get it: what lies in
			// the buffer counts as sent.
			large = true
			if sent/fastAfter*int64(fastAfterTime) >= int64(last.Sub(begin)) && sendBufferMax() >= largeSendBuffer {
				p.tcp.SetWriteBuffer(largeSendBuffer)
			}
		}
		p.tcp.SetWriteDeadline(p.now().Add(min(tick, p.stall)))
		n, err := p.tcp.ReadFrom(&io.LimitedReader{R: f, N: chunk})
		p.moved(n)
		at += n
		if err != nil {
			// Where the deadline is over before it begins, on a busy computer, Go reads the file into a buffer that never
			// goes out. What did not go out is read again.
			if _, seeking := f.Seek(at, io.SeekStart); seeking != nil {
				return &localError{seeking}
			}
		}
		switch now := time.Now(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if n > 0 {
				last = now
			} else if now.Sub(last) >= p.stall {
				return errStalled
			}
		case err != nil:
			return sideOf(err)
		case n == 0:
			return nil
		default:
			last = now
		}
	}
}

// copyTo sends through a buffer.
func (p *pipe) copyTo(r io.Reader) error {
	buf := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buf)
	for {
		n, err := io.ReadFull(r, buf[:])
		if n > 0 {
			if _, err := p.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return &localError{err}
		}
	}
}

// receive copies what the client sends to a file.
func (p *pipe) receive(f io.Writer) error {
	buf := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buf)
	for {
		n, err := 0, error(nil)
		for n < len(buf) && err == nil {
			var m int
			m, err = p.Read(buf[n:])
			n += m
		}
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return &localError{err}
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// sideOf tells an error of the file from one of the connection: a *net.OpError wraps both when the kernel copies.
func sideOf(err error) error {
	var file *os.PathError
	if errors.As(err, &file) {
		return &localError{err}
	}
	return err
}

// finish says that nothing more comes from our side: close_notify in TLS, then FIN.
func (p *pipe) finish() error {
	if p.tls != nil {
		if err := p.wire.Flush(); err != nil {
			return err
		}
		p.wire.bulk = false
		if err := p.tls.CloseWrite(); err != nil {
			return err
		}
	}
	return p.tcp.CloseWrite()
}

const largeBuffer = 256 << 10

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
