package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"
)

// row notes a struct that is the row of a query: it has columns and no table.
func (c *collector) row(d *structDecl) {
	name := d.obj.Name()
	if d.skip || d.table != "" || len(d.rules) > 0 {
		c.errorf(d.pos, "//drift:row stands alone: %s is the row of a query, not a table", name)
		return
	}
	named, ok := d.obj.Type().(*types.Named)
	st, ok2 := d.obj.Type().Underlying().(*types.Struct)
	if !ok || !ok2 || named.TypeParams().Len() > 0 {
		c.errorf(d.pos, "//drift:row needs a struct type without parameters; %s is none", name)
		return
	}
	m := &model{name: name, pos: c.pos(d.spec.Name.Pos()), file: d.file, named: named, syntax: d.st, names: newNames(name, ""), unit: d.unit}
	m.guards = []guarded{{named, d.st}}
	c.flatten(m, st, d.st, part{})
	c.checkRowMethods(m)
	seen := map[string]*column{}
	for _, col := range m.columns {
		for _, it := range col.tag.items {
			if !slices.Contains([]string{"column", "json", "type", "time", "null", "embed", "prefix"}, it.Key) {
				c.errorf(it.pos, "%s is for columns of tables; %s is the row of a query", it.Key, name)
			}
		}
		if o := seen[strings.ToLower(col.sql)]; o != nil {
			c.errorf(col.pos, "%s and %s are both the column %s: name one of them otherwise with column=", o.selector(), col.selector(), col.sql)
		}
		seen[strings.ToLower(col.sql)] = col
	}
	for _, rel := range m.related {
		c.errorf(rel.pos, "%s is the row of a query: it has no relations", name)
	}
	d.file.rows = append(d.file.rows, m)
	c.rows = append(c.rows, m)
}

// emitRow writes how the runtime reads a row of a query.
func (e emitter) emitRow() {
	m := e.m
	var names, scan []jen.Code
	for i, col := range m.columns {
		names = append(names, jen.Lit(col.sql))
		scan = append(scan, e.scanCall(col, i))
	}
	e.file.Line()
	e.comment("RowColumns returns the names of the columns that a query into %s has.", m.name)
	e.file.Func().Params(jen.Op("*").Add(e.model())).Id("RowColumns").Params().Index().String().Block(jen.Return(jen.Index().String().Values(names...)))
	e.file.Line()
	e.comment("ScanRow reads a row with the columns of RowColumns.")
	e.file.Func().Params(e.modelParam()).Id("ScanRow").Params(jen.Id("r").Op("*").Add(e.orm("Row"))).Block(scan...)
}

// querySet is an interface whose methods are queries.
type querySet struct {
	name    string
	pos     token.Position
	methods []*queryMethod
}

// queryMethod is one of them.
type queryMethod struct {
	name   string
	pos    token.Position
	sql    string
	params []queryParam // after the context and the database
	writes bool         // it is given a Writer
	form   string       // All, One, Ptr, Each or Exec
	elem   ast.Expr     // of its result
}

type queryParam struct {
	name string
	typ  ast.Expr
}

// query notes an interface whose methods are queries.
func (c *collector) query(d *structDecl) {
	it, ok := d.spec.Type.(*ast.InterfaceType)
	name := d.spec.Name.Name
	if !ok || d.spec.TypeParams != nil || d.spec.Assign.IsValid() {
		c.errorf(d.pos, "//drift:query stands above an interface, whose methods have SQL as their comments; %s is none", name)
		return
	}
	q := &querySet{name: name, pos: c.pos(d.spec.Name.Pos())}
	for _, f := range it.Methods.List {
		if len(f.Names) != 1 {
			c.errorf(c.pos(f.Pos()), "%s embeds another interface: write its methods here", name)
			continue
		}
		if m := c.queryMethod(f); m != nil {
			q.methods = append(q.methods, m)
		}
	}
	d.file.queries = append(d.file.queries, q)
	c.queries = append(c.queries, q)
	c.withQueries = append(c.withQueries, d.file)
}

