package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Structure returns what the tables consist of, one fact a line, sorted: the
// part of a schema that makes a difference to the rows. The order of columns
// does not.
func (s Schema) Structure() []string {
	var lines []string
	for i := range s.Tables {
		lines = append(lines, s.Tables[i].structure()...)
	}
	slices.Sort(lines)
	return lines
}

// Fingerprint is short for Structure: 32 hex digits.
func (s Schema) Fingerprint() string { return FingerprintOf(s.Structure()) }

// FingerprintOf is the fingerprint of a structure's lines, which are sorted.
func FingerprintOf(lines []string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:16])
}

// The lines of a structure, which are made from models here and from files in
// package orm.

// TableLine is the line of a table and its primary key.
func TableLine(table string, key []string) string {
	return fmt.Sprintf("table %s: primary key (%s)", table, strings.Join(key, ", "))
}

// ColumnLine is the line of a column.
func ColumnLine(table string, c Column) string {
	line := fmt.Sprintf("column %s.%s: %s", table, c.Name, c.Type)
	if c.NotNull {
		line += " NOT NULL"
	}
	if c.Default != "" {
		line += " DEFAULT " + strings.TrimSuffix(strings.TrimPrefix(c.Default, "("), ")")
	}
	if c.Generated != "" {
		line += " GENERATED"
	}
	return line
}

// IndexLine is the line of an index, by its SQL.
func IndexLine(sql string) string { return "index: " + sql }

// ForeignKeyLine is the line of a foreign key.
func ForeignKeyLine(table string, f ForeignKey) string {
	action := func(a Action) string {
		if a == "" {
			return "NO ACTION"
		}
		return string(a)
	}
	return fmt.Sprintf("foreign key %s (%s): %s (%s) on delete %s, on update %s", table, strings.Join(f.Columns, ", "),
		f.RefTable, strings.Join(f.RefColumns, ", "), action(f.OnDelete), action(f.OnUpdate))
}

// ChecksLine is the line of the number of CHECK constraints of a table.
func ChecksLine(table string, n int) string { return fmt.Sprintf("checks of %s: %d", table, n) }

func (t *Table) structure() []string {
	lines := []string{TableLine(t.Name, t.Key), ChecksLine(t.Name, len(t.Checks))}
	for _, c := range t.Columns {
		lines = append(lines, ColumnLine(t.Name, c))
	}
	for _, ix := range t.Indexes {
		lines = append(lines, IndexLine(ix.SQL(t.Name)))
	}
	for _, f := range t.ForeignKeys {
		lines = append(lines, ForeignKeyLine(t.Name, f))
	}
	return lines
}

// Unlike returns what differs between two structures, for people: lines that
// only the first has with -, lines that only the second has with +.
func Unlike(have, want []string) string {
	var b strings.Builder
	for _, l := range have {
		if !slices.Contains(want, l) {
			b.WriteString("\n- " + l)
		}
	}
	for _, l := range want {
		if !slices.Contains(have, l) {
			b.WriteString("\n+ " + l)
		}
	}
	return b.String()
}
