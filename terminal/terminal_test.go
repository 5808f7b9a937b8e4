package terminal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"portside/localserver"
)

// console returns a console without a keyboard, and what was written to it.
func console(t *testing.T, env ...string) (c Console, out, errs *bytes.Buffer) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	return Console{In: null, Out: out, Err: errs, Getenv: func(name string) string {
		for i := 0; i+1 < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	}}, out, errs
}

// run runs a command as main does and returns its exit code and output.
func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	c, o, e := console(t)
	code = Run(c, args)
	return code, o.String(), e.String()
}

// sharing runs `portside serve` with a JSON log and returns its address; it is stopped with the test, and must end well.
func sharing(t *testing.T, args ...string) string {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	c, _, errs := console(t)
	r, w := io.Pipe()
	c.Out = w
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, c, append([]string{"--listen", "127.0.0.1:0", "--passive-ports", "any", "--log", "json"}, args...))
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatalf("serve printed nothing: %v %s", <-ended, errs)
	}
	var first struct{ Event, Addr string }
	if err := json.Unmarshal(lines.Bytes(), &first); err != nil || first.Event != "listening" {
		t.Fatalf("first line %s: %v", lines.Bytes(), err)
	}
	go io.Copy(io.Discard, r)
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serve ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("serve does not end")
		}
	})
	return first.Addr
}

