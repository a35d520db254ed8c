package gen_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/driftdb/driftdb/internal/gen"
)

// What is generated, and what is said about mistakes, is the same to the byte
// whether the types come from the source or from compiled packages; and the
// source is enough wherever cgo makes no type.
func TestSourceIsEnough(t *testing.T) {
	t.Parallel()
	modules := map[string]*txtar.Archive{}
	modules["gen_test"], _ = committed(t)
	for _, pattern := range []string{"testdata/golden/*.txtar", "testdata/source/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			modules[strings.TrimSuffix(filepath.Base(file), ".txtar")], _ = split(archive)
		}
	}
	for name, models := range modules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			dir, env := module(t, models)
			c := gen.Config{Dir: dir, Patterns: []string{"./..."}, Env: env}
			enough, err := gen.FromSource(t.Context(), c)
			is.NoErr(err)
			is.Equal(enough, !strings.Contains(string(models.Comment), "needs the compiler"))
			source, err := gen.NewPlan(t.Context(), c)
			is.NoErr(err)
			compiled, err := gen.NewPlan(t.Context(), gen.Compiled(c))
			is.NoErr(err)
			var a, b strings.Builder
			is.NoErr(source.Print(&a))
			is.NoErr(compiled.Print(&b))
			is.Equal(a.String(), b.String())
			is.Equal(len(source.Files), len(compiled.Files))
			for i, f := range source.Files {
				is.Equal(f.Path, compiled.Files[i].Path)
				if !bytes.Equal(f.New, compiled.Files[i].New) {
					t.Errorf("%s from source:\n%s\nand compiled:\n%s", f.Path, f.New, compiled.Files[i].New)
				}
			}
			if strings.Contains(string(models.Comment), "whole output") && len(source.Files) == 0 {
				t.Errorf("nothing is generated:\n%s", a.String())
			}
		})
	}
}

// A caller who has had enough is told so, and nothing is written.
func TestCancel(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	dir, env := module(t, twenty())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := gen.NewPlan(ctx, gen.Config{Dir: dir, Env: env})
	is.True(errors.Is(err, context.Canceled))
	_, err = os.Stat(filepath.Join(dir, "models_drift.go"))
	is.True(errors.Is(err, os.ErrNotExist))
}
