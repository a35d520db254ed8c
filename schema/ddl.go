package schema

import (
	"errors"
	"fmt"
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
	return s
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
	return s
}

// SQL returns the CREATE INDEX statement for table.
func (ix Index) SQL(table string) string {
	kind := "INDEX"
	if ix.Unique {
		kind = "UNIQUE INDEX"
	}
	return "CREATE " + kind + " " + QuoteIdent(ix.Name) + " ON " + QuoteIdent(table) + " (" + quoteIdents(ix.Columns) + ")"
}

// AddColumnSQL returns the ALTER TABLE statement that adds c, a column of t
// with its checks and its single-column foreign key. The error says why
// SQLite would refuse it, or refuse it as soon as the table has rows.
func (t *Table) AddColumnSQL(c Column) (string, error) {
	if err := t.canAdd(c); err != nil {
		return "", fmt.Errorf("column %s.%s cannot be added to an existing table: %w", t.Name, c.Name, err)
	}
	s := "ALTER TABLE " + QuoteIdent(t.Name) + " ADD COLUMN " + c.definition()
	for _, check := range t.Checks {
		if check.Column == c.Name {
			s += " " + check.definition()
		}
	}
	if f := t.foreignKey(c.Name); f != nil {
		s += " CONSTRAINT " + QuoteIdent(f.name(t.Name)) + " " + f.references()
	}
	return s, nil
}

func (t *Table) canAdd(c Column) error {
	for _, k := range t.Key {
		if k == c.Name {
			return errors.New("it is part of the primary key")
		}
	}
	constant := c.Default != "" && !strings.HasPrefix(c.Default, "(")
	null := c.Default == "" || strings.EqualFold(c.Default, "NULL")
	switch {
	case c.Default != "" && !constant:
		return errors.New("its default is an expression; a constant can be added")
	case c.NotNull && null:
		return errors.New("it is NOT NULL without a default; give it default=…, or make the field a pointer")
	}
	for _, f := range t.ForeignKeys {
		for _, name := range f.Columns {
			if name != c.Name {
				continue
			}
			if len(f.Columns) > 1 {
				return errors.New("it is part of a foreign key of several columns")
			}
			if !null {
				return errors.New("it refers to another table and has a default")
			}
		}
	}
	return nil
}

func (t *Table) foreignKey(column string) *ForeignKey {
	for i, f := range t.ForeignKeys {
		if len(f.Columns) == 1 && f.Columns[0] == column {
			return &t.ForeignKeys[i]
		}
	}
	return nil
}
