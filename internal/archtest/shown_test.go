package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// public are the packages that people import, with what they call them by.
var public = map[string]string{
	".": "driftdb", "orm": "orm", "schema": "schema", "drifttest": "drifttest", "replicate": "replicate",
	"replicate/filestore": "filestore", "replicate/memstore": "memstore", "replicate/storetest": "storetest", "s3store": "s3store",
}

// settings are the types whose fields people set. The fields of others are read,
// and pkg.go.dev shows them with their type.
var settings = regexp.MustCompile(`(Options|Sync|Retry|Rule|Retention|Drill|Factory)$`)

// implied are methods that a standard interface asks for: nobody calls them by
// name.
var implied = []string{"String", "Error", "Unwrap", "Is", "Format", "GoString", "LogValue", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "Scan", "Value", "IsZero"}

// TestExportedNamesAreShown: every exported function, type, constant, variable and
// method, and every field that people set, is used in an Example, or stands as code in the README or on
// a page of docs, where somebody who looks for it finds it. What is there for
// generated code says so in its comment, and is not for people.
func TestExportedNamesAreShown(t *testing.T) {
	is := is.New(t)
	const root = "../.."
	shown := map[string]bool{}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	is.NoErr(err)
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		is.NoErr(err)
		showCode(string(text), shown)
	}
	var names []exported
	for dir := range public {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		is.NoErr(err)
		var own []*ast.File
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			is.NoErr(err)
			if strings.HasSuffix(name, "_test.go") {
				showExamples(f, shown)
			} else {
				own = append(own, f)
			}
		}
		names = append(names, exportedOf(public[dir], own)...)
	}
	is.True(len(names) > 400) // it looks where the names are
	slices.SortFunc(names, func(a, b exported) int { return strings.Compare(a.String(), b.String()) })
	for _, n := range names {
		if !shown[n.name] && !n.generated {
			t.Errorf("%s is in no Example, and not on a page of docs", n)
		}
	}
}

// exported is a name that a package gives to people.
type exported struct {
	pkg, of, name string // of: the type that has it
	generated     bool   // it is there for generated code
}

func (e exported) String() string {
	if e.of != "" {
		return fmt.Sprintf("%s.%s.%s", e.pkg, e.of, e.name)
	}
	return e.pkg + "." + e.name
}

var (
	fenced = regexp.MustCompile("(?s)```.*?```")
	inline = regexp.MustCompile("`[^`\n]+`")
	word   = regexp.MustCompile(`[A-Za-z_]\w*`)
)

// showCode adds the words of a page's code.
func showCode(text string, shown map[string]bool) {
	rest := fenced.ReplaceAllStringFunc(text, func(block string) string {
		showWords(block, shown)
		return ""
	})
	for _, span := range inline.FindAllString(rest, -1) {
		showWords(span, shown)
	}
}

func showWords(code string, shown map[string]bool) {
	for _, w := range word.FindAllString(code, -1) {
		shown[w] = true
	}
}

// showExamples adds the names that a file's Examples use.
func showExamples(f *ast.File, shown map[string]bool) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Example") {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				shown[id.Name] = true
			}
			return true
		})
	}
}

// exportedOf returns the names of a package, and those of its unexported types
// that an exported one embeds.
func exportedOf(pkg string, files []*ast.File) (all []exported) {
	types := map[string]bool{} // those whose members people see; true: for generated code
	each := func(fn func(d ast.Decl)) {
		for _, f := range files {
			for _, d := range f.Decls {
				fn(d)
			}
		}
	}
	for again := true; again; { // an embedded type may embed others
		again = false
		each(func(d ast.Decl) {
			eachType(d, func(s *ast.TypeSpec, doc string) {
				if _, known := types[s.Name.Name]; !known && s.Name.IsExported() {
					types[s.Name.Name], again = forGenerated(doc), true
				}
				st, ok := s.Type.(*ast.StructType)
				if generated, seen := types[s.Name.Name]; ok && seen {
					for _, f := range st.Fields.List {
						name := typeName(f.Type)
						if _, known := types[name]; len(f.Names) == 0 && !known && name != "" {
							types[name], again = generated, true
						}
					}
				}
			})
		})
	}
	add := func(of string, id *ast.Ident, doc string) {
		if !id.IsExported() || of != "" && slices.Contains(implied, id.Name) {
			return
		}
		all = append(all, exported{pkg, of, id.Name, types[of] || forGenerated(doc)})
	}
	each(func(d ast.Decl) {
		switch d := d.(type) {
		case *ast.FuncDecl:
			of := ""
			if d.Recv != nil {
				of = typeName(d.Recv.List[0].Type)
				if _, ok := types[of]; !ok {
					return
				}
			}
			add(of, d.Name, d.Doc.Text())
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok {
					for _, id := range v.Names {
						add("", id, d.Doc.Text()+v.Doc.Text())
					}
				}
			}
			eachType(d, func(s *ast.TypeSpec, doc string) {
				add("", s.Name, doc)
				if _, ok := types[s.Name.Name]; ok {
					members(s, func(id *ast.Ident, own string) { add(s.Name.Name, id, doc+own) })
				}
			})
		}
	})
	return all
}

func eachType(d ast.Decl, fn func(s *ast.TypeSpec, doc string)) {
	g, ok := d.(*ast.GenDecl)
	if !ok {
		return
	}
	for _, s := range g.Specs {
		if s, ok := s.(*ast.TypeSpec); ok {
			fn(s, g.Doc.Text()+s.Doc.Text())
		}
	}
}

// members calls fn for the fields of settings and the methods of an interface.
func members(s *ast.TypeSpec, fn func(id *ast.Ident, doc string)) {
	var list *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		if !settings.MatchString(s.Name.Name) {
			return
		}
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, id := range f.Names {
			fn(id, f.Doc.Text())
		}
	}
}

// typeName is the name of a type of the package, "" for others.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	}
	return ""
}

// forGenerated says whether a comment keeps a name for generated code.
func forGenerated(doc string) bool {
	return strings.Contains(strings.ToLower(strings.Join(strings.Fields(doc), " ")), "generated code")
}
