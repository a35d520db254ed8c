package changelog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
)

// Format is the version of the local tables, section 1 of docs/format.md.
const Format = "2"

// Encoder is the version of the batch encoding that this package writes.
const Encoder = 1

// TimeSQL is the timestamp expression of marks and schema entries, and of the
// triggers: the time of the statement in Unix milliseconds. It is NULL on a
// SQLite older than 3.42.
const TimeSQL = `CAST(round(unixepoch('subsec') * 1000) AS INTEGER)`

// MarkSQL is the last statement of every transaction of our own writing
// connection: everything up to a mark is whole transactions. It appends a mark
// only if the log has rows and the newest is not a mark already.
const MarkSQL = `INSERT INTO _driftdb_log (timestamp, operation) SELECT ` + TimeSQL + `, 'mark'
WHERE (SELECT operation FROM _driftdb_log ORDER BY sequence DESC LIMIT 1) <> 'mark'`

// NewestSQL selects the largest sequence of the log, 0 for an empty log.
const NewestSQL = `SELECT coalesce(max(sequence), 0) FROM _driftdb_log`

// SchemaSQL appends a schema entry; its parameter is SchemaEntry.JSON.
const SchemaSQL = `INSERT INTO _driftdb_log (timestamp, operation, data) VALUES (` + TimeSQL + `, 'schema', ?)`

// TablesSQL returns the statements that make the local tables where they are
// not there yet.
func TablesSQL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS _driftdb_log (
	sequence  INTEGER PRIMARY KEY,
	timestamp INTEGER,
	"table"   TEXT,
	operation TEXT,
	key       TEXT,
	data      TEXT,
	before    TEXT
)`,
		`CREATE TABLE IF NOT EXISTS _driftdb_queue (
	"from"   INTEGER PRIMARY KEY,
	"to"     INTEGER,
	part     INTEGER,
	parts    INTEGER,
	prevHash TEXT,
	hash     TEXT,
	maxTime  INTEGER,
	encoder  INTEGER,
	status   TEXT,
	attempts INTEGER,
	nextRetryAt INTEGER,
	error    TEXT
)`,
		`CREATE TABLE IF NOT EXISTS _driftdb_meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID`,
	}
}

// ErrFormat is a file written by a newer version of this package.
var ErrFormat = errors.New("the file's change log has a newer format: use a newer version of the program")

// Init makes the local tables and their first records if they are not there.
// It runs inside a write transaction of the caller, before the caller makes any
// table of its own: a file without tables is one whose log is complete. On a
// file that has the tables already it writes nothing.
func Init(ctx context.Context, x Execer) error {
	if err := initTables(ctx, x); err != nil {
		return fmt.Errorf("make the change log: %w", err)
	}
	return nil
}

func initTables(ctx context.Context, x Execer) error {
	have, err := oneInt(ctx, x, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('_driftdb_log', '_driftdb_queue', '_driftdb_meta')`)
	if err != nil {
		return err
	}
	if have == 3 {
		return checkFormat(ctx, x)
	}
	if have != 0 {
		return fmt.Errorf("%d of the 3 tables _driftdb_log, _driftdb_queue and _driftdb_meta are there: restore the file, or drop them to begin a new log", have)
	}
	users, err := oneInt(ctx, x, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return err
	}
	for _, stmt := range TablesSQL() {
		if err := x.Exec(ctx, stmt); err != nil {
			return err
		}
	}
	if err := x.Exec(ctx, setMeta, metaFormat, Format); err != nil {
		return err
	}
	if err := x.Exec(ctx, setMeta, metaGeneration, newGeneration()); err != nil {
		return err
	}
	if users > 0 {
		return nil
	}
	return x.Exec(ctx, setMeta, metaComplete, "1")
}

func checkFormat(ctx context.Context, x Execer) error {
	f, err := Meta(ctx, x, metaFormat)
	if err != nil {
		return err
	}
	if f == "" {
		return fmt.Errorf("_driftdb_meta has no format: %w", ErrTables)
	}
	if f != Format {
		return fmt.Errorf("format %q where this version writes %q: %w", f, Format, ErrFormat)
	}
	return nil
}

// Keys of _driftdb_meta.
const (
	metaFormat        = "format"
	metaGeneration    = "generation"
	metaComplete      = "complete"
	metaFloor         = "floor"
	metaSnapshot      = "snapshot"
	metaSchemaVersion = "schemaVersion"
	metaMigration     = "migration"
	metaStructure     = "structure"
	metaSnapshotDue   = "snapshotDue"
	metaDropped       = "dropped"
	metaGap           = "gap"
)

const setMeta = `INSERT INTO _driftdb_meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2`

// Meta returns a value of _driftdb_meta, "" if it is not there.
func Meta(ctx context.Context, x Execer, key string) (string, error) {
	v, err := one(ctx, x, `SELECT value FROM _driftdb_meta WHERE key = ?`, key)
	if err != nil || v == nil {
		return "", err
	}
	s, ok := text(v)
	if !ok {
		return "", fmt.Errorf("_driftdb_meta: %s is not text: %w", key, ErrTables)
	}
	return s, nil
}

// newGeneration returns 32 random hex digits.
func newGeneration() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

// Position is a point in one file's log. Positions of different generations
// have no order.
type Position struct {
	Generation string // 32 hex digits, new for every created or restored file
	Sequence   int64  // of the newest log row; 0 before the first
}

// ReadPosition returns the newest position that x sees.
func ReadPosition(ctx context.Context, x Execer) (Position, error) {
	row, err := x.QueryRow(ctx, `SELECT (SELECT value FROM _driftdb_meta WHERE key = 'generation'), (`+NewestSQL+`)`)
	if err != nil {
		return Position{}, fmt.Errorf("read the log's position: %w", err)
	}
	gen, ok := text(row[0])
	seq, ok2 := row[1].(int64)
	if !ok || !ok2 {
		return Position{}, fmt.Errorf("read the log's position: _driftdb_meta has no generation: %w", ErrTables)
	}
	return Position{Generation: gen, Sequence: seq}, nil
}
