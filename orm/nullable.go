package orm

import (
	"database/sql"
	"time"
)

// Nullable is what a column can be asked that may be NULL.
type Nullable[M, T any] interface {
	// IsNull matches rows whose column is NULL.
	IsNull() Cond[M]

	// NotNull matches rows whose column has a value.
	NotNull() Cond[M]

	// EqPtr matches rows whose column equals *v, or is NULL when v is nil.
	EqPtr(v *T) Cond[M]

	// Null is the column for Pluck, Select2 and their like, where NULL is not an
	// error but no value.
	Null() Expr[M, sql.Null[T]]
}

// NullSettable is what a column can do besides that may be NULL and can be set.
type NullSettable[M, T any] interface {
	// SetNull makes the column NULL.
	SetNull() Set[M]

	// SetPtr gives the column the value *v, or makes it NULL when v is nil.
	SetPtr(v *T) Set[M]
}

// NullNumCol is a column of numbers that may be NULL, without setters.
type NullNumCol[M any, T Number] interface {
	Col[M, T]
	Ordered[M, T]
	Numeric[M, T]
	Nullable[M, T]
}

// NullNum is a column of numbers that may be NULL.
type NullNum[M any, T Number] interface {
	Col[M, T]
	Ordered[M, T]
	Numeric[M, T]
	Settable[M, T]
	Addable[M, T]
	Nullable[M, T]
	NullSettable[M, T]
}

// NewNullNum is called by generated code.
func NewNullNum[M any, T Number](table, name string) NullNum[M, T] {
	return numeric[M, T](table, name)
}

// NullStrCol is a column of text that may be NULL, without setters.
type NullStrCol[M any, T ~string] interface {
	Col[M, T]
	Ordered[M, T]
	Textual[M]
	Nullable[M, T]
}

// NullStr is a column of text that may be NULL.
type NullStr[M any, T ~string] interface {
	Col[M, T]
	Ordered[M, T]
	Textual[M]
	Settable[M, T]
	Nullable[M, T]
	NullSettable[M, T]
}

// NewNullStr is called by generated code.
func NewNullStr[M any, T ~string](table, name string) NullStr[M, T] {
	return newColumn[M](table, name, encodeStr[T], ScanStr[T])
}

// NullBoolCol is a column of booleans that may be NULL, without setters.
type NullBoolCol[M any] interface {
	Col[M, bool]
	Boolean[M]
	Nullable[M, bool]
}

// NullBool is a column of booleans that may be NULL.
type NullBool[M any] interface {
	Col[M, bool]
	Boolean[M]
	Settable[M, bool]
	Nullable[M, bool]
	NullSettable[M, bool]
}

// NewNullBool is called by generated code.
func NewNullBool[M any](table, name string) NullBool[M] {
	return newColumn[M](table, name, encodeBool, ScanBool[bool])
}

// NullTimeCol is a column of times that may be NULL, without setters.
type NullTimeCol[M any] interface {
	Col[M, time.Time]
	Ordered[M, time.Time]
	Nullable[M, time.Time]
}

// NullTime is a column of times that may be NULL.
type NullTime[M any] interface {
	Col[M, time.Time]
	Ordered[M, time.Time]
	Settable[M, time.Time]
	Nullable[M, time.Time]
	NullSettable[M, time.Time]
}

// NewNullTime is called by generated code.
func NewNullTime[M any](table, name string, u Unit) NullTime[M] {
	return timed[M](table, name, u)
}

// NullBytesCol is a column of bytes that may be NULL, without setters.
type NullBytesCol[M any] interface {
	Col[M, []byte]
	Nullable[M, []byte]
}

// NullBytes is a column of bytes that may be NULL. Its setters make nil NULL, as
// Create does.
type NullBytes[M any] interface {
	Col[M, []byte]
	Settable[M, []byte]
	Nullable[M, []byte]
	NullSettable[M, []byte]
}

// NewNullBytes is called by generated code.
func NewNullBytes[M any](table, name string) NullBytes[M] {
	return newColumn[M](table, name, encodeNilBytes, ScanBytes[[]byte])
}
