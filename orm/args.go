package orm

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/driftdb/driftdb/schema"
)

// Args are the values that generated code binds, one after the other. The
// first error stays; it names the column.
type Args struct {
	values []driver.NamedValue
	table  *schema.Table // of a row; nil for a key
	bound  []int         // the columns of a row, in order
	first  int           // index of the first value of the row
	err    error
}

func (a *Args) add(v driver.Value) {
	a.values = append(a.values, driver.NamedValue{Ordinal: len(a.values) + 1, Value: v})
}

func (a *Args) fail(err error) {
	if a.err != nil {
		return
	}
	i := len(a.values) - a.first
	if a.table != nil && a.bound != nil && i < len(a.bound) {
		err = fmt.Errorf("%s.%s: %w", a.table.Name, a.table.Columns[a.bound[i]].Name, err)
	}
	a.err = err
}

// BindStr binds a TEXT value. It is for generated code.
func BindStr[T ~string](a *Args, v T) { a.add(string(v)) }

// BindNum binds an INTEGER or REAL value; NaN is an error. It is for generated
// code.
func BindNum[T Number](a *Args, v T) {
	n, err := number(v)
	if err != nil {
		a.fail(err)
	}
	a.add(n)
}

// BindBool binds a boolean as 0 or 1. It is for generated code.
func BindBool[T ~bool](a *Args, v T) { a.add(boolean(bool(v))) }

func boolean(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

var errTimeRange = errors.New("the time is out of the range of the column's unit: nanoseconds reach from 1678 to 2261, RFC 3339 from year 0 to 9999")

// BindTime binds a time as an integer of the unit. It is for generated code.
func BindTime(a *Args, v time.Time, u Unit) {
	if !u.fits(v) {
		a.fail(errTimeRange)
	}
	a.add(u.store(v))
}

// BindBytes binds a BLOB that is never NULL: nil is stored as empty. It is for
// generated code.
func BindBytes[T ~[]byte](a *Args, v T) { a.add(append([]byte{}, v...)) }

// BindNullBytes binds a BLOB: nil is NULL. It is for generated code.
func BindNullBytes[T ~[]byte](a *Args, v T) {
	if v == nil {
		a.add(nil)
		return
	}
	BindBytes(a, v)
}

// BindNullStr binds a TEXT value: nil is NULL. It is for generated code.
func BindNullStr[T ~string](a *Args, v *T) { bindNull(a, v, BindStr[T]) }

// BindNullNum binds an INTEGER or REAL value: nil is NULL. It is for generated
// code.
func BindNullNum[T Number](a *Args, v *T) { bindNull(a, v, BindNum[T]) }

// BindNullBool binds a boolean: nil is NULL. It is for generated code.
func BindNullBool[T ~bool](a *Args, v *T) { bindNull(a, v, BindBool[T]) }

// BindNullTime binds a time: nil is NULL. It is for generated code.
func BindNullTime(a *Args, v *time.Time, u Unit) {
	if v == nil {
		a.add(nil)
		return
	}
	BindTime(a, *v, u)
}

func bindNull[T any](a *Args, v *T, bind func(*Args, T)) {
	if v == nil {
		a.add(nil)
		return
	}
	bind(a, *v)
}

// Fill is what Create chooses from: one time for all rows of a call. It is for
// generated code.
type Fill struct {
	now  time.Time
	keep bool // the row is there: nothing is chosen, zero values are values
	err  error
}

// FillUUID7 gives a zero id a new UUIDv7: 36 characters that grow with time. It
// is for generated code.
func FillUUID7[T ~string](f *Fill, id *T) { fillUUID(f, id, uuid.NewV7) }

// FillUUID4 gives a zero id a new random UUID. It is for generated code.
func FillUUID4[T ~string](f *Fill, id *T) { fillUUID(f, id, uuid.NewRandom) }

func fillUUID[T ~string](f *Fill, id *T, fresh func() (uuid.UUID, error)) {
	if *id != "" || f.keep {
		return
	}
	u, err := fresh()
	if err != nil {
		f.err = errors.Join(f.err, fmt.Errorf("make an id: %w", err))
		return
	}
	*id = T(u.String())
}

// FillTime gives a zero time the time of the call, and cuts any time to what
// the column can hold, so that it equals what a Find returns. It is for
// generated code.
func FillTime(f *Fill, t *time.Time, u Unit) {
	if t.IsZero() && (!f.keep || !u.fits(*t)) {
		*t = f.now
	}
	CutTime(t, u)
}

// CutTime cuts a time to what a column of the unit holds, in UTC. It is for
// generated code.
func CutTime(t *time.Time, u Unit) {
	if u.fits(*t) {
		*t = u.cut(*t)
	}
}

// Bits sets bit i of its result for every zero[i], of 64 at most. It is for
// generated code.
func Bits(zero ...bool) (bits uint64) {
	for i, z := range zero {
		if z {
			bits |= 1 << i
		}
	}
	return bits
}

// CutNullTime is CutTime for a column that may be NULL. What the caller's
// pointer leads to is not changed. It is for generated code.
func CutNullTime(t **time.Time, u Unit) {
	if *t != nil {
		*t = new(**t)
		CutTime(*t, u)
	}
}
