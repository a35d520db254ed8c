package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Migration is one file of a package's directory migrations: the statements
// that lead from one version of its tables to the next.
type Migration struct {
	Version   int    // 1 for the first
	Name      string // as in 0002_name.sql
	Structure string // fingerprint of the tables after it
	Steps     []Step // in order
	Text      string // of the file
}

// Step is a run of statements of a migration.
type Step struct {
	// Data says that the statements change rows. The change log records these
	// rows, not the statements; of the other steps it records the statements.
	Data bool
	SQL  []string
}

// splitName reads 0002_add_teams.sql.
func splitName(file string) (version int, name string, ok bool) {
	base, ok := strings.CutSuffix(file, ".sql")
	number, name, ok2 := strings.Cut(base, "_")
	version, err := strconv.Atoi(number)
	if !ok || !ok2 || len(number) != 4 || err != nil || version < 1 || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return 0, "", false
	}
	return version, name, true
}

// MigrationFile returns the name of a migration's file.
func MigrationFile(version int, name string) string { return fmt.Sprintf("%04d_%s.sql", version, name) }

// ReadMigrations reads the files of a directory called migrations in fsys, or
// of fsys itself if there is none: 0001_init.sql, 0002_name.sql and so on, without a
// gap.
func ReadMigrations(fsys fs.FS) ([]Migration, error) {
	dir := "migrations"
	if _, err := fs.Stat(fsys, dir); err != nil {
		dir = "."
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	var all []Migration
	for _, e := range entries {
		if path.Ext(e.Name()) != ".sql" {
			continue
		}
		b, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the migrations: %w", err)
		}
		m, err := ParseMigration(e.Name(), string(b))
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", e.Name(), err)
		}
		all = append(all, m)
	}
	for i, m := range all {
		if m.Version != i+1 {
			return nil, fmt.Errorf("migration %04d is missing: %s comes after %04d", i+1, MigrationFile(m.Version, m.Name), i)
		}
	}
	return all, nil
}

// Header of a migration's file, and of its parts.
const (
	structurePrefix = "-- structure: "
	schemaStep      = "-- step: schema"
	dataStep        = "-- step: data"
)

// ParseMigration reads the text of a migration's file.
func ParseMigration(file, text string) (Migration, error) {
	version, name, ok := splitName(file)
	if !ok {
		return Migration{}, errors.New("its name is not like 0002_add_teams.sql")
	}
	m := Migration{Version: version, Name: name, Text: strings.ReplaceAll(text, "\r\n", "\n")}
	var statement strings.Builder
	flush := func() error {
		rest := strings.TrimSpace(statement.String())
		statement.Reset()
		if rest == "" {
			return nil
		}
		return fmt.Errorf("the statement that begins with %q has no ; at the end of a line", firstWords(rest))
	}
	for line := range strings.SplitSeq(m.Text, "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, structurePrefix):
			m.Structure = strings.TrimPrefix(trimmed, structurePrefix)
			continue
		case trimmed == schemaStep || trimmed == dataStep:
			if err := flush(); err != nil {
				return m, err
			}
			m.Steps = append(m.Steps, Step{Data: trimmed == dataStep})
			continue
		case statement.Len() == 0 && (trimmed == "" || strings.HasPrefix(trimmed, "--")):
			continue
		}
		statement.WriteString(line + "\n")
		sql, ended := endOfStatement(statement.String())
		if !ended {
			continue
		}
		if len(m.Steps) == 0 {
			m.Steps = append(m.Steps, Step{})
		}
		last := &m.Steps[len(m.Steps)-1]
		last.SQL = append(last.SQL, sql)
		statement.Reset()
	}
	if err := flush(); err != nil {
		return m, err
	}
	if m.Structure == "" {
		return m, fmt.Errorf("the line %q… is missing: driftgen migrate writes it", structurePrefix)
	}
	return m, m.lint()
}

// endOfStatement says whether text is one whole statement: it ends with a
// semicolon outside of quotes, and a trigger with END before it.
func endOfStatement(text string) (sql string, ended bool) {
	sql = strings.TrimSpace(text)
	body, ok := strings.CutSuffix(sql, ";")
	if !ok {
		return "", false
	}
	var quote byte
	for i := range len(body) {
		switch c := body[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"' || c == '`':
			quote = c
		case c == '[':
			quote = ']'
		}
	}
	if quote != 0 {
		return "", false
	}
	words := strings.Fields(strings.ToUpper(body))
	trigger := len(words) > 2 && words[0] == "CREATE" && (words[1] == "TRIGGER" || words[2] == "TRIGGER")
	if trigger && words[len(words)-1] != "END" {
		return "", false
	}
	return strings.TrimSpace(body), true
}

func firstWords(s string) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(4, len(words))], " ")
}

// chance says whether a statement gives another result each time it runs: a
// restored database would differ.
func chance(sql string) bool {
	word := func(r rune) bool { return r != '_' && r != '\'' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	for _, w := range strings.FieldsFunc(strings.ToLower(sql), word) {
		switch w {
		case "random", "randomblob", "current_timestamp", "current_time", "current_date", "'now'", "limit":
			return true
		}
	}
	return false
}

// lint refuses what a restore could not repeat, and what is not a migration's
// business.
func (m *Migration) lint() error {
	for _, s := range m.Steps {
		for _, sql := range s.SQL {
			words := strings.Fields(strings.ToUpper(sql))
			switch words[0] {
			case "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "ATTACH", "DETACH", "VACUUM":
				return fmt.Errorf("%s cannot stand in a migration: it runs in a transaction of its own", words[0])
			}
			change := slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "SELECT"}, words[0])
			switch {
			case s.Data && !change:
				return fmt.Errorf("%q in a data step: statements that change tables belong to a schema step (%s)", firstWords(sql), schemaStep)
			case !s.Data && change && !copiesRebuilt(sql):
				return fmt.Errorf("%q in a schema step: statements that change rows belong to a data step (%s), so that the change log records the rows", firstWords(sql), dataStep)
			case !s.Data && change && chance(sql):
				return fmt.Errorf("%q gives another result each time it runs, and a restored database would differ: move it to a data step", firstWords(sql))
			}
		}
	}
	return nil
}

// rebuiltSuffix ends the name of a table that is about to take the place of
// another.
const rebuiltSuffix = "__rebuilt"

func copiesRebuilt(sql string) bool {
	words := strings.Fields(sql)
	return len(words) > 2 && strings.EqualFold(words[0], "INSERT") && strings.EqualFold(words[1], "INTO") && strings.HasSuffix(strings.Trim(words[2], `"`), rebuiltSuffix)
}

// Until returns the schema as it was at a version: its migrations up to it, and
// no tables that Open would compare with them.
func (s Schema) Until(version int) Schema {
	return Schema{Migrations: someFiles{s.Migrations, version}}
}

// someFiles is a file system without the migrations after a version.
type someFiles struct {
	fs.FS
	last int
}

// ReadDir implements fs.ReadDirFS.
func (f someFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(all, func(e fs.DirEntry) bool {
		version, _, ok := splitName(e.Name())
		return ok && version > f.last
	}), err
}