func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "a", "sub/b c.txt": strings.Repeat("b", 300_000), "sub/deep/ü.txt": "ü"} {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// content lists a folder: each path with its text, folders with "/".
func content(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			b.WriteString(path + "/\n")
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		b.WriteString(path + ": " + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFoldersGoBothWaysInEachMode(t *testing.T) {
	src := tree(t)
	addr := sharing(t, "--user", "bob", "--password", "s3 c@t", "--write", src)
	want := content(t, src)
	for _, mode := range []string{"auto", "passive", "active"} {
		dst := t.TempDir()
		url := "ftp://bob:s3%20c%40t@" + addr
		if code, _, errs := run(t, "get", url+"/sub", dst, "--mode", mode, "--insecure"); code != 0 {
			t.Fatalf("get in %s mode: exit %d: %s", mode, code, errs)
		}
		if got, want := content(t, filepath.Join(dst, "sub")), content(t, filepath.Join(src, "sub")); got != want {
			t.Errorf("%s mode: got %q, want %q", mode, got, want)
		}
		all := filepath.Join(dst, "all")
		if code, _, errs := run(t, "get", "--mode", mode, "--insecure", "--parallel", "2", url+"/", all); code != 0 {
			t.Fatalf("get all in %s mode: exit %d: %s", mode, code, errs)
		}
		if got := content(t, all); got != want {
			t.Errorf("%s mode: the whole is %q, want %q", mode, got, want)
		}
		if code, _, errs := run(t, "put", "--mode", mode, "--insecure", all, url+"/up"); code != 0 {
			t.Fatalf("put in %s mode: exit %d: %s", mode, code, errs)
		}
		if got := content(t, filepath.Join(src, "up")); got != want {
			t.Errorf("%s mode: the server has %q, want %q", mode, got, want)
		}
		os.RemoveAll(filepath.Join(src, "up"))
	}
}

func TestTheJSONLogNamesWhoOpenedWhat(t *testing.T) {
	addr := sharing(t, tree(t))
	c, out, errs := console(t)
	if code := Run(c, []string{"get", "--mode", "active", "--insecure", "--log", "json", "ftp://" + addr + "/a.txt", t.TempDir()}); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	opened := 0
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var r struct{ Event, Side, Channel, Mode, Initiator, From, To, Text string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.Side != "client" {
			t.Errorf("side %q in the client's log", r.Side)
		}
		switch r.Event {
		case "control-opened":
			if r.Initiator != "client" || r.To != addr {
				t.Errorf("%s", line)
			}
		case "data-opened":
			opened++
			if r.Initiator != "server" || r.Mode != "active" || r.Channel != "data" || !strings.HasPrefix(r.From, "127.0.0.1:") {
				t.Errorf("%s", line)
			}
		}
	}
	if opened == 0 {
		t.Errorf("no data channel in %s", out)
	}
}

func TestEachFailureIsNamedAndTheRestGoesOn(t *testing.T) {
	src := tree(t)
	addr := sharing(t, src)
	code, _, errs := run(t, "get", "--insecure", "ftp://"+addr+"/nothing.txt", t.TempDir())
	if code != 1 || !strings.Contains(errs, "nothing.txt") {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, _, errs = run(t, "put", "--insecure", filepath.Join(src, "a.txt"), "ftp://"+addr+"/")
	if code != 1 || !strings.Contains(errs, "a.txt") {
		t.Errorf("upload to a read-only server: exit %d: %s", code, errs)
	}
	evil := filepath.Join(t.TempDir(), "\x1b[2Jevil")
	if err := os.Mkdir(evil, 0o755); err != nil {
		t.Skip("no such name here: ", err)
	}
	write := filepath.Join(evil, "\x1b[2J\nportside: forged evil.txt")
	if err := os.WriteFile(write, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{evil, write, evil + "none"} {
		code, _, errs = run(t, "put", "--insecure", src, "ftp://"+addr+"/")
		if code != 1 || !strings.Contains(errs, "evil") || strings.Contains(errs, "\x1b") || strings.Contains(errs, "\nportside: forged") {
			t.Errorf("upload of a name that acts on the terminal: exit %d: %q", code, errs)
		}
	}
}

func TestTroubleWithTheConnectionIsASentenceAndExitOne(t *testing.T) {
	addr := sharing(t, "--user", "bob", "--password", "right", t.TempDir())
	for want, args := range map[string][]string{
		"refused":              {"get", "ftp://127.0.0.1:1/", t.TempDir()},
		"no.such.host":         {"get", "ftp://no.such.host.invalid/", t.TempDir()},
		"--insecure":           {"get", "ftp://bob:right@" + addr + "/", t.TempDir()},
		"530":                  {"get", "--insecure", "ftp://bob:wrong@" + addr + "/", t.TempDir()},
		syscall.ENOENT.Error(): {"put", "--insecure", filepath.Join(t.TempDir(), "nowhere"), "ftp://bob:right@" + addr + "/"},
		"not exist":            {"serve", "--listen", "127.0.0.1:0", "/no/such/folder"},
		"is in use":            {"serve", "--listen", addr, t.TempDir()},
	} {
		if code, _, errs := run(t, args...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d: %s (want %q in it)", args, code, errs, want)
		}
	}
}

func TestBadUseIsExitTwo(t *testing.T) {
	for _, args := range [][]string{
		{"get"}, {"get", "ftp://h/"}, {"get", "ftp://h/", "a", "b"}, {"get", "--mode", "sideways", "ftp://h/", "a"},
		{"get", "--parallel", "0", "ftp://h/", "a"}, {"get", "--parallel", "17", "ftp://h/", "a"}, {"get", "--log", "xml", "ftp://h/", "a"},
		{"get", "http://h/", "a"}, {"get", "--nonsense", "ftp://h/", "a"}, {"get", "ftp://bob@h/", "a"}, {"put", "a"},
		{"serve"}, {"serve", "--passive-ports", "9-1", "."}, {"serve", "--passive-ports", "x", "."}, {"serve", "--passive-ports", "80-90", "."},
		{"serve", "--tls", "maybe", "."}, {"serve", "--user", "bob", "."}, {"serve", "--password", "x", "."},
		{"serve", "--user", "Anonymous", "--password", "x", "--write", "."}, {"serve", "--user", "ftp", "--password", "x", "."}, {"serve", "--log", "xml", "."},
		{"serve", "--passive-ip", "not an ip!", "."}, {"check"}, {"check", "--mode", "x", "ftp://h/"}, {"dance"}, {"demo", "x"},
		{"mirror", "ftp://h/"}, {"mirror", "--upload", "--download", "ftp://h/", "a"}, {"mirror", "a", "ftp://h/"}, {"mirror", "--upload", "--resume", "ftp://h/", "a"},
		{"mirror", "--parallel", "0", "ftp://h/", "a"}, {"mirror", "http://h/", "a"},
		{"serve", "--max-clients", "0", "."}, {"serve", "--idle-minutes", "-1", "."}, {"serve", "--passive-ip", "", "."}, {"serve", "--offer-seconds", "soon", "."},
	} {
		// Nothing on standard output, which a script may be reading.
		if code, out, errs := run(t, args...); code != 2 || strings.Count(errs, "\n") != 1 && args[0] != "dance" || out != "" {
			t.Errorf("%q: exit %d: %s%s", args, code, out, errs)
		}
	}
}

func TestTheWindowTakesOneURLAndADisplay(t *testing.T) {
	screen := func(name string) string { return map[string]string{"DISPLAY": ":0"}[name] }
	for want, args := range map[string][]string{"no option -v": {"-v"}, "srve is no command": {"srve", "dir"}} {
		if _, err := Window(args, screen); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
		c, _, errs := console(t)
		if _, err := Window(args, screen); Fail(c, err) != 2 {
			t.Errorf("%q: not bad use, but %s", args, errs)
		}
	}
	if url, err := Window([]string{"ftp://h/"}, screen); url != "ftp://h/" || err != nil {
		t.Errorf("%q, %v", url, err)
	}
	if url, err := Window(nil, screen); url != "" || err != nil {
		t.Errorf("%q, %v", url, err)
	}
	if _, err := Window(nil, func(string) string { return "" }); runtime.GOOS == "linux" && (err == nil || !strings.Contains(err.Error(), "no display")) {
		t.Errorf("without a display: %v", err)
	}
}

func TestAFolderThatIsMissingIsToldBeforeTheServerIsAsked(t *testing.T) {
	code, _, errs := run(t, "put", filepath.Join(t.TempDir(), "missing"), "ftp://bob@host.invalid/")
	if code != 1 || !strings.Contains(errs, "missing: "+syscall.ENOENT.Error()) {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}} {
		if code, out, _ := run(t, args...); code != 0 || out != Usage {
			t.Errorf("%q: exit %d: %s", args, code, out)
		}
	}
	if code, out, _ := run(t, "licences"); code != 0 || !strings.Contains(out, "github.com/jlaffaye/ftp") {
		t.Errorf("licences: exit %d: %.200s", code, out)
	}
	for _, command := range []string{"serve", "get", "put", "mirror", "check", "explain", "demo"} {
		code, out, _ := run(t, command, "--help")
		if code != 0 || !strings.Contains(out, "  portside "+command) || !strings.Contains(out, passwordVariable) || strings.Contains(out, "opens the window") {
			t.Errorf("%s: exit %d: %s", command, code, out)
		}
		if strings.Count(out, "  portside ") != 1 {
			t.Errorf("the help of %s is of other commands, too: %s", command, out)
		}
	}
	if _, out, _ := run(t, "get", "--help"); !strings.Contains(out, "--resume") || strings.Contains(out, "--delete") {
		t.Error(out)
	}
	if code, out, _ := run(t, "version"); code != 0 || out != "portside "+Version+"\n" {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestDemoExplainsBothModesFromBothEndsAndLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	code, out, errs := run(t, "demo")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"Data · passive · you opened it", "Data · active · the server opened it", "The client says", "you dialled back", "EPRT"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestACancelledDownloadSaysSoAndCanBeResumed(t *testing.T) {
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "big"), bytes.Repeat([]byte("0123456789abcdef"), 4<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := sharing(t, src)
	dst := t.TempDir()
	c, _, errs := console(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		// As soon as something has come, it is cancelled.
		for ctx.Err() == nil {
			if info, err := os.Stat(filepath.Join(dst, "big.part")); err == nil && info.Size() > 0 {
				cancel()
			}
		}
	}()
	err := get(ctx, c, []string{"--insecure", "ftp://" + addr + "/big", dst})
	cancel()
	if err != nil && !errors.Is(err, errReported) {
		t.Fatalf("%v: %s", err, errs)
	}
	if code, _, errs := run(t, "get", "--insecure", "--resume", "ftp://"+addr+"/big", dst); code != 0 {
		t.Fatalf("resume: exit %d: %s", code, errs)
	}
	if content(t, dst) != content(t, src) {
		t.Error("the resumed file differs")
	}
}

func TestACertificatesNamesCannotActOnTheTerminal(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"\x1b[2Jgood.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server, err := localserver.New(localserver.Config{
		Listen: "localhost:0", Root: t.TempDir(), Accounts: []localserver.Account{{Name: localserver.Anonymous}},
		TLS: localserver.TLSConfig{Mode: localserver.TLSRequired, Certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	if err == nil {
		err = server.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop(context.Background())
	url := fmt.Sprintf("ftpes://localhost:%d/", server.Addr().Port())
	for _, args := range [][]string{{"get", url, t.TempDir()}, {"check", url}, {"check", "--json", url}} {
		code, out, errs := run(t, args...)
		if code != exitFailed || !strings.Contains(out+errs, "good.example") || strings.Contains(out+errs, "\x1b") {
			t.Errorf("%v: %d %q %q", args, code, out, errs)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestALogThatCannotBeWrittenIsTold(t *testing.T) {
	dir := tree(t)
	addr := sharing(t, dir)
	c, _, errs := console(t)
	c.Out = full{}
	dst := filepath.Join(t.TempDir(), "copy")
	if code := Run(c, []string{"get", "--insecure", "--log", "json", "ftp://" + addr + "/a.txt", dst}); code != 1 || !strings.Contains(errs.String(), "standard output is not whole: no space left") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if b, err := os.ReadFile(dst); string(b) != "a" {
		t.Errorf("the file did not come for that: %q, %v", b, err)
	}
}

// said calls a function once when a text is written.
type said struct {
	text string
	then func()
	bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	if strings.Contains(string(b), s.text) {
		defer s.then()
	}
	return s.Buffer.Write(b)
}

func TestServeNeedsNoFolderToKeepItsCertificateIn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no folder that even an administrator can't make")
	}
	t.Setenv("XDG_CONFIG_HOME", "/proc/nowhere")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c, _, _ := console(t)
	errs := &said{text: "Sharing ", then: stop}
	c.Err = errs
	if err := serve(ctx, c, []string{"--listen", "127.0.0.1:0", "--passive-ports", "any", t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"can't be kept", "as long as the server", "SHA-256"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not in %s", want, errs)
		}
	}
}
