package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Ages are told by the store's clock. A machine's may be wrong, and what it would
// let go too early is gone for good.

// storeClock returns when the store has taken the manifest of db, by its own clock:
// no later than it is there now.
func storeClock(ctx context.Context, store *bucket, db string) (time.Time, error) {
	body, info, err := store.Get(ctx, manifestKey(db))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the store's clock: %w", err)
	}
	if err := body.Close(); err != nil {
		return time.Time{}, fmt.Errorf("read the store's clock: %w", err)
	}
	return info.Modified, nil
}

// believes says why nothing can be said of ages: the store has no clock, or it and
// the one of whoever has written the manifest are a day and more apart. One of the
// two stands still, or is far ahead, and there is no telling which.
func (m *manifest) believes(clock time.Time) error {
	written := time.UnixMilli(m.UpdatedAt)
	if clock.IsZero() {
		return Permanent(errors.New("the store does not say when objects were stored"), "without a clock nothing can be pruned")
	}
	if clock.Before(written.Add(-pruneAge)) {
		return Permanent(fmt.Errorf("the store's clock says %s, and the one of the machine that has written the manifest said %s before",
			clock.UTC().Format(time.RFC3339), written.UTC().Format(time.RFC3339)), "set the clock right that is wrong; if it was the owner's, drift prune on a machine whose clock is right goes on")
	}
	return nil
}

// ageOf returns when the newest change in the snapshot s was made, at the latest.
// Its own times tell, as long as they do not lie behind now: those are of a clock
// that was ahead. Where they say that it is no newer than begins, and may be let
// go, they may be of a clock that was behind: then it is no older than the store
// says, which has got it after its changes were made. The zero time: the store does
// not have it.
func ageOf(ctx context.Context, store *bucket, s snapshotEntry, begins, now time.Time) (time.Time, error) {
	own := time.UnixMilli(max(s.MaxTime, s.Time))
	ahead := own.After(now)
	if own.After(begins) && !ahead {
		return own, nil
	}
	for info, err := range store.List(ctx, s.Key, "") {
		if err != nil {
			return time.Time{}, fmt.Errorf("look when %s was stored: %w", s.Key, err)
		}
		if info.Key == s.Key && (ahead || info.Modified.IsZero()) {
			return info.Modified, nil
		}
		if info.Key == s.Key {
			return latest(own, info.Modified), nil
		}
		break
	}
	return time.Time{}, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
