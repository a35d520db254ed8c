package orm

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Tx is a running write transaction. It ends when the function it was given to
// returns, and is used by that function's goroutine only.
type Tx struct {
	db    *DB
	c     *conn
	depth int
	done  *atomic.Bool
	pos   *positionRef // shared with the outermost Tx
}

// TxOption configures a transaction. There are none yet.
type TxOption interface{ txOption() }

// Tx runs fn in a write transaction and commits when fn returns nil. When fn
// returns an error or panics, or ctx ends before the commit, nothing is
// changed. One write transaction runs at a time; others wait, or give up when
// their context ends.
//
// The context that fn is given belongs to the transaction: using db with it is
// ErrInTx, because db would wait for itself.
func (db *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error, _ ...TxOption) error {
	return db.transaction(ctx, func(c *conn, pos *positionRef) error {
		tx := &Tx{db: db, c: c, done: new(atomic.Bool), pos: pos}
		defer tx.done.Store(true)
		return fn(changelog.WithTx(ctx, db.generation), tx)
	})
}

func (db *DB) writing(ctx context.Context, _ bool, fn func(c *conn) error) error {
	return db.transaction(ctx, func(c *conn, _ *positionRef) error { return fn(c) })
}

// transaction runs fn between BEGIN IMMEDIATE and COMMIT on the writing
// connection.
func (db *DB) transaction(ctx context.Context, fn func(*conn, *positionRef) error) (err error) {
	if err := db.take(ctx, db.write); err != nil {
		return err
	}
	defer func() { db.write <- struct{}{} }()
	if db.writer == nil {
		if db.writer, err = connect(ctx, db.o.Writer); err != nil {
			return fmt.Errorf("open the writing connection again: %w", err)
		}
	}
	c := db.writer
	if err := db.begin(ctx, c); err != nil {
		return err
	}
	committed := false
	defer func() { // also when fn panics
		if !committed {
			err = also(err, db.rollback(ctx))
		}
	}()
	var pos positionRef
	if err := fn(c, &pos); err != nil {
		return err
	}
	if err := db.commit(ctx, c, &pos); err != nil {
		return err
	}
	committed = true
	db.metrics.commits.Add(1)
	db.o.OnCommit()
	return nil
}

// busyAttempts bounds how often a busy database is asked again when the
// context has no deadline; each attempt waits for the connection's own timeout.
const busyAttempts = 12

// begin waits for other processes to finish their writes.
func (db *DB) begin(ctx context.Context, c *conn) error {
	for i := 1; ; i++ {
		_, err := c.exec(quiet(ctx), "BEGIN IMMEDIATE", nil)
		if err == nil {
			return nil
		}
		if !db.o.IsBusy(err) || i == busyAttempts {
			return fmt.Errorf("begin: %w", err)
		}
		if cerr := ctx.Err(); cerr != nil {
			return fmt.Errorf("begin: %w: %w", cerr, err)
		}
	}
}

// commit appends the mark that makes the transaction's end visible in the log,
// and commits.
func (db *DB) commit(ctx context.Context, c *conn, pos *positionRef) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mark, err := c.exec(quiet(ctx), changelog.MarkSQL, nil)
	if err != nil {
		return fmt.Errorf("mark the commit: %w", err)
	}
	p := Position{Generation: db.generation}
	if n, err := mark.RowsAffected(); err == nil && n == 1 {
		p.Sequence, err = mark.LastInsertId()
		if err != nil {
			return fmt.Errorf("mark the commit: %w", err)
		}
	} else {
		row, err := c.one(quiet(ctx), changelog.NewestSQL, nil)
		if err != nil {
			return fmt.Errorf("mark the commit: %w", err)
		}
		p.Sequence, _ = row[0].(int64)
	}
	if _, err := c.exec(quiet(ctx), "COMMIT", nil); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	pos.Store(&p)
	return nil
}

// rollback ends a transaction that was not committed, whatever ctx says. A
// connection that cannot roll back is closed and replaced by the next write.
func (db *DB) rollback(ctx context.Context) error {
	db.metrics.rollbacks.Add(1)
	c := db.writer
	_, err := c.exec(quiet(ctx), "ROLLBACK", nil)
	if err == nil || c.idle(ctx) {
		return nil // SQLite rolls some errors back by itself
	}
	db.writer = nil
	return errors.Join(fmt.Errorf("roll back: %w", err), c.close())
}

