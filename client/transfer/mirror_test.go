package transfer_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portside/client/transfer"
)

func plan(t *testing.T, o transfer.Options, m transfer.Mirror) *transfer.Plan {
	t.Helper()
	s, err := o.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := transfer.PlanMirror(context.Background(), s, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAFolderIsMirroredEitherWay(t *testing.T) {
	for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
		t.Run(d.String(), func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			o := options(serve(t, root, nil), 3)
			far, here := filepath.Join(root, "m"), filepath.Join(dir, "m")
			from, to := far, here
			if d == transfer.Upload {
				from, to = here, far
			}
			want := tree(t, from)
			m := transfer.Mirror{Direction: d, Local: here, Remote: "/m", Delete: true}
			p := plan(t, o, m)
			if p.Copies() != len(want)-1 || p.Deletes() != 0 {
				t.Errorf("%d copies, %d deletes", p.Copies(), p.Deletes())
			}
			if _, err := os.Stat(to); err == nil {
				t.Error("planning has made the destination")
			}
			ok(t, p.Run(context.Background(), o, nil))
			same(t, read(t, to), want)
			if p := plan(t, o, m); len(p.Changes) != 0 || p.Same != len(want)-1 {
				t.Errorf("%+v", p)
			}
			// A larger, a newer and an older one, one too many, and two that changed their kind.
			write(t, filepath.Join(from, "a.txt"), "larger")
			write(t, filepath.Join(from, ".hidden"), "H")
			_ = os.Chtimes(filepath.Join(from, "-dash"), stamp.Add(-time.Hour), stamp.Add(-time.Hour))
			write(t, filepath.Join(to, "extra"), "x")
			_ = os.MkdirAll(filepath.Join(to, "old", "deep"), 0o755)
			write(t, filepath.Join(to, "old", "deep", "x"), "x")
			_ = os.Remove(filepath.Join(to, "empty"))
			_ = os.MkdirAll(filepath.Join(to, "empty", "x"), 0o755)
			_ = os.RemoveAll(filepath.Join(to, "sub"))
			write(t, filepath.Join(to, "sub"), "x")
			keep := m
			keep.Delete = false
			if p := plan(t, o, keep); p.Deletes() != 0 || len(p.Skipped) != 2 {
				t.Errorf("%+v", p)
			}
			p = plan(t, o, m)
			var copies []string
			for _, c := range p.Changes {
				if c.Kind == transfer.Copy {
					copies = append(copies, c.Rel)
				}
			}
			if got := strings.Join(copies, " "); !strings.HasPrefix(got, ".hidden a.txt empty sub/") {
				t.Error(got)
			}
			ok(t, p.Run(context.Background(), o, nil))
			if p := plan(t, o, m); len(p.Changes) != 0 {
				t.Errorf("%+v", p.Changes)
			}
			if content(t, filepath.Join(to, "a.txt")) != "larger" || content(t, filepath.Join(to, ".hidden")) != "H" {
				t.Error("not copied")
			}
			if _, err := os.Stat(filepath.Join(to, "old")); err == nil {
				t.Error("not deleted")
			}
		})
	}
}

func TestNothingIsDeletedWhenTheSourceCantBeRead(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "precious"), "x")
	o := options(serve(t, root, nil), 1)
	s, err := o.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if p, err := transfer.PlanMirror(context.Background(), s, transfer.Mirror{Local: dir, Remote: "/gone", Delete: true}, nil); err == nil {
		t.Errorf("%+v", p)
	}
}

// Some servers list a folder that they don't have as an empty one, which must not pass for a source of nothing.
func TestASourceThatIsListedAsEmptyMustBeThere(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "extra"), "x")
	o := options(serve(t, root, nil), 1)
	if p := plan(t, o, transfer.Mirror{Local: dir, Remote: "/empty", Delete: true}); p.Deletes() != 1 {
		t.Errorf("%+v", p)
	}
}

func changes(p *transfer.Plan) (out []string) {
	for _, c := range p.Changes {
		out = append(out, c.Kind.String()+" "+c.Rel)
	}
	return out
}

// What a listing holds and can't be read may be what seems to be too much at the destination.
func TestNothingIsDeletedWhereTheSourceListsWhatCantBeRead(t *testing.T) {
	for name, odd := range map[string]string{"a name": file("x\x07"), "a line": "type=file;size=4 x\x07\r\n"} {
		h, dir := &hostile{listings: map[string]string{"": folder("sub"), "sub": file("good") + odd}}, t.TempDir()
		writeIn(t, dir, "sub/x\x07", "mine")
		writeIn(t, dir, "gone", "mine")
		p := plan(t, options(h.serve(t), 1), transfer.Mirror{Local: dir, Remote: "/", Delete: true})
		if got := strings.Join(changes(p), ", "); got != "copy sub/good, delete gone" {
			t.Errorf("%s: %s", name, got)
		}
		if len(p.Skipped) != 2 || !strings.Contains(p.Skipped[1].Error(), "deleted") {
			t.Errorf("%s: %v", name, p.Skipped)
		}
	}
}

// On a server that takes README and readme for one file, the old name is the new file.
func TestANameThatDiffersInCaseOnlyIsNotDeleted(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"README", "Docs/a", "two", "TWO"} {
		writeIn(t, root, name, "old")
	}
	for _, name := range []string{"readme", "docs/a", "two"} {
		writeIn(t, dir, name, "newer")
	}
	p := plan(t, options(serve(t, root, nil), 1), transfer.Mirror{Direction: transfer.Upload, Local: dir, Remote: "/", Delete: true})
	if got := strings.Join(changes(p), ", "); got != "make folder docs, copy docs/a, copy readme, copy two, delete TWO" {
		t.Error(got)
	}
	if len(p.Skipped) != 2 {
		t.Error(p.Skipped)
	}
}
