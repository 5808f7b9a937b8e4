package client

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"portside/connlog"
)

var now = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

func day(y int, m time.Month, d, h, min int) time.Time {
	return time.Date(y, m, d, h, min, 0, 0, time.UTC)
}

func TestLinesOfLIST(t *testing.T) {
	for line, want := range map[string]Entry{
		"-rw-r--r--    1 0        0         3145728 Feb 28 21:05 a file.bin":  {Name: "a file.bin", Size: 3145728, Time: day(2024, 2, 28, 21, 5), Precision: time.Minute, Rights: "rw-r--r--", Owner: "0"},
		"drwxr-xr-x+   2 bob      staff        4096 Dec 31 23:59 sub":         {Name: "sub", Type: Folder, Time: day(2023, 12, 31, 23, 59), Precision: time.Minute, Rights: "rwxr-xr-x", Owner: "bob"},
		"lrwxrwxrwx    1 bob      staff           4 Jan  2  2020 l -> /a/b c": {Name: "l", Type: Link, Target: "/a/b c", Time: day(2020, 1, 2, 0, 0), Precision: wholeDay, Rights: "rwxrwxrwx", Owner: "bob"},
		"-rw-r--r-- 1 bob 12 Jan 02 2020 nogroup":                             {Name: "nogroup", Size: 12, Time: day(2020, 1, 2, 0, 0), Precision: wholeDay, Rights: "rw-r--r--", Owner: "bob"},
		"-rw-r--r-- 1 bob staff 12 Feb 29 10:00 leap":                         {Name: "leap", Size: 12, Time: day(2024, 2, 29, 10, 0), Precision: time.Minute, Rights: "rw-r--r--", Owner: "bob"},
		"-rw-r--r-- 1 bob staff 12 Mar  2 10:00 tomorrow":                     {Name: "tomorrow", Size: 12, Time: day(2024, 3, 2, 10, 0), Precision: time.Minute, Rights: "rw-r--r--", Owner: "bob"},
		"-rw-r--r-- 1 bob staff 12 Mar  4 10:00 lastyear":                     {Name: "lastyear", Size: 12, Time: day(2023, 3, 4, 10, 0), Precision: time.Minute, Rights: "rw-r--r--", Owner: "bob"},
		"-rw-r--r-- 1 bob staff 12 2 Jan 2020 dayfirst":                       {Name: "dayfirst", Size: 12, Time: day(2020, 1, 2, 0, 0), Precision: wholeDay, Rights: "rw-r--r--", Owner: "bob"},
		"-rw-r--r-- 1 bob staff 12 2020-01-02 03:04 iso":                      {Name: "iso", Size: 12, Time: day(2020, 1, 2, 3, 4), Precision: time.Minute, Rights: "rw-r--r--", Owner: "bob"},
		"-rw-r--r-- 1 bob staff 12 Jan  2  2020  leading and trailing ":       {Name: " leading and trailing ", Size: 12, Time: day(2020, 1, 2, 0, 0), Precision: wholeDay, Rights: "rw-r--r--", Owner: "bob"},
		"crw-rw---- 1 root tty 4, 64 Jan  2  2020 ttyS0":                      {Name: "ttyS0", Type: Other, Time: day(2020, 1, 2, 0, 0), Precision: wholeDay, Rights: "rw-rw----", Owner: "root"},
		"01-02-20  03:04PM       <DIR>          some dir":                     {Name: "some dir", Type: Folder, Time: day(2020, 1, 2, 15, 4), Precision: time.Minute},
		"01-02-2020  03:04AM                 12 some file":                    {Name: "some file", Size: 12, Time: day(2020, 1, 2, 3, 4), Precision: time.Minute},
	} {
		got, kind := parseLIST(line, now)
		if kind != lineEntry || got != want {
			t.Errorf("%q:\n%+v, want\n%+v", line, got, want)
		}
	}
	for _, line := range []string{"total 12", "Total 0", "drwxr-xr-x 2 bob staff 1 Jan 2 2020 .", "drwxr-xr-x 2 bob staff 1 Jan 2 2020 .."} {
		if _, kind := parseLIST(line, now); kind != lineSelf {
			t.Errorf("%q is kind %v", line, kind)
		}
	}
	for _, line := range []string{"hello", "-rw-r--r-- 1 bob staff 12 Feb 30 2020 x", "-rw-r--r-- 1 bob staff -1 Jan 2 2020 x", "-rw-r--r-- 1 b s 1 Jan 2 2020"} {
		if e, kind := parseLIST(line, now); kind != lineOdd {
			t.Errorf("%q gave %+v", line, e)
		}
	}
}

