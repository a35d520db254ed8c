package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Validate says what makes the table impossible: nil when nothing does. All
// faults are in one error.
func (t *Table) Validate() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("table %q: "+format, append([]any{t.Name}, args...)...))
	}
	if why := badName(t.Name); why != "" {
		fault("its name %s", why)
	}
	columns := make(map[string]bool)
	for _, c := range t.Columns {
		if why := badName(c.Name); why != "" {
			fault("the name of column %q %s", c.Name, why)
		}
		if columns[strings.ToLower(c.Name)] {
			fault("column %q stands twice; SQLite does not tell upper from lower case", c.Name)
		}
		columns[strings.ToLower(c.Name)] = true
		if !slices.Contains([]Type{Integer, Real, Text, Blob, Any}, c.Type) {
			fault("column %q has type %q; a STRICT table knows INTEGER, REAL, TEXT, BLOB and ANY", c.Name, c.Type)
		}
	}
	known := func(what string, names []string) {
		if len(names) == 0 {
			fault("%s has no column", what)
		}
		for _, n := range names {
			if !columns[strings.ToLower(n)] {
				fault("%s names column %q, which the table does not have", what, n)
			}
		}
	}
	if len(t.Columns) == 0 {
		fault("it has no column")
	}
	if len(t.Key) == 0 {
		fault("it has no primary key; the change log names rows by it")
	} else {
		known("the primary key", t.Key)
	}
	for _, ix := range t.Indexes {
		known("index "+ix.Name, ix.Columns)
	}
	for _, f := range t.ForeignKeys {
		known("the foreign key to "+f.RefTable, f.Columns)
		if len(f.Columns) != len(f.RefColumns) {
			fault("the foreign key to %s has %d columns for %d", f.RefTable, len(f.Columns), len(f.RefColumns))
		}
	}
	return errors.Join(errs...)
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
// refers to a key of a table that stands before its own.
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
		for _, f := range t.ForeignKeys {
			errs = append(errs, checkReference(t, f, tables[strings.ToLower(f.RefTable)]))
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
		return fmt.Errorf("table %q: the foreign key to %q: no such table stands before it", t.Name, f.RefTable)
	}
	if slices.Equal(f.RefColumns, target.Key) {
		return nil
	}
	for _, ix := range target.Indexes {
		if ix.Unique && slices.Equal(f.RefColumns, ix.Columns) {
			return nil
		}
	}
	return fmt.Errorf("table %q: the foreign key to %s (%s) needs a primary or unique key there", t.Name, f.RefTable, strings.Join(f.RefColumns, ", "))
}

// Sorted returns the schema in creation order: a table that is referred to
// comes before the table that refers to it, otherwise the given order stays.
// Tables that refer to each other in a ring are an error.
func (s Schema) Sorted() (Schema, error) {
	byName := make(map[string]int)
	for i, t := range s.Tables {
		byName[strings.ToLower(t.Name)] = i
	}
	const (
		entered = 1
		left    = 2
	)
	state := make([]int, len(s.Tables))
	var out Schema
	var visit func(i int, path []string) error
	visit = func(i int, path []string) error {
		t := s.Tables[i]
		path = append(path, t.Name)
		switch state[i] {
		case left:
			return nil
		case entered:
			return fmt.Errorf("tables refer to each other in a ring: %s", strings.Join(path, " → "))
		}
		state[i] = entered
		for _, f := range t.ForeignKeys {
			if j, ok := byName[strings.ToLower(f.RefTable)]; ok && j != i {
				if err := visit(j, path); err != nil {
					return err
				}
			}
		}
		state[i] = left
		out.Tables = append(out.Tables, t)
		return nil
	}
	for i := range s.Tables {
		if err := visit(i, nil); err != nil {
			return Schema{}, err
		}
	}
	return out, nil
}
