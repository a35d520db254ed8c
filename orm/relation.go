package orm

import (
	"errors"
	"slices"
)

// Rel is a relation of M, as its table value has it: a [One], a [Many] or a
// [ManyMany].
type Rel[M any] interface {
	relOf(M)
	relation() *relation
}

// On says which columns tie the rows of a relation together: From of the model
// and To of the related one, equal one by one, or by way of the columns Near
// and Far of a table between them, which refer to the two. It is for generated
// code.
type On struct {
	From, To  []string
	Near, Far []string
}

var (
	errNoRel   = errors.New("a relation is a zero value: use those of the table that driftgen wrote, as models.Users.Posts")
	errWith    = errors.New("With is for reads: call Load with the rows that were returned")
	errLimited = errors.New("LimitEach is for With and Load: Some, None, Every and Count look at all related rows")
)

// link is how the rows of a relation are found, without their types.
type link struct {
	name     string // of the model's field
	from, to *model
	via      *model // between the two; nil for none
	on       On

	where   []*node
	order   []orderTerm
	limit   limit // rows for each row of from
	deleted deletedRows
	single  bool // there is one row at most among those that are not soft deleted
}

// usable returns what is wrong with the relation itself.
func (l *link) usable() error {
	if l.to == nil {
		return errNoRel
	}
	return nil
}

// modelOf is a *Def or a table value: what a relation leads to.
type modelOf[M any] interface {
	model() *model
	of(M)
}

func (*Def[M, K]) of(M) {}

func (t Table[M, K]) model() *model { return t.m }

func (Table[M, K]) of(M) {}

// relation is a relation without its types.
type relation struct {
	link
	with []*relation
	bind func(a *Args, row any)   // the values of From
	set  func(row any, found any) // puts what was found into the field: a row or nil if single, else a list
}

// rel is what the kinds of relations have in common.
type rel[M, R any] struct {
	_    [0]func(M, R)
	core relation
}

func newRel[M, R any](name string, from modelOf[M], to modelOf[R], on On, bind func(*Args, *M)) (r rel[M, R]) {
	r.core.link = link{name: name, from: from.model(), to: to.model(), on: on}
	r.core.bind = func(a *Args, row any) { bind(a, rowOf[M](row)) }
	return r
}

func (rel[M, R]) relOf(M) {}

func (x rel[M, R]) relation() *relation { return &x.core }

func relations[M any](rels []Rel[M]) []*relation {
	all := make([]*relation, len(rels))
	for i, r := range rels {
		if r != nil { // an error where it is loaded
			all[i] = r.relation()
		}
	}
	return all
}

// Some matches rows with at least one related row that matches all of c.
func (x rel[M, R]) Some(c ...Cond[R]) Cond[M] { return cond[M](x.core.exists("EXISTS ", nodes(c))) }

// None matches rows without any related row that matches all of c.
func (x rel[M, R]) None(c ...Cond[R]) Cond[M] { return cond[M](x.core.exists("NOT EXISTS ", nodes(c))) }

// Every matches rows all of whose related rows match all of c; a row that has
// none is one of them. A related row for which c is NULL does not match.
func (x rel[M, R]) Every(c ...Cond[R]) Cond[M] {
	all := &node{op: opAnd, kids: nodes(c)}
	if v, ok := all.constant(); ok && v && x.core.to != nil {
		return cond[M](all) // no condition at all
	}
	return cond[M](x.core.exists("NOT EXISTS ", []*node{{op: opNotTrue, kids: []*node{all}}}))
}

// One is a relation to at most one row of R: the field of M is a *R. It is nil
// until it is loaded, by [Query.With] or [Table.Load], and nil if there is no
// such row. Rows that refer to the same one share it.
type One[M, R any] struct{ rel[M, R] }

// NewOne is called by generated code.
func NewOne[M, R any](name string, from modelOf[M], to modelOf[R], on On, bind func(*Args, *M), set func(*M, *R)) One[M, R] {
	x := One[M, R]{newRel(name, from, to, on, bind)}
	x.core.single = true
	x.core.set = func(row, found any) { set(rowOf[M](row), rowOf[R](found)) }
	return x
}

// With loads relations of the related row with it.
func (x One[M, R]) With(r ...Rel[R]) One[M, R] {
	x.core.with = append(slices.Clip(x.core.with), relations(r)...)
	return x
}

// WithDeleted takes a row that was soft deleted where there is no other.
func (x One[M, R]) WithDeleted() One[M, R] {
	x.core.deleted = deletedToo
	return x
}

// Many is a relation to any number of rows of R: the field of M is a []R. It is
// nil until it is loaded, by [Query.With] or [Table.Load], and empty if there is
// no row.
type Many[M, R any] struct{ rel[M, R] }

// NewMany is called by generated code.
func NewMany[M, R any](name string, from modelOf[M], to modelOf[R], on On, bind func(*Args, *M), set func(*M, []R)) Many[M, R] {
	x := Many[M, R]{newRel(name, from, to, on, bind)}
	x.core.set = func(row, found any) { set(rowOf[M](row), *listOf[R](found)) }
	return x
}

// Where leaves out related rows that do not match all of c: those that are
// loaded, and those that Some, None, Every and Count look at.
func (x Many[M, R]) Where(c ...Cond[R]) Many[M, R] {
	x.core.where = append(slices.Clip(x.core.where), nodes(c)...)
	return x
}

// OrderBy adds terms to the order in which related rows are loaded. The primary
// key is always the last one.
func (x Many[M, R]) OrderBy(o ...Order[R]) Many[M, R] {
	x.core.order = slices.Clip(x.core.order)
	for _, t := range o {
		x.core.order = append(x.core.order, t.orderTerm)
	}
	return x
}

// LimitEach loads the first n related rows of each row, in the order of
// OrderBy.
func (x Many[M, R]) LimitEach(n int) Many[M, R] {
	x.core.limit = limit{n, true}
	return x
}

// With loads relations of the related rows with them.
func (x Many[M, R]) With(r ...Rel[R]) Many[M, R] {
	x.core.with = append(slices.Clip(x.core.with), relations(r)...)
	return x
}

// WithDeleted takes rows that were soft deleted for rows like all others.
func (x Many[M, R]) WithDeleted() Many[M, R] {
	x.core.deleted = deletedToo
	return x
}

// Count is the number of related rows that match all of c.
func (x Many[M, R]) Count(c ...Cond[R]) Agg[M, int64] {
	return counted[M](expr{write: x.core.counting(nodes(c))})
}

func (l *link) counting(extra []*node) func(*text) {
	return func(t *text) {
		t.WriteString("(SELECT count(*)")
		l.related(t, extra)
		t.WriteByte(')')
	}
}
