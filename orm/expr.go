package orm

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/driftdb/driftdb/schema"
)

// Expr is an expression over rows of M whose value is a T: a column, an
// aggregate, the count of a relation.
type Expr[M, T any] interface {
	exprOf(M)
	expr() expr
	scan(r *Row, i int, dst *T)
}

// expr is an Expr without its types.
type expr struct {
	col   ref         // the column that is meant, or that open and close stand around
	open  string      // "sum(", for an aggregate
	close string      // ")"
	rows  bool        // count(*): there is no column
	write func(*text) // anything else; nil for the above
}

// isColumn says whether e is a column and nothing else.
func (e expr) isColumn() bool { return e.open == "" && !e.rows && e.write == nil }

func (t *text) expr(e expr) {
	switch {
	case e.write != nil:
		e.write(t)
	case e.rows:
		t.WriteString("count(*)")
	default:
		t.WriteString(e.open)
		t.column(e.col)
		t.WriteString(e.close)
	}
}

// Agg is an aggregate over rows of M, or over the rows of a relation of each:
// for Select2 and its like, Having, OrderBy and, of a relation, Where.
type Agg[M, T any] struct {
	_      [0]func(M, T)
	e      expr
	decode func(*Row, int, *T)
	encode func(T) (driver.Value, error)
}

func (Agg[M, T]) exprOf(M) {}

func (a Agg[M, T]) expr() expr { return a.e }

func (a Agg[M, T]) scan(r *Row, i int, dst *T) {
	if a.decode != nil {
		a.decode(r, i, dst)
	}
}

// Asc orders by the aggregate, smallest first.
func (a Agg[M, T]) Asc() Order[M] { return Order[M]{e: a.e} }

// Desc orders by the aggregate, largest first.
func (a Agg[M, T]) Desc() Order[M] { return Order[M]{e: a.e, desc: true} }

func (a Agg[M, T]) compare(op string, v T) Cond[M] {
	if a.encode == nil {
		return cond[M](&node{op: opCompare, err: errNoCol})
	}
	x, err := a.encode(v)
	return cond[M](&node{op: opExpr, left: &a.e, sql: op, args: []driver.Value{x}, err: err})
}

// Eq matches where the aggregate equals v.
func (a Agg[M, T]) Eq(v T) Cond[M] { return a.compare(" = ", v) }

// Ne matches where the aggregate has another value than v.
func (a Agg[M, T]) Ne(v T) Cond[M] { return a.compare(" <> ", v) }

// Gt matches where the aggregate is greater than v.
func (a Agg[M, T]) Gt(v T) Cond[M] { return a.compare(" > ", v) }

// Gte matches where the aggregate is greater than or equal to v.
func (a Agg[M, T]) Gte(v T) Cond[M] { return a.compare(" >= ", v) }

// Lt matches where the aggregate is less than v.
func (a Agg[M, T]) Lt(v T) Cond[M] { return a.compare(" < ", v) }

// Lte matches where the aggregate is less than or equal to v.
func (a Agg[M, T]) Lte(v T) Cond[M] { return a.compare(" <= ", v) }

// counted is an Agg whose value is a number of rows.
func counted[M any](e expr) Agg[M, int64] {
	return Agg[M, int64]{e: e, decode: ScanNum[int64], encode: number[int64]}
}

// Rows is the number of rows: of the query, or of each group.
func (t Table[M, K]) Rows() Agg[M, int64] { return counted[M](expr{rows: true}) }

// Min is the smallest value of the column; no value where there is no row, or
// only NULL.
func (c Col[M, T]) Min() Agg[M, sql.Null[T]] { return c.extreme("min(") }

// Max is the largest value of the column; no value where there is no row, or
// only NULL.
func (c Col[M, T]) Max() Agg[M, sql.Null[T]] { return c.extreme("max(") }

func (c Col[M, T]) extreme(open string) Agg[M, sql.Null[T]] {
	return Agg[M, sql.Null[T]]{e: expr{col: c.c, open: open, close: ")"}, decode: scanOptional(c.decode), encode: encodeOptional(c.encode)}
}

// CountDistinct is the number of different values of the column, NULL not
// counted.
func (c Col[M, T]) CountDistinct() Agg[M, int64] {
	return counted[M](expr{col: c.c, open: "count(DISTINCT ", close: ")"})
}

