package terminal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMirrorListsThenMakesAlikeThenHasNothingToDo(t *testing.T) {
	for _, way := range []string{"--download", "--upload"} {
		t.Run(way, func(t *testing.T) {
			served, here := t.TempDir(), filepath.Join(t.TempDir(), "here")
			addr := sharing(t, "--write", "--anonymous", served)
			from, to := filepath.Join(served, "m"), here
			if way == "--upload" {
				from, to = to, from
			}
			if err := os.Rename(tree(t), from); err != nil {
				t.Fatal(err)
			}
			args := []string{"mirror", way, "--delete", "--insecure", "ftp://" + addr + "/m", here}
			dry := func(want ...string) {
				t.Helper()
				code, out, errs := run(t, append(args, "--dry-run")...)
				if code != 0 || out != strings.Join(want[1:], "") || !strings.HasPrefix(errs, want[0]) || !strings.Contains(errs, "Nothing was changed.") {
					t.Fatalf("exit %d\n%s%s", code, out, errs)
				}
			}
			do := func(want string) {
				t.Helper()
				if code, out, errs := run(t, args...); code != 0 || out != "" || !strings.HasPrefix(errs, want) {
					t.Fatalf("exit %d\n%s%s", code, out, errs)
				}
			}
			want := []string{"3 to copy (293 KiB), 0 to delete, 0 the same.", "copy          a.txt (new)\n", "make folder   empty (new)\n", "make folder   sub (new)\n",
				"copy          sub/b c.txt (new)\n", "make folder   sub/deep (new)\n", "copy          sub/deep/ü.txt (new)\n"}
			if way == "--upload" {
				want = append([]string{want[0], "make folder   . (new)\n"}, want[1:]...)
			}
			dry(want...)
			if _, err := os.Stat(to); err == nil {
				t.Fatal("the dry run has made the folder")
			}
			do("3 copied (293 KiB), 0 deleted, 0 the same, in ")
			if got, want := content(t, to), content(t, from); got != want {
				t.Fatalf("%s\nwant %s", got, want)
			}
			dry("0 to copy (0 bytes), 0 to delete, 3 the same.")
			do("0 copied (0 bytes), 0 deleted, 3 the same, in ")

			// Another size, newer with the same size, gone, and older, which stays.
			soon, ago := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
			for name, text := range map[string]string{"a.txt": "longer", "sub/deep/ü.txt": "ö"} {
				if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_ = os.Chtimes(filepath.Join(from, "sub/deep/ü.txt"), soon, soon)
			_ = os.Chtimes(filepath.Join(from, "sub/b c.txt"), ago, ago)
			_ = os.Remove(filepath.Join(from, "empty"))
			dry("2 to copy (8 bytes), 1 to delete, 1 the same.", "copy          a.txt (another size)\n", "copy          sub/deep/ü.txt (newer)\n", "delete folder empty (not in the source)\n")
			do("2 copied (8 bytes), 1 deleted, 1 the same, in ")
			if got, want := content(t, to), content(t, from); got != want {
				t.Fatalf("%s\nwant %s", got, want)
			}
		})
	}
}

func TestMirrorGoesOnAfterACancelledRun(t *testing.T) {
	served, here := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(served, "big"), bytes.Repeat([]byte("0123456789abcdef"), 4<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	// A part that is as old as the file may be of what was there before: it is not gone on with.
	if err := os.Chtimes(filepath.Join(served, "big"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	addr := sharing(t, served)
	part := filepath.Join(here, "big.part")
	for _, resume := range []string{"--resume", "--resume=false"} {
		t.Run(resume, func(t *testing.T) {
			for try := 0; ; try++ { // a fast or a busy computer may be done before it is cancelled
				_ = os.Remove(filepath.Join(here, "big"))
				c, _, errs := console(t)
				ctx, cancel := context.WithCancel(context.Background())
				go func() {
					for ctx.Err() == nil {
						if info, err := os.Stat(part); err == nil && info.Size() > 0 {
							cancel()
						}
					}
				}()
				err := mirror(ctx, c, []string{"--insecure", "ftp://" + addr, here})
				cancel()
				if errors.Is(err, errReported) && strings.Contains(errs.String(), "cancelled; the same command goes on from here") {
					break
				}
				if err != nil || try == 20 {
					t.Fatalf("try %d was not cancelled: %v: %s", try, err, errs)
				}
			}
			left, err := os.Stat(part)
			if err != nil {
				t.Fatal(err)
			}
			// The part is no file too many.
			c, out, errs := console(t)
			if code := Run(c, []string{"mirror", "--delete", "--insecure", "--log", "text", resume, "ftp://" + addr, here}); code != 0 || !strings.HasPrefix(errs.String(), "1 copied (64.0 MiB), 0 deleted") {
				t.Fatalf("exit %d: %s", code, errs)
			}
			if resumed := regexp.MustCompile("REST [1-9]").MatchString(out.String()); resumed != (resume == "--resume") || left.Size() == 0 {
				t.Errorf("resumed: %v", resumed)
			}
			if content(t, here) != content(t, served) {
				t.Error("the folders differ")
			}
		})
	}
}

func TestMirrorNamesWhatFailsAndDeletesNothingThen(t *testing.T) {
	served, here := tree(t), t.TempDir()
	addr := sharing(t, served)
	for name, text := range map[string]string{"sub": "a file where a folder goes", "precious": "x"} {
		if err := os.WriteFile(filepath.Join(here, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, _, errs := run(t, "mirror", "--insecure", "ftp://"+addr, here)
	if code != 0 || !strings.Contains(errs, "sub") || !strings.Contains(errs, "in the way") {
		t.Errorf("exit %d: %s", code, errs)
	}
	// The server takes no files.
	code, _, errs = run(t, "mirror", "--upload", "--delete", "--insecure", "ftp://"+addr, here)
	if code != 1 || !strings.Contains(errs, "precious") || !strings.Contains(errs, "nothing was deleted") || !strings.Contains(errs, ", 0 deleted,") {
		t.Errorf("exit %d: %s", code, errs)
	}
	for want, args := range map[string][]string{
		"550":                  {"mirror", "--delete", "--insecure", "ftp://" + addr + "/nowhere", here},
		syscall.ENOENT.Error(): {"mirror", "--upload", "--delete", "--insecure", "ftp://" + addr, filepath.Join(here, "nowhere")},
		"refused":              {"mirror", "ftp://127.0.0.1:1/", here},
		"--insecure":           {"mirror", "ftpes://" + addr, here},
	} {
		if code, _, errs := run(t, args...); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d: %s", args, code, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(here, "precious")); err != nil {
		t.Error(err)
	}
}

func TestMirrorLeavesAloneWhatIsExcluded(t *testing.T) {
	served, here := tree(t), t.TempDir()
	addr := sharing(t, served)
	if err := os.WriteFile(filepath.Join(here, "mine.bak"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"mirror", "--delete", "--insecure", "--exclude", "*.bak", "--exclude", "sub/deep/", "ftp://" + addr, here}
	code, _, errs := run(t, args...)
	if code != 0 || !strings.HasPrefix(errs, "2 copied (293 KiB), 0 deleted, 0 the same, 2 excluded, in ") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(here, "mine.bak")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(here, "sub/deep")); err == nil {
		t.Error("copied")
	}
	if code, _, errs = run(t, append(args, "--dry-run")...); code != 0 || !strings.HasPrefix(errs, "0 to copy (0 bytes), 0 to delete, 2 the same, 2 excluded. ") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, _, errs = run(t, append(args, "--exclude", "[")...); code != 2 || !strings.Contains(errs, "pattern") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestADryRunNamesWhatItLeavesOutInOneLineEach(t *testing.T) {
	here := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(here, "a\nportside: all is well")); err != nil {
		t.Skip(err)
	}
	code, _, errs := run(t, "mirror", "--upload", "--dry-run", "--insecure", "ftp://"+sharing(t, t.TempDir()), here)
	if code != 0 || !strings.Contains(errs, "a\\") || strings.Contains(errs, "\nportside: all is well") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
