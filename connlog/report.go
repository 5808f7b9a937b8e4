package connlog

import (
	"bufio"
	_ "embed"
	"html/template"
	"io"
	"net/netip"
	"time"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"class": func(s SpanStyle) string {
		return [...]string{"", "strong", "code", "muted", "client", "server", "good", "bad"}[s]
	},
	"clock": func(t time.Time) string { return t.Format("15:04:05.000") },
}).Parse(reportHTML))

// The report's diagram, in SVG units.
const (
	svgWidth  = 720
	svgHead   = 56
	svgRow    = 56
	svgClient = 130
	svgServer = svgWidth - 130
)

type reportSession struct {
	Title, Left, Right string
	LeftIP, RightIP    string
	Height             int
	Dropped            int
	Arrows             []reportArrow
}

type reportArrow struct {
	Y, Up, Down    int // of the line, and of the arrow head
	Label          string
	Class          string // client, server or bad
	Dashed         bool
	Tail, Head     int // x of both ends
	Point          int // x of the arrow head's base
	Arrowed, Cross bool
	CrossX         int
	Rest           bool // dashes from the cross to the head, where nothing came
	Hollow         bool // nobody was seen to try
	ClientPort     string
	ServerPort     string
	Explanation
}

// WriteHTML writes the log as a page of its own, with nothing to load: each session's channels as an SVG picture, each
// channel in words with its commands and replies. It follows the reader's light or dark setting.
func (l *Log) WriteHTML(w io.Writer) error {
	page := struct {
		Made     string
		Sessions []reportSession
	}{Made: time.Now().Format("2006-01-02 15:04:05 -0700")}
	for _, s := range l.Sessions() {
		page.Sessions = append(page.Sessions, newReportSession(s))
	}
	bw := bufio.NewWriter(w)
	if err := reportTemplate.Execute(bw, page); err != nil {
		return err
	}
	return bw.Flush()
}

func newReportSession(s Session) reportSession {
	r := reportSession{
		Title: "Session " + s.ID + ", " + s.Started.Format("2006-01-02 15:04:05"), LeftIP: ipText(s.Client), RightIP: ipText(s.Server),
		Left: "Client", Right: "Server", Dropped: s.Dropped, Height: svgHead + svgRow*len(s.Channels) + 16,
	}
	if s.User != "" {
		r.Title += ", " + s.User
	}
	if s.Side == Client {
		r.Left = "This computer"
	} else {
		r.Right = "This computer"
	}
	for i, c := range s.Channels {
		a := reportArrow{
			Y: svgHead + svgRow*i + 36, Label: c.Label(), Class: string(c.Initiator), Tail: svgClient, Head: svgServer,
			ClientPort: portLabel(c.ClientEnd()), ServerPort: portLabel(c.ServerEnd()), Explanation: c.Explain(),
		}
		dir := 1
		if c.Initiator == Server {
			a.Tail, a.Head, dir = a.Head, a.Tail, -1
		}
		a.Point, a.Up, a.Down = a.Head-14*dir, a.Y-7, a.Y+7
		a.Arrowed = c.State != Offered && c.State != Withdrawn && c.State != Failed
		a.Dashed = c.State != Open && c.State != Closed
		if c.State == Failed {
			a.Class, a.Cross, a.CrossX = "bad", true, a.Tail+int(float32(a.Head-a.Tail)*c.StoppedAt())
			a.Rest, a.Hollow = c.SeenTried(), !c.SeenTried()
			a.Dashed, a.Point = a.Hollow, a.Head
			if a.Rest {
				a.Point = a.CrossX
			}
		}
		r.Arrows = append(r.Arrows, a)
	}
	return r
}

// StoppedAt says how far a failed channel came, from 0 at its tail to 1 at its tip, as far as its reason tells.
func (c Channel) StoppedAt() float32 {
	if !c.Opened.IsZero() {
		return 0.5 // it stood, and broke
	}
	switch c.Reason {
	case ReasonRefused, ReasonTLS, ReasonNotFTP:
		return 0.97 // the other end answered
	case ReasonRejected, ReasonUnknownHost, ReasonRangeFull:
		return 0.06 // it never began
	case ReasonLocal, ReasonPolicy:
		if c.Initiator == c.Side {
			return 0.06
		}
		return 0.97
	case ReasonTimeout:
		return 0.75 // silence: most often a firewall before the far end
	}
	return 0.5
}

// SeenTried says that this side dialled, or saw the other side's connection; else it saw nobody try.
func (c Channel) SeenTried() bool {
	return c.Initiator == c.Side || !c.Dialled.IsZero() || !c.Opened.IsZero()
}

func portLabel(ap netip.AddrPort) string {
	if ap.Port() == 0 {
		return ""
	}
	return portText(ap)
}
