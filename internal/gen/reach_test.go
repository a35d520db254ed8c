package gen

import (
	"errors"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
	"golang.org/x/tools/go/packages"
)

// made returns a package of one file.
func made(t *testing.T, path, text string, imports ...*packages.Package) *packages.Package {
	t.Helper()
	file := filepath.Join(t.TempDir(), path+".go")
	is.New(t).NoErr(os.WriteFile(file, []byte(text), 0o600))
	p := &packages.Package{PkgPath: path, Name: path, GoFiles: []string{file}, Imports: map[string]*packages.Package{}}
	for _, dep := range imports {
		p.Imports[dep.PkgPath] = dep
	}
	return p
}

func loadMade(t *testing.T, root *packages.Package) (*sourceLoader, error) {
	t.Helper()
	l := newSourceLoader(&packages.Config{ParseFile: parseDeclarations}, types.SizesFor("gc", "amd64"), []*packages.Package{root})
	return l, l.load(t.Context())
}

// What the models come to is read, and nothing else: not what only bodies of
// functions use, and of what is read not the other declarations.
func TestReach(t *testing.T) {
	is := is.New(t)
	deep := made(t, "deep", "package deep\n\ntype Text string\n\ntype other struct { Missing }\n")
	unread := made(t, "unread", "this is not even Go")
	values := made(t, "values", `package values
import (
	"deep"
	"unread"
)
type Value struct { Text deep.Text }
func (v Value) Method() hidden { return unread.F() }
type hidden map[string]Linked
type Linked interface{ Value | Array }
type Array [n]int
const (
	m = 2
	n = m * m
)
type broken struct { Missing }
func New() unread.T { return nil }
`, deep, unread)
	root := made(t, "root", "package root\n\nimport (\n\t\"unread\"\n\t\"values\"\n)\n\ntype Model struct{ V values.Value }\n\nfunc F() { unread.G() }\n", values, unread)
	l, err := loadMade(t, root)
	is.NoErr(err)
	is.Equal(len(root.Errors), 1) // unread is not used, for what the type checker sees
	is.True(root.TypeErrors[0].Soft)
	is.Equal(len(values.Errors)+len(deep.Errors)+len(unread.Errors), 0)
	is.True(!l.known[unread].parsed)
	is.Equal(strings.Join(l.known[values].types.Scope().Names(), " "), "Array Linked Value hidden m n")
	is.Equal(strings.Join(l.known[deep].types.Scope().Names(), " "), "Text")
	st, ok := root.Types.Scope().Lookup("Model").Type().Underlying().(*types.Struct)
	is.True(ok)
	method, _, _ := types.LookupFieldOrMethod(st.Field(0).Type(), true, nil, "Method")
	is.Equal(method.Type().String(), "func() values.hidden")
}

// A standard library that this program does not understand is for the compiler:
// the go command may be newer than it. A dependency that does not compile is not:
// its output may be missing.
func TestNewerStandardLibrary(t *testing.T) {
	is := is.New(t)
	for _, text := range []string{
		"package values\n\ntype Value struct { Missing }\n",
		"package values\n\ntype Value struct { a int of the future }\n",
	} {
		values := made(t, "values", text)
		root := made(t, "root", "package root\n\nimport \"values\"\n\ntype Model struct{ V values.Value }\n", values)
		_, err := loadMade(t, root)
		is.True(errors.Is(err, errNeedsCompiler))
		values.Module = &packages.Module{Path: "example.com/values"}
		values.Errors = nil
		_, err = loadMade(t, root)
		is.NoErr(err)
	}
}

// Imports that go around in a ring end, in the words of packages.Load.
func TestRing(t *testing.T) {
	is := is.New(t)
	root := made(t, "root", "package root\n\nimport \"values\"\n\ntype Model struct{ V values.Value }\n")
	_, err := loadMade(t, root)
	is.Equal(err, errNeedsCompiler)
	is.Equal(root.Fset, (*token.FileSet)(nil)) // untouched
}