// idle says that no transaction is open: BEGIN works only then.
func (c *conn) idle(ctx context.Context) bool {
	if _, err := c.exec(quiet(ctx), "BEGIN", nil); err != nil {
		return false
	}
	_, err := c.exec(quiet(ctx), "ROLLBACK", nil)
	return err == nil
}

// quiet is ctx without its end, for statements that take microseconds and must
// not be torn.
func quiet(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func (tx *Tx) base() *DB { return tx.db }

func (tx *Tx) reader(ctx context.Context) (*conn, func() error, error) {
	if tx.done.Load() {
		return nil, nil, ErrTxDone
	}
	return tx.c, func() error { return nil }, ctx.Err()
}

func (tx *Tx) writing(ctx context.Context, many bool, fn func(c *conn) error) error {
	if tx.done.Load() {
		return ErrTxDone
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !many {
		return fn(tx.c)
	}
	return tx.savepoint(ctx, func() error { return fn(tx.c) })
}

// Tx runs fn in a savepoint: when fn returns an error or panics, what it did
// is undone and the outer transaction goes on as its own function decides.
func (tx *Tx) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if tx.done.Load() {
		return ErrTxDone
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	inner := &Tx{db: tx.db, c: tx.c, depth: tx.depth + 1, done: new(atomic.Bool), pos: tx.pos}
	defer inner.done.Store(true)
	return tx.savepoint(ctx, func() error { return fn(ctx, inner) })
}

func (tx *Tx) savepoint(ctx context.Context, fn func() error) (err error) {
	name := fmt.Sprintf("drift%d", tx.depth)
	tx.depth++
	defer func() { tx.depth-- }()
	if _, err := tx.c.exec(quiet(ctx), "SAVEPOINT "+name, nil); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	kept := false
	defer func() {
		if kept {
			return
		}
		_, rerr := tx.c.exec(quiet(ctx), "ROLLBACK TO "+name, nil)
		if rerr == nil {
			_, rerr = tx.c.exec(quiet(ctx), "RELEASE "+name, nil)
		}
		err = also(err, rerr)
	}()
	if err := fn(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := tx.c.exec(quiet(ctx), "RELEASE "+name, nil); err != nil {
		return fmt.Errorf("release savepoint: %w", err)
	}
	kept = true
	return nil
}

// Position is where the transaction ended in the change log. It is zero until
// the outermost transaction has been committed.
func (tx *Tx) Position() Position {
	if p := tx.pos.Load(); p != nil {
		return *p
	}
	return Position{}
}

// ReadTx is a running read transaction: every query in it sees the same state
// of the database, whatever is written meanwhile. It is used by the goroutine
// of its function only.
type ReadTx struct {
	db   *DB
	c    *conn
	done atomic.Bool
}

// ReadTx runs fn in a read transaction. It does not wait for writers, and they
// do not wait for it.
func (db *DB) ReadTx(ctx context.Context, fn func(ctx context.Context, tx *ReadTx) error) (err error) {
	c, release, err := db.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	if _, err := c.exec(quiet(ctx), "BEGIN", nil); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if _, rerr := c.exec(quiet(ctx), "ROLLBACK", nil); rerr != nil {
			err = also(err, fmt.Errorf("end the read transaction: %w", rerr))
		}
	}()
	// The first read fixes what the transaction sees.
	if _, err := c.one(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1", nil); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	tx := &ReadTx{db: db, c: c}
	defer tx.done.Store(true)
	return fn(ctx, tx)
}

func (tx *ReadTx) base() *DB { return tx.db }

func (tx *ReadTx) reader(ctx context.Context) (*conn, func() error, error) {
	if tx.done.Load() {
		return nil, nil, ErrTxDone
	}
	return tx.c, func() error { return nil }, ctx.Err()
}

// positionRef is the position of a transaction once it has been committed.
type positionRef struct{ atomic.Pointer[Position] }
