package orm

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/driftdb/driftdb/schema"
)

func rawText(query string, args []any) (*text, error) {
	if err := oneStatement(query); err != nil {
		return nil, err
	}
	values, err := encodeAny(args)
	if err != nil {
		return nil, err
	}
	t := new(text)
	t.WriteString(query)
	t.bind(values...)
	return t, nil
}

func sameColumns(t *schema.Table, have []string) error {
	if len(have) != len(t.Columns) {
		return fmt.Errorf("the query returns %d columns, %s has %d: select them all", len(have), t.Model, len(t.Columns))
	}
	for i, c := range t.Columns {
		if !strings.EqualFold(have[i], c.Name) {
			return fmt.Errorf("column %d of the query is %s where %s has %s", i+1, have[i], t.Model, c.Name)
		}
	}
	return nil
}

// RawAll runs a query of your own, one statement, and returns its rows as values
// of T: a scalar (one column) or a struct whose fields are found by column name,
// by their drift column item or the snake case of their names. Pointers and
// Scanners such as sql.Null take NULL. ? stands for args in turn; never build
// query from input.
func RawAll[T any](ctx context.Context, r Reader, query string, args ...any) ([]T, error) {
	all := []T{}
	for v, err := range rawEach[T](ctx, r, false, query, args) {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// RawOne is RawAll for a query of one row: ErrNotFound without a row,
// ErrNotUnique with more.
func RawOne[T any](ctx context.Context, r Reader, query string, args ...any) (one T, err error) {
	n := 0
	for v, err := range rawEach[T](ctx, r, false, query, args) {
		if err != nil {
			return one, err
		}
		if n++; n > 1 {
			return one, fmt.Errorf("raw query: %w", ErrNotUnique)
		}
		one = v
	}
	if n == 0 {
		return one, fmt.Errorf("raw query: %w", ErrNotFound)
	}
	return one, nil
}

// RawEach is RawAll row by row: see [Query.Each].
func RawEach[T any](ctx context.Context, r Reader, query string, args ...any) iter.Seq2[T, error] {
	return rawEach[T](ctx, r, true, query, args)
}

// rawEach says with loop whether the body of the loop is the caller's.
func rawEach[T any](ctx context.Context, r Reader, loop bool, query string, args []any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := usable(r)
		var s *text
		if err == nil {
			s, err = rawText(query, args)
		}
		if err == nil {
			var into rawPlan
			var generated *rowReader
			s.head = func(columns []string) (err error) {
				if g, ok := any(new(T)).(RowScanner); ok {
					generated, err = newRowReader(reflect.TypeFor[T](), g.RowColumns(), columns)
					return err
				}
				into, err = planRaw(reflect.TypeFor[T](), columns)
				return err
			}
			err = runRows(ctx, r, loop, s, func(rs *rows) error {
				var v T
				if g, ok := any(&v).(RowScanner); ok && generated != nil {
					if err := generated.read(g, rs.dest); err != nil {
						return err
					}
					if !yield(v, nil) {
						return errBreak
					}
					return nil
				}
				if err := into.read(reflect.ValueOf(&v).Elem(), rs.dest, rs.dr.Columns()); err != nil {
					return err
				}
				if !yield(v, nil) {
					return errBreak
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errBreak) {
			var zero T
			yield(zero, fmt.Errorf("raw query: %w", err))
		}
	}
}

func isTime(t reflect.Type) bool { return t == reflect.TypeFor[time.Time]() }

func isScanner(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[sql.Scanner]())
}

// rawPlan has the path of fields for each column; an empty path is the value
// itself.
type rawPlan [][]int

func planRaw(t reflect.Type, columns []string) (rawPlan, error) {
	if t.Kind() == reflect.Interface {
		return nil, errors.New("an interface cannot hold a row: use a struct")
	}
	if t.Kind() != reflect.Struct || isTime(t) || isScanner(t) {
		if len(columns) != 1 {
			return nil, fmt.Errorf("the query returns %d columns, a %s holds one: use a struct", len(columns), t)
		}
		return rawPlan{nil}, nil
	}
	fields := make(map[string][]int)
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && !f.Anonymous && reachable(t, f.Index) {
			fields[strings.ToLower(rawName(f))] = f.Index
		}
	}
	p := make(rawPlan, len(columns))
	for i, c := range columns {
		path, ok := fields[strings.ToLower(c)]
		if slices.ContainsFunc(columns[:i], func(before string) bool { return strings.EqualFold(before, c) }) {
			return nil, fmt.Errorf("the query returns column %s twice: name one with AS", c)
		}
		if !ok {
			return nil, fmt.Errorf("%s has no field for column %s of the query: name it with AS, or add a field", t, c)
		}
		p[i] = path
	}
	return p, nil
}

// reachable says whether the field at path can be set: reflection cannot make
// an embedded struct behind a pointer whose type is not exported.
func reachable(t reflect.Type, path []int) bool {
	for _, n := range path {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		f := t.Field(n)
		if t = f.Type; t.Kind() == reflect.Pointer && !f.IsExported() {
			return false
		}
	}
	return true
}

func rawName(f reflect.StructField) string {
	items, err := schema.ParseTag(f.Tag.Get("drift"))
	if err == nil {
		for _, it := range items {
			if it.Key == "column" {
				return it.Value
			}
		}
	}
	return schema.SnakeCase(f.Name)
}

func (p rawPlan) read(dst reflect.Value, values []driver.Value, columns []string) error {
	for i, path := range p {
		field := dst
		if len(path) > 0 {
			field = fieldAt(dst, path)
		}
		if err := setRaw(field, values[i]); err != nil {
			return fmt.Errorf("column %s: %w", columns[i], err)
		}
	}
	return nil
}

// fieldAt is FieldByIndex that makes the embedded structs on its way.
func fieldAt(v reflect.Value, path []int) reflect.Value {
	for i, n := range path {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v
}

// setRaw stores a value of the driver; nothing is rounded or cut.
func setRaw(dst reflect.Value, v driver.Value) error {
	if dst.Kind() == reflect.Pointer {
		if v == nil {
			dst.SetZero()
			return nil
		}
		dst.Set(reflect.New(dst.Type().Elem()))
		return setRaw(dst.Elem(), v)
	}
	if scanner, ok := reflect.TypeAssert[sql.Scanner](dst.Addr()); ok {
		return scanner.Scan(v)
	}
	if dst.Kind() == reflect.Interface && dst.NumMethod() == 0 {
		return setAny(dst, v)
	}
	switch x := v.(type) {
	case nil:
		return fmt.Errorf("NULL does not fit the type %s: use a pointer", dst.Type())
	case int64:
		return setInt(dst, x)
	case float64:
		if dst.CanFloat() {
			dst.SetFloat(x)
			return nil
		}
	case string:
		return setText(dst, x)
	case []byte:
		if dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() == reflect.Uint8 {
			dst.SetBytes(append([]byte{}, x...))
			return nil
		}
		return setText(dst, string(x))
	case bool: // of a column declared BOOLEAN
		return setInt(dst, boolean(x))
	case time.Time: // of a column declared DATETIME
		if isTime(dst.Type()) {
			dst.Set(reflect.ValueOf(x))
			return nil
		}
	}
	return fmt.Errorf("a %T does not fit the type %s", v, dst.Type())
}

// setAny stores v as the driver has it; its bytes are copied.
func setAny(dst reflect.Value, v driver.Value) error {
	if b, ok := v.([]byte); ok {
		v = append([]byte{}, b...)
	}
	if v == nil {
		dst.SetZero()
		return nil
	}
	dst.Set(reflect.ValueOf(v))
	return nil
}

func setInt(dst reflect.Value, n int64) error {
	switch {
	case isTime(dst.Type()):
		return errors.New("an integer is no time.Time: read it into an int64 and use time.UnixMilli, or what the column's unit is")
	case dst.CanInt() && !dst.OverflowInt(n):
		dst.SetInt(n)
	case dst.CanUint() && n >= 0 && !dst.OverflowUint(uint64(n)):
		dst.SetUint(uint64(n))
	case dst.CanFloat() && int64(float64(n)) == n:
		dst.SetFloat(float64(n))
	case dst.Kind() == reflect.Bool && (n == 0 || n == 1):
		dst.SetBool(n == 1)
	default:
		return fmt.Errorf("the integer does not fit the type %s", dst.Type())
	}
	return nil
}

func setText(dst reflect.Value, s string) error {
	switch {
	case dst.Kind() == reflect.String:
		dst.SetString(s)
		return nil
	case dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() == reflect.Uint8:
		dst.SetBytes([]byte(s))
		return nil
	}
	return fmt.Errorf("text does not fit the type %s", dst.Type())
}
