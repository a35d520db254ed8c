package gen

import (
	"fmt"
	"go/types"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"
)

// rules returns what the runtime is told of columns that it treats in a way of
// their own.
func (e emitter) rules() (def []jen.Code) {
	m := e.m
	var readonly, createonly []string
	for _, col := range m.columns {
		switch {
		case col.readonly:
			readonly = append(readonly, col.sql)
		case col.createonly:
			createonly = append(createonly, col.sql)
		}
	}
	var only []jen.Code
	if len(readonly) > 0 {
		only = append(only, keyed("ReadOnly", jen.Index().String().Values(texts(readonly)...)))
	}
	if len(createonly) > 0 {
		only = append(only, keyed("CreateOnly", jen.Index().String().Values(texts(createonly)...)))
	}
	if len(only) > 0 {
		def = append(def, row(only...))
	}
	if m.clones() {
		def = append(def, keyed("Clone", jen.Id("clone"+m.names.model)))
	}
	if col := m.first(func(col *column) bool { return col.version }); col != nil {
		lock := jen.Func().Params(e.modelParam()).Op("*").Int64().Add(oneLine(jen.Return(jen.Op("&").Add(field(col)))))
		def = append(def, row(keyed("Lock", lock), keyed("LockCol", jen.Lit(col.sql))))
	}
	if col := m.first(func(col *column) bool { return col.softdelete }); col != nil {
		def = append(def, row(keyed("Deleted", jen.Lit(col.sql)), keyed("DeletedUnit", e.orm(col.unit))))
	}
	return def
}

// patched returns the columns that a patch can change.
func (m *model) patched() (out []*column) {
	for _, col := range m.columns {
		if !col.pk && !col.created && !col.updated && !col.version && !col.softdelete && !col.fixed() {
			out = append(out, col)
		}
	}
	return out
}

// patch writes the struct of values that may be absent, and the function that
// tells two rows apart.
func (e emitter) patch() {
	m := e.m
	cols := m.patched()
	if len(cols) == 0 {
		return
	}
	var fields, sets []jen.Code
	for _, col := range cols {
		t := e.valueType(col)
		if col.kind == kindBool {
			t = jen.Bool()
		}
		set := jen.Id(m.names.value).Dot(col.name).Dot("Set")
		if col.nullable {
			t = jen.Op("*").Add(t)
			set = jen.Id(m.names.value).Dot(col.name).Dot("SetPtr")
		}
		tag := "-"
		if !col.jsonHidden {
			tag = col.jsonName() + ",omitzero"
		}
		name := m.patchField(col)
		fields = append(fields, jen.Id(name).Add(e.orm("Opt").Types(t)).Tag(map[string]string{"json": tag}))
		sets = append(sets, e.orm("PatchSet").Call(jen.Id("p."+name), set))
	}
	e.file.Line()
	e.comment("%s changes the columns of a %s whose values are present; in JSON, null is NULL and what is absent stays.", m.names.patch, m.name)
	e.file.Type().Id(m.names.patch).Struct(fields...)
	e.file.Line()
	e.comment("Sets returns the setters of the values that are present.")
	e.file.Func().Params(jen.Id("p").Id(m.names.patch)).Id("Sets").Params().Index().Add(e.orm("Set").Types(e.model())).Block(
		jen.Return(e.orm("PatchSets").Call(sets...)))
	e.file.Line()
	e.comment("%s returns the setters that make the columns of before those of after.", m.names.changes)
	e.file.Func().Id(m.names.changes).Params(jen.List(jen.Id("before"), jen.Id("after")).Op("*").Add(e.model())).Index().Add(e.orm("Set").Types(e.model())).Add(
		oneLine(jen.Return(jen.Id(m.names.value).Dot("Diff").Call(jen.Id("before"), jen.Id("after")))))
}

// patchField is the column's name in a patch: its own, unless that is the
// method's.
func (m *model) patchField(col *column) string {
	name := col.name
	for name == "Sets" || name != col.name && slices.ContainsFunc(m.columns, func(o *column) bool { return o.name == name }) {
		name += "Col"
	}
	return name
}

// jsonName is the column's name in a patch in JSON: what the field's own tag
// says, after the prefix of the struct that it stands in, or the name of the
// column in Go with a lower case initial.
func (col *column) jsonName() string {
	if col.json != "" {
		return col.group + col.json
	}
	return lowerFirst(col.name)
}

// redact writes how a model with secret columns is printed, as far as the
// package does not do it itself.
func (e emitter) redact() {
	m := e.m
	if !m.secrets() {
		return
	}
	if m.method("LogValue") == nil {
		var parts []jen.Code
		for _, col := range m.columns {
			value := jen.Add(field(col))
			if col.secret {
				value = jen.Lit("[redacted]")
			}
			parts = append(parts, jen.Qual("log/slog", "Any").Call(jen.Lit(col.selector()), value))
		}
		e.file.Line()
		e.comment("LogValue implements slog.LogValuer: secret columns show as [redacted].")
		e.file.Func().Params(jen.Id("m").Add(e.model())).Id("LogValue").Params().Qual("log/slog", "Value").Block(
			jen.Return(jen.Qual("log/slog", "GroupValue").Add(jen.Custom(jen.Options{Open: "(", Close: ")", Separator: ",", Multi: true}, parts...))))
	}
	if m.method("Format") == nil {
		e.file.Line()
		e.comment("Format implements fmt.Formatter, for every verb as LogValue does.")
		e.file.Func().Params(jen.Id("m").Add(e.model())).Id("Format").Params(jen.Id("f").Qual("fmt", "State"), jen.Id("_").Rune()).Block(
			jen.Qual("fmt", "Fprint").Call(jen.Id("f"), jen.Lit(m.name), jen.Id("m").Dot("LogValue").Call()))
	}
}

// emitEnums writes the helpers of the enums that are declared in f's package
// and first used in f.
func (c *collector) emitEnums(out *jen.File, f *sourceFile) {
	for _, m := range f.models {
		for _, col := range m.columns {
			if col.enum == nil || !col.enum.emit {
				continue
			}
			name := col.enum.named.Obj().Name()
			var values []jen.Code
			for _, n := range col.enum.names {
				values = append(values, jen.Id(n))
			}
			out.Line()
			for _, line := range comments(fmt.Sprintf("%sValues returns every %s that a column holds: %s.", upperFirst(name), name, strings.Join(col.enum.names, ", "))) {
				out.Add(line)
			}
			out.Func().Id(upperFirst(name) + "Values").Params().Index().Id(name).Block(jen.Return(jen.Index().Id(name).Values(values...)))
		}
	}
}

// resolveEnums decides which column of those with one enum the output has the
// helper for: the first.
func (c *collector) resolveEnums() {
	var seen []*types.Named
	for _, m := range c.models {
		for _, col := range m.columns {
			if col.enum != nil && col.enum.local && !slices.Contains(seen, col.enum.named) {
				seen = append(seen, col.enum.named)
				col.enum.emit = true
			}
		}
	}
}
