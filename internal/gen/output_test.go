package gen_test

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/driftdb/driftdb/internal/gen"
)

// committed returns the models of gen_test as an archive, and what is
// generated from them there.
func committed(t *testing.T) (models *txtar.Archive, generated map[string][]byte) {
	t.Helper()
	is := is.New(t)
	models, generated = &txtar.Archive{}, map[string][]byte{}
	files, err := filepath.Glob("../../gen_test/*/*.go")
	is.NoErr(err)
	migrations, err := filepath.Glob("../../gen_test/*/migrations/*")
	is.NoErr(err)
	for _, f := range append(files, migrations...) {
		text, err := os.ReadFile(f)
		is.NoErr(err)
		name := filepath.ToSlash(strings.TrimPrefix(f, filepath.FromSlash("../../")))
		switch {
		case strings.HasSuffix(f, "_test.go") && !strings.HasPrefix(filepath.Base(f), "drift_"):
		case bytes.HasPrefix(text, []byte(gen.Header+"\n")):
			generated[name] = text
		default:
			models.Files = append(models.Files, txtar.File{Name: name, Data: text})
		}
	}
	is.True(len(generated) >= 12)
	return models, generated
}

func plan(t *testing.T, dir string, env []string) *gen.Plan {
	t.Helper()
	is := is.New(t)
	p, err := gen.NewPlan(t.Context(), gen.Config{Dir: dir, Patterns: []string{"./..."}, Env: env})
	is.NoErr(err)
	for _, d := range p.Diagnostics {
		if !d.Warning {
			t.Fatal(d.Pos, d.Msg)
		}
	}
	return p
}

// The output depends on the models alone: not on the directory, the module,
// the number of processors or what was there before.
func TestDeterministic(t *testing.T) {
	is := is.New(t)
	models, want := committed(t)
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for _, procs := range []int{1, 4} {
		runtime.GOMAXPROCS(procs)
		dir, env := module(t, models)
		p := plan(t, dir, append(env, fmt.Sprint("GOMAXPROCS=", procs)))
		is.Equal(len(p.Files), len(want))
		for range 2 { // from nothing, and over what it wrote
			for _, f := range p.Files {
				rel, err := filepath.Rel(dir, f.Path)
				is.NoErr(err)
				if !bytes.Equal(f.New, want[filepath.ToSlash(rel)]) {
					t.Errorf("GOMAXPROCS %d: %s differs from the committed file; run go generate ./gen_test/... if that is old", procs, rel)
				}
			}
			_, err := p.Write()
			is.NoErr(err)
			p = plan(t, dir, env)
			is.True(!p.Stale())
		}
	}
}

// gofmt has nothing to change in the output.
func TestFormatted(t *testing.T) {
	_, generated := committed(t)
	for name, text := range generated {
		formatted, err := format.Source(text)
		if err != nil || !bytes.Equal(formatted, text) {
			t.Errorf("%s is not as gofmt writes it: %v", name, err)
		}
	}
}

// size is how much was generated for how many models.
type size struct{ models, columns, lines, triggers int }

func (s *size) budget() int { return 12*s.columns + 120*s.models }

// count adds up a generated file.
func (s *size) count(text []byte) {
	inTrigger := false
	for line := range strings.Lines(string(text)) {
		s.lines++
		switch {
		case strings.Contains(line, "= `CREATE TRIGGER"):
			inTrigger = true
		case strings.Contains(line, "= schema.Table{"):
			s.models++
		case strings.Contains(line, "{Name: ") && strings.Contains(line, "Type: schema."):
			s.columns++
		}
		if inTrigger {
			s.triggers++
		}
		if strings.HasPrefix(line, "END`") {
			inTrigger = false
		}
	}
}

// Generated code stays readable: at most 12 lines for a column and 120 for a
// model, the log triggers among them. The models of gen_test/product are those
// of an ordinary program; the others together are no larger.
func TestBudget(t *testing.T) {
	_, generated := committed(t)
	var product, others size
	for name, text := range generated {
		switch {
		case strings.HasPrefix(name, "gen_test/product/"):
			product.count(text)
		case strings.HasPrefix(name, "gen_test/names/"):
			// Quotes in names put whole statements in one line.
		default:
			others.count(text)
		}
	}
	if product.models != 4 || product.columns != 21 || others.models < 9 || others.columns < 70 {
		t.Errorf("counted %+v and %+v only", product, others)
	}
	for name, s := range map[string]size{"gen_test/product": product, "the others": others} {
		t.Logf("%s: %d models with %d columns: %d lines, %d of them triggers (budget %d)", name, s.models, s.columns, s.lines, s.triggers, s.budget())
		if s.lines > s.budget() {
			t.Errorf("%s: %d lines for %d models with %d columns: more than %d", name, s.lines, s.models, s.columns, s.budget())
		}
	}
}

// twenty returns a package of 20 models with 8 columns each.
func twenty() *txtar.Archive {
	var b strings.Builder
	b.WriteString("package models\n\nimport \"github.com/driftdb/driftdb/orm\"\n")
	for i := range 20 {
		fmt.Fprintf(&b, "\ntype Model%d struct {\n\torm.Base\n\tName string `drift:\"unique\"`\n\tAge *int `drift:\"index\"`\n\tScore float64\n\tActive bool `drift:\"default=true,omitzero\"`\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "\tPrev string `drift:\"ref=Model%d,ondelete=cascade,index\"`\n", i-1)
		}
		b.WriteString("}\n")
	}
	return &txtar.Archive{Files: []txtar.File{{Name: "models.go", Data: []byte(b.String())}}}
}

// Twenty models take at most half a second once the build cache is warm. What is
// held to a limit is the time of the processors, because a busy machine has less
// of it to give; the time on the clock is reported.
func TestSpeed(t *testing.T) {
	dir, env := module(t, twenty())
	plan(t, dir, env) // warm
	best, least := time.Hour, time.Hour
	for range 3 {
		start := time.Now()
		before, known := processorTime()
		p := plan(t, dir, env)
		best = min(best, time.Since(start))
		if after, _ := processorTime(); known {
			least = min(least, after-before)
		} else {
			least = best
		}
		if p.Models != 20 {
			t.Fatal(p.Models)
		}
	}
	t.Logf("20 models: %v, %v of the processors", best, least)
	if least > 2*time.Second {
		t.Errorf("20 models took %v of the processors", least)
	}
}

// Twenty models take at most ten seconds on two processors when nothing of the
// standard library or of orm has been compiled on the machine before: the first
// run of a person, or of CI without a cache. The limit here is half of that, which
// compiling anything would exceed.
func TestColdSpeed(t *testing.T) {
	dir, env := module(t, twenty())
	env = append(slices.Clip(env), "GOCACHE="+t.TempDir())
	start := time.Now()
	before, known := processorTime()
	if p := plan(t, dir, env); p.Models != 20 {
		t.Fatal(p.Models)
	}
	took := time.Since(start)
	after, _ := processorTime()
	t.Logf("20 models, empty build cache: %v, %v of the processors", took, after-before)
	if known && after-before > 10*time.Second || !known && took > 10*time.Second {
		t.Errorf("20 models took %v with an empty build cache, %v of the processors", took, after-before)
	}
}

func BenchmarkTwentyModels(b *testing.B) {
	dir, env := module(b, twenty())
	for b.Loop() {
		if _, err := gen.NewPlan(b.Context(), gen.Config{Dir: dir, Env: env}); err != nil {
			b.Fatal(err)
		}
	}
}
