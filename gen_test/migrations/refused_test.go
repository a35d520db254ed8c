package migrations_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// What a migration would break is named, and nothing is changed.
func TestOwnThingsThatWouldBreak(t *testing.T) {
	for own, want := range map[string]string{
		`CREATE VIEW elders AS SELECT age FROM users`:                                                 "the application's view elders would not work any more (no such column: age): DROP it in this migration",
		`CREATE TRIGGER tr AFTER UPDATE OF name ON users BEGIN UPDATE users SET age = 1; END`:         "the application's trigger tr would not work any more (no such column: age)",
		`CREATE TRIGGER tr AFTER DELETE ON users WHEN OLD.age = 1 BEGIN SELECT 1; END`:                "the application's trigger tr would not work any more (no such column: OLD.age)",
		`CREATE INDEX own ON users (age)`:                                                             "the application's index own cannot be made again",
		`CREATE TABLE kv (k); CREATE TRIGGER tr AFTER INSERT ON kv BEGIN UPDATE users SET age=1; END`: "the application's trigger tr would not work any more",
	} {
		is := is.New(t)
		s, err := programs([][]schema.Table{{table("users", text("name"), integer("age"))}, {table("users", text("name"))}}, nil)
		is.NoErr(err)
		d := deploy(t)
		is.NoErr(d.run(t.Context(), s[0], `INSERT INTO users VALUES ('1', 'n', 5)`, own))
		err = d.run(t.Context(), s[1])
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", own, err)
		}
		is.Equal(rows(t, d.path), []string{"users age=5 id='1' name='n'"})
		is.NoErr(d.run(t.Context(), s[0]))
	}
}

// hand adds statements to the schema step of the newest migration.
func hand(s schema.Schema, file, sql string) schema.Schema {
	files := fstest.MapFS{}
	maps.Copy(files, filesOf(s))
	files[file] = &fstest.MapFile{Data: append(slices.Clone(files[file].Data), sql...)}
	s.Migrations = orm.MigrationFiles{FS: files}
	return s
}

// filesOf returns the migrations that programs has made.
func filesOf(s schema.Schema) fstest.MapFS {
	m, _ := s.Migrations.(orm.MigrationFiles)
	files, _ := m.FS.(fstest.MapFS)
	return files
}

