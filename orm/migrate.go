package orm

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

var (
	// ErrSchemaTooNew says that a newer version of the program has migrated the
	// file. Nothing was changed.
	ErrSchemaTooNew = errors.New("the file was migrated by a newer version of the program: run that one, or restore a copy from before")

	// ErrSchemaDrift says that the tables of the file are not what its migrations
	// have made: something else has changed them, or the models have changes
	// that no migration has. Nothing was changed.
	ErrSchemaDrift = errors.New("the tables are not what the migrations have made of them")
)

// metaMigration is the key in _driftdb_meta of what was migrated last.
const metaMigration = "migration"

// migrated is the record of it.
type migrated struct {
	Version   int      `json:"version"`
	Name      string   `json:"name"`
	Structure []string `json:"structure"` // what the tables were then
}

// MigrationFiles are the files of a package's directory migrations, for
// schema.Schema.Migrations; generated code names it. Only a program that does is
// linked with what runs migrations.
type MigrationFiles struct{ fs.FS }

// migrations runs migrations. MigrationFiles is the one that does.
type migrations interface {
	migrate(ctx context.Context, db *DB, s schema.Schema) error
}

// plainFiles are migrations that no generated code has named.
type plainFiles struct{ fs.FS }

func (f plainFiles) migrate(context.Context, *DB, schema.Schema) error {
	dir, err := f.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(errors.New("Schema.Migrations are plain files, which Open cannot run: run driftgen again, or give it orm.MigrationFiles{FS: files}"), dir.Close())
}

// runner returns what runs the migrations of files, or some of them
// (schema.Schema.Until).
func runner(files fs.FS) migrations {
	for all := files; ; {
		if m, ok := all.(migrations); ok {
			return m
		}
		some, ok := all.(interface{ Unwrap() fs.FS })
		if !ok {
			return plainFiles{files}
		}
		all = some.Unwrap()
	}
}

// migrate brings the file to the newest migration, one transaction each.
func (MigrationFiles) migrate(ctx context.Context, db *DB, s schema.Schema) error {
	all, err := schema.ReadMigrations(s.Migrations)
	if err != nil {
		return err
	}
	for {
		more, err := db.migrateOnce(ctx, s, all)
		if err != nil || !more {
			return err
		}
	}
}

// migrateOnce runs the next migration in a transaction of its own. Foreign keys
// are off meanwhile, because dropping a table would delete the rows that refer
// to it; they are checked before the commit.
func (db *DB) migrateOnce(ctx context.Context, s schema.Schema, all []schema.Migration) (more bool, err error) {
	done, err := db.migratedTo(ctx, db.writer)
	if err != nil {
		return false, err
	}
	if done.Version == len(all) && len(all) > 0 && done.Structure != nil { // most of the time
		return false, db.drifted(ctx, db.writer, all, done)
	}
	if _, err := db.writer.one(ctx, "PRAGMA foreign_keys=OFF", nil); err != nil {
		return false, err
	}
	defer func() {
		if db.writer != nil {
			_, onErr := db.writer.one(quiet(ctx), "PRAGMA foreign_keys=ON", nil)
			err = also(err, onErr)
		}
	}()
	var m *schema.Migration
	err = db.transaction(ctx, func(c *conn, _ *txState) error {
		if err := changelog.Init(ctx, changelog.Driver(c.dc)); err != nil {
			return err
		}
		done, err := db.standing(ctx, c, s, all) // another process may have been faster
		if err != nil || done.Version == len(all) {
			return err
		}
		m = &all[done.Version]
		if err := applyMigration(ctx, c, s, all, done); err != nil {
			return fmt.Errorf("migration %s: %w", schema.MigrationFile(m.Version, m.Name), err)
		}
		return nil
	})
	if err != nil || m == nil {
		return false, err
	}
	db.o.Logger.InfoContext(ctx, "migrated", "path", db.o.Path, "migration", schema.MigrationFile(m.Version, m.Name))
	return m.Version < len(all), nil
}

// standing says how far the file was migrated, in the transaction of c.
func (db *DB) standing(ctx context.Context, c *conn, s schema.Schema, all []schema.Migration) (migrated, error) {
	done, err := db.migratedTo(ctx, c)
	if err != nil {
		return done, err
	}
	if done.Version > 0 && done.Structure == nil { // restored: the tables are now what the log has made of them
		if done.Structure, err = structureOf(ctx, c, nil); err == nil {
			err = record(ctx, c, done)
		}
	}
	if err == nil {
		done, err = db.baseline(ctx, c, s, all, done)
	}
	if err == nil && done.Version > len(all) {
		err = fmt.Errorf("%w (the file is at migration %d, %s; this program knows %d)", ErrSchemaTooNew, done.Version, done.Name, len(all))
	}
	if err == nil {
		err = db.drifted(ctx, c, all, done)
	}
	return done, err
}

