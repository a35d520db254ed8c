package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/migrations"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/schema"
)

func open(t *testing.T, path string, s schema.Schema) (*orm.DB, error) {
	t.Helper()
	db, err := driftdb.Open(t.Context(), path, s, driftdb.Options{})
	if err == nil {
		t.Cleanup(func() { _ = db.Close() })
	}
	return db, err
}

// at makes a file of a version, with rows that raw SQL puts there.
func at(t *testing.T, version int, sql ...string) string {
	t.Helper()
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "app.sqlite")
	db, err := driftdb.Open(t.Context(), path, Schema.Until(version), driftdb.Options{})
	is.NoErr(err)
	for _, stmt := range sql {
		if _, err := db.SQL().ExecContext(t.Context(), stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	is.NoErr(db.Close())
	return path
}

// Rows of the first version are there in the newest one, in its form.
func TestRowsComeThrough(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	path := at(t, 1,
		`INSERT INTO teams VALUES ('t', 'Team')`,
		`INSERT INTO users (id, name, age, old, team_id) VALUES ('a', 'Ann', NULL, 'gone', 't'), ('b', 'Bob', 40, 'gone', NULL)`,
		`CREATE VIEW elders AS SELECT id FROM users WHERE age > 30`,
		`CREATE INDEX own ON users (age)`,
		`CREATE TRIGGER shout AFTER INSERT ON users BEGIN UPDATE teams SET name = upper(name) WHERE id = NEW.team_id; END`)
	db, err := open(t, path, Schema)
	is.NoErr(err)
	a, err := Users.Find(ctx, db, "a")
	is.NoErr(err)
	is.Equal(*a, User{ID: "a", FullName: "Ann", Age: 18, Active: true, TeamID: a.TeamID})
	is.Equal(*a.TeamID, "t")
	b, err := Users.Find(ctx, db, "b")
	is.NoErr(err)
	is.Equal(b.Age, int64(40))

	// What the application had of its own is there and works.
	n, err := orm.RawAll[string](ctx, db, `SELECT id FROM elders`)
	is.NoErr(err)
	is.Equal(n, []string{"b"})
	own, err := orm.RawOne[int](ctx, db, `SELECT count(*) FROM sqlite_schema WHERE name IN ('own', 'shout')`)
	is.NoErr(err)
	is.Equal(own, 2)
	is.NoErr(Users.Create(ctx, db, &User{ID: "c", TeamID: new("t")}))
	team, err := Teams.Find(ctx, db, "t")
	is.NoErr(err)
	is.Equal(team.Name, "TEAM")
	// Foreign keys are on again.
	_, err = Teams.Delete(ctx, db, "t")
	is.NoErr(err)
	left, err := Users.Count(ctx, db)
	is.NoErr(err)
	is.Equal(left, int64(1))
	is.NoErr(db.Close())
	_, err = open(t, path, Schema) // and opening it again changes nothing
	is.NoErr(err)
}

// A data step works on the rows, and the log has what it did to them.
func TestDataStep(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	path := at(t, 3, `INSERT INTO notes (id, text) VALUES (1, 'four'), (2, '')`)
	db, err := open(t, path, Schema)
	is.NoErr(err)
	note, err := Notes.Find(ctx, db, 1)
	is.NoErr(err)
	is.Equal(note.Length, int64(4))
	var last orm.Change[Note]
	for c, err := range Notes.History(ctx, db, 1) {
		is.NoErr(err)
		last = c
	}
	is.Equal(last.Op, orm.OpUpdate)
	is.Equal(last.New.Length, int64(4))
}

// Changes from before a table was rebuilt have other columns and types: they are
// lost, by name, where those of tables that only grew are still there.
func TestChangesAcrossMigrations(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	path := at(t, 2,
		`INSERT INTO users (id, name, age, old) VALUES ('a', 'Ann', NULL, '')`,
		`UPDATE users SET name = 'Anna'`,
		`INSERT INTO notes (id, text) VALUES (1, 'one')`)
	old, err := driftdb.Open(ctx, path, Schema.Until(2), driftdb.Options{})
	is.NoErr(err)
	before, err := old.Position(ctx)
	is.NoErr(err)
	is.NoErr(old.Close())

	db, err := open(t, path, Schema)
	is.NoErr(err)
	for _, err := range Users.Changes(ctx, db, orm.Position{Generation: before.Generation, Sequence: 1}) {
		is.True(errors.Is(err, orm.ErrCursorLost))
	}
	is.NoErr(Users.Update(ctx, db, "a", Users.FullName.Set("Ann Smith")))
	check := func(changes iter.Seq2[orm.Change[User], error]) {
		t.Helper()
		var names []string
		for c, err := range changes {
			is.NoErr(err)
			names = append(names, c.Old.FullName+" to "+c.New.FullName)
		}
		is.Equal(names, []string{"Anna to Ann Smith"})
	}
	check(Users.Changes(ctx, db, orm.Position{})) // the oldest that there is
	check(Users.History(ctx, db, "a"))
	var lengths []int64
	for c, err := range Notes.Changes(ctx, db, orm.Position{Generation: before.Generation, Sequence: 1}) {
		is.NoErr(err)
		lengths = append(lengths, c.New.Length)
	}
	is.Equal(len(lengths), 2) // the row, and what the data step made of it
	is.Equal(lengths[1], int64(3))
}

// A file without a record, made before there were migrations, is taken for the
// version that it has the structure of.
func TestBaseline(t *testing.T) {
	is := is.New(t)
	path := at(t, 2, `INSERT INTO teams VALUES ('t', 'Team')`, `DELETE FROM _driftdb_meta WHERE key = 'migration'`)
	db, err := open(t, path, Schema)
	is.NoErr(err)
	n, err := Teams.Count(t.Context(), db)
	is.NoErr(err)
	is.Equal(n, int64(1))

	path = at(t, 2, `DELETE FROM _driftdb_meta WHERE key = 'migration'`, `ALTER TABLE users ADD COLUMN extra TEXT`)
	_, err = open(t, path, Schema)
	is.True(errors.Is(err, orm.ErrSchemaDrift))
	is.True(strings.Contains(err.Error(), "extra"))
}

// A restored file knows how far it was migrated: a data step is run once, and
// neither left out nor run again.
func TestRestoredFileKnowsItsMigration(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	files := fstest.MapFS{}
	var last []byte
	names, err := fs.Glob(Schema.Migrations, "migrations/*.sql")
	is.NoErr(err)
	for _, name := range names {
		last, err = fs.ReadFile(Schema.Migrations, name)
		is.NoErr(err)
		files[name] = &fstest.MapFile{Data: last}
	}
	structure := regexp.MustCompile(`(?m)^-- structure: .*$`).Find(last)
	files["migrations/0005_marks.sql"] = &fstest.MapFile{Data: append(structure, "\n\n-- step: data\n\nUPDATE notes SET text = text||'!';\n"...)}
	more := Schema
	more.Migrations = orm.MigrationFiles{FS: files}

	for _, snapshot := range []bool{false, true} {
		store := memstore.New()
		restore := func(from string) string {
			r, err := replicate.New("app", store, replicate.Options{TakeOver: true})
			is.NoErr(err)
			is.NoErr(r.Start(ctx, from))
			is.NoErr(r.Flush(ctx))
			if snapshot {
				is.NoErr(r.Snapshot(ctx))
			}
			is.NoErr(r.Shutdown(ctx))
			to := filepath.Join(t.TempDir(), "again.sqlite")
			_, err = replicate.Restore(ctx, "app", store, to, replicate.RestoreOptions{})
			is.NoErr(err)
			return to
		}
		path := restore(at(t, 4, `INSERT INTO notes (id, text) VALUES (1, 'one')`))
		for range 2 {
			db, err := open(t, path, more)
			is.NoErr(err)
			note, err := Notes.Find(ctx, db, 1)
			is.NoErr(err)
			is.Equal(note.Text, "one!")
			is.NoErr(db.Close())
			path = restore(path)
		}
		_, err := open(t, path, Schema)
		is.True(errors.Is(err, orm.ErrSchemaTooNew))
	}
}

func TestNewerFileIsRefused(t *testing.T) {
	is := is.New(t)
	path := at(t, 4)
	_, err := open(t, path, Schema.Until(2))
	is.True(errors.Is(err, orm.ErrSchemaTooNew))
	_, err = open(t, path, Schema)
	is.NoErr(err)
}

func TestDriftIsRefused(t *testing.T) {
	is := is.New(t)
	for _, stmt := range []string{`ALTER TABLE users ADD COLUMN extra TEXT`, `DROP INDEX users_team_id_idx`} {
		path := at(t, 1, stmt)
		_, err := open(t, path, Schema)
		is.True(errors.Is(err, orm.ErrSchemaDrift))
		is.True(strings.Contains(err.Error(), "users"))
		_, err = open(t, path, Schema.Until(1)) // also where nothing is to be done
		is.True(errors.Is(err, orm.ErrSchemaDrift))
	}
}

// A migration that fails changes nothing, and can be repeated.
func TestFailedMigration(t *testing.T) {
	is := is.New(t)
	path := at(t, 2, `INSERT INTO users (id, name, age, old) VALUES ('a', 'Ann', -1, '')`) // breaks the new check
	_, err := open(t, path, Schema)
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "0003_rename.sql"))
	db, err := open(t, path, Schema.Until(2))
	is.NoErr(err)
	_, err = db.SQL().ExecContext(t.Context(), `UPDATE users SET age = 1`)
	is.NoErr(err)
	is.NoErr(db.Close())
	_, err = open(t, path, Schema)
	is.NoErr(err)
}

