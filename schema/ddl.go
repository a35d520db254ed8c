package schema

import (
	"fmt"
	"slices"
	"strings"
)

// CreateSQL returns the CREATE TABLE statement of the structure, one column or
// constraint a line.
func (t *Table) CreateSQL() string {
	var lines []string
	for _, c := range t.Columns {
		line := c.definition()
		if len(t.Key) == 1 && t.Key[0] == c.Name {
			line += " PRIMARY KEY"
		}
		lines = append(lines, line)
	}
	if len(t.Key) > 1 {
		lines = append(lines, "PRIMARY KEY ("+quoteIdents(t.Key)+")")
	}
	for _, c := range t.Checks {
		lines = append(lines, c.definition())
	}
	for _, f := range t.ForeignKeys {
		lines = append(lines, "CONSTRAINT "+QuoteIdent(f.name(t.Name))+" FOREIGN KEY ("+quoteIdents(f.Columns)+") "+f.references())
	}
	return "CREATE TABLE " + QuoteIdent(t.Name) + " (\n\t" + strings.Join(lines, ",\n\t") + "\n) STRICT"
}

func (c Column) definition() string {
	s := QuoteIdent(c.Name) + " " + string(c.Type)
	if c.NotNull {
		s += " NOT NULL"
	}
	if c.Default != "" {
		s += " DEFAULT " + c.Default
	}
	if c.Collate != "" {
		s += " COLLATE " + c.Collate
	}
	if c.Generated != "" {
		s += " GENERATED ALWAYS AS (" + c.Generated + ")"
		if c.Stored {
			s += " STORED"
		}
	}
	return s
}

// Logged says whether the change log has the column's values: not those of a
// generated column, which follow from others.
func (c Column) Logged() bool { return c.Generated == "" && !c.NoLog }

// logged returns the columns whose values the change log has.
func (t *Table) logged() []Column {
	var out []Column
	for _, c := range t.Columns {
		if c.Logged() {
			out = append(out, c)
		}
	}
	return out
}

func (c Check) definition() string {
	return "CONSTRAINT " + QuoteIdent(c.Name) + " CHECK (" + c.Expr + ")"
}

func (f ForeignKey) name(table string) string {
	return table + "_" + strings.Join(f.Columns, "_") + "_fkey"
}

func (f ForeignKey) references() string {
	s := "REFERENCES " + QuoteIdent(f.RefTable) + " (" + quoteIdents(f.RefColumns) + ")"
	if f.OnDelete != "" {
		s += " ON DELETE " + string(f.OnDelete)
	}
	if f.OnUpdate != "" {
		s += " ON UPDATE " + string(f.OnUpdate)
	}
	if f.Deferred {
		s += " DEFERRABLE INITIALLY DEFERRED"
	}
	return s
}

// SQL returns the CREATE INDEX statement for table.
func (ix Index) SQL(table string) string {
	kind := "INDEX"
	if ix.Unique {
		kind = "UNIQUE INDEX"
	}
	terms := quoteIdents(ix.Columns)
	if ix.Columns == nil {
		terms = strings.Join(ix.Terms, ", ")
	}
	s := "CREATE " + kind + " " + QuoteIdent(ix.Name) + " ON " + QuoteIdent(table) + " (" + terms + ")"
	if ix.Where != "" {
		s += " WHERE " + ix.Where
	}
	return s
}

// AddColumnSQL returns the ALTER TABLE statement that adds c, a column of t
// with its checks and its single-column foreign key. The error says why
// SQLite refuses it for a table that has rows. What depends on the rows is
// seen when the statement runs: a default that breaks the column's own check,
// or that two rows of a unique index would share.
func (t *Table) AddColumnSQL(c Column) (string, error) {
	if why := t.cannotAdd(c); why != "" {
		return "", fmt.Errorf("column %s.%s cannot be added to an existing table: %s", t.Name, c.Name, why)
	}
	parts := []string{"ALTER TABLE", QuoteIdent(t.Name), "ADD COLUMN", c.definition()}
	for _, check := range t.Checks {
		if check.Column == c.Name {
			parts = append(parts, check.definition())
		}
	}
	if f := t.foreignKey(c.Name); f != nil {
		parts = append(parts, "CONSTRAINT", QuoteIdent(f.name(t.Name)), f.references())
	}
	return strings.Join(parts, " "), nil
}

func (t *Table) cannotAdd(c Column) string {
	null := c.Default == "" || strings.EqualFold(c.Default, "NULL")
	for _, f := range t.ForeignKeys {
		switch {
		case !slices.Contains(f.Columns, c.Name):
		case len(f.Columns) > 1:
			return "it is part of a foreign key of several columns"
		case c.NotNull || !null:
			return "it refers to another table, so existing rows must have NULL in it; make the field a pointer without a default"
		}
	}
	switch {
	case c.Generated != "" && c.Stored:
		return "it is generated and stored; leave stored out, so that it is computed when it is read"
	case c.Generated != "":
		return ""
	case slices.Contains(t.Key, c.Name):
		return "it is part of the primary key"
	case c.NotNull && null:
		return "it is NOT NULL without a default; give it default=…, or make the field a pointer"
	case !constant(c.Default):
		return "its default is computed for each row; only a constant can be given to existing rows"
	}
	return ""
}

// constant says whether a default is the same for every row. SQLite takes an
// expression in parentheses for one that is not.
func constant(value string) bool {
	return !strings.HasPrefix(value, "(") && !strings.HasPrefix(strings.ToUpper(value), "CURRENT_")
}

func (t *Table) foreignKey(column string) *ForeignKey {
	for i, f := range t.ForeignKeys {
		if len(f.Columns) == 1 && f.Columns[0] == column {
			return &t.ForeignKeys[i]
		}
	}
	return nil
}