func TestLinesOfMLSD(t *testing.T) {
	for line, want := range map[string]Entry{
		"Type=file;Size=5;Modify=20200102030405.5;Perm=adfr; a b": {Name: "a b", Size: 5, Time: time.Date(2020, 1, 2, 3, 4, 5, 5e8, time.UTC), Rights: "adfr"},
		"type=dir;unix.mode=0755;unix.owner=bob;perm=el; d":       {Name: "d", Type: Folder, Rights: "rwxr-xr-x", Owner: "bob"},
		"type=OS.unix=slink:/x;perm=r;unix.mode=0777; l":          {Name: "l", Type: Link, Target: "/x", Rights: "rwxrwxrwx"},
		"type=file;perm=r;unix.mode=0o640; py":                    {Name: "py", Rights: "rw-r-----"},
		"type=OS.unix=chr; tty":                                   {Name: "tty", Type: Other},
		"type=file;size=-3;modify=x;  leading":                    {Name: " leading"},
		" name only":                                              {Name: "name only"},
	} {
		got, kind := parseMLSD(line, now)
		if kind != lineEntry || got != want {
			t.Errorf("%q:\n%+v, want\n%+v", line, got, want)
		}
	}
	for _, line := range []string{"type=cdir; /x", "type=pdir; ..", "type=dir; .."} {
		if _, kind := parseMLSD(line, now); kind != lineSelf {
			t.Errorf("%q", line)
		}
	}
}

// A line that is an entry's is shown, though it names nothing; a word of the server's is not.
func TestEntriesThatCantBeReadAreShown(t *testing.T) {
	for _, x := range []struct {
		parse parser
		line  string
		shown string
	}{
		{parseMLSD, "type=file;size=3 a/b", "type=file;size=3 a\u2215b"},
		{parseLIST, "-rw-r--r-- 1 bob staff 12 Feb 30 2020 x", "-rw-r--r-- 1 bob staff 12 Feb 30 2020 x"},
		{parseLIST, "?--------- ? ? ? ? x", "?--------- ? ? ? ? x"},
		{parseLIST, "01-02-20  03:04PM       <JUNCTION>     j [C:\\x]", "01-02-20  03:04PM       <JUNCTION>     j [C:\\x]"},
		{parseLIST, "ls: a: Permission denied", ""},
	} {
		e, kind := x.parse(x.line, now)
		if kind != lineOdd || e.Name != x.shown || x.shown != "" && (!e.Unsafe || e.Type != Other) {
			t.Errorf("%q gave %+v", x.line, e)
		}
	}
}

func TestAQuotedReplyEndsTheSentenceOnce(t *testing.T) {
	err := &Error{Op: "List", On: "/x", Code: 550, Reply: "550 No such folder."}
	if got := err.Error(); got != `List /x: the server said "550 No such folder"` {
		t.Error(got)
	}
}

func FuzzListing(f *testing.F) {
	for _, s := range []string{"-rw-r--r-- 1 b s 1 Jan 2 2020 x", "type=file;size=1; x", "01-02-20 03:04PM <DIR> x", "l 1 2 3 -> ", "d -> "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if line == "" || strings.Contains(line, "\n") {
			return
		}
		for _, parse := range []parser{parseLIST, parseMLSD} {
			e, kind := parse(line, now)
			if kind == lineEntry && (e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00\r\n") || e.Size < 0) {
				t.Fatalf("%q gave %+v", line, e)
			}
			if kind == lineOdd && e.Name != "" && (!e.Unsafe || e.Type != Other || strings.ContainsAny(e.Name, "/\x00\r\n")) {
				t.Fatalf("%q can't be read, and gave %+v", line, e)
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"220 hi\r\n", "211-a\r\n b\r\n211 end\r\n", "220\n", "2", "\xff\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readReply(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		if r.code < 100 || r.code > 659 || strings.ContainsAny(r.String(), "\x00\x1b\r") {
			t.Fatalf("%q gave %q", b, r.String())
		}
		again, err := readReply(bufio.NewReader(strings.NewReader(r.wire())))
		if err != nil || again.code != r.code || len(again.lines) != len(r.lines) {
			t.Fatalf("%q gave %q, which reads back as %q, %v", b, r.wire(), again.wire(), err)
		}
	})
}

// Winsock has numbers of its own, and a host that its neighbours don't find is "down" on macOS.
func TestErrorsOfTheNetworkAreNamed(t *testing.T) {
	for errno, want := range map[syscall.Errno]connlog.Reason{
		10060: connlog.ReasonTimeout, 10061: connlog.ReasonRefused, 10054: connlog.ReasonReset, 10052: connlog.ReasonReset,
		10065: connlog.ReasonUnreachable, 10064: connlog.ReasonUnreachable, 10050: connlog.ReasonUnreachable,
		syscall.EHOSTDOWN: connlog.ReasonUnreachable, syscall.ENETDOWN: connlog.ReasonUnreachable, syscall.ETIMEDOUT: connlog.ReasonTimeout,
	} {
		err := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
		if got := ReasonOf(err); got != want {
			t.Errorf("%d is %q, not %q", uint(errno), got, want)
		}
	}
}

// Ports that Windows has reserved are not free, and the next one of a range is tried.
func TestAPortThatSomebodyHasIsKnownOnEverySystem(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{syscall.EADDRINUSE: true, 10048: true, 10013: true, syscall.EACCES: false, syscall.EADDRNOTAVAIL: false} {
		if got := addressInUse(&net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", errno)}); got != want {
			t.Errorf("%d: %v", uint(errno), got)
		}
	}
}
