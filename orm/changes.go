package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

// ErrCursorLost says that changes cannot be read from a position on: the log
// has been pruned beyond it, or a migration has since rebuilt the table or
// renamed a column of it, or the position is one of another history, because the
// file was restored or put back to an earlier state. Read the whole table and go
// on from DB.Position.
var ErrCursorLost = errors.New("the change log does not reach back to this position: read the whole table, and go on from the database's position")

// changesRows is how many entries are rebuilt at a time.
const changesRows = 2000

// logEntry is an entry of the log about one row of a table.
type logEntry struct {
	seq, tx, at int64
	op          Op
	old, new    string         // keys, see keyText
	data        []driver.Value // of the columns that it gives a value; absent{} for others
	before      []driver.Value
	named       []driver.Value // the columns of the new key, and what else the entry tells of the row
	columns     []string       // that an update changed
}

// changes calls fn for every change of the table after since, up to sequence to (0:
// to the newest), until it returns false.
func (m *model) changes(ctx context.Context, src ChangeSource, since Position, to int64, fn func(*change) bool) error {
	r := &replayed{m}
	for {
		more := false
		var found []change
		err := src.base().ReadTx(ctx, func(ctx context.Context, tx *ReadTx) error {
			newest, err := changelog.ReadPosition(ctx, changelog.Driver(tx.c.dc))
			if err != nil {
				return err
			}
			if since, err = r.begin(ctx, tx.c, since, newest); err != nil {
				return err
			}
			entries, last, err := r.entries(ctx, tx.c, since.Sequence, to)
			if err != nil || len(entries) == 0 {
				return err
			}
			more = last
			found, err = r.rebuild(ctx, tx.c, newest.Generation, entries)
			since.Sequence = entries[len(entries)-1].seq
			return err
		})
		if err != nil {
			return err
		}
		for i := range found {
			if !fn(&found[i]) {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// follow is changes without an end.
func (m *model) follow(ctx context.Context, src ChangeSource, since Position, fn func(*change) bool) error {
	for {
		end, err := src.base().Position(ctx)
		if err != nil {
			return err
		}
		if end != since {
			broken := false
			err = m.changes(ctx, src, since, end.Sequence, func(c *change) bool {
				broken = !fn(c)
				return !broken
			})
			if err == nil && broken {
				err = errBreak
			}
			if err != nil {
				return err
			}
		}
		// Not from the last change of this table: others may have come after it.
		since = end
		if err := src.feed().wait(ctx, since); err != nil {
			return err
		}
	}
}

// history returns the changes of the row with the key, whatever its key was
// before.
func (m *model) history(ctx context.Context, src ChangeSource, key string) (found []change, err error) {
	r := &replayed{m}
	err = src.base().ReadTx(ctx, func(ctx context.Context, tx *ReadTx) error {
		newest, err := changelog.ReadPosition(ctx, changelog.Driver(tx.c.dc))
		if err != nil {
			return err
		}
		var entries []logEntry
		w := walk{key: key}
		oldest, err := r.remade(ctx, tx.c, newest.Sequence+1)
		if err != nil {
			return err
		}
		const query = `SELECT sequence, timestamp, operation, key, data, before FROM _driftdb_log
WHERE "table" = ? AND sequence > ? ORDER BY sequence DESC`
		err = tx.c.each(ctx, query, bound(m.schema.Name, oldest), func(v []driver.Value) error {
			e, err := r.entry(v)
			if err == nil && w.back(&e) {
				entries = append(entries, e)
			}
			return err
		})
		if err != nil || len(entries) == 0 {
			return err
		}
		slices.Reverse(entries)
		if err := r.transactions(ctx, tx.c, entries); err != nil {
			return err
		}
		found, err = r.rebuild(ctx, tx.c, newest.Generation, entries)
		return err
	})
	return found, err
}

// walk follows rows of a key from the newest entry to the oldest.
type walk struct {
	key   string // that the row, or an earlier one in its place, has
	on    bool   // a row has it
	other string // the key of a row that had key once and went on under another; empty for none
}

// back says whether an entry is about one of the rows: those that were deleted,
// or replaced, under the key that the next one was made with. A row that was
// given another key is not one of them.
func (w *walk) back(e *logEntry) bool {
	if w.other != "" {
		if e.new == w.other {
			w.other = e.old // empty for an insert: the row begins there
			return false
		}
		if w.other == w.key {
			return false
		}
	}
	switch {
	case e.op == OpUpdate && e.old == w.key && e.new != w.key && !w.on:
		w.other = e.old
		return false
	case e.op == OpDelete && e.old == w.key && !w.on:
		w.on = true
	case e.op == OpUpdate && e.new == w.key:
		w.on, w.key = true, e.old
	case e.op == OpInsert && e.new == w.key:
		w.on = false
	default:
		return false
	}
	return true
}

// replayed reads the log of one table.
type replayed struct{ *model }

// begin checks where reading begins.
func (r *replayed) begin(ctx context.Context, c *conn, since, newest Position) (Position, error) {
	if since == (Position{}) {
		oldest, err := r.remade(ctx, c, newest.Sequence+1)
		return Position{Generation: newest.Generation, Sequence: oldest}, err
	}
	row, err := c.one(ctx, "SELECT coalesce(min(sequence), 0) FROM _driftdb_log", nil)
	if err != nil {
		return since, err
	}
	oldest, _ := row[0].(int64)
	if since.Generation != newest.Generation || since.Sequence > newest.Sequence || since.Sequence+1 < oldest {
		return since, ErrCursorLost
	}
	if at, err := r.remade(ctx, c, newest.Sequence+1); err != nil || at > since.Sequence {
		return since, also(ErrCursorLost, err)
	}
	return since, nil
}

// remade returns the newest entry before seq of a migration that made the table
// anew or renamed a column of it, 0 for none. What that did to rows is in no
// entry, and older entries have other columns and types: there is no way across.
func (r *replayed) remade(ctx context.Context, c *conn, seq int64) (at int64, err error) {
	const query = `SELECT sequence, data FROM _driftdb_log WHERE operation = 'schema' AND sequence < ? ORDER BY sequence`
	err = c.each(ctx, query, bound(seq), func(v []driver.Value) error {
		e, err := changelog.ParseSchemaEntry([]byte(textOf(v[1])))
		if slices.ContainsFunc(e.SQL, func(sql string) bool { return remakes(sql, r.schema.Name) }) {
			at, _ = v[0].(int64)
		}
		return err
	})
	return at, err
}

// remakes says whether a statement of a migration drops the table, to put
// another one in its place, or gives it or a column of it another name.
func remakes(sql, table string) bool {
	w := words(sql)
	if len(w) < 2 || w[1] != "TABLE" || w[0] != "DROP" && (w[0] != "ALTER" || !slices.Contains(w, "RENAME")) {
		return false
	}
	sql, table = strings.ToLower(sql), strings.ToLower(table)
	isWord := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	for {
		before, after, found := strings.Cut(sql, table)
		if !found {
			return false
		}
		last, _ := utf8.DecodeLastRuneInString(before)
		next, _ := utf8.DecodeRuneInString(after)
		if !isWord(last) && !isWord(next) {
			return true
		}
		sql = after
	}
}

// entries reads the next entries about rows of the table. more says that there
// are others behind them.
func (r *replayed) entries(ctx context.Context, c *conn, after, to int64) (all []logEntry, more bool, err error) {
	if to == 0 {
		to = 1 << 62
	}
	const query = `SELECT sequence, timestamp, operation, key, data, before FROM _driftdb_log
WHERE sequence > ? AND sequence <= ? AND "table" = ? ORDER BY sequence LIMIT ?`
	args := bound(after, to, r.schema.Name, int64(changesRows))
	err = c.each(ctx, query, args, func(v []driver.Value) error {
		e, err := r.entry(v)
		all = append(all, e)
		return err
	})
	if err != nil || len(all) == 0 {
		return nil, false, err
	}
	return all, len(all) == changesRows, r.transactions(ctx, c, all)
}

func bound(values ...driver.Value) []driver.NamedValue {
	args := make([]driver.NamedValue, len(values))
	for i, v := range values {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return args
}

// transactions numbers the transactions of entries: by the mark before each, or
// the begin of the log. So the number is the same whenever it is read.
func (r *replayed) transactions(ctx context.Context, c *conn, all []logEntry) error {
	const query = `SELECT * FROM (SELECT sequence FROM _driftdb_log WHERE operation = 'mark' AND sequence < ? ORDER BY sequence DESC LIMIT 1)
UNION ALL SELECT sequence FROM _driftdb_log WHERE operation = 'mark' AND sequence > ? AND sequence < ? ORDER BY 1`
	marks := []int64{0}
	err := c.each(ctx, query, bound(all[0].seq, all[0].seq, all[len(all)-1].seq), func(v []driver.Value) error {
		n, _ := v[0].(int64)
		marks = append(marks, n)
		return nil
	})
	for i := range all {
		at, _ := slices.BinarySearch(marks, all[i].seq)
		all[i].tx = marks[at-1] + 1
	}
	return err
}

// entry decodes a row of the log.
func (r *replayed) entry(v []driver.Value) (e logEntry, err error) {
	e.seq, _ = v[0].(int64)
	e.at, _ = v[1].(int64)
	key := r.blank()
	if v[3] != nil {
		if err := r.decode(textOf(v[3]), key, nil); err != nil {
			return e, fmt.Errorf("entry %d: %w", e.seq, err)
		}
	}
	e.data, e.before = r.blank(), r.blank()
	if v[4] != nil {
		err = r.decode(textOf(v[4]), e.data, &e.columns)
	}
	if v[5] != nil && err == nil {
		err = r.decode(textOf(v[5]), e.before, nil)
	}
	if err != nil {
		return e, fmt.Errorf("entry %d: %w", e.seq, err)
	}
	switch textOf(v[2]) {
	case "insert":
		e.op, e.new, e.named = OpInsert, r.key(e.data), e.data
	case "update":
		e.op, e.old = OpUpdate, r.key(key)
		overlay(key, e.data)
		e.new, e.named = r.key(key), key
	case "delete":
		e.op, e.old = OpDelete, r.key(key)
	}
	return e, nil
}

// blank is a row of which nothing is known.
func (r *replayed) blank() []driver.Value {
	row := make([]driver.Value, len(r.schema.Columns))
	for i := range row {
		row[i] = absent{}
	}
	return row
}

// decode reads an object of the log into the row. Columns that the model does
// not have any more are passed over.
func (r *replayed) decode(object string, row []driver.Value, names *[]string) error {
	return changelog.ReadObject(object, func(column string, v driver.Value) {
		i := slices.IndexFunc(r.schema.Columns, func(c schema.Column) bool { return c.Name == column })
		if i < 0 {
			return
		}
		row[i] = v
		if names != nil {
			*names = append(*names, column)
		}
	})
}

// overlay puts what is known in over onto row.
func overlay(row, over []driver.Value) {
	for i, v := range over {
		if _, ok := v.(absent); !ok {
			row[i] = v
		}
	}
}

// key is the primary key of a row as a text that no other key has.
func (r *replayed) key(row []driver.Value) string {
	var b strings.Builder
	for _, k := range r.schema.Key {
		for i, c := range r.schema.Columns {
			if c.Name == k {
				r.keyPart(&b, k, row[i])
			}
		}
	}
	return b.String()
}

// keyText is what key returns for a key that was bound.
func (m *model) keyText(values []driver.NamedValue) string {
	var b strings.Builder
	for i, v := range values {
		m.keyPart(&b, m.schema.Key[i], v.Value)
	}
	return b.String()
}

// keyPart writes one column of a key so that keys are the same text if they are
// the same to SQLite.
func (m *model) keyPart(b *strings.Builder, column string, v driver.Value) {
	text := fmt.Sprint(v)
	if m.collation(column) == "NOCASE" {
		text = changelog.Fold(text)
	}
	fmt.Fprintf(b, "%T %q,", v, text)
}

// made makes a row of values, nil of none. What the log leaves out stays zero.
func (m *model) made(values []driver.Value) (any, error) {
	if values == nil {
		return nil, nil
	}
	values = slices.Clone(values)
	for i, c := range m.schema.Columns {
		if !c.Logged() {
			values[i] = absent{}
		}
	}
	row := m.fresh()
	return row, m.read(values, row)
}
