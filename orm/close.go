package orm

import (
	"context"
	"errors"
	"fmt"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Shutdown refuses new work, waits for what is running, lets the replica ship
// what is left until ctx ends, and closes the file. An error of ctx while work
// is still running leaves the file open: call Shutdown or Close again. With a context
// that cannot end it is like Close inside of what it would wait for.
func (db *DB) Shutdown(ctx context.Context) error {
	return db.shut(ctx, func() error {
		if db.o.OnShutdown == nil {
			return nil
		}
		return db.o.OnShutdown(ctx)
	})
}

// Close is Shutdown with the replica's own deadline. It waits for running
// transactions, loops and listeners as long as they take. Called inside one of them
// it closes nothing and is ErrInTx, after a second. A second call does nothing.
func (db *DB) Close() error {
	return db.shut(context.Background(), func() error {
		if db.o.OnClose == nil {
			return nil
		}
		return db.o.OnClose()
	})
}

func (db *DB) shut(ctx context.Context, stop func() error) error {
	if err := usable(db); err != nil {
		return err
	}
	if changelog.InTx(ctx, db.generation) {
		return ErrInTx
	}
	if err := db.outside(ctx); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	refuse := func() {
		db.closeOne.Do(func() {
			db.mu.Lock()
			defer db.mu.Unlock()
			close(db.closing)
		})
	}
	if err := db.stopPruning(ctx, refuse); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	defer func() { db.pruner.busy <- struct{}{} }()
	if err := db.changes.close(ctx); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	giveBack, err := db.drain(ctx)
	defer giveBack() // a second call finds the tokens
	if err != nil {
		return fmt.Errorf("shut down: transactions or loops over rows are still running: %w", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	errs := []error{stop()}
	if db.sqlDB != nil {
		errs = append(errs, db.sqlDB.Close())
	}
	for _, c := range db.idle {
		errs = append(errs, c.close())
	}
	db.idle = nil
	if db.writer != nil { // thrown away after a rollback that failed
		errs = append(errs, db.writer.close())
	}
	if db.o.OnClosed != nil {
		errs = append(errs, db.o.OnClosed())
	}
	return errors.Join(errs...)
}

// drain takes every token and waits until no loop is running.
func (db *DB) drain(ctx context.Context) (giveBack func(), err error) {
	var taken []chan struct{}
	giveBack = func() {
		for _, l := range taken {
			l <- struct{}{}
		}
	}
	for i := range 1 + db.o.Readers {
		lock := db.read
		if i == 0 {
			lock = db.write
		}
		select {
		case <-lock:
			taken = append(taken, lock)
		case <-ctx.Done():
			return giveBack, ctx.Err()
		}
	}
	for db.looping() {
		select {
		case <-db.looped:
		case <-ctx.Done():
			return giveBack, ctx.Err()
		}
	}
	return giveBack, nil
}
