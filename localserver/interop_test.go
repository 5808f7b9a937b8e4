package localserver

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"portside/connlog"
)

// interop is one program, mode, protection and address family.
type interop struct {
	tls, active, six bool
}

func (i interop) String() string {
	s := "plain"
	if i.tls {
		s = "TLS"
	}
	if i.active {
		s += " active"
	} else {
		s += " passive"
	}
	if i.six {
		return s + " IPv6"
	}
	return s + " IPv4"
}

// run starts the server for the case and returns it with a random file "down" in its folder.
func (i interop) start(t *testing.T) (*rig, []byte) {
	change := func(c *Config) {
		c.TLS.Mode = TLSExplicit
		if i.six {
			c.Listen = "[::1]:0"
		}
	}
	if i.six {
		startV6(t) // skips without IPv6
	}
	r := start(t, change)
	content := make([]byte, 3<<20+17)
	rand.Read(content)
	r.write("down", string(content))
	return r, content
}

// program skips the test when a program is not installed.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

func execute(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// verify compares the files by hash, and the records with what must be true of the case.
func (i interop) verify(t *testing.T, r *rig, dir string, content []byte) {
	t.Helper()
	for _, f := range []string{filepath.Join(dir, "got"), filepath.Join(r.root, "up")} {
		b, err := os.ReadFile(f)
		if err != nil || sha256.Sum256(b) != sha256.Sum256(content) {
			t.Errorf("%s differs: %d bytes of %d, %v", filepath.Base(f), len(b), len(content), err)
		}
	}
	until(t, "all sessions have ended", func() bool { return len(r.srv.Sessions()) == 0 })
	mode, initiator := connlog.Passive, connlog.Client
	if i.active {
		mode, initiator = connlog.Active, connlog.Server
	}
	opened := map[string]connlog.Record{}
	told := map[string]netip.AddrPort{}
	moved := 0
	for _, x := range r.rec.snapshot() {
		key := fmt.Sprintf("%s/%d", x.Session, x.Conn)
		switch x.Event {
		case connlog.PassiveOffered, connlog.ActiveRequested:
			told[key] = x.To
		case connlog.DataOpened:
			opened[key] = x
			if x.Mode != mode || x.Initiator != initiator || x.To != told[key] || !x.From.IsValid() || x.From.Addr().Is6() != i.six {
				t.Errorf("data-opened %+v after an offer of %s", x, told[key])
			}
		case connlog.DataTLS:
			if !i.tls {
				t.Errorf("TLS on %+v", x)
			}
		case connlog.DataClosed:
			if o := opened[key]; o.From != x.From || o.To != x.To {
				t.Errorf("closed %+v, opened %+v", x, o)
			}
			if i.tls != (x.TLS != "") {
				t.Errorf("TLS %q: %+v", x.TLS, x)
			}
			if x.Bytes == int64(len(content)) {
				moved++
			}
		case connlog.DataFailed:
			if x.Reason != connlog.ReasonNotTaken {
				t.Errorf("failed: %+v", x)
			}
		}
	}
	if moved != 2 {
		t.Errorf("%d transfers of %d bytes recorded, want 2", moved, len(content))
	}
}

// ports checks the client's own account of its data connections, "LOCAL>REMOTE" ports, against the records.
func (i interop) ports(t *testing.T, r *rig, seen [][2]uint16) {
	t.Helper()
	var want [][2]uint16
	for _, x := range r.rec.snapshot() {
		if x.Event != connlog.DataOpened {
			continue
		}
		client, server := x.From.Port(), x.To.Port()
		if x.Initiator == connlog.Server {
			client, server = server, client
		}
		want = append(want, [2]uint16{client, server})
	}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("the client saw %v, the server recorded %v", seen, want)
	}
}

func cases() (all []interop) {
	for _, tls := range []bool{false, true} {
		for _, active := range []bool{false, true} {
			for _, six := range []bool{false, true} {
				all = append(all, interop{tls, active, six})
			}
		}
	}
	return all
}

