package orm

import (
	"database/sql"
	"time"
)

// The types of columns say what can be asked of a column and what it can be set
// to. They are put together from a few interfaces over one implementation, which
// generated code makes with the New functions: Go compiles every method of a
// generic type for every type it is used with, and so it does that once for all
// kinds of columns of one Go type.

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
type Col[M, T any] interface {
	Column[M]
	Expr[M, T]

	// Eq matches rows whose column equals v. NULL equals nothing.
	Eq(v T) Cond[M]

	// Ne matches rows whose column has another value than v. NULL is no value: it
	// does not match.
	Ne(v T) Cond[M]

	// In matches rows whose column equals one of v; none if v is empty.
	In(v ...T) Cond[M]

	// NotIn matches rows whose column has a value that is none of v. With no v it
	// is no condition at all.
	NotIn(v ...T) Cond[M]

	// InQuery matches rows whose column is among what a query returns: see Sub1.
	InQuery(s Sub[T]) Cond[M]

	// NotInQuery matches rows whose column has a value that is not among what a
	// query returns. NULLs that the query returns are left out: in SQL one of them
	// would make the condition match nothing.
	NotInQuery(s Sub[T]) Cond[M]

	// EqCol matches rows whose column equals another expression over the same row.
	EqCol(e Expr[M, T]) Cond[M]

	// Asc orders by the column, smallest first; NULL comes before every value.
	Asc() Order[M]

	// Desc orders by the column, largest first; NULL comes after every value.
	Desc() Order[M]

	// Min is the smallest value of the column; no value where there is no row, or
	// only NULL.
	Min() Agg[M, sql.Null[T]]

	// Max is the largest value of the column; no value where there is no row, or
	// only NULL.
	Max() Agg[M, sql.Null[T]]

	// CountDistinct is the number of different values of the column, NULL not
	// counted.
	CountDistinct() Agg[M, int64]
}

// Settable is what a column has that can be set.
type Settable[M, T any] interface {
	// Set gives the column the value v.
	Set(v T) Set[M]

	// SetSQL gives the column the value of an SQL expression, in which ? stands
	// for args in turn. The expression is not checked; never build it from input.
	SetSQL(expr string, args ...any) Set[M]
}

// Ordered is what a column has whose values have an order.
type Ordered[M, T any] interface {
	// Gt matches rows whose column is greater than v.
	Gt(v T) Cond[M]

	// Gte matches rows whose column is greater than or equal to v.
	Gte(v T) Cond[M]

	// Lt matches rows whose column is less than v.
	Lt(v T) Cond[M]

	// Lte matches rows whose column is less than or equal to v.
	Lte(v T) Cond[M]

	// Between matches rows whose column is neither less than a nor greater than b.
	Between(a, b T) Cond[M]
}

// Numeric is what a column of numbers has.
type Numeric[M, T any] interface {
	// Sum is the sum of the column, 0 where there is no row. A sum that does not
	// fit the column's Go type is an error when it is read.
	Sum() Agg[M, T]

	// Avg is the mean of the column's values, NULL left out; no value where there
	// is none.
	Avg() Agg[M, sql.Null[float64]]
}

// Addable is what a column of numbers has that can be set.
type Addable[M, T any] interface {
	// Add adds v to the column's value in the statement itself. A sum that the
	// field could not hold is an error, and nothing is written.
	Add(v T) Set[M]
}

// NumCol is a column of numbers without setters.
type NumCol[M any, T Number] interface {
	Col[M, T]
	Ordered[M, T]
	Numeric[M, T]
}

// Num is a column of numbers.
type Num[M any, T Number] interface {
	Col[M, T]
	Ordered[M, T]
	Numeric[M, T]
	Settable[M, T]
	Addable[M, T]
}

// NewNum is called by generated code.
func NewNum[M any, T Number](table, name string) Num[M, T] { return numeric[M, T](table, name) }

// Textual is what a column of text has.
type Textual[M any] interface {
	// Like matches SQL's pattern: % any text, _ any character, ASCII letters in
	// either case.
	Like(pattern string) Cond[M]

	// Glob matches a file-name pattern: * any text, ? any character, [a-z] a
	// range; case counts.
	Glob(pattern string) Cond[M]

	// EqualFold matches s whatever the case of its ASCII letters.
	EqualFold(s string) Cond[M]

	// HasPrefix matches text that begins with s; case counts, nothing in s is
	// special.
	HasPrefix(s string) Cond[M]

	// Contains matches text that holds s; case counts, nothing in s is special.
	Contains(s string) Cond[M]
}

// StrCol is a column of text without setters.
type StrCol[M any, T ~string] interface {
	Col[M, T]
	Ordered[M, T]
	Textual[M]
}

// Str is a column of text.
type Str[M any, T ~string] interface {
	Col[M, T]
	Ordered[M, T]
	Textual[M]
	Settable[M, T]
}

// NewStr is called by generated code.
func NewStr[M any, T ~string](table, name string) Str[M, T] {
	return newColumn[M](table, name, encodeStr[T], ScanStr[T])
}

// Boolean is what a column of booleans has.
type Boolean[M any] interface {
	// IsTrue matches rows whose column is true.
	IsTrue() Cond[M]

	// IsFalse matches rows whose column is false; NULL is not.
	IsFalse() Cond[M]
}

// BoolCol is a column of booleans without setters.
type BoolCol[M any] interface {
	Col[M, bool]
	Boolean[M]
}

// Bool is a column of booleans, stored as 0 and 1.
type Bool[M any] interface {
	Col[M, bool]
	Boolean[M]
	Settable[M, bool]
}

// NewBool is called by generated code.
func NewBool[M any](table, name string) Bool[M] {
	return newColumn[M](table, name, encodeBool, ScanBool[bool])
}

// TimeCol is a column of times without setters.
type TimeCol[M any] interface {
	Col[M, time.Time]
	Ordered[M, time.Time]
}

// Time is a column of times, stored as integers of its unit, or as text with
// time=rfc3339.
type Time[M any] interface {
	Col[M, time.Time]
	Ordered[M, time.Time]
	Settable[M, time.Time]
}

// NewTime is called by generated code.
func NewTime[M any](table, name string, u Unit) Time[M] {
	return timed[M](table, name, u)
}

// BytesCol is a column of bytes without setters.
type BytesCol[M any] interface{ Col[M, []byte] }

// Bytes is a column of bytes.
type Bytes[M any] interface {
	Col[M, []byte]
	Settable[M, []byte]
}

// NewBytes is called by generated code.
func NewBytes[M any](table, name string) Bytes[M] {
	return newColumn[M](table, name, encodeBytes, ScanBytes[[]byte])
}
