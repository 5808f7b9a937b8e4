package assets

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// notInTheProgram are modules that go.mod names for tests, or for systems that the program is not built for.
var notInTheProgram = []string{
	"github.com/davecgh/go-spew", "github.com/fyne-io/gl-js", "github.com/fyne-io/glfw-js", "github.com/hack-pad/go-indexeddb",
	"github.com/hack-pad/safejs", "github.com/kr/text", "github.com/pmezard/go-difflib", "github.com/stretchr/testify",
	"go.uber.org/goleak", "goftp.io/server/v2", "gopkg.in/yaml.v3",
}

func TestEveryModuleOfTheProgramHasItsLicence(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	modules := regexp.MustCompile(`(?m)^\t(\S+) v\S+`).FindAllStringSubmatch(string(mod), -1)
	if len(modules) < 50 {
		t.Fatalf("%d modules in go.mod", len(modules))
	}
	without := "\n" + strings.Join(notInTheProgram, "\n") + "\n"
	for _, m := range modules {
		name := "\n" + m[1] + "\n"
		if has, not := strings.Contains(Licences, name), strings.Contains(without, name); has == not {
			t.Errorf("%s: its licence is in licences.txt: %v; it is no part of the program: %v. Run go run ./scripts/licences", m[1], has, not)
		}
	}
	for _, part := range []string{"Go", "GLFW", "the fonts in fyne.io/fyne/v2"} {
		if !strings.Contains(Licences, "\n"+part+"\n") {
			t.Errorf("no licence of %s", part)
		}
	}
}
