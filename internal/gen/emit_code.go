package gen

import (
	"go/types"
	"strings"

	"github.com/dave/jennifer/jen"
)

// constructor writes what the runtime is told of the model, and the table value.
func (e emitter) constructor() {
	m := e.m
	scan := []jen.Code{keyed("Scan", jen.Id("scan"+m.names.model)), keyed("Bind", jen.Id("bind"+m.names.model))}
	if m.fills() {
		scan = append(scan, keyed("Fill", jen.Id("fill"+m.names.model)))
	}
	def := []jen.Code{
		// A runtime too old for the output does not have this version.
		row(keyed("Version", e.orm("GenVersion1")), keyed("Schema", jen.Op("&").Id(m.names.lower+"Schema")),
			keyed("Select", jen.Id(m.names.lower+"Select")), keyed("Insert", jen.Id(m.names.lower+"Insert"))),
		row(scan...),
		keyed("BindKey", e.bindKey(m.names.key, m.key)),
	}
	if omitted := m.omitted(); len(omitted) > 0 {
		var cols []jen.Code
		for _, col := range omitted {
			cols = append(cols, jen.Lit(col.index()))
		}
		def = append(def, row(keyed("Omit", jen.Id("omit"+m.names.model)), keyed("OmitCols", jen.Index().Int().Values(cols...))))
	}
	var times []jen.Code
	def = append(def, e.rules()...)
	if col := m.created(); col != nil {
		times = append(times, keyed("Created", jen.Lit(col.sql)))
	}
	if col := m.updated(); col != nil {
		times = append(times, keyed("Updated", jen.Lit(col.sql)), keyed("UpdatedUnit", e.orm(col.unit)))
	}
	if len(times) > 0 {
		def = append(def, row(times...))
	}
	ref := func() *jen.Statement { return jen.Op("&").Id(m.names.lower + "Def") }
	table := []jen.Code{keyed("Table", e.orm("NewTable").Call(ref()))}
	for _, col := range m.columns {
		args := e.withUnit(col, jen.Lit(m.names.table), jen.Lit(col.sql))
		value := e.orm("New" + col.typeSuffix()).Types(e.typeArgs(col)...).Call(args...)
		table = append(table, keyed(col.name, value))
	}
	for _, u := range m.uniques {
		table = append(table, keyed(u.by, e.orm("NewUnique").Call(
			ref(), jen.Lit(u.sql), jen.Index().String().Values(texts(u.sqlColumns())...),
			jen.Line().Add(e.uniqueKeyFunc(u)), e.bindKey(u.typ, u.columns))))
	}
	table = append(table, e.relations()...)
	// A variable of its own: relations of other tables refer to it, where
	// tables that refer to each other would be an initialisation cycle.
	e.file.Line()
	e.file.Var().Id(m.names.lower + "Def").Op("=").Add(e.orm("Def").Types(e.model(), e.keyType())).Add(lines(def...))
	e.file.Line()
	e.comment("%s is the table %s, one row per %s.", m.names.value, m.names.table, m.name)
	e.file.Var().Id(m.names.value).Op("=").Id(m.names.typ).Add(lines(table...))
}

func (e emitter) modelParam() *jen.Statement { return jen.Id("m").Op("*").Add(e.model()) }

// keyValue returns a key of m: a value, or a struct of them.
func (e emitter) keyValue(typ string, cols []*column) *jen.Statement {
	if typ == "" {
		return e.notNull(cols[0])
	}
	var fields []jen.Code
	for _, col := range cols {
		fields = append(fields, keyed(col.name, e.notNull(col)))
	}
	return jen.Id(typ).Values(fields...)
}

// notNull returns the value of a column that is known not to be NULL.
func (e emitter) notNull(col *column) *jen.Statement {
	switch {
	case col.pointer:
		return jen.Op("*").Add(field(col))
	case col.valid != "":
		return field(col).Dot(col.valid)
	}
	return field(col)
}

// isNull returns the test for a column that is NULL.
func (e emitter) isNull(col *column) *jen.Statement {
	if col.valid != "" {
		return jen.Op("!").Add(field(col)).Dot("Valid")
	}
	return field(col).Op("==").Nil()
}

// bindKey returns the function that binds a key's parts.
func (e emitter) bindKey(typ string, cols []*column) *jen.Statement {
	var body []jen.Code
	var param *jen.Statement
	for _, col := range cols {
		value := jen.Id("k")
		if typ != "" {
			value = jen.Id("k." + col.name)
		}
		body = append(body, e.orm("Bind"+string(col.kind)).Call(e.withUnit(col, jen.Id("a"), value)...))
	}
	if param = jen.Id(typ); typ == "" {
		param = e.valueType(cols[0])
	}
	return jen.Func().Params(jen.Id("a").Op("*").Add(e.orm("Args")), jen.Id("k").Add(param)).Add(oneLine(body...))
}

// uniqueKeyFunc returns the function that reads a unique key of a row; the row
// has none when a part is NULL.
func (e emitter) uniqueKeyFunc(u *uniqueKey) *jen.Statement {
	var isNull *jen.Statement
	for _, col := range u.columns {
		if !col.nullable {
			continue
		}
		test := e.isNull(col)
		if isNull == nil {
			isNull = test
		} else {
			isNull.Op("||").Add(test)
		}
	}
	value := e.keyValue(u.typ, u.columns)
	if isNull == nil {
		return jen.Func().Params(e.modelParam()).Params(e.uniqueType(u), jen.Bool()).Add(oneLine(jen.Return(value, jen.True())))
	}
	return jen.Func().Params(e.modelParam()).Params(jen.Id("k").Add(e.uniqueType(u)), jen.Id("ok").Bool()).Block(
		jen.If(isNull).Block(jen.Return(jen.Id("k"), jen.False())),
		jen.Return(value, jen.True()),
	)
}

