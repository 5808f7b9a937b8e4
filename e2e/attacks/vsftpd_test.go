//go:build linux

package attacks

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portside/e2e/peers"
)

// step is one command of the script. "{data}" before a command asks for a passive port and dials it, and
// reads what the transfer brings; "{up}" sends a few bytes instead. The codes of a 1xx reply and of the one after it are joined:
// "150 226".
type step struct {
	line string
	why  string // why the codes differ from vsftpd's; "" when they must not
}

// reasons that several differences share.
const (
	whyUnknown  = "RFC 959 section 4.2.1 has 502 for commands of RFCs that are not offered; vsftpd knows no such command, 500"
	whyArgument = "RFC 959 section 4.2.1 has 501 for a missing argument; vsftpd goes on with an empty one"
	whyValue    = "RFC 959 section 4.2.1 has 504 for a parameter that is not offered, and 501 for one that makes no sense"
	whyOther    = "a new sign-in may begin at any time (RFC 959 section 4.1.1); vsftpd keeps the first"
	whyBounce   = "RFC 2577 section 3 recommends 504 for a PORT that is refused; vsftpd answers 500"
)

// script runs in the order of the list, in two folders with the same files.
var script = []step{
	// Before the sign-in.
	{"NOOP", "RFC 959 section 4.1.3 lets NOOP come at any time; vsftpd wants a sign-in first"},
	{"SYST", "harmless and asked by clients early; vsftpd wants a sign-in first"},
	{"FEAT", ""}, {"HELP", "as SYST"}, {"PWD", ""}, {"PASV", ""}, {"RETR a", ""}, {"XYZZY", "RFC 959 has 500 for what is no command; vsftpd says 530 before the sign-in"},
	{"PASS x", ""}, {"USER", whyArgument}, {"OPTS UTF8 ON", ""}, {"AUTH TLS", "known and off is 502 here; vsftpd treats it as unknown, 530"},
	{"PBSZ 0", "without AUTH it is out of order, 503 (RFC 4217 section 8); vsftpd says 530"}, {"PROT P", "as PBSZ"}, {"EPSV", ""}, {"QUOTE", "as XYZZY"},
	{"USER anonymous", ""}, {"PASS guest@example.org", ""},
	// Settings.
	{"CWD pub", ""}, {"PWD", ""}, {"XPWD", ""}, {"TYPE I", ""}, {"TYPE A", ""}, {"TYPE A N", ""}, {"TYPE L 8", ""}, {"TYPE L8", ""},
	{"TYPE E", whyValue}, {"TYPE X", whyValue}, {"TYPE", whyArgument}, {"MODE S", ""}, {"MODE B", ""}, {"MODE Z", ""}, {"MODE Q", whyValue}, {"STRU F", ""}, {"STRU R", ""},
	{"STRU Q", whyValue}, {"NOOP", ""}, {"SYST", ""}, {"FEAT", ""}, {"HELP", ""}, {"HELP RETR", ""}, {"STAT", ""}, {"ALLO 1000", ""}, {"ALLO", whyArgument}, {"ACCT x", "no account is needed: 202 (RFC 959 section 5.4); vsftpd has no ACCT"},
	{"OPTS UTF8 ON", ""}, {"OPTS XXX", ""}, {"OPTS", ""}, {"REIN x", "REIN takes no argument; vsftpd has none"}, {"SMNT x", ""}, {"SITE HELP", "vsftpd lets no anonymous user use SITE"}, {"SITE XXX", "as SITE HELP; 504 is for a parameter that is not offered"},
	{"SITE", "as SITE HELP"}, {"LANG en", whyUnknown}, {"HOST x", "RFC 7151 section 3.3 has 503 after the sign-in; vsftpd has no HOST"}, {"CLNT x", "not in vsftpd"}, {"XYZZY", ""}, {"A", ""},
	{"USER other", whyOther}, {"PASS x", "the other account's password is wrong; vsftpd says that one is signed in"},
	{"USER anonymous", whyOther}, {"PASS guest@example.org", ""}, {"CWD /pub", ""}, {"TYPE I", ""},
	// Files.
	{"SIZE a", ""}, {"SIZE none", ""}, {"SIZE sub", ""}, {"SIZE", whyArgument}, {"MDTM a", ""}, {"MDTM none", ""}, {"MDTM", whyArgument}, {"CWD none", ""}, {"CWD a", ""}, {"CWD sub", ""},
	{"CDUP", ""}, {"XCUP", ""}, {"CWD pub", ""}, {"CWD /pub", ""}, {"CWD ../../../..", ""}, {"PWD", ""}, {"CWD /pub", ""}, {"CWD", whyArgument},
	{"MKD new", ""}, {"MKD new", ""}, {"MKD none/new", ""}, {"MKD", whyArgument}, {"XMKD other", ""}, {"RMD new", ""}, {"XRMD other", ""}, {"RMD new", ""}, {"RMD a", ""},
	{"RMD full", ""}, {"RMD", whyArgument}, {"DELE none", ""}, {"DELE sub", ""}, {"DELE", whyArgument}, {"DELE gone", ""}, {"DELE gone", ""}, {"RNFR a", ""}, {"RNTO b", ""}, {"RNTO c", ""}, {"RNFR b", ""},
	{"NOOP", ""}, {"RNTO a", "RNTO must follow RNFR at once (RFC 959 section 4.1.3); vsftpd lets others stand between"}, {"RNFR b", "the file kept its name here"}, {"RNTO a", "the file kept its name here"},
	{"RNFR none", ""}, {"RNTO x", ""}, {"RNFR", whyArgument}, {"RNTO", "a missing argument is 501 before the order is looked at"},
	// Data connections.
	{"EPSV", ""}, {"EPSV 1", ""}, {"EPSV 2", ""}, {"EPSV x", whyValue}, {"PASV", ""}, {"PORT 1,2,3", "RFC 959 has 501 for a malformed argument; vsftpd says 500"}, {"PORT 127,0,0,1,0,25", whyBounce},
	{"PORT 127,0,0,2,200,1", whyBounce}, {"PORT 300,0,0,1,200,1", "malformed, 501; vsftpd says 500"}, {"PORT 127,0,0,1,200,1", ""}, {"PORT", "as PORT 1,2,3"}, {"EPRT |1|127.0.0.1|50001|", ""},
	{"EPRT |1|127.0.0.2|50001|", whyBounce}, {"EPRT |3|127.0.0.1|50001|", "RFC 2428 section 2 has 522 for a family that is not known; vsftpd says 500"}, {"EPRT |2|::1|50001|", "RFC 2428 section 2 has 522 for the wrong family; vsftpd says 500"}, {"EPRT x", "malformed, 501; vsftpd says 500"},
	{"ABOR", "226 always, as RFC 959 section 4.1.3 allows: it takes back the request that stands; vsftpd says 225"}, {"REST 5", ""}, {"REST 0", ""},
	{"REST -5", "an offset below 0 is 501; vsftpd takes it for 0"}, {"REST x", "no number is 501; vsftpd takes it for 0"}, {"REST", whyArgument}, {"RETR a", ""}, {"LIST", ""}, {"STOR x", ""}, {"STOU", ""},
	{"{data}RETR a", ""}, {"{data}RETR none", ""}, {"{data}RETR sub", ""}, {"{data}RETR", whyArgument}, {"{data}RETR ../../etc/passwd", ""}, {"{data}LIST", ""}, {"{data}LIST -la", ""}, {"{data}LIST sub", ""},
	{"{data}LIST none", "a path that is not there is 550; vsftpd sends an empty listing"}, {"{data}LIST a", ""}, {"{data}NLST", ""}, {"{data}NLST none", "as LIST none"},
	{"{data}NLST *", ""}, {"{data}MLSD", "not in vsftpd"}, {"MLST a", "not in vsftpd"}, {"{up}STOR up", ""}, {"SIZE up", ""}, {"{up}APPE up", ""}, {"SIZE up", ""}, {"{up}APPE up2", ""}, {"{up}STOR none/up", "a folder that is not there is 550 in every command here; vsftpd says 553"},
	{"{up}STOR sub", "a folder is no file, 550; vsftpd says 553"}, {"{up}STOR", whyArgument}, {"{up}STOU", ""}, {"REST 3", ""}, {"{data}RETR a", ""}, {"REST 999", ""},
	{"{data}RETR a", "REST beyond the end is 554 (RFC 1123 section 4.1.3.4); vsftpd sends nothing and says 226"},
	{"REST 2", ""}, {"{up}STOR up", ""}, {"SIZE up", ""}, {"STAT a", ""}, {"STAT none", "as LIST none"},
	{"SITE CHMOD 644 a", "as SITE HELP"}, {"SITE CHMOD x a", "as SITE HELP; a mode that is none is 501"}, {"MDTM 20200101000000 a", ""}, {"MFMT 20200101000000 a", "not in vsftpd"},
	{"AVBL", "not in vsftpd"}, {"EPSV ALL", ""}, {"PASV", "RFC 2428 section 4: after EPSV ALL everything but EPSV is refused, 501 here; vsftpd differs"}, {"PORT 127,0,0,1,200,1", "as PASV"}, {"EPSV", ""},
	{"MLFL", whyUnknown}, {"XYZZY x", ""}, {"QUIT", ""},
}

