package replicate

import (
	"context"
	"fmt"

	"github.com/driftdb/driftdb/internal/envelope"
)

// seenSnapshot is what is known of a snapshot that the manifest names.
type seenSnapshot struct {
	key  string // of the object
	good bool   // it is there, and sealed as the next one would be
}

// hasSnapshot says whether what r asks for is stored: a snapshot that holds all
// that r wants, is there, and is sealed with the first key of the ring. Who changes
// the key and asks for a snapshot wants to do without the old one, although nothing
// has changed.
func (e *engine) hasSnapshot(r *request) bool {
	if e.claim == nil || e.claim.snapshotAt() < r.target {
		return false
	}
	s, ok := e.claim.newest()
	if e.o.Snapshot.Anew && (r.before == nil || *r.before == s.Key) {
		return false
	}
	return !ok || e.seenNewest == seenSnapshot{key: s.Key, good: true}
}

// spoilt says whether a drill has found that the newest state cannot be restored
// from the newest snapshot. Then another one, of the file that is there, is taken.
func (e *engine) spoilt() bool {
	if e.claim == nil || e.o.Snapshot.Disabled {
		return false
	}
	s, _ := e.claim.newest()
	return e.drilled != nil && *e.drilled == s.Key
}

// lookAtNewest looks at the newest snapshot, once, if somebody waits for one: one
// that is gone, is cut off, or does not open with the first key, is none.
func (e *engine) lookAtNewest(ctx context.Context) error {
	if e.claim == nil {
		return nil
	}
	s, ok := e.claim.newest()
	asked := false
	for _, r := range e.waiting {
		if !r.snapshot || r.target < 0 {
			continue
		}
		if r.before == nil {
			r.before = &s.Key
		}
		asked = asked || s.Sequence >= r.target
	}
	if !asked || !ok || e.seenNewest.key == s.Key {
		return nil
	}
	ring := e.store.Keys
	if e.store.sealed() {
		ring = ring[:1]
	}
	err := stands(ctx, e.store, s, ring)
	if k, badKey := parseKey(s.Key); err == nil && badKey == nil && e.store.sealed() && !k.sealed {
		err = ErrNotSealed
	}
	if err != nil && !unusable(err) {
		return fmt.Errorf("look at the snapshot %s: %w", s.Key, err)
	}
	if err != nil {
		e.o.Logger.Warn("the newest snapshot does not count, and another one is taken", "database", e.name, "node", e.side.id(), "key", s.Key, "error", err)
	}
	e.seenNewest = seenSnapshot{key: s.Key, good: err == nil}
	return nil
}

// stands reads the beginning of a snapshot: that it is there, with its size, and
// that a key of ring opens it.
func stands(ctx context.Context, store *bucket, s snapshotEntry, ring []Key) error {
	k, err := parseKey(s.Key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx) // the rest of it is not read
	defer cancel()
	body, info, err := store.Get(ctx, s.Key)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if info.Size >= 0 && info.Size != s.StoredSize {
		return fmt.Errorf("%s has %d bytes, not %d: %w", s.Key, info.Size, s.StoredSize, ErrCorrupt)
	}
	if !k.gzip && !k.sealed {
		return nil // the file as it is, which has no header of ours
	}
	if _, _, err = envelope.NewReader(newBodyReader(body, info), info.Size, k.header(), ring); err != nil {
		return fmt.Errorf("%s: %w", s.Key, err)
	}
	return nil
}
