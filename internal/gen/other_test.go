package gen_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/matryer/is"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/driftdb/driftdb/internal/gen"
)

// What a package comes to does not depend on whether those it refers to are
// part of the run, nor on what was generated in them before.
func TestOnePackageAlone(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	archive, err := txtar.ParseFile("testdata/golden/packages.txtar")
	is.NoErr(err)
	input, _ := split(archive)
	dir, env := module(t, input)
	whole, err := gen.NewPlan(t.Context(), gen.Config{Dir: dir, Patterns: []string{"./..."}, Env: env})
	is.NoErr(err)
	is.Equal(len(whole.Files), 4)
	alone := func() []gen.File {
		t.Helper()
		p, err := gen.NewPlan(t.Context(), gen.Config{Dir: filepath.Join(dir, "docs"), Env: env})
		is.NoErr(err)
		is.Equal(len(p.Diagnostics), 0)
		is.Equal(len(p.Files), 2)
		for _, f := range p.Files {
			for _, w := range whole.Files {
				if w.Path == f.Path && !bytes.Equal(w.New, f.New) {
					t.Errorf("%s: alone it is\n%s", f.Path, f.New)
				}
			}
		}
		return p.Files
	}
	alone()
	broken := filepath.Join(dir, "auth", "models_drift.go")
	is.NoErr(os.WriteFile(broken, []byte(gen.Header+"\n\npackage auth\n\nfunc (\n"), 0o600))
	alone()
	_, err = whole.Write()
	is.NoErr(err)
	for _, f := range alone() {
		is.True(!f.Stale())
	}
}
