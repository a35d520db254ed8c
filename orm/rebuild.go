package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"
)

// life is a row from the first of some entries that is about it to the last.
// Its values are those that it had after the entry that is being looked at, and
// absent{} where that is not known.
type life struct {
	row   []driver.Value
	key   string // that it has in the end
	named []driver.Value
	ended bool // it was deleted, or put out of the way without an entry
}

// lives tells which entries are about the same row.
func lives(entries []logEntry) (of []*life) {
	now := make(map[string]*life)
	for i := range entries {
		e := &entries[i]
		l := now[e.old]
		if l == nil || e.op == OpInsert {
			l = new(life)
		}
		if e.old != "" {
			delete(now, e.old)
		}
		if e.op == OpDelete {
			l.ended = true
		} else {
			if gone := now[e.new]; gone != nil && gone != l {
				gone.ended = true
			}
			now[e.new] = l
			l.key, l.named = e.new, e.named
		}
		of = append(of, l)
	}
	return of
}

// rebuild makes changes of entries, from the last to the first: each is undone
// in the row that it left. A row of which the entries do not say everything is
// completed from later entries, the table, or earlier entries.
func (r *replayed) rebuild(ctx context.Context, c *conn, generation string, entries []logEntry) ([]change, error) {
	of := lives(entries)
	if err := r.complete(ctx, c, entries, of); err != nil {
		return nil, err
	}
	found := make([]change, len(entries))
	for i, e := range slices.Backward(entries) {
		l := of[i]
		var before, after []driver.Value
		switch e.op {
		case OpInsert:
			after = l.row
			overlay(after, e.data)
		case OpUpdate:
			after = l.row
			overlay(after, e.data)
			before = slices.Clone(after)
			overlay(before, e.before)
		case OpDelete:
			before = e.before
		}
		ch := change{
			seq: Position{Generation: generation, Sequence: e.seq}, tx: e.tx, at: time.UnixMilli(e.at).UTC(), op: e.op,
			unknown: r.unknown(l.row), columns: e.columns,
		}
		var err error
		if ch.old, err = r.made(before); err == nil {
			ch.new, err = r.made(after)
		}
		if err != nil {
			ch.old, ch.new, ch.err = nil, nil, fmt.Errorf("entry %d: %w", e.seq, err)
		}
		found[i], l.row = ch, before
	}
	return found, nil
}

// complete sets the rows of lives to what they were in the end.
func (r *replayed) complete(ctx context.Context, c *conn, entries []logEntry, of []*life) error {
	for i, e := range slices.Backward(entries) {
		l := of[i]
		if l.row == nil {
			l.row = r.blank()
		}
		if e.op == OpDelete {
			r.fill(l.row, e.before) // whole
		} else {
			r.fill(l.row, e.named)
			r.fill(l.row, e.data)
		}
	}
	open := make(map[string]*life) // by the key that they have meanwhile
	for _, l := range of {
		if !l.ended && !r.whole(l.row) {
			open[l.key] = l
		}
	}
	if len(open) > 0 {
		if err := r.later(ctx, c, entries[len(entries)-1].seq, open); err != nil {
			return err
		}
		if err := r.current(ctx, c, open); err != nil {
			return err
		}
	}
	return r.earlier(ctx, c, entries, of)
}

// later completes rows by what entries after seq say they replaced. It takes
// those out of open that are whole or gone.
func (r *replayed) later(ctx context.Context, c *conn, seq int64, open map[string]*life) error {
	const query = `SELECT sequence, timestamp, operation, key, data, before FROM _driftdb_log
WHERE sequence > ? AND "table" = ? ORDER BY sequence`
	done := errors.New("done")
	err := c.each(ctx, query, bound(seq, r.schema.Name), func(v []driver.Value) error {
		if len(open) == 0 {
			return done
		}
		e, err := r.entry(v)
		if err != nil {
			return err
		}
		l := open[e.old]
		if e.old != "" {
			delete(open, e.old)
		}
		if e.new != "" {
			delete(open, e.new) // a row with this key was put out of the way without an entry
		}
		if l != nil && !r.fill(l.row, e.before) && e.op == OpUpdate {
			l.named = e.named
			open[e.new] = l
		}
		return nil
	})
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// current completes rows by what stands in the table.
func (r *replayed) current(ctx context.Context, c *conn, open map[string]*life) error {
	for _, l := range open {
		t := new(text)
		t.WriteString(r.selects)
		var where []*node
		for _, k := range r.schema.Key {
			for i, col := range r.schema.Columns {
				if col.Name == k {
					where = append(where, &node{op: opCompare, col: ref{r.schema.Name, k}, sql: " = ", args: []driver.Value{l.named[i]}})
				}
			}
		}
		t.where(where)
		values, err := c.one(ctx, t.String(), t.args)
		if err != nil {
			return err
		}
		if values != nil {
			r.fill(l.row, values)
		}
	}
	return nil
}

// earlier completes rows by what entries before the first say: those that were
// put out of the way by a program whose REPLACE calls no trigger, so that
// nothing later speaks of them.
func (r *replayed) earlier(ctx context.Context, c *conn, entries []logEntry, of []*life) error {
	open := make(map[string]*life)
	seen := make(map[*life]bool)
	for i, e := range entries {
		if l := of[i]; !seen[l] {
			seen[l] = true
			if e.op != OpInsert && !r.whole(l.row) {
				open[e.old] = l
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	oldest, err := r.remade(ctx, c, entries[0].seq)
	if err != nil {
		return err
	}
	const query = `SELECT sequence, timestamp, operation, key, data, before FROM _driftdb_log
WHERE sequence < ? AND "table" = ? AND sequence > ? ORDER BY sequence DESC`
	done := errors.New("done")
	err = c.each(ctx, query, bound(entries[0].seq, r.schema.Name, oldest), func(v []driver.Value) error {
		if len(open) == 0 {
			return done
		}
		e, err := r.entry(v)
		if err != nil {
			return err
		}
		l := open[e.new]
		if e.new == "" || l == nil {
			return nil
		}
		delete(open, e.new)
		if !r.fill(l.row, e.data) && e.op == OpUpdate {
			open[e.old] = l
		}
		return nil
	})
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// fill puts what is known in from where row knows nothing, and says whether row
// is whole then.
func (r *replayed) fill(row, from []driver.Value) (whole bool) {
	for i := range row {
		if row[i] == (absent{}) && r.schema.Columns[i].Logged() {
			row[i] = from[i]
		}
	}
	return r.whole(row)
}

func (r *replayed) whole(row []driver.Value) bool { return r.unknown(row) == nil }

// unknown returns the columns that the log should have and nothing tells of.
func (r *replayed) unknown(row []driver.Value) (names []string) {
	for i := range row {
		if row[i] == (absent{}) && r.schema.Columns[i].Logged() {
			names = append(names, r.schema.Columns[i].Name)
		}
	}
	return names
}
