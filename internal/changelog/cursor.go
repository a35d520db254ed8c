package changelog

import (
	"fmt"
	"strconv"
	"strings"
)

// cursor reads a document from front to back. After its first error it stays
// where it is.
type cursor struct {
	s   string
	i   int
	err error
}

// fail keeps the first error. It names the place only: a document holds rows.
func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("byte %d: %s: %w", c.i, what, ErrBatch)
	}
}

// lit reads exactly s.
func (c *cursor) lit(s string) {
	if c.err != nil {
		return
	}
	if !strings.HasPrefix(c.s[c.i:], s) {
		c.fail("want " + s)
		return
	}
	c.i += len(s)
}

// has says that the next byte is b.
func (c *cursor) has(b byte) bool { return c.err == nil && c.i < len(c.s) && c.s[c.i] == b }

// integer reads an integer from low to high.
func (c *cursor) integer(low, high int64) int64 {
	if c.err != nil {
		return 0
	}
	begin, i := c.i, c.i
	negative := i < len(c.s) && c.s[i] == '-'
	if negative {
		i++
	}
	first := i
	var n int64
	for i < len(c.s) && '0' <= c.s[i] && c.s[i] <= '9' && i-first < 19 {
		n = n*10 + int64(c.s[i]-'0')
		i++
	}
	if i == first || c.s[first] == '0' && (i > first+1 || negative) {
		c.fail("want an integer")
		return 0
	}
	if i-first > 18 { // may have overflowed
		var err error
		if n, err = strconv.ParseInt(c.s[first:i], 10, 64); err != nil {
			c.fail("the integer is out of range")
			return 0
		}
	}
	if negative {
		n = -n
	}
	if n < low || n > high {
		c.fail("the integer is out of range")
		return 0
	}
	if c.i = i; begin == i {
		c.fail("want an integer")
	}
	return n
}

// name reads a database or node name up to its quote.
func (c *cursor) name() string {
	if c.err != nil {
		return ""
	}
	end := strings.IndexByte(c.s[c.i:], '"')
	if end < 1 || end > 63 {
		c.fail("want a name of 1 to 63 bytes")
		return ""
	}
	s := c.s[c.i : c.i+end]
	for i := range len(s) {
		letter := 'a' <= s[i] && s[i] <= 'z' || '0' <= s[i] && s[i] <= '9'
		if !letter && (i == 0 || s[i] != '.' && s[i] != '_' && s[i] != '-') {
			c.fail("want a name of lower-case letters, digits, '.', '_' and '-'")
			return ""
		}
	}
	if strings.Contains(s, "..") {
		c.fail("a name holds no '..'")
		return ""
	}
	c.i += end
	return s
}

func (c *cursor) hash() Hash {
	if c.err != nil {
		return Hash{}
	}
	if len(c.s)-c.i < 64 {
		c.fail("want a hash")
		return Hash{}
	}
	h, err := ParseHash(c.s[c.i : c.i+64])
	if err != nil {
		c.fail("want a hash")
		return Hash{}
	}
	c.i += 64
	return h
}

// text reads a string that is not empty, in its canonical form.
func (c *cursor) text() string {
	if c.err != nil {
		return ""
	}
	if !c.has('"') {
		c.fail("want a string")
		return ""
	}
	end, invalid, err := scanString(c.s, c.i)
	if err != nil || invalid || end == c.i+2 {
		c.fail("want a string")
		return ""
	}
	token := c.s[c.i:end]
	s := unquote(token)
	if strings.IndexByte(token, '\\') >= 0 && string(AppendString(nil, s)) != token {
		c.fail("the string is not in its canonical form")
		return ""
	}
	c.i = end
	return s
}

// names reads an array of distinct strings.
func (c *cursor) names() []string {
	c.lit(`[`)
	list := []string{}
	seen := map[string]bool{}
	for c.err == nil && !c.has(']') {
		if len(list) > 0 {
			c.lit(`,`)
		}
		n := c.text()
		if c.err == nil && (seen[n] || len(list) == maxColumns) {
			c.fail("a column stands twice, or there are too many")
		}
		seen[n] = true
		list = append(list, n)
	}
	c.lit(`]`)
	return list
}

// values reads an array of value tokens into dst.
func (c *cursor) values(dst []string) []string {
	dst = dst[:0]
	c.lit(`[`)
	for c.err == nil && !c.has(']') {
		if len(dst) > 0 {
			c.lit(`,`)
			if c.err != nil {
				return dst
			}
		}
		end, _, invalid, err := scanToken(c.s, c.i)
		if err != nil || invalid || len(dst) == maxColumns {
			c.fail("want a value")
			return dst
		}
		dst = append(dst, c.s[c.i:end])
		c.i = end
	}
	c.lit(`]`)
	return dst
}

// object reads a JSON object without looking into it.
func (c *cursor) object() string {
	if c.err != nil {
		return ""
	}
	depth := 0
	for i := c.i; i < len(c.s); i++ {
		switch c.s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end, _, err := scanString(c.s, i)
			if err != nil {
				c.fail("want an object")
				return ""
			}
			i = end - 1
		}
		if depth == 0 {
			if c.s[c.i] != '{' {
				break
			}
			s := c.s[c.i : i+1]
			c.i = i + 1
			return s
		}
	}
	c.fail("want an object")
	return ""
}
