package client

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"portside/wire"
)

// EntryType is what an [Entry] is.
type EntryType uint8

const (
	File EntryType = iota
	Folder
	Link
	Other // a device, a socket, or something whose name can't be used
)

// String is the type in words.
func (t EntryType) String() string {
	switch t {
	case File:
		return "file"
	case Folder:
		return "folder"
	case Link:
		return "link"
	default:
		return "other"
	}
}

// Entry is one line of a listing.
type Entry struct {
	Name string
	Size int64     // bytes; 0 when the server does not say
	Time time.Time // UTC; zero when the server does not say. LIST's is in the server's zone, see [Session.TimeOffset]
	// Precision is how much later than Time the file may have been changed: LIST gives the minute, of old files the day.
	Precision time.Duration
	Rights    string // "rwxr-xr-x", or the perm fact of MLSD (RFC 3659 section 7.5.5) when that is all there is
	Owner     string
	Target    string // of a link, when the server says
	// ID tells the folder from all others of the server (the unique fact, RFC 3659 section 7.5.2); "" when the server does
	// not say, and of what is no folder.
	ID   string
	Type EntryType
	// Unsafe: the server sent a name that holds a path or control characters, or a line that is an entry's and can't be
	// read. Name shows it with those characters replaced, so it names nothing on either side; Type is Other.
	Unsafe bool
}

// lineKind is what a line of a listing is.
type lineKind int

const (
	lineEntry lineKind = iota
	lineSelf           // the folder itself or the one above, or a sum
	lineOdd            // unreadable; with a name it was some entry's
)

type parser func(line string, now time.Time) (Entry, lineKind)

// checkName settles whether the entry's name can be used.
func (e Entry) checkName() (Entry, lineKind) {
	switch e.Name {
	case "":
		return e, lineOdd
	case ".", "..":
		return e, lineSelf
	}
	bad := func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }
	e.Target = wire.Escape(e.Target)
	if strings.ContainsFunc(e.Name, bad) {
		e.Name = harmless(e.Name)
		e.Type, e.Unsafe, e.Target = Other, true, ""
	}
	return e, lineEntry
}

// harmless is text that looks as name does and can't name anything.
func harmless(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '/':
			return '\u2215' // division slash
		case r < ' ':
			return '\u2400' + r // control pictures
		case r == 0x7f:
			return '\u2421'
		}
		return r
	}, name)
}

// unreadable is a line that is some entry's.
func unreadable(line string) (Entry, lineKind) {
	return Entry{Name: clip(harmless(line)), Type: Other, Unsafe: true}, lineOdd
}

// parseMLSD reads "fact=value;fact=value; name" (RFC 3659 section 7.2).
func parseMLSD(line string, _ time.Time) (Entry, lineKind) {
	facts, name, err := wire.ParseFacts(line)
	if err != nil {
		return unreadable(line)
	}
	e, self := Entry{Name: name}, false
	for _, f := range facts {
		switch f.Name {
		case "type":
			kind, target, _ := strings.Cut(f.Value, ":")
			switch strings.ToLower(kind) {
			case "file":
				e.Type = File
			case "dir":
				e.Type = Folder
			case "cdir", "pdir":
				self = true
			case "os.unix=slink", "os.unix=symlink":
				e.Type, e.Target = Link, target
			default:
				e.Type = Other
			}
		case "size":
			e.Size, _ = wire.ParseOffset(f.Value)
		case "modify":
			e.Time, _ = wire.ParseTime(f.Value)
		case "unique":
			e.ID = f.Value
		case "perm":
			if e.Rights == "" {
				e.Rights = wire.Escape(f.Value)
			}
		case "unix.mode":
			// pyftpdlib writes it as Python does.
			if n, err := strconv.ParseUint(strings.TrimPrefix(f.Value, "0o"), 8, 32); err == nil {
				e.Rights = FormatRights(uint32(n))
			}
		case "unix.owner", "unix.ownername":
			e.Owner = wire.Escape(f.Value)
		case "unix.uid":
			if e.Owner == "" {
				e.Owner = wire.Escape(f.Value)
			}
		}
	}
	if self {
		return e, lineSelf
	}
	if e.Type != File {
		e.Size = 0
	}
	if e.Type != Folder {
		e.ID = ""
	}
	return e.checkName()
}

// parseLIST reads a line of LIST, which no RFC defines: what Unix's "ls -l" and its imitators write, and DOS "dir".
func parseLIST(line string, now time.Time) (Entry, lineKind) {
	if strings.TrimSpace(line) == "" || len(line) >= 5 && strings.EqualFold(line[:5], "total") && len(strings.Fields(line)) <= 2 {
		return Entry{}, lineSelf
	}
	w := words(line)
	if e, ok := parseDOS(line, w); ok {
		return e.checkName()
	}
	if e, ok := parseUnix(line, w, now); ok {
		return e.checkName()
	}
	if len(w) >= 4 && (rights.MatchString(w[0].text) || strings.HasPrefix(w[2].text, "<")) {
		return unreadable(line)
	}
	return Entry{}, lineOdd // a word of the server's between the entries
}

// rights are those at the begin of a line of "ls -l".
var rights = regexp.MustCompile(`^[-dlbcpsD?][-rwxsStT?]{9}`)

