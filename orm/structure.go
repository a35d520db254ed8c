package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// object is a table, index or trigger as sqlite_schema has it.
type object struct {
	kind, table, sql string
	made             int64 // grows: what was made later has a higher one
}

// objects returns the SQL of everything a table consists of, by name.
func objects(t *schema.Table) map[string]string {
	all := map[string]string{t.Name: t.Create}
	for _, ix := range t.Indexes {
		all[ix.Name] = ix.SQL(t.Name)
	}
	for _, tr := range t.Triggers {
		all[tr.Name] = tr.SQL
	}
	return all
}

// readStored returns every object of the file by name.
func readStored(ctx context.Context, c *conn) (all map[string]object, err error) {
	all = make(map[string]object)
	err = c.each(ctx, "SELECT name, type, tbl_name, sql, rowid FROM sqlite_schema WHERE sql IS NOT NULL", nil, func(v []driver.Value) error {
		made, _ := v[4].(int64)
		all[textOf(v[0])] = object{kind: textOf(v[1]), table: textOf(v[2]), sql: textOf(v[3]), made: made}
		return nil
	})
	return all, err
}

// each calls fn for every row of a small query.
func (c *conn) each(ctx context.Context, query string, args []driver.NamedValue, fn func([]driver.Value) error) (err error) {
	rs, err := c.query(ctx, query, args)
	if err != nil {
		return err
	}
	defer func() { err = also(err, rs.close()) }()
	for {
		ok, err := rs.next()
		if err != nil || !ok {
			return err
		}
		if err := fn(rs.dest); err != nil {
			return err
		}
	}
}

// plan returns the statements that make the stored tables those of s, or says
// which difference cannot be made up by adding.
func plan(ctx context.Context, c *conn, s schema.Schema, stored map[string]object) (ddl []string, err error) {
	var faults []error
	for i := range s.Tables {
		t := &s.Tables[i]
		have, ok := stored[t.Name]
		switch {
		case !ok:
			ddl = append(ddl, t.Create)
		case have.kind != "table":
			faults = append(faults, fmt.Errorf("table %s: the file has a %s of this name", t.Name, have.kind))
			continue
		case have.sql != t.Create:
			more, err := alter(ctx, c, t, have.sql)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			ddl = append(ddl, more...)
		}
		more, err := addObjects(t, stored)
		if err != nil {
			faults = append(faults, err)
		}
		ddl = append(ddl, more...)
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w\nonly adding tables, columns and indexes is done by itself: change the model back, or the file with SQL of your own while no program has it open", errors.Join(faults...))
	}
	return ddl, nil
}

// addObjects adds missing indexes and makes the triggers anew that differ from
// what the model needs now.
func addObjects(t *schema.Table, stored map[string]object) (ddl []string, err error) {
	for _, ix := range t.Indexes {
		have, ok := stored[ix.Name]
		if !ok {
			ddl = append(ddl, ix.SQL(t.Name))
		} else if schema.IndexLine(have.sql) != schema.IndexLine(ix.SQL(t.Name)) {
			return nil, fmt.Errorf("index %s of table %s is another one in the file: drop it with DROP INDEX %s, and it is made anew", ix.Name, t.Name, schema.QuoteIdent(ix.Name))
		}
	}
	late := overtaken(t, stored)
	for _, tr := range t.Triggers {
		have, ok := stored[tr.Name]
		if ok && have.sql == tr.SQL && !late {
			continue
		}
		if ok {
			ddl = append(ddl, "DROP TRIGGER "+schema.QuoteIdent(tr.Name))
		}
		ddl = append(ddl, tr.SQL)
	}
	return ddl, nil
}

// overtaken says whether the application has made a trigger on the table after
// ours. SQLite runs the newest AFTER trigger first, so what that one changes
// would be logged before the change that it answers.
func overtaken(t *schema.Table, stored map[string]object) bool {
	ours := make(map[string]bool)
	for _, tr := range t.Triggers {
		ours[tr.Name] = true
	}
	var first, theirs int64
	for name, o := range stored {
		switch {
		case ours[name]:
			if first == 0 || o.made < first {
				first = o.made
			}
		case o.kind == "trigger" && strings.EqualFold(o.table, t.Name):
			theirs = max(theirs, o.made)
		}
	}
	return first > 0 && theirs > first
}

// alter compares the stored table with the model, column by column, and
// returns the columns to add.
func alter(ctx context.Context, c *conn, t *schema.Table, storedSQL string) (ddl []string, err error) {
	have, err := readColumns(ctx, c, t.Name)
	if err != nil {
		return nil, err
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("table %s: "+format, append([]any{t.Name}, args...)...))
	}
	if !have.strict {
		fault("it is not STRICT in the file")
	}
	for _, col := range t.Columns {
		stored, ok := have.columns[strings.ToLower(col.Name)]
		if !ok {
			stmt, err := t.AddColumnSQL(col)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			ddl = append(ddl, stmt)
			continue
		}
		if why := differs(t, col, stored); why != "" {
			fault("column %s %s", col.Name, why)
		}
		delete(have.columns, strings.ToLower(col.Name))
	}
	for _, extra := range slices.Sorted(maps.Keys(have.columns)) {
		fault("column %s is in the file but not in the model %s", have.columns[extra].name, t.Model)
	}
	for _, f := range t.ForeignKeys {
		known := have.references(f)
		delete(have.keys, keyOf(f))
		if !known && !adds(ddl, f.Columns) {
			fault("the file has no foreign key (%s) to %s as the model says", strings.Join(f.Columns, ", "), f.RefTable)
		}
	}
	for _, extra := range slices.Sorted(maps.Values(have.keys)) {
		fault("the file has a foreign key %s that the model does not", extra)
	}
	if why := unlike(t, storedSQL, ddl); why != "" {
		fault("%s", why)
	}
	return ddl, errors.Join(faults...)
}

// adds says whether ddl adds one of the columns, with all that belongs to it.
func adds(ddl []string, columns []string) bool {
	for _, stmt := range ddl {
		for _, c := range columns {
			if strings.Contains(stmt, " ADD COLUMN "+schema.QuoteIdent(c)+" ") {
				return true
			}
		}
	}
	return false
}

type storedColumn struct {
	name, kind, value string
	notNull           bool
	generated         bool
	key               int64 // 1-based position in the primary key, 0 for none
}

type storedTable struct {
	strict  bool
	columns map[string]storedColumn // by lower-case name
	keys    map[string]string       // foreign keys for people, by keyOf
	ordered []storedColumn
	foreign []schema.ForeignKey
}

func readColumns(ctx context.Context, c *conn, table string) (t storedTable, err error) {
	t = storedTable{columns: make(map[string]storedColumn), keys: make(map[string]string)}
	arg := []driver.NamedValue{{Ordinal: 1, Value: table}}
	err = c.each(ctx, "SELECT name, type, \"notnull\", coalesce(dflt_value, ''), pk, hidden FROM pragma_table_xinfo(?)", arg, func(v []driver.Value) error {
		notNull, _ := v[2].(int64)
		key, _ := v[4].(int64)
		hidden, _ := v[5].(int64)
		col := storedColumn{name: textOf(v[0]), kind: textOf(v[1]), notNull: notNull != 0, value: textOf(v[3]), key: key, generated: hidden > 1}
		t.columns[strings.ToLower(col.name)] = col
		t.ordered = append(t.ordered, col)
		return nil
	})
	if err != nil {
		return t, err
	}
	err = c.each(ctx, "SELECT strict FROM pragma_table_list WHERE name = ?", arg, func(v []driver.Value) error {
		strict, _ := v[0].(int64)
		t.strict = strict != 0
		return nil
	})
	if err != nil {
		return t, err
	}
	const foreign = `SELECT "table", group_concat("from", ',' ORDER BY seq), group_concat(coalesce("to", ''), ',' ORDER BY seq), on_delete, on_update FROM pragma_foreign_key_list(?) GROUP BY id`
	err = c.each(ctx, foreign, arg, func(v []driver.Value) error {
		key := strings.ToLower(strings.Join([]string{textOf(v[0]), textOf(v[1]), textOf(v[2]), textOf(v[3]), textOf(v[4])}, "|"))
		action := func(s string) schema.Action {
			if s == "NO ACTION" {
				return ""
			}
			return schema.Action(s)
		}
		t.foreign = append(t.foreign, schema.ForeignKey{
			Columns: strings.Split(textOf(v[1]), ","), RefTable: textOf(v[0]), RefColumns: strings.Split(textOf(v[2]), ","),
			OnDelete: action(textOf(v[3])), OnUpdate: action(textOf(v[4])),
		})
		t.keys[key] = fmt.Sprintf("(%s) to %s (on delete %s, on update %s)", textOf(v[1]), textOf(v[0]), textOf(v[3]), textOf(v[4]))
		return nil
	})
	return t, err
}

func (t storedTable) references(f schema.ForeignKey) bool {
	_, ok := t.keys[keyOf(f)]
	return ok
}

// keyOf is a foreign key as the pragma tells it.
func keyOf(f schema.ForeignKey) string {
	action := func(a schema.Action) string {
		if a == "" {
			return "NO ACTION"
		}
		return string(a)
	}
	return strings.ToLower(strings.Join([]string{
		f.RefTable, strings.Join(f.Columns, ","), strings.Join(f.RefColumns, ","), action(f.OnDelete), action(f.OnUpdate),
	}, "|"))
}

// differs says how a stored column is not what the model says, "" if it is.
func differs(t *schema.Table, want schema.Column, have storedColumn) string {
	key := int64(0)
	for i, k := range t.Key {
		if k == want.Name {
			key = int64(i + 1)
		}
	}
	switch {
	case have.generated && want.Generated == "":
		return "is generated in the file, not in the model"
	case !have.generated && want.Generated != "":
		return "is generated in the model, not in the file"
	case have.kind != string(want.Type):
		return fmt.Sprintf("is %s in the file, %s in the model", have.kind, want.Type)
	case have.notNull && !want.NotNull:
		return "is NOT NULL in the file; the model's field may be NULL"
	case !have.notNull && want.NotNull:
		return "may be NULL in the file; the model's field may not"
	case have.key != key:
		return "has another place in the primary key in the file"
	case have.value != want.Default && "("+have.value+")" != want.Default:
		return fmt.Sprintf("has the default %q in the file, %q in the model", have.value, want.Default)
	}
	return ""
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
