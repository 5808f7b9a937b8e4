package sites

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"portside/client"
)

const fzXML = `<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>
<FileZilla3 version="3.63.0" platform="*nix"><Servers>
 <Folder expanded="0">Fold A&#x0A;
  <Server><Host>a.example</Host><Port>2121</Port><Protocol>4</Protocol><Type>0</Type><User>al</User>
   <Pass encoding="base64">aHVzaCDDpA==</Pass><Logontype>1</Logontype><TimezoneOffset>-60</TimezoneOffset><PasvMode>MODE_ACTIVE</PasvMode>
   <MaximumMultipleConnections>3</MaximumMultipleConnections><EncodingType>Custom</EncodingType><CustomEncoding>KOI8-R</CustomEncoding>
   <Name>One</Name><Comments>a
b</Comments><Colour>1</Colour><LocalDir>/l</LocalDir><RemoteDir>1 0 3 pub 3 a b</RemoteDir><SyncBrowsing>1</SyncBrowsing>
   <Bookmark><Name>m</Name><LocalDir>/x</LocalDir><RemoteDir>1 0 1 y</RemoteDir><SyncBrowsing>0</SyncBrowsing></Bookmark></Server>
  <Folder expanded="1">Inner<Server><Host>b.example</Host><Port>21</Port><Protocol>0</Protocol><Logontype>0</Logontype>Old name</Server></Folder>
 </Folder>
 <Server><Host>c.example</Host><Port>22</Port><Protocol>1</Protocol><Name>Shell</Name></Server>
 <Server><Host>d.example</Host><Port>990</Port><Protocol>3</Protocol><User>d</User><Pass encoding="crypt" pubkey="x">q</Pass><Logontype>1</Logontype><Name>Locked</Name></Server>
 <Server><Host></Host><Name>Empty</Name></Server>
 <Server><Host>e.example</Host><Port>99999</Port><Protocol>6</Protocol><User>e</User><Pass>plain</Pass><Account>acc</Account><Logontype>4</Logontype><RemoteDir>1 0 99 x</RemoteDir><Name>Last</Name></Server>
</Servers></FileZilla3>`

func one(t *testing.T, i *Imported, name string) *Node {
	t.Helper()
	var found *Node
	(&Book{Nodes: i.Nodes}).All(func(n *Node, _ []*Node) bool {
		if n.Name == name {
			found = n
		}
		return true
	})
	if found == nil {
		t.Fatalf("%s was not read; read: %s; problems: %q", name, shape(i.Nodes), i.Problems)
	}
	return found
}

func mentions(problems []string, words ...string) bool {
	for _, p := range problems {
		all := true
		for _, w := range words {
			all = all && strings.Contains(p, w)
		}
		if all {
			return true
		}
	}
	return false
}

func TestFileZillasSitesAreReadWithAllThatIsSet(t *testing.T) {
	i, err := Import("sitemanager.xml", []byte(fzXML))
	if err != nil || i.From != FileZilla {
		t.Fatal(err)
	}
	if got := shape(i.Nodes); got != "Fold A(One Inner(Old name)) Locked Last" || !i.Nodes[0].Closed {
		t.Fatalf("read %s, problems %q", got, i.Problems)
	}
	minutes := 60 // FileZilla adds its offset to what the server lists
	want := &Site{Host: "a.example", Port: 2121, TLS: client.TLSExplicit, Login: LoginNormal, User: "al", Mode: client.ModeActive,
		Charset: "KOI8-R", TimeOffset: &minutes, LocalFolder: "/l", RemoteFolder: "/pub/a b", Linked: true, Connections: 3,
		Color: "red", Notes: "a\nb", Bookmarks: []Bookmark{{"m", "/x", "/y", false}}}
	n := one(t, i, "One")
	if !reflect.DeepEqual(n.Site, want) {
		t.Errorf("read\n%+v, not\n%+v", n.Site, want)
	}
	if i.Secrets[n.ID].Password != "hush ä" {
		t.Errorf("the password is %q", i.Secrets[n.ID].Password)
	}
	if l := one(t, i, "Locked").Site; l.Login != LoginAsk || l.TLS != client.TLSImplicit || l.Port != 0 {
		t.Errorf("%+v", l)
	}
	last := one(t, i, "Last")
	if last.Site.Login != LoginAccount || (i.Secrets[last.ID] != Secret{"plain", "acc"}) || last.Site.TLS != client.TLSNone {
		t.Errorf("%+v %+v", last.Site, i.Secrets[last.ID])
	}
	for _, want := range [][]string{{"Shell", "SFTP"}, {"Locked", "master password"}, {"Empty", "host"}, {"Last", "port"}, {"Last", "folder"}} {
		if !mentions(i.Problems, want...) {
			t.Errorf("%q isn't said in %q", want, i.Problems)
		}
	}
	data, err := Format(&Book{Nodes: i.Nodes})
	if err != nil || strings.Contains(string(data), "hush") || strings.Contains(string(data), "plain\"") {
		t.Error("a password stands in the book")
	}
}

