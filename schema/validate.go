package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxColumns is SQLite's own limit, SQLITE_MAX_COLUMN.
const maxColumns = 2000

// faults collects what is wrong with one table.
type faults struct {
	table   *Table
	columns map[string]Column // by name in lower case: SQLite does not tell upper from lower
	errs    []error
}

func (f *faults) add(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("table %q: "+format, append([]any{f.table.Name}, args...)...))
}

// Validate says what makes the table impossible: nil when nothing does. All
// faults are in one error.
func (t *Table) Validate() error {
	f := faults{table: t, columns: make(map[string]Column)}
	if why := badName(t.Name); why != "" {
		f.add("its name %s", why)
	}
	f.checkColumns()
	f.checkKey()
	f.checkConstraints()
	for _, fk := range t.ForeignKeys {
		f.checkForeignKey(fk)
	}
	return errors.Join(f.errs...)
}

func (f *faults) checkColumns() {
	if n := len(f.table.Columns); n == 0 || n > maxColumns {
		f.add("it has %d columns; SQLite takes 1 to %d", n, maxColumns)
	}
	for _, c := range f.table.Columns {
		if why := badName(c.Name); why != "" {
			f.add("the name of column %q %s", c.Name, why)
		}
		lower := strings.ToLower(c.Name)
		if _, twice := f.columns[lower]; twice {
			f.add("column %q stands twice; SQLite does not tell upper from lower case", c.Name)
		}
		f.columns[lower] = c
		if !slices.Contains([]Type{Integer, Real, Text, Blob, Any}, c.Type) {
			f.add("column %q has type %q; a STRICT table knows INTEGER, REAL, TEXT, BLOB and ANY", c.Name, c.Type)
		}
		if !slices.Contains([]string{"", "BINARY", "NOCASE", "RTRIM"}, strings.ToUpper(c.Collate)) {
			f.add("column %q has collation %q; SQLite itself knows BINARY, NOCASE and RTRIM, and every program that writes must know it", c.Name, c.Collate)
		}
		if why := c.contradicts(f.table.Key); why != "" {
			f.add("column %q %s", c.Name, why)
		}
		if c.Generated != "" {
			if why := badExpr("(" + c.Generated + ")"); why != "" {
				f.add("the expression of the generated column %q %s", c.Name, why)
			}
		}
		if c.Default != "" {
			if why := badDefault(c.Default); why != "" {
				f.add("the default of column %q %s", c.Name, why)
			}
		}
	}
}

// contradicts says which properties of the column exclude each other.
func (c Column) contradicts(key []string) string {
	inKey := slices.Contains(key, c.Name)
	switch {
	case c.Generated != "" && c.Default != "":
		return "is generated and has a default"
	case c.Generated != "" && inKey:
		return "is generated and part of the primary key; the change log could not name the row"
	case c.Stored && c.Generated == "":
		return "is stored but not generated"
	case c.NoLog && inKey:
		return "is left out of the change log and part of the primary key, by which the log names rows"
	case c.NoLog && c.Generated == "" && c.NotNull && c.Default == "":
		return "is left out of the change log, so a restored row has no value for it: let it be NULL or give it a default"
	}
	return ""
}

func (f *faults) checkKey() {
	if len(f.table.Key) == 0 {
		f.add("it has no primary key; the change log names rows by it")
		return
	}
	f.checkNames("the primary key", f.table.Key)
	for _, name := range f.table.Key {
		if c := f.columns[strings.ToLower(name)]; c.Name == name && !c.NotNull {
			f.add("column %q of the primary key may be NULL; the change log could not name such a row", name)
		}
	}
}

func (f *faults) checkConstraints() {
	for _, ix := range f.table.Indexes {
		if why := badName(ix.Name); why != "" {
			f.add("the name of index %q %s", ix.Name, why)
		}
		if ix.Terms == nil {
			f.checkNames(fmt.Sprintf("index %q", ix.Name), ix.Columns)
		} else if ix.Columns != nil {
			f.add("index %q has both columns and terms", ix.Name)
		}
		for _, term := range ix.Terms {
			if why := badExpr("(" + term + ")"); why != "" {
				f.add("term %q of index %q %s", term, ix.Name, why)
			}
		}
		if ix.Where != "" {
			if why := badExpr("(" + ix.Where + ")"); why != "" {
				f.add("the condition of index %q %s", ix.Name, why)
			}
		}
	}
	names := make(map[string]bool)
	for _, c := range f.table.Checks {
		if why := badName(c.Name); why != "" {
			f.add("the name of check %q %s", c.Name, why)
		}
		if names[strings.ToLower(c.Name)] {
			f.add("check %q stands twice", c.Name)
		}
		names[strings.ToLower(c.Name)] = true
		if c.Column != "" {
			f.checkNames(fmt.Sprintf("check %q", c.Name), []string{c.Column})
		}
		if why := badExpr("(" + c.Expr + ")"); why != "" {
			f.add("check %q %s", c.Name, why)
		}
	}
}

