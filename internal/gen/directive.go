package gen

import (
	"go/ast"
	"go/token"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

const directivePrefix = "//drift:"

// directives are the //drift: comments above a type.
type directives struct {
	skip  bool
	table string
	was   string         // the table's former name
	pos   token.Position // of the first one
	row   bool           // the struct is the row of a query
	query bool           // the interface holds queries
	unit  string         // of times that do not say it
	rules []rule         // indexes, unique keys and checks
}

// rule is a directive about columns, read when they are known.
type rule struct {
	kind string // index, unique or check
	arg  string
	pos  token.Position // of arg
}

func (d *directives) any() bool { return d.pos.Line > 0 }

func (d *directives) merge(o directives) {
	if !o.any() {
		return
	}
	if !d.any() {
		d.pos = o.pos
	}
	d.skip = d.skip || o.skip
	if o.table != "" {
		d.table, d.was = o.table, o.was
	}
	d.row, d.query = d.row || o.row, d.query || o.query
	if o.unit != "" {
		d.unit = o.unit
	}
	d.rules = append(d.rules, o.rules...)
}

func directiveNames() []string {
	return []string{"table", "skip", "index", "unique", "check", "defaults", "row", "query"}
}

// readDirectives reads the directives of a doc comment and notes which
// comments they are.
func (c *collector) readDirectives(doc *ast.CommentGroup, used map[*ast.Comment]bool) (d directives) {
	if doc == nil {
		return d
	}
	for _, comment := range doc.List {
		text, ok := strings.CutPrefix(strings.TrimRight(comment.Text, " \t\r"), directivePrefix)
		if !ok {
			continue
		}
		used[comment] = true
		name, arg, _ := strings.Cut(text, " ")
		arg = strings.TrimSpace(arg)
		pos := c.pos(comment.Pos())
		if !d.any() {
			d.pos = pos
		}
		at := pos
		at.Column += len(directivePrefix)
		value := at
		value.Column += len(text) - len(strings.TrimLeft(strings.TrimPrefix(text, name), " \t"))
		switch name {
		case "skip":
			d.skip = true
			if arg != "" {
				c.errorf(value, "//drift:skip takes no argument")
			}
		case "table":
			name, former, _ := strings.Cut(arg, " was=")
			name, former = strings.TrimSpace(name), strings.TrimSpace(former)
			switch why := tableName(name); {
			case d.table != "":
				c.errorf(at, "//drift:table stands twice")
			case why != "":
				c.errorf(value, "%s", why)
			case strings.ContainsAny(former, " \t") || strings.HasSuffix(arg, "was="):
				c.errorf(value, "//drift:table name was=former: the former name is one word")
			case former == name:
				c.errorf(value, "was is the table's former name; %s is its name now", former)
			default:
				d.table, d.was = name, former
			}
		case "index", "unique", "check":
			d.rules = append(d.rules, rule{name, arg, value})
		case "defaults":
			d.unit = c.defaults(arg, value)
		case "row", "query":
			d.row, d.query = d.row || name == "row", d.query || name == "query"
			if arg != "" {
				c.errorf(value, "//drift:%s takes no argument", name)
			}
		default:
			msg := "unknown directive " + quoted("//drift:"+name)
			if s := schema.Nearest(name, directiveNames()); s != "" {
				msg += "; did you mean " + quoted("//drift:"+s) + "?"
			}
			c.errorf(at, "%s", msg)
		}
	}
	return d
}

// tableName says what is wrong with the name of a table.
func tableName(s string) string {
	switch {
	case s == "":
		return "//drift:table needs the name of the table"
	case strings.ContainsAny(s, " \t"):
		return "//drift:table takes one word"
	case strings.HasPrefix(strings.ToLower(s), "sqlite_"):
		return "names that begin with sqlite_ belong to SQLite"
	case strings.HasPrefix(strings.ToLower(s), "_driftdb_"):
		return "names that begin with _driftdb_ belong to DriftDB"
	}
	return ""
}

// strayDirectives reports directives that stand above no type, and comments
// that were meant as one.
func (c *collector) strayDirectives(f *ast.File, used map[*ast.Comment]bool) {
	for _, g := range f.Comments {
		for _, comment := range g.List {
			if used[comment] {
				continue
			}
			if strings.HasPrefix(comment.Text, directivePrefix) {
				c.errorf(c.pos(comment.Pos()), "a //drift: directive stands directly above a struct type, not here")
				continue
			}
			spaced := strings.TrimLeft(strings.TrimPrefix(comment.Text, "//"), " \t")
			if word, ok := strings.CutPrefix(spaced, "drift:"); ok {
				word, _, _ = strings.Cut(word, " ")
				for _, n := range directiveNames() {
					if word == n {
						c.warnf(c.pos(comment.Pos()), "this is a comment, not a directive: write //drift:%s without a space", n)
					}
				}
			}
		}
	}
}
