package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Change is how much a step of a migration demands of the rows.
type Change int

// The classes of changes.
const (
	Additive    Change = iota // nothing that is there changes
	Rename                    // a column gets another name
	Rebuild                   // a table is copied into a new form
	Destructive               // columns or tables are dropped
)

func (c Change) String() string {
	return [...]string{"additive", "rename", "rebuild", "destructive"}[c]
}

// DiffStep is one statement of a migration, with what it does in words.
type DiffStep struct {
	SQL   string
	Class Change
	What  string
}

// Diff returns the statements that make the tables of from those of to. An
// error says what cannot be done without a decision of a person.
func Diff(from, to Schema) ([]DiffStep, error) {
	d := differ{}
	old := make(map[string]*Table)
	for i := range from.Tables {
		old[from.Tables[i].Name] = &from.Tables[i]
	}
	for i := range to.Tables {
		t := &to.Tables[i]
		if was, ok := old[t.Name]; ok {
			d.table(was, t)
			delete(old, t.Name)
			continue
		}
		d.add(Additive, "new table "+t.Name, t.CreateSQL())
		for _, ix := range t.Indexes {
			d.add(Additive, "new index "+ix.Name, ix.SQL(t.Name))
		}
	}
	for _, t := range slices.Backward(from.Tables) { // what refers to others first
		if old[t.Name] != nil {
			d.add(Destructive, "table "+t.Name+" is dropped with its rows", "DROP TABLE "+QuoteIdent(t.Name))
		}
	}
	if len(d.faults) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(d.faults, "\n"))
	}
	return d.steps, nil
}

type differ struct {
	steps  []DiffStep
	faults []string
}

func (d *differ) add(class Change, what, sql string) {
	d.steps = append(d.steps, DiffStep{SQL: sql, Class: class, What: what})
}

