package orm

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Document is what a column of JSON text has.
type Document[M any] interface {
	// Path is a place inside the column's JSON, as SQLite writes it: $ is the
	// whole, $.a.b a member of a member, $[0] the first element, $[#-1] the last,
	// and $."a key" a member whose name has other characters than letters and
	// digits.
	Path(path string) JSONPath[M]
}

// DocumentSettable is what a column of JSON text has that can be set.
type DocumentSettable[M any] interface {
	// SetPath gives the place path inside the column's JSON the value v, as
	// encoding/json encodes it. A member that is not there is added; where the JSON
	// around it is missing nothing changes. A v that the Go type has no place for,
	// after which the row could not be read, is an error.
	SetPath(path string, v any) Set[M]

	// RemovePath removes the place path from the column's JSON, if it is there.
	RemovePath(path string) Set[M]
}

// JSONCol is a column of JSON text without setters.
type JSONCol[M, T any] interface {
	Col[M, T]
	Document[M]
}

// JSON is a column of JSON text, which holds what encoding/json makes of a T. An
// integer that a float64 cannot hold is read as a json.Number where T has an any.
type JSON[M, T any] interface {
	Col[M, T]
	Document[M]
	Settable[M, T]
	DocumentSettable[M]
}

// NewJSON is called by generated code.
func NewJSON[M, T any](table, name string) JSON[M, T] {
	return newColumn[M](table, name, func(v T) (driver.Value, error) { return encodeJSON(v) }, ScanJSON[T])
}

// NullJSONCol is a column of JSON text that may be NULL, without setters.
type NullJSONCol[M, T any] interface {
	Col[M, T]
	Document[M]
	Nullable[M, T]
}

// NullJSON is a column of JSON text that may be NULL. Its setters make what
// encodes as null NULL, as Create does.
type NullJSON[M, T any] interface {
	Col[M, T]
	Document[M]
	Settable[M, T]
	DocumentSettable[M]
	Nullable[M, T]
	NullSettable[M, T]
}

// NewNullJSON is called by generated code.
func NewNullJSON[M, T any](table, name string) NullJSON[M, T] {
	return newColumn[M](table, name, func(v T) (driver.Value, error) { return encodeNilJSON(v) }, ScanJSON[T])
}

func encodeNilJSON(v any) (driver.Value, error) {
	s, err := encodeJSON(v)
	if err != nil || s == "null" {
		return nil, err
	}
	return s, nil
}

func (c *column[M, T]) Path(path string) JSONPath[M] { return JSONPath[M]{c: c.c, path: path} }

func (c *column[M, T]) SetPath(path string, v any) Set[M] {
	return Set[M]{set: c.c.setPath(path, v, reflect.TypeFor[T]())}
}

func (c ref) setPath(path string, v any, field reflect.Type) set {
	text, err := encodeJSON(v)
	if err == nil {
		err = checkPath(path)
	}
	if err == nil {
		err = misfit(path, text, field)
	}
	return set{col: c, sql: "json_set(", self: true, tail: ", ?, json(?))", args: []driver.Value{path, text}, err: errorAt(c, err)}
}

// misfit says why a row could not be read any more whose JSON has text at the place
// path: by a value with nothing but that, decoded as the field is. What a type decodes
// itself is its own affair.
func misfit(path, text string, field reflect.Type) error {
	before, after := "", ""
	for rest := strings.TrimPrefix(path, "$"); rest != ""; {
		if rest[0] == '[' {
			rest, _ = pathIndex(rest[1:])
			before, after = before+"[", "]"+after
			continue
		}
		next, _ := pathMember(rest[1:])
		name := rest[1 : len(rest)-len(next)]
		if name[0] != '"' || !strings.Contains(name, `\`) { // else its escapes are JSON's already
			var err error
			if name, err = encodeJSON(strings.Trim(name, `"`)); err != nil {
				return err
			}
		}
		before, after, rest = before+"{"+name+":", "}"+after, next
	}
	err := json.Unmarshal([]byte(before+text+after), reflect.New(field).Interface())
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("at %s the field cannot hold a %s: a %v belongs there", path, strings.SplitN(kind.Value, " ", 2)[0], kind.Type)
	}
	return nil
}

