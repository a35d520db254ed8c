package v1

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
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
	// Nulls are NULLs in columns of numbers: Infinity is logged as null. Where
	// the column is NOT NULL it must have been one, and Inf is stored again.
	Nulls int64 `json:"nulls"`
	// Defaults are columns with a default that an insert does not name: it may
	// have been given as undefined, and is NULL then.
	Defaults int64 `json:"defaults"`
	// LoneSurrogates are texts with half a surrogate pair. They come back as the
	// bytes that the original stored.
	LoneSurrogates int64 `json:"loneSurrogates"`
	// DateConditions are updates and deletes with a Date in their where, which
	// the original ignores as it has no operator.
	DateConditions int64 `json:"dateConditions"`
	// Unmatched are updates and deletes that changed no row, while the original
	// logs only those that do: rows before them are not what they were.
	Unmatched int64 `json:"unmatched"`
	// Backwards are entries with an older time than the one before.
	Backwards int64 `json:"backwards"`
}

// Replayer applies batches to a database file.
type Replayer struct {
	conn   *sql.Conn
	tables map[string]map[string]column
	at     int64
	time   int64 // of the last entry
	report Report
}

type column struct{ number, hasDefault, notNull bool }

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
	rows, err := conn.QueryContext(ctx, `SELECT m.name, c.name, upper(c.type), c.dflt_value IS NOT NULL, c."notnull"
FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'`)
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var table, name, kind string
		var c column
		if err := rows.Scan(&table, &name, &kind, &c.hasDefault, &c.notNull); err != nil {
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

// Batch is an object of the log.
type Batch struct {
	Version int     `json:"version"`
	From    int64   `json:"fromSequence"`
	To      int64   `json:"toSequence"`
	Entries []Entry `json:"entries"`
}

// Entry is a change.
type Entry struct {
	Sequence  int64           `json:"sequence"`
	Timestamp float64         `json:"timestamp"` // Unix milliseconds
	Table     string          `json:"table"`
	Operation string          `json:"operation"`
	Data      json.RawMessage `json:"data"`
}

// ErrGap says that batches are missing.
var ErrGap = errors.New("batches are missing")

// ParseBatch reads a batch and checks that its sequences follow on each other.
func ParseBatch(plain []byte) (*Batch, error) {
	var b Batch
	if err := json.Unmarshal(plain, &b); err != nil {
		return nil, fmt.Errorf("batch: %w: %w", ErrFormat, err)
	}
	if b.Version != 1 || len(b.Entries) == 0 || b.Entries[0].Sequence != b.From || b.Entries[len(b.Entries)-1].Sequence != b.To {
		return nil, fmt.Errorf("batch %d-%d: %w", b.From, b.To, ErrFormat)
	}
	for i := range b.Entries {
		if e := &b.Entries[i]; e.Sequence != b.From+int64(i) {
			return nil, fmt.Errorf("batch %d-%d: entry %d follows on %d: %w", b.From, b.To, e.Sequence, b.From+int64(i)-1, ErrFormat)
		}
	}
	return &b, nil
}

// Apply applies the entries of a batch that were not applied yet, up to the
// sequence last.
func (r *Replayer) Apply(ctx context.Context, b *Batch, last int64) error {
	if min(b.To, last) <= r.at {
		return nil
	}
	if b.From > r.at+1 {
		return fmt.Errorf("%w: %d follows on %d", ErrGap, b.From, r.at)
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Sequence <= r.at {
			continue
		}
		if e.Sequence > last {
			break
		}
		if err := r.apply(ctx, e); err != nil {
			return fmt.Errorf("entry %d, %s of table %q: %w", e.Sequence, e.Operation, e.Table, err)
		}
		if now := int64(e.Timestamp); now < r.time {
			r.report.Backwards++
		}
		r.at, r.time, r.report.Last = e.Sequence, int64(e.Timestamp), e.Sequence
		r.report.Entries++
	}
	r.report.Batches++
	return nil
}

func (r *Replayer) apply(ctx context.Context, e *Entry) error {
	columns := r.tables[fold(e.Table)]
	if columns == nil || strings.HasPrefix(fold(e.Table), "_driftdb_") || strings.HasPrefix(fold(e.Table), "sqlite_") {
		return ErrNoTable
	}
	t := &statement{r: r, table: e.Table, columns: columns}
	if err := t.build(e); err != nil {
		return err
	}
	n, err := t.run(ctx)
	if err != nil || n > 0 || e.Operation == "insert" {
		return err
	}
	// The original has changed rows here, or there would be no entry. A Date in
	// its condition was none at all, and has become a text.
	if len(t.dates) > 0 {
		again := &statement{r: r, table: e.Table, columns: columns, ignore: t.dates}
		if err := again.build(e); err != nil {
			return err
		}
		if n, err = again.run(ctx); err != nil {
			return err
		}
		if n > 0 {
			r.report.DateConditions++
			return nil
		}
	}
	r.report.Unmatched++
	return nil
}

// ErrNoTable says that an entry is of a table that there is not.
var ErrNoTable = errors.New("there is no such table")

func (t *statement) build(e *Entry) error {
	data, err := members(e.Data)
	if err != nil {
		return err
	}
	switch e.Operation {
	case "insert":
		return t.insert(data)
	case "update":
		set, err := members(data["data"])
		if err != nil {
			return err
		}
		where, err := members(data["where"])
		if err != nil {
			return err
		}
		return t.update(set, where)
	case "delete":
		where, err := members(data["where"])
		if err != nil {
			return err
		}
		t.WriteString("DELETE FROM " + schema.QuoteIdent(t.table))
		return t.where(where)
	}
	return fmt.Errorf("an unknown operation: %w", ErrFormat)
}

func (t *statement) run(ctx context.Context) (int64, error) {
	result, err := t.r.conn.ExecContext(ctx, t.String(), t.args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
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
	marks   int             // question marks in the conditions
	spread  int             // values for these: lists are spread
	dates   map[string]bool // keys of conditions that may have been a Date
	ignore  map[string]bool // keys of conditions to leave out
}

// name quotes a column that there is: keys of the original's objects went into
// its SQL as they were.
func (t *statement) name(s string) (string, error) {
	if _, ok := t.columns[fold(s)]; ok {
		return schema.QuoteIdent(s), nil
	}
	switch fold(s) {
	case "rowid", "oid", "_rowid_": // SQLite's own, which every table has
		return schema.QuoteIdent(s), nil
	}
	return "", fmt.Errorf("there is no column %q", s)
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
		if c := t.columns[fold(key)]; t.args[len(t.args)-1] == nil && c.number {
			t.r.report.Nulls++
			if c.notNull {
				t.args[len(t.args)-1] = math.Inf(1)
			}
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
		more, err := t.condition(key, where[key])
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	if t.spread != t.marks {
		return fmt.Errorf("conditions with lists: %d values for %d places: %w", t.spread, t.marks, ErrFormat)
	}
	if len(all) > 0 {
		t.WriteString(" WHERE " + strings.Join(all, " AND "))
	}
	return nil
}

func (t *statement) condition(key string, raw json.RawMessage) ([]string, error) {
	if t.ignore[key] {
		return nil, nil
	}
	name, err := t.name(key)
	if raw[0] == '{' { // only if it has an operator must there be the column
		all, opErr := t.operators(name, raw)
		if len(all) == 0 {
			err = nil
		}
		return all, errors.Join(err, opErr)
	}
	if err != nil {
		return nil, err
	}
	if raw[0] == 'n' {
		return []string{name + " IS NULL"}, nil
	}
	var text string
	if c := t.columns[fold(key)]; c.number && json.Unmarshal(raw, &text) == nil && dateLike(text) {
		if t.dates == nil {
			t.dates = map[string]bool{}
		}
		t.dates[key] = true
	}
	return []string{name + " = ?"}, t.compare(raw)
}

// compare binds a value of a condition. A list is spread over as many places as
// it has elements by the original's driver.
func (t *statement) compare(raw json.RawMessage) error {
	t.marks++
	if raw[0] != '[' {
		t.spread++
		return t.bind(raw)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return ErrFormat
	}
	for _, v := range list {
		if err := t.bind(v); err != nil {
			return err
		}
	}
	t.spread += len(list)
	return nil
}

func (t *statement) operators(name string, raw json.RawMessage) (all []string, err error) {
	given, err := members(raw)
	if err != nil {
		return nil, err
	}
	for _, op := range []struct{ key, sql string }{
		{"$gt", name + " > ?"}, {"$gte", name + " >= ?"}, {"$lt", name + " < ?"}, {"$lte", name + " <= ?"}, {"$ne", name + " != ?"},
		// Its SQLite never finds a blob to be like anything.
		{"$like", "(typeof(" + name + ") <> 'blob' AND " + name + " LIKE ?)"},
	} {
		if v, ok := given[op.key]; ok {
			all = append(all, op.sql)
			if err := t.compare(v); err != nil {
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
			if err := t.compare(v); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
