package localserver

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"portside/wire"
)

// These are the demands of pyftpdlib's functional tests, which were written against another server, as far as they are
// about FTP: without its words, and without the choices that docs/server-conformance.md lists with their reasons. They
// run in clear, with TLS, and over IPv6.

// guest is a signed-in session and how it moves data.
type guest struct {
	*raw
	rig    *rig
	active bool
}

// ok sends a command and wants success, or the next step of one.
func (g *guest) ok(line string) string {
	g.t.Helper()
	g.send(line + "\r\n")
	code, text := g.reply()
	if code < 200 || code > 399 {
		g.t.Errorf("%s: %d %s", line, code, text)
	}
	return text
}

// no sends commands that must be refused for good.
func (g *guest) no(lines ...string) {
	g.t.Helper()
	for _, line := range lines {
		g.send(line + "\r\n")
		if code, text := g.reply(); code < 500 || code > 599 {
			g.t.Errorf("%s: %d %s, want a refusal", line, code, text)
		}
	}
}

// open sends a transfer command and returns its data connection. When it was refused, that is nil.
func (g *guest) open(line string) net.Conn {
	g.t.Helper()
	var d net.Conn
	if g.active {
		l, err := net.Listen("tcp", net.JoinHostPort(g.c.LocalAddr().(*net.TCPAddr).IP.String(), "0"))
		if err != nil {
			g.t.Fatal(err)
		}
		defer l.Close()
		g.ok("EPRT " + wire.FormatEPRT(unmapped(l.Addr())))
		g.send(line + "\r\n")
		if code, _ := g.reply(); code != 150 {
			return nil
		}
		l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		if d, err = l.Accept(); err != nil {
			g.t.Fatal(err)
		}
	} else {
		d = g.epsv()
		g.send(line + "\r\n")
		if code, _ := g.reply(); code != 150 {
			return nil
		}
	}
	g.t.Cleanup(func() { d.Close() })
	if g.cfg != nil {
		t := tls.Client(d, g.cfg)
		if err := t.Handshake(); err != nil {
			g.t.Fatal(err)
		}
		return t
	}
	return d
}

func (g *guest) get(line string) string {
	g.t.Helper()
	d := g.open(line)
	if d == nil {
		g.t.Errorf("%s was refused", line)
		return ""
	}
	b, err := io.ReadAll(d)
	if err != nil {
		g.t.Error(err)
	}
	g.expect(226)
	return string(b)
}

func (g *guest) put(line string, pieces ...string) {
	g.t.Helper()
	d := g.open(line)
	if d == nil {
		g.t.Errorf("%s was refused", line)
		return
	}
	for _, p := range pieces {
		io.WriteString(d, p)
	}
	d.Close()
	g.expect(226)
}

// refused wants no transfer.
func (g *guest) refused(line string) {
	g.t.Helper()
	if d := g.open(line); d != nil {
		g.t.Errorf("%s was not refused", line)
		d.Close()
		g.reply()
	}
}

func (g *guest) same(got, want, what string) {
	g.t.Helper()
	if got != want {
		g.t.Errorf("%s: %d bytes %.60q, want %d %.60q", what, len(got), got, len(want), want)
	}
}

