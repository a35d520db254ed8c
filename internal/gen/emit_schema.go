package gen

import (
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/driftdb/driftdb/schema"
)

// schema writes the structure of the table.
func (e emitter) schema() {
	t := &e.m.table
	lower := e.m.names.lower
	fields := []jen.Code{
		row(keyed("Name", jen.Lit(t.Name)), keyed("Model", jen.Lit(t.Model)), keyed("Key", jen.Index().String().Values(texts(t.Key)...))),
		keyed("Columns", e.list("Column", e.schemaColumns())),
	}
	if len(t.Indexes) > 0 {
		fields = append(fields, keyed("Indexes", e.list("Index", e.schemaIndexes())))
	}
	if len(t.ForeignKeys) > 0 {
		fields = append(fields, keyed("ForeignKeys", e.list("ForeignKey", e.schemaForeignKeys())))
	}
	if len(t.Checks) > 0 {
		var checks []jen.Code
		for _, ch := range t.Checks {
			checks = append(checks, checkCode(ch))
		}
		fields = append(fields, keyed("Checks", e.list("Check", checks)))
	}
	var triggers []jen.Code
	for i, tr := range t.Triggers {
		triggers = append(triggers, jen.Values(keyed("Name", jen.Lit(tr.Name)), keyed("SQL", jen.Id(lower+sqlConstants()[3+i]))))
	}
	fields = append(fields, row(keyed("Create", jen.Id(lower+"Create")), keyed("Triggers", jen.Index().Qual(schemaPath, "Trigger").Values(triggers...))))
	e.file.Line()
	e.file.Var().Id(lower+"Schema").Op("=").Qual(schemaPath, "Table").Add(lines(fields...))
}

func checkCode(ch schema.Check) *jen.Statement {
	f := []jen.Code{keyed("Name", jen.Lit(ch.Name))}
	if ch.Column != "" {
		f = append(f, keyed("Column", jen.Lit(ch.Column)))
	}
	return jen.Values(append(f, keyed("Expr", sqlOrText(ch.Expr)))...)
}

// list writes a slice literal: one element in the same line, more in their own.
func (e emitter) list(typ string, elems []jen.Code) *jen.Statement {
	s := jen.Index().Qual(schemaPath, typ)
	if len(elems) == 1 {
		return s.Values(elems...)
	}
	return s.Add(lines(elems...))
}

func (e emitter) schemaColumns() []jen.Code {
	var out []jen.Code
	for _, sc := range e.m.table.Columns {
		f := []jen.Code{keyed("Name", jen.Lit(sc.Name)), keyed("Type", typeConst(sc.Type))}
		if sc.NotNull {
			f = append(f, keyed("NotNull", jen.True()))
		}
		if sc.Default != "" {
			f = append(f, keyed("Default", sqlOrText(sc.Default)))
		}
		if sc.Collate != "" {
			f = append(f, keyed("Collate", jen.Lit(sc.Collate)))
		}
		if sc.Generated != "" {
			f = append(f, keyed("Generated", sqlOrText(sc.Generated)))
		}
		for _, flag := range []struct {
			name string
			set  bool
		}{{"Stored", sc.Stored}, {"Auto", sc.Auto}, {"NoLog", sc.NoLog}} {
			if flag.set {
				f = append(f, keyed(flag.name, jen.True()))
			}
		}
		if sc.Was != "" {
			f = append(f, keyed("Was", jen.Lit(sc.Was)))
		}
		out = append(out, jen.Values(f...))
	}
	return out
}

func (e emitter) schemaIndexes() []jen.Code {
	var out []jen.Code
	for _, ix := range e.m.table.Indexes {
		f := []jen.Code{keyed("Name", jen.Lit(ix.Name))}
		if ix.Columns != nil {
			f = append(f, keyed("Columns", jen.Index().String().Values(texts(ix.Columns)...)))
		} else {
			f = append(f, keyed("Terms", jen.Index().String().Values(texts(ix.Terms)...)))
		}
		if ix.Where != "" {
			f = append(f, keyed("Where", sqlOrText(ix.Where)))
		}
		if ix.Unique {
			f = append(f, keyed("Unique", jen.True()))
		}
		out = append(out, jen.Values(f...))
	}
	return out
}

func (e emitter) schemaForeignKeys() []jen.Code {
	var out []jen.Code
	for _, fk := range e.m.table.ForeignKeys {
		f := []jen.Code{
			keyed("Columns", jen.Index().String().Values(texts(fk.Columns)...)),
			keyed("RefTable", jen.Lit(fk.RefTable)),
			keyed("RefColumns", jen.Index().String().Values(texts(fk.RefColumns)...)),
		}
		if fk.OnDelete != "" {
			f = append(f, keyed("OnDelete", actionConst(fk.OnDelete)))
		}
		if fk.OnUpdate != "" {
			f = append(f, keyed("OnUpdate", actionConst(fk.OnUpdate)))
		}
		if fk.Deferred {
			f = append(f, keyed("Deferred", jen.True()))
		}
		out = append(out, jen.Values(f...))
	}
	return out
}

func typeConst(t schema.Type) *jen.Statement {
	switch t {
	case schema.Integer:
		return jen.Qual(schemaPath, "Integer")
	case schema.Real:
		return jen.Qual(schemaPath, "Real")
	case schema.Text:
		return jen.Qual(schemaPath, "Text")
	case schema.Blob:
		return jen.Qual(schemaPath, "Blob")
	default:
		return jen.Qual(schemaPath, "Any")
	}
}

func actionConst(a schema.Action) *jen.Statement {
	switch a {
	case schema.Cascade:
		return jen.Qual(schemaPath, "Cascade")
	case schema.SetNull:
		return jen.Qual(schemaPath, "SetNull")
	case schema.SetDefault:
		return jen.Qual(schemaPath, "SetDefault")
	default:
		return jen.Qual(schemaPath, "Restrict")
	}
}

// sqlOrText writes a short piece of SQL without escapes where possible.
func sqlOrText(s string) *jen.Statement {
	if strconv.Quote(s) == `"`+s+`"` {
		return jen.Lit(s)
	}
	return sqlCode(s)
}