func TestWhatComesBeforeADamageIsRead(t *testing.T) {
	cut := fzXML[:strings.Index(fzXML, "<Server><Host>d.example")+12]
	i := ParseFileZilla([]byte(cut))
	if i.Len() != 2 || !mentions(i.Problems, "The file", "breaks off") {
		t.Errorf("%s %q", shape(i.Nodes), i.Problems)
	}
}

func TestSafePathsGoBothWays(t *testing.T) {
	for text, want := range map[string]string{"1 0 3 pub 3 a b": "/pub/a b", "1 0": "/", "": "", "1 0 2 äö": "/äö", "/plain": "/plain"} {
		if got, err := parseSafePath(text); got != want || err != nil {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"1", "1 0 9 x", "x", "2 0 1 a", "1 5", "1 0 1", "1 0 1 ab"} {
		if got, err := parseSafePath(bad); err == nil {
			t.Errorf("%q is read as %q", bad, got)
		}
	}
	for _, p := range []string{"/", "/a b/ c", "/ä/1 2"} {
		safe, ok := safePath(p)
		if back, err := parseSafePath(safe); !ok || back != p || err != nil {
			t.Errorf("%q became %q and %q, %v", p, safe, back, err)
		}
	}
}

func TestAnExportForFileZillaComesBack(t *testing.T) {
	in := ParseFileZilla([]byte(fzXML))
	data, lost, err := FormatFileZilla(in.Nodes)
	if err != nil || strings.Contains(string(data), "hush") {
		t.Fatal(err)
	}
	if !mentions(lost, "Last", "account") {
		t.Errorf("lost: %q", lost)
	}
	out := ParseFileZilla(data)
	if shape(out.Nodes) != shape(in.Nodes) || len(out.Problems) != 0 {
		t.Fatalf("%s, %q\n%s", shape(out.Nodes), out.Problems, data)
	}
	a, b := one(t, in, "One").Site, one(t, out, "One").Site
	a.Login = LoginAsk // the password stays behind
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// winscpHide is WinSCP's way to write a password, for the test.
func winscpHide(password, key string) string {
	full := key + password
	out := ""
	put := func(b int) { out += fmt.Sprintf("%02X", (^b^0xA3)&0xff) }
	put(0xFF)
	put(2)
	put(len(full) >> 8)
	put(len(full))
	put(3)
	out += "0F1E2D"
	for _, b := range []byte(full) {
		put(int(b))
	}
	return out + "ABCDEF"
}

func TestWinSCPsSitesAreReadWithTheirPasswords(t *testing.T) {
	ini := "[Configuration\\Interface]\r\nA=1\r\n[Sessions\\Default%20Settings]\r\nHostName=no\r\n" +
		"[Sessions\\Work/%EF%BB%BFB%C3%BCro]\r\nHostName=w.example\r\nPortNumber=21\r\nUserName=wu\r\nPassword=" + winscpHide("geheim=ä", "wuw.example") +
		"\r\nFSProtocol=5\r\nFtps=3\r\nFtpPasvMode=0\r\nRemoteDirectory=/a%20b\r\nTimeDifference=-0,0833333333333333\r\nFtpForcePasvIp2=1\r\nNote=x%0Ay\r\nSynchronizeBrowsing=1\r\nColor=255\r\nUtf=1\r\n" +
		"[Sessions\\Short]\r\nHostName=s.example\r\nUserName=s\r\nPasswordPlain=p%25q\r\nPortNumber=2121\r\nFSProtocol=5\r\nFtpAccount=ac\r\n" +
		"[Sessions\\Other]\r\nHostName=o.example\r\n[Sessions\\Foreign]\r\nHostName=f.example\r\nUserName=u\r\nFSProtocol=5\r\nPortNumber=21\r\nPassword=" + winscpHide("x", "someoneelse") +
		"\r\n[Sessions\\Space]\r\nIsWorkspace=1\r\nHostName=q\r\n"
	i, err := Import("WinSCP.ini", []byte(ini))
	if err != nil || shape(i.Nodes) != "Work(Büro) Short Foreign" {
		t.Fatalf("%v %s %q", err, shape(i.Nodes), i.Problems)
	}
	_, here := time.Now().Zone() // WinSCP takes listed times for this computer's, and adds its difference
	minutes := here/60 + 120
	n := one(t, i, "Büro")
	want := &Site{Host: "w.example", TLS: client.TLSExplicit, Login: LoginNormal, User: "wu", Mode: client.ModeActive, RemoteFolder: "/a b",
		TimeOffset: &minutes, TrustPassiveAddress: true, Notes: "x\ny", Linked: true, Color: "red", Charset: "UTF-8"}
	if !reflect.DeepEqual(n.Site, want) || i.Secrets[n.ID].Password != "geheim=ä" {
		t.Errorf("%+v %q", n.Site, i.Secrets[n.ID].Password)
	}
	short := one(t, i, "Short")
	if i.Secrets[short.ID] != (Secret{"p%q", "ac"}) || short.Site.Port != 2121 || short.Site.TLS != client.TLSNone {
		t.Errorf("%+v %+v", short.Site, i.Secrets[short.ID])
	}
	if f := one(t, i, "Foreign"); f.Site.Login != LoginAsk || i.Secrets[f.ID] != (Secret{}) {
		t.Errorf("%+v", f.Site)
	}
	if !mentions(i.Problems, "Other", "SFTP") || !mentions(i.Problems, "Foreign", "another user") {
		t.Errorf("%q", i.Problems)
	}
	for _, p := range i.Problems {
		if strings.Contains(p, "geheim") {
			t.Error("a problem tells a password")
		}
	}
	locked := ParseWinSCP([]byte("[Configuration\\Security]\nUseMasterPassword=1\n" + ini))
	if one(t, locked, "Büro").Site.Login != LoginAsk || !mentions(locked.Problems, "Büro", "master password") {
		t.Errorf("%q", locked.Problems)
	}
}

const duck = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>Protocol</key><string>ftps</string><key>Nickname</key><string>Duck</string>
<key>Hostname</key><string>d.example</string><key>Port</key><string>2121</string><key>Username</key><string>du</string><key>Path</key><string>/p</string>
<key>FTP Connect Mode</key><string>active</string><key>Encoding</key><string>ISO-8859-1</string><key>Comment</key><string>c</string>
<key>Labels</key><array><string>Blue</string></array></dict></plist>`

func TestCyberducksBookmarksAreReadOneByOneAndAsAFolder(t *testing.T) {
	i, err := Import("x.duck", []byte(duck))
	if err != nil || shape(i.Nodes) != "Blue(Duck)" {
		t.Fatalf("%v %s %q", err, shape(i.Nodes), i.Problems)
	}
	want := &Site{Host: "d.example", Port: 2121, TLS: client.TLSExplicit, Login: LoginAsk, User: "du", RemoteFolder: "/p", Mode: client.ModeActive,
		Charset: "ISO-8859-1", Notes: "c"}
	if got := one(t, i, "Duck").Site; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"a.duck": duck, "b.duck": "no plist", "c.duck": strings.Replace(duck, "ftps", "sftp", 1), "d.txt": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := ImportFile(dir)
	if err != nil || all.Len() != 1 || len(all.Problems) != 2 {
		t.Errorf("%v %q", err, all.Problems)
	}
}

func TestNetrcIsReadAsCurlReadsIt(t *testing.T) {
	i, err := Import("/home/x/.netrc", []byte("# mine\nmachine a.example login al password \"p w\\\"q\"\nmachine b.example\n\tlogin anonymous\n\tpassword x@y\n"+
		"macdef init\ncd pub\nmachine evil\n\nmachine c.example login c account acc password s#x\nmachine d.example login dd\ndefault login z password hidden\nmachine\n"))
	if err != nil || shape(i.Nodes) != "al@a.example b.example c@c.example dd@d.example" {
		t.Fatalf("%v %s %q", err, shape(i.Nodes), i.Problems)
	}
	if got := i.Secrets[i.Nodes[0].ID].Password; got != `p w"q` {
		t.Errorf("%q", got)
	}
	if got := i.Secrets[i.Nodes[2].ID]; got != (Secret{"s#x", "acc"}) || i.Nodes[2].Site.Login != LoginAccount {
		t.Errorf("%+v", got)
	}
	if i.Nodes[3].Site.Login != LoginAsk || len(i.Secrets) != 2 || !mentions(i.Problems, "default") {
		t.Errorf("%+v %q", i.Nodes[3].Site, i.Problems)
	}
	for _, p := range i.Problems {
		if strings.Contains(p, "hidden") {
			t.Error("a problem tells a password")
		}
	}
}

