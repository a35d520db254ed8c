package archtest

import (
	"slices"
	"strings"
	"testing"
)

// mayImport lists, for each package of the module, the module's packages that
// its non-test code may import. Packages that are not here may import nothing
// of the module. A path that ends in /... stands for all below it.
var mayImport = map[string][]string{
	".":                      {"orm", "schema", "internal/sqlite"},
	"schema":                 {},
	"orm":                    {"schema", "internal/changelog"},
	"internal/changelog":     {},
	"internal/envelope":      {},
	"internal/v1":            {"schema"},
	"internal/durable":       {},
	"internal/sqlite":        {"internal/durable"},
	"internal/gen":           {"schema"},
	"internal/gen/...":       {},
	"cmd/driftgen":           {"internal/gen"},
	"cmd/drift":              {"replicate", "replicate/filestore", "s3store"},
	"replicate":              {"schema", "internal/changelog", "internal/sqlite", "internal/envelope", "internal/durable", "internal/v1"},
	"replicate/...":          {"replicate"},
	"s3store":                {"replicate"},
	"internal/faultstore":    {"replicate"},
	"internal/crashtest/...": {"orm", "schema"}, // its models
	"gen_test/...":           {"orm", "schema", "gen_test/..."},
	"drifttest":              {".", "orm", "schema", "replicate", "replicate/memstore"},
	"examples/...":           {".", "schema", "orm", "replicate", "replicate/...", "s3store", "examples/..."},
}

// mustNotReach lists what a package must not depend on, directly or through
// others: paths of the module or of other modules, with all below them.
var mustNotReach = map[string][]string{
	// The generator loads packages of models: that must not compile SQLite.
	"orm":          {"github.com/mattn/go-sqlite3", "github.com/aws", "replicate", "internal/sqlite"},
	"internal/gen": {"github.com/mattn/go-sqlite3", "github.com/aws", "orm", "replicate"},
	// Its binary is built without a C compiler.
	"cmd/driftgen": {"runtime/cgo", "github.com/mattn/go-sqlite3"},
	// The two halves meet in the database file only.
	"replicate": {"orm", "github.com/aws"},
	".":         {"replicate", "s3store", "github.com/aws"},
}

// onlyFrom lists modules that one package alone may import, besides examples
// and models of the tests.
var onlyFrom = map[string]string{
	"github.com/mattn/go-sqlite3": "internal/sqlite",
	"github.com/aws":              "s3store",
	"golang.org/x/tools":          "internal/gen",
	"github.com/dave/jennifer":    "internal/gen",
	"github.com/google/uuid":      "orm",
}

// stdlibOnly lists packages that import nothing from other modules.
var stdlibOnly = []string{"schema", "internal/changelog", "internal/faultproxy", "."}

// testOnly lists what only tests may import: libraries, and packages of ours.
// Examples run without a bucket of their own, so they may use the S3 server.
var testOnly = []string{
	"github.com/matryer/is", "github.com/google/go-cmp", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/rogpeppe/go-internal",
	"github.com/rclone/gofakes3", module + "/internal/faultstore", module + "/internal/faultproxy", module + "/internal/crashtest",
	module + "/internal/gen/gentest", module + "/replicate/storetest", module + "/gen_test", module + "/examples",
}

// forTests lists packages whose non-test files exist for tests.
var forTests = []string{"drifttest", "replicate/storetest", "internal/faultstore", "internal/faultproxy", "internal/crashtest", "internal/gen/gentest"}

func TestImportsWithinTheModule(t *testing.T) {
	_, own := load(t)
	for _, p := range own {
		from, _ := short(p.ImportPath)
		allowed, _ := rule(mayImport, from)
		for _, imported := range p.Imports {
			to, ok := short(imported)
			if ok && !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, to) }) {
				t.Errorf("%s imports %s; it may import %q (see mayImport)", from, to, allowed)
			}
		}
	}
}

func TestImportsOfOtherModules(t *testing.T) {
	all, own := load(t)
	for _, p := range own {
		from, _ := short(p.ImportPath)
		example := matches("examples/...", from)
		free := example || matches("gen_test/...", from)
		for _, imported := range p.Imports {
			for what, only := range onlyFrom {
				if below(what, imported) && from != only && !free {
					t.Errorf("%s imports %s; only %s may", from, imported, only)
				}
			}
			for _, what := range testOnly {
				sameTree := strings.HasPrefix(p.ImportPath, what)
				if below(what, imported) && !sameTree && !example && !slices.Contains(forTests, from) {
					t.Errorf("%s imports %s, which is for tests", from, imported)
				}
			}
			_, ours := short(imported)
			if slices.Contains(stdlibOnly, from) && !ours && imported != "C" && !all[imported].Standard {
				t.Errorf("%s imports %s; it may use the standard library only", from, imported)
			}
			if imported == "testing" && !slices.Contains(forTests, from) {
				t.Errorf("%s imports testing outside of a test", from)
			}
		}
	}
}

func TestReach(t *testing.T) {
	all, _ := load(t)
	for from, banned := range mustNotReach {
		path := module
		if from != "." {
			path += "/" + from
		}
		p, ok := all[path]
		if !ok {
			t.Errorf("there is no package %s", from)
		}
		for _, dep := range p.Deps {
			for _, what := range banned {
				to, ours := short(dep)
				if below(what, dep) || ours && below(what, to) {
					t.Errorf("%s reaches %s", from, dep)
				}
			}
		}
	}
}

// TestRulesAreAlive: a rule for what is gone would only look like one.
func TestRulesAreAlive(t *testing.T) {
	_, own := load(t)
	for pattern := range mayImport {
		if !slices.ContainsFunc(own, func(p pkg) bool { path, _ := short(p.ImportPath); return matches(pattern, path) }) {
			t.Errorf("mayImport has a rule for %s, which does not exist", pattern)
		}
	}
	for what, only := range onlyFrom {
		if !slices.ContainsFunc(own, func(p pkg) bool {
			path, _ := short(p.ImportPath)
			return path == only && slices.ContainsFunc(p.Imports, func(i string) bool { return below(what, i) })
		}) {
			t.Errorf("onlyFrom has a rule for %s, which %s does not import", what, only)
		}
	}
}

// rule is the entry for path: its own, or the closest pattern's.
func rule(rules map[string][]string, path string) ([]string, bool) {
	if r, ok := rules[path]; ok {
		return r, true
	}
	for p := path; p != ""; {
		if r, ok := rules[p+"/..."]; ok {
			return r, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return nil, false
}

func matches(pattern, path string) bool {
	tree, ok := strings.CutSuffix(pattern, "/...")
	return pattern == path || ok && below(tree, path)
}

// below says whether path is tree or stands below it.
func below(tree, path string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }
