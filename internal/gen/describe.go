package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// Describe writes the tables of every package of the run as Markdown: a diagram
// of what refers to what, and each table with its columns, keys and SQL.
func (p *Plan) Describe(w io.Writer) error {
	d := &description{}
	for _, c := range p.packages {
		if len(c.models) > 0 {
			d.describe(c)
		}
	}
	_, err := io.WriteString(w, strings.TrimPrefix(d.String(), "\n"))
	return err
}

// SQL writes the statements that make the tables of every package of the run,
// in creation order; with triggers, those of the change log too. Tables of other
// packages that they refer to are theirs to make.
func (p *Plan) SQL(w io.Writer, triggers bool) error {
	var b strings.Builder
	several := 0
	for _, c := range p.packages {
		several += min(len(c.models), 1)
	}
	for _, c := range p.packages {
		if len(c.models) > 0 && several > 1 {
			b.WriteString("-- " + c.pkg.PkgPath + "\n")
		}
		order, err := c.creationOrder()
		if err != nil {
			return err
		}
		for _, m := range order {
			b.WriteString(strings.Join(tableSQL(&m.table), ";\n") + ";\n")
			for _, tr := range m.table.Triggers {
				if triggers {
					b.WriteString(tr.SQL + ";\n")
				}
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tableSQL returns the statements that make a table and its indexes.
func tableSQL(t *schema.Table) []string {
	all := []string{t.Create}
	for _, ix := range t.Indexes {
		all = append(all, ix.SQL(t.Name))
	}
	return all
}

// description is a Markdown page.
type description struct {
	strings.Builder
	comments map[token.Position]string // of the fields of the package, by the place of their names
}

func (d *description) line(format string, args ...any) {
	fmt.Fprintf(d, format+"\n", args...)
}

func (d *description) describe(c *collector) {
	d.readComments(c)
	d.line("\n# Tables of %s\n", c.pkg.PkgPath)
	d.line("Written by `driftgen docs`. Open a database with them: `driftdb.Open(ctx, path, %s.Schema, …)`.\n", c.pkg.Name)
	d.diagram(c)
	for _, m := range c.models {
		d.table(c, m)
	}
}

// readComments notes what is said about fields, above them or beside.
func (d *description) readComments(c *collector) {
	d.comments = map[token.Position]string{}
	for _, f := range c.pkg.Syntax {
		ast.Inspect(f, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok {
				return true
			}
			text := field.Doc.Text()
			if text == "" {
				text = field.Comment.Text()
			}
			for _, name := range field.Names {
				d.comments[c.pos(name.Pos())] = strings.TrimSpace(text)
			}
			return true
		})
	}
}

// diagram writes an entity-relationship diagram as Mermaid has them.
func (d *description) diagram(c *collector) {
	d.line("```mermaid\nerDiagram")
	for _, m := range c.models {
		d.line("    %s {", mermaidName(m.names.table))
		for _, col := range m.columns {
			var keys []string
			if col.pk {
				keys = append(keys, "PK")
			}
			if slices.ContainsFunc(m.parents, func(fk *foreignKey) bool { return slices.Contains(fk.from, col) }) {
				keys = append(keys, "FK")
			}
			if slices.ContainsFunc(m.uniques, func(u *uniqueKey) bool { return len(u.columns) == 1 && u.columns[0] == col }) {
				keys = append(keys, "UK")
			}
			d.line("        %s", strings.TrimSpace(string(col.storage())+" "+mermaidWord(col.sql)+" "+strings.Join(keys, ", ")))
		}
		d.line("    }")
	}
	for _, m := range c.models {
		for _, fk := range m.parents {
			many, one := "}o", "||"
			if m.uniqueOver(fk.from) {
				many = "|o"
			}
			if slices.ContainsFunc(fk.from, func(col *column) bool { return col.nullable }) {
				one = "o|"
			}
			label := strings.NewReplacer(`"`, "'", "\n", " ").Replace(strings.Join(sqlNames(fk.from), ", "))
			d.line("    %s %s--%s %s : \"%s\"", mermaidName(m.names.table), many, one, mermaidName(fk.to[0].model.names.table), label)
		}
	}
	d.line("```")
}

// uniqueOver says whether two rows cannot have the same values in cols.
func (m *model) uniqueOver(cols []*column) bool {
	within := func(key []*column) bool {
		return !slices.ContainsFunc(key, func(col *column) bool { return !slices.Contains(cols, col) })
	}
	return within(m.key) || slices.ContainsFunc(m.uniques, func(u *uniqueKey) bool { return !u.live && within(u.columns) })
}

// mermaidName is a table's name as an entity: in quotes, without what Mermaid
// does not take there.
func mermaidName(s string) string {
	if isWord(s) {
		return s
	}
	return `"` + strings.Map(func(r rune) rune {
		if strings.ContainsRune("\"%\\", r) || r < ' ' {
			return '_'
		}
		return r
	}, s) + `"`
}

// mermaidWord is a column's name as an attribute.
func mermaidWord(s string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
	if word[0] >= '0' && word[0] <= '9' {
		word = "_" + word
	}
	return word
}

// table writes one table.
func (d *description) table(c *collector, m *model) {
	d.line("\n## %s\n", code(m.names.table))
	if doc := c.typeDoc(m); doc != "" {
		d.line("%s\n", doc)
	}
	d.line("One row per %s; the table is %s.\n", code(m.name), code(c.pkg.Name+"."+m.names.value))
	d.line("| Column | Type | Go | |\n|---|---|---|---|")
	for _, col := range m.columns {
		notes := col.notes()
		for i, n := range notes {
			notes[i] = cell(n)
		}
		text := strings.Join(notes, ", ")
		if what := col.filled(); what != "" {
			text += ". Create " + cell(what)
		}
		if said := d.comments[col.pos]; said != "" {
			text = cell(said) + " — " + text
		}
		d.line("| %s | %s | %s | %s |", code(col.sql), code(col.definition()), code(col.selector()+" "+c.fieldType(col)), strings.Trim(text, ". —"))
	}
	d.keys(m)
	d.line("\n```sql\n%s;\n```", strings.Join(tableSQL(&m.table), ";\n"))
}

// keys writes what ties rows to each other.
func (d *description) keys(m *model) {
	var items []string
	item := func(format string, args ...any) { items = append(items, "- "+fmt.Sprintf(format, args...)) }
	if len(m.key) > 1 {
		item("Primary key %s: %s", code(m.names.key), codes(sqlNames(m.key)))
	}
	for _, u := range m.uniques {
		live := ""
		if u.live {
			live = ", among rows that are not soft deleted"
		}
		item("Unique %s: %s%s", code(u.by), codes(sqlNames(u.columns)), live)
	}
	for _, r := range m.related {
		item("%s: %s", code(r.name), r.doc())
	}
	for _, fk := range m.childs {
		on := "is refused while there are rows there"
		switch fk.onDelete {
		case schema.Cascade:
			on = "deletes the rows there"
		case schema.SetNull:
			on = "takes the reference from the rows there"
		case schema.SetDefault:
			on = "gives the rows there the column's default"
		}
		item("%s refer to it: deleting a row %s", code(fk.from[0].model.names.table+"."+strings.Join(sqlNames(fk.from), ", ")), on)
	}
	if len(items) > 0 {
		d.line("\n%s", strings.Join(items, "\n"))
	}
}

// fieldType is the Go type of the field, as the source has it.
func (c *collector) fieldType(col *column) string {
	t := types.Type(col.model.named)
	for _, name := range col.path {
		obj, _, _ := types.LookupFieldOrMethod(t, true, c.pkg.Types, name)
		if obj == nil {
			return c.typeName(col.elem)
		}
		t = obj.Type()
	}
	return c.typeName(t)
}

// typeDoc is the comment above the model, without directives.
func (c *collector) typeDoc(m *model) string {
	for _, decl := range m.file.syntax.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range g.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok || spec.Name.Name != m.name {
				continue
			}
			if spec.Doc == nil {
				return strings.TrimSpace(g.Doc.Text())
			}
			return strings.TrimSpace(spec.Doc.Text())
		}
	}
	return ""
}

// code is s as code in a line of Markdown or a cell of a table.
func code(s string) string {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if fence != "`" {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

func codes(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = code(s)
	}
	return strings.Join(quoted, ", ")
}

// cell is text in a cell of a table: what Markdown would read as its own is
// escaped.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`, "`", "\\`", "_", `\_`).Replace(strings.Join(strings.Fields(s), " "))
}
