package orm

import (
	"bytes"
	"database/sql"
	"encoding"
	"reflect"
)

// ClonePtrBy returns a pointer to a copy of *p that clone has made. Generated
// code calls it.
func ClonePtrBy[T any](p *T, clone func(T) T) *T {
	if p == nil {
		return nil
	}
	return new(clone(*p))
}

// CloneValue returns a deep copy of v by way of its own Value and Scan; what
// they refuse is returned as it is. Generated code calls it.
func CloneValue[T any](v T) T {
	if isNil(v) {
		return v
	}
	x, err := encodeValue(v)
	if err != nil {
		return v
	}
	if b, ok := x.([]byte); ok {
		x = bytes.Clone(b) // Value may have returned v's own, and Scan may keep it
	}
	var c T
	if s, ok := any(&c).(sql.Scanner); !ok || s.Scan(x) != nil {
		return v
	}
	return c
}

// CloneText returns a deep copy of v by way of its own MarshalText and
// UnmarshalText; what they refuse is returned as it is. Generated code calls it.
func CloneText[T any](v T) T {
	if isNil(v) {
		return v
	}
	x, err := encodeText(v)
	text, isText := x.(string)
	if err != nil || !isText {
		return v
	}
	var c T
	if u, ok := any(&c).(encoding.TextUnmarshaler); !ok || u.UnmarshalText([]byte(text)) != nil {
		return v
	}
	return c
}

func isNil[T any](v T) bool {
	r := reflect.ValueOf(&v).Elem()
	switch r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return r.IsNil()
	}
	return false
}
