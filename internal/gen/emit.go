package gen

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"
)

// emitFile returns the output for one source file.
func (c *collector) emitFile(f *sourceFile) ([]byte, error) {
	out := c.newFile()
	guarded := map[string]bool{}
	for _, m := range f.models {
		e := emitter{m: m, file: out, syntax: syntaxCode{info: c.pkg.TypesInfo}}
		e.tableType()
		e.keyTypes()
		e.constants()
		e.schema()
		e.constructor()
		e.scanAndBind()
		e.fillAndOmit()
		for _, g := range m.guards {
			if name := c.typeName(g.named); !guarded[name] {
				guarded[name] = true
				e.guard(g)
			}
		}
		e.clone()
		e.patch()
		e.redact()
		e.verbs()
	}
	for _, m := range f.rows {
		e := emitter{m: m, file: out, syntax: syntaxCode{info: c.pkg.TypesInfo}}
		e.emitRow()
		e.guard(m.guards[0])
	}
	for _, q := range f.queries {
		c.emitQueries(out, q)
	}
	c.emitEnums(out, f)
	return render(out)
}

// emitSchema returns the output that holds the package's tables together.
func (c *collector) emitSchema(order []*model) ([]byte, error) {
	out := c.newFile()
	var tables []jen.Code
	for _, m := range order {
		tables = append(tables, jen.Id(m.names.lower+"Schema"))
	}
	fields := []jen.Code{jen.Id("Tables").Op(":").Index().Qual(schemaPath, "Table").Add(lines(tables...))}
	migrated := hasMigrations(c.pkg.Dir)
	files := jen.Qual(ormPath, "MigrationFiles").Values(jen.Id("FS").Op(":").Id("migrationFiles"))
	if migrated {
		out.Comment("//go:embed migrations/*.sql")
		out.Var().Id("migrationFiles").Qual("embed", "FS")
		out.Line()
	}
	others := c.foreignSchemas()
	if len(others) == 0 {
		if migrated {
			fields = append(fields, jen.Id("Migrations").Op(":").Add(files))
		}
		out.Comment("// Schema is every table of this package, for driftdb.Open.")
		out.Var().Id("Schema").Op("=").Qual(schemaPath, "Schema").Values(fields...)
		return render(out)
	}
	var all []jen.Code
	for _, path := range others {
		all = append(all, jen.Qual(path, "Schema"))
	}
	joined := jen.Qual(schemaPath, "Join").Call(append(all, jen.Qual(schemaPath, "Schema").Values(fields...))...)
	if migrated {
		joined.Dot("WithMigrations").Call(files)
	}
	out.Comment("// Schema is every table of this package and of those that they refer to, for driftdb.Open.")
	out.Var().Id("Schema").Op("=").Add(joined)
	return render(out)
}

// migrationsTest is the file with the test of a package's migrations.
const migrationsTest = "drift_migrations_test.go"

// emitMigrationTest returns the test that runs every migration.
func (c *collector) emitMigrationTest() ([]byte, error) {
	out := c.newTestFile()
	out.Comment("// TestMigrations runs the migrations from every version on, with rows, and restores the result from a bucket.")
	out.Func().Id("TestMigrations").Params(jen.Id("t").Op("*").Qual("testing", "T")).Block(
		jen.Qual(drifttestPath, "Migrations").Call(jen.Id("t"), jen.Id("Schema")))
	return render(out)
}

// newFile begins a file of the output. An import whose name the package
// declares itself gets another one.
func (c *collector) newFile() *jen.File {
	f := jen.NewFilePathName(c.pkg.PkgPath, c.pkg.Name)
	f.HeaderComment(Header)
	names := map[string]string{
		"context": "context", "embed": "embed", "fmt": "fmt", "iter": "iter", "log/slog": "slog", "maps": "maps", "slices": "slices", "time": "time",
		ormPath: "orm", schemaPath: "schema",
	}
	for _, p := range c.pkg.Types.Imports() {
		names[p.Path()] = p.Name()
	}
	for path, name := range names {
		if c.pkg.Types.Scope().Lookup(name) != nil {
			f.ImportAlias(path, "drift"+name)
		} else {
			f.ImportName(path, name)
		}
	}
	return f
}

