package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// survey reads what the take-over of m will need, before its owner is fenced: an
// object that was sealed with a key we lack, or written by a newer version, may
// hold what nobody else has, and is not passed over. The owner goes on as long as
// nobody can take its place. errBegun: m has changed meanwhile.
func (t *taker) survey(ctx context.Context, m *versioned, there bool) error {
	if m.open() >= 0 || m.ClaimToken == t.token {
		return nil // fenced already
	}
	end, err := t.chainedTail(ctx, m, lineageEntry{Node: m.NodeID, Epoch: m.Epoch})
	if err != nil || end.Sequence == 0 || m.promisesNothing() {
		return err
	}
	if there {
		if kept, err := t.contains(ctx, end); kept || err != nil {
			return err // nothing will be restored
		}
	}
	err = beginnable(ctx, t.store, m)
	if !unusable(err) {
		return err
	}
	// What m leads to may have been pruned, or packed, meanwhile.
	now, readErr := readManifest(ctx, t.store, t.name)
	if readErr == nil && (now == nil || now.Nonce != m.Nonce) {
		readErr = errBegun
	}
	return cmp.Or(readErr, err)
}

// beginnable says why a restore of m could not even begin: no snapshot can be
// opened, nor what was written first.
func beginnable(ctx context.Context, store *bucket, m *versioned) error {
	var all []error
	for _, p := range m.startingPoints() {
		var err error
		if p.snapshot != nil {
			err = stands(ctx, store, *p.snapshot, store.Keys)
		} else if err = p.fill(ctx, store, m, true); err == nil && len(p.paths[0]) > 0 {
			_, err = p.followKey(ctx, store, p.paths[0][0], p.start)
		}
		if !unusable(err) {
			return err
		}
		all = append(all, fmt.Errorf("from %d: %w", p.start.Sequence, err))
	}
	return fmt.Errorf("database %q cannot be restored, and was not taken over: %w", m.DBName, errors.Join(all...))
}
