package orm

import (
	"database/sql/driver"
	"reflect"
	"strconv"
	"time"
)

// Number is every type that a Num column can hold.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~float32 | ~float64
}

// Column is any column of M, whatever its type.
type Column[M any] interface {
	columnOf(M)
	ref() ref
}

// ref names a column.
type ref struct{ table, name string }

// Col is a column of M that holds a T. Columns are made by generated code. What
// the types of this package whose names end in Col lack, is setters: generated
// columns, and those with the items readonly and createonly are of such types.
type Col[M, T any] struct {
	_      [0]func(M)
	c      ref
	encode func(T) (driver.Value, error)
	decode func(*Row, int, *T)
}

func (Col[M, T]) columnOf(M) {}

func (Col[M, T]) exprOf(M) {}

func (c Col[M, T]) ref() ref { return c.c }

func (c Col[M, T]) expr() expr { return expr{col: c.c} }

func (c Col[M, T]) scan(r *Row, i int, dst *T) {
	if c.decode != nil { // without it nothing was selected
		c.decode(r, i, dst)
	}
}

// value is v as it is bound; an error names the column.
func (c Col[M, T]) value(v T) (driver.Value, error) {
	if c.encode == nil {
		return nil, errNoCol
	}
	x, err := c.encode(v)
	return x, errorAt(c.c, err)
}

func (c Col[M, T]) compare(op string, v T) Cond[M] {
	x, err := c.value(v)
	return cond[M](&node{op: opCompare, col: c.c, sql: op, args: []driver.Value{x}, err: err})
}

// Eq matches rows whose column equals v. NULL equals nothing.
func (c Col[M, T]) Eq(v T) Cond[M] { return c.compare(" = ", v) }

// Ne matches rows whose column has another value than v. NULL is no value: it
// does not match.
func (c Col[M, T]) Ne(v T) Cond[M] { return c.compare(" <> ", v) }

// In matches rows whose column equals one of v; none if v is empty.
func (c Col[M, T]) In(v ...T) Cond[M] { return c.list(opIn, v) }

// NotIn matches rows whose column has a value that is none of v. With no v it
// is no condition at all.
func (c Col[M, T]) NotIn(v ...T) Cond[M] {
	if len(v) == 0 {
		return Cond[M]{}
	}
	return c.list(opNotIn, v)
}

func (c Col[M, T]) list(op opKind, v []T) Cond[M] {
	n := &node{op: op, col: c.c, args: make([]driver.Value, len(v))}
	for i := range v {
		x, err := c.value(v[i])
		if err != nil && n.err == nil {
			n.err = err
		}
		n.args[i] = x
	}
	return cond[M](n)
}

// Asc orders by the column, smallest first; NULL comes before every value.
func (c Col[M, T]) Asc() Order[M] { return Order[M]{e: c.expr()} }

// Desc orders by the column, largest first; NULL comes after every value.
func (c Col[M, T]) Desc() Order[M] { return Order[M]{e: c.expr(), desc: true} }

// settable adds the setters to a column.
type settable[M, T any] struct {
	_      [0]func(M)
	c      ref
	encode func(T) (driver.Value, error)
}

func settableOf[M, T any](c Col[M, T]) settable[M, T] {
	return settable[M, T]{c: c.c, encode: c.encode}
}

// Set gives the column the value v.
func (c settable[M, T]) Set(v T) Set[M] {
	x, err := Col[M, T]{c: c.c, encode: c.encode}.value(v)
	return Set[M]{set: set{col: c.c, sql: "?", args: []driver.Value{x}, err: err}}
}

// SetSQL gives the column the value of an SQL expression, in which ? stands
// for args in turn. The expression is not checked; never build it from input.
func (c settable[M, T]) SetSQL(expr string, args ...any) Set[M] {
	values, err := encodeAny(args)
	return Set[M]{set: set{col: c.c, sql: "(" + expr + ")", args: values, err: errorAt(c.c, err)}}
}

// ordered adds the comparisons of types with an order.
type ordered[M, T any] struct{ Col[M, T] }

// Gt matches rows whose column is greater than v.
func (c ordered[M, T]) Gt(v T) Cond[M] { return c.compare(" > ", v) }

// Gte matches rows whose column is greater than or equal to v.
func (c ordered[M, T]) Gte(v T) Cond[M] { return c.compare(" >= ", v) }

// Lt matches rows whose column is less than v.
func (c ordered[M, T]) Lt(v T) Cond[M] { return c.compare(" < ", v) }

// Lte matches rows whose column is less than or equal to v.
func (c ordered[M, T]) Lte(v T) Cond[M] { return c.compare(" <= ", v) }

// Between matches rows whose column is neither less than a nor greater than b.
func (c ordered[M, T]) Between(a, b T) Cond[M] { return And(c.Gte(a), c.Lte(b)) }

// NumCol is a column of numbers without setters.
type NumCol[M any, T Number] struct{ ordered[M, T] }

// Num is a column of numbers.
type Num[M any, T Number] struct {
	NumCol[M, T]
	settable[M, T]
}

// NewNum is called by generated code.
func NewNum[M any, T Number](table, name string) Num[M, T] {
	c := Col[M, T]{c: ref{table, name}, encode: number[T], decode: ScanNum[T]}
	return Num[M, T]{NumCol[M, T]{ordered[M, T]{c}}, settableOf(c)}
}

// Fixed is the column without setters. Generated code calls it.
func (c Num[M, T]) Fixed() NumCol[M, T] { return c.NumCol }