const drifttestPath = "github.com/driftdb/driftdb/drifttest"

// newTestFile begins a test of the output.
func (c *collector) newTestFile() *jen.File {
	f := jen.NewFilePathName(c.pkg.PkgPath, c.pkg.Name)
	f.HeaderComment(Header)
	for path, name := range map[string]string{"testing": "testing", drifttestPath: "drifttest"} {
		if c.pkg.Types.Scope().Lookup(name) != nil {
			f.ImportAlias(path, "drift"+name)
		}
	}
	return f
}

func render(f *jen.File) ([]byte, error) {
	var b bytes.Buffer
	if err := f.Render(&b); err != nil {
		return nil, fmt.Errorf("the output is not Go: %w", err)
	}
	return b.Bytes(), nil
}

// emitter writes the output of one model.
type emitter struct {
	m      *model
	file   *jen.File
	syntax syntaxCode
}

func (e emitter) orm(name string) *jen.Statement { return jen.Qual(ormPath, name) }

// model returns the Go type of the model.
func (e emitter) model() *jen.Statement { return jen.Id(e.m.name) }

// keyType returns the Go type of the primary key.
func (e emitter) keyType() *jen.Statement {
	if e.m.names.key != "" {
		return jen.Id(e.m.names.key)
	}
	return typeCode(e.m.key[0].elem)
}

func (e emitter) uniqueType(u *uniqueKey) *jen.Statement {
	if u.typ != "" {
		return jen.Id(u.typ)
	}
	return e.valueType(u.columns[0])
}

// valueType returns the Go type of a column's value when it is not NULL.
func (e emitter) valueType(col *column) *jen.Statement {
	switch col.kind {
	case kindTime:
		return jen.Qual("time", "Time")
	case kindBytes:
		return jen.Index().Byte()
	default:
		return typeCode(col.elem)
	}
}

// funcSuffix ends the names of the runtime's Scan and Bind functions for col:
// NullStr.
func (col *column) funcSuffix() string {
	switch {
	case !col.nullable:
		return string(col.kind)
	case !col.pointer && (col.kind == kindJSON || col.kind == kindValue):
		return "Nil" + string(col.kind)
	}
	return "Null" + string(col.kind)
}

// typeSuffix ends the name of the function that makes col: NullStr.
func (col *column) typeSuffix() string {
	if col.nullable {
		return "Null" + string(col.kind)
	}
	return string(col.kind)
}

// typeName returns the runtime's type of col: NullStr, StrCol.
func (col *column) typeName() string {
	name := string(col.kind)
	if col.kind.custom() {
		name = "Custom"
	}
	if col.nullable {
		name = "Null" + name
	}
	if col.fixed() {
		name += "Col"
	}
	return name
}

// typeArgs returns the arguments of the column's type and constructor.
func (e emitter) typeArgs(col *column) []jen.Code {
	args := []jen.Code{e.model()}
	if col.kind == kindStr || col.kind == kindNum || col.kind == kindJSON || col.kind.custom() {
		args = append(args, typeCode(col.elem))
	}
	return args
}

// withUnit appends the unit of a time to arguments.
func (e emitter) withUnit(col *column, args ...jen.Code) []jen.Code {
	if col.kind == kindTime {
		args = append(args, e.orm(col.unit))
	}
	return args
}

// field returns the field of col in the model that the variable m holds.
func field(col *column) *jen.Statement { return jen.Id("m." + col.selector()) }

