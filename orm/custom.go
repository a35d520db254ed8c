package orm

import (
	"database/sql"
	"database/sql/driver"
	"encoding"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// CustomCol is a column of a type of the application, without setters.
type CustomCol[M, T any] interface {
	Col[M, T]
	Ordered[M, T]
}

// Custom is a column of a type of the application: one with Scan and Value, one
// with MarshalText and UnmarshalText, a UUID, 16 bytes, or a uint64. Comparisons
// are those of what is stored.
type Custom[M, T any] interface {
	Col[M, T]
	Ordered[M, T]
	Settable[M, T]
}

// NullCustomCol is a Custom column that may be NULL, without setters.
type NullCustomCol[M, T any] interface {
	Col[M, T]
	Ordered[M, T]
	Nullable[M, T]
}

// NullCustom is a Custom column that may be NULL.
type NullCustom[M, T any] interface {
	Col[M, T]
	Ordered[M, T]
	Settable[M, T]
	Nullable[M, T]
	NullSettable[M, T]
}

// NewValue makes the column of a type with Scan and Value. Generated code calls
// it.
func NewValue[M, T any](table, name string) Custom[M, T] {
	return newColumn[M](table, name, encodeValue[T], ScanValue[T])
}

// NewNullValue is NewValue for a column that may be NULL. It is for generated
// code.
func NewNullValue[M, T any](table, name string) NullCustom[M, T] {
	return newColumn[M](table, name, encodeValue[T], ScanValue[T])
}

// NewText makes the column of a type with MarshalText and UnmarshalText.
// Generated code calls it.
func NewText[M, T any](table, name string) Custom[M, T] {
	return newColumn[M](table, name, encodeText[T], ScanText[T])
}

// NewNullText is NewText for a column that may be NULL. It is for generated
// code.
func NewNullText[M, T any](table, name string) NullCustom[M, T] {
	return newColumn[M](table, name, encodeText[T], ScanText[T])
}

// NewID makes the column of 16 bytes. Generated code calls it.
func NewID[M any, T ~[16]byte](table, name string) Custom[M, T] {
	return newColumn[M](table, name, encodeID[T], ScanID[T])
}

// NewNullID is NewID for a column that may be NULL. It is for generated code.
func NewNullID[M any, T ~[16]byte](table, name string) NullCustom[M, T] {
	return newColumn[M](table, name, encodeID[T], ScanID[T])
}

// NewUint makes the column of a uint64, stored as 20 digits, which sort as the
// numbers do. Generated code calls it.
func NewUint[M any, T ~uint | ~uint64](table, name string) Custom[M, T] {
	return newColumn[M](table, name, encodeUint[T], ScanUint[T])
}

// NewNullUint is NewUint for a column that may be NULL. It is for generated
// code.
func NewNullUint[M any, T ~uint | ~uint64](table, name string) NullCustom[M, T] {
	return newColumn[M](table, name, encodeUint[T], ScanUint[T])
}

func encodeID[T ~[16]byte](v T) (driver.Value, error) { return bytes16(v), nil }

func encodeUint[T ~uint | ~uint64](v T) (driver.Value, error) { return digits(uint64(v)), nil }

func bytes16[T ~[16]byte](v T) []byte {
	b := [16]byte(v)
	return b[:]
}

func digits(v uint64) string { return fmt.Sprintf("%020d", v) }

// encodeValue asks v, or a pointer to it, for its driver.Value.
func encodeValue[T any](v T) (driver.Value, error) {
	valuer, ok := any(v).(driver.Valuer)
	if !ok {
		valuer, ok = any(&v).(driver.Valuer)
	}
	if !ok {
		return nil, fmt.Errorf("%T has no method Value", v)
	}
	x, err := valuer.Value()
	if err != nil {
		return nil, err
	}
	return encodeOne(x)
}

func encodeText[T any](v T) (driver.Value, error) {
	m, ok := any(v).(encoding.TextMarshaler)
	if !ok {
		m, ok = any(&v).(encoding.TextMarshaler)
	}
	if !ok {
		return nil, fmt.Errorf("%T has no method MarshalText", v)
	}
	b, err := m.MarshalText()
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

// ScanValue reads a column with the field's own Scan. NULL is an error unless
// the column may be NULL. It is for generated code.
func ScanValue[T any](r *Row, i int, dst *T) {
	if r.values[i] == nil {
		r.wrong(i, "")
		return
	}
	ScanNilValue(r, i, dst)
}

// ScanNilValue reads a column with the field's own Scan, which takes NULL too.
// It is for generated code.
func ScanNilValue[T any](r *Row, i int, dst *T) {
	if r.skip(i) {
		return
	}
	s, ok := any(dst).(sql.Scanner)
	if !ok {
		r.fail(i, fmt.Errorf("%T has no method Scan", dst))
		return
	}
	v := r.values[i]
	if b, ok := v.([]byte); ok {
		v = append([]byte{}, b...) // Scan may keep it
	}
	if err := s.Scan(v); err != nil {
		r.fail(i, refused("Scan", dst, err))
	}
}

// refusal is what a type of the application says of a stored value. Its text may
// quote the value, as that of netip.Addr does, so it is left out of ours:
// errors.Is and errors.As find it.
type refusal struct {
	what string
	err  error
}

func refused[T any](method string, dst *T, err error) error {
	return refusal{fmt.Sprintf("%s of %T refuses what is stored", method, *dst), err}
}

func (r refusal) Error() string { return r.what }

func (r refusal) Unwrap() error { return r.err }

// ScanNullValue reads a column with the field's own Scan; NULL is nil. It is
// for generated code.
func ScanNullValue[T any](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanValue[T]) }

// ScanText reads a TEXT column with the field's own UnmarshalText. It is for
// generated code.
func ScanText[T any](r *Row, i int, dst *T) {
	s, ok := r.values[i].(string)
	if !ok {
		r.wrong(i, "text")
		return
	}
	u, ok := any(dst).(encoding.TextUnmarshaler)
	if !ok {
		r.fail(i, fmt.Errorf("%T has no method UnmarshalText", dst))
		return
	}
	if err := u.UnmarshalText([]byte(s)); err != nil {
		r.fail(i, refused("UnmarshalText", dst, err))
	}
}

// ScanNullText reads a TEXT column with the field's own UnmarshalText; NULL is
// nil. It is for generated code.
func ScanNullText[T any](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanText[T]) }

