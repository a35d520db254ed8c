package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"
)

const (
	maxLines     = 500
	maxTestLines = 800
)

// testedElsewhere lists packages without test files of their own, and where
// their tests are.
var testedElsewhere = map[string]string{
	"examples/quickstart/models": "examples/quickstart",
	"examples/cli-notes/models":  "examples/cli-notes",
	"internal/crashtest/models":  "internal/crashtest",
	"gen_test/embed/geo":         "gen_test/embed",
	"gen_test/kinds/other":       "gen_test/kinds",
	"gen_test/packages/auth":     "gen_test/packages",
	"gen_test/packages/docs":     "gen_test/packages",
	"gen_test/packages/tags":     "gen_test/packages",
	"internal/gen/gentest":       "internal/gen",
}

func TestFilesAreShort(t *testing.T) {
	is := is.New(t)
	root := os.DirFS("../..")
	seen := 0
	is.NoErr(fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(text, []byte("// Code generated ")) {
			return nil
		}
		seen++
		limit := maxLines
		if strings.HasSuffix(path, "_test.go") {
			limit = maxTestLines
		}
		if lines := bytes.Count(text, []byte("\n")); lines > limit {
			t.Errorf("%s has %d lines; %d are allowed: it does more than one thing", path, lines, limit)
		}
		return nil
	}))
	is.True(seen > 50)
}

func TestEveryPackageHasTestsAndSaysWhatItIs(t *testing.T) {
	_, own := load(t)
	for _, p := range own {
		path, _ := short(p.ImportPath)
		if p.Doc == "" && !slices.Contains(p.GoFiles, "drift_schema.go") && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", path)
		}
		elsewhere, ok := testedElsewhere[path]
		if ok != (len(p.TestGoFiles)+len(p.XTestGoFiles) == 0) {
			t.Errorf("%s: tests in %d files of its own, and testedElsewhere says %q", path, len(p.TestGoFiles)+len(p.XTestGoFiles), elsewhere)
		}
		if ok && !slices.ContainsFunc(own, func(q pkg) bool {
			other, _ := short(q.ImportPath)
			return other == elsewhere && len(q.TestGoFiles)+len(q.XTestGoFiles) > 0
		}) {
			t.Errorf("%s is to be tested by %s, which has no tests", path, elsewhere)
		}
	}
}
