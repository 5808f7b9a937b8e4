//go:build linux

package interop

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// makeTree makes a folder with files of many kinds in parent and returns its path; the file big.bin in it takes more than
// one write, and long enough that the kernel's tables can be read while it moves.
func makeTree(t *testing.T, parent, name string) string {
	t.Helper()
	dir := filepath.Join(parent, name)
	random := rand.NewChaCha8([32]byte{1})
	for file, size := range map[string]int{
		"big.bin": 2_000_003, "empty": 0, "one": 1, "crlf.txt": 4096, "sub/a.bin": 70_001, "sub/deeper/with space & plus+.txt": 333, "sub/grüße.txt": 12, "other/x": 65536,
	} {
		path := filepath.Join(dir, file)
		content := make([]byte, size)
		random.Read(content)
		if file == "crlf.txt" { // what a transfer in ASCII would change
			for i := range content {
				content[i] = "\r\na\n"[i%4]
			}
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hashes are the SHA-256 sums of a file, or of all files below a folder.
func hashes(t *testing.T, path string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		name, _ := filepath.Rel(path, p)
		sums[name] = fmt.Sprintf("%x (%d bytes)", sha256.Sum256(b), len(b))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return sums
}

// sameFiles fails when two files or folders differ.
func sameFiles(t *testing.T, want, got string) {
	t.Helper()
	w, g := hashes(t, want), hashes(t, got)
	if maps.Equal(w, g) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if g[name] != w[name] {
			t.Errorf("%s: %q came as %q", name, w[name], g[name])
		}
	}
	for name := range g {
		if _, ok := w[name]; !ok {
			t.Errorf("%s came from nowhere", name)
		}
	}
}
