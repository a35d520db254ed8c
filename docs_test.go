package driftdb_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// TestGuaranteesNameTests checks that every test that docs/guarantees.md names
// as a proof exists in the package it names.
func TestGuaranteesNameTests(t *testing.T) {
	is := is.New(t)
	text, err := os.ReadFile("docs/guarantees.md")
	is.NoErr(err)
	dirs := map[string]string{"driftdb": "."}
	list, err := exec.Command("go", "list", "-f", "{{.Name}} {{.Dir}}", "./...").Output()
	is.NoErr(err)
	for line := range strings.Lines(string(list)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, ok := dirs[name]; !ok {
			dirs[name] = dir
		}
	}
	dirs["gen_test"] = "gen_test"
	named := regexp.MustCompile("`(\\w+)\\.((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
	is.True(len(named) > 40)
	for _, m := range named {
		files, err := filepath.Glob(filepath.Join(dirs[m[1]], "*_test.go"))
		is.NoErr(err)
		found := false
		for _, f := range files {
			source, err := os.ReadFile(f)
			is.NoErr(err)
			found = found || strings.Contains(string(source), "func "+m[2]+"(")
		}
		if !found {
			t.Errorf("docs/guarantees.md names %s.%s, which does not exist", m[1], m[2])
		}
	}
}

// TestFeaturesNameTests checks that every test that docs/features.md names
// exists in the package that it names.
func TestFeaturesNameTests(t *testing.T) {
	is := is.New(t)
	text, err := os.ReadFile("docs/features.md")
	is.NoErr(err)
	named := regexp.MustCompile("`([a-z_/0-9]+)\\.((?:Test|Example|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
	is.True(len(named) > 50)
	for _, m := range named {
		dir := m[1]
		if dir == "driftdb" {
			dir = "."
		}
		if _, err := os.Stat(dir); err != nil {
			dir = filepath.Join("gen_test", m[1])
		}
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		is.NoErr(err)
		found := false
		for _, f := range files {
			source, err := os.ReadFile(f)
			is.NoErr(err)
			found = found || strings.Contains(string(source), "func "+m[2]+"(")
		}
		if !found {
			t.Errorf("docs/features.md names %s.%s, which does not exist", m[1], m[2])
		}
	}
}