// Several programs that open one file at once migrate it once.
func TestOpenedAtOnce(t *testing.T) {
	is := is.New(t)
	path := at(t, 1, `INSERT INTO teams VALUES ('t', 'Team')`)
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() {
			db, err := driftdb.Open(context.WithoutCancel(t.Context()), path, Schema, driftdb.Options{})
			if err == nil {
				err = db.Close()
			}
			errs[i] = err
		})
	}
	all.Wait()
	is.NoErr(errors.Join(errs...))
	db, err := open(t, path, Schema)
	is.NoErr(err)
	n, err := orm.RawOne[int](t.Context(), db, `SELECT count(*) FROM _driftdb_log WHERE operation = 'schema' AND data LIKE '%"rename"%'`)
	is.NoErr(err)
	is.Equal(n, 1)
}

// Files that no generated code has named are refused, and nothing is written: the
// program may not hold what runs them.
func TestPlainFilesAreRefused(t *testing.T) {
	is := is.New(t)
	plain := Schema
	files, ok := Schema.Migrations.(orm.MigrationFiles)
	is.True(ok)
	plain.Migrations = files.FS
	path := filepath.Join(t.TempDir(), "x.sqlite")
	_, err := open(t, path, plain)
	is.True(err != nil && strings.Contains(err.Error(), "orm.MigrationFiles{FS: files}"))
	db, err := open(t, path, schema.Schema{})
	is.NoErr(err)
	n, err := orm.RawOne[int](t.Context(), db, `SELECT count(*) FROM sqlite_schema WHERE name IN ('teams', 'users', 'notes')`)
	is.NoErr(err)
	is.Equal(n, 0)
}