func TestInteropCurl(t *testing.T) {
	curl := program(t, "curl")
	old := regexp.MustCompile(`curl 7\.`).MatchString(execute(t, t.TempDir(), curl, "--version"))
	for _, i := range cases() {
		t.Run(i.String(), func(t *testing.T) {
			if i.tls && i.active && old {
				t.Skip("curl 7 fails by itself in active mode with TLS: it accepts the connection, then never begins TLS on it")
			}
			r, content := i.start(t)
			dir := t.TempDir()
			args := []string{"-sS", "-v", "-g", "-u", "u:pw", "--max-time", "30"}
			if i.tls {
				args = append(args, "--ssl-reqd", "-k")
			}
			if i.active {
				args = append(args, "-P", "-")
			}
			url := "ftp://" + r.srv.Addr().String() + "/"
			out := execute(t, dir, curl, append(args, "-o", "got", url+"down")...)
			execute(t, dir, curl, append(args, "-T", "got", url+"up")...)
			i.verify(t, r, dir, content)
			if m := regexp.MustCompile(`Extended Passive Mode \(\|\|\|(\d+)\|\)`).FindStringSubmatch(out); m != nil {
				if x := r.rec.wait(t, connlog.DataOpened, 1); fmt.Sprint(x.To.Port()) != m[1] {
					t.Errorf("curl was sent to port %s, recorded %s", m[1], x.To)
				}
			} else if !i.active {
				t.Error("curl shows no 229 reply")
			}
			execute(t, dir, curl, append(args, "-C", "1000000", "-o", "tail", url+"down")...)
			if b, _ := os.ReadFile(filepath.Join(dir, "tail")); !bytes.Equal(b[min(len(b), 1000000):], content[1000000:]) && !bytes.Equal(b, content[1000000:]) {
				t.Errorf("resumed: %d bytes", len(b))
			}
			if list := execute(t, dir, curl, append(args[1:], url)...); !strings.Contains(list, " down") {
				t.Errorf("listing %q", list)
			}
		})
	}
}

func TestInteropCurlPASVAndPORT(t *testing.T) {
	curl := program(t, "curl")
	for _, i := range []interop{{}, {active: true}, {tls: true}} {
		t.Run(i.String(), func(t *testing.T) {
			r, content := i.start(t)
			dir := t.TempDir()
			args := []string{"-sS", "-u", "u:pw", "--max-time", "30", "--disable-epsv", "--disable-eprt"}
			if i.tls {
				args = append(args, "--ssl-reqd", "-k", "--tls-max", "1.2")
			}
			if i.active {
				args = append(args, "-P", "127.0.0.1")
			}
			url := "ftp://" + r.srv.Addr().String() + "/"
			execute(t, dir, curl, append(args, "-o", "got", url+"down")...)
			execute(t, dir, curl, append(args, "-T", "got", url+"up")...)
			i.verify(t, r, dir, content)
		})
	}
}

func TestInteropCurlImplicitTLS(t *testing.T) {
	curl := program(t, "curl")
	r := start(t, func(c *Config) { c.TLS.Mode = TLSImplicit })
	r.write("down", "hello")
	if got := execute(t, t.TempDir(), curl, "-sS", "-k", "-u", "u:pw", "--max-time", "30", "ftps://"+r.srv.Addr().String()+"/down"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestInteropLftp(t *testing.T) {
	lftp := program(t, "lftp")
	for _, i := range cases() {
		t.Run(i.String(), func(t *testing.T) {
			if i.active && i.six {
				t.Skip("over ::1 lftp names an address of another interface in EPRT, which is refused as foreign (row 16)")
			}
			if i.six && !globalIPv6() {
				t.Skip("lftp takes IPv6 for switched off on a machine without a global IPv6 address")
			}
			r, content := i.start(t)
			dir := t.TempDir()
			script := fmt.Sprintf("set net:timeout 20; set net:max-retries 1; set ssl:verify-certificate no; set ftp:ssl-force %v; "+
				"set ftp:ssl-allow %v; set ftp:passive-mode %v; set cmd:fail-exit yes; open -u u,pw ftp://%s; ls; get down -o got; put got -o up",
				i.tls, i.tls, !i.active, r.srv.Addr())
			if out := execute(t, dir, lftp, "-c", script); !strings.Contains(out, "down") {
				t.Errorf("ls says %q", out)
			}
			i.verify(t, r, dir, content)
		})
	}
}

func globalIPv6() bool {
	addresses, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() == nil && n.IP.IsGlobalUnicast()
	})
}

