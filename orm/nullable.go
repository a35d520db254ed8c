package orm

import (
	"database/sql"
	"database/sql/driver"
	"time"
)

// nullCol adds what a column that may be NULL can be asked.
type nullCol[M, T any] struct {
	_      [0]func(M)
	c      ref
	encode func(T) (driver.Value, error)
	decode func(*Row, int, *T)
}

// nullable adds what a column that may be NULL can do besides.
type nullable[M, T any] struct{ nullCol[M, T] }

func nullableOf[M, T any](c Col[M, T]) nullable[M, T] {
	return nullable[M, T]{nullCol[M, T]{c: c.c, encode: c.encode, decode: c.decode}}
}

// IsNull matches rows whose column is NULL.
func (c nullCol[M, T]) IsNull() Cond[M] {
	return cond[M](&node{op: opNull, col: c.c, sql: " IS NULL"})
}

// NotNull matches rows whose column has a value.
func (c nullCol[M, T]) NotNull() Cond[M] {
	return cond[M](&node{op: opNull, col: c.c, sql: " IS NOT NULL"})
}

// EqPtr matches rows whose column equals *v, or is NULL when v is nil.
func (c nullCol[M, T]) EqPtr(v *T) Cond[M] {
	if v == nil {
		return c.IsNull()
	}
	return Col[M, T]{c: c.c, encode: c.encode}.Eq(*v)
}

// Null is the column for Pluck, Select2 and their like, where NULL is not an
// error but no value.
func (c nullCol[M, T]) Null() Expr[M, sql.Null[T]] {
	return Agg[M, sql.Null[T]]{e: expr{col: c.c}, decode: scanOptional(c.decode), encode: encodeOptional(c.encode)}
}

// SetNull makes the column NULL.
func (c nullable[M, T]) SetNull() Set[M] {
	return Set[M]{set: set{col: c.c, sql: "NULL"}}
}

// SetPtr gives the column the value *v, or makes it NULL when v is nil.
func (c nullable[M, T]) SetPtr(v *T) Set[M] {
	if v == nil {
		return c.SetNull()
	}
	return settable[M, T]{c: c.c, encode: c.encode}.Set(*v)
}

// NullNumCol is a column of numbers that may be NULL, without setters.
type NullNumCol[M any, T Number] struct {
	NumCol[M, T]
	nullCol[M, T]
}

// NullNum is a column of numbers that may be NULL.
type NullNum[M any, T Number] struct {
	Num[M, T]
	nullable[M, T]
}

// NewNullNum is called by generated code.
func NewNullNum[M any, T Number](table, name string) NullNum[M, T] {
	c := NewNum[M, T](table, name)
	return NullNum[M, T]{c, nullableOf(c.Col)}
}

// Fixed is the column without setters. Generated code calls it.
func (c NullNum[M, T]) Fixed() NullNumCol[M, T] { return NullNumCol[M, T]{c.NumCol, c.nullCol} }

// NullStrCol is a column of text that may be NULL, without setters.
type NullStrCol[M any, T ~string] struct {
	StrCol[M, T]
	nullCol[M, T]
}

// NullStr is a column of text that may be NULL.
type NullStr[M any, T ~string] struct {
	Str[M, T]
	nullable[M, T]
}

// NewNullStr is called by generated code.
func NewNullStr[M any, T ~string](table, name string) NullStr[M, T] {
	c := NewStr[M, T](table, name)
	return NullStr[M, T]{c, nullableOf(c.Col)}
}

// Fixed is the column without setters. Generated code calls it.
func (c NullStr[M, T]) Fixed() NullStrCol[M, T] { return NullStrCol[M, T]{c.StrCol, c.nullCol} }

// NullBoolCol is a column of booleans that may be NULL, without setters.
type NullBoolCol[M any] struct {
	BoolCol[M]
	nullCol[M, bool]
}

// NullBool is a column of booleans that may be NULL.
type NullBool[M any] struct {
	Bool[M]
	nullable[M, bool]
}

// NewNullBool is called by generated code.
func NewNullBool[M any](table, name string) NullBool[M] {
	c := NewBool[M](table, name)
	return NullBool[M]{c, nullableOf(c.Col)}
}

// Fixed is the column without setters. Generated code calls it.
func (c NullBool[M]) Fixed() NullBoolCol[M] { return NullBoolCol[M]{c.BoolCol, c.nullCol} }

// NullTimeCol is a column of times that may be NULL, without setters.
type NullTimeCol[M any] struct {
	TimeCol[M]
	nullCol[M, time.Time]
}

// NullTime is a column of times that may be NULL.
type NullTime[M any] struct {
	Time[M]
	nullable[M, time.Time]
}

// NewNullTime is called by generated code.
func NewNullTime[M any](table, name string, u Unit) NullTime[M] {
	c := NewTime[M](table, name, u)
	return NullTime[M]{c, nullableOf(c.Col)}
}

// Fixed is the column without setters. Generated code calls it.
func (c NullTime[M]) Fixed() NullTimeCol[M] { return NullTimeCol[M]{c.TimeCol, c.nullCol} }

// NullBytesCol is a column of bytes that may be NULL, without setters.
type NullBytesCol[M any] struct {
	BytesCol[M]
	nullCol[M, []byte]
}

// NullBytes is a column of bytes that may be NULL.
type NullBytes[M any] struct {
	Bytes[M]
	nullable[M, []byte]
}

// NewNullBytes is called by generated code. Its setters make nil NULL, as
// Create does.
func NewNullBytes[M any](table, name string) NullBytes[M] {
	c := NewBytes[M](table, name)
	whole := c.Col.encode
	c.Col.encode = func(v []byte) (driver.Value, error) {
		if v == nil {
			return nil, nil
		}
		return whole(v)
	}
	c.settable = settableOf(c.Col)
	return NullBytes[M]{c, nullableOf(c.Col)}
}

// Fixed is the column without setters. Generated code calls it.
func (c NullBytes[M]) Fixed() NullBytesCol[M] { return NullBytesCol[M]{c.BytesCol, c.nullCol} }
