// Licences writes assets/licences.txt: the licences of all that is part of the program, on any of the systems that it is built
// for. Run it in the module's folder when a dependency has come or gone:
//
//	go run ./scripts/licences
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const tags = "migrated_fynedo,no_emoji,no_animations"

const head = `Portside contains the work of others. Here are their licences, each with what it
is for. The source of a module is at the address that its name is; none of them
was changed.

The words of made passwords are the Electronic Frontier Foundation's, under
CC BY 3.0 US (https://www.eff.org/dice).
`

func main() {
	if err := write(filepath.Join("assets", "licences.txt")); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func write(name string) error {
	parts, err := modules()
	if err != nil {
		return err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	parts["Go"] = strings.TrimSpace(string(root))
	for _, within := range []struct{ module, name, dir string }{
		{"fyne.io/fyne/v2", "the fonts in fyne.io/fyne/v2", "theme/font"}, {"github.com/go-gl/glfw/v3.4/glfw", "GLFW", "glfw"},
	} {
		if dir := parts[within.module]; dir != "" {
			parts[within.name] = filepath.Join(dir, within.dir)
		}
	}
	of := map[string][]string{} // who has a licence, by its text
	for part, dir := range parts {
		texts, err := licences(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		for _, text := range texts {
			of[text] = append(of[text], part)
		}
	}
	var blocks []string
	for text, parts := range of {
		slices.Sort(parts)
		blocks = append(blocks, "\n"+strings.Repeat("=", 80)+"\n"+strings.Join(parts, "\n")+"\n"+strings.Repeat("-", 80)+"\n"+text+"\n")
	}
	slices.Sort(blocks)
	return os.WriteFile(name, []byte(head+strings.Join(blocks, "")), 0o644)
}

// modules returns the folders of the modules that packages of the program come from, by their names.
func modules() (map[string]string, error) {
	all := map[string]string{}
	for _, system := range []string{"linux", "windows", "darwin"} {
		list := exec.Command("go", "list", "-deps", "-tags", tags, "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}\t{{.Main}}{{end}}", ".")
		list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=1")
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 && f[2] == "false" {
				all[f[0]] = f[1]
			}
		}
	}
	return all, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)`)

// licences returns the texts of the licences in a folder.
func licences(dir string) (texts []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, strings.Trim(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"))
	}
	if len(texts) == 0 {
		return nil, errors.New("it has no licence: see what it says, and whether it may be used")
	}
	return texts, nil
}
