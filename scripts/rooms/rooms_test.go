// Package rooms holds the program's packages to the list of folders in README.md: an import points down it, never up.
package rooms

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// rows are the folders of the list, in its order; those of one row may import each other. The last row stands beside the
// program and may import all of it.
func rows(t *testing.T) [][]string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(readme)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		first, _, _ := strings.Cut(line[2:], "|")
		var row []string
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			row = append(row, strings.TrimSuffix(m[1], "/"))
		}
		out = append(out, row)
	}
	if len(out) < 8 || !slices.Contains(out[0], "main.go") {
		t.Fatalf("README.md's list of folders begins with main.go and has more rows than %q", out)
	}
	return out
}

// rowOf is the row of the longest folder that a package's folder lies in; main.go is the root's.
func rowOf(rows [][]string, folder string) int {
	row, longest := -1, -1
	for i, folders := range rows {
		for _, f := range folders {
			if (f == folder || strings.HasPrefix(folder, f+"/") || f == "main.go" && folder == ".") && len(f) > longest {
				row, longest = i, len(f)
			}
		}
	}
	return row
}

func TestImportsPointDownTheListOfFolders(t *testing.T) {
	rows := rows(t)
	files := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		folder := path.Dir(name)
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		from := rowOf(rows, folder)
		if from < 0 {
			t.Errorf("README.md's list does not have %s", folder)
		}
		if from == len(rows)-1 {
			return nil
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(name)), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			imported := strings.Trim(i.Path.Value, `"`)
			if own, ok := strings.CutPrefix(imported, "portside/"); ok && rowOf(rows, own) < from {
				t.Errorf("%s imports %s, which stands above it", name, own)
			}
			if strings.HasPrefix(imported, "fyne.io/") && name != "main.go" && folder != "ui" && !strings.HasPrefix(folder, "ui/") {
				t.Errorf("%s imports %s: that is for the window alone", name, imported)
			}
			if imported == "fyne.io/fyne/v2/app" && name != "main.go" {
				t.Errorf("%s imports %s, which needs a display's libraries: that is for main.go alone", name, imported)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatal(files, err)
	}
}
