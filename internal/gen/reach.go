package gen

import (
	"context"
	"go/ast"
	"go/token"
	"slices"
	"strconv"

	"golang.org/x/tools/go/packages"
)

// reach is a package-level name that a declaration mentions.
type reach struct {
	pkg  *sourcePackage
	name string
}

// piece is a declaration that stands or falls as a whole: a function, a type, a
// line of variables, or a group of constants, of which each may depend on the
// one before.
type piece struct {
	pkg  *sourcePackage
	file *sourceText
	decl ast.Decl
	spec ast.Spec // nil: all of decl
	kept bool
}

// reachAll works out what the declarations of the roots come to. The type of
// whatever a declaration says is made of names that it mentions, and of what
// their declarations mention in turn; methods come with their type. So too much
// may be kept, and never too little.
func (l *sourceLoader) reachAll(ctx context.Context) error {
	var fresh []*sourcePackage
	fresh = append(fresh, l.roots...)
	for len(fresh) > 0 {
		if err := l.parse(ctx, fresh); err != nil {
			return err
		}
		for _, p := range fresh {
			if err := l.open(p); err != nil {
				return err
			}
		}
		fresh = fresh[:0]
		waiting := l.queue[:0:0]
		for len(l.queue) > 0 {
			r := l.queue[len(l.queue)-1]
			l.queue = l.queue[:len(l.queue)-1]
			if !r.pkg.parsed {
				r.pkg.parsed = true
				fresh = append(fresh, r.pkg)
			}
			if r.pkg.names == nil {
				waiting = append(waiting, r)
				continue
			}
			for _, all := range [][]*piece{r.pkg.names[r.name], r.pkg.methods[r.name]} {
				for _, d := range all {
					if err := l.keep(d); err != nil {
						return err
					}
				}
			}
		}
		l.queue = waiting
	}
	return nil
}

// open sorts the declarations of a parsed package by name, and keeps those that
// always count: all of a root, and of another package its exported constants,
// which are the values of an enum.
func (l *sourceLoader) open(p *sourcePackage) error {
	p.names, p.methods = map[string][]*piece{}, map[string][]*piece{}
	for _, f := range p.files {
		if f.syntax == nil {
			continue
		}
		if err := f.resolveImports(p); err != nil {
			return err
		}
		for _, d := range f.syntax.Decls {
			f.split(p, d)
		}
	}
	for _, f := range p.files {
		for _, d := range f.pieces {
			if p.root || d.exportsConstants() {
				if err := l.keep(d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// resolveImports notes by which names the file calls the packages it imports.
func (f *sourceText) resolveImports(p *sourcePackage) error {
	f.imports = map[string]*packages.Package{}
	for _, spec := range f.syntax.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || path == "C" || path == "unsafe" {
			continue
		}
		dep := p.Imports[path]
		switch {
		case dep == nil && p.root:
			return errNeedsCompiler // a cycle, whose words are those of packages.Load
		case dep == nil:
		case spec.Name == nil:
			f.imports[dep.Name] = dep
		case spec.Name.Name == ".":
			f.dots = append(f.dots, dep)
		case spec.Name.Name != "_":
			f.imports[spec.Name.Name] = dep
		}
	}
	return nil
}

// split makes pieces of a declaration.
func (f *sourceText) split(p *sourcePackage, decl ast.Decl) {
	add := func(spec ast.Spec) *piece {
		d := &piece{pkg: p, file: f, decl: decl, spec: spec}
		f.pieces = append(f.pieces, d)
		return d
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		d := add(nil)
		if decl.Recv == nil {
			p.names[decl.Name.Name] = append(p.names[decl.Name.Name], d)
		} else if name := receiver(decl); name != "" {
			p.methods[name] = append(p.methods[name], d)
		}
	case *ast.GenDecl:
		if decl.Tok == token.CONST {
			d := add(nil)
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range spec.Names {
						p.names[name.Name] = append(p.names[name.Name], d)
					}
				}
			}
			return
		}
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				p.names[spec.Name.Name] = append(p.names[spec.Name.Name], add(spec))
			case *ast.ValueSpec:
				d := add(spec)
				for _, name := range spec.Names {
					p.names[name.Name] = append(p.names[name.Name], d)
				}
			}
		}
	}
}

// exportsConstants says whether d is a group of constants with one that is
// exported.
func (d *piece) exportsConstants() bool {
	g, ok := d.decl.(*ast.GenDecl)
	return ok && g.Tok == token.CONST && slices.ContainsFunc(g.Specs, func(spec ast.Spec) bool {
		v, ok := spec.(*ast.ValueSpec)
		return ok && slices.ContainsFunc(v.Names, (*ast.Ident).IsExported)
	})
}

// receiver returns the name of the type that a method belongs to.
func receiver(decl *ast.FuncDecl) string {
	if len(decl.Recv.List) == 0 {
		return ""
	}
	for t := decl.Recv.List[0].Type; ; {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.ParenExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// keep keeps d and queues what it mentions.
func (l *sourceLoader) keep(d *piece) error {
	if d.kept {
		return nil
	}
	d.kept = true
	var node ast.Node = d.decl
	if d.spec != nil {
		node = d.spec
	}
	cgo := false
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			return d.pkg.root // the bodies of its functions are gone; those of values are checked
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			cgo = cgo || x.Name == "C"
			if dep := d.file.imports[x.Name]; dep != nil {
				l.queue = append(l.queue, reach{l.add(dep), n.Sel.Name})
				return false
			}
		case *ast.Ident:
			l.queue = append(l.queue, reach{d.pkg, n.Name})
			for _, dep := range d.file.dots {
				l.queue = append(l.queue, reach{l.add(dep), n.Name})
			}
		}
		return true
	})
	if cgo && d.file.importsC() {
		return errNeedsCompiler
	}
	return nil
}

func (f *sourceText) importsC() bool {
	for _, spec := range f.syntax.Imports {
		if spec.Path.Value == `"C"` {
			return true
		}
	}
	return false
}

// kept returns the file with nothing but its imports and what is kept.
func (f *sourceText) kept(root bool) *ast.File {
	if root {
		return f.syntax
	}
	out := &ast.File{
		Package: f.syntax.Package, Name: f.syntax.Name, FileStart: f.syntax.FileStart, FileEnd: f.syntax.FileEnd,
		Imports: f.syntax.Imports, GoVersion: f.syntax.GoVersion,
	}
	for _, d := range f.syntax.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			out.Decls = append(out.Decls, d)
		}
	}
	for _, d := range f.pieces {
		switch g, ok := d.decl.(*ast.GenDecl); {
		case !d.kept:
		case !ok || d.spec == nil:
			out.Decls = append(out.Decls, d.decl)
		default:
			out.Decls = append(out.Decls, &ast.GenDecl{TokPos: g.TokPos, Tok: g.Tok, Lparen: g.Lparen, Specs: []ast.Spec{d.spec}, Rparen: g.Rparen})
		}
	}
	return out
}
