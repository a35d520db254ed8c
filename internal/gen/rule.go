package gen

import (
	"go/token"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// defaults reads //drift:defaults, which gives every time of the model a unit.
func (c *collector) defaults(arg string, pos token.Position) string {
	items, err := schema.ParseTag(arg)
	if err != nil || len(items) != 1 || items[0].Key != "time" {
		c.errorf(pos, "//drift:defaults takes time=ms, s, us, ns or rfc3339")
		return ""
	}
	col := column{goType: goType{kind: kindTime}}
	if why := col.applyTime(&item{Item: items[0]}); why != "" {
		c.errorf(pos, "%s", why)
	}
	return col.unit
}

// applyRules reads the directives about columns of m.
func (c *collector) applyRules(m *model, rules []rule) {
	taken := map[string]bool{}
	for _, r := range rules {
		name, body, rest, why := splitRule(r.arg)
		switch {
		case why != "":
		case r.kind == "check":
			why = c.checkRule(m, name, body, rest)
		default:
			why = c.indexRule(m, r, name, body, rest)
		}
		if why != "" {
			c.errorf(r.pos, "//drift:%s %s", r.kind, why)
			continue
		}
		if id := r.kind + " " + name; name != "" && taken[id] {
			c.errorf(r.pos, "//drift:%s %s stands twice", r.kind, name)
		} else {
			taken[id] = true
		}
	}
}

// splitRule reads [name] (body) [rest].
func splitRule(arg string) (name, body, rest, why string) {
	open := strings.IndexByte(arg, '(')
	if open < 0 {
		return "", "", "", "needs parentheses, as in (team_id, created_at DESC) or (age >= 0)"
	}
	name = strings.TrimSpace(arg[:open])
	if name != "" && !isWord(name) {
		return "", "", "", "has the name " + quoted(name) + ": a name is lower case letters, digits and _"
	}
	items, err := schema.ParseTag("x=" + arg[open:])
	if err == nil {
		return name, items[0].Value, "", ""
	}
	// What follows the parenthesis is an item of its own.
	for end := open + 1; end <= len(arg); end++ {
		items, err := schema.ParseTag("x=" + arg[open:end])
		if err == nil && len(items) == 1 {
			return name, items[0].Value, strings.TrimSpace(arg[end:]), ""
		}
	}
	return "", "", "", "has parentheses that do not balance"
}

func (c *collector) checkRule(m *model, name, body, rest string) string {
	switch {
	case name == "":
		return "needs a name: //drift:check positive (age >= 0)"
	case rest != "":
		return "has " + quoted(rest) + " after the parenthesis"
	}
	m.checks = append(m.checks, schema.Check{Name: m.names.table + "_" + name + "_check", Expr: body})
	return ""
}

func (c *collector) indexRule(m *model, r rule, name, body, rest string) string {
	ix := schema.Index{Unique: r.kind == "unique"}
	if rest != "" {
		items, err := schema.ParseTag(rest)
		if err != nil || len(items) != 1 || items[0].Key != "where" || !items[0].Paren {
			return "has " + quoted(rest) + " after the parenthesis, where only where=(condition) can stand"
		}
		ix.Where = items[0].Value
	}
	var cols []*column
	plain := true
	for _, term := range splitTerms(body) {
		col, sql, why := m.term(term)
		if why != "" {
			return why
		}
		plain = plain && col != nil
		cols, ix.Terms = append(cols, col), append(ix.Terms, sql)
	}
	words := name
	if words == "" {
		words = strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
				return r
			}
			return '_'
		}, strings.ReplaceAll(body, " ", "")), "_")
		words = strings.ToLower(strings.Join(strings.FieldsFunc(words, func(r rune) bool { return r == '_' }), "_"))
	}
	ix.Name = m.names.table + "_" + words + map[bool]string{true: "_key", false: "_idx"}[ix.Unique]
	if plain {
		ix.Terms = nil
		for _, col := range cols {
			ix.Columns = append(ix.Columns, col.sql)
		}
	}
	if ix.Unique && plain && ix.Where == "" {
		g := group{name: words, pos: r.pos, columns: cols}
		m.uniques = append(m.uniques, &uniqueKey{group: g})
		return ""
	}
	m.extra = append(m.extra, ix)
	return ""
}

// term reads one term of an index: a column, a column with an order, or an
// expression.
func (m *model) term(s string) (col *column, sql, why string) {
	word, order, _ := strings.Cut(s, " ")
	order = strings.ToUpper(strings.TrimSpace(order))
	bare := strings.IndexFunc(word, func(r rune) bool {
		return !(r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127)
	}) < 0
	if s == "" {
		return nil, "", "has an empty term"
	}
	if !bare || order != "" && order != "ASC" && order != "DESC" {
		return nil, s, ""
	}
	var known []string
	for _, o := range m.columns {
		if o.sql == word {
			col = o
		}
		known = append(known, o.sql)
	}
	if col == nil {
		why = "names the column " + word + ", which " + m.names.table + " does not have"
		if near := schema.Nearest(word, known); near != "" {
			why += "; did you mean " + quoted(near) + "?"
		}
		return nil, "", why
	}
	sql = schema.QuoteIdent(col.sql)
	if order == "DESC" {
		return nil, sql + " DESC", ""
	}
	return col, sql, ""
}

// splitTerms cuts a list at the commas outside of parentheses and quotes.
func splitTerms(body string) (terms []string) {
	depth, from := 0, 0
	var quote byte
	for i := range len(body) {
		switch ch := body[i]; {
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case slices.Contains([]byte{'\'', '"', '`'}, ch):
			quote = ch
		case ch == '(':
			depth++
		case ch == ')':
			depth--
		case ch == ',' && depth == 0:
			terms = append(terms, strings.TrimSpace(body[from:i]))
			from = i + 1
		}
	}
	return append(terms, strings.TrimSpace(body[from:]))
}
