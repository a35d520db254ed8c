package gen

import (
	"slices"
	"strconv"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// buildTable fills m.table from the columns, keys and references of m.
func (m *model) buildTable() {
	t := &m.table
	t.Name, t.Model, t.Was = m.names.table, m.name, m.was
	for _, col := range m.columns {
		sc := schema.Column{
			Name: col.sql, Type: col.storage(), NotNull: !col.nullable, Collate: col.collate,
			Generated: col.generated, Stored: col.onWrite, Auto: col.auto, NoLog: col.nolog, Was: col.was,
		}
		if col.def != nil {
			sc.Default = col.def.sql
		}
		if col.kind == kindTime {
			sc.Unit = unitWord(col.unit)
		}
		t.Columns = append(t.Columns, sc)
	}
	for _, col := range m.key {
		t.Key = append(t.Key, col.sql)
	}
	for _, u := range m.uniques {
		ix := schema.Index{Name: u.sql, Columns: u.sqlColumns(), Unique: true}
		if u.live {
			ix.Where = schema.QuoteIdent(m.first(func(col *column) bool { return col.softdelete }).sql) + " IS NULL"
		}
		t.Indexes = append(t.Indexes, ix)
	}
	for _, g := range m.indexes {
		name := g.name
		if name == "" {
			name = strings.Join(g.sqlColumns(), "_")
		}
		t.Indexes = append(t.Indexes, schema.Index{Name: t.Name + "_" + name + "_idx", Columns: g.sqlColumns()})
	}
	t.Indexes = append(t.Indexes, m.extra...)
	for _, fk := range m.parents {
		t.ForeignKeys = append(t.ForeignKeys, schema.ForeignKey{
			Columns: sqlNames(fk.from), RefTable: fk.to[0].model.names.table, RefColumns: sqlNames(fk.to),
			OnDelete: fk.onDelete, OnUpdate: fk.onUpdate, Deferred: fk.deferred,
		})
	}
	taken := map[string]bool{}
	for _, col := range m.columns {
		for _, ch := range col.checks {
			base := t.Name + "_" + col.sql + "_" + ch.kind
			name := base
			for n := 2; taken[name]; n++ {
				name = base + strconv.Itoa(n)
			}
			taken[name] = true
			t.Checks = append(t.Checks, schema.Check{Name: name, Column: col.sql, Expr: ch.expr})
		}
	}
	t.Checks = append(t.Checks, m.checks...)
	t.Create = t.CreateSQL()
	t.Triggers = t.TriggerSQL()
}

func (g *group) sqlColumns() []string { return sqlNames(g.columns) }

func sqlNames(columns []*column) (out []string) {
	for _, col := range columns {
		out = append(out, col.sql)
	}
	return out
}

// selectSQL reads whole rows, in the order of scan.
func (m *model) selectSQL() string {
	return "SELECT " + columnList(m.columns) + " FROM " + schema.QuoteIdent(m.names.table)
}

// insertSQL writes whole rows, in the order of bind.
func (m *model) insertSQL() string {
	columns := slices.DeleteFunc(slices.Clone(m.columns), func(col *column) bool { return !col.inserted() })
	if len(columns) == 0 {
		return "INSERT INTO " + schema.QuoteIdent(m.names.table) + " DEFAULT VALUES"
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	return "INSERT INTO " + schema.QuoteIdent(m.names.table) + " (" + columnList(columns) + ") VALUES (" + marks + ")"
}

func columnList(columns []*column) string {
	var names []string
	for _, col := range columns {
		names = append(names, schema.QuoteIdent(col.sql))
	}
	return strings.Join(names, ", ")
}
