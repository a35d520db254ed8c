package orm

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Tx is a running write transaction. It ends when the function it was given to
// returns, and is used by that function's goroutine only.
type Tx struct {
	db    *DB
	c     *conn
	depth int
	done  *atomic.Bool
	state *txState
}

// txState is what a transaction shares with its savepoints.
type txState struct {
	pos  atomic.Pointer[Position] // once it has been committed
	lost bool                     // it has ended before its function did

	after   []func() // called once it has been committed
	quiet   bool     // our own housekeeping: nobody is told
	foreign bool     // others began it and end it
	checked bool     // whether foreign keys are on
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
	var after []func()
	err := db.transaction(ctx, func(c *conn, state *txState) error {
		tx := &Tx{db: db, c: c, done: new(atomic.Bool), state: state}
		defer tx.done.Store(true)
		err := fn(changelog.WithTx(ctx, db.generation), tx)
		after = state.after
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range after {
		f()
	}
	return nil
}

func (db *DB) writing(ctx context.Context, _ bool, fn func(c *conn) error) error {
	return db.transaction(ctx, func(c *conn, _ *txState) error { return fn(c) })
}

// transaction runs fn between BEGIN IMMEDIATE and COMMIT on the writing
// connection.
func (db *DB) transaction(ctx context.Context, fn func(*conn, *txState) error) (err error) {
	if err := db.takeWriter(ctx); err != nil {
		return err
	}
	defer func() { db.write <- struct{}{} }()
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
	var state txState
	if err := fn(c, &state); err != nil {
		return err
	}
	if state.lost {
		return ErrTxLost
	}
	if err := c.closeRows(); err != nil {
		return err
	}
	if err := db.commit(ctx, c, &state); err != nil {
		return err
	}
	committed = true
	if !state.quiet {
		db.metrics.commits.Add(1)
		db.o.OnCommit()
		db.changes.committed()
		db.pruneLog()
	}
	return nil
}

// takeWriter waits for the right to write, and opens the writing connection
// again if it was thrown away.
func (db *DB) takeWriter(ctx context.Context) (err error) {
	if err := db.enter(ctx); err != nil {
		return err
	}
	if err := db.o.Admit(ctx); err != nil {
		return err
	}
	if err := db.take(ctx, db.write); err != nil {
		return err
	}
	if db.writer == nil {
		if db.writer, err = connect(ctx, db.o.Writer); err != nil {
			db.write <- struct{}{}
			return fmt.Errorf("open the writing connection again: %w", err)
		}
	}
	return nil
}

const (
	// busyLimit bounds the wait for other processes when the context has no
	// deadline.
	busyLimit = time.Minute
	// busyPoll is how long SQLite waits by itself: it does not see a context
	// end meanwhile.
	busyPoll = 50 * time.Millisecond
)

// begin waits for other processes to finish their writes.
func (db *DB) begin(ctx context.Context, c *conn) error {
	err := db.patient(ctx, c, func() error {
		_, err := c.exec(quiet(ctx), "BEGIN IMMEDIATE", nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// patient runs fn again and again while another process holds the database.
func (db *DB) patient(ctx context.Context, c *conn, fn func() error) error {
	if !c.impatient {
		set := fmt.Sprintf("PRAGMA busy_timeout = %d", busyPoll.Milliseconds())
		if _, err := c.one(quiet(ctx), set, nil); err != nil {
			return err
		}
		c.impatient = true
	}
	var limit time.Time
	for {
		err := fn()
		if err == nil || !db.o.IsBusy(err) {
			return err
		}
		if limit.IsZero() {
			limit = time.Now().Add(busyLimit)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another process holds the database: %w: %w", ctx.Err(), err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(limit) {
			return fmt.Errorf("another process has held the database for %v: %w", busyLimit, err)
		}
	}
}

// commit appends the mark that makes the transaction's end visible in the log,
// and commits.
func (db *DB) commit(ctx context.Context, c *conn, state *txState) error {
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
		return fmt.Errorf("commit: %w", db.deferred(err))
	}
	state.pos.Store(&p)
	return nil
}

// rollback ends a transaction that was not committed, whatever ctx says. A
// connection that cannot roll back is closed and replaced by the next write.
func (db *DB) rollback(ctx context.Context) error {
	db.metrics.rollbacks.Add(1)
	c := db.writer
	err := c.closeRows()
	if err == nil {
		_, err = c.exec(quiet(ctx), "ROLLBACK", nil)
	}
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

// enter refuses a transaction that has ended.
func (tx *Tx) enter(ctx context.Context) error {
	switch {
	case tx.done.Load():
		return ErrTxDone
	case tx.state.lost:
		return ErrTxLost
	}
	return ctx.Err()
}

// look finds out whether the transaction is still open after a statement that
// returned err. SQLite ends it on some errors: an interrupted write, a full
// disk, a trigger with RAISE(ROLLBACK). What its function did afterwards would
// be stored statement by statement.
func (tx *Tx) look(ctx context.Context, err error) {
	open, known := tx.c.open()
	if !known {
		open = err == nil || !tx.c.idle(ctx)
	}
	tx.state.lost = tx.state.lost || !open
}

func (tx *Tx) reader(ctx context.Context, _ bool) (*conn, func() error, error) {
	if err := tx.enter(ctx); err != nil {
		return nil, nil, err
	}
	return tx.c, func() error {
		if tx.done.Load() {
			return nil // a loop that was left open: the connection is somebody else's now
		}
		if tx.look(ctx, nil); tx.state.lost {
			return ErrTxLost
		}
		return nil
	}, nil
}

func (tx *Tx) writing(ctx context.Context, many bool, fn func(c *conn) error) error {
	if err := tx.enter(ctx); err != nil {
		return err
	}
	if tx.state.foreign && !tx.state.checked {
		if err := foreignKeysOn(ctx, tx.c); err != nil {
			return err
		}
		tx.state.checked = true
	}
	if many {
		return tx.savepoint(ctx, func() error { return fn(tx.c) })
	}
	err := fn(tx.c)
	if err != nil {
		tx.look(ctx, err)
	}
	return err
}

// Tx runs fn in a savepoint: when fn returns an error or panics, what it did
// is undone and the outer transaction goes on as its own function decides.
func (tx *Tx) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if err := tx.enter(ctx); err != nil {
		return err
	}
	inner := &Tx{db: tx.db, c: tx.c, depth: tx.depth + 1, done: new(atomic.Bool), state: tx.state}
	defer inner.done.Store(true)
	return tx.savepoint(ctx, func() error { return fn(ctx, inner) })
}

func (tx *Tx) savepoint(ctx context.Context, fn func() error) (err error) {
	name := fmt.Sprintf("drift%d", tx.depth)
	after := len(tx.state.after)
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
		tx.state.after = tx.state.after[:min(after, len(tx.state.after))]
		if tx.look(ctx, err); tx.state.lost {
			return // with all its savepoints
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
	if err := tx.enter(ctx); err != nil {
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
	if p := tx.state.pos.Load(); p != nil {
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
	c, release, err := db.reader(ctx, true)
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
		if rerr != nil {
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

func (tx *ReadTx) reader(ctx context.Context, _ bool) (*conn, func() error, error) {
	if tx.done.Load() {
		return nil, nil, ErrTxDone
	}
	return tx.c, func() error { return nil }, ctx.Err()
}
