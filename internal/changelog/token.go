package changelog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A token is one value as text: what the log's JSON has after a colon and a
// batch between two commas. Encoding copies tokens, so no value is altered on
// the way; only Value turns one into a Go value.

// kind is what a token holds.
type kind byte

const (
	kindNull kind = iota
	kindInt
	kindReal
	kindText
	kindBlob    // {"x":"<hex>"}
	kindHexText // {"t":"<hex>"}: TEXT that is not valid UTF-8; in batches only
)

var errToken = errors.New("not a value")

// scanToken finds the end of the token that begins at s[i] and checks it.
// invalid says that a text is not valid UTF-8.
func scanToken(s string, i int) (end int, k kind, invalid bool, err error) {
	if i >= len(s) {
		return i, 0, false, errToken
	}
	switch c := s[i]; {
	case c == '"':
		end, invalid, err = scanString(s, i)
		return end, kindText, invalid, err
	case c == '-' || '0' <= c && c <= '9':
		end, k, err = scanNumber(s, i)
		return end, k, false, err
	case strings.HasPrefix(s[i:], "null"):
		return i + 4, kindNull, false, nil
	case c == '{':
		end, k, err = scanHex(s, i)
		return end, k, false, err
	}
	return i, 0, false, errToken
}

// scanString finds the end of the JSON string that begins at s[i].
func scanString(s string, i int) (end int, invalid bool, err error) {
	begin := i
	ascii := true
	for i++; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, !ascii && !utf8.ValidString(s[begin:i]), nil
		case c == '\\':
			n := escapeLen(s[i:])
			if n == 0 {
				return i, false, errToken
			}
			i += n - 1
		case c < ' ':
			return i, false, errToken
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return i, false, errToken
}

// escapeLen returns the length of the escape that s begins with, 0 if it is
// none. Half a surrogate pair is none.
func escapeLen(s string) int {
	if len(s) < 2 {
		return 0
	}
	if strings.IndexByte(`"\/bfnrt`, s[1]) >= 0 {
		return 2
	}
	r, ok := hexRune(s)
	switch {
	case !ok || 0xdc00 <= r && r < 0xe000:
		return 0
	case 0xd800 <= r && r < 0xdc00:
		if low, ok := hexRune(s[6:]); ok && 0xdc00 <= low && low < 0xe000 {
			return 12
		}
		return 0
	}
	return 6
}

// hexRune reads the \uXXXX that s begins with.
func hexRune(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// scanNumber finds the end of the number that begins at s[i]: an integer of 64
// bits, or a real, which has a point or an exponent. Only 9e999 and -9e999 are
// infinite.
func scanNumber(s string, i int) (end int, k kind, err error) {
	begin := i
	if s[i] == '-' {
		i++
	}
	first := i
	i = digits(s, i)
	if i == first || s[first] == '0' && i > first+1 {
		return i, 0, errToken
	}
	k = kindInt
	if i < len(s) && s[i] == '.' {
		k = kindReal
		n := digits(s, i+1)
		if n == i+1 {
			return i, 0, errToken
		}
		i = n
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		k = kindReal
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		n := digits(s, i)
		if n == i {
			return i, 0, errToken
		}
		i = n
	}
	if k == kindInt && i-begin > 18 { // fewer digits always fit
		if _, err := strconv.ParseInt(s[begin:i], 10, 64); err != nil {
			return i, 0, errToken
		}
	}
	if s[begin:i] == "-0" {
		return i, 0, errToken // no INTEGER
	}
	return i, k, nil
}

func digits(s string, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i
}

// scanHex finds the end of the {"x":"…"} or {"t":"…"} that begins at s[i]. The
// digits are upper case, as SQLite's hex() writes them.
func scanHex(s string, i int) (end int, k kind, err error) {
	switch {
	case strings.HasPrefix(s[i:], `{"x":"`):
		k = kindBlob
	case strings.HasPrefix(s[i:], `{"t":"`):
		k = kindHexText
	default:
		return i, 0, errToken
	}
	begin := i + len(`{"x":"`)
	i = begin
	for i < len(s) && ('0' <= s[i] && s[i] <= '9' || 'A' <= s[i] && s[i] <= 'F') {
		i++
	}
	if (i-begin)%2 != 0 || !strings.HasPrefix(s[i:], `"}`) {
		return i, 0, errToken
	}
	if k == kindHexText {
		b, err := hex.DecodeString(s[begin:i])
		if err != nil || utf8.Valid(b) { // valid text stands as a string
			return i, 0, errToken
		}
	}
	return i + 2, k, nil
}

// unquote returns what the JSON string token stands for; its bytes are taken
// as they are.
func unquote(token string) string {
	s := token[1 : len(token)-1]
	at := strings.IndexByte(s, '\\')
	if at < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for at >= 0 {
		b = append(b, s[:at]...)
		s = s[at:]
		n := 2
		switch s[1] {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			n = 6
			r, _ := hexRune(s)
			if 0xd800 <= r && r < 0xdc00 {
				low, _ := hexRune(s[6:])
				r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
				n = 12
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, s[1])
		}
		s = s[n:]
		at = strings.IndexByte(s, '\\')
	}
	return string(append(b, s...))
}

// AppendString appends s, valid UTF-8, as a JSON string in its one canonical
// form.
func AppendString(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(b, '"')
}

// appendToken appends a value token of the log as it stands in a batch.
func appendToken(b []byte, token string, invalid bool) []byte {
	if !invalid {
		return append(b, token...)
	}
	b = append(b, `{"t":"`...)
	b = append(b, strings.ToUpper(hex.EncodeToString([]byte(unquote(token))))...)
	return append(b, `"}`...)
}

// value returns what a checked token stands for: nil, int64, float64, string
// or []byte.
func value(token string) (any, error) {
	switch c := token[0]; c {
	case 'n':
		return nil, nil
	case '"':
		return unquote(token), nil
	case '{':
		b, err := hex.DecodeString(token[len(`{"x":"`) : len(token)-len(`"}`)])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errToken, err)
		}
		if token[2] == 't' {
			return string(b), nil
		}
		return b, nil
	}
	if strings.IndexByte(token, '.') < 0 && strings.IndexByte(token, 'e') < 0 && strings.IndexByte(token, 'E') < 0 {
		n, err := strconv.ParseInt(token, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errToken, err)
		}
		return n, nil
	}
	switch token {
	case "9e999", "9.0e+999":
		return math.Inf(1), nil
	case "-9e999", "-9.0e+999":
		return math.Inf(-1), nil
	}
	f, err := strconv.ParseFloat(token, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: a real is out of range", errToken)
	}
	return f, nil
}
