package localserver

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestWhyTellsWhatTheSystemSaidAndKeepsWhatIsOurs(t *testing.T) {
	cut := &net.OpError{Op: "readfrom", Net: "tcp4", Err: os.NewSyscallError("sendfile", syscall.EPIPE)}
	disk := &localError{&fs.PathError{Op: "write", Path: "/srv/./.portside-upload-1", Err: syscall.ENOSPC}}
	for err, want := range map[error]string{
		cut:                           syscall.EPIPE.Error(),
		fmt.Errorf("moving: %w", cut): syscall.EPIPE.Error(),
		disk:                          syscall.ENOSPC.Error(),
		errStalled:                    errStalled.Error(),
	} {
		if got := why(err); got != want {
			t.Errorf("%v is told as %q, want %q", err, got, want)
		}
	}
}
