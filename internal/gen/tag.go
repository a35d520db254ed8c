package gen

import (
	"go/token"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/driftdb/driftdb/schema"
)

const tagKey = "drift"

// literal is the struct tag of a field as it stands in the source.
type literal struct {
	source string         // the literal with its quotes; "" when the field stands in another package
	pos    token.Position // of the literal, or of what to blame instead
	text   string         // the tag
	offs   []int          // for each byte of text and its end, the offset in source
}

// newLiteral reads a tag literal. The parser has accepted it.
func newLiteral(source string, pos token.Position) literal {
	l := literal{source: source, pos: pos}
	l.text, l.offs = unquote(source)
	return l
}

// at returns the place of byte i of the tag in the source file.
func (l literal) at(i int) token.Position {
	p := l.pos
	if l.source == "" || i < 0 || i >= len(l.offs) {
		return p
	}
	before := l.source[:l.offs[i]]
	p.Offset += len(before)
	if n := strings.Count(before, "\n"); n > 0 {
		p.Line += n
		p.Column = len(before) - strings.LastIndexByte(before, '\n')
	} else {
		p.Column += len(before)
	}
	return p
}

// unquote returns the string that a valid Go string literal stands for, and
// for each of its bytes, and its end, the offset in the literal.
func unquote(lit string) (string, []int) {
	if len(lit) < 2 {
		return "", []int{0}
	}
	body := lit[1 : len(lit)-1]
	var text []byte
	var offs []int
	if lit[0] == '`' {
		for i := range len(body) {
			offs = append(offs, i+1)
		}
		return body, append(offs, len(body)+1)
	}
	for rest := body; rest != ""; {
		off := 1 + len(body) - len(rest)
		r, multi, tail, err := strconv.UnquoteChar(rest, lit[0])
		if err != nil {
			break
		}
		n := len(text)
		if !multi && r <= 0xff {
			text = append(text, byte(r&0xff)) // a byte, which \x and octal escapes can write
		} else {
			text = utf8.AppendRune(text, r)
		}
		for range len(text) - n {
			offs = append(offs, off)
		}
		rest = tail
	}
	return string(text), append(offs, len(lit)-1)
}

// item is one item of a drift tag with its place.
type item struct {
	schema.Item
	pos   token.Position // of the key
	value token.Position // of the value
}

// fieldTag is the drift tag of a field.
type fieldTag struct {
	pos   token.Position // of its text, or of the field when it has none
	found bool           // it has one, though it may be empty
	items []item
}

// has returns the first item with the key.
func (t *fieldTag) has(key string) bool { return t.get(key) != nil }

func (t *fieldTag) get(key string) *item {
	for i := range t.items {
		if t.items[i].Key == key {
			return &t.items[i]
		}
	}
	return nil
}

// readTag finds the drift tag in the literal of a field and splits it. It
// reports what reflect would silently skip.
func readTag(r *reporter, l literal, field token.Position) fieldTag {
	t := fieldTag{pos: field}
	for i := 0; i < len(l.text); {
		if l.text[i] == ' ' {
			i++
			continue
		}
		start := i
		for i < len(l.text) && l.text[i] > ' ' && l.text[i] != ':' && l.text[i] != '"' && l.text[i] != 0x7f {
			i++
		}
		key := l.text[start:i]
		end := quotedEnd(l.text, i+1)
		if key == "" || i >= len(l.text) || l.text[i] != ':' || end < 0 {
			if strings.Contains(l.text[start:], tagKey) {
				r.errorf(l.at(start), "malformed struct tag: write `key:\"value\" key:\"value\"`, without a space after the colon")
			}
			return t
		}
		value, offs := unquote(l.text[i+1 : end])
		switch {
		case key != tagKey:
			if key != "json" && schema.Nearest(key, []string{tagKey}) != "" {
				r.warnf(l.at(start), "struct tag key %q; did you mean %q?", key, tagKey)
			}
		case t.found:
			r.errorf(l.at(start), "second drift tag on one field: join them with a comma")
		default:
			place := func(n int) token.Position {
				if n < 0 || n >= len(offs) {
					n = len(offs) - 1
				}
				return l.at(i + 1 + offs[n])
			}
			t = fieldTag{pos: place(0), found: true}
			t.items = readItems(r, value, place)
		}
		i = end
	}
	return t
}

// quotedEnd returns the offset after the interpreted string literal that
// begins at text[i], or -1.
func quotedEnd(text string, i int) int {
	if i >= len(text) || text[i] != '"' {
		return -1
	}
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '\\':
			j++
		case '"':
			if _, err := strconv.Unquote(text[i : j+1]); err != nil {
				return -1
			}
			return j + 1
		}
	}
	return -1
}