func (c *collector) queryMethod(f *ast.Field) *queryMethod {
	at := c.pos(f.Names[0].Pos())
	m := &queryMethod{name: f.Names[0].Name, pos: at}
	fail := func(format string, args ...any) *queryMethod {
		c.errorf(at, "%s: "+format, append([]any{m.name}, args...)...)
		return nil
	}
	ft, ok := f.Type.(*ast.FuncType)
	if !ok {
		return fail("not a method")
	}
	m.sql = commentSQL(f.Doc)
	if m.sql == "" {
		return fail("has no SQL: the comment above a method is its statement")
	}
	if why := badStatement(m.sql); why != "" {
		return fail("%s", why)
	}
	var params []queryParam
	for _, p := range ft.Params.List {
		names := p.Names
		if len(names) == 0 {
			return fail("its parameters need names")
		}
		for _, n := range names {
			if _, variadic := p.Type.(*ast.Ellipsis); variadic {
				return fail("%s is variadic: a statement has a fixed number of arguments (json_each(?) reads a list from one)", n.Name)
			}
			params = append(params, queryParam{n.Name, p.Type})
		}
	}
	const want = "its first parameters are ctx context.Context and r orm.Reader, or w orm.Writer for what writes"
	if len(params) < 2 || c.typeOf(params[0].typ) != "context.Context" {
		return fail(want)
	}
	switch c.typeOf(params[1].typ) {
	case "orm.Reader":
	case "orm.Writer":
		m.writes = true
	default:
		return fail(want)
	}
	m.params = params
	if n := countMarks(m.sql); n != len(params)-2 {
		return fail("its statement has %d ? and the method %d arguments", n, len(params)-2)
	}
	return c.queryResult(m, ft, fail)
}

// queryResult reads what the method returns.
func (c *collector) queryResult(m *queryMethod, ft *ast.FuncType, fail func(string, ...any) *queryMethod) *queryMethod {
	const want = "it returns ([]T, error), (T, error), (*T, error) or iter.Seq2[T, error], or (int64, error), the number of rows, for a statement that writes"
	if ft.Results == nil {
		return fail(want)
	}
	var results []ast.Expr
	for _, r := range ft.Results.List {
		for range max(1, len(r.Names)) {
			results = append(results, r.Type)
		}
	}
	if ix, ok := results[0].(*ast.IndexListExpr); ok && len(results) == 1 && len(ix.Indices) == 2 && strings.HasPrefix(c.typeOf(results[0]), "iter.Seq2[") {
		if verb, _ := mainVerb(m.sql); verb != "SELECT" && verb != "VALUES" {
			return fail("%s writes: a loop over what it returns could be left, or never begun, so it returns ([]T, error) with RETURNING, or (int64, error)", verb)
		}
		if m.writes {
			return fail("a query that yields rows one by one reads: give the method an r orm.Reader")
		}
		m.form, m.elem = "Each", ix.Indices[0]
		return m
	}
	if len(results) != 2 || c.typeOf(results[1]) != "error" {
		return fail(want)
	}
	verb, returning := mainVerb(m.sql)
	reads := verb == "SELECT" || verb == "VALUES" || returning
	switch r := results[0].(type) {
	case *ast.ArrayType:
		if r.Len != nil {
			return fail(want)
		}
		m.form, m.elem = "All", r.Elt
		if c.typeOf(r.Elt) == "byte" {
			m.form, m.elem = "One", r
		}
	case *ast.StarExpr:
		m.form, m.elem = "Ptr", r.X
	default:
		m.form, m.elem = "One", r
	}
	if !reads {
		if !m.writes {
			return fail("%s writes: give the method a w orm.Writer", verb)
		}
		if c.typeOf(results[0]) != "int64" {
			return fail("it writes and has no RETURNING: it returns (int64, error), the number of rows")
		}
		m.form = "Exec"
	}
	if m.writes && m.form != "Exec" {
		if m.form != "All" {
			return fail("it writes and has RETURNING: it returns ([]T, error)")
		}
		m.form = "Returning"
	}
	return m
}

func (c *collector) typeOf(e ast.Expr) string {
	t := c.pkg.TypesInfo.TypeOf(e)
	if t == nil {
		return ""
	}
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}

// commentSQL returns the text of a comment without its marks.
func commentSQL(doc *ast.CommentGroup) string {
	if doc == nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSpace(doc.Text()), ";")
}

func firstWord(s string) string {
	if w := strings.Fields(s); len(w) > 0 {
		return w[0]
	}
	return ""
}