func (db *DB) migratedTo(ctx context.Context, c *conn) (m migrated, err error) {
	row, err := c.one(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = '_driftdb_meta'", nil)
	if err != nil || row[0] == int64(0) {
		return m, err
	}
	text, err := changelog.Meta(ctx, changelog.Driver(c.dc), metaMigration)
	if err != nil || text == "" {
		return m, err
	}
	return m, json.Unmarshal([]byte(text), &m)
}

// baseline finds out where a file stands that has tables and no record: it was
// made before the package had migrations. Of several migrations that lead to its
// tables it is taken for the first: what the others do to rows has not been done.
func (db *DB) baseline(ctx context.Context, c *conn, s schema.Schema, all []schema.Migration, done migrated) (migrated, error) {
	if done.Version > 0 {
		return done, nil
	}
	lines, err := structureOf(ctx, c, nil)
	if err != nil || len(lines) == 0 {
		return done, err
	}
	made := indexLines(all)
	lines = slices.DeleteFunc(lines, func(l string) bool { return schema.IsIndexLine(l) && !made[l] }) // of the application's own
	have := schema.FingerprintOf(lines)
	for _, m := range all {
		if m.Structure == have {
			done = migrated{Version: m.Version, Name: m.Name, Structure: lines}
			return done, record(ctx, c, done)
		}
	}
	return done, fmt.Errorf("%w: the file has tables and no record of a migration, and they are those of none of them%s", ErrSchemaDrift, schema.Unlike(lines, s.Structure()))
}

// indexLines returns the indexes that migrations make.
func indexLines(all []schema.Migration) map[string]bool {
	made := make(map[string]bool)
	for _, m := range all {
		for _, step := range m.Steps {
			for _, sql := range step.SQL {
				if what, ok := schema.SubjectOf(sql); ok && what.Verb == "CREATE" && what.Kind == "INDEX" {
					made[schema.IndexLine(sql)] = true
				}
			}
		}
	}
	return made
}

// drifted says whether the tables are still what the last migration left, and
// whether that is one of this program.
func (db *DB) drifted(ctx context.Context, c *conn, all []schema.Migration, done migrated) error {
	if done.Version == 0 {
		return nil
	}
	file := schema.MigrationFile(done.Version, done.Name)
	if done.Version <= len(all) && all[done.Version-1].Name != done.Name {
		return fmt.Errorf("%w: the file ran the migration %s, in whose place this program has %s: two branches have each written one. Open the file with the program of the other branch, or take one that has not run %s",
			ErrSchemaDrift, file, schema.MigrationFile(done.Version, all[done.Version-1].Name), file)
	}
	lines, err := structureOf(ctx, c, nil)
	lines = slices.DeleteFunc(lines, func(l string) bool { // an index of the application's own
		return schema.IsIndexLine(l) && !slices.Contains(done.Structure, l)
	})
	if err != nil || slices.Equal(lines, done.Structure) {
		return err
	}
	return fmt.Errorf("%w: since migration %s something else has changed them%s", ErrSchemaDrift, file, schema.Unlike(lines, done.Structure))
}

func record(ctx context.Context, c *conn, m migrated) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, "INSERT INTO _driftdb_meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", bound(metaMigration, string(text)))
	return err
}

// applyMigration runs the migration after the one that done tells of. The entry of its
// schema steps stands first in the transaction, so that a restore runs the same
// statements; what data steps do to rows is in the log as rows, through triggers
// for the tables as they are then.
func applyMigration(ctx context.Context, c *conn, s schema.Schema, all []schema.Migration, done migrated) error {
	m := &all[done.Version]
	before, err := violations(ctx, c)
	if err != nil {
		return err
	}
	b, err := beginMigration(ctx, c, s, all[:m.Version], done)
	if err != nil {
		return err
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	lines, err := structureOf(ctx, c, b.indexes)
	if err != nil {
		return err
	}
	if have := schema.FingerprintOf(lines); have != m.Structure {
		return fmt.Errorf("%w: after it the tables have the structure %s, and %s was expected when it was written%s", ErrSchemaDrift, have, m.Structure, finalDiff(s, m, lines))
	}
	if err := logMigration(ctx, c, s, m, b.ran); err != nil {
		return err
	}
	for _, step := range m.Steps {
		for _, sql := range step.SQL {
			if step.Data {
				if err := run(ctx, c, sql); err != nil {
					return err
				}
			}
		}
	}
	after, err := violations(ctx, c)
	if err != nil {
		return err
	}
	for table, n := range after {
		if n > before[table] {
			return fmt.Errorf("%d rows of %s refer to rows that do not exist (foreign keys do nothing in a migration: its data step has to change or delete the rows that refer to those that it deletes)", n, table)
		}
	}
	return record(ctx, c, migrated{Version: m.Version, Name: m.Name, Structure: lines})
}

// finalDiff says how the tables differ from the models, where those are what m
// leads to.
func finalDiff(s schema.Schema, m *schema.Migration, lines []string) string {
	if m.Structure != s.Fingerprint() {
		return ""
	}
	return schema.Unlike(lines, s.Structure())
}

func run(ctx context.Context, c *conn, sql string) error {
	if _, err := c.execRaw(ctx, sql, nil); err != nil {
		return fmt.Errorf("%s: %w", firstLine(sql), err)
	}
	return nil
}

// logMigration appends the log entry of what was done to the tables. It is
// moved before the rows that data steps change: nothing of this transaction is
// in the log yet.
func logMigration(ctx context.Context, c *conn, s schema.Schema, m *schema.Migration, ran []string) error {
	e := changelog.SchemaEntry{Version: m.Version, Name: m.Name, SQL: ran}
	stored, err := readStored(ctx, c)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		o := stored[name]
		if o.kind != "table" || strings.HasPrefix(name, "_driftdb_") || stored[logTrigger(name)].kind != "trigger" {
			continue
		}
		t, err := tableOf(ctx, c, s, name, o.sql)
		if err != nil {
			return err
		}
		l := changelog.Layout{Name: name, Key: t.Key}
		for _, col := range t.Columns {
			if col.Logged() {
				l.Columns = append(l.Columns, col.Name)
			}
		}
		e.Tables = append(e.Tables, l)
	}
	text, err := e.JSON()
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, changelog.SchemaSQL, bound(text))
	return err
}

// violations counts the rows of each table that refer to none.
func violations(ctx context.Context, c *conn) (map[string]int, error) {
	found := make(map[string]int)
	err := c.each(ctx, "PRAGMA foreign_key_check", nil, func(v []driver.Value) error {
		found[textOf(v[0])]++
		return nil
	})
	return found, err
}