// tableType writes the type of the table value.
func (e emitter) tableType() {
	m := e.m
	e.file.Line()
	e.comment("%s has the columns, keys and verbs of the table %s; more verbs are those of [orm.Table]: Where, All, …", m.names.typ, m.names.table)
	fields := []jen.Code{e.orm("Table").Types(e.model(), e.keyType()), jen.Line()}
	for _, col := range m.columns {
		fields = append(fields, jen.Id(col.name).Add(e.orm(col.typeName()).Types(e.typeArgs(col)...)).Add(beside(col.doc())))
	}
	for i, u := range m.uniques {
		if i == 0 {
			fields = append(fields, jen.Line())
		}
		doc := fmt.Sprintf("the unique key %s (%s)", u.sql, strings.Join(u.sqlColumns(), ", "))
		fields = append(fields, jen.Id(u.by).Add(e.orm("Unique").Types(e.model(), e.uniqueType(u))).Add(beside(doc)))
	}
	e.file.Type().Id(m.names.typ).Struct(append(fields, e.relationFields()...)...)
}

// keyTypes writes the structs of keys with more than one column.
func (e emitter) keyTypes() {
	if e.m.names.key != "" {
		e.keyStruct(e.m.names.key, fmt.Sprintf("%s is the primary key of %s.", e.m.names.key, e.m.names.table), e.m.key)
	}
	for _, u := range e.m.uniques {
		if u.typ != "" {
			e.keyStruct(u.typ, fmt.Sprintf("%s is the value of the unique key %s.", u.typ, u.sql), u.columns)
		}
	}
}

func (e emitter) keyStruct(name, doc string, cols []*column) {
	var fields []jen.Code
	for _, col := range cols {
		fields = append(fields, jen.Id(col.name).Add(e.valueType(col)))
	}
	e.file.Line()
	e.comment("%s", doc)
	e.file.Type().Id(name).Struct(fields...)
}

// constants writes the model's statements.
func (e emitter) constants() {
	m := e.m
	texts := []string{m.selectSQL(), m.insertSQL(), m.table.Create}
	for _, t := range m.table.Triggers {
		texts = append(texts, t.SQL)
	}
	var defs []jen.Code
	for i, text := range texts {
		defs = append(defs, jen.Id(m.names.lower+sqlConstants()[i]).Op("=").Add(sqlCode(text)))
	}
	e.file.Line()
	e.file.Const().Defs(defs...)
}

// sqlCode writes SQL as it reads, unless a raw string cannot hold it.
func sqlCode(s string) *jen.Statement {
	if strconv.CanBackquote(strings.ReplaceAll(s, "\n", "")) {
		return jen.Id("`" + s + "`")
	}
	return jen.Id(strconv.Quote(s))
}

// guard writes the declaration that does not compile once the struct has
// changed.
func (e emitter) guard(g guarded) {
	e.syntax.params = g.named.Origin().TypeParams()
	e.syntax.args = g.named.TypeArgs()
	e.file.Line()
	e.file.Var().Id("_").Add(e.syntax.structType(g.syntax)).Op("=").Add(typeCode(g.named)).Values().Add(
		beside("a field or a tag that has changed does not compile: run go generate"))
}

// comment writes a comment, wrapped.
func (e emitter) comment(format string, args ...any) {
	for _, c := range comments(fmt.Sprintf(format, args...)) {
		e.file.Add(c)
	}
}

// lines writes a composite literal's braces with one element per line.
func lines(elems ...jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, elems...)
}

// row writes several elements of a composite literal in one line.
func row(elems ...jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Separator: ", "}, elems...)
}

// oneLine writes a block in one line.
func oneLine(statements ...jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Open: "{ ", Close: " }", Separator: "; "}, statements...)
}

// keyed writes one field of a composite literal.
func keyed(name string, value jen.Code) *jen.Statement { return jen.Id(name).Op(":").Add(value) }

// texts writes strings as elements.
func texts(list []string) []jen.Code {
	var out []jen.Code
	for _, s := range list {
		out = append(out, jen.Lit(s))
	}
	return out
}
