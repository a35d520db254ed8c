package gen

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// resolve settles what needs more than one field: keys and names.
func (c *collector) resolve() {
	for _, m := range c.models {
		c.resolveKeys(m)
		c.checkColumns(m)
	}
	c.checkModels()
}

// connect settles what needs more than one model: references and relations. The
// packages that they lead to are resolved.
func (c *collector) connect() {
	for _, m := range c.models {
		c.resolveRefs(m)
	}
	c.checkRings()
	c.checkTables()
	c.resolveEnums()
	c.resolveRelations()
	c.checkHooks()
	c.checkDeclared()
	for _, m := range c.models {
		c.warnSlow(m)
	}
}

// build makes the tables of models without mistakes.
func (c *collector) build() {
	for _, m := range c.models {
		m.buildTable()
		if err := m.table.Validate(); err != nil {
			c.errorf(m.pos, "%v", err)
		}
	}
}

// resolveKeys names the primary key and the unique keys of m.
func (c *collector) resolveKeys(m *model) {
	if len(m.key) == 0 {
		if m.suspect {
			return // it may be what was misspelt
		}
		c.errorf(m.pos, "%s has no primary key: embed orm.Base, or tag a field, as in ID string `drift:\"pk,uuid7\"` (//drift:skip above a struct that is no table)", m.name)
		return
	}
	if len(m.key) > 1 {
		m.names.key = m.name + "Key"
	}
	c.checkKeyIndexes(m)
	for _, u := range m.uniques {
		switch {
		case u.name != "":
			u.by = "By" + goName(u.name)
			u.sql = m.names.table + "_" + u.name + "_key"
		default:
			u.by = "By" + u.columns[0].name
			u.sql = m.names.table + "_" + u.columns[0].sql + "_key"
		}
		if len(u.columns) > 1 {
			u.typ = m.name + goName(u.name) + "Key"
		}
		if !token.IsIdentifier(u.by) {
			c.errorf(u.pos, "the unique key %s would be %s in Go: use letters, digits and _ in prefix", u.name, u.by)
		}
	}
	slices.SortStableFunc(m.uniques, func(a, b *uniqueKey) int { return cmp.Compare(a.columns[0].index(), b.columns[0].index()) })
}

// checkKeyIndexes reports indexes that the primary key is already. The second
// column of a key is neither unique nor indexed by it.
func (c *collector) checkKeyIndexes(m *model) {
	for _, it := range m.key[0].tag.items {
		switch {
		case it.HasValue: // a part of a larger key or index
		case it.Key == "index" && len(m.key) > 1:
			c.errorf(it.pos, "the primary key begins with %s, which indexes it already: drop index", m.key[0].selector())
		case it.Key == "index":
			c.errorf(it.pos, "a primary key is indexed already: drop index")
		case (it.Key == "unique" || it.Key == "uniquelive") && len(m.key) == 1:
			c.errorf(it.pos, "a primary key is unique already: drop %s", it.Key)
		}
	}
}

// isVerb says whether name is a method of orm.Table, now or as planned, or its
// own name: a column of that name would hide it.
func isVerb(name string) bool {
	switch name {
	case "All", "Changes", "Clone", "Count", "Create", "CreateMany", "CreateSeq", "Decoder", "Delete", "DeleteRow", "Diff", "Each", "Edit", "Exists",
		"Find", "FindMany", "First", "Follow", "History", "Load", "LoadRow", "OnChange", "Purge", "Raw", "Reload", "Restore", "Rows",
		"Save", "Table", "Update", "UpdateReturning", "Upsert", "UpsertMany", "Where":
		return true
	}
	return false
}