// word is a run of non-blanks and where it ends in the line.
type word struct {
	text string
	end  int
}

// maxWords is how many are looked at: a date never stands further back.
const maxWords = 12

func words(line string) []word {
	out := make([]word, 0, maxWords)
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		start := i
		for i < len(line) && line[i] != ' ' && line[i] != '\t' {
			i++
		}
		if out = append(out, word{line[start:i], i}); len(out) == maxWords {
			break
		}
	}
	return out
}

// parseUnix finds the date in the line: what stands before it are rights, links, owner, group and size, each of which
// some server leaves out, and after one blank comes the name.
func parseUnix(line string, w []word, now time.Time) (Entry, bool) {
	if strings.IndexByte("-dlbcpsD", line[0]) < 0 || len(w) < 5 || len(w[0].text) < 10 {
		return Entry{}, false
	}
	for i := 2; i+1 < len(w); i++ {
		if !digital(w[i-1]) {
			continue
		}
		t, precise, used := listTime(w[i:], now)
		bytes, err := strconv.ParseInt(w[i-1].text, 10, 64)
		if used == 0 || err != nil {
			continue
		}
		after := w[i+used-1].end
		if after+1 >= len(line) {
			return Entry{}, false
		}
		e := Entry{Name: line[after+1:], Time: t, Precision: precise, Rights: wire.Escape(w[0].text[1:10])}
		if i >= 4 {
			e.Owner = wire.Escape(w[2].text)
		}
		switch line[0] {
		case '-':
			e.Type, e.Size = File, bytes
		case 'd':
			e.Type = Folder
		case 'l':
			e.Type = Link
			e.Name, e.Target, _ = strings.Cut(e.Name, " -> ")
		default:
			e.Type = Other
		}
		return e, true
	}
	return Entry{}, false
}

// wholeDay is how precise the time of an old file is.
const wholeDay = 24 * time.Hour

// listTime reads the date at the beginning of w, and says how precise it is and how many words it has: "Jan 2 15:04",
// "Jan 2 2006", "2 Jan 2006", "2006-01-02 15:04".
func listTime(w []word, now time.Time) (at time.Time, precise time.Duration, used int) {
	if len(w) >= 2 && len(w[0].text) == len("2006-01-02") {
		layout, precise := "2006-01-02 15:04", time.Minute
		if len(w[1].text) > len("15:04") {
			layout, precise = "2006-01-02 15:04:05", 0
		}
		if t, err := time.ParseInLocation(layout, w[0].text+" "+w[1].text, time.UTC); err == nil {
			return t, precise, 2
		}
	}
	if len(w) < 3 {
		return time.Time{}, 0, 0
	}
	month, day := w[0].text, w[1].text
	if len(month) <= 2 {
		month, day = day, month
	}
	if len(month) != len("Jan") || !digital(word{text: day}) {
		return time.Time{}, 0, 0
	}
	m, err := time.Parse("Jan", month)
	d, err2 := strconv.Atoi(day)
	if err != nil || err2 != nil || d < 1 || d > 31 {
		return time.Time{}, 0, 0
	}
	if year, err := strconv.Atoi(w[2].text); err == nil && len(w[2].text) == 4 {
		t := time.Date(year, m.Month(), d, 0, 0, 0, 0, time.UTC)
		return t, wholeDay, validDay(t, d)
	}
	clock, err := time.Parse("15:04", w[2].text)
	if err != nil {
		return time.Time{}, 0, 0
	}
	// No year: the latest one that has this day and does not lie in the future, a day of difference in clocks aside.
	for year := now.UTC().Year() + 1; year > now.UTC().Year()-9; year-- {
		t := time.Date(year, m.Month(), d, clock.Hour(), clock.Minute(), 0, 0, time.UTC)
		if t.Day() == d && t.Before(now.Add(24*time.Hour)) {
			return t, time.Minute, 3
		}
	}
	return time.Time{}, 0, 0
}

// digital says that a word may be a number: to find out by an error costs memory, which a long listing has no time to clear.
func digital(w word) bool { return w.text[0] >= '0' && w.text[0] <= '9' }

func validDay(t time.Time, day int) int {
	if t.Day() != day {
		return 0
	}
	return 3
}

// parseDOS reads "01-02-06  03:04PM  <DIR>  name" and its relatives, as Microsoft's servers write them.
func parseDOS(line string, w []word) (Entry, bool) {
	if len(w) < 4 || !digital(w[0]) {
		return Entry{}, false
	}
	var t time.Time
	var err error
	for _, layout := range []string{"01-02-06 03:04PM", "01-02-2006 03:04PM", "01-02-06 15:04", "01-02-2006 15:04", "2006-01-02 15:04"} {
		if t, err = time.ParseInLocation(layout, w[0].text+" "+w[1].text, time.UTC); err == nil {
			break
		}
	}
	if err != nil {
		return Entry{}, false
	}
	e := Entry{Time: t, Precision: time.Minute}
	rest := line[w[2].end:]
	if w[2].text == "<DIR>" {
		e.Type, e.Name = Folder, strings.TrimLeft(rest, " ")
		return e, true
	}
	if e.Size, err = strconv.ParseInt(w[2].text, 10, 64); err != nil || e.Size < 0 || rest == "" {
		return Entry{}, false
	}
	e.Name = rest[1:]
	return e, true
}
