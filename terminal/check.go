package terminal

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mitchellh/go-homedir"

	"portside/client"
	"portside/doctor"
)

// explicitClear is explicit TLS on the control connection with data connections in clear (PROT C).
const explicitClear = "explicit-clear"

// check examines a server (package doctor) and says what is wrong, on whose side, and what to type there.
func check(ctx context.Context, c Console, args []string) error {
	fs := flags("check")
	asJSON := fs.Bool("json", false, "")
	mode := fs.String("mode", "auto", "")
	protection := fs.String("tls", "", "")
	action := fs.String("action", string(doctor.ActionList), "")
	path := fs.String("path", "", "")
	ca := fs.String("ca", "", "")
	consent := fs.Bool("consent-plain", false, "")
	insecure := fs.Bool("insecure", false, "")
	rest, err := parse(fs, args, "URL")
	if err != nil {
		return err
	}
	if err := oneOf("mode", *mode, "auto", "passive", "active"); err != nil {
		return err
	}
	if err := oneOf("action", *action, string(doctor.ActionList), string(doctor.ActionGet), string(doctor.ActionResume)); err != nil {
		return err
	}
	o := doctor.Options{
		Mode: client.Mode(*mode), Action: doctor.Action(*action), ConsentPlain: *consent, Insecure: *insecure,
		ClearData: *protection == explicitClear,
	}
	if o.RootCAs, err = authorities(*ca); err != nil {
		return err
	}
	t, err := client.ParseURL(rest[0])
	if err != nil {
		return usageError{err}
	}
	switch *protection {
	case "":
	case explicitClear:
		t.TLS = client.TLSExplicit
	default:
		if err := oneOf("tls", *protection, "auto", "none", "explicit", explicitClear, "implicit"); err != nil {
			return err
		}
		t.TLS = client.TLSMode(*protection)
	}
	if *path != "" {
		t.Path = *path
	}
	if strings.ContainsAny(t.Path, "\r\n\x00") {
		return misuse("--path holds a line break or a zero byte, which FTP can't carry")
	}
	if t.Path == "" && o.Action != doctor.ActionList {
		return misuse("--action %s needs --path, or a path in the URL", *action)
	}
	if err := askPassword(c, &t); err != nil {
		return err
	}
	if !*asJSON {
		fmt.Fprintf(c.Out, "Examining %s. Nothing is sent to any other host.\n\n", t.URL())
		o.Progress = func(f doctor.Fact) {
			if !f.Running {
				fmt.Fprintln(c.Out, factLine(f))
			}
		}
	}
	report := doctor.Examine(ctx, t, o)
	if *asJSON {
		err = json.NewEncoder(c.Out).Encode(report)
	} else {
		err = writeReport(c.Out, report)
	}
	if err == nil && report.Problem() {
		err = errReported
	}
	return err
}

// authorities returns the system's certificate authorities and those in a PEM file; nil means the system's alone.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	file, err := homedir.Expand(file)
	if err != nil {
		return nil, usageError{err}
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, misuse("%s holds no certificate in PEM format", file)
	}
	return pool, nil
}

func factLine(f doctor.Fact) string {
	mark := "FAIL"
	switch {
	case f.Note:
		mark = "  - "
	case f.OK:
		mark = " ok "
	}
	return fmt.Sprintf("%s  %-46s  %s", mark, f.Title(), f.Result())
}

func writeReport(w io.Writer, r doctor.Report) error {
	var b strings.Builder
	if len(r.Arrows) > 0 {
		b.WriteString("\n" + drawArrows(r.Arrows))
	}
	say := func(f doctor.Finding) {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(wrap(f.Sentence, 100), "\n"))
		if f.Side != doctor.Nobody {
			fmt.Fprintf(&b, "  %s; to be changed: %s. Evidence: %s.\n", f.Confidence, f.Side, f.Rule)
		}
	}
	if r.Cancelled && r.Verdict != doctor.Undecided {
		b.WriteString("\nThe examination was ended early; this is what the evidence so far allows.\n")
	}
	say(r.Finding)
	if r.Second != nil {
		say(*r.Second)
	}
	if r.Workaround != "" {
		fmt.Fprintf(&b, "\nAt once: %s\n", r.Workaround)
	}
	if len(r.Fixes) > 0 {
		b.WriteString("\nWhat to change:\n")
	}
	for i, f := range r.Fixes {
		fmt.Fprintf(&b, "\n%d. %s  [%s]\n", i+1, f.Text, f.Side)
		if f.Chosen >= len(f.Variants) {
			continue
		}
		chosen := f.Variants[f.Chosen]
		fmt.Fprintf(&b, "   %s:\n      %s\n", chosen.Name, strings.ReplaceAll(chosen.Command, "\n", "\n      "))
		if chosen.Note != "" {
			fmt.Fprintf(&b, "      (%s)\n", chosen.Note)
		}
		for _, v := range slices.Delete(slices.Clone(f.Variants), f.Chosen, f.Chosen+1) {
			fmt.Fprintf(&b, "   or %s: %s\n", v.Name, strings.ReplaceAll(v.Command, "\n", " ; "))
		}
	}
	fmt.Fprintf(&b, "\nverdict: %s\n", r.Verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

// drawArrows draws the channels between both ends, the tail "o" at the side that opens one, an "x" where it stops.
func drawArrows(arrows []doctor.Arrow) string {
	var b strings.Builder
	for _, a := range arrows {
		line, end := []rune(strings.Repeat("-", 44)), ""
		label := " " + a.Label + " "
		if !a.Works {
			end = "   stops at " + a.Stop.String()
		}
		copy(line[(len(line)-len([]rune(label)))/2:], []rune(label))
		first, last := "o", ">"
		if a.Initiator != "client" {
			first, last = "<", "o"
		}
		if !a.Works && a.Initiator == "client" {
			last = "x"
		} else if !a.Works {
			first = "x"
		}
		fmt.Fprintf(&b, "  you %s%s%s server%s\n", first, string(line), last, end)
	}
	return b.String()
}