func TestInteropLftpMirrorBothWays(t *testing.T) {
	lftp := program(t, "lftp")
	r := start(t, nil)
	dir := t.TempDir()
	hashes := func(root string) string {
		var b strings.Builder
		filepath.Walk(root, func(p string, st os.FileInfo, err error) error {
			if err == nil && st.Mode().IsRegular() {
				data, _ := os.ReadFile(p)
				sum := sha256.Sum256(data)
				rel, _ := filepath.Rel(root, p)
				fmt.Fprintln(&b, rel, hex.EncodeToString(sum[:]), st.ModTime().Unix())
			}
			return nil
		})
		return b.String()
	}
	for n := range 40 {
		data := make([]byte, n*997)
		rand.Read(data)
		p := filepath.Join(dir, "src", fmt.Sprintf("d%d/sub dir", n%4), fmt.Sprintf("fíle %d", n))
		os.MkdirAll(filepath.Dir(p), 0o755)
		os.WriteFile(p, data, 0o644)
		old := time.Date(2021, 1, 1+n, 2, 3, 4, 0, time.UTC)
		os.Chtimes(p, old, old)
	}
	script := fmt.Sprintf("set net:timeout 20; set net:max-retries 1; set ftp:ssl-allow no; set cmd:fail-exit yes; open -u u,pw ftp://%s; "+
		"mirror -R -P 4 src up; mirror -P 4 up back", r.srv.Addr())
	execute(t, dir, lftp, "-c", script)
	want := hashes(filepath.Join(dir, "src"))
	if got := hashes(filepath.Join(r.root, "up")); got != want {
		t.Errorf("uploaded:\n%s\nwant:\n%s", got, want)
	}
	if got := hashes(filepath.Join(dir, "back")); got != want {
		t.Errorf("downloaded:\n%s\nwant:\n%s", got, want)
	}
}

func TestInteropNcftp(t *testing.T) {
	get, put := program(t, "ncftpget"), program(t, "ncftpput")
	for _, i := range []interop{{}, {active: true}} { // it speaks neither TLS nor IPv6
		t.Run(i.String(), func(t *testing.T) {
			r, content := i.start(t)
			dir := t.TempDir()
			mode := "-F"
			if i.active {
				mode = "-E"
			}
			args := []string{"-V", "-t", "20", "-r", "0", mode, "-u", "u", "-p", "pw", "-P", fmt.Sprint(r.srv.Addr().Port())}
			execute(t, dir, get, append(args, "-C", "127.0.0.1", "down", "got")...)
			execute(t, dir, put, append(args, "-C", "127.0.0.1", "got", "up")...)
			i.verify(t, r, dir, content)
		})
	}
}

// ftplibScript prints the client's own view of each data connection, taken from its sockets.
const ftplibScript = `
import ftplib, socket, ssl, sys
host, port, tls, active, six = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "true", sys.argv[4] == "true", sys.argv[5] == "true"
base = ftplib.FTP_TLS if tls else ftplib.FTP
class C(base):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = super().ntransfercmd(cmd, rest)
        print("DATA", conn.getsockname()[1], conn.getpeername()[1])
        return conn, size
kw = {}
if tls:
    kw["context"] = ssl._create_unverified_context()
f = C(timeout=20, **kw)
f.connect(host, port)
f.login("u", "pw")
if tls:
    f.prot_p()
f.set_pasv(not active)
names = [n for n, facts in f.mlsd() if facts["type"] == "file"]
assert names == ["down"], names
f.retrbinary("RETR down", open("got", "wb").write)
f.storbinary("STOR up", open("got", "rb"))
assert f.mkd("a\"b") == "/a\"b"
f.rmd("a\"b")
f.quit()
`

func TestInteropPythonFtplib(t *testing.T) {
	python := program(t, "python3")
	for _, i := range cases() {
		t.Run(i.String(), func(t *testing.T) {
			r, content := i.start(t)
			dir := t.TempDir()
			out := execute(t, dir, python, "-c", ftplibScript, r.srv.Addr().Addr().String(), fmt.Sprint(r.srv.Addr().Port()),
				fmt.Sprint(i.tls), fmt.Sprint(i.active), fmt.Sprint(i.six))
			i.verify(t, r, dir, content)
			var seen [][2]uint16
			for line := range strings.Lines(out) {
				var p [2]uint16
				if n, _ := fmt.Sscanf(line, "DATA %d %d", &p[0], &p[1]); n == 2 {
					seen = append(seen, p)
				}
			}
			i.ports(t, r, seen)
		})
	}
}
