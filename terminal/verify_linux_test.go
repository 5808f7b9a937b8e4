package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"portside/client"
)

// keyboard is a terminal on which somebody has typed text.
func keyboard(t *testing.T, text string) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals of programs on this system: ", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if _, err := master.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return slave
}

func TestACertificateIsAskedAboutOnceForAllSessions(t *testing.T) {
	c, _, errs := console(t)
	c.In = keyboard(t, "yes\n")
	trust := verify(c)
	problem := client.CertificateProblem{Host: "h", SHA256: "AA", Err: errors.New("unknown authority")}
	for range 3 {
		if err := trust(context.Background(), problem); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(errs.String(), "(yes/no)"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// Another one is another question.
	c.In = keyboard(t, "no\n")
	if err := verify(c)(context.Background(), problem); !errors.Is(err, problem.Err) {
		t.Error(err)
	}
}