// table changes one table into another.
func (d *differ) table(from, to *Table) {
	was := *from
	was.Columns = slices.Clone(from.Columns)
	var why []string
	for _, c := range to.Columns { // renames first: the rest goes by the new names
		i := was.column(c.Was)
		if c.Was == "" || i < 0 || was.column(c.Name) >= 0 {
			continue
		}
		d.add(Rename, fmt.Sprintf("column %s.%s becomes %s", to.Name, c.Was, c.Name),
			fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", QuoteIdent(to.Name), QuoteIdent(c.Was), QuoteIdent(c.Name)))
		was.rename(c.Was, c.Name)
	}
	var added []Column
	for _, c := range to.Columns {
		i := was.column(c.Name)
		if i < 0 {
			added = append(added, c)
			if _, err := to.AddColumnSQL(c); err != nil {
				why = append(why, "column "+c.Name+" is new and "+to.cannotAdd(c))
			}
			continue
		}
		if line := ColumnLine(to.Name, c); line != ColumnLine(to.Name, was.Columns[i]) || c.Collate != was.Columns[i].Collate || c.Generated != was.Columns[i].Generated || c.Stored != was.Columns[i].Stored {
			why = append(why, "column "+c.Name+" changes")
		}
	}
	class := Rebuild
	for _, c := range was.Columns {
		if to.column(c.Name) < 0 {
			why, class = append(why, "column "+c.Name+" is dropped with its values"), Destructive
		}
	}
	if !slices.Equal(was.Key, to.Key) {
		why = append(why, "the primary key changes")
	}
	newColumn := func(name string) bool {
		return slices.ContainsFunc(added, func(c Column) bool { return c.Name == name })
	}
	if !sameSet(checkLines(was.Checks), checkLines(slices.DeleteFunc(slices.Clone(to.Checks), func(c Check) bool { return newColumn(c.Column) }))) {
		why = append(why, "the checks change")
	}
	if !sameSet(was.foreignLines(), (&Table{Name: to.Name, ForeignKeys: slices.DeleteFunc(slices.Clone(to.ForeignKeys), func(f ForeignKey) bool {
		return len(f.Columns) == 1 && newColumn(f.Columns[0])
	})}).foreignLines()) {
		why = append(why, "the foreign keys change")
	}
	if len(why) > 0 {
		d.rebuild(&was, to, class, strings.Join(why, "; "))
		return
	}
	for _, c := range added {
		sql, _ := to.AddColumnSQL(c) // it was looked at above
		d.add(Additive, fmt.Sprintf("new column %s.%s", to.Name, c.Name), sql)
	}
	d.indexes(&was, to)
}

// indexes drops and makes indexes of a table that stays.
func (d *differ) indexes(was, to *Table) {
	have := make(map[string]string)
	for _, ix := range was.Indexes {
		have[ix.Name] = ix.SQL(to.Name)
	}
	for _, ix := range to.Indexes {
		if have[ix.Name] == ix.SQL(to.Name) {
			delete(have, ix.Name)
		}
	}
	for _, ix := range was.Indexes {
		if have[ix.Name] != "" {
			d.add(Additive, "index "+ix.Name+" is dropped", "DROP INDEX "+QuoteIdent(ix.Name))
		}
	}
	for _, ix := range to.Indexes {
		if !slices.ContainsFunc(was.Indexes, func(o Index) bool { return o.Name == ix.Name && have[o.Name] == "" }) {
			d.add(Additive, "new index "+ix.Name, ix.SQL(to.Name))
		}
	}
}

// rebuild copies the rows into a new table that takes the place of the old one.
func (d *differ) rebuild(was, to *Table, class Change, why string) {
	fresh := *to
	fresh.Name = to.Name + rebuiltSuffix
	var names, values []string
	for _, c := range to.Columns {
		if c.Generated != "" {
			continue
		}
		i := was.column(c.Name)
		value := QuoteIdent(c.Name)
		switch {
		case i >= 0 && c.NotNull && !was.Columns[i].NotNull && c.Default != "" && constant(c.Default):
			value = "coalesce(" + value + ", " + c.Default + ")"
		case i >= 0:
		case c.NotNull && c.Default == "":
			d.faults = append(d.faults, fmt.Sprintf("table %s: column %s is new and NOT NULL without a default, and the table may have rows: give it default=…, or make the field a pointer", to.Name, c.Name))
			continue
		default:
			continue // its default
		}
		names, values = append(names, QuoteIdent(c.Name)), append(values, value)
	}
	table := QuoteIdent(to.Name)
	d.add(class, "table "+to.Name+" is rebuilt: "+why, fresh.createAs(to.Name))
	d.add(class, "", "INSERT INTO "+QuoteIdent(fresh.Name)+" ("+strings.Join(names, ", ")+") SELECT "+strings.Join(values, ", ")+" FROM "+table)
	d.add(class, "", "DROP TABLE "+table)
	d.add(class, "", "ALTER TABLE "+QuoteIdent(fresh.Name)+" RENAME TO "+table)
	for _, ix := range to.Indexes {
		d.add(class, "", ix.SQL(to.Name))
	}
}

// createAs is CreateSQL with constraints named as those of another table.
func (t *Table) createAs(name string) string {
	c := *t
	c.Name = name
	return strings.Replace(c.CreateSQL(), "CREATE TABLE "+QuoteIdent(name), "CREATE TABLE "+QuoteIdent(t.Name), 1)
}

func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// rename does in a structure what RENAME COLUMN does in a file.
func (t *Table) rename(from, to string) {
	swap := func(names []string) []string {
		out := slices.Clone(names)
		for i, n := range out {
			if n == from {
				out[i] = to
			}
		}
		return out
	}
	text := func(s string) string { return strings.ReplaceAll(s, QuoteIdent(from), QuoteIdent(to)) }
	t.Columns[t.column(from)].Name = to
	t.Key = swap(t.Key)
	t.Indexes, t.Checks, t.ForeignKeys = slices.Clone(t.Indexes), slices.Clone(t.Checks), slices.Clone(t.ForeignKeys)
	for i := range t.Indexes {
		ix := &t.Indexes[i]
		if ix.Columns != nil {
			ix.Columns = swap(ix.Columns)
		}
		ix.Terms = slices.Clone(ix.Terms)
		for j := range ix.Terms {
			ix.Terms[j] = text(ix.Terms[j])
		}
		ix.Where = text(ix.Where)
	}
	for i := range t.Checks {
		t.Checks[i].Expr = text(t.Checks[i].Expr)
	}
	for i := range t.ForeignKeys {
		t.ForeignKeys[i].Columns = swap(t.ForeignKeys[i].Columns)
		if t.ForeignKeys[i].RefTable == t.Name {
			t.ForeignKeys[i].RefColumns = swap(t.ForeignKeys[i].RefColumns)
		}
	}
}

func checkLines(all []Check) (lines []string) {
	for _, c := range all {
		lines = append(lines, c.Expr)
	}
	return lines
}

func (t *Table) foreignLines() (lines []string) {
	for _, f := range t.ForeignKeys {
		lines = append(lines, ForeignKeyLine(t.Name, f)+fmt.Sprint(f.Deferred))
	}
	return lines
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
