package v1

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// Report counts what a replay did, and values that the original's logs carry
// only in part, so that the row may differ from what it was.
type Report struct {
	Batches int   `json:"batches"`
	Entries int64 `json:"entries"`
	Last    int64 `json:"last"` // the last sequence

	// Dates are texts that look like what a Date becomes in a log. The original
	// stores a Date with double quotes around it.
	Dates int64 `json:"dates"`
	// Nulls are NULLs in columns of numbers: Infinity is logged as null.
	Nulls int64 `json:"nulls"`
	// Defaults are columns with a default that an insert does not name: it may
	// have been given as undefined, and is NULL then.
	Defaults int64 `json:"defaults"`
	// LoneSurrogates are texts with half a surrogate pair. They come back as the
	// bytes that the original stored.
	LoneSurrogates int64 `json:"loneSurrogates"`
}

// Replayer applies batches to a database file.
type Replayer struct {
	conn   *sql.Conn
	tables map[string]map[string]column
	at     int64
	report Report
}

type column struct{ number, hasDefault bool }

// fold is one text for all names that SQLite takes for the same.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// NewReplayer begins after the sequence at. conn has the tables, and foreign
// keys off.
func NewReplayer(ctx context.Context, conn *sql.Conn, at int64) (_ *Replayer, err error) {
	r := &Replayer{conn: conn, at: at, tables: map[string]map[string]column{}}
	r.report.Last = at
	rows, err := conn.QueryContext(ctx, `SELECT m.name, c.name, upper(c.type), c.dflt_value IS NOT NULL
FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'`)
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var table, name, kind string
		var c column
		if err := rows.Scan(&table, &name, &kind, &c.hasDefault); err != nil {
			return nil, err
		}
		c.number = kind != "TEXT" && kind != "BLOB"
		table = fold(table)
		if r.tables[table] == nil {
			r.tables[table] = map[string]column{}
		}
		r.tables[table][fold(name)] = c
	}
	return r, rows.Err()
}

// Report returns what was done so far.
func (r *Replayer) Report() Report { return r.report }

type batch struct {
	Version int     `json:"version"`
	From    int64   `json:"fromSequence"`
	To      int64   `json:"toSequence"`
	Entries []entry `json:"entries"`
}

type entry struct {
	Sequence  int64           `json:"sequence"`
	Table     string          `json:"table"`
	Operation string          `json:"operation"`
	Data      json.RawMessage `json:"data"`
}

// ErrGap says that batches are missing.
var ErrGap = errors.New("batches are missing")

// Apply applies the entries of a batch that were not applied yet.
func (r *Replayer) Apply(ctx context.Context, plain []byte) error {
	var b batch
	if err := json.Unmarshal(plain, &b); err != nil {
		return fmt.Errorf("batch: %w: %w", ErrFormat, err)
	}
	if b.Version != 1 || len(b.Entries) == 0 || b.Entries[0].Sequence != b.From || b.Entries[len(b.Entries)-1].Sequence != b.To {
		return fmt.Errorf("batch %d-%d: %w", b.From, b.To, ErrFormat)
	}
	if b.To <= r.at {
		return nil
	}
	if b.From > r.at+1 {
		return fmt.Errorf("%w: %d follows on %d", ErrGap, b.From, r.at)
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Sequence != b.From+int64(i) {
			return fmt.Errorf("batch %d-%d: entry %d follows on %d: %w", b.From, b.To, e.Sequence, b.From+int64(i)-1, ErrFormat)
		}
		if e.Sequence <= r.at {
			continue
		}
		if err := r.apply(ctx, e); err != nil {
			return fmt.Errorf("entry %d, %s of table %q: %w", e.Sequence, e.Operation, e.Table, err)
		}
		r.at, r.report.Last = e.Sequence, e.Sequence
		r.report.Entries++
	}
	r.report.Batches++
	return nil
}

func (r *Replayer) apply(ctx context.Context, e *entry) error {
	columns := r.tables[fold(e.Table)]
	if columns == nil || strings.HasPrefix(fold(e.Table), "_driftdb_") || strings.HasPrefix(fold(e.Table), "sqlite_") {
		return errors.New("there is no such table")
	}
	data, err := members(e.Data)
	if err != nil {
		return err
	}
	t := &statement{r: r, table: e.Table, columns: columns}
	switch e.Operation {
	case "insert":
		err = t.insert(data)
	case "update":
		var set, where map[string]json.RawMessage
		if set, err = members(data["data"]); err == nil {
			if where, err = members(data["where"]); err == nil {
				err = t.update(set, where)
			}
		}
	case "delete":
		var where map[string]json.RawMessage
		if where, err = members(data["where"]); err == nil {
			t.WriteString("DELETE FROM " + schema.QuoteIdent(e.Table))
			err = t.where(where)
		}
	default:
		err = fmt.Errorf("an unknown operation: %w", ErrFormat)
	}
	if err != nil {
		return err
	}
	_, err = r.conn.ExecContext(ctx, t.String(), t.args...)
	return err
}