// badStatement says why text is not one statement.
func badStatement(text string) string {
	rest := stripSQL(text)
	switch {
	case strings.Contains(rest, ";"):
		return "its comment is more than one statement"
	case strings.Contains(rest, "?") && strings.ContainsAny(rest, ":@$"):
		return "its arguments are ? in turn, not named ones"
	}
	if !slices.Contains([]string{"SELECT", "WITH", "VALUES", "INSERT", "UPDATE", "DELETE", "REPLACE"}, strings.ToUpper(firstWord(text))) {
		return "its comment begins with " + quoted(firstWord(text)) + ", which is no query: the comment above a method is its SQL and nothing else"
	}
	return ""
}

func countMarks(sql string) int { return strings.Count(stripSQL(sql), "?") }

// emitQueries writes the implementation of an interface of queries.
func (c *collector) emitQueries(out *jen.File, q *querySet) {
	syntax := syntaxCode{info: c.pkg.TypesInfo}
	typ := q.typeName()
	comment := func(format string, args ...any) {
		for _, line := range comments(fmt.Sprintf(format, args...)) {
			out.Add(line)
		}
	}
	out.Line()
	var consts []jen.Code
	for _, m := range q.methods {
		consts = append(consts, jen.Id(constName(q, m)).Op("=").Add(sqlCode(m.sql)))
	}
	out.Const().Defs(consts...)
	out.Line()
	comment("New%s returns the queries of %s.", upperFirst(q.name), q.name)
	out.Func().Id("New" + upperFirst(q.name)).Params().Id(q.name).Block(jen.Return(jen.Id(typ).Values()))
	out.Line()
	out.Type().Id(typ).Struct()
	for _, m := range q.methods {
		var params, args []jen.Code
		for i, p := range m.params {
			name := c.argName(m, p.name)
			params = append(params, jen.Id(name).Add(syntax.expr(p.typ)))
			if args = append(args, jen.Id(name)); i == 1 {
				args = append(args, jen.Id(constName(q, m)))
			}
		}
		elem := syntax.expr(m.elem)
		f := out.Line().Func().Params(jen.Id(typ)).Id(m.name).Params(params...)
		run := func(name string) *jen.Statement { return jen.Qual(ormPath, name).Types(elem).Call(args...) }
		switch m.form {
		case "All":
			f.Params(jen.Index().Add(elem), jen.Error()).Block(jen.Return(run("RawAll")))
		case "Returning":
			f.Params(jen.Index().Add(elem), jen.Error()).Block(jen.Return(run("RawReturning")))
		case "One":
			f.Params(elem, jen.Error()).Block(jen.Return(run("RawOne")))
		case "Ptr":
			f.Params(jen.Op("*").Add(elem), jen.Error()).Block(
				jen.List(jen.Id("one"), jen.Err()).Op(":=").Add(run("RawOne")),
				jen.If(jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Nil(), jen.Err())),
				jen.Return(jen.Op("&").Id("one"), jen.Nil()))
		case "Each":
			f.Add(jen.Qual("iter", "Seq2").Types(elem, jen.Error())).Block(jen.Return(run("RawEach")))
		default:
			f.Params(jen.Int64(), jen.Error()).Block(jen.Return(jen.Qual(ormPath, "Exec").Call(args...)))
		}
	}
}

// typeName is the name of the type that implements the interface.
func (q *querySet) typeName() string {
	if name := lowerFirst(q.name); name != q.name {
		return name
	}
	return q.name + "Set"
}

func constName(q *querySet, m *queryMethod) string { return lowerFirst(q.name) + m.name + "SQL" }

// queriesTest is the file with the test that prepares every query.
const queriesTest = "drift_queries_test.go"

// emitQueriesTest returns the test that prepares the queries of the package
// against its tables.
func (c *collector) emitQueriesTest() ([]byte, error) {
	out := c.newTestFile()
	var all []jen.Code
	for _, q := range c.queries {
		for _, m := range q.methods {
			all = append(all, jen.Values(jen.Lit(q.name+"."+m.name), jen.Id(constName(q, m))))
		}
	}
	out.Comment("// TestQueries prepares every query of this package against its tables.")
	out.Func().Id("TestQueries").Params(jen.Id("t").Op("*").Qual("testing", "T")).Block(
		jen.Qual(drifttestPath, "Queries").Call(jen.Id("t"), jen.Id("Schema"), jen.Index().Index(jen.Lit(2)).String().Add(lines(all...))))
	return render(out)
}

// queryNames returns the names that the output declares for queries.
func (q *querySet) declared() []string {
	names := []string{"New" + upperFirst(q.name), q.typeName()}
	for _, m := range q.methods {
		names = append(names, constName(q, m))
	}
	return names
}