// scanAndBind writes the functions between rows and structs.
func (e emitter) scanAndBind() {
	m := e.m
	var scan, bind []jen.Code
	for i, col := range m.columns {
		scan = append(scan, e.scanCall(col, i))
		if col.inserted() {
			bind = append(bind, e.bindCall(col))
		}
	}
	e.file.Line()
	e.file.Func().Id("scan"+m.names.model).Params(jen.Id("r").Op("*").Add(e.orm("Row")), e.modelParam()).Block(scan...)
	e.file.Line()
	e.file.Func().Id("bind"+m.names.model).Params(jen.Id("a").Op("*").Add(e.orm("Args")), e.modelParam()).Block(bind...)
}

// scanCall reads column i of a row into the field.
func (e emitter) scanCall(col *column, i int) *jen.Statement {
	r, n, at := jen.Id("r"), jen.Lit(i), jen.Op("&").Add(field(col))
	if col.valid == "" {
		return e.orm("Scan" + col.funcSuffix()).Call(e.withUnit(col, r, n, at)...)
	}
	scan := e.orm("Scan" + string(col.kind))
	switch col.kind {
	case kindTime:
		scan = jen.Func().Params(jen.Id("r").Op("*").Add(e.orm("Row")), jen.Id("i").Int(), jen.Id("t").Op("*").Qual("time", "Time")).
			Add(oneLine(e.orm("ScanTime").Call(jen.Id("r"), jen.Id("i"), jen.Id("t"), e.orm(col.unit))))
	default:
		scan.Types(typeCode(col.elem))
	}
	return e.orm("ScanValid").Call(r, n, jen.Op("&").Add(field(col)).Dot(col.valid), jen.Op("&").Add(field(col)).Dot("Valid"), scan)
}

// bindCall appends the field to the arguments of an INSERT.
func (e emitter) bindCall(col *column) *jen.Statement {
	if col.valid == "" {
		return e.orm("Bind" + col.funcSuffix()).Call(e.withUnit(col, jen.Id("a"), field(col))...)
	}
	bind := e.orm("Bind" + string(col.kind))
	switch col.kind {
	case kindTime:
		bind = jen.Func().Params(jen.Id("a").Op("*").Add(e.orm("Args")), jen.Id("t").Qual("time", "Time")).
			Add(oneLine(e.orm("BindTime").Call(jen.Id("a"), jen.Id("t"), e.orm(col.unit))))
	default:
		bind.Types(typeCode(col.elem))
	}
	return e.orm("BindValid").Call(jen.Id("a"), field(col).Dot(col.valid), field(col).Dot("Valid"), bind)
}

// fills says whether Create chooses or rounds anything.
func (m *model) fills() bool {
	for _, col := range m.columns {
		if col.fill != "" || col.kind == kindTime {
			return true
		}
	}
	return false
}

// fillAndOmit writes what Create does to a struct before it is bound.
func (e emitter) fillAndOmit() {
	m := e.m
	if m.fills() {
		var body []jen.Code
		for _, col := range m.columns {
			at := jen.Op("&").Add(field(col))
			switch {
			case col.fill != "":
				fill := col.fill
				if col.kind != kindStr {
					fill = strings.Replace(fill, "UUID", "ID", 1)
				}
				body = append(body, e.orm("Fill"+fill).Call(jen.Id("f"), at))
			case col.created || col.updated:
				body = append(body, e.orm("FillTime").Call(e.withUnit(col, jen.Id("f"), at)...))
			case col.kind == kindTime && col.valid != "":
				body = append(body, e.orm("CutTime").Call(e.withUnit(col, jen.Op("&").Add(field(col)).Dot(col.valid))...))
			case col.kind == kindTime && col.pointer:
				body = append(body, e.orm("CutNullTime").Call(e.withUnit(col, at)...))
			case col.kind == kindTime:
				body = append(body, e.orm("CutTime").Call(e.withUnit(col, at)...))
			}
		}
		e.file.Line()
		e.file.Func().Id("fill"+m.names.model).Params(jen.Id("f").Op("*").Add(e.orm("Fill")), e.modelParam()).Block(body...)
	}
	omitted := m.omitted()
	if len(omitted) == 0 {
		return
	}
	var zeros []jen.Code
	for _, col := range omitted {
		zeros = append(zeros, e.isZero(col))
	}
	e.file.Line()
	e.file.Func().Id("omit" + m.names.model).Params(e.modelParam()).Uint64().Block(jen.Return(e.orm("Bits").Call(zeros...)))
}

// isZero returns the test for a column that takes its default.
func (e emitter) isZero(col *column) *jen.Statement {
	f := field(col)
	switch {
	case col.valid != "":
		return e.isNull(col)
	case col.pointer || col.nilable:
		return f.Op("==").Nil()
	case col.kind.custom() || col.kind == kindJSON:
		return e.orm("IsZero").Call(jen.Op("&").Add(f))
	case col.kind == kindStr:
		return f.Op("==").Lit("")
	case col.kind == kindBool:
		if _, named := col.elem.(*types.Named); named {
			f = jen.Bool().Call(f)
		}
		return jen.Op("!").Add(f)
	case col.kind == kindTime:
		return f.Dot("IsZero").Call()
	}
	return f.Op("==").Lit(0)
}
