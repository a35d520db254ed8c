package orm

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/driftdb/driftdb/schema"
)

// Row is a row of a query, read by generated code. The first error stays; it
// names the column.
type Row struct {
	values []driver.Value
	table  *schema.Table
	exprs  []expr // what was selected, nil for every column of table
	err    error
}

func (r *Row) fail(i int, err error) {
	if r.err != nil {
		return
	}
	switch {
	case r.exprs == nil:
		err = fmt.Errorf("read %s.%s: %w", r.table.Name, r.table.Columns[i].Name, err)
	case r.exprs[i].col.name != "":
		c := r.exprs[i].col
		err = fmt.Errorf("read %s%s.%s%s: %w", r.exprs[i].open, c.table, c.name, r.exprs[i].close, err)
	default:
		err = fmt.Errorf("read value %d: %w", i+1, err)
	}
	r.err = err
}

// absent stands where a column was not selected: its field stays as it is.
type absent struct{}

// skip says whether column i was not selected. Every Scan function asks it
// before it takes NULL or a value of another type for an error.
func (r *Row) skip(i int) bool {
	_, ok := r.values[i].(absent)
	return ok
}

var errNull = errors.New("NULL in a column whose field cannot hold it")

func (r *Row) wrong(i int, want string) {
	if r.skip(i) {
		return
	}
	if r.values[i] == nil {
		r.fail(i, errNull)
		return
	}
	r.fail(i, fmt.Errorf("the stored value is a %T, the field needs %s", r.values[i], want))
}

// Unit is the precision in which a time is stored, as an integer since 1970.
type Unit int

// The units of a time column.
const (
	Millisecond Unit = iota // the default
	Second
	Microsecond
	Nanosecond
	RFC3339 // no integer: text in UTC with nine digits of a second, which sorts as times do
)

// rfc3339 has all digits of a nanosecond, so that text compares as time does.
const rfc3339 = "2006-01-02T15:04:05.000000000Z"

// store returns t as the column holds it.
func (u Unit) store(t time.Time) driver.Value {
	if u == RFC3339 {
		return t.UTC().Format(rfc3339)
	}
	return u.encode(t)
}

// cut returns t as a column of the unit gives it back.
func (u Unit) cut(t time.Time) time.Time {
	if u == RFC3339 {
		return t.UTC().Round(0)
	}
	return u.decode(u.encode(t))
}

func (u Unit) encode(t time.Time) int64 {
	switch u {
	case Second:
		return t.Unix()
	case Microsecond:
		return t.UnixMicro()
	case Nanosecond:
		return t.UnixNano()
	}
	return t.UnixMilli()
}

// decode returns the time in UTC, so that equal instants are equal values.
func (u Unit) decode(n int64) time.Time {
	switch u {
	case Second:
		return time.Unix(n, 0).UTC()
	case Microsecond:
		return time.UnixMicro(n).UTC()
	case Nanosecond:
		return time.Unix(0, n).UTC()
	}
	return time.UnixMilli(n).UTC()
}

// fits says whether 64 bits of the unit can hold t: nanoseconds reach from 1677
// to 2262, microseconds 292,000 years and milliseconds 292 million.
func (u Unit) fits(t time.Time) bool {
	if u == RFC3339 {
		y := t.UTC().Year()
		return 0 <= y && y <= 9999
	}
	perSecond := int64(1)
	switch u {
	case Millisecond:
		perSecond = 1e3
	case Microsecond:
		perSecond = 1e6
	case Nanosecond:
		perSecond = 1e9
	}
	limit, s := math.MaxInt64/perSecond-1, t.Unix()
	return -limit < s && s < limit
}

func textOf(v driver.Value) string {
	switch s := v.(type) {
	case string:
		return s
	case []byte:
		return string(s)
	}
	return fmt.Sprint(v)
}

// ScanStr reads a TEXT column. It is for generated code.
func ScanStr[T ~string](r *Row, i int, dst *T) {
	switch v := r.values[i].(type) {
	case string:
		*dst = T(v)
	case []byte:
		*dst = T(v)
	default:
		r.wrong(i, "text")
	}
}

