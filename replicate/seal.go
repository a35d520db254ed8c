package replicate

import (
	"context"
	"errors"
	"fmt"

	"github.com/driftdb/driftdb/internal/envelope"
)

// seenSeal is what is known of a snapshot's seal.
type seenSeal struct {
	key  string // of the object
	ours bool   // it is sealed as the next one would be
}

// hasSnapshot says whether what r asks for is stored: a snapshot that holds all
// that r wants, sealed with the first key of the ring. Who changes the key and asks
// for a snapshot wants to do without the old one, although nothing has changed.
func (e *engine) hasSnapshot(r *request) bool {
	if e.claim == nil || e.claim.snapshotAt() < r.target {
		return false
	}
	s, ok := e.claim.newest()
	return !ok || !e.store.sealed() || e.lastSeal == seenSeal{key: s.Key, ours: true}
}

// lookAtSeal opens the newest snapshot with the first key alone, once, if somebody
// waits for one. One that is gone, or that does not open, is none of ours either.
func (e *engine) lookAtSeal(ctx context.Context) error {
	if e.claim == nil || !e.store.sealed() {
		return nil
	}
	s, ok := e.claim.newest()
	if !ok || e.lastSeal.key == s.Key {
		return nil
	}
	for _, r := range e.waiting {
		if !r.snapshot || s.Sequence < r.target {
			continue
		}
		err := opensWith(ctx, e.store, s.Key)
		if err != nil && !isAny(err, ErrNoKey, ErrNotExist, ErrCorrupt, ErrVersion, ErrNotSealed) {
			return fmt.Errorf("look with which key %s is sealed: %w", s.Key, err)
		}
		e.lastSeal = seenSeal{key: s.Key, ours: err == nil}
		return nil
	}
	return nil
}

// opensWith reads the beginning of an object with the key that seals.
func opensWith(ctx context.Context, store *bucket, key string) error {
	k, err := parseKey(key)
	if err != nil {
		return err
	}
	if !k.sealed {
		return ErrNotSealed
	}
	ctx, cancel := context.WithCancel(ctx) // the rest of it is not read
	defer cancel()
	body, info, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	_, _, err = envelope.NewReader(newBodyReader(body, info), info.Size, k.header(), envelope.Ring{store.key()})
	return errors.Join(err, body.Close())
}
