package terminal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"portside/localserver"
	"portside/wire"
)

func TestATypedLineChangesTheRangeAndTransfersGoOn(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := t.TempDir()
	content := strings.Repeat("0123456789abcdef", 1<<20) // more than any socket buffer
	if err := os.WriteFile(dir+"/big", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	keys, typing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	c, _, _ := console(t)
	records, log := io.Pipe()
	words, errs := io.Pipe()
	c.In, c.Out, c.Err = keys, log, errs
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, c, []string{"--listen", "127.0.0.1:0", "--passive-ports", "any", "--log", "json", dir})
		log.Close()
		errs.Close()
	}()
	lines := bufio.NewScanner(records)
	var first struct{ Addr string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &first) != nil {
		t.Fatalf("serve printed %q", lines.Bytes())
	}
	go io.Copy(io.Discard, records)
	said := bufio.NewScanner(words)

	ftp, err := textproto.Dial("tcp", first.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ftp.Close()
	do := func(code int, line string) string {
		t.Helper()
		if line != "" {
			ftp.PrintfLine("%s", line)
		}
		_, text, err := ftp.ReadResponse(code)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return text
	}
	offer := func() string {
		port, err := wire.Parse229(do(229, "EPSV"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	do(220, "")
	do(331, "USER anonymous")
	do(230, "PASS x")
	do(200, "TYPE I")
	data, err := textproto.Dial("tcp", offer())
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	do(150, "RETR big")

	for _, one := range [][2]string{
		{"passive-ports 80-90", "reserved"}, {"passive-ports 31470-31479", "From the next offer on passive ports are 31470-31479."},
		{"stop", "is not one of the lines"},
	} {
		fmt.Fprintln(typing, one[0])
		if !said.Scan() || !strings.Contains(said.Text(), one[1]) {
			t.Fatalf("%s: %q, want %q", one[0], said.Text(), one[1])
		}
	}
	got, err := io.ReadAll(data.R)
	if err != nil || string(got) != content {
		t.Errorf("%d of %d bytes: %v", len(got), len(content), err)
	}
	do(226, "")
	if at := offer(); !strings.HasPrefix(at, "127.0.0.1:3147") {
		t.Errorf("the next offer is %s", at)
	}
	typing.Close() // no more lines is no reason to stop
	do(200, "NOOP")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTypedLines(t *testing.T) {
	now := localserver.PassiveConfig{UseRange: true, Min: 21100, Max: 21199, AllowForeignAddress: true,
		IP: localserver.PassiveIP{Mode: localserver.PassiveFixed, Value: "198.51.100.1", LocalNetworks: localserver.DefaultLocalNetworks()}}
	for line, want := range map[string]string{
		" passive-ports  30000-30009 ": "30000 30009 fixed 198.51.100.1", "passive-ports any": "any fixed 198.51.100.1",
		"passive-ip auto": "21100 21199 auto ", "passive-ip 198.51.100.9": "21100 21199 fixed 198.51.100.9",
		"passive-ip files.example.org": "21100 21199 host files.example.org", "": "nothing", "passive-ports": "error", "passive-ports x": "error",
		"passive-ip a b": "error", "quit": "error",
	} {
		next, done, err := steering(now, line)
		got := fmt.Sprintf("%d %d", next.Min, next.Max)
		if !next.UseRange {
			got = "any"
		}
		got += fmt.Sprintf(" %s %s", next.IP.Mode, next.IP.Value)
		switch {
		case err != nil:
			got = "error"
		case done == "":
			got = "nothing"
		case !next.AllowForeignAddress || len(next.IP.LocalNetworks) != len(now.IP.LocalNetworks):
			t.Errorf("%q changed more than it says", line)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

// A script's own input is left alone.
func TestLinesAreTakenFromPipesAndTerminalsOnly(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if steered(file) || steered(plain) || steered(nil) || !steered(r) {
		t.Errorf("%v %v %v %v", steered(file), steered(plain), steered(nil), steered(r))
	}
}

// A background job is told that it has no keys; in front again, it hears them.
func TestABackgroundJobHearsLinesAfterwards(t *testing.T) {
	got, err := io.ReadAll(foreground{t.Context(), &away{times: 2}, time.Millisecond})
	if string(got) != "passive-ports any\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := io.ReadAll(foreground{ctx, &away{times: 1e9}, time.Hour}); len(got) != 0 || err != nil {
		t.Errorf("at the end of the server: %q, %v", got, err)
	}
}

type away struct{ times int }

func (a *away) Read(b []byte) (int, error) {
	if a.times--; a.times >= 0 {
		return 0, &os.PathError{Op: "read", Path: "/dev/stdin", Err: errBackground}
	}
	return copy(b, "passive-ports any\n"), io.EOF
}

func TestServeTakesOptions(t *testing.T) {
	addr := sharing(t, "--max-per-address", "1", "--tls-resume", "require", t.TempDir())
	for _, code := range []int{220, 421} {
		c, err := textproto.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, _, err := c.ReadResponse(code); err != nil {
			t.Error(err)
		}
	}
	for want, args := range map[string][]string{
		"--idle-minutes goes from 1 to 1440": {"--idle-minutes", "9999"}, "needs its key": {"--cert", "c.pem"}, "TLS resumption": {"--tls-resume", "often"},
	} {
		if code, _, errs := run(t, append(append([]string{"serve"}, args...), t.TempDir())...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}
