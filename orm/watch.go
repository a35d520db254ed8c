package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"iter"
	"strings"
)

// Watch yields the rows of the query now, and again whenever a table that it
// reads has changed, by whatever process: many changes that come close together
// are one. It ends with ctx, whose error is yielded last, or when the loop does.
// The loop may write to the database.
func (q Query[M]) Watch(ctx context.Context, src ChangeSource) iter.Seq2[[]M, error] {
	return func(yield func([]M, error) bool) {
		err := q.m.ready(src)
		if err == nil {
			err = q.watch(ctx, src, yield)
		}
		if err != nil && !errors.Is(err, errBreak) {
			yield(nil, q.m.wrap("watch", err))
		}
	}
}

func (q Query[M]) watch(ctx context.Context, src ChangeSource, yield func([]M, error) bool) error {
	db := src.base()
	for {
		at, err := db.Position(ctx) // before the rows are read: what comes between is seen again
		if err != nil {
			return err
		}
		all, err := q.All(ctx, src)
		if err != nil {
			return err
		}
		if !yield(all, nil) {
			return errBreak
		}
		for changed := false; !changed; {
			if err := src.feed().wait(ctx, at); err != nil {
				return err
			}
			now, err := db.Position(ctx)
			if err != nil {
				return err
			}
			if changed, err = q.touched(ctx, db, at, now); err != nil {
				return err
			}
			at = now
		}
	}
}

// touched says whether a table that the query reads was changed between two
// positions. What cannot be known counts as a change.
func (q Query[M]) touched(ctx context.Context, db *DB, from, to Position) (changed bool, err error) {
	if from.Generation != to.Generation || len(q.with) > 0 {
		return true, nil
	}
	text := strings.ToLower(q.q.rowsText(&q.m.info).String())
	c, release, err := db.reader(ctx, false)
	if err != nil {
		return false, err
	}
	defer func() { err = also(err, release()) }()
	const query = `SELECT DISTINCT coalesce("table", '') FROM _driftdb_log WHERE sequence > ? AND sequence <= ? AND operation <> 'mark'
UNION ALL SELECT '' WHERE ? + 1 < (SELECT min(sequence) FROM _driftdb_log)`
	err = c.each(ctx, query, bound(from.Sequence, to.Sequence, from.Sequence), func(v []driver.Value) error {
		name := textOf(v[0]) // none: the tables themselves, or what was pruned
		changed = changed || name == "" || strings.Contains(text, strings.ToLower(name))
		return nil
	})
	return changed, err
}
