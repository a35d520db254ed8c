package changelog

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// ReadObject calls fn for every member of an object of the log, section 1.1 of
// docs/format.md: the column's name and its value as SQLite has it.
func ReadObject(object string, fn func(column string, v driver.Value)) error {
	var buf [64]member
	all, ok := appendMembers(buf[:0], object)
	if !ok {
		return errors.New("an entry of the change log is not in the form that this version writes")
	}
	for _, m := range all {
		v, err := value(m.token)
		if err != nil {
			return err
		}
		fn(m.name, v)
	}
	return nil
}

// PruneUnshipped deletes the oldest rows of the log of a file that was never
// replicated, at most batch of them, but keeps the newest keep rows and the
// newest row in any case. It runs inside a write transaction of the caller and
// returns how many rows it deleted. The log alone does not rebuild the file any
// more, and the file says so: a replica that is attached later begins with a
// snapshot.
func PruneUnshipped(ctx context.Context, x Execer, keep, batch int64) (int64, error) {
	n, err := pruneUnshipped(ctx, x, keep, batch)
	if err != nil {
		return 0, fmt.Errorf("prune the change log: %w", err)
	}
	return n, nil
}

func pruneUnshipped(ctx context.Context, x Execer, keep, batch int64) (int64, error) {
	if n, err := oneInt(ctx, x, `SELECT count(*) FROM _driftdb_queue`); err != nil || n > 0 {
		return 0, err // its replica prunes it, once everything is acknowledged
	}
	row, err := x.QueryRow(ctx, `SELECT coalesce(min(sequence), 0), coalesce(max(sequence), 0) FROM _driftdb_log`)
	if err != nil {
		return 0, err
	}
	low, _ := row[0].(int64)
	high, _ := row[1].(int64)
	last := min(high-max(keep, 1), low+batch-1)
	if low == 0 || last < low {
		return 0, nil
	}
	if err := keepSchemaVersion(ctx, x, last); err != nil {
		return 0, err
	}
	if err := x.Exec(ctx, `DELETE FROM _driftdb_meta WHERE key = ?`, metaComplete); err != nil {
		return 0, err
	}
	return last - low + 1, x.Exec(ctx, `DELETE FROM _driftdb_log WHERE sequence <= ?`, last)
}
