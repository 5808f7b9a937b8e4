package localserver

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/server-conformance.md names the tests that show each row: "`app: TestX`", "`TestRow3…` (4)".
func TestTheConformanceTableNamesTheTestsThatAre(t *testing.T) {
	doc, err := os.ReadFile("../docs/server-conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(?:([a-z0-9/]+): )?((?:Test|Fuzz)[A-Za-z0-9]+)(…?)`(?: \\((\\d+)\\))?").FindAllStringSubmatch(string(doc), -1)
	if len(named) < 50 {
		t.Fatalf("only %d tests are named", len(named))
	}
	here := slices.Concat(testsIn(t, "."), testsIn(t, "../wire"), testsIn(t, "../e2e/attacks")) // which the table names by name alone
	for _, n := range named {
		folder, name, more, count := n[1], n[2], n[3] != "", n[4]
		tests := here
		if folder != "" {
			tests = testsIn(t, filepath.Join("..", filepath.FromSlash(folder)))
		}
		found := 0
		for _, test := range tests {
			// TestRow3 does not stand for TestRow30.
			rest, ok := strings.CutPrefix(test, name)
			if ok && (rest == "" || more && strings.TrimLeft(rest, "0123456789") == rest) {
				found++
			}
		}
		if found == 0 || count != "" && count != strconv.Itoa(found) {
			t.Errorf("the table names %s%s (%s), and there are %d", name, n[3], count, found)
		}
	}
}

// testsIn lists the tests and fuzz targets of a folder, also of files that are not for this system.
func testsIn(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(folder, "has no tests", err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names
}
