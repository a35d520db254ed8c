package orm

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// SQLHandle is a *sql.DB, *sql.Conn or *sql.Tx.
type SQLHandle interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// FromSQL makes a Writer of a handle of database/sql, so that the typed verbs
// run where other code works already: inside a *sql.Tx that it began, on a
// *sql.Conn that it holds, on a *sql.DB. The file must be one that a DB has
// opened, for the tables and the change log are made by Open; the handle needs
// the settings of [DB.SQL], which is one (foreign keys on). A *sql.DB with one
// connection at most waits for itself when it is used inside a loop over rows.
//
// In a *sql.Tx every verb is a part of that transaction, and several statements
// of one are a savepoint in it; the hook AfterCommit is not called, because
// nobody tells when it commits. On the others a verb is a transaction of its own.
// Nothing is owned: closing the handle stays with its owner, and Close of a DB
// does not wait for it.
//
// classify names the constraint that a driver's error says is violated, as
// Options.Classify does; nil for none. driftdb.FromSQL knows the driver of
// driftdb.Open.
func FromSQL(q SQLHandle, classify func(error) *Violation) Writer {
	db := &DB{closing: make(chan struct{}), o: Options{
		Classify: classify, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}}
	switch q := q.(type) {
	case *sql.DB:
		if q == nil {
			return (*DB)(nil)
		}
		return &sqlWriter{db: db, lend: func(ctx context.Context) (SQLHandle, func() error, error) {
			c, err := q.Conn(ctx)
			if err != nil {
				return nil, nil, err
			}
			return c, c.Close, nil
		}}
	case *sql.Tx:
		if q == nil {
			return (*DB)(nil)
		}
		return &Tx{db: db, c: sqlConnection(q), done: new(atomic.Bool), state: &txState{foreign: true}}
	case *sql.Conn:
		if q == nil {
			return (*DB)(nil)
		}
		return &sqlWriter{db: db, lend: func(context.Context) (SQLHandle, func() error, error) {
			return q, func() error { return nil }, nil
		}}
	}
	return (*DB)(nil)
}

// sqlWriter is a Writer on a *sql.DB or *sql.Conn.
type sqlWriter struct {
	db   *DB // what the verbs look up: the clock, the errors of the driver
	lend func(context.Context) (h SQLHandle, release func() error, err error)
}

var (
	_ Writer    = (*sqlWriter)(nil)
	_ foreigner = (*sqlWriter)(nil)
)

func (w *sqlWriter) base() *DB { return w.db }

func (w *sqlWriter) reader(ctx context.Context, _ bool) (*conn, func() error, error) {
	h, release, err := w.lend(ctx)
	if err != nil {
		return nil, nil, err
	}
	return sqlConnection(h), release, nil
}

func (w *sqlWriter) writing(ctx context.Context, _ bool, fn func(c *conn) error) error {
	return w.tx(ctx, func(_ context.Context, tx *Tx) error { return fn(tx.c) })
}

// tx runs fn in a transaction of its own.
func (w *sqlWriter) tx(ctx context.Context, fn func(context.Context, *Tx) error) (err error) {
	c, release, err := w.reader(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	if err := foreignKeysOn(ctx, c); err != nil {
		return err
	}
	if _, err := c.exec(quiet(ctx), "BEGIN IMMEDIATE", nil); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() { // also when fn panics
		if !committed {
			_, rerr := c.exec(quiet(ctx), "ROLLBACK", nil)
			if rerr != nil && !c.idle(ctx) {
				err = also(err, fmt.Errorf("roll back: %w", rerr))
			}
		}
	}()
	tx := &Tx{db: w.db, c: c, done: new(atomic.Bool), state: new(txState)}
	defer tx.done.Store(true)
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if tx.state.lost {
		return ErrTxLost
	}
	if err := c.closeRows(); err != nil {
		return err
	}
	if err := w.db.commit(ctx, c, tx.state); err != nil {
		return err
	}
	committed = true
	for _, f := range tx.state.after {
		f()
	}
	return nil
}

// readTx runs fn with a Reader whose queries all see the same state.
func (w *sqlWriter) readTx(ctx context.Context, fn func(Reader) error) (err error) {
	c, release, err := w.reader(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	if _, err := c.exec(quiet(ctx), "BEGIN", nil); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		rerr := c.closeRows()
		if rerr == nil {
			_, rerr = c.exec(quiet(ctx), "ROLLBACK", nil)
		}
		err = also(err, rerr)
	}()
	tx := &ReadTx{db: w.db, c: c}
	defer tx.done.Store(true)
	return fn(tx)
}

var errNoForeignKeys = errors.New("foreign keys are off on this handle: use one of DB.SQL, or open it with _foreign_keys=on")

func foreignKeysOn(ctx context.Context, c *conn) error {
	row, err := c.one(ctx, "PRAGMA foreign_keys", nil)
	if err == nil && (len(row) != 1 || row[0] != int64(1)) {
		err = errNoForeignKeys
	}
	return err
}

// sqlConnection is a conn whose statements run on a handle.
func sqlConnection(h SQLHandle) *conn { return newConn(sqlConn{h}) }

// sqlConn is what a conn needs of a driver's connection.
type sqlConn struct{ h SQLHandle }

func (c sqlConn) PrepareContext(_ context.Context, text string) (driver.Stmt, error) {
	return sqlStmt{c.h, text}, nil
}

func (c sqlConn) Prepare(text string) (driver.Stmt, error) { return sqlStmt{c.h, text}, nil }

func (sqlConn) Close() error { return nil }

func (sqlConn) Begin() (driver.Tx, error) { return nil, errors.ErrUnsupported }

// sqlStmt prepares nothing: database/sql keeps statements for its connections,
// not for transactions that others began.
type sqlStmt struct {
	h    SQLHandle
	text string
}

func (sqlStmt) Close() error { return nil }

func (sqlStmt) NumInput() int { return -1 } // the driver refuses too few and too many

func (sqlStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errors.ErrUnsupported }

func (sqlStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errors.ErrUnsupported }

func (s sqlStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.h.ExecContext(ctx, s.text, plain(args)...)
}

func (s sqlStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.h.QueryContext(ctx, s.text, plain(args)...) //nolint:rowserrcheck // sqlRows asks
	if err != nil {
		return nil, err
	}
	r := &sqlRows{rows: rows}
	if r.columns, err = rows.Columns(); err != nil {
		return nil, also(err, r.Close())
	}
	return r, nil
}

func plain(args []driver.NamedValue) []any {
	all := make([]any, len(args))
	for i, a := range args {
		all[i] = a.Value
	}
	return all
}

type sqlRows struct {
	rows    *sql.Rows
	columns []string
	into    []any
}

func (r *sqlRows) Columns() []string { return r.columns }

func (r *sqlRows) Close() error { return r.rows.Close() }

func (r *sqlRows) Next(dest []driver.Value) error {
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	r.into = r.into[:0]
	for i := range dest {
		r.into = append(r.into, (*any)(&dest[i]))
	}
	return r.rows.Scan(r.into...)
}
