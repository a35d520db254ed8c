package orm

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
)

// ErrBadCursor is a cursor that was made for another order of another query, or
// that was changed on its way.
var ErrBadCursor = errors.New("the cursor does not belong to this query: begin again with an empty one")

const (
	cursorVersion = 1
	cursorSum     = 8 // bytes of checksum
)

// Kinds of values in a cursor.
const (
	cursorNull = iota
	cursorInt
	cursorReal
	cursorText
	cursorBlob
)

// encodeCursor makes a cursor of the values of the order's columns. Its
// checksum covers the order too: a cursor fits the order it was made for.
func encodeCursor(order []orderTerm, values []driver.Value) Cursor {
	b := []byte{cursorVersion}
	for _, v := range values {
		switch x := v.(type) {
		case int64:
			b = binary.AppendVarint(append(b, cursorInt), x)
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, cursorReal), math.Float64bits(x))
		case string:
			b = append(binary.AppendUvarint(append(b, cursorText), uint64(len(x))), x...)
		case []byte:
			b = append(binary.AppendUvarint(append(b, cursorBlob), uint64(len(x))), x...)
		default:
			b = append(b, cursorNull)
		}
	}
	return Cursor(base64.RawURLEncoding.EncodeToString(append(b, cursorCheck(order, b)...)))
}

// cursorCheck sums what a cursor holds and which order it belongs to.
func cursorCheck(order []orderTerm, b []byte) []byte {
	h := sha256.New()
	for _, o := range order {
		h.Write([]byte(o.e.col.table + "\x00" + o.e.col.name + "\x00" + map[bool]string{true: "desc", false: "asc"}[o.desc] + "\x00"))
	}
	h.Write(b)
	return h.Sum(nil)[:cursorSum]
}

// decode returns the values that encodeCursor was given.
func (c Cursor) decode(order []orderTerm) ([]driver.Value, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(c))
	if err != nil || len(b) < 1+cursorSum || b[0] != cursorVersion {
		return nil, ErrBadCursor
	}
	body, sum := b[:len(b)-cursorSum], b[len(b)-cursorSum:]
	if string(cursorCheck(order, body)) != string(sum) {
		return nil, ErrBadCursor
	}
	rest := body[1:]
	values := make([]driver.Value, 0, len(order))
	for len(rest) > 0 && len(values) < len(order) {
		v, n := cursorValue(rest)
		if n <= 0 {
			return nil, ErrBadCursor
		}
		values, rest = append(values, v), rest[n:]
	}
	if len(rest) > 0 || len(values) != len(order) {
		return nil, ErrBadCursor
	}
	return values, nil
}

// cursorValue reads the first value of b and returns how many bytes it took, 0
// for none.
func cursorValue(b []byte) (driver.Value, int) {
	kind, b := b[0], b[1:]
	switch kind {
	case cursorNull:
		return nil, 1
	case cursorInt:
		v, n := binary.Varint(b)
		if n <= 0 {
			return nil, 0
		}
		return v, 1 + n
	case cursorReal:
		if len(b) < 8 {
			return nil, 0
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), 9
	case cursorText, cursorBlob:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, 0
		}
		v := b[n : n+int(size)]
		if kind == cursorText {
			return string(v), 1 + n + len(v)
		}
		return append([]byte{}, v...), 1 + n + len(v)
	}
	return nil, 0
}