// ScanID reads a BLOB of 16 bytes. It is for generated code.
func ScanID[T ~[16]byte](r *Row, i int, dst *T) {
	b, ok := r.values[i].([]byte)
	if !ok || len(b) != 16 {
		r.wrong(i, "16 bytes")
		return
	}
	*dst = T([16]byte(b))
}

// ScanNullID reads a BLOB of 16 bytes; NULL is nil. It is for generated code.
func ScanNullID[T ~[16]byte](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanID[T]) }

// ScanUint reads a number stored as digits. It is for generated code.
func ScanUint[T ~uint | ~uint64](r *Row, i int, dst *T) {
	s, ok := r.values[i].(string)
	if !ok {
		r.wrong(i, "digits")
		return
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || uint64(T(n)) != n {
		r.fail(i, errors.New("the stored text is not a number that fits the field"))
		return
	}
	*dst = T(n)
}

// ScanNullUint reads a number stored as digits; NULL is nil. It is for
// generated code.
func ScanNullUint[T ~uint | ~uint64](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanUint[T]) }

// ScanValid reads a column into the value and the flag of a sql.Null or one of
// its older kin. It is for generated code.
func ScanValid[T any](r *Row, i int, dst *T, valid *bool, scan func(*Row, int, *T)) {
	if r.skip(i) {
		return
	}
	var zero T
	*dst, *valid = zero, r.values[i] != nil
	if *valid {
		scan(r, i, dst)
	}
}

func bindEncoded[T any](a *Args, v T, encode func(T) (driver.Value, error)) {
	x, err := encode(v)
	if err != nil {
		a.fail(err)
	}
	a.add(x)
}

var errNullFromValue = errors.New("Value returned nil for a column that is NOT NULL: make the field a pointer, or add the item null")

// BindValue binds what the field's own Value returns, which is not nil. It is
// for generated code.
func BindValue[T any](a *Args, v T) {
	x, err := encodeValue(v)
	if err == nil && x == nil {
		err = errNullFromValue
	}
	if err != nil {
		a.fail(err)
	}
	a.add(x)
}

// BindNilValue binds what the field's own Value returns; nil is NULL. It is for
// generated code.
func BindNilValue[T any](a *Args, v T) { bindEncoded(a, v, encodeValue[T]) }

// BindNullValue binds what the field's own Value returns: a nil field is NULL.
// It is for generated code.
func BindNullValue[T any](a *Args, v *T) { bindNull(a, v, BindValue[T]) }

// BindText binds what the field's own MarshalText returns. It is for generated
// code.
func BindText[T any](a *Args, v T) { bindEncoded(a, v, encodeText[T]) }

// BindNullText binds what the field's own MarshalText returns: nil is NULL. It
// is for generated code.
func BindNullText[T any](a *Args, v *T) { bindNull(a, v, BindText[T]) }

// BindID binds 16 bytes. It is for generated code.
func BindID[T ~[16]byte](a *Args, v T) { a.add(bytes16(v)) }

// BindNullID binds 16 bytes: nil is NULL. It is for generated code.
func BindNullID[T ~[16]byte](a *Args, v *T) { bindNull(a, v, BindID[T]) }

// BindUint binds a number as digits. It is for generated code.
func BindUint[T ~uint | ~uint64](a *Args, v T) { a.add(digits(uint64(v))) }

// BindNullUint binds a number as digits: nil is NULL. It is for generated code.
func BindNullUint[T ~uint | ~uint64](a *Args, v *T) { bindNull(a, v, BindUint[T]) }

// BindValid binds the value of a sql.Null or one of its older kin; NULL if it
// is not valid. It is for generated code.
func BindValid[T any](a *Args, v T, valid bool, bind func(*Args, T)) {
	if !valid {
		a.add(nil)
		return
	}
	bind(a, v)
}

// FillID7 gives a zero id of 16 bytes a new UUIDv7. It is for generated code.
func FillID7[T ~[16]byte](f *Fill, id *T) { fillID(f, id, uuid.NewV7) }

// FillID4 gives a zero id of 16 bytes a new random UUID. It is for generated
// code.
func FillID4[T ~[16]byte](f *Fill, id *T) { fillID(f, id, uuid.NewRandom) }

func fillID[T ~[16]byte](f *Fill, id *T, fresh func() (uuid.UUID, error)) {
	var zero T
	if *id != zero || f.keep {
		return
	}
	u, err := fresh()
	if err != nil {
		f.err = errors.Join(f.err, fmt.Errorf("make an id: %w", err))
		return
	}
	*id = T(u)
}
