package orm

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/driftdb/driftdb/internal/changelog"
)

const (
	// pruneEvery is after how many commits the length of the log is looked at.
	pruneEvery = 500
	// pruneBatch is how many entries one transaction deletes: few enough that
	// a writer that waits for it does not notice.
	pruneBatch = 1000
)

// pruner keeps the log of a file without a replica short, in a goroutine that
// runs only while there is something to delete. Close waits for it.
type pruner struct {
	commits atomic.Int64
	busy    chan struct{} // holds a token while none runs
}

// pruneLog begins to prune if the log may be due. It does not wait.
func (db *DB) pruneLog() {
	if db.o.LogTail == 0 || db.pruner.commits.Add(1)%pruneEvery != 0 {
		return
	}
	select {
	case <-db.pruner.busy:
	default:
		return // one is at it
	}
	go func() {
		defer func() { db.pruner.busy <- struct{}{} }()
		if err := db.prune(context.Background()); err != nil && !errors.Is(err, ErrClosed) {
			db.o.Logger.Warn("the change log cannot be pruned", "error", err)
		}
	}()
}

func (db *DB) prune(ctx context.Context) error {
	for {
		var n int64
		err := db.transaction(ctx, func(c *conn, state *txState) (err error) {
			state.quiet = true
			n, err = changelog.PruneUnshipped(ctx, changelog.Driver(c.dc), max(db.o.LogTail, 1), pruneBatch)
			return err
		})
		if err != nil || n < pruneBatch {
			return err
		}
	}
}
