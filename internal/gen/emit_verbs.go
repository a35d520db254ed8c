package gen

import (
	"fmt"

	"github.com/dave/jennifer/jen"
)

// verb is a method of the table's type: a typed doorway into the runtime.
type verb struct {
	name    string
	doc     string
	params  []param
	variad  bool // the last parameter is variadic
	results []jen.Code
}

type param struct {
	name string
	typ  *jen.Statement
}

// verbs writes the methods that do something of their own for this model, and
// say so. The others are those of orm.Table, which the type embeds: writing
// all of them again cost half of the output.
func (e emitter) verbs() {
	for _, v := range e.verbList() {
		params := []jen.Code{}
		args := []jen.Code{}
		for i, p := range v.params {
			last := v.variad && i == len(v.params)-1
			if last {
				params = append(params, jen.Id(p.name).Op("...").Add(p.typ))
				args = append(args, jen.Id(p.name).Op("..."))
				continue
			}
			params = append(params, jen.Id(p.name).Add(p.typ))
			args = append(args, jen.Id(p.name))
		}
		e.file.Line()
		e.comment("%s", v.doc)
		f := e.file.Func().Params(jen.Id("t").Id(e.m.names.typ)).Id(v.name).Params(params...)
		if len(v.results) == 1 {
			f.Add(v.results[0])
		} else {
			f.Params(v.results...)
		}
		f.Block(jen.Return(jen.Id("t.Table").Dot(v.name).Call(args...)))
	}
}

func (e emitter) verbList() []verb {
	m := e.m
	one := func() *jen.Statement { return jen.Op("*").Add(e.model()) }
	of := func(name string) *jen.Statement { return e.orm(name).Types(e.model()) }
	ctx := param{"ctx", jen.Qual("context", "Context")}
	r, w := param{"r", e.orm("Reader")}, param{"w", e.orm("Writer")}
	row, key := param{"m", one()}, param{"key", e.keyType()}
	err := jen.Error()
	return []verb{
		{"Create", m.createDoc(), []param{ctx, w, row, {"opts", of("CreateOption")}}, true, []jen.Code{err}},
		{"Find", fmt.Sprintf("Find returns the %s with this %s, or orm.ErrNotFound.", m.name, m.keyNames()),
			[]param{ctx, r, key}, false, []jen.Code{one(), err}},
		{"Save", m.saveDoc(), []param{ctx, w, row}, false, []jen.Code{err}},
		{"Update", m.updateDoc(), []param{ctx, w, key, {"sets", of("Set")}}, true, []jen.Code{err}},
		{"Upsert", m.upsertDoc(), []param{ctx, w, row, {"opts", of("UpsertOption")}}, true, []jen.Code{err}},
		{"Delete", m.deleteDoc(), []param{ctx, w, key}, false, []jen.Code{jen.Bool(), err}},
	}
}
