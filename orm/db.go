package orm

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

// Position is a point in the database's change log. Positions of different
// generations (a file restored, or made anew) have no order.
type Position = changelog.Position

// Options of Open. Most programs use driftdb.Open, which fills them in.
type Options struct {
	// Path names the file in errors and logs. Nothing is opened by it.
	Path string

	// Writer opens the one connection that writes, with foreign keys and
	// recursive triggers on. Required.
	Writer driver.Connector

	// Reader opens connections that cannot write. Required.
	Reader driver.Connector

	// SQL opens the connections of DB.SQL. Defaults to Writer.
	SQL driver.Connector

	// Readers is how many queries may read at once, each on a connection of
	// its own. A loop over rows and a read transaction, which run code of the
	// caller, do not count: they open one more connection if none is idle, so
	// that reading inside them waits for nobody. Defaults to 4, or the number
	// of processors where that is more.
	Readers int

	// Classify names the constraint that a driver's error says is violated,
	// nil for none. Defaults to none: such errors come as the driver's.
	Classify func(error) *Violation

	// IsBusy says whether a driver's error means that another process holds
	// the database. Defaults to never.
	IsBusy func(error) bool

	// Admit is asked before a write transaction waits for its turn; an error
	// refuses the transaction. Defaults to none.
	Admit func(context.Context) error

	// OnCommit is called after every commit of the DB. It must not block.
	OnCommit func()

	// OnShutdown and OnClose are called by Shutdown and Close when the last
	// transaction has ended and before the connections are closed.
	OnShutdown func(context.Context) error
	OnClose    func() error

	// OnClosed is called when every connection is closed.
	OnClosed func() error

	// LogTail is how many entries of the change log stay, for Changes and
	// History, in a file that was never replicated; below 0 the newest only. 0
	// leaves all of them: the replica prunes what it has shipped.
	LogTail int64

	// Now is the clock of created and updated columns. Defaults to time.Now.
	Now func() time.Time

	// Logger receives what the DB does by itself. Defaults to none.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Writer == nil || o.Reader == nil {
		return o, errors.New("orm.Options needs a Writer and a Reader")
	}
	if o.Readers < 0 {
		return o, errors.New("orm.Options.Readers is negative")
	}
	if o.SQL == nil {
		o.SQL = o.Writer
	}
	if o.Readers == 0 {
		o.Readers = max(4, runtime.NumCPU())
	}
	if o.IsBusy == nil {
		o.IsBusy = func(error) bool { return false }
	}
	if o.Admit == nil {
		o.Admit = func(context.Context) error { return nil }
	}
	if o.OnCommit == nil {
		o.OnCommit = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// DB is an open database: one connection that writes and a pool of
// connections that read. It is a Reader and a Writer. All methods may be
// called concurrently.
type DB struct {
	o          Options
	generation string
	tables     []schema.Table // of the models

	writer   *conn         // used by the holder of write
	write    chan struct{} // holds one token: the right to write
	read     chan struct{} // holds Options.Readers tokens
	looped   chan struct{} // gets a token when a loop ends
	closing  chan struct{} // closed by the first Shutdown or Close
	closeOne sync.Once

	mu     sync.Mutex
	idle   []*conn // reading connections, the most recently used last
	loops  int     // loops over rows and read transactions
	sqlDB  *sql.DB
	closed bool

	metrics counters
	changes *feed
	pruner  pruner
}

// Reader is where a query runs: a *DB, *Tx, *ReadTx or *ReadDB, or what FromSQL
// returns.
type Reader interface {
	// reader lends a connection to read on until release is called. loop says
	// that code of the caller runs meanwhile.
	reader(ctx context.Context, loop bool) (c *conn, release func() error, err error)
	base() *DB
}

// Writer is where a write runs: a *DB or *Tx, or what FromSQL returns. It is a
// Reader too.
type Writer interface {
	Reader
	// writing runs fn in a transaction, or in the one that is open. many says
	// that fn runs several statements which must stand or fall together.
	writing(ctx context.Context, many bool, fn func(c *conn) error) error
}

var (
	_ Writer = (*DB)(nil)
	_ Writer = (*Tx)(nil)
	_ Reader = (*ReadTx)(nil)
)

func (db *DB) base() *DB { return db }

// foreigner is a Writer on a handle of database/sql. It is an interface so that
// programs without FromSQL do not carry what it needs.
type foreigner interface {
	tx(ctx context.Context, fn func(context.Context, *Tx) error) error
	readTx(ctx context.Context, fn func(Reader) error) error
}

// usable refuses a nil Reader or Writer and one that was not made here.
func usable(r Reader) error {
	ok := false
	switch r := r.(type) {
	case *DB:
		ok = r != nil && r.closing != nil
	case *Tx:
		ok = r != nil && r.c != nil
	case *ReadTx:
		ok = r != nil && r.c != nil
	case *ReadDB:
		ok = r != nil && r.db != nil && r.db.closing != nil
	case foreigner:
		ok = true
	}
	if !ok {
		return errNoDB
	}
	return nil
}

// enter refuses a context of db's own transaction and a closed db.
func (db *DB) enter(ctx context.Context) error {
	if err := usable(db); err != nil {
		return err
	}
	if changelog.InTx(ctx, db.generation) {
		return ErrInTx
	}
	select {
	case <-db.closing:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// Position returns the newest position of the change log.
func (db *DB) Position(ctx context.Context) (_ Position, err error) {
	c, release, err := db.reader(ctx, false)
	if err != nil {
		return Position{}, err
	}
	defer func() { err = also(err, release()) }()
	return changelog.ReadPosition(ctx, changelog.Driver(c.dc))
}

// SQL returns a *sql.DB on the same file, for what the typed API does not do.
// Its writes are logged and shipped like all others. It waits for the file's
// lock while a transaction of the DB runs, so do not write through it inside
// one. The DB owns it: do not close it.
func (db *DB) SQL() *sql.DB {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.sqlDB == nil {
		db.sqlDB = sql.OpenDB(db.o.SQL)
		if db.closed { // every use of it says that it is closed
			_ = db.sqlDB.Close()
		}
	}
	return db.sqlDB
}

// Metrics counts the work of a DB since it was opened.
type Metrics struct {
	Reads     int64 // queries and read transactions
	Commits   int64 // write transactions that were committed
	Rollbacks int64 // write transactions that were not
}

type counters struct{ reads, commits, rollbacks atomic.Int64 }

// Metrics returns the counts so far. Replication has counts of its own.
func (db *DB) Metrics() Metrics {
	return Metrics{Reads: db.metrics.reads.Load(), Commits: db.metrics.commits.Load(), Rollbacks: db.metrics.rollbacks.Load()}
}

// IntegrityCheck reads the whole file and reports damage, and rows that break
// a foreign key, as an error with the first findings.
func (db *DB) IntegrityCheck(ctx context.Context) (err error) {
	c, release, err := db.reader(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	row, err := c.one(ctx, "PRAGMA integrity_check(10)", nil)
	if err != nil {
		return fmt.Errorf("integrity check: %w", err)
	}
	if len(row) != 1 || textOf(row[0]) != "ok" {
		return fmt.Errorf("integrity check: the file is damaged: %s: restore it from the bucket or a copy", textOf(row[0]))
	}
	row, err = c.one(ctx, "PRAGMA foreign_key_check", nil)
	if err != nil {
		return fmt.Errorf("integrity check: %w", err)
	}
	if row != nil {
		return fmt.Errorf("integrity check: table %s has rows that refer to rows of %s that do not exist", textOf(row[0]), textOf(row[2]))
	}
	return nil
}

// Vacuum rewrites the file without its free pages. It waits for the running
// transaction and holds up writes while it works.
func (db *DB) Vacuum(ctx context.Context) error {
	if err := db.takeWriter(ctx); err != nil {
		return err
	}
	defer func() { db.write <- struct{}{} }()
	err := db.patient(ctx, db.writer, func() error {
		_, err := db.writer.exec(ctx, "VACUUM", nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}
