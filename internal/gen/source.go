package gen

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/tools/go/packages"
)

// What the go command is asked for: which files there are and who imports whom.
// It compiles nothing for that, and runs no cgo.
const listMode = packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedModule

// errNeedsCompiler says that the packages cannot be understood from their source
// alone: the types that cgo makes, say.
var errNeedsCompiler = errors.New("the types need the compiler")

// loadSource is packages.Load with loadMode that has nothing compiled. It
// type-checks the packages of the patterns, and of what they import only those
// declarations, without bodies of functions, that theirs come to. Of orm and the
// standard library that is little, so it is as fast with an empty build cache.
func loadSource(ctx context.Context, cfg *packages.Config, patterns []string) ([]*packages.Package, error) {
	arch := make(chan string, 1)
	go func() { arch <- goarch(ctx, cfg) }()
	c := *cfg
	c.Mode, c.ParseFile = listMode, nil
	pkgs, err := packages.Load(&c, patterns...)
	sizes := types.SizesFor("gc", <-arch)
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		return nil, errNeedsCompiler
	}
	return pkgs, newSourceLoader(cfg, sizes, pkgs).load(ctx)
}

// goarch returns the processor that the go command builds for.
func goarch(ctx context.Context, cfg *packages.Config) string {
	cmd := exec.CommandContext(ctx, "go", "env", "GOARCH")
	cmd.Dir, cmd.Env = cfg.Dir, cfg.Env
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// sourceLoader parses and type-checks what is reached from some packages.
type sourceLoader struct {
	cfg   *packages.Config
	fset  *token.FileSet
	sizes types.Sizes
	roots []*sourcePackage
	known map[*packages.Package]*sourcePackage // that something reaches
	queue []reach
}

// sourcePackage is a package of which something is reached.
type sourcePackage struct {
	*packages.Package
	root    bool
	files   []*sourceText
	parsed  bool
	names   map[string][]*piece // declarations by package-level name
	methods map[string][]*piece // by the name of the receiver's type
	types   *types.Package      // once it is checked
}

// sourceText is a parsed file of a package.
type sourceText struct {
	syntax  *ast.File
	err     error
	imports map[string]*packages.Package // by the name that the file uses
	dots    []*packages.Package          // imported with a dot
	pieces  []*piece
}

func newSourceLoader(cfg *packages.Config, sizes types.Sizes, roots []*packages.Package) *sourceLoader {
	l := &sourceLoader{cfg: cfg, fset: token.NewFileSet(), sizes: sizes, known: map[*packages.Package]*sourcePackage{}}
	for _, p := range roots {
		root := l.add(p)
		root.root = true
		l.roots = append(l.roots, root)
	}
	return l
}

// load fills in what the roots are to know of their types and syntax.
func (l *sourceLoader) load(ctx context.Context) error {
	if err := l.reachAll(ctx); err != nil {
		return err
	}
	for _, p := range l.roots {
		if err := l.check(p); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *sourceLoader) add(p *packages.Package) *sourcePackage {
	s := l.known[p]
	if s == nil {
		s = &sourcePackage{Package: p}
		l.known[p] = s
	}
	return s
}

// parse reads the files of all packages that wait for it, side by side.
func (l *sourceLoader) parse(ctx context.Context, pkgs []*sourcePackage) error {
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, p := range pkgs {
		p.parsed = true
		for _, name := range p.GoFiles {
			f := &sourceText{}
			p.files = append(p.files, f)
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if ctx.Err() == nil {
					f.syntax, f.err = l.parseFile(name, p.root)
				}
			})
		}
	}
	wg.Wait()
	return ctx.Err()
}

func (l *sourceLoader) parseFile(name string, root bool) (*ast.File, error) {
	text, ok := l.cfg.Overlay[name]
	if !ok {
		var err error
		if text, err = os.ReadFile(name); err != nil { //nolint:gosec // the go command names it
			return nil, err
		}
	}
	if root {
		return l.cfg.ParseFile(l.fset, name, text)
	}
	return parser.ParseFile(l.fset, name, text, parser.SkipObjectResolution)
}

// check type-checks p after what it imports. A package of the standard library
// that does not come out whole is for the compiler's eyes: the go command may be
// newer than this program.
func (l *sourceLoader) check(p *sourcePackage) error {
	if p.types != nil {
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(p.Imports)) {
		if dep := l.known[p.Imports[path]]; dep != nil && path != "unsafe" {
			if err := l.check(dep); err != nil {
				return err
			}
		}
	}
	var files []*ast.File
	for _, f := range p.files {
		if f.err != nil {
			p.note(f.err)
		}
		if f.syntax != nil {
			files = append(files, f.kept(p.root))
		}
	}
	conf := types.Config{
		Importer: importerFunc(func(path string) (*types.Package, error) { return l.imported(p, path) }),
		Sizes:    l.sizes, IgnoreFuncBodies: !p.root, FakeImportC: true, Error: p.note,
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		conf.GoVersion = "go" + p.Module.GoVersion
	}
	info := &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Instances: map[*ast.Ident]types.Instance{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	if !p.root {
		info = nil
	}
	p.types = types.NewPackage(p.PkgPath, p.Name)
	_ = types.NewChecker(&conf, l.fset, p.types, info).Files(files) // p.note has its errors
	if p.root {
		p.Fset, p.Syntax, p.Types, p.TypesInfo, p.TypesSizes = l.fset, files, p.types, info, l.sizes
		return nil
	}
	if p.Module == nil && slices.ContainsFunc(p.Errors, isHard) {
		return fmt.Errorf("%w: %s: %v", errNeedsCompiler, p.PkgPath, p.Errors)
	}
	return nil
}

func isHard(e packages.Error) bool {
	return e.Kind == packages.TypeError || e.Kind == packages.ParseError
}

// imported returns the package that p knows by path. One of which nothing is
// reached is there, with nothing in it.
func (l *sourceLoader) imported(p *sourcePackage, path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	dep := p.Imports[path]
	if dep == nil {
		return nil, fmt.Errorf("no metadata for %s", path)
	}
	s := l.add(dep)
	if s.types == nil {
		s.types = types.NewPackage(dep.PkgPath, dep.Name)
		s.types.MarkComplete()
	}
	return s.types, nil
}

// note records what is wrong with p, as packages.Load does.
func (p *sourcePackage) note(err error) {
	var path *os.PathError
	var list scanner.ErrorList
	var e types.Error
	switch {
	case errors.As(err, &path):
		p.Errors = append(p.Errors, packages.Error{Pos: path.Path + ":1", Msg: path.Err.Error(), Kind: packages.ParseError})
	case errors.As(err, &list):
		for _, e := range list {
			p.Errors = append(p.Errors, packages.Error{Pos: e.Pos.String(), Msg: e.Msg, Kind: packages.ParseError})
		}
	case errors.As(err, &e):
		if e.Soft && !p.root {
			return // a generic function without its body, or an import that only bodies use
		}
		p.TypeErrors = append(p.TypeErrors, e)
		p.Errors = append(p.Errors, packages.Error{Pos: e.Fset.Position(e.Pos).String(), Msg: e.Msg, Kind: packages.TypeError})
	default:
		p.Errors = append(p.Errors, packages.Error{Pos: "-", Msg: err.Error()})
	}
}

type importerFunc func(path string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }
