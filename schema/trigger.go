package schema

import (
	"encoding/json"
	"slices"
	"strings"
)

// nowSQL is the time of a change in Unix milliseconds. SQLite older than 3.42
// does not know 'subsec' and answers NULL: the write is refused, rather than
// logged with less than it holds. RAISE(ABORT) is not overridden by a user's
// INSERT OR IGNORE.
const nowSQL = `CAST(1000*coalesce(unixepoch('subsec'), RAISE(ABORT, 'driftdb: writing to this table needs SQLite 3.42 or newer'))+0.5 AS INTEGER)`

// exactReal is true where SQLite prints every REAL so that reading it gives
// the same bits, which is since 3.53; that version prints the shortest text,
// too. Older ones do so for values of ordinary size only.
const exactReal = `printf('%!0.17g', 0.1) = '0.1'`

// wideLine is where a line of a trigger ends.
const wideLine = 120

// TriggerSQL returns the three triggers that append every change of the table
// to the change log in the change's own transaction: see docs/format.md 1.1.
//
// Inserts and deletes print all columns one after the other, each as its type
// needs it. An update makes a row of each column, of its key in the JSON
// object, the new and the old value, and prints those that differ.
func (t *Table) TriggerSQL() []Trigger {
	key, insert, remove := object("OLD", t.keyColumns()), object("NEW", t.logged()), object("OLD", t.logged())
	return []Trigger{
		t.trigger("insert", "data", "VALUES ("+t.head("insert")+", "+insert+")"),
		t.trigger("update", "key, data, before", "SELECT "+t.head("update")+", "+key+", '{'||after||'}', '{'||before||'}'\n\tFROM (SELECT "+
			t.changes()+") WHERE after IS NOT NULL"),
		t.trigger("delete", "key, before", "VALUES ("+t.head("delete")+", "+key+",\n\t\t"+remove+")"),
	}
}

func (t *Table) trigger(op, columns, rows string) Trigger {
	name := "_driftdb_" + t.Name + "_" + op
	return Trigger{Name: name, SQL: "CREATE TRIGGER " + QuoteIdent(name) + " AFTER " + strings.ToUpper(op) + " ON " + QuoteIdent(t.Name) +
		" BEGIN\n\tINSERT INTO _driftdb_log (timestamp, \"table\", operation, " + columns + ")\n\t" + rows + ";\nEND"}
}

// head is SQL for what every entry begins with.
func (t *Table) head(op string) string {
	return nowSQL + ",\n\t\t" + QuoteText(t.Name) + ", '" + op + "'"
}

func (t *Table) keyColumns() []Column {
	var key []Column
	for _, name := range t.Key {
		for _, c := range t.Columns {
			if c.Name == name {
				key = append(key, c)
			}
		}
	}
	return key
}

// object is SQL for the JSON object of the columns of NEW or OLD.
func object(row string, columns []Column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		open := "{"
		if i > 0 {
			open = ","
		}
		parts[i] = QuoteText(open+jsonKey(c.Name)) + "||" + c.value(row+"."+QuoteIdent(c.Name))
	}
	return chain(parts) + "||'}'"
}

// changes is SQL for the members of two JSON objects, after and before: the
// changed columns with their new and with their old values. Both are NULL when
// no column has changed.
//
// The comparison is byte for byte: a column of VALUES has the collation of its
// first row, and NOCASE would hide a change of case. The plus takes affinity
// away, which the first row would give to all of them as well. In an ANY column
// 5 and 5.0 compare as equal, so their types are compared too.
func (t *Table) changes() string {
	columns := t.logged()
	rows := make([]string, len(columns))
	var types []Type
	for i, c := range columns {
		name := QuoteIdent(c.Name)
		rows[i] = "(" + QuoteText(jsonKey(c.Name)) + ", +NEW." + name + ", +OLD." + name + ")"
		if !slices.Contains(types, c.Type) {
			types = append(types, c.Type)
		}
	}
	changed := "column2 IS NOT column3 COLLATE BINARY"
	if slices.Contains(types, Any) {
		changed += " OR typeof(column2) <> typeof(column3)"
	}
	value := func(v string) string {
		if len(types) == 1 {
			return Column{Type: types[0]}.value(v)
		}
		return anyJSON(v, types)
	}
	return "group_concat(column1||" + value("column2") + ") AS after,\n" +
		"\t\tgroup_concat(column1||" + value("column3") + ") AS before\n" +
		"\t\tFROM (VALUES " + wrap(rows, ", ") + ") WHERE " + changed
}

