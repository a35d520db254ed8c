package orm

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
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

// migrate brings the file to the newest migration, one transaction each.
func (db *DB) migrate(ctx context.Context, s schema.Schema) error {
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
	if done.Version == len(all) && len(all) > 0 { // most of the time
		return false, db.drifted(ctx, db.writer, done)
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
		done, err := db.migratedTo(ctx, c) // another process may have been faster
		if err == nil {
			done, err = db.baseline(ctx, c, s, all, done)
		}
		if err != nil {
			return err
		}
		if done.Version > len(all) {
			return fmt.Errorf("%w (the file is at migration %d, %s; this program knows %d)", ErrSchemaTooNew, done.Version, done.Name, len(all))
		}
		if err := db.drifted(ctx, c, done); err != nil {
			return err
		}
		if done.Version == len(all) {
			return nil
		}
		m = &all[done.Version]
		if err := db.apply(ctx, c, s, done, m); err != nil {
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

func (db *DB) migratedTo(ctx context.Context, c *conn) (m migrated, err error) {
	row, err := c.one(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = '_driftdb_meta'", nil)
	if err != nil || row[0] == int64(0) {
		return m, err
	}
	text, err := changelog.Meta(ctx, changelog.Driver(c.dc), metaMigration)
	if err != nil || text == "" {
		return m, err
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Structure != nil {
		return m, err
	}
	// Restored: the tables are now what the log has made of them.
	if m.Structure, err = structureOf(ctx, c); err != nil {
		return m, err
	}
	return m, db.record(ctx, c, m)
}

// baseline finds out where a file stands that has tables and no record: it was
// made before the package had migrations.
func (db *DB) baseline(ctx context.Context, c *conn, s schema.Schema, all []schema.Migration, done migrated) (migrated, error) {
	if done.Version > 0 {
		return done, nil
	}
	lines, err := structureOf(ctx, c)
	if err != nil || len(lines) == 0 {
		return done, err
	}
	have := schema.FingerprintOf(lines)
	for _, m := range slices.Backward(all) {
		if m.Structure == have {
			done = migrated{Version: m.Version, Name: m.Name, Structure: lines}
			return done, db.record(ctx, c, done)
		}
	}
	return done, fmt.Errorf("%w: the file has tables and no record of a migration, and they are those of none of them%s", ErrSchemaDrift, schema.Unlike(lines, s.Structure()))
}

// drifted says whether the tables are still what the last migration left.
func (db *DB) drifted(ctx context.Context, c *conn, done migrated) error {
	if done.Version == 0 {
		return nil
	}
	lines, err := structureOf(ctx, c)
	lines = slices.DeleteFunc(lines, func(l string) bool { // an index of the application's own
		return strings.HasPrefix(l, schema.IndexLine("")) && !slices.Contains(done.Structure, l)
	})
	if err != nil || slices.Equal(lines, done.Structure) {
		return err
	}
	return fmt.Errorf("%w: since migration %s something else has changed them%s", ErrSchemaDrift, schema.MigrationFile(done.Version, done.Name), schema.Unlike(lines, done.Structure))
}

func (db *DB) record(ctx context.Context, c *conn, m migrated) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, "INSERT INTO _driftdb_meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", bound(metaMigration, string(text)))
	return err
}

// apply runs the steps of m. The entry of its schema steps stands first in the
// transaction, so that a restore runs the same statements; what data steps do to
// rows is in the log as rows, through triggers for the tables as they are then.
func (db *DB) apply(ctx context.Context, c *conn, s schema.Schema, done migrated, m *schema.Migration) error {
	before, err := violations(ctx, c)
	if err != nil {
		return err
	}
	kept, err := db.setAside(ctx, c, done)
	if err != nil {
		return err
	}
	ran := slices.Clone(kept.drops)
	data := false
	for _, step := range m.Steps {
		if !step.Data {
			if data {
				return errors.New("a schema step stands behind a data step: make it a migration of its own")
			}
			for _, sql := range step.SQL {
				if err := run(ctx, c, sql); err != nil {
					return err
				}
				ran = append(ran, sql)
			}
			continue
		}
		data = true
	}
	made, err := db.putBack(ctx, c, s, kept)
	if err != nil {
		return err
	}
	lines, err := structureOf(ctx, c)
	if err != nil {
		return err
	}
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return slices.ContainsFunc(kept.again, func(sql string) bool { return l == schema.IndexLine(sql) })
	})
	if have := schema.FingerprintOf(lines); have != m.Structure {
		return fmt.Errorf("%w: after it the tables have the structure %s, and %s was expected when it was written%s", ErrSchemaDrift, have, m.Structure, finalDiff(s, m, lines))
	}
	if err := db.logMigration(ctx, c, m, append(ran, made...)); err != nil {
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
			return fmt.Errorf("%d rows of %s refer to rows that do not exist", n, table)
		}
	}
	return db.record(ctx, c, migrated{Version: m.Version, Name: m.Name, Structure: lines})
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

// aside are the triggers, views and indexes that were in the way of a migration.
type aside struct {
	drops []string
	again []string // of the application, in the order in which they were made
}

// setAside drops every trigger and view, and the indexes that no migration has
// made. SQLite would drop those of a table that is rebuilt, and refuse to rename
// one that a view reads.
func (db *DB) setAside(ctx context.Context, c *conn, done migrated) (a aside, err error) {
	const query = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view', 'index') AND sql IS NOT NULL AND tbl_name NOT LIKE 'sqlite_%' ORDER BY rowid"
	err = c.each(ctx, query, nil, func(v []driver.Value) error {
		kind, name, sql := textOf(v[0]), textOf(v[1]), textOf(v[2])
		if kind == "index" && slices.Contains(done.Structure, schema.IndexLine(sql)) {
			return nil
		}
		a.drops = append(a.drops, "DROP "+strings.ToUpper(kind)+" "+schema.QuoteIdent(name))
		if !strings.HasPrefix(name, "_driftdb_") {
			a.again = append(a.again, sql)
		}
		return nil
	})
	slices.Reverse(a.drops) // a trigger on a view before the view
	for _, sql := range a.drops {
		if err == nil {
			err = run(ctx, c, sql)
		}
	}
	return a, err
}

// putBack makes the application's triggers and views again, and after them
// change-log triggers for the tables as they are now.
func (db *DB) putBack(ctx context.Context, c *conn, s schema.Schema, a aside) (made []string, err error) {
	made = slices.Clone(a.again)
	stored, err := readStored(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if o := stored[name]; o.kind != "table" || strings.HasPrefix(name, "_driftdb_") || !ownTable(s, name, o.sql) {
			continue
		}
		t, err := tableOf(ctx, c, s, name)
		if err != nil {
			return nil, err
		}
		for _, tr := range t.TriggerSQL() {
			made = append(made, tr.SQL)
		}
	}
	for _, sql := range made {
		if err := run(ctx, c, sql); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// ownTable says whether a table is one of models, now or in an earlier version:
// those are STRICT and have a primary key.
func ownTable(s schema.Schema, name, sql string) bool {
	if slices.ContainsFunc(s.Tables, func(t schema.Table) bool { return t.Name == name }) {
		return true
	}
	w := words(sql)
	return len(w) > 0 && w[len(w)-1] == "STRICT" && slices.Contains(w, "PRIMARY")
}

// tableOf reads what the log's triggers need to know of a table.
func tableOf(ctx context.Context, c *conn, s schema.Schema, name string) (t schema.Table, err error) {
	have, err := readColumns(ctx, c, name)
	if err != nil {
		return t, err
	}
	t.Name = name
	noLog := map[string]bool{}
	for _, m := range s.Tables {
		for _, col := range m.Columns {
			noLog[m.Name+"."+col.Name] = col.NoLog
		}
	}
	key := map[int64]string{}
	for _, col := range have.ordered {
		sc := schema.Column{Name: col.name, Type: schema.Type(col.kind), NotNull: col.notNull, NoLog: noLog[name+"."+col.name]}
		if col.generated {
			sc.Generated = "generated"
		}
		if t.Columns = append(t.Columns, sc); col.key > 0 {
			key[col.key] = col.name
		}
	}
	for i := int64(1); key[i] != ""; i++ {
		t.Key = append(t.Key, key[i])
	}
	return t, nil
}

// logMigration appends the log entry of what was done to the tables. It is
// moved before the rows that data steps change: nothing of this transaction is
// in the log yet.
func (db *DB) logMigration(ctx context.Context, c *conn, m *schema.Migration, ran []string) error {
	e := changelog.SchemaEntry{Version: m.Version, Name: m.Name, SQL: ran}
	stored, err := readStored(ctx, c)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if o := stored[name]; o.kind != "table" || strings.HasPrefix(name, "_driftdb_") || stored["_driftdb_"+name+"_insert"].kind != "trigger" {
			continue
		}
		t, err := tableOf(ctx, c, schema.Schema{}, name)
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

// structureOf is schema.Structure of the tables of models that stand in the
// file: those with a change log.
func structureOf(ctx context.Context, c *conn) (lines []string, err error) {
	stored, err := readStored(ctx, c)
	if err != nil {
		return nil, err
	}
	for name, o := range stored {
		switch {
		case o.kind == "table" && !strings.HasPrefix(name, "_driftdb_") && stored["_driftdb_"+name+"_insert"].kind == "trigger":
			of, err := tableStructure(ctx, c, name, o.sql)
			if err != nil {
				return nil, err
			}
			lines = append(lines, of...)
		case o.kind == "index" && stored["_driftdb_"+o.table+"_insert"].kind == "trigger":
			lines = append(lines, schema.IndexLine(o.sql))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

func tableStructure(ctx context.Context, c *conn, name, sql string) ([]string, error) {
	have, err := readColumns(ctx, c, name)
	if err != nil {
		return nil, err
	}
	t, err := tableOf(ctx, c, schema.Schema{}, name)
	if err != nil {
		return nil, err
	}
	lines := []string{schema.TableLine(name, t.Key), schema.ChecksLine(name, count(words(sql), "CHECK"))}
	for i, col := range have.ordered {
		sc := t.Columns[i]
		sc.Default = col.value
		lines = append(lines, schema.ColumnLine(name, sc))
	}
	for _, f := range have.foreign {
		lines = append(lines, schema.ForeignKeyLine(name, f))
	}
	return lines, nil
}
