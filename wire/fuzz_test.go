package wire

import (
	"bytes"
	"math/big"
	"reflect"
	"strings"
	"testing"
)

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"RETR a", "\xff\xf4ABOR", "PASS x\x00", "", " ", "PORT 1,2,3,4,5,6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := ParseCommand(line)
		if err == nil {
			again, err := ParseCommand(c.String())
			if err != nil || again != c {
				t.Fatalf("%q: %+v, then %+v, %v", line, c, again, err)
			}
			if strings.ToUpper(c.Verb) != c.Verb || len(c.Verb) > 16 || strings.ContainsAny(c.Arg, "\r\n\x00") {
				t.Fatalf("%q: %+v", line, c)
			}
		}
		if masked := Mask(line); Escape(masked) != masked {
			t.Fatalf("%q is shown as %q", line, masked)
		}
	})
}

func FuzzMaskHidesPasswords(f *testing.F) {
	f.Add("hunter2")
	f.Fuzz(func(t *testing.T, secret string) {
		if len(secret) < 5 || strings.Contains("****", secret) {
			return
		}
		if masked := Mask("PASS " + secret); masked != "PASS ****" {
			t.Fatal(masked)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	for _, s := range []string{"220 a\r\n", "211-a\r\n b\r\n211 c\r\n", "22", "211-\n211 \n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, rest, err := ParseReply(data)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(data, rest) || len(r.Lines) == 0 {
			t.Fatalf("%q: %+v, rest %q", data, r, rest)
		}
		again, rest, err := ParseReply(r.Format())
		if err != nil || len(rest) > 0 || again.Code != r.Code || len(again.Lines) != len(r.Lines) {
			t.Fatalf("%q: %+v, then %+v, rest %q, %v", data, r, again, rest, err)
		}
	})
}

func FuzzParse257(f *testing.F) {
	f.Add(`"/a ""b""" made`)
	f.Fuzz(func(t *testing.T, text string) {
		if path, err := Parse257(text); err == nil {
			if again, err := Parse257(Quote(path)); err != nil || again != path {
				t.Fatalf("%q: %q, then %q, %v", text, path, again, err)
			}
		}
	})
}

func FuzzParseFacts(f *testing.F) {
	f.Add("type=file;size=3; a")
	f.Fuzz(func(t *testing.T, line string) {
		facts, name, err := ParseFacts(line)
		if err != nil {
			return
		}
		again, name2, err := ParseFacts(formatFacts(facts, name))
		if err != nil || name2 != name || !reflect.DeepEqual(again, facts) {
			t.Fatalf("%q: %v %q, then %v %q, %v", line, facts, name, again, name2, err)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	f.Add("20240229235958.25")
	f.Fuzz(func(t *testing.T, s string) {
		if at, err := ParseTime(s); err == nil && FormatTime(at) != s[:14] {
			t.Fatalf("%q: %v", s, at)
		}
	})
}

func FuzzParseGreeting(f *testing.F) {
	f.Add("Portside ready [session 1a2b]")
	f.Fuzz(func(t *testing.T, s string) {
		if id := ParseGreeting(s); id != "" && ParseGreeting(Greeting("x", id)) != id {
			t.Fatalf("%q: %q", s, id)
		}
	})
}

func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"127,0,0,1,200,10", "|1|127.0.0.1|5000|", "|2|::1|5000|", "Entering Passive Mode (1,2,3,4,5,6)", "(|||5000|)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ap, err := ParsePort(s); err == nil && FormatPort(ap) != s {
			t.Fatalf("PORT %q: %v", s, ap)
		}
		if ap, err := ParseEPRT(s); err == nil {
			again, err := ParseEPRT(FormatEPRT(ap))
			if err != nil || again.Port() != ap.Port() || again.Addr().Unmap() != ap.Addr().Unmap() {
				t.Fatalf("EPRT %q: %v, then %v, %v", s, ap, again, err)
			}
		}
		if ap, err := Parse227(s); err == nil {
			if again, err := Parse227(Format227(ap)); err != nil || again != ap {
				t.Fatalf("227 %q: %v, then %v, %v", s, ap, again, err)
			}
		}
		if port, err := Parse229(s); err == nil {
			if again, err := Parse229(Format229(port)); err != nil || again != port {
				t.Fatalf("229 %q: %v, then %v, %v", s, port, again, err)
			}
		}
	})
}

func FuzzParseOffset(f *testing.F) {
	for _, s := range []string{"42", "0", "-1", "-0", "+1", "9223372036854775808", "0x10", "1_000", " 5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseOffset(s)
		s = strings.TrimSpace(s)
		digits := s != "" && strings.Trim(s, "0123456789") == ""
		want, fits := new(big.Int).SetString(s, 10)
		switch {
		case err == nil && (!digits || !fits || !want.IsInt64() || want.Int64() != n):
			t.Fatalf("%q: %d", s, n)
		case err != nil && digits && want.IsInt64():
			t.Fatalf("%q: %v", s, err)
		}
	})
}