// chain joins operands of ||. SQLite refuses an expression that is nested 1000
// deep, and a plain chain nests once an operand: many operands are put in
// parentheses by the hundred.
func chain(parts []string) string {
	const most = 100
	if len(parts) <= most {
		return wrap(parts, "||")
	}
	var groups []string
	for group := range slices.Chunk(parts, most) {
		groups = append(groups, "("+wrap(group, "||")+")")
	}
	return strings.Join(groups, "||\n\t\t")
}

// wrap joins parts, a line as long as it is easy to read.
func wrap(parts []string, separator string) string {
	var b strings.Builder
	line := 0
	for i, part := range parts {
		if i > 0 {
			b.WriteString(separator)
			if line += len(separator); line+len(part) > wideLine {
				s := strings.TrimRight(b.String(), " ")
				b.Reset()
				b.WriteString(s + "\n\t\t\t")
				line = 0
			}
		}
		b.WriteString(part)
		line += len(part)
	}
	return b.String()
}

// value is SQL for the exact JSON of v, a value of the column.
func (c Column) value(v string) string {
	switch c.Type {
	case Integer:
		return "coalesce(" + v + ", 'null')"
	case Real:
		return "CASE WHEN " + v + " IS NULL THEN 'null' " + whenReal(v) + " END"
	case Blob:
		return "CASE WHEN " + v + " IS NULL THEN 'null' ELSE " + blobJSON(v) + " END"
	case Any:
		return anyJSON(v, []Type{Any})
	}
	return textJSON(v)
}

// anyJSON is SQL for the exact JSON of v, which is a value of one of types.
func anyJSON(v string, types []Type) string {
	has := func(t Type) bool { return slices.Contains(types, t) || slices.Contains(types, Any) }
	s := "CASE typeof(" + v + ")"
	if has(Text) {
		s += " WHEN 'text' THEN " + textJSON(v)
	}
	if has(Blob) {
		s += " WHEN 'blob' THEN " + blobJSON(v)
	}
	if has(Real) {
		s += " WHEN 'real' THEN CASE " + whenReal(v) + " END"
	}
	return s + " ELSE coalesce(" + v + ", 'null') END"
}

// textJSON is SQL for the JSON of a TEXT or NULL. What a JSON function
// returned is marked as JSON until it is stored, and json_quote would not
// quote it; a concatenation bears no mark.
func textJSON(v string) string { return "json_quote(" + v + "||'')" }

func blobJSON(v string) string { return `'{"x":"'||hex(` + v + `)||'"}'` }

// whenReal is the end of a CASE for the JSON of a REAL. json_quote prints 15
// digits before SQLite 3.53, so it is not used.
func whenReal(v string) string {
	return "WHEN " + v + " = 0 OR abs(" + v + ") BETWEEN 1e-60 AND 1e60 OR " + exactReal +
		" THEN printf('%!0.17g', " + v + ") ELSE RAISE(ABORT, 'driftdb: writing a REAL of this size needs SQLite 3.53 or newer')"
}

// jsonKey is the column name as the key of a JSON object, colon included.
func jsonKey(name string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(name); err != nil { // a string always encodes
		return `"":`
	}
	return strings.TrimSuffix(b.String(), "\n") + ":"
}
