package transfer_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
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
		if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "sub", "x\x07"), []byte("mine"), 0o666); err != nil {
			t.Skip("no such name on this system: ", err)
		}
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
	if two, _ := filepath.Glob(filepath.Join(root, "*")); len(two) != 4 {
		t.Skip("two and TWO are one file here")
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

func TestWhatIsExcludedIsLeftAloneOnBothSides(t *testing.T) {
	for _, d := range []transfer.Direction{transfer.Download, transfer.Upload} {
		t.Run(d.String(), func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			from, to := root, dir
			if d == transfer.Upload {
				from, to = dir, root
			}
			for _, name := range []string{"a.txt", "b.tmp", "sub/c.tmp", "sub/d.txt", "sub/cache/e", "cache/f", "build/g", "kind/x"} {
				writeIn(t, from, name, "source")
			}
			// Too much at the destination: what is excluded, alone and in folders that would go; and another kind of entry.
			for _, name := range []string{"old/keep.tmp", "old/gone", "old/deep/gone", "mine.tmp", "gone", "kind/y.tmp", "in the way/keep.tmp", "in the way/gone"} {
				writeIn(t, to, name, "destination")
			}
			writeIn(t, from, "in the way", "a file there")
			writeIn(t, to, "build", "a file here")
			p := plan(t, options(serve(t, root, nil), 1), transfer.Mirror{Direction: d, Local: dir, Remote: "/", Delete: true,
				Exclude: []string{"*.tmp", "/cache/", "build/"}})
			want := "copy a.txt, make folder sub, make folder sub/cache, copy kind/x, copy sub/cache/e, copy sub/d.txt, delete gone, " +
				"delete old/deep/gone, delete folder old/deep, delete old/gone"
			got := changes(p)
			slices.Sort(got)
			sorted := strings.Split(want, ", ")
			slices.Sort(sorted)
			if !slices.Equal(got, sorted) {
				t.Errorf("%q\nwant %q", got, sorted)
			}
			if len(p.Skipped) != 1 || !strings.Contains(p.Skipped[0].Error(), "excluded") {
				t.Errorf("%v", p.Skipped)
			}
			if p.Excluded != 8 {
				t.Errorf("%d excluded", p.Excluded)
			}
		})
	}
}

func TestExcludePatterns(t *testing.T) {
	for _, c := range []struct{ pattern, in, out string }{
		{"*.tmp", "a.tmp sub/deep/b.tmp", "a.tmpx tmp"},
		{".git/", ".git/ sub/.git/", ".git sub/.git"},
		{"/notes", "notes", "sub/notes"},
		{"cache/*", "cache/a cache/b/", "cache/ sub/cache/a cache/b/c"},
		{"**/cache/*.o", "cache/a.o x/y/cache/a.o", "cache/x/a.o"},
		{"a/**/z", "a/z a/b/z a/b/c/z", "b/a/z a/z/b"},
		{`\*`, "*", "a"},
		{"[ab]?", "a1 x/b2", "c1 a12"},
	} {
		x, err := transfer.ParseExcluded([]string{c.pattern})
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range map[bool]string{true: c.in, false: c.out} {
			for _, name := range strings.Fields(list) {
				rel, folder := strings.CutSuffix(name, "/")
				if x.Has(rel, folder) != want {
					t.Errorf("%q and %q: %v", c.pattern, name, !want)
				}
			}
		}
	}
	for _, bad := range []string{"", "/", "[", "a/../b", "./a", "//", `a\`} {
		if err := (transfer.Mirror{Exclude: []string{bad}}).Check(); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
