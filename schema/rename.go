package schema

import (
	"fmt"
	"slices"
	"strings"
)

// renamedSuffix ends a name that stands in until the one that is meant is free.
const renamedSuffix = "__renamed"

// renameTables gives tables their new names, in the file and in d.old.
func (d *differ) renameTables(to Schema) {
	for i := range to.Tables {
		t := &to.Tables[i]
		name, former := strings.ToLower(t.Name), strings.ToLower(t.Was)
		same := d.old[name]
		switch {
		case same != nil && same.Name != t.Name: // SQLite takes both names for one
			d.renameTable(same, same.Name+renamedSuffix)
			d.renameTable(same, t.Name)
		case t.Was == "" || same != nil && same.Was == t.Was:
		case same != nil && d.old[former] != nil:
			d.fault("table %s: was=%s, and both are there: a migration that drops %s has to come before, or remove was= if the rows of %s are not those of %s", t.Name, t.Was, t.Name, t.Was, t.Name)
		case same != nil: // it has been told before
		case d.old[former] == nil && len(d.old) > 0:
			d.fault("table %s: was=%s, and there was no table of this name", t.Name, t.Was)
		case d.old[former] == nil:
		default:
			d.renameTable(d.old[former], t.Name)
		}
	}
}

func (d *differ) renameTable(t *Table, name string) {
	what := fmt.Sprintf("table %s becomes %s", t.Name, name)
	if strings.HasSuffix(name, renamedSuffix) {
		what = ""
	}
	d.add(Rename, what, "ALTER TABLE "+QuoteIdent(t.Name)+" RENAME TO "+QuoteIdent(name))
	delete(d.old, strings.ToLower(t.Name))
	for _, o := range d.old {
		o.refersTo(t.Name, name)
	}
	t.refersTo(t.Name, name)
	t.Name = name
	d.old[strings.ToLower(name)] = t
}

// refersTo does in a structure what RENAME TO does to foreign keys.
func (t *Table) refersTo(from, to string) {
	t.ForeignKeys = slices.Clone(t.ForeignKeys)
	for i := range t.ForeignKeys {
		if f := &t.ForeignKeys[i]; strings.EqualFold(f.RefTable, from) {
			f.RefTable = to
		}
	}
}

// renameColumns gives columns their new names, in the file and in was: one
// after the other, so that each finds its name free. Names that go in a ring,
// such as two that are exchanged, need one that stands in.
func (d *differ) renameColumns(was, to *Table) {
	pending := d.columnRenames(was, to)
	for len(pending) > 0 {
		i := slices.IndexFunc(pending, func(r [2]string) bool {
			return !slices.ContainsFunc(was.Columns, func(c Column) bool {
				return strings.EqualFold(c.Name, r[1]) && !strings.EqualFold(c.Name, r[0])
			})
		})
		if i >= 0 {
			d.renameColumn(was, pending[i][0], pending[i][1], fmt.Sprintf("column %s.%s becomes %s", to.Name, strings.TrimSuffix(pending[i][0], renamedSuffix), pending[i][1]))
			pending = slices.Delete(pending, i, i+1)
			continue
		}
		first := &pending[0]
		d.renameColumn(was, first[0], first[0]+renamedSuffix, "")
		first[0] += renamedSuffix
	}
}

// columnRenames returns the old and new names of the columns that are to have
// another one.
func (d *differ) columnRenames(was, to *Table) (pending [][2]string) {
	for _, c := range to.Columns {
		same := slices.IndexFunc(was.Columns, func(o Column) bool { return strings.EqualFold(o.Name, c.Name) })
		former := slices.IndexFunc(was.Columns, func(o Column) bool { return strings.EqualFold(o.Name, c.Was) })
		switch {
		case same >= 0 && was.Columns[same].Name != c.Name && was.column(c.Name) < 0: // SQLite takes both names for one
			pending = append(pending, [2]string{was.Columns[same].Name, c.Name})
		case c.Was == "" || same >= 0 && (former < 0 || was.Columns[same].Was == c.Was):
		case former < 0:
			d.fault("table %s: column %s has was=%s, and there was no column of this name", to.Name, c.Name, c.Was)
		case slices.ContainsFunc(pending, func(r [2]string) bool { return r[0] == was.Columns[former].Name }):
			d.fault("table %s: two columns have was=%s", to.Name, c.Was)
		default:
			pending = append(pending, [2]string{was.Columns[former].Name, c.Name})
		}
	}
	for _, r := range pending {
		taken := func(o Column) bool {
			return strings.EqualFold(o.Name, r[1]) && !slices.ContainsFunc(pending, func(p [2]string) bool { return p[0] == o.Name })
		}
		if slices.ContainsFunc(was.Columns, taken) {
			d.fault("table %s: column %s has was=%s, and both are there: a migration that drops %s has to come before, or remove was= if the values are not those of %s", to.Name, r[1], r[0], r[1], r[0])
		}
	}
	if len(d.faults) > 0 {
		return nil
	}
	return pending
}

func (d *differ) renameColumn(t *Table, from, to, what string) {
	d.add(Rename, what, fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", QuoteIdent(t.Name), QuoteIdent(from), QuoteIdent(to)))
	t.rename(from, to)
	for _, o := range d.old {
		o.refersToColumn(t.Name, from, to)
	}
}

// refersToColumn does in a structure what RENAME COLUMN does to foreign keys.
func (t *Table) refersToColumn(table, from, to string) {
	t.ForeignKeys = slices.Clone(t.ForeignKeys)
	for i := range t.ForeignKeys {
		if f := &t.ForeignKeys[i]; strings.EqualFold(f.RefTable, table) {
			f.RefColumns = swapped(f.RefColumns, from, to)
		}
	}
}

// rename does in a structure what RENAME COLUMN does in a file.
func (t *Table) rename(from, to string) {
	text := func(s string) string { return renamed(s, from, to) }
	t.Columns[t.column(from)].Name = to
	t.Key = swapped(t.Key, from, to)
	t.Indexes, t.Checks, t.ForeignKeys = slices.Clone(t.Indexes), slices.Clone(t.Checks), slices.Clone(t.ForeignKeys)
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Generated != "" {
			c.Generated = text(c.Generated)
		}
	}
	for i := range t.Indexes {
		ix := &t.Indexes[i]
		if ix.Columns != nil {
			ix.Columns = swapped(ix.Columns, from, to)
		}
		ix.Terms = slices.Clone(ix.Terms)
		for j := range ix.Terms {
			ix.Terms[j] = text(ix.Terms[j])
		}
		ix.Where = text(ix.Where)
	}
	for i := range t.Checks {
		c := &t.Checks[i]
		if c.Expr = text(c.Expr); c.Column == from {
			c.Column = to
		}
	}
	for i := range t.ForeignKeys {
		t.ForeignKeys[i].Columns = swapped(t.ForeignKeys[i].Columns, from, to)
	}
}

func swapped(names []string, from, to string) []string {
	out := slices.Clone(names)
	for i, n := range out {
		if n == from {
			out[i] = to
		}
	}
	return out
}
