package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

// ErrCursorLost says that changes cannot be read from a position on: the log
// has been pruned beyond it, or the position is one of another history, because
// the file was restored or put back to an earlier state. Read the whole table
// and go on from DB.Position.
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
func (m *model[M]) changes(ctx context.Context, src ChangeSource, since Position, to int64, fn func(Change[M]) bool) error {
	r := &replayed{info: &m.info}
	for {
		more := false
		var found []Change[M]
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
			rows, err := r.states(ctx, tx.c, entries)
			if err != nil {
				return err
			}
			found, err = rebuild(m, newest.Generation, entries, rows)
			since.Sequence = entries[len(entries)-1].seq
			return err
		})
		if err != nil {
			return err
		}
		for _, c := range found {
			if !fn(c) {
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

// history returns the changes of the row with the key, whatever its key was
// before.
func (m *model[M]) history(ctx context.Context, src ChangeSource, key string) (found []Change[M], err error) {
	r := &replayed{info: &m.info}
	err = src.base().ReadTx(ctx, func(ctx context.Context, tx *ReadTx) error {
		newest, err := changelog.ReadPosition(ctx, changelog.Driver(tx.c.dc))
		if err != nil {
			return err
		}
		var entries []logEntry
		const query = `SELECT sequence, timestamp, operation, key, data, before FROM _driftdb_log
WHERE "table" = ? ORDER BY sequence DESC`
		err = tx.c.each(ctx, query, bound(m.schema.Name), func(v []driver.Value) error {
			e, err := r.entry(v)
			if err != nil || e.new != key && e.old != key || e.op == OpUpdate && e.new != key {
				return err
			}
			if e.op == OpUpdate {
				key = e.old // its name before
			}
			entries = append(entries, e)
			return nil
		})
		if err != nil || len(entries) == 0 {
			return err
		}
		slices.Reverse(entries)
		if err := r.transactions(ctx, tx.c, entries); err != nil {
			return err
		}
		rows, err := r.states(ctx, tx.c, entries)
		if err == nil {
			found, err = rebuild(m, newest.Generation, entries, rows)
		}
		return err
	})
	return found, err
}

// replayed reads the log of one table.
type replayed struct{ *info }

// begin checks where reading begins.
func (r *replayed) begin(ctx context.Context, c *conn, since, newest Position) (Position, error) {
	if since == (Position{}) {
		return Position{Generation: newest.Generation}, nil
	}
	row, err := c.one(ctx, "SELECT coalesce(min(sequence), 0) FROM _driftdb_log", nil)
	if err != nil {
		return since, err
	}
	oldest, _ := row[0].(int64)
	if since.Generation != newest.Generation || since.Sequence > newest.Sequence || since.Sequence+1 < oldest {
		return since, ErrCursorLost
	}
	return since, nil
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

// transactions numbers the transactions of entries: by the mark that ends each,
// or the end of the log.
func (r *replayed) transactions(ctx context.Context, c *conn, all []logEntry) error {
	const query = `SELECT sequence FROM _driftdb_log WHERE operation = 'mark' AND sequence > ? ORDER BY sequence`
	var marks []int64
	enough := errors.New("enough")
	err := c.each(ctx, query, bound(all[0].seq), func(v []driver.Value) error {
		n, _ := v[0].(int64)
		if marks = append(marks, n); n > all[len(all)-1].seq {
			return enough
		}
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		return err
	}
	for i := range all {
		at, _ := slices.BinarySearch(marks, all[i].seq)
		if all[i].tx = all[len(all)-1].seq + 1; at < len(marks) {
			all[i].tx = marks[at]
		}
	}
	return nil
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

// fill puts what is known in from where row knows nothing, and says whether row
// is whole then.
func (r *replayed) fill(row, from []driver.Value) (whole bool) {
	whole = true
	for i := range row {
		if _, ok := row[i].(absent); !ok || !r.schema.Columns[i].Logged() {
			continue
		}
		if row[i] = from[i]; row[i] == (absent{}) {
			whole = false
		}
	}
	return whole
}

// key is the primary key of a row as a text that no other key has.
func (r *replayed) key(row []driver.Value) string {
	var b strings.Builder
	for _, k := range r.schema.Key {
		for i, c := range r.schema.Columns {
			if c.Name == k {
				fmt.Fprintf(&b, "%T %q,", row[i], fmt.Sprint(row[i]))
			}
		}
	}
	return b.String()
}

// keyText is what key returns for a key that was bound.
func keyText(values []driver.NamedValue) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "%T %q,", v.Value, fmt.Sprint(v.Value))
	}
	return b.String()
}

// states returns the rows that entries leave behind, by key: what later entries
// and the table itself say of them.
func (r *replayed) states(ctx context.Context, c *conn, entries []logEntry) (map[string][]driver.Value, error) {
	rows := make(map[string][]driver.Value) // after the entries
	for _, e := range entries {
		if e.old != "" {
			delete(rows, e.old)
		}
		if e.op != OpDelete {
			rows[e.new] = slices.Clone(e.named)
		}
	}
	names := maps.Clone(rows)                    // by the key that the row had then
	for _, e := range slices.Backward(entries) { // what they themselves tell
		row, ok := names[e.new]
		if !ok || e.op == OpDelete {
			continue
		}
		r.fill(row, e.data)
		delete(names, e.new)
		if e.op == OpUpdate {
			names[e.old] = row
		}
	}
	open := make(map[string]*unfinished) // by the key they have meanwhile
	for k, row := range rows {
		if !r.fill(row, r.blank()) {
			open[k] = &unfinished{row: row, key: row}
		}
	}
	if len(open) == 0 {
		return rows, nil
	}
	if err := r.later(ctx, c, entries[len(entries)-1].seq, open); err != nil {
		return nil, err
	}
	return rows, r.current(ctx, c, open)
}

// unfinished is a row of which something is not known, and its present key.
type unfinished struct{ row, key []driver.Value }

// later completes rows by what entries after seq say they replaced.
func (r *replayed) later(ctx context.Context, c *conn, seq int64, open map[string]*unfinished) error {
	const query = `SELECT sequence, timestamp, operation, key, data, before FROM _driftdb_log
WHERE sequence > ? AND "table" = ? AND operation <> 'insert' ORDER BY sequence`
	done := errors.New("done")
	err := c.each(ctx, query, bound(seq, r.schema.Name), func(v []driver.Value) error {
		e, err := r.entry(v)
		if err != nil {
			return err
		}
		u, ok := open[e.old]
		if !ok {
			return nil
		}
		delete(open, e.old)
		if !r.fill(u.row, e.before) && e.op == OpUpdate {
			u.key = e.named
			open[e.new] = u
		}
		if len(open) == 0 {
			return done
		}
		return nil
	})
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// current completes rows by what stands in the table.
func (r *replayed) current(ctx context.Context, c *conn, open map[string]*unfinished) error {
	for _, u := range open {
		t := new(text)
		t.WriteString(r.selects)
		var where []*node
		for _, k := range r.schema.Key {
			for i, col := range r.schema.Columns {
				if col.Name == k {
					where = append(where, &node{op: opCompare, col: ref{r.schema.Name, k}, sql: " = ", args: []driver.Value{u.key[i]}})
				}
			}
		}
		t.where(where)
		values, err := c.one(ctx, t.String(), t.args)
		if err != nil {
			return err
		}
		if values != nil {
			r.fill(u.row, values)
		}
	}
	return nil
}

// rebuild makes changes of entries, from the last to the first: each is undone
// in the row that it left.
func rebuild[M any](m *model[M], generation string, entries []logEntry, rows map[string][]driver.Value) ([]Change[M], error) {
	r := &replayed{info: &m.info}
	var found []Change[M]
	for _, e := range slices.Backward(entries) {
		var before, after []driver.Value
		switch e.op {
		case OpInsert:
			if after = rows[e.new]; after == nil {
				after = e.data
			}
			delete(rows, e.new)
		case OpUpdate:
			if after = rows[e.new]; after == nil {
				after = r.blank()
			}
			overlay(after, e.data)
			before = slices.Clone(after)
			overlay(before, e.before)
			delete(rows, e.new)
			rows[e.old] = slices.Clone(before)
		case OpDelete:
			before = e.before
			rows[e.old] = slices.Clone(before)
		}
		c := Change[M]{Seq: Position{Generation: generation, Sequence: e.seq}, Tx: e.tx, At: time.UnixMilli(e.at).UTC(), Op: e.op, columns: e.columns}
		var err error
		if c.Old, err = m.made(before); err == nil {
			c.New, err = m.made(after)
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.seq, err)
		}
		found = append(found, c)
	}
	slices.Reverse(found)
	return found, nil
}

// made makes a M of values, nil of none. What the log leaves out stays zero.
func (m *model[M]) made(values []driver.Value) (*M, error) {
	if values == nil {
		return nil, nil
	}
	values = slices.Clone(values)
	for i, c := range m.schema.Columns {
		if !c.Logged() {
			values[i] = absent{}
		}
	}
	row := new(M)
	return row, m.read(values, row)
}