// Sum is the sum of the column, 0 where there is no row. A sum that does not
// fit the column's Go type is an error when it is read.
func (c NumCol[M, T]) Sum() Agg[M, T] {
	return Agg[M, T]{e: expr{col: c.c, open: "coalesce(sum(", close: "), 0)"}, decode: ScanNum[T], encode: number[T]}
}

// Avg is the mean of the column's values, NULL left out; no value where there
// is none.
func (c NumCol[M, T]) Avg() Agg[M, sql.Null[float64]] {
	return Agg[M, sql.Null[float64]]{
		e: expr{col: c.c, open: "avg(", close: ")"}, decode: scanOptional(ScanNum[float64]), encode: encodeOptional(number[float64]),
	}
}

func scanOptional[T any](scan func(*Row, int, *T)) func(*Row, int, *sql.Null[T]) {
	if scan == nil {
		return nil
	}
	return func(r *Row, i int, dst *sql.Null[T]) {
		if dst.Valid = r.values[i] != nil; dst.Valid {
			scan(r, i, &dst.V)
		}
	}
}

var errNullCompared = errors.New("NULL compares with nothing: give a value")

func encodeOptional[T any](encode func(T) (driver.Value, error)) func(sql.Null[T]) (driver.Value, error) {
	if encode == nil {
		return nil
	}
	return func(v sql.Null[T]) (driver.Value, error) {
		if !v.Valid {
			return nil, errNullCompared
		}
		return encode(v.V)
	}
}

// EqCol matches rows whose column equals another expression over the same row.
func (c Col[M, T]) EqCol(e Expr[M, T]) Cond[M] {
	if e == nil {
		return cond[M](&node{op: opCompare, err: errNoCol})
	}
	right := e.expr()
	return cond[M](&node{op: opEqual, col: c.c, right: &right})
}

// Sub is a query of one column, to be used inside another query.
type Sub[T any] struct {
	_     [0]func(T)
	write func(*text)
}

// Sub1 makes a query of one expression a part of another one:
// P.AuthorID.InQuery(orm.Sub1(U.Where(…), U.ID)).
func Sub1[M, T any](q Query[M], e Expr[M, T]) Sub[T] {
	return Sub[T]{write: func(t *text) {
		if q.m == nil || e == nil {
			t.fail(errNoTable)
			return
		}
		q.q.selectInto(t, &q.m.info, e.expr())
	}}
}

// InQuery matches rows whose column is among what a query returns.
func (c Col[M, T]) InQuery(s Sub[T]) Cond[M] { return c.inQuery(" IN ", s) }

// NotInQuery matches rows whose column has a value that is not among what a
// query returns. NULLs that the query returns are left out: in SQL one of them
// would make the condition match nothing.
func (c Col[M, T]) NotInQuery(s Sub[T]) Cond[M] {
	inner := s.write
	if inner == nil {
		return c.inQuery(" NOT IN ", s)
	}
	s.write = func(t *text) {
		t.WriteString("SELECT v FROM (")
		inner(t)
		t.WriteString(") WHERE v IS NOT NULL")
	}
	return c.inQuery(" NOT IN ", s)
}

func (c Col[M, T]) inQuery(op string, s Sub[T]) Cond[M] {
	n := &node{op: opSub, col: c.c, sql: op, sub: s.write}
	if s.write == nil {
		n.sub, n.err = func(*text) {}, errors.New("a sub-query is empty: make it with orm.Sub1")
	}
	return cond[M](n)
}

// selectInto writes SELECT e… FROM the table of the query. The first column is
// called v.
func (q *query) selectInto(t *text, m *info, all ...expr) {
	t.WriteString("SELECT ")
	for i, e := range all {
		if i > 0 {
			t.WriteString(", ")
		}
		t.expr(e)
		if i == 0 {
			t.WriteString(" AS v")
		}
	}
	t.WriteString(" FROM " + schema.QuoteIdent(m.schema.Name))
	q.tail(t, m)
}

// project runs a query of some expressions and calls fn for every row.
func project[M any](ctx context.Context, r Reader, q Query[M], fn func(*Row), all ...expr) error {
	if err := q.m.ready(r); err != nil {
		return q.m.wrap("select", err)
	}
	t := new(text)
	q.q.selectInto(t, &q.m.info, all...)
	err := runRows(ctx, r, false, t, func(rs *rows) error {
		row := Row{values: rs.dest, exprs: all, table: q.m.schema}
		fn(&row)
		return row.err
	})
	return q.m.wrap("select", err)
}
