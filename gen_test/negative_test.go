// Package gentest tests what generated code refuses to compile. What it does
// is tested in the packages below.
package gentest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"
	"golang.org/x/tools/go/packages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
	packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo

func load(t *testing.T, pattern string) *packages.Package {
	t.Helper()
	is := is.New(t)
	pkgs, err := packages.Load(&packages.Config{Context: t.Context(), Mode: mode}, pattern)
	is.NoErr(err)
	is.Equal(len(pkgs), 1)
	return pkgs[0]
}

var (
	errorComment = regexp.MustCompile(`^// ERROR (".*")$`)
	spaces       = regexp.MustCompile(` +`)
	quoted       = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// Every mistake in testdata/negative is refused by the compiler, with the
// words beside it, and nothing else is.
func TestMistakesDoNotCompile(t *testing.T) {
	is := is.New(t)
	p := load(t, "./testdata/negative")
	type line struct {
		file string
		n    int
	}
	want := map[line][]*regexp.Regexp{}
	cases := 0
	for _, f := range p.Syntax {
		for _, g := range f.Comments {
			for _, c := range g.List {
				m := errorComment.FindStringSubmatch(c.Text)
				if m == nil {
					continue
				}
				pos := p.Fset.Position(c.Pos())
				for _, q := range quoted.FindAllString(m[1], -1) {
					text := strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
					at := line{filepath.Base(pos.Filename), pos.Line}
					want[at] = append(want[at], regexp.MustCompile(text))
					cases++
				}
			}
		}
	}
	is.True(cases >= 100)
	for _, e := range p.TypeErrors {
		if e.Soft {
			continue
		}
		pos := e.Fset.Position(e.Pos)
		at := line{filepath.Base(pos.Filename), pos.Line}
		found := false
		for i, re := range want[at] {
			if re.MatchString(e.Msg) {
				want[at] = append(want[at][:i:i], want[at][i+1:]...)
				found = true
				break
			}
		}
		if !found {
			t.Errorf("%s:%d: not expected: %s", at.file, at.n, e.Msg)
		}
	}
	for at, left := range want {
		for _, re := range left {
			t.Errorf("%s:%d: compiles, or is refused with other words than %q", at.file, at.n, re)
		}
	}
}

// checker type-checks a package again with one of its files changed, in
// memory.
type checker struct{ *packages.Package }

func (c checker) Import(path string) (*types.Package, error) {
	if p := c.Imports[path]; p != nil {
		return p.Types, nil
	}
	return nil, fmt.Errorf("%s is not imported", path)
}

// check returns the errors that are more than an unused import or variable.
func (c checker) check(changed string, text []byte) (errs []types.Error, err error) {
	var files []*ast.File
	for i, f := range c.Syntax {
		if c.CompiledGoFiles[i] == changed {
			if f, err = parser.ParseFile(c.Fset, changed, text, parser.SkipObjectResolution); err != nil {
				return nil, err
			}
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: c, Error: func(err error) {
		var e types.Error
		if errors.As(err, &e) && !e.Soft {
			errs = append(errs, e)
		}
	}}
	_, _ = conf.Check(c.PkgPath, c.Fset, files, nil) // the first of errs
	return errs, nil
}

// A model that has changed since driftgen ran does not compile, whatever the
// change is.
func TestStaleModelsDoNotCompile(t *testing.T) {
	pkgs := map[string]checker{"basic": {load(t, "./basic")}, "embed": {load(t, "./embed")}}
	for _, tc := range []struct {
		name, pkg, old, new string
		file                string // the generated file that does not compile
	}{
		{"nothing", "basic", "", "", ""},
		{"a comment", "basic", "// User has", "// A user has", ""},
		{"a method", "basic", "// Role is", "func (u User) Hello() {}\n\n// Role is", ""},
		{"a field more", "basic", "Score ", "Extra int\n\tScore ", "models_drift.go"},
		{"a field less", "basic", "\tScore     float64\n", "", "models_drift.go"},
		{"a field renamed", "basic", "Score ", "Rank ", "models_drift.go"},
		{"another type", "basic", "Score     float64", "Score     float32", "models_drift.go"},
		{"a pointer", "basic", "Score     float64", "Score     *float64", "models_drift.go"},
		{"two fields swapped", "basic", "Title    string `drift:\"index=title_year\"`\n\tYear     int16  `drift:\"index=title_year\"`", "Year     int16  `drift:\"index=title_year\"`\n\tTitle    string `drift:\"index=title_year\"`", "models_drift.go"},
		{"a tag less", "basic", "Name      string  `drift:\"index\"`", "Name      string", "models_drift.go"},
		{"a tag more", "basic", "Score     float64", "Score     float64 `drift:\"index\"`", "models_drift.go"},
		{"an item more", "basic", "drift:\"default=true,omitzero\"", "drift:\"default=true,omitzero,index\"", "models_drift.go"},
		{"another default", "basic", "drift:\"default=true,omitzero\"", "drift:\"default=false,omitzero\"", "models_drift.go"},
		{"another action", "basic", "ondelete=setnull", "ondelete=cascade", "models_drift.go"},
		{"a tag for others", "basic", "json:\"email\"", "json:\"mail\"", "models_drift.go"},
		{"an unexported field", "basic", "cache     int ", "cache     int64 ", "models_drift.go"},
		{"no orm.Base", "basic", "orm.Base          // ID, CreatedAt, UpdatedAt", "ID string `drift:\"pk,uuid7\"`", "models_drift.go"},
		{"a named type is another", "basic", "Level    uint8", "Level    Role", "models_drift.go"},
		{"a model less", "basic", "type Team struct", "type Crew struct", "models_drift.go"},
		{"a flattened struct", "embed", "\tBy     string", "\tBy     *string", "models_drift.go"},
		{"a tag of a flattened struct", "embed", "drift:\"maxlen=100\"", "drift:\"maxlen=101\"", "models_drift.go"},
		{"a tag of an embedded struct", "embed", "Reason *string", "Reason *string `drift:\"index\"`", "models_drift.go"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			path, err := filepath.Abs(filepath.Join(tc.pkg, "models.go"))
			is.NoErr(err)
			text, err := os.ReadFile(path)
			is.NoErr(err)
			old := regexp.MustCompile(spaces.ReplaceAllString(regexp.QuoteMeta(tc.old), `[ \t]+`))
			at := old.FindIndex(text)
			is.True(at != nil) // the case has something to change
			text = slices.Concat(text[:at[0]], []byte(tc.new), text[at[1]:])
			errs, err := pkgs[tc.pkg].check(path, text)
			is.NoErr(err)
			found := ""
			if len(errs) > 0 {
				found = filepath.Base(errs[0].Fset.Position(errs[0].Pos).Filename)
			}
			is.Equal(found, tc.file)
		})
	}
}
