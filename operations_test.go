package driftdb_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// TestOperationsNameEverything checks that docs/operations.md says what to do
// about every error that these packages export, and has every event.
func TestOperationsNameEverything(t *testing.T) {
	is := is.New(t)
	docs, err := os.ReadFile("docs/operations.md")
	is.NoErr(err)
	errs, events := 0, 0
	for _, dir := range []string{".", "orm", "replicate", "replicate/filestore", "s3store"} {
		for _, name := range exportedVars(t, dir) {
			switch {
			case strings.HasPrefix(name, "Err"):
				errs++
			case strings.HasPrefix(name, "Event") && name != "EventKind":
				events++
			default:
				continue
			}
			if !strings.Contains(string(docs), "`"+name+"`") {
				t.Errorf("docs/operations.md does not have %s of %s", name, dir)
			}
		}
	}
	is.True(errs > 35 && events > 15)
}

// exportedVars returns the exported variables and constants of the package in
// dir.
func exportedVars(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	is.New(t).NoErr(err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		is.New(t).NoErr(err)
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				if v, ok := s.(*ast.ValueSpec); ok {
					for _, id := range v.Names {
						if id.IsExported() {
							names = append(names, id.Name)
						}
					}
				}
			}
		}
	}
	return names
}
