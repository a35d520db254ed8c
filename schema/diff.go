package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is how much a step of a migration demands of the rows.
type Change int

// The classes of changes.
const (
	Additive    Change = iota // nothing that is there changes
	Rename                    // a table or column gets another name
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
//
// Names are changed first, tables and then columns, while everything else is as
// it was: SQLite writes what mentions them anew. Then indexes go whose names may
// be needed, and then one table after the other gets its new form.
func Diff(from, to Schema) ([]DiffStep, error) {
	d := differ{old: make(map[string]*Table)}
	for i := range from.Tables {
		t := from.Tables[i]
		t.Columns = slices.Clone(t.Columns)
		d.old[strings.ToLower(t.Name)] = &t
	}
	d.renameTables(to)
	for i := range to.Tables {
		if was := d.old[strings.ToLower(to.Tables[i].Name)]; was != nil {
			d.renameColumns(was, &to.Tables[i])
		}
	}
	d.dropIndexes(to)
	for i := range to.Tables {
		t := &to.Tables[i]
		if was := d.old[strings.ToLower(t.Name)]; was != nil {
			d.table(was, t)
			delete(d.old, strings.ToLower(t.Name))
			continue
		}
		d.add(Additive, "new table "+t.Name, t.CreateSQL())
		for _, ix := range t.Indexes {
			d.add(Additive, "new index "+ix.Name, ix.SQL(t.Name))
		}
	}
	for _, t := range slices.Backward(from.Tables) { // what refers to others first
		if d.old[strings.ToLower(t.Name)] != nil {
			d.add(Destructive, "table "+t.Name+" is dropped with its rows", "DROP TABLE "+QuoteIdent(t.Name))
		}
	}
	if len(d.faults) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(d.faults, "\n"))
	}
	return d.steps, nil
}

type differ struct {
	old    map[string]*Table // what is there, by its name in lower case
	steps  []DiffStep
	faults []string
}

func (d *differ) add(class Change, what, sql string) {
	d.steps = append(d.steps, DiffStep{SQL: sql, Class: class, What: what})
}

func (d *differ) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

// table changes one table, whose columns have their new names, into another.
func (d *differ) table(was, to *Table) {
	var why []string
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
		if columnLine(to.Name, c) != columnLine(to.Name, was.Columns[i]) || converts(was.Columns[i], c) {
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
	if !sameSet(was.checkLines(nil), to.checkLines(newColumn)) {
		why = append(why, "the checks change")
	}
	if !sameSet(was.foreignLines(nil), to.foreignLines(newColumn)) {
		why = append(why, "the foreign keys change")
	}
	if len(why) > 0 {
		d.rebuild(was, to, class, strings.Join(why, "; "))
		return
	}
	for _, c := range added {
		sql, _ := to.AddColumnSQL(c) // it was looked at above
		d.add(Additive, fmt.Sprintf("new column %s.%s", to.Name, c.Name), sql)
	}
	for _, ix := range to.Indexes {
		if i := was.index(ix.Name); i < 0 || IndexLine(was.Indexes[i].SQL(to.Name)) != IndexLine(ix.SQL(to.Name)) {
			d.add(Additive, "new index "+ix.Name, ix.SQL(to.Name))
		}
	}
}

// dropIndexes drops the indexes that are not to be as they are. Those of a table
// that goes, or is copied, would go with it, but another table may need a name
// before.
func (d *differ) dropIndexes(to Schema) {
	wanted := make(map[string]string) // lines by name in lower case
	stays := make(map[string]bool)
	for i := range to.Tables {
		t := &to.Tables[i]
		stays[strings.ToLower(t.Name)] = true
		for _, ix := range t.Indexes {
			wanted[strings.ToLower(ix.Name)] = IndexLine(ix.SQL(t.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.old)) {
		t := d.old[name]
		for _, ix := range t.Indexes {
			want, again := wanted[strings.ToLower(ix.Name)]
			if again && want == IndexLine(ix.SQL(t.Name)) || !again && !stays[name] {
				continue
			}
			d.add(Additive, "index "+ix.Name+" is dropped", "DROP INDEX "+QuoteIdent(ix.Name))
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
		var value string
		switch {
		case i >= 0:
			value = copied(was.Columns[i], c)
			if c.NotNull && !was.Columns[i].NotNull && value == QuoteIdent(c.Name) {
				why += " (a row with NULL there makes the migration fail: a data step of an earlier migration may fill it)"
			}
		case c.NotNull && (c.Default == "" || strings.EqualFold(c.Default, "NULL")):
			d.fault("table %s: column %s is new and NOT NULL without a default, and the table may have rows: give it default=…, or make the field a pointer", to.Name, c.Name)
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

// copied is SQL for the value of a column in the new form of its table.
func copied(was, to Column) string {
	value := QuoteIdent(to.Name)
	if converts(was, to) {
		value = inUnit(value, was.Unit, to.Unit)
	}
	if to.NotNull && !was.NotNull && to.Default != "" && !strings.EqualFold(to.Default, "NULL") && constant(to.Default) {
		value = "coalesce(" + value + ", " + to.Default + ")"
	}
	return value
}

func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

func (t *Table) index(name string) int {
	return slices.IndexFunc(t.Indexes, func(ix Index) bool { return ix.Name == name })
}

// checkLines returns the checks that do not belong to a column without says.
func (t *Table) checkLines(without func(string) bool) (lines []string) {
	for _, c := range t.Checks {
		if without == nil || !without(c.Column) {
			lines = append(lines, checkLine(t.Name, c))
		}
	}
	return lines
}

// foreignLines returns the foreign keys that are not those of one column that
// without says.
func (t *Table) foreignLines(without func(string) bool) (lines []string) {
	for _, f := range t.ForeignKeys {
		if without == nil || len(f.Columns) > 1 || !without(f.Columns[0]) {
			lines = append(lines, foreignKeyLine(t.Name, f))
		}
	}
	return lines
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
