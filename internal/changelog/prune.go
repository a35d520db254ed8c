package changelog

import (
	"context"
	"fmt"
	"strconv"
)

// pruneRows is how many rows one transaction deletes: few enough that a writer
// that waits for it does not notice.
const pruneRows = 1000

// PruneLog deletes log rows, oldest first in short transactions, but keeps the
// newest keep rows, the newest row in any case, and everything that is not
// acknowledged. It returns how many rows it deleted.
func (q *Queue) PruneLog(ctx context.Context, keep int64) (deleted int64, err error) {
	for {
		n, err := q.pruneSome(ctx, keep)
		deleted += n
		if err != nil {
			return deleted, fmt.Errorf("prune the change log: %w", err)
		}
		if n == 0 {
			return deleted, nil
		}
	}
}

func (q *Queue) pruneSome(ctx context.Context, keep int64) (n int64, err error) {
	// Look first: most of the time there is nothing to delete, and a look
	// takes no lock.
	low, high, err := prunable(ctx, SQL(q.conn), keep)
	if err != nil || low > high {
		return 0, err
	}
	err = q.write(ctx, func(ctx context.Context, x Execer) error {
		low, high, err := prunable(ctx, x, keep)
		if err != nil || low > high {
			return err
		}
		high = min(high, low+pruneRows-1)
		if err := keepSchemaVersion(ctx, x, high); err != nil {
			return err
		}
		n = high - low + 1
		return x.Exec(ctx, `DELETE FROM _driftdb_log WHERE sequence <= ?`, high)
	})
	return n, err
}

// prunable returns the oldest row and the newest one that may go.
func prunable(ctx context.Context, x Execer, keep int64) (low, high int64, err error) {
	row, err := x.QueryRow(ctx, `SELECT coalesce((SELECT min(sequence) FROM _driftdb_log), 1), (`+NewestSQL+`),
	coalesce((SELECT max("to") FROM _driftdb_queue WHERE status = 'done'), 0)`)
	if err != nil {
		return 0, 0, err
	}
	var n [3]int64
	for i := range n {
		n[i], _ = row[i].(int64)
	}
	return n[0], min(n[2], n[1]-max(keep, 1)), nil
}

// keepSchemaVersion records the last schema entry up to sequence before it is
// deleted.
func keepSchemaVersion(ctx context.Context, x Execer, sequence int64) error {
	v, err := schemaVersion(ctx, x, 0, sequence)
	if err != nil || v == 0 {
		return err
	}
	return x.Exec(ctx, setMeta, metaSchemaVersion, strconv.FormatInt(v, 10))
}
