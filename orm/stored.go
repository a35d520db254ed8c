package orm

import (
	"context"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// logTrigger is the name of the trigger that a table with a change log has.
func logTrigger(table string) string { return "_driftdb_" + table + "_insert" }

// ownTable says whether a table is one of models, now or in an earlier version:
// those are STRICT and have a primary key.
func ownTable(s schema.Schema, name, sql string) bool {
	if slices.ContainsFunc(s.Tables, func(t schema.Table) bool { return t.Name == name }) {
		return true
	}
	w := words(sql)
	return len(w) > 0 && slices.Contains(w, "STRICT") && slices.Contains(w, "PRIMARY")
}

// tableOf reads a table of the file, without its indexes. What the log leaves
// out of it is what s says.
func tableOf(ctx context.Context, c *conn, s schema.Schema, name, sql string) (t schema.Table, err error) {
	have, err := readColumns(ctx, c, name)
	if err != nil {
		return t, err
	}
	said := schema.ReadStored(sql)
	t.Name = name
	noLog := map[string]bool{}
	for _, m := range s.Tables {
		for _, col := range m.Columns {
			noLog[m.Name+"."+col.Name] = col.NoLog
		}
	}
	key := map[int64]string{}
	for _, col := range have.ordered {
		lower := strings.ToLower(col.name)
		sc := schema.Column{
			Name: col.name, Type: schema.Type(col.kind), NotNull: col.notNull, Default: col.value, Collate: said.Collate[lower],
			NoLog: noLog[name+"."+col.name],
		}
		if col.generated {
			sc.Generated, sc.Stored = said.Generated[lower], said.Kept[lower]
		}
		if t.Columns = append(t.Columns, sc); col.key > 0 {
			key[col.key] = col.name
		}
	}
	for i := int64(1); key[i] != ""; i++ {
		t.Key = append(t.Key, key[i])
	}
	for _, expr := range said.Checks {
		t.Checks = append(t.Checks, schema.Check{Expr: expr})
	}
	t.ForeignKeys = have.foreign
	for i := range t.ForeignKeys {
		f := &t.ForeignKeys[i]
		f.Deferred = said.Deferred[strings.ToLower(strings.Join(f.Columns, ","))]
	}
	return t, nil
}

// structureOf is schema.Structure of the tables of models that stand in the
// file: those with a change log. Indexes whose names are in without are left out.
func structureOf(ctx context.Context, c *conn, without map[string]bool) (lines []string, err error) {
	stored, err := readStored(ctx, c)
	if err != nil {
		return nil, err
	}
	logged := func(table string) bool { return stored[logTrigger(table)].kind == "trigger" }
	for name, o := range stored {
		switch {
		case o.kind == "table" && logged(name):
			t, err := tableOf(ctx, c, schema.Schema{}, name, o.sql)
			if err != nil {
				return nil, err
			}
			lines = append(lines, t.Structure()...)
		case o.kind == "index" && logged(o.table) && !without[name]:
			lines = append(lines, schema.IndexLine(o.sql))
		}
	}
	slices.Sort(lines)
	return lines, nil
}
