package driftdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// Options of Open. The zero value opens a local database without a replica.
type Options struct {
	// Replica ships every committed change and restores a missing file.
	// *replicate.Replica is one. Defaults to none: the database is local only.
	Replica Replica

	// From fills a private database (path Memory) with what a source restores, a
	// backup at a time for instance: a copy to write to, that nobody else sees.
	// Defaults to none.
	From Source

	// Readers is how many read-only connections may be open at once.
	// Defaults to 4, or the number of processors where that is more.
	Readers int

	// LogTail is how many entries of the change log stay in a file without a
	// replica, for Changes, History and listeners; with a replica its own
	// option counts. Defaults to 10,000; a negative number keeps the newest
	// only.
	LogTail int64

	// Logger receives what the database does by itself. Defaults to none.
	Logger *slog.Logger

	// Now is the clock of created and updated columns. Defaults to time.Now.
	Now func() time.Time
}

// Replica is what Open needs of a replica.
type Replica interface {
	// Prepare runs before the file at path is opened. It may put a restored
	// file there. An error keeps the database closed.
	Prepare(ctx context.Context, path string) error
	// Start begins to ship the file at path, which is open and up to date.
	Start(ctx context.Context, path string) error
	// Notify says that a transaction was committed. It never blocks.
	Notify()
	// Shutdown ships what is left until ctx ends, then stops.
	Shutdown(ctx context.Context) error
	// Close is Shutdown with the replica's own deadline.
	Close() error
}

// admitter is a Replica that write transactions ask before they begin.
type admitter interface {
	// Admit waits until a write may begin, or says why it may not.
	Admit(ctx context.Context) error
}

// ErrDamaged says that SQLite cannot read the file that Open was given, or that it is no
// database. *replicate.Replica says it of a file that breaks while the program runs; a
// query then has SQLite's own error, "database disk image is malformed".
var ErrDamaged = sqlite.ErrFileDamaged

// Memory is the path of a private database that lives as long as its handle:
// a temporary file, so that readers and the writer do not block each other.
const Memory = ":memory:"

// Open opens the SQLite database at path, makes what its tables need to be
// those of s, and starts the replica. The file is created with mode 0600 when
// it is not there and the replica, if any, has nothing to restore.
//
// The directory of path must exist. Tables, columns that ALTER TABLE ADD
// accepts, and indexes are added; any other difference between the file and s
// is an error and changes nothing.
//
// [orm.DB.Shutdown] drains and stops the replica before the file is closed;
// [orm.DB.Close] does so with the replica's own deadline.
func Open(ctx context.Context, path string, s schema.Schema, o Options) (*orm.DB, error) {
	db, err := open(ctx, path, s, o)
	switch what := "open " + path + ": "; {
	case err == nil:
		return db, nil
	case strings.HasPrefix(err.Error(), what): // a connection that could not be made says so
		return nil, fmt.Errorf("driftdb: %w", err)
	default:
		return nil, fmt.Errorf("driftdb: %s%w", what, err)
	}
}

func open(ctx context.Context, path string, s schema.Schema, o Options) (_ *orm.DB, err error) {
	cleanup := func() error { return nil }
	private := path == Memory
	if private {
		if o.Replica != nil {
			return nil, errors.New("a private database cannot have a replica: give it the path of a file")
		}
		dir, err := os.MkdirTemp("", "driftdb-")
		if err != nil {
			return nil, err
		}
		cleanup = func() error { return os.RemoveAll(dir) }
		path = filepath.Join(dir, "memory.sqlite")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, cleanup())
		}
	}()
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if o.From != nil {
		if !private {
			return nil, errors.New("Options.From fills a private database only: open driftdb.Memory, or restore to the path first")
		}
		if err := o.From.RestoreTo(ctx, path); err != nil {
			return nil, err
		}
	}
	if o.Replica != nil {
		if err := o.Replica.Prepare(ctx, path); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, o.Replica.Close())
			}
		}()
	}
	db, err := orm.Open(ctx, s, ormOptions(path, o, cleanup))
	if err != nil {
		return nil, sqlite.OfFile(err)
	}
	if o.Replica != nil {
		if err := o.Replica.Start(ctx, path); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// ormOptions hands SQLite and the replica to the orm, which knows neither.
func ormOptions(path string, o Options, cleanup func() error) orm.Options {
	opts := orm.Options{
		Path:     path,
		Writer:   sqlite.Connector(path, sqlite.Writer),
		Reader:   sqlite.Connector(path, sqlite.Reader),
		SQL:      sqlite.Connector(path, sqlite.Writer),
		Readers:  o.Readers,
		Classify: classify,
		IsBusy:   sqlite.IsBusy,
		Logger:   o.Logger,
		Now:      o.Now,
		OnClosed: cleanup,
	}
	if o.Replica == nil {
		if opts.LogTail = o.LogTail; opts.LogTail == 0 {
			opts.LogTail = 10_000
		}
	}
	if o.Replica != nil {
		opts.OnCommit = o.Replica.Notify
		opts.OnShutdown = o.Replica.Shutdown
		opts.OnClose = o.Replica.Close
		if a, ok := o.Replica.(admitter); ok {
			opts.Admit = a.Admit
		}
	}
	return opts
}

// checkPath refuses what SQLite would answer with "unable to open database
// file" only.
func checkPath(path string) error {
	if path == "" {
		return errors.New("the path is empty: name a file, or driftdb.Memory")
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("directory %s does not exist: create it first", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return errors.New("it is a directory: name a file")
	}
	return nil
}

// classify turns SQLite's constraint errors into the orm's.
func classify(err error) *orm.Violation {
	c, ok := sqlite.Classify(err)
	if !ok {
		return nil
	}
	return &orm.Violation{Kind: orm.ViolationKind(c.Kind), Table: c.Table, Columns: c.Columns, Constraint: c.Name}
}

// FromSQL makes an orm.Writer of a *sql.DB, *sql.Conn or *sql.Tx on a file that
// Open has opened, for typed verbs inside a transaction that other code began:
// see [orm.FromSQL]. A handle of [orm.DB.SQL] is what it is meant for.
func FromSQL(q orm.SQLHandle) orm.Writer { return orm.FromSQL(q, classify) }
