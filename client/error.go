package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"portside/connlog"
	"portside/wire"
)

// Error is what went wrong with a session or one of its operations: what was tried, on what, and what came back.
type Error struct {
	Op     string         // what was tried: "connect", "sign in", "list", "download", ...
	On     string         // on what: host:port, or the path
	Reason connlog.Reason // the kind of failure
	Code   int            // the reply's code, 0 when no reply decided it
	Reply  string         // the reply, "550 No such file", control characters escaped
	Advice string         // what the person can do; a sentence or empty
	// Data is true when the data channel could not be opened or broke, while the control connection is well.
	Data bool
	// Unopened is true when that data channel never came about.
	Unopened bool
	// Mode is the mode of that data connection.
	Mode Mode
	Err  error // the cause, may be nil when Reply says it all
}

// Error says what was tried, on what, what came back, and what can be done.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.On != "" {
		b.WriteString(" " + wire.Escape(e.On))
	}
	what := ""
	switch {
	case e.Err != nil:
		what = e.Err.Error()
	case e.Reply == "":
		what = string(e.Reason)
	}
	if what != "" {
		b.WriteString(": " + what)
	}
	if e.Reply != "" {
		// The stop ends our sentence, not the server's.
		fmt.Fprintf(&b, ": the server said %q", strings.TrimSuffix(e.Reply, "."))
	}
	if e.Advice != "" {
		b.WriteString(". " + e.Advice)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary is true when the same operation may work later: the server is busy (4xx), or the network broke.
func (e *Error) Temporary() bool {
	if e.Code != 0 {
		return e.Code >= 400 && e.Code < 500
	}
	switch e.Reason {
	case connlog.ReasonReset, connlog.ReasonTimeout, connlog.ReasonStalled, connlog.ReasonLost, connlog.ReasonIdle,
		connlog.ReasonUnreachable, connlog.ReasonRefused:
		return true
	}
	return false
}

// dataError is why a data connection did not come about or broke.
type dataError struct {
	mode   Mode
	reason connlog.Reason
	reply  reply // when the server's word ended it
	err    error
	// refusal: the reply is to PASV, EPSV, PORT or EPRT.
	refusal bool
	opened  bool // the data connection stood already
}

func (e *dataError) Error() string {
	text := string(e.mode) + " data connection: "
	var errno syscall.Errno
	if op, ok := e.err.(*net.OpError); ok && op.Op == "dial" && op.Addr != nil && errors.As(op.Err, &errno) {
		return text + op.Addr.String() + ": " + errno.Error() // what net says besides is for programmers
	}
	if e.err != nil {
		return text + e.err.Error()
	}
	return text + string(e.reason)
}

func (e *dataError) Unwrap() error { return e.err }

// unopened says that the data channel never came about, so the other mode may help. A TLS failure is no such case, the
// channel stood; and a reply such as 550 is about the file.
func (e *dataError) unopened() bool {
	switch {
	case e.reason == connlog.ReasonTLS, e.reason == connlog.ReasonCancelled:
		return false
	case e.refusal:
		return e.reply.code != 421
	case e.reply.code != 0:
		return e.reply.code == 425
	default:
		return !e.opened
	}
}

// asType finds the first error of type T in err's tree.
func asType[T error](err error) (T, bool) {
	var found T
	ok := errors.As(err, &found)
	return found, ok
}

// errBadName is why a name is refused before anything is sent.
var errBadName = errors.New("the name holds a line break or a zero byte, which FTP can't carry")

// errRefused: the reply says all there is to say.
var errRefused = errors.New("refused")

func checkNames(names ...string) error {
	for _, n := range names {
		if strings.ContainsAny(n, "\r\n\x00") {
			return errBadName
		}
	}
	return nil
}

// addressInUse says that a port can't be listened on because somebody has it. Windows answers WSAEACCES for one that
// another program holds exclusively, or that the system has reserved.
func addressInUse(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno == syscall.EADDRINUSE || errno == wsaEADDRINUSE || errno == wsaEACCES)
}

// Winsock's numbers, which package syscall does not name on every system.
const (
	wsaEACCES        syscall.Errno = 10013
	wsaEADDRINUSE    syscall.Errno = 10048
	wsaEADDRNOTAVAIL syscall.Errno = 10049
	wsaENETDOWN      syscall.Errno = 10050
	wsaENETUNREACH   syscall.Errno = 10051
	wsaENETRESET     syscall.Errno = 10052
	wsaECONNABORTED  syscall.Errno = 10053
	wsaECONNRESET    syscall.Errno = 10054
	wsaETIMEDOUT     syscall.Errno = 10060
	wsaECONNREFUSED  syscall.Errno = 10061
	wsaEHOSTDOWN     syscall.Errno = 10064
	wsaEHOSTUNREACH  syscall.Errno = 10065
)

// ReasonOf classifies an error of the network, TLS or this computer, by the numbers of Linux, macOS and Windows.
func ReasonOf(err error) connlog.Reason {
	var (
		errno   syscall.Errno
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		alert   tls.AlertError
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		timeout interface{ Timeout() bool }
		data    *dataError
		ours    *Error
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &ours):
		return ours.Reason
	case errors.As(err, &data):
		return data.reason
	case errors.Is(err, context.Canceled):
		return connlog.ReasonCancelled
	case errors.As(err, &dns) && !dns.IsTimeout:
		return connlog.ReasonUnknownHost
	case errors.As(err, &cert), errors.As(err, &alert), errors.As(err, &record), errors.As(err, &unknown):
		return connlog.ReasonTLS
	case errors.Is(err, errTooMuch), errors.Is(err, errNotAReply):
		return connlog.ReasonNotFTP
	case errors.Is(err, fs.ErrPermission) && !isNetwork(err), errors.Is(err, fs.ErrNotExist):
		return connlog.ReasonLocal
	case errors.As(err, &errno):
		switch errno {
		case syscall.ECONNREFUSED, wsaECONNREFUSED:
			return connlog.ReasonRefused
		case syscall.ECONNRESET, wsaECONNRESET, syscall.ECONNABORTED, wsaECONNABORTED, wsaENETRESET, syscall.EPIPE:
			return connlog.ReasonReset
		case syscall.EHOSTUNREACH, wsaEHOSTUNREACH, syscall.EHOSTDOWN, wsaEHOSTDOWN, syscall.ENETUNREACH, wsaENETUNREACH,
			syscall.ENETDOWN, wsaENETDOWN:
			return connlog.ReasonUnreachable
		case syscall.ETIMEDOUT, wsaETIMEDOUT:
			return connlog.ReasonTimeout
		case syscall.EADDRINUSE, wsaEADDRINUSE, syscall.EADDRNOTAVAIL, wsaEADDRNOTAVAIL, syscall.EACCES, wsaEACCES,
			syscall.EPERM:
			return connlog.ReasonLocal
		}
		if !isNetwork(err) {
			return connlog.ReasonLocal
		}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return connlog.ReasonTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return connlog.ReasonLost
	case strings.HasPrefix(err.Error(), "tls: "):
		return connlog.ReasonTLS
	}
	return connlog.ReasonLost
}

// Forbidden says that this computer itself forbade a connection: a firewall's rule for outgoing packets, or Windows'
// answer to a port that another program holds.
func Forbidden(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno == syscall.EACCES || errno == syscall.EPERM || errno == wsaEACCES)
}

func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}
