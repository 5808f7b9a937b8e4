package wire

import (
	"errors"
	"io/fs"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseCommand(t *testing.T) {
	for _, x := range []struct {
		line string
		want Command
		err  error // nil none; errAny any
	}{
		{"RETR a b ", Command{"RETR", "a b "}, nil},
		{"retr  a", Command{"RETR", " a"}, nil},
		{"NOOP", Command{"NOOP", ""}, nil},
		{"\xff\xf4\xff\xf2ABOR", Command{"ABOR", ""}, nil},
		{"\xf2ABOR", Command{"ABOR", ""}, nil},
		{"CWD \xc3\xa9", Command{"CWD", "é"}, nil},
		{"MKD a\rb", Command{"MKD", "a\rb"}, ErrControlByte},
		{"PASS \x00", Command{"PASS", "\x00"}, ErrControlByte},
		{"", Command{}, errAny},
		{" NOOP", Command{"", "NOOP"}, errAny},
		{"N0OP", Command{}, errAny},
	} {
		got, err := ParseCommand(x.line)
		if got != x.want || (x.err == nil) != (err == nil) || x.err != nil && x.err != errAny && !errors.Is(err, x.err) {
			t.Errorf("%q: %+v, %v", x.line, got, err)
		}
	}
}

var errAny = errors.New("any error")

func TestMaskAndEscape(t *testing.T) {
	for in, want := range map[string]string{
		"PASS secret": "PASS ****", "pass secret": "PASS ****", "PASS": "PASS", " PASS secret": "PASS ****", "\tPASS secret": "PASS ****", "PASS\x00secret": "PASS****",
		"\xff\xf4PASS secret": "PASS ****", "ACCT x": "ACCT ****", "acct\tx": "ACCT****", "RETR a\x1b[31mb": `RETR a\x1b[31mb`, "CWD \u202ea\u2028": `CWD \u202ea\u2028`,
		"SITE PSWD old new": "SITE PSWD ****", " site  pass x": "SITE PASS ****", "SITE CHMOD 600 a": "SITE CHMOD 600 a", "SITE PSWD": "SITE PSWD",
		"CWD \xff": `CWD \xff`, "CWD \u0085": `CWD \u0085`, "CWD é": "CWD é",
	} {
		if got := Mask(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestReplyFormatAndParse(t *testing.T) {
	for _, x := range []struct {
		r    Reply
		wire string
	}{
		{Reply{220, []string{"Ready"}}, "220 Ready\r\n"},
		{Reply{211, []string{"Features:", " UTF8", "End"}}, "211-Features:\r\n UTF8\r\n211 End\r\n"},
		{Reply{213, []string{"a", "213 trick", "end"}}, "213-a\r\n 213 trick\r\n213 end\r\n"},
		{Reply{550, []string{"a\r\n226 forged"}}, "550 a??226 forged\r\n"},
	} {
		if got := string(x.r.Format()); got != x.wire {
			t.Errorf("%v: %q", x.r, got)
		}
	}
	for _, x := range []struct {
		in, rest string
		want     Reply
		err      error
	}{
		{"220 a\r\n331 b\r\n", "331 b\r\n", Reply{220, []string{"a"}}, nil},
		{"220\n", "", Reply{220, []string{""}}, nil},
		{"211-a\r\nb\r\n211-c\r\n 5\r\n211 d\r\n", "", Reply{211, []string{"a", "b", "c", "5", "d"}}, nil},
		{"211-a\r\n220 not the end\r\n211 d\r\n", "", Reply{211, []string{"a", "220 not the end", "d"}}, nil},
		{"22", "", Reply{}, ErrIncomplete},
		{"211-a\r\n211 b", "", Reply{}, ErrIncomplete},
		{"SSH-2.0-x\r\n", "", Reply{}, errAny},
		{"HTTP/1.1", "", Reply{}, errAny},
	} {
		got, rest, err := ParseReply([]byte(x.in))
		if (x.err == nil) != (err == nil) || x.err == ErrIncomplete && err != x.err {
			t.Errorf("%q: %v", x.in, err)
		} else if err == nil && (!reflect.DeepEqual(got, x.want) || string(rest) != x.rest) {
			t.Errorf("%q: %+v, rest %q", x.in, got, rest)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, path := range []string{"/", `/a "b"`, `"`, `""`, ""} {
		if got, err := Parse257(Quote(path) + ` is "made"`); got != path || err != nil {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
	for _, bad := range []string{"", "no quote", `"open`} {
		if _, err := Parse257(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
}

func TestGreeting(t *testing.T) {
	if got := ParseGreeting(Greeting("Portside", "1a2b3c4d")); got != "1a2b3c4d" {
		t.Errorf("got %q", got)
	}
	for _, other := range []string{"(vsFTPd 3.0.3)", "[session ]", "[session a", "[session \x1b]", "[session " + strings.Repeat("a", 65) + "]"} {
		if got := ParseGreeting(other); got != "" {
			t.Errorf("%q gives %q", other, got)
		}
	}
}

func TestFacts(t *testing.T) {
	facts := []Fact{{"type", "file"}, {"size", "3"}}
	line := formatFacts(facts, " a;b ")
	got, name, err := ParseFacts(line)
	if err != nil || name != " a;b " || !reflect.DeepEqual(got, facts) {
		t.Errorf("%q: %v %q %v", line, got, name, err)
	}
	spaced := []Fact{{"type", "dir"}, {"unix.groupname", "domain users"}, {"unix.mode", "0755"}}
	if got, name, err := ParseFacts("type=dir;UNIX.groupname=domain users;UNIX.mode=0755; a; b"); err != nil || name != "a; b" || !reflect.DeepEqual(got, spaced) {
		t.Errorf("%v %q %v", got, name, err)
	}
	for _, bad := range []string{"", "type=file;", "type=file; ", "type a", "type=file a", "=x; a", "type=file;size=3 x; y"} {
		if _, _, err := ParseFacts(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
	if got, _, err := ParseFacts("Type=File; x"); err != nil || got[0] != (Fact{"type", "File"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)
	if got, err := ParseTime(FormatTime(at.In(time.FixedZone("x", 3600)))); err != nil || !got.Equal(at) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseTime("20240229235958.25"); err != nil || !got.Equal(at.Add(250*time.Millisecond)) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "2024", "20240230000000", "20240229236000", "20240229235958.", "+0240229235958", "20240229235958.1234567890"} {
		if _, err := ParseTime(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
}

func TestListLine(t *testing.T) {
	now := time.Date(2024, 6, 15, 12, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		mode fs.FileMode
		size int64
		at   time.Time
		name string
		want string
	}{
		{0o644, 5, now.Add(-time.Hour), "a b", "-rw-r--r--   1 ftp      ftp                 5 Jun 15 11:00 a b"},
		{0o750 | fs.ModeDir | fs.ModeSticky, 4096, now.AddDate(-1, 0, 0), "d", "drwxr-x---   1 ftp      ftp              4096 Jun 15  2023 d"},
		{0o600 | fs.ModeSetuid, 1 << 42, now.AddDate(0, 0, 3), "x", "-rw-------   1 ftp      ftp      4398046511104 Jun 18  2024 x"},
	} {
		if got := string(AppendList(nil, x.mode, x.size, x.at, now, x.name)); got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}

// Times are written by hand, since a listing has many: they must be those of package time and ls.
func TestListTimesAreThoseOfPackageTime(t *testing.T) {
	for _, now := range []time.Time{time.Date(2024, 6, 15, 12, 0, 0, 0, time.UTC), time.Date(2023, 8, 31, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 23, 59, 59, 999, time.UTC)} {
		for hours := -60 * 24; hours < 400*24; hours += 7 {
			at := now.Add(-time.Duration(hours) * time.Hour)
			want := at.Format("Jan _2  2006")
			if at.After(now.AddDate(0, -6, 0)) && at.Before(now.Add(24*time.Hour)) {
				want = at.Format("Jan _2 15:04")
			}
			if got := string(AppendList(nil, 0, 0, at.In(time.FixedZone("x", 3600)), now, "n")); !strings.HasSuffix(got, " 0 "+want+" n") {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	for _, sec := range []int64{0, -1, 1 << 31, 1 << 33, -62135596801, 253402300800, 1718453445} {
		at := time.Unix(sec, 5)
		if got, want := FormatTime(at), at.UTC().Format("20060102150405"); got != want {
			t.Errorf("%d: %s, want %s", sec, got, want)
		}
	}
}

func TestAddressCodecs(t *testing.T) {
	for _, s := range []string{"192.0.2.1:50210", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:65535"} {
		ap := netip.MustParseAddrPort(s)
		want := netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
		if got, err := ParseEPRT(FormatEPRT(ap)); err != nil || got != want {
			t.Errorf("EPRT %s: %v, %v", s, got, err)
		}
		if got, err := Parse229(Format229(ap.Port())); err != nil || got != ap.Port() {
			t.Errorf("229 %s: %v, %v", s, got, err)
		}
		if want.Addr().Is4() {
			if got, err := ParsePort(FormatPort(ap)); err != nil || got != want {
				t.Errorf("PORT %s: %v, %v", s, got, err)
			}
			if got, err := Parse227(Format227(ap)); err != nil || got != want {
				t.Errorf("227 %s: %v, %v", s, got, err)
			}
		}
	}
	for _, bad := range []string{"", "1,2,3,4,5", "1,2,3,4,5,6,7", "256,0,0,1,1,1", "01,0,0,1,1,1", "+1,0,0,1,1,1", "a,0,0,1,1,1", "1,2,3,4,5, 6"} {
		if got, err := ParsePort(bad); err == nil {
			t.Errorf("PORT %q gives %v", bad, got)
		}
	}
	for _, bad := range []string{"", "|1|1.2.3.4|", "|1|1.2.3.4|0|", "|1|::1|5|", "|2|1.2.3.4|5|", "|2|fe80::1%eth0|5|", "|1|1.2.3.4|05|", "x", "|||||"} {
		if got, err := ParseEPRT(bad); err == nil {
			t.Errorf("EPRT %q gives %v", bad, got)
		}
	}
	if _, err := ParseEPRT("|3|x|5|"); !errors.Is(err, ErrFamily) {
		t.Error(err)
	}
	for _, bad := range []string{"", "(||5|)", "(|||5)", "(|||0|)", "(|||70000|)", "(|||5|"} {
		if got, err := Parse229(bad); err == nil {
			t.Errorf("229 %q gives %v", bad, got)
		}
	}
	if ap, err := Parse227("=192,0,2,1,4,1"); err != nil || ap.String() != "192.0.2.1:1025" {
		t.Error("227 without brackets:", ap, err)
	}
	for text, want := range map[string]string{
		"Entering Passive Mode (192,000,002,001,004,001).": "192.0.2.1:1025", "Entering Passive Mode (192, 0, 2, 1, 4, 1).": "192.0.2.1:1025",
		"Passive, please: 192,0,2,1,4,1": "192.0.2.1:1025", "(0,0,0,0,000,21)": "0.0.0.0:21",
	} {
		if ap, err := Parse227(text); err != nil || ap.String() != want {
			t.Errorf("227 %s: %v, %v", text, ap, err)
		}
	}
	for _, bad := range []string{"(192,0,2,1,4)", "(192,0,2,1,4,1,1)", "(192,0,2,256,4,1)", "192 0 2 1 4 1", "(192,,2,1,4,1)", ""} {
		if ap, err := Parse227(bad); err == nil {
			t.Errorf("227 %s gives %v", bad, ap)
		}
	}
}

func TestSizesOfNonsenseAddUpToTheMost(t *testing.T) {
	const most = math.MaxInt64
	for _, c := range [][3]int64{{0, 0, 0}, {2, 3, 5}, {most, 0, most}, {0, most, most}, {most, 1, most}, {most - 1, 1, most}, {most, most, most}} {
		if got := AddSizes(c[0], c[1]); got != c[2] {
			t.Errorf("%d and %d are %d", c[0], c[1], got)
		}
	}
}

func TestOffset(t *testing.T) {
	if n, err := ParseOffset(" 42 "); n != 42 || err != nil {
		t.Error(n, err)
	}
	for _, bad := range []string{"", "x", "-1", "1.5", "99999999999999999999", "0x10"} {
		if _, err := ParseOffset(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
}

// formatFacts writes an MLST or MLSD line without its line end (RFC 3659 section 7.2).
func formatFacts(facts []Fact, name string) string {
	line := ""
	for _, f := range facts {
		line += f.Name + "=" + f.Value + ";"
	}
	return line + " " + name
}