// checkColumns reports columns of m that are in each other's way.
func (c *collector) checkColumns(m *model) {
	sql, names := map[string]*column{}, map[string]*column{}
	for _, col := range m.columns {
		pos := col.pos
		if it := col.tag.get("column"); it != nil {
			pos = it.value
		}
		if o := sql[strings.ToLower(col.sql)]; o != nil {
			c.errorf(pos, "column %s of %s is %s already: give one of them another name with column=", col.sql, m.name, o.selector())
		} else {
			sql[strings.ToLower(col.sql)] = col
		}
		pos = col.pos
		if it := col.tag.get("name"); it != nil {
			pos = it.value
		}
		switch o := names[col.name]; {
		case isVerb(col.name):
			c.errorf(pos, "%s would hide the method %s.%s: name the generated column otherwise, as in name=%sCol", col.name, m.names.typ, col.name, col.name)
		case o != nil && o.sql != col.sql:
			c.errorf(pos, "%s and %s would both be %s.%s: name one of them otherwise with name=", o.selector(), col.selector(), m.names.value, col.name)
		}
		names[col.name] = col
	}
	by := map[string]bool{}
	for _, u := range m.uniques {
		switch {
		case names[u.by] != nil:
			c.errorf(u.pos, "the unique key %s has the name of a column: name the column otherwise with name=, or the group", u.by)
		case by[u.by]:
			c.errorf(u.pos, "two unique keys of %s would be %s", m.name, u.by)
		}
		by[u.by] = true
	}
	c.checkPatch(m)
	c.checkPrinted(m)
	c.once(m, "updated", func(col *column) bool { return col.updated })
	c.once(m, "version", func(col *column) bool { return col.version })
	c.once(m, "softdelete", func(col *column) bool { return col.softdelete })
	c.once(m, "created", func(col *column) bool { return col.created })
	if n := len(m.omitted()); n > 64 {
		c.errorf(m.pos, "%s has %d columns that can take their default: 64 is the most", m.name, n)
	}
}

// checkPatch reports columns that a patch in JSON cannot tell apart.
func (c *collector) checkPatch(m *model) {
	members := map[string]*column{}
	for _, col := range m.patched() {
		if col.jsonHidden {
			continue
		}
		name := col.jsonName()
		if o := members[name]; o != nil {
			if o.name == col.name {
				continue // which has been reported
			}
			c.errorf(col.pos, "%s and %s are both the member %q of a patch in JSON, where neither would be read: name one of them otherwise with a json tag",
				o.selector(), col.selector(), name)
			continue
		}
		members[name] = col
	}
}

// once reports every column after the first that is f.
func (c *collector) once(m *model, key string, f func(*column) bool) {
	var first *column
	for _, col := range m.columns {
		if !f(col) {
			continue
		}
		if first != nil {
			c.errorf(col.tag.get(key).pos, "%s is %s already", first.selector(), key)
			continue
		}
		first = col
	}
}

// omitted returns the columns that Create may leave to their default.
func (m *model) omitted() []*column {
	var out []*column
	for _, col := range m.columns {
		if col.omit {
			out = append(out, col)
		}
	}
	return out
}

// checkModels reports models that would make the same table or Go name.
func (c *collector) checkModels() {
	tables, values := map[string]*model{}, map[string]*model{}
	for _, m := range c.models {
		o, p := tables[strings.ToLower(m.names.table)], values[m.names.value]
		if o != nil {
			c.errorf(m.pos, "%s and %s are both the table %s: give one another name with //drift:table above its type", o.name, m.name, m.names.table)
		}
		if p != nil {
			c.errorf(m.pos, "%s and %s would both be reached as %s: rename one of them", p.name, m.name, m.names.value)
		}
		m.clashes = o != nil || p != nil
		tables[strings.ToLower(m.names.table)], values[m.names.value] = m, m
	}
}

// checkDeclared reports names of the output that the package or another model
// has taken.
func (c *collector) checkDeclared() {
	taken := map[string]*model{}
	for _, m := range c.models {
		if m.clashes {
			continue
		}
		for _, n := range m.declared() {
			if o := c.pkg.Types.Scope().Lookup(n); o != nil {
				c.errorf(m.pos, "the output for %s declares %s, which %s declares already: rename one of them", m.name, n, c.place(o))
			} else if o := taken[n]; o != nil && o != m {
				c.errorf(m.pos, "the output for %s and for %s both declare %s: rename one of them", o.name, m.name, n)
				break
			}
			taken[n] = m
		}
	}
	names := map[string]string{}
	for n, m := range taken {
		names[n] = m.name
	}
	c.checkQueries(names)
	if len(c.models) > 0 {
		c.checkSchemaNames()
	}
}