// A migration can drop and make views, triggers and indexes of the application,
// and a restore does what it did.
func TestOwnThingsInAMigration(t *testing.T) {
	is := is.New(t)
	s, err := programs([][]schema.Table{{table("users", text("name"), integer("age"))}, {table("users", text("name"))}, {table("users", text("name"), text("b"))}}, nil)
	is.NoErr(err)
	d := deploy(t)
	is.NoErr(d.run(t.Context(), s[0], `CREATE VIEW elders AS SELECT age FROM users`, `CREATE TRIGGER tr AFTER DELETE ON users WHEN OLD.age = 1 BEGIN SELECT 1; END`, `CREATE INDEX own ON users (age)`))
	const more = "DROP VIEW IF EXISTS elders;\nDROP TRIGGER tr;\ndrop index \"own\";\nCREATE VIEW elders AS SELECT name FROM users; CREATE TRIGGER again AFTER DELETE ON users BEGIN UPDATE users SET name = 'x;' WHERE id = 'y'; END;\n"
	is.NoErr(d.run(t.Context(), hand(s[1], "migrations/0002_m.sql", more), `INSERT INTO users VALUES ('1', 'n')`))
	is.Equal(column(t, d.path, `SELECT name FROM elders`), []string{"n"})
	is.Equal(column(t, d.path, ownSQL), []string{"trigger again", "view elders"})
	is.Equal(column(t, d.restore(t), ownSQL), []string{"trigger again", "view elders"}) // a migration has made them
	is.NoErr(d.run(t.Context(), hand(s[2], "migrations/0002_m.sql", more)))
	is.Equal(column(t, d.restore(t), ownSQL), []string{"trigger again", "view elders"})

	for sql, want := range map[string]string{
		"CREATE VIEW elders AS SELECT 1;\n":                              "is there already: DROP it before",
		"CREATE TRIGGER x AFTER INSERT ON kv BEGIN SELECT 1; END;\n":     "kv is a table that no migration has made",
		"CREATE INDEX x ON kv (k);\n":                                    "kv is a table that no migration has made",
		"CREATE VIRTUAL TABLE f USING fts4(x);\n":                        "a restore runs CREATE, ALTER and DROP of tables",
		"CREATE TABLE y AS SELECT 1 AS one;\n":                           "makes a table of a query",
		"CREATE TEMP TABLE y (x);\n":                                     "a restore runs",
		"CREATE TABLE y (x); COMMIT;\n":                                  "COMMIT cannot stand in a migration",
		"/* */ COMMIT;\n":                                                "COMMIT cannot stand in a migration",
		"INSERT INTO y__rebuilt SELECT 1; DELETE FROM users;\n":          "belong to a data step",
		"DROP TABLE _driftdb_log;\n":                                     "belongs to the change log",
		"INSERT INTO y__rebuilt SELECT unixepoch();\n":                   "gives another result each time",
		"DROP TABLE y -- it's gone\n":                                    "has no ; at its end",
		"-- step: date\nUPDATE users SET name = '';\n":                   `a step is "-- step: schema" or "-- step: data"`,
		"CREATE TABLE y (x TEXT DEFAULT 'a;\n":                           "a quote or comment is not closed",
		"-- structure: 00000000000000000000000000000000\n":               "stands twice",
		"-- step: data\nUPDATE users SET name = '';\n-- step: schema\n;": "",
	} {
		d := deploy(t)
		is.NoErr(d.run(t.Context(), s[0], `CREATE VIEW elders AS SELECT name FROM users`, `CREATE TABLE kv (k)`))
		err := d.run(t.Context(), hand(s[1], "migrations/0002_m.sql", sql))
		if want == "" {
			is.NoErr(err)
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

// What a diff cannot know is asked for, not guessed.
func TestAmbiguousNames(t *testing.T) {
	users := func(c ...schema.Column) []schema.Table { return []schema.Table{table("users", c...)} }
	called := func(name, former string) []schema.Table {
		t := table(name)
		t.Was = former
		return []schema.Table{t}
	}
	for name, c := range map[string]struct {
		from, to []schema.Table
		want     string
	}{
		"both are there":        {users(text("a"), text("b")), users(was("b", text("a"))), "both are there"},
		"not there":             {users(text("a")), users(text("a"), was("c", text("b"))), "there was no column of this name"},
		"twice":                 {users(text("a")), users(was("a", text("b")), was("a", text("c"))), "two columns have was=a"},
		"no such table":         {users(), called("people", "user"), "there was no table of this name"},
		"both tables are there": {append(users(), table("people")), called("people", "users"), "both are there"},
	} {
		_, err := schema.Diff(schema.Schema{Tables: c.from}, schema.Schema{Tables: c.to})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A name that was told once may stay.
	is := is.New(t)
	_, err := programs([][]schema.Table{users(text("a")), users(was("a", text("b"))), users(was("a", text("b")), text("a"))}, nil)
	is.NoErr(err)
}

// A file from before there were migrations runs every one that comes after its
// tables, also those that only change rows, and may have an index of its own.
func TestBaselineRunsDataSteps(t *testing.T) {
	is := is.New(t)
	users := []schema.Table{table("users", text("name"))}
	s, err := programs([][]schema.Table{users, users}, map[int]string{2: "UPDATE users SET name = 'fixed';"})
	is.NoErr(err)
	d := deploy(t)
	old := s[0]
	old.Migrations = nil
	is.NoErr(d.run(t.Context(), old, `INSERT INTO users VALUES ('1', 'n')`, `CREATE INDEX own ON users (name)`))
	is.NoErr(d.run(t.Context(), s[1]))
	is.Equal(rows(t, d.path), []string{"users id='1' name='fixed'"})
}

// Two branches that have each written the second migration: a file that ran the
// one is not taken for one that ran the other.
func TestMigrationsOfTwoBranches(t *testing.T) {
	is := is.New(t)
	users := []schema.Table{table("users", text("name"))}
	s, err := programs([][]schema.Table{users, users}, map[int]string{2: "UPDATE users SET name = name||'!';"})
	is.NoErr(err)
	d := deploy(t)
	is.NoErr(d.run(t.Context(), s[0], `INSERT INTO users VALUES ('1', 'n')`))
	is.NoErr(d.run(t.Context(), s[1]))
	files := filesOf(s[1])
	is.True(len(files) > 0)
	merged := fstest.MapFS{"migrations/0001_m.sql": files["migrations/0001_m.sql"], "migrations/0002_theirs.sql": files["migrations/0002_m.sql"], "migrations/0003_m.sql": files["migrations/0002_m.sql"]}
	other := s[1]
	for range 2 { // with the third one, and without
		other.Migrations = orm.MigrationFiles{FS: merged}
		err = d.run(t.Context(), other)
		is.True(errors.Is(err, orm.ErrSchemaDrift))
		is.True(strings.Contains(err.Error(), "0002_m.sql, in whose place this program has 0002_theirs.sql"))
		delete(merged, "migrations/0003_m.sql")
	}
	is.Equal(rows(t, d.path), []string{"users id='1' name='n!'"})

	merged["migrations/0002_m.sql"] = files["migrations/0002_m.sql"]
	err = d.run(t.Context(), other)
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "0002_m.sql and 0002_theirs.sql have one number: two branches"))
}

// Tables that refer to each other, or to themselves, are rebuilt and keep their rows.
func TestDeferredAndRingsComeThrough(t *testing.T) {
	is := is.New(t)
	ring := func(name, to string, more ...schema.Column) schema.Table {
		t := table(name, append([]schema.Column{text("other")}, more...)...)
		t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"other"}, RefTable: to, RefColumns: []string{"id"}, OnDelete: schema.Cascade, Deferred: true}}
		return t
	}
	s, err := programs([][]schema.Table{{ring("a", "b"), ring("b", "a"), ring("c", "c")},
		{ring("a", "b", schema.Column{Name: "n", Type: schema.Integer, NotNull: true, Default: "(1+1)"}), ring("b", "a"), ring("c", "c", schema.Column{Name: "n", Type: schema.Integer, NotNull: true, Default: "(1+1)"})}}, nil)
	is.NoErr(err)
	d := deploy(t)
	is.NoErr(d.run(t.Context(), s[0], `BEGIN; INSERT INTO a VALUES ('1', '2'); INSERT INTO b VALUES ('2', '1'); INSERT INTO c VALUES ('3', '3'); COMMIT`))
	is.NoErr(d.run(t.Context(), s[1]))
	want := []string{"a id='1' n=2 other='2'", "b id='2' other='1'", "c id='3' n=2 other='3'"}
	is.Equal(rows(t, d.path), want)
	is.Equal(rows(t, d.restore(t)), want)
	is.NoErr(d.run(t.Context(), s[1], `DELETE FROM a`))
	is.Equal(rows(t, d.path), want[2:]) // foreign keys are on again, in a ring, too
}