func (c *column[M, T]) RemovePath(path string) Set[M] {
	err := errorAt(c.c, checkPath(path))
	return Set[M]{set: set{col: c.c, sql: "json_remove(", self: true, tail: ", ?)", args: []driver.Value{path}, err: err}}
}

// JSONPath is a place inside a JSON column.
type JSONPath[M any] struct {
	_    [0]func(M)
	c    ref
	path string
}

// Eq matches rows that have v at the place: a string, number, boolean or nil
// compared as such, anything else as JSON of the same text. nil matches JSON's
// null and not a missing member.
func (p JSONPath[M]) Eq(v any) Cond[M] { return p.compare("=", v) }

// Ne matches rows that have something else than v at the place. A missing
// member does not match.
func (p JSONPath[M]) Ne(v any) Cond[M] { return p.compare("<>", v) }

// Gt matches rows that have a greater number or text at the place.
func (p JSONPath[M]) Gt(v any) Cond[M] { return p.compare(">", v) }

// Gte matches rows that have a number or text at the place that is not smaller.
func (p JSONPath[M]) Gte(v any) Cond[M] { return p.compare(">=", v) }

// Lt matches rows that have a smaller number or text at the place.
func (p JSONPath[M]) Lt(v any) Cond[M] { return p.compare("<", v) }

// Lte matches rows that have a number or text at the place that is not greater.
func (p JSONPath[M]) Lte(v any) Cond[M] { return p.compare("<=", v) }

// Exists matches rows that have anything at the place, null included.
func (p JSONPath[M]) Exists() Cond[M] {
	return p.cond("json_type(%s, ?) IS NOT NULL", []driver.Value{p.path}, nil)
}

// Has matches rows whose array or object at the place has the value v as one of
// its elements or members.
func (p JSONPath[M]) Has(v any) Cond[M] {
	text, err := encodeJSON(v)
	const each = "EXISTS (SELECT 1 FROM json_each(%s, ?) WHERE CASE WHEN type IN ('integer', 'real') THEN json_type(?) IN ('integer', 'real') AND value = json_extract(?, '$')" +
		" ELSE type = json_type(?) AND json_quote(value) = json_quote(json_extract(?, '$')) END)"
	return p.cond(each, []driver.Value{p.path, text, text, text, text}, err)
}

func (p JSONPath[M]) compare(op string, v any) Cond[M] {
	text, err := encodeJSON(v)
	const kind = "CASE WHEN json_type(%s, ?) IN ('integer', 'real') THEN 'number' ELSE json_type(%s, ?) END" +
		" = CASE WHEN json_type(?) IN ('integer', 'real') THEN 'number' ELSE json_type(?) END AND "
	switch {
	case err != nil:
	case text == "null" && op == "=":
		return p.cond("json_type(%s, ?) = 'null'", []driver.Value{p.path}, nil)
	case text == "null" && op == "<>":
		return p.cond("json_type(%s, ?) <> 'null'", []driver.Value{p.path}, nil)
	case text == "null":
		err = errors.New("null has no order")
	case op == "<>": // whatever Eq does not match, if it is there
		eq := p.compare("=", v) // whose path is checked again
		return p.cond("json_type(%s, ?) IS NOT NULL AND NOT coalesce("+eq.n.sql+", 0)", append([]driver.Value{p.path}, eq.n.args...), nil)
	case text == "true" || text == "false":
		if op != "=" {
			err = errors.New("a boolean has no order")
		}
		return p.cond("json_type(%s, ?) = ?", []driver.Value{p.path, text}, err)
	case text[0] == '{' || text[0] == '[':
		if op != "=" {
			err = errors.New("an object or array has no order")
		}
		return p.cond("(%s -> ?) = json(?)", []driver.Value{p.path, text}, err)
	}
	return p.cond(kind+"json_extract(%s, ?) "+op+" json_extract(?, '$')", []driver.Value{p.path, p.path, text, text, p.path, text}, err)
}

// cond makes a condition of SQL in which %s stands for the column. A path that
// SQLite would not take is an error before the statement runs.
func (p JSONPath[M]) cond(sql string, args []driver.Value, err error) Cond[M] {
	if err == nil {
		err = checkPath(p.path)
	}
	return cond[M](&node{op: opOn, col: p.c, sql: sql, args: args, err: errorAt(p.c, err)})
}

