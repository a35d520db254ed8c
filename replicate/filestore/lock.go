package filestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofrs/flock"
)

// lock serialises changes: a channel among the goroutines of this store, a
// locked file among processes. The kernel drops the lock of a process that is
// killed.
type lock struct {
	mine chan struct{}
	file string
}

func newLock(file string) lock {
	return lock{mine: make(chan struct{}, 1), file: file}
}

// between two looks at a lock that another process holds.
const lockPoll = 2 * time.Millisecond

// do calls f while the lock is held, unless ctx ends first.
func (l lock) do(ctx context.Context, f func() error) (err error) {
	select {
	case l.mine <- struct{}{}:
		defer func() { <-l.mine }()
	case <-ctx.Done():
		return ctx.Err()
	}
	file := flock.New(l.file)
	locked, err := file.TryLockContext(ctx, lockPoll)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("lock the store: %w", err)
	}
	if !locked {
		return errors.New("lock the store: it is held elsewhere")
	}
	defer func() {
		if cerr := file.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("unlock the store: %w", cerr)
		}
	}()
	// Waiting may have taken its time.
	if err := ctx.Err(); err != nil {
		return err
	}
	return f()
}
