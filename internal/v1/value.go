package v1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// bound is what a value of a log was bound as: every number is a double, as the
// original's driver has it.
func (r *Replayer) bound(raw json.RawMessage) (any, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, ErrFormat
	}
	switch raw[0] {
	case 'n':
		return nil, nil
	case 't':
		return float64(1), nil
	case 'f':
		return float64(0), nil
	case '"':
		s, lone, err := unquote(raw)
		if lone {
			r.report.LoneSurrogates++
		}
		if dateLike(s) {
			r.report.Dates++
		}
		return s, err
	case '{':
		if b, ok := buffer(raw); ok {
			return b, nil
		}
		return string(raw), nil
	case '[':
		return string(raw), nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return nil, fmt.Errorf("a number: %w", ErrFormat)
	}
	return f, nil
}

// buffer reads {"type":"Buffer","data":[0,1,255]}.
func buffer(raw json.RawMessage) ([]byte, bool) {
	var b struct {
		Type string `json:"type"`
		Data []int  `json:"data"`
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) != 2 || json.Unmarshal(raw, &b) != nil || b.Type != "Buffer" || b.Data == nil {
		return nil, false
	}
	out := make([]byte, len(b.Data))
	for i, v := range b.Data {
		if v < 0 || v > 255 {
			return nil, false
		}
		out[i] = byte(v)
	}
	return out, true
}

// unquote decodes a JSON string. Half of a surrogate pair becomes the three
// bytes that the original's driver stores for it, which are not valid UTF-8.
func unquote(raw []byte) (s string, lone bool, err error) {
	if !json.Valid(raw) {
		return "", false, ErrFormat
	}
	b := make([]byte, 0, len(raw))
	raw = raw[1 : len(raw)-1]
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'u':
			u := hex4(raw[i+2:])
			i += 6
			if u >= 0xD800 && u < 0xDC00 && len(raw) >= i+6 && raw[i] == '\\' && raw[i+1] == 'u' {
				if low := hex4(raw[i+2:]); low >= 0xDC00 && low < 0xE000 {
					b = utf8.AppendRune(b, (u-0xD800)<<10+(low-0xDC00)+0x10000)
					i += 6
					continue
				}
			}
			if u >= 0xD800 && u < 0xE000 {
				lone = true
				b = append(b, 0xE0|byte(u>>12), 0x80|byte(u>>6&0x3F), 0x80|byte(u&0x3F))
				continue
			}
			b = utf8.AppendRune(b, u)
			continue
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
		default:
			b = append(b, c)
		}
		i += 2
	}
	return string(b), lone, nil
}

// hex4 reads four hexadecimal digits, which json.Valid has seen.
func hex4(b []byte) (u rune) {
	for _, c := range b[:4] {
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		u = u<<4 | rune(c)
	}
	return u
}

// dateLike says whether s is what JSON makes of a Date.
func dateLike(s string) bool {
	if len(s) != len("2006-01-02T15:04:05.000Z") {
		return false
	}
	for i, c := range "0000-00-00T00:00:00.000Z" {
		if digit := s[i] >= '0' && s[i] <= '9'; c == '0' && !digit || c != '0' && rune(s[i]) != c {
			return false
		}
	}
	return true
}