// TestRepliesBesideVsftpd sends one script to both servers. Codes that differ without a reason fail, and so does a reason
// where nothing differs.
func TestRepliesBesideVsftpd(t *testing.T) {
	vsftpd := peers.ForTest(t, peers.Config{Kind: peers.Vsftpd})
	root := t.TempDir()
	ours := serveFolder(t, root, "--tls", "off")
	for _, pub := range []string{vsftpd.Root, filepath.Join(root, "pub")} {
		for name, content := range map[string]string{"a": "0123456789\n", "gone": "x", "sub/s": "x", "full/f": "x"} {
			path := filepath.Join(pub, name)
			os.MkdirAll(filepath.Dir(path), 0o777)
			os.Chmod(filepath.Dir(path), 0o777)
			if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := func(addr string) *client {
		c := dial(t, addr, nil)
		c.expect(220)
		return c
	}
	us, them := begin(ours.addr), begin(vsftpd.Addr())
	same := 0
	for i, s := range script {
		a, textA := s.run(us)
		b, textB := s.run(them)
		switch {
		case a == b && s.why != "":
			t.Errorf("%d %q: both answer %s, but a reason for a difference is written down", i, s.line, a)
		case a != b && s.why == "":
			t.Errorf("%d %q: Portside %s %q, vsftpd %s %q", i, s.line, a, textA, b, textB)
		case a != b:
			t.Logf("%-28q Portside %-8s vsftpd %-8s %s", s.line, a, b, s.why)
		default:
			same++
		}
	}
	t.Logf("%d of %d commands are answered with the same codes", same, len(script))
}

// run sends the step and returns the codes and texts of its replies.
func (s step) run(c *client) (codes, texts string) {
	line, data := strings.CutPrefix(s.line, "{data}")
	line, up := strings.CutPrefix(line, "{up}")
	var d net.Conn
	if data || up {
		d = c.data()
		defer d.Close()
	}
	code, text := c.try(line)
	codes, texts = fmt.Sprint(code), text
	if code/100 == 1 {
		if up {
			d.Write([]byte("uploaded"))
			d.Close()
		} else {
			d.SetReadDeadline(time.Now().Add(patience))
			var b bytes.Buffer
			b.ReadFrom(d)
		}
		code, text = c.reply()
		codes, texts = fmt.Sprint(codes, " ", code), texts+" "+text
	}
	return codes, texts
}