// What stands behind "default" is for no server by name: the next machine must not get it.
func TestAPasswordOfNetrcsDefaultGoesToNoOtherServer(t *testing.T) {
	i := ParseNetrc([]byte("default login z password everywhere account all\nmachine a.example login al\nmachine b.example login be password own\n"))
	if a := one(t, i, "al@a.example"); a.Site.Login != LoginAsk || i.Secrets[a.ID] != (Secret{}) {
		t.Errorf("%+v has got %+v", a.Site, i.Secrets[a.ID])
	}
	if b := one(t, i, "be@b.example"); i.Secrets[b.ID] != (Secret{Password: "own"}) {
		t.Errorf("%+v", i.Secrets[b.ID])
	}
}

// Where a URL stands as the host, its encryption, port and folder count as far as nothing else is said.
func TestAURLInTheHostsPlaceIsTakenWhole(t *testing.T) {
	i := ParseGFTP([]byte("[a]\nhostname=ftps://h.example:2990/pub\nusername=u\n[b]\nhostname=ftpes://h.example\nport=2121\nremote directory=/mine\nusername=u\n"))
	if a := one(t, i, "a").Site; a.Host != "h.example" || a.Port != 2990 || a.TLS != client.TLSImplicit || a.RemoteFolder != "pub" || a.User != "u" {
		t.Errorf("%+v", a)
	}
	if b := one(t, i, "b").Site; b.Host != "h.example" || b.Port != 2121 || b.TLS != client.TLSExplicit || b.RemoteFolder != "/mine" {
		t.Errorf("%+v", b)
	}
}

