package gen

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// unshown are diagnostics that no golden file or script can bring about with
// little text.
var unshown = []string{
	"is not supported yet",
	"the package %s cannot be read",          // the go command has said why
	"64 is the most",                         // 65 columns
	"use letters, digits and _ in prefix",    // a prefix that is no identifier
	"cannot be stored in a column: leave",    // shown with its types
	"a file with models cannot have a build", // shown by source.txtar
}

// Every diagnostic stands in a golden file or a script, so that its words and
// its place are what a person has looked at.
func TestEveryDiagnosticIsShown(t *testing.T) {
	is := is.New(t)
	var shown strings.Builder
	for _, pattern := range []string{"testdata/golden/*.txtar", "../../cmd/driftgen/testdata/script/*.txtar"} {
		files, err := filepath.Glob(pattern)
		is.NoErr(err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			is.NoErr(err)
			shown.Write(text)
		}
	}
	sources, err := filepath.Glob("*.go")
	is.NoErr(err)
	found := 0
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "emit") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		is.NoErr(err)
		for _, lit := range messages(f) {
			text, err := strconv.Unquote(lit.Value)
			is.NoErr(err)
			found++
			fragment := slices.MaxFunc(verbs.Split(text, -1), func(a, b string) int { return len(a) - len(b) })
			if !strings.Contains(shown.String(), strings.TrimSpace(fragment)) &&
				!slices.ContainsFunc(unshown, func(u string) bool { return strings.Contains(text, u) }) {
				t.Errorf("%s: no golden file or script shows %q", fset.Position(lit.Pos()), text)
			}
		}
	}
	is.True(found > 80)
}

var verbs = regexp.MustCompile(`%[a-z]`)

// messages returns the texts that errorf and warnf of f are given.
func messages(f *ast.File) (all []*ast.BasicLit) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "errorf" && sel.Sel.Name != "warnf" {
			return true
		}
		lit, ok := call.Args[1].(*ast.BasicLit)
		if ok && strings.Contains(lit.Value, " ") {
			all = append(all, lit)
		}
		return true
	})
	// What a function returns as the reason is a message too.
	ast.Inspect(f, func(n ast.Node) bool {
		r, ok := n.(*ast.ReturnStmt)
		if !ok || len(r.Results) == 0 {
			return true
		}
		last := r.Results[len(r.Results)-1]
		if call, ok := last.(*ast.CallExpr); ok && len(call.Args) > 0 {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sprintf" {
				last = call.Args[0]
			}
		}
		if lit, ok := last.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Count(lit.Value, " ") >= 3 {
			all = append(all, lit)
		}
		return true
	})
	return all
}
