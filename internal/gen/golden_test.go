package gen_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	udiff "github.com/aymanbagabas/go-udiff"
	"github.com/matryer/is"
	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/internal/gen"
	"github.com/driftdb/driftdb/internal/gen/gentest"
)

var update = flag.Bool("update", false, "rewrite the expected output of the golden tests")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// module makes a directory that is a module of a user with the files of a.
func module(tb testing.TB, a *txtar.Archive) (dir string, env []string) {
	tb.Helper()
	is := is.New(tb)
	m, err := gentest.New(tb.Context())
	is.NoErr(err)
	dir = tb.TempDir()
	is.NoErr(m.Write(dir))
	for _, f := range a.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		is.NoErr(os.MkdirAll(filepath.Dir(path), 0o700))
		is.NoErr(os.WriteFile(path, f.Data, 0o600))
	}
	return dir, append(os.Environ(), m.Env()...)
}

// A golden file holds models, and under want/ the diagnostics and the files
// that come of them. The files are there if its comment speaks of the whole
// output, what docs and schema print if it speaks of pages; otherwise it is
// about the diagnostics.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			archive, err := txtar.ParseFile(file)
			is.NoErr(err)
			input, want := split(archive)
			dir, env := module(t, input)
			plan, err := gen.NewPlan(t.Context(), gen.Config{Dir: dir, Patterns: []string{"./..."}, Env: env})
			is.NoErr(err)
			got := output(t, dir, plan, strings.Contains(string(archive.Comment), "whole output"))
			if strings.Contains(string(archive.Comment), "pages") {
				got = append(got, pages(t, plan)...)
			}
			if *update {
				input.Files = append(input.Files, got...)
				is.NoErr(os.WriteFile(file, txtar.Format(input), 0o600))
				return
			}
			if d := udiff.Unified("want", "got", string(txtar.Format(&txtar.Archive{Files: want})), string(txtar.Format(&txtar.Archive{Files: got}))); d != "" {
				t.Errorf("run the test with -update if this is right:\n%s", d)
			}
		})
	}
}

// pages returns what the verbs docs and schema print.
func pages(t *testing.T, plan *gen.Plan) []txtar.File {
	t.Helper()
	is := is.New(t)
	var docs, schema bytes.Buffer
	is.NoErr(plan.Describe(&docs))
	is.NoErr(plan.SQL(&schema, false))
	return []txtar.File{{Name: "want/docs.md", Data: docs.Bytes()}, {Name: "want/schema.sql", Data: schema.Bytes()}}
}

// split separates what goes in from what is to come out.
func split(a *txtar.Archive) (input *txtar.Archive, want []txtar.File) {
	input = &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "want/") {
			want = append(want, f)
		} else {
			input.Files = append(input.Files, f)
		}
	}
	return input, want
}

// output returns a plan as the files of a golden file.
func output(t *testing.T, dir string, plan *gen.Plan, source bool) []txtar.File {
	t.Helper()
	var b strings.Builder
	if err := plan.Print(&b); err != nil {
		t.Fatal(err)
	}
	got := []txtar.File{{Name: "want/diagnostics", Data: []byte(b.String())}}
	for _, f := range plan.Files {
		rel, err := filepath.Rel(dir, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if source {
			got = append(got, txtar.File{Name: "want/" + filepath.ToSlash(rel), Data: f.New})
		}
	}
	return got
}
