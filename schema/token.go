package schema

import (
	"slices"
	"strings"
)

// token is a word, a name in quotes, a text or a mark of SQL.
type token struct {
	kind       tokenKind
	text       string // a name without its quotes, anything else as it is written
	start, end int    // in the SQL
}

type tokenKind uint8

const (
	wordToken    tokenKind = iota // a keyword, a name or a number
	nameToken                     // a name in quotes
	textToken                     // a literal in single quotes, which stay
	markToken                     // one character of anything else
	commentToken                  // with its marks
)

// tokens splits SQL. White space and comments are left out.
func tokens(sql string) []token {
	all, _ := scan(sql)
	return slices.DeleteFunc(all, func(t token) bool { return t.kind == commentToken })
}

// scan splits SQL, comments included. What is not closed ends with the SQL, and
// closed is false.
func scan(sql string) (all []token, closed bool) {
	closed = true
	for i := 0; i < len(sql); {
		rest := sql[i:]
		c := rest[0]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
		case strings.HasPrefix(rest, "--"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			all = append(all, token{commentToken, rest[:n], i, i + n})
			i += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/") + 4
			if n < 4 {
				n, closed = len(rest), false
			}
			all = append(all, token{commentToken, rest[:n], i, i + n})
			i += n
		case c == '\'' || c == '"' || c == '`' || c == '[':
			n, ok := quoted(rest)
			all = append(all, quotedToken(rest[:n], i))
			i, closed = i+n, closed && ok
		case isWordByte(c):
			n := 1
			for n < len(rest) && isWordByte(rest[n]) {
				n++
			}
			all = append(all, token{wordToken, rest[:n], i, i + n})
			i += n
		default:
			all = append(all, token{markToken, rest[:1], i, i + 1})
			i++
		}
	}
	return all, closed
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quoted returns how long the quoted thing is that s begins with. A doubled
// quote stands for itself.
func quoted(s string) (n int, closed bool) {
	quote := s[0]
	if quote == '[' {
		quote = ']'
	}
	for n = 1; n < len(s); n++ {
		switch {
		case s[n] != quote:
		case quote != ']' && n+1 < len(s) && s[n+1] == quote:
			n++
		default:
			return n + 1, true
		}
	}
	return n, false
}

func quotedToken(s string, at int) token {
	t := token{textToken, s, at, at + len(s)}
	if quote := s[:1]; quote != "'" {
		t.kind = nameToken
		if t.text = s[1:max(1, len(s)-1)]; quote != "[" {
			t.text = strings.ReplaceAll(t.text, quote+quote, quote)
		}
	}
	return t
}

// is says whether the token is the keyword, which is in upper case.
func (t token) is(keyword string) bool {
	return t.kind == wordToken && strings.EqualFold(t.text, keyword)
}

func (t token) mark(m string) bool { return t.kind == markToken && t.text == m }

// Normal is SQL in a form that is the same for texts that SQLite reads alike:
// without comments, with one space between words, names without quotes, and
// in lower case outside of literals. ALTER TABLE writes stored SQL anew with
// other quotes; this does not change what it says.
func Normal(sql string) string {
	all := tokens(sql)
	var b strings.Builder
	for i, t := range all {
		if i > 0 && !t.mark(",") && !t.mark(")") && !all[i-1].mark("(") && !joined(all[i-1], t) {
			b.WriteByte(' ')
		}
		if t.kind == textToken {
			b.WriteString(t.text)
		} else {
			b.WriteString(strings.ToLower(t.text))
		}
	}
	return b.String()
}

// joined says whether two tokens are better read without a space: >= and f(.
func joined(a, b token) bool {
	return a.kind == markToken && b.kind == markToken && a.end == b.start && !b.mark("(") || a.kind == wordToken && b.mark("(") && a.end == b.start ||
		a.mark(".") || b.mark(".")
}

// bare is an expression without the parentheses around all of it.
func bare(expr string) string {
	for {
		expr = strings.TrimSpace(expr)
		if end, err := balanced(expr, 0); err != nil || !strings.HasPrefix(expr, "(") || end != len(expr)-1 {
			return expr
		}
		expr = expr[1 : len(expr)-1]
	}
}

// renamed is an expression in which a column has another name. A function with
// the column's name stays.
func renamed(expr, from, to string) string {
	all := tokens(expr)
	var b strings.Builder
	last := 0
	for i, t := range all {
		call := t.kind == wordToken && i+1 < len(all) && all[i+1].mark("(")
		if t.kind != wordToken && t.kind != nameToken || !strings.EqualFold(t.text, from) || call {
			continue
		}
		b.WriteString(expr[last:t.start] + QuoteIdent(to))
		last = t.end
	}
	return b.String() + expr[last:]
}
