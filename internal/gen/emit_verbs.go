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

// verbs writes the methods, whose comments say what they do for this model.
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
	conds := param{"c", of("Cond")}
	creates := param{"opts", of("CreateOption")}
	err := jen.Error()
	keys := m.keyNames()
	return []verb{
		{"Create", m.createDoc(), []param{ctx, w, row, creates}, true, []jen.Code{err}},
		{"CreateMany", "CreateMany inserts ms in one transaction, each as Create does: all of them or none.",
			[]param{ctx, w, {"ms", jen.Index().Add(e.model())}, creates}, true, []jen.Code{err}},
		{"Find", fmt.Sprintf("Find returns the %s with this %s, or orm.ErrNotFound.", m.name, keys),
			[]param{ctx, r, key}, false, []jen.Code{one(), err}},
		{"First", fmt.Sprintf("First returns a %s that meets every condition, or orm.ErrNotFound. Which one is open: Where(…).OrderBy(…).First(…) chooses.", m.name),
			[]param{ctx, r, conds}, true, []jen.Code{one(), err}},
		{"All", fmt.Sprintf("All returns every %s that meets every condition; without one, the whole table.", m.name),
			[]param{ctx, r, conds}, true, []jen.Code{jen.Index().Add(e.model()), err}},
		{"Where", fmt.Sprintf("Where begins a query for the rows of %s that meet every condition.", m.names.table),
			[]param{conds}, true, []jen.Code{of("Query")}},
		{"Count", fmt.Sprintf("Count returns how many rows of %s meet every condition.", m.names.table),
			[]param{ctx, r, conds}, true, []jen.Code{jen.Int64(), err}},
		{"Exists", fmt.Sprintf("Exists says whether %s has a row with this %s.", m.names.table, keys),
			[]param{ctx, r, key}, false, []jen.Code{jen.Bool(), err}},
		{"Each", fmt.Sprintf("Each yields every %s that meets every condition, one at a time; an error ends it.", m.name),
			[]param{ctx, r, conds}, true, []jen.Code{jen.Qual("iter", "Seq2").Types(one(), jen.Error())}},
		{"Update", m.updateDoc(),
			[]param{ctx, w, key, {"sets", of("Set")}}, true, []jen.Code{err}},
		{"Upsert", m.upsertDoc(),
			[]param{ctx, w, row, {"opts", of("UpsertOption")}}, true, []jen.Code{err}},
		{"Delete", m.deleteDoc(),
			[]param{ctx, w, key}, false, []jen.Code{jen.Bool(), err}},
	}
}