var errPath = errors.New("not a JSON path: it begins with $, then .member, .\"member\" or [index]")

// checkPath refuses what SQLite would not take for a path.
func checkPath(path string) error {
	rest, ok := strings.CutPrefix(path, "$")
	for ok && rest != "" {
		switch rest[0] {
		case '.':
			rest, ok = pathMember(rest[1:])
		case '[':
			rest, ok = pathIndex(rest[1:])
		default:
			ok = false
		}
	}
	if !ok || strings.IndexByte(path, 0) >= 0 {
		return errPath
	}
	return nil
}

func pathMember(s string) (rest string, ok bool) {
	if quoted, is := strings.CutPrefix(s, `"`); is {
		name, rest, ok := strings.Cut(quoted, `"`)
		// SQLite stores a name with an escape as it is, one that is none in JSON, too.
		return rest, ok && (!strings.Contains(name, `\`) || json.Valid([]byte(`"`+name+`"`)))
	}
	n := strings.IndexAny(s, ".[")
	if n < 0 {
		n = len(s)
	}
	return s[n:], n > 0 && !strings.ContainsRune(s[:n], '"')
}

func pathIndex(s string) (rest string, ok bool) {
	index, rest, ok := strings.Cut(s, "]")
	digits := strings.TrimPrefix(index, "#-")
	return rest, ok && (index == "#" || digits != "" && len(digits) < 10 && strings.Trim(digits, "0123456789") == "")
}

// encodeJSON returns the JSON of v as one line, as it is stored.
func encodeJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encode as JSON: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// ScanJSON reads a JSON column. It is for generated code.
func ScanJSON[T any](r *Row, i int, dst *T) {
	s, ok := r.values[i].(string)
	if !ok {
		r.wrong(i, "JSON text")
		return
	}
	var v T
	if err := decodeJSON([]byte(s), &v); err != nil {
		r.fail(i, jsonError(err))
		return
	}
	*dst = v
}

// jsonError says where decoding failed without the value it failed on.
func jsonError(err error) error {
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("the stored JSON has a %s where a %v belongs (%s)", strings.SplitN(kind.Value, " ", 2)[0], kind.Type, kind.Field)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("the stored text is not JSON from byte %d on", syntax.Offset)
	}
	return errors.New("the stored JSON does not fit the field")
}

// ScanNilJSON reads a JSON column into a type with nil; NULL is nil. It is for
// generated code.
func ScanNilJSON[T any](r *Row, i int, dst *T) {
	if r.values[i] == nil {
		var zero T
		*dst = zero
		return
	}
	ScanJSON(r, i, dst)
}

// ScanNullJSON reads a JSON column; NULL is nil. It is for generated code.
func ScanNullJSON[T any](r *Row, i int, dst **T) { scanNull(r, i, dst, ScanJSON[T]) }

// BindJSON binds JSON text. It is for generated code.
func BindJSON[T any](a *Args, v T) {
	s, err := encodeJSON(v)
	if err != nil {
		a.fail(err)
	}
	a.add(s)
}

// BindNilJSON binds JSON text; what encodes as null, as nil does, is NULL. It
// is for generated code.
func BindNilJSON[T any](a *Args, v T) {
	s, err := encodeJSON(v)
	if err != nil {
		a.fail(err)
	}
	if s == "null" {
		a.add(nil)
		return
	}
	a.add(s)
}

// BindNullJSON binds JSON text: nil is NULL. It is for generated code.
func BindNullJSON[T any](a *Args, v *T) { bindNull(a, v, BindJSON[T]) }

// CloneJSON returns a deep copy of v by way of JSON, as the column would hold
// it: what is kept out of JSON by the tag json:"-" or by being unexported is
// lost, and an integer in an any that no float64 holds exactly becomes a
// json.Number. What cannot be encoded is returned as it is. Generated code calls
// it.
func CloneJSON[T any](v T) T {
	var c T
	b, err := json.Marshal(v)
	if err != nil || decodeJSON(b, &c) != nil {
		return v
	}
	return c
}