// ScanNum reads an INTEGER or REAL column; a number that does not fit the field
// is an error. It is for generated code.
func ScanNum[T Number](r *Row, i int, dst *T) {
	switch v := r.values[i].(type) {
	case int64:
		*dst = T(v)
		if int64(*dst) != v || (v < 0) != (*dst < 0) {
			r.fail(i, fmt.Errorf("the stored number does not fit the type %T", *dst))
		}
	case float64:
		*dst = T(v)
		whole := -1<<63 <= v && v < 1<<63 // beyond, some processors make the largest integer of it
		if (float64(*dst) != v || !whole) && (!isFloat[T]() || math.IsInf(float64(*dst), 0) && float64(*dst) != v) {
			r.fail(i, fmt.Errorf("the stored number does not fit the type %T", *dst)) // rounding to a float32 is what it is for
		}
	default:
		r.wrong(i, "a number")
	}
}

// isFloat says that T is a floating-point type: half of one is not nothing.
func isFloat[T Number]() bool {
	one := T(1)
	return one/2 != 0
}

// ScanBool reads a boolean column, 0 or 1. It is for generated code.
func ScanBool[T ~bool](r *Row, i int, dst *T) {
	switch v := r.values[i].(type) {
	case int64:
		*dst = v != 0
	case bool:
		*dst = T(v)
	default:
		r.wrong(i, "0 or 1")
	}
}

// ScanTime reads a time column; the result is in UTC. It is for generated code.
func ScanTime(r *Row, i int, dst *time.Time, u Unit) {
	switch v := r.values[i].(type) {
	case int64:
		if u != RFC3339 {
			*dst = u.decode(v)
			return
		}
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if u == RFC3339 && err == nil {
			*dst = t.UTC()
			return
		}
	}
	if u == RFC3339 {
		r.wrong(i, "a time as RFC 3339 has it")
		return
	}
	r.wrong(i, "an integer")
}

// ScanBytes reads a BLOB column that is never NULL; empty is not nil. It is for
// generated code.
func ScanBytes[T ~[]byte](r *Row, i int, dst *T) {
	switch v := r.values[i].(type) {
	case []byte:
		*dst = append(T{}, v...)
	case string:
		*dst = T(v)
	default:
		r.wrong(i, "bytes")
	}
}

// ScanNullBytes reads a BLOB column; NULL is nil and empty is not. It is for
// generated code.
func ScanNullBytes[T ~[]byte](r *Row, i int, dst *T) {
	if r.values[i] == nil {
		*dst = nil
		return
	}
	ScanBytes(r, i, dst)
}

// ScanNullStr reads a TEXT column; NULL is nil. It is for generated code.
func ScanNullStr[T ~string](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanStr[T]) }

// ScanNullNum reads an INTEGER or REAL column; NULL is nil. It is for generated
// code.
func ScanNullNum[T Number](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanNum[T]) }

// ScanNullBool reads a boolean column; NULL is nil. It is for generated code.
func ScanNullBool[T ~bool](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanBool[T]) }

// ScanNullTime reads a time column; NULL is nil. It is for generated code.
func ScanNullTime(r *Row, i int, dst **time.Time, u Unit) {
	scanNull(r, i, dst, func(r *Row, i int, t *time.Time) { ScanTime(r, i, t, u) })
}

func scanNull[T any](r *Row, i int, dst **T, scan func(*Row, int, *T)) {
	if r.skip(i) {
		return
	}
	if r.values[i] == nil {
		*dst = nil
		return
	}
	v := new(T)
	scan(r, i, v)
	*dst = v
}

// errNaN refuses what SQLite would store as NULL without a word.
var errNaN = errors.New("NaN cannot be stored: SQLite would make it NULL")

func number[T Number](v T) (driver.Value, error) {
	if !isFloat[T]() {
		return int64(v), nil
	}
	f := float64(v)
	if math.IsNaN(f) {
		return nil, errNaN
	}
	return f, nil
}