// Files that are not what driftgen writes are refused before anything runs.
func TestBadMigrations(t *testing.T) {
	is := is.New(t)
	good := "-- structure: 00000000000000000000000000000000\n-- step: schema\nCREATE TABLE x (id TEXT PRIMARY KEY) STRICT;\n"
	for name, files := range map[string]fstest.MapFS{
		"gap":         {"migrations/0001_a.sql": {Data: []byte(good)}, "migrations/0003_b.sql": {Data: []byte(good)}},
		"name":        {"migrations/1_a.sql": {Data: []byte(good)}},
		"twice":       {"migrations/0001_a.sql": {Data: []byte(good)}, "migrations/0001_b.sql": {Data: []byte(good)}},
		"structure":   {"migrations/0001_a.sql": {Data: []byte("CREATE TABLE x (id TEXT);\n")}},
		"no end":      {"migrations/0001_a.sql": {Data: []byte(good + "DROP TABLE x")}},
		"rows":        {"migrations/0001_a.sql": {Data: []byte(good + "DELETE FROM x;\n")}},
		"ddl in data": {"migrations/0001_a.sql": {Data: []byte(good + "-- step: data\nDROP TABLE x;\n")}},
		"commit":      {"migrations/0001_a.sql": {Data: []byte(good + "COMMIT;\n")}},
		"pragma":      {"migrations/0001_a.sql": {Data: []byte(good + "PRAGMA foreign_keys=ON;\n")}},
		"chance":      {"migrations/0001_a.sql": {Data: []byte(good + "INSERT INTO \"x__rebuilt\" SELECT random();\n")}},
		"other":       {"migrations/0001_a.sql": {Data: []byte(good)}}, // leads to another structure
	} {
		path := filepath.Join(t.TempDir(), "x.sqlite")
		s := schema.Schema{Migrations: orm.MigrationFiles{FS: files}}
		_, err := open(t, path, s)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		db, err := open(t, path, schema.Schema{})
		is.NoErr(err)
		n, err := orm.RawOne[int](t.Context(), db, `SELECT count(*) FROM sqlite_schema WHERE name = 'x'`)
		is.NoErr(err)
		is.Equal(n, 0)
	}
}

func TestGeneratedCodeIsCurrent(t *testing.T) { drifttest.Verify(t, Schema) }
