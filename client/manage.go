package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"portside/connlog"
	"portside/wire"
)

// ListPieces is [Session.List] that also hands out what it has read while the rest is on its way: piece is called in
// the caller's goroutine, for each part that arrives, with all entries so far. It may keep them but not change them.
func (s *Session) ListPieces(ctx context.Context, dir string, piece func([]Entry)) ([]Entry, error) {
	return s.list(ctx, dir, piece)
}

// Chmod sets the rights of a file or folder (SITE CHMOD, which no RFC has and nearly every server on Unix knows). Only
// the nine bits of [fs.ModePerm] and the three above them, as chmod(1) writes them in octal, count.
func (s *Session) Chmod(ctx context.Context, path string, mode uint32) error {
	err := s.do(ctx, "set the rights of", path, func() error {
		r, err := s.ctl.command(s.ctl.op, fmt.Sprintf("SITE CHMOD %03o %s", mode&0o7777, path))
		if err == nil && r.code >= 300 {
			err = errRefused
		}
		return err
	})
	if e, ok := asType[*Error](err); ok && slices.Contains([]int{500, 502, 504}, e.Code) {
		e.Advice = "This server has no command to change rights."
	}
	return err
}

// ParseRights reads "rwxr-xr-x" as an [Entry] shows it, with the letters s, S, t and T for the bits above. It reports
// false for anything else, such as the perm fact of MLSD.
func ParseRights(text string) (mode uint32, ok bool) {
	if len(text) != 9 {
		return 0, false
	}
	for i, c := range []byte(text) {
		bit, special := uint32(1)<<(8-i), uint32(1)<<(11-i/3)
		switch {
		case c == '-':
		case c == "rwx"[i%3]:
			mode |= bit
		case i%3 == 2 && (c == 's' && i < 8 || c == 't' && i == 8):
			mode |= bit | special
		case i%3 == 2 && (c == 'S' && i < 8 || c == 'T' && i == 8):
			mode |= special
		default:
			return 0, false
		}
	}
	return mode, true
}

// FormatRights writes the nine bits as "rwxr-xr-x".
func FormatRights(mode uint32) string { return fs.FileMode(mode & 0o777).String()[1:] }

// rawRefused are commands that [Session.Raw] does not send, and why.
var rawRefused = []struct {
	verbs []string
	why   string
}{
	{transferVerbs, "it needs a data channel, which a typed command gets none of"},
	{[]string{"PASV", "EPSV", "PORT", "EPRT", "LPRT", "LPSV", "SPSV"}, "data channels are negotiated with the transfers that need them"},
	{[]string{"AUTH", "CCC", "REIN", "PROT", "PBSZ", "USER", "PASS", "ACCT"}, "it would change how this session is signed in or protected: connect again for that"},
	{[]string{"QUIT", "ABOR"}, "use Disconnect or Cancel"},
	{[]string{"MODE", "STRU", "REST"}, "the transfers after it would go wrong"},
}

// checkRaw says why a typed command can't be sent.
func checkRaw(line string) error {
	verb := verbOf(line)
	if verb == "" {
		return errors.New("type a command, such as STAT or SITE HELP")
	}
	for _, r := range rawRefused {
		if slices.Contains(r.verbs, verb) {
			return fmt.Errorf("%s is not sent by hand: %s", verb, r.why)
		}
	}
	return nil
}

// Command sends what a person typed, as [Session.Raw] does, except what would put the session out of step: commands
// that need a data channel, and those that change the sign-in or the protection.
func (s *Session) Command(ctx context.Context, line string) (Reply, error) {
	if err := checkRaw(line); err != nil {
		return Reply{}, &Error{Op: "send", On: wire.Mask(line), Reason: connlog.ReasonPolicy, Err: err}
	}
	return s.Raw(ctx, line)
}