var pyftpdlibChecks = map[string]func(g *guest){
	"signing in": func(g *guest) {
		g.ok("USER anonymous")
		g.ok("PASS")
		g.ok("USER anonymous")
		g.ok("PASS x@")
		for _, one := range [][2]string{{"u", "wrong"}, {"wrong", "pw"}} {
			g.ok("USER " + one[0])
			g.cmd(530, "PASS %s", one[1])
			g.cmd(530, "PWD")
		}
		g.ok("USER u")
		g.ok("PASS pw")
		g.cmd(503, "PASS pw")
		g.ok("USER u")
		g.cmd(530, "PWD")
		g.ok("USER u")
		g.ok("PASS pw")
		g.ok("REIN")
		g.cmd(530, "PWD")
		g.cmd(503, "PASS pw")
		g.ok("USER u")
		g.ok("PASS pw")
		g.ok("PWD")
	},
	"three wrong passwords": func(g *guest) {
		for range 3 {
			g.ok("USER u")
			g.cmd(530, "PASS wrong")
		}
		g.expect(421)
		if code, _ := g.reply(); code != 0 {
			g.t.Errorf("goes on with %d", code)
		}
	},
	"TYPE, STRU and MODE": func(g *guest) {
		for _, line := range []string{"TYPE a", "TYPE i", "TYPE l8", "STRU f", "STRU F", "MODE s", "MODE S"} {
			g.ok(line)
		}
		g.no("TYPE ?!?", "STRU p", "STRU r", "STRU ?!?", "MODE b", "MODE c", "MODE ?!?")
	},
	"NOOP, SYST, ALLO, HELP and QUIT": func(g *guest) {
		for _, line := range []string{"NOOP", "SYST", "ALLO 250", "HELP", "HELP RETR"} {
			g.ok(line)
		}
		g.no("HELP ?!?")
		g.ok("QUIT")
		if code, _ := g.reply(); code != 0 {
			g.t.Errorf("goes on with %d", code)
		}
	},
	"SITE": func(g *guest) {
		g.no("SITE", "SITE ?!?", "SITE foo bar", "SITEfoo bar", "SITE HELP ?!?")
		g.ok("SITE HELP")
		g.ok("SITE HELP HELP")
	},
	"REST": func(g *guest) {
		g.ok("TYPE I")
		g.no("REST", "REST str", "REST -1", "REST 10.1")
		g.ok("TYPE A")
		g.no("REST 10")
	},
	"FEAT and OPTS": func(g *guest) {
		if text := g.ok("FEAT"); !strings.Contains(text, "UTF8") || !strings.Contains(text, "TVFS") {
			g.t.Error(text)
		}
		g.no("OPTS MLST bad_fact", "OPTS MLST type ;", "OPTS not_mlst")
		starred := func() string {
			_, line, _ := strings.Cut(g.ok("FEAT"), "MLST ")
			line, _, _ = strings.Cut(line, "\n")
			var all []string
			for fact := range strings.SplitSeq(line, ";") {
				if name, on := strings.CutSuffix(fact, "*"); on {
					all = append(all, name)
				}
			}
			return strings.Join(all, " ")
		}
		for arg, want := range map[string]string{"type;": "type", "TypE;": "type", "": "", "fish;cakes;": "", "fish;cakes;type;": "type"} {
			g.ok(strings.TrimSpace("OPTS mLSt " + arg))
			g.same(starred(), want, "after OPTS MLST "+arg)
		}
	},
	"arguments": func(g *guest) {
		for cmd := range strings.FieldsSeq("allo appe dele eprt mdtm mfmt mkd mode opts port rest retr rmd rnfr rnto site size stor stru type xmkd xrmd user") {
			g.cmd(501, "%s", cmd)
		}
		g.cmd(501, "site chmod")
		for cmd := range strings.FieldsSeq("abor cdup feat pasv pwd quit rein syst xcup xpwd") {
			g.cmd(501, "%s arg", cmd)
		}
	},
	"commands that need a sign-in": func(g *guest) {
		g.ok("REIN")
		for cmd := range strings.FieldsSeq("abor appe cdup cwd dele list mdtm mfmt mkd mlsd mlst nlst pwd rest retr rmd rnfr rnto size stor stou type mode stru port eprt xcup xcwd xmkd xpwd xrmd") {
			g.cmd(530, "%s arg", cmd)
		}
		g.cmd(530, "PASV")
		g.cmd(530, "EPSV")
		g.cmd(530, "STAT /")
		for _, cmd := range []string{"FEAT", "HELP", "NOOP", "SYST", "QUIT"} {
			g.ok(cmd)
		}
	},
	"folders": func(g *guest) {
		g.ok("MKD a")
		g.ok("CWD a")
		g.same(g.ok("MKD b"), `"/a/b" is made.`, "MKD")
		g.no("MKD b", "CWD c", "MKD /a/b")
		for _, step := range [][2]string{{"CWD b", "/a/b"}, {"CDUP", "/a"}, {"CDUP", "/"}, {"CDUP", "/"}} {
			g.ok(step[0])
			if text := g.ok("PWD"); !strings.HasPrefix(text, strconv.Quote(step[1])) {
				g.t.Errorf("after %s: %s", step[0], text)
			}
		}
		g.ok("RMD a/b")
		g.no("RMD a/b", "RMD /", "RMD file", "DELE a")
		g.ok("DELE file")
		g.no("DELE file")
	},
	"renaming": func(g *guest) {
		g.ok("MKD d")
		for _, name := range []string{"file", "d"} {
			g.ok("RNFR " + name)
			g.ok("RNTO other")
			g.ok("RNFR other")
			g.ok("RNTO " + name)
		}
		g.no("RNFR bogus", "RNTO file", "RNFR /")
		g.ok("RNFR file")
		g.no("RNTO /")
	},
	"times, sizes and modes": func(g *guest) {
		g.ok("MDTM file")
		g.no("MDTM bogus", "MFMT B017092101341A file", "MFMT 20170921 file", "MFMT file")
		g.ok("MFMT 20170921013410 file")
		g.same(g.ok("MDTM file"), "20170921013410", "MDTM")
		g.ok("TYPE A")
		g.no("SIZE file")
		g.ok("TYPE I")
		g.same(g.ok("SIZE file"), "4", "SIZE")
		g.no("SIZE /", "SIZE bogus", "SITE CHMOD 777", "SITE CHMOD -177 file", "SITE CHMOD 778 file", "SITE CHMOD foo file")
		g.ok("SITE CHMOD 555 file")
		if st, err := os.Stat(filepath.Join(g.rig.root, "file")); err != nil || st.Mode().Perm()&0o200 != 0 {
			g.t.Errorf("%v %v", st, err)
		}
	},
	"STOR, APPE and RETR": func(g *guest) {
		data := strings.Repeat("abcde12345", 100_000)
		g.put("STOR new", data)
		g.same(g.get("RETR new"), data, "stored")
		g.put("APPE new", "more")
		g.same(g.get("RETR new"), data+"more", "appended")
		g.put("STOR empty")
		g.same(g.get("RETR empty"), "", "empty")
		g.refused("RETR bogus")
	},
	"active mode": func(g *guest) {
		g.active = true
		g.put("STOR new", strings.Repeat("abcde12345", 100_000))
		g.same(strconv.Itoa(len(g.get("RETR new"))), "1000000", "length")
		g.get("LIST")
	},
	"TYPE A": func(g *guest) {
		g.ok("TYPE A")
		g.put("STOR text", "\r", "\n foo \r", "\n bar") // a line end in two pieces
		g.put("STOR long", strings.Repeat("abcde12345\r\n", 10_000))
		g.same(g.get("RETR long"), strings.Repeat("abcde12345\r\n", 10_000), "as text")
		g.ok("TYPE I")
		g.same(g.get("RETR text"), "\n foo \n bar", "stored as text")
		g.put("STOR crlf", "a\r\nb\r\n")
		g.ok("TYPE A")
		g.same(g.get("RETR crlf"), "a\r\nb\r\n", "what has CRLF already")
	},
	"STOU": func(g *guest) {
		d := g.epsv()
		text := g.cmd(150, "STOU")
		_, name, found := strings.Cut(text, "FILE: ")
		if !found {
			g.t.Fatal(text)
		}
		if g.cfg != nil {
			d = tls.Client(d, g.cfg)
		}
		io.WriteString(d, "unique")
		d.Close()
		g.expect(226)
		g.same(g.get("RETR "+name), "unique", "STOU")
		g.ok("REST 10")
		g.refused("STOU")
		g.ok("REST 10")
		g.refused("APPE bogus")
		g.ok("USER anonymous")
		g.ok("PASS x")
		g.no("STOU reserved")
		if strings.Contains(g.get("NLST"), "reserved") {
			g.t.Error("a refused STOU left a file")
		}
	},
	"resuming": func(g *guest) {
		data := strings.Repeat("abcde12345", 1_000_000)
		g.put("STOR new", data[:500_000])
		g.ok("REST 500001")
		g.refused("STOR new")
		g.ok("REST 500000")
		g.put("STOR new", data[500_000:])
		g.ok("REST 10")
		g.refused("STOR bogus")
		g.put("STOR bogus", "x") // the mark is forgotten
		d := g.open("RETR new")
		part := make([]byte, 300_000)
		if _, err := io.ReadFull(d, part); err != nil {
			g.t.Fatal(err)
		}
		if c, ok := d.(*tls.Conn); ok {
			d = c.NetConn()
		}
		d.Close()
		g.expect(426)
		g.ok("REST 10000001")
		g.refused("RETR new")
		g.ok("REST 300000")
		g.same(string(part)+g.get("RETR new"), data, "resumed")
	},
	"QUIT during a transfer": func(g *guest) {
		d := g.open("STOR new")
		io.WriteString(d, "one")
		g.send("QUIT\r\n")
		io.WriteString(d, "two")
		d.Close()
		g.expect(226)
		g.expect(221)
		g.same(g.rig.content("new"), "onetwo", "stored")
	},
	"listings": func(g *guest) {
		g.ok("MKD empty")
		for _, cmd := range []string{"LIST", "NLST", "MLSD"} {
			g.same(g.get(cmd), g.get(cmd+" /"), cmd)
			g.same(g.get(cmd+" empty"), "", cmd+" of an empty folder")
			g.refused(cmd + " bogus")
		}
		for _, cmd := range []string{"LIST", "NLST"} {
			if lines := g.get(cmd + " file"); strings.Count(lines, "\n") != 1 || !strings.HasSuffix(lines, "file\r\n") {
				g.t.Errorf("%s of a file: %q", cmd, lines)
			}
		}
		for _, flags := range []string{"-a", "-l", "-al", "-la"} {
			g.same(g.get("LIST "+flags), g.get("LIST"), "LIST "+flags)
		}
		d := g.epsv()
		g.cmd(501, "MLSD file")
		d.Close()
		if text := g.ok("STAT /"); !strings.Contains(text, "file") {
			g.t.Error(text)
		}
		g.ok("STAT")
		g.no("STAT bogus")
	},
	"MLST": func(g *guest) {
		// Without the space that begins the line, which the reader of replies takes off.
		line := func(cmd string) string { return strings.Split(g.ok(cmd), "\n")[1] }
		if l := line("MLST"); !strings.HasSuffix(l, " /") || !strings.Contains(l, "type=dir") || l != line("MLST /") {
			g.t.Error(l)
		}
		if l := line("MLST file"); !strings.HasSuffix(l, " /file") || !strings.Contains(l, "type=file") {
			g.t.Error(l)
		}
		g.no("MLST bogus")
		g.ok("OPTS MLST type;")
		g.same(line("MLST"), "type=dir; /", "one fact")
		g.ok("OPTS MLST")
		g.same(line("MLST"), " /", "no fact")
	},
	"ABOR": func(g *guest) {
		g.ok("ABOR")
		g.ok("EPSV")
		g.ok("ABOR")
		d := g.epsv()
		g.ok("ABOR")
		d.Close()
		g.rig.write("big", strings.Repeat("x", 32<<20))
		g.open("RETR big")
		g.send("\xff\xf4\xff\xf2ABOR\r\n")
		g.expect(426)
		g.expect(226)
		g.ok("PWD")
	},
	"EPSV and EPRT": func(g *guest) {
		mine, other, host := "1", "2", "127.0.0.1"
		if g.rig.srv.Addr().Addr().Is6() {
			mine, other, host = "2", "1", "::1"
		}
		g.cmd(522, "EPSV %s", other)
		g.no("EPSV 3", "EPRT |3|"+host+"|2048|", "EPRT |"+mine+"|"+host+"|222|", "EPRT", "EPRT |"+mine+"|"+host+"|", "EPRT |"+mine+"|x|2048|",
			"EPRT |"+mine+"|"+host+"|-1|", "EPRT |"+mine+"|"+host+"|65536|", "EPRT |1|1.2.3.4.5|2048|", "EPRT |1|1.2.3.256|2048|", "EPRT |1|0.10.10.10|2222|", "EPRT |2|::f00|2222|")
		for _, cmd := range []string{"EPSV", "EPSV " + mine} {
			port, err := wire.Parse229(g.cmd(229, "%s", cmd))
			if err != nil {
				g.t.Fatal(err)
			}
			g.dialPort(port)
			g.ok("ABOR")
		}
		g.ok("EPSV ALL")
		g.no("PASV", "PORT 127,0,0,1,8,0", "EPRT |"+mine+"|"+host+"|2048|")
	},
	"PORT and PASV": func(g *guest) {
		if g.rig.srv.Addr().Addr().Is6() {
			g.no("PORT 127,0,0,1,8,0")
			return
		}
		g.no("PORT 127,0,0,1,1.1", "PORT X,0,0,1,1,1", "PORT 127,0,0,1,1,1,1", "PORT 127,0,0,1", "PORT 256,0,0,1,1,1", "PORT 127,0,0,1,256,1", "PORT 127,0,0,1,-1,0",
			"PORT 127,0,0,1,1,1", "PORT 1,2,3,4,4,4")
		told, err := wire.Parse227(g.cmd(227, "PASV"))
		if err != nil || told.Addr().String() != "127.0.0.1" {
			g.t.Fatal(told, err)
		}
		g.dialPort(told.Port())
		g.ok("ABOR")
	},
	"connections that are gone at once": func(g *guest) {
		gone := func(addr string) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
		for range 10 {
			gone(g.rig.srv.Addr().String())
			gone(net.JoinHostPort(g.rig.srv.Addr().Addr().String(), strconv.Itoa(int(g.epsvPort()))))
		}
		g.ok("NOOP")
	},
}

func TestWhatPyftpdlibsTestsSayOfFTP(t *testing.T) {
	for name, listen := range map[string]string{"clear": "127.0.0.1:0", "TLS": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			if l, err := net.Listen("tcp", listen); err != nil {
				t.Skipf("no %s here: %v", listen, err)
			} else {
				l.Close()
			}
			for what, check := range pyftpdlibChecks {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					r := start(t, func(c *Config) {
						c.Listen = listen
						c.Limits.ShutOutAfter = -1
						if name == "TLS" {
							c.TLS.Mode = TLSExplicit
						}
					})
					r.write("file", "text")
					c := r.connect()
					if name == "TLS" {
						c.startTLS()
						c.cmd(200, "PBSZ 0")
						c.cmd(200, "PROT P")
					}
					c.cmd(331, "USER u")
					c.cmd(230, "PASS pw")
					c.cmd(200, "TYPE I")
					check(&guest{raw: c, rig: r})
				})
			}
		})
	}
}
