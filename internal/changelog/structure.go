package changelog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Object is a table, index, view or trigger as sqlite_schema has it.
type Object struct {
	Kind  string `json:"type"`
	Name  string `json:"name"`
	Table string `json:"table"` // that it belongs to
	SQL   string `json:"sql"`
}

// String names the object for a person.
func (o Object) String() string {
	if strings.HasPrefix(o.SQL, "CREATE VIRTUAL ") {
		return "virtual table " + o.Name
	}
	return o.Kind + " " + o.Name
}

// Logged is the trigger's table if o is one of the triggers that write the
// change log.
func (o Object) Logged() (table string, ok bool) {
	return o.Table, o.Kind == "trigger" && strings.HasPrefix(strings.ToLower(o.Name), "_driftdb_")
}

// Structure is every object of a file, SQLite's own left out, and how far the
// change log tells of it.
type Structure struct {
	Schema  int64    `json:"schema"` // sequence of the newest schema entry, 0 for none
	Objects []Object `json:"objects"`
}

// ReadStructure returns the structure that x sees, and the schema entries beyond
// the sequence after, oldest first. x is in a read transaction.
func ReadStructure(ctx context.Context, conn *sql.Conn, after int64) (s Structure, entries []SchemaEntry, err error) {
	if s.Schema, err = schemaVersion(ctx, SQL(conn), 0, 1<<62); err != nil {
		return s, nil, fmt.Errorf("read the structure: %w", err)
	}
	const objects = `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid`
	if err := each(ctx, conn, func(rows *sql.Rows) error {
		var o Object
		err := rows.Scan(&o.Kind, &o.Name, &o.Table, &o.SQL)
		s.Objects = append(s.Objects, o)
		return err
	}, objects); err != nil || s.Schema <= after {
		return s, nil, err
	}
	err = each(ctx, conn, func(rows *sql.Rows) error {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return err
		}
		e, err := ParseSchemaEntry(data)
		if err != nil {
			return fmt.Errorf("%w: %w", err, ErrTables)
		}
		entries = append(entries, e)
		return nil
	}, `SELECT data FROM _driftdb_log WHERE sequence > ? AND operation = 'schema' ORDER BY sequence`, after)
	return s, entries, err
}

func each(ctx context.Context, conn *sql.Conn, row func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read the structure: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("read the structure: %w", err)
		}
	}
	return rows.Err()
}

// StoredStructure is what is kept of the structure between two starts.
type StoredStructure struct {
	Structure
	Known bool // false: nothing was kept
	Owed  bool // a snapshot is due, because the log does not tell of a change
}

// KeptStructure returns what Queue.KeepStructure has kept.
func KeptStructure(ctx context.Context, conn *sql.Conn) (s StoredStructure, err error) {
	v, err := Meta(ctx, SQL(conn), metaStructure)
	if err != nil || v == "" {
		return s, err
	}
	if err := json.Unmarshal([]byte(v), &s.Structure); err != nil {
		return s, nil //nolint:nilerr // nobody's data: it is kept anew
	}
	s.Known = true
	owed, err := Meta(ctx, SQL(conn), metaSnapshotDue)
	s.Owed = owed != ""
	return s, err
}

// KeepStructure keeps s for the next start.
func (q *Queue) KeepStructure(ctx context.Context, s StoredStructure) error {
	b, err := json.Marshal(s.Structure)
	if err != nil {
		return err
	}
	err = q.write(ctx, func(ctx context.Context, x Execer) error {
		if err := x.Exec(ctx, setMeta, metaStructure, string(b)); err != nil {
			return err
		}
		if s.Owed {
			return x.Exec(ctx, setMeta, metaSnapshotDue, "1")
		}
		return x.Exec(ctx, `DELETE FROM _driftdb_meta WHERE key = ?`, metaSnapshotDue)
	})
	if err != nil {
		return fmt.Errorf("keep the structure: %w", err)
	}
	return nil
}
