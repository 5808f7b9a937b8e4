package doctor

import (
	"fmt"
	"strings"

	"portside/connlog"
)

// OwnSide says that this computer or its network has to change: it is then no admin of the server who can help.
func (r Report) OwnSide() bool { return r.Side == ClientComputer || r.Side == ClientNetwork }

func (f Fix) ownSide() bool { return f.Side == ClientComputer || f.Side == ClientNetwork }

// ForAdmin is a report for the admin who has to act, most often the server's: what was seen from here, and what would put
// it right. It holds no password, and no address of this computer but the one that the server sees anyway when no router stands between.
func (r Report) ForAdmin() string {
	var b strings.Builder
	e := &r.Evidence
	host := e.Target.Host
	if e.Peer.IsValid() && e.Peer.Addr().String() != host {
		host = fmt.Sprintf("%s (%s)", host, e.Peer.Addr())
	}
	fmt.Fprintf(&b, "Hello,\n\nI can't use the FTP server %s, port %d, as I should. ", host, e.Target.ControlPort())
	switch r.Verdict {
	case OK:
		b.Reset()
		fmt.Fprintf(&b, "Hello,\n\nthe FTP server %s, port %d, works from here. ", host, e.Target.ControlPort())
	case Undecided:
		b.Reset()
		fmt.Fprintf(&b, "Hello,\n\nI began to examine the FTP server %s, port %d, and found nothing wrong with it so far. ", host, e.Target.ControlPort())
	}
	fmt.Fprintf(&b, "This is what an examination showed on %s:\n\n", r.Started.UTC().Format("2 January 2006, 15:04 UTC"))
	sure := ""
	if r.Verdict != Undecided {
		sure = fmt.Sprintf(" (%s)", r.Confidence)
	}
	fmt.Fprintf(&b, "  %s%s\n", r.Sentence, sure)
	if r.Second != nil {
		fmt.Fprintf(&b, "  Also: %s (%s)\n", r.Second.Sentence, r.Second.Confidence)
	}
	b.WriteString("\nWhat was tried:\n\n")
	for _, f := range r.Facts {
		if f.Running || f.Probe == ProbeSignIn && f.OK {
			continue
		}
		mark := map[bool]string{true: "ok  ", false: "FAIL"}[f.OK]
		if f.Note {
			mark = "note"
		}
		who := ""
		switch f.By {
		case connlog.Client:
			who = " (opened by me)"
		case connlog.Server:
			who = " (opened by the server)"
		}
		fmt.Fprintf(&b, "  %s  %s%s: %s\n", mark, f.Title(), who, f.Result())
	}
	first, what := true, "What would help on your side"
	if r.OwnSide() {
		what = "What would help"
	}
	for _, f := range r.Fixes {
		if f.ownSide() && !r.OwnSide() {
			continue
		}
		if first {
			fmt.Fprintf(&b, "\n%s:\n", what)
			first = false
		}
		fmt.Fprintf(&b, "\n  - %s\n", f.Text)
		if f.Chosen < len(f.Variants) {
			v := f.Variants[f.Chosen]
			fmt.Fprintf(&b, "    %s:\n      %s\n", v.Name, strings.ReplaceAll(v.Command, "\n", "\n      "))
		}
	}
	if r.Software != "" {
		fmt.Fprintf(&b, "\nThe server seems to be %s.", r.Software)
	}
	b.WriteString("\nThank you!\n")
	return b.String()
}
