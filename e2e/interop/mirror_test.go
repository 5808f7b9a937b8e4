//go:build linux

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portside/e2e/peers"
)

// command runs portside to its end. interrupt, if set, looks at each line of standard output: true sends SIGINT.
func command(t *testing.T, interrupt func(line string) bool, args ...string) (code int, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment(t, "")
	var stdout, stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		stdout.WriteString(lines.Text() + "\n")
		if interrupt != nil && interrupt(lines.Text()) {
			interrupt = nil
			_ = cmd.Process.Signal(syscall.SIGINT)
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// The command as a person uses it: list first, then do, repeat, change something, interrupt, and repeat.
func TestTheMirrorCommandWithEveryServer(t *testing.T) {
	for _, kind := range peers.Kinds {
		for _, way := range []string{"--download", "--upload"} {
			t.Run(string(kind)+" "+way, func(t *testing.T) {
				t.Parallel()
				s := peers.ForTest(t, peers.Config{Kind: kind})
				from, to := filepath.Join(s.Root, "tree"), filepath.Join(t.TempDir(), "tree")
				url, here := s.URL("tree"), to
				if way == "--upload" {
					from, to = to, from
					here = from
				}
				makeTree(t, filepath.Dir(from), "tree")
				old := time.Now().Add(-50 * 24 * time.Hour).Truncate(time.Second)
				for name := range hashes(t, from) {
					if err := os.Chtimes(filepath.Join(from, name), old, old); err != nil {
						t.Fatal(err)
					}
				}
				mirror := func(wantCode int, wantOut, wantErrs string, options ...string) {
					t.Helper()
					code, out, errs := command(t, nil, append(append([]string{"mirror", way}, options...), url, here)...)
					if code != wantCode || !strings.Contains(out, wantOut) || wantOut == "" && out != "" || !strings.HasPrefix(errs, wantErrs) {
						t.Fatalf("exit %d\n%s%s\nwant exit %d, %q, %q", code, out, errs, wantCode, wantOut, wantErrs)
					}
				}
				mirror(0, "copy          sub/grüße.txt (new)\n", "8 to copy (2 MiB), 0 to delete, 0 the same.", "--dry-run")
				if _, err := os.Stat(to); err == nil {
					t.Fatal("the dry run has made something")
				}
				mirror(0, "", "8 copied (2 MiB), 0 deleted, 0 the same")
				sameFiles(t, from, to)
				for name := range hashes(t, to) {
					// vsftpd lists minutes.
					if late := old.Sub(modTime(t, filepath.Join(to, name))); late != 0 && (kind != peers.Vsftpd || way == "--upload" || late < 0 || late > time.Minute) {
						t.Errorf("%s has a time that is %v off", name, late)
					}
				}
				mirror(0, "", "0 copied (0 bytes), 0 deleted, 8 the same")

				now := time.Now()
				for name, text := range map[string]string{"one": "longer", "sub/grüße.txt": "other bytes!", "new ☃.txt": "new"} {
					if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
					_ = os.Chtimes(filepath.Join(from, name), now, now)
				}
				if err := os.RemoveAll(filepath.Join(from, "other")); err != nil {
					t.Fatal(err)
				}
				mirror(0, "", "3 copied (21 bytes), 0 deleted, 5 the same")
				if _, err := os.Stat(filepath.Join(to, "other", "x")); err != nil {
					t.Error("deleted unasked:", err)
				}
				mirror(0, "delete        other/x (not in the source)\ndelete folder other (not in the source)\n", "0 to copy (0 bytes), 2 to delete, 8 the same.", "--dry-run", "--delete")
				mirror(0, "", "0 copied (0 bytes), 2 deleted, 8 the same", "--delete")
				sameFiles(t, from, to)

				// Interrupted within a large file, and repeated.
				if err := os.WriteFile(filepath.Join(from, "large"), bytes.Repeat([]byte("0123456789abcdef"), 6<<20), 0o644); err != nil {
					t.Fatal(err)
				}
				begun := func(line string) bool {
					var r record
					_ = json.Unmarshal([]byte(line), &r)
					return r.Event == "command" && (strings.HasPrefix(r.Command, "RETR") || strings.HasPrefix(r.Command, "STOR"))
				}
				code, _, errs := command(t, begun, "mirror", way, "--delete", "--log", "json", url, here)
				if code == 0 {
					t.Log("it was over before the interrupt")
				} else if code != 1 || !strings.Contains(errs, "cancelled; the same command goes on from here") {
					t.Errorf("exit %d: %s", code, errs)
				}
				if way == "--download" {
					if _, err := os.Stat(filepath.Join(to, "large")); err == nil && code != 0 {
						t.Error("a part has the file's name")
					}
				}
				mirror(0, "", "", "--delete")
				sameFiles(t, from, to)
				mirror(0, "", fmt.Sprintf("0 copied (0 bytes), 0 deleted, %d the same", len(hashes(t, from))), "--delete")
			})
		}
	}
	t.Run("what fails is named", func(t *testing.T) {
		t.Parallel()
		s := peers.ForTest(t, peers.Config{Kind: peers.ProFTPD})
		for want, args := range map[string][]string{
			"nowhere":  {"mirror", s.URL("nowhere"), t.TempDir()},
			"refused":  {"mirror", "ftp://127.0.0.1:1/", t.TempDir()},
			"530":      {"mirror", strings.Replace(s.URL(""), peers.Password, "wrong", 1), t.TempDir()},
			"in clear": {"mirror", strings.Replace(s.URL(""), "ftp://", "ftpes://", 1), t.TempDir()},
		} {
			if code, _, errs := command(t, nil, args...); code != 1 || !strings.Contains(errs, want) {
				t.Errorf("%q: exit %d: %s", args, code, errs)
			}
		}
		if code, _, errs := command(t, nil, "mirror", "--sideways", "ftp://h/", "x"); code != 2 || errs == "" {
			t.Errorf("exit %d: %s", code, errs)
		}
	})
}
