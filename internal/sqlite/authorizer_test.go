//go:build cgo

package sqlite

import (
	"context"
	"testing"

	"github.com/matryer/is"
)

// ddlFixture is a file with user tables and the log's tables.
func ddlFixture(t *testing.T) string {
	t.Helper()
	path := tempFile(t)
	build(t, path,
		`CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, name TEXT, age INTEGER) STRICT`,
		`CREATE TABLE teams (id INTEGER NOT NULL PRIMARY KEY, name TEXT) STRICT`,
		`CREATE INDEX users_name_idx ON users (name)`,
		`CREATE VIEW names AS SELECT name FROM users`,
		`CREATE TABLE _driftdb_log (sequence INTEGER PRIMARY KEY, data TEXT)`,
		`CREATE TRIGGER _driftdb_users_insert AFTER INSERT ON users BEGIN INSERT INTO _driftdb_log (data) VALUES (NEW.name); END`,
		`INSERT INTO users VALUES (1, 'a', 2), (2, 'b', 3)`,
		`INSERT INTO teams VALUES (1, 't')`,
		`ANALYZE`,
	)
	return path
}

func TestDDLOnlyAllows(t *testing.T) {
	for _, stmt := range []string{
		`CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL DEFAULT (abs(-5)), CONSTRAINT t_n_check CHECK (length(id) > 0 AND n IN (0, 1))) STRICT`,
		`CREATE TABLE IF NOT EXISTS users (x)`,
		`CREATE TABLE t (a INTEGER NOT NULL, b TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE, c TEXT GENERATED ALWAYS AS (upper(b)) STORED, PRIMARY KEY (a, b)) WITHOUT ROWID`,
		`CREATE UNIQUE INDEX users_lower_key ON users (lower(name) COLLATE NOCASE DESC) WHERE age > 1`,
		`CREATE INDEX users_age_idx ON users (age)`,
		`CREATE VIEW v AS SELECT u.name, count(*) FROM users u JOIN teams t ON t.id = u.id GROUP BY 1`,
		`CREATE TRIGGER _driftdb_users_delete AFTER DELETE ON users BEGIN INSERT INTO _driftdb_log (data) VALUES (json_quote(OLD.name)); END`,
		`CREATE TRIGGER mine AFTER UPDATE OF name ON users WHEN NEW.name IS NOT OLD.name BEGIN UPDATE teams SET name = NEW.name; SELECT RAISE(ABORT, 'no'); END`,
		`ALTER TABLE users ADD COLUMN email TEXT`,
		`ALTER TABLE users ADD COLUMN active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1))`,
		`ALTER TABLE users RENAME COLUMN name TO title`,
		`ALTER TABLE teams RENAME TO groups`,
		`ALTER TABLE users DROP COLUMN age`,
		`DROP INDEX users_name_idx`,
		`DROP VIEW names`,
		`DROP TABLE teams`,
		`DROP TABLE IF EXISTS "nothing"`,
		`DROP TRIGGER _driftdb_users_insert`,
	} {
		t.Run(stmt, func(t *testing.T) {
			is := is.New(t)
			c := conn(t, ddlFixture(t), Replay)
			is.NoErr(SetDDLOnly(c, true))
			_, err := c.ExecContext(context.Background(), stmt)
			is.NoErr(err)
			is.NoErr(SetDDLOnly(c, false))
			is.NoErr(IntegrityCheck(context.Background(), c))
			exec(t, c, `DELETE FROM users WHERE id = 2`) // switched off again
		})
	}
}

func TestDDLOnlyRefuses(t *testing.T) {
	for _, stmt := range []string{
		`SELECT 1`,
		`SELECT * FROM users`,
		`SELECT load_extension('x')`,
		`INSERT INTO users VALUES (3, 'c', 4)`,
		`UPDATE users SET name = 'x'`,
		`DELETE FROM users`,
		`DELETE FROM users WHERE id = 1`,
		`REPLACE INTO users VALUES (1, 'x', 1)`,
		`CREATE TABLE t AS SELECT * FROM users`,
		`CREATE TEMP TABLE t (x)`,
		`CREATE TEMP VIEW v AS SELECT 1`,
		`CREATE TEMP TRIGGER tt AFTER INSERT ON users BEGIN DELETE FROM users; END`,
		`CREATE VIRTUAL TABLE t USING fts4(x)`,
		`CREATE TABLE _driftdb_extra (x)`,
		`CREATE TABLE "_DriftDB_extra" (x)`,
		`CREATE VIEW _driftdb_v AS SELECT 1`,
		`CREATE INDEX i ON _driftdb_log (data)`,
		`CREATE TRIGGER t AFTER INSERT ON _driftdb_log BEGIN DELETE FROM users; END`,
		`ALTER TABLE _driftdb_log ADD COLUMN x`,
		`DROP TABLE _driftdb_log`,
		`DROP TABLE teams; DELETE FROM users`,
		`CREATE TABLE t (x); DELETE FROM users`,
		`ALTER TABLE users ADD COLUMN x TEXT; UPDATE users SET x = 1`,
		`PRAGMA writable_schema = ON`,
		`PRAGMA journal_mode = DELETE`,
		`PRAGMA user_version`,
		`ATTACH ':memory:' AS x`,
		`DETACH main`,
		`VACUUM`,
		`ANALYZE`,
		`BEGIN`,
		`COMMIT`,
		`SAVEPOINT s`,
		`UPDATE sqlite_schema SET sql = 'x'`,
		`DELETE FROM sqlite_schema`,
		`DELETE FROM sqlite_stat1`,
		`EXPLAIN SELECT 1`,
		`WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT * FROM r`,
		`CREATE TABLE t (x DEFAULT (load_extension('x')))`,
		`CREATE INDEX i ON users (load_extension(name))`,
	} {
		t.Run(stmt, func(t *testing.T) {
			is := is.New(t)
			c := conn(t, ddlFixture(t), Replay)
			is.NoErr(SetDDLOnly(c, true))
			_, err := c.ExecContext(context.Background(), stmt)
			is.True(err != nil) // refused
			is.NoErr(SetDDLOnly(c, false))
			is.Equal(value(t, c, `SELECT group_concat(name) FROM users`), "a,b")
			is.Equal(value(t, c, `SELECT count(*) FROM _driftdb_log`), "2")
			is.Equal(value(t, c, `SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'users'`), "1")
		})
	}
}
