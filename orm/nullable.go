package orm

import (
	"database/sql"
	"database/sql/driver"
	"time"
)

// nullable adds what a column that may be NULL can do besides.
type nullable[M, T any] struct {
	_      [0]func(M)
	c      ref
	encode func(T) (driver.Value, error)
	decode func(*Row, int, *T)
}

func nullableOf[M, T any](c Col[M, T]) nullable[M, T] {
	return nullable[M, T]{c: c.c, encode: c.encode, decode: c.decode}
}

// IsNull matches rows whose column is NULL.
func (c nullable[M, T]) IsNull() Cond[M] {
	return cond[M](&node{op: opNull, col: c.c, sql: " IS NULL"})
}

// NotNull matches rows whose column has a value.
func (c nullable[M, T]) NotNull() Cond[M] {
	return cond[M](&node{op: opNull, col: c.c, sql: " IS NOT NULL"})
}

// EqPtr matches rows whose column equals *v, or is NULL when v is nil.
func (c nullable[M, T]) EqPtr(v *T) Cond[M] {
	if v == nil {
		return c.IsNull()
	}
	return Col[M, T]{c: c.c, encode: c.encode}.Eq(*v)
}

// Null is the column for Pluck, Select2 and their like, where NULL is not an
// error but no value.
func (c nullable[M, T]) Null() Expr[M, sql.Null[T]] {
	return Agg[M, sql.Null[T]]{e: expr{col: c.c}, decode: scanOptional(c.decode), encode: encodeOptional(c.encode)}
}

// SetNull makes the column NULL.
func (c nullable[M, T]) SetNull() Set[M] {
	return Set[M]{col: c.c, sql: "NULL"}
}

// SetPtr gives the column the value *v, or makes it NULL when v is nil.
func (c nullable[M, T]) SetPtr(v *T) Set[M] {
	if v == nil {
		return c.SetNull()
	}
	return Col[M, T]{c: c.c, encode: c.encode}.Set(*v)
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

// NullBytes is a column of bytes that may be NULL.
type NullBytes[M any] struct {
	Bytes[M]
	nullable[M, []byte]
}

// NewNullBytes is called by generated code.
func NewNullBytes[M any](table, name string) NullBytes[M] {
	c := NewBytes[M](table, name)
	return NullBytes[M]{c, nullableOf(c.Col)}
}
