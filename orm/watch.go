package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"iter"
	"strings"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Watch yields the rows of the query now, and again whenever a table that it
// reads has changed, by whatever process: many changes that come close together
// are one. The tables are those that SQLite opens for the query and for the
// relations of With, also inside sub-queries, raw fragments and views; changes
// of other tables do not run it again. Tables that are not models, and columns
// that the log leaves out (nolog), are not watched.
//
// It ends with ctx, whose error is yielded last, or when the loop does. The loop
// may write to the database.
func (q Query[M]) Watch(ctx context.Context, src ChangeSource) iter.Seq2[[]M, error] {
	return func(yield func([]M, error) bool) {
		var all []M
		read := func(ctx context.Context, r Reader) error {
			all = []M{}
			return q.q.readAll(ctx, r, &all)
		}
		err := q.q.watch(ctx, src, read, func() bool { return yield(all, nil) })
		if err != nil && !errors.Is(err, errBreak) {
			yield(nil, q.q.m.wrap("watch", err))
		}
	}
}

// watch calls read, and then yield, now and after every change of what read has
// read.
func (q *query) watch(ctx context.Context, src ChangeSource, read func(context.Context, Reader) error, yield func() bool) error {
	if err := q.m.ready(src); err != nil {
		return err
	}
	db := src.base()
	for {
		seen, err := watched(ctx, db, read)
		if err != nil {
			return err
		}
		if !yield() {
			return errBreak
		}
		for changed := false; !changed; {
			if err := src.feed().wait(ctx, seen.at); err != nil {
				return err
			}
			if changed, err = seen.touched(ctx, db); err != nil {
				return err
			}
		}
	}
}

// watched calls read, and returns what it has read, as of one moment.
func watched(ctx context.Context, db *DB, read func(context.Context, Reader) error) (*reading, error) {
	seen := &reading{}
	err := db.ReadTx(ctx, func(ctx context.Context, tx *ReadTx) (err error) {
		if seen.at, err = changelog.ReadPosition(ctx, changelog.Driver(tx.c.dc)); err != nil {
			return err
		}
		texts := map[string]int{} // the queries that read runs
		if err := recorded(ctx, tx, texts, read); err != nil {
			return err
		}
		return seen.opened(ctx, tx.c, texts)
	})
	return seen, err
}

// recorded calls read and adds the queries that it runs to texts.
func recorded(ctx context.Context, tx *ReadTx, texts map[string]int, read func(context.Context, Reader) error) error {
	tx.c.seen = texts
	defer func() { tx.c.seen = nil }() // also when read panics: the connection is used again
	return read(ctx, tx)
}

// reading is what queries have read: the tables, and the position at which.
type reading struct {
	at     Position
	tables map[string]bool // in lower case
	any    bool            // it cannot be known which
}

// opened asks SQLite which tables the programs of queries open. A name in a
// text is not enough: a view reads tables that the text does not name.
func (r *reading) opened(ctx context.Context, c *conn, texts map[string]int) error {
	roots := map[int64]string{} // tables by the page where they, or their indexes, begin
	virtual := false
	const schema = `SELECT rootpage, tbl_name, sql LIKE 'CREATE VIRTUAL TABLE%' FROM sqlite_schema WHERE type IN ('table', 'index')`
	err := c.each(ctx, schema, nil, func(v []driver.Value) error {
		page, _ := v[0].(int64)
		roots[page] = strings.ToLower(textOf(v[1]))
		is, _ := v[2].(int64)
		virtual = virtual || is != 0
		return nil
	})
	if err != nil {
		return err
	}
	r.tables = map[string]bool{}
	for text, n := range texts {
		if err := c.forget("EXPLAIN " + text); err != nil {
			return err
		}
		err := c.each(ctx, "EXPLAIN "+text, bound(make([]driver.Value, n)...), func(v []driver.Value) error {
			switch page, _ := v[3].(int64); textOf(v[1]) {
			case "OpenRead":
				r.tables[roots[page]] = true
			case "VOpen": // of a table of the file, or of a function such as json_each
				r.any = r.any || virtual
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// touched says whether one of the tables was changed since r.at, and puts r.at
// to what it has looked at. What cannot be known counts as a change.
func (r *reading) touched(ctx context.Context, db *DB) (changed bool, err error) {
	now, err := db.Position(ctx)
	if err != nil {
		return false, err
	}
	from := r.at
	r.at = now
	if from.Generation != now.Generation {
		return true, nil
	}
	c, release, err := db.reader(ctx, false)
	if err != nil {
		return false, err
	}
	defer func() { err = also(err, release()) }()
	const query = `SELECT DISTINCT coalesce("table", '') FROM _driftdb_log WHERE sequence > ? AND sequence <= ? AND operation <> 'mark'
UNION ALL SELECT '' WHERE ? + 1 < (SELECT min(sequence) FROM _driftdb_log)`
	err = c.each(ctx, query, bound(from.Sequence, now.Sequence, from.Sequence), func(v []driver.Value) error {
		name := textOf(v[0]) // none: the tables themselves, or what was pruned
		changed = changed || r.any || name == "" || r.tables[strings.ToLower(name)]
		return nil
	})
	return changed, err
}