func TestCyberducksFoldersBelowHomeAreFound(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip("nobody's home folder is known here: ", err)
	}
	with := func(folder string) string {
		text := strings.Replace(duck, "<key>Labels", "<key>Download Folder</key><string>"+folder+"</string><key>Labels", 1)
		return one(t, ParseCyberduck([]byte(text)), "Duck").Site.LocalFolder
	}
	if got := with("~/Down loads"); got != filepath.Join(home, "Down loads") {
		t.Errorf("%q", got)
	}
	if got := with("/~/x"); got != "/~/x" {
		t.Errorf("%q", got)
	}
}

// Nothing is left out without a word.
func TestCommandsAfterSignInAreSaidToBeLeftOut(t *testing.T) {
	fz := ParseFileZilla([]byte("<FileZilla3><Servers><Server><Host>h</Host><Protocol>0</Protocol><PostLoginCommands><Command>SITE X</Command></PostLoginCommands><Name>A</Name></Server></Servers></FileZilla3>"))
	ws := ParseWinSCP([]byte("[Sessions\\B]\nHostName=h\nFSProtocol=5\nPortNumber=21\nPostLoginCommands=SITE%20X\n"))
	if fz.Len() != 1 || ws.Len() != 1 || !mentions(fz.Problems, "A", "commands") || !mentions(ws.Problems, "B", "commands") {
		t.Errorf("%q %q", fz.Problems, ws.Problems)
	}
}

