//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
)

func TestClassify(t *testing.T) {
	c := conn(t, tempFile(t), Writer)
	exec(t, c,
		`CREATE TABLE teams (id TEXT NOT NULL PRIMARY KEY) STRICT`,
		`CREATE TABLE users (
			id INTEGER NOT NULL PRIMARY KEY, email TEXT NOT NULL, name TEXT, age INTEGER, "odd, name" TEXT, team TEXT REFERENCES teams (id),
			CONSTRAINT users_age_check CHECK (age > 0), CHECK (name <> 'x')) STRICT`,
		`CREATE UNIQUE INDEX users_email_key ON users (email)`,
		`CREATE UNIQUE INDEX users_name_age_key ON users (name, age)`,
		`CREATE UNIQUE INDEX users_lower_key ON users (lower(name))`,
		`CREATE UNIQUE INDEX users_odd_key ON users ("odd, name", name)`,
		`CREATE TABLE pairs (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID`,
		`CREATE TRIGGER guard BEFORE DELETE ON pairs BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: users.email'); END`,
		`INSERT INTO users (id, email, name, age, "odd, name") VALUES (1, 'a', 'n', 5, 'o')`,
		`INSERT INTO pairs VALUES (1, 2)`,
		`CREATE TABLE members (id INTEGER NOT NULL PRIMARY KEY, team TEXT REFERENCES teams (id) ON DELETE RESTRICT) STRICT`,
		`INSERT INTO teams VALUES ('red')`,
		`INSERT INTO members VALUES (1, 'red')`,
	)
	for stmt, want := range map[string]Constraint{
		`INSERT INTO users (id, email) VALUES (2, 'a')`:                    {Kind: Unique, Table: "users", Columns: []string{"email"}},
		`INSERT INTO users (id, email, name, age) VALUES (2, 'b', 'n', 5)`: {Kind: Unique, Name: "users_lower_key"},
		`UPDATE users SET email = NULL`:                                    {Kind: NotNull, Table: "users", Columns: []string{"email"}},
		`INSERT INTO users (id, email) VALUES (1, 'b')`:                    {Kind: PrimaryKey, Table: "users", Columns: []string{"id"}},
		`INSERT INTO pairs VALUES (1, 2)`:                                  {Kind: PrimaryKey, Table: "pairs", Columns: []string{"a", "b"}},
		`UPDATE users SET age = 0`:                                         {Kind: Check, Name: "users_age_check"},
		`UPDATE users SET name = 'x'`:                                      {Kind: Check, Name: "name <> 'x'"},
		`UPDATE users SET team = 'none'`:                                   {Kind: ForeignKey},
		`DELETE FROM teams`:                                                {Kind: ForeignKey},
		`UPDATE users SET age = 'old'`:                                     {Kind: Datatype, Table: "users", Columns: []string{"age"}},
	} {
		t.Run(stmt, func(t *testing.T) {
			_, err := c.ExecContext(context.Background(), stmt)
			got, ok := Classify(fmt.Errorf("wrapped: %w", err))
			if !ok {
				t.Fatalf("not classified: %v", err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%v\n%s", err, d)
			}
		})
	}
	t.Run("two columns", func(t *testing.T) {
		is := is.New(t)
		exec(t, c, `DROP INDEX users_lower_key`)
		_, err := c.ExecContext(context.Background(), `INSERT INTO users (id, email, name, age) VALUES (2, 'b', 'n', 5)`)
		got, ok := Classify(err)
		is.True(ok)
		is.Equal(got, Constraint{Kind: Unique, Table: "users", Columns: []string{"name", "age"}})
		_, err = c.ExecContext(context.Background(), `INSERT INTO users (id, email, name, "odd, name") VALUES (2, 'b', 'n', 'o')`)
		got, ok = Classify(err)
		is.True(ok)
		is.Equal(got, Constraint{Kind: Unique, Table: "users", Columns: []string{"odd, name", "name"}})
	})
	t.Run("a trigger's words are not ours", func(t *testing.T) {
		is := is.New(t)
		_, err := c.ExecContext(context.Background(), `DELETE FROM pairs`)
		is.True(err != nil)
		_, ok := Classify(err)
		is.True(!ok)
	})
	t.Run("other errors", func(t *testing.T) {
		is := is.New(t)
		_, err := c.ExecContext(context.Background(), `SELEC`)
		_, ok := Classify(err)
		is.True(!ok)
		_, ok = Classify(errors.New("UNIQUE constraint failed: users.email"))
		is.True(!ok)
		_, ok = Classify(nil)
		is.True(!ok)
	})
}

func TestCodes(t *testing.T) {
	ctx := context.Background()
	t.Run("busy", func(t *testing.T) {
		is := is.New(t)
		path := tempFile(t)
		w, other := conn(t, path, Writer), conn(t, path, Writer)
		exec(t, w, "CREATE TABLE t (x)", "BEGIN IMMEDIATE")
		exec(t, other, "PRAGMA busy_timeout = 0")
		_, err := other.ExecContext(ctx, "BEGIN IMMEDIATE")
		is.True(IsBusy(err))
		is.True(!IsFull(err) && !IsCorrupt(err) && !IsReadOnly(err))
	})
	t.Run("full", func(t *testing.T) {
		is := is.New(t)
		c := conn(t, tempFile(t), Writer)
		exec(t, c, "CREATE TABLE t (x)", "PRAGMA max_page_count = 10")
		_, err := c.ExecContext(ctx, "INSERT INTO t VALUES (zeroblob(1000000))")
		is.True(IsFull(err))
	})
	t.Run("none", func(t *testing.T) {
		is := is.New(t)
		is.True(!IsBusy(nil) && !IsFull(nil) && !IsCorrupt(nil) && !IsReadOnly(nil))
	})
}
