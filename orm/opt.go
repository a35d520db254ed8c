package orm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Opt is a value that may be absent: a member that a patch in JSON does not
// have. Absent is not null: an Opt[*T] that is present may hold nil. The zero Opt
// is absent. In JSON use it with omitzero.
type Opt[T any] struct {
	v   T
	set bool
}

// Some returns an Opt that holds v.
func Some[T any](v T) Opt[T] { return Opt[T]{v, true} }

// Get returns the value and whether it is present.
func (o Opt[T]) Get() (T, bool) { return o.v, o.set }

// IsZero says whether the value is absent.
func (o Opt[T]) IsZero() bool { return !o.set }

// MarshalJSON implements json.Marshaler; an absent value is null, where the
// field has no omitzero.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.set {
		return []byte("null"), nil
	}
	return json.Marshal(o.v)
}

// errNullValue says that JSON has null where a value must be.
var errNullValue = errors.New("null where a value is needed: leave the member out to leave the column as it is")

// UnmarshalJSON implements json.Unmarshaler. null is a value of types that have
// nil, and an error for others.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	var v T
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		switch reflect.TypeFor[T]().Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		default:
			return fmt.Errorf("%w (%s)", errNullValue, reflect.TypeFor[T]())
		}
	}
	if err := decodeJSON(b, &v); err != nil {
		return err
	}
	o.v, o.set = v, true
	return nil
}

// PatchSet is the setter of a member of a patch, nothing if it is absent.
// Generated code calls it.
func PatchSet[M, T any](o Opt[T], set func(T) Set[M]) Set[M] {
	if v, ok := o.Get(); ok {
		return set(v)
	}
	return Set[M]{}
}

// PatchSets leaves out the setters of absent members. Generated code calls it.
func PatchSets[M any](all ...Set[M]) []Set[M] {
	sets := make([]Set[M], 0, len(all))
	for _, s := range all {
		if s.col.name != "" || s.err != nil {
			sets = append(sets, s)
		}
	}
	return sets
}

// ClonePtr returns a pointer to a copy of *p. Generated code calls it.
func ClonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// IsZero says whether *v is the zero value of its type. Generated code calls it.
func IsZero[T any](v *T) bool { return reflect.ValueOf(v).Elem().IsZero() }