func TestGFTPsBookmarksAreRead(t *testing.T) {
	scramble := func(s string) string {
		out := "$"
		for _, b := range []byte(s) {
			out += string([]byte{b>>2&0x3c | 0x41, b<<2&0x3c | 0x41})
		}
		return out
	}
	i, err := Import("bookmarks", []byte("# Bookmarks\n[Linux/Kernel]\nhostname=k.example\nport=21\nprotocol=FTP\nremote directory=/pub\nlocal directory=\nusername=anonymous\npassword=@EMAIL@\naccount=\n\n"+
		"[Mine]\nhostname=m.example\nport=0\nprotocol=FTPS\nusername=me\npassword="+scramble("s3cret!")+"\n[Shell]\nhostname=s\nprotocol=SSH2\n[Odd]\nhostname=o.example\nusername=o\npassword=$??\nnonsense\n"))
	if err != nil || shape(i.Nodes) != "Linux(Kernel) Mine Odd" {
		t.Fatalf("%v %s %q", err, shape(i.Nodes), i.Problems)
	}
	if k := one(t, i, "Kernel").Site; k.Login != LoginAnonymous || k.RemoteFolder != "/pub" {
		t.Errorf("%+v", k)
	}
	if m := one(t, i, "Mine"); i.Secrets[m.ID].Password != "s3cret!" || m.Site.TLS != client.TLSExplicit {
		t.Errorf("%+v %q", m.Site, i.Secrets[m.ID].Password)
	}
	if !mentions(i.Problems, "Shell", "SSH2") || !mentions(i.Problems, "Odd", "password") || !mentions(i.Problems, "1 of its lines") {
		t.Errorf("%q", i.Problems)
	}
}

func TestLFTPsBookmarksAreRead(t *testing.T) {
	i, err := Import("bookmarks", []byte("kernel\tftp://ftp.k.example/pub/\nwork/mine\tftps://me:p%40w@m.example:2990/%2Fabs/\nweb\thttp://x.example/\nodd\tftp://h:bad\nalone\nh\tftp://u@u.example/~/\n"))
	if err != nil || shape(i.Nodes) != "kernel work(mine) h" {
		t.Fatalf("%v %s %q", err, shape(i.Nodes), i.Problems)
	}
	m := one(t, i, "mine")
	if m.Site.TLS != client.TLSImplicit || m.Site.Port != 2990 || m.Site.RemoteFolder != "/abs" || i.Secrets[m.ID].Password != "p@w" {
		t.Errorf("%+v", m.Site)
	}
	if h := one(t, i, "h").Site; h.Login != LoginAsk || h.RemoteFolder != "" {
		t.Errorf("%+v", h)
	}
	if !mentions(i.Problems, "web", "http") || !mentions(i.Problems, "odd") || len(i.Problems) != 3 {
		t.Errorf("%q", i.Problems)
	}
}

func TestOurOwnBookComesInWithNewNames(t *testing.T) {
	book, _, _, _, _, c := sample()
	data, err := Format(book)
	if err != nil {
		t.Fatal(err)
	}
	i, err := Import("sites.json", data)
	if err != nil || shape(i.Nodes) != shape(book.Nodes) || i.Nodes[1].ID == c.ID {
		t.Errorf("%v %s", err, shape(i.Nodes))
	}
}

