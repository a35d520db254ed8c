//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a pool on path that the test closes.
func open(t *testing.T, path string, m Mode) *sql.DB {
	t.Helper()
	db := sql.OpenDB(Connector(path, m))
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// conn returns one connection to path that the test closes.
func conn(t *testing.T, path string, m Mode) *sql.Conn {
	t.Helper()
	c, err := open(t, path, m).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func exec(t *testing.T, c *sql.Conn, stmts ...string) {
	t.Helper()
	for _, s := range stmts {
		if _, err := c.ExecContext(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func value(t *testing.T, c *sql.Conn, query string) string {
	t.Helper()
	var v string
	if err := c.QueryRowContext(context.Background(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func tempFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data.sqlite")
}

// build runs stmts on the file at path and closes it again.
func build(t *testing.T, path string, stmts ...string) {
	t.Helper()
	db := sql.OpenDB(Connector(path, Writer))
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, c, stmts...)
	if err := errors.Join(c.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}
