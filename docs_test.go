package driftdb_test

import (
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
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

// TestOptionsAreExplained checks that the page that explains the options of a type
// has every one of its fields, and that the table of replicate.Options has no others.
func TestOptionsAreExplained(t *testing.T) {
	is := is.New(t)
	pages := map[string][]reflect.Type{
		"docs/reference.md": {
			reflect.TypeFor[driftdb.Options](), reflect.TypeFor[replicate.Options](), reflect.TypeFor[replicate.RestoreOptions](), reflect.TypeFor[replicate.VerifyOptions](),
			reflect.TypeFor[replicate.LogOptions](), reflect.TypeFor[replicate.PruneOptions](), reflect.TypeFor[replicate.ImportV1Options](), reflect.TypeFor[replicate.RebuildOptions](),
		},
		"docs/s3.md": {reflect.TypeFor[s3store.Options]()},
	}
	known := map[string]bool{}
	for page, types := range pages {
		b, err := os.ReadFile(page)
		is.NoErr(err)
		text := string(b)
		for _, typ := range types {
			for name, group := range optionNames(typ) {
				_, bare, _ := strings.Cut(name, ".")
				known[name] = known[name] || typ == reflect.TypeFor[replicate.Options]()
				if !strings.Contains(text, "`"+name+"`") && !(group && strings.Contains(text, "`."+bare+"`")) {
					t.Errorf("%s does not explain %s.%s", page, typ, name)
				}
			}
		}
		_, table, _ := strings.Cut(text, "| `replicate.Options` |")
		table, _, _ = strings.Cut(table, "\n\n")
		for line := range strings.Lines(table) {
			if cells := strings.Split(line, "|"); len(cells) > 1 {
				for _, name := range regexp.MustCompile("`([A-Z][\\w.]+)`").FindAllStringSubmatch(cells[1], -1) {
					if !known[name[1]] {
						t.Errorf("%s explains %s, which replicate.Options does not have", page, name[1])
					}
				}
			}
		}
	}
}

// optionNames yields the fields of a struct of options, Group.Field for those of its
// groups.
func optionNames(typ reflect.Type) iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for f := range typ.Fields() {
			if f.Type.Kind() != reflect.Struct || f.Type.PkgPath() != typ.PkgPath() || f.Type == reflect.TypeFor[replicate.Moment]() {
				if !yield(f.Name, false) {
					return
				}
				continue
			}
			for g := range f.Type.Fields() {
				if g.IsExported() && !yield(f.Name+"."+g.Name, true) {
					return
				}
			}
		}
	}
}
