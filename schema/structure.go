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
		lines = append(lines, s.Tables[i].Structure()...)
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

// IndexLine is the line of an index, by its SQL.
func IndexLine(sql string) string { return indexPrefix + Normal(sql) }

const indexPrefix = "index: "

// IsIndexLine says whether a line is that of an index.
func IsIndexLine(line string) bool { return strings.HasPrefix(line, indexPrefix) }

// Structure returns the lines of the table: what its columns, keys and
// constraints are. What constraints are called is not in them: a column that
// gets another name keeps the old name of its CHECK.
func (t *Table) Structure() []string {
	lines := []string{fmt.Sprintf("table %s: primary key (%s)", t.Name, strings.Join(t.Key, ", "))}
	for _, c := range t.Columns {
		lines = append(lines, columnLine(t.Name, c))
	}
	for _, c := range t.Checks {
		lines = append(lines, checkLine(t.Name, c))
	}
	for _, ix := range t.Indexes {
		lines = append(lines, IndexLine(ix.SQL(t.Name)))
	}
	for _, f := range t.ForeignKeys {
		lines = append(lines, foreignKeyLine(t.Name, f))
	}
	return lines
}

func columnLine(table string, c Column) string {
	line := fmt.Sprintf("column %s.%s: %s", table, c.Name, c.Type)
	if c.NotNull {
		line += " NOT NULL"
	}
	if c.Default != "" {
		line += " DEFAULT " + Normal(bare(c.Default))
	}
	if c.Collate != "" && !strings.EqualFold(c.Collate, "BINARY") {
		line += " COLLATE " + strings.ToUpper(c.Collate)
	}
	if c.Generated != "" {
		line += " GENERATED AS (" + Normal(bare(c.Generated)) + ")"
		if c.Stored {
			line += " STORED"
		}
	}
	return line
}

func checkLine(table string, c Check) string {
	return fmt.Sprintf("check of %s: %s", table, Normal(bare(c.Expr)))
}

func foreignKeyLine(table string, f ForeignKey) string {
	action := func(a Action) string {
		if a == "" {
			return "NO ACTION"
		}
		return string(a)
	}
	line := fmt.Sprintf("foreign key %s (%s): %s (%s) on delete %s, on update %s", table, strings.Join(f.Columns, ", "),
		f.RefTable, strings.Join(f.RefColumns, ", "), action(f.OnDelete), action(f.OnUpdate))
	if f.Deferred {
		line += ", deferred"
	}
	return line
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
