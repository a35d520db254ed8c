package schema

import (
	"encoding/json"
	"strings"
)

// nowSQL is the time of a change in Unix milliseconds. SQLite older than 3.42
// does not know 'subsec' and answers NULL: the write is refused, rather than
// logged with less than it holds. RAISE(ABORT) is not overridden by a user's
// INSERT OR IGNORE.
const nowSQL = `CAST(1000*coalesce(unixepoch('subsec'), RAISE(ABORT, 'driftdb: writing to this table needs SQLite 3.42 or newer'))+0.5 AS INTEGER)`

// TriggerSQL returns the three triggers that append every change of the table
// to the change log in the change's own transaction: see docs/format.md 1.1.
func (t *Table) TriggerSQL() []Trigger {
	table := QuoteIdent(t.Name)
	name := func(op string) string { return "_driftdb_" + t.Name + "_" + op }
	create := func(op, on, body string) Trigger {
		return Trigger{Name: name(op), SQL: "CREATE TRIGGER " + QuoteIdent(name(op)) + " AFTER " + on + " BEGIN\n" + body + ";\nEND"}
	}
	all := t.Columns
	return []Trigger{
		create("insert", "INSERT ON "+table,
			"\tINSERT INTO _driftdb_log (timestamp, \"table\", operation, data) VALUES (\n\t\t"+nowSQL+",\n\t\t"+
				QuoteText(t.Name)+", 'insert',\n\t\t"+object("NEW", all)+"\n\t)"),
		create("update", "UPDATE ON "+table+" WHEN\n\t"+strings.Join(t.changed(), "\n\tOR ")+"\n",
			"\tINSERT INTO _driftdb_log (timestamp, \"table\", operation, key, data, before) VALUES (\n\t\t"+nowSQL+",\n\t\t"+
				QuoteText(t.Name)+", 'update',\n\t\t"+object("OLD", t.keyColumns())+",\n\t\t"+t.changes("NEW")+",\n\t\t"+t.changes("OLD")+"\n\t)"),
		create("delete", "DELETE ON "+table,
			"\tINSERT INTO _driftdb_log (timestamp, \"table\", operation, key, before) VALUES (\n\t\t"+nowSQL+",\n\t\t"+
				QuoteText(t.Name)+", 'delete',\n\t\t"+object("OLD", t.keyColumns())+",\n\t\t"+object("OLD", all)+"\n\t)"),
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
	conditions := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		conditions[i] = c.changed()
	}
	return conditions
}

// changed compares byte for byte: the column's own collation would hide a
// change of case. In an ANY column 5 and 5.0 compare as equal, so their types
// are compared too.
func (c Column) changed() string {
	n, o := "NEW."+QuoteIdent(c.Name), "OLD."+QuoteIdent(c.Name)
	s := n + " IS NOT " + o
	if c.Type == Text || c.Type == Any {
		s += " COLLATE BINARY"
	}
	if c.Type == Any {
		s = "(" + s + " OR typeof(" + n + ") <> typeof(" + o + "))"
	}
	return s
}

// object is SQL for the JSON object of the columns of NEW or OLD.
func object(row string, columns []Column) string {
	var b strings.Builder
	for i, c := range columns {
		open := "{"
		if i > 0 {
			open = ","
		}
		if i > 0 {
			b.WriteString("||")
		}
		b.WriteString(QuoteText(open + jsonKey(c.Name)))
		b.WriteString("||")
		b.WriteString(c.value(row))
	}
	return b.String() + "||'}'"
}

// changes is SQL for the JSON object of the changed columns of NEW or OLD: the
// comma before the first member is cut off.
func (t *Table) changes(row string) string {
	parts := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		parts[i] = "CASE WHEN " + c.changed() + " THEN " + QuoteText(","+jsonKey(c.Name)) + "||" + c.value(row) + " ELSE '' END"
	}
	return "'{'||substr(\n\t\t\t" + strings.Join(parts, "||\n\t\t\t") + ", 2)||'}'"
}

// value is SQL for the exact JSON of a column's value.
func (c Column) value(row string) string {
	v := row + "." + QuoteIdent(c.Name)
	blob := `'{"x":"'||hex(` + v + `)||'"}'`
	switch c.Type {
	case Blob:
		if c.NotNull {
			return blob
		}
		return "CASE WHEN " + v + " IS NULL THEN 'null' ELSE " + blob + " END"
	case Any:
		return "CASE typeof(" + v + ") WHEN 'blob' THEN " + blob + " ELSE json_quote(" + v + ") END"
	case Integer:
		if c.NotNull {
			return v
		}
		return "coalesce(" + v + ", 'null')"
	}
	return "json_quote(" + v + ")"
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
