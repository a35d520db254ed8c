package orm

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

const (
	// pruneEvery is after how many commits the length of the log is looked at,
	// counted from the first: a program that ends soon prunes, too.
	pruneEvery = 500
	// pruneBatch is how many entries one transaction deletes: few enough that
	// a writer that waits for it does not notice.
	pruneBatch = 1000
	// pruneLinger is how long closing waits for a pruner that has begun.
	pruneLinger = time.Second
)

// pruner keeps the log of a file without a replica short, in a goroutine that
// runs only while there is something to delete. Close waits for it.
type pruner struct {
	commits atomic.Int64
	busy    chan struct{} // holds a token while none runs
}

// pruneLog begins to prune if the log may be due. It does not wait.
func (db *DB) pruneLog() {
	if db.o.LogTail == 0 || db.pruner.commits.Add(1)%pruneEvery != 1 {
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

// stopPruning waits for the pruner and keeps another from beginning. stop makes
// it end after the transaction that it is in.
func (db *DB) stopPruning(ctx context.Context, stop func()) error {
	linger := time.NewTimer(pruneLinger)
	defer linger.Stop()
	select {
	case <-db.pruner.busy:
		stop()
		return nil
	case <-linger.C:
	case <-ctx.Done():
	}
	stop()
	select {
	case <-db.pruner.busy:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the change log is being pruned: %w", ctx.Err())
	}
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
