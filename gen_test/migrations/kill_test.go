//go:build !windows

package migrations_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/matryer/is"
	"github.com/mattn/go-sqlite3"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/migrations"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/orm"
)

// killEnv says to be the program that dies: before which statement, and the
// file that it migrates.
const killEnv, fileEnv = "DRIFTDB_TEST_KILL", "DRIFTDB_TEST_FILE"

func TestMain(m *testing.M) {
	if n := os.Getenv(killEnv); n != "" {
		if err := dieAt(n, os.Getenv(fileEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// dieAt opens the file, and so migrates it, and is killed before the nth
// statement of its writing connection.
func dieAt(count, path string) error {
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return err
	}
	left := new(atomic.Int64)
	left.Store(n)
	db, err := orm.Open(context.Background(), Schema, orm.Options{
		Path: path, Writer: deadly{sqlite.Connector(path, sqlite.Writer), left},
		Reader: sqlite.Connector(path, sqlite.Reader), IsBusy: sqlite.IsBusy,
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// deadly makes connections on which the process dies.
type deadly struct {
	driver.Connector
	left *atomic.Int64
}

type deadlyConn struct {
	*sqlite3.SQLiteConn
	d deadly
}

type deadlyStmt struct {
	*sqlite3.SQLiteStmt
	d deadly
}

func (d deadly) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := d.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := dc.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, fmt.Errorf("the connection is a %T", dc)
	}
	return deadlyConn{conn, d}, nil
}

func (d deadly) statement() {
	if d.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it does not come back
	}
}

func (c deadlyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.SQLiteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	stmt, ok := s.(*sqlite3.SQLiteStmt)
	if !ok {
		return nil, fmt.Errorf("the statement is a %T", s)
	}
	return deadlyStmt{stmt, c.d}, nil
}

func (c deadlyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.d.statement()
	return c.SQLiteConn.ExecContext(ctx, query, args)
}

func (c deadlyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.d.statement()
	return c.SQLiteConn.QueryContext(ctx, query, args)
}

func (s deadlyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.d.statement()
	return s.SQLiteStmt.ExecContext(ctx, args)
}

func (s deadlyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.d.statement()
	return s.SQLiteStmt.QueryContext(ctx, args)
}

// A program that is killed before any statement of its migrations, from the
// first to the last, leaves a file that the next one brings to the end, with
// every row, and with every migration in its log once.
func TestKilledMigration(t *testing.T) {
	is := is.New(t)
	step := int64(11) // a part of the places; DRIFTDB_CRASH_KILLS asks for all
	if os.Getenv("DRIFTDB_CRASH_KILLS") != "" {
		step = 1
	}
	killed := 0
	for n := int64(1); ; n += step {
		path := at(t, 1,
			`INSERT INTO teams VALUES ('t', 'Team')`,
			`INSERT INTO users (id, name, age, old, team_id) VALUES ('a', 'Ann', NULL, 'gone', 't'), ('b', 'Bob', 40, 'gone', NULL)`)
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), killEnv+"="+strconv.FormatInt(n, 10), fileEnv+"="+path)
		out, err := child.CombinedOutput()
		exit, failed := errors.AsType[*exec.ExitError](err)
		var status syscall.WaitStatus
		if failed {
			status, _ = exit.Sys().(syscall.WaitStatus)
		}
		if err != nil && status.Signal() != syscall.SIGKILL {
			t.Fatalf("killed at %d: %v\n%s", n, err, out)
		}

		db := drifttest.OpenFile(t, path, Schema)
		is.NoErr(db.IntegrityCheck(t.Context()))
		users, err := Users.Where().OrderBy(Users.ID.Asc()).All(t.Context(), db)
		is.NoErr(err)
		is.Equal(len(users), 2)
		is.Equal([]string{users[0].FullName, users[1].FullName}, []string{"Ann", "Bob"})
		logged, err := orm.RawAll[string](t.Context(), db, `SELECT json_extract(data, '$.name') FROM _driftdb_log WHERE operation = 'schema' AND json_extract(data, '$.name') IS NOT NULL ORDER BY sequence`)
		is.NoErr(err)
		is.Equal(logged, []string{"init", "more", "rename", "lengths"})
		is.NoErr(db.Close())
		is.NoErr(os.RemoveAll(filepath.Dir(path)))
		if !failed {
			break // it came to the end before it was to die
		}
		killed++
	}
	t.Logf("killed at %d places", killed)
	is.True(killed >= 5)
}

// Programs, not only goroutines, that open one file at once migrate it once.
func TestProgramsMigrateAtOnce(t *testing.T) {
	is := is.New(t)
	const never = "1000000000" // a statement that does not come
	path := at(t, 1, `INSERT INTO teams VALUES ('t', 'Team')`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO users (id, name, old) SELECT i, 'n', '' FROM n`)
	var all []*exec.Cmd
	for range 5 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), killEnv+"="+never, fileEnv+"="+path)
		child.Stderr = os.Stderr
		is.NoErr(child.Start())
		all = append(all, child)
	}
	for _, child := range all {
		is.NoErr(child.Wait())
	}
	names := column(t, path, `SELECT json_extract(data, '$.name') FROM _driftdb_log WHERE operation = 'schema' AND json_extract(data, '$.version') > 0 ORDER BY sequence`)
	is.Equal(names, []string{"init", "more", "rename", "lengths"})
	db, err := open(t, path, Schema)
	is.NoErr(err)
	is.NoErr(db.IntegrityCheck(t.Context()))
	n, err := Users.Count(t.Context(), db)
	is.NoErr(err)
	is.Equal(n, int64(2000))
}
