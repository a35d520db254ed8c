package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ackDue says whether the manifest is to be written now: somebody waits for it,
// or the interval is over.
func (e *engine) ackDue() bool {
	if e.whole.Sequence == e.acked.Sequence {
		return false
	}
	if !time.Now().Before(e.acksAt.Add(e.o.Sync.ManifestInterval)) {
		return true
	}
	for _, r := range e.waiting {
		if r.release { // of what was committed since it was asked for, too
			return true
		}
		if r.target >= 0 && r.target <= e.whole.Sequence && r.target > e.acked.Sequence {
			return true
		}
	}
	return false
}

// acknowledge writes the manifest: head moves to what is uploaded, and edit (may
// be nil) changes what else there is; it is called again when the write has to be
// made again. Only after it has succeeded may anyone be told that the changes are
// safe.
func (e *engine) acknowledge(ctx context.Context, edit func(*manifest) error) error {
	if err := e.at("acknowledging"); err != nil {
		return err
	}
	for {
		if !e.chain.contains(e.claim.Head) && e.claim.Head.Sequence > e.whole.Sequence {
			return fmt.Errorf("head %d is not in the local chain: %w", e.claim.Head.Sequence, errInvariant)
		}
		next := e.claim.clone()
		next.Released = false
		if e.whole.Sequence > next.Head.Sequence {
			next.Head = e.whole
		}
		e.namePacks(next)
		if e.prunedAt != 0 {
			next.PrunedAt = e.prunedAt
		}
		if edit != nil {
			if err := edit(next); err != nil {
				return err
			}
		}
		v, err := e.swap(ctx, next)
		if errors.Is(err, errConflict) {
			// Ours: an earlier write, or a tool that works for us.
			if e.enter(v) {
				return errEpochMoved
			}
			continue
		}
		if err != nil {
			return err
		}
		e.enter(v)
		break
	}
	e.acksAt, e.failed, e.unnamed, e.prunedAt = time.Now(), 0, nil, 0
	e.board.succeeded()
	if err := e.at("acknowledged"); err != nil {
		return err
	}
	return e.settle(ctx, e.claim.Head)
}

// swap replaces the manifest of our claim. errConflict comes only with a
// manifest that still carries our token.
func (e *engine) swap(ctx context.Context, next *manifest) (*versioned, error) {
	e.board.manifestWrite()
	v, err := swap(ctx, e.store, e.claim, next, e.o.Now())
	switch {
	case errors.Is(err, ErrV1Manifest), errors.Is(err, errConflict) && v == nil:
		return nil, fmt.Errorf("database %q: %w", e.name, ErrForeignManifest)
	case errors.Is(err, errConflict) && v.ClaimToken != e.token:
		who := ""
		if v.NodeID == e.side.id() {
			who = fmt.Sprintf(", which is this node's own id: if one of two machines is a copy of the other, remove %s there, or give them different Options.NodeID", e.side.dir)
		}
		return nil, fmt.Errorf("database %q was claimed by node %s, epoch %d%s: %w", e.name, v.NodeID, v.Epoch, who, ErrFenced)
	}
	return v, err
}

// settle keeps locally that everything up to head is acknowledged, and prunes
// the log.
func (e *engine) settle(ctx context.Context, head link) error {
	moved := head.Sequence > e.acked.Sequence
	if moved {
		e.board.acknowledged(head.Sequence-e.acked.Sequence, e.o.Now())
		e.acked = head
	}
	if e.landed(head) {
		if err := e.closeGap(ctx, head); err != nil {
			return err
		}
	}
	if err := e.local.acknowledge(ctx, head, e.o.LogTail); err != nil {
		return err
	}
	e.chain.forget(head)
	if moved {
		e.event(Event{Kind: EventAcknowledged, To: head.Sequence})
	}
	return e.at("settled")
}
