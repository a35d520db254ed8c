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
	unit  *Unit       // of a time
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
type Agg[M, T any] interface {
	Expr[M, T]

	// Asc orders by the aggregate, smallest first.
	Asc() Order[M]

	// Desc orders by the aggregate, largest first.
	Desc() Order[M]

	// Eq matches where the aggregate equals v.
	Eq(v T) Cond[M]

	// Ne matches where the aggregate has another value than v.
	Ne(v T) Cond[M]

	// Gt matches where the aggregate is greater than v.
	Gt(v T) Cond[M]

	// Gte matches where the aggregate is greater than or equal to v.
	Gte(v T) Cond[M]

	// Lt matches where the aggregate is less than v.
	Lt(v T) Cond[M]

	// Lte matches where the aggregate is less than or equal to v.
	Lte(v T) Cond[M]
}

// agg is every Agg.
type agg[M, T any] struct {
	_      [0]func(M)
	e      expr
	decode func(*Row, int, *T)
	encode func(T) (driver.Value, error)
}

func (*agg[M, T]) exprOf(M) {}

func (a *agg[M, T]) expr() expr { return a.e }

func (a *agg[M, T]) scan(r *Row, i int, dst *T) { a.decode(r, i, dst) }

func (a *agg[M, T]) Asc() Order[M] { return Order[M]{orderTerm: orderTerm{e: a.e}} }

func (a *agg[M, T]) Desc() Order[M] { return Order[M]{orderTerm: orderTerm{e: a.e, desc: true}} }

func (a *agg[M, T]) compare(op string, v T) Cond[M] {
	x, err := a.encode(v)
	return cond[M](&node{op: opExpr, left: &a.e, sql: op, args: []driver.Value{x}, err: err})
}

func (a *agg[M, T]) Eq(v T) Cond[M] { return a.compare(" = ", v) }

func (a *agg[M, T]) Ne(v T) Cond[M] { return a.compare(" <> ", v) }

func (a *agg[M, T]) Gt(v T) Cond[M] { return a.compare(" > ", v) }

func (a *agg[M, T]) Gte(v T) Cond[M] { return a.compare(" >= ", v) }

func (a *agg[M, T]) Lt(v T) Cond[M] { return a.compare(" < ", v) }

func (a *agg[M, T]) Lte(v T) Cond[M] { return a.compare(" <= ", v) }

// counted is an Agg whose value is a number of rows.
func counted[M any](e expr) Agg[M, int64] {
	return &agg[M, int64]{e: e, decode: ScanNum[int64], encode: number[int64]}
}

// Rows is the number of rows: of the query, or of each group.
func (t Table[M, K]) Rows() Agg[M, int64] { return counted[M](expr{rows: true}) }

func scanOptional[T any](scan func(*Row, int, *T)) func(*Row, int, *sql.Null[T]) {
	return func(r *Row, i int, dst *sql.Null[T]) {
		if dst.Valid = r.values[i] != nil; dst.Valid {
			scan(r, i, &dst.V)
		}
	}
}

var errNullCompared = errors.New("NULL compares with nothing: give a value")

func encodeOptional[T any](encode func(T) (driver.Value, error)) func(sql.Null[T]) (driver.Value, error) {
	return func(v sql.Null[T]) (driver.Value, error) {
		if !v.Valid {
			return nil, errNullCompared
		}
		return encode(v.V)
	}
}

// Sub is a query of one column, to be used inside another query.
type Sub[T any] struct {
	_     [0]func(T)
	write func(*text)
	unit  *Unit // of a time
}

// Sub1 makes a query of one expression a part of another one:
// P.AuthorID.InQuery(orm.Sub1(U.Where(…), U.ID)).
func Sub1[M, T any](q Query[M], e Expr[M, T]) Sub[T] {
	if q.q.m == nil || e == nil {
		return Sub[T]{write: func(t *text) { t.fail(errNoTable) }}
	}
	return Sub[T]{write: q.q.subQuery(e.expr()), unit: e.expr().unit}
}

func (q *query) subQuery(e expr) func(*text) {
	return func(t *text) { q.selectInto(t, e) }
}

// selectInto writes SELECT e… FROM the table of the query. The first column is
// called v.
func (q *query) selectInto(t *text, all ...expr) {
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
	t.WriteString(" FROM " + schema.QuoteIdent(q.m.schema.Name))
	q.tail(t)
}

// project runs a query of some expressions and calls fn for every row.
func (q *query) project(ctx context.Context, r Reader, fn func(*Row), all ...expr) error {
	if err := q.m.ready(r); err != nil {
		return q.m.wrap("select", err)
	}
	t := new(text)
	q.selectInto(t, all...)
	err := runRows(ctx, r, false, t, func(rs *rows) error {
		row := Row{values: rs.dest, exprs: all, table: q.m.schema}
		fn(&row)
		return row.err
	})
	return q.m.wrap("select", err)
}
