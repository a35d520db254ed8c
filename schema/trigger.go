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

// TriggerSQL returns the three triggers that append every change of the table
// to the change log in the change's own transaction: see docs/format.md 1.1.
func (t *Table) TriggerSQL() []Trigger {
	table := QuoteIdent(t.Name)
	name := func(op string) string { return "_driftdb_" + t.Name + "_" + op }
	create := func(op, on, body string) Trigger {
		return Trigger{Name: name(op), SQL: "CREATE TRIGGER " + QuoteIdent(name(op)) + " AFTER " + on + " BEGIN\n" + body + ";\nEND"}
	}
	insert := "\tINSERT INTO _driftdb_log (timestamp, \"table\", operation, data) VALUES (\n\t\t" +
		nowSQL + ",\n\t\t" + QuoteText(t.Name) + ", 'insert',\n\t\t" + object("NEW", t.logged()) + "\n\t)"
	update := "\tINSERT INTO _driftdb_log (timestamp, \"table\", operation, key, data, before) VALUES (\n\t\t" +
		nowSQL + ",\n\t\t" + QuoteText(t.Name) + ", 'update',\n\t\t" + object("OLD", t.keyColumns()) + ",\n\t\t" +
		t.changes("NEW") + ",\n\t\t" + t.changes("OLD") + "\n\t)"
	remove := "\tINSERT INTO _driftdb_log (timestamp, \"table\", operation, key, before) VALUES (\n\t\t" +
		nowSQL + ",\n\t\t" + QuoteText(t.Name) + ", 'delete',\n\t\t" + object("OLD", t.keyColumns()) + ",\n\t\t" +
		object("OLD", t.logged()) + "\n\t)"
	return []Trigger{
		create("insert", "INSERT ON "+table, insert),
		create("update", "UPDATE ON "+table+" WHEN\n\t"+chain(t.changed(), "\n\tOR ")+"\n", update),
		create("delete", "DELETE ON "+table, remove),
	}
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

// changed returns one condition a column, true when its stored value differs.
func (t *Table) changed() []string {
	var conditions []string
	for _, c := range t.logged() {
		conditions = append(conditions, c.changed())
	}
	return conditions
}

// changed compares byte for byte: the column's own collation would hide a
// change of case. In an ANY column 5 and 5.0 compare as equal, so their types
// are compared too.
func (c Column) changed() string {
	after, before := "NEW."+QuoteIdent(c.Name), "OLD."+QuoteIdent(c.Name)
	s := after + " IS NOT " + before
	if c.Type == Text || c.Type == Any {
		s += " COLLATE BINARY"
	}
	if c.Type == Any {
		s = "(" + s + " OR typeof(" + after + ") <> typeof(" + before + "))"
	}
	return s
}

// object is SQL for the JSON object of the columns of NEW or OLD.
func object(row string, columns []Column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		open := "{"
		if i > 0 {
			open = ","
		}
		parts[i] = QuoteText(open+jsonKey(c.Name)) + "||" + c.value(row)
	}
	return chain(parts, "||") + "||'}'"
}

// changes is SQL for the JSON object of the changed columns of NEW or OLD: the
// comma before the first member is cut off.
func (t *Table) changes(row string) string {
	columns := t.logged()
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = "CASE WHEN " + c.changed() + " THEN " + QuoteText(","+jsonKey(c.Name)) + "||" + c.value(row) + " ELSE '' END"
	}
	return "'{'||substr(\n\t\t\t" + chain(parts, "||\n\t\t\t") + ", 2)||'}'"
}

// chain joins operands of one operator. SQLite refuses an expression that is
// nested 1000 deep, and a plain chain nests once an operand: many operands are
// put in parentheses by the hundred.
func chain(parts []string, operator string) string {
	const most = 100
	if len(parts) <= most {
		return strings.Join(parts, operator)
	}
	var groups []string
	for group := range slices.Chunk(parts, most) {
		groups = append(groups, "("+strings.Join(group, operator)+")")
	}
	return strings.Join(groups, operator)
}

// value is SQL for the exact JSON of a column's value.
func (c Column) value(row string) string {
	v := row + "." + QuoteIdent(c.Name)
	switch c.Type {
	case Integer:
		return "coalesce(" + v + ", 'null')"
	case Real:
		return "CASE WHEN " + v + " IS NULL THEN 'null' " + whenReal(v) + " END"
	case Blob:
		return "CASE WHEN " + v + " IS NULL THEN 'null' ELSE " + blobJSON(v) + " END"
	case Any:
		return "CASE typeof(" + v + ") WHEN 'text' THEN " + textJSON(v) + " WHEN 'blob' THEN " + blobJSON(v) +
			" WHEN 'real' THEN CASE " + whenReal(v) + " END ELSE coalesce(" + v + ", 'null') END"
	}
	return textJSON(v)
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