// Add adds v to the column's value in the statement itself. A sum that the
// field could not hold is an error, and nothing is written.
func (c Num[M, T]) Add(v T) Set[M] {
	s := c.Set(v)
	s.sql, s.self = "? + ", true
	if least, most, ok := narrow[T](); ok { // the table is STRICT: text in an INTEGER column is refused
		s.sql = "(SELECT CASE WHEN _driftdb_sum NOT BETWEEN " + strconv.FormatInt(least, 10) + " AND " + strconv.FormatInt(most, 10) +
			" THEN 'out of range' ELSE _driftdb_sum END FROM (SELECT ? + "
		s.tail = " AS _driftdb_sum))"
	}
	return s
}

// narrow returns the range of an integer type that holds less than the 64 bits
// of an INTEGER column.
func narrow[T Number]() (least, most int64, ok bool) {
	var zero T
	bits := 8 * reflect.TypeFor[T]().Size()
	switch {
	case isFloat[T]() || bits == 64:
		return 0, 0, false
	case zero-1 > zero:
		return 0, 1<<bits - 1, true
	}
	return -1 << (bits - 1), 1<<(bits-1) - 1, true
}

// StrCol is a column of text without setters.
type StrCol[M any, T ~string] struct{ ordered[M, T] }

// Str is a column of text.
type Str[M any, T ~string] struct {
	StrCol[M, T]
	settable[M, T]
}

// NewStr is called by generated code.
func NewStr[M any, T ~string](table, name string) Str[M, T] {
	c := Col[M, T]{c: ref{table, name}, encode: func(v T) (driver.Value, error) { return string(v), nil }, decode: ScanStr[T]}
	return Str[M, T]{StrCol[M, T]{ordered[M, T]{c}}, settableOf(c)}
}

// Fixed is the column without setters. Generated code calls it.
func (c Str[M, T]) Fixed() StrCol[M, T] { return c.StrCol }

// Like matches SQL's pattern: % any text, _ any character, ASCII letters in
// either case.
func (c StrCol[M, T]) Like(pattern string) Cond[M] { return c.text(" LIKE ", pattern, "") }

// Glob matches a file-name pattern: * any text, ? any character, [a-z] a
// range; case counts.
func (c StrCol[M, T]) Glob(pattern string) Cond[M] { return c.text(" GLOB ", pattern, "") }

// EqualFold matches s whatever the case of its ASCII letters.
func (c StrCol[M, T]) EqualFold(s string) Cond[M] { return c.text(" = ", s, " COLLATE NOCASE") }

// HasPrefix matches text that begins with s; case counts, nothing in s is
// special.
func (c StrCol[M, T]) HasPrefix(s string) Cond[M] {
	return cond[M](&node{op: opInstr, col: c.c, sql: " = 1", args: []driver.Value{s}})
}

// Contains matches text that holds s; case counts, nothing in s is special.
func (c StrCol[M, T]) Contains(s string) Cond[M] {
	return cond[M](&node{op: opInstr, col: c.c, sql: " > 0", args: []driver.Value{s}})
}

func (c StrCol[M, T]) text(op, s, suffix string) Cond[M] {
	return cond[M](&node{op: opCompare, col: c.c, sql: op, suffix: suffix, args: []driver.Value{s}})
}

// BoolCol is a column of booleans without setters.
type BoolCol[M any] struct{ Col[M, bool] }

// Bool is a column of booleans, stored as 0 and 1.
type Bool[M any] struct {
	BoolCol[M]
	settable[M, bool]
}

// NewBool is called by generated code.
func NewBool[M any](table, name string) Bool[M] {
	c := Col[M, bool]{c: ref{table, name}, encode: func(v bool) (driver.Value, error) { return boolean(v), nil }, decode: ScanBool[bool]}
	return Bool[M]{BoolCol[M]{c}, settableOf(c)}
}

// Fixed is the column without setters. Generated code calls it.
func (c Bool[M]) Fixed() BoolCol[M] { return c.BoolCol }

// IsTrue matches rows whose column is true.
func (c BoolCol[M]) IsTrue() Cond[M] { return c.Eq(true) }

// IsFalse matches rows whose column is false; NULL is not.
func (c BoolCol[M]) IsFalse() Cond[M] { return c.Eq(false) }

// TimeCol is a column of times without setters.
type TimeCol[M any] struct{ ordered[M, time.Time] }

// Time is a column of times, stored as integers of its unit, or as text with
// time=rfc3339.
type Time[M any] struct {
	TimeCol[M]
	settable[M, time.Time]
}

// NewTime is called by generated code.
func NewTime[M any](table, name string, u Unit) Time[M] {
	c := Col[M, time.Time]{c: ref{table, name}, encode: func(v time.Time) (driver.Value, error) {
		if !u.fits(v) {
			return nil, errTimeRange
		}
		return u.store(v), nil
	}, decode: func(r *Row, i int, dst *time.Time) { ScanTime(r, i, dst, u) }}
	return Time[M]{TimeCol[M]{ordered[M, time.Time]{c}}, settableOf(c)}
}

// Fixed is the column without setters. Generated code calls it.
func (c Time[M]) Fixed() TimeCol[M] { return c.TimeCol }

// BytesCol is a column of bytes without setters.
type BytesCol[M any] struct{ Col[M, []byte] }

// Bytes is a column of bytes.
type Bytes[M any] struct {
	BytesCol[M]
	settable[M, []byte]
}

// NewBytes is called by generated code.
func NewBytes[M any](table, name string) Bytes[M] {
	c := Col[M, []byte]{c: ref{table, name}, encode: func(v []byte) (driver.Value, error) { return append([]byte{}, v...), nil }, decode: ScanBytes[[]byte]}
	return Bytes[M]{BytesCol[M]{c}, settableOf(c)}
}

// Fixed is the column without setters. Generated code calls it.
func (c Bytes[M]) Fixed() BytesCol[M] { return c.BytesCol }