func TestWhatIsNoListIsRefusedAndUTF16IsRead(t *testing.T) {
	for _, text := range []string{"", "hello", "\x7fELF\x00\x00", "<html></html>", "{]"} {
		if i, err := Import("file", []byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, i.From)
		}
	}
	wide := []byte{0xFF, 0xFE}
	for _, r := range "machine ä.example login a password b" {
		wide = append(wide, byte(r), byte(r>>8))
	}
	if i, err := Import("_netrc", wide); err != nil || i.Len() != 1 || i.Nodes[0].Site.Host != "ä.example" {
		t.Errorf("%v", err)
	}
}

// check holds for whatever an importer makes of foreign bytes.
func check(t *testing.T, i *Imported) {
	t.Helper()
	b := &Book{Nodes: i.Nodes}
	ids := map[string]bool{}
	b.All(func(n *Node, in []*Node) bool {
		if n.Name == "" || strings.ContainsAny(n.Name, "\r\n\x00") || ids[n.ID] || len(in) > maxDepth {
			t.Errorf("the node %+v", n)
		}
		ids[n.ID] = true
		if n.Site != nil {
			if err := n.Site.Check(); err != nil {
				t.Errorf("%+v: %v", n.Site, err)
			}
		}
		return true
	})
	for id, s := range i.Secrets {
		if !ids[id] || strings.ContainsAny(s.Password+s.Account, "\r\n\x00") {
			t.Errorf("the secret of %q", id)
		}
	}
	data, err := Format(b)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Parse(data); err != nil || shape(back.Nodes) != shape(b.Nodes) {
		t.Errorf("it does not come back: %v", err)
	}
	if _, _, err := FormatFileZilla(b.Nodes); err != nil {
		t.Error(err)
	}
}

func fuzz(f *testing.F, parse func([]byte) *Imported, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, parse(data)) })
}

func FuzzParseFileZilla(f *testing.F) {
	fuzz(f, ParseFileZilla, fzXML, "<FileZilla3><Servers><Folder>")
}

func FuzzParseWinSCP(f *testing.F) {
	fuzz(f, ParseWinSCP, "[Sessions\\a/b]\nFSProtocol=5\nHostName=h\nUserName=u\nPassword="+winscpHide("p", "uh"), "[Sessions\\%EF]\nFSProtocol=5\nHostName=%")
}

func FuzzParseCyberduck(f *testing.F) { fuzz(f, ParseCyberduck, duck, "bplist00") }

func FuzzParseNetrc(f *testing.F) {
	fuzz(f, ParseNetrc, "machine a login \"b\\n\" password c", "macdef x\n\nmachine a:21")
}

func FuzzParseGFTP(f *testing.F) {
	fuzz(f, ParseGFTP, "[a/b]\nhostname=h\nusername=u\npassword=$AA\nprotocol=FTP", "[]\nhostname=x")
}

func FuzzParseLFTP(f *testing.F) {
	fuzz(f, ParseLFTP, "a/b\tftp://u:p@h/x", "%2f\tftps://h", "%00 %80", "a ftp://%80:%81@h/%82", strings.Repeat("0", 199)+"\f0 0")
}

// The bytes of a URL may be of another character set than the book's file.
func TestBytesOfAnotherCharacterSetBecomeText(t *testing.T) {
	i := ParseLFTP([]byte("a ftp://Jos%E9:p%E4ss@h/caf%E9\nb %80\n"))
	if len(i.Nodes) != 1 || i.Nodes[0].Site.User != "José" || i.Nodes[0].Site.RemoteFolder != "café" || i.Secrets[i.Nodes[0].ID].Password != "päss" {
		t.Errorf("%+v", i)
	}
	if len(i.Problems) != 1 || !strings.Contains(i.Problems[0], "UTF-8") {
		t.Errorf("%+v", i.Problems)
	}
	check(t, i)
}

func FuzzImport(f *testing.F) {
	f.Add("x", []byte(base64.StdEncoding.EncodeToString([]byte("x"))))
	f.Add("sites.json", []byte(`{"sites":[{"name":"a","site":{"host":"h"}}]}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if i, err := Import(name, data); err == nil {
			check(t, i)
		}
	})
}