func (f *faults) checkForeignKey(fk ForeignKey) {
	f.checkNames(fmt.Sprintf("the foreign key to %q", fk.RefTable), fk.Columns)
	if len(fk.Columns) != len(fk.RefColumns) {
		f.add("the foreign key to %q has %d columns for %d", fk.RefTable, len(fk.Columns), len(fk.RefColumns))
	}
	for _, action := range []Action{fk.OnDelete, fk.OnUpdate} {
		if !slices.Contains([]Action{"", Cascade, SetNull, SetDefault, Restrict}, action) {
			f.add("the foreign key to %q has the unknown action %q", fk.RefTable, action)
		}
		for _, name := range fk.Columns {
			if action == SetNull && f.columns[strings.ToLower(name)].NotNull {
				f.add("the foreign key to %q sets column %q to NULL, which it cannot be", fk.RefTable, name)
			}
		}
	}
}

// checkNames wants one or more different columns of the table.
func (f *faults) checkNames(what string, names []string) {
	if len(names) == 0 {
		f.add("%s has no column", what)
	}
	seen := make(map[string]bool)
	for _, name := range names {
		lower := strings.ToLower(name)
		if c, ok := f.columns[lower]; !ok || c.Name != name {
			f.add("%s names column %q, which the table does not have", what, name)
		}
		if seen[lower] {
			f.add("%s names column %q twice", what, name)
		}
		seen[lower] = true
	}
}

// badName says why a name cannot be one, "" when it can.
func badName(name string) string {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return "is empty"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "holds a control character"
	case strings.HasPrefix(lower, "sqlite_"):
		return "begins with sqlite_, which SQLite keeps for itself"
	case strings.HasPrefix(lower, "_driftdb_"):
		return "begins with _driftdb_, which the change log uses"
	}
	return ""
}

// Validate checks every table, that names are unique, and that a foreign key
// refers to a key of a table of the schema.
func (s Schema) Validate() error {
	var errs []error
	tables := make(map[string]*Table)
	indexes := make(map[string]string)
	for i := range s.Tables {
		t := &s.Tables[i]
		errs = append(errs, t.Validate())
		lower := strings.ToLower(t.Name)
		if tables[lower] != nil {
			errs = append(errs, fmt.Errorf("table %q stands twice; SQLite does not tell upper from lower case", t.Name))
		}
		tables[lower] = t
		for _, ix := range t.Indexes {
			key := strings.ToLower(ix.Name)
			if other, ok := indexes[key]; ok {
				errs = append(errs, fmt.Errorf("table %q: index %q is also one of table %q", t.Name, ix.Name, other))
			}
			indexes[key] = t.Name
		}
	}
	for i := range s.Tables {
		for _, f := range s.Tables[i].ForeignKeys {
			errs = append(errs, checkReference(&s.Tables[i], f, tables[strings.ToLower(f.RefTable)]))
		}
	}
	for name := range indexes {
		if tables[name] != nil {
			errs = append(errs, fmt.Errorf("index %q has the name of a table", name))
		}
	}
	return errors.Join(errs...)
}

func checkReference(t *Table, f ForeignKey, target *Table) error {
	if target == nil {
		return fmt.Errorf("table %q: the foreign key to %q: no such table is in the schema (schema.Join puts those of several packages together)", t.Name, f.RefTable)
	}
	if slices.Equal(f.RefColumns, target.Key) {
		return nil
	}
	for _, ix := range target.Indexes {
		if ix.Unique && ix.Where == "" && slices.Equal(f.RefColumns, ix.Columns) {
			return nil
		}
	}
	return fmt.Errorf("table %q: the foreign key to %s (%s) needs a primary or unique key there", t.Name, f.RefTable, strings.Join(f.RefColumns, ", "))
}

// Sorted returns the schema in creation order: a table that is referred to
// comes before the table that refers to it, otherwise the given order stays.
// Tables that refer to each other in a ring stand in the given order.
func (s Schema) Sorted() Schema {
	byName := make(map[string]int)
	for i, t := range s.Tables {
		byName[strings.ToLower(t.Name)] = i
	}
	seen := make([]bool, len(s.Tables))
	out := s
	out.Tables = nil
	var visit func(i int)
	visit = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, f := range s.Tables[i].ForeignKeys {
			if j, ok := byName[strings.ToLower(f.RefTable)]; ok {
				visit(j)
			}
		}
		out.Tables = append(out.Tables, s.Tables[i])
	}
	for i := range s.Tables {
		visit(i)
	}
	return out
}