// checkSchemaNames reports what the package declares in the place of names that
// every output has or uses.
func (c *collector) checkSchemaNames() {
	scope := c.pkg.Types.Scope()
	if o := scope.Lookup("Schema"); o != nil {
		c.errorf(c.pos(o.Pos()), "the output declares Schema, the set of all tables: rename this one")
	}
	if o := scope.Lookup("migrationFiles"); o != nil && hasMigrations(c.pkg.Dir) {
		c.errorf(c.pos(o.Pos()), "the output declares migrationFiles, which holds the migrations: rename this one")
	}
	for _, name := range []string{"bool", "byte", "error", "false", "float32", "float64", "int", "int16", "int32", "int64", "int8", "new", "nil", "rune", "string", "true", "uint16", "uint32", "uint8"} {
		if o := scope.Lookup(name); o != nil {
			c.errorf(c.pos(o.Pos()), "the output needs Go's own %s, which this one hides: rename it", name)
		}
	}
}

// checkTestNames reports what the package's tests declare in the place of the
// tests that the output has.
func (c *collector) checkTestNames() error {
	names := map[string]bool{"TestMigrations": hasMigrations(c.pkg.Dir) && len(c.models) > 0, "TestQueries": len(c.queries) > 0 && len(c.models) > 0}
	if !names["TestMigrations"] && !names["TestQueries"] {
		return nil
	}
	paths, err := filepath.Glob(filepath.Join(c.pkg.Dir, "*_test.go"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := readFile(path)
		if err != nil {
			return err
		}
		if isOwn(filepath.Base(path), text) || !bytes.Contains(text, []byte("func Test")) {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
		if err != nil || f.Name.Name != c.pkg.Name {
			continue // a test that does not compile is for the compiler to report
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && names[fn.Name.Name] {
				c.errorf(fset.Position(fn.Name.Pos()), "the output declares the test %s: rename this one", fn.Name.Name)
			}
		}
	}
	return nil
}

// place returns where o stands, as people read it.
func (c *collector) place(o types.Object) string {
	at := c.pos(o.Pos())
	return fmt.Sprintf("%s:%d", filepath.Base(at.Filename), at.Line)
}

// predicted returns every name that the output declares.
func (c *collector) predicted(into map[string]bool) {
	if len(c.models) > 0 {
		into["Schema"], into["migrationFiles"] = true, true
	}
	for _, q := range c.queries {
		for _, n := range q.declared() {
			into[n] = true
		}
	}
	for _, m := range c.models {
		for _, n := range m.declared() {
			into[n] = true
		}
	}
}

// checkSource reports a file whose models would not be there on every
// machine: the output, which is one for all, would not compile without them.
func (c *collector) checkSource(f *sourceFile) {
	for _, g := range f.syntax.Comments {
		for _, comment := range g.List {
			if comment.Pos() < f.syntax.Package && (strings.HasPrefix(comment.Text, "//go:build ") || strings.HasPrefix(comment.Text, "// +build ")) {
				c.errorf(c.pos(comment.Pos()), "a file with models cannot have a build constraint: move the models to a file without one")
			}
		}
	}
	nowhere := build.Default
	nowhere.GOOS, nowhere.GOARCH = "none", "none"
	nowhere.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package x\n")), nil }
	if ok, err := nowhere.MatchFile(filepath.Dir(f.path), filepath.Base(f.path)); err == nil && !ok {
		c.errorf(token.Position{Filename: f.path, Line: 1, Column: 1}, "the name of this file ties it to one system, and its models with it: rename the file")
	}
}
