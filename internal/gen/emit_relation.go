package gen

import (
	"fmt"
	"go/types"
	"strings"

	"github.com/dave/jennifer/jen"
)

// modelType writes the Go type of a model, which may be of another package.
func modelType(m *model) *jen.Statement { return jen.Qual(m.home.pkg.PkgPath, m.name) }

// kind returns the runtime's type of the relation.
func (r *relation) kind() string {
	switch {
	case r.via != nil:
		return "ManyMany"
	case r.isSlice():
		return "Many"
	}
	return "One"
}

// refer says that columns refer to something: AuthorID refers, A and B refer.
func refer(cols []*column) string {
	var names []string
	for _, col := range cols {
		names = append(names, col.name)
	}
	if len(names) > 1 {
		return and(names) + " refer"
	}
	return names[0] + " refers"
}

// doc says what the relation leads to.
func (r *relation) doc() string {
	table := r.to.names.table
	switch {
	case r.via != nil:
		return fmt.Sprintf("the rows of %s that rows of %s relate to this one", table, r.via.names.table)
	case r.own:
		return fmt.Sprintf("the row of %s that %s to", table, refer(r.from))
	case r.isSlice():
		return fmt.Sprintf("the rows of %s whose %s to this one", table, refer(r.far))
	}
	return fmt.Sprintf("the row of %s whose %s to this one", table, refer(r.far))
}

// relationFields declares the relations in the table's type.
func (e emitter) relationFields() (fields []jen.Code) {
	for i, r := range e.m.related {
		if i == 0 {
			fields = append(fields, jen.Line())
		}
		fields = append(fields, jen.Id(r.name).Add(e.orm(r.kind()).Types(e.model(), modelType(r.to))).Add(beside(r.doc())))
	}
	return fields
}

// relations writes the relations of the table value.
func (e emitter) relations() (table []jen.Code) {
	for _, r := range e.m.related {
		args := []jen.Code{jen.Lit(r.name), e.source(e.m)}
		on := []jen.Code{keyed("From", columnTexts(r.from)), keyed("To", columnTexts(r.far))}
		funcs := []jen.Code{jen.Line().Add(e.bindColumns(e.m, r.from))}
		if r.via != nil {
			args = append(args, e.source(r.via))
			on = append(on, keyed("Near", columnTexts(r.near)), keyed("Far", columnTexts(r.out)))
			funcs = append(funcs, jen.Line().Add(e.bindColumns(r.to, r.far)))
		}
		args = append(args, e.source(r.to), e.orm("On").Values(on...))
		args = append(args, funcs...)
		rows := jen.Op("*").Add(modelType(r.to))
		if r.isSlice() {
			rows = jen.Index().Add(modelType(r.to))
		}
		args = append(args, separate(r.via != nil).Add(jen.Func().Params(e.modelParam(), jen.Id("r").Add(rows)).Add(
			oneLine(jen.Id("m."+strings.Join(r.path, ".")).Op("=").Id("r")))))
		if r.via != nil {
			args = append(args, jen.Line().Add(e.pair(r)))
		}
		table = append(table, keyed(r.name, e.orm("New"+r.kind()).Call(args...)))
	}
	return table
}

// separate begins a line if lines would be long otherwise.
func separate(long bool) *jen.Statement {
	if long {
		return jen.Line()
	}
	return jen.Null()
}

func columnTexts(cols []*column) *jen.Statement {
	return jen.Index().String().Values(texts(sqlNames(cols))...)
}

// source is what the runtime knows a model by. Tables of one package that refer
// to each other would be an initialisation cycle; those of another one cannot.
func (e emitter) source(m *model) *jen.Statement {
	if m.home != e.m.home {
		return jen.Qual(m.home.pkg.PkgPath, m.names.value)
	}
	return jen.Op("&").Id(m.names.lower + "Def")
}

// bindColumns returns the function that binds columns of a row of of.
func (e emitter) bindColumns(of *model, cols []*column) *jen.Statement {
	var body []jen.Code
	for _, col := range cols {
		body = append(body, e.bindCall(col))
	}
	return jen.Func().Params(jen.Id("a").Op("*").Add(e.orm("Args")), jen.Id("m").Op("*").Add(modelType(of))).Add(oneLine(body...))
}

// pair returns the function that makes the row between two others.
func (e emitter) pair(r *relation) *jen.Statement {
	var to, values []jen.Code
	set := func(col, from *column, of string) {
		value := jen.Id(of + "." + from.selector())
		switch {
		case from.pointer:
			value = jen.Op("*").Add(value)
		case from.valid != "":
			value.Dot(from.valid)
		}
		if types.TypeString(col.elem, nil) != types.TypeString(from.elem, nil) {
			value = typeCode(col.elem).Parens(value)
		}
		at := jen.Id("j." + col.selector())
		switch {
		case col.pointer:
			value = jen.New(value)
		case col.valid != "":
			to, values = append(to, jen.Add(at).Dot("Valid")), append(values, jen.True())
			at = jen.Add(at).Dot(col.valid)
		}
		to, values = append(to, at), append(values, value)
	}
	for i, col := range r.near {
		set(col, r.from[i], "m")
	}
	for i, col := range r.out {
		set(col, r.far[i], "r")
	}
	return jen.Func().Params(e.modelParam(), jen.Id("r").Op("*").Add(modelType(r.to))).Params(jen.Id("j").Add(modelType(r.via))).Add(
		oneLine(jen.List(to...).Op("=").List(values...), jen.Return()))
}
