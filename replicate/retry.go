package replicate

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// final says whether an error is one that trying again will not mend. What is
// not known to be final is transient: the queue must never be stuck for ever.
func final(err error) bool {
	if _, ok := errors.AsType[*PermanentError](err); ok {
		return true
	}
	return halts(err) || isAny(err, ErrOwned, ErrMissing, ErrNoBackup, ErrNoRestorePoint, ErrNotSupported, ErrNoKey, ErrNotSealed, ErrExists, ErrLocked, ErrNotPrepared, ErrClosed, ErrSchemaDrift, ErrDamaged)
}

// halts says whether an error ends shipping for this start: going on could
// damage what is stored, or would be refused for ever.
func halts(err error) bool {
	return isAny(err, ErrFenced, ErrForked, ErrBehind, ErrV1Manifest, ErrForeignManifest, ErrManifestLost, ErrVersion, ErrLogDamaged, errInvariant, errStopped)
}

// unusable says whether err is about one object rather than about the store: it
// is gone, not what it should be, or (as one flipped bit of a header can make it
// seem) of another format or key. Another way to the same data may be left.
func unusable(err error) bool {
	return isAny(err, ErrNotExist, ErrMissing, ErrCorrupt, errBroken, ErrVersion, ErrNotSupported, ErrNoKey, ErrNotSealed)
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// errInvariant: something that always holds did not; shipping stops rather than
// go on.
var errInvariant = errors.New("an internal assertion failed; nothing more is shipped; please report this")

// errStopped: a test has stopped the replica.
var errStopped = errors.New("stopped")

// wait returns a random time up to Base × 2^attempt, at most Max: full jitter,
// so that many clients do not come back at once. attempt counts from 0.
func (o Retry) wait(attempt int) time.Duration {
	top := o.Max
	if attempt < 32 {
		if d := o.Base << attempt; d > 0 && d < top {
			top = d
		}
	}
	return rand.N(top) + 1 //nolint:gosec // spreads load; nothing secret
}

// do calls f until it succeeds, fails for good, was tried MaxAttempts times or
// ctx ends. It returns the last error.
func (o Retry) do(ctx context.Context, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		if err == nil || final(err) || ctx.Err() != nil || attempt+1 >= o.MaxAttempts {
			return err
		}
		if err := sleep(ctx, o.wait(attempt)); err != nil {
			return err
		}
	}
}

// object is do for reading one object. What is missing or damaged is not mended
// by waiting: a damaged one is read once more, for it may have been the way
// here, a missing one wants a new plan.
func (o Retry) object(ctx context.Context, f func() error) error {
	var settled error
	read := 0
	err := o.do(ctx, func() error {
		err := f()
		if errors.Is(err, ErrCorrupt) {
			read++
		}
		if errors.Is(err, ErrNotExist) || read > 1 {
			settled = err
			return nil
		}
		return err
	})
	return errors.Join(err, settled)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
