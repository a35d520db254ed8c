package orm

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"reflect"
	"strconv"
	"time"
)

// column is every column of M that holds a T. Which of its methods make sense
// for it, the interface says in which it is handed out.
type column[M, T any] struct {
	_      [0]func(M)
	c      ref
	sum    sumRange // of numbers
	unit   *Unit    // of times
	open   string   // around the column, where this is an aggregate of it
	close  string
	encode func(T) (driver.Value, error)
	decode func(*Row, int, *T)
}

func newColumn[M, T any](table, name string, encode func(T) (driver.Value, error), decode func(*Row, int, *T)) *column[M, T] {
	return &column[M, T]{c: ref{table, name}, encode: encode, decode: decode}
}

func numeric[M any, T Number](table, name string) *column[M, T] {
	c := newColumn[M](table, name, number[T], ScanNum[T])
	c.sum = sumRangeOf[T]()
	return c
}

func (*column[M, T]) columnOf(M) {}

func (*column[M, T]) exprOf(M) {}

func (c *column[M, T]) ref() ref { return c.c }

func (c *column[M, T]) expr() expr { return expr{col: c.c, unit: c.unit, open: c.open, close: c.close} }

func (c *column[M, T]) scan(r *Row, i int, dst *T) { c.decode(r, i, dst) }

func (c *column[M, T]) compare(op string, v T) Cond[M] {
	x, err := c.encode(v)
	if c.open != "" {
		return cond[M](&node{op: opExpr, left: new(c.expr()), sql: op, args: []driver.Value{x}, err: err})
	}
	return cond[M](c.c.compare(op, x, err))
}

func (c ref) compare(op string, v driver.Value, err error) *node {
	return &node{op: opCompare, col: c, sql: op, args: []driver.Value{v}, err: errorAt(c, err)}
}

func (c *column[M, T]) Eq(v T) Cond[M] { return c.compare(" = ", v) }

func (c *column[M, T]) Ne(v T) Cond[M] { return c.compare(" <> ", v) }

func (c *column[M, T]) Gt(v T) Cond[M] { return c.compare(" > ", v) }

func (c *column[M, T]) Gte(v T) Cond[M] { return c.compare(" >= ", v) }

func (c *column[M, T]) Lt(v T) Cond[M] { return c.compare(" < ", v) }

func (c *column[M, T]) Lte(v T) Cond[M] { return c.compare(" <= ", v) }

func (c *column[M, T]) Between(a, b T) Cond[M] { return And(c.Gte(a), c.Lte(b)) }

func (c *column[M, T]) In(v ...T) Cond[M] { return c.list(opIn, v) }

func (c *column[M, T]) NotIn(v ...T) Cond[M] {
	if len(v) == 0 {
		return Cond[M]{}
	}
	return c.list(opNotIn, v)
}

func (c *column[M, T]) list(op opKind, v []T) Cond[M] {
	n := &node{op: op, col: c.c, args: make([]driver.Value, 0, len(v))}
	for i := range v {
		x, err := c.encode(v[i])
		if err != nil && n.err == nil {
			n.err = errorAt(c.c, err)
		}
		if x != nil { // nothing equals NULL, and NOT IN with one among the values matches no row at all
			n.args = append(n.args, x)
		}
	}
	if op == opNotIn && len(n.args) == 0 && n.err == nil { // every value is none of nothing
		return c.NotNull()
	}
	return cond[M](n)
}

func (c *column[M, T]) InQuery(s Sub[T]) Cond[M] {
	return cond[M](c.c.inQuery(" IN ", s.write, sameUnit(c.unit, s.unit)))
}

func (c *column[M, T]) NotInQuery(s Sub[T]) Cond[M] {
	return cond[M](c.c.inQuery(" NOT IN ", withoutNull(s.write), sameUnit(c.unit, s.unit)))
}

// sameUnit refuses to compare times that are stored in different units: SQLite
// would compare the integers.
func sameUnit(a, b *Unit) error {
	if a != nil && b != nil && *a != *b {
		return errors.New("the times that are compared are stored in different units: give the columns the same item time=")
	}
	return nil
}

func withoutNull(query func(*text)) func(*text) {
	if query == nil {
		return nil
	}
	return func(t *text) {
		t.WriteString("SELECT v FROM (")
		query(t)
		t.WriteString(") WHERE v IS NOT NULL")
	}
}

func (c ref) inQuery(op string, query func(*text), err error) *node {
	n := &node{op: opSub, col: c, sql: op, sub: query, err: errorAt(c, err)}
	if query == nil {
		n.sub, n.err = func(*text) {}, errors.New("a sub-query is empty: make it with orm.Sub1")
	}
	return n
}

func (c *column[M, T]) EqCol(e Expr[M, T]) Cond[M] {
	if e == nil {
		return cond[M](&node{op: opCompare, err: errNoCol})
	}
	right := e.expr()
	return cond[M](&node{op: opEqual, col: c.c, right: &right, err: errorAt(c.c, sameUnit(c.unit, right.unit))})
}

func (c *column[M, T]) Asc() Order[M] { return Order[M]{orderTerm: orderTerm{e: c.expr()}} }

func (c *column[M, T]) Desc() Order[M] {
	return Order[M]{orderTerm: orderTerm{e: c.expr(), desc: true}}
}

func (c *column[M, T]) Min() Agg[M, sql.Null[T]] { return c.optional("min(", ")") }

func (c *column[M, T]) Max() Agg[M, sql.Null[T]] { return c.optional("max(", ")") }

func (c *column[M, T]) Null() Expr[M, sql.Null[T]] { return c.optional("", "") }

