package gen

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/packages"
)

const (
	ormPath    = "github.com/driftdb/driftdb/orm"
	schemaPath = "github.com/driftdb/driftdb/schema"
)

// collector turns the structs of one package into models.
type collector struct {
	*reporter
	pkg     *packages.Package
	structs map[*types.TypeName]*structDecl
	order   []*structDecl
	// flattened holds the structs of this package that are part of another
	// one, with the struct that they are part of.
	flattened map[*types.TypeName]string
	// untyped are fields whose type the type checker could not tell.
	untyped     []Diagnostic
	models      []*model
	rows        []*model // structs that are rows of queries
	queries     []*querySet
	withQueries []*sourceFile
	// others are packages that this one refers to, by import path.
	others map[string]*collector
	behind bool // no migration has the models' changes yet
}

// structDecl is a struct type declared at package level.
type structDecl struct {
	file *sourceFile
	obj  *types.TypeName
	spec *ast.TypeSpec
	st   *ast.StructType
	directives
}

// collect returns the models of p in source order, each with its columns, and
// the files they stand in.
func collect(r *reporter, p *packages.Package) *collector {
	c := &collector{
		reporter: r, pkg: p,
		structs:   map[*types.TypeName]*structDecl{},
		flattened: map[*types.TypeName]string{},
	}
	for _, f := range p.Syntax {
		c.declarations(&sourceFile{path: c.pos(f.Package).Filename, syntax: f})
	}
	for _, d := range c.order {
		c.markFlattened(d)
	}
	for _, d := range c.order {
		c.model(d)
	}
	return c
}

func (c *collector) pos(p token.Pos) token.Position { return c.pkg.Fset.Position(p) }

// declarations notes the struct types of a file, with their directives.
func (c *collector) declarations(f *sourceFile) {
	used := map[*ast.Comment]bool{}
	for _, decl := range f.syntax.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, s := range gen.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			d := &structDecl{file: f, spec: spec}
			d.directives = c.readDirectives(spec.Doc, used)
			if !gen.Lparen.IsValid() {
				d.merge(c.readDirectives(gen.Doc, used))
			}
			st, ok := spec.Type.(*ast.StructType)
			obj, _ := c.pkg.TypesInfo.Defs[spec.Name].(*types.TypeName)
			switch {
			case d.query:
				c.query(d)
			case !ok || obj == nil:
				if d.any() {
					c.errorf(d.pos, "a //drift: directive stands above a struct type; %s is none", spec.Name.Name)
				}
			case spec.Assign.IsValid():
				if c.isTagged(st) {
					c.errorf(c.pos(spec.Name.Pos()), "%s is an alias: a model needs a type of its own", spec.Name.Name)
				}
			default:
				d.obj, d.st = obj, st
				c.structs[obj] = d
				c.order = append(c.order, d)
			}
		}
	}
	c.strayDirectives(f.syntax, used)
}

// isTagged says whether a field of st has a drift tag.
func (c *collector) isTagged(st *ast.StructType) bool {
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			continue
		}
		// Only whether: mistakes are reported when the model is read.
		if readTag(&reporter{}, newLiteral(f.Tag.Value, token.Position{}), token.Position{}).found {
			return true
		}
	}
	return false
}

// isModel says whether d is meant as a table: it has a tag, or orm.Base.
func (c *collector) isModel(d *structDecl) bool {
	return !isBase(d.obj.Type()) && (c.isTagged(d.st) || c.hasBase(d.obj.Type(), 0))
}

// hasBase says whether t embeds orm.Base, at whatever depth.
func (c *collector) hasBase(t types.Type, depth int) bool {
	st, ok := t.Underlying().(*types.Struct)
	if !ok || depth > 16 {
		return false
	}
	for f := range st.Fields() {
		if f.Embedded() && (isBase(f.Type()) || c.hasBase(types.Unalias(f.Type()), depth+1)) {
			return true
		}
	}
	return false
}

func isBase(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Name() == "Base" && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == ormPath
}

// markFlattened notes which structs d makes part of itself.
func (c *collector) markFlattened(d *structDecl) {
	st, ok := d.obj.Type().Underlying().(*types.Struct)
	if !ok || d.skip || !c.isModel(d) {
		return
	}
	fields := syntaxFields(d.st)
	if len(fields) != st.NumFields() {
		return
	}
	for i, f := range fields {
		v := st.Field(i)
		n, ok := types.Unalias(v.Type()).(*types.Named)
		if !ok || c.structs[n.Obj()] == nil || n.Obj() == d.obj {
			continue
		}
		tag := readTag(&reporter{}, tagLiteral(c, f), token.Position{})
		if (v.Embedded() || tag.has("embed")) && !tag.has("-") {
			c.flattened[n.Obj()] = d.obj.Name()
		}
	}
}

// model makes the model of d, if d is one.
func (c *collector) model(d *structDecl) {
	name := d.obj.Name()
	pos := c.pos(d.spec.Name.Pos())
	if d.row {
		c.row(d)
		return
	}
	if d.skip {
		if d.table != "" {
			c.errorf(d.pos, "//drift:skip and //drift:table exclude each other")
		}
		return
	}
	if !c.isModel(d) {
		for _, f := range d.st.Fields.List {
			if f.Tag != nil {
				readTag(c.reporter, newLiteral(f.Tag.Value, c.pos(f.Tag.Pos())), pos) // a malformed one
			}
		}
		if d.any() {
			c.errorf(d.pos, "%s is no model: no field has a drift tag (drift:\"pk\" makes one the primary key)", name)
		}
		return
	}
	named, ok := d.obj.Type().(*types.Named)
	if !ok {
		return
	}
	if named.TypeParams().Len() > 0 {
		if c.flattened[d.obj] != "" && d.table == "" {
			return // a part of others, with types for its parameters
		}
		c.errorf(pos, "generic model %s is not supported: a table belongs to one type", name)
		return
	}
	m := &model{name: name, pos: pos, home: c, file: d.file, named: named, syntax: d.st, names: newNames(name, d.table)}
	m.guards = []guarded{{named, d.st}}
	m.unit, m.was = d.unit, d.was
	st, ok := named.Underlying().(*types.Struct)
	if !ok {
		return
	}
	c.flatten(m, st, d.st, part{})
	if host := c.flattened[d.obj]; host != "" && d.table == "" {
		if !hasKey(m) {
			return // a part of others, no table
		}
		c.errorf(pos, "%s has a primary key and is part of %s as well: write //drift:skip above it if it is only a part, or //drift:table %s if it is a table too",
			name, host, m.names.table)
		return
	}
	c.buildConstraints(m)
	c.applyRules(m, d.rules)
	if len(d.file.models) == 0 {
		c.checkSource(d.file)
	}
	d.file.models = append(d.file.models, m)
	c.models = append(c.models, m)
}

func hasKey(m *model) bool {
	for _, col := range m.columns {
		if col.pk {
			return true
		}
	}
	return false
}
