package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestVsftpdListsInPiecesAndSetsRights(t *testing.T) {
	addr, root := vsftpd(t, "127.0.0.1", "", "chmod_enable=YES\n")
	for i := range 5000 {
		if err := os.WriteFile(filepath.Join(root, "up", fmt.Sprintf("a file with a longer name %05d.txt", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := dial(t, Options{Target: to(addr), Mode: ModePassive})
	ctx := context.Background()
	var pieces []int
	all, err := s.ListPieces(ctx, "/up", func(so []Entry) { pieces = append(pieces, len(so)) })
	if err != nil || len(all) != 5000 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	for i := 1; i < len(pieces); i++ {
		if pieces[i] < pieces[i-1] {
			t.Fatalf("fewer entries than before: %v", pieces)
		}
	}
	if len(pieces) < 2 || pieces[0] >= 5000 {
		t.Errorf("the listing came in %d pieces, the first of %d", len(pieces), pieces[0])
	}
	// vsftpd lets nobody change rights as anonymous, and says so; the session goes on.
	if err := s.Chmod(ctx, "/up/"+all[0].Name, 0o600); err == nil {
		t.Error("vsftpd let an anonymous user change rights")
	}
	if _, err := s.List(ctx, "/up"); err != nil {
		t.Error(err)
	}
}

func TestRightsAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]uint32{
		"rwxr-xr-x": 0o755, "rw-r-----": 0o640, "---------": 0, "rwsr-sr-t": 0o7755, "rwSr-Sr-T": 0o7644,
	} {
		if got, ok := ParseRights(text); !ok || got != want {
			t.Errorf("%s: %o, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "adfrw", "rwxrwxrw", "xwrxwrxwr", "rwxrwxrws", "rwtrwxrwx"} {
		if got, ok := ParseRights(text); ok {
			t.Errorf("%q is read as %o", text, got)
		}
	}
	if got := FormatRights(0o754); got != "rwxr-xr--" {
		t.Error(got)
	}
}

func FuzzParseRights(f *testing.F) {
	f.Add("rwxr-xr-x")
	f.Add("rwSr-sr-T")
	f.Fuzz(func(t *testing.T, text string) {
		mode, ok := ParseRights(text)
		if ok && (mode > 0o7777 || len(text) != 9) {
			t.Errorf("%q: %o", text, mode)
		}
	})
}
