package client

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for in, want := range map[string]Target{
		"ftp.example.org":                        {Host: "ftp.example.org", TLS: TLSAuto},
		" ftp.example.org:2121 ":                 {Host: "ftp.example.org", Port: 2121, TLS: TLSAuto},
		"host:990":                               {Host: "host", Port: 990, TLS: TLSImplicit},
		"ftp://host:990":                         {Host: "host", Port: 990, TLS: TLSAuto},
		"bob@host":                               {Host: "host", User: "bob", TLS: TLSAuto},
		"bob:p@ss:w@host/x":                      {Host: "host", User: "bob", Password: "p@ss:w", Path: "x", TLS: TLSAuto},
		"FTPS://host":                            {Host: "host", TLS: TLSImplicit},
		"ftpes://bob%40corp:a%2Fb@host/":         {Host: "host", User: "bob@corp", Password: "a/b", TLS: TLSExplicit},
		"ftp://host/a%20b/c":                     {Host: "host", Path: "a b/c", TLS: TLSAuto},
		"ftp://host/%2Fetc":                      {Host: "host", Path: "/etc", TLS: TLSAuto},
		"ftp://host//etc":                        {Host: "host", Path: "/etc", TLS: TLSAuto},
		"ftp://host/f.bin;type=i":                {Host: "host", Path: "f.bin", TLS: TLSAuto},
		"ftp://host/what?#1":                     {Host: "host", Path: "what?#1", TLS: TLSAuto},
		"ftp://[2001:db8::1]:2121/x":             {Host: "2001:db8::1", Port: 2121, Path: "x", TLS: TLSAuto},
		"[::1]:21":                               {Host: "::1", Port: 21, TLS: TLSAuto},
		"::1":                                    {Host: "::1", TLS: TLSAuto},
		"ftp://[fe80::1%25eth0]/":                {Host: "fe80::1%eth0", TLS: TLSAuto},
		"fe80::1%eth0":                           {Host: "fe80::1%eth0", TLS: TLSAuto},
		"ftp://:@host":                           {Host: "host", TLS: TLSAuto},
		"ftp://host:":                            {Host: "host", TLS: TLSAuto},
		"ftp://" + strings.Repeat("a", 60) + "/": {Host: strings.Repeat("a", 60), TLS: TLSAuto},
	} {
		got, err := ParseURL(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", in, got, err, want)
		}
	}
}

func TestParseURLRefusesNonsense(t *testing.T) {
	for in, words := range map[string]string{
		"":                          "empty",
		"sftp://host":               `"sftp://" is not a kind of address for FTP`,
		"http://host/":              "ftp://",
		"ftp://":                    "host is missing",
		"ftp:///path":               "host is missing",
		"host:99999":                "1 to 65535",
		"host:0":                    "1 to 65535",
		"host:secret":               "1 to 65535",
		"ho st":                     "' '",
		"ftp://host/a%0d%0aDELE%20": "line break",
		"ftp://u%00@host":           "zero byte",
		"ftp://host/%zz":            "%25",
		"[::1":                      "[2001:db8::1]:21",
		"1:2:3":                     "not an IPv6 address",
		"ftp://bob:se/cret@host":    "%2F",
	} {
		_, err := ParseURL(in)
		if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "cret") {
			t.Errorf("%q: %v, want %q", in, err, words)
		}
	}
}

func TestAnAbsolutePathIsShownWithoutAnEscape(t *testing.T) {
	for path, want := range map[string]string{
		"": "ftpes://host", "a/b": "ftpes://host/a/b", "/": "ftpes://host//", "/srv/a b": "ftpes://host//srv/a%20b", "//a": "ftpes://host///a",
	} {
		target := Target{Host: "host", TLS: TLSExplicit, Path: path}
		got := target.Shown()
		if back, err := ParseURL(got); got != want || err != nil || back != target {
			t.Errorf("%q is shown as %q, which is read as %+v, %v", path, got, back, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"ftp://bob:pw@host:21/a%20b", "[fe80::1%25e]:1/x", "ftpes://h//p;type=a", "a@b@c", "0/\xe3\xbf\xd2\xf2;tYpe="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseURL(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(target.Host+target.User+target.Password+target.Path, "\r\n\x00") || target.Host == "" {
			t.Fatalf("%q gave %+v", s, target)
		}
		for _, written := range []string{target.URL(), target.Shown()} {
			again, err := ParseURL(written)
			target.Port, again.Port = target.ControlPort(), again.ControlPort()
			if target.Password = ""; err != nil || again != target && !(target.User == Anonymous) {
				t.Fatalf("%q gave %+v, its URL %q gave %+v, %v", s, target, written, again, err)
			}
		}
	})
}