func members(raw json.RawMessage) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, fmt.Errorf("no object: %w", ErrFormat)
	}
	return m, nil
}

// statement is a statement as the original builds it.
type statement struct {
	strings.Builder

	r       *Replayer
	table   string
	columns map[string]column
	args    []any
}

// name quotes a column that there is: keys of the original's objects went into
// its SQL as they were.
func (t *statement) name(s string) (string, error) {
	if _, ok := t.columns[fold(s)]; !ok {
		return "", fmt.Errorf("there is no column %q", s)
	}
	return schema.QuoteIdent(s), nil
}

func (t *statement) bind(raw json.RawMessage) error {
	v, err := t.r.bound(raw)
	t.args = append(t.args, v)
	return err
}

// values binds new values of columns, in order of their names, and calls each.
func (t *statement) values(data map[string]json.RawMessage, each func(i int, name string)) error {
	for i, key := range slices.Sorted(maps.Keys(data)) {
		name, err := t.name(key)
		if err != nil {
			return err
		}
		each(i, name)
		if err := t.bind(data[key]); err != nil {
			return fmt.Errorf("column %q: %w", key, err)
		}
		if t.args[len(t.args)-1] == nil && t.columns[fold(key)].number {
			t.r.report.Nulls++
		}
	}
	return nil
}

func (t *statement) insert(data map[string]json.RawMessage) error {
	var names []string
	if err := t.values(data, func(_ int, name string) { names = append(names, name) }); err != nil {
		return err
	}
	given := make(map[string]bool, len(data))
	for key := range data {
		given[fold(key)] = true
	}
	for name, c := range t.columns {
		if c.hasDefault && !given[name] {
			t.r.report.Defaults++
		}
	}
	t.WriteString("INSERT INTO " + schema.QuoteIdent(t.table))
	if len(names) == 0 {
		t.WriteString(" DEFAULT VALUES")
		return nil
	}
	t.WriteString(" (" + strings.Join(names, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(names)-1) + ")")
	return nil
}

func (t *statement) update(set, where map[string]json.RawMessage) error {
	if len(set) == 0 {
		return fmt.Errorf("an update of nothing: %w", ErrFormat)
	}
	t.WriteString("UPDATE " + schema.QuoteIdent(t.table) + " SET ")
	err := t.values(set, func(i int, name string) {
		if i > 0 {
			t.WriteString(", ")
		}
		t.WriteString(name + " = ?")
	})
	if err != nil {
		return err
	}
	return t.where(where)
}

// where appends the conditions that the original makes of an object: none at all
// where it knows no operator.
func (t *statement) where(where map[string]json.RawMessage) error {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(where)) {
		raw := where[key]
		name, err := t.name(key)
		if raw[0] != '{' && err != nil {
			return err
		}
		switch raw[0] {
		case 'n':
			all = append(all, name+" IS NULL")
		case '{':
			missing := err
			more, err := t.operators(name, raw)
			if len(more) > 0 && missing != nil {
				err = missing
			}
			if err != nil {
				return err
			}
			all = append(all, more...)
		case '[': // its driver spreads it: there is one element
			var list []json.RawMessage
			if err := json.Unmarshal(raw, &list); err != nil || len(list) != 1 {
				return fmt.Errorf("a condition on %q with a list: %w", key, ErrFormat)
			}
			raw = list[0]
			fallthrough
		default:
			all = append(all, name+" = ?")
			if err := t.bind(raw); err != nil {
				return err
			}
		}
	}
	if len(all) > 0 {
		t.WriteString(" WHERE " + strings.Join(all, " AND "))
	}
	return nil
}

func (t *statement) operators(name string, raw json.RawMessage) (all []string, err error) {
	given, err := members(raw)
	if err != nil {
		return nil, err
	}
	for _, op := range []struct{ key, sql string }{
		{"$gt", " > ?"}, {"$gte", " >= ?"}, {"$lt", " < ?"}, {"$lte", " <= ?"}, {"$ne", " != ?"}, {"$like", " LIKE ?"},
	} {
		if v, ok := given[op.key]; ok {
			all = append(all, name+op.sql)
			if err := t.bind(v); err != nil {
				return nil, err
			}
		}
	}
	var list []json.RawMessage
	if in, ok := given["$in"]; ok && in[0] == '[' {
		if err := json.Unmarshal(in, &list); err != nil {
			return nil, fmt.Errorf("$in: %w", ErrFormat)
		}
		if len(list) == 0 {
			return append(all, "0 = 1"), nil
		}
		all = append(all, name+" IN (?"+strings.Repeat(", ?", len(list)-1)+")")
		for _, v := range list {
			if err := t.bind(v); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
