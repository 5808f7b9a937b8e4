package terminal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"portside/app"
	"portside/client"
	"portside/connlog"
)

// tried is the outcome of one mode, for check --json.
type tried struct {
	Mode  client.Mode `json:"mode"`
	Works bool        `json:"works"`
	Error string      `json:"error,omitempty"`
}

func check(ctx context.Context, c Console, args []string) error {
	fs := flags(c)
	asJSON := fs.Bool("json", false, "")
	mode := fs.String("mode", "auto", "")
	insecure := fs.Bool("insecure", false, "")
	rest, err := parse(fs, args, "URL")
	if err != nil {
		return err
	}
	if err := oneOf("mode", *mode, "auto", "passive", "active"); err != nil {
		return err
	}
	target, err := target(c, rest[0])
	if err != nil {
		return err
	}
	modes := []client.Mode{client.ModePassive, client.ModeActive}
	if *mode != "auto" {
		modes = []client.Mode{client.Mode(*mode)}
	}
	log := connlog.NewLog(0)
	rec := connlog.Recorder(log)
	if !*asJSON {
		rec = connlog.Tee(log, connlog.RecorderFunc(func(r connlog.Record) {
			switch r.Event {
			case connlog.CommandSent, connlog.ReplySent, connlog.DataProgress, connlog.DataTLS:
			default:
				fmt.Fprintln(c.Out, r.Line())
			}
		}))
	}
	results, err := tryModes(ctx, client.Options{Target: target, Mode: modes[0], Insecure: *insecure, Recorder: rec}, modes)
	if *asJSON {
		err = writeCheckJSON(c.Out, log, results, err)
	} else {
		err = writeCheck(c.Out, log, results, err)
	}
	return err
}

// tryModes signs in and lists the target's folder once in each mode.
func tryModes(ctx context.Context, o client.Options, modes []client.Mode) ([]tried, error) {
	s, err := client.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { s.Close() }()
	var out []tried
	for _, m := range modes {
		if s.Err() != nil { // the attempt before broke the control connection
			s.Close()
			if s, err = client.Dial(ctx, o); err != nil {
				return out, err
			}
		}
		s.SetMode(m)
		_, err := s.List(ctx, o.Path)
		t := tried{Mode: m, Works: err == nil}
		if err != nil {
			t.Error = err.Error()
		}
		out = append(out, t)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
	}
	return out, nil
}

func writeCheck(w io.Writer, log *connlog.Log, results []tried, err error) error {
	for _, s := range log.Sessions() {
		fmt.Fprintf(w, "\n%s\n", s.Draw())
		for _, ch := range s.Channels {
			if ch.State == connlog.Failed || ch.Kind == connlog.Data {
				e := ch.Explain()
				e.Dialogue = nil
				fmt.Fprintf(w, "\n%s\n", indent(e.String()))
			}
		}
	}
	fmt.Fprintln(w)
	if err != nil {
		fmt.Fprintln(w, err)
		return errReported
	}
	failed := false
	for _, t := range results {
		if t.Works {
			fmt.Fprintf(w, "%s mode works.\n", t.Mode)
			continue
		}
		failed = true
		fmt.Fprintf(w, "%s mode does not work: %s\n", t.Mode, t.Error)
	}
	if failed {
		return errReported
	}
	return nil
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

func writeCheckJSON(w io.Writer, log *connlog.Log, results []tried, err error) error {
	out := struct {
		Works   bool             `json:"works"`
		Error   string           `json:"error,omitempty"`
		Modes   []tried          `json:"modes"`
		Records []connlog.Record `json:"records"`
	}{Works: err == nil, Modes: results}
	if err != nil {
		out.Error = err.Error()
	}
	for _, t := range results {
		out.Works = out.Works && t.Works
	}
	for _, n := range log.Records(0) {
		out.Records = append(out.Records, n.Record)
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		return err
	}
	if !out.Works {
		return errReported
	}
	return nil
}

func demo(ctx context.Context, c Console, args []string) error {
	if _, err := parse(flags(c), args); err != nil {
		return err
	}
	log := connlog.NewLog(0)
	err := app.Demo(ctx, log)
	fmt.Fprint(c.Out, "A local server and a client on this computer: a listing and a file, in passive and then in active mode.\n")
	fmt.Fprint(c.Out, "The tail \"o\" of each arrow is at the side that opened the channel.\n")
	byPeer := map[string]connlog.Session{}
	for _, s := range log.Sessions() {
		if s.Side == connlog.Server {
			byPeer[s.ID] = s
		}
	}
	for _, s := range log.Sessions() {
		if s.Side != connlog.Client {
			continue
		}
		fmt.Fprintf(c.Out, "\n%s\n", s.Draw())
		other := byPeer[s.Peer]
		for i, ch := range s.Channels {
			fmt.Fprintf(c.Out, "\n%s\n", ch.Label())
			fmt.Fprint(c.Out, sideBySide("The client says", words(ch), "The server says", wordsAt(other.Channels, i)))
		}
	}
	return err
}

func words(c connlog.Channel) string {
	var out []string
	for _, p := range c.Explain().Paragraphs {
		out = append(out, connlog.Text(p))
	}
	return strings.Join(out, " ")
}

func wordsAt(cs []connlog.Channel, i int) string {
	if i >= len(cs) {
		return "(no record)"
	}
	return words(cs[i])
}

// sideBySide sets two texts in two columns.
func sideBySide(leftTitle, left, rightTitle, right string) string {
	const width = 56
	l := append([]string{leftTitle}, wrap(left, width)...)
	r := append([]string{rightTitle}, wrap(right, width)...)
	var b strings.Builder
	for i := range max(len(l), len(r)) {
		var a, z string
		if i < len(l) {
			a = l[i]
		}
		if i < len(r) {
			z = r[i]
		}
		fmt.Fprintf(&b, "  %-*s | %s\n", width, a, z)
	}
	return b.String()
}

func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
