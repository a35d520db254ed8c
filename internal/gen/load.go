package gen

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// excluded stands in for a file of ours while the models are loaded: the go
// command leaves it out whatever the package is called.
const excluded = "//go:build ignore\n\npackage ignore\n"

const loadMode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
	packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedModule

// load returns the packages that the patterns name, as if nothing had been
// generated in them yet. It is therefore at ease with output that is missing,
// outdated, broken, or that no longer compiles with the models.
func load(ctx context.Context, c Config, s *scan) ([]*packages.Package, error) {
	if err := s.resolve(ctx, c); err != nil {
		return nil, err
	}
	return loadPatterns(ctx, c, s)
}

// loadPatterns is load for patterns whose directories have been read.
func loadPatterns(ctx context.Context, c Config, s *scan) ([]*packages.Package, error) {
	if len(s.patterns) == 0 {
		return nil, nil
	}
	overlay := make(map[string][]byte, len(s.own))
	for path := range s.own {
		overlay[path] = []byte(excluded)
	}
	cfg := &packages.Config{
		Context: ctx, Mode: loadMode, Dir: c.Dir, Env: c.Env,
		Overlay: overlay, ParseFile: parseDeclarations,
	}
	pkgs, err := loadPackages(ctx, c, cfg, s.patterns)
	if err != nil {
		return nil, loadError(ctx, err)
	}
	for _, p := range pkgs {
		s.loaded[p.PkgPath] = true
	}
	slices.SortFunc(pkgs, func(a, b *packages.Package) int { return strings.Compare(a.PkgPath, b.PkgPath) })
	return pkgs, nil
}

// loadPackages prefers to have nothing compiled. What cannot be understood so,
// and what another build system describes, is for packages.Load.
func loadPackages(ctx context.Context, c Config, cfg *packages.Config, patterns []string) ([]*packages.Package, error) {
	if !c.compiled && !otherDriver(c.Env) {
		pkgs, err := loadSource(ctx, cfg, patterns)
		if !errors.Is(err, errNeedsCompiler) {
			return pkgs, err
		}
	}
	return packages.Load(cfg, patterns...)
}

// otherDriver says whether packages.Load asks another program than the go
// command.
func otherDriver(env []string) bool {
	if env == nil {
		env = os.Environ()
	}
	name := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "GOPACKAGESDRIVER="); ok {
			name = v
		}
	}
	if name == "" {
		_, err := exec.LookPath("gopackagesdriver")
		return err == nil
	}
	return name != "off"
}

// resolve looks up the directories of the patterns that are import paths, for
// the files of ours in them.
func (s *scan) resolve(ctx context.Context, c Config) error {
	var paths []string
	for _, p := range s.patterns {
		if !localPattern(p) {
			paths = append(paths, p)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	cfg := &packages.Config{Context: ctx, Mode: packages.NeedName | packages.NeedFiles, Dir: c.Dir, Env: c.Env}
	pkgs, err := packages.Load(cfg, paths...)
	if err != nil {
		return loadError(ctx, err)
	}
	for _, p := range pkgs {
		if p.Dir == "" {
			continue
		}
		if _, err := s.read(p.Dir); err != nil {
			return err
		}
	}
	return nil
}

// loadError takes the go command's own words out of the layers around them.
func loadError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	msg := strings.TrimPrefix(err.Error(), "err: ")
	if _, after, ok := strings.Cut(msg, "stderr: "); ok {
		msg = after
	}
	return errors.New("go list: " + strings.TrimSpace(msg))
}

// parseDeclarations parses a file without the bodies of its functions: models
// are declarations, and bodies are what uses the code that is not there yet.
func parseDeclarations(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution|parser.AllErrors)
	if f != nil {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				fn.Body = nil
			}
		}
	}
	return f, err
}

// loadErrors reports what is wrong with p apart from names that are about to
// be generated.
func loadErrors(r *reporter, dir string, p *packages.Package, s *scan, predicted map[string]bool) {
	for _, e := range p.Errors {
		switch e.Kind {
		case packages.TypeError:
			// Below, with more detail.
		case packages.ListError:
			if strings.HasPrefix(e.Msg, "# ") {
				continue // the compiler, on the way to export data: type errors once more
			}
			if nothingToBuild(p, e) && (s.walked[p.Dir] || len(p.IgnoredFiles) > 0) {
				continue
			}
			r.errorf(parsePos(dir, e.Pos), "%s", e.Msg)
		default:
			r.errorf(parsePos(dir, e.Pos), "%s", e.Msg)
		}
	}
	broken := map[string]bool{}
	for path, dep := range p.Imports {
		for _, e := range dep.Errors {
			if e.Kind == packages.ListError && !strings.HasPrefix(e.Msg, "# ") && len(dep.GoFiles) == 0 {
				broken[path] = true
				r.errorf(parsePos(dir, e.Pos), "%s", e.Msg)
			}
		}
	}
	for _, e := range p.TypeErrors {
		if e.Soft || isPredicted(e, predicted) || isImport(e, broken) || isElsewhere(e, p, s) {
			continue
		}
		r.errorf(e.Fset.Position(e.Pos), "%s", e.Msg)
	}
}

// nothingToBuild is the go command's complaint about a directory whose files
// are all excluded: what is left is at most output of ours, without models.
func nothingToBuild(p *packages.Package, e packages.Error) bool {
	return len(p.GoFiles) == 0 && (strings.Contains(e.Msg, "build constraints exclude all Go files") || strings.Contains(e.Msg, "no Go files"))
}

// isElsewhere says whether e misses a name of a package that is not part of
// the run and has models itself: its output may not be there yet, because go
// generate takes packages in the order of their names.
func isElsewhere(e types.Error, p *packages.Package, s *scan) bool {
	name, _, ok := strings.Cut(strings.TrimPrefix(e.Msg, "undefined: "), ".")
	if !ok || !strings.HasPrefix(e.Msg, "undefined: ") {
		return false
	}
	for _, dep := range p.Imports {
		if dep.Name != name || len(dep.GoFiles) == 0 || s.loaded[dep.PkgPath] {
			continue
		}
		if marked, err := s.read(filepath.Dir(dep.GoFiles[0])); err == nil && marked {
			return true
		}
	}
	return false
}

// isImport says whether e is the failed import of one of paths.
func isImport(e types.Error, paths map[string]bool) bool {
	rest, ok := strings.CutPrefix(e.Msg, "could not import ")
	path, _, _ := strings.Cut(rest, " ")
	return ok && paths[path]
}

// isPredicted says whether e misses a name that the output declares, in this
// package or, qualified, in another one of the run.
func isPredicted(e types.Error, predicted map[string]bool) bool {
	name, ok := strings.CutPrefix(e.Msg, "undefined: ")
	if !ok {
		return false
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	return predicted[name]
}

// parsePos reads the go command's file:line:col. It names files as seen from
// dir, where it runs.
func parsePos(dir, s string) token.Position {
	if s == "" || s == "-" {
		return token.Position{}
	}
	var n [2]int
	i := 0
	for ; i < 2; i++ {
		head, tail, ok := cutLast(s)
		v, err := strconv.Atoi(tail)
		if !ok || err != nil {
			break
		}
		s, n[i] = head, v
	}
	p := token.Position{Filename: filepath.FromSlash(s)}
	if !filepath.IsAbs(p.Filename) {
		p.Filename = filepath.Join(dir, p.Filename)
	}
	switch i {
	case 1:
		p.Line, p.Column = n[0], 1
	case 2:
		p.Line, p.Column = n[1], n[0]
	}
	return p
}

func cutLast(s string) (head, tail string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
