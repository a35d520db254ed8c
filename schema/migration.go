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
		switch {
		case i > 0 && m.Version == all[i-1].Version:
			return nil, fmt.Errorf("%s and %s have one number: two branches have each written a migration. The one that has not run anywhere yet is written anew: remove its file, put schema.json back to what the other branch has, and run driftgen migrate",
				MigrationFile(m.Version, all[i-1].Name), MigrationFile(m.Version, m.Name))
		case m.Version != i+1:
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
	m := Migration{Version: version, Name: name, Text: strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")}
	if err := m.read(); err != nil {
		return m, err
	}
	if m.Structure == "" {
		return m, fmt.Errorf("the line %q… is missing: driftgen migrate writes it", structurePrefix)
	}
	return m, m.lint()
}

// read splits the text into steps and statements. The lines that begin a step,
// and that of the structure, stand between statements.
func (m *Migration) read() error {
	all, closed := scan(m.Text)
	var statement []token
	flush := func() error {
		if len(statement) == 0 {
			return nil
		}
		if !closed {
			return fmt.Errorf("in the statement that begins with %q a quote or comment is not closed", firstWords(m.Text[statement[0].start:]))
		}
		return fmt.Errorf("the statement that begins with %q has no ; at its end", firstWords(m.Text[statement[0].start:]))
	}
	for _, t := range all {
		switch {
		case t.kind == commentToken:
			line := strings.TrimSpace(t.text)
			step, isStep := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(line), " ", ""), "--step:")
			structure, isStructure := strings.CutPrefix(line, structurePrefix)
			if isStep || isStructure {
				if err := flush(); err != nil {
					return err
				}
			}
			switch {
			case isStructure && m.Structure != "":
				return fmt.Errorf("the line %q… stands twice", structurePrefix)
			case isStructure:
				m.Structure = strings.TrimSpace(structure)
			case isStep && step != "data" && step != "schema":
				return fmt.Errorf("%q: a step is %q or %q", line, schemaStep, dataStep)
			case isStep:
				m.Steps = append(m.Steps, Step{Data: step == "data"})
			}
		case t.mark(";") && ends(statement):
			if n := len(statement); n > 0 {
				if len(m.Steps) == 0 {
					m.Steps = append(m.Steps, Step{})
				}
				last := &m.Steps[len(m.Steps)-1]
				last.SQL = append(last.SQL, m.Text[statement[0].start:statement[n-1].end])
				statement = nil
			}
		default:
			statement = append(statement, t)
		}
	}
	return flush()
}

// ends says whether a semicolon ends the statement: the body of a trigger has
// some before its END.
func ends(statement []token) bool {
	isTrigger := func(t token) bool { return t.is("TRIGGER") }
	if len(statement) == 0 || !statement[0].is("CREATE") || !slices.ContainsFunc(statement[:min(3, len(statement))], isTrigger) {
		return true
	}
	open := 0
	for _, t := range statement {
		switch {
		case t.is("BEGIN"), t.is("CASE"):
			open++
		case t.is("END"):
			open--
		}
	}
	return open <= 0 && statement[len(statement)-1].is("END")
}

func firstWords(s string) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(4, len(words))], " ")
}

// chance says whether a statement gives another result each time it runs: a
// restored database would differ.
func chance(all []token) bool {
	for i, t := range all {
		args := 0 // tokens between the parentheses behind
		if i+1 < len(all) && all[i+1].mark("(") {
			args = closing(all, i+1) - i - 2
		}
		switch strings.ToLower(t.text) {
		case "random", "randomblob", "current_timestamp", "current_time", "current_date", "'now'", "limit":
			return true
		case "date", "time", "datetime", "julianday", "unixepoch": // of now, without arguments
			if i+1 < len(all) && all[i+1].mark("(") && args == 0 {
				return true
			}
		case "strftime":
			if args == 1 {
				return true
			}
		}
	}
	return false
}

// lint refuses what a restore could not repeat, and what is not a migration's
// business.
func (m *Migration) lint() error {
	for _, s := range m.Steps {
		for _, sql := range s.SQL {
			if err := lint(sql, s.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

func lint(sql string, data bool) error {
	all := tokens(sql)
	for _, t := range all {
		if t.kind != textToken && strings.HasPrefix(strings.ToLower(t.text), "_driftdb_") {
			return fmt.Errorf("%q names %s, which belongs to the change log", firstWords(sql), t.text)
		}
	}
	word := ""
	if len(all) > 0 {
		word = strings.ToUpper(all[0].text)
	}
	switch word {
	case "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "ATTACH", "DETACH", "VACUUM":
		return fmt.Errorf("%s cannot stand in a migration: it runs in a transaction of its own", word)
	}
	change := slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "SELECT"}, word)
	subject, ddl := SubjectOf(sql)
	switch {
	case data && !change:
		return fmt.Errorf("%q in a data step: statements that change tables belong to a schema step (%s)", firstWords(sql), schemaStep)
	case data:
	case change && !copiesRebuilt(sql):
		return fmt.Errorf("%q in a schema step: statements that change rows belong to a data step (%s), so that the change log records the rows", firstWords(sql), dataStep)
	case change && chance(all):
		return fmt.Errorf("%q gives another result each time it runs, and a restored database would differ: move it to a data step", firstWords(sql))
	case !change && !ddl:
		return fmt.Errorf("%q in a schema step: a restore runs CREATE, ALTER and DROP of tables, indexes, views and triggers of the database itself, and nothing else", firstWords(sql))
	case subject.Verb == "CREATE" && subject.Kind == "TABLE" && ofQuery(all):
		return fmt.Errorf("%q makes a table of a query: make the table here, and fill it in a data step (%s)", firstWords(sql), dataStep)
	}
	return nil
}

// ofQuery says whether CREATE TABLE takes its rows from a query.
func ofQuery(all []token) bool {
	for _, t := range all {
		if t.mark("(") {
			return false
		}
		if t.is("AS") {
			return true
		}
	}
	return true
}

// rebuiltSuffix ends the name of a table that is about to take the place of
// another.
const rebuiltSuffix = "__rebuilt"

func copiesRebuilt(sql string) bool {
	all := tokens(sql)
	return len(all) > 2 && all[0].is("INSERT") && all[1].is("INTO") && all[2].kind != markToken && strings.HasSuffix(unquoted(all[2]), rebuiltSuffix)
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

// Unwrap returns all the files: what runs them runs some of them too.
func (f someFiles) Unwrap() fs.FS { return f.FS }

// ReadDir implements fs.ReadDirFS.
func (f someFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(all, func(e fs.DirEntry) bool {
		version, _, ok := splitName(e.Name())
		return ok && version > f.last
	}), err
}
