package orm

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// decodeJSON is json.Unmarshal that loses no integer: one that a float64 cannot
// hold is a json.Number where the Go type leaves the choice, as in map[string]any.
// Everything else is what encoding/json makes of it.
func decodeJSON[T any](text []byte, into *T) error {
	if err := json.Unmarshal(text, into); err != nil || !longDigits(text) {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v T
	if err := dec.Decode(&v); err != nil { // a type with its own UnmarshalJSON, which takes no json.Number
		return nil //nolint:nilerr // what was decoded above stays
	}
	settle(reflect.ValueOf(&v).Elem())
	*into = v
	return nil
}

// longDigits says whether text may have a number that a float64 cannot hold:
// every integer of 15 digits fits.
func longDigits(text []byte) bool {
	n := 0
	for _, c := range text {
		if n++; c < '0' || c > '9' {
			n = 0
		} else if n > 15 {
			return true
		}
	}
	return false
}

// settle makes a float64 of every json.Number that stands in an interface and
// loses nothing by it.
func settle(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if n, ok := reflect.TypeAssert[json.Number](v.Elem()); ok {
			if f, err := n.Float64(); err == nil && !rounds(string(n), f) && v.CanSet() {
				v.Set(reflect.ValueOf(f))
			}
			return
		}
		settle(v.Elem())
	case reflect.Pointer:
		if !v.IsNil() {
			settle(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			settle(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				settle(v.Field(i))
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); { // the values of a map cannot be set where they are
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(it.Value())
			settle(e)
			v.SetMapIndex(it.Key(), e)
		}
	}
}

// rounds says whether n is an integer that f is not written as again: beyond 2^53
// encoding/json writes the shortest digits that lead to f, not those of its value.
func rounds(n string, f float64) bool {
	if strings.ContainsAny(n, ".eE") {
		return false // a double is what it is for
	}
	return strconv.FormatFloat(f, 'f', -1, 64) != n
}