func (c *column[M, T]) optional(before, after string) *agg[M, sql.Null[T]] {
	return &agg[M, sql.Null[T]]{
		e: expr{col: c.c, unit: c.unit, open: before, close: after}, decode: scanOptional(c.decode), encode: encodeOptional(c.encode),
	}
}

func (c *column[M, T]) CountDistinct() Agg[M, int64] {
	return counted[M](expr{col: c.c, open: "count(DISTINCT ", close: ")"})
}

func (c *column[M, T]) Sum() Agg[M, T] {
	s := *c
	s.open, s.close = "coalesce(sum(", "), 0)"
	return &s
}

func (c *column[M, T]) Avg() Agg[M, sql.Null[float64]] {
	return &agg[M, sql.Null[float64]]{
		e: expr{col: c.c, open: "avg(", close: ")"}, decode: scanOptional(ScanNum[float64]), encode: encodeOptional(number[float64]),
	}
}

func (c *column[M, T]) Set(v T) Set[M] {
	x, err := c.encode(v)
	return Set[M]{set: c.c.set(x, err)}
}

func (c ref) set(v driver.Value, err error) set {
	return set{col: c, sql: "?", args: []driver.Value{v}, err: errorAt(c, err)}
}

func (c *column[M, T]) SetSQL(expr string, args ...any) Set[M] {
	return Set[M]{set: c.c.setSQL(expr, args)}
}

func (c ref) setSQL(expr string, args []any) set {
	values, err := encodeAny(args)
	return set{col: c, sql: inParens(expr), args: values, err: errorAt(c, err)}
}

func (c *column[M, T]) Add(v T) Set[M] {
	x, err := c.encode(v)
	return Set[M]{set: c.sum.add(c.c.set(x, err))}
}

// sumRange is the range of an integer type that holds less than the 64 bits of
// an INTEGER column.
type sumRange struct {
	least, most int64
	narrow      bool
}

func sumRangeOf[T Number]() sumRange {
	var zero T
	bits := 8 * reflect.TypeFor[T]().Size()
	switch {
	case isFloat[T]() || bits == 64:
		return sumRange{}
	case zero-1 > zero:
		return sumRange{0, 1<<bits - 1, true}
	}
	return sumRange{-1 << (bits - 1), 1<<(bits-1) - 1, true}
}

// add makes a setter one that adds its value to the column's.
func (r sumRange) add(s set) set {
	s.sql, s.self = "? + ", true
	if r.narrow { // the table is STRICT: text in an INTEGER column is refused
		s.sql = "(SELECT CASE WHEN _driftdb_sum NOT BETWEEN " + strconv.FormatInt(r.least, 10) + " AND " + strconv.FormatInt(r.most, 10) +
			" THEN 'out of range' ELSE _driftdb_sum END FROM (SELECT ? + "
		s.tail = " AS _driftdb_sum))"
	}
	return s
}

func (c *column[M, T]) Like(pattern string) Cond[M] { return cond[M](c.c.text(" LIKE ", pattern, "")) }

func (c *column[M, T]) Glob(pattern string) Cond[M] { return cond[M](c.c.text(" GLOB ", pattern, "")) }

func (c *column[M, T]) EqualFold(s string) Cond[M] {
	return cond[M](c.c.text(" = ", s, " COLLATE NOCASE"))
}

func (c ref) text(op, s, suffix string) *node {
	return &node{op: opCompare, col: c, sql: op, suffix: suffix, args: []driver.Value{s}}
}

func (c *column[M, T]) HasPrefix(s string) Cond[M] { return cond[M](c.c.instr(" = 1", s)) }

func (c *column[M, T]) Contains(s string) Cond[M] { return cond[M](c.c.instr(" > 0", s)) }

func (c ref) instr(where, s string) *node {
	return &node{op: opInstr, col: c, sql: where, args: []driver.Value{s}}
}

func (c *column[M, T]) IsTrue() Cond[M] { return cond[M](c.c.compare(" = ", boolean(true), nil)) }

func (c *column[M, T]) IsFalse() Cond[M] { return cond[M](c.c.compare(" = ", boolean(false), nil)) }

func (c *column[M, T]) IsNull() Cond[M] {
	return cond[M](&node{op: opNull, col: c.c, sql: " IS NULL"})
}

func (c *column[M, T]) NotNull() Cond[M] {
	return cond[M](&node{op: opNull, col: c.c, sql: " IS NOT NULL"})
}

func (c *column[M, T]) EqPtr(v *T) Cond[M] {
	if v == nil {
		return c.IsNull()
	}
	return c.Eq(*v)
}

func (c *column[M, T]) SetNull() Set[M] { return Set[M]{set: set{col: c.c, sql: "NULL"}} }

func (c *column[M, T]) SetPtr(v *T) Set[M] {
	if v == nil {
		return c.SetNull()
	}
	return c.Set(*v)
}

func encodeStr[T ~string](v T) (driver.Value, error) { return string(v), nil }

func encodeBool(v bool) (driver.Value, error) { return boolean(v), nil }

func encodeBytes(v []byte) (driver.Value, error) { return append([]byte{}, v...), nil }

// encodeNilBytes is encodeBytes where nil is NULL.
func encodeNilBytes(v []byte) (driver.Value, error) {
	if v == nil {
		return nil, nil
	}
	return encodeBytes(v)
}

func timed[M any](table, name string, u Unit) *column[M, time.Time] {
	c := newColumn[M](table, name, u.value, u.scan)
	c.unit = &u
	return c
}

func (u Unit) value(v time.Time) (driver.Value, error) {
	if !u.fits(v) {
		return nil, errTimeRange
	}
	return u.store(v), nil
}

func (u Unit) scan(r *Row, i int, dst *time.Time) { ScanTime(r, i, dst, u) }
