package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
)

// Fact is one fact of an MLST or MLSD line, RFC 3659 section 7.5.
type Fact struct{ Name, Value string }

// ParseFacts reads one MLST or MLSD line without its line end. Fact names are returned in lower case: they are case
// independent. A value may hold spaces, which section 7.2 does not allow: ProFTPD tells names of groups such as "domain
// users" so.
func ParseFacts(line string) (facts []Fact, name string, err error) {
	list, name, found := strings.Cut(line, " ")
	if spaced, after, ok := strings.Cut(line, "; "); ok && list != "" && !strings.HasSuffix(list, ";") {
		list, name = spaced+";", after
	}
	if !found || name == "" {
		return nil, "", fmt.Errorf("%.80q: no space between facts and name", line)
	}
	facts = make([]Fact, 0, min(strings.Count(list, ";"), 16)) // no server has more
	for list != "" {
		one, rest, closed := strings.Cut(list, ";")
		key, value, has := strings.Cut(one, "=")
		if !closed || !has || key == "" || strings.Contains(value, " ") && !strings.HasPrefix(strings.ToLower(key), "unix.") {
			return nil, "", fmt.Errorf("%.80q: fact %q is not name=value;", line, one)
		}
		facts = append(facts, Fact{strings.ToLower(key), value})
		list = rest
	}
	return facts, name, nil
}

// FormatTime returns YYYYMMDDHHMMSS in UTC, as MDTM, MFMT and the modify fact write it (RFC 3659 section 2.3).
func FormatTime(t time.Time) string { return string(AppendTime(nil, t)) }

// AppendTime appends what FormatTime returns to b.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(b, year, 4, '0')
	for _, n := range [...]int{int(month), day, hour, minute, second} {
		b = appendDigits(b, n, 2, '0')
	}
	return b
}

// appendDigits appends n with fill in front, so that it has width characters at least.
func appendDigits[N int | int64](b []byte, n N, width int, fill byte) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], int64(n), 10)
	for i := len(text); i < width; i++ {
		b = append(b, fill)
	}
	return append(b, text...)
}

// ParseTime reads YYYYMMDDHHMMSS with an optional fraction, in UTC (RFC 3659 section 2.3).
func ParseTime(s string) (time.Time, error) {
	whole, frac, has := strings.Cut(s, ".")
	if len(whole) != 14 || strings.Trim(whole, "0123456789") != "" ||
		has && (frac == "" || len(frac) > 9 || strings.Trim(frac, "0123456789") != "") {
		return time.Time{}, fmt.Errorf("%.40q is not a time YYYYMMDDHHMMSS", s)
	}
	t, err := time.ParseInLocation("20060102150405", whole, time.UTC)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a time YYYYMMDDHHMMSS", s)
	}
	if has {
		n, _ := strconv.Atoi(frac + strings.Repeat("0", 9-len(frac)))
		t = t.Add(time.Duration(n))
	}
	return t, nil
}

// AppendList appends one line of a LIST reply in the format of "ls -l", without its line end. Times are in UTC: a
// client knows nothing of the server's zone. Entries from half a year ago to a day ahead of now carry the hour, others
// the year, as ls does. Links must have been resolved before: only directories and files are told apart.
func AppendList(b []byte, mode fs.FileMode, size int64, modified, now time.Time, name string) []byte {
	kind := byte('-')
	if mode.IsDir() {
		kind = 'd'
	}
	b = append(b, kind)
	const letters = "rwxrwxrwx"
	for i := range 9 {
		if mode&(1<<(8-i)) != 0 {
			b = append(b, letters[i])
		} else {
			b = append(b, '-')
		}
	}
	b = append(b, "   1 ftp      ftp      "...)
	b = appendDigits(b, size, 12, ' ')
	b = append(b, ' ')
	t := modified.UTC()
	year, month, day := t.Date()
	b = append(b, month.String()[:3]...)
	b = append(b, ' ')
	b = appendDigits(b, day, 2, ' ')
	b = append(b, ' ')
	if withHour(t, now) {
		hour, minute, _ := t.Clock()
		b = appendDigits(b, hour, 2, '0')
		b = append(b, ':')
		b = appendDigits(b, minute, 2, '0')
	} else {
		b = append(b, ' ')
		b = appendDigits(b, year, 4, '0')
	}
	b = append(b, ' ')
	return append(b, name...)
}

// withHour says whether a listing shows the hour of a time, not its year.
func withHour(t, now time.Time) bool {
	const day = 24 * time.Hour
	switch age := now.Sub(t); {
	case age <= -day || age > 184*day: // six months have 181 to 184 days
		return false
	case age < 181*day:
		return true
	}
	return t.After(now.AddDate(0, -6, 0))
}

// ErrNegative says that a REST offset or a size is below zero.
var ErrNegative = errors.New("number is below zero")

// AddSizes adds two byte counts, neither of them below zero. A server may name any size, so a sum that an int64 can't hold
// is the most that it can.
func AddSizes(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// ParseOffset reads a byte count as REST and ALLO name it: digits and no sign (RFC 3659 section 5.2), with spaces
// around it forgiven.
func ParseOffset(s string) (int64, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err == nil && n < 0:
		return 0, ErrNegative
	case err != nil, s[0] == '+', s[0] == '-':
		return 0, fmt.Errorf("%.40q is not a number of bytes", s)
	}
	return n, nil
}
