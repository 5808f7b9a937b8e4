package terminal

import (
	"context"
	"fmt"
	"strings"

	"portside/app"
	"portside/connlog"
)

func demo(ctx context.Context, c Console, args []string) error {
	if _, err := parse(flags("demo"), args); err != nil {
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
